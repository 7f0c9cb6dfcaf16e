"""The tensors of a model in a format that is known by name, with their types and bytes."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from gpucheck.models.quant import checkpoints
from gpucheck.models.quant.assign import Weight, gguf_weights
from gpucheck.models.quant.checkpoints import Packed, checkpoint_weights, plain_weights
from gpucheck.models.quant.shape import MixShape
from gpucheck.models.quantization import Quantization
from gpucheck.models.tensor import TensorGroup

_ELEMENT_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_USUAL_GROUP = 128  # of GPTQ and AWQ checkpoints
_MLX_GROUP = 64


class Storage(Struct, frozen=True, kw_only=True):
    """What else is known of how a model is stored.

    `layers` counts the layers of the file where it has more than the groups show (those for multi-token prediction).
    `model_type` as configurations spell it decides the few rules that hold for one architecture. `group_size` is
    that of GPTQ, AWQ (128 if None) and MLX (64), and the side of FP8's square blocks (one scale a matrix if None).
    `imatrix` says whether a GGUF file was made with an importance matrix; None takes what is usual for the mix.
    """

    layers: int | None = None
    model_type: str | None = None
    group_size: int | None = None
    imatrix: bool | None = None


USUAL = Storage()


def weights(groups: tuple[TensorGroup, ...], quant: Quantization, storage: Storage = USUAL) -> tuple[Weight, ...]:
    """What each tensor of `groups` is stored as; a group comes in pieces where its layers differ in type.

    Formats whose name does not decide the types (UD-*) come as their nearest mix: multiply by `quant.mix_ratio`, and
    mind its bounds.
    """
    if quant.mix is not None:
        layers = storage.layers or _layers(groups)
        shape = MixShape(groups=groups, layers=layers, model_type=storage.model_type)
        return gguf_weights(shape, quant.mix, storage.imatrix)
    if size := _ELEMENT_BYTES.get(quant.name):
        return plain_weights(groups, quant.name, size)
    return checkpoint_weights(groups, _packed(quant, storage.group_size))


def weight_bytes(groups: tuple[TensorGroup, ...], quant: Quantization, storage: Storage = USUAL) -> int:
    """The likely bytes of all tensors together, `mix_ratio` included."""
    total = sum(weight.bytes for weight in weights(groups, quant, storage))
    return total if quant.mix_ratio == 1 else round(total * quant.mix_ratio)


def _layers(groups: tuple[TensorGroup, ...]) -> int:
    return 1 + max((group.layers[-1] for group in groups if group.layers), default=0)


@lru_cache(maxsize=64)
def _packed(quant: Quantization, group_size: int | None) -> Packed:
    group = group_size or _USUAL_GROUP
    family, _, variant = quant.name.partition("-")
    match family:
        case "gptq":
            return checkpoints.integer(quant.name, int(variant.removeprefix("int")), group, index=True)
        case "awq":
            return checkpoints.integer(quant.name, 4, group, index=False)
        case "nf4":
            return checkpoints.nf4(double=variant == "dq")
        case "fp8":
            return checkpoints.fp8(group_size)
        case "mlx":
            return checkpoints.mlx(int(variant.removesuffix("bit")), group_size or _MLX_GROUP)
        case "exl2" | "exl3":
            return checkpoints.exl(int(family[-1]), float(variant))
        case "int8":
            return checkpoints.llm_int8()
        case "nvfp4":
            return checkpoints.nvfp4()
        case _:
            return checkpoints.mxfp4()
