"""How transformers runs a model: the options that its memory depends on, by their own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from gpucheck.errors import UsageError

VERSION = "5.24"
"""The release whose modelling code the formulas describe."""

_ATTENTION = ("sdpa", "flash_attention_2", "eager")
_CACHES = ("dynamic", "static")


class TransformersOptions(Struct, frozen=True, kw_only=True):
    """`prompt_tokens` None is the whole context; `kernels` are those of mamba-ssm, causal-conv1d and fla."""

    prompt_tokens: int | None = None
    attn_implementation: str = "sdpa"
    cache_implementation: str = "dynamic"
    kernels: bool = False


def parse_options(given: Mapping[str, object]) -> TransformersOptions:
    """The options given by name, as text or as values.

    Raises:
        UsageError: an option is not known, or its value is none of those that it takes.
    """
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in TransformersOptions.__struct_fields__:
            known = ", ".join(TransformersOptions.__struct_fields__)
            raise UsageError(f"{name!r} is not an option of transformers that gpucheck knows. Known: {known}")
        values[name] = _PARSERS[name](name, value)
    return msgspec.convert(values, TransformersOptions)


def assumptions(options: TransformersOptions, given: Mapping[str, object], context: int) -> tuple[str, ...]:
    """What was not said, with the value that it has."""
    said = set(given)
    prompt = context if options.prompt_tokens is None else options.prompt_tokens
    sentences = {
        "prompt_tokens": f"a prompt of {prompt:,} tokens read at once",
        "attn_implementation": "attn_implementation sdpa, which keeps no table of scores",
        "cache_implementation": "a dynamic cache in the type of the model",
    }
    shown = [sentence for name, sentence in sentences.items() if name not in said]
    return (f"transformers {VERSION}, logits of the last token only", *shown)


def _count(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        number = int(str(value))
    except ValueError:
        raise UsageError(f"{name} is a number of tokens, not {value!r}") from None
    if number < 1:
        raise UsageError(f"{name} is counted from 1")
    return number


def _choice(known: tuple[str, ...]) -> Callable[[str, object], object]:
    def parse(name: str, value: object) -> str:
        text = str(value).lower()
        if text not in known:
            raise UsageError(f"{name} is one of {', '.join(known)}, not {value!r}")
        return text

    return parse


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in {"true", "false", "1", "0"}:
        raise UsageError(f"{name} is true or false, not {value!r}")
    return text in {"true", "1"}


_PARSERS: dict[str, Callable[[str, object], object]] = {
    "prompt_tokens": _count,
    "attn_implementation": _choice(_ATTENTION),
    "cache_implementation": _choice(_CACHES),
    "kernels": _flag,
}
