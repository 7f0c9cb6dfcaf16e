"""Typed access to the metadata of a GGUF file: every number bounded, every wrong value one clear sentence."""

from __future__ import annotations

from collections.abc import Mapping

from gpucheck.errors import UsageError
from gpucheck.models.families.keys import MOST_HIDDEN, MOST_LAYERS
from gpucheck.models.gguf.reader import Length, Value

MOST_NUMBER = 10**9


class GgufKeys:
    """The keys of one architecture: `attention.head_count` stands for `llama.attention.head_count`.

    Every method raises UsageError, naming the key, for a value of another kind or out of bounds.
    """

    def __init__(self, metadata: Mapping[str, Value]) -> None:
        self.metadata = metadata
        self.name = self._architecture()

    def _architecture(self) -> str:
        name = self.metadata.get("general.architecture")
        if not isinstance(name, str) or not name or len(name) > 60:
            raise UsageError("general.architecture in the file is not the name of an architecture")
        return name

    def find(self, key: str) -> Value | None:
        """The value of a key of the architecture, None without it."""
        return self.metadata.get(f"{self.name}.{key}")

    def has(self, key: str) -> bool:
        """Whether the file has the key."""
        return self.find(key) is not None

    def count(self, key: str, default: int = 0, most: int = MOST_HIDDEN) -> int:
        """A whole number of at least 0, the first of an array; `default` without the key."""
        value = self.find(key)
        if isinstance(value, tuple):
            value = value[0] if value else None
        return default if value is None else self._whole(key, value, most)

    def number(self, key: str, most: int = MOST_HIDDEN, default: int | None = None) -> int:
        """A whole number of at least 1; the key must be there if there is no default."""
        if default is None and not self.has(key):
            raise UsageError(f"the file has no {self.name}.{key}")
        found = self.count(key, default or 0, most)
        if found < 1:
            raise UsageError(f"{self.name}.{key} in the file is 0")
        return found

    def flag(self, key: str, default: bool = False) -> bool:
        """A truth value."""
        value = self.find(key)
        return default if value is None else bool(value)

    def layers(self, key: str, count: int, default: int = 0, most: int = MOST_HIDDEN) -> tuple[int, ...]:
        """A number for each of `count` layers: an array of at least that length, or one number for all."""
        found = self.array(key, count, most)
        return found if found is not None else (self.count(key, default, most),) * count

    def array(self, key: str, count: int, most: int = MOST_HIDDEN) -> tuple[int, ...] | None:
        """The first `count` numbers of an array, None if the key is missing or holds one number."""
        value = self.find(key)
        if not isinstance(value, tuple):
            return None
        if len(value) < count:
            raise UsageError(f"{self.name}.{key} in the file has {len(value)} entries for {count} layers")
        return tuple(self._whole(key, each, most) for each in value[:count])

    def length(self, key: str) -> int:
        """The length of an array outside the architecture's keys ("tokenizer.ggml.tokens"), 0 without it."""
        value = self.metadata.get(key)
        if isinstance(value, Length):
            return value.count
        return len(value) if isinstance(value, tuple) else 0

    @property
    def block_count(self) -> int:
        """Layers, those for multi-token prediction included."""
        return self.number("block_count", most=MOST_LAYERS)

    def _whole(self, key: str, value: Value, most: int) -> int:
        if not isinstance(value, int | float) or not 0 <= value <= most or int(value) != value:
            raise UsageError(f"{self.name}.{key} in the file is not a whole number from 0 to {most:,}")
        return int(value)
