"""A diffusion pipeline on this disk: `model_index.json`, and a directory for each component.

Parameters come from the headers of the safetensors files; the shape of denoiser and decoder from their `config.json`.
Text encoders of a kind that the catalogue has keep its shape: their activations are small. Files are untrusted:
lengths, counts and numbers are bounded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.models.checkpoint import read_json
from gpucheck.models.model import Model
from gpucheck.models.pipelines import Component, Pipeline, model_of_pipeline, pipelines
from gpucheck.models.safetensors import MOST_FILES, MOST_TENSORS_TOGETHER, read_index, read_safetensors
from gpucheck.models.tensor import Tensor
from gpucheck.models.untrusted import shown

PIPELINE_INDEX = "model_index.json"
_MOST_COMPONENTS = 32
_MOST = 1_000_000
_LEAST_ROW = 16  # kernels of convolutions are 1 to 7 wide
_INDEXES = ("diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json")
_FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors")
_EMBEDDINGS = ("shared.weight", "embed_tokens.weight", "token_embedding.weight", "position_embedding.weight")
_PACKED = frozenset({"I8", "U8", "F8_E4M3", "F8_E5M2"})
_MOST_RATIO, _CHANNELS = 100, "block_out_channels"
# The numbers that the formulas need, those of block_out_channels a list, and those that may be missing.
_OPTIONAL = {
    "UNet2DConditionModel": ("layers_per_block",),
    "AutoencoderKL": ("sample_size",),
    "AutoencoderKLFlux2": ("sample_size",),
    "AutoencoderKLWan": ("patch_size", "decoder_base_dim"),
    "AutoencoderKLQwenImage": ("patch_size", "decoder_base_dim"),
    "WanTransformer3DModel": ("in_channels",),
}
_NUMBERS = {
    "FluxTransformer2DModel": ("num_attention_heads", "attention_head_dim"),
    "Flux2Transformer2DModel": ("num_attention_heads", "attention_head_dim", "joint_attention_dim"),
    "SD3Transformer2DModel": ("num_attention_heads", "attention_head_dim", "joint_attention_dim"),
    "QwenImageTransformer2DModel": ("num_attention_heads", "attention_head_dim", "joint_attention_dim"),
    "WanTransformer3DModel": ("num_attention_heads", "attention_head_dim", "ffn_dim", "text_dim"),
    "PixArtTransformer2DModel": ("num_attention_heads", "attention_head_dim", "caption_channels"),
    "UNet2DConditionModel": ("block_out_channels",),
    "AutoencoderKL": ("block_out_channels",),
    "AutoencoderKLFlux2": ("block_out_channels",),
    "AutoencoderKLWan": ("base_dim",),
    "AutoencoderKLQwenImage": ("base_dim",),
}


def pipeline_directory(path: str, name: str | None = None) -> Model:
    """The pipeline in a directory that has a `model_index.json`.

    Raises:
        UsageError: it is of a class or with a component that gpucheck does not know, a file is missing or damaged, or
            a number in it is beyond the bounds.
    """
    index = read_json(os.path.join(path, PIPELINE_INDEX))
    kind = index.get("_class_name")
    like = next((entry for entry in pipelines() if entry.pipeline == kind), None)
    if like is None:
        known = ", ".join(sorted({entry.pipeline for entry in pipelines()}))
        raise UsageError(f"{shown(path)} is a pipeline of the class {shown(str(kind))}; known are {known}")
    found = tuple(_components(path, index, like))
    entry = replace(
        like,
        id=name or os.path.basename(os.path.abspath(path)),
        license=None,
        source=f"{PIPELINE_INDEX} and the files beside it",
        components=found,
        aliases=(),
    )
    return model_of_pipeline(entry, path)


def _components(path: str, index: dict[str, Any], like: Pipeline) -> Iterable[Component]:
    """The components with weights, in the order of the pipeline's own class."""
    if len(index) > _MOST_COMPONENTS:
        raise UsageError(f"{shown(path)} names {len(index)} components, which no pipeline has")
    for usual in like.components:
        stated = index.get(usual.name)
        if stated is None or stated == [None, None]:
            continue
        if not (isinstance(stated, list) and len(stated) == 2 and isinstance(stated[1], str)):
            raise UsageError(f"{shown(path)} does not say the class of {usual.name}")
        yield _component(os.path.join(path, usual.name), usual, stated[1])


def _component(folder: str, usual: Component, kind: str) -> Component:
    if usual.encodes and kind != usual.kind:
        raise UsageError(f"{shown(folder)} is a {shown(kind)}; known there is {usual.kind}")
    config = usual.config
    if not usual.encodes:
        config = read_json(os.path.join(folder, "config.json"))
        _check(config, kind, folder)
    tensors = _tensors(folder)
    linear = [each.elements for each in tensors if _is_matrix(each)]
    packed = any(each.dtype in _PACKED for each in tensors)
    return replace(
        usual,
        kind=kind,
        config=config,
        parameters=sum(each.elements for each in tensors),
        linear_parameters=sum(linear),
        largest_module=max((each.elements for each in tensors), default=0),
        largest_linear=max(linear, default=0),
        file_bytes=sum(each.bytes for each in tensors) if packed else None,
    )


def _check(config: dict[str, Any], kind: str, folder: str) -> None:
    """Raise UsageError unless the class is known and its numbers are positive and not absurd."""
    if kind not in _NUMBERS:
        raise UsageError(f"{shown(folder)} is a {shown(kind)}, which gpucheck does not know")
    for key in _NUMBERS[kind]:
        value = config.get(key)
        numbers = value if isinstance(value, list) and key == _CHANNELS else [value]
        if not numbers or len(numbers) > _MOST_COMPONENTS or not all(_is_size(each) for each in numbers):
            raise UsageError(f"{shown(folder)} has no plausible {key}: {shown(str(value))}")
    for key in _OPTIONAL.get(kind, ()):
        if (value := config.get(key)) is not None and not _is_size(value):
            raise UsageError(f"{shown(folder)} has no plausible {key}: {shown(str(value))}")
    if kind == "UNet2DConditionModel":
        blocks, channels = config.get("down_block_types"), config["block_out_channels"]
        if not isinstance(blocks, list) or not isinstance(channels, list) or len(blocks) != len(channels):
            raise UsageError(f"{shown(folder)} has no plausible down_block_types: {shown(str(blocks))}")
    ratio = config.get("mlp_ratio", 1)
    if not isinstance(ratio, (int, float)) or not 0 < ratio <= _MOST_RATIO:
        raise UsageError(f"{shown(folder)} has no plausible mlp_ratio: {shown(str(ratio))}")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST


def _is_matrix(tensor: Tensor) -> bool:
    """Whether a tensor is that of a Linear layer: more than one row, and rows that are no kernel's width."""
    wide = _LEAST_ROW <= tensor.row < tensor.elements
    return wide and tensor.name.endswith(".weight") and not tensor.name.endswith(_EMBEDDINGS)


def _tensors(folder: str) -> tuple[Tensor, ...]:
    index = next((each for each in (os.path.join(folder, name) for name in _INDEXES) if os.path.isfile(each)), None)
    files = read_index(index) if index else tuple(n for n in _FILES if os.path.isfile(os.path.join(folder, n)))[:1]
    if not files or len(files) > MOST_FILES:
        raise UsageError(f"{shown(folder)} holds no weights as safetensors files of the usual names")
    found: list[Tensor] = []
    for file in files:
        found += read_safetensors(os.path.join(folder, file)).tensors
        if len(found) > MOST_TENSORS_TOGETHER:
            raise UsageError(f"{shown(folder)} has more tensors than any model")
    if not found:
        raise UsageError(f"{shown(folder)} holds no tensors")
    return tuple(found)
