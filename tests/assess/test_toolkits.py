"""GC307: the compiler of PATH and the toolkit of CUDA_HOME."""

from pathlib import Path

import pytest

import gpucheck
from gpucheck.assess.findings import find_problems
from gpucheck.machine.types import Machine
from gpucheck.probes.facts import Cpu, InstalledToolkit, Memory, Platform, Toolkits

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def problems(*installed, os="linux"):
    """The findings about a machine with these toolkits, each (version, folder, what chooses it)."""
    toolkits = Toolkits(cuda_installed=tuple(InstalledToolkit(*one) for one in installed))
    cpu = Cpu(arch="x86_64", features=("avx2",))
    return list(find_problems(Machine("live", Platform(os=os), cpu, Memory(), toolkits=toolkits)))


def test_two_toolkits():
    """It is a remark that names both folders, and a command puts the named one first."""
    (found,) = problems(("12.4.1", "/usr/local/cuda-12.4", ("CUDA_HOME",)), ("11.5", "/usr/lib/cuda", ("PATH",)))
    assert (found.code, found.severity, found.source) == ("GC307", "info", "toolkits.cuda_installed")
    assert found.title == "nvcc on PATH is of CUDA 11.5, but CUDA_HOME names CUDA 12.4.1"
    assert found.found == "CUDA 11.5 in /usr/lib/cuda (PATH), 12.4.1 in /usr/local/cuda-12.4 (CUDA_HOME)"
    assert found.remedy.commands == ('export PATH="$CUDA_HOME/bin:$PATH"',)


def test_windows():
    """The same in PowerShell, with the variable that is set there."""
    (found,) = problems(("12.4.1", "C:\\a", ("CUDA_PATH",)), ("11.8.0", "C:\\b", ("PATH",)), os="windows")
    assert found.remedy.commands == ('$env:Path = "$env:CUDA_PATH\\bin;$env:Path"',)


@pytest.mark.parametrize(
    "installed",
    [
        [],
        [("12.4.1", "/a", ("PATH", "CUDA_HOME"))],
        [("12.4.1", "/a", ("PATH",)), ("11.8.0", "/b", ())],
        [("12.4.1", "/a", ("PATH",)), ("11.8.0", "/b", ("/usr/local/cuda",))],
        [("12.4.1", "/a", ("CUDA_HOME",)), ("12.4", "/b", ("PATH",))],
        [("12.4.1", "/a", ("CUDA_HOME",)), ("12.4.0", "/b", ("PATH",))],
        [("12.4.1", "/a", ("CUDA_HOME", "PATH")), ("11.8.0", "/b", ("CUDA_PATH",))],
    ],
)
def test_no_trouble(installed):
    """Several toolkits are none, nor two copies of one release, nor a variable that another outranks."""
    assert problems(*installed) == []


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("two-cudas", {"cuda": "12.8.1", "cudnn": "9.8.0", "nccl": "2.26.2", "rocm": None}),
        ("rocm-core", {"rocm": "10.0.0", "cuda": None, "oneapi": None}),
        ("oneapi", {"oneapi": "2025.0", "level_zero": "1.24.1"}),
        ("windows", {"cuda": "13.0.1", "cudnn": "9.13.0"}),
    ],
)
def test_fixtures(name, facts):
    """What each package layout says, without an issue of the toolkits'."""
    machine = gpucheck.load(FIXTURES / f"toolkits-{name}.json")
    assert {fact: getattr(machine.toolkits, fact) for fact in facts} == facts
    assert not any("cuda" in issue.source or "rocm" in issue.source for issue in machine.issues)
