"""The ROCm build of PyTorch for AMD GPUs: their gfx targets have to be in the build, exactly."""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.assess.torch_answer import TorchBuild
from gpucheck.assess.torch_make import refuse, take, unknown
from gpucheck.assess.torch_python import lacks, others_for, why_lacking
from gpucheck.catalog.torch_builds import TorchBuild as Row
from gpucheck.catalog.torch_builds import (
    all_builds,
    maker_of,
    release_key,
    rocm_builds,
    rocm_releases,
    runs_on,
)
from gpucheck.catalog.torch_wheels import pythons_of
from gpucheck.probes.facts import Platform

_WINDOWS = (
    "PyTorch's own ROCm builds are for Linux alone (uv's documentation of PyTorch's indexes)",
    "AMD's own wheels serve some Radeon and Ryzen GPUs on Windows: https://rocm.docs.amd.com/projects/radeon-ryzen/",
)
# What users name in HSA_OVERRIDE_GFX_VERSION for targets that no build has (pytorch #53738, legacy-rocm-build #2353)
_OVERRIDES = {
    "gfx1031": "10.3.0", "gfx1032": "10.3.0", "gfx1034": "10.3.0", "gfx1035": "10.3.0", "gfx1036": "10.3.0",
    "gfx1103": "11.0.0",
}  # fmt: skip


def rocm_build(platform: Platform, targets: Sequence[str], version: str | None, python: str | None) -> TorchBuild:
    """The newest release, and of it the newest ROCm build, with code for every target."""
    if platform.os == "windows":
        return refuse(*_WINDOWS)
    where = (platform.os, platform.arch)
    rows = [row for row in all_builds() if (row.os, row.arch) == where and maker_of(row.build) == "AMD"]
    if not rows:
        return unknown(f"no ROCm build for {platform.os} on {platform.arch} is in the table of builds")
    if version is not None and (unclear := _unclear(rows, version)) is not None:
        return unclear
    coded = [row for row in rows if all(runs_on(row.targets, one) for one in targets)]
    asked = _with_releases(coded, version)
    if not asked:
        return _none(coded, targets, version)
    if python is not None:  # a build of which no release is known promises nothing for a Python
        asked = [(row, release) for row, release in asked if release is not None] or asked
    fitting = [(row, release) for row, release in asked if not lacks(python, release, *where)]
    if not fitting and python is not None:
        newest = max((release for _, release in asked if release), key=release_key)
        return refuse(why_lacking(python, newest, *where), others_for(python, *where))
    row, release = max(fitting, key=lambda one: (release_key(one[1] or ""), release_key(one[0].build)))
    reasons = [f"{row.build} has code for {', '.join(targets)} ({row.source})"]
    if version is None:
        reasons += _newer(rows, release)
    return take(row.build, *reasons, version=release, pythons=pythons_of(release, *where) if release else None)


def _unclear(rows: Sequence[Row], version: str) -> TorchBuild | None:
    """Why nobody knows what a release has; None where its builds and their code are known."""
    builds = rocm_builds(version)
    if builds is None:
        return unknown(f"which ROCm builds torch {version} has is not in the table of builds")
    if not any(row.build in builds for row in rows):
        return unknown(f"torch {version} has {' and '.join(builds)}, and which GPUs that has code for is not known")
    return None


def _with_releases(coded: Sequence[Row], version: str | None) -> list[tuple[Row, str | None]]:
    """Each build with the release to take it in; None where no release is known to have it."""
    if version is not None:
        builds = rocm_builds(version) or ()
        return [(row, version) for row in coded if row.build in builds]
    found: list[tuple[Row, str | None]] = []
    for row in coded:
        series = [release for release, build in rocm_releases() if build == row.build]
        found += [(row, release) for release in series] if series else [(row, None)]
    return found


def _newer(rows: Sequence[Row], release: str | None) -> list[str]:
    """What newer releases have, of which the code is not known."""
    known = {row.build for row in rows}
    return [
        f"torch {series} has {build} alone, and which GPUs that has code for is not known"
        for series, build in rocm_releases()
        if build not in known and release_key(series) > release_key(release or "")
    ]


def _none(coded: Sequence[Row], targets: Sequence[str], version: str | None) -> TorchBuild:
    of = f"of torch {version} " if version is not None else ""
    reasons = [f"none of PyTorch's ROCm builds {of}that are known has code for {' and '.join(targets)}"]
    if coded:
        reasons.append(f"use {max(coded, key=lambda one: release_key(one.build)).build}, which has it")
    reasons += [
        f"some run {target} with HSA_OVERRIDE_GFX_VERSION={_OVERRIDES[target]}: AMD does not support it"
        for target in targets
        if target in _OVERRIDES
    ]
    return refuse(*reasons)
