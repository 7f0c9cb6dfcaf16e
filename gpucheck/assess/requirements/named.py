"""Cards by name: a requirement's name becomes the cards of the catalogue that it may mean."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gpucheck.assess.requirements.values import Kind, Parsed, joined, unclear
from gpucheck.errors import AmbiguousNameError, UnknownNameError, UsageError

_EXPECTED = 'the name of a card, such as "A100", or a list of names'
_MOST, _LONGEST = 64, 200


class Named(Struct, frozen=True):
    """One name: the cards of the catalogue, each with the memory in GiB where the name chooses among several sizes."""

    text: str
    cards: tuple[tuple[str, float | None], ...]


def named(text: str) -> Named:
    """The cards that a name means: the one that is called so, or all of which the name is a part.

    Raises:
        UsageError: the catalogue has none.
    """
    from gpucheck.catalog.find import card_named, cards_matching

    try:
        choice = card_named(text)
    except AmbiguousNameError:
        cards = cards_matching(text)
        if cards:
            return Named(text, tuple((card.id, None) for card in cards))
        raise UsageError(f"expected the name of a card: {text!r} could be several") from None
    except UnknownNameError as error:
        near = f"; near it: {', '.join(error.candidates)}" if error.candidates else ""
        raise UsageError(f"expected the name of a card in the catalogue, not {text!r}{near}") from None
    card, index = choice.card, choice.size_index
    size = card.vram_gib[index] if index is not None and len(card.vram_gib) > 1 else None
    return Named(text, ((card.id, size),))


def _names(raw: object) -> Parsed:
    items: list[Any] = raw.split(",") if isinstance(raw, str) else []
    if isinstance(raw, (list, tuple)):
        items = list(raw)
    texts = [item.strip() if isinstance(item, str) else "" for item in items]
    if not 0 < len(texts) <= _MOST or not all(0 < len(text) <= _LONGEST for text in texts):
        raise unclear(_EXPECTED, raw)
    return tuple(named(text) for text in texts), joined(texts, all_of=False)


_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
NAMES = Kind("names", _EXPECTED, _names, _SCHEMA)
