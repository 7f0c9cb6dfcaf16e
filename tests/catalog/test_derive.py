"""Figures by formula, against what vendors state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.catalog.cards import Card, all_cards
from gpucheck.catalog.derive import architecture, bandwidth_bytes_per_s, boost_mhz, peak_tflops

CARDS = {card.id: card for card in all_cards()}
FIELDS = {
    "fp64": "fp64_tflops",
    "fp32": "fp32_tflops",
    "tf32": "tf32_tflops",
    "fp16": "fp16_tflops",
    "bf16": "bf16_tflops",
    "fp8": "fp8_tflops",
    "fp4": "fp4_tflops",
    "int8": "int8_tops",
}  # fmt: skip

# Products whose makers cut, or clocked, what the formula cannot know. "*" is every tensor type.
EXCEPTIONS = {
    ("titan-v", "fp16"): "NVIDIA states 110 at the clock that its tensor cores hold, below the 1,455 MHz boost",
    ("l40", "*"): "half the tensor rate of the L40S, by product policy",
    ("l20", "*"): "half the tensor rate, by export rules",
    ("h100-nvl", "*"): "stated below the formula: its power limit holds the tensor clock at 0.87 of the boost",
    ("h200-nvl", "*"): "stated below the formula: its power limit holds the tensor clock at 0.87 of the boost",
    ("h800-pcie", "fp64"): "cut by export rules",
    ("h800-sxm", "fp64"): "cut by export rules",
}
# Stated with two digits only, so that rounding alone makes more than 1.5 %: at most 4 %.
COARSE = {
    ("h100-pcie", "fp64"), ("h100-sxm", "fp64"), ("h200-sxm", "fp64"), ("gh200-96", "fp64"), ("gh200-144", "fp64"),
    ("l4", "fp64"), ("rtx-pro-6000-server", "fp64"), ("rtx-pro-6000-server", "fp32"),
}  # fmt: skip
WITHOUT_FORMULA = {"6.2", "5.3"}  # Jetson TX2 and Nano: no entry, as their memory is the machine's
NVIDIA = [card for card in all_cards() if card.vendor == "NVIDIA" and card.boost_mhz and card.shader_cores]


def rates_of(card: Card) -> dict[str, float]:
    """What the formulas give for a card of the catalogue at its stated boost clock."""
    geforce = "GeForce" in card.name
    return peak_tflops(
        card.compute_capability,
        card.shader_cores,
        card.boost_mhz,
        geforce=geforce,
        matrix_units=bool(card.matrix_cores),
    )


@pytest.mark.parametrize(
    ("bus_bits", "clock_mhz", "stated_gbs"),
    [
        (4096, 877, 900),  # V100 SXM2
        (256, 5001, 320),  # T4
        (5120, 1215, 1555),  # A100 SXM4 40GB
        (5120, 1593, 2039),  # A100 SXM4 80GB
        (5120, 1512, 1935),  # A100 PCIe 80GB
        (3072, 1215, 933),  # A30
        (384, 6251, 600),  # A10
        (192, 7501, 360),  # RTX 3060
        (256, 7001, 448),  # RTX 3060 Ti
        (384, 9751, 936),  # RTX 3090
        (5120, 2619, 3350),  # H100 SXM
        (6016, 3201, 4800),  # H200
        (192, 6251, 300),  # L4
        (384, 9001, 864),  # L40S
        (384, 10501, 1008),  # RTX 4090
        (384, 10001, 960),  # RTX 6000 Ada
        (7680, 3996, 7700),  # B200
        (128, 14001, 448),  # RTX 5060
        (512, 14001, 1792),  # RTX 5090
        (4096, 715, 732),  # P100
    ],
)
def test_bandwidth_is_within_half_a_percent(bus_bits, clock_mhz, stated_gbs):
    """Twice bus width times NVML's memory clock is the stated bandwidth of every discrete memory type."""
    assert bandwidth_bytes_per_s(bus_bits, clock_mhz) / 1e9 == pytest.approx(stated_gbs, rel=0.005)


@pytest.mark.parametrize(
    "card",
    [card for card in all_cards() if card.vendor == "NVIDIA" and card.memory_clock_mhz and card.bandwidth_gbs],
    ids=lambda card: card.id,
)
def test_bandwidth_of_the_catalogue(card):
    """Every row with a memory clock keeps to the formula within half a percent."""
    assert not card.shares_memory
    derived = bandwidth_bytes_per_s(card.memory_bus_bits, card.memory_clock_mhz)
    assert derived / 1e9 == pytest.approx(card.bandwidth_gbs, rel=0.005)


@pytest.mark.parametrize(
    ("capability", "cores", "clock_mhz", "fp16", "fp32"),
    [
        ("7.0", 5120, 1530, 125, 15.7),  # V100 SXM2
        ("7.5", 2560, 1590, 65, 8.1),  # T4
        ("8.0", 6912, 1410, 312, 19.5),  # A100
        ("8.9", 7424, 2040, 121, 30.3),  # L4
        ("8.9", 18176, 2520, 362, 91.6),  # L40S
        ("8.9", 18176, 2505, 364, 91.1),  # RTX 6000 Ada
        ("9.0", 14592, 1755, 756, 51),  # H100 PCIe
        ("9.0", 16896, 1980, 989.5, 67),  # H100 SXM, H200
        ("10.0", 18944, 1965, 2250, 75),  # B200
    ],
)
def test_tensor_rates_of_professional_cards(capability, cores, clock_mhz, fp16, fp32):
    """Stated dense fp16 and fp32 rates come out within 1.5 %, Hopper's and Blackwell's tensor clock included."""
    rates = peak_tflops(capability, cores, clock_mhz, geforce=False, matrix_units=True)
    assert rates["fp16"] == pytest.approx(fp16, rel=0.015)
    assert rates["fp32"] == pytest.approx(fp32, rel=0.015)


@pytest.mark.parametrize(
    ("capability", "cores", "clock_mhz", "fp16", "headline"),
    [
        ("8.6", 10496, 1695, 71.2, 142.3),  # RTX 3090
        ("8.9", 16384, 2520, 165.2, 330.3),  # RTX 4090
        ("12.0", 21760, 2407, 209.5, 419),  # RTX 5090
    ],
)
def test_geforce_halves_what_accumulates_in_fp32(capability, cores, clock_mhz, fp16, headline):
    """GeForce runs fp16, bf16, tf32 and fp8 at half rate with FP32 accumulation, but not int8 and fp4."""
    geforce = peak_tflops(capability, cores, clock_mhz, geforce=True, matrix_units=True)
    other = peak_tflops(capability, cores, clock_mhz, geforce=False, matrix_units=True)
    assert geforce["fp16"] == pytest.approx(fp16, rel=0.005)
    assert other["fp16"] == pytest.approx(headline, rel=0.005)
    halved = {name for name in other if geforce[name] == pytest.approx(other[name] / 2)}
    assert halved == {"fp16", "bf16", "tf32", "fp8"} & set(other)
    assert all(geforce[name] == other[name] for name in set(other) - halved)


@pytest.mark.parametrize("capability", ["7.0", "8.0", "9.0", "10.0"])
def test_data_centre_architectures_never_halve(capability):
    """GA100 and the like have no GeForce cards: the half rate is not theirs."""
    given = {"shader_cores": 6400, "clock_mhz": 1500.0, "matrix_units": True}
    assert peak_tflops(capability, **given, geforce=True) == peak_tflops(capability, **given, geforce=False)


def test_gtx_16_has_no_tensor_cores():
    """Compute capability 7.5 without tensor cores has packed fp16 at twice fp32, and no int8 rate of tensor cores."""
    rates = peak_tflops("7.5", 1408, 1785, geforce=True, matrix_units=False)
    assert rates["fp16"] == pytest.approx(2 * rates["fp32"])
    assert rates["fp32"] == pytest.approx(CARDS["gtx-1660"].fp32_tflops, rel=0.01)
    assert set(rates) == {"fp64", "fp32", "fp16"}


def test_blackwell_ultra_has_no_int8_and_fp64_by_formula():
    """B300 cuts int8 and fp64 by fractions that only the table knows, and fp4 has no plain ratio."""
    rates = peak_tflops("10.3", 18944, 1920, geforce=False, matrix_units=True)
    assert not {"int8", "fp64", "fp4"} & set(rates)
    assert {"fp16", "bf16", "tf32", "fp8"} <= set(rates)


@pytest.mark.parametrize("capability", ["3.0", "3.5", "3.7", "5.0", "5.2"])
def test_old_architectures_have_no_half_precision_rate(capability):
    """Kepler and Maxwell do no arithmetic in 16 bits."""
    rates = peak_tflops(capability, 1920, 1000, geforce=True, matrix_units=False)
    assert "fp16" not in rates
    assert rates["fp32"] == pytest.approx(3.84)


@pytest.mark.parametrize("capability", [None, "", "13.0", "9.9", "8", "x"])
def test_unknown_architectures_give_nothing(capability):
    """A compute capability of next year, or none, has no factors and gives no rates."""
    assert architecture(capability) is None
    assert peak_tflops(capability or "", 10_000, 2000, geforce=False, matrix_units=True) == {}


@pytest.mark.parametrize("capability", ["7.2", "8.7", "11.0", "12.1"])
def test_unified_architectures_are_marked(capability):
    """Xavier, Orin, Thor and GB10 share the machine's memory: the bandwidth formula is not theirs."""
    found = architecture(capability)
    assert found is not None
    assert found.unified_memory


@pytest.mark.parametrize("capability", ["7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0"])
def test_discrete_architectures_are_not_unified(capability):
    """Architectures of cards are not marked as unified."""
    found = architecture(capability)
    assert found is not None
    assert not found.unified_memory


@pytest.mark.parametrize(
    ("clock", "segment", "boost"),
    [
        (1980, "datacenter", 1980),  # H100 reaches it
        (3105, "consumer", 2520),  # RTX 4090
        (2100, "consumer", 1695),  # RTX 3090
        (3105, "workstation", 2505),  # RTX 6000 Ada
        (2145, "laptop", 1737),
        (2145, None, 1737),
    ],
)
def test_boost_from_nvmls_maximum(clock, segment, boost):
    """NVML's maximum clock over-reads GeForce and workstation cards by 23 to 24 %, data-centre cards not at all."""
    assert boost_mhz(clock, segment) == pytest.approx(boost, rel=0.011)


@pytest.mark.parametrize("card", NVIDIA, ids=lambda card: card.id)
def test_every_row_keeps_to_the_formulas(card):
    """Each figure of the catalogue that a formula can give agrees with it within 1.5 %, or has a reason not to."""
    rates = rates_of(card)
    assert bool(rates) == (card.compute_capability not in WITHOUT_FORMULA)
    for name, rate in rates.items():
        stated = getattr(card, FIELDS[name])
        excused = (card.id, name) in EXCEPTIONS or ((card.id, "*") in EXCEPTIONS and name not in {"fp32", "fp64"})
        if stated is not None and not excused:
            assert rate == pytest.approx(stated, rel=0.04 if (card.id, name) in COARSE else 0.015), name


@pytest.mark.parametrize(("card", "name"), EXCEPTIONS)
def test_exceptions_are_exceptions(card, name):
    """Each exception names a card and a figure that do differ from the formula."""
    found = CARDS[card]
    names = FIELDS if name == "*" else (name,)
    rates = rates_of(found)
    pairs = [(rates[each], getattr(found, FIELDS[each])) for each in names if each in rates]
    compared = [(rate, stated) for rate, stated in pairs if stated is not None]
    assert any(abs(rate / stated - 1) > 0.015 for rate, stated in compared)


@given(
    st.sampled_from(["3.7", "5.2", "6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0"]),
    st.integers(128, 30_000),
    st.integers(200, 4000),
    st.booleans(),
    st.booleans(),
)
def test_rates_are_positive_and_grow_with_the_clock(capability, cores, clock, geforce, matrix):
    """Whatever is reported, no rate is negative, and twice the clock is twice the rate."""
    once = peak_tflops(capability, cores, clock, geforce=geforce, matrix_units=matrix)
    twice = peak_tflops(capability, cores, 2 * clock, geforce=geforce, matrix_units=matrix)
    assert once.keys() == twice.keys() >= {"fp32"}
    assert all(rate >= 0 and twice[name] == pytest.approx(2 * rate) for name, rate in once.items())
