"""The graph of a whole model for one micro-batch, family by family.

A model's graph repeats its layers, and the peak of its allocation hardly depends on their number: the graph built
here leaves most repetitions out.
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.estimators.llama_cpp.allocator import DEVICE_ALIGNMENT, Graph, Node, peak_bytes
from gpucheck.estimators.llama_cpp.blocks import Batch, Builder, Routing
from gpucheck.estimators.llama_cpp.recurrent import recurrent
from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, LatentAttention, Layer

_LONGEST_PERIOD, _LONGEST_LEAD = 8, 4  # of a pattern of layers, and of what comes before it
_SETTLED = 6  # layers after which addresses have settled into a cycle
_CYCLE = 12  # layers after which addresses repeat: 1, 2, 3, 4 and 6 divide it


class Style(Struct, frozen=True, kw_only=True):
    """What a family's graph does that its shape does not say.

    `parallel`: feed-forward and attention read the same input ("norm": the same norm, "input": each its own).
    `rope` says which layers turn queries and keys: "all", "sliding" or "none". `residual_first`: the last sum of a
    layer is written over its residual. `late`: rows that need logits are picked after the last layer, not in it.
    `post_norm`: the only norms follow the blocks. `positions`: numbers of each token's position.
    """

    layer_norm: bool = False
    parallel: str = ""
    late: bool = False
    late_before_norm: bool = False
    post_norm: bool = False
    positions: int = 1
    normalize: bool = True
    router_bias: bool = False
    late_softmax: bool = False
    weight_first: bool = False
    repeats: bool = False
    whole_norm: bool = False
    rope: str = "all"
    residual_first: bool = False
    value_norm: bool = False
    state_norm: bool = True


_DEFAULT = Style()
_STYLES = {
    "cohere": Style(layer_norm=True, parallel="norm"),
    "cohere2": Style(layer_norm=True, parallel="norm", rope="sliding"),
    "phi3": Style(residual_first=True),
    "lfm2": Style(residual_first=True),
    "lfm2_moe": Style(residual_first=True, router_bias=True),
    "gpt_neox": Style(layer_norm=True, parallel="input"),
    "phi": Style(layer_norm=True, parallel="norm"),
    "falcon": Style(layer_norm=True, parallel="norm"),
    "falcon_h1": Style(state_norm=False),
    "starcoder2": Style(layer_norm=True),
    "gpt_oss": Style(late=True, late_before_norm=True, late_softmax=True, normalize=False),
    "gemma4": Style(late=True, value_norm=True),
    "gemma4_text": Style(late=True, value_norm=True),
    "qwen3_next": Style(late=True, repeats=True),
    "qwen3_5": Style(late=True, positions=4),
    "qwen3_5_text": Style(late=True, positions=4),
    "qwen3_5_moe": Style(late=True, positions=4),
    "qwen3_5_moe_text": Style(late=True, positions=4),
    "nemotron_h": Style(late=True, rope="none"),
    "olmo2": Style(post_norm=True, whole_norm=True),
    "olmo3": Style(post_norm=True, whole_norm=True),
    "exaone4": Style(post_norm=True),
    "olmoe": Style(normalize=False, whole_norm=True),
    "minimax_m2": Style(whole_norm=True, router_bias=True),
    "llama4": Style(weight_first=True, normalize=False),
    "llama4_text": Style(weight_first=True, normalize=False),
    "deepseek_v2": Style(normalize=False),
    "deepseek_v3": Style(router_bias=True),
    "kimi_k2": Style(router_bias=True),
    "glm4_moe": Style(router_bias=True),
    "glm4_moe_lite": Style(router_bias=True),
    "qwen2_moe": Style(normalize=False),
    "granitemoehybrid": Style(rope="none"),
}


def style_of(architecture: Architecture) -> Style:
    """What is known of the family's graph; that of Llama for a family without an entry."""
    style = _STYLES.get(architecture.model_type, _DEFAULT)
    if architecture.norm_bias and not style.layer_norm:
        return Style(layer_norm=True)
    return style


def compute_bytes(architecture: Architecture, batch: Batch) -> int:
    """The compute buffer that holds a forward pass of `batch`: the CPU's, or one GPU's if it says `device`."""
    alignment = DEVICE_ALIGNMENT if batch.device else 32
    return peak_bytes(forward(architecture, batch), alignment)


def forward(architecture: Architecture, batch: Batch) -> Graph:
    """The graph of one micro-batch, from the embedding to the logits."""
    builder = _Stack(architecture, batch)
    return builder.build()


class _Stack(Builder):
    """A builder that knows the model."""

    def __init__(self, architecture: Architecture, batch: Batch) -> None:
        super().__init__(batch)
        self.model = architecture
        self.style = style_of(architecture)
        self.hidden = architecture.hidden_size
        self.latent_bytes = 2 * batch.cells * batch.streams
        self.repeats_keys, self.state_norm = self.style.repeats, self.style.state_norm
        self.value_norm = self.style.value_norm
        self.position_numbers = self.style.positions
        self.shown = shown_layers(architecture)
        attentions = [layer.attention for layer in architecture.layers if isinstance(layer.attention, Attention)]
        widths = [layer.num_key_value_heads * layer.v_head_dim for layer in attentions]
        self.widest_value = max(widths, default=0)

    def build(self) -> Graph:
        """The whole graph."""
        current = self.embedding()
        extra = self.per_layer_input(current)
        last = len(self.shown) - 1
        for index, layer in enumerate(self.shown):
            early = index == last and not self.style.late
            current = self.layer(layer, current, early)
            if extra is not None:
                current = self.per_layer(current, extra)
        self.head(current)
        return self.graph

    def embedding(self) -> Node:
        """The rows of the embedding; beside the tokens there is always room for vectors instead of them."""
        if self.batch.device:
            return self.input("embedded", self.hidden * self.tokens * 4)
        tokens = self.input("tokens", self.tokens * 4)
        rows = self.new(self.hidden, tokens)
        self.graph.expand(rows)
        self.graph.expand(self.input("vectors", self.hidden * self.tokens * 4))
        if self.model.position_embeddings:
            positions = self.new(self.hidden, self.input("positions", self.tokens * 4))
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
        joined = self.over(mixed, source)
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
        rows = self.over(self.view(self.new(width, tokens), (width // count, count, self.tokens)))
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


def shown_layers(architecture: Architecture) -> tuple[Layer, ...]:
    """The layers without most repetitions of a pattern; all of them where there is no pattern.

    Addresses alternate from one repetition to the next, with a cycle of a few: the number that is left over stays.
    """
    numbers = {layer: number for number, (layer, _) in enumerate(architecture.groups)}
    kinds = [numbers[layer] for layer in architecture.layers]
    for period in range(1, _LONGEST_PERIOD + 1):
        for first in range(_LONGEST_LEAD + 1):
            length = len(kinds) - first
            if length >= 2 * period and kinds[first:-period] == kinds[first + period :]:
                cycle = max(_CYCLE // period, 2)
                kept = max(_SETTLED // period, 2)
                removed = max(length // period - kept, 0) // cycle * cycle
                return architecture.layers[:first] + architecture.layers[first + removed * period :]
    return architecture.layers
