"""AMD cards: the bus, sysfs memory, KFD nodes and what stands between a card and ROCm."""

import pytest
from msgspec.structs import replace

from gpucheck.probes.amd import probe_amd, probe_amd_driver
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import OtherDriver, PciDevice
from gpucheck.probes.kfd import NODES, by_card, gfx_target, kfd_address, kfd_topology, parse_properties
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
    nodes = kfd_topology(fake_host(files={**node(1), **node(2, location_id=0x6300 | 1 << 28)}), Issues()).nodes
    assert list(by_card(nodes, frozenset())) == ["0000:63:00.0"]
    assert len(nodes) == 2


def test_virtual_functions_are_cards_of_their_own():
    """A function that is on the bus is a device."""
    nodes = kfd_topology(
        fake_host(files={**node(1, location_id=0x0510), **node(2, location_id=0x0511)}), Issues()
    ).nodes
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


PHOENIX = PciDevice("0000:c4:00.0", "1002", "15bf", "0300", revision="c1", driver="amdgpu")
LIMIT = "/sys/module/ttm/parameters/pages_limit"


def lent(total, used=0, vram=GIB // 2):
    """The memory files of an APU."""
    names = {"vram_total": vram, "vram_used": 0, "gtt_total": total, "gtt_used": used}
    return {f"{BUS}/0000:c4:00.0/mem_info_{name}": f"{value}\n" for name, value in names.items()}


def test_memory_of_an_apu():
    """The carve-out and what the kernel lends stay apart; the id tells an APU that KFD does not list."""
    (card,) = cards_of(lent(14 * GIB, GIB), [PHOENIX])
    assert (card.memory_total_bytes, card.memory_free_bytes) == (GIB // 2, GIB // 2)
    assert (card.memory_gtt_total_bytes, card.memory_gtt_used_bytes) == (14 * GIB, GIB)
    assert (card.integrated, card.pci_revision) == (True, "c1")


@pytest.mark.parametrize(
    ("limit", "total"), [(10 * GIB // 4096, 10 * GIB), (20 * GIB // 4096, 14 * GIB), (0, 14 * GIB), ("x", None)]
)
def test_lent_memory_is_bounded_by_the_kernel(limit, total):
    """The page limit of all GPUs together, in pages of 4 KiB; of nonsense there nobody knows what it bounds."""
    for path in (LIMIT, LIMIT.replace("ttm", "amdttm")):
        (card,) = cards_of({**lent(14 * GIB), path: f"{limit}\n"}, [PHOENIX])
        assert card.memory_gtt_total_bytes == total


def test_lent_memory_under_a_limit_that_nobody_could_read():
    """It may be smaller than the table: the size is unknown."""
    found = probe_amd(fake_host(files=lent(14 * GIB), errors={("file", LIMIT): "io_error"}), (PHOENIX,))
    assert (found.facts[0].memory_gtt_total_bytes, found.facts[0].memory_total_bytes) == (None, GIB // 2)
    assert LIMIT in [issue.source for issue in found.issues]


def test_kfd_tells_no_carve_out():
    """What KFD counts of an APU's memory may be carve-out or loan: where sysfs is silent the former is unknown."""
    (card,) = cards_of(node(1, [(1, 14 * GIB)], gfx_target_version=110003))
    assert (card.memory_total_bytes, card.memory_rocm_bytes) == (None, 14 * GIB)


def test_product_id_by_kfd():
    """Where the bus does not say which product a card is, its node does; where neither does, an issue."""
    nameless = replace(MI210, device_id="")
    (card,) = cards_of(node(1), [nameless])
    assert card.pci_device_id == "740f"
    found = probe_amd(fake_host(), (nameless,))
    assert f"{BUS}/0000:63:00.0/device" in [issue.source for issue in found.issues]


@pytest.mark.parametrize(
    ("target", "apu"),
    [(90002, True), (90012, True), (100305, True), (100306, True), (110003, True), (110500, True), (110501, True),
     (110502, True), (110000, False), (120001, False), (90402, False), (90010, False)],
)  # fmt: skip
def test_apu_by_target(target, apu):
    """Newer kernels list an APU's GPU apart from its CPU cores."""
    (card,) = cards_of(node(1, gfx_target_version=target))
    assert card.integrated is apu


def test_memory_clock_and_width():
    """KFD's figures are the card's, but for an APU, whose modules are others'."""
    bank = "heap_type 1\nsize_in_bytes 68719476736\nwidth 4096\nmem_clk_max 1600\n"
    files = {**node(1, max_engine_clk_fcompute=1700), f"{NODES}/1/mem_banks/0/properties": bank}
    (card,) = cards_of(files, [MI210])
    assert (card.memory_bus_bits, card.memory_clock_max_mhz, card.sm_clock_max_mhz) == (4096, 1600, 1700)
    (card,) = cards_of({**files, **node(1, gfx_target_version=110003)})
    assert (card.memory_bus_bits, card.memory_clock_max_mhz) == (None, None)
    assert card.memory_rocm_bytes == 64 * GIB


def partitions(count, units=38, device="0000:05:00.0", first=2, **facts):
    """The nodes of an MI300X in partitions."""
    bus, files = int(device[5:7], 16), {}
    for part in range(count):
        given = {"simd_count": units * 4, "gfx_target_version": 90402, "location_id": bus << 8 | part, **facts}
        files.update(node(first + part, [(1, 24 * GIB)], device_id=0x74A1, **given))
    return files


def mi300x(address):
    """An MI300X on the bus."""
    return PciDevice(address, "1002", "74a1", "1200", driver="amdgpu")


def test_modes_of_partitions():
    """The driver's words for the modes, and how many devices ROCm makes of the card."""
    files = {**partitions(8), f"{BUS}/0000:05:00.0/current_compute_partition": "CPX\n",
             f"{BUS}/0000:05:00.0/current_memory_partition": "NPS4\n"}  # fmt: skip
    (card,) = cards_of(files, [mi300x("0000:05:00.0")])
    assert (card.compute_partition, card.memory_partition, card.partitions) == ("CPX", "NPS4", 8)


def test_a_missing_partition():
    """63 of 64 (amdsmi #99): the card has its units and its memory all the same, and an issue."""
    files = {**partitions(8), **partitions(7, device="0000:27:00.0", first=10)}
    found = probe_amd(fake_host(files=files), (mi300x("0000:05:00.0"), mi300x("0000:27:00.0")))
    assert [(card.multiprocessors, card.memory_total_bytes, card.partitions) for card in found.facts] == [
        (304, 192 * GIB, 8), (304, 192 * GIB, 7),
    ]  # fmt: skip
    assert [issue.source for issue in found.issues if issue.code == "partition_missing"] == ["0000:27:00.0"]
    assert [card.driver_index for card in found.facts] == [0, 8]


def test_cards_in_unlike_modes():
    """A whole card beside one in partitions lacks none."""
    files = {**partitions(8), **partitions(1, units=304, device="0000:27:00.0", first=10)}
    found = probe_amd(fake_host(files=files), ())
    assert [(card.multiprocessors, card.partitions) for card in found.facts] == [(304, 8), (304, 1)]
    assert "partition_missing" not in [issue.code for issue in found.issues]


def test_partitions_that_could_not_all_be_read():
    """A node that could not be read may be one of any card's in partitions: no count and no sums of them."""
    files = {**partitions(8), **partitions(1, units=304, device="0000:27:00.0", first=10), **node(11)}
    files[f"{BUS}/0000:05:00.0/current_compute_partition"] = "CPX\n"
    files[f"{BUS}/0000:27:00.0/current_compute_partition"] = "SPX\n"
    errors = {("file", f"{NODES}/9/properties"): "io_error"}
    pci = (mi300x("0000:05:00.0"), mi300x("0000:27:00.0"), MI210)
    found = probe_amd(fake_host(files=files, errors=errors), pci)
    assert [(card.partitions, card.multiprocessors, card.driver_index) for card in found.facts] == [
        (None, None, 0), (1, 304, None), (1, 104, None),
    ]  # fmt: skip
    assert "partition_missing" not in [issue.code for issue in found.issues]


def test_half_read_partitions_of_a_known_mode():
    """The mode tells what the card has; how many of its partitions ROCm finds is unknown."""
    files = {**partitions(2, units=152), f"{BUS}/0000:05:00.0/current_compute_partition": "DPX\n"}
    errors = {("file", f"{NODES}/3/properties"): "io_error"}
    found = probe_amd(fake_host(files=files, errors=errors), (mi300x("0000:05:00.0"),))
    assert (found.facts[0].multiprocessors, found.facts[0].partitions) == (304, None)
    assert "partition_missing" not in [issue.code for issue in found.issues]


def test_partitions_without_a_mode():
    """A card in partitions has modes: where nobody tells them an issue says so, and of a whole card none."""
    for count, said in ((8, True), (1, False)):
        found = probe_amd(fake_host(files=partitions(count)), (mi300x("0000:05:00.0"),))
        assert (f"{BUS}/0000:05:00.0/current_compute_partition" in [one.source for one in found.issues]) is said


def test_mode_counts_partitions():
    """Where the mode has a number, it tells how many there ought to be."""
    files = {**partitions(1, units=152), f"{BUS}/0000:05:00.0/current_compute_partition": "DPX\n"}
    (card,) = cards_of(files, [mi300x("0000:05:00.0")])
    assert (card.multiprocessors, card.partitions) == (304, 1)


RENDER = ("access", "rw /dev/dri/renderD128")
KFD_OPEN = {("access", "rw /dev/kfd"): True}


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"answers": {**KFD_OPEN, RENDER: True}}, "ok"),
        ({"answers": {**KFD_OPEN, RENDER: False}}, "no_permission"),
        ({"answers": KFD_OPEN}, "unreachable"),
        ({"answers": KFD_OPEN, "errors": {RENDER: "not_recorded"}}, "ok"),
    ],
)
def test_state_by_render_node(given, state):
    """HIP needs the card's own file too; a container has those of the cards it was given."""
    (card,) = cards_of(node(1, drm_render_minor=128), [MI210], **given)
    assert card.state == state
    assert (card.detail is None) == (state == "ok")


def test_some_partitions_out_of_reach():
    """A card of which some partitions may be opened is usable, with an issue."""
    files = {f"{path}": text for path, text in partitions(2, drm_render_minor=128).items()}
    name = f"{NODES}/3/properties"
    files[name] = files[name].replace("minor 128", "minor 129")
    found = probe_amd(fake_host(files=files, answers={**KFD_OPEN, RENDER: True}), (mi300x("0000:05:00.0"),))
    assert found.facts[0].state == "ok"
    assert "partitions_out_of_reach" in [issue.code for issue in found.issues]


def test_unread_node_may_be_the_card():
    """A card without a node is not said to be out of ROCm's reach while a node could not be read."""
    errors = {("file", f"{NODES}/1/properties"): "io_error"}
    found = probe_amd(fake_host(files=node(1), errors=errors), (MI210,))
    assert "not_in_kfd" not in [issue.code for issue in found.issues]
    assert (found.facts[0].driver_index, found.facts[0].partitions) == (None, None)


def test_not_in_kfd():
    """A driven card that KFD does not list is no device of ROCm; where nobody can tell, nothing is said."""
    device = PciDevice("0000:0a:00.0", "1002", "73ff", "0300", driver="amdgpu")
    for errors, said in (({}, True), ({("dir", NODES): "not_recorded"}, False)):
        found = probe_amd(fake_host(errors=errors), (device,))
        assert ("not_in_kfd" in [issue.code for issue in found.issues]) == said
        assert found.facts[0].state == "ok"


def test_bound_driver_without_a_module():
    """A driver that is bound to a card is there; its version is unknown, with an issue."""
    found = probe_amd_driver(fake_host(), (MI210,))
    assert found.facts == OtherDriver("amdgpu", None, None)
    assert [issue.source for issue in found.issues] == ["/sys/module/amdgpu"]
    assert probe_amd_driver(fake_host(), (replace(MI210, driver="vfio-pci"),)).facts is None


def test_whose_driver():
    """In-tree or of AMD's package; a version that cannot be read leaves it open."""
    module = "/sys/module/amdgpu"
    assert probe_amd_driver(fake_host(files={f"{module}/version": "6.8.5\n"})).facts.in_tree is False
    assert probe_amd_driver(fake_host(folders=[module])).facts.in_tree is True
    denied = {("file", f"{module}/version"): "no_permission"}
    assert probe_amd_driver(fake_host(folders=[module], errors=denied)).facts.in_tree is None


def test_a_driver_that_could_not_be_read():
    """KFD's word that it computes is enough; without it nobody knows, and it is not said to have no driver."""
    device = replace(MI210, driver=None, driver_known=False)
    assert [card.state for card in cards_of({}, [device])] == ["unknown"]
    assert [card.state for card in cards_of(node(1), [device])] == ["ok"]
