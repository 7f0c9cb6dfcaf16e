"""The tensors that a shape implies."""

from __future__ import annotations

import pytest

from gpucheck.models.config import read_config
from gpucheck.models.tensor import TensorGroup
from gpucheck.models.tensors import predict_groups, tensor_groups
from tests.models.published import PUBLISHED, dense


def groups_of(name: str) -> dict[str, TensorGroup]:
    """The matrices of a published model by role, the first of each."""
    found: dict[str, TensorGroup] = {}
    for group in tensor_groups(read_config(PUBLISHED[name][0]).architecture):
        if group.matrix:
            found.setdefault(group.role, group)
    return found


def test_rows_are_input_features() -> None:
    """A row is as long as the input of its matrix, as in GGUF: 14336 for ffn_down of Llama 3.1."""
    groups = groups_of("Llama-3.1-8B")
    assert (groups["ffn_down"].row, groups["ffn_down"].rows) == (14336, 4096)
    assert (groups["attn_k"].row, groups["attn_k"].rows) == (4096, 1024)
    assert (groups["output"].row, groups["output"].rows) == (4096, 128256)
    assert groups["ffn_up"].layers == tuple(range(32))
    assert groups["token_embd"].layers == (-1,)


def test_tied_head_is_left_out() -> None:
    """A head that is the embedding is no tensor of its own."""
    assert "output" not in groups_of("Llama-3.2-1B")
    assert "output" in groups_of("Llama-3.1-8B")


def test_only_matrices_are_matrices() -> None:
    """Norms and biases are vectors of one row."""
    groups = tensor_groups(read_config(PUBLISHED["Qwen2.5-7B"][0]).architecture)
    vectors = [group for group in groups if not group.matrix]
    assert {group.role for group in vectors} == {"attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "output_norm"}
    assert all(group.rows == 1 for group in vectors)


def test_experts_are_one_tensor_with_active_rows() -> None:
    """The experts of a layer lie in one tensor, of whose rows those of eight experts work on a token."""
    group = groups_of("Qwen3-30B-A3B")["ffn_down_exps"]
    assert (group.row, group.rows, group.active_rows) == (768, 2048 * 128, 2048 * 8)


def test_fused_matrices_keep_their_gguf_names() -> None:
    """Phi-3 has one matrix for queries, keys and values, and one for gate and up, which GGUF calls ffn_up."""
    groups = groups_of("Phi-3-mini")
    assert groups["attn_qkv"].rows == 3 * 3072
    assert groups["ffn_up"].rows == 2 * 8192
    assert not {"attn_q", "ffn_gate"} & set(groups)


def test_latent_attention_is_split_as_in_gguf() -> None:
    """The matrix that expands the latent vector is two in GGUF: for keys with rows of the head size, for values."""
    groups = groups_of("GLM-4.7-Flash")
    assert (groups["attn_kv_a_mqa"].row, groups["attn_kv_a_mqa"].rows) == (2048, 512 + 64)
    assert (groups["attn_k_b"].row, groups["attn_k_b"].rows) == (192, 512 * 20)
    assert (groups["attn_v_b"].row, groups["attn_v_b"].rows) == (512, 256 * 20)
    assert groups["ffn_gate_shexp"].layers == tuple(range(1, 47))
    assert groups["ffn_gate"].layers == (0,)


def test_mamba_and_attention_lie_in_their_own_layers() -> None:
    """A hybrid's groups say which layers they are in."""
    groups = groups_of("granite-4.0-h-small")
    assert groups["attn_q"].layers == (5, 15, 25, 35)
    assert len(groups["ssm_in"].layers) == 36
    assert groups["ssm_in"].rows == 2 * 8192 + 2 * 128 + 128


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_no_tensor_twice_in_a_layer(name: str) -> None:
    """A layer has each matrix once, and no tensor is empty."""
    seen: set[tuple[str, int]] = set()
    for group in tensor_groups(read_config(PUBLISHED[name][0]).architecture):
        assert group.row > 0
        assert group.rows > 0
        for layer in group.layers if group.matrix else ():
            assert (group.role, layer) not in seen
            seen.add((group.role, layer))


def test_prediction_layers_are_apart() -> None:
    """Layers for multi-token prediction are in a list of their own, behind the others."""
    config = dense("glm4_moe", "64 3 4 1 128", 100, head_dim=16, n_routed_experts=4, num_experts_per_tok=2,
                   moe_intermediate_size=32, n_shared_experts=1, num_nextn_predict_layers=1)  # fmt: skip
    architecture = read_config(config).architecture
    assert max(layer for group in tensor_groups(architecture) for layer in group.layers) == 2
    assert {group.layers for group in predict_groups(architecture)} == {(3,)}
    assert predict_groups(read_config(PUBLISHED["Llama-3.1-8B"][0]).architecture) == ()
