"""The tensors of layers whose memory has a fixed size: Mamba, Gated DeltaNet, Kimi Delta Attention and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpucheck.models.architecture import Recurrent, RecurrentKind
from gpucheck.models.tensor import TensorGroup


def _mamba(block: Recurrent, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """Mamba-1 (transformers' MambaMixer)."""
    inner, state, rank = block.inner_size, block.state_size, block.head_count
    yield from _linear("ssm_in", hidden, 2 * inner, block.projection_bias, at)
    yield from _convolution(block, inner, at)
    yield TensorGroup("ssm_x", inner, rank + 2 * state, at)
    yield from _linear("ssm_dt", rank, inner, True, at)
    yield TensorGroup("ssm_a", state, inner, at, matrix=False)
    yield vector("ssm_d", inner, at)
    yield from _linear("ssm_out", inner, hidden, block.projection_bias, at)


def _mamba2(block: Recurrent, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """Mamba-2 (transformers' Mamba2Mixer)."""
    inner, groups = block.inner_size, 2 * block.group_count * block.state_size
    yield from _linear("ssm_in", hidden, 2 * inner + groups + block.head_count, block.projection_bias, at)
    yield from _convolution(block, inner + groups, at)
    for role in ("ssm_dt", "ssm_a", "ssm_d"):
        yield vector(role, block.head_count, at)
    if block.norm:
        yield vector("ssm_norm", inner, at)
    yield from _linear("ssm_out", inner, hidden, block.projection_bias, at)


def _delta_net(block: Recurrent, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """Gated DeltaNet (Qwen3-Next, Qwen3.5): queries and keys of `group_count` heads, values of `head_count`."""
    values, keys = block.inner_size, block.group_count * block.state_size
    yield TensorGroup("attn_qkv", hidden, 2 * keys + values, at)
    yield TensorGroup("attn_gate", hidden, values, at)
    yield TensorGroup("ssm_ba", hidden, 2 * block.head_count, at)
    yield TensorGroup("ssm_conv1d", block.conv_kernel, 2 * keys + values, at, matrix=False)
    for role in ("ssm_dt", "ssm_a"):
        yield vector(role, block.head_count, at)
    yield vector("ssm_norm", values // block.head_count, at)
    yield TensorGroup("ssm_out", values, hidden, at)


def _kimi_delta(block: Recurrent, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """Kimi Delta Attention (transformers' KimiLinear): low-rank gates, a convolution for q, k and v each."""
    inner, size = block.inner_size, block.state_size
    for part in ("q", "k", "v"):
        yield TensorGroup(f"attn_{part}", hidden, inner, at)
        yield TensorGroup(f"ssm_conv1d_{part}", block.conv_kernel, inner, at, matrix=False)
    for gate in ("f", "g"):
        yield TensorGroup(f"ssm_{gate}_a", hidden, size, at)
        yield TensorGroup(f"ssm_{gate}_b", size, inner, at)
    yield TensorGroup("ssm_beta", hidden, block.head_count, at)
    yield vector("ssm_dt", inner, at)
    yield vector("ssm_a", block.head_count, at)
    yield vector("ssm_norm", size, at)
    yield TensorGroup("attn_output", inner, hidden, at)


def _short_convolution(block: Recurrent, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """LFM2's gated short convolution."""
    inner = block.inner_size
    yield from _linear("shortconv.in_proj", hidden, 3 * inner, block.projection_bias, at)
    yield TensorGroup("shortconv.conv", block.conv_kernel, inner, at, matrix=False)
    if block.conv_bias:
        yield vector("shortconv.conv", inner, at)
    yield from _linear("shortconv.out_proj", inner, hidden, block.projection_bias, at)


def _lightning(block: Recurrent, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """MiniMax-Text-01's lightning attention."""
    inner = block.inner_size
    yield TensorGroup("attn_qkv", hidden, 3 * inner, at)
    yield TensorGroup("attn_gate", hidden, inner, at)
    yield vector("ssm_norm", inner, at)
    yield TensorGroup("attn_output", inner, hidden, at)


def _rwkv(block: Recurrent, hidden: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """RWKV's time mix; its low-rank interpolations are small and left out."""
    for role in ("time_mix_receptance", "time_mix_key", "time_mix_value", "time_mix_gate", "time_mix_output"):
        yield TensorGroup(role, hidden, block.inner_size, at)


def _convolution(block: Recurrent, channels: int, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    yield TensorGroup("ssm_conv1d", block.conv_kernel, channels, at, matrix=False)
    if block.conv_bias:
        yield vector("ssm_conv1d", channels, at)


def _linear(role: str, row: int, rows: int, bias: bool, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    yield TensorGroup(role, row, rows, at)
    if bias:
        yield vector(role, rows, at)


def norm(role: str, size: int, bias: bool, at: tuple[int, ...]) -> Iterator[TensorGroup]:
    """A norm's scale, and its offset where it has one."""
    yield vector(role, size, at)
    if bias:
        yield vector(role, size, at)


def vector(role: str, size: int, at: tuple[int, ...]) -> TensorGroup:
    """A tensor of one dimension, which no format quantizes."""
    return TensorGroup(role, size, 1, at, matrix=False)


RECURRENT: dict[RecurrentKind, Callable[[Recurrent, int, tuple[int, ...]], Iterator[TensorGroup]]] = {
    "mamba": _mamba,
    "mamba2": _mamba2,
    "gated_delta_net": _delta_net,
    "kda": _kimi_delta,
    "short_conv": _short_convolution,
    "lightning": _lightning,
    "rwkv": _rwkv,
}
