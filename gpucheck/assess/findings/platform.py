"""GC209, and GC412 to GC415: what a platform says of itself that is not so, or that it holds back."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.finding import Finding, Remedy, named
from gpucheck.machine.types import Gpu, Machine
from gpucheck.machine.unified import working_set_bytes
from gpucheck.units import GIB, MIB, format_bytes

_OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
_MUCH_OF_A_POOL = 0.9  # what tools count may be this share of it and still be called the pool
_LEAST_MAC_BYTES, _LEAST_GAIN_BYTES = 64 * GIB, 8 * GIB  # below, macOS and other programs need what is held back


def overridden_target(machine: Machine) -> Iterator[Finding]:
    """GC209: ROCm is told that its GPUs are others; what torch makes of it is GC302's."""
    value = machine.visibility.get(_OVERRIDE)
    gpus = [gpu for gpu in machine.usable_gpus if gpu.vendor == "AMD" and gpu.gfx_target]
    taken = _target_of(value) if value else None
    if not value or not gpus or {gpu.gfx_target for gpu in gpus} == {taken} or _said_of_torch(machine, gpus):
        return
    targets = " and ".join(sorted({gpu.gfx_target or "" for gpu in gpus} - {taken or ""}))
    families = {_major(gpu.gfx_target) for gpu in gpus}
    wrong = taken is None or families != {_major(taken)}
    if taken is None:
        title = f"{_OVERRIDE} is no version that ROCm can read: it finds no GPU"
    elif wrong:
        title = f"{_OVERRIDE} passes {targets} off as {taken}, which is of another generation"
    else:
        title = f"{_OVERRIDE} passes {targets} off as {taken}"
    yield Finding(
        code="GC209",
        severity="warning" if wrong else "info",
        title=title,
        found=f"{_OVERRIDE}={value}; {named(gpus)}",
        required=f"{_OVERRIDE} unset where builds have code for {targets}"
        + ("" if wrong else "; elsewhere it is a way to use a near relative's code, which AMD does not support"),
        remedy=Remedy("unset it, unless nothing runs without it", (f"unset {_OVERRIDE}",)),
        source=_OVERRIDE,
    )


def _target_of(value: str) -> str | None:
    """As gfx1100 for "11.0.0"; None of what the runtime refuses."""
    parts = value.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 4 for part in parts):
        return None
    major, minor, step = map(int, parts)
    return f"gfx{major}{minor:x}{step:x}" if major <= 63 and minor <= 255 and step <= 255 else None


def _major(target: str | None) -> str | None:
    """The generation in "gfx1103" or "gfx90a", whose last two letters are minor version and stepping."""
    return target[:-2] if target else None


def _said_of_torch(machine: Machine, gpus: list[Gpu]) -> bool:
    """Whether GC302 names the override, because torch's build lacks a card's own code."""
    return any(
        one.name == "torch" and (one.build or "").startswith("rocm") and one.arch_list
        and any(gpu.gfx_target not in one.arch_list for gpu in gpus)
        for one in machine.frameworks
    )  # fmt: skip


def paravirtual(machine: Machine) -> Iterator[Finding]:
    """GC412: the GPU that macOS shows in a virtual machine."""
    gpus = [gpu for gpu in machine.gpus if gpu.vendor == "Apple" and gpu.virtualization == "paravirtual"]
    if gpus:
        yield Finding(
            code="GC412",
            severity="warning",
            title="This macOS is a virtual machine: its GPU says that it is available, and next to nothing fits on it",
            found=gpus[0].name or "a paravirtual GPU",
            required="a Mac itself, for work on its GPU",
            remedy=Remedy('run on the processor here (device="cpu"), or on the Mac itself'),
            source=f"gpus[{gpus[0].index}].virtualization",
        )


def held_back(machine: Machine) -> Iterator[Finding]:
    """GC413: memory of a large Mac that its GPU may not use; or of any, where somebody has lowered the limit."""
    for gpu in machine.usable_gpus:
        total, usable = gpu.memory.total_bytes, gpu.memory.usable_bytes
        basis = gpu.sources.get("memory.usable_bytes")
        if gpu.vendor != "Apple" or machine.source == "simulated" or total is None or usable is None:
            continue
        lowered = basis == "reported" and usable < working_set_bytes(total)
        goal = total - max(8 * GIB, total // 16)
        if not lowered and (basis != "assumed" or total < _LEAST_MAC_BYTES or goal - usable < _LEAST_GAIN_BYTES):
            continue
        known = _macos(machine) >= 14  # older ones call the setting otherwise
        command = f"sudo sysctl iogpu.wired_limit_mb={0 if lowered else goal // MIB}"
        yield Finding(
            code="GC413",
            severity="info",
            title=f"macOS lets the GPU use {format_bytes(usable)} of {format_bytes(total)}",
            found=f"iogpu.wired_limit_mb={usable // MIB}, less than macOS's own"
            if lowered
            else f"no limit of one's own: macOS's is about {format_bytes(usable)}, as measured on such Macs",
            required=f"about {format_bytes(working_set_bytes(total))}, as macOS sets it"
            if lowered
            else f"up to {format_bytes(goal)}, for a model that needs it",
            remedy=Remedy(
                "put macOS's own limit back"
                if lowered
                else f"raise it until the next restart, leaving {format_bytes(total - goal)} for all else; what the"
                " GPU holds cannot be swapped out, and a Mac without memory for itself hangs or restarts",
                (command,) if known else (),
            ),
            source=f"gpus[{gpu.index}].memory.usable_bytes",
        )


def _macos(machine: Machine) -> int:
    """The major version in "macOS 15.5", 0 where it is not told."""
    name, _, version = (machine.platform.distribution or "").partition(" ")
    major = version.partition(".")[0]
    return int(major) if name == "macOS" and major.isascii() and major.isdecimal() and len(major) < 4 else 0


def misread_pool(machine: Machine) -> Iterator[Finding]:
    """GC414: shared memory of which the maker's tools tell nothing, or a part."""
    if machine.source == "simulated":
        return
    for gpu in machine.usable_gpus:
        total = gpu.memory.total_bytes
        if gpu.memory.kind != "shared" or total is None:
            continue
        if gpu.vendor == "NVIDIA" and gpu.sources.get("memory.total_bytes") == "derived":
            yield _of_nvidia(machine, gpu, total)
        elif gpu.vendor == "AMD" and (gpu.memory.rocm_bytes or total) < _MUCH_OF_A_POOL * total:
            yield _of_amd(machine, gpu, total)


def _of_nvidia(machine: Machine, gpu: Gpu, total: int) -> Finding:
    place = f"gpus[{gpu.index}].memory.total_bytes"
    carved = any(issue.code == "carve_out" and issue.source == place for issue in machine.issues)
    return Finding(
        code="GC414",
        severity="info",
        title=f"{named([gpu])} has no memory of its own, and tools that ask the driver see"
        f" {'a small part of' if carved else 'none of'} what it can use",
        found=f"the driver tells {'of a carve-out' if carved else 'no size'}; GPU and processor share all memory",
        required=f"{format_bytes(total)}, which gpucheck counts, less what the rest of the machine uses",
        remedy=Remedy(
            "go by the memory that the machine has available, page cache included",
            ("free -h",) if machine.platform.os == "linux" else (),
        ),
        source=place,
    )


def _of_amd(machine: Machine, gpu: Gpu, total: int) -> Finding:
    counted = format_bytes(gpu.memory.rocm_bytes or 0)
    rdna35 = (gpu.gfx_target or "") in {"gfx1150", "gfx1151", "gfx1152"}  # for which AMD has written this down
    tool = rdna35 and machine.platform.os == "linux" and machine.platform.container is None
    return Finding(
        code="GC414",
        severity="info",
        title=f"ROCm counts {counted} of the {format_bytes(total)} that {named([gpu])} can use",
        found=f"{counted} by ROCm; {format_bytes(gpu.memory.carve_out_bytes or 0)} set aside by the firmware,"
        f" {format_bytes(gpu.memory.gtt_bytes or 0)} lent by the kernel",
        required="a small part set aside in the firmware, and a limit of the kernel's translation table (TTM) as high"
        " as models need",
        remedy=Remedy(
            "set the least dedicated memory in the firmware and raise the kernel's limit"
            + (": amd-ttm shows it, amd-ttm --set takes GB; then restart" if tool else ""),
            ("pipx install amd-debug-tools", "amd-ttm") if tool else (),
        ),
        source=f"gpus[{gpu.index}].memory.rocm_bytes",
    )


def another_gpucheck(machine: Machine) -> Iterator[Finding]:
    """GC415: the plugin of pytest that is called gpucheck too; each overwrites files of the other."""
    for issue in machine.issues:
        if issue.code == "gpucheck_clash":
            yield Finding(
                code="GC415",
                severity="warning",
                title="Another package has a module gpucheck too: which of the two is imported depends on chance",
                found=issue.detail,
                required="gpucheck-inspector alone, or an environment for each",
                remedy=Remedy(
                    "remove the other, then install gpucheck-inspector again, as its files may have been overwritten",
                    ("pip uninstall -y gpucheck",),
                ),
                source="probe frameworks",
            )
