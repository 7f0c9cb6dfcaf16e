"""A model on this disk: a GGUF file, a checkpoint directory, one safetensors file, or a configuration alone."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.models.checkpoint_format import checkpoint_format
from gpucheck.models.config import read_config
from gpucheck.models.gguf.model import gguf_model
from gpucheck.models.gguf.split import split_paths
from gpucheck.models.model import Model
from gpucheck.models.safetensors import (
    MOST_FILES,
    MOST_TENSORS_TOGETHER,
    SafetensorsHeader,
    read_index,
    read_safetensors,
)
from gpucheck.models.size import ModelSize
from gpucheck.models.tensor import Tensor
from gpucheck.models.untrusted import read_small, shown

CONFIG = "config.json"
QUANT_CONFIG = "hf_quant_config.json"
INDEX = "model.safetensors.index.json"
MOST_CONFIG_BYTES = 16 << 20
MOST_NAMES = 100_000
SUFFIXES = (".gguf", ".safetensors", ".json")
_TOWER = "mmproj"
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def local_model(path: str, name: str | None = None) -> Model:
    """The model at `path`: a directory, or a file that ends in .gguf, .safetensors or .json.

    Raises:
        UsageError: there is none, or it is damaged or beyond the bounds; the sentence says where.
    """
    if os.path.isdir(path):
        return directory_model(path, name)
    folder, file = os.path.split(path)
    if file == INDEX:
        return directory_model(folder or os.curdir, name)
    lower = path.lower()
    if lower.endswith(".safetensors"):
        return _one_file(path, name)
    if lower.endswith(".json"):
        return config_model(read_json(path), name or _label(path), path)
    return gguf_model(path, name)


def directory_model(path: str, name: str | None = None) -> Model:
    """The model in a directory: `config.json` with safetensors files or without, one GGUF model, or a pipeline.

    Raises:
        UsageError: the directory holds neither, or several GGUF models; the sentence lists them.
    """
    if os.path.isfile(os.path.join(path, "model_index.json")):
        from gpucheck.models.pipeline_files import pipeline_directory

        return pipeline_directory(path, name)
    names = _names(path)
    label = name or os.path.basename(os.path.abspath(path))
    weights = _weight_names(path, names)
    models = _gguf_names(path, names)
    if CONFIG in names and (weights or not models):
        quant = read_json(os.path.join(path, QUANT_CONFIG)) if QUANT_CONFIG in names else None
        config = read_json(os.path.join(path, CONFIG))
        if weights:
            return _with_weights(config, quant, path, weights, label)
        model = config_model(config, label, path, quant)
        binary = any(each.endswith((".bin", ".pth", ".pt")) for each in names)
        note = ("its weights are not safetensors files; they are taken from the shape",) if binary else ()
        return replace(model, issues=(*model.issues, *note))
    if len(models) == 1:
        return gguf_model(os.path.join(path, models[0]), name)
    if models:
        raise UsageError(f"{shown(path)} holds several models: {', '.join(models[:10])}; name one of the files")
    if weights:
        return _with_weights(None, None, path, weights, label)
    raise UsageError(f"{shown(path)} holds no model: no {CONFIG}, no safetensors and no GGUF file")


def config_model(
    config: dict[str, Any], label: str, path: str | None = None, quant_config: dict[str, Any] | None = None
) -> Model:
    """The model that a parsed `config.json` describes, as its quantization is declared there or in `quant_config`.

    Raises:
        UsageError: a key that decides the shape is missing, of another kind, or out of bounds.
    """
    found = read_config(config)
    declared = checkpoint_format(config) or (checkpoint_format(quant_config) if quant_config else None)
    return Model(
        id=label,
        source="config",
        architecture=found.architecture,
        parts=found.parts,
        quant=declared.name if declared else None,
        group_size=declared.group_size if declared else None,
        dtype=found.dtype,
        path=path,
        issues=found.issues,
    )


def with_headers(model: Model, headers: Iterable[SafetensorsHeader]) -> Model:
    """`model` with the tensors and bytes of its files.

    Raises:
        UsageError: two files list the same tensor, or all together more than any model has.
    """
    read: list[SafetensorsHeader] = []
    for header in headers:
        read.append(header)
        if sum(len(each.tensors) for each in read) > MOST_TENSORS_TOGETHER:
            raise UsageError(f"the files of {shown(model.id)} list more than {MOST_TENSORS_TOGETHER:,} tensors")
    tensors = tuple(tensor for header in read for tensor in header.tensors)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise UsageError(f"the files of {shown(model.id)} list a tensor twice")
    missing = sum(header.missing_bytes for header in read)
    issues = (f"the files are not whole: {missing:,} bytes of tensors are missing",) if missing else ()
    return replace(
        model,
        source="checkpoint" if len(read) > 1 or model.architecture else "safetensors",
        tensors=tensors,
        file_bytes=sum(header.file_bytes for header in read),
        dtype=model.dtype or _usual_dtype(tensors),
        size=model.size if model.architecture else _counted(tensors),
        issues=(*model.issues, *issues),
    )


def read_json(path: str) -> dict[str, Any]:
    """A JSON file of at most 16 MiB that holds a group of keys; NaN and Infinity are read, as Python writes them.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    return parse_json(read_small(path, MOST_CONFIG_BYTES), path)


def parse_json(data: bytes, path: str) -> dict[str, Any]:
    """The group of keys in `data`; `path` is for the sentence of the UsageError when there is none."""
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown(path)} is not JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{shown(path)} is not a configuration")
    return found


def _one_file(path: str, name: str | None) -> Model:
    """One safetensors file, with the configuration beside it; all the files of an index that names it."""
    folder, file = os.path.split(os.path.abspath(path))
    index = os.path.join(folder, INDEX)
    if os.path.isfile(index) and os.path.isfile(path) and file in read_index(index):
        return directory_model(folder, name)
    config = os.path.join(folder, CONFIG)
    model = _described(read_json(config) if os.path.isfile(config) else None, None, folder, name or _label(path))
    return replace(with_headers(model, (read_safetensors(path),)), source="safetensors", path=path)


def _with_weights(
    config: dict[str, Any] | None, quant: dict[str, Any] | None, path: str, weights: tuple[str, ...], label: str
) -> Model:
    """A checkpoint: what its configuration says, and the tensors of its files as far as they are there."""
    model = _described(config, quant, path, label)
    there = tuple(os.path.join(path, each) for each in weights if os.path.isfile(os.path.join(path, each)))
    if len(there) < len(weights):
        note = (
            f"{len(weights) - len(there)} of its {len(weights)} files are not there: weights are taken from the shape"
        )
        return replace(model, issues=(*model.issues, note))
    return with_headers(model, (read_safetensors(each) for each in there))


def _described(config: dict[str, Any] | None, quant: dict[str, Any] | None, path: str, label: str) -> Model:
    """The model by its configuration; where that tells no shape, one whose issue says why."""
    if config is None:
        return Model(
            id=label, source="safetensors", path=path, issues=(f"there is no {CONFIG}: the shape is not known",)
        )
    try:
        return config_model(config, label, path, quant)
    except UsageError as error:
        return Model(id=label, source="checkpoint", path=path, issues=(str(error),))


def _names(path: str) -> frozenset[str]:
    try:
        with os.scandir(path) as entries:
            names = [entry.name for _, entry in zip(range(MOST_NAMES), entries, strict=False)]
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be listed: {error.strerror or error}") from error
    return frozenset(names)


def _weight_names(path: str, names: frozenset[str]) -> tuple[str, ...]:
    """The safetensors files of the model: those of the index; without one all, or all but a second copy."""
    if INDEX in names:
        return read_index(os.path.join(path, INDEX))
    found = sorted(name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_"))
    single = [name for name in found if not name.startswith("consolidated")]  # Mistral's second copy
    chosen = tuple(single or found)
    if len(chosen) > MOST_FILES:
        raise UsageError(f"{shown(path)} holds {len(chosen):,} safetensors files, which no model has")
    return chosen


def _gguf_names(path: str, names: frozenset[str]) -> tuple[str, ...]:
    """One file of each GGUF model: the first of a split; towers of vision ("mmproj-…") left out."""
    found = sorted(name for name in names if name.lower().endswith(".gguf"))
    models = [name for name in found if _TOWER not in name.lower().replace(".", "-").replace("_", "-").split("-")]
    first: dict[str, None] = {}
    for name in models or found:
        first[os.path.basename(split_paths(os.path.join(path, name))[0])] = None
    return tuple(first)


def _usual_dtype(tensors: tuple[Tensor, ...]) -> str | None:
    """The type of most plain elements."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        if tensor.dtype in _DTYPES:
            counts[_DTYPES[tensor.dtype]] += tensor.elements
    return counts.most_common(1)[0][0] if counts else None


def _counted(tensors: tuple[Tensor, ...]) -> ModelSize | None:
    """The number of parameters where each element is one: no packed weights among the tensors."""
    if not tensors or any(tensor.dtype not in _DTYPES for tensor in tensors):
        return None
    count = sum(tensor.elements for tensor in tensors)
    return ModelSize(count, None, count, count)


def _label(path: str) -> str:
    """What to call the model of a file: its directory for the usual names, else the file without its suffix."""
    folder, file = os.path.split(os.path.abspath(path))
    stem = os.path.splitext(file)[0]
    return os.path.basename(folder) or stem if stem in {"config", "model", "consolidated"} else stem
