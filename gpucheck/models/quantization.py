"""Quantizations by name: bits per weight over a whole file as a band, and what decides the types of tensors.

A file named Q4_K_M mixes block types, so its bits depend on the model. The figures are file bytes x 8 / parameters.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.errors import UsageError


class Quantization(Struct, frozen=True, kw_only=True):
    """A format of weights, and how many bits each weight takes over a whole file.

    `extra_bits` are paid once per file, spread over the model, at most `most_extra` for each weight: embedding and
    head stay at more bits, and small models have relatively large ones. `low_ratio` and `high_ratio` bound real
    files relative to the middle.

    `mix` is the GGUF file mix that gives each tensor its type, None for other formats. `mix_ratio` is the likely size
    over that of the mix, `mix_low` and `mix_high` its bounds: all 1 where the name decides the types.
    """

    name: str
    bits: float
    low_ratio: float
    high_ratio: float
    extra_bits: float = 0.0
    most_extra: float = 1.0
    mix: str | None = None
    mix_ratio: float = 1.0
    mix_low: float = 1.0
    mix_high: float = 1.0

    @property
    def determined(self) -> bool:
        """Whether the name and the shape of a model together decide the type of every tensor."""
        return self.mix_low == self.mix_high

    def file_bits(self, parameters: int) -> float:
        """Bits of the weights of a model with so many parameters; grows with `parameters`."""
        return parameters * self.bits + min(self.extra_bits, parameters * self.most_extra)


def _measured() -> tuple[Quantization, ...]:
    """Bands of the types that several models were measured in: file bytes of real models, 0.6B to 671B.

    Q4_K_M: 20 files, 4.82 to 5.23 bits (median 4.90; the small and the large-vocabulary ones lie high), and
    5.22 for Qwen2.5-72B, whose rows do not divide by 256. Q8_0: 18 files, 8.49 to 8.58 but for one (8.20, an
    uncertain count). Q6_K: 6 files, 6.56 to 6.59. Q5_K_M: 4 files, 5.66 to 5.96. Q4_0: 5 files, 4.54 to 4.73.
    BF16 and F16: 9 files, 16.00 to 16.01. MXFP4: gpt-oss at 4.34 and 4.63. IQ4_XS: 3 files, 4.37 to 4.48.
    """
    return (
        _band("fp32", 32.0, 1.0, 1.005),
        _band("bf16", 16.0, 1.0, 1.005),
        _band("fp16", 16.0, 1.0, 1.005),
        _gguf("Q8_0", 8.503, 0.995, 1.01, 0.03e9),
        _gguf("Q6_K", 6.565, 0.99, 1.03, 0.02e9),
        _gguf("Q5_K_M", 5.67, 0.97, 1.06, 0.3e9),
        _gguf("Q4_K_M", 4.86, 0.97, 1.06, 0.35e9),
        _gguf("Q4_0", 4.58, 0.97, 1.06, 0.3e9),
        _gguf("IQ4_XS", 4.41, 0.97, 1.06, 0.3e9),
        _gguf("MXFP4", 4.45, 0.97, 1.06),
    )


def _band(name: str, bits: float, low: float, high: float, *extra: float) -> Quantization:
    """A band; `extra` are extra bits of the file and the most of them for each weight, where they matter."""
    extra_bits, most = (*extra, *(0.0, 1.0)[len(extra) :])
    return Quantization(name=name, bits=bits, low_ratio=low, high_ratio=high, extra_bits=extra_bits, most_extra=most)


def _gguf(name: str, bits: float, low: float, high: float, *extra: float) -> Quantization:
    """The band of a GGUF file mix of that name."""
    return replace(_band(name, bits, low, high, *extra), mix=name)


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
    return _gguf(name, bits, low, high)


def _computed() -> tuple[Quantization, ...]:
    """Bands of types of which no file was measured: what the tensors of 243 published shapes add up to.

    Bounds leave out 4 % of the shapes at each end. mxfp4-hf, which packs experts alone, is that of gpt-oss: 4.47 bits
    with 117B parameters, 5.3 with 21B.
    """
    return (
        _gguf("Q4_1", 5.045, 0.99, 1.085),
        _gguf("Q5_0", 5.532, 0.99, 1.06),
        _gguf("Q5_1", 6.02, 0.99, 1.03),
        _gguf("TQ1_0", 1.855, 0.91, 1.41, 0.54e9, 2.0),
        _gguf("TQ2_0", 2.212, 0.92, 1.32, 0.52e9, 2.0),
        _band("gptq-int4", 4.468, 0.87, 1.22, 3.09e9, 2.0),
        _band("gptq-int8", 8.394, 0.96, 1.1, 2.05e9),
        _band("awq", 4.424, 0.88, 1.22, 3.09e9, 2.0),
        _band("int8", 8.211, 0.96, 1.11, 2.05e9),
        _band("nf4", 4.757, 0.88, 1.2, 3.08e9, 2.0),
        _band("nf4-dq", 4.395, 0.87, 1.22, 3.1e9, 2.0),
        _band("fp8", 8.188, 0.96, 1.11, 2.04e9),
        _band("mxfp4-hf", 4.47, 0.97, 1.25),
        _band("nvfp4", 4.757, 0.88, 1.2, 3.08e9, 2.0),
        _band("mlx-4bit", 4.5, 0.995, 1.01),
        _band("mlx-6bit", 6.5, 0.995, 1.01),
        _band("mlx-8bit", 8.5, 0.995, 1.01),
    )


# Unsloth's dynamic files choose types for each model anew. Size over that of the nearest mix, and its bounds, set
# on 21 published files of eight models: Q4_K_XL 0.96 to 1.08 (8 files), Q3_K_XL 0.97 to 1.03 (4), Q5_K_XL 0.99 and
# 1.06, Q8_K_XL 1.01 and 1.04, Q2_K_XL 0.92 and 0.93, Q6_K_XL 1.12, IQ2_XXS 1.09, Q3_K_S 0.95. No other name was
# measured: those are assumed to be alike.
_DYNAMIC = {
    "Q8_K_XL": ("Q8_0", 1.03, 1.0, 1.25),
    "Q6_K_XL": ("Q6_K", 1.08, 1.0, 1.18),
    "Q5_K_XL": ("Q5_K_M", 1.02, 0.96, 1.1),
    "Q4_K_XL": ("Q4_K_M", 1.03, 0.94, 1.11),
    "Q3_K_XL": ("Q3_K_M", 1.0, 0.94, 1.07),
    "Q2_K_XL": ("Q2_K", 0.96, 0.9, 1.08),
    "IQ2_XXS": ("IQ2_XXS", 1.1, 1.0, 1.35),
}
_DYNAMIC_OTHER = (1.03, 0.9, 1.2)
_DYNAMIC_MIXES = (
    "Q4_K_M", "Q4_K_S", "Q3_K_M", "Q3_K_S", "Q2_K", "IQ4_XS", "IQ4_NL", "IQ3_S", "IQ3_XXS", "IQ2_M", "IQ1_M", "IQ1_S",
    "TQ1_0",
)  # fmt: skip


def _dynamic(of: dict[str, Quantization]) -> tuple[Quantization, ...]:
    """The UD-* files, as bands around their nearest mixes."""
    mixes = {**_DYNAMIC, **{name: (name, *_DYNAMIC_OTHER) for name in _DYNAMIC_MIXES}}
    return tuple(
        Quantization(
            name=f"UD-{name}",
            bits=of[mix].bits * ratio,
            low_ratio=of[mix].low_ratio * low / ratio,
            high_ratio=of[mix].high_ratio * high / ratio,
            extra_bits=of[mix].extra_bits,
            most_extra=of[mix].most_extra,
            mix=mix,
            mix_ratio=ratio,
            mix_low=low,
            mix_high=high,
        )
        for name, (mix, ratio, low, high) in mixes.items()
    )


def _exl(version: str, bits: float) -> Quantization:
    """EXL2 or EXL3 with so many bits: the linear layers have them on average, the embedding has 16, the head 6."""
    low, high = (0.87, 1.41) if bits < 3 else (0.93, 1.28)
    return _band(f"exl{version}-{bits:.2f}".removesuffix("0"), bits * 1.03 + 0.16, low, high, 1.1e9, 2.0)


def _all() -> tuple[Quantization, ...]:
    found = (*_measured(), *(_tabulated(name, bits) for name, bits in _OF_ONE_MODEL.items()), *_computed())
    dynamic = _dynamic({quantization.name: quantization for quantization in found})
    exl = tuple(_exl(version, bits) for version in "23" for bits in (3.0, 4.0, 5.0, 6.0))
    return tuple(sorted((*found, *dynamic, *exl), key=lambda quantization: -quantization.bits))


QUANTIZATIONS: tuple[Quantization, ...] = _all()
_BY_NAME = {quantization.name.lower(): quantization for quantization in QUANTIZATIONS}
_ALIASES = {
    "q8": "q8_0", "q6": "q6_k", "q5": "q5_k_m", "q4": "q4_k_m", "q3": "q3_k_m", "q2": "q2_k",
    "f16": "fp16", "f32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float32": "fp32",
    "gptq": "gptq-int4", "awq-int4": "awq", "mxfp4_moe": "mxfp4", "bnb-4bit": "nf4", "bnb-8bit": "int8",
    "llm.int8": "int8",
    "fp8-block": "fp8",
}  # fmt: skip
_EXL = re.compile(r"exl([23])-(\d(?:\.\d{1,2})?)(?:bpw)?", re.ASCII)
_EXL_LEAST, _EXL_MOST = 1.0, 8.0


def find_quantization(name: str) -> Quantization:
    """The quantization called `name`; "q4" is Q4_K_M, "q8" is Q8_0, and case does not matter.

    Raises:
        UsageError: no quantization has that name; the sentence lists those that are known.
    """
    key = name.strip().lower()
    if found := _BY_NAME.get(_ALIASES.get(key, key)):
        return found
    if (exl := _EXL.fullmatch(key)) and _EXL_LEAST <= (bits := float(exl[2])) <= _EXL_MOST:
        made = _exl(exl[1], bits)
        return _BY_NAME.get(made.name, made)
    known = ", ".join(["q4 (Q4_K_M)", "q8 (Q8_0)", *(quantization.name for quantization in QUANTIZATIONS)])
    raise UsageError(f"{name!r} is not a quantization that gpucheck knows. Known: {known}")
