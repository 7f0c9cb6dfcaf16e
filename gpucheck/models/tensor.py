"""Tensors: those that a file lists, and those that a shape implies."""

from __future__ import annotations

from msgspec import Struct


class Tensor(Struct, frozen=True, gc=False):
    """One tensor of a file: its name, its type as the file spells it ("Q4_K", "BF16"), elements and bytes.

    `row` is the length of its innermost dimension.
    """

    name: str
    dtype: str
    elements: int
    bytes: int
    row: int


class TensorGroup(Struct, frozen=True, gc=False):
    """Equal tensors that a shape implies, one in each of `layers`.

    `role` is the name that GGUF gives it, less "blk.N." and ".weight" or ".bias": "attn_q", "ffn_down_exps",
    "token_embd". `row` is the length of its innermost dimension (what is quantized in blocks), `rows` the product
    of the others, experts included. `layers` holds positions of layers; a tensor outside the layers has (-1,).
    Only matrices are quantized; norms, biases and other vectors are not. `active_rows` work on each token.
    """

    role: str
    row: int
    rows: int
    layers: tuple[int, ...]
    matrix: bool = True
    active_rows: int | None = None

    @property
    def elements(self) -> int:
        """Elements of one of the tensors."""
        return self.row * self.rows

    @property
    def total_elements(self) -> int:
        """Elements of all of them together."""
        return self.row * self.rows * len(self.layers)
