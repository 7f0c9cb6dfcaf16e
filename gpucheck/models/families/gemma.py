"""Gemma 3n and Gemma 4: two kinds of attention, a second embedding for every layer, a shared cache.

Tensors after transformers 5.24, models/gemma3n and models/gemma4 (modeling_*.py).
"""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, Attention, FeedForward, Layer
from gpucheck.models.families.decoder import Family, assemble, attention, layer_count
from gpucheck.models.families.keys import (
    EXPERTS,
    HIDDEN,
    MOST_CONTEXT,
    MOST_EXPERTS,
    MOST_LAYERS,
    MOST_VOCAB,
    WIDTH,
    Keys,
)
from gpucheck.models.families.mixture import experts_of
from gpucheck.models.tensor import TensorGroup

_FAMILY = Family(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head", norms=4)


def gemma4(keys: Keys) -> Architecture:
    """Gemma 4: wide heads in the layers that see everything, whose values may be their keys; experts in the 26B."""
    count = layer_count(keys)
    sliding = sliding_layers(keys, count, every=6)
    first_shared = first_shared_layer(keys, count)
    kinds = {True: attention(keys, _FAMILY, _window(keys)), False: _full(keys)}
    width = keys.number(*WIDTH)
    routed = keys.flag("enable_moe_block")
    mixture = experts_of(keys, dense_intermediate_size=width) if routed else None
    wide = keys.flag("use_double_wide_mlp")
    layers = []
    for index, local in enumerate(sliding):
        shares = index >= first_shared
        dense = FeedForward(intermediate_size=width * 2 if wide and shares else width)
        mixer = replace(kinds[local], shares_cache=shares)
        layers.append(Layer(attention=mixer, feed_forward=mixture or dense, norms=4))
    shape = with_layer_embedding(keys, assemble(keys, _FAMILY, tuple(layers)))
    return replace(shape, extra_tensors=_extra4(keys, count, routed), predict_layers=())


def gemma3n(keys: Keys) -> Architecture:
    """Gemma 3n: AltUp's four copies of the stream, a low-rank block (Laurel) beside the attention."""
    count = layer_count(keys)
    sliding = sliding_layers(keys, count, every=5)
    first_shared = first_shared_layer(keys, count)
    listed = keys.numbers("intermediate_size") if isinstance(keys.config.get("intermediate_size"), list) else None
    if listed is not None and (len(listed) < count or not all(listed)):
        raise UsageError(f"intermediate_size in the configuration does not give {count} layers a width")
    widths = listed or (keys.number("intermediate_size"),) * count
    plain = attention(keys, _FAMILY, None)
    layers = tuple(
        Layer(
            attention=replace(plain, window=_window(keys) if local else None, shares_cache=index >= first_shared),
            feed_forward=FeedForward(intermediate_size=widths[index]),
            norms=4,
        )
        for index, local in enumerate(sliding)
    )
    shape = with_layer_embedding(keys, assemble(keys, _FAMILY, layers))
    return replace(shape, extra_tensors=_extra3n(keys, shape, plain, first_shared))


def sliding_layers(keys: Keys, count: int, every: int) -> tuple[bool, ...]:
    """Which layers have a window; without `layer_types`, all but every n-th. Gemma 4's last layer never has."""
    named = keys.words("layer_types", count)
    if named:
        return tuple(kind == "sliding_attention" for kind in named)
    return tuple((index + 1) % every != 0 and not (every == 6 and index == count - 1) for index in range(count))


def first_shared_layer(keys: Keys, count: int) -> int:
    """The first of the last layers, which use the keys and values of earlier ones."""
    shared = keys.count("num_kv_shared_layers", most=MOST_LAYERS)
    if shared >= count > 0 and shared:
        raise UsageError(f"num_kv_shared_layers in the configuration is {shared} of {count} layers")
    return count - shared


def with_layer_embedding(keys: Keys, shape: Architecture) -> Architecture:
    """`shape` with the embedding that every layer gets a slice of, where there is one."""
    width = keys.count("hidden_size_per_layer_input")
    if not width:
        return shape
    rows = keys.number("vocab_size_per_layer_input", most=MOST_VOCAB, default=shape.vocab_size)
    return replace(shape, per_layer_embedding=width, per_layer_vocab_size=rows)


def _window(keys: Keys) -> int:
    return keys.number("sliding_window", most=MOST_CONTEXT)


def _full(keys: Keys) -> Attention:
    """The attention of Gemma 4 that sees everything."""
    plain = attention(keys, _FAMILY, None)
    size = keys.count("global_head_dim", default=512) or plain.head_dim
    same = keys.flag("attention_k_eq_v")
    pairs = (keys.optional("num_global_key_value_heads") if same else None) or plain.num_key_value_heads
    return replace(plain, head_dim=size, v_head_dim=size, num_key_value_heads=pairs, value_is_key=same)


def _extra4(keys: Keys, count: int, routed: bool) -> tuple[TensorGroup, ...]:
    """A scale for each layer; with experts three more norms and the router's two scales."""
    at = tuple(range(count))
    found = [TensorGroup("layer_output_scale", 1, 1, at, matrix=False)]
    if routed:
        hidden, experts = keys.number(*HIDDEN), keys.number(*EXPERTS, most=MOST_EXPERTS)
        roles = ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2", "ffn_gate_inp_scale")
        found += [TensorGroup(role, hidden, 1, at, matrix=False) for role in roles]
        found.append(TensorGroup("ffn_down_exps_scale", experts, 1, at, matrix=False))
    return tuple(found)


def _extra3n(keys: Keys, shape: Architecture, plain: Attention, first_shared: int) -> tuple[TensorGroup, ...]:
    """AltUp, Laurel, and the keys and values that the sharing layers carry in spite of it."""
    hidden, count = shape.hidden_size, len(shape.layers)
    at, outside = tuple(range(count)), (-1,)
    copies, rank = keys.number("altup_num_inputs", most=1000), keys.number("laurel_rank")
    found = [
        TensorGroup("altup_proj", hidden, hidden * (copies - 1), outside),
        TensorGroup("altup_unembd_proj", hidden, hidden * (copies - 1), outside),
        TensorGroup("altup_correct_coef", copies, copies, at, matrix=False),
        TensorGroup("altup_predict_coef", copies, copies * copies, at, matrix=False),
        TensorGroup("altup_router", hidden, copies, at, matrix=False),
        TensorGroup("laurel_l", hidden, rank, at),
        TensorGroup("laurel_r", rank, hidden, at),
    ]
    vectors = ("altup_correct_scale", "altup_router_norm", "laurel_post_norm")
    found += [TensorGroup(role, hidden, 1, at, matrix=False) for role in vectors]
    sharing = at[first_shared:]
    if sharing:
        rows = plain.num_key_value_heads * plain.head_dim
        found += [TensorGroup(role, hidden, rows, sharing) for role in ("attn_k", "attn_v")]
        found.append(TensorGroup("attn_k_norm", plain.head_dim, 1, sharing, matrix=False))
    return tuple(group for group in found if group.rows)
