"""The commands of every finding are sentences of the shell of the machine that they are for."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache

import msgspec
import pytest

import gpucheck
from gpucheck.assess.findings import Finding, find_problems
from gpucheck.machine.types import Machine
from tests.running import NAMES, fixture

BASH = shutil.which("bash") or shutil.which("sh")
# What PowerShell does not have, or takes for something else: variables with a dollar and no "env:", paths of devices.
NOT_POWERSHELL = re.compile(
    r"\b(?:sudo|export|unset|grep|systemctl|dmesg|modprobe|usermod|reboot|fuser|apt|dnf)\b|&&|\|\||/dev/|\$(?!env:)|`"
)
# Rules whose cards can stand in a Windows machine as they do in a Linux one: all that NVML tells of a card.
OF_CARDS = {f"GC{number}" for number in (*range(101, 109), *range(501, 512))}


@cache
def loaded(name: str) -> Machine:
    """A fixture's machine as `gpucheck doctor` looks at it."""
    return gpucheck.load(fixture(name), kernel_log=True)


def commands(findings: tuple[Finding, ...]) -> list[str]:
    """All commands of findings."""
    return [command for finding in findings for command in finding.remedy.commands]


@pytest.mark.skipif(BASH is None, reason="no shell to ask")
@pytest.mark.parametrize("name", [name for name in NAMES if loaded(name).platform.os != "windows"])
def test_commands_are_of_the_shell(name: str) -> None:
    """Each command is whole by itself in a shell's eyes: no quote, pipe or bracket is left open."""
    for command in commands(find_problems(loaded(name))):
        assert BASH is not None
        done = subprocess.run([BASH, "-n"], input=command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.parametrize("name", NAMES)
def test_commands_on_windows(name: str) -> None:
    """A Windows machine is told nothing that only a Linux shell understands, whatever is wrong with its cards."""
    machine = loaded(name)
    if machine.platform.os != "windows":
        platform = msgspec.structs.replace(machine.platform, os="windows", wsl=False, container=None)
        machine = msgspec.structs.replace(machine, platform=platform)
        found = tuple(finding for finding in find_problems(machine) if finding.code in OF_CARDS)
    else:
        found = find_problems(machine)
    for command in commands(found):
        assert not NOT_POWERSHELL.search(command), command
        assert all(command.count(left) == command.count(right) for left, right in ("()", "{}", '""', "[]")), command


def test_commands_are_checked() -> None:
    """There are commands for both kinds of shell, and what is none is found out."""
    assert sum(len(commands(find_problems(loaded(name)))) for name in NAMES) > 40
    assert NOT_POWERSHELL.search("sudo reboot")
    assert NOT_POWERSHELL.search("echo $HOME")
    assert not NOT_POWERSHELL.search('$env:CUDA_DEVICE_ORDER = "PCI_BUS_ID"')


@pytest.mark.parametrize("name", NAMES)
def test_commands_name_no_placeholder_card(name: str) -> None:
    """A command for a card names that card: its address on the bus, or a number that there is."""
    machine = loaded(name)
    known = {gpu.pci_address for gpu in machine.gpus} | {str(gpu.index) for gpu in machine.gpus}
    for command in commands(find_problems(machine)):
        target = re.search(r"nvidia-smi.* -i (\S+)", command)
        assert target is None or target[1] in known, command
