"""What every form of the gate's answer says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import gpucheck
from gpucheck.report.require_facts import FACTS, facts, line_of, lowest, one_line, verdict
from gpucheck.report.require_formats import FORMATS, format_for, render
from tests.report.by_hand import BROKEN, CAPABILITY, DRIVER, H100, MIXED, T4, VRAM, answers, named, requirements
from tests.running import machine


def test_facts_of_an_h100_and_a_t4() -> None:
    """Every fact of a machine that answers, in the order of `FACTS`."""
    assert facts(H100, machine("card-h100-sxm")) == {
        "answer": "met",
        "gpu_count": "1",
        "gpu_name": "NVIDIA H100 80GB HBM3",
        "vram_bytes": str(81_559 << 20),
        "compute_capability": "9.0",
        "category": "High-end",
        "torch_index": gpucheck.torch_build(machine("card-h100-sxm")).index,
    }
    found = facts(T4, machine("card-t4"))
    assert tuple(found) == FACTS
    assert (found["answer"], found["vram_bytes"], found["torch_index"]) == ("not_met", str(15_360 << 20), "cu126")


def test_what_is_not_known_is_no_fact() -> None:
    """No GPU, one that does not say its name, or one that no compute capability applies to: no such fact."""
    assert set(facts(H100, machine("vm-no-gpu"))) == {"answer", "gpu_count", "category", "torch_index"}
    assert "gpu_name" not in facts(H100, named(None))
    assert "compute_capability" not in facts(H100, machine("card-mi300x"))
    assert "torch_index" not in facts(H100, machine("amd-shared-id-73bf"))


def test_whether_there_are_more_gpus_must_be_known() -> None:
    """A card that a process perhaps can use leaves the facts of the GPUs open; one that it cannot for sure does not."""
    assert set(facts(BROKEN, machine("driver-mismatch"))) == {"answer", "category"}
    assert facts(BROKEN, machine("driver-missing"))["gpu_count"] == "0"
    assert facts(H100, machine("h100-x8-one-lost"))["gpu_count"] == "7"
    assert facts(H100, machine("h100-mig"))["gpu_count"] == "4"


def test_graphics_beside_a_card_do_not_count() -> None:
    """As requirements count: the card alone, and the processor's graphics where there is no card."""
    found = facts(H100, machine("windows-no-nvml-adapterram"))
    assert (found["gpu_count"], found["gpu_name"]) == ("1", "AMD Radeon RX 9070 XT")
    assert facts(H100, machine("amd-strix-halo"))["gpu_count"] == "1"


def test_unlike_cards() -> None:
    """Every name once, the smallest memory and the lowest compute capability; nothing that is not known of all."""
    t4, big = machine("card-t4").gpus[0], machine("card-h100-sxm").gpus[0]
    found = facts(T4, replace(machine("card-t4"), gpus=(big, t4, t4)))
    assert found["gpu_name"] == "NVIDIA H100 80GB HBM3 + Tesla T4"
    assert (found["gpu_count"], found["compute_capability"]) == ("3", "7.5")
    assert found["vram_bytes"] == str(15_360 << 20)
    blank = replace(t4, memory=replace(t4.memory, total_bytes=None), compute_capability=None)
    assert not {"vram_bytes", "compute_capability"} & set(facts(T4, replace(machine("card-t4"), gpus=(big, blank))))


def test_compute_capabilities_are_compared_as_numbers() -> None:
    """12.0 is higher than 9.0, and one that is not known leaves the lowest open."""
    assert lowest(["12.0", "9.0", "10.3"]) == "9.0"
    assert lowest(["12.0", None]) is None
    assert lowest([]) is None


@pytest.mark.parametrize(
    ("outcomes", "sentence"),
    [
        ((), "no requirements"),
        ((CAPABILITY,), "the requirement is met"),
        ((CAPABILITY, CAPABILITY), "all 2 requirements met"),
        ((VRAM,), "1 of 1 requirement not met"),
        ((CAPABILITY, DRIVER), "1 of 2 requirements could not be determined"),
        ((VRAM, CAPABILITY, DRIVER), "1 of 3 requirements not met, 1 could not be determined"),
    ],
)
def test_verdict(outcomes: tuple[object, ...], sentence: str) -> None:
    """One sentence counts what is not met and what is not determined."""
    assert verdict(requirements(*outcomes)) == sentence  # type: ignore[arg-type]


def test_a_line_says_found_required_and_remedy() -> None:
    """An outcome on one line; what is met needs no remedy."""
    assert line_of(VRAM) == "min_vram: needs 24 GiB, found 16 GB nominal. Take a card with more memory."
    assert line_of(DRIVER) == "min_driver: needs 550, found unknown (NVML does not answer). Mend the driver."
    assert line_of(replace(CAPABILITY, remedy="None needed.")) == "min_compute_capability: needs 8.0, found 9.0"


@given(st.text())
def test_one_line(text: str) -> None:
    """Any text becomes one printable line, and a printable line without double spaces stays what it is."""
    line = one_line(text)
    assert line.isprintable()
    assert one_line(line) == line
    assert len(line) <= len(text)


@pytest.mark.parametrize("format_", FORMATS)
@given(answers=answers())
def test_every_format_takes_any_answer(format_: str, answers: object) -> None:
    """Whatever texts an answer has, each form of it is UTF-8 text that ends in one line end, without controls."""
    text = render(format_, answers, machine("card-t4"))  # type: ignore[arg-type]
    assert text.encode().endswith(b"\n")
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("answer", "name"), [(H100, "card-h100-sxm"), (T4, "card-t4"), (BROKEN, "driver-mismatch"), (MIXED, "vm-no-gpu")]
)
def test_every_format_is_the_same_twice(format_: str, answer: object, name: str) -> None:
    """Equal answers give equal text."""
    first, second = (render(format_, answer, machine(name)) for _ in range(2))  # type: ignore[arg-type]
    assert first == second


def test_an_unknown_format_is_a_key_error() -> None:
    """Only the formats by name are modules that get imported."""
    with pytest.raises(KeyError):
        render("facts", H100, machine("card-t4"))


@pytest.mark.parametrize(
    ("environment", "format_"),
    [
        ({}, "text"),
        ({"GITHUB_ACTIONS": "true"}, "github"),
        ({"GITHUB_ACTIONS": "false"}, "text"),
        ({"GITHUB_ACTIONS": ""}, "text"),
        ({"GITLAB_CI": "true", "CI": "true"}, "text"),
        ({"JENKINS_URL": "http://localhost"}, "text"),
    ],
)
def test_the_format_of_a_ci_job(environment: dict[str, str], format_: str) -> None:
    """GitHub Actions shows annotations; every other log is for people."""
    assert format_for(environment) == format_
