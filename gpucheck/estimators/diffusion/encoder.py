"""Activations of a text encoder that reads a prompt: small beside its weights.

Followed in transformers' own classes (benchmarks/diffusers_oracle.py): T5 keeps a table of scores and one of
positions, language models all their hidden states and the logits of every token.
"""

from __future__ import annotations

from gpucheck.models.catalogue import model_of
from gpucheck.models.pipelines import Component

_VECTORS = 14  # alive in a layer beside the hidden states


def encoder_elements(component: Component, batch: int) -> int:
    """Elements of 16 bits at the widest moment."""
    config, tokens = component.config, component.tokens
    if "like" in config:
        shape = model_of(config["like"]).architecture
        assert shape is not None
        states = (len(shape.layers) + 1 + _VECTORS) * shape.hidden_size
        return batch * tokens * (states + shape.vocab_size)
    if component.kind in {"T5EncoderModel", "UMT5EncoderModel"}:
        scores, hidden = int(config["num_heads"]) * tokens**2, int(config["d_model"])
        block = round(3 * int(config["d_ff"]) + 6.5 * hidden)  # the gated MLP, and vectors
        return scores + batch * max(scores + 5 * tokens * hidden, block * tokens)
    states = (int(config["num_hidden_layers"]) + 1 + _VECTORS) * int(config["hidden_size"])
    return batch * tokens * states
