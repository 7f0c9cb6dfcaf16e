"""Models as requirements: "70b@q4", or { model = "70b@q4", context = 32768 }; and the codes of findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gpucheck.assess.requirements.values import FLAG, POSITIVE, Kind, Parsed, count, joined, unclear, words
from gpucheck.errors import UnknownNameError, UsageError

_EXPECTED = 'a model, such as "70b@q4" or { model = "70b@q4", context = 32768 }'
_MOST, _LONGEST = 64, 4096


class Workload(Struct, frozen=True):
    """A model that is to fit; None takes what the file or the command says for all, or the default."""

    model: str
    engine: str | None = None
    context: int | None = None
    batch: int | None = None
    allow_offload: bool | None = None
    min_tok_s: float | None = None

    @property
    def text(self) -> str:
        """Such as "70b@q4 fits (vllm, 32,768 tokens)"."""
        parts = [
            self.engine or "",
            f"{self.context:,} tokens" if self.context is not None else "",
            f"{self.batch} at once" if self.batch is not None else "",
            "with a part on the CPU if need be" if self.allow_offload else "",
        ]
        told = ", ".join(part for part in parts if part)
        speed = f" at {self.min_tok_s:g} tokens/s or more" if self.min_tok_s else ""
        return f"{self.model} fits{f' ({told})' if told else ''}{speed}"


def _engine(raw: object) -> Parsed:
    from gpucheck.estimators.setting import make_setting

    if not isinstance(raw, str):
        raise unclear("the name of an engine, such as llama.cpp", raw)
    try:
        name = make_setting(8192, 1, raw.strip(), None).engine
    except UsageError as error:
        raise UsageError(f"expected the name of an engine: {error}") from None
    return name, name


ENGINE = Kind("engine", "the name of an engine, such as llama.cpp", _engine, {"type": "string"})
_FIELDS: dict[str, Callable[[object], Parsed]] = {
    "engine": _engine, "context": count(1).parse, "batch": count(1).parse, "allow_offload": FLAG.parse,
    "min_tok_s": POSITIVE.parse,
}  # fmt: skip


def _workload(raw: object) -> Workload:
    table: Mapping[Any, Any] = raw if isinstance(raw, Mapping) else {"model": raw}
    wrong = next((str(key) for key in table if key not in _FIELDS and key != "model"), None)
    if wrong is not None:
        from difflib import get_close_matches

        near = get_close_matches(wrong, [*_FIELDS, "model"], n=1)
        raise UsageError(f"expected {_EXPECTED}, not the key {wrong!r}{f': did you mean {near[0]}?' if near else ''}")
    name = table.get("model")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= _LONGEST:
        raise unclear(_EXPECTED, raw if not isinstance(raw, Mapping) else name)
    _check(name.strip())
    given = {}
    for key, value in table.items():
        if key != "model":
            try:
                given[key] = _FIELDS[key](value)[0]
            except UsageError as error:
                raise UsageError(f"{key}: {error}") from None
    return Workload(name.strip(), **given)


def _check(name: str) -> None:
    """Refuse a model that nobody knows before a machine is looked at.

    Raises:
        UsageError: it is no model, or several.
    """
    from gpucheck.models.reference import parse_reference

    try:
        parse_reference(name)
    except UnknownNameError as error:
        near = f" ({', '.join(error.candidates[:5])})" if error.candidates else ""
        raise UsageError(f"expected a model: {error}{near}") from None
    except UsageError as error:
        raise UsageError(f"expected a model: {error}") from None


def _models(raw: object) -> Parsed:
    items = list(raw) if isinstance(raw, (list, tuple)) else [raw]
    if not 0 < len(items) <= _MOST:
        raise unclear(_EXPECTED, raw)
    found = tuple(_workload(item) for item in items)
    return found, joined([one.text for one in found], all_of=True)


_ONE = {"anyOf": [{"type": "string"}, {
    "type": "object", "required": ["model"], "additionalProperties": False, "properties": {
        "model": {"type": "string"}, "engine": {"type": "string"}, "context": {"type": "integer", "minimum": 1},
        "batch": {"type": "integer", "minimum": 1}, "allow_offload": {"type": "boolean"},
        "min_tok_s": {"type": "number", "exclusiveMinimum": 0},
    },
}]}  # fmt: skip
MODELS = Kind("models", _EXPECTED, _models,
              {"anyOf": [*_ONE["anyOf"], {"type": "array", "items": _ONE, "minItems": 1}]})  # fmt: skip

_FORM = words('codes of findings, such as "GC105"', r"gc\d{3}")


def _codes(raw: object) -> Parsed:
    found = tuple(code.upper() for code in _FORM.parse(raw)[0])
    return found, ", ".join(found)


CODES = Kind("codes", _FORM.expected, _codes, _FORM.schema)
