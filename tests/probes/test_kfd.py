"""KFD's nodes: numbers, memory banks, hives, and which nodes are one card."""

import pytest

from gpucheck.probes.collect import Issues
from gpucheck.probes.kfd import NODES, by_card, kfd_topology, parse_properties
from tests.fake_source import fake_host

GIB = 1 << 30


def files(number, banks=(), **facts):
    """The files of one node, by default an MI210's."""
    facts = {"simd_count": 416, "simd_per_cu": 4, "gfx_target_version": 90010, "device_id": 0x740F,
             "location_id": 0x6300, "domain": 0, **facts}  # fmt: skip
    found = {f"{NODES}/{number}/properties": "".join(f"{name} {value}\n" for name, value in facts.items())}
    for place, bank in enumerate(banks):
        text = "".join(f"{name} {value}\n" for name, value in bank.items())
        found[f"{NODES}/{number}/mem_banks/{place}/properties"] = text
    return found


def nodes_of(found):
    """The GPU nodes of a machine with these files."""
    return kfd_topology(fake_host(files=found), Issues()).nodes


def test_facts_of_a_node():
    """Everything that a current kernel tells."""
    bank = {"heap_type": 1, "size_in_bytes": 64 * GIB, "width": 4096, "mem_clk_max": 1600}
    facts = {"hive_id": 7, "unique_id": 9, "drm_render_minor": 128, "max_engine_clk_fcompute": 1700}
    (node,) = nodes_of(files(3, [bank], **facts))
    assert (node.index, node.number, node.compute_units, node.gfx_target) == (0, 3, 104, "gfx90a")
    assert (node.hive_id, node.unique_id, node.render_minor, node.engine_clock_max_mhz) == (7, 9, 128, 1700)
    assert (node.memory.size_bytes, node.memory.width_bits, node.memory.clock_max_mhz) == (64 * GIB, 4096, 1600)
    assert node.memory_bytes == 64 * GIB


def test_zeros_are_unknown():
    """A 0 of the driver stands for what it does not know."""
    bank = {"heap_type": 1, "size_in_bytes": 0, "width": 0, "mem_clk_max": 0}
    facts = {"hive_id": 0, "unique_id": 0, "drm_render_minor": 0, "max_engine_clk_fcompute": 0, "local_mem_size": 0}
    (node,) = nodes_of(files(1, [bank], **facts))
    assert (node.hive_id, node.unique_id, node.render_minor, node.engine_clock_max_mhz) == (None, None, None, None)
    assert (node.memory.size_bytes, node.memory.width_bits, node.memory.clock_max_mhz) == (None, None, None)


def test_host_memory_is_not_the_cards():
    """Width and clock of a bank in host memory are not taken either."""
    banks = [{"heap_type": 0, "size_in_bytes": GIB, "width": 64, "mem_clk_max": 2666},
             {"heap_type": 2, "size_in_bytes": GIB, "width": 2048, "mem_clk_max": 945}]  # fmt: skip
    (node,) = nodes_of(files(1, banks))
    assert (node.memory.size_bytes, node.memory.width_bits, node.memory.clock_max_mhz) == (GIB, 2048, 945)


def test_memory_beside_the_banks():
    """Old kernels state the size in the node itself; a bank that has one goes before."""
    (node,) = nodes_of(files(1, local_mem_size=16 * GIB))
    assert node.memory_bytes == 16 * GIB
    (node,) = nodes_of(files(1, [{"heap_type": 1, "size_in_bytes": 8 * GIB}], local_mem_size=16 * GIB))
    assert node.memory_bytes == 8 * GIB


def test_functions_with_ids_of_their_own():
    """Virtual functions have ids of their own where partitions share one: without a bus that tells them apart."""
    apart = nodes_of({**files(1, location_id=0x0510, unique_id=5), **files(2, location_id=0x0511, unique_id=6)})
    assert list(by_card(apart, frozenset())) == ["0000:05:02.0", "0000:05:02.1"]
    together = nodes_of({**files(1, location_id=0x0510, unique_id=5), **files(2, location_id=0x0511, unique_id=5)})
    assert list(by_card(together, frozenset())) == ["0000:05:02.0"]


def test_nodes_in_the_order_of_their_numbers():
    """Node 10 comes after node 9, as ROCm counts; CPU nodes are not counted."""
    found = {}
    for number in (1, 2, 9, 10):
        found.update(files(number, location_id=number << 8, simd_count=0 if number == 1 else 416))
    assert [(node.index, node.number) for node in nodes_of(found)] == [(0, 2), (1, 9), (2, 10)]


@pytest.mark.parametrize("code", ["io_error", "timeout", "malformed", "not_found", "not_recorded", None])
def test_nothing_is_counted_after_an_unread_node(code):
    """It may be a GPU or none: the nodes after it have no number, with an issue. None: a file without its count."""
    path, issues = f"{NODES}/2/properties", Issues()
    found = {**files(1, location_id=0x100), **files(2, location_id=0x200), **files(3, location_id=0x300)}
    found[path] = "name vega"
    topology = kfd_topology(fake_host(files=found, errors={("file", path): code} if code else {}), issues)
    assert [(node.index, node.number) for node in topology.nodes] == [(0, 1), (None, 3)]
    assert not topology.whole
    assert path in [issue.source for issue in issues.all()]


def test_refused_nodes_are_not_counted():
    """The kernel refuses a container the cards that it was not given, and ROCm goes on to the next."""
    found = {**files(1, location_id=0x100), **files(2, location_id=0x200), **files(3, location_id=0x300)}
    refused = {("file", f"{NODES}/2/properties"): "no_permission"}
    topology = kfd_topology(fake_host(files=found, errors=refused), Issues())
    assert [(node.index, node.number) for node in topology.nodes] == [(0, 1), (1, 3)]
    assert topology.whole


@pytest.mark.parametrize("code", ["io_error", "not_found"])
def test_no_sum_of_unread_banks(code):
    """Where a bank could not be read the node's memory is unknown, not that of the others."""
    banks = [{"heap_type": 1, "size_in_bytes": 2 * GIB, "width": 4096}, {"heap_type": 2, "size_in_bytes": 62 * GIB}]
    unread = {("file", f"{NODES}/1/mem_banks/1/properties"): code}
    (node,) = kfd_topology(fake_host(files=files(1, banks), errors=unread), Issues()).nodes
    assert (node.memory_bytes, node.memory.width_bits) == (None, 4096)


def test_numbers_beyond_64_bits_are_left_out():
    """Twenty digits may be more than the 64 bits that the kernel has."""
    text = "unique_id 18446744073709551615\nhive_id 99999999999999999999\n"
    assert parse_properties(text) == {"unique_id": 18446744073709551615}


@pytest.mark.parametrize("code", ["not_found", "not_recorded", "io_error"])
def test_banks_that_nobody_listed_have_an_issue(code):
    """Every node has the folder, so that its absence is no word of a node without memory."""
    issues = Issues()
    kfd_topology(fake_host(files=files(1), errors={("dir", f"{NODES}/1/mem_banks"): code}), issues)
    assert [(issue.code, issue.source) for issue in issues.all()] == [(code, f"{NODES}/1/mem_banks")]


def test_a_topology_that_was_not_recorded():
    """Where it is not there no driver is loaded; that nobody looked says nothing of cards."""
    for code, codes in (("not_recorded", ["not_recorded"]), ("not_found", [])):
        issues = Issues()
        assert kfd_topology(fake_host(errors={("dir", NODES): code}), issues).nodes == ()
        assert [issue.code for issue in issues.all()] == codes
