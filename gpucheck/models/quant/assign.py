"""Types and bytes of tensors in a GGUF file whose mix is known by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from gpucheck.models.ggml_types import BY_NAME
from gpucheck.models.quant.mixes import FALCON_MIXES, FALLBACKS, MIXES, Mix, Rules, When
from gpucheck.models.quant.shape import MixShape, more_bits
from gpucheck.models.tensor import TensorGroup

PLAIN = frozenset({"F32", "F16", "BF16"})

# Matrices that are never quantized. The converter writes the first ones in F32 and the others in 16 bits.
_FLOAT = frozenset({"ffn_gate_inp", "position_embd", "token_types", "attn_rel_b", "shortconv.conv"})
_FLOAT_STARTS = ("ssm_conv1d", "time_mix_w", "time_mix_a", "time_mix_v1", "time_mix_v2", "time_mix_g1", "time_mix_g2")
_SIXTEEN_STARTS = ("altup", "laurel", "per_layer_model_proj")
_VALUES = ("attn_v", "attn_qkv", "attn_kv_b")
_EMBEDDINGS = frozenset({"token_embd", "per_layer_token_embd"})
# Tensors with a dimension for experts or heads, which the MXFP4 mix takes for experts.
_DEEP = ("_exps", "attn_k_b", "attn_v_b")


class Weight(NamedTuple):
    """Tensors of one type: the group, cut down to the layers that have it, the type, and their bytes together."""

    group: TensorGroup
    dtype: str
    bytes: int


class _Facts(NamedTuple):
    """What rules ask of the whole model, and of how the file is made."""

    shared_heads: int
    experts: int
    is_70b: bool
    imatrix: bool


class _At(NamedTuple):
    """A layer that a rule is asked about: its place among `layers`."""

    place: int
    layers: int
    facts: _Facts


_TESTS: Mapping[When, Callable[[_At], bool]] = {
    "always": lambda _: True,
    "early": lambda at: at.place < at.layers // 8,
    "early_sixteenth": lambda at: at.place < at.layers // 16,
    "more": lambda at: at.place in more_bits(at.layers),
    "middle": lambda at: at.layers // 8 <= at.place < 7 * at.layers // 8,
    "first_two": lambda at: at.place < 2,
    "first_four": lambda at: at.place < 4,
    "grouped": lambda at: at.facts.shared_heads >= 4,
    "grouped_or_experts": lambda at: at.facts.shared_heads >= 4 or at.facts.experts >= 4,
    "eight": lambda at: at.facts.experts == 8,
    "eight_more": lambda at: at.facts.experts == 8 and at.place in more_bits(at.layers),
    "plain": lambda at: not at.facts.imatrix,
    "early_plain": lambda at: not at.facts.imatrix and at.place < at.layers // 8,
    "early_imatrix": lambda at: at.facts.imatrix and at.place < at.layers // 8,
}
_SAME_EVERYWHERE = frozenset({"always", "grouped", "grouped_or_experts", "eight", "plain"})


def gguf_weights(shape: MixShape, name: str, imatrix: bool | None = None) -> tuple[Weight, ...]:
    """The tensors of a file of the mix `name` ("Q4_K_M"), with their types.

    `imatrix` says whether an importance matrix was used; None takes what is usual for the mix. Two mixes that the
    quantizer makes otherwise are known as well: "MXFP4", with experts in MXFP4 and the rest in Q8_0, and "NVFP4",
    as converted from checkpoints.

    Raises:
        KeyError: there is no such mix.
    """
    if name in PLAIN:
        return tuple(_sized(group, _kept(group.role, group.matrix) or name) for group in shape.groups)
    if name in {"MXFP4", "NVFP4"}:
        choose = _mxfp4 if name == "MXFP4" else _nvfp4
        return tuple(
            _sized(group, _kept(group.role, group.matrix) or _fitting(choose(group.role), group.row))
            for group in shape.groups
        )
    mix = (FALCON_MIXES if shape.model_type == "falcon" else MIXES)[name]
    return tuple(_mixed(shape, mix, mix.imatrix if imatrix is None else imatrix))


@lru_cache(maxsize=1024)
def _kept(role: str, matrix: bool) -> str | None:
    """The type of what is never quantized, None for the rest."""
    if not matrix or role in _FLOAT or role.startswith(_FLOAT_STARTS) or role.endswith("_norm"):
        return "F32"
    return "BF16" if role.startswith(_SIXTEEN_STARTS) else None


def _mxfp4(role: str) -> str:
    return "MXFP4" if role.endswith(_DEEP) else "Q8_0"


def _nvfp4(role: str) -> str:
    return "BF16" if role in _EMBEDDINGS or role == "output" else "NVFP4"


def _mixed(shape: MixShape, mix: Mix, imatrix: bool) -> Iterator[Weight]:
    facts = _Facts(shape.shared_heads, shape.experts, shape.is_70b, imatrix)
    for group in shape.groups:
        if kept := _kept(group.role, group.matrix):
            yield _sized(group, kept)
            continue
        role = group.role
        if role == "output" or (shape.tied and role in _EMBEDDINGS):
            yield _sized(group, _fitting(_head(mix, group.row), group.row))
        elif role in _EMBEDDINGS:
            yield _sized(group, _fitting(mix.embedding or mix.base, group.row))
        else:
            yield from _by_layer(shape, facts, mix, group)


def _head(mix: Mix, row: int) -> str:
    """The type of the head: Q8_0 where blocks of the mix's own type do not divide the row."""
    return "Q8_0" if row % BY_NAME[mix.base].block_size else mix.output


@lru_cache(maxsize=4096)
def _rules(mix: Mix, role: str) -> tuple[Rules, bool]:
    """The rules for a role, and whether they say the same for every layer."""
    rules = _rules_of(mix, role)
    return rules, all(when in _SAME_EVERYWHERE for when, _ in rules)


def _rules_of(mix: Mix, role: str) -> Rules:
    if role.endswith(_VALUES):
        return mix.value
    if role.endswith("attn_k"):
        return mix.key
    if role.endswith("attn_q"):
        return mix.query
    if role.endswith("attn_output"):
        return mix.attention_output
    if role.startswith("ffn_down"):
        return mix.down
    return mix.gate_up if role.startswith(("ffn_gate", "ffn_up")) else ()


def _by_layer(shape: MixShape, facts: _Facts, mix: Mix, group: TensorGroup) -> Iterator[Weight]:
    """The group in one piece, or in several where its layers differ in type."""
    role = group.role
    rules, alike = _rules(mix, role)
    if alike:
        yield _sized(group, _fitting(_chosen(mix, role, rules, _At(0, 1, facts)), group.row))
        return
    ranks, total = _places(shape, mix, role)
    types = _types(mix, role, total, total if ranks is None else max(total, len(ranks)), facts)
    if types.count(types[0]) == len(types):
        yield _sized(group, _fitting(types[0], group.row))
        return
    found: dict[str, list[int]] = {}
    for layer in group.layers:
        found.setdefault(types[layer if ranks is None else ranks[layer, role]], []).append(layer)
    for dtype, layers in found.items():
        part = group if len(found) == 1 else replace(group, layers=tuple(layers))
        yield _sized(part, _fitting(dtype, group.row))


@lru_cache(maxsize=1024)
def _types(mix: Mix, role: str, layers: int, places: int, facts: _Facts) -> tuple[str, ...]:
    """The type of a role at each of the first `places` places."""
    rules, _ = _rules(mix, role)
    return tuple(_chosen(mix, role, rules, _At(place, layers, facts)) for place in range(places))


def _places(shape: MixShape, mix: Mix, role: str) -> tuple[dict[tuple[int, str], int] | None, int]:
    """How layers of a role are counted, None for by their position, and out of how many."""
    if role.endswith(_VALUES):
        return shape.value_ranks, len(shape.value_ranks)
    if shape.experts > 1 and not mix.low:
        return None, shape.layers
    if role.startswith("ffn_down"):
        return shape.down_ranks, shape.layers
    return (shape.gate_ranks if role.startswith("ffn_gate") else shape.up_ranks), shape.layers


def _chosen(mix: Mix, role: str, rules: Rules, at: _At) -> str:
    """The type by the rules, and by what holds for eight experts and for a 70B in every mix."""
    dtype = next((dtype for when, dtype in rules if _TESTS[when](at)), mix.base)
    if mix.low:
        return dtype
    value = role.endswith(_VALUES)
    if at.facts.experts == 8 and (value or role.endswith("attn_k")):
        return "Q8_0"
    return "Q5_K" if value and dtype in {"Q3_K", "Q4_K"} and at.facts.is_70b else dtype


def _fitting(dtype: str, row: int) -> str:
    """`dtype`, or what takes its place if its blocks do not divide a row of so many elements."""
    if row % BY_NAME[dtype].block_size == 0:
        return dtype
    dtype = FALLBACKS.get(dtype, dtype)
    return dtype if row % BY_NAME[dtype].block_size == 0 else "F16"


def _sized(group: TensorGroup, dtype: str) -> Weight:
    return Weight(group, dtype, BY_NAME[dtype].row_bytes(group.row) * group.rows * len(group.layers))
