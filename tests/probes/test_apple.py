"""Apple's GPU by system_profiler, and by the chip's name where that is silent."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpucheck.assess.memory import effective_memory
from gpucheck.host.answer import Answer
from gpucheck.host.host import Host, command_key
from gpucheck.host.recording import ReplaySource, read_recording
from gpucheck.host.redact import Redactor
from gpucheck.machine.gpus import build_gpu
from gpucheck.machine.inspect import inspect_host
from gpucheck.probes.apple import PROFILER, metal_version, parse_displays, parse_size, probe_apple
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import GpuReading, Memory
from gpucheck.probes.memory import probe_memory
from gpucheck.probes.platform import probe_platform
from gpucheck.probes.sysctl import GPU, VIRTUAL, VM_STAT, darwin_l2_bytes, parse_vm_stat
from tests.fake_source import fake_host

DARWIN = {"uname": {"system": "Darwin", "release": "23.5.0", "machine": "arm64"}}
SYSCTL = {("sysctl", "hw", "machdep.cpu"): "hw.memsize: 137438953472\nmachdep.cpu.brand_string: Apple M3 Max\n"}


def mac(*chips, more=None, **given):
    """A Mac with these displays, and what more commands print."""
    found = {PROFILER: json.dumps({"SPDisplaysDataType": list(chips)})} if chips else {}
    return fake_host(system=DARWIN, commands={**SYSCTL, VIRTUAL: "0\n", GPU: "", **found, **(more or {})}, **given)


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
    assert (gpu.state, gpu.virtualization) == ("unsupported", "paravirtual")


def test_virtual_mac_without_a_profiler():
    """Where system_profiler is blocked, the kernel and the chip's name tell it: no M1's memory is promised."""
    commands = {
        ("sysctl", "hw", "machdep.cpu"): "hw.memsize: 7516192768\nmachdep.cpu.brand_string: Apple M1 (Virtual)\n"
    }
    (gpu,) = probe_apple(fake_host(system=DARWIN, commands=commands)).facts
    assert (gpu.state, gpu.name) == ("unsupported", "Apple Paravirtual device")
    (gpu,) = probe_apple(mac({"sppci_model": "Apple M4"}, more={("sysctl", "-n", "kern.hv_vmm_present"): "1\n"})).facts
    assert gpu.state == "unsupported"


def test_discrete_card_of_an_old_mac():
    """An Intel Mac's Radeon is there with its own memory, and nothing computes on it."""
    entry = {"sppci_model": "AMD Radeon Pro 5500M", "spdisplays_vendor": "sppci_vendor_AMD",
             "spdisplays_vram": "8 GB", "spdisplays_device-id": "0x7340"}  # fmt: skip
    commands = {PROFILER: json.dumps({"SPDisplaysDataType": [entry]})}
    (gpu,) = probe_apple(fake_host(system=DARWIN, commands=commands)).facts
    assert (gpu.vendor, gpu.state, gpu.integrated) == ("AMD", "unsupported", False)
    assert (gpu.memory_total_bytes, gpu.sources["memory_total_bytes"]) == (8 << 30, "system_profiler")


def test_graphics_of_an_intel_processor():
    """Its "vram" is a window into the machine's memory, and none of its own."""
    (gpu,) = probe_apple(mac({"_name": "Intel UHD Graphics 630", "spdisplays_vram_shared": "1536 MB"})).facts
    assert (gpu.vendor, gpu.integrated, gpu.memory_total_bytes) == ("Intel", True, None)


def test_an_entry_of_nobody():
    """A GPU whose maker is not told is an issue, not an Apple."""
    found = probe_apple(mac({"_name": "kHW_UnknownItem"}))
    assert (found.facts, [issue.code for issue in found.issues]) == ((), ["not_found"])


@pytest.mark.parametrize(
    ("printed", "limit"),
    [
        ("iogpu.wired_limit_mb: 0\n", None),
        ("", None),
        ("iogpu.wired_limit_mb: 114688\n", 112 << 30),
        ("iogpu.wired_limit_mb: 999999\n", 128 << 30),  # no more than there is
        ("debug.iogpu.wired_limit: 60129542144\n", 56 << 30),  # macOS 13 counts in bytes
        ("debug.iogpu.wired_limit: 57344\n", 56 << 30),  # which this cannot be
    ],
)
def test_wired_limit(printed, limit):
    """The override of the working set, in either spelling; 0 is the default."""
    (gpu,) = probe_apple(mac({"sppci_model": "Apple M4 Max"}, more={GPU: printed})).facts
    assert (gpu.memory_limit_bytes, gpu.memory_limit_known) == (limit, True)


@pytest.mark.parametrize("error", ["timeout", "no_permission", "not_found", "not_recorded"])
def test_wired_limit_that_cannot_be_asked(error):
    """Somebody may have set a lower one: it is not known, and what the GPU gets of the memory neither."""
    host = mac({"sppci_model": "Apple M4 Max"}, errors={("command", command_key(GPU)): error})
    found = probe_apple(host)
    (gpu,) = found.facts
    assert (gpu.memory_limit_bytes, gpu.memory_limit_known) == (None, False)
    assert [issue.code for issue in found.issues] == [error]
    memory = Memory(128 << 30, 120 << 30, usable_bytes=120 << 30)
    issues = Issues()
    built = build_gpu(gpu, 0, memory, issues)
    assert (built.memory.total_bytes, built.memory.usable_bytes) == (128 << 30, None)
    assert "assumed" not in {issue.code for issue in issues.all()}


def test_nothing_is_promised_below_an_unknown_limit():
    """A model gets no room on the machine's whole memory while the GPU's limit in it is not known."""
    recording = read_recording(Path(__file__).parents[2] / "fixtures" / "apple-wired-limit.json")
    commands = {**recording.answers["command"], command_key(GPU): Answer(error="timeout", detail="5 s")}
    silent = replace(recording, answers={**recording.answers, "command": commands})
    machine = inspect_host(Host(ReplaySource(silent), "recording"))
    ((device,),) = (pool.devices for pool in effective_memory(machine).pools)
    assert (device.available_bytes, device.most_bytes) == (None, machine.memory.total_bytes)


def test_wired_limit_that_is_no_number():
    """A limit is set, and nobody can read it."""
    found = probe_apple(mac({"sppci_model": "Apple M4 Max"}, more={GPU: "iogpu.wired_limit_mb: many\n"}))
    assert (found.facts[0].memory_limit_bytes, found.facts[0].memory_limit_known) == (None, False)
    assert [issue.code for issue in found.issues] == ["malformed"]


@pytest.mark.parametrize("error", ["timeout", "not_found", "not_recorded"])
def test_profiler_that_is_not_there(error):
    """Every macOS has it, so that its absence is an issue as any other failure is."""
    found = probe_apple(mac(errors={("command", command_key(PROFILER)): error}))
    assert [(issue.code, issue.source) for issue in found.issues] == [(error, " ".join(PROFILER))]


@pytest.mark.parametrize(
    ("chip", "errors", "machine", "codes"),
    [
        ("Apple M1 (Virtual)", {("command", command_key(VIRTUAL)): "timeout"}, "virtual", []),  # the chip's name tells
        ("Apple M1", {("command", command_key(VIRTUAL)): "timeout"}, None, ["timeout"]),
        ("Apple M1", {("command", command_key(VIRTUAL)): "not_found"}, None, ["not_found"]),
        ("Apple M1", {}, None, []),
    ],
)
def test_whether_a_mac_is_virtual(chip, errors, machine, codes):
    """The chip's name or the kernel tell; where neither can, that is an issue and not a real Mac."""
    printed = {("sysctl", "hw", "machdep.cpu"): f"machdep.cpu.brand_string: {chip}\n",
               ("sw_vers", "-productVersion"): "15.5\n"}  # fmt: skip
    found = probe_platform(mac(more=printed, errors=errors))
    assert found.facts.virtual_machine == machine
    assert [issue.code for issue in found.issues] == codes


@pytest.mark.parametrize(
    ("text", "size"),
    [("8 GB", 8 << 30), ("1536 MB", 1536 << 20), ("8", None), ("lots GB", None), (8, None), (None, None)],
)
def test_parse_size(text, size):
    """system_profiler's sizes are words."""
    assert parse_size(text) == size


def test_sysctl_caches_and_vm_stat():
    """All clusters' level 2 caches; available memory as psutil counts it; anything else is unknown."""
    m4 = {"hw.nperflevels": "2", "hw.perflevel0.l2cachesize": "16777216", "hw.perflevel0.physicalcpu": "12",
          "hw.perflevel0.cpusperl2": "6", "hw.perflevel1.l2cachesize": "4194304", "hw.perflevel1.physicalcpu": "4",
          "hw.perflevel1.cpusperl2": "4", "hw.l2cachesize": "4194304"}  # fmt: skip
    assert darwin_l2_bytes(m4) == (2 * 16 + 4) << 20
    assert darwin_l2_bytes({"hw.cacheconfig": "16 2 2 16 0", "hw.l2cachesize": "262144"}) == 2 << 20
    assert darwin_l2_bytes({"hw.l2cachesize": "262144"}) == 262144
    assert darwin_l2_bytes({}) is None
    text = ("Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free: 1000.\nPages active: 9.\n"
            "Pages inactive: 500.\nPages speculative: 24.\n")  # fmt: skip
    assert parse_vm_stat(text) == 1524 * 16384
    assert parse_vm_stat("") is None
    assert parse_vm_stat("(page size of 16384 bytes)\nPages free: some.\n") is None


def test_memory_without_psutil():
    """The system's own tools step in; one command each."""
    commands = {**SYSCTL, VM_STAT: "(page size of 16384 bytes)\nPages free: 65536.\nPages inactive: 65536.\n"}
    found = probe_memory(fake_host(system=DARWIN, commands=commands)).facts
    assert (found.total_bytes, found.available_bytes) == (128 << 30, 2 << 30)


def machine_of(name):
    """The machine of a fixture."""
    path = Path(__file__).parents[2] / "fixtures" / f"{name}.json"
    return inspect_host(Host(ReplaySource(read_recording(path)), "recording"))


@pytest.mark.parametrize(
    ("name", "card", "bandwidth_gbs", "usable", "basis"),
    [
        ("apple-m4-max-128", "apple-m4-max", 546, int((128 << 30) * 0.84), "assumed"),
        ("apple-m3-max-30core", "apple-m3-max-30", 300, int((96 << 30) * 0.74), "assumed"),
        ("apple-wired-limit", "apple-m2-ultra", 800, 176 << 30, "reported"),
    ],
)
def test_machines(name, card, bandwidth_gbs, usable, basis):
    """The core count decides the variant; the working set or its override what the GPU gets."""
    machine = machine_of(name)
    (gpu,) = machine.gpus
    assert (gpu.kind, gpu.catalogue_id, gpu.bandwidth_bytes_per_s) == ("unified", card, bandwidth_gbs * 10**9)
    assert (gpu.memory.total_bytes, gpu.memory.kind) == (machine.memory.total_bytes, "shared")
    assert (gpu.memory.usable_bytes, gpu.sources["memory.usable_bytes"]) == (usable, basis)
    assert ("assumed" in {issue.code for issue in machine.issues}) == (basis == "assumed")
    assert machine.usable_gpus == machine.gpus


@pytest.mark.parametrize(("name", "gpus"), [("apple-vm", 1), ("apple-intel-mac", 2)])
def test_machines_whose_gpu_is_of_no_use(name, gpus):
    """A virtual machine and an Intel Mac: the GPUs are listed with the reason, and none is usable."""
    machine = machine_of(name)
    assert len(machine.gpus) == gpus
    assert machine.usable_gpus == ()
    assert all(gpu.detail and gpu.memory.usable_bytes is None for gpu in machine.gpus)
    assert machine.platform.virtual_machine == ("virtual" if name == "apple-vm" else None)


@pytest.mark.parametrize(
    ("model", "cores", "memory_gib", "card", "counted"),
    [
        ("Apple M1", 7, 8, "apple-m1", 7),  # the smaller of two M1, on the same memory
        ("Apple M4 Pro", 16, 24, "apple-m4-pro", 16),
        ("Apple M4 Max", 32, 36, "apple-m4-max-32", 32),
        ("Apple M4 Max", None, 128, "apple-m4-max", 40),  # only this one is sold with 128 GB
        ("Apple M4 Max", 36, 48, None, 36),  # no such product
        ("Apple M9", 10, 16, None, 10),
    ],
)
def test_variants(model, cores, memory_gib, card, counted):
    """A chip with cores switched off is that chip with fewer; what is sold nowhere is no card of ours."""
    reading = GpuReading(vendor="Apple", state="ok", name=model, integrated=True, multiprocessors=cores,
                         memory_total_bytes=memory_gib << 30)  # fmt: skip
    gpu = build_gpu(reading, 0, Memory(memory_gib << 30, memory_gib << 30, usable_bytes=memory_gib << 30), Issues())
    assert (gpu.catalogue_id, gpu.multiprocessors) == (card, counted)
    if card is not None:
        assert gpu.shader_cores == counted * 128


def test_screens_are_not_recorded():
    """Serial numbers and names of screens stay at home, also where the output cannot be read."""
    entry = {"sppci_model": "Apple M1", "spdisplays_ndrvs": [{"_name": "Dave's iPad", "serial-number": "C02XYZ"}]}
    key = command_key(PROFILER)
    for printed in (json.dumps({"SPDisplaysDataType": [entry, 5]}), '{"SPDisplaysDataType": [{"_name": "Dave', "[5]"):
        output = Answer({"stdout": printed, "stderr": "", "returncode": 0})
        _, masked = Redactor(key=b"k" * 16).answer("command", key, output)
        assert "Dave" not in masked.value["stdout"]
        assert "C02XYZ" not in masked.value["stdout"]


def test_other_systems_are_not_asked():
    """On Linux no command is run."""
    host = fake_host(system={"uname": {"system": "Linux"}})
    assert (probe_apple(host).facts, metal_version(host)) == ((), None)
    assert {section for section, _ in host.source.asked} == {"system"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"SPDisplaysDataType": 5}', "null", "[" * 100_000])
def test_garbage(text):
    """Output that is not the expected JSON is None."""
    assert parse_displays(text) is None


def test_half_a_surrogate_pair():
    """JSON may hold half a character, which no report can: it becomes U+FFFD, and whole pairs stay."""
    text = '{"SPDisplaysDataType": [{"_name": "Apple \\ud800 \\ud83d\\ude00"}]}'
    assert parse_displays(text) == [{"_name": "Apple \ufffd \U0001f600"}]


def test_pages_beyond_64_bits_are_unknown():
    """No Mac has that much."""
    text = "(page size of 16384 bytes)\nPages free: 9223372036854775807.\nPages inactive: 1.\n"
    assert parse_vm_stat(text) is None
