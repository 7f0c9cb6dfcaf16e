"""Whether transformers reaches a GPU: by the torch that is installed, or by the wheels that PyTorch offers."""

from __future__ import annotations

from gpucheck.assess.supported import Site
from gpucheck.catalog.drivers import oldest_driver, version_key
from gpucheck.catalog.support import Answer, Device
from gpucheck.catalog.torch_builds import TorchBuild, all_builds, maker_of, release_key, runs_on
from gpucheck.machine.software import CPU, OVERRIDE
from gpucheck.probes.facts import Framework

OLDEST_TORCH = (2, 6)  # transformers 5.24.0, dependency_versions_table.py
_MAKERS = {"nvidia": "NVIDIA", "amd": "AMD"}
_HINT = "gpucheck torch names a build for this machine"


def torch_support(site: Site, device: Device) -> tuple[Answer, str]:
    """The answer for a GPU of NVIDIA or AMD. An installed torch decides what can be told of it, else PyTorch's wheels.

    A CPU build, one of another maker or one for a newer driver computes on the CPU alone: partial. One that sees the
    GPU and has no code for it fails: no.
    """
    installed = _installed(site.torch, device) if site.torch is not None else None
    if installed is not None:
        return installed
    code = next(iter(device.codes), None)
    if code is None:
        return "unknown", "what code the GPU runs is not known"
    if device.kind == "amd" and OVERRIDE in site.variables:
        return "unknown", f"{OVERRIDE} decides whose code runs"
    return _by_wheels(site, device, code)


def _installed(torch: Framework, device: Device) -> tuple[Answer, str] | None:
    named = f"torch {torch.version or ''}{f'+{torch.build}' if torch.build else ''}".strip()
    if torch.broken:
        return "no", f"the {named} that is installed cannot be imported: {torch.broken}"
    maker = maker_of(torch.build)
    code = next(iter(device.codes), None)
    if maker == _MAKERS[device.kind] and torch.arch_list and code is not None and not runs_on(torch.arch_list, code):
        return "no", f"the {named} that is installed has no code for {code}; {_HINT}"
    if torch.usable:
        return "yes", ""
    if torch.usable is None and torch.build != CPU:
        return None
    why = torch.reason or "it is built without CUDA and ROCm"
    return "partial", f"the {named} that is installed leaves the GPU idle: {why}; {_HINT}"


def _by_wheels(site: Site, device: Device, code: str) -> tuple[Answer, str]:
    rows = [
        row for row in all_builds()
        if (row.os, row.arch) == (site.os, site.arch) and maker_of(row.build) == _MAKERS[device.kind]
    ]  # fmt: skip
    if not rows or device.capability in {(5, 3), (6, 2), (7, 2), (8, 7)}:  # Jetsons have wheels of NVIDIA's own
        return "unknown", "no wheel of PyTorch for this system and this kind of GPU is in the table of builds"
    coded = [row for row in rows if runs_on(row.targets, code)]
    if not coded:
        return "no", f"none of PyTorch's own wheels that are known has code for {code}"
    recent = [row for row in coded if not row.last or release_key(row.last)[:2] >= OLDEST_TORCH]
    if not recent:
        newest, needed = max((row.last for row in coded), key=release_key), ".".join(map(str, OLDEST_TORCH))
        return "no", f"transformers needs torch {needed}; the last of PyTorch's wheels for {code} are of {newest}"
    if site.driver is not None and not any(_driven(site, row) for row in recent):
        needs = {version_key(text): text for row in recent if (text := _oldest(site, row))}
        return "no", f"PyTorch's wheels with code for {code} need driver {needs[min(needs, key=lambda key: key or ())]}"
    return "yes", ""


def _driven(site: Site, row: TorchBuild) -> bool:
    """Whether the driver is new enough for a build; one whose need is not known counts as driven."""
    needed = version_key(_oldest(site, row))
    return needed is None or site.driver is None or site.driver >= needed


def _oldest(site: Site, row: TorchBuild) -> str | None:
    return oldest_driver(row.build, windows=site.windows_driver)
