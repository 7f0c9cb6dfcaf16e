"""What is fuzzed: every function of gpucheck that takes a text apart, with the texts of the fixtures that it reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from benchmarks import fuzz_calls
from benchmarks.fuzz_texts import (
    AMD_SMI,
    ASKED,
    CARD,
    CSV,
    CUDA_JSON,
    HEADERS,
    LISTED,
    LISTS,
    LOG,
    LSPCI,
    RELEASE,
    TORCH,
    VARIABLES,
    VM_STAT,
    WORDS,
    XML,
    XPU,
)
from gpucheck import api
from gpucheck.catalog import amd_ids, find, names, segment
from gpucheck.errors import GpucheckError, RecordingError, UnknownNameError, UsageError
from gpucheck.host.answer import Answer
from gpucheck.host.recording import Recording, read_recording
from gpucheck.machine.visible import apply_visibility
from gpucheck.models import reference
from gpucheck.probes import (
    apple,
    builds,
    cgroup,
    collect,
    cpu_info,
    cpu_topology,
    cuda_toolkits,
    environment,
    intel,
    intel_tools,
    kfd,
    pci,
    platform,
    rocm_smi,
    rocm_toolkits,
    sysctl,
    tegra,
    toolkit_folders,
    toolkits,
    wsl,
)
from gpucheck.probes.nvidia import kernel, smi_csv, smi_xml, xid
from gpucheck.units import parse_bytes

ROOT = Path(__file__).resolve().parent.parent


class Target(Struct, frozen=True):
    """One or several functions of a text; `allowed` are the errors that they document."""

    name: str
    group: str
    calls: tuple[Callable[[str], Any], ...]
    keys: str = ""  # which answers of the fixtures it reads, as a regular expression of "section key"
    literals: tuple[str, ...] = ()
    allowed: tuple[type[GpucheckError], ...] = ()


@cache
def recordings() -> dict[str, Recording]:
    """All fixtures."""
    return {path.stem: read_recording(path) for path in sorted((ROOT / "fixtures").glob("*.json"))}


def corpus(target: Target) -> list[bytes]:
    """The texts that a target starts from, each once."""
    found = dict.fromkeys(target.literals)
    if target.keys:
        wanted = re.compile(target.keys)
        found |= dict.fromkeys(text for label, text in _texts() if wanted.search(label))
    return [text.encode() for text in found]


def _texts() -> Iterator[tuple[str, str]]:
    for recording in recordings().values():
        for section, answers in recording.answers.items():
            for key, answer in answers.items():
                yield from ((f"{section} {key}", text) for text in _texts_of(answer))


def _texts_of(answer: Answer[Any]) -> list[str]:
    value = answer.value
    if isinstance(value, dict):
        return [value["stdout"]] if isinstance(value.get("stdout"), str) else []
    return [value] if isinstance(value, str) else []


def _hidden(text: str) -> Any:
    """The variables line by line, applied to MIG slices, unlike cards and partitions."""
    values_of = dict(zip(VARIABLES, text.split("\n"), strict=False))
    return [apply_visibility(machine.gpus, values_of, collect.Issues()) for machine in _machines()]


@cache
def _machines() -> tuple[api.Machine, ...]:
    chosen = ("h100-mig", "windows-laptop-hybrid", "amd-mi300x-cpx", "amd-w7900-and-igpu")
    return tuple(api.replay(recordings()[name]) for name in chosen)


NAME_ERRORS = (UnknownNameError, UsageError)
TARGETS: tuple[Target, ...] = (
    Target("nvidia-smi XML", "nvidia", (smi_xml.parse_xml,), 'nvidia-smi", "-q', (XML,)),
    Target("nvidia-smi CSV and list", "nvidia", (smi_csv.parse_csv, smi_csv.parse_list), "", (CSV, LISTED)),
    Target("kernel log", "nvidia", (xid.parse_kernel_log,), "", (LOG,)),
    Target(
        "NVIDIA module",
        "nvidia",
        (kernel.parse_version, lambda text: kernel.parse_card("a", text)),
        "nvidia/version",
        (RELEASE, CARD),
    ),
    Target("printed values", "nvidia", (fuzz_calls.words_facts,), "nvidia/version|^link", WORDS),
    Target(
        "cgroup",
        "host",
        (cgroup.parse_cgroup, cgroup.parse_quota, platform.container_of_cgroup),
        "cgroup|cpu.max",
        WORDS[10:11],
    ),
    Target("meminfo", "host", (fuzz_calls.meminfo_facts,), "meminfo"),
    Target(
        "os-release",
        "host",
        (platform.parse_os_release, lambda text: platform.machine_of_dmi(text, text, text)),
        "os-release|/dmi/",
    ),
    Target(
        "cpuinfo",
        "host",
        (cpu_info.parse_cpuinfo, cpu_info.arch_of, cpu_info.has_hypervisor_flag),
        "file /proc/cpuinfo",
    ),
    Target(
        "CPU lists and sizes",
        "host",
        (cpu_topology.parse_cpu_list, cpu_topology.parse_size),
        "system/(cpu|node)/",
        WORDS,
    ),
    Target(
        "lspci and links", "host", (pci.parse_lspci, pci.parse_generation, pci.bridges_of), "^link", (LSPCI, *WORDS)
    ),
    Target(
        "toolkits",
        "host",
        (
            cuda_toolkits.parse_cuda_json,
            cuda_toolkits.parse_cuda_text,
            cuda_toolkits.parse_cuda_header,
            cuda_toolkits.parse_wrapper,
            toolkits.parse_cudnn,
            toolkits.parse_tensorrt,
            toolkits.parse_nccl,
            toolkits.parse_level_zero,
            rocm_toolkits.parse_rocm,
            rocm_toolkits.parse_rocm_header,
            toolkit_folders.version_key,
        ),
        "rocm.*/.info|usr/include|libze_loader|nvcc",
        (CUDA_JSON, *HEADERS),
    ),
    Target(
        "frameworks",
        "host",
        (
            builds.parse_torch_version,
            builds.parse_tensorflow_build,
            builds.parse_onnx_build,
            builds.torch_in_tag,
            lambda text: builds.parse_requirement(text, "torch"),
            lambda text: builds.satisfies(text, "==2.8.*"),
            lambda text: builds.satisfies("2.8.0", text),
            lambda text: builds.compiled_for([text], "_C"),
            environment.parse_package,
            environment.prefix_of,
        ),
        "pyvenv|METADATA|build_and_package_info",
        (TORCH, *WORDS),
    ),
    Target("KFD", "others", (kfd.parse_properties,), "/kfd/"),
    Target(
        "amd-smi and rocm-smi",
        "others",
        (rocm_smi.parse_smi, rocm_smi.market_name, rocm_smi.size_bytes),
        "rocm-smi|amd-smi",
        (AMD_SMI, *WORDS),
    ),
    Target("hl-smi", "others", (lambda text: intel_tools.parse_hl_smi(text, collect.Issues()),), "hl-smi"),
    Target(
        "xpu-smi",
        "others",
        (intel_tools.parse_xpu_smi, intel_tools.pci_address, intel.parse_bytes),
        "lmem|vram",
        (XPU,),
    ),
    Target("system_profiler", "others", (apple.parse_displays, apple.parse_size), "system_profiler"),
    Target("sysctl and vm_stat", "others", (fuzz_calls.darwin_facts, sysctl.parse_vm_stat), '"sysctl"', (VM_STAT,)),
    Target(
        "objects of CIM, registry and SMI",
        "others",
        (fuzz_calls.entries(fuzz_calls.object_facts),),
        "powershell|rocm-smi",
        (AMD_SMI, XPU),
    ),
    Target(
        "device tree and WSL",
        "others",
        (lambda text: tegra.module_by_name(text, 8 << 30), lambda text: wsl.makers_of(text.split())),
        "device-tree",
        WORDS,
    ),
    Target("visibility variables", "names", (_hidden,), "VISIBLE_DEVICES|OVERRIDE", LISTS),
    Target(
        "card names",
        "names",
        (
            find.card_named,
            find.near_names,
            segment.segment_of,
            names.tokens,
            names.vendor_of,
            names.names_laptop,
            lambda text: amd_ids.name_by_revision(text, text),
        ),
        "/Name$|product_name",
        ASKED,
        NAME_ERRORS,
    ),
    Target("simulated machines", "names", (api.simulate,), "", ASKED, NAME_ERRORS),
    Target(
        "model references",
        "names",
        (reference.parse_reference, fuzz_calls.model_size_facts, parse_bytes),
        "",
        ASKED,
        NAME_ERRORS,
    ),
    Target(
        "redaction",
        "names",
        (fuzz_calls.redacted_facts,),
        "cgroup|system_profiler|^env|rocm-smi|kfd.*properties",
        (XML, LOG),
    ),
)
RECORDING_ERRORS = (RecordingError,)
