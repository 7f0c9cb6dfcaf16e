"""The types of tensors in GGUF files: their ids, and bytes for so many elements.

Ids are those of `ggml_type` in ggml/include/ggml.h, blocks those that the assertions in ggml/src/ggml-common.h fix
(llama.cpp, commit 0c1e570). Ids 4, 5, 31 to 33 and 36 to 38 belonged to types that were removed.
"""

from __future__ import annotations

from msgspec import Struct


class GgmlType(Struct, frozen=True):
    """One type: `block_size` neighbouring elements of a row take `block_bytes` together."""

    name: str
    id: int
    block_size: int
    block_bytes: int

    @property
    def bits(self) -> float:
        """Bits of one element."""
        return self.block_bytes * 8 / self.block_size

    def row_bytes(self, elements: int) -> int:
        """Bytes of a row; whole blocks, so a row that does not divide by the block is rounded up."""
        return -(-elements // self.block_size) * self.block_bytes


GGML_TYPES: tuple[GgmlType, ...] = (
    GgmlType("F32", 0, 1, 4),
    GgmlType("F16", 1, 1, 2),
    GgmlType("Q4_0", 2, 32, 18),
    GgmlType("Q4_1", 3, 32, 20),
    GgmlType("Q5_0", 6, 32, 22),
    GgmlType("Q5_1", 7, 32, 24),
    GgmlType("Q8_0", 8, 32, 34),
    GgmlType("Q8_1", 9, 32, 36),
    GgmlType("Q2_K", 10, 256, 84),
    GgmlType("Q3_K", 11, 256, 110),
    GgmlType("Q4_K", 12, 256, 144),
    GgmlType("Q5_K", 13, 256, 176),
    GgmlType("Q6_K", 14, 256, 210),
    GgmlType("Q8_K", 15, 256, 292),
    GgmlType("IQ2_XXS", 16, 256, 66),
    GgmlType("IQ2_XS", 17, 256, 74),
    GgmlType("IQ3_XXS", 18, 256, 98),
    GgmlType("IQ1_S", 19, 256, 50),
    GgmlType("IQ4_NL", 20, 32, 18),
    GgmlType("IQ3_S", 21, 256, 110),
    GgmlType("IQ2_S", 22, 256, 82),
    GgmlType("IQ4_XS", 23, 256, 136),
    GgmlType("I8", 24, 1, 1),
    GgmlType("I16", 25, 1, 2),
    GgmlType("I32", 26, 1, 4),
    GgmlType("I64", 27, 1, 8),
    GgmlType("F64", 28, 1, 8),
    GgmlType("IQ1_M", 29, 256, 56),
    GgmlType("BF16", 30, 1, 2),
    GgmlType("TQ1_0", 34, 256, 54),
    GgmlType("TQ2_0", 35, 256, 66),
    GgmlType("MXFP4", 39, 32, 17),
    GgmlType("NVFP4", 40, 64, 36),
    GgmlType("Q1_0", 41, 128, 18),
    GgmlType("Q2_0", 42, 64, 18),
)
BY_ID: dict[int, GgmlType] = {kind.id: kind for kind in GGML_TYPES}
BY_NAME: dict[str, GgmlType] = {kind.name: kind for kind in GGML_TYPES}
