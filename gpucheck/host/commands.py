"""Other programs, run without a shell, under a time limit and an output limit, and killed as a group."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

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


def run(argv: list[str], timeout_s: float) -> Answer[dict[str, Any]]:
    """What the program printed and its exit status; a non-zero status is an answer, not an error."""
    program = find_program(argv[0])
    if program is None:
        return failed(NOT_FOUND, f"{argv[0]} is not on PATH")
    import subprocess

    try:
        child = subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except PermissionError as error:
        return failed(NO_PERMISSION, error)
    except (OSError, ValueError) as error:  # not an executable format, too many processes, a null byte
        return failed(IO_ERROR, error)
    _RUNNING.add(child)
    collect = _collect if os.name == "posix" else _communicate
    try:
        return collect(child, argv[0], time.monotonic() + timeout_s, timeout_s)
    finally:
        _end(child)
        _RUNNING.discard(child)


def end_running() -> None:
    """Kill the programs that still run, for a process that leaves without waiting for its threads."""
    for child in list(_RUNNING):
        _kill(child)


def _collect(child: Any, name: str, deadline: float, timeout_s: float) -> Answer[dict[str, Any]]:
    """Read both streams until they end, the deadline passes, or there is too much."""
    import selectors
    import subprocess

    parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    size = 0
    with selectors.DefaultSelector() as selector:
        for stream in parts:
            selector.register(getattr(child, stream), selectors.EVENT_READ, stream)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                return failed(TIMEOUT, f"{name}: not finished in {timeout_s:g} s")
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                if not part:
                    selector.unregister(key.fileobj)
                parts[key.data].append(part)
                size += len(part)
            if size > MAX_OUTPUT_BYTES:
                return failed(TOO_LARGE, f"{name}: more than {MAX_OUTPUT_BYTES >> 20} MiB of output")
    try:
        returncode = child.wait(timeout=max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return failed(TIMEOUT, f"{name}: not finished in {timeout_s:g} s")
    return _finished(name, b"".join(parts["stdout"]), b"".join(parts["stderr"]), returncode)


def _communicate(child: Any, name: str, deadline: float, timeout_s: float) -> Answer[dict[str, Any]]:
    """The same on Windows, whose pipes cannot be selected on: the output limit holds only after the end."""
    import subprocess

    try:
        stdout, stderr = child.communicate(timeout=max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return failed(TIMEOUT, f"{name}: not finished in {timeout_s:g} s")
    if len(stdout) + len(stderr) > MAX_OUTPUT_BYTES:
        return failed(TOO_LARGE, f"{name}: more than {MAX_OUTPUT_BYTES >> 20} MiB of output")
    return _finished(name, stdout, stderr, child.returncode)


def _finished(name: str, stdout: bytes, stderr: bytes, returncode: int) -> Answer[dict[str, Any]]:
    if returncode < 0:
        return failed(FAILED, f"{name}: killed by signal {-returncode}")
    output = {"stdout": stdout, "stderr": stderr}
    text = {stream: found.decode(errors="replace") for stream, found in output.items()}
    return Answer({**text, "returncode": returncode})


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
