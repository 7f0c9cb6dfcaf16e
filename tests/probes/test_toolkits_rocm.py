"""ROCm in the layouts of AMD's two release lines, of distributions and of Windows."""

import pytest

from gpucheck.probes.rocm_toolkits import parse_rocm_header
from gpucheck.probes.toolkits import probe_toolkits
from tests.fake_source import fake_host

WINDOWS = {"uname": {"system": "Windows", "release": "11", "machine": "AMD64"}}
ROOT = "C:\\Program Files\\AMD\\ROCm"
HEADER = (
    "#define ROCM_VERSION_MAJOR   7\n#define ROCM_VERSION_MINOR   1\n#define ROCM_VERSION_PATCH   0\n"
    '#define ROCM_BUILD_INFO\t     "7.1.0.0"\n'
)


def found_in(files, env=None, **given):
    """(the version in force, [(version, folder, what chooses it)]), without any issue."""
    found = probe_toolkits(fake_host(files=files, env=env, **given))
    assert found.issues == ()
    return found.facts.rocm, [(one.version, one.folder, one.chosen_by) for one in found.facts.rocm_installed]


RELEASES = {"/opt/rocm-6.4.1/.info/version": "6.4.1-83\n", "/opt/rocm-7.2.0/.info/version": "7.2.0-43\n"}
LINKS = {"/opt/rocm": "/etc/alternatives/rocm", "/etc/alternatives/rocm": "/opt/rocm-6.4.1"}


def test_releases_beside_each_other():
    """Up to 7.2: the link chooses one of several."""
    assert found_in(RELEASES, links=LINKS) == (
        "6.4.1",
        [("6.4.1", "/opt/rocm-6.4.1", ("/opt/rocm",)), ("7.2.0", "/opt/rocm-7.2.0", ())],
    )


@pytest.mark.parametrize("variable", ["ROCM_PATH", "HIP_PATH"])
@pytest.mark.parametrize("folder", ["/opt/rocm-7.2.0", "/opt/rocm-7.2.0/", "/opt/rocm-7.2.0/hip"])
def test_variables_choose(variable, folder):
    """ROCM_PATH and HIP_PATH come before the link; HIP once had a folder of its own in it."""
    version, installed = found_in(RELEASES, {variable: folder}, links=LINKS)
    assert (version, installed[0]) == ("7.2.0", ("7.2.0", "/opt/rocm-7.2.0", (variable,)))


def test_one_folder():
    """Arch and images have /opt/rocm itself."""
    assert found_in({"/opt/rocm/.info/version": "7.2.0"}) == ("7.2.0", [("7.2.0", "/opt/rocm", ())])
    assert found_in({"/opt/rocm/.info/version-dev": "6.2.4-2"})[0] == "6.2.4"


@pytest.mark.parametrize("env", [{}, {"ROCM_PATH": "/opt/rocm"}, {"ROCM_PATH": "/opt/rocm/core"}])
def test_core_sdk(env):
    """From 7.14 on: /opt/rocm/core leads to one of several, and /opt/rocm has links of its own beside it."""
    files = {"/opt/rocm/core-7.14/.info/version": "7.14.0\n", "/opt/rocm/core-10.0/.info/version": "10.0.0\n"}
    links = {
        "/opt/rocm/core": "/etc/alternatives/core", "/etc/alternatives/core": "/opt/rocm/core-10.0",
        "/opt/rocm/core-10": "/etc/alternatives/core-10", "/etc/alternatives/core-10": "/opt/rocm/core-10.0",
        "/opt/rocm/bin": "/etc/alternatives/rocm-bin",
    }  # fmt: skip
    assert found_in(files, env, links=links) == (
        "10.0.0",
        [("10.0.0", "/opt/rocm/core-10.0", (*env, "/opt/rocm/core")), ("7.14.0", "/opt/rocm/core-7.14", ())],
    )


def test_both_lines():
    """A release of the old line in /opt beside the new one."""
    files = {**RELEASES, "/opt/rocm/core-7.14/.info/version": "7.14.0"}
    version, installed = found_in(files, links={"/opt/rocm/core": "core-7.14"})
    assert version == "7.14.0"
    assert [one[0] for one in installed] == ["7.14.0", "7.2.0", "6.4.1"]


def test_a_distribution_s_own():
    """Debian's packages lie in /usr and have a header alone."""
    assert found_in({"/usr/include/rocm-core/rocm_version.h": HEADER}) == ("7.1.0", [("7.1.0", "/usr", ())])


@pytest.mark.parametrize(("text", "version"), [(HEADER, "7.1.0"), ("#define ROCM_VERSION_MAJOR 7", None), ("", None)])
def test_header(text, version):
    """All three parts or none."""
    assert parse_rocm_header(text) == version


@pytest.mark.parametrize("text", ["", "x", "latest\n"])
def test_malformed(text):
    """A version file without a version is told, and no other toolkit's version stands in for it."""
    found = probe_toolkits(fake_host(files={**RELEASES, "/opt/rocm/.info/version": text}))
    assert found.facts.rocm is None
    assert [one.version for one in found.facts.rocm_installed] == ["7.2.0", "6.4.1"]
    assert [(issue.code, issue.source) for issue in found.issues] == [("malformed", "/opt/rocm/.info/version")]


def test_a_folder_that_may_not_be_listed():
    """There may be a core in it, which would come before the older release beside it."""
    files = {**RELEASES, "/opt/rocm/core/.info/version": "10.0.0"}
    found = probe_toolkits(fake_host(files=files, errors={("dir", "/opt/rocm"): "no_permission"}))
    assert found.facts.rocm is None
    assert [one.version for one in found.facts.rocm_installed] == ["7.2.0", "6.4.1"]
    assert [issue.code for issue in found.issues] == ["no_permission"]


def test_windows():
    """The HIP SDK lies in a folder of its version, which HIP_PATH names; later ones have a file too."""
    files = {f"{ROOT}\\7.1\\.info\\version": "7.1.1"}
    folders = {("dir", ROOT): ["6.2", "7.1", "bin"]}
    assert found_in(files, {"HIP_PATH": f"{ROOT}\\6.2\\"}, system=WINDOWS, answers=folders) == (
        "6.2",
        [("6.2", f"{ROOT}\\6.2", ("HIP_PATH",)), ("7.1.1", f"{ROOT}\\7.1", ())],
    )
