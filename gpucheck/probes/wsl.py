"""WSL2: no PCI bus, one device for all GPUs, and NVIDIA's libraries in a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading

DEVICE = "/dev/dxg"
LIBRARIES = "/usr/lib/wsl/lib"
DRIVERS = "/usr/lib/wsl/drivers"
NVML = "libnvidia-ml.so.1"
NOT_LOADED = "nvml_driver_not_loaded"


def probe_wsl(host: Host, gpus: Sequence[GpuReading]) -> Found[None]:
    """No facts, only issues: where Windows' GPUs cannot be named or used from inside."""
    issues = Issues()
    answer = host.may("rw", DEVICE)
    folders = issues.value(DRIVERS, host.listdir(DRIVERS))
    if answer.error == NOT_FOUND:
        issues.add("wsl_no_gpu", DEVICE, "WSL has no GPU device: Windows needs WSL 2 and a driver that supports it")
        return Found(None, issues.all())
    if issues.value(DEVICE, answer) is False:
        issues.add("no_permission", DEVICE, "it cannot be opened for reading and writing")
    nvml = host.nvml("system", "DeviceCount")
    names = issues.value(LIBRARIES, host.listdir(LIBRARIES)) or []
    if not gpus and nvml.error == NOT_LOADED and NVML in names:
        # A package such as libnvidia-compute-550 has put a library first that looks for a Linux kernel module.
        issues.add(
            "wsl_shadowed_library",
            f"{LIBRARIES}/{NVML}",
            f"a {NVML} of the distribution hides WSL's own ({nvml.detail or 'Driver Not Loaded'}; WSL #11888,"
            f" ollama #13604): remove its libnvidia-* packages, or put {LIBRARIES} first in LD_LIBRARY_PATH",
        )
    others = [maker for maker in makers_of(folders or []) if maker != "NVIDIA"]
    if others:
        issues.add(
            "wsl_unnamed_gpu",
            DRIVERS,
            f"Windows has a driver of {' and '.join(others)} here; which GPU it is, WSL does not tell",
        )
    return Found(None, issues.all())


def makers_of(folders: list[str]) -> tuple[str, ...]:
    """Makers by driver packages: nv_dispi.inf_amd64_…, iigd_dch.inf_amd64_… (Intel), u0388358.inf_amd64_… (AMD)."""
    found: dict[str, None] = {}
    for folder in folders:
        name = folder.lower()
        if name.startswith("nv"):
            found["NVIDIA"] = None
        elif "iigd" in name:
            found["Intel"] = None
        elif name.startswith("u0") and ".inf_" in name:
            found["AMD"] = None
    return tuple(found)
