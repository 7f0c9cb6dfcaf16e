"""How closely gpucheck predicts what vLLM tells of at its start: weights, caches, and the tokens that its pool holds.

    python -m benchmarks.accuracy_vllm [--rows]

`truth/vllm.csv` has a start of vLLM in each row, with the thread that it is from, and what had to be assumed. Threads
of even number were looked at while the estimator was mended; those of odd number are held out. The starts are of
releases from 0.2 to 0.26, the formulas are of 0.33.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.memory_rows import Score, Truth, middle_and_p90, model
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.vllm.estimate import estimate_vllm, serving, tokens_in
from gpucheck.models.model import Model
from gpucheck.models.quantization import find_quantization
from gpucheck.units import GIB

TRUTH = Path(__file__).parent / "truth" / "vllm.csv"
LOOKED_AT, HELD_OUT = "looked at", "held out"
WEIGHTS, POOL, NEED = "weights of a GPU", "tokens in the pool told of", "cache of one sequence"
STEP, BESIDE = "peak of the profile run", "memory that is not torch's"
END_POOL, END_TOKENS = "pool, end to end", "tokens, end to end"
FIGURES = (WEIGHTS, POOL, NEED, STEP, BESIDE, END_POOL, END_TOKENS)
_OPTIONS = {"kv_type": "kv_cache_dtype", "utilization": "gpu_memory_utilization"} | {
    name: name for name in ("max_model_len", "max_num_seqs", "max_num_batched_tokens")
}
# From this release on graphs are set aside (its own log says so: vllm #46462).
_GRAPHS_SINCE = (0, 21)


def truths() -> list[Truth]:
    """The rows of the table."""
    with TRUTH.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def half(row: Truth) -> str:
    """Whether a row was looked at or held out, by the number of its thread."""
    return HELD_OUT if int(row["source"].rpartition("#")[2]) % 2 else LOOKED_AT


def reason(row: Truth) -> str | None:
    """Why nothing of a row, or not its tokens, can be scored; None if all is."""
    if row["left_out"]:
        return row["left_out"]
    if row["tokens"] and not row["pool_gib"] and not row["gpu_gib"]:
        return "tokens without the pool, and without the memory or the share of the GPU"
    return None


def scored(rows: list[Truth]) -> Iterator[tuple[Truth, Score]]:
    """Every figure that can be scored, with its row."""
    for row in rows:
        if not row["left_out"]:
            for score in _scores(row):
                yield row, score


def _scores(row: Truth) -> Iterator[Score]:
    known = model(row["model"])
    assert known is not None
    setting, ranks = _setting(row), int(row["tensor_parallel"])
    device = _bytes(row, "gpu_gib") or None
    estimate = estimate_vllm(known, find_quantization(row["quant"]), setting, ranks, device)
    weights, cache, step, beside, _ = estimate.rows
    if row["weights_gib"]:
        yield _of_row(row, WEIGHTS, "weights_gib", weights, ranks)
    if row["pool_gib"] and row["tokens"]:
        sizes = (_bytes(row, "pool_gib") + way * _digit(row, "pool_gib") for way in (0, -1, 1))
        yield Score(POOL, _name(row), int(row["tokens"]), *(tokens_in(known, setting, ranks, size) for size in sizes))
    if row["need_gib"]:
        size, digit = cache.bytes // ranks, _digit(row, "need_gib")
        yield Score(NEED, _name(row), _bytes(row, "need_gib"), size, size - digit, size + digit)
    if row["step_gib"]:
        yield _of_row(row, STEP, "step_gib", step, ranks)
    if row["beside_gib"] and not _graphs(row):
        yield _of_row(row, BESIDE, "beside_gib", beside, ranks)
    if device and (row["pool_gib"] or row["tokens"]):
        yield _end_to_end(row, known, setting, estimate, device)


def _end_to_end(row: Truth, known: Model, setting: Setting, estimate: Estimate, device: int) -> Score:
    """Tokens, or the pool where no tokens are told of; the band is that of what lies beside the pool."""
    ranks = int(row["tensor_parallel"])
    found = serving(known, find_quantization(row["quant"]), setting, ranks, device)
    share = round(device * float(row["utilization"]))
    taken = [part for index, part in enumerate(estimate.rows) if index in {0, 2, 3}]
    least = share - sum(part.high_bytes for part in taken) // ranks
    most = share - sum(part.low_bytes for part in taken) // ranks
    if not row["tokens"]:
        return Score(END_POOL, _name(row), _bytes(row, "pool_gib"), found.pool_bytes, least, most)
    bounds = (tokens_in(known, setting, ranks, size, device) for size in (least, most))
    return Score(END_TOKENS, _name(row), int(row["tokens"]), found.kv_tokens, *bounds)


def _setting(row: Truth) -> Setting:
    options = {option: row[name] for name, option in _OPTIONS.items() if row[name]}
    options["tensor_parallel_size"] = row["tensor_parallel"]
    if not _graphs(row):
        options["enforce_eager"] = "true"  # as these releases, which set nothing aside for graphs
    return Setting(int(row["max_model_len"] or 8192), 1, "vllm", tuple(sorted(options.items())))


def _graphs(row: Truth) -> bool:
    """Whether the release sets graphs aside; one that is not known counts as new."""
    numbers = row["vllm"].split("rc")[0].split(".")
    if len(numbers) < len(_GRAPHS_SINCE):
        return True
    return tuple(int(number) for number in numbers[:2]) >= _GRAPHS_SINCE


def _of_row(row: Truth, group: str, column: str, part: Row, ranks: int) -> Score:
    bounds = (size // ranks for size in (part.bytes, part.low_bytes, part.high_bytes))
    return Score(group, _name(row), _bytes(row, column), *bounds)


def _bytes(row: Truth, column: str) -> int:
    return round(float(row[column] or 0) * GIB)


def _digit(row: Truth, column: str) -> int:
    """Half of the last digit that is printed, in bytes."""
    return round(0.5 / 10 ** len(row[column].partition(".")[2]) * GIB)


def _name(row: Truth) -> str:
    ranks = f" over {row['tensor_parallel']}" if row["tensor_parallel"] != "1" else ""
    return f"{row['model'].rpartition('/')[2]} {row['quant']}{ranks}"


def by_half(pairs: list[tuple[Truth, Score]]) -> dict[tuple[str, str], list[Score]]:
    """The scores by figure and by half."""
    found: dict[tuple[str, str], list[Score]] = {(name, part): [] for name in FIGURES for part in (LOOKED_AT, HELD_OUT)}
    for row, score in pairs:
        found[score.group, half(row)].append(score)
    return {key: scores for key, scores in found.items() if scores}


def report() -> str:
    """The table of errors, and what is not scored."""
    rows = truths()
    lines = [
        "| figure | rows of threads | rows | median | p90 | worst | inside the band |",
        "|---|---|---:|---:|---:|---|---:|",
    ]
    for (name, part), scores in by_half(list(scored(rows))).items():
        middle, p90 = middle_and_p90(scores)
        worst = max(scores, key=lambda score: abs(score.error))
        inside = sum(score.inside for score in scores)
        lines.append(
            f"| {name} | {part} | {len(scores)} | {middle:.2%} | {p90:.2%} | {worst.error:+.2%} {worst.name} |"
            f" {inside} of {len(scores)} |"
        )
    left = Counter(why for row in rows if (why := reason(row)))
    lines += ["", f"{len(rows)} starts; in {sum(bool(row['assumed']) for row in rows)} something is assumed.", ""]
    return "\n".join([*lines, "Not scored:", "", *(f"- {count} {why}" for why, count in left.most_common())])


def main() -> None:
    """Print the report, and every row if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", action="store_true", help="every figure, too")
    if parser.parse_args().rows:
        for row, score in scored(truths()):
            sizes = f"{score.truth:>15,} {score.guess:>15,} {score.error:+8.2%} {'' if score.inside else 'outside'}"
            print(f"{score.group:28} {sizes:48} {score.name}  {row['source']}")
    print(report())


if __name__ == "__main__":
    main()
