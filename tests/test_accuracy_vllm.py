"""What vLLM told of at its start, against what gpucheck says: the rows of `benchmarks/truth/vllm.csv`."""

from __future__ import annotations

import re

import pytest

from benchmarks import memory_rows
from benchmarks.accuracy_vllm import (
    BESIDE,
    END_POOL,
    END_TOKENS,
    FIGURES,
    HELD_OUT,
    LOOKED_AT,
    NEED,
    POOL,
    STEP,
    WEIGHTS,
    by_half,
    half,
    reason,
    scored,
    truths,
)
from gpucheck.models.quantization import find_quantization

ROWS = truths()
SCORES = by_half(list(scored(ROWS)))
# Rows, median and 90th percentile of the absolute error, and truths inside the band, as measured.
MEASURED = {
    (WEIGHTS, LOOKED_AT): (6, 0.0032, 0.1988, 4),
    (WEIGHTS, HELD_OUT): (10, 0.0001, 0.0270, 8),
    (POOL, LOOKED_AT): (3, 0.0, 0.0092, 2),
    (POOL, HELD_OUT): (4, 0.0002, 0.0009, 4),
    (NEED, LOOKED_AT): (3, 0.0, 0.0063, 2),
    (NEED, HELD_OUT): (2, 0.0005, 0.0008, 2),
    (STEP, HELD_OUT): (3, 0.28, 0.489, 2),
    (BESIDE, HELD_OUT): (3, 0.924, 0.955, 1),
    (END_POOL, HELD_OUT): (2, 0.0467, 0.054, 1),
    (END_TOKENS, HELD_OUT): (6, 0.1322, 0.346, 3),
}
_COLUMNS_GIB = {
    "weights": "weights_gib", "non_torch": "beside_gib", "activation_peak": "step_gib",
    "kv_cache_available": "pool_gib", "kv_cache_capacity": "tokens",
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['source']} {index}" for index, row in enumerate(ROWS)])
def test_a_row_is_whole(row: memory_rows.Truth) -> None:
    """Each row has its thread, a format that is known, something that was measured, and numbers that parse."""
    assert re.fullmatch(r"github:[\w.-]+/[\w.-]+ (issue|PR) #\d+", row["source"])
    find_quantization(row["quant"])
    assert row["left_out"] or memory_rows.model(row["model"]) is not None
    told = [row[name] for name in ("weights_gib", "step_gib", "beside_gib", "pool_gib", "tokens", "need_gib")]
    assert any(told)
    assert all(float(number) > 0 for number in told if number)
    assert int(row["tensor_parallel"]) >= 1
    assert bool(row["utilization"]) or not row["gpu_gib"]


def test_no_row_is_dropped_in_silence() -> None:
    """Every row has a score or a reason to have none, and both halves are there."""
    named = {id(row) for row, _ in scored(ROWS)}
    assert all(id(row) in named or reason(row) for row in ROWS)
    assert len([row for row in ROWS if half(row) == HELD_OUT]) >= len(ROWS) / 3
    assert {score.group for scores in SCORES.values() for score in scores} <= set(FIGURES)


def test_every_vllm_row_of_the_table_of_memory_is_here() -> None:
    """What `truth/memory.csv` says of vLLM is told here with its settings, to the digits that were printed."""
    missing = []
    for truth in memory_rows.truths():
        if truth["engine"] != "vllm":
            continue
        column = _COLUMNS_GIB[truth["component"].removesuffix("_per_gpu")]
        same = [
            row[column]
            for row in ROWS
            if row["source"] == truth["source"] and row[column] and row["tensor_parallel"] == truth["gpus"]
        ]
        told = int(truth["tokens"] or 0) or int(truth["bytes"]) / 1024**3
        if not any(float(number) == pytest.approx(told, abs=0.005) for number in same):
            missing.append((truth["source"], truth["component"]))
    assert missing == []


def test_the_figures_are_those_that_were_measured() -> None:
    """Nothing that is scored lacks its ceiling, and no ceiling its rows."""
    assert {key: len(scores) for key, scores in SCORES.items()} == {key: rows for key, (rows, *_) in MEASURED.items()}


@pytest.mark.parametrize("key", list(MEASURED), ids=" ".join)
def test_a_figure_is_no_worse_than_it_was(key: tuple[str, str]) -> None:
    """Errors are no larger than those measured, and truths no less often inside the band."""
    _, middle, p90, inside = MEASURED[key]
    now = memory_rows.middle_and_p90(SCORES[key])
    assert now[0] <= middle + 0.0001
    assert now[1] <= p90 + 0.0001
    assert sum(score.inside for score in SCORES[key]) >= inside
