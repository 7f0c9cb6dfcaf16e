"""Resource limits of the process that stop AI programs: locked memory, address space, open files."""

from __future__ import annotations

import re
from typing import Any

from gpucheck.host.answer import MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import Limits
from gpucheck.probes.systems import is_linux

SOURCE = "rlimits"
RDMA = "/dev/infiniband"  # a container that was not given its devices has no such folder


def probe_limits(host: Host) -> Found[Limits]:
    """Soft limits; the field is None where there is none. And the devices that a limit on locked memory hits."""
    issues = Issues()
    rdma = _rdma_devices(host, issues)
    limits: Any = issues.value(SOURCE, host.system("rlimits"))
    if limits is not None and not isinstance(limits, dict):
        issues.add(MALFORMED, SOURCE, "an object expected")
        limits = None
    if limits is None:
        if not any(issue.source == SOURCE for issue in issues.all()):
            issues.add(NOT_FOUND, SOURCE, "no source tells them")
        return Found(Limits(rdma_devices=rdma), issues.all())
    return Found(
        Limits(
            locked_memory_bytes=_soft(issues, limits, "memlock"),
            address_space_bytes=_soft(issues, limits, "address_space"),
            open_files=_soft(issues, limits, "open_files"),
            rdma_devices=rdma,
        ),
        issues.all(),
    )


def _rdma_devices(host: Host, issues: Issues) -> int | None:
    """How many adapters a process could open ("uverbs0"), on Linux; None where that was never asked."""
    if not is_linux(host):
        return None
    answer = host.listdir(RDMA)
    names = issues.value(RDMA, answer)
    if names is None:
        return 0 if answer.error == NOT_FOUND else None
    return sum(re.fullmatch(r"uverbs\d+", name) is not None for name in names)


def _soft(issues: Issues, limits: dict[str, Any], name: str) -> int | None:
    """The first of [soft, hard]; -1 is unlimited."""
    pair = limits.get(name)
    if pair is None:  # a system without this limit
        return None
    if not isinstance(pair, list) or not pair or type(pair[0]) is not int:
        issues.add(MALFORMED, SOURCE, f"{name}: [soft, hard] expected")
        return None
    return pair[0] if pair[0] >= 0 else None
