"""Families with multi-head latent attention: DeepSeek V2 and later, Kimi K2, GLM-4.7-Flash and GLM-5."""

from __future__ import annotations

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, LatentAttention, Layer
from gpucheck.models.families.decoder import Family, assemble, dense_block, layer_count, mixture_block
from gpucheck.models.families.keys import EXPERTS, HEADS, MOST_LAYERS, Keys
from gpucheck.models.families.mixture import sparse_layers

_DEEPSEEK2 = Family(experts=True)
_DEEPSEEK3 = Family(experts=True, router_bias=True)

LATENT: dict[str, Family] = {
    "deepseek_v2": _DEEPSEEK2,
    "deepseek_v3": _DEEPSEEK3,
    "deepseek_v32": _DEEPSEEK3,
    "kimi_k2": _DEEPSEEK3,
    "glm4_moe_lite": _DEEPSEEK3,
    "glm_moe_dsa": _DEEPSEEK3,
    "longcat_flash": _DEEPSEEK3,
    "minicpm3": Family(),
    "mistral4": _DEEPSEEK3,
    "youtu": Family(),
    "sarvam_mla": _DEEPSEEK3,
}


def latent_decoder(keys: Keys, family: Family) -> Architecture:
    """The shape of a decoder whose every layer has latent attention, first layers dense, the others with experts."""
    count = layer_count(keys)
    routed = family.experts and keys.count(*EXPERTS) > 0
    sparse = sparse_layers(keys, count) if routed else (False,) * count
    mixture = mixture_block(keys, family) if any(sparse) else None
    dense = dense_block(keys, family) if not all(sparse) else None
    indexed = indexed_layers(keys, count)
    kinds = {each: latent_attention(keys, each) for each in dict.fromkeys(indexed)}
    layers = {
        (index, has_experts): Layer(attention=kind, feed_forward=mixture if has_experts else dense)
        for index, kind in kinds.items()
        for has_experts in (False, True)
    }
    return assemble(keys, family, tuple(layers[each] for each in zip(indexed, sparse, strict=True)))


def latent_attention(keys: Keys, indexed: bool) -> LatentAttention:
    """The attention of a layer, with its sparse indexer where it has one of its own."""
    return LatentAttention(
        num_attention_heads=keys.number(*HEADS),
        kv_lora_rank=keys.number("kv_lora_rank"),
        q_lora_rank=keys.optional("q_lora_rank") or None,
        qk_nope_head_dim=keys.number("qk_nope_head_dim"),
        qk_rope_head_dim=keys.number("qk_rope_head_dim"),
        v_head_dim=keys.number("v_head_dim"),
        index_n_heads=keys.number("index_n_heads") if indexed else None,
        index_head_dim=keys.number("index_head_dim") if indexed else None,
    )


def indexed_layers(keys: Keys, count: int) -> tuple[bool, ...]:
    """Which layers have an indexer: none without its keys, all, or every n-th (GLM-5.2, whose others share one)."""
    if not keys.optional("index_n_heads"):
        return (False,) * count
    if named := keys.words("indexer_types", count):
        return tuple(kind == "full" for kind in named)
    if shown := _pattern(keys, count):
        return shown
    every = keys.count("index_topk_freq", most=MOST_LAYERS, default=1) or 1
    offset = keys.count("index_skip_topk_offset", most=MOST_LAYERS, default=2)
    return tuple(max(index - offset + 1, 0) % every == 0 for index in range(count))


def _pattern(keys: Keys, count: int) -> tuple[bool, ...] | None:
    """`index_topk_pattern`, a letter for each layer ("FFSS…"); None without it."""
    letters = keys.text("index_topk_pattern") if isinstance(keys.config.get("index_topk_pattern"), str) else None
    if letters is None:
        return None
    if len(letters) < count:
        raise UsageError(f"index_topk_pattern in the configuration has {len(letters)} letters for {count} layers")
    return tuple(letter == "F" for letter in letters[:count])
