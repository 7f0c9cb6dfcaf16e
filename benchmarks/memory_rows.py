"""The rows of measured memory, the models that they are of, and how errors are summed up.

`truth/memory.csv` holds what engines, logs and makers' tables say, each row with its source; `truth/shapes.jsonl` the
shapes of models that are not in gpucheck's catalogue.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from statistics import median, quantiles

from msgspec import Struct

from gpucheck.errors import UnknownNameError
from gpucheck.models.catalogue import model_of
from gpucheck.models.config import read_config
from gpucheck.models.model import Model

HERE = Path(__file__).parent
TRUTH = HERE / "truth" / "memory.csv"
SHAPES = HERE / "truth" / "shapes.jsonl"
Truth = dict[str, str]


class Score(Struct, frozen=True):
    """One measured figure and what gpucheck says of it, in bytes."""

    group: str
    name: str
    truth: int
    guess: int
    low: int
    high: int

    @property
    def error(self) -> float:
        """Relative error, positive where the prediction is too high."""
        return self.guess / self.truth - 1

    @property
    def inside(self) -> bool:
        """Whether the truth lies inside the band."""
        return self.low <= self.truth <= self.high

    @property
    def half_width(self) -> float:
        """Half the width of the band, relative to the prediction."""
        return (self.high - self.low) / 2 / self.guess


class Goal(Struct, frozen=True):
    """What a group is meant to reach: median and p90 of the absolute error."""

    median: float
    p90: float


WEIGHTS = "GGUF weights from the name"
PLAIN = "plain weights by shape"
KV, KV_IK = "KV cache, llama.cpp logs", "KV cache, ik_llama.cpp logs"
PEAK, RESIDENT = "transformers peak", "transformers, after the answer"
NO_PEAK = "the rows after the answer, if they were peaks"
ALL = "every row of transformers with its length, all as peaks"
EVERY_TRAINING = "training peak, every row"
GOALS = {
    EVERY_TRAINING: Goal(0.08, 0.20),
    WEIGHTS: Goal(0.015, 0.04), KV: Goal(0.0001, 0.001), KV_IK: Goal(0.0001, 0.001),
    "KV cache, llama.cpp oracle": Goal(0.0001, 0.001), "KV cache with windows, llama.cpp oracle": Goal(0.0001, 0.001),
    "recurrent state, llama.cpp oracle": Goal(0.0001, 0.001), "compute buffer, llama.cpp oracle": Goal(0.02, 0.08),
    PEAK: Goal(0.015, 0.08), RESIDENT: Goal(0.015, 0.08),
    "transformers oracle, cache and activations": Goal(0.015, 0.08),
}  # fmt: skip
MISSED = frozenset({EVERY_TRAINING})  # goals that are not reached; the report says by how much


def truths() -> list[Truth]:
    """The rows of the table."""
    with TRUTH.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _shapes() -> dict[str, dict[str, object]]:
    return {
        entry["id"]: entry for line in SHAPES.read_text(encoding="utf-8").splitlines() if (entry := json.loads(line))
    }


@cache
def model(name: str) -> Model | None:
    """The model of the catalogue, or of `shapes.jsonl`; None if its shape is not known."""
    entry = _shapes().get(name)
    if entry is None:
        try:
            return model_of(name)
        except UnknownNameError:
            return None
    if like := entry.get("like"):
        return model(str(like))
    config = entry["config"]
    assert isinstance(config, dict)
    read = read_config(config)
    return Model(id=name, source="config", architecture=read.architecture, parts=read.parts)


def number(row: Truth, name: str) -> int:
    """The number in a column, 0 for an empty one."""
    return int(row[name] or 0)


def label(row: Truth) -> str:
    """A row as the report names it."""
    context = f" at {number(row, 'context'):,}" if row["context"] else ""
    batch = f" x{row['batch']}" if row["batch"] not in ("", "1") else ""
    return f"{row['model'].rpartition('/')[2]} {row['quant'] or row['kv_type']}{context}{batch}"


def reason(row: Truth) -> str | None:
    """Why a row is not scored, None if it is."""
    if row["task"] == "overhead":
        return "contexts and other overhead: inputs of the estimators, not predictions"
    if row["task"] != "inference":
        from benchmarks.memory_training import training_reason

        return training_reason(row)
    if row["engine"] == "stable-diffusion.cpp":
        return "diffusion models: see accuracy_diffusion.py"
    if row["engine"] == "vllm" and not row["component"].startswith("weights"):
        return "vLLM's cache, activations and overhead: see accuracy_vllm.py"
    if row["engine"] == "vllm" and row["quant"] != "bf16":
        return "vLLM's own 4-bit format: see accuracy_vllm.py"
    if "sequence length not stated" in row["note"]:
        return "transformers, the length of the sequence is not stated"
    known = model(row["model"])
    if known is None or known.architecture is None:
        return "the shape of the model is not known"
    if row["component"] == "compute_buffer" and "mla=0" not in row["note"] and row["engine"] == "ik_llama.cpp":
        return "ik_llama.cpp's buffers for latent attention: graphs of its own, whose settings are not all recorded"
    return None


def groups(scores: Iterable[Score]) -> dict[str, list[Score]]:
    """Scores by group, those with a goal first."""
    found: defaultdict[str, list[Score]] = defaultdict(list)
    for score in scores:
        found[score.group].append(score)
    order = [*(name for name in GOALS if name in found), *sorted(name for name in found if name not in GOALS)]
    return {name: found[name] for name in order}


def middle_and_p90(scores: list[Score]) -> tuple[float, float]:
    """Median and 90th percentile of the absolute error."""
    sizes = sorted(abs(score.error) for score in scores)
    return median(sizes), quantiles(sizes, n=10, method="inclusive")[-1] if len(sizes) > 1 else sizes[0]
