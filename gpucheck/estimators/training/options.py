"""How a model is trained: the options that its memory depends on, and what each framework does unless it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.estimators.option_values import choice, flag

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
OPTIMIZERS = (
    "adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit", "adafactor", "lion", "muon", "sgd_momentum", "sgd",
)  # fmt: skip
_CHECKPOINTING = ("none", "selective", "full")
_ATTENTION = ("sdpa", "flash_attention_2", "eager")
_CHUNKED = ("none", "output", "fused")


class TrainingOptions(Struct, frozen=True, kw_only=True):
    """The options by name; a size in bytes follows from a type. None is "as the rest implies".

    `master_weights`: a copy of the trained weights in 32 bits, with optimizer states in 32 bits. `micro_batch` comes
    before the batch of the question. `chunked_loss` "output" upcasts the logits chunk by chunk (torchtune), "fused"
    never has all logits (Liger). `zero_stage` 1 to 3 divide optimizer states, gradients and weights over
    `data_parallel` GPUs as DeepSpeed does; `fsdp` is stage 3 with whole layers gathered. `upcast`: what is not
    quantized is stored in 32 bits (PEFT's prepare_model_for_kbit_training).
    """

    optimizer: str = "adamw"
    weight_dtype: str = "bf16"
    master_weights: bool = False
    gradient_checkpointing: str = "full"
    gradient_accumulation: int = 1
    lora_rank: int = 16
    lora_targets: str = "all-linear"
    lora_dtype: str = "fp32"
    lora_dropout: float = 0.0
    lora_embeddings: bool = False
    dora: bool = False
    autocast: bool = True
    micro_batch: int | None = None
    chunked_loss: str = "none"
    optimizer_in_backward: bool = False
    activation_offload: bool = False
    packed: bool = False
    attn_implementation: str = "sdpa"
    zero_stage: int | None = None
    fsdp: bool = False
    data_parallel: int | None = None
    tensor_parallel: int = 1
    sequence_parallel: bool = False
    pipeline_parallel: int = 1
    offload_optimizer: bool = False
    offload_param: bool = False
    upcast: bool = False

    @property
    def model_parallel(self) -> int:
        """GPUs that one copy of the model is cut into by tensors and by stages."""
        return self.tensor_parallel * self.pipeline_parallel

    def ranks(self, gpus: int) -> int:
        """Copies of the model that train side by side on so many GPUs, or as many as the options say."""
        return self.data_parallel or max(1, gpus // self.model_parallel)

    def stage(self, gpus: int) -> int:
        """The stage of ZeRO: what is said, else 3 where several GPUs train together."""
        if self.fsdp:
            return 3
        return self.zero_stage if self.zero_stage is not None else 3 if self.ranks(gpus) > 1 else 0


# Defaults by framework: TRL's SFTConfig (gradient_checkpointing on, bf16) with PEFT, whose adapters are in 32 bits
# (autocast_adapter_dtype); torchtune's recipes/configs (checkpointing on, chunked loss, bf16 adapters); litgpt's
# finetune/lora.py (no checkpointing, bf16-true, query and value of rank 8).
_RECIPES: dict[str, dict[str, object]] = {
    "transformers": {},
    "torchtune": {"chunked_loss": "output", "lora_dtype": "bf16", "lora_rank": 8},
    "litgpt": {"gradient_checkpointing": "none", "lora_dtype": "bf16", "lora_rank": 8, "lora_targets": "q_proj,v_proj",
               "lora_dropout": 0.05, "chunked_loss": "output"},
}  # fmt: skip


def parse_options(given: Mapping[str, object], engine: str = "transformers") -> TrainingOptions:
    """The options given by name, as text or as values, over the defaults of the framework.

    Raises:
        UsageError: an option is not known, or its value is none of those that it takes.
    """
    values: dict[str, object] = dict(_RECIPES.get(engine, {}))
    for name, value in given.items():
        if name not in _PARSERS:
            raise UsageError(f"{name!r} is not an option of training that gpucheck knows. Known: {', '.join(_PARSERS)}")
        if value is not None:
            values[name] = _PARSERS[name](name, value)
    if values.get("optimizer_in_backward") and values.get("gradient_accumulation", 1) != 1:
        raise UsageError("optimizer_in_backward keeps no gradients, so there is nothing to accumulate")
    return msgspec.convert(values, TrainingOptions)


def _count(least: int) -> Callable[[str, object], object]:
    def parse(name: str, value: object) -> int:
        try:
            number = int(str(value))
        except ValueError:
            raise UsageError(f"{name} is a number, not {value!r}") from None
        if number < least:
            raise UsageError(f"{name} is counted from {least}")
        return number

    return parse


def _stage(name: str, value: object) -> object:
    number = _count(0)(name, value)
    if number not in {0, 1, 2, 3}:
        raise UsageError(f"{name} is 0, 1, 2 or 3, not {value!r}")
    return number


def _share(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise UsageError(f"{name} is a share, not {value!r}") from None
    if not 0 <= number < 1:
        raise UsageError(f"{name} is at least 0 and below 1")
    return number


def _targets(_name: str, value: object) -> str:
    return ",".join(part.strip() for part in str(value).split(",") if part.strip())


_ON_OFF = {"true": "full", "1": "full", "false": "none", "0": "none"}
_SAME_TYPE = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_SAME_OPTIMIZER = {
    "adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_bnb_8bit": "adamw_8bit", "adam": "adamw",
    "pagedadamw8bit": "paged_adamw_8bit", "paged_adamw_32bit": "paged_adamw", "adamw8bit": "adamw_8bit",
}  # fmt: skip

_PARSERS: dict[str, Callable[[str, object], object]] = {
    "optimizer": choice(OPTIMIZERS, _SAME_OPTIMIZER),
    "weight_dtype": choice(tuple(BYTES), _SAME_TYPE),
    "master_weights": flag,
    "gradient_checkpointing": choice(_CHECKPOINTING, _ON_OFF),
    "gradient_accumulation": _count(1),
    "lora_rank": _count(1),
    "lora_targets": _targets,
    "lora_dtype": choice(tuple(BYTES), _SAME_TYPE),
    "lora_dropout": _share,
    "lora_embeddings": flag,
    "dora": flag,
    "autocast": flag,
    "micro_batch": _count(1),
    "chunked_loss": choice(_CHUNKED, {"true": "output", "1": "output", "false": "none", "0": "none"}),
    "optimizer_in_backward": flag,
    "activation_offload": flag,
    "packed": flag,
    "attn_implementation": choice(_ATTENTION),
    "zero_stage": _stage,
    "fsdp": flag,
    "data_parallel": _count(1),
    "tensor_parallel": _count(1),
    "sequence_parallel": flag,
    "pipeline_parallel": _count(1),
    "offload_optimizer": flag,
    "offload_param": flag,
    "upcast": flag,
}
