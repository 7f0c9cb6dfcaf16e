"""Xid errors in the kernel log."""

from __future__ import annotations

import pytest

from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading
from gpucheck.probes.nvidia.xid import parse_kernel_log, with_kernel_log
from tests.fake_source import fake_host

LOG = """\
[  100.1] usb 1-1: new device
[ 1234.5] NVRM: GPU at PCI:0000:5d:00: GPU-00000000-0000-4000-8000-000000000001
[ 1234.6] NVRM: Xid (PCI:0000:5d:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
[ 1234.7] NVRM: Xid (PCI:0000:5d:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)
[ 1300.0] NVRM: Xid (PCI:0000:5d:00): 79, pid=77
[ 1400.0] NVRM: Xid (PCI:0000:0c:00): 13, pid=1, Graphics Exception
"""


def test_codes_by_card() -> None:
    """Each card has its own codes, in order and each once."""
    assert parse_kernel_log(LOG).xids == {"0000:5d:00.0": (79, 154), "0000:0c:00.0": (13,)}


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: GPU 0000:0c:00.0: GPU has fallen off the bus.",
        "NVRM: GPU at PCI:0000:0c:00: GPU has fallen off the bus.",
    ],
)
def test_off_the_bus_without_a_code(line: str) -> None:
    """New drivers do not write "Xid" there; it counts as the code that older ones gave it."""
    assert parse_kernel_log(f"[1.0] {line}\n").xids == {"0000:0c:00.0": (79,)}


def test_off_the_bus_over_several_lines() -> None:
    """The card may stand lines before what became of it (gpud #1209); a message far below is not about it."""
    lines = [
        "NVRM: The NVIDIA GPU 0000:0c:00.0",
        "usb 1-1: new device",
        "NVRM: (PCI ID: 10de:2684) installed in this system has",
        "NVRM: fallen off the bus and is not responding to commands.",
    ]
    assert parse_kernel_log("\n".join(lines)).xids == {"0000:0c:00.0": (79,)}
    far = [lines[0], *["NVRM: nothing of note"] * 9, lines[3]]
    assert parse_kernel_log("\n".join(far)).xids == {}
    assert parse_kernel_log(lines[3]).xids == {}


@pytest.mark.parametrize(
    "text", ["", "NVRM: Xid (PCI:", "NVRM: Xid (PCI:zz): 79", "\ufffd" * 1000, "NVRM: Xid (PCI:0000:5d:00): 99999"]
)
def test_garbled_lines_tell_nothing(text: str) -> None:
    """What does not name a card and a code is passed over."""
    assert parse_kernel_log(text).xids == {}


def reading(**facts: object) -> GpuReading:
    """A reading of the card at 5d."""
    return GpuReading(**{"vendor": "NVIDIA", "state": "lost", "pci_address": "0000:5d:00.0", **facts})


def test_only_unwell_gpus_are_worth_the_log() -> None:
    """While all GPUs are well, nobody asks."""
    host = fake_host()
    assert with_kernel_log(host, [reading(state="ok")], Issues())[0].xids == ()
    assert not [key for section, key in host.source.asked if section == "command"]


def test_the_lost_gpu_gets_its_codes() -> None:
    """A lost GPU carries the codes that the kernel logged for its address."""
    host = fake_host(commands={("dmesg",): LOG})
    found = with_kernel_log(host, [reading(), reading(pci_address="0000:0c:00.0", state="ok")], Issues())
    assert [one.xids for one in found] == [(79, 154), (13,)]


def test_a_log_that_may_not_be_read() -> None:
    """Without the privilege the codes are unknown, and an issue says so."""
    issues = Issues()
    host = fake_host(errors={("command", '["dmesg"]'): "no_permission"})
    assert with_kernel_log(host, [reading()], issues)[0].xids == ()
    assert [issue.code for issue in issues.all()] == ["no_kernel_log"]


def test_a_card_that_the_driver_ignores() -> None:
    """Drivers from 590 on ignore Pascal and Volta and say so only in the kernel log (nixos-hardware #1880)."""
    log = (
        "NVRM: The NVIDIA Quadro P400 GPU installed in this system is\n"
        "NVRM:  supported through the NVIDIA 580.xx Legacy drivers.\n"
        "NVRM:  The 590.48.01 driver will ignore this GPU.\n"
    )
    (found,) = with_kernel_log(
        fake_host(commands={("dmesg",): log}), [reading(state="unreachable", detail="x")], Issues()
    )
    assert found.detail == "x; the kernel log says that this driver ignores it"


def test_the_ignored_card_is_the_one_that_the_log_names() -> None:
    """Where the log says which card the driver ignores, the others are not said to be ignored."""
    log = (
        "NVRM: The NVIDIA GPU 0000:0c:00.0 (PCI ID: 10de:1b06)\n"
        "NVRM: installed in this system is supported through the NVIDIA 580.xx Legacy drivers.\n"
        "NVRM: The 590.48.01 NVIDIA driver will ignore this GPU.\n"
    )
    readings = [reading(state="no_driver", detail="x", pci_address=f"0000:{bus}:00.0") for bus in ("0c", "5d")]
    found = with_kernel_log(fake_host(commands={("dmesg",): log}), readings, Issues())
    assert [one.detail for one in found] == ["x; the kernel log says that this driver ignores it", "x"]


def test_a_gpu_of_unknown_state_that_fell_off_the_bus_is_lost() -> None:
    """NVML may say "Unknown Error" and no more; the kernel's word makes it a lost GPU."""
    unwell = reading(state="unknown", detail="NVML gives no handle: Unknown Error")
    (found,) = with_kernel_log(fake_host(commands={("dmesg",): LOG}), [unwell], Issues())
    assert (found.state, found.xids) == ("lost", (79, 154))
    assert "Unknown Error; the kernel log" in (found.detail or "")


def test_endless_lines_take_no_time():
    """A line is searched only so far: the search takes the square of its length."""
    text = "NVRM: GPU 0 " * 20_000 + "\nNVRM: GPU 0000:0c:00.0: GPU has fallen off the bus.\n"
    assert parse_kernel_log(text).xids == {"0000:0c:00.0": (79,)}


def test_the_log_of_healthy_gpus_is_read_when_asked_for() -> None:
    """Past errors of GPUs that are well are found where somebody looks for them, and no command is run else."""
    well = [reading(state="ok")]
    host = fake_host(commands={("dmesg",): LOG})
    assert with_kernel_log(host, well, Issues())[0].xids == ()
    assert not [key for section, key in host.source.asked if section == "command"]
    assert with_kernel_log(host, well, Issues(), always=True)[0].xids == (79, 154)
