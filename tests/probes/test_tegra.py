"""Jetson: which module it is, and what becomes of NVML's half an answer."""

import pytest

from gpucheck.probes.facts import GpuReading
from gpucheck.probes.tegra import DEVICE, RELEASE, TREES, Tegra, module_by_name, probe_tegra, with_tegra
from tests.fake_source import fake_host

OPEN = {("access", f"rw {DEVICE}"): True}


def jetson(*compatible, model="", gib=0.0, **given):
    """The chip of a machine with this device tree and this much memory."""
    files = {f"{TREES[0]}/compatible": "\0".join(compatible) + "\0", f"{TREES[0]}/model": f"{model}\0",
             "/proc/meminfo": f"MemTotal: {int(gib * (1 << 20))} kB\n"}  # fmt: skip
    return probe_tegra(fake_host(files=files, answers=given.pop("answers", OPEN), **given)).facts


@pytest.mark.parametrize(
    ("compatible", "name", "capability"),
    [
        (("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"), "Jetson AGX Orin 64GB", "8.7"),
        (("nvidia,p3768-0000+p3767-0001", "nvidia,tegra234"), "Jetson Orin NX 8GB", "8.7"),
        (("nvidia,p3971-0089+p3834-0008", "nvidia,tegra264"), "Jetson AGX Thor (T5000)", "11.0"),
        (("nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"), "Jetson Nano", "5.3"),
        (("nvidia,p2771-0000", "nvidia,tegra186"), "Jetson TX2", "6.2"),
        (("nvidia,p3509-0000+p3668-0001", "nvidia,tegra194"), "Jetson Xavier NX", "7.2"),
    ],
)
def test_part_numbers(compatible, name, capability):
    """The module's number in the tree names it, whatever board carries it."""
    found = jetson(*compatible, model="Some carrier board")
    assert (found.name, found.compute_capability, found.state) == (f"NVIDIA {name}", capability, "ok")


@pytest.mark.parametrize(
    ("board", "gib", "module"),
    [
        ("NVIDIA Jetson AGX Orin", 61.4, "Jetson AGX Orin 64GB"),
        ("NVIDIA Jetson AGX Orin", 29.9, None),  # two modules have that much and differ in cores
        ("NVIDIA Jetson Orin NX", 15.3, "Jetson Orin NX 16GB"),
        ("NVIDIA Jetson Orin Nano Developer Kit", 7.4, "Jetson Orin Nano 8GB"),
        ("NVIDIA Jetson Orin Nano Developer Kit", 30.0, None),
        ("Somebody's board", 61.4, None),
    ],
)
def test_module_by_name(board, gib, module):
    """Board's name and memory together, where they leave one module."""
    assert module_by_name(board, int(gib * (1 << 30))) == module
    assert module_by_name(board, None) is None


def test_unknown_module():
    """The chip alone gives the compute capability; the board's own words are the name."""
    found = jetson("acme,board", "nvidia,tegra234", model="Acme Vision 1")
    assert (found.name, found.module, found.compute_capability) == ("NVIDIA Acme Vision 1", None, "8.7")


def test_first_developer_kit():
    """An AGX Orin of 32 GB with 16 multiprocessors is no module of the catalogue, and is not taken for one."""
    found = jetson("nvidia,p3737-0000+p3701-0000", "nvidia,tegra234", gib=29.9)
    assert found.name == "NVIDIA Jetson AGX Orin Developer Kit"


def test_other_machines():
    """No chip of NVIDIA's in the tree: nothing, and nothing to say; a Jetson without a tree is an issue."""
    assert jetson("raspberrypi,5-model-b", "brcm,bcm2712") is None
    assert probe_tegra(fake_host()) == type(probe_tegra(fake_host()))(None)
    found = probe_tegra(fake_host(files={RELEASE: "# R36 (release), REVISION: 4.3\n"}))
    assert (found.facts, [issue.code for issue in found.issues]) == (None, ["not_found"])


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"answers": OPEN}, "ok"),
        ({"answers": {("access", f"rw {DEVICE}"): False}}, "no_permission"),
        ({"answers": {}}, "unreachable"),
        ({"answers": {}, "errors": {("access", f"rw {DEVICE}"): "other_root"}}, "ok"),
    ],
)
def test_state(given, state):
    """Without the device file a container was started without NVIDIA's runtime."""
    assert jetson("nvidia,p3701-0005", "nvidia,tegra234", **given).state == state


ORIN = Tegra("Orin", "8.7", module="Jetson AGX Orin 64GB")


def test_nvml_in_part():
    """NVML's "Orin (nvgpu)" gets the module's name and capability; its own facts stay."""
    reading = GpuReading(vendor="NVIDIA", state="ok", name="Orin (nvgpu)", driver_index=0, uuid="GPU-1")
    (found,) = with_tegra((reading,), ORIN)
    assert (found.name, found.compute_capability, found.uuid) == ("NVIDIA Jetson AGX Orin 64GB", "8.7", "GPU-1")
    assert found.sources == {"name": "device tree", "compute_capability": "device tree"}
    (kept,) = with_tegra((reading,), Tegra("Orin", "8.7"))
    assert kept.name == "Orin (nvgpu)"


def test_nvml_without_a_name():
    """A GPU that NVML cannot name is the chip's, and not a second one beside it."""
    for reading in (
        GpuReading(vendor="NVIDIA", state="unknown", driver_index=0),
        GpuReading(vendor="NVIDIA", state="ok", pci_address="0000:01:00.0", compute_capability="8.7"),
        GpuReading(vendor="NVIDIA", state="unreachable", pci_address="0000:01:00.0", pci_device_id="2b00"),
    ):
        (found,) = with_tegra((reading,), ORIN)
        assert (found.name, found.state) == (ORIN.name, reading.state)


def test_card_in_a_slot():
    """An IGX board's RTX stays as it is, and the chip's GPU is added to it."""
    card = GpuReading(vendor="NVIDIA", state="ok", name="NVIDIA RTX 6000 Ada Generation", memory_total_bytes=48 << 30)
    found = with_tegra((card,), ORIN)
    assert found[0] is card
    assert (found[1].name, found[1].integrated, found[1].memory_total_bytes) == (ORIN.name, True, None)
