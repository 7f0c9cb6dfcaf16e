"""What stands in the way, and the commands that mend it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import pytest

import gpucheck
from gpucheck.assess.findings import Finding, find_problems
from gpucheck.machine.types import Drivers, Gpu, Health, Machine, Mig, Pcie
from gpucheck.probes.facts import Cpu, Memory, NvidiaDriver, Platform, ProbeIssue

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
# The recorded machines in which something is wrong; all others are healthy.
ILL = {
    "amd-hsa-override": ["GC209"],
    "amd-no-kfd-permission": ["GC204"],
    "amd-override-wrong": ["GC209"],
    "amd-rocr-hip-hidden": ["GC402", "GC402"],
    "amd-strix-halo": ["GC414"],
    "amd-w7900-and-igpu": ["GC402"],
    "apple-lowered-limit": ["GC413"],
    "apple-m3-max-30core": ["GC413"],
    "apple-m4-max-128": ["GC413"],
    "apple-vm": ["GC412"],
    "card-a100": ["GC407"],
    "card-h100-sxm": ["GC407"],
    "card-h200": ["GC407"],
    "compute-exclusive": ["GC104"],
    "compute-prohibited": ["GC103"],
    "container-lost-gpus": ["GC401"],
    "container-without-gpus": ["GC401"],
    "cuda-compat-geforce": ["GC306"],
    "cuda-compat-older": ["GC306"],
    "display-on-gpu": ["GC108"],
    "display-on-radeon": ["GC108"],
    "docker-low-limits": ["GC405", "GC406"],
    "docker-small-shm": ["GC404"],
    "driver-mismatch": ["GC202"],
    "deep-illegal-instruction": ["GC311", "GC411"],
    "deep-missing-library": ["GC311"],
    "deep-new-card": ["GC310"],
    "deep-out-of-memory": ["GC310"],
    "deep-unknown-error": ["GC310"],
    "driver-missing": ["GC201"],
    "environment-broken": ["GC308", "GC308"],
    "environment-unlike": ["GC309", "GC309", "GC309"],
    "ecc-errors": ["GC507"],
    "ecc-errors-past": ["GC507"],
    "fabric-not-started": ["GC504"],
    "gpucheck-clash": ["GC415"],
    "gpus-hidden": ["GC402"],
    "h100-mig-empty": ["GC101"],
    "h100-x8-one-lost": ["GC501"],
    "host-smaller-than-card": ["GC407", "GC408"],
    "kubernetes-pod": ["GC403", "GC405"],
    "laptop-4090": ["GC107"],
    "lost-without-xid": ["GC501"],
    "memory-taken": ["GC509"],
    "memory-taken-unseen": ["GC509"],
    "mixed-fastest-first": ["GC106"],
    "mixed-order-open": ["GC105", "GC106"],
    "mixed-order-set": ["GC106"],
    "names-within-names": ["GC106"],
    "nouveau-bound": ["GC203"],
    "numa-cut-off": ["GC410"],
    "pascal-on-590": ["GC206"],
    "pcie-behind-switch": ["GC102"],
    "persistence-off": ["GC510"],
    "podman-without-kfd": ["GC401"],
    "power-capped": ["GC508"],
    "pynvml-clash": ["GC304"],
    "rdma-memlock": ["GC409"],
    "secure-boot": ["GC201"],
    "slurm-job": ["GC403"],
    "toolkits-two-cudas": ["GC307"],
    "torch-cpu-build": ["GC301"],
    "torch-cuda-on-amd": ["GC303"],
    "torch-gfx-override": ["GC302"],
    "torch-linux-pascal": ["GC302"],
    "torch-new-card": ["GC302"],
    "torch-old-card": ["GC302"],
    "torch-old-driver": ["GC305"],
    "torch-rocm-on-nvidia": ["GC303"],
    "unified-gb10": ["GC414"],
    "unified-gb10-with-rtx": ["GC414"],
    "unified-jetson-orin-64": ["GC414"],
    "unified-jetson-thor": ["GC414"],
    "unified-jetson-xavier": ["GC414"],
    "unified-n1x": ["GC414"],
    "unlike-cards": ["GC105", "GC402"],
    "vfio-passthrough": ["GC203"],
    "vgpu-unlicensed": ["GC511"],
    "visible-minus-one": ["GC402"],
    "visible-uuid-prefix": ["GC402"],
    "vm-without-avx2": ["GC411"],
    "windows-laptop-hybrid": ["GC107"],
    "wsl2-shadowed-library": ["GC207"],
    "xeon-without-avx2": ["GC411"],
    "xid-of-a-program": ["GC506"],
    "xid-of-the-firmware": ["GC506"],
}
UBUNTU, DEBIAN, FEDORA, ARCH = "Ubuntu 24.04.2 LTS", "Debian GNU/Linux 12 (bookworm)", "Fedora Linux 41", "Arch Linux"


@cache
def recorded(name: str) -> Machine:
    """The machine of a fixture as `gpucheck doctor` looks at it."""
    return gpucheck.load(FIXTURES / f"{name}.json", kernel_log=True)


def card(index: int = 0, vendor: str = "NVIDIA", **facts) -> Gpu:
    """A device with these facts, in a place of its own on the bus."""
    base = Gpu(index, f"{vendor} card", vendor, "ok", "discrete", pci_address=f"0000:{index + 1:02x}:00.0")
    return msgspec.structs.replace(base, **facts)


def machine(*gpus: Gpu, distribution: str | None = UBUNTU, container: str | None = None, **facts) -> Machine:
    """A machine with these devices."""
    platform = Platform(os="linux", distribution=distribution, container=container)
    return Machine("live", platform, Cpu(), Memory(), gpus=gpus, **facts)


def problems(*gpus: Gpu, **facts) -> list[Finding]:
    """The findings about a machine with these devices."""
    return list(find_problems(machine(*gpus, **facts)))


def only(*gpus: Gpu, **facts) -> Finding:
    """The one finding about such a machine."""
    (finding,) = problems(*gpus, **facts)
    return finding


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_machines(path):
    """Each recorded machine has just the findings of its trouble; a healthy one has none."""
    assert [finding.code for finding in find_problems(recorded(path.stem))] == ILL.get(path.stem, [])


@pytest.mark.parametrize("spec", ["8x H100 PCIe", "RTX 4090", "M4 Max 128GB", "GB10"])
def test_simulated_machines_are_healthy(spec):
    """A simulated machine has nothing wrong with it."""
    assert find_problems(gpucheck.simulate(spec)) == ()


def test_a_simulated_machine_of_unlike_cards():
    """Two kinds of cards are worth a remark, which is all there is to say of them."""
    assert [(one.code, one.severity) for one in find_problems(gpucheck.simulate("RTX 4090 + RTX 3090"))] == [
        ("GC106", "info")
    ]


def test_no_gpu_is_no_problem():
    """A machine without a GPU has nothing to mend."""
    assert problems() == []


class TestOrder:
    """The worst first."""

    def test_by_severity_then_code(self):
        """Errors stand before warnings and those before remarks, each by their code, several of one in card order."""
        found = problems(
            card(0, pcie=Pcie(width=4, max_width=16)),
            card(1, throttle_reasons=("hw_slowdown",)),
            card(2, state="lost"),
            card(3, compute_mode="prohibited"),
            card(4, visible=False, hidden_by="CUDA_VISIBLE_DEVICES=0"),
            card(5, state="lost"),
        )
        assert [(finding.severity, finding.code) for finding in found] == [
            ("error", "GC103"), ("error", "GC501"), ("error", "GC501"), ("warning", "GC503"), ("info", "GC102"),
            ("info", "GC402"),
        ]  # fmt: skip
        assert [finding.source for finding in found if finding.code == "GC501"] == ["gpus[2].state", "gpus[5].state"]


class TestHardware:
    """GC1xx."""

    def test_mig_without_instances(self):
        """MIG on with nothing cut: nothing can run, and two commands choose between the ways out."""
        found = only(card(0, mig=Mig(mode="enabled", instances=0)))
        assert (found.code, found.severity) == ("GC101", "error")
        assert found.remedy.commands == (
            "sudo nvidia-smi mig -i 0000:01:00.0 -lgip",
            "sudo nvidia-smi -i 0000:01:00.0 -mig 0",
        )

    @pytest.mark.parametrize(
        "facts",
        [
            {"mig": Mig(mode="enabled", instances=2)},
            {"mig": Mig(mode="disabled")},
            {"mig": Mig(mode="enabled", instances=None)},
            {"pcie": Pcie(width=16, max_width=16)},
            {"pcie": Pcie(width=16, max_width=None)},
            {"pcie": Pcie(generation=1, max_generation=5, width=16, max_width=16)},  # idle
            {"pcie": Pcie(width=8, max_width=16), "kind": "vgpu"},
            {"throttle_reasons": ("gpu_idle", "sw_power_cap", "applications_clocks_setting")},
        ],
    )
    def test_states_that_are_no_trouble(self, facts):
        """Slices, idle links, power caps and the like are as they should be."""
        assert problems(card(0, **facts)) == []

    def test_a_narrow_link(self):
        """Missing lanes are a remark, in words for people."""
        found = only(card(0, pcie=Pcie(width=4, max_width=16)))
        assert (found.code, found.severity, found.found, found.required) == ("GC102", "info", "x4", "x16")

    def test_compute_prohibited(self):
        """A card that refuses compute work is set back with one command; its slices repeat nothing."""
        found = only(
            card(0, compute_mode="prohibited"), card(1, compute_mode="prohibited", kind="mig", mig=Mig(parent=0))
        )
        assert (found.code, found.remedy.commands) == ("GC103", ("sudo nvidia-smi -i 0000:01:00.0 -c DEFAULT",))

    def test_commands_name_the_card_on_the_bus(self):
        """The report's numbers count slices and other makers' cards, nvidia-smi's do not: the bus address is sure."""
        radeon, geforce = card(0, vendor="AMD"), card(1, compute_mode="prohibited", pci_address="0000:41:00.0")
        assert only(radeon, geforce).remedy.commands == ("sudo nvidia-smi -i 0000:41:00.0 -c DEFAULT",)
        assert "-i 1 " in only(radeon, card(1, compute_mode="prohibited", pci_address=None)).remedy.commands[0]


class TestDrivers:
    """GC2xx."""

    @pytest.mark.parametrize(
        ("distribution", "vendor", "commands"),
        [
            (UBUNTU, "NVIDIA", ("sudo ubuntu-drivers install", "sudo reboot")),
            (DEBIAN, "NVIDIA", ("sudo apt install nvidia-driver firmware-misc-nonfree", "sudo reboot")),
            (FEDORA, "NVIDIA", ("sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda", "sudo reboot")),
            (ARCH, "NVIDIA", ()),
            ("Notubuntu 1", "NVIDIA", ()),
            (None, "NVIDIA", ()),
            (UBUNTU, "AMD", ("sudo modprobe amdgpu",)),
            (None, "AMD", ("sudo modprobe amdgpu",)),
            (UBUNTU, "Intel", ()),
        ],
    )
    def test_no_driver(self, distribution, vendor, commands):
        """The remedy is this distribution's own, and none where it is not known."""
        found = only(card(0, vendor, state="no_driver"), distribution=distribution)
        assert (found.code, found.severity, found.remedy.commands) == ("GC201", "error", commands)
        assert vendor in found.title
        assert vendor in found.remedy.text

    def test_one_finding_for_all_cards_of_a_maker(self):
        """Eight cards without a driver are one problem, cards of two makers are two."""
        cards = [card(number, state="no_driver") for number in range(3)]
        found = problems(*cards, card(3, "AMD", state="no_driver", name="Radeon"))
        assert [finding.title for finding in found] == [
            "3 NVIDIA GPUs are there, but no NVIDIA driver is loaded",
            "Radeon is there, but no AMD driver is loaded",
        ]

    def test_a_card_without_a_name(self):
        """A card that nothing names is called by its maker."""
        assert only(card(0, state="no_driver", name=None)).title.startswith("An NVIDIA GPU is there")

    def test_versions_that_differ(self):
        """A library newer than the loaded module needs a restart."""
        drivers = Drivers(nvidia=NvidiaDriver(version="550.120", library_version="550.144"))
        found = only(card(0, state="driver_mismatch"), drivers=drivers)
        assert (found.code, found.remedy.commands) == ("GC202", ("sudo reboot",))
        assert "550.120" in found.found
        assert "550.144" in found.found
        assert "two versions" in only(card(0, state="driver_mismatch")).found

    def test_another_driver_holds_the_card(self):
        """A card held by nouveau or a virtual machine says who holds it."""
        found = only(card(0, state="wrong_driver", detail="nouveau is bound to it"))
        assert (found.code, found.found) == ("GC203", "nouveau is bound to it")
        assert found.remedy.commands == ("sudo ubuntu-drivers install", "sudo reboot")

    @pytest.mark.parametrize(
        "detail", ["bound to vfio-pci, not to nvidia", "vfio-pci is bound to it; ROCm needs amdgpu"]
    )
    def test_kept_for_virtual_machines(self, detail):
        """A card that somebody has given to virtual machines is a remark, beside one of nouveau an error."""
        kept, held = card(0, state="wrong_driver", detail=detail), card(1, state="wrong_driver", detail="nouveau")
        assert [(found.code, found.severity) for found in problems(kept, held)] == [
            ("GC203", "error"),
            ("GC203", "info"),
        ]
        assert only(kept).remedy.commands == ()

    @pytest.mark.parametrize(
        ("vendor", "required", "command"),
        [
            ("AMD", "/dev/kfd and /dev/dri/renderD*", "sudo usermod -aG render,video $USER"),
            ("NVIDIA", "/dev/nvidia*", "ls -l /dev/nvidia*"),
        ],
    )
    def test_no_permission(self, vendor, required, command):
        """What may not be opened is named with the maker's device files."""
        found = only(card(0, vendor, state="no_permission"))
        assert (found.code, found.remedy.commands) == ("GC204", (command,))
        assert required in found.required

    @pytest.mark.parametrize(
        ("vendor", "container", "code", "text"),
        [
            ("NVIDIA", None, "GC205", "libnvidia-ml"),
            ("NVIDIA", "docker", "GC401", "docker run --gpus all"),
            ("AMD", "podman", "GC401", "--device=/dev/kfd --device=/dev/dri"),
            ("AMD", None, "GC205", "the AMD driver"),
            ("Apple", None, "GC205", "the Apple driver"),
        ],
    )
    def test_unreachable(self, vendor, container, code, text):
        """A driven card that a process cannot reach: in a container it was not given, else a part is missing."""
        found = only(card(0, vendor, state="unreachable"), container=container)
        remedy = " ".join((found.remedy.text, *found.remedy.commands))
        assert found.code == code
        assert text in remedy
        assert ("NVIDIA" in remedy or "nvidia" in remedy or "--gpus" in remedy) == (vendor == "NVIDIA")
        if container:
            assert container in found.title

    @pytest.mark.parametrize(
        ("installed", "distribution", "commands"),
        [
            (True, UBUNTU, ("sudo update-secureboot-policy --enroll-key", "sudo reboot")),
            (True, DEBIAN, ("sudo mokutil --import /var/lib/dkms/mok.pub", "sudo reboot")),
            (True, FEDORA, ("sudo mokutil --import /etc/pki/akmods/certs/public_key.der", "sudo reboot")),
            (True, ARCH, ()),
            (False, UBUNTU, ("sudo ubuntu-drivers install", "sudo reboot")),
        ],
    )
    def test_secure_boot(self, installed, distribution, commands):
        """An installed driver that Secure Boot keeps out needs its key enrolled, one that is missing is installed."""
        issues = [ProbeIssue("secure_boot", "efivars", "on")]
        issues += [ProbeIssue("nvml_driver_not_loaded", "nvml", "Driver Not Loaded")] if installed else []
        found = only(card(0, state="no_driver"), distribution=distribution, issues=tuple(issues))
        assert (found.code, found.remedy.commands) == ("GC201", commands)
        assert found.found == "no kernel driver bound; Secure Boot is on"
        amd = only(card(0, "AMD", state="no_driver"), issues=tuple(issues))
        assert "Secure Boot" not in amd.found

    @pytest.mark.parametrize(
        ("container", "command", "text"),
        [
            ("docker", "docker run --gpus all …", "start the container"),
            ("podman", "podman run --device nvidia.com/gpu=all …", "start the container"),
            ("kubernetes", None, "nvidia.com/gpu: 1"),
            ("lxc", None, "start the container"),
        ],
    )
    def test_each_engine_gives_gpus_in_its_own_way(self, container, command, text):
        """A command is given for an engine whose command it is, and for no other."""
        found = only(card(0, state="unreachable"), container=container)
        assert found.remedy.commands == ((command,) if command else ())
        assert text in found.remedy.text

    def test_a_container_that_lost_its_gpus(self):
        """NVML's unknown error in a container: it had its GPUs, and a restart gives them back."""
        issues = (ProbeIssue("nvml_unknown", "nvml", "Unknown Error"),)
        found = only(card(0, state="unreachable"), container="docker", issues=issues)
        assert (found.code, found.remedy.commands) == ("GC401", ("docker restart …",))
        assert "has lost its access to it" in found.title
        assert only(card(0, state="unreachable"), issues=issues).code == "GC205"

    @pytest.mark.parametrize(
        ("where", "title"),
        [
            ({"container": "kubernetes"}, "This container (kubernetes) has 1 of the machine's 3 NVIDIA GPUs"),
            ({"visibility": {"SLURM_JOB_GPUS": "0"}}, "This Slurm job has 1 of the machine's 3 NVIDIA GPUs"),
        ],
    )
    def test_others_gpus(self, where, title):
        """What a container or a job was not given is a remark, while it has a GPU of that maker; else an error."""
        mine, others = card(0), [card(number, state="unreachable") for number in (1, 2)]
        found = only(mine, *others, **where)
        assert (found.code, found.severity, found.title) == ("GC403", "info", title)
        assert only(mine, *others).code == "GC205"
        assert only(card(0, "AMD"), *others, **where).severity == "error"

    @pytest.mark.parametrize("state", ["ok", "unknown"])
    def test_states_without_a_finding(self, state):
        """A card that works, or of which nothing is known, is no problem that a command mends."""
        assert problems(card(0, state=state)) == []


class TestLimitsAndHealth:
    """GC4xx and GC5xx."""

    @pytest.mark.parametrize(
        ("hidden", "severity", "who"), [((0, 1), "warning", "every GPU"), ((1,), "info", "NVIDIA card")]
    )
    def test_hidden_cards(self, hidden, severity, who):
        """Hiding every GPU is a warning, hiding some a remark; the variable is named as it is set."""
        variable = "CUDA_VISIBLE_DEVICES=" + ("" if len(hidden) == 2 else "0")
        cards = [
            card(index, visible=index not in hidden, hidden_by=variable if index in hidden else None)
            for index in (0, 1)
        ]
        found = only(*cards)
        assert (found.code, found.severity) == ("GC402", severity)
        assert found.found == (f"{variable} (set to nothing)" if len(hidden) == 2 else variable)
        assert found.title == f"CUDA_VISIBLE_DEVICES hides {who} from this process"
        assert found.remedy.commands == ("unset CUDA_VISIBLE_DEVICES",)

    def test_hidden_by_two_variables(self):
        """Each variable that hides cards is a finding; hidden slices are not counted again."""
        found = problems(
            card(0, hidden_by="CUDA_VISIBLE_DEVICES=1=2", visible=False),
            card(1, hidden_by="CUDA_VISIBLE_DEVICES=1=2", visible=False, kind="mig", mig=Mig(parent=0)),
            card(2, "AMD", hidden_by="ROCR_VISIBLE_DEVICES=", visible=False),
        )
        assert [finding.source for finding in found] == ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"]
        assert found[0].found == "CUDA_VISIBLE_DEVICES=1=2"

    def test_lost(self):
        """A GPU off the bus needs the kernel's log and a restart."""
        found = only(card(5, state="lost", detail="GPU is lost"))
        assert (found.code, found.found, found.source) == ("GC501", "GPU is lost", "gpus[5].state")
        assert found.remedy.commands == ('sudo dmesg | grep "NVRM"', "sudo reboot")

    def test_needs_reset(self):
        """A GPU that needs a reset gets one, after what uses it has stopped."""
        found = only(card(5, state="needs_reset"))
        assert (found.code, found.remedy.commands) == ("GC502", ("sudo nvidia-smi --gpu-reset -i 0000:06:00.0",))

    def test_slices_of_a_lost_card_repeat_nothing(self):
        """A lost card is one problem, whatever was cut from it."""
        part = card(1, state="lost", kind="mig", mig=Mig(parent=0))
        assert only(card(0, state="lost"), part).code == "GC501"

    @pytest.mark.parametrize(
        ("reasons", "said"),
        [
            (("hw_slowdown",), "hw slowdown"),
            (("gpu_idle", "sw_thermal_slowdown"), "sw thermal slowdown"),
            (("hw_thermal_slowdown", "hw_power_brake_slowdown"), "hw thermal slowdown, hw power brake slowdown"),
        ],
    )
    def test_throttled(self, reasons, said):
        """Heat and power brakes are warnings, in words; idling beside them is not repeated."""
        found = only(card(0, throttle_reasons=reasons))
        assert (found.code, found.severity) == ("GC503", "warning")
        assert found.title.endswith(said)


@pytest.mark.parametrize("name", ILL)
def test_findings_are_whole(name):
    """Every finding says what was found, what is required and what to do, in one line each."""
    for finding in find_problems(recorded(name)):
        for text in (finding.title, finding.found, finding.required, finding.remedy.text, finding.source):
            assert text.strip() == text != ""
            assert "\n" not in text
            assert "None" not in text


class TestHealth:
    """GC5xx beyond lost cards, and cards that a driver has dropped."""

    def test_a_fabric_that_is_not_ready(self):
        """NVSwitch not started is one error for all its GPUs: CUDA fails with 802."""
        gpus = [card(index, health=Health(fabric_state="in_progress")) for index in range(2)]
        found = only(*gpus)
        assert (found.code, found.severity, found.found) == ("GC504", "error", "in progress on 2 GPUs")

    def test_memory_that_waits_for_repair(self):
        """A pending repair is a warning with the reset's command, a failed one an error without it."""
        pending = only(card(0, health=Health(remap_pending=True, remap_failed=False)))
        failed = only(card(0, health=Health(remap_pending=True, remap_failed=True)))
        assert (pending.code, pending.severity, bool(pending.remedy.commands)) == ("GC505", "warning", True)
        assert (failed.code, failed.severity, failed.remedy.commands) == ("GC505", "error", ())

    def test_healthy_memory_is_no_news(self):
        """A board that tracks its rows and has none waiting gives no finding."""
        health = Health(fabric_state="completed", remap_pending=False, remap_failed=False, retired_pages_pending=False)
        assert problems(card(0, health=health)) == []

    def test_codes_of_a_lost_card(self):
        """The kernel's Xid codes stand beside what the driver said, the common ones in words."""
        lost = card(0, state="lost", detail="GPU is lost", health=Health(xids=(79, 999)))
        assert only(lost).found == "GPU is lost; Xid 79 (fell off the bus), Xid 999"

    def test_a_card_that_the_driver_has_dropped(self):
        """A Volta card on driver 590 is told its last branch and nothing else; on 580 it is only unreachable."""
        gpu = card(0, state="unreachable", compute_capability="7.0")
        codes = []
        for branch in (590, 580):
            drivers = Drivers(nvidia=NvidiaDriver(version=f"{branch}.1"))
            codes.append([found.code for found in problems(gpu, drivers=drivers)])
        assert codes == [["GC206"], ["GC205"]]

    def test_a_driver_version_of_thousands_of_digits(self):
        """A broken recording's version is no branch; Python refuses to read such a number."""
        gpu = card(0, state="unreachable", compute_capability="7.0")
        drivers = Drivers(nvidia=NvidiaDriver(version="5" * 5000 + ".1"))
        assert [found.code for found in problems(gpu, drivers=drivers)] == ["GC205"]
