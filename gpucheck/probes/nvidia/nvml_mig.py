"""The MIG devices of one GPU, as NVML enumerates them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucheck.probes.facts import MigInstance
from gpucheck.probes.nvidia import words
from gpucheck.probes.nvidia.asking import Asker

EMPTY = frozenset({"nvml_not_found", "nvml_invalid_argument"})
MAX_SLOTS = 64


def read_mig(gpu: Asker) -> None:
    """Keep the GPU's MIG devices, each as soon as it is known; enabled without any is an empty tuple."""
    slots = gpu.ask("MaxMigDeviceCount", int, needed=True)
    gpu.keep("mig_devices", ())
    gpu.keep("mig_devices_complete", False)
    complete = slots is not None
    for index in range(min(slots or 0, MAX_SLOTS)):
        device = f"{gpu.name}.mig{index}"
        _, error, detail = gpu.raw("Handle", device)
        if error in EMPTY:
            continue  # instances are deleted one by one and leave gaps
        if error is not None:
            gpu.failed("Handle", error, detail, needed=True, device=device)
            complete = False
            continue
        gpu.keep("mig_devices", (*gpu.facts["mig_devices"], _instance(gpu, index, device)))
    gpu.keep("mig_devices_complete", complete)


def _instance(gpu: Asker, index: int, device: str) -> MigInstance:
    name = gpu.ask("Name", str, device=device)
    attributes = gpu.ask("Attributes_v2", dict, device=device) or {}
    memory = _memory(gpu, device)
    return MigInstance(
        index=index,
        profile=words.profile_in_name(name) or _derived(attributes, gpu.facts.get("memory_total_bytes")),
        name=name,
        uuid=gpu.ask("UUID", str, device=device),
        gpu_instance_id=gpu.ask("GpuInstanceId", int, device=device),
        compute_instance_id=gpu.ask("ComputeInstanceId", int, device=device),
        memory_total_bytes=_count(memory, "total") or None,
        memory_free_bytes=_count(memory, "free"),
        memory_used_bytes=_count(memory, "used"),
        multiprocessors=_count(attributes, "multiprocessorCount") or None,
    )


def _memory(gpu: Asker, device: str) -> Mapping[str, Any]:
    found, error, detail = gpu.raw("MemoryInfo_v2", device)
    if error is None and isinstance(found, dict):
        return found
    old = gpu.ask("MemoryInfo", dict, needed=True, device=device)
    if old is None:
        gpu.failed("MemoryInfo_v2", error or "malformed", detail, needed=True, device=device)
    return old or {}


def _derived(attributes: Mapping[str, Any], card_bytes: int | None) -> str | None:
    compute = _count(attributes, "computeInstanceSliceCount")
    whole = _count(attributes, "gpuInstanceSliceCount")
    return words.profile_of(compute or 0, whole or 0, _count(attributes, "memorySizeMB") or 0, card_bytes)


def _count(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None
