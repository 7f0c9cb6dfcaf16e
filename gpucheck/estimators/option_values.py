"""Values of engines' options that may be text, as a command line gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpucheck.errors import UsageError


def choice(known: tuple[str, ...], more: Mapping[str, str] | None = None) -> Callable[[str, object], object]:
    """A reader of one of the known words; `more` are other ways to say some of them.

    It raises UsageError for any other.
    """

    def parse(name: str, value: object) -> str:
        text = str(value).strip().lower()
        text = (more or {}).get(text, text)
        if text not in known:
            raise UsageError(f"{name} is one of {', '.join(known)}, not {value!r}")
        return text

    return parse


def flag(name: str, value: object) -> bool:
    """True or false, also as 1 and 0.

    Raises:
        UsageError: it is none of them.
    """
    text = str(value).strip().lower()
    if text not in {"true", "false", "1", "0"}:
        raise UsageError(f"{name} is true or false, not {value!r}")
    return text in {"true", "1"}
