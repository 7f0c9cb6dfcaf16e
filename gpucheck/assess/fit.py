"""Does a model fit this machine: one workload, the table of usual sizes, and the largest model that fits."""

from __future__ import annotations

from functools import cache

from msgspec import Struct, structs
from msgspec.structs import replace

from gpucheck.assess.fit_reasons import reasons_of
from gpucheck.assess.memory import EffectiveMemory, effective_memory
from gpucheck.assess.placement import Answer, Mode, Placed, Placement, place
from gpucheck.assess.supported import support_of
from gpucheck.assess.workload import Workload, engine_for
from gpucheck.errors import UsageError
from gpucheck.estimators.rows import Estimate, NeedMemory, Row, sums_of
from gpucheck.estimators.serving import Serving
from gpucheck.estimators.setting import DEFAULT, NAMED_QUANTS, TRAINING_QUANTS, USUAL_QUANTS, Setting, Task
from gpucheck.machine.types import Machine
from gpucheck.models.quantization import Quantization, find_quantization
from gpucheck.models.reference import ModelReference, parse_reference
from gpucheck.shown import Shown
from gpucheck.units import GIB

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
_PLAIN_BITS = 16
_ORDER: tuple[Answer, ...] = ("yes", "tight", "partial", "unknown", "no")
_BACKENDS = {"NVIDIA": "cuda", "AMD": "rocm", "Apple": "metal", "Intel": "vulkan"}


class FitMemory(NeedMemory, frozen=True, gc=False, kw_only=True):
    """Bytes that the workload needs, part by part, and what was there; `available_bytes` None is unknown.

    For `fits` yes and tight `available_bytes` is what the placement's devices offer, otherwise what the
    roomiest GPUs that can be pooled offer (host memory on a machine without a usable GPU). What lies on the host beside
    a GPU is in the total too, and is held against RAM.
    """

    available_bytes: int | None


class SpeedRange(Struct, frozen=True):
    """A rate in tokens per second, or a time in seconds, with its bounds."""

    low: float
    mid: float
    high: float


class Speed(Struct, frozen=True, gc=False):
    """How fast the workload runs; None where nothing was measured or estimated."""

    decode_tok_s: SpeedRange | None = None
    prefill_tok_s: SpeedRange | None = None
    ttft_s: SpeedRange | None = None


class Change(Struct, frozen=True):
    """Something that would make the workload fit: what to do, what it then needs, and the answer."""

    what: str
    total_bytes: int
    fits: Answer


class FitAnswer(Shown, Struct, frozen=True, gc=False, kw_only=True):
    """Whether a workload fits (memory), is usable (speed), is supported (software); never one score.

    `support_reasons` say what `supported` rests on where it is not plainly yes.
    `rows` are the parts of the memory of a model whose shape is known, `changes` the cheapest ways to make it fit,
    `max_context` the longest context that fits (where it was asked for), `command` what starts the engine so.
    """

    model: str
    quant: str
    engine: str
    task: Task = "inference"
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
    rows: tuple[Row, ...] = ()
    changes: tuple[Change, ...] = ()
    max_context: int | None = None
    command: str | None = None
    support_reasons: tuple[str, ...] = ()
    serving: Serving | None = None


class LargestModels(Struct, frozen=True):
    """The largest usual sizes that fit: on the GPUs, in RAM alone, and over both; None where none does."""

    on_gpus: str | None
    in_ram: str | None
    with_offload: str | None


def fit_model(
    machine: Machine, reference: ModelReference, quant: str | None = None, setting: Setting = DEFAULT
) -> FitAnswer:
    """Whether the model fits the machine under this setting, with the machine's own backend.

    `quant` comes before that of the reference, and that before the one a file is stored in. Without any it is the
    first of 16 to 4 bits that fits best, of those that software runs here.

    Raises:
        UsageError: the quantization or an option is not known.
    """
    memory = effective_memory(machine)
    setting = replace(setting, backend=backend_of(machine))
    answers = [fit_workload(machine, memory, workload) for workload in workloads(reference, quant, setting)]
    answers = [answer for answer in answers if answer.supported != "no"] or answers
    best = min(_ORDER.index(answer.fits) for answer in answers)
    equal = [answer for answer in answers if _ORDER.index(answer.fits) == best]
    # Where none fits, the smallest comes nearest; with offload it leaves the least to the CPU.
    return equal[0] if equal[0].fits in {"yes", "tight"} else equal[-1]


def workloads(reference: ModelReference, quant: str | None, setting: Setting) -> tuple[Workload, ...]:
    """The workload that is asked for, or one for each quantization that may be meant."""
    from gpucheck.estimators.stored import chosen_format

    setting = engine_for(reference, setting)
    found = chosen_format(reference.model, quant or reference.quant, setting.engine)
    if setting.task != "inference":
        found = trained_in(quant or reference.quant, reference, setting)
    names = NAMED_QUANTS if reference.model.architecture else USUAL_QUANTS
    usual = (find_quantization(name) for name in names[setting.engine])
    return tuple(Workload(reference, each, setting) for each in ((found,) if found else usual))


def trained_in(name: str | None, reference: ModelReference, setting: Setting) -> Quantization:
    """The format of the weights while they are trained: what is named, a packed file's own, or the task's usual one.

    Raises:
        UsageError: weights of that format cannot be trained so.
    """
    from gpucheck.estimators.stored import own_format

    usual = find_quantization(TRAINING_QUANTS[setting.task])
    own = own_format(reference.model) if setting.task == "qlora" and reference.model.source != "gguf" else None
    found = find_quantization(name) if name else own if own and own.bits < _PLAIN_BITS else usual
    if found.mix is not None:
        raise UsageError(f"{found.name} is a format of GGUF files, which nothing trains: leave it out, or name nf4")
    if setting.task == "full" and found.bits < _PLAIN_BITS:
        raise UsageError(f"all weights cannot be trained in {found.name}: name the task lora or qlora, or bf16")
    return found


def backend_of(machine: Machine) -> str:
    """What llama.cpp computes with on this machine: the backend of the maker of its first usable GPU."""
    vendors = [gpu.vendor for gpu in machine.usable_gpus]
    return _BACKENDS.get(vendors[0], "vulkan") if vendors else "cuda"


def default_fits(machine: Machine, context: int = 8192) -> tuple[FitAnswer, ...]:
    """The table "what fits": usual sizes in 16, 8 and 4 bits; a smaller or larger one where it tells more."""
    memory = effective_memory(machine)
    room = memory.deciding_bytes
    tiny = _TINY if room is not None and room < _TINY_BELOW_BYTES else ()
    large = _LARGE if room is not None and room >= _LARGE_FROM_BYTES else ()
    return tuple(
        fit_workload(machine, memory, Workload(_reference(size), find_quantization(quant), Setting(context)))
        for size in (*tiny, *_USUAL, *large)
        for quant in USUAL_QUANTS["llama.cpp"]
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
            if place(where, Workload(_reference(size), bits, setting).need()).fits in answers:
                return size
        return None

    return LargestModels(
        on_gpus=largest(memory, ("yes", "tight")) if memory.pools else None,
        in_ram=largest(ram, ("yes", "tight")),
        with_offload=largest(memory, ("yes", "tight", "partial")) if memory.pools else None,
    )


def fit_workload(machine: Machine, memory: EffectiveMemory, workload: Workload) -> FitAnswer:
    """The whole answer for one workload."""
    placed = workload.placed(memory)
    estimate = placed.estimate
    support = support_of(machine, memory, workload.setting, workload.quant.name, placed.placement)
    return FitAnswer(
        model=workload.reference.text,
        quant=workload.quant.name,
        engine=workload.setting.engine,
        task=workload.setting.task,
        context=workload.setting.context,
        batch=workload.setting.batch,
        fits=placed.fits,
        supported=support.answer,
        verdict=_verdict(placed),
        memory=memory_of(estimate, placed.available_bytes),
        placement=placed.placement,
        reasons=reasons_of(machine, memory, placed),
        assumptions=estimate.assumptions,
        rows=estimate.rows if workload.known else (),
        support_reasons=support.reasons,
        serving=_serving(memory, workload, placed),
    )


def _serving(memory: EffectiveMemory, workload: Workload, placed: Placed) -> Serving | None:
    """What vLLM's pool holds; None for other engines."""
    if workload.setting.engine != "vllm":
        return None
    from gpucheck.assess.serving import serving_of

    return serving_of(memory, workload, placed)


def memory_of(estimate: Estimate, available: int | None) -> FitMemory:
    """The estimate's sums, beside what is there."""
    return FitMemory(**structs.asdict(sums_of(estimate)), available_bytes=available)


def _verdict(placed: Placed) -> str:
    """The answer in a few words; speed and support have answers of their own."""
    if placed.fits == "unknown":
        return "cannot be told"
    words = _VERDICTS[placed.placement.mode]
    return f"{words}, tight" if placed.fits == "tight" else words


@cache
def _reference(size: str) -> ModelReference:
    return parse_reference(size)
