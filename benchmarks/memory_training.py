"""What gpucheck says of measured training peaks; every row is scored but those of adapters of another kind.

Settings are those of the sources: litgpt (tutorials/resource-tables.md and finetune/lora.py: LoRA of rank 8
on queries and values, dropout 0.05, bf16-true, logits in chunks, paged AdamW with 4 bits; FSDP with checkpointing on
several GPUs, none on one), torchtune (README.md: packed to 2048 tokens, batch 2, torch.compile;
recipes/configs/llama3_1: checkpointing, PagedAdamW8bit in the backward pass for full), Qwen of 2023 (finetune.py and
finetune/*.sh: rank 64, dropout 0.05, checkpointing, ZeRO-2 for full, modules_to_save). What is not stated: by what the
two torchtune rows of one model and method differ (both are scored with the configuration), and whether Qwen's figures
are of the allocator or of the whole process (taken as the latter).

None of this is a blind test: formulas were changed after errors on these rows were seen (GELU in one operator;
copies of trained embeddings; what DeepSpeed gathers on one GPU), and the share of memory that the allocator keeps was
chosen on the rows of Qwen.
"""

from __future__ import annotations

from benchmarks.memory_rows import Score, Truth, label, number
from gpucheck.estimators.known import estimate_known
from gpucheck.estimators.rows import Estimate
from gpucheck.estimators.setting import make_setting
from gpucheck.models.model import Model
from gpucheck.models.quantization import find_quantization


def training_reason(row: Truth) -> str | None:
    """Why a row of training is not scored, None if it is."""
    return "LLaMA-Adapter: not estimated" if row["task"].startswith("adapter") else None


def training_score(row: Truth, known: Model) -> Score:
    """The prediction for one row: what torch's allocator holds, and the contexts too for the figures of 2023."""
    engine, options = _setting(row)
    task, gpus = row["task"].partition("+")[0], number(row, "gpus") or 1
    setting = make_setting(number(row, "context"), number(row, "batch") or 1, engine, options, task=task)
    found = estimate_known(known, find_quantization(row["quant"]), setting, gpus)
    process = engine == "transformers"
    rows = [each for each in found.rows if each.device != "host" and (process or each.component != "overhead")]
    parts = Estimate(tuple(rows))
    group = f"training peak, {'Qwen of 2023' if process else engine}"
    name = f"{row['task']}, {row['engine']}: {label(row)}"
    share = gpus if row["component"] == "peak_per_gpu" else 1
    figures = (size // share for size in (parts.total_bytes, parts.low_bytes, parts.high_bytes))
    return Score(group, name, number(row, "bytes"), *figures)


def _setting(row: Truth) -> tuple[str, dict[str, object]]:
    if row["engine"] == "litgpt":
        paged = {} if row["quant"] == "bf16" else {"optimizer": "paged_adamw"}
        return "litgpt", paged | ({"fsdp": True, "gradient_checkpointing": "full"} if row["parallelism"] else {})
    if row["engine"] == "torchtune":
        full = {"optimizer": "paged_adamw_8bit", "optimizer_in_backward": True}
        return "torchtune", (full if row["task"] == "full" else {}) | ({"fsdp": True} if row["parallelism"] else {})
    options: dict[str, object] = {
        "lora_rank": 64, "lora_targets": "c_attn,o_proj,gate_proj,up_proj,down_proj", "lora_dropout": 0.05,
        "gradient_accumulation": 8, "lora_embeddings": "embeddings" in row["task"], "upcast": row["task"] == "qlora",
        "master_weights": row["task"] == "full",
    }  # fmt: skip
    stage = 3 if row["parallelism"] == "zero3" else 2 if row["task"] == "full" else None
    return "transformers", options | ({} if stage is None else {"zero_stage": stage})
