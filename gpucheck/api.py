"""The Python interface: what `import gpucheck` offers, loaded when it is first used.

Nothing here initialises CUDA or imports a framework in the caller's process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpucheck.assess.category import categorise
from gpucheck.assess.findings import Finding, find_problems
from gpucheck.assess.fit import FitAnswer, default_fits
from gpucheck.errors import RequirementsNotMetError, UsageError
from gpucheck.estimators.setting import make_setting
from gpucheck.machine.types import Machine
from gpucheck.models.reference import ModelReference, parse_reference
from gpucheck.shown import Form, show_with
from gpucheck.units import TIB, format_bytes, parse_bytes

if TYPE_CHECKING:
    from gpucheck.assess.need import Need
    from gpucheck.assess.pick import Picked
    from gpucheck.assess.requirements.outcome import Requirements
    from gpucheck.assess.torch_answer import TorchBuild
    from gpucheck.host.host import Host
    from gpucheck.host.recording import Recording

ROOT_VARIABLE = "GPUCHECK_ROOT"
MAX_RAM_BYTES, MAX_CPU_CORES = 1024 * TIB, 65_536


def inspect(
    python: str | None = None, *, kernel_log: bool = False, deep: bool = False, deep_limit_s: float | None = None
) -> Machine:
    """This machine, or the copied tree of `/proc` and `/sys` that `GPUCHECK_ROOT` names.

    `python` is the interpreter whose frameworks are looked at; by default that of the active environment. With
    `kernel_log` past errors of NVIDIA cards that are well now are looked for too, which takes a command. With `deep`
    each of those frameworks is imported and made to compute in a child process, for at most `deep_limit_s` seconds
    (None: 30 or 60, by framework). What cannot be found out is None, with the reason in `issues`; nothing is raised
    for it.

    Raises:
        UsageError: `GPUCHECK_ROOT` names no directory.
    """
    from gpucheck.machine.inspect import inspect_host

    found = inspect_host(_live_host(), python, kernel_log=kernel_log, deep=deep, deep_limit_s=deep_limit_s)
    return categorise(found)


def load(
    path: str | os.PathLike[str], python: str | None = None, *, kernel_log: bool = False, deep: bool = False
) -> Machine:
    """The machine of a recording; `kernel_log` is as in `inspect`.

    What a recording holds of a deep check is always told; with `deep` it is an issue if it holds none.

    Raises:
        RecordingError: the file cannot be read or is not a recording.
    """
    from gpucheck.host.recording import read_recording

    return replay(read_recording(path), python, kernel_log=kernel_log, deep=deep)


def replay(recording: Recording, python: str | None = None, *, kernel_log: bool = False, deep: bool = False) -> Machine:
    """The machine of a recording that has been read already; `kernel_log` and `deep` are as in `load`."""
    from gpucheck.host.host import Host
    from gpucheck.host.recording import ReplaySource
    from gpucheck.machine.inspect import inspect_host

    host = Host(ReplaySource(recording), "recording")
    return categorise(inspect_host(host, python, kernel_log=kernel_log, deep=deep))


def simulate(
    spec: str, ram: str | int | None = None, cpu_cores: int | None = None, python: str | None = None
) -> Machine:
    """A machine with catalogue hardware: "2x RTX 4090", "RTX 4090 + RTX 3090", "M4 Max 128GB".

    `ram` is an amount with a unit ("64GiB") or a number of bytes. With `python`, the path of an interpreter of this
    machine, the frameworks in its environment are looked at and held against those cards; without it nothing of this
    machine is.

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
    machine = simulate_machine(spec, ram_bytes, cpu_cores)
    if python is not None:
        from gpucheck.machine.software import with_environment

        machine = with_environment(machine, _live_host(), python)
    return categorise(machine)


def record(
    origin: str = "", *, redact: bool = True, deep: bool = False, deep_limit_s: float | None = None
) -> Recording:
    """A recording of this machine: everything that a report asks for, and what a newer gpucheck may ask.

    `deep` and `deep_limit_s` are as in `inspect`.
    """
    from gpucheck import __version__
    from gpucheck.host.files import plain_text
    from gpucheck.host.recording import make_recording
    from gpucheck.host.redact import Redactor, names_here
    from gpucheck.machine.evidence import ask_everything
    from gpucheck.machine.inspect import inspect_host

    host = _live_host()
    inspect_host(host, kernel_log=True, deep=deep, deep_limit_s=deep_limit_s)
    ask_everything(host)
    redactor = Redactor(*names_here()) if redact else None
    return make_recording(host.answers, f"gpucheck {__version__}", plain_text(origin), redactor)


def model(reference: str) -> ModelReference:
    """The model that a reference means, with an optional "@QUANT".

    A size ("7b", "8x7b", "30b-a3b"); a name of the catalogue or a part of it that only one has; a config.json, a
    directory with one, a .safetensors or a .gguf file; what already lies in the local stores of Hugging Face, LM
    Studio and Ollama; or "hf:ORG/NAME", the only one that reaches for the network.

    Raises:
        UnknownNameError, AmbiguousNameError: it is none of these, or several; see its `candidates`.
        UsageError: its quantization is not known, or its file cannot be read or is damaged.
    """
    return parse_reference(reference)


def estimate(  # noqa: PLR0913 (the names of the engines' settings)
    model: ModelReference | str,
    quant: str | None = None,
    *,
    context: int = 8192,
    batch: int = 1,
    engine: str | None = None,
    options: Mapping[str, Any] | None = None,
    gpus: int = 1,
    task: str = "inference",
) -> Need:
    """The memory that a model needs in an engine, part by part, over `gpus` GPUs (0: on the CPU alone).

    Without a quantization it is that of the model's file, else 4 bits (16 in transformers). `options` are the engine's
    own by their own names; those that are not given take the defaults of its server and are among `assumptions`.
    Without an engine it is llama.cpp. `task` full, lora or qlora asks for training instead, by transformers, torchtune
    or litgpt: `context` is then the length of a sequence, `batch` the sequences at once on each GPU, and gradients and
    optimizer states count as compute.

    Raises:
        UnknownNameError, UsageError: the model, quantization, engine or an option is not known.
    """
    from gpucheck.assess.need import need_of

    return need_of(_reference(model), quant, make_setting(context, batch, engine, options, task=task), gpus)


def fit(  # noqa: PLR0913 (the same)
    machine: Machine,
    model: ModelReference | str,
    quant: str | None = None,
    context: int = 8192,
    engine: str | None = None,
    *,
    batch: int = 1,
    options: Mapping[str, Any] | None = None,
    max_context: bool = False,
    task: str = "inference",
) -> FitAnswer:
    """Whether a model fits the machine, with its memory part by part, and what would make it fit if it does not.

    With `max_context` the answer also has the longest context that fits. `task` is as in `estimate`.

    Raises:
        UnknownNameError, UsageError: the model, quantization, engine or an option is not known.
    """
    from gpucheck.assess.changes import fit_with_changes

    setting = make_setting(context, batch, engine, options, task=task)
    return fit_with_changes(machine, _reference(model), quant, setting, longest=max_context)


def largest(  # noqa: PLR0913 (the same)
    machine: Machine,
    quant: str | None = None,
    *,
    context: int = 8192,
    engine: str | None = None,
    batch: int = 1,
    options: Mapping[str, Any] | None = None,
    task: str = "inference",
) -> tuple[FitAnswer, ...]:
    """The largest models of the catalogue that fit the machine, one for each of 16, 8 and 4 bits, or for `quant`.

    With a `task` of training it is the largest that can be trained so.

    Raises:
        UsageError: the quantization, engine or an option is not known.
    """
    from gpucheck.assess.largest import largest_models

    return largest_models(machine, quant, make_setting(context, batch, engine, options, task=task))


def _reference(model: ModelReference | str) -> ModelReference:
    return parse_reference(model) if isinstance(model, str) else model


def fits(machine: Machine, context: int = 8192) -> tuple[FitAnswer, ...]:
    """The usual sizes in 16, 8 and 4 bits on this machine."""
    return default_fits(machine, context)


def problems(machine: Machine) -> tuple[Finding, ...]:
    """What stands in the way, the worst first, each with its remedy."""
    return find_problems(machine)


def torch_build(  # noqa: PLR0913 (what decides)
    machine: Machine,
    version: str | None = None,
    python_version: str | None = None,
    *,
    driver: str | None = None,
    system: str | None = None,
    arch: str | None = None,
) -> TorchBuild:
    """The build of PyTorch that every usable GPU of the machine can run, with the commands, or why there is none.

    `version` is a release ("2.9.1") or a series ("2.9"); without one it is the newest that has such a build. `driver`
    names an NVIDIA driver in place of the machine's; a simulated machine that has none gets the newest for its cards.
    `system` ("linux", "windows", "macos") and `arch` ("x86_64", "aarch64") ask for the same GPUs in another machine,
    of whose driver and Python nothing is known. Without `python_version` the Python of the environment that is active,
    or was named, decides.

    Raises:
        UsageError: a version of torch, Python or the driver is none, or a system or an architecture has another name.
    """
    from gpucheck.assess.torch_build import choose_build

    return choose_build(machine, version, python_version, driver, system=system, arch=arch)


def require(
    machine: Machine | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    profile: str | None = None,
    **requirements: Any,
) -> Requirements:
    """Whether a machine meets requirements: each is met, not met, or could not be determined.

    They are those of a requirements file, of its `profile` if one is named, and keyword arguments by the names of the
    vocabulary (`min_vram="24GiB"`, `model=["8b@q4"]`), which come before the file's. Without any of them it is the
    file gpucheck.toml or the table [tool.gpucheck] of pyproject.toml in the current directory. Without a `machine`
    this one is inspected.

    Raises:
        RequirementsFileError: the file has mistakes; `problems` lists them all.
        UsageError: a requirement is not of the vocabulary or makes no sense, or nothing is demanded.
    """
    from gpucheck.assess.requirements.demand import demand
    from gpucheck.assess.requirements.evaluate import evaluate
    from gpucheck.assess.requirements.outcome import Requirements, answer_of

    demanded = demand(requirements, None if file is None else os.fspath(file), profile)
    outcomes = evaluate(inspect() if machine is None else machine, demanded.wanted)
    return Requirements(outcomes=outcomes, answer=answer_of(outcomes), profile=demanded.profile, file=demanded.file)


def pick_devices(  # noqa: PLR0913 (what can be demanded)
    count: int | None = 1,
    *,
    min_free: str | int | None = None,
    min_vram: str | int | None = None,
    min_compute_capability: str | None = None,
    vendor: str | None = None,
    prefer: str = "free",
    machine: Machine | None = None,
) -> Picked:
    """The GPUs that a program should take now, and the variables that keep it to them; nothing is reserved.

    Of the GPUs that a process here can use it takes those with the most free memory, then of the highest category, then
    with the most bandwidth (`prefer="strong"`: category and bandwidth first). Several are of one maker, alike and
    linked if possible; MIG devices go alone. `count` None is as many as one process can use together. `min_free` and
    `min_vram` are amounts with a unit ("20GiB") or bytes; the size that a card is sold as meets `min_vram` too.
    `vendor` is nvidia, amd, intel or apple. Without a `machine` this one is inspected.

    Raises:
        RequirementsNotMetError: there are not that many, or nobody can tell; unknown free memory is not enough of it.
        UsageError: an argument makes no sense.
    """
    from gpucheck.assess.pick import TooFew, pick
    from gpucheck.assess.pick_wish import make_wish

    wish = make_wish(
        count,
        min_free=min_free,
        min_vram=min_vram,
        min_compute_capability=min_compute_capability,
        vendor=vendor,
        prefer=prefer,
    )
    found = pick(machine if machine is not None else inspect(), wish)
    if isinstance(found, TooFew):
        raise RequirementsNotMetError(found.message)
    return found


def _shown(thing: object, form: Form) -> str:
    from gpucheck.report.notebook import shown

    return shown(thing, form)


show_with(_shown)  # what this module gives shows itself in notebooks


def _live_host() -> Host:
    from gpucheck.host.host import Host
    from gpucheck.host.live import LiveSource

    root = os.environ.get(ROOT_VARIABLE) or "/"
    if not os.path.isdir(root):  # a mistyped path is not a machine without devices
        raise UsageError(f"{ROOT_VARIABLE}: {root} is not a directory")
    return Host(LiveSource(root), "live")
