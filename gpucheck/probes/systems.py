"""Which system a host is, in one cheap question each: probes of other systems stay at home."""

from __future__ import annotations

from gpucheck.host.host import Host

OSRELEASE = "/proc/sys/kernel/osrelease"


def is_windows(host: Host) -> bool:
    """Whether the interpreter says that it runs on Windows."""
    uname = host.system("uname").value
    return isinstance(uname, dict) and uname.get("system") == "Windows"


def is_linux(host: Host) -> bool:
    """Whether the interpreter says that it runs on Linux."""
    uname = host.system("uname").value
    return isinstance(uname, dict) and uname.get("system") == "Linux"


def is_wsl(host: Host) -> bool:
    """Whether the kernel is the one that Microsoft builds for WSL2."""
    return "microsoft" in (host.read(OSRELEASE).value or "").lower()


def may_be_arm(host: Host) -> bool:
    """Whether this can be an ARM machine; a copied tree, which has no uname, may be one."""
    uname = host.system("uname").value
    machine = uname.get("machine") if isinstance(uname, dict) else None
    return machine in (None, "aarch64", "arm64")  # not a set: a recording may hold anything
