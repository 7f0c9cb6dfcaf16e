"""`gpucheck.torch_build`: which build of PyTorch for which cards, driver, system and release, and the reason."""

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.machine.types import Drivers, Gpu, Machine
from gpucheck.probes.facts import Cpu, Memory, NvidiaDriver, Platform
from tests.running import machine

LINUX, WINDOWS, ARM = ("linux", "x86_64"), ("windows", "x86_64"), ("linux", "aarch64")
P100 = "Tesla P100 PCIe 16GB"


def card(index=0, vendor="NVIDIA", kind="discrete", **facts):
    """A card that works, an RTX 40 or a Radeon RX 7900 unless said otherwise."""
    code = {"NVIDIA": {"compute_capability": "8.9"}, "AMD": {"gfx_target": "gfx1100"}}.get(vendor, {})
    return replace(Gpu(index, f"{vendor} card {index}", vendor, "ok", kind, **code), **facts)


def box(*gpus, driver="610.57.04", cuda=None, system=LINUX, wsl=False):
    """A real machine with these GPUs and this NVIDIA driver."""
    nvidia = NvidiaDriver(version=driver, cuda_version=cuda)
    platform = Platform(os=system[0], arch=system[1], wsl=wsl)
    return Machine("live", platform, Cpu(), Memory(), gpus=gpus, drivers=Drivers(nvidia=nvidia))


def simulated(cards, system=None):
    """Cards of the catalogue, on another system if one is named."""
    found = gpucheck.simulate(cards)
    return found if system is None else replace(found, platform=Platform(os=system[0], arch=system[1]))


@pytest.mark.parametrize(
    ("cards", "system", "index", "version", "reason"),
    [
        ("K80", None, "cu118", "2.5", "no known build since torch 2.6.0 has code for compute capability 3.7"),
        ("M60", None, "cu126", "2.14", "no known build since torch 2.15.0 has code for compute capability 5.2"),
        (P100, None, "cu126", "2.14", "no known build since torch 2.15.0 has code for compute capability 6.0"),
        ("V100 SXM2", None, "cu126", "2.14", "no known build since torch 2.15.0 has code for compute capability 7.0"),
        ("T4", None, "cu132", "2.15.0", "cu132 has code for compute capability 7.5: sm_75"),
        ("A100 SXM4 80GB", None, "cu132", "2.15.0", "cu132 has code for compute capability 8.0"),
        ("RTX 3070", None, "cu132", "2.15.0", "cu132 has code for compute capability 8.6"),
        ("RTX 4090", None, "cu132", "2.15.0", "cu132 has code for compute capability 8.9: sm_75 sm_80 sm_86"),
        ("H100 SXM5 80GB", None, "cu132", "2.15.0", "cu132 has code for compute capability 9.0"),
        ("B200", None, "cu132", "2.15.0", "cu132 has code for compute capability 10.0"),
        ("RTX 5090", None, "cu132", "2.15.0", "cu132 has code for compute capability 12.0"),
        ("GB10", None, "cu132", "2.14", "cu132 has code for compute capability 12.1"),
        (f"RTX 4090 + {P100}", None, "cu126", "2.14", "cu126 has code for compute capability 6.0, 8.9"),
        ("RTX 4090", WINDOWS, "cu132", "2.14", "cu132 has code for compute capability 8.9"),
        ("RTX 5090", WINDOWS, "cu132", "2.14", "cu132 has code for compute capability 12.0"),
        (P100, WINDOWS, "cu126", "2.14", "cu126 has code for compute capability 6.0"),
        # the Windows wheel of 2.7.1 alone has code for both
        (f"RTX 5090 + {P100}", WINDOWS, "cu128", "2.7.1", "cu128 has code for compute capability 12.0, 6.0"),
        ("MI250", None, "rocm7.2", "2.13", "rocm7.2 has code for gfx90a"),
        ("MI300X", None, "rocm7.2", "2.13", "rocm7.2 has code for gfx942"),
        ("MI355X", None, "rocm7.2", "2.13", "rocm7.2 has code for gfx950"),
        ("RX 7900 XTX", None, "rocm7.2", "2.13", "rocm7.2 has code for gfx1100"),
        ("RX 9070", None, "rocm7.2", "2.13", "rocm7.2 has code for gfx1201"),
        ("Ryzen AI Max+ 395 (Radeon 8060S)", None, "rocm7.2", "2.13", "rocm7.2 has code for gfx1151"),
        ("Arc B580", None, "xpu", None, "the XPU build is for Intel's Arc"),
        ("Arc B580", WINDOWS, "xpu", None, "the XPU build is for Intel's Arc"),
        ("Data Center GPU Max 1550", None, "xpu", None, "the XPU build is for Intel's Arc"),
        ("Apple M3", None, "pypi", None, "the default wheel for Apple silicon has Metal (MPS)"),
    ],
)
def test_the_right_build(cards, system, index, version, reason):
    """Each card, or mixture of cards, gets the newest release that all can run, and is told why."""
    build = gpucheck.torch_build(simulated(cards, system))
    assert (build.answer, build.index, build.version) == ("yes", index, version), build.reasons
    assert any(one.startswith(reason) for one in build.reasons), build.reasons


@pytest.mark.parametrize(
    ("cards", "system", "answer", "reason"),
    [
        (f"RTX 5090 + {P100}", None, "no", "none of PyTorch's own wheels that are known has code for compute"),
        ("Jetson AGX Orin 64GB", None, "no", "none of PyTorch's own wheels that are known has code for compute"),
        ("RX 6700 XT", None, "no", "none of PyTorch's ROCm builds that are known has code for gfx1031"),
        ("MI300X + RTX 4090", None, "no", "one build serves one maker's GPUs, and here are AMD and NVIDIA"),
        ("Gaudi 3", None, "no", "Gaudi needs Intel's own build"),
        ("RX 7900 XTX", WINDOWS, "no", "PyTorch's own ROCm builds are for Linux alone"),
        ("RX 7900 XTX", ARM, "unknown", "no ROCm build for linux on aarch64 is in the table"),
        ("K80 + RTX 4090", None, "no", "no driver drives every card here: branch 470 is the last for compute"),
        ("Apple M3", LINUX, "no", "Metal is macOS's alone"),
        ("RTX 4090", ("windows", "arm64"), "unknown", "no CUDA build for windows on arm64 is in the table"),
        ("Arc B580", ARM, "unknown", "no XPU build for linux on aarch64 is known"),
        ("RTX 4090", (None, None), "unknown", "the operating system or the CPU's architecture is not known"),
    ],
)
def test_no_build_and_why(cards, system, answer, reason):
    """What no wheel serves is refused; what the table does not have is unknown, not refused."""
    build = gpucheck.torch_build(simulated(cards, system))
    assert (build.answer, build.index, build.pip, build.uv) == (answer, None, None, None)
    assert build.reasons[0].startswith(reason), build.reasons


def test_what_unlike_cards_would_take_alone():
    """Where no build serves every card, what each could run without the others is named."""
    reasons = gpucheck.torch_build(simulated(f"RTX 5090 + {P100}")).reasons
    assert "compute capability 12.0 alone could take torch 2.15.0 (cu132): hide the other cards" in reasons
    assert "compute capability 6.0 alone could take torch 2.14 (cu126): hide the other cards" in reasons


@pytest.mark.parametrize(
    ("capability", "driver", "system", "index", "version"),
    [
        ("8.9", "580", LINUX, "cu132", "2.15.0"),  # minor-version compatibility within CUDA 13
        ("8.9", "579", LINUX, "cu126", "2.14"),
        ("8.9", "570.124.04", LINUX, "cu126", "2.14"),
        ("8.9", "535.86", LINUX, "cu126", "2.14"),  # 12.6 on a driver of 12.2
        ("8.9", "525.60.13", LINUX, "cu126", "2.14"),
        ("8.9", "525.60.12", LINUX, "cu118", "2.5"),
        ("8.9", "528.33", WINDOWS, "cu126", "2.14"),
        ("8.9", "528.32", WINDOWS, "cu118", "2.5"),
        ("8.9", "516.94", WINDOWS, None, None),  # CUDA 11.7 knows no Ada
        ("8.9", "515.105.01", LINUX, None, None),
        ("8.0", "450.80.02", LINUX, "cu118", "2.5"),
        ("8.0", "450.80.01", LINUX, None, None),
        ("7.0", "452.39", WINDOWS, "cu118", "2.5"),
        ("7.0", "452.38", WINDOWS, None, None),
        ("8.9", "591.74", WINDOWS, "cu130", "2.14"),  # 13.1: cu132 would need minor-version compatibility
        ("12.0", "570.124.04", LINUX, "cu128", "2.11"),
        ("12.0", "565.77", LINUX, None, None),  # CUDA 12.7 knows no Blackwell
        ("6.0", "580.95.05", LINUX, "cu126", "2.14"),
        ("6.0", "590.48.01", LINUX, None, None),  # 590 dropped Pascal
        ("3.7", "470.82", LINUX, "cu118", "2.5"),
        ("3.7", "474.44", WINDOWS, "cu118", "2.5"),  # Windows counts on within R470
        ("3.7", "496.13", WINDOWS, None, None),
        ("3.7", "535.86", LINUX, None, None),
        ("6.1", "581.80", WINDOWS, "cu126", "2.14"),
        ("6.1", "591.74", WINDOWS, None, None),
        ("9.0", "535.86", ARM, "cu126", "2.14"),
        ("12.1", "580.95.05", ARM, "cu130", "2.14.1"),
        ("12.1", "570.124.04", ARM, None, None),  # CUDA 12.8 knows no GB10
    ],
)
def test_the_driver_decides(capability, driver, system, index, version):
    """The oldest driver of a CUDA, the last of a generation and the first of one bound what can be installed."""
    here = box(card(compute_capability=capability), driver=driver, system=system)
    build = gpucheck.torch_build(here)
    assert (build.index, build.version) == (index, version), build.reasons
    assert build.answer == ("yes" if index else "no")
    assert (build.driver, build.driver_basis) == (driver, "reported")
    named = gpucheck.torch_build(replace(here, drivers=Drivers()), driver=driver)
    assert replace(named, driver_basis="reported") == build


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        ("400", "driver 400 (highest CUDA not known) is too old: the builds with code for these cards need 450.80.02"),
        ("515", "driver 515 (CUDA up to 11.7) does not know compute capability 8.9: it came with CUDA 11.8"),
        ("590.1", None),
    ],
)
def test_too_old_a_driver_is_told_what_it_needs(driver, reason):
    """A driver that runs no build with code for the card is told the oldest that does."""
    reasons = gpucheck.torch_build(box(card(), driver=driver)).reasons
    assert any(one.startswith(reason or "cu132") for one in reasons), reasons


@pytest.mark.parametrize(
    ("cuda", "index"),
    [("13.4", "cu132"), ("12.8", "cu126"), ("11.8", "cu118"), ("11.7", None), ("10.2", None), (None, None)],
)
def test_a_driver_known_by_its_cuda_alone(cuda, index):
    """Where only the driver's highest CUDA is known its major version decides; with neither the answer is unknown."""
    build = gpucheck.torch_build(box(card(), driver=None, cuda=cuda))
    assert build.index == index
    assert build.answer == ("yes" if index else "no" if cuda else "unknown")


def test_ptx_needs_the_drivers_own_cuda():
    """A card that runs a build's PTX alone needs a driver of that CUDA: an older one compiles none of it."""
    future = card(compute_capability="13.0")
    assert gpucheck.torch_build(box(future, driver="610.57")).index == "cu132"
    older = gpucheck.torch_build(box(future, driver="580.95"))
    assert older.index == "cu130", older.reasons
    assert gpucheck.torch_build(box(future, driver="570.124")).index == "cu128"
    none = gpucheck.torch_build(box(future, driver="565.77"))
    assert none.answer == "no"
    assert "PTX alone, which needs a driver of CUDA 12.8 or newer" in none.reasons[0]


@pytest.mark.parametrize(
    ("cards", "branch"), [("RTX 4090", "610"), (P100, "580"), (f"RTX 4090 + {P100}", "580"), ("K80 + T4", "470")]
)
def test_the_driver_of_a_simulated_machine(cards, branch):
    """The newest branch that drives every card is assumed and said; a named driver takes its place."""
    build = gpucheck.torch_build(simulated(cards))
    assert (build.driver, build.driver_basis) == (branch, "assumed")
    assert f"driver branch {branch} is assumed" in build.assumptions[0]
    named = gpucheck.torch_build(simulated(cards), driver="535.86")
    assert (named.driver, named.driver_basis, named.assumptions) == ("535.86", "named", ())


@pytest.mark.parametrize(
    ("cards", "version", "answer", "index", "said"),
    [
        ("RTX 4090", "2.9", "yes", "cu128", "cu128 has code"),  # its cu130 is experimental
        ("RTX 4090", "2.13", "yes", "cu130", "cu126 and cu132 of the same release would do too"),
        ("RTX 4090", "2.8.0", "yes", "cu129", "cu129 has code"),
        ("RTX 4090", "2.4", "yes", "cu121", "cu121 has code"),
        (P100, "2.9.1", "yes", "cu126", "cu126 has code"),
        (P100, "2.15", "no", None, "use torch 2.14 from cu126, the newest that every card here can run"),
        ("V100 SXM2", "2.15.0", "no", None, "use torch 2.14 from cu126, the newest that every card here can run"),
        ("K80", "2.11", "no", None, "use torch 2.5 from cu118, the newest that every card here can run"),
        ("K80", "2.7.1", "unknown", None, "not every build of torch 2.7.1 is in the table of builds"),
        ("RTX 4090", "2.16", "unknown", None, "torch 2.16 for linux on x86_64 is not in the table of builds"),
        ("MI300X", "2.6", "yes", "rocm6.2.4", "rocm6.2.4 has code for gfx942"),
        ("MI355X", "2.6", "no", None, "use rocm7.2, which has it"),
        ("MI300X", "2.12", "yes", "rocm7.2", "rocm7.2 has code for gfx942"),
        ("MI300X", "2.14", "unknown", None, "torch 2.14 has rocm7.14, and which GPUs that has code for is not known"),
        ("MI300X", "2.15", "unknown", None, "which ROCm builds torch 2.15 has is not in the table of builds"),
        ("Arc B580", "2.9", "unknown", None, "whether torch 2.9 has an XPU build is not in the table of builds"),
        ("Apple M3", "2.9", "yes", "pypi", "the default wheel for Apple silicon"),
    ],
)
def test_a_named_release(cards, version, answer, index, said):
    """A release is taken as asked, refused with what would do instead, or unknown where the table has it not."""
    build = gpucheck.torch_build(simulated(cards), version)
    assert (build.answer, build.index) == (answer, index), build.reasons
    assert any(one.startswith(said) for one in build.reasons), build.reasons
    if answer == "yes":
        assert build.version is not None
        assert build.version.startswith(version)


@pytest.mark.parametrize(
    ("python", "version", "answer", "found"),
    [("3.11", None, "yes", "2.15.0"), ("3.10", None, "yes", "2.14"), ("3.9.2", None, "yes", "2.8"),
     ("3.7", None, "no", None), ("3.10", "2.15", "no", None)],
)  # fmt: skip
def test_python_decides(python, version, answer, found):
    """A release that needs a newer Python is passed over; where none is left the reason names the Python."""
    build = gpucheck.torch_build(simulated("RTX 4090"), version, python)
    assert (build.answer, build.version) == (answer, found)
    if answer == "no":
        assert f"this is {python}" in build.reasons[0]


def test_every_visible_usable_gpu_decides():
    """A card that is hidden or has no driver does not count, and one that is visible does."""
    old, new = card(0, compute_capability="6.1"), card(1)
    assert gpucheck.torch_build(box(old, new, driver="580.95")).index == "cu126"
    assert gpucheck.torch_build(box(replace(old, visible=False), new)).index == "cu132"
    assert gpucheck.torch_build(box(replace(old, state="no_driver"), new)).index == "cu132"


def test_an_integrated_gpu_beside_a_card_is_left_out():
    """The integrated GPU of a desktop does not rule out the card's build; it is said. Alone it decides."""
    integrated = card(1, "AMD", "integrated", gfx_target="gfx1036")
    build = gpucheck.torch_build(box(card(), integrated))
    assert (build.index, build.assumptions) == (
        "cu132",
        ("AMD card 1 is left out: it is integrated, beside a card",),
    )
    assert gpucheck.torch_build(box(integrated)).answer == "no"


@pytest.mark.parametrize(
    "gpu", [card(compute_capability=None), card(vendor="AMD", gfx_target=None), card(vendor="Intel"), card(vendor="X")]
)
def test_a_card_of_unknown_code(gpu):
    """A card of which nobody knows what code it runs makes the answer unknown, whatever stands beside it."""
    assert gpucheck.torch_build(box(gpu)).answer == "unknown"
    assert gpucheck.torch_build(box(gpu, card(1, gpu.vendor))).answer == "unknown"


@pytest.mark.parametrize(
    ("name", "index", "reason"),
    [
        ("vm-no-gpu", "cpu", "no GPU is here"),
        ("windows-job-object", "cpu", "no GPU is here"),
        ("gpus-hidden", "cpu", "(hidden)"),
        ("nouveau-bound", "cpu", "(wrong driver)"),
        ("compute-prohibited", "cpu", "(driven, but closed to processes)"),
        ("apple-m4-max-128", "pypi", "Metal"),
        ("apple-vm", "pypi", "no GPU can be used now"),
        ("apple-intel-mac", "pypi", "torch 2.2 was the last with wheels for Intel Macs"),
        ("windows-rtx4090", "cu130", "cu130 has code"),
        ("wsl2-rtx3080", "cu126", "cu126 has code"),
        ("unified-gb10", "cu130", "cu130 has code"),
        ("amd-strix-halo", "rocm7.2", "gfx1151"),
    ],
)
def test_recorded_machines(name, index, reason):
    """Recordings of machines with and without usable GPUs get what suits them."""
    build = gpucheck.torch_build(machine(name))
    assert build.index == index
    assert reason in build.reasons[0]


def test_a_machine_with_its_old_intel_mac_release():
    """An Intel Mac is refused a release after 2.2, and keeps an older one."""
    mac = machine("apple-intel-mac")
    assert gpucheck.torch_build(mac, "2.9").answer == "no"
    assert gpucheck.torch_build(mac, "2.1.2").pip == "pip install torch==2.1.2"


@pytest.mark.parametrize(
    ("cards", "version", "pip"),
    [
        ("RTX 4090", None, "pip install torch==2.15.0 --index-url https://download.pytorch.org/whl/cu132"),
        (P100, None, 'pip install "torch==2.14.*" --index-url https://download.pytorch.org/whl/cu126'),
        ("Arc B580", None, "pip install torch --index-url https://download.pytorch.org/whl/xpu"),
        ("Apple M3", "2.9.1", "pip install torch==2.9.1"),
    ],
)
def test_commands(cards, version, pip):
    """Both pip and uv are asked for the same, uv by its backend; a series is quoted, as shells expand its star."""
    build = gpucheck.torch_build(simulated(cards), version)
    what, _, url = pip.removeprefix("pip install ").partition(" --index-url ")
    backend = f" --torch-backend={build.index}" if url else ""
    assert (build.pip, build.uv) == (pip, f"uv pip install {what}{backend}")
    assert build.index_url == (url or None)


@pytest.mark.parametrize(
    "wrong",
    [{"version": "2"}, {"system": "darwin"}, {"arch": "arm64"}, {"python_version": "3.14tt"},
     {"version": "2.9.1+cu128"}, {"version": "2.9; rm"}, {"version": ""}, {"python_version": "3"},
     {"python_version": "three"}, {"driver": "new"}, {"driver": ""}],
)  # fmt: skip
def test_versions_that_are_none(wrong):
    """What is no version of torch, Python or a driver is refused, and never becomes part of a command."""
    with pytest.raises(gpucheck.UsageError):
        gpucheck.torch_build(simulated("RTX 4090"), **wrong)
