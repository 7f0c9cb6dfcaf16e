"""Deep checks: what a child does to itself stays there, and what it had said by then is the answer."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import commands
from gpucheck.host.answer import Answer
from gpucheck.host.deep import LIMITS_S, deep_answer, program
from gpucheck.host.deep_checks import CHECKS
from tests.fake_torch import GPU, TORCH, lay
from tests.host.test_commands import gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups and signals of POSIX")

Try = Callable[..., Any]
STEPS = ["copy", "add", "matmul fp32", "matmul fp16", "matmul bf16", "synchronise"]


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Tries a torch of this text with this interpreter; the value of the answer."""

    def attempt(text: str, limit_s: float = 20.0) -> Any:
        monkeypatch.setenv("PYTHONPATH", str(lay(tmp_path / "site", text)))
        answer: Answer[Any] = deep_answer(sys.executable, "torch", limit_s)
        assert answer.value is not None, answer.detail
        return answer.value

    return attempt


def ended(said: Any) -> dict[str, Any]:
    """The last event of each step, by its name."""
    return {event["end"]: event for event in said["events"] if "end" in event}


class TestWhole:
    """Checks that come to their end."""

    def test_on_the_cpu(self, tried: Try) -> None:
        """Without a GPU everything is tried on the CPU."""
        said = tried(TORCH)
        assert (said["returncode"], said["stopped"], said["stderr"]) == (0, None, "")
        assert list(ended(said)) == ["import", "find devices", "open", *STEPS]
        assert not any("error" in event for event in said["events"])
        assert {event.get("device") for event in said["events"] if event.get("end") in STEPS} == {"cpu"}
        assert said["events"][-1] == {"done": True}
        assert 0 < said["seconds"] < 20

    def test_on_a_gpu(self, tried: Try) -> None:
        """A GPU is named with its facts, and torch's own list of targets is among its words."""
        said = tried(TORCH + GPU)
        facts = {"name": "A card", "capability": "8.9", "memory_total_bytes": 24 << 30}
        assert {"device": "cuda:0", "facts": facts} in said["events"]
        assert {"facts": {"arch_list": ["sm_80", "sm_90"]}} in said["events"]
        assert {event.get("device") for event in said["events"] if event.get("end") in STEPS} == {"cuda:0"}

    def test_a_failed_step_keeps_none_from_being_tried(self, tried: Try) -> None:
        """A build without code for a card: the sum fails, the products are tried all the same."""
        text = "\ndef add(a, b): raise RuntimeError('CUDA error: no kernel image is available')\n"
        steps = ended(tried(TORCH + GPU + text))
        assert (steps["add"]["error"], steps["add"]["message"]) == (
            "RuntimeError", "CUDA error: no kernel image is available",
        )  # fmt: skip
        assert [name for name in STEPS if "error" in steps[name]] == ["add"]

    @pytest.mark.parametrize(
        ("wrong", "failing"),
        [
            ("def add(a, b): return [[0] * 128] * 128", ["add"]),
            ("def add(a, b): return [[float('nan')] * 128] * 128", ["add"]),
            ("def add(a, b): return []", ["add"]),
            ("def matmul(a, b): return Tensor([[0.0] * 128] * 128)", ["matmul fp32", "matmul fp16", "matmul bf16"]),
        ],
    )
    def test_wrong_results(self, tried: Try, wrong: str, failing: list[str]) -> None:
        """What a device computes wrongly, or not at all, is told from what it computes."""
        steps = ended(tried(f"{TORCH}{GPU}\n{wrong}\n"))
        assert [name for name in STEPS if "error" in steps[name]] == failing
        assert {steps[name]["error"] for name in failing} == {"WrongResultError"}

    @pytest.mark.parametrize(
        ("major", "minor", "skipped"), [(5, 2, ["matmul fp16", "matmul bf16"]), (7, 5, ["matmul bf16"]), (8, 0, [])]
    )
    def test_precisions_that_a_card_lacks(self, tried: Try, major: int, minor: int, skipped: list[str]) -> None:
        """Products that NVIDIA's libraries do not have for a card are not asked for."""
        said = tried(f"{TORCH}{GPU}\ncard.major, card.minor = {major}, {minor}\n")
        assert [event["skip"] for event in said["events"] if "skip" in event] == skipped

    def test_why_cuda_does_not_start(self, tried: Try) -> None:
        """is_available() is silent; the reason comes from starting CUDA, and the CPU is tried."""
        text = "\ndef init(): raise RuntimeError('Error 803: system has unsupported display driver')\n"
        said = tried(f"{TORCH}{GPU}{text}\ncuda.is_available, cuda.init = lambda: False, init\n")
        assert ended(said)["initialise"]["message"].startswith("Error 803")
        assert ended(said)["add"]["device"] == "cpu"


class TestImport:
    """What happens while torch is imported."""

    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            ("raise ImportError('libcudnn.so.9: cannot open shared object file')", "ImportError", "libcudnn.so.9"),
            ("import sys; sys.exit(3)", "SystemExit", "3"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
            ("raise ValueError('\\udcff half a character')", "ValueError", "? half a character"),
            ("class Bad(Exception):\n    def __str__(self): raise self\nraise Bad", "Bad", "an error without a text"),
        ],
    )
    def test_errors(self, tried: Try, text: str, error: str, message: str) -> None:
        """Whatever is raised ends the check with its class and text."""
        said = tried(text)
        assert said["events"][-2]["error"] == error
        assert said["events"][-2]["message"].startswith(message)
        assert said["events"][-1] == {"done": True}

    def test_an_interface_that_nobody_foresaw(self, tried: Try) -> None:
        """A module without torch's names is a fault of the check, not of torch."""
        said = tried("nothing = 1")
        assert said["events"][-2]["fault"].startswith("AttributeError")

    def test_a_module_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The current folder lends no files: a torch.py there is not found."""
        (tmp_path / "torch.py").write_text("raise RuntimeError('not this one')", encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTHONPATH", "")
        answer = deep_answer(sys.executable, "torch", 20)
        assert answer.value is not None
        assert answer.value["events"][1]["error"] == "ModuleNotFoundError"


class TestContainment:
    """Children that hang, die, shout and multiply."""

    @pytest.mark.parametrize(
        ("text", "last"),
        [
            ("import time; time.sleep(60)", {"begin": "import"}),
            ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass", {"begin": "import"}),
            (f"{TORCH}{GPU}\ndef add(a, b): import time; time.sleep(60)", {"begin": "add", "device": "cuda:0"}),
        ],
    )  # fmt: skip
    def test_hanging(self, tried: Try, text: str, last: dict[str, str]) -> None:
        """A child is ended in time, and its last word says where it hung."""
        start = time.monotonic()
        said = tried(text, 1.5)
        assert time.monotonic() - start < 4
        assert (said["stopped"], said["returncode"]) == ("timeout", None)
        assert said["events"][-1] == last

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("import ctypes; ctypes.string_at(0)", -11),
            ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", -4),
            ("import os, sys; sys.stderr.write('terminate called\\n'); sys.stderr.flush(); os.abort()", -6),
            ("import os; os._exit(3)", 3),
        ],
    )
    def test_dying(self, tried: Try, text: str, code: int) -> None:
        """How a child died, in which step, and its last words."""
        said = tried(text)
        assert (said["returncode"], said["stopped"]) == (code, None)
        assert said["events"] == [{"begin": "import"}]
        assert ("terminate called" in said["stderr"]) is (code == -6)

    def test_dying_after_the_end(self, tried: Try) -> None:
        """What a framework does at the end of a process is not waited for."""
        text = "\nimport atexit, os, threading, time\natexit.register(os.abort)\n"
        text += "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        start = time.monotonic()
        said = tried(TORCH + text)
        assert (said["returncode"], said["events"][-1]) == (0, {"done": True})
        assert time.monotonic() - start < 10

    def test_chatty(self, tried: Try) -> None:
        """Noise on standard output, by Python and below it, with and without line ends, changes nothing."""
        noise = (
            "\nimport ctypes, os, subprocess, sys\nprint('x' * 70000)\nos.write(1, b'no line end')\n"
            "ctypes.CDLL(None).puts(b'from C')\nctypes.CDLL(None).fflush(None)\n"
            "subprocess.run([sys.executable, '-c', 'print(1)'])\nsys.__stdout__.write('{\"done\": true}\\n')\n"
        )
        said = tried(noise + TORCH + "\n_add = add\ndef add(a, b): print('in the midst', end=''); return _add(a, b)\n")
        assert list(ended(said)) == ["import", "find devices", "open", *STEPS]
        assert not any("error" in event for event in said["events"])

    def test_flood(self, tried: Try, monkeypatch: pytest.MonkeyPatch) -> None:
        """Output without end is cut off; what was said before it is kept."""
        monkeypatch.setattr(commands, "MAX_OUTPUT_BYTES", 1 << 20)
        said = tried("while True: print('x' * 65536)")
        assert (said["stopped"], said["returncode"]) == ("too_large", None)
        assert said["events"] == [{"begin": "import"}]
        assert len(said["stderr"]) <= 2000

    def test_flood_of_facts(self, tried: Try) -> None:
        """A name of a megabyte is not taken in; the steps are."""
        said = tried(f"{TORCH}\n__version__ = 'v' * (1 << 20)\n")
        assert ended(said)["matmul fp32"]["device"] == "cpu"
        assert max(len(str(event)) for event in said["events"]) < 40_000

    def test_grandchildren(self, tried: Try, tmp_path: Path) -> None:
        """Processes that it leaves, and that hold its output open, neither delay the answer nor live on."""
        note = tmp_path / "pid"
        text = (
            "\nimport subprocess, sys\n"
            "kept = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
            f"open({str(note)!r}, 'w').write(str(kept.pid))\n"
        )
        start = time.monotonic()
        said = tried(TORCH + text, 30.0)
        assert time.monotonic() - start < 10
        assert said["events"][-1] == {"done": True}
        assert gone(int(note.read_text(encoding="utf-8")))

    def test_forged_words(self, tried: Try) -> None:
        """Lines that look like the check's own are not believed: their marker is drawn anew each time."""
        text = (
            "\nimport os, sys\nassert sys.argv == ['-c'], sys.argv\n"
            "for marker in ('', '0' * 32 + ' ', 'marker '):\n"
            "    for fd in (1, 2):\n"
            '        os.write(fd, (\'\\n\' + marker + \'{"end": "forged", "done": true}\\n\').encode())\n'
        )
        said = tried(TORCH + text)
        assert "forged" not in ended(said)
        assert [event for event in said["events"] if event.get("done")] == [{"done": True}]


class TestSurroundings:
    """What the child is given, and what this process keeps."""

    def test_environment(self, tried: Try, monkeypatch: pytest.MonkeyPatch) -> None:
        """Variables that choose devices reach the child; a PYTHONHOME, which activating unsets, does not."""
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1,2")
        monkeypatch.setenv("PYTHONHOME", "/nowhere")
        text = "import os\n__version__ = os.environ['CUDA_VISIBLE_DEVICES'] + str(os.environ.get('PYTHONHOME'))\n"
        said = tried(TORCH + text)
        assert {"facts": {"version": "GPU-1,2None"}} in said["events"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [("PYTHONINSPECT", "1"), ("PYTHONWARNINGS", "error"), ("PYTHONSAFEPATH", "1"), ("PYTHONOPTIMIZE", "2"),
         ("PYTHONUTF8", "0"), ("PYTHONIOENCODING", "ascii:strict"), ("PYTHONUNBUFFERED", "1")],
    )  # fmt: skip
    def test_variables_of_python(self, tried: Try, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        """None of the variables that a user may have set for Python breaks the check."""
        monkeypatch.setenv(name, value)
        said = tried(TORCH)
        assert said["events"][-1] == {"done": True}
        assert not any("error" in event or "fault" in event for event in said["events"])

    def test_this_process_is_untouched(self, tmp_path: Path) -> None:
        """It imports nothing of what it asks for, starts no thread, and keeps no descriptor."""
        site = lay(tmp_path / "site", TORCH)
        script = (
            "import os, sys, threading\nfrom gpucheck.host.deep import deep_answer\n"
            "before = os.listdir('/proc/self/fd') if os.path.isdir('/proc/self/fd') else []\n"
            "assert deep_answer(sys.executable, 'torch', 20).value['events'][-1] == {'done': True}\n"
            "after = os.listdir('/proc/self/fd') if os.path.isdir('/proc/self/fd') else []\n"
            "assert len(after) == len(before), (before, after)\n"
            "assert not {'torch', 'pynvml', 'numpy', 'gpucheck.host.deep_checks'} & set(sys.modules)\n"
            "assert threading.enumerate() == [threading.main_thread()]\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{os.pathsep.join(filter(None, sys.path))}"},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


class TestInterpreters:
    """Interpreters that are none, and questions that nobody can answer."""

    def test_missing(self) -> None:
        """A Python that is not there."""
        assert deep_answer("/no/such/python", "torch", 5).error == "not_found"

    def test_a_program_that_is_no_python(self, tmp_path: Path) -> None:
        """A program that ends without a word of the check's."""
        path = tmp_path / "python"
        path.write_text("#!/bin/sh\necho '{\"done\": true}'\necho bad >&2\nexit 1\n", encoding="utf-8")
        path.chmod(0o755)
        answer = deep_answer(str(path), "torch", 5)
        assert (answer.error, answer.detail) == ("malformed", f"{path} ended with 1 before the check began: bad")

    def test_a_framework_without_a_check(self) -> None:
        """Nothing is run for a name that has none."""
        assert deep_answer("/no/such/python", "numpy", 5).error == "not_supported"


def test_every_check_has_a_time_limit() -> None:
    """The names of the child and those of its caller are the same."""
    assert set(CHECKS) == set(LIMITS_S)
    assert all(limit_s > 0 for limit_s in LIMITS_S.values())


def test_the_program_suits_old_interpreters_and_short_command_lines() -> None:
    """It is Python 3.7's language in ASCII, and fits into the 32,767 characters that Windows has for a command."""
    assert program().isascii()  # a Python in the C locale without UTF-8 takes nothing else after -c
    tree = ast.parse(program(), feature_version=(3, 7))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"importlib", "importlib.util", "json", "operator", "os", "sys", "time"}
    assert len(subprocess.list2cmdline([sys.executable, "-c", program(), "onnxruntime-gpu", "0" * 32])) < 30_000
