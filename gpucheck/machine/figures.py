"""Collected figures of one device, each with its basis, and the `Gpu` that they make."""

from __future__ import annotations

from typing import Any

from gpucheck.catalog.cards import Card
from gpucheck.machine.types import Flops, Gpu, GpuMemory, Pcie
from gpucheck.probes.facts import Basis

_RESERVE_BYTES = 512 << 20  # what the driver keeps of an idle card: 0.4 to 0.6 GiB by NVML's second memory structure
_RATES = {"fp64": "fp64_tflops", "fp32": "fp32_tflops", "tf32": "tf32_tflops", "fp16": "fp16_tflops",
          "bf16": "bf16_tflops", "fp8": "fp8_tflops", "fp4": "fp4_tflops", "int8": "int8_tops"}  # fmt: skip


class Figures:
    """Known values by field path, each with its basis; the first that is known is kept."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, Basis] = {}

    def put(self, path: str, value: Any, basis: Basis) -> None:
        """Keep `value` for `path` unless it is unknown or a better source has spoken."""
        if value is not None and path not in self.values:
            self.values[path] = value
            self.sources[path] = basis

    def part(self, prefix: str) -> dict[str, Any]:
        """The values below a prefix: "flops" gives {"fp16": …}."""
        dot = prefix + "."
        return {path.removeprefix(dot): value for path, value in self.values.items() if path.startswith(dot)}

    def top(self) -> dict[str, Any]:
        """The values without a prefix."""
        return {path: value for path, value in self.values.items() if "." not in path}


def assemble(figures: Figures, **facts: Any) -> Gpu:
    """A `Gpu` from collected figures and plain facts."""
    return Gpu(
        memory=GpuMemory(**figures.part("memory")),
        flops=Flops(**figures.part("flops")),
        pcie=Pcie(**figures.part("pcie")),
        sources=dict(sorted(figures.sources.items())),
        **figures.top(),
        **facts,
    )


def put_card(figures: Figures, card: Card) -> None:
    """What the catalogue says of a card; memory size apart, which depends on the variant."""
    figures.put("architecture", card.architecture, "catalogue")
    figures.put("compute_capability", card.compute_capability, "catalogue")
    figures.put("gfx_target", card.gfx_target, "catalogue")
    figures.put("memory.type", card.memory_type if "|" not in (card.memory_type or "") else None, "catalogue")
    figures.put("memory.bus_bits", card.memory_bus_bits, "catalogue")
    figures.put("bandwidth_bytes_per_s", scaled(card.bandwidth_gbs, 1e9), "catalogue")
    figures.put("l2_cache_bytes", scaled(card.l2_cache_mib, 1 << 20), "catalogue")
    figures.put("infinity_cache_bytes", scaled(card.infinity_cache_mib, 1 << 20), "catalogue")
    figures.put("multiprocessors", card.sm_cu_count, "catalogue")
    figures.put("shader_cores", card.shader_cores, "catalogue")
    figures.put("matrix_cores", card.matrix_cores, "catalogue")
    figures.put("matrix_generation", card.matrix_core_gen if card.matrix_cores != 0 else None, "catalogue")
    figures.put("tdp_w", card.tdp_w if card.units_per_board is None else None, "catalogue")  # else it is the board's
    figures.put("release_year", card.release_year, "catalogue")
    figures.put("pcie.max_generation", card.pcie_gen, "catalogue")
    figures.put("pcie.max_width", card.pcie_lanes, "catalogue")
    for name, field in _RATES.items():
        figures.put(f"flops.{name}", scaled(getattr(card, field), 1e12), "catalogue")


def idle_usable_bytes(total_bytes: int, card: Card, nominal: bool) -> int:
    """What one process gets of an idle discrete card that cannot be asked: total less the driver's reserve.

    A data-centre card with GDDR memory keeps its ECC codes in it: one sixteenth, unless `total_bytes` is what
    the driver reports (T4: 15,360 of 16,384 MiB).
    """
    inline_ecc = nominal and card.segment == "datacenter" and (card.memory_type or "").startswith("GDDR")
    return max(0, (total_bytes * 15 // 16 if inline_ecc else total_bytes) - _RESERVE_BYTES)


def scaled(value: float | None, unit: float) -> int | None:
    """A figure of the catalogue in whole units; unknown stays unknown."""
    return None if value is None else round(value * unit)
