"""What would make training fit: settings that cost time before those that cost quality; how far a setting could go."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from gpucheck.assess.fit import Change, trained_in
from gpucheck.assess.memory import EffectiveMemory
from gpucheck.assess.workload import Workload
from gpucheck.errors import UsageError
from gpucheck.estimators.setting import Task
from gpucheck.estimators.training.options import TrainingOptions, parse_options

_GOOD = ("yes", "tight")
_SHORTEST = 256
_MOST_BATCH = 4096


def training_changes(memory: EffectiveMemory, workload: Workload) -> tuple[Change, ...]:
    """Changes that make it fit, each worked out anew: those that cost only time first, then those that train less."""
    return tuple(change for what, changed in _ways(workload) if (change := tried(memory, changed, what)))


def tried(memory: EffectiveMemory, workload: Workload | None, what: str) -> Change | None:
    """The change, if the workload then fits; an option of the caller may exclude it."""
    if workload is None:
        return None
    try:
        placed = workload.placed(memory)
    except UsageError:
        return None
    return Change(what, placed.estimate.total_bytes, placed.fits) if placed.fits in _GOOD else None


def largest_micro_batch(memory: EffectiveMemory, workload: Workload) -> int | None:
    """The most sequences at once on each GPU that fit; None if one does not.

    Raises:
        UsageError: an option is not known.
    """
    low, high = 0, 1
    while high <= _MOST_BATCH and _holds(memory, with_batch(workload, high)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(memory, with_batch(workload, middle)) else (low, middle)
    return low or None


def with_batch(workload: Workload, batch: int) -> Workload:
    """The workload with another micro-batch."""
    options = tuple(pair for pair in workload.setting.options if pair[0] != "micro_batch")
    return replace(workload, setting=replace(workload.setting, batch=batch, options=options))


def _holds(memory: EffectiveMemory, workload: Workload) -> bool:
    return workload.placed(memory).fits in _GOOD


def _ways(workload: Workload) -> Iterator[tuple[str, Workload | None]]:
    """What can be changed, in the order of what it costs."""
    setting, options = workload.setting, parse_options(workload.setting.given, workload.setting.engine)
    yield from _of_time(workload, options)
    batch = options.micro_batch or setting.batch
    if batch > 1:
        yield (
            "micro-batch 1 (gradient accumulation makes up for it)",
            with_batch(_with(workload, gradient_accumulation=options.gradient_accumulation * batch), 1),
        )
    if setting.task == "full":
        yield "optimizer adamw_8bit", _with(workload, optimizer="adamw_8bit")
        yield (
            "optimizer_in_backward with paged_adamw_8bit",
            _with(workload, optimizer="paged_adamw_8bit", optimizer_in_backward=True, gradient_accumulation=1),
        )
    if setting.context > _SHORTEST:
        yield f"sequences of {setting.context // 2:,} tokens", _shorter(workload)
    if setting.task == "full":
        yield "LoRA instead of all weights (--task lora)", _as_task(workload, "lora")
    if setting.task in {"full", "lora"}:
        yield "QLoRA, the frozen weights in 4 bits (--task qlora)", _as_task(workload, "qlora")


def _of_time(workload: Workload, options: TrainingOptions) -> Iterator[tuple[str, Workload]]:
    """What changes nothing in the result."""
    if options.gradient_checkpointing != "full":
        yield "gradient_checkpointing full", _with(workload, gradient_checkpointing="full")
    if options.chunked_loss != "fused":
        yield "chunked_loss fused (Liger kernel)", _with(workload, chunked_loss="fused")
    if not options.activation_offload:
        yield "activation_offload", _with(workload, activation_offload=True, gradient_checkpointing="full")
    if not options.offload_optimizer and not options.optimizer.startswith("paged"):
        yield "optimizer states in RAM (offload_optimizer)", _with(workload, offload_optimizer=True)
    if not options.offload_param:
        yield (
            "weights and optimizer states in RAM (ZeRO-3 offload)",
            _with(workload, offload_optimizer=True, offload_param=True, zero_stage=3),
        )


def _with(workload: Workload, **options: object) -> Workload:
    given = {**workload.setting.given, **options}
    return replace(workload, setting=replace(workload.setting, options=tuple(sorted(given.items()))))


def _shorter(workload: Workload) -> Workload:
    return replace(workload, setting=replace(workload.setting, context=workload.setting.context // 2))


def _as_task(workload: Workload, task: Task) -> Workload | None:
    dropped = {"master_weights", "optimizer_in_backward", "weight_dtype"}
    options = tuple(pair for pair in workload.setting.options if pair[0] not in dropped)
    setting = replace(workload.setting, task=task, options=options)
    try:
        return replace(workload, setting=setting, quant=trained_in(None, workload.reference, setting))
    except UsageError:
        return None
