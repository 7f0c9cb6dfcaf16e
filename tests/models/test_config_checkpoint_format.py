"""Formats of quantized checkpoints."""

from __future__ import annotations

from typing import Any

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.checkpoint_format import CheckpointFormat, checkpoint_format


def declared(**keys: Any) -> CheckpointFormat:
    """The format that a quantization_config of these keys declares."""
    found = checkpoint_format({"quantization_config": keys})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("keys", "name", "bits", "group"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq-int4", 4, 128),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "gptq-int8", 8, None),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}, "awq-int4", 4, 64),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "nf4", 4, 64),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb-int8", 8, None),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8, None),
        ({"quant_method": "fbgemm_fp8"}, "fp8", 8, None),
        ({"quant_method": "mxfp4"}, "mxfp4", 4, 32),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", 4, 16),
        ({"quant_algo": "FP8"}, "fp8", 8, None),
        ({"group_size": 64, "bits": 4}, "mlx-4bit", 4, 64),
        ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, "mxfp4", 4, 32),
        ({"quant_method": "exl2", "bits": 4.25, "head_bits": 6}, "exl2-4.25", 4.25, None),
    ],
)
def test_declared_formats(keys: dict[str, Any], name: str, bits: float, group: int | None) -> None:
    """Each quantizer's keys give its name, bits and group size."""
    found = declared(**keys)
    assert (found.name, found.bits, found.group_size) == (name, bits, group)


@pytest.mark.parametrize(
    ("weights", "written", "name"),
    [
        ({"num_bits": 4, "type": "int", "group_size": 128, "symmetric": True}, "pack-quantized", "int4"),
        ({"num_bits": 8, "type": "int", "group_size": None}, "int-quantized", "int8"),
        ({"num_bits": 8, "type": "float", "strategy": "channel"}, "float-quantized", "fp8"),
        ({"num_bits": 4, "type": "float", "group_size": 16}, "nvfp4-pack-quantized", "nvfp4"),
    ],
)
def test_compressed_tensors(weights: dict[str, Any], written: str, name: str) -> None:
    """compressed-tensors is told apart by the scheme of its weights."""
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    found = declared(quant_method="compressed-tensors", format=written, config_groups=groups, ignore=["lm_head"])
    assert found.name == name
    assert found.kept == ("lm_head",)


def test_block_scales_and_double_quantization() -> None:
    """FP8's block and the second level of NF4 are kept."""
    assert declared(quant_method="fp8", weight_block_size=[128, 128]).block == (128, 128)
    assert declared(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_use_double_quant=True).double_quant


def test_mlx_writes_its_own_key() -> None:
    """MLX checkpoints say `quantization` and quantize the head as well."""
    found = checkpoint_format({"quantization": {"group_size": 64, "bits": 8}})
    assert found is not None
    assert (found.name, found.head_bits) == ("mlx-8bit", 8)


def test_plain_weights() -> None:
    """Without a declaration the weights are plain numbers."""
    assert checkpoint_format({"model_type": "llama"}) is None


def test_unknown_method_keeps_its_name() -> None:
    """A method that is not known is named, and its bits are unknown unless they are given."""
    found = declared(quant_method="newquant")
    assert (found.kind, found.name, found.bits) == ("other", "newquant", None)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"quant_method": "gptq", "bits": 99}, "bits"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size"),
        ({"quant_method": 7}, "quant_method"),
        ({"quant_method": "awq", "modules_to_not_convert": "all"}, "modules_to_not_convert"),
    ],
)
def test_wrong_values_name_their_key(keys: dict[str, Any], named: str) -> None:
    """A value of another kind is a UsageError that names the key."""
    with pytest.raises(UsageError, match=named):
        declared(**keys)
