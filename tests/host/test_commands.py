"""Other programs: what they print, and how they end when they do not want to."""

import os
import sys
import time

import pytest

from gpucheck.host import commands
from gpucheck.host.commands import find_program, run, windows_places

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups of POSIX")


def python(code):
    """The arguments of a Python program."""
    return [sys.executable, "-c", code]


def gone(pid):
    """Whether a process has ended, waiting for it up to two seconds."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_output_and_status():
    """Both streams and the exit status; a status that is not zero is an answer."""
    answer = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), 10)
    assert answer.value == {"stdout": "out\n", "stderr": "err\n", "returncode": 3}


def test_undecodable_output():
    """Bytes that are no UTF-8 become U+FFFD."""
    answer = run(python(r"import sys; sys.stdout.buffer.write(b'\xff\xfe ok')"), 10)
    assert answer.value["stdout"] == "\ufffd\ufffd ok"


def test_missing_program():
    """A program that is not there, by name or by path."""
    assert run(["gpucheck-no-such-program"], 5).error == "not_found"
    assert run(["/nowhere/program"], 5).error == "not_found"
    assert run([""], 5).error == "not_found"


def test_program_that_may_not_run(tmp_path):
    """A file without the right to run it; by name it is not even found."""
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\n")
    assert run([str(path)], 5).error == "no_permission"


def test_program_that_is_none(tmp_path):
    """A file that may run, but is no program."""
    path = tmp_path / "program"
    path.write_bytes(b"\x7fnot a program")
    path.chmod(0o755)
    assert run([str(path)], 5).error == "io_error"


def test_null_byte_in_an_argument():
    """Arguments that no program can be given."""
    assert run([sys.executable, "a\0b"], 5).error == "io_error"


def test_time_limit():
    """A program that does not end is killed, and the answer comes in time."""
    start = time.monotonic()
    answer = run(python("import time; time.sleep(60)"), 0.3)
    assert answer.error == "timeout"
    assert time.monotonic() - start < 3


def test_children_are_killed_too(tmp_path):
    """The whole process group ends with the program, grandchildren that hold its output open included."""
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "inner = 'import os, time; open({note!r}, \"w\").write(str(os.getpid())); time.sleep(60)'\n"
        "subprocess.Popen([sys.executable, '-c', inner])\n"
        "time.sleep(60)\n"
    ).replace("{note!r}", repr(str(note)).replace("'", '"'))
    start = time.monotonic()
    assert run(python(code), 1.5).error == "timeout"
    assert time.monotonic() - start < 5
    assert gone(int(note.read_text()))


def test_program_that_ignores_polite_signals():
    """SIGTERM may be ignored, SIGKILL may not."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    start = time.monotonic()
    assert run(python(code), 0.5).error == "timeout"
    assert time.monotonic() - start < 4


def test_endless_output(monkeypatch):
    """A program that prints without end is stopped at the limit."""
    monkeypatch.setattr(commands, "MAX_OUTPUT_BYTES", 1 << 20)
    answer = run(python("while True: print('x' * 65536)"), 20)
    assert answer.error == "too_large"


def test_output_larger_than_a_pipe():
    """Two megabytes on each stream do not block each other."""
    code = "import sys; sys.stderr.write('e' * (2 << 20)); sys.stdout.write('o' * (2 << 20))"
    answer = run(python(code), 20)
    assert (len(answer.value["stdout"]), len(answer.value["stderr"])) == (2 << 20, 2 << 20)


def test_killed_program():
    """A program that a signal ended has no answer to trust."""
    answer = run(python("import os; os.kill(os.getpid(), 11)"), 10)
    assert answer.error == "failed"
    assert "signal 11" in answer.detail


def test_closed_input():
    """A program that asks gets the end of its input at once."""
    assert run(python("import sys; print(repr(sys.stdin.read()))"), 10).value["stdout"] == "''\n"


def test_c_locale(monkeypatch):
    """Decimal commas and translated words stay out of what is parsed."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run(python("import os; print(os.environ['LC_ALL'])"), 10).value["stdout"] == "C\n"


def test_find_program(tmp_path, monkeypatch):
    """The first folder of PATH that has it as a program; folders and plain files are none."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "tool").write_text("#!/bin/sh\n")
    (second / "tool").chmod(0o755)
    (first / "other").mkdir()
    monkeypatch.setenv("PATH", f"{first}{os.pathsep}{second}")
    assert find_program("tool") == str(second / "tool")
    assert find_program("other") is None


@pytest.mark.parametrize(
    ("code", "limit", "error"),
    [("print('ok')", 10, None), ("import time; time.sleep(60)", 0.3, "timeout"),
     ("print('x' * 3000000)", 10, "too_large")],
)  # fmt: skip
def test_the_way_of_windows(code, limit, error, monkeypatch):
    """Where pipes cannot be selected on, time and output limits hold all the same."""
    import subprocess

    monkeypatch.setattr(commands, "MAX_OUTPUT_BYTES", 1 << 20)
    child = subprocess.Popen(python(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    ended = commands._communicate(child, "python", time.monotonic() + limit, limit)
    commands._end(child)
    assert ended.error == error
    assert error is not None or ended == commands.Ended(b"ok\n", b"", 0)


@pytest.mark.parametrize("collect", ["_collect", "_communicate"])
def test_what_was_printed_before_the_end(collect):
    """A program that is stopped has said what it has said, on both systems' ways."""
    import subprocess

    code = "import sys, time; print('said', flush=True); print('oh', file=sys.stderr, flush=True); time.sleep(60)"
    child = subprocess.Popen(python(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    more = {"alone": True} if collect == "_collect" else {}
    ended = getattr(commands, collect)(child, "python", time.monotonic() + 1.0, 1.0, **more)
    commands._end(child)
    assert (ended.stdout, ended.stderr, ended.returncode, ended.error) == (b"said\n", b"oh\n", None, "timeout")


@pytest.mark.parametrize(("alone", "error"), [(True, None), (False, "timeout")])
def test_a_child_that_holds_the_output(alone, error):
    """What a program leaves behind is waited for, as it may print, unless the program is run alone."""
    inner = f"import subprocess, sys; subprocess.Popen({python('import time; time.sleep(60)')!r}); print('done')"
    ended = commands.run_to_end(python(inner), 1.5, alone=alone)
    assert (ended.stdout, ended.error) == (b"done\n", error)
    assert ended.returncode == (0 if alone else None)


def test_variables_that_a_program_is_not_given(monkeypatch):
    """A variable can be kept from a program; the others stay."""
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("TWO", "2")
    code = python("import os; print(os.environ.get('ONE'), os.environ.get('TWO'))")
    assert commands.run_to_end(code, 10, ("ONE",)).stdout == b"None 2\n"


def test_places_of_windows_beyond_the_search_path():
    """Where drivers put nvidia-smi, whatever drive Windows is on; no other program is looked for beside PATH."""
    assert windows_places("nvidia-smi", {}) == (
        "C:\\Program Files\\NVIDIA Corporation\\NVSMI",
        "C:\\Windows\\System32",
    )
    moved = {"ProgramFiles": "D:\\Programs", "SystemRoot": "D:\\Windows"}
    assert windows_places("nvidia-smi", moved) == ("D:\\Programs\\NVIDIA Corporation\\NVSMI", "D:\\Windows\\System32")
    assert windows_places("powershell", {}) == ()


def test_program_in_a_place_of_windows(monkeypatch, tmp_path):
    """It is found there under its suffix once PATH has none."""
    program = tmp_path / "nvidia-smi.exe"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(commands, "windows_places", lambda name, variables: (str(tmp_path),))
    assert find_program("nvidia-smi") is None
    monkeypatch.setattr(os, "name", "nt")
    found = find_program("nvidia-smi")
    monkeypatch.undo()
    assert found == str(program)
