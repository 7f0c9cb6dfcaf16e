"""Categories: the document's nineteen cards exactly, every other card by rule, machines by their best card."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpucheck
from gpucheck.assess.category import (
    BEST_FOR,
    PERFORMANCE_PROFILE,
    categorise,
    gpu_category,
    machine_category,
    rule_category,
)  # fmt: skip
from gpucheck.catalog.cards import all_cards
from gpucheck.catalog.find import card_named
from gpucheck.errors import AmbiguousNameError
from gpucheck.machine.gpus import build_gpu
from gpucheck.machine.simulate import simulate_machine
from gpucheck.machine.types import Flops, Gpu, GpuMemory, Machine, Mig
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import Cpu, GpuReading, Memory, Platform

GIB = 1 << 30
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
DOCUMENT = {
    **dict.fromkeys(("A100", "H100", "H200", "GH200", "MI250", "MI300X"), "High-end"),
    **dict.fromkeys(("A40", "A30", "A6000", "V100", "L4", "T4"), "Mid-range"),
    **dict.fromkeys(("K80", "M60", "P100", "A4000"), "Budget"),
    **dict.fromkeys(("RTX 3070", "RTX 4090", "RTX 4000"), "Consumer"),
}
LISTED = [card for card in all_cards() if card.document]
RECORDED = {
    "A100": "a100", "H100": "h100-sxm", "H200": "h200", "GH200": "gh200", "MI250": "mi250", "MI300X": "mi300x",
    "A40": "a40", "A30": "a30", "A6000": "a6000", "V100": "v100", "L4": "l4", "T4": "t4", "K80": "k80", "M60": "m60",
    "P100": "p100", "A4000": "a4000", "RTX 3070": "rtx-3070", "RTX 4090": "rtx-4090", "RTX 4000": "rtx-4000",
}  # fmt: skip

# Names of the document that are whole names of one card; the others are refused with their variants.
WHOLE = {"H200", "MI250", "MI300X", "A40", "A30", "L4", "T4", "K80", "M60", "RTX 3070", "RTX 4090"}


@cache
def recorded(name: str) -> Machine:
    """The machine of a fixture, with its categories."""
    return gpucheck.load(FIXTURES / f"{name}.json")


def card(index: int = 0, name: str = "X", **facts) -> Gpu:
    """A device with these facts."""
    return msgspec.structs.replace(Gpu(index, name, "NVIDIA", "ok", "discrete"), **facts)


def server(gib: float | None = 80, gbs: float | None = 2000, matrix: int | None = 400, **facts) -> Gpu:
    """A data-centre card in no catalogue."""
    memory = GpuMemory(total_bytes=None if gib is None else int(gib * GIB))
    given = {"segment": "datacenter", "memory": memory, "matrix_cores": matrix}
    return card(bandwidth_bytes_per_s=None if gbs is None else int(gbs * 1e9), **(given | facts))


def machine(*gpus: Gpu) -> Machine:
    """A machine with these devices, categorised."""
    return categorise(Machine("simulated", Platform(), Cpu(), Memory(), gpus=gpus))


class TestDocument:
    """The document's own cards."""

    def test_the_table_is_complete(self):
        """Each of the nineteen names has at least one card in the catalogue and a recording."""
        assert {card.document for card in LISTED} == set(DOCUMENT) == set(RECORDED)

    @pytest.mark.parametrize("name", RECORDED)
    def test_recorded_cards(self, name):
        """A machine recorded with the card has the document's category, card and machine alike, and says so."""
        found = recorded(f"card-{RECORDED[name]}")
        for gpu in found.gpus:
            assert (gpu.category.name, gpu.category.basis) == (DOCUMENT[name], "document")
            assert gpu.category.reasons[0] == f"the document lists the {name} as {DOCUMENT[name]}"
        assert (found.category.name, found.category.basis) == (DOCUMENT[name], "document")

    @pytest.mark.parametrize("name", RECORDED)
    def test_recorded_cards_by_rule_alone(self, name):
        """The rules give the document's answer for every card of it, as its driver reports it."""
        gpus = recorded(f"card-{RECORDED[name]}").gpus
        assert gpus
        for gpu in gpus:
            found = rule_category(gpu)
            assert (found.name, found.basis) == (DOCUMENT[name], "rule")

    @pytest.mark.parametrize("found", LISTED, ids=lambda found: found.id)
    def test_simulated_cards(self, found):
        """Each variant of a document card has its category by each of its names, in each size, and by rule alone."""
        for name in (found.name, *found.driver_names):
            assert card_named(name).card == found
            gpu = gpucheck.simulate(name).gpus[0]
            assert (gpu.category.name, gpu.category.basis) == (DOCUMENT[found.document], "document")
            assert rule_category(gpu).name == DOCUMENT[found.document]

    @pytest.mark.parametrize("name", DOCUMENT)
    def test_the_documents_names(self, name):
        """The document's name leads to its category, or is refused with candidates that include its cards."""
        variants = {card.name for card in LISTED if card.document == name}
        if name in WHOLE:
            found = gpucheck.simulate(name).category
            assert (found.name, found.basis) == (DOCUMENT[name], "document")
        else:
            with pytest.raises(AmbiguousNameError) as caught:
                gpucheck.simulate(name)
            assert variants <= set(caught.value.candidates)

    @pytest.mark.parametrize(
        "name",
        [
            "RTX 4090 Laptop GPU",
            "RTX 4090 D",
            "RTX A4000 Laptop GPU",
            "RTX 3070 Ti",
            "A10",
            "L40S",
            "RTX PRO 4000 Blackwell",
        ],
    )
    def test_neighbours_are_not_in_the_document(self, name):
        """A card that only resembles one of the document's is judged by rule."""
        assert gpucheck.simulate(name).gpus[0].category.basis == "rule"


class TestRules:
    """Every other card."""

    @pytest.mark.parametrize("found", all_cards(), ids=lambda found: found.id)
    def test_every_card_has_a_category(self, found):
        """Each card of the catalogue has a category with reasons, of which none claims what is not known."""
        gpu = simulate_machine(found.name).gpus[0]
        category = gpu_category(gpu)
        assert category.name in BEST_FOR
        assert category.name != "CPU only"
        assert category.reasons
        assert all(reason.strip() for reason in category.reasons)
        text = "; ".join(category.reasons)
        assert "None" not in text
        assert ("memory bandwidth" in text.partition("not known: ")[2]) == (
            category.basis == "rule" and gpu.bandwidth_bytes_per_s is None
        )

    @pytest.mark.parametrize("found", all_cards(), ids=lambda found: found.id)
    def test_segments_and_categories_agree(self, found):
        """Gaming and laptop cards are Consumer, shared memory is Integrated, and nothing else is."""
        name = rule_category(simulate_machine(found.name).gpus[0]).name
        if found.segment in {"consumer", "laptop"}:
            assert name == "Consumer"
        if found.segment == "datacenter":
            assert name in {"High-end", "Mid-range", "Budget"}
        assert (name == "Integrated") == (found.segment in {"apu", "soc", "embedded"} or found.id == "gb10")

    @pytest.mark.parametrize(
        ("name", "category"),
        [
            ("B200", "High-end"),
            ("MI300A", "High-end"),
            ("MI355X", "High-end"),
            ("Intel Gaudi 3", "High-end"),
            ("RTX PRO 6000 Blackwell Workstation Edition", "High-end"),
            ("L40S", "Mid-range"),
            ("A10", "Mid-range"),
            ("Tesla P4", "Budget"),
            ("Tesla K40", "Budget"),
            ("Tesla M4", "Budget"),
            ("Quadro P400", "Budget"),
            ("RTX 6000 Ada Generation", "Mid-range"),
            ("GT 1030", "Consumer"),
            ("RTX 5090", "Consumer"),
            ("GB10", "Integrated"),
            ("M4 Max 128GB", "Integrated"),
            ("Jetson AGX Orin 64GB", "Integrated"),
            ("Intel Arc A770 16GB", "Consumer"),
        ],
    )
    def test_known_cards(self, name, category):
        """Cards beside the document's stand where their figures put them."""
        assert gpucheck.simulate(name).gpus[0].category.name == category

    @pytest.mark.parametrize(
        ("gpu", "category"),
        [
            (server(40, 1400), "High-end"),
            (server(40, 1399), "Mid-range"),
            (server(32, 2000), "Mid-range"),
            (server(16, 300), "Mid-range"),
            (server(16, 299), "Budget"),
            (server(12, 900), "Budget"),
            (server(80, 2000, matrix=0), "Budget"),
            (server(80, None, memory=GpuMemory(total_bytes=80 * GIB, type="HBM4")), "High-end"),
            (server(80, None), "Budget"),
            (server(None, None, None), "Budget"),
            (server(80, 3000, None, compute_capability="13.0"), "High-end"),
            (server(80, 3000, None, compute_capability="7.5"), "Budget"),
            (server(48, 800, segment="workstation"), "Mid-range"),
            (server(24, 550, segment="workstation"), "Mid-range"),
            (server(16, 440, segment="workstation"), "Budget"),
            (server(8, 416, segment="workstation"), "Consumer"),
            (server(32, 1800, 0, segment="workstation"), "Budget"),
            (server(96, 1790, segment="workstation"), "High-end"),
            (server(80, 2000, segment="consumer"), "Consumer"),
            (server(80, 2000, kind="integrated"), "Integrated"),
            (server(64, 200, kind="unified", segment=None), "Integrated"),
            (server(24, 300, segment=None), "Mid-range"),
        ],
    )
    def test_thresholds(self, gpu, category):
        """The limits lie between the document's own cards."""
        assert rule_category(gpu).name == category

    @pytest.mark.parametrize(
        "gpu",
        [
            server(80, None),
            server(None, 900),
            server(80, 3000, None, compute_capability="7.5"),
            server(None, None, segment="workstation"),
            server(48, 900, None, segment="workstation"),
        ],
    )
    def test_the_unknown_is_never_called_small(self, gpu):
        """A card of which a figure is not known is not said to lack it, but that too little is known."""
        first, *rest = rule_category(gpu).reasons
        assert "known" in first
        assert not any(word in first for word in ("below", "without", "moderate", "desktop-class"))
        assert rest[-1].startswith("not known: ")

    def test_a_card_of_next_year(self):
        """A GeForce and a data-centre card of an architecture in no table have categories with reasons."""
        facts = {"vendor": "NVIDIA", "state": "ok", "compute_capability": "13.0", "memory_bus_bits": 8192}
        geforce = GpuReading(name="NVIDIA GeForce RTX 6090", **facts)
        rubin = GpuReading(name="NVIDIA R100", memory_total_bytes=288 * GIB, memory_clock_max_mhz=6000, **facts)
        found = [gpu_category(build_gpu(reading, 0, Memory(), Issues())) for reading in (geforce, rubin)]
        assert [category.name for category in found] == ["Consumer", "High-end"]
        assert [category.basis for category in found] == ["rule", "rule"]
        assert "288 GB" in found[1].reasons[0]

    @given(
        st.builds(
            server,
            gib=st.none() | st.floats(0.1, 600),
            gbs=st.none() | st.floats(1, 20_000),
            matrix=st.none() | st.integers(0, 2000),
            segment=st.sampled_from(
                ["datacenter", "workstation", "consumer", "laptop", "embedded", "apu", "soc", None]
            ),
            kind=st.sampled_from(["discrete", "integrated", "unified", "vgpu", "mig"]),
            compute_capability=st.sampled_from([None, "6.1", "8.0", "13.0", "odd"]),
            vendor=st.sampled_from(["NVIDIA", "AMD", "Intel", "Apple", "Other"]),
            flops=st.sampled_from([Flops(), Flops(fp16=1e14), Flops(fp32=1e12), Flops(bf16=1e14)]),
        )
    )
    @settings(max_examples=300)
    def test_any_card_has_a_category(self, gpu):
        """Any card has a category by rule, with reasons that hold no missing value."""
        category = rule_category(gpu)
        assert category.name in BEST_FOR
        assert category.reasons
        assert not [reason for reason in category.reasons if not reason or "None" in reason or "nan" in reason]


class TestReasons:
    """The four factors, in the maker's words."""

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("H100 PCIe", ("456 Tensor Cores", "80 GB at 2,039 GB/s", "50 MiB L2", "756 TFLOPS dense in 16 bits")),
            ("MI300X", ("1,216 Matrix Cores", "192 GB at 5,300 GB/s", "256 MiB Infinity Cache")),
            ("RX 7900 XTX", ("192 AI accelerators", "24 GB at 960 GB/s")),
            ("Intel Arc B580", ("160 XMX engines", "12 GB at 456 GB/s")),
            ("Tesla K40", ("none, 2,880 CUDA cores do all the work", "FLOPS in fp32")),
            ("RX 6900 XT", ("stream processors do all the work",)),
            ("Apple M5", ("10 Neural Accelerators",)),
            ("Intel Arc Graphics (Core Ultra 100H)", ("1,024 shading units do all the work",)),
        ],
    )
    def test_words(self, name, words):
        """Matrix units, memory, cache and FLOPS are named as the maker names them."""
        text = "; ".join(gpucheck.simulate(name).gpus[0].category.reasons)
        for word in words:
            assert word in text


class TestMachines:
    """The machine is as good as its best card that can be used."""

    @pytest.mark.parametrize(
        ("spec", "category"),
        [
            ("RTX 4090 + H100 PCIe", "High-end"),
            ("RTX 4090 + T4", "Mid-range"),
            ("Tesla K80 + RTX 3070", "Consumer"),
            ("Tesla K80 + GB10", "Budget"),
            ("8x H200", "High-end"),
        ],
    )
    def test_mixed_cards(self, spec, category):
        """Of unlike cards the best gives the class, wherever it stands."""
        parts = spec.split(" + ")
        for order in (parts, parts[::-1]):
            assert gpucheck.simulate(" + ".join(order)).category.name == category

    def test_words_of_the_document(self):
        """A machine's class comes with the document's own words about it, for every class."""
        found = gpucheck.simulate("RTX 4090").category
        assert found.best_for == "gaming, development, mid-range AI tasks"
        assert found.performance_profile == "high compute, Tensor Cores for entry-level inference"
        assert BEST_FOR.keys() == PERFORMANCE_PROFILE.keys()
        assert len(BEST_FOR) == 6

    def test_no_gpu(self):
        """A machine without a GPU is CPU only, with a reason."""
        found = machine().category
        assert (found.name, found.basis) == ("CPU only", "rule")
        assert found.reasons
        assert recorded("container-4gib").category.name == "CPU only"

    def test_a_usable_card_before_a_better_one(self):
        """A card that is lost, hidden or not driven gives the class only where no other can be used."""
        for facts in ({"state": "lost"}, {"visible": False}, {"state": "no_driver"}, {"compute_mode": "prohibited"}):
            best, other = server(**facts), card(1, segment="consumer")
            assert machine(best, other).category.name == "Consumer"
            alone = machine(best).category
            assert alone.name == "High-end"
            assert alone.reasons[-1] == "no process can use it at the moment"

    def test_several_unusable_cards(self):
        """Where no card can be used, the best of all gives the class."""
        cards = (card(0, segment="consumer", state="lost"), server(index=1, state="lost"))
        assert machine(*cards).category.name == "High-end"

    @pytest.mark.parametrize("first", [0, 1])
    def test_a_card_in_mig_mode_counts_through_its_slices(self, first):
        """An H100 that is cut up is the best card of the machine, although only its slices can be used."""
        whole = server(index=first, mig=Mig(mode="enabled", instances=1))
        part = server(10, 400, index=first + 1, kind="mig", mig=Mig(profile="1g.10gb", parent=first))
        others = [card(0, segment="consumer")] if first else []
        rest = [] if first else [card(2, segment="consumer")]
        found = machine(*others, whole, part, *rest)
        assert found.category.name == "High-end"
        assert found.category.reasons[0] == f"GPU {first}, X, is High-end"

    def test_a_cut_up_card_without_slices_does_not_count(self):
        """MIG on with no instances cannot be used: the other card gives the class."""
        whole = server(mig=Mig(mode="enabled", instances=0))
        assert machine(whole, card(1, segment="consumer")).category.name == "Consumer"

    @pytest.mark.parametrize("parent", [0, 1])
    def test_slices_have_their_cards_class(self, parent):
        """A slice is of its card's class, and says so, also of the first card."""
        before = [card(0, segment="consumer")] if parent else []
        whole = server(index=parent, mig=Mig(mode="enabled"))
        part = server(10, 400, index=parent + 1, kind="mig", mig=Mig(parent=parent))
        found = machine(*before, whole, part).gpus[-1].category
        assert found.name == "High-end"
        assert found.reasons[0] == f"a slice of GPU {parent}; the class is that of the whole card"

    def test_recorded_slices(self):
        """All slices of a recorded H100 are High-end by the document."""
        card, *slices = recorded("h100-mig").gpus
        assert len(slices) == 4
        assert {(gpu.category.name, gpu.category.basis) for gpu in slices} == {("High-end", "document")}
        assert all(gpu.category.reasons[1:] == card.category.reasons for gpu in slices)

    @pytest.mark.parametrize(
        "name", ["gpus-hidden", "h100-x8-one-lost", "h100-mig-empty", "driver-missing", "driver-mismatch"]
    )
    def test_broken_machines_have_a_class(self, name):
        """A machine whose cards cannot be used keeps their class, and says that none can be used."""
        found = recorded(name)
        assert found.category.basis == "document"
        blocked = not found.usable_gpus
        assert (found.category.reasons[-1] == "no process can use it at the moment") == blocked

    @pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
    def test_nothing_is_null(self, path):
        """Every recorded machine and each of its devices has a category with reasons."""
        found = recorded(path.stem)
        for category in (found.category, *(gpu.category for gpu in found.gpus)):
            assert category.name in BEST_FOR
            assert category.reasons

    def test_categorising_changes_nothing_else(self):
        """Only categories are added, and adding them twice is the same as once."""
        found = recorded("h100-mig")
        assert categorise(found) == found
        assert machine_category(found) == found.category
