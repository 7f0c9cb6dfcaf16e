"""Memory of a model of which only the size is known, by bands over real models.

The constants were fitted on 172 distinct shapes of published models (0.1B to 2.8T) with the formulas that
reproduce llama.cpp's own byte counts: f16 cache, flash attention, micro-batches of 512 tokens, and
llama-server's four slots in one unified cache. GiB and MiB are binary; P is the total number of parameters in
billions.

Total need of the 109 of these models that have a size in their name and share key heads, over the middle of
the estimate: median 0.99 to 1.00 at 8,192 tokens in 16, 8 and 4 bits, and 94 to 96 % of them between low and
high (92 to 93 % at 32,768 tokens). With the 16 that have one key head per query head, 82 to 84 % (80 to 81
%).
"""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import DEFAULT, Setting
from gpucheck.models.quantization import Quantization
from gpucheck.models.size import ModelSize
from gpucheck.units import KIB, MIB, format_bytes

# Cache per token: 62 KiB x P^0.375, at most that of a 70B model: above 100B most models are sparse and have
# less. Real over this, 136 models with grouped queries, windows or latent attention: median 0.94 at 8,192
# tokens (0.83 at 32,768), and 93 % (91 %) inside the band. Models with one key head per query head, most of
# them of 2023 (Llama-7B, MPT, Qwen-14B) take 4 to 8 times as much and lie outside.
_KV_KIB, _KV_POWER, _KV_MOST_KIB = 62.0, 0.375, 320.0
_KV_LOW, _KV_HIGH, _KV_HIGH_SMALL = 0.15, 1.6, 1.0  # the last one times P^-0.5: small models differ more
# Models whose name says that they are sparse ("30b-a3b"): 14 of 14 within 0.08 to 1.15 times that, median
# 0.3.
_KV_SPARSE, _KV_SPARSE_LOW, _KV_SPARSE_HIGH = 0.3, 0.08, 1.15
_CELLS = 256  # llama.cpp rounds the context up to a multiple

# Compute buffer per device: 56 MiB x P^0.34 follows the widest layer of 170 shapes (median ratio 0.93); a
# third of it for models with many small experts. The upper bound also covers logits for a whole micro-batch,
# which the library reserves by default and the server does not (533 MiB with a vocabulary of 262,000).
_COMPUTE_MIB, _COMPUTE_POWER = 56.0, 0.34
_COMPUTE_LOW, _COMPUTE_HIGH, _COMPUTE_HIGH_MIB = 0.3, 2.0, 128
_MASK_BYTES_PER_TOKEN = 512 * 2  # the f16 attention mask of one micro-batch
_MASK_FROM = 8192  # the context that the power law was fitted at, its mask included

# What a process takes of each GPU beside its tensors (driver, context, cuBLAS). llama.cpp reports 451 and 456
# MiB "unaccounted" on RTX 4090s (its pull request 15860); 0.47 GiB on A100 and H100 with lazy loading, about
# 300 MB at least (CUDA 11.7 and newer), 0.92 GiB with eager loading.
_CONTEXT_BYTES = 460 * MIB
_CONTEXT_LOW, _CONTEXT_HIGH = 290 * MIB, 700 * MIB
# The process on a CPU: program, 7 to 46 MiB of vocabulary, metadata.
_PROCESS_BYTES, _PROCESS_LOW, _PROCESS_HIGH = 100 * MIB, 50 * MIB, 200 * MIB
_LAYERS = 60  # of a model that is spread over cards (32 to 126): each card but one may lack room for one more


def estimate_size(size: ModelSize, quant: Quantization, setting: Setting = DEFAULT, gpus: int = 1) -> Estimate:
    """The memory for inference with a model of this size: weights, cache, buffers and overhead.

    `context` is in tokens per sequence, `batch` the number of sequences; `gpus` the number of cards it is
    spread over (0 for the CPU). The total grows with parameters, bits, context, batch and cards.

    Raises:
        UsageError: the engine or an option is not known, or a number is not positive.
    """
    if setting.engine not in {"llama.cpp", "ollama"}:
        raise UsageError(
            f"what {setting.engine} needs depends on the shape of the model: name one, or give its config.json"
        )
    if setting.options:  # they are checked, although they change nothing here
        from gpucheck.estimators.llama_cpp.options import parse_options

        parse_options(setting.given)
    if setting.context < 1 or setting.batch < 1 or gpus < 0:
        raise UsageError("context and batch are counted from 1, and gpus from 0")
    weights = _weights(size, quant)
    rows = [weights, _kv_cache(size, setting), _compute(size, setting.context, max(gpus, 1)), _overhead(gpus)]
    if gpus > 1:
        unused = (gpus - 1) * weights.bytes // _LAYERS
        rows.append(Row("overhead", 0, 0, unused, "range", "room that whole layers leave on the cards"))
    if not gpus:
        rows = [replace(row, device="host") for row in rows]
    return Estimate(tuple(rows), _assumptions(size, setting, gpus))


def _weights(size: ModelSize, quant: Quantization) -> Row:
    """Parameters times bits; the two bands together, of which the larger one dominates."""
    middle = quant.file_bits(size.total_parameters) / 8
    low, high = quant.file_bits(size.total_low) / 8, quant.file_bits(size.total_high) / 8
    less = ((middle - low) ** 2 + (middle * (1 - quant.low_ratio)) ** 2) ** 0.5
    more = ((high - middle) ** 2 + (middle * (quant.high_ratio - 1)) ** 2) ** 0.5
    bits = middle * 8 / size.total_parameters
    detail = f"{size.total_parameters / 1e9:,.1f}B parameters at {bits:.2f} bits"
    return Row("weights", round(middle), round(middle - less), round(middle + more), "range", detail)


def _kv_cache(size: ModelSize, setting: Setting) -> Row:
    """Cells times bytes per token; linear in the context, which over-states windowed and recurrent models."""
    billions = size.total_parameters / 1e9
    law = min(_KV_KIB * billions**_KV_POWER, _KV_MOST_KIB) * KIB
    if size.experts:
        middle, low, high = _KV_SPARSE, _KV_SPARSE_LOW, _KV_SPARSE_HIGH
    else:
        middle, low, high = 1.0, _KV_LOW, _KV_HIGH + _KV_HIGH_SMALL * max(billions, 1.0) ** -0.5
    cells = -(-setting.context // _CELLS) * _CELLS * setting.batch
    detail = f"{cells:,} cells at about {law * middle / KIB:,.0f} KiB, f16"
    likely, least, most = (round(law * part * cells) for part in (middle, low, high))
    return Row("kv_cache", likely, least, most, "range", detail)


def _compute(size: ModelSize, context: int, devices: int) -> Row:
    """The buffer of the largest layer and the attention mask, on each device."""
    law = _COMPUTE_MIB * MIB * (size.total_parameters / 1e9) ** _COMPUTE_POWER
    mask = max(context - _MASK_FROM, 0) * _MASK_BYTES_PER_TOKEN
    middle, low, high = (
        round(part + mask) * devices
        for part in (law, law * _COMPUTE_LOW, law * _COMPUTE_HIGH + _COMPUTE_HIGH_MIB * MIB)
    )
    detail = "one buffer" if devices == 1 else f"{devices} buffers"
    return Row("compute", middle, low, high, "range", detail)


def _overhead(gpus: int) -> Row:
    """The contexts of the cards, or the process on a CPU."""
    if not gpus:
        return Row("overhead", _PROCESS_BYTES, _PROCESS_LOW, _PROCESS_HIGH, "range", "the process itself")
    contexts = "one device context" if gpus == 1 else f"{gpus} device contexts"
    detail = f"{contexts} of {format_bytes(_CONTEXT_BYTES)}"
    return Row("overhead", _CONTEXT_BYTES * gpus, _CONTEXT_LOW * gpus, _CONTEXT_HIGH * gpus, "range", detail)


def _assumptions(size: ModelSize, setting: Setting, gpus: int) -> tuple[str, ...]:
    """What the figures take for granted, one sentence each."""
    low, high = size.total_low / 1e9, size.total_high / 1e9
    span = f"{low:,.3g}B" if low == high else f"{low:,.3g}B to {high:,.3g}B"
    users = "one user" if setting.batch == 1 else f"{setting.batch} users"
    sentences = [
        f"only the size is known: models of this size have {span} parameters, and their caches differ",
        f"{setting.context:,} tokens for {users}, f16 cache, flash attention, micro-batches of 512",
    ]
    if setting.options:
        names = ", ".join(name for name, _ in setting.options)
        sentences.append(f"without the options given ({names}): what they change depends on the shape of the model")
    if not gpus:
        sentences.append("weights that llama.cpp repacks count once: the pages of the file can be dropped")
    return tuple(sentences)
