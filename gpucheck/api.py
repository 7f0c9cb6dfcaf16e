"""The Python interface: what `import gpucheck` offers, loaded when it is first used.

Nothing here initialises CUDA or imports a framework in the caller's process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpucheck.assess.category import categorise
from gpucheck.assess.findings import Finding, find_problems
from gpucheck.assess.fit import FitAnswer, default_fits, fit_size
from gpucheck.errors import UsageError
from gpucheck.machine.types import Machine
from gpucheck.models.reference import ModelReference, parse_reference
from gpucheck.units import TIB, format_bytes, parse_bytes

if TYPE_CHECKING:
    from gpucheck.host.host import Host
    from gpucheck.host.recording import Recording

ROOT_VARIABLE = "GPUCHECK_ROOT"
MAX_RAM_BYTES, MAX_CPU_CORES = 1024 * TIB, 65_536


def inspect(python: str | None = None) -> Machine:
    """This machine, or the copied tree of `/proc` and `/sys` that `GPUCHECK_ROOT` names.

    `python` is the interpreter whose frameworks are looked at; by default that of the active environment. What
    cannot be found out is None, with the reason in `issues`; nothing is raised for it.

    Raises:
        UsageError: `GPUCHECK_ROOT` names no directory.
    """
    from gpucheck.machine.inspect import inspect_host

    return categorise(inspect_host(_live_host(), python))


def load(path: str | os.PathLike[str], python: str | None = None) -> Machine:
    """The machine of a recording.

    Raises:
        RecordingError: the file cannot be read or is not a recording.
    """
    from gpucheck.host.recording import read_recording

    return replay(read_recording(path), python)


def replay(recording: Recording, python: str | None = None) -> Machine:
    """The machine of a recording that has been read already."""
    from gpucheck.host.host import Host
    from gpucheck.host.recording import ReplaySource
    from gpucheck.machine.inspect import inspect_host

    return categorise(inspect_host(Host(ReplaySource(recording), "recording"), python))


def simulate(spec: str, ram: str | int | None = None, cpu_cores: int | None = None) -> Machine:
    """A machine with catalogue hardware: "2x RTX 4090", "RTX 4090 + RTX 3090", "M4 Max 128GB".

    `ram` is an amount with a unit ("64GiB") or a number of bytes.

    Raises:
        AmbiguousNameError, UnknownNameError: a name is not that of exactly one card; see its `candidates`.
        UsageError: an amount or a number makes no sense.
    """
    from gpucheck.machine.simulate import simulate_machine

    ram_bytes = parse_bytes(ram) if isinstance(ram, str) else ram
    if ram_bytes is not None and not 0 < ram_bytes <= MAX_RAM_BYTES:
        raise UsageError(f"a machine has more than 0 and at most {format_bytes(MAX_RAM_BYTES)} of memory")
    if cpu_cores is not None and not 1 <= cpu_cores <= MAX_CPU_CORES:
        raise UsageError(f"a machine has between 1 and {MAX_CPU_CORES:,} CPU cores")
    return categorise(simulate_machine(spec, ram_bytes, cpu_cores))


def record(origin: str = "", *, redact: bool = True) -> Recording:
    """A recording of this machine: everything that a report asks for, and what a newer gpucheck may ask."""
    from gpucheck import __version__
    from gpucheck.host.files import plain_text
    from gpucheck.host.recording import make_recording
    from gpucheck.host.redact import Redactor, names_here
    from gpucheck.machine.evidence import ask_everything
    from gpucheck.machine.inspect import inspect_host

    host = _live_host()
    inspect_host(host)
    ask_everything(host)
    redactor = Redactor(*names_here()) if redact else None
    return make_recording(host.answers, f"gpucheck {__version__}", plain_text(origin), redactor)


def model(reference: str) -> ModelReference:
    """The model that a reference means: a size ("7b", "8x7b", "30b-a3b"), with an optional "@QUANT".

    Raises:
        UnknownNameError: it is not a size.
        UsageError: its quantization is not known.
    """
    return parse_reference(reference)


def fit(
    machine: Machine,
    model: ModelReference | str,
    quant: str | None = None,
    context: int = 8192,
    engine: str = "llama.cpp",
) -> FitAnswer:
    """Whether a model fits the machine, with its memory part by part.

    Raises:
        UnknownNameError, UsageError: the model, quantization or engine is not known.
    """
    reference = parse_reference(model) if isinstance(model, str) else model
    return fit_size(machine, reference, quant, context, engine)


def fits(machine: Machine, context: int = 8192) -> tuple[FitAnswer, ...]:
    """The usual sizes in 16, 8 and 4 bits on this machine."""
    return default_fits(machine, context)


def problems(machine: Machine) -> tuple[Finding, ...]:
    """What stands in the way, the worst first, each with its remedy."""
    return find_problems(machine)


def _live_host() -> Host:
    from gpucheck.host.host import Host
    from gpucheck.host.live import LiveSource

    root = os.environ.get(ROOT_VARIABLE) or "/"
    if not os.path.isdir(root):  # a mistyped path is not a machine without devices
        raise UsageError(f"{ROOT_VARIABLE}: {root} is not a directory")
    return Host(LiveSource(root), "live")
