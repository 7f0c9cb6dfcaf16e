"""Training a model of which only the size is known: a model of nearly that size, made larger or smaller."""

from __future__ import annotations

from functools import cache

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.training.estimate import estimate_training
from gpucheck.models.catalogue import catalogue, model_of
from gpucheck.models.model import Model
from gpucheck.models.quantization import Quantization
from gpucheck.models.size import ModelSize

# Shapes of one size differ: models of 7 to 9 billion parameters keep between 0.6 and 1.5 times the activations of one
# another for a token, and vocabularies are 32,000 to 262,000.
_LOW, _HIGH = 0.6, 1.6


def estimate_training_size(size: ModelSize | None, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    """The memory of training a dense model of this size, as a range; see `estimate_training`.

    Raises:
        UsageError: nothing is known of the model's size, or it is a mixture of experts.
    """
    if size is None:
        raise UsageError("training cannot be estimated for a model of which neither shape nor size is known")
    if size.active_parameters not in {None, size.total_parameters}:
        raise UsageError("training a mixture of experts depends on its shape: name a model of the catalogue")
    like = _nearest(size.total_parameters)
    ratio = size.total_parameters / (like.total_parameters or 1)
    found = estimate_training(like, quant, setting, gpus)
    rows = tuple(_scaled(row, ratio) for row in found.rows)
    return Estimate(rows, (f"shaped like {like.id}", *found.assumptions))


def _scaled(row: Row, ratio: float) -> Row:
    if row.component == "overhead":
        return row
    loose = row.basis != "exact"
    low = round(min(row.low_bytes, row.bytes * _LOW) * ratio) if loose else round(row.low_bytes * ratio)
    high = round(max(row.high_bytes, row.bytes * _HIGH) * ratio) if loose else round(row.high_bytes * ratio)
    return replace(row, bytes=round(row.bytes * ratio), low_bytes=low, high_bytes=high, basis="range")


@cache
def _nearest(parameters: int) -> Model:
    """The dense model of the catalogue with the nearest count of parameters, by their ratio."""
    return min(_dense(), key=lambda model: abs(_ratio(model, parameters) - 1))


def _ratio(model: Model, parameters: int) -> float:
    own = model.total_parameters or 1
    return max(own, parameters) / min(own, parameters)


@cache
def _dense() -> tuple[Model, ...]:
    models = (model_of(entry.id) for entry in catalogue())
    return tuple(
        model
        for model in models
        if model.architecture
        and model.architecture.causal
        and model.architecture.model_type in {"llama", "qwen2", "qwen3", "mistral"}
        and not model.parts
        and model.total_parameters == model.active_parameters
    )
