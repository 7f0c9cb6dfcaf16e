"""How closely gpucheck predicts llama.cpp's own byte counts.

    python -m benchmarks.accuracy_llama_cpp

`truth/llama_cpp_oracle.csv` has caches, states and compute buffers that llama.cpp reported for synthetic models of
real shape, on its CPU backend: llama.cpp 0.5.0-dev, commit 0c1e570 (2026-10-01), through llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.llama_cpp_shapes import CASES
from gpucheck.estimators.llama_cpp.cache import cache_bytes, state_bytes, widest_value
from gpucheck.estimators.llama_cpp.compute import batch_of, buffer_bytes
from gpucheck.estimators.llama_cpp.estimate import COMPUTE_HIGH, COMPUTE_LOW
from gpucheck.estimators.llama_cpp.geometry import Geometry, of_context
from gpucheck.estimators.llama_cpp.options import LlamaCppOptions, parse_options
from gpucheck.estimators.llama_cpp.stack import device_peaks
from gpucheck.models.architecture import (
    Architecture,
    Attention,
    Experts,
    FeedForward,
    LatentAttention,
    Layer,
    Recurrent,
    RecurrentKind,
)
from gpucheck.units import MIB

TRUTH = Path(__file__).parent / "truth" / "llama_cpp_oracle.csv"
# Names of GGUF architectures, in the words of Hugging Face.
_TYPES = {
    "deepseek2": "deepseek_v2", "falcon-h1": "falcon_h1", "glm4moe": "glm4_moe", "gpt-oss": "gpt_oss",
    "gptneox": "gpt_neox", "granitehybrid": "granitemoehybrid", "qwen3moe": "qwen3_moe", "qwen35": "qwen3_5_text",
    "gemma4": "gemma4_text", "qwen35moe": "qwen3_5_moe_text", "llama4": "llama4_text", "qwen3next": "qwen3_next",
}  # fmt: skip
Row = dict[str, str]


def number(row: Row, name: str) -> int:
    """The number in a column, 0 for an empty one."""
    return int(row.get(name) or 0)


def rows(path: Path = TRUTH) -> list[Row]:
    """The rows of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def model_type(row: Row) -> str:
    """The family's name in Hugging Face configurations."""
    if row["arch"] == "deepseek2" and number(row, "n_expert") >= 8 and row["q_lora_rank"]:
        return "deepseek_v3"
    if row["arch"] == "cohere2":
        return "cohere2"
    return _TYPES.get(row["arch"], row["arch"])


def architecture_of(row: Row) -> Architecture:
    """The shape that a row describes."""
    kinds = row["layer_types"]
    return Architecture(
        model_type=model_type(row),
        hidden_size=number(row, "n_embd"),
        vocab_size=number(row, "n_vocab"),
        layers=tuple(_layer(row, kinds, index) for index in range(len(kinds))),
        norm_bias=row["arch"] in ("gptneox", "starcoder2", "command-r", "cohere2"),
        per_layer_embedding=number(row, "per_layer_embd"),
    )


def _layer(row: Row, kinds: str, index: int) -> Layer:
    kind, arch = kinds[index], row["arch"]
    attention: Attention | LatentAttention | None = None
    if kind in "FSfsB":
        attention = _attention(row, kind)
    norms = 4 if arch.startswith("gemma") else 2
    feed = None if arch == "mamba2" else _feed(row, index, kind)
    if arch == "nemotron_h":
        feed, norms = (_feed(row, index, kind) if kind == "-" else None), 1
    return Layer(
        attention=attention,
        recurrent=_recurrent(row) if kind in "RB" else None,
        feed_forward=feed,
        norms=norms,
    )


def _attention(row: Row, kind: str) -> Attention | LatentAttention:
    heads, arch = number(row, "n_head"), row["arch"]
    if row["kv_lora_rank"]:
        rank, rope = number(row, "kv_lora_rank"), number(row, "rope_dim")
        nope, value = number(row, "qk_nope_dim"), number(row, "v_head_dim")
        if "nomla" in row["case_id"]:
            return Attention(
                num_attention_heads=heads, num_key_value_heads=heads, head_dim=nope + rope, v_head_dim=value
            )
        return LatentAttention(
            num_attention_heads=heads, kv_lora_rank=rank, q_lora_rank=number(row, "q_lora_rank") or None,
            qk_nope_head_dim=nope, qk_rope_head_dim=rope, v_head_dim=value,
        )  # fmt: skip
    full = kind in "Ff" and row["head_dim_full"]
    head_dim = number(row, "head_dim_full") if full else number(row, "head_dim_k")
    per_head = ("qwen3", "qwen3moe", "gemma3", "gemma4", "qwen35", "qwen35moe", "qwen3next", "glm4moe")
    return Attention(
        num_attention_heads=heads,
        num_key_value_heads=number(row, "n_head_kv_full") if full else number(row, "n_head_kv"),
        head_dim=head_dim,
        v_head_dim=head_dim if full else number(row, "head_dim_v"),
        window=number(row, "sliding_window") if kind in "Ss" else None,
        fused_qkv=arch in ("phi3", "gptneox"),
        qk_norm="head" if arch in per_head else "heads" if arch in ("olmo2", "olmoe") else "none",
        output_gate=arch in ("qwen35", "qwen35moe", "qwen3next"),
        sinks=arch == "gpt-oss",
        shares_cache=kind in "fs",
    )


def _recurrent(row: Row) -> Recurrent:
    arch = row["arch"]
    kind: RecurrentKind = "gated_delta_net" if arch in ("qwen35", "qwen35moe", "qwen3next") else "mamba2"
    if row["shortconv_l_cache"]:
        width = number(row, "n_embd")
        return Recurrent(kind="short_conv", conv_kernel=number(row, "shortconv_l_cache"), inner_size=width)
    return Recurrent(
        kind=kind,
        conv_kernel=number(row, "ssm_conv_kernel"),
        inner_size=number(row, "ssm_inner_size"),
        state_size=number(row, "ssm_state_size"),
        group_count=number(row, "ssm_group_count") or 1,
        head_count=number(row, "ssm_time_step_rank"),
    )


def _feed(row: Row, index: int, kind: str) -> FeedForward | Experts:
    arch, wide = row["arch"], number(row, "n_ff")
    if row["shared_kv_layers"] and kind in "FS":
        wide //= 2  # Gemma 4 E2B: blocks are twice as wide where keys and values are another layer's
    two = arch in ("gptneox", "starcoder2", "nemotron_h")
    if not row["n_expert"] or index < number(row, "n_layer_dense_lead"):
        return FeedForward(intermediate_size=wide, matrices=2 if two else 3, fused=arch == "phi3")
    return Experts(
        num_experts=number(row, "n_expert"),
        num_experts_per_tok=number(row, "n_expert_used"),
        moe_intermediate_size=number(row, "n_ff_exp") or wide,
        shared_intermediate_size=number(row, "n_ff_shared"),
        bias=arch == "gpt-oss",
        dense_intermediate_size=wide if arch == "gemma4" else 0,
    )


def options_of(row: Row) -> LlamaCppOptions:
    """The settings of a row; the library reserves logits for a whole batch where nothing else is asked."""
    return LlamaCppOptions(
        backend="cpu",
        n_batch=number(row, "n_batch"),
        n_ubatch=number(row, "n_ubatch"),
        flash_attn=row["flash_attn"] != "off",
        type_k=row["type_k"],  # type: ignore[arg-type]
        type_v=row["type_v"],  # type: ignore[arg-type]
        n_parallel=number(row, "n_seq_max"),
        kv_unified=row["kv_unified"] == "1",
        swa_full=row["swa_full"] == "1",
        n_outputs_max=number(row, "n_outputs_max") or min(number(row, "n_ctx"), number(row, "n_batch")),
    )


def geometry_of(row: Row) -> Geometry:
    """The cells of a row."""
    sequences = number(row, "n_seq_max")
    return of_context(number(row, "n_ctx"), sequences, row["kv_unified"] == "1" or sequences == 1, options_of(row))


def predict(row: Row) -> dict[str, int]:
    """What gpucheck says for a row, under the names of its columns."""
    shape, options, cells = architecture_of(row), options_of(row), geometry_of(row)
    widest = widest_value(shape)
    return {
        "kv_bytes_total": sum(cache_bytes(layer, cells, options, widest) for layer in shape.layers),
        "recurrent_bytes": sum(state_bytes(layer, cells) for layer in shape.layers),
        "compute_bytes": buffer_bytes(shape, cells, options),
    }


def unseen() -> list[tuple[str, float, float]]:
    """Name, predicted and reported MiB of the compute buffer of models that the predictor was not made on."""
    results = []
    for row in rows(TRUTH.with_name("llama_cpp_unseen.csv")):
        shape, options, cells = _setting(row, "cpu")
        results.append((row["model"], buffer_bytes(shape, cells, options) / MIB, float(row["compute"])))
    return results


def beside_devices() -> list[tuple[str, int, int]]:
    """Name, predicted and reported bytes of every compute buffer of llama.cpp's scheduler on pretended GPUs."""
    results = []
    for row in rows(TRUTH.with_name("llama_cpp_device.csv")):
        shape, options, cells = _setting(row, "cuda")
        count, layers = number(row, "devices"), len(shape.layers)
        shares = [(index + 1) / count for index in range(count)]
        where = [1 + bisect_right(shares, index / (layers + 1)) for index in range(layers + 1)]
        peaks = device_peaks(shape, batch_of(shape, cells, options, device=True), shape.layers, where)
        for column, peak in zip(("host", "gpu0", "gpu1", "gpu2"), peaks, strict=False):
            results.append((f"{row['model']} on {count}: {column}", peak.bytes, number(row, column)))
    return results


def _setting(row: Row, backend: str) -> tuple[Architecture, LlamaCppOptions, Geometry]:
    """The shape, the options and the cells of a row about a model of `llama_cpp_shapes`."""
    kind = {"1": "f16", "8": "q8_0"}[row["type_k"]]
    settings = {name: number(row, name) for name in ("n_batch", "n_ubatch")}
    asked = number(row, "n_outputs_max") or number(row, "n_batch")
    named = {"flash_attn": row["flash_attn_type"], "type_k": kind, "type_v": kind}
    options = parse_options({"backend": backend, "n_outputs_max": asked, **settings, **named})
    sequences = number(row, "n_seq_max")
    cells = of_context(number(row, "n_ctx"), sequences, row["kv_unified"] == "1" or sequences == 1, options)
    return _shape(CASES[row["model"]]), options, cells


def _shape(case: dict[str, Any]) -> Architecture:
    keys = case["keys"]
    groups = keys["attention.head_count_kv"]
    attention = Attention(
        num_attention_heads=keys["attention.head_count"],
        num_key_value_heads=max(groups) if isinstance(groups, list) else groups,
        head_dim=keys["attention.key_length"],
        v_head_dim=keys["attention.value_length"],
        qk_norm="head" if case.get("qk_norm") else "heads" if case.get("whole_norm") else "none",
        output_gate=bool(case.get("gate")),
    )
    feed: FeedForward | Experts = FeedForward(intermediate_size=keys["feed_forward_length"])
    if case.get("experts"):
        feed = Experts(
            num_experts=keys["expert_count"],
            num_experts_per_tok=keys["expert_used_count"],
            moe_intermediate_size=keys["expert_feed_forward_length"],
            shared_intermediate_size=case.get("shared", 0),
            shared_gate=bool(case.get("shared")),
        )
    layers = []
    for index in range(keys["block_count"]):
        alone = bool(case.get("mamba1"))
        linear = alone or bool(case.get("every") and (index + 1) % case["every"])
        state = _state(case) if linear or case.get("both") else None
        fed = None if alone else feed
        layers.append(Layer(attention=None if linear else attention, recurrent=state, feed_forward=fed))
    names = {**_TYPES, "qwen2moe": "qwen2_moe", "minimax-m2": "minimax_m2"}
    return Architecture(
        model_type=names.get(case["arch"], case["arch"]),
        hidden_size=keys["embedding_length"],
        vocab_size=case["vocab"],
        layers=tuple(layers),
    )


def _state(case: dict[str, Any]) -> Recurrent:
    keys = case["keys"]
    if case.get("short"):
        return Recurrent(kind="short_conv", conv_kernel=case["short"], inner_size=keys["embedding_length"])
    return Recurrent(
        kind="mamba" if case.get("mamba1") else "gated_delta_net" if case.get("delta") else "mamba2",
        conv_kernel=keys["ssm.conv_kernel"],
        inner_size=keys["ssm.inner_size"],
        state_size=keys["ssm.state_size"],
        group_count=keys.get("ssm.group_count", 1),
        head_count=keys["ssm.time_step_rank"],
    )


def main() -> None:
    """Prints the errors by component, and the worst case of each model that is not exact."""
    found: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for row in rows():
        for name, guess in predict(row).items():
            truth = number(row, name)
            error = (guess - truth) / truth if truth else float(guess != truth)
            found[name].append((error, row["case_id"]))
    for name, errors in found.items():
        sizes = [abs(error) for error, _ in errors]
        inside = sum(1 / COMPUTE_HIGH <= 1 + error <= 1 / COMPUTE_LOW for error, _ in errors)
        print(
            f"{name}: n {len(sizes)}, exact {sizes.count(0.0)}, median {median(sizes):.3%}, "
            f"p90 {quantiles(sizes, n=10)[-1]:.3%}, worst {max(sizes):.2%}, inside the band {inside / len(sizes):.1%}"
        )
        worst = {case.split("#")[0]: (error, case) for error, case in sorted(errors, key=_size) if error}
        for error, case in worst.values():
            print(f"  {error:+.3%} {case}")
    new = unseen()
    off = [abs(guess / truth - 1) for _, guess, truth in new]
    print(
        f"families measured afterwards: n {len(new)}, median {median(off):.3%}, worst {max(off):.3%} (log has 0.01 MiB)"
    )
    beside = [abs(guess / truth - 1) for _, guess, truth in beside_devices()]
    exact = beside.count(0.0)
    print(f"buffers beside pretended GPUs: n {len(beside)}, exact {exact}, worst {max(beside):.3%}")


def _size(error: tuple[float, str]) -> float:
    return abs(error[0])


if __name__ == "__main__":
    main()
