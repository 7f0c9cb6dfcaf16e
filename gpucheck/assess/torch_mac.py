"""The wheel of PyTorch for a Mac: PyPI's, with Metal (MPS) on Apple silicon, for the CPU on Intel."""

from __future__ import annotations

from gpucheck.assess.torch_answer import PYPI, TorchBuild
from gpucheck.assess.torch_make import refuse, take
from gpucheck.assess.torch_python import release_for
from gpucheck.catalog.torch_builds import release_key
from gpucheck.catalog.torch_wheels import newest_release, pythons_of
from gpucheck.machine.types import Machine


def mac_build(machine: Machine, version: str | None, python: str | None) -> TorchBuild:
    """The wheel for a Mac, for one of no other maker than Apple on its GPU too."""
    platform = machine.platform
    others = sorted({gpu.vendor for gpu in machine.usable_gpus if gpu.vendor != "Apple"})
    idle = f"; no build of PyTorch for macOS runs on GPUs of {' or '.join(others)}" if others else ""
    release = version or release_for(python, platform)
    if platform.arch != "arm64":
        return _intel(platform.arch, release, idle)
    reason = "the default wheel for Apple silicon has Metal (MPS) built in"
    if not any(gpu.vendor == "Apple" for gpu in machine.usable_gpus):
        reason += ", though no GPU can be used now"
    pythons = pythons_of(release, platform.os, platform.arch) if release else None
    return take(PYPI, reason + idle, version=release, pythons=pythons)


def _intel(arch: str | None, release: str | None, idle: str) -> TorchBuild:
    """The last wheels for Intel Macs; no newer release has any."""
    newest = newest_release("darwin", arch)
    if newest is None:
        return refuse(f"PyTorch has no wheels for macOS on {arch}")
    last = ".".join(newest.split(".")[:2])
    if release is not None and release_key(release)[:2] > release_key(last):
        return refuse(f"torch {last} was the last with wheels for Intel Macs (pytorch #114602): use torch {last}")
    release = release or last
    reason = f"torch {last} was the last with wheels for Intel Macs (pytorch #114602); they use the CPU"
    return take(PYPI, reason + idle, version=release, pythons=pythons_of(release, "darwin", arch))
