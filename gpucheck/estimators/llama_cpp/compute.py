"""Compute buffers of llama.cpp: those of the CPU, of one GPU and its host, and of several GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.estimators.llama_cpp.allocator import Peak
from gpucheck.estimators.llama_cpp.blocks import Batch
from gpucheck.estimators.llama_cpp.geometry import Geometry
from gpucheck.estimators.llama_cpp.options import LlamaCppOptions
from gpucheck.estimators.llama_cpp.pattern import shown_layers
from gpucheck.estimators.llama_cpp.scheduler import PIPELINE_COPIES
from gpucheck.estimators.llama_cpp.stack import device_peaks, host_peak
from gpucheck.models.architecture import Architecture, Attention, Layer

_PLAIN = ("f32", "f16", "bf16")
_CUDA = ("cuda", "rocm")
_FLOAT, _HALF = 4, 2
_LEAST_LAYERS = 2  # of each GPU in the graph for several


class Buffers(Struct, frozen=True):
    """Compute buffers in bytes: the host's, and those of the GPUs in their order.

    For several GPUs they are that of the first, of any between, and of the last, which has the head.
    """

    host: int
    devices: tuple[int, ...]


class _Settled(Struct, frozen=True):
    """Peaks that were simulated for one number of cells."""

    cells: int
    swa_cells: int
    peaks: tuple[Peak, ...]


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
        cuda=device and options.backend in _CUDA,
    )


def buffer_bytes(architecture: Architecture, geometry: Geometry, options: LlamaCppOptions) -> int:
    """The compute buffer of the CPU, if it runs everything."""
    return _peaks(architecture, batch_of(architecture, geometry, options, device=False), 0)[0]


def device_buffers(
    architecture: Architecture, geometry: Geometry, options: LlamaCppOptions, devices: int = 1
) -> Buffers:
    """The buffers of the host and of the GPUs that run every layer.

    For Llama-3-8B with logits of 512 tokens that is 258.50 MiB on the GPU, as llama.cpp logs, and with 8192 cells
    24.01 MiB on the host. Of several GPUs each keeps four copies of what it is given, since they work on successive
    micro-batches at the same time. Measured with llama.cpp's scheduler on devices that only pretend to be CUDA's;
    never on a GPU.
    """
    peaks = _peaks(architecture, batch_of(architecture, geometry, options, device=True), min(devices, 3))
    return Buffers(peaks[0], peaks[1:])


def _peaks(architecture: Architecture, batch: Batch, devices: int) -> tuple[int, ...]:
    """The buffers of the host and of so many GPUs.

    With flash attention the context decides nothing but the masks. As long as the widest phase is one in which all
    masks are alive, more cells add to the buffer what they add to the masks, and no simulation is needed.
    """
    known = cast("dict[object, list[_Settled]]", architecture.__dict__.setdefault("_llama_cpp_peaks", {}))
    rest = replace(batch, cells=0, swa_cells=0)
    found = known.setdefault((rest, devices), [])
    affine = batch.flash and not (batch.cuda and (batch.quantized_k or batch.quantized_v))
    for settled in found:
        more, more_swa = batch.cells - settled.cells, batch.swa_cells - settled.swa_cells
        if not more and not more_swa:
            return tuple(peak.bytes for peak in settled.peaks)
        if affine and more >= 0 and more_swa >= 0 and all(peak.bytes == peak.with_masks for peak in settled.peaks):
            each = (more * _has_full(architecture) + more_swa) * batch.tokens * _HALF
            if devices > 1:
                each *= PIPELINE_COPIES
            return tuple(peak.bytes + each for peak in settled.peaks)
    peaks = _simulated(architecture, batch, devices)
    found.append(_Settled(batch.cells, batch.swa_cells, tuple(peaks)))
    return tuple(peak.bytes for peak in peaks)


def _simulated(architecture: Architecture, batch: Batch, devices: int) -> Sequence[Peak]:
    shown = shown_layers(architecture)
    if not devices:
        return [host_peak(architecture, batch, shown)]
    if devices == 1:
        return device_peaks(architecture, batch, shown, (1,) * (len(shown) + 1))
    period = architecture.layers if len(shown) < _LEAST_LAYERS * devices else shown
    return device_peaks(architecture, batch, *_spread(period, devices))


def _spread(layers: tuple[Layer, ...], devices: int) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    """The layers, as often as there are GPUs, and the GPU of each and of the head: all have every kind of layer."""
    where = tuple(device for device in range(1, devices + 1) for _ in layers)
    return layers * devices, (*where, devices)


def _has_full(architecture: Architecture) -> bool:
    """Whether a layer looks at the whole context."""
    return any(
        layer.attention is not None and not (isinstance(layer.attention, Attention) and layer.attention.window)
        for layer, _ in architecture.groups
    )


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
