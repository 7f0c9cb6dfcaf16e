"""Frameworks that a deep check has tried: what they did is stronger than any table, for better or worse."""

from __future__ import annotations

import re

from msgspec.structs import replace

from gpucheck.host.host import Host
from gpucheck.machine.running import Running
from gpucheck.machine.types import Machine
from gpucheck.probes.deep import probe_deep, time_for
from gpucheck.probes.facts import DeepCheck, DeepDevice, DeepStep, Framework

IMPORT, FIND, START = "import", "find devices", "initialise"
KERNELS = "load kernels"
_COMPUTES = ("add", "matmul")
# Of these, finding no GPU is an answer; the others are asked for what they were built with.
_FINDING = frozenset({"torch", "jax", "mlx", "triton", "tensorflow", "tensorflow-cpu", "tensorflow-rocm"})
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemory|RESOURCE_EXHAUSTED", re.IGNORECASE)


def with_tries(machine: Machine, host: Host, interpreter: str | None, limit_s: float | None, *, asked: bool) -> Machine:
    """The machine with what came of trying its frameworks, each at most `limit_s` (None: its own limit).

    `asked` says that somebody wants to know, so that a recording without an answer is an issue.
    """
    names = [one.name for one in machine.frameworks]
    running: Running[dict[str, DeepCheck]] = Running(
        "deep", lambda: probe_deep(host, interpreter, names, limit_s, asked=asked), {}, time_for(names, limit_s)
    )
    found = running.result()
    frameworks = tuple(
        with_check(one, found.facts[one.name]) if one.name in found.facts else one for one in machine.frameworks
    )
    issues = tuple(sorted({*machine.issues, *found.issues}))
    return replace(machine, frameworks=frameworks, issues=issues)


def with_check(framework: Framework, check: DeepCheck) -> Framework:
    """The framework with its check, judged by it where it tells anything; torch with the targets that it names."""
    framework = replace(framework, deep=check)
    if framework.name == "torch" and "arch_list" in check.facts:
        framework = replace(framework, arch_list=tuple(check.facts["arch_list"].split()))
    verdict = _verdict(framework, check)
    return framework if verdict is None else replace(framework, usable=verdict[0], reason=f"tried: {verdict[1]}")


def gpus_of(check: DeepCheck) -> list[DeepDevice]:
    """The devices that are not the CPU."""
    return [device for device in check.devices if device.id.partition(":")[0] != "cpu"]


def computed(device: DeepDevice) -> bool:
    """Whether something was computed on it, and nothing went wrong."""
    done = any(step.outcome == "ok" and step.name.startswith(_COMPUTES) for step in device.steps)
    return done and all(step.outcome in {"ok", "skipped"} for step in device.steps)


def proved(framework: Framework) -> bool:
    """Whether it has computed on every GPU that it sees."""
    gpus = gpus_of(framework.deep) if framework.deep is not None else []
    return bool(gpus) and all(map(computed, gpus))


def fault_of(steps: tuple[DeepStep, ...]) -> DeepStep | None:
    """The first step that went wrong or did not end."""
    return next((step for step in steps if step.outcome in {"failed", "unfinished"}), None)


def is_out_of_memory(step: DeepStep) -> bool:
    """Whether a step failed because others hold the memory."""
    return _OUT_OF_MEMORY.search(f"{step.error} {step.message}") is not None


def said_by(check: DeepCheck, step: DeepStep) -> str:
    """Why a step failed, or what became of the child in it."""
    if step.outcome == "unfinished":
        ends = {
            "timed_out": f"not finished in {check.seconds or 0:.{0 if (check.seconds or 0) >= 10 else 1}f} s",
            "too_much_output": "ended for what it printed, more than 8 MiB",
            "crashed": f"the process died: {check.crash}" + (f" ({check.detail})" if check.detail else ""),
        }
        return ends.get(check.answer, "not finished")
    return ": ".join(part for part in (step.error, step.message) if part) or "no reason given"


def _verdict(framework: Framework, check: DeepCheck) -> tuple[bool | None, str] | None:
    """Whether it can use a GPU here and why; None where the check does not tell."""
    loading = fault_of(tuple(step for step in check.steps if step.name in {IMPORT, KERNELS}))
    if loading is not None:
        hung = loading.outcome == "unfinished" and check.answer != "crashed"
        what = "importing it" if loading.name == IMPORT else "loading its compiled code"
        return (None if hung else False), f"{what} fails: {said_by(check, loading)}"
    if check.answer == "unanswered" or not any(step.name == IMPORT for step in check.steps):
        return None
    gpus = gpus_of(check)
    if any(computed(gpu) or fault_of(gpu.steps) for gpu in gpus):
        return _by_computing(check, gpus)
    if gpus:
        return None, f"it sees {', '.join(gpu.id for gpu in gpus)}; nothing was computed"
    return _without_gpu(framework, check)


def _by_computing(check: DeepCheck, gpus: list[DeepDevice]) -> tuple[bool | None, str]:
    good, bad = [gpu for gpu in gpus if computed(gpu)], [gpu for gpu in gpus if not computed(gpu)]
    faults = [(gpu, step) for gpu in bad if (step := fault_of(gpu.steps)) is not None]
    words = [f"{step.name} fails on {gpu.id}: {said_by(check, step)}" for gpu, step in faults]
    if good:
        return True, "; ".join([f"it computes on {', '.join(gpu.id for gpu in good)}", *words[:1]])
    open_question = all(
        is_out_of_memory(step) or (step.outcome == "unfinished" and check.answer != "crashed") for _, step in faults
    )
    return (None if open_question else False), words[0] if words else "nothing was computed"


def _without_gpu(framework: Framework, check: DeepCheck) -> tuple[bool | None, str] | None:
    """A framework that came up and offers no GPU, or none that can be told."""
    why = fault_of(tuple(step for step in check.steps if step.name in {FIND, START}))
    if framework.name in _FINDING:
        if framework.name == "triton" and "target" in check.facts:
            return None, f"it compiles for {check.facts['target']}; nothing was computed"
        works = any(computed(device) for device in check.devices)
        found = "it finds no GPU" + (f" ({said_by(check, why)})" if why is not None else "")
        return False, found + ("; it computes on the CPU" if works else "")
    if check.facts.get("gpu_offload") == "false":
        return False, "its build cannot put layers on a GPU"
    if "providers" in check.facts:
        others = set(check.facts["providers"].split()) - {"CPUExecutionProvider", "AzureExecutionProvider"}
        return (None if others else False), f"its build offers {check.facts['providers']}"
    return None, "it was imported; nothing was computed"
