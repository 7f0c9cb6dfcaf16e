"""Amounts that people write, and how amounts are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.errors import UsageError
from gpucheck.units import format_bytes, format_flops, format_rate, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("24GiB", 25_769_803_776),  # 24 x 2^30
        ("24 gib", 25_769_803_776),
        ("24gi", 25_769_803_776),
        ("64GB", 64_000_000_000),
        ("16g", 16_000_000_000),
        ("512MiB", 536_870_912),
        ("1.5 TiB", 1_649_267_441_664),
        ("2TB", 2_000_000_000_000),
        ("4k", 4_000),
        ("0.5KiB", 512),
        ("80b", 80),
        ("0GiB", 0),
    ],
)
def test_units_are_decimal_or_binary_as_written(text: str, count: int) -> None:
    """GB is a power of ten and GiB a power of two, whatever the case."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "24 GiB!", "24GBit", "nan", "1e3GB", "24EiB", "٢GiB", "1,024MiB"])
def test_what_is_no_amount_is_a_usage_error(text: str) -> None:
    """Text without a plain number and a known unit is refused, with an example of what would do."""
    with pytest.raises(UsageError, match="such as 24GiB"):
        parse_bytes(text)


def test_a_bare_number_is_refused_with_both_readings() -> None:
    """24 could be GiB or GB, so the sentence offers both."""
    with pytest.raises(UsageError, match=r"no unit: write 24GiB .* or 24GB"):
        parse_bytes("24")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1 << 20, "1 MiB"),
        (536_870_912, "512 MiB"),
        ((1 << 30) - 1, "1.0 GiB"),
        (25_769_803_776, "24.0 GiB"),
        (153_000_000_000, "142 GiB"),
        (1_649_267_441_664, "1.5 TiB"),
        (-25_769_803_776, "-24.0 GiB"),
    ],
)
def test_bytes_are_shown_in_binary_units(count: int, text: str) -> None:
    """One decimal below 100 GiB, none above, MiB below one GiB."""
    assert format_bytes(count) == text


def test_rates_are_shown_in_decimal_units() -> None:
    """Bandwidth carries the vendors' GB/s with thousands separated, and a decimal where it is small."""
    assert format_rate(1_008e9) == "1,008 GB/s"
    assert format_rate(25.6e9) == "26 GB/s"
    assert format_rate(6.42e9) == "6.4 GB/s"


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (165.2e12, "165 T"),
        (82.58e12, "82.6 T"),
        (8.141e12, "8.14 T"),
        (1_979e12, "1,980 T"),
        (0.99999e12, "1.00 T"),
        (512e9, "512 G"),
    ],
)
def test_flops_have_three_significant_digits(rate: float, text: str) -> None:
    """A peak rate is not known to more than three digits."""
    assert format_flops(rate) == text


@given(st.integers(min_value=0, max_value=10**15 - 1))
def test_whole_numbers_of_bytes_come_back_exactly(count: int) -> None:
    """No float rounding touches an amount without a fraction."""
    assert parse_bytes(f"{count}B") == count
