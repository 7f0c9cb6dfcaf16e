"""Labels of a Kubernetes node, in the vocabularies of the vendors' own labellers.

NVIDIA: GPU Feature Discovery without a MIG strategy (internal/lm of NVIDIA/k8s-device-plugin, 1b826acc, 2026-08-19),
less what is a setting of its own or not known here: replicas, sharing, machine, mode, clique, and the keys that it
calls deprecated. AMD: the node labeller of ROCm/k8s-device-plugin (cmd/k8s-node-labeller, ed764684, 2026-08-11), less
firmware, family and partitions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import MIB

MAX_VALUE = 63
_NOT_OF_A_VALUE = re.compile(r"[^A-Za-z0-9_.-]")
_ENDS = "_.-"
# getArchFamily: by the whole compute capability where its generations share a major version, else by that
_FAMILIES = {
    "3": "kepler", "5": "maxwell", "6": "pascal", "7": "volta", "7.5": "turing", "8": "ampere", "8.9": "ada-lovelace",
    "9": "hopper", "10": "blackwell", "12": "blackwell", "13": "rubin",
}  # fmt: skip


def node_labels(machine: Machine) -> dict[str, str]:
    """Labels by key, sorted; none where the driver answers for no GPU of NVIDIA or AMD, whatever the process sees."""
    cards = [gpu for gpu in machine.gpus if gpu.state == "ok" and gpu.kind != "mig"]
    labels = {
        **_nvidia(machine, [gpu for gpu in cards if gpu.vendor == "NVIDIA"]),
        **_amd(machine, [gpu for gpu in cards if gpu.vendor == "AMD"]),
    }
    return dict(sorted((key, valid) for key, value in labels.items() if value and (valid := label_value(value))))


def label_value(text: str) -> str:
    """The text as a label's value may be: 63 letters, digits, dots, dashes and underscores, with none of these around.

    White space becomes a dash and everything else is left out, as GPU Feature Discovery does.
    """
    return _NOT_OF_A_VALUE.sub("", "-".join(text.split()))[:MAX_VALUE].strip(_ENDS)


def _nvidia(machine: Machine, cards: list[Gpu]) -> dict[str, str | None]:
    """Of unlike cards, the kind that there are most of: the vocabulary has room for one."""
    if not cards:
        return {}
    kinds = Counter(gpu.name for gpu in cards)
    name, count = kinds.most_common(1)[0]
    card = next(gpu for gpu in cards if gpu.name == name)
    total = card.memory.total_bytes
    major, _, minor = (card.compute_capability or "").partition(".")
    driver = machine.drivers.nvidia
    return {
        "nvidia.com/gpu.product": name,
        "nvidia.com/gpu.count": str(count),
        "nvidia.com/gpu.memory": str(total // MIB) if total else None,
        "nvidia.com/gpu.family": _FAMILIES.get(f"{major}.{minor}") or _FAMILIES.get(major),
        "nvidia.com/gpu.compute.major": major,
        "nvidia.com/gpu.compute.minor": minor,
        "nvidia.com/mig.capable": "true" if any(gpu.mig.mode for gpu in cards) else None,
        **_versions("cuda.driver-version", driver.version if driver else None, ("major", "minor", "revision")),
        **_versions("cuda.runtime-version", driver.cuda_version if driver else None, ("major", "minor")),
    }


def _versions(key: str, version: str | None, parts: tuple[str, ...]) -> dict[str, str | None]:
    if version is None:
        return {}
    numbers = dict(zip(parts, version.split("."), strict=False))
    return {f"nvidia.com/{key}.{part}": number for part, number in (*numbers.items(), ("full", version))}


def _amd(machine: Machine, cards: list[Gpu]) -> dict[str, str | None]:
    if not cards:
        return {}
    sizes = [gpu.memory.rocm_bytes or gpu.memory.total_bytes for gpu in cards]
    driver = machine.drivers.amd
    return {
        **_counted("product-name", (re.sub(r"[()]", "", gpu.name or "").replace(" ", "_") for gpu in cards)),
        **_counted("device-id", ((gpu.pci_id or "").partition(":")[2] for gpu in cards)),
        **_counted("vram", (f"{round(size // MIB / 1024)}G" if size else "" for size in sizes)),
        **_counted("cu-count", (str(gpu.multiprocessors or "") for gpu in cards)),
        "amd.com/gpu.driver-version": driver.version if driver else None,
    }


def _counted(kind: str, values: Iterable[str]) -> dict[str, str | None]:
    """The value where all cards have the same (createLabels); else how many have each, the value being in the key."""
    counts = Counter(valid for value in values if (valid := label_value(value)))
    if len(counts) == 1:
        return {f"amd.com/gpu.{kind}": next(iter(counts))}
    return {
        key: str(count)
        for value, count in counts.items()
        if len((key := f"amd.com/gpu.{kind}.{value}").partition("/")[2]) <= MAX_VALUE
    }
