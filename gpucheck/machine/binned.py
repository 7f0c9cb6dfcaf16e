"""Apple chips sold with fewer GPU cores than the catalogue's row of that name."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gpucheck.catalog.cards import Card
from gpucheck.catalog.find import Choice, identify
from gpucheck.probes.facts import GpuReading

_BY_CORE = ("shader_cores", "matrix_cores")
_RATES = ("fp64_tflops", "fp32_tflops", "tf32_tflops", "fp16_tflops", "bf16_tflops", "int8_tops")


def binned_choice(reading: GpuReading) -> Choice | None:
    """The one chip of this name, its cores and rates cut to the cores that system_profiler counts.

    An M1 has seven or eight GPU cores and an M4 Pro 16 or 20 on the same memory. Where the core count goes with
    another memory bus (M3 Max, M4 Max) the catalogue has a row for each, and this finds none.
    """
    cores = reading.multiprocessors
    if reading.vendor != "Apple" or not cores:
        return None
    whole = identify(reading.vendor, reading.name, None, None)
    if whole is None or whole.card.sm_cu_count is None or cores > whole.card.sm_cu_count:
        return None
    size = whole.card.size_near(reading.memory_total_bytes) if reading.memory_total_bytes else None
    return Choice(_cut(whole.card, cores / whole.card.sm_cu_count), size)


def _cut(card: Card, share: float) -> Card:
    counts: dict[str, Any] = {
        name: round(value * share) for name in ("sm_cu_count", *_BY_CORE) if (value := getattr(card, name)) is not None
    }
    rates = {name: value * share for name in _RATES if (value := getattr(card, name)) is not None}
    return replace(card, **counts, **rates)
