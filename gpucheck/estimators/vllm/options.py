"""How vLLM serves a model: the options that its memory depends on, by their own names, and their defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.estimators.option_values import choice, flag
from gpucheck.units import GIB

VERSION = "0.33.0"
"""The release whose source the formulas describe."""

_CACHE_TYPES = ("auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2")
# Tokens of a step and sequences at once of `vllm serve`, by memory of the device (vllm/engine/arg_utils.py,
# get_batch_defaults). A100 has the last whatever its memory.
_BATCHES = ((160 * GIB, 16384, 1024), (70 * GIB, 8192, 1024))
_SMALL_BATCH = 2048, 256


class VllmOptions(Struct, frozen=True, kw_only=True):
    """`max_model_len` None is the context of the setting; other None is what vLLM chooses."""

    gpu_memory_utilization: float = 0.92
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int = 1
    enable_expert_parallel: bool = False
    kv_cache_dtype: str = "auto"
    block_size: int = 16
    enforce_eager: bool = False
    enable_prefix_caching: bool = True


def parse_options(given: Mapping[str, object]) -> VllmOptions:
    """The options given by name, as text or as values.

    Raises:
        UsageError: an option is not known, or its value is none of those that it takes.
    """
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in _PARSERS:
            known = ", ".join(_PARSERS)
            raise UsageError(f"{name!r} is not an option of vLLM that gpucheck knows. Known: {known}")
        if value is not None:
            values[name] = _PARSERS[name](name, value)
    return msgspec.convert(values, VllmOptions)


def batch_limits(options: VllmOptions, length: int, device_bytes: int | None, *, a100: bool = False) -> tuple[int, int]:
    """Tokens of one step and sequences at once: those of the options, else the defaults of `vllm serve`.

    The defaults depend on the memory of the device; unknown memory counts as that of a small one.
    """
    tokens, sequences = _SMALL_BATCH
    if device_bytes is not None and not (a100 and device_bytes < _BATCHES[0][0]):
        tokens, sequences = next(((t, s) for least, t, s in _BATCHES if device_bytes >= least), _SMALL_BATCH)
    sequences = options.max_num_seqs or sequences
    tokens = options.max_num_batched_tokens or min(tokens, sequences * length)
    return tokens, sequences if options.max_num_seqs else min(sequences, tokens)


def assumptions(options: VllmOptions, given: Mapping[str, object], tokens: int, sequences: int) -> tuple[str, ...]:
    """What was not said, with the value that it has."""
    sentences = {
        "gpu_memory_utilization": f"gpu_memory_utilization {options.gpu_memory_utilization:g} at most",
        "max_num_batched_tokens": f"max_num_batched_tokens {tokens:,}",
        "max_num_seqs": f"max_num_seqs {sequences:,}",
        "kv_cache_dtype": "a cache in the type of the model",
        "enforce_eager": "CUDA graphs",
    }
    shown = [sentence for name, sentence in sentences.items() if given.get(name) is None]
    return (f"vLLM {VERSION}, its other options at their defaults", *shown)


def _count(name: str, value: object) -> int:
    try:
        number = int(str(value))
    except ValueError:
        raise UsageError(f"{name} is a number, not {value!r}") from None
    if number < 1:
        raise UsageError(f"{name} is counted from 1")
    return number


def _share(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise UsageError(f"{name} is a share between 0 and 1, not {value!r}") from None
    if not 0 < number <= 1:
        raise UsageError(f"{name} is a share between 0 and 1, not {value!r}")
    return number


_PARSERS: dict[str, Callable[[str, object], object]] = {
    "gpu_memory_utilization": _share,
    **dict.fromkeys(
        (
            "max_model_len", "max_num_seqs", "max_num_batched_tokens", "tensor_parallel_size",
            "pipeline_parallel_size", "data_parallel_size", "block_size",
        ),
        _count,
    ),
    **dict.fromkeys(("enable_expert_parallel", "enforce_eager", "enable_prefix_caching"), flag),
    "kv_cache_dtype": choice(_CACHE_TYPES),
}  # fmt: skip
