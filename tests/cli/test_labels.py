"""`gpucheck labels` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucheck.report.labels import FORMATS, render
from tests.running import fixture, machine, run


@pytest.mark.parametrize("format_", FORMATS)
def test_labels_go_to_standard_output(format_: str) -> None:
    """Only the labels, so that a script can take them as they are, whatever the terminal's encoding."""
    ran = run("labels", "--machine", fixture("card-h100-sxm"), "--format", format_, encoding="ascii")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == render(machine("card-h100-sxm"), format_)


def test_simulated_cards() -> None:
    """A machine of the catalogue has labels too, but none that only a driver knows."""
    ran = run("labels", "--simulate", "2x RTX 4090", "--format", "github")
    assert ran.code == 0
    assert {"gpus-2", "vram-24gb", "sm-89"} <= set(ran.out.strip().split(","))
    assert "cuda-" not in ran.out


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("vm-no-gpu", 0, "this machine has no GPU"),
        ("driver-missing", 0, "no kernel driver"),
        ("driver-mismatch", 3, "version mismatch"),
    ],
)
def test_no_labels(format_: str, name: str, code: int, why: str) -> None:
    """Standard output stays empty and one line says why; 3 where the driver does not answer."""
    ran = run("labels", "--machine", fixture(name), "--format", format_)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"gpucheck: no labels for --format {format_}: ")
    assert ran.err.count("\n") == 1
    assert why in ran.err


def test_a_vendor_without_a_vocabulary() -> None:
    """A Mac is no node of Kubernetes: no labels, and why."""
    ran = run("labels", "--machine", fixture("apple-m4-max-128"), "--format", "nfd")
    assert (ran.code, ran.out) == (0, "")
    assert "there is no GPU to label" in ran.err


def test_output_to_a_file(tmp_path: Path) -> None:
    """--output writes the file that Node Feature Discovery reads."""
    file = tmp_path / "gpu"
    assert run("labels", "--machine", fixture("card-t4"), "--format", "nfd", "--output", str(file)).out == ""
    assert file.read_text() == render(machine("card-t4"), "nfd")


def test_a_format_must_be_named() -> None:
    """There is no default among schedulers: a usage error."""
    assert run("labels", "--machine", fixture("card-t4")).code == 2
    assert run("labels", "--machine", fixture("card-t4"), "--format", "docker").code == 2
