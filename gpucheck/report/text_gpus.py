"""The devices on a page: like cards together, each with memory, compute, rates, cache, and why its category."""

from __future__ import annotations

from gpucheck.assess.words import matrix_term, ordinal, shader_term, unit_term
from gpucheck.machine.types import Gpu, Machine
from gpucheck.report.page import Page
from gpucheck.units import format_bytes, format_flops, format_rate

_AT = 17
_SHOWN_RATES = ("fp32", "fp16", "bf16", "fp8", "fp4", "int8")


def show_gpus(page: Page, machine: Machine, verbose: bool) -> None:
    """Every device, like ones in a row together."""
    slices: dict[int, list[Gpu]] = {}
    for gpu in machine.gpus:
        if gpu.mig.parent is not None:
            slices.setdefault(gpu.mig.parent, []).append(gpu)
    cards = [gpu for gpu in machine.gpus if gpu.kind != "mig"]
    groups: dict[tuple[object, ...], list[Gpu]] = {}
    for gpu in cards:
        likeness = (gpu.index,) if verbose else _likeness(gpu, slices)  # each has its own address, id and load
        groups.setdefault(likeness, []).append(gpu)
    for like in groups.values():
        page.blank()
        _show_group(page, like, verbose)
        for part in slices.get(like[0].index, ()):
            _show_slice(page, part)


def _likeness(gpu: Gpu, slices: dict[int, list[Gpu]]) -> tuple[object, ...]:
    """Cards of equal likeness are shown once; one that is cut into slices stands alone."""
    alone = gpu.index if gpu.index in slices else None
    return (
        gpu.name,
        gpu.memory.total_bytes,
        gpu.state,
        gpu.hidden_by,
        gpu.bandwidth_bytes_per_s,
        gpu.mig.mode,
        alone,
    )


def _show_group(page: Page, gpus: list[Gpu], verbose: bool) -> None:
    first = gpus[0]
    name = first.name or f"{first.vendor} GPU without a name"
    times = f"{len(gpus)} × " if len(gpus) > 1 else ""
    page.spread([(f"  {_numbers(gpus):<9}", "bold"), (times, ""), (name, "bold")], _category(first))
    if first.state != "ok":
        page.row("state", f"{first.state.replace('_', ' ')}: {first.detail or 'no further word'}", _AT, 4, "red")
    if not first.visible:
        empty = " (set to nothing)" if (first.hidden_by or "").endswith("=") else ""
        page.row("hidden", f"by {first.hidden_by}{empty}", _AT, 4, "yellow")
    if first.state not in {"ok", "no_driver"} and not verbose:
        return  # what it could do is no use now
    page.row("memory", _memory(gpus), _AT, 4)
    page.row("compute", _compute(first), _AT, 4)
    rates = _rates(first)
    if rates:
        page.row("dense peak", rates, _AT, 4)
    cache = _cache(first)
    if cache:
        page.row("cache", cache, _AT, 4)
    links = _links(gpus)
    if links:
        page.row("links", links, _AT, 4)
    if first.category is not None:
        page.row("why", "; ".join(first.category.reasons if verbose else first.category.reasons[:1]), _AT, 4)
    if verbose:
        _show_details(page, first)


def _numbers(gpus: list[Gpu]) -> str:
    """Such as "GPU 0–4, 6–7 ": runs of numbers, and room before the name."""
    runs: list[list[int]] = []
    for index in (gpu.index for gpu in gpus):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return "GPU " + ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs) + " "


def _category(gpu: Gpu) -> str:
    if gpu.category is None:
        return ""
    return f"{gpu.category.name} · {'in the document' if gpu.category.basis == 'document' else 'by rule'}"


def _memory(gpus: list[Gpu]) -> str:
    """Such as "24.0 GiB GDDR6X, 22.6 GiB free, 1,008 GB/s"."""
    first = gpus[0]
    if first.memory.total_bytes is None:
        words = "size unknown"
    else:
        words = format_bytes(first.memory.total_bytes) + (f" {first.memory.type}" if first.memory.type else "")
    if first.memory.kind == "shared":
        words += ", shared with the CPU"
    if len(gpus) > 1:
        words += " each"
    free = [gpu.memory.free_bytes for gpu in gpus if gpu.memory.free_bytes is not None]
    if free:
        low, high = format_bytes(min(free)), format_bytes(max(free))
        words += f", {low if low == high else f'{low} to {high}'} free"
    elif first.memory.usable_bytes is not None:
        words += f", about {format_bytes(first.memory.usable_bytes)} usable when idle"
    rate = first.bandwidth_bytes_per_s
    return f"{words}, {'bandwidth unknown' if rate is None else format_rate(rate)}"


def _compute(gpu: Gpu) -> str:
    """Such as "16,384 CUDA cores, 512 Tensor Cores (4th generation)"."""
    parts = []
    if gpu.shader_cores is not None:
        parts.append(f"{gpu.shader_cores:,} {shader_term(gpu)}")
    elif gpu.multiprocessors is not None:
        parts.append(f"{gpu.multiprocessors} {unit_term(gpu)}")
    if gpu.matrix_cores == 0:
        parts.append(f"no {matrix_term(gpu)}")
    elif gpu.matrix_cores is not None:
        generation = f" ({ordinal(gpu.matrix_generation)} generation)" if gpu.matrix_generation else ""
        parts.append(f"{gpu.matrix_cores:,} {matrix_term(gpu)}{generation}")
    capability = gpu.gfx_target or (f"compute capability {gpu.compute_capability}" if gpu.compute_capability else None)
    parts.extend(part for part in (gpu.architecture, capability) if part)
    return ", ".join(parts) or "unknown"


def _rates(gpu: Gpu) -> str:
    """Such as "fp32 82.6 T, bf16 165 T, fp8 330 T, int8 661 T per second"."""
    known = {name: getattr(gpu.flops, name) for name in _SHOWN_RATES}
    if known["bf16"] is not None:
        known["fp16"] = None  # the same rate wherever both exist
    words = ", ".join(f"{name} {format_flops(rate)}" for name, rate in known.items() if rate is not None)
    return f"{words} operations/s" if words else ""


def _cache(gpu: Gpu) -> str:
    levels = ((gpu.l2_cache_bytes, "L2"), (gpu.infinity_cache_bytes, "Infinity Cache"))
    return ", ".join(f"{format_bytes(size)} {level}" for size, level in levels if size)


def _links(gpus: list[Gpu]) -> str:
    """PCIe and NVLink; the PCIe generation that a card idles at says nothing, so its highest is shown."""
    first, parts = gpus[0], []
    generation, width = first.pcie.max_generation, first.pcie.width or first.pcie.max_width
    if generation and width:
        parts.append(f"PCIe {generation}.0 x{width}")
    if first.nvlink.active_links:
        version = f" {first.nvlink.generation}" if first.nvlink.generation else ""
        peers = {gpu.index for gpu in gpus}
        every = len(gpus) > 1 and all(peers - {gpu.index} <= set(gpu.nvlink.peers) for gpu in gpus)
        parts.append(f"NVLink{version}, {first.nvlink.active_links} links{', all to all' if every else ''}")
    return ", ".join(parts)


def _show_slice(page: Page, part: Gpu) -> None:
    """One MIG device: "slice 1   3g.40gb, 39.5 GiB, 39.0 GiB free"."""
    words = [part.mig.profile or "profile unknown"]
    words.append("size unknown" if part.memory.total_bytes is None else format_bytes(part.memory.total_bytes))
    if part.memory.free_bytes is not None:
        words.append(f"{format_bytes(part.memory.free_bytes)} free")
    if part.multiprocessors is not None:
        words.append(f"{part.multiprocessors} SMs")
    if not part.visible:
        words.append(f"hidden by {part.hidden_by}")
    page.row(f"slice {part.index}", ", ".join(words), _AT, 4)


def _show_details(page: Page, gpu: Gpu) -> None:
    """What only `-v` shows."""
    facts = {
        "address": ", id ".join(part for part in (gpu.pci_address, gpu.pci_id) if part),
        "uuid": gpu.uuid,
        "power": ", limited to ".join(
            dict.fromkeys(f"{watts:g} W" for watts in (gpu.tdp_w, gpu.power_limit_w) if watts)
        ),
        "modes": ", ".join(_modes(gpu)),
        "processes": gpu.processes and f"{gpu.processes}, using {_used(gpu)}",
        "slowed by": ", ".join(gpu.throttle_reasons).replace("_", " "),
        "catalogue": gpu.catalogue_id or "not in it",
        "sources": ", ".join(f"{path} {basis}" for path, basis in gpu.sources.items()),
    }
    for label, value in facts.items():
        if value:
            page.row(label, str(value), _AT, 4)


def _used(gpu: Gpu) -> str:
    used = gpu.processes_memory_bytes
    return "an unknown amount of memory" if used is None else format_bytes(used)


def _modes(gpu: Gpu) -> list[str]:
    modes = [f"MIG {gpu.mig.mode}"] if gpu.mig.mode else []
    if gpu.ecc_enabled is not None:
        modes.append(f"ECC {'on' if gpu.ecc_enabled else 'off'}")
    if gpu.compute_mode:
        modes.append(f"compute mode {gpu.compute_mode.replace('_', ' ')}")
    if gpu.persistence is not None:
        modes.append(f"persistence {'on' if gpu.persistence else 'off'}")
    if gpu.virtualization:
        modes.append(gpu.virtualization)
    return modes
