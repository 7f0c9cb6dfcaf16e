"""Questions that a recording asks beyond the report's own, so that a newer gpucheck can make more of it."""

from __future__ import annotations

from gpucheck.host.host import Host

_COMMANDS = (
    ("nvidia-smi", "-q", "-x"),
    ("nvidia-smi", "-L"),
    ("nvidia-smi", "topo", "-m"),
    ("nvidia-smi", "nvlink", "-s"),
    ("rocm-smi", "--showallinfo", "--json"),
    ("amd-smi", "static", "--json"),
    ("amd-smi", "metric", "--json"),
    ("hl-smi", "-Q", "index,name,memory.total,memory.free,driver_version", "-f", "csv,noheader"),
    ("lspci", "-Dnn"),
    ("lscpu", "--json"),
    ("sysctl", "-n", "machdep.cpu.brand_string", "hw.memsize"),
)
_FILES = (
    "/proc/cpuinfo", "/proc/meminfo", "/proc/version", "/proc/modules", "/proc/driver/nvidia/version",
    "/proc/sys/kernel/osrelease", "/etc/os-release", "/sys/module/nvidia/version", "/sys/module/amdgpu/version",
    "/sys/class/kfd/kfd/topology/system_properties", "/sys/class/dmi/id/product_name", "/etc/nv_tegra_release",
    "/sys/devices/system/node/online", "/proc/device-tree/model",
)  # fmt: skip
_FOLDERS = ("/sys/bus/pci/devices", "/sys/class/drm", "/sys/class/kfd/kfd/topology/nodes", "/dev", "/dev/dri")
_NVML = ("DriverVersion", "NVMLVersion", "CudaDriverVersion_v2", "DeviceCount")
_MAX_GPUS = 64


def ask_everything(host: Host) -> None:
    """Ask the host for what reports may want one day; the answers stay in `host.answers`."""
    for path in _FILES:
        host.read(path)
    for path in _FOLDERS:
        host.listdir(path)
    for argv in _COMMANDS:
        host.run(*argv, timeout_s=20.0)
    for field in _NVML:
        host.nvml("system", field)
    _ask_nvml_devices(host)


def _ask_nvml_devices(host: Host) -> None:
    from gpucheck.host.nvml_fields import DEVICE

    count = host.nvml("system", "DeviceCount").value
    for number in range(min(count, _MAX_GPUS) if isinstance(count, int) else 0):
        for field in DEVICE:
            if field not in {"Handle", "Attributes_v2", "GpuInstanceId", "ComputeInstanceId"}:
                host.nvml(f"gpu{number}", field)
