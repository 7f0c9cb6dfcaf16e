"""Memory of a model whose files are here but whose kind is not known: weights to the byte, the rest by its size."""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.by_size import estimate_size
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.stored import in_file
from gpucheck.models.model import Model
from gpucheck.models.quantization import Quantization
from gpucheck.models.size import ModelSize


def estimate_tensors(model: Model, quant: Quantization, setting: Setting, gpus: int = 1) -> Estimate:
    """The memory for inference with a model of as many parameters as its files have elements.

    Raises:
        UsageError: the files hold a tower without its language model, or the engine needs the shape.
    """
    tensors = model.tensors or ()
    if model.parts or not tensors:
        reason = model.issues[-1] if model.issues else "its files hold no language model"
        raise UsageError(f"the shape of {model.id} is not known: {reason}")
    total = sum(tensor.elements for tensor in tensors)
    found = estimate_size(ModelSize(total, None, total, total), quant, setting, gpus)
    if in_file(model, quant):
        size = sum(tensor.bytes for tensor in tensors)
        exact = Row("weights", size, size, size, "exact", "the tensors of the file")
        rows = (replace(exact, device=row.device) if row.component == "weights" else row for row in found.rows)
        found = Estimate(tuple(rows), found.assumptions)
    return Estimate(found.rows, (*found.assumptions, *model.issues))
