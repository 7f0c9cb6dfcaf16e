"""Quantizations of GGUF files: effective bits per weight over a whole file, as a band.

A file named Q4_K_M mixes block types, so its bits depend on the model. The figures are file bytes x 8 /
parameters.
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.errors import UsageError


class Quantization(Struct, frozen=True):
    """A quantization, and how many bits each weight takes over a whole file.

    `extra_bits` are paid once per file, spread over the model: embedding and head stay at more bits, and
    small models have relatively large ones. `low_ratio` and `high_ratio` bound real files relative to the
    middle.
    """

    name: str
    bits: float
    low_ratio: float
    high_ratio: float
    extra_bits: float = 0.0

    def file_bits(self, parameters: int) -> float:
        """Bits of the weights of a model with so many parameters; grows with `parameters`."""
        return parameters * self.bits + min(self.extra_bits, float(parameters))


def _measured() -> tuple[Quantization, ...]:
    """Bands of the types that several models were measured in: file bytes of real models, 0.6B to 671B.

    Q4_K_M: 20 files, 4.82 to 5.23 bits (median 4.90; the small and the large-vocabulary ones lie high), and
    5.22 for Qwen2.5-72B, whose rows do not divide by 256. Q8_0: 18 files, 8.49 to 8.58 but for one (8.20, an
    uncertain count). Q6_K: 6 files, 6.56 to 6.59. Q5_K_M: 4 files, 5.66 to 5.96. Q4_0: 5 files, 4.54 to 4.73.
    BF16 and F16: 9 files, 16.00 to 16.01. MXFP4: gpt-oss at 4.34 and 4.63. IQ4_XS: 3 files, 4.37 to 4.48.
    """
    return (
        Quantization("fp32", 32.0, 1.0, 1.005),
        Quantization("bf16", 16.0, 1.0, 1.005),
        Quantization("fp16", 16.0, 1.0, 1.005),
        Quantization("Q8_0", 8.503, 0.995, 1.01, 0.03e9),
        Quantization("Q6_K", 6.565, 0.99, 1.03, 0.02e9),
        Quantization("Q5_K_M", 5.67, 0.97, 1.06, 0.3e9),
        Quantization("Q4_K_M", 4.86, 0.97, 1.06, 0.35e9),
        Quantization("Q4_0", 4.58, 0.97, 1.06, 0.3e9),
        Quantization("IQ4_XS", 4.41, 0.97, 1.06, 0.3e9),
        Quantization("MXFP4", 4.45, 0.97, 1.06),
    )


# Bits of Llama-3.1-8B from the table of llama.cpp's quantizing tool; Q3_K_M is from a file of
# Nemotron-Ultra-253B. One model is known for each of these types: the spread is assumed to be that of Q4_K_M,
# a little wider; below 3 bits wider still (IQ2_M of Kimi-Linear-48B has 2.57).
_OF_ONE_MODEL = {
    "Q5_K_S": 5.57, "IQ4_NL": 4.68, "Q4_K_S": 4.67, "Q3_K_L": 4.30, "Q3_K_M": 3.92, "IQ3_M": 3.76,
    "IQ3_S": 3.66, "Q3_K_S": 3.64, "IQ3_XS": 3.50, "IQ3_XXS": 3.25, "Q2_K": 3.16, "Q2_K_S": 2.97,
    "IQ2_M": 2.93, "IQ2_S": 2.74, "IQ2_XS": 2.59, "IQ2_XXS": 2.38, "IQ1_M": 2.15, "IQ1_S": 2.00,
}  # fmt: skip


def _tabulated(name: str, bits: float) -> Quantization:
    """The band of a type of which one model's bits are known."""
    low, high = (0.86, 1.15) if bits < 3 else (0.94, 1.09)
    return Quantization(name, bits, low, high)


QUANTIZATIONS: tuple[Quantization, ...] = tuple(
    sorted(
        (*_measured(), *(_tabulated(name, bits) for name, bits in _OF_ONE_MODEL.items())),
        key=lambda quantization: -quantization.bits,
    )
)
_BY_NAME = {quantization.name.lower(): quantization for quantization in QUANTIZATIONS}
_ALIASES = {"q8": "q8_0", "q4": "q4_k_m", "f16": "fp16", "f32": "fp32"}


def find_quantization(name: str) -> Quantization:
    """The quantization called `name`; "q4" is Q4_K_M, "q8" is Q8_0, and case does not matter.

    Raises:
        UsageError: no quantization has that name; the sentence lists those that are known.
    """
    key = name.strip().lower()
    if found := _BY_NAME.get(_ALIASES.get(key, key)):
        return found
    known = ", ".join(["q4 (Q4_K_M)", "q8 (Q8_0)", *(quantization.name for quantization in QUANTIZATIONS)])
    raise UsageError(f"{name!r} is not a quantization that gpucheck knows. Known: {known}")
