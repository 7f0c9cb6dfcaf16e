"""Families that differ from a plain decoder in one way of their own."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, FeedForward, Layer
from gpucheck.models.families.decoder import Family, assemble, attention, decoder, layer_count
from gpucheck.models.families.keys import HIDDEN, MOST_HIDDEN, MOST_LAYERS, WIDTH, Keys
from gpucheck.models.tensor import TensorGroup


def bitnet(keys: Keys) -> Architecture:
    """BitNet b1.58 2B4T: a norm of the hidden size before the output of attention, one of the width before down."""
    shape = decoder(keys, Family(qkv_bias="attention_bias", output_bias="attention_bias", norms=3))
    at = tuple(range(len(shape.layers)))
    return replace(shape, extra_tensors=(TensorGroup("ffn_sub_norm", keys.number(*WIDTH), 1, at, matrix=False),))


def apertus(keys: Keys) -> Architecture:
    """Apertus: no gate, and two learned numbers in the activation of each layer (xIELU)."""
    family = Family(
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias", qk_norm="head", matrices=2
    )
    shape = decoder(keys, family)
    at = tuple(range(len(shape.layers)))
    scales = tuple(TensorGroup(f"ffn_act_{name}", 1, 1, at, matrix=False) for name in ("alpha_p", "alpha_n"))
    return replace(shape, extra_tensors=scales)


def afmoe(keys: Keys) -> Architecture:
    """Arcee's Trinity: gated attention, four norms, first layers dense."""
    family = Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        qk_norm="head",
        norms=4,
        output_gate=True,
        full_every=4,
        experts=True,
        router_bias=True,
    )
    return decoder(keys, family)


def nemotron_nas(keys: Keys) -> Architecture:
    """Llama Nemotron of neural architecture search: each layer has its own key heads and width, or leaves one out."""
    count, hidden = layer_count(keys), keys.number(*HIDDEN)
    blocks = keys.config.get("block_configs")
    if not isinstance(blocks, list) or len(blocks) != count:
        raise UsageError(f"block_configs in the configuration does not describe {count} layers")
    family = Family(window_key="")
    inner = {"num_key_value_heads": 1}
    plain = attention(Keys({**keys.config, **inner}, keys.defaults, keys.where), family, None)
    made = []
    extra: list[TensorGroup] = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise UsageError(f"block_configs in the configuration has no group of keys for layer {index}")
        where = f"block_configs[{index}]."
        mixer = Keys(Keys(block, {}, where).part("attention") or {}, {}, f"{where}attention.")
        dense = Keys(Keys(block, {}, where).part("ffn") or {}, {}, f"{where}ffn.")
        absent = mixer.flag("no_op"), dense.flag("no_op")
        linear = mixer.flag("replace_with_linear"), dense.flag("replace_with_linear")
        if linear[0]:
            extra.append(TensorGroup("attn_output", hidden, hidden, (index,)))
        if linear[1]:
            extra.append(TensorGroup("ffn_down", hidden, hidden, (index,)))
        share = None if absent[0] or linear[0] else mixer.number("n_heads_in_group", most=MOST_HIDDEN)
        pairs = None if share is None else max(1, plain.num_attention_heads // share)
        width = None if absent[1] or linear[1] else _nas_width(dense.ratio("ffn_mult", 1.0), hidden)
        made.append(
            Layer(
                attention=None if pairs is None else replace(plain, num_key_value_heads=pairs),
                feed_forward=None if width is None else FeedForward(intermediate_size=width),
                norms=(not absent[0]) + (not absent[1]),
            )
        )
    return replace(assemble(keys, family, tuple(made)), extra_tensors=tuple(extra))


def _nas_width(factor: float, hidden: int) -> int:
    """Two thirds of a multiple of the hidden size, rounded up to 256 (the checkpoints' block_config.py)."""
    return -(-int(2 * factor * hidden / 3) // 256) * 256


def mllama(keys: Keys) -> Architecture:
    """Llama 3.2 Vision: some layers look at the image instead of the text; eight more embeddings than the head has."""
    shape = decoder(keys, Family())
    crossing = set(keys.numbers("cross_attention_layers", most=MOST_LAYERS) or (3, 8, 13, 18, 23, 28, 33, 38))
    plain = replace(attention(keys, Family(), None), qk_norm="head")
    first = shape.layers[0]
    layers = tuple(
        Layer(cross_attention=plain, feed_forward=first.feed_forward) if index in crossing else first
        for index in range(len(shape.layers))
    )
    at = tuple(index for index in range(len(layers)) if index in crossing)
    extra = (
        TensorGroup("token_embd", shape.hidden_size, 8, (-1,)),
        *(TensorGroup(role, 1, 1, at, matrix=False) for role in ("cross_attn_attn_gate", "cross_attn_mlp_gate")),
    )
    return replace(shape, layers=layers, extra_tensors=extra)


READERS: dict[str, Callable[[Keys], Architecture]] = {
    "bitnet": bitnet,
    "apertus": apertus,
    "afmoe": afmoe,
    "nemotron-nas": nemotron_nas,
    "mllama_text_model": mllama,
}
