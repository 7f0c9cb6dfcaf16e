"""The processor: names, features, cores, caches, and what of it the process may use."""

import pytest

from gpucheck.probes.cpu import probe_cpu, usable_cores
from gpucheck.probes.cpu_info import ai_features, arch_of, arm_name, parse_cpuinfo
from gpucheck.probes.cpu_topology import parse_cpu_list, parse_size
from tests.fake_source import fake_host

CPUS = "/sys/devices/system/cpu"
LINUX = {"system": "Linux", "release": "6.1", "machine": "x86_64"}


def x86(cpus, threads=2, flags="fpu lm avx avx2 fma sme"):
    """A cpuinfo of so many CPUs in one package."""
    block = (
        "processor\t: {}\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD  Test\n"
        "physical id\t: 0\ncore id\t\t: {}\nflags\t\t: {}\n"
    )
    return "\n".join(block.format(cpu, cpu // threads, flags) for cpu in range(cpus))


def arm(parts, implementer="0x41", tail=""):
    """A cpuinfo as ARM kernels write it."""
    block = "processor\t: {}\nFeatures\t: fp asimd asimddp sve sme\nCPU implementer\t: {}\nCPU part\t: {}\n"
    return "\n".join(block.format(cpu, implementer, part) for cpu, part in enumerate(parts)) + tail


def cpu_of(files, **given):
    """The processor of a machine with these files."""
    system = {"uname": LINUX, **given.pop("system", {})}
    return probe_cpu(fake_host(files=files, system=system, **given)).facts


def test_x86():
    """Name, vendor, threads and cores of an x86 machine; whole numbers stay whole."""
    cpu = cpu_of({"/proc/cpuinfo": x86(64), f"{CPUS}/online": "0-63\n"}, system={"affinity": list(range(64))})
    assert (cpu.name, cpu.vendor, cpu.arch) == ("AMD Test", "AMD", "x86_64")
    assert (cpu.physical_cores, cpu.logical_cores, cpu.usable_cores) == (32, 64, 64)
    assert type(cpu.usable_cores) is int
    assert cpu.usable_cores_reason is None


def test_sme_is_two_things():
    """A Ryzen's "sme" encrypts memory, an ARM core's multiplies matrices."""
    assert ai_features(parse_cpuinfo(x86(1)).flags) == ("avx", "avx2", "fma")
    assert ai_features(parse_cpuinfo(arm(["0xd4f"])).flags) == ("asimd", "asimddp", "sve", "sme")


def test_half_a_core_of_a_large_host():
    """A quota may leave less than one core."""
    files = {"/proc/cpuinfo": x86(64), f"{CPUS}/online": "0-63", "/proc/self/cgroup": "0::/",
             "/sys/fs/cgroup/cpu.max": "50000 100000"}  # fmt: skip
    cpu = cpu_of(files, system={"affinity": list(range(64))})
    assert (cpu.logical_cores, cpu.usable_cores, cpu.usable_cores_reason) == (64, 0.5, "cgroup quota")


@pytest.mark.parametrize(
    ("logical", "allowed", "quota", "expected"),
    [
        (64, 64, None, (64, None)),
        (64, 8, None, (8, "affinity")),
        (64, 8, 2.0, (2, "cgroup quota")),
        (64, 8, 16.0, (8, "affinity")),
        (64, 64, 64.0, (64, None)),
        (64, None, 1.5, (1.5, "cgroup quota")),
        (64, None, 0.3333, (0.33, "cgroup quota")),
        (64, None, 0.001, (0.01, "cgroup quota")),
        (None, 4, None, (4, None)),
        (None, None, 2.0, (2, "cgroup quota")),
        (None, None, None, (None, None)),
        (4, 8, None, (4, None)),
    ],
)
def test_usable_cores(logical, allowed, quota, expected):
    """The least of CPUs, affinity and quota, and which of them it was."""
    assert usable_cores(logical, allowed, quota) == expected


def test_offline_cpus_do_not_count():
    """Four present, two online: cpuinfo and sysfs list the online ones."""
    cpu = cpu_of({"/proc/cpuinfo": x86(2, threads=1), f"{CPUS}/online": "0-1", f"{CPUS}/present": "0-3"})
    assert (cpu.logical_cores, cpu.physical_cores) == (2, 2)


def test_gh200():
    """72 Neoverse V2 cores without threads; the nine NUMA nodes are one with CPUs and eight of the GPU."""
    files = {
        "/proc/cpuinfo": arm(["0xd4f"] * 72),
        f"{CPUS}/online": "0-71\n",
        f"{CPUS}/smt/active": "0\n",
        "/sys/devices/system/node/online": "0-8\n",
        "/sys/devices/system/node/has_cpu": "0\n",
    }
    cpu = cpu_of(files, system={"uname": {**LINUX, "machine": "aarch64"}})
    assert (cpu.name, cpu.vendor, cpu.physical_cores, cpu.numa_nodes) == ("Neoverse V2", "ARM", 72, 1)


def test_numa_without_has_cpu():
    """Old kernels list only the nodes that are online."""
    cpu = cpu_of({"/proc/cpuinfo": x86(2), "/sys/devices/system/node/online": "0-1"})
    assert cpu.numa_nodes == 2


@pytest.mark.parametrize("error", ["timeout", "not_found"])
def test_numa_nodes_of_which_it_is_not_known_which_have_cpus(error):
    """Not the nodes online: eight of a GH200's nine are its GPU's. A kernel that lists one kind lists both."""
    node = "/sys/devices/system/node"
    files = {f"{node}/online": "0-8\n", f"{node}/has_memory": "0-1\n", f"{node}/has_cpu": "0\n"}
    assert cpu_of(files).numa_nodes == 1
    assert cpu_of(files, errors={("file", f"{node}/has_cpu"): error}).numa_nodes is None


@pytest.mark.parametrize("error", ["timeout", "not_found", "not_recorded"])
def test_usable_cores_without_the_affinity(error):
    """A process may be bound to a few cores: where that cannot be told, the machine's count is no answer."""
    files, bound = {"/proc/cpuinfo": x86(8)}, {"affinity": [0, 1]}
    assert cpu_of(files, system=bound).usable_cores == 2
    assert cpu_of(files, system=bound, errors={("system", "affinity"): error}).usable_cores is None


def test_raspberry_pi():
    """The core's name with the board's, whose text ends with a null byte."""
    files = {"/proc/cpuinfo": arm(["0xd08"] * 4), "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0"}
    assert cpu_of(files).name == "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)"


def test_two_kinds_of_cores():
    """GB10: both kinds of cores stand in the name, once each."""
    assert arm_name(parse_cpuinfo(arm(["0xd87", "0xd87", "0xd85"])).parts) == "Cortex-A725 + Cortex-X925"


def test_unknown_arm_core():
    """A core that no table has keeps its numbers."""
    assert arm_name(parse_cpuinfo(arm(["0xfff"])).parts) == "ARM part 0xfff"
    assert arm_name(parse_cpuinfo(arm(["0xabc"], implementer="0x99")).parts) == "0x99 part 0xabc"


@pytest.mark.parametrize(
    ("text", "arch"),
    [(x86(1), "x86_64"), (arm(["0xd08"]), "aarch64"), ("CPU implementer : 0x41\nCPU part : 0xc07\n", "arm"),
     ("vendor_id : IBM/S390\n# processors : 8\n", "s390x"), ("", None)],
)  # fmt: skip
def test_arch_of(text, arch):
    """A copied tree tells its architecture by its cpuinfo."""
    assert arch_of(text) == arch


@pytest.mark.parametrize(
    ("name", "found"),
    [("model name : unknown\n", None), ("model name : ARMv7 Processor rev 3 (v7l)\n", None),
     ("cpu : POWER9 (raw), altivec supported\n", "POWER9 (raw), altivec supported"),
     ("Model Name : Loongson-3A5000\n", "Loongson-3A5000")],
)  # fmt: skip
def test_other_names(name, found):
    """Other architectures have other keys; a name that names nothing is none."""
    assert parse_cpuinfo(name).name == found


def test_s390x():
    """A mainframe counts and numbers its processors under keys of its own."""
    assert parse_cpuinfo("# processors : 8\n\ncpu number : 4\n").numbers == (4,)
    assert parse_cpuinfo("vendor_id : IBM/S390\n# processors    : 8\n").processors == 8


@pytest.mark.parametrize(
    "text", ["\ufffd\ufffd\0", "processor", ":::", "core id : x\nphysical id :\n", "CPU part : zz"]
)
def test_garbled_cpuinfo(text):
    """Garbage gives no name and does not crash."""
    assert parse_cpuinfo(text).name is None


def test_topology_without_ids_in_cpuinfo():
    """Siblings in sysfs tell cores where cpuinfo has no core ids."""
    files = {"/proc/cpuinfo": "processor : 0\nprocessor : 1\nprocessor : 2\nprocessor : 3\ncpu : POWER9\n",
             f"{CPUS}/online": "0-3"}  # fmt: skip
    files.update({f"{CPUS}/cpu{cpu}/topology/thread_siblings_list": "0-1" if cpu < 2 else "2-3" for cpu in range(4)})
    assert cpu_of(files).physical_cores == 2


def caches(cpu, index, level, size, shared, *, kind="Unified"):
    """The files of one cache."""
    folder = f"{CPUS}/cpu{cpu}/cache/index{index}"
    return {f"{folder}/level": f"{level}\n", f"{folder}/size": f"{size}\n", f"{folder}/type": f"{kind}\n",
            f"{folder}/shared_cpu_list": f"{shared}\n"}  # fmt: skip


def test_caches_of_unlike_cores():
    """Every distinct cache counts once with its own size: a fast pair, a slow one, one L3 over all."""
    files = {"/proc/cpuinfo": x86(4), f"{CPUS}/online": "0-3"}
    for cpu in range(4):
        files.update(caches(cpu, 0, 1, "32K", cpu, kind="Data"))
        files.update(caches(cpu, 2, 2, "2048K" if cpu < 2 else "512K", "0-1" if cpu < 2 else "2-3"))
        files.update(caches(cpu, 3, 3, "36M", "0-3"))
    cpu = cpu_of(files)
    assert (cpu.l2_cache_bytes, cpu.l3_cache_bytes) == (2560 << 10, 36 << 20)


def test_sysfs_without_a_list_of_cpus():
    """Where sysfs does not say which CPUs are online, cpuinfo lists them."""
    files = {"/proc/cpuinfo": x86(2, threads=1), **caches(0, 2, 2, "512K", "0"), **caches(1, 2, 2, "512K", "1")}
    assert cpu_of(files).l2_cache_bytes == 1 << 20


def test_caches_of_one_package():
    """Of two packages one counts."""
    files = {"/proc/cpuinfo": x86(4), f"{CPUS}/online": "0-3", f"{CPUS}/cpu0/topology/package_cpus_list": "0-1"}
    for cpu in range(4):
        files.update(caches(cpu, 3, 3, "12288K", "0-1" if cpu < 2 else "2-3"))
    assert cpu_of(files).l3_cache_bytes == 12 << 20


def test_caches_of_many_cores_cost_a_bounded_number_of_reads():
    """512 CPUs with a level 2 cache each: the rest is taken to be like the first ones."""
    files = {"/proc/cpuinfo": x86(2), f"{CPUS}/online": "0-511", f"{CPUS}/smt/active": "0"}
    for cpu in range(512):
        files.update(caches(cpu, 2, 2, "1024K", cpu))
    host = fake_host(files=files)
    assert probe_cpu(host).facts.l2_cache_bytes == 512 << 20
    assert len(host.source.asked) < 200


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-3,8,10-11\n", [0, 1, 2, 3, 8, 10, 11]), ("0", [0]), ("\n", []), ("3-1", None), ("0-999999999", None),
     ("a-b", None), ("0-", None), ("-3", None)],
)  # fmt: skip
def test_parse_cpu_list(text, numbers):
    """Ranges of believable length; an empty list is a list."""
    assert parse_cpu_list(text) == numbers


@pytest.mark.parametrize(
    ("text", "size"), [("32K\n", 32768), ("36M", 36 << 20), ("512", 512), ("", None), ("8X", None)]
)
def test_parse_size(text, size):
    """Cache sizes have a unit letter."""
    assert parse_size(text) == size


def test_macos():
    """Apple silicon by sysctl, cores by psutil, flags under their Linux names."""
    text = ("hw.l2cachesize: 4194304\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_BF16: 1\n"
            "hw.optional.arm.FEAT_SME: 0\nhw.optional.neon: 1\nmachdep.cpu.brand_string: Apple M3 Max\n")  # fmt: skip
    host = fake_host(
        system={"uname": {"system": "Darwin", "release": "23", "machine": "arm64"}},
        commands={("sysctl", "hw", "machdep.cpu"): text},
        answers={("psutil", "cpu_count_logical"): 16, ("psutil", "cpu_count_physical"): 16},
        errors={("system", "affinity"): "not_supported"},
    )
    found = probe_cpu(host)
    assert (found.facts.name, found.facts.vendor, found.facts.usable_cores) == ("Apple M3 Max", "Apple", 16)
    assert found.facts.features == ("asimd", "asimddp", "bf16")
    assert {issue.source for issue in found.issues} <= {"cpu.l3_cache_bytes", "cpu.numa_nodes"}  # Apple tells neither
    assert ("cpuinfo", "info") not in host.source.asked


def test_windows_asks_py_cpuinfo_last():
    """Where nothing else has the name, py-cpuinfo is worth its second."""
    info = {"brand_raw": "Intel(R) Core(TM) i9", "vendor_id_raw": "GenuineIntel", "flags": ["avx2", "sse4_2"],
            "l2_cache_size": 1 << 20, "l3_cache_size": "30 MB"}  # fmt: skip
    host = fake_host(
        system={"uname": {"system": "Windows", "release": "11", "machine": "AMD64"}},
        answers={("cpuinfo", "info"): info, ("psutil", "cpu_count_logical"): 8, ("psutil", "cpu_count_physical"): 4},
    )
    cpu = probe_cpu(host).facts
    assert (cpu.name, cpu.vendor, cpu.arch) == ("Intel(R) Core(TM) i9", "Intel", "x86_64")
    assert (cpu.features, cpu.physical_cores, cpu.l3_cache_bytes) == (("sse4_2", "avx2"), 4, None)


def test_linux_never_waits_for_py_cpuinfo():
    """On Linux py-cpuinfo would read the same file again."""
    host = fake_host(files={"/proc/cpuinfo": "processor : 0\n"}, system={"uname": LINUX})
    probe_cpu(host)
    assert ("cpuinfo", "info") not in host.source.asked


def test_nothing_known():
    """Each fact that nobody tells is None with an issue."""
    found = probe_cpu(fake_host())
    assert (found.facts.name, found.facts.usable_cores) == (None, None)
    assert {"cpu.name", "cpu.logical_cores", "cpu.usable_cores"} <= {issue.source for issue in found.issues}


def test_a_cpu_list_that_repeats_itself():
    """The same CPUs thousands of times are no list, and take no memory."""
    assert parse_cpu_list("0-8191," * 30_000) is None


def test_arm_parts_of_many_digits():
    """No processor's part number has more than 32 bits."""
    found = parse_cpuinfo("CPU implementer : 0x" + "4" * 400 + "\nCPU part : 0xd0c\n")
    assert all(number < 1 << 32 for pair in found.parts for number in pair)
