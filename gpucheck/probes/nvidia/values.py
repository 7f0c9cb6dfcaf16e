"""Values as NVIDIA's tools print them: units, a dozen spellings of absence, PCI addresses, hex words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpucheck.probes.facts import State

ABSENT = frozenset({
    "", "n/a", "err!", "unknown", "unknown error", "not supported", "not found", "function not found",
    "insufficient permissions", "gpu is lost", "gpu requires reset", "no data",
    "requested functionality has been deprecated",  # display_mode of driver 595, unbracketed in the XML
})  # fmt: skip

UNITS = {"": 1 << 20, "MiB": 1 << 20, "KiB": 1 << 10, "GiB": 1 << 30, "B": 1}
_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]{0,8})", re.ASCII)
_ADDRESS = re.compile(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.([0-7]))?")
_VERSION = re.compile(r"\d{1,5}(?:\.\d{1,5}){1,3}", re.ASCII)


def told(text: str | None) -> str | None:
    """The value in a text, or None where the tool only excuses itself.

    In CSV a value in brackets is an excuse: "[N/A]", "[Unknown Error]", "[GPU is lost]". Driver 610 writes
    "610.57.04 [Deprecated; will be removed in CUDA 14.0. …]" (sgl #27487): the note is no part of the value.
    """
    value = (text or "").split("[Deprecated", 1)[0].strip()
    if value.lower() in ABSENT or (value.startswith("[") and value.endswith("]")):
        return None
    return value


def measured(text: str | None, unit: str = "") -> float | None:
    """The number in "320.00 W", "7751 MHz" or, with nounits, "7751"; None in any other unit than `unit`."""
    found = _NUMBER.fullmatch(told(text) or "")
    return float(found[1]) if found is not None and found[2] in {"", unit} else None


def whole(text: str | None, unit: str = "") -> int | None:
    """The integer in "16", "16x" (unit "x") or "1980 MHz"."""
    number = measured(text, unit)
    return int(number) if number is not None and number.is_integer() else None


def size_bytes(text: str | None) -> int | None:
    """Bytes of "81559 MiB"; a number without a unit counts MiB, as `nounits` prints it."""
    found = _NUMBER.fullmatch(told(text) or "")
    if found is None or found[2] not in UNITS:
        return None
    return int(float(found[1]) * UNITS[found[2]])


def version(text: str | None) -> str | None:
    """The version at the start of a text, up to its first blank."""
    words = (told(text) or "").split()
    return words[0] if words and _VERSION.fullmatch(words[0]) else None


def switch(text: str | None) -> bool | None:
    """True of "Enabled", False of "Disabled"."""
    return {"enabled": True, "disabled": False}.get((told(text) or "").lower())


def pci_address(text: str | None) -> str | None:
    """NVIDIA's "00000000:0C:00.0" as the kernel writes it: "0000:0c:00.0"."""
    found = _ADDRESS.fullmatch((text or "").strip())
    if found is None:
        return None
    domain, bus, device, function = found.groups()
    return f"{int(domain, 16):04x}:{bus}:{device}.{function or 0}".lower()


def hex_word(text: str | None) -> int | None:
    """The 32 bits in "0x233010DE" or "233010DE"."""
    digits = (told(text) or "").lower().removeprefix("0x")
    return int(digits, 16) if re.fullmatch(r"[0-9a-f]{8}", digits) else None


def device_id(word: int | None) -> str | None:
    """The device id in a PCI id word: "2330" of 0x233010DE, whose low half is the vendor."""
    return f"{word >> 16 & 0xFFFF:04x}" if word else None


def subsystem(word: int | None) -> str | None:
    """Vendor and device of a subsystem id word: "1458:4005" of 0x40051458. Zero is no subsystem."""
    return f"{word & 0xFFFF:04x}:{word >> 16 & 0xFFFF:04x}" if word else None


def condition(texts: Iterable[str | None]) -> State:
    """The state that a GPU's printed values give away: a lost one prints "[GPU is lost]" for each of them."""
    said = {(text or "").strip(" []").lower() for text in texts}
    if "gpu is lost" in said:
        return "lost"
    return "needs_reset" if "gpu requires reset" in said else "ok"
