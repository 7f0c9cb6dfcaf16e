"""What llama.cpp keeps of the past, layer by layer: keys and values, latents, and recurrent states."""

from __future__ import annotations

from gpucheck.estimators.llama_cpp.geometry import Geometry
from gpucheck.estimators.llama_cpp.options import CACHE_BLOCKS, LlamaCppOptions
from gpucheck.models.architecture import Architecture, Attention, LatentAttention, Layer, Recurrent

_FLOAT = 4


def row_bytes(kind: str, elements: int) -> int:
    """Bytes of so many elements of a cache type; whole blocks."""
    block_bytes, block = CACHE_BLOCKS[kind]
    return -(-elements // block) * block_bytes


def cache_bytes(layer: Layer, geometry: Geometry, options: LlamaCppOptions, widest_value: int = 0) -> int:
    """Bytes of keys and values that one layer keeps; 0 for a layer without, or with those of another layer.

    `widest_value` is the number of values of a token in the widest layer: without flash attention values are
    stored transposed, and every layer takes as much.
    """
    attention = layer.attention
    if attention is None:
        return 0
    if isinstance(attention, LatentAttention):
        elements = attention.kv_lora_rank + attention.qk_rope_head_dim
        total = row_bytes(options.type_k, elements)
        if attention.index_head_dim:
            total += row_bytes(options.type_k, attention.index_head_dim)
        return total * geometry.cells * geometry.streams
    if attention.shares_cache:
        return 0
    keys = attention.num_key_value_heads * attention.head_dim
    values = attention.num_key_value_heads * attention.v_head_dim
    if not options.flash:
        values = max(values, widest_value)
    cells = geometry.window_cells(attention.window) * geometry.streams
    return cells * (row_bytes(options.type_k, keys) + row_bytes(options.type_v, values))


def state_bytes(layer: Layer, geometry: Geometry) -> int:
    """Bytes of the recurrent state that one layer keeps for all sequences; independent of the context."""
    if layer.recurrent is None:
        return 0
    return _FLOAT * geometry.sequences * state_elements(layer.recurrent)


def state_elements(layer: Recurrent) -> int:
    """Elements of one sequence's state: the last inputs of the convolution, and the memory itself."""
    tail, inner = layer.conv_kernel - 1, layer.inner_size
    if layer.kind == "short_conv":
        return tail * inner
    if layer.kind == "mamba":
        return tail * inner + layer.state_size * inner
    if layer.kind == "rwkv":
        return layer.state_size * inner + 2 * inner
    if layer.kind == "lightning":
        return layer.state_size * inner
    groups = layer.group_count if layer.kind != "kda" else layer.head_count
    return tail * (inner + 2 * groups * layer.state_size) + layer.state_size * inner


def widest_value(architecture: Architecture) -> int:
    """Values of one token in the layer that has most of them."""
    widths = (
        layer.attention.num_key_value_heads * layer.attention.v_head_dim
        for layer, _ in architecture.groups
        if isinstance(layer.attention, Attention)
    )
    return max(widths, default=0)
