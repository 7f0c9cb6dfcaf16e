"""GC308 and GC309, and the commands for the environment that was looked at."""

import subprocess

import pytest
from msgspec.structs import replace

from gpucheck.assess.findings import find_problems
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import Cpu, Environment, Framework, Memory, Platform, ProbeIssue

INDEX = "--index-url https://download.pytorch.org/whl"
GIVEN = Environment("/v", "/v/bin/python", "3.11", "--python")


def problems(*frameworks, issues=(), environment=None, os="linux", gpus=()):
    """GC308 and GC309 of an environment with these packages."""
    here = Machine("live", Platform(os=os, arch="x86_64"), Cpu(), Memory(), gpus=gpus, frameworks=frameworks,
                   issues=issues, environment=environment)  # fmt: skip
    return [found for found in find_problems(here) if found.code.startswith("GC30")]


def broken(name="torch", version="2.9.1", build="cu128", **facts):
    """A package that cannot be imported."""
    why = "its file x is missing"
    return replace(
        Framework(name, version, build, "3.11", build is not None, usable=False, reason=why, broken=why), **facts
    )


class TestBroken:
    """GC308."""

    def test_torch(self):
        """The same version from the index of the same build; its build is not held against the card as well."""
        card = Gpu(0, "NVIDIA card", "NVIDIA", "ok", "discrete", compute_capability="8.9")
        (found,) = problems(broken(build="cpu"), gpus=(card,))
        assert (found.code, found.severity) == ("GC308", "error")
        assert found.title == "torch 2.9.1 is installed but broken: its file x is missing"
        assert found.remedy.commands == (f"pip install --force-reinstall --no-deps torch==2.9.1 {INDEX}/cpu",)

    @pytest.mark.parametrize(
        ("facts", "command"),
        [
            ({"tagged": False}, "torch==2.9.1"),  # conda's, or another's
            ({"build": "git1234"}, "torch==2.9.1"),  # no index of that name
            ({"name": "vllm", "version": "0.11.0", "build": None}, "vllm==0.11.0"),
            ({"name": "vllm", "version": "1;reboot", "build": None}, "vllm"),
        ],
    )
    def test_without_an_index(self, facts, command):
        """Other packages, and builds that are not PyTorch's own, come from the default index."""
        (found,) = problems(broken(**facts))
        assert found.remedy.commands == (f"pip install --force-reinstall --no-deps {command}",)

    def test_onnx_runtime(self):
        """Two packages in one folder are both removed first."""
        (found,) = problems(broken("onnxruntime-gpu", "1.23.2", None), Framework("onnxruntime", "1.23.2"))
        assert found.remedy.commands == ("pip uninstall -y onnxruntime onnxruntime-gpu", "pip install onnxruntime-gpu")

    def test_two_versions(self):
        """Of which nothing tells the one that is there: a warning."""
        issue = ProbeIssue("several_versions", "torch", "2.8.0 and 2.9.1 are both recorded in /v")
        (found,) = problems(Framework("torch", "2.9.1"), issues=(issue,))
        assert (found.code, found.severity, found.found) == ("GC308", "warning", issue.detail)
        assert found.remedy.commands == ("pip uninstall -y torch", "pip uninstall -y torch", "pip install torch")


class TestOtherVersions:
    """GC309."""

    def test_torch(self):
        """VLLM and a torch that was upgraded under it."""
        vllm = Framework("vllm", "0.11.0", requires={"torch": "==2.8.0"})
        (found,) = problems(vllm, Framework("torch", "2.9.1", "cu128"))
        assert (found.code, found.severity) == ("GC309", "warning")
        assert (found.found, found.required) == ("torch 2.9.1", "torch==2.8.0")
        assert found.remedy.commands == ("pip install torch==2.8.0",)

    def test_jax(self):
        """A plugin comes with JAX: one command for both."""
        plugin = Framework("jax-cuda12-plugin", "0.7.2", requires={"jaxlib": "==0.7.2"})
        (found,) = problems(plugin, Framework("jaxlib", "0.8.0"))
        assert found.remedy.commands == ("pip install --upgrade 'jax[cuda12]'",)

    @pytest.mark.parametrize(
        ("version", "wanted"),
        [("2.8.0", "==2.8.0"), ("2.8.1", "==2.8.*"), ("2.9.0a0", "==2.8.0"), ("2.8.0", "~=2.7"), (None, "==2.8.0")],
    )
    def test_what_goes_together(self, version, wanted):
        """The version that is wanted, and versions and requirements that nobody can hold against each other."""
        assert problems(Framework("vllm", "0.11.0", requires={"torch": wanted}), Framework("torch", version)) == []

    def test_beside_nothing(self):
        """Without the other package, or with one that is broken, there is nothing to compare."""
        vllm = Framework("vllm", "0.11.0", requires={"torch": "==2.8.0"})
        assert problems(vllm) == []
        assert [found.code for found in problems(vllm, broken())] == ["GC308"]


class TestCommands:
    """The command changes the environment that was looked at, by the installer that goes with it."""

    @pytest.mark.parametrize(
        ("environment", "os", "start"),
        [
            (None, "linux", "pip install --force-reinstall --no-deps vllm==1"),
            (replace(GIVEN, chosen_by="VIRTUAL_ENV"), "linux", "pip install --force-reinstall --no-deps vllm==1"),
            (GIVEN, "linux", "/v/bin/python -m pip install --force-reinstall --no-deps vllm==1"),
            (replace(GIVEN, interpreter="/a b/bin/python"), "linux",
             "'/a b/bin/python' -m pip install --force-reinstall --no-deps vllm==1"),
            (replace(GIVEN, interpreter="C:\\a b\\python.exe"), "windows",
             '& \'C:\\a b\\python.exe\' -m pip install --force-reinstall --no-deps vllm==1'),
            (replace(GIVEN, made_by="uv"), "linux",
             "uv pip install --python /v/bin/python --reinstall-package vllm vllm==1"),
            (replace(GIVEN, made_by="uv", chosen_by="VIRTUAL_ENV"), "linux",
             "uv pip install --reinstall-package vllm vllm==1"),
        ],
    )  # fmt: skip
    def test_installers(self, environment, os, start):
        """Pip of the active environment, of another by its interpreter, and uv, whose environments have no pip."""
        (found,) = problems(broken("vllm", "1", None), environment=environment, os=os)
        assert found.remedy.commands == (start,)
        if os == "linux":
            done = subprocess.run(["sh", "-n"], input=start, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")

    def test_uv_removes_without_a_question(self):
        """There is no -y in uv."""
        environment = replace(GIVEN, made_by="uv")
        (found,) = problems(
            broken("onnxruntime-gpu", "1", None), Framework("onnxruntime", "1"), environment=environment
        )
        assert found.remedy.commands[0] == "uv pip uninstall --python /v/bin/python onnxruntime onnxruntime-gpu"

    def test_a_cpu_build(self):
        """GC301 too is about that environment."""
        card = Gpu(0, "NVIDIA card", "NVIDIA", "ok", "discrete", compute_capability="8.9")
        torch = Framework("torch", "2.9.1", "cpu", tagged=True)
        (found,) = problems(torch, environment=GIVEN, gpus=(card,))
        command = f"/v/bin/python -m pip install --force-reinstall torch==2.9.1 {INDEX}/cu128"
        assert (found.code, found.remedy.commands) == ("GC301", (command,))
