"""The second rung: what nvidia-smi prints, where NVML names no GPU to this process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeGuard

import msgspec

from gpucheck.host.answer import NOT_FOUND, TIMEOUT, Output
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, MigInstance, ProbeIssue
from gpucheck.probes.nvidia.smi_csv import FIELDS, OLD_FIELDS, Listed, parse_csv, parse_list
from gpucheck.probes.nvidia.smi_log import Smi, SmiLog, merge
from gpucheck.probes.nvidia.smi_xml import parse_xml
from gpucheck.probes.nvidia.words import profile_by_sms

PLAIN = "nvidia-smi"
WSL = "/usr/lib/wsl/lib/nvidia-smi"  # beside the library, and often on no search path (WSL #11888)
TIMEOUT_S = 10.0  # without persistence mode every GPU is started anew, a second each
NEEDED = {"name": "name", "memory_total_bytes": "memory size", "compute_capability": "compute capability"}
_LIBRARY = re.compile(r"NVML library version:\s*(\d{3,5}(?:\.\d{1,5}){1,3})")


class Runner:
    """Runs one nvidia-smi, noting every way in which it can fail."""

    def __init__(self, host: Host, issues: Issues) -> None:
        self.host = host
        self.issues = issues
        self.program = PLAIN
        self.printed: list[str] = []
        self.over = False

    def find(self) -> Output | None:
        """The answer of `-q -x` of the nvidia-smi on PATH, or of WSL's where there is none."""
        answer = self.host.run(PLAIN, "-q", "-x", timeout_s=TIMEOUT_S)
        if answer.error == NOT_FOUND:
            self.program = WSL
            answer = self.host.run(WSL, "-q", "-x", timeout_s=TIMEOUT_S)
        self.over = answer.error in {NOT_FOUND, TIMEOUT}
        return self._noted("-q -x", answer.error, answer.detail, answer.value, absent=answer.absent)

    def run(self, *arguments: str) -> Output | None:
        """What it prints for other arguments, unless there is none or it hangs."""
        if self.over:
            return None
        answer = self.host.run(self.program, *arguments, timeout_s=TIMEOUT_S)
        self.over = answer.error == TIMEOUT
        name = arguments[0].partition("=")[0]
        return self._noted(name, answer.error, answer.detail, answer.value, absent=answer.absent)

    def _noted(
        self, name: str, error: str | None, detail: str, output: Output | None, *, absent: bool
    ) -> Output | None:
        if error is not None and not absent:
            self.issues.add(error, f"{PLAIN} {name}", detail)
        if output is None:
            return None
        text = f"{output.stdout}\n{output.stderr}"
        self.printed.append(text)
        if output.returncode != 0 and not refused(output):
            # Also a good log may come with one: 14 tells that an infoROM is corrupted.
            lines = [line for line in text.splitlines() if line.strip() and line[:1] not in {"<", "\t"}]
            said = lines[0] if lines else "it printed nothing"
            self.issues.add("exit_status", f"{PLAIN} {name}", f"exit status {output.returncode}: {said}")
        return output


def read_smi(host: Host, issues: Issues) -> Smi:
    """Everything that nvidia-smi says: the XML, and the query, which alone has the compute capability."""
    runner = Runner(host, issues)
    xml = runner.find()
    log = SmiLog()
    if xml is not None and _worth_parsing(xml):
        parsed = parse_xml(xml.stdout)
        _carry(parsed.issues, issues)
        log = parsed.facts
    log = merge(log, _query(runner, issues))
    if any(gpu.mig_mode == "enabled" for gpu in log.gpus):
        listed = runner.run("-L")
        log = _with_profiles(log, parse_list(listed.stdout) if _printed(listed) else None, issues)
    _note_gaps(log, issues)
    printed = "\n".join(runner.printed)
    library = _LIBRARY.search(printed)
    return Smi(
        log=log,
        mismatch="Driver/library version mismatch" in printed,
        library_version=library[1] if library is not None else None,
    )


def refused(output: Output) -> bool:
    """Whether an old driver refuses the whole query for a field it does not know."""
    return "is not a valid field to query" in f"{output.stdout}\n{output.stderr}"


def _worth_parsing(output: Output) -> bool:
    """A failing nvidia-smi prints a sentence; its exit status is then the issue, not the missing XML."""
    return output.returncode == 0 or "<nvidia_smi_log" in output.stdout


def _query(runner: Runner, issues: Issues) -> SmiLog:
    modern = tuple(field for field in FIELDS if field != "compute_cap")
    for fields in (FIELDS, modern, OLD_FIELDS):
        output = runner.run(f"--query-gpu={','.join(fields)}", "--format=csv")
        if output is None:
            return SmiLog()
        if refused(output):
            continue
        if output.returncode != 0 and "," not in output.stdout:
            return SmiLog()
        parsed = parse_csv(output.stdout)
        _carry(parsed.issues, issues)
        return parsed.facts
    issues.add("refused", f"{PLAIN} --query-gpu", "it knows not even the oldest fields")
    return SmiLog()


def _printed(output: Output | None) -> TypeGuard[Output]:
    return output is not None and output.returncode == 0


def _with_profiles(log: SmiLog, listed: Sequence[Listed] | None, issues: Issues) -> SmiLog:
    gpus = []
    for gpu in log.gpus:
        own = {entry.index: entry for entry in listed or () if entry.gpu == gpu.driver_index}
        if gpu.mig_mode == "enabled" and listed is None and gpu.mig_devices is None:
            issues.add("mig_devices_unknown", PLAIN, f"gpu{gpu.driver_index}: MIG is on, nothing lists its devices")
            gpus.append(gpu)
        else:
            gpus.append(_profiled(gpu, own, issues) if gpu.mig_mode == "enabled" else gpu)
    return msgspec.structs.replace(log, gpus=tuple(gpus))


def _profiled(gpu: GpuReading, listed: dict[int, Listed], issues: Issues) -> GpuReading:
    """The GPU with profiles and UUIDs of its MIG devices, and with those that only the list has."""
    known = {device.index: device for device in gpu.mig_devices or ()}
    devices = []
    for index in sorted({*known, *listed}):
        device, entry = known.get(index, MigInstance(index=index)), listed.get(index)
        if device.memory_total_bytes is None:
            detail = f"gpu{gpu.driver_index} MIG device {index}: no memory size"
            issues.add("mig_memory_unknown", PLAIN, detail)
        if entry is None:
            profile = profile_by_sms(device.multiprocessors, device.memory_total_bytes, gpu.memory_total_bytes)
            device = msgspec.structs.replace(device, profile=profile)
            if profile is None:
                issues.add("mig_profile_unknown", PLAIN, f"gpu{gpu.driver_index} MIG device {index}: not in -L")
        else:
            device = msgspec.structs.replace(device, profile=entry.profile, uuid=entry.uuid)
        devices.append(device)
    return msgspec.structs.replace(gpu, mig_devices=tuple(devices))


def _note_gaps(log: SmiLog, issues: Issues) -> None:
    for gpu in log.gpus:
        for fact, words in NEEDED.items():
            if gpu.state == "ok" and getattr(gpu, fact) is None:
                issues.add("missing", PLAIN, f"gpu{gpu.driver_index}: no {words}")


def _carry(found: Sequence[ProbeIssue], issues: Issues) -> None:
    for issue in found:
        issues.add(issue.code, issue.source, issue.detail)
