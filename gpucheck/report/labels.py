"""Labels by which schedulers find this machine: of GitHub's runners, Kubernetes' nodes and Slurm's resources.

A fact that is not known has no label. Nothing is labelled that a job could not use.
"""

from __future__ import annotations

import re
from collections import Counter

from gpucheck.assess.requirements.usable import hindrance, unseen, usability
from gpucheck.assess.words import nominal_gib
from gpucheck.machine.types import Gpu, Machine
from gpucheck.report.labels_k8s import node_labels
from gpucheck.report.require_facts import one_line, usable_for_sure

FORMATS = ("github", "nfd", "slurm", "k8s")
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_NOT_OF_A_TYPE = re.compile(r"[^a-z0-9_.+-]")
_SLICE = re.compile(r"\d+g\.\d+gb", re.ASCII)
_LONGEST = 63


def render(machine: Machine, format_: str) -> str:
    """The labels in one of `FORMATS`; nothing where there are none.

    github: one line with commas, for `config.sh --labels`. nfd: a line KEY=VALUE for each, the file that Node Feature
    Discovery reads from /etc/kubernetes/node-feature-discovery/features.d. k8s: the same in one line, the arguments of
    `kubectl label node`. slurm: lines of gres.conf, and what slurm.conf has to say as a comment.

    Raises:
        KeyError: there is no such format.
    """
    if format_ == "github":
        labels = runner_labels(machine)
        return ",".join(labels) + "\n" if labels else ""
    if format_ == "slurm":
        return _slurm(slurm_types(machine))
    labels = tuple(f"{key}={value}" for key, value in node_labels(machine).items())
    return {"nfd": "".join(f"{label}\n" for label in labels), "k8s": " ".join(labels) + "\n" if labels else ""}[format_]


def runner_labels(machine: Machine) -> tuple[str, ...]:
    """Labels of a runner: lower-case letters, digits and dashes, which is all that GitHub finds runners by.

    gpu, its vendor, gpus-2 (how many a job can use, where that is known), the name of each kind, sm-89 or gfx1100 of
    each kind, vram-24gb (what the smallest is sold as; none of memory that is shared with the CPU), cuda-12 (the
    driver's), rocm-6 and mps (installed), and the category.
    """
    gpus, others = usable_for_sure(machine)
    if not gpus:
        return ()
    labels = ["gpu", *(gpu.vendor for gpu in gpus), "" if others else f"gpus-{len(gpus)}"]
    labels += [gpu.name or "" for gpu in gpus]
    labels += [f"sm-{gpu.compute_capability.replace('.', '')}" for gpu in gpus if gpu.compute_capability]
    labels += [gpu.gfx_target for gpu in gpus if gpu.gfx_target]
    labels += [*_sizes(gpus), *_software(machine, gpus), machine.category.name if machine.category else ""]
    words = (_NOT_A_WORD.sub("-", label.lower())[:_LONGEST].strip("-") for label in labels)
    return tuple(dict.fromkeys(word for word in words if word))


def _sizes(gpus: tuple[Gpu, ...]) -> list[str]:
    sizes = [gpu.memory.total_bytes for gpu in gpus if gpu.memory.kind == "dedicated"]
    if len(sizes) < len(gpus) or None in sizes:
        return []
    return [f"vram-{int(nominal_gib(min(size for size in sizes if size is not None)))}gb"]


def _software(machine: Machine, gpus: tuple[Gpu, ...]) -> list[str]:
    vendors = {gpu.vendor for gpu in gpus}
    nvidia, toolkits = machine.drivers.nvidia, machine.toolkits
    found = []
    if "NVIDIA" in vendors and nvidia is not None and nvidia.cuda_version:
        found.append(f"cuda-{nvidia.cuda_version.split('.')[0]}")
    if "AMD" in vendors and toolkits.rocm:
        found.append(f"rocm-{toolkits.rocm.split('.')[0]}")
    if "Apple" in vendors and toolkits.mps:
        found.append("mps")
    return found


def why_none(machine: Machine) -> tuple[str, bool]:
    """Why there are no labels, in words, and whether that is for sure: a driver that does not answer leaves it open."""
    for gpu in machine.gpus:
        told = usability(machine, gpu)
        if told.answer == "unknown":
            return told.reason or "whether a GPU can be used is not known", False
    hidden = unseen(machine)
    if hidden is not None:
        return f"there may be GPUs that are not seen: {hidden}", False
    if not machine.gpus:
        return "this machine has no GPU", True
    reasons = dict.fromkeys(hindrance(gpu) for gpu in machine.gpus if not gpu.usable)
    return "; ".join(("there is no GPU to label", *reasons)), True


def slurm_types(machine: Machine) -> dict[str, int]:
    """How many there are of each type of GPU, by the names that Slurm's own detection gives them.

    Those are the driver's in lower case with underscores for spaces (gpu_common_underscorify_tolower): tesla_t4. A MIG
    device has its card's up to the first dash, and its profile (gpu_nvml.c): nvidia_a100_1g.5gb. What would be a sign
    of its own in the files is left out.
    """
    cards = {gpu.index: gpu for gpu in machine.gpus}
    types: Counter[str] = Counter()
    for gpu in machine.gpus:
        if gpu.state != "ok" or (gpu.kind != "mig" and gpu.mig.mode == "enabled"):
            continue
        name = _type_of(gpu, cards)
        if name:
            types[name] += 1
    return dict(types)


def _type_of(gpu: Gpu, cards: dict[int, Gpu]) -> str | None:
    if gpu.kind != "mig":
        return _type(gpu.name)
    parent = cards.get(gpu.mig.parent) if gpu.mig.parent is not None else None
    name, profile = _type(parent.name if parent else None), _SLICE.search(gpu.mig.profile or "")
    return f"{name.split('-')[0]}_{profile[0]}" if name and profile else None


def _type(name: str | None) -> str:
    return _NOT_OF_A_TYPE.sub("", one_line(name or "").lower().replace(" ", "_"))


def _slurm(types: dict[str, int]) -> str:
    if not types:
        return ""
    gres = ",".join(f"gpu:{name}:{count}" for name, count in types.items())
    return "".join((
        f"# slurm.conf, on the node's line: Gres={gres}\n",
        "# gres.conf; Count binds no device files: add File= to each line, or let AutoDetect= find them\n",
        *(f"Name=gpu Type={name} Count={count}\n" for name, count in types.items()),
    ))  # fmt: skip
