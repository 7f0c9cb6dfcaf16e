"""A model's shape out of its Hugging Face configuration (`config.json`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, Part
from gpucheck.models.families import encoders, gemma, linear, older, special, state_space
from gpucheck.models.families.decoder import decoder
from gpucheck.models.families.defaults import defaults_of
from gpucheck.models.families.keys import Keys
from gpucheck.models.families.latent import LATENT, latent_decoder
from gpucheck.models.families.plain import PLAIN
from gpucheck.models.families.towers import parts_of
from gpucheck.models.families.unknown import unknown_decoder

_MOST_KEYS = 5_000

Reader = Callable[[Keys], Architecture]

_READERS: dict[str, Reader] = {
    **{name: partial(decoder, family=family) for name, family in PLAIN.items()},
    **{name: partial(latent_decoder, family=family) for name, family in LATENT.items()},
    "gpt2": older.gpt2,
    "gpt_bigcode": older.gpt_bigcode,
    "gpt_neox": older.gpt_neox,
    "gptj": older.gptj,
    "gpt_neo": older.gpt_neo,
    "opt": older.opt,
    "bloom": older.bloom,
    "mpt": older.mpt,
    "falcon": older.falcon,
    "RefinedWeb": older.falcon,
    "RefinedWebModel": older.falcon,
    "stablelm": older.stablelm,
    "dbrx": older.dbrx,
    "arctic": older.arctic,
    "llama4_text": older.llama4,
    "qwen3_next": linear.qwen_next,
    "qwen3_5_text": linear.qwen_next,
    "qwen3_5_moe_text": linear.qwen_next,
    "kimi_linear": linear.kimi_linear,
    "minimax": linear.minimax,
    "minimax_text_01": linear.minimax,
    "lfm2": linear.lfm2,
    "lfm2_moe": linear.lfm2,
    "mamba": state_space.mamba,
    "falcon_mamba": state_space.mamba,
    "mamba2": state_space.mamba2,
    "falcon_h1": state_space.falcon_h1,
    "bamba": state_space.bamba,
    "granitemoehybrid": state_space.granite_hybrid,
    "jamba": state_space.jamba,
    "nemotron_h": state_space.nemotron_h,
    "gemma3n_text": gemma.gemma3n,
    "gemma4_text": gemma.gemma4,
    "gemma4_unified_text": gemma.gemma4,
    **special.READERS,
    **encoders.READERS,
}

# A configuration with a part for text: the type of that part, where it is left out.
_TEXT_TYPES = {
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text",
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen2_5_omni": "qwen2_5_omni_text",
    "qwen3_omni_moe": "qwen3_omni_moe_text",
    "llama4": "llama4_text",
    "mllama": "mllama_text_model",
    "mistral3": "mistral",
    "pixtral": "mistral",
    "llava": "llama",
    "llava_next": "llama",
    "kimi_k25": "deepseek_v3",
    "glm4v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "lfm2_vl": "lfm2",
}
_TEXT_KEYS = ("text_config", "llm_config", "language_config")
_OUTER_KEYS = ("thinker_config",)


class ConfigModel(Struct, frozen=True, kw_only=True):
    """What a configuration says: the stack of the language model, the parts beside it, and what was assumed.

    `dtype` is the type of the plain weights as the configuration spells it ("bfloat16"), None if it does not.
    """

    architecture: Architecture
    parts: tuple[Part, ...] = ()
    dtype: str | None = None
    issues: tuple[str, ...] = ()


def read_config(config: Mapping[str, Any]) -> ConfigModel:
    """The shape that a parsed `config.json` describes.

    A `model_type` that is not known, but has the keys of a plain decoder, is taken for one, and an issue says so.

    Raises:
        UsageError: a key that decides the shape is missing, of another kind, or out of bounds; the sentence names it.
    """
    if not isinstance(config, dict):
        raise UsageError("the configuration is not a group of keys")
    if len(config) > _MOST_KEYS:
        raise UsageError(f"the configuration has {len(config)} keys, which no model has")
    outer = next((part for name in _OUTER_KEYS if isinstance(part := config.get(name), dict)), config)
    text, model_type = _text_part(config, outer)
    keys = Keys(text, defaults_of(model_type))
    reader = _READERS.get(model_type)
    issues: tuple[str, ...] = ()
    if reader:
        architecture = reader(keys)
    else:
        architecture, issues = unknown_decoder(keys, model_type)
    parts, missing = parts_of(outer, architecture)
    return ConfigModel(
        architecture=architecture,
        parts=(*encoders.encoder_parts(model_type, keys), *parts),
        dtype=_dtype(config) or _dtype(text),
        issues=(*issues, *missing),
    )


def _text_part(config: Mapping[str, Any], outer: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The keys of the language model and their type; whether the head is tied may be said outside them."""
    top = Keys(outer, {})
    name = next((name for name in _TEXT_KEYS if outer.get(name) is not None), None)
    model_type = top.text("model_type") or ""
    if name is None:
        return dict(outer), _TEXT_TYPES.get(model_type, model_type)
    text = dict(top.part(name) or {})
    own = Keys(text, {}, f"{name}.").text("model_type") or _TEXT_TYPES.get(model_type, model_type)
    own = _TEXT_TYPES.get(own, own)
    for level in (outer, config):
        tied = level.get("tie_word_embeddings")
        if isinstance(tied, bool):
            text["tie_word_embeddings"] = tied
    text["model_type"] = own
    return text, own


def _dtype(config: Mapping[str, Any]) -> str | None:
    """The type of the weights; newer configurations call it `dtype`."""
    value = config.get("dtype", config.get("torch_dtype"))
    return value.removeprefix("torch.") if isinstance(value, str) and len(value) < 40 else None
