"""GC310 and GC311: what was tried and failed, with the cause where it is known."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.assess.findings import Finding, find_problems
from gpucheck.catalog.torch_builds import find_build
from gpucheck.machine.tried import with_check
from gpucheck.machine.types import Drivers, Gpu, Machine
from gpucheck.probes.facts import (
    Cpu,
    DeepCheck,
    DeepDevice,
    DeepStep,
    Environment,
    Framework,
    Memory,
    NvidiaDriver,
    Platform,
)
from tests.running import fixture, page, report, run
from tests.running import machine as recorded

IMPORTED = DeepStep("import", "ok")
TORCH = Framework("torch", "2.9.1", "cu128", "3.12", tagged=True)
DRIVER = Drivers(nvidia=NvidiaDriver(version="580.95.05", cuda_version="13.0"))


def machine(*frameworks: Framework, card: bool = True, **facts: Any) -> Machine:
    """A machine with an RTX 4090 and what was tried there."""
    gpus = (Gpu(0, "NVIDIA GeForce RTX 4090", "NVIDIA", "ok", "discrete", compute_capability="8.9"),) if card else ()
    platform = Platform(
        **{"os": "linux", "arch": "x86_64", "distribution": "Ubuntu 24.04.2 LTS", **facts.pop("on", {})}
    )
    cpu = Cpu(arch="x86_64", features=facts.pop("features", ("avx2",)))
    return Machine("live", platform, cpu, Memory(), gpus=gpus, drivers=DRIVER, frameworks=frameworks, **facts)


def on_gpu(message: str, error: str = "RuntimeError", name: str = "add", **facts: Any) -> Framework:
    """A torch of which this step failed on the GPU, after a copy that went well."""
    steps = (DeepStep("copy", "ok"), DeepStep(name, "failed", None, error, message))
    check = DeepCheck("failed", 1.0, (IMPORTED,), (DeepDevice("cuda:0", "A card", steps=steps),), **facts)
    return with_check(TORCH, check)


def importing(message: str, error: str = "ImportError", of: Framework = TORCH) -> Framework:
    """A framework that cannot be imported."""
    return with_check(of, DeepCheck("failed", 1.0, (DeepStep("import", "failed", None, error, message),)))


def dying(crash: str, **facts: Any) -> Framework:
    """A torch whose import kills the process."""
    return with_check(TORCH, DeepCheck("crashed", 1.0, (DeepStep("import", "unfinished"),), crash=crash, **facts))


def only(found: Machine, code: str) -> Finding:
    """The one finding of this code, which is the only one of deep checks."""
    (finding,) = [one for one in find_problems(found) if one.code in {"GC310", "GC311"}]
    assert finding.code == code
    return finding


class TestComputing:
    """GC310."""

    def test_part_of_the_code(self) -> None:
        """A build of which only half runs: the step, torch's own targets, and a build that has the code."""
        finding = only(recorded("deep-new-card"), "GC310")
        assert finding.severity == "error"
        assert finding.title.endswith("sees NVIDIA GeForce RTX 5060 Ti and cannot compute on it: add fails")
        assert "matmul fp32, matmul fp16, matmul bf16, synchronise went well" in finding.found
        assert "its code is for sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90" in finding.found
        build = gpucheck.torch_build(recorded("deep-new-card"))
        assert build.index_url is not None
        assert build.index_url in finding.remedy.commands[0]
        assert "GC302" not in [one.code for one in find_problems(recorded("deep-new-card"))]

    @pytest.mark.parametrize("name", ["deep-healthy", "deep-new-card"])
    def test_the_targets_of_the_fixtures_are_those_of_the_table(self, name: str) -> None:
        """What the children of the fixtures say is what the table has for their builds."""
        (torch,) = recorded(name).frameworks
        assert torch.deep is not None
        row = find_build(torch.version, torch.build, "linux", "x86_64")
        assert row is not None
        assert set(torch.arch_list) == set(row.targets)

    @pytest.mark.parametrize(
        ("message", "words", "command"),
        [
            ("CUDA error: no kernel image is available for execution on the device", "has code for it", "--index-url"),
            ("HIP error: invalid device function", "has code for it", "--index-url"),
            ("Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized", "fabric manager",
             "sudo systemctl restart nvidia-fabricmanager"),
            ("Error 803: system has unsupported display driver / cuda driver combination", "error 803", "sudo reboot"),
            ("Error 804: forward compatibility was attempted on non supported HW", "cuda-compat",
             "ldconfig -p | grep libcuda"),
            ("CUDA unknown error - this may be due to an incorrectly set up environment", "suspended",
             "sudo modprobe nvidia_uvm"),
            ("The NVIDIA driver on your system is too old (found version 11040)", "newer driver", "gpucheck torch"),
            ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", "compute mode", "nvidia-smi"),
            ("CUDA error: unspecified launch failure", "the log", 'sudo dmesg | grep "NVRM"'),
        ],
    )  # fmt: skip
    def test_causes(self, message: str, words: str, command: str) -> None:
        """Each known message has its own way out, an unknown one the driver's log."""
        finding = only(machine(on_gpu(message)), "GC310")
        assert finding.severity == "error"
        assert message in finding.found
        assert words in finding.remedy.text
        assert any(command in one for one in finding.remedy.commands)

    def test_wrong_results(self) -> None:
        """A GPU that computes wrongly is not to be trusted."""
        finding = only(machine(on_gpu("0.0 where 5 is right", "WrongResultError")), "GC310")
        assert "trust no result" in finding.remedy.text

    def test_out_of_memory(self) -> None:
        """Want of memory is a warning, with the program that shows who has it."""
        finding = only(machine(on_gpu("CUDA out of memory.", "OutOfMemoryError", "copy")), "GC310")
        assert (finding.severity, finding.remedy.commands) == ("warning", ("nvidia-smi",))

    def test_a_step_that_does_not_end(self) -> None:
        """A slow first start looks like a hang: a warning, and more time."""
        device = DeepDevice("cuda:0", steps=(DeepStep("add", "unfinished"),))
        torch = with_check(TORCH, DeepCheck("timed_out", 60.0, (IMPORTED,), (device,)))
        finding = only(machine(torch), "GC310")
        assert (finding.severity, finding.found) == ("warning", "add on cuda:0: not finished in 60 s")
        assert "gpucheck doctor --deep --timeout 300" in finding.remedy.commands

    def test_devices_that_fail_alike_are_one_finding(self) -> None:
        """Eight cards with one trouble are one finding, two troubles are two."""
        bad = (DeepStep("add", "failed", None, "RuntimeError", "x"),)
        lost = (DeepStep("open", "failed", None, "RuntimeError", "y"),)
        devices = (*(DeepDevice(f"cuda:{n}", steps=bad) for n in range(3)), DeepDevice("cuda:3", steps=lost))
        torch = with_check(TORCH, DeepCheck("failed", 1.0, (IMPORTED,), devices))
        found = [one.found for one in find_problems(machine(torch)) if one.code == "GC310"]
        assert found == ["add on cuda:0, cuda:1, cuda:2: RuntimeError: x", "open on cuda:3: RuntimeError: y"]

    def test_cuda_that_does_not_start(self) -> None:
        """No device at all, with a card for the build: the reason that torch keeps to itself."""
        start = DeepStep("initialise", "failed", None, "RuntimeError", "CUDA unknown error - this may be")
        torch = with_check(TORCH, DeepCheck("failed", 1.0, (IMPORTED, start), (DeepDevice("cpu"),)))
        assert "cannot start CUDA: it leaves NVIDIA GeForce RTX 4090 idle" in only(machine(torch), "GC310").title
        assert not [one for one in find_problems(machine(torch, card=False)) if one.code == "GC310"]

    def test_another_finding_has_the_reason(self) -> None:
        """A driver that is too old for the build is told once, by GC305."""
        start = DeepStep("initialise", "failed", None, "RuntimeError", "The NVIDIA driver on your system is too old")
        torch = with_check(TORCH, DeepCheck("failed", 1.0, (IMPORTED, start)))
        old = Drivers(nvidia=NvidiaDriver(version="470.256.02", cuda_version="11.4"))
        found = gpucheck.problems(replace(machine(torch), drivers=old))
        assert [one.code for one in found if one.code.startswith("GC3")] == ["GC305"]

    def test_success_beats_the_tables(self) -> None:
        """What has computed needs no newer driver and lacks no code, whatever a table says."""
        good = tuple(DeepStep(name, "ok") for name in ("copy", "add", "matmul fp32"))
        proof = DeepCheck("ok", 1.0, (IMPORTED,), (DeepDevice("cuda:0", steps=good),))
        old = Drivers(nvidia=NvidiaDriver(version="470.256.02", cuda_version="11.4"))
        for torch in (TORCH, with_check(TORCH, proof)):
            codes = [one.code for one in find_problems(replace(machine(torch), drivers=old))]
            assert ("GC305" in codes) is (torch.deep is None)
        tried = replace(recorded("torch-new-card"), frameworks=(with_check(TORCH, proof),))
        assert [one.code for one in find_problems(recorded("torch-new-card"))] == ["GC302"]
        assert [one.code for one in find_problems(tried)] == []


class TestImporting:
    """GC311."""

    @pytest.mark.parametrize(
        ("message", "words", "command"),
        [
            ("libcudnn.so.9: cannot open shared object file: No such file or directory", "NVIDIA's own packages",
             "pip install --force-reinstall torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128"),
            ("libcuda.so.1: cannot open shared object file: No such file or directory", "NVIDIA's driver", None),
            ("libgomp.so.1: cannot open shared object file: No such file or directory", "libgomp1",
             "sudo apt install libgomp1"),
            ("/lib64/libm.so.6: version `GLIBC_2.27' not found (required by x)", "newer distribution", None),
            ("/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by x)", "libstdc++", "torch==2.9.1"),
            ("libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent", "MKL", "conda install mkl=2024.0"),
            ("libtorch_cuda.so: undefined symbol: ncclCommRegister", "LD_LIBRARY_PATH", "torch==2.9.1"),
            ("No module named 'typing_extensions'", "needs the module typing_extensions",
             "pip install typing_extensions"),
            ("No module named 'torch._C'", "install it again", "torch==2.9.1"),
            ("something else", "install it again", "torch==2.9.1"),
        ],
    )  # fmt: skip
    def test_causes(self, message: str, words: str, command: str | None) -> None:
        """Each known message has its own way out, an unknown one the package once more."""
        finding = only(machine(importing(message)), "GC311")
        assert (finding.severity, finding.found) == ("error", f"ImportError: {message}")
        assert words in finding.remedy.text
        assert (finding.remedy.commands == ()) if command is None else (command in finding.remedy.commands[0])

    def test_a_missing_dll(self) -> None:
        """Error 126 of Windows: the runtime of Visual C++ is missing."""
        message = '[WinError 126] The specified module could not be found. Error loading "fbgemm.dll"'
        finding = only(machine(importing(message, "OSError"), on={"os": "windows"}), "GC311")
        assert finding.remedy.commands == ("winget install Microsoft.VCRedist.2015+.x64",)

    def test_a_library_of_the_driver_in_a_container(self) -> None:
        """In a container the driver comes with the GPUs."""
        message = "libcuda.so.1: cannot open shared object file: No such file or directory"
        finding = only(machine(importing(message), on={"container": "docker"}), "GC311")
        assert "start the container with its GPUs" in finding.remedy.text

    def test_conda(self) -> None:
        """In conda's environments libstdc++ is conda's."""
        message = "/usr/lib/libstdc++.so.6: version `CXXABI_1.3.15' not found (required by x)"
        place = Environment("/opt/conda", "/opt/conda/bin/python", chosen_by="CONDA_PREFIX", made_by="conda")
        finding = only(machine(importing(message), environment=place), "GC311")
        assert finding.remedy.commands == ("conda install -c conda-forge libstdcxx-ng",)

    @pytest.mark.parametrize(
        ("name", "message", "words", "command"),
        [
            ("flash-attn", "flash_attn_2_cuda.so: undefined symbol: _ZN3c105Error", "another version of torch",
             "pip install --force-reinstall flash-attn==1.0"),
            ("mlx", "libmlx.so: cannot open shared object file: No such file or directory", "package of its own",
             "pip install 'mlx[cuda]'"),
        ],
    )  # fmt: skip
    def test_other_frameworks(self, name: str, message: str, words: str, command: str) -> None:
        """Of other packages the same is told, each with its own command."""
        finding = only(machine(importing(message, of=Framework(name, "1.0"))), "GC311")
        assert words in finding.remedy.text
        assert finding.remedy.commands[0] == command

    @pytest.mark.parametrize(
        ("features", "virtual", "words"),
        [
            (("sse4_2",), None, "it lacks AVX2: build it from source"),
            (("avx2",), "kvm", "this virtual machine does not have: give the virtual machine its host's CPU"),
        ],
    )
    def test_illegal_instruction(self, features: tuple[str, ...], virtual: str | None, words: str) -> None:
        """A CPU that lacks what the build uses; in a virtual machine its host's may have it."""
        torch = dying("illegal instruction")
        finding = only(machine(torch, features=features, on={"virtual_machine": virtual}), "GC311")
        assert finding.title == "Importing torch 2.9.1+cu128 kills the process (illegal instruction)"
        assert words in finding.remedy.text

    def test_other_deaths(self) -> None:
        """Killed is most likely for want of memory; of another death its last words are told."""
        assert "want of memory" in only(machine(dying("killed")), "GC311").remedy.text
        finding = only(machine(dying("abort", detail="terminate called")), "GC311")
        assert finding.found == "the process died: abort (terminate called)"

    def test_an_import_that_does_not_end(self) -> None:
        """A first import can take minutes: a warning, and more time."""
        torch = with_check(TORCH, DeepCheck("timed_out", 60.0, (DeepStep("import", "unfinished"),)))
        finding = only(machine(torch), "GC311")
        assert (finding.severity, finding.title) == ("warning", "Importing torch 2.9.1+cu128 does not end")

    def test_a_broken_package_is_told_once(self) -> None:
        """What the files on disk show already is GC308's."""
        torch = replace(importing("No module named 'torch._C'"), broken="its compiled code is missing")
        assert "GC311" not in [one.code for one in find_problems(machine(torch))]

    def test_what_loads_is_no_news(self) -> None:
        """A framework that loads and finds no GPU has no finding."""
        torch = with_check(TORCH, DeepCheck("ok", 1.0, (IMPORTED,), (DeepDevice("cpu"),)))
        assert find_problems(machine(torch, card=False)) == ()


def test_the_text_says_what_was_tried() -> None:
    """`doctor` on a recording has a line for the framework, each device and each step that failed."""
    ran = run("doctor", "--machine", fixture("deep-new-card"), COLUMNS="100")
    text = " ".join(ran.out.split())
    assert "torch 2.7.1+cu126, in 4.2 s" in text
    assert "cuda:0 NVIDIA GeForce RTX 5060 Ti (12.0)" in text
    assert "✗ add (0.01 s): RuntimeError: CUDA error: no kernel image" in text
    assert "Tried" not in run("doctor", "--machine", fixture("torch-new-card")).out
    assert "GC310" in page(report("deep-new-card"))
