"""The recurrent blocks of llama.cpp's graphs: Mamba, Mamba-2, Gated DeltaNet and short convolutions.

Order and sizes follow src/models/{mamba-base,delta-net-base,qwen35,qwen3next,lfm2}.cpp of llama.cpp, commit
0c1e570. The state of each sequence is copied out of the cache, and the new one is computed beside the output.
"""

from __future__ import annotations

from gpucheck.estimators.llama_cpp.blocks import Builder
from gpucheck.estimators.llama_cpp.graph import Node
from gpucheck.models.architecture import Recurrent

_FLOAT = 4


def recurrent(builder: Builder, source: Node, layer: Recurrent, hidden: int) -> Node:
    """The block of this kind, from the normed input to its output matrix.

    Kinds whose graph is not described here (KDA, lightning attention, RWKV) are taken for Gated DeltaNet of the
    same sizes.
    """
    if layer.kind == "short_conv":
        return _short_conv(builder, source, layer, hidden)
    if layer.kind == "mamba":
        return _mamba(builder, source, layer, hidden)
    if layer.kind == "mamba2":
        return _mamba2(builder, source, layer, hidden)
    return _delta_net(builder, source, layer, hidden)


def _state(builder: Builder, floats: int) -> Node:
    """The states of all sequences, read from the cache."""
    copies = builder.input("s_copy", builder.batch.sequences * 4)
    state = Node(_FLOAT * floats * builder.batch.sequences, (floats, builder.batch.sequences), (builder.view(copies),))
    builder.graph.expand(state)
    return state


def _joined(builder: Builder, state: Node, source: Node, layer: Recurrent, channels: int) -> tuple[Node, Node]:
    """The convolution's input (its old state before the new tokens), and its output, not yet in the graph."""
    batch = builder.batch
    width = batch.tokens + (layer.conv_kernel - 1) * batch.sequences
    joined = Node(_FLOAT * channels * width, (width, channels), (builder.view(state), builder.view(source)))
    builder.store(builder.view(joined))
    return joined, Node(_FLOAT * channels * batch.tokens, (channels, 1, batch.tokens), (joined,))


def _mamba2(builder: Builder, source: Node, layer: Recurrent, hidden: int) -> Node:
    batch, inner = builder.batch, layer.inner_size
    channels = inner + 2 * layer.group_count * layer.state_size
    heads, head_dim = layer.head_count, inner // layer.head_count
    state = _state(builder, (layer.conv_kernel - 1) * channels)
    projected = builder.new(inner + channels + heads, source)
    gate, mixed, step = (builder.view(projected) for _ in range(3))
    _, convolved = _joined(builder, state, mixed, layer, channels)
    convolved = builder.over(builder.over(convolved))
    values, keys, queries = (builder.view(convolved) for _ in range(3))
    steps = builder.over(builder.new(heads, step))
    copies = builder.view(builder.input("s_copy", batch.sequences * 4))
    states = layer.state_size * inner * batch.sequences
    size = _FLOAT * (inner * batch.tokens + states)
    scanned = Node(size, (size, 0), (values, steps, keys, queries, copies))
    builder.graph.expand(scanned)
    builder.store(builder.view(scanned))
    shape = (head_dim, heads, batch.tokens)
    output = builder.view(scanned, shape, _FLOAT * inner * batch.tokens)
    output = builder.over(output, builder.new(head_dim, values, heads=heads))
    gated = builder.new(head_dim, builder.new(head_dim, gate, heads=heads), output, heads=heads)
    if builder.state_norm:
        gated = builder.norm(builder.view(gated, (inner // layer.group_count, layer.group_count, batch.tokens)))
    return builder.new(hidden, builder.view(gated))


def _mamba(builder: Builder, source: Node, layer: Recurrent, hidden: int) -> Node:
    batch, inner = builder.batch, layer.inner_size
    rank = layer.head_count  # of the time step
    state = _state(builder, (layer.conv_kernel - 1) * inner)
    projected = builder.new(2 * inner, builder.view(source, source.shape))
    mixed, gate = builder.view(projected), builder.view(projected)
    _, convolved = _joined(builder, state, mixed, layer, inner)
    convolved = builder.over(builder.over(convolved))
    small = builder.new(rank + 2 * layer.state_size, convolved)
    step = builder.over(builder.new(inner, builder.new(rank, builder.view(small))))
    copies = builder.view(builder.input("s_copy", batch.sequences * 4))
    size = _FLOAT * inner * (batch.tokens + layer.state_size * batch.sequences)
    values = builder.view(convolved, (1, inner, batch.tokens))
    scanned = Node(size, (size, 0), (values, step, builder.view(small), builder.view(small), copies))
    builder.graph.expand(scanned)
    builder.store(builder.view(scanned))
    output = builder.view(scanned, (inner, 1, batch.tokens), _FLOAT * inner * batch.tokens)
    output = builder.over(output, builder.over(convolved))
    gated = builder.new(inner, builder.new(inner, gate), output)
    return builder.view(builder.new(hidden, gated), (hidden, 1, batch.tokens))


def _delta_net(builder: Builder, source: Node, layer: Recurrent, hidden: int) -> Node:
    batch, inner = builder.batch, layer.inner_size
    heads, groups = layer.head_count, layer.group_count
    value_dim, key_dim = inner // heads, layer.state_size
    channels = inner + 2 * groups * key_dim
    mixed = builder.new(channels, source)
    gate = builder.new(inner, source)
    beta, decay = _gates(builder, source, heads)
    joined_state = _state(builder, (layer.conv_kernel - 1) * channels)
    _, convolved = _joined(builder, joined_state, builder.view(mixed), layer, channels)
    state = _state(builder, value_dim * value_dim * heads)
    convolved = builder.over(convolved)
    query = builder.over(builder.new(key_dim, builder.view(convolved), heads=groups))
    key = builder.over(builder.new(key_dim, builder.view(convolved), heads=groups))
    if builder.repeats_keys and groups != heads:
        query = builder.view(builder.new(key_dim, builder.view(query), heads=heads))
        key = builder.view(builder.new(key_dim, builder.view(key), heads=heads))
    size = _FLOAT * inner * (batch.tokens + value_dim * batch.sequences)
    sources = (query, key, builder.view(convolved), builder.view(decay), builder.view(beta), builder.view(state))
    scanned = Node(size, (size, 0), sources)
    builder.store(builder.view(scanned))
    output = builder.view(scanned, (value_dim, heads, batch.tokens), _FLOAT * inner * batch.tokens)
    normed = builder.norm(output)
    gate = builder.over(builder.view(gate, normed.shape))
    gated = builder.over(normed, gate)
    return builder.view(builder.new(hidden, builder.view(gated)), (hidden, 1, batch.tokens))


def _gates(builder: Builder, source: Node, heads: int) -> tuple[Node, Node]:
    """The write strength and the decay of each head; Qwen3-Next computes both in one matrix."""
    if builder.repeats_keys:
        both = builder.new(2 * heads, source)
        beta = builder.over(builder.new(heads, builder.view(both)))
        decay = builder.new(heads, builder.view(both))
    else:
        beta = builder.over(builder.view(builder.new(heads, source), (1, heads, builder.tokens)))
        decay = builder.view(builder.new(heads, source), (heads, 1, builder.tokens))
    return beta, builder.over(builder.over(builder.over(decay)))


def _short_conv(builder: Builder, source: Node, layer: Recurrent, hidden: int) -> Node:
    inner = layer.inner_size
    projected = builder.new(3 * inner, builder.view(source, source.shape))
    before, after, values = (builder.view(projected) for _ in range(3))
    product = builder.new(inner, before, values)
    state = _state(builder, (layer.conv_kernel - 1) * inner)
    _, convolved = _joined(builder, state, product, layer, inner)
    gated = Node(convolved.bytes, convolved.shape, (after, convolved), in_place=True)
    return builder.view(builder.new(hidden, gated), (hidden, 1, builder.tokens))
