"""A `model_type` that is in no table: taken for what its keys say."""

from __future__ import annotations

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture
from gpucheck.models.families.decoder import Family, decoder
from gpucheck.models.families.keys import EXPERTS, HEADS, HIDDEN, LAYERS, MOST_EXPERTS, VOCAB, Keys
from gpucheck.models.families.latent import latent_decoder
from gpucheck.models.families.linear import qwen_next

_SSM_KEYS = (
    "ssm_state_size",
    "mamba_d_state",
    "state_size",
    "mamba_num_heads",
    "linear_attn_config",
    "ssm_cfg",
    "compress_ratios",
    "compress_rates",
)
_PLAIN = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


def unknown_decoder(keys: Keys, model_type: str) -> tuple[Architecture, tuple[str, ...]]:
    """The shape that the keys of an unknown family imply, and what was taken for granted.

    Raises:
        UsageError: the keys do not tell a shape that gpucheck knows.
    """
    name = repr(model_type[:60]) if model_type else "of no name"
    if not (keys.has(*HIDDEN) and keys.has(*LAYERS) and keys.has(*VOCAB)):
        missing = ", ".join(key for key in _PLAIN if not keys.has(key))
        raise UsageError(f"the model_type {name} is not known, and the configuration has no {missing or 'plain keys'}")
    if keys.has(*_SSM_KEYS) and not keys.has("linear_num_value_heads"):
        raise UsageError(f"the model_type {name} is not known, and its layers are not those of a plain decoder")
    said = f"model_type {name} is not known: taken as a"
    bias = any(keys.has(key) for key in ("e_score_correction_bias", "topk_method", "n_group"))
    routed = keys.count(*EXPERTS, most=MOST_EXPERTS) > 0
    family = Family(
        qkv_bias="attention_bias",
        output_bias="attention_bias",
        mlp_bias="mlp_bias",
        qk_norm="head",
        qk_norm_key="use_qk_norm",
        experts=routed,
        router_bias=bias,
    )
    if keys.has("linear_num_value_heads", "linear_num_key_heads"):
        return qwen_next(keys), (f"{said} decoder with Gated DeltaNet, by its keys",)
    if keys.has("kv_lora_rank"):
        return latent_decoder(keys, family), (f"{said} decoder with latent attention, by its keys",)
    if not keys.has(*HEADS):
        raise UsageError(f"the model_type {name} is not known, and the configuration has no {HEADS[0]}")
    if routed:
        return decoder(keys, family), (f"{said} decoder with experts, by its keys",)
    return decoder(keys, family), (f"{said} plain decoder",)
