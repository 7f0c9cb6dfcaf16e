"""What an installed torch can do with the cards of a machine."""

import pytest
from msgspec.structs import replace

from gpucheck.machine.software import compat_error, driver_too_old, with_torch
from gpucheck.machine.types import Drivers, Gpu, Machine
from gpucheck.probes.facts import Cpu, CudaCompat, Framework, Memory, NvidiaDriver, Platform, ProbeIssue, Toolkits
from tests.running import machine as recorded


def card(index=0, capability="8.9", **facts):
    """An NVIDIA card that works."""
    return replace(Gpu(index, "card", "NVIDIA", "ok", "discrete", compute_capability=capability), **facts)


def machine(*gpus, version="2.9.1", build="cu128", tagged=True, driver="580.95.05", compat=None, **facts):
    """A Linux machine with these cards and one torch."""
    return Machine(
        "live", replace(Platform(os="linux", arch="x86_64"), **facts.pop("platform", {})), Cpu(), Memory(), gpus=gpus,
        frameworks=(Framework("torch", version, build, tagged=tagged, reason="not tried"),),
        drivers=Drivers(nvidia=NvidiaDriver(version=driver)), toolkits=Toolkits(cuda_compat=compat), **facts,
    )  # fmt: skip


def judged(*gpus, **facts):
    """(usable, reason) of torch there."""
    (torch,) = with_torch(machine(*gpus, **facts)).frameworks
    return torch.usable, torch.reason


@pytest.mark.parametrize(
    ("gpus", "facts", "usable", "word"),
    [
        ([card()], {}, True, "8.9; not tried"),
        ([card(capability="6.0")], {}, False, "no code for 6.0"),
        ([card(), card(1, "6.0")], {}, True, "none for gpus 1"),
        ([card(capability="6.0"), card(1, "6.0", visible=False)], {}, False, "no code for 6.0"),
        ([card(capability=None)], {}, None, "what code the GPU runs"),
        ([card()], {"version": "2.9.2a0"}, None, "is not known"),
        ([card()], {"tagged": False}, None, "is not known"),
        ([card()], {"build": "cpu"}, False, "without CUDA"),
        ([card(state="no_driver")], {"build": "cpu"}, None, "not tried"),
        ([], {"build": "cpu"}, None, "not tried"),
        ([card()], {"build": "xpu"}, None, "not tried"),
        ([card(visible=False)], {}, False, "no GPU is usable"),
        ([card()], {"build": "rocm6.4"}, False, "built for AMD"),
        ([card()], {"driver": "470.82.01"}, False, "needs driver 525.60.13"),
        ([card()], {"compat": CudaCompat("575.57.08", "/c/compat", "LD_LIBRARY_PATH")}, False, "error 803"),
    ],
)  # fmt: skip
def test_verdicts(gpus, facts, usable, word):
    """Usable when one card may be computed on, not when none, unknown where build or card are not known."""
    found, reason = judged(*gpus, **facts)
    assert found is usable
    assert word in reason


def test_other_frameworks_stay():
    """Only torch is judged: of others the table has no builds."""
    jax = Framework("jax", "0.4.30", reason="not tried")
    here = replace(machine(card()), frameworks=(jax,))
    assert with_torch(here).frameworks == (jax,)


def test_one_build_on_two_systems():
    """The same version and build runs on a Pascal card under Windows, and not under Linux."""
    found = [recorded(f"torch-{system}-pascal").frameworks[0] for system in ("windows", "linux")]
    assert [(one.version, one.build) for one in found] == [("2.7.1", "cu128")] * 2
    assert [one.usable for one in found] == [True, False]
    assert [target in one.arch_list for one in found for target in ("sm_61",)] == [True, False]


@pytest.mark.parametrize(
    ("version", "found_by", "segment", "container", "error"),
    [
        ("575.57.08", "LD_LIBRARY_PATH", "datacenter", None, 803),
        ("575.57.08", "LD_LIBRARY_PATH", "consumer", None, 803),
        ("575.57.08", None, "consumer", "docker", None),
        ("580.95.05", "LD_LIBRARY_PATH", "consumer", None, None),
        ("590.48.01", "LD_LIBRARY_PATH", "datacenter", None, None),
        ("590.48.01", "LD_LIBRARY_PATH", "workstation", None, None),
        ("590.48.01", "LD_LIBRARY_PATH", "consumer", None, 804),
        ("590.48.01", "LD_LIBRARY_PATH", "laptop", None, 804),
        ("590.48.01", None, "consumer", "docker", 804),
        ("590.48.01", None, "consumer", None, None),
    ],
)
def test_compat_error(version, found_by, segment, container, error):
    """Older than the kernel module fails everywhere, newer on a GeForce; a copy nobody looks at harms nobody."""
    compat = CudaCompat(version, "/usr/local/cuda/compat", found_by)
    here = machine(card(segment=segment), compat=compat, platform={"container": container})
    assert compat_error(here) == error


def test_compat_error_of_a_card_that_is_not_catalogued():
    """The name tells a GeForce where the catalogue does not know the card."""
    compat = CudaCompat("590.48.01", "/usr/local/cuda/compat", "LD_LIBRARY_PATH")
    assert compat_error(machine(card(name="NVIDIA GeForce RTX 9999"), compat=compat)) == 804
    assert compat_error(machine(card(name="NVIDIA X9999"), compat=compat)) is None


@pytest.mark.parametrize(
    ("driver", "facts", "oldest"),
    [
        ("550.54.15", {}, "580"),
        ("580.65.06", {}, None),
        ("unknown", {}, None),
        (None, {}, None),
        ("550.54.15", {"build": "rocm6.4"}, None),
        ("550.54.15", {"compat": CudaCompat("580.65.06", "/c/compat", "LD_LIBRARY_PATH")}, None),
        ("550.54.15", {"compat": CudaCompat("580.65.06", "/c/compat")}, "580"),
    ],
)
def test_old_drivers(driver, facts, oldest):
    """A build needs the oldest driver of its CUDA; cuda-compat on a card of data centres stands in for a newer."""
    here = machine(card(segment="datacenter"), driver=driver, version="2.11.0", **{"build": "cu130", **facts})
    assert driver_too_old(here.frameworks[0], here) == oldest


@pytest.mark.parametrize(("platform", "oldest"), [({"os": "windows"}, "528.33"), ({"wsl": True}, "528.33"), ({}, None)])
def test_old_drivers_of_windows(platform, oldest):
    """Windows' drivers have numbers of their own, under WSL2 too."""
    here = machine(card(), driver="526.98", platform=platform)
    assert driver_too_old(here.frameworks[0], here) == oldest


def test_an_unknown_libcuda_leaves_what_it_decides():
    """Whether another libcuda stands before the driver's own: a build without code for the card fails by any."""
    unknown = {"issues": (ProbeIssue("unknown", "toolkits.cuda_compat", "cannot be read"),)}
    assert judged(card(), **unknown) == (None, "which libcuda CUDA loads is not known")
    assert judged(card(), driver="470.57.02", **unknown)[0] is None
    usable, reason = judged(card(capability="5.2"), **unknown)
    assert usable is False
    assert "no code" in reason
