"""GC508, GC510 and GC511: cards that are well and give less than they could, by how they are set up."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.commands import as_admin, is_windows
from gpucheck.assess.findings.finding import Finding, Remedy, scheduler, smi_target
from gpucheck.machine.types import Machine


def power_cap(machine: Machine) -> Iterator[Finding]:
    """A limit below the board's default makes it slower under load. A laptop's moves by itself."""
    for gpu in machine.gpus:
        limit, usual = gpu.power_limit_w, gpu.tdp_w
        if limit is None or usual is None or gpu.sources.get("tdp_w") != "reported":
            continue  # only the driver's own default tells whether somebody lowered it
        if gpu.kind not in {"discrete", "unified"} or gpu.segment == "laptop" or limit >= usual - 1:
            continue
        yield Finding(
            code="GC508",
            severity="info",
            title=f"GPU {gpu.index} may take {limit:g} W of its usual {usual:g} W: it is slower under full load",
            found=f"a power limit of {limit:g} W",
            required=f"{usual:g} W, the board's default",
            remedy=Remedy(
                "set the default again, unless the limit is wanted",
                (as_admin(machine, f"nvidia-smi -i {smi_target(gpu)} -pl {usual:g}"),),
            ),
            source=f"gpus[{gpu.index}].power_limit_w",
        )


def persistence_off(machine: Machine) -> Iterator[Finding]:
    """Without persistence the driver starts a server's cards anew whenever a first program comes."""
    platform = machine.platform
    if platform.os != "linux" or platform.wsl or platform.container or platform.virtual_machine or scheduler(machine):
        return  # there the host or its administrator decides
    cards = [
        gpu for gpu in machine.gpus
        if gpu.persistence is False and gpu.segment == "datacenter" and gpu.state == "ok" and gpu.kind != "mig"
        and not gpu.display_active
    ]  # fmt: skip
    if not cards:
        return
    several = len(cards) > 1
    yield Finding(
        code="GC510",
        severity="info",
        title=f"Persistence mode is off on {f'{len(cards)} server cards' if several else f'GPU {cards[0].index}'}:"
        " the first program on an idle card waits for its start",
        found="persistence mode Disabled",
        required="persistence mode Enabled, on a server without a desktop",
        remedy=Remedy(
            "let NVIDIA's daemon hold the cards",
            ("sudo systemctl enable --now nvidia-persistenced", "sudo nvidia-smi -pm 1"),
        ),
        source=f"gpus[{cards[0].index}].persistence",
    )


def unlicensed(machine: Machine) -> Iterator[Finding]:
    """A vGPU without a licence is slowed down after a while."""
    for gpu in machine.gpus:
        if gpu.kind != "vgpu" or gpu.vgpu_licensed is not False:
            continue
        windows = is_windows(machine)
        service = "Restart-Service NVDisplay.ContainerLocalSystem" if windows else "sudo systemctl restart nvidia-gridd"
        yield Finding(
            code="GC511",
            severity="warning",
            title=f"GPU {gpu.index} is a vGPU without a licence: it becomes slow after a while",
            found="licence state Unlicensed",
            required="a licence from the site's licence server",
            remedy=Remedy(
                "put the client configuration token into its folder, start the licence service again and look",
                (service, "nvidia-smi -q" + (" | Select-String License" if windows else ' | grep "License"')),
            ),
            source=f"gpus[{gpu.index}].vgpu_licensed",
        )
