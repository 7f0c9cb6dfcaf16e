"""NUMA nodes: which CPUs and which memory lie near each other, and near a GPU."""

from __future__ import annotations

from typing import Any

from gpucheck.host.answer import NOT_RECORDED
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.cpu_topology import NODES, parse_cpu_list
from gpucheck.probes.facts import NumaNode
from gpucheck.probes.systems import is_linux

MAX_NODES = 256


def probe_numa(host: Host) -> Found[tuple[NumaNode, ...]]:
    """The nodes of a machine that has more than one with CPUs or memory; nothing of any other."""
    issues = Issues()
    answer = host.read(f"{NODES}/online")
    if answer.error == NOT_RECORDED and is_linux(host):  # kernels without NUMA have no such file
        issues.add(NOT_RECORDED, f"{NODES}/online", "whether there are several nodes is not known")
    online = issues.value(f"{NODES}/online", answer)
    numbers = parse_cpu_list(online or "") or []
    if len(numbers) < 2:
        return Found((), issues.all())
    affinity: Any = host.system("affinity").value  # its issues are those of the CPU's probe
    allowed = frozenset(cpu for cpu in affinity if type(cpu) is int) if isinstance(affinity, list) else None
    return Found(tuple(_node(host, issues, number, allowed) for number in numbers[:MAX_NODES]), issues.all())


def parse_node_memory(text: str) -> dict[str, int]:
    """Bytes by name in a node's `meminfo`: "Node 0 MemTotal:       131072 kB"."""
    sizes = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 5 and words[0] == "Node" and words[4] == "kB":
            size = whole_number(words[3])
            if size is not None and size < 1 << 53:
                sizes[words[2].rstrip(":")] = size * 1024
    return sizes


def _node(host: Host, issues: Issues, number: int, allowed: frozenset[int] | None) -> NumaNode:
    """A GH200's GPU memory is nodes without CPUs (xpu-perf #129): their list is empty."""
    folder = f"{NODES}/node{number}"
    sizes = parse_node_memory(issues.value(f"{folder}/meminfo", host.read(f"{folder}/meminfo")) or "")
    cpus = issues.value(f"{folder}/cpulist", host.read(f"{folder}/cpulist")) or ""
    own = parse_cpu_list(cpus)
    return NumaNode(
        index=number,
        cpus=cpus.strip() if own is not None else "",
        memory_total_bytes=sizes.get("MemTotal"),
        memory_free_bytes=sizes.get("MemFree"),
        usable_cpus=len(allowed.intersection(own)) if own and allowed is not None else None,
    )
