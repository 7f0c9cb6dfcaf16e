"""NVML's account of the machine: the driver, and every GPU asked on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Struct

from gpucheck.host.answer import MALFORMED, TIMEOUT
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading
from gpucheck.probes.nvidia import words
from gpucheck.probes.nvidia.asking import RESET_REQUIRED, SOURCE, Asker
from gpucheck.probes.nvidia.nvml_gpu import read_gpu, reading

GPUS_DEADLINE_S = 8.0
PEERS_DEADLINE_S = 3.0
MAX_GPUS = 256  # a recording may say anything

T = TypeVar("T", str, int)


class NvmlLog(Struct, frozen=True):
    """What NVML said. With `error` set it could not be started, and `detail` is its reason."""

    driver_version: str | None = None
    cuda_version: str | None = None
    library_version: str | None = None
    gpus: tuple[GpuReading, ...] = ()
    error: str | None = None
    detail: str = ""


def read_nvml(host: Host, issues: Issues) -> NvmlLog:
    """Everything that NVML knows; a library that does not start is no issue here, but in `error`."""
    count = host.nvml("system", "DeviceCount")
    if count.error is not None:
        return NvmlLog(error=count.error, detail=count.detail)
    if not isinstance(count.value, int) or not 0 <= count.value <= MAX_GPUS:
        issues.add(MALFORMED, SOURCE, f"DeviceCount is {count.value!r:.40}")
        return NvmlLog(error=MALFORMED, detail="DeviceCount is no count")
    driver = _system(host, "DriverVersion", str, issues)
    library = _system(host, "NVMLVersion", str, issues)
    number = _system(host, "CudaDriverVersion_v2", int, issues)
    return NvmlLog(
        driver_version=driver,
        cuda_version=words.cuda_version(number) if number else None,
        library_version=words.library_version(library) if library else None,
        gpus=_gpus(host, count.value, issues),
    )


def _system(host: Host, field: str, kind: type[T], issues: Issues) -> T | None:
    answer = host.nvml("system", field)
    if answer.error is not None and not answer.absent:
        issues.add(answer.error, SOURCE, f"system {field}: {answer.detail}")
    elif answer.error is None and not isinstance(answer.value, kind):
        issues.add(MALFORMED, SOURCE, f"system {field}: {answer.value!r:.60} is no {kind.__name__}")
    return answer.value if isinstance(answer.value, kind) else None


def _gpus(host: Host, count: int, issues: Issues) -> tuple[GpuReading, ...]:
    """One reading per GPU, whatever became of it; a GPU that hangs delays nobody but the last join."""
    gpus = [Asker(host, index) for index in range(count)]
    _together(gpus, read_gpu, GPUS_DEADLINE_S)
    healthy = [gpu for gpu in gpus if gpu.state == "ok" and not gpu.abandoned and "pci_address" in gpu.facts]
    if len(healthy) >= 2:
        peers = {gpu.index: healthy[number + 1 :] for number, gpu in enumerate(healthy)}
        _together(healthy, lambda gpu: _peers(gpu, peers[gpu.index]), PEERS_DEADLINE_S)
        _mirror(healthy)
    for gpu in gpus:
        for issue in gpu.issues.all():
            issues.add(issue.code, issue.source, issue.detail)
    return tuple(reading(gpu) for gpu in gpus)


def _together(gpus: Sequence[Asker], work: Callable[[Asker], None], deadline_s: float) -> None:
    """Run `work` for all GPUs at once; one that is not through by the deadline is given up as it stands."""
    threads = [threading.Thread(target=work, args=(gpu,), name=f"gpucheck {gpu.name}", daemon=True) for gpu in gpus]
    for thread in threads:
        thread.start()
    end = time.monotonic() + deadline_s
    for gpu, thread in zip(gpus, threads, strict=True):
        thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            gpu.abandoned = True
            gpu.hangs(f"not finished in {deadline_s:g} s")


def _peers(gpu: Asker, others: Sequence[Asker]) -> None:
    """Ask once per pair; `_mirror` gives the other side its half."""
    for fact, question in (("p2p_peers", "P2PStatus.read"), ("nvlink_peers", "P2PStatus.nvlink")):
        reachable: tuple[int, ...] = ()
        for other in others:
            status = _pair(gpu, other, question)
            if gpu.abandoned:
                return
            if status == 0:
                reachable += (other.index,)
                gpu.keep(fact, reachable)


def _pair(gpu: Asker, other: Asker, question: str) -> int | None:
    """The status of one pair; an error is not the first GPU's own, for the other may be the lost one."""
    gpu.asking = f"{gpu.name}-{other.name} {question}"
    answer = gpu.host.nvml(f"{gpu.name}-{other.name}", question)
    if answer.error == TIMEOUT:
        gpu.hangs(answer.detail)
    elif answer.error == RESET_REQUIRED:  # of which of the two, is not said, so that no state tells it
        gpu.issues.add(RESET_REQUIRED, SOURCE, f"{gpu.asking}: {answer.detail}")
    elif answer.error is not None:
        gpu.failed(question, answer.error, answer.detail, needed=False, device=f"{gpu.name}-{other.name}")
    return answer.value if isinstance(answer.value, int) else None


def _mirror(gpus: Sequence[Asker]) -> None:
    for fact in ("p2p_peers", "nvlink_peers"):
        both = {gpu.index: set(gpu.facts.get(fact, ())) for gpu in gpus}
        for gpu in gpus:
            for other in gpu.facts.get(fact, ()):
                both[other].add(gpu.index)
        for gpu in gpus:
            if both[gpu.index]:
                gpu.facts[fact] = tuple(sorted(both[gpu.index]))
