"""AI frameworks in the chosen Python environment, by its packages' names; nothing is imported or run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gpucheck.host.answer import MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.host.pythons import BINDINGS, FRAMEWORKS, PACKAGES
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import Framework

NOT_TRIED = "not tried"

_PACKAGE = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py\d[\d.]*)?\.(?:dist|egg)-info")
_LIBRARY = re.compile(r"python3(?:\.(\d+))?t?")


class Package(Struct, frozen=True):
    """One installed package: its normalised name, version, and the folder that it lies in."""

    name: str
    version: str
    folder: str
    python: str | None = None


def probe_frameworks(host: Host, interpreter: str | None) -> Found[tuple[Framework, ...]]:
    """Frameworks of the given interpreter, else of the active virtual or conda environment, else our own."""
    issues = Issues()
    prefix, version = _chosen(host, interpreter)
    packages = None if prefix is None else _packages(host, issues, prefix, version)
    if packages is None:
        asked = interpreter or (f"{prefix}/bin/python" if prefix else None)
        packages = _asked(host, issues, asked) if asked else []
    found = {package.name: package for package in reversed(packages) if package.name in PACKAGES}
    _note_bindings(issues, [found[name] for name in BINDINGS if name in found])
    frameworks = tuple(_framework(host, issues, found[name]) for name in FRAMEWORKS if name in found)
    if any(framework.python is None for framework in frameworks):
        issues.add("unknown", "frameworks.python", f"nothing tells which Python is in {prefix or interpreter}")
    return Found(frameworks, issues.all())


def parse_package(folder: str) -> tuple[str, str] | None:
    """Normalised name and version in "llama_cpp_python-0.3.2.dist-info" or "torch-2.0.0-py3.11.egg-info"."""
    found = _PACKAGE.fullmatch(folder)
    return (re.sub(r"[-_.]+", "-", found["name"]).lower(), found["version"]) if found else None


def parse_torch_version(text: str) -> tuple[str | None, str | None]:
    """Version and build in torch's `version.py`.

    `__version__ = '2.9.1+cu128'`, `cuda: Optional[str] = '12.8'`, `hip: Optional[str] = None`. Conda's builds
    and names on the default index have no tag, so it is made from the last two there.
    """
    version, cuda, hip = (_assigned(text, name) for name in ("__version__", "cuda", "hip"))
    number, _, tag = (version or "").partition("+")
    if not tag and hip:
        tag = "rocm" + ".".join(hip.split(".")[:2])
    elif not tag and cuda:
        tag = "cu" + "".join(cuda.split(".")[:2])
    elif not tag and re.search(r"^cuda\b.*=\s*None", text, re.MULTILINE):
        tag = "cpu"
    return number or None, tag or None


def prefix_of(interpreter: str) -> str | None:
    """The environment of `…/bin/python` or `…/Scripts/python.exe`; None of a bare name."""
    folder, _, _ = interpreter.replace("\\", "/").rpartition("/")
    parent, _, last = folder.rpartition("/")
    return (parent or "/") if last.lower() in {"bin", "scripts"} else folder or None


def _assigned(text: str, name: str) -> str | None:
    found = re.search(rf"^{name}\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return found[1] if found else None


def _chosen(host: Host, interpreter: str | None) -> tuple[str | None, str | None]:
    """Prefix of the environment, and its Python's version ("3.11") where it is our own."""
    if interpreter is not None:
        return prefix_of(interpreter), None
    own: Any = host.system("python").value
    own = own if isinstance(own, Mapping) else {}
    prefix = host.env("VIRTUAL_ENV").value or host.env("CONDA_PREFIX").value or own.get("prefix")
    version = own.get("version") if prefix == own.get("prefix") else None
    return (
        prefix if isinstance(prefix, str) and prefix else None,
        ".".join(version.split(".")[:2]) if isinstance(version, str) else None,
    )


def _packages(host: Host, issues: Issues, prefix: str, version: str | None) -> list[Package] | None:
    """Packages below a prefix; None where it is no environment that its files describe fully."""
    prefix = prefix.rstrip("/\\")
    settings = _settings(host, issues, prefix)
    if settings.get("include-system-site-packages") == "true" and version is None:
        return None  # the base installation's packages count as well, and only the interpreter knows its path
    if version is None:  # the key is version_info where virtualenv or uv wrote the file
        full = settings.get("version", settings.get("version_info", ""))
        version = ".".join(full.split(".")[:2]) or None
    folders = _site_folders(host, issues, prefix, version)
    packages, seen = [], False
    for folder, python in folders:
        names = issues.value(folder, host.listdir(folder))
        seen = seen or names is not None
        parsed = filter(None, map(parse_package, names or ()))
        packages += [Package(name, number, folder, python) for name, number in parsed]
    if settings and not seen:
        issues.add(NOT_FOUND, prefix, "an environment without a folder of packages that can be read")
    return packages if seen or settings else None


def _settings(host: Host, issues: Issues, prefix: str) -> dict[str, str]:
    """The environment's `pyvenv.cfg`; conda's and plain installations have none."""
    path = f"{prefix}/pyvenv.cfg"
    pairs = (line.partition("=") for line in (issues.value(path, host.read(path)) or "").splitlines())
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _site_folders(host: Host, issues: Issues, prefix: str, version: str | None) -> list[tuple[str, str | None]]:
    """Folders that may hold packages, each with its Python's version; a prefix like /usr may hold several."""
    folders: list[tuple[str, str | None]] = []
    for library in ("lib", "lib64"):
        for name in issues.value(f"{prefix}/{library}", host.listdir(f"{prefix}/{library}")) or ():
            found = _LIBRARY.fullmatch(name)
            python = f"3.{found[1]}" if found and found[1] else version
            if found and (version is None or python == version):
                folder = f"{prefix}/{library}/{name}"
                folders += [(f"{folder}/site-packages", python), (f"{folder}/dist-packages", python)]
    return folders or [(f"{prefix}/Lib/site-packages", version)]  # Windows


def _asked(host: Host, issues: Issues, interpreter: str) -> list[Package]:
    """What the interpreter itself says; costs the start of a Python."""
    asked = host.python(interpreter, "frameworks")
    if asked.error == NOT_FOUND:  # somebody chose it, so that its absence is news
        issues.add(NOT_FOUND, interpreter, "no such Python")
    answer = issues.value(interpreter, asked) or {}
    version, found = answer.get("version"), answer.get("found")
    if answer and not isinstance(found, dict):
        issues.add(MALFORMED, interpreter, "packages by name expected")
        return []
    python = ".".join(version.split(".")[:2]) if isinstance(version, str) else None
    packages = []
    for name, facts in (found or {}).items():
        if isinstance(facts, list) and len(facts) == 2 and all(isinstance(fact, str) for fact in facts):
            packages.append(Package(name, facts[0], facts[1], python))
        else:
            issues.add(MALFORMED, interpreter, f"{name}: [version, folder] expected")
    return packages


def _note_bindings(issues: Issues, packages: list[Package]) -> None:
    """Packages that NVML's module `pynvml` comes from, where there are several; NVIDIA's own is nvidia-ml-py."""
    names = {package.name: package for package in packages}
    if len(names) < 2:
        return
    major = names["pynvml"].version.partition(".")[0] if "pynvml" in names else ""
    # from 12.0 on pynvml has no such module and requires nvidia-ml-py; 13.0 warns at each import of it
    deprecated = "nvidia-ml-py3" not in names and major.isdecimal() and len(major) < 4 and int(major) >= 12
    listed = " and ".join(f"{package.name} {package.version}" for package in packages)
    issues.add("pynvml_deprecated" if deprecated else "pynvml_clash", "pynvml", listed)


def _framework(host: Host, issues: Issues, package: Package) -> Framework:
    version, _, build = package.version.partition("+")
    tagged = bool(build)
    if package.name == "torch":
        path = f"{package.folder.rstrip('/')}/torch/version.py"
        text = issues.value(path, host.read(path)) or ""
        number, tag = parse_torch_version(text)
        tagged = tagged or "+" in (_assigned(text, "__version__") or "")
        version, build = number or version, tag or build
    return Framework(package.name, version, build or None, package.python, tagged, usable=None, reason=NOT_TRIED)
