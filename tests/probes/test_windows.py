"""Windows: CIM and registry instead of a PCI bus, and NVML beside them."""

import json
from pathlib import Path

import pytest

from gpucheck.host.host import Host, command_key
from gpucheck.host.recording import ReplaySource, read_recording
from gpucheck.host.redact import Redactor
from gpucheck.machine.inspect import inspect_host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading
from gpucheck.probes.systems import is_windows
from gpucheck.probes.windows import CIM, REGISTRY, cim, count, edition, objects, pci_ids, text
from gpucheck.probes.windows_gpus import Adapter, is_integrated, probe_adapters, registry_bytes, with_adapters
from tests.fake_source import fake_host

SIZE = "HardwareInformation.qwMemorySize"
WINDOWS = {"uname": {"system": "Windows", "release": "11", "machine": "AMD64"}}
RTX = "PCI\\VEN_10DE&DEV_2684&SUBSYS_889D1043&REV_A1"
GIB, MIB = 1 << 30, 1 << 20


def video(name, ids=RTX, **more):
    """One adapter as CIM lists it."""
    return {"Name": name, "PNPDeviceID": ids, "ConfigManagerErrorCode": 0, **more}


def key(name, size, ids=RTX):
    """One key of the registry."""
    return {"PSChildName": "0000", "DriverDesc": name, "MatchingDeviceId": ids.lower(), SIZE: size}


def pc(adapters, registry=(), **given):
    """A PC on which PowerShell answers this."""
    commands = {CIM: json.dumps({"video": adapters}), REGISTRY: json.dumps(registry)}
    return fake_host(system=WINDOWS, commands=commands, **given)


def adapter(name, device_id="2684", vendor="NVIDIA", **more):
    """One adapter as the probe returns it."""
    return Adapter(name=name, vendor=vendor, device_id=device_id, **more)


def machine_of(name):
    """The machine of a fixture."""
    path = Path(__file__).parents[2] / "fixtures" / f"{name}.json"
    return inspect_host(Host(ReplaySource(read_recording(path)), "recording"))


def test_memory_by_registry():
    """The 64-bit figure of the driver; a list of one may come as an object; a byte order mark is passed over."""
    printed = {CIM: "\ufeff" + json.dumps({"video": video("NVIDIA GeForce RTX 4090")}),
               REGISTRY: json.dumps(key("NVIDIA GeForce RTX 4090", 24564 * MIB))}  # fmt: skip
    (found,) = probe_adapters(fake_host(system=WINDOWS, commands=printed)).facts
    assert (found.vendor, found.device_id, found.subsystem) == ("NVIDIA", "2684", "1043:889d")
    assert found.memory_bytes == 24564 * MIB


def test_adapter_ram_is_never_asked_for():
    """Its 32 bits say 4293918720 of every larger card (llmfit #830)."""
    assert not any("AdapterRAM" in word for word in (*CIM, *REGISTRY))
    found = probe_adapters(pc([video("AMD Radeon RX 9070 XT", "PCI\\VEN_1002&DEV_7550", AdapterRAM=4293918720)]))
    assert found.facts[0].memory_bytes is None


@pytest.mark.parametrize(
    ("registry", "size"),
    [
        ([key("A", 8 * GIB)], 8 * GIB),
        ([key("B", 4 * GIB), key("A", 8 * GIB)], 8 * GIB),  # found by name, not by place
        ([key("A", 8 * GIB), key("A", 8 * GIB)], 8 * GIB),  # two of them
        ([key("A", 8 * GIB), key("A", 6 * GIB)], None),  # which is it?
        ([key("A", 8 * GIB, "PCI\\VEN_10DE&DEV_1B80")], None),  # another card of that name
        ([key("A", list((8 * GIB).to_bytes(8, "little")))], 8 * GIB),  # REG_BINARY
        ([key("A", [1, 2])], None),
        ([key("A", "8 GB")], None),
        ([key("A", -1)], None),
        ([key("A", None)], None),
        ([{"DriverDesc": 5}], None),
        ([], None),
    ],
)
def test_registry(registry, size):
    """Which of several keys is the card's, and what may stand in it."""
    assert registry_bytes(objects(registry), "A", "10de", "2684", Issues()) == size


def test_others_than_cards():
    """Remote and basic adapters are on no PCI bus; virtual makers' are none of ours."""
    remote = video("Microsoft Remote Display Adapter", "SWD\\REMOTEDISPLAYENUM")
    vmware = video("VMware SVGA 3D", "PCI\\VEN_15AD&DEV_0405")
    assert probe_adapters(pc([remote, vmware, {"Name": 5, "PNPDeviceID": None}])).facts == ()


def test_powershell_that_fails():
    """Blocked, slow or talkative: an issue, once."""
    slow = {("command", command_key(CIM)): "timeout"}
    found = probe_adapters(fake_host(system=WINDOWS, errors=slow))
    assert (found.facts, [issue.code for issue in found.issues]) == ((), ["timeout"])
    found = probe_adapters(fake_host(system=WINDOWS, commands={CIM: "This script is blocked by policy.\n"}))
    assert [(issue.code, "blocked by policy" in issue.detail) for issue in found.issues] == [("malformed", True)]


@pytest.mark.parametrize("printed", ["", "5", "null", "[]", '{"video": 5}', '{"video": [5, null]}', "{" * 100_000])
def test_garbage(printed):
    """No adapter comes of it, and no exception."""
    assert probe_adapters(fake_host(system=WINDOWS, commands={CIM: printed})).facts == ()


def test_one_card_is_one_reading():
    """What NVML names is not listed again; of two equal cards of which NVML names one, the other is."""
    nvml = GpuReading(vendor="NVIDIA", state="ok", name="NVIDIA GeForce RTX 4090", pci_device_id="2684")
    one = adapter("NVIDIA GeForce RTX 4090", memory_bytes=24 * GIB)
    assert with_adapters([nvml], [one], None, Issues()) == [nvml]
    for known in ({"name": "NVIDIA GeForce RTX 4090"}, {"pci_device_id": "2684"}, {}):
        (found,) = with_adapters([GpuReading(vendor="NVIDIA", state="lost", **known)], [one], None, Issues())
        assert (found.state, found.name, found.pci_device_id) == ("lost", "NVIDIA GeForce RTX 4090", "2684")
    second = with_adapters([nvml], [one, one], None, Issues())[1]
    assert (second.state, second.memory_total_bytes) == ("unreachable", 24 * GIB)


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"error_code": 43}, "no_driver"),
        ({"error_code": 22}, "no_driver"),
        ({"error_code": 0}, "unreachable"),
        ({"error_code": 0, "vendor": "AMD"}, "ok"),
        ({"name": "Microsoft Basic Display Adapter"}, "no_driver"),
    ],
)
def test_states(given, state):
    """The device manager's verdict; an NVIDIA card that NVML does not name computes nothing."""
    (found,) = with_adapters([], [adapter(**{"name": "A", **given})], None, Issues())
    assert found.state == state
    assert (found.detail is None) == (state == "ok")


@pytest.mark.parametrize(
    ("name", "vendor", "device_id", "shares"),
    [
        ("Intel(R) UHD Graphics 770", "Intel", "a780", True),
        ("Intel(R) Arc(TM) 140V GPU", "Intel", "64a0", True),
        ("Intel(R) Arc(TM) A770 Graphics", "Intel", "56a0", False),
        ("Intel(R) Arc(TM) B580 Graphics", "Intel", "e20b", False),
        ("AMD Radeon(TM) Graphics", "AMD", "164e", True),
        ("AMD Radeon(TM) 780M Graphics", "AMD", "15bf", True),
        ("AMD Radeon(TM) RX Vega 10 Graphics", "AMD", "15d8", True),
        ("AMD Radeon(TM) 8060S Graphics", "AMD", "1586", True),
        ("AMD Radeon RX 7900 XTX", "AMD", "744c", False),
        ("AMD Radeon RX 7600M XT", "AMD", "7480", False),
        ("AMD Radeon AI PRO R9700", "AMD", "7551", False),
    ],
)
def test_integrated(name, vendor, device_id, shares):
    """Graphics of a processor and cards, told apart without a place on a bus."""
    assert is_integrated(adapter(name, device_id, vendor)) is shares


def test_memory_set_aside():
    """Half a gigabyte set aside at start is not what an APU has; 96 of 128 GiB are."""
    apu = adapter("AMD Radeon(TM) 8060S Graphics", "1586", "AMD", memory_bytes=96 * GIB)
    (large,) = with_adapters([], [apu], 31 * GIB, Issues())
    (small,) = with_adapters([], [apu], 100 * GIB, Issues())
    assert (large.memory_total_bytes, small.memory_total_bytes) == (96 * GIB, None)


def test_linux_is_not_asked():
    """On another system no command is run."""
    host = fake_host(system={"uname": {"system": "Linux"}})
    assert (is_windows(host), cim(host), edition(host)) == (False, {}, None)
    assert {section for section, _ in host.source.asked} == {"system"}


def test_values():
    """CIM's 64-bit numbers are texts, its names padded."""
    entry = {"a": "12", "b": 0, "c": " x ", "d": True, "e": "", "f": "-5"}
    assert [count(entry, name) for name in "abdef"] == [12, None, None, None, None]
    assert [text(entry, name) for name in "bce"] == [None, "x", None]
    assert pci_ids("USB\\VID_1234") is None
    assert pci_ids("PCI\\VEN_1002&DEV_744C") == ("1002", "744c", None)


def test_the_class_of_adapters_is_no_identifier():
    """Its GUID is the same on every machine: masking it would make a recording answer to nothing."""
    assert Redactor(key=b"k" * 16).text(REGISTRY[-1]) == REGISTRY[-1]


class TestMachines:
    """The fixtures, from end to end."""

    def test_desktop(self):
        """NVML names the card, CIM the processor and the system; WDDM is said."""
        machine = machine_of("windows-rtx4090")
        (gpu,) = machine.gpus
        assert (gpu.catalogue_id, gpu.state, gpu.memory.total_bytes) == ("rtx-4090", "ok", 24564 * MIB)
        assert (gpu.pci_address, gpu.processes, gpu.processes_memory_bytes) == ("0000:01:00.0", 1, None)
        assert machine.platform.distribution == "Microsoft Windows 11 Pro, build 26100"
        assert (machine.cpu.name, machine.cpu.vendor) == ("AMD Ryzen 9 7950X 16-Core Processor", "AMD")
        assert (machine.cpu.l3_cache_bytes, machine.memory.total_bytes) == (64 * MIB, 63 * GIB)
        assert "wddm" in {issue.code for issue in machine.issues}

    def test_without_nvml(self):
        """The registry's 16 GB, not the 4 of AdapterRAM; a card long gone stays gone; no news of a missing NVML."""
        machine = machine_of("windows-no-nvml-adapterram")
        card, own = machine.gpus
        assert (card.catalogue_id, card.kind, card.memory.total_bytes) == ("rx-9070-xt", "discrete", 17095983104)
        assert card.sources["memory.total_bytes"] == "reported"
        assert (own.kind, own.memory.total_bytes) == ("integrated", machine.memory.total_bytes)
        assert "library_missing" not in {issue.code for issue in machine.issues}
        assert not any(gpu.vendor == "NVIDIA" for gpu in machine.gpus)

    def test_hybrid_laptop(self):
        """Two GPUs: the laptop's own kind of RTX, and Intel's graphics on the machine's memory."""
        machine = machine_of("windows-laptop-hybrid")
        card, own = machine.gpus
        assert (card.catalogue_id, card.kind, card.memory.total_bytes) == ("rtx-4070-laptop", "discrete", 8188 * MIB)
        assert (own.vendor, own.kind, own.memory.kind) == ("Intel", "integrated", "shared")
        assert own.memory.usable_bytes == machine.memory.usable_bytes


def test_count_of_thousands_of_digits():
    """Python refuses to read such a number."""
    assert count({"TotalVisibleMemorySize": "9" * 5000}, "TotalVisibleMemorySize") is None
