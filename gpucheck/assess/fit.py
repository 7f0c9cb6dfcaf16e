"""Does a model fit this machine: one workload, the table of usual sizes, and the largest model that fits."""

from __future__ import annotations

from functools import cache, partial
from typing import Literal

from msgspec import Struct

from gpucheck.assess.fit_reasons import reasons_of
from gpucheck.assess.memory import EffectiveMemory, effective_memory
from gpucheck.assess.placement import Answer, Mode, Need, Placed, Placement, place
from gpucheck.estimators.by_size import Setting, estimate_size
from gpucheck.estimators.rows import Estimate
from gpucheck.machine.types import Machine
from gpucheck.models.quantization import Quantization, find_quantization
from gpucheck.models.reference import ModelReference, parse_reference
from gpucheck.units import GIB

USUAL_QUANTS = ("bf16", "Q8_0", "Q4_K_M")
"""From the most faithful to the smallest; a size without a quantization gets the first that fits."""

_USUAL = ("3b", "8b", "14b", "32b", "70b")
_TINY, _TINY_BELOW_BYTES = ("1b",), 8 * GIB
_LARGE, _LARGE_FROM_BYTES = ("120b", "405b"), 300 * GIB
_LADDER = tuple(
    f"{billions}b"
    for billions in (1, 2, 3, 4, 7, 8, 12, 14, 20, 24, 27, 32, 49, 70, 72, 104, 120, 123, 235, 405, 671)
)  # fmt: skip

_VERDICTS: dict[Mode, str] = {
    "one_gpu": "fits on one GPU",
    "several_gpus": "fits over several GPUs",
    "gpu_and_cpu": "partly on the CPU",
    "cpu": "runs on the CPU",
    "none": "does not fit",
}
_ORDER: tuple[Answer, ...] = ("yes", "tight", "partial", "unknown", "no")


class FitMemory(Struct, frozen=True):
    """Bytes that the workload needs, part by part, and what was there; `available_bytes` None is unknown.

    For `fits` yes and tight `available_bytes` is what the placement's devices offer, otherwise what the
    roomiest GPUs that can be pooled offer (host memory on a machine without a usable GPU).
    """

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    overhead_bytes: int
    total_bytes: int
    low_bytes: int
    high_bytes: int
    available_bytes: int | None


class SpeedRange(Struct, frozen=True):
    """A rate in tokens per second, or a time in seconds, with its bounds."""

    low: float
    mid: float
    high: float


class Speed(Struct, frozen=True):
    """How fast the workload runs; None where nothing was measured or estimated."""

    decode_tok_s: SpeedRange | None = None
    prefill_tok_s: SpeedRange | None = None
    ttft_s: SpeedRange | None = None


class FitAnswer(Struct, frozen=True, kw_only=True):
    """Whether a workload fits (memory), is usable (speed), is supported (software); never one score."""

    model: str
    quant: str
    engine: str
    task: Literal["inference"] = "inference"
    context: int
    batch: int
    fits: Answer
    usable: Answer = "unknown"
    supported: Answer = "unknown"
    verdict: str
    memory: FitMemory
    speed: Speed = Speed()
    placement: Placement
    reasons: tuple[str, ...]
    assumptions: tuple[str, ...]


class LargestModels(Struct, frozen=True):
    """The largest usual sizes that fit: on the GPUs, in RAM alone, and over both; None where none does."""

    on_gpus: str | None
    in_ram: str | None
    with_offload: str | None


def fit_size(
    machine: Machine, reference: ModelReference, quant: str | None = None, context: int = 8192,
    engine: str = "llama.cpp",
) -> FitAnswer:  # fmt: skip
    """Whether the model of this size fits the machine, for one user with `context` tokens.

    `quant` comes before that of the reference. Without either it is the first of bf16, Q8_0 and Q4_K_M that
    fits best.

    Raises:
        UsageError: the quantization or the engine is not known, or the context is not positive.
    """
    memory = effective_memory(machine)
    named = quant or reference.quant
    names = (named,) if named else USUAL_QUANTS
    setting = Setting(context, 1, engine)
    workloads = (_Workload(reference, find_quantization(name), setting) for name in names)
    answers = [_fit(machine, memory, workload) for workload in workloads]
    best = min(_ORDER.index(answer.fits) for answer in answers)
    equal = [answer for answer in answers if _ORDER.index(answer.fits) == best]
    # Where none fits, the smallest comes nearest; with offload it leaves the least to the CPU.
    return equal[0] if equal[0].fits in {"yes", "tight"} else equal[-1]


def default_fits(machine: Machine, context: int = 8192) -> tuple[FitAnswer, ...]:
    """The table "what fits": usual sizes in 16, 8 and 4 bits; a smaller or larger one where it tells more."""
    memory = effective_memory(machine)
    room = memory.deciding_bytes
    tiny = _TINY if room is not None and room < _TINY_BELOW_BYTES else ()
    large = _LARGE if room is not None and room >= _LARGE_FROM_BYTES else ()
    return tuple(
        _fit(machine, memory, _Workload(_reference(size), find_quantization(quant), Setting(context)))
        for size in (*tiny, *_USUAL, *large)
        for quant in USUAL_QUANTS
    )


def largest_fitting(machine: Machine, quant: str, context: int = 8192) -> LargestModels:
    """The largest of the usual sizes that the machine holds in this quantization.

    `on_gpus` and `in_ram` are sizes that fit or are tight there, `in_ram` as if there were no GPU;
    `with_offload` is the largest that GPUs and RAM hold together. Unknown memory holds nothing here.

    Raises:
        UsageError: the quantization is not known, or the context is not positive.
    """
    memory = effective_memory(machine)
    ram = EffectiveMemory((), memory.host_bytes, memory.host_most_bytes)
    bits, setting = find_quantization(quant), Setting(context)

    def largest(where: EffectiveMemory, answers: tuple[Answer, ...]) -> str | None:
        for size in reversed(_LADDER):
            if place(where, _Workload(_reference(size), bits, setting).need()).fits in answers:
                return size
        return None

    return LargestModels(
        on_gpus=largest(memory, ("yes", "tight")) if memory.pools else None,
        in_ram=largest(ram, ("yes", "tight")),
        with_offload=largest(memory, ("yes", "tight", "partial")) if memory.pools else None,
    )


class _Workload(Struct, frozen=True):
    """What is asked to run, and how."""

    reference: ModelReference
    quant: Quantization
    setting: Setting

    def need(self) -> Need:
        """The seam for exact estimators: the estimate over so many GPUs, worked out once for each number."""
        return cache(partial(estimate_size, self.reference.size, self.quant, self.setting))


def _fit(machine: Machine, memory: EffectiveMemory, workload: _Workload) -> FitAnswer:
    """The whole answer for one workload."""
    placed = place(memory, workload.need())
    estimate = placed.estimate
    return FitAnswer(
        model=workload.reference.text,
        quant=workload.quant.name,
        engine=workload.setting.engine,
        context=workload.setting.context,
        batch=workload.setting.batch,
        fits=placed.fits,
        verdict=_verdict(placed),
        memory=_memory(estimate, placed.available_bytes),
        placement=placed.placement,
        reasons=reasons_of(machine, memory, placed),
        assumptions=estimate.assumptions,
    )


def _memory(estimate: Estimate, available: int | None) -> FitMemory:
    return FitMemory(
        weights_bytes=estimate.weights_bytes,
        kv_cache_bytes=estimate.kv_cache_bytes,
        compute_bytes=estimate.compute_bytes,
        overhead_bytes=estimate.overhead_bytes,
        total_bytes=estimate.total_bytes,
        low_bytes=estimate.low_bytes,
        high_bytes=estimate.high_bytes,
        available_bytes=available,
    )


def _verdict(placed: Placed) -> str:
    """The answer in a few words; speed and support do not speak yet."""
    if placed.fits == "unknown":
        return "cannot be told"
    words = _VERDICTS[placed.placement.mode]
    return f"{words}, tight" if placed.fits == "tight" else words


@cache
def _reference(size: str) -> ModelReference:
    return parse_reference(size)
