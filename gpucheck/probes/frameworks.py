"""AI frameworks in the chosen Python environment, by the files of their packages; nothing is imported or run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gpucheck.host.host import Host
from gpucheck.host.pythons import BINDINGS, FRAMEWORKS, JAX_PLUGINS, ONNX, OURS, PACKAGES, remains_of
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.environment import Package, choose, installed_packages, probe_environment
from gpucheck.probes.facts import Environment, Framework, Program

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_TRIED = "not tried"
SEVERAL_VERSIONS = "several_versions"  # code of the issue where two versions of a package are recorded in one folder

_PINS_TORCH = frozenset({"vllm", "sglang", "xformers", "torchvision", "torchaudio"})
_COMPILED_FOR_TORCH = frozenset({"flash-attn", "flash-attn-3", "exllamav2"})  # their wheels' tags name it


class Software(Struct, frozen=True):
    """What runs models here: frameworks in one Python environment, and programs on PATH."""

    frameworks: tuple[Framework, ...] = ()
    environment: Environment | None = None
    programs: tuple[Program, ...] = ()


def probe_software(host: Host, interpreter: str | None) -> Found[Software]:
    """The frameworks of the chosen environment, that environment, and the programs."""
    frameworks, environment = probe_frameworks(host, interpreter), probe_environment(host, interpreter)
    programs = probe_programs(host)
    issues = (*frameworks.issues, *environment.issues, *programs.issues)
    return Found(Software(frameworks.facts, environment.facts, programs.facts), tuple(dict.fromkeys(issues)))


def probe_frameworks(host: Host, interpreter: str | None) -> Found[tuple[Framework, ...]]:
    """Frameworks of the given interpreter, else of the active virtual or conda environment, else our own."""
    issues = Issues()
    packages = installed_packages(host, issues, interpreter)
    found = {package.name: package for package in reversed(packages) if package.name in PACKAGES}
    _note_bindings(issues, [found[name] for name in BINDINGS if name in found])
    ours = [found[name] for name in OURS if name in found]
    if len(ours) > 1:
        issues.add("gpucheck_clash", "gpucheck", _listed(ours))
    _note_versions(issues, packages)
    half = _half_removed(host, packages, found)
    frameworks = tuple(
        half[name] if name in half else _framework(host, issues, found[name], found)
        for name in FRAMEWORKS
        if name in found or name in half
    )
    if any(framework.python is None for framework in frameworks):
        where = choose(host, interpreter).prefix or interpreter
        issues.add("unknown", "frameworks.python", f"nothing tells which Python is in {where}")
    return Found(frameworks, issues.all())


def probe_programs(host: Host) -> Found[tuple[Program, ...]]:
    """The programs on PATH that run models; none is started."""
    issues = Issues()
    named = issues.value("PATH", host.system("programs"))
    pairs = named.items() if isinstance(named, dict) else ()
    return Found(tuple(Program(name, path) for name, path in pairs if isinstance(path, str)), issues.all())


def _note_bindings(issues: Issues, packages: list[Package]) -> None:
    """Packages that NVML's module `pynvml` comes from, where there are several; NVIDIA's own is nvidia-ml-py."""
    names = {package.name: package for package in packages}
    if len(names) < 2:
        return
    major = names["pynvml"].version.partition(".")[0] if "pynvml" in names else ""
    # from 12.0 on pynvml has no such module and requires nvidia-ml-py; 13.0 warns at each import of it
    deprecated = "nvidia-ml-py3" not in names and major.isdecimal() and len(major) < 4 and int(major) >= 12
    issues.add("pynvml_deprecated" if deprecated else "pynvml_clash", "pynvml", _listed(packages))


def _listed(packages: list[Package]) -> str:
    return " and ".join(f"{package.name} {package.version}" for package in packages)


def _note_versions(issues: Issues, packages: list[Package]) -> None:
    """Packages of which one folder records several versions: which of them its files are, nothing tells."""
    versions: dict[tuple[str, str], dict[str, None]] = {}
    for package in packages:
        if package.name in FRAMEWORKS:
            versions.setdefault((package.name, package.folder), {})[package.version] = None
    noted = set()
    for (name, folder), found in versions.items():
        if len(found) > 1 and name not in noted:  # lib64 is often the same folder again
            noted.add(name)
            issues.add(SEVERAL_VERSIONS, name, f"{' and '.join(found)} are both recorded in {folder}")


def _half_removed(host: Host, packages: list[Package], found: Mapping[str, Package]) -> dict[str, Framework]:
    """Packages that pip began to remove or replace and did not finish, of which a folder is left to be imported."""
    half = {}
    for package in packages:
        name = remains_of(package.name)
        if name is None or name in found or name not in FRAMEWORKS:
            continue  # beside a whole one the remains do no harm
        from gpucheck.probes.broken import module_of

        if host.listdir(f"{package.folder}/{module_of(name)}").value:  # else it is gone, and may be
            why = "its installation was interrupted: pip has left it half removed"
            half[name] = _unusable(name, package, why)
    return half


def _unusable(name: str, package: Package, why: str) -> Framework:
    version, _, build = package.version.partition("+")
    return Framework(
        name, version, build or None, package.python, tagged=bool(build), usable=False, reason=why, broken=why
    )


def _framework(host: Host, issues: Issues, package: Package, found: Mapping[str, Package]) -> Framework:
    """One framework with what its files tell."""
    from gpucheck.probes.broken import why_broken

    reader = _Reader(host, issues, package, found)
    broken = reader.overwritten() or why_broken(host, issues, package)
    version, build = reader.version_and_build()
    return Framework(
        package.name,
        version,
        build,
        package.python,
        tagged=reader.tagged,
        usable=None if broken is None else False,
        reason=NOT_TRIED if broken is None else broken,
        broken=broken,
        providers=reader.providers(),
        requires=reader.requires(),
    )


class _Reader:
    """The files of one package that tell its build."""

    def __init__(self, host: Host, issues: Issues, package: Package, found: Mapping[str, Package]) -> None:
        self.host, self.issues, self.package, self.others = host, issues, package, found
        self.tagged = "+" in package.version

    def version_and_build(self) -> tuple[str, str | None]:
        """The version without its local tag, and the build: by the tag, else by a file, else by the libraries."""
        from gpucheck.probes import builds

        name = self.package.name
        version, _, build = self.package.version.partition("+")
        if name == "torch":
            text = self._text("torch/version.py")
            number, tag = builds.parse_torch_version(text)
            self.tagged = self.tagged or "+" in (builds.assigned(text, "__version__") or "")
            return number or version, tag or build or None
        if name.startswith("tensorflow"):
            return version, builds.parse_tensorflow_build(self._text("tensorflow/python/platform/build_info.py"))
        if name in ONNX:
            package, tag = builds.parse_onnx_build(self._text("onnxruntime/capi/build_and_package_info.py"))
            return version, tag if package == name else None
        if name == "jax":
            return version, next((builds.jax_build(plugin) for plugin in JAX_PLUGINS if plugin in self.others), None)
        if name == "llama-cpp-python" and not build:
            on = [one for one in self.providers() if one not in {"cpu", "blas", "rpc"}]
            return version, "+".join(on) or ("cpu" if "cpu" in self.providers() else None)
        return version, build or None

    def providers(self) -> tuple[str, ...]:
        """What the native libraries are for, by their names."""
        from gpucheck.probes import builds

        name = self.package.name
        if name in ONNX:
            return builds.onnx_providers(self._names("onnxruntime/capi"))
        if name == "llama-cpp-python":
            return builds.llama_backends(self._names("llama_cpp/lib"))
        return builds.bitsandbytes_builds(self._names("bitsandbytes")) if name == "bitsandbytes" else ()

    def requires(self) -> dict[str, str]:
        """Versions of other packages that it pins or was compiled for."""
        from gpucheck.probes import builds

        name, version = self.package.name, self.package.version
        if name in _COMPILED_FOR_TORCH:
            wanted = builds.torch_in_tag(version.partition("+")[2])
            return {"torch": wanted} if wanted else {}
        if name.startswith("jax-cuda") and name in JAX_PLUGINS:
            return {"jaxlib": f"=={version}"}  # jaxlib's plugin_support.py leaves any other unused
        other = "jaxlib" if name == "jax" else "torch" if name in _PINS_TORCH else None
        wanted = builds.parse_requirement(self._metadata(), other) if other in self.others and other else None
        return {other: wanted} if other and wanted and _fixes(wanted) else {}

    def overwritten(self) -> str | None:
        """Why a package of ONNX Runtime has no effect: another has written its files over this one's."""
        from gpucheck.probes import builds

        rivals = [name for name in ONNX if name in self.others and name != self.package.name]
        if self.package.name not in ONNX or self.package.name == "onnxruntime" or not rivals:
            return None
        package, _ = builds.parse_onnx_build(self._text("onnxruntime/capi/build_and_package_info.py"))
        return f"{package} has written its files over those of {self.package.name}" if package in rivals else None

    def _text(self, path: str) -> str:
        full = f"{self.package.folder.rstrip('/')}/{path}"
        return self.issues.value(full, self.host.read(full)) or ""

    def _names(self, path: str) -> list[str]:
        full = f"{self.package.folder.rstrip('/')}/{path}"
        return self.issues.value(full, self.host.listdir(full)) or []

    def _metadata(self) -> str:
        name = self.package.name.replace("-", "_")
        return self._text(f"{name}-{self.package.version}.dist-info/METADATA")


def _fixes(requirement: str) -> bool:
    """Whether a requirement has an upper end; "torch>=2.4" is for installers and seldom news."""
    return "==" in requirement or "<" in requirement
