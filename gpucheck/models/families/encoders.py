"""Encoders (BERT and its kin) and encoder-decoders (T5, BART, Whisper).

The stack of an encoder-decoder is its decoder; the encoder is a part beside it. Shapes after the modules of
transformers 5.24.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gpucheck.models.architecture import Architecture, Attention, FeedForward, Layer, Part
from gpucheck.models.families.decoder import Family, attention, decoder, dense_block, layer_count
from gpucheck.models.families.keys import (
    CONTEXT,
    HEADS,
    HIDDEN,
    MOST_CONTEXT,
    MOST_LAYERS,
    MOST_VOCAB,
    VOCAB,
    WIDTH,
    Keys,
)
from gpucheck.models.tensor import TensorGroup
from gpucheck.models.tensors import tensor_groups

_OUTSIDE = (-1,)
_BERT = Family(
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
    norm_bias=True,
    matrices=2,
    embedding_norm=True,
    final_norm=False,
    positions=0,
    window_key="",
)


def bert(keys: Keys) -> Architecture:
    """BERT, RoBERTa, XLM-R and MPNet as embedding models: no head, a pooler that GGUF files leave out."""
    shape = decoder(keys, _BERT)
    hidden = shape.hidden_size
    extra = [TensorGroup("pooler", hidden, hidden, _OUTSIDE), TensorGroup("pooler", hidden, 1, _OUTSIDE, matrix=False)]
    if keys.text("model_type") == "mpnet":
        buckets = keys.count("relative_attention_num_buckets", default=32)
        extra.append(TensorGroup("attn_rel_b", keys.number(*HEADS), buckets, _OUTSIDE, matrix=False))
    return replace(
        shape,
        causal=False,
        head=False,
        token_types=keys.count("type_vocab_size", most=1000),
        extra_tensors=tuple(extra),
    )


def distilbert(keys: Keys) -> Architecture:
    """DistilBERT: BERT without token types and pooler; `dim` and `hidden_dim` are its sizes."""
    named = {
        "hidden_size": keys.number("dim", default=768),
        "intermediate_size": keys.number("hidden_dim", default=3072),
    }
    inner = Keys({**keys.config, **named}, keys.defaults, keys.where)
    return replace(decoder(inner, _BERT), causal=False, head=False)


def nomic_bert(keys: Keys) -> Architecture:
    """Nomic's BERT: rotary, gated, without biases but in the norms."""
    family = Family(
        qkv_bias="qkv_proj_bias",
        mlp_bias="mlp_fc1_bias",
        norm_bias=True,
        embedding_norm=True,
        final_norm=False,
        fused_qkv=True,
        window_key="",
    )
    return replace(
        decoder(keys, family), causal=False, head=False, token_types=keys.count("type_vocab_size", most=1000)
    )


def modernbert(keys: Keys) -> Architecture:
    """ModernBERT: two of three layers look at a window; the first has no norm before its attention."""
    family = Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        mlp_bias="mlp_bias",
        embedding_norm=True,
        fused_qkv=True,
        fused_mlp=True,
        window_key="",
    )
    count = layer_count(keys)
    window = keys.optional("local_attention", most=MOST_CONTEXT) or None
    every = keys.number("global_attn_every_n_layers", most=MOST_LAYERS, default=3)
    block = dense_block(keys, family)
    layers = tuple(
        Layer(
            attention=attention(keys, family, window if index % every else None),
            feed_forward=block,
            norms=2 if index else 1,
        )
        for index in range(count)
    )
    return replace(decoder(keys, family), layers=layers, causal=False, head=False)


def t5(keys: Keys) -> Architecture:
    """The decoder of T5, mT5 and UMT5: attention on the encoder's output in each layer, relative positions."""
    count = keys.number("num_decoder_layers", "num_layers", most=MOST_LAYERS)
    layer = Layer(
        attention=_t5_attention(keys), cross_attention=_t5_attention(keys), feed_forward=_t5_block(keys), norms=3
    )
    shape = _stack(keys, layer, count)
    tied = keys.flag("tie_word_embeddings", default=keys.text("model_type") == "t5")
    return replace(shape, tie_word_embeddings=tied, extra_tensors=_relative(keys, count))


def bart(keys: Keys) -> Architecture:
    """The decoder of BART and mBART: learned positions, a norm behind the embedding."""
    return replace(_with_positions(keys, "decoder", ("max_position_embeddings",), 2), embedding_norm=True)


def whisper(keys: Keys) -> Architecture:
    """The decoder of Whisper, which looks at the 1,500 vectors that the encoder makes of 30 seconds."""
    shape = _with_positions(keys, "decoder", ("max_target_positions",), 0)
    context = keys.number("max_target_positions", most=MOST_CONTEXT, default=448)
    return replace(
        shape,
        max_position_embeddings=context,
        cross_tokens=keys.number("max_source_positions", most=MOST_CONTEXT, default=1500),
    )


def encoder_parts(model_type: str, keys: Keys) -> tuple[Part, ...]:
    """The encoder of an encoder-decoder; nothing for other models."""
    if model_type not in _ENCODERS:
        return ()
    role, reader = _ENCODERS[model_type]
    shape = reader(keys)
    parameters = sum(group.total_elements for group in tensor_groups(shape))
    return (Part(role="audio" if role == "audio" else "encoder", parameters=parameters, architecture=shape),)


def whisper_encoder(keys: Keys) -> Architecture:
    """Whisper's encoder: two convolutions of three frames, stored positions."""
    shape = _with_positions(keys, "encoder", ("max_source_positions",), 0)
    hidden, bins = shape.hidden_size, keys.number("num_mel_bins", most=10_000, default=80)
    extra = (
        TensorGroup("conv1d_1", 3, bins * hidden, _OUTSIDE),
        TensorGroup("conv1d_1", hidden, 1, _OUTSIDE, matrix=False),
        TensorGroup("conv1d_2", 3, hidden * hidden, _OUTSIDE),
        TensorGroup("conv1d_2", hidden, 1, _OUTSIDE, matrix=False),
    )
    return replace(shape, extra_tensors=extra)


def _t5_encoder(keys: Keys) -> Architecture:
    count = keys.number("num_layers", most=MOST_LAYERS)
    shape = _stack(keys, Layer(attention=_t5_attention(keys), feed_forward=_t5_block(keys)), count)
    return replace(shape, vocab_size=0, causal=False, head=False, extra_tensors=_relative(keys, count))


def _bart_encoder(keys: Keys) -> Architecture:
    return replace(_with_positions(keys, "encoder", ("max_position_embeddings",), 2), embedding_norm=True)


def _with_positions(keys: Keys, side: str, positions: tuple[str, ...], more: int) -> Architecture:
    """One side of BART or Whisper; BART's own layers end with a norm, so that only the others have one behind."""
    model_type = keys.text("model_type")
    heads, hidden = keys.number(f"{side}_attention_heads", *HEADS), keys.number(*HIDDEN)
    mixer = Attention(
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=max(hidden // heads, 1),
        v_head_dim=max(hidden // heads, 1),
        qkv_bias=True,
        key_bias=model_type in ("bart", "mbart"),
        output_bias=True,
    )
    block = FeedForward(intermediate_size=keys.number(f"{side}_ffn_dim", *WIDTH), matrices=2, bias=True)
    decodes = side == "decoder"
    layer = Layer(
        attention=mixer, cross_attention=mixer if decodes else None, feed_forward=block, norms=3 if decodes else 2
    )
    shape = _stack(keys, layer, keys.number(f"{side}_layers", most=MOST_LAYERS))
    return replace(
        shape,
        vocab_size=shape.vocab_size if decodes else 0,
        causal=decodes,
        head=decodes,
        norm_bias=True,
        final_norm=model_type != "bart",
        tie_word_embeddings=keys.flag("tie_word_embeddings", default=True),
        position_embeddings=keys.number(*positions, most=MOST_CONTEXT) + more,
    )


def _stack(keys: Keys, layer: Layer, count: int) -> Architecture:
    return Architecture(
        model_type=keys.text("model_type") or "unknown",
        hidden_size=keys.number(*HIDDEN),
        vocab_size=keys.number(*VOCAB, most=MOST_VOCAB),
        layers=(layer,) * count,
        max_position_embeddings=keys.optional(*CONTEXT, most=MOST_CONTEXT) or None,
    )


def _t5_attention(keys: Keys) -> Attention:
    heads, size = keys.number("num_heads"), keys.number("d_kv")
    return Attention(num_attention_heads=heads, num_key_value_heads=heads, head_dim=size, v_head_dim=size)


def _t5_block(keys: Keys) -> FeedForward:
    gated = (keys.text("feed_forward_proj") or "relu").startswith("gated")
    return FeedForward(intermediate_size=keys.number("d_ff"), matrices=3 if gated else 2)


def _relative(keys: Keys, count: int) -> tuple[TensorGroup, ...]:
    """Relative positions: in the first layer for all, in UMT5 in each."""
    buckets = keys.number("relative_attention_num_buckets", default=32)
    at = tuple(range(count)) if keys.text("model_type") == "umt5" else (0,)
    return (TensorGroup("attn_rel_b", keys.number("num_heads"), buckets, at, matrix=False),)


READERS: dict[str, Callable[[Keys], Architecture]] = {
    "bert": bert,
    "roberta": bert,
    "xlm-roberta": bert,
    "camembert": bert,
    "mpnet": bert,
    "distilbert": distilbert,
    "nomic_bert": nomic_bert,
    "modernbert": modernbert,
    "t5": t5,
    "mt5": t5,
    "umt5": t5,
    "bart": bart,
    "mbart": bart,
    "whisper": whisper,
}
_ENCODERS: dict[str, tuple[str, Callable[[Keys], Architecture]]] = {
    "t5": ("encoder", _t5_encoder),
    "mt5": ("encoder", _t5_encoder),
    "umt5": ("encoder", _t5_encoder),
    "bart": ("encoder", _bart_encoder),
    "mbart": ("encoder", _bart_encoder),
    "whisper": ("audio", whisper_encoder),
}
