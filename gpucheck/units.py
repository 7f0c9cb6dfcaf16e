"""Bytes and rates as people write and read them; GB is 10^9 bytes and GiB is 2^30, never mixed."""

from __future__ import annotations

import re

from gpucheck.errors import UsageError

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"k": KIB, "m": MIB, "g": GIB, "t": TIB}
_STEPS = ((999.5 * KIB, KIB, "KiB"), (999.5 * MIB, MIB, "MiB"))
_AMOUNT = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,9})?)\s*(?P<unit>(?P<prefix>[kmgt])(?P<binary>i)?b?|b)?", re.ASCII)


def parse_bytes(text: str) -> int:
    """The number of bytes that `text` names: "24GiB", "64 GB", "16g" (as GB), "512MiB"; case does not matter.

    A bare number is refused, because 24 could be bytes, GB or GiB.

    Raises:
        UsageError: `text` is not an amount with a unit.
    """
    found = _AMOUNT.fullmatch(text.strip().lower())
    if not found:
        raise UsageError(f"{text!r} is no amount of memory: write a number and a unit, such as 24GiB or 64GB")
    if not found["unit"]:
        number = found["number"]
        raise UsageError(f"{text!r} has no unit: write {number}GiB (2^30 bytes) or {number}GB (10^9 bytes)")
    scale = 1 if not found["prefix"] else (_BINARY if found["binary"] else _DECIMAL)[found["prefix"]]
    return round(float(found["number"]) * scale) if "." in found["number"] else int(found["number"]) * scale


def format_bytes(count: int) -> str:
    """`count` bytes in binary units: "24.0 GiB", from 100 on without a decimal, below 1 GiB as "512 MiB"."""
    size = abs(count)
    if size < 1000:
        return f"{count} B"
    for most, scale, unit in _STEPS:
        if size < most:
            return f"{count / scale:,.0f} {unit}"
    scale, unit = (GIB, "GiB") if size < 999.5 * GIB else (TIB, "TiB")
    amount = count / scale
    return f"{amount:,.1f} {unit}" if -99.95 < amount < 99.95 else f"{amount:,.0f} {unit}"


def format_rate(bytes_per_s: float) -> str:
    """A bandwidth in decimal units, as vendors state it: "1,008 GB/s"; below 10 GB/s with one decimal."""
    amount = bytes_per_s / 1e9
    return f"{amount:,.{0 if amount >= 9.95 else 1}f} GB/s"


def format_flops(per_s: float) -> str:
    """Operations per second with three significant digits: "165 T", "82.6 T", "1,980 T", "512 G"."""
    scale, unit = (1e9, "G") if per_s < 0.9995e12 else (1e12, "T")
    amount = float(f"{per_s / scale:.3g}")
    digits = 0 if amount >= 100 else 1 if amount >= 10 else 2
    return f"{amount:,.{digits}f} {unit}"
