"""Facts in words: the right vendor's term for each thing, and figures as people write them."""

from __future__ import annotations

from gpucheck.machine.types import Gpu

_SHADERS = {
    "NVIDIA": "CUDA cores",
    "AMD": "stream processors",
    "Intel": "shading units",
    "Apple": "shading units",
}
_UNITS = {"NVIDIA": "SMs", "AMD": "compute units", "Intel": "Xe cores", "Apple": "GPU cores"}
_MATRIX = {
    "NVIDIA": ("Tensor Core", "Tensor Cores"),
    "Intel": ("XMX engine", "XMX engines"),
    "Apple": ("Neural Accelerator", "Neural Accelerators"),
}


def shader_term(gpu: Gpu) -> str:
    """CUDA cores, stream processors, shading units."""
    return _SHADERS.get(gpu.vendor, "shader cores")


def unit_term(gpu: Gpu) -> str:
    """SMs, compute units, Xe cores, GPU cores."""
    return _UNITS.get(gpu.vendor, "compute units")


def matrix_term(gpu: Gpu) -> str:
    """Tensor Cores, Matrix Cores (AMD's Instinct) or AI accelerators (its Radeon), XMX engines."""
    if gpu.vendor == "AMD":
        return "Matrix Cores" if (gpu.architecture or "").startswith(("CDNA", "GCN")) else "AI accelerators"
    return _MATRIX.get(gpu.vendor, ("matrix unit", "matrix units"))[1]


_SOLD_GIB = (
    0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 11, 12, 16, 18, 20, 24, 32, 36, 40, 48, 64, 72, 80, 94, 96, 120, 128, 141, 144,
    180, 186, 192, 256, 288, 384, 512,
)  # fmt: skip


def nominal_gib(total_bytes: int) -> float:
    """The size in GiB that a card with this reported total is sold as; the total itself where none is near.

    Drivers report up to 7 % less than the size on the box: 15,360 MiB of a T4 are 16, 24,564 of an RTX 4090 are
    24, 81,559 of an H100 are 80.
    """
    gib = total_bytes / (1 << 30)
    near = [size for size in _SOLD_GIB if 0.925 <= gib / size <= 1.01]
    return min(near, key=lambda size: abs(gib / size - 0.99), default=gib)


def nominal_gb(total_bytes: int, number: int = 1) -> str:
    """The size that a card is sold as, of `number` such cards together: "24 GB", "640 GB"."""
    gib = nominal_gib(total_bytes) * number
    if gib >= 1000:
        return f"{gib / 1024:.1f} TB"
    return f"{gib:,.0f} GB" if gib >= 3 or gib == int(gib) else f"{gib:.1f} GB"


def ordinal(number: int) -> str:
    """The number with its ending: 1st, 2nd, 3rd, 4th."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
