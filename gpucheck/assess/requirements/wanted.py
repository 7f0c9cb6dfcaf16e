"""From values by key to requirements, with every mistake found at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.assess.requirements.outcome import Place
from gpucheck.assess.requirements.vocabulary import VOCABULARY, Key
from gpucheck.errors import UsageError

ANY = "any"
Path = tuple[str | int, ...]
"""Where a value stands: ("any", 0, "min_vram")."""

_LEAST_DEMAND = "expected at least one requirement"
_MOST_GROUPS = 64


class Wanted(Struct, frozen=True):
    """One requirement: its key, the parsed value, the value in words, and where it was written.

    Of the key "any" the value is the alternatives, each a tuple of requirements. A setting that changes what others
    mean is in their values already.
    """

    key: str
    value: Any
    text: str
    place: Place | None = None


class Problem(Struct, frozen=True):
    """A mistake: where it stands, and what was expected there."""

    path: Path
    message: str


Places = Callable[[Path], Place | None]


def wanted_of(
    values: Mapping[str, Any], problems: list[Problem], places: Places, path: Path = ()
) -> tuple[Wanted, ...]:
    """The requirements that a table demands, in its order; what is wrong with it is added to `problems`.

    A value of None is a key that was not given.
    """
    parsed: dict[str, tuple[Any, str]] = {}
    groups: Wanted | None = None
    for name, raw in values.items():
        here = (*path, name)
        if raw is None:
            continue
        if name == ANY and not path:
            groups = _groups(raw, problems, places, here)
            continue
        key = VOCABULARY.get(name)
        if key is None:
            problems.append(Problem(here, unknown_key(name)))
            continue
        try:
            parsed[name] = key.kind.parse(raw)
        except UsageError as error:
            problems.append(Problem((*here, *_element(key, raw)), str(error)))
    demands = _demands(parsed, places, path)
    return (*demands, *((groups,) if groups else ()))


def _element(key: Key, raw: object) -> tuple[int, ...]:
    """Which element of a list is the wrong one; nothing where it is the whole."""
    if not key.many or not isinstance(raw, (list, tuple)):
        return ()
    for index, one in enumerate(raw):
        try:
            key.kind.parse([one])
        except UsageError:
            return (index,)
    return ()


def unknown_key(name: str) -> str:
    """What to say of a key that is none, with the nearest one."""
    from difflib import get_close_matches

    plain = name.strip().lower().replace("-", "_")[:60]
    near = [plain] if plain in VOCABULARY else get_close_matches(plain, [*VOCABULARY, ANY], n=1, cutoff=0.5)
    shown = "".join(char if char.isprintable() else "?" for char in name[:60])
    hint = f": did you mean {near[0]}?" if near else ": gpucheck schema requirements lists all"
    return f"expected a key of the vocabulary, not {shown!r}{hint}"


def _demands(parsed: Mapping[str, tuple[Any, str]], places: Places, path: Path) -> list[Wanted]:
    """The requirements among the keys, with the settings put into them."""
    found: list[Wanted] = []
    for name, (value, text) in parsed.items():
        key = VOCABULARY[name]
        place = places((*path, name))
        if key.subject == "setting" or (value is False and key.kind.name == "flag"):
            continue
        if key.subject == "model":
            each = _workloads(value, parsed)
            found += [Wanted(name, one, one.text, places((*path, name, at))) for at, one in enumerate(each)]
        elif name == "framework":
            found += [Wanted(name, one, one.text, places((*path, name, at))) for at, one in enumerate(value)]
        elif key.subject == "findings":
            ignored, words = parsed.get("ignore_findings", ((), ""))
            worse = "" if value == "error" else " or worse"
            beside = f", apart from {words}" if ignored else ""
            found.append(Wanted(name, (value, ignored), f"no {value}{worse}{beside}", place))
        else:
            found.append(Wanted(name, value, text, place))
    return found


_FIELDS = ("engine", "context", "batch", "allow_offload", "min_tok_s")


def _workloads(value: Sequence[Any], parsed: Mapping[str, tuple[Any, str]]) -> list[Any]:
    common = {name: parsed[name][0] for name in _FIELDS if name in parsed}
    return [
        replace(one, **{name: given for name, given in common.items() if getattr(one, name) is None}) for one in value
    ]


def _groups(raw: object, problems: list[Problem], places: Places, path: Path) -> Wanted | None:
    """The alternatives of "any of": a list of tables."""
    if not isinstance(raw, (list, tuple)) or not 0 < len(raw) <= _MOST_GROUPS:
        problems.append(Problem(path, "expected a list of tables, [[any]], of which one must hold"))
        return None
    groups = []
    for index, table in enumerate(raw):
        here = (*path, index)
        if not isinstance(table, Mapping):
            problems.append(Problem(here, "expected a table of requirements"))
            continue
        before = len(problems)
        group = wanted_of(table, problems, places, here)
        if not group and len(problems) == before:
            problems.append(Problem(here, _LEAST_DEMAND))
        groups.append(group)
    text = " or ".join(f"({', '.join(map(in_short, group))})" for group in groups)
    return Wanted(ANY, tuple(groups), text, places(path))


def in_short(wanted: Wanted) -> str:
    """A requirement in a few words: "min_vram 24 GiB"."""
    return f"{wanted.key} {wanted.text}"


def from_arguments(values: Mapping[str, Any]) -> tuple[Wanted, ...]:
    """The requirements of options or of keyword arguments.

    Raises:
        UsageError: a key or a value is wrong; the message names each.
    """
    problems: list[Problem] = []
    found = wanted_of(values, problems, lambda _: None)
    if problems:
        raise UsageError("; ".join(f"{dotted(problem.path)}: {problem.message}" for problem in problems))
    return found


def dotted(path: Path) -> str:
    """A path as it is said: any[1].min_vram."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = "".join(char if char.isprintable() else "?" for char in part[:60])
            text += f".{shown}" if text else shown
    return text
