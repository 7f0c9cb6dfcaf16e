"""Toolkit versions by the files that installers leave."""

import pytest

from gpucheck.probes.toolkits import parse_cuda_json, parse_cudnn, parse_rocm, parse_tensorrt, probe_toolkits
from tests.fake_source import fake_host

NEW_TENSORRT = (
    "#define TRT_MAJOR_ENTERPRISE 10\n#define TRT_MINOR_ENTERPRISE 13\n#define TRT_PATCH_ENTERPRISE 2\n"
    "#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE\n"
)
CUDNN = "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n"


def toolkits_of(files, env=None):
    """The toolkits that these files show."""
    return probe_toolkits(fake_host(files=files, env=env)).facts


def test_nothing_installed():
    """No toolkit is normal: no issues."""
    found = probe_toolkits(fake_host())
    assert (found.facts.cuda, found.facts.cudnn, found.facts.mps, found.issues) == (None, None, None, ())


def test_cuda_json():
    """CUDA 11.1 and later: the version under "cuda", not that of another part."""
    text = '{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}, "cuda_nvcc": {"version": "12.4.131"}}'
    assert toolkits_of({"/usr/local/cuda/version.json": text}).cuda == "12.4.1"


def test_cuda_text():
    """Older toolkits: a line of text."""
    assert toolkits_of({"/usr/local/cuda/version.txt": "CUDA Version 10.1.243\n"}).cuda == "10.1.243"


def test_chosen_cuda_first():
    """CUDA_HOME chooses among several."""
    files = {"/usr/local/cuda/version.txt": "CUDA Version 10.1.243", "/opt/c/version.txt": "CUDA Version 10.2.89"}
    assert toolkits_of(files, {"CUDA_HOME": "/opt/c/"}).cuda == "10.2.89"


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


def test_rocm_places():
    """ROCM_PATH before the usual folder."""
    files = {"/opt/rocm/.info/version": "6.2.0-66", "/opt/rocm-7/.info/version": "7.0.0-1"}
    assert toolkits_of(files).rocm == "6.2.0"
    assert toolkits_of(files, {"ROCM_PATH": "/opt/rocm-7"}).rocm == "7.0.0"


@pytest.mark.parametrize("parse", [parse_cudnn, parse_tensorrt])
def test_endless_blank_lines_take_no_time(parse):
    """A directive stands on one line: what is blank before it is not gone through from each of its lines."""
    assert parse("\n" * 300_000) is None
