"""Quantization names, and bytes of checkpoints in formats other than GGUF."""

from __future__ import annotations

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.quant.weights import Storage, weight_bytes, weights
from gpucheck.models.quantization import QUANTIZATIONS, find_quantization
from gpucheck.models.tensor import TensorGroup

HIDDEN, VOCAB, LAYERS = 4096, 32000, tuple(range(4))
EMBEDDING, ONE = HIDDEN * VOCAB, HIDDEN * HIDDEN
GROUPS = (
    TensorGroup("token_embd", HIDDEN, VOCAB, (-1,)),
    TensorGroup("output", HIDDEN, VOCAB, (-1,)),
    TensorGroup("output_norm", HIDDEN, 1, (-1,), matrix=False),
    TensorGroup("attn_q", HIDDEN, HIDDEN, LAYERS),
)
SIXTEEN_BIT = 2 * (2 * EMBEDDING + HIDDEN)  # embedding, head and norm
ROUTED = (
    TensorGroup("token_embd", HIDDEN, VOCAB, (-1,)),
    TensorGroup("ffn_gate_inp", HIDDEN, 16, LAYERS),
    TensorGroup("ffn_up_exps", HIDDEN, 16 * 512, LAYERS),
    TensorGroup("attn_q", HIDDEN, HIDDEN, LAYERS),
)


@pytest.mark.parametrize(
    ("name", "linear"),
    # bytes of one 4096 x 4096 matrix by hand
    [
        ("gptq-int4", ONE // 2 + 32 * HIDDEN * 2 + 32 * HIDDEN // 2 + 4 * HIDDEN),
        ("gptq-int8", ONE + 32 * HIDDEN * 2 + 32 * HIDDEN + 4 * HIDDEN),
        ("awq", ONE // 2 + 32 * HIDDEN * 2 + 32 * HIDDEN // 2),
        ("int8", ONE + 4 * HIDDEN),
        ("nf4", ONE // 2 + ONE // 64 * 4),
        ("nf4-dq", ONE // 2 + ONE // 64 + ONE // 64 // 256 * 4),
        ("fp8", ONE + 8),
        ("nvfp4", ONE // 2 + ONE // 16 + 8),
        ("bf16", ONE * 2),
    ],
)
def test_linear_layers_are_packed_and_the_rest_has_16_bits(name: str, linear: int) -> None:
    """Scales, zeros and indexes count; embedding, head and norm stay as they were."""
    assert weight_bytes(GROUPS, find_quantization(name)) == 4 * linear + SIXTEEN_BIT


def test_block_scales_of_fp8() -> None:
    """With square blocks of 128 there is one fp32 scale for each."""
    assert (
        weight_bytes(GROUPS, find_quantization("fp8"), Storage(group_size=128)) == 4 * (ONE + 32 * 32 * 4) + SIXTEEN_BIT
    )


def test_a_smaller_group_costs_more() -> None:
    """GPTQ with groups of 32 has four times the scales of groups of 128."""
    quant = find_quantization("gptq-int4")
    assert weight_bytes(GROUPS, quant, Storage(group_size=32)) - weight_bytes(GROUPS, quant) == 4 * 96 * HIDDEN * 5 // 2


def test_mlx_quantizes_embedding_and_head_too() -> None:
    """4 bits, and a scale and a bias of 16 bits for each 64 weights, everywhere but in norms."""
    matrices = 2 * EMBEDDING + 4 * ONE
    assert weight_bytes(GROUPS, find_quantization("mlx-4bit")) == matrices // 2 + matrices // 64 * 4 + 2 * HIDDEN


def test_exl2_has_a_head_of_six_bits() -> None:
    """The named bits are those of the layers; the embedding is not quantized."""
    expected = 4 * ONE * 4.25 / 8 + EMBEDDING * 6 / 8 + 2 * EMBEDDING + 2 * HIDDEN
    assert weight_bytes(GROUPS, find_quantization("exl2-4.25")) == expected


def test_routers_stay_and_mxfp4_packs_experts_alone() -> None:
    """A router has 16 bits in AWQ; in MXFP4 checkpoints attention has as well."""
    by_role = {weight.group.role: weight for weight in weights(ROUTED, find_quantization("awq"))}
    assert by_role["ffn_gate_inp"].bytes == 4 * 2 * HIDDEN * 16
    assert by_role["attn_q"].dtype == "awq"
    by_role = {weight.group.role: weight for weight in weights(ROUTED, find_quantization("mxfp4-hf"))}
    assert by_role["ffn_up_exps"].bytes == 4 * 16 * 512 * HIDDEN // 32 * 17
    assert by_role["attn_q"].bytes == 4 * 2 * ONE


def test_every_format_covers_every_tensor_and_a_gguf_file_is_its_mix() -> None:
    """Every known format answers for a model with experts, and gives each tensor once."""
    for quant in QUANTIZATIONS:
        found = weights(ROUTED, quant)
        places = [(weight.group.role, layer) for weight in found for layer in weight.group.layers]
        assert sorted(places) == sorted((group.role, layer) for group in ROUTED for layer in group.layers)
        assert all(weight.bytes > 0 for weight in found)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("q4", "Q4_K_M"), ("Q8", "Q8_0"), ("f16", "fp16"), ("GPTQ", "gptq-int4"), ("awq-int4", "awq"),
        ("ud-q4_k_xl", "UD-Q4_K_XL"), ("EXL2-4.0", "exl2-4.0"), ("exl2-4", "exl2-4.0"), ("exl3-4.25bpw", "exl3-4.25"),
        ("fp8-block", "fp8"), ("NVFP4", "nvfp4"),
    ],
)  # fmt: skip
def test_names_and_aliases_are_found_in_any_case(alias: str, name: str) -> None:
    """What users write finds the format under its own name."""
    assert find_quantization(alias).name == name


@pytest.mark.parametrize("name", ["exl2-0.5", "exl2-9", "exl2-", "exl4-4.0", "UD-", "q44", "", "awq-int3"])
def test_an_unknown_name_is_an_error(name: str) -> None:
    """No format stands in for one that does not exist."""
    with pytest.raises(UsageError, match="not a quantization"):
        find_quantization(name)


def test_dynamic_files_are_a_band_around_a_mix() -> None:
    """The name of a UD file does not decide its types; that of a plain mix does."""
    dynamic = find_quantization("UD-Q4_K_XL")
    assert not dynamic.determined
    assert dynamic.mix_low < dynamic.mix_ratio < dynamic.mix_high
    base = find_quantization(dynamic.mix or "")
    assert base.determined
    assert weight_bytes(GROUPS, dynamic) == round(weight_bytes(GROUPS, base) * dynamic.mix_ratio)
