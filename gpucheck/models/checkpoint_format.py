"""How the weights of a checkpoint are quantized, out of the `quantization_config` of its configuration.

The keys are those that the quantizers write: AutoGPTQ and GPTQModel, AutoAWQ, bitsandbytes, compressed-tensors,
NVIDIA ModelOpt, MLX, ExLlama, and the fp8 and mxfp4 methods of transformers 5.24 (utils/quantization_config.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.models.families.keys import Keys

FormatKind = Literal[
    "gptq", "awq", "nf4", "fp4", "bnb-int8", "fp8", "nvfp4", "mxfp4", "mxfp8", "int", "mlx", "exl2", "exl3", "other"
]

_WHERE = "quantization_config."
_MOST_KEPT = 20_000
_KEPT_KEYS = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules", "llm_int8_skip_modules")


class CheckpointFormat(Struct, frozen=True, kw_only=True):
    """The format of the quantized matrices of a checkpoint.

    `name` is what to show ("gptq-int4", "fp8", "mlx-4bit"). `bits` are those of a weight without its scales, None
    where the configuration does not say. `group_size` weights of a row share a scale; None: a row, or a whole
    matrix. `block` is the shape that shares one in block-wise fp8. `kept` names modules that stay plain numbers,
    as the checkpoint writes them. `zero_points`: each group has an offset as well as a scale.
    """

    kind: FormatKind
    name: str
    bits: float | None
    group_size: int | None = None
    block: tuple[int, int] | None = None
    zero_points: bool = False
    double_quant: bool = False
    head_bits: float | None = None
    kept: tuple[str, ...] = ()


def checkpoint_format(config: Mapping[str, Any]) -> CheckpointFormat | None:
    """The format that a parsed `config.json` (or `hf_quant_config.json`) declares; None for plain weights.

    Raises:
        UsageError: a key of the declaration is of another kind, or out of bounds; the sentence names it.
    """
    for level in (config, config.get("text_config"), config.get("llm_config")):
        if not isinstance(level, dict):
            continue
        declared = level.get("quantization_config", level.get("compression_config"))
        if declared is None:
            declared = level.get("quantization")
        if declared is None:
            continue
        if not isinstance(declared, dict):
            raise UsageError("quantization_config in the configuration is not a group of keys")
        if declared:
            return _format(Keys(declared, {}, _WHERE))
    return None


def _format(keys: Keys) -> CheckpointFormat:
    method = (keys.text("quant_method") or "").lower()
    kept = _kept(keys)
    if method in ("gptq", "auto-round", "auto_round", "autoround"):
        return _grouped(keys, "awq" if "awq" in (keys.text("packing_format") or "") else "gptq", kept)
    if method == "awq":
        return _grouped(keys, "awq", kept)
    if method == "bitsandbytes" or keys.has("load_in_4bit", "load_in_8bit"):
        return _bitsandbytes(keys, kept)
    if method == "compressed-tensors" or (not method and keys.has("config_groups")):
        return _compressed(keys, kept)
    if method.startswith("modelopt") or keys.has("quant_algo"):
        return _modelopt(keys, kept)
    if "fp8" in method.split("_"):
        return CheckpointFormat(kind="fp8", name="fp8", bits=8, block=_block(keys), kept=kept)
    if method in ("mxfp4", "nvfp4"):
        return _micro(method, kept)
    if method in ("exl2", "exl3"):
        head = keys.ratio("head_bits", 6) if keys.has("head_bits") else None
        bits = _bits(keys)
        return CheckpointFormat(
            kind="exl2" if method == "exl2" else "exl3", name=f"{method}-{bits:g}", bits=bits, head_bits=head, kept=kept
        )
    if not method and keys.has("bits", "mode"):
        return _mlx(keys)
    return CheckpointFormat(kind="other", name=method[:40] or "unknown", bits=_bits(keys) if keys.has("bits") else None)


def _grouped(keys: Keys, kind: Literal["gptq", "awq"], kept: tuple[str, ...]) -> CheckpointFormat:
    """GPTQ and AWQ: a scale and an offset for each group; a group size of -1 is a whole row."""
    name = "bits" if keys.has("bits") else "w_bit"
    bits = keys.number(name, most=16, default=4)
    size = "group_size" if keys.has("group_size") else "q_group_size"
    group = None if keys.config.get(size) == -1 else keys.number(size, default=128)
    head = float(bits) if keys.config.get("lm_head") is True else None
    return CheckpointFormat(
        kind=kind,
        name=f"{kind}-int{bits}",
        bits=bits,
        group_size=group,
        zero_points=True,
        head_bits=head,
        kept=kept,
    )


def _bitsandbytes(keys: Keys, kept: tuple[str, ...]) -> CheckpointFormat:
    """bitsandbytes: blocks of 64 with a 32-bit scale in 4-bit, a scale for each row in 8-bit."""
    if keys.flag("load_in_4bit"):
        kind: FormatKind = "fp4" if keys.text("bnb_4bit_quant_type") == "fp4" else "nf4"
        double = keys.flag("bnb_4bit_use_double_quant")
        return CheckpointFormat(kind=kind, name=kind, bits=4, group_size=64, double_quant=double, kept=kept)
    return CheckpointFormat(kind="bnb-int8", name="bnb-int8", bits=8, kept=kept)


def _compressed(keys: Keys, kept: tuple[str, ...]) -> CheckpointFormat:
    """compressed-tensors: the weights of its first group of modules that has a scheme for weights."""
    groups = keys.part("config_groups") or {}
    if len(groups) > 1000:
        raise UsageError(f"{_WHERE}config_groups in the configuration has {len(groups)} groups")
    for name, group in groups.items():
        weights = group.get("weights") if isinstance(group, dict) else None
        if isinstance(weights, dict):
            return _scheme(Keys(weights, {}, f"{_WHERE}config_groups.{str(name)[:40]}.weights."), keys, kept)
    return CheckpointFormat(kind="other", name="compressed-tensors", bits=None, kept=kept)


def _scheme(weights: Keys, keys: Keys, kept: tuple[str, ...]) -> CheckpointFormat:
    bits = weights.number("num_bits", most=16, default=8)
    group = None if weights.config.get("group_size") == -1 else weights.optional("group_size")
    written = (keys.text("format") or "").split("-")[0]
    if written in ("nvfp4", "mxfp4"):
        return _micro(written, kept)
    if weights.text("type") == "float":
        if bits == 4:
            return _micro("mxfp4" if group == 32 else "nvfp4", kept)
        return CheckpointFormat(
            kind="fp8", name="fp8", bits=bits, group_size=group, block=_block(weights, "block_structure"), kept=kept
        )
    offset = weights.config.get("symmetric") is False
    return CheckpointFormat(
        kind="int", name=f"int{bits}", bits=bits, group_size=group or None, zero_points=offset, kept=kept
    )


def _modelopt(keys: Keys, kept: tuple[str, ...]) -> CheckpointFormat:
    """NVIDIA ModelOpt: `quant_algo`, or the scheme of its groups where it is mixed."""
    algorithm = (keys.text("quant_algo") or "").upper()
    words = set(algorithm.replace("-", "_").split("_"))
    if "NVFP4" in words or "FP4" in words:
        return _micro("nvfp4", kept)
    if "MXFP4" in words:
        return _micro("mxfp4", kept)
    if "FP8" in words:
        return CheckpointFormat(kind="fp8", name="fp8", bits=8, block=_block(keys), kept=kept)
    if "W4A16" in words or "INT4" in words:
        group = keys.optional("group_size") or 128
        return CheckpointFormat(kind="awq", name="awq-int4", bits=4, group_size=group, kept=kept)
    if "W8A8" in words or "INT8" in words:
        return CheckpointFormat(kind="int", name="int8", bits=8, kept=kept)
    return _compressed(keys, kept)


def _mlx(keys: Keys) -> CheckpointFormat:
    """MLX: a scale and an offset of 16 bits for each group; modules with a setting of their own are not told apart."""
    mode = keys.text("mode") or "affine"
    if mode in ("mxfp4", "nvfp4", "mxfp8"):
        return _micro(mode, ())
    bits = keys.number("bits", most=16, default=4)
    group = keys.number("group_size", most=10_000, default=64)
    return CheckpointFormat(
        kind="mlx", name=f"mlx-{bits}bit", bits=bits, group_size=group, zero_points=True, head_bits=float(bits)
    )


def _micro(name: str, kept: tuple[str, ...]) -> CheckpointFormat:
    """The micro-scaled formats: one 8-bit scale for 32 weights, for 16 in NVFP4."""
    if name == "nvfp4":
        return CheckpointFormat(kind="nvfp4", name="nvfp4", bits=4, group_size=16, kept=kept)
    if name == "mxfp8":
        return CheckpointFormat(kind="mxfp8", name="mxfp8", bits=8, group_size=32, kept=kept)
    return CheckpointFormat(kind="mxfp4", name="mxfp4", bits=4, group_size=32, kept=kept)


def _bits(keys: Keys) -> float:
    bits = keys.ratio("bits", 4)
    if not 0.5 <= bits <= 32:
        raise UsageError(f"{_WHERE}bits in the configuration is {bits:g}, not a number of bits")
    return bits


def _block(keys: Keys, name: str = "weight_block_size") -> tuple[int, int] | None:
    """The two sides of a block; None where a row or a matrix has one scale."""
    sides = keys.numbers(name) if keys.config.get(name) is not None else None
    if sides is None:
        return None
    if len(sides) != 2 or not all(sides):
        raise UsageError(f"{keys.where}{name} in the configuration is not two sizes")
    return sides[0], sides[1]


def _kept(keys: Keys) -> tuple[str, ...]:
    """Names of modules that stay plain; of one key, the first that is there."""
    for name in _KEPT_KEYS:
        value = keys.config.get(name)
        if value is None:
            continue
        if not isinstance(value, list) or len(value) > _MOST_KEPT:
            raise UsageError(f"{_WHERE}{name} in the configuration is not a list of names")
        return tuple(item[:200] for item in value if isinstance(item, str))
    return ()
