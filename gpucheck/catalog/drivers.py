"""NVIDIA driver branches: the highest CUDA of each, the last for old cards, and the oldest for a CUDA build.

NVIDIA's CUDA toolkit bundles (each toolkit carries the driver whose own CUDA it is) and public nvidia-smi outputs
of drivers 418 to 610; 615 is from one source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_CUDA_BY_BRANCH = {
    418: "10.1", 426: "10.1", 440: "10.2", 441: "10.2", 450: "11.0", 451: "11.0", 455: "11.1", 456: "11.1",
    460: "11.2", 461: "11.2", 465: "11.3", 470: "11.4", 471: "11.4", 472: "11.4", 495: "11.5", 496: "11.5",
    510: "11.6", 511: "11.6", 515: "11.7", 516: "11.7", 520: "11.8", 522: "11.8", 525: "12.0", 527: "12.0", 528: "12.0",
    530: "12.1", 531: "12.1", 535: "12.2", 536: "12.2", 537: "12.2", 545: "12.3", 546: "12.3", 550: "12.4",
    551: "12.4", 552: "12.4", 555: "12.5", 556: "12.5", 560: "12.6", 561: "12.6", 565: "12.7", 566: "12.7",
    570: "12.8", 571: "12.8", 572: "12.8", 575: "12.9", 576: "12.9", 577: "12.9", 580: "13.0", 581: "13.0", 590: "13.1",
    591: "13.1", 595: "13.2", 610: "13.3", 615: "13.4",
}  # fmt: skip


def highest_cuda(driver_version: str) -> str | None:
    """The highest CUDA of a driver's branch: "13.1" of "590.48.01"; None of a branch that is not in the table."""
    branch = driver_version.partition(".")[0]
    return _CUDA_BY_BRANCH.get(int(branch)) if branch.isdecimal() and len(branch) < 5 else None


def all_branches() -> tuple[int, ...]:
    """Every branch of which the highest CUDA is known, the oldest first."""
    return tuple(_CUDA_BY_BRANCH)


NEWEST_BRANCH = 610  # recorded on Linux and on Windows

_LAST_BRANCH_BY_MAJOR = {
    "3": 470,  # Kepler: a K80 needs the 470 branch
    "5": 580, "6": 580, "7.0": 580,  # Maxwell, Pascal and Volta: 590 "will ignore this GPU" (nixos-hardware #1880)
}  # fmt: skip


def last_branch(compute_capability: str | None) -> int | None:
    """The last driver branch for a card, None where no branch has dropped it yet (Turing and newer), or unknown."""
    capability = compute_capability or ""
    return _LAST_BRANCH_BY_MAJOR.get(capability) or _LAST_BRANCH_BY_MAJOR.get(capability.partition(".")[0])


_DROPPED_FROM = {470: 495, 580: 590}  # Windows counts on within a branch: its R470 goes to 475, its R580 to 582


def drops(driver: str | None, compute_capability: str) -> bool:
    """Whether a driver is of a branch that no longer drives a card; False of what is no version."""
    key, last = version_key(driver), last_branch(compute_capability)
    return key is not None and last is not None and key[0] >= _DROPPED_FROM[last]


def newest_branch(compute_capabilities: Iterable[str]) -> int:
    """The newest branch that still drives cards of all of these, as far as is known."""
    return min([NEWEST_BRANCH, *(last for one in compute_capabilities if (last := last_branch(one)) is not None)])


# The CUDA that came with each generation: NVIDIA's CUDA release notes (10.0, 11.0, 11.1, 11.4, 11.8, 12.8, 12.9 and
# 13.0), from memory. Older ones came before any branch of this table.
_FIRST_CUDA = {
    "7.5": "10.0", "8.0": "11.0", "8.6": "11.1", "8.7": "11.4", "8.9": "11.8", "9.0": "11.8",
    "10.0": "12.8", "12.0": "12.8", "10.3": "12.9", "12.1": "12.9", "11.0": "13.0",
}  # fmt: skip


def first_cuda(compute_capability: str) -> str | None:
    """The CUDA that came with a generation: no older driver knows its cards. None where that rules nothing out."""
    return _FIRST_CUDA.get(compute_capability)


def cuda_key(cuda: str | None) -> tuple[int, int] | None:
    """A CUDA version, or a build's tag, to compare by: (12, 8) of "12.8" and of "cu128"; None of what is neither."""
    found = re.fullmatch(r"(?:cu)?(\d{1,2})\.?(\d)", cuda or "")
    return (int(found[1]), int(found[2])) if found else None


# By local version tag, for Linux and for Windows: the oldest driver that runs it by minor-version compatibility
# (astral-sh/uv 26a9dd4b21, light-the-torch; from NVIDIA's CUDA release notes).
_OLDEST_DRIVER: dict[tuple[str, ...], tuple[str, str]] = {
    ("cu130", "cu132"): ("580", "580"),
    ("cu120", "cu121", "cu122", "cu123", "cu124", "cu125", "cu126", "cu128", "cu129"): ("525.60.13", "528.33"),
    ("cu111", "cu112", "cu113", "cu114", "cu115", "cu116", "cu117", "cu118"): ("450.80.02", "452.39"),
    ("cu110",): ("450.36.06", "451.22"),
    ("cu102",): ("440.33", "441.22"),
    ("cu101",): ("418.39", "418.96"),
    ("cu100",): ("410.48", "411.31"),
}


def oldest_driver(build: str | None, *, windows: bool) -> str | None:
    """The oldest driver for a framework built with a CUDA version ("cu128"); None of a build not in the table."""
    return next((oldest[windows] for builds, oldest in _OLDEST_DRIVER.items() if build in builds), None)


def version_key(version: str | None) -> tuple[int, ...] | None:
    """A driver's version to compare by: (550, 54, 15) of "550.54.15"; None of what is no version."""
    if not re.fullmatch(r"\d{1,5}(?:\.\d{1,5}){0,3}", version or ""):
        return None
    return tuple(int(part) for part in (version or "").split("."))
