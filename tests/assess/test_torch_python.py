"""`gpucheck.torch_build`: the Python, the environment, and the system that a build is asked for."""

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.machine.types import Drivers, Gpu, Machine
from gpucheck.probes.facts import Cpu, Environment, Memory, NvidiaDriver, Platform

HERE = Environment(path="/home/me/env", python="3.10", chosen_by="VIRTUAL_ENV")


def box(environment=None, gpus=True, os="linux", arch="x86_64", driver="610.57.04"):
    """A real machine with an RTX 40, or without a GPU."""
    card = replace(Gpu(0, "card", "NVIDIA", "ok", "discrete"), compute_capability="8.9")
    drivers = Drivers(nvidia=NvidiaDriver(version=driver))
    platform = Platform(os=os, arch=arch)
    return Machine(
        "live", platform, Cpu(), Memory(), gpus=(card,) if gpus else (), drivers=drivers, environment=environment
    )


@pytest.mark.parametrize(
    ("python", "index", "version"),
    [
        ("3.15", "cu132", "2.15.0"),  # the only release with wheels for it
        ("3.15t", "cu132", "2.15.0"),
        ("3.14", "cu132", "2.15.0"),
        ("3.13t", "cu130", "2.12"),  # 2.12.0 was the last with wheels for it
        ("3.10", "cu132", "2.14"),
        ("3.9", "cu129", "2.8"),
        ("3.8.10", "cu121", "2.4.1"),
    ],
)
def test_the_newest_release_with_wheels_for_a_python(python, index, version):
    """Releases whose wheels are for older or newer Pythons alone are passed over."""
    build = gpucheck.torch_build(box(), python_version=python)
    assert (build.answer, build.index, build.version) == ("yes", index, version), build
    assert ".".join(python.split(".")[:2]) in build.pythons
    assert build.requires_python == f">={build.pythons[0]}"


@pytest.mark.parametrize(
    ("machine", "python", "version", "reasons"),
    [
        (box(), "3.14", "2.6",
         ("torch 2.6 has wheels for Python 3.9 to 3.13, and this is 3.14",
          "wheels for Python 3.14: torch 2.9 to 2.15", "use torch 2.15.0 from cu132")),
        (box(), "3.14t", "2.8",
         ("torch 2.8 has wheels for Python 3.9 to 3.13 and 3.13t, and this is 3.14t",
          "wheels for Python 3.14t: torch 2.9 to 2.15", "use torch 2.15.0 from cu132")),
        (box(driver="470.82.01"), "3.14", "2.6",  # nothing else would do either: no driver, no other release
         ("torch 2.6 has wheels for Python 3.9 to 3.13, and this is 3.14",
          "wheels for Python 3.14: torch 2.9 to 2.15")),
        (box(), "3.15", "2.14",
         ("torch 2.14 has wheels for Python 3.10 to 3.14 and 3.14t, and this is 3.15",
          "wheels for Python 3.15: torch 2.15", "use torch 2.15.0 from cu132")),
        (box(), "3.7", None,
         ("no known release of torch has wheels for Python 3.7 on linux on x86_64, and this is 3.7",)),
        # the build exists for this Python, but not for the driver
        (box(driver="535.86"), "3.15", None,
         ("torch 2.14 has wheels for Python 3.10 to 3.14 and 3.14t, and this is 3.15",
          "wheels for Python 3.15: torch 2.15")),
        (gpucheck.simulate("MI300X"), "3.15", None,
         ("torch 2.13 has wheels for Python 3.10 to 3.14 and 3.14t, and this is 3.15",
          "wheels for Python 3.15: torch 2.15")),
        (gpucheck.simulate("MI300X"), "3.14", "2.6",
         ("torch 2.6 has wheels for Python 3.9 to 3.13, and this is 3.14",
          "wheels for Python 3.14: torch 2.9 to 2.15", "use torch 2.13 from rocm7.2")),
    ],
)  # fmt: skip
def test_a_python_without_wheels(machine, python, version, reasons):
    """What is refused for its Python names the Pythons of the release, the releases for it, and what would do."""
    build = gpucheck.torch_build(machine, version, python)
    assert (build.answer, build.reasons) == ("no", reasons)


@pytest.mark.parametrize(
    ("cards", "system", "python", "version"),
    [
        ("Apple M3", None, "3.9", "2.8"),
        ("Apple M3", None, "3.15", None),  # the newest of all
        ("Apple M3", None, None, None),
        ("MI300X", None, "3.9", "2.8"),
        ("Arc B580", None, "3.9", None),  # of XPU's releases nothing is known
        ("RTX 4090", "macos", "3.12", "2.2"),
    ],
)
def test_other_makers(cards, system, python, version):
    """The Python chooses the release of Apple's and AMD's wheels too."""
    build = gpucheck.torch_build(gpucheck.simulate(cards), python_version=python, system=system)
    assert (build.answer, build.version) == ("yes", version)


def test_without_a_gpu():
    """The CPU build follows the Python as well."""
    build = gpucheck.torch_build(box(gpus=False), python_version="3.9")
    assert (build.index, build.version, build.pythons[-1]) == ("cpu", "2.8", "3.13t")


def test_an_intel_mac_of_a_newer_python():
    """No wheel for Intel Macs is for Python 3.13."""
    build = gpucheck.torch_build(gpucheck.simulate("RTX 4090"), python_version="3.13", system="macos")
    assert build.answer == "no"
    assert build.reasons[0].startswith("no known release of torch has wheels for Python 3.13 on darwin on x86_64")


def test_the_environments_python():
    """The Python of the chosen environment decides where none is named, and it is said; a named one outranks it."""
    build = gpucheck.torch_build(box(HERE))
    assert (build.version, build.index) == ("2.14", "cu132")
    assert build.assumptions == ("Python 3.10 is reckoned with, that of /home/me/env: --python-version names another",)
    named = gpucheck.torch_build(box(HERE), python_version="3.12")
    assert (named.version, named.assumptions) == ("2.15.0", ())


@pytest.mark.parametrize("environment", [replace(HERE, chosen_by=None), replace(HERE, python=None), None])
def test_a_python_that_nobody_chose(environment):
    """The Python that gpucheck itself runs in does not decide, and one that is not known cannot."""
    build = gpucheck.torch_build(box(environment))
    assert (build.version, build.assumptions) == ("2.15.0", ())


def test_conda():
    """In an environment of conda it is said that PyTorch's own packages for it ended, and that pip is the way."""
    conda = replace(HERE, made_by="conda", chosen_by="CONDA_PREFIX")
    reasons = gpucheck.torch_build(box(conda)).reasons
    assert "PyTorch's conda channel ends with torch 2.5 (pytorch #138506), so use pip within it" in reasons[-1]
    assert not any("conda" in reason for reason in gpucheck.torch_build(box(HERE)).reasons)
    assert not any("conda" in one for one in gpucheck.torch_build(box(conda, driver="400")).reasons)


@pytest.mark.parametrize(
    ("machine", "system", "arch", "found"),
    [
        (box(driver="535.86"), None, None, ("cu126", "535.86", "reported")),
        (box(driver="535.86"), "linux", "x86_64", ("cu126", "535.86", "reported")),  # its own
        (box(driver="535.86"), "windows", None, ("cu132", "610", "assumed")),
        (box(driver="535.86"), None, "aarch64", ("cu132", "610", "assumed")),
        (box(HERE, driver="535.86"), "macos", "aarch64", ("pypi", None, None)),
        (box(os="darwin", arch="arm64"), "linux", None, ("cu132", "610", "assumed")),
    ],
)
def test_another_machine(machine, system, arch, found):
    """Under another system the machine's own driver and Python do not count; under its own they do."""
    build = gpucheck.torch_build(machine, system=system, arch=arch)
    assert (build.index, build.driver, build.driver_basis) == found
    assert not any("/home/me/env" in one for one in build.assumptions)


@pytest.mark.parametrize(
    ("system", "arch", "answer", "reason"),
    [
        ("windows", "aarch64", "unknown", "no CUDA build for windows on arm64 is in the table of builds"),
        ("macos", "x86_64", "yes", "they use the CPU; no build of PyTorch for macOS runs on GPUs of NVIDIA"),
        ("macos", "aarch64", "yes", "no build of PyTorch for macOS runs on GPUs of NVIDIA"),
    ],
)
def test_systems_without_cuda(system, arch, answer, reason):
    """What a system has no build for is said of the card that is there."""
    build = gpucheck.torch_build(gpucheck.simulate("RTX 4090"), system=system, arch=arch)
    assert build.answer == answer
    assert reason in build.reasons[0]


def test_a_release_whose_builds_for_a_system_are_not_known():
    """Of 2.15 for Windows no build is known; that none is for older cards is, as it has CUDA 13 alone."""
    new, old = (gpucheck.torch_build(gpucheck.simulate(card), "2.15", system="windows") for card in ("T4", "V100 SXM2"))
    assert (new.answer, new.reasons) == ("unknown", ("torch 2.15 for windows on x86_64 is not in the table of builds",))
    assert old.answer == "no"
    assert "use torch 2.14 from cu126, the newest that every card here can run" in old.reasons


@pytest.mark.parametrize(
    ("cards", "index", "version", "driver"),
    [
        ("V100 SXM2 + B200", "cu128", "2.10.0", "580"),  # 2.8 to 2.10 have sm_70 and sm_100 in one build
        ("T4 + RTX 5090", "cu132", "2.15.0", "610"),
        ("K80 + T4", "cu118", "2.5", "470"),
        ("RTX 4090 + Tesla P100 PCIe 16GB", "cu126", "2.14", "580"),
        ("MI300X + MI250", "rocm7.2", "2.13", None),
        ("B300 + RTX 4090", "cu132", "2.15.0", "610"),  # 10.3 runs sm_100
    ],
)
def test_mixed_boxes(cards, index, version, driver):
    """One build serves every card, under the newest branch that drives them all."""
    build = gpucheck.torch_build(gpucheck.simulate(cards))
    assert (build.index, build.version, build.driver) == (index, version, driver), build.reasons


def test_no_driver_for_both():
    """Where no branch drives every card no driver is assumed, and what each could take alone is named."""
    build = gpucheck.torch_build(gpucheck.simulate("K80 + RTX 4090"))
    assert (build.answer, build.driver, build.assumptions) == ("no", None, ())
    assert build.reasons[1:] == (
        "compute capability 3.7 alone could take torch 2.5 (cu118): hide the other cards",
        "compute capability 8.9 alone could take torch 2.15.0 (cu132): hide the other cards",
    )


def test_two_makers():
    """Each maker's own answer stands beside the refusal."""
    reasons = gpucheck.torch_build(gpucheck.simulate("MI300X + RTX 4090")).reasons
    assert reasons[1:] == ("for AMD alone: rocm7.2", "for NVIDIA alone: cu132")


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ("Jetson AGX Orin 64GB", "NVIDIA has wheels of its own for Jetson's JetPack"),
        ("RX 6700 XT", "some run gfx1031 with HSA_OVERRIDE_GFX_VERSION=10.3.0: AMD does not support it"),
    ],
)
def test_where_else_to_look(cards, reason):
    """A card that PyTorch's own wheels do not serve is told whose do, or what others try."""
    reasons = gpucheck.torch_build(gpucheck.simulate(cards)).reasons
    assert any(one.startswith(reason) for one in reasons), reasons
