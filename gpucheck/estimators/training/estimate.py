"""Memory of a training step: states, and the widest of the moments of a step, for each GPU and on the host."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.stored import Stored, shape_of, stored
from gpucheck.estimators.training.activations import Activations, activations
from gpucheck.estimators.training.assumptions import assumptions
from gpucheck.estimators.training.options import TrainingOptions, parse_options
from gpucheck.estimators.training.states import States, states_of
from gpucheck.estimators.transformers.loading import largest_matrix
from gpucheck.models.architecture import Architecture
from gpucheck.models.model import Model
from gpucheck.models.quantization import Quantization
from gpucheck.units import MIB

# Peaks of steps followed tensor by tensor are within 3 % in 95 % of the cases (benchmarks/README.md). On a GPU kernels'
# copies and padding come on top; this band is assumed, and published peaks lie outside it more often than not.
_LOW, _HIGH = 0.85, 1.2
_SCAN_LOW, _SCAN_HIGH = 0.5, 3.0
_WORKSPACE = 32 * MIB
# Driver, context and kernels on each GPU, and NCCL's buffers where several work together (1.5 GiB for each rank is
# published, 0.5 to 2 seen); torch on a CPU: assumed.
_CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH = 480 * MIB, 290 * MIB, 940 * MIB
_NCCL, _NCCL_LOW, _NCCL_HIGH = 1024 * MIB, 256 * MIB, 2048 * MIB
_PROCESS, _PROCESS_LOW, _PROCESS_HIGH = 1200 * MIB, 800 * MIB, 3000 * MIB
# Blocks that torch's allocator holds on to beside what is in use; torch's own peaks do not count them. Chosen, not
# measured: 54 published peaks of Qwen of 2023, perhaps of whole processes, are 17 % below to 40 % above the sum of the
# other rows, with a median of 15 % above, and part of that may be something else (benchmarks/memory_training.py).
_BLOCKS, _BLOCKS_HIGH = 0.05, 0.3
_PACKED = ("nf4", "gptq", "awq", "int8", "fp8", "nvfp4", "mxfp4")


class _Moment(NamedTuple):
    """The widest moment of a step: gradients there, and everything else that comes and goes."""

    name: str
    gradients: int
    beside: int


def estimate_training(model: Model, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    """The memory of training over `gpus` GPUs (0: the CPU), row by row: of all of them together.

    With one GPU and options that divide the model, the rows are those of one GPU of the many.

    Raises:
        UsageError: an option is not known, or the shape of the model is not.
    """
    architecture = shape_of(model)
    options = parse_options(setting.given, setting.engine)
    held = stored(model, quant, gguf=False)
    full = setting.task == "full"
    states = states_of(model, held, options, setting.task, max(gpus, 1))
    batch = options.micro_batch or setting.batch
    working = activations(
        architecture, setting.context, batch, options, full=full, own_code=setting.engine != "transformers"
    )
    moment = _widest(architecture, quant, options, states, working)
    rows = [
        *_state_rows(held, quant, states, full=full),
        *_step_rows(working, moment, setting.context, batch),
        *_host_rows(states, working),
    ]
    rows += [
        Row("weights", size, size, size, "formula", f"{part.role}, 16 bits, not trained")
        for part in model.parts
        if (size := 2 * (part.parameters or 0))
    ]
    count = max(gpus, 1)
    rows = [_times(row, count) for row in rows]
    rows += [_kept_blocks(rows), *_overhead(options, gpus)]
    if not gpus:
        rows = [replace(row, device="host") for row in rows]
    words = assumptions(options, setting, batch, gpus, _phase(moment))
    return Estimate(tuple(row for row in rows if row.bytes or row.high_bytes), (*words, *model.issues))


def _widest(
    architecture: Architecture, quant: Quantization, options: TrainingOptions, states: States, working: Activations
) -> _Moment:
    """The moment of a step with the most beside the states that stay."""
    grads = states.gradient_bytes
    waiting = grads if options.gradient_accumulation > 1 or options.optimizer_in_backward else 0
    late = 0 if options.optimizer_in_backward or waiting else states.late_bytes
    unpacked = largest_matrix(architecture) if quant.name.lower().startswith(_PACKED) else 0
    tied = 0
    if architecture.tie_word_embeddings and states.trained >= architecture.vocab_size * architecture.hidden_size:
        tied = architecture.vocab_size * architecture.hidden_size * 2 // options.model_parallel
    return max(
        _Moment("the loss", waiting, working.loss_bytes),
        _Moment("the backward pass of a layer", waiting, working.layer_bytes + unpacked),
        _Moment("the backward pass of the first layer", grads - late, working.end_bytes + unpacked),
        _Moment("the end of the backward pass", grads, max(working.last_bytes, tied)),
        _Moment("the optimizer's step", grads, states.step_bytes),
        key=lambda moment: moment.gradients + moment.beside,
    )


def _phase(moment: _Moment) -> str:
    return f"the peak is at {moment.name}"


def _state_rows(held: Stored, quant: Quantization, states: States, *, full: bool) -> list[Row]:
    size = states.weights_bytes
    exact = full or held.exact or quant.name in {"bf16", "fp16", "fp32"}
    low, high = (1.0, 1.0) if exact else (states.weights_low, states.weights_high)
    what = "all parameters, trained" if full else f"{held.detail}, frozen"
    return [
        Row("weights", size, round(size * low), round(size * high), "exact" if exact else "formula", what),
        _exact("weights", states.adapter_bytes, f"adapters, {states.trained:,} parameters trained"),
        _formula("weights", states.gathered_bytes, "weights gathered for the layers at work", 0.5, 1.25),
        _exact("compute", states.optimizer_bytes, "optimizer states"),
        _formula("compute", states.bucket_bytes, "communication buckets", 0.5, 1.0),
        _formula("compute", states.copy_bytes, "weights in 16 bits under autocast", 0.9, 1.0),
    ]


def _step_rows(working: Activations, moment: _Moment, tokens: int, batch: int) -> list[Row]:
    low, high = (_SCAN_LOW, _SCAN_HIGH) if working.recurrent else (_LOW, _HIGH)
    sequences = f"{batch} sequences of {tokens:,} tokens" if batch > 1 else f"a sequence of {tokens:,} tokens"
    logits = working.logits_bytes if moment.name == "the loss" else 0
    beside = moment.beside - logits
    what = "gradients in 32 bits" if moment.name == "the optimizer's step" else f"activations, {sequences}"
    return [
        _exact("compute", moment.gradients, "gradients"),
        _formula("compute", beside, what, low, high),
        _formula("compute", logits, "logits, the loss and their gradients", 0.85, 1.2),
        _formula("compute", _WORKSPACE, "matrix workspace", 0.25, 3.0),
    ]


def _host_rows(states: States, working: Activations) -> list[Row]:
    kind = "paged optimizer states" if states.paged else "optimizer states and gradients"
    return [
        replace(_exact("compute", states.host_optimizer_bytes, kind), device="host"),
        replace(_exact("weights", states.host_weights_bytes, "weights"), device="host"),
        replace(_formula("compute", working.host_bytes, "activations", 0.9, 1.1), device="host"),
    ]


def _overhead(options: TrainingOptions, gpus: int) -> list[Row]:
    if not gpus:
        return [Row("overhead", _PROCESS, _PROCESS_LOW, _PROCESS_HIGH, "range", "Python with torch")]
    context = Row("overhead", _CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH, "range", "device context")
    found = [_times(context, gpus)]
    if max(gpus, options.ranks(gpus) * options.model_parallel) > 1:
        nccl = Row("overhead", _NCCL, _NCCL_LOW, _NCCL_HIGH, "range", "buffers of the GPUs' communication")
        found.append(_times(nccl, gpus))
    return found


def _kept_blocks(rows: list[Row]) -> Row:
    held = sum(row.bytes for row in rows if row.device != "host")
    low, high = 0, round(held * _BLOCKS_HIGH)
    return Row("overhead", round(held * _BLOCKS), low, high, "range", "blocks that the allocator keeps")


def _exact(component: str, size: int, detail: str) -> Row:
    return Row("weights" if component == "weights" else "compute", size, size, size, "exact", detail)


def _formula(component: str, size: int, detail: str, low: float, high: float) -> Row:
    kind = _exact(component, size, detail)
    return replace(kind, low_bytes=round(size * low), high_bytes=round(size * high), basis="formula")


def _times(row: Row, count: int) -> Row:
    if count == 1:
        return row
    return replace(row, bytes=row.bytes * count, low_bytes=row.low_bytes * count, high_bytes=row.high_bytes * count)
