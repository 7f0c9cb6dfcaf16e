"""The pool of blocks: pages of layers, groups of layers that share a table, and what a sequence takes of them.

vllm/v1/kv_cache_interface.py, vllm/v1/core/kv_cache_planning.py and kv_cache_utils.py. A block has one page for each
layer of a group. All groups draw from one pool, so they have equal pages and equally many layers, the last group of a
kind padded. A sequence takes whole blocks for each group: for all its tokens, for those of a window and of the steps
under way, or one for a recurrent state (two where prefixes are cached).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gpucheck.estimators.vllm.layout import Layout, stages_of
from gpucheck.estimators.vllm.options import VllmOptions
from gpucheck.models.architecture import Architecture, Attention, LatentAttention, Layer, Recurrent

# A step more than there are stages is under way: scheduling is asynchronous (vllm/config/vllm.py).
_STEPS_BESIDE = 1
_WINDOWED_MERGE = 1.5
_LATENT_BLOCK = 128  # a hybrid of latent attention and recurrent layers has blocks of a multiple
_SPARSE_INDEX = 132  # 128 numbers of 8 bits and their scale, for each token of a sparse layer
_SPARSE_LATENT = 656  # fp8_ds_mla: 512 numbers of 8 bits, four scales, 64 rotary numbers of 16 bits
# Kinds whose state is kept in 32 bits whatever the type of the model.
_FULL_STATE = frozenset({"kda", "lightning"})
_FULL_STATE_TYPES = frozenset({"nemotron_h", "qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text"})


class Spec(NamedTuple):
    """How one layer is cached: bytes of a token on one rank, tokens of a page, the window, or a state of fixed size."""

    token_bytes: int
    block: int
    window: int | None = None
    chunked: bool = False
    state_bytes: int = 0


class Pool(NamedTuple):
    """Bytes of one block on one GPU, and the blocks that a sequence of the asked length takes."""

    block_bytes: int
    blocks: int

    @property
    def sequence_bytes(self) -> int:
        """Bytes that a sequence takes."""
        return self.block_bytes * self.blocks


def pools(
    architecture: Architecture, options: VllmOptions, layout: Layout, length: int, step_tokens: int
) -> tuple[Pool, ...]:
    """The pool of each stage, for sequences of `length` tokens and steps of `step_tokens`."""
    in_flight = (layout.pipeline + _STEPS_BESIDE) * step_tokens
    found = []
    for stage in stages_of(len(architecture.layers), layout.pipeline):
        specs = _paged(
            specs_of([architecture.layers[index] for index in stage], architecture, options, layout), options
        )
        found.append(_pool(specs, options, length, in_flight))
    return tuple(found)


def capacity(found: tuple[Pool, ...], pool_bytes: tuple[int, ...], length: int) -> tuple[float, int]:
    """Sequences of `length` tokens at once, and the tokens that vLLM tells of; the stage with fewest blocks decides."""
    shares = [
        (size // pool.block_bytes if size > 0 else 0) / pool.blocks
        for pool, size in zip(found, pool_bytes, strict=True)
        if pool.blocks
    ]
    sequences = min(shares, default=0.0)
    return sequences, int(sequences * length)


def specs_of(layers: list[Layer], architecture: Architecture, options: VllmOptions, layout: Layout) -> Counter[Spec]:
    """The layers that are cached, by how."""
    found: Counter[Spec] = Counter()
    for layer in layers:
        attention, recurrent = layer.attention, layer.recurrent
        if isinstance(attention, LatentAttention):
            found[Spec(_latent(attention, options), options.block_size)] += 1
        elif attention is not None and not attention.shares_cache:
            size = _token(attention, options, layout)
            found[Spec(size, options.block_size, attention.window, attention.chunked)] += 1
        if recurrent is not None:
            found[Spec(0, 0, state_bytes=_state(recurrent, architecture.model_type, layout))] += 1
    return found


def _element(options: VllmOptions) -> int:
    return 1 if options.kv_cache_dtype.startswith("fp8") else 2


def _token(attention: Attention, options: VllmOptions, layout: Layout) -> int:
    heads = -(-attention.num_key_value_heads // layout.tensor)
    return heads * (attention.head_dim + attention.v_head_dim) * _element(options)


def _latent(attention: LatentAttention, options: VllmOptions) -> int:
    """One latent vector and rotary key, whole on every rank; sparse models keep 8 bits unless told otherwise."""
    width = attention.kv_lora_rank + attention.qk_rope_head_dim
    if attention.index_head_dim is None:
        return width * _element(options)
    plain = options.kv_cache_dtype in {"bfloat16", "float16"}
    return (2 * width if plain else _SPARSE_LATENT) + _SPARSE_INDEX


def _state(block: Recurrent, kind: str, layout: Layout) -> int:
    """Bytes of a layer's state on one rank: the convolution's tokens in 16 bits, the state itself."""
    channels = block.inner_size
    if block.kind in {"gated_delta_net", "mamba2"}:
        channels += 2 * block.group_count * block.state_size
    elif block.kind == "kda":
        channels *= 3
    convolution = 0 if block.kind in {"lightning", "rwkv"} else 2 * channels * (block.conv_kernel - 1)
    full = block.kind in _FULL_STATE or kind in _FULL_STATE_TYPES
    state = block.inner_size * block.state_size * (4 if full else 2)
    return -(-(convolution + state) // layout.tensor)


def _paged(specs: Counter[Spec], options: VllmOptions) -> Counter[tuple[Spec, int]]:
    """The specs with pages of one size: blocks of attention grow to hold a state, or to the largest page."""
    token = max((spec.token_bytes for spec in specs), default=0)
    state = max((spec.state_bytes for spec in specs), default=0)
    block = options.block_size
    if state and token:
        block = max(block, block * -(-state // (block * token)))
    page = max(block * token, state)
    found: Counter[tuple[Spec, int]] = Counter()
    for spec, count in specs.items():
        if spec.token_bytes and page % spec.token_bytes == 0:
            found[spec._replace(block=page // spec.token_bytes), page] += count
        else:  # a state, or a page that is padded
            found[spec._replace(block=block), page] += count
    return found


def _pool(specs: Counter[tuple[Spec, int]], options: VllmOptions, length: int, in_flight: int) -> Pool:
    if not specs:
        return Pool(1, 0)
    least, most = min(specs.values()), max(specs.values())
    together = most if most < least * _WINDOWED_MERGE else least
    blocks = 0
    page = 0
    for (spec, size), count in specs.items():
        page = max(page, size)
        blocks += -(-count // together) * _blocks(spec, options, length, in_flight)
    return Pool(together * page, blocks)


def _blocks(spec: Spec, options: VllmOptions, length: int, in_flight: int) -> int:
    """Blocks that one sequence takes of a group."""
    if spec.state_bytes:
        return 2 if options.enable_prefix_caching else 1
    if spec.window is None:
        return -(-length // spec.block)
    if spec.chunked:
        return -(-min(spec.window + in_flight, length) // spec.block)
    return -(-min(spec.window - 1 + in_flight, length) // spec.block) + 1
