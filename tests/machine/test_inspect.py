"""Whole machines from recordings: entries, numbers, peers, adapters, and what fails alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpucheck.host.answer import Answer
from gpucheck.host.host import Host
from gpucheck.host.recording import ReplaySource, read_recording
from gpucheck.machine.evidence import ask_everything
from gpucheck.machine.inspect import inspect_host
from gpucheck.machine.types import Machine
from gpucheck.probes.collect import Found
from gpucheck.probes.facts import GpuReading, Memory, MigInstance, Platform
from gpucheck.probes.nvidia import Nvidia
from tests.fake_source import FakeSource, fake_host

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
GIB = 1 << 30


@cache
def machine(name: str) -> Machine:
    """The machine of a fixture."""
    return inspect_host(Host(ReplaySource(read_recording(FIXTURES / f"{name}.json")), "recording"))


def pci(address: str, vendor: str, device: str, kind: str = "0300", driver: str | None = None) -> dict[str, dict]:
    """Files and links of a device on the bus."""
    folder = f"/sys/bus/pci/devices/{address}"
    files = {
        f"{folder}/vendor": f"0x{vendor}\n",
        f"{folder}/device": f"0x{device}\n",
        f"{folder}/class": f"0x{kind}00\n",
    }
    return {"files": files, "links": {f"{folder}/driver": f"/sys/bus/pci/drivers/{driver}"} if driver else {}}


def on_the_bus(*devices: dict[str, dict], **given) -> Host:
    """A host with these devices, and no driver that answers."""
    files = {path: text for device in devices for path, text in device["files"].items()}
    links = {path: target for device in devices for path, target in device["links"].items()}
    return fake_host(files=files, links=links, **given)


# Machines with a device that is no product of the catalogue, or whose bandwidth is that of the memory beside it.
UNLISTED = {
    "amd-apu-780m", "amd-hsa-override", "amd-shared-id-73bf", "amd-w7900-and-igpu", "apple-intel-mac", "apple-vm",
    "intel-igpu", "rtx-3080-20gb", "torch-gfx-override", "unified-n1x", "vgpu-guest", "vgpu-licensed",
    "vgpu-unlicensed", "windows-laptop-hybrid", "windows-no-nvml-adapterram",
}  # fmt: skip


class TestFixtures:
    """Contracts that hold for every recorded machine."""

    @pytest.mark.parametrize("name", NAMES)
    def test_numbers_and_order(self, name):
        """Entries are numbered as they stand; cards are in PCI order, each followed by its own slices."""
        gpus = machine(name).gpus
        assert [gpu.index for gpu in gpus] == list(range(len(gpus)))
        cards = [gpu.pci_address for gpu in gpus if gpu.kind != "mig"]
        assert cards == sorted(cards, key=lambda address: (address is None, address or ""))
        card = None
        for gpu in gpus:
            card = gpu if gpu.kind != "mig" else card
            assert gpu.kind != "mig" or gpu.mig.parent == card.index

    @pytest.mark.parametrize("name", NAMES)
    def test_figures_make_sense(self, name):
        """Usable and free memory never exceed the total; every card is in the catalogue, but those of `UNLISTED`."""
        for gpu in machine(name).gpus:
            memory = gpu.memory
            assert (memory.usable_bytes or 0) <= (memory.free_bytes or memory.usable_bytes or 0)
            assert memory.total_bytes is None or (memory.free_bytes or 0) <= memory.total_bytes
            if name not in UNLISTED:
                assert gpu.catalogue_id is not None
                assert gpu.bandwidth_bytes_per_s > 0

    @pytest.mark.parametrize("name", sorted(UNLISTED))
    def test_what_is_unlisted_stays_unknown(self, name):
        """A machine of `UNLISTED` has a device without a catalogue entry, or one whose bandwidth nothing tells."""
        gpus = machine(name).gpus
        assert any(gpu.catalogue_id is None or gpu.bandwidth_bytes_per_s is None for gpu in gpus)

    @pytest.mark.parametrize("name", NAMES)
    def test_issues_are_sorted_and_whole(self, name):
        """Issues are sorted, each once, with a code, a source and words."""
        issues = machine(name).issues
        assert list(issues) == sorted(set(issues))
        assert all(issue.code and issue.source and issue.detail for issue in issues)
        assert "probe_failed" not in {issue.code for issue in issues}

    @pytest.mark.parametrize("name", NAMES)
    def test_the_same_twice(self, name):
        """A recording gives the same machine however often it is read."""
        again = inspect_host(Host(ReplaySource(read_recording(FIXTURES / f"{name}.json")), "recording"))
        assert again == machine(name)
        assert again.source == "recording"


class TestEntries:
    """Cards, slices and their relations."""

    def test_slices_follow_their_card(self):
        """Four MIG devices are four entries after their card, which only they can be used through."""
        card, *slices = machine("h100-mig").gpus
        assert (card.kind, card.mig.mode, card.mig.instances, card.usable) == ("discrete", "enabled", 4, False)
        assert [gpu.mig.profile for gpu in slices] == ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"]
        assert machine("h100-mig").usable_gpus == tuple(slices)

    def test_a_lost_gpu_hides_no_other(self):
        """Of eight cards with one lost, seven are whole, and the lost one stands in its place."""
        gpus = machine("h100-x8-one-lost").gpus
        assert [gpu.state for gpu in gpus] == ["ok"] * 5 + ["lost"] + ["ok"] * 2
        assert len(machine("h100-x8-one-lost").usable_gpus) == 7

    def test_peers_are_the_reports_numbers(self):
        """NVLink reaches every other card of the node."""
        for gpu in machine("h100-x8").gpus:
            others = tuple(number for number in range(8) if number != gpu.index)
            assert gpu.nvlink.peers == gpu.p2p_peers == others

    def test_peers_are_renumbered(self, monkeypatch):
        """The driver counts its own cards: slices and other makers' cards in between shift the report's numbers."""

        def reading(number: int, address: str, **facts) -> GpuReading:
            name = f"A100 of slot {number}"
            return GpuReading(vendor="NVIDIA", state="ok", driver_index=number, name=name, pci_address=address, **facts)

        cut = reading(0, "0000:01:00.0", mig_mode="enabled", mig_devices=(MigInstance(0), MigInstance(1)))
        linked = reading(1, "0000:03:00.0", nvlink_peers=(2,), p2p_peers=(0, 2, 9))
        other = reading(2, "0000:04:00.0", nvlink_peers=(1,))
        # handed over in another order than that of the bus
        monkeypatch.setattr(
            "gpucheck.machine.inspect.probe_nvidia", lambda *_, **__: Found(Nvidia(gpus=(other, linked, cut)))
        )
        found = inspect_host(on_the_bus(pci("0000:02:00.0", "8086", "e20b"))).gpus
        assert [(gpu.vendor, gpu.kind, gpu.pci_address) for gpu in found] == [
            ("NVIDIA", "discrete", "0000:01:00.0"),
            ("NVIDIA", "mig", "0000:01:00.0"),
            ("NVIDIA", "mig", "0000:01:00.0"),
            ("Intel", "discrete", "0000:02:00.0"),
            ("NVIDIA", "discrete", "0000:03:00.0"),
            ("NVIDIA", "discrete", "0000:04:00.0"),
        ]
        assert (found[4].nvlink.peers, found[4].p2p_peers) == ((5,), (0, 5))
        assert found[5].nvlink.peers == (4,)

    def test_hidden_cards_are_there(self):
        """Cards hidden by an empty list are listed, hidden, and not usable."""
        found = machine("gpus-hidden")
        assert [(gpu.visible, gpu.hidden_by) for gpu in found.gpus] == [(False, "CUDA_VISIBLE_DEVICES=")] * 2
        assert found.usable_gpus == ()
        assert found.visibility["CUDA_VISIBLE_DEVICES"] == ""


class TestBus:
    """What the bus alone shows."""

    def test_every_maker_is_seen(self):
        """Cards of every maker are entries in PCI order; other display devices are named apart."""
        host = on_the_bus(
            pci("0000:00:02.0", "1234", "1111"),
            pci("0000:01:00.0", "10de", "2684"),
            pci("0000:02:00.0", "1002", "744c"),
            pci("0000:03:00.0", "8086", "e20b"),
            pci("0000:04:00.0", "1a03", "2000"),
        )
        found = inspect_host(host)
        assert [(gpu.vendor, gpu.state, gpu.pci_address) for gpu in found.gpus] == [
            ("NVIDIA", "no_driver", "0000:01:00.0"),
            ("AMD", "no_driver", "0000:02:00.0"),
            ("Intel", "no_driver", "0000:03:00.0"),
        ]
        assert [adapter.pci_id for adapter in found.display_adapters] == ["1234:1111", "1a03:2000"]
        assert all(adapter.name for adapter in found.display_adapters)

    def test_an_unknown_adapter_is_listed_without_a_name(self):
        """A device that no table names is no card, but it is not left out."""
        found = inspect_host(on_the_bus(pci("0000:01:00.0", "ffff", "0001")))
        assert found.gpus == ()
        assert [(adapter.name, adapter.pci_id) for adapter in found.display_adapters] == [(None, "ffff:0001")]

    def test_an_adapter_that_says_not_what_it_is(self):
        """Half an id is none; an issue says what could not be read."""
        files = "/sys/bus/pci/devices/0000:01:00.0"
        host = on_the_bus(pci("0000:01:00.0", "ffff", "0001"), errors={("file", f"{files}/vendor"): "io_error"})
        found = inspect_host(host)
        assert [(adapter.pci_address, adapter.pci_id) for adapter in found.display_adapters] == [("0000:01:00.0", None)]
        assert ("io_error", f"{files}/vendor") in {(issue.code, issue.source) for issue in found.issues}

    @pytest.mark.parametrize(("error", "state"), [("io_error", "unknown"), ("not_found", "no_driver")])
    @pytest.mark.parametrize(("vendor", "device"), [("10de", "2684"), ("1002", "744c"), ("8086", "e20b")])
    def test_a_driver_that_cannot_be_read(self, vendor, device, error, state):
        """Of a card whose driver nobody could read it is not said that it has none."""
        unread = {("link", "/sys/bus/pci/devices/0000:01:00.0/driver"): error}
        found = inspect_host(on_the_bus(pci("0000:01:00.0", vendor, device), errors=unread))
        assert [gpu.state for gpu in found.gpus] == [state]

    def test_a_card_without_a_handle_stays_one_card(self):
        """NVML knows its index alone and the link to its driver cannot be read: it is still the one on the bus."""
        recording = read_recording(FIXTURES / "lost-without-xid.json")
        links = {"/sys/bus/pci/devices/0000:02:00.0/driver": Answer(error="io_error")}
        answers = {**recording.answers, "link": {**recording.answers["link"], **links}}
        found = inspect_host(Host(ReplaySource(replace(recording, answers=answers)), "recording"))
        assert [(gpu.pci_address, gpu.state) for gpu in found.gpus] == [
            ("0000:01:00.0", "ok"),
            ("0000:02:00.0", "lost"),
        ]

    def test_an_empty_machine(self):
        """A machine that answers nothing has no GPU, and issues that say what was not found."""
        found = inspect_host(fake_host())
        assert found.gpus == ()
        assert found.display_adapters == ()
        assert {issue.code for issue in found.issues} <= {"not_found", "unknown"}
        assert "probe_failed" not in {issue.code for issue in found.issues}


class Failing(FakeSource):
    """A host of which one section raises: a defect nobody foresaw."""

    def answer(self, section, key, timeout_s):
        """Raise for files under /proc, answer else."""
        if section == "file" and key.startswith("/proc"):
            raise ZeroDivisionError(key)
        return super().answer(section, key, timeout_s)


def test_probes_that_fail_cost_their_facts_only(monkeypatch):
    """A probe that raises leaves its facts empty and an issue, and the other probes' facts whole."""

    def broken(host):
        raise KeyError("surprise")

    monkeypatch.setattr("gpucheck.machine.inspect.probe_memory", broken)
    monkeypatch.setattr("gpucheck.machine.inspect.probe_platform", broken)
    found = inspect_host(Host(ReplaySource(read_recording(FIXTURES / "card-t4.json")), "recording"))
    assert (found.memory, found.platform) == (Memory(), Platform())
    failed = {issue.source: issue.detail for issue in found.issues if issue.code == "probe_failed"}
    assert failed == {"probe memory": "KeyError: 'surprise'", "probe platform": "KeyError: 'surprise'"}
    assert found.gpus == machine("card-t4").gpus
    assert found.cpu == machine("card-t4").cpu


def test_a_host_that_raises_is_no_traceback():
    """A source that raises where none should still gives a report."""
    found = inspect_host(Host(Failing(), "recording"))
    assert found.gpus == ()
    assert found.issues


def test_the_interpreter_is_passed_on():
    """The Python that was asked for is the one whose frameworks are looked at."""
    source = FakeSource()
    inspect_host(Host(source, "recording"), "/opt/env/bin/python")
    assert any("/opt/env" in key for _, key in source.asked)


def test_evidence_asks_beyond_the_report():
    """A recording asks what a report does not, in every section, and never fails for what is not there."""
    source = FakeSource(answers={("nvml", "system/DeviceCount"): 2})
    ask_everything(Host(source, "live"))
    asked = set(source.asked)
    assert ("file", "/proc/modules") in asked
    assert ("dir", "/dev") in asked
    assert ("nvml", "system/DriverVersion") in asked
    assert any(section == "command" and "nvlink" in key for section, key in asked)
    assert {key.split("/")[0] for section, key in asked if section == "nvml"} == {"system", "gpu0", "gpu1"}


@pytest.mark.parametrize("count", [None, -1, "2", 10_000])
def test_evidence_takes_no_count_on_trust(count):
    """A count of GPUs that makes no sense asks of none, or of at most 64."""
    source = FakeSource(answers={} if count is None else {("nvml", "system/DeviceCount"): count})
    ask_everything(Host(source, "live"))
    devices = {key.split("/")[0] for section, key in source.asked if section == "nvml"} - {"system"}
    assert len(devices) == (64 if count == 10_000 else 0)
