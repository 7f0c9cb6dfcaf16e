"""AMD's formulas against the catalogue's stated figures, and names by revision against its ids."""

from __future__ import annotations

import pytest

from gpucheck.catalog import derive_amd
from gpucheck.catalog.amd_ids import NAMES, name_by_revision
from gpucheck.catalog.cards import all_cards
from gpucheck.catalog.names import tokens

AMD = [card for card in all_cards() if card.vendor == "AMD"]
CARDS = {card.id: card for card in AMD}
STATED = [card for card in AMD if card.boost_mhz and card.sm_cu_count and card.fp16_tflops and card.gfx_target]


@pytest.mark.parametrize(
    ("bits", "mhz", "kind", "gbs"),
    [
        (2048, 945, "HBM2", 484),  # Vega 10
        (4096, 1600, "HBM2e", 1638),  # MI210
        (8192, 1300, "HBM3", 5325),  # MI300X (rocm_smi_lib #209)
        (128, 1258, "GDDR6", 322),  # RX 9060 XT, equal to amdgpu_top's figure
        (384, 1249, "GDDR6", 959),  # RX 7900 XTX
        (256, 2000, "GDDR5", 256),  # RX 580
    ],
)
def test_bandwidth(bits, mhz, kind, gbs):
    """Width, clock and transfers a clock by kind of memory."""
    found = derive_amd.bandwidth_bytes_per_s(bits, mhz, kind)
    assert found is not None
    assert round(found / 1e9) == gbs


@pytest.mark.parametrize("kind", [None, "LPDDR5X", "DDR5|LPDDR5", "GDDR7"])
def test_bandwidth_of_other_memory(kind):
    """No factor, no figure."""
    assert derive_amd.bandwidth_bytes_per_s(256, 1000, kind) is None


@pytest.mark.parametrize("card", STATED, ids=lambda card: card.id)
def test_rates_agree_with_stated_ones(card):
    """At the boost clock every derived rate is the stated one within 3 %."""
    rates = derive_amd.peak_tflops(card.gfx_target, card.sm_cu_count, card.boost_mhz)
    stated = {"fp64": card.fp64_tflops, "fp32": card.fp32_tflops, "tf32": card.tf32_tflops, "fp16": card.fp16_tflops,
              "bf16": card.bf16_tflops, "fp8": card.fp8_tflops, "int8": card.int8_tops}  # fmt: skip
    for name, rate in rates.items():
        if stated.get(name) is not None:
            assert rate == pytest.approx(stated[name], rel=0.03), name


@pytest.mark.parametrize("card", [card for card in AMD if card.gfx_target], ids=lambda card: card.id)
def test_generation_agrees_with_the_catalogue(card):
    """Name, cores and matrix units by gfx target are those of every card in the table."""
    arch = derive_amd.generation(card.gfx_target)
    assert arch is not None
    if card.gfx_target != "gfx803":  # Fiji is GCN3
        assert arch.name == card.architecture
    assert card.matrix_cores in {None, arch.matrix_cores_per_cu * card.sm_cu_count}
    assert card.shader_cores in {None, derive_amd.SHADERS_PER_CU * card.sm_cu_count}
    assert not card.matrix_cores or card.matrix_core_gen == arch.matrix_generation


def test_memory_by_target_agrees_with_the_catalogue():
    """Where a target fixes the kind of memory, transfers a clock are those of all its cards."""
    for card in AMD:
        arch = derive_amd.generation(card.gfx_target)
        if arch and arch.memory_type and card.memory_type and not card.shares_memory:
            told = derive_amd.bandwidth_bytes_per_s(8, 1, arch.memory_type)
            assert told == derive_amd.bandwidth_bytes_per_s(8, 1, card.memory_type), card.id


def test_unknown_target():
    """Nothing is derived for a target that is not in the table."""
    assert derive_amd.generation("gfx9999") is None
    assert derive_amd.generation(None) is None
    assert derive_amd.peak_tflops("gfx9999", 64, 2000) == {}


def test_names_by_revision():
    """One product by id and revision; nothing for others."""
    assert name_by_revision("744c", "c8") == "AMD Radeon RX 7900 XTX"
    assert name_by_revision("6860", "00") == "AMD Instinct MI25"
    assert name_by_revision("1586", "c1") == "AMD Radeon 8060S Graphics"
    assert name_by_revision("744c", "d1") is None
    assert name_by_revision("2684", "a1") is None
    assert name_by_revision(None, None) is None


def test_revisions_are_of_the_catalogues_ids():
    """A name that the catalogue has belongs to a card with that very id, or an APU; every id has such a name."""
    by_name = {tokens(known): card for card in AMD for known in (card.name, *card.driver_names)}
    for device_id, names in NAMES.items():
        cards = [by_name.get(tokens(name_by_revision(device_id, revision) or "")) for revision in names]
        assert all(device_id in card.pci_device_ids or card.segment == "apu" for card in cards if card), device_id
        assert any(cards), device_id
