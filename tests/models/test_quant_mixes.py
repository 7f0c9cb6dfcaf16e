"""GGUF file mixes: types and bytes of the tensors of a model."""

from __future__ import annotations

from collections import Counter

import pytest

from gpucheck.models.ggml_types import BY_NAME, GGML_TYPES
from gpucheck.models.quant.assign import Weight, gguf_weights
from gpucheck.models.quant.mixes import FALCON_MIXES, FALLBACKS, MIXES
from gpucheck.models.quant.shape import MixShape, more_bits
from gpucheck.models.tensor import TensorGroup

OUTSIDE = (-1,)


def llama(
    layers: int = 32, width: int = 14336, tied: bool = False, experts: int = 0, keys: int = 1024
) -> tuple[TensorGroup, ...]:
    """Llama-3.1-8B (hidden size 4096, 32 heads of 128, vocabulary 128256), or a model like it."""
    at = tuple(range(layers))
    side, rows = ("_exps", width * experts) if experts else ("", width)
    found = [
        TensorGroup("token_embd", 4096, 128256, OUTSIDE),
        TensorGroup("output_norm", 4096, 1, OUTSIDE, matrix=False),
        TensorGroup("attn_norm", 4096, 1, at, matrix=False),
        TensorGroup("ffn_norm", 4096, 1, at, matrix=False),
        TensorGroup("attn_q", 4096, 4096, at),
        TensorGroup("attn_k", 4096, keys, at),
        TensorGroup("attn_v", 4096, keys, at),
        TensorGroup("attn_output", 4096, 4096, at),
        TensorGroup(f"ffn_gate{side}", 4096, rows, at),
        TensorGroup(f"ffn_up{side}", 4096, rows, at),
        TensorGroup(f"ffn_down{side}", width, 4096 * max(experts, 1), at),
    ]
    if experts:
        found.append(TensorGroup("ffn_gate_inp", 4096, experts, at))
    if not tied:
        found.append(TensorGroup("output", 4096, 128256, OUTSIDE))
    return tuple(found)


def mixed(groups: tuple[TensorGroup, ...], name: str, **more: bool | None) -> tuple[Weight, ...]:
    """The tensors of a file of the mix."""
    layers = 1 + max(group.layers[-1] for group in groups)
    return gguf_weights(MixShape(groups=groups, layers=layers), name, **more)


def types(weights: tuple[Weight, ...], role: str) -> dict[str, int]:
    """How many tensors of the role have each type."""
    found: Counter[str] = Counter()
    for weight in weights:
        if weight.group.role == role and weight.group.matrix:
            found[weight.dtype] += len(weight.group.layers)
    return dict(found)


def test_ids_and_names_of_types_are_unique() -> None:
    """No id, no name twice, and blocks hold whole bytes."""
    assert len({kind.id for kind in GGML_TYPES}) == len({kind.name for kind in GGML_TYPES}) == len(GGML_TYPES)
    assert all(kind.block_size > 0 and kind.block_bytes > 0 for kind in GGML_TYPES)


@pytest.mark.parametrize(("name", "bits"), [("Q4_K", 4.5), ("Q6_K", 6.5625), ("MXFP4", 4.25), ("IQ1_S", 1.5625)])
def test_bits_of_a_type_are_those_of_its_block(name: str, bits: float) -> None:
    """Bits per weight follow from the bytes of a block."""
    assert BY_NAME[name].bits == bits


def test_a_row_takes_whole_blocks() -> None:
    """A row that does not divide by the block is rounded up."""
    assert BY_NAME["Q8_0"].row_bytes(33) == 68


@pytest.mark.parametrize(
    ("name", "gib"),
    # Llama-3.1-8B in the table of llama.cpp's tools/quantize/README.md: size in GiB, two decimals
    [
        ("IQ1_S", 1.87), ("IQ1_M", 2.01), ("IQ2_XXS", 2.23), ("IQ2_XS", 2.42), ("IQ2_S", 2.56), ("IQ2_M", 2.74),
        ("IQ3_XXS", 3.04), ("IQ3_XS", 3.27), ("IQ3_S", 3.42), ("IQ3_M", 3.52), ("Q2_K_S", 2.78), ("Q2_K", 2.95),
        ("Q3_K_S", 3.41), ("Q3_K_M", 3.74), ("Q3_K_L", 4.02), ("Q4_K_S", 4.36), ("Q4_K_M", 4.58), ("Q5_K_S", 5.21),
        ("Q5_K_M", 5.33), ("Q6_K", 6.14), ("Q8_0", 7.95), ("F16", 14.96),
    ],
)  # fmt: skip
def test_an_8b_has_the_sizes_of_llama_cpp_s_table(name: str, gib: float) -> None:
    """Published sizes of one model in every mix, within the rounding and the file's metadata."""
    total = sum(weight.bytes for weight in mixed(llama(), name))
    assert abs(total / 2**30 - gib) < 0.012


def test_q4_k_m_gives_more_bits_to_half_the_layers() -> None:
    """Values and down projections of first and last eighth and every third layer between are Q6_K."""
    weights = mixed(llama(), "Q4_K_M")
    assert types(weights, "ffn_down") == types(weights, "attn_v") == {"Q6_K": 16, "Q4_K": 16}
    assert types(weights, "attn_q") == {"Q4_K": 32}
    assert types(weights, "output") == {"Q6_K": 1}
    assert types(weights, "token_embd") == {"Q4_K": 1}
    assert sorted(more_bits(32)) == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]


def test_a_tied_embedding_has_the_type_of_the_head() -> None:
    """Without a head of its own the embedding is the head."""
    assert types(mixed(llama(tied=True), "Q4_K_M"), "token_embd") == {"Q6_K": 1}
    assert types(mixed(llama(tied=True), "IQ2_M"), "token_embd") == {"Q5_K": 1}


def test_rows_that_blocks_do_not_divide_fall_back() -> None:
    """Qwen2.5-72B's rows of 29568 take Q5_0 for Q4_K and Q8_0 for Q6_K; rows of 80 stay F16."""
    assert types(mixed(llama(width=29568), "Q4_K_M"), "ffn_down") == {"Q8_0": 16, "Q5_0": 16}
    assert types(mixed(llama(width=80), "Q4_K_M"), "ffn_down") == {"F16": 32}
    assert all(BY_NAME[fallback].block_size == 32 for fallback in FALLBACKS.values())


def test_eight_experts_have_better_attention() -> None:
    """Mixtral's keys and values are Q8_0 and its attention output Q5_K; the router is not quantized."""
    weights = mixed(llama(experts=8), "Q4_K_M")
    assert types(weights, "attn_k") == types(weights, "attn_v") == {"Q8_0": 32}
    assert types(weights, "attn_output") == {"Q5_K": 32}
    assert types(weights, "ffn_gate_inp") == {"F32": 32}


def test_a_70b_has_better_values() -> None:
    """80 layers with shared keys: values are Q5_K where they would be Q4_K; 79 layers are no 70B."""
    assert types(mixed(llama(layers=80), "Q4_K_M"), "attn_v") == {"Q6_K": 40, "Q5_K": 40}
    assert "Q5_K" not in types(mixed(llama(layers=79), "Q4_K_M"), "attn_v")


def test_an_importance_matrix_changes_a_few_mixes() -> None:
    """Q4_0 takes Q4_1 for the first down projections with a matrix, IQ4_XS takes Q5_K without."""
    assert types(mixed(llama(), "Q4_0", imatrix=True), "ffn_down") == {"Q4_1": 4, "Q4_0": 28}
    assert types(mixed(llama(), "Q4_0", imatrix=False), "ffn_down") == {"Q4_0": 32}
    assert types(mixed(llama(), "IQ4_XS", imatrix=False), "ffn_down") == {"Q5_K": 4, "IQ4_XS": 28}
    assert types(mixed(llama(), "IQ4_XS"), "ffn_down") == {"IQ4_XS": 32}


def test_experts_alone_are_mxfp4() -> None:
    """The MXFP4 mix keeps everything but experts in Q8_0."""
    weights = mixed(llama(experts=32), "MXFP4")
    assert types(weights, "ffn_down_exps") == {"MXFP4": 32}
    assert types(weights, "attn_q") == {"Q8_0": 32}
    assert types(weights, "output") == {"Q8_0": 1}


@pytest.mark.parametrize("name", [*MIXES, "F32", "F16", "BF16", "MXFP4", "NVFP4"])
def test_every_tensor_is_there_once(name: str) -> None:
    """Pieces of groups add up to all elements, layers in no two of them, and norms stay F32."""
    groups = llama(experts=4, layers=27, width=1408)
    weights = mixed(groups, name)
    assert sum(weight.group.total_elements for weight in weights) == sum(group.total_elements for group in groups)
    places = [(weight.group.role, layer) for weight in weights for layer in weight.group.layers]
    assert len(set(places)) == len(places)
    assert all(weight.dtype == "F32" for weight in weights if not weight.group.matrix)


def test_falcon_has_its_own_mixes() -> None:
    """Falcon's head is Q8_0 in every mix, and its attention output has no more bits than the rest."""
    assert all(mix.output == "Q8_0" for mix in FALCON_MIXES.values())
    assert FALCON_MIXES["Q2_K"].attention_output == ()
