"""Which Python a release of PyTorch has wheels for, and what to say where it has none."""

from __future__ import annotations

from gpucheck.assess.torch_answer import TorchBuild, in_words
from gpucheck.assess.torch_make import refuse
from gpucheck.catalog.torch_builds import release_key
from gpucheck.catalog.torch_wheels import newest_release, pythons_of, series_for, short_python
from gpucheck.machine.types import Machine
from gpucheck.probes.facts import Platform

CONDA = (
    "the environment is conda's: PyTorch's conda channel ends with torch 2.5 (pytorch #138506), so use pip within it"
)


def lacks(python: str | None, version: str | None, system: str | None, arch: str | None) -> bool:
    """Whether a release has wheels for a system, but none for a Python; False where either is not known."""
    pythons = pythons_of(version, system, arch) if version is not None else None
    return bool(python and pythons and python not in pythons)


def why_lacking(python: str, version: str, system: str | None, arch: str | None) -> str:
    """Why a release does not serve a Python."""
    pythons = pythons_of(version, system, arch) or ()
    return f"torch {version} has wheels for Python {in_words(pythons)}, and this is {python}"


def others_for(python: str, system: str | None, arch: str | None) -> str:
    """Which releases have wheels for a Python."""
    series = series_for(python, system, arch)
    if not series:
        return f"no known release of torch has wheels for Python {python} on {system} on {arch}"
    span = series[0] if len(series) == 1 else f"{series[-1]} to {series[0]}"
    return f"wheels for Python {python}: torch {span}"


def release_for(python: str | None, platform: Platform) -> str | None:
    """The newest series with wheels for a Python on a system; None where that is the newest of all, or not known."""
    newest = newest_release(platform.os, platform.arch)
    series = series_for(python, platform.os, platform.arch)
    if python is None or not series or newest is None or release_key(series[0]) == release_key(newest)[:2]:
        return None
    return series[0]


def no_release(python: str | None, platform: Platform) -> TorchBuild | None:
    """The refusal of a Python for which no release has wheels on a system."""
    if python is None or newest_release(platform.os, platform.arch) is None:
        return None
    if series_for(python, platform.os, platform.arch):
        return None
    return refuse(f"{others_for(python, platform.os, platform.arch)}, and this is {python}")


def python_of(machine: Machine, named: str | None) -> tuple[str | None, list[str]]:
    """The Python to reckon with, and what was assumed: the named one, else that of the environment that was chosen."""
    environment = machine.environment
    if named is not None or environment is None or environment.chosen_by is None:
        return short_python(named), []
    python = short_python(environment.python)
    if python is None:
        return None, []
    where = environment.path or environment.interpreter
    return python, [f"Python {python} is reckoned with, that of {where}: --python-version names another"]


def conda_note(machine: Machine) -> list[str]:
    """What to know in an environment of conda."""
    environment = machine.environment
    conda = environment is not None and environment.chosen_by is not None and environment.made_by == "conda"
    return [CONDA] if conda else []
