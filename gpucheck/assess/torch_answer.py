"""`TorchBuild`: the answer to which build of PyTorch suits a machine."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gpucheck.shown import Shown

PYPI = "pypi"


class TorchBuild(Shown, Struct, frozen=True, kw_only=True):
    """Which build of PyTorch to install. `index` and what follows it is None unless the answer is "yes".

    `index` is the last part of the address of PyTorch's own index ("cu126", "rocm7.2", "xpu", "cpu"), or "pypi" where
    the wheel of PyPI is the right one. `version` is a release ("2.15.0"), a series ("2.14"), or None for the newest.
    `pythons` are those that the version has wheels for, empty where that is not known. `driver` is the NVIDIA driver
    that was reckoned with, `driver_basis` how it is known. `uv` needs a uv that knows the index: 0.13.9 knows them all.
    """

    answer: Literal["yes", "no", "unknown"]
    index: str | None = None
    index_url: str | None = None
    version: str | None = None
    requires_python: str | None = None  # ">=3.11"
    pip: str | None = None
    uv: str | None = None
    driver: str | None = None
    driver_basis: Literal["reported", "named", "assumed"] | None = None
    reasons: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    as_of: str  # the date of the table of builds
    pythons: tuple[str, ...] = ()  # "3.13", and "3.13t" of a free-threaded one


def in_words(pythons: tuple[str, ...]) -> str:
    """Such as "3.9 to 3.13 and 3.13t"; free-threaded ones are named one by one."""
    usual = [one for one in pythons if not one.endswith("t")]
    free = [one for one in pythons if one.endswith("t")]
    span = [usual[0] if len(usual) == 1 else f"{usual[0]} to {usual[-1]}"] if usual else []
    return " and ".join([*span, *([", ".join(free)] if free else [])])
