"""A `Machine` from catalogue hardware: "2x RTX 4090", "RTX 4090 + RTX 3090", "M4 Max 128GB"."""

from __future__ import annotations

import re

from gpucheck.catalog.cards import Card
from gpucheck.catalog.find import Choice, card_named
from gpucheck.errors import UsageError
from gpucheck.machine.figures import Figures, assemble, idle_usable_bytes, put_card
from gpucheck.machine.types import Gpu, Machine
from gpucheck.machine.unified import working_set_bytes
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import Cpu, Memory, Platform

MAX_GPUS = 64
_COUNT = re.compile(r"\s*(\d{1,4})\s*[x×*]\s+(.+)|\s*(\d{1,4})[x×*](?=[A-Za-z])(.+)", re.DOTALL)
_PLUS = re.compile(r"\s\+\s|\s\+$|^\+\s|\+(?=\d+\s*[x×*])|\+(?=[A-Za-z])")  # not the plus of "Ryzen AI Max+ 395"
_SUPERCHIP = re.compile(r"\bG[BH]\d")  # GB10, GH200, GB300
_HOST_SHARE_BYTES = 2 << 30  # a freshly started system and this process


def simulate_machine(spec: str, ram_bytes: int | None = None, cpu_cores: int | None = None) -> Machine:
    """The machine with the named cards, idle and driven; the rest is as given, or unknown.

    Raises:
        AmbiguousNameError, UnknownNameError: a part of `spec` does not name exactly one card.
        UsageError: no card, more than 64 of them, or sizes that make no sense.
    """
    choices = [choice for part in _PLUS.split(spec) for choice in _part(part)]
    if len(choices) > MAX_GPUS:
        raise UsageError(f"{len(choices)} GPUs: at most {MAX_GPUS} can be simulated")
    issues = Issues()
    gpus = tuple(simulated_gpu(choice, index, ram_bytes, issues) for index, choice in enumerate(choices))
    shared = sum(gpu.memory.total_bytes or 0 for gpu in gpus if gpu.memory.kind == "shared")
    memory_bytes = ram_bytes if ram_bytes is not None else shared or None
    apple = all(gpu.vendor == "Apple" for gpu in gpus)
    if memory_bytes is None:
        issues.add("unknown", "simulation", "memory.total_bytes: give --ram to say how much the machine has")
    if cpu_cores is None:
        issues.add("unknown", "simulation", "cpu.usable_cores: give --cpu-cores to say how many the machine has")
    return Machine(
        source="simulated",
        platform=Platform(os="darwin" if apple else "linux", arch="arm64" if apple else _arch(gpus)),
        cpu=Cpu(physical_cores=cpu_cores, logical_cores=cpu_cores, usable_cores=cpu_cores),
        memory=_memory(memory_bytes),
        gpus=gpus,
        issues=tuple(sorted(issues.all())),
    )


def _part(text: str) -> list[Choice]:
    """The cards of one part: "2x RTX 4090" is two."""
    found = _COUNT.fullmatch(text)
    count, name = (int(found[1] or found[3]), found[2] or found[4]) if found else (1, text)
    if not name.strip():
        raise UsageError('a card is missing: write, for example, "2x RTX 4090" or "RTX 4090 + RTX 3090"')
    if not 1 <= count <= MAX_GPUS:
        raise UsageError(f"{count} of {name.strip()}: between 1 and {MAX_GPUS} can be simulated")
    return [card_named(name.strip())] * count


def simulated_gpu(choice: Choice, index: int, ram_bytes: int | None, issues: Issues) -> Gpu:
    """The card of a choice under a number, idle and with its driver; what the catalogue lacks is noted."""
    card = choice.card
    figures = Figures()
    put_card(figures, card)
    figures.put("memory.kind", "shared" if card.shares_memory else "dedicated", "catalogue")
    _put_size(figures, choice, index, ram_bytes, issues)
    shown = ("bandwidth_bytes_per_s", "matrix_cores", "shader_cores", "flops.fp16", "l2_cache_bytes", "tdp_w")
    missing = [name for name in shown if name not in figures.values]
    if missing:
        issues.add("unknown", f"gpus[{index}]", f"the catalogue does not give {', '.join(missing)} of {card.name}")
    return assemble(
        figures,
        index=index,
        name=card.name,
        vendor=card.vendor,
        state="ok",
        kind=_kind(card),
        segment=card.segment,
        catalogue_id=card.id,
        chip=card.chip,
        pci_id=None,
    )


def _put_size(figures: Figures, choice: Choice, index: int, ram_bytes: int | None, issues: Issues) -> None:
    """Total and usable memory; the smallest of several sizes when the name names none."""
    card, size_index = choice.card, choice.size_index
    if card.shares_memory and card.segment != "datacenter" and ram_bytes is not None:
        if size_index is not None and len(card.vram_gib) > 1 and card.total_bytes(size_index) != ram_bytes:
            size = f"{card.vram_gib[size_index]:g} GB"
            raise UsageError(f"{card.name} with {size}, whose memory is the machine's, and --ram say two sizes")
        figures.put("memory.total_bytes", ram_bytes, "assumed")
        _put_idle(figures, _shared_usable_bytes(card, ram_bytes))
        return
    if not card.vram_gib:
        issues.add("unknown", f"gpus[{index}]", f"the catalogue does not give memory.total_bytes of {card.name}")
        return
    if size_index is None:
        size_index = 0
        sizes = ", ".join(f"{size:g}" for size in card.vram_gib)
        detail = f"{card.name} is sold with {sizes} GB: the smallest is taken; name a size to choose"
        issues.add("assumed", f"gpus[{index}].memory.total_bytes", detail)
    total = card.total_bytes(size_index)
    figures.put("memory.total_bytes", total, "assumed" if choice.size_index is None else "catalogue")
    if card.shares_memory:
        usable = _shared_usable_bytes(card, total)
    else:
        usable = idle_usable_bytes(total, card, nominal=size_index >= len(card.reported_mib))
    _put_idle(figures, usable)


def _put_idle(figures: Figures, usable_bytes: int) -> None:
    """A simulated card idles: what can be used is what is free."""
    figures.put("memory.free_bytes", usable_bytes, "assumed")
    figures.put("memory.usable_bytes", usable_bytes, "assumed")


def _shared_usable_bytes(card: Card, total_bytes: int) -> int:
    """What the GPU may use of shared memory on an idle machine.

    Apple: Metal's recommended working set. Others: all but what the system holds.
    """
    if card.vendor == "Apple":
        return working_set_bytes(total_bytes)
    return max(0, total_bytes - _HOST_SHARE_BYTES)


def _kind(card: Card) -> str:
    if not card.shares_memory:
        return "discrete"
    return "integrated" if card.segment == "apu" else "unified"  # GB10, Jetson, Apple silicon, MI300A


def _arch(gpus: tuple[Gpu, ...]) -> str:
    """A Jetson, GB10 or GH200 brings ARM cores in its own package."""
    arm = any(gpu.segment == "embedded" or _SUPERCHIP.search(gpu.name or "") for gpu in gpus)
    return "aarch64" if arm else "x86_64"


def _memory(total_bytes: int | None) -> Memory:
    """Host memory of an idle machine."""
    if total_bytes is None:
        return Memory()
    free = max(0, total_bytes - _HOST_SHARE_BYTES)
    return Memory(total_bytes=total_bytes, available_bytes=free, usable_bytes=free)
