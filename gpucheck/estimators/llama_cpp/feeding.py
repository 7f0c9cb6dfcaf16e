"""Feed-forward blocks in llama.cpp's graphs, dense and routed; after src/llama-graph.cpp, commit 0c1e570."""

from __future__ import annotations

from dataclasses import dataclass

from gpucheck.estimators.llama_cpp.blocks import Builder
from gpucheck.estimators.llama_cpp.graph import Node
from gpucheck.models.architecture import Experts, FeedForward

_INDEX = 4
_MOST_FUSED = 15  # experts that one of CUDA's kernels weighs and adds


@dataclass(frozen=True, kw_only=True)
class Routing:
    """How a family picks experts: what it does beside the matrices that every mixture has."""

    bias: bool = False
    normalize: bool = True
    late_softmax: bool = False
    weight_first: bool = False
    fused: bool = False
    logits: Node | None = None


class Feeding(Builder):
    """A builder of feed-forward blocks."""

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
        weighed = result if self.batch.cuda and not routing.weight_first else None  # CUDA weighs and adds in one
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
        if weighed is not None and used <= _MOST_FUSED:
            reader = Node(0, None, (weighed, weights))
            reader.stored = True
            self.graph.expand(reader)
        return total
