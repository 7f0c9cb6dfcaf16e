"""Machines from the catalogue by words."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucheck.catalog.cards import all_cards
from gpucheck.errors import AmbiguousNameError, GpucheckError, UnknownNameError, UsageError
from gpucheck.machine.simulate import simulate_machine

GIB = 1 << 30


def names(spec: str) -> list[str | None]:
    """The catalogue ids of a simulated machine's cards."""
    return [gpu.catalogue_id for gpu in simulate_machine(spec).gpus]


@pytest.mark.parametrize(
    ("spec", "cards"),
    [
        ("RTX 4090", ["rtx-4090"]),
        ("2x RTX 4090", ["rtx-4090"] * 2),
        ("2 x RTX 4090", ["rtx-4090"] * 2),
        ("2× RTX 4090", ["rtx-4090"] * 2),
        ("2xRTX 4090", ["rtx-4090"] * 2),
        ("2×RTX4090", ["rtx-4090"] * 2),
        ("2 * RTX 4090", ["rtx-4090"] * 2),
        ("  2x   RTX 4090  ", ["rtx-4090"] * 2),
        ("2x\tRTX 4090\n", ["rtx-4090"] * 2),
        ("1x RTX 4090", ["rtx-4090"]),
        ("64x H100 PCIe", ["h100-pcie"] * 64),
        ("RTX 4090 + RTX 3090", ["rtx-4090", "rtx-3090"]),
        ("RTX 3090 + RTX 4090", ["rtx-3090", "rtx-4090"]),
        ("2x RTX 4090 + RTX 3090", ["rtx-4090", "rtx-4090", "rtx-3090"]),
        ("2x RTX 4090+2x RTX 3090", ["rtx-4090"] * 2 + ["rtx-3090"] * 2),
        ("AMD Ryzen AI Max+ 395 (Radeon 8060S)", ["radeon-8060s"]),
        ("AMD Ryzen AI Max+ 395 (Radeon 8060S) + RTX 4090", ["radeon-8060s", "rtx-4090"]),
        ("M4 Max 128GB", ["apple-m4-max"]),
        ("8x Tesla V100-SXM2-32GB", ["v100-sxm2"] * 8),
    ],
)
def test_specs(spec, cards):
    """Counts, sums and names that hold a plus give the cards meant, in their order."""
    assert names(spec) == cards
    assert [gpu.index for gpu in simulate_machine(spec).gpus] == list(range(len(cards)))


@pytest.mark.parametrize("card", all_cards(), ids=lambda card: card.id)
def test_every_card_can_be_simulated(card):
    """Each card of the catalogue makes a machine by its own name, alone and in a pair."""
    assert names(card.name) == [card.id]
    assert names(f"2x {card.name}") == [card.id] * 2


@pytest.mark.parametrize(
    "spec",
    ["65x RTX 4090", "0x RTX 4090", "00x RTX 4090", "9999x RTX 4090", "64x RTX 4090 + RTX 3090", "33x L4 + 32x L4"],
)
def test_at_most_64_and_at_least_one(spec):
    """Counts of none, or beyond 64 in all, are refused."""
    with pytest.raises(UsageError, match="64"):
        simulate_machine(spec)


@pytest.mark.parametrize("spec", ["", " ", "RTX 4090 +", "+ RTX 4090", "RTX 4090 +  + RTX 3090"])
def test_a_missing_card_is_said(spec):
    """A sum with a part that is empty says that a card is missing."""
    with pytest.raises((UsageError, UnknownNameError)):
        simulate_machine(spec)


@pytest.mark.parametrize("spec", ["0x", "2x", "2x ", "99999x RTX 4090", "RTX 9999", "RTX 4090 + nothing"])
def test_unknown_parts(spec):
    """What names no card is an unknown name."""
    with pytest.raises(UnknownNameError):
        simulate_machine(spec)


@pytest.mark.parametrize("spec", ["H100", "2x A100", "RTX 4090 + RTX 4000", "M4 Max"])
def test_ambiguous_parts(spec):
    """An ambiguous part is refused with its candidates."""
    with pytest.raises(AmbiguousNameError) as caught:
        simulate_machine(spec)
    assert caught.value.candidates


@pytest.mark.parametrize(
    "spec",
    [
        "2x" + " " * 20_000 + "a\nb",
        "2x" + " " * 20_000,
        "+" * 20_000,
        " + " * 5_000,
        "x" * 20_000,
        "1" * 20_000,
        "\x00",
    ],
    ids=lambda spec: repr(spec[:6]),
)
def test_hostile_specs(spec):
    """Whatever is typed is refused with an error of ours, at once."""
    start = time.monotonic()
    with pytest.raises(GpucheckError):
        simulate_machine(spec)
    assert time.monotonic() - start < 1


@given(st.text(alphabet="0123456789x×*+ RTX4090H\n", max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_spec_is_a_machine_or_an_error_of_ours(spec):
    """Any text gives a machine of 1 to 64 cards or an error of ours."""
    try:
        machine = simulate_machine(spec)
    except GpucheckError:
        return
    assert 1 <= len(machine.gpus) <= 64


class TestFigures:
    """What a simulated card has."""

    def test_a_discrete_card(self):
        """Size and rates are the catalogue's, usable memory what an idle card is assumed to leave."""
        gpu = simulate_machine("RTX 4090").gpus[0]
        assert gpu.memory.total_bytes == 24_564 << 20
        assert gpu.memory.usable_bytes == (24_564 - 512) << 20
        assert (gpu.sources["memory.total_bytes"], gpu.sources["memory.usable_bytes"]) == ("catalogue", "assumed")
        assert set(gpu.sources.values()) == {"catalogue", "assumed"}
        assert (gpu.kind, gpu.memory.kind, gpu.state, gpu.usable) == ("discrete", "dedicated", "ok", True)

    @pytest.mark.parametrize(("spec", "gib"), [("RTX 4060 Ti", 8), ("RTX 4060 Ti 16GB", 16), ("V100 SXM2 32GB", 32)])
    def test_sizes(self, spec, gib):
        """A named size is taken; of an open one the smallest, with an issue that names them all."""
        machine = simulate_machine(spec)
        assert machine.gpus[0].memory.total_bytes == gib * GIB
        assumed = [issue for issue in machine.issues if issue.code == "assumed"]
        assert bool(assumed) == (spec == "RTX 4060 Ti")
        assert machine.gpus[0].sources["memory.total_bytes"] == ("assumed" if assumed else "catalogue")
        if assumed:
            assert "8, 16 GB" in assumed[0].detail

    @pytest.mark.parametrize("card", all_cards(), ids=lambda card: card.id)
    def test_nothing_is_invented(self, card):
        """Each card's figures have sources, and each figure that its row lacks has an issue."""
        machine = simulate_machine(card.name, ram_bytes=64 * GIB, cpu_cores=8)
        gpu = machine.gpus[0]
        text = " ".join(issue.detail for issue in machine.issues)
        for name in ("bandwidth_bytes_per_s", "matrix_cores", "shader_cores", "l2_cache_bytes", "tdp_w"):
            assert (getattr(gpu, name) is None) == (name not in gpu.sources) == (name in text)
        assert (gpu.flops.fp16 is None) == ("flops.fp16" in text)
        assert gpu.memory.total_bytes is not None or "memory.total_bytes" in text
        assert gpu.memory.usable_bytes is None or 0 < gpu.memory.usable_bytes < gpu.memory.total_bytes


class TestHost:
    """The machine around the cards."""

    def test_given_ram_and_cores(self):
        """RAM and cores are as given, less what a fresh system holds."""
        machine = simulate_machine("RTX 4090", ram_bytes=64 * GIB, cpu_cores=12)
        assert (machine.memory.total_bytes, machine.memory.usable_bytes) == (64 * GIB, 62 * GIB)
        assert (machine.cpu.physical_cores, machine.cpu.usable_cores) == (12, 12)
        assert machine.issues == ()
        assert (machine.source, machine.platform.os) == ("simulated", "linux")

    def test_unknown_ram_and_cores(self):
        """What is not given is unknown, and issues say how to give it."""
        machine = simulate_machine("RTX 4090")
        assert machine.memory.total_bytes is None
        assert machine.cpu.usable_cores is None
        assert {word for issue in machine.issues for word in issue.detail.split() if word.startswith("--")} == {
            "--ram", "--cpu-cores",
        }  # fmt: skip

    def test_little_ram_is_not_negative(self):
        """A machine smaller than a fresh system has nothing usable."""
        machine = simulate_machine("RTX 4090", ram_bytes=GIB)
        assert machine.memory.usable_bytes == 0

    @pytest.mark.parametrize(
        ("spec", "ram_gib", "total_gib"),
        [
            ("M4 Max 128GB", None, 128),
            ("M4 Max 128GB", 128, 128),
            ("Apple M4 Pro", None, 24),
            ("Apple M4 Pro", 48, 48),
            ("GB10", None, 128),
            ("GB10", 64, 64),
            ("AMD Ryzen AI Max+ 395 (Radeon 8060S)", 96, 96),
            ("AMD Radeon 780M (Ryzen 7040/8040)", 32, 32),
        ],
    )
    def test_unified_memory_is_the_machines(self, spec, ram_gib, total_gib):
        """A GPU that shares the machine's memory has just as much, whether its name or the RAM says how much."""
        machine = simulate_machine(spec, None if ram_gib is None else ram_gib * GIB)
        assert machine.gpus[0].memory.total_bytes == machine.memory.total_bytes == total_gib * GIB
        assert machine.gpus[0].memory.kind == "shared"
        if ram_gib is not None:
            assert not [issue for issue in machine.issues if "memory.total_bytes" in issue.source]

    def test_a_shared_size_that_nothing_tells(self):
        """Integrated graphics without RAM given has no size, and an issue says so."""
        machine = simulate_machine("AMD Radeon 780M (Ryzen 7040/8040)")
        assert machine.gpus[0].memory.total_bytes is None
        assert any("memory.total_bytes of AMD Radeon 780M" in issue.detail for issue in machine.issues)

    @pytest.mark.parametrize(
        ("spec", "share"), [("M4 Max 128GB", 0.84), ("Apple M2 Ultra 192GB", 0.84), ("Apple M4 16GB", 0.74)]
    )
    def test_metals_limit(self, spec, share):
        """An Apple GPU may use what Metal recommends, not all of the memory."""
        memory = simulate_machine(spec).gpus[0].memory
        assert memory.usable_bytes == int(memory.total_bytes * share)

    def test_mi300a_keeps_its_own_memory(self):
        """Each MI300A has its own 128 GB, however much the machine has in all."""
        machine = simulate_machine("4x MI300A", ram_bytes=512 * GIB)
        assert {gpu.memory.total_bytes for gpu in machine.gpus} == {128 * GIB}
        assert {gpu.kind for gpu in machine.gpus} == {"unified"}

    @pytest.mark.parametrize(
        ("spec", "system", "arch"),
        [
            ("Apple M4", "darwin", "arm64"),
            ("RTX 4090", "linux", "x86_64"),
            ("GB10", "linux", "aarch64"),
            ("NVIDIA GH200 480GB", "linux", "aarch64"),
            ("NVIDIA Jetson AGX Orin 64GB", "linux", "aarch64"),
            ("H200", "linux", "x86_64"),
        ],
    )
    def test_the_system_follows_the_chip(self, spec, system, arch):
        """Apple's chips run macOS, the rest is taken for Linux; chips with ARM cores of their own are ARM machines."""
        platform = simulate_machine(spec).platform
        assert (platform.os, platform.arch) == (system, arch)
