"""Pipelines of diffusion: several models that run one after the other, from `data/pipelines.jsonl`.

An entry holds the keys of each component's diffusers or transformers configuration and what diffusers' own classes
count for it (benchmarks/diffusers_oracle.py). Names are compared as sets of words, as those of the other models are.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gpucheck.errors import AmbiguousNameError, UnknownNameError
from gpucheck.models.catalogue import words
from gpucheck.models.model import Model

_DATA = os.path.join(os.path.dirname(__file__), "data", "pipelines.jsonl")

Guidance = Literal["none", "batch", "passes"]
"""Classifier-free guidance: not used, both halves in one batch, or one pass after the other."""


class Component(Struct, frozen=True, kw_only=True, rename={"kind": "class"}):
    """One model of a pipeline: its name there, its class, and its configuration.

    `linear_parameters` are those in matrices of Linear layers, which are what quantization packs; `largest_module` are
    the parameters of the largest layer, `largest_linear` those of the largest matrix. `tokens` is the length of a text
    encoder's prompt, `dtype` what the component is run in where that is not the pipeline's. `file_bytes` is the size
    of its tensors in local files, None without files.
    """

    name: str
    kind: str
    config: dict[str, Any]
    parameters: int
    linear_parameters: int
    largest_module: int
    largest_linear: int
    tokens: int = 0
    dtype: str | None = None
    file_bytes: int | None = None

    @property
    def encodes(self) -> bool:
        """Whether it reads the prompt."""
        return self.name.startswith("text_encoder")

    @property
    def denoises(self) -> bool:
        """Whether it is the transformer or UNet."""
        return self.name.startswith(("transformer", "unet"))


class Pipeline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline in the order in which its components run; height, width and frames are what it was made for."""

    id: str
    family: str
    license: str | None
    pipeline: str
    guidance: Guidance
    source: str
    height: int
    width: int
    components: tuple[Component, ...]
    aliases: tuple[str, ...] = ()
    frames: int = 1

    @property
    def parameters(self) -> int:
        """Parameters of all components together."""
        return sum(component.parameters for component in self.components)

    @property
    def text_tokens(self) -> int:
        """Tokens of the prompt that the denoiser sees: T5's or the language model's, beside CLIP's in SD3."""
        lengths = [component.tokens for component in self.components if component.encodes]
        joined = self.pipeline == "StableDiffusion3Pipeline"
        return max(lengths, default=0) + (min(lengths) if joined and len(lengths) > 1 else 0)


@cache
def pipelines() -> tuple[Pipeline, ...]:
    """Every pipeline, in the order of the file."""
    with open(_DATA, "rb") as handle:
        return tuple(msgspec.json.Decoder(Pipeline).decode_lines(handle.read()))


def matching_pipelines(query: str) -> tuple[Pipeline, ...]:
    """The pipelines with all words of `query` in their id or an alias; all for no words."""
    wanted = frozenset(words(query))
    return tuple(entry for entry in pipelines() if any(wanted <= named for named in _names(entry)))


def find_pipeline(name: str) -> Model:
    """The pipeline that a typed name means: an id, all words of one, or a part that only one has.

    Raises:
        AmbiguousNameError: several have these words; `candidates` are their ids.
        UnknownNameError: none has them all.
    """
    wanted = frozenset(words(name))
    found = tuple(entry for entry in matching_pipelines(name) if _telling(wanted))
    if not found:
        raise UnknownNameError(f"no pipeline in the catalogue is called {name[:80]!r}")
    whole = tuple(entry for entry in found if wanted in _whole_names(entry))
    chosen = whole if len(whole) == 1 else found
    if len(chosen) > 1:
        raise AmbiguousNameError(f"{name[:80]!r} could be several pipelines", tuple(entry.id for entry in found))
    return model_of_pipeline(chosen[0])


def model_of_pipeline(entry: Pipeline, path: str | None = None) -> Model:
    """The model that a pipeline is: no shape of a language model, but components."""
    return _kept(entry.id) if path is None else _model(entry, path)


@cache
def _kept(pipeline_id: str) -> Model:
    return _model(next(entry for entry in pipelines() if entry.id == pipeline_id), None)


def _model(entry: Pipeline, path: str | None) -> Model:
    return Model(
        id=entry.id,
        source="catalogue" if path is None else "checkpoint",
        license=entry.license,
        origin=entry.source,
        path=path,
        pipeline=entry,
    )


def _telling(wanted: frozenset[str]) -> bool:
    """Whether a word names a model at all, such as flux.1 or sdxl, but not 14b or dev."""
    return any(word[0].isalpha() and word not in {"dev", "xl", "base", "large", "medium", "turbo"} for word in wanted)


def _names(entry: Pipeline) -> tuple[frozenset[str], ...]:
    return (frozenset(words(entry.id)), *(frozenset(words(alias)) for alias in entry.aliases))


def _whole_names(entry: Pipeline) -> tuple[frozenset[str], ...]:
    return (frozenset(words(entry.id.rpartition("/")[2])), *_names(entry))
