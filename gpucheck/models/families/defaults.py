"""What transformers puts in for a key that a configuration leaves out, by `model_type`.

The figures are the class attributes of the configuration classes of transformers 5.24 (Apache-2.0,
transformers/models/*/configuration_*.py), those that decide shapes. They matter: Gemma 3 configurations leave out
the head size, Mixtral ones the key heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

# Code that lives in checkpoints, or that transformers takes for another family.
_SAME_AS = {
    "kimi_k2": "deepseek_v3",
    "deepseek": "deepseek_v2",
    "mimo": "qwen2",
    "phi4mm": "phi4_multimodal",
    "hunyuan": "hunyuan_v1_moe",
    "grok-1": "",
    "nemotron-nas": "llama",
    "sarvam_mla": "deepseek_v3",
    "mistral4": "deepseek_v3",
    "longcat_flash": "deepseek_v3",
}


def defaults_of(model_type: str) -> Mapping[str, Any]:
    """The defaults of a family; empty for one that transformers has no configuration class for."""
    return _all().get(_SAME_AS.get(model_type, model_type), {})


@cache
def _all() -> dict[str, dict[str, Any]]:
    text = files("gpucheck.models").joinpath("data/config_defaults.jsonl").read_bytes()
    rows = (msgspec.json.decode(line, type=dict[str, Any]) for line in text.splitlines())
    return {row.pop("model_type"): row for row in rows}
