"""Toolkit versions by the files that installers leave."""

import pytest

from gpucheck.host.answer import Answer
from gpucheck.host.host import Host
from gpucheck.host.recording import Recording, ReplaySource
from gpucheck.probes.cuda_toolkits import parse_cuda_json
from gpucheck.probes.rocm_toolkits import parse_rocm
from gpucheck.probes.toolkits import parse_cudnn, parse_level_zero, parse_nccl, parse_tensorrt, probe_toolkits
from tests.fake_source import FakeSource, fake_host

NEW_TENSORRT = (
    "#define TRT_MAJOR_ENTERPRISE 10\n#define TRT_MINOR_ENTERPRISE 13\n#define TRT_PATCH_ENTERPRISE 2\n"
    "#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE\n"
)
CUDNN = "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n"


NCCL = '#define NCCL_MAJOR 2\n#define NCCL_MINOR 21\n#define NCCL_PATCH 5\n#define NCCL_SUFFIX ""\n'
LOADER = "/usr/lib/x86_64-linux-gnu/libze_loader.so.1"
WINDOWS = {"uname": {"system": "Windows", "release": "11", "machine": "AMD64"}}


def toolkits_of(files, env=None, **given):
    """The toolkits that these files show, without any issue."""
    found = probe_toolkits(fake_host(files=files, env=env, **given))
    assert found.issues == ()
    return found.facts


def test_nothing_installed():
    """No toolkit is normal: no issues."""
    found = probe_toolkits(fake_host())
    assert (found.facts.cuda, found.facts.cudnn, found.facts.mps, found.issues) == (None, None, None, ())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cuda": "12"}', '{"cuda": {"version": 12}}', "[" * 100_000])
def test_malformed_cuda_json(text):
    """A broken file gives no version."""
    assert parse_cuda_json(text) is None


def test_malformed_file_is_an_issue():
    """A file that is there without a version in it is told."""
    found = probe_toolkits(fake_host(files={"/usr/local/cuda/version.json": "{"}))
    assert [issue.code for issue in found.issues] == ["malformed"]


@pytest.mark.parametrize(
    "path",
    ["/usr/include/cudnn_version.h", "/usr/include/x86_64-linux-gnu/cudnn_version.h",
     "/usr/include/aarch64-linux-gnu/cudnn_version.h", "/usr/local/cuda/include/cudnn_version.h",
     "/usr/include/cudnn.h"],
)  # fmt: skip
def test_cudnn_places(path):
    """The header is found wherever packages put it, under its old name too."""
    assert toolkits_of({path: CUDNN}).cudnn == "9.1.0"


def test_cudnn_main_header_without_version():
    """Since cuDNN 8 the main header only includes the other one."""
    assert parse_cudnn('#include "cudnn_version.h"\n') is None
    assert parse_cudnn("# define  CUDNN_MAJOR  7 /* x */\n#define CUDNN_MINOR 6\n#define CUDNN_PATCHLEVEL 5") == "7.6.5"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("#define NV_TENSORRT_MAJOR 8 //!<\n#define NV_TENSORRT_MINOR 6\n#define NV_TENSORRT_PATCH 1\n", "8.6.1"),
        (NEW_TENSORRT, "10.13.2"),
        ("#define NV_TENSORRT_MAJOR 8\n", None),
    ],
)  # fmt: skip
def test_tensorrt(text, version):
    """Both ways of defining the version; half of one is none."""
    assert parse_tensorrt(text) == version


@pytest.mark.parametrize(("text", "version"), [("6.2.0-66\n", "6.2.0"), ("7.0.1", "7.0.1"), ("", None), ("x", None)])
def test_parse_rocm(text, version):
    """The build number is cut off."""
    assert parse_rocm(text) == version


@pytest.mark.parametrize("parse", [parse_cudnn, parse_tensorrt, parse_nccl])
def test_endless_blank_lines_take_no_time(parse):
    """A directive stands on one line: what is blank before it is not gone through from each of its lines."""
    assert parse("\n" * 300_000) is None


@pytest.mark.parametrize(
    ("text", "version"), [(NCCL, "2.21.5"), (NCCL.replace("PATCH", "PATH"), None), ("", None), ("\0", None)]
)
def test_parse_nccl(text, version):
    """Three numbers or none; the suffix of a pre-release is no part of it."""
    assert parse_nccl(text) == version


@pytest.mark.parametrize("folder", ["/usr/include", "/usr/local/cuda/include", "/opt/c/include", "/env/include"])
def test_nccl_places(folder):
    """Where NVIDIA's packages, a chosen toolkit and a conda environment have it."""
    assert toolkits_of({f"{folder}/nccl.h": NCCL}, {"CUDA_HOME": "/opt/c", "CONDA_PREFIX": "/env"}).nccl == "2.21.5"


def test_the_environment_before_the_system():
    """An active conda environment's libraries are what is built with there."""
    files = {"/usr/include/cudnn_version.h": CUDNN, "/env/include/cudnn_version.h": CUDNN.replace("MINOR 1", "MINOR 5")}
    assert toolkits_of(files, {"CONDA_PREFIX": "/env"}).cudnn == "9.5.0"


def test_an_unreadable_header_hides_no_other():
    """Where the first header cannot be read, the next one's version is not told in its place."""
    files = {"/usr/local/cuda/include/cudnn_version.h": CUDNN}
    found = probe_toolkits(fake_host(files=files, errors={("file", "/usr/include/cudnn_version.h"): "no_permission"}))
    assert found.facts.cudnn is None
    assert [(issue.code, issue.source) for issue in found.issues] == [("no_permission", "/usr/include/cudnn_version.h")]


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("libze_loader.so.1.20.6", "1.20.6"), ("/opt/ze/libze_loader.so.1.8.0", "1.8.0"), ("libze_loader.so.1", None),
        ("libze_loader.so.1.2.x", None), ("libze_intel_gpu.so.1.14.37020", None), ("", None), (".so." * 99_999, None),
    ],
)  # fmt: skip
def test_parse_level_zero(target, version):
    """The loader's own library; a driver's has another name and another number."""
    assert parse_level_zero(target) == version


@pytest.mark.parametrize(
    "folder", ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/lib/aarch64-linux-gnu"]
)
def test_level_zero_places(folder):
    """Debian's, Fedora's and Arch's folders of libraries."""
    links = {f"{folder}/libze_loader.so.1": "libze_loader.so.1.24.1"}
    assert toolkits_of({}, links=links).level_zero == "1.24.1"


def test_a_loader_that_is_no_link():
    """A copied library does not tell its version, and is no issue."""
    assert toolkits_of({}, errors={("link", LOADER): "io_error"}).level_zero is None


@pytest.mark.parametrize("below", ["", "\\12.6"])
def test_cudnn_of_windows(below):
    """The installer of cuDNN puts headers into one folder, or into one for each CUDA; the newest release counts."""
    root = "C:\\Program Files\\NVIDIA\\CUDNN"
    found = toolkits_of(
        {f"{root}\\v9.10\\include{below}\\cudnn_version.h": CUDNN.replace("MINOR 1", "MINOR 10")},
        system=WINDOWS,
        answers={("dir", root): ["v9.10", "v9.5"], ("dir", f"{root}\\v9.10\\include"): ["12.6"]},
    )
    assert found.cudnn == "9.10.0"


def test_windows_is_asked_for_none_of_the_folders_of_linux():
    """And the reverse."""
    source = FakeSource(system=WINDOWS)
    probe_toolkits(Host(source, "live"))
    assert not any(key.startswith("/") for _, key in source.asked)
    source = FakeSource()
    probe_toolkits(Host(source, "live"))
    assert not any("\\" in key for _, key in source.asked)


def test_a_mac_has_metal_alone():
    """CUDA's last release for macOS is of 2019: not one file is looked for."""
    source = FakeSource(system={"uname": {"system": "Darwin", "release": "24.5.0", "machine": "arm64"}})
    probe_toolkits(Host(source, "live"))
    assert not any(section in {"file", "dir", "link"} for section, _ in source.asked)


def test_few_questions_where_nothing_is():
    """Two listings tell that no toolkit is in its usual place: what they rule out is not asked for."""
    source = FakeSource(folders=["/usr/local", "/opt"])
    probe_toolkits(Host(source, "live"))
    assert len(source.asked) < 50
    assert not any(key.startswith(("/opt/", "/usr/local/")) for _, key in source.asked)


def test_an_old_recording_knows_what_it_was_asked():
    """Questions that it was never asked give no issue, and what it answered counts as before."""
    answers = {
        "file": {
            "/usr/local/cuda/version.json": Answer('{"cuda": {"version": "12.4.1"}}'),
            "/opt/rocm/.info/version": Answer("6.4.1-83\n"),
            "/usr/local/cuda/include/cudnn_version.h": Answer(CUDNN),
        }
    }
    recording = Recording("gpucheck-recording", 1, "gpucheck 0.1.0", "recorded", "a test", True, answers)
    found = probe_toolkits(Host(ReplaySource(recording), "recording"))
    assert (found.facts.cuda, found.facts.rocm, found.facts.cudnn) == ("12.4.1", "6.4.1", "9.1.0")
    assert found.issues == ()
