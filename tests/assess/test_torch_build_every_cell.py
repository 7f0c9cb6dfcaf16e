"""Every GPU of the catalogue × driver branch × system × release, held against a plain reading of the sources."""

import itertools
from functools import cache

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.catalog.cards import all_cards
from gpucheck.catalog.drivers import all_branches, highest_cuda
from gpucheck.catalog.torch_builds import all_builds
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import Cpu, Memory, Platform

CUDA_SYSTEMS = (("linux", "x86_64"), ("windows", "x86_64"), ("linux", "aarch64"))
OTHER_SYSTEMS = (("windows", "arm64"), ("darwin", "arm64"), ("darwin", "x86_64"))
NAMES = {"darwin": "macos", "arm64": "aarch64"}  # as the options spell them
SERIES = tuple(f"2.{minor}" for minor in range(16))
RELEASES = (None, *SERIES, "2.7.1", "2.12.1", "2.14.1", "2.15.0", "2.16")

# NVIDIA's CUDA release notes and compatibility guide, as uv has them (26a9dd4b21): Linux, Windows
OLDEST_DRIVER = {"cu118": (450.80, 452.39), "cu12": (525.60, 528.33), "cu13": (580.0, 580.0)}
# R470 is the last for Kepler, R580 for Maxwell, Pascal and Volta (nixos-hardware #1880): the first without them
DROPPED_FROM = {"3": 495, "5": 590, "6": 590, "7.0": 590}
# The CUDA of each generation (NVIDIA's CUDA release notes, from memory)
CAME_WITH = {"7.5": 10.0, "8.0": 11.0, "8.6": 11.1, "8.7": 11.4, "8.9": 11.8, "9.0": 11.8, "10.0": 12.8, "12.0": 12.8,
             "10.3": 12.9, "12.1": 12.9, "11.0": 13.0}  # fmt: skip
TEGRA = {"5.3", "6.2", "7.2", "8.7"}  # which share no cubin with cards
EXPERIMENTAL = {("2.4", "cu124"), ("2.9", "cu130"), ("2.10", "cu130"), ("2.12", "cu132"), ("2.13", "cu132")}
# PyTorch's RELEASE.md and page of releases
ROCM_OF = {"2.13": {"rocm7.2", "rocm7.1"}, "2.12": {"rocm7.2"}, "2.11": {"rocm7.2", "rocm7.1"}, "2.10": {"rocm7.1"},
           "2.9": {"rocm6.4", "rocm6.3"}, "2.8": {"rocm6.4", "rocm6.3"}, "2.7": {"rocm6.3"},
           "2.6": {"rocm6.2.4"}}  # fmt: skip


def machine_with(system, vendor="NVIDIA", kind="discrete", **code):
    """A machine with one GPU and nothing known of its driver."""
    gpu = replace(Gpu(0, "card", vendor, "ok", kind), **code)
    platform = Platform(os=system[0], arch=system[1])
    return Machine("simulated", platform, Cpu(), Memory(), gpus=(gpu,))


def code_of(gpu):
    """What of a GPU decides: its maker, kind and the code that it runs."""
    return (gpu.vendor, gpu.kind, gpu.compute_capability, gpu.gfx_target, gpu.architecture)


@cache
def cells():
    """The distinct codes of the catalogue's GPUs."""
    return frozenset(code_of(gpucheck.simulate(card.name).gpus[0]) for card in all_cards())


def capabilities():
    """The compute capabilities among them."""
    return sorted({code[2] for code in cells() if code[2] is not None}, key=float)


def cell_machine(code, system):
    """A machine with a GPU of one of them."""
    vendor, kind, capability, target, architecture = code
    return machine_with(
        system, vendor, kind, compute_capability=capability, gfx_target=target, architecture=architecture
    )


@cache
def has_cubin(targets, capability):
    """Whether a build has machine code of the card's generation that is not newer than the card."""
    if capability in TEGRA:
        return f"sm_{capability.replace('.', '')}" in targets
    codes = [f"{target[3:-1]}.{target[-1]}" for target in targets if target.startswith("sm_")]
    return any(
        code not in TEGRA and code.split(".")[0] == capability.split(".")[0] and float(code) <= float(capability)
        for code in codes
    )


def is_driven(capability, branch):
    """Whether the branch drives the card at all."""
    dropped = DROPPED_FROM.get(capability, DROPPED_FROM.get(capability.split(".")[0], 9999))
    return branch < dropped and float(highest_cuda(str(branch))) >= CAME_WITH.get(capability, 0)


def oldest_driver(build, system):
    """The oldest driver of a build."""
    return (OLDEST_DRIVER.get(build) or OLDEST_DRIVER[build[:4]])[system[0] == "windows"]


@cache
def offers(capability, system, release):
    """What is to be had with the card's code, as (series, build) with the releases that rows name exactly."""
    return [
        (tuple(map(int, one.split("."))), row.build)
        for row in all_builds()
        if row.build.startswith("cu") and (row.os, row.arch) == system and has_cubin(row.targets, capability)
        for one in SERIES
        if row.covers(one) or row.first.startswith(f"{one}.")
        if release is None or release == one or (release.startswith(f"{one}.") and row.covers(release))
    ]


def wanted(capability, branch, system, release):
    """The series and build to name: of the newest release, a stable one of the driver's own CUDA, the newest of them.

    Beyond the driver's own CUDA the nearest. None where there is none.
    """
    if not is_driven(capability, branch):
        return None
    own = round(10 * float(highest_cuda(str(branch))))
    driven = [one for one in offers(capability, system, release) if branch >= oldest_driver(one[1], system)]
    newest = max((series for series, _ in driven), default=None)
    rank = {}
    for series, build in driven:
        cuda, unstable = int(build[2:]), (".".join(map(str, series)), build) in EXPERIMENTAL
        if series == newest:
            rank[build] = (cuda > own, unstable, cuda if cuda > own else -cuda)
    return (newest, min(rank, key=rank.get)) if rank else None


@pytest.mark.parametrize("system", CUDA_SYSTEMS, ids="-".join)
@pytest.mark.parametrize("branch", all_branches())
def test_every_nvidia_cell(branch, system):
    """The build that the sources have is named, and of the release that they have it in; else there is a reason."""
    for capability, release in itertools.product(capabilities(), RELEASES):
        machine = machine_with(system, compute_capability=capability)
        build = gpucheck.torch_build(machine, release, driver=str(branch))
        expected = wanted(capability, branch, system, release)
        cell = (capability, branch, system, release, expected, build)
        assert build.reasons, cell
        assert (build.answer == "yes") is (expected is not None), cell
        if expected is not None:
            assert (tuple(map(int, build.version.split(".")[:2])), build.index) == expected, cell
            assert release is None or build.version.startswith(release), cell


@pytest.mark.parametrize("release", [None, *SERIES, "2.13.0"])
def test_every_amd_cell(release):
    """A ROCm build of the release is named where one has the target, the newest of those; else none is."""
    for target in sorted({code[3] for code in cells() if code[3] is not None}):
        having = {row.build for row in all_builds() if target in row.targets}
        series = ".".join(release.split(".")[:2]) if release else None
        known = {release: ROCM_OF.get(series, set())} if release else ROCM_OF
        found = [
            (tuple(map(int, one.split("."))), [int(part) for part in name[4:].split(".")], name)
            for one, builds in known.items() for name in builds & having
        ]  # fmt: skip
        build = gpucheck.torch_build(machine_with(CUDA_SYSTEMS[0], "AMD", gfx_target=target), release)
        assert build.index == max(found, default=(None, None, None))[2], (target, release, build)
        unknown = release is not None and series not in ROCM_OF
        assert build.answer == ("yes" if found else "unknown" if unknown else "no"), (target, release, build)
        on_windows = gpucheck.torch_build(machine_with(CUDA_SYSTEMS[1], "AMD", gfx_target=target), release)
        assert on_windows.answer == "no"


@pytest.mark.parametrize("system", [*CUDA_SYSTEMS, *OTHER_SYSTEMS], ids="-".join)
def test_every_card_of_the_catalogue_is_one_of_the_cells(system):
    """Each card, under each system, is answered as the cell that has its code: no name decides."""
    options = {"system": NAMES.get(system[0], system[0]), "arch": NAMES.get(system[1], system[1])}
    answers = {code: gpucheck.torch_build(cell_machine(code, system)) for code in cells()}
    for card in all_cards():
        machine = gpucheck.simulate(card.name)
        assert machine.gpus[0].catalogue_id == card.id
        build = gpucheck.torch_build(machine, **options)
        called = machine.gpus[0].name
        expected = answers[code_of(machine.gpus[0])]
        reasons = tuple(reason.replace(called, "card") for reason in build.reasons)
        assert replace(build, reasons=reasons) == expected, (card.id, build)
        assert build.reasons
        assert (build.answer == "yes") == (build.index is not None) == (build.pip is not None) == (build.uv is not None)


@pytest.mark.parametrize(
    ("system", "vendor", "answer"),
    [
        (OTHER_SYSTEMS[0], "NVIDIA", "unknown"),
        (OTHER_SYSTEMS[0], "AMD", "no"),
        (OTHER_SYSTEMS[0], "Apple", "no"),
        (OTHER_SYSTEMS[1], "NVIDIA", "yes"),
        (OTHER_SYSTEMS[1], "Apple", "yes"),
        (OTHER_SYSTEMS[2], "NVIDIA", "yes"),
        (OTHER_SYSTEMS[2], "AMD", "yes"),
        (CUDA_SYSTEMS[0], "Apple", "no"),
    ],
)
def test_systems_without_cuda_and_rocm(system, vendor, answer):
    """On Macs there is PyPI's wheel; Windows on ARM has no known CUDA build; Metal is macOS's alone."""
    for code in cells():
        if code[0] == vendor:
            build = gpucheck.torch_build(cell_machine(code, system))
            assert (build.answer, build.index) == (answer, "pypi" if answer == "yes" else None)
