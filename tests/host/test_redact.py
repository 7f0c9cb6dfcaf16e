"""Masking: what names a person or a board goes, its form and every relation stay."""

import re

import pytest

from gpucheck.host.answer import Answer, failed
from gpucheck.host.redact import Redactor, names_here
from gpucheck.probes.nvidia.ladder import SECURE_BOOT

UUID = "GPU-8f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8"
HEX64 = "8f3b1c2d" * 8


@pytest.fixture
def redactor():
    """One with a fixed key, so that failures repeat."""
    return Redactor(user="alice", host_name="gpubox17.lab.example", key=b"k" * 16)


def test_uuid_keeps_its_form(redactor):
    """Digits change, places and prefix do not; equal stays equal."""
    masked = redactor.text(f"{UUID} {UUID.lower()} {UUID}")
    first, _, third = masked.split(" ")
    assert re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first)
    assert first == third != UUID


@pytest.mark.parametrize("length", [2, 4, 8, 12, 20, 30])
def test_prefix_stays_a_prefix(redactor, length):
    """CUDA_VISIBLE_DEVICES may hold the beginning of a UUID, which still names the same board."""
    beginning = UUID[: 4 + length]
    assert redactor.text(UUID).startswith(redactor.text(f"x,{beginning}").removeprefix("x,"))
    assert redactor.text(beginning) != beginning


def test_different_boards_stay_different(redactor):
    """One digit of difference remains a difference, and only from there on."""
    other = UUID[:-1] + "0"
    assert redactor.text(UUID)[:-1] == redactor.text(other)[:-1]
    assert redactor.text(UUID) != redactor.text(other)


def test_two_recordings_do_not_match():
    """Each redactor has a key of its own."""
    assert Redactor().text(UUID) != Redactor().text(UUID)


def test_mig_names(redactor):
    """A MIG UUID in both forms is masked; a profile's name is not one."""
    assert redactor.text("MIG-GPU-8f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8/1/0").endswith("/1/0")
    assert redactor.text("MIG-8f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8") != "MIG-8f2a1b3c-4d5e-6f70-8192-a3b4c5d6e7f8"
    assert redactor.text("NVIDIA A100 MIG 3g.20gb MIG-Enabled") == "NVIDIA A100 MIG 3g.20gb MIG-Enabled"


@pytest.mark.parametrize(
    "text",
    ["<serial>1562020001234</serial>", "<board_serial>ABC-123</board_serial>", "    Serial Number : 1320221033456",
     "Serial\t\t: 10000000a1b2c3d4"],
)  # fmt: skip
def test_serials(redactor, text):
    """Serial numbers change digit by digit and letter by letter."""
    masked = redactor.text(text)
    assert masked != text
    assert [one.isdigit() for one in masked] == [one.isdigit() for one in text]


@pytest.mark.parametrize("text", ["<serial>N/A</serial>", "Serial Number : N/A", "Serial Number : [N/A]"])
def test_absent_serials_stay_absent(redactor, text):
    """The value "N/A" names nobody, and stays."""
    assert redactor.text(text) == text


def test_mac_addresses_and_pci_addresses(redactor):
    """Six pairs are a network card; a PCI address is not."""
    assert redactor.text("link/ether 52:54:00:12:34:56") != "link/ether 52:54:00:12:34:56"
    assert redactor.text("0000:01:00.0 00000000:65:00.0") == "0000:01:00.0 00000000:65:00.0"


def test_processes_lose_folders_and_arguments(redactor):
    """Of a process only the program's name is of use."""
    text = "<process_name>/home/alice/venv/bin/python train.py --secret</process_name>"
    assert redactor.text(text) == "<process_name>python</process_name>"


@pytest.mark.parametrize(
    ("path", "masked"),
    [("/home/alice/.cache", "/home/user/.cache"), ("/Users/bob/x", "/Users/user/x"),
     (r"C:\Users\bob\x", r"C:\Users\user\x"), ("/home/bob", "/home/user"), ("/data/alice/models", "/data/user/models"),
     ("/nfs/gpubox17/x", "/nfs/user/x"), ("/data/alices/x", "/data/alices/x")],
)  # fmt: skip
def test_paths(redactor, path, masked):
    """Home directories of anybody, and this user's and host's names anywhere in a path."""
    assert redactor.answer("file", path, Answer("x"))[0] == masked
    assert redactor.answer("env", "HF_HOME", Answer(path))[1].value == masked
    assert redactor.answer("file", "/a", failed("io_error", f"{path}: broken"))[1].detail == f"{masked}: broken"


def test_names_in_hardware_words_stay(redactor):
    """A user's name in a product's name is a coincidence."""
    assert redactor.answer("file", "/proc/cpuinfo", Answer("model name : Alice alice"))[1].value.endswith("alice")


@pytest.mark.parametrize(
    "key",
    [f"/sys/fs/cgroup/docker/{HEX64}/memory.max", f"/sys/fs/cgroup/system.slice/docker-{HEX64}.scope/cpu.max",
     "/sys/fs/cgroup/kubepods-pod8f3b1c2d_1111_2222_3333_444444444444.slice/memory.max",
     "/sys/fs/cgroup/kubepods/burstable/pod8f3b1c2d-1111-2222-3333-444444444444/memory.max",
     "/sys/fs/cgroup/kubepods/pod" + "8f3b1c2d" * 4 + "/memory.max"],
)  # fmt: skip
def test_containers(redactor, key):
    """Ids of containers and pods are masked in keys just as in the text that they came from."""
    masked = redactor.answer("file", key, Answer("max"))[0]
    path = key.removeprefix("/sys/fs/cgroup").rpartition("/")[0]
    assert "8f3b1c2d" not in masked
    assert redactor.answer("file", "/proc/self/cgroup", Answer(f"0::{path}\n"))[1].value.strip()[3:] in masked


def test_amd_ids_keep_their_relation(redactor):
    """KFD's decimal id and the hexadecimal one in ROCR_VISIBLE_DEVICES still name the same card."""
    number = 0x8F2A1B3C4D5E6F70
    masked = redactor.text(f"simd_count 416\nunique_id {number}\nhive_id 0\n")
    found = re.search(r"^unique_id (\d+)$", masked, re.MULTILINE)
    assert int(found[1]) != number
    assert redactor.text(f"GPU-{number:016x}") == f"GPU-{int(found[1]):016x}"
    assert masked.startswith("simd_count 416\n")
    assert masked.endswith("hive_id 0\n")


def test_amd_tools_ids_are_those_of_kfd(redactor):
    """rocm-smi and amd-smi write KFD's id in hexadecimal: masked alike. Serials are masked, what is none stays."""
    number = 0x3D4595974090853C
    kfd = int(redactor.text(f"unique_id {number}").removeprefix("unique_id "))
    for key in ("Unique ID", "asic_serial"):
        assert redactor.text(f'{{"{key}": "0x{number:x}"}}') == f'{{"{key}": "0x{kfd:016x}"}}'
        for nothing in ("N/A", "0x0"):
            assert redactor.text(f'{{"{key}": "{nothing}"}}') == f'{{"{key}": "{nothing}"}}'
    masked = redactor.text('{"Serial Number": "PCB0123", "product_serial": "692044000123", "Card SKU": "D05101"}')
    assert "PCB0123" not in masked
    assert "692044000123" not in masked
    assert '"Card SKU": "D05101"' in masked


@pytest.mark.parametrize("user", ["dev", "lib", "sys", "me", "cpu"])
def test_users_called_like_a_folder(user):
    """A user called "dev" must not turn /dev/shm into a path that no replay asks for."""
    redactor = Redactor(user=user)
    for path in ("/dev/shm", "/usr/lib/os-release", "/sys/devices/system/cpu/online", "/run/me"):
        assert redactor.answer("file", path, Answer("x"))[0] == path


def test_nested_values(redactor):
    """Lists and objects are masked inside; numbers and None are left alone."""
    value = {"uuid": UUID, "paths": ["/home/bob/x"], "count": 3, "none": None, "on": True}
    masked = redactor.answer("nvml", "gpu0/X", Answer(value))[1].value
    assert (masked["paths"], masked["count"], masked["none"], masked["on"]) == (["/home/user/x"], 3, None, True)
    assert masked["uuid"] != UUID


def test_prefixes_of_the_interpreter(redactor):
    """Paths that the interpreter tells of itself lose the user's name."""
    value = {"prefix": "/opt/alice/venv", "version": "3.11.7"}
    masked = redactor.answer("system", "python", Answer(value))[1].value
    assert masked == {"prefix": "/opt/user/venv", "version": "3.11.7"}


def test_nothing_to_mask_is_nothing_changed(redactor):
    """Plain hardware words come through as they are."""
    text = "MemTotal: 25276502016 kB\nmodel name : AMD EPYC 7763 64-Core Processor\n16.0 GT/s PCIe\n560.35.05\n"
    assert redactor.text(text) == text


def test_names_here_are_texts():
    """Whatever the account, two texts come back."""
    assert [type(name) for name in names_here()] == [str, str]


def test_names_that_every_machine_has_are_kept(redactor):
    """UEFI's variables are asked for by the same name everywhere: masked, a replay would not find them."""
    assert redactor.text(SECURE_BOOT) == SECURE_BOOT


def test_an_address_of_a_cluster_is_not_recorded(redactor):
    """That a pod knows its cluster says that it is one; where the cluster is does not matter."""
    name = "KUBERNETES_SERVICE_HOST"
    assert redactor.answer("env", name, Answer("10.0.0.1")) == (name, Answer("kubernetes"))
    assert redactor.answer("env", name, failed("not_found")) == (name, failed("not_found"))


def test_endless_blank_lines_take_no_time(redactor):
    """Looking for serial numbers behind every line's blanks must not go through all lines that follow."""
    text = "\n" * 200_000
    assert redactor.text(text) == text


def test_half_a_surrogate_pair(redactor):
    """What system_profiler prints may hold half a character; the recording holds U+FFFD."""
    text = '{"SPDisplaysDataType": [{"_name": "Apple \\ud800"}]}'
    value = {"stdout": text, "stderr": "", "returncode": 0}
    masked = redactor.answer("command", '["system_profiler"]', Answer(value))[1].value["stdout"]
    assert "Apple \ufffd" in masked


def test_an_id_that_only_begins_as_hexadecimal(redactor):
    """It is masked as a serial is."""
    masked = redactor.text('{"Unique ID": "0x10000 0000000001"}')
    assert re.fullmatch(r'\{"Unique ID": "\d[a-z]\d{5} \d{10}"\}', masked)
    assert "0x10000 0000000001" not in masked


def test_metadata_of_packages(redactor):
    """Of METADATA the requirements are kept, of RECORD what may be missing, and names that pip left of frameworks."""
    site = "/v/lib/python3.11/site-packages"
    text = "Name: vllm\nAuthor-email: Alice <alice@example.org>\nRequires-Dist: torch==2.8.0\n\nA long description\n"
    record = "torch/__init__.py,sha256=a,1\ntorch/lib/libtorch_cpu.so,sha256=b,1\ntorch/nn/modules/x.py,sha256=c,1\n"
    for file, before, after in (("METADATA", text, "Requires-Dist: torch==2.8.0\n"),
                                ("RECORD", record, "".join(record.splitlines(keepends=True)[:2])),
                                ("INSTALLER", "pip\n", "pip\n")):  # fmt: skip
        _, answer = redactor.answer("file", f"{site}/torch-2.9.1.dist-info/{file}", Answer(before))
        assert answer.value == after
    names = ["~orch-2.8.0.dist-info", "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE.dist-info",
             "secret_thing-1.0.dist-info", "~ecret-1.0.dist-info", "torch"]  # fmt: skip
    _, answer = redactor.answer("dir", site, Answer(names))
    assert answer.value == names[:2]
