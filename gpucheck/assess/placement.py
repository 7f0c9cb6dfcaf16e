"""Where a workload goes: one GPU, several, GPUs and CPU, or the CPU; the least spread of the best answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

from msgspec import Struct

from gpucheck.assess.layers import Split, most, whole
from gpucheck.assess.memory import EffectiveMemory, Pool
from gpucheck.estimators.parts import Parts
from gpucheck.estimators.rows import Estimate

Answer = Literal["yes", "tight", "partial", "no", "unknown"]
Mode = Literal["one_gpu", "several_gpus", "gpu_and_cpu", "cpu", "none"]
Need = Callable[[int], Estimate]
"""The estimate for a workload spread over so many GPUs; 0 is the CPU."""
Divided = Callable[[int, Split], Estimate]
"""The estimate with only the layers of the split on so many GPUs."""

_COMFORT = 0.95  # beyond this share of what is available, a fit is tight whatever the range says
_WORTHWHILE = 1 / 60  # of the weights: a GPU that cannot hold one layer takes no part
_TRIES = 5
_WORSE: tuple[Answer, ...] = ("yes", "tight", "no")


class Layered(Struct, frozen=True, dict=True):
    """What a placement by whole layers goes by: the parts, and what the GPUs and the host need with some of them.

    `told`: the options say which layers the GPUs hold. What is cheaper to leave alone is worked out when it is first
    asked for.
    """

    total: int
    told: bool
    least: Callable[[], int]
    of: Callable[[], Parts]
    divided: Divided

    @cached_property
    def least_bytes(self) -> int:
        """What GPUs that hold all layers hold at the least: weights and caches alone."""
        return self.least()

    @cached_property
    def parts(self) -> Parts:
        """The bytes of layers, head and devices."""
        return self.of()


class Placement(Struct, frozen=True, gc=False):
    """Devices by their `gpus[].index`, and how the likely need is divided over them and the host.

    `layers` are those of each device of `total_layers`; empty where the engine does not split by layers or the shape
    is not known. The experts of the first `experts_on_host` layers stay in memory of the host.
    """

    mode: Mode
    devices: tuple[int, ...] = ()
    gpu_bytes: int = 0
    host_bytes: int = 0
    layers: tuple[int, ...] = ()
    total_layers: int | None = None
    experts_on_host: int = 0


class Placed(Struct, frozen=True, gc=False):
    """The answer for one workload.

    `available_bytes` is what `fits` was decided against: that of the placement's devices for yes and tight,
    otherwise the roomiest pool (host memory on a machine without a usable GPU); None is unknown.
    """

    fits: Answer
    placement: Placement
    estimate: Estimate
    available_bytes: int | None


def place(memory: EffectiveMemory, need: Need, layered: Layered | None = None) -> Placed:
    """The best placement: on GPUs if they hold it, as few as give the best answer; else with help of the CPU.

    Rows that lie on the GPU are held against GPU memory, rows of the host against RAM. Only a missing figure that
    could change the answer makes it unknown. Host memory decides `yes` and `tight` where there is no usable GPU;
    elsewhere layers or experts on the host are `partial`. With `layered` whole layers find their places; without it
    memory of several GPUs counts as one.
    """
    if not memory.pools:
        return _on_host(memory, need)
    held = [placed for pool in memory.pools if (placed := _on_pool(pool, memory, need, layered))]
    if held:
        return min(held, key=lambda placed: (placed.fits != "yes", len(placed.placement.devices)))
    return _not_on_gpus(memory, need, layered)


def _rating(total: int, high: int, available: int) -> Answer:
    """Whether `available` bytes hold the likely need, and the upper bound too."""
    if total > available:
        return "no"
    return "yes" if high <= available and total <= _COMFORT * available else "tight"


def _rating_beside(pool: Pool, memory: EffectiveMemory, estimate: Estimate, room: int) -> Answer:
    """The worse of the answers of the pool's devices and of the host, which holds what lies there."""
    sums = estimate.sums
    rated = _rating(sums.gpu, sums.gpu_high, room)
    if pool.kind == "shared":
        beside = _rating(sums.total, sums.high, max(room, memory.host_bytes or 0))
    else:
        most = memory.host_most_bytes if memory.host_bytes is None else memory.host_bytes
        beside = _rating(sums.host, sums.host_high, most) if most is not None else "yes"
    return max(rated, beside, key=_WORSE.index)


def _on_host(memory: EffectiveMemory, need: Need) -> Placed:
    """The answer of a machine without a usable GPU: RAM decides."""
    estimate, available = need(0), memory.host_bytes
    if available is None:
        fits: Answer = "no" if _exceeds(estimate.total_bytes, memory.host_most_bytes) else "unknown"
        return Placed(fits, Placement("none"), estimate, None)
    fits = _rating(estimate.total_bytes, estimate.high_bytes, available)
    placement = Placement("none") if fits == "no" else Placement("cpu", host_bytes=estimate.total_bytes)
    return Placed(fits, placement, estimate, available)


def _on_pool(pool: Pool, memory: EffectiveMemory, need: Need, layered: Layered | None) -> Placed | None:
    """The answer if the known devices of the pool hold it: the fewest for yes, or else those for tight."""
    if layered and layered.told:
        return None  # layers or experts stay on the host, as the options say
    tight: Placed | None = None
    room = 0
    for count, device in enumerate(pool.devices, 1):
        if device.available_bytes is None:
            break
        room += device.available_bytes
        if layered and layered.least_bytes > room:
            continue
        estimate = need(count)
        fits = _rating_beside(pool, memory, estimate, room)
        if fits == "no" or (fits == "tight" and tight):
            continue
        split = _whole(pool, count, layered) if layered else None
        if split is None and layered:
            continue
        mode: Mode = "one_gpu" if count == 1 else "several_gpus"
        placed = Placed(fits, _placement(mode, pool, count, estimate, split), estimate, room)
        if fits == "yes":
            return placed
        tight = placed
    return tight


def _whole(pool: Pool, count: int, layered: Layered) -> Split | None:
    """All layers over the first devices of the pool; a single one that has the room for their sum holds them."""
    if count == 1:
        return Split((layered.total,), layered.total, 0, 0)
    return whole(_rooms(pool)[:count], layered.parts)


def _rooms(pool: Pool) -> list[int]:
    """What the devices of known memory offer, in the pool's order."""
    return [device.available_bytes for device in pool.devices if device.available_bytes is not None]


def _placement(mode: Mode, pool: Pool, count: int, estimate: Estimate, split: Split | None) -> Placement:
    """The first devices of the pool, and what the estimate puts on them and on the host."""
    devices = tuple(device.index for device in pool.devices[:count])
    on_gpu, on_host = estimate.sums.gpu, estimate.sums.host
    if split is None:
        return Placement(mode, devices, on_gpu, on_host)
    return Placement(mode, devices, on_gpu, on_host, split.layers, split.total, split.experts_on_host)


def _not_on_gpus(memory: EffectiveMemory, need: Need, layered: Layered | None) -> Placed:
    """The answer where the known memory of no pool suffices."""
    available = memory.deciding_bytes
    if any(_could_hold(pool, need) for pool in memory.pools):
        return Placed("unknown", Placement("none"), need(1), None)
    divided = [placed for pool in memory.pools if (placed := _divided(pool, memory, need, layered))]
    if divided:
        return max(divided, key=lambda placed: placed.placement.gpu_bytes)
    told = layered is not None and layered.told
    if not told and memory.host_bytes is not None:
        on_cpu = need(0)
        if on_cpu.total_bytes <= memory.host_bytes:
            return Placed("partial", Placement("cpu", host_bytes=on_cpu.total_bytes), on_cpu, available)
    roomiest = max(memory.pools, key=lambda pool: pool.known_bytes)
    beside = 0 if roomiest.kind == "shared" else roomiest.known_bytes
    unknown = memory.host_bytes is None and not _exceeds(need(1).total_bytes - beside, memory.host_most_bytes)
    return Placed("unknown" if unknown else "no", Placement("none"), need(1), available)


def _could_hold(pool: Pool, need: Need) -> bool:
    """Whether the pool might hold it, if its devices of unknown memory had as much as is possible."""
    if all(device.available_bytes is not None for device in pool.devices):
        return False
    if any(device.most_bytes is None for device in pool.devices):
        return True
    rooms = sorted((device.most_bytes or 0 for device in pool.devices), reverse=True)
    return any(need(count).sums.gpu <= sum(rooms[:count]) for count in range(1, len(rooms) + 1))


def _divided(pool: Pool, memory: EffectiveMemory, need: Need, layered: Layered | None) -> Placed | None:
    """Some layers on the pool's GPUs and the rest in RAM; None if that is impossible, or not worth a GPU."""
    rooms = _rooms(pool)
    if memory.host_bytes is None or not rooms:
        return None
    if layered and layered.told:
        counts = range(1, len(rooms) + 1)
        return next((placed for count in counts if (placed := _by_layers(pool, memory, layered, count))), None)
    beside = layered.parts.device_bytes if layered else _per_device(need)
    weights = layered.least_bytes if layered else need(1).weights_bytes
    least = weights * _WORTHWHILE
    count = sum(room >= beside + least for room in rooms)
    if not count:
        return None
    return _by_layers(pool, memory, layered, count) if layered else _by_bytes(pool, memory, need, count)


def _by_layers(pool: Pool, memory: EffectiveMemory, layered: Layered, count: int) -> Placed | None:
    """As many whole layers as the devices take, or those that the options name; the rest must find room in RAM."""
    rooms, less = _rooms(pool)[:count], 0
    lay = whole if layered.told else most
    for _ in range(_TRIES):  # what a GPU borrows of the host to work on it depends on what lies there
        split = lay([room - less for room in rooms], layered.parts)
        if split is None:
            return None
        estimate = layered.divided(count, split)
        more = -(-(estimate.sums.gpu - split.gpu_bytes) // count)
        if more <= less:
            break
        less = more
    else:
        return None
    placement = _placement("gpu_and_cpu", pool, count, estimate, split)
    shared = pool.kind == "shared"
    needed = estimate.total_bytes if shared else placement.host_bytes
    assert memory.host_bytes is not None
    if needed > (max(memory.host_bytes, sum(rooms)) if shared else memory.host_bytes):
        return None
    return Placed("partial", placement, estimate, pool.known_bytes)


def _by_bytes(pool: Pool, memory: EffectiveMemory, need: Need, count: int) -> Placed | None:
    """The devices full and the rest in RAM, where nothing is known of layers."""
    room, estimate = sum(_rooms(pool)[:count]), need(count)
    shared = pool.kind == "shared"
    total = estimate.total_bytes + (0 if shared else need(0).overhead_bytes)
    host = memory.host_bytes or 0
    if total > (max(host, room) if shared else room + host):
        return None
    on_gpu = min(room, estimate.total_bytes)
    devices = tuple(device.index for device in pool.devices[:count])
    placement = Placement("gpu_and_cpu", devices, on_gpu, estimate.total_bytes - on_gpu)
    return Placed("partial", placement, estimate, pool.known_bytes)


def _per_device(need: Need) -> int:
    """What a GPU holds before the first layer: its context and its compute buffer."""
    estimate = need(1)
    return estimate.compute_bytes + estimate.overhead_bytes


def _exceeds(total: int, most: int | None) -> bool:
    return most is not None and total > most
