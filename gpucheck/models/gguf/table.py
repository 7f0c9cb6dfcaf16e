"""The tensor table of a GGUF file, by layer and role."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from gpucheck.models.gguf.reader import GgufTensor

_IN_LAYER = re.compile(r"(?:(enc|dec)\.)?blk\.(\d{1,5})\.(.+)", re.ASCII)
_PER_EXPERT = re.compile(r"(ffn_(?:gate|up|down))\.\d{1,5}(\.weight)?", re.ASCII)
_RENAMED = {"attn_o": "attn_output", "cross_attn_o": "cross_attn_output"}


class Roles(dict[str, tuple[int, ...]]):
    """The shapes of a layer's tensors by role: "attn_q" for a weight, "attn_q.bias" for its bias."""

    def rows(self, role: str) -> int:
        """The product of all dimensions but the innermost; 0 without the tensor."""
        product = 1
        for size in self.get(role, (0, 0))[1:]:
            product *= size
        return product

    def width(self, role: str) -> int:
        """The innermost dimension; 0 without the tensor."""
        return self.get(role, (0,))[0]

    def elements(self, role: str) -> int:
        """All elements; 0 without the tensor."""
        return self.width(role) * self.rows(role)

    def any(self, *roles: str) -> bool:
        """Whether one of the tensors is there."""
        return any(role in self for role in roles)


class TensorTable:
    """Tensors outside the layers in `outside`; those of layers by stack ("", "enc" or "dec") and number."""

    def __init__(self, tensors: Iterable[GgufTensor]) -> None:
        self.outside = Roles()
        self._layers: defaultdict[tuple[str, int], Roles] = defaultdict(Roles)
        for tensor in tensors:
            name = tensor.name.removesuffix(".weight")
            if found := _IN_LAYER.fullmatch(name):
                role = found[3]
                if one := _PER_EXPERT.fullmatch(role):  # files before the experts were joined (early 2024)
                    role = f"{one[1]}_exps"
                stem, dot, rest = role.partition(".")
                role = _RENAMED.get(stem, stem) + dot + rest
                self._layers[found[1] or "", int(found[2])][role] = tensor.shape
            else:
                self.outside[name] = tensor.shape

    def layer(self, index: int, stack: str = "") -> Roles:
        """The tensors of a layer; empty if the file lists none for it."""
        return self._layers.get((stack, index)) or Roles()

    def __bool__(self) -> bool:
        """Whether the file lists any layer's tensors; a file with a vocabulary alone does not."""
        return bool(self._layers)
