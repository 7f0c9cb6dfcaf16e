"""Reading an untrusted configuration: every number bounded, every wrong value one clear sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucheck.errors import UsageError

MOST_LAYERS = 2_000
MOST_HIDDEN = 10**6
MOST_VOCAB = 10**7
MOST_EXPERTS = 10**5
MOST_CONTEXT = 10**9

HIDDEN = ("hidden_size", "n_embd", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
HEAD_DIM = ("head_dim", "kv_channels", "attention_head_dim")
WIDTH = ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "d_ff")
VOCAB = ("vocab_size", "padded_vocab_size")
CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "seq_length",
    "max_seq_len",
    "max_sequence_length",
    "model_max_length",
)
EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts", "num_routed_experts")
EXPERTS_USED = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "moe_top_k",
    "moe_topk",
    "moe_k",
    "top_k_experts",
    "num_selected_experts",
)
EXPERT_WIDTH = ("moe_intermediate_size", "expert_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size")


class Keys:
    """The keys of one configuration, with its family's defaults behind them.

    A key that is there wins over a default even if it is null, as in transformers. Every method raises UsageError,
    naming the key, for a value that is of another kind or out of bounds.
    """

    def __init__(self, config: Mapping[str, Any], defaults: Mapping[str, Any], where: str = "") -> None:
        self.config = config
        self.defaults = defaults
        self.where = where

    def has(self, *names: str) -> bool:
        """Whether the configuration itself gives one of `names` a value."""
        return any(self.config.get(name) is not None for name in names)

    def number(self, *names: str, most: int = MOST_HIDDEN, default: int | None = None) -> int:
        """The first of `names` that has a value, from 1 to `most`; else `default`."""
        found = self.optional(*names, most=most)
        if found is None:
            found = default
        if found is None:
            raise UsageError(f"the configuration has no {self.where}{names[0]}")
        if not found:
            raise UsageError(f"{self.where}{names[0]} in the configuration is 0, which no model has")
        return found

    def optional(self, *names: str, most: int = MOST_HIDDEN) -> int | None:
        """The first of `names` that has a value, from 0 to `most`; None if it is null or nowhere."""
        for name in names:
            if self.config.get(name) is not None:
                return self._whole(name, self.config[name], most)
        if any(name in self.config for name in names):
            return None
        for name in names:
            if self.defaults.get(name) is not None:
                return self._whole(name, self.defaults[name], most)
        return None

    def count(self, *names: str, most: int = MOST_HIDDEN, default: int = 0) -> int:
        """The first of `names` that has a value, from 0 to `most`; else `default`."""
        found = self.optional(*names, most=most)
        return default if found is None else found

    def ratio(self, name: str, default: float) -> float:
        """A factor from 0.001 to 1,000."""
        value = self.config.get(name)
        if value is None:
            value = self.defaults.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= 1000:
            raise self._wrong(name, value, "a factor")
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth; null counts as False."""
        value = self.config[name] if name in self.config else self.defaults.get(name, default)
        if value is None:
            return False
        if not isinstance(value, bool | int) or value not in (0, 1):
            raise self._wrong(name, value, "true or false")
        return bool(value)

    def text(self, name: str) -> str | None:
        """A short text; None if it is null or nowhere."""
        value = self.config.get(name, self.defaults.get(name))
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > 10_000:
            raise self._wrong(name, value, "a text")
        return value

    def numbers(self, name: str, most: int = MOST_HIDDEN, longest: int = MOST_LAYERS) -> tuple[int, ...] | None:
        """A list of numbers from 0 to `most`; None if it is null or nowhere."""
        value = self._list(name, longest)
        return None if value is None else tuple(self._whole(name, item, most) for item in value)

    def words(self, name: str, layers: int) -> tuple[str, ...] | None:
        """A list with a short text for each of the `layers`; None if it is null or nowhere."""
        value = self._list(name, MOST_LAYERS)
        if value is None:
            return None
        if len(value) < layers or not all(isinstance(item, str) and len(item) < 100 for item in value):
            raise UsageError(
                f"{self.where}{name} in the configuration does not name the kind of each of {layers} layers"
            )
        return tuple(value[:layers])

    def part(self, name: str) -> Mapping[str, Any] | None:
        """A configuration inside this one; None if it is null or nowhere."""
        value = self.config.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(name, value, "a group of keys")
        return value

    def _list(self, name: str, longest: int) -> list[Any] | None:
        value = self.config.get(name)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or len(value) > longest:
            raise self._wrong(name, value, f"a list of at most {longest:,}")
        return list(value)

    def _whole(self, name: str, value: object, most: int) -> int:
        if isinstance(value, float) and value.is_integer() and abs(value) <= most:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self._wrong(name, value, f"a whole number up to {most:,}")
        return value

    def _wrong(self, name: str, value: object, wanted: str) -> UsageError:
        shown = repr(value) if isinstance(value, bool | float) else _shown(value)
        return UsageError(f"{self.where}{name} in the configuration is {shown}, not {wanted}")


def _shown(value: object) -> str:
    """A value of a configuration, cut where nobody would read on; a collection by its kind alone."""
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "…")
    if isinstance(value, int):
        return str(value) if abs(value) < 10**40 else "a huge number"
    return {"dict": "a group of keys", "list": "a list"}.get(type(value).__name__, type(value).__name__)
