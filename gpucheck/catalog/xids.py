"""What the codes mean that NVIDIA's driver logs as Xid, and what NVIDIA advises at once, from `data/xids.tsv`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from typing import Literal

from msgspec import Struct

from gpucheck.catalog.cards import DATA

Weight = Literal["hardware", "reset", "program", "none"]

# The catalogue's immediate action: what it comes to. An empty one, or one that points to another code, is none.
_WEIGHTS: dict[str, Weight] = {
    "RESTART_BM": "hardware",
    "CHECK_MECHANICALS": "hardware",
    "CONTACT_SUPPORT": "hardware",
    "RESET_GPU": "reset",
    "RESTART_VM": "reset",
    "WORKFLOW_XID_48": "reset",  # a double-bit error: reset, then see whether the row was replaced
    "WORKFLOW_NVLINK_ERR": "reset",
    "WORKFLOW_NVLINK5_ERR": "reset",
    "RESTART_APP": "program",
    "CHECK_UVM": "program",
    "UPDATE_SWFW": "program",
    "WORKFLOW_XID_45": "program",
}
_HEAVIEST: tuple[Weight, ...] = ("hardware", "reset", "program", "none")


class Xid(Struct, frozen=True):
    """One code: what it means in a few words, and NVIDIA's names for the first and the next action (may be empty)."""

    code: int
    meaning: str
    immediate: str
    follow_up: str

    @property
    def weight(self) -> Weight:
        """What it asks for at once: hardware to be looked at, a reset, a program to be started again, or nothing."""
        return _WEIGHTS.get(self.immediate, "none")


@cache
def all_xids() -> dict[int, Xid]:
    """Every code of the table."""
    with open(os.path.join(DATA, "xids.tsv"), encoding="utf-8") as handle:
        rows = [line.rstrip("\n").split("\t") for line in handle if not line.startswith("#")]
    return {int(code): Xid(int(code), *rest) for code, *rest in rows}


def in_words(codes: Iterable[int]) -> str:
    """Such as "Xid 79 (fell off the bus), Xid 999"."""
    known = all_xids()
    return ", ".join(f"Xid {code} ({known[code].meaning})" if code in known else f"Xid {code}" for code in codes)


def is_news(code: int) -> bool:
    """Whether a code is worth a word: not one that NVIDIA advises to ignore, at once and later."""
    found = all_xids().get(code)
    return found is None or (found.immediate, found.follow_up) != ("IGNORE", "IGNORE")


def heaviest(codes: Iterable[int]) -> Weight:
    """The gravest of what the codes ask for; a code that the table lacks asks for nothing."""
    known = all_xids()
    weights = {known[code].weight for code in codes if code in known}
    return next((weight for weight in _HEAVIEST if weight in weights), "none")
