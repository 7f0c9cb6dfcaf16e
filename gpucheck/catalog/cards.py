"""The GPU catalogue: one `Card` per product, from `data/gpus.jsonl` (one JSON object a line).

An absent field is unknown, never zero. Every card names its source and how sure it is: A read in a vendor or
driver-derived source and cross-checked, B from a vendor document, C a single or disputed source.
Throughput is dense; fp16, bf16, tf32 and fp8 with FP32 accumulation, so GeForce cards show half their headline.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gpucheck.probes.facts import Vendor

Segment = Literal["datacenter", "workstation", "consumer", "laptop", "embedded", "apu", "soc"]

DATA = os.path.join(os.path.dirname(__file__), "data")


class Card(Struct, frozen=True, forbid_unknown_fields=True):
    """One product as its maker describes it. Figures are per GPU; `units_per_board` says when a board has more."""

    id: str
    name: str
    vendor: Vendor
    segment: Segment
    architecture: str
    confidence: Literal["A", "B", "C"]
    source: str
    driver_names: tuple[str, ...] = ()
    chip: str | None = None
    compute_capability: str | None = None
    gfx_target: str | None = None
    vram_gib: tuple[float, ...] = ()  # nominal sizes; several are options under one name
    reported_mib: tuple[int, ...] = ()  # what drivers report for each of them, where seen
    memory_type: str | None = None
    memory_shared: bool = False  # with the CPU cores of the same package, although it is HBM (MI300A)
    memory_bus_bits: int | None = None
    memory_clock_mhz: int | None = None  # as NVML reports its maximum
    bandwidth_gbs: float | None = None
    l2_cache_mib: float | None = None
    infinity_cache_mib: float | None = None
    sm_cu_count: int | None = None
    shader_cores: int | None = None
    matrix_cores: int | None = None
    matrix_core_gen: int | None = None
    boost_mhz: float | None = None
    fp64_tflops: float | None = None
    fp32_tflops: float | None = None
    tf32_tflops: float | None = None
    fp16_tflops: float | None = None
    fp16_fp16acc_tflops: float | None = None
    bf16_tflops: float | None = None
    fp8_tflops: float | None = None
    fp4_tflops: float | None = None
    int8_tops: float | None = None
    tensor_basis: Literal["stated", "formula"] | None = None
    link_gen: str | None = None
    link_gbs: float | None = None
    pcie_gen: int | None = None
    pcie_lanes: int | None = None
    tdp_w: float | None = None
    release_year: int | None = None
    pci_device_ids: tuple[str, ...] = ()
    units_per_board: int | None = None
    seen_as: int = 1  # devices that a driver makes of one: an MI250 shows as two with half of everything each
    document: str | None = None  # the source document's name for this card, if it is in its table

    @property
    def shares_memory(self) -> bool:
        """Whether its memory is the machine's own (Apple silicon, APUs, Jetson, GB10)."""
        return (
            self.memory_shared
            or self.segment in {"apu", "soc", "embedded"}
            or (self.memory_type or "").startswith("LPDDR")
        )

    def size_near(self, total_bytes: int) -> int | None:
        """The index in `vram_gib` of the size that a driver reports as `total_bytes`, or None.

        Drivers report up to 7 % less than the nominal size (inline ECC takes a sixteenth: a T4's 16 GiB are
        15,360 MiB), and never clearly more.
        """
        total = total_bytes * self.seen_as
        for index, reported in enumerate(self.reported_mib):
            if abs(total / (reported << 20) - 1) <= 0.02:
                return index
        for index, nominal in enumerate(self.vram_gib):
            if 0.925 <= total / (nominal * (1 << 30)) <= 1.02:
                return index
        return None

    def total_bytes(self, size_index: int) -> int:
        """What a driver reports, where that has been seen; else the nominal size."""
        if size_index < len(self.reported_mib):
            return self.reported_mib[size_index] << 20
        return int(self.vram_gib[size_index] * (1 << 30))


def as_seen(card: Card) -> Card:
    """The card as one of the devices that a driver makes of it: half an MI250."""
    if card.seen_as == 1:
        return card
    whole = {name: getattr(card, name) for name in (*_SHARED_OUT, *_COUNTED_OUT)}
    parts: dict[str, Any] = {name: value / card.seen_as for name, value in whole.items() if value is not None}
    parts.update({name: int(parts[name]) for name in _COUNTED_OUT if name in parts})
    return replace(
        card,
        vram_gib=tuple(size / card.seen_as for size in card.vram_gib),
        reported_mib=tuple(size // card.seen_as for size in card.reported_mib),
        seen_as=1,
        tdp_w=None,  # stated of the whole
        **parts,
    )


_COUNTED_OUT = ("memory_bus_bits", "sm_cu_count", "shader_cores", "matrix_cores")
_SHARED_OUT = (
    "bandwidth_gbs", "l2_cache_mib", "fp64_tflops", "fp32_tflops", "tf32_tflops", "fp16_tflops",
    "fp16_fp16acc_tflops", "bf16_tflops", "fp8_tflops", "fp4_tflops", "int8_tops",
)  # fmt: skip


@cache
def all_cards() -> tuple[Card, ...]:
    """Every card of the catalogue, in its order: vendor, year, id."""
    with open(os.path.join(DATA, "gpus.jsonl"), "rb") as handle:
        return tuple(msgspec.json.Decoder(Card).decode_lines(handle.read()))


@cache
def pci_names() -> dict[str, str]:
    """Names of PCI devices by "10de:2684", from an extract of pci.ids (BSD-3-Clause, see NOTICE)."""
    with open(os.path.join(DATA, "pci_ids.tsv"), encoding="utf-8") as handle:
        rows = (line.rstrip("\n").split("\t") for line in handle if not line.startswith("#"))
        return {f"{row[0]}:{row[1]}": row[2] for row in rows if len(row) == 3}
