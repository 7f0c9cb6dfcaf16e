"""Memory that a model needs in transformers: weights, cache, the widest moment of the prompt, and contexts."""

from __future__ import annotations

from gpucheck.estimators.rows import Row
from gpucheck.estimators.transformers.activations import prompt_elements
from gpucheck.estimators.transformers.cache import cache_elements, decode_extra
from gpucheck.estimators.transformers.options import TransformersOptions
from gpucheck.models.architecture import Architecture
from gpucheck.units import MIB, format_bytes

_ELEMENT_BYTES = 2  # bf16 and fp16, which quantized formats compute in as well

# cuBLAS workspaces and the logits of one token in two types, out of torch's allocator.
_WORKSPACE = 32 * MIB
# What a process takes of each GPU beside torch's allocator: driver, context, kernels. 0.47 GiB on A100 and H100 with
# lazy loading, about 300 MB at least, 0.92 GiB with eager loading.
_CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH = 480 * MIB, 290 * MIB, 940 * MIB
_PROCESS, _PROCESS_LOW, _PROCESS_HIGH = 700 * MIB, 400 * MIB, 1200 * MIB  # Python with torch and transformers


def runtime_rows(
    architecture: Architecture, context: int, batch: int, options: TransformersOptions, gpus: int
) -> tuple[Row, ...]:
    """Cache, activations and overhead for `batch` sequences that end at `context` tokens, in bytes.

    What torch's allocator holds at its peak is weights, cache and compute together: either while the prompt is read,
    or at the last token. The cache is that of the last token.
    """
    prompt = min(options.prompt_tokens or context, context)
    eager, static = options.attn_implementation == "eager", options.cache_implementation == "static"
    cache = cache_elements(architecture, context, batch, prompt=static)
    reading = prompt * batch * prompt_elements(architecture, prompt, eager=eager, kernels=options.kernels)
    held = cache if static else cache_elements(architecture, prompt, batch, prompt=True)
    generating = 0 if static else decode_extra(architecture, context, batch)
    beside = max(held + reading - cache, generating, 0) * _ELEMENT_BYTES
    return (
        _cache_row(cache * _ELEMENT_BYTES, context, batch),
        _compute_row(beside, prompt, max(gpus, 1), recurrent=_scans(architecture, options)),
        _overhead_row(gpus),
    )


def _cache_row(size: int, context: int, batch: int) -> Row:
    sequences = "" if batch == 1 else f" for {batch} sequences"
    return Row("kv_cache", size, size, size, "exact", f"{context:,} tokens{sequences}, 16 bits")


def _compute_row(beside: int, prompt: int, devices: int, *, recurrent: bool) -> Row:
    """The activations; where a scan may or may not be fused, the lower bound is that of the fused one."""
    middle = beside + _WORKSPACE * devices
    low = round(beside * (0.1 if recurrent else 0.5)) + 8 * MIB * devices
    high = round(beside * 1.15) + 80 * MIB * devices
    return Row("compute", middle, low, high, "formula", f"activations of a prompt of {prompt:,} tokens")


def _scans(architecture: Architecture, options: TransformersOptions) -> bool:
    kinds = {layer.recurrent.kind for layer, _ in architecture.groups if layer.recurrent}
    return not options.kernels and bool(kinds - {"short_conv"})


def _overhead_row(gpus: int) -> Row:
    if not gpus:
        return Row("overhead", _PROCESS, _PROCESS_LOW, _PROCESS_HIGH, "range", "Python with torch")
    detail = f"{gpus} device context{'s' if gpus > 1 else ''} of {format_bytes(_CONTEXT)}"
    return Row("overhead", _CONTEXT * gpus, _CONTEXT_LOW * gpus, _CONTEXT_HIGH * gpus, "range", detail)
