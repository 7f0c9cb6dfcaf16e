"""What `amd-smi` and `rocm-smi` know of AMD cards, for what the driver's own files leave open.

Both print JSON whose keys change from release to release, after lines that are none: "WARNING: AMD GPU
device(s) is/are in a low-power state" (llm-checker #75). amd-smi gives a list, since ROCm 7 inside "gpu_data"
(rocm-systems #223); rocm-smi an object by card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.host.answer import FAILED, MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.host.plain_json import whole_characters
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading

COMMANDS = (
    ("amd-smi", "static", "--json"),
    ("rocm-smi", "--showid", "--showproductname", "--showbus", "--showuniqueid", "--showmeminfo", "vram", "--json"),
)
FOLDER = "/opt/rocm/bin"  # often not on PATH
_TIMEOUT_S = 6.0
_MAX_STARTS = 64  # of brackets in warnings before the JSON
_MAX_NAME = 300  # characters; the search for brackets takes the square of them

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_UNKNOWN = frozenset({"", "n/a", "none", "unknown", "null", "not supported"})
# A market name has one of these; "Phoenix3" and "0x738c" name a chip, as pci.ids does.
_MARKET_WORD = re.compile(r"\b(?:radeon|instinct|firepro|ryzen)\b", re.IGNORECASE)
_BRACKETS = re.compile(r".*\[(.+)\]\s*")
_SIZE = re.compile(r"(\d{1,15})(?:\.\d+)?\s*(b|kb|mb|gb)?", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}  # both tools mean binary ones


class SmiCard(Struct, frozen=True):
    """One card as a tool describes it; partitions of one card are several."""

    address: str
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_type: str | None = None
    unique_id: int | None = None
    compute_units: int | None = None
    gfx_target: str | None = None
    compute_partition: str | None = None
    memory_partition: str | None = None


def with_tools(host: Host, issues: Issues, readings: Sequence[GpuReading]) -> list[GpuReading]:
    """The readings, completed by the first tool that names one of their cards; what they have is kept."""
    for command in COMMANDS:
        cards = {card.address: card for card in reversed(_ask(host, issues, command))}
        if any(reading.pci_address in cards for reading in readings):
            return [_filled(reading, cards.get(reading.pci_address or ""), command[0]) for reading in readings]
    return list(readings)


def parse_smi(text: str) -> tuple[SmiCard, ...]:
    """The cards in the output of either tool, in its order; () where there are none."""
    found = first_json(text)
    if isinstance(found, dict) and isinstance(found.get("gpu_data"), list):
        found = found["gpu_data"]
    entries: Iterator[Mapping[str, Any]]
    if isinstance(found, list):
        entries = (_flat(entry) for entry in found if isinstance(entry, dict))
    elif isinstance(found, dict):
        entries = (_flat(entry) for name, entry in found.items() if name != "system" and isinstance(entry, dict))
    else:
        return ()
    cards = (_card(entry) for entry in entries)
    return tuple(card for card in cards if card is not None)


def first_json(text: str) -> Any:
    """The first object, or list of objects, in a text with other lines around it; None where there is none."""
    decoder = json.JSONDecoder()
    starts = [found.start() for found in re.finditer(r"[\[{]", text)][:_MAX_STARTS]
    for start in starts:
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) or (isinstance(found, list) and any(isinstance(item, dict) for item in found)):
            return whole_characters(found)
    return None


def market_name(text: object) -> str | None:
    """A product's name as it is sold, None for chips, ids and lists of several products.

    "Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]" could be any of them, "Arcturus GL-XL [Instinct MI100]"
    is one.
    """
    if not isinstance(text, str) or len(text) > _MAX_NAME:
        return None
    bracket = _BRACKETS.fullmatch(text)
    name = " ".join((bracket[1] if bracket else text).split())
    if not _MARKET_WORD.search(name) or "/" in name or len(name) > 80:
        return None
    return name if bracket is None or name.startswith("AMD ") else f"AMD {name}"  # pci.ids leaves the maker out


def size_bytes(value: object, unit: str = "b") -> int | None:
    """Bytes of a size: a number, "196592 MB", or {"value": 196592, "unit": "MB"}; `unit` where none is said."""
    if isinstance(value, dict):
        unit, value = str(value.get("unit") or unit), value.get("value")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        return None
    factor = _UNITS.get((found[2] or unit).lower())
    return int(found[1]) * factor or None if factor else None


def _ask(host: Host, issues: Issues, command: tuple[str, ...]) -> tuple[SmiCard, ...]:
    for program in (command[0], f"{FOLDER}/{command[0]}"):
        answer = host.run(program, *command[1:], timeout_s=_TIMEOUT_S)
        if answer.error == NOT_FOUND:
            continue
        output = issues.value(command[0], answer)
        if output is None:
            return ()
        cards = parse_smi(output.stdout)
        if not cards:
            code = FAILED if output.returncode else MALFORMED
            said = output.stderr.strip() or output.stdout.strip() or "nothing"
            issues.add(code, command[0], f"no card in what it printed, exit status {output.returncode}: {said}")
        return cards
    return ()


def _filled(reading: GpuReading, card: SmiCard | None, tool: str) -> GpuReading:
    """The reading with what it lacks; memory only as a whole, so that used and total are of one source."""
    if card is None:
        return reading
    offered = {
        "name": card.name,
        "memory_type": card.memory_type,
        "gfx_target": card.gfx_target,
        "compute_partition": card.compute_partition,
        "memory_partition": card.memory_partition,
        "uuid": f"GPU-{card.unique_id:016x}" if card.unique_id else None,
        # in partitions, the tools count a partition's
        "multiprocessors": card.compute_units if _is_whole(reading) else None,
    }
    total, used = card.memory_total_bytes, card.memory_used_bytes
    if reading.memory_total_bytes is None and total is not None:
        free = max(0, total - used) if used is not None else None
        offered |= {"memory_total_bytes": total, "memory_used_bytes": used, "memory_free_bytes": free}
    taken = {field: value for field, value in offered.items() if value is not None and getattr(reading, field) is None}
    return replace(reading, **taken, sources={**reading.sources, **dict.fromkeys(taken, tool)})


def _is_whole(reading: GpuReading) -> bool:
    """Whether the card is one device: counted so, or in no mode that divides it where KFD does not list it."""
    if reading.partitions is None and reading.gfx_target is None:
        return reading.compute_partition in {None, "SPX"}
    return reading.partitions == 1


def _card(entry: Mapping[str, Any]) -> SmiCard | None:
    """A card of one entry, its values by lower-case key; None for what is on no bus."""

    def first(*keys: str) -> str | None:
        texts = (str(entry[key]).strip() for key in keys if isinstance(entry.get(key), str | int))
        return next((text for text in texts if text.lower() not in _UNKNOWN), None)

    address = (first("bus.bdf", "pci bus", "bdf") or "").lower()
    if not _ADDRESS.fullmatch(address):
        return None
    names = (market_name(entry.get(key)) for key in _NAME_KEYS)
    total = size_bytes(entry.get("vram total memory (b)"))
    for key in ("vram.size", "vram.vram_size", "vram.vram_size_mb", "vram.size_mb"):
        total = total or size_bytes(entry.get(key), "mb")
    unique, units = first("unique id"), first("asic.num_compute_units")
    gfx = first("asic.target_graphics_version", "gfx version")
    return SmiCard(
        address=address,
        name=next((name for name in names if name), None),
        memory_total_bytes=total,
        memory_used_bytes=size_bytes(entry.get("vram total used memory (b)")),
        memory_type=_memory_type(first("vram.type", "vram.vram_type")),
        unique_id=_hexadecimal(unique),
        compute_units=int(units) if units and units.isdecimal() and len(units) < 6 else None,
        gfx_target=gfx if gfx and re.fullmatch(r"gfx[0-9a-f]{3,5}", gfx) else None,
        compute_partition=first("partition.compute_partition", "compute partition"),
        memory_partition=first("partition.memory_partition", "memory partition"),
    )


# by release: amd-smi; rocm-smi 6 and 7; rocm-smi 4 and 5, which had the name of the series or of the model
_NAME_KEYS = ("asic.market_name", "device name", "card series", "card model", "board.product_name")


def _flat(entry: Mapping[Any, Any]) -> dict[str, Any]:
    """Values by lower-case key; those of amd-smi's sections as "asic.market_name", sizes kept as they are."""
    found: dict[str, Any] = {}
    for key, value in entry.items():
        name = str(key).strip().rstrip(":").lower()
        if isinstance(value, dict):
            found.update({f"{name}.{str(inner).lower()}": fact for inner, fact in value.items()})
        else:
            found[name] = value
    return found


def _memory_type(text: str | None) -> str | None:
    """GDDR6 or HBM3 of what amd-smi says; its C names ("AMDSMI_VRAM_TYPE_GDDR6") come from early releases."""
    found = re.fullmatch(r"(?:.*_)?(L?P?DDR[2-6]X?|GDDR[1-7]X?|HBM[23]?E?)", text or "", re.IGNORECASE)
    return found[1].upper().replace("HBM2E", "HBM2e").replace("HBM3E", "HBM3e") if found else None


def _hexadecimal(text: str | None) -> int | None:
    return int(text, 16) if text and re.fullmatch(r"(?:0x)?[0-9a-fA-F]{1,16}", text) else None
