"""`TorchBuild`: the answer to which build of PyTorch suits a machine."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

PYPI = "pypi default"


class TorchBuild(Struct, frozen=True, kw_only=True):
    """Which build of PyTorch to install. `index` and what follows it is None unless the answer is "yes".

    `index` is the last part of the address of PyTorch's own index ("cu126", "rocm7.2", "xpu", "cpu"), or "pypi default"
    where the wheel of PyPI is the right one. `version` is a release ("2.15.0"), a series ("2.14"), or None for the
    newest. `driver` is the NVIDIA driver that was reckoned with, `driver_basis` how it is known.
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
