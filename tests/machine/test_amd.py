"""AMD's own part of a `Gpu`: products with one id, APUs' memory, bandwidth, and figures by formula."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpucheck.machine.amd import asks_tools
from gpucheck.machine.gpus import build_gpu
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, Memory

GIB, MIB = 1 << 30, 1 << 20
HOST = Memory(total_bytes=28 * GIB, available_bytes=20 * GIB, usable_bytes=10 * GIB)
XTX = GpuReading(
    vendor="AMD",
    state="ok",
    pci_address="0000:03:00.0",
    pci_device_id="744c",
    pci_revision="c8",
    gfx_target="gfx1100",
    integrated=False,
    memory_total_bytes=24560 * MIB,
    memory_free_bytes=24000 * MIB,
    memory_bus_bits=384,
    memory_clock_max_mhz=1249,
    sm_clock_max_mhz=2482,
    multiprocessors=96,
)
APU = GpuReading(
    vendor="AMD",
    state="ok",
    pci_address="0000:c4:00.0",
    pci_device_id="1900",
    gfx_target="gfx1103",
    integrated=True,
    memory_total_bytes=512 * MIB,
    memory_used_bytes=256 * MIB,
    memory_free_bytes=256 * MIB,
    memory_gtt_total_bytes=14 * GIB,
    memory_gtt_used_bytes=2 * GIB,
    memory_rocm_bytes=14 * GIB,
    multiprocessors=12,
    sources={"memory_total_bytes": "sysfs"},
)


def build(reading, host=HOST):
    """The GPU, and the codes of the issues met."""
    issues = Issues()
    gpu = build_gpu(reading, 0, host, issues)
    return gpu, {issue.code: issue.detail for issue in issues.all()}


class TestIdentity:
    """Which product a card is."""

    @pytest.mark.parametrize(
        ("device_id", "units", "gib", "card"),
        [
            ("744c", 96, 24, "rx-7900-xtx"), ("744c", 84, 20, "rx-7900-xt"), ("744c", 80, 16, "rx-7900-gre"),
            ("744c", 72, 16, "rx-7900m"), ("73bf", 60, 16, "rx-6800"), ("73bf", 72, 16, "rx-6800-xt"),
            ("73bf", 80, 16, "rx-6900-xt"), ("73df", 36, 10, None), ("747e", 60, 16, "rx-7800-xt"),
            ("747e", 54, 12, "rx-7700-xt"), ("747e", 40, 16, "rx-7700"), ("7550", 64, 16, "rx-9070-xt"),
            ("7550", 56, 16, "rx-9070"), ("7550", 48, 12, "rx-9070-gre"), ("7590", 32, 8, "rx-9060-xt"),
            ("7590", 32, 16, "rx-9060-xt"), ("7590", 28, 8, "rx-9060"), ("740c", 104, 64, "mi250"),
            ("740c", 110, 64, "mi250x"), ("7480", 32, 16, "rx-7600-xt"), ("7480", 32, 8, None),
        ],
    )  # fmt: skip
    def test_shared_ids(self, device_id, units, gib, card):
        """Compute units and memory tell the products of one id apart, where they differ."""
        reading = GpuReading("AMD", "ok", pci_device_id=device_id, multiprocessors=units, memory_total_bytes=gib * GIB)
        gpu, issues = build(reading)
        assert gpu.catalogue_id == card
        assert ("ambiguous" in issues) == (card is None)

    @pytest.mark.parametrize(
        ("device_id", "revision", "card"),
        [("73bf", "c0", "rx-6900-xt"), ("73bf", "c1", "rx-6800-xt"), ("7480", "cf", "rx-7600"),
         ("7480", "c1", "rx-7700s"), ("73df", "c5", "rx-6700-xt"), ("744c", "cc", None)],
    )  # fmt: skip
    def test_revision(self, device_id, revision, card):
        """The revision names the product; a size that it does not come in is no card of ours."""
        gib = {"7480": 8, "73df": 12}.get(device_id, 16)
        reading = GpuReading("AMD", "ok", pci_device_id=device_id, pci_revision=revision, memory_total_bytes=gib * GIB)
        assert build(reading)[0].catalogue_id == card

    def test_revision_of_an_unlisted_product(self):
        """An RX 6650M XT has units and memory of an RX 6650 XT, and is none."""
        reading = GpuReading(
            "AMD", "ok", pci_device_id="73ef", pci_revision="c4", multiprocessors=32, memory_total_bytes=8 * GIB
        )
        gpu, issues = build(reading)
        assert (gpu.name, gpu.catalogue_id) == ("AMD Radeon RX 6650M XT", None)
        assert "ambiguous" not in issues

    def test_ambiguous(self):
        """Nothing tells them apart: the bus database's name, and an issue with the candidates."""
        gpu, issues = build(GpuReading("AMD", "ok", pci_device_id="73bf", memory_total_bytes=16 * GIB))
        assert gpu.name == "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]"
        assert "AMD Radeon RX 6800 XT, AMD Radeon RX 6900 XT" in issues["ambiguous"]

    def test_carve_out_is_no_evidence(self):
        """96 GiB are a size of the Ryzen AI Max+ 395's memory alone; as a carve-out they say nothing."""
        gpu, _ = build(replace(APU, pci_device_id="1586", multiprocessors=None, memory_total_bytes=96 * GIB))
        assert gpu.catalogue_id is None

    @pytest.mark.parametrize(
        ("facts", "asked"),
        [
            ({}, False),
            ({"pci_revision": None}, False),  # its units and memory are those of one product
            ({"pci_revision": None, "multiprocessors": None, "memory_total_bytes": 16 * GIB}, True),
            ({"memory_total_bytes": None}, True),
            ({"pci_device_id": "7fff", "pci_revision": None}, True),
            ({"pci_device_id": "7fff", "name": "AMD Radeon RX 9990"}, False),
        ],
    )
    def test_asks_tools(self, facts, asked):
        """AMD's tools are asked for names and memory that nothing else tells."""
        assert asks_tools(replace(XTX, **facts)) is asked


class TestApu:
    """Memory that an APU has."""

    def test_both_parts(self):
        """Carve-out and loan add up; the process gets no more of the loan than of the machine's memory."""
        gpu, issues = build(APU)
        memory = gpu.memory
        assert (gpu.kind, memory.kind) == ("integrated", "shared")
        assert (memory.carve_out_bytes, memory.gtt_bytes, memory.rocm_bytes) == (512 * MIB, 14 * GIB, 14 * GIB)
        assert memory.total_bytes == 512 * MIB + 14 * GIB
        assert memory.free_bytes == 256 * MIB + 12 * GIB
        assert memory.usable_bytes == 256 * MIB + 10 * GIB
        assert gpu.sources["memory.total_bytes"] == "derived"
        assert "rocm_memory_differs" not in issues

    @pytest.mark.parametrize(("rocm", "said"), [(7 * GIB, True), (512 * MIB, True), (14 * GIB, False), (None, False)])
    def test_what_rocm_counts(self, rocm, said):
        """ROCm halved it between releases (rocm-systems #5167), or counts the carve-out alone: both are shown."""
        gpu, issues = build(replace(APU, memory_rocm_bytes=rocm))
        assert gpu.memory.rocm_bytes == rocm
        assert ("rocm_memory_differs" in issues) == said
        assert gpu.memory.total_bytes == 512 * MIB + 14 * GIB

    def test_large_carve_out(self):
        """A carve-out of 96 GiB is the larger part, and what ROCm counts."""
        carved = replace(APU, memory_total_bytes=96 * GIB, memory_rocm_bytes=96 * GIB)
        gpu, issues = build(carved)
        assert gpu.memory.total_bytes == 110 * GIB
        assert "rocm_memory_differs" not in issues

    @pytest.mark.parametrize("part", ["memory_total_bytes", "memory_gtt_total_bytes"])
    def test_one_part_alone(self, part):
        """A part is not the whole, nor is what ROCm counts: the pool is unknown, with an issue; the part is told."""
        gpu, issues = build(replace(APU, **{part: None}))
        memory = gpu.memory
        assert (memory.kind, memory.total_bytes, memory.free_bytes, memory.usable_bytes) == ("shared", None, None, None)
        parts = (None, 14 * GIB) if part == "memory_total_bytes" else (512 * MIB, None)
        assert (memory.carve_out_bytes, memory.gtt_bytes, memory.rocm_bytes) == (*parts, 14 * GIB)
        assert "unknown" in issues

    @pytest.mark.parametrize("part", ["memory_used_bytes", "memory_gtt_used_bytes"])
    def test_use_that_nobody_tells(self, part):
        """Without what is used of both parts, nothing is known to be free; the size is."""
        gpu, issues = build(replace(APU, **{part: None}))
        memory = gpu.memory
        assert (memory.total_bytes, memory.free_bytes, memory.usable_bytes) == (512 * MIB + 14 * GIB, None, None)
        assert "memory.free_bytes" in issues["unknown"]

    def test_machine_that_does_not_tell_what_it_has_left(self):
        """The loan is bounded by it: unknown then."""
        gpu, _ = build(APU, replace(HOST, available_bytes=None))
        assert (gpu.memory.free_bytes, gpu.memory.usable_bytes) == (None, None)

    def test_pool_of_windows(self):
        """Windows tells of no parts and no place on the bus: the GPU shares the machine's memory."""
        gpu, _ = build(GpuReading("AMD", "ok", name="AMD Radeon 780M Graphics", integrated=True))
        assert (gpu.memory.kind, gpu.memory.total_bytes) == ("shared", 28 * GIB)

    def test_unusable(self):
        """A card that cannot be opened lends nobody anything."""
        assert build(replace(APU, state="no_permission"))[0].memory.usable_bytes is None

    def test_discrete_card_beside_it(self):
        """What the kernel would lend a discrete card is none of its memory."""
        gpu, _ = build(replace(XTX, memory_gtt_total_bytes=32 * GIB, memory_gtt_used_bytes=0))
        assert (gpu.kind, gpu.memory.total_bytes, gpu.memory.gtt_bytes) == ("discrete", 24560 * MIB, None)


class TestBandwidth:
    """Width times clock times transfers, against the catalogue."""

    def test_derived(self):
        """The card's own figures go before the table's."""
        gpu, issues = build(XTX)
        assert (gpu.bandwidth_bytes_per_s, gpu.sources["bandwidth_bytes_per_s"]) == (959_232_000_000, "derived")
        assert "bandwidth_differs" not in issues

    @pytest.mark.parametrize(
        ("clock", "source"), [(1300, "catalogue"), (1350, "catalogue"), (1100, "derived"), (2500, "derived")]
    )
    def test_differs(self, clock, source):
        """A clock raised a little is its user's; a lower one, or another memory's, is the card's."""
        gpu, issues = build(replace(XTX, memory_clock_max_mhz=clock))
        assert gpu.sources["bandwidth_bytes_per_s"] == source
        assert "bandwidth_differs" in issues

    def test_memory_by_target(self):
        """A card that the catalogue lacks has the memory of its generation."""
        gpu, _ = build(replace(XTX, pci_device_id="7fff", pci_revision=None, name="AMD Radeon RX 9990"))
        assert (gpu.catalogue_id, gpu.memory.type) == (None, "GDDR6")
        assert gpu.bandwidth_bytes_per_s == 959_232_000_000

    def test_memory_that_the_driver_names(self):
        """amd-smi's word for it goes before the generation's."""
        reading = replace(XTX, pci_device_id="7fff", pci_revision=None, name="AMD X", memory_type="HBM3")
        assert build(reading)[0].bandwidth_bytes_per_s == 384 * 1249 * 4 * 1_000_000 // 8

    def test_apu_is_not_derived(self):
        """No factor is known for its modules."""
        gpu, _ = build(replace(APU, memory_bus_bits=128, memory_clock_max_mhz=2800))
        assert gpu.bandwidth_bytes_per_s is None


class TestDerived:
    """Cores and rates of a card that nobody has listed."""

    def test_everything(self):
        """By gfx target, compute units and clock, each marked as derived."""
        gpu, _ = build(replace(XTX, pci_device_id="7fff", pci_revision=None, name="AMD Radeon RX 9990"))
        assert (gpu.architecture, gpu.shader_cores, gpu.matrix_cores, gpu.matrix_generation) == ("RDNA3", 6144, 192, 1)
        assert gpu.flops.fp16 == pytest.approx(96 * 512 * 2482e6, rel=0.01)
        assert (gpu.flops.fp8, gpu.sources["flops.fp16"]) == (None, "derived")

    def test_no_matrix_units(self):
        """RDNA 2 has none: zero, not unknown."""
        gpu, _ = build(GpuReading("AMD", "ok", pci_device_id="164e", gfx_target="gfx1036", integrated=True))
        assert (gpu.matrix_cores, gpu.matrix_generation, gpu.flops.fp16) == (0, None, None)

    def test_unknown_target(self):
        """Nothing is guessed."""
        gpu, issues = build(GpuReading("AMD", "ok", pci_device_id="7fff", gfx_target="gfx9999", multiprocessors=64))
        assert (gpu.shader_cores, gpu.matrix_cores, gpu.flops.fp16) == (None, None, None)
        assert "unknown" in issues

    def test_how_rocm_divides_it(self):
        """Modes, partitions and ROCm's number are shown."""
        facts = {"compute_partition": "CPX", "memory_partition": "NPS1", "partitions": 8, "driver_index": 16}
        gpu, _ = build(replace(XTX, **facts))
        assert (gpu.partition.compute, gpu.partition.memory, gpu.partition.count) == ("CPX", "NPS1", 8)
        assert gpu.driver_index == 16
