"""Weights, gradients and optimizer states of one GPU, and what of them lies on the host.

Rajbhandari et al. 2019 (ZeRO, arXiv 1910.02054) for the stages; DeepSpeed's runtime/zero/config.py for buckets and
live parameters; torch's DistributedDataParallel for its buckets; bitsandbytes' optim/optimizer.py for 8-bit states.
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.estimators.stored import Stored
from gpucheck.estimators.training.options import BYTES, TrainingOptions
from gpucheck.estimators.training.trained import (
    adapter_parameters,
    embedding_parameters,
    plain_parameters,
)
from gpucheck.models.model import Model

_F32 = 4
_8BIT = 1 + _F32 / 256  # a byte, and the scale of each block of 256
# Elements kept for each trained parameter, by optimizer; Adafactor keeps a row and a column of each matrix.
_KEPT = {
    "adamw": 2.0, "paged_adamw": 2.0, "lion": 1.0, "muon": 1.0, "sgd_momentum": 1.0, "adafactor": 0.004, "sgd": 0.0,
}  # fmt: skip
_LIVE = 1_000_000_000  # stage3_max_live_parameters
_BUCKET = 500_000_000  # reduce_bucket_size, twice with overlap_comm


class States(Struct, frozen=True):
    """Bytes on one GPU, but `host_*` on the host for each GPU.

    `gathered_bytes` are weights that other GPUs keep, while a layer needs them; `bucket_bytes` are communication
    buffers; `step_bytes` is what the optimizer's step has beside them; `copy_bytes` are weights in 16 bits that
    autocast keeps until backward. `late_bytes` of the gradients come last: those of the embedding and the first layer.
    """

    trained: int
    weights_bytes: int
    weights_low: float
    weights_high: float
    adapter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    gathered_bytes: int
    bucket_bytes: int
    step_bytes: int
    copy_bytes: int
    host_weights_bytes: int
    host_optimizer_bytes: int
    paged: bool
    late_bytes: int = 0


def states_of(model: Model, held: Stored, options: TrainingOptions, task: str, gpus: int) -> States:
    """The states of training `model`, whose weights are stored as `held`, on each of so many GPUs."""
    ranks, stage, cut = options.ranks(gpus), options.stage(gpus), options.model_parallel
    element, total = BYTES[options.weight_dtype], model.total_parameters or 0
    full = task == "full"
    trained, gradient = _trained(model, options, full=full)
    adapters: float = 0 if full else _added(model, options)
    weights: float = total * element if full else round(held.bytes * held.ratio)
    if options.upcast and not full:
        weights += plain_parameters(model) * 2
    kept = _optimizer(options, trained, gradient)
    over = {at: ranks if stage >= at else 1 for at in (1, 2, 3)}
    weights, adapters, gradient, kept = (each / cut for each in (weights, adapters, gradient, kept))
    gathered = min(_live(model, options, weights, total), weights * (1 - 1 / over[3])) if stage == 3 else 0.0
    alone = ranks == 1 and stage == 3 and not options.fsdp  # DeepSpeed gathers its own partition too
    if options.offload_param or alone:
        gathered = min(_live(model, options, weights, total), weights)
    buckets = _buckets(options, stage, ranks, gradient)
    paged = options.optimizer.startswith("paged")
    on_host = options.offload_optimizer or paged
    if options.optimizer_in_backward:
        gradient = _largest(model) * element / cut
    elif stage >= 2:
        gradient = gradient / ranks
    master = options.master_weights and stage >= 1
    step = trained * _F32 / cut / over[1] if master and not options.offload_optimizer else 0
    host = kept / over[1] + (trained * _F32 / cut / over[1] if options.offload_optimizer else 0)
    return States(
        trained=trained,
        weights_bytes=0 if options.offload_param else round(weights / over[3]),
        weights_low=held.low_ratio / held.ratio,
        weights_high=held.high_ratio / held.ratio,
        adapter_bytes=round(adapters / over[3]),
        gradient_bytes=round(gradient),
        optimizer_bytes=0 if on_host else round(kept / over[1]),
        gathered_bytes=round(gathered),
        bucket_bytes=round(buckets),
        step_bytes=round(step),
        copy_bytes=round(2 * total / cut) if full and options.autocast and element == _F32 else 0,
        host_weights_bytes=round(weights / over[3]) if options.offload_param else 0,
        host_optimizer_bytes=round(host) if on_host else 0,
        paged=paged,
        late_bytes=min(round(gradient), round(_late(model) * element / cut / over[2])) if full else 0,
    )


def _trained(model: Model, options: TrainingOptions, *, full: bool) -> tuple[int, float]:
    """Parameters that are trained, and the bytes of their gradients."""
    if full:
        total = model.total_parameters or 0
        return total, total * BYTES[options.weight_dtype]
    adapters = adapter_parameters(model, options)
    gradient = adapters * BYTES[options.lora_dtype]
    if not options.lora_embeddings or model.architecture is None:
        return adapters, gradient
    tables = embedding_parameters(model.architecture)
    return adapters + tables, gradient + tables * (_F32 if options.upcast else BYTES[options.weight_dtype])


def _added(model: Model, options: TrainingOptions) -> int:
    """Bytes of the adapters; embedding and head trained are copies beside frozen ones (modules_to_save)."""
    adapters = adapter_parameters(model, options) * BYTES[options.lora_dtype]
    if not options.lora_embeddings or model.architecture is None:
        return adapters
    return adapters + embedding_parameters(model.architecture) * BYTES[options.weight_dtype]


def _optimizer(options: TrainingOptions, trained: int, gradient: float) -> float:
    """Bytes of the states and of the copies in 32 bits; states have the type of what is trained."""
    if options.optimizer.endswith("8bit"):
        states = 2 * _8BIT * trained
    else:
        states = _KEPT[options.optimizer] * (trained * _F32 if options.master_weights else gradient)
    return states + (trained * _F32 if options.master_weights else 0)


def _live(model: Model, options: TrainingOptions, weights: float, total: int) -> float:
    """Bytes of weights that are together for a while: two layers and what lies outside them, or DeepSpeed's bound."""
    if not options.fsdp:
        return weights * min(1.0, _LIVE / max(total, 1))
    outside = sum(group.total_elements for group in model.groups if group.layers == (-1,))
    layers = len(model.architecture.layers) if model.architecture else 1
    return weights * min(1.0, (outside + 2 * (total - outside) / max(layers, 1)) / max(total, 1))


def _buckets(options: TrainingOptions, stage: int, ranks: int, gradient: float) -> float:
    """DDP copies all gradients; ZeRO-1 and -2 have two buckets under way; shards are reduced layer by layer."""
    if ranks == 1 or options.optimizer_in_backward:
        return 0
    if stage == 0:
        return gradient
    return min(2 * 2 * _BUCKET, gradient) if stage < 3 else 0


def _late(model: Model) -> int:
    """Parameters whose gradients come last: the embedding's (first the head's, where both are one) and layer 0's."""
    tied = model.architecture is not None and model.architecture.tie_word_embeddings
    groups = model.groups
    outside = sum(group.elements for group in groups if group.role == "token_embd" and not tied)
    return outside + sum(group.elements for group in groups if 0 in group.layers)


def _largest(model: Model) -> int:
    return max((group.elements for group in model.groups), default=0)
