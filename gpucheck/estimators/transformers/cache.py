"""The cache of transformers: what it keeps after the prompt, and while tokens follow."""

from __future__ import annotations

from gpucheck.models.architecture import Architecture, Attention, LatentAttention, Layer, Recurrent

_F32 = 2  # an element in 32 bits, counted in elements of 16
_STATE_COPIES = {"gated_delta_net": 3, "kda": 3, "mamba2": 4, "mamba": 4}  # alive together while a token is worked in


def kept_tokens(layer: Layer, tokens: int) -> int:
    """Tokens whose keys and values a layer keeps once generation has begun."""
    attention = layer.attention
    if isinstance(attention, Attention) and attention.window is not None:
        return min(tokens, attention.window)
    return tokens


def token_elements(layer: Layer) -> int:
    """Elements that one token adds to the cache of a layer; latent attention keeps the latent vector only."""
    attention = layer.attention
    if isinstance(attention, LatentAttention):
        return attention.kv_lora_rank + attention.qk_rope_head_dim
    if attention is None or attention.shares_cache:
        return 0
    return attention.num_key_value_heads * (attention.head_dim + attention.v_head_dim)


def state_elements(recurrent: Recurrent | None) -> int:
    """Elements of 16 bits that a recurrent layer keeps for each sequence: the convolution's and the state's."""
    if recurrent is None:
        return 0
    if recurrent.kind == "short_conv":
        return recurrent.inner_size * recurrent.conv_kernel
    channels = recurrent.inner_size + (2 * recurrent.group_count * recurrent.state_size)
    if recurrent.kind == "mamba":
        channels = recurrent.inner_size
    state = recurrent.inner_size * recurrent.state_size
    return channels * recurrent.conv_kernel + state * _F32


def cache_elements(architecture: Architecture, tokens: int, batch: int, *, prompt: bool) -> int:
    """Elements of the whole cache, for `batch` sequences of `tokens`.

    While the prompt is read (`prompt`) a sliding layer still holds all of it: what it keeps is a view of the whole.
    """
    total = 0
    for layer, positions in architecture.groups:
        kept = tokens if prompt else kept_tokens(layer, tokens)
        each = token_elements(layer) * kept + state_elements(layer.recurrent) + _crossed(architecture, layer, tokens)
        total += each * len(positions)
    return total * batch


def _crossed(architecture: Architecture, layer: Layer, tokens: int) -> int:
    """Keys and values of the encoder's output, kept for each layer that looks at it."""
    cross = layer.cross_attention
    if cross is None:
        return 0
    length = tokens if architecture.cross_tokens is None else architecture.cross_tokens
    return length * cross.num_key_value_heads * (cross.head_dim + cross.v_head_dim)


def decode_extra(architecture: Architecture, tokens: int, batch: int) -> int:
    """Elements beside the cache while a token is generated: the copies that one layer makes to grow by it.

    A dynamic cache concatenates: the old keys and the new ones exist together, in a sliding layer values as well.
    Latent attention expands keys and values of all heads at every step, and a recurrent layer works on copies of its
    state.
    """
    return batch * max((_step(layer, tokens) for layer, _ in architecture.groups), default=0)


def _step(layer: Layer, tokens: int) -> int:
    attention, kept = layer.attention, kept_tokens(layer, tokens)
    grown = 0
    if isinstance(attention, LatentAttention):
        expanded = 2 * attention.qk_nope_head_dim + attention.v_head_dim + attention.qk_rope_head_dim
        grown = kept * attention.num_attention_heads * expanded
    elif attention is not None and not attention.shares_cache:
        width = attention.head_dim + (0 if attention.window is None else attention.v_head_dim)
        grown = kept * attention.num_key_value_heads * width
    recurrent = layer.recurrent
    copies = _STATE_COPIES.get(recurrent.kind, 0) if recurrent else 0
    state = recurrent.inner_size * recurrent.state_size * _F32 if recurrent else 0
    return max(grown, copies * state)
