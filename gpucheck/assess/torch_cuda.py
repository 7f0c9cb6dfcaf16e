"""The CUDA build of PyTorch for NVIDIA cards: their compute capabilities, the driver and the release decide together.

A driver runs the builds of its own highest CUDA and older ones, and by minor-version compatibility newer ones of the
same major version, but compiles no PTX for those (NVIDIA, CUDA compatibility).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.assess.torch_answer import TorchBuild
from gpucheck.assess.torch_make import is_older, refuse, take, unknown
from gpucheck.catalog.drivers import cuda_key, first_cuda, last_branch, oldest_driver, version_key
from gpucheck.catalog.torch_builds import TorchBuild as Row
from gpucheck.catalog.torch_builds import all_builds, is_whole, maker_of, needs_ptx, oldest_python, release_key, runs_on


class CudaBox(Struct, frozen=True):
    """What a CUDA build has to serve: every card, under this driver, of which only the highest CUDA may be known."""

    capabilities: tuple[str, ...]
    os: str
    arch: str
    windows_driver: bool  # under WSL2 the driver is that of Windows
    driver: str | None
    cuda: str | None  # the highest of the driver

    @property
    def driver_words(self) -> str:
        """Such as "driver 535.86 (CUDA up to 12.2)"."""
        cuda = f"CUDA up to {self.cuda}" if self.cuda else "highest CUDA not known"
        return f"driver {self.driver} ({cuda})" if self.driver else f"the driver ({cuda})"


def cuda_build(box: CudaBox, version: str | None, python: str | None) -> TorchBuild:
    """The newest release that has a build which every card and the driver run, and of it the newest such CUDA."""
    dropped = _dropped(box)
    if dropped is not None:
        return refuse(dropped)
    here = [row for row in all_builds() if (row.os, row.arch) == (box.os, box.arch) and maker_of(row.build) == "NVIDIA"]
    if not here:
        return unknown(f"no CUDA build for {box.os} on {box.arch} is in the table of builds")
    asked = here if version is None else [_narrowed(row, version) for row in here if row.in_series(version)]
    if not asked:
        return unknown(f"torch {version} for {box.os} on {box.arch} is not in the table of builds")
    coded = [row for row in _each_once(asked) if all(runs_on(row.targets, one) for one in box.capabilities)]
    driven = [row for row in coded if _drives(box, row)]
    fitting = [row for row in driven if not is_older(python, oldest_python(row.last))]
    if fitting:
        return _chosen(box, fitting, here if version is None else [])
    reason = _why_none(box, coded, driven, python, version)
    if version is not None and not is_whole(version):
        return unknown(reason, f"not every build of torch {version} is in the table of builds")
    return refuse(reason, *_instead(box, here, python, version))


def _chosen(box: CudaBox, fitting: list[Row], newer: list[Row]) -> TorchBuild:
    """The best of the rows that serve; `newer` are those among which to look for what newer releases lack."""
    newest = max(map(_series, fitting))
    builds = [row for row in fitting if _series(row) == newest]
    row = min(builds, key=lambda one: _preference(box, one))
    cuda = cuda_key(row.build) or (0, 0)
    codes = ", ".join(sorted(set(box.capabilities)))
    beyond = "" if _within(box, row) else f": CUDA {cuda[0]}.{cuda[1]} by minor-version compatibility"
    reasons = [
        f"{row.build} has code for compute capability {codes}: {' '.join(row.targets)} ({row.source})",
        f"{box.driver_words} runs it{beyond}",
        *_newer_without(box, newer, newest),
    ]
    return take(row.build, *reasons, version=row.last, requires_python=oldest_python(row.last))


def _narrowed(row: Row, version: str) -> Row:
    """The row for a version alone; one about a release of the version's series stays as it is."""
    return replace(row, first=version, last=version) if row.covers(version) else row


def _each_once(rows: list[Row]) -> list[Row]:
    """Rows that are the first for what they are about: a wheel that was read outranks what was announced for it."""
    kept: list[Row] = []
    for row in rows:
        if not any(one.build == row.build and _series(one) == _series(row) for one in kept):
            kept.append(row)
    return kept


def _series(row: Row) -> tuple[int, ...]:
    """The release line of a row's last version: (2, 14) of 2.14.1."""
    return release_key(row.last)[:2]


def _preference(box: CudaBox, row: Row) -> tuple[bool, int, tuple[int, ...]]:
    """Within the driver's own CUDA the newest; beyond it the nearest; then the latest wheel of the series."""
    major, minor = cuda_key(row.build) or (0, 0)
    within = _within(box, row)
    rank = 100 * major + minor
    return not within, -rank if within else rank, tuple(-part for part in release_key(row.last)[2:])


def _within(box: CudaBox, row: Row) -> bool:
    own, cuda = cuda_key(box.cuda), cuda_key(row.build)
    return own is not None and cuda is not None and cuda <= own


def _drives(box: CudaBox, row: Row) -> bool:
    """Whether the driver runs a build, and on every card."""
    if any(needs_ptx(row.targets, one) for one in box.capabilities) and not _within(box, row):
        return False
    return _is_driven(box, row)


def _is_driven(box: CudaBox, row: Row) -> bool:
    """Whether the driver is new enough for a build's code, its PTX apart."""
    driver, oldest = version_key(box.driver), version_key(oldest_driver(row.build, windows=box.windows_driver))
    if driver is not None and oldest is not None:
        return driver >= oldest
    own, cuda = cuda_key(box.cuda), cuda_key(row.build)
    return own is not None and cuda is not None and cuda[0] <= own[0]


def _dropped(box: CudaBox) -> str | None:
    """Why the driver does not drive one of the cards at all, where that is known."""
    key, own = version_key(box.driver), cuda_key(box.cuda)
    for one in sorted(set(box.capabilities)):
        last, first = last_branch(one), cuda_key(first_cuda(one))
        if key is not None and last is not None and key[0] > last:
            return f"driver {box.driver} does not drive compute capability {one}: branch {last} is the last that does"
        if own is not None and first is not None and own < first:
            return f"{box.driver_words} does not know compute capability {one}: it came with CUDA {first[0]}.{first[1]}"
    return None


def _why_none(box: CudaBox, coded: list[Row], driven: list[Row], python: str | None, version: str | None) -> str:
    """What rules the last builds out: the cards, the driver, or Python."""
    of = f"of torch {version} " if version is not None else ""
    if driven:
        row = max(driven, key=lambda one: release_key(one.last))
        return f"torch {row.last} needs Python {oldest_python(row.last)} or newer, and this is {python}"
    if coded:
        return _driver_wanted(box, coded, of)
    codes = sorted(set(box.capabilities))
    if len(codes) > 1:
        return f"none of PyTorch's own wheels {of}that are known has code for compute capability {' and '.join(codes)}"
    return f"none of PyTorch's own wheels {of}that are known has code for compute capability {codes[0]}"


def _driver_wanted(box: CudaBox, coded: list[Row], of: str) -> str:
    """The oldest driver for any of the builds that have code for the cards."""
    if any(_is_driven(box, row) for row in coded):
        oldest = min((cuda_key(row.build) or (0, 0)) for row in coded)
        return (
            f"{box.driver_words} is too old: the builds {of}for these cards have PTX alone,"
            f" which needs a driver of CUDA {oldest[0]}.{oldest[1]} or newer"
        )
    versions = [found for row in coded if (found := oldest_driver(row.build, windows=box.windows_driver)) is not None]
    oldest_version = min(versions, key=lambda found: version_key(found) or ())
    return f"{box.driver_words} is too old: the builds {of}with code for these cards need {oldest_version} or newer"


def _instead(box: CudaBox, here: list[Row], python: str | None, version: str | None) -> tuple[str, ...]:
    """Another release that would do; or for unlike cards what each would take alone."""
    if version is not None:
        other = cuda_build(box, None, python)
        if other.answer == "yes":
            return (f"use torch {other.version} from {other.index}, the newest that every card here can run",)
    codes = sorted(set(box.capabilities))
    if len(codes) < 2:
        return ()
    return tuple(_alone(one, [row for row in here if runs_on(row.targets, one)]) for one in codes)


def _alone(code: str, rows: list[Row]) -> str:
    if not rows:
        return f"no known build has code for compute capability {code}"
    row = max(rows, key=lambda one: release_key(one.last))
    return f"compute capability {code} alone could take torch {row.last} ({row.build}): hide the other cards"


def _newer_without(box: CudaBox, here: Sequence[Row], newest: tuple[int, ...]) -> list[str]:
    """Which newer releases have no code for the cards, or no build for the driver."""
    newer = [row for row in here if _series(row) > newest]
    if not newer:
        return []
    first = min(newer, key=lambda row: release_key(row.first))
    lacking = sorted({one for one in box.capabilities if not any(runs_on(row.targets, one) for row in newer)})
    if lacking:
        return [f"no known build since torch {first.first} has code for compute capability {', '.join(lacking)}"]
    return [f"no build of torch {first.first} or newer is for these cards, this driver and this Python together"]
