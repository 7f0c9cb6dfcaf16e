"""References to models as users type them, with an optional quantization behind an @ ("70b@q4").

In this order a reference is a size, a path, a name on the hub behind "hf:", an entry of the catalogue, or a model
that another program has put on this disk.
"""

from __future__ import annotations

import difflib
import os
import re

from msgspec import Struct

from gpucheck.errors import AmbiguousNameError, UnknownNameError, UsageError
from gpucheck.models.model import Model
from gpucheck.models.quantization import find_quantization
from gpucheck.models.size import ModelSize, parse_size
from gpucheck.models.untrusted import shown

_USUAL = ("1b", "3b", "8b", "14b", "32b", "70b")
_SIZE_INSIDE = re.compile(
    r"(?<![\w.])(?:\d{1,3}x)?\d{1,4}(?:\.\d{1,3})?[bm](?:-a\d{1,4}(?:\.\d)?b)?(?![a-z0-9])", re.ASCII
)
_TYPO = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)", re.ASCII)
_HUB = "hf:"
_SUFFIXES = (".gguf", ".safetensors", ".json")
_PATH_STARTS = ("/", "./", "../", "~", ".\\", "..\\", "\\")
_LONGEST_NAME = 300
_MOST_NEAR = 5


class ModelReference(Struct, frozen=True):
    """What was asked for: the text that names the model, the quantization if one was given, and the model.

    `text` is a size in lower case ("70b"), the id of a catalogue's or a store's model, or the path as it was typed.
    """

    text: str
    quant: str | None
    model: Model

    @property
    def size(self) -> ModelSize:
        """The parameters: the range behind a size, exact counts of a model whose shape is known.

        Raises:
            UsageError: neither the shape nor the size of the model is known.
        """
        if self.model.size:
            return self.model.size
        total = self.model.total_parameters
        if total is None:
            reason = self.model.issues[0] if self.model.issues else "its files do not say it"
            raise UsageError(f"the shape of {shown(self.text)} is not known: {reason}")
        return ModelSize(total, self.model.active_parameters, total, total)

    def __str__(self) -> str:
        """The reference as a user would type it: "70b@Q4_K_M"."""
        return self.text if self.quant is None else f"{self.text}@{self.quant}"


def parse_reference(text: str) -> ModelReference:
    """The model that `text` names, with the quantization behind the @ if there is one.

    Sizes are "7b", "8x7b" or "30b-a3b", in any case. A path is a file that ends in .gguf, .safetensors or .json, or
    whatever exists on this disk. Only "hf:ORG/NAME" reaches for the network.

    Raises:
        UsageError: there is no model in `text`, a number has no unit, the quantization is unknown, or the file that
            is named cannot be read or is damaged.
        UnknownNameError: no model has that name; `candidates` are near names, and the sizes that the name suggests.
        AmbiguousNameError: the name is a part of several; `candidates` are theirs.
    """
    name, quant = _split(text.strip())
    if not name:
        raise UsageError(f"{shown(text)} names no model: give a size such as 8b, or 70b@q4")
    if quant is not None and not quant.strip():
        raise UsageError(f"{shown(text)} has no quantization after the @: write {name}@q4, or {name} alone")
    named = find_quantization(quant).name if quant is not None else None
    if size := parse_size(name):
        label = name.lower()
        return ModelReference(label, named, Model(id=label, source="size", size=size))
    if _is_path(name):
        from gpucheck.models.checkpoint import local_model

        return ModelReference(name, named, local_model(os.path.expanduser(name)))
    if _TYPO.fullmatch(name):
        raise UsageError(f"{shown(name)} has no unit: write {name}b for {name} billion parameters")
    model, near = _named(name)
    if model is None:
        raise _unknown(name.lower(), near)
    return ModelReference(f"{_HUB}{model.id}" if name.lower().startswith(_HUB) else model.id, named, model)


def _split(text: str) -> tuple[str, str | None]:
    """The name and what stands behind the @; a path may have one of its own in a directory's or a file's name."""
    if _exists(text):
        return text, None
    name, at, quant = text.rpartition("@") if "/" in text or "\\" in text else text.partition("@")
    if at and ("/" in quant or "\\" in quant or quant.lower().endswith(_SUFFIXES)):
        return text, None
    if not at:
        return text, None
    return name.strip(), quant


def _is_path(name: str) -> bool:
    """Whether the text means a place on this disk, be there anything or not."""
    return name.startswith(_PATH_STARTS) or name.lower().endswith(_SUFFIXES) or _exists(os.path.expanduser(name))


def _exists(name: str) -> bool:
    try:
        return bool(name) and os.path.exists(name)
    except ValueError:  # a null byte
        return False


def _named(name: str) -> tuple[Model | None, tuple[str, ...]]:
    """The model of that name on the hub, in the catalogue or in a store; else None, and near names.

    Raises:
        AmbiguousNameError: several models of the catalogue have these words in their names, and no store has a model
            of just that name.
    """
    if name.lower().startswith(_HUB):
        from gpucheck.models.hub import hub_model

        return hub_model(name[len(_HUB) :].strip()), ()
    if len(name) > _LONGEST_NAME:
        return None, ()
    from gpucheck.models.catalogue import find_model
    from gpucheck.models.stores import find_stored

    try:
        return find_model(name), ()
    except UnknownNameError as error:  # nor is it one of several, where a store has just that name
        if found := find_stored(name):
            return found, ()
        if isinstance(error, AmbiguousNameError):
            raise
        if found := _pipeline(name):
            return found, ()
        return None, tuple(dict.fromkeys((*error.candidates, *_near(name))))


def _pipeline(name: str) -> Model | None:
    """The diffusion pipeline of that name.

    Raises:
        AmbiguousNameError: several have these words in their names.
    """
    from gpucheck.models.pipelines import find_pipeline

    try:
        return find_pipeline(name)
    except AmbiguousNameError:
        raise
    except UnknownNameError:
        return None


def _near(name: str) -> tuple[str, ...]:
    """Names in the stores that are spelt alike."""
    from gpucheck.models.stores import stored_names

    known = {stored.lower(): stored for stored in stored_names()}
    return tuple(known[each] for each in difflib.get_close_matches(name.lower(), known, _MOST_NEAR, 0.7))


def _unknown(name: str, near: tuple[str, ...]) -> UnknownNameError:
    """The error for a name that is no model's, with what the user may have meant."""
    sizes = tuple(found for found in dict.fromkeys(_SIZE_INSIDE.findall(name)) if parse_size(found))
    if not sizes and (number := _TYPO.match(name)) and parse_size(f"{number[1]}b"):
        sizes = (f"{number[1]}b",)  # "7bn": a slip in the unit
    sizes = sizes or (() if near else _USUAL)
    hint = f"did you mean {near[0]}?" if near else f"give its size, such as {sizes[0]}"
    return UnknownNameError(f"gpucheck does not know a model named {shown(name)}; {hint}", (*near, *sizes))
