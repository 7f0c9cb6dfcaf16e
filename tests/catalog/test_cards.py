"""A card of the catalogue: its sizes as drivers report them, and the devices that drivers make of it."""

from __future__ import annotations

import pytest

from gpucheck.catalog.cards import Card, all_cards, as_seen, pci_names

GIB, MIB = 1 << 30, 1 << 20
CARDS = {card.id: card for card in all_cards()}


def card(**facts) -> Card:
    """A made-up card with these facts."""
    given = {"id": "x", "name": "X", "vendor": "NVIDIA", "segment": "consumer", "architecture": "Ada"}
    return Card(**(given | facts), confidence="C", source="a test")


@pytest.mark.parametrize(
    ("reported", "index"),
    [
        (16 * GIB, 1),
        (15360 * MIB, 1),  # a sixteenth is the codes' of inline ECC
        (int(16 * GIB * 0.926), 1),
        (int(16 * GIB * 0.924), None),
        (int(16 * GIB * 1.019), 1),
        (int(16 * GIB * 1.021), None),
        (8 * GIB, 0),
        (12 * GIB, None),
        (32 * GIB, None),
        (1, None),
        (0, None),
    ],
)
def test_nominal_sizes_are_met_within_tolerance(reported, index):
    """A driver reports up to 7.5 % less than the size on the box and never clearly more."""
    assert card(vram_gib=(8.0, 16.0)).size_near(reported) == index


@pytest.mark.parametrize(("factor", "index"), [(1, 0), (0.981, 0), (1.019, 0), (0.97, None), (1.03, None)])
def test_reported_sizes_are_met_closely(factor, index):
    """What drivers have been seen to report is met within 2 %, even where the nominal size is out of reach."""
    odd = card(vram_gib=(1000.0,), reported_mib=(20_000,))
    assert odd.size_near(int(20_000 * MIB * factor)) == index


def test_neighbouring_sizes_are_told_apart():
    """94 and 96 GB lie within one tolerance: the reported figure decides."""
    near = card(vram_gib=(94.0, 96.0), reported_mib=(95_830, 97_871))
    assert near.size_near(95_830 * MIB) == 0
    assert near.size_near(97_871 * MIB) == 1


@pytest.mark.parametrize("found", all_cards(), ids=lambda found: found.id)
def test_every_size_finds_itself(found):
    """The total that a card of a size has leads back to that size, for each device that it shows as."""
    for index in range(len(found.vram_gib)):
        assert found.size_near(found.total_bytes(index) // found.seen_as) == index


def test_an_mi250_shows_as_two_halves():
    """Each half has half of everything that is counted or transferred, and is one device itself."""
    whole, half = CARDS["mi250"], as_seen(CARDS["mi250"])
    assert (whole.seen_as, half.seen_as) == (2, 1)
    assert half.vram_gib == (64.0,)
    assert half.bandwidth_gbs == whole.bandwidth_gbs / 2
    assert (half.sm_cu_count, half.shader_cores) == (104, 6656)
    assert isinstance(half.sm_cu_count, int)
    assert half.fp16_tflops == whole.fp16_tflops / 2
    assert half.size_near(64 * GIB) == 0
    assert half.size_near(128 * GIB) is None


def test_reported_sizes_are_halved_too():
    """A half's reported total is half of the whole's."""
    half = as_seen(card(vram_gib=(128.0,), reported_mib=(131_000,), seen_as=2))
    assert half.total_bytes(0) == 65_500 * MIB


def test_other_cards_are_seen_as_they_are():
    """A card that shows as one device is not copied or changed."""
    assert as_seen(CARDS["rtx-4090"]) is CARDS["rtx-4090"]


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("gb10", True),
        ("jetson-agx-orin-64", True),
        ("apple-m4", True),
        ("radeon-8060s", True),
        ("mi300a", True),
        ("gh200-96", False),
        ("mi300x", False),
        ("rtx-4090", False),
        ("gaudi3", False),
    ],
)
def test_shares_memory(name, shared):
    """Unified and integrated parts share the machine's memory; a GH200's HBM is its GPU's own."""
    assert CARDS[name].shares_memory is shared


def test_total_bytes_prefers_what_drivers_report():
    """A T4's 16 GB are 15,360 MiB; a card whose report was never seen has its nominal size."""
    assert CARDS["t4"].total_bytes(0) == 15_360 * MIB
    assert card(vram_gib=(1.5,)).total_bytes(0) == 3 * GIB // 2


def test_pci_names_are_keyed_by_vendor_and_device():
    """The extract gives a name by "10de:2684"."""
    assert "RTX 4090" in pci_names()["10de:2684"]
    assert "10de:0000" not in pci_names()
