"""Control groups: the memory and CPU time that the kernel grants this process, in cgroup v1, v2 or both.

A limit binds everything below it, so the tightest one between the process's own group and the top counts:
reading only `/sys/fs/cgroup/memory.max` misses it under `docker run --cgroupns host` (preflight #226), and
psutil reports the whole machine (psutil #2100).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gpucheck.host.answer import MALFORMED
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues, whole_number

# The file systems' usual places. /proc/self/mountinfo would name them exactly, but it also lists every
# network server and disk of the machine, which do not belong in a recording.
MOUNT = "/sys/fs/cgroup"
MOUNTS_V1 = {"memory": (f"{MOUNT}/memory",), "cpu": (f"{MOUNT}/cpu", f"{MOUNT}/cpu,cpuacct")}
NO_LIMIT = 1 << 60  # v1 writes "no limit" as 9223372036854771712, the largest whole page below 2^63
MAX_DEPTH = 32
DEFAULT_PERIOD_US = 100_000


class MemoryLimit(Struct, frozen=True):
    """A memory limit on some level: its bytes, what the group holds less reclaimable cache, and its file."""

    limit_bytes: int
    used_bytes: int | None
    source: str


class CpuQuota(Struct, frozen=True):
    """CPU time per wall time, in cores, and the file that says so."""

    cores: float
    source: str


def parse_cgroup(text: str) -> dict[str, str]:
    """The process's path in each hierarchy by controller; the v2 hierarchy is under the empty name.

    `4:memory:/docker/8f…`, `3:cpu,cpuacct:/a:b`, `1:name=systemd:/init.scope`, `0::/user.slice`.
    """
    paths = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and parts[2].startswith("/"):
            for controller in parts[1].split(","):
                paths[controller] = parts[2]
    return paths


def memory_limits(host: Host, issues: Issues, total_bytes: int | None) -> tuple[list[MemoryLimit], bool]:
    """Every memory limit below the machine's own that binds this process, innermost first, and whether these are all.

    A file that is there and cannot be read may hold a tighter one. `memory.high` is left out: the kernel slows a
    group down there, it does not stop it.
    """
    limits, complete = [], True
    paths = _own_paths(host, issues)
    if paths is None:
        return [], False
    name = "memory.limit_in_bytes" if "memory" in paths else "memory.max"
    for folder in _levels(host, paths, "memory", name):
        source = f"{folder}/{name}"
        answer = host.read(source)
        text = issues.value(source, answer)
        complete = complete and (text is not None or answer.absent)
        if text is None or text.strip() == "max":
            continue
        limit = whole_number(text)
        if limit is None:
            issues.add(MALFORMED, source, f"not a number of bytes: {text[:40]!r}")
            complete = False
        elif limit < NO_LIMIT and (total_bytes is None or limit < total_bytes):
            limits.append(MemoryLimit(limit, _used_bytes(host, issues, folder, "memory" in paths), source))
    return limits, complete


def cpu_quota(host: Host, issues: Issues) -> tuple[CpuQuota | None, bool]:
    """The tightest CPU quota that binds this process, None without one; and whether every level could be read."""
    paths = _own_paths(host, issues)
    if paths is None:
        return None, False
    complete = True
    old = "cpu" in paths
    name = "cpu.cfs_quota_us" if old else "cpu.max"
    quotas = []
    for folder in _levels(host, paths, "cpu", name):
        source = f"{folder}/{name}"
        answer = host.read(source)
        text = issues.value(source, answer)
        complete = complete and (text is not None or answer.absent)
        if text is None:
            continue
        if old:
            period = issues.value(f"{folder}/cpu.cfs_period_us", host.read(f"{folder}/cpu.cfs_period_us"))
            text = text.strip() + " " + (period or "")
        if text.split()[:1] in (["max"], ["-1"]):
            continue
        cores = parse_quota(text)
        if cores is None:
            issues.add(MALFORMED, source, f"not a quota and a period: {text[:40]!r}")
            complete = False
        else:
            quotas.append(CpuQuota(cores, source))
    return min(quotas, key=lambda quota: quota.cores, default=None), complete


def parse_quota(text: str) -> float | None:
    """Cores in "200000 100000": microseconds of CPU time and of wall time, by default 100000."""
    parts = text.split()
    quota = whole_number(parts[0]) if parts else None
    period = whole_number(parts[1]) if len(parts) > 1 else DEFAULT_PERIOD_US
    return quota / period if quota and period else None


def _own_paths(host: Host, issues: Issues) -> dict[str, str] | None:
    """The process's groups; empty where the kernel has none, None where they cannot be read."""
    answer = host.read("/proc/self/cgroup")
    text = issues.value("/proc/self/cgroup", answer)
    return None if text is None and not answer.absent else parse_cgroup(text or "")


def _levels(host: Host, paths: dict[str, str], controller: str, name: str) -> list[str]:
    """Folders from the process's own group to the top that may hold `name`.

    A container sees its own group as the top of the mount while `/proc/self/cgroup` may still give the path
    on the host (host cgroup namespace), or one like `/../../system.slice` (a process moved in from outside).
    So where nothing of the path is visible, its ends are tried: `/docker/8f…/a.scope` may be `/a.scope`.
    """
    beside_v1 = any(paths.keys() - {""})  # then the v2 hierarchy is mounted deeper
    mounts: tuple[str, ...] = (f"{MOUNT}/unified",) if beside_v1 else (MOUNT,)
    if controller in paths:
        mounts = MOUNTS_V1[controller]
    parts = [part for part in paths.get(controller, paths.get("", "/")).split("/") if part][-MAX_DEPTH:]
    if ".." in parts:
        parts = []
    for mount in mounts:
        for start in range(len(parts)):
            folders = [mount + below for below in _upward(parts[start:])]
            if not all(host.read(f"{folder}/{name}").absent for folder in folders):
                return [*folders, mount]
    return list(mounts)


def _upward(parts: list[str]) -> Iterator[str]:
    """Paths of a group and its ancestors below the top: "/a/b", "/a"."""
    for end in range(len(parts), 0, -1):
        yield "/" + "/".join(parts[:end])


def _used_bytes(host: Host, issues: Issues, folder: str, old: bool) -> int | None:
    """What a group holds, less the file cache that the kernel gives up first, as `docker stats` counts it."""
    usage = f"{folder}/{'memory.usage_in_bytes' if old else 'memory.current'}"
    used = whole_number(issues.value(usage, host.read(usage)))
    if used is None:
        return None
    cache = "total_inactive_file" if old else "inactive_file"
    stat = f"{folder}/memory.stat"
    answer = host.read(stat)
    for line in (issues.value(stat, answer) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == cache:
            inactive = whole_number(value)
            return None if inactive is None else max(0, used - inactive)
    return used if answer.absent else None
