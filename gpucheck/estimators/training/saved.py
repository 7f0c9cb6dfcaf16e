"""What autograd keeps of one layer between forward and backward, in bytes for each token.

An operator keeps what its derivative needs: a product both factors, a linear map its input if its weight (or an
adapter beside it) is trained, a norm its input, flash attention queries, keys, values, its result and a sum for each
head. Counted from the modelling code of transformers 5.24 and PEFT 0.21, and held against that code by
benchmarks/training_oracle.py, which follows every tensor.
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.estimators.training.trained import has_adapter
from gpucheck.models.architecture import (
    Architecture,
    Attention,
    Experts,
    FeedForward,
    LatentAttention,
    Layer,
    Recurrent,
)

# Norms that multiply by the weight in 32 bits, so the normed input is kept in 32 bits where the weight is trained.
_FLOAT_NORMS = ("gemma", "olmo2", "olmo3", "gpt_oss", "qwen3_next", "qwen3_5")
# GELU by its formula (x, its tanh, products), each of which is kept.
_WRITTEN_OUT = frozenset({"phi", "gptj", "gpt2", "gpt_bigcode", "codegen", "bloom"})
_POST_NORM = frozenset({"olmo2", "olmo3", "exaone4"})
# Two norms of one and the same input, which is kept once.
_SAME_INPUT = frozenset({"gpt_neox", "falcon"})
_FUSED_MLP = frozenset({"phi3", "glm", "glm4", "phi4", "phi4_multimodal"})
_SUM = 4  # the sum of a head's exponentials is in 32 bits


class Keeping(Struct, frozen=True, kw_only=True):
    """What decides which tensors are kept.

    `element` is the size of an activation, `stream` that of what runs between layers (4 under autocast with weights
    of 32 bits). `full`: all weights are trained. Otherwise `targets` are the roles with an adapter (None: all), each
    of which keeps a copy of its input of `copy` bytes an element (0: the input itself). `scores`: attention keeps its
    table for so many tokens (0: flash). `fused_gelu`: GELU is one operator, whatever the model
    does in transformers.
    """

    element: int = 2
    stream: int = 2
    full: bool = True
    targets: frozenset[str] | None = None
    copy: int = 0
    dropout: bool = False
    scores: int = 0
    fused_gelu: bool = False

    def adapted(self, roles: tuple[str, ...]) -> int:
        """How many of the matrices have an adapter."""
        return 0 if self.full else sum(has_adapter(role, self.targets) for role in roles)

    def input(self, width: int, roles: tuple[str, ...], *, held: bool = False) -> int:
        """Bytes of the input of linear maps, which `held` says is kept anyway.

        Under autocast with a stream of 32 bits each map has a copy of its own in 16. The mask of a dropout before an
        adapter is a byte for each element.
        """
        if self.full:
            if self.stream > self.element and not held:
                return len(roles) * width * self.element
            return 0 if held else width * self.element
        count, mask = self.adapted(roles), 1 if self.dropout else 0
        if self.copy or (self.dropout and count):
            return count * width * ((self.copy or self.element) + mask)
        return width * self.element if count and not held else 0


def layer_bytes(architecture: Architecture, layer: Layer, keeping: Keeping) -> int:
    """Bytes that a layer keeps for each token."""
    hidden, kind = architecture.hidden_size, architecture.model_type
    total = layer.norms * norm_bytes(architecture, hidden, keeping)
    if kind in _SAME_INPUT and architecture.norm_bias:
        total -= (layer.norms - 1) * hidden * keeping.stream
    if isinstance(layer.attention, LatentAttention):
        total += _latent(architecture, layer.attention, keeping)
    elif layer.attention is not None:
        total += _attention(architecture, layer.attention, keeping)
    if layer.cross_attention is not None:
        total += _attention(architecture, layer.cross_attention, keeping)
    if layer.recurrent is not None:
        total += recurrent_bytes(layer.recurrent, hidden, keeping)
    block = layer.feed_forward
    shared = layer.norms == 1 and (keeping.full or not keeping.copy)  # one normed input for attention and block
    if isinstance(block, Experts):
        total += _experts(block, hidden, kind, keeping)
    elif block is not None:
        total += _dense(block, hidden, kind, keeping, held=shared)
    return total


def norm_bytes(architecture: Architecture, width: int, keeping: Keeping) -> int:
    """A norm's input (RMSNorm's in 32 bits), and what its trained weight was multiplied by."""
    if architecture.norm_bias:
        return width * keeping.stream + 2 * _SUM  # mean and deviation
    trained = 0
    if keeping.full:
        trained = 4 if architecture.model_type.startswith(_FLOAT_NORMS) else keeping.stream
    return width * (4 + trained) + _SUM


def _attention(architecture: Architecture, attention: Attention, keeping: Keeping) -> int:
    heads, element = attention.num_attention_heads, keeping.element
    queries = heads * attention.head_dim
    keys = attention.num_key_value_heads * attention.head_dim
    values = attention.num_key_value_heads * attention.v_head_dim
    result = heads * attention.v_head_dim
    roles: tuple[str, ...] = ("attn_q", "attn_k", "attn_v")
    if attention.fused_qkv:
        roles = ("attn_qkv",)
    elif attention.shares_cache:
        roles, keys, values = ("attn_q",), 0, 0
    kept = queries + keys + values + result
    if attention.fused_qkv:  # values are a view of the whole projection; queries and keys too if they are not rotated
        kept = queries + keys + (queries + keys + values) + result
        if architecture.position_embeddings:
            kept -= queries + keys
    total = kept * element + heads * _SUM
    if attention.qk_norm != "none":
        total += norm_bytes(architecture, queries + keys, keeping)
    if attention.output_gate:
        total += 3 * queries * element
    if keeping.scores:
        total += heads * keeping.scores * (4 + element) + (2 * queries - keys - values) * element
    total += keeping.input(architecture.hidden_size, roles)
    return total + keeping.input(result, ("attn_output",), held=keeping.element == keeping.stream or keeping.full)


def _latent(architecture: Architecture, attention: LatentAttention, keeping: Keeping) -> int:
    """Queries and keys are put together of their parts; values are a view of what the latent vector became."""
    heads, element, hidden = attention.num_attention_heads, keeping.element, architecture.hidden_size
    key = attention.qk_nope_head_dim + attention.qk_rope_head_dim
    up = attention.qk_nope_head_dim + attention.v_head_dim
    total = heads * (element * (2 * key + up + attention.v_head_dim) + _SUM)
    rank = attention.q_lora_rank or 0
    total += norm_bytes(architecture, rank + attention.kv_lora_rank, keeping)
    if rank:
        total += keeping.input(hidden, ("attn_q_a", "attn_kv_a_mqa")) + keeping.input(rank, ("attn_q_b",))
    else:
        total += keeping.input(hidden, ("attn_q", "attn_kv_a_mqa"))
    total += keeping.input(attention.kv_lora_rank, ("attn_k_b",))
    if keeping.scores:
        total += heads * keeping.scores * (4 + element)
    return total + keeping.input(heads * attention.v_head_dim, ("attn_output",), held=True)


def _dense(block: FeedForward, hidden: int, kind: str, keeping: Keeping, *, held: bool = False) -> int:
    width, element = block.intermediate_size, keeping.element
    first = ("ffn_gate", "ffn_up") if block.matrices == 3 and not block.fused else ("ffn_up",)
    inside = 3 if block.matrices == 3 else 4 if kind in _WRITTEN_OUT and not keeping.fused_gelu else 1
    total = inside * width * element + keeping.input(width, ("ffn_down",), held=False)
    return total + keeping.input(hidden, first, held=held)


def _experts(block: Experts, hidden: int, kind: str, keeping: Keeping) -> int:
    """Every token's copies at once: inputs sorted by expert, both projections, and outputs to be weighted."""
    inside = block.latent_size or hidden
    width = 7 if kind == "gpt_oss" else 4 if block.matrices == 3 else 2
    rows = 2
    if not keeping.full:  # neither the inputs of the experts nor those of their last matrix
        rows, width = 1, width - 1
    per_expert = rows * inside + width * block.moe_intermediate_size
    total = block.num_experts_per_tok * per_expert * keeping.element + block.num_experts * _SUM
    for size, name in ((block.shared_intermediate_size, "_shexp"), (block.dense_intermediate_size, "")):
        if size:
            total += 3 * size * keeping.element + keeping.input(size, (f"ffn_down{name}",))
            total += keeping.input(hidden, (f"ffn_gate{name}", f"ffn_up{name}"))
    return total


def recurrent_bytes(layer: Recurrent, hidden: int, keeping: Keeping) -> int:
    """A recurrent layer with its fused kernels: what goes into convolution, scan and gate, and comes out.

    Followed from the kernels' interfaces (fla, mamba-ssm), not measured.
    """
    channels = layer.inner_size + 2 * layer.group_count * layer.state_size
    kept = 2 * channels + 4 * layer.inner_size
    return kept * keeping.element + keeping.input(hidden, ("ssm_in",)) + keeping.input(layer.inner_size, ("ssm_out",))


def backward_bytes(architecture: Architecture, layer: Layer, keeping: Keeping) -> int:
    """Bytes for each token that the backward pass of a layer has beside what the layer keeps, at its widest.

    Two gradients of the block's width and two of the stream; a norm's backward works in 32 bits; adapters in 32 bits
    have gradients in 32 bits. Measured on the modelling code, not derived.
    """
    hidden, block = architecture.hidden_size, layer.feed_forward
    wide = 0
    if isinstance(block, FeedForward):
        wide = block.intermediate_size
    elif isinstance(block, Experts):
        wide = block.num_experts_per_tok * (2 * block.moe_intermediate_size + hidden)
        wide = max(wide, block.shared_intermediate_size, block.dense_intermediate_size)
    post = layer.norms > 2 or architecture.model_type in _POST_NORM
    floats = not architecture.norm_bias
    stream = 4 if floats else 2
    least = 20 if post else 12 if floats else 6
    if not keeping.full and keeping.copy == 4:
        stream, least = (14, 18) if floats else (12, 16)
    scale = keeping.element / 2
    table = 0
    if keeping.scores and isinstance(layer.attention, Attention):
        table = layer.attention.num_attention_heads * keeping.scores * (8 + keeping.element)
    return round(max(least * hidden, stream * hidden + 4 * wide) * scale) + table
