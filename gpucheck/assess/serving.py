"""Where vLLM puts a model: on the fewest GPUs that hold it, and what its pool of blocks then holds.

vLLM keeps nothing on the CPU unless an option says so, every GPU of a group holds the same share, and it takes a share
of each GPU (`gpu_memory_utilization`) whether the model needs it or not.
"""

from __future__ import annotations

from gpucheck.assess.memory import EffectiveMemory, Pool
from gpucheck.assess.placement import Answer, Mode, Placed, Placement
from gpucheck.assess.workload import Workload
from gpucheck.errors import UsageError
from gpucheck.estimators.rows import Estimate
from gpucheck.estimators.serving import Serving
from gpucheck.estimators.vllm.estimate import estimate_vllm, serving
from gpucheck.estimators.vllm.options import parse_options

_GPUS = (1, 2, 4, 8, 16)  # that tensors are shared over; further ones come as stages


def place_vllm(memory: EffectiveMemory, workload: Workload) -> Placed:
    """The fewest GPUs of one pool whose share holds all; `no` without any that do, or without a GPU.

    Raises:
        UsageError: an option is not vLLM's, or it cannot run the format or the model.
    """
    found: Placed | None = None
    for pool in memory.pools:
        placed = _on_pool(pool, workload)
        if placed and (found is None or (found.fits, placed.fits) == ("tight", "yes")):
            found = placed
    if found is not None:
        return found
    unknown = any(device.available_bytes is None for pool in memory.pools for device in pool.devices)
    answer: Answer = "unknown" if unknown else "no"
    return Placed(answer, Placement("none"), _estimate(workload, 1, None), memory.deciding_bytes)


def serving_of(memory: EffectiveMemory, workload: Workload, placed: Placed) -> Serving | None:
    """What the pool holds on the devices of a placement; None where it is not on GPUs."""
    devices = placed.placement.devices
    if not devices:
        return None
    rooms = _rooms(memory, devices)
    return serving(workload.reference.model, workload.quant, workload.setting, len(devices), min(rooms))


def _rooms(memory: EffectiveMemory, devices: tuple[int, ...]) -> list[int]:
    every = [device for pool in memory.pools for device in pool.devices if device.index in devices]
    return [device.available_bytes for device in every if device.available_bytes is not None]


def _on_pool(pool: Pool, workload: Workload) -> Placed | None:
    """The answer if the known devices of the pool hold it: the fewest for yes, or else those for tight."""
    known = [device for device in pool.devices if device.available_bytes is not None]
    told = parse_options(workload.setting.given)
    named = (told.tensor_parallel_size or 0) * (told.pipeline_parallel_size or 1) * told.data_parallel_size
    tight: Placed | None = None
    for count in (named,) if named else _GPUS:
        if count > len(known):
            break
        room = min(device.available_bytes or 0 for device in known[:count])
        try:
            estimate = _estimate(workload, count, room)
        except UsageError:
            if count == 1 or named:  # the model or the options; else so many do not divide its heads
                raise
            continue
        fits = _rating(estimate, count, int(room * told.gpu_memory_utilization), room)
        if fits == "no" or (fits == "tight" and tight):
            continue
        devices = tuple(device.index for device in known[:count])
        mode: Mode = "one_gpu" if count == 1 else "several_gpus"
        sums = estimate.sums
        placed = Placed(fits, Placement(mode, devices, sums.gpu, sums.host), estimate, room * count)
        if fits == "yes":
            return placed
        tight = placed
    return tight


def _estimate(workload: Workload, gpus: int, room: int | None) -> Estimate:
    return estimate_vllm(workload.reference.model, workload.quant, workload.setting, gpus, room)


def _rating(estimate: Estimate, count: int, share: int, room: int) -> Answer:
    """Whether the share of each GPU holds its part; the device's context lies beside the share."""
    outside = [row for row in estimate.rows if "outside vLLM's share" in row.detail]
    beside, beside_high = sum(row.bytes for row in outside), sum(row.high_bytes for row in outside)
    sums = estimate.sums
    if sums.gpu - beside > share * count or sums.gpu > room * count:
        return "no"
    return "yes" if sums.gpu_high - beside_high <= share * count and sums.gpu_high <= room * count else "tight"
