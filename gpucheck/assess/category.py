"""The category of a GPU and of a machine: the source document's table, and rules for every other card.

The rules weigh the document's four factors (matrix units, memory capacity and bandwidth, cache, FLOPS) and the
market a card is made for. Applied to the document's own nineteen cards they give the document's own answers;
a test holds them to it.
"""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.assess.words import matrix_term, nominal_gb, nominal_gib, shader_term
from gpucheck.catalog.cards import all_cards
from gpucheck.machine.types import Category, CategoryName, Gpu, Machine, MachineCategory
from gpucheck.units import format_flops, format_rate

BEST_FOR: dict[CategoryName, str] = {
    "High-end": "training large language models, high-performance computing, large-scale inference",
    "Mid-range": "medium-sized training, inference, fine-tuning",
    "Budget": "small model training, experiments, low-cost inference",
    "Consumer": "gaming, development, mid-range AI tasks",
    "Integrated": "development, inference of models that fit in shared memory",
    "CPU only": "small models, development, tests; large models only where speed does not matter",
}
PERFORMANCE_PROFILE: dict[CategoryName, str] = {
    "High-end": "highest memory capacity, memory bandwidth and compute",
    "Mid-range": "higher memory and compute, cost-effective",
    "Budget": "moderate memory, older architectures",
    "Consumer": "high compute, Tensor Cores for entry-level inference",
    "Integrated": "memory shared with the CPU: capacity as large as the machine's, bandwidth as low",
    "CPU only": "bound by the bandwidth of the machine's memory",
}
_DOCUMENT: dict[str, CategoryName] = {
    **dict.fromkeys(("A100", "H100", "H200", "GH200", "MI250", "MI300X"), "High-end"),
    **dict.fromkeys(("A40", "A30", "A6000", "V100", "L4", "T4"), "Mid-range"),
    **dict.fromkeys(("K80", "M60", "P100", "A4000"), "Budget"),
    **dict.fromkeys(("RTX 3070", "RTX 4090", "RTX 4000"), "Consumer"),
}
# From the best to the least: the machine is as good as its best card.
RANK: tuple[CategoryName, ...] = ("High-end", "Mid-range", "Consumer", "Budget", "Integrated", "CPU only")


def categorise(machine: Machine) -> Machine:
    """The machine with a category on every GPU, and its own."""
    cards: dict[int, Gpu] = {}
    gpus = []
    for gpu in machine.gpus:
        parent = None if gpu.mig.parent is None else cards.get(gpu.mig.parent)
        cards[gpu.index] = replace(gpu, category=gpu_category(gpu, parent))
        gpus.append(cards[gpu.index])
    whole = replace(machine, gpus=tuple(gpus))
    return replace(whole, category=machine_category(whole))


def gpu_category(gpu: Gpu, parent: Gpu | None = None) -> Category:
    """The category of one device; a MIG slice is of its card's class."""
    if gpu.kind == "mig" and parent is not None and parent.category is not None:
        reason = f"a slice of GPU {parent.index}; the class is that of the whole card"
        return replace(parent.category, reasons=(reason, *parent.category.reasons))
    document = document_name(gpu)
    if document is not None:
        reasons = (f"the document lists the {document} as {_DOCUMENT[document]}", *_factors(gpu))
        return Category(name=_DOCUMENT[document], basis="document", reasons=reasons)
    return rule_category(gpu)


def document_name(gpu: Gpu) -> str | None:
    """The document's name for this card, None if it is not in the table."""
    if gpu.catalogue_id is None:
        return None
    return next((card.document for card in all_cards() if card.id == gpu.catalogue_id), None)


def rule_category(gpu: Gpu) -> Category:
    """The category by rule alone, with the reasons and what could not be known."""
    name, why = _rule(gpu)
    unknown = [label for label, value in (
        ("memory size", gpu.memory.total_bytes), ("memory bandwidth", gpu.bandwidth_bytes_per_s),
        ("matrix units", gpu.matrix_cores), ("market segment", gpu.segment),
    ) if value is None]  # fmt: skip
    doubts = (f"not known: {', '.join(unknown)}",) if unknown else ()
    return Category(name=name, basis="rule", reasons=(why, *_factors(gpu), *doubts))


def machine_category(machine: Machine) -> MachineCategory:
    """The category of the machine: that of its best card that can be used, or of its best where none can.

    A card in MIG mode is used through its slices.
    """
    cards = [gpu for gpu in machine.gpus if gpu.kind != "mig" and gpu.category is not None]
    if not cards:
        return _machine("CPU only", "rule", ("no GPU or AI accelerator was found",))
    used = {gpu.index if gpu.mig.parent is None else gpu.mig.parent for gpu in machine.usable_gpus}
    best = min(cards, key=lambda gpu: (gpu.index not in used, RANK.index(_name(gpu)), gpu.index))
    category = best.category
    assert category is not None
    reasons = [f"GPU {best.index}, {best.name or 'unnamed'}, is {category.name}", *category.reasons]
    if not used:
        reasons.append("no process can use it at the moment")
    return _machine(category.name, category.basis, tuple(reasons))


def _machine(name: CategoryName, basis: str, reasons: tuple[str, ...]) -> MachineCategory:
    return MachineCategory(
        name=name,
        best_for=BEST_FOR[name],
        performance_profile=PERFORMANCE_PROFILE[name],
        basis="document" if basis == "document" else "rule",
        reasons=reasons,
    )


def _name(gpu: Gpu) -> CategoryName:
    return gpu.category.name if gpu.category else "Integrated"


def _rule(gpu: Gpu) -> tuple[CategoryName, str]:
    """The category and its deciding sentence.

    Thresholds lie between the document's own cards: High-end begins between the V100 (900 GB/s) and the A100
    (1,555 GB/s, 40 GB); Mid-range data-centre cards begin at the T4 (16 GB, 320 GB/s) and L4 (300 GB/s);
    Mid-range workstation cards between the A4000 (16 GB, 448 GB/s) and the A6000 (48 GB, 768 GB/s); a workstation
    card below the A4000's bandwidth is where the document puts the RTX 4000s (280 to 416 GB/s).
    """
    if gpu.kind in {"integrated", "unified"} and not _datacenter_apu(gpu):
        return "Integrated", "its memory is the machine's own, shared with the CPU"
    if gpu.segment in {"consumer", "laptop"}:
        return "Consumer", "made for gaming and desktops" if gpu.segment == "consumer" else "made for laptops"
    gib = nominal_gib(gpu.memory.total_bytes or 0)
    gbs = (gpu.bandwidth_bytes_per_s or 0) / 1e9
    matrix = _has_matrix_units(gpu)
    if matrix and gib >= 40 and gbs >= 1400:
        return "High-end", f"matrix units, {nominal_gb(gpu.memory.total_bytes or 0)} and {gbs:,.0f} GB/s"
    if matrix and gib >= 40 and gpu.bandwidth_bytes_per_s is None and (gpu.memory.type or "").startswith("HBM"):
        return "High-end", f"matrix units and {nominal_gb(gpu.memory.total_bytes or 0)} of {gpu.memory.type}"
    if gpu.segment == "workstation":
        return _workstation(gpu, matrix, gib, gbs)
    if matrix and gib >= 16 and gbs >= 300:
        return "Mid-range", "matrix units with at least 16 GB and 300 GB/s"
    if not matrix and gpu.matrix_cores == 0:
        return "Budget", "an older architecture, without matrix units"
    if not matrix or _size_unknown(gpu):
        return "Budget", "too little is known of it for a higher class"
    return "Budget", "below the 16 GB with 300 GB/s at which the document's mid-range cards begin"


def _workstation(gpu: Gpu, matrix: bool, gib: float, gbs: float) -> tuple[CategoryName, str]:
    if matrix and gib >= 24 and gbs >= 550:
        return "Mid-range", "a workstation card with matrix units, at least 24 GB and 550 GB/s"
    if not matrix:
        known = gpu.matrix_cores == 0
        return "Budget", f"a workstation card {'without' if known else 'not known to have'} matrix units"
    if gib >= 16 and gbs >= 440:
        return "Budget", "a workstation card with moderate memory"
    if _size_unknown(gpu):
        return "Consumer", "a workstation card of which too little is known for a higher class"
    return "Consumer", "a workstation card with desktop-class memory"


def _size_unknown(gpu: Gpu) -> bool:
    return gpu.memory.total_bytes is None or gpu.bandwidth_bytes_per_s is None


def _datacenter_apu(gpu: Gpu) -> bool:
    """MI300A: an APU by construction, a data-centre accelerator by its 128 GB of HBM."""
    return gpu.segment == "datacenter" and (gpu.memory.type or "").startswith("HBM")


def _has_matrix_units(gpu: Gpu) -> bool:
    """Counted, or certain without a count.

    Gaudi counts none, but each has its matrix engines; every NVIDIA card of compute capability 8.0 and later
    has tensor cores, also one of next year.
    """
    if gpu.matrix_cores is not None:
        return gpu.matrix_cores > 0
    major = (gpu.compute_capability or "").partition(".")[0]
    return (gpu.architecture or "").startswith("Gaudi") or (major.isdecimal() and int(major) >= 8)


def _factors(gpu: Gpu) -> tuple[str, ...]:
    """The document's four factors, each in one phrase, as far as known."""
    factors = []
    if gpu.matrix_cores is not None:
        if gpu.matrix_cores:
            factors.append(f"matrix units: {gpu.matrix_cores:,} {matrix_term(gpu)}")
        elif gpu.shader_cores:
            factors.append(f"matrix units: none, {gpu.shader_cores:,} {shader_term(gpu)} do all the work")
        else:
            factors.append("matrix units: none")
    memory = []
    if gpu.memory.total_bytes is not None:
        memory.append(nominal_gb(gpu.memory.total_bytes))
    if gpu.bandwidth_bytes_per_s is not None:
        memory.append(format_rate(gpu.bandwidth_bytes_per_s))
    if memory:
        factors.append(f"memory: {' at '.join(memory)}")
    cache = [f"{size / (1 << 20):g} MiB {level}" for size, level in (
        (gpu.l2_cache_bytes, "L2"), (gpu.infinity_cache_bytes, "Infinity Cache")) if size]  # fmt: skip
    if cache:
        factors.append(f"cache: {' and '.join(cache)}")
    peak = gpu.flops.fp16 or gpu.flops.bf16
    if peak is not None:
        factors.append(f"FLOPS: {format_flops(peak)}FLOPS dense in 16 bits")
    elif gpu.flops.fp32 is not None:
        factors.append(f"FLOPS: {format_flops(gpu.flops.fp32)}FLOPS in fp32")
    return tuple(factors)
