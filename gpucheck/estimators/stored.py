"""The tensors of a model as they are stored: those of its file, or those that a quantization's name implies."""

from __future__ import annotations

import re
from collections import defaultdict

from msgspec import Struct

from gpucheck.estimators.llama_cpp.needs import Weight
from gpucheck.models.model import Model
from gpucheck.models.quant.assign import Weight as Quantized
from gpucheck.models.quant.weights import Storage, weights
from gpucheck.models.quantization import Quantization
from gpucheck.models.tensor import Tensor

_IN_LAYER = re.compile(r"blk\.(\d+)\.(.+)", re.ASCII)
# Files that the name and the shape describe differ a little: other versions of the quantizing tool, matrices that a
# maker leaves alone. 78 published files: median 0.1 %, 90 % within 1 % (benchmarks/README.md).
_NAMED_LOW, _NAMED_HIGH = 0.985, 1.015
_MXFP4_EXPERTS = frozenset({"gpt_oss", "gpt-oss"})


class Stored(Struct, frozen=True):
    """Tensors with their bytes, and the bounds of the whole as ratios; `exact` if they are those of a file."""

    weights: tuple[Weight, ...]
    bytes: int
    ratio: float
    low_ratio: float
    high_ratio: float
    exact: bool
    detail: str


def stored(model: Model, quant: Quantization) -> Stored:
    """The tensors of `model` in `quant`: its file's, where that is how the file is stored.

    The model has a shape. What was worked out once is kept with the model.
    """
    kept: dict[str, Stored] = model.memo.setdefault("stored", {})
    found = kept.get(quant.name)
    if found is None:
        found = kept[quant.name] = _of_file(model) if in_file(model, quant) else _of_name(model, quant)
    return found


def in_file(model: Model, quant: Quantization) -> bool:
    """Whether the file's own tensors are what is asked for."""
    if not model.tensors:
        return False
    own = model.quant or model.dtype
    return own is not None and own.lower() == quant.name.lower()


def _of_file(model: Model) -> Stored:
    tensors = model.tensors or ()
    total = sum(tensor.bytes for tensor in tensors)
    return Stored(_by_role(tensors), total, 1.0, 1.0, 1.0, True, "the tensors of the file")


def _of_name(model: Model, quant: Quantization) -> Stored:
    architecture = model.architecture
    kind = architecture.model_type if architecture else None
    found = tuple(
        _as_released(each, kind) if quant.mix else _weight(each, each.dtype, each.bytes)
        for each in weights(model.groups, quant, Storage(model_type=kind, group_size=model.group_size))
    )
    total = sum(weight.bytes * len(weight.layers) for weight in found)
    parameters = model.total_parameters or 1
    detail = f"{parameters / 1e9:,.2f}B parameters at {total * quant.mix_ratio * 8 / parameters:.2f} bits"
    if quant.determined:
        return Stored(found, total, 1.0, _NAMED_LOW, _NAMED_HIGH, False, detail)
    return Stored(found, total, quant.mix_ratio, quant.mix_low, quant.mix_high, False, detail)


def _as_released(each: Quantized, kind: str | None) -> Weight:
    """gpt-oss was released with experts in MXFP4, and every GGUF file of it keeps them, whatever its name says."""
    if kind in _MXFP4_EXPERTS and each.group.matrix and each.group.role.endswith("_exps"):
        return _weight(each, "MXFP4", each.group.total_elements // 32 * 17)
    return _weight(each, each.dtype, each.bytes)


def _weight(each: Quantized, dtype: str, size: int) -> Weight:
    layers = each.group.layers
    return Weight(each.group.role, dtype, size // max(len(layers), 1), layers)


def _by_role(tensors: tuple[Tensor, ...]) -> tuple[Weight, ...]:
    """GGUF tensors gathered by role, type and size; those of other files lie outside the layers."""
    places: defaultdict[tuple[str, str, int], list[int]] = defaultdict(list)
    for tensor in tensors:
        found = _IN_LAYER.fullmatch(tensor.name)
        role = (found[2] if found else tensor.name).removesuffix(".weight").removesuffix(".bias")
        places[role, tensor.dtype, tensor.bytes].append(int(found[1]) if found else -1)
    return tuple(Weight(role, dtype, size, tuple(layers)) for (role, dtype, size), layers in places.items())
