"""The memory of llama-server for a model of known shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpucheck.errors import UsageError
from gpucheck.estimators.llama_cpp.needs import LayerNeed, Needs, Weight, needs
from gpucheck.estimators.llama_cpp.options import (
    VERSION,
    LlamaCppOptions,
    assumptions,
    parse_options,
)
from gpucheck.estimators.llama_cpp.overhead import PROCESS, context_band
from gpucheck.estimators.rows import Component, Estimate, Row
from gpucheck.models.architecture import Architecture

# Of compute buffers on the CPU 674 of 681 that llama.cpp reported are predicted to the byte, and 677 lie inside
# (benchmarks/accuracy_llama_cpp.py). Beside a GPU its scheduler was measured with devices that pretend to be CUDA's
# (truth/llama_cpp_device.csv); on real ones one published figure is known, which is met (Llama-3-8B, 258.50 MiB). Other
# backends fuse and reorder operations of their own, which nobody measured: their band is assumed.
COMPUTE_LOW, COMPUTE_HIGH = 0.97, 1.03
_CUDA_LOW, _CUDA_HIGH = 0.95, 1.05
_DEVICE_LOW, _DEVICE_HIGH = 0.85, 1.15
# Kinds of layers whose graph is taken for another's.
_ALIKE = frozenset({"kda", "lightning", "rwkv"})
_ALIKE_LOW, _ALIKE_HIGH = 0.7, 1.4


def estimate(
    architecture: Architecture,
    weights: Iterable[Weight],
    *,
    context: int = 8192,
    batch: int = 1,
    options: Mapping[str, object] | None = None,
) -> Estimate:
    """The memory for `batch` users of `context` tokens each, row by row, on one GPU and its host.

    Weights are given as they lie in the file; caches and states are exact, compute buffers within a few percent.

    Raises:
        UsageError: an option is not llama.cpp's, or a number is not positive.
    """
    given = options or {}
    parsed = parse_options(given)
    if context < 1 or batch < 1:
        raise UsageError("context and batch are counted from 1")
    if batch > 1 and parsed.n_parallel is not None and parsed.n_parallel < batch:
        raise UsageError(f"{parsed.n_parallel} slots (n_parallel) do not hold a batch of {batch}")
    parts = needs(architecture, weights, context, batch, parsed)
    rows = gpu_rows(parts, parsed) if parsed.gpu else cpu_rows(parts, parsed)
    if any(layer.recurrent and layer.recurrent.kind in _ALIKE for layer, _ in architecture.groups):
        rows = [_widened(row) for row in rows]
    return Estimate(tuple(rows), (VERSION, *assumptions(parsed, given)))


def gpu_rows(parts: Needs, options: LlamaCppOptions) -> list[Row]:
    """One GPU and the host. The first of `n_gpu_layers` is the head, the others are layers from the last.

    What the host keeps of the layers, the GPU still works on in batches of 32 tokens or more: it borrows one tensor
    after the other, and the cache of one layer. How much of that is needed at once is bounded, not predicted.
    """
    count = len(parts.layers)
    held = count + 1 if options.n_gpu_layers < 0 else min(options.n_gpu_layers, count + 1)
    head = held > 0
    first = count - max(held - 1, 0)
    layers, left = parts.layers[first:], parts.layers[:first]
    moved = _moved(parts.layers, left, options.n_cpu_moe)
    whole = parts.sums if not left else _sums(layers)
    weights = whole[0] - moved
    weights += (parts.output_bytes + parts.tied_bytes) if head else 0
    behind = _sums(left)
    host = parts.input_bytes + behind[0] + moved
    host += 0 if head else parts.output_bytes
    rows = [_exact("weights", weights, "tensors on the GPU", "gpu"), _exact("weights", host, "embedding", "host")]
    rows += _cache_rows(whole, "gpu" if options.offload_kqv else "host")
    rows += _cache_rows(behind, "host")
    rows.append(_device_compute(parts, left, options))
    rows.append(_host_compute(parts.host_compute_bytes))
    rows.append(_exact("compute", parts.logits_bytes, "logits that are handed out", "host"))
    band = context_band(options.backend)
    detail = f"{options.backend} context"
    rows.append(Row("overhead", band.likely, band.low, band.high, "range", detail, "gpu"))
    if options.mmproj_bytes:
        rows.append(_exact("weights", options.mmproj_bytes, "projector (mmproj)", "gpu"))
    rows.append(Row("overhead", PROCESS.likely, PROCESS.low, PROCESS.high, "range", "the process itself", "host"))
    return [row for row in rows if row.bytes or row.high_bytes]


def cpu_rows(parts: Needs, options: LlamaCppOptions) -> list[Row]:
    """Everything in memory of the host."""
    weights = parts.input_bytes + parts.output_bytes + parts.sums[0]
    rows = [_exact("weights", weights + options.mmproj_bytes, "the file's tensors", "host")]
    rows += _cache_rows(parts.sums, "host")
    rows.append(_host_compute(parts.cpu_compute_bytes))
    rows.append(_exact("compute", parts.logits_bytes, "logits that are handed out", "host"))
    rows.append(Row("overhead", PROCESS.likely, PROCESS.low, PROCESS.high, "range", "the process itself", "host"))
    if parts.repacked_bytes and not options.no_mmap:
        detail = "pages of the file beside the repacked copies; they can be dropped"
        rows.append(Row("overhead", 0, 0, parts.repacked_bytes, "range", detail, "host"))
    return [row for row in rows if row.bytes or row.high_bytes]


def _moved(layers: tuple[LayerNeed, ...], left: tuple[LayerNeed, ...], n_cpu_moe: int) -> int:
    """Bytes of experts that the host keeps of layers that are otherwise on the GPU."""
    return sum(layer.expert_bytes for layer in layers[len(left) : n_cpu_moe])


def _sums(layers: tuple[LayerNeed, ...]) -> tuple[int, int, int]:
    """Weights, caches and states of these layers together."""
    if not layers:
        return 0, 0, 0
    return (
        sum([layer.weights_bytes for layer in layers]),
        sum([layer.cache_bytes for layer in layers]),
        sum([layer.state_bytes for layer in layers]),
    )


def _cache_rows(sums: tuple[int, int, int], device: str) -> list[Row]:
    _, cache, state = sums
    return [_exact("kv_cache", cache, "keys and values", device), _exact("kv_cache", state, "recurrent state", device)]


def _exact(component: Component, count: int, detail: str, device: str) -> Row:
    return Row(component, count, count, count, "exact", detail, device)


def _host_compute(count: int) -> Row:
    low, high = round(count * COMPUTE_LOW), round(count * COMPUTE_HIGH)
    return Row("compute", count, low, high, "formula", "compute buffer", "host")


def _compute(count: int, options: LlamaCppOptions) -> Row:
    cuda = options.backend in ("cuda", "rocm")
    low, high = (_CUDA_LOW, _CUDA_HIGH) if cuda else (_DEVICE_LOW, _DEVICE_HIGH)
    return Row("compute", count, round(count * low), round(count * high), "formula", "compute buffer", "gpu")


def _device_compute(parts: Needs, left: tuple[LayerNeed, ...], options: LlamaCppOptions) -> Row:
    """The buffer of the GPU, with what it borrows of the host."""
    plain = _compute(parts.device_compute_bytes, options)
    borrowed = max((layer.largest_bytes for layer in left), default=0)
    if not left and options.n_cpu_moe:
        borrowed = max((layer.largest_bytes for layer in parts.layers[: options.n_cpu_moe]), default=0)
    if not left and not borrowed and options.offload_kqv:
        return plain
    away = left if options.offload_kqv else parts.layers
    cache = max((layer.cache_bytes for layer in away), default=0)
    if not borrowed and not cache:
        return plain
    most = plain.bytes + borrowed + cache
    low = max(plain.low_bytes, borrowed + cache)
    likely = (low + most) // 2
    return Row(
        "compute", likely, low, round(most * _CUDA_HIGH), "range", "compute buffer, with borrowed weights", "gpu"
    )


def _widened(row: Row) -> Row:
    """The row with the band of a graph that is only alike."""
    if row.basis != "formula":
        return row
    low, high = round(row.bytes * _ALIKE_LOW), round(row.bytes * _ALIKE_HIGH)
    return Row(row.component, row.bytes, low, high, "range", row.detail, row.device)
