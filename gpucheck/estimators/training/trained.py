"""Which parameters are trained, and how many: all of them, or adapters beside frozen matrices."""

from __future__ import annotations

from gpucheck.errors import UsageError
from gpucheck.estimators.training.options import TrainingOptions
from gpucheck.models.architecture import Architecture, Attention, LatentAttention, Layer
from gpucheck.models.model import Model
from gpucheck.models.tensor import TensorGroup

# Modules of transformers, torchtune and litgpt by the role of their matrix.
MODULES = {
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "out_proj": "attn_output",
    "output_proj": "attn_output", "qkv_proj": "attn_qkv", "c_attn": "attn_qkv", "query_key_value": "attn_qkv",
    "wqkv": "attn_qkv", "w_pack": "attn_qkv", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
    "gate_up_proj": "ffn_up", "fc1": "ffn_up", "fc2": "ffn_down", "c_fc": "ffn_up", "w1": "ffn_gate", "w2": "ffn_down",
    "w3": "ffn_up", "dense_h_to_4h": "ffn_up", "dense_4h_to_h": "ffn_down",
}  # fmt: skip
_FUSED = {"attn_q", "attn_k", "attn_v"}
# Experts are parameters of three dimensions, which PEFT's "all-linear" leaves alone; routers are no linear modules.
_NOT_LINEAR = ("_exps", "ffn_gate_inp", "indexer.", "token_", "position_", "per_layer", "nextn.", "exp_probs")
_ATTENTION = ("attn_", "cross_attn_")


def targets_of(options: TrainingOptions) -> frozenset[str] | None:
    """The roles of the matrices that get an adapter; None is every linear one.

    Raises:
        UsageError: a module has a name that gpucheck does not know.
    """
    text = options.lora_targets.lower()
    if text == "all-linear":
        return None
    if text == "attention":
        return frozenset({"attention"})
    unknown = [name for name in text.split(",") if name not in MODULES and name not in MODULES.values()]
    if unknown:
        raise UsageError(
            f"lora_targets is all-linear, attention, or a list of modules: {unknown[0]!r} is none of "
            f"{', '.join(MODULES)}"
        )
    return frozenset(MODULES.get(name, name) for name in text.split(","))


def has_adapter(role: str, targets: frozenset[str] | None) -> bool:
    """Whether the matrix of this role has an adapter; fused queries, keys and values do if one of them is named."""
    if any(mark in role for mark in _NOT_LINEAR) or role == "output":
        return False
    if targets is None:
        return True
    if "attention" in targets:
        return role.startswith(_ATTENTION)
    if role == "attn_qkv":
        return bool(targets & (_FUSED | {role}))
    return role in targets


def adapter_parameters(model: Model, options: TrainingOptions) -> int:
    """Parameters of the adapters: rank x (in + out) for each matrix, and with DoRA a magnitude for each output.

    Hu et al. 2021 (arXiv 2106.09685); Liu et al. 2024 (arXiv 2402.09353).
    """
    targets = targets_of(options)
    architecture = model.architecture
    assert architecture is not None
    total = 0
    for group in model.groups:
        if not group.matrix or group.layers == (-1,) or not has_adapter(group.role, targets):
            continue
        for wide, out in _sides(group, architecture, targets):
            total += len(group.layers) * (options.lora_rank * (wide + out) + (out if options.dora else 0))
    return total


def _sides(
    group: TensorGroup, architecture: Architecture, targets: frozenset[str] | None
) -> tuple[tuple[int, int], ...]:
    """Inputs and outputs of each adapter of a matrix."""
    layer = architecture.layers[group.layers[0]]
    if isinstance(layer.attention, LatentAttention) and group.role in {"attn_k_b", "attn_v_b"}:
        latent = layer.attention  # one matrix in the modelling code, split in two in GGUF files
        out = latent.num_attention_heads * (latent.qk_nope_head_dim + latent.v_head_dim)
        return ((latent.kv_lora_rank, out),) if group.role == "attn_k_b" else ()
    if group.role == "attn_qkv" and targets is not None and targets & _FUSED:
        return tuple((group.row, out) for role, out in _parts(layer) if role in targets)
    return ((group.row, group.rows),)


def _parts(layer: Layer) -> tuple[tuple[str, int], ...]:
    attention = layer.attention
    assert isinstance(attention, Attention)
    keys = attention.num_key_value_heads
    return (
        ("attn_q", attention.num_attention_heads * attention.head_dim),
        ("attn_k", keys * attention.head_dim),
        ("attn_v", keys * attention.v_head_dim),
    )


def embedding_parameters(architecture: Architecture) -> int:
    """Parameters of the embedding, and of the head where it is not tied to it."""
    tables = 1 if architecture.tie_word_embeddings or not architecture.head else 2
    return tables * architecture.vocab_size * architecture.hidden_size


def plain_parameters(model: Model) -> int:
    """Parameters that no format quantizes: embedding, head, norms and biases."""
    outside = sum(group.total_elements for group in model.groups if group.layers == (-1,))
    return outside + sum(group.total_elements for group in model.groups if group.layers != (-1,) and not group.matrix)
