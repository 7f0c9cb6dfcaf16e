"""Resource limits of the process that stop AI programs: locked memory, address space, open files."""

from __future__ import annotations

from typing import Any

from gpucheck.host.answer import MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import Limits

SOURCE = "rlimits"


def probe_limits(host: Host) -> Found[Limits]:
    """Soft limits; the field is None where there is none."""
    issues = Issues()
    limits: Any = issues.value(SOURCE, host.system("rlimits"))
    if limits is not None and not isinstance(limits, dict):
        issues.add(MALFORMED, SOURCE, "an object expected")
        limits = None
    if limits is None:
        if not issues.all():
            issues.add(NOT_FOUND, SOURCE, "no source tells them")
        return Found(Limits(), issues.all())
    return Found(
        Limits(
            locked_memory_bytes=_soft(issues, limits, "memlock"),
            address_space_bytes=_soft(issues, limits, "address_space"),
            open_files=_soft(issues, limits, "open_files"),
        ),
        issues.all(),
    )


def _soft(issues: Issues, limits: dict[str, Any], name: str) -> int | None:
    """The first of [soft, hard]; -1 is unlimited."""
    pair = limits.get(name)
    if pair is None:  # a system without this limit
        return None
    if not isinstance(pair, list) or not pair or type(pair[0]) is not int:
        issues.add(MALFORMED, SOURCE, f"{name}: [soft, hard] expected")
        return None
    return pair[0] if pair[0] >= 0 else None
