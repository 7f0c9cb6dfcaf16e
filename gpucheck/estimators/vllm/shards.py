"""The weights of one GPU: what each rank holds of every tensor.

vllm/model_executor/layers/linear.py, vocab_parallel_embedding.py and mla.py: matrices are cut, except those that
project down to a latent vector, routers and sparse indexers; norms are whole on every rank; keys and values are cut by
their heads, and copied where there are more ranks than heads; embedding and head are padded to 64 rows and cut.
fused_moe/oracle/mxfp4.py: experts of MXFP4 grow to whole tiles for the kernels of every generation but Hopper.
config/multimodal.py: towers are cut as well, but those that are transformers' own modules.
"""

from __future__ import annotations

from gpucheck.estimators.vllm.layout import Layout, stages_of
from gpucheck.models.architecture import Architecture, Attention, Experts, LatentAttention, Part
from gpucheck.models.quant.weights import Storage, weights
from gpucheck.models.quantization import Quantization
from gpucheck.models.tensor import TensorGroup

_VOCAB_PADDING = 64
_VOCAB = frozenset({"token_embd", "output", "per_layer_token_embd"})
_WHOLE = frozenset({
    "attn_q_a", "attn_kv_a_mqa", "ffn_gate_inp", "ffn_gate_inp_shexp", "exp_probs_b", "inp_gate", "proj",
    "per_layer_model_proj", "position_embd", "token_types", "ffn_latent_down", "ffn_latent_up",
})  # fmt: skip
_CUT_VECTORS = frozenset({"attn_q", "attn_sinks", "ssm_d", "ssm_dt", "ssm_a"})
_KEYS = frozenset({"attn_k", "attn_v"})
_MXFP4_WIDTH, _MXFP4_HIDDEN = 128, 256  # Marlin and TRT-LLM; Triton, on Hopper, pads the width to 64
# Towers that vLLM takes from transformers: whole on every rank.
_WHOLE_TOWERS = frozenset({"gemma4_vision", "gemma4_audio", "gemma3n_vision", "gemma3n_audio"})


def gpu_weights(  # noqa: PLR0913 (what a rank's weights depend on)
    groups: tuple[TensorGroup, ...],
    architecture: Architecture,
    quant: Quantization,
    storage: Storage,
    layout: Layout,
    *,
    padded: bool = False,
) -> int:
    """Bytes of the language model's tensors on the GPU that holds most of them; `padded` with whole tiles of MXFP4."""
    held = weights(groups, quant, storage)
    tiles = _tiles(architecture, layout) if padded else 1.0
    stages = stages_of(len(architecture.layers), layout.pipeline)
    last = len(stages) - 1
    totals = []
    for number, stage in enumerate(stages):
        total = 0.0
        for weight in held:
            group = weight.group
            if group.layers == (-1,):
                if not _has(group.role, number, last, tied=architecture.tie_word_embeddings):
                    continue
                count = 1
            else:
                count = sum(layer in stage for layer in group.layers)
            if count:
                part = count / max(len(group.layers), 1) * (tiles if weight.dtype == "mxfp4" else 1)
                total += weight.bytes * part * share(group, architecture, layout)
        totals.append(total)
    return round(max(totals) * quant.mix_ratio)


def _has(role: str, stage: int, last: int, *, tied: bool) -> bool:
    """Whether a tensor outside the layers is on a stage: the embedding on the first, norm and head on the last."""
    if role.startswith("output"):
        return stage == last
    return stage == 0 or (role == "token_embd" and tied and stage == last)


def share(group: TensorGroup, architecture: Architecture, layout: Layout) -> float:
    """What part of a tensor one rank holds; above 1 where padding is more than the cut."""
    role, ranks = group.role, layout.tensor
    if role in _VOCAB:
        return _rounded(group.rows, _VOCAB_PADDING) / group.rows / ranks
    if role.endswith("_exps"):
        return _experts(layout)
    if role in _WHOLE or role.startswith("indexer.") or "norm" in role:
        return 1.0
    if not group.matrix and role not in _CUT_VECTORS and role not in _KEYS and not role.startswith("ssm_conv1d"):
        return 1.0
    if role in _KEYS:
        layer = architecture.layers[group.layers[0]] if group.layers[0] >= 0 else None
        attention = layer.attention if layer else None
        if isinstance(attention, Attention):
            return 1 / min(ranks, attention.num_key_value_heads)
    return 1 / ranks


def _experts(layout: Layout) -> float:
    return 1 / (layout.tensor * layout.data if layout.expert_parallel else layout.tensor)


def _tiles(architecture: Architecture, layout: Layout) -> float:
    """How much larger the experts of one rank are in whole tiles."""
    ranks = 1 if layout.expert_parallel else layout.tensor
    for layer, _ in architecture.groups:
        if isinstance(layer.feed_forward, Experts):
            width = -(-layer.feed_forward.moe_intermediate_size // ranks)
            hidden = architecture.hidden_size
            return _rounded(width, _MXFP4_WIDTH) * _rounded(hidden, _MXFP4_HIDDEN) / (width * hidden)
    return 1.0


def _rounded(number: int, to: int) -> int:
    return -(-number // to) * to


def tower_bytes(parts: tuple[Part, ...], layout: Layout) -> tuple[int, int]:
    """Bytes of the towers on one rank in 16 bits, and where none of them were cut.

    What a tower has beside its layers is small and counted as cut.
    """
    likely = whole = 0
    for part in parts:
        size = 2 * (part.parameters or 0)
        whole += size
        kind = part.architecture.model_type if part.architecture else None
        likely += size if kind in _WHOLE_TOWERS else size // layout.tensor
    return likely, whole


def rotary_bytes(architecture: Architecture) -> int:
    """The tables of sines and cosines, 16 bits for every position, one for each width and kind of layer.

    8B of Llama 3.1 weighs 33.6 MB more than its parameters (vllm #17122): 131,072 positions of 128.
    """
    positions = architecture.max_position_embeddings or 0
    widths = set()
    for layer, _ in architecture.groups:
        attention = layer.attention
        if isinstance(attention, LatentAttention):
            widths.add((attention.qk_rope_head_dim, False))
        elif attention is not None:
            widths.add((attention.head_dim, attention.window is not None))
    return sum(2 * positions * width for width, _ in widths)
