"""What would make a workload fit, each change worked out anew; and how far the context could go."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from gpucheck.assess.command import command_for
from gpucheck.assess.fit import Change, FitAnswer, backend_of, fit_model, workloads
from gpucheck.assess.memory import Device, EffectiveMemory, Pool, effective_memory
from gpucheck.assess.workload import Workload
from gpucheck.errors import UsageError
from gpucheck.estimators.setting import Setting
from gpucheck.machine.types import Machine
from gpucheck.models.quantization import find_quantization
from gpucheck.models.reference import ModelReference

LADDERS = {
    "llama.cpp": ("bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K"),
    "ollama": ("bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"),
    "transformers": ("bf16", "int8", "nf4", "nf4-dq"),
    "vllm": ("bf16", "fp8", "awq"),
    "diffusers": ("bf16", "fp8", "nf4", "nf4-dq"),
}
"""Quantizations that people have files of, from the most faithful to the smallest."""

_STEP = 256  # llama.cpp rounds the context up to a multiple
_LONGEST = 16 * 2**20
_SHORTEST = 1024
_MOST_GPUS = 8
_GOOD = ("yes", "tight")


def changes_for(memory: EffectiveMemory, workload: Workload) -> tuple[Change, ...]:
    """The cheapest changes that make the workload fit, those that cost least quality first; at most one of a kind."""
    if workload.reference.model.pipeline:
        from gpucheck.assess.pipeline_changes import pipeline_changes

        return pipeline_changes(memory, workload)
    if workload.setting.task != "inference":
        from gpucheck.assess.training import training_changes

        more = _more_gpus(memory, workload)
        return (*training_changes(memory, workload), *((more,) if more else ()))
    found = (
        _cache_in_8_bits(memory, workload),
        _one_slot(memory, workload),
        _largest_quant(memory, workload),
        _less_context(memory, workload),
        _more_gpus(memory, workload),
    )
    return tuple(change for change in found if change)


def fit_with_changes(
    machine: Machine, reference: ModelReference, quant: str | None, setting: Setting, *, longest: bool = False
) -> FitAnswer:
    """The answer of `fit_model`, with the command that realises it, and changes where it does not fit on GPUs.

    Raises:
        UsageError: the quantization or an option is not known.
    """
    answer = fit_model(machine, reference, quant, setting)
    memory = effective_memory(machine)
    setting = replace(setting, backend=backend_of(machine))
    (workload,) = workloads(reference, answer.quant, setting)
    return replace(
        answer,
        changes=() if answer.fits in _GOOD else changes_for(memory, workload),
        max_context=max_context(memory, workload) if longest else None,
        command=command_for(machine, workload, workload.placed(memory)),
    )


def max_context(memory: EffectiveMemory, workload: Workload) -> int | None:
    """The longest context that fits, in steps of 256 tokens and at most what the model was made for; None if none."""
    if workload.reference.model.pipeline:
        return None  # a prompt's length is the pipeline's own
    shape = workload.reference.model.architecture
    most = (shape.max_position_embeddings if shape else None) or _LONGEST
    return _longest(memory, workload, _STEP, most)


def _longest(memory: EffectiveMemory, workload: Workload, least: int, most: int) -> int | None:
    low, high = -(-least // _STEP), max(most // _STEP, 1)
    if not _fits(memory, _at_context(workload, low * _STEP)):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(memory, _at_context(workload, middle * _STEP)):
            low = middle
        else:
            high = middle - 1
    return low * _STEP


def _fits(memory: EffectiveMemory, workload: Workload) -> bool:
    return workload.placed(memory).fits in _GOOD


def _at_context(workload: Workload, context: int) -> Workload:
    return replace(workload, setting=replace(workload.setting, context=context))


def _with_options(workload: Workload, **options: object) -> Workload:
    given = {**workload.setting.given, **options}
    return replace(workload, setting=replace(workload.setting, options=tuple(sorted(given.items()))))


def _tried(memory: EffectiveMemory, workload: Workload, what: str) -> Change | None:
    try:
        placed = workload.placed(memory)
    except UsageError:  # an option of the caller excludes this change, such as flash_attn off a quantized cache
        return None
    return Change(what, placed.estimate.total_bytes, placed.fits) if placed.fits in _GOOD else None


def _cache_in_8_bits(memory: EffectiveMemory, workload: Workload) -> Change | None:
    if (
        not workload.known
        or workload.setting.engine not in {"llama.cpp", "ollama"}
        or "type_k" in workload.setting.given
    ):
        return None
    changed = _with_options(workload, type_k="q8_0", type_v="q8_0")
    return _tried(memory, changed, "store the cache in 8 bits (-ctk q8_0 -ctv q8_0)")


def _one_slot(memory: EffectiveMemory, workload: Workload) -> Change | None:
    setting = workload.setting
    if not workload.known or setting.engine != "llama.cpp" or setting.batch > 1 or "n_parallel" in setting.given:
        return None
    return _tried(memory, _with_options(workload, n_parallel=1), "one slot instead of four (-np 1)")


def _smaller(workload: Workload) -> Iterator[Workload]:
    for name in LADDERS[workload.setting.engine]:
        quant = find_quantization(name)
        if quant.bits < workload.quant.bits:
            yield replace(workload, quant=quant)


def _largest_quant(memory: EffectiveMemory, workload: Workload) -> Change | None:
    for smaller in _smaller(workload):
        if change := _tried(memory, smaller, f"{smaller.quant.name} weights"):
            return change
    return None


def _less_context(memory: EffectiveMemory, workload: Workload) -> Change | None:
    context = workload.setting.context
    if context <= _SHORTEST:
        return None
    longest = _longest(memory, workload, _SHORTEST, context - 1)
    return _tried(memory, _at_context(workload, longest), f"a context of {longest:,} tokens") if longest else None


def _more_gpus(memory: EffectiveMemory, workload: Workload) -> Change | None:
    """More cards like the roomiest that is there."""
    pool = max((pool for pool in memory.pools if pool.kind == "cards"), key=lambda pool: pool.known_bytes, default=None)
    if pool is None or pool.devices[0].available_bytes is None:
        return None
    for more in range(1, _MOST_GPUS):
        added = tuple(replace(pool.devices[0], index=-1 - place) for place in range(more))
        larger = Pool("cards", _known_first((*added, *pool.devices)))
        others = tuple(other for other in memory.pools if other is not pool)
        what = f"{more} more GPU{'s' if more > 1 else ''} like GPU {pool.devices[0].index}"
        if change := _tried(
            EffectiveMemory((larger, *others), memory.host_bytes, memory.host_most_bytes), workload, what
        ):
            return change
    return None


def _known_first(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    return tuple(sorted(devices, key=lambda device: device.available_bytes is None))
