"""The PCI bus: classes, drivers, links through bridges, and lspci where sysfs is hidden."""

import pytest

from gpucheck.probes.pci import bridges_of, parse_generation, parse_lspci, pci_order, probe_pci
from tests.fake_source import fake_host

BUS = "/sys/bus/pci/devices"


def device(address, kind="0x030000", vendor="0x10de", number="0x2684", **more):
    """The files of one device."""
    facts = {"class": kind, "vendor": vendor, "device": number, **more}
    return {f"{BUS}/{address}/{name}": f"{value}\n" for name, value in facts.items()}


def link(width, speed, max_width, max_speed):
    """The link's files."""
    return {
        "current_link_width": width,
        "current_link_speed": speed,
        "max_link_width": max_width,
        "max_link_speed": max_speed,
    }


def test_all_facts_of_a_card():
    """Ids without their 0x, driver by its link, no NUMA node for -1."""
    more = {"subsystem_vendor": "0x1458", "subsystem_device": "0x40bf", "revision": "0xa1", "numa_node": "-1"}
    files = device("0000:01:00.0", **more, **link("16", "2.5 GT/s PCIe", "16", "16.0 GT/s PCIe"))
    links = {
        f"{BUS}/0000:01:00.0": "../../../devices/pci0000:00/0000:01:00.0",
        f"{BUS}/0000:01:00.0/driver": "../../../../bus/pci/drivers/nvidia",
    }
    (card,) = probe_pci(fake_host(files=files, links=links)).facts
    assert (card.vendor_id, card.device_id, card.pci_class, card.subsystem) == ("10de", "2684", "0300", "1458:40bf")
    assert (card.revision, card.driver, card.numa_node) == ("a1", "nvidia", None)
    assert (card.link_width, card.link_generation, card.link_max_width, card.link_max_generation) == (16, 1, 16, 4)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("0x030000", True), ("0x030200", True), ("0x038000", True), ("0x120000", True), ("0x0b4000", True),
     ("0x060400", False), ("0x068000", False), ("0x040300", False), ("0x0c0330", False), ("junk", False), ("", False)],
)  # fmt: skip
def test_classes(kind, wanted):
    """Displays, accelerators and co-processors; not the bridges, audio and USB functions beside them."""
    assert bool(probe_pci(fake_host(files=device("0000:01:00.0", kind))).facts) is wanted


def test_only_the_class_of_other_devices_is_read():
    """On a bus of hundreds of devices each uninteresting one costs one read."""
    files = {}
    for number in range(200):
        files.update(device(f"0000:{number:02x}:00.0", "0x020000"))
    host = fake_host(files=files)
    assert probe_pci(host).facts == ()
    assert len([key for section, key in host.source.asked if section == "file"]) == 200


def test_narrow_link_above_a_switch_on_the_card():
    """The slot counts, not the link between the card's own switch and its chip (nokyan/resources #512)."""
    files = {
        **device("0000:00:01.0", "0x060400", "0x8086", **link("4", "8.0 GT/s PCIe", "16", "16.0 GT/s PCIe")),
        **device("0000:01:00.0", "0x060400", "0x1002", **link("4", "8.0 GT/s PCIe", "16", "16.0 GT/s PCIe")),
        **device("0000:02:00.0", "0x060400", "0x1002", **link("16", "16.0 GT/s PCIe", "16", "16.0 GT/s PCIe")),
        **device("0000:03:00.0", vendor="0x1002", **link("16", "16.0 GT/s PCIe", "16", "16.0 GT/s PCIe")),
    }
    path = "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:03:00.0"
    (card,) = probe_pci(fake_host(files=files, links={f"{BUS}/0000:03:00.0": path})).facts
    assert (card.link_width, card.link_generation, card.link_max_width) == (4, 3, 16)


@pytest.mark.parametrize(
    ("section", "path", "error"),
    [
        ("link", "0000:03:00.0", "timeout"),
        ("link", "0000:03:00.0", "not_found"),
        ("link", "0000:03:00.0", "not_recorded"),
        ("file", "0000:00:01.0/current_link_width", "no_permission"),
        ("file", "0000:00:01.0/max_link_speed", "timeout"),
        ("file", "0000:00:01.0/vendor", "timeout"),
    ],
)
def test_a_link_above_that_cannot_be_read_leaves_all_unknown(section, path, error):
    """The slot may be the narrowest, so the card's own sixteen lanes are no answer; an issue says why."""
    files = {
        **device("0000:00:01.0", "0x060400", "0x8086", **link("4", "8.0 GT/s PCIe", "16", "16.0 GT/s PCIe")),
        **device("0000:03:00.0", **link("16", "16.0 GT/s PCIe", "16", "16.0 GT/s PCIe")),
    }
    links = {f"{BUS}/0000:03:00.0": "../../../devices/pci0000:00/0000:00:01.0/0000:03:00.0"}
    errors = {(section, f"{BUS}/{path}"): error}
    found = probe_pci(fake_host(files=files, links=links, errors=errors))
    (card,) = found.facts
    assert (card.link_width, card.link_max_width, card.link_generation, card.link_complete) == (None, None, None, False)
    assert [issue.code for issue in found.issues] == [error]


@pytest.mark.parametrize("name", ["class", "vendor", "device"])
def test_a_device_that_says_not_what_it_is(name):
    """Every device has these files, so a missing one is an issue and no silence."""
    path = f"{BUS}/0000:01:00.0/{name}"
    found = probe_pci(fake_host(files=device("0000:01:00.0"), errors={("file", path): "not_found"}))
    assert [(issue.code, issue.source) for issue in found.issues] == [("not_found", path)]


def test_root_ports_of_hypervisors_are_left_out():
    """QEMU's root port says x1 whatever stands behind it."""
    files = {
        **device("0000:00:02.0", "0x060400", "0x1b36", **link("1", "2.5 GT/s", "1", "2.5 GT/s")),
        **device("0000:06:00.0", **link("16", "16.0 GT/s PCIe", "16", "16.0 GT/s PCIe")),
    }
    links = {f"{BUS}/0000:06:00.0": "../../../devices/pci0000:00/0000:00:02.0/0000:06:00.0"}
    (card,) = probe_pci(fake_host(files=files, links=links)).facts
    assert (card.link_width, card.link_max_generation) == (16, 4)


@pytest.mark.parametrize("width", ["0", "255", "", "Unknown"])
def test_unknown_link(width):
    """No link and an unknown one give no width, and no issue: integrated GPUs have none."""
    files = device("0000:00:02.0", **link(width, "Unknown", width, "Unknown speed"))
    found = probe_pci(fake_host(files=files, links={f"{BUS}/0000:00:02.0": "../../../devices/pci0000:00/0000:00:02.0"}))
    assert (found.facts[0].link_width, found.facts[0].link_generation, found.issues) == (None, None, ())


def test_link_that_cannot_be_read():
    """Older kernels refuse to read the link of a device without one."""
    errors = {("file", f"{BUS}/0000:00:02.0/current_link_width"): "io_error"}
    found = probe_pci(fake_host(files=device("0000:00:02.0"), errors=errors))
    assert (found.facts[0].link_width, found.issues) == (None, ())


@pytest.mark.parametrize(
    ("text", "generation"),
    [("2.5 GT/s PCIe", 1), ("5.0 GT/s PCIe", 2), ("8 GT/s", 3), ("8.0 GT/s PCIe", 3), ("16.0 GT/s PCIe", 4),
     ("32.0 GT/s PCIe\n", 5), ("64.0 GT/s PCIe", 6), ("Unknown", None), ("", None)],
)  # fmt: skip
def test_parse_generation(text, generation):
    """Transfer rates with and without decimals."""
    assert parse_generation(text) == generation


def test_bridges_of():
    """Nearest first; the root's own name is no bridge."""
    target = "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0"
    assert bridges_of(target) == ["0000:01:00.0", "0000:00:01.0"]
    assert bridges_of("") == bridges_of("nonsense") == bridges_of("a/0000:01:00.0") == []


def test_order_by_number():
    """A domain of five digits (Intel VMD) comes after one of four."""
    addresses = ["10000:01:00.0", "0001:00:00.0", "0000:0a:00.1", "0000:0a:00.0"]
    assert sorted(addresses, key=pci_order) == list(reversed(addresses))


LSPCI = """\
00:00.0 Host bridge [0600]: Intel Corporation 440FX - 82441FX PMC [Natoma] [8086:1237] (rev 02)
01:00.0 VGA compatible controller [0300]: NVIDIA Corporation AD102 [GeForce RTX 4090] [10de:2684] (rev a1) (prog-if 00 [VGA controller])
0001:00:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 SXM4 80GB] [10de:20b2] (rev a1)
000b:00:00.0 Bridge [0680]: NVIDIA Corporation GA100 [A100 NVSwitch] [10de:1af1] (rev a1)
05:00.0 Processing accelerators [1200]: Advanced Micro Devices, Inc. [AMD/ATI] Aqua Vanjaram [Instinct MI300X] [1002:74a1]

garbage \ufffd [0300
"""  # noqa: E501


def test_parse_lspci():
    """Lines with and without domain and revision; other classes and garbage are passed over."""
    found = [(one.address, one.vendor_id, one.device_id, one.revision) for one in parse_lspci(LSPCI)]
    assert found == [
        ("0000:01:00.0", "10de", "2684", "a1"),
        ("0000:05:00.0", "1002", "74a1", None),
        ("0001:00:00.0", "10de", "20b2", "a1"),
    ]


def test_lspci_only_where_sysfs_is_missing():
    """An empty bus is an answer; a missing one is not."""
    commands = {("lspci", "-Dnn"): LSPCI}
    assert len(probe_pci(fake_host(commands=commands)).facts) == 3
    empty = fake_host(commands=commands, folders=[BUS])
    assert probe_pci(empty).facts == ()
    assert [section for section, _ in empty.source.asked] == ["dir"]


def test_unreadable_bus():
    """A bus that may not be listed is an issue."""
    found = probe_pci(fake_host(errors={("dir", BUS): "no_permission"}))
    assert [issue.code for issue in found.issues] == ["no_permission"]


def test_hostile_names():
    """Names that are no addresses are passed over, whatever class they claim."""
    assert probe_pci(fake_host(files=device("../../etc"))).facts == ()
    assert probe_pci(fake_host(files=device("0000:01:00.9"))).facts == ()


def test_endless_lines_take_no_time():
    """A line of brackets is no device; looking for the last pair would take the square of its length."""
    assert parse_lspci("0000:01:00.0 x" + "[0302]: " * 100_000 + "\n" + LSPCI) == parse_lspci(LSPCI)


@pytest.mark.parametrize(("error", "known"), [("io_error", False), ("no_permission", False), ("not_found", True)])
def test_a_driver_that_cannot_be_read_is_not_none(error, known):
    """Only a missing link says that nothing is bound."""
    unread = {("link", f"{BUS}/0000:01:00.0/driver"): error}
    (card,) = probe_pci(fake_host(files=device("0000:01:00.0"), errors=unread)).facts
    assert (card.driver, card.driver_known) == (None, known)


def test_a_bus_that_was_not_recorded():
    """On Linux it may hold any card; other systems have no such folder."""
    unasked = {("dir", BUS): "not_recorded"}
    for system, codes in (("Linux", ["not_recorded"]), ("Windows", []), ("Darwin", [])):
        found = probe_pci(fake_host(errors=unasked, system={"uname": {"system": system}}))
        assert (found.facts, [issue.code for issue in found.issues]) == ((), codes)
