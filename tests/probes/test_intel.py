"""Intel graphics and Gaudi."""

import json
from pathlib import Path

import pytest

from gpucheck.host.host import Host, command_key
from gpucheck.host.recording import ReplaySource, read_recording
from gpucheck.machine.gpus import build_gpu
from gpucheck.machine.inspect import inspect_host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import Memory, PciDevice
from gpucheck.probes.intel import parse_bytes, probe_intel, probe_intel_driver
from gpucheck.probes.intel_ids import is_card
from gpucheck.probes.intel_tools import HL_SMI, XPU_SMI, ToolReading, parse_hl_smi, parse_xpu_smi, pci_address
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


def test_card_passed_through_to_where_graphics_sit():
    """A virtual machine may show an Arc card at 00:02.0: its id, not its place, says that it has memory."""
    files = {f"{BUS}/0000:00:02.0/tile0/physical_vram_size_bytes": f"{12 << 30}\n"}
    (gpu,) = probe_intel(
        fake_host(files=files), (PciDevice("0000:00:02.0", "8086", "e20b", "0300", driver="xe"),)
    ).facts
    assert (gpu.integrated, gpu.memory_total_bytes) == (False, 12 << 30)
    assert is_card("zz") is False


def test_one_tile_that_cannot_be_read():
    """Half a card's memory is not the card's: unknown, with the reason."""
    files = {f"{BUS}/0000:03:00.0/tile{tile}/physical_vram_size_bytes": "0x1000000000\n" for tile in (0, 1)}
    denied = {("file", f"{BUS}/0000:03:00.0/tile1/physical_vram_size_bytes"): "no_permission"}
    device = PciDevice("0000:03:00.0", "8086", "0bd5", "0380", driver="xe")
    found = probe_intel(fake_host(files=files, errors=denied), (device,))
    assert found.facts[0].memory_total_bytes is None
    assert {"no_permission", "not_found", "tiles"} <= {issue.code for issue in found.issues}


def test_limit_of_graphics_on_xe():
    """The xe driver's graphics get what the kernel's manager lends; i915's have no such limit."""
    host = fake_host(files={"/sys/module/ttm/parameters/pages_limit": "2000000\n"})
    for driver, limit in (("xe", 2000000 * 4096), ("i915", None)):
        (gpu,) = probe_intel(host, (PciDevice("0000:00:02.0", "8086", "64a0", "0300", driver=driver),)).facts
        assert gpu.memory_limit_bytes == limit


@pytest.mark.parametrize("error", ["no_permission", "not_found", None])
def test_limit_of_graphics_that_cannot_be_read(error):
    """It may be small: unknown, with the reason, and so is what the GPU gets of the machine's memory."""
    path = "/sys/module/ttm/parameters/pages_limit"
    host = fake_host(files={path: "many\n"}, errors={("file", path): error} if error else {})
    found = probe_intel(host, (PciDevice("0000:00:02.0", "8086", "64a0", "0300", driver="xe"),))
    assert (found.facts[0].memory_limit_bytes, found.facts[0].memory_limit_known) == (None, False)
    assert [issue.code for issue in found.issues] == [error or "malformed"]
    memory = Memory(32 << 30, 30 << 30, usable_bytes=30 << 30)
    assert build_gpu(found.facts[0], 0, memory, Issues()).memory.usable_bytes is None


def test_device_that_the_bus_cannot_name():
    """A device without its id is an issue: nothing else may tell which card it is."""
    found = probe_intel(fake_host(), (PciDevice("0000:33:00.0", "1da3", "", "1200", driver="habanalabs"),))
    assert [(issue.code, issue.source) for issue in found.issues] == [("not_found", f"{BUS}/0000:33:00.0/device")]


def test_xpu_smi_where_the_driver_is_silent():
    """The upstream i915 driver has no such file; the tool is asked only then, and a size may be a text."""
    listed = [{"device_id": 0, "device_function_type": "physical", "pci_bdf_address": "0000:03:00.0",
               "device_name": "Intel(R) Arc(TM) A770 Graphics", "memory_physical_size_byte": "17102532608"},
              {"device_id": 1, "device_function_type": "virtual", "pci_bdf_address": "0000:03:00.1"}, 7]  # fmt: skip
    device = PciDevice("0000:03:00.0", "8086", "56a0", "0300", driver="i915")
    found = probe_intel(fake_host(commands={XPU_SMI: json.dumps({"device_list": listed})}), (device,))
    assert found.facts[0].memory_total_bytes == 17102532608
    assert found.facts[0].sources["memory_total_bytes"] == "xpu-smi"
    broken = probe_intel(fake_host(commands={XPU_SMI: "Error: no device"}), (device,))
    assert [issue.code for issue in broken.issues] == ["malformed", "not_found"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "5", '{"device_list": 5}', '{"device_list": [{"pci_bdf_address": 5}]}', "[" * 100_000],
)
def test_xpu_smi_garbage(text):
    """Anything else names no card."""
    assert not parse_xpu_smi(text)


def test_hl_smi():
    """Lines by address; one that is no line of the table is an issue and hides no other."""
    issues = Issues()
    found = parse_hl_smi(
        "0, 0000:33:00.0, HL-225, 98304 MiB, N/A\nWARNING: x\n\n1, 34:00.0, N/A, [N/A], 5 MiB\n", issues
    )
    assert found["0000:33:00.0"] == ToolReading(0, "HL-225", 96 << 30, None)
    assert found["0000:34:00.0"] == ToolReading(1, None, None, 5 << 20)
    assert [issue.code for issue in issues.all()] == ["malformed"]


def test_gaudi_that_needs_a_reset():
    """The driver's own word for its health; hl-smi that fails is an issue, and memory is left to the catalogue."""
    device = PciDevice("0000:33:00.0", "1da3", "1020", "1200", driver="habanalabs")
    failing = {"stdout": "", "stderr": "no devices\n", "returncode": 1}
    host = fake_host(files={f"{BUS}/0000:33:00.0/status": "Needs Reset\n"},
                     answers={("command", command_key(HL_SMI)): failing})  # fmt: skip
    found = probe_intel(host, (device,))
    assert (found.facts[0].state, found.facts[0].detail) == ("needs_reset", "habanalabs says: Needs Reset")
    assert [issue.code for issue in found.issues] == ["exit_status"]


@pytest.mark.parametrize(
    ("text", "address"),
    [("33:00.0", "0000:33:00.0"), ("00000001:3A:1f.7", "0001:3a:1f.7"), ("10000:01:00.0", "10000:01:00.0"),
     ("33:00.8", None), ("", None)],
)  # fmt: skip
def test_pci_address(text, address):
    """Every spelling as sysfs writes it."""
    assert pci_address(text) == address


@pytest.mark.parametrize(
    ("name", "card", "kind", "gib"),
    [
        ("intel-arc-b580-xe", "arc-b580", "discrete", 12),
        ("intel-a770-i915", "arc-a770-16", "discrete", 16),
        ("intel-max-1550", "max-1550", "discrete", 128),
        ("intel-igpu", "arc-mtl", "integrated", 32),
    ],
)
def test_machines(name, card, kind, gib):
    """One GPU each, named by id and memory; the NPU beside it is listed apart."""
    path = Path(__file__).parents[2] / "fixtures" / f"{name}.json"
    machine = inspect_host(Host(ReplaySource(read_recording(path)), "recording"))
    (gpu,) = machine.gpus
    assert (gpu.catalogue_id, gpu.kind, gpu.state) == (card, kind, "ok")
    assert gpu.memory.total_bytes == pytest.approx(gib << 30, rel=0.01)
    assert gpu.memory.kind == ("shared" if kind == "integrated" else "dedicated")
    assert [adapter.driver for adapter in machine.display_adapters] == (["intel_vpu"] if kind == "integrated" else [])
    if kind == "integrated":
        assert gpu.memory.usable_bytes == machine.memory.usable_bytes


def test_node_of_gaudis():
    """Eight accelerators, memory as hl-smi reports it."""
    path = Path(__file__).parents[2] / "fixtures" / "gaudi2-x8.json"
    machine = inspect_host(Host(ReplaySource(read_recording(path)), "recording"))
    assert [(gpu.catalogue_id, gpu.memory.free_bytes >> 20) for gpu in machine.gpus] == [("gaudi2", 97536)] * 8
    assert (machine.drivers.intel.name, machine.drivers.intel.version) == ("habanalabs", "1.17.0-28a11ca")


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


def test_driver_without_a_module():
    """What is bound to a device is loaded; that its module is not there to be asked is an issue."""
    found = probe_intel_driver(fake_host(), (B580,))
    assert (found.facts.name, found.facts.version, found.facts.in_tree) == ("xe", None, None)
    assert [(issue.code, issue.source) for issue in found.issues] == [("not_found", "/sys/module/xe")]


def test_whose_driver_it_is():
    """A version is in Intel's package of habanalabs alone; of xe nobody can say; a refusal is no absence."""
    folder = "/sys/module/habanalabs"
    packaged = probe_intel_driver(fake_host(files={f"{folder}/version": "1.17.0-28a11ca\n"})).facts
    assert (packaged.version, packaged.in_tree) == ("1.17.0-28a11ca", False)
    assert probe_intel_driver(fake_host(folders=[folder])).facts.in_tree is True
    assert probe_intel_driver(fake_host(folders=["/sys/module/xe"])).facts.in_tree is None
    for error in ("no_permission", "not_recorded"):
        found = probe_intel_driver(fake_host(folders=[folder], errors={("file", f"{folder}/version"): error}))
        assert (found.facts.in_tree, [issue.code for issue in found.issues]) == (None, [error])


def test_sizes_beyond_64_bits_are_unknown():
    """No card has that much; a report could not say it."""
    entry = {"pci_bdf_address": "0000:03:00.0", "device_id": 10**30, "memory_physical_size_byte": 10**400}
    assert parse_xpu_smi(json.dumps({"device_list": [entry]})) == {"0000:03:00.0": ToolReading()}
    assert parse_bytes("9" * 20) is None
