"""Known causes of what a deep check met, by the words of loaders, CUDA and HIP, and what mends each.

The meanings of CUDA's error numbers are those of NVIDIA's CUDA Runtime API, type cudaError.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from gpucheck.assess.findings.commands import as_admin, driver_log, is_windows, restart
from gpucheck.assess.findings.finding import Remedy
from gpucheck.assess.findings.pip import install, quoted, reinstall
from gpucheck.catalog.torch_builds import INDEX, maker_of
from gpucheck.errors import UsageError
from gpucheck.machine.tried import is_out_of_memory, said_by
from gpucheck.machine.types import Machine
from gpucheck.probes.facts import DeepCheck, DeepStep, Framework

Cause = Callable[[Machine, Framework], Remedy]

_BUILD = re.compile(r"cpu|xpu|cu\d{2,3}|rocm\d+\.\d+(?:\.\d+)?")  # those that PyTorch has an index for
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
_MISSING_MODULE = re.compile(r"No module named '([\w.]+)'")
# What the system brings, not pip: library, Debian's package, Fedora's
_OF_THE_SYSTEM = {
    "libgomp.so.1": ("libgomp1", "libgomp"), "libstdc++.so.6": ("libstdc++6", "libstdc++"),
    "libnuma.so.1": ("libnuma1", "numactl-libs"), "libopenblas.so.0": ("libopenblas0", "openblas"),
    "libGL.so.1": ("libgl1", "libglvnd-glx"),
}  # fmt: skip


def why_not_computing(machine: Machine, framework: Framework, check: DeepCheck, step: DeepStep) -> Remedy:
    """What to do about a step on a GPU, or about CUDA that does not start."""
    said = said_by(check, step)
    if is_out_of_memory(step):
        return _out_of_memory(machine)
    if step.outcome == "unfinished" and check.answer == "timed_out":
        return Remedy(
            "try it once more with more time, as the first contact with a GPU can take long; if it hangs again, the"
            " driver's log says why",
            (_with_more_time(machine), driver_log(machine)),
        )
    for words, cause in _COMPUTING:
        if words.search(said):
            return cause(machine, framework)
    return Remedy("look at what the driver has written into the log meanwhile", (driver_log(machine),))


def why_not_importing(machine: Machine, framework: Framework, check: DeepCheck, step: DeepStep) -> Remedy:
    """What to do about a framework that does not load."""
    said = said_by(check, step)
    if check.crash is not None:
        return _crashed(machine, framework, check.crash)
    if step.outcome == "unfinished":
        return Remedy(
            "try it once more with more time, as the first import after an installation reads gigabytes; if it hangs"
            " again, import it by hand and interrupt it: the last line shows where it hangs",
            (_with_more_time(machine),),
        )
    library, module = _MISSING_LIBRARY.search(said), _MISSING_MODULE.search(said)
    if library is not None:
        return _missing(machine, framework, library[1])
    if module is not None and module[1].partition(".")[0] not in {framework.name, framework.name.replace("-", "_")}:
        name = module[1].partition(".")[0]
        return Remedy(f"it needs the module {name}: install what brings it", (install(machine, name),))
    for words, cause in _IMPORTING:
        if words.search(said):
            return cause(machine, framework)
    return Remedy("install it again, with what it requires", (_again(machine, framework),))


def _with_more_time(machine: Machine) -> str:
    """The check once more, of the same Python."""
    place = machine.environment
    python = place.interpreter if place is not None and place.chosen_by == "--python" else None
    return "gpucheck doctor --deep --timeout 300" + (f" --python {shlex.quote(python)}" if python else "")


def _again(machine: Machine, framework: Framework) -> str:
    """The installed version once more, from the index that it is from."""
    build = framework.build or ""
    index = INDEX + build if framework.name == "torch" and framework.tagged and _BUILD.fullmatch(build) else None
    what = f"{framework.name}=={framework.version}" if framework.version else framework.name
    return reinstall(machine, what, index)


def _no_code(machine: Machine, framework: Framework) -> Remedy:
    if framework.name != "torch":
        return Remedy("install a build that has code for this card")
    from gpucheck.assess.torch_build import choose_build

    try:
        build = choose_build(machine)
    except UsageError:  # the recorded driver's version is none
        build = None
    if build is None or build.answer != "yes":
        return Remedy(
            "no build of PyTorch's own is known to have code for it: gpucheck torch says why", ("gpucheck torch",)
        )
    version = build.version or ""
    what = f"torch=={version}" + (".*" if version.count(".") == 1 else "") if version else "torch"
    return Remedy(
        f"install a build that has code for it, {build.index}, and torchvision and torchaudio of the same index",
        (reinstall(machine, quoted(what), build.index_url),),
    )


def _out_of_memory(machine: Machine) -> Remedy:
    tools = {"NVIDIA": "nvidia-smi", "AMD": "rocm-smi --showpids"}
    commands = dict.fromkeys(tools[gpu.vendor] for gpu in machine.usable_gpus if gpu.vendor in tools)
    return Remedy("see which processes hold the GPU's memory and end one of them", tuple(commands))


def _not_ready(machine: Machine, _framework: Framework) -> Remedy:
    return Remedy(
        "CUDA's error 802: a part of the driver is not running; on a machine with NVSwitch it is the fabric manager",
        (as_admin(machine, "systemctl restart nvidia-fabricmanager"),),
    )


def _mismatch(machine: Machine, _framework: Framework) -> Remedy:
    text = "CUDA's error 803: the libcuda that is found and the kernel module are of versions that do not go together"
    if machine.platform.container:
        return Remedy(f"{text}; keep cuda-compat and other copies of libcuda out of the image", ("ldconfig -p",))
    return Remedy(f"{text}; after an update of the driver restart the machine", (restart(machine),))


def _compat(_machine: Machine, _framework: Framework) -> Remedy:
    return Remedy(
        "CUDA's error 804: a libcuda of cuda-compat is found first, and it is for data-centre GPUs: take it off the"
        " loader's path",
        ("echo $LD_LIBRARY_PATH", "ldconfig -p | grep libcuda"),
    )


def _unknown_error(machine: Machine, _framework: Framework) -> Remedy:
    if is_windows(machine):
        return Remedy("CUDA's error 999 has no known reason: restart the machine", (restart(machine),))
    if machine.platform.container:
        return Remedy(
            "CUDA's error 999: the container lacks a device file, often /dev/nvidia-uvm, or the machine has been"
            " suspended: restart the container, then the machine",
            ("ls -l /dev/nvidia*",),
        )
    return Remedy(
        "CUDA's error 999 is common once the machine has been suspended, or where /dev/nvidia-uvm is missing: load the"
        " module anew",
        ("sudo rmmod nvidia_uvm", "sudo modprobe nvidia_uvm"),
    )


def _old_driver(_machine: Machine, _framework: Framework) -> Remedy:
    return Remedy("install a newer driver, or a build for this one", ("gpucheck torch",))


def _busy(_machine: Machine, _framework: Framework) -> Remedy:
    return Remedy(
        "another process has the GPU for itself, or its compute mode allows one process only",
        ("nvidia-smi --query-gpu=index,compute_mode --format=csv", "nvidia-smi"),
    )


def _wrong(machine: Machine, _framework: Framework) -> Remedy:
    return Remedy(
        "trust no result of this GPU: take back any overclocking, and look for memory errors in the log",
        (driver_log(machine),),
    )


def _crashed(machine: Machine, framework: Framework, crash: str) -> Remedy:
    """What to do about a process that died while importing."""
    if crash == "illegal instruction":
        lacks = machine.cpu.arch == "x86_64" and bool(machine.cpu.features) and "avx2" not in machine.cpu.features
        return Remedy(
            "the build uses instructions that this CPU "
            + ("does not have, it lacks AVX2" if lacks else "or this virtual machine does not have")
            + (": give the virtual machine its host's CPU, or" if machine.platform.virtual_machine else ":")
            + " build it from source for this CPU"
        )
    if crash == "killed":
        return Remedy("something ended it, most likely the kernel for want of memory", ("sudo dmesg | grep -i oom",))
    return Remedy("install it again, with what it requires", (_again(machine, framework),))


def _missing(machine: Machine, framework: Framework, library: str) -> Remedy:
    """What to do about a library that the loader does not find."""
    if library.startswith("libcuda.so"):
        return Remedy(
            f"{library} is a part of NVIDIA's driver: "
            + ("start the container with its GPUs" if machine.platform.container else "install the driver")
        )
    if library in _OF_THE_SYSTEM:
        debian, fedora = _OF_THE_SYSTEM[library]
        sudo = "" if machine.platform.container else "sudo "
        words = set((machine.platform.distribution or "").split())
        commands: tuple[str, ...] = ()
        if words & {"Ubuntu", "Debian"}:
            commands = (f"{sudo}apt install {debian}",)
        elif "Fedora" in words:
            commands = (f"{sudo}dnf install {fedora}",)
        return Remedy(f"{library} is one of the system's: install {debian} ({fedora} on Fedora)", commands)
    if library == "libmlx.so" and machine.platform.os == "linux":
        ways = tuple(install(machine, f"'mlx[{kind}]'") for kind in ("cuda", "cpu"))
        return Remedy("under Linux mlx has its library in a package of its own: choose one", ways)
    maker = maker_of(framework.build)
    whose = f"{maker}'s own packages" if maker is not None else "other packages"
    return Remedy(
        f"{library} is not where the loader looks; {whose} bring it: install {framework.name} again, with what it"
        " requires",
        (_again(machine, framework),),
    )


def _old_glibc(_machine: Machine, framework: Framework) -> Remedy:
    return Remedy(
        f"this system's C library is older than the build of {framework.name} needs: run it on a newer distribution or"
        " in a container of one, or install an older version"
    )


def _old_libstdcxx(machine: Machine, framework: Framework) -> Remedy:
    if machine.environment is not None and machine.environment.made_by == "conda":
        return Remedy(
            "an older libstdc++ is found before conda's: take it off LD_LIBRARY_PATH, or bring conda's own up to date",
            ("conda install -c conda-forge libstdcxx-ng",),
        )
    return Remedy("the libstdc++ that is found is too old for it", (_again(machine, framework),))


def _symbol(machine: Machine, framework: Framework) -> Remedy:
    if framework.name == "torch":
        return Remedy(
            "a library of another version than torch was built with is found first: take others off LD_LIBRARY_PATH,"
            " and install torch again, with what it requires",
            (_again(machine, framework),),
        )
    return Remedy(
        "it was compiled for another version of torch than the installed one: install the one that goes with it",
        (_again(machine, framework),),
    )


def _mkl(machine: Machine, framework: Framework) -> Remedy:
    return Remedy(
        "MKL 2024.1 has lost a symbol that conda's torch needs: install an older MKL, or torch by pip",
        ("conda install mkl=2024.0", _again(machine, framework)),
    )


def _dll(_machine: Machine, _framework: Framework) -> Remedy:
    return Remedy(
        "a DLL that torch needs is missing: install Microsoft's Visual C++ Redistributable",
        ("winget install Microsoft.VCRedist.2015+.x64",),
    )


_COMPUTING: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(words, re.IGNORECASE), cause)
    for words, cause in (
        (r"no kernel image|invalid device function|no ?binary ?for ?gpu|hipErrorNoBinaryForGpu", _no_code),
        (r"error 802\b|system not yet initialized", _not_ready),
        (r"error 803\b|unsupported display driver / cuda driver combination", _mismatch),
        (r"error 804\b|forward compatibility was attempted on non.supported", _compat),
        (r"driver on your system is too old|driver version is insufficient", _old_driver),
        (r"error 999\b|CUDA unknown error|CUDA error: unknown error", _unknown_error),
        (r"busy or unavailable", _busy),
        (r"WrongResultError", _wrong),
    )
)
_IMPORTING: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(words), cause)
    for words, cause in (
        (r"version `GLIBC_[\d.]+' not found", _old_glibc),
        (r"version `(?:GLIBCXX|CXXABI)_[\d.]+' not found", _old_libstdcxx),
        (r"undefined symbol: iJIT_NotifyEvent", _mkl),
        (r"undefined symbol", _symbol),
        (r"\[WinError 126\]|DLL load failed", _dll),
    )
)
