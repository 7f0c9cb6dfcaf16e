"""The seam between gpucheck and the machine: a few typed verbs over one question.

A `Source` answers `(section, key)`; that pair is also how a recording keeps the answer. The live, recording
and replay sources differ in that one method only, so that nothing above this file can tell them apart.

Sections and keys:

    file      absolute path                     text of a small file
    dir       absolute path                     sorted names in a directory
    link      absolute path                     target of a symbolic link
    access    "rw /dev/kfd"                     true when this process may open it so
    disk      a place: "~/.cache/huggingface"   {total_bytes, free_bytes} of the nearest existing parent
    command   the arguments as a JSON array     {stdout, stderr, returncode}
    nvml      "system/DriverVersion", "gpu0/Name", "gpu0.mig1/MemoryInfo", "gpu0-gpu1/P2PStatus.nvlink"
    psutil    "virtual_memory"                  the named tuple as an object
    cpuinfo   "info"                            py-cpuinfo's own dictionary
    env       a variable's name                 its value
    system    "uname", "affinity", …            what the running interpreter knows (see system.py)
    python    "/path/of/python frameworks"      what another Python environment holds
              "/path/of/python deep.torch"      what a framework did when it was tried there (see deep.py)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeVar, cast

from gpucheck.host.answer import MALFORMED, Answer, DiskUsage, Output, failed

Section = Literal[
    "file", "dir", "link", "access", "disk", "command", "nvml", "psutil", "cpuinfo", "env", "system", "python"
]
SECTIONS: tuple[Section, ...] = (
    "file", "dir", "link", "access", "disk", "command",
    "nvml", "psutil", "cpuinfo", "env", "system", "python",
)  # fmt: skip

T = TypeVar("T")


class Source(Protocol):
    """Whatever can answer questions about one machine."""

    def answer(self, section: Section, key: str, timeout_s: float) -> Answer[Any]:
        """The answer to one question; never raises, and returns within about `timeout_s`."""
        ...


class Host:
    """Typed questions to a `Source`; a value of the wrong type (a hand-edited recording) is `malformed`.

    Every question is asked once and its answer kept: the facts of one inspection agree with each other, and a
    recording of it holds just what the report was made from.
    """

    def __init__(self, source: Source, kind: Literal["live", "recording"]) -> None:
        self.source = source
        self.kind = kind
        self.answers: dict[tuple[Section, str], Answer[Any]] = {}

    def ask(self, section: Section, key: str, timeout_s: float = 2.0) -> Answer[Any]:
        """The answer to one question, from memory if it has been asked before."""
        known = self.answers.get((section, key))
        if known is None:
            known = self.answers.setdefault((section, key), self.source.answer(section, key, timeout_s))
        return known

    def read(self, path: str) -> Answer[str]:
        """Text of a small file; undecodable bytes have become U+FFFD."""
        return _typed(self.ask("file", path, 2.0), str)

    def listdir(self, path: str) -> Answer[list[str]]:
        """Names in a directory, sorted."""
        found = _typed(self.ask("dir", path, 2.0), list)
        if found.value is not None and not all(isinstance(name, str) for name in found.value):
            return failed(MALFORMED, f"{path}: names must be text")
        return cast("Answer[list[str]]", found)

    def readlink(self, path: str) -> Answer[str]:
        """Where a symbolic link points, as written in it."""
        return _typed(self.ask("link", path, 2.0), str)

    def may(self, mode: Literal["r", "rw"], path: str) -> Answer[bool]:
        """Whether this process may open a path for reading, or for both."""
        return _typed(self.ask("access", f"{mode} {path}", 2.0), bool)

    def disk(self, place: str) -> Answer[DiskUsage]:
        """Space of the file system that a place is, or would be, on; `~` and `.` stay as they are."""
        found = _mapping(self.ask("disk", place, 2.0))
        if found.value is None:
            return failed(found.error or MALFORMED, found.detail)
        sizes = [found.value.get(name) for name in ("total_bytes", "free_bytes")]
        counts = [size for size in sizes if type(size) is int and size >= 0]
        if len(counts) != len(sizes):
            return failed(MALFORMED, f"disk {place}: sizes must be whole numbers")
        return Answer(DiskUsage(total_bytes=counts[0], free_bytes=counts[1]))

    def run(self, *argv: str, timeout_s: float = 5.0) -> Answer[Output]:
        """What a command prints, without a shell; a non-zero exit is an answer, not an error."""
        found = _mapping(self.ask("command", command_key(argv), timeout_s))
        if found.value is None:
            return failed(found.error or MALFORMED, found.detail)
        out, err, code = (found.value.get(name) for name in ("stdout", "stderr", "returncode"))
        if not isinstance(out, str) or not isinstance(err, str) or not isinstance(code, int):
            return failed(MALFORMED, f"{argv[0]}: stdout, stderr and returncode are needed")
        return Answer(Output(stdout=out, stderr=err, returncode=code))

    def nvml(self, device: str, field: str) -> Answer[Any]:
        """One NVML fact: device "system", "gpu0", "gpu0.mig1" or "gpu0-gpu1"; fields in nvml_fields.py."""
        return self.ask("nvml", f"{device}/{field}", 2.0)

    def psutil(self, question: str) -> Answer[Any]:
        """One psutil function's result as plain data; see system.py for the questions."""
        return self.ask("psutil", question, 2.0)

    def cpuinfo(self) -> Answer[Mapping[str, Any]]:
        """py-cpuinfo's dictionary; over a second, so the last rung of a ladder."""
        return _mapping(self.ask("cpuinfo", "info", 8.0))

    def env(self, name: str) -> Answer[str]:
        """An environment variable; `not_found` when it is not set, empty when it is set to nothing."""
        return _typed(self.ask("env", name, 1.0), str)

    def system(self, fact: str) -> Answer[Any]:
        """A fact that the running interpreter knows; see system.py for the names."""
        return self.ask("system", fact, 2.0)

    def python(self, interpreter: str, question: str, timeout_s: float = 5.0) -> Answer[Mapping[str, Any]]:
        """What another Python environment holds; see pythons.py and deep.py for the questions."""
        return _mapping(self.ask("python", f"{interpreter} {question}", timeout_s))


def command_key(argv: tuple[str, ...]) -> str:
    """The key of a command: its argument list as a JSON array, which no argument can break."""
    return json.dumps(list(argv), ensure_ascii=False)


def _typed(found: Answer[Any], expected: type[T]) -> Answer[T]:
    if found.value is None or isinstance(found.value, expected):
        return cast("Answer[T]", found)
    return failed(MALFORMED, f"{expected.__name__} expected, {type(found.value).__name__} found")


def _mapping(found: Answer[Any]) -> Answer[Mapping[str, Any]]:
    if found.value is None or isinstance(found.value, dict):
        return cast("Answer[Mapping[str, Any]]", found)
    return failed(MALFORMED, f"an object expected, {type(found.value).__name__} found")
