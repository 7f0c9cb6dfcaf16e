"""WSL2: which GPUs of Windows can be named from inside, and what hides them."""

from pathlib import Path

import pytest

from gpucheck.host.host import Host
from gpucheck.host.recording import ReplaySource, read_recording
from gpucheck.machine.inspect import inspect_host
from gpucheck.probes.facts import GpuReading
from gpucheck.probes.systems import is_wsl, may_be_arm
from gpucheck.probes.wsl import DEVICE, DRIVERS, LIBRARIES, makers_of, probe_wsl
from tests.fake_source import fake_host

OPEN = {("access", f"rw {DEVICE}"): True}
CARD = GpuReading(vendor="NVIDIA", state="ok", name="NVIDIA GeForce RTX 3080")
NOT_LOADED = {("nvml", "system/DeviceCount"): "nvml_driver_not_loaded"}
LIBRARY = {f"{LIBRARIES}/libnvidia-ml.so.1": ""}


def found(gpus=(), *, drivers=(), **given):
    """The codes of the issues."""
    given.setdefault("answers", OPEN)
    folders = [f"{DRIVERS}/{name}" for name in drivers]
    return [issue.code for issue in probe_wsl(fake_host(folders=folders, **given), gpus).issues]


def test_all_is_well():
    """A card that NVML names needs no word."""
    assert found([CARD], drivers=["nv_dispi.inf_amd64_31dab972145ae5a9"], files=LIBRARY) == []


def test_shadowed_library():
    """The distribution's library finds no driver, and WSL's own is there: the issue says where."""
    assert found(errors=NOT_LOADED, files=LIBRARY) == ["wsl_shadowed_library"]
    assert found(errors=NOT_LOADED) == []  # no library of WSL's to name
    (issue,) = probe_wsl(fake_host(errors=NOT_LOADED, files=LIBRARY, answers=OPEN), ()).issues
    assert "/usr/lib/wsl/lib" in issue.detail


def test_gpus_of_other_makers():
    """AMD's and Intel's GPUs have no NVML: present by their drivers, unnamed."""
    assert found(drivers=["u0388358.inf_amd64_3f8e", "iigd_dch.inf_amd64_2951"]) == ["wsl_unnamed_gpu"]
    assert makers_of(["u0388358.inf_amd64_3f8e", "iigd_dch.inf_amd64_2951", "nvltwi.inf_amd64_08cf", "c_gpu.inf"]) == (
        "AMD", "Intel", "NVIDIA",
    )  # fmt: skip


def test_no_device():
    """WSL 1, or a Windows without a fitting driver; a device that may not be opened."""
    assert found(answers={}) == ["wsl_no_gpu"]
    assert found(answers={("access", f"rw {DEVICE}"): False}) == ["no_permission"]


@pytest.mark.parametrize(
    ("release", "wsl"),
    [
        ("5.15.167.4-microsoft-standard-WSL2\n", True),
        ("4.4.0-19041-Microsoft", True),
        ("6.8.0-generic", False),
        ("", False),
    ],
)
def test_which_system(release, wsl):
    """By the kernel's name."""
    assert is_wsl(fake_host(files={"/proc/sys/kernel/osrelease": release})) is wsl


@pytest.mark.parametrize(
    ("uname", "arm"),
    [({"machine": "aarch64"}, True), ({"machine": "x86_64"}, False), (None, True), ({"machine": {}}, False)],
)
def test_may_be_arm(uname, arm):
    """A copied tree has no uname and may be anything."""
    assert may_be_arm(fake_host(system={"uname": uname} if uname else {})) is arm


def machine_of(name):
    """The machine of a fixture."""
    path = Path(__file__).parents[2] / "fixtures" / f"{name}.json"
    return inspect_host(Host(ReplaySource(read_recording(path)), "recording"))


def test_card_under_wsl():
    """NVML's subset is enough: cores from the catalogue, no address on a visible bus, no complaint of WSL's."""
    machine = machine_of("wsl2-rtx3080")
    (gpu,) = machine.gpus
    assert (gpu.catalogue_id, gpu.state, gpu.kind) == ("rtx-3080-10", "ok", "discrete")
    assert (gpu.shader_cores, gpu.sources["shader_cores"]) == (8704, "catalogue")
    assert gpu.memory.total_bytes == 10 << 30
    assert (machine.platform.wsl, machine.platform.virtual_machine) == (True, "hyperv")
    assert not [issue for issue in machine.issues if issue.code.startswith("wsl")]


def test_hidden_card():
    """No GPU can be named; the issues say that a package hides it and what to do."""
    machine = machine_of("wsl2-shadowed-library")
    assert machine.gpus == ()
    assert {"wsl_shadowed_library", "nvml_driver_not_loaded"} <= {issue.code for issue in machine.issues}
