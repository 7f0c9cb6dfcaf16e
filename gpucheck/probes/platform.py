"""The operating system, and what stands between it and the hardware: container, virtual machine, WSL."""

from __future__ import annotations

import re
from typing import Any

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.cpu_info import arch_of, has_hypervisor_flag
from gpucheck.probes.facts import Platform

OSRELEASE = "/proc/sys/kernel/osrelease"
DMI = "/sys/class/dmi/id"
DMI_NAMES = ("sys_vendor", "product_name", "bios_vendor")
CPUINFO = "/proc/cpuinfo"
SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "windows"}
ARCHES = {"amd64": "x86_64", "x64": "x86_64"}  # Windows and BSD say AMD64

# One word per hypervisor, from what its firmware writes into DMI: (in the vendor, in the product, word).
# An empty text matches anything. Order matters: clouds before the hypervisor that they are built on.
MACHINES = (
    ("Amazon EC2", "", "amazon"),
    ("Google", "Google Compute Engine", "google"),
    ("", "Google Compute Engine", "google"),
    ("Microsoft Corporation", "Virtual Machine", "hyperv"),  # the vendor alone also makes the Surface
    ("Alibaba Cloud", "", "alibaba"),
    ("DigitalOcean", "", "digitalocean"),
    ("Hetzner", "vServer", "hetzner"),
    ("Tencent Cloud", "", "tencent"),
    ("", "OpenStack", "openstack"),
    ("VMware", "", "vmware"),
    ("", "VMware", "vmware"),
    ("", "VirtualBox", "virtualbox"),
    ("innotek GmbH", "", "virtualbox"),
    ("Parallels", "", "parallels"),
    ("", "Parallels", "parallels"),
    ("Apple Inc.", "Apple Virtualization", "apple"),
    ("Nutanix", "AHV", "nutanix"),
    ("BHYVE", "", "bhyve"),
    ("Xen", "", "xen"),
    ("", "KVM", "kvm"),
    ("", "RHEV Hypervisor", "kvm"),
    ("oVirt", "", "kvm"),
    ("QEMU", "", "qemu"),
    ("", "QEMU", "qemu"),
    ("Bochs", "", "bochs"),
)

# A daemon's own service, /system.slice/docker.service, is no container: ids must follow.
CONTAINERS = (
    ("kubernetes", re.compile(r"/kubepods[./-]|/kubepods$")),
    ("podman", re.compile(r"/libpod-[0-9a-f]{12,}|/libpod_parent")),
    ("docker", re.compile(r"/docker/[0-9a-f]{12,}|/docker-[0-9a-f]{12,}\.scope")),
    ("lxc", re.compile(r"/lxc/|/lxc\.payload")),
    ("containerd", re.compile(r"[/:]cri-containerd[-:][0-9a-f]{12,}|/containerd/[0-9a-f]{12,}")),
)


def probe_platform(host: Host) -> Found[Platform]:
    """What runs here; None under `container` and `virtual_machine` means that no sign of one was found."""
    issues = Issues()
    uname = issues.value("uname", host.system("uname"))
    uname = uname if isinstance(uname, dict) else {}
    cpuinfo = host.read("/proc/cpuinfo").value or ""
    system = SYSTEMS.get(_text(uname, "system") or "") or _linux_by_its_files(host)
    release = (host.read(OSRELEASE).value or "").strip() or None
    release = release or _text(uname, "release") or _kernel_of_version(host)
    wsl = system == "linux" and "microsoft" in (release or "").lower()
    machine = (_text(uname, "machine") or "").lower() or None
    platform = Platform(
        os=system,
        distribution=_distribution(host, issues, system, release),
        kernel=release,
        arch=ARCHES.get(machine or "", machine) or arch_of(cpuinfo),
        container=_container(host, issues) if system == "linux" else None,
        virtual_machine=_virtual_machine(host, issues, system, wsl, cpuinfo),
        wsl=wsl,
    )
    for field in ("os", "distribution", "kernel", "arch"):
        if getattr(platform, field) is None:
            issues.add(NOT_FOUND, f"platform.{field}", "no source tells it")
    return Found(platform, issues.all())


def is_bare_metal(host: Host, platform: Platform) -> bool:
    """Whether there is no sign of a virtual machine, and no place of such a sign that could not be read."""
    places = (CPUINFO, *(f"{DMI}/{name}" for name in DMI_NAMES))
    answers = [host.read(path) for path in places]
    return platform.virtual_machine is None and all(answer.error is None or answer.absent for answer in answers)


def parse_os_release(text: str) -> str | None:
    """PRETTY_NAME of an os-release file, whose values are quoted as a shell would read them."""
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if name == "PRETTY_NAME":
            if value[:1] in {'"', "'"} and value[-1:] == value[:1]:
                quote, value = value[0], value[1:-1]
                value = re.sub(r'\\(["$`\\])', r"\1", value) if quote == '"' else value
            return value.strip() or None
    return None


def machine_of_dmi(vendor: str, product: str, bios: str) -> str | None:
    """The hypervisor that firmware names, None for a real board.

    EC2's bare-metal instances carry Amazon's name too: their product is "c5.metal" or "p4d.metal-48xl".
    """
    if "Amazon EC2" in (vendor, bios) and ".metal" in product:
        return None
    for in_vendor, in_product, word in MACHINES:
        if (in_vendor in vendor or (in_vendor and in_vendor in bios)) and in_product in product:
            return word
    return None


def container_of_cgroup(text: str) -> str | None:
    """The engine whose naming a cgroup file's paths follow."""
    return next((word for word, pattern in CONTAINERS if pattern.search(text)), None)


def _text(found: dict[str, Any], name: str) -> str | None:
    value = found.get(name)
    return value if isinstance(value, str) and value else None


def _linux_by_its_files(host: Host) -> str | None:
    """The word linux where a copied tree or a recording holds a Linux `/proc`, whatever else is unknown."""
    evidence = (OSRELEASE, "/proc/version", "/proc/meminfo")
    return "linux" if any(host.read(path).value for path in evidence) else None


def _kernel_of_version(host: Host) -> str | None:
    """The third word of "Linux version 6.17.0-1014-nvidia (buildd@…) …"."""
    words = (host.read("/proc/version").value or "").split()
    return words[2] if words[:2] == ["Linux", "version"] and len(words) > 2 else None


def _distribution(host: Host, issues: Issues, system: str | None, release: str | None) -> str | None:
    if system == "darwin":
        answer = issues.value("sw_vers", host.run("sw_vers", "-productVersion"))
        return f"macOS {answer.stdout.strip()}" if answer and answer.stdout.strip() else "macOS"
    if system == "windows":
        from gpucheck.probes.windows import edition

        return edition(host) or (f"Windows {release}" if release else "Windows")
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        name = parse_os_release(issues.value(path, host.read(path)) or "")
        if name:
            return name
    return None


def _container(host: Host, issues: Issues) -> str | None:
    """The container engine around the process; a sign that cannot be read is noted, and is none."""
    groups = "\n".join(_read(host, issues, f"/proc/{process}/cgroup") or "" for process in ("self", "1"))
    if host.env("KUBERNETES_SERVICE_HOST").value or container_of_cgroup(groups) == "kubernetes":
        return "kubernetes"
    if _read(host, issues, "/run/.containerenv") is not None:
        return "podman"
    if _read(host, issues, "/.dockerenv") is not None:
        return "docker"
    if host.env("APPTAINER_CONTAINER").value or host.env("SINGULARITY_CONTAINER").value:
        return "apptainer"
    declared = host.env("container").value or _read(host, issues, "/run/systemd/container") or ""
    return container_of_cgroup(groups) or declared.strip().lower() or None


def _read(host: Host, issues: Issues, path: str) -> str | None:
    return issues.value(path, host.read(path))


def _virtual_machine(host: Host, issues: Issues, system: str | None, wsl: bool, cpuinfo: str) -> str | None:
    if system == "darwin":
        from gpucheck.probes.sysctl import is_virtual_mac

        return "virtual" if is_virtual_mac(host, issues) else None
    if system == "windows":
        from gpucheck.probes.windows import maker_and_model

        return machine_of_dmi(*maker_and_model(host), "")
    files = (f"{DMI}/{name}" for name in DMI_NAMES)
    vendor, product, bios = ((issues.value(path, host.read(path)) or "").strip() for path in files)
    if found := machine_of_dmi(vendor, product, bios):
        return found
    kind = (host.read("/sys/hypervisor/type").value or "").strip()
    if kind and "control_d" not in (host.read("/proc/xen/capabilities").value or ""):  # Xen's own domain 0
        return kind
    if has_hypervisor_flag(cpuinfo):  # the processor itself says so: a WSL kernel, a microVM without firmware
        return "hyperv" if wsl else "virtual"
    return None
