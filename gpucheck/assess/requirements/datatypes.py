"""Data types that a GPU computes with in hardware, by generation, for those of which no rate is known.

NVIDIA: the CUDA programming guide's tables of arithmetic throughput and of tensor core types by compute capability,
from memory; half precision counts from 5.3, dot products of 8-bit integers from 6.1. AMD: the table of data types in
ROCm's documentation of precision support, from memory. What is not here is unknown.
"""

from __future__ import annotations

from gpucheck.catalog.support import capability_of
from gpucheck.machine.types import Gpu

_NVIDIA_FROM: dict[str, tuple[int, int]] = {
    "fp64": (1, 3), "fp32": (1, 0), "tf32": (8, 0), "fp16": (5, 3), "bf16": (8, 0), "fp8": (8, 9), "fp4": (10, 0),
    "int8": (6, 1),
}  # fmt: skip
_NEWEST = (12, 1)  # beyond it a type may have gone again
_MATRIX_ONLY = frozenset({"tf32", "fp8", "fp4"})

_CDNA3, _CDNA4 = frozenset({"gfx940", "gfx941", "gfx942"}), frozenset({"gfx950"})
_CDNA12 = frozenset({"gfx908", "gfx90a"})
_RDNA3 = frozenset({"gfx1100", "gfx1101", "gfx1102", "gfx1103", "gfx1150", "gfx1151", "gfx1152"})
_RDNA4 = frozenset({"gfx1200", "gfx1201"})
_OLD = frozenset({"gfx900", "gfx902", "gfx906", "gfx90c", "gfx1010", "gfx1012", "gfx1030", "gfx1031", "gfx1032",
                  "gfx1034", "gfx1035", "gfx1036"})  # fmt: skip
_AMD_KNOWN = _CDNA12 | _CDNA3 | _CDNA4 | _RDNA3 | _RDNA4 | _OLD
_AMD: dict[str, frozenset[str]] = {
    "fp64": _AMD_KNOWN,
    "fp32": _AMD_KNOWN,
    "fp16": _AMD_KNOWN,
    "tf32": _CDNA3,
    "bf16": _CDNA12 | _CDNA3 | _CDNA4 | _RDNA3 | _RDNA4,
    "fp8": _CDNA3 | _CDNA4 | _RDNA4,
    "fp4": _CDNA4,
}
_APPLE_NEVER = frozenset({"fp64", "tf32", "fp8", "fp4"})  # Metal's shading language has none of them


def has_type(gpu: Gpu, dtype: str) -> bool | None:
    """Whether GPUs of this generation have the type in hardware; None where nobody knows."""
    if gpu.vendor == "NVIDIA":
        return _nvidia(gpu, dtype)
    if gpu.vendor == "AMD" and gpu.gfx_target in _AMD_KNOWN:
        return gpu.gfx_target in _AMD[dtype] if dtype in _AMD else None
    if gpu.vendor == "Apple" and dtype in _APPLE_NEVER:
        return False
    return None


def _nvidia(gpu: Gpu, dtype: str) -> bool | None:
    capability = capability_of(gpu.compute_capability)
    if capability is None:
        return None
    if capability < _NVIDIA_FROM[dtype] or (dtype == "int8" and capability == (6, 2)):
        return False
    if dtype in _MATRIX_ONLY and gpu.matrix_cores == 0:
        return False
    return None if capability > _NEWEST and dtype in _MATRIX_ONLY else True
