"""The memory that a graph of tensors needs when ggml places it: a simulation of its graph allocator.

ggml places the tensors of a graph one after the other in a virtual buffer whose highest address becomes the size
of the compute buffer. A tensor takes the smallest gap that holds it, lives until its last reader has run, and
element-wise operations write over an argument of the same layout that nobody else reads. The peak therefore
depends on the order of the operations, not on the depth of the model. Rules read in ggml/src/ggml-alloc.c of
llama.cpp, commit 0c1e570.
"""

from __future__ import annotations

from collections.abc import Iterable

ALIGNMENT = 32  # of CPU buffers
DEVICE_ALIGNMENT = 128  # of CUDA buffers
_ENDLESS = 1 << 62

Shape = tuple[int, ...]


class Node:
    """One tensor: its bytes, its shape (None: a view with gaps), and the tensors that it is computed from.

    `root` is the tensor that a view looks into. `stored` tensors (cache writes) lie in other buffers.
    """

    __slots__ = (
        "address",
        "alive",
        "bytes",
        "children",
        "in_place",
        "kept",
        "root",
        "shape",
        "sources",
        "stored",
        "views",
        "visited",
    )

    def __init__(
        self,
        size: int,
        shape: Shape | None,
        sources: tuple[Node, ...] = (),
        root: Node | None = None,
        *,
        in_place: bool = False,
    ) -> None:
        self.bytes = size
        self.shape = shape
        self.sources = sources
        self.root = root
        self.in_place = in_place
        self.stored = False
        self.kept = False
        self.visited = False
        self.alive = False
        self.children = 0
        self.views = 0
        self.address = 0


class Graph:
    """Tensors in the order in which ggml runs them: each after its sources, from the left to the right."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []

    def expand(self, node: Node) -> None:
        """Appends `node` and whatever it needs that is not yet in the graph."""
        if node.visited:
            return
        node.visited = True
        for source in node.sources:
            self.expand(source)
        if node.sources:
            self.nodes.append(node)
        elif not node.stored:
            self.leaves.append(node)


class _Space:
    """The free parts of the buffer by address; the last one is endless."""

    def __init__(self, alignment: int) -> None:
        self.blocks = [[0, _ENDLESS]]
        self.alignment = alignment
        self.peak = 0

    def take(self, size: int) -> int:
        """The address of the smallest gap of at least `size` bytes; of equal ones the last."""
        size = -(-size // self.alignment) * self.alignment
        best, best_size = -1, _ENDLESS
        for index in range(len(self.blocks) - 1):
            free = self.blocks[index][1]
            if size <= free <= best_size:
                best, best_size = index, free
        block = self.blocks[best]
        address = block[0]
        block[0] += size
        block[1] -= size
        if not block[1]:
            del self.blocks[best]
        self.peak = max(self.peak, address + size)
        return address

    def give(self, address: int, size: int) -> None:
        """Frees `size` bytes at `address`, and joins them with free neighbours."""
        size = -(-size // self.alignment) * self.alignment
        if not size:
            return
        blocks = self.blocks
        index = 0
        while blocks[index][0] < address:
            index += 1
        following = blocks[index]
        joins = index > 0 and sum(blocks[index - 1]) == address
        if address + size == following[0]:
            following[0] = address
            following[1] += size
            if joins:
                blocks[index - 1][1] += following[1]
                del blocks[index]
        elif joins:
            blocks[index - 1][1] += size
        else:
            blocks.insert(index, [address, size])


def peak_bytes(graph: Graph, alignment: int = ALIGNMENT) -> int:
    """The bytes of the compute buffer that ggml reserves for `graph`."""
    space = _Space(alignment)
    _count(graph.nodes)
    for leaf in graph.leaves:
        leaf.address, leaf.alive = space.take(leaf.bytes), True
    for node in graph.nodes:
        if node.root is None and not node.stored:
            _place(node, space)
        _release(node.sources, space)
    return space.peak


def _count(nodes: Iterable[Node]) -> None:
    """Counts the readers and the views of every tensor."""
    for node in nodes:
        if node.root is not None:
            node.root.views += 1
        for source in node.sources:
            source.children += 1


def _place(node: Node, space: _Space) -> None:
    """An address for `node`: that of an argument that it may overwrite, or a new one.

    ggml does not overwrite what it only sees through a view, whoever else reads it.
    """
    if node.in_place:
        for parent in node.sources:
            free = parent.children == 1 and not parent.views and not parent.kept
            if free and parent.alive and parent.shape == node.shape:
                node.address, node.alive = parent.address, True
                parent.alive = False
                return
    node.address, node.alive = space.take(node.bytes), True


def _release(sources: tuple[Node, ...], space: _Space) -> None:
    """Frees the sources of a node that has run, if it was their last reader."""
    for parent in sources:
        parent.children -= 1
        if parent.children or parent.views:
            continue
        owner = parent
        if parent.root is not None:
            owner = parent.root
            owner.views -= 1
            if owner.views or owner.children:
                continue
        if owner.alive and not owner.kept:
            owner.alive = False
            space.give(owner.address, owner.bytes)
