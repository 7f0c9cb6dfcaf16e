"""Start-up time and peak memory of whole processes, against the budgets and against bare Python in the same run.

    python benchmarks/startup.py            prints the table
    python benchmarks/startup.py --runs 31  more runs
    python benchmarks/startup.py --write    puts the table into benchmarks/README.md

Every command is run in turn, round after round, so that a machine that speeds up or slows down meets all alike.
Medians are of wall time; the ratio is the median of each round's own ratio to bare Python. Peak memory is what the
operating system accounts to the finished process.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import gpucheck

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- startup: begin -->", "<!-- startup: end -->"
COMMAND = Path(sys.executable).with_name("gpucheck")


@dataclass
class Case:
    """One command with its budgets; `above_bare` counts from bare Python's time."""

    label: str
    argv: list[str]
    budget_ms: float | None = None
    budget_mib: float | None = None
    above_bare: bool = False
    times_ms: list[float] = field(default_factory=list)
    peaks_mib: list[float] = field(default_factory=list)


def cases() -> list[Case]:
    """The commands that have a budget, and what they are compared with."""
    gpucheck_command = str(COMMAND)
    return [
        Case("bare Python", [sys.executable, "-c", "pass"]),
        Case("import click", [sys.executable, "-c", "import click"]),
        Case("import gpucheck", [sys.executable, "-c", "import gpucheck"], 25, above_bare=True),
        Case("gpucheck --version", [gpucheck_command, "--version"], 60),
        Case("gpucheck --json", [gpucheck_command, "--json"], 110, 45),
        Case("gpucheck (text)", [gpucheck_command], 180, 45),
    ]


def run(case: Case) -> None:
    """Run the command once and keep its time and peak memory."""
    begin = time.perf_counter()
    with subprocess.Popen(case.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        elapsed = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(case.argv)} exited with {child.returncode}")
    case.times_ms.append(elapsed * 1000)
    case.peaks_mib.append(usage.ru_maxrss / 1024)


def table(measured: list[Case]) -> str:
    """The results as Markdown."""
    bare = measured[0]
    lines = [
        "| command | median | fastest to slowest | times bare Python | budget | peak memory | budget |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case in measured:
        median = statistics.median(case.times_ms)
        ratio = statistics.median(a / b for a, b in zip(case.times_ms, bare.times_ms, strict=True))
        budget = "" if case.budget_ms is None else f"{'bare + ' if case.above_bare else ''}{case.budget_ms:.0f} ms"
        limit = case.budget_ms if not case.above_bare else (case.budget_ms or 0) + statistics.median(bare.times_ms)
        kept = "" if limit is None else (" ✓" if median <= limit else " ✗")
        peak = statistics.median(case.peaks_mib)
        room = (
            "" if case.budget_mib is None else f"{case.budget_mib:.0f} MiB{' ✓' if peak <= case.budget_mib else ' ✗'}"
        )
        span = f"{min(case.times_ms):.0f} to {max(case.times_ms):.0f} ms"
        lines.append(
            f"| `{case.label}` | {median:.0f} ms | {span} | {ratio:.1f} | {budget}{kept} | {peak:.0f} MiB | {room} |"
        )
    return "\n".join(lines)


def about(runs: int) -> str:
    """What was measured where."""
    machine = gpucheck.inspect()
    return (
        f"{runs} rounds; {machine.cpu.name}, {machine.cpu.usable_cores:g} cores, {len(machine.gpus)} GPUs,"
        f" Python {platform.python_version()}, gpucheck {gpucheck.__version__}, {time.strftime('%Y-%m-%d')}."
    )


def main() -> None:
    """Measure and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    measured = cases()
    for case in measured:
        run(case)  # warms the disk cache and the bytecode
        case.times_ms.clear()
        case.peaks_mib.clear()
    for _ in range(options.runs):
        for case in measured:
            run(case)
    text = f"{table(measured)}\n\n{about(options.runs)}"
    print(text)
    if options.write:
        old = README.read_text(encoding="utf-8")
        head, rest = old.split(BEGIN)
        README.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


main()
