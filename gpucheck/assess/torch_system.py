"""The machine that a build is asked for, if that is not the one at hand: another system or another CPU."""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.machine.types import Drivers, Machine
from gpucheck.probes.facts import Platform

_SYSTEMS = {"linux": "linux", "windows": "windows", "macos": "darwin"}
_ARM, _ARCHES = "aarch64", ("x86_64", "aarch64")


def on_system(machine: Machine, system: str | None, arch: str | None) -> Machine:
    """The machine's GPUs under a system ("linux", "windows", "macos") and a CPU ("x86_64", "aarch64").

    What is not named stays. On another system than its own the machine's driver and Python do not count: what is then
    known of them is what is known of a simulated machine.

    Raises:
        UsageError: another name of a system or a CPU.
    """
    if system is not None and system not in _SYSTEMS:
        raise UsageError(f"system {system[:40]!r}: give linux, windows or macos")
    if arch is not None and arch not in _ARCHES:
        raise UsageError(f"architecture {arch[:40]!r}: give x86_64 or aarch64")
    own = machine.platform
    named = _SYSTEMS[system] if system else own.os
    found = arch or own.arch
    if found in {_ARM, "arm64"}:  # Linux says aarch64, the others arm64
        found = _ARM if named == "linux" else "arm64"
    if (named, found) == (own.os, own.arch):
        return machine
    return replace(
        machine,
        source="simulated",
        platform=Platform(os=named, arch=found),
        drivers=Drivers(),
        environment=None,
    )
