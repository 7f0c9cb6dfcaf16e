"""Decoders of 2019 to 2023, most with key names and layouts of their own; Llama 4, DBRX and Nemotron-NAS."""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, Layer
from gpucheck.models.families.decoder import Family, assemble, attention, decoder, heads, layer_count
from gpucheck.models.families.keys import HEADS, HIDDEN, MOST_CONTEXT, WIDTH, Keys
from gpucheck.models.families.mixture import experts_of, sparse_layers

_GPT2 = Family(qkv_bias=True, output_bias=True, mlp_bias=True, norm_bias=True, matrices=2, fused_qkv=True, positions=0)


def gpt2(keys: Keys) -> Architecture:
    """GPT-2: everything has a bias, positions are learned."""
    return decoder(keys, _GPT2)


def gpt_bigcode(keys: Keys) -> Architecture:
    """StarCoder 1 and SantaCoder: GPT-2 with one key head."""
    shape = decoder(keys, _GPT2)
    if not keys.flag("multi_query", default=True):
        return shape
    return _with_attention(shape, num_key_value_heads=1)


def gpt_neox(keys: Keys) -> Architecture:
    """GPT-NeoX and Pythia; parallel, but with two norms."""
    family = Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        mlp_bias=True,
        norm_bias=True,
        matrices=2,
        fused_qkv=True,
    )
    return decoder(Keys(keys.config, {"attention_bias": True, **keys.defaults}, keys.where), family)


def gptj(keys: Keys) -> Architecture:
    """GPT-J: one norm, biases in the feed-forward block and the head only."""
    return decoder(keys, Family(mlp_bias=True, head_bias=True, norms=1, norm_bias=True, matrices=2))


def gpt_neo(keys: Keys) -> Architecture:
    """GPT-Neo: every other layer has a window of 256."""
    family = Family(output_bias=True, mlp_bias=True, norm_bias=True, matrices=2, positions=0)
    return decoder(keys, family)


def opt(keys: Keys) -> Architecture:
    """OPT: learned positions, two more than the context (OPTLearnedPositionalEmbedding)."""
    family = Family(qkv_bias=True, output_bias=True, mlp_bias=True, norm_bias=True, matrices=2, positions=2)
    return decoder(keys, family)


def bloom(keys: Keys) -> Architecture:
    """BLOOM: a norm behind the embedding, no positions (ALiBi)."""
    family = Family(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        norm_bias=True,
        matrices=2,
        fused_qkv=True,
        embedding_norm=True,
    )
    return decoder(keys, family)


def mpt(keys: Keys) -> Architecture:
    """MPT: no biases unless `no_bias` is false, a feed-forward width that is a multiple of the hidden size."""
    biased = not keys.flag("no_bias", default=True)
    inner = Keys(keys.part("attn_config") or {}, {}, "attn_config.")
    family = Family(
        qkv_bias=biased,
        output_bias=biased,
        mlp_bias=biased,
        norm_bias=biased,
        matrices=2,
        fused_qkv=True,
        width_ratio=keys.number("expansion_ratio", most=1000, default=4),
        positions=None if inner.flag("alibi", default=True) else 0,
    )
    shape = decoder(keys, family)
    grouped = inner.optional("kv_n_heads")
    return _with_attention(shape, num_key_value_heads=grouped) if grouped else shape


def falcon(keys: Keys) -> Architecture:
    """Falcon 7B (one key head), 40B and 180B (groups, two norms), 11B (groups, one norm)."""
    grouped = keys.flag("new_decoder_architecture")
    norms = keys.count("num_ln_in_parallel_attn", most=2, default=2) if grouped else 1
    if not grouped and not keys.flag("parallel_attn", default=True):
        norms = 2
    biased = keys.flag("bias")
    family = Family(
        qkv_bias=biased,
        output_bias=biased,
        mlp_bias=biased,
        norms=norms,
        norm_bias=True,
        matrices=2,
        fused_qkv=True,
    )
    shape = decoder(keys, family)
    if not grouped:
        pairs = 1 if keys.flag("multi_query", default=True) else keys.number(*HEADS)
        shape = _with_attention(shape, num_key_value_heads=pairs)
    return shape


def stablelm(keys: Keys) -> Architecture:
    """StableLM 2: a norm for each head in the 12B, one norm a layer where the blocks are parallel."""
    family = Family(
        qkv_bias="use_qkv_bias",
        norm_bias=True,
        norms=1 if keys.flag("use_parallel_residual") else 2,
        qk_norm="heads",
        qk_norm_key="qk_layernorm",
    )
    return decoder(keys, family)


def dbrx(keys: Keys) -> Architecture:
    """DBRX: attention and experts in groups of keys of their own; norms without bias."""
    inner = Keys(keys.part("attn_config") or {}, {"kv_n_heads": 8}, "attn_config.")
    routing = Keys(
        keys.part("ffn_config") or {}, {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}, "ffn_config."
    )
    count, _, size = heads(keys)
    layer = Layer(
        attention=Attention(
            num_attention_heads=count,
            num_key_value_heads=inner.number("kv_n_heads"),
            head_dim=size,
            v_head_dim=size,
            fused_qkv=True,
        ),
        feed_forward=experts_of(routing),
    )
    return assemble(keys, Family(), (layer,) * layer_count(keys))


def arctic(keys: Keys) -> Architecture:
    """Snowflake Arctic: in every other layer experts beside a dense block, which is as wide as the hidden size."""
    count, hidden = layer_count(keys), keys.number(*HIDDEN)
    family = Family(window_key="")
    mixer = attention(keys, family, None)
    dense = FeedForward(intermediate_size=keys.number(*WIDTH))
    residual = hidden if keys.flag("parallel_attn_mlp_res", default=True) else 0
    mixture = experts_of(keys, dense_intermediate_size=residual)
    layers = tuple(
        Layer(attention=mixer, feed_forward=mixture if routed else dense, norms=3 if routed and residual else 2)
        for routed in sparse_layers(keys, count)
    )
    return assemble(keys, family, layers)


def llama4(keys: Keys) -> Architecture:
    """Llama 4: chunked attention in three of four layers, one shared expert, dense layers between in Maverick."""
    count = layer_count(keys)
    window = keys.optional("attention_chunk_size", most=MOST_CONTEXT) or None
    plain = attention(keys, Family(qkv_bias="attention_bias", output_bias="attention_bias"), None)
    chunked = replace(plain, window=window, chunked=True) if window else plain
    width = keys.number(*WIDTH)
    mixture = experts_of(keys)
    mixture = replace(mixture, moe_intermediate_size=width, shared_intermediate_size=width)
    dense = FeedForward(intermediate_size=keys.number("intermediate_size_mlp", *WIDTH))
    named = keys.words("layer_types", count)
    rotary = keys.numbers("no_rope_layers", most=1) or ()  # 1: rotary and chunked, in spite of the name
    if named:
        local = tuple(kind == "chunked_attention" for kind in named)
    elif len(rotary) >= count:
        local = tuple(bool(item) for item in rotary[:count])
    else:
        local = tuple((index + 1) % 4 != 0 for index in range(count))
    layers = tuple(
        Layer(attention=chunked if near else plain, feed_forward=mixture if routed else dense)
        for near, routed in zip(local, sparse_layers(keys, count), strict=True)
    )
    return assemble(keys, Family(), layers)


def _with_attention(shape: Architecture, *, num_key_value_heads: int) -> Architecture:
    """`shape` with another number of key heads in each layer."""
    changed = {
        layer: replace(layer, attention=replace(layer.attention, num_key_value_heads=num_key_value_heads))
        for layer, _ in shape.groups
        if isinstance(layer.attention, Attention) and not isinstance(layer.feed_forward, Experts)
    }
    return replace(shape, layers=tuple(changed.get(layer, layer) for layer in shape.layers))
