"""The NVML facts that gpucheck may ask for, by the names under which recordings keep them.

Each entry calls one wrapper of nvidia-ml-py. Nothing here changes the device: only `nvmlDeviceGet…` and
`nvmlSystemGet…` functions appear. `nv` is the `pynvml` module, `h` a device handle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

System = Callable[[Any], Any]
Device = Callable[[Any, Any], Any]
Pair = Callable[[Any, Any, Any], Any]

SYSTEM: dict[str, System] = {
    "DriverVersion": lambda nv: nv.nvmlSystemGetDriverVersion(),
    "NVMLVersion": lambda nv: nv.nvmlSystemGetNVMLVersion(),
    "CudaDriverVersion_v2": lambda nv: nv.nvmlSystemGetCudaDriverVersion_v2(),
    "DeviceCount": lambda nv: nv.nvmlDeviceGetCount(),
}

MAX_LINKS = 18


def _fabric(nv: Any, h: Any) -> Any:
    """State and status of the NVSwitch fabric; the cluster's UUID stays out of recordings."""
    info = nv.c_nvmlGpuFabricInfoV_t()
    nv.nvmlDeviceGetGpuFabricInfoV(h, nv.byref(info))
    return {"state": info.state, "status": info.status}


def _ecc_errors(counter: str) -> Device:
    """Errors that ECC could not correct: since the driver was loaded (volatile), or in the board's life (aggregate)."""
    return lambda nv, h: nv.nvmlDeviceGetTotalEccErrors(
        h, nv.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, getattr(nv, f"NVML_{counter}_ECC")
    )


def _licences(nv: Any, h: Any) -> Any:
    """Which licensable features of vGPU are in use, and licensed; the text of the licence stays out of recordings."""
    info = nv.nvmlDeviceGetGridLicensableFeatures(h)
    return [
        {"code": one.featureCode, "state": one.featureState, "enabled": one.featureEnabled}
        for one in list(info.gridLicensableFeatures)[: info.licensableFeaturesCount]
        if info.isGridLicenseSupported
    ]


def _link_state(link: int) -> Device:
    return lambda nv, h: nv.nvmlDeviceGetNvLinkState(h, link)


def _link_version(link: int) -> Device:
    return lambda nv, h: nv.nvmlDeviceGetNvLinkVersion(h, link)


DEVICE: dict[str, Device] = {
    "Handle": lambda _nv, _h: True,  # reached only when the handle itself was given
    "Name": lambda nv, h: nv.nvmlDeviceGetName(h),
    "Brand": lambda nv, h: nv.nvmlDeviceGetBrand(h),
    "UUID": lambda nv, h: nv.nvmlDeviceGetUUID(h),
    "PciInfo": lambda nv, h: nv.nvmlDeviceGetPciInfo(h),
    "MemoryInfo_v2": lambda nv, h: nv.nvmlDeviceGetMemoryInfo(h, version=nv.nvmlMemory_v2),
    "MemoryInfo": lambda nv, h: nv.nvmlDeviceGetMemoryInfo(h),
    "CudaComputeCapability": lambda nv, h: nv.nvmlDeviceGetCudaComputeCapability(h),
    "Architecture": lambda nv, h: nv.nvmlDeviceGetArchitecture(h),
    "NumGpuCores": lambda nv, h: nv.nvmlDeviceGetNumGpuCores(h),
    "MemoryBusWidth": lambda nv, h: nv.nvmlDeviceGetMemoryBusWidth(h),
    "MaxClockInfo.mem": lambda nv, h: nv.nvmlDeviceGetMaxClockInfo(h, nv.NVML_CLOCK_MEM),
    "MaxClockInfo.sm": lambda nv, h: nv.nvmlDeviceGetMaxClockInfo(h, nv.NVML_CLOCK_SM),
    "CurrPcieLinkGeneration": lambda nv, h: nv.nvmlDeviceGetCurrPcieLinkGeneration(h),
    "CurrPcieLinkWidth": lambda nv, h: nv.nvmlDeviceGetCurrPcieLinkWidth(h),
    "MaxPcieLinkGeneration": lambda nv, h: nv.nvmlDeviceGetMaxPcieLinkGeneration(h),
    "MaxPcieLinkWidth": lambda nv, h: nv.nvmlDeviceGetMaxPcieLinkWidth(h),
    "EnforcedPowerLimit": lambda nv, h: nv.nvmlDeviceGetEnforcedPowerLimit(h),
    "PowerManagementDefaultLimit": lambda nv, h: nv.nvmlDeviceGetPowerManagementDefaultLimit(h),
    "EccMode": lambda nv, h: nv.nvmlDeviceGetEccMode(h),
    "MigMode": lambda nv, h: nv.nvmlDeviceGetMigMode(h),
    "MaxMigDeviceCount": lambda nv, h: nv.nvmlDeviceGetMaxMigDeviceCount(h),
    "ComputeMode": lambda nv, h: nv.nvmlDeviceGetComputeMode(h),
    "PersistenceMode": lambda nv, h: nv.nvmlDeviceGetPersistenceMode(h),
    "VirtualizationMode": lambda nv, h: nv.nvmlDeviceGetVirtualizationMode(h),
    "CurrentDriverModel": lambda nv, h: nv.nvmlDeviceGetCurrentDriverModel(h),
    "AddressingMode": lambda nv, h: nv.nvmlDeviceGetAddressingMode(h),
    "CurrentClocksEventReasons": lambda nv, h: nv.nvmlDeviceGetCurrentClocksEventReasons(h),
    "CurrentClocksThrottleReasons": lambda nv, h: nv.nvmlDeviceGetCurrentClocksThrottleReasons(h),
    "RunningProcesses": lambda nv, h: [
        {"usedGpuMemory": process.usedGpuMemory}
        for ask in (nv.nvmlDeviceGetComputeRunningProcesses, nv.nvmlDeviceGetGraphicsRunningProcesses)
        for process in ask(h)
    ],
    "GpuFabricInfoV": _fabric,
    "RemappedRows": lambda nv, h: nv.nvmlDeviceGetRemappedRows(h),
    "RetiredPagesPendingStatus": lambda nv, h: nv.nvmlDeviceGetRetiredPagesPendingStatus(h),
    "DisplayActive": lambda nv, h: nv.nvmlDeviceGetDisplayActive(h),
    "TotalEccErrors.volatile": _ecc_errors("VOLATILE"),
    "TotalEccErrors.aggregate": _ecc_errors("AGGREGATE"),
    "GridLicensableFeatures": _licences,
    # Of a MIG device handle:
    "Attributes_v2": lambda nv, h: nv.nvmlDeviceGetAttributes_v2(h),
    "GpuInstanceId": lambda nv, h: nv.nvmlDeviceGetGpuInstanceId(h),
    "ComputeInstanceId": lambda nv, h: nv.nvmlDeviceGetComputeInstanceId(h),
}
DEVICE.update({f"NvLinkState.{link}": _link_state(link) for link in range(MAX_LINKS)})
DEVICE.update({f"NvLinkVersion.{link}": _link_version(link) for link in range(MAX_LINKS)})

# The library's constants for these two are one-element tuples in some releases of nvidia-ml-py, which ctypes
# then refuses: the integers are nvmlGpuP2PCapsIndex_t's own.
PAIR: dict[str, Pair] = {
    "P2PStatus.read": lambda nv, a, b: nv.nvmlDeviceGetP2PStatus(a, b, 0),
    "P2PStatus.nvlink": lambda nv, a, b: nv.nvmlDeviceGetP2PStatus(a, b, 2),
}
