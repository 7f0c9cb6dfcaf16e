"""The parts of one layer out of a GGUF file: attention, recurrent mixer, feed-forward block.

Dimensions of caches and states come from the metadata, as llama.cpp sizes them; what else there is (gates, biases,
shared experts) from the tensor table, and from the architecture's name where the table is empty.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gpucheck.models.architecture import Attention, Experts, FeedForward, LatentAttention, Recurrent, RecurrentKind
from gpucheck.models.families.keys import MOST_EXPERTS
from gpucheck.models.gguf.keys import GgufKeys
from gpucheck.models.gguf.table import Roles

_FUSED = frozenset(
    {"phi2", "phi3", "falcon", "gpt2", "gptneox", "bloom", "mpt", "starcoder", "qwen", "chatglm", "dbrx"}
)
_UNGATED = frozenset({
    "phi2", "falcon", "gpt2", "gptj", "gptneox", "bloom", "mpt", "starcoder", "starcoder2", "bert", "nomic-bert-moe",
    "nemotron", "nemotron_h", "nemotron_h_moe", "arcee", "codeshell", "jina-bert-v3", "apertus", "jais2",
})  # fmt: skip
_SHARED_AS_ROUTED = frozenset({"llama4"})  # one shared expert of the width of a routed one


class Heads(Struct, frozen=True):
    """The attention of one layer in numbers: heads, sizes, window, whether it uses another layer's cache."""

    queries: int
    keys: int
    head_dim: int
    v_head_dim: int
    window: int | None = None
    chunked: bool = False
    shares_cache: bool = False


def attention_block(keys: GgufKeys, heads: Heads, roles: Roles, known: bool, name: str = "attn") -> Attention:
    """Attention with keys and values per head. `known` says whether the table lists the layer's tensors."""
    fused = f"{name}_qkv" in roles if known else keys.name in _FUSED
    asked = heads.queries * heads.head_dim
    norm: Literal["none", "head", "heads"] = "none"
    if f"{name}_q_norm" in roles:
        norm = "head" if roles.elements(f"{name}_q_norm") == heads.head_dim else "heads"
    bias = roles.any(f"{name}_q.bias", f"{name}_qkv.bias")
    gate = roles.rows(f"{name}_q") == 2 * asked or roles.rows(f"{name}_gate") == heads.queries * heads.v_head_dim
    return Attention(
        num_attention_heads=heads.queries,
        num_key_value_heads=heads.keys,
        head_dim=heads.head_dim,
        v_head_dim=heads.v_head_dim,
        window=heads.window,
        chunked=heads.chunked and heads.window is not None,
        fused_qkv=fused,
        qkv_bias=bias,
        key_bias=fused or not bias or f"{name}_k.bias" in roles,
        output_bias=f"{name}_output.bias" in roles,
        qk_norm=norm,
        output_gate=known and gate and asked > 0,
        sinks=f"{name}_sinks" in roles,
        value_is_key=known and f"{name}_k" in roles and f"{name}_v" not in roles,
        shares_cache=heads.shares_cache,
    )


def latent_block(keys: GgufKeys, queries: int) -> LatentAttention:
    """Latent attention, of a file whose keys keep the absorbed form (`*_mla`)."""
    rope = keys.number("rope.dimension_count")
    indexer = keys.count("attention.indexer.head_count")
    return LatentAttention(
        num_attention_heads=queries,
        kv_lora_rank=keys.number("attention.kv_lora_rank"),
        q_lora_rank=keys.count("attention.q_lora_rank") or None,
        qk_nope_head_dim=max(0, keys.number("attention.key_length_mla") - rope),
        qk_rope_head_dim=rope,
        v_head_dim=keys.number("attention.value_length_mla"),
        index_n_heads=indexer or None,
        index_head_dim=keys.count("attention.indexer.key_length") or None if indexer else None,
    )


def recurrent_block(keys: GgufKeys, kind: RecurrentKind, hidden: int, heads: int, roles: Roles) -> Recurrent:
    """The mixer of a layer that keeps a state; `heads` are those of the file's first layer."""
    if kind == "short_conv":
        return Recurrent(
            kind=kind,
            conv_kernel=keys.number("shortconv.l_cache", most=1000),
            inner_size=hidden,
            conv_bias="shortconv.conv.bias" in roles,
            projection_bias="shortconv.in_proj.bias" in roles,
        )
    if kind in {"kda", "lightning"}:
        name, default = ("kda.head_dim", None) if kind == "kda" else ("attention.key_length", max(1, hidden // heads))
        size = keys.number(name, default=default)
        kernel = keys.number("ssm.conv_kernel", most=1000, default=4) if kind == "kda" else 1
        return Recurrent(
            kind=kind,
            conv_kernel=kernel,
            inner_size=heads * size,
            state_size=size,
            group_count=heads,
            head_count=heads,
            conv_bias=False,
        )
    if kind == "rwkv":
        size = keys.number("wkv.head_size")
        shifts = keys.number("token_shift_count", most=1000, default=2)
        return Recurrent(
            kind=kind, conv_kernel=shifts + 1, inner_size=hidden, state_size=size, head_count=max(1, hidden // size)
        )
    return Recurrent(
        kind=kind,
        conv_kernel=keys.number("ssm.conv_kernel", most=1000),
        inner_size=keys.number("ssm.inner_size"),
        state_size=keys.number("ssm.state_size"),
        group_count=keys.count("ssm.group_count", 1) or 1,
        head_count=keys.number("ssm.time_step_rank"),
        conv_bias="ssm_conv1d.bias" in roles if roles else kind != "gated_delta_net",
        projection_bias="ssm_in.bias" in roles,
        norm="ssm_norm" in roles if roles else True,
    )


def dense_block(keys: GgufKeys, width: int, roles: Roles, known: bool) -> FeedForward | None:
    """A dense feed-forward block, None if the layer has none."""
    found = roles.width("ffn_down") or roles.width("channel_mix_value") if known else width
    if not found:
        return None
    fused = roles.rows("ffn_up") == 2 * found
    gated = fused or "ffn_gate" in roles if known else keys.name not in _UNGATED
    return FeedForward(
        intermediate_size=found,
        matrices=3 if gated else 2,
        fused=fused,
        bias=roles.any("ffn_up.bias", "ffn_down.bias"),
    )


def experts_block(keys: GgufKeys, used: int, width: int, roles: Roles, known: bool) -> Experts:
    """A mixture of experts; `width` is that of one expert where the table does not say it."""
    found = roles.width("ffn_down_exps") or width
    gated = roles.any("ffn_gate_exps", "ffn_gate_up_exps") if known else keys.name not in _UNGATED
    shared = roles.width("ffn_down_shexp") if known else _shared_width(keys, found)
    return Experts(
        num_experts=keys.number("expert_count", most=MOST_EXPERTS),
        num_experts_per_tok=used,
        moe_intermediate_size=found,
        matrices=3 if gated else 2,
        shared_intermediate_size=shared,
        shared_gate="ffn_gate_inp_shexp" in roles,
        router_bias=roles.any("exp_probs_b", "exp_probs_b.bias", "ffn_gate_inp.bias"),
        bias="ffn_down_exps.bias" in roles,
        dense_intermediate_size=roles.width("ffn_down"),
        latent_size=roles.rows("ffn_latent_down") or keys.count("moe_latent_size") or None,
    )


def _shared_width(keys: GgufKeys, width: int) -> int:
    """The width of all shared experts together, by the keys."""
    if keys.name in _SHARED_AS_ROUTED:
        return width
    return keys.count("expert_shared_feed_forward_length") or keys.count("expert_shared_count", most=1000) * width
