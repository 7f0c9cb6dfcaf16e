"""What an answer about training takes for granted, in sentences."""

from __future__ import annotations

from gpucheck.estimators.setting import Setting
from gpucheck.estimators.training.options import TrainingOptions

VERSIONS = "transformers 5.24, PEFT 0.21"
"""The releases whose code the formulas describe."""


def assumptions(options: TrainingOptions, setting: Setting, batch: int, gpus: int, phase: str) -> tuple[str, ...]:
    """What was not said, with the value that it has."""
    said = set(setting.given)
    code = VERSIONS if setting.engine == "transformers" else f"{setting.engine}, by the formulas of {VERSIONS}"
    sentences = {
        "gradient_checkpointing": f"gradient_checkpointing {options.gradient_checkpointing}",
        "optimizer": f"optimizer {options.optimizer}",
        "attn_implementation": f"attn_implementation {options.attn_implementation}, which keeps no table of scores",
        "chunked_loss": f"chunked_loss {options.chunked_loss}",
        "gradient_accumulation": "no gradients accumulated over steps",
    }
    if setting.task == "full":
        sentences["master_weights"] = f"weights, gradients and states in {options.weight_dtype}, no copy in 32 bits"
    else:
        sentences["lora_targets"] = f"adapters on {options.lora_targets}"
        sentences["lora_rank"] = f"rank {options.lora_rank}"
        sentences["lora_dtype"] = f"adapters in {options.lora_dtype}"
    if max(gpus, options.ranks(gpus)) > 1:
        sentences["zero_stage"] = f"{options.ranks(gpus)} GPUs train side by side, ZeRO stage {options.stage(gpus)}"
    shown = [sentence for name, sentence in sentences.items() if name not in said]
    each = f"{batch} sequence{'s' if batch > 1 else ''} of {setting.context:,} tokens at once on each GPU"
    return (code, each, phase, *shown)
