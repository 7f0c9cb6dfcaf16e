"""What stands between an AMD card and ROCm: its driver, and the right to open two device files."""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import UNKNOWN_DRIVER, PciDevice, State
from gpucheck.probes.kfd import KfdNode

DRIVER = "amdgpu"
KFD = "/dev/kfd"
_GROUPS = "ROCm's users belong to the groups render and video"


def state_of(
    host: Host, issues: Issues, device: PciDevice | None, nodes: Sequence[KfdNode]
) -> tuple[State, str | None]:
    """The state of a card and, where it is not ok, what is wrong with it.

    A card that KFD does not list is no ROCm device; `amdgpu` alone drives it.
    """
    if device is not None and not device.driver_known and not nodes:
        return "unknown", UNKNOWN_DRIVER
    if device is not None and device.driver is None and device.driver_known:
        return "no_driver", "no kernel driver is bound to it"
    if device is not None and device.driver not in {DRIVER, None}:
        return "wrong_driver", f"{device.driver} is bound to it; ROCm needs {DRIVER}"
    if not nodes:
        return "ok", None
    kfd = _may_open(host, issues, KFD)
    if kfd is None:
        return "unreachable", f"{KFD} is not here: a container needs --device={KFD} --device=/dev/dri"
    if not kfd:  # rocm-smi works while HIP sees no device (ROCm-docker #116, ollama #6736)
        return "no_permission", f"{KFD} cannot be opened for reading and writing; {_GROUPS}"
    return _render_state(host, issues, nodes)


def _render_state(host: Host, issues: Issues, nodes: Sequence[KfdNode]) -> tuple[State, str | None]:
    """Whether the render nodes are here and open: a container is often given those of its own cards alone."""
    paths = [f"/dev/dri/renderD{node.render_minor}" for node in nodes if node.render_minor is not None]
    found = {path: _may_open(host, issues, path) for path in paths}
    shut = [path for path, may in found.items() if not may]
    if not shut:
        return "ok", None
    if len(shut) < len(nodes):
        issues.add("partitions_out_of_reach", nodes[0].address, f"{len(shut)} of {len(nodes)}: {', '.join(shut)}")
        return "ok", None
    if found[shut[0]] is None:
        return "unreachable", f"{shut[0]} is not here: this container was not given the card"
    return "no_permission", f"{shut[0]} cannot be opened for reading and writing; {_GROUPS}"


def _may_open(host: Host, issues: Issues, path: str) -> bool | None:
    """Whether this process may compute with it; None where the file is missing, True where nobody can tell."""
    answer = host.may("rw", path)
    if answer.error == NOT_FOUND:
        return None
    return issues.value(path, answer) is not False
