"""The JSON schema of requirements files, for editors, generated from the vocabulary."""

from __future__ import annotations

import tomllib
from typing import Any

from gpucheck.assess.requirements.vocabulary import VOCABULARY, Key

_REFERENCE = {"$ref": "#/$defs/requirements"}


def requirements_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of gpucheck.toml and of the table [tool.gpucheck]."""
    keys = {key.name: _property(key) for key in VOCABULARY.values()}
    alternatives = {
        "description": "Alternatives, of which one must hold together with the requirements beside them.",
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "properties": keys, "additionalProperties": False, "minProperties": 1},
    }
    profiles = {
        "description": "Requirements by the name of a profile, added to those above.",
        "type": "object",
        "additionalProperties": _REFERENCE,
    }
    every = {"type": "object", "properties": {**keys, "any": alternatives}, "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gpucheck requirements",
        "description": "What `gpucheck require` demands of a machine: gpucheck.toml, or [tool.gpucheck].",
        "type": "object",
        "properties": {**keys, "any": alternatives, "profile": profiles},
        "additionalProperties": False,
        "$defs": {"requirements": every},
    }


def _property(key: Key) -> dict[str, Any]:
    example = tomllib.loads(f"x = {key.example}")["x"]
    return {"description": key.help, "examples": [example], **key.kind.schema}
