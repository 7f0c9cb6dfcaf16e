"""Bytes of tensors in the quantized formats of checkpoints, and which of them stay in 16 bits.

The layouts are those that AutoGPTQ, AutoAWQ, bitsandbytes, transformers (FP8, MXFP4), NVIDIA modelopt (NVFP4), mlx-lm
and exllamav2 document. Measured memory bears out GPTQ with 8 bits and FP8 (to 0.1 %), AWQ (to 1 %) and GPTQ with 4
bits (to 3 %, scratch of its kernels included): see benchmarks/README.md. For NVFP4, MXFP4, MLX, EXL and LLM.int8 no
measurement of a whole model was at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gpucheck.models.quant.assign import Weight
from gpucheck.models.tensor import TensorGroup

_EMBEDDINGS = frozenset({"token_embd", "per_layer_token_embd", "position_embd", "token_types"})
# Linear layers that are too small or too sensitive: routers, and the gates of recurrent layers.
_SMALL = frozenset({"ffn_gate_inp", "ffn_gate_inp_shexp", "ssm_ba", "ssm_beta", "ssm_alpha", "attn_rel_b"})
_CONVOLUTIONS = ("ssm_conv1d", "shortconv.conv")
_HEAD_BITS = 6  # exllamav2 and exllamav3 quantize the head to 6 bits by default
_ABSMAX_BLOCK = 64
_SECOND_BLOCK = 256


class Packed(NamedTuple):
    """How a format stores one tensor of `rows` rows of `row` elements, `matrices` matrices in it."""

    name: str
    matrix_bytes: Callable[[int, int, int], int]
    embedding: bool = False
    head: bool = False
    experts_only: bool = False
    small: bool = False


def integer(name: str, bits: int, group: int, index: bool) -> Packed:
    """GPTQ and AWQ: fp16 scales and packed zeros for each `group` of inputs; GPTQ also has an int32 index of them."""

    def size(row: int, rows: int, matrices: int) -> int:
        groups = -(-row // group)
        return rows * (row + groups) * bits // 8 + rows * groups * 2 + (row * 4 * matrices if index else 0)

    return Packed(name, size)


def llm_int8() -> Packed:
    """LLM.int8: one byte, and a scale in fp32 for each row; outliers are found at run time."""
    return Packed("int8", lambda row, rows, _matrices: rows * (row + 4))


def nf4(double: bool) -> Packed:
    """NF4: an fp32 maximum for each 64 weights; quantized itself to 8 bits in blocks of 256 with `double`."""

    def size(row: int, rows: int, _matrices: int) -> int:
        elements = row * rows
        blocks = -(-elements // _ABSMAX_BLOCK)
        scales = blocks + -(-blocks // _SECOND_BLOCK) * 4 if double else blocks * 4
        return -(-elements // 2) + scales

    return Packed("nf4-dq" if double else "nf4", size)


def fp8(block: int | None) -> Packed:
    """FP8: one byte, and an fp32 scale for each matrix, or for each square of `block`."""

    def size(row: int, rows: int, matrices: int) -> int:
        if block is None:
            return row * rows + 8 * matrices  # of the weights and of the inputs
        of_one = -(-rows // matrices)
        return row * rows + 4 * matrices * -(-row // block) * -(-of_one // block)

    return Packed("fp8", size)


def nvfp4() -> Packed:
    """NVFP4: four bits, an fp8 scale for each 16, and two fp32 scales for each matrix."""
    return Packed("nvfp4", lambda row, rows, matrices: rows * (row // 2 + -(-row // 16)) + 8 * matrices)


def mxfp4() -> Packed:
    """MXFP4 as gpt-oss has it: four bits and an 8-bit exponent for each 32, experts only."""
    return Packed("mxfp4", lambda row, rows, _matrices: rows * -(-row // 32) * 17, experts_only=True)


def mlx(bits: int, group: int) -> Packed:
    """MLX: 16-bit scale and bias for each `group`; embedding, head and router are quantized as well."""

    def size(row: int, rows: int, _matrices: int) -> int:
        return rows * (row * bits // 8 + -(-row // group) * 4)

    return Packed(f"mlx-{bits}bit", size, embedding=True, head=True, small=True)


def exl(version: int, bits: float) -> Packed:
    """EXL2 and EXL3: `bits` on average over the linear layers of the blocks, and 6 bits in the head."""
    return Packed(f"exl{version}", lambda row, rows, _matrices: round(row * rows * bits / 8), head=True)


def checkpoint_weights(groups: tuple[TensorGroup, ...], packed: Packed, plain: str = "BF16") -> tuple[Weight, ...]:
    """The tensors of a checkpoint: those that the format packs, and the rest in `plain`, of 16 bits."""
    routers = next((group.rows for group in groups if group.role == "ffn_gate_inp" and group.matrix), 1)
    return tuple(_weight(group, packed, plain, routers) for group in groups)


def plain_weights(groups: tuple[TensorGroup, ...], name: str, element_bytes: int) -> tuple[Weight, ...]:
    """The tensors of a checkpoint that is not quantized; all of them in one type."""
    return tuple(Weight(group, name, group.total_elements * element_bytes) for group in groups)


def _weight(group: TensorGroup, packed: Packed, plain: str, experts: int) -> Weight:
    count = len(group.layers)
    if not _is_packed(group, packed):
        return Weight(group, plain, group.total_elements * 2)
    if group.role == "output" and packed.name.startswith("exl"):
        return Weight(group, packed.name, group.total_elements * _HEAD_BITS // 8)
    matrices = experts if group.role.endswith("_exps") else 1
    return Weight(group, packed.name, packed.matrix_bytes(group.row, group.rows, matrices) * count)


def _is_packed(group: TensorGroup, packed: Packed) -> bool:
    role = group.role
    if not group.matrix or role.endswith("_norm") or role.startswith(_CONVOLUTIONS):
        return False
    if packed.experts_only:
        return role.endswith("_exps")
    if role in _EMBEDDINGS:
        return packed.embedding
    if role == "output":
        return packed.head
    return role not in _SMALL or packed.small
