"""Limits of control groups: v1, v2, both, nested, seen from inside a container and from outside."""

import pytest

from gpucheck.host.host import Host
from gpucheck.probes.cgroup import cpu_quota, memory_limits, parse_cgroup, parse_quota
from gpucheck.probes.collect import Issues
from tests.fake_source import FakeSource, fake_host

GIB = 1 << 30
V2, V1_MEMORY, V1_CPU = "/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"


def limits_of(files, total=64 * GIB, **given):
    """(limit, used, source) of every level, and the issues' codes."""
    issues = Issues()
    found, _ = memory_limits(fake_host(files=files, **given), issues, total)
    return [(one.limit_bytes, one.used_bytes, one.source) for one in found], [one.code for one in issues.all()]


def quota_of(files):
    """The quota's cores, and the issues' codes."""
    issues = Issues()
    quota, _ = cpu_quota(fake_host(files=files), issues)
    return quota and quota.cores, [one.code for one in issues.all()]


def test_parse_v1_with_joined_controllers_and_colons_in_paths():
    """Every controller of a joined hierarchy has its path; a colon in a path is part of it."""
    paths = parse_cgroup("4:memory:/docker/ab:cd\n3:cpu,cpuacct:/x\n1:name=systemd:/init.scope\n0::/y\n")
    assert paths == {"memory": "/docker/ab:cd", "cpu": "/x", "cpuacct": "/x", "name=systemd": "/init.scope", "": "/y"}


@pytest.mark.parametrize("text", ["", "garbage", "1:memory", "::", "\ufffd\ufffd", "4:memory:relative"])
def test_parse_garbage(text):
    """Lines that are no membership give nothing."""
    assert parse_cgroup(text) == {}


def test_v2_limit_of_own_group():
    """A v2 limit counts, its use without the file cache that the kernel gives up first."""
    files = {
        "/proc/self/cgroup": "0::/user.slice/job.scope\n",
        f"{V2}/user.slice/job.scope/memory.max": f"{4 * GIB}\n",
        f"{V2}/user.slice/job.scope/memory.current": f"{3 * GIB}\n",
        f"{V2}/user.slice/job.scope/memory.stat": f"anon 1\ninactive_file {GIB}\n",
    }
    assert limits_of(files)[0] == [(4 * GIB, 2 * GIB, f"{V2}/user.slice/job.scope/memory.max")]


def test_v2_ancestors_count():
    """A group without a limit of its own is bound by its parents'."""
    files = {
        "/proc/self/cgroup": "0::/a/b/c\n",
        f"{V2}/a/b/c/memory.max": "max\n",
        f"{V2}/a/b/memory.max": f"{8 * GIB}\n",
        f"{V2}/a/memory.max": f"{6 * GIB}\n",
    }
    assert [limit for limit, _, _ in limits_of(files)[0]] == [8 * GIB, 6 * GIB]


def test_v2_private_namespace():
    """Inside a container the own group is the top of the mount."""
    files = {"/proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{GIB}\n", f"{V2}/memory.current": "4096\n"}
    assert limits_of(files)[0] == [(GIB, 4096, f"{V2}/memory.max")]


@pytest.mark.parametrize("path", ["/docker/8f3b1c", "/../../system.slice/x.service", "/../8f3b1c"])
def test_v2_path_of_the_host_seen_in_a_container(path):
    """A path that the container's mount does not show falls back to the top of the mount (preflight #226)."""
    files = {"/proc/self/cgroup": f"0::{path}\n", f"{V2}/memory.max": f"{GIB}\n"}
    assert [source for _, _, source in limits_of(files)[0]] == [f"{V2}/memory.max"]


def test_host_path_with_a_group_inside_the_container():
    """A systemd in a container makes groups of its own: the end of the host's path is the visible part."""
    files = {
        "/proc/self/cgroup": "0::/docker/8f3b1c/system.slice/job.service\n",
        f"{V2}/system.slice/job.service/memory.max": f"{GIB}\n",
        f"{V2}/memory.max": f"{2 * GIB}\n",
    }
    assert [limit for limit, _, _ in limits_of(files)[0]] == [GIB, 2 * GIB]


def test_v1_limit_and_cache():
    """v1 has other names for the same things."""
    files = {
        "/proc/self/cgroup": "9:memory:/docker/8f\n3:cpu,cpuacct:/docker/8f\n",
        f"{V1_MEMORY}/docker/8f/memory.limit_in_bytes": f"{4 * GIB}\n",
        f"{V1_MEMORY}/docker/8f/memory.usage_in_bytes": f"{2 * GIB}\n",
        f"{V1_MEMORY}/docker/8f/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB}\n",
        f"{V1_MEMORY}/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert limits_of(files)[0] == [(4 * GIB, GIB, f"{V1_MEMORY}/docker/8f/memory.limit_in_bytes")]


@pytest.mark.parametrize("limit", ["9223372036854771712", str(1 << 60), str(64 * GIB), str(65 * GIB)])
def test_v1_no_limit(limit):
    """The largest page-aligned number, and anything that the machine does not have, is no limit."""
    files = {"/proc/self/cgroup": "9:memory:/\n", f"{V1_MEMORY}/memory.limit_in_bytes": limit}
    assert limits_of(files) == ([], [])


def test_hybrid_reads_memory_from_v1_only():
    """With v1 and v2 side by side the controller's own hierarchy decides; v2 lies in a folder deeper."""
    files = {
        "/proc/self/cgroup": "4:memory:/job\n0::/job\n",
        f"{V1_MEMORY}/job/memory.limit_in_bytes": f"{2 * GIB}\n",
        f"{V2}/unified/job/memory.max": f"{GIB}\n",
        f"{V2}/memory.max": f"{GIB}\n",
    }
    assert [limit for limit, _, _ in limits_of(files)[0]] == [2 * GIB]


def test_hybrid_controller_in_v2():
    """A controller that no v1 hierarchy has is looked up in the v2 one."""
    files = {"/proc/self/cgroup": "1:name=systemd:/\n0::/job\n", f"{V2}/unified/job/memory.max": f"{GIB}\n"}
    assert [limit for limit, _, _ in limits_of(files)[0]] == [GIB]


def test_unreadable_and_garbled_files_are_issues():
    """A limit that cannot be read or understood is an issue, never a number."""
    files = {"/proc/self/cgroup": "0::/a\n", f"{V2}/a/memory.max": "four gigabytes"}
    assert limits_of(files) == ([], ["malformed"])
    denied = {("file", f"{V2}/a/memory.max"): "no_permission"}
    assert limits_of(files, errors=denied) == ([], ["no_permission"])


def test_limit_without_known_use():
    """A limit stands even where the group's use is not told."""
    files = {"/proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{GIB}\n"}
    assert limits_of(files)[0] == [(GIB, None, f"{V2}/memory.max")]


def test_path_of_absurd_depth():
    """A hostile recording's path of ten thousand parts costs no more than a deep one."""
    source = FakeSource(files={"/proc/self/cgroup": "0::" + "/a" * 10_000})
    assert memory_limits(Host(source, "recording"), Issues(), None) == ([], True)
    assert len(source.asked) < 2000


@pytest.mark.parametrize(
    ("text", "cores"),
    [("200000 100000", 2.0), ("50000 100000", 0.5), ("150000", 1.5), ("max 100000", None), ("0 100000", None),
     ("1 0", None), ("", None), ("x y", None)],
)  # fmt: skip
def test_parse_quota(text, cores):
    """Quota over period; the period has a default, and zeros are no quota."""
    assert parse_quota(text) == cores


def test_v2_tightest_quota_wins():
    """Between own group and top the smallest quota binds."""
    files = {
        "/proc/self/cgroup": "0::/a/b\n",
        f"{V2}/a/b/cpu.max": "400000 100000\n",
        f"{V2}/a/cpu.max": "150000 100000\n",
    }
    assert quota_of(files) == (1.5, [])


def test_v1_quota():
    """v1 has quota and period in two files, and -1 for none; the mount may carry both controllers' names."""
    files = {
        "/proc/self/cgroup": "3:cpu,cpuacct:/a\n",
        f"{V1_CPU}/a/cpu.cfs_quota_us": "50000\n",
        f"{V1_CPU}/a/cpu.cfs_period_us": "100000\n",
        f"{V1_CPU}/cpu.cfs_quota_us": "-1\n",
        f"{V1_CPU}/cpu.cfs_period_us": "100000\n",
    }
    assert quota_of(files) == (0.5, [])


def test_no_quota_and_bad_quota():
    """`max` is none and silent; nonsense is none with an issue."""
    assert quota_of({"/proc/self/cgroup": "0::/a\n", f"{V2}/a/cpu.max": "max 100000\n"}) == (None, [])
    assert quota_of({"/proc/self/cgroup": "0::/a\n", f"{V2}/a/cpu.max": "much\n"}) == (None, ["malformed"])


def test_a_limit_that_cannot_be_read_leaves_the_rest_in_doubt() -> None:
    """A file that is there and unreadable may hold a tighter limit, so nobody claims to know them all."""
    files = {"/proc/self/cgroup": "0::/\n"}
    denied = fake_host(files=files, errors={("file", "/sys/fs/cgroup/memory.max"): "no_permission"})
    assert memory_limits(denied, Issues(), None) == ([], False)
    broken = fake_host(files=files, errors={("file", "/sys/fs/cgroup/cpu.max"): "io_error"})
    assert cpu_quota(broken, Issues()) == (None, False)
