"""What gpucheck says of each measured row, in its group; `accuracy_memory` makes the report.

The oracle rows are those of accuracy_llama_cpp and transformers_oracle. Which rows of transformers stand apart was
decided after their errors were seen: `ALL` has them together.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from benchmarks import accuracy_llama_cpp as oracle
from benchmarks.memory_rows import (
    ALL,
    EVERY_TRAINING,
    HERE,
    KV,
    KV_IK,
    NO_PEAK,
    PEAK,
    PLAIN,
    RESIDENT,
    WEIGHTS,
    Score,
    Truth,
    label,
    model,
    number,
    reason,
)
from gpucheck.estimators.known import estimate_known
from gpucheck.estimators.llama_cpp.cache import cache_bytes
from gpucheck.estimators.llama_cpp.compute import device_buffers
from gpucheck.estimators.llama_cpp.estimate import COMPUTE_HIGH, COMPUTE_LOW
from gpucheck.estimators.llama_cpp.geometry import of_context
from gpucheck.estimators.llama_cpp.options import LlamaCppOptions, parse_options
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import make_setting
from gpucheck.estimators.stored import stored
from gpucheck.estimators.transformers.activations import prompt_elements
from gpucheck.estimators.transformers.cache import cache_elements
from gpucheck.estimators.transformers.estimate import ACTIVATIONS_HIGH, ACTIVATIONS_LOW, WORKSPACE
from gpucheck.models.architecture import Architecture, Attention, LatentAttention
from gpucheck.models.config import read_config
from gpucheck.models.model import Model
from gpucheck.models.quantization import find_quantization
from gpucheck.units import MIB

SHORT = 64  # litgpt's table answers a short prompt with 50 tokens


def scored(rows: Iterable[Truth]) -> Iterator[tuple[Truth, Score]]:
    """The rows that can be scored, each in its group; those of transformers again, all as peaks."""
    for row in rows:
        if reason(row) is not None:
            continue
        known = model(row["model"])
        assert known is not None
        assert known.architecture is not None
        score = _score(row, known, known.architecture)
        yield row, score
        if row["task"] != "inference":
            yield row, replace(score, group=EVERY_TRAINING)
        if row["engine"] == "transformers" and row["component"] == "peak_total":
            peak = {**row, "measure": "peak"}
            score = _peak_score(peak, known)
            yield peak, replace(score, group=ALL)
            if row["measure"] == "resident":
                yield peak, replace(score, group=NO_PEAK)


def _score(row: Truth, known: Model, shape: Architecture) -> Score:
    component = row["component"]
    if row["task"] != "inference":
        from benchmarks.memory_training import training_score

        return training_score(row, known)
    if component.startswith("kv_cache"):
        return _cache_score(row, shape)
    if component == "compute_buffer":
        return _buffer_score(row, shape)
    if component.startswith("weights"):
        return _weights_score(row, known)
    return _peak_score(row, known)


def _weights_score(row: Truth, known: Model) -> Score:
    quant = find_quantization(row["quant"])
    held = stored(known, quant)
    share = number(row, "gpus") if row["component"] == "weights_per_gpu" else 1
    group = PLAIN if row["component"] != "weights_file" else WEIGHTS
    if group == WEIGHTS and not quant.determined:
        group = "GGUF weights of UD-* files"
    beside = 0 if group != PLAIN else sum(part.parameters or 0 for part in known.parts) * quant.bits / 8
    size = (held.bytes + beside) / share
    guess, low, high = (round(size * ratio) for ratio in (held.ratio, held.low_ratio, held.high_ratio))
    if held.exact:
        low = high = guess
    return Score(group, label(row), number(row, "bytes"), guess, low, high)


def _llama_options(row: Truth, **more: object) -> LlamaCppOptions:
    kind = dict(part.split("=") for part in row["kv_type"].split(",")) if "=" in row["kv_type"] else {}
    plain = "f16" if "=" in row["kv_type"] or not row["kv_type"] else row["kv_type"]
    given = {"type_k": kind.get("k", plain), "type_v": kind.get("v", plain), "n_ubatch": number(row, "ubatch") or 512}
    return parse_options({**given, **more})


def _expanded(shape: Architecture, latent: bool) -> Architecture:
    """The shape with keys and values of every head (older engines), or with latent keys and values apart."""
    return replace(
        shape,
        layers=tuple(
            replace(layer, attention=_as_heads(layer.attention, latent))
            if isinstance(layer.attention, LatentAttention)
            else layer
            for layer in shape.layers
        ),
    )


def _as_heads(attention: LatentAttention, latent: bool) -> Attention:
    rope, rank = attention.qk_rope_head_dim, attention.kv_lora_rank
    heads = 1 if latent else attention.num_attention_heads
    key = rank + rope if latent else attention.qk_nope_head_dim + rope
    value = rank if latent else attention.v_head_dim
    return Attention(num_attention_heads=heads, num_key_value_heads=heads, head_dim=key, v_head_dim=value)


def _laid_out(row: Truth, shape: Architecture) -> Architecture:
    if "separate K" in row["note"]:
        return _expanded(shape, latent=True)
    return _expanded(shape, latent=False) if "expanded_kv" in row["note"] else shape


def _cache_score(row: Truth, shape: Architecture) -> Score:
    """ik_llama.cpp keeps all tokens of sliding layers, as llama.cpp does with --swa-full."""
    options = _llama_options(row, swa_full=True)
    cells = of_context(number(row, "context"), 1, True, options)
    layers = [layer for layer in _laid_out(row, shape).layers if layer.attention is not None]
    if row["component"] == "kv_cache_full_attention":
        layers = [layer for layer in layers if isinstance(layer.attention, Attention) and not layer.attention.window]
    if row["component"] == "kv_cache_sliding_window":
        layers = [layer for layer in layers if isinstance(layer.attention, Attention) and layer.attention.window]
    guess = sum(cache_bytes(layer, cells, options) for layer in layers)
    printed = MIB // 200 + 1  # logs have 0.01 MiB
    group = KV_IK if row["engine"] == "ik_llama.cpp" else KV
    return Score(group, label(row), number(row, "bytes"), guess, guess - printed, guess + printed)


def _buffer_score(row: Truth, shape: Architecture) -> Score:
    """Logs of buffers on GPUs whose settings are not all recorded; logits are taken to be asked for a whole batch."""
    fused = "flash_attn=1" in row["note"]
    ubatch = number(row, "ubatch") or 512
    options = _llama_options(row, flash_attn=fused, n_outputs_max=ubatch, n_batch=max(2048, ubatch), swa_full=True)
    cells = of_context(number(row, "context"), 1, True, options)
    laid_out = _expanded(shape, latent=False) if "mla=0" in row["note"] else shape
    guess = device_buffers(laid_out, cells, options).devices[0]
    return Score(
        "compute buffer on a GPU, logs", label(row), number(row, "bytes"), guess, round(guess * 0.9), round(guess * 1.1)
    )


def _peak_score(row: Truth, known: Model) -> Score:
    """What torch's allocator held: weights, cache and activations, without contexts."""
    context, batch = number(row, "context") or SHORT, number(row, "batch") or 1
    given: dict[str, object] = {"prompt_tokens": number(row, "prompt") or context}
    if row["engine"].startswith("autoawq"):
        given["attn_implementation"] = "eager"  # assumed: rows with long prompts are missed by half without the scores
    setting = make_setting(context, batch, "transformers", given)
    found = estimate_known(known, find_quantization(row["quant"]), setting, number(row, "gpus") or 1)
    rows = [each for each in found.rows if each.component != "overhead"]
    if row["measure"] == "resident":
        rows = [each for each in rows if each.component != "compute"]
        rows.append(Row("compute", WORKSPACE, 8 * MIB, 48 * MIB, "range", "cuBLAS workspace"))  # all on one GPU
    parts = Estimate(tuple(rows))
    figures = parts.total_bytes, parts.low_bytes, parts.high_bytes
    return Score(_peak_group(row), label(row), number(row, "bytes"), *figures)


def _peak_group(row: Truth) -> str:
    if row["engine"] == "litgpt":
        return "litgpt, by the formulas for transformers"
    if row["engine"].startswith("autoawq"):
        return "AutoAWQ's own engine, by the formulas for transformers"
    if row["source"].startswith("github:QwenLM/Qwen README"):
        return "Qwen of 2023, its own modelling code"
    if row["measure"] == "resident":
        return f"{RESIDENT}, AWQ" if row["quant"] == "awq" else RESIDENT
    return PEAK


def oracle_scores() -> Iterator[Score]:
    """llama.cpp's byte counts for synthetic models, and transformers' own code followed tensor by tensor."""
    for row in oracle.rows():
        windows = "S" in row["layer_types"].upper()
        for column, guess in oracle.predict(row).items():
            truth = oracle.number(row, column)
            if not truth:
                continue
            if column == "compute_bytes":
                low, high = round(guess * COMPUTE_LOW), round(guess * COMPUTE_HIGH)
                yield Score("compute buffer, llama.cpp oracle", row["case_id"], truth, guess, low, high)
                continue
            kind = "recurrent state" if column == "recurrent_bytes" else f"KV cache{' with windows' if windows else ''}"
            yield Score(f"{kind}, llama.cpp oracle", row["case_id"], truth, guess, guess, guess)
    with (HERE / "truth" / "transformers_oracle.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield _traced(row)


def _traced(row: Truth) -> Score:
    shape = read_config({**json.loads(row["config"]), "model_type": row["model_type"]}).architecture
    prompt = int(row["prompt_tokens"])
    cache_size, reading = cache_elements(shape, prompt, 1, prompt=True), prompt * prompt_elements(shape, prompt)
    low, high = (round(2 * (cache_size + ratio * reading)) for ratio in (ACTIVATIONS_LOW, ACTIVATIONS_HIGH))
    config = json.loads(row["config"])
    width = config.get("moe_intermediate_size") or config.get("intermediate_size")
    name = f"{row['model_type']} {width or ''}".strip()
    group = "transformers oracle, cache and activations"
    return Score(group, name, int(row["prompt_peak_bytes"]), 2 * (cache_size + reading), low, high)
