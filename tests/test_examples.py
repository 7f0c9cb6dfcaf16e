"""The examples run as they are, each as a process, on machines of every kind."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.running import ROOT, Ran, fixture

EXAMPLES = ROOT / "examples"
SHOW = (sys.executable, "-c", "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'))")


def example(name: str, *arguments: str) -> Ran:
    """An example as a process."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture(scope="module")
def one_busy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recording of two RTX 4090, the first of which holds 23 of its 24 GiB."""
    recording = json.loads(Path(fixture("gpus-hidden")).read_text(encoding="utf-8"))
    answers = recording["answers"]
    answers["env"]["CUDA_VISIBLE_DEVICES"] = {"error": "not_found"}
    for key in ("gpu0/MemoryInfo", "gpu0/MemoryInfo_v2"):
        memory = answers["nvml"][key]["value"]
        memory["used"] += memory["free"] - (1 << 30)
        memory["free"] = 1 << 30
    path = tmp_path_factory.mktemp("busy") / "one-busy.json"
    path.write_text(json.dumps(recording), encoding="utf-8")
    return str(path)


def test_every_example_is_tested() -> None:
    """No example lies here that the tests below do not run."""
    source = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'example("{path.stem}"' in source


def test_launch_takes_the_free_gpu(one_busy: str) -> None:
    """Of two GPUs the command sees the free one; two free ones are not there."""
    ran = example("launch_on_free_gpu", "--machine", one_busy, "--min-free", "20GiB", "--", *SHOW)
    assert (ran.code, ran.out) == (0, "1\n")
    assert "GPU 0: 1.0 GiB free" in ran.err
    both = example("launch_on_free_gpu", "--machine", one_busy, "--count", "2", "--min-free", "20GiB", "--", *SHOW)
    assert (both.code, both.out) == (1, "")
    assert "needs 2 GPUs with 20.0 GiB free: found GPU 1; GPU 0: 1.0 GiB free" in both.err


@pytest.mark.parametrize(
    ("which", "code", "out"),
    [
        (("--machine", fixture("card-h100-sxm")), 0, "0\n"),
        (("--machine", fixture("h100-mig")), 0, "MIG-00000000-0000-4000-8000-000000000001\n"),
        (("--machine", fixture("vm-no-gpu")), 1, ""),
        (("--simulate", "2x RTX 4090"), 0, "0\n"),
        (("--machine", "/no/such/file"), 2, ""),
    ],
)
def test_launch(which: tuple[str, ...], code: int, out: str) -> None:
    """The command runs with the GPU in its environment, and not at all where there is none."""
    ran = example("launch_on_free_gpu", *which, "--", *SHOW)
    assert (ran.code, ran.out) == (code, out)


def test_launch_hands_on_how_the_command_ends() -> None:
    """The command's exit code is the launcher's; one that is not there is 127, as in a shell."""
    assert (
        example("launch_on_free_gpu", "--simulate", "T4", "--", sys.executable, "-c", "raise SystemExit(7)").code == 7
    )
    assert example("launch_on_free_gpu", "--simulate", "T4", "--", "no-such-command-here").code == 127


@pytest.mark.parametrize(
    ("which", "code", "words"),
    [
        (("--machine", fixture("card-h100-sxm")), 0, ("pip install torch", "@ bf16", "llama-server -m")),
        (("--machine", fixture("h100-mig")), 0, ("pip install torch", "llama-server -m")),
        (("--machine", fixture("vm-no-gpu")), 0, ("whl/cpu", "on the CPU")),
        (("--simulate", "RTX 3070", "--ram", "32GiB"), 0, ("pip install torch", "fits on one GPU")),
        (("--simulate", "RX 6700 XT", "--ram", "32GiB"), 1, ()),
        (("--simulate", "A100"), 2, ()),
        (("--simulate", "T4", "--run"), 2, ()),
    ],
)
def test_install(which: tuple[str, ...], code: int, words: tuple[str, ...]) -> None:
    """It prints the command for PyTorch and the start of the best quantization that fits; nothing without a build."""
    ran = example("install_for_this_machine", *which)
    assert ran.code == code, ran.err
    assert all(word in ran.out for word in words), ran.out
    assert bool(ran.out) is bool(words)


def test_install_lines_are_a_shell_script() -> None:
    """What is printed is commands and comments."""
    ran = example("install_for_this_machine", "--machine", fixture("card-h100-sxm"))
    subprocess.run(["sh", "-n"], input=ran.out, text=True, check=True)


@pytest.mark.parametrize("name", ["card-h100-sxm", "h100-mig", "vm-no-gpu", "h100-x8-one-lost"])
def test_notebook_report(name: str, tmp_path: Path) -> None:
    """The page is whole, has the machine, a model and a build, and no script."""
    file = tmp_path / "report.html"
    ran = example("notebook_report", "--machine", fixture(name), "--output", str(file), "8b", "70b@q4")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    page = file.read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.seen
    for words in ("What fits", "8b @ ", "70b @ Q4_K_M", "PyTorch"):
        assert words in page


class _Tags(HTMLParser):
    """Which tags are open, and which there were."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in {"meta", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
