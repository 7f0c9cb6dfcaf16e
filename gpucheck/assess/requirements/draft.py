"""A requirements file from the machine at hand: what it has becomes the least that is demanded.

Sizes are rounded down, versions cut to their branch. Every line has been held against the machine: what is not met
for sure, as facts that are not known, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from gpucheck.assess.requirements.evaluate import evaluate
from gpucheck.assess.requirements.usable import counted
from gpucheck.assess.requirements.wanted import from_arguments
from gpucheck.assess.words import nominal_gib
from gpucheck.catalog.support import capability_of
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import GIB

_BUILDS = {"cu": "cuda", "rocm": "rocm", "xpu": "xpu", "cpu": "cpu"}
_VECTORS = ("avx2", "asimd")


class Line(Struct, frozen=True):
    """One key with its value and what to say of it; `text` is the value as TOML writes it."""

    key: str
    value: object
    comment: str

    @property
    def text(self) -> str:
        """The value in TOML."""
        if isinstance(self.value, (list, tuple)):
            return f"[{', '.join(_quoted(one) for one in self.value)}]"
        return _quoted(self.value)


def draft(machine: Machine, origin: str) -> str:
    """The text of a gpucheck.toml that the machine meets; `origin` says in words where it is from."""
    lines = [
        f"# Requirements for `gpucheck require`, written by `gpucheck init` from {_plain(origin)}.",
        "# They are minimums: delete what does not matter to you, and lower what is more than you need.",
        "# `gpucheck schema requirements` is the JSON schema of this file, for editors.",
        "",
    ]
    for title, group in (("GPUs", _gpus(machine)), ("Software", _software(machine)), ("Host", _host(machine))):
        kept = _met(machine, list(group))
        lines += [f"# {title}", *kept, ""] if kept else [f"# {title}: nothing that is known for sure", ""]
    lines += [
        "# Models that must fit, in the memory that is free when the question is asked:",
        '# model = ["8b@q4"]',
        "# context = 8192",
        "",
        "# Further requirements for a purpose: gpucheck require --profile train",
        "# [profile.train]",
        '# min_free_vram = "20GiB"',
    ]
    return "\n".join(lines) + "\n"


def _met(machine: Machine, group: list[Line]) -> list[str]:
    """The lines of a group that the machine meets together."""
    kept: list[Line] = []
    for line in group:
        outcomes = evaluate(machine, from_arguments({one.key: one.value for one in (*kept, line)}))
        if all(outcome.answer == "met" for outcome in outcomes):
            kept.append(line)
    return [_line(line) for line in kept]


def _line(line: Line) -> str:
    comment = f"  # {_plain(line.comment)}" if line.comment else ""
    return f"{line.key} = {line.text}{comment}"


def _gpus(machine: Machine) -> Iterator[Line]:
    gpus = [gpu for gpu in counted(machine) if gpu.usable]
    if not gpus:
        return
    names = ", ".join(dict.fromkeys(gpu.name or gpu.vendor for gpu in gpus))
    yield Line("min_gpus", len(gpus), f"here {names}")
    yield Line("vendor", sorted({gpu.vendor.lower() for gpu in gpus}), "any of these makers")
    totals = [gpu.memory.total_bytes for gpu in gpus]
    if all(totals):
        least = min(nominal_gib(total or 0) for total in totals)
        size = f"{int(least)}GiB" if least >= 1 else f"{int(least * 1024)}MiB"
        yield Line("min_vram", size, "of each GPU, as it is sold")
    capabilities = [capability_of(gpu.compute_capability) for gpu in gpus]
    if all(capabilities):
        major, minor = min(one for one in capabilities if one)
        yield Line("min_compute_capability", f"{major}.{minor}", "CUDA's generation")
    if _are_all(gpus, "bf16"):
        yield Line("dtypes", ["bf16"], "computed in hardware")


def _are_all(gpus: list[Gpu], dtype: str) -> bool:
    from gpucheck.assess.requirements.checks_gpus import computes

    return all(computes(gpu, dtype) for gpu in gpus)


def _software(machine: Machine) -> Iterator[Line]:
    nvidia = machine.drivers.nvidia
    if nvidia and nvidia.version and (branch := nvidia.version.partition(".")[0]).isdecimal():
        yield Line("min_driver", branch, f"the branch of the NVIDIA driver {nvidia.version}")
    if nvidia and nvidia.cuda_version and (cuda := _short(nvidia.cuda_version)):
        yield Line("min_cuda", cuda, "what that driver supports")
    if machine.toolkits.rocm and (rocm := _short(machine.toolkits.rocm)):
        yield Line("min_rocm", rocm, "installed here")
    if machine.toolkits.mps:
        yield Line("mps", True, machine.toolkits.mps)
    torch = next((one for one in machine.frameworks if one.name == "torch"), None)
    if torch and torch.version and not torch.broken and (version := _short(torch.version)):
        build = next((kind for start, kind in _BUILDS.items() if (torch.build or "").startswith(start)), None)
        usable = "+usable" if torch.usable and build else "@usable" if torch.usable else ""
        text = f"torch>={version}{f'@{build}' if build else ''}{usable}"
        yield Line("framework", [text], "in the inspected Python")
    if machine.gpus:
        yield Line("no_findings", "error", "gpucheck doctor finds no error")


def _host(machine: Machine) -> Iterator[Line]:
    if machine.platform.os:
        yield Line("os", machine.platform.os, "")
    if machine.cpu.usable_cores and machine.cpu.usable_cores >= 1:
        yield Line("min_cpu_cores", int(machine.cpu.usable_cores), "that a process may use")
    vectors = [flag for flag in _VECTORS if flag in machine.cpu.features]
    if vectors:
        yield Line("cpu_features", vectors, "llama.cpp is slow without it")
    sizes = [size for size in (machine.memory.total_bytes, machine.memory.limit_bytes) if size]
    if sizes:
        yield Line("min_ram", _rounded(min(sizes)), "of the machine, or a container's limit")
    python = machine.environment.python if machine.environment else None
    if python and (version := _short(python)):
        yield Line("python_version", f">={version}", "of the inspected environment")


def _short(version: str) -> str | None:
    """Major and minor of a version."""
    found = re.match(r"\d{1,5}(?:\.\d{1,5})?", version, re.ASCII)
    return found[0] if found else None


def _rounded(size: int) -> str:
    """An amount rounded down to what people name: 62 GiB become 60GiB."""
    gib = size // GIB
    if gib < 1:
        return f"{max(size >> 20, 1)}MiB"
    step = 1 if gib < 16 else 4 if gib < 128 else 16
    return f"{gib // step * step}GiB"


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else f'"{value}"'


def _plain(text: str) -> str:
    """A comment that stays one, whatever a name holds."""
    return "".join(char if char.isprintable() else "?" for char in text)[:200]
