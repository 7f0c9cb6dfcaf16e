"""How this machine's shell is told to do something: with sudo and bash, or in an administrator's PowerShell."""

from __future__ import annotations

from gpucheck.machine.types import Machine

KERNEL_LOG = 'sudo dmesg | grep "NVRM"'
EVENT_LOG = "Get-WinEvent -FilterHashtable @{LogName='System'; ProviderName='nvlddmkm'}"


def is_windows(machine: Machine) -> bool:
    """Whether commands are PowerShell's; WSL2 has Linux's."""
    return machine.platform.os == "windows"


def as_admin(machine: Machine, command: str) -> str:
    """A command that needs privileges; on Windows it is the prompt that has them."""
    return command if is_windows(machine) else f"sudo {command}"


def restart(machine: Machine) -> str:
    """The command that restarts the machine."""
    return "shutdown /r /t 0" if is_windows(machine) else "sudo reboot"


def driver_log(machine: Machine) -> str:
    """The command that shows what NVIDIA's driver has written into the system's log."""
    return EVENT_LOG if is_windows(machine) else KERNEL_LOG


def set_variable(machine: Machine, name: str, value: str) -> str:
    """The command that sets an environment variable for what is started from this shell."""
    return f'$env:{name} = "{value}"' if is_windows(machine) else f"export {name}={value}"
