"""The settings of llama-server that decide its memory, under the names of its library's parameters."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from gpucheck.errors import UsageError

VERSION = "llama.cpp 0.5.0 (commit 0c1e570, 2026-10-01)"

Backend = Literal["cuda", "metal", "vulkan", "rocm", "sycl", "cpu"]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]

# Bytes of a block and the elements in it (ggml/src/ggml-common.h).
CACHE_BLOCKS: dict[str, tuple[int, int]] = {
    "f32": (4, 1), "f16": (2, 1), "bf16": (2, 1), "q8_0": (34, 32), "q5_1": (24, 32), "q5_0": (22, 32),
    "q4_1": (20, 32), "q4_0": (18, 32), "iq4_nl": (18, 32),
}  # fmt: skip
_PLAIN = ("f32", "f16", "bf16")
SLOTS = 4  # of llama-server without -np
_WORDS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


class LlamaCppOptions(Struct, frozen=True, gc=False, cache_hash=True, kw_only=True, forbid_unknown_fields=True):
    """How llama-server is started. The defaults are its own.

    `flash_attn` "auto" is on wherever the backend can. `n_parallel` is the number of slots, None for the default:
    four in one unified cache, or one for each user of a batch. `n_outputs_max` is the number of logits rows that a
    micro-batch may ask for, None for one a slot. `use_extra_bufts`: weights are repacked for the CPU.
    `n_gpu_layers` -1 is all of them, and the first counts for the head; `n_cpu_moe` layers keep their experts in
    memory of the host. `mmproj_bytes` is the size of the projector's file.
    """

    backend: Backend = "cuda"
    n_batch: int = 2048
    n_ubatch: int = 512
    flash_attn: bool | Literal["auto"] = "auto"
    type_k: CacheType = "f16"
    type_v: CacheType = "f16"
    n_parallel: int | None = None
    kv_unified: bool | None = None
    swa_full: bool = False
    n_outputs_max: int | None = None
    use_extra_bufts: bool = True
    no_mmap: bool = False
    offload_kqv: bool = True
    n_gpu_layers: int = -1
    n_cpu_moe: int = 0
    mmproj_bytes: int = 0

    @property
    def flash(self) -> bool:
        """Whether attention is the fused kernel."""
        return self.flash_attn is not False

    @property
    def gpu(self) -> bool:
        """Whether a GPU takes part."""
        return self.backend != "cpu"

    def slots(self, batch: int) -> int:
        """Sequences that the server keeps room for."""
        return self.n_parallel if self.n_parallel is not None else SLOTS if batch == 1 else batch

    def unified(self) -> bool:
        """Whether all slots share one cache: the default when the number of slots is not given, too."""
        return True if self.kv_unified is None else self.kv_unified


DEFAULTS = LlamaCppOptions()


def parse_options(given: Mapping[str, object]) -> LlamaCppOptions:
    """The options in `given`, whose values may be text ("512", "on", "q8_0").

    Raises:
        UsageError: a name or a value is not one of llama.cpp's, or two of them exclude each other.
    """
    if not given:
        return DEFAULTS
    fields = LlamaCppOptions.__struct_fields__
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in fields:
            raise UsageError(f"{name!r} is not an option of llama.cpp that gpucheck knows. Known: {', '.join(fields)}")
        values[name] = _value(name, value)
    try:
        options = msgspec.convert(values, LlamaCppOptions)
    except msgspec.ValidationError as error:
        raise UsageError(f"llama.cpp's options: {error}") from None
    _check(options)
    return options


def _value(name: str, value: object) -> object:
    """`value` as the option `name` takes it."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if name in ("backend", "type_k", "type_v") or text == "auto":
        return text
    if name in ("flash_attn", "kv_unified", "swa_full", "use_extra_bufts", "no_mmap", "offload_kqv"):
        return _WORDS.get(text, text)
    try:
        return int(text)
    except ValueError:
        return text


def _check(options: LlamaCppOptions) -> None:
    """Refuses what llama.cpp refuses."""
    for name in ("n_batch", "n_ubatch", "n_parallel", "n_outputs_max"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"llama.cpp's option {name} is counted from 1")
    if options.n_cpu_moe < 0 or options.mmproj_bytes < 0 or options.n_gpu_layers < -1:
        raise UsageError("n_cpu_moe and mmproj_bytes are counted from 0, n_gpu_layers from -1 (all)")
    if options.slots(1) > 256:
        raise UsageError("llama.cpp keeps at most 256 sequences")
    if options.flash_attn is False and options.type_v not in _PLAIN:
        raise UsageError("llama.cpp stores quantized values (type_v) with flash attention only")


def assumptions(options: LlamaCppOptions, given: Container[str]) -> tuple[str, ...]:
    """The options that nobody gave, with the value that llama-server takes; what cannot matter is left out."""
    described = {
        "backend": f"backend {options.backend}",
        "n_ubatch": f"micro-batches of {options.n_ubatch} tokens (n_ubatch)",
        "n_batch": f"batches of {options.n_batch} tokens (n_batch)",
        "flash_attn": "flash attention, as flash_attn auto chooses",
        "type_k": f"keys stored as {options.type_k} (type_k)",
        "type_v": f"values stored as {options.type_v} (type_v)",
        "n_parallel": "four slots for one user, one slot for each of several (n_parallel)",
        "kv_unified": "one cache for all slots (kv_unified)",
        "swa_full": "sliding windows cached as windows (swa_full off)",
        "n_outputs_max": "one row of logits for each slot (n_outputs_max)",
    }
    if options.gpu:
        described |= {
            "n_gpu_layers": "all layers on GPUs (n_gpu_layers)",
            "offload_kqv": "the cache lies beside its layers (offload_kqv)",
            "n_cpu_moe": "experts stay with their layers (n_cpu_moe 0)",
        }
    else:
        described["use_extra_bufts"] = "weights repacked for the CPU (use_extra_bufts)"
    described["no_mmap"] = "files mapped into memory (no_mmap off)"
    return tuple(text for name, text in described.items() if name not in given)
