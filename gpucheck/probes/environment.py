"""The chosen Python environment and the packages in it, by the names in its folders; nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gpucheck.host.answer import MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import Environment

_PACKAGE = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py\d[\d.]*)?\.(?:dist|egg)-info")
_LIBRARY = re.compile(r"python3(?:\.(\d+))?t?")
_VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX")


class Package(Struct, frozen=True):
    """One installed package: its normalised name, version, and the folder that it lies in."""

    name: str
    version: str
    folder: str
    python: str | None = None


class Choice(Struct, frozen=True):
    """The environment to look at: its prefix, and its Python's version ("3.11") where it is our own."""

    prefix: str | None
    version: str | None = None
    chosen_by: str | None = None
    interpreter: str | None = None


def probe_environment(host: Host, interpreter: str | None) -> Found[Environment | None]:
    """What environment is looked at, and by whose choice; None where nothing tells."""
    issues = Issues()
    choice = choose(host, interpreter)
    if choice.prefix is None:
        return Found(Environment(interpreter=interpreter, chosen_by="--python") if interpreter else None)
    prefix = choice.prefix.rstrip("/\\") or choice.prefix
    settings = _settings(host, issues, prefix)
    conda = not settings and host.may("r", f"{prefix}/conda-meta/history").value is not None
    return Found(
        Environment(
            path=prefix,
            interpreter=choice.interpreter or _interpreter(host, prefix),
            python=choice.version or _version(settings),
            chosen_by=choice.chosen_by,
            made_by="uv" if "uv" in settings else "conda" if conda else None,
        )
    )


def choose(host: Host, interpreter: str | None) -> Choice:
    """The environment of the given interpreter, else the active virtual or conda environment, else our own."""
    if interpreter is not None:
        return Choice(prefix_of(interpreter), chosen_by="--python", interpreter=interpreter)
    own: Any = host.system("python").value
    own = own if isinstance(own, Mapping) else {}
    named = ((name, host.env(name).value) for name in _VARIABLES)
    chosen_by, prefix = next(((name, value) for name, value in named if value), (None, own.get("prefix")))
    if not isinstance(prefix, str) or not prefix:
        return Choice(None)
    same = prefix == own.get("prefix")
    version, program = (own.get(name) if same else None for name in ("version", "executable"))
    return Choice(
        prefix,
        ".".join(version.split(".")[:2]) if isinstance(version, str) else None,
        chosen_by,
        program if isinstance(program, str) and program else None,
    )


def installed_packages(host: Host, issues: Issues, interpreter: str | None) -> list[Package]:
    """Everything that the chosen environment's files name, or else what its interpreter says."""
    choice = choose(host, interpreter)
    prefix = choice.prefix
    packages = None if prefix is None else _packages(host, issues, prefix, choice.version)
    if packages is None:
        asked = interpreter or (f"{prefix}/bin/python" if prefix else None)
        packages = _asked(host, issues, asked) if asked else []
    return packages


def parse_package(folder: str) -> tuple[str, str] | None:
    """Normalised name and version in "llama_cpp_python-0.3.2.dist-info" or "torch-2.0.0-py3.11.egg-info"."""
    found = _PACKAGE.fullmatch(folder)
    return (re.sub(r"[-_.]+", "-", found["name"]).lower(), found["version"]) if found else None


def prefix_of(interpreter: str) -> str | None:
    """The environment of `…/bin/python` or `…/Scripts/python.exe`; None of a bare name."""
    folder, _, _ = interpreter.replace("\\", "/").rpartition("/")
    parent, _, last = folder.rpartition("/")
    return (parent or "/") if last.lower() in {"bin", "scripts"} else folder or None


def _interpreter(host: Host, prefix: str) -> str:
    """Where an environment has its Python: a virtual one of Windows in Scripts, a conda one of Windows at the top."""
    if ":" not in prefix:
        return f"{prefix}/bin/python"
    return f"{prefix}\\python.exe" if host.env("CONDA_PREFIX").value == prefix else f"{prefix}\\Scripts\\python.exe"


def _packages(host: Host, issues: Issues, prefix: str, version: str | None) -> list[Package] | None:
    """Packages below a prefix; None where it is no environment that its files describe fully."""
    prefix = prefix.rstrip("/\\")
    settings = _settings(host, issues, prefix)
    if settings.get("include-system-site-packages") == "true" and version is None:
        return None  # the base installation's packages count as well, and only the interpreter knows its path
    version = version or _version(settings)
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


def _version(settings: Mapping[str, str]) -> str | None:
    """The Python's version in the settings; the key is version_info where virtualenv or uv wrote them."""
    full = settings.get("version", settings.get("version_info", ""))
    return ".".join(full.split(".")[:2]) or None


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
