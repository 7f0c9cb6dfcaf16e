# pyright: strict, reportPrivateUsage=false
"""A program that uses the whole interface, for type checkers: mypy and pyright are strict about it in .ci/run.

`assert_type` says what a user's editor should know. It also runs, on machines of the catalogue.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import gpucheck


def machines() -> list[gpucheck.Machine]:
    """This machine, simulated ones, and one that was recorded."""
    recording = gpucheck.record("a typed program")
    assert_type(recording, gpucheck.Recording)
    here = gpucheck.inspect()
    assert_type(here, gpucheck.Machine)
    simulated = gpucheck.simulate("2x RTX 4090", ram="64GiB", cpu_cores=16)
    return [here, gpucheck.replay(recording), simulated]


def facts(machine: gpucheck.Machine) -> str:
    """Facts with their types."""
    category: gpucheck.MachineCategory | None = machine.category
    platform: gpucheck.Platform = machine.platform
    memory: gpucheck.Memory = machine.memory
    cpu: gpucheck.Cpu = machine.cpu
    issues: tuple[gpucheck.ProbeIssue, ...] = machine.issues
    assert_type(memory.usable_bytes, int | None)
    assert_type(machine.usable_gpus, tuple[gpucheck.Gpu, ...])
    words = [category.name if category else "unknown", platform.os or "", cpu.name or "", str(len(issues))]
    for gpu in machine.gpus:
        assert_type(gpu.memory.free_bytes, int | None)
        assert_type(gpu.flops.bf16, float | None)
        of: gpucheck.Category | None = gpu.category
        words.append(f"{gpu.index} {gpu.name} {of.name if of else ''} {gpu.usable}")
    assert_type(machine._repr_html_(), str | None)
    assert_type(machine._repr_markdown_(), str | None)
    return ", ".join(words)


def answers(machine: gpucheck.Machine) -> str:
    """Answers with their types."""
    model = gpucheck.model("qwen3-8b")
    assert_type(model, gpucheck.ModelReference)
    need = gpucheck.estimate(model, "Q4_K_M", context=32768, engine="llama.cpp", options={"type_k": "q8_0"})
    assert_type(need, gpucheck.Need)
    assert_type(need.memory.total_bytes, int)
    answer = gpucheck.fit(machine, model, quant="Q4_K_M", max_context=True)
    assert_type(answer, gpucheck.FitAnswer)
    assert_type(answer.max_context, int | None)
    assert_type(gpucheck.fits(machine), tuple[gpucheck.FitAnswer, ...])
    assert_type(gpucheck.largest(machine, "Q4_K_M"), tuple[gpucheck.FitAnswer, ...])
    findings = gpucheck.problems(machine)
    assert_type(findings, tuple[gpucheck.Finding, ...])
    remedies: list[gpucheck.Remedy] = [finding.remedy for finding in findings]
    build = gpucheck.torch_build(machine, driver="590.48.01", system="linux")
    assert_type(build, gpucheck.TorchBuild)
    assert_type(build.index, str | None)
    return f"{answer.fits} {answer.memory.total_bytes} {len(remedies)} {build.answer}"


def gate(machine: gpucheck.Machine) -> str:
    """Requirements, met or raised for."""
    met = gpucheck.require(machine, min_vram="8GiB")
    assert_type(met, gpucheck.Requirements)
    outcomes: tuple[gpucheck.Outcome, ...] = met.outcomes
    try:
        met.raise_for_unmet()
        picked = gpucheck.pick_devices(min_free="20GiB", vendor="nvidia", prefer="strong", machine=machine)
    except gpucheck.RequirementsNotMetError as error:
        return str(error)
    assert_type(picked, gpucheck.Picked)
    assert_type(picked.environment, Mapping[str, str])
    return f"{len(outcomes)} {picked.devices} {picked.torch_devices}"


def errors() -> list[str]:
    """Every error by its name."""
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            gpucheck.load(Path(folder) / "none.json")
        except gpucheck.RecordingError:
            found.append("not a recording")
        try:
            gpucheck.require(gpucheck.simulate("T4"), file=Path(folder) / "none.toml")
        except (gpucheck.RequirementsFileError, gpucheck.UsageError):
            found.append("no file of requirements")
    try:
        gpucheck.simulate("A100")
    except gpucheck.AmbiguousNameError as error:
        assert_type(error.candidates, tuple[str, ...])
        found.append("several")
    try:
        gpucheck.simulate("RTX 4091")
    except gpucheck.UnknownNameError:
        found.append("none")
    try:
        gpucheck.simulate("T4", ram="lots")
    except gpucheck.UsageError as error:
        wider: gpucheck.GpucheckError = error
        found.append(str(wider))
    return found


if __name__ == "__main__":
    for each in machines():
        print(facts(each), answers(each), gate(each), sep="\n")
    print(gpucheck.__version__, errors())
    assert len(errors()) == 5
