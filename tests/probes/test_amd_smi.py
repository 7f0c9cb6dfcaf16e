"""amd-smi's and rocm-smi's JSON: keys by release, lines before it, values that are none, and when it is asked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.probes.amd import probe_amd
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, PciDevice
from gpucheck.probes.rocm_smi import COMMANDS, first_json, market_name, parse_smi, size_bytes, with_tools
from tests.fake_source import fake_host

AMD_SMI, ROCM_SMI = COMMANDS
MIB = 1 << 20
WARNING = "\nWARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status\n"
OLD = {"card0": {"GPU ID": "0x73df", "Unique ID": "N/A", "PCI Bus": "0000:07:00.0", "Card series": "0x1002",
                 "Card model": "0x1002", "VRAM Total Memory (B)": "12868124672",
                 "VRAM Total Used Memory (B)": "1622728704"},
       "system": {"Driver version": "6.3.6"}}  # fmt: skip
NEW = {"card0": {"Device Name": "Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]", "Unique ID": "0x3D45",
                 "PCI Bus": "0000:0C:00.0", "VRAM Total Memory (B)": "25753026560",
                 "Card Series": "AMD Radeon RX 7900 XTX", "Card Model": "0x744c",
                 "GFX Version": "gfx1100"}}  # fmt: skip
STATIC = [{"gpu": 0,
           "asic": {"market_name": "AMD Instinct MI300X", "num_compute_units": 304,
                    "target_graphics_version": "gfx942", "oam_id": "N/A"},
           "bus": {"bdf": "0000:05:00.0", "max_pcie_speed": {"value": 32, "unit": "GT/s"}},
           "vram": {"type": "HBM3", "size": {"value": 196592, "unit": "MB"}, "bit_width": 8192},
           "partition": {"compute_partition": "CPX", "memory_partition": "NPS4", "partition_id": 0}}]  # fmt: skip

KEYS = ("vram", "size", "value", "unit", "bus", "bdf", "PCI Bus", "asic", "market_name", "gpu_data")


def reading(**facts):
    """A reading that lacks everything."""
    return GpuReading(**{"vendor": "AMD", "state": "ok", "pci_address": "0000:05:00.0", **facts})


class TestParsing:
    """The outputs of several releases."""

    def test_rocm_smi_4(self):
        """Ids in place of names, "N/A" in place of an id, and a section that is no card."""
        (card,) = parse_smi(json.dumps(OLD))
        assert (card.address, card.name, card.unique_id) == ("0000:07:00.0", None, None)
        assert (card.memory_total_bytes, card.memory_used_bytes) == (12868124672, 1622728704)

    def test_rocm_smi_6(self):
        """The series has the market name where the device has pci.ids'; the address in capitals."""
        (card,) = parse_smi(json.dumps(NEW))
        assert (card.address, card.name) == ("0000:0c:00.0", "AMD Radeon RX 7900 XTX")
        assert (card.unique_id, card.gfx_target, card.memory_total_bytes) == (0x3D45, "gfx1100", 25753026560)

    @pytest.mark.parametrize("shape", [STATIC, {"gpu_data": STATIC}])
    def test_amd_smi(self, shape):
        """A list, since ROCm 7 inside "gpu_data"."""
        (card,) = parse_smi(json.dumps(shape))
        assert (card.name, card.compute_units, card.gfx_target) == ("AMD Instinct MI300X", 304, "gfx942")
        assert (card.memory_total_bytes, card.memory_type) == (196592 * MIB, "HBM3")
        assert (card.compute_partition, card.memory_partition) == ("CPX", "NPS4")

    @pytest.mark.parametrize(
        ("vram", "size", "kind"),
        [
            ({"vram_type": "AMDSMI_VRAM_TYPE_GDDR6", "vram_size_mb": 16368}, 16368 * MIB, "GDDR6"),
            ({"type": "HBM3E", "size": "196592 MB"}, 196592 * MIB, "HBM3e"),
            ({"type": "N/A", "size": "N/A"}, None, None),
            ({"type": "UNKNOWN", "size": {"value": "N/A", "unit": "MB"}}, None, None),
            ({}, None, None),
            ("N/A", None, None),
        ],
    )
    def test_amd_smi_memory(self, vram, size, kind):
        """Sizes and kinds by release."""
        (card,) = parse_smi(json.dumps([{**STATIC[0], "vram": vram}]))
        assert (card.memory_total_bytes, card.memory_type) == (size, kind)

    @pytest.mark.parametrize("lead", [WARNING, "[WARNING] slow {device}\n", "\n", "x" * 1000 + "\n[1]\n[]\n"])
    def test_lines_before_the_json(self, lead):
        """Warnings, also such as have brackets themselves."""
        assert parse_smi(lead + json.dumps(NEW))[0].name == "AMD Radeon RX 7900 XTX"
        assert parse_smi(lead + json.dumps(STATIC) + "\ntrailer")[0].name == "AMD Instinct MI300X"

    @pytest.mark.parametrize(
        "text",
        ["", "WARNING: No JSON data to report", "{", "[" * 5000, "{}", "[1, 2]", "null", '{"card0": 5}',
         '{"card0": {"PCI Bus": "N/A"}}', '[{"bus": {"bdf": 7}}]'],
    )  # fmt: skip
    def test_no_cards(self, text):
        """Nothing that could be a card."""
        assert parse_smi(text) == ()

    def test_first_json_gives_up(self):
        """After some scores of brackets that begin nothing."""
        assert first_json("[" + "{ " * 100 + json.dumps(NEW)) is None

    @given(st.text(alphabet='{}[]":,0 a\n\\', max_size=80))
    def test_any_text(self, text):
        """No text is an error."""
        assert all(card.address for card in parse_smi(text))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
            max_leaves=12,
        )
    )
    def test_any_json(self, value):
        """No JSON is an error."""
        assert isinstance(parse_smi(json.dumps(value)), tuple)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AMD Radeon RX 7900 XTX", "AMD Radeon RX 7900 XTX"),
        ("Arcturus GL-XL [Instinct MI100]", "AMD Instinct MI100"),
        ("Arcturus GL-XL [AMD Instinct MI100]", "AMD Instinct MI100"),
        ("Navi 22 [Radeon RX 6700/6700 XT / 6800M]", None),
        ("Phoenix3", None), ("0x738c", None), ("N/A", None), ("", None), (7, None), (None, None),
        ("Radeon " * 30, None),
    ],
)  # fmt: skip
def test_market_name(text, name):
    """Products as they are sold; no chips, ids or lists of several."""
    assert market_name(text) == name


@pytest.mark.parametrize(
    ("value", "unit", "size"),
    [("25753026560", "b", 25753026560), (16, "mb", 16 * MIB), ("24 GB", "b", 24 << 30), ({"value": 5}, "mb", 5 * MIB),
     ({"value": 5, "unit": "XB"}, "mb", None), (True, "b", None), (None, "b", None), ("-5", "b", None), (0, "b", None),
     ("9" * 30, "b", None), ({"value": {"value": 5}}, "mb", None)],
)  # fmt: skip
def test_size(value, unit, size):
    """Sizes in every form, and what is none."""
    assert size_bytes(value, unit) == size


class TestLadder:
    """When the tools are asked, and what is taken from them."""

    def test_only_what_lacks(self):
        """The driver's own facts stay, and memory is of one source."""
        host = fake_host(commands={AMD_SMI: json.dumps(STATIC)})
        issues = Issues()
        (found,) = with_tools(host, issues, [reading(name="AMD Instinct MI300X OAM", memory_used_bytes=5)])
        assert (found.name, found.memory_total_bytes) == ("AMD Instinct MI300X OAM", 196592 * MIB)
        assert (found.sources["memory_total_bytes"], "name" in found.sources) == ("amd-smi", False)
        (found,) = with_tools(host, issues, [reading(memory_total_bytes=7)])
        assert (found.name, found.memory_total_bytes) == ("AMD Instinct MI300X", 7)
        assert issues.all() == ()

    def test_second_tool(self):
        """rocm-smi where amd-smi is missing, fails, or knows other cards; and where ROCm is not on PATH."""
        folder = ("/opt/rocm/bin/rocm-smi", *ROCM_SMI[1:])
        cases = (
            {ROCM_SMI: json.dumps(NEW)},
            {AMD_SMI: "broken", ROCM_SMI: WARNING + json.dumps(NEW)},
            {AMD_SMI: json.dumps(STATIC), ROCM_SMI: json.dumps(NEW)},
            {folder: json.dumps(NEW)},
        )
        for commands in cases:
            (found,) = with_tools(fake_host(commands=commands), Issues(), [reading(pci_address="0000:0c:00.0")])
            assert (found.name, found.uuid) == ("AMD Radeon RX 7900 XTX", "GPU-0000000000003d45")

    def test_tools_that_fail(self):
        """A time-out and an output without JSON are issues; a tool that is not there is none."""
        slow = fake_host(errors={("command", json.dumps(list(AMD_SMI))): "timeout"}, commands={ROCM_SMI: "oops"})
        issues = Issues()
        assert with_tools(slow, issues, [reading()]) == [reading()]
        assert [(issue.code, issue.source) for issue in issues.all()] == [
            ("timeout", "amd-smi"), ("malformed", "rocm-smi"),
        ]  # fmt: skip
        issues = Issues()
        assert with_tools(fake_host(), issues, [reading()]) == [reading()]
        assert issues.all() == ()

    def test_a_partition_is_not_the_card(self):
        """In partitions the tool counts a partition's units; the first entry of an address is taken."""
        host = fake_host(commands={AMD_SMI: json.dumps([STATIC[0], {**STATIC[0], "asic": {"market_name": "N/A"}}])})
        (found,) = with_tools(host, Issues(), [reading(partitions=8)])
        assert (found.name, found.multiprocessors, found.compute_partition) == ("AMD Instinct MI300X", None, "CPX")

    @pytest.mark.parametrize(
        ("facts", "units"),
        [
            ({"partitions": 1, "gfx_target": "gfx942"}, 304),
            ({"partitions": None, "gfx_target": None}, 304),  # KFD does not list it
            ({"partitions": None, "gfx_target": None, "compute_partition": "CPX"}, None),
            ({"partitions": None, "gfx_target": "gfx942"}, None),  # not all its nodes could be read
        ],
    )
    def test_units_of_what_may_be_a_partition(self, facts, units):
        """Where nobody knows in how many devices the card is, the tool's units may be those of one of them."""
        host = fake_host(commands={AMD_SMI: json.dumps(STATIC)})
        (found,) = with_tools(host, Issues(), [reading(**facts)])
        assert found.multiprocessors == units

    @pytest.mark.parametrize(("driver", "asked"), [("amdgpu", True), (None, False), ("vfio-pci", False)])
    def test_asked_of_driven_cards(self, driver, asked):
        """No driver, no tool: they would only take their time."""
        host = fake_host(commands={AMD_SMI: json.dumps(STATIC)})
        device = PciDevice("0000:05:00.0", "1002", "74a1", "1200", driver=driver)
        (found,) = probe_amd(host, (device,)).facts
        assert (found.name == "AMD Instinct MI300X") == asked

    def test_not_asked_for_what_is_known(self):
        """Whoever knows the card otherwise says so."""
        host = fake_host(commands={AMD_SMI: json.dumps(STATIC)})
        device = PciDevice("0000:05:00.0", "1002", "74a1", "1200", driver="amdgpu")
        (found,) = probe_amd(host, (device,), ask_tools=lambda reading: False).facts
        assert found.name is None
        assert not any(section == "command" for section, _ in host.source.asked)


def test_endless_names_are_none():
    """No product has a name of thousands of characters; looking for brackets in it would take their square."""
    assert market_name("Radeon " + "[" * 200_000) is None


def test_half_a_surrogate_pair():
    """JSON may hold half a character, which no report can: it becomes U+FFFD."""
    assert first_json('WARNING\n{"card0": {"Device Name": "Radeon \\ud800"}}') == {
        "card0": {"Device Name": "Radeon \ufffd"}
    }
