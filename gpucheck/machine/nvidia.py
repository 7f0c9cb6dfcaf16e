"""What is NVIDIA's own in making a `Gpu`: bandwidth from bus and clock, cores and rates by compute capability."""

from __future__ import annotations

from gpucheck.catalog import derive
from gpucheck.catalog.cards import Card
from gpucheck.machine.figures import Figures, scaled
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading

# Above this the clock is another memory's: a GTX 1650 with GDDR6 has half as much again as its namesake with GDDR5.
_HIGHEST_OVERCLOCK = 1.25
# Made with another memory size too, under the same name and PCI id: the RTX 3080 with 20 GB.
SIZE_IS_OPEN = frozenset({"rtx-3080-10"})


def put_bandwidth(figures: Figures, reading: GpuReading, card: Card | None, index: int, issues: Issues) -> None:
    """Derived from bus and clock; the catalogue's where the clock has been raised a little, or is not reported."""
    arch = derive.architecture(reading.compute_capability)
    unified = (card.shares_memory if card else False) or (arch.unified_memory if arch else False)
    if unified or not reading.memory_clock_max_mhz:
        return
    bus_bits = reading.memory_bus_bits or (card.memory_bus_bits if card else None)
    if not bus_bits:
        return
    derived = derive.bandwidth_bytes_per_s(bus_bits, reading.memory_clock_max_mhz)
    stated = scaled(card.bandwidth_gbs, 1e9) if card else None
    if stated is not None and abs(derived / stated - 1) > 0.03:
        issues.add(
            "bandwidth_differs",
            "catalogue",
            f"GPU {index}: {bus_bits} bits at {reading.memory_clock_max_mhz} MHz make {derived / 1e9:,.0f} GB/s,"
            f" the catalogue says {stated / 1e9:,.0f}",
        )
        if stated < derived <= _HIGHEST_OVERCLOCK * stated:  # a user's setting, not the card
            return
    figures.put("bandwidth_bytes_per_s", derived, "derived")


def put_derived(figures: Figures, reading: GpuReading, segment: str | None) -> None:
    """Cores and peak rates by formula, for what neither driver nor catalogue gave."""
    values = figures.values
    arch = derive.architecture(values.get("compute_capability"))
    if arch is None:
        return
    figures.put("architecture", arch.name, "derived")
    if "shader_cores" not in values and "multiprocessors" in values:
        figures.put("shader_cores", values["multiprocessors"] * arch.cores_per_sm, "derived")
    if "multiprocessors" not in values and "shader_cores" in values:
        figures.put("multiprocessors", values["shader_cores"] // arch.cores_per_sm, "derived")
    units = _has_matrix_units(values.get("compute_capability"), reading.name)
    if units is not None:
        _put_matrix_units(figures, arch, units)
    if "shader_cores" in values and reading.sm_clock_max_mhz and not arch.unified_memory:
        _put_rates(figures, reading.sm_clock_max_mhz, segment, units)


def _put_matrix_units(figures: Figures, arch: derive.Architecture, units: bool) -> None:
    """Tensor cores counted by SMs, or none of them."""
    if not units or not arch.matrix_cores_per_sm:
        figures.put("matrix_cores", 0, "derived")
        return
    if "multiprocessors" in figures.values:
        figures.put("matrix_cores", figures.values["multiprocessors"] * arch.matrix_cores_per_sm, "derived")
    figures.put("matrix_generation", arch.matrix_generation, "derived")


def _put_rates(figures: Figures, sm_clock_max_mhz: int, segment: str | None, units: bool | None) -> None:
    """Peak rates; where nobody knows of tensor cores, only what the shader cores do."""
    values = figures.values
    rates = derive.peak_tflops(
        values["compute_capability"],
        values["shader_cores"],
        derive.boost_mhz(sm_clock_max_mhz, segment),
        geforce=segment in {"consumer", "laptop"},
        matrix_units=bool(units),
    )
    for name, tflops in rates.items():
        if units is not None or name in {"fp32", "fp64"}:
            figures.put(f"flops.{name}", float(f"{tflops:.3g}") * 1e12, "derived")


def _has_matrix_units(compute_capability: str | None, name: str | None) -> bool | None:
    """Whether there are tensor cores. 7.5 alone is no proof: GTX 16 cards, MX450 and T400 to T1200 have none."""
    arch = derive.architecture(compute_capability)
    if arch is None:
        return None
    if compute_capability != "7.5":
        return arch.matrix_cores_per_sm > 0
    words = set((name or "").upper().replace("-", " ").split())
    if words & {"RTX", "T4", "T4G"}:
        return True
    if words & {"GTX", "MX450", "MX550", "T400", "T500", "T550", "T600", "T1000", "T1200"}:
        return False
    return None
