"""What the probes of toolkits ask a host for that no other does, and what a recording keeps of it."""

import os

import pytest

from gpucheck.host.answer import Answer
from gpucheck.host.commands import find_program
from gpucheck.host.redact import Redactor
from gpucheck.host.system import system_fact

posix = pytest.mark.skipif(os.name == "nt", reason="scripts and links of POSIX")


def put(folder, text=b"\x7fELF", name="nvcc"):
    """A program in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def path(monkeypatch, tmp_path):
    """Sets PATH to these folders, the first of them without a compiler."""
    monkeypatch.delenv("WSL_DISTRO_NAME", raising=False)

    def set_path(*folders):
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, (tmp_path / "none", *folders))))

    return set_path


@posix
def test_no_compiler(path):
    """Nothing on PATH is no failure."""
    path()
    assert system_fact("nvcc").error == "not_found"


@posix
def test_a_compiler_behind_a_link(path, tmp_path):
    """Its own place and where the link leads are told; a binary has no script."""
    real = put(tmp_path / "cuda-12.4" / "bin")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").symlink_to(real)
    path(tmp_path / "bin")
    link = str(tmp_path / "bin" / "nvcc")
    assert system_fact("nvcc").value == {"path": link, "real": os.path.realpath(real), "script": None}


@posix
def test_a_script_tells_only_what_it_starts(path, tmp_path):
    """Of a script the lines that name a compiler, and of a long one its beginning; it is not run."""
    ran = tmp_path / "ran"
    text = f'#!/bin/sh\ntouch {ran}\nexport TOKEN=secret\nexec /opt/cuda/bin/nvcc "$@"\n' + "# nvcc\n" * 100_000
    put(tmp_path / "bin", text.encode())
    path(tmp_path / "bin")
    script = system_fact("nvcc").value["script"]
    assert script.startswith('exec /opt/cuda/bin/nvcc "$@"\n# nvcc')
    assert "secret" not in script
    assert len(script) < 4097
    assert not ran.exists()


@posix
def test_a_compiler_that_may_not_be_read(path, tmp_path):
    """That there is one, and that it could not be looked at, is an error of its own."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    put(tmp_path / "bin").chmod(0o111)
    path(tmp_path / "bin")
    assert system_fact("nvcc").error == "io_error"


@posix
def test_drives_of_windows_are_not_looked_at_from_wsl(monkeypatch, path):
    """WSL2 appends the PATH of Windows: each look at one of its drives takes as long as all others together."""
    looked = []
    monkeypatch.setattr(os.path, "isfile", lambda name: bool(looked.append(name)))
    path("/mnt/c/Windows/system32", "/mnt/d", "/mnt/data/bin", "/usr/bin")
    monkeypatch.setenv("WSL_DISTRO_NAME", "Ubuntu")
    assert find_program("nvcc") is None
    assert looked[1:] == ["/mnt/data/bin/nvcc", "/usr/bin/nvcc"]
    looked.clear()
    monkeypatch.delenv("WSL_DISTRO_NAME")
    assert find_program("nvcc") is None
    assert len(looked) == 5


def redacted(section, key, value):
    """What a redacted recording keeps of an answer."""
    return Redactor("alice", "box").answer(section, key, Answer(value))[1].value


def test_a_header_is_kept_for_its_version():
    """The rest of cuda.h is a mebibyte of its maker's text; no other file is shortened."""
    text = "/* Copyright */\n#define CUDA_VERSION 12040\n#  define NV_TENSORRT_MAJOR 10 //!<\nint cuInit(void);\n"
    kept = "#define CUDA_VERSION 12040\n#  define NV_TENSORRT_MAJOR 10 //!<\n"
    assert redacted("file", "/usr/local/cuda-12.4/include/cuda.h", text) == kept
    assert redacted("file", "/usr/local/cuda-12.4/version.txt", text) == text


@pytest.mark.parametrize("folder", ["/opt", "/usr/local"])
def test_other_software_is_nobody_s_business(folder):
    """Of the folders that all software lies in only toolkits are kept."""
    names = [
        "cuda",
        "cuda-12",
        "cuda-12.4",
        "cudatron",
        "google",
        "intel",
        "rocm",
        "rocm-6.4.1",
        "rocm-alice",
        "secret",
    ]
    assert redacted("dir", folder, names) == ["cuda", "cuda-12", "cuda-12.4", "intel", "rocm", "rocm-6.4.1"]
    assert len(redacted("dir", f"{folder}/x", names)) == len(names)


def test_names_in_a_compiler_s_path_are_masked():
    """A toolkit in a home, or in a folder of a user's name."""
    value = {"path": "/home/alice/bin/nvcc", "real": "/data/alice/cuda/bin/nvcc", "script": None}
    assert redacted("system", "nvcc", value) == {
        "path": "/home/user/bin/nvcc",
        "real": "/data/user/cuda/bin/nvcc",
        "script": None,
    }
