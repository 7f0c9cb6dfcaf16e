"""A model's shape out of the metadata and the tensor table of a GGUF file.

Keys and their defaults are those of llama.cpp (src/llama-arch.cpp, src/llama-model.cpp and src/models/*.cpp, commit
0c1e570); the caches of the result are those that llama.cpp builds for the file, not those of the original model.
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, LatentAttention, Layer, Part
from gpucheck.models.families.keys import MOST_CONTEXT, MOST_EXPERTS, MOST_LAYERS, MOST_VOCAB
from gpucheck.models.gguf.blocks import (
    Heads,
    attention_block,
    dense_block,
    experts_block,
    latent_block,
    recurrent_block,
)
from gpucheck.models.gguf.keys import GgufKeys
from gpucheck.models.gguf.names import DIFFUSION, ENCODERS, KNOWN, MODEL_TYPES
from gpucheck.models.gguf.reader import GgufHeader
from gpucheck.models.gguf.table import Roles, TensorTable
from gpucheck.models.gguf.windows import RECURRENT_KINDS, recurrent_layers, window_sizes

_SIDE_BY_SIDE = frozenset({"falcon-h1"})  # attention and mixer in one layer
_GEMMA3N_OWN_CACHES = 20  # layers; the rest use them
_NORM_ROLES = frozenset({
    "attn_norm", "attn_norm_2", "attn_output_norm", "layer_output_norm", "ffn_norm", "post_attention_norm",
    "post_ffw_norm", "post_ffw_norm_1", "post_ffw_norm_2", "pre_ffw_norm_2", "cross_attn_norm", "ffn_norm_exps",
    "attn_post_norm", "ffn_post_norm",
})  # fmt: skip


class GgufShape(Struct, frozen=True):
    """The language model, parts beside it (T5's encoder), and what was assumed."""

    architecture: Architecture
    parts: tuple[Part, ...] = ()
    issues: tuple[str, ...] = ()


def gguf_shape(header: GgufHeader) -> GgufShape:
    """The shape that a header describes.

    An architecture that is not known is read by its usual keys, and an issue says so.

    Raises:
        UsageError: a key that decides the shape is missing, of another kind, or out of bounds; the sentence names it.
    """
    keys, table = GgufKeys(header.metadata), TensorTable(header.tensors)
    if keys.name == "t5":
        decoder = _stack(keys, table, "dec", keys.number("decoder_block_count", MOST_LAYERS, keys.block_count))
        encoder = _stack(keys, table, "enc", keys.block_count)
        count = sum(tensor.elements for tensor in header.tensors if tensor.name.startswith("enc."))
        return GgufShape(decoder, (Part(role="encoder", parameters=count or None, architecture=encoder),))
    stack = "enc" if keys.name == "t5encoder" else ""
    return GgufShape(_stack(keys, table, stack, keys.block_count), issues=_issues(keys))


def _issues(keys: GgufKeys) -> tuple[str, ...]:
    found = []
    if keys.name not in KNOWN:
        found.append(f"the architecture {keys.name!r} is not known: its shape is read by the usual keys")
    if keys.has("attention.kv_lora_rank") and not keys.has("attention.key_length_mla") and keys.name == "deepseek2":
        found.append("an old conversion of latent attention: llama.cpp keeps keys and values of every head")
    if keys.has("attention.kv_lora_rank_swa"):
        found.append("latent attention with a window is taken for one that looks at everything")
    return tuple(found)


def _stack(keys: GgufKeys, table: TensorTable, stack: str, blocks: int) -> Architecture:
    """One stack of layers with its embeddings."""
    hidden, outside = keys.number("embedding_length"), table.outside
    layers = _layers(keys, table, stack, blocks, hidden)
    extra = keys.count("nextn_predict_layers", most=MOST_LAYERS)
    if extra >= blocks:
        raise UsageError(f"{keys.name}.nextn_predict_layers in the file leaves no layer")
    encoder = keys.name in ENCODERS or stack == "enc"
    final = ("enc.output_norm",) if stack == "enc" else ("output_norm", "dec.output_norm")
    return Architecture(
        model_type=MODEL_TYPES.get(keys.name, keys.name),
        hidden_size=hidden,
        vocab_size=0 if stack == "enc" and keys.name == "t5" else _vocabulary(keys, outside),
        layers=layers[: blocks - extra],
        predict_layers=layers[blocks - extra :],
        tie_word_embeddings=bool(table) and "output" not in outside and not encoder,
        max_position_embeddings=keys.count("context_length", most=MOST_CONTEXT) or None,
        causal=not encoder and keys.name not in DIFFUSION and keys.flag("attention.causal", default=True),
        norm_bias=any(f"{role}.bias" in outside for role in final)
        or table.layer(0, stack).any("attn_norm.bias", "attn_output_norm.bias"),
        embedding_norm="token_embd_norm" in outside,
        head=not encoder,
        head_bias="output.bias" in outside,
        position_embeddings=outside.rows("position_embd"),
        token_types=outside.rows("token_types"),
        per_layer_embedding=keys.count("embedding_length_per_layer_input"),
        per_layer_vocab_size=outside.rows("per_layer_token_embd"),
        final_norm=not table or any(role in outside for role in final),
    )


def _vocabulary(keys: GgufKeys, outside: Roles) -> int:
    """Rows of the embedding; the number of tokens where the file has none."""
    found = outside.rows("token_embd") or keys.count("vocab_size", most=MOST_VOCAB)
    found = found or keys.length("tokenizer.ggml.tokens")
    if found > MOST_VOCAB:
        raise UsageError(f"the vocabulary in the file has {found:,} tokens, which no model has")
    return found


def _layers(keys: GgufKeys, table: TensorTable, stack: str, count: int, hidden: int) -> tuple[Layer, ...]:
    """Every layer of a stack, those for multi-token prediction last; equal ones are one object."""
    pool: dict[Layer, Layer] = {}
    layers = []
    for index, numbers in enumerate(_numbers(keys, count)):
        layer = _layer(keys, numbers, hidden, table.layer(index, stack), bool(table), stack == "dec")
        layers.append(pool.setdefault(layer, layer))
    return tuple(layers)


class _Numbers(Struct, frozen=True):
    """What the metadata say of one layer."""

    index: int
    queries: int
    key_heads: int
    width: int
    expert_width: int
    used: int
    window: int | None
    chunked: bool
    recurrent: bool
    shares_cache: bool
    most_queries: int


def _numbers(keys: GgufKeys, count: int) -> tuple[_Numbers, ...]:
    queries = keys.layers("attention.head_count", count)
    key_heads = keys.layers("attention.head_count_kv", count) if keys.has("attention.head_count_kv") else queries
    widths = keys.layers("feed_forward_length", count)
    main = max(0, count - keys.count("nextn_predict_layers", most=MOST_LAYERS))
    windows, chunked = window_sizes(keys, main)
    own_caches = _own_caches(keys, count)
    return tuple(
        _Numbers(
            index=index,
            queries=queries[index],
            key_heads=key_heads[index],
            width=widths[index],
            expert_width=expert_width,
            used=used,
            window=windows[index] if index < main else None,
            chunked=chunked,
            recurrent=index < main and state,
            shares_cache=index >= own_caches,
            most_queries=max(queries),
        )
        for index, (expert_width, used, state) in enumerate(
            zip(
                keys.layers("expert_feed_forward_length", count),
                keys.layers("expert_used_count", count, most=MOST_EXPERTS),
                (*recurrent_layers(keys, main, key_heads, widths), *(False,) * (count - main)),
                strict=True,
            )
        )
    )


def _own_caches(keys: GgufKeys, count: int) -> int:
    """Layers from the first that keep keys and values of their own; the others use them."""
    if keys.name == "gemma3n":
        return _GEMMA3N_OWN_CACHES
    return count - min(count, keys.count("attention.shared_kv_layers", most=MOST_LAYERS))


def _layer(  # noqa: PLR0913, PLR0917 - one layer's numbers and tensors
    keys: GgufKeys, numbers: _Numbers, hidden: int, roles: Roles, known: bool, crossed: bool
) -> Layer:
    """One layer. `known`: the file lists tensors; `crossed`: it also looks at an encoder's output."""
    heads = _heads(keys, numbers, hidden)
    attends = heads and (not numbers.recurrent or keys.name in _SIDE_BY_SIDE)
    return Layer(
        attention=_attention(keys, heads, roles, known) if heads and attends else None,
        recurrent=recurrent_block(keys, RECURRENT_KINDS[keys.name], hidden, numbers.most_queries or 1, roles)
        if numbers.recurrent
        else None,
        cross_attention=attention_block(keys, heads, roles, known, "cross_attn") if heads and crossed else None,
        feed_forward=_feed_forward(keys, numbers, roles, known),
        norms=sum(role in _NORM_ROLES and roles.elements(role) == hidden for role in roles) if known else 2,
    )


def _heads(keys: GgufKeys, numbers: _Numbers, hidden: int) -> Heads | None:
    """The heads of a layer, None if it has no attention. Sliding layers may have heads of another size."""
    if not numbers.queries or not numbers.key_heads:
        return None
    size = max(1, hidden // (keys.count("attention.head_count") or numbers.queries))
    key = keys.number("attention.key_length", default=size)
    value = keys.number("attention.value_length", default=size)
    if numbers.window is not None:
        key = keys.number("attention.key_length_swa", default=key)
        value = keys.number("attention.value_length_swa", default=value)
    return Heads(numbers.queries, numbers.key_heads, key, value, numbers.window, numbers.chunked, numbers.shares_cache)


def _attention(keys: GgufKeys, heads: Heads, roles: Roles, known: bool) -> Attention | LatentAttention:
    if keys.has("attention.key_length_mla") and keys.has("attention.kv_lora_rank"):
        return latent_block(keys, heads.queries)
    return attention_block(keys, heads, roles, known)


def _feed_forward(keys: GgufKeys, numbers: _Numbers, roles: Roles, known: bool) -> FeedForward | Experts | None:
    """Experts, a dense block, or nothing."""
    routed = "ffn_down_exps" in roles if known else _is_routed(keys, numbers.index)
    if routed and keys.count("expert_count", most=MOST_EXPERTS):
        return experts_block(keys, numbers.used, numbers.expert_width or numbers.width, roles, known)
    return dense_block(keys, numbers.width, roles, known)


def _is_routed(keys: GgufKeys, index: int) -> bool:
    """Whether a layer has experts, by the keys: after the leading dense ones, every `interleave`-th."""
    if not keys.count("expert_count", most=MOST_EXPERTS):
        return False
    every = keys.count("moe_every_n_layers", most=MOST_LAYERS)
    if keys.name == "nomic-bert-moe" and every:
        return index % every == 1
    step = keys.number("interleave_moe_layer_step", most=MOST_LAYERS, default=1)
    lead = keys.count("leading_dense_block_count", most=MOST_LAYERS)
    return index >= lead and (keys.name != "llama4" or (index + 1) % step == 0)
