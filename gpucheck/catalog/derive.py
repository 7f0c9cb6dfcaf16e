"""Figures by formula, for cards that no table holds, and to check the table against the card at hand.

The per-architecture factors are NVIDIA's and AMD's published peak rates divided by units and clock; on the 21
NVIDIA and 16 AMD and Intel cards with stated figures they agree within 1.5 % (H100, H200 and B200 through their
tensor clock, see `_TENSOR_CLOCK`).
"""

from __future__ import annotations

from msgspec import Struct

Tflops = dict[str, float]


class Architecture(Struct, frozen=True):
    """What one compute capability fixes. Ratios are relative to dense tensor FP16 with FP16 accumulation."""

    name: str
    cores_per_sm: int
    matrix_cores_per_sm: int
    matrix_generation: int | None = None
    fp16_flop_per_clock_sm: int | None = None  # tensor FP16; None without tensor cores
    fp64_per_fp32: float | None = None
    bf16: float | None = None
    tf32: float | None = None
    fp8: float | None = None
    fp4: float | None = None
    int8: float | None = None
    halves_on_geforce: bool = False  # FP32 accumulation runs at half rate on GeForce cards
    unified_memory: bool = False  # the clock that drivers report is not a double-data-rate clock


_ARCHITECTURES: dict[str, Architecture] = {
    "3.0": Architecture("Kepler", 192, 0, fp64_per_fp32=1 / 24),
    "3.5": Architecture("Kepler", 192, 0),
    "3.7": Architecture("Kepler", 192, 0, fp64_per_fp32=1 / 3),
    "5.0": Architecture("Maxwell", 128, 0, fp64_per_fp32=1 / 32),
    "5.2": Architecture("Maxwell", 128, 0, fp64_per_fp32=1 / 32),
    "6.0": Architecture("Pascal", 64, 0, fp64_per_fp32=1 / 2),
    "6.1": Architecture("Pascal", 128, 0, fp64_per_fp32=1 / 32),
    "7.0": Architecture("Volta", 64, 8, 1, 1024, 1 / 2),
    "7.2": Architecture("Volta", 64, 8, 1, 1024, unified_memory=True),
    "7.5": Architecture("Turing", 64, 8, 2, 1024, 1 / 32, int8=2, halves_on_geforce=True),
    "8.0": Architecture("Ampere", 64, 4, 3, 2048, 1 / 2, bf16=1, tf32=0.5, int8=2),
    "8.6": Architecture("Ampere", 128, 4, 3, 1024, 1 / 64, bf16=1, tf32=0.5, int8=2, halves_on_geforce=True),
    "8.7": Architecture("Ampere", 128, 4, 3, 2048, None, bf16=1, tf32=0.5, int8=2, unified_memory=True),
    "8.9": Architecture("Ada", 128, 4, 4, 1024, 1 / 64, bf16=1, tf32=0.5, fp8=2, int8=2, halves_on_geforce=True),
    "9.0": Architecture("Hopper", 128, 4, 4, 4096, 1 / 2, bf16=1, tf32=0.5, fp8=2, int8=2),
    "10.0": Architecture("Blackwell", 128, 4, 5, 8192, 1 / 2, bf16=1, tf32=0.5, fp8=2, fp4=4, int8=2),
    # Blackwell Ultra cuts INT8 and FP64 to a fraction that no ratio gives: only the table knows them.
    "10.3": Architecture("Blackwell Ultra", 128, 4, 5, 8192, None, bf16=1, tf32=0.5, fp8=2),
    "11.0": Architecture("Blackwell", 128, 4, 5, None, unified_memory=True),
    "12.0": Architecture(
        "Blackwell", 128, 4, 5, 1024, 1 / 64, bf16=1, tf32=0.5, fp8=2, fp4=4, int8=2, halves_on_geforce=True
    ),
    "12.1": Architecture("Blackwell", 128, 4, 5, None, unified_memory=True),
}
# Tensor cores of these run at a lower boost clock than the SM: 1830 against 1980 MHz on an H100 SXM.
_TENSOR_CLOCK = {"9.0": 0.924, "10.0": 0.944, "10.3": 0.93}

# NVML's maximum SM clock is the silicon's. GeForce and RTX workstation boards boost to 1 / 1.235 of it (3090 2100
# against 1695, 4090 3105 against 2520, 6000 Ada 3105 against 2505); H100, A100, V100 and T4 reach it.
_OVERREAD = 1.235


def architecture(compute_capability: str | None) -> Architecture | None:
    """The factors of a compute capability, None for one that is not in the table."""
    return _ARCHITECTURES.get(compute_capability or "")


def bandwidth_bytes_per_s(bus_bits: int, max_memory_clock_mhz: int) -> int:
    """Bus width x NVML's maximum memory clock x 2: NVML reports every discrete memory's clock as DDR.

    Within 0.4 % on 20 of 21 cards from GDDR5 to HBM3e. Not for unified memory (GB10 reports the data rate).
    """
    return bus_bits * max_memory_clock_mhz * 2 * 1_000_000 // 8


def boost_mhz(sm_clock_max_mhz: int, segment: str | None) -> float:
    """The clock that peak rates are stated at, from NVML's maximum: about 3 % sure, see `_OVERREAD`."""
    return sm_clock_max_mhz if segment == "datacenter" else sm_clock_max_mhz / _OVERREAD


def peak_tflops(
    compute_capability: str, shader_cores: int, clock_mhz: float, *, geforce: bool, matrix_units: bool
) -> Tflops:
    """Dense peak rates by data type in 1e12 per second; what cannot be derived is absent.

    `geforce` halves what accumulates in FP32; `matrix_units` False is for GTX 16 cards, whose compute
    capability 7.5 promises tensor cores that they do not have.
    """
    arch = architecture(compute_capability)
    if arch is None:
        return {}
    fp32 = shader_cores * 2 * clock_mhz / 1e6
    rates = {"fp32": fp32}
    if arch.fp64_per_fp32 is not None:
        rates["fp64"] = fp32 * arch.fp64_per_fp32
    if not matrix_units or arch.fp16_flop_per_clock_sm is None:
        if compute_capability in {"6.0", "7.5"}:
            rates["fp16"] = 2 * fp32  # packed half precision on the shader cores
        return rates
    sms = shader_cores // arch.cores_per_sm
    full = sms * arch.fp16_flop_per_clock_sm * clock_mhz * _TENSOR_CLOCK.get(compute_capability, 1) / 1e6
    half = 0.5 if geforce and arch.halves_on_geforce else 1.0
    rates["fp16"] = full * half
    ratios = {"bf16": arch.bf16, "tf32": arch.tf32, "fp8": arch.fp8}
    rates.update({name: full * half * ratio for name, ratio in ratios.items() if ratio is not None})
    whole = {"fp4": arch.fp4, "int8": arch.int8}  # these accumulate at full rate on every card
    rates.update({name: full * ratio for name, ratio in whole.items() if ratio is not None})
    return rates
