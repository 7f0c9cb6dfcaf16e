"""The committed report on memory holds: the key figures, worked out again from the rows in `benchmarks/truth`."""

from __future__ import annotations

import csv
import json

import pytest

from benchmarks import memory_rows
from benchmarks.accuracy_memory import BEGIN, END, README
from benchmarks.memory_rows import (
    ALL,
    EVERY_TRAINING,
    GOALS,
    KV,
    KV_IK,
    MISSED,
    NO_PEAK,
    PEAK,
    RESIDENT,
    SHAPES,
    TRUTH,
    WEIGHTS,
    Score,
    truths,
)
from benchmarks.memory_scores import oracle_scores, scored

SCORES = memory_rows.groups([*(score for _, score in scored(truths())), *oracle_scores()])


REACHED = [name for name in GOALS if name not in MISSED]


@pytest.mark.parametrize("name", REACHED)
def test_a_figure_reaches_its_goal(name: str) -> None:
    """Median and 90th percentile of the errors stay under the stated goals."""
    middle, p90 = memory_rows.middle_and_p90(SCORES[name])
    assert middle <= GOALS[name].median
    assert p90 <= GOALS[name].p90


@pytest.mark.parametrize("name", sorted(MISSED))
def test_a_missed_goal_is_called_one(name: str) -> None:
    """A figure that the report says misses its goal does: one that comes to reach it leaves the list."""
    middle, p90 = memory_rows.middle_and_p90(SCORES[name])
    assert middle > GOALS[name].median or p90 > GOALS[name].p90


@pytest.mark.parametrize("name", REACHED)
def test_nine_of_ten_truths_lie_inside_a_band_of_ten_percent(name: str) -> None:
    """Bands hold what they claim, and are narrow enough to be of use."""
    rows = SCORES[name]
    assert sum(score.inside for score in rows) >= 0.9 * len(rows)
    assert sorted(score.half_width for score in rows)[len(rows) // 2] <= 0.1


@pytest.mark.parametrize("name", [KV, KV_IK])
def test_caches_of_logs_are_met_to_the_digit_that_is_printed(name: str) -> None:
    """Every cache that a log prints is the one that is worked out; windows, latents and quantized types as well."""
    assert [score.name for score in SCORES[name] if not score.inside] == []


def test_no_measured_row_is_dropped_in_silence() -> None:
    """Every row is either scored or has a reason not to be."""
    rows = truths()
    kept = [row for row, score in scored(rows) if score.group not in {ALL, NO_PEAK, EVERY_TRAINING}]
    left = [row for row in rows if memory_rows.reason(row)]
    assert len(kept) + len(left) == len(rows)
    assert {score.group for score in SCORES[WEIGHTS]} == {WEIGHTS}
    assert len(SCORES[PEAK]) > 50
    assert len(SCORES[RESIDENT]) > 30


def committed() -> dict[str, list[str]]:
    """The cells of the first table that README.md has, by the name of the figure."""
    text = README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n\n")[0].splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


def test_the_committed_report_has_every_figure() -> None:
    """What is printed today is in README.md, under the same names, and nothing else."""
    assert set(committed()) == set(SCORES)


@pytest.mark.parametrize("name", list(GOALS))
def test_the_committed_figures_hold(name: str) -> None:
    """Errors are no larger than README.md says, and truths no less often inside the band."""
    rows, middle, p90, inside, *_ = committed()[name]
    now = memory_rows.middle_and_p90(SCORES[name])
    assert len(SCORES[name]) >= int(rows)
    assert now[0] <= share(middle) + rounding(middle)
    assert now[1] <= share(p90) + rounding(p90)
    assert sum(score.inside for score in SCORES[name]) / len(SCORES[name]) >= share(inside) - 0.01


def share(cell: str) -> float:
    """A cell with a percentage, as a ratio."""
    return float(cell.rstrip("%")) / 100


def rounding(cell: str) -> float:
    """Half of the last digit that a cell shows: errors from 10 % on have no decimals."""
    return 0.0005 if "." in cell or cell == "0" else 0.005


def test_every_row_of_the_tables_names_its_source() -> None:
    """Measured rows and shapes say where they were read."""
    with TRUTH.open(encoding="utf-8", newline="") as file:
        assert all(row["source"] for row in csv.DictReader(file))
    shapes = [json.loads(line) for line in SHAPES.read_text(encoding="utf-8").splitlines()]
    assert all(shape["source"] and ("config" in shape or "like" in shape) for shape in shapes)


def test_a_prediction_that_is_too_high_has_a_positive_error() -> None:
    """Errors are relative to the truth; the band is judged by its ends."""
    score = Score("group", "name", 100, 110, 90, 105)
    assert score.error == pytest.approx(0.1)
    assert score.inside
    assert not Score("group", "name", 100, 110, 101, 120).inside
