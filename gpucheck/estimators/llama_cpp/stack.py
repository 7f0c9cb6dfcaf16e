"""The graph of a whole model for one micro-batch, family by family.

A model's graph repeats its layers, and the peak of its allocation hardly depends on their number: the graph built
here leaves most repetitions out.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.estimators.llama_cpp.allocator import ALIGNMENT, Peak, Space, place
from gpucheck.estimators.llama_cpp.attention import Attending
from gpucheck.estimators.llama_cpp.blocks import Batch
from gpucheck.estimators.llama_cpp.feeding import Feeding, Routing
from gpucheck.estimators.llama_cpp.graph import HOST, Graph, Node
from gpucheck.estimators.llama_cpp.recurrent import recurrent
from gpucheck.estimators.llama_cpp.scheduler import spread_peaks
from gpucheck.estimators.llama_cpp.styles import style_of
from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, LatentAttention, Layer


def host_peak(architecture: Architecture, batch: Batch, layers: Sequence[Layer]) -> Peak:
    """The compute buffer of the CPU, if it runs everything."""
    graph = _Stack(architecture, batch, layers).build(())
    return place(graph.nodes, graph.leaves, [Space(ALIGNMENT)])[0]


def device_peaks(
    architecture: Architecture, batch: Batch, layers: Sequence[Layer], devices: Sequence[int]
) -> list[Peak]:
    """The compute buffers of the host and of each GPU, if `layers` and the head lie on `devices`.

    Several GPUs work on several micro-batches at once.
    """
    count = max(devices)
    return spread_peaks(_Stack(architecture, batch, layers).build(devices), count, pipelined=count > 1)


class _Stack(Attending, Feeding):
    """A builder that knows the model."""

    def __init__(self, architecture: Architecture, batch: Batch, layers: Sequence[Layer]) -> None:
        super().__init__(batch)
        self.model = architecture
        self.style = style_of(architecture)
        self.hidden = architecture.hidden_size
        self.latent_bytes = 2 * batch.cells * batch.streams
        self.repeats_keys, self.state_norm = self.style.repeats, self.style.state_norm
        self.value_norm = self.style.value_norm
        self.position_numbers = self.style.positions
        self.shown = layers
        attentions = [layer.attention for layer in architecture.layers if isinstance(layer.attention, Attention)]
        widths = [layer.num_key_value_heads * layer.v_head_dim for layer in attentions]
        self.widest_value = max(widths, default=0)

    def build(self, devices: Sequence[int]) -> Graph:
        """The whole graph; `devices` are those of the shown layers and of the head."""
        graph = self.graph
        graph.device = devices[0] if devices else HOST
        current = self.embedding()
        extra = self.per_layer_input(current)
        last = len(self.shown) - 1
        for index, layer in enumerate(self.shown):
            early = index == last and not self.style.late
            if devices and devices[index] != graph.device:
                graph.expand(current)
                graph.device = devices[index]
            current = self.layer(layer, current, early)
            if extra is not None:
                current = self.per_layer(current, extra)
        if devices and devices[-1] != graph.device:
            graph.expand(current)
            graph.device = devices[-1]
        self.head(current)
        return graph

    def embedding(self) -> Node:
        """The rows of the embedding; beside the tokens there is always room for vectors instead of them."""
        tokens = self.input("tokens", self.tokens * 4)
        rows = self.new(self.hidden, tokens)
        rows.device = HOST
        self.graph.expand(rows)
        self.graph.expand(self.input("vectors", self.hidden * self.tokens * 4))
        if self.model.position_embeddings:
            positions = self.new(self.hidden, self.input("positions", self.tokens * 4))
            positions.device = HOST
            rows = self.over(rows, positions)
        return rows

    def norm_of(self, node: Node) -> Node:
        """The family's norm."""
        return self.norm(node, self.style.layer_norm)

    def layer(self, layer: Layer, source: Node, early: bool) -> Node:
        """One block; `early`: only the rows that need logits go on from its middle."""
        style = self.style
        count = self.batch.outputs if early else self.tokens
        normed = source if style.post_norm else self.norm_of(source)
        if self.hybrid:
            self.graph.expand(normed)
        mixed = self.mixer(layer, normed, source)
        inner = normed
        if layer.attention and layer.recurrent and mixed is not None:
            source, mixed = self.over(mixed, source), None
            normed = self.norm_of(source)
            if early:
                source = self.new(self.hidden, source, self.input("out_ids", count * 4), count=count)
                normed = self.norm_of(source)
            return self.over(self.feed(layer, normed, normed, count), source)
        if early and (layer.attention or layer.recurrent or not layer.feed_forward):
            picked = self.input("out_ids", count * 4)
            if mixed is not None:
                mixed = self.new(self.hidden, mixed, picked, count=count)
            source = self.new(self.hidden, source, picked, count=count)
            if style.parallel == "norm":
                inner = self.new(self.hidden, inner, picked, count=count)
        if style.parallel and mixed is not None:
            if style.parallel == "input":
                inner = self.norm_of(source)
            fed = self.feed(layer, inner, inner, count)
            return self.over(self.over(fed, source), mixed)
        if mixed is None:
            fed = self.feed(layer, normed, normed, count)
            return self.over(fed, source)
        if layer.norms >= 4 or style.post_norm:
            mixed = self.norm_of(mixed)
        joined = self.over(source, mixed) if style.both_residuals else self.over(mixed, source)
        if not layer.feed_forward:
            return joined
        inner = joined if style.post_norm else self.norm_of(joined)
        fed = self.feed(layer, inner, joined, count)
        if layer.norms >= 4 or style.post_norm:
            fed = self.norm_of(fed)
        return self.over(joined, fed) if style.residual_first else self.over(fed, joined)

    @property
    def hybrid(self) -> bool:
        """Whether the norm before the mixer is put into the graph by itself (Gated DeltaNet)."""
        return any(layer.recurrent and layer.recurrent.kind == "gated_delta_net" for layer in self.shown)

    def mixer(self, layer: Layer, normed: Node, source: Node) -> Node | None:
        """Attention, recurrence, or both side by side."""
        mixed = None
        if isinstance(layer.attention, LatentAttention):
            mixed = self.latent(normed, layer.attention, self.hidden)
        elif layer.attention:
            rope = self.style.rope == "all" or (self.style.rope == "sliding" and layer.attention.window is not None)
            mixed = self.attend(normed, layer.attention, self.hidden, rope=rope, whole_norm=self.style.whole_norm)
        if layer.recurrent:
            if mixed is not None:
                normed = self.norm_of(source)
            state = recurrent(self, normed, layer.recurrent, self.hidden)
            mixed = state if mixed is None else self.over(mixed, state)
        return mixed

    def feed(self, layer: Layer, normed: Node, joined: Node, count: int) -> Node:
        """The feed-forward block or the experts, with those that every token uses."""
        block = layer.feed_forward
        if isinstance(block, FeedForward):
            return self.feed_forward(normed, block, self.hidden, count)
        if block is None:
            raise ValueError("this layer has no feed-forward block")
        routing = Routing(
            bias=self.style.router_bias,
            normalize=self.style.normalize,
            late_softmax=self.style.late_softmax,
            weight_first=self.style.weight_first,
        )
        if block.dense_intermediate_size:
            return self.beside_dense(block, normed, joined, count)
        routed = self.experts(normed, block, self.hidden, count, routing)
        if not block.shared_intermediate_size:
            return routed
        shared = FeedForward(intermediate_size=block.shared_intermediate_size, matrices=block.matrices)
        common = self.feed_forward(normed, shared, self.hidden, count)
        if block.shared_gate:
            common = self.over(common, self.over(self.new(1, normed, count=count)))
        return self.over(routed, common)

    def beside_dense(self, block: Experts, normed: Node, joined: Node, count: int) -> Node:
        """A dense block and experts on the same input, each normed by itself (Gemma 4)."""
        dense = FeedForward(intermediate_size=block.dense_intermediate_size)
        plain = self.norm_of(self.feed_forward(normed, dense, self.hidden, count))
        source = self.norm_of(joined)
        scaled = self.over(self.over(self.over(joined)))
        logits = self.new(block.num_experts, scaled, count=count)
        routed = self.experts(source, block, self.hidden, count, Routing(fused=True, logits=logits))
        return self.over(plain, self.norm_of(routed))

    def per_layer_input(self, embedded: Node) -> Node | None:
        """The second embedding that Gemma 4 E2B and E4B have, for all layers at once."""
        width = self.model.per_layer_embedding * len(self.model.layers)
        if not width:
            return None
        tokens = self.input("layer_tokens", self.tokens * 4)
        count = len(self.model.layers)
        rows = self.new(width, tokens)
        rows.device = HOST
        rows = self.over(self.view(rows, (width // count, count, self.tokens)))
        self.graph.expand(rows)
        projected = self.over(self.new(width, embedded))
        projected = self.norm(self.view(projected, (width // count, count, self.tokens)))
        summed = self.over(self.over(projected, rows))
        return self.new(width, self.view(summed))

    def per_layer(self, source: Node, extra: Node) -> Node:
        """What a layer adds from its part of the second embedding."""
        inner = self.over(self.over(self.new(self.model.per_layer_embedding, source)), self.view(extra))
        return self.over(self.over(source, self.norm_of(self.new(self.hidden, inner))))

    def head(self, current: Node) -> None:
        """The final norm and the logits, which stay until they are read."""
        count, style = self.batch.outputs, self.style
        if style.late_before_norm:
            current.kept = True
            current = self.new(self.hidden, current, self.input("out_ids", count * 4), count=count)
        current = self.norm_of(current)
        current.kept = True
        if style.late and not style.late_before_norm:
            current = self.new(self.hidden, current, self.input("out_ids", count * 4), count=count)
            current.kept = True
        if not self.model.head:
            self.graph.expand(current)
            return
        logits = self.new(self.model.vocab_size, current, count=count)
        logits.kept = True
        self.graph.expand(logits)
