"""Finding a card: by a name that a person typed, or by what a driver and the bus report of a real one."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from gpucheck.catalog.cards import Card, all_cards
from gpucheck.catalog.names import contains_run, memory_size_gib, names_laptop, ordered_tokens, tokens, vendor_of
from gpucheck.errors import AmbiguousNameError, UnknownNameError

_SHOWN_CHARACTERS = 80  # of a typed name, in an error


class Choice(Struct, frozen=True):
    """A card with the memory size meant: an index into `vram_gib`, None when the name leaves it open."""

    card: Card
    size_index: int | None


def card_named(name: str) -> Choice:
    """The one card whose tokens a typed name has, a memory size choosing among one card's sizes.

    Raises:
        AmbiguousNameError: the name is part of several cards' names ("A100"), or several carry it ("RTX 3080").
        UnknownNameError: nothing is called so; `candidates` holds near names.
    """
    wanted = tokens(name)
    choices = [Choice(card, _size_in(wanted, card)) for card in _with_tokens(wanted)]
    if not choices:
        sizes = {size for word in wanted if (size := memory_size_gib(word)) is not None}
        rest = frozenset(word for word in wanted if memory_size_gib(word) is None)
        if len(sizes) == 1 and rest:
            size = sizes.pop()
            choices = [Choice(card, card.vram_gib.index(size)) for card in _with_tokens(rest) if size in card.vram_gib]
    choices = _of_vendor(name, choices)
    if len(choices) == 1:
        return choices[0]
    cards = [choice.card for choice in choices] or cards_matching(name)
    shown = name if len(name) <= _SHOWN_CHARACTERS else name[: _SHOWN_CHARACTERS - 1] + "…"
    if len(cards) > 1:
        raise AmbiguousNameError(f"{shown!r} could be several cards", tuple(card.name for card in cards))
    if cards:
        raise AmbiguousNameError(f"{shown!r} is not a whole name", (cards[0].name,))
    raise UnknownNameError(f"no card in the catalogue is called {shown!r}", near_names(name))


def cards_matching(query: str) -> list[Card]:
    """Cards with the query's words as neighbours in one of their names, and its memory sizes anywhere in it."""
    words = ordered_tokens(query)
    sizes = frozenset(word for word in words if memory_size_gib(word) is not None)
    run = tuple(word for word in words if word not in sizes)
    return [card for card in all_cards() if words and _matches(card, run, sizes)]


def near_names(name: str) -> tuple[str, ...]:
    """Up to five catalogue names that are spelled nearly so."""
    from difflib import get_close_matches

    by_key = {" ".join(ordered_tokens(known)): card.name for card in all_cards() for known in _names(card)}
    close = get_close_matches(" ".join(ordered_tokens(name)), by_key, n=8, cutoff=0.6)
    return tuple(dict.fromkeys(by_key[key] for key in close))[:5]


def identify(
    vendor: str,
    name: str | None,
    pci_device_id: str | None,
    total_bytes: int | None,
    units: int | None = None,
) -> Choice | None:
    """The catalogue card of a detected GPU, or None. A wrong guess is worse than no data.

    Exact tokens of a driver's name and a matching memory size, then the PCI id and a matching size. Where the
    size is not known, only a name or id that belongs to one card counts. A name with a size that no card of that
    name has (an RTX 4090 rebuilt with 48 GB, an RTX 3080 of 20 GB) is no card of ours. `units` are the SMs or
    CUs that the driver counts: they tell an MI250 from an MI250X, which share a PCI id. A laptop's name is never
    a desktop card's, although some of them share ids.
    """
    cards = [card for card in all_cards() if card.vendor == vendor and _has_units(card, units)]
    if name is not None:
        wanted = tokens(name)
        named = [card for card in cards if any(tokens(known) == wanted for known in _names(card))]
        if named:
            by_id = [card for card in named if pci_device_id in card.pci_device_ids]
            return _only(by_id or named, total_bytes)
    if pci_device_id is not None:
        laptop = name is not None and names_laptop(name)
        listed = [card for card in cards if pci_device_id in card.pci_device_ids]
        return _only([card for card in listed if card.segment == "laptop" or not laptop], total_bytes)
    return None


def _has_units(card: Card, units: int | None) -> bool:
    return units is None or card.sm_cu_count is None or card.sm_cu_count == units * card.seen_as


def _only(cards: list[Card], total_bytes: int | None) -> Choice | None:
    """The single card of these that has the size; without a size, the single card."""
    if total_bytes is None:
        if len(cards) != 1:
            return None
        return Choice(cards[0], 0 if len(cards[0].vram_gib) == 1 else None)
    if len(cards) == 1 and (cards[0].shares_memory or not cards[0].vram_gib):
        return Choice(cards[0], cards[0].size_near(total_bytes))  # the size is the machine's, not the card's
    fitting = [Choice(card, index) for card in cards if (index := card.size_near(total_bytes)) is not None]
    return fitting[0] if len(fitting) == 1 else None


def _of_vendor(name: str, choices: list[Choice]) -> list[Choice]:
    """A vendor or brand word chooses among makers: there is an Apple M4 and a Tesla M4."""
    vendor = vendor_of(name)
    return [choice for choice in choices if choice.card.vendor == vendor] or choices


def _with_tokens(wanted: frozenset[str]) -> Iterable[Card]:
    return [card for card in all_cards() if any(tokens(known) == wanted for known in _names(card))]


def _names(card: Card) -> tuple[str, ...]:
    return (card.name, *card.driver_names)


def _matches(card: Card, run: tuple[str, ...], sizes: frozenset[str]) -> bool:
    nominal = {f"{size:g}gb" for size in card.vram_gib}
    return any(
        contains_run(words, run) and all(size in words or size in nominal for size in sizes)
        for words in map(ordered_tokens, _names(card))
    )


def _size_in(wanted: frozenset[str], card: Card) -> int | None:
    """Which of the card's sizes the name states: "V100-SXM2-32GB" does; the 480 GB of a GH200 are its CPU's."""
    if len(card.vram_gib) == 1:
        return 0
    stated = {memory_size_gib(word) for word in wanted}
    found = [index for index, size in enumerate(card.vram_gib) if size in stated]
    return found[0] if len(found) == 1 else None
