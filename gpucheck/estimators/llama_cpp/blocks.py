"""The blocks of llama.cpp's graphs: attention and feed-forward, as tensors with their bytes and readers.

Sizes, order and what is written in place follow src/llama-graph.cpp of llama.cpp, commit 0c1e570.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from gpucheck.estimators.llama_cpp.allocator import Graph, Node
from gpucheck.models.architecture import Attention, Experts, FeedForward, LatentAttention

_FLOAT, _INDEX, _LONG = 4, 4, 8
_ROTATION = 64  # the least size of the Hadamard matrix that turns quantized keys and values


class Batch(Struct, frozen=True, kw_only=True):
    """What a graph is built for: tokens and logits rows of one micro-batch, and the cells that attention sees.

    `cells` and `swa_cells` are those of one of the `streams`. `quantized_k` and `quantized_v`: the cache is
    stored in blocks.
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
    device: bool


@dataclass(frozen=True, kw_only=True)
class Routing:
    """How a family picks experts: what it does beside the matrices that every mixture has."""

    bias: bool = False
    normalize: bool = True
    late_softmax: bool = False
    weight_first: bool = False
    fused: bool = False
    logits: Node | None = None


class Builder:
    """Makes tensors in the order of a forward pass and collects them in `graph`."""

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
        return self.input("swa_mask" if sliding else "mask", cells * self.tokens * (2 if self.batch.flash else 4))

    def rotated(self, node: Node, size: int, name: str) -> Node:
        """`node` times a Hadamard matrix, as llama.cpp does before it quantizes keys or values."""
        matrix = self.input(name, size * size * _FLOAT)
        shape = node.shape
        product = Node(node.bytes, (size, node.bytes // size), (matrix, self.view(node, (size, node.bytes // size))))
        return self.view(product, shape)

    def attention(self, query: Node, key: Node | None, value: Node | None, layer: Attention, gaps: bool) -> Node:
        """Attention of heads over the cache, before its output matrix. `gaps`: `value` is a part of a fused matrix."""
        batch, graph = self.batch, self.graph
        swa = "swa_" if layer.window is not None else ""
        turned = batch.quantized_v and layer.v_head_dim % _ROTATION == 0
        if batch.quantized_k and layer.head_dim % _ROTATION == 0:
            size = _ROTATION
            while layer.head_dim % (2 * size) == 0:
                size *= 2
            query = self.rotated(query, size, f"{swa}k_rot")
            key = key and self.rotated(key, size, f"{swa}k_rot")
        if turned:
            value = value and self.rotated(value, _ROTATION, f"{swa}v_rot")
        ordered = (query, key, value) if swa else (query, value, key)
        for node in ordered:
            if node is not None:
                graph.expand(node)
        if key is not None and value is not None:
            self.write(key, value, layer, gaps, swa)
        result = self.scores(query, self.mask(layer), layer.num_attention_heads, layer.v_head_dim)
        graph.expand(result)
        if turned:
            result = self.rotated(result, _ROTATION, f"{swa}v_rot")
        return result

    def write(self, key: Node, value: Node, layer: Attention, gaps: bool, swa: str) -> None:
        """Keys and values into the cache; without flash attention values are stored one by one."""
        self.store(self.view(key), self.input(f"{swa}k_idxs", self.tokens * _LONG))
        width = layer.num_key_value_heads * layer.v_head_dim
        if self.batch.flash:
            self.store(self.view(value), self.input(f"{swa}v_idxs", self.tokens * _LONG))
            return
        flat = self.new(width, value) if gaps else self.view(value)
        widest = max(width, self.widest_value)
        if widest > width:
            flat = self.new(widest, flat)
        self.store(flat, self.input(f"{swa}v_idxs", self.tokens * widest * _LONG))

    widest_value = 0
    value_norm = False
    repeats_keys = False  # of Gated DeltaNet, for every value head (Qwen3-Next)
    state_norm = True  # Mamba-2's output has a norm of its own
    latent_bytes = 0  # of one element of every cell: latents are transposed without flash attention
    position_numbers = 1

    def scores(self, query: Node, mask: Node, heads: int, v_head_dim: int, widen: int = 0) -> Node:
        """Scores, softmax and weighted values; `widen` is the head size that latent values are spread to."""
        batch = self.batch
        cells = batch.swa_cells if mask is self.inputs.get("swa_mask") else batch.cells
        looked = self.view(query)
        if batch.flash:
            result = self.new(v_head_dim, looked, mask, heads=heads)
            if widen:
                result = self.new(widen, self.view(result), heads=heads)
                result = self.new(widen * heads, self.view(result))
            return self.view(result, (v_head_dim * heads, 1, self.tokens)) if not widen else result
        products = self.new(cells, looked, heads=heads)
        products = Node(products.bytes, products.shape, (products, mask), in_place=True)
        turned = (Node(self.latent_bytes * v_head_dim, None, (self.cache,)),) if widen else ()
        result = self.new(v_head_dim, *turned, products, heads=heads)
        if widen:
            result = self.new(widen, result, heads=heads)
        return self.new((widen or v_head_dim) * heads, self.view(result))

    def attend(
        self, source: Node, layer: Attention, hidden: int, *, rope: bool = True, whole_norm: bool = False
    ) -> Node:
        """A whole attention block, from the normed input to its output matrix."""
        query_width = layer.num_attention_heads * layer.head_dim
        key_width = layer.num_key_value_heads * layer.head_dim
        value_width = layer.num_key_value_heads * layer.v_head_dim
        normed = layer.qk_norm != "none"
        key: Node | None = None
        value: Node | None = None
        if layer.fused_qkv:
            fused = self.new(query_width + key_width + value_width, source)
            query, key, value = self.view(fused), self.view(fused), self.view(fused)
            if rope or normed:
                query = self.new(layer.head_dim, query, *self.positions(rope), heads=layer.num_attention_heads)
                key = self.new(layer.head_dim, key, *self.positions(rope), heads=layer.num_key_value_heads)
        else:
            query = self.new(query_width * (2 if layer.output_gate else 1), source)
            gated = query
            if layer.output_gate:
                query = self.new(layer.head_dim, self.view(query), heads=layer.num_attention_heads)
                query = self.over(query)
            elif whole_norm:
                query = self.heads(self.norm(query), layer.head_dim, layer.num_attention_heads)
            else:
                query = self.heads(query, layer.head_dim, layer.num_attention_heads)
                query = self.norm(query) if normed else query
            query = self.over(query, *self.positions(rope)) if rope else query
            if not layer.shares_cache:
                key, value = self.keys(source, layer, rope, whole_norm)
        if layer.output_gate:
            gate = self.new(query_width, self.view(gated))
            attended = self.attention(query, key, value, layer, layer.fused_qkv)
            attended = self.over(attended, self.over(gate))
        else:
            attended = self.attention(query, key, value, layer, layer.fused_qkv)
        return self.new(hidden, attended)

    def keys(self, source: Node, layer: Attention, rope: bool, whole_norm: bool) -> tuple[Node, Node]:
        """Keys and values of the new tokens."""
        key = self.new(layer.num_key_value_heads * layer.head_dim, source)
        shared = key
        if whole_norm:
            key = self.norm(key)
        key = self.heads(key, layer.head_dim, layer.num_key_value_heads)
        if layer.value_is_key:
            value = self.heads(shared, layer.v_head_dim, layer.num_key_value_heads)
        else:
            value = self.new(layer.num_key_value_heads * layer.v_head_dim, source)
            value = self.heads(value, layer.v_head_dim, layer.num_key_value_heads)
        if layer.qk_norm != "none" and not whole_norm:
            key = self.norm(key)
        if self.value_norm:
            value = self.over(value)
        key = self.over(key, *self.positions(rope)) if rope else key
        return key, value

    def positions(self, rope: bool = True) -> tuple[Node, ...]:
        """The input that rotary embeddings read, none without them."""
        return (self.input("positions", self.tokens * _INDEX * self.position_numbers),) if rope else ()

    def feed_forward(self, source: Node, layer: FeedForward, hidden: int, count: int) -> Node:
        """A dense block on `count` tokens, from the normed input to its last matrix."""
        width = layer.intermediate_size
        if layer.fused:
            inner = self.new(width, self.new(2 * width, source, count=count), count=count)
        elif layer.matrices == 3:
            up = self.new(width, source, count=count)
            inner = self.new(width, self.new(width, source, count=count), up, count=count)
        else:
            inner = self.over(self.new(width, source, count=count))
        return self.new(hidden, inner, count=count)

    def experts(self, source: Node, layer: Experts, hidden: int, count: int, routing: Routing) -> Node:
        """The routed experts on `count` tokens: `source` is the normed input."""
        used, width = layer.num_experts_per_tok, layer.moe_intermediate_size
        logits = routing.logits or self.new(layer.num_experts, source, count=count)
        probabilities = logits if routing.late_softmax else self.over(logits)
        selection = self.over(probabilities) if routing.bias else probabilities
        order = Node(_INDEX * layer.num_experts * count, (-1, layer.num_experts, count), (selection,))
        chosen = self.view(order)
        weights = self.new(used, self.view(probabilities), chosen, count=count)
        weights = self.over(self.view(weights, weights.shape)) if routing.late_softmax else weights
        if routing.normalize:
            flat = self.view(weights, (used, 1, count))
            total = self.over(self.new(1, flat, count=count))
            weights = self.view(self.over(flat, total), (1, used, count))
        self.graph.expand(weights)
        source = self.view(source, (hidden, 1, count))
        if routing.weight_first:
            repeated = self.new(hidden, source, heads=used, count=count)
            source = self.over(repeated, weights)
        up = self.new(width, source, chosen, heads=used, count=count)
        if routing.fused:
            both = self.new(2 * width, source, chosen, heads=used, count=count)
            inner = self.new(width, self.view(both), self.view(both), heads=used, count=count)
        elif layer.matrices == 3:
            gate = self.new(width, source, chosen, heads=used, count=count)
            inner = self.new(width, gate, up, heads=used, count=count)
        else:
            inner = self.over(up)
        result = self.new(hidden, inner, chosen, heads=used, count=count)
        if layer.bias:
            result = self.over(result, chosen)
        if not routing.weight_first:
            result = self.over(result, weights)
        self.graph.expand(result)
        parts = [self.view(result, None if used > 1 else result.shape) for _ in range(used)]
        for part in parts:
            self.graph.expand(part)
        if used == 1:
            return self.new(hidden, parts[0], count=count)
        total = self.new(hidden, parts[0], parts[1], count=count)
        self.graph.expand(total)
        for part in parts[2:]:
            total = self.over(total, part)
            self.graph.expand(total)
        return total

    def latent(self, source: Node, layer: LatentAttention, hidden: int) -> Node:
        """Multi-head latent attention over the cached latents."""
        heads, rank, rope = layer.num_attention_heads, layer.kv_lora_rank, layer.qk_rope_head_dim
        inner = source if layer.q_lora_rank is None else self.norm(self.new(layer.q_lora_rank, source))
        query = self.heads(
            self.new(heads * (layer.qk_nope_head_dim + rope), inner), layer.qk_nope_head_dim + rope, heads
        )
        compressed = self.new(rank + rope, source)
        rotary_key = self.new(rope, self.view(compressed), *self.positions())
        latent = self.over(self.new(rank, self.view(compressed)))
        rotary = self.new(rope, self.view(query), *self.positions(), heads=heads)
        absorbed = self.new(rank, self.view(query), heads=heads)
        query = self.new(rank + rope, self.view(absorbed), rotary, heads=heads)
        key = self.new(rank + rope, self.view(latent, (rank, 1, self.tokens)), rotary_key)
        for node in (query, latent, key):
            self.graph.expand(node)
        self.store(self.view(key), self.input("k_idxs", self.tokens * _LONG))
        result = self.scores(query, self.mask(None), heads, rank, layer.v_head_dim)
        self.graph.expand(result)
        return self.new(hidden, result)
