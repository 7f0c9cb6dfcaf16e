"""References to models as users type them: a size, and a quantization behind an @ ("70b@q4")."""

from __future__ import annotations

import re

from msgspec import Struct

from gpucheck.errors import UnknownNameError, UsageError
from gpucheck.models.quantization import find_quantization
from gpucheck.models.size import ModelSize, parse_size

_USUAL = ("1b", "3b", "8b", "14b", "32b", "70b")
_SIZE_INSIDE = re.compile(
    r"(?<![\w.])(?:\d{1,3}x)?\d{1,4}(?:\.\d{1,3})?[bm](?:-a\d{1,4}(?:\.\d)?b)?(?![a-z0-9])", re.ASCII
)
_TYPO = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)", re.ASCII)
_LONGEST = 200


class ModelReference(Struct, frozen=True):
    """What was asked for: the size as lower-case text, the quantization if one was given, the parameters."""

    text: str
    quant: str | None
    size: ModelSize

    def __str__(self) -> str:
        """The reference as a user would type it: "70b@Q4_K_M"."""
        return self.text if self.quant is None else f"{self.text}@{self.quant}"


def parse_reference(text: str) -> ModelReference:
    """The model that `text` names, such as "7b", "70b@q4", "8x7b@Q8_0" or "30b-a3b"; case does not matter.

    Raises:
        UsageError: there is no model in `text`, a number has no unit, or the quantization is unknown.
        UnknownNameError: the model is not a size; `candidates` are the sizes that the name, or a near number,
        suggests.
    """
    name, at, quant = text.strip().partition("@")
    name = name.strip().lower()
    if not name:
        raise UsageError(f"{_shown(text)} names no model: give a size such as 8b, or 70b@q4")
    if at and not quant.strip():
        raise UsageError(f"{_shown(text)} has no quantization after the @: write {name}@q4, or {name} alone")
    size = parse_size(name)
    if size is None:
        raise _unknown(name)
    return ModelReference(name, find_quantization(quant).name if at else None, size)


def _unknown(name: str) -> UsageError | UnknownNameError:
    """The error for a name that is no size, with what the user may have meant."""
    if _TYPO.fullmatch(name):
        return UsageError(f"{_shown(name)} has no unit: write {name}b for {name} billion parameters")
    candidates = tuple(found for found in dict.fromkeys(_SIZE_INSIDE.findall(name)) if parse_size(found))
    if not candidates and (number := _TYPO.match(name)) and parse_size(f"{number[1]}b"):
        candidates = (f"{number[1]}b",)  # "7bn": a slip in the unit
    candidates = candidates or _USUAL
    return UnknownNameError(
        f"gpucheck does not know a model named {_shown(name)}; give its size, such as {candidates[0]}",
        candidates,
    )


def _shown(text: str) -> str:
    """`text` quoted, and cut where nobody would read on."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")
