"""The first sentences of a report, for every kind of machine."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.assess.category import categorise
from gpucheck.machine.types import DisplayAdapter, Gpu, GpuMemory, Machine
from gpucheck.probes.facts import Cpu, Memory, Platform, ProbeIssue
from gpucheck.report.headline import cards_in_words, headline, problem_line
from gpucheck.units import GIB
from tests.running import machine


def _machine(*gpus: Gpu, ram_gib: int | None = 64, **more: Any) -> Machine:
    ram = None if ram_gib is None else ram_gib * GIB
    memory = Memory(total_bytes=ram, available_bytes=ram, usable_bytes=ram)
    return categorise(
        Machine(source="live", platform=Platform(os="linux"), cpu=Cpu(), memory=memory, gpus=gpus, **more)
    )


def _gpu(index: int = 0, gib: float | None = 24, **more: Any) -> Gpu:
    size = None if gib is None else int(gib * GIB)
    return Gpu(
        index=index,
        **{
            "name": "NVIDIA Test Card",
            "vendor": "NVIDIA",
            "state": "ok",
            "kind": "discrete",
            "memory": GpuMemory(total_bytes=size, free_bytes=size, usable_bytes=size, kind="dedicated"),
            **more,
        },
    )


def test_no_gpu() -> None:
    """A machine without a GPU is named as one, with what its RAM holds."""
    said = headline(_machine(ram_gib=16))
    assert said.startswith("CPU-only machine: no GPU or AI accelerator found. Holds models up to about ")
    assert said.endswith("in 4-bit in 16.0 GiB of memory, on the CPU.")


def test_no_gpu_because_the_search_failed() -> None:
    """Where a probe failed, that no GPU was found is not the whole truth, and the sentence says so."""
    failed = ProbeIssue(code="probe_failed", source="probe amd", detail="KeyError: 'x'")
    said = headline(_machine(ram_gib=16, issues=(failed, replace(failed, code="timeout"))))
    assert said.startswith(
        "CPU-only machine: no GPU or AI accelerator found, but probe amd failed (-v shows why). Holds"
    )


def test_no_gpu_but_another_display() -> None:
    """A display adapter that is no accelerator is counted, not passed over."""
    vga = DisplayAdapter(name=None, pci_address="0000:00:02.0", pci_id="1234:1111")
    assert "found (1 other display adapter). Holds" in headline(_machine(display_adapters=(vga,)))
    assert "found (2 other display adapters). Holds" in headline(_machine(display_adapters=(vga, vga)))


def test_no_gpu_and_hardly_memory() -> None:
    """Where not even the smallest size fits, the sentence says so rather than naming one."""
    tiny = replace(_machine(), memory=Memory(total_bytes=GIB // 4, available_bytes=GIB // 8, usable_bytes=GIB // 8))
    assert headline(tiny).endswith("Holds none of the usual model sizes in 128 MiB of memory.")


def test_nothing_known() -> None:
    """Unknown memory is said to be unknown; it is not 0 and not a guess."""
    assert headline(_machine(ram_gib=None)).endswith("How much memory it has is not known.")
    said = headline(_machine(_gpu(gib=None), ram_gib=None))
    assert "one NVIDIA Test Card. How much memory its GPU has is not known." in said


def test_one_card() -> None:
    """One card is named with the size it is sold as, and what it holds alone and with the CPU."""
    said = headline(machine("card-rtx-4090"))
    assert said.startswith(
        "Consumer machine: one NVIDIA GeForce RTX 4090, 24 GB. Holds models up to about 32B in 4-bit"
    )
    assert "on the GPU; up to " in said
    assert said.endswith("with a part on the CPU, slowly.")


def test_eight_cards_one_lost() -> None:
    """A lost card is still counted among the eight, and the sentence tells how many are left."""
    said = headline(machine("h100-x8-one-lost"))
    assert said.startswith(
        "High-end machine: 8 × NVIDIA H100 80GB HBM3, 640 GB, 7 of 8 usable. Holds models up to about"
    )
    assert "on the GPUs" in said


def test_hidden_cards() -> None:
    """Hidden is not absent: the cards are named, and that no process can use them."""
    said = headline(machine("gpus-hidden"))
    assert said.startswith(
        "Consumer machine: 2 × NVIDIA GeForce RTX 4090, 48 GB, but no process can use them at the moment. Holds"
    )
    assert said.endswith("on the CPU.")


def test_one_of_two_hidden() -> None:
    """With one card of two hidden, the rest decides what fits."""
    pair = machine("gpus-hidden").gpus
    seen = replace(pair[0], visible=True, hidden_by=None)
    said = headline(replace(machine("gpus-hidden"), gpus=(seen, pair[1])))
    assert "48 GB, 1 of 2 usable. Holds models up to about 32B in 4-bit on the GPU;" in said


def test_mig() -> None:
    """Slices are counted, and what fits is what fits in the largest of them."""
    said = headline(machine("h100-mig"))
    assert said.startswith("High-end machine: one NVIDIA H100 80GB HBM3, 80 GB in 4 MIG slices. Holds models up to")
    assert "in 4-bit on the largest slice" in said


def test_mig_without_instances() -> None:
    """A card in MIG mode with no instances cannot be used as it is."""
    said = headline(machine("h100-mig-empty"))
    assert "one NVIDIA H100 80GB HBM3, 80 GB, but no process can use it at the moment" in said


def test_several_kinds() -> None:
    """Unlike cards are listed with their own numbers and sizes."""
    said = headline(gpucheck.simulate("RTX 4090 + 2x RTX 3090 + T4", ram="64GiB"))
    assert "one NVIDIA GeForce RTX 4090, 24 GB, 2 × NVIDIA GeForce RTX 3090, 48 GB and one NVIDIA T4, 16 GB." in said


@pytest.mark.parametrize(
    ("gpus", "words"),
    [
        ((_gpu(),), "one NVIDIA Test Card, 24 GB"),
        ((_gpu(), _gpu(1)), "2 × NVIDIA Test Card, 48 GB"),
        ((_gpu(), _gpu(1, gib=12)), "one NVIDIA Test Card, 24 GB and one NVIDIA Test Card, 12 GB"),
        ((_gpu(name=None, gib=None),), "one GPU without a name"),
    ],
)
def test_cards_in_words(gpus: tuple[Gpu, ...], words: str) -> None:
    """Like cards are counted together, of unknown size without one, nameless ones as that."""
    assert cards_in_words(list(gpus)) == words


def test_problem_line() -> None:
    """Errors and warnings are counted, the worst is quoted with its code; nothing wrong is no line."""
    [lost] = gpucheck.problems(machine("h100-x8-one-lost"))
    [hidden] = gpucheck.problems(machine("gpus-hidden"))
    assert problem_line(()) is None
    assert problem_line((replace(lost, severity="info"),)) is None
    assert problem_line((lost,)) == f"1 error: {lost.title} (GC501)."
    assert problem_line((lost, lost, hidden)) == f"2 errors, 1 warning: {lost.title} (GC501)."
    assert problem_line((hidden, replace(lost, severity="info"))) == f"1 warning: {hidden.title} (GC402)."
