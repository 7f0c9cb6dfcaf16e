"""How a model is run: context, users, engine and the engine's own options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gpucheck.errors import UsageError

ENGINES = ("llama.cpp", "ollama", "transformers")

USUAL_QUANTS: dict[str, tuple[str, ...]] = {
    "llama.cpp": ("bf16", "Q8_0", "Q4_K_M"),
    "ollama": ("bf16", "Q8_0", "Q4_K_M"),
    "transformers": ("bf16", "int8", "nf4"),
}
"""For each engine, from the most faithful to the smallest; a model without a quantization gets the first that fits."""

NAMED_QUANTS: dict[str, tuple[str, ...]] = {
    "llama.cpp": ("bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"),
    "ollama": ("bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"),
    "transformers": ("bf16", "int8", "nf4"),
}
"""The same for a model of known shape, whose answer is exact enough to tell 6 bits from 5."""


class Setting(Struct, frozen=True, gc=False, cache_hash=True):
    """Tokens of context for each sequence, sequences at once, the engine and its options by their own names.

    `backend` is what llama.cpp computes with where the options do not say it.
    """

    context: int = 8192
    batch: int = 1
    engine: str = "llama.cpp"
    options: tuple[tuple[str, Any], ...] = ()
    backend: str = "cuda"

    @property
    def given(self) -> dict[str, Any]:
        """The options as a mapping."""
        return dict(self.options)


DEFAULT = Setting()


def make_setting(
    context: int, batch: int, engine: str, options: Mapping[str, Any] | None = None, backend: str = "cuda"
) -> Setting:
    """A setting that has been checked.

    Raises:
        UsageError: the engine is not known, a number is not positive, or the value of an option is not a plain one.
    """
    if engine not in ENGINES:
        raise UsageError(f"{engine!r} is not an engine that gpucheck estimates. Known: {', '.join(ENGINES)}")
    if context < 1 or batch < 1:
        raise UsageError("context and batch are counted from 1")
    for name, value in (options or {}).items():
        if not isinstance(value, (str, int, float, type(None))):
            raise UsageError(f"the option {name} takes a number, a word, or true or false, not {value!r}")
    return Setting(context, batch, engine, tuple(sorted((options or {}).items())), backend)
