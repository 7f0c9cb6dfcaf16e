"""A model of the catalogue as documents show it; apart from the catalogue itself, which takes time to load."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ComponentEntry(Struct, frozen=True, kw_only=True):
    """One component of a diffusion pipeline: its name there, its class, its parameters."""

    name: str
    component_class: str
    parameters: int


class ModelEntry(Struct, frozen=True, kw_only=True):
    """One model of the catalogue, with what its shape adds up to.

    Parameters and bytes are those of the language model; `tower_parameters` are those of the parts beside it (vision,
    audio, an encoder), 0 without any and null where a part's shape is not known. `active_parameters` work on each
    token. `published_parameters` is what the safetensors files count, as huggingface.co shows it. `attention` names
    the kinds of layers that mix tokens, in the order of their appearance. `q4_k_m_bytes` is the weights of a Q4_K_M
    file, null where llama.cpp has no such files. A `pipeline` of diffusion has `components`, whose parameters add up to
    its own; `layers` are the blocks of its transformer, null for a UNet.
    """

    id: str
    family: str
    license: str | None
    total_parameters: int
    active_parameters: int
    tower_parameters: int | None
    published_parameters: int | None
    layers: int | None
    attention: tuple[str, ...]
    context: int | None
    q4_k_m_bytes: int | None
    confidence: str
    source: str
    issues: tuple[str, ...]
    kind: Literal["model", "pipeline"] = "model"
    components: tuple[ComponentEntry, ...] = ()
