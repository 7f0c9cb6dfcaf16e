"""The edge cases of `fixtures/cases.py`: each has its machine, its test, and the answer that it promises."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

import gpucheck
from fixtures.cases import CASES
from gpucheck.host.recording import read_recording
from gpucheck.machine.types import GpuMemory, Machine
from tests.running import FIXTURES, NAMES, ROOT, fixture, machine, page, report

MIB, GIB, GB = 1 << 20, 1 << 30, 10**9
FIRST, LAST = 1, 44  # of those that public issues gave

FACTS: dict[str, Callable[[Machine], Any]] = {
    "states": lambda found: [gpu.state for gpu in found.gpus],
    "names": lambda found: [gpu.name for gpu in found.gpus],
    "cards": lambda found: [gpu.catalogue_id for gpu in found.gpus],
    "kinds": lambda found: [gpu.kind for gpu in found.gpus],
    "mib": lambda found: [gpu.memory.total_bytes and gpu.memory.total_bytes // MIB for gpu in found.gpus],
    "usable_mib": lambda found: [gpu.memory.usable_bytes and gpu.memory.usable_bytes // MIB for gpu in found.gpus],
    "memory": lambda found: [gpu.memory.kind for gpu in found.gpus],
    "gb_per_s": lambda found: [gpu.bandwidth_bytes_per_s and gpu.bandwidth_bytes_per_s // GB for gpu in found.gpus],
    "capabilities": lambda found: [gpu.compute_capability or gpu.gfx_target for gpu in found.gpus],
    "lanes": lambda found: [(gpu.pcie.width, gpu.pcie.max_width) for gpu in found.gpus],
    "pcie": lambda found: [(gpu.pcie.generation, gpu.pcie.max_generation) for gpu in found.gpus],
    "links": lambda found: [(gpu.nvlink.active_links, gpu.nvlink.peers) for gpu in found.gpus],
    "xids": lambda found: [gpu.health.xids for gpu in found.gpus],
    "partitions": lambda found: [(gpu.partition.compute, gpu.partition.count) for gpu in found.gpus],
    "apu": lambda found: [_apu_mib(gpu.memory) for gpu in found.gpus],
    "bandwidth_from": lambda found: [gpu.sources.get("bandwidth_bytes_per_s") for gpu in found.gpus],
    "visible": lambda found: [gpu.visible for gpu in found.gpus],
    "hidden_by": lambda found: sorted({gpu.hidden_by for gpu in found.gpus if gpu.hidden_by}),
    "usable": lambda found: [gpu.index for gpu in found.usable_gpus],
    "findings": lambda found: [(finding.code, finding.severity) for finding in gpucheck.problems(found)],
    "commands": lambda found: [command for one in gpucheck.problems(found) for command in one.remedy.commands],
    "issues": lambda found: {issue.code for issue in found.issues} - {"unknown"},
    "driver": lambda found: found.drivers.nvidia and (found.drivers.nvidia.version, found.drivers.nvidia.cuda_version),
    "library": lambda found: found.drivers.nvidia and found.drivers.nvidia.library_version,
    "limit_gib": lambda found: found.memory.limit_bytes and found.memory.limit_bytes / GIB,
    "host_mib": lambda found: found.memory.total_bytes and found.memory.total_bytes // MIB,
    "host_usable_mib": lambda found: found.memory.usable_bytes and found.memory.usable_bytes // MIB,
    "cores": lambda found: found.cpu.usable_cores,
    "processor_nodes": lambda found: found.cpu.numa_nodes,
    "container": lambda found: found.platform.container,
    "vm": lambda found: found.platform.virtual_machine,
    "frameworks": lambda found: [(one.name, one.version, one.build) for one in found.frameworks],
    "torch": lambda found: [(one.arch_list[:1], one.usable) for one in found.frameworks if one.name == "torch"],
    "compat": lambda found: found.toolkits.cuda_compat and found.toolkits.cuda_compat.version,
    "adapters": lambda found: [adapter.pci_id for adapter in found.display_adapters],
}
A100_NODE = ["unreachable"] * 8

# By fixture: what the answers in the table come to. Totals are MiB as drivers give them, bandwidth whole GB/s.
EXPECTED: dict[str, dict[str, Any]] = {
    "driver-610": {"driver": ("610.57.04", "13.3"), "states": ["ok"], "findings": []},
    "unified-gb10": {
        # MemTotal of 125,511,680 KiB; nine tenths of it MemAvailable, of which MemFree is a small part
        "mib": [122570], "usable_mib": [110313], "memory": ["shared"], "kinds": ["unified"],
        "findings": [("GC414", "info")],
    },
    "unified-gb10-with-rtx": {
        "names": ["NVIDIA GeForce RTX 4090", "NVIDIA GB10"], "mib": [24564, 122570], "memory": ["dedicated", "shared"],
    },
    "unified-n1x": {
        "mib": [55496], "memory": ["shared"], "issues": {"carve_out", "not_found", "not_supported", "wddm"},
    },
    "unified-jetson-orin-64": {
        "names": ["NVIDIA Jetson AGX Orin 64GB"], "mib": [62841], "memory": ["shared"], "capabilities": ["8.7"],
    },
    "unified-jetson-xavier": {
        "names": ["NVIDIA Jetson AGX Xavier"], "mib": [31926], "memory": ["shared"], "capabilities": ["7.2"],
    },
    "unified-jetson-thor": {
        "cards": ["jetson-agx-thor"], "mib": [125759], "memory": ["shared"], "capabilities": ["11.0"],
    },
    "driver-mismatch": {
        "states": ["driver_mismatch"], "driver": ("550.120", "12.4"), "library": "550.144",
        "findings": [("GC202", "error")], "commands": ["sudo reboot"],
    },
    "container-lost-gpus": {
        "states": A100_NODE, "container": "docker", "findings": [("GC401", "error")], "commands": ["docker restart …"],
    },
    "h100-x8-one-lost": {
        "states": ["ok"] * 5 + ["lost"] + ["ok"] * 2, "usable": [0, 1, 2, 3, 4, 6, 7], "findings": [("GC501", "error")],
    },
    "lost-without-xid": {
        "states": ["ok", "lost"], "usable": [0], "xids": [(), (79,)], "findings": [("GC501", "error")],
    },
    "fabric-not-started": {"states": ["ok"] * 8, "usable": [], "findings": [("GC504", "error")]},
    "pascal-on-590": {
        "cards": ["rtx-3070", "gtx-1080-ti"], "states": ["ok", "no_driver"], "usable": [0],
        "findings": [("GC206", "error")], "commands": ["sudo apt install nvidia-driver-580", "sudo reboot"],
    },
    "torch-cpu-build": {
        "frameworks": [("torch", "2.9.1", "cpu")], "states": ["ok"], "torch": [((), False)],
        "findings": [("GC301", "warning")],
        "commands": ["pip install --force-reinstall torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128"],
    },
    "cuda-compat-older": {
        "compat": "575.57.08", "driver": ("590.48.01", "13.1"), "torch": [(("sm_70",), False)],
        "findings": [("GC306", "error")],
    },
    "cuda-compat-geforce": {
        "compat": "570.124.06", "driver": ("550.127.05", "12.4"), "torch": [(("sm_70",), False)],
        "findings": [("GC306", "error")],
        "commands": [r"sed -i '\#^/usr/local/cuda-12.8/compat/*$#d' /etc/ld.so.conf.d/00-cuda-compat.conf", "ldconfig"],
    },
    "torch-old-card": {
        "capabilities": ["6.0"], "torch": [(("sm_70",), False)], "findings": [("GC302", "error")],
        "commands": ["pip install --force-reinstall torch==2.9.1 --index-url https://download.pytorch.org/whl/cu126"],
    },
    "deep-new-card": {
        "torch": [(("sm_50",), False)], "findings": [("GC310", "error")],
    },
    "torch-new-card": {
        "capabilities": ["12.0"], "torch": [(("sm_50",), False)], "findings": [("GC302", "error")],
        "commands": ["pip install --force-reinstall torch==2.7.1 --index-url https://download.pytorch.org/whl/cu128"],
    },
    "torch-rtx-40": {"capabilities": ["8.9"], "torch": [(("sm_70",), True)], "findings": []},
    "torch-linux-pascal": {
        "capabilities": ["6.1"], "torch": [(("sm_75",), False)], "findings": [("GC302", "error")],
        "commands": ["pip install --force-reinstall torch==2.7.1 --index-url https://download.pytorch.org/whl/cu126"],
    },
    "torch-windows-pascal": {"capabilities": ["6.1"], "torch": [(("sm_50",), True)], "findings": []},
    "torch-gfx-override": {
        "capabilities": ["gfx1103"], "torch": [(("gfx900",), None)], "findings": [("GC302", "warning")], "commands": [],
    },
    "pynvml-clash": {"findings": [("GC304", "warning")], "torch": [(("sm_70",), True)]},
    "torch-old-driver": {
        "torch": [(("sm_75",), False)], "findings": [("GC305", "error")],
        "commands": ["pip install --force-reinstall torch==2.11.0 --index-url https://download.pytorch.org/whl/cu128"],
    },
    "torch-cuda-on-amd": {
        "torch": [(("sm_70",), False)], "findings": [("GC303", "warning")],
        "commands": ["pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/rocm7.2"],
    },
    "torch-rocm-on-nvidia": {
        "torch": [(("gfx900",), False)], "findings": [("GC303", "warning")],
        "commands": ["pip install --force-reinstall torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128"],
    },
    "smi-absent-values": {
        "states": ["ok"] * 8, "cards": ["t4"] * 8, "pcie": [(None, 3)] * 8, "lanes": [(None, 16)] * 8,
        "bandwidth_from": ["catalogue"] * 8,
    },
    "secure-boot": {
        "states": ["no_driver"], "findings": [("GC201", "error")],
        "commands": ["sudo update-secureboot-policy --enroll-key", "sudo reboot"],
    },
    "nouveau-bound": {"states": ["wrong_driver"], "cards": ["rtx-3090"], "findings": [("GC203", "error")]},
    "wsl2-shadowed-library": {"names": [], "findings": [("GC207", "error")]},
    "wsl2-rtx3080": {"cards": ["rtx-3080-10"], "mib": [10240], "usable": [0], "findings": []},
    "windows-no-nvml-adapterram": {
        "names": ["AMD Radeon RX 9070 XT", "AMD Radeon(TM) Graphics"], "mib": [16304, 64512],
        "memory": ["dedicated", "shared"],
    },
    "windows-rtx4090": {"cards": ["rtx-4090"], "mib": [24564], "cores": 32, "host_mib": 64512},
    "amd-apu-780m": {"mib": [14848], "apu": [(512, 14336, 14336)], "kinds": ["integrated"]},
    "amd-strix-halo": {
        "mib": [116736], "apu": [(4096, 112640, 63488)], "issues": {"rocm_memory_differs"},
    },
    "amd-no-kfd-permission": {"states": ["no_permission"], "usable": [], "findings": [("GC204", "error")]},
    "amd-rocm-smi-warning": {"cards": ["rx-7900-xtx"], "mib": [24560]},
    "amd-hsa-override": {"capabilities": ["gfx1103"], "issues": {"gfx_override"}},
    "amd-mi300x-cpx": {
        "cards": ["mi300x"] * 8, "partitions": [("CPX", 8)] * 7 + [("CPX", 7)], "issues": {"partition_missing"},
    },
    "apple-m4-max-128": {"mib": [131072], "usable_mib": [110100]},
    "apple-wired-limit": {"usable_mib": [176 * 1024]},
    "apple-vm": {"states": ["unsupported"], "usable": [], "vm": "virtual"},
    "container-4gib": {"limit_gib": 4, "cores": 2, "host_mib": 251 * 1024, "container": "docker"},
    "cgroup-v1-nested": {"limit_gib": 24, "cores": 12.5, "host_mib": 512 * 1024, "container": "docker"},
    "systemd-scope": {"limit_gib": 8, "cores": 1.5, "container": None},
    "gpus-hidden": {
        "states": ["ok", "ok"], "visible": [False, False], "hidden_by": ["CUDA_VISIBLE_DEVICES="],
        "findings": [("GC402", "warning")],
    },
    "visible-uuid-prefix": {"visible": [False, True], "usable": [1]},
    "visible-mig": {"visible": [True, False, True], "kinds": ["discrete", "mig", "mig"], "usable": [2]},
    "visible-minus-one": {"visible": [True, False], "usable": [0]},
    "card-rtx-4090": {"pcie": [(1, 4)], "lanes": [(16, 16)], "findings": []},
    "pcie-behind-switch": {"lanes": [(4, 16)], "findings": [("GC102", "info")]},
    "nvlink-without-bridge": {"links": [(0, ()), (0, ())], "findings": []},
    "vgpu-guest": {
        "kinds": ["vgpu"], "cards": [None], "mib": [8192], "gb_per_s": [None], "lanes": [(None, None)], "usable": [0],
    },
    "names-within-names": {
        "cards": ["l40s", "l4", "a10", "rtx-a4000"], "gb_per_s": [864, 300, 600, 448], "issues": set(),
    },
    "card-gh200": {"cards": ["gh200-96"], "mib": [97871]},
    "card-h200": {"cards": ["h200-sxm"], "gb_per_s": [4814], "bandwidth_from": ["derived"], "mib": [143771]},
    "intel-a770-i915": {"cards": ["arc-a770-16"], "mib": [16288], "memory": ["dedicated"]},
    "intel-igpu": {"kinds": ["integrated"], "mib": [32768], "adapters": ["8086:7d1d"]},
    "unified-gh200-partial": {
        # MemAvailable of 548,000,000 KiB, less the 98,000,000 that are free in the HBM
        "mib": [97871], "host_usable_mib": 450_000_000 // 1024, "processor_nodes": 1,
        "issues": {"coherent_memory"},
    },
    "card-k80": {"cards": ["k80", "k80"], "mib": [11441, 11441], "usable": [0, 1]},
    "card-rtx-4000": {"cards": ["quadro-rtx-4000"], "mib": [8192], "capabilities": ["7.5"]},
    "h100-mig-empty": {"usable": [], "findings": [("GC101", "error")]},
    "compute-prohibited": {
        "states": ["ok"], "usable": [], "findings": [("GC103", "error")],
        "commands": ["sudo nvidia-smi -i 0000:01:00.0 -c DEFAULT"],
    },
    "vfio-passthrough": {"states": ["ok", "wrong_driver"], "usable": [0], "findings": [("GC203", "info")]},
    "unlike-cards": {
        "names": ["NVIDIA GeForce RTX 3070", "NVIDIA GeForce RTX 4090"], "visible": [False, True],
        "issues": {"cuda_order_assumed"},
    },
    "card-mi250": {"cards": ["mi250", "mi250"], "mib": [65520, 65520], "usable": [0, 1]},
    "slurm-job": {
        "states": ["unreachable"] * 4 + ["ok"] * 2 + ["unreachable"] * 2, "usable": [4, 5], "visible": [True] * 8,
        "limit_gib": 200, "cores": 16, "findings": [("GC403", "info")],
    },
    "kubernetes-pod": {
        "states": ["unreachable"] * 2 + ["ok"] + ["unreachable"] * 5, "usable": [2], "container": "kubernetes",
        "limit_gib": 64, "cores": 16, "findings": [("GC403", "info"), ("GC405", "info")],
    },
    "container-without-gpus": {
        "states": A100_NODE, "findings": [("GC401", "error")], "commands": ["docker run --gpus all …"],
    },
    "podman-without-kfd": {
        "states": ["unreachable"], "container": "podman", "findings": [("GC401", "error")],
        "commands": ["podman run --device=/dev/kfd --device=/dev/dri …"],
    },
    "lxc-container": {"container": "lxc", "cards": ["rtx-3090"], "usable": [0], "findings": []},
    "ec2-bare-metal": {"vm": None, "cards": ["t4"] * 8, "findings": []},
    "laptop-4090": {"cards": ["rtx-4090-laptop"], "mib": [16376], "gb_per_s": [576]},
    "rtx-3080-20gb": {
        "cards": [None], "mib": [20480], "gb_per_s": [760], "bandwidth_from": ["derived"], "capabilities": ["8.6"],
    },
    "nvml-nothing-optional": {
        "cards": ["rtx-4090"], "mib": [24564], "gb_per_s": [1008], "bandwidth_from": ["catalogue"],
        "capabilities": ["8.9"], "findings": [],
    },
    "h100-mig": {
        "kinds": ["discrete", "mig", "mig", "mig", "mig"], "mib": [81559, 40448, 20096, 9984, 9984],
        "usable": [1, 2, 3, 4],
    },
}  # fmt: skip

every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def test_every_public_case_is_in_the_table() -> None:
    """The numbers have no gap, the first 44 name their issues, and no row stands twice."""
    numbers = [case.number for case in CASES]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(FIRST, max(numbers) + 1))
    assert max(numbers) >= LAST
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.reference for case in CASES)
    assert all("#" in case.reference or "seen in" in case.reference or "blog" in case.reference
               for case in CASES if case.number <= LAST)  # fmt: skip


@every_case
def test_a_case_is_whole(case: Any) -> None:
    """A case has its answer and its test, or says what is missing yet; a fixture that it names is there."""
    assert case.later is None or case.later.startswith("not yet: ")
    assert bool(case.answer) == (case.test is not None)
    assert case.answer or case.later
    assert case.fixture is None or case.fixture in NAMES
    assert case.fixture is None or case.test is not None


@every_case
def test_its_test_exists(case: Any) -> None:
    """The test that a case names is in that file, in that class."""
    if case.test is not None:
        path, _, name = case.test.partition("::")
        assert name in _tests_in(path)


def test_every_fixture_of_the_table_has_an_answer() -> None:
    """No fixture is in the table without facts to hold it to, and none of those facts is of another machine."""
    assert {case.fixture for case in CASES if case.fixture} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_answer(name: str) -> None:
    """The machine of a case gives the facts that its answer promises."""
    found = machine(name)
    assert {key: FACTS[key](found) for key in EXPECTED[name]} == EXPECTED[name]


def test_the_build_of_a_framework_is_shown() -> None:
    """The text report tells the CPU build of torch from one that uses the GPU beside it."""
    assert "torch 2.9.1+cpu" in page(report("torch-cpu-build"))


def test_wmic_is_never_run() -> None:
    """No recording of a Windows machine holds a question to wmic, or one for AdapterRAM."""
    windows = [name for name in NAMES if name.startswith("windows-")]
    assert windows
    for name in windows:
        commands = read_recording(fixture(name)).answers["command"]
        assert not [key for key in commands if "wmic" in key.lower() or "adapterram" in key.lower()]


def test_the_page_of_fixtures_lists_them_all() -> None:
    """`fixtures/README.md` has a row for every fixture and every case."""
    text = (FIXTURES / "README.md").read_text(encoding="utf-8")
    assert all(f"| [{name}]({name}.json) |" in text for name in NAMES)
    assert all(f"| {case.number} | {case.case} |" in text for case in CASES)


def _apu_mib(memory: GpuMemory) -> tuple[int | None, ...]:
    """An APU's carve-out, what the kernel lends it, and what ROCm counts."""
    parts = (memory.carve_out_bytes, memory.gtt_bytes, memory.rocm_bytes)
    return tuple(size and size // MIB for size in parts)


@cache
def _tests_in(path: str) -> frozenset[str]:
    """Tests of a file as pytest names them: `test_x`, `TestClass::test_x`."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{below.name}" for below in node.body if isinstance(below, ast.FunctionDef)}
    return frozenset(found)
