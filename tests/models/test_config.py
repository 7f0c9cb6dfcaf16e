"""Shapes out of Hugging Face configurations."""

from __future__ import annotations

from typing import Any

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, Attention, Experts, LatentAttention, Recurrent
from gpucheck.models.config import ConfigModel, read_config
from gpucheck.models.tensors import predict_groups, tensor_groups
from tests.models import published

dense = published.dense

DEEPSEEK_V3 = dense(
    "deepseek_v3", "7168 61 128 128 18432", 129280, n_routed_experts=256, num_experts_per_tok=8, n_shared_experts=1,
    moe_intermediate_size=2048, first_k_dense_replace=3, kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64,
    qk_nope_head_dim=128, v_head_dim=128, num_nextn_predict_layers=1,
)  # fmt: skip


def text_parameters(architecture: Architecture) -> int:
    """Parameters of the stack alone."""
    return sum(group.total_elements for group in tensor_groups(architecture))


def active_parameters(architecture: Architecture) -> int:
    """Parameters that work on each token."""
    return sum(
        group.row * (group.rows if group.active_rows is None else group.active_rows) * len(group.layers)
        for group in tensor_groups(architecture)
    )


def all_parameters(model: ConfigModel) -> int:
    """Parameters of the stack and of the parts beside it."""
    parts = [part.parameters for part in model.parts]
    assert None not in parts
    return text_parameters(model.architecture) + sum(part or 0 for part in parts)


@pytest.mark.parametrize("name", list(published.PUBLISHED))
def test_published_counts(name: str) -> None:
    """The computed parameters, towers included, are exactly those of the published files."""
    config, count = published.PUBLISHED[name]
    model = read_config(config)
    assert all_parameters(model) == count
    assert model.issues == ()


def test_deepseek_v3_without_prediction() -> None:
    """DeepSeek-V3 has 671.03 billion parameters, 37.55 of them active; the layer for prediction is kept apart."""
    architecture = read_config(DEEPSEEK_V3).architecture
    assert text_parameters(architecture) == 671_026_419_200
    assert active_parameters(architecture) == 37_552_297_472
    assert len(architecture.predict_layers) == 1
    extra = sum(group.total_elements for group in predict_groups(architecture))
    assert 11.5e9 < extra < 11.7e9
    assert all(group.layers == (61,) for group in predict_groups(architecture))


def test_nemotron_3_nano() -> None:
    """Nemotron 3 Nano's published count, and the 23 routers' 128 offsets each, which are stored as float32."""
    config = dense(
        "nemotron_h", "2688 52 32 2 1856", 131072, head_dim=128, n_routed_experts=128, num_experts_per_tok=6,
        n_shared_experts=1, moe_intermediate_size=1856, moe_shared_expert_intermediate_size=3712, mamba_num_heads=64,
        mamba_head_dim=64, ssm_state_size=128, n_groups=8,
        hybrid_override_pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    )  # fmt: skip
    assert text_parameters(read_config(config).architecture) == 31_577_937_344 + 23 * 128


def test_active_parameters_of_mixtral() -> None:
    """Two of Mixtral's eight experts work on a token."""
    config, _ = published.PUBLISHED["Mixtral-8x7B"]
    assert active_parameters(read_config(config).architecture) == 12_879_925_248


def test_head_dim_that_a_family_fixes() -> None:
    """Qwen3 and Gemma 3 leave out head_dim: it is the family's, not hidden size over heads."""
    qwen = read_config(dense("qwen3", "2560 36 32 8 9728", 151936)).architecture.layers[0].attention
    gemma = read_config(dense("gemma3_text", "1152 26 4 1 6912", 262144)).architecture.layers[0].attention
    assert isinstance(qwen, Attention)
    assert isinstance(gemma, Attention)
    assert (qwen.head_dim, gemma.head_dim) == (128, 256)


def windows(config: dict[str, Any]) -> list[int | None]:
    """The window of each layer."""
    layers = read_config(config).architecture.layers
    return [layer.attention.window for layer in layers if isinstance(layer.attention, Attention)]


def test_window_patterns() -> None:
    """Gemma 3 sees everything in every sixth layer, gpt-oss in every other, Cohere 2 in every fourth."""
    assert windows(dense("gemma3_text", "64 7 4 1 64", 100, sliding_window=512)) == [512] * 5 + [None, 512]
    assert windows(dense("cohere2", "64 4 4 1 64", 100, sliding_window=4096)) == [4096] * 3 + [None]
    sparse = {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 128}
    assert windows(dense("gpt_oss", "64 4 4 1 64", 100, **sparse)) == [128, None, 128, None]


def test_window_switches() -> None:
    """Mistral's window is off if it is null and 4096 if it is left out; Qwen's needs its switch."""
    assert windows(dense("mistral", "64 2 4 1 64", 100, sliding_window=None)) == [None, None]
    assert windows(dense("mistral", "64 2 4 1 64", 100)) == [4096, 4096]
    off = dense("qwen2", "64 3 4 1 64", 100, sliding_window=512, max_window_layers=1, use_sliding_window=False)
    assert windows(off) == [None, None, None]
    assert windows({**off, "use_sliding_window": True}) == [None, 512, 512]


def test_llama4_chunks() -> None:
    """Llama 4 looks at chunks in three of four layers."""
    config, _ = published.PUBLISHED["Llama-4-Maverick"]
    text = {**config["text_config"], "attention_chunk_size": 8192}
    layers = read_config({**config, "text_config": text}).architecture.layers
    found = [
        (layer.attention.chunked, layer.attention.window)
        for layer in layers[:4]
        if isinstance(layer.attention, Attention)
    ]
    assert found == [(True, 8192)] * 3 + [(False, None)]
    assert [isinstance(layer.feed_forward, Experts) for layer in layers[:4]] == [False, True, False, True]


def test_qwen3_next_mixes_two_kinds_of_layers() -> None:
    """Three layers of Gated DeltaNet, then one of gated attention, all with 512 experts and a gated shared one."""
    config = dense(
        "qwen3_next", "2048 48 16 2 5632", 151936, head_dim=256, num_experts=512, num_experts_per_tok=10,
        moe_intermediate_size=512, shared_expert_intermediate_size=512,
    )  # fmt: skip
    architecture = read_config(config).architecture
    assert text_parameters(architecture) == 79_674_391_296
    assert [bool(layer.recurrent) for layer in architecture.layers[:4]] == [True, True, True, False]
    mixer = architecture.layers[0].recurrent
    assert isinstance(mixer, Recurrent)
    assert (mixer.kind, mixer.inner_size, mixer.state_size, mixer.group_count) == ("gated_delta_net", 4096, 128, 16)


def test_gemma4_shares_and_widens() -> None:
    """Gemma 4's last layers keep no cache of their own; full layers have wider heads whose values are their keys."""
    text = dense(
        "gemma4_text", "1536 10 8 1 6144", 262144, num_kv_shared_layers=4, use_double_wide_mlp=True,
        attention_k_eq_v=True, num_global_key_value_heads=1, hidden_size_per_layer_input=256,
    )  # fmt: skip
    architecture = read_config({"model_type": "gemma4", "text_config": text}).architecture
    mixers = [layer.attention for layer in architecture.layers if isinstance(layer.attention, Attention)]
    assert [mixer.shares_cache for mixer in mixers] == [False] * 6 + [True] * 4
    assert (mixers[5].head_dim, mixers[5].value_is_key, mixers[5].window) == (512, True, None)
    assert (mixers[0].head_dim, mixers[0].window) == (256, 512)
    assert architecture.per_layer_embedding == 256


def test_whisper_has_an_encoder_beside_it() -> None:
    """Whisper's stack is its decoder, which looks at 1,500 vectors; the encoder is a part with a shape."""
    model = read_config(published.PUBLISHED["whisper-large-v3"][0])
    assert model.architecture.cross_tokens == 1500
    assert model.parts[0].role == "audio"
    assert model.parts[0].architecture is not None
    assert not model.parts[0].architecture.causal


def test_unknown_type_is_taken_as_plain_and_says_so() -> None:
    """A model_type that is in no table, with plain keys, has the shape of Llama and an issue."""
    model = read_config(dense("brandnew", "4096 32 32 8 14336", 128256))
    assert text_parameters(model.architecture) == 8_030_261_248
    assert model.issues == ("model_type 'brandnew' is not known: taken as a plain decoder",)


def test_unknown_type_is_handled_by_its_keys() -> None:
    """Latent attention and experts of an unknown family are read by the usual keys."""
    model = read_config({**DEEPSEEK_V3, "model_type": "brandnew", "topk_method": "noaux_tc"})
    assert text_parameters(model.architecture) == 671_026_419_200
    assert isinstance(model.architecture.layers[0].attention, LatentAttention)
    assert "latent attention" in model.issues[0]


def test_unknown_type_that_is_no_plain_decoder_is_refused() -> None:
    """A family that is not known, and has state-space layers, is refused rather than guessed."""
    with pytest.raises(UsageError, match="not those of a plain decoder"):
        read_config(dense("brandnew", "4096 32 32 8 14336", 128256, mamba_d_state=128))


def test_unknown_tower_is_not_counted_and_says_so() -> None:
    """A tower of an unknown kind has unknown parameters."""
    config = {
        "model_type": "llava",
        "text_config": dense("llama", "64 2 4 1 64", 100),
        "vision_config": {"model_type": "eye"},
    }
    model = read_config(config)
    assert model.parts[0].parameters is None
    assert "not counted" in model.issues[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", -1),
        ("hidden_size", "4096"),
        ("hidden_size", True),
        ("hidden_size", 10**400),
        ("num_hidden_layers", 2001),
        ("num_hidden_layers", 0),
        ("vocab_size", 10**7 + 1),
        ("num_attention_heads", 4096.5),
        ("tie_word_embeddings", "yes"),
        ("layer_types", ["full_attention"]),
        ("layer_types", "full_attention"),
    ],
)
def test_wrong_value_is_one_sentence_with_the_key(key: str, value: object) -> None:
    """A value of another kind, or out of bounds, is a UsageError that names the key."""
    with pytest.raises(UsageError, match=key) as raised:
        read_config({**dense("llama", "4096 32 32 8 14336", 128256), key: value})
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


def test_missing_key_is_named() -> None:
    """A key that nothing stands in for is named."""
    with pytest.raises(UsageError, match="hidden_size"):
        read_config({"model_type": "brandnew", "num_hidden_layers": 2})


def test_dtype_under_both_names() -> None:
    """The type of the weights is read from `torch_dtype` and from `dtype`."""
    plain = dense("llama", "64 2 4 1 64", 100)
    assert read_config({**plain, "torch_dtype": "bfloat16"}).dtype == "bfloat16"
    assert read_config({**plain, "dtype": "float16"}).dtype == "float16"
    assert read_config(plain).dtype is None
