"""Which GPU code PyTorch's own wheels carry, from `data/torch_arch.tsv`, and what of it a GPU can run.

The rule for NVIDIA is CUDA's own (CUDA C++ Programming Guide, compute capabilities): a cubin `sm_86` runs on its major
version from its minor one on, so on 8.9 as well; `sm_100f` on its family, which is the same; `sm_90a` on 9.0 alone;
PTX `compute_90` on everything from 9.0 on. Cubins are never shared with the Tegra chips. AMD's targets are exact.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.catalog.cards import DATA

AS_OF = "2026-11-24"
INDEX = "https://download.pytorch.org/whl/"

_TARGET = re.compile(r"(sm|compute)_(\d{1,2})(\d)([af]?)")
# Which ROCm builds a release has, the newest first, where that is known: PyTorch's RELEASE.md (pytorch #143538,
# #170603, #187075, #194367), its page of releases (PyTorchKR/pytorch.kr #82, #119), build
# scripts, and for 2.7 to 2.9 the builds that kernels-community makes for them. What code 7.14 has is not known.
_ROCM_OF = {
    "2.14": ("rocm7.14",), "2.13": ("rocm7.2", "rocm7.1"), "2.12": ("rocm7.2",), "2.11": ("rocm7.2", "rocm7.1"),
    "2.10": ("rocm7.1",), "2.9": ("rocm6.4", "rocm6.3"), "2.8": ("rocm6.4", "rocm6.3"), "2.7": ("rocm6.3",),
    "2.6": ("rocm6.2.4",),
}  # fmt: skip
# Builds that PyTorch calls experimental: RELEASE.md (pytorch #164471, #170603, #182849, #187075; 2.4 from memory)
_EXPERIMENTAL = frozenset({("2.4", "cu124"), ("2.9", "cu130"), ("2.10", "cu130"), ("2.12", "cu132"), ("2.13", "cu132")})
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
    def each_series(self) -> tuple[TorchBuild, ...]:
        """The row as one row for each series that it is about: 2.12 to 2.14 are three."""
        first, last = _numbers(self.first), _numbers(self.last)
        if len(first) != 2 or len(last) != 2:
            return (self,)
        names = [f"{first[0]}.{minor}" for minor in range(first[1], last[1] + 1)]
        return tuple(replace(self, first=name, last=name) for name in names)

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


def is_experimental(version: str, build: str) -> bool:
    """Whether PyTorch calls a release's build experimental."""
    return (".".join(version.split(".")[:2]), build) in _EXPERIMENTAL


def rocm_builds(version: str) -> tuple[str, ...] | None:
    """The ROCm builds of a release, the newest first; None where they are not known."""
    return _ROCM_OF.get(".".join(version.split(".")[:2]))


def rocm_releases() -> tuple[tuple[str, str], ...]:
    """Each series with each ROCm build that it is known to have, the newest first: ("2.13", "rocm7.2")."""
    return tuple((series, build) for series, builds in _ROCM_OF.items() for build in builds)


def maker_of(build: str | None) -> Literal["NVIDIA", "AMD"] | None:
    """Whose GPUs a build is for, by its tag; None of a CPU build and of tags that are not known."""
    if re.fullmatch(r"cu\d{2,3}", build or ""):
        return "NVIDIA"
    return "AMD" if re.fullmatch(r"rocm\d+(?:\.\d+)*", build or "") else None


@lru_cache(4096)
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


@lru_cache(1024)
def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
