"""Bytes of the components of a pipeline, as they are stored in memory."""

from __future__ import annotations

from typing import NamedTuple

from gpucheck.errors import UsageError
from gpucheck.models.pipelines import Component
from gpucheck.models.quantization import Quantization

DTYPE_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}
# Bits of one number in a Linear layer: bitsandbytes keeps one 32-bit scale for 64 numbers of nf4 (QLoRA, arXiv
# 2305.14314), int8 and fp8 one for each row; GGUF blocks as ggml-common.h asserts their sizes.
_PACKED = {"nf4": 4.5, "nf4-dq": 4.127, "int8": 8.0, "fp8": 8.0, "nvfp4": 4.5}
_BLOCKS = {
    "Q8_0": 8.5, "Q6_K": 6.5625, "Q5_0": 5.5, "Q5_1": 6.0, "Q5_K": 5.5, "Q4_0": 4.5, "Q4_1": 5.0, "Q4_K": 4.5,
    "Q3_K": 3.4375, "Q2_K": 2.625,
}  # fmt: skip
_MIXES = ("_S", "_M", "_L")
_PURE_HIGH, _MIX_HIGH = 1.005, 1.1  # a mix keeps some matrices at more bits; which, its maker decides
_T5 = frozenset({"T5EncoderModel", "UMT5EncoderModel"})
_LARGE = 1_000_000_000  # text encoders from this size on are packed with the denoiser


class Packing(NamedTuple):
    """Bits of a number in the matrices, bytes of a number elsewhere, and how far a file may lie above."""

    bits: float
    other_bytes: int
    high_ratio: float


def packing_of(quant: Quantization) -> Packing:
    """How the quantization stores a component.

    Raises:
        UsageError: diffusers has no such format.
    """
    name = quant.name
    if name in DTYPE_BYTES:
        return Packing(8.0 * DTYPE_BYTES[name], DTYPE_BYTES[name], 1.0)
    if name in _PACKED:
        return Packing(_PACKED[name], 2, _PURE_HIGH)
    mixed = name.endswith(_MIXES)
    block = name[:-2] if mixed else name
    if block not in _BLOCKS:
        raise UsageError(f"diffusers does not load {name}: name bf16, fp8, int8, nf4 or a GGUF type such as Q8_0")
    return Packing(_BLOCKS[block], 4, _MIX_HIGH if mixed else _PURE_HIGH)  # norms and biases stay in 32 bits


def packed(component: Component, named: tuple[str, ...] | None) -> bool:
    """Whether the component is stored in the quantization: one that is `named`, or without names the large ones."""
    if named is not None:
        return component.name in named
    return component.denoises or (component.encodes and component.linear_parameters >= _LARGE)


def kept_parameters(component: Component) -> int:
    """Parameters of the matrices that transformers does not pack: `wo` of T5, whose values are large.

    With a type of fp16 they are in 32 bits too (transformers 5.24: modeling_t5.py `_keep_in_fp32_modules`,
    modeling_utils.py, quantizers/base.py `get_modules_to_not_convert`).
    """
    if component.kind not in _T5:
        return 0
    config = component.config
    return int(config["num_layers"]) * int(config["d_model"]) * int(config["d_ff"])


def component_bytes(component: Component, packing: Packing | None, dtype_bytes: int, kept_bytes: int = 0) -> int:
    """Bytes of the weights: its file's where it is stored as it is, else matrices packed and the rest plain.

    `kept_bytes` is the size of a number in matrices that are not treated like the others; 0: there are none.
    """
    kept = kept_parameters(component) if kept_bytes else 0
    if packing is None:
        stored = component.file_bytes
        plain = component.parameters * dtype_bytes if stored is None else stored
        return plain + kept * (kept_bytes - dtype_bytes if kept_bytes else 0)
    rest = component.parameters - component.linear_parameters
    return (
        round((component.linear_parameters - kept) * packing.bits / 8) + rest * packing.other_bytes + kept * kept_bytes
    )
