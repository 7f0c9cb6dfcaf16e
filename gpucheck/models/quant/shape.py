"""What the rules of a mix ask of a model: its layers, experts, shared heads, and the order of its tensors."""

from __future__ import annotations

from functools import cached_property, lru_cache

from msgspec import Struct

from gpucheck.models.tensor import TensorGroup

_VALUES = ("attn_v", "attn_qkv", "attn_kv_b")
_LAYERS_OF_70B = 80


class MixShape(Struct, frozen=True, kw_only=True, dict=True):
    """A model as the quantizer sees it. `layers` counts those of the file; `model_type` may be unknown (None)."""

    groups: tuple[TensorGroup, ...]
    layers: int
    model_type: str | None = None

    @cached_property
    def by_role(self) -> dict[str, list[TensorGroup]]:
        """The matrices by role."""
        found: dict[str, list[TensorGroup]] = {}
        for group in self.groups:
            if group.matrix:
                found.setdefault(group.role, []).append(group)
        return found

    @cached_property
    def tied(self) -> bool:
        """Whether the embedding is the head as well."""
        return "output" not in self.by_role

    @cached_property
    def experts(self) -> int:
        """Experts of a layer, 0 for a dense model."""
        routers = self.by_role.get("ffn_gate_inp")
        return routers[0].rows if routers else 0

    @cached_property
    def shared_heads(self) -> int:
        """Query heads for each key head in the first layer; 0 where that layer has no attention.

        The quantizer asks the metadata, which says it of every layer of Gated DeltaNet models, and 0 for the
        recurrent layers of others.
        """
        at_first = {group.role: group for group in self.groups if group.matrix and 0 in group.layers}
        if "attn_gate" in at_first and "attn_qkv" in at_first:
            at_first = {role: groups[0] for role, groups in self.by_role.items() if role != "attn_qkv"}
        output = at_first.get("attn_output")
        if output is None:
            return 0
        if fused := at_first.get("attn_qkv"):
            keys = (fused.rows - output.row) // 2
        else:
            values = at_first.get("attn_v") or at_first.get("attn_k")
            keys = values.rows if values else 0
        return output.row // keys if keys > 0 else 0

    @cached_property
    def is_70b(self) -> bool:
        """Whether llama.cpp calls it a 70B: the 80 layers of Llama, Qwen2, OLMo or DeciLM.

        Without a `model_type` a dense model with 80 layers, grouped heads and separate projections is one.
        """
        if self.layers != _LAYERS_OF_70B or self.experts:
            return False
        if self.model_type is None:
            return self.shared_heads > 1 and "attn_v" in self.by_role
        if self.model_type == "llama":
            return self.shared_heads > 1
        return self.model_type in {"qwen2", "olmo", "deci", "nemotron-nas"}

    @cached_property
    def value_ranks(self) -> dict[tuple[int, str], int]:
        """The place of each value projection, of cross-attention too, among all of them."""
        return self._ranks(_VALUES, end=True)

    @cached_property
    def down_ranks(self) -> dict[tuple[int, str], int]:
        """The place of each down projection among all of them."""
        return self._ranks(("ffn_down",))

    @cached_property
    def gate_ranks(self) -> dict[tuple[int, str], int]:
        """The place of each gate projection among all of them."""
        return self._ranks(("ffn_gate",))

    @cached_property
    def up_ranks(self) -> dict[tuple[int, str], int]:
        """The place of each up projection among all of them."""
        return self._ranks(("ffn_up",))

    def _ranks(self, prefixes: tuple[str, ...], end: bool = False) -> dict[tuple[int, str], int]:
        """By (layer, role), in the order in which the quantizer visits tensors: layer, then name."""
        pairs = sorted(
            (layer, role)
            for role, groups in self.by_role.items()
            if (role.endswith(prefixes) if end else role.startswith(prefixes)) and not role.startswith("ffn_gate_inp")
            for group in groups
            for layer in group.layers
        )
        return {pair: rank for rank, pair in enumerate(pairs)}


@lru_cache(maxsize=256)
def more_bits(layers: int) -> frozenset[int]:
    """The places that get more bits: first and last eighth, and every third of those between."""
    eighth = layers // 8
    return frozenset(
        place for place in range(layers) if place < eighth or place >= 7 * layers // 8 or (place - eighth) % 3 == 2
    )
