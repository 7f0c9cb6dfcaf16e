"""What the graphs of families do that their shapes do not say, as read in src/models/ of llama.cpp, commit 0c1e570."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.models.architecture import Architecture


class Style(Struct, frozen=True, kw_only=True):
    """What a family's graph does that its shape does not say.

    `parallel`: feed-forward and attention read the same input ("norm": the same norm, "input": each its own).
    `rope` says which layers turn queries and keys: "all", "sliding" or "none". `residual_first`: the last sum of a
    layer is written over its residual, with `both_residuals` the first, too. `late`: rows that need logits are picked
    after the last layer, not in it. `post_norm`: the only norms follow the blocks. `positions`: numbers of each
    token's position.
    """

    layer_norm: bool = False
    parallel: str = ""
    late: bool = False
    late_before_norm: bool = False
    post_norm: bool = False
    positions: int = 1
    normalize: bool = True
    router_bias: bool = False
    late_softmax: bool = False
    weight_first: bool = False
    repeats: bool = False
    whole_norm: bool = False
    rope: str = "all"
    residual_first: bool = False
    both_residuals: bool = False
    value_norm: bool = False
    state_norm: bool = True


_DEFAULT = Style()
_STYLES = {
    "cohere": Style(layer_norm=True, parallel="norm"),
    "cohere2": Style(layer_norm=True, parallel="norm", rope="sliding"),
    "phi3": Style(residual_first=True),
    "lfm2": Style(residual_first=True, both_residuals=True),
    "lfm2_moe": Style(residual_first=True, both_residuals=True, router_bias=True),
    "gpt_neox": Style(layer_norm=True, parallel="input"),
    "phi": Style(layer_norm=True, parallel="norm"),
    "falcon": Style(layer_norm=True, parallel="norm"),
    "falcon_h1": Style(state_norm=False),
    "starcoder2": Style(layer_norm=True),
    "gpt_oss": Style(late=True, late_before_norm=True, late_softmax=True, normalize=False),
    "gemma4_text": Style(late=True, value_norm=True),
    "gemma4_unified_text": Style(late=True, value_norm=True),
    "qwen3_next": Style(late=True, repeats=True),
    "qwen3_5_text": Style(late=True, positions=4),
    "qwen3_5_moe_text": Style(late=True, positions=4),
    "nemotron_h": Style(late=True, rope="none"),
    "olmo2": Style(post_norm=True, whole_norm=True),
    "olmo3": Style(post_norm=True, whole_norm=True),
    "exaone4": Style(post_norm=True),
    "olmoe": Style(normalize=False, whole_norm=True),
    "minimax_m2": Style(whole_norm=True, router_bias=True),
    "llama4_text": Style(weight_first=True, normalize=False),
    "deepseek_v2": Style(normalize=False),
    "deepseek_v3": Style(router_bias=True),
    "kimi_k2": Style(router_bias=True),
    "deepseek_v32": Style(router_bias=True),
    "glm_moe_dsa": Style(router_bias=True),
    "glm4_moe": Style(router_bias=True),
    "glm4_moe_lite": Style(router_bias=True),
    "qwen2_moe": Style(normalize=False),
    "granitemoehybrid": Style(rope="none"),
    "jamba": Style(rope="none"),
}


def known_model_types() -> frozenset[str]:
    """The families whose graph differs from Llama's in a way that their shape does not say."""
    return frozenset(_STYLES)


def style_of(architecture: Architecture) -> Style:
    """What is known of the family's graph; that of Llama for a family without an entry."""
    style = _STYLES.get(architecture.model_type, _DEFAULT)
    if architecture.norm_bias and not style.layer_norm:
        return Style(layer_norm=True)
    return style
