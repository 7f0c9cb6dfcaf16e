"""Public configurations, key facts only, with the parameters that their safetensors files hold."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def dense(model_type: str, shape: str, vocab: int, **more: Any) -> Config:
    """A configuration from "hidden layers heads key-heads width"."""
    hidden, layers, heads, pairs, width = (int(word) for word in shape.split())
    return {
        "model_type": model_type,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": pairs,
        "intermediate_size": width,
        "vocab_size": vocab,
        **more,
    }


# Name, configuration, parameters of the text model and of its towers together. Counts are those that
# huggingface.co shows for the safetensors files of each repository.
PUBLISHED: dict[str, tuple[Config, int]] = {
    "Llama-3.1-8B": (dense("llama", "4096 32 32 8 14336", 128256), 8_030_261_248),
    "Llama-3.2-1B": (dense("llama", "2048 16 32 8 8192", 128256, tie_word_embeddings=True), 1_235_814_400),
    "Llama-3.1-70B": (dense("llama", "8192 80 64 8 28672", 128256), 70_553_706_496),
    "Qwen2.5-7B": (dense("qwen2", "3584 28 28 4 18944", 152064), 7_615_616_512),
    "Qwen3-8B": (dense("qwen3", "4096 36 32 8 12288", 151936), 8_190_735_360),
    "Phi-3-mini": (dense("phi3", "3072 32 32 32 8192", 32064), 3_821_079_552),
    "Gemma-2-9B": (
        dense("gemma2", "3584 42 16 8 14336", 256000, head_dim=256, tie_word_embeddings=True),
        9_241_705_984,
    ),
    "Mixtral-8x7B": (dense("mixtral", "4096 32 32 8 14336", 32000), 46_702_792_704),
    "Qwen3-30B-A3B": (
        dense(
            "qwen3_moe",
            "2048 48 32 4 6144",
            151936,
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
        ),
        30_532_122_624,
    ),
    "gpt-oss-20b": (
        dense(
            "gpt_oss", "2880 24 64 8 2880", 201088, head_dim=64, num_local_experts=32, num_experts_per_tok=4,
            attention_bias=True, sliding_window=128,
        ),
        20_914_757_184,
    ),
    "MiniMax-M2": (
        dense(
            "minimax_m2", "3072 62 48 8 1536", 200064, head_dim=128, num_local_experts=256, num_experts_per_tok=8
        ),
        228_689_764_864,
    ),
    "GLM-4.7-Flash": (
        dense("glm4_moe_lite", "2048 47 20 20 10240", 154880, n_routed_experts=64, n_shared_experts=1,
              num_experts_per_tok=4, moe_intermediate_size=1536, kv_lora_rank=512, q_lora_rank=768,
              qk_nope_head_dim=192, qk_rope_head_dim=64, v_head_dim=256, first_k_dense_replace=1),
        29_943_393_920,
    ),
    "granite-4.0-h-small": (
        dense("granitemoehybrid", "4096 40 32 8 768", 100352, shared_intermediate_size=1536, num_local_experts=72,
              num_experts_per_tok=10, mamba_n_heads=128, mamba_d_state=128, mamba_n_groups=1,
              tie_word_embeddings=True,
              layer_types=["attention" if index % 10 == 5 else "mamba" for index in range(40)]),
        32_207_337_984,
    ),
    "LFM2-1.2B": (
        dense("lfm2", "2048 16 32 8 12288", 65536, block_ff_dim=12288, full_attn_idxs=[2, 5, 8, 10, 12, 14]),
        1_170_340_608,
    ),
    "gemma-3-27b-it": (
        {
            "model_type": "gemma3",
            "text_config": dense("gemma3_text", "5376 62 32 16 21504", 262208, head_dim=128, sliding_window=1024),
            "vision_config": {
                "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
                "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 896, "patch_size": 14,
            },
        },
        27_432_406_640,
    ),
    "Mistral-Small-3.1-24B": (
        {
            "model_type": "mistral3",
            "text_config": dense("mistral", "5120 40 32 8 32768", 131072, head_dim=128, sliding_window=None),
            "vision_config": {
                "model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                "num_attention_heads": 16, "image_size": 1540, "patch_size": 14,
            },
        },
        24_011_361_280,
    ),
    "Qwen2.5-VL-7B": (
        dense("qwen2_5_vl", "3584 28 28 4 18944", 152064, tie_word_embeddings=False,
              vision_config={"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
                             "out_hidden_size": 3584, "patch_size": 14}),
        8_292_166_656,
    ),
    "Qwen3-VL-8B": (
        {
            "model_type": "qwen3_vl",
            "tie_word_embeddings": False,
            "text_config": dense("qwen3_vl_text", "4096 36 32 8 12288", 151936, head_dim=128),
            "vision_config": {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16,
                              "out_hidden_size": 4096, "patch_size": 16, "deepstack_visual_indexes": [8, 16, 24]},
        },
        8_767_123_696,
    ),
    "Llama-4-Maverick": (
        {
            "model_type": "llama4",
            "text_config": dense("llama4_text", "5120 48 40 8 8192", 202048, head_dim=128, num_local_experts=128,
                                 num_experts_per_tok=1, intermediate_size_mlp=16384, interleave_moe_layer_step=2),
            "vision_config": {
                "model_type": "llama4_vision_model", "hidden_size": 1408, "intermediate_size": 5632,
                "num_hidden_layers": 34, "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
                "projector_input_dim": 4096, "projector_output_dim": 4096, "vision_output_dim": 4096,
            },
        },
        401_583_781_376,
    ),
    "whisper-large-v3": (
        {
            "model_type": "whisper", "d_model": 1280, "encoder_layers": 32, "decoder_layers": 32,
            "encoder_attention_heads": 20, "decoder_attention_heads": 20, "encoder_ffn_dim": 5120,
            "decoder_ffn_dim": 5120, "vocab_size": 51866, "num_mel_bins": 128,
        },
        1_543_490_560,
    ),
}  # fmt: skip
