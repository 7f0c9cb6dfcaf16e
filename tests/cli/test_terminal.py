"""The process around the command line: pipes, encodings, colours, signals, processor affinity."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.running import command, fixture, process, run

T4 = ("--machine", fixture("card-t4"))
BIG = ("--machine", fixture("h100-x8"), "--json")
posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes and signals as POSIX has them")


def test_module() -> None:
    """`python -m gpucheck` is the command."""
    ran = process(*T4, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran == run(*T4, "--json")
    assert process("nonsense").code == 2


@posix_only
@pytest.mark.parametrize("arguments", [T4, BIG, ("gpus", "--json"), ("gpus",), ("schema", "report"), ("record", "-")])
def test_reader_that_leaves(arguments: tuple[str, ...]) -> None:
    """`gpucheck | true`: nobody reads on, which is neither a failure nor worth a word."""
    child = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    err = child.stderr.read()
    child.stderr.close()
    assert (child.wait(timeout=20), err) == (0, b"")


@posix_only
def test_head() -> None:
    """`gpucheck | head -1` gets its line, in the usual way to look at a large document."""
    child = subprocess.Popen(command("gpus", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first_line = [sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.readline())"]
    done = subprocess.run(first_line, stdin=child.stdout, capture_output=True, check=True)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert (done.stdout, child.stderr.read(), child.wait(timeout=20)) == (b"{\n", b"", 0)
    child.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", [T4, BIG])
def test_full_disk(arguments: tuple[str, ...]) -> None:
    """Output that cannot be written is exit 2 with one line, not a bug of gpucheck."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gpucheck: standard output: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_encodings(encoding: str) -> None:
    """Text keeps to what the stream can show; JSON is UTF-8 whatever it is."""
    text = subprocess.run(
        command("--machine", fixture("h100-x8-one-lost")),
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=True,
    )  # fmt: skip
    assert (text.stdout.isascii(), text.stderr) == (encoding != "utf-8", b"")
    document = subprocess.run(
        command(*BIG), capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=True
    )
    assert json.loads(document.stdout.decode("utf-8"))["kind"] == "report"
    assert not document.stdout.isascii()


def test_errors_in_ascii() -> None:
    """An error that quotes what ASCII lacks is told all the same, as text and as JSON."""
    ran = process("fit", "é", "--json", PYTHONIOENCODING="ascii")
    assert ran.code == 2
    assert ran.json["error"]["code"] == "unknown_name"


@pytest.mark.parametrize("width", ["20", "45", "80", "200", "0", "wide"])
def test_columns(width: str) -> None:
    """COLUMNS sets the width, within bounds; what is no width is passed over."""
    ran = run(*T4, COLUMNS=width)
    assert ran.code == 0
    most = max(map(len, ran.out.split("\n")))
    if width.isdecimal() and int(width) >= 45:
        assert most <= min(int(width), 110)
        assert most > int(width) - 20 or width == "200"


def test_no_colour_unless_on_a_terminal() -> None:
    """Without a terminal there are no escape codes, and no report depends on them."""
    assert "\x1b" not in run(*T4).out
    assert "\x1b" not in process(*T4).out


def test_force_colour() -> None:
    """FORCE_COLOR colours the output of a pipe; without the codes it is the plain text."""
    coloured = run(*T4, FORCE_COLOR="1", TERM="xterm").out
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == run(*T4).out


def test_no_color_variable() -> None:
    """NO_COLOR leaves no colour codes even where colour is forced; bold and dim are no colours."""
    out = run(*T4, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm").out
    codes = {code for codes in re.findall(r"\x1b\[([0-9;]*)m", out) for code in codes.split(";")}
    assert codes <= {"", "0", "1", "2"}


@posix_only
def test_on_a_terminal() -> None:
    """On a terminal text is coloured and JSON is not."""
    import pty

    for arguments, coloured in ((T4, True), ((*T4, "--json"), False)):
        ours, theirs = pty.openpty()
        with subprocess.Popen(command(*arguments), stdout=theirs, env={**os.environ, "TERM": "xterm"}) as child:
            os.close(theirs)
            out = b""
            try:
                while part := os.read(ours, 65536):
                    out += part
            except OSError:
                pass  # Linux says so when the other end has closed
        os.close(ours)
        assert child.returncode == 0
        assert (b"\x1b[" in out) is coloured
        assert b"T4" in out


@pytest.mark.skipif(
    not shutil.which("taskset") or not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs taskset and two processors",
)
def test_affinity() -> None:
    """A process that may use one processor is told that it has one usable core."""
    first = min(os.sched_getaffinity(0))
    done = subprocess.run(["taskset", "-c", str(first), *command("--json")], capture_output=True, check=True)
    cpu = json.loads(done.stdout)["machine"]["cpu"]
    assert cpu["usable_cores"] == 1
    assert cpu["logical_cores"] >= 2
    assert cpu["usable_cores_reason"] == "affinity"


@posix_only
def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C during an inspection ends it and what it has started at once, exit 130, without a traceback."""
    program, note = tmp_path / "nvidia-smi", tmp_path / "pid"
    hang = f"import os, time; print(os.getpid(), file=open({str(note)!r}, 'w'), flush=True); time.sleep(60)"
    program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(hang)}\n")
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    child = subprocess.Popen(
        command("--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PATH": path}
    )
    for _ in range(100):
        if (note.exists() and note.read_text().strip()) or child.poll() is not None:
            break
        time.sleep(0.05)
    if not note.exists():
        child.communicate()
        pytest.skip("this machine has NVML, and nvidia-smi was not asked")
    started = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert time.monotonic() - started < 3
    assert (child.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    for _ in range(100):
        try:
            os.kill(int(note.read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("nvidia-smi outlived gpucheck")


def test_standard_input_is_not_read() -> None:
    """Nothing waits for input: a closed or endless standard input does not matter."""
    done = subprocess.run(command(*T4), stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0
