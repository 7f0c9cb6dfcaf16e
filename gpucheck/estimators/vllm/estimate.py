"""The memory that vLLM needs for some sequences of a length, and what its pool holds on GPUs of a size."""

from __future__ import annotations

import math
from typing import NamedTuple

from gpucheck.errors import UsageError
from gpucheck.estimators.rows import Component, Estimate, Row, RowBasis
from gpucheck.estimators.serving import Serving
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.stored import in_file, in_gguf, shape_of, stored
from gpucheck.estimators.vllm.cache import Pool, capacity, pools
from gpucheck.estimators.vllm.layout import Layout, layout_of
from gpucheck.estimators.vllm.options import VllmOptions, assumptions, batch_limits, parse_options
from gpucheck.estimators.vllm.profile import graph_bytes, kept_bytes, step_bytes
from gpucheck.estimators.vllm.shards import gpu_weights, rotary_bytes, tower_bytes
from gpucheck.models.architecture import Architecture
from gpucheck.models.model import Model
from gpucheck.models.quant.weights import Storage
from gpucheck.models.quantization import Quantization, find_quantization
from gpucheck.units import MIB, format_bytes

# Libraries and kernels beside torch's allocator since the snapshot: 0.13 GiB (vllm #50722) and 0.20 GiB (#14447).
_BESIDE, _BESIDE_LOW, _BESIDE_HIGH = 140 * MIB, 40 * MIB, 320 * MIB
# The device's context, which lies outside the share; as for transformers.
_CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH = 480 * MIB, 290 * MIB, 940 * MIB
_STEP_LOW, _STEP_HIGH = 0.6, 1.6  # not measured on a GPU
_GRAPHS_LOW, _GRAPHS_HIGH = 0.2, 2.5
# gpu_model_runner.py, profile_run: the tower works on the largest item that its processor makes, which is not known.
_TOWERS = "no profile run of the towers for images and sound, which takes some of the pool (--language-model-only)"


class _Parts(NamedTuple):
    options: VllmOptions
    layout: Layout
    pools: tuple[Pool, ...]
    weights: int
    weights_low: int
    weights_high: int
    step: int
    kept: int
    graphs: int
    limits: tuple[int, int]
    length: int


def estimate_vllm(
    model: Model, quant: Quantization, setting: Setting, gpus: int, device_bytes: int | None = None
) -> Estimate:
    """The need of `batch` sequences over `gpus` GPUs, summed over them; every GPU counts as the fullest.

    `device_bytes` is the memory of one GPU, on which the defaults of a step depend.

    Raises:
        UsageError: an option is not vLLM's, it cannot run the format or the model, or the heads cannot be shared so.
    """
    parts = _parts(model, quant, setting, gpus, device_bytes)
    count = parts.layout.gpus
    each = f" on each of {count} GPUs" if count > 1 else ""
    cache = max(pool.sequence_bytes for pool in parts.pools) * -(-setting.batch // parts.layout.data)
    tokens, sequences = parts.limits
    rows = (
        _row("weights", parts.weights, parts.weights_low, parts.weights_high, count, f"weights{each}"),
        _row("kv_cache", cache, cache, cache, count, f"{setting.context:,} tokens for {setting.batch}{each}"),
        _row(
            "compute", parts.step + parts.kept, round(parts.step * _STEP_LOW), round(parts.step * _STEP_HIGH)
            + parts.kept, count, f"a step of {tokens:,} tokens, {sequences:,} sequences sampled{each}",
        ),
        _row(
            "overhead", parts.graphs + _BESIDE, round(parts.graphs * _GRAPHS_LOW) + _BESIDE_LOW,
            round(parts.graphs * _GRAPHS_HIGH) + _BESIDE_HIGH, count, f"CUDA graphs and libraries{each}",
        ),
        _row(
            "overhead", _CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH, count,
            f"device context of {format_bytes(_CONTEXT)}, outside vLLM's share{each}",
        ),
    )  # fmt: skip
    said = assumptions(parts.options, setting.given, *parts.limits)
    return Estimate(rows, (*said, *((_TOWERS,) if model.parts else ()), *model.issues))


def serving(model: Model, quant: Quantization, setting: Setting, gpus: int, device_bytes: int) -> Serving:
    """What the pool holds on GPUs of which CUDA tells `device_bytes` each, all else of them free.

    Raises:
        UsageError: as `estimate_vllm`.
    """
    parts = _parts(model, quant, setting, gpus, device_bytes)
    share = math.ceil(device_bytes * parts.options.gpu_memory_utilization)
    room = share - parts.weights - parts.step - parts.kept - parts.graphs - _BESIDE
    sequences, tokens = capacity(parts.pools, (room,) * len(parts.pools), parts.length)
    return Serving(
        kv_tokens=tokens * parts.layout.data,
        sequences=sequences * parts.layout.data,
        gpu_memory_utilization=parts.options.gpu_memory_utilization,
        tensor_parallel=parts.layout.tensor,
        pipeline_parallel=parts.layout.pipeline,
        pool_bytes=max(room, 0),
    )


def tokens_in(model: Model, setting: Setting, gpus: int, pool_bytes: int, device_bytes: int | None = None) -> int:
    """The tokens that a pool of so many bytes on each GPU holds, as vLLM tells of them at its start."""
    architecture = _served(shape_of(model))
    options = parse_options(setting.given)
    layout = layout_of(architecture, options, max(gpus, 1))
    length = options.max_model_len or setting.context
    step, _ = batch_limits(options, length, device_bytes)
    found = pools(architecture, options, layout, length, step)
    return capacity(found, (pool_bytes,) * len(found), length)[1]


def _parts(model: Model, quant: Quantization, setting: Setting, gpus: int, device_bytes: int | None) -> _Parts:
    architecture = _served(shape_of(model))
    if quant.mix is not None or (model.source == "gguf" and not in_gguf(quant)):
        raise UsageError(f"vLLM's GGUF support is experimental and not estimated: {quant.name} is a format of GGUF")
    options = parse_options(setting.given)
    layout = layout_of(architecture, options, max(gpus, 1))
    length = options.max_model_len or setting.context
    limits = batch_limits(options, length, device_bytes)
    weights, low, high = _weights(model, architecture, quant, layout)
    return _Parts(
        options=options,
        layout=layout,
        pools=pools(architecture, options, layout, length, limits[0]),
        weights=weights,
        weights_low=low,
        weights_high=high,
        step=step_bytes(architecture, layout, *limits),
        kept=kept_bytes(architecture, limits[1]),
        graphs=graph_bytes(options, limits[1]),
        limits=limits,
        length=length,
    )


def _served(architecture: Architecture) -> Architecture:
    if not architecture.causal or any(layer.cross_attention for layer, _ in architecture.groups):
        raise UsageError(f"vLLM serves {architecture.model_type} otherwise than gpucheck estimates")
    return architecture


def _weights(model: Model, architecture: Architecture, quant: Quantization, layout: Layout) -> tuple[int, int, int]:
    """Bytes of weights on the fullest GPU, with their bounds; a file's own total is cut as its shape would be."""
    held = stored(model, quant, gguf=False)
    storage = Storage(model_type=architecture.model_type, group_size=model.group_size)
    try:
        named = find_quantization(quant.name)
    except UsageError:
        named = find_quantization("bf16")
    plain = gpu_weights(model.groups, architecture, named, storage, layout)
    cut = gpu_weights(model.groups, architecture, named, storage, layout, padded=True)
    if held.exact:
        whole = gpu_weights(model.groups, architecture, named, storage, Layout())
        plain, cut = (round(held.bytes * size / whole) if whole else held.bytes for size in (plain, cut))
    likely, most = (0, 0) if in_file(model, quant) else tower_bytes(model.parts, layout)
    rotary = rotary_bytes(architecture)
    low = plain * held.low_ratio + rotary / 2 + most / layout.tensor
    return cut + rotary + likely, round(low), round(cut * held.high_ratio) + 2 * rotary + most


def _row(component: Component, size: int, low: int, high: int, count: int, detail: str) -> Row:  # noqa: PLR0913, PLR0917
    basis: RowBasis = "exact" if low == size == high else "formula"
    return Row(component, size * count, low * count, high * count, basis, detail)
