"""How the report's time grows with GPUs, and what a hanging one costs: replays with delays like a driver's.

    python benchmarks/many_gpus.py           prints the table
    python benchmarks/many_gpus.py --write   puts it into benchmarks/README.md

An NVML call takes 0.05 to 1 ms on an idle board with persistence mode, and the first one on each board some
milliseconds. Here every NVML answer waits 1 ms, the first one of each board 10 ms, every file 20 µs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from gpucheck.host.answer import TIMEOUT, Answer
from gpucheck.host.host import Host, Section
from gpucheck.host.recording import ReplaySource, read_recording
from gpucheck.machine.inspect import inspect_host

ROOT = Path(__file__).resolve().parent.parent
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- gpus: begin -->", "<!-- gpus: end -->"
NVML_S, FIRST_S, FILE_S = 0.001, 0.010, 0.00002
BUDGET = 1.5


class SlowSource:
    """A recording whose answers take as long as a driver's; one board may hang until its time limit."""

    def __init__(self, boards: int, hanging: str | None = None) -> None:
        """The first `boards` of the node with eight H100."""
        self._replay = ReplaySource(read_recording(ROOT / "fixtures" / "h100-x8.json"))
        self._boards = boards
        self._hanging = hanging
        self._met: set[str] = set()

    def answer(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:
        """The recorded answer, later."""
        if section == "nvml":
            board = key.partition("/")[0].partition("-")[0]
            if board == self._hanging:
                time.sleep(timeout_s)
                return Answer(error=TIMEOUT, detail=f"no answer in {timeout_s:g} s")
            time.sleep(NVML_S if board in self._met else FIRST_S)
            self._met.add(board)
        elif section in {"file", "dir", "link"}:
            time.sleep(FILE_S)
        if key == "system/DeviceCount":
            return Answer(self._boards)
        answer = self._replay.answer(section, key, timeout_s)
        if key == "/sys/bus/pci/devices":
            return Answer(answer.value[: self._boards + 1])  # after the host bridge
        return answer


def seconds(boards: int, runs: int, hanging: str | None = None) -> float:
    """The median time of one inspection."""
    times = []
    for _ in range(runs):
        host = Host(SlowSource(boards, hanging), "recording")
        begin = time.perf_counter()
        machine = inspect_host(host)
        times.append(time.perf_counter() - begin)
        assert len(machine.gpus) == boards
    return statistics.median(times)


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    one, eight = seconds(1, options.runs), seconds(8, options.runs)
    ill = seconds(8, 1, hanging="gpu5")
    text = (
        "| inspection | median | ratio |\n|---|---:|---:|\n"
        f"| one H100 of the same node | {one * 1000:.0f} ms | 1.00 |\n"
        f"| eight H100 with NVLink and every pair asked | {eight * 1000:.0f} ms | {eight / one:.2f}"
        f" (budget {BUDGET}{' ✓' if eight <= BUDGET * one else ' ✗'}) |\n"
        f"| the same, one board hanging at its first question | {ill:.1f} s | its time limit and no more |"
    )
    print(text)
    if options.write:
        head, rest = README.read_text(encoding="utf-8").split(BEGIN)
        README.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


main()
