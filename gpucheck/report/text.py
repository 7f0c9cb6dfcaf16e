"""The report for people: the verdict first, the reasons next, the mending last."""

from __future__ import annotations

from rich.console import Console

from gpucheck.assess.memory import effective_memory
from gpucheck.machine.types import Machine
from gpucheck.report.document import (
    CatalogueReport,
    DevicesReport,
    DoctorReport,
    Document,
    ErrorReport,
    ExplainReport,
    FitReport,
    ModelsReport,
    Report,
    TorchReport,
)
from gpucheck.report.headline import headline, problem_line
from gpucheck.report.page import Page
from gpucheck.report.text_devices import show_devices
from gpucheck.report.text_doctor import show_doctor, show_pages, show_problems, show_unknowns
from gpucheck.report.text_fit import show_answer, show_ranges, show_table
from gpucheck.report.text_gpus import show_gpus
from gpucheck.report.text_models import show_models
from gpucheck.report.text_software import software_lines
from gpucheck.report.text_toolkits import toolkit_lines
from gpucheck.report.text_torch import show_torch
from gpucheck.units import format_bytes

_AT = 11
_FEATURES = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "AVX-VNNI", "avx512_bf16": "BF16",
    "amx_int8": "AMX", "asimd": "NEON", "asimddp": "dot product", "i8mm": "i8mm", "sve": "SVE", "sve2": "SVE2",
    "bf16": "BF16",
}  # fmt: skip


def print_document(document: Document, console: Console, verbose: bool) -> None:
    """Write any document to a console."""
    page = Page(console)
    if isinstance(document, Report):
        _report(page, document, verbose)
    elif isinstance(document, FitReport):
        _fit(page, document, verbose)
    elif isinstance(document, DoctorReport):
        show_doctor(page, document.findings, document.issues, verbose, document.frameworks)
    elif isinstance(document, ExplainReport):
        show_pages(page, document.pages, whole=verbose)
    elif isinstance(document, TorchReport):
        show_torch(page, document.torch, verbose)
    elif isinstance(document, CatalogueReport):
        _catalogue(page, document, verbose)
    elif isinstance(document, ModelsReport):
        show_models(page, document.models, verbose)
    elif isinstance(document, DevicesReport):
        show_devices(page, document)
    elif isinstance(document, ErrorReport):
        page.paragraph(document.error.message)
    page.print()


def _report(page: Page, report: Report, verbose: bool) -> None:
    machine = report.machine
    page.paragraph(headline(machine), "bold")
    trouble = problem_line(report.findings)
    if trouble:
        page.paragraph(trouble, "red" if report.findings[0].severity == "error" else "yellow")
    page.blank()
    _host(page, machine, verbose)
    show_gpus(page, machine, verbose)
    page.blank()
    show_table(page, report.fit, gpu=bool(effective_memory(machine).pools))
    if verbose:
        page.blank()
        show_ranges(page, report.fit)
    show_problems(page, report.findings, verbose)
    show_unknowns(page, machine.issues, verbose)
    page.blank()
    page.paragraph("gpucheck fit 70b@q4 · gpucheck gpus NAME · gpucheck record FILE · gpucheck -v", "dim", 2)


def _fit(page: Page, report: FitReport, verbose: bool) -> None:
    page.paragraph(headline(report.machine), "bold")
    for answer in report.fit:
        show_answer(page, answer, verbose=verbose)
    if verbose:
        show_unknowns(page, report.machine.issues, verbose)


def _host(page: Page, machine: Machine, verbose: bool) -> None:
    """The machine around the GPUs."""
    page.row("System", _system(machine), _AT)
    page.row("CPU", _cpu(machine), _AT)
    page.row("Memory", _memory(machine), _AT)
    places = [place for place in machine.storage if place.purpose == "models" or verbose]
    for place in places:
        free = "free space unknown" if place.free_bytes is None else f"{format_bytes(place.free_bytes)} free"
        where = "where models go" if place.purpose == "models" else place.purpose
        page.row("Storage", f"{free}, {where} ({place.path})", _AT)
    driver = machine.drivers.nvidia
    if driver is not None:
        cuda = f", CUDA up to {driver.cuda_version}" if driver.cuda_version else ""
        page.row("Driver", f"NVIDIA {driver.version or 'of unknown version'}{cuda}", _AT)
    for other in (machine.drivers.amd, machine.drivers.intel):
        if other is not None:
            page.row("Driver", f"{other.name} {other.version or 'from the kernel'}", _AT)
    for line in (*toolkit_lines(machine, verbose=verbose), *software_lines(machine, verbose=verbose)):
        page.row("Software", line, _AT)
    for adapter in machine.display_adapters if verbose else ():
        page.row(
            "Display",
            f"{adapter.name or 'unnamed'} ({adapter.pci_id or 'id unknown'}), not known as an AI accelerator",
            _AT,
        )


def _system(machine: Machine) -> str:
    """Such as "Linux 6.8, Ubuntu 24.04, container (docker) in a VM (kvm)"."""
    platform = machine.platform
    if machine.source == "simulated":
        return "simulated: the cards are the catalogue's, idle and with their driver"
    name = {"linux": "Linux", "darwin": "macOS", "windows": "Windows"}.get(platform.os or "", "unknown system")
    parts = [f"{name} {platform.kernel}" if platform.kernel else name, platform.distribution]
    if platform.os == "windows" and platform.distribution:
        parts = [platform.distribution]  # "Microsoft Windows 11 Pro, build 26100" says it all
    elif platform.os == "darwin" and platform.distribution:
        parts = [platform.distribution, f"Darwin {platform.kernel}" if platform.kernel else None]
    if platform.wsl:
        parts.append("WSL2")
    around = f"container ({platform.container})" if platform.container else None
    if platform.virtual_machine and not platform.wsl:
        kind = "VM" if platform.virtual_machine == "virtual" else f"VM ({platform.virtual_machine})"
        around = f"{around} in a {kind}" if around else kind
    parts.append(around)
    return ", ".join(part for part in parts if part)


def _cpu(machine: Machine) -> str:
    """Such as "AMD EPYC 9V74, 2 of 64 cores usable (cgroup quota), AVX2 AVX-512"."""
    cpu = machine.cpu
    if cpu.logical_cores is None:
        return cpu.name or "unknown"
    if cpu.usable_cores is not None and cpu.usable_cores < cpu.logical_cores:
        why = f" ({cpu.usable_cores_reason})" if cpu.usable_cores_reason else ""
        cores = f"{cpu.usable_cores:g} of {cpu.logical_cores} cores usable{why}"
    elif cpu.physical_cores and cpu.physical_cores < cpu.logical_cores:
        cores = f"{cpu.physical_cores} cores / {cpu.logical_cores} threads"
    else:
        cores = f"{cpu.logical_cores} core{'s' if cpu.logical_cores != 1 else ''}"
    words = [word for flag, word in _FEATURES.items() if flag in cpu.features]
    return ", ".join(part for part in (cpu.name, cores, " ".join(words)) if part)


def _memory(machine: Machine) -> str:
    """Such as "15.6 GiB (cgroup limit; the machine has 251 GiB), 14.9 GiB available"."""
    memory = machine.memory
    words = "size unknown" if memory.total_bytes is None else format_bytes(memory.total_bytes)
    if memory.limit_bytes is not None:
        whole = f"; the machine has {words}" if memory.total_bytes is not None else ""
        kind = "job object" if memory.limit_source == "job object" else "cgroup"
        words = f"{format_bytes(memory.limit_bytes)} ({kind} limit{whole})"
    return words + ("" if memory.usable_bytes is None else f", {format_bytes(memory.usable_bytes)} available")


def _catalogue(page: Page, report: CatalogueReport, verbose: bool) -> None:
    """One line a card, two where the line is narrow."""
    if not report.gpus:
        page.paragraph("No card of the catalogue is of that kind.")
    for entry in report.gpus:
        sizes = "/".join(f"{size:g}" for size in entry.memory_gib)
        rate = "" if entry.bandwidth_bytes_per_s is None else f"  {entry.bandwidth_bytes_per_s / 1e9:,.0f} GB/s"
        memory = f"{sizes} GB" if sizes else "shared memory"
        right = f"{memory}{rate}  {entry.category:<10} {'document' if entry.basis == 'document' else 'rule':<8}"
        page.spread([(entry.name, "")], right)
        if verbose:
            page.row("", "; ".join(entry.reasons), 4, 4, "dim")
            page.row("", f"confidence {entry.confidence}: {entry.source}", 4, 4, "dim")
