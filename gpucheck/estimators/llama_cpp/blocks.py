"""What llama.cpp's graphs are made of: tensors with their bytes and readers.

Sizes, order and what is written in place follow src/llama-graph.cpp of llama.cpp, commit 0c1e570.
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.estimators.llama_cpp.graph import Graph, Node
from gpucheck.models.architecture import Attention

_FLOAT = 4


class Batch(Struct, frozen=True, gc=False, kw_only=True):
    """What a graph is built for: tokens and logits rows of one micro-batch, and the cells that attention sees.

    `cells` and `swa_cells` are those of one of the `streams`. `quantized_k` and `quantized_v`: the cache is
    stored in blocks. `cuda`: the kernels are those of CUDA, which ROCm shares.
    """

    tokens: int
    outputs: int
    sequences: int
    cells: int
    swa_cells: int
    streams: int
    flash: bool
    quantized_k: bool
    quantized_v: bool
    cuda: bool


class Builder:
    """Makes tensors in the order of a forward pass and collects them in `graph`."""

    widest_value = 0
    value_norm = False
    repeats_keys = False  # of Gated DeltaNet, for every value head (Qwen3-Next)
    state_norm = True  # Mamba-2's output has a norm of its own
    latent_bytes = 0  # of one element of every cell: latents are transposed without flash attention
    position_numbers = 1

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.tokens = batch.tokens
        self.graph = Graph()
        self.inputs: dict[str, Node] = {}
        self.cache = Node(0, None)
        self.cache.stored = True

    def input(self, name: str, size: int) -> Node:
        """The input `name`, one tensor for all layers."""
        if name not in self.inputs:
            self.inputs[name] = Node(size, (size, -1))
        return self.inputs[name]

    def new(self, width: int, *sources: Node, count: int | None = None, heads: int = 1) -> Node:
        """A tensor of `heads` times `width` floats for each of `count` tokens (all, if None)."""
        count = self.tokens if count is None else count
        return Node(_FLOAT * width * heads * count, (width, heads, count), sources)

    def over(self, node: Node, *sources: Node) -> Node:
        """The result of an element-wise operation: of the shape of `node`, in its place if nobody else reads it."""
        return Node(node.bytes, node.shape, (node, *sources), in_place=True)

    def view(self, node: Node, shape: tuple[int, ...] | None = None, size: int | None = None) -> Node:
        """A look into `size` bytes of `node` (all of it, if None); without a shape, one with gaps."""
        return Node(node.bytes if size is None else size, shape, (node,), node.root or node)

    def heads(self, node: Node, head_dim: int, heads: int) -> Node:
        """`node` seen as heads."""
        return self.view(node, (head_dim, heads, self.tokens))

    def store(self, *sources: Node) -> None:
        """A write into the cache, which happens here."""
        node = Node(0, None, sources)
        node.stored = True
        self.graph.expand(node)

    def norm(self, node: Node, layer_norm: bool = False) -> Node:
        """A norm and its weight: RMS norms can be written in place, LayerNorm cannot."""
        if layer_norm:
            return self.over(Node(node.bytes, node.shape, (node,)))
        if node.shape is None:
            raise ValueError("a view with gaps has no shape to keep")
        return self.over(self.over(node))

    def mask(self, attention: Attention | None) -> Node:
        """The attention mask: 16 bits a value with flash attention."""
        sliding = attention is not None and attention.window is not None
        cells = self.batch.swa_cells if sliding else self.batch.cells
        node = self.input("swa_mask" if sliding else "mask", cells * self.tokens * (2 if self.batch.flash else 4))
        node.mask = True
        return node

    def rotated(self, node: Node, size: int, name: str) -> Node:
        """`node` times a Hadamard matrix, as llama.cpp does before it quantizes keys or values."""
        matrix = self.input(name, size * size * _FLOAT)
        shape = node.shape
        product = Node(node.bytes, (size, node.bytes // size), (matrix, self.view(node, (size, node.bytes // size))))
        return self.view(product, shape)
