"""`gpucheck devices` on the command line: formats, exit codes, and what shells read."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from jsonschema import validate

from gpucheck.report.document import schema
from tests.running import command, fixture, run


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        (("--simulate", "2x RTX 4090"), 0, "0\n"),
        (("--simulate", "2x RTX 4090", "--count", "2"), 0, "0,1\n"),
        (("--simulate", "2x RTX 4090", "--all"), 0, "0,1\n"),
        (("--simulate", "RTX 3070 + RTX 4090"), 0, "1\n"),
        (("--simulate", "2x RTX 4090", "--count", "3"), 1, ""),
        (("--simulate", "RX 7900 XTX"), 1, ""),
        (("--machine", fixture("memory-taken"), "--min-free", "4GiB"), 0, "0\n"),
        (("--machine", fixture("memory-taken"), "--min-free", "20GiB"), 1, ""),
        (("--machine", fixture("container-4gib")), 1, ""),
        (("--machine", fixture("h100-mig")), 0, "MIG-00000000-0000-4000-8000-000000000001\n"),
    ],
)
def test_cuda_visible_devices(arguments: tuple[str, ...], code: int, out: str) -> None:
    """The value alone on standard output; without one the reasons go to standard error, and the exit code tells."""
    ran = run("devices", *arguments, "--format", "cuda-visible-devices")
    assert (ran.code, ran.out) == (code, out)
    if code:
        assert ran.err.startswith("gpucheck: needs ")


def test_cuda_visible_devices_says_what_else_to_set() -> None:
    """Numbers mean what they say under one order alone, which standard error names."""
    ran = run("devices", "--simulate", "T4", "--format", "cuda-visible-devices")
    assert ran.err == "gpucheck: set CUDA_DEVICE_ORDER=PCI_BUS_ID too\n"


@pytest.mark.parametrize("name", ["h100-x8", "amd-rocr-hip-hidden", "intel-max-1550", "h100-mig", "apple-m4-max-128"])
def test_env_in_a_shell(name: str) -> None:
    """A shell that evaluates the lines has the variables of the JSON document, and no others."""
    found = run("devices", "--machine", fixture(name), "--json").json["environment"]
    bare = {"PATH": os.environ["PATH"]}
    line = f'eval "$({shlex.join(command("devices", "--machine", fixture(name), "--format", "env"))})"; env -0'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=bare, check=True)
    now = dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)
    assert {key: value for key, value in now.items() if key not in {*bare, "PWD", "OLDPWD", "SHLVL", "_"}} == found


@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (("--machine", fixture("h100-x8"), "--count", "4", "--min-compute-capability", "9.0"), 0, "met"),
        (("--machine", fixture("card-t4"), "--min-vram", "24GB"), 1, "not_met"),
        (("--machine", fixture("intel-max-1550"), "--min-free", "20GiB"), 3, "unknown"),
        (("--machine", fixture("card-mi300x"), "--vendor", "NVIDIA"), 1, "not_met"),
    ],
)
def test_json(arguments: tuple[str, ...], code: int, answer: str) -> None:
    """The document is as its schema says, whatever the answer, and the exit code goes with the answer."""
    ran = run("devices", *arguments, "--json")
    assert (ran.code, ran.json["kind"], ran.json["answer"]) == (code, "devices", answer)
    assert bool(ran.json["devices"]) is bool(ran.json["torch_devices"]) is (answer == "met")
    assert ran.json["reasons"]
    validate(ran.json, schema("devices"))


def test_text() -> None:
    """The text has the verdict, the variables, PyTorch's names and the reasons."""
    ran = run("devices", "--machine", fixture("mixed-order-open"))
    assert ran.out.splitlines()[0] == "Take GPU 1"
    for part in ("CUDA_VISIBLE_DEVICES=1", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "cuda:0", "23.6 GiB free"):
        assert part in ran.out
    assert "There is not what was asked for" in run("devices", "--machine", fixture("vm-no-gpu")).out
    unknown = run("devices", "--machine", fixture("intel-max-1550"), "--min-free", "20GiB").out
    assert unknown.startswith("Whether there is what was asked for is not known: 1 GPU with 20.0 GiB free")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--count", "0"),
        ("--count", "2", "--all"),
        ("--min-free", "20"),
        ("--vendor", "nvidea"),
        ("--min-compute-capability", "8"),
        ("--json", "--format", "env"),
        ("--vendor", "amd", "--format", "cuda-visible-devices"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...]) -> None:
    """What makes no sense, or not together, is a usage error."""
    ran = run("devices", *arguments, "--simulate", "RTX 4090")
    assert ran.code == 2
    assert ran.err.startswith("gpucheck: ")


def test_output_file(tmp_path: Path) -> None:
    """--output takes the value too."""
    file = tmp_path / "devices"
    run("devices", "--simulate", "T4", "--format", "cuda-visible-devices", "--output", str(file))
    assert file.read_text() == "0\n"
