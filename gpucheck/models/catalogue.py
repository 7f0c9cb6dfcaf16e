"""The catalogue of models: one `Entry` per model, from `data/models.jsonl` (one JSON object a line).

An entry holds the keys of a Hugging Face configuration that decide the shape, and where they were read. Names are
compared as sets of words, never as substrings: "llama3.1:8b" is not a part of "llama-3.1-80b".
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gpucheck.errors import AmbiguousNameError, UnknownNameError
from gpucheck.models.architecture import Architecture
from gpucheck.models.model import Model

_DATA = os.path.join(os.path.dirname(__file__), "data", "models.jsonl")
_MOST_NEAR = 5
_SHOWN_CHARACTERS = 80  # of a typed name, in an error

_DECIMAL_UNDERSCORE = re.compile(r"(?<=\d)_(?=\d(?![^\W_]))")  # Llama-3_3 is Llama 3.3; "llama_3_8b" is not 3.8b
_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*")
_GLUED = re.compile(r"([^\W\d_]{3,})(\d[\w.]*)")  # "qwen3" is "qwen 3", but "v3", "a3b" and "r1" stay whole
_LATEST = frozenset({"latest"})  # Ollama's tag that names nothing
# Words that name how a model was tuned or stored, not which model it is.
_USUAL = frozenset({"it", "instruct", "chat", "hf", "bf16"})


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of the catalogue.

    `parameters` is the count that its publisher's safetensors files add up to, as huggingface.co shows it: with
    vision towers, layers for multi-token prediction and second copies of tied tensors where the files have them.
    None where there is none, or where it counts packed 4-bit numbers as one. `beside` is the part of it that the
    configuration does not describe and `source` names (causal masks, scales of MXFP4, an audio tower).

    `aliases` are names in Ollama's library whose words its id does not have. Confidence: A, the shape adds up to the
    count within 0.2 %; B, there is no count of this repository to compare it with.
    """

    id: str
    family: str
    confidence: Literal["A", "B"]
    source: str
    config: dict[str, Any]
    license: str | None = None
    parameters: int | None = None
    beside: int = 0
    aliases: tuple[str, ...] = ()


@cache
def catalogue() -> tuple[Entry, ...]:
    """Every entry, in the order of the file: by publisher and name. No configuration is parsed yet."""
    with open(_DATA, "rb") as handle:
        return tuple(msgspec.json.Decoder(Entry).decode_lines(handle.read()))


def find_model(name: str) -> Model:
    """The model that a typed name means: an id in any case, all the words of one, or a part that only one has.

    "llama-3.1-8b-instruct", "qwen3 30b a3b" and Ollama's "gpt-oss:20b" are names. A name that is one model's whole
    name means that model, although longer names have its words too. A publisher or a number alone names nothing.

    Raises:
        AmbiguousNameError: several models have these words; `candidates` are their ids.
        UnknownNameError: no model has them all; `candidates` are near ids, and may be empty.
    """
    exact = _by_id().get(name.strip().lower())
    if exact is not None:
        return model_of(exact.id)
    shown = name if len(name) <= _SHOWN_CHARACTERS else name[: _SHOWN_CHARACTERS - 1] + "…"
    wanted = _wanted(name)
    found = tuple(entry for entry in matching(name) if _names_it(wanted, entry))
    if not found:
        raise UnknownNameError(f"no model in the catalogue is called {shown!r}", near_names(name))
    chosen = found if len(found) == 1 else _whole(wanted, found)
    if len(chosen) > 1:
        raise AmbiguousNameError(f"{shown!r} could be several models", tuple(entry.id for entry in found))
    return model_of(chosen[0].id)


_SHAPES: dict[Architecture, Architecture] = {}  # one object for all models of a shape, which remembers estimates


@cache
def model_of(model_id: str) -> Model:
    """The model of an entry, its configuration parsed; equal calls give the same object.

    Raises:
        UnknownNameError: `model_id` is no entry's id.
    """
    from gpucheck.models.config import read_config

    entry = _by_id().get(model_id.lower())
    if entry is None:
        raise UnknownNameError(f"no model in the catalogue has the id {model_id!r}")
    read = read_config(entry.config)
    shape = read.architecture
    return Model(
        id=entry.id,
        source="catalogue",
        architecture=_SHAPES.setdefault(shape, shape),
        parts=read.parts,
        dtype=read.dtype,
        license=entry.license,
        origin=entry.source,
        issues=read.issues,
    )


def matching(query: str) -> tuple[Entry, ...]:
    """The entries with all words of `query` in their id or an alias, in the order of the file; all for no words."""
    wanted = _wanted(query)
    return tuple(entry for entry in catalogue() if any(wanted <= named for named in _names(entry.id)))


def near_names(name: str) -> tuple[str, ...]:
    """Up to five ids whose words are spelled nearly so; with or without the publisher."""
    from difflib import get_close_matches

    by_key = {
        key: entry.id for entry in catalogue() for key in (" ".join(words(entry.id)), " ".join(_name_words(entry.id)))
    }
    close = get_close_matches(" ".join(words(name)), by_key, n=_MOST_NEAR * 2, cutoff=0.6)
    return tuple(dict.fromkeys(by_key[key] for key in close))[:_MOST_NEAR]


@cache
def words(name: str) -> tuple[str, ...]:
    """The words of a name, lower-case and in order: "Qwen3-30B-A3B" is qwen, 3, 30b, a3b."""
    text = _DECIMAL_UNDERSCORE.sub(".", name.lower())
    found: list[str] = []
    for word in _WORD.findall(text):
        glued = _GLUED.fullmatch(word)
        found += glued.groups() if glued else (word,)
    return tuple(found)


def _wanted(name: str) -> frozenset[str]:
    return frozenset(words(name)) - _LATEST


def _names_it(wanted: frozenset[str], entry: Entry) -> bool:
    """Whether the words name a model at all: "deepseek", but not "5", "instruct" or "nvidia"."""
    telling = (word for word in wanted if word.isalpha() and len(word) > 1 and word not in _USUAL)
    own = frozenset[str]().union(_name_words(entry.id), *map(words, entry.aliases))
    return any(word in own for word in telling)


def _whole(wanted: frozenset[str], found: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The one whose whole name it is: first to the word, then apart from words of tuning; else all of them."""
    for left_out in (frozenset[str](), _USUAL):
        chosen = tuple(
            entry for entry in found if any(wanted - left_out == named - left_out for named in _whole_names(entry.id))
        )
        if len(chosen) == 1:
            return chosen
    return found


@cache
def _names(model_id: str) -> tuple[frozenset[str], ...]:
    """The words of the id, publisher included, and of each alias."""
    entry = _by_id()[model_id.lower()]
    return (frozenset(words(entry.id)), *(frozenset(words(alias)) for alias in entry.aliases))


@cache
def _whole_names(model_id: str) -> tuple[frozenset[str], ...]:
    """The same, and the words of the id without the publisher."""
    return (frozenset(_name_words(model_id)), *_names(model_id))


def _name_words(model_id: str) -> tuple[str, ...]:
    """The words without those of the publisher."""
    return words(model_id.rpartition("/")[2])


@cache
def _by_id() -> dict[str, Entry]:
    return {entry.id.lower(): entry for entry in catalogue()}
