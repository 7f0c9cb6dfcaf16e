"""The tensors of a model as they are stored: those of its file, or those that a quantization's name implies."""

from __future__ import annotations

import re
from collections import defaultdict

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.llama_cpp.needs import Weight
from gpucheck.estimators.rows import Row
from gpucheck.models.architecture import Architecture
from gpucheck.models.model import Model
from gpucheck.models.quant.assign import Weight as Quantized
from gpucheck.models.quant.assign import gguf_weights
from gpucheck.models.quant.shape import MixShape
from gpucheck.models.quant.weights import Storage, weights
from gpucheck.models.quantization import Quantization, find_quantization
from gpucheck.models.tensor import Tensor

_IN_LAYER = re.compile(r"blk\.(\d+)\.(.+)", re.ASCII)
# Files that the name and the shape describe differ a little: other versions of the quantizing tool, matrices that a
# maker leaves alone. 78 published files: median 0.1 %, 90 % within 1 % (benchmarks/README.md).
_NAMED_LOW, _NAMED_HIGH = 0.985, 1.015
_PLAIN = {"fp32": "F32", "bf16": "BF16", "fp16": "F16"}
_MXFP4_EXPERTS = frozenset({"gpt_oss", "gpt-oss"})


class Stored(Struct, frozen=True, gc=False):
    """Tensors with their bytes, and the bounds of the whole as ratios; `exact` if they are those of a file."""

    weights: tuple[Weight, ...]
    bytes: int
    ratio: float
    low_ratio: float
    high_ratio: float
    exact: bool
    detail: str


def stored(model: Model, quant: Quantization, *, gguf: bool = True) -> Stored:
    """The tensors of `model` in `quant`: its file's, where that is how the file is stored.

    With `gguf` a checkpoint counts as converted: its tensors have the names and the types of a GGUF file. The model
    has a shape. What was worked out once is kept with the model.
    """
    kept: dict[tuple[str, bool], Stored] = model.memo.setdefault("stored", {})
    key = quant.name, gguf
    if key not in kept:
        own = in_file(model, quant) and (model.source == "gguf" or not gguf)
        kept[key] = _of_file(model) if own else _of_name(model, quant, gguf)
    return kept[key]


def shape_of(model: Model) -> Architecture:
    """The shape of the model.

    Raises:
        UsageError: it is not known.
    """
    if model.architecture is None:
        raise UsageError(
            f"the shape of {model.id} is not known: {model.issues[0] if model.issues else 'no reason told'}"
        )
    return model.architecture


def banded(row: Row, size: int, held: Stored) -> Row:
    """The row for `size` bytes as they are stored, with the band of the format."""
    middle = round(size * held.ratio)
    if held.exact:
        return replace(row, bytes=middle, low_bytes=middle, high_bytes=middle)
    low, high = round(size * held.low_ratio), round(size * held.high_ratio)
    return replace(row, bytes=middle, low_bytes=low, high_bytes=high, basis="formula")


def in_file(model: Model, quant: Quantization) -> bool:
    """Whether the file's own tensors are what is asked for."""
    own = own_format(model)
    return own is not None and own.name == quant.name


def own_format(model: Model) -> Quantization | None:
    """The format that the model's files are stored in; None without files, or where they do not say it.

    A type that is no name of a file mix ("Q4_K", of a GGUF file that does not name its mix) is a format of its own,
    of just the bits that the tensors take.
    """
    if "own_format" not in model.memo:
        model.memo["own_format"] = _own_format(model)
    found: Quantization | None = model.memo["own_format"]
    return found


def _own_format(model: Model) -> Quantization | None:
    name, tensors = model.quant or model.dtype, model.tensors
    if not tensors or name is None:
        return None
    try:
        return find_quantization(name)
    except UsageError:
        bits = sum(tensor.bytes for tensor in tensors) * 8 / max(sum(tensor.elements for tensor in tensors), 1)
        return Quantization(name=name, bits=bits, low_ratio=1.0, high_ratio=1.0)


def chosen_format(model: Model, name: str | None, engine: str) -> Quantization | None:
    """The quantization called `name`; without a name that of the model's files, if the engine reads it. None is open.

    Raises:
        UsageError: no quantization has that name.
    """
    own = own_format(model)
    if name is not None:
        return own if own and own.name.lower() == name.lower() else find_quantization(name)
    if own is None and model.quant:
        own = find_quantization(model.quant)
    if engine in {"transformers", "vllm"} or model.source == "gguf":
        return own
    return own if own and model.quant and in_gguf(own) else None


def in_gguf(quant: Quantization) -> bool:
    """Whether GGUF files have this format, other than by a type of their own."""
    return quant.mix is not None or quant.name in _PLAIN


def _of_file(model: Model) -> Stored:
    tensors = model.tensors or ()
    total = sum(tensor.bytes for tensor in tensors)
    return Stored(_by_role(tensors), total, 1.0, 1.0, 1.0, True, "the tensors of the file")


def _of_name(model: Model, quant: Quantization, gguf: bool) -> Stored:
    architecture = model.architecture
    kind = architecture.model_type if architecture else None
    if gguf and quant.name in _PLAIN:  # vectors and routers are in 32 bits there
        plain = MixShape(groups=model.groups, layers=len(architecture.layers) if architecture else 0, model_type=kind)
        tensors = gguf_weights(plain, _PLAIN[quant.name])
    else:
        tensors = weights(model.groups, quant, Storage(model_type=kind, group_size=model.group_size))
    found = tuple(_as_released(each, kind) if gguf else _weight(each, each.dtype, each.bytes) for each in tensors)
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
