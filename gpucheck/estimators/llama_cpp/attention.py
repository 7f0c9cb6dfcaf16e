"""Attention in llama.cpp's graphs: of heads, and latent. Order and sizes follow src/llama-graph.cpp, commit 0c1e570."""

from __future__ import annotations

from gpucheck.estimators.llama_cpp.blocks import Builder
from gpucheck.estimators.llama_cpp.graph import Node
from gpucheck.models.architecture import Attention, LatentAttention

_HALF, _INDEX, _LONG = 2, 4, 8
_ROTATION = 64  # the least size of the Hadamard matrix that turns quantized keys and values


class Attending(Builder):
    """A builder of attention."""

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
        keys, values = layer.num_key_value_heads * layer.head_dim, layer.num_key_value_heads * layer.v_head_dim
        room = self.converted(layer.window is not None, keys, values)
        result = self.scores(query, self.mask(layer), layer.num_attention_heads, layer.v_head_dim, room)
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

    def converted(self, sliding: bool, keys: int, values: int) -> int:
        """Bytes behind the output of CUDA's fused kernel: 16-bit copies of the keys and values of a quantized cache."""
        batch = self.batch
        if not (batch.cuda and batch.flash):
            return 0
        cells = (batch.swa_cells if sliding else batch.cells) * batch.streams
        return _HALF * cells * (keys * batch.quantized_k + values * batch.quantized_v)

    def scores(self, query: Node, mask: Node, heads: int, v_head_dim: int, room: int = 0) -> Node:
        """Scores, softmax and weighted values; `room` is what the fused kernel needs behind its output."""
        batch = self.batch
        cells = batch.swa_cells if mask is self.inputs.get("swa_mask") else batch.cells
        looked = self.view(query)
        if batch.flash:
            result = self.new(v_head_dim, looked, mask, heads=heads)
            size = result.bytes
            result.bytes += room
            return self.view(result, (v_head_dim * heads, 1, self.tokens), size)
        products = self.new(cells, looked, heads=heads)
        products = Node(products.bytes, products.shape, (products, mask), in_place=True)
        result = self.new(v_head_dim, products, heads=heads)
        return self.new(v_head_dim * heads, self.view(result))

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
        result = self.latent_scores(query, heads, rank, layer.v_head_dim, self.converted(False, rank + rope, 0))
        self.graph.expand(result)
        return self.new(hidden, result)

    def latent_scores(self, query: Node, heads: int, rank: int, v_head_dim: int, room: int) -> Node:
        """Scores and weighted latents, which are spread to values afterwards."""
        mask = self.mask(None)
        looked = self.view(query)
        if self.batch.flash:
            result = self.new(rank, looked, mask, heads=heads)
            size = result.bytes
            result.bytes += room
            result = self.new(v_head_dim, self.view(result, size=size), heads=heads)
        else:
            products = self.new(self.batch.cells, looked, heads=heads)
            products = Node(products.bytes, products.shape, (products, mask), in_place=True)
            turned = Node(self.latent_bytes * rank, None, (self.cache,))
            result = self.new(v_head_dim, self.new(rank, turned, products, heads=heads), heads=heads)
        return self.new(v_head_dim * heads, self.view(result))
