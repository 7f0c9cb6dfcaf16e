"""The best GPUs of those that suit: see `choose`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gpucheck.assess.category import RANK
from gpucheck.assess.pick_wish import Prefer, Wish, free_bytes
from gpucheck.machine.types import Gpu

_NOT_MUCH_LESS = 0.9


def choose(suitable: Sequence[Gpu], wish: Wish) -> list[Gpu] | None:
    """The best set of that many, in order; None if there is none."""
    ranked = sorted(suitable, key=lambda gpu: _rank(gpu, wish.prefer))
    place = {gpu.index: number for number, gpu in enumerate(ranked)}
    makers = _grouped([gpu for gpu in ranked if gpu.kind != "mig"], lambda gpu: gpu.vendor)
    count = wish.count
    if count is None:
        count = max((len(cards) for cards in makers), default=min(len(ranked), 1))
    if count == 1:
        return ranked[:1] or None
    plain = [cards[:count] for cards in makers if 0 < count <= len(cards)]
    if not plain:
        return None

    def places(cards: Sequence[Gpu]) -> list[int]:
        return [place[gpu.index] for gpu in cards]

    freest = min(plain, key=lambda cards: (-_least(cards) if wish.prefer == "free" else 0, places(cards)))
    alike = [like for cards in makers for like in _grouped(cards, _likeness) if len(like) >= count]
    sets = [*plain, *(like[:count] for like in alike), *filter(None, (_linked(like, count) for like in alike))]
    near = [cards for cards in sets if _least(cards) >= _NOT_MUCH_LESS * _least(freest)]
    return min(near, key=lambda cards: (not is_alike(cards), not is_linked(cards), places(cards)))


def _rank(gpu: Gpu, prefer: Prefer) -> tuple[int, ...]:
    free = -(free_bytes(gpu) or 0)
    category = RANK.index(gpu.category.name) if gpu.category else len(RANK)
    strength = (category, -(gpu.bandwidth_bytes_per_s or 0))
    return (free, *strength, gpu.index) if prefer == "free" else (*strength, free, gpu.index)


def _grouped(cards: Iterable[Gpu], key: Callable[[Gpu], object]) -> list[list[Gpu]]:
    """The cards in groups of equal key, in their order."""
    groups: dict[object, list[Gpu]] = {}
    for gpu in cards:
        groups.setdefault(key(gpu), []).append(gpu)
    return list(groups.values())


def _likeness(gpu: Gpu) -> object:
    return gpu.vendor, gpu.catalogue_id or gpu.name, gpu.memory.total_bytes


def _least(cards: Iterable[Gpu]) -> int:
    """The room of the fullest."""
    return min(free_bytes(gpu) or 0 for gpu in cards)


def is_alike(cards: Iterable[Gpu]) -> bool:
    """Whether all are one product with the same memory."""
    return len({_likeness(gpu) for gpu in cards}) == 1


def _peers(gpu: Gpu) -> set[int]:
    return {*gpu.nvlink.peers, *gpu.xgmi.peers}


def is_linked(cards: Sequence[Gpu]) -> bool:
    """Whether each reaches every other over NVLink or XGMI."""
    every = {gpu.index for gpu in cards}
    return len(cards) > 1 and all(every - {gpu.index} <= _peers(gpu) for gpu in cards)


def _linked(ranked: Sequence[Gpu], count: int) -> list[Gpu] | None:
    """The first set of cards that all reach each other, built from each card in turn by adding the next that does."""
    for seed in ranked:
        taken = [seed]
        for other in ranked:
            if other is not seed and all(other.index in _peers(one) and one.index in _peers(other) for one in taken):
                taken.append(other)
            if len(taken) == count:
                chosen = {gpu.index for gpu in taken}
                return [gpu for gpu in ranked if gpu.index in chosen]
    return None
