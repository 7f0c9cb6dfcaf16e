"""Cards by typed names, and by what a driver and the bus report."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucheck.catalog.cards import all_cards
from gpucheck.catalog.find import card_named, cards_matching, identify, near_names
from gpucheck.errors import AmbiguousNameError, GpucheckError, UnknownNameError

GIB, MIB = 1 << 30, 1 << 20
CARDS = {card.id: card for card in all_cards()}

# Names that a driver gives to several products. Everything else in the catalogue resolves by its driver's name.
SHARED_NAMES = {
    "NVIDIA GeForce RTX 2060": "6 and 12 GB have different chips' shares under one name",
    "NVIDIA GeForce RTX 3050": "6 and 8 GB have different buses",
    "NVIDIA GeForce RTX 3060": "8 and 12 GB have different buses",
    "NVIDIA GeForce RTX 3080": "10 and 12 GB have different buses and cores",
    "Intel(R) Arc(TM) A770 Graphics": "8 and 16 GB have different memory clocks",
    "Apple M3 Max": "30 and 40 cores have different bandwidths",
    "Apple M4 Max": "32 and 40 cores have different bandwidths",
    "Apple M5 Max": "32 and 40 cores have different bandwidths",
    "Orin": "every Orin module calls itself so",
    "Xavier": "both Xavier modules call themselves so",
    "NVIDIA Thor": "both Thor modules call themselves so",
}


def ids(names: tuple[str, ...]) -> set[str]:
    """The ids of cards with these names."""
    return {card.id for card in all_cards() if card.name in names}


class TestTypedNames:
    """`card_named`: exactly one card, or an error with the candidates."""

    @pytest.mark.parametrize("card", all_cards(), ids=lambda card: card.id)
    def test_every_card_has_its_name(self, card):
        """Each card of the catalogue is found by its own name."""
        assert card_named(card.name).card == card

    @pytest.mark.parametrize("card", all_cards(), ids=lambda card: card.id)
    def test_driver_names_lead_to_their_card(self, card):
        """A driver's name finds its card, or is one that several products are known to share."""
        for name in card.driver_names:
            if name in SHARED_NAMES:
                with pytest.raises(AmbiguousNameError) as caught:
                    card_named(name)
                assert card.name in caught.value.candidates
            else:
                assert card_named(name).card == card

    @pytest.mark.parametrize("name", SHARED_NAMES)
    def test_shared_names_are_shared(self, name):
        """Each name in the table above is indeed carried by several cards, and refused."""
        carriers = {card.name for card in all_cards() if name in card.driver_names}
        assert len(carriers) > 1
        with pytest.raises(AmbiguousNameError) as caught:
            card_named(name)
        assert set(caught.value.candidates) == carriers

    @pytest.mark.parametrize(
        ("name", "candidates"),
        [
            ("A100", {"a100-pcie-40", "a100-sxm4-40", "a100-sxm4-80", "a100-pcie-80", "a100-sxm-64"}),
            ("A100 80GB", {"a100-sxm4-80", "a100-pcie-80"}),
            ("H100", {"h100-pcie", "h100-sxm", "h100-nvl"}),
            ("V100", {"v100-pcie", "v100-sxm2", "v100-sxm3", "v100-dgxs"}),
            ("P100", {"p100-pcie-12", "p100-pcie-16", "p100-sxm2"}),
            ("GH200", {"gh200-96", "gh200-144"}),
            ("A6000", {"rtx-a6000"}),
            ("A4000", {"rtx-a4000", "rtx-a4000-laptop"}),
            ("RTX 3080", {"rtx-3080-10", "rtx-3080-12"}),
            ("RTX 2060", {"rtx-2060", "rtx-2060-12"}),
            ("M4 Max", {"apple-m4-max", "apple-m4-max-32"}),
            ("M4", {"apple-m4", "m4"}),
            ("4090", {"rtx-4090", "rtx-4090-d", "rtx-4090-laptop"}),
        ],
    )
    def test_ambiguous_names_are_refused(self, name, candidates):
        """A name that several cards carry, or that is a part of names, is refused with all that it could be."""
        with pytest.raises(AmbiguousNameError) as caught:
            card_named(name)
        assert ids(caught.value.candidates) == candidates

    @pytest.mark.parametrize("name", ["RTX 4000", "RTX4000", "NVIDIA RTX 4000"])
    def test_rtx_4000_is_no_rtx_pro_4000(self, name):
        """RTX 4000 could be the Quadro or an Ada card, but not an RTX PRO 4000 or RTX A4000."""
        with pytest.raises(AmbiguousNameError) as caught:
            card_named(name)
        found = ids(caught.value.candidates)
        assert {"quadro-rtx-4000", "rtx-4000-ada", "rtx-4000-sff-ada"} <= found
        assert not [card for card in found if "pro" in card or "a4000" in card]

    @pytest.mark.parametrize(
        ("name", "card", "gib"),
        [
            ("RTX 4090", "rtx-4090", 24),
            ("4090 RTX GeForce", "rtx-4090", 24),
            ("RTX 4090 24GB", "rtx-4090", 24),
            ("RTX 4060 Ti 16GB", "rtx-4060-ti", 16),
            ("RTX4060Ti 8g", "rtx-4060-ti", 8),
            ("V100 SXM2 32GB", "v100-sxm2", 32),
            ("Tesla V100-SXM2-16GB", "v100-sxm2", 16),
            ("RTX 3080 12GB", "rtx-3080-12", 12),
            ("M4 Max 128GB", "apple-m4-max", 128),
            ("M4 Max 36 GB", "apple-m4-max-32", 36),
            ("M3 Max 64GB", "apple-m3-max", 64),
            ("A100 SXM4 80 GB", "a100-sxm4-80", 80),
            ("NVIDIA GH200 480GB", "gh200-96", 96),
            ("H100 PCIe", "h100-pcie", 80),
            ("NVIDIA H100 80GB HBM3", "h100-sxm", 80),
            ("H200", "h200-sxm", 141),
            ("L40S", "l40s", 48),
            ("L4", "l4", 24),
            ("A10", "a10", 24),
            ("T4", "t4", 16),
            ("Tesla T4", "t4", 16),
            ("Tesla M4", "m4", 4),
            ("AMD Ryzen AI Max+ 395 (Radeon 8060S) 128GB", "radeon-8060s", 128),
            ("MI250", "mi250", 128),
        ],
    )
    def test_a_size_chooses(self, name, card, gib):
        """Words in any order find the card, and a size in the name chooses among its sizes."""
        choice = card_named(name)
        assert choice.card.id == card
        assert choice.size_index is not None
        assert choice.card.vram_gib[choice.size_index] == gib

    @pytest.mark.parametrize("name", ["RTX 4060 Ti", "V100 SXM2", "Apple M4", "RX 9060 XT"])
    def test_an_open_size_stays_open(self, name):
        """A card of several sizes named without one leaves the size open."""
        assert card_named(name).size_index is None

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("RTX 4091", "NVIDIA GeForce RTX 4090"),
            ("RTX 4090 48GB", "NVIDIA GeForce RTX 4090"),
            ("MI300Z", "AMD Instinct MI300X"),
            ("H1000 PCIe", "NVIDIA H100 PCIe"),
        ],
    )
    def test_unknown_names_have_near_ones(self, name, near):
        """A name that nothing carries, also one of a size that was never sold, comes with near ones."""
        with pytest.raises(UnknownNameError) as caught:
            card_named(name)
        assert type(caught.value) is UnknownNameError
        assert near in caught.value.candidates
        assert len(caught.value.candidates) <= 5

    @pytest.mark.parametrize(
        "name",
        [
            "",
            " ",
            "NVIDIA",
            "GeForce",
            "80GB",
            "(((.*)+)+$",
            "[a-z",
            "\\",
            "\x00\x1b[2J",
            "\uff32\uff34\uff38 \uff14\uff10\uff19\uff10",  # RTX 4090 in full-width letters
            "\u202e0904 XTR",
            "a" * 10_000,
            "1" * 10_000,
            "1." * 5_000,
            "9" * 5_000 + "gb",
            "rtx" * 3_000,
            "g " * 5_000,
            "İ" * 2_000,
        ],
        ids=lambda name: repr(name[:12]),
    )
    def test_hostile_names_are_errors_of_ours(self, name):
        """Whatever is typed is refused with an error of ours, short and at once."""
        start = time.monotonic()
        with pytest.raises(GpucheckError) as caught:
            card_named(name)
        assert time.monotonic() - start < 1
        assert len(str(caught.value)) < 600

    @given(st.text(max_size=60))
    @settings(max_examples=150, deadline=None)
    def test_any_text_is_a_card_or_an_error_of_ours(self, name):
        """Any text names one card, by words that the card has, or is refused."""
        try:
            choice = card_named(name)
        except GpucheckError:
            return
        assert choice.card in cards_matching(choice.card.name)

    @given(st.sampled_from(all_cards()), st.randoms(use_true_random=False))
    @settings(max_examples=100, deadline=None)
    def test_order_and_case_do_not_matter(self, card, random):
        """A card's words in any order and case name the same card."""
        words = card.name.replace("GB", " GB").split()
        pairs = [" ".join(words[i : i + 2]) if words[i + 1 : i + 2] == ["GB"] else words[i] for i in range(len(words))]
        pairs = [pair for pair in pairs if pair != "GB"]
        random.shuffle(pairs)
        assert card_named(" ".join(pairs).upper()).card == card


class TestMatching:
    """`cards_matching` and `near_names`: the lists for people."""

    @pytest.mark.parametrize(
        ("query", "found", "not_found"),
        [
            ("H100", "h100-nvl", "gh200-96"),
            ("A10", "a10", "a100-pcie-40"),
            ("A100 80GB", "a100-pcie-80", "a100-pcie-40"),
            ("RTX 4060 Ti 16GB", "rtx-4060-ti", "rtx-4060"),
            ("m4 max", "apple-m4-max", "m4"),
            ("L4", "l4", "l40"),
        ],
    )
    def test_matching_is_by_whole_words(self, query, found, not_found):
        """A query finds the cards that have its words as neighbours, and no card that merely contains its text."""
        matching = {card.id for card in cards_matching(query)}
        assert found in matching
        assert not_found not in matching

    @pytest.mark.parametrize("query", ["", "NVIDIA", "nothing", "(", "999GB"])
    def test_nothing_matches_nothing(self, query):
        """A query without a deciding word, or with one that no card has, finds no card."""
        assert cards_matching(query) == []

    def test_near_names_are_few_and_whole(self):
        """Near names are names of the catalogue, each once."""
        near = near_names("RTX 40900")
        assert near
        assert len(near) == len(set(near)) <= 5
        assert set(near) <= {card.name for card in all_cards()}


def round_trips():
    """Every way in which a driver shows a card of known size."""
    for card in all_cards():
        units = card.sm_cu_count // card.seen_as if card.sm_cu_count else None
        for index in range(len(card.vram_gib)):
            for name in card.driver_names or (card.name,):
                for device in card.pci_device_ids or (None,):
                    yield card, index, (card.vendor, name, device, card.total_bytes(index) // card.seen_as, units)


class TestIdentify:
    """The catalogue's card of a detected GPU, and no other."""

    def test_every_card_is_found_by_what_drivers_say(self):
        """Each card is found by name, id, size and units, in each of its sizes."""
        for card, index, seen in round_trips():
            found = identify(*seen)
            assert found is not None, seen
            assert (found.card.id, found.size_index) == (card.id, index), seen

    def test_no_maker_finds_anothers_card(self):
        """What one maker's driver says is never another maker's card."""
        for card, _, (_, name, device, size, units) in round_trips():
            for vendor in {"NVIDIA", "AMD", "Intel", "Apple"} - {card.vendor}:
                found = identify(vendor, name, device, size, units)
                assert found is None or found.card.vendor == vendor

    @pytest.mark.parametrize(
        ("name", "device", "gib"),
        [
            ("NVIDIA GeForce RTX 4090", "2684", 48),
            ("NVIDIA GeForce RTX 3080", "2206", 20),
            ("NVIDIA GeForce RTX 2080 Ti", "1e07", 22),
            ("NVIDIA GeForce RTX 3070", "2484", 16),
        ],
    )
    def test_rebuilt_cards_are_unknown(self, name, device, gib):
        """A card with memory that no card of its name has is no card of ours, whatever its id says."""
        assert identify("NVIDIA", name, device, gib * GIB) is None

    @pytest.mark.parametrize(
        ("gib", "card"), [(10, "rtx-3080-10"), (12, "rtx-3080-12"), (9.3, "rtx-3080-10"), (11.2, "rtx-3080-12")]
    )
    def test_the_size_tells_namesakes_apart(self, gib, card):
        """Cards of one name are told apart by their memory."""
        found = identify("NVIDIA", "NVIDIA GeForce RTX 3080", None, int(gib * GIB))
        assert found is not None
        assert found.card.id == card

    @pytest.mark.parametrize(
        ("name", "size"),
        [
            ("NVIDIA GeForce RTX 3080", None),  # which of two is not known
            ("NVIDIA GeForce RTX 9090", 64 * GIB),
            ("Graphics Device", 24 * GIB),
            ("", 24 * GIB),
            (None, 24 * GIB),
        ],
    )
    def test_nothing_is_guessed_without_an_id(self, name, size):
        """A name that is shared, new or missing identifies nothing by itself."""
        assert identify("NVIDIA", name, None, size) is None

    def test_the_id_is_the_fallback(self):
        """A card whose driver does not name it, or does not yet, is found by its PCI id and size."""
        for name in (None, "Graphics Device", "NVIDIA Graphics Device"):
            found = identify("NVIDIA", name, "2684", 24_564 * MIB)
            assert found is not None
            assert (found.card.id, found.size_index) == ("rtx-4090", 0)
        assert identify("NVIDIA", None, "2684", 48 * GIB) is None
        assert identify("NVIDIA", None, "ffff", 24 * GIB) is None

    def test_an_id_alone_counts_where_it_belongs_to_one_card(self):
        """Without a driver only the bus speaks: an id of one card will do, one of several will not."""
        found = identify("NVIDIA", None, "2684", None)
        assert found is not None
        assert found.card.id == "rtx-4090"
        assert identify("AMD", None, "744c", None) is None  # RX 7900 XT, XTX, GRE and M

    @pytest.mark.parametrize(("device", "card"), [("2206", "rtx-3080-10"), ("220a", "rtx-3080-12"), ("ffff", None)])
    def test_the_id_chooses_among_namesakes(self, device, card):
        """Where the size is silent, the id tells cards of one name apart."""
        found = identify("NVIDIA", "NVIDIA GeForce RTX 3080", device, None)
        assert (found.card.id if found else None) == card

    @pytest.mark.parametrize(
        ("gib", "units", "card"),
        [
            (24, None, "rx-7900-xtx"),
            (20, None, "rx-7900-xt"),
            (16, None, None),  # GRE and M
            (16, 80, "rx-7900-gre"),
            (16, 72, "rx-7900m"),
            (24, 80, None),
        ],
    )
    def test_shared_amd_ids_need_size_or_units(self, gib, units, card):
        """AMD gives one id to several products: the size or the compute units must decide."""
        found = identify("AMD", None, "744c", gib * GIB, units)
        assert (found.card.id if found else None) == card

    def test_an_mi250_is_found_as_its_half(self):
        """ROCm shows an MI250 as two devices of 64 GiB and 104 compute units, an MI250X with 110."""
        for units, card in ((104, "mi250"), (110, "mi250x")):
            found = identify("AMD", None, CARDS[card].pci_device_ids[0], 64 * GIB, units)
            assert found is not None
            assert found.card.id == card
        assert identify("AMD", "AMD Instinct MI250", None, 128 * GIB, 208) is None

    def test_laptops_are_never_desktops(self):
        """A laptop's name never finds a desktop card, although both have the same id and size."""
        for card in all_cards():
            if card.segment in {"laptop", "soc", "apu", "embedded"} or not card.vram_gib:
                continue
            for suffix in ("Laptop GPU", "with Max-Q Design", "Mobile"):
                for device in card.pci_device_ids or (None,):
                    found = identify(card.vendor, f"{card.name} {suffix}", device, card.total_bytes(0))
                    assert found is None or found.card.segment == "laptop", (card.name, suffix)

    def test_desktops_are_never_laptops(self):
        """A desktop's driver name finds no laptop part."""
        for card, _, seen in round_trips():
            found = identify(*seen)
            assert found is not None
            assert (found.card.segment == "laptop") == (card.segment == "laptop")

    @pytest.mark.parametrize(
        ("name", "device", "gib", "card"),
        [
            ("GRID A100D-80C", "20b2", 80, "a100-sxm4-80"),  # a profile of the whole card
            ("NVIDIA A40-48Q", "2235", 48, "a40"),
            ("NVIDIA A40-24Q", "2235", 24, None),
            ("GRID T4-8Q", "1eb8", 8, None),
        ],
    )
    def test_virtual_gpus_are_known_only_whole(self, name, device, gib, card):
        """A vGPU profile is the catalogue's card only if it has all of its memory."""
        found = identify("NVIDIA", name, device, gib * GIB)
        assert (found.card.id if found else None) == card

    def test_the_machines_memory_is_not_the_cards(self):
        """An APU or SoC is found whatever memory its machine has."""
        found = identify("AMD", "Radeon 8060S Graphics", "1586", 7 * GIB, 40)
        assert found is not None
        assert (found.card.id, found.size_index) == ("radeon-8060s", None)

    @given(
        st.sampled_from(["NVIDIA", "AMD", "Intel", "Apple"]),
        st.none() | st.text(max_size=30) | st.sampled_from([card.name for card in all_cards()]),
        st.none() | st.sampled_from(sorted({device for card in all_cards() for device in card.pci_device_ids})),
        st.none() | st.integers(0, 1 << 40),
        st.none() | st.integers(0, 400),
    )
    @settings(max_examples=150, deadline=None)
    def test_what_is_found_never_contradicts(self, vendor, name, device, total, units):
        """Any report finds nothing, or a card of that maker with that id or name, those units and that size."""
        found = identify(vendor, name, device, total, units)
        if found is None:
            return
        card = found.card
        assert card.vendor == vendor
        assert units is None or card.sm_cu_count in {None, units * card.seen_as}
        if total is not None and card.vram_gib and not card.shares_memory:
            assert card.size_near(total) == found.size_index is not None
