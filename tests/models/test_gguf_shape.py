"""Shapes out of the metadata and the tensor table of GGUF files, family by family."""

from __future__ import annotations

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, LatentAttention
from gpucheck.models.config import read_config
from gpucheck.models.gguf.reader import parse_header
from gpucheck.models.gguf.shape import GgufShape, gguf_shape
from gpucheck.models.tensors import tensor_groups
from tests.models.gguf_files import LLAMA, TINY, Tensors, header_bytes


def shape_of(metadata: dict[str, object], tensors: Tensors = ()) -> GgufShape:
    """The shape of a file with these keys and tensors."""
    head = header_bytes(metadata, tensors)[0]
    return gguf_shape(parse_header(head, len(head)))


def keys(name: str, **more: object) -> dict[str, object]:
    """Metadata of an architecture with usual keys; `__` in a name stands for a dot."""
    usual: dict[str, object] = {
        "block_count": 12,
        "embedding_length": 256,
        "feed_forward_length": 512,
        "attention.head_count": 8,
        "attention.head_count_kv": 2,
        **{key.replace("__", "."): value for key, value in more.items()},
    }
    return {"general.architecture": name, **{f"{name}.{key}": value for key, value in usual.items()}}


def architecture(name: str, tensors: Tensors = (), **more: object) -> Architecture:
    """The shape of such a file."""
    return shape_of(keys(name, **more), tensors).architecture


def windows(shape: Architecture) -> list[int | None]:
    """The window of each layer that has attention."""
    return [layer.attention.window for layer in shape.layers if isinstance(layer.attention, Attention)]


def test_a_plain_decoder_is_read_from_keys_and_tensors() -> None:
    """Head size, grouped heads, gate, norms and a tied head."""
    shape = shape_of(LLAMA, TINY).architecture
    assert (shape.model_type, shape.hidden_size, shape.vocab_size, len(shape.layers)) == ("llama", 256, 1000, 2)
    assert shape.tie_word_embeddings
    assert shape.max_position_embeddings == 4096
    assert shape.layers[0] is shape.layers[1]
    attention = shape.layers[0].attention
    assert isinstance(attention, Attention)
    assert (attention.num_attention_heads, attention.num_key_value_heads, attention.head_dim) == (8, 2, 32)
    assert shape.layers[0].feed_forward == FeedForward(intermediate_size=512)
    assert shape.layers[0].norms == 2


def test_the_tensors_that_a_shape_implies_are_those_of_the_file() -> None:
    """Parameters counted from the shape are the elements in the table."""
    shape = shape_of(LLAMA, TINY).architecture
    expected = sum(a * b for _, _, (a, *rest) in TINY for b in [rest[0] if rest else 1])
    assert sum(group.total_elements for group in tensor_groups(shape)) == expected


def test_the_explicit_head_size_counts_not_the_quotient() -> None:
    """Qwen3 and Gemma have heads of another size than hidden / heads."""
    layer = architecture("qwen3", attention__key_length=128, attention__value_length=64).layers[0]
    assert isinstance(layer.attention, Attention)
    assert (layer.attention.head_dim, layer.attention.v_head_dim) == (128, 64)


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("gemma2", {}, [4096, None] * 6),
        ("gemma3", {"attention__sliding_window": 1024}, ([1024] * 5 + [None]) * 2),
        ("gemma3", {}, [None] * 12),
        ("gpt-oss", {"attention__sliding_window": 128}, [128, None] * 6),
        ("cohere2", {"attention__sliding_window": 4096}, ([4096] * 3 + [None]) * 3),
        ("llama4", {}, ([8192] * 3 + [None]) * 3),
        ("llama4", {"attention__sliding_window": 0}, [None] * 12),
        ("smallthinker", {"attention__sliding_window": 2048}, ([None] + [4096] * 3) * 3),
        ("exaone4", {"attention__sliding_window": 4096}, [None] * 12),
        ("phi3", {"attention__sliding_window": 2047}, [None] * 12),
        ("llama", {"attention__sliding_window": 4096}, [None] * 12),
        ("gemma3", {"attention__sliding_window": 512, "attention__sliding_window_pattern": 2}, [512, None] * 6),
        (
            "gemma4",
            {"attention__sliding_window": 512, "attention__sliding_window_pattern": [True] * 5 + [False] * 7},
            [512] * 5 + [None] * 7,
        ),
    ],
)
def test_windows_follow_the_file_or_the_pattern_of_the_code(
    name: str, more: dict[str, object], expected: list[int | None]
) -> None:
    """Hard-wired patterns, arrays and periods in the file, and windows that llama.cpp ignores."""
    assert windows(architecture(name, **more)) == expected


def test_llama_4_looks_at_chunks() -> None:
    """Its windows are chunks of 8192 tokens; full layers have none."""
    flags = [
        layer.attention.chunked for layer in architecture("llama4").layers if isinstance(layer.attention, Attention)
    ]
    assert flags == ([True] * 3 + [False]) * 3


def test_sliding_layers_may_have_heads_of_another_size_and_number() -> None:
    """Gemma 4: per-layer numbers of key heads, and head sizes by kind of layer."""
    shape = architecture(
        "gemma4",
        attention__sliding_window=512,
        attention__sliding_window_pattern=[True, True, False] * 4,
        attention__head_count_kv=[4, 4, 1] * 4,
        attention__key_length=512,
        attention__value_length=512,
        attention__key_length_swa=256,
        attention__value_length_swa=256,
        attention__shared_kv_layers=3,
        feed_forward_length=[512] * 6 + [1024] * 6,
    )
    sizes = [
        (layer.attention.num_key_value_heads, layer.attention.head_dim, layer.attention.shares_cache)
        for layer in shape.layers
        if isinstance(layer.attention, Attention)
    ]
    assert sizes == [(4, 256, False), (4, 256, False), (1, 512, False)] * 3 + [
        (4, 256, True),
        (4, 256, True),
        (1, 512, True),
    ]
    assert [
        layer.feed_forward.intermediate_size for layer in shape.layers if isinstance(layer.feed_forward, FeedForward)
    ] == ([512] * 6 + [1024] * 6)


def test_gemma_3n_shares_the_caches_of_its_first_twenty_layers() -> None:
    """The number is fixed in the code."""
    shape = architecture("gemma3n", block_count=30, attention__sliding_window=512)
    shared = [layer.attention.shares_cache for layer in shape.layers if isinstance(layer.attention, Attention)]
    assert shared == [False] * 20 + [True] * 10


_MLA = {
    "attention__kv_lora_rank": 512,
    "attention__q_lora_rank": 1536,
    "rope__dimension_count": 64,
    "attention__head_count": 128,
}


def test_latent_attention_is_read_from_its_own_keys() -> None:
    """DeepSeek-V3's numbers: 512 + 64 elements a token and layer."""
    shape = architecture(
        "deepseek2",
        **_MLA,
        attention__head_count_kv=1,
        attention__key_length=576,
        attention__value_length=512,
        attention__key_length_mla=192,
        attention__value_length_mla=128,
    )
    assert shape.layers[0].attention == LatentAttention(
        num_attention_heads=128,
        kv_lora_rank=512,
        q_lora_rank=1536,
        qk_nope_head_dim=128,
        qk_rope_head_dim=64,
        v_head_dim=128,
    )


def test_an_old_conversion_of_latent_attention_expands_the_cache() -> None:
    """Without the *_mla keys llama.cpp keeps 192 + 128 elements for each of 128 heads, and an issue says so."""
    found = shape_of(
        keys("deepseek2", **_MLA, attention__head_count_kv=128, attention__key_length=192, attention__value_length=128)
    )
    attention = found.architecture.layers[0].attention
    assert isinstance(attention, Attention)
    assert attention.num_key_value_heads * (attention.head_dim + attention.v_head_dim) == 40_960
    assert any("old conversion" in issue for issue in found.issues)


def test_the_sparse_indexer_is_read() -> None:
    """DeepSeek V3.2 and GLM-5 keep one more key a token."""
    shape = architecture(
        "glm-dsa",
        **_MLA,
        attention__key_length_mla=256,
        attention__value_length_mla=256,
        attention__indexer__head_count=32,
        attention__indexer__key_length=128,
    )
    attention = shape.layers[0].attention
    assert isinstance(attention, LatentAttention)
    assert (attention.index_n_heads, attention.index_head_dim) == (32, 128)


def kinds(shape: Architecture) -> str:
    """A letter a layer: a attention, r recurrent, b both, f a feed-forward block alone."""
    letters = {(True, False): "a", (False, True): "r", (True, True): "b", (False, False): "f"}
    return "".join(letters[bool(layer.attention), bool(layer.recurrent)] for layer in shape.layers)


_SSM = {
    "ssm__conv_kernel": 4,
    "ssm__inner_size": 1024,
    "ssm__state_size": 128,
    "ssm__group_count": 2,
    "ssm__time_step_rank": 16,
}


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("qwen3next", _SSM, "rrra" * 3),
        ("qwen35", {**_SSM, "full_attention_interval": 2}, "ra" * 6),
        ("qwen35moe", {**_SSM, "attention__recurrent_layers": [True] * 11 + [False]}, "r" * 11 + "a"),
        ("falcon-h1", _SSM, "b" * 12),
        ("granitehybrid", {**_SSM, "attention__head_count_kv": [0, 0, 2] * 4}, "rra" * 4),
        ("jamba", {**_SSM, "attention__head_count_kv": [0] * 11 + [2]}, "r" * 11 + "a"),
        (
            "nemotron_h",
            {**_SSM, "attention__head_count_kv": [0, 0, 2] * 4, "feed_forward_length": [0, 512, 0] * 4},
            "rfa" * 4,
        ),
        ("mamba2", {**_SSM, "attention__head_count": 0, "attention__head_count_kv": 0}, "r" * 12),
        ("lfm2", {"shortconv__l_cache": 3, "attention__head_count_kv": [0, 2] * 6}, "ra" * 6),
        (
            "kimi-linear",
            {"kda__head_dim": 32, "ssm__conv_kernel": 4, "attention__head_count_kv": [0, 0, 0, 8] * 3},
            "rrra" * 3,
        ),
        ("minimax-01", {"block_count": 16}, "rrrrrrra" * 2),
        ("deci", {"attention__head_count_kv": [2, 0] * 6}, "af" * 6),
    ],
)
def test_which_layers_keep_a_state(name: str, more: dict[str, object], expected: str) -> None:
    """Intervals, arrays and layers without key heads, as the code of each architecture reads them."""
    assert kinds(architecture(name, **more)) == expected


def test_the_state_of_gated_delta_net_has_the_sizes_of_the_keys() -> None:
    """Qwen3.5-27B: 3 x (6144 + 2 x 16 x 128) + 128 x 6144 elements in each of 48 layers are 149.62 MiB."""
    mixer = (
        architecture(
            "qwen35",
            ssm__conv_kernel=4,
            ssm__inner_size=6144,
            ssm__state_size=128,
            ssm__group_count=16,
            ssm__time_step_rank=48,
        )
        .layers[0]
        .recurrent
    )
    assert mixer
    convolved = mixer.inner_size + 2 * mixer.group_count * mixer.state_size
    state = (mixer.conv_kernel - 1) * convolved + mixer.state_size * mixer.inner_size
    assert round(48 * 4 * state / 2**20, 2) == 149.62


EXPERTS: Tensors = [
    ("blk.0.ffn_gate.weight", "F16", (256, 512)),
    ("blk.0.ffn_up.weight", "F16", (256, 512)),
    ("blk.0.ffn_down.weight", "F16", (512, 256)),
    ("blk.1.ffn_gate_exps.weight", "F16", (256, 64, 16)),
    ("blk.1.ffn_up_exps.weight", "F16", (256, 64, 16)),
    ("blk.1.ffn_down_exps.weight", "F16", (64, 256, 16)),
    ("blk.1.ffn_down_shexp.weight", "F16", (128, 256)),
    ("blk.1.ffn_gate_inp_shexp.weight", "F16", (256,)),
    ("blk.1.exp_probs_b.bias", "F32", (16,)),
]


def test_experts_are_those_of_the_table() -> None:
    """A dense first layer, then routed and shared experts with their gate and the router's bias."""
    shape = architecture("glm4moe", EXPERTS, block_count=2, expert_count=16, expert_used_count=4)
    assert [layer.feed_forward for layer in shape.layers] == [
        FeedForward(intermediate_size=512),
        Experts(
            num_experts=16,
            num_experts_per_tok=4,
            moe_intermediate_size=64,
            shared_intermediate_size=128,
            shared_gate=True,
            router_bias=True,
        ),
    ]


def test_experts_are_those_of_the_keys_where_there_is_no_table() -> None:
    """Leading dense layers, and the width of shared experts as a multiple."""
    shape = architecture(
        "deepseek",
        expert_count=64,
        expert_used_count=6,
        expert_feed_forward_length=128,
        expert_shared_count=2,
        leading_dense_block_count=1,
    )
    dense, routed = shape.layers[0].feed_forward, shape.layers[1].feed_forward
    assert dense == FeedForward(intermediate_size=512)
    assert isinstance(routed, Experts)
    assert (routed.num_experts, routed.moe_intermediate_size, routed.shared_intermediate_size) == (64, 128, 256)


def test_gates_biases_and_norms_come_from_the_table() -> None:
    """A fused projection with a bias, an ungated block, sinks, norms of single heads, a doubled query."""
    tensors: Tensors = [
        ("blk.0.attn_qkv.weight", "F16", (256, 384)),
        ("blk.0.attn_qkv.bias", "F32", (384,)),
        ("blk.0.ffn_up.weight", "F16", (256, 512)),
        ("blk.0.ffn_down.weight", "F16", (512, 256)),
        ("blk.0.ffn_up.bias", "F32", (512,)),
        ("blk.1.attn_q.weight", "F16", (256, 512)),
        ("blk.1.attn_q_norm.weight", "F32", (32,)),
        ("blk.1.attn_sinks.weight", "F32", (8,)),
        ("output_norm.bias", "F32", (256,)),
    ]
    shape = architecture("nothing-known", tensors, block_count=2)
    first, second = (layer.attention for layer in shape.layers)
    assert isinstance(first, Attention)
    assert isinstance(second, Attention)
    assert (first.fused_qkv, first.qkv_bias, first.output_gate, first.qk_norm) == (True, True, False, "none")
    assert (second.fused_qkv, second.output_gate, second.qk_norm, second.sinks) == (False, True, "head", True)
    assert shape.layers[0].feed_forward == FeedForward(intermediate_size=512, matrices=2, bias=True)
    assert shape.norm_bias


def test_an_unknown_architecture_is_read_with_an_issue() -> None:
    """Its usual keys say the shape; that they were believed is said."""
    found = shape_of(keys("brand-new"))
    assert len(found.architecture.layers) == 12
    assert any("'brand-new' is not known" in issue for issue in found.issues)
    assert not shape_of(keys("llama")).issues


def test_encoders_keep_no_cache_and_have_no_head() -> None:
    """BERT, and T5's encoder as a part beside its decoder with cross-attention."""
    bert = architecture("bert", [("token_types.weight", "F32", (256, 2)), ("position_embd.weight", "F32", (256, 512))])
    assert (bert.causal, bert.head, bert.token_types, bert.position_embeddings) == (False, False, 2, 512)
    found = shape_of(keys("t5", decoder_block_count=6))
    assert [layer.cross_attention is not None for layer in found.architecture.layers] == [True] * 6
    encoder = found.parts[0].architecture
    assert encoder
    assert (encoder.causal, len(encoder.layers)) == (False, 12)


def test_layers_for_multi_token_prediction_are_told_apart() -> None:
    """GLM-4.5 carries one more layer, which does not work in normal decoding."""
    shape = architecture("glm4moe", nextn_predict_layers=1)
    assert (len(shape.layers), len(shape.predict_layers)) == (11, 1)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"block_count": 10**9}, r"llama\.block_count in the file is not a whole number from 0 to"),
        ({"embedding_length": 0}, r"llama\.embedding_length in the file is 0"),
        ({"embedding_length": "x"}, r"llama\.embedding_length"),
        ({"attention__head_count": 1.5}, r"llama\.attention\.head_count"),
        ({"attention__head_count_kv": [2] * 3}, "has 3 entries for 12 layers"),
        ({"nextn_predict_layers": 12}, "leaves no layer"),
    ],
)
def test_a_wrong_value_is_named(more: dict[str, object], sentence: str) -> None:
    """Out of bounds, of another kind, or too few of them."""
    with pytest.raises(UsageError, match=sentence):
        architecture("llama", **more)


def test_a_file_without_an_architecture_is_refused() -> None:
    """The name decides which keys there are."""
    with pytest.raises(UsageError, match=r"general\.architecture"):
        shape_of({"a": 1})


def implied_tensors(shape: Architecture) -> Tensors:
    """A table with the tensors that a shape implies; the second of a name is its bias."""
    found: dict[str, tuple[int, ...]] = {}
    for group in tensor_groups(shape):
        for layer in group.layers:
            name = group.role if layer < 0 else f"blk.{layer}.{group.role}"
            kind = "bias" if f"{name}.weight" in found else "weight"
            found[f"{name}.{kind}"] = (group.row,) if group.rows == 1 else (group.row, group.rows)
    return [(name, "F32", sizes) for name, sizes in found.items()]


_PLAIN: dict[str, object] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "head_dim": 64,
}
_HEADS = {"context_length": 4096, "attention__key_length": 64, "attention__value_length": 64}


@pytest.mark.parametrize(
    ("name", "config", "more"),
    [
        ("qwen3", {"model_type": "qwen3"}, {}),
        ("gemma3", {"model_type": "gemma3_text", "sliding_window": 512}, {"attention__sliding_window": 512}),
        ("cohere2", {"model_type": "cohere2", "sliding_window": 512}, {"attention__sliding_window": 512}),
        ("starcoder2", {"model_type": "starcoder2", "sliding_window": None}, {}),
        (
            "gpt-oss",
            {"model_type": "gpt_oss", "sliding_window": 128, "num_local_experts": 8, "num_experts_per_tok": 2},
            {"attention__sliding_window": 128, "expert_count": 8, "expert_used_count": 2},
        ),
        (
            "qwen3moe",
            {
                "model_type": "qwen3_moe",
                "num_experts": 8,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 64,
                "decoder_sparse_step": 1,
            },
            {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 64},
        ),
    ],
)
def test_a_file_and_a_configuration_of_one_model_have_the_same_shape(
    name: str, config: dict[str, object], more: dict[str, object]
) -> None:
    """The two readers agree on every field."""
    expected = read_config({**_PLAIN, **config}).architecture
    assert architecture(name, implied_tensors(expected), **_HEADS, **more) == expected
