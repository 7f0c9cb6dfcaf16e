"""The memory of llama-server for a model of known shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.llama_cpp.needs import Needs, Weight, needs
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
_SEVERAL = 2
PROJECTOR = "projector (mmproj)"  # a file of its own, of known size


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
    rows = (*weight_rows(parts, parsed), *context_rows(parts, parsed))
    return Estimate(rows, (VERSION, *assumptions(parsed, given)))


def weight_rows(parts: Needs, options: LlamaCppOptions) -> list[Row]:
    """The tensors on GPUs and on the host. The first of `n_gpu_layers` is the head, the others the last layers."""
    if not options.gpu:
        return _weights_on_host(parts, options)
    first = _left(parts, options)
    head = options.n_gpu_layers != 0
    behind = _sums(parts, first)[0]
    moved = sum([parts.kinds[kind].expert_bytes for kind in parts.order[first : options.n_cpu_moe]])
    weights = parts.sums[0] - behind - moved + (parts.output_bytes + parts.tied_bytes if head else 0)
    host = parts.input_bytes + behind + moved + (0 if head else parts.output_bytes)
    rows = [_exact("weights", weights, "tensors on the GPU", "gpu"), _exact("weights", host, "embedding", "host")]
    rows.append(_exact("weights", options.mmproj_bytes, PROJECTOR, "gpu"))
    return [row for row in rows if row.bytes]


def context_rows(parts: Needs, options: LlamaCppOptions, gpus: int = 1) -> list[Row]:
    """Everything but the tensors, with all of what each of several GPUs needs for itself.

    What the host keeps of the layers, the GPU still works on in batches of 32 tokens or more: it borrows one tensor
    after the other, and the cache of one layer. How much of that is needed at once is bounded, not predicted.
    """
    rows = _device_rows(parts, options, gpus) if options.gpu else _cache_rows(parts.sums, "host")
    rows.append(_host_compute(parts.host_compute_bytes if options.gpu else parts.cpu_compute_bytes))
    rows.append(_exact("compute", parts.logits_bytes, "logits that are handed out", "host"))
    rows.append(Row("overhead", PROCESS.likely, PROCESS.low, PROCESS.high, "range", "the process itself", "host"))
    kinds = (layer.recurrent.kind for layer, _ in parts.architecture.groups if layer.recurrent)
    if not _ALIKE.isdisjoint(kinds):
        rows = [_widened(row) for row in rows]
    return [row for row in rows if row.bytes or row.high_bytes]


def _weights_on_host(parts: Needs, options: LlamaCppOptions) -> list[Row]:
    weights = parts.input_bytes + parts.output_bytes + parts.sums[0]
    rows = [_exact("weights", weights + options.mmproj_bytes, "the file's tensors", "host")]
    if parts.repacked_bytes and not options.no_mmap:
        detail = "pages of the file beside the repacked copies; they can be dropped"
        rows.append(Row("overhead", 0, 0, parts.repacked_bytes, "range", detail, "host"))
    return rows


def _left(parts: Needs, options: LlamaCppOptions) -> int:
    """How many layers stay on the host: the first ones."""
    count = len(parts.order)
    return 0 if options.n_gpu_layers < 0 else count - min(max(options.n_gpu_layers - 1, 0), count)


def _device_rows(parts: Needs, options: LlamaCppOptions, gpus: int) -> list[Row]:
    """Caches, and the buffers and contexts of GPUs."""
    left = _left(parts, options)
    behind = _sums(parts, left)
    here = (parts.sums[0] - behind[0], parts.sums[1] - behind[1], parts.sums[2] - behind[2])
    rows = [*_cache_rows(here, "gpu" if options.offload_kqv else "host"), *_cache_rows(behind, "host")]
    band = context_band(options.backend)
    context = Row("overhead", band.likely, band.low, band.high, "range", f"{options.backend} context", "gpu")
    compute = _device_compute(parts, left, options)
    if gpus < _SEVERAL:
        return [*rows, compute, context]
    names = [f"gpu{index}" for index in range(gpus)]
    buffers = parts.several(gpus).devices
    sizes = (buffers[0], *(buffers[1:-1] or buffers[-1:]) * (gpus - 2), buffers[-1])
    if compute.basis == "range":
        sizes = (compute.bytes,) * gpus
    rows += [_resized(compute, size, name) for name, size in zip(names, sizes, strict=True)]
    return [*rows, *(replace(context, device=name) for name in names)]


def _resized(row: Row, size: int, device: str) -> Row:
    """The row for a buffer of another size, with its band."""
    ratio = size / row.bytes if row.bytes else 1.0
    low, high = round(row.low_bytes * ratio), round(row.high_bytes * ratio)
    return replace(row, bytes=size, low_bytes=low, high_bytes=high, device=device)


def _sums(parts: Needs, count: int) -> tuple[int, int, int]:
    """Weights, caches and states of the first so many layers together."""
    weights = cache = state = 0
    order = parts.order[:count]
    for kind in set(order):
        need, times = parts.kinds[kind], order.count(kind)
        weights += need.weights_bytes * times
        cache += need.cache_bytes * times
        state += need.state_bytes * times
    return weights, cache, state


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


def _device_compute(parts: Needs, left: int, options: LlamaCppOptions) -> Row:
    """The buffer of the GPU, with what it borrows of the host, where so many layers are left or experts of some."""
    plain = _compute(parts.device_compute_bytes, options)
    if not left and not options.n_cpu_moe and options.offload_kqv:
        return plain
    kinds, order = parts.kinds, parts.order
    lent = [kinds[kind] for kind in set(order[: left or options.n_cpu_moe])]
    away = [kinds[kind] for kind in set(order[:left] if options.offload_kqv else order)]
    borrowed = max([layer.largest_bytes for layer in lent], default=0)
    cache = max([layer.cache_bytes for layer in away], default=0)
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
