"""Packages that are installed and cannot be imported, as far as the files on disk show it; nothing is imported.

A file counts as missing only where the package's own RECORD lists it: an editable installation, a namespace package and
a distribution's split package have folders that look as odd, and work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.builds import compiled_for
from gpucheck.probes.collect import Issues
from gpucheck.probes.environment import Package, parse_package

# The module of a package where it is called otherwise.
_MODULES = {
    "tensorflow-cpu": "tensorflow", "tensorflow-rocm": "tensorflow", "llama-cpp-python": "llama_cpp",
    "flash-attn-3": "flash_attn_3", "autoawq": "awq",
}  # fmt: skip


class Native(Struct, frozen=True):
    """The compiled part of a package: the folder below the module, and its library or its extension's name."""

    folder: str
    libraries: tuple[str, ...] = ()
    extension: str | None = None


_NATIVE = {
    "torch": (
        Native("lib", libraries=("libtorch_cpu.so", "libtorch_cpu.dylib", "torch_cpu.dll")),
        Native("", extension="_C"),
    ),
    "onnxruntime": (Native("capi", extension="onnxruntime_pybind11_state"),),
    "llama-cpp-python": (Native("lib", libraries=("libllama.so", "libllama.dylib", "llama.dll")),),
    "ctranslate2": (Native("", extension="_ext"),),
}


def module_of(name: str) -> str:
    """The folder of a package's module: llama_cpp of llama-cpp-python, onnxruntime of onnxruntime-gpu."""
    if name.startswith("onnxruntime"):
        return "onnxruntime"
    return _MODULES.get(name, name.replace("-", "_"))


def why_broken(host: Host, issues: Issues, package: Package) -> str | None:
    """Why the package cannot be imported; None where its files do not show that."""
    module = module_of(package.name)
    files = _Files(host, issues, package)
    main = f"{module}/__init__.py"
    if not files.there(main):
        return files.lost([main]) if files.there(main) is False else None
    key = "onnxruntime" if module == "onnxruntime" else package.name
    reasons = (_without_native(files, module, part) for part in _NATIVE.get(key, ()))
    return next((reason for reason in reasons if reason is not None), None)


class _Files:
    """The files of one package: those that lie there, and those that its RECORD says it was installed with."""

    def __init__(self, host: Host, issues: Issues, package: Package) -> None:
        self.host, self.issues, self.package = host, issues, package

    def there(self, path: str) -> bool | None:
        """Whether a file is there; None where nobody can tell."""
        found = self.host.may("r", f"{self.package.folder}/{path}")
        return False if found.error == NOT_FOUND else None if found.value is None else True

    def names(self, folder: str) -> list[str] | None:
        """What lies in a folder below that of the packages; None where nobody can tell."""
        found = self.host.listdir(f"{self.package.folder}/{folder}")
        return [] if found.error == NOT_FOUND else found.value

    def lost(self, paths: Iterable[str]) -> str | None:
        """The words for the first of these that was installed; it is known not to be there."""
        record = "\n" + self._metadata("RECORD")
        gone = next((path for path in paths if f"\n{path}," in record), None)
        return f"its file {gone} is missing" if gone else None

    def lost_extension(self, stem: str) -> str | None:
        """The same for an extension module under any of its names."""
        found = re.search(rf"^{re.escape(stem)}\.[^/,\n]*(?:so|pyd)(?=,)", self._metadata("RECORD"), re.MULTILINE)
        return f"its file {found[0]} is missing" if found else None

    def by_conda(self) -> bool:
        """Whether conda installed it, which puts the libraries of some packages into its own folder."""
        return self._metadata("INSTALLER").strip() == "conda"

    def _metadata(self, file: str) -> str:
        package = self.package
        names = self.issues.value(package.folder, self.host.listdir(package.folder)) or ()
        folder = next(
            (name for name in names if name.endswith(".dist-info")
             and parse_package(name) == (package.name, package.version)), None,
        )  # fmt: skip
        path = f"{package.folder}/{folder}/{file}"
        return "" if folder is None else (self.issues.value(path, self.host.read(path)) or "").replace("\r\n", "\n")


def _without_native(files: _Files, module: str, part: Native) -> str | None:
    """What is wrong with one compiled part: it is missing, or is there for other Pythons only."""
    folder = f"{module}/{part.folder}" if part.folder else module
    if part.libraries:
        return _without_library(files, [f"{folder}/{library}" for library in part.libraries])
    names = files.names(folder)
    if names is None:
        return None
    stem = part.extension or ""
    pythons, own = compiled_for(names, stem), files.package.python
    if any(name in names for name in (f"{stem}.so", f"{stem}.pyd", f"{stem}.abi3.so")):
        return None
    if not pythons:
        return files.lost_extension(f"{folder}/{stem}")
    if own is None or own in pythons:
        return None
    return f"it is compiled for Python {', '.join(sorted(pythons))}, and this is Python {own}"


def _without_library(files: _Files, paths: Sequence[str]) -> str | None:
    """What is wrong where none of these is there, of which each system has one."""
    for path in paths:
        if files.there(path) is not False:
            return None
    lost = files.lost(paths)
    return None if lost is None or files.by_conda() else lost
