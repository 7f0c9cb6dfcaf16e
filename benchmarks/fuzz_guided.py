"""Coverage-guided fuzzing with atheris, where it is installed (`pip install atheris`): one process per target group.

python -m benchmarks.fuzz_guided GROUP SECONDS SEED    what `fuzz.py --atheris` starts for each of GROUPS
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ("nvidia", "host", "others", "names", "recordings")
MAX_LENGTH = 4096
_COVERED = re.compile(r"cov: (\d+) ft: (\d+)")
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_PEAK = re.compile(r"stat::peak_rss_mb: +(\d+)")


def guided_campaign(seconds: int, seed: int) -> tuple[list[str], list[str]]:
    """A sentence on all groups, and what crashed; the sentence says so where atheris is missing."""
    if not seconds:
        return [], []
    if importlib.util.find_spec("atheris") is None:
        return ["Coverage-guided fuzzing was left out: atheris is not installed."], []
    each, told, crashes, total = max(1, seconds // len(GROUPS)), [], [], 0
    for group in GROUPS:
        command = [sys.executable, "-m", "benchmarks.fuzz_guided", group, str(each), str(seed)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=each + 120,
        )
        executed, peak = _last(_EXECUTED, ended.stderr), _last(_PEAK, ended.stderr)
        total += executed
        told.append(f"{group} {executed:,} (edges {_last(_COVERED, ended.stderr)}, {peak} MiB)")
        if ended.returncode != 0:
            crashes.append(
                f"atheris {group}: exit status {ended.returncode}\n{ended.stderr[-3000:]}{ended.stdout[-3000:]}"
            )
    failures = f"{len(crashes)} failures" if crashes else "no failure"
    sentence = f"Coverage-guided (atheris, {each} s a group): {total:,} inputs, {failures}: {', '.join(told)}."
    return [sentence], crashes


def _last(wanted: re.Pattern[str], text: str) -> int:
    found = wanted.findall(text)
    last = found[-1] if found else "0"
    return int(last if isinstance(last, str) else last[0])


def fuzz_group(group: str, seconds: str, seed: str) -> None:
    """Fuzz one group until the time is over; the first byte of an input chooses the target. Never returns."""
    import atheris

    with atheris.instrument_imports(include=["gpucheck"]):
        from benchmarks import fuzz_cases, fuzz_targets

    if group == "recordings":
        checks = [case.check for case in fuzz_cases.recording_cases() if case.name == fuzz_cases.BYTES]
        seeds = [[fuzz_cases.to_json(found) for found in fuzz_targets.recordings().values()]]
    else:
        targets = [target for target in fuzz_targets.TARGETS if target.group == group]
        checks = [fuzz_cases.parser_case(target).check for target in targets]
        seeds = [fuzz_targets.corpus(target) for target in targets]

    def one(data: bytes) -> None:
        if data:
            check = checks[data[0] % len(checks)]
            check(data[1:] if group == "recordings" else data[1:].decode(errors="replace"))

    with tempfile.TemporaryDirectory() as folder:
        for place, texts in enumerate(seeds):
            for number, text in enumerate(texts[:400]):
                (Path(folder) / f"{place}-{number}").write_bytes(bytes([place]) + text)
        length = MAX_LENGTH if group != "recordings" else max(map(len, seeds[0]))
        options = [
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-max_len={length}",
            "-timeout=20",
            "-rss_limit_mb=1024",
        ]
        options += ["-print_final_stats=1", f"-artifact_prefix={tempfile.gettempdir()}/gpucheck-fuzz-", folder]
        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()


if __name__ == "__main__":
    fuzz_group(*sys.argv[1:4])
