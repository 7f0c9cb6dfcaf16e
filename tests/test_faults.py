"""A seeded sample of the fault campaign: answers made to fail, alone and in pairs."""

from __future__ import annotations

from typing import Any

from benchmarks.faults import Tally, campaign, is_an_answer, shown, wrong_facts
from gpucheck.host.answer import Answer

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
    told, other = (
        report(memory={"usable_bytes": n}, sources={"memory.usable_bytes": "reported"}) for n in (1000, 1050)
    )
    assert wrong_facts(told, other, FAULT) == ["gpus[0].memory.usable_bytes: 1000 became 1050"]


def test_unknown_needs_a_word() -> None:
    """An issue, or the detail of a device that is not well."""
    before, silent = report(gfx_target="gfx942"), report(gfx_target=None)
    assert wrong_facts(before, silent, FAULT) == ["unknown without an issue: gpus[0].gfx_target"]
    assert wrong_facts(before, report(gfx_target=None, detail="/dev/kfd is not here"), FAULT) == []
    issue = {"code": "io_error", "source": "/sys/x", "detail": ""}
    assert wrong_facts(before, {**silent, "issues": [issue]}, FAULT) == []


def test_vanishing_needs_a_word() -> None:
    """A device, an entry of a list, and a part of a list of peers are facts too."""
    before = report(p2p_peers=[0])
    assert wrong_facts(before, {**before, "gpus": []}, FAULT) == ["unknown without an issue: gpus"]
    assert wrong_facts(before, report(p2p_peers=[]), FAULT) == ["unknown without an issue: gpus[0].p2p_peers"]
    torch = {"name": "torch", "version": "2.9.1", "usable": False}
    installed = {**before, "frameworks": [torch]}
    assert wrong_facts(installed, {**before, "frameworks": []}, FAULT) == ["unknown without an issue: frameworks"]
    usable = {**before, "frameworks": [{**torch, "usable": True}]}
    assert wrong_facts(installed, usable, FAULT) == ["frameworks[torch].usable: False became True"]


def test_a_device_of_nowhere_is_wrong() -> None:
    """A card that comes apart into two."""
    before = report()
    twice = {**before, "gpus": [*before["gpus"], {**before["gpus"][0], "index": 1, "pci_address": None}]}
    assert wrong_facts(before, twice, FAULT) == ["gpus[1] is no device of the healthy report"]


def test_a_weaker_source_tells_no_other_word() -> None:
    """What is no figure is the same by every source, or wrong."""
    told = report(chip="AD102", sources={"chip": "reported"})
    other = report(chip="AD103", sources={"chip": "derived"})
    assert wrong_facts(told, other, FAULT) == ["gpus[0].chip: 'AD102' became 'AD103'"]


def test_peers_are_the_devices_that_they_number() -> None:
    """A device that is gone shifts the numbers of those behind it; the peers are the same devices."""
    first, second, third = ({**report()["gpus"][0], "pci_address": f"0000:0{n}:00.0", "index": n} for n in range(3))
    before = {**report(), "gpus": [first, {**second, "p2p_peers": [2]}, {**third, "p2p_peers": [1]}]}
    moved = [{**second, "index": 0, "p2p_peers": [1]}, {**third, "index": 1, "p2p_peers": [0]}]
    issue = {"code": "io_error", "source": "/sys/x", "detail": ""}
    assert wrong_facts(before, {**before, "gpus": moved, "issues": [issue]}, FAULT) == []
    moved[0]["p2p_peers"] = [0]
    wrong = wrong_facts(before, {**before, "gpus": moved, "issues": [issue]}, FAULT)
    assert wrong == ["gpus[1].p2p_peers: [2] became [1]"]


def test_what_a_machine_may_say() -> None:
    """Absence tells of what many machines do not have; that nobody looked tells of less."""
    folder = "/sys/class/kfd/kfd/topology/nodes/12"
    assert is_an_answer("file", f"{folder}/properties", "no_permission")
    assert not is_an_answer("file", f"{folder}/mem_banks/0/properties", "no_permission")
    assert is_an_answer("dir", f"{folder}/p2p_links", "not_found")
    assert not is_an_answer("dir", f"{folder}/p2p_links", "not_recorded")
    assert not is_an_answer("dir", f"{folder}/mem_banks", "not_found")
    assert not is_an_answer("file", "/etc/ld.so.conf.d/x.conf", "not_found")
    assert is_an_answer("nvml", "gpu0/NvLinkState.3", "nvml_invalid_argument")
    assert not is_an_answer("nvml", "gpu0/MigMode", "nvml_invalid_argument")


def test_every_failing_fixture_is_shown() -> None:
    """One with many failures leaves room for the others."""
    tally = Tally(failures=[*["first: x"] * 300, "second: y"])
    tally.runs.update({"first": 400, "second": 10, "third": 10})
    lines = list(shown(tally, most=20))
    assert lines[0] == "first: 300 failures of 400 runs"
    assert lines[-2:] == ["second: 1 failures of 10 runs", "second: y"]
    assert len(lines) == 13
