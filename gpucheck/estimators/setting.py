"""How a model is run: context, users, engine and the engine's own options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from gpucheck.errors import UsageError

ENGINES = ("llama.cpp", "ollama", "transformers", "vllm", "diffusers")

USUAL_QUANTS: dict[str, tuple[str, ...]] = {
    "llama.cpp": ("bf16", "Q8_0", "Q4_K_M"),
    "ollama": ("bf16", "Q8_0", "Q4_K_M"),
    "transformers": ("bf16", "int8", "nf4"),
    "vllm": ("bf16", "fp8", "awq"),
    "diffusers": ("bf16", "fp8", "nf4"),
}
"""For each engine, from the most faithful to the smallest; a model without a quantization gets the first that fits."""

NAMED_QUANTS: dict[str, tuple[str, ...]] = {
    "llama.cpp": ("bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"),
    "ollama": ("bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"),
    "transformers": ("bf16", "int8", "nf4"),
    "vllm": ("bf16", "fp8", "awq"),
    "diffusers": ("bf16", "fp8", "nf4"),
}
"""The same for a model of known shape, whose answer is exact enough to tell 6 bits from 5."""


Task = Literal["inference", "full", "lora", "qlora"]
TASKS: tuple[Task, ...] = ("inference", "full", "lora", "qlora")

TRAINING_ENGINES = ("transformers", "torchtune", "litgpt")
"""What trains; where nothing else is said it is transformers."""

TRAINING_QUANTS: dict[str, str] = {"full": "bf16", "lora": "bf16", "qlora": "nf4-dq"}
"""How the weights are stored while a model is trained, where nothing else is said."""


class Setting(Struct, frozen=True, gc=False, cache_hash=True):
    """Tokens of context for each sequence, sequences at once, the engine and its options by their own names.

    `backend` is what llama.cpp computes with where the options do not say it. For a task other than inference
    `context` is the length of a sequence, and `batch` the sequences that a GPU works on at once.
    """

    context: int = 8192
    batch: int = 1
    engine: str = "llama.cpp"
    options: tuple[tuple[str, Any], ...] = ()
    backend: str = "cuda"
    task: Task = "inference"

    @property
    def given(self) -> dict[str, Any]:
        """The options as a mapping."""
        return dict(self.options)


DEFAULT = Setting()


def make_setting(  # noqa: PLR0913, PLR0917 (what a setting has)
    context: int,
    batch: int,
    engine: str | None = None,
    options: Mapping[str, Any] | None = None,
    backend: str = "cuda",
    task: str = "inference",
) -> Setting:
    """A setting that has been checked; without an engine it is llama.cpp, and transformers for training.

    Raises:
        UsageError: the engine or the task is not known, a number is not positive, or the value of an option is not a
            plain one.
    """
    if task not in TASKS:
        raise UsageError(f"{task!r} is not a task. Known: {', '.join(TASKS)}")
    known = ENGINES if task == "inference" else TRAINING_ENGINES
    engine = engine or ("llama.cpp" if task == "inference" else "transformers")
    if engine not in known:
        kind = "an engine" if task == "inference" else "a framework for training"
        raise UsageError(f"{engine!r} is not {kind} that gpucheck estimates. Known: {', '.join(known)}")
    if context < 1 or batch < 1:
        raise UsageError("context and batch are counted from 1")
    given = dict(options or {})
    for name, value in given.items():
        listed = task != "inference" and isinstance(value, (list, tuple))  # lora_targets is a list of names
        if listed and all(isinstance(part, str) for part in value):
            given[name] = ",".join(value)
        elif not isinstance(value, (str, int, float, type(None))):
            raise UsageError(f"the option {name} takes a number, a word, or true or false, not {value!r}")
    return Setting(context, batch, engine, tuple(sorted(given.items())), backend, task)
