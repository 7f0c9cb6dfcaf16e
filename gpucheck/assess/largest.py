"""The largest models of the catalogue that a machine holds."""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.assess.command import command_for
from gpucheck.assess.fit import FitAnswer, backend_of, fit_workload
from gpucheck.assess.memory import effective_memory
from gpucheck.assess.workload import Workload
from gpucheck.estimators.setting import TRAINING_QUANTS, USUAL_QUANTS, Setting
from gpucheck.machine.types import Machine
from gpucheck.models.catalogue import catalogue, model_of
from gpucheck.models.model import Model
from gpucheck.models.quantization import find_quantization
from gpucheck.models.reference import ModelReference


def largest_models(machine: Machine, quant: str | None, setting: Setting) -> tuple[FitAnswer, ...]:
    """For each of the engine's usual quantizations, or for `quant`, the catalogue's largest model that fits.

    Largest is most parameters. A quantization in which none fits has no answer.

    Raises:
        UsageError: the quantization or an option is not known.
    """
    memory, setting = effective_memory(machine), replace(setting, backend=backend_of(machine))
    models = sorted(_generative(), key=lambda model: -(model.total_parameters or 0))
    found = []
    training = TRAINING_QUANTS.get(setting.task)
    usual = (training,) if training else USUAL_QUANTS[setting.engine]
    for name in (quant,) if quant else usual:
        bits = find_quantization(name)
        for model in models:
            workload = Workload(ModelReference(model.id, None, model), bits, setting)
            answer = fit_workload(machine, memory, workload)
            if answer.fits in {"yes", "tight"}:
                found.append(replace(answer, command=command_for(machine, workload, workload.placed(memory))))
                break
    return tuple(found)


def _generative() -> list[Model]:
    """Models that write text: encoders for embeddings are not what this question means."""
    models = (model_of(entry.id) for entry in catalogue())
    return [model for model in models if model.architecture and model.architecture.causal]
