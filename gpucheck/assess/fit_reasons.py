"""Why a workload fits or does not, in sentences with figures."""

from __future__ import annotations

from collections.abc import Iterable

from gpucheck.assess.memory import EffectiveMemory
from gpucheck.assess.placement import Placed
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import format_bytes


def reasons_of(machine: Machine, memory: EffectiveMemory, placed: Placed) -> tuple[str, ...]:
    """The need against the offer first, then what kept other devices out."""
    estimate = placed.estimate
    need = (
        f"needs about {format_bytes(estimate.total_bytes)} "
        f"({format_bytes(estimate.low_bytes)} to {format_bytes(estimate.high_bytes)})"
    )
    sentences = [need, _offer(memory, placed)]
    if placed.fits == "tight":
        sentences.append("the likely need fits, but not with room to spare for a larger model of this size")
    if machine.gpus and not memory.pools:
        sentences.append(f"no GPU is usable: {_listed(_why_unusable(gpu) for gpu in machine.gpus)}")
    if silent := [device.index for pool in memory.pools for device in pool.devices if device.available_bytes is None]:
        sentences.append(f"{_gpus(silent)}: available memory is unknown")
    if sum(pool.kind == "mig" for pool in memory.pools) > 1:
        sentences.append("a process can use one MIG device only: their memory is not added up")
    return tuple(sentences)


def _offer(memory: EffectiveMemory, placed: Placed) -> str:
    """What the placement uses, or what was tried in vain."""
    placement = placed.placement
    host = "unknown" if memory.host_bytes is None else format_bytes(memory.host_bytes)
    where = _gpus(placement.devices) if placement.devices else ""
    available = "unknown" if placed.available_bytes is None else format_bytes(placed.available_bytes)
    match placement.mode:
        case "one_gpu" | "several_gpus" if placement.host_bytes:
            on_gpu, on_host = format_bytes(placement.gpu_bytes), format_bytes(placement.host_bytes)
            return f"{on_gpu} on {where} ({available} available), {on_host} in RAM ({host} available)"
        case "one_gpu":
            return f"{where} has {available} available"
        case "several_gpus":
            return f"{where} have {available} available together"
        case "gpu_and_cpu":
            on_gpu, on_host = format_bytes(placement.gpu_bytes), format_bytes(placement.host_bytes)
            return f"{on_gpu} on {where}, {on_host} in RAM ({host} available)"
        case "cpu" if memory.pools and placed.fits == "partial":
            return f"the GPU cannot hold a useful part of it; RAM has {host} available"
        case "cpu":
            return f"RAM has {host} available"
        case "none":
            if not memory.pools:
                return f"RAM available: {host}"
            return f"GPU memory available: {available}; RAM available: {host}"


def _why_unusable(gpu: Gpu) -> str:
    """The first thing that keeps a process off the GPU."""
    if gpu.state != "ok":
        why = f"is in state {gpu.state}"
    elif not gpu.visible:
        why = f"is hidden by {gpu.hidden_by}" if gpu.hidden_by else "is hidden"
    elif gpu.compute_mode == "prohibited":
        why = "is in compute mode prohibited"
    else:
        why = "has MIG enabled, and only its MIG devices can be used"
    return f"GPU {gpu.index} {why}"


def _gpus(indexes: Iterable[int]) -> str:
    """The GPUs by their numbers: "GPU 0", "GPUs 0, 1 and 3" or "GPUs 0–3"."""
    numbers = sorted(indexes)
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"GPUs {numbers[0]}–{numbers[-1]}"
    return f"GPU {numbers[0]}" if len(numbers) == 1 else f"GPUs {_listed(map(str, numbers))}"


def _listed(words: Iterable[str]) -> str:
    """Words with commas, and "and" before the last."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last
