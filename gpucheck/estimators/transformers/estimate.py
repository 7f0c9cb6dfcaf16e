"""Memory that a model needs in transformers: weights, cache, the widest moment of the prompt, and contexts."""

from __future__ import annotations

from gpucheck.estimators.rows import Row
from gpucheck.estimators.transformers.activations import prompt_elements
from gpucheck.estimators.transformers.cache import cache_elements, decode_extra
from gpucheck.estimators.transformers.loading import (
    PLAIN,
    Checkpoint,
    loading_bytes,
    scratch_bytes,
    staying_head,
    unpacked_bytes,
)
from gpucheck.estimators.transformers.options import TransformersOptions
from gpucheck.models.architecture import Architecture
from gpucheck.units import MIB, format_bytes

_ELEMENT_BYTES = 2  # bf16 and fp16, which quantized formats compute in as well

WORKSPACE = 32 * MIB
"""What torch's allocator holds of each GPU after the first matrix product: the workspace that torch asks for cuBLAS.

32 MiB from Hopper on, 8 MiB before (CublasHandlePool.cpp), where cublasLt's own and the logits of one token come near
it while a token is generated.
"""
# Activations of 79 shapes, followed tensor by tensor, and 64 published peaks (benchmarks/README.md).
ACTIVATIONS_LOW, ACTIVATIONS_HIGH, SCAN_LOW = 0.9, 1.1, 0.1
# What a process takes of each GPU beside torch's allocator: driver, context, kernels. 0.47 GiB on A100 and H100 with
# lazy loading, about 300 MB at least, 0.92 GiB with eager loading.
_CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH = 480 * MIB, 290 * MIB, 940 * MIB
# Python with torch and transformers on a CPU: assumed, not measured.
_PROCESS, _PROCESS_LOW, _PROCESS_HIGH = 700 * MIB, 400 * MIB, 1200 * MIB


def runtime_rows(  # noqa: PLR0913 - what is run, how, on what, and how it was stored
    architecture: Architecture,
    context: int,
    batch: int,
    options: TransformersOptions,
    gpus: int,
    *,
    checkpoint: Checkpoint = PLAIN,
) -> tuple[Row, ...]:
    """Cache, activations and overhead for `batch` sequences that end at `context` tokens, in bytes.

    What torch's allocator holds at its peak is weights, cache and compute together: while the weights are loaded, while
    the prompt is read, or at the last token. The cache is that of the last token. Several GPUs hold some layers each,
    and every one has the activations of its own widest layer. After the answer, compute is down to `WORKSPACE` on each.
    """
    prompt = min(options.prompt_tokens or context, context)
    eager, static = options.attn_implementation == "eager", options.cache_implementation == "static"
    cache = cache_elements(architecture, context, batch, prompt=static)
    reading = prompt * batch * prompt_elements(architecture, prompt, eager=eager, kernels=options.kernels)
    held = cache if static else cache_elements(architecture, prompt, batch, prompt=True)
    generating = 0 if static else decode_extra(architecture, context, batch)
    devices = max(gpus, 1)
    prompt_more = held - cache + reading * devices
    beside = max(prompt_more, generating * devices, 0) * _ELEMENT_BYTES
    if prompt_more > generating * devices:
        beside += unpacked_bytes(architecture, checkpoint, prompt * batch) * devices
    loading = loading_bytes(architecture, checkpoint) - cache * _ELEMENT_BYTES
    compute = _compute_row(beside, prompt, devices, recurrent=_scans(architecture, options))
    return (
        *_head_rows(staying_head(architecture, checkpoint)),
        _cache_row(cache * _ELEMENT_BYTES, context, batch),
        _with_loading(compute, loading, scratch_bytes(architecture, checkpoint)),
        _overhead_row(gpus),
    )


def _head_rows(size: int) -> tuple[Row, ...]:
    return (Row("weights", size, 0, size, "formula", "the head, stored beside the embedding"),) if size else ()


def _with_loading(row: Row, loading: int, scratch: int) -> Row:
    """The row of activations, where loading may have needed more, and kernels may keep a scratch of their own."""
    high = max(row.high_bytes + scratch, loading)
    if loading > row.bytes:
        return Row(row.component, loading, row.low_bytes, high, row.basis, "loading: the head beside the embedding")
    return Row(row.component, row.bytes, row.low_bytes, high, row.basis, row.detail)


def _cache_row(size: int, context: int, batch: int) -> Row:
    sequences = "" if batch == 1 else f" for {batch} sequences"
    return Row("kv_cache", size, size, size, "exact", f"{context:,} tokens{sequences}, 16 bits")


def _compute_row(beside: int, prompt: int, devices: int, *, recurrent: bool) -> Row:
    """The activations; where a scan may or may not be fused, the lower bound is that of the fused one."""
    middle = beside + WORKSPACE * devices
    low = round(beside * (SCAN_LOW if recurrent else ACTIVATIONS_LOW)) + 8 * MIB * devices
    high = round(beside * ACTIVATIONS_HIGH) + 80 * MIB * devices
    return Row("compute", middle, low, high, "formula", f"activations of a prompt of {prompt:,} tokens")


def _scans(architecture: Architecture, options: TransformersOptions) -> bool:
    kinds = {layer.recurrent.kind for layer, _ in architecture.groups if layer.recurrent}
    return not options.kernels and bool(kinds - {"short_conv"})


def _overhead_row(gpus: int) -> Row:
    if not gpus:
        return Row("overhead", _PROCESS, _PROCESS_LOW, _PROCESS_HIGH, "range", "Python with torch")
    detail = f"{gpus} device context{'s' if gpus > 1 else ''} of {format_bytes(_CONTEXT)}"
    return Row("overhead", _CONTEXT * gpus, _CONTEXT_LOW * gpus, _CONTEXT_HIGH * gpus, "range", detail)
