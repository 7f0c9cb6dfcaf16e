"""Whole layers laid over devices: what llama.cpp's split can do, which sums of memory cannot tell."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from msgspec import Struct

from gpucheck.estimators.parts import Parts

_SHARES = 64  # steps of the share that devices are filled to


class Split(Struct, frozen=True, gc=False):
    """Layers for each device, in the devices' order: the last ones of the `total` that the model has.

    `experts_on_host` counts the first layers whose experts stay in memory of the host although the rest of the layer
    is on a GPU. `gpu_bytes` is what lies on the GPUs together.
    """

    layers: tuple[int, ...]
    total: int
    experts_on_host: int
    gpu_bytes: int


def whole(rooms: Sequence[int], parts: Parts) -> Split | None:
    """All layers and the head over devices of these rooms, or None if some layer finds no place.

    Every device is filled to about the same share, so that what an estimate is short of finds room on each.
    """
    low, high = 0, _SHARES
    if not (best := _shared(rooms, parts, high)):
        return None
    while len(rooms) > 1 and high - low > 1:
        middle = (low + high) // 2
        if found := _shared(rooms, parts, middle):
            best, high = found, middle
        else:
            low = middle
    return best


def _shared(rooms: Sequence[int], parts: Parts, share: int) -> Split | None:
    less = [room * share // _SHARES for room in rooms]
    return _laid(less, parts, 0, 0, parts.experts_on_host)


def most(rooms: Sequence[int], parts: Parts) -> Split | None:
    """The head and as many of the last layers on the devices as they take; None if that is not one.

    Experts leave first: a mixture of experts keeps all attention on the GPUs and the experts of its first layers on
    the host, which costs less speed than whole layers do.
    """
    count, capacity = len(parts.layer_bytes), _capacity(rooms, parts)
    over = parts.ends[-1] - capacity  # so much at the least finds no place
    if parts.expert_ends[-1]:
        fewest = max(bisect_left(parts.expert_ends, over), 1)
        if split := _fewest(fewest, count, lambda shed: _shed(rooms, parts, shed)):
            return split
    left = max(bisect_left(parts.ends, over), 1)
    return _fewest(left, count - 1, lambda first: _laid(rooms, parts, first, 0, 0))


def _capacity(rooms: Sequence[int], parts: Parts) -> int:
    """What the devices hold of layers at the most, if these could be cut."""
    several = parts.more_of_several_bytes if len(rooms) > 1 else 0
    return sum(rooms) - len(rooms) * (parts.device_bytes + several) - parts.first_bytes - parts.head_bytes


def _fewest(low: int, high: int, lay: Callable[[int], Split | None]) -> Split | None:
    """The split for the least number from `low` to `high` that has one; the larger ones then have one as well.

    Whole layers waste little, so that it is near the bound: steps upwards that double, then halves.
    """
    step, at = 1, low
    while at <= high and not (found := lay(at)):
        low, at = at + 1, high if at < high < at + step else at + step
        step *= 2
    if at > high:
        return None
    while low < at:
        middle = (low + at) // 2
        if better := lay(middle):
            found, at = better, middle
        else:
            low = middle + 1
    return found


def _shed(rooms: Sequence[int], parts: Parts, count: int) -> Split | None:
    return _laid(rooms, parts, 0, count, count)


def _laid(rooms: Sequence[int], parts: Parts, first: int, shed: int, experts_on_host: int) -> Split | None:
    """The layers from `first` on over the devices in their order, each filled as far as it goes; the head is last.

    The experts of the first `shed` layers are left out.
    """
    several = parts.more_of_several_bytes if len(rooms) > 1 else 0
    index, laid, used, left = first, _until(parts, first, shed), 0, 0
    placed = []
    for place, room in enumerate(rooms):
        beside = parts.device_bytes + several + (0 if place else parts.first_bytes)
        if beside > room:
            return None
        start, before = index, laid
        index = _reach(parts, laid + room - beside, index, shed)
        laid = _until(parts, index, shed)
        placed.append(index - start)
        used += laid - before + beside
        left = room - beside - (laid - before)
    count = len(parts.layer_bytes)
    if index < count or left < parts.head_bytes:
        return None
    return Split(tuple(placed), parts.total_layers or count, experts_on_host, used + parts.head_bytes)


def _until(parts: Parts, index: int, shed: int) -> int:
    """Bytes of the layers before `index`."""
    return parts.ends_without_experts[index] if index <= shed else parts.ends[index] - parts.expert_ends[shed]


def _reach(parts: Parts, limit: int, index: int, shed: int) -> int:
    """The last layer, from `index` on, that so many bytes reach the beginning of."""
    if index <= shed and limit < parts.ends_without_experts[shed]:
        return bisect_right(parts.ends_without_experts, limit, index, shed + 1) - 1
    return bisect_right(parts.ends, limit + parts.expert_ends[shed], max(index, shed)) - 1
