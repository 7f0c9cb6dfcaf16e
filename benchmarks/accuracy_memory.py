"""How closely gpucheck predicts measured memory: files, caches, buffers and peaks, by engine.

    python -m benchmarks.accuracy_memory [--write]

Prints, for each group of rows in `truth/`, the errors, the share of truths inside the band, and the worst cases;
`--write` puts the tables into README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.memory_rows import GOALS, PEAK, RESIDENT, Score, groups, middle_and_p90, reason, truths
from benchmarks.memory_scores import oracle_scores, scored

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- memory: begin -->", "<!-- memory: end -->"
_WORST = 5
_NOTICED = 0.001  # a case that is off by less is not listed


def table(scores: dict[str, list[Score]]) -> str:
    """One line for each group."""
    lines = [
        "| figure | rows | median | p90 | inside the band | band, half | goal |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, rows in scores.items():
        middle, p90 = middle_and_p90(rows)
        inside = sum(score.inside for score in rows) / len(rows)
        width = median(score.half_width for score in rows)
        lines.append(
            f"| {name} | {len(rows)} | {_percent(middle)} | {_percent(p90)} | {inside:.0%} | ±{_percent(width)} |"
            f" {_goal(name, middle, p90)} |"
        )
    return "\n".join(lines)


def _percent(value: float) -> str:
    return "0" if value < 0.00005 else f"{value:.2%}" if value < 0.1 else f"{value:.0%}"


def _goal(name: str, middle: float, p90: float) -> str:
    goal = GOALS.get(name)
    if goal is None:
        return ""
    met = middle <= goal.median and p90 <= goal.p90
    return f"{goal.median:.2%}, {goal.p90:.1%} {'✓' if met else '✗'}"


def by_format(scores: Iterable[tuple[str, Score]]) -> str:
    """The peaks of transformers by the format of the weights."""
    found: dict[str, list[Score]] = {}
    for quant, score in scores:
        found.setdefault(quant, []).append(score)
    lines = ["| transformers, by format | rows | median | p90 | worst |", "|---|---:|---:|---:|---:|"]
    for quant, rows in found.items():
        middle, p90 = middle_and_p90(rows)
        worst = max(rows, key=_size)
        lines.append(
            f"| {quant} | {len(rows)} | {_percent(middle)} | {_percent(p90)} | {worst.error:+.2%} {worst.name} |"
        )
    return "\n".join(lines)


def worst_cases(scores: dict[str, list[Score]]) -> str:
    """The cases of each group that are furthest off, each name once."""
    lines = []
    for name, rows in scores.items():
        ordered = sorted((score for score in rows if abs(score.error) > _NOTICED), key=_size, reverse=True)
        worst = dict.fromkeys(score.name for score in ordered)
        named = {score.name: score for score in reversed(ordered)}
        if worst:
            shown = "; ".join(f"{case} {named[case].error:+.1%}" for case in list(worst)[:_WORST])
            lines.append(f"- {name}: {shown}")
    return "\n".join(lines)


def _size(score: Score) -> float:
    return abs(score.error)


def _of_transformers(score: Score) -> bool:
    return score.group.startswith((PEAK, RESIDENT))


def report() -> str:
    """Everything, as text that README.md takes as it is."""
    rows = truths()
    left = Counter(why for row in rows if (why := reason(row)))
    measured = list(scored(rows))
    peaks = [(f"{row['quant']}, {row['measure']}", score) for row, score in measured if _of_transformers(score)]
    scores = groups([*(score for _, score in measured), *oracle_scores()])
    return "\n\n".join(
        (
            table(scores),
            by_format(peaks),
            f"Furthest off:\n\n{worst_cases(scores)}",
            f"Of {len(rows)} measured rows {sum(left.values())} are not scored:\n\n"
            + "\n".join(f"- {count} {why}" for why, count in left.most_common()),
        )
    )


def main() -> None:
    """Print the report, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into README.md")
    options = parser.parse_args()
    text = report()
    print(text)
    if options.write:
        head, rest = README.read_text(encoding="utf-8").split(BEGIN)
        README.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
