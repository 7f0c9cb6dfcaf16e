"""The machine that gpucheck runs on, or a copied tree of its `/proc` and `/sys` (`GPUCHECK_ROOT`)."""

from __future__ import annotations

import json
import os
from typing import Any

from gpucheck.host import commands, files, system
from gpucheck.host.answer import NOT_FOUND, OTHER_ROOT, Answer, failed
from gpucheck.host.host import Section
from gpucheck.host.lanes import Lanes
from gpucheck.host.nvml import Nvml


class LiveSource:
    """Answers from the running machine. Below another root only files answer; the rest is `other_root`."""

    def __init__(self, root: str = "/", nvml: Nvml | None = None) -> None:
        self.files = files.Files(root)
        self.lanes = Lanes()
        self._nvml = nvml or Nvml()

    def answer(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:
        """See `Source.answer`; what can hang is asked on a lane of its own."""
        if section == "file":
            return self.files.read(key)
        if section == "dir":
            return self.files.listdir(key)
        if section == "link":
            return self.files.readlink(key)
        if self.files.root != "/":
            return failed(OTHER_ROOT, f"a copied tree cannot answer {section} {key}")
        if section == "access":  # the permissions of a copy are those of whoever made it
            mode, _, path = key.partition(" ")
            return self.files.may(mode, path)
        return self._running(section, key, timeout_s)

    def _running(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:
        """What only a running machine knows."""
        if section == "env":
            value = os.environ.get(key)
            if value is None:
                return failed(NOT_FOUND, f"{key} is not set")
            return Answer(files.plain_text(value))
        if section == "command":
            return commands.run(json.loads(key), timeout_s)
        if section == "nvml":
            lane = "nvml " + key.partition("/")[0].partition(".")[0].partition("-")[0]
            return self.lanes.call(lane, f"NVML {key}", lambda: self._nvml.answer(key), timeout_s)
        if section == "disk":  # statvfs never returns from a network file system whose server has gone
            return self.lanes.call(f"disk {key}", f"statvfs {key}", lambda: files.disk_usage(key), timeout_s)
        if section == "psutil":
            return self.lanes.call("psutil", f"psutil {key}", lambda: system.psutil_fact(key), timeout_s)
        if section == "cpuinfo":
            return self.lanes.call("cpuinfo", "py-cpuinfo", system.cpuinfo_fact, timeout_s)
        if section == "python":
            interpreter, _, question = key.rpartition(" ")
            if question.startswith("deep."):
                from gpucheck.host.deep import deep_answer

                return deep_answer(interpreter, question.removeprefix("deep."), timeout_s)
            from gpucheck.host.pythons import installed_frameworks

            return installed_frameworks(interpreter, timeout_s)
        return system.system_fact(key)
