"""System, container, virtual machine and WSL, from the traces that each leaves."""

import pytest

from gpucheck.probes.platform import (
    container_of_cgroup,
    is_bare_metal,
    machine_of_dmi,
    parse_os_release,
    probe_platform,
)
from tests.fake_source import fake_host

LINUX = {"uname": {"system": "Linux", "release": "6.1.0-18-amd64", "machine": "x86_64"}}
DMI = "/sys/class/dmi/id"
HEX = "8f3b1c2d" * 8


def platform_of(**given):
    """The platform of a Linux machine with these traces."""
    return probe_platform(fake_host(system=LINUX, **given)).facts


def test_plain_linux():
    """A bare machine: names from the files, nothing around it."""
    files = {"/etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
             "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n"}  # fmt: skip
    found = probe_platform(fake_host(system=LINUX, files=files))
    platform = found.facts
    assert (platform.os, platform.kernel, platform.arch) == ("linux", "6.1.0-18-amd64", "x86_64")
    assert platform.distribution == "Debian GNU/Linux 12 (bookworm)"
    assert (platform.container, platform.virtual_machine, platform.wsl) == (None, None, False)
    assert found.issues == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('PRETTY_NAME="Ubuntu 24.04 LTS"', "Ubuntu 24.04 LTS"),
        ("PRETTY_NAME='Void Linux'", "Void Linux"),
        ("PRETTY_NAME=Arch", "Arch"),
        (r'PRETTY_NAME="A \"quoted\" \$name"', 'A "quoted" $name'),
        ("NAME=x\n  PRETTY_NAME=Indented\n", "Indented"),
        ('PRETTY_NAME=""', None),
        ('PRETTY_NAME="', None),
        ("", None),
    ],
)
def test_os_release(text, name):
    """Values are quoted as a shell would read them."""
    assert parse_os_release(text) == name


def test_second_place_of_os_release():
    """Where /etc has none, /usr/lib has the distribution's own."""
    assert platform_of(files={"/usr/lib/os-release": "PRETTY_NAME=Fedora"}).distribution == "Fedora"


@pytest.mark.parametrize(
    ("release", "wsl"),
    [("5.15.167.4-microsoft-standard-WSL2", True), ("4.4.0-19041-Microsoft", True), ("6.5.0-azure", False)],
)
def test_wsl(release, wsl):
    """Both WSL versions say Microsoft in the kernel's release; Azure's kernels do not."""
    assert platform_of(files={"/proc/sys/kernel/osrelease": release}).wsl is wsl


def test_wsl2_is_a_hyperv_machine():
    """WSL2 has no DMI, but the processor says that it is virtual."""
    files = {"/proc/sys/kernel/osrelease": "5.15.0-microsoft-standard-WSL2",
             "/proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu hypervisor lm\n"}  # fmt: skip
    assert platform_of(files=files).virtual_machine == "hyperv"


@pytest.mark.parametrize(
    ("given", "container"),
    [
        ({"files": {"/.dockerenv": ""}}, "docker"),
        ({"errors": {("file", "/.dockerenv"): "no_permission"}}, None),
        ({"files": {"/run/.containerenv": 'engine="podman-4.3.1"\n'}}, "podman"),
        ({"files": {"/.dockerenv": "", "/proc/self/cgroup": f"0::/kubepods/burstable/pod1/{HEX}"}}, "kubernetes"),
        ({"env": {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "files": {"/.dockerenv": ""}}, "kubernetes"),
        ({"files": {"/proc/1/cgroup": f"4:memory:/docker/{HEX}"}}, "docker"),
        ({"files": {"/proc/1/cgroup": f"0::/system.slice/docker-{HEX}.scope"}}, "docker"),
        ({"files": {"/proc/self/cgroup": f"0::/machine.slice/libpod-{HEX}.scope/container"}}, "podman"),
        ({"files": {"/proc/1/cgroup": "11:devices:/lxc/web"}}, "lxc"),
        ({"files": {"/proc/1/cgroup": "0::/lxc.payload.web/init.scope"}}, "lxc"),
        ({"env": {"container": "lxc"}}, "lxc"),
        ({"files": {"/run/systemd/container": "systemd-nspawn\n"}}, "systemd-nspawn"),
        ({"env": {"APPTAINER_CONTAINER": "/images/torch.sif"}}, "apptainer"),
        ({"files": {"/proc/self/cgroup": f"0::/system.slice/containerd.service/cri-containerd-{HEX}"}}, "containerd"),
        ({"files": {"/proc/self/cgroup": "0::/system.slice/docker.service"}}, None),
        ({"files": {"/proc/1/cgroup": "0::/init.scope", "/proc/self/cgroup": "0::/user.slice"}}, None),
    ],
)  # fmt: skip
def test_container(given, container):
    """Each engine's traces; an unreadable trace is none, and a daemon's own service is no container."""
    assert platform_of(**given).container == container


def test_kubepods_in_systemd_names():
    """The kubelet's systemd driver writes slices."""
    text = f"0::/kubepods.slice/kubepods-pod8f3b1c2d_1111_2222_3333_444444444444.slice/cri-containerd-{HEX}.scope"
    assert container_of_cgroup(text) == "kubernetes"


@pytest.mark.parametrize(
    ("vendor", "product", "bios", "machine"),
    [
        ("Amazon EC2", "p4d.24xlarge", "Amazon EC2", "amazon"),
        ("Amazon EC2", "c5.metal", "Amazon EC2", None),
        ("Amazon EC2", "m7i.metal-24xl", "Amazon EC2", None),
        ("Google", "Google Compute Engine", "Google", "google"),
        ("Microsoft Corporation", "Virtual Machine", "Microsoft Corporation", "hyperv"),
        ("Microsoft Corporation", "Surface Book 3", "Microsoft Corporation", None),
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "SeaBIOS", "qemu"),
        ("Red Hat", "KVM", "SeaBIOS", "kvm"),
        ("VMware, Inc.", "VMware Virtual Platform", "Phoenix", "vmware"),
        ("innotek GmbH", "VirtualBox", "innotek GmbH", "virtualbox"),
        ("Hetzner", "vServer", "Hetzner", "hetzner"),
        ("OpenStack Foundation", "OpenStack Nova", "SeaBIOS", "openstack"),
        ("Xen", "HVM domU", "Xen", "xen"),
        ("DigitalOcean", "Droplet", "DigitalOcean", "digitalocean"),
        ("Parallels International GmbH.", "Parallels ARM Virtual Machine", "Parallels", "parallels"),
        ("NVIDIA", "NVIDIA_DGX_Spark", "American Megatrends", None),
        ("Dell Inc.", "PowerEdge XE9680", "Dell Inc.", None),
        ("", "", "", None),
    ],
)
def test_machine_of_dmi(vendor, product, bios, machine):
    """One word per hypervisor; real boards, bare-metal instances among them, are none."""
    assert machine_of_dmi(vendor, product, bios) == machine


def test_dmi_that_only_root_may_read():
    """DMI that may not be read is an issue, and the processor's flag still tells."""
    files = {"/proc/cpuinfo": "flags : fpu hypervisor"}
    found = probe_platform(fake_host(files=files, errors={("file", f"{DMI}/sys_vendor"): "no_permission"}))
    assert found.facts.virtual_machine == "virtual"
    assert "no_permission" in [issue.code for issue in found.issues]


def test_xen_domain_0_is_the_real_machine():
    """Both Xen's guests and its first domain show the hypervisor."""
    files = {"/sys/hypervisor/type": "xen\n"}
    assert platform_of(files=files).virtual_machine == "xen"
    assert platform_of(files={**files, "/proc/xen/capabilities": "control_d\n"}).virtual_machine is None


def test_copied_tree_is_known_by_its_files():
    """Without uname a readable /proc tells Linux, its version the kernel, its cpuinfo the architecture."""
    files = {"/proc/version": "Linux version 6.17.0-1014-nvidia (buildd@x) #14", "/proc/cpuinfo": "flags : lm\n"}
    errors = {("system", "uname"): "other_root"}
    found = probe_platform(fake_host(files=files, errors=errors))
    assert (found.facts.os, found.facts.kernel, found.facts.arch) == ("linux", "6.17.0-1014-nvidia", "x86_64")
    assert [issue.source for issue in found.issues] == ["platform.distribution"]


def test_nothing_known():
    """An empty recording: everything is None, each with its issue."""
    found = probe_platform(fake_host())
    assert (found.facts.os, found.facts.kernel) == (None, None)
    assert len(found.issues) == 4


def test_macos():
    """A Mac by its own tools."""
    system = {"uname": {"system": "Darwin", "release": "23.5.0", "machine": "arm64"}}
    commands = {("sw_vers", "-productVersion"): "14.5\n", ("sysctl", "-n", "kern.hv_vmm_present"): "1\n"}
    platform = probe_platform(fake_host(system=system, commands=commands)).facts
    assert (platform.os, platform.distribution, platform.arch) == ("darwin", "macOS 14.5", "arm64")
    assert (platform.virtual_machine, platform.container) == ("virtual", None)


def test_windows():
    """Windows says AMD64 where others say x86_64."""
    system = {"uname": {"system": "Windows", "release": "11", "machine": "AMD64"}}
    platform = probe_platform(fake_host(system=system)).facts
    assert (platform.os, platform.distribution, platform.arch) == ("windows", "Windows 11", "x86_64")


@pytest.mark.parametrize("uname", [[], "Linux", {"system": 5}, {"system": ["Linux"]}])
def test_hand_edited_uname(uname):
    """A recording's nonsense is unknown, not a crash."""
    assert probe_platform(fake_host(system={"uname": uname})).facts.os is None


@pytest.mark.parametrize(
    ("vendor", "errors", "bare"),
    [
        ("Supermicro", {}, True),
        ("Supermicro", {("file", f"{DMI}/sys_vendor"): "not_found"}, True),
        ("QEMU", {}, False),
        ("QEMU", {("file", f"{DMI}/sys_vendor"): "timeout"}, False),
        ("Supermicro", {("file", "/proc/cpuinfo"): "no_permission"}, False),
    ],
)
def test_bare_metal(vendor, errors, bare):
    """No sign of a hypervisor, and none that could not be read."""
    host = fake_host(system=LINUX, files={f"{DMI}/sys_vendor": vendor}, errors=errors)
    assert is_bare_metal(host, probe_platform(host).facts) is bare
