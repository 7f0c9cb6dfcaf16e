"""The right maker's word for each thing, and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.assess.words import matrix_term, nominal_gb, nominal_gib, ordinal, shader_term, unit_term
from gpucheck.catalog.cards import all_cards
from gpucheck.machine.types import Gpu

GIB, MIB = 1 << 30, 1 << 20


def card(vendor: str, architecture: str | None = None) -> Gpu:
    """A device of a maker."""
    return Gpu(0, "X", vendor, "ok", "discrete", architecture=architecture)


@pytest.mark.parametrize(
    ("vendor", "architecture", "shaders", "units", "matrix"),
    [
        ("NVIDIA", "Ada", "CUDA cores", "SMs", "Tensor Cores"),
        ("AMD", "CDNA3", "stream processors", "compute units", "Matrix Cores"),
        ("AMD", "RDNA4", "stream processors", "compute units", "AI accelerators"),
        ("AMD", None, "stream processors", "compute units", "AI accelerators"),
        ("Intel", "Xe2-HPG", "shading units", "Xe cores", "XMX engines"),
        ("Apple", "Apple10", "shading units", "GPU cores", "Neural Accelerators"),
        ("Other", None, "shader cores", "compute units", "matrix units"),
    ],
)
def test_terms(vendor, architecture, shaders, units, matrix):
    """Each maker's own words; AMD calls matrix units otherwise on Instinct than on Radeon."""
    gpu = card(vendor, architecture)
    assert (shader_term(gpu), unit_term(gpu), matrix_term(gpu)) == (shaders, units, matrix)


@pytest.mark.parametrize(
    ("mib", "gib"),
    [
        (15_360, 16),  # T4
        (23_034, 24),  # L4
        (24_564, 24),  # RTX 4090
        (24_576, 24),
        (46_068, 48),  # A40, L40S
        (49_140, 48),  # RTX A6000
        (40_442, 40),  # A100 40GB
        (81_559, 80),  # H100
        (81_920, 80),  # A100 80GB
        (95_830, 94),  # H100 NVL
        (97_871, 96),  # GH200
        (143_771, 141),  # H200
        (183_359, 180),  # B200
        (11_441, 12),  # K80
        (8_129, 8),  # M60
        (196_592, 192),  # MI300X
        (10_240, 10),
        (11_264, 11),
        (16_376, 16),
    ],
)
def test_reported_totals_are_sold_as(mib, gib):
    """What drivers report is the size on the box, also with a sixteenth taken by ECC."""
    assert nominal_gib(mib * MIB) == gib


@pytest.mark.parametrize("gib", [7.1, 22, 100, 700, 0.1])
def test_sizes_that_nobody_sells_stay(gib):
    """A total that no card is sold with is given as it is."""
    assert nominal_gib(int(gib * GIB)) == pytest.approx(gib)


# The sizes that makers name otherwise than their HBM stacks: 288 GB of which 270 or 277 GiB are there.
RENAMED = {"b300": 288, "gb300": 288}


@pytest.mark.parametrize("found", all_cards(), ids=lambda found: found.id)
def test_the_catalogues_sizes(found):
    """Each size of the catalogue, as its driver reports it, is called by that size."""
    for index, size in enumerate(found.vram_gib):
        assert nominal_gib(found.total_bytes(index)) == RENAMED.get(found.id, size)


@pytest.mark.parametrize(
    ("total", "number", "text"),
    [
        (24_564 * MIB, 1, "24 GB"),
        (81_559 * MIB, 8, "640 GB"),
        (GIB // 2, 1, "0.5 GB"),
        (3 * GIB // 2, 1, "1.5 GB"),
        (2 * GIB, 1, "2 GB"),
        (3 * GIB // 2, 2, "3 GB"),
        (int(2.2 * GIB), 1, "2.2 GB"),
        (22 * GIB, 1, "22 GB"),
    ],
)
def test_nominal_gb(total, number, text):
    """Sizes are whole from 3 GB on; several cards are added up as sold, not as reported."""
    assert nominal_gb(total, number) == text


@given(st.integers(1, 1 << 42))
def test_a_nominal_size_is_near_the_total(total):
    """No total is called by a size that is more than a thirteenth larger, or more than a hundredth smaller."""
    assert total / GIB / 1.01 - 1e-9 <= nominal_gib(total) <= total / GIB / 0.925 + 1e-9


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (10, "10th"), (11, "11th"), (12, "12th"), (13, "13th"),
        (21, "21st"), (22, "22nd"), (33, "33rd"), (101, "101st"), (111, "111th"), (112, "112th"), (0, "0th"),
    ],
)  # fmt: skip
def test_ordinal(number, text):
    """Ordinals in English, the teens apart."""
    assert ordinal(number) == text
