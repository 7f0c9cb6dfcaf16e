"""Activations of a training step at its widest moments: the loss, and the backward pass of one layer."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.estimators.training.options import BYTES, TrainingOptions
from gpucheck.estimators.training.saved import Keeping, backward_bytes, layer_bytes, norm_bytes
from gpucheck.estimators.training.trained import targets_of
from gpucheck.models.architecture import Architecture, Attention, Recurrent

# For each logit, in bytes. transformers (loss/loss_utils.py): logits in 32 bits, of which log_softmax keeps its own,
# and backward both gradients in 32 bits: 4 + 4 + 4; the 16-bit logits are gone by then. torchtune's
# CEWithChunkedOutputLoss: 16-bit logits, what log_softmax keeps of every chunk, one chunk of 8 in work.
_LOGIT, _CHUNKED_LOGIT, _CHUNKS = 12, 7, 8
_CAPPED = frozenset({"gemma2"})  # logits through a tanh, whose result is kept in 16 bits
_FUSED_ROWS = 1024  # Liger and cut cross-entropy never have more rows of logits than about this
_FINAL = 12  # the final norm's backward, in 32 bits: three vectors


class Activations(Struct, frozen=True):
    """Bytes on one GPU, for its micro-batch: what is kept until backward, and what each phase has beside it.

    `loss_bytes` is the phase of the loss, `layer_bytes` that of the layer with the widest backward pass, recomputed
    or not; `end_bytes` is what the first layer has when all others are done,
    and `last_bytes` what is left when it is done too.
    """

    kept_bytes: int
    loss_bytes: int
    layer_bytes: int
    end_bytes: int
    logits_bytes: int
    recurrent: bool
    host_bytes: int = 0
    last_bytes: int = 0


def activations(  # noqa: PLR0913 (what is run, and how)
    architecture: Architecture, tokens: int, batch: int, options: TrainingOptions, *, full: bool, own_code: bool = False
) -> Activations:
    """The activations of `batch` sequences of `tokens` on one GPU of those that share the model.

    `own_code`: the framework has models of its own (torchtune, litgpt), whose GELU is one operator.
    """
    keeping = replace(keeping_of(options, tokens, full=full), fused_gelu=own_code)
    hidden, rows = architecture.hidden_size, tokens * batch
    kept = {layer: layer_bytes(architecture, layer, keeping) for layer, _ in architecture.groups}
    wide = {layer: backward_bytes(architecture, layer, keeping) for layer, _ in architecture.groups}
    share = _shared(options)
    checkpointed = options.gradient_checkpointing == "full"
    inputs = hidden * keeping.stream
    stages = options.pipeline_parallel  # the first stage has as many micro-batches under way as there are stages
    layers = sum(inputs if checkpointed else kept[layer] * share for layer in architecture.layers)
    working = max((kept[layer] * share * checkpointed + wide[layer] * share for layer in kept), default=0)
    first = architecture.layers[0]
    end = kept[first] * share + wide[first] * share
    final = norm_bytes(architecture, hidden, keeping) + hidden * keeping.stream + _rotary(architecture)
    logit = _logits(architecture, rows, options)
    beside = (layers + final) * rows / stages + logit
    loss = max(beside, (layers + final + _FINAL * hidden) * rows)
    offloaded = options.activation_offload
    held = 0 if offloaded else layers
    if offloaded:  # two layers' worth is on its way at a time
        loss -= layers * rows - min(2 * inputs, layers) * rows
    return Activations(
        kept_bytes=round(layers * rows),
        loss_bytes=round(loss),
        layer_bytes=round((held + working + 2 * inputs * offloaded) * rows),
        end_bytes=round(end * rows),
        logits_bytes=round(logit),
        recurrent=any(isinstance(layer.recurrent, Recurrent) for layer in kept),
        host_bytes=round(layers * rows) if offloaded else 0,
        last_bytes=2 * inputs * rows,
    )


def keeping_of(options: TrainingOptions, tokens: int, *, full: bool) -> Keeping:
    """Which tensors are kept under these options."""
    weight = BYTES[options.weight_dtype]
    element = 2 if options.autocast else weight
    copied = not full and BYTES[options.lora_dtype] > element
    copy = 0 if full else 4 if copied and not options.autocast else 2 if copied else 0
    eager = options.attn_implementation == "eager" and options.gradient_checkpointing != "selective"
    return Keeping(
        element=element,
        stream=max(weight, element),
        full=full,
        targets=None if full else targets_of(options),
        copy=copy,
        dropout=not full and options.lora_dropout > 0,
        scores=tokens if eager else 0,
    )


def _logits(architecture: Architecture, rows: int, options: TrainingOptions) -> float:
    if not architecture.head or not architecture.vocab_size:
        return 0
    vocab = architecture.vocab_size / options.tensor_parallel
    if architecture.model_type in _CAPPED and options.chunked_loss == "none":
        return vocab * rows * (_LOGIT + 2)
    if options.chunked_loss == "fused":
        return vocab * _LOGIT * min(rows, _FUSED_ROWS)
    return vocab * rows * (_CHUNKED_LOGIT if options.chunked_loss == "output" else _LOGIT)


def _rotary(architecture: Architecture) -> int:
    """Sines and cosines of every position."""
    attention = architecture.layers[0].attention
    return 4 * attention.head_dim if isinstance(attention, Attention) and not architecture.position_embeddings else 0


def _shared(options: TrainingOptions) -> float:
    """What one GPU keeps of a layer under tensor parallelism: Korthikanti et al. 2022 (arXiv 2205.05198), table 2.

    Of 34 bytes 10 are not divided (inputs of norms and blocks) unless the sequence is divided there.
    """
    ways = options.tensor_parallel
    return 1 / ways if options.sequence_parallel else (10 + 24 / ways) / 34
