"""GC3xx: builds of torch, and the libraries under them, against the cards of a machine."""

import pytest
from msgspec.structs import replace

from gpucheck.assess.findings import find_problems
from gpucheck.machine.software import with_torch
from gpucheck.machine.types import Drivers, Gpu, Machine
from gpucheck.probes.facts import Cpu, CudaCompat, Framework, Memory, NvidiaDriver, Platform, ProbeIssue, Toolkits

INDEX = "--index-url https://download.pytorch.org/whl"


def card(index=0, vendor="NVIDIA", **facts):
    """A card that works."""
    code = {"gfx_target": "gfx1100"} if vendor == "AMD" else {"compute_capability": "8.9"}
    return replace(Gpu(index, f"{vendor} card", vendor, "ok", "discrete", **code), **facts)


def problems(*gpus, version="2.9.1", build="cu128", driver="580.95.05", **facts):
    """Findings on a machine with these cards and one torch."""
    platform = replace(Platform(os="linux", arch="x86_64"), **facts.pop("platform", {}))
    here = Machine(
        "live", platform, Cpu(), Memory(), gpus=gpus, frameworks=(Framework("torch", version, build, tagged=True),),
        drivers=Drivers(nvidia=NvidiaDriver(version=driver)), **facts,
    )  # fmt: skip
    return list(find_problems(with_torch(here)))


def only(*gpus, **facts):
    """The one finding there."""
    (finding,) = problems(*gpus, **facts)
    return finding


class TestBuilds:
    """GC301, GC303 and GC305."""

    def test_a_cpu_build(self):
        """A CPU build beside a card is a warning with the index that has the same version for it."""
        found = only(card(), build="cpu")
        assert (found.code, found.severity) == ("GC301", "warning")
        assert found.remedy.commands == (f"pip install --force-reinstall torch==2.9.1 {INDEX}/cu128",)

    @pytest.mark.parametrize(
        ("gpus", "facts"),
        [
            ([], {}),
            ([card(state="no_driver")], {}),
            ([card(visible=False)], {}),
            ([card(vendor="Apple")], {"platform": {"os": "darwin", "arch": "arm64"}}),
            ([card(vendor="Intel")], {}),
            ([card(compute_capability="3.5")], {}),  # no known wheel has code for it
            ([card(vendor="AMD", gfx_target="gfx1103")], {}),
            ([card(vendor="AMD")], {"platform": {"os": "windows"}}),
            ([card(compute_capability=None)], {}),
        ],
    )
    def test_where_a_cpu_build_is_right(self, gpus, facts):
        """Where no card could be used by another known build, the CPU build is no trouble."""
        codes = [finding.code for finding in problems(*gpus, build="cpu", driver=None, **facts)]
        assert "GC301" not in codes

    @pytest.mark.parametrize(
        ("vendor", "build", "command"),
        [
            ("AMD", "cu128", f"pip install --force-reinstall torch {INDEX}/rocm7.2"),
            ("NVIDIA", "rocm6.4", f"pip install --force-reinstall torch==2.9.1 {INDEX}/cu128"),
        ],
    )
    def test_another_maker(self, vendor, build, command):
        """A build for the other maker's cards leaves these idle."""
        found = only(card(vendor=vendor), build=build)
        assert (found.code, found.severity, found.remedy.commands) == ("GC303", "warning", (command,))

    def test_cards_of_two_makers(self):
        """With cards of both makers either build is right."""
        assert problems(card(), card(1, "AMD")) == []
        assert problems(card(), card(1, "AMD"), build="rocm6.4") == []

    def test_an_old_driver(self):
        """A driver older than the build's CUDA needs is an error, with a build that it does run."""
        found = only(card(), version="2.11.0", build="cu130", driver="550.54.15")
        assert (found.code, found.severity, found.required) == ("GC305", "error", "driver 580 or newer")
        assert found.found == "driver 550.54.15, CUDA up to 12.4"
        assert found.remedy.commands == (f"pip install --force-reinstall torch==2.11.0 {INDEX}/cu128",)

    def test_a_driver_too_old_for_every_build(self):
        """Where no known build runs on the driver, only a newer driver is left."""
        found = only(card(), driver="440.33.01")
        assert (found.code, found.remedy.commands) == ("GC305", ())
        assert "525" in found.remedy.text


class TestCode:
    """GC302."""

    @pytest.mark.parametrize(
        ("capability", "version", "build", "required", "what"),
        [
            ("6.0", "2.9.1", "cu128", "code for sm_60", "torch==2.9.1 INDEX/cu126"),
            ("12.0", "2.7.1", "cu126", "code for sm_120", "torch==2.7.1 INDEX/cu128"),
            ("6.1", "2.15.0", "cu132", "code for sm_61, or another of its generation from sm_60 on",
             "'torch==2.14.*' INDEX/cu126"),
        ],
    )  # fmt: skip
    def test_offers(self, capability, version, build, required, what):
        """The index that has this version with code for the card, else the newest version that has."""
        found = only(card(compute_capability=capability), version=version, build=build)
        assert (found.code, found.severity, found.required) == ("GC302", "error", required)
        assert capability in found.title
        assert found.remedy.commands == (f"pip install --force-reinstall {what.replace('INDEX', INDEX)}",)

    def test_unlike_cards(self):
        """Of two cards the one without code is named; the build offered has code for both, if there is one."""
        volta, blackwell = card(1, compute_capability="7.0"), card(1, compute_capability="12.0")
        found = only(card(), volta, version="2.11.0")
        assert "7.0" in found.title
        assert found.remedy.commands[0].endswith("cu126")
        found = only(card(compute_capability="6.0"), blackwell)
        assert found.remedy.commands[0].endswith("cu126")  # none has both, so for the one without

    def test_a_card_of_no_known_build(self):
        """Where no known wheel has code for it there is no command."""
        found = only(card(compute_capability="3.5"), driver="530.30.02")
        assert (found.code, found.remedy.commands) == ("GC302", ())
        assert "from source" in found.remedy.text

    @pytest.mark.parametrize(
        ("visibility", "severity"), [({}, "error"), ({"HSA_OVERRIDE_GFX_VERSION": "11.0.0"}, "warning")]
    )
    def test_an_override(self, visibility, severity):
        """A GPU that a variable passes off as another may compute, which nobody supports."""
        gpu = card(vendor="AMD", gfx_target="gfx1103")
        found = only(gpu, build="rocm6.4", visibility=visibility)
        assert (found.code, found.severity) == ("GC302", severity)
        assert ("HSA_OVERRIDE_GFX_VERSION=11.0.0" in found.found) == bool(visibility)

    def test_what_is_not_in_the_table(self):
        """A build that the table does not have is unknown, and no finding."""
        assert problems(card(compute_capability="6.0"), version="2.16.0") == []
        assert problems(card(compute_capability=None)) == []


class TestBindings:
    """GC304."""

    @pytest.mark.parametrize(("code", "severity"), [("pynvml_clash", "warning"), ("pynvml_deprecated", "info")])
    def test_severity(self, code, severity):
        """A package that hides NVIDIA's own is a warning, one that only warns itself a remark."""
        found = only(card(), issues=(ProbeIssue(code, "pynvml", "pynvml 11.5.3 and nvidia-ml-py 13.590.44"),))
        assert (found.code, found.severity) == ("GC304", severity)
        assert found.found == "pynvml 11.5.3 and nvidia-ml-py 13.590.44"
        assert found.remedy.commands[-1] == "pip install --force-reinstall nvidia-ml-py"

    def test_without_an_nvidia_card(self):
        """Where there is no NVIDIA card, nobody asks NVML."""
        issue = ProbeIssue("pynvml_clash", "pynvml", "pynvml 11.5.3 and nvidia-ml-py 13.590.44")
        assert problems(card(vendor="AMD"), build="rocm6.4", issues=(issue,)) == []


class TestCompat:
    """GC306."""

    def test_older_than_the_kernel_module(self):
        """Error 803 names both versions, and the variable is to be set without the folder."""
        compat = CudaCompat("575.57.08", "/usr/local/cuda/compat", "LD_LIBRARY_PATH")
        found = only(card(segment="datacenter"), toolkits=Toolkits(cuda_compat=compat))
        assert (found.code, found.severity) == ("GC306", "error")
        assert all(word in found.title for word in ("803", "575.57.08", "580.95.05"))
        assert found.remedy.commands[0].startswith("export LD_LIBRARY_PATH=")

    @pytest.mark.parametrize(
        ("container", "found_by", "severity", "first"),
        [
            (None, "/etc/ld.so.conf.d/00-compat.conf", "error", "sudo sed -i"),
            ("docker", "/etc/ld.so.conf.d/00-compat.conf", "error", "sed -i"),
            ("docker", None, "warning", "rm -r /usr/local/cuda/compat"),
        ],
    )
    def test_newer_on_a_geforce(self, container, found_by, severity, first):
        """Error 804: the line or the folder is to go; where only a container's runtime would use it, it may fail."""
        compat = CudaCompat("590.48.01", "/usr/local/cuda/compat", found_by)
        gpu = card(segment="consumer")
        found = only(gpu, toolkits=Toolkits(cuda_compat=compat), platform={"container": container})
        assert (found.code, found.severity) == ("GC306", severity)
        assert "804" in found.title
        assert found.remedy.commands[0].startswith(first)

    def test_where_it_is_supported(self):
        """A newer one on a card of data centres is what it is made for."""
        compat = CudaCompat("590.48.01", "/usr/local/cuda/compat", "LD_LIBRARY_PATH")
        assert problems(card(segment="datacenter"), toolkits=Toolkits(cuda_compat=compat)) == []
