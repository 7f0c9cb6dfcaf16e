"""Which GPU code PyTorch's own wheels carry, from `data/torch_arch.tsv`, and what of it a GPU can run.

The rule for NVIDIA is CUDA's own (CUDA C++ Programming Guide, compute capabilities): a cubin `sm_86` runs on its major
version from its minor one on, so on 8.9 as well; `sm_100f` on its family, which is the same; `sm_90a` on 9.0 alone;
PTX `compute_90` on everything from 9.0 on. Cubins are never shared with the Tegra chips. AMD's targets are exact.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from typing import Literal

from msgspec import Struct

from gpucheck.catalog.cards import DATA

AS_OF = "2026-11-23"
INDEX = "https://download.pytorch.org/whl/"

_TARGET = re.compile(r"(sm|compute)_(\d{1,2})(\d)([af]?)")
# The oldest Python of the releases from a version on: package metadata of the default Linux wheels
_PYTHON_FROM = (((2, 15), "3.11"), ((2, 9), "3.10"), ((2, 6), "3.9"), ((2, 0), "3.8"))
# Which ROCm builds a release has, where that is known (PyTorch's build scripts)
_ROCM_OF = {"2.13": ("rocm7.2", "rocm7.1"), "2.11": ("rocm7.2", "rocm7.1"), "2.6": ("rocm6.2.4",)}
_WHOLE_FROM = (2, 11)  # of older releases the table lacks some builds
_RELEASE = re.compile(r"\d{1,4}(?:\.\d{1,4}){1,3}")
_TEGRA = frozenset({(5, 3), (6, 2), (7, 2), (8, 7)})


class TorchBuild(Struct, frozen=True):
    """One row: the code in the wheels of these versions. Empty versions mean every one that has this build."""

    first: str
    last: str
    build: str  # the local version tag: cu128, rocm6.4
    os: str
    arch: str
    targets: tuple[str, ...]
    source: str

    @property
    def index(self) -> str:
        """The address of the index that has these wheels."""
        return INDEX + self.build

    @property
    def requirement(self) -> str:
        """What to ask pip for: torch, or the newest version of the row."""
        exact = self.last.count(".") > 1
        return f"torch=={self.last}{'' if exact else '.*'}" if self.last else "torch"

    def in_series(self, version: str) -> bool:
        """Whether the row is about a version or a release of its series: 2.15.0 is in 2.15."""
        return self.covers(version) or self.first.startswith(f"{version}.")

    def covers(self, version: str) -> bool:
        """Whether the row is about a version; 2.12 to 2.14 has every 2.13.x. A preview (2.9.0a0) is in no row."""
        if not _RELEASE.fullmatch(version):
            return False
        if not self.first:
            return True
        given, first, last = (_numbers(text) for text in (version, self.first, self.last))
        return first <= given[: len(first)] and given[: len(last)] <= last


@cache
def all_builds() -> tuple[TorchBuild, ...]:
    """Every row, in the order in which they count."""
    with open(os.path.join(DATA, "torch_arch.tsv"), encoding="utf-8") as handle:
        rows = [line.rstrip("\n").split("\t") for line in handle if not line.startswith("#")]
    return tuple(
        TorchBuild(first, last, build, system, arch, tuple(targets.split()), source)
        for first, last, build, system, arch, targets, source in rows
    )


def find_build(version: str | None, build: str | None, system: str | None, arch: str | None) -> TorchBuild | None:
    """The row of one of PyTorch's own wheels; None where the table has none, which says nothing of its code."""
    return next(
        (row for row in all_builds() if (row.build, row.os, row.arch) == (build, system, arch)
         and row.covers(version or "")), None,
    )  # fmt: skip


def builds_for(devices: Sequence[str], system: str | None, arch: str | None) -> tuple[TorchBuild, ...]:
    """The rows whose code runs on every one of these compute capabilities or gfx targets.

    The newest version first, and of one version the default wheel.
    """
    found = [
        row for row in all_builds()
        if (row.os, row.arch) == (system, arch) and devices and all(runs_on(row.targets, one) for one in devices)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda row: _numbers(row.last), reverse=True))


def runs_on(targets: Sequence[str], device: str) -> bool:
    """Whether a GPU ("8.9", "gfx942") can run any of a build's targets."""
    if device.startswith("gfx"):
        return device in targets
    major, _, minor = device.partition(".")
    if not (major.isdecimal() and minor.isdecimal()) or len(device) > 5:
        return False
    return any(_runs(target, (int(major), int(minor))) for target in targets)


def needs_ptx(targets: Sequence[str], device: str) -> bool:
    """Whether a GPU can run a build only by having the driver compile its PTX."""
    return runs_on(targets, device) and not runs_on([one for one in targets if not one.startswith("compute")], device)


def is_release(version: str) -> bool:
    """Whether a text is a version that the table can be asked for: 2.9 or 2.9.1, but no preview and no local tag."""
    return _RELEASE.fullmatch(version) is not None


def release_key(version: str) -> tuple[int, ...]:
    """A torch version to sort by."""
    return _numbers(version)


def is_whole(version: str) -> bool:
    """Whether the table has every CUDA build of a version, so that what is not in it does not exist."""
    return _numbers(version)[:2] >= _WHOLE_FROM


def oldest_python(version: str) -> str | None:
    """The oldest Python that a release runs on; None of releases before 2.0."""
    return next((python for first, python in _PYTHON_FROM if _numbers(version)[:2] >= first), None)


def rocm_builds(version: str) -> tuple[str, ...] | None:
    """The ROCm builds of a release, the newest first; None where they are not known."""
    return _ROCM_OF.get(".".join(version.split(".")[:2]))


def rocm_release(build: str) -> str | None:
    """The newest series that is known to have a ROCm build: 2.13 of rocm7.2."""
    return next((series for series, builds in _ROCM_OF.items() if build in builds), None)


def maker_of(build: str | None) -> Literal["NVIDIA", "AMD"] | None:
    """Whose GPUs a build is for, by its tag; None of a CPU build and of tags that are not known."""
    if re.fullmatch(r"cu\d{2,3}", build or ""):
        return "NVIDIA"
    return "AMD" if re.fullmatch(r"rocm\d+(?:\.\d+)*", build or "") else None


def _runs(target: str, device: tuple[int, int]) -> bool:
    found = _TARGET.fullmatch(target)
    if found is None:
        return False
    kind, own, suffix = found[1], (int(found[2]), int(found[3])), found[4]
    if suffix == "a":
        return device == own
    if kind == "compute" and not suffix:
        return device >= own
    if device in _TEGRA or own in _TEGRA:
        return device == own
    return device[0] == own[0] and device[1] >= own[1]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
