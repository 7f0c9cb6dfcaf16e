"""What a workload needs, whatever the machine."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.assess.workload import Workload, engine_for
from gpucheck.estimators.rows import NeedMemory, Row, sums_of
from gpucheck.estimators.setting import Setting, Task
from gpucheck.estimators.stored import chosen_format
from gpucheck.models.quantization import find_quantization
from gpucheck.models.reference import ModelReference

_DEFAULT_QUANTS = {
    "llama.cpp": "Q4_K_M",
    "ollama": "Q4_K_M",
    "transformers": "bf16",
    "vllm": "bf16",
    "diffusers": "bf16",
}


class Need(Struct, frozen=True, kw_only=True):
    """The memory that a model needs in an engine: sums, the rows under them, and what was assumed."""

    model: str
    quant: str
    engine: str
    context: int
    batch: int
    memory: NeedMemory
    rows: tuple[Row, ...]
    assumptions: tuple[str, ...]
    task: Task = "inference"


def need_of(reference: ModelReference, quant: str | None, setting: Setting, gpus: int = 1) -> Need:
    """The need of a model in a quantization, that of its file or the engine's usual one.

    Raises:
        UsageError: the quantization or an option is not known, or the engine needs a shape that is not known.
    """
    model, setting = reference.model, engine_for(reference, setting)
    named = chosen_format(model, quant or reference.quant, setting.engine)
    if setting.task != "inference":
        from gpucheck.assess.fit import trained_in

        named = trained_in(quant or reference.quant, reference, setting)
    found = named or find_quantization(_DEFAULT_QUANTS[setting.engine])
    estimate = Workload(reference, found, setting).need()(gpus)
    assumed = () if named else (f"stored in {found.name}",)
    return Need(
        model=reference.text,
        quant=found.name,
        engine=setting.engine,
        context=setting.context,
        batch=setting.batch,
        memory=sums_of(estimate),
        rows=estimate.rows,
        assumptions=(*assumed, *estimate.assumptions),
        task=setting.task,
    )
