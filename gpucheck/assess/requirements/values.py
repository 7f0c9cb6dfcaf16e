"""Values of requirements: what may be written, how it is read, and how it is said back to people.

A value may come from TOML, from an option (then it is text) or from Python. Each parser returns the value and the
words for it, or raises a `UsageError` that says what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gpucheck.assess.requirements.clauses import in_words, parse_clauses, version_of
from gpucheck.errors import UsageError
from gpucheck.units import parse_bytes

Parsed = tuple[Any, str]
Parser = Callable[[object], Parsed]

_AMOUNT = re.compile(r"\s*(?P<number>[\d.]+)\s*(?P<prefix>[KMGTkmgt]?)(?P<binary>[Ii]?)[Bb]?\s*", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})
_MOST = 64  # names in a list
_SHOWN = 60


class Kind(Struct, frozen=True):
    """One kind of value: its parser, what is expected in words, and its JSON schema."""

    name: str
    expected: str
    parse: Parser
    schema: Mapping[str, Any]


def unclear(expected: str, raw: object) -> UsageError:
    """The error for a value of another kind."""
    return UsageError(f"expected {expected}, not {shown(raw)}")


def shown(raw: object) -> str:
    """A value as it was written, cut to a line."""
    if isinstance(raw, bool):
        text = "true" if raw else "false"
    elif isinstance(raw, dict):
        text = "a table"
    elif isinstance(raw, (list, tuple)):
        text = "a list" if raw else "an empty list"
    else:
        text = repr(raw) if isinstance(raw, str) else str(raw)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def count(least: int) -> Kind:
    """A whole number of at least `least`."""
    expected = f"a whole number from {least} on"

    def parse(raw: object) -> Parsed:
        if isinstance(raw, str) and _WHOLE.fullmatch(raw.strip()):
            raw = int(raw)
        if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw < 10**9:
            raise unclear(expected, raw)
        return raw, f"{raw:,}"

    return Kind("number", expected, parse, {"type": "integer", "minimum": least})


def _number(raw: object) -> float | None:
    if isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()):
        return float(raw)
    plain = isinstance(raw, (int, float)) and not isinstance(raw, bool)
    return float(raw) if plain and 0 < raw < 1e9 else None  # type: ignore[operator, arg-type]


def positive(raw: object) -> Parsed:
    """A number above 0."""
    found = _number(raw)
    if not found:
        raise unclear("a number above 0", raw)
    return found, f"{found:g}"


POSITIVE = Kind("number", "a number above 0", positive, {"type": "number", "exclusiveMinimum": 0})


def _sized(raw: object, expected: str, ending: str) -> Parsed:
    """Bytes, and the amount as people write it: "24 GiB". A bare number could be bytes, GB or GiB: it is refused."""
    text = raw.strip() if isinstance(raw, str) else ""
    if ending and not text.lower().endswith(ending):
        raise unclear(expected, raw)
    text = text[: len(text) - len(ending)].strip()
    try:
        size = parse_bytes(text)
    except UsageError:
        raise unclear(expected, raw) from None
    found = _AMOUNT.fullmatch(text)
    if found is None or size <= 0:
        raise unclear(expected, raw)
    prefix = found["prefix"].upper()
    return size, f"{found['number']} {prefix}{'i' if found['binary'] and prefix else ''}B{ending}"


_SIZE = 'an amount of memory with its unit, such as "24GiB" or "24GB"'
_RATE = 'a bandwidth, such as "900GB/s"'
_UNIT = "[kKmMgGtT]?[iI]?[bB]?"
BYTES = Kind("amount", _SIZE, lambda raw: _sized(raw, _SIZE, ""),
             {"type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s*{_UNIT.replace('?', '', 1)}\s*$"})  # fmt: skip
RATE = Kind("bandwidth", _RATE, lambda raw: _sized(raw, _RATE, "/s"),
            {"type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s*{_UNIT}/[sS]\s*$"})  # fmt: skip


def _version_text(raw: object) -> str | None:
    if isinstance(raw, bool):
        return None
    return str(raw).strip() if isinstance(raw, (str, int, float)) else None


def version(example: str) -> Kind:
    """The least version; a number of TOML is read as it is written (12.4)."""
    expected = f'a version, such as "{example}"'

    def parse(raw: object) -> Parsed:
        text = _version_text(raw)
        found = version_of(text)
        if found is None or text is None or not re.fullmatch(r"\d+(?:\.\d+)*", text, re.ASCII):
            raise unclear(expected, raw)
        return found.release, text

    return Kind("version", expected, parse, {"type": ["string", "number"], "pattern": r"^\d+(\.\d+)*$"})


def clauses(example: str) -> Kind:
    """A range of versions or numbers."""
    expected = f'a version or a range, such as "{example}"'

    def parse(raw: object) -> Parsed:
        text = _version_text(raw)
        if text is None:
            raise unclear(expected, raw)
        try:
            found = parse_clauses(text)
        except UsageError:
            raise unclear(expected, raw) from None
        return found, in_words(found)

    return Kind("range", expected, parse, {"type": ["string", "number"]})


def _texts(raw: object, expected: str) -> list[str]:
    """The words of a list, or of a text with commas."""
    items = raw.split(",") if isinstance(raw, str) else list(raw) if isinstance(raw, (list, tuple)) else []
    if not 0 < len(items) <= _MOST or not all(isinstance(item, str) and item.strip() for item in items):
        raise unclear(expected, raw)
    return list(dict.fromkeys(item.strip() for item in items))


def choices(allowed: tuple[str, ...], *, several: bool = True, all_of: bool = False) -> Kind:
    """Words of a fixed set, in any case; `all_of` says how several are joined."""
    by_key = {word.lower(): word for word in allowed}
    some = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
    expected = f"{some}, or a list of them" if several else some

    def parse(raw: object) -> Parsed:
        texts = _texts(raw, expected)
        found = [by_key.get(text.lower()) for text in texts]
        wrong = next((text for text, one in zip(texts, found, strict=True) if one is None), None)
        if wrong is not None or (len(found) > 1 and not several):
            raise unclear(expected, wrong or raw)
        words = [word for word in found if word is not None]
        return (tuple(words), joined(words, all_of=all_of)) if several else (words[0], words[0])

    one = {"enum": list(allowed)}
    schema = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]} if several else one
    return Kind("choice", expected, parse, schema)


def words(expected: str, pattern: str, *, all_of: bool = False) -> Kind:
    """Words of a form, in lower case."""
    form = re.compile(pattern, re.ASCII)

    def parse(raw: object) -> Parsed:
        found = [text.lower() for text in _texts(raw, expected)]
        wrong = next((text for text in found if not form.fullmatch(text)), None)
        if wrong is not None:
            raise unclear(expected, wrong)
        return tuple(found), joined(found, all_of=all_of)

    one = {"type": "string"}
    return Kind("words", expected, parse, {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})


def joined(texts: list[str], *, all_of: bool) -> str:
    """Such as "bf16 and fp8", or "A100 or H100"."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {'and' if all_of else 'or'} {texts[-1]}"


def _flag(raw: object) -> Parsed:
    text = str(raw).strip().lower() if isinstance(raw, (bool, str)) else ""
    if text in _TRUE:
        return True, "yes"
    if text in _FALSE:
        return False, "no"
    raise unclear("true or false", raw)


FLAG = Kind("flag", "true or false", _flag, {"type": "boolean"})


def rates(names: tuple[str, ...]) -> Kind:
    """Numbers by name: a table of TOML, or "fp16=100,int8=200"."""
    expected = "numbers by data type, such as { fp16 = 100 } or fp16=100"

    def parse(raw: object) -> Parsed:
        pairs = raw if isinstance(raw, Mapping) else dict(_pairs(raw, expected))
        found = {str(name).lower(): _number(value) for name, value in pairs.items()}
        wrong = next((name for name, value in found.items() if name not in names or not value), None)
        if wrong is not None or not found:
            raise unclear(f"{expected}, of {', '.join(names)}", raw if wrong is None else wrong)
        return found, ", ".join(f"{name} {value:g} T" for name, value in found.items())

    one = {"type": "number", "exclusiveMinimum": 0}
    schema = {"type": "object", "properties": dict.fromkeys(names, one), "additionalProperties": False}
    return Kind("rates", expected, parse, schema)


def _pairs(raw: object, expected: str) -> list[tuple[str, str]]:
    found = []
    for text in _texts(raw, expected):
        name, equals, value = text.partition("=")
        if not equals:
            raise unclear(expected, raw)
        found.append((name.strip(), value.strip()))
    return found
