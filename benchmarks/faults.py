"""The fault campaign: every answer of every fixture made to fail in every way it can, alone and in pairs.

    python benchmarks/faults.py                 1,200 single faults of each fixture, and pairs, drawn with a fixed seed
    python benchmarks/faults.py --most 0        every single fault; takes the best part of an hour
    python benchmarks/faults.py --pairs 5000    more pairs
    python benchmarks/faults.py --write         puts the result into benchmarks/README.md

A fault must not raise, hang or make a fact wrong. A fact may become unknown, a device or an entry of a list may go, if
an issue says why; a figure may be told by a weaker source, if it says so in `sources` and agrees within 8 %; it may not
change otherwise. Devices, and the peers that they number, are compared as the devices that they are.
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
# By these NVML says that a question does not apply to the board, or that the driver is too old to know it; and
# gpucheck that nobody asked it when the recording was made.
DOES_NOT_APPLY = frozenset({
    "nvml_not_supported", "nvml_function_not_found", "nvml_deprecated", "not_found", "not_recorded",
})  # fmt: skip
# By this NVML says that there is no such slot for a MIG device, or no such link.
NO_SUCH = re.compile(r".*/(Handle|NvLinkState\.\d+)")
# Where absence is itself an answer: a machine without the file is another machine, not a broken one. Of these faults
# nothing is asked but that they neither raise nor hang.
ABSENCE_TELLS = re.compile(
    r"/sys/fs/cgroup/.*|/proc/self/cgroup"
    r"|/\.dockerenv|/run/\.containerenv"
    r"|/sys/class/dmi/.*"
    r"|/sys/module/(amdgpu|habanalabs)/version"  # the drivers that come with the kernel have none
    r"|/sys/module/ttm/parameters/.*"  # kernels without the parameter do not bound what GPUs are lent
    r"|/opt|/usr/local|/(opt/rocm|usr/local/cuda)[^/]*(/core[^/]*)?(/\.info/version(-dev)?|/version\.(json|txt))?"
    r"|/opt/intel/oneapi/compiler|/usr/include/(cuda|cudnn_version|nccl)\.h|.*/libze_loader\.so\.1|nvcc"
    r"|C:\\Program Files\\NVIDIA( GPU Computing Toolkit)?\\CUD.*"
    r"|/etc/ld\.so\.conf\.d"  # other loaders have none
    r"|/sys/bus/pci/devices/[^/]+/driver"  # none is bound
)
# The same of what is not there; that nobody looked is a fault.
NOT_FOUND_TELLS = re.compile(
    r"/sys/bus/pci/devices"  # boards without the bus
    r"|rw /dev/shm"
    r"|/sys/devices/system/node/online"  # kernels without NUMA
    r"|/.*/compat"  # a setting outlives the toolkit whose folder it names
    r"|/etc/alternatives/.*|/opt/intel/oneapi/compiler/latest"  # a link into nothing
    r"|/sys/class/kfd/kfd/topology/nodes(/\d+/p2p_links)?"  # older kernels
)
# A container is refused the nodes of cards that it was not given; ROCm does not count those.
REFUSAL_TELLS = re.compile(r"/sys/class/kfd/kfd/topology/nodes/\d+/properties")
# By this a folder or a file says that it is no link.
NO_LINK = re.compile(r"/(opt|usr/local|etc/alternatives)/.*|.*/libze_loader\.so\.1")
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


def asked(recording: Recording) -> frozenset[Key]:
    """What the report of a recording asks for; answers beside these cannot change it alone."""
    host = Host(ReplaySource(recording), "recording")
    inspect_host(host)
    return frozenset(host.answers)


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
                    yield (section, key), replacement


def is_an_answer(section: str, key: str, error: str | None) -> bool:
    """Whether a machine may well say so, and then is another one: the facts of the two cannot be compared."""
    if error in {"not_found", "not_recorded"}:
        told = section == "disk" or ABSENCE_TELLS.fullmatch(key) is not None
        return told or (error == "not_found" and NOT_FOUND_TELLS.fullmatch(key) is not None)
    if error == "io_error" and section == "link":
        return NO_LINK.fullmatch(key) is not None
    if error == "no_permission":
        return REFUSAL_TELLS.fullmatch(key) is not None
    return error in {"nvml_not_found", "nvml_invalid_argument"} and NO_SUCH.fullmatch(key) is not None


# What says how a device stands now, or what depends on it; a fault is news about just that.
_STANDING = frozenset({
    "index", "state", "detail", "name", "visible", "hidden_by", "category", "sources", "processes", "throttle_reasons",
    "processes_memory_bytes", "container", "virtual_machine", "distribution", "usable_cores_reason", "limit_source",
    "segment", "source", "reason",
})  # fmt: skip
# None here says that there is nothing to tell.
_SILENT = frozenset({"numa_node", "detail", "sources", "category", "hidden_by"})
# Numbers of other devices in this report, which a device that comes or goes shifts.
_NUMBERED = frozenset({"peers", "p2p_peers", "parent"})
# What tells the entries of a list apart.
_IDENTITY = {
    "frameworks": "name", "storage": "purpose", "numa_nodes": "index", "display_adapters": "pci_address",
    "toolkits.cuda_installed": "folder", "toolkits.rocm_installed": "folder",
}  # fmt: skip
_PARTS = ("platform", "cpu", "memory", "limits", "drivers", "toolkits", "visibility", *_IDENTITY)
_NEAR = 0.08


def wrong_facts(healthy: dict[str, Any], faulty: dict[str, Any], faults: dict[Key, Answer[Any]]) -> list[str]:
    """Facts that changed where they may only become unknown.

    An answer that was replaced by another well-formed value cannot be seen through: there only the types of the
    facts are held, by the types themselves.
    """
    if any(found.error is None or is_an_answer(*key, found.error) for key, found in faults.items()):
        return []
    twins, strangers = _twins(healthy["gpus"], faulty["gpus"])
    numbers = {gpu["index"]: twin["index"] for gpu, twin in twins}
    found = _Comparison(numbers)
    found.same_state = all(gpu.get("state") == twin.get("state") for gpu, twin in twins)
    found.known = {gpu["pci_address"] for gpu in healthy["gpus"]}
    for part in _PARTS:
        found.compare(part, healthy.get(part), faulty.get(part))
    for gpu, twin in twins:
        found.sources, found.weaker = twin["sources"], gpu["sources"]
        found.compare(f"gpus[{twin['index']}]", twin, gpu)
    found.lost += ["gpus"] * (len(twins) < len(healthy["gpus"]))
    wrong = found.wrong + [f"gpus[{gpu['index']}] is no device of the healthy report" for gpu in strangers]
    # What does not apply is no issue; in a pair the unknown may come of that half.
    silent = any(key[0] == "nvml" and answer.error in DOES_NOT_APPLY for key, answer in faults.items())
    if found.lost and not silent and not _told(faulty) - _told(healthy):
        wrong.append(f"unknown without an issue: {', '.join(found.lost[:3])}")
    return wrong


def _told(found: dict[str, Any]) -> set[tuple[Any, ...]]:
    """Everything that says why something is unknown: issues, and the details of devices that are not well."""
    details = {(gpu["index"], gpu["detail"]) for gpu in found["gpus"] if gpu["detail"] is not None}
    return {tuple(issue.values()) for issue in found["issues"]} | details


class _Comparison:
    """What is wrong, and what is no longer known, between a healthy and a faulty report."""

    def __init__(self, numbers: dict[int, int]) -> None:
        self.numbers = numbers  # of this report's devices in the healthy one
        self.sources: dict[str, str] = {}
        self.weaker: dict[str, str] = {}
        self.wrong: list[str] = []
        self.lost: list[str] = []
        self.same_state = True  # of every device
        self.known: set[str | None] = set()  # addresses of GPUs, which may be left as adapters that nobody knows

    def compare(self, path: str, before: Any, after: Any) -> None:
        """Note what differs below a path."""
        name = path.rpartition(".")[2]
        if name in _NUMBERED:
            after = self._renumbered(after)
        if before == after or before in (None, [], ()):
            return  # another rung may tell what the first had not
        if after in (None, [], ()):
            self.lost += [path] * (name not in _SILENT)
        elif isinstance(before, dict) and isinstance(after, dict):
            for key in before.keys() - (_STANDING & _SILENT):
                self.compare(f"{path}.{key}", before[key], after.get(key))
        elif name in _STANDING or (name == "usable" and not self.same_state):
            return
        elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
            self._compare_lists(path, before, after)
        elif not self._told_otherwise(path.partition("].")[2], before, after):
            self.wrong.append(f"{path}: {before!r} became {after!r}")

    def _compare_lists(self, path: str, before: Any, after: Any) -> None:
        identity = _IDENTITY.get(path)
        if identity is not None:
            others = {entry[identity]: entry for entry in after}
            for entry in before:
                self.compare(f"{path}[{entry[identity]}]", entry, others.pop(entry[identity], None))
            self.wrong += [f"{path}: {name!r} appeared" for name in others if name not in self.known]
        elif all(entry in before for entry in after):
            self.lost.append(path)
        else:
            self.wrong.append(f"{path}: {before!r} became {after!r}")

    def _told_otherwise(self, name: str, before: Any, after: Any) -> bool:
        """Whether a weaker source tells nearly the same and is named.

        A figure that is computed comes from others, a slice's from its card's, whose own source may have weakened.
        """
        source = self.weaker.get(name)
        if source is None or (self.sources.get(name) == source and source not in {"derived", "assumed"}):
            return False
        if isinstance(before, bool) or not isinstance(before, int | float):
            return False
        return isinstance(after, int | float) and abs(after - before) <= _NEAR * abs(before)

    def _renumbered(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(sorted(self.numbers.get(number, -1) for number in value))
        return value if value is None else self.numbers.get(value, -1)


def _twins(
    healthy: list[dict[str, Any]], faulty: list[dict[str, Any]]
) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], list[dict[str, Any]]]:
    """Each device with the same one of the healthy report, and those that it does not have."""
    left, pairs, strangers = list(healthy), [], []
    for gpu in faulty:
        twin = _twin(gpu, left)
        if twin is None:
            strangers.append(gpu)
        else:
            left.remove(twin)
            pairs.append((gpu, twin))
    return pairs, strangers


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
    """All single faults of what the named fixtures' reports ask for (or a share of them), and as many pairs.

    Of a pair one answer may be such as is only asked for when the other fails.
    """
    tally = Tally()
    draw = random.Random(seed)
    recordings = {name: read_recording(ROOT / "fixtures" / f"{name}.json") for name in names}
    healthy = {name: document(FaultySource(recording, {})) for name, recording in recordings.items()}
    pool: list[tuple[str, Fault]] = []
    for name, recording in recordings.items():
        questions = asked(recording)
        for fault in single_faults(recording):
            if fault[0] in questions and (share >= 1 or draw.random() < share):
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
        for name, task in zip(names, tasks, strict=True):
            part = task.result()
            print(
                f"{name}: {sum(part.runs.values()):,} runs", *part.failures[:3], sep="\n  ", file=sys.stderr, flush=True
            )
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
    questions = asked(recording)
    return most / max(most, sum(key in questions for key, _ in single_faults(recording)))


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
