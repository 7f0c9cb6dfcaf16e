"""Other programs, run without a shell, under a time limit and an output limit, and killed as a group."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from gpucheck.host.answer import (
    FAILED,
    IO_ERROR,
    NO_PERMISSION,
    NOT_FOUND,
    TIMEOUT,
    TOO_LARGE,
    Answer,
    failed,
)

MAX_OUTPUT_BYTES = 8 << 20
LOOK_S = 0.05  # how often a program that is run alone is asked whether it has ended

_RUNNING: set[Any] = set()  # child processes of this process: they have sessions of their own, and outlive it else


# Where Windows' NVIDIA drivers put their program: since 2019 beside the system's own, before that in a folder of
# NVIDIA's. Neither is on every search path.
_WINDOWS_PLACES = {
    "nvidia-smi": (
        ("ProgramFiles", "C:\\Program Files", "NVIDIA Corporation\\NVSMI"),
        ("SystemRoot", "C:\\Windows", "System32"),
    ),
}


def find_program(name: str) -> str | None:
    """The file that PATH gives for `name`, and on Windows then the places that drivers put it in.

    Written out because importing shutil costs 6 ms of the budget.
    """
    if os.path.dirname(name):
        return name if os.path.isfile(name) else None
    windows = os.name == "nt"
    suffixes = ("", ".exe") if windows else ("",)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if "WSL_DISTRO_NAME" in os.environ:  # it appends the PATH of Windows, whose drives are slow to look at from Linux
        folders = [folder for folder in folders if not (folder.startswith("/mnt/") and folder[6:7] in {"", "/"})]
    for folder in (*folders, *(windows_places(name, os.environ) if windows else ())):
        for suffix in suffixes:
            path = os.path.join(folder or ".", name + suffix)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    return None


def windows_places(name: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Folders of Windows that `name` may be in although they are not on PATH."""
    places = _WINDOWS_PLACES.get(name, ())
    return tuple(f"{variables.get(variable) or usual}\\{rest}" for variable, usual, rest in places)


class Ended(Struct, frozen=True):
    """How a program ended and what it had printed by then; `error` says why there is no `returncode`."""

    stdout: bytes = b""
    stderr: bytes = b""
    returncode: int | None = None  # negative: the signal that killed it
    error: str | None = None
    detail: str = ""


def run(argv: list[str], timeout_s: float) -> Answer[dict[str, Any]]:
    """What the program printed and its exit status; a non-zero status is an answer, not an error."""
    ended = run_to_end(argv, timeout_s)
    if ended.returncode is None:
        return failed(ended.error or FAILED, ended.detail)
    if ended.returncode < 0:
        return failed(FAILED, f"{argv[0]}: killed by signal {-ended.returncode}")
    text = {name: getattr(ended, name).decode(errors="replace") for name in ("stdout", "stderr")}
    return Answer({**text, "returncode": ended.returncode})


def run_to_end(argv: list[str], timeout_s: float, unset: Collection[str] = (), *, alone: bool = False) -> Ended:
    """The same with what a program had printed before it was stopped or killed; `unset` are variables it is not given.

    It has ended once its output has, or, of one that is `alone`, its own process: what it has left behind and holds
    the output open is not waited for (Windows cannot tell). What it has started is killed with it in any case.
    """
    program = find_program(argv[0])
    if program is None:
        return Ended(error=NOT_FOUND, detail=f"{argv[0]} is not on PATH")
    import subprocess

    try:
        child = subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**{name: value for name, value in os.environ.items() if name not in unset}, "LC_ALL": "C"},
            start_new_session=True,
        )
    except PermissionError as error:
        return Ended(error=NO_PERMISSION, detail=str(error))
    except (OSError, ValueError) as error:  # not an executable format, too many processes, a null byte
        return Ended(error=IO_ERROR, detail=str(error))
    _RUNNING.add(child)
    deadline = time.monotonic() + timeout_s
    try:
        if os.name == "posix":
            return _collect(child, argv[0], deadline, timeout_s, alone=alone)
        return _communicate(child, argv[0], deadline, timeout_s)
    finally:
        _end(child)
        _RUNNING.discard(child)


def end_running() -> None:
    """Kill the programs that still run, for a process that leaves without waiting for its threads."""
    for child in list(_RUNNING):
        _kill(child)


def _collect(child: Any, name: str, deadline: float, timeout_s: float, *, alone: bool) -> Ended:
    """Read both streams until they end, or the program that is `alone` does, the deadline passes, or it is too much."""
    import selectors
    import subprocess

    parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    size = 0
    with selectors.DefaultSelector() as selector:
        for stream in parts:
            selector.register(getattr(child, stream), selectors.EVENT_READ, stream)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return _stopped(parts, TIMEOUT, f"{name}: not finished in {timeout_s:g} s")
            over = alone and child.poll() is not None  # asked before reading: what it wrote is there by now
            ready = selector.select(0 if over else min(left, LOOK_S) if alone else left)
            if over and not ready:
                break
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                if not part:
                    selector.unregister(key.fileobj)
                parts[key.data].append(part)
                size += len(part)
            if size > MAX_OUTPUT_BYTES:
                return _stopped(parts, TOO_LARGE, _too_large(name))
    try:
        returncode = child.wait(timeout=max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return _stopped(parts, TIMEOUT, f"{name}: not finished in {timeout_s:g} s")
    return Ended(b"".join(parts["stdout"]), b"".join(parts["stderr"]), returncode)


def _communicate(child: Any, name: str, deadline: float, timeout_s: float) -> Ended:
    """The same on Windows, whose pipes cannot be selected on: the output limit holds only after the end."""
    import subprocess

    late = None
    try:
        stdout, stderr = child.communicate(timeout=max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        late = f"{name}: not finished in {timeout_s:g} s"
        stdout, stderr = _rest(child)
    if len(stdout) + len(stderr) > MAX_OUTPUT_BYTES:
        return Ended(stdout[:MAX_OUTPUT_BYTES], stderr[:MAX_OUTPUT_BYTES], None, TOO_LARGE, _too_large(name))
    if late is not None:
        return Ended(stdout, stderr, None, TIMEOUT, late)
    return Ended(stdout, stderr, child.returncode)


def _rest(child: Any) -> tuple[bytes, bytes]:
    """What a program that is late has printed, once it is killed."""
    import subprocess

    _kill(child)
    try:
        stdout, stderr = child.communicate(timeout=1.0)
    except (subprocess.TimeoutExpired, ValueError):  # its children hold the streams
        return b"", b""
    return stdout, stderr


def _stopped(parts: Mapping[str, list[bytes]], error: str, detail: str) -> Ended:
    return Ended(b"".join(parts["stdout"]), b"".join(parts["stderr"]), None, error, detail)


def _too_large(name: str) -> str:
    return f"{name}: more than {MAX_OUTPUT_BYTES >> 20} MiB of output"


def _kill(child: Any) -> None:
    """End a program and what it has started, at once."""
    import signal

    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all of them have gone
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()


def _end(child: Any) -> None:
    """Kill what is left of the program and its children, and reap it if it can die."""
    import subprocess

    _kill(child)
    child.stdout.close()
    child.stderr.close()
    # In the kernel, waiting for a dead GPU, not even SIGKILL ends it, and nobody may wait for it.
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=1.0)
