"""Intel graphics and Gaudi."""

import pytest

from gpucheck.probes.facts import PciDevice
from gpucheck.probes.intel import parse_bytes, probe_intel, probe_intel_driver
from tests.fake_source import fake_host

BUS = "/sys/bus/pci/devices"
B580 = PciDevice("0000:03:00.0", "8086", "e20b", "0300", driver="xe")


def test_integrated():
    """The GPU at 00:02.0 shares the host's memory, which is no memory of its own."""
    found = probe_intel(fake_host(), (PciDevice("0000:00:02.0", "8086", "46a6", "0300", driver="i915"),))
    (gpu,) = found.facts
    assert (gpu.integrated, gpu.memory_total_bytes, gpu.state, found.issues) == (True, None, "ok", ())


def test_xe_sums_its_tiles():
    """The xe driver tells memory tile by tile, in hexadecimal."""
    files = {f"{BUS}/0000:03:00.0/tile{tile}/physical_vram_size_bytes": "0x0000000300000000\n" for tile in (0, 1)}
    (gpu,) = probe_intel(fake_host(files=files), (B580,)).facts
    assert (gpu.integrated, gpu.memory_total_bytes) == (False, 2 * 0x300000000)


def test_i915_local_memory():
    """The i915 driver tells it below the card's DRM node."""
    files = {f"{BUS}/0000:03:00.0/drm/card1/lmem_total_bytes": "8589934592\n"}
    (gpu,) = probe_intel(fake_host(files=files, folders=[f"{BUS}/0000:03:00.0/drm/renderD128"]), (B580,)).facts
    assert gpu.memory_total_bytes == 8 << 30


def test_discrete_card_of_unknown_memory():
    """A discrete card whose driver tells nothing: None with an issue."""
    found = probe_intel(fake_host(), (B580,))
    assert (found.facts[0].memory_total_bytes, len(found.issues)) == (None, 1)


def test_gaudi_and_npu():
    """Gaudi is Habana's on the bus; an NPU (class 1200, as in Meteor Lake) is no GPU."""
    gaudi = PciDevice("0000:33:00.0", "1da3", "1060", "1200", driver="habanalabs")
    npu = PciDevice("0000:00:0b.0", "8086", "7d1d", "1200", driver="intel_vpu")
    (gpu,) = probe_intel(fake_host(), (npu, gaudi)).facts
    assert (gpu.pci_device_id, gpu.state, gpu.integrated) == ("1060", "ok", False)


@pytest.mark.parametrize(("driver", "state"), [(None, "no_driver"), ("vfio-pci", "wrong_driver")])
def test_not_driven(driver, state):
    """A card that passes through to a virtual machine, or that nothing drives."""
    (gpu,) = probe_intel(fake_host(), (PciDevice("0000:03:00.0", "8086", "56a0", "0300", driver=driver),)).facts
    assert gpu.state == state


@pytest.mark.parametrize(
    ("text", "size"), [("0x10\n", 16), ("16", 16), ("0", None), ("", None), (None, None), ("lots", None), ("0x", None)]
)
def test_parse_bytes(text, size):
    """Both spellings of a size; no memory at all is unknown."""
    assert parse_bytes(text) == size


def test_driver():
    """Which kernel driver is loaded."""
    assert probe_intel_driver(fake_host(folders=["/sys/module/i915"])).facts.name == "i915"
    assert probe_intel_driver(fake_host()).facts is None
