"""The fuzzing campaign: mutated texts for every parser, mutated recordings, and answers of any type.

    python -m benchmarks.fuzz                         100,000 inputs, shared out over all targets
    python -m benchmarks.fuzz --runs 500000 --seed 2  more, and others
    python -m benchmarks.fuzz --only cpuinfo:1:77     one input again: target, seed and number
    python -m benchmarks.fuzz --atheris 120           as many seconds of coverage-guided fuzzing besides
    python -m benchmarks.fuzz --write                 puts the result into benchmarks/README.md

Only errors that a function documents may be raised; no input may take 2 seconds or 400 MiB; and what comes out must
be what the types say: every result fits in JSON and 64 bits, and a report can be read back as the type that it was.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from benchmarks.fuzz_cases import BYTES, TEXTS, TYPES, Case, all_cases
from benchmarks.fuzz_guided import guided_campaign
from benchmarks.fuzz_targets import TARGETS

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- fuzz: begin -->", "<!-- fuzz: end -->"
SECONDS_LIMIT, HANG_S, MEMORY_LIMIT_MIB = 2.0, 20.0, 400.0


class HangError(BaseException):
    """An input that does not come to an end; no `except Exception` may swallow it."""


class Tally(Struct):
    """What one target came to."""

    name: str
    inputs: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    failures: dict[str, str] = {}  # a reproducer by exception and place


def run(case: Case, seed: int, number: int, tally: Tally) -> None:
    """One input, made from its own seed, so that it can be made again without those before it."""
    given = case.make(random.Random(f"{case.name}:{seed}:{number}"))
    begin = time.perf_counter()
    failure = ""
    try:
        with _alarm():
            tally.refused += case.check(given)
    except (Exception, HangError) as error:  # noqa: BLE001 - what the campaign looks for
        failure = f"{type(error).__name__} at {_place(error)}: {str(error)[:160]}"
    elapsed = time.perf_counter() - begin
    tally.inputs += 1
    tally.slowest_s = max(tally.slowest_s, elapsed)
    if not failure and elapsed > SECONDS_LIMIT:
        failure = f"slower than {SECONDS_LIMIT:g} s"
    if failure:
        place = failure.partition(": ")[0]
        tally.failures.setdefault(place, f"--only '{case.name}:{seed}:{number}' {failure}; {repr(given)[:160]}")


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Ends an input that hangs, where the system has such an alarm."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise HangError(f"not finished in {HANG_S:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _place(error: BaseException) -> str:
    """File and line of the innermost frame in gpucheck."""
    found, trace = "nowhere", error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if "gpucheck/" in path.replace("\\", "/"):
            found = f"{Path(path).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def campaign(runs: int, seed: int) -> list[Tally]:
    """As many inputs, a tenth each for recordings and for answers of any type, the rest for the parsers."""
    shares = {BYTES: runs // 20, TEXTS: runs // 20, TYPES: runs // 10}
    each = -(-(runs - sum(shares.values())) // len(TARGETS))
    tallies = []
    for case in all_cases():
        tally = Tally(case.name)
        for number in range(shares.get(case.name, each)):
            run(case, seed, number, tally)
        tallies.append(tally)
    return tallies


def again(only: str) -> Tally:
    """One input, by what a failure printed of it."""
    name, seed, number = only.rsplit(":", 2)
    tally = Tally(name)
    run(next(case for case in all_cases() if case.name == name), int(seed), int(number), tally)
    return tally


def peak_mib() -> float:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def summary(tallies: list[Tally], seconds: float, guided: list[str]) -> str:
    """The result as a paragraph and a table."""
    total, failures = sum(tally.inputs for tally in tallies), sum(len(tally.failures) for tally in tallies)
    head = f"{total:,} inputs to {len(tallies)} targets in {seconds:.0f} s: {failures} failures,"
    lines = [
        f"{head} at most {peak_mib():.0f} MiB. Refused are inputs that ended in a documented error.",
        *guided,
        "",
        "| target | inputs | refused | failures | slowest |",
        "|---|---:|---:|---:|---:|",
    ]
    for tally in tallies:
        counts = f"{tally.inputs:,} | {tally.refused:,} | {len(tally.failures)} | {tally.slowest_s * 1000:.0f} ms"
        lines.append(f"| {tally.name} | {counts} |")
    return "\n".join(lines)


def main() -> None:
    """Run the campaign, print reproducers of what failed, and exit 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one input: TARGET:SEED:NUMBER")
    parser.add_argument("--atheris", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    begin = time.monotonic()
    with ThreadPoolExecutor(1) as beside:
        guided = beside.submit(guided_campaign, options.atheris, options.seed)
        tallies = [again(options.only)] if options.only else campaign(options.runs, options.seed)
        seconds = time.monotonic() - begin
        told, crashes = guided.result()
    failures = [line for tally in tallies for line in tally.failures.values()] + crashes
    if peak_mib() > MEMORY_LIMIT_MIB:
        failures.append(f"{peak_mib():.0f} MiB of memory")
    text = summary(tallies, seconds, told)
    for line in failures:
        print(line)
    print(text)
    if options.write:
        head, rest = README.read_text(encoding="utf-8").split(BEGIN)
        README.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
