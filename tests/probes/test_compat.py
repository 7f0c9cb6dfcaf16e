"""A libcuda of NVIDIA's package cuda-compat, and whether the loader finds it before the driver's own."""

import pytest

from gpucheck.probes.collect import Issues
from gpucheck.probes.compat import LOADER, SOURCE, find_compat, parse_loader_file
from tests.fake_source import fake_host

FOLDER = "/usr/local/cuda-12.9/compat"
LIBRARY = f"{FOLDER}/libcuda.so.575.57.08"
OWN = {("access", "r /driver/libcuda.so.1"): True}


def found_in(files=(), env=None, answers=None, texts=None):
    """(version, folder, setting) of what is found, with these libraries there."""
    host = fake_host(files={**dict.fromkeys(files, ""), **(texts or {})}, env=env, answers=answers)
    issues = Issues()
    compat = find_compat(host, issues, ["/usr/local/cuda"])
    assert issues.all() == ()
    return compat and (compat.version, compat.folder, compat.found_by)


def test_nothing_there():
    """Most machines have none, and a folder without a libcuda is none."""
    assert found_in() is None
    assert found_in([f"{FOLDER}/readme"], env={"LD_LIBRARY_PATH": FOLDER}) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{FOLDER}:/driver", ("575.57.08", FOLDER, "LD_LIBRARY_PATH")),
        (f"/elsewhere::relative/compat:{FOLDER}/", ("575.57.08", FOLDER, "LD_LIBRARY_PATH")),
        (f"/driver:{FOLDER}", None),
        ("", None),
    ],
)
def test_library_path(path, expected):
    """The order of LD_LIBRARY_PATH decides: where the driver's own comes first, the other is not in use."""
    assert found_in([LIBRARY], env={"LD_LIBRARY_PATH": path}, answers=OWN) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("00-cuda-compat.conf", ("575.57.08", FOLDER, "/etc/ld.so.conf.d/00-cuda-compat.conf")),
        ("zz-cuda-compat.conf", None),
        ("00-cuda-compat.conf.bak", None),
    ],
)
def test_loader_files(name, expected):
    """Files of ld.so.conf.d count in the order of their names; the driver's own may stand in one before."""
    loader = "/etc/ld.so.conf.d"
    texts = {f"{loader}/{name}": f"# for CUDA\n{FOLDER}/\n", f"{loader}/nvidia.conf": "/driver\n"}
    assert found_in([LIBRARY], answers=OWN, texts=texts) == expected


def test_it_only_lies_there():
    """An image's copy in the toolkit's folder is told, without a setting that puts it first."""
    library = "/usr/local/cuda/compat/libcuda.so.550.54.15"
    assert found_in([library]) == ("550.54.15", "/usr/local/cuda/compat", None)


def test_parse_loader_file():
    """One folder a line; comments, includes and relative paths are none."""
    assert parse_loader_file("/a/b/ # c\n#/d\n\ninclude /x/*.conf\nrelative\n/e\n") == ("/a/b", "/e")


@pytest.mark.parametrize(
    ("where", "error"),
    [
        (("file", f"{LOADER}/00.conf"), "io_error"),
        (("file", f"{LOADER}/00.conf"), "not_recorded"),
        (("dir", LOADER), "no_permission"),
        (("dir", FOLDER), "no_permission"),
        (("dir", FOLDER), "not_recorded"),
        (("access", "r /first/libcuda.so.1"), "io_error"),
    ],
)
def test_a_place_that_cannot_be_read_leaves_it_unknown(where, error):
    """Whichever library is first may be another than one that is found behind it."""
    files = {LIBRARY: "", f"{LOADER}/00.conf": f"/first\n{FOLDER}\n", "/usr/local/cuda/compat/libcuda.so.550.54.15": ""}
    issues = Issues()
    assert find_compat(fake_host(files=files, errors={where: error}), issues, ["/usr/local/cuda"]) is None
    assert SOURCE in {issue.source for issue in issues.all()}


def test_a_setting_may_name_a_folder_that_is_not_there():
    """As after a toolkit was removed; the one below a toolkit's folder is told then."""
    library = "/usr/local/cuda/compat/libcuda.so.550.54.15"
    assert found_in([library], env={"LD_LIBRARY_PATH": FOLDER}) == ("550.54.15", "/usr/local/cuda/compat", None)
