"""Every CUDA toolkit on disk, and the one that builds would use, in the layouts of those who package them."""

import pytest

from gpucheck.probes.cuda_toolkits import parse_cuda_header, parse_cuda_text, parse_wrapper
from gpucheck.probes.toolkits import probe_toolkits
from tests.fake_source import fake_host

WINDOWS = {"uname": {"system": "Windows", "release": "11", "machine": "AMD64"}}
ROOT = "C:\\Program Files\\NVIDIA GPU Computing Toolkit\\CUDA"
DEBIAN_SCRIPT = 'exec /usr/lib/nvidia-cuda-toolkit/bin/nvcc "$@"'


def version_json(version):
    """version.json as NVIDIA's installers leave it: parts have versions of their own."""
    part = f'"cuda_nvcc": {{"name": "CUDA NVCC", "version": "{version}99"}}'
    return f'{{"cuda": {{"name": "CUDA SDK", "version": "{version}"}}, {part}}}'


def cuda_h(number):
    """The lines of cuda.h that matter."""
    return f"/* CUDA API version number */\n#define CUDA_VERSION {number}\n\n#if defined(CUDA_FORCE_API_VERSION)\n"


def on_path(path, real=None, script=None):
    """The nvcc that PATH gives."""
    return {"nvcc": {"path": path, "real": real or path, "script": script}}


def probed(files=(), env=None, **given):
    """What the probe finds."""
    return probe_toolkits(fake_host(files=dict(files), env=env, **given))


def found_in(files, env=None, **given):
    """(the version in force, [(version, folder, what chooses it)]), without any issue."""
    found = probed(files, env, **given)
    assert found.issues == ()
    return found.facts.cuda, [(one.version, one.folder, one.chosen_by) for one in found.facts.cuda_installed]


THREE = {
    "/usr/local/cuda-12.4/version.json": version_json("12.4.1"),
    "/usr/local/cuda-11.8/version.json": version_json("11.8.0"),
    "/usr/local/cuda-9.2/version.txt": "CUDA Version 9.2.148\n",
}
LINKS = {"/usr/local/cuda": "/etc/alternatives/cuda", "/etc/alternatives/cuda": "/usr/local/cuda-12.4"}


class TestNvidia:
    """NVIDIA's own packages and runfiles."""

    def test_a_numbered_folder_without_its_version_file(self):
        """Its name tells as much as the header, a megabyte that is not read; leftovers are no toolkit."""
        header = "/usr/local/cuda-13.0/include/cuda.h"
        host = fake_host(files={header: cuda_h(13000), "/usr/local/cuda-12.9/bin/old": ""})
        found = probe_toolkits(host)
        assert [(one.version, one.folder) for one in found.facts.cuda_installed] == [("13.0", "/usr/local/cuda-13.0")]
        assert ("file", header) not in host.answers

    def test_several_beside_each_other(self):
        """The link, over the two steps of its packages, is in force; the others follow, the newest first."""
        assert found_in(THREE, links=LINKS) == (
            "12.4.1",
            [
                ("12.4.1", "/usr/local/cuda-12.4", ("/usr/local/cuda",)),
                ("11.8.0", "/usr/local/cuda-11.8", ()),
                ("9.2.148", "/usr/local/cuda-9.2", ()),
            ],
        )

    def test_links_of_major_versions(self):
        """/usr/local/cuda-12 is another name of cuda-12.4, not another toolkit."""
        links = {
            **LINKS,
            "/usr/local/cuda-12": "/etc/alternatives/cuda-12",
            "/etc/alternatives/cuda-12": "/usr/local/cuda-12.4",
        }
        assert len(found_in(THREE, links=links)[1]) == 3

    @pytest.mark.parametrize("target", ["cuda-11.8", "./cuda-11.8/", "../local/cuda-11.8", "/usr/local/cuda-11.8/"])
    def test_links_of_people(self, target):
        """A link may be written in any way that leads to the folder."""
        version, installed = found_in(THREE, links={"/usr/local/cuda": target})
        assert (version, installed[0]) == ("11.8.0", ("11.8.0", "/usr/local/cuda-11.8", ("/usr/local/cuda",)))

    def test_a_folder_without_a_number(self):
        """Some put it straight into /usr/local/cuda: a folder, which nothing but its name chooses."""
        files = {"/usr/local/cuda/version.json": version_json("12.4.1")}
        answer = ("12.4.1", [("12.4.1", "/usr/local/cuda", ())])
        assert found_in(files) == found_in(files, errors={("link", "/usr/local/cuda"): "io_error"}) == answer

    def test_without_the_link_the_newest(self):
        """10.2 is newer than 9.2, whatever the order of letters; names that are none of NVIDIA's do not count."""
        files = {
            **THREE,
            "/usr/local/cuda-10.2/version.txt": "CUDA Version 10.2.89",
            "/usr/local/cuda-old/version.json": version_json("99.1"),
        }
        version, installed = found_in(files)
        assert version == "12.4.1"
        assert [one[0] for one in installed] == ["12.4.1", "11.8.0", "10.2.89", "9.2.148"]

    def test_the_header_tells_where_no_file_does(self):
        """Images and redistributable archives have headers alone; they leave out the third part."""
        files = {"/usr/local/cuda-13.0/include/cuda.h": cuda_h(13000), "/opt/cuda/include/cuda.h": cuda_h(12080)}
        assert [one[:2] for one in found_in(files)[1]] == [("12.8", "/opt/cuda"), ("13.0", "/usr/local/cuda-13.0")]

    def test_remains_of_a_toolkit(self):
        """A folder that an uninstaller has left is none."""
        assert found_in({"/usr/local/cuda-11.8/extras/notes.txt": ""}) == (None, [])

    def test_a_link_that_leads_round(self):
        """Links in a circle, and links into nothing, end."""
        links = {"/usr/local/cuda": "cuda-1", "/usr/local/cuda-1": "cuda", "/usr/local/cuda-2": "/gone"}
        assert found_in({}, links=links) == (None, [])


class TestChoice:
    """CUDA_HOME, CUDA_PATH and PATH, in the order of PyTorch's extension builder."""

    @pytest.mark.parametrize(
        ("env", "path", "version"),
        [
            ({"CUDA_HOME": "/usr/local/cuda-11.8/", "CUDA_PATH": "/usr/local/cuda-9.2"}, "12.4", "11.8.0"),
            ({"CUDA_PATH": "/usr/local/cuda-9.2"}, "12.4", "9.2.148"),
            ({"CUDA_HOME": "", "CUDA_PATH": "cuda"}, "11.8", "11.8.0"),
            ({}, "9.2", "9.2.148"),
            ({}, None, "12.4.1"),
        ],
    )
    def test_order(self, env, path, version):
        """Variables first, then the compiler that PATH gives, then the link; one that is not absolute chooses none."""
        system = on_path(f"/usr/local/cuda-{path}/bin/nvcc") if path else {}
        assert found_in(THREE, env, links=LINKS, system=system)[0] == version

    def test_all_that_choose_one(self):
        """A toolkit may be chosen in several ways, and is listed once."""
        env = {"CUDA_HOME": "/usr/local/cuda", "CUDA_PATH": "/usr/local/cuda-12.4/"}
        system = on_path("/usr/local/cuda/bin/nvcc", "/usr/local/cuda-12.4/bin/nvcc")
        _, installed = found_in(THREE, env, links=LINKS, system=system)
        assert installed[0][2] == ("CUDA_HOME", "CUDA_PATH", "PATH", "/usr/local/cuda")
        assert [one[2] for one in installed[1:]] == [(), ()]

    def test_a_script_on_path(self):
        """A wrapper in /usr/local/bin starts the compiler of a toolkit."""
        system = on_path("/usr/local/bin/nvcc", script='exec ccache /usr/local/cuda-11.8/bin/nvcc "$@"')
        assert found_in(THREE, links=LINKS, system=system)[1][0] == ("11.8.0", "/usr/local/cuda-11.8", ("PATH",))

    def test_a_variable_that_names_nothing(self):
        """A stale setting chooses no toolkit."""
        assert found_in(THREE, {"CUDA_HOME": "/usr/local/cuda-10.0"}, links=LINKS)[0] == "12.4.1"

    @pytest.mark.parametrize(
        ("system", "source"),
        [
            (on_path("/opt/nvhpc/compilers/bin/nvcc"), "toolkits.cuda"),
            (on_path("/usr/lib/ccache/nvcc", "/usr/bin/ccache"), "toolkits.cuda"),
            (on_path("/usr/local/bin/nvcc", "/x", "nvcc=$(find_nvcc)"), "toolkits.cuda"),
            ({"nvcc": "nvcc"}, "toolkits.cuda"),
        ],
    )
    def test_a_compiler_of_unknown_version(self, system, source):
        """PATH chooses a toolkit of which nothing tells the version: another's is not told in its place."""
        found = probed(THREE, links=LINKS, system=system)
        assert found.facts.cuda is None
        assert [one.version for one in found.facts.cuda_installed] == ["12.4.1", "11.8.0", "9.2.148"]
        assert [(issue.code, issue.source) for issue in found.issues] == [("unknown", source)]

    def test_ccache_is_not_the_compiler_of_its_folder(self):
        """Where links lead to another program, its folder says nothing of the compiler that it starts."""
        found = probed(
            {"/usr/include/cuda.h": cuda_h(12000)}, system=on_path("/usr/lib/ccache/nvcc", "/usr/bin/ccache")
        )
        assert found.facts.cuda is None
        assert [one.chosen_by for one in found.facts.cuda_installed] == [()]

    def test_a_compiler_that_nobody_can_look_for(self):
        """The variables still choose; without them nothing is known."""
        errors = {("system", "nvcc"): "io_error"}
        found = probed(THREE, links=LINKS, errors=errors)
        assert (found.facts.cuda, [issue.code for issue in found.issues]) == (None, ["io_error"])
        assert probed(THREE, {"CUDA_HOME": "/usr/local/cuda-11.8"}, errors=errors).facts.cuda == "11.8.0"


class TestDistributions:
    """Toolkits that others package."""

    def test_debian(self):
        """The compiler is a script in /usr/bin, and the headers are in /usr/include: one toolkit, /usr/lib/cuda."""
        files = {"/usr/include/cuda.h": cuda_h(12000), "/usr/lib/cuda/nvvm/libdevice/libdevice.10.bc": ""}
        system = on_path("/usr/bin/nvcc", script=DEBIAN_SCRIPT)
        assert found_in(files, system=system) == ("12.0", [("12.0", "/usr/lib/cuda", ("PATH",))])

    def test_debian_of_old(self):
        """Up to Ubuntu 20.04 there is a version.txt."""
        files = {"/usr/lib/cuda/version.txt": "CUDA Version 10.1.243\n", "/usr/include/cuda.h": cuda_h(10010)}
        system = on_path("/usr/bin/nvcc", script=DEBIAN_SCRIPT)
        assert found_in(files, system=system) == ("10.1.243", [("10.1.243", "/usr/lib/cuda", ("PATH",))])

    def test_debian_beside_nvidia(self):
        """The two do not know of each other."""
        system = on_path("/usr/bin/nvcc", script=DEBIAN_SCRIPT)
        env = {"CUDA_HOME": "/usr/local/cuda-12.4"}
        version, installed = found_in({**THREE, "/usr/include/cuda.h": cuda_h(11050)}, env, system=system)
        assert version == "12.4.1"
        assert installed[:2] == [
            ("12.4.1", "/usr/local/cuda-12.4", ("CUDA_HOME",)),
            ("11.5", "/usr/lib/cuda", ("PATH",)),
        ]

    def test_arch(self):
        """/opt/cuda, which its profile puts on PATH and names in CUDA_PATH."""
        files = {"/opt/cuda/version.json": version_json("13.0.2")}
        answer = found_in(files, {"CUDA_PATH": "/opt/cuda"}, system=on_path("/opt/cuda/bin/nvcc"))
        assert answer == ("13.0.2", [("13.0.2", "/opt/cuda", ("CUDA_PATH", "PATH"))])

    @pytest.mark.parametrize("target", ["x86_64-linux", "sbsa-linux"])
    def test_conda_forge(self, target):
        """Its headers are below the target's folder alone, its compiler in the environment's bin."""
        files = {f"/home/user/env/targets/{target}/include/cuda.h": cuda_h(12060)}
        system = on_path("/home/user/env/bin/nvcc")
        answer = found_in(files, {"CONDA_PREFIX": "/home/user/env"}, system=system)
        assert answer == ("12.6", [("12.6", "/home/user/env", ("PATH",))])

    def test_conda_headers_do_not_outrank_the_system(self):
        """An environment with headers and no compiler is listed, and not in force."""
        files = {**THREE, "/env/include/cuda.h": cuda_h(12060)}
        version, installed = found_in(files, {"CONDA_PREFIX": "/env"}, links=LINKS)
        assert (version, installed[1]) == ("12.4.1", ("12.6", "/env", ()))


ON_WINDOWS = {
    f"{ROOT}\\v12.4\\version.json": version_json("12.4.1"),
    f"{ROOT}\\v9.2\\version.txt": "CUDA Version 9.2.148",
}
LISTED = {("dir", ROOT): ["v12.4", "v9.2", "vendor"]}


class TestWindows:
    """NVIDIA's installer for Windows."""

    def test_several(self):
        """CUDA_PATH and PATH choose, in any case of letters; the rest is listed, the newest first."""
        system = {**WINDOWS, **on_path(f"{ROOT}\\v9.2\\bin\\nvcc.exe")}
        env = {"CUDA_PATH": f"{ROOT.lower()}\\V12.4\\"}
        version, installed = found_in(
            {f"{ROOT.lower()}\\V12.4\\version.json": version_json("12.4.1"), **ON_WINDOWS},
            env,
            system=system,
            answers=LISTED,
        )
        assert version == "12.4.1"
        assert [(one[0], one[2]) for one in installed] == [("12.4.1", ("CUDA_PATH",)), ("9.2.148", ("PATH",))]

    def test_nothing_chooses(self):
        """The newest."""
        version, installed = found_in(ON_WINDOWS, system=WINDOWS, answers=LISTED)
        assert (version, [one[1] for one in installed]) == ("12.4.1", [f"{ROOT}\\v12.4", f"{ROOT}\\v9.2"])

    def test_programs_of_another_drive(self):
        """ProgramFiles says where programs lie."""
        root = ROOT.replace("C:", "D:")
        files = {f"{root}\\v12.4\\version.json": version_json("12.4.1")}
        env = {"ProgramFiles": "D:\\Program Files"}
        assert found_in(files, env, system=WINDOWS, answers={("dir", root): ["v12.4"]})[0] == "12.4.1"

    def test_conda(self):
        """An environment's toolkit lies in its folder Library."""
        files = {"C:\\env\\Library\\include\\cuda.h": cuda_h(12060)}
        system = {**WINDOWS, **on_path("C:\\env\\Library\\bin\\nvcc.exe")}
        answer = found_in(files, {"CONDA_PREFIX": "C:\\env"}, system=system)
        assert answer == ("12.6", [("12.6", "C:\\env\\Library", ("PATH",))])


class TestBrokenFiles:
    """Files that are there and tell nothing."""

    def test_malformed_json(self):
        """It is told, and the header after it may still tell the version."""
        files = {"/usr/local/cuda-12.4/version.json": "{", "/usr/local/cuda-12.4/include/cuda.h": cuda_h(12040)}
        found = probed(files)
        assert (found.facts.cuda, [issue.code for issue in found.issues]) == ("12.4", ["malformed"])

    @pytest.mark.parametrize("broken", ["{", None])
    def test_the_chosen_one_is_broken(self, broken):
        """Where the toolkit in force cannot tell its version, the next one's is not told in its place."""
        path = "/usr/local/cuda-12.4/version.json"
        files = {**THREE, path: broken or ""}
        errors = {} if broken else {("file", path): "no_permission"}
        found = probed(files, {"CUDA_HOME": "/usr/local/cuda-12.4"}, errors=errors)
        assert found.facts.cuda is None
        assert [one.version for one in found.facts.cuda_installed] == ["11.8.0", "9.2.148"]
        assert [issue.code for issue in found.issues] == [("malformed" if broken else "no_permission")]

    @pytest.mark.parametrize("link", ["/usr/local/cuda", "/etc/alternatives/cuda"])
    def test_a_link_that_may_not_be_read(self, link):
        """Nobody knows then which toolkit is in force: not the next one."""
        found = probed(
            {**THREE, "/opt/cuda/version.json": version_json("9.9.9")},
            links=LINKS,
            errors={("link", link): "no_permission"},
        )
        assert (found.facts.cuda, len(found.facts.cuda_installed)) == (None, 4)
        assert [(issue.code, issue.source) for issue in found.issues] == [("no_permission", link)]

    def test_a_folder_that_may_not_be_listed(self):
        """The usual name is tried without the list."""
        files = {"/usr/local/cuda/version.json": version_json("12.4.1")}
        found = probed(files, errors={("dir", "/usr/local"): "no_permission"})
        assert (found.facts.cuda, [issue.code for issue in found.issues]) == ("12.4.1", ["no_permission"])

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            (cuda_h(12040), "12.4"), (cuda_h(9020), "9.2"), (cuda_h(11080), "11.8"), (cuda_h(12100), "12.10"),
            ("#  define CUDA_VERSION\t13020 ", "13.2"),
            (cuda_h("0x12"), None), (cuda_h(10**9), None), ("#define CUDA_VERSION_MAJOR 12000", None), ("", None),
            ("#define " * 99_999, None),
        ],
    )  # fmt: skip
    def test_header(self, text, version):
        """1000 times the major version and 10 times the minor."""
        assert parse_cuda_header(text) == version

    @pytest.mark.parametrize(
        ("text", "version"), [("CUDA Version 10.1.243\n", "10.1.243"), ("CUDA Version x", None), ("", None)]
    )
    def test_text(self, text, version):
        """One line, up to CUDA 11.0."""
        assert parse_cuda_text(text) == version

    @pytest.mark.parametrize(
        ("text", "path"),
        [
            (DEBIAN_SCRIPT, "/usr/lib/nvidia-cuda-toolkit/bin/nvcc"),
            ('exec "/opt/cuda 12/bin/nvcc" "$@"', None),
            ("exec $CUDA_HOME/bin/nvcc", None), ("exec ../bin/nvcc", None), ("/bin/nvcc.real", None),
            ("/a/bin/nvcc-12", None), ("", None), ("/a" * 50_000, None),
        ],
    )  # fmt: skip
    def test_wrapper(self, text, path):
        """An absolute path and nothing that a shell has yet to work out."""
        assert parse_wrapper(text) == path
