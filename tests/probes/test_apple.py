"""Apple's GPU by system_profiler, and by the chip's name where that is silent."""

import json

import pytest

from gpucheck.probes.apple import PROFILER, metal_version, parse_displays, probe_apple
from tests.fake_source import fake_host

DARWIN = {"uname": {"system": "Darwin", "release": "23.5.0", "machine": "arm64"}}
SYSCTL = {("sysctl", "hw", "machdep.cpu"): "hw.memsize: 137438953472\nmachdep.cpu.brand_string: Apple M3 Max\n"}


def mac(*chips, **more):
    """A Mac with these displays."""
    found = {PROFILER: json.dumps({"SPDisplaysDataType": list(chips)})} if chips else {}
    return fake_host(system=DARWIN, commands={**SYSCTL, **found}, **more)


def test_apple_silicon():
    """Cores are a text there; the memory is the machine's; the model is the name."""
    chip = {"_name": "kHW_AppleM3Item", "sppci_model": "Apple M3 Max", "sppci_cores": "40",
            "spdisplays_mtlgpufamilysupport": "spdisplays_metal3"}  # fmt: skip
    (gpu,) = probe_apple(mac(chip)).facts
    assert (gpu.name, gpu.multiprocessors, gpu.memory_total_bytes) == ("Apple M3 Max", 40, 128 << 30)
    assert (gpu.integrated, gpu.state) == (True, "ok")
    assert metal_version(mac(chip)) == "Metal 3"


def test_profiler_times_out():
    """system_profiler may be slow or blocked: the chip's name stays, the core count is unknown."""
    key = ("command", json.dumps(list(PROFILER)))
    found = probe_apple(mac(errors={key: "timeout"}))
    assert (found.facts[0].name, found.facts[0].multiprocessors) == ("Apple M3 Max", None)
    assert [issue.code for issue in found.issues] == ["timeout"]


def test_virtual_mac():
    """A paravirtual GPU says that MPS works, and gives it no memory (runner-images #9918)."""
    (gpu,) = probe_apple(mac({"sppci_model": "Apple Paravirtual device"})).facts
    assert (gpu.state, gpu.virtualization) == ("unreachable", "paravirtual")


def test_discrete_card_of_an_old_mac():
    """An Intel Mac's Radeon is not Apple's."""
    commands = {PROFILER: json.dumps({"SPDisplaysDataType": [{"sppci_model": "AMD Radeon Pro 5500M"}]})}
    assert probe_apple(fake_host(system=DARWIN, commands=commands)).facts == ()


def test_other_systems_are_not_asked():
    """On Linux no command is run."""
    host = fake_host(system={"uname": {"system": "Linux"}})
    assert (probe_apple(host).facts, metal_version(host)) == ((), None)
    assert {section for section, _ in host.source.asked} == {"system"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"SPDisplaysDataType": 5}', "null", "[" * 100_000])
def test_garbage(text):
    """Output that is not the expected JSON is None."""
    assert parse_displays(text) is None
