"""The shape of a model, layer by layer: what decides its parameters, its cache and its buffers.

Field names are those of Hugging Face configurations where one exists. Sizes count elements, not bytes.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Literal

from msgspec import Struct

from gpucheck.models.tensor import TensorGroup

RecurrentKind = Literal["mamba", "mamba2", "gated_delta_net", "short_conv", "kda", "lightning", "rwkv"]


class Attention(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Attention with keys and values per head: MHA, GQA or MQA, over the whole context or a part of it.

    `window` is the number of tokens that a sliding layer looks back (None: all); a `chunked` layer looks back to
    the start of its chunk of `window` tokens. `shares_cache`: uses the keys and values of an earlier layer.
    """

    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    v_head_dim: int
    window: int | None = None
    chunked: bool = False
    fused_qkv: bool = False
    qkv_bias: bool = False
    key_bias: bool = True  # of the three biases; Whisper's keys have none
    output_bias: bool = False
    qk_norm: Literal["none", "head", "heads"] = "none"  # one norm of head_dim, or one over all heads
    output_gate: bool = False
    sinks: bool = False
    value_is_key: bool = False
    shares_cache: bool = False


class LatentAttention(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Multi-head latent attention (DeepSeek V2 and later): a token's cache is one latent vector and one rotary key.

    `index_n_heads` and `index_head_dim` are those of the sparse indexer (DeepSeek V3.2, GLM-5); None without one.
    """

    num_attention_heads: int
    kv_lora_rank: int
    q_lora_rank: int | None
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    index_n_heads: int | None = None
    index_head_dim: int | None = None


class Recurrent(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A layer whose memory of the past has a fixed size.

    `inner_size` is d_inner (value heads x value head size for Gated DeltaNet), `state_size` d_state (the key head
    size), `group_count` n_groups (key heads), `head_count` the heads that have a state each; for Mamba-1 it is the
    rank of the time step. A short convolution has a state of `conv_kernel` - 1 tokens of `inner_size` only.
    """

    kind: RecurrentKind
    conv_kernel: int
    inner_size: int
    state_size: int = 0
    group_count: int = 1
    head_count: int = 1
    conv_bias: bool = True
    projection_bias: bool = False
    norm: bool = True  # Falcon-H1's Mamba-2 has none


class FeedForward(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A dense feed-forward block; `matrices` is 3 with a gate (SwiGLU, GeGLU) and 2 without."""

    intermediate_size: int
    matrices: Literal[2, 3] = 3
    fused: bool = False  # gate and up in one matrix, as Phi-3
    bias: bool = False


class Experts(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A mixture of experts. `shared_intermediate_size` is that of all shared experts together, 0 without any.

    `dense_intermediate_size` is that of a dense block beside the experts in the same layer (Gemma 4), 0 without one.
    """

    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    matrices: Literal[2, 3] = 3
    shared_intermediate_size: int = 0
    shared_gate: bool = False
    router_bias: bool = False
    bias: bool = False
    dense_intermediate_size: int = 0
    latent_size: int | None = None  # experts that work on a narrower vector (Nemotron 3)


class Layer(Struct, frozen=True, kw_only=True, cache_hash=True):
    """One block. `norms` counts its norms of the hidden size; both mixers are set where they run side by side."""

    attention: Attention | LatentAttention | None = None
    recurrent: Recurrent | None = None
    cross_attention: Attention | None = None
    feed_forward: FeedForward | Experts | None = None
    norms: int = 2


class Architecture(Struct, frozen=True, kw_only=True, dict=True):
    """One stack of layers with its embeddings.

    `model_type` is the name in the configuration ("qwen3_moe"), `layers` the blocks in their order. `causal` is
    False for encoders, which keep no cache. `norm_bias`: LayerNorm, two vectors a norm, rather than RMSNorm.
    `position_embeddings` counts learned positions. `per_layer_embedding` is the width of the second embedding that
    Gemma 3n and 4 E2B/E4B have for every layer. `predict_layers` are extra layers for multi-token prediction that
    a checkpoint carries and engines leave out of normal decoding. `final_norm` is False where the last layer's
    own norm ends the stack (BERT). `extra_tensors` are those that no other field implies (Gemma 3n's AltUp).
    """

    model_type: str
    hidden_size: int
    vocab_size: int
    layers: tuple[Layer, ...]
    tie_word_embeddings: bool = False
    max_position_embeddings: int | None = None
    causal: bool = True
    norm_bias: bool = False
    embedding_norm: bool = False
    head: bool = True
    head_bias: bool = False
    position_embeddings: int = 0
    token_types: int = 0
    per_layer_embedding: int = 0
    per_layer_vocab_size: int = 0
    predict_layers: tuple[Layer, ...] = ()
    final_norm: bool = True
    extra_tensors: tuple[TensorGroup, ...] = ()
    cross_tokens: int | None = None  # the encoder's output that cross-attention looks at, where it is fixed (Whisper)

    @cached_property
    def groups(self) -> tuple[tuple[Layer, tuple[int, ...]], ...]:
        """The distinct layers, in order of first appearance, each with the positions that it has."""
        positions: defaultdict[Layer, list[int]] = defaultdict(list)
        for index, layer in enumerate(self.layers):
            positions[layer].append(index)
        return tuple((layer, tuple(indexes)) for layer, indexes in positions.items())


class Part(Struct, frozen=True, kw_only=True):
    """A component beside the language model: vision tower, projector, audio or text encoder.

    `parameters` is None where its shape does not say them.
    """

    role: Literal["vision", "audio", "projector", "encoder"]
    parameters: int | None
    architecture: Architecture | None = None
