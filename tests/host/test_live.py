"""The live source, and a copied tree in its place."""

import json
import os
import shlex
import sys

import pytest

from gpucheck.host.host import SECTIONS, Host
from gpucheck.host.live import LiveSource

KEYS = {
    "file": "/proc/meminfo", "dir": "/proc", "link": "/proc/self", "access": "rw /dev/null", "disk": ".",
    "command": '["true"]', "nvml": "system/DriverVersion", "psutil": "virtual_memory", "cpuinfo": "info",
    "env": "PATH", "system": "uname", "python": "/usr/bin/python3 frameworks",
}  # fmt: skip


@pytest.fixture
def live():
    """A host on this machine."""
    return Host(LiveSource(), "live")


def test_copied_tree_answers_with_files_only(tmp_path):
    """Below another root nothing of the running machine shows through."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1 kB\n")
    source = LiveSource(str(tmp_path))
    assert source.answer("file", "/proc/meminfo", 1).value == "MemTotal: 1 kB\n"
    for section in SECTIONS:
        if section not in {"file", "dir", "link"}:
            assert source.answer(section, KEYS[section], 1).error == "other_root"


def test_environment(live, monkeypatch):
    """Set, set to nothing, and not set are three things; undecodable bytes can be recorded."""
    monkeypatch.setenv("GPUCHECK_A", "x")
    monkeypatch.setenv("GPUCHECK_B", "")
    monkeypatch.setenv("GPUCHECK_D", os.fsdecode(b"caf\xe9"))
    assert [live.env(f"GPUCHECK_{name}").value for name in "ABC"] == ["x", "", None]
    assert live.env("GPUCHECK_C").error == "not_found"
    assert live.env("GPUCHECK_D").value == "caf\ufffd"


def test_uname_never_names_the_node(live):
    """The machine's name is not asked for."""
    assert set(live.system("uname").value) == {"system", "release", "machine"}


def test_system_facts(live):
    """What the interpreter knows, as plain data."""
    assert live.system("cpu_count").value == os.cpu_count()
    assert live.system("python").value["executable"] == sys.executable
    assert live.system("python").value["version"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert live.system("nonsense").error == "failed"
    assert json.dumps([live.system(fact).value for fact in ("uname", "affinity", "rlimits", "python", "user")])


def test_psutil(live):
    """Named tuples come as objects; an unknown question is refused."""
    memory = live.psutil("virtual_memory").value
    assert memory["total"] >= memory["available"] > 0
    assert live.psutil("boot_time").error == "failed"
    assert live.psutil("cpu_count_logical").value >= 1


def test_psutil_failure_is_an_answer(live, monkeypatch):
    """An exception of psutil's becomes an answer in words."""
    import psutil

    def fail():
        raise RuntimeError("line not found in /proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", fail)
    answer = live.psutil("virtual_memory")
    assert (answer.error, "line not found" in answer.detail) == ("failed", True)


def test_py_cpuinfo_failure_is_an_answer(live, monkeypatch):
    """py-cpuinfo raises plain exceptions on systems that it does not know (#141)."""
    import cpuinfo

    def fail():
        raise Exception("py-cpuinfo currently only works on X86 and some ARM CPUs.")  # noqa: TRY002

    monkeypatch.setattr(cpuinfo, "get_cpu_info", fail)
    assert live.cpuinfo().error == "failed"


def test_disk(live):
    """Space of the current directory."""
    space = live.disk(".").value
    assert space.total_bytes >= space.free_bytes >= 0


def test_hanging_disk(live, monkeypatch):
    """A network file system whose server has gone costs its time limit once."""
    import threading

    from gpucheck.host import files

    release = threading.Event()
    monkeypatch.setattr(files, "disk_usage", lambda place: release.wait(30))
    assert live.source.answer("disk", "/dead", 0.1).error == "timeout"
    assert live.source.answer("disk", "/dead", 5).error == "timeout"
    assert live.source.lanes.stuck == ("statvfs /dead",)
    release.set()


def test_another_python():
    """Another interpreter tells its version and prefix without importing anything of ours."""
    answer = Host(LiveSource(), "live").python(sys.executable, "frameworks", timeout_s=20)
    assert answer.value["prefix"] == sys.prefix
    assert isinstance(answer.value["found"], dict)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 3", "malformed"),
        ("echo nonsense", "malformed"),
        ("echo '[1]'", "malformed"),
        (f"exec {shlex.quote(sys.executable)} -c 'import time; time.sleep(30)'", "timeout"),
    ],
    ids=["exits", "prints words", "prints a list", "hangs"],
)
@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_python_that_is_none(tmp_path, script, error):
    """What claims to be a Python and is not gives an error in words."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert Host(LiveSource(), "live").python(str(program), "frameworks", timeout_s=0.7).error == error


def test_interpreter_with_spaces_in_its_path(tmp_path):
    """The question is the last word of the key; the path may hold spaces."""
    program = tmp_path / "my python"
    program.symlink_to(sys.executable)
    if not os.access(program, os.X_OK):
        pytest.skip("links to interpreters do not run here")
    assert "version" in Host(LiveSource(), "live").python(str(program), "frameworks", timeout_s=20).value


def test_programs_on_path(tmp_path, monkeypatch):
    """The programs that run models by their files alone: what cannot be executed is none, and nothing is started."""
    (tmp_path / "ollama").write_text("#!/bin/sh\ntouch was-run\n")
    (tmp_path / "ollama").chmod(0o755)
    (tmp_path / "llama-cli").write_text("not a program")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}")
    assert Host(LiveSource(), "live").system("programs").value == {"ollama": str(tmp_path / "ollama")}
    assert not (tmp_path / "was-run").exists()
