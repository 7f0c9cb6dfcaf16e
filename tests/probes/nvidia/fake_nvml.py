"""A Python object in the place of libnvidia-ml, under the genuine wrappers of nvidia-ml-py.

pynvml looks C functions up on its library object by name and calls them with ctypes arguments; an output
parameter arrives as a `byref` object whose target is reachable through `_obj`.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pynvml

GIB = 1 << 30
Facts = dict[str, Any]


def rtx_4090(index: int = 0, **changes: Any) -> Facts:
    """A desktop card: what its C functions give, by name without "nvmlDeviceGet"."""
    bus = 0x10 + index
    return {
        "Name": b"NVIDIA GeForce RTX 4090",
        "Brand": (5,),
        "UUID": f"GPU-{index:08x}-0000-0000-0000-000000000000".encode(),
        "PciInfo_v3": {
            "busId": f"00000000:{bus:02X}:00.0".encode(), "bus": bus,
            "pciDeviceId": 0x268410DE, "pciSubSystemId": 0x40BF1458,
        },
        "MemoryInfo_v2": {"total": 24 * GIB, "free": 23 * GIB, "used": GIB // 2, "reserved": GIB // 2},
        "MemoryInfo": {"total": 24 * GIB, "free": 23 * GIB, "used": GIB},
        "CudaComputeCapability": (8, 9),
        "Architecture": (8,),
        "NumGpuCores": (16384,),
        "MemoryBusWidth": (384,),
        "MaxClockInfo": lambda _handle, kind, _out: ({1: 3105, 2: 10501}[kind.value],),
        "CurrPcieLinkGeneration": (1,),
        "CurrPcieLinkWidth": (16,),
        "MaxPcieLinkGeneration": (4,),
        "MaxPcieLinkWidth": (16,),
        "EnforcedPowerLimit": (450_000,),
        "PowerManagementDefaultLimit": (450_000,),
        "ComputeMode": (0,),
        "PersistenceMode": (1,),
        "VirtualizationMode": (0,),
        "DisplayActive": (0,),
        "CurrentClocksEventReasons": (0x1 | 0x4,),
        "CurrentClocksThrottleReasons": (0x1 | 0x4,),
        "ComputeRunningProcesses_v3": (GIB, 2 * GIB),
        "GraphicsRunningProcesses_v3": (),
        **changes,
    }  # fmt: skip


def a100(index: int = 0, mig: tuple[Facts | None, ...] | None = None, **changes: Any) -> Facts:
    """A data-centre card with twelve NVLinks; with `mig` it is sliced, None being an empty slot."""
    facts = {
        **rtx_4090(index),
        "Name": b"NVIDIA A100-SXM4-40GB",
        "Brand": (14,),
        "MemoryInfo_v2": {"total": 40 * GIB, "free": 39 * GIB, "used": 0, "reserved": GIB},
        "MemoryInfo": {"total": 40 * GIB, "free": 39 * GIB, "used": GIB},
        "CudaComputeCapability": (8, 0),
        "Architecture": (7,),
        "EccMode": (1, 1),
        "MigMode": (0 if mig is None else 1,) * 2,
        "NvLinkState": lambda _handle, link, _out: (1,) if link < 12 else pynvml.NVML_ERROR_INVALID_ARGUMENT,
        "NvLinkVersion": (4,),
        "RemappedRows": (2, 1, 1, 0),
        "RetiredPagesPendingStatus": (0,),
        "TotalEccErrors": lambda _handle, _kind, counter, _out: ({0: 1, 1: 4}[counter.value],),
        "GpuFabricInfoV": {"state": 3, "status": 0},
        "P2PStatus": (0,),
    }
    if mig is not None:
        facts |= {"MaxMigDeviceCount": (len(mig),), "mig": mig}
    return {**facts, **changes}


def mig_slice(number: int, name: bytes = b"NVIDIA A100-SXM4-40GB MIG 3g.20gb") -> Facts:
    """One MIG device of half the card."""
    return {
        "Name": name,
        "UUID": f"MIG-{number:08x}-0000-0000-0000-000000000000".encode(),
        "MemoryInfo_v2": {"total": 19968 << 20, "free": 19955 << 20, "used": 13 << 20},
        "Attributes_v2": {
            "multiprocessorCount": 42, "gpuInstanceSliceCount": 3, "computeInstanceSliceCount": 3,
            "memorySizeMB": 19968,
        },
        "GpuInstanceId": (number + 1,),
        "ComputeInstanceId": (0,),
    }  # fmt: skip


class FakeNvml:
    """The library. `fail` maps a C function, or a pair of it and a GPU's index, to its error."""

    def __init__(self, *gpus: Facts) -> None:
        self.gpus = gpus
        self.fail: dict[str | tuple[str, int], int] = {}
        self.hang: set[tuple[str, int]] = set()
        self.release = threading.Event()
        self.called: list[tuple[str, int]] = []
        self.missing: set[str] = set()
        self.system: Facts = {
            "nvmlSystemGetDriverVersion": b"570.86.10",
            "nvmlSystemGetNVMLVersion": b"12.570.86.10",
            "nvmlSystemGetCudaDriverVersion_v2": (12080,),
            "nvmlDeviceGetCount_v2": (len(gpus),),
            "nvmlInitWithFlags": (),
        }

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("nvml") or name == "nvmlErrorString" or name in self.missing:
            raise AttributeError(name)

        def function(*args: Any) -> int:
            return self._call(name, args)

        return function

    def _call(self, name: str, args: tuple[Any, ...]) -> int:
        gpu, mig = (-1, -1) if name in self.system else self._device(name, args[0])
        self.called.append((name, gpu))
        if (name, gpu) in self.hang:
            self.release.wait(60)
        code = self.fail.get(name, self.fail.get((name, gpu), 0))
        if code:
            return code
        if name in self.system:
            return _give(self.system[name], args)
        if name == "nvmlDeviceGetHandleByIndex_v2":
            return _point(args[-1], gpu, -1) if gpu < len(self.gpus) else pynvml.NVML_ERROR_INVALID_ARGUMENT
        facts = self.gpus[gpu]
        if name == "nvmlDeviceGetMigDeviceHandleByIndex":
            index = args[1].value
            return _point(args[-1], gpu, index) if facts["mig"][index] else pynvml.NVML_ERROR_NOT_FOUND
        facts = facts if mig < 0 else facts["mig"][mig]
        value = facts.get(name.removeprefix("nvmlDeviceGet"))
        if value is None:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        return _processes(value, args) if "RunningProcesses" in name else _give(value, args)

    def _device(self, name: str, argument: Any) -> tuple[int, int]:
        if name == "nvmlDeviceGetHandleByIndex_v2":
            return argument.value, -1
        number = (ctypes.cast(argument, ctypes.c_void_p).value or 0) - 1
        return number // 100, number % 100 - 1


def _point(out: Any, gpu: int, mig: int) -> int:
    """Put a handle, which nobody follows, into an output parameter."""
    number = ctypes.c_void_p(gpu * 100 + mig + 1 + 1)
    ctypes.memmove(ctypes.addressof(out._obj), ctypes.byref(number), ctypes.sizeof(number))
    return 0


def _give(value: Any, args: tuple[Any, ...]) -> int:
    """Write a value into the output parameters; a callable makes the value of the arguments, or an error."""
    if callable(value):
        value = value(*args)
    outputs = [argument._obj for argument in args if hasattr(argument, "_obj")]
    if isinstance(value, int):
        return value
    if isinstance(value, bytes):
        args[-2].value = value
    elif isinstance(value, dict):
        for name, item in value.items():
            setattr(outputs[0], name, item)
    else:
        for output, item in zip(outputs, value, strict=True):
            output.value = item
    return 0


def _processes(used: tuple[int, ...], args: tuple[Any, ...]) -> int:
    count, array = args[1]._obj, args[2]
    count.value = len(used)
    if array is None:
        return pynvml.NVML_ERROR_INSUFFICIENT_SIZE if used else 0
    for number, size in enumerate(used):
        array[number].usedGpuMemory = size
    return 0


@contextmanager
def loaded(fake: FakeNvml) -> Iterator[FakeNvml]:
    """The fake in the place of pynvml's library, and everything as before afterwards."""
    before = pynvml.nvmlLib
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = fake
    try:
        yield fake
    finally:
        fake.release.set()
        pynvml.nvmlLib = before
        pynvml._nvmlLib_refcount = 0
        pynvml._nvmlGetFunctionPointer_cache.clear()
