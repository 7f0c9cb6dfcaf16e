"""NVML, then nvidia-smi, then `/proc` and `/sys`, then the PCI bus."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.host.answer import LIBRARY_MISSING, NOT_FOUND, NOT_RECORDED, OTHER_ROOT
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import GpuReading, NvidiaDriver, PciDevice
from gpucheck.probes.nvidia.asking import SOURCE
from gpucheck.probes.nvidia.bus import MODULE as BOUND
from gpucheck.probes.nvidia.bus import Interface, gpu_devices, join_bus, merge_cards
from gpucheck.probes.nvidia.kernel import MODULE as VERSION
from gpucheck.probes.nvidia.kernel import Kernel, read_cards, read_kernel
from gpucheck.probes.nvidia.nvml_reader import NvmlLog, read_nvml
from gpucheck.probes.nvidia.smi_log import Smi
from gpucheck.probes.nvidia.words import same_release

MISMATCH = "nvml_lib_rm_version_mismatch"
NOT_LOADED = "nvml_driver_not_loaded"
# Four bytes of attributes, then 1 where the firmware lets signed code alone start.
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class Nvidia(Struct, frozen=True):
    """NVIDIA's side of a machine. `gpus` are in PCI-address order; those without an address follow."""

    driver: NvidiaDriver | None = None
    gpus: tuple[GpuReading, ...] = ()


def probe_nvidia(host: Host, pci: tuple[PciDevice, ...], *, kernel_log: bool = False) -> Found[Nvidia]:
    """Every NVIDIA GPU, one reading per card, from the best source that names it; never raises.

    Args:
        host: the machine.
        pci: the devices of its bus; those of NVIDIA that nobody else names become readings of their own.
        kernel_log: whether past errors of GPUs that are well are looked for too, which takes a command.
    """
    issues = Issues()
    nvml = read_nvml(host, issues)
    smi = Smi() if nvml.gpus else _ask_smi(host, issues)
    kernel = read_kernel(host, issues)
    devices = gpu_devices(pci)
    readings = nvml.gpus or smi.log.gpus
    unnamed = {device.address for device in devices} - {reading.pci_address for reading in readings}
    cards = merge_cards(devices, read_cards(host, issues) if unnamed or not readings else {})
    talk = Interface(
        error=nvml.error,
        detail=nvml.detail,
        mismatch=nvml.error == MISMATCH or smi.mismatch,
        module_version=kernel.version,
    )
    gpus = tuple(join_bus(host, readings, cards, talk))
    installed = kernel.version is not None or nvml.error == NOT_LOADED
    fine = {"ok", "wrong_driver", "driver_mismatch"} | (set() if installed else {"no_driver"})
    if (kernel_log and gpus) or any(gpu.state not in fine for gpu in gpus):
        from gpucheck.probes.nvidia.xid import with_kernel_log

        gpus = with_kernel_log(host, gpus, issues, always=kernel_log)
    if any(gpu.state == "no_driver" for gpu in gpus):
        _note_secure_boot(host, issues)
    _note_start(nvml, issues, evidence=bool(gpus) or kernel.version is not None)
    driver = _driver(nvml, smi, kernel, issues)
    if (driver is None or driver.version is None) and any(device.driver == BOUND for device in devices):
        issues.add(NOT_FOUND, VERSION, "the module is bound to a card, but nothing tells its version")
    if talk.mismatch and (driver is None or driver.library_version is None):
        issues.add(
            NOT_FOUND, "drivers.nvidia.library_version", "nothing tells the version of the library that does not fit"
        )
    return Found(Nvidia(driver=driver, gpus=gpus), issues.all())


def _ask_smi(host: Host, issues: Issues) -> Smi:
    """The second rung, its parsers imported only where it is climbed."""
    from gpucheck.probes.nvidia.smi import read_smi

    return read_smi(host, issues)


def _note_secure_boot(host: Host, issues: Issues) -> None:
    """Note that Secure Boot is on: the kernel then refuses a module that was built here and whose key is not enrolled.

    modprobe says "Key was rejected by service" (canonical/nvidia-graphics-drivers #61).
    """
    if (host.read(SECURE_BOOT).value or "")[4:5] == "\x01":
        issues.add("secure_boot", SECURE_BOOT, "it is on: the kernel loads modules with an enrolled key only")


def _note_start(nvml: NvmlLog, issues: Issues, *, evidence: bool) -> None:
    """Note why NVML did not start. A missing library is no news on a machine without a sign of NVIDIA."""
    if nvml.error in {None, NOT_RECORDED, OTHER_ROOT} or (nvml.error == LIBRARY_MISSING and not evidence):
        return
    said = nvml.detail if nvml.error == LIBRARY_MISSING else f"NVML does not start: {nvml.detail}"
    issues.add(nvml.error or "", SOURCE, said)


def _driver(nvml: NvmlLog, smi: Smi, kernel: Kernel, issues: Issues) -> NvidiaDriver | None:
    """The driver by the first source that knows its version; None when nothing of it was found."""
    sources = (
        (nvml.driver_version, SOURCE),
        (smi.log.driver_version, "nvidia-smi"),
        (kernel.version, kernel.source),
    )
    version, source = next(((found, source) for found, source in sources if found is not None), (None, None))
    library = nvml.library_version or smi.library_version
    if version is None and library is None and kernel.open_module is None:
        return None
    if version is not None and kernel.version is not None and version != kernel.version:
        detail = f"the driver is {version}, but {kernel.source} says {kernel.version}"
        issues.add("versions_differ", source or "", detail)
    if version is not None and library is not None and same_release(version, library):
        library = None
    return NvidiaDriver(
        version=version,
        cuda_version=nvml.cuda_version or smi.log.cuda_version,
        library_version=library,
        open_kernel_module=kernel.open_module,
        source=source,
    )
