"""oneAPI by the folders of its compiler."""

import pytest

from gpucheck.probes.toolkits import probe_toolkits
from tests.fake_source import fake_host

COMPILER = "/opt/intel/oneapi/compiler"
WINDOWS = {"uname": {"system": "Windows", "release": "11", "machine": "AMD64"}}


def oneapi_of(**given):
    """The version found, without any issue."""
    found = probe_toolkits(fake_host(**given))
    assert found.issues == ()
    return found.facts.oneapi


@pytest.mark.parametrize(
    ("names", "latest", "version"),
    [
        (["2024.2", "2025.0", "latest"], "2025.0", "2025.0"),
        (["2024.2", "2025.0", "latest"], "2024.2/", "2024.2"),
        (["2024.2", "2025.10", "2025.3"], None, "2025.10"),
        (["2021.4.0"], None, "2021.4.0"),
        (["latest"], "../somewhere", None),
        (["README"], None, None),
        ([], None, None),
    ],
)
def test_releases(names, latest, version):
    """The link `latest` chooses; without it the newest is the one."""
    links = {f"{COMPILER}/latest": latest} if latest else {}
    assert oneapi_of(folders=[COMPILER], links=links, answers={("dir", COMPILER): names}) == version


def test_another_root():
    """ONEAPI_ROOT, which setvars.sh sets, comes before the usual folder."""
    answers = {("dir", "/home/user/oneapi/compiler"): ["2025.1"], ("dir", COMPILER): ["2024.2"]}
    assert oneapi_of(env={"ONEAPI_ROOT": "/home/user/oneapi/"}, answers=answers) == "2025.1"


def test_a_release_in_one_tree():
    """oneapi-vars.sh names the folder of a whole release, called by its version."""
    assert oneapi_of(env={"ONEAPI_ROOT": "/opt/intel/oneapi/2025.0"}) == "2025.0"


def test_windows():
    """The same below the folder of 32-bit programs."""
    folder = "C:\\Program Files (x86)\\Intel\\oneAPI\\compiler"
    answers = {("dir", folder): ["2024.2", "2025.0", "latest"]}
    assert oneapi_of(system=WINDOWS, answers=answers) == "2025.0"


def test_a_link_that_may_not_be_read():
    """Which one it leads to is not known then, and the newest is not told in its place."""
    found = probe_toolkits(
        fake_host(
            folders=[COMPILER],
            answers={("dir", COMPILER): ["2024.2", "latest"]},
            errors={("link", f"{COMPILER}/latest"): "no_permission"},
        )
    )
    assert (found.facts.oneapi, [issue.code for issue in found.issues]) == (None, ["no_permission"])
