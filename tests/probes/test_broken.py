"""Packages that are installed and cannot be imported, by their files; each also with all that is needed."""

import pytest

from gpucheck.probes.frameworks import probe_frameworks
from tests.fake_source import fake_host

SITE = "/v/lib/python3.11/site-packages"
TORCH = ("torch/__init__.py", "torch/_C.cpython-311-x86_64-linux-gnu.so", "torch/lib/libtorch_cpu.so")
RECORD = "".join(f"{path},sha256=abc,1\n" for path in TORCH) + "torch/version.py,sha256=abc,1\n"
INFO = "torch-2.9.1.dist-info"


def environment(*there, record=RECORD, installer="pip\n", metadata=INFO, **given):
    """An environment with torch's metadata and these of its files."""
    files = {"/v/pyvenv.cfg": "version = 3.11.7\n", f"{SITE}/{metadata}/METADATA": ""}
    files |= {f"{SITE}/{path}": "" for path in there}
    files |= {f"{SITE}/{metadata}/RECORD": record} if record is not None else {}
    files |= {f"{SITE}/{metadata}/INSTALLER": installer}
    answers = {("access", f"r {SITE}/{path}"): True for path in there}
    return fake_host(files=files | given.pop("files", {}), answers=answers | given.pop("answers", {}), **given)


def only(host):
    """The one framework there."""
    (found,) = probe_frameworks(host, "/v/bin/python").facts
    return found


def test_a_whole_torch():
    """With its files there it is not broken, and nobody has tried it."""
    found = only(environment(*TORCH))
    assert (found.broken, found.usable, found.reason) == (None, None, "not tried")


@pytest.mark.parametrize("gone", TORCH)
def test_a_file_is_missing(gone):
    """A file that torch was installed with and that an import needs is not there."""
    found = only(environment(*(path for path in TORCH if path != gone)))
    assert found.broken == f"its file {gone} is missing"
    assert (found.usable, found.reason) == (False, found.broken)


def test_without_its_folder():
    """The metadata alone was left."""
    assert only(environment()).broken == "its file torch/__init__.py is missing"


@pytest.mark.parametrize(
    ("there", "given"),
    [
        ((), {"record": "__editable__.torch-2.9.1.pth,sha256=abc,1\n"}),  # an editable installation
        ((), {"record": None}),  # a distribution's package keeps no such list
        (TORCH[:2], {"record": RECORD.replace("torch/lib/libtorch_cpu.so,sha256=abc,1\n", "")}),
        (TORCH[:2], {"installer": "conda"}),  # libtorch is a package of its own there
    ],
)
def test_odd_and_well(there, given):
    """Where the list of files does not name what is not there, it is not missing."""
    assert only(environment(*there, **given)).broken is None


@pytest.mark.parametrize("error", ["not_recorded", "no_permission", "other_root"])
def test_what_nobody_looked_at(error):
    """A recording of before, or a folder that may not be read, says nothing of what is broken."""
    host = environment(*TORCH[1:], errors={("access", f"r {SITE}/torch/__init__.py"): error})
    assert only(host).broken is None


def test_windows_and_macos():
    """The library has another name there."""
    for library in ("torch/lib/torch_cpu.dll", "torch/lib/libtorch_cpu.dylib"):
        record = RECORD.replace("torch/lib/libtorch_cpu.so", library)
        assert only(environment(*TORCH[:2], library, record=record)).broken is None
        assert only(environment(*TORCH[:2], record=record)).broken == f"its file {library} is missing"


def test_another_python():
    """An extension for Python 3.10 alone, copied into an environment of 3.11."""
    other = "torch/_C.cpython-310-x86_64-linux-gnu.so"
    found = only(environment(TORCH[0], TORCH[2], other))
    assert found.broken == "it is compiled for Python 3.10, and this is Python 3.11"
    assert only(environment(*TORCH, other)).broken is None
    assert only(environment(TORCH[0], TORCH[2], "torch/_C.abi3.so")).broken is None


class TestInterrupted:
    """What pip leaves when it is stopped: the old package under a name with a tilde."""

    LEFT = "~orch-2.8.0.dist-info"

    @pytest.mark.parametrize("left", ["~orch-2.8.0.dist-info", "~-rch-2.8.0.dist-info"])
    def test_half_removed(self, left):
        """The new one has no metadata yet, and a part of its folder is there to be imported."""
        found = only(
            fake_host(folders=[f"{SITE}/{left}", f"{SITE}/torch/lib"], files={"/v/pyvenv.cfg": "version=3.11.7"})
        )
        assert (found.name, found.version, found.usable) == ("torch", "2.8.0", False)
        assert "interrupted" in found.broken

    def test_beside_a_whole_one(self):
        """The remains do no harm where the package is there."""
        assert only(environment(*TORCH, folders=[f"{SITE}/{self.LEFT}"])).broken is None

    def test_removed(self):
        """Without a folder it is gone, and may be; a name of no package of interest says nothing."""
        for left in (self.LEFT, "~umpy-2.0.0.dist-info"):
            host = fake_host(folders=[f"{SITE}/{left}", f"{SITE}/numpy"], files={"/v/pyvenv.cfg": "version=3.11.7"})
            assert probe_frameworks(host, "/v/bin/python").facts == ()


def test_two_versions():
    """Two records of one package in a folder: an issue, once although lib64 is the same folder; version.py decides."""
    folders = [f"{library}/python3.11/site-packages/torch-2.8.0.dist-info" for library in ("/v/lib", "/v/lib64")]
    folders.append("/v/lib64/python3.11/site-packages/torch-2.9.1.dist-info")
    version = {f"{SITE}/torch/version.py": "__version__ = '2.9.1+cu128'\n"}
    found = probe_frameworks(environment(*TORCH, folders=folders, files=version), "/v/bin/python")
    assert [(one.version, one.build, one.broken) for one in found.facts] == [("2.9.1", "cu128", None)]
    assert [(issue.code, issue.source) for issue in found.issues] == [("several_versions", "torch")]
    assert "2.8.0 and 2.9.1" in found.issues[0].detail


class TestOnnxRuntime:
    """Packages that share one folder."""

    def both(self, last):
        """Two packages, the last of which wrote the folder."""
        info = f"package_name = '{last}'\n__version__ = '1.23.2'\n"
        names = ["onnxruntime_gpu-1.23.2.dist-info", "onnxruntime-1.23.2.dist-info"]
        folders = [f"{SITE}/{name}" for name in names] + [f"{SITE}/onnxruntime/capi/libonnxruntime_providers_cuda.so"]
        files = {"/v/pyvenv.cfg": "version=3.11.7"}
        files |= {f"{SITE}/onnxruntime/capi/build_and_package_info.py": info} if last else {}
        host = fake_host(folders=folders, files=files)
        return {one.name: one for one in probe_frameworks(host, "/v/bin/python").facts}

    def test_overwritten(self):
        """The one for processors came last: the one for GPUs has no effect, whatever libraries it left."""
        found = self.both("onnxruntime")
        assert found["onnxruntime-gpu"].usable is False
        assert "onnxruntime has written" in found["onnxruntime-gpu"].broken
        assert found["onnxruntime"].broken is None

    @pytest.mark.parametrize("last", ["onnxruntime-gpu", ""])
    def test_in_effect(self, last):
        """The one for GPUs came last, or nothing tells which did."""
        assert {one.broken for one in self.both(last).values()} == {None}
