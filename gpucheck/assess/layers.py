"""Whole layers laid over devices: what llama.cpp's split can do, which sums of memory cannot tell."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

from gpucheck.estimators.parts import Parts

_SHARES = 64  # steps of the share that devices are filled to


class Split(Struct, frozen=True):
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
    return _laid(less, parts.layer_bytes, parts.head_bytes, parts, parts.experts_on_host)


def most(rooms: Sequence[int], parts: Parts) -> Split | None:
    """The head and as many of the last layers on the devices as they take; None if that is not one.

    Experts leave first: a mixture of experts keeps all attention on the GPUs and the experts of its first layers on
    the host, which costs less speed than whole layers do.
    """
    if any(parts.expert_bytes) and (split := _without_experts(rooms, parts)):
        return split
    count = len(parts.layer_bytes)
    low, high = 0, count - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _laid(rooms, parts.layer_bytes[count - middle :], parts.head_bytes, parts, 0):
            low = middle
        else:
            high = middle - 1
    return _laid(rooms, parts.layer_bytes[count - low :], parts.head_bytes, parts, 0) if low else None


def _without_experts(rooms: Sequence[int], parts: Parts) -> Split | None:
    """The fewest layers whose experts stay on the host, so that everything else is on the devices."""
    low, high = 1, len(parts.layer_bytes)
    if not _shed(rooms, parts, high):
        return None
    while low < high:
        middle = (low + high) // 2
        if _shed(rooms, parts, middle):
            high = middle
        else:
            low = middle + 1
    return _shed(rooms, parts, low)


def _shed(rooms: Sequence[int], parts: Parts, count: int) -> Split | None:
    kept = [size - experts for size, experts in zip(parts.layer_bytes[:count], parts.expert_bytes, strict=False)]
    return _laid(rooms, (*kept, *parts.layer_bytes[count:]), parts.head_bytes, parts, count)


def _laid(rooms: Sequence[int], sizes: Sequence[int], head: int, parts: Parts, experts_on_host: int) -> Split | None:
    """Layers in their order over the devices in theirs, each filled as far as it goes; the head goes to the last."""
    ends = list(accumulate(sizes, initial=0))
    placed, index, used = [], 0, 0
    for place, room in enumerate(rooms):
        beside = parts.device_bytes + (0 if place else parts.first_bytes)
        beside += parts.more_of_several_bytes if len(rooms) > 1 else 0
        left, start = room - beside, index
        if left < 0:
            return None
        index = bisect_right(ends, ends[start] + left) - 1
        placed.append(index - start)
        used += ends[index] - ends[start] + beside
    if index < len(sizes) or left - (ends[index] - ends[start]) < head:
        return None
    return Split(tuple(placed), parts.total_layers or len(parts.layer_bytes), experts_on_host, used + head)
