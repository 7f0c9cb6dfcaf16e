"""The command of TRL that trains as an answer says; the data are the user's to name."""

from __future__ import annotations

import shlex

from gpucheck.assess.placement import Placed
from gpucheck.assess.workload import Workload
from gpucheck.estimators.training.options import TrainingOptions, parse_options

# Names of TrainingArguments.optim by those of the options; TRL has no switch for the others.
_OPTIM = {
    "adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit", "paged_adamw": "paged_adamw_32bit",
    "paged_adamw_8bit": "paged_adamw_8bit", "adafactor": "adafactor", "lion": "lion_32bit", "sgd": "sgd",
}  # fmt: skip
_LOADED = {
    "nf4": ["--load_in_4bit"], "nf4-dq": ["--load_in_4bit", "--use_bnb_nested_quant"], "int8": ["--load_in_8bit"],
}  # fmt: skip
_PLAIN = frozenset({"bf16", "fp16", "fp32"})
# Settings that TRL's command line has no plain word for: no command is better than one that trains otherwise.
_WITHOUT_WORD = (
    "master_weights", "optimizer_in_backward", "activation_offload", "offload_optimizer", "offload_param", "dora",
    "upcast", "lora_embeddings", "sequence_parallel",
)  # fmt: skip


def training_command(workload: Workload, placed: Placed) -> str | None:
    """What to type for `trl sft`; None where nothing fits, or where a setting has no flag there."""
    setting = workload.setting
    if setting.engine != "transformers" or placed.fits in {"no", "unknown"}:
        return None
    options = parse_options(setting.given, setting.engine)
    if not _has_words(options, workload):
        return None
    words = ["trl", "sft", "--model_name_or_path", workload.reference.model.id, "--dataset_name", "DATASET"]
    words += ["--dtype", "bfloat16" if options.weight_dtype == "bf16" else _long(options.weight_dtype)]
    words += ["--max_length", str(setting.context)]
    words += ["--per_device_train_batch_size", str(options.micro_batch or setting.batch)]
    words += ["--gradient_accumulation_steps", str(options.gradient_accumulation)]
    words += ["--gradient_checkpointing", "true" if options.gradient_checkpointing == "full" else "false"]
    words += ["--optim", _OPTIM[options.optimizer]]
    if options.chunked_loss == "fused":
        words += ["--use_liger_kernel", "true"]
    if options.packed:
        words += ["--packing", "true"]
    return shlex.join([*words, *_adapters(workload, options), *_parallel(placed, options)])


def _has_words(options: TrainingOptions, workload: Workload) -> bool:
    plain = not any(getattr(options, name) for name in _WITHOUT_WORD) and options.model_parallel == 1
    quant = workload.quant.name
    known = options.optimizer in _OPTIM and options.chunked_loss != "output" and options.data_parallel is None
    return plain and known and (quant in _PLAIN or quant in _LOADED)


def _long(name: str) -> str:
    return {"fp16": "float16", "fp32": "float32"}[name]


def _adapters(workload: Workload, options: TrainingOptions) -> list[str]:
    if workload.setting.task == "full":
        return []
    targets = options.lora_targets.split(",")
    named = ["q_proj", "k_proj", "v_proj", "o_proj"] if targets == ["attention"] else targets
    words = ["--use_peft", "--lora_r", str(options.lora_rank), "--lora_target_modules", *named]
    return [*words, *_LOADED.get(workload.quant.name, [])]


def _parallel(placed: Placed, options: TrainingOptions) -> list[str]:
    """TRL's own configurations of accelerate, where several GPUs train."""
    count = len(placed.placement.devices)
    if count < 2:
        return []
    stage = options.stage(count)
    kind = "fsdp2" if options.fsdp else f"zero{stage}" if stage else "multi_gpu"
    return ["--accelerate_config", kind, "--num_processes", str(count)]
