"""What loading a checkpoint leaves or needs beside the weights: second copies of tied heads, matrices unpacked."""

from __future__ import annotations

from typing import NamedTuple

from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, Layer
from gpucheck.models.catalogue import catalogue
from gpucheck.models.model import Model

_ELEMENT_BYTES = 2
_HEADS = frozenset({"lm_head.weight", "output.weight"})
# AutoAWQ writes the head of every model, tied or not, so both are loaded before they are tied: Qwen2.5-0.5B and -3B
# peak at exactly that when they answer a short prompt.
_ALWAYS_STORED = frozenset({"awq"})
# A head in an FP8 checkpoint stayed beside the embedding (transformers 4.51.3, Qwen3-0.6B and -1.7B); release 5 ties
# them where both are equal.
_STAYS = frozenset({"fp8"})
# Formats whose matrices are unpacked to 16 bits for a prompt: bitsandbytes always (autograd/_functions.py), AutoAWQ
# from 1024 tokens (modules/linear/gemm.py of 0.2.7).
_UNPACKED_FROM = {"nf4": 2, "nf4-dq": 2, "awq": 1024}
_PACKED = ("gptq", "awq", "nf4", "fp8", "nvfp4", "mxfp4", "int8")


class Checkpoint(NamedTuple):
    """How the weights were stored: the format's name, and whether a tied head is in the files a second time."""

    quant: str = "bf16"
    head_twice: bool = False


PLAIN = Checkpoint()


def head_stored_twice(model: Model) -> bool:
    """Whether the files of a model with tied embeddings hold the head as well.

    Seen in the files' tensors, or in the published count of the catalogue, which then has a vocabulary more.
    """
    architecture = model.architecture
    if architecture is None or not architecture.tie_word_embeddings or not architecture.head:
        return False
    if "head_stored_twice" not in model.memo:
        model.memo["head_stored_twice"] = _listed(model) if model.tensors else _counted(model, architecture)
    return bool(model.memo["head_stored_twice"])


def _listed(model: Model) -> bool:
    return any(tensor.name in _HEADS for tensor in model.tensors or ())


def _counted(model: Model, architecture: Architecture) -> bool:
    published = next((entry.parameters for entry in catalogue() if entry.id == model.id), None)
    if published is None or model.parts:
        return False
    more = published - (model.total_parameters or published)
    return more == architecture.vocab_size * architecture.hidden_size


def staying_head(architecture: Architecture, checkpoint: Checkpoint) -> int:
    """Bytes of a second head that stays in memory."""
    return _head(architecture) if checkpoint.head_twice and checkpoint.quant in _STAYS else 0


def loading_bytes(architecture: Architecture, checkpoint: Checkpoint) -> int:
    """Bytes beside the weights while they are loaded, gone once the head is tied."""
    twice = checkpoint.head_twice or checkpoint.quant in _ALWAYS_STORED
    return _head(architecture) if twice and checkpoint.quant not in _STAYS else 0


def _head(architecture: Architecture) -> int:
    tied = architecture.tie_word_embeddings and architecture.head
    return architecture.vocab_size * architecture.hidden_size * _ELEMENT_BYTES if tied else 0


def unpacked_bytes(architecture: Architecture, checkpoint: Checkpoint, tokens: int) -> int:
    """Bytes that a matrix unpacked for a prompt of so many tokens adds to the widest phase.

    Gate and up are matrices of the same size: while one is worked on, its result of 16 bits for each token is yet to
    come, so that a prompt longer than the hidden size hides the matrix.
    """
    if tokens < _UNPACKED_FROM.get(checkpoint.quant, tokens + 1):
        return 0
    return max(0, largest_matrix(architecture) - tokens * _widest(architecture) * _ELEMENT_BYTES)


def scratch_bytes(architecture: Architecture, checkpoint: Checkpoint) -> int:
    """The most that a kernel of a packed format keeps for itself: one matrix in 16 bits, and as much again."""
    return 2 * largest_matrix(architecture) if checkpoint.quant.startswith(_PACKED) else 0


def largest_matrix(architecture: Architecture) -> int:
    """Bytes in 16 bits of the largest matrix of a layer; each expert has its own."""
    return architecture.hidden_size * _widest(architecture) * _ELEMENT_BYTES


def _widest(architecture: Architecture) -> int:
    return max((_width(layer) for layer, _ in architecture.groups), default=0)


def _width(layer: Layer) -> int:
    block, attention = layer.feed_forward, layer.attention
    widths = [0]
    if isinstance(block, FeedForward):
        widths.append(block.intermediate_size)
    elif isinstance(block, Experts):
        widths += [block.moe_intermediate_size, block.dense_intermediate_size]
    if isinstance(attention, Attention):
        widths.append(attention.num_attention_heads * attention.head_dim)
    return max(widths)
