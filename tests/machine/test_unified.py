"""Memory that a GPU shares with the processor: what a process gets, from which source, and whom this never touches."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.host.answer import Answer
from gpucheck.host.host import Host
from gpucheck.host.recording import ReplaySource, make_recording, read_recording
from gpucheck.host.redact import Redactor
from gpucheck.machine.inspect import inspect_host
from gpucheck.machine.unified import is_shared_part, shared_memory, working_set_bytes
from gpucheck.probes.coherent import probe_coherent, without_hbm
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, Memory
from tests.fake_source import fake_host

GIB, MIB = 1 << 30, 1 << 20
FIXTURES = Path(__file__).parents[2] / "fixtures"
HOST = Memory(total_bytes=120 * GIB, available_bytes=100 * GIB, usable_bytes=90 * GIB)


def gb10(**more):
    """NVML's silence about a GB10's memory."""
    return GpuReading(vendor="NVIDIA", state="ok", **{"name": "NVIDIA GB10", "compute_capability": "12.1", **more})


def pool_of(reading, host=HOST):
    """Total, free, usable; their bases; codes of issues."""
    issues = Issues()
    pool = shared_memory(reading, host, 0, issues)
    shares = (pool.total, pool.free, pool.usable)
    return [share.value for share in shares], [share.basis for share in shares], [i.code for i in issues.all()]


def machine_of(name, **replaced):
    """The machine of a fixture, some files replaced."""
    source = ReplaySource(read_recording(FIXTURES / f"{name}.json"))
    for path, text in replaced.pop("files", {}).items():
        source.recording.answers["file"][path] = Answer(text)
    return inspect_host(Host(source, "recording"))


def codes(machine):
    """The codes of a machine's issues."""
    return {issue.code for issue in machine.issues}


class TestRule:
    """The pure rule."""

    def test_a_silent_driver_leaves_the_host(self):
        """GB10: NOT_SUPPORTED. The pool is the machine's, free is MemAvailable, usable what limits leave."""
        assert pool_of(gb10()) == ([120 * GIB, 100 * GIB, 90 * GIB], ["derived"] * 3, [])

    def test_a_carve_out_is_told_and_overruled(self):
        """N1X: 8128 MiB is the carve-out; the pool wins and the issue has both numbers (unsloth #10283)."""
        issues = Issues()
        pool = shared_memory(gb10(memory_total_bytes=8128 * MIB, memory_free_bytes=7929 * MIB), HOST, 0, issues)
        assert (pool.total.value, pool.usable.value) == (120 * GIB, 90 * GIB)
        (issue,) = issues.all()
        assert issue.code == "carve_out"
        assert "8,128 MiB" in issue.detail
        assert "122,880 MiB" in issue.detail

    def test_a_driver_that_tells_the_pool_is_believed(self):
        """A total near the machine's is the driver's own; its free leaves out the page cache (sglang #10075)."""
        values, bases, noted = pool_of(gb10(memory_total_bytes=118 * GIB, memory_free_bytes=2 * GIB))
        assert values == [118 * GIB, 100 * GIB, 90 * GIB]
        assert (bases, noted) == (["reported", "derived", "derived"], [])

    def test_host_memory_that_nobody_knows(self):
        """Unknown stays unknown: a driver's number may be a carve-out, and nothing is there to compare it with."""
        assert pool_of(gb10(), Memory())[0] == [None, None, None]
        values, _, noted = pool_of(gb10(memory_total_bytes=8 * GIB, memory_free_bytes=GIB), Memory())
        assert (values, noted) == ([None, None, None], ["carve_out"])

    def test_a_limit_of_the_kernel(self):
        """Integrated graphics on the xe driver get what TTM lends, where the host has more to give."""
        reading = GpuReading(vendor="Intel", state="ok", integrated=True, memory_limit_bytes=60 * GIB)
        assert pool_of(reading) == ([120 * GIB, 100 * GIB, 60 * GIB], ["derived", "derived", "reported"], [])

    def test_a_gpu_that_cannot_be_used_gives_nothing(self):
        """A paravirtual Apple GPU has a size and no room."""
        reading = GpuReading(vendor="Apple", state="unsupported", memory_total_bytes=7 * GIB)
        values, _, noted = pool_of(reading, Memory(7 * GIB, 6 * GIB, usable_bytes=6 * GIB))
        assert (values, noted) == ([7 * GIB, 6 * GIB, None], [])

    @pytest.mark.parametrize(("gib", "measured_gib"), [(16, 11.84), (24, 17.76), (128, 107.52)])
    def test_the_working_set_is_the_measured_one(self, gib, measured_gib):
        """The three points that users measured (llmfit #754, sglang #29949, ds4 #893)."""
        assert working_set_bytes(gib * GIB) == pytest.approx(measured_gib * GIB, rel=1e-6)

    def test_what_is_known_to_share(self):
        """Capability or name, never silence alone: a lost card is silent as well (gpustat #179)."""
        for name in ("NVIDIA GB10", "Orin (nvgpu)", "NVIDIA Thor", "Xavier", "NVIDIA Tegra X1", "NVIDIA RTX Spark N1X"):
            assert is_shared_part(GpuReading(vendor="NVIDIA", state="ok", name=name)), name
        for name in ("NVIDIA GeForce RTX 3090", "NVIDIA GH200 480GB", "NVIDIA GB200", "GRID T4-8Q", None):
            assert not is_shared_part(GpuReading(vendor="NVIDIA", state="lost", name=name)), name

    @given(
        st.builds(
            GpuReading,
            vendor=st.sampled_from(["NVIDIA", "AMD", "Intel", "Apple"]),
            state=st.sampled_from(["ok", "unsupported", "unknown"]),
            memory_total_bytes=st.none() | st.integers(0, 1 << 40),
            memory_free_bytes=st.none() | st.integers(0, 1 << 40),
            memory_limit_bytes=st.none() | st.integers(1, 1 << 40),
        ),
        st.builds(
            Memory,
            total_bytes=st.none() | st.integers(0, 1 << 40),
            available_bytes=st.none() | st.integers(0, 1 << 40),
            usable_bytes=st.none() | st.integers(0, 1 << 40),
        ),
    )
    def test_never_more_than_there_is(self, reading, host):
        """Whatever the sources say: free and usable are within the total and within what the host gives."""
        total, free, usable = pool_of(reading, host)[0]
        for part in (free, usable):
            assert part is None or total is None or 0 <= part <= total
        if usable is not None:
            assert reading.state == "ok"
            assert host.usable_bytes is None or usable <= host.usable_bytes
            assert reading.memory_limit_bytes is None or usable <= reading.memory_limit_bytes


class TestSpark:
    """GB10, alone and beside a card, and N1X."""

    def test_gb10(self):
        """Its memory is the machine's; page cache counts as free; the catalogue knows the rest."""
        machine = machine_of("unified-gb10")
        (gpu,) = machine.gpus
        assert (gpu.kind, gpu.catalogue_id, gpu.state, gpu.memory.kind) == ("unified", "gb10", "ok", "shared")
        assert gpu.memory.total_bytes == machine.memory.total_bytes == 125_511_680 * 1024
        assert gpu.memory.free_bytes == machine.memory.available_bytes
        assert gpu.memory.usable_bytes == machine.memory.usable_bytes
        assert gpu.bandwidth_bytes_per_s == 273_000_000_000
        assert {gpu.sources[f"memory.{name}_bytes"] for name in ("total", "free", "usable")} == {"derived"}
        assert machine.cpu.name == "Cortex-X925 + Cortex-A725"

    def test_a_container_limit_holds_for_the_gpu_too(self):
        """Memory limited to 32 GiB: a process there gets no more from the same pool."""
        cgroup = "/sys/fs/cgroup"
        files = {
            "/proc/self/cgroup": "0::/\n",
            f"{cgroup}/cgroup.controllers": "cpu memory\n",
            f"{cgroup}/memory.max": f"{32 * GIB}\n",
            f"{cgroup}/memory.current": f"{2 * GIB}\n",
            f"{cgroup}/memory.stat": "inactive_file 0\n",
        }
        (gpu,) = machine_of("unified-gb10", files=files).gpus
        assert gpu.memory.usable_bytes == 30 * GIB
        assert gpu.memory.total_bytes == 125_511_680 * 1024

    def test_a_card_beside_it_keeps_its_own(self):
        """The RTX 4090 is told as it is anywhere else (nvtop #436)."""
        card, own = machine_of("unified-gb10-with-rtx").gpus
        (alone,) = machine_of("card-rtx-4090").gpus
        assert (card.memory, card.kind, card.bandwidth_bytes_per_s) == (
            alone.memory, "discrete", alone.bandwidth_bytes_per_s,
        )  # fmt: skip
        assert (own.kind, own.pci_address) == ("unified", "000f:01:00.0")

    def test_a_spark_that_shows_no_gpu(self):
        """A copied tree without a bus: the firmware's name tells that there is a GB10, and no more than that."""
        files = {"/sys/class/dmi/id/product_name": "NVIDIA_DGX_Spark\n",
                 "/proc/meminfo": "MemTotal: 125508468 kB\nMemAvailable: 121737812 kB\n"}  # fmt: skip
        machine = inspect_host(fake_host(files=files))
        (gpu,) = machine.gpus
        assert (gpu.catalogue_id, gpu.kind, gpu.state) == ("gb10", "unified", "unknown")
        assert (gpu.memory.total_bytes, gpu.memory.usable_bytes) == (125508468 * 1024, None)
        assert machine.usable_gpus == ()
        for product in ("ASUS Ascent GX10", "Super Server", ""):
            assert inspect_host(fake_host(files={"/sys/class/dmi/id/product_name": product})).gpus == ()
        assert inspect_host(fake_host(files={"/sys/class/dmi/id/product_name": "Pro Max with GB10"})).gpus != ()

    def test_n1x(self):
        """The wrong small number of NVML loses against the pool, and both are told."""
        machine = machine_of("unified-n1x")
        (gpu,) = machine.gpus
        assert (gpu.kind, gpu.memory.total_bytes) == ("unified", machine.memory.total_bytes)
        assert gpu.memory.usable_bytes == machine.memory.usable_bytes
        (issue,) = [issue for issue in machine.issues if issue.code == "carve_out"]
        assert "8,128 MiB" in issue.detail
        assert f"{machine.memory.total_bytes >> 20:,} MiB" in issue.detail


class TestJetson:
    """Tegra chips with and without NVML."""

    @pytest.mark.parametrize(
        ("name", "module", "capability", "cores"),
        [
            ("unified-jetson-orin-64", "jetson-agx-orin-64", "8.7", 16),
            ("unified-jetson-thor", "jetson-agx-thor", "11.0", 20),
            ("unified-jetson-xavier", "jetson-agx-xavier", "7.2", 8),
        ],
    )
    def test_module(self, name, module, capability, cores):
        """The device tree names the module, whose bandwidth and cores the catalogue has."""
        machine = machine_of(name)
        (gpu,) = machine.gpus
        assert (gpu.catalogue_id, gpu.compute_capability, gpu.multiprocessors) == (module, capability, cores)
        assert (gpu.kind, gpu.state, gpu.memory.kind) == ("unified", "ok", "shared")
        assert gpu.memory.total_bytes == machine.memory.total_bytes
        assert gpu.bandwidth_bytes_per_s is not None

    def test_nothing_is_bound_where_nothing_is_told(self):
        """JetPack 4 has no NVML and no driver version; a missing library is then no news."""
        machine = machine_of("unified-jetson-xavier")
        assert machine.drivers.nvidia is None
        assert "library_missing" not in codes(machine)


class TestGraceHopper:
    """HBM of its own beside the processor's memory."""

    def test_hbm_is_the_gpu_s_and_not_the_host_s(self):
        """The card is discrete; what Linux counts of it as RAM is not offered to processes a second time."""
        machine = machine_of("unified-gh200-partial")
        (gpu,) = machine.gpus
        assert (gpu.kind, gpu.memory.kind, gpu.memory.total_bytes) == ("discrete", "dedicated", 97871 * MIB)
        assert gpu.memory.usable_bytes == gpu.memory.free_bytes
        assert machine.memory.total_bytes == 601_614_720 * 1024
        assert machine.memory.usable_bytes == 450_000_000 * 1024
        assert machine.cpu.numa_nodes == 1
        assert "coherent_memory" in codes(machine)

    def test_other_machines_keep_their_memory(self):
        """Nodes without processors are also CXL memory, which is the host's."""
        card = GpuReading(vendor="NVIDIA", state="ok", name="NVIDIA H200")
        assert without_hbm(HOST, [card], 50 * GIB, Issues()) is HOST

    def test_a_tighter_limit_stays(self):
        """A cgroup limit below what is left is still the limit."""
        card = GpuReading(vendor="NVIDIA", state="ok", name="NVIDIA GH200 480GB")
        assert without_hbm(HOST, [card], 5 * GIB, Issues()).usable_bytes == 90 * GIB
        assert without_hbm(HOST, [card], 30 * GIB, Issues()).usable_bytes == 70 * GIB

    @pytest.mark.parametrize(
        ("name", "number", "free", "usable"),
        [
            ("NVIDIA H200", "2335", 30 * GIB, 90 * GIB),
            ("NVIDIA H200", "2335", None, 90 * GIB),
            (None, "2342", 30 * GIB, 70 * GIB),  # the id of a GH200
            (None, None, 30 * GIB, None),
            (None, None, 0, 90 * GIB),
            ("NVIDIA GH200 480GB", None, None, None),
        ],
    )
    def test_what_a_process_gets_is_unknown_where_the_hbm_is(self, name, number, free, usable):
        """Neither which card it is nor how much of the memory is the card's may be taken for none of it."""
        card, issues = GpuReading(vendor="NVIDIA", state="ok", name=name, pci_device_id=number), Issues()
        assert without_hbm(HOST, [card], free, issues).usable_bytes == usable
        assert bool(issues.all()) == (usable != 90 * GIB)

    @pytest.mark.parametrize(
        ("path", "error"),
        [
            ("has_cpu", "timeout"),
            ("has_memory", "not_found"),
            ("node1/meminfo", "timeout"),
            ("node1/meminfo", "not_found"),
        ],
    )
    def test_nodes_that_cannot_be_read(self, path, error):
        """Free memory of unknown nodes is unknown, not 0; a machine of one node has none of these."""
        node = "/sys/devices/system/node"
        files = {
            f"{node}/online": "0-1\n", f"{node}/has_cpu": "0\n", f"{node}/has_memory": "0-1\n",
            f"{node}/node1/meminfo": "Node 1 MemFree:  1024 kB\n",
        }  # fmt: skip
        assert probe_coherent(fake_host(files=files)).facts == 1 << 20
        assert probe_coherent(fake_host(files=files, errors={("file", f"{node}/{path}"): error})).facts is None
        assert probe_coherent(fake_host(files={f"{node}/online": "0\n"})).facts == 0


@pytest.mark.parametrize(
    "name",
    sorted(
        path.stem
        for pattern in ("unified-*", "apple-*", "windows-*", "wsl2-*", "intel-*", "gaudi*")
        for path in FIXTURES.glob(f"{pattern}.json")
    ),
)
def test_a_redacted_recording_replays_alike(name):
    """Masking changes no key that a replay asks for, and no fact but identifiers."""
    host = Host(ReplaySource(read_recording(FIXTURES / f"{name}.json")), "recording")
    first = inspect_host(host)
    masked = make_recording(host.answers, "test", "test", Redactor(user="dave", host_name="box", key=b"k" * 16))
    again = inspect_host(Host(ReplaySource(masked), "recording"))
    assert [(gpu.name, gpu.memory, gpu.state, gpu.catalogue_id) for gpu in again.gpus] == [
        (gpu.name, gpu.memory, gpu.state, gpu.catalogue_id) for gpu in first.gpus
    ]
    assert (again.platform, again.cpu, again.memory, again.issues) == (
        first.platform, first.cpu, first.memory, first.issues,
    )  # fmt: skip
    assert "probe_failed" not in codes(first)
