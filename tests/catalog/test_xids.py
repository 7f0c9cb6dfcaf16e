"""What NVIDIA's Xid codes mean, and what is advised at once."""

from __future__ import annotations

import pytest

from gpucheck.catalog.xids import _WEIGHTS, all_xids, heaviest, in_words, is_news

NOTHING = {"", "IGNORE", "XID_154"}  # no advice, and one that points to another code


def test_table() -> None:
    """Every code is there once, in order, with a meaning in a few words and actions that are understood."""
    found = all_xids()
    assert list(found) == sorted(found)
    assert len(found) > 100
    for code, xid in found.items():
        assert code == xid.code
        assert 5 < len(xid.meaning) < 80, xid
        assert xid.immediate in _WEIGHTS or xid.immediate in NOTHING, xid
    assert {xid.immediate for xid in found.values()} >= set(_WEIGHTS)


@pytest.mark.parametrize(
    ("codes", "weight"),
    [
        ((79,), "hardware"),
        ((31, 119), "reset"),
        ((31, 43), "program"),
        ((63,), "none"),
        ((999,), "none"),
        ((), "none"),
        ((48, 79, 13), "hardware"),
    ],
)
def test_the_gravest_counts(codes: tuple[int, ...], weight: str) -> None:
    """Hardware before a reset before a program; codes that the table lacks ask for nothing."""
    assert heaviest(codes) == weight


def test_words() -> None:
    """A known code has its meaning beside it."""
    assert in_words((79, 999)) == "Xid 79 (fell off the bus), Xid 999"


def test_news() -> None:
    """What is to be ignored now and later is no news; a code that nobody knows is."""
    assert [code for code in (13, 63, 92, 106, 107, 999) if is_news(code)] == [13, 92, 999]
