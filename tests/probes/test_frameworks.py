"""Frameworks by the names of installed packages."""

import pytest

from gpucheck.probes.builds import parse_torch_version
from gpucheck.probes.environment import parse_package, prefix_of
from gpucheck.probes.frameworks import probe_frameworks, probe_programs
from tests.fake_source import fake_host

OWN = {"python": {"version": "3.11.7", "prefix": "/opt/own", "executable": "/opt/own/bin/python"}}


def site(prefix, *packages, python="python3.11", kind="site-packages"):
    """Folders of installed packages."""
    return [f"{prefix}/lib/{python}/{kind}/{package}" for package in packages]


def found_in(host, interpreter=None):
    """{name: (version, build, python)}."""
    frameworks = probe_frameworks(host, interpreter).facts
    return {one.name: (one.version, one.build, one.python) for one in frameworks}


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("torch-2.9.1+cu128.dist-info", ("torch", "2.9.1+cu128")),
        ("llama_cpp_python-0.3.2.dist-info", ("llama-cpp-python", "0.3.2")),
        ("Flash_Attn-2.6.3.dist-info", ("flash-attn", "2.6.3")),
        ("torch-2.0.0-py3.11.egg-info", ("torch", "2.0.0")),
        ("nvidia_ml_py-13.590.44.dist-info", ("nvidia-ml-py", "13.590.44")),
        ("~orch-2.1.0.dist-info", ("~orch", "2.1.0")),
        ("torch", None),
        ("torch.dist-info", None),
        ("distutils-precedence.pth", None),
    ],
)
def test_parse_package(folder, package):
    """Names are normalised; folders without a version are no packages."""
    assert parse_package(folder) == package


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__version__ = '2.9.1+cu128'\ndebug = False\ncuda: Optional[str] = '12.8'\n", ("2.9.1", "cu128")),
        ("__version__ = '2.9.1'\ncuda = '12.8'\nhip = None\n", ("2.9.1", "cu128")),
        ("__version__ = '2.9.1+rocm6.4'\ncuda: str = None\nhip: Optional[str] = '6.4.1'\n", ("2.9.1", "rocm6.4")),
        ("__version__ = '2.5.1'\ncuda = None\nhip = '6.2.41133-dd7f95766'\n", ("2.5.1", "rocm6.2")),
        ("__version__ = '2.5.1'\ncuda: Optional[str] = None\n", ("2.5.1", "cpu")),
        ("", (None, None)),
    ],
)
def test_parse_torch_version(text, expected):
    """The build's tag as it is written, or made from the CUDA or HIP version."""
    assert parse_torch_version(text) == expected


@pytest.mark.parametrize(
    ("interpreter", "prefix"),
    [("/venv/bin/python", "/venv"), ("/usr/bin/python3", "/usr"), ("/bin/python3", "/"), ("python3", None),
     ("C:\\env\\Scripts\\python.exe", "C:/env"), ("C:\\Python311\\python.exe", "C:/Python311")],
)  # fmt: skip
def test_prefix_of(interpreter, prefix):
    """The environment that an interpreter's path shows; a bare name shows none."""
    assert prefix_of(interpreter) == prefix


def test_own_environment():
    """Without any choice our own Python counts, and only its own version's folder."""
    folders = site("/opt/own", "vllm-0.11.0.dist-info", "click-8.1.dist-info")
    folders += site("/opt/own", "torch-1.0.dist-info", python="python3.9")
    host = fake_host(system=OWN, folders=folders)
    assert found_in(host) == {"vllm": ("0.11.0", None, "3.11")}


def test_active_environment_before_our_own():
    """An isolated installation of gpucheck inspects the project's environment."""
    folders = site("/project/.venv", "jax-0.4.30.dist-info") + site("/opt/own", "vllm-0.11.0.dist-info")
    host = fake_host(system=OWN, env={"VIRTUAL_ENV": "/project/.venv"}, folders=folders)
    assert list(found_in(host)) == ["jax"]
    host = fake_host(system=OWN, env={"CONDA_PREFIX": "/project/.venv"}, folders=folders)
    assert list(found_in(host)) == ["jax"]


def test_given_interpreter_before_all():
    """--python wins over the active environment, and its files suffice: nothing is run."""
    folders = site("/a", "torch-2.9.1.dist-info") + site("/b", "jax-0.4.30.dist-info")
    files = {
        "/a/pyvenv.cfg": "home = /usr/bin\nversion = 3.11.7\n",
        "/a/lib/python3.11/site-packages/torch/version.py": "__version__ = '2.9.1+cu128'\ncuda = '12.8'\n",
    }
    host = fake_host(env={"VIRTUAL_ENV": "/b"}, folders=folders, files=files)
    assert found_in(host, "/a/bin/python") == {"torch": ("2.9.1", "cu128", "3.11")}
    assert "python" not in {section for section, _ in host.source.asked}


def test_interpreter_whose_files_do_not_tell():
    """A bare name, and an environment that shares the system's packages, must be asked themselves."""
    answer = {"version": "3.12.1", "prefix": "/usr", "found": {"torch": ["2.5.1", "/usr/lib/x"], "jax": "odd"}}
    host = fake_host(answers={("python", "python3 frameworks"): answer},
                     files={"/usr/lib/x/torch/version.py": "__version__ = '2.5.1+cpu'\n"})  # fmt: skip
    found = probe_frameworks(host, "python3")
    assert [(one.name, one.build, one.python) for one in found.facts] == [("torch", "cpu", "3.12")]
    assert [issue.code for issue in found.issues] == ["malformed"]
    shared = fake_host(files={"/v/pyvenv.cfg": "include-system-site-packages = true\n"},
                       answers={("python", "/v/bin/python frameworks"): answer})  # fmt: skip
    assert "torch" in found_in(shared, "/v/bin/python")
    active = fake_host(files={"/v/pyvenv.cfg": "include-system-site-packages = true\n"}, env={"VIRTUAL_ENV": "/v"},
                       answers={("python", "/v/bin/python frameworks"): answer})  # fmt: skip
    assert "torch" in found_in(active)


def test_debian_folder_and_windows_folder():
    """Debian has dist-packages, Windows one folder without a version in its name."""
    debian = fake_host(folders=site("/usr", "torch-2.6.0.dist-info", python="python3", kind="dist-packages"))
    assert list(found_in(debian, "/usr/bin/python3")) == ["torch"]
    windows = fake_host(folders=["C:/env/Lib/site-packages/torch-2.6.0+cu126.dist-info"])
    assert found_in(windows, "C:\\env\\Scripts\\python.exe") == {"torch": ("2.6.0", "cu126", None)}


def test_lib64_is_often_the_same_folder():
    """A package seen twice counts once."""
    package = "torch-2.6.0.dist-info"
    folders = [*site("/v", package), f"/v/lib64/python3.11/site-packages/{package}"]
    assert len(found_in(fake_host(folders=folders), "/v/bin/python")) == 1


def test_nobody_has_tried():
    """Being installed is not being usable."""
    host = fake_host(folders=site("/v", "vllm-0.11.0.dist-info"))
    (one,) = probe_frameworks(host, "/v/bin/python").facts
    assert (one.usable, one.reason) == (None, "not tried")


def test_missing_interpreter():
    """A path where nothing is, which somebody chose: nothing found, and told so."""
    found = probe_frameworks(fake_host(), "/nowhere/bin/python")
    assert (found.facts, [issue.code for issue in found.issues]) == ((), ["not_found"])
    failing = fake_host(errors={("python", "/nowhere/bin/python frameworks"): "timeout"})
    assert [issue.code for issue in probe_frameworks(failing, "/nowhere/bin/python").issues] == ["timeout"]


@pytest.mark.parametrize(
    ("text", "tagged"),
    [("__version__ = '2.9.1+cu128'\ncuda = '12.8'\n", True), ("__version__ = '2.9.1'\ncuda = '12.8'\n", False)],
)
def test_who_built_it(text, tagged):
    """PyTorch's own wheels name their build in the version, where pip's folder does not; other builders' do not."""
    files = {"/v/lib/python3.11/site-packages/torch/version.py": text}
    host = fake_host(folders=site("/v", "torch-2.9.1.dist-info"), files=files)
    (torch,) = probe_frameworks(host, "/v/bin/python").facts
    assert (torch.build, torch.tagged) == ("cu128", tagged)


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        (["pynvml-11.5.3", "nvidia_ml_py-13.590.44"], "pynvml_clash"),
        (["nvidia_ml_py-13.590.44", "nvidia_ml_py3-7.352.0"], "pynvml_clash"),
        (["pynvml-12.0.0", "nvidia_ml_py3-7.352.0"], "pynvml_clash"),
        (["pynvml-12.0.0", "nvidia_ml_py-13.590.44"], "pynvml_deprecated"),
        (["pynvml-13.0.1", "nvidia_ml_py-13.590.44"], "pynvml_deprecated"),
        (["nvidia_ml_py-13.590.44"], None),
        (["pynvml-11.5.3"], None),
        ([], None),
    ],
)
def test_packages_of_one_module(packages, code):
    """Several packages that bring the module pynvml clash; from 12.0 on pynvml has none of its own."""
    folders = site("/v", "jax-0.4.30.dist-info", *(f"{package}.dist-info" for package in packages))
    found = probe_frameworks(fake_host(folders=folders), "/v/bin/python")
    assert [issue.code for issue in found.issues] == ([code] if code else [])
    assert [one.name for one in found.facts] == ["jax"]


def test_nothing_tells_the_python():
    """An environment of Windows without its settings: packages are told, the Python's version has an issue."""
    files = {"C:/env/Lib/site-packages/torch-2.9.1+cu128.dist-info/METADATA": ""}
    found = probe_frameworks(fake_host(files=files), "C:/env/Scripts/python.exe")
    assert [(one.name, one.python) for one in found.facts] == [("torch", None)]
    assert [(issue.code, issue.source) for issue in found.issues] == [("unknown", "frameworks.python")]


def test_an_environment_without_its_packages():
    """Settings say that it is one; its folder of packages is missing, which is no environment without packages."""
    found = probe_frameworks(fake_host(files={"/env/pyvenv.cfg": "version = 3.12.3\n"}), "/env/bin/python")
    assert found.facts == ()
    assert [(issue.code, issue.source) for issue in found.issues] == [("not_found", "/env")]


class TestWhatTheyRequire:
    """Versions of other packages, read from the metadata of those that pin one."""

    def requires(self, *packages, **texts):
        """{name: requirements} of packages in an environment; `texts` are METADATA by the package's folder."""
        folders = site("/v", *(f"{package}.dist-info" for package in packages))
        files = {f"/v/lib/python3.11/site-packages/{name}.dist-info/METADATA": text for name, text in texts.items()}
        host = fake_host(folders=folders, files=files)
        self.asked = host.source.asked
        return {one.name: dict(one.requires) for one in probe_frameworks(host, "/v/bin/python").facts if one.requires}

    def test_pins(self):
        """Exact versions, and ranges with an upper end, of a package that is there."""
        text = {"vllm-0.11.0": "Requires-Dist: torch==2.8.0\n", "jax-0.8.0": "Requires-Dist: jaxlib<=0.8.0,>=0.8.0\n"}
        names = ("vllm-0.11.0", "jax-0.8.0", "jaxlib-0.8.0", "torch-2.9.1")
        assert self.requires(*names, **text) == {"vllm": {"torch": "==2.8.0"}, "jax": {"jaxlib": "<=0.8.0,>=0.8.0"}}

    def test_no_news(self):
        """An open end, a package that is not there, and metadata without requirements."""
        assert (
            self.requires("xformers-0.0.35", "torch-2.9.1", **{"xformers-0.0.35": "Requires-Dist: torch>=2.10"}) == {}
        )
        assert self.requires("vllm-0.11.0", **{"vllm-0.11.0": "Requires-Dist: torch==2.8.0\n"}) == {}
        assert self.requires("vllm-0.11.0", "torch-2.9.1", **{"vllm-0.11.0": ""}) == {}

    def test_metadata_is_read_of_few(self):
        """Only packages that pin another one are read."""
        self.requires("transformers-4.57.1", "accelerate-1.15.0", "torch-2.9.1")
        assert not any(key.endswith("METADATA") for _, key in self.asked)

    def test_compiled_against(self):
        """A wheel of flash-attn names torch in its version, a plugin of JAX has to have jaxlib's."""
        found = self.requires("flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE", "jax_cuda12_plugin-0.7.2", "peft-0.18.0")
        assert found == {"flash-attn": {"torch": "==2.8.*"}, "jax-cuda12-plugin": {"jaxlib": "==0.7.2"}}

    def test_a_plugin_for_rocm_is_free(self):
        """Newer jaxlibs leave the versions of ROCm's plugins to their makers."""
        assert self.requires("jax_rocm7_plugin-0.7.2", "jaxlib-0.8.0") == {}


@pytest.mark.parametrize(
    ("plugins", "build"),
    [((), None), (("jax_cuda12_plugin-0.8.0",), "cuda12"), (("jax_rocm7_plugin-0.8.0",), "rocm7"),
     (("jax_cuda12_plugin-0.8.0", "jax_cuda13_plugin-0.8.0"), "cuda13")],
)  # fmt: skip
def test_jax_by_its_plugin(plugins, build):
    """JAX itself is of no build: its plugin is."""
    folders = site("/v", "jax-0.8.0.dist-info", *(f"{plugin}.dist-info" for plugin in plugins))
    assert found_in(fake_host(folders=folders), "/v/bin/python")["jax"] == ("0.8.0", build, "3.11")


def test_libraries_tell_the_build():
    """A llama-cpp-python without a tag in its version is what its libraries are."""
    lib = site("/v", "llama_cpp/lib/libggml-base.so", "llama_cpp/lib/libggml-vulkan.so", "llama_cpp/lib/libggml-cpu.so")
    host = fake_host(folders=[*site("/v", "llama_cpp_python-0.3.16.dist-info"), *lib])
    (found,) = probe_frameworks(host, "/v/bin/python").facts
    assert (found.build, found.providers) == ("vulkan", ("cpu", "vulkan"))
    host = fake_host(folders=[*site("/v", "llama_cpp_python-0.3.16.dist-info"), *lib[::2]])
    assert probe_frameworks(host, "/v/bin/python").facts[0].build == "cpu"


def test_two_packages_of_one_name():
    """The plugin of pytest that is called gpucheck clashes with gpucheck-inspector; alone neither does."""
    names = ["gpucheck-0.2.0.dist-info", "gpucheck_inspector-0.1.0.dist-info"]
    found = probe_frameworks(fake_host(folders=site("/v", *names)), "/v/bin/python")
    assert [issue.code for issue in found.issues] == ["gpucheck_clash"]
    assert "gpucheck-inspector 0.1.0 and gpucheck 0.2.0" in found.issues[0].detail
    assert probe_frameworks(fake_host(folders=site("/v", names[1])), "/v/bin/python").issues == ()


def test_programs():
    """What runs models and is on PATH; an old recording has no word on it."""
    host = fake_host(system={"programs": {"ollama": "/usr/bin/ollama", "llama-cli": 3}})
    assert [(one.name, one.path) for one in probe_programs(host).facts] == [("ollama", "/usr/bin/ollama")]
    old = fake_host(errors={("system", "programs"): "not_recorded"})
    assert (probe_programs(old).facts, probe_programs(old).issues) == ((), ())
