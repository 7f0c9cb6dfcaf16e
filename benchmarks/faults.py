"""The fault campaign: every answer of every fixture made to fail in every way it can, alone and in pairs.

    python benchmarks/faults.py                 1,200 single faults of each fixture, and pairs, drawn with a fixed seed
    python benchmarks/faults.py --most 0        every single fault; takes an hour
    python benchmarks/faults.py --pairs 5000    more pairs
    python benchmarks/faults.py --write         puts the result into benchmarks/README.md

A fault must not raise, hang or make a fact wrong. A fact may become unknown, if an issue says why; it may be told by
a weaker source, if it says so in `sources` and agrees within 8 %; it may not change otherwise.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from gpucheck.assess.category import categorise
from gpucheck.assess.findings import find_problems
from gpucheck.assess.fit import default_fits
from gpucheck.host.answer import Answer
from gpucheck.host.host import Host, Section
from gpucheck.host.recording import Recording, ReplaySource, read_recording
from gpucheck.machine.inspect import inspect_host

ROOT = Path(__file__).resolve().parent.parent
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"

HOST_ERRORS = ("not_found", "no_permission", "io_error", "timeout", "too_large", "malformed", "not_recorded")
NVML_ERRORS = (
    "nvml_uninitialized", "nvml_invalid_argument", "nvml_not_supported", "nvml_no_permission", "nvml_not_found",
    "nvml_driver_not_loaded", "nvml_timeout", "nvml_irq_issue", "nvml_function_not_found", "nvml_corrupted_inforom",
    "nvml_gpu_is_lost", "nvml_reset_required", "nvml_operating_system", "nvml_lib_rm_version_mismatch", "nvml_in_use",
    "nvml_memory", "nvml_no_data", "nvml_insufficient_resources", "nvml_argument_version_mismatch",
    "nvml_deprecated", "nvml_not_ready", "nvml_gpu_not_found", "nvml_unknown", "failed",
)  # fmt: skip
RUBBISH: tuple[Any, ...] = (
    "", "\ufffd\ufffd\x00\x1b[31m", "x" * 100_000, "-1", "99999999999999999999999", [], {}, [None], {"a": {}}, 3.5,
    -7, 2**70, True,
)  # fmt: skip
# Where nothing can fail: an interpreter knows its own environment.
STEADY = frozenset({"env"})
# By these NVML says that a question does not apply to the board, or that the driver is too old to know it.
DOES_NOT_APPLY = frozenset({
    "nvml_not_supported", "nvml_function_not_found", "nvml_deprecated", "not_found", "not_recorded",
    "nvml_invalid_argument", "nvml_not_found",
})  # fmt: skip
# Where absence is itself an answer: a machine without the file is another machine, not a broken one.
ABSENCE_TELLS = (
    "/sys/fs/cgroup/",
    "/.dockerenv",
    "/run/.containerenv",
    "/proc/self/cgroup",
    "/sys/class/dmi/",
    "/sys/class/kfd/",
    "/sys/module/amdgpu/version",  # the driver that comes with the kernel has none
    "/sys/module/habanalabs/version",  # the same
    "/sys/module/ttm/parameters/",  # kernels without the parameter do not bound what GPUs are lent
    "/opt/rocm/.info/",  # not installed
)
# A container is refused the nodes of cards that it was not given; ROCm does not count those.
REFUSAL_TELLS = re.compile(r"/sys/class/kfd/kfd/topology/nodes/\d+/properties")
SECONDS_LIMIT = 5.0

Key = tuple[str, str]
Fault = tuple[Key, Answer[Any]]


class FaultySource:
    """A recording in which some answers have been replaced."""

    def __init__(self, recording: Recording, faults: dict[Key, Answer[Any]]) -> None:
        self._replay = ReplaySource(recording)
        self._faults = faults

    def answer(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:
        """The replaced answer, or the recorded one."""
        found = self._faults.get((section, key))
        return self._replay.answer(section, key, timeout_s) if found is None else found


@dataclass
class Tally:
    """What a campaign came to."""

    runs: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mib: float = 0.0


def document(source: FaultySource) -> dict[str, Any]:
    """Everything that a report is made from, as plain data."""
    machine = categorise(inspect_host(Host(source, "recording")))
    fits, problems = default_fits(machine), find_problems(machine)
    found: dict[str, Any] = msgspec.to_builtins(machine)
    assert fits
    assert isinstance(problems, tuple)
    return found


def replacements(section: str, answer: Answer[Any]) -> Iterator[Answer[Any]]:
    """Every way in which one answer can go wrong."""
    for code in HOST_ERRORS + (NVML_ERRORS if section == "nvml" else ()):
        if answer.error != code:
            yield Answer(error=code, detail="injected")
    if answer.error is None:
        for value in RUBBISH:
            yield Answer(value)
        yield from _truncated(answer.value)


def _truncated(value: Any) -> Iterator[Answer[Any]]:
    if isinstance(value, str) and len(value) > 1:
        yield Answer(value[: len(value) // 2])
        yield Answer(value[: len(value) - 1])
    elif isinstance(value, list) and value:
        yield Answer(value[:-1])
    elif isinstance(value, dict):
        for name in value:
            yield Answer({key: found for key, found in value.items() if key != name})


def single_faults(recording: Recording) -> Iterator[Fault]:
    """Every answer of a recording with each of its replacements."""
    for section, answers in recording.answers.items():
        if section not in STEADY:
            for key, answer in answers.items():
                for replacement in replacements(section, answer):
                    absent = replacement.error in {"not_found", "not_recorded"}
                    if absent and (key.startswith(ABSENCE_TELLS) or key.endswith("/driver")):
                        continue
                    if replacement.error == "no_permission" and REFUSAL_TELLS.fullmatch(key):
                        continue
                    if key.endswith("/Handle") and replacement.error in {"nvml_not_found", "nvml_invalid_argument"}:
                        continue  # an empty slot
                    yield (section, key), replacement


def wrong_facts(healthy: dict[str, Any], faulty: dict[str, Any], faults: dict[Key, Answer[Any]]) -> list[str]:
    """Facts that changed where they may only become unknown.

    An answer that was replaced by another well-formed value cannot be seen through: there only the types of the
    facts are held, by the types themselves.
    """
    if any(found.error is None for found in faults.values()):
        return []
    wrong = []
    for part in ("platform", "cpu", "memory", "limits"):
        wrong += _changed(part, healthy[part], faulty[part], {}, {})
    left = list(healthy["gpus"])
    for gpu in faulty["gpus"]:
        twin = _twin(gpu, left)
        if twin is not None:
            left.remove(twin)
            wrong += _changed(f"gpus[{gpu['index']}]", twin, gpu, twin["sources"], gpu["sources"])
    # What does not apply is no issue; in a pair the unknown may come of that half.
    silent = any(key[0] == "nvml" and found.error in DOES_NOT_APPLY for key, found in faults.items())
    told = _told(faulty) - _told(healthy)
    if not silent and not told and _unknown(healthy) < _unknown(faulty):
        wrong.append("something became unknown without an issue")
    return wrong


# What says how a device stands now, or what depends on it; a fault is news about just that.
_STANDING = frozenset({
    "index", "state", "detail", "name", "visible", "hidden_by", "category", "sources", "processes", "throttle_reasons",
    "processes_memory_bytes", "container", "virtual_machine", "distribution", "usable_cores_reason", "limit_source",
    "segment",
})  # fmt: skip
_NEAR = 0.08


def _told(found: dict[str, Any]) -> set[tuple[Any, ...]]:
    """Everything that says why something is unknown: issues, and the details of devices that are not well."""
    details = {(gpu["index"], gpu["detail"]) for gpu in found["gpus"] if gpu["detail"] is not None}
    return {tuple(issue.values()) for issue in found["issues"]} | details


def _changed(path: str, before: Any, after: Any, sources: dict[str, str], weaker: dict[str, str]) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for name in before.keys() & after.keys() - _STANDING
            for line in _changed(f"{path}.{name}", before[name], after[name], sources, weaker)
        ]
    if before == after or after is None or after in ([], (), False, ""):
        return []
    if before is None:
        return []  # another rung told what the first had not
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and set(after) <= set(before):
        return []
    name = path.partition("].")[2]
    # A figure that is computed comes from others, a slice's from its card's, whose own source may have weakened.
    told_otherwise = name in weaker and (sources.get(name) != weaker[name] or weaker[name] in {"derived", "assumed"})
    if told_otherwise and isinstance(before, int | float) and isinstance(after, int | float):
        if abs(after - before) <= _NEAR * abs(before):
            return []
    elif told_otherwise:
        return []
    return [f"{path}: {before!r} became {after!r}"]


def _twin(gpu: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The same device in the healthy report: by address and slice, or the maker's own that has lost its address."""
    alike = [
        one for one in others if one["vendor"] == gpu["vendor"] and (one["kind"] == "mig") == (gpu["kind"] == "mig")
    ]
    for fact in ("pci_address", "uuid", "index"):
        found = [one for one in alike if one[fact] is not None and one[fact] == gpu[fact]]
        if len(found) == 1:
            return found[0]
        alike = found or alike
    return alike[0] if len(alike) == 1 else None


# None here says that there is nothing to tell.
_SILENT = frozenset({"issues", "numa_node", "detail"})


def _unknown(found: Any) -> int:
    if isinstance(found, dict):
        return sum(_unknown(value) for key, value in found.items() if key not in _SILENT)
    return sum(map(_unknown, found)) if isinstance(found, list | tuple) else found is None


def run(name: str, recording: Recording, healthy: dict[str, Any], faults: dict[Key, Answer[Any]], tally: Tally) -> None:
    """One injected fault, or several at once."""
    tally.runs[name] += 1
    begin = time.perf_counter()
    label = f"{name}: " + ", ".join(
        f"{key[0]} {key[1][:90]} → {found.error or repr(found.value)[:40]}" for key, found in faults.items()
    )
    try:
        faulty = document(FaultySource(recording, faults))
    except Exception as error:  # noqa: BLE001 - what the campaign is looking for
        tally.failures.append(f"{label}: raised {type(error).__name__}: {error}")
        return
    elapsed = time.perf_counter() - begin
    tally.slowest_s = max(tally.slowest_s, elapsed)
    if elapsed > SECONDS_LIMIT:
        tally.failures.append(f"{label}: took {elapsed:.1f} s")
    if any(issue["code"] == "probe_failed" for issue in faulty["issues"]):
        tally.failures.append(f"{label}: {[i for i in faulty['issues'] if i['code'] == 'probe_failed']}")
    tally.failures += [f"{label}: {line}" for line in wrong_facts(healthy, faulty, faults)]


def campaign(names: list[str], pairs: int, seed: int, share: float = 1.0) -> Tally:
    """All single faults of the named fixtures (or a share of them), and as many pairs."""
    tally = Tally()
    draw = random.Random(seed)
    recordings = {name: read_recording(ROOT / "fixtures" / f"{name}.json") for name in names}
    healthy = {name: document(FaultySource(recording, {})) for name, recording in recordings.items()}
    pool: list[tuple[str, Fault]] = []
    for name, recording in recordings.items():
        for fault in single_faults(recording):
            if share >= 1 or draw.random() < share:
                run(name, recording, healthy[name], dict([fault]), tally)
            if draw.random() < 0.05:
                pool.append((name, fault))
    by_name: dict[str, list[Fault]] = {}
    for name, fault in pool:
        by_name.setdefault(name, []).append(fault)
    usable = [name for name, faults in by_name.items() if len(faults) > 1]
    for _ in range(pairs if usable else 0):
        name = draw.choice(usable)
        run(name, recordings[name], healthy[name], dict(draw.sample(by_name[name], 2)), tally)
    tally.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return tally


def campaigns(names: list[str], pairs: int, seed: int, jobs: int, most: int) -> Tally:
    """The campaign over many fixtures, each on its own, several at a time; at most so many single faults of each."""
    share = max(1, pairs // len(names))
    whole = Tally()
    with ProcessPoolExecutor(jobs) as pool:
        tasks = [
            pool.submit(campaign, [name], share, seed + number, _share(name, most)) for number, name in enumerate(names)
        ]
        for task in tasks:
            part = task.result()
            whole.runs.update(part.runs)
            whole.failures += part.failures
            whole.slowest_s = max(whole.slowest_s, part.slowest_s)
            whole.peak_mib = max(whole.peak_mib, part.peak_mib)
    return whole


def _share(name: str, most: int) -> float:
    """Which part of a fixture's single faults makes `most` of them; 0 asks for all."""
    if not most:
        return 1.0
    recording = read_recording(ROOT / "fixtures" / f"{name}.json")
    return most / max(most, sum(1 for _ in single_faults(recording)))


def fixture_names() -> list[str]:
    """All fixtures."""
    return sorted(path.stem for path in (ROOT / "fixtures").glob("*.json"))


def summary(tally: Tally, seconds: float) -> str:
    """The result in words."""
    total = sum(tally.runs.values())
    return (
        f"{total:,} injected faults in {len(tally.runs)} fixtures: {len(tally.failures)} failures."
        f" The slowest took {tally.slowest_s:.2f} s, all {seconds:.0f} s; peak memory {tally.peak_mib:.0f} MiB."
    )


def shown(tally: Tally, most: int = 200) -> Iterator[str]:
    """Each fixture with failures, how many, and the first of them: `most` lines in all, shared out evenly."""
    failures = {name: [line for line in tally.failures if line.startswith(f"{name}: ")] for name in tally.runs}
    failing = {name: lines for name, lines in failures.items() if lines}
    for name, lines in failing.items():
        yield f"{name}: {len(lines)} failures of {tally.runs[name]:,} runs"
        yield from lines[: max(1, most // len(failing))]


def main() -> None:
    """Run the campaign, print what failed, and exit 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fixture", action="append")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--most", type=int, default=1200)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    begin = time.monotonic()
    tally = campaigns(options.fixture or fixture_names(), options.pairs, options.seed, options.jobs, options.most)
    text = summary(tally, time.monotonic() - begin)
    for line in shown(tally):
        print(line[:400])
    print(text)
    if options.write:
        head, rest = README.read_text(encoding="utf-8").split(BEGIN)
        README.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
