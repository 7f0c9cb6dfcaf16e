"""Activations while transformers reads a prompt: the tensors that are alive together at the widest moment.

Elements of 16 bits per token, by phase of a layer; the peak is that of the widest phase. h is the hidden size, I the
intermediate size, K the experts per token. The phases and their factors were measured on the modelling code itself
(benchmarks/transformers_oracle.py follows every tensor of real shapes).
"""

from __future__ import annotations

from gpucheck.models.architecture import (
    Architecture,
    Attention,
    Experts,
    FeedForward,
    LatentAttention,
    Layer,
    Recurrent,
)

# A layer's input is held by the loop over layers, the embeddings by the model; the residual and the normed input are
# the block's own.
_HELD = 4
_NORM = 7  # three held, the input in 32 bits, and its square in 32 bits

# The activation function is written out in these (x, its tanh, products), so a block without a gate has 4 I alive.
_WRITTEN_OUT = frozenset({"phi", "gptj", "gpt2", "gpt_bigcode", "codegen", "bloom"})
# Blocks that norm after the sublayer rather than before it hold one vector less in the block, two more in the norm.
_POST_NORM = frozenset({"olmo2", "olmo3", "exaone4"})
_MORE_HELD = {"olmo2": -1, "olmo3": -1, "exaone4": -1, "stablelm": 2}
# Gate and up come as one matrix: its output lives beside both halves' results.
_FUSED = frozenset({"phi3", "phi4", "phi4_multimodal", "glm", "glm4", "phi3small"})
# The router's weights stay in 32 bits in these, so the weighted outputs of the experts are in 32 bits too.
_FLOAT_ROUTER = frozenset({
    "mixtral", "glm4_moe", "glm4_moe_lite", "glm_moe_dsa", "deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2",
    "minimax_m2", "dots1",
})  # fmt: skip
_NORMED = {"head": 5, "heads": 7}
_DELTA_CHUNK, _MAMBA_CHUNK = 64, 256


def prompt_elements(architecture: Architecture, tokens: int, *, eager: bool = False, kernels: bool = False) -> int:
    """Elements per token of the widest phase over all layers; `tokens` matters for eager attention only."""
    return max((_layer(architecture, layer, tokens, eager, kernels) for layer, _ in architecture.groups), default=0)


def _layer(architecture: Architecture, layer: Layer, tokens: int, eager: bool, kernels: bool) -> int:
    h, kind = architecture.hidden_size, architecture.model_type
    norm = 9 if kind in _POST_NORM else _NORM
    phases = [norm * h, _mixer(architecture, layer, kernels)]
    block = layer.feed_forward
    if isinstance(block, FeedForward):
        phases.append(_dense(block, h, kind))
    elif block is not None:
        phases.append(_experts(block, h, kind))
    if eager and isinstance(layer.attention, Attention):
        phases.append(_HELD * h + layer.attention.num_attention_heads * tokens * 4)  # scores, in 32 bits for softmax
    return max(phases) + _rotary(layer)


def _rotary(layer: Layer) -> int:
    """Sines and cosines of every position."""
    attention = layer.attention
    if isinstance(attention, LatentAttention):
        return 2 * attention.qk_rope_head_dim
    return 2 * attention.head_dim if attention else 0


def _dense(block: FeedForward, h: int, kind: str) -> int:
    held = _HELD + _MORE_HELD.get(kind, 0)
    if block.matrices == 2:
        return (4 if kind in _WRITTEN_OUT else 2) * block.intermediate_size + held * h
    fused = block.fused or kind in _FUSED
    return (4 if fused else 3) * block.intermediate_size + held * h


def _experts(block: Experts, h: int, kind: str) -> int:
    """Grouped experts: every token's K copies at once, first inside the experts, then their weighted sum."""
    k, f = block.num_experts_per_tok, block.moe_intermediate_size
    shared = h if block.shared_intermediate_size and kind in {"qwen2_moe", "qwen3_next", "qwen3_5_moe"} else 0
    if kind in {"llama4", "llama4_text"}:  # every expert works on every token
        return block.num_experts * (2 * h + 3 * f) + _HELD * h
    if kind == "gpt_oss":
        return max(k * (9 * f + h), 5 * k * h) + _HELD * h
    inside = k * (4 * f + h) + _HELD * h
    weighted = k * (6 if kind in _FLOAT_ROUTER else 4) * h + _HELD * h
    return max(inside, weighted) + shared


def _mixer(architecture: Architecture, layer: Layer, kernels: bool) -> int:
    h = architecture.hidden_size
    attention = layer.attention
    widest = 0
    if isinstance(attention, LatentAttention):
        nope, rope, v = attention.qk_nope_head_dim, attention.qk_rope_head_dim, attention.v_head_dim
        per_head = 4 * (nope + rope) + nope + v
        widest = attention.num_attention_heads * per_head + _HELD * h + attention.kv_lora_rank + rope
    elif attention is not None:
        q = attention.num_attention_heads * attention.head_dim
        kv = attention.num_key_value_heads * attention.head_dim
        # The norm of the queries is worked out before the layer's keys and values are kept.
        widest = (4 * q if attention.qk_norm == "none" else _NORMED[attention.qk_norm] * q - 2 * kv) + 3 * h
    if layer.recurrent is not None:
        widest = max(widest, _recurrent(layer.recurrent, h, architecture.model_type, kernels))
    return widest


def _recurrent(layer: Recurrent, h: int, kind: str, kernels: bool) -> int:
    """Without fused kernels the scan is written out in torch, chunk by chunk, in 32 bits.

    What it needs with them follows from what goes in and comes out, and was not measured.
    """
    channels = layer.inner_size + 2 * layer.group_count * layer.state_size
    fused = _HELD * h + 2 * channels + 4 * layer.inner_size
    if kernels or layer.kind in {"short_conv", "rwkv"}:
        return fused
    if layer.kind in {"gated_delta_net", "kda"}:
        value = layer.inner_size // max(layer.head_count, 1)
        scan = layer.head_count * (11 * layer.state_size + 10 * value + 10 * _DELTA_CHUNK) + 3 * h
        joint = 2 * (layer.group_count * layer.state_size + layer.inner_size) if kind == "qwen3_next" else 0
        return scan + joint  # one projection of queries, keys, values and gates, held while it is taken apart
    if layer.kind == "mamba2":
        return round(layer.head_count * (6.7 * layer.state_size + 5.5 * _MAMBA_CHUNK)) + 21 * layer.inner_size
    # Mamba-1 writes out the state of every token, in 32 bits, three times over.
    return round(layer.inner_size * (6 * layer.state_size + 11.2)) + _HELD * h
