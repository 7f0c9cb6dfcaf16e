"""What is told of the cards themselves: how they are set up, what else they do, and how well they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import gpucheck
from gpucheck.assess.findings import Finding, find_problems
from gpucheck.machine.types import DisplayAdapter, Flops, Gpu, GpuMemory, Health, Machine, Mig, Pcie
from gpucheck.probes.facts import Cpu, Memory, Platform
from tests.running import fixture

GIB = 1 << 30
OURS = {"GC102", "GC104", "GC105", "GC106", "GC107", "GC108", *(f"GC{number}" for number in range(506, 512))}


def card(index: int = 0, gib: float = 24, free: float | None = None, **facts: Any) -> Gpu:
    """A usable NVIDIA card in a place of its own, idle unless it is said what is free."""
    memory = GpuMemory(int(gib * GIB), int((gib - 0.5 if free is None else free) * GIB), None, "dedicated")
    base = Gpu(index, "NVIDIA GeForce RTX 3090", "NVIDIA", "ok", "discrete", pci_address=f"0000:{index + 1:02x}:00.0")
    return msgspec.structs.replace(base, memory=memory, **facts)


def box(*gpus: Gpu, os: str = "linux", visibility: dict[str, str] | None = None, **facts: Any) -> Machine:
    """A machine with these cards; further facts are its platform's."""
    platform = Platform(os=os, **facts)
    return Machine("live", platform, Cpu(), Memory(), gpus=gpus, visibility=visibility or {})


def codes(machine: Machine) -> list[str]:
    """The codes of this file's findings."""
    return [finding.code for finding in find_problems(machine) if finding.code in OURS]


def only(machine: Machine) -> Finding:
    """The one finding of this file's."""
    (found,) = (finding for finding in find_problems(machine) if finding.code in OURS)
    return found


class TestSetUp:
    """GC102, GC104, GC508, GC510 and GC511."""

    @pytest.mark.parametrize(("mode", "said"), [("exclusive_process", "Exclusive_Process"),
                                                ("exclusive_thread", "Exclusive_Thread")])  # fmt: skip
    def test_exclusive(self, mode: str, said: str) -> None:
        """One process at a time is a remark, with the command that ends it; a slice repeats nothing."""
        part = card(1, compute_mode=mode, kind="mig", mig=Mig(parent=0))
        found = only(box(card(compute_mode=mode), part))
        assert (found.code, found.severity, found.found) == ("GC104", "info", f"compute mode {said}")
        assert found.remedy.commands == ("sudo nvidia-smi -i 0000:01:00.0 -c DEFAULT",)

    def test_an_idle_link_is_as_it_should_be(self) -> None:
        """Generation 1 of 5 with all lanes is an idle card; a laptop has the lanes that its maker laid."""
        assert codes(box(card(pcie=Pcie(generation=1, max_generation=5, width=16, max_width=16)))) == []
        narrow = card(pcie=Pcie(generation=4, max_generation=4, width=8, max_width=16))
        assert codes(box(narrow)) == ["GC102"]
        assert codes(box(msgspec.structs.replace(narrow, segment="laptop"))) == []

    @pytest.mark.parametrize(
        ("facts", "told"),
        [
            ({"power_limit_w": 300.0}, ["GC508"]),
            ({"power_limit_w": 350.0}, []),
            ({"power_limit_w": 400.0}, []),  # raised
            ({"power_limit_w": 349.5}, []),  # rounded by somebody
            ({"power_limit_w": None}, []),
            ({"power_limit_w": 300.0, "segment": "laptop"}, []),
            ({"power_limit_w": 300.0, "sources": {"tdp_w": "catalogue"}}, []),
            ({"power_limit_w": 300.0, "kind": "vgpu"}, []),
        ],
    )
    def test_power_cap(self, facts: dict[str, Any], told: list[str]) -> None:
        """A limit below the board's own default is told; one that moves by itself or has no such default is not."""
        assert codes(box(card(**{"tdp_w": 350.0, "sources": {"tdp_w": "reported"}, **facts}))) == told

    def test_power_cap_is_set_back(self) -> None:
        """The command sets the default, with the privileges of the system that it is for."""
        capped = card(tdp_w=350.0, power_limit_w=280.0, sources={"tdp_w": "reported"})
        assert only(box(capped)).remedy.commands == ("sudo nvidia-smi -i 0000:01:00.0 -pl 350",)
        assert only(box(capped, os="windows")).remedy.commands == ("nvidia-smi -i 0000:01:00.0 -pl 350",)

    @pytest.mark.parametrize(
        ("facts", "place", "told"),
        [
            ({}, {}, ["GC510"]),
            ({"persistence": True}, {}, []),
            ({"persistence": None}, {}, []),
            ({"segment": "consumer"}, {}, []),
            ({"display_active": True}, {}, []),
            ({}, {"container": "docker"}, []),
            ({}, {"virtual_machine": "kvm"}, []),
            ({}, {"wsl": True}, []),
            ({}, {"os": "windows"}, []),
            ({}, {"visibility": {"SLURM_JOB_GPUS": "0"}}, []),
        ],
    )
    def test_persistence(self, facts: dict[str, Any], place: dict[str, Any], told: list[str]) -> None:
        """It is told of a server's own cards, not where the host or a scheduler decides, nor of a desktop."""
        machine = box(card(**{"persistence": False, "segment": "datacenter", **facts}), **place)
        assert [code for code in codes(machine) if code == "GC510"] == told

    def test_persistence_of_several_cards_is_one_finding(self) -> None:
        """A node of eight is told once."""
        cards = [card(index, persistence=False, segment="datacenter") for index in range(8)]
        assert only(box(*cards)).title.startswith("Persistence mode is off on 8 server cards")

    @pytest.mark.parametrize(
        ("kind", "licensed", "told"),
        [("vgpu", False, ["GC511"]), ("vgpu", True, []), ("vgpu", None, []), ("discrete", False, [])],
    )
    def test_licence(self, kind: str, licensed: bool | None, told: list[str]) -> None:
        """A vGPU that says it has no licence is a warning; one that does not say is none."""
        assert codes(box(card(kind=kind, vgpu_licensed=licensed))) == told


class TestDevices:
    """GC105 to GC108."""

    SLOW, FAST = Flops(fp32=20e12), Flops(fp32=80e12)

    def pair(self, first: Flops = SLOW, second: Flops = FAST, **place: Any) -> Machine:
        """Two unlike cards in the order of the bus."""
        return box(
            card(0, 8, flops=first, name="NVIDIA GeForce RTX 3070"),
            card(1, flops=second, name="NVIDIA GeForce RTX 4090"), **place,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("variables", "told"),
        [
            ({}, True),
            ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, True),
            ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, False),
            ({"CUDA_VISIBLE_DEVICES": "GPU-00000000-0000"}, False),
            ({"CUDA_VISIBLE_DEVICES": "0,1"}, True),
        ],
    )
    def test_order(self, variables: dict[str, str], told: bool) -> None:
        """Numbers are ambiguous until the order is set or UUIDs are used; what is set is named."""
        machine = self.pair(visibility=variables)
        assert ("GC105" in codes(machine)) is told
        if told:
            found = next(finding for finding in find_problems(machine) if finding.code == "GC105")
            assert "its device 0 is GPU 1 here" in found.title
            assert ("FASTEST_FIRST" in found.found) is ("CUDA_DEVICE_ORDER" in variables)

    def test_order_without_a_difference(self) -> None:
        """With the fastest card first, alike cards, or a rate that nobody knows, both orders are, or may be, one."""
        assert "GC105" not in codes(self.pair(self.FAST, self.SLOW))
        assert "GC105" not in codes(self.pair(self.FAST, self.FAST))
        assert "GC105" not in codes(self.pair(Flops(), self.FAST))

    def test_order_is_set_in_the_machines_own_shell(self) -> None:
        """Bash exports a variable; PowerShell has a form of its own."""
        commands = {}
        for system in ("linux", "windows"):
            machine = self.pair(os=system)
            (commands[system],) = (one.remedy.commands for one in find_problems(machine) if one.code == "GC105")
        assert commands == {
            "linux": ("export CUDA_DEVICE_ORDER=PCI_BUS_ID",),
            "windows": ('$env:CUDA_DEVICE_ORDER = "PCI_BUS_ID"',),
        }

    def test_mixed(self) -> None:
        """Two kinds are named once each; alike cards, hidden ones and graphics of a processor make no mixture."""
        found = only(self.pair(self.FAST, self.SLOW))
        assert (found.code, found.severity) == ("GC106", "info")
        assert found.found == "NVIDIA GeForce RTX 3070 with 8 GB; NVIDIA GeForce RTX 4090 with 24 GB"
        assert codes(box(card(0), card(1))) == []
        assert codes(box(card(0), card(1, 8, visible=False))) == []
        assert codes(box(card(0), card(1, 8, kind="integrated"))) == []

    def test_mixed_makers(self) -> None:
        """Cards of two makers are split over by one engine only, and it is named."""
        radeon = card(1, vendor="AMD", name="AMD Radeon RX 7900 XTX")
        text = only(box(card(0), radeon)).remedy.text
        assert "Vulkan" in text
        assert "NVIDIA or AMD" in text

    def test_a_simulated_mixture(self) -> None:
        """Cards that somebody thinks of are told to be unlike; in which order they would stand is open."""
        assert codes(gpucheck.simulate("RTX 3090 + RTX 4090")) == ["GC106"]

    @pytest.mark.parametrize(
        ("name", "chip", "cores", "told"),
        [
            ("NVIDIA GeForce RTX 4090 Laptop GPU", "AD103", 9728, ["GC107"]),
            ("NVIDIA GeForce RTX 4060 Laptop GPU", "AD107", 3072, []),  # the desktop's chip and cores
            ("NVIDIA GeForce RTX 2070 with Max-Q Design", "TU106", 2304, []),
            ("NVIDIA GeForce MX550", "TU117", 1024, []),  # there is no other
            ("NVIDIA RTX A500 Laptop GPU", "GA107", 2048, []),
        ],
    )
    def test_laptop_names(self, name: str, chip: str, cores: int, told: list[str]) -> None:
        """A desktop card of the name with another chip or number of cores is pointed out, and no other."""
        assert codes(box(card(name=name, chip=chip, shader_cores=cores, segment="laptop"))) == told

    def test_laptop_part_in_full(self) -> None:
        """Both parts are told with chip, memory and cores."""
        (found,) = find_problems(gpucheck.load(fixture("laptop-4090")))
        assert found.found == "AD103, 16 GB, 9,728 cores"
        assert found.required.endswith("not the desktop's AD102, 24 GB, 16,384 cores")

    @pytest.mark.parametrize(
        ("others", "facts", "told"),
        [
            ((), {"display_active": True}, ["GC108"]),
            ((), {"display_active": False}, []),
            ((), {"display_active": None}, []),
            ((), {"display_active": True, "visible": False}, []),
            ((), {"display_active": True, "kind": "integrated"}, []),
            (("discrete",), {"display_active": True}, []),  # the other one is free
            (("integrated",), {"display_active": True}, ["GC108"]),
        ],
    )
    def test_display(self, others: tuple[str, ...], facts: dict[str, Any], told: list[str]) -> None:
        """A desktop on the only card that models can use is a remark."""
        assert codes(box(card(**facts), *(card(1, kind=kind) for kind in others))) == told

    def test_display_elsewhere(self) -> None:
        """Where there are other graphics the screen can move; in a container and on Windows no command stops it."""
        shown = card(display_active=True, free=22.5)
        alone = only(box(shown))
        assert alone.found == "display active, 1.5 GiB of its memory in use"
        assert alone.remedy.commands == ("sudo systemctl isolate multi-user.target",)
        beside = msgspec.structs.replace(
            box(shown), display_adapters=(DisplayAdapter("UHD", "0000:00:02.0", "8086:1"),)
        )
        assert only(beside).remedy.text.startswith("plug the screen into the board's own graphics")
        assert only(box(shown, os="windows")).remedy.commands == ()
        assert only(box(shown, container="docker")).remedy.commands == ()


class TestHealth:
    """GC506, GC507 and GC509."""

    @pytest.mark.parametrize(
        ("xids", "severity", "commands"),
        [
            ((31,), "info", 1),
            ((31, 119), "warning", 2),
            ((79,), "warning", 1),
            ((48,), "warning", 2),
            ((92,), "info", 1),
            ((999,), "info", 1),  # none of the catalogue
        ],
    )
    def test_past_errors(self, xids: tuple[int, ...], severity: str, commands: int) -> None:
        """The gravest code decides; a reset is offered where NVIDIA's catalogue asks for one."""
        found = only(box(card(health=Health(xids=xids))))
        assert (found.code, found.severity, len(found.remedy.commands)) == ("GC506", severity, commands)
        assert all(f"Xid {code}" in found.found for code in xids)

    @pytest.mark.parametrize("xids", [(), (63,), (106, 107)])
    def test_errors_to_ignore(self, xids: tuple[int, ...]) -> None:
        """What NVIDIA advises to ignore is no finding."""
        assert codes(box(card(health=Health(xids=xids)))) == []

    def test_past_errors_of_a_lost_card(self) -> None:
        """They stand in the finding that it is lost, and are not told twice."""
        assert codes(box(card(state="lost", health=Health(xids=(79,))))) == []

    @pytest.mark.parametrize(
        ("counts", "severity", "found"),
        [
            ((2, 5), "warning", "2 since the driver was loaded, 5 in the board's life"),
            ((1, None), "warning", "1 since the driver was loaded, 1 in the board's life"),
            ((0, 3), "info", "0 since the driver was loaded, 3 in the board's life"),
        ],
    )
    def test_memory_errors(self, counts: tuple[int, int | None], severity: str, found: str) -> None:
        """Errors since the driver was loaded are a warning, older ones a remark."""
        told = only(box(card(health=Health(ecc_volatile_uncorrected=counts[0], ecc_aggregate_uncorrected=counts[1]))))
        assert (told.code, told.severity, told.found) == ("GC507", severity, found)

    @pytest.mark.parametrize("counts", [(0, 0), (None, None)])
    def test_no_memory_errors(self, counts: tuple[int | None, int | None]) -> None:
        """None counted, and nothing counted, are no news."""
        health = Health(ecc_volatile_uncorrected=counts[0], ecc_aggregate_uncorrected=counts[1])
        assert codes(box(card(health=health))) == []

    @pytest.mark.parametrize(
        ("facts", "severity"),
        [
            ({"free": 23.5}, None),
            ({"free": 18.0}, None),  # 6 GiB less 1 GiB is a fifth
            ({"free": 16.0}, "info"),
            ({"free": 10.0}, "warning"),
            ({"free": 23.0, "processes": 1, "processes_memory_bytes": 13 * GIB}, "warning"),
            ({"free": 4.0, "visible": False}, None),
            ({"free": 4.0, "mig": Mig(mode="enabled", instances=2)}, None),
            ({"free": 4.0, "kind": "unified"}, None),
        ],
    )
    def test_memory_taken(self, facts: dict[str, Any], severity: str | None) -> None:
        """A quarter of the memory is a remark, half of it a warning; the driver's own GiB is not counted."""
        found = [one.severity for one in find_problems(box(card(**facts))) if one.code == "GC509"]
        assert found == ([severity] if severity else [])

    def test_who_holds_it(self) -> None:
        """NVIDIA's own list where it has any; else, under Linux, who has the device files open."""
        seen = only(box(card(free=4, processes=2, processes_memory_bytes=19 * GIB)))
        assert seen.title == "19.0 GiB of GPU 0's memory is held by 2 processes"
        assert seen.remedy.commands == ("nvidia-smi -i 0000:01:00.0",)
        unseen = only(box(card(free=4, processes=0, processes_memory_bytes=0)))
        assert "none can be seen" in unseen.title
        assert unseen.remedy.commands == ("sudo fuser -v /dev/nvidia*",)
        radeon = card(free=4, vendor="AMD", name="AMD Radeon RX 7900 XTX")
        assert only(box(radeon)).remedy.commands == ("sudo fuser -v /dev/kfd /dev/dri/renderD*",)
        assert only(box(radeon, os="windows")).remedy.commands == ()


def _told_without_the_log() -> Iterator[str]:
    for name in ("xid-of-a-program", "xid-of-the-firmware"):
        yield from codes(gpucheck.load(fixture(name)))


def test_the_report_reads_no_kernel_log() -> None:
    """Past errors are looked for by `doctor` alone: reading the log takes a command."""
    assert list(_told_without_the_log()) == []


@pytest.mark.parametrize("name", ["mixed-fastest-first", "server-in-order", "vgpu-licensed", "vgpu-guest"])
def test_machines_without_the_trouble(name: str) -> None:
    """The twins of machines in trouble have none of it; what an old recording was not asked is no trouble either."""
    found = codes(gpucheck.load(fixture(name), kernel_log=True))
    assert found == (["GC106"] if name.startswith("mixed") else [])
