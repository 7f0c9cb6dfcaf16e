"""Facts in words: the right vendor's term for each thing, and figures as people write them."""

from __future__ import annotations

from gpucheck.machine.types import Gpu

_SHADERS = {"NVIDIA": "CUDA cores", "AMD": "stream processors", "Intel": "shading units", "Apple": "shading units"}
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


def nominal_gb(total_bytes: int) -> str:
    """The size that the card is sold as: 24,564 MiB and 24 GiB are "24 GB", 81,559 MiB is "80 GB"."""
    gib = total_bytes / (1 << 30)
    return f"{gib:.0f} GB" if gib >= 3 else f"{gib:.1f} GB"  # noqa: PLR2004


def rate(bytes_per_s: float) -> str:
    """Bandwidth as "1,008 GB/s"."""
    return f"{bytes_per_s / 1e9:,.0f} GB/s"


def tera(per_s: float) -> str:
    """A rate in 1e12 per second with three significant digits: "165", "82.6", "1,979"."""
    value = per_s / 1e12
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, …"""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")  # noqa: PLR2004
    return f"{number}{ending}"
