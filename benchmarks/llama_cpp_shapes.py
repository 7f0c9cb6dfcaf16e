"""Models that `llama_cpp_oracle` builds: keys of their metadata, and their tensors.

Sizes are those of real models with fewer layers, or plausible ones where "like" stands in the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SETTINGS: tuple[dict[str, int], ...] = (
    {"n_ctx": 4096, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_outputs_max": 1, "flash_attn_type": 1,
     "type_k": 1, "type_v": 1, "kv_unified": 0, "swa_full": 0},
    {"n_ctx": 16384, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 4, "n_outputs_max": 4, "flash_attn_type": 1,
     "type_k": 1, "type_v": 1, "kv_unified": 1, "swa_full": 0},
    {"n_ctx": 8192, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_outputs_max": 0, "flash_attn_type": 0,
     "type_k": 1, "type_v": 1, "kv_unified": 0, "swa_full": 0},
    {"n_ctx": 8192, "n_batch": 2048, "n_ubatch": 256, "n_seq_max": 1, "n_outputs_max": 1, "flash_attn_type": 1,
     "type_k": 8, "type_v": 8, "kv_unified": 0, "swa_full": 0},
)  # fmt: skip


def _keys(*sizes: int, **more: Any) -> dict[str, Any]:
    """The keys that most models have: layers, width, heads, key heads, head size, width of the feed-forward block."""
    layers, hidden, heads, groups, head_dim, wide = sizes
    return {
        "context_length": 131072, "block_count": layers, "embedding_length": hidden, "feed_forward_length": wide,
        "attention.head_count": heads, "attention.head_count_kv": groups, "attention.key_length": head_dim,
        "attention.value_length": head_dim, "attention.layer_norm_rms_epsilon": 1e-6, "rope.dimension_count": head_dim,
    } | {key.replace("__", "."): value for key, value in more.items()}  # fmt: skip


_MAMBA = {"ssm__conv_kernel": 4, "ssm__inner_size": 3072, "ssm__state_size": 256, "ssm__group_count": 1}
CASES: dict[str, dict[str, Any]] = {
    "qwen3-0.6b": {"arch": "qwen3", "vocab": 151936, "keys": _keys(3, 1024, 16, 8, 128, 3072), "qk_norm": 128},
    "llama-3.1-8b": {"arch": "llama", "vocab": 128256, "keys": _keys(3, 4096, 32, 8, 128, 14336)},
    "falcon-h1-1.5b": {
        "arch": "falcon-h1", "vocab": 65537, "both": True,
        "keys": _keys(6, 2048, 8, 2, 128, 4096, ssm__time_step_rank=48, **_MAMBA),
    },
    "qwen3.5-27b": {
        "arch": "qwen35", "vocab": 248320, "delta": True, "qk_norm": 256, "gate": True, "post_norm": True, "every": 4,
        "keys": _keys(4, 5120, 24, 4, 256, 17408, ssm__time_step_rank=48, ssm__conv_kernel=4, ssm__inner_size=6144,
                      ssm__state_size=128, ssm__group_count=16, full_attention_interval=4,
                      rope__dimension_sections=[11, 11, 10, 0]) | {"rope.dimension_count": 64},
    },
    "exaone4-1.2b": {
        "arch": "exaone4", "vocab": 102400, "keys": _keys(4, 2048, 32, 8, 64, 4096), "qk_norm": 64, "only_post": True,
    },
    "smollm3-3b": {"arch": "smollm3", "vocab": 128256, "keys": _keys(4, 2048, 16, 4, 128, 11008)},
    "minimax-m2-like": {
        "arch": "minimax-m2", "vocab": 200064, "whole_norm": True, "bias": True, "experts": True,
        "keys": _keys(2, 3072, 48, 8, 128, 1536, expert_count=16, expert_used_count=8,
                      expert_feed_forward_length=1536, expert_gating_func=2),
    },
    "qwen2moe-a2.7b-like": {
        "arch": "qwen2moe", "vocab": 151936, "experts": True, "shared": 5632, "qkv_bias": True,
        "keys": _keys(2, 2048, 16, 16, 128, 5632, expert_count=16, expert_used_count=4,
                      expert_feed_forward_length=1408, expert_shared_feed_forward_length=5632),
    },
    "qwen3next-80b-like": {
        "arch": "qwen3next", "vocab": 151936, "delta": True, "joint": True, "qk_norm": 256, "gate": True,
        "post_norm": True, "every": 4, "experts": True, "shared": 512,
        "keys": _keys(4, 2048, 16, 2, 256, 5120, ssm__time_step_rank=32, ssm__conv_kernel=4, ssm__inner_size=4096,
                      ssm__state_size=128, ssm__group_count=16, full_attention_interval=4, expert_count=16,
                      expert_used_count=10, expert_feed_forward_length=512, expert_shared_feed_forward_length=512)
        | {"rope.dimension_count": 64},
    },
    "mamba-1.4b": {
        "arch": "mamba", "vocab": 50280, "mamba1": True,
        "keys": _keys(6, 2048, 0, 0, 64, 0, ssm__time_step_rank=128, ssm__conv_kernel=4, ssm__inner_size=4096,
                      ssm__state_size=16),
    },
    "lfm2-1.2b": {
        "arch": "lfm2", "vocab": 65536, "every": 3, "short": 3, "qk_norm": 64, "norm": "token_embd_norm",
        "keys": _keys(6, 2048, 32, 8, 64, 8192, shortconv__l_cache=3)
        | {"attention.head_count_kv": [0, 0, 8, 0, 0, 8]},
    },
}  # fmt: skip


def tensors(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes, the innermost dimension first."""
    case = CASES[name]
    keys = case["keys"]
    hidden, layers = keys["embedding_length"], keys["block_count"]
    yield "token_embd.weight", (hidden, case["vocab"])
    yield f"{case.get('norm', 'output_norm')}.weight", (hidden,)
    yield "output.weight", (hidden, case["vocab"])
    for index in range(layers):
        linear = case.get("every") and (index + 1) % case["every"]
        if not case.get("only_post"):
            yield f"blk.{index}.attn_norm.weight", (hidden,)
        if case.get("mamba1"):
            yield from ((f"blk.{index}.{role}", shape) for role, shape in _mamba1(case))
            continue
        state = _short_conv if case.get("short") else _delta
        parts = [*(state(case) if linear else _attention(case))]
        parts += [*_mamba(case)] if case.get("both") else []
        parts += [*_feed(case)]
        for role, shape in parts:
            yield f"blk.{index}.{role}", shape


def _attention(case: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    keys = case["keys"]
    hidden = keys["embedding_length"]
    head_dim, heads, groups = (keys[f"attention.{part}"] for part in ("key_length", "head_count", "head_count_kv"))
    groups = max(groups) if isinstance(groups, list) else groups
    yield "attn_q.weight", (hidden, heads * head_dim * (2 if case.get("gate") else 1))
    yield "attn_k.weight", (hidden, groups * head_dim)
    yield "attn_v.weight", (hidden, groups * head_dim)
    yield "attn_output.weight", (heads * head_dim, hidden)
    if case.get("qkv_bias"):
        yield "attn_q.bias", (heads * head_dim,)
        yield "attn_k.bias", (groups * head_dim,)
        yield "attn_v.bias", (groups * head_dim,)
    if case.get("qk_norm"):
        yield "attn_q_norm.weight", (case["qk_norm"],)
        yield "attn_k_norm.weight", (case["qk_norm"],)
    if case.get("whole_norm"):
        yield "attn_q_norm.weight", (heads * head_dim,)
        yield "attn_k_norm.weight", (groups * head_dim,)


def _mamba1(case: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    keys = case["keys"]
    hidden, inner, state = keys["embedding_length"], keys["ssm.inner_size"], keys["ssm.state_size"]
    rank, kernel = keys["ssm.time_step_rank"], keys["ssm.conv_kernel"]
    yield "ssm_in.weight", (hidden, 2 * inner)
    yield "ssm_conv1d.weight", (kernel, inner)
    yield "ssm_conv1d.bias", (inner,)
    yield "ssm_x.weight", (inner, rank + 2 * state)
    yield "ssm_dt.weight", (rank, inner)
    yield "ssm_dt.bias", (inner,)
    yield "ssm_a", (state, inner)
    yield "ssm_d", (inner,)
    yield "ssm_out.weight", (inner, hidden)


def _short_conv(case: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = case["keys"]["embedding_length"]
    yield "shortconv.conv.weight", (case["short"], hidden)
    yield "shortconv.in_proj.weight", (hidden, 3 * hidden)
    yield "shortconv.out_proj.weight", (hidden, hidden)


def _mamba(case: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    keys = case["keys"]
    hidden, inner, state = keys["embedding_length"], keys["ssm.inner_size"], keys["ssm.state_size"]
    groups, heads, kernel = keys["ssm.group_count"], keys["ssm.time_step_rank"], keys["ssm.conv_kernel"]
    channels = inner + 2 * groups * state
    yield "ssm_in.weight", (hidden, inner + channels + heads)
    yield "ssm_conv1d.weight", (kernel, channels)
    yield "ssm_conv1d.bias", (channels,)
    yield "ssm_dt.bias", (heads,)
    yield "ssm_a", (1, heads)
    yield "ssm_d", (1, heads)
    yield "ssm_out.weight", (inner, hidden)


def _delta(case: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    keys = case["keys"]
    hidden, inner, state = keys["embedding_length"], keys["ssm.inner_size"], keys["ssm.state_size"]
    groups, heads, kernel = keys["ssm.group_count"], keys["ssm.time_step_rank"], keys["ssm.conv_kernel"]
    channels = inner + 2 * groups * state
    yield "attn_qkv.weight", (hidden, channels)
    yield "attn_gate.weight", (hidden, inner)
    yield "ssm_conv1d.weight", (kernel, channels)
    yield "ssm_dt.bias", (heads,)
    yield "ssm_a", (heads,)
    if case.get("joint"):
        yield "ssm_ba.weight", (hidden, 2 * heads)
    else:
        yield "ssm_beta.weight", (hidden, heads)
        yield "ssm_alpha.weight", (hidden, heads)
    yield "ssm_norm.weight", (inner // heads,)
    yield "ssm_out.weight", (inner, hidden)


def _feed(case: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    keys = case["keys"]
    hidden, wide = keys["embedding_length"], keys["feed_forward_length"]
    if case.get("post_norm"):
        yield "post_attention_norm.weight", (hidden,)
    elif case.get("only_post"):
        yield "post_attention_norm.weight", (hidden,)
        yield "post_ffw_norm.weight", (hidden,)
    else:
        yield "ffn_norm" if case["arch"] == "falcon-h1" else "ffn_norm.weight", (hidden,)
    if not case.get("experts"):
        yield "ffn_gate.weight", (hidden, wide)
        yield "ffn_up.weight", (hidden, wide)
        yield "ffn_down.weight", (wide, hidden)
        return
    count, inner = keys["expert_count"], keys["expert_feed_forward_length"]
    yield "ffn_gate_inp.weight", (hidden, count)
    if case.get("bias"):
        yield "exp_probs_b.bias", (count,)
    yield "ffn_gate_exps.weight", (hidden, inner, count)
    yield "ffn_up_exps.weight", (hidden, inner, count)
    yield "ffn_down_exps.weight", (inner, hidden, count)
    if shared := case.get("shared"):
        yield "ffn_gate_inp_shexp.weight", (hidden,)
        yield "ffn_gate_shexp.weight", (hidden, shared)
        yield "ffn_up_shexp.weight", (hidden, shared)
        yield "ffn_down_shexp.weight", (shared, hidden)
