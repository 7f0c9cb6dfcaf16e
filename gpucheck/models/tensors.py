"""The tensors that a shape implies, named and laid out as GGUF has them.

Names, and which dimension is the innermost, follow the tables of `gguf-py` (ggml-org/llama.cpp,
gguf-py/gguf/constants.py); which tensors exist follows the modules of transformers 5.24 for each family.
"""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, LatentAttention, Layer
from gpucheck.models.tensor import TensorGroup
from gpucheck.models.tensors_recurrent import RECURRENT, norm, vector

_OUTSIDE = (-1,)

# A layer's norms of the hidden size in their order of use, by how many there are. Two: one before each block.
_NORMS = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
_CROSS_NORMS = ("attn_norm", "cross_attn_norm", "ffn_norm")


def tensor_groups(architecture: Architecture) -> tuple[TensorGroup, ...]:
    """Every tensor of the stack, without its layers for multi-token prediction; a tied head is left out."""
    return (*_outside(architecture), *_layers(architecture, architecture.groups), *architecture.extra_tensors)


def predict_groups(architecture: Architecture) -> tuple[TensorGroup, ...]:
    """The tensors of the layers for multi-token prediction, which follow the others; empty without any.

    Each has the layer itself, the matrix that joins its two inputs, and three norms (DeepSeek-V3's layout). Copies
    of embedding and head, which some checkpoints store again, are not counted.
    """
    first = len(architecture.layers)
    found = tuple((layer, (first + index,)) for index, layer in enumerate(architecture.predict_layers))
    if not found:
        return ()
    positions = tuple(range(first, first + len(found)))
    hidden = architecture.hidden_size
    return (
        TensorGroup("nextn.eh_proj", 2 * hidden, hidden, positions),
        *(vector(role, hidden, positions) for role in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")),
        *_layers(architecture, found),
    )


def _outside(architecture: Architecture) -> Iterator[TensorGroup]:
    """Embeddings, final norm and head."""
    hidden, vocab = architecture.hidden_size, architecture.vocab_size
    if vocab:
        yield TensorGroup("token_embd", hidden, vocab, _OUTSIDE)
    if architecture.position_embeddings:
        yield TensorGroup("position_embd", hidden, architecture.position_embeddings, _OUTSIDE)
    if architecture.token_types:
        yield TensorGroup("token_types", hidden, architecture.token_types, _OUTSIDE)
    if architecture.embedding_norm:
        yield from norm("token_embd_norm", hidden, architecture.norm_bias, _OUTSIDE)
    if width := architecture.per_layer_embedding:
        count = len(architecture.layers)
        yield TensorGroup("per_layer_token_embd", width * count, architecture.per_layer_vocab_size, _OUTSIDE)
        yield TensorGroup("per_layer_model_proj", hidden, width * count, _OUTSIDE)
        yield vector("per_layer_proj_norm", width, _OUTSIDE)
        everywhere = tuple(range(count))
        yield TensorGroup("inp_gate", hidden, width, everywhere)
        yield TensorGroup("proj", width, hidden, everywhere)
        yield vector("post_norm", hidden, everywhere)
    if architecture.final_norm:
        yield from norm("output_norm", hidden, architecture.norm_bias, _OUTSIDE)
    if architecture.head and vocab:
        if not architecture.tie_word_embeddings:
            yield TensorGroup("output", hidden, vocab, _OUTSIDE)
        if architecture.head_bias:
            yield vector("output", vocab, _OUTSIDE)


def _layers(architecture: Architecture, groups: tuple[tuple[Layer, tuple[int, ...]], ...]) -> Iterator[TensorGroup]:
    for layer, positions in groups:
        yield from _layer(architecture, layer, positions)


def _layer(architecture: Architecture, layer: Layer, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """One block: its norms, its mixers, its feed-forward part."""
    hidden = architecture.hidden_size
    names = _CROSS_NORMS if layer.cross_attention else _NORMS
    for index in range(layer.norms):
        yield from norm(names[index] if index < len(names) else f"norm_{index}", hidden, architecture.norm_bias, at)
    if isinstance(layer.attention, LatentAttention):
        yield from _latent(layer.attention, hidden, at)
    elif layer.attention:
        yield from _attention(layer.attention, hidden, "attn", at)
    if layer.cross_attention:
        yield from _attention(layer.cross_attention, hidden, "cross_attn", at)
    if layer.recurrent:
        yield from RECURRENT[layer.recurrent.kind](layer.recurrent, hidden, at)
    if isinstance(layer.feed_forward, Experts):
        yield from _experts(layer.feed_forward, hidden, at)
    elif layer.feed_forward:
        yield from _feed_forward(layer.feed_forward, hidden, at)


def _attention(attention: Attention, hidden: int, name: str, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    queries = attention.num_attention_heads * attention.head_dim
    keys = attention.num_key_value_heads * attention.head_dim
    values = attention.num_key_value_heads * attention.v_head_dim
    outputs = attention.num_attention_heads * attention.v_head_dim
    asked = queries * 2 if attention.output_gate else queries
    wanted = [("q", asked, True)]
    if not attention.shares_cache:
        wanted.append(("k", keys, attention.key_bias))
        if not attention.value_is_key:
            wanted.append(("v", values, True))
    if attention.fused_qkv:
        wanted = [("qkv", sum(rows for _, rows, _ in wanted), True)]
    for part, rows, bias in wanted:
        yield TensorGroup(f"{name}_{part}", hidden, rows, at)
        if attention.qkv_bias and bias:
            yield vector(f"{name}_{part}", rows, at)
    yield TensorGroup(f"{name}_output", outputs, hidden, at)
    if attention.output_bias:
        yield vector(f"{name}_output", hidden, at)
    if attention.qk_norm != "none":
        every = attention.qk_norm == "heads"
        yield vector(f"{name}_q_norm", queries if every else attention.head_dim, at)
        if not attention.shares_cache:
            yield vector(f"{name}_k_norm", keys if every else attention.head_dim, at)
    if attention.sinks:
        yield vector(f"{name}_sinks", attention.num_attention_heads, at)


def _latent(attention: LatentAttention, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """Keys and values come out of the latent vector by two matrices for each head, as GGUF splits kv_b_proj."""
    heads, rank = attention.num_attention_heads, attention.kv_lora_rank
    queries = heads * (attention.qk_nope_head_dim + attention.qk_rope_head_dim)
    if attention.q_lora_rank:
        yield TensorGroup("attn_q_a", hidden, attention.q_lora_rank, at)
        yield vector("attn_q_a_norm", attention.q_lora_rank, at)
        yield TensorGroup("attn_q_b", attention.q_lora_rank, queries, at)
    else:
        yield TensorGroup("attn_q", hidden, queries, at)
    yield TensorGroup("attn_kv_a_mqa", hidden, rank + attention.qk_rope_head_dim, at)
    yield vector("attn_kv_a_norm", rank, at)
    yield TensorGroup("attn_k_b", attention.qk_nope_head_dim, rank * heads, at)
    yield TensorGroup("attn_v_b", rank, attention.v_head_dim * heads, at)
    yield TensorGroup("attn_output", heads * attention.v_head_dim, hidden, at)
    if attention.index_n_heads and attention.index_head_dim:
        size = attention.index_head_dim
        yield TensorGroup("indexer.attn_q_b", attention.q_lora_rank or hidden, attention.index_n_heads * size, at)
        yield TensorGroup("indexer.attn_k", hidden, size, at)
        yield from norm("indexer.k_norm", size, bias=True, at=at)
        yield TensorGroup("indexer.proj", hidden, attention.index_n_heads, at)


def _feed_forward(block: FeedForward, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    width = block.intermediate_size
    first = [("ffn_up", 2 * width)] if block.fused else [("ffn_gate", width), ("ffn_up", width)][3 - block.matrices :]
    for role, rows in first:
        yield TensorGroup(role, hidden, rows, at)
        if block.bias:
            yield vector(role, rows, at)
    yield TensorGroup("ffn_down", width, hidden, at)
    if block.bias:
        yield vector("ffn_down", hidden, at)


def _experts(block: Experts, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    count, used, width = block.num_experts, block.num_experts_per_tok, block.moe_intermediate_size
    inside = block.latent_size or hidden
    yield TensorGroup("ffn_gate_inp", hidden, count, at)
    if block.router_bias:
        yield vector("ffn_gate_inp" if block.bias else "exp_probs_b", count, at)
    if block.latent_size:
        yield TensorGroup("ffn_latent_down", hidden, block.latent_size, at)
        yield TensorGroup("ffn_latent_up", block.latent_size, hidden, at)
    sides = [("ffn_gate", inside, width), ("ffn_up", inside, width), ("ffn_down", width, inside)][3 - block.matrices :]
    for role, row, rows in sides:
        yield TensorGroup(f"{role}_exps", row, rows * count, at, active_rows=rows * used)
        if block.bias:
            yield TensorGroup(f"{role}_exps", rows, count, at, matrix=False, active_rows=used)
    if shared := block.shared_intermediate_size:
        for role, row, rows in (("ffn_gate", hidden, shared), ("ffn_up", hidden, shared), ("ffn_down", shared, hidden))[
            3 - block.matrices :
        ]:
            yield TensorGroup(f"{role}_shexp", row, rows, at)
        if block.shared_gate:
            yield vector("ffn_gate_inp_shexp", hidden, at)
    if block.dense_intermediate_size:
        yield from _feed_forward(FeedForward(intermediate_size=block.dense_intermediate_size), hidden, at)
