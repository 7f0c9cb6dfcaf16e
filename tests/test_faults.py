"""A seeded sample of the fault campaign: answers made to fail, alone and in pairs."""

from __future__ import annotations

from typing import Any

from benchmarks.faults import Tally, campaign, shown, single_faults, wrong_facts
from gpucheck.host.answer import Answer
from gpucheck.host.recording import Recording

NAMES = [
    "card-rtx-4090", "h100-mig", "amd-rx7900xtx", "amd-strix-halo", "apple-m4-max-128", "windows-laptop-hybrid",
    "container-4gib",
]  # fmt: skip


def test_sample_of_faults() -> None:
    """No fault of the sample raises, hangs, or makes a fact wrong."""
    tally = campaign(NAMES, pairs=60, seed=13, share=0.02)
    assert set(tally.runs) == set(NAMES)
    assert tally.failures == []


def report(**facts: Any) -> dict[str, Any]:
    """A report of one AMD card, as plain data."""
    gpu = {"index": 0, "vendor": "AMD", "kind": "discrete", "pci_address": "0000:03:00.0", "uuid": None,
           "detail": None, "sources": {}, **facts}  # fmt: skip
    parts: dict[str, Any] = {"platform": {}, "cpu": {}, "memory": {}, "limits": {}}
    return {**parts, "issues": [], "gpus": [gpu]}


FAULT: dict[tuple[str, str], Answer[Any]] = {("file", "/sys/x"): Answer(error="io_error")}


def test_a_changed_fact_is_wrong() -> None:
    """Another value is; the like of a figure that is computed from another source of its own is not."""
    before = report(memory={"usable_bytes": 1000}, sources={"memory.usable_bytes": "assumed"})
    near = report(memory={"usable_bytes": 1050}, sources={"memory.usable_bytes": "assumed"})
    far = report(memory={"usable_bytes": 1500}, sources={"memory.usable_bytes": "assumed"})
    assert wrong_facts(before, near, FAULT) == []
    assert wrong_facts(before, far, FAULT) == ["gpus[0].memory.usable_bytes: 1000 became 1500"]
    told = [report(memory={"usable_bytes": n}, sources={"memory.usable_bytes": "reported"}) for n in (1000, 1050)]
    assert wrong_facts(*told, FAULT) == ["gpus[0].memory.usable_bytes: 1000 became 1050"]


def test_unknown_needs_a_word() -> None:
    """An issue, or the detail of a device that is not well."""
    before, silent = report(uuid="GPU-1", gfx_target="gfx942"), report(gfx_target=None)
    assert wrong_facts(before, silent, FAULT) == ["something became unknown without an issue"]
    assert wrong_facts(before, report(gfx_target=None, detail="/dev/kfd is not here"), FAULT) == []
    issue = {"code": "io_error", "source": "/sys/x", "detail": ""}
    assert wrong_facts(before, {**silent, "issues": [issue]}, FAULT) == []


def test_refused_nodes_are_no_fault() -> None:
    """Of KFD's nodes a refusal tells that the card was not given; of other files it is a fault."""
    answers: dict[str, dict[str, Answer[Any]]] = {
        "file": {
            "/sys/class/kfd/kfd/topology/nodes/12/properties": Answer("simd_count 0\n"),
            "/sys/class/kfd/kfd/topology/nodes/12/mem_banks/0/properties": Answer("heap_type 1\n"),
        }
    }
    faults = single_faults(Recording("gpucheck recording", 1, "a test", "recording", "a test", False, answers))
    refused = [key for (_, key), found in faults if found.error == "no_permission"]
    assert refused == ["/sys/class/kfd/kfd/topology/nodes/12/mem_banks/0/properties"]


def test_every_failing_fixture_is_shown() -> None:
    """One with many failures leaves room for the others."""
    tally = Tally(failures=[*["first: x"] * 300, "second: y"])
    tally.runs.update({"first": 400, "second": 10, "third": 10})
    lines = list(shown(tally, most=20))
    assert lines[0] == "first: 300 failures of 400 runs"
    assert lines[-2:] == ["second: 1 failures of 10 runs", "second: y"]
    assert len(lines) == 13
