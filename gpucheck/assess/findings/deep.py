"""GC310 and GC311: what a deep check tried and what did not work, with what is known of each cause."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.deep_causes import why_not_computing, why_not_importing
from gpucheck.assess.findings.finding import Finding, named
from gpucheck.catalog.torch_builds import maker_of
from gpucheck.machine.software import cards_for, compat_error, driver_too_old
from gpucheck.machine.tried import (
    IMPORT,
    KERNELS,
    START,
    computed,
    fault_of,
    gpus_of,
    is_out_of_memory,
    said_by,
)
from gpucheck.machine.types import Machine
from gpucheck.probes.facts import DeepCheck, DeepDevice, DeepStep, Framework

_SOURCE = "deep check"


def cannot_compute(machine: Machine) -> Iterator[Finding]:
    """GC310: a framework that sees a GPU and fails on it; one finding for the devices that fail alike."""
    for framework in machine.frameworks:
        check = framework.deep
        if check is None:
            continue
        alike: dict[tuple[str, str], list[DeepDevice]] = {}
        for device in gpus_of(check):
            step = fault_of(device.steps)
            if step is not None:
                alike.setdefault((step.name, said_by(check, step)), []).append(device)
        for devices in alike.values():
            step = fault_of(devices[0].steps)
            if step is not None:
                yield _on_devices(machine, framework, check, devices, step)
        yield from _not_started(machine, framework, check)


def cannot_import(machine: Machine) -> Iterator[Finding]:
    """GC311: a framework that does not even load; of one whose files are known to be wrong GC308 speaks."""
    for framework in machine.frameworks:
        check = framework.deep
        step = None if check is None else fault_of(tuple(one for one in check.steps if one.name in {IMPORT, KERNELS}))
        if check is None or step is None or framework.broken is not None:
            continue
        hung = step.outcome == "unfinished" and check.answer == "timed_out"
        what = f"Importing {_versioned(framework)}" if step.name == IMPORT else f"{_versioned(framework)}: its own code"
        how = "does not end" if hung else "kills the process" if step.outcome == "unfinished" else "fails"
        yield Finding(
            code="GC311",
            severity="warning" if hung else "error",
            title=f"{what} {how}" + (f" ({check.crash})" if check.crash else ""),
            found=said_by(check, step),
            required=f"import {_module(framework)} without an error",
            remedy=why_not_importing(machine, framework, check, step),
            source=_SOURCE,
        )


def _on_devices(
    machine: Machine, framework: Framework, check: DeepCheck, devices: list[DeepDevice], step: DeepStep
) -> Finding:
    said = said_by(check, step)
    slow = step.outcome == "unfinished" and check.answer == "timed_out"
    well = [one.name for one in devices[0].steps if one.outcome == "ok"]
    return Finding(
        code="GC310",
        severity="warning" if slow or is_out_of_memory(step) else "error",
        title=f"{_versioned(framework)} sees {_names(devices)} and cannot compute on it: {step.name} fails",
        found=f"{step.name} on {', '.join(device.id for device in devices)}: {said}"
        + (f"; {', '.join(well)} went well" if well else "")
        + _code_of(check, said),
        required="a copy, a sum, products and a wait for the device, each without an error and with the right result",
        remedy=why_not_computing(machine, framework, check, step),
        source=_SOURCE,
    )


def _not_started(machine: Machine, framework: Framework, check: DeepCheck) -> Iterator[Finding]:
    """A torch that offers no GPU where there are some for it, and whose reason no other finding gives."""
    step = fault_of(tuple(one for one in check.steps if one.name == START))
    maker = maker_of(framework.build)
    gpus = cards_for(machine, maker) if maker is not None else []
    if step is None or not gpus or any(map(computed, gpus_of(check))):
        return
    if maker == "NVIDIA" and (compat_error(machine) is not None or driver_too_old(framework, machine) is not None):
        return
    yield Finding(
        code="GC310",
        severity="error",
        title=f"{_versioned(framework)} cannot start {'CUDA' if maker == 'NVIDIA' else 'ROCm'}: it leaves {named(gpus)}"
        " idle",
        found=said_by(check, step),
        required="torch.cuda.init() without an error",
        remedy=why_not_computing(machine, framework, check, step),
        source=_SOURCE,
    )


def _code_of(check: DeepCheck, said: str) -> str:
    """The targets that torch itself names, where it lacks the device's."""
    lacks = "no kernel image" in said or "invalid device function" in said
    return f"; its code is for {check.facts['arch_list']}" if lacks and "arch_list" in check.facts else ""


def _names(devices: list[DeepDevice]) -> str:
    """Such as "NVIDIA GeForce RTX 4090", or "2 GPUs"."""
    return devices[0].name or devices[0].id if len(devices) == 1 else f"{len(devices)} GPUs"


def _versioned(framework: Framework) -> str:
    build = f"+{framework.build}" if framework.build else ""
    return f"{framework.name} {framework.version}{build}" if framework.version else framework.name


def _module(framework: Framework) -> str:
    """The name that is imported."""
    names = {"llama-cpp-python": "llama_cpp", "mlx": "mlx.core", "flash-attn": "flash_attn"}
    return names.get(framework.name, framework.name.partition("-")[0])
