"""Vision and audio towers beside a language model, with the projector that joins them.

Shapes after the modules of transformers 5.24; a kind that is not here has unknown parameters, and an issue says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from gpucheck.models.architecture import Architecture, Attention, FeedForward, Layer, Part
from gpucheck.models.families.defaults import defaults_of
from gpucheck.models.families.encoders import whisper_encoder
from gpucheck.models.families.keys import MOST_LAYERS, Keys
from gpucheck.models.tensor import TensorGroup
from gpucheck.models.tensors import tensor_groups

Extra = list[tuple[str, int, int]]  # role, row, rows

_OUTSIDE = (-1,)
_VISION_TYPES = {
    "gemma3": "siglip_vision_model",
    "gemma4": "gemma4_vision",
    "mistral3": "pixtral",
    "pixtral": "pixtral",
    "llava": "clip_vision_model",
    "llava_next": "clip_vision_model",
    "qwen2_vl": "qwen2_vl_vision",
    "qwen2_5_vl": "qwen2_5_vl_vision",
    "qwen2_5_omni_thinker": "qwen2_5_vl_vision",
    "qwen3_vl": "qwen3_vl_vision",
    "qwen3_vl_moe": "qwen3_vl_moe_vision",
    "qwen3_5": "qwen3_5_vision",
    "qwen3_5_moe": "qwen3_5_moe_vision",
    "llama4": "llama4_vision_model",
}
# The part's type as older configurations spell it: that of the whole model.
_RESPELLED = {**_VISION_TYPES, "siglip2_vision_model": "siglip_vision_model"}


def parts_of(config: Mapping[str, Any], text: Architecture) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The towers that the configuration has, and a sentence for each whose parameters are not known."""
    found: list[Part] = []
    issues: list[str] = []
    roles: tuple[tuple[str, Literal["vision", "audio"]], ...] = (
        ("vision_config", "vision"),
        ("visual", "vision"),
        ("audio_config", "audio"),
    )
    outer = Keys(config, {})
    for name, role in roles:
        inner = config.get(name)
        if not isinstance(inner, dict) or not inner:
            continue
        own = Keys(inner, {}, f"{name}.").text("model_type") or ""
        model_type = outer.text("model_type") or ""
        kind = _RESPELLED.get(own, own) if own else _VISION_TYPES.get(model_type, "") if role == "vision" else ""
        reader = _TOWERS.get(kind)
        if reader is None:
            found.append(Part(role=role, parameters=None))
            issues.append(f"the {role} tower is of a kind that is not known ({kind[:60] or 'no name'}): not counted")
            continue
        shape = reader(Keys({**inner, "model_type": kind}, defaults_of(kind), f"{name}."), text, model_type)
        parameters = sum(group.total_elements for group in tensor_groups(shape))
        found.append(Part(role=role, parameters=parameters, architecture=shape))
    return tuple(found), tuple(issues)


def _siglip(keys: Keys, text: Architecture, model_type: str) -> Architecture:
    """SigLIP, and CLIP (with a class vector, no bias in the patches, a norm before as well as after)."""
    clip = keys.text("model_type") == "clip_vision_model"
    hidden, patch = keys.number("hidden_size"), keys.number("patch_size", most=10_000)
    side = max(keys.number("image_size", most=100_000) // patch, 1)
    extra: Extra = [("v.patch_embd", patch * patch * keys.number("num_channels", most=100, default=3), hidden)]
    extra += [("v.class_embd", hidden, 1), ("v.pre_ln", hidden, 2)] if clip else [("v.patch_embd_bias", hidden, 1)]
    if model_type == "gemma3":
        extra += [("mm.input_projection", hidden, text.hidden_size), ("mm.soft_emb_norm", hidden, 1)]
    else:  # LLaVA's two layers
        extra += _two_layers(hidden, text.hidden_size, bias=True)
    return _tower(keys, hidden, extra, positions=side * side + clip, width=keys.number("intermediate_size"))


def _pixtral(keys: Keys, text: Architecture, model_type: str) -> Architecture:
    """Pixtral; Mistral Small 3.1 and later merge four patches into one before the projector."""
    hidden, patch = keys.number("hidden_size"), keys.number("patch_size", most=10_000)
    extra: Extra = [("v.patch_embd", patch * patch * keys.number("num_channels", most=100, default=3), hidden)]
    if model_type == "mistral3":
        extra += [("mm.input_norm", hidden, 1), ("mm.patch_merger", hidden * 4, hidden)]
    extra += _two_layers(hidden, text.hidden_size, bias=model_type != "mistral3")
    width = keys.number("intermediate_size")
    return _tower(keys, hidden, [*extra, ("v.pre_ln", hidden, 1)], width=width, bias=False, gated=True, final=False)


def _qwen(keys: Keys, text: Architecture, _model_type: str) -> Architecture:
    """Qwen2-VL to Qwen3.5: patches over two frames, four vectors merged into one; Qwen3-VL's DeepStack mergers."""
    kind = keys.text("model_type") or ""
    second, fifth = kind == "qwen2_vl_vision", kind == "qwen2_5_vl_vision"
    hidden = keys.number("embed_dim") if second else keys.number("hidden_size")
    out = keys.number("hidden_size") if second else keys.number("out_hidden_size", default=text.hidden_size)
    width = int(hidden * keys.ratio("mlp_ratio", 4)) if second else keys.number("intermediate_size")
    patch = keys.number("patch_size", most=10_000) ** 2 * keys.number("temporal_patch_size", most=100, default=2)
    newer = not (second or fifth)
    norm = hidden * (1 if fifth else 2)
    merged = hidden * keys.number("spatial_merge_size", most=100, default=2) ** 2
    merger = merged * merged + merged + merged * out + out
    extra: Extra = [
        ("v.patch_embd", patch * keys.number("in_channels", "in_chans", most=100, default=3), hidden),
        ("mm.merger", merger + norm, 1),
    ]
    if newer:
        extra.append(("v.patch_embd_bias", hidden, 1))
        stacked = keys.numbers("deepstack_visual_indexes", most=MOST_LAYERS)
        count = len((8, 16, 24) if stacked is None else stacked) if "qwen3_vl" in kind.split("_vision")[0] else 0
        if count:
            extra.append(("v.deepstack", merger + 2 * merged, count))
    positions = keys.number("num_position_embeddings", default=2304) if newer else 0
    return _tower(keys, hidden, extra, positions=positions, width=width, gated=fifth, norm_bias=not fifth, final=False)


def _llama4(keys: Keys, text: Architecture, _model_type: str) -> Architecture:
    """Llama 4: pixels shuffled four to one, two layers in the adapter, one in the projector."""
    hidden, patch = keys.number("hidden_size"), keys.number("patch_size", most=10_000)
    side = max(keys.number("image_size", most=100_000) // patch, 1)
    into, out = keys.number("projector_input_dim"), keys.number("projector_output_dim")
    extra: Extra = [
        ("v.patch_embd", patch * patch * keys.number("num_channels", most=100, default=3), hidden),
        ("v.class_embd", hidden, 1),
        ("v.pre_ln", hidden, 2),
        ("mm.model.mlp.1", keys.number("intermediate_size"), into),
        ("mm.model.mlp.2", out, out),
        ("mm.model.fc", keys.number("vision_output_dim"), text.hidden_size),
    ]
    return _tower(keys, hidden, extra, positions=side * side + 1, width=keys.number("intermediate_size"))


def _gemma4(keys: Keys, text: Architecture, _model_type: str) -> Architecture:
    """Gemma 4: a table of positions for rows and one for columns, four norms a layer, norms on queries and keys."""
    hidden, patch = keys.number("hidden_size"), keys.number("patch_size", most=10_000)
    size = keys.number("head_dim")
    mixer = Attention(
        num_attention_heads=keys.number("num_attention_heads"),
        num_key_value_heads=keys.number("num_key_value_heads"),
        head_dim=size,
        v_head_dim=size,
        qk_norm="head",
    )
    layer = Layer(
        attention=mixer, feed_forward=FeedForward(intermediate_size=keys.number("intermediate_size")), norms=4
    )
    extra: Extra = [
        ("v.patch_embd", 3 * patch * patch, hidden),
        ("v.position_embd", hidden, 2 * keys.number("position_embedding_size", default=10_240)),
        ("mm.input_projection", hidden, text.hidden_size),
    ]
    if keys.flag("standardize"):
        extra.append(("v.std", hidden, 2))
    return _shape(keys, hidden, layer, extra, positions=0, norm_bias=False, final=False)


def _whisper(keys: Keys, _text: Architecture, _model_type: str) -> Architecture:
    """The audio tower of Qwen2-Audio and Qwen2.5-Omni is Whisper's encoder; its projector is left out."""
    return whisper_encoder(Keys({"vocab_size": 1, **keys.config}, keys.defaults, keys.where))


def _two_layers(hidden: int, out: int, *, bias: bool) -> Extra:
    found: Extra = [("mm.1", hidden, out), ("mm.2", out, out)]
    return [*found, ("mm.1_bias", out, 1), ("mm.2_bias", out, 1)] if bias else found


def _tower(  # noqa: PLR0913 - the switches that tell towers apart
    keys: Keys,
    hidden: int,
    extra: Extra,
    *,
    width: int,
    positions: int = 0,
    bias: bool = True,
    gated: bool = False,
    norm_bias: bool | None = None,
    final: bool = True,
) -> Architecture:
    """A stack of equal layers with attention among all patches."""
    heads = keys.number("num_attention_heads", "num_heads")
    mixer = Attention(
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=max(hidden // heads, 1),
        v_head_dim=max(hidden // heads, 1),
        qkv_bias=bias,
        output_bias=bias,
    )
    block = FeedForward(intermediate_size=width, matrices=3 if gated else 2, bias=bias)
    return _shape(
        keys,
        hidden,
        Layer(attention=mixer, feed_forward=block),
        extra,
        positions=positions,
        norm_bias=bias if norm_bias is None else norm_bias,
        final=final,
    )


def _shape(  # noqa: PLR0913 - see _tower
    keys: Keys, hidden: int, layer: Layer, extra: Extra, *, positions: int, norm_bias: bool, final: bool
) -> Architecture:
    return Architecture(
        model_type=keys.text("model_type") or "unknown",
        hidden_size=hidden,
        vocab_size=0,
        layers=(layer,) * keys.number("num_hidden_layers", "depth", most=MOST_LAYERS),
        causal=False,
        head=False,
        norm_bias=norm_bias,
        final_norm=final,
        position_embeddings=positions,
        extra_tensors=tuple(TensorGroup(role, row, rows, _OUTSIDE, matrix=rows > 2) for role, row, rows in extra),
    )


_TOWERS: dict[str, Callable[[Keys, Architecture, str], Architecture]] = {
    "siglip_vision_model": _siglip,
    "clip_vision_model": _siglip,
    "pixtral": _pixtral,
    "qwen2_vl_vision": _qwen,
    "qwen2_5_vl_vision": _qwen,
    "qwen3_vl_vision": _qwen,
    "qwen3_vl_moe_vision": _qwen,
    "qwen3_5_vision": _qwen,
    "qwen3_5_moe_vision": _qwen,
    "llama4_vision_model": _llama4,
    "gemma4_vision": _gemma4,
    "qwen2_audio_encoder": _whisper,
}
