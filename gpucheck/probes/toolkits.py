"""Versions of toolkits by the files that their installers leave; having none of them is normal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gpucheck.host.answer import IO_ERROR
from gpucheck.host.host import Host
from gpucheck.probes.apple import metal_version
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.compat import find_compat
from gpucheck.probes.cuda_toolkits import PARENT, VARIABLES, find_cuda, find_cuda_windows, usual_folders
from gpucheck.probes.facts import Toolkits
from gpucheck.probes.sysctl import is_darwin
from gpucheck.probes.systems import is_windows
from gpucheck.probes.toolkit_folders import (
    ROCM_HEADER,
    ROCM_VARIABLES,
    Toolkit,
    defined,
    joined,
    named_folder,
    names_in,
    numbered,
)

INCLUDES = ("/usr/include", "/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu")
LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/lib/aarch64-linux-gnu")
LEVEL_ZERO = "libze_loader.so.1"
OPT = "/opt"
PROGRAMS = "C:\\Program Files"
CUDNN_FOLDER = "NVIDIA\\CUDNN"  # below ProgramFiles, since cuDNN 9

_RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)")


def probe_toolkits(host: Host) -> Found[Toolkits]:
    """Toolkit versions; None means that none is in the usual places. Frameworks bring their own copies."""
    issues = Issues()
    if is_darwin(host):  # where none of the others exists any more
        return Found(Toolkits(mps=metal_version(host)), issues.all())
    find = _of_windows if is_windows(host) else _of_linux
    return Found(find(host, issues), issues.all())


def parse_cudnn(text: str) -> str | None:
    """The version that a cuDNN header defines."""
    return defined(text, ("CUDNN_MAJOR", "CUDNN_MINOR", "CUDNN_PATCHLEVEL"))


def parse_tensorrt(text: str) -> str | None:
    """The version that a TensorRT header defines: of late as TRT_…_ENTERPRISE, NV_TENSORRT_… naming those."""
    parts = ("MAJOR", "MINOR", "PATCH")
    return defined(text, tuple(f"TRT_{part}_ENTERPRISE" for part in parts)) or defined(
        text, tuple(f"NV_TENSORRT_{part}" for part in parts)
    )


def parse_nccl(text: str) -> str | None:
    """The version that NCCL's header defines."""
    return defined(text, ("NCCL_MAJOR", "NCCL_MINOR", "NCCL_PATCH"))


def parse_level_zero(target: str) -> str | None:
    """The version in the name of the loader that a link leads to: "libze_loader.so.1.20.6"."""
    found = re.fullmatch(r"(?:.*/)?libze_loader\.so\.(\d{1,4}(?:\.\d{1,6}){1,3})", target)
    return found[1] if found else None


def _of_linux(host: Host, issues: Issues) -> Toolkits:
    local, opt = names_in(host, issues, PARENT), names_in(host, issues, OPT)
    cuda, rocm = find_cuda(host, issues, local, opt), _rocm(host, issues, opt)
    folders = list(dict.fromkeys([*_named(host), *usual_folders(local, opt)]))
    conda = named_folder(host, "CONDA_PREFIX")
    environment = [f"{conda}/include"] if conda is not None else []
    includes = [*environment, *INCLUDES, *(f"{folder}/include" for folder in _with_path(folders, cuda))]
    return Toolkits(
        cuda=cuda.version,
        cudnn=_first_header(host, issues, includes, ("cudnn_version.h", "cudnn.h"), parse_cudnn),
        tensorrt=_first_header(host, issues, includes, ("NvInferVersion.h",), parse_tensorrt),
        rocm=rocm.version,
        cuda_compat=find_compat(host, issues, folders),
        nccl=_first_header(host, issues, includes, ("nccl.h",), parse_nccl),
        oneapi=_oneapi(host, issues, opt),
        level_zero=_level_zero(host, issues),
        cuda_installed=cuda.installed,
        rocm_installed=rocm.installed,
    )


def _of_windows(host: Host, issues: Issues) -> Toolkits:
    from gpucheck.probes.oneapi import WINDOWS, find_oneapi
    from gpucheck.probes.rocm_toolkits import find_rocm_windows

    programs = named_folder(host, "ProgramFiles") or PROGRAMS
    cuda, rocm = find_cuda_windows(host, issues, programs), find_rocm_windows(host, issues, programs)
    folders = _with_path(list(_named(host)), cuda)
    includes = [*_cudnn_folders(host, issues, programs), *(joined(folder, "include") for folder in folders)]
    return Toolkits(
        cuda=cuda.version,
        cudnn=_first_header(host, issues, includes, ("cudnn_version.h", "cudnn.h"), parse_cudnn),
        tensorrt=_first_header(host, issues, includes, ("NvInferVersion.h",), parse_tensorrt),
        rocm=rocm.version,
        oneapi=find_oneapi(host, issues, WINDOWS),
        cuda_installed=cuda.installed,
        rocm_installed=rocm.installed,
    )


def _named(host: Host) -> Iterator[str]:
    """The folders of CUDA that variables name, as they name them."""
    return (folder for variable in VARIABLES if (folder := named_folder(host, variable)) is not None)


def _with_path(folders: list[str], cuda: Toolkit) -> list[str]:
    """With the toolkit that PATH chooses, and without those that it is under another name."""
    chosen = (found for found in cuda.installed if "PATH" in found.chosen_by)
    return folders + [found.folder for found in chosen if not set(found.chosen_by) & {*VARIABLES, *folders}]


def _cudnn_folders(host: Host, issues: Issues, programs: str) -> Iterator[str]:
    """Folders of cuDNN's own installer, the newest first: `include` of a release, or one below it for each CUDA."""
    root = joined(programs, CUDNN_FOLDER)
    for release in numbered(names_in(host, issues, root) or (), _RELEASE):
        include = joined(root, release, "include")
        yield include
        yield from (joined(include, name) for name in numbered(names_in(host, issues, include) or (), _RELEASE))


def _first_header(
    host: Host, issues: Issues, folders: list[str], names: tuple[str, ...], parse: Callable[[str], str | None]
) -> str | None:
    """The version in the first header that has one; cuDNN's main header has none since version 8.

    None where one before it is there and cannot be read.
    """
    for folder in folders:
        for name in names:
            path = joined(folder, name)
            answer = host.read(path)
            text = issues.value(path, answer)
            if text is not None and (version := parse(text)):
                return version
            if text is None and not answer.absent:
                return None
    return None


def _rocm(host: Host, issues: Issues, opt: list[str] | None) -> Toolkit:
    seen = opt is None or any(name == "rocm" or name.startswith("rocm-") for name in opt)
    if not seen and not any(host.env(name).value for name in ROCM_VARIABLES) and host.read(ROCM_HEADER).absent:
        return Toolkit()
    from gpucheck.probes.rocm_toolkits import find_rocm

    return find_rocm(host, issues, opt)


def _oneapi(host: Host, issues: Issues, opt: list[str] | None) -> str | None:
    if opt is not None and "intel" not in opt and not host.env("ONEAPI_ROOT").value:
        return None
    from gpucheck.probes.oneapi import USUAL, find_oneapi

    return find_oneapi(host, issues, USUAL)


def _level_zero(host: Host, issues: Issues) -> str | None:
    """The version of the loader that links of the system's folders lead to."""
    for folder in LIBRARIES:
        path = f"{folder}/{LEVEL_ZERO}"
        answer = host.readlink(path)
        if answer.error == IO_ERROR:  # a file of this name, which does not tell its version
            return None
        target = issues.value(path, answer)
        if target is not None or not answer.absent:
            return parse_level_zero(target or "")
    return None
