"""The lines of the report for people about toolkits."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.machine.types import Machine
from gpucheck.probes.facts import InstalledToolkit


def toolkit_lines(machine: Machine, *, verbose: bool) -> tuple[str, ...]:
    """One line of what is there, none where nothing is; with `verbose` where each of several lies."""
    if not (machine.gpus or verbose):
        return ()
    line = ", ".join(_parts(machine))
    return ((line,) if line else ()) + (tuple(_folders(machine)) if verbose else ())


def _parts(machine: Machine) -> Iterator[str]:
    found = machine.toolkits
    yield from _named("CUDA", found.cuda, found.cuda_installed)
    for name, version in (("cuDNN", found.cudnn), ("NCCL", found.nccl), ("TensorRT", found.tensorrt)):
        yield from (f"{name} {version}",) if version else ()
    yield from _named("ROCm", found.rocm, found.rocm_installed)
    for name, version in (("oneAPI", found.oneapi), ("Level Zero", found.level_zero)):
        yield from (f"{name} {version}",) if version else ()
    if found.mps:
        yield found.mps


def _named(name: str, version: str | None, installed: tuple[InstalledToolkit, ...]) -> Iterator[str]:
    """Such as "CUDA 12.4.1 (also 11.8.0)"; where nobody knows which is in force, all of them."""
    others = list(dict.fromkeys(one.version for one in installed if one.version != version))
    if version is not None:
        yield f"{name} {version}" + (f" (also {', '.join(others)})" if others else "")
    elif others:
        yield f"{name} {' or '.join(others)}"


def _folders(machine: Machine) -> Iterator[str]:
    for name, installed in (("CUDA", machine.toolkits.cuda_installed), ("ROCm", machine.toolkits.rocm_installed)):
        for one in installed:
            chosen = f" ({', '.join(one.chosen_by)})" if one.chosen_by else ""
            yield f"{name} {one.version} in {one.folder}{chosen}"
