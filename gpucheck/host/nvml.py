"""NVML of the live machine through nvidia-ml-py, loaded only where the library itself can be loaded."""

from __future__ import annotations

import threading
from typing import Any

from gpucheck.host.answer import FAILED, LIBRARY_MISSING, Answer, failed
from gpucheck.host.nvml_fields import DEVICE, PAIR, SYSTEM

# WSL2 keeps the library beside nvidia-smi in a folder that is often on no search path (WSL #11888).
LIBRARIES = ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1")
WINDOWS_LIBRARIES = (
    ("WINDIR", "C:/Windows", ("System32", "nvml.dll")),
    ("ProgramFiles", "C:/Program Files", ("NVIDIA Corporation", "NVSMI", "nvml.dll")),
)


class Nvml:
    """Answers "system/DriverVersion", "gpu0/Name", "gpu0.mig1/UUID" and "gpu0-gpu1/P2PStatus.nvlink"."""

    def __init__(self, pynvml: Any | None = None) -> None:
        """`pynvml` stands in for the real module in tests; it must already know its library."""
        self._nv: Any = pynvml
        self._ready: Answer[bool] | None = None
        self._handles: dict[str, Any] = {}
        self._lock = threading.Lock()

    def answer(self, key: str) -> Answer[Any]:
        """One fact as plain data; every failure is an answer with NVML's own name for it."""
        ready = self._start()
        if ready.error is not None:
            return failed(ready.error, ready.detail)
        device, _, field = key.partition("/")
        try:
            return Answer(plain(self._ask(device, field)))
        except KeyError:
            return failed(FAILED, f"gpucheck has no NVML question {key!r}")
        except Exception as error:  # noqa: BLE001 - a foreign boundary; see _failure
            return _failure(self._nv, error)

    def _ask(self, device: str, field: str) -> Any:
        if device == "system":
            return SYSTEM[field](self._nv)
        if "-" in device:
            first, second = device.split("-")
            return PAIR[field](self._nv, self._handle(first), self._handle(second))
        return DEVICE[field](self._nv, self._handle(device))

    def _handle(self, device: str) -> Any:
        """The handle of "gpu3" or "gpu3.mig1"."""
        if device not in self._handles:
            whole, _, slice_ = device.partition(".mig")
            if slice_:
                handle = self._nv.nvmlDeviceGetMigDeviceHandleByIndex(self._handle(whole), int(slice_))
            else:
                handle = self._nv.nvmlDeviceGetHandleByIndex(int(whole.removeprefix("gpu")))
            self._handles[device] = handle
        return self._handles[device]

    def _start(self) -> Answer[bool]:
        with self._lock:
            if self._ready is None:
                self._ready = self._load() if self._nv is None else self._initialise()
            return self._ready

    def _load(self) -> Answer[bool]:
        """Load the library first: importing pynvml takes 20 ms, which a machine without NVIDIA need not pay."""
        import ctypes
        import os

        if os.name == "nt":
            return self._load_on_windows()
        reasons = []
        # On WSL2 its own library first: a distribution's package shadows it and finds no driver (WSL #11888)
        for name in LIBRARIES if not os.path.exists(LIBRARIES[1]) else LIBRARIES[::-1]:
            try:
                library = ctypes.CDLL(name)
            except OSError as error:
                reasons.append(str(error))
                continue
            import pynvml

            pynvml.nvmlLib = library
            self._nv = pynvml
            return self._initialise()
        return failed(LIBRARY_MISSING, reasons[0])

    def _load_on_windows(self) -> Answer[bool]:
        """The library lies where nvidia-ml-py looks: in System32, with old drivers in the NVSMI folder."""
        import os

        places = [
            os.path.join(os.environ.get(variable, default), *path) for variable, default, path in WINDOWS_LIBRARIES
        ]
        if not any(os.path.exists(place) for place in places):
            return failed(LIBRARY_MISSING, f"{' and '.join(places)}: no such file")
        import pynvml

        self._nv = pynvml
        return self._initialise()

    def _initialise(self) -> Answer[bool]:
        try:
            self._nv.nvmlInit()
        except Exception as error:  # noqa: BLE001 - a foreign boundary; see _failure
            return _failure(self._nv, error)
        return Answer(True)


def plain(value: Any) -> Any:
    """A ctypes structure, array or byte string as the JSON value that a recording can keep."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    fields = getattr(value, "_fields_", None)
    if fields is not None:
        return {field[0]: plain(getattr(value, field[0])) for field in fields}
    return [plain(item) for item in value]


def _failure(nv: Any, error: Exception) -> Answer[Any]:
    """An NVML error by its own name ("nvml_gpu_is_lost"), anything else by its type.

    `NVMLError` defines equality without a hash, so it may stand in no set or dictionary; and a wrapper can
    raise much else: ArgumentError, UnicodeDecodeError and TypeError have all been seen.
    """
    if type(error).__name__ == "NVMLLibraryMismatchError":  # not an NVMLError, though it means just this one
        return failed("nvml_function_not_found", error)
    code = getattr(error, "value", None)
    if not isinstance(error, getattr(nv, "NVMLError", ())) or not isinstance(code, int):
        return failed(FAILED, f"{type(error).__name__}: {error}")
    for name, value in vars(nv).items():
        if name.startswith("NVML_ERROR_") and value == code:
            return failed("nvml_" + name.removeprefix("NVML_ERROR_").lower(), error)
    return failed(f"nvml_{code}", error)
