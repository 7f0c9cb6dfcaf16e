"""The memory that a graph of tensors needs when ggml places it: a simulation of its graph allocator.

ggml places the tensors of a graph one after the other in a virtual buffer whose highest address becomes the size
of the compute buffer. A tensor takes the smallest gap that holds it, lives until its last reader has run, and
element-wise operations write over an argument of the same layout that nobody else reads. The peak therefore
depends on the order of the operations, not on the depth of the model. Rules read in ggml/src/ggml-alloc.c of
llama.cpp, commit 0c1e570.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gpucheck.estimators.llama_cpp.graph import Graph, Node

ALIGNMENT = 32  # of CPU buffers
DEVICE_ALIGNMENT = 128  # of CUDA buffers
_ENDLESS = 1 << 62


class Peak(Struct, frozen=True, gc=False):
    """The size of a buffer, and the highest address in use before the first of the masks is freed."""

    bytes: int
    with_masks: int


class Space:
    """The free parts of a buffer by address; the last one is endless."""

    def __init__(self, alignment: int) -> None:
        self.starts = [0]
        self.sizes = [_ENDLESS]
        self.alignment = alignment
        self.peak = 0
        self.with_masks: int | None = None

    def take(self, size: int) -> int:
        """The address of the smallest gap of at least `size` bytes; of equal ones the last."""
        size = -(-size // self.alignment) * self.alignment
        sizes, starts = self.sizes, self.starts
        best, best_size = len(sizes) - 1, _ENDLESS
        for index, free in enumerate(sizes):
            if size <= free <= best_size:
                best, best_size = index, free
        address = starts[best]
        end = address + size
        if best_size == size:
            del sizes[best], starts[best]
        else:
            starts[best] = end
            sizes[best] -= size
        self.peak = max(self.peak, end)
        return address

    def give(self, address: int, size: int) -> None:
        """Frees `size` bytes at `address`, and joins them with free neighbours."""
        size = -(-size // self.alignment) * self.alignment
        if not size:
            return
        starts, sizes = self.starts, self.sizes
        index = 0
        while starts[index] < address:
            index += 1
        joins = index > 0 and starts[index - 1] + sizes[index - 1] == address
        if address + size == starts[index]:
            if joins:
                sizes[index - 1] += size + sizes[index]
                del starts[index], sizes[index]
            else:
                starts[index] = address
                sizes[index] += size
        elif joins:
            sizes[index - 1] += size
        else:
            starts.insert(index, address)
            sizes.insert(index, size)

    def found(self) -> Peak:
        """What the buffer came to."""
        return Peak(self.peak, self.peak if self.with_masks is None else self.with_masks)


def place(nodes: Sequence[Node], leaves: Iterable[Node], spaces: Sequence[Space]) -> list[Peak]:
    """The buffer of each device that ggml reserves for `nodes`; a node's `device` is the number of its space."""
    for node in nodes:
        if node.root is not None:
            node.root.views += 1
        for source in node.sources:
            source.children += 1
    for leaf in leaves:
        leaf.address, leaf.alive = spaces[leaf.device].take(leaf.bytes), True
    for node in nodes:
        if node.root is None and not node.stored and not node.alive:
            _place(node, spaces[node.device])
        for source in node.sources:
            source.children -= 1
            if not source.children and not source.views:  # the last reader has run
                _release(source, spaces)
    return [space.found() for space in spaces]


def peak_bytes(graph: Graph, alignment: int = ALIGNMENT) -> int:
    """The bytes of the compute buffer that ggml reserves for `graph` on one device."""
    return place(graph.nodes, graph.leaves, [Space(alignment)])[0].bytes


def _place(node: Node, space: Space) -> None:
    """An address for `node`: that of an argument that it may overwrite, or a new one.

    ggml does not overwrite what it only sees through a view, whoever else reads it.
    """
    if node.in_place:
        for parent in node.sources:
            free = parent.children == 1 and not parent.views and not parent.kept and parent.device == node.device
            if free and parent.alive and parent.shape == node.shape:
                node.address, node.alive = parent.address, True
                parent.alive = False
                return
    node.address, node.alive = space.take(node.bytes), True


def _release(node: Node, spaces: Sequence[Space]) -> None:
    """Frees a node that nobody reads any more, or what it was the last look into."""
    owner = node
    if node.root is not None:
        owner = node.root
        owner.views -= 1
        if owner.views or owner.children:
            return
    if owner.alive and not owner.kept:
        owner.alive = False
        space = spaces[owner.device]
        if owner.mask and space.with_masks is None:
            space.with_masks = space.peak
        space.give(owner.address, owner.bytes)
