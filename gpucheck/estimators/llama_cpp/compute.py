"""Compute buffers of llama.cpp: the graph's peak on the device, and its inputs on the host."""

from __future__ import annotations

from typing import cast

from gpucheck.estimators.llama_cpp.blocks import Batch
from gpucheck.estimators.llama_cpp.geometry import Geometry
from gpucheck.estimators.llama_cpp.options import LlamaCppOptions
from gpucheck.estimators.llama_cpp.stack import compute_bytes
from gpucheck.models.architecture import Architecture, Attention

_PLAIN = ("f32", "f16", "bf16")
_FLOAT = 4


def batch_of(architecture: Architecture, geometry: Geometry, options: LlamaCppOptions, *, device: bool) -> Batch:
    """What the graph is built for."""
    return Batch(
        tokens=geometry.tokens,
        outputs=geometry.outputs,
        sequences=geometry.sequences,
        cells=geometry.cells if architecture.causal else geometry.tokens,
        streams=geometry.streams,
        swa_cells=_swa_cells(architecture, geometry),
        flash=options.flash,
        quantized_k=options.type_k not in _PLAIN,
        quantized_v=options.type_v not in _PLAIN,
        device=device,
    )


def buffer_bytes(architecture: Architecture, geometry: Geometry, options: LlamaCppOptions, *, device: bool) -> int:
    """The compute buffer of the CPU, or of one GPU that runs every layer; remembered for each model."""
    batch = batch_of(architecture, geometry, options, device=device)
    known = cast("dict[Batch, int]", architecture.__dict__.setdefault("_llama_cpp_buffers", {}))
    if batch not in known:
        known[batch] = compute_bytes(architecture, batch)
    return known[batch]


def host_bytes(architecture: Architecture, geometry: Geometry, options: LlamaCppOptions) -> int:
    """The host's buffer beside a GPU: room for token vectors, the rows of the embedding, masks and indexes."""
    tokens = geometry.tokens
    mask = (geometry.cells + _swa_cells(architecture, geometry)) * tokens * (2 if options.flash else _FLOAT)
    extra = architecture.per_layer_embedding * len(architecture.layers)
    return _FLOAT * tokens * (2 * architecture.hidden_size + extra) + mask


def output_bytes(architecture: Architecture, geometry: Geometry) -> int:
    """Logits of one token of each sequence, on the host."""
    return _FLOAT * architecture.vocab_size * geometry.sequences if architecture.head else 0


def _swa_cells(architecture: Architecture, geometry: Geometry) -> int:
    """Cells of a stream in the layers with a window; 0 without any."""
    windows = (
        layer.attention.window
        for layer, _ in architecture.groups
        if isinstance(layer.attention, Attention) and layer.attention.window is not None
    )
    return max((geometry.window_cells(window) for window in windows), default=0)
