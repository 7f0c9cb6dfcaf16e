"""Every capability of the catalogue × driver × system × release, held against a plain reading of the two tables."""

import itertools

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.catalog.cards import all_cards
from gpucheck.catalog.drivers import first_cuda, highest_cuda, last_branch, oldest_driver
from gpucheck.catalog.torch_builds import all_builds
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import Cpu, Memory, Platform

CAPABILITIES = sorted({card.compute_capability for card in all_cards() if card.compute_capability is not None})
TARGETS = sorted({card.gfx_target for card in all_cards() if card.gfx_target is not None})
DRIVERS = ("450", "470", "522", "535", "550", "570", "580", "595", "610")
SYSTEMS = (("linux", "x86_64"), ("windows", "x86_64"), ("linux", "aarch64"))
RELEASES = (None, "2.4.1", "2.5.1", "2.7.1", "2.8.0", "2.9.1", "2.11.0", "2.12.1", "2.14.1", "2.15.0")
TEGRA = {"5.3", "6.2", "7.2", "8.7"}


def machine_with(system, **code):
    """A machine with one card."""
    vendor = "AMD" if "gfx_target" in code else "NVIDIA"
    gpu = replace(Gpu(0, "card", vendor, "ok", "discrete"), **code)
    return Machine("live", Platform(os=system[0], arch=system[1]), Cpu(), Memory(), gpus=(gpu,))


def has_cubin(row, capability):
    """Whether a build has machine code of the card's generation that is not newer than the card."""
    if capability in TEGRA:
        return f"sm_{capability.replace('.', '')}" in row.targets
    codes = [f"{target[3:-1]}.{target[-1]}" for target in row.targets if target.startswith("sm_")]
    return any(
        code not in TEGRA and code.split(".")[0] == capability.split(".")[0] and float(code) <= float(capability)
        for code in codes
    )


def is_driven(capability, driver):
    """Whether the branch drives the card at all."""
    last, first = last_branch(capability), first_cuda(capability)
    cuda = highest_cuda(driver)
    return (last is None or int(driver) <= last) and (first is None or float(cuda) >= float(first))


def serving(capability, driver, system, release):
    """The rows that serve, PTX apart: a build of this release with the card's code for which the driver is enough."""
    windows = system[0] == "windows"
    return [
        row for row in all_builds()
        if row.build.startswith("cu") and (row.os, row.arch) == system and has_cubin(row, capability)
        and (release is None or row.covers(release))
        and float(driver) >= float(".".join(oldest_driver(row.build, windows=windows).split(".")[:2]))
    ]  # fmt: skip


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_every_nvidia_cell(driver, system):
    """A build is named where the tables have one, is among theirs, and is of the newest release that they allow."""
    for capability, release in itertools.product(CAPABILITIES, RELEASES):
        build = gpucheck.torch_build(machine_with(system, compute_capability=capability), release, driver=driver)
        rows = serving(capability, driver, system, release) if is_driven(capability, driver) else []
        cell = (capability, driver, system, release, build)
        assert build.reasons, cell
        assert (build.answer == "yes") is bool(rows), cell
        if rows:
            assert build.index in {row.build for row in rows}, cell
            newest = max(tuple(map(int, row.last.split(".")[:2])) for row in rows)
            assert release is not None or tuple(map(int, build.version.split(".")[:2])) == newest, cell
            assert release in {None, build.version}, cell


@pytest.mark.parametrize("target", TARGETS)
def test_every_amd_target(target):
    """A ROCm build is named where one has the target, the newest of those, and none is where none has it."""
    build = gpucheck.torch_build(machine_with(SYSTEMS[0], gfx_target=target))
    rows = [row.build for row in all_builds() if target in row.targets]
    newest = max(rows, key=lambda name: tuple(map(int, name[4:].split("."))), default=None)
    assert (build.answer, build.index) == (("yes", newest) if rows else ("no", None))


@pytest.mark.parametrize("card", [card.name for card in all_cards()])
def test_every_card_of_the_catalogue_has_an_answer(card):
    """Each card that can be simulated gets a build with its commands, or reasons."""
    build = gpucheck.torch_build(gpucheck.simulate(card))
    assert build.reasons
    assert (build.answer == "yes") == (build.index is not None) == (build.pip is not None) == (build.uv is not None)
