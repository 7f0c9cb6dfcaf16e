"""What llama.cpp takes beside tensors: device contexts, metadata of the file, repacked copies of weights."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.units import MIB


class Band(Struct, frozen=True):
    """A likely figure and the bounds of real ones, in bytes."""

    likely: int
    low: int
    high: int


# What a process takes of each GPU beside its tensors. CUDA: llama.cpp reports 451 and 456 MiB "unaccounted" on RTX
# 4090s (its pull request 15860); 0.47 GiB on A100 and H100, about 300 MB at least. The others are assumed, not
# measured: no published figure was found.
_CONTEXTS = {
    "cuda": Band(460 * MIB, 290 * MIB, 700 * MIB),
    "rocm": Band(460 * MIB, 200 * MIB, 900 * MIB),
    "vulkan": Band(200 * MIB, 60 * MIB, 450 * MIB),
    "sycl": Band(300 * MIB, 100 * MIB, 600 * MIB),
    "metal": Band(60 * MIB, 10 * MIB, 200 * MIB),
}
# The process: program, libraries, 7 to 46 MiB of vocabulary.
PROCESS = Band(100 * MIB, 50 * MIB, 200 * MIB)

# Types whose matrices are copied into an order that suits the CPU's vector units, on x86 with AVX2 (Q2_K: AVX-512), as
# ggml-cpu/repack.cpp has it. Measured with AVX-512: Q4_0, Q4_K and MXFP4 are, Q8_0, F16, Q5_0, Q5_K and Q6_K are not.
# ARM CPUs also repack Q5_K, Q6_K and Q8_0, which is not told apart here.
REPACKED = frozenset({"Q4_0", "Q4_K", "MXFP4", "IQ4_NL", "Q2_K"})


def context_band(backend: str) -> Band:
    """The context of one device; the zero band for the CPU."""
    return _CONTEXTS.get(backend, Band(0, 0, 0))
