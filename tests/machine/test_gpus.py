"""One `Gpu` from a reading and the catalogue: what is believed, derived, looked up, and left unknown."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucheck.catalog.cards import all_cards
from gpucheck.machine.figures import Figures, idle_usable_bytes
from gpucheck.machine.gpus import build_gpu
from gpucheck.machine.types import Flops, Gpu
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, Memory, MigInstance, ProbeIssue

GIB, MIB = 1 << 30, 1 << 20
CARDS = {card.id: card for card in all_cards()}
HOST = Memory(total_bytes=128 * GIB, available_bytes=100 * GIB, usable_bytes=90 * GIB)
SHOWN = ("bandwidth_bytes_per_s", "shader_cores", "matrix_cores", "l2_cache_bytes", "tdp_w")
RTX_4090 = GpuReading(
    vendor="NVIDIA",
    state="ok",
    name="NVIDIA GeForce RTX 4090",
    brand="GeForce",
    pci_device_id="2684",
    pci_address="0000:01:00.0",
    compute_capability="8.9",
    memory_total_bytes=24_564 * MIB,
    memory_free_bytes=24_000 * MIB,
    memory_bus_bits=384,
    memory_clock_max_mhz=10_501,
    sm_clock_max_mhz=3_105,
    shader_cores=16_384,
    power_default_limit_w=450.0,
)


def build(reading: GpuReading, host: Memory = HOST, index: int = 0) -> tuple[Gpu, tuple[ProbeIssue, ...]]:
    """The GPU of a reading, and the issues met."""
    issues = Issues()
    return build_gpu(reading, index, host, issues), issues.all()


def changed(reading: GpuReading, **facts) -> GpuReading:
    """The reading with other facts."""
    return msgspec.structs.replace(reading, **facts)


def codes(issues) -> list[str]:
    """The codes of issues."""
    return [issue.code for issue in issues]


def known(gpu: Gpu) -> dict[str, object]:
    """Every figure that is not None, by its path."""
    figures = {path: getattr(gpu, path) for path in (*SHOWN, "multiprocessors", "infinity_cache_bytes", "release_year")}
    figures |= {f"flops.{name}": getattr(gpu.flops, name) for name in Flops.__struct_fields__}
    figures |= {f"memory.{name}": getattr(gpu.memory, name) for name in gpu.memory.__struct_fields__}
    figures |= {name: getattr(gpu, name) for name in ("architecture", "compute_capability", "gfx_target")}
    return {path: value for path, value in figures.items() if value is not None}


def accounted(gpu: Gpu, issues) -> None:
    """Every figure has a source, every source a figure, and every null that a report shows an issue."""
    figures = known(gpu)
    sources = {path for path in gpu.sources if not path.startswith("pcie.")}
    assert figures.keys() == sources - {"memory_clock_mhz", "matrix_generation"}
    shown = (*SHOWN, "memory.total_bytes", "memory.free_bytes", "flops.fp16")
    unknown = " ".join(issue.detail for issue in issues if issue.code == "unknown")
    for path in shown:
        assert path in figures or path in unknown, path


class TestCatalogued:
    """A card that the catalogue knows."""

    def test_reported_before_derived_before_catalogue(self):
        """A known card has the driver's figures, the bandwidth that follows from them, and the table's rest."""
        gpu, issues = build(RTX_4090)
        assert issues == ()
        assert (gpu.catalogue_id, gpu.name, gpu.kind, gpu.segment) == (
            "rtx-4090", "NVIDIA GeForce RTX 4090", "discrete", "consumer",
        )  # fmt: skip
        assert (gpu.memory.total_bytes, gpu.sources["memory.total_bytes"]) == (24_564 * MIB, "reported")
        assert (gpu.bandwidth_bytes_per_s, gpu.sources["bandwidth_bytes_per_s"]) == (1_008_096_000_000, "derived")
        assert (gpu.flops.fp16, gpu.sources["flops.fp16"]) == (165.2e12, "catalogue")
        assert (gpu.matrix_cores, gpu.sources["matrix_cores"]) == (512, "catalogue")
        assert (gpu.tdp_w, gpu.sources["tdp_w"]) == (450.0, "reported")
        assert gpu.pci_id == "10de:2684"
        accounted(gpu, issues)

    @pytest.mark.parametrize(
        ("clock", "bandwidth", "basis", "issue"),
        [
            (10_501, 1_008_096_000_000, "derived", False),
            (10_700, 1_027_200_000_000, "derived", False),  # +2 %
            (11_200, 1_008_000_000_000, "catalogue", True),  # +7 %: raised by the user
            (13_000, 1_008_000_000_000, "catalogue", True),  # +24 %
            (14_001, 1_344_096_000_000, "derived", True),  # +33 %: other memory chips
            (10_000, 960_000_000_000, "derived", True),  # -5 %: a slower board
        ],
    )
    def test_bandwidth_that_differs(self, clock, bandwidth, basis, issue):
        """Beyond 3 % an issue says so; a slower clock is the card's own, a raised one its user's."""
        gpu, issues = build(changed(RTX_4090, memory_clock_max_mhz=clock))
        assert (gpu.bandwidth_bytes_per_s, gpu.sources["bandwidth_bytes_per_s"]) == (bandwidth, basis)
        assert ("bandwidth_differs" in codes(issues)) == issue

    def test_namesakes_with_other_memory(self):
        """A GTX 1650 with GDDR6 has its own 192 GB/s, not the 128 of its namesake with GDDR5."""
        gpu, issues = build(
            GpuReading(
                vendor="NVIDIA", state="ok", name="NVIDIA GeForce GTX 1650", compute_capability="7.5",
                memory_total_bytes=4096 * MIB, memory_bus_bits=128, memory_clock_max_mhz=6001,
            )
        )  # fmt: skip
        assert gpu.bandwidth_bytes_per_s == 192_032_000_000
        assert codes(issues) == ["bandwidth_differs", "unknown"]

    @pytest.mark.parametrize(
        "facts", [{"shader_cores": 14_592}, {"compute_capability": "8.6"}, {"shader_cores": 16_385}]
    )
    def test_a_contradiction_drops_the_card(self, facts):
        """What the driver counts on the board decides: a card that differs is not the catalogue's."""
        gpu, issues = build(changed(RTX_4090, **facts))
        assert gpu.catalogue_id is None
        assert "not_the_catalogue_card" in codes(issues)
        assert "catalogue" not in gpu.sources.values()
        accounted(gpu, issues)

    def test_rebuilt_memory_keeps_what_was_reported(self):
        """An RTX 4090 with 48 GB is no card of the catalogue, but its own figures stand."""
        gpu, issues = build(changed(RTX_4090, memory_total_bytes=49_140 * MIB))
        assert gpu.catalogue_id is None
        assert gpu.memory.total_bytes == 49_140 * MIB
        assert gpu.bandwidth_bytes_per_s == 1_008_096_000_000
        assert gpu.flops.fp16 == pytest.approx(165e12, rel=0.02)
        assert gpu.sources["flops.fp16"] == "derived"
        assert gpu.segment == "consumer"
        accounted(gpu, issues)

    def test_a_card_without_a_driver_has_the_tables_figures(self):
        """Where only the bus speaks, size and rates are the catalogue's, and nothing is usable."""
        gpu, issues = build(
            GpuReading(vendor="NVIDIA", state="no_driver", pci_device_id="2684", pci_address="0000:01:00.0")
        )
        assert (gpu.name, gpu.memory.total_bytes) == ("NVIDIA GeForce RTX 4090", 24_564 * MIB)
        assert gpu.memory.usable_bytes is None
        assert {gpu.sources[path] for path in gpu.sources} == {"catalogue", "derived"}
        accounted(gpu, issues)

    def test_a_shared_id_names_the_chip_only(self):
        """Where an id stands for several products, the bus database's name is all that is known."""
        gpu, issues = build(GpuReading(vendor="AMD", state="no_driver", pci_device_id="744c"))
        assert gpu.catalogue_id is None
        assert "7900" in (gpu.name or "")
        assert gpu.memory.total_bytes is None
        accounted(gpu, issues)

    def test_usable_memory_never_exceeds_what_is_reported(self):
        """With ECC on, an A6000 reports less than its nominal size: usable memory follows the report."""
        gpu, _ = build(
            GpuReading(vendor="NVIDIA", state="ok", name="NVIDIA RTX A6000", memory_total_bytes=46_068 * MIB)
        )
        assert gpu.catalogue_id == "rtx-a6000"
        assert gpu.memory.usable_bytes == 46_068 * MIB - 512 * MIB
        assert gpu.sources["memory.usable_bytes"] == "assumed"

    def test_half_an_mi250(self):
        """ROCm's device has half of the board's figures."""
        gpu, issues = build(
            GpuReading(
                vendor="AMD", state="ok", pci_device_id="740c", memory_total_bytes=64 * GIB, multiprocessors=104,
                memory_free_bytes=63 * GIB, gfx_target="gfx90a",
            )
        )  # fmt: skip
        assert gpu.catalogue_id == "mi250"
        assert gpu.bandwidth_bytes_per_s == pytest.approx(1.6384e12, rel=0.01)
        assert gpu.multiprocessors == 104
        assert gpu.shader_cores == 6656
        accounted(gpu, issues)

    def test_gaudi_has_habanas_vendor_id(self):
        """Intel's Gaudi stands on the bus under Habana's id, Intel's graphics under its own."""
        gaudi, _ = build(GpuReading(vendor="Intel", state="ok", pci_device_id="1020"))
        arc, _ = build(GpuReading(vendor="Intel", state="ok", pci_device_id="e20b"))
        assert (gaudi.pci_id, gaudi.catalogue_id) == ("1da3:1020", "gaudi2")
        assert (arc.pci_id, arc.catalogue_id) == ("8086:e20b", "arc-b580")

    def test_mig_state_of_the_whole_card(self):
        """A card in MIG mode counts its instances, one that is not has none to count."""
        cut, _ = build(changed(RTX_4090, mig_mode="enabled", mig_devices=(MigInstance(0), MigInstance(1))))
        whole, _ = build(changed(RTX_4090, mig_mode="disabled"))
        assert (cut.mig.mode, cut.mig.instances, cut.usable) == ("enabled", 2, False)
        assert (whole.mig.mode, whole.mig.instances, whole.usable) == ("disabled", None, True)


class TestUncatalogued:
    """Cards that no table holds."""

    def test_a_card_of_next_year(self):
        """Of an architecture without factors, only what the driver says and its bandwidth are known."""
        gpu, issues = build(
            GpuReading(
                vendor="NVIDIA", state="ok", name="NVIDIA GeForce RTX 6090", brand="GeForce", compute_capability="13.0",
                memory_total_bytes=48 * GIB, memory_free_bytes=47 * GIB, memory_bus_bits=512,
                memory_clock_max_mhz=18_001, sm_clock_max_mhz=3_300, shader_cores=24_576,
            )
        )  # fmt: skip
        assert (gpu.catalogue_id, gpu.segment, gpu.kind) == (None, "consumer", "discrete")
        assert gpu.bandwidth_bytes_per_s == 2_304_128_000_000
        assert gpu.shader_cores == 24_576
        assert gpu.matrix_cores is None
        assert gpu.flops == Flops()
        assert set(gpu.sources.values()) == {"reported", "derived"}
        accounted(gpu, issues)

    def test_an_old_card_of_a_known_architecture(self):
        """A Pascal card in no table gets its rates and its lack of tensor cores by formula."""
        gpu, issues = build(
            GpuReading(
                vendor="NVIDIA", state="ok", name="Quadro P420", brand="Quadro", compute_capability="6.1",
                memory_total_bytes=2 * GIB, memory_free_bytes=GIB, memory_bus_bits=64, memory_clock_max_mhz=2005,
                sm_clock_max_mhz=1531, shader_cores=256,
            )
        )  # fmt: skip
        assert (gpu.catalogue_id, gpu.segment, gpu.architecture) == (None, "workstation", "Pascal")
        assert (gpu.multiprocessors, gpu.matrix_cores, gpu.matrix_generation) == (2, 0, None)
        assert gpu.flops.fp32 == pytest.approx(256 * 2 * 1531 / 1.235 * 1e6, rel=0.01)
        accounted(gpu, issues)

    @pytest.mark.parametrize(
        ("name", "matrix_cores", "fp16_per_fp32"),
        [
            ("NVIDIA GeForce RTX 2065", 240, 4),
            ("NVIDIA GeForce GTX 1670", 0, 2),
            ("NVIDIA GeForce MX450", 0, 2),
            ("NVIDIA T600 Laptop GPU", 0, 2),
            ("Tesla T4G", 240, 8),
            ("NVIDIA Graphics Device", None, None),
        ],
    )
    def test_turing_with_and_without_tensor_cores(self, name, matrix_cores, fp16_per_fp32):
        """Compute capability 7.5 promises nothing: the name must say RTX or T4, or GTX; else it stays unknown."""
        gpu, issues = build(
            GpuReading(
                vendor="NVIDIA", state="ok", name=name, compute_capability="7.5", shader_cores=1920,
                sm_clock_max_mhz=2000, memory_total_bytes=7 * GIB,
            )
        )  # fmt: skip
        assert gpu.matrix_cores == matrix_cores
        if fp16_per_fp32 is None:
            assert gpu.flops.fp16 is None
        else:
            assert gpu.flops.fp16 == pytest.approx(fp16_per_fp32 * gpu.flops.fp32, rel=0.01)
        accounted(gpu, issues)

    def test_nothing_but_a_place_on_the_bus(self):
        """A card of which nothing is known has no figures, one source and an issue for every null."""
        gpu, issues = build(GpuReading(vendor="NVIDIA", state="lost", pci_address="0000:01:00.0"), index=3)
        assert known(gpu) == {"memory.kind": "dedicated"}
        assert [(issue.code, issue.source) for issue in issues] == [("unknown", "gpus[3]")]
        accounted(gpu, issues)

    def test_virtual_gpus(self):
        """A vGPU says so, and is no discrete card."""
        gpu, _ = build(changed(RTX_4090, virtualization="vgpu", name="NVIDIA RTX4090-12Q", memory_total_bytes=12 * GIB))
        assert (gpu.kind, gpu.catalogue_id) == ("vgpu", None)


class TestSharedMemory:
    """Devices whose memory is the machine's."""

    GB10 = GpuReading(vendor="NVIDIA", state="ok", name="NVIDIA GB10", compute_capability="12.1", driver_index=0)

    def test_gb10_uses_the_machines_memory(self):
        """A GB10 whose driver does not tell its memory has the machine's, available and usable alike."""
        gpu, issues = build(self.GB10)
        assert (gpu.kind, gpu.memory.kind, gpu.catalogue_id) == ("unified", "shared", "gb10")
        assert (gpu.memory.total_bytes, gpu.memory.free_bytes, gpu.memory.usable_bytes) == (
            HOST.total_bytes, HOST.available_bytes, HOST.usable_bytes,
        )  # fmt: skip
        assert {gpu.sources[f"memory.{name}"] for name in ("total_bytes", "free_bytes", "usable_bytes")} == {"derived"}
        assert gpu.bandwidth_bytes_per_s == 273_000_000_000
        accounted(gpu, issues)

    def test_a_discrete_card_beside_it_is_untouched(self):
        """A card whose memory is not told has none that is known: never the machine's."""
        gpu, issues = build(
            changed(RTX_4090, name="NVIDIA X", pci_device_id=None, memory_total_bytes=None, memory_free_bytes=None)
        )
        assert gpu.memory.kind == "dedicated"
        assert gpu.memory.total_bytes is None
        accounted(gpu, issues)

    def test_the_data_rate_is_no_double_data_rate_clock(self):
        """GB10 reports 8,533 MHz, the data rate itself: the formula would say 546 GB/s."""
        gpu, issues = build(changed(self.GB10, memory_bus_bits=256, memory_clock_max_mhz=8533))
        assert (gpu.bandwidth_bytes_per_s, gpu.sources["bandwidth_bytes_per_s"]) == (273_000_000_000, "catalogue")
        assert "bandwidth_differs" not in codes(issues)

    def test_a_unified_part_of_next_year_derives_no_bandwidth(self):
        """A unified architecture in no table has no bandwidth rather than a doubled one."""
        gpu, _ = build(changed(self.GB10, name="NVIDIA GB11", memory_bus_bits=256, memory_clock_max_mhz=8533))
        assert (gpu.kind, gpu.bandwidth_bytes_per_s) == ("unified", None)

    def test_unknown_host_memory_stays_unknown(self):
        """Where the machine's memory is not known either, nothing is invented."""
        gpu, issues = build(self.GB10, host=Memory())
        assert gpu.memory.total_bytes is None
        accounted(gpu, issues)

    @pytest.mark.parametrize(
        ("reading", "kind"),
        [
            (GpuReading(vendor="Apple", state="ok", name="Apple M4", memory_total_bytes=16 * GIB), "unified"),
            (GpuReading(vendor="Intel", state="ok", pci_device_id="7d55", integrated=True), "integrated"),
            (GpuReading(vendor="Intel", state="ok", pci_device_id="ffff", integrated=True), "integrated"),
            (GpuReading(vendor="AMD", state="ok", pci_device_id="1586", multiprocessors=40), "integrated"),
            (GpuReading(vendor="AMD", state="ok", name="AMD Instinct MI300A", memory_total_bytes=128 * GIB), "unified"),
            (GpuReading(vendor="NVIDIA", state="ok", name="Orin (nvgpu)", compute_capability="8.7"), "unified"),
            (GpuReading(vendor="AMD", state="ok", pci_device_id="744c", memory_total_bytes=24 * GIB), "discrete"),
        ],
        ids=lambda value: value if isinstance(value, str) else value.name or value.pci_device_id,
    )
    def test_kinds(self, reading, kind):
        """SoCs, Jetsons and MI300A are unified, APUs and integrated graphics integrated, cards discrete."""
        gpu, issues = build(reading)
        assert gpu.kind == kind
        assert gpu.memory.kind == ("dedicated" if kind == "discrete" else "shared")
        accounted(gpu, issues)


class TestFigures:
    """Known values with their basis."""

    def test_the_first_known_value_stays(self):
        """A worse source never replaces a better one, and an unknown never counts."""
        figures = Figures()
        figures.put("a", None, "reported")
        figures.put("a", 1, "derived")
        figures.put("a", 2, "catalogue")
        figures.put("b.c", 0, "assumed")
        assert (figures.top(), figures.part("b")) == ({"a": 1}, {"c": 0})
        assert figures.sources == {"a": "derived", "b.c": "assumed"}


@pytest.mark.parametrize(
    ("card", "nominal", "left"),
    [
        ("rtx-4090", True, 24 * GIB - 512 * MIB),
        ("t4", True, 15 * GIB - 512 * MIB),  # GDDR in a data centre: ECC takes a sixteenth
        ("t4", False, 16 * GIB - 512 * MIB),
        ("a100-pcie-40", True, 40 * GIB - 512 * MIB),  # HBM has its ECC apart
        ("rtx-a6000", True, 48 * GIB - 512 * MIB),
    ],
)
def test_idle_usable_bytes(card, nominal, left):
    """An idle card leaves all but the driver's reserve, and a nominal size its inline ECC codes too."""
    found = CARDS[card]
    assert idle_usable_bytes(int(found.vram_gib[0]) * GIB, found, nominal) == left
    assert idle_usable_bytes(100 * MIB, found, nominal) == 0


@given(
    st.builds(
        GpuReading,
        vendor=st.sampled_from(["NVIDIA", "AMD", "Intel", "Apple"]),
        state=st.sampled_from(["ok", "lost", "no_driver", "no_permission"]),
        name=st.none()
        | st.sampled_from([name for card in all_cards() for name in card.driver_names])
        | st.text(max_size=9),
        pci_device_id=st.none() | st.sampled_from([device for card in all_cards() for device in card.pci_device_ids]),
        compute_capability=st.none() | st.sampled_from(["5.2", "7.5", "8.6", "8.7", "9.0", "12.1", "13.0"]),
        integrated=st.none() | st.booleans(),
        memory_total_bytes=st.none() | st.sampled_from([gib * GIB for gib in (2, 8, 16, 24, 48, 80)]),
        memory_bus_bits=st.none() | st.sampled_from([0, 64, 256, 5120]),
        memory_clock_max_mhz=st.none() | st.sampled_from([0, 1593, 7001]),
        sm_clock_max_mhz=st.none() | st.sampled_from([0, 1410, 3105]),
        shader_cores=st.none() | st.sampled_from([1, 2560, 16_384]),
        multiprocessors=st.none() | st.sampled_from([1, 40, 104]),
        power_default_limit_w=st.none() | st.just(300.0),
    )
)
@settings(max_examples=250, deadline=None)
def test_any_reading_is_accounted_for(reading):
    """Whatever a driver says, each figure has a source, each shown null an issue, and nothing is negative."""
    gpu, issues = build(reading)
    accounted(gpu, issues)
    assert all(value >= 0 for value in known(gpu).values() if isinstance(value, int | float))
    for path, basis in gpu.sources.items():
        assert basis != "measured", path
    usable = gpu.memory.usable_bytes
    assert usable is None or usable <= (gpu.memory.total_bytes or 0)


VGPU = GpuReading(
    vendor="NVIDIA", state="ok", name="NVIDIA A40-8Q", pci_device_id="2235", memory_total_bytes=8 * GIB,
    compute_capability="8.6",
)  # fmt: skip


class TestVgpu:
    """A share of a card has the card's PCI id, and little else of it."""

    def build(self, *, bare_metal: bool, **facts) -> tuple[Gpu, list[str]]:
        """The share with other facts, and the codes of its issues."""
        issues = Issues()
        gpu = build_gpu(changed(VGPU, **facts), 0, HOST, issues, bare_metal=bare_metal)
        return gpu, codes(issues.all())

    def test_the_name_tells(self):
        """The profile in the driver's name, where the mode is not known."""
        gpu, _ = self.build(bare_metal=True)
        assert (gpu.kind, gpu.memory.total_bytes) == ("vgpu", 8 * GIB)

    def test_its_size_is_not_the_cards(self):
        """Nothing of the whole A40 stands in for a size that the driver did not tell."""
        gpu, _ = self.build(bare_metal=False, memory_total_bytes=None)
        assert (gpu.kind, gpu.memory.total_bytes, gpu.catalogue_id) == ("vgpu", None, None)

    def test_a_silent_card_in_a_virtual_machine_may_be_a_share(self):
        """Neither mode nor name: kind and size are unknown, and an issue says why."""
        gpu, found = self.build(bare_metal=False, name=None, memory_total_bytes=None)
        assert (gpu.kind, gpu.memory.total_bytes, gpu.memory.usable_bytes) == (None, None, None)
        assert "may_be_vgpu" in found

    def test_a_silent_card_of_a_real_machine_is_one(self):
        """Without a hypervisor there is nobody to share a card out."""
        gpu, found = self.build(bare_metal=True, name=None, memory_total_bytes=None)
        assert (gpu.kind, gpu.catalogue_id) == ("discrete", "a40")
        assert gpu.memory.total_bytes == CARDS["a40"].total_bytes(0)
        assert "may_be_vgpu" not in found

    def test_a_reported_size_stands(self):
        """What the driver says of the memory holds, whatever the device is."""
        gpu, _ = self.build(bare_metal=False, name=None)
        assert (gpu.kind, gpu.memory.total_bytes) == (None, 8 * GIB)


def test_a_size_that_only_the_driver_knows():
    """There are RTX 3080 with 20 GB under the name and id of those with 10: without the driver's word it is unknown."""
    reading = GpuReading(vendor="NVIDIA", state="unknown", pci_device_id="2206")
    gpu, _ = build(reading)
    assert (gpu.catalogue_id, gpu.memory.total_bytes) == ("rtx-3080-10", None)
    assert build(changed(reading, memory_total_bytes=10 * GIB))[0].memory.total_bytes == 10 * GIB
