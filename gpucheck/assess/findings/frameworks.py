"""GC3xx: a framework's build, and the libraries under it, against the cards of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpucheck.assess.findings.finding import Finding, Remedy, named
from gpucheck.assess.findings.pip import quoted, reinstall
from gpucheck.catalog.drivers import highest_cuda, oldest_driver, version_key
from gpucheck.catalog.torch_builds import TorchBuild, builds_for, maker_of
from gpucheck.machine.software import (
    CPU,
    OVERRIDE,
    cards_for,
    compat_error,
    device_code,
    driver_too_old,
    without_code,
)
from gpucheck.machine.tried import gpus_of, proved
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.compat import LIBRARY_PATH
from gpucheck.probes.facts import CudaCompat, Framework

_SOURCE = "catalogue torch_arch"


def torch_for_cpu(machine: Machine) -> Iterator[Finding]:
    """GC301: a CPU build beside a GPU that another build could use."""
    for torch in _torch(machine):
        for maker in ("NVIDIA", "AMD") if torch.build == CPU else ():
            gpus = cards_for(machine, maker)
            offer = _offer(machine, torch, gpus)
            if offer is not None:
                yield Finding(
                    code="GC301",
                    severity="warning",
                    title=f"torch {torch.version} is a CPU build: it leaves {named(gpus)} idle",
                    found=f"torch {_version(torch)}",
                    required=f"a build for {maker}, such as {offer.build}",
                    remedy=_reinstall(machine, torch, offer),
                    source="probe frameworks",
                )


def torch_without_code(machine: Machine) -> Iterator[Finding]:
    """GC302: cards that torch sees and has no code for; one finding for each kind of card."""
    for torch in _torch(machine):
        if torch.deep is not None and gpus_of(torch.deep):
            continue  # it was tried on them: of what failed there GC310 speaks
        maker = maker_of(torch.build)
        lacking: dict[str, list[Gpu]] = {}
        for gpu in without_code(torch, cards_for(machine, maker)):
            lacking.setdefault(device_code(gpu) or "", []).append(gpu)
        override = machine.visibility.get(OVERRIDE) if maker == "AMD" else None
        for code, gpus in lacking.items():
            said = code if maker == "AMD" else f"compute capability {code}"
            offer = _offer(machine, torch, cards_for(machine, maker)) or _offer(machine, torch, gpus)
            yield Finding(
                code="GC302",
                severity="warning" if override else "error",
                title=f"torch {_version(torch)} has no code for {named(gpus)} ({said})"
                + (f", which {OVERRIDE} passes off as another" if override else ""),
                found=f"code for {' '.join(torch.arch_list)}"
                + (f"; {OVERRIDE}={override}" if override else "; torch.cuda.is_available() is true all the same"),
                required=_required(code),
                remedy=_reinstall(machine, torch, offer)
                if offer is not None
                else Remedy("none of PyTorch's own wheels that are known has code for it: build torch from source"),
                source=_SOURCE,
            )


def torch_of_another_maker(machine: Machine) -> Iterator[Finding]:
    """GC303: a build for a maker's GPUs where only another maker's are."""
    for torch in _torch(machine):
        maker = maker_of(torch.build)
        if maker is None or any(gpu.vendor == maker for gpu in machine.gpus):
            continue
        for other in {"NVIDIA", "AMD"} - {maker}:
            gpus = cards_for(machine, other)
            offer = _offer(machine, torch, gpus)
            if offer is not None:
                yield Finding(
                    code="GC303",
                    severity="warning",
                    title=f"torch {_version(torch)} is a build for {maker}: it leaves {named(gpus)} idle",
                    found=f"torch {_version(torch)}",
                    required=f"a build for {other}, such as {offer.build}",
                    remedy=_reinstall(machine, torch, offer),
                    source="probe frameworks",
                )


def clashing_bindings(machine: Machine) -> Iterator[Finding]:
    """GC304: several packages for the module pynvml. Another than NVIDIA's own hides it, or warns at each import."""
    texts = {"pynvml_clash": "hides", "pynvml_deprecated": "is deprecated beside"}
    for issue in machine.issues:
        if issue.code in texts and any(gpu.vendor == "NVIDIA" for gpu in machine.gpus):
            yield Finding(
                code="GC304",
                severity="warning" if issue.code == "pynvml_clash" else "info",
                title=f"Another package {texts[issue.code]} NVIDIA's nvidia-ml-py, whose module is called pynvml too",
                found=issue.detail,
                required="nvidia-ml-py alone",
                remedy=Remedy(
                    "remove the others, then install NVIDIA's again, as they may have overwritten its file",
                    ("pip uninstall -y pynvml nvidia-ml-py3", "pip install --force-reinstall nvidia-ml-py"),
                ),
                source="probe frameworks",
            )


def old_driver(machine: Machine) -> Iterator[Finding]:
    """GC305: a driver older than the CUDA of torch's build runs on."""
    for torch in _torch(machine):
        if proved(torch):
            continue
        gpus = cards_for(machine, "NVIDIA")
        oldest = driver_too_old(torch, machine) if gpus and maker_of(torch.build) == "NVIDIA" else None
        if oldest is None:
            continue
        driver = machine.drivers.nvidia
        version = (driver.version if driver else None) or "of unknown version"
        offer = _offer(machine, torch, gpus)
        cuda = highest_cuda(version)
        yield Finding(
            code="GC305",
            severity="error",
            title=f"torch {_version(torch)} needs a newer NVIDIA driver",
            found=f"driver {version}" + (f", CUDA up to {cuda}" if cuda else ""),
            required=f"driver {oldest} or newer",
            remedy=Remedy(
                f"install a driver of branch {oldest.partition('.')[0]} or newer"
                + (f", or a build for this one: {offer.build}" if offer is not None else ""),
                _commands(machine, torch, offer) if offer is not None else (),
            ),
            source="drivers.nvidia.version",
        )


def compat_library(machine: Machine) -> Iterator[Finding]:
    """GC306: a libcuda of cuda-compat that is found before the driver's own and does not go with it."""
    error, compat, driver = compat_error(machine), machine.toolkits.cuda_compat, machine.drivers.nvidia
    if error is None or compat is None or driver is None or any(map(proved, _torch(machine))):
        return
    gpus = cards_for(machine, "NVIDIA")
    sure = compat.found_by is not None
    required = (
        f"no cuda-compat older than the kernel module, {driver.version}"
        if error == 803
        else f"libcuda {driver.version}, the driver's own: cuda-compat is for data-centre GPUs"
    )
    where = f" ({compat.found_by})" if sure else ", which the container's runtime may put first"
    yield Finding(
        code="GC306",
        severity="error" if sure else "warning",
        title=f"CUDA {'fails' if sure else 'may fail'} with error {error}: cuda-compat's libcuda {compat.version}"
        f" stands before that of driver {driver.version}",
        found=f"libcuda {compat.version} in {compat.folder}{where}; kernel module {driver.version}; {named(gpus)}",
        required=required,
        remedy=_without_compat(machine, error, compat),
        source="toolkits.cuda_compat",
    )


def _without_compat(machine: Machine, error: int, compat: CudaCompat) -> Remedy:
    """How to take the folder off the loader's way, by what put it there."""
    other = "a driver of its version or newer" if error == 804 else "one of the driver's version or newer"
    text = f"take cuda-compat off the loader's path, or install {other}"
    sudo = "" if machine.platform.container else "sudo "
    if compat.found_by == LIBRARY_PATH:
        kept = f"tr ':' '\\n' | grep -vx '{compat.folder}/*' | paste -sd:"
        return Remedy(text, (f'export LD_LIBRARY_PATH=$(echo "$LD_LIBRARY_PATH" | {kept})',))
    if compat.found_by is not None:
        return Remedy(text, (f"{sudo}sed -i '\\#^{compat.folder}/*$#d' {compat.found_by}", f"{sudo}ldconfig"))
    return Remedy(f"{text}; in an image, remove its folder", (f"rm -r {compat.folder}", "ldconfig"))


def _torch(machine: Machine) -> Iterator[Framework]:
    """Those whose build can matter: of one that is broken GC308 speaks."""
    return (one for one in machine.frameworks if one.name == "torch" and one.broken is None)


def _version(torch: Framework) -> str:
    return f"{torch.version}+{torch.build}" if torch.build else str(torch.version)


def _required(code: str) -> str:
    """The code that the card runs, in the words of a build's list."""
    if code.startswith("gfx"):
        return f"code for {code}"
    major, _, minor = code.partition(".")
    least = f"sm_{major}0" if minor != "0" else ""
    return f"code for sm_{major}{minor}" + (f", or another of its generation from {least} on" if least else "")


def _offer(machine: Machine, torch: Framework, gpus: Sequence[Gpu]) -> TorchBuild | None:
    """A known build with code for all of these cards that the driver can run: of this version, else the newest."""
    codes = [code for gpu in gpus if (code := device_code(gpu)) is not None]
    if not gpus or len(codes) < len(gpus):
        return None
    platform = machine.platform
    rows = [row for row in builds_for(codes, platform.os, platform.arch) if _driven(machine, row)]
    return next((row for row in rows if row.covers(torch.version or "")), rows[0] if rows else None)


def _driven(machine: Machine, row: TorchBuild) -> bool:
    """Whether the driver is new enough for a row; a version that nobody knows is."""
    windows = machine.platform.os == "windows" or machine.platform.wsl
    oldest = version_key(oldest_driver(row.build, windows=windows))
    driver = version_key(machine.drivers.nvidia.version if machine.drivers.nvidia else None)
    return oldest is None or driver is None or driver >= oldest


def _reinstall(machine: Machine, torch: Framework, offer: TorchBuild) -> Remedy:
    return Remedy(
        f"install a build that has code for it, {offer.build}, and torchvision and torchaudio of the same index",
        _commands(machine, torch, offer),
    )


def _commands(machine: Machine, torch: Framework, offer: TorchBuild) -> tuple[str, ...]:
    """The command for the environment: this version where that index has it, else the newest that is known there."""
    exact = offer.covers(torch.version or "") and offer.first
    what = f"torch=={torch.version}" if exact else offer.requirement
    return (reinstall(machine, quoted(what), offer.index),)
