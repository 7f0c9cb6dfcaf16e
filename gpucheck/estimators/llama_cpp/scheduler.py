"""A graph over several devices: ggml cuts it into parts and copies what crosses from one to the next.

Inputs and the embedding are the host's. At the start of each part of the graph all that it reads of other devices
is copied to its own. Several GPUs work on successive
micro-batches at once, for which every input and every copy exists four times, from the start to the end. Rules read in
ggml/src/ggml-backend.cpp of llama.cpp, commit 0c1e570.
"""

from __future__ import annotations

from gpucheck.estimators.llama_cpp.allocator import ALIGNMENT, DEVICE_ALIGNMENT, Peak, Space, place
from gpucheck.estimators.llama_cpp.graph import HOST, Graph, Node

PIPELINE_COPIES = 4  # GGML_SCHED_MAX_COPIES


def spread_peaks(graph: Graph, devices: int, *, pipelined: bool) -> list[Peak]:
    """The buffers of the host and of each of so many GPUs."""
    parts = _parts(graph)
    spaces = [Space(ALIGNMENT), *(Space(DEVICE_ALIGNMENT) for _ in range(devices))]
    order: list[Node] = []
    leaves: list[Node] = []
    if pipelined:
        for leaf in graph.leaves:
            leaf.kept = True
            leaves += [leaf, *(_copy(leaf, HOST, kept=True) for _ in range(PIPELINE_COPIES - 1))]
    for copies, nodes in parts:
        for copy in copies:
            if pipelined:
                copy.kept = True
                leaves += [copy, *(_copy(copy, copy.device, kept=True) for _ in range(PIPELINE_COPIES - 1))]
            order += [_reader(copy), copy]
        order += nodes
    return place(order, leaves or graph.leaves, spaces)


_Part = tuple[list[Node], list[Node]]


def _parts(graph: Graph) -> list[_Part]:
    """The copies that each part of the graph begins with, and its nodes, which read the copies from now on."""
    parts: list[_Part] = [([], [])]
    known: dict[tuple[Node, int], Node] = {}
    device = -1
    for node in graph.nodes:
        if node.root is not None:
            node.device = node.root.device
        else:
            if node.device != device:
                device = node.device
                parts.append(([], []))
            _read_copies(node, device, known, parts[-1][0])
        parts[-1][1].append(node)
    return parts


def _read_copies(node: Node, device: int, known: dict[tuple[Node, int], Node], copies: list[Node]) -> None:
    """Lets `node` read copies of what lies on other devices."""
    for source in node.sources:
        owner = source.root or source
        if owner.device == device or owner.stored:
            continue
        key = (source, device)
        if key not in known:
            known[key] = _copy(source, device)
            known[key].mask = owner.mask
            known[key].origin = source
            copies.append(known[key])
        node.sources = tuple(known[key] if each is source else each for each in node.sources)


def _reader(copy: Node) -> Node:
    """What keeps the origin of a copy until the copy is made."""
    reader = Node(0, None, (copy.origin,) if copy.origin else (), device=HOST)
    reader.stored = True
    return reader


def _copy(node: Node, device: int, *, kept: bool = False) -> Node:
    copy = Node(node.bytes, node.shape, device=device)
    copy.kept = kept
    return copy
