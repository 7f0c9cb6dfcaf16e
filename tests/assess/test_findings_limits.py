"""Findings about containers, limits, the machine around the GPUs, and platforms that mislead."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import pytest

import gpucheck
from gpucheck.assess.findings import Finding, find_problems
from gpucheck.machine.types import Gpu, GpuMemory, Machine
from gpucheck.probes.facts import Cpu, Framework, Limits, Memory, NumaNode, Place, Platform, ProbeIssue
from gpucheck.units import GIB, MIB

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
LINUX = Platform(os="linux", distribution="Ubuntu 24.04.2 LTS")
MACOS = Platform(os="darwin", distribution="macOS 15.5")
OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
# Beside each machine with a trouble, one that is like it and has none: (fixture, code), (healthy fixture).
PAIRS = [
    ("amd-hsa-override", "GC209", "amd-apu-780m"),
    ("amd-override-wrong", "GC209", "amd-rx7900xtx"),
    ("docker-small-shm", "GC404", "docker-with-room"),
    ("docker-low-limits", "GC405", "docker-with-room"),
    ("docker-low-limits", "GC406", "docker-with-room"),
    ("host-smaller-than-card", "GC407", "host-with-swap"),
    ("host-smaller-than-card", "GC408", "host-with-swap"),
    ("rdma-memlock", "GC409", "rdma-unlimited"),
    ("numa-cut-off", "GC410", "numa-two-nodes"),
    ("vm-without-avx2", "GC411", "vm-no-gpu"),
    ("xeon-without-avx2", "GC411", "card-rtx-4090"),
    ("apple-vm", "GC412", "apple-m3-max-30core"),
    ("apple-m4-max-128", "GC413", "apple-wired-limit"),
    ("apple-lowered-limit", "GC413", "apple-wired-limit"),
    ("unified-gb10", "GC414", "card-gh200"),
    ("amd-strix-halo", "GC414", "amd-apu-780m"),
    ("gpucheck-clash", "GC415", "pynvml-clash"),
]
CODES = {code for _, code, _ in PAIRS}


@cache
def recorded(name: str) -> tuple[Finding, ...]:
    """The findings of a fixture."""
    return find_problems(gpucheck.load(FIXTURES / f"{name}.json"))


def of(name: str, code: str) -> Finding:
    """The one finding of this code in a fixture."""
    (found,) = [finding for finding in recorded(name) if finding.code == code]
    return found


def card(index: int = 0, gib: float = 24, **facts) -> Gpu:
    """A driven card with memory of its own."""
    memory = GpuMemory(int(gib * GIB), int(gib * GIB), int(gib * GIB), "dedicated")
    return msgspec.structs.replace(Gpu(index, "card", "NVIDIA", "ok", "discrete", memory=memory), **facts)


def pool(vendor: str = "NVIDIA", kind: str = "unified", gib: int = 128, **facts) -> Gpu:
    """A GPU without memory of its own; `usable`, `basis` and `rocm` are of its memory."""
    usable, basis, rocm = (facts.pop(name, None) for name in ("usable", "basis", "rocm"))
    memory = GpuMemory(gib * GIB, None, usable, "shared", rocm_bytes=rocm)
    sources = {"memory.total_bytes": facts.pop("total_basis", "reported"), "memory.usable_bytes": basis or "derived"}
    return msgspec.structs.replace(Gpu(0, "GPU", vendor, "ok", kind, memory=memory, sources=sources), **facts)


def box(*gpus: Gpu, **facts) -> Machine:
    """A machine with ample memory, as far as nothing else is said."""
    base = Machine("live", LINUX, Cpu(), Memory(total_bytes=512 * GIB, swap_total_bytes=0), gpus=gpus)
    return msgspec.structs.replace(base, **facts)


def told_here(machine: Machine) -> list[Finding]:
    """The findings of this module's codes: what stands beside them is other modules' matter."""
    return [finding for finding in find_problems(machine) if finding.code in CODES]


def only(*gpus: Gpu, **facts) -> Finding:
    """The one finding of this module's codes about such a machine."""
    (finding,) = told_here(box(*gpus, **facts))
    return finding


def codes(*gpus: Gpu, **facts) -> list[str]:
    """The codes of such findings."""
    return [finding.code for finding in told_here(box(*gpus, **facts))]


def container(name: str | None, **facts) -> Platform:
    """Linux in a container."""
    return msgspec.structs.replace(LINUX, container=name, **facts)


@pytest.mark.parametrize(("name", "code", "healthy"), PAIRS)
def test_pairs(name, code, healthy):
    """Each trouble is told of a machine that has it, and not of one like it that has not."""
    assert code in {finding.code for finding in recorded(name)}
    assert code not in {finding.code for finding in recorded(healthy)}


@pytest.mark.parametrize("name", ["docker-with-room", "host-with-swap", "rdma-unlimited", "numa-two-nodes"])
def test_healthy_machines(name):
    """The machines beside those with a trouble have no finding at all."""
    assert recorded(name) == ()


@pytest.mark.parametrize(
    "facts",
    [
        {"platform": container("docker"), "storage": (Place("shared memory", "/dev/shm", 64 * MIB, 64 * MIB),)},
        {"platform": container("docker"), "memory": Memory(total_bytes=64 * GIB, limit_bytes=GIB)},
        {"cpu": Cpu(logical_cores=64, usable_cores=0.5, usable_cores_reason="cgroup quota")},
        {"memory": Memory(total_bytes=2 * GIB, swap_total_bytes=0)},
        {"storage": (Place("models", "~/.cache", 10 * GIB, GIB),)},
        {"limits": Limits(locked_memory_bytes=65536, rdma_devices=8)},
        {"numa_nodes": (NumaNode(0, "0-7", usable_cpus=8), NumaNode(1, "8-15", usable_cpus=0))},
        {"cpu": Cpu(arch="x86_64", features=("avx2",)), "visibility": {OVERRIDE: "10.3.0"}},
    ],
)
def test_without_a_gpu_limits_are_no_news(facts):
    """A machine or container without a GPU gets no lecture about its limits."""
    assert codes(**facts) == []


class TestSharedMemory:
    """GC404."""

    @pytest.mark.parametrize(
        ("engine", "commands", "word"),
        [
            ("docker", ("docker run --shm-size=10g …", "docker run --ipc=host …"), "shared memory"),
            ("podman", ("podman run --shm-size=10g …", "podman run --ipc=host …"), "shared memory"),
            ("kubernetes", (), "emptyDir"),
            ("lxc", (), "/dev/shm"),
        ],
    )
    def test_each_engine_in_its_own_way(self, engine, commands, word):
        """A command is given for an engine whose command it is, and for no other."""
        place = Place("shared memory", "/dev/shm", 64 * MIB, 64 * MIB)
        found = only(card(), platform=container(engine), storage=(place,))
        assert (found.code, found.severity, found.remedy.commands) == ("GC404", "warning", commands)
        assert word in found.remedy.text
        assert "64 MiB" in found.title

    @pytest.mark.parametrize(
        ("engine", "size"), [("docker", 512 * MIB), ("docker", None), (None, 64 * MIB), ("kubernetes", 8 * GIB)]
    )
    def test_enough(self, engine, size):
        """Enough, of unknown size, or of a system that is no container: no finding."""
        place = Place("shared memory", "/dev/shm", size, size)
        assert codes(card(), platform=container(engine), storage=(place,)) == []

    def test_a_gpu_that_cannot_be_used(self):
        """Beside a GPU that this process may not use, its shared memory is not the trouble."""
        place = Place("shared memory", "/dev/shm", 64 * MIB, 64 * MIB)
        lost = card(state="lost")
        assert codes(lost, platform=container("docker"), storage=(place,)) == []


class TestLimits:
    """GC405, GC406 and GC409."""

    @pytest.mark.parametrize(("limit", "severity"), [(4, "warning"), (5.9, "warning"), (6, "info"), (23.9, "info")])
    def test_a_memory_limit_under_the_card(self, limit, severity):
        """Below a quarter of the card's memory it is a warning, up to all of it a remark."""
        memory = Memory(total_bytes=512 * GIB, swap_total_bytes=0, limit_bytes=int(limit * GIB))
        found = only(card(), memory=memory)
        assert (found.code, found.severity) == ("GC405", severity)

    @pytest.mark.parametrize("limit", [None, 24, 100])
    def test_a_memory_limit_with_room(self, limit):
        """A limit from the card's memory on is none that matters here."""
        memory = Memory(total_bytes=512 * GIB, swap_total_bytes=0, limit_bytes=limit and limit * GIB)
        assert codes(card(), memory=memory) == []

    @pytest.mark.parametrize(
        ("facts", "commands", "word"),
        [
            ({"platform": container("docker")}, ("docker run --memory=24g …",), "container"),
            ({"platform": container("podman")}, ("podman run --memory=24g …",), "container"),
            ({"platform": container("kubernetes")}, (), "memory: 24Gi"),
            ({"platform": container("lxc")}, (), "container"),
            ({"visibility": {"SLURM_JOB_GPUS": "0"}}, ("sbatch --mem=24G …",), "memory"),
            ({"visibility": {"PBS_JOBID": "7"}}, (), "PBS"),
            ({"platform": Platform(os="windows")}, (), "job object"),
            ({}, (), "MemoryMax="),
        ],
    )
    def test_who_gives_memory(self, facts, commands, word):
        """The remedy is that of the scheduler, the engine or the system that has set the limit."""
        memory = Memory(
            total_bytes=512 * GIB, swap_total_bytes=0, limit_bytes=8 * GIB, limit_source="/sys/x/memory.max"
        )
        found = only(card(), memory=memory, **facts)
        assert (found.code, found.remedy.commands) == ("GC405", commands)
        assert word in found.remedy.text
        assert found.found == "8.0 GiB by /sys/x/memory.max; the machine has 512 GiB"

    def test_no_command_for_more_than_the_machine_has(self):
        """Where all RAM is less than the card has, no option asks for as much; and one finding says it."""
        memory = Memory(total_bytes=16 * GIB, swap_total_bytes=0, limit_bytes=8 * GIB)
        found = only(card(), memory=memory, platform=container("docker"))
        assert (found.code, found.remedy.commands) == ("GC405", ())

    @pytest.mark.parametrize(
        ("gpus", "cores", "severity"), [(1, 0.5, "warning"), (1, 1, "info"), (4, 3, "warning"), (4, 4, "info")]
    )
    def test_few_cores(self, gpus, cores, severity):
        """Fewer cores than GPUs are a warning, just as many a remark."""
        cpu = Cpu(logical_cores=64, usable_cores=cores, usable_cores_reason="cgroup quota")
        found = only(*(card(index) for index in range(gpus)), cpu=cpu, platform=container("docker"))
        assert (found.code, found.severity) == ("GC406", severity)
        assert found.remedy.commands == (f"docker run --cpus={gpus + 1} …",)

    @pytest.mark.parametrize(
        ("cores", "logical", "reason"),
        [(2, 64, "cgroup quota"), (1, 64, None), (1, 1, "affinity"), (None, 64, None), (0.5, None, "cgroup quota")],
    )
    def test_enough_cores(self, cores, logical, reason):
        """Two for one GPU, all that the machine has, or nobody knows how many: no finding."""
        cpu = Cpu(logical_cores=logical, usable_cores=cores, usable_cores_reason=reason)
        assert codes(card(), cpu=cpu) == []

    def test_graphics_of_a_processor_need_no_core(self):
        """An integrated GPU is none that processes wait upon."""
        cpu = Cpu(logical_cores=64, usable_cores=0.5, usable_cores_reason="cgroup quota")
        assert codes(pool("Intel", "integrated"), cpu=cpu) == []

    @pytest.mark.parametrize(
        ("facts", "commands", "word"),
        [
            ({"platform": container("docker")}, (), "--cpuset-cpus"),
            ({"visibility": {"SLURM_JOB_ID": "7"}}, ("sbatch --cpus-per-task=2 …",), "CPU cores"),
            ({}, (), "AllowedCPUs="),
        ],
    )
    def test_who_gives_cores(self, facts, commands, word):
        """What an affinity leaves is widened where it was set, not by a quota."""
        cpu = Cpu(logical_cores=64, usable_cores=1, usable_cores_reason="affinity")
        found = only(card(), cpu=cpu, **facts)
        assert (found.code, found.remedy.commands) == ("GC406", commands)
        assert word in found.remedy.text

    @pytest.mark.parametrize(
        ("facts", "command"),
        [
            ({"platform": container("docker")}, "docker run --ulimit memlock=-1 …"),
            ({"platform": container("kubernetes")}, None),
            ({"visibility": {"SLURM_JOB_ID": "7"}}, None),
            ({}, "ulimit -l"),
        ],
    )
    def test_locked_memory(self, facts, command):
        """A limit on locked memory beside RDMA is a remark, with the command of whoever can lift it."""
        limits = Limits(locked_memory_bytes=8 * MIB, rdma_devices=2)
        found = only(card(segment="datacenter"), limits=limits, **facts)
        assert (found.code, found.severity) == ("GC409", "info")
        assert found.remedy.commands[-1:] == ((command,) if command else ())
        assert "2 RDMA adapters" in found.found

    @pytest.mark.parametrize(
        ("segment", "locked", "devices"),
        [
            ("datacenter", 8 * MIB, 0), ("datacenter", 8 * MIB, None), ("datacenter", None, 8),
            ("datacenter", GIB, 8), ("consumer", 8 * MIB, 1),
        ],
    )  # fmt: skip
    def test_locked_memory_that_nobody_needs(self, segment, locked, devices):
        """No RDMA, nobody asked, no limit, a high one, or a desktop's card: systemd's default is no news."""
        limits = Limits(locked_memory_bytes=locked, rdma_devices=devices)
        assert codes(card(segment=segment), limits=limits) == []


class TestMachineAround:
    """GC407, GC408, GC410 and GC411."""

    @pytest.mark.parametrize(
        ("ram", "swap", "told"), [(16, 7, True), (16, 8, False), (24, 0, False), (16, None, False)]
    )
    def test_ram_and_swap(self, ram, swap, told):
        """Together they are to hold what the card holds; with swap unknown nothing is said."""
        memory = Memory(total_bytes=ram * GIB, swap_total_bytes=None if swap is None else swap * GIB)
        assert codes(card(), memory=memory) == (["GC407"] if told else [])

    def test_the_largest_card_counts(self):
        """Of several cards the one with most memory is named; shared memory is none of a card's own."""
        memory = Memory(total_bytes=32 * GIB, swap_total_bytes=0)
        found = only(card(0), card(1, 48, name="large"), memory=memory)
        assert "large" in found.title
        assert codes(pool(usable=GIB), memory=memory) == []

    @pytest.mark.parametrize(
        ("platform", "word", "commands"),
        [
            (msgspec.structs.replace(LINUX, wsl=True), ".wslconfig", ("wsl.exe --shutdown",)),
            (msgspec.structs.replace(LINUX, virtual_machine="kvm"), "machine with more RAM", ()),
            (container("docker"), "safetensors", ()),
            (Platform(os="windows"), "page file", ()),
            (LINUX, "add swap or RAM", ()),
        ],
    )
    def test_where_memory_comes_from(self, platform, word, commands):
        """What can be done depends on what the machine is."""
        found = only(card(), platform=platform, memory=Memory(total_bytes=16 * GIB, swap_total_bytes=0))
        assert (found.code, found.remedy.commands) == ("GC407", commands)
        assert word in found.remedy.text

    @pytest.mark.parametrize(
        ("free", "here", "os", "commands"),
        [
            (9, 9, "linux", ("df -h",)),
            (9, 100, "linux", ('export HF_HOME="$PWD/huggingface"',)),
            (9, None, "darwin", ("df -h",)),
            (9, 100, "windows", ()),
        ],
    )
    def test_a_full_disk(self, free, here, os, commands):
        """The current directory is named where it has the room; no command of a shell is given for Windows."""
        places = [Place("models", "~/.cache", 100 * GIB, free * GIB)]
        places += [Place("current directory", ".", 200 * GIB, here * GIB)] if here is not None else []
        found = only(card(), storage=tuple(places), platform=Platform(os=os))
        assert (found.code, found.severity, found.remedy.commands) == ("GC408", "info", commands)

    @pytest.mark.parametrize(
        ("gpu", "free"),
        [(card(), 24), (card(), None), (pool("Intel", "integrated", usable=64 * GIB), 9), (pool(usable=8 * GIB), 9)],
    )
    def test_disks_with_room(self, gpu, free):
        """Room for the GPU's memory, an unknown size, and graphics of a processor are no finding."""
        assert codes(gpu, storage=(Place("models", "~", 100 * GIB, None if free is None else free * GIB),)) == []

    def test_a_card_at_another_node(self):
        """All cards of a node are one finding, and its CPUs are in the command."""
        nodes = (NumaNode(0, "0-15", usable_cpus=16), NumaNode(1, "16-31", usable_cpus=0))
        gpus = [card(index, numa_node=index // 2) for index in range(4)]
        found = only(*gpus, numa_nodes=nodes, platform=container("docker"))
        assert (found.code, found.severity) == ("GC410", "info")
        assert found.title.startswith("2 NVIDIA GPUs are on NUMA node 1")
        assert found.remedy.commands == ("docker run --cpuset-cpus=16-31 --cpuset-mems=1 …",)

    @pytest.mark.parametrize(
        ("facts", "command"),
        [
            ({}, "numactl --cpunodebind=1 --membind=1 …"),
            ({"visibility": {"SLURM_JOB_ID": "7"}}, "sbatch --gres-flags=enforce-binding …"),
            ({"platform": container("kubernetes")}, None),
        ],
    )
    def test_who_puts_processes_on_nodes(self, facts, command):
        """The command is that of whoever placed the process."""
        nodes = (NumaNode(0, "0-15", usable_cpus=16), NumaNode(1, "16-31", usable_cpus=0))
        found = only(card(numa_node=1), numa_nodes=nodes, **facts)
        assert found.remedy.commands == ((command,) if command else ())

    @pytest.mark.parametrize(
        ("cpus", "usable", "node"),
        [("16-31", 1, 1), ("16-31", None, 1), ("", 0, 1), ("16-31", 0, None), ("16-31", 0, 7)],
    )
    def test_cards_that_are_near_or_nowhere(self, cpus, usable, node):
        """One CPU is enough; a node without CPUs, an unknown affinity and an unknown node tell nothing."""
        nodes = (NumaNode(0, "0-15", usable_cpus=16), NumaNode(1, cpus, usable_cpus=usable))
        assert codes(card(numa_node=node), numa_nodes=nodes) == []

    @pytest.mark.parametrize(("gpus", "severity"), [((), "warning"), ((card(),), "info")])
    def test_no_avx2(self, gpus, severity):
        """It is a warning where the processor has to do the work."""
        found = only(*gpus, cpu=Cpu(arch="x86_64", features=("sse4_2", "avx")))
        assert (found.code, found.severity) == ("GC411", severity)

    def test_a_processor_with_nothing_of_use(self):
        """Linux lists all flags: with none that matters AVX2 is missing too, unless an issue says that none is told."""
        cpu = Cpu(arch="x86_64", features=())
        assert codes(cpu=cpu) == ["GC411"]
        assert codes(cpu=cpu, issues=(ProbeIssue("not_found", "cpu.features", "no source tells it"),)) == []

    @pytest.mark.parametrize(
        ("arch", "features", "os"),
        [
            ("x86_64", ("avx2",), "linux"), ("aarch64", ("asimd",), "linux"), (None, (), "linux"),
            ("x86_64", (), "windows"), ("arm64", (), "darwin"),
        ],
    )  # fmt: skip
    def test_processors_without_a_finding(self, arch, features, os):
        """AVX2, another architecture, or a system whose list of flags is too old to tell."""
        assert codes(cpu=Cpu(arch=arch, features=features), platform=Platform(os=os)) == []

    @pytest.mark.parametrize(
        ("facts", "command"),
        [
            ({"platform": msgspec.structs.replace(LINUX, virtual_machine="kvm")}, False),
            ({"frameworks": (Framework("llama-cpp-python", "0.3.16"),)}, True),
            ({}, False),
        ],
    )
    def test_what_to_do_without_avx2(self, facts, command):
        """A guest may get it from its host; an installed llama-cpp-python can be built here."""
        found = only(cpu=Cpu(arch="x86_64", features=("sse4_2",)), **facts)
        assert bool(found.remedy.commands) == command


class TestPlatforms:
    """GC209 and GC412 to GC415."""

    @pytest.mark.parametrize(
        ("target", "value", "severity"),
        [
            ("gfx1103", "11.0.0", "info"),
            ("gfx1100", "10.3.0", "warning"),
            ("gfx90a", "10.3.0", "warning"),
            ("gfx90a", "9.0.8", "info"),
            ("gfx1100", "gfx1100", "warning"),
            ("gfx1100", "64.0.0", "warning"),
            ("gfx1100", "9" * 5000, "warning"),
        ],
    )
    def test_overrides(self, target, value, severity):
        """Another generation and what is no version are warnings, a near relative a remark."""
        found = only(card(vendor="AMD", gfx_target=target), visibility={OVERRIDE: value})
        assert (found.code, found.severity, found.remedy.commands) == ("GC209", severity, (f"unset {OVERRIDE}",))

    @pytest.mark.parametrize(
        ("gpu", "value"),
        [
            (card(vendor="AMD", gfx_target="gfx1100"), "11.0.0"),
            (card(vendor="AMD", gfx_target="gfx1100"), ""),
            (card(vendor="AMD", gfx_target=None), "10.3.0"),
            (card(), "10.3.0"),
        ],
    )
    def test_overrides_without_effect(self, gpu, value):
        """The card's own target, an empty value, and cards of others are no finding."""
        assert codes(gpu, visibility={OVERRIDE: value}) == []

    def test_one_finding_for_an_override(self):
        """Where torch lacks the card's code, GC302 names the override; where it has it, GC209 does."""
        targets = {"gfx1103": [], "gfx1100": ["GC209"]}
        for target, told in targets.items():
            torch = Framework("torch", "2.9.1", "rocm6.4", arch_list=("gfx1100",))
            found = codes(card(vendor="AMD", gfx_target=target), visibility={OVERRIDE: "11.0.1"}, frameworks=(torch,))
            assert [code for code in found if code == "GC209"] == told
        assert [finding.code for finding in recorded("torch-gfx-override")] == ["GC302"]

    def test_a_mac_in_a_virtual_machine(self):
        """Its GPU is there and of no use, which no command changes."""
        found = of("apple-vm", "GC412")
        assert (found.severity, found.remedy.commands) == ("warning", ())

    @pytest.mark.parametrize(
        ("gib", "usable", "command"),
        [(128, 107, "122880"), (96, 71, "90112"), (64, 47, "57344"), (512, 430, "491520")],
    )
    def test_memory_that_macos_holds_back(self, gib, usable, command):
        """The number leaves a sixteenth and at least 8 GiB for macOS."""
        found = only(pool("Apple", gib=gib, usable=usable * GIB, basis="assumed"), platform=MACOS)
        assert (found.code, found.severity) == ("GC413", "info")
        assert found.remedy.commands == (f"sudo sysctl iogpu.wired_limit_mb={command}",)

    @pytest.mark.parametrize(
        ("gib", "usable", "basis"),
        [(16, 12, "assumed"), (36, 27, "assumed"), (128, 120, "reported"), (128, 60, "derived"), (64, 50, "assumed")],
    )
    def test_macs_that_are_left_alone(self, gib, usable, basis):
        """Small Macs, limits that somebody has raised, memory in use, and gains of little: no finding."""
        assert codes(pool("Apple", gib=gib, usable=usable * GIB, basis=basis), platform=MACOS) == []

    def test_a_lowered_limit(self):
        """A limit below macOS's own is put back, on a Mac of any size; the setting of macOS 13 is another."""
        gpu = pool("Apple", gib=16, usable=4 * GIB, basis="reported")
        assert only(gpu, platform=MACOS).remedy.commands == ("sudo sysctl iogpu.wired_limit_mb=0",)
        assert only(gpu, platform=Platform(os="darwin", distribution="macOS 13.6.1")).remedy.commands == ()

    def test_pools_that_the_driver_does_not_tell(self):
        """Of GB10 the driver tells nothing, of N1X a carve-out; a simulated machine has no tools."""
        assert "none of" in of("unified-gb10", "GC414").title
        assert "a small part of" in of("unified-n1x", "GC414").title
        assert of("unified-n1x", "GC414").remedy.commands == ()  # Windows has no free
        assert find_problems(gpucheck.simulate("GB10")) == ()

    @pytest.mark.parametrize(("rocm", "told"), [(62, True), (115, True), (116, False), (None, False)])
    def test_what_rocm_counts_of_a_pool(self, rocm, told):
        """Less than nine tenths of the pool is a finding; a figure that nobody has is none."""
        gpu = pool("AMD", "integrated", usable=100 * GIB, rocm=rocm and rocm * GIB, gfx_target="gfx1151")
        assert codes(gpu) == (["GC414"] if told else [])

    @pytest.mark.parametrize(
        ("target", "platform", "commands"),
        [
            ("gfx1151", LINUX, ("pipx install amd-debug-tools", "amd-ttm")),
            ("gfx1151", container("docker"), ()),
            ("gfx1103", LINUX, ()),
        ],
    )
    def test_amds_tool(self, target, platform, commands):
        """AMD describes its tool for RDNA 3.5, on the machine itself."""
        gpu = pool("AMD", "integrated", usable=100 * GIB, rocm=62 * GIB, gfx_target=target)
        assert only(gpu, platform=platform).remedy.commands == commands

    def test_another_gpucheck(self):
        """Two packages of one module, by their names and versions."""
        found = of("gpucheck-clash", "GC415")
        assert (found.severity, found.remedy.commands) == ("warning", ("pip uninstall -y gpucheck",))
        assert found.found == "gpucheck-inspector 0.1.0 and gpucheck 0.1.0"
        assert codes(issues=(ProbeIssue("gpucheck_clash", "gpucheck", "both"),)) == ["GC415"]


@pytest.mark.parametrize(("name", "code"), [pair[:2] for pair in PAIRS])
def test_findings_are_whole(name, code):
    """Every finding says what was found, what is required and what to do, in one line each."""
    found = of(name, code)
    for text in (found.title, found.found, found.required, found.remedy.text, found.source):
        assert text.strip() == text != ""
        assert "\n" not in text
        assert "None" not in text
