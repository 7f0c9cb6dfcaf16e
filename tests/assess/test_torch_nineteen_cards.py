"""Nineteen well-known cards under Linux and Windows, with no driver named, old ones and the newest, written by hand.

Each expectation was worked out from the sources beside it, not read off the program.
"""

import pytest

import gpucheck

# CUDA 11.4, 12.2 and 13.3 (NVIDIA's toolkit bundles; public nvidia-smi outputs of 610), for Linux and Windows
DRIVERS = {"R470": ("470.82.01", "472.50"), "R535": ("535.104.05", "537.13"), "R610": ("610.57.04", "610.57")}

# PyTorch's 2.15.0 of the default index is of CUDA 13.2, from sm_75 on: the wheel itself. Of 2.15 for Windows and for
# aarch64 no build is known; 2.14 has CUDA 12.6, 13.0 and 13.2 for both (pytorch #194367).
NEWEST_LINUX, NEWEST_WINDOWS, NEWEST_ARM = ("cu132", "2.15.0"), ("cu132", "2.14"), ("cu132", "2.14")
# CUDA 13 needs driver 580, CUDA 12 525.60.13 or 528.33 (uv 26a9dd4b21). The last builds of CUDA 12 are those of
# 2.14 (pytorch/test-infra #8739), with sm_50 to sm_90 (pytorch #182849): an R535 driver gets these.
CUDA12 = ("cu126", "2.14")
# CUDA 11.8 needs 450.80.02 or 452.39: an R470 driver gets it. Its last builds of which the code is known are those
# of 2.5, with sm_37 to sm_90 (pytorch/builder release/2.5, manywheel/build_cuda.sh and windows/cuda118.bat).
CUDA11 = ("cu118", "2.5")
NO, UNKNOWN = ("no", None), ("unknown", None)
# Ada and Hopper came with CUDA 11.8 (NVIDIA's CUDA 11.8 release notes, from memory), so no R470 driver knows them
AFTER_470 = {"R470": (NO, NO), "R535": (CUDA12, CUDA12), "R610": (NEWEST_LINUX, NEWEST_WINDOWS)}
# Turing and Ampere came with CUDA 10.0, 11.0 and 11.1
BEFORE_470 = {**AFTER_470, "R470": (CUDA11, CUDA11)}
# R580 is the last branch for Maxwell, Pascal and Volta (nixos-hardware #1880), and CUDA 13 has no code for them
BEFORE_TURING = {"R470": (CUDA11, CUDA11), "R535": (CUDA12, CUDA12), "R610": (NO, NO), None: (CUDA12, CUDA12)}
# R470 is the last branch for Kepler; sm_37 is in the builds of CUDA 11.8 alone
KEPLER = {"R470": (CUDA11, CUDA11), "R535": (NO, NO), "R610": (NO, NO), None: (CUDA11, CUDA11)}
# Grace has Arm cores: Linux's aarch64 builds, which have sm_90; for Windows on ARM there is no known build of CUDA
GRACE = {"R470": (NO, NO), "R535": (CUDA12, UNKNOWN), "R610": (NEWEST_ARM, UNKNOWN)}
# ROCm 7.2 has gfx90a and gfx942 (uv's table of get_arch_list()), torch 2.13 is the last with it (pytorch #187075,
# #194367); NVIDIA's driver is none of its business; PyTorch's own ROCm builds are for Linux alone
ROCM = dict.fromkeys((*DRIVERS, None), (("rocm7.2", "2.13"), NO))

CARDS = {
    "A100 SXM4 80GB": BEFORE_470,
    "H100 SXM5 80GB": AFTER_470,
    "H200 SXM": AFTER_470,
    "GH200 96GB": GRACE,
    "MI250": ROCM,
    "MI300X": ROCM,
    "A40": BEFORE_470,
    "A30": BEFORE_470,
    "RTX A6000": BEFORE_470,
    "V100 SXM2": BEFORE_TURING,
    "L4": AFTER_470,
    "T4": BEFORE_470,
    "K80": KEPLER,
    "M60": BEFORE_TURING,
    "Tesla P100 PCIe 16GB": BEFORE_TURING,
    "RTX A4000": BEFORE_470,
    "RTX 3070": BEFORE_470,
    "RTX 4090": AFTER_470,
    "RTX 4000 Ada": AFTER_470,
}


def cells():
    """Each card with each driver and system, and what is to be found."""
    for card, by_driver in CARDS.items():
        for driver in (None, *DRIVERS):
            found = by_driver.get(driver, by_driver["R610"])  # none named: the newest branch drives the card
            for at, system in enumerate(("linux", "windows")):
                yield card, driver, system, found[at]


@pytest.mark.parametrize(("card", "driver", "system", "expected"), list(cells()))
def test_the_build_or_that_there_is_none(card, driver, system, expected):
    """The index and the release that the sources give, or "no", or "unknown"."""
    named = DRIVERS[driver][system == "windows"] if driver else None
    build = gpucheck.torch_build(gpucheck.simulate(card), driver=named, system=system)
    found = (build.index, build.version) if build.answer == "yes" else (build.answer, None)
    assert found == expected, build.reasons


@pytest.mark.parametrize(
    ("card", "driver", "system", "reason"),
    [
        ("RTX 4090", "470.82.01", "linux", "does not know compute capability 8.9: it came with CUDA 11.8"),
        ("H100 SXM5 80GB", "472.50", "windows", "does not know compute capability 9.0: it came with CUDA 11.8"),
        ("K80", "535.104.05", "linux", "does not drive compute capability 3.7: branch 470 is the last that does"),
        ("K80", "610.57", "windows", "does not drive compute capability 3.7: branch 470 is the last that does"),
        ("V100 SXM2", "610.57.04", "linux", "does not drive compute capability 7.0: branch 580 is the last that does"),
        ("M60", "610.57", "windows", "does not drive compute capability 5.2: branch 580 is the last that does"),
        ("MI250", None, "windows", "PyTorch's own ROCm builds are for Linux alone"),
        ("MI300X", None, "windows", "AMD's own wheels serve some Radeon and Ryzen GPUs on Windows"),
        ("GH200 96GB", None, "windows", "no CUDA build for windows on arm64 is in the table of builds"),
        # and of those that are served, why it is no newer release
        ("K80", None, "linux", "no known build since torch 2.6.0 has code for compute capability 3.7"),
        ("Tesla P100 PCIe 16GB", None, "linux", "no known build since torch 2.15.0 has code for compute capability"),
        ("Tesla P100 PCIe 16GB", None, "windows", "torch 2.15 and newer are built with CUDA 13 alone"),
        ("V100 SXM2", "535.104.05", "linux", "CUDA 12.6 by minor-version compatibility"),
        ("RTX 4090", None, "windows", "torch 2.15.0 is newer, but its builds for windows on x86_64 are not in the"),
        ("MI300X", None, "linux", "torch 2.14 has rocm7.14 alone, and which GPUs that has code for is not known"),
    ],
)
def test_the_reason(card, driver, system, reason):
    """Why there is no build, or none of a newer release, is said in words that name what rules it out."""
    build = gpucheck.torch_build(gpucheck.simulate(card), driver=driver, system=system)
    assert any(reason in one for one in build.reasons), build.reasons


def test_they_are_nineteen():
    """The document's cards: one of each name."""
    assert len({gpucheck.simulate(card).gpus[0].catalogue_id for card in CARDS}) == 19
