"""What encoders need beside their weights: activations of all tokens at once, and no cache of their own.

Widest is the MLP, before and after its activation function, beside three vectors of a sentence encoder's block and
four of Whisper's. Followed in transformers' BERT, XLM-R and Whisper, where it is exact for every size
(benchmarks/encoders_oracle.py). A gated MLP holds its product as well: by the same reasoning, not followed.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gpucheck.estimators.rows import Row
from gpucheck.estimators.transformers.estimate import ACTIVATIONS_HIGH, ACTIVATIONS_LOW, WORKSPACE
from gpucheck.models.architecture import Architecture, FeedForward
from gpucheck.models.model import Model
from gpucheck.units import MIB

_ELEMENT_BYTES = 2
_SENTENCE_VECTORS, _AUDIO_VECTORS = 3, 4
_SMALL_WORKSPACE, _LARGE_WORKSPACE = 8 * MIB, 80 * MIB  # bounds, as for the activations of language models


def readable_tokens(architecture: Architecture, context: int) -> int:
    """Tokens of a sequence: encoders, and the decoder of Whisper, have places for so many and no more."""
    most = architecture.max_position_embeddings
    bounded = not architecture.causal or architecture.cross_tokens is not None
    return min(context, most) if bounded and most else context


def encoder_elements(shape: Architecture, tokens: int, *, audio: bool = False) -> int:
    """Elements of 16 bits at the widest moment of an encoder that reads so many tokens."""
    widths = [layer.feed_forward for layer, _ in shape.groups]
    wide = max((_inside(block) for block in widths if isinstance(block, FeedForward)), default=0)
    return tokens * (wide + (_AUDIO_VECTORS if audio else _SENTENCE_VECTORS) * shape.hidden_size)


def _inside(block: FeedForward) -> int:
    return (2 if block.matrices == 2 else 3) * block.intermediate_size


def with_encoder(rows: Sequence[Row], model: Model, architecture: Architecture, tokens: int, batch: int) -> list[Row]:
    """The rows of a language model, as they are for an encoder, or with the encoder that Whisper hears with."""
    if not architecture.causal:
        activations = batch * encoder_elements(architecture, tokens) * _ELEMENT_BYTES
        detail = f"activations of {batch:,} x {tokens:,} tokens"
        return [_row(activations, detail) if row.component == "compute" else row for row in rows if _stays(row)]
    heard = next((part.architecture for part in model.parts if part.role == "audio" and part.architecture), None)
    if heard is None or architecture.cross_tokens is None:
        return list(rows)
    listening = batch * encoder_elements(heard, architecture.cross_tokens, audio=True) * _ELEMENT_BYTES
    states = batch * architecture.cross_tokens * heard.hidden_size * _ELEMENT_BYTES
    encoder = _row(listening, f"the encoder on 30 seconds of {batch:,} recording{'s' if batch > 1 else ''}")
    return [_wider(_beside(row, states), encoder) if row.component == "compute" else row for row in rows]


def _beside(row: Row, states: int) -> Row:
    """The decoder's activations beside the encoder's last states."""
    sizes = {name: getattr(row, name) + states for name in ("bytes", "low_bytes", "high_bytes")}
    return replace(row, detail=f"{row.detail}, beside the encoder's states", **sizes)


def _stays(row: Row) -> bool:
    """An encoder keeps no keys and values."""
    return row.component != "kv_cache"


def _row(activations: int, detail: str) -> Row:
    low = round(activations * ACTIVATIONS_LOW) + _SMALL_WORKSPACE
    high = round(activations * ACTIVATIONS_HIGH) + _LARGE_WORKSPACE
    return Row("compute", activations + WORKSPACE, low, high, "formula", detail)


def _wider(decoding: Row, listening: Row) -> Row:
    chosen = max(decoding, listening, key=lambda row: row.bytes)
    return replace(chosen, high_bytes=max(decoding.high_bytes, listening.high_bytes))
