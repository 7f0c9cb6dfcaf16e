"""The verdict in one or two sentences: what the machine is, what it holds, what is wrong."""

from __future__ import annotations

from gpucheck.assess.findings import Finding
from gpucheck.assess.fit import largest_fitting
from gpucheck.assess.memory import effective_memory
from gpucheck.assess.words import nominal_gb
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import format_bytes

_GPU_PROBES = frozenset({"probe pci", "probe nvidia", "probe amd", "probe intel", "probe apple"})


def headline(machine: Machine) -> str:
    """The category, the hardware that earns it, and the largest models it holds in 4-bit."""
    name = machine.category.name if machine.category else "CPU only"
    return f"{name.replace('CPU only', 'CPU-only')} machine: {_hardware(machine)}. {_capacity(machine)}"


def problem_line(findings: tuple[Finding, ...]) -> str | None:
    """Such as "2 errors, 1 warning: first title (GC201)", None when nothing is wrong."""
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    counts = [_count(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number]
    if not counts:
        return None
    worst = findings[0]
    return f"{', '.join(counts)}: {worst.title} ({worst.code})."


def cards_in_words(gpus: list[Gpu]) -> str:
    """Such as "8 × NVIDIA H100 80GB HBM3, 640 GB" or "one NVIDIA GeForce RTX 4090, 24 GB"."""
    kinds: dict[object, list[Gpu]] = {}
    for gpu in gpus:  # a lost card is known by its catalogue entry only, under another name
        kinds.setdefault((gpu.catalogue_id or gpu.name, gpu.memory.total_bytes), []).append(gpu)
    parts = []
    for like in kinds.values():
        total, number = like[0].memory.total_bytes, len(like)
        size = "" if total is None else f", {_size_of(like[0], total, number)}"
        parts.append(f"{f'{number} ×' if number > 1 else 'one'} {like[0].name or 'GPU without a name'}{size}")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _size_of(gpu: Gpu, total_bytes: int, number: int) -> str:
    """The size on the box; a share of the machine's memory has no box."""
    return format_bytes(total_bytes) if gpu.memory.kind == "shared" else nominal_gb(total_bytes, number)


def _hardware(machine: Machine) -> str:
    cards = [gpu for gpu in machine.gpus if gpu.kind != "mig"]
    if not cards:
        others = len(machine.display_adapters)
        failed = [issue.source for issue in machine.issues if issue.source in _GPU_PROBES]
        if failed:
            return f"no GPU or AI accelerator found, but {' and '.join(dict.fromkeys(failed))} failed (-v shows why)"
        return "no GPU or AI accelerator found" + (f" ({_count(others, 'other display adapter')})" if others else "")
    usable = {gpu.mig.parent if gpu.kind == "mig" else gpu.index for gpu in machine.usable_gpus}
    words = cards_in_words(cards)
    slices = len(machine.gpus) - len(cards)
    if slices:
        words += f" in {_count(slices, 'MIG slice')}"
    if not usable:
        return f"{words}, but no process can use {'it' if len(cards) == 1 else 'them'} at the moment"
    return words if len(usable) == len(cards) else f"{words}, {len(usable)} of {len(cards)} usable"


def _capacity(machine: Machine) -> str:
    """What it holds in 4-bit, from best to worst place."""
    largest = largest_fitting(machine, "Q4_K_M")
    pools = effective_memory(machine).pools
    if not pools:
        room = machine.memory.usable_bytes
        if room is None:
            return "How much memory it has is not known."
        where = f"in {format_bytes(room)} of memory"
        if largest.in_ram is None:
            return f"Holds none of the usual model sizes {where}."
        return f"Holds models up to about {_size(largest.in_ram)} in 4-bit {where}, on the CPU."
    several = "GPUs" if any(len(pool.devices) > 1 for pool in pools) else "GPU"
    if all(gpu.kind == "mig" for gpu in machine.usable_gpus):
        several = "largest slice"
    if largest.on_gpus is None:
        known = any(gpu.memory.usable_bytes is not None for gpu in machine.usable_gpus)
        sentence = (
            f"Holds none of the usual model sizes on the {several}"
            if known
            else "How much memory its GPU has is not known"
        )
    else:
        sentence = f"Holds models up to about {_size(largest.on_gpus)} in 4-bit on the {several}"
    if largest.with_offload is not None and largest.with_offload != largest.on_gpus:
        sentence += f"; up to {_size(largest.with_offload)} with a part on the CPU, slowly"
    return sentence + "."


def _size(size: str | None) -> str:
    return (size or "").upper()


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
