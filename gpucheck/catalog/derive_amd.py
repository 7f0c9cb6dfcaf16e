"""AMD's figures by formula, for cards that no table holds, and to check the table against the card at hand.

Factors are AMD's published peak rates divided by compute units and clock; on the 14 AMD cards with stated
figures they agree within 0.2 %.
"""

from __future__ import annotations

from msgspec import Struct

SHADERS_PER_CU = 64

Tflops = dict[str, float]


class Generation(Struct, frozen=True):
    """What one gfx target fixes; rates in operations per clock and compute unit, dense."""

    name: str
    fp32: int
    fp16: int
    memory_type: str | None = None  # of its cards; None where they differ, and of APUs
    fp64: int | None = None  # vector rate; None where products cut it to different parts
    bf16: int | None = None
    tf32: int | None = None
    fp8: int | None = None
    fp4: int | None = None
    int8: int | None = None
    matrix_cores_per_cu: int = 0
    matrix_generation: int | None = None


_RDNA2 = Generation("RDNA2", 128, 256, "GDDR6", 8)
_RDNA3 = Generation("RDNA3", 256, 512, "GDDR6", 8, bf16=512, int8=512, matrix_cores_per_cu=2, matrix_generation=1)
_RDNA35 = Generation("RDNA3.5", 256, 512, None, 8, bf16=512, int8=512, matrix_cores_per_cu=2, matrix_generation=1)
_RDNA4 = Generation(
    "RDNA4", 256, 1024, "GDDR6", 8, bf16=1024, fp8=2048, int8=2048, matrix_cores_per_cu=2, matrix_generation=2
)
_GENERATIONS = {
    "gfx803": Generation("GCN4.0", 128, 128, None, 8),  # Polaris has GDDR5, Fiji HBM
    "gfx900": Generation("GCN5.0", 128, 256, "HBM2", 8),
    "gfx906": Generation("GCN5.1", 128, 256, "HBM2"),  # FP64 is halved, or quartered on a Radeon VII
    "gfx908": Generation(
        "CDNA", 128, 1024, "HBM2", 64, bf16=512, int8=1024, matrix_cores_per_cu=4, matrix_generation=1
    ),
    "gfx90a": Generation(
        "CDNA2", 128, 1024, "HBM2e", 128, bf16=1024, int8=1024, matrix_cores_per_cu=4, matrix_generation=2
    ),
    "gfx942": Generation(
        "CDNA3", 256, 2048, "HBM3", 128, bf16=2048, tf32=1024, fp8=4096, int8=4096,
        matrix_cores_per_cu=4, matrix_generation=3,
    ),
    "gfx950": Generation(
        "CDNA4", 256, 4096, "HBM3e", 128, bf16=4096, fp8=8192, fp4=16384, int8=8192,
        matrix_cores_per_cu=4, matrix_generation=4,
    ),
    **dict.fromkeys(("gfx902", "gfx909", "gfx90c"), Generation("GCN5.0", 128, 256, None, 8)),
    **dict.fromkeys(("gfx1010", "gfx1011", "gfx1012"), Generation("RDNA", 128, 256, None, 8)),  # gfx1011 has HBM2
    **dict.fromkeys(("gfx1030", "gfx1031", "gfx1032", "gfx1034"), _RDNA2),
    **dict.fromkeys(("gfx1033", "gfx1035", "gfx1036"), Generation("RDNA2", 128, 256, None, 8)),
    **dict.fromkeys(("gfx1100", "gfx1101", "gfx1102"), _RDNA3),
    "gfx1103": Generation("RDNA3", 256, 512, None, 8, bf16=512, int8=512, matrix_cores_per_cu=2, matrix_generation=1),
    **dict.fromkeys(("gfx1150", "gfx1151", "gfx1152", "gfx1153"), _RDNA35),
    **dict.fromkeys(("gfx1200", "gfx1201"), _RDNA4),
}  # fmt: skip
# Transfers a clock of amdgpu's maximum memory clock: half of the true clock is a double-data-rate factor, HBM3
# counts a quarter of its data rate and GDDR6 a sixteenth (ROCm/xla #970). LPDDR and DDR of APUs are not here:
# no source gives the factor.
_TRANSFERS = {"GDDR5": 4, "GDDR6": 16, "HBM": 2, "HBM2": 2, "HBM2e": 2, "HBM3": 4, "HBM3e": 4}


def generation(gfx_target: str | None) -> Generation | None:
    """The factors of a gfx target, None for one that is not in the table."""
    return _GENERATIONS.get(gfx_target or "")


def bandwidth_bytes_per_s(bus_bits: int, max_memory_clock_mhz: int, memory_type: str | None) -> int | None:
    """Bus width x amdgpu's maximum memory clock x transfers a clock; None for memory of another kind.

    Within 0.7 % on cards from HBM2 to HBM3 and GDDR6: MI210 4096 x 1600, MI300X 8192 x 1300, RX 9060 XT 128 x 1258.
    In partitions the width is the whole package's.
    """
    transfers = _TRANSFERS.get(memory_type or "")
    return bus_bits * max_memory_clock_mhz * transfers * 1_000_000 // 8 if transfers else None


def peak_tflops(gfx_target: str, compute_units: int, clock_mhz: float) -> Tflops:
    """Dense peak rates by data type in 1e12 per second; what cannot be derived is absent.

    KFD's maximum clock is that of the stated rates on Instinct cards. Radeons state theirs for a boost clock
    that is up to 12 % higher (RX 9060 XT: 3130 against 2780 MHz).
    """
    arch = generation(gfx_target)
    if arch is None:
        return {}
    rates = {name: getattr(arch, name) for name in ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "int8")}
    return {name: rate * compute_units * clock_mhz / 1e6 for name, rate in rates.items() if rate is not None}
