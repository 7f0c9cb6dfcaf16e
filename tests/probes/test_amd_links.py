"""Which AMD cards reach each other, by KFD's links and hives."""

import pytest

from gpucheck.probes.amd_links import Peers, peers_of
from gpucheck.probes.collect import Issues
from gpucheck.probes.kfd import NODES, by_card, kfd_topology
from tests.fake_source import fake_host


def node(number, bus, **facts):
    """The properties of a GPU node."""
    facts = {"simd_count": 416, "simd_per_cu": 4, "location_id": bus << 8, **facts}
    return {f"{NODES}/{number}/properties": "".join(f"{name} {value}\n" for name, value in facts.items())}


def link(number, kind, place, **facts):
    """One link of a node."""
    text = "".join(f"{name} {value}\n" for name, value in facts.items())
    return {f"{NODES}/{number}/{kind}/{place}/properties": text}


def peers(files, address="0000:01:00.0"):
    """The peers of a card."""
    host, issues = fake_host(files=files), Issues()
    return peers_of(host, issues, address, by_card(kfd_topology(host, issues).nodes, frozenset()))


THREE = {**node(1, 1), **node(2, 2), **node(3, 3)}


def test_xgmi_and_pcie():
    """Type 11 is XGMI; a p2p link of type 2 is access over PCI Express. Both are peers."""
    files = {**THREE, **link(1, "io_links", 0, type=2, node_to=0, flags=1),
             **link(1, "io_links", 1, type=11, node_to=2, flags=1),
             **link(1, "p2p_links", 0, type=2, node_to=3, flags=3)}  # fmt: skip
    assert peers(files) == Peers(xgmi=(1,), p2p=(1, 2))


@pytest.mark.parametrize("flags", [0, 0b10001, 0b10000])
def test_links_that_are_off(flags):
    """A link that is not enabled, or not for peers, is none."""
    assert peers({**THREE, **link(1, "p2p_links", 0, type=2, node_to=3, flags=flags)}) == Peers()


def test_direct_pcie_link_is_no_access():
    """A link of PCI Express among the direct ones does not promise that one card may read another."""
    assert peers({**THREE, **link(1, "io_links", 0, type=2, node_to=3, flags=1)}) == Peers()


def test_hive_without_links():
    """Cards of one hive reach each other; an id of 0 is none."""
    files = {**node(1, 1, hive_id=5), **node(2, 2, hive_id=5), **node(3, 3, hive_id=6), **node(4, 4, hive_id=0)}
    assert peers(files) == Peers(xgmi=(1,), p2p=(1,))
    assert peers(files, "0000:04:00.0") == Peers()


def test_partitions_are_no_peers_of_their_card():
    """Links between the partitions of a card are inside of it; another card counts once, by its first node."""
    files = {**node(1, 1), **node(2, 1), **node(3, 2), **node(4, 2)}
    for number, function in ((2, 1), (4, 1)):
        name = f"{NODES}/{number}/properties"
        files[name] = files[name].replace(
            f"location_id {number // 2 << 8}", f"location_id {number // 2 << 8 | function}"
        )
    for place, other in enumerate((2, 3, 4)):
        files.update(link(1, "io_links", place, type=11, node_to=other, flags=1))
    assert peers(files) == Peers(xgmi=(2,), p2p=(2,))


def test_peers_without_a_number():
    """After a node that could not be read no peer has a number: it is left out, and the card is not its own peer."""
    files = {**node(1, 1, hive_id=5), **node(2, 2), **node(3, 3, hive_id=5), **node(4, 4, hive_id=5)}
    host, issues = fake_host(files=files, errors={("file", f"{NODES}/2/properties"): "io_error"}), Issues()
    cards = by_card(kfd_topology(host, issues).nodes, frozenset())
    assert peers_of(host, issues, "0000:01:00.0", cards) == Peers()
    assert peers_of(host, issues, "0000:04:00.0", cards) == Peers(xgmi=(0,), p2p=(0,))


def test_links_to_nowhere():
    """A link to a node that is not there, or without an end, says nothing."""
    files = {**THREE, **link(1, "io_links", 0, type=11, node_to=9, flags=1), **link(1, "io_links", 1, type=11, flags=1)}
    assert peers(files) == Peers()


@pytest.mark.parametrize(
    ("kind", "code", "told"),
    [
        ("io_links", "not_found", True),
        ("io_links", "not_recorded", True),
        ("p2p_links", "not_found", False),
        ("p2p_links", "not_recorded", True),
    ],
)
def test_links_that_nobody_listed(kind, code, told):
    """Kernels before 6.0 have no p2p_links; every other folder that is missing was not looked at."""
    files = {**node(1, 1), **link(1, "io_links", 0), **link(1, "p2p_links", 0)}
    folder, issues = f"{NODES}/1/{kind}", Issues()
    host = fake_host(files=files, errors={("dir", folder): code})
    nodes = by_card(kfd_topology(host, Issues()).nodes, frozenset())
    peers_of(host, issues, "0000:01:00.0", nodes)
    assert ((code, folder) in {(issue.code, issue.source) for issue in issues.all()}) is told
