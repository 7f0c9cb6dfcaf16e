"""What a check says of one requirement, and the reasons for which a fact may be missing."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.assess.requirements.outcome import Met
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import ProbeIssue

WORSE: tuple[Met, ...] = ("met", "unknown", "not_met")


class Told(Struct, frozen=True):
    """One answer: what was found in words, where the fact came from, and why it is not known."""

    answer: Met
    found: str | None = None
    source: str | None = None
    reason: str | None = None


def judged(holds: bool, found: str, source: str | None = None) -> Told:
    """The answer of a known fact."""
    return Told("met" if holds else "not_met", found, source)


def unknown(reason: str, source: str | None = None, found: str | None = None) -> Told:
    """The answer where a fact is missing."""
    return Told("unknown", found, source, reason)


def missing(machine: Machine, path: str, *sources: str) -> str:
    """Why the fact at `path` of the machine is None: the issue about it, or about one of these sources."""
    if machine.source == "simulated":
        return f"a simulated machine has no {path}"
    issue = next((issue for issue in machine.issues if _is_about(issue, path, sources)), None)
    return in_words(issue) if issue is not None else f"nothing told {path}"


def missing_of_gpu(machine: Machine, gpu: Gpu, field: str) -> str:
    """Why a figure of a GPU is None."""
    own = f"gpus[{gpu.index}]"
    asked = f"gpu{gpu.driver_index} " if gpu.driver_index is not None else None
    for issue in machine.issues:
        if issue.source.startswith(own) and (field in issue.detail or field in issue.source):
            return in_words(issue)
        if asked is not None and issue.detail.startswith(asked) and gpu.vendor == "NVIDIA":
            return in_words(issue)
    return f"neither driver nor catalogue gives {own}.{field}"


def in_words(issue: ProbeIssue) -> str:
    """An issue in one line."""
    return f"{issue.source}: {issue.detail}" if issue.detail else f"{issue.source}: {issue.code}"


def _is_about(issue: ProbeIssue, path: str, sources: tuple[str, ...]) -> bool:
    return issue.source == path or any(issue.source.startswith(source) for source in sources)


def of_gpu(gpu: Gpu, field: str) -> str:
    """The source of a figure of a GPU: "gpus[0].memory.total_bytes, reported"."""
    basis = gpu.sources.get(field)
    return f"gpus[{gpu.index}].{field}{f', {basis}' if basis else ''}"
