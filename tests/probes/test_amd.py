"""AMD cards: the bus, sysfs memory, KFD nodes and what stands between a card and ROCm."""

import pytest

from gpucheck.probes.amd import probe_amd, probe_amd_driver
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import PciDevice
from gpucheck.probes.kfd import NODES, by_card, gfx_target, kfd_address, kfd_nodes, parse_properties
from tests.fake_source import fake_host

GIB = 1 << 30
BUS = "/sys/bus/pci/devices"
MI210 = PciDevice("0000:63:00.0", "1002", "740f", "0380", driver="amdgpu", link_width=16, link_generation=4)


def node(number, banks=(), **facts):
    """The files of one KFD node, by default an MI210's."""
    facts = {"simd_count": 416, "simd_per_cu": 4, "gfx_target_version": 90010, "vendor_id": 4098,
             "device_id": 0x740F, "location_id": 0x6300, "domain": 0, **facts}  # fmt: skip
    files = {f"{NODES}/{number}/properties": "".join(f"{name} {value}\n" for name, value in facts.items())}
    for index, (heap, size) in enumerate(banks):
        files[f"{NODES}/{number}/mem_banks/{index}/properties"] = f"heap_type {heap}\nsize_in_bytes {size}\n"
    return files


CPU_NODE = node(0, simd_count=0, location_id=0, device_id=0)


def cards_of(files, pci=(), **given):
    """The readings."""
    given.setdefault("answers", {("access", "rw /dev/kfd"): True})
    return probe_amd(fake_host(files=files, **given), tuple(pci)).facts


def test_card_with_everything():
    """Bus, sysfs and KFD together: one reading; memory by sysfs, compute units by KFD."""
    files = {**CPU_NODE, **node(1, [(1, 63 * GIB)], unique_id=0x1234),
             f"{BUS}/0000:63:00.0/mem_info_vram_total": f"{64 * GIB}\n",
             f"{BUS}/0000:63:00.0/mem_info_vram_used": f"{GIB}\n",
             f"{BUS}/0000:63:00.0/product_name": "AMD Instinct MI210\n"}  # fmt: skip
    (card,) = cards_of(files, [MI210])
    assert (card.state, card.name, card.gfx_target, card.multiprocessors) == ("ok", "AMD Instinct MI210", "gfx90a", 104)
    assert (card.memory_total_bytes, card.memory_free_bytes) == (64 * GIB, 63 * GIB)
    assert (card.pcie_width, card.pcie_generation, card.integrated) == (16, 4, False)
    assert (card.uuid, card.driver_index, card.sources["memory_total_bytes"]) == ("GPU-0000000000001234", 0, "sysfs")


def test_memory_banks_where_sysfs_is_silent():
    """Both kinds of device memory count; the host's does not."""
    (card,) = cards_of(node(1, [(0, 9 * GIB), (1, 2 * GIB), (2, 62 * GIB)]), [MI210])
    assert (card.memory_total_bytes, card.sources["memory_total_bytes"]) == (64 * GIB, "kfd")


def test_memory_that_nobody_tells():
    """Neither source: None with an issue."""
    found = probe_amd(fake_host(), (MI210,))
    assert found.facts[0].memory_total_bytes is None
    assert [issue.code for issue in found.issues] == ["not_in_kfd", "not_found"]


def test_partitions_are_one_card():
    """An MI300X in CPX mode: eight nodes that differ in the function are one card (amdsmi #99)."""
    files = {}
    for part in range(8):
        facts = {"simd_count": 152, "gfx_target_version": 90402, "location_id": 0x0500 + part}
        files.update(node(2 + part, [(1, 24 * GIB)], **facts))
    (card,) = cards_of(files, [PciDevice("0000:05:00.0", "1002", "74a1", "1200", driver="amdgpu")])
    assert (card.multiprocessors, card.memory_total_bytes, card.gfx_target) == (304, 192 * GIB, "gfx942")


def test_partition_number_above_the_address():
    """Other kernels put the partition's number above bus and device."""
    nodes = kfd_nodes(fake_host(files={**node(1), **node(2, location_id=0x6300 | 1 << 28)}), Issues())
    assert list(by_card(nodes, frozenset())) == ["0000:63:00.0"]
    assert len(nodes) == 2


def test_virtual_functions_are_cards_of_their_own():
    """A function that is on the bus is a device."""
    nodes = kfd_nodes(fake_host(files={**node(1, location_id=0x0510), **node(2, location_id=0x0511)}), Issues())
    assert list(by_card(nodes, frozenset({"0000:05:02.0", "0000:05:02.1"}))) == ["0000:05:02.0", "0000:05:02.1"]


def test_copied_node_counts_once():
    """Two nodes at the very same place are one."""
    (card,) = cards_of({**node(1, [(1, 16 * GIB)]), **node(2, [(1, 16 * GIB)])}, [MI210])
    assert (card.memory_total_bytes, card.multiprocessors) == (16 * GIB, 104)


def test_topology_without_a_bus():
    """A container may see KFD alone; cards come in PCI order with ROCm's own numbers."""
    cards = cards_of({**CPU_NODE, **node(1), **node(2, location_id=0x0300)})
    assert [(card.pci_address, card.driver_index, card.state) for card in cards] == [
        ("0000:03:00.0", 1, "ok"), ("0000:63:00.0", 0, "ok"),
    ]  # fmt: skip
    assert cards[0].pci_device_id == "740f"


def test_apu():
    """A node with CPU cores is an integrated GPU."""
    (card,) = cards_of(node(0, cpu_cores_count=16, gfx_target_version=110501, device_id=0x1586))
    assert (card.integrated, card.gfx_target) == (True, "gfx1151")


def test_old_kernel_without_target():
    """Before gfx_target_version the device id tells; an id that no table has stays unknown."""
    (card,) = cards_of(node(1, gfx_target_version=0, device_id=0x6860))
    assert card.gfx_target == "gfx900"
    (card,) = cards_of(node(1, gfx_target_version=0, device_id=0x9999))
    assert card.gfx_target is None


@pytest.mark.parametrize(
    ("driver", "state"),
    [("amdgpu", "ok"), (None, "no_driver"), ("vfio-pci", "wrong_driver"), ("radeon", "wrong_driver")],
)
def test_state_by_driver(driver, state):
    """What is bound to the device decides; only amdgpu computes."""
    (card,) = cards_of({}, [PciDevice("0000:0a:00.0", "1002", "6758", "0300", driver=driver)])
    assert card.state == state
    assert (card.detail is None) == (state == "ok")


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"answers": {("access", "rw /dev/kfd"): True}}, "ok"),
        ({"answers": {("access", "rw /dev/kfd"): False}}, "no_permission"),
        ({"answers": {}}, "unreachable"),
        ({"answers": {}, "errors": {("access", "rw /dev/kfd"): "not_recorded"}}, "ok"),
        ({"answers": {}, "errors": {("access", "rw /dev/kfd"): "other_root"}}, "ok"),
    ],
)
def test_state_by_device_file(given, state):
    """Without the right to open /dev/kfd tools list the card and HIP sees none (ROCm-docker #116)."""
    (card,) = cards_of(node(1), [MI210], **given)
    assert card.state == state


def test_other_vendors_are_not_ours():
    """An NVIDIA card is no AMD one."""
    assert cards_of({}, [PciDevice("0000:01:00.0", "10de", "2684", "0300")]) == ()


@pytest.mark.parametrize(
    ("version", "name"),
    [(90402, "gfx942"), (90010, "gfx90a"), (90000, "gfx900"), (100300, "gfx1030"), (110001, "gfx1101"),
     (120001, "gfx1201")],
)  # fmt: skip
def test_gfx_target(version, name):
    """Minor version and step are hexadecimal digits."""
    assert gfx_target(version) == name


def test_kfd_address():
    """Bus, device and function in the location; the domain beside it."""
    assert kfd_address(1, 0x05FB) == "0001:05:1f.3"


def test_properties():
    """Numbers of 64 bits; whatever is no number is left out."""
    text = "unique_id 18446744073709551615\nname vega\n\nsimd_count\nx -1\n\ufffd 7\n"
    assert parse_properties(text) == {"unique_id": (1 << 64) - 1, "\ufffd": 7}


def test_unreadable_node():
    """One node that may not be read hides no other."""
    denied = {("file", f"{NODES}/1/properties"): "no_permission"}
    found = probe_amd(fake_host(files={**node(1), **node(2, location_id=0x0300)}, errors=denied), ())
    assert [card.pci_address for card in found.facts] == ["0000:03:00.0"]
    assert "no_permission" in [issue.code for issue in found.issues]


def test_driver_version():
    """AMD's package has a version, the kernel's own driver none; without a driver there is nothing."""
    module = "/sys/module/amdgpu"
    assert probe_amd_driver(fake_host(files={f"{module}/version": "6.8.5\n"})).facts.version == "6.8.5"
    assert probe_amd_driver(fake_host(folders=[module])).facts.version is None
    assert probe_amd_driver(fake_host()).facts is None
