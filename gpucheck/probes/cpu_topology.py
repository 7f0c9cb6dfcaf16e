"""Cores, caches and NUMA nodes from `/sys/devices/system`; only CPUs that are online count."""

from __future__ import annotations

import re

from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues, whole_number

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"
MAX_CPUS = 8192
# Every distinct cache costs two reads of about 20 µs. A package with more of one level than this repeats
# itself: packages with unlike cores (performance and efficiency ones) have a few dozen at most.
MAX_CACHES_READ = 48


def parse_cpu_list(text: str) -> list[int] | None:
    """Numbers in "0-3,8,10-11"; empty for an empty text, None for anything else."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        low, high = whole_number(first), whole_number(last if dash else first)
        if low is None or high is None or high >= MAX_CPUS or low > high:
            return None
        numbers.extend(range(low, high + 1))
        if len(numbers) > MAX_CPUS:  # the same ones again and again
            return None
    return numbers


def parse_size(text: str) -> int | None:
    """Bytes in a cache size: "32K", "1024K", "36M"."""
    found = re.fullmatch(r"(\d{1,9})([KMG]?)", text.strip())
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]] if found else None


def cpu_list(host: Host, issues: Issues, path: str) -> list[int] | None:
    """Numbers in such a file, None when there is none."""
    text = issues.value(path, host.read(path))
    return None if text is None else parse_cpu_list(text)


def online_cpus(host: Host, issues: Issues) -> list[int]:
    """Numbers of the CPUs online, empty when unknown; a container without lxcfs shows the machine's."""
    return cpu_list(host, issues, f"{CPUS}/online") or []


def physical_cores(host: Host, issues: Issues, online: list[int]) -> int | None:
    """Cores of the online CPUs: all of them where no core has a second thread, else groups of siblings."""
    if not online:
        return None
    path = f"{CPUS}/smt/active"
    if (issues.value(path, host.read(path)) or "").strip() == "0":
        return len(online)
    cores, seen = 0, set[int]()
    for cpu in online:
        if cpu not in seen:
            siblings = cpu_list(host, issues, f"{CPUS}/cpu{cpu}/topology/thread_siblings_list")
            if not siblings:
                return None
            cores += 1
            seen.update(siblings)
    return cores


def numa_nodes(host: Host, issues: Issues) -> int | None:
    """NUMA nodes that have CPUs: one on a GH200, whose other eight are slices of its GPU (xpu-perf #129).

    Kernels without the list of these have no list of those with memory either, and no node without CPUs.
    """
    answer = host.read(f"{NODES}/has_cpu")
    text = issues.value(f"{NODES}/has_cpu", answer)
    if text is not None or not answer.absent:
        return len(parse_cpu_list(text or "") or ()) or None
    if not host.read(f"{NODES}/has_memory").absent:
        return None
    return len(cpu_list(host, issues, f"{NODES}/online") or ()) or None


def cache_bytes(host: Host, issues: Issues, online: list[int]) -> dict[int, int]:
    """Bytes of the level 2 and 3 caches of one whole package, that of the first CPU, by level."""
    if not online:
        return {}
    first = f"{CPUS}/cpu{online[0]}"
    package = (
        cpu_list(host, issues, f"{first}/topology/package_cpus_list")
        or cpu_list(host, issues, f"{first}/topology/core_siblings_list")  # its name before Linux 5.5
        or online
    )
    cpus = [cpu for cpu in online if cpu in set(package)]
    sizes = {}
    for index in issues.value(f"{first}/cache", host.listdir(f"{first}/cache")) or ():
        level = whole_number(host.read(f"{first}/cache/{index}/level").value)
        kind = (host.read(f"{first}/cache/{index}/type").value or "").strip()
        if level in {2, 3} and kind != "Instruction":
            total = _level_bytes(host, issues, cpus, index)
            if total is not None:
                sizes[level] = total
    return sizes


def _level_bytes(host: Host, issues: Issues, cpus: list[int], index: str) -> int | None:
    """The sum over the distinct caches of one level: each is read once, at the first CPU that shares it."""
    total, read, seen = 0, 0, set[int]()
    for cpu in cpus:
        if cpu in seen:
            continue
        folder = f"{CPUS}/cpu{cpu}/cache/{index}"
        size = parse_size(issues.value(f"{folder}/size", host.read(f"{folder}/size")) or "")
        if size is None:
            return None
        shared = cpu_list(host, issues, f"{folder}/shared_cpu_list")
        if not shared:
            return None  # with whom it is shared decides how often it counts
        seen.update(shared)
        total += size
        read += 1
        if read == MAX_CACHES_READ:
            return total * len(cpus) // max(1, len(seen.intersection(cpus)))
    return total or None
