"""Facts that findings about limits need: RDMA adapters, CPUs of a node, flags, and a second gpucheck."""

from __future__ import annotations

import pytest

from gpucheck.probes.cpu import probe_cpu
from gpucheck.probes.frameworks import probe_frameworks
from gpucheck.probes.limits import probe_limits
from gpucheck.probes.numa import probe_numa
from tests.fake_source import fake_host

LINUX = {"system": "Linux", "release": "6.8.0", "machine": "x86_64"}
NODES = "/sys/devices/system/node"
TWO = {f"{NODES}/online": "0-1\n", f"{NODES}/node0/cpulist": "0-3\n", f"{NODES}/node1/cpulist": "4-7\n"}
FOLDER = "/dev/infiniband"


@pytest.mark.parametrize(
    ("names", "count"),
    [(["issm0", "rdma_cm", "uverbs0", "uverbs1"], 2), (["uverbs12"], 1), (["rdma_cm"], 0), (["uverbs", "xuverbs0"], 0)],
)
def test_rdma_devices(names, count):
    """Only what programs open counts, whatever else lies beside it."""
    host = fake_host(system={"uname": LINUX}, answers={("dir", FOLDER): names})
    assert probe_limits(host).facts.rdma_devices == count


@pytest.mark.parametrize(
    ("error", "count", "codes"),
    [("not_found", 0, []), ("not_recorded", None, []), ("permission_denied", None, ["permission_denied"])],
)
def test_rdma_devices_that_nobody_listed(error, count, codes):
    """No folder means no adapters; a recording that was never asked knows nothing, and says nothing."""
    rlimits = {"memlock": [65536, 65536], "address_space": [-1, -1], "open_files": [1024, 4096]}
    found = probe_limits(fake_host(system={"uname": LINUX, "rlimits": rlimits}, errors={("dir", FOLDER): error}))
    assert (found.facts.rdma_devices, found.facts.locked_memory_bytes) == (count, 65536)
    assert [issue.code for issue in found.issues] == codes


def test_other_systems_are_not_asked_for_rdma():
    """Windows and macOS have no such folder."""
    assert probe_limits(fake_host(system={"uname": {"system": "Darwin"}})).facts.rdma_devices is None


@pytest.mark.parametrize(
    ("affinity", "usable"),
    [([0, 1, 2, 3], [4, 0]), ([3, 4], [1, 1]), (None, [None, None]), ("all", [None, None]), ([[0], "4", True], [0, 0])],
)
def test_usable_cpus_of_nodes(affinity, usable):
    """Of each node, the CPUs that the process may run on; of a broken recording none are made up."""
    system = {"uname": LINUX} if affinity is None else {"uname": LINUX, "affinity": affinity}
    found = probe_numa(fake_host(files=TWO, system=system))
    assert [node.usable_cpus for node in found.facts] == usable
    assert found.issues == ()


@pytest.mark.parametrize(("flags", "told"), [("flags\t\t: fpu sse sse2\n", False), ("", True)])
def test_flags_of_no_use(flags, told):
    """A list of flags without one that matters to AI is known; no list at all is not."""
    text = f"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Common KVM processor\n{flags}\n"
    found = probe_cpu(fake_host(files={"/proc/cpuinfo": text}, system={"uname": LINUX}))
    assert found.facts.features == ()
    assert ("cpu.features" in {issue.source for issue in found.issues}) == told


@pytest.mark.parametrize(
    ("packages", "detail"),
    [
        (["gpucheck-0.1.0", "gpucheck_inspector-0.2.0"], "gpucheck-inspector 0.2.0 and gpucheck 0.1.0"),
        (["gpucheck_inspector-0.2.0"], None),
        (["gpucheck-0.1.0"], None),
        (["gpucheck_inspector-0.2.0", "gpucheck_tools-1.0"], None),
    ],
)
def test_another_gpucheck(packages, detail):
    """Both packages in one environment are an issue; either alone, or one of a like name, is none."""
    site = "/v/lib/python3.12/site-packages"
    folders = ["/v/lib/python3.12", site, *(f"{site}/{package}.dist-info" for package in packages)]
    found = probe_frameworks(fake_host(folders=folders), "/v/bin/python")
    assert [issue.detail for issue in found.issues if issue.code == "gpucheck_clash"] == ([detail] if detail else [])
