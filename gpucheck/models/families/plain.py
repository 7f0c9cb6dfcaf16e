"""Families that are plain decoders, by their exact `model_type`.

What a row says was read from the modelling code of transformers 5.24 (transformers/models/*/modeling_*.py), for
models with code of their own from the modules that their checkpoints name.
"""

from __future__ import annotations

from gpucheck.models.families.decoder import Family

_PLAIN = Family(qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias")
_BARE = Family()
_LAYER_NORM = Family(norm_bias=True, matrices=2)
_QWEN2 = Family(qkv_bias=True, window_switch="use_sliding_window")
_QWEN3 = Family(
    qkv_bias="attention_bias",
    output_bias="attention_bias",
    qk_norm="head",
    window_switch="use_sliding_window",
)
_QWEN3_MOE = Family(
    qkv_bias="attention_bias",
    output_bias="attention_bias",
    qk_norm="head",
    window_switch="use_sliding_window",
    experts=True,
)
_GEMMA2 = Family(qkv_bias="attention_bias", output_bias="attention_bias", norms=4, full_every=2)
_GEMMA3 = Family(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head", norms=4, full_every=6)
_PHI3 = Family(fused_qkv=True, fused_mlp=True)
_GLM = Family(qkv_bias="attention_bias", fused_mlp=True)
_GLM4_MOE = Family(qkv_bias="attention_bias", qk_norm="head", qk_norm_key="use_qk_norm", experts=True, router_bias=True)
_GRANITE_MOE = Family(qkv_bias="attention_bias", output_bias="attention_bias", experts=True)
_COHERE = Family(qkv_bias="attention_bias", output_bias="attention_bias", norms=1)
_OLMO2 = Family(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="heads")
_HUNYUAN = Family(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head")

PLAIN: dict[str, Family] = {
    "llama": _PLAIN,
    "mistral": _BARE,
    "ministral": _BARE,
    "ministral3": _BARE,
    "mixtral": Family(experts=True),
    "qwen2": _QWEN2,
    "qwen2_moe": Family(qkv_bias="qkv_bias", window_switch="use_sliding_window", experts=True, shared_gate=True),
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3_MOE,
    "qwen2_vl_text": _QWEN2,
    "qwen2_5_vl_text": _QWEN2,
    "qwen3_vl_text": _QWEN3,
    "qwen3_vl_moe_text": _QWEN3_MOE,
    "qwen2_5_omni_text": _QWEN2,
    "qwen3_omni_moe_text": _QWEN3_MOE,
    "gemma": Family(qkv_bias="attention_bias", output_bias="attention_bias"),
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA3,
    "phi": Family(qkv_bias=True, output_bias=True, mlp_bias=True, head_bias=True, norms=1, norm_bias=True, matrices=2),
    "phi3": _PHI3,
    "phi4mm": _PHI3,
    "phi4_multimodal": _PHI3,
    "phimoe": Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        head_bias="lm_head_bias",
        norm_bias=True,
        experts=True,
    ),
    "olmo": Family(qkv_bias="attention_bias", output_bias="attention_bias", norms=0, final_norm=False),
    "olmo2": _OLMO2,
    "olmo3": Family(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="heads", full_every=4),
    "olmoe": Family(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="heads", experts=True),
    "flex_olmo": Family(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="heads", experts=True),
    "starcoder2": Family(qkv_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias", norm_bias=True, matrices=2),
    "cohere": Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        norms=1,
        qk_norm="heads",
        qk_norm_key="use_qk_norm",
    ),
    "cohere2": Family(qkv_bias="attention_bias", output_bias="attention_bias", norms=1, full_every=4),
    "glm": _GLM,
    "glm4": Family(qkv_bias="attention_bias", fused_mlp=True, norms=4),
    "glm4_moe": _GLM4_MOE,
    "glm4v_text": Family(qkv_bias=True, fused_mlp=True, norms=4),
    "glm4v_moe_text": _GLM4_MOE,
    "dots1": Family(
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head", experts=True, router_bias=True
    ),
    "minimax_m2": Family(qk_norm="heads", experts=True, router_bias=True),
    "ernie4_5": Family(qkv_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias"),
    "ernie4_5_moe": Family(qkv_bias="use_bias", output_bias="use_bias", experts=True, router_bias=True),
    "hunyuan_v1_dense": _HUNYUAN,
    "hunyuan_v1_moe": Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        qk_norm="head",
        experts=True,
    ),
    "seed_oss": Family(qkv_bias="attention_bias", output_bias="attention_out_bias", mlp_bias="mlp_bias"),
    "smollm3": _PLAIN,
    "granite": _PLAIN,
    "granitemoe": _GRANITE_MOE,
    "granitemoeshared": _GRANITE_MOE,
    "nemotron": Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        mlp_bias="mlp_bias",
        norm_bias=True,
        matrices=2,
    ),
    "gpt_oss": Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        sinks=True,
        full_every=2,
        experts=True,
        router_bias=True,
        expert_bias=True,
    ),
    "exaone": _BARE,
    "exaone4": Family(qk_norm="head"),
    "exaone_moe": Family(qk_norm="head", experts=True, router_bias=True),
    "arcee": Family(qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias", matrices=2),
    "helium": Family(qkv_bias="attention_bias", mlp_bias="mlp_bias"),
    "internlm2": Family(qkv_bias="bias", output_bias="bias", fused_qkv=True),
    "internlm3": Family(qkv_bias="qkv_bias", output_bias="bias", mlp_bias="bias"),
    "baichuan": Family(fused_qkv=True),
    "chatglm": Family(
        qkv_bias="add_qkv_bias",
        output_bias="add_bias_linear",
        mlp_bias="add_bias_linear",
        fused_qkv=True,
        fused_mlp=True,
    ),
    "solar": _PLAIN,
    "solar_open": Family(qkv_bias="attention_bias", experts=True, router_bias=True),
    "yi": _BARE,
    "Yi": _BARE,
    "mimo": _QWEN2,
    "qwen": Family(qkv_bias=True, fused_qkv=True, half_width=True),
    "aquila": _BARE,
    "deepseek": Family(experts=True),
    "grok-1": Family(norms=4, experts=True),
    "minicpm": _BARE,
    "xverse": _BARE,
    "jais2": Family(
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias", norm_bias=True, matrices=2
    ),
}
