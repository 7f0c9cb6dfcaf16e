"""Hosts for the tests of this folder: answers from a dictionary, NVML from the fake library."""

from __future__ import annotations

from typing import Any

import pynvml

from gpucheck.host.answer import LIBRARY_MISSING, NOT_FOUND, Answer, failed
from gpucheck.host.host import Host, Section, command_key
from gpucheck.host.lanes import Lanes
from gpucheck.host.nvml import Nvml
from gpucheck.probes.facts import PciDevice

XML = ("nvidia-smi", "-q", "-x")
LIST = ("nvidia-smi", "-L")
QUERY = "--query-gpu"


class Script:
    """A machine of few answers. Commands are found by their arguments, every query by `QUERY`."""

    def __init__(
        self,
        files: dict[str, str] | None = None,
        commands: dict[tuple[str, ...] | str, Any] | None = None,
        others: dict[tuple[Section, str], Answer[Any]] | None = None,
        *,
        nvml: bool = False,
        lanes: bool = False,
        no_nvml: Answer[Any] | None = None,
    ) -> None:
        self.files = files or {}
        self.commands = commands or {}
        self.others = others or {}
        self.nvml = Nvml(pynvml=pynvml) if nvml else None
        self.lanes = Lanes() if lanes else None
        self.no_nvml = no_nvml or failed(LIBRARY_MISSING, "libnvidia-ml.so.1: cannot open shared object file")
        self.asked: list[tuple[str, str]] = []

    def answer(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:
        """See `Source.answer`."""
        self.asked.append((section, key))
        if (section, key) in self.others:
            return self.others[section, key]
        if section == "nvml":
            return self._ask_nvml(key, timeout_s)
        if section == "file" and key in self.files:
            return Answer(self.files[key])
        if section == "dir":
            below = {path.removeprefix(f"{key}/").split("/")[0] for path in self.files if path.startswith(f"{key}/")}
            return Answer(sorted(below)) if below else failed(NOT_FOUND, key)
        if section == "command":
            return self._run(key)
        return failed(NOT_FOUND, key)

    def _ask_nvml(self, key: str, timeout_s: float) -> Answer[Any]:
        nvml = self.nvml
        if nvml is None:
            return self.no_nvml
        if self.lanes is None:
            return nvml.answer(key)
        lane = key.partition("/")[0].partition(".")[0].partition("-")[0]
        return self.lanes.call(lane, f"NVML {key}", lambda: nvml.answer(key), timeout_s)

    def _run(self, key: str) -> Answer[Any]:
        for arguments, printed in self.commands.items():
            wanted = key == command_key(arguments) if isinstance(arguments, tuple) else arguments in key
            if wanted:
                found = printed(key) if callable(printed) else printed
                if isinstance(found, Answer):
                    return found
                text, code = found if isinstance(found, tuple) else (found, 0)
                return Answer({"stdout": text, "stderr": "", "returncode": code})
        return failed(NOT_FOUND, key)


def host(*args: Any, **kwargs: Any) -> Host:
    """A host on a `Script` of the same arguments."""
    return Host(Script(*args, **kwargs), "live")


def card(bus: int, driver: str | None = "nvidia", **changes: Any) -> PciDevice:
    """An NVIDIA card on the PCI bus."""
    facts = {
        "address": f"0000:{bus:02x}:00.0", "vendor_id": "10de", "device_id": "2684", "pci_class": "0300",
        "subsystem": "1458:40bf", "driver": driver, "link_width": 16, "link_max_width": 16,
    }  # fmt: skip
    return PciDevice(**{**facts, **changes})
