"""The CUDA build of PyTorch for NVIDIA cards: their compute capabilities, the driver and the release decide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from msgspec.structs import replace

from gpucheck.assess.torch_answer import TorchBuild
from gpucheck.assess.torch_cuda_box import CudaBox, drives, dropped, is_driven, is_within, series_of
from gpucheck.assess.torch_make import refuse, take, unknown
from gpucheck.assess.torch_python import lacks, others_for, why_lacking
from gpucheck.catalog.drivers import cuda_key, oldest_driver, version_key
from gpucheck.catalog.torch_builds import TorchBuild as Row
from gpucheck.catalog.torch_builds import all_builds, is_experimental, is_whole, maker_of, release_key, runs_on
from gpucheck.catalog.torch_wheels import newest_release, pythons_of

_CUDA13_ALONE = (2, 15)  # PyTorch's last builds of CUDA 12 are of 2.14 (pytorch/test-infra #8739, pytorch #190385)
_OLDEST_OF_CUDA13 = (7, 5)
_TEGRA = frozenset({"5.3", "6.2", "7.2", "8.7"})
_JETSON = (
    "NVIDIA has wheels of its own for Jetson's JetPack: "
    "https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform/"
)


def cuda_build(box: CudaBox, version: str | None, python: str | None) -> TorchBuild:
    """The newest release that has a build which every card and the driver run, and of it the newest such CUDA."""
    here = _rows(box.os, box.arch)
    hindrance = dropped(box)
    if hindrance is not None:
        return refuse(hindrance, *_each_alone(box, here))
    if not here:
        return unknown(f"no CUDA build for {box.os} on {box.arch} is in the table of builds")
    asked = list(here) if version is None else [_narrowed(row, version) for row in here if row.in_series(version)]
    if not asked:
        return _not_in_table(box, here, version or "", python)
    fitting = [
        row for row in _coded(box, [row for row in asked if not lacks(python, row.last, box.os, box.arch)])
        if drives(box, row)
    ]  # fmt: skip
    if fitting:
        return _chosen(box, fitting, here if version is None else [])
    coded = _coded(box, asked)
    reasons = _why_none(box, coded, [row for row in coded if drives(box, row)], python, version)
    if version is not None and not is_whole(version):
        return unknown(*reasons, f"not every build of torch {version} is in the table of builds")
    return refuse(*reasons, *_instead(box, here, python, version))


@cache
def _rows(system: str, arch: str) -> tuple[Row, ...]:
    """The CUDA builds for a system, a row for each series."""
    here = [row for row in all_builds() if (row.os, row.arch) == (system, arch) and maker_of(row.build) == "NVIDIA"]
    return tuple(one for row in here for one in row.each_series)


def _narrowed(row: Row, version: str) -> Row:
    """The row for a version alone; one about a release of the version's series stays as it is."""
    return replace(row, first=version, last=version) if row.covers(version) else row


def _coded(box: CudaBox, rows: Sequence[Row]) -> list[Row]:
    """The rows with code for every card."""
    return [row for row in _each_once(rows) if all(runs_on(row.targets, one) for one in box.capabilities)]


def _each_once(rows: Sequence[Row]) -> list[Row]:
    """Rows that are the first for what they are about: a wheel that was read outranks what was announced for it."""
    kept: dict[tuple[str, tuple[int, ...]], Row] = {}
    for row in rows:
        kept.setdefault((row.build, series_of(row)), row)
    return list(kept.values())


def _chosen(box: CudaBox, fitting: Sequence[Row], newer: Sequence[Row]) -> TorchBuild:
    """The best of the rows that serve; `newer` are those among which to look for what newer releases lack."""
    newest = max(map(series_of, fitting))
    builds = sorted((row for row in fitting if series_of(row) == newest), key=lambda one: _preference(box, one))
    row = builds[0]
    cuda = cuda_key(row.build) or (0, 0)
    codes = ", ".join(box.codes)
    beyond = "" if is_within(box, row) else f": CUDA {cuda[0]}.{cuda[1]} by minor-version compatibility"
    reasons = [
        f"{row.build} has code for compute capability {codes}: {' '.join(row.targets)} ({row.source})",
        f"{box.driver_words} runs it{beyond}",
    ]
    if is_experimental(row.last, row.build):
        reasons.append(f"{row.build} of torch {row.last} is experimental, as PyTorch says")
    if builds[1:]:
        reasons.append(f"{' and '.join(one.build for one in builds[1:])} of the same release would do too")
    if newer:
        reasons += _newer_without(box, newer, newest)
    return take(row.build, *reasons, version=row.last, pythons=pythons_of(row.last, box.os, box.arch))


def _preference(box: CudaBox, row: Row) -> tuple[bool, bool, int, tuple[int, ...]]:
    """Within the driver's own CUDA the newest; beyond it the nearest; experimental ones last; then the latest wheel."""
    major, minor = cuda_key(row.build) or (0, 0)
    within = is_within(box, row)
    rank = 100 * major + minor
    newest = tuple(-part for part in release_key(row.last)[2:])
    return not within, is_experimental(row.last, row.build), -rank if within else rank, newest


def _not_in_table(box: CudaBox, here: Sequence[Row], version: str, python: str | None) -> TorchBuild:
    """A release of which no build is known: of some cards it is known all the same that it has none."""
    old = _too_old(box)
    if old and release_key(version)[:2] >= _CUDA13_ALONE:
        return refuse(_ended(old), *_instead(box, here, python, version))
    return unknown(f"torch {version} for {box.os} on {box.arch} is not in the table of builds")


def _too_old(box: CudaBox) -> list[str]:
    """The compute capabilities for which CUDA 13 makes no code."""
    return [one for one in box.codes if tuple(map(int, one.split("."))) < _OLDEST_OF_CUDA13]


def _ended(codes: Sequence[str]) -> str:
    series = ".".join(map(str, _CUDA13_ALONE))
    return (
        f"torch {series} and newer are built with CUDA 13 alone (pytorch/test-infra #8739),"
        f" which has no code for compute capability {', '.join(codes)}"
    )


def _newer_without(box: CudaBox, here: Sequence[Row], newest: tuple[int, ...]) -> list[str]:
    """Which newer releases have no code for the cards, or no build for the driver, or are not known."""
    newer = [row for row in here if series_of(row) > newest]
    if newer:
        first = min(newer, key=lambda row: release_key(row.first))
        lacking = [one for one in box.codes if not any(runs_on(row.targets, one) for row in newer)]
        if lacking:
            return [f"no known build since torch {first.first} has code for compute capability {', '.join(lacking)}"]
        return [f"no build of torch {first.first} or newer is for these cards, this driver and this Python together"]
    latest = newest_release(box.os, box.arch)
    if latest is None or release_key(latest)[:2] <= newest:
        return []
    old = _too_old(box)
    if old and release_key(latest)[:2] >= _CUDA13_ALONE:
        return [_ended(old)]
    return [f"torch {latest} is newer, but its builds for {box.os} on {box.arch} are not in the table of builds"]


def _why_none(
    box: CudaBox, coded: Sequence[Row], driven: Sequence[Row], python: str | None, version: str | None
) -> list[str]:
    """What rules the last builds out: the cards, the driver, or Python."""
    of = f"of torch {version} " if version is not None else ""
    if driven and python is not None:
        row = max(driven, key=lambda one: release_key(one.last))
        return [why_lacking(python, row.last, box.os, box.arch), others_for(python, box.os, box.arch)]
    if coded:
        return [_driver_wanted(box, coded, of)]
    jetson = [_JETSON] if _TEGRA & set(box.codes) else []
    codes = " and ".join(box.codes)
    return [f"none of PyTorch's own wheels {of}that are known has code for compute capability {codes}", *jetson]


def _driver_wanted(box: CudaBox, coded: Sequence[Row], of: str) -> str:
    """The oldest driver for any of the builds that have code for the cards."""
    if any(is_driven(box, row) for row in coded):
        oldest = min((cuda_key(row.build) or (0, 0)) for row in coded)
        return (
            f"{box.driver_words} is too old: the builds {of}for these cards have PTX alone,"
            f" which needs a driver of CUDA {oldest[0]}.{oldest[1]} or newer"
        )
    versions = [found for row in coded if (found := oldest_driver(row.build, windows=box.windows_driver)) is not None]
    oldest_version = min(versions, key=lambda found: version_key(found) or ())
    return f"{box.driver_words} is too old: the builds {of}with code for these cards need {oldest_version} or newer"


def _instead(box: CudaBox, here: Sequence[Row], python: str | None, version: str | None) -> tuple[str, ...]:
    """Another release that would do; or for unlike cards what each would take alone."""
    if version is not None:
        other = cuda_build(box, None, python)
        if other.answer == "yes":
            return (f"use torch {other.version} from {other.index}, the newest that every card here can run",)
    return _each_alone(box, here)


def _each_alone(box: CudaBox, here: Sequence[Row]) -> tuple[str, ...]:
    """What each of unlike cards could take without the others, a driver for it taken for granted."""
    if len(box.codes) < 2:
        return ()
    return tuple(_alone(one, [row for row in here if runs_on(row.targets, one)]) for one in box.codes)


def _alone(code: str, rows: Sequence[Row]) -> str:
    if not rows:
        return f"no known build has code for compute capability {code}"
    row = max(rows, key=lambda one: release_key(one.last))
    return f"compute capability {code} alone could take torch {row.last} ({row.build}): hide the other cards"
