"""What is fuzzed: every function of gpucheck that takes a text apart, with the texts of the fixtures that it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from gpucheck import api
from gpucheck.catalog import amd_ids, drivers, find, names, segment
from gpucheck.errors import GpucheckError, RecordingError, UnknownNameError, UsageError
from gpucheck.host.answer import Answer
from gpucheck.host.plain_json import parse_json
from gpucheck.host.recording import Recording, read_recording
from gpucheck.host.redact import Redactor
from gpucheck.machine.visible import apply_visibility
from gpucheck.models import quantization, reference, size
from gpucheck.probes import (
    apple, cgroup, collect, cpu_info, cpu_topology, frameworks, intel, intel_tools, kfd, memory, numa, pci, platform,
    rocm_smi, sysctl, tegra, toolkits, windows, wsl,
)  # fmt: skip
from gpucheck.probes.nvidia import kernel, smi_csv, smi_xml, values, words, xid
from gpucheck.units import parse_bytes

ROOT = Path(__file__).resolve().parent.parent

XML = (
    '<?xml version="1.0" ?><!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd"><nvidia_smi_log><driver_version>570.124'
    "</driver_version><cuda_version>12.8</cuda_version><attached_gpus>1</attached_gpus><gpu id='00000000:0C:00.0'>"
    "<product_name>NVIDIA A100</product_name><product_brand>NVIDIA</product_brand><uuid>GPU-1</uuid><mig_mode><current_mig>"
    "Enabled</current_mig></mig_mode><mig_devices><mig_device><index>0</index><gpu_instance_id>3</gpu_instance_id>"
    "<fb_memory_usage><total>9856 MiB</total></fb_memory_usage></mig_device></mig_devices><pci><pci_bus_id>00000000:0C:00.0"
    "</pci_bus_id><pci_device_id>20B010DE</pci_device_id><pci_gpu_link_info><link_widths><max_link_width>16x"
    "</max_link_width></link_widths></pci_gpu_link_info></pci><fb_memory_usage><total>40960 MiB</total><used>1 MiB</used>"
    "<free>2 MiB</free></fb_memory_usage><gpu_power_readings><power_limit>400.00 W</power_limit></gpu_power_readings>"
    "<max_clocks><sm_clock>1410 MHz</sm_clock></max_clocks></gpu></nvidia_smi_log>"
)
CSV = (
    "index, name, uuid, pci.bus_id, memory.total [MiB], compute_cap, power.limit [W]\n"
    "0, NVIDIA A100-SXM4-40GB, GPU-1, 00000000:07:00.0, 40960 MiB, 8.0, 400.00 W\n"
)
LISTED = "GPU 0: NVIDIA H100 (UUID: GPU-1)\n  MIG 3g.40gb     Device  0: (UUID: MIG-a)\n"
LOG = (
    "[ 1.5] NVRM: Xid (PCI:0000:5d:00): 79, pid=1234, GPU has fallen off the bus.\n"
    "NVRM: GPU 0000:0c:00.0: GPU has fallen off the bus.\nNVRM: GPU at PCI:0000:5d:00: GPU-1\nNVRM: will ignore this GPU\n"
)
RELEASE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.71.05  Release Build  (dvs@U22)\nGCC version:\n"
CARD = "Model: \t\t NVIDIA A100\nIRQ:   \t\t 1\nGPU UUID: \t GPU-????-1\nDevice Minor: \t 0\nGPU Excluded:\t No\n"
AMD_SMI = json.dumps({"gpu_data": [{
    "gpu": 0, "asic": {"market_name": "Navi 31 [Radeon RX 7900 XT/7900 XTX]", "num_compute_units": 96,
    "target_graphics_version": "gfx1100"}, "bus": {"bdf": "0000:03:00.0"}, "vram": {"type": "GDDR6", "size":
    {"value": 24560, "unit": "MB"}}, "partition": {"compute_partition": "SPX"}}]})  # fmt: skip
XPU = json.dumps({"device_list": [{
    "device_function_type": "physical", "pci_bdf_address": "0000:03:00.0", "device_id": 0, "device_name": "Intel Arc",
    "memory_physical_size_byte": "17079205888"}]})  # fmt: skip
CUDA_JSON = '{"cuda": {"name": "CUDA SDK", "version": "12.8.1"}, "nvcc": {"version": "12.8"}}'
LSPCI = (
    '0000:01:00.0 "VGA compatible controller [0300]" "NVIDIA [10de]" "GA102 [2204]"\n'
    "0000:01:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 PCIe 40GB] [10de:20f1] (rev a1)\n"
)
VM_STAT = "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:  1000.\nPages inactive:  9.\n"
HEADERS = (
    "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n",
    "#define TRT_MAJOR_ENTERPRISE 10\n#define TRT_MINOR_ENTERPRISE 1\n#define TRT_PATCH_ENTERPRISE 0\n",
    "CUDA Version 10.1.243\n", "6.4.1-83\n",
)  # fmt: skip
TORCH = "__version__ = '2.7.1+cu128'\ndebug = False\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n"
WORDS = (
    "[N/A]", "81559 MiB", "320.00 W", "16x", "0x233010DE", "00000000:0C:00.0", "535.54.03", "Enabled", "0-3,8", "1024K",
    "200000 100000", "MIG 1g.10gb", "12.570.86.10", "8.0 GT/s PCIe", "1536 MB", "33:00.0", "0x10000000", "196592 MB",
    "Navi 31 [Radeon RX 7900 XTX]", "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0", "/opt/venv/bin/python3",
    "torch-2.7.1+cu128.dist-info", "PCI\\VEN_10DE&DEV_2684&SUBSYS_889D1043&REV_A1", "nv_dispi.inf_amd64_31dab",
)  # fmt: skip
ASKED = (
    "RTX 4090", "NVIDIA GeForce RTX 5070Ti Laptop GPU", "2x RTX 4090 + M4 Max 128GB", "A100 80 GB", "24GiB", "64 GB",
    "7b", "70b@q4_k_m", "8x7b@Q8_0", "30b-a3b", "Radeon RX 7900 XTX", "AMD Instinct MI300X", "Ryzen AI Max+ 395",
)  # fmt: skip
LISTS = (
    "0,1", "GPU-8f2a", "MIG-00000000", "-1", "NoDevFiles", "2,3,0\n0,1\n1\n0\n11.0.0", "0x1,02\n", "\n\nGPU-1\n",
)  # fmt: skip
VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
    "HSA_OVERRIDE_GFX_VERSION",
)  # fmt: skip


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


def _entries(parse: Callable[[dict[str, Any]], Any]) -> Callable[[str], Any]:
    """A function of an object, applied to each object in a JSON text."""

    def call(text: str) -> Any:
        try:
            found = parse_json(text)
        except (ValueError, RecursionError):
            return None
        groups = found.values() if isinstance(found, dict) else [found]
        return [parse(dict(entry)) for group in groups for entry in windows.objects(group)]

    return call


def _object(entry: dict[str, Any]) -> Any:
    fields = [(windows.text(entry, name), windows.count(entry, name)) for name in entry]
    sizes = [
        (rocm_smi.size_bytes(value), rocm_smi.market_name(value), apple.parse_size(value)) for value in entry.values()
    ]
    return fields, sizes, [windows.pci_ids(text) for text, _ in fields if text]


def _darwin(text: str) -> Any:
    found = sysctl.parse_sysctl(text)
    return found, sysctl.darwin_l2_bytes(found), sysctl.darwin_features(found)


def _meminfo(text: str) -> Any:
    found = memory.parse_meminfo(text)
    return found, memory.available_bytes(found), numa.parse_node_memory(text)


def _hidden(text: str) -> Any:
    """The variables line by line, applied to MIG slices, unlike cards and partitions."""
    values_of = dict(zip(VARIABLES, text.split("\n"), strict=False))
    return [apply_visibility(machine.gpus, values_of, collect.Issues()) for machine in _machines()]


@cache
def _machines() -> tuple[api.Machine, ...]:
    chosen = ("h100-mig", "windows-laptop-hybrid", "amd-mi300x-cpx", "amd-w7900-and-igpu")
    return tuple(api.replay(recordings()[name]) for name in chosen)


def _redacted(text: str) -> Any:
    redactor = Redactor("alice", "tower.example", key=b"fuzz")
    answer = Answer({"stdout": text, "stderr": "", "returncode": 0})
    return [redactor.answer("command", key, answer) for key in ('["system_profiler"]', '["dmesg"]')], redactor.text(
        text
    )


def _words(text: str) -> Any:
    plain = (values.told, values.whole, values.measured, values.size_bytes, values.version, values.switch)
    ids = (values.pci_address, values.hex_word, words.library_version, words.profile_in_name, drivers.highest_cuda)
    return [call(text) for call in (*plain, *ids)], words.spelled(words.BRANDS, text), words.same_release(text, "570.1")


def _model_size(text: str) -> Any:
    return size.parse_size(text.lower()), quantization.find_quantization(text)


NAME_ERRORS = (UnknownNameError, UsageError)
TARGETS: tuple[Target, ...] = (
    Target("nvidia-smi XML", "nvidia", (smi_xml.parse_xml,), "nvidia-smi\", \"-q", (XML,)),
    Target("nvidia-smi CSV and list", "nvidia", (smi_csv.parse_csv, smi_csv.parse_list), "", (CSV, LISTED)),
    Target("kernel log", "nvidia", (xid.parse_kernel_log,), "", (LOG,)),
    Target("NVIDIA module", "nvidia", (kernel.parse_version, lambda text: kernel.parse_card("a", text)), "nvidia/version",
           (RELEASE, CARD)),
    Target("printed values", "nvidia", (_words,), "nvidia/version|^link", WORDS),
    Target("cgroup", "host", (cgroup.parse_cgroup, cgroup.parse_quota, platform.container_of_cgroup), "cgroup|cpu.max",
           WORDS[10:11]),
    Target("meminfo", "host", (_meminfo,), "meminfo"),
    Target("os-release", "host", (platform.parse_os_release, lambda text: platform.machine_of_dmi(text, text, text)),
           "os-release|/dmi/"),
    Target("cpuinfo", "host", (cpu_info.parse_cpuinfo, cpu_info.arch_of, cpu_info.has_hypervisor_flag), "file /proc/cpuinfo"),
    Target("CPU lists and sizes", "host", (cpu_topology.parse_cpu_list, cpu_topology.parse_size), "system/(cpu|node)/", WORDS),
    Target("lspci and links", "host", (pci.parse_lspci, pci.parse_generation, pci.bridges_of), "^link", (LSPCI, *WORDS)),
    Target("toolkits", "host", (toolkits.parse_cuda_json, toolkits.parse_cuda_text, toolkits.parse_cudnn,
           toolkits.parse_tensorrt, toolkits.parse_rocm), "rocm/.info", (CUDA_JSON, *HEADERS)),
    Target("frameworks", "host", (frameworks.parse_torch_version, frameworks.parse_package, frameworks.prefix_of),
           "pyvenv", (TORCH, *WORDS)),
    Target("KFD", "others", (kfd.parse_properties,), "/kfd/"),
    Target("amd-smi and rocm-smi", "others", (rocm_smi.parse_smi, rocm_smi.market_name, rocm_smi.size_bytes),
           "rocm-smi|amd-smi", (AMD_SMI, *WORDS)),
    Target("hl-smi", "others", (lambda text: intel_tools.parse_hl_smi(text, collect.Issues()),), "hl-smi"),
    Target("xpu-smi", "others", (intel_tools.parse_xpu_smi, intel_tools.pci_address, intel.parse_bytes), "lmem|vram", (XPU,)),
    Target("system_profiler", "others", (apple.parse_displays, apple.parse_size), "system_profiler"),
    Target("sysctl and vm_stat", "others", (_darwin, sysctl.parse_vm_stat), "\"sysctl\"", (VM_STAT,)),
    Target("objects of CIM, registry and SMI", "others", (_entries(_object),), "powershell|rocm-smi", (AMD_SMI, XPU)),
    Target("device tree and WSL", "others", (lambda text: tegra.module_by_name(text, 8 << 30),
           lambda text: wsl.makers_of(text.split())), "device-tree", WORDS),
    Target("visibility variables", "names", (_hidden,), "VISIBLE_DEVICES|OVERRIDE", LISTS),
    Target("card names", "names", (find.card_named, find.near_names, segment.segment_of, names.tokens, names.vendor_of,
           names.names_laptop, lambda text: amd_ids.name_by_revision(text, text)), "/Name$|product_name", ASKED, NAME_ERRORS),
    Target("simulated machines", "names", (lambda text: api.simulate(text),), "", ASKED, NAME_ERRORS),
    Target("model references", "names", (reference.parse_reference, _model_size, parse_bytes), "", ASKED, NAME_ERRORS),
    Target("redaction", "names", (_redacted,), "cgroup|system_profiler|^env|rocm-smi|kfd.*properties", (XML, LOG)),
)  # fmt: skip
RECORDING_ERRORS = (RecordingError,)
