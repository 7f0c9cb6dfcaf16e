"""The plain decoder: what most families share, and the few switches that tell them apart."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, Layer
from gpucheck.models.families.keys import (
    CONTEXT,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    MOST_CONTEXT,
    MOST_LAYERS,
    MOST_VOCAB,
    VOCAB,
    WIDTH,
    Keys,
)
from gpucheck.models.families.mixture import experts_of, sparse_layers

Switch = bool | str  # True, False, or the key that decides


class Family(Struct, frozen=True, kw_only=True):
    """What a family's code fixes and its configuration does not say.

    `norms` counts norms of the hidden size in a layer. `full_every`: of the layers with a window, every n-th looks
    at everything (None: the window holds in all). `experts` is True where the layers are mixtures of experts.
    """

    qkv_bias: Switch = False
    output_bias: Switch = False
    mlp_bias: Switch = False
    head_bias: Switch = False
    qk_norm: Literal["none", "head", "heads"] = "none"
    qk_norm_key: str | None = None  # the key that turns the norm on, where it is not always there
    norms: int = 2
    norm_bias: bool = False
    final_norm: bool = True
    embedding_norm: bool = False
    matrices: Literal[2, 3] = 3
    fused_qkv: bool = False
    fused_mlp: bool = False
    output_gate: bool = False
    sinks: bool = False
    full_every: int | None = None
    window_key: str = "sliding_window"
    window_switch: str | None = None  # the key that turns the window on
    experts: bool = False
    shared_gate: bool = False
    router_bias: Switch = False
    expert_bias: bool = False
    positions: int | None = None  # learned positions: this many more than the context
    width_ratio: int = 4  # the feed-forward width over the hidden size, where no key says it
    half_width: bool = False


def decoder(keys: Keys, family: Family) -> Architecture:
    """The shape of a stack of equal, or nearly equal, decoder layers."""
    count = layer_count(keys)
    sparse = sparse_layers(keys, count) if family.experts else (False,) * count
    kinds = {window: attention(keys, family, window) for window in dict.fromkeys(windows(keys, family, count))}
    dense = dense_block(keys, family) if not all(sparse) else None
    mixture = mixture_block(keys, family) if any(sparse) else None
    blocks = {
        (window, routed): Layer(attention=kind, feed_forward=mixture if routed else dense, norms=family.norms)
        for window, kind in kinds.items()
        for routed in (False, True)
    }
    layers = tuple(blocks[each] for each in zip(windows(keys, family, count), sparse, strict=True))
    return assemble(keys, family, layers)


def assemble(keys: Keys, family: Family, layers: tuple[Layer, ...]) -> Architecture:
    """The layers with the embeddings and the head around them."""
    context = keys.optional(*CONTEXT, most=MOST_CONTEXT)
    return Architecture(
        model_type=keys.text("model_type") or "unknown",
        hidden_size=keys.number(*HIDDEN),
        vocab_size=keys.number(*VOCAB, most=MOST_VOCAB),
        layers=layers,
        tie_word_embeddings=keys.flag("tie_word_embeddings"),
        max_position_embeddings=context or None,
        norm_bias=family.norm_bias,
        embedding_norm=family.embedding_norm,
        final_norm=family.final_norm,
        head_bias=switch(keys, family.head_bias),
        position_embeddings=0 if family.positions is None else (context or 0) + family.positions,
        predict_layers=predict_layers(keys, layers),
    )


def layer_count(keys: Keys) -> int:
    """The layers that the configuration counts."""
    return keys.number(*LAYERS, most=MOST_LAYERS)


def switch(keys: Keys, value: Switch) -> bool:
    """The truth of a switch."""
    return keys.flag(value) if isinstance(value, str) else value


def heads(keys: Keys) -> tuple[int, int, int]:
    """Query heads, key heads and the size of each; the size is the hidden size over the heads if no key says it."""
    hidden, count = keys.number(*HIDDEN), keys.number(*HEADS)
    size = keys.optional(*HEAD_DIM) or hidden // count
    if not size:
        raise UsageError(f"{keys.where}hidden_size in the configuration is smaller than the {count} attention heads")
    return count, keys.optional(*KV_HEADS) or count, size


def attention(keys: Keys, family: Family, window: int | None) -> Attention:
    """The attention of a layer that looks `window` tokens back."""
    count, pairs, size = heads(keys)
    normed = family.qk_norm_key is None or keys.flag(family.qk_norm_key)
    return Attention(
        num_attention_heads=count,
        num_key_value_heads=pairs,
        head_dim=size,
        v_head_dim=keys.optional("v_head_dim") or size,
        window=window,
        fused_qkv=family.fused_qkv,
        qkv_bias=switch(keys, family.qkv_bias),
        output_bias=switch(keys, family.output_bias),
        qk_norm=family.qk_norm if normed else "none",
        output_gate=family.output_gate,
        sinks=family.sinks,
    )


def dense_block(keys: Keys, family: Family) -> FeedForward:
    """The feed-forward block of a layer without experts."""
    width = keys.optional(*WIDTH)
    if not width:
        width = keys.number(*HIDDEN) * family.width_ratio
    return FeedForward(
        intermediate_size=width // 2 if family.half_width else width,
        matrices=family.matrices,
        fused=family.fused_mlp,
        bias=switch(keys, family.mlp_bias),
    )


def mixture_block(keys: Keys, family: Family) -> Experts:
    """The experts of a layer that has them."""
    return experts_of(
        keys,
        matrices=family.matrices,
        shared_gate=family.shared_gate,
        router_bias=switch(keys, family.router_bias),
        bias=family.expert_bias,
    )


def windows(keys: Keys, family: Family, count: int) -> tuple[int | None, ...]:
    """What each layer looks back at: `layer_types` if it is there, else the family's pattern; None is everything."""
    window = keys.optional(family.window_key, most=MOST_CONTEXT) or None
    if family.window_switch and not keys.flag(family.window_switch):
        window = None
    named = keys.words("layer_types", count)
    if named:
        return tuple(window if kind in ("sliding_attention", "local_attention") else None for kind in named)
    if window is None:
        return (None,) * count
    if keys.has("max_window_layers"):  # Qwen2 and Qwen3: the first of them look at everything
        first = keys.count("max_window_layers", most=MOST_CONTEXT)
        return tuple(window if index >= first else None for index in range(count))
    every = pattern(keys, family.full_every)
    return tuple(None if every and (index + 1) % every == 0 else window for index in range(count))


def pattern(keys: Keys, otherwise: int | None) -> int | None:
    """Every how many layers one looks at everything; None: no layer does.

    EXAONE 4 writes a pattern such as "LLLG", the others a number.
    """
    for name in ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers"):
        if isinstance(keys.config.get(name), str):
            return len(keys.text(name) or "") or None
        if keys.has(name):
            return keys.number(name, most=MOST_LAYERS)
    return otherwise


def predict_layers(keys: Keys, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Layers for multi-token prediction, which are built like the last of the others."""
    named = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
    extra = keys.count(*named, most=64) if keys.has(*named) else 0
    return (layers[-1],) * extra if layers else ()
