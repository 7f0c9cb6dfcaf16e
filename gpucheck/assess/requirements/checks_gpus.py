"""Checks of one GPU, each a pure function of the machine, the GPU and the value; and of all GPUs together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpucheck.assess.requirements.clauses import Clause, all_hold, version_of
from gpucheck.assess.requirements.named import Named
from gpucheck.assess.requirements.told import Told, judged, missing_of_gpu, of_gpu, unknown
from gpucheck.assess.requirements.vocabulary import CATEGORIES
from gpucheck.assess.words import nominal_gb, nominal_gib
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import GIB, format_bytes, format_rate

GpuCheck = Callable[[Machine, Gpu, Any], Told]

_NEAR = 0.99  # peak figures are stated, and derived, to within a percent


def vendor(_machine: Machine, gpu: Gpu, value: tuple[str, ...]) -> Told:
    """The maker."""
    return judged(gpu.vendor.lower() in value, gpu.vendor, f"gpus[{gpu.index}].vendor")


def card(_machine: Machine, gpu: Gpu, value: tuple[Named, ...]) -> Told:
    """The card: the catalogue's, or the same words in the driver's name."""
    from gpucheck.catalog.names import tokens

    source = f"gpus[{gpu.index}].name"
    if gpu.name is None and gpu.catalogue_id is None:
        return unknown("neither driver nor catalogue names it", source)
    own = tokens(gpu.name or "")
    for name in value:
        size = nominal_gib(gpu.memory.total_bytes or 0)
        if own == tokens(name.text) or any(
            gpu.catalogue_id == known and wanted in {None, size} for known, wanted in name.cards
        ):
            return judged(True, gpu.name or name.text, source)
    return judged(False, gpu.name or str(gpu.catalogue_id), source)


def category(_machine: Machine, gpu: Gpu, value: tuple[str, ...]) -> Told:
    """Exactly this category."""
    return _category(gpu, frozenset(value))


def min_category(_machine: Machine, gpu: Gpu, value: str) -> Told:
    """This category or a better one."""
    return _category(gpu, frozenset(CATEGORIES[: CATEGORIES.index(value) + 1]))


def _category(gpu: Gpu, enough: frozenset[str]) -> Told:
    source = f"gpus[{gpu.index}].category.name"
    if gpu.category is None:
        return unknown("it has no category", source)
    doubt = next((reason for reason in gpu.category.reasons if reason.startswith("not known:")), None)
    if doubt is not None and gpu.category.name not in enough:
        return unknown(doubt, source, f"{gpu.category.name}, as far as is known")
    return judged(gpu.category.name in enough, gpu.category.name, f"{source}, {gpu.category.basis}")


def min_vram(machine: Machine, gpu: Gpu, value: int) -> Told:
    """Memory as the card is sold."""
    total = gpu.memory.total_bytes
    if total is None:
        return _unknown(machine, gpu, "memory.total_bytes")
    word = "reported" if gpu.sources.get("memory.total_bytes") == "reported" else "in all"
    found = f"{nominal_gb(total)} nominal, {format_bytes(total)} {word}"
    return judged(nominal_gib(total) * GIB >= value, found, of_gpu(gpu, "memory.total_bytes"))


def min_reported_vram(machine: Machine, gpu: Gpu, value: int) -> Told:
    """Memory as it is reported."""
    total = gpu.memory.total_bytes
    if total is None:
        return _unknown(machine, gpu, "memory.total_bytes")
    return judged(total >= value, format_bytes(total), of_gpu(gpu, "memory.total_bytes"))


def min_free_vram(machine: Machine, gpu: Gpu, value: int) -> Told:
    """Memory that a process can get now; one that is smaller in all than what is asked for cannot have it free."""
    free = free_bytes(gpu)
    if free is not None:
        return judged(free >= value, f"{format_bytes(free)} free", of_gpu(gpu, "memory.usable_bytes"))
    total = gpu.memory.total_bytes
    if total is not None and total < value:
        return judged(False, f"{format_bytes(total)} in all", of_gpu(gpu, "memory.total_bytes"))
    return _unknown(machine, gpu, "memory.free_bytes")


def free_bytes(gpu: Gpu) -> int | None:
    """What one process can get of a GPU's memory now."""
    return gpu.memory.usable_bytes if gpu.memory.usable_bytes is not None else gpu.memory.free_bytes


def min_compute_capability(machine: Machine, gpu: Gpu, value: tuple[int, ...]) -> Told:
    """At least this compute capability."""
    return _capability(machine, gpu, (Clause(">=", value),))


def max_compute_capability(machine: Machine, gpu: Gpu, value: tuple[int, ...]) -> Told:
    """At most this one."""
    return _capability(machine, gpu, (Clause("<=", value),))


def compute_capability(machine: Machine, gpu: Gpu, value: tuple[Clause, ...]) -> Told:
    """Within a range."""
    return _capability(machine, gpu, value)


def _capability(machine: Machine, gpu: Gpu, clauses: tuple[Clause, ...]) -> Told:
    if gpu.vendor != "NVIDIA":
        return judged(False, f"none: it is of {gpu.vendor}", f"gpus[{gpu.index}].vendor")
    found = version_of(gpu.compute_capability)
    if found is None or gpu.compute_capability is None:
        return _unknown(machine, gpu, "compute_capability")
    return judged(all_hold(clauses, found), gpu.compute_capability, of_gpu(gpu, "compute_capability"))


def gfx(machine: Machine, gpu: Gpu, value: tuple[str, ...]) -> Told:
    """One of these gfx targets."""
    if gpu.vendor != "AMD":
        return judged(False, f"none: it is of {gpu.vendor}", f"gpus[{gpu.index}].vendor")
    if gpu.gfx_target is None:
        return _unknown(machine, gpu, "gfx_target")
    return judged(gpu.gfx_target in value, gpu.gfx_target, of_gpu(gpu, "gfx_target"))


def min_bandwidth(machine: Machine, gpu: Gpu, value: int) -> Told:
    """Bandwidth of the memory, to within a percent."""
    found = gpu.bandwidth_bytes_per_s
    if found is None:
        return _unknown(machine, gpu, "bandwidth_bytes_per_s")
    return judged(found >= value * _NEAR, format_rate(found), of_gpu(gpu, "bandwidth_bytes_per_s"))


def min_tflops(machine: Machine, gpu: Gpu, value: Mapping[str, float]) -> Told:
    """Peak rates, to within a percent, all of those that are asked for."""
    told = [_rate(machine, gpu, dtype, least) for dtype, least in value.items()]
    return max(told, key=lambda one: ("met", "unknown", "not_met").index(one.answer))


def _rate(machine: Machine, gpu: Gpu, dtype: str, least: float) -> Told:
    rate = getattr(gpu.flops, dtype)
    if rate is not None:
        return judged(rate >= least * 1e12 * _NEAR, f"{dtype} {rate / 1e12:.4g} T", of_gpu(gpu, f"flops.{dtype}"))
    if computes(gpu, dtype) is False:
        return judged(False, f"no {dtype} in hardware", f"gpus[{gpu.index}].compute_capability")
    return _unknown(machine, gpu, f"flops.{dtype}")


def dtypes(_machine: Machine, gpu: Gpu, value: tuple[str, ...]) -> Told:
    """Data types that it computes with in hardware."""
    known = {dtype: computes(gpu, dtype) for dtype in value}
    source = f"gpus[{gpu.index}].{'gfx_target' if gpu.vendor == 'AMD' else 'compute_capability'}"
    lacking = [dtype for dtype, answer in known.items() if answer is False]
    if lacking:
        return judged(False, f"no {', '.join(lacking)}", source)
    silent = [dtype for dtype, answer in known.items() if answer is None]
    if silent:
        return unknown(f"whether it computes with {', '.join(silent)} in hardware is not known", source)
    return judged(True, ", ".join(value), source)


def computes(gpu: Gpu, dtype: str) -> bool | None:
    """Whether a GPU has a data type in hardware, None where nobody knows: a rate that is known shows it."""
    if getattr(gpu.flops, dtype) is not None:
        return True
    from gpucheck.assess.requirements.datatypes import has_type

    return has_type(gpu, dtype)


def nvlink(machine: Machine, gpu: Gpu, _value: bool) -> Told:
    """A link that is up. NVML tells of a card without NVLink that it does not apply, which is no issue."""
    source, links = f"gpus[{gpu.index}].nvlink.active_links", gpu.nvlink.active_links
    if links is not None:
        return judged(links > 0, f"{links} link{'' if links == 1 else 's'} up", source)
    if gpu.vendor != "NVIDIA" or gpu.kind == "mig":
        return judged(False, "none", source)
    driver = machine.drivers.nvidia
    if driver is None or driver.source != "nvml":
        return unknown("only NVML tells of NVLink, and it was not asked or does not answer", source)
    return judged(False, "none", source)


def mig_profile(machine: Machine, gpu: Gpu, value: tuple[str, ...]) -> Told:
    """A MIG device of one of these profiles."""
    source = f"gpus[{gpu.index}].mig.profile"
    if gpu.kind != "mig":
        return judged(False, "no MIG device", source)
    if gpu.mig.profile is None:
        return unknown(missing_of_gpu(machine, gpu, "mig.profile"), source)
    return judged(gpu.mig.profile in value, gpu.mig.profile, source)


def _unknown(machine: Machine, gpu: Gpu, field: str) -> Told:
    return unknown(missing_of_gpu(machine, gpu, field), f"gpus[{gpu.index}].{field}")


GPU_CHECKS: Mapping[str, GpuCheck] = {
    "vendor": vendor, "gpu": card, "category": category, "min_category": min_category, "min_vram": min_vram,
    "min_reported_vram": min_reported_vram, "min_free_vram": min_free_vram,
    "min_compute_capability": min_compute_capability, "max_compute_capability": max_compute_capability,
    "compute_capability": compute_capability, "gfx": gfx, "min_bandwidth": min_bandwidth, "min_tflops": min_tflops,
    "dtypes": dtypes, "nvlink": nvlink, "mig_profile": mig_profile,
}  # fmt: skip
