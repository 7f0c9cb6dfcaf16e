"""Market segments by the words of a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.catalog.cards import all_cards
from gpucheck.catalog.segment import segment_of

# Cards whose names do not tell their segment; the catalogue does.
UNTOLD = {
    "p102-100": "a mining card whose number reads like a Tesla's",
    "p104-100": "a mining card whose number reads like a Tesla's",
    "p106-100": "a mining card whose number reads like a Tesla's",
    "quadro-rtx-3000-mobile": "sold in laptops only, and named without it",
    "quadro-t1000": "sold in laptops only, and named without it",
    "quadro-t2000": "sold in laptops only, and named without it",
    "gtx-1650-ti-laptop": "sold in laptops only, and named without it",
    "rtx-2050-laptop": "sold in laptops only, and named without it",
    "a800-active-40": "a workstation card with a data-centre name",
    "gb10": "a workstation chip with a data-centre name",
    "rtx-pro-6000-server": "a data-centre card with a workstation name",
    "vega-frontier": "a workstation card with a consumer name",
    "radeon-vii": "neither RX nor Pro",
    "radeon-pro-v620": "a data-centre card with a workstation name",
    "radeon-pro-v710": "a data-centre card with a workstation name",
}


@pytest.mark.parametrize("card", all_cards(), ids=lambda card: card.id)
def test_names_tell_the_catalogues_segment(card):
    """A discrete card's name gives the segment of its row, unless the name is known not to tell."""
    if card.segment == "apu" or card.name.startswith("Intel Gaudi"):
        return  # no words: the driver says that it is integrated; Gaudi's driver names are bare numbers
    for name in (card.name, *card.driver_names):
        assert (segment_of(name) == card.segment) == (card.id not in UNTOLD), name


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("NVIDIA GeForce RTX 6090", "consumer"),
        ("NVIDIA RTX 6090", "consumer"),
        ("NVIDIA GeForce RTX 6090 Laptop GPU", "laptop"),
        ("NVIDIA GeForce MX650", "laptop"),
        ("NVIDIA GeForce GTX 1070 with Max-Q Design", "laptop"),
        ("NVIDIA RTX A7500 Laptop GPU", "laptop"),
        ("NVIDIA RTX PRO 7000 Max-Q Workstation Edition", "workstation"),
        ("NVIDIA RTX A7000", "workstation"),
        ("NVIDIA RTX 7000 Ada Generation", "workstation"),
        ("Quadro P400", "workstation"),
        ("NVIDIA T1200", "workstation"),
        ("NVS 810", "workstation"),
        ("NVIDIA H300", "datacenter"),
        ("NVIDIA GB400", "datacenter"),
        ("NVIDIA R100", "datacenter"),
        ("NVIDIA L8", "datacenter"),
        ("Tesla K8", "datacenter"),
        ("GRID M60-8Q", "datacenter"),
        ("NVIDIA A40-48Q", "datacenter"),
        ("Orin (nvgpu)", "embedded"),
        ("NVIDIA Jetson T6000", "embedded"),
        ("AMD Instinct MI455X", "datacenter"),
        ("AMD Radeon RX 9090 XT", "consumer"),
        ("AMD Radeon RX 6500M", "laptop"),
        ("AMD Radeon Pro WX 7100", "workstation"),
        ("AMD Radeon R9 200 Series", None),
        ("AMD Radeon R7 Graphics", None),
        ("AMD Ryzen AI Max+ 495", None),
        ("Intel(R) Arc(TM) B770 Graphics", "consumer"),
        ("Intel(R) Arc(TM) A730M Graphics", "laptop"),
        ("Intel(R) Arc(TM) Pro B80 Graphics", "workstation"),
        ("Intel(R) Data Center GPU Max 1550", "datacenter"),
        ("Apple M9 Max", "soc"),
        ("NVIDIA Graphics Device", None),
        ("", None),
        (None, None),
    ],
)
def test_cards_in_no_catalogue(name, segment):
    """The words of a name tell the market of cards that are older or newer than the catalogue."""
    assert segment_of(name) == segment


@pytest.mark.parametrize(
    ("name", "brand", "segment"),
    [
        (None, "GeForce", "consumer"),
        ("NVIDIA Graphics Device", "Tesla", "datacenter"),
        ("NVIDIA Graphics Device", "Quadro RTX", "workstation"),
        ("NVIDIA Graphics Device", "NVIDIA RTX", "workstation"),
        ("NVIDIA Graphics Device", "NVIDIA", None),
        ("NVIDIA GeForce RTX 4090", "Quadro", "consumer"),
    ],
)
def test_the_brand_speaks_where_the_name_is_silent(name, brand, segment):
    """The driver's brand decides where the name has no telling word, and only there."""
    assert segment_of(name, brand) == segment


@given(st.text(max_size=80), st.none() | st.text(max_size=20))
def test_any_name_has_a_segment_or_none(name, brand):
    """Any text gives a known segment or nothing."""
    known = {"datacenter", "workstation", "consumer", "laptop", "embedded", "soc", None}
    assert segment_of(name, brand) in known
