"""Graphs of tensors, as ggml builds them."""

from __future__ import annotations

from msgspec import Struct

Shape = tuple[int, ...]
HOST = 0  # the device of inputs and of the embedding; GPUs are counted from 1


class Node(Struct, eq=False, gc=False):
    """One tensor: its bytes, its shape (None: a view with gaps), and the tensors that it is computed from.

    `root` is the tensor that a view looks into. `stored` tensors (cache writes) lie in other buffers. `kept` ones
    are not freed, `mask` ones are attention masks, whose size follows the context. `origin` is what a
    copy on another device is made of. `device` is that of its buffer. Nodes look backwards only, so that there is no
    cycle for Python to search for.
    """

    bytes: int
    shape: Shape | None
    sources: tuple[Node, ...] = ()
    root: Node | None = None
    in_place: bool = False
    device: int = -1
    stored: bool = False
    kept: bool = False
    mask: bool = False
    origin: Node | None = None
    visited: bool = False
    alive: bool = False
    children: int = 0
    views: int = 0
    address: int = 0


class Graph:
    """Tensors in the order in which ggml runs them: each after its sources, from the left to the right.

    What has no device yet gets `device` as it is put in.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []
        self.device = HOST

    def expand(self, node: Node) -> None:
        """Appends `node` and whatever it needs that is not yet in the graph."""
        if node.visited:
            return
        node.visited = True
        for source in node.sources:
            if not source.visited:
                self.expand(source)
        if node.sources:
            if node.device < 0:
                node.device = self.device
            self.nodes.append(node)
        elif not node.stored:
            node.device = HOST
            self.leaves.append(node)
