"""Where a workload goes: one GPU, several, GPUs and CPU, or the CPU; the least spread of the best answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from gpucheck.assess.memory import EffectiveMemory, Pool
from gpucheck.estimators.rows import Estimate

Answer = Literal["yes", "tight", "partial", "no", "unknown"]
Mode = Literal["one_gpu", "several_gpus", "gpu_and_cpu", "cpu", "none"]
Need = Callable[[int], Estimate]
"""The estimate for a workload spread over so many GPUs; 0 is the CPU."""

_COMFORT = 0.95  # beyond this share of what is available, a fit is tight whatever the range says
_WORTHWHILE = 1 / 60  # of the weights: a GPU that cannot hold one layer takes no part


class Placement(Struct, frozen=True):
    """Devices by their `gpus[].index`, and how the likely need is divided over them and the host."""

    mode: Mode
    devices: tuple[int, ...] = ()
    gpu_bytes: int = 0
    host_bytes: int = 0


class Placed(Struct, frozen=True):
    """The answer for one workload.

    `available_bytes` is what `fits` was decided against: that of the placement's devices for yes and tight,
    otherwise the roomiest pool (host memory on a machine without a usable GPU); None is unknown.
    """

    fits: Answer
    placement: Placement
    estimate: Estimate
    available_bytes: int | None


def place(memory: EffectiveMemory, need: Need) -> Placed:
    """The best placement: on GPUs if they hold it, as few as give the best answer; else with help of the CPU.

    Only a missing figure that could change the answer makes it unknown. Host memory decides `yes` and `tight`
    where there is no usable GPU; elsewhere what needs the host is `partial`.
    """
    if not memory.pools:
        return _on_host(memory, need)
    held = [placed for pool in memory.pools if (placed := _on_pool(pool, need))]
    if held:
        return min(held, key=lambda placed: (placed.fits != "yes", len(placed.placement.devices)))
    return _not_on_gpus(memory, need)


def _rating(estimate: Estimate, available: int) -> Answer:
    """Whether `available` bytes hold the likely need, and the upper bound too."""
    total = estimate.total_bytes
    if total > available:
        return "no"
    return "yes" if estimate.high_bytes <= available and total <= _COMFORT * available else "tight"


def _on_host(memory: EffectiveMemory, need: Need) -> Placed:
    """The answer of a machine without a usable GPU: RAM decides."""
    estimate, available = need(0), memory.host_bytes
    if available is None:
        fits: Answer = "no" if _exceeds(estimate.total_bytes, memory.host_most_bytes) else "unknown"
        return Placed(fits, Placement("none"), estimate, None)
    fits = _rating(estimate, available)
    placement = Placement("none") if fits == "no" else Placement("cpu", host_bytes=estimate.total_bytes)
    return Placed(fits, placement, estimate, available)


def _on_pool(pool: Pool, need: Need) -> Placed | None:
    """The answer if the known devices of the pool hold it: the fewest for yes, or else those for tight."""
    tight: Placed | None = None
    room = 0
    for count, device in enumerate(pool.devices, 1):
        if device.available_bytes is None:
            break
        room += device.available_bytes
        estimate = need(count)
        fits = _rating(estimate, room)
        if fits == "no" or (fits == "tight" and tight):
            continue
        indexes = tuple(used.index for used in pool.devices[:count])
        mode: Mode = "one_gpu" if count == 1 else "several_gpus"
        placed = Placed(fits, Placement(mode, indexes, gpu_bytes=estimate.total_bytes), estimate, room)
        if fits == "yes":
            return placed
        tight = placed
    return tight


def _not_on_gpus(memory: EffectiveMemory, need: Need) -> Placed:
    """The answer where the known memory of no pool suffices."""
    available = memory.deciding_bytes
    if any(_could_hold(pool, need) for pool in memory.pools):
        return Placed("unknown", Placement("none"), need(1), None)
    divided = [placed for pool in memory.pools if (placed := _divided(pool, memory, need))]
    if divided:
        return max(divided, key=lambda placed: placed.placement.gpu_bytes)
    on_cpu = need(0)
    if memory.host_bytes is not None and on_cpu.total_bytes <= memory.host_bytes:
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
    return any(need(count).total_bytes <= sum(rooms[:count]) for count in range(1, len(rooms) + 1))


def _divided(pool: Pool, memory: EffectiveMemory, need: Need) -> Placed | None:
    """Some layers on the pool's GPUs and the rest in RAM; None if that is impossible, or not worth a GPU."""
    host = memory.host_bytes
    rooms = [device.available_bytes for device in pool.devices if device.available_bytes is not None]
    if host is None or not rooms:
        return None
    least = need(1).weights_bytes * _WORTHWHILE
    count = sum(room >= _per_device(need) + least for room in rooms)
    if not count:
        return None
    room, estimate = sum(rooms[:count]), need(count)
    shared = pool.kind == "shared"
    total = estimate.total_bytes + (0 if shared else need(0).overhead_bytes)
    if total > (max(host, room) if shared else room + host):
        return None
    indexes = tuple(device.index for device in pool.devices[:count])
    on_gpu = min(room, estimate.total_bytes)
    placement = Placement("gpu_and_cpu", indexes, gpu_bytes=on_gpu, host_bytes=estimate.total_bytes - on_gpu)
    return Placed("partial", placement, estimate, pool.known_bytes)


def _per_device(need: Need) -> int:
    """What a GPU holds before the first layer: its context and its compute buffer."""
    estimate = need(1)
    return estimate.compute_bytes + estimate.overhead_bytes


def _exceeds(total: int, most: int | None) -> bool:
    return most is not None and total > most
