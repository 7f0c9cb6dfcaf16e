"""What vLLM sets aside before it sizes its pool: the widest moment of its profile run, graphs, and what is not torch's.

vllm/v1/worker/gpu_worker.py, determine_available_memory: the pool is the share of the device less all that was taken
since the first snapshot (weights and persistent buffers), the transient peak of a step of `max_num_batched_tokens`
tokens with `max_num_seqs` sequences sampled, and an estimate of CUDA graphs. The snapshot comes after the device's
context and NCCL, which therefore lie in the rest of the device.
"""

from __future__ import annotations

from gpucheck.estimators.vllm.layout import Layout
from gpucheck.estimators.vllm.options import VllmOptions
from gpucheck.models.architecture import Architecture, Attention, Experts, FeedForward, LatentAttention, Layer
from gpucheck.units import MIB

# The logits of the sampler's second pass: 16 bits, a copy in 32 bits, probabilities in 32 bits (gpu/sample/sampler.py).
_SAMPLED = 10
_COUNTS = 4 + 1 / 8  # penalties: a count of 32 bits and a bit for each token of the vocabulary, kept for good
# 86 graphs, 51 by pieces and 35 whole, were estimated at 0.73 GiB (vllm #39559, a model of Qwen 3.5): one row.
GRAPH: float = 0.73 * 1024 * MIB / 86
_LARGEST_GRAPH = 512


def step_bytes(architecture: Architecture, layout: Layout, tokens: int, sequences: int) -> int:
    """The transient peak on one rank: the widest layer of a step, or the sampling of its sequences.

    Read off the modules, not measured: band it.
    """
    h = architecture.hidden_size
    layers = max((_layer(layer, h, layout) for layer, _ in architecture.groups), default=0)
    forward = tokens * 2 * (2 * h + layers)
    sampling = tokens * 2 * h + sequences * architecture.vocab_size * _SAMPLED
    return max(forward, sampling)


def kept_bytes(architecture: Architecture, sequences: int) -> int:
    """Buffers of the sampler's penalties, kept for as long as the engine runs."""
    return round(sequences * architecture.vocab_size * _COUNTS)


def graph_bytes(options: VllmOptions, sequences: int) -> int:
    """The likely size of the CUDA graphs: one by pieces for each captured size, one whole for each up to the sequences.

    Sizes are 1, 2, 4, then steps of 8 to 256 and of 16 to twice the sequences, at most 512.
    """
    if options.enforce_eager:
        return 0
    largest: int = min(2 * sequences, _LARGEST_GRAPH)
    sizes = [size for size in (1, 2, 4, *range(8, 257, 8), *range(272, 513, 16)) if size <= largest]
    whole = sum(1 for size in sizes if size <= sequences)
    return round((len(sizes) + whole) * GRAPH)


def _layer(layer: Layer, h: int, layout: Layout) -> int:
    """Elements per token of the widest moment of a layer beside the residual and its input."""
    ranks, attention, block = layout.tensor, layer.attention, layer.feed_forward
    widest = 0.0
    if isinstance(attention, Attention):
        queries = attention.num_attention_heads * attention.head_dim / ranks
        keys = -(-attention.num_key_value_heads // ranks) * (attention.head_dim + attention.v_head_dim)
        widest = 2 * queries + keys
    elif isinstance(attention, LatentAttention):
        heads = attention.num_attention_heads / ranks
        wide = attention.qk_nope_head_dim + attention.qk_rope_head_dim
        widest = heads * (2 * wide + attention.qk_nope_head_dim + 2 * attention.v_head_dim)
    if layer.recurrent is not None:
        mixed = layer.recurrent.inner_size + 2 * layer.recurrent.group_count * layer.recurrent.state_size
        widest = max(widest, (2 * mixed + 2 * layer.recurrent.inner_size) / ranks)
    if isinstance(block, FeedForward):
        widest = max(widest, block.matrices * block.intermediate_size / ranks)
    elif isinstance(block, Experts):
        used, width = block.num_experts_per_tok, block.moe_intermediate_size / ranks
        widest = max(widest, used * (max(2 * width, h) + width) + h)  # workspaces of the fused experts
    return round(widest)
