"""The fuzzing campaign: mutated texts for every parser, mutated recordings, and answers of any type.

    python -m benchmarks.fuzz                         100,000 inputs, shared out over all targets
    python -m benchmarks.fuzz --runs 500000 --seed 2  more, and others
    python -m benchmarks.fuzz --only cpuinfo:1:77     one input again: target, seed and number
    python -m benchmarks.fuzz --atheris 120           as many seconds of coverage-guided fuzzing besides
    python -m benchmarks.fuzz --write                 puts the result into benchmarks/README.md

Only errors that a function documents may be raised; no input may take 2 seconds or 400 MiB; and what comes out must
be what the types say: every result fits in JSON, and a report can be read back as the type that it was.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console

from benchmarks.fuzz_mutate import any_value, mutate
from benchmarks.fuzz_targets import RECORDING_ERRORS, ROOT, TARGETS, Target, corpus, recordings
from gpucheck import api
from gpucheck.host.answer import Answer
from gpucheck.host.recording import Recording, parse_recording, to_json
from gpucheck.report.document import Report, Tool
from gpucheck.report.document import to_json as document_json
from gpucheck.report.text import print_document

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- fuzz: begin -->", "<!-- fuzz: end -->"
SECONDS_LIMIT, HANG_S, MEMORY_LIMIT_MIB = 2.0, 20.0, 400.0
BYTES, TEXTS, TYPES = "recordings, bytes", "recordings, texts", "answers of any type"
# Small ones of every kind, so that each of their answers gets its turn.
TYPED = (
    "card-rtx-4090", "h100-mig", "amd-rx7900xtx", "amd-rocm-smi-warning", "apple-m4-max-128", "windows-laptop-hybrid",
    "wsl2-rtx3080", "unified-gb10", "unified-jetson-orin-64", "intel-arc-b580-xe", "container-4gib", "gaudi2-x8",
)  # fmt: skip


class HangError(BaseException):
    """An input that does not come to an end; no `except Exception` may swallow it."""


class Tally(Struct):
    """What one target came to."""

    name: str
    inputs: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    failures: dict[str, str] = {}  # a reproducer by exception and place


class Case(Struct, frozen=True):
    """A target with its inputs: `make` draws one, `check` feeds it and returns whether it was refused."""

    name: str
    make: Callable[[random.Random], Any]
    check: Callable[[Any], bool]


def parser_case(target: Target) -> Case:
    """Mutations of the texts that a parser reads."""
    texts = corpus(target)

    def make(draw: random.Random) -> str:
        return mutate(draw, draw.choice(texts), texts).decode(errors="replace")

    return Case(target.name, make, lambda text: call_all(target, text))


def call_all(target: Target, text: str) -> bool:
    """Each of a target's functions on one text; what they return must fit in JSON."""
    refused = False
    for call in target.calls:
        try:
            found = call(text)
        except target.allowed as error:
            found, refused = str(error), True
        msgspec.json.encode(found)
    return refused


def report_of(recording: Recording) -> None:
    """A whole report of a recording, as JSON that its own type reads, and as a page."""
    machine = api.replay(recording)
    broken = [issue for issue in machine.issues if issue.code == "probe_failed"]
    assert not broken, broken
    assert machine.category is not None
    report = Report(
        tool=Tool(name="gpucheck", version="0"),
        machine=machine,
        category=machine.category,
        fit=api.fits(machine),
        findings=api.problems(machine),
    )
    text = document_json(report)
    again = msgspec.json.encode(msgspec.json.decode(text, type=Report))
    assert msgspec.json.decode(again) == msgspec.json.decode(text), "it reads back as something else"
    print_document(report, Console(file=io.StringIO(), width=80, color_system=None), False)


def recording_cases() -> Iterator[Case]:
    """Recordings with mutated bytes, with mutated texts, and with answers replaced by values of any type."""
    every = list(recordings().values())
    files = [to_json(recording) for recording in every]

    def make_bytes(draw: random.Random) -> bytes:
        return mutate(draw, draw.choice(files), files)

    def check_bytes(data: bytes) -> bool:
        try:
            recording = parse_recording(data, "fuzzed")
        except RECORDING_ERRORS:
            return True
        report_of(recording)
        return False

    def make_texts(draw: random.Random) -> Recording:
        chosen, share = draw.choice(every), draw.choice((0.01, 0.05, 0.3))
        return _replaced(chosen, lambda _, value: _texts(draw, value) if draw.random() < share else value)

    def make_types(draw: random.Random) -> Recording:
        chosen = recordings()[draw.choice(TYPED)]
        one = draw.choice([(section, key) for section, answers in chosen.answers.items() for key in answers])
        return _replaced(chosen, lambda at, value: any_value(draw, value) if at == one else value)

    def check(recording: Recording) -> bool:
        return check_bytes(to_json(recording))

    yield Case(BYTES, make_bytes, check_bytes)
    yield Case(TEXTS, make_texts, check)
    yield Case(TYPES, make_types, check)


def _replaced(recording: Recording, change: Callable[[tuple[str, str], Any], Any]) -> Recording:
    answers = {
        section: {
            key: answer if answer.error is not None else Answer(change((section, key), answer.value))
            for key, answer in found.items()
        }
        for section, found in recording.answers.items()
    }
    return msgspec.structs.replace(recording, answers=answers)


def _texts(draw: random.Random, value: Any) -> Any:
    """A value whose texts are mutated, its shape kept."""
    if isinstance(value, str):
        data = value.encode()
        return mutate(draw, data, [data])[: 1 << 15].decode(errors="replace")
    if isinstance(value, dict):
        return {key: _texts(draw, inner) for key, inner in value.items()}
    return [_texts(draw, inner) for inner in value] if isinstance(value, list) else value


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


def all_cases() -> list[Case]:
    """Every target."""
    return [*map(parser_case, TARGETS), *recording_cases()]


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


def peak_mib() -> float:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def summary(tallies: list[Tally], seconds: float, guided: list[str]) -> str:
    """The result as a paragraph and a table."""
    total, failures = sum(tally.inputs for tally in tallies), sum(len(tally.failures) for tally in tallies)
    lines = [
        f"{total:,} inputs to {len(tallies)} targets in {seconds:.0f} s: {failures} failures. Peak memory"
        f" {peak_mib():.0f} MiB. Refused are inputs that ended in a documented error.",
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
    if options.only:
        name, seed, number = options.only.rsplit(":", 2)
        case = next(case for case in all_cases() if case.name == name)
        tallies = [Tally(name)]
        run(case, int(seed), int(number), tallies[0])
    else:
        tallies = campaign(options.runs, options.seed)
    seconds = time.monotonic() - begin
    failures = [line for tally in tallies for line in tally.failures.values()]
    if peak_mib() > MEMORY_LIMIT_MIB:
        failures.append(f"{peak_mib():.0f} MiB of memory")
    guided: list[str] = []
    if options.atheris:
        from benchmarks.fuzz_guided import guided_campaign

        guided, crashes = guided_campaign(options.atheris, options.seed)
        failures += crashes
    text = summary(tallies, seconds, guided)
    for line in failures:
        print(line)
    print(text)
    if options.write:
        head, rest = README.read_text(encoding="utf-8").split(BEGIN)
        README.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
