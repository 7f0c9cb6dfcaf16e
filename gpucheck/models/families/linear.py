"""Hybrids of attention and linear attention: Qwen3-Next and 3.5, Kimi Linear, MiniMax-Text-01, LFM2."""

from __future__ import annotations

from gpucheck.models.architecture import Architecture, Layer, Recurrent
from gpucheck.models.families.decoder import Family, assemble, attention, dense_block, layer_count, mixture_block
from gpucheck.models.families.keys import EXPERTS, HIDDEN, MOST_LAYERS, Keys
from gpucheck.models.families.latent import latent_attention
from gpucheck.models.families.mixture import sparse_layers

_QWEN = Family(
    qkv_bias="attention_bias",
    output_bias="attention_bias",
    qk_norm="head",
    output_gate=True,
    experts=True,
    shared_gate=True,
    window_key="",
)
_LFM = Family(qk_norm="head", experts=True, router_bias="use_expert_bias", window_key="")


def qwen_next(keys: Keys) -> Architecture:
    """Qwen3-Next and Qwen3.5: three layers of Gated DeltaNet to one of gated attention."""
    values = keys.number("linear_num_value_heads", most=10_000)
    mixer = Recurrent(
        kind="gated_delta_net",
        conv_kernel=keys.number("linear_conv_kernel_dim", most=1000),
        inner_size=values * keys.number("linear_value_head_dim", most=10_000),
        state_size=keys.number("linear_key_head_dim", most=10_000),
        group_count=keys.number("linear_num_key_heads", most=10_000),
        head_count=values,
        conv_bias=False,
    )
    count = layer_count(keys)
    every = keys.number("full_attention_interval", most=MOST_LAYERS, default=4)
    named = keys.words("layer_types", count)
    linear = (
        tuple(kind == "linear_attention" for kind in named)
        if named
        else tuple((index + 1) % every != 0 for index in range(count))
    )
    return mixed(keys, _QWEN, mixer, linear)


def mixed(
    keys: Keys, family: Family, mixer: Recurrent, linear: tuple[bool, ...], norms: int | None = None
) -> Architecture:
    """Layers that have `mixer` where `linear` says so, else attention; experts where the keys say so."""
    routed = family.experts and keys.count(*EXPERTS, most=10**5) > 0
    sparse = sparse_layers(keys, len(linear)) if routed else (False,) * len(linear)
    plain = attention(keys, family, None)
    mixture = mixture_block(keys, family) if any(sparse) else None
    dense = dense_block(keys, family) if not all(sparse) else None
    blocks = {
        (recurrent, has_experts): Layer(
            attention=None if recurrent else plain,
            recurrent=mixer if recurrent else None,
            feed_forward=mixture if has_experts else dense,
            norms=family.norms if norms is None else norms,
        )
        for recurrent in (False, True)
        for has_experts in (False, True)
    }
    return assemble(keys, family, tuple(blocks[each] for each in zip(linear, sparse, strict=True)))


def kimi_linear(keys: Keys) -> Architecture:
    """Kimi Linear: Kimi Delta Attention, and latent attention in the layers that `full_attn_layers` (from 1) names."""
    inner = Keys(keys.part("linear_attn_config") or {}, {}, "linear_attn_config.")
    count, family = layer_count(keys), Family(experts=True, router_bias=True)
    size = inner.number("head_dim", most=10_000, default=keys.count("linear_head_dim", default=128))
    number = inner.number("num_heads", most=10_000, default=keys.count("linear_num_heads", default=32))
    mixer = Recurrent(
        kind="kda",
        conv_kernel=inner.number(
            "short_conv_kernel_size", most=1000, default=keys.count("linear_conv_kernel_dim", default=4)
        ),
        inner_size=number * size,
        state_size=size,
        group_count=number,
        head_count=number,
        conv_bias=False,
    )
    named = keys.words("layer_types", count)
    full = inner.numbers("full_attn_layers", most=MOST_LAYERS)
    sparse = sparse_layers(keys, count)
    mixture, dense = mixture_block(keys, family), dense_block(keys, family)
    latent = latent_attention(keys, indexed=False)
    layers = []
    for index in range(count):
        if named:
            recurrent = named[index] == "linear_attention"
        elif full is not None:
            recurrent = index + 1 not in full
        else:
            recurrent = not index or index % 4 != 0
        layers.append(
            Layer(
                attention=None if recurrent else latent,
                recurrent=mixer if recurrent else None,
                feed_forward=mixture if sparse[index] else dense,
            )
        )
    return assemble(keys, family, tuple(layers))


def minimax(keys: Keys) -> Architecture:
    """MiniMax-Text-01: seven layers of lightning attention to one of attention (`attn_type_list`: 1 is attention)."""
    family = Family(experts=True, window_key="")
    plain = attention(keys, family, None)
    size = plain.head_dim
    mixer = Recurrent(
        kind="lightning",
        conv_kernel=1,
        inner_size=plain.num_attention_heads * size,
        state_size=size,
        head_count=plain.num_attention_heads,
        conv_bias=False,
    )
    count = layer_count(keys)
    named, listed = keys.words("layer_types", count), keys.numbers("attn_type_list", most=1)
    if named:
        linear = tuple(kind == "linear_attention" for kind in named)
    elif listed and len(listed) >= count:
        linear = tuple(not kind for kind in listed[:count])
    else:
        linear = tuple(index % 2 == 0 for index in range(count))
    return mixed(keys, family, mixer, linear)


def lfm2(keys: Keys) -> Architecture:
    """LFM2: gated short convolutions, and attention in the layers that `full_attn_idxs` (from 0) names."""
    hidden, count = keys.number(*HIDDEN), layer_count(keys)
    mixer = Recurrent(
        kind="short_conv",
        conv_kernel=keys.number("conv_L_cache", most=1000),
        inner_size=hidden,
        conv_bias=keys.flag("conv_bias"),
        projection_bias=keys.flag("conv_bias"),
    )
    named, full = keys.words("layer_types", count), keys.numbers("full_attn_idxs", most=MOST_LAYERS)
    if named:
        linear = tuple(kind != "full_attention" for kind in named)
    else:
        linear = tuple(full is not None and index not in full for index in range(count))
    tied = keys.flag("tie_embedding", default=keys.flag("tie_word_embeddings", default=True))
    config = {**keys.config, "tie_word_embeddings": tied}
    if not keys.count(*EXPERTS, most=10**5):
        config["intermediate_size"] = _lfm_width(keys)
    elif not keys.has("use_expert_bias"):
        config["use_expert_bias"] = True
    return mixed(Keys(config, keys.defaults, keys.where), _LFM, mixer, linear)


def _lfm_width(keys: Keys) -> int:
    """The width of LFM2's dense block: two thirds, a factor, and rounding up, unless that is switched off."""
    width = keys.number("block_ff_dim", "intermediate_size")
    if not keys.flag("block_auto_adjust_ff_dim", default=True):
        return width
    multiple = keys.number("block_multiple_of", default=256)
    width = int(keys.ratio("block_ffn_dim_multiplier", 1.0) * int(2 * width / 3))
    return multiple * max(1, -(-width // multiple))
