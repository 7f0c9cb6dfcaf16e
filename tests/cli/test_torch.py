"""`gpucheck torch` on the command line: formats, exit codes, and what scripts read."""

import json
import subprocess
import sys

import pytest
from jsonschema import validate

from gpucheck.report.document import schema
from tests.running import fixture, run


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    """The environment that the tests run in is not the one that is asked about."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        (("--simulate", "RTX 4090"), 0, "cu132\n"),
        (("--simulate", "RTX 4090", "--driver", "535.86"), 0, "cu126\n"),
        (("2.4", "--simulate", "RTX 4090"), 0, "cu121\n"),
        (("--simulate", "Apple M3"), 0, "pypi\n"),
        (("--simulate", "RTX 4090", "--python-version", "3.7"), 1, ""),
        (("--simulate", "RTX 4090", "--os", "windows"), 0, "cu132\n"),
        (("--simulate", "RTX 4090", "--os", "macos"), 0, "pypi\n"),
        (("--simulate", "RTX 4090", "--arch", "aarch64"), 0, "cu132\n"),
        (("--simulate", "RTX 4090", "--os", "windows", "--arch", "aarch64"), 3, ""),
        (("--machine", fixture("windows-rtx4090"), "--os", "linux"), 0, "cu132\n"),
        (("2.6", "--simulate", "RTX 4090", "--python-version", "3.14"), 1, ""),
        (("--simulate", "RX 6700 XT"), 1, ""),
        (("--simulate", "RX 9070", "--os", "windows"), 1, ""),
        (("2.16", "--simulate", "RTX 4090"), 3, ""),
        (("--machine", fixture("amd-shared-id-73bf")), 3, ""),
    ],
)
def test_the_index_alone(arguments, code, out):
    """One name on standard output; without one the reasons go to standard error, and the exit code tells which."""
    ran = run("torch", *arguments, "--format", "index")
    assert (ran.code, ran.out) == (code, out)
    assert bool(ran.err) is (code != 0)


@pytest.mark.parametrize(
    "arguments", [("--simulate", "RTX 4090"), ("--simulate", "RX 6700 XT"), ("2.16", "--simulate", "T4")]
)
def test_json(arguments):
    """The document is of kind "torch" and as its schema says; that there is no build is an answer, exit 0."""
    ran = run("torch", *arguments, "--json")
    assert (ran.code, ran.json["kind"]) == (0, "torch")
    assert ran.json["torch"]["answer"] in {"yes", "no", "unknown"}
    assert ran.json["torch"]["reasons"]
    validate(ran.json, schema("torch"))


def test_text():
    """The text has the verdict, both commands, the reasons and what was assumed; -v the date of the table."""
    ran = run("torch", "--simulate", "RTX 4090", "-v")
    words = " ".join(ran.out.split())
    assert ran.code == 0
    assert ran.out.startswith("PyTorch 2.15.0 from cu132\n")
    for part in (
        "pip install torch==2.15.0 --index",
        "uv pip install torch==2.15.0 --torch-backend=cu132",
        "driver branch 610 is assumed",
        "cu132 has code for compute capability 8.9",
        "3.11 to 3.15 and 3.14t, 3.15t",
        "as of 2026-11-24",
    ):
        assert part in words
    none = run("torch", "--simulate", "RX 6700 XT")
    assert (none.code, none.out.splitlines()[0]) == (0, "No build of PyTorch suits this machine.")
    assert "not known" in run("torch", "2.16", "--simulate", "RTX 4090").out.splitlines()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("2.x",),
        ("--os", "darwin"),
        ("--arch", "arm64"),
        ("--driver", "new"),
        ("--python-version", "x"),
        ("--json", "--format", "index"),
    ],
)
def test_usage_errors(arguments):
    """A version that is none, or two formats, are usage errors."""
    ran = run("torch", *arguments, "--simulate", "RTX 4090")
    assert ran.code == 2
    assert ran.err.startswith("gpucheck: ")


def test_the_index_goes_to_a_file(tmp_path):
    """--output takes the index too."""
    file = tmp_path / "index"
    assert run("torch", "--simulate", "RTX 4090", "--format", "index", "--output", str(file)).out == ""
    assert file.read_text() == "cu132\n"


def test_torch_is_not_imported():
    """Choosing a build of torch imports no torch."""
    script = (
        "import json, sys; from gpucheck import cli;"
        "cli.run(['torch', '--simulate', 'RTX 4090', '--format', 'index']);"
        "print(json.dumps('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    index, imported = done.stdout.splitlines()
    assert (index, json.loads(imported)) == ("cu132", False)
