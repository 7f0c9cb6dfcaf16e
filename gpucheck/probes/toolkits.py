"""Versions of toolkits by the files that their installers leave; having none of them is normal."""

from __future__ import annotations

import re
from collections.abc import Callable

from gpucheck.host.answer import MALFORMED
from gpucheck.host.host import Host
from gpucheck.host.plain_json import parse_json
from gpucheck.probes.apple import metal_version
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.compat import find_compat
from gpucheck.probes.facts import Toolkits

CUDA_VARIABLES = ("CUDA_HOME", "CUDA_PATH")
CUDA_FOLDERS = ("/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda")  # NVIDIA's, Arch's, Debian's
INCLUDES = ("/usr/include", "/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu")
ROCM_FOLDER = "/opt/rocm"


def probe_toolkits(host: Host) -> Found[Toolkits]:
    """Toolkit versions; None means that none is in the usual places. Frameworks bring their own copies."""
    issues = Issues()
    chosen = [folder.rstrip("/") for name in CUDA_VARIABLES if (folder := host.env(name).value)]
    cuda_folders = list(dict.fromkeys([*chosen, *CUDA_FOLDERS]))
    includes = [*INCLUDES, *(f"{folder}/include" for folder in cuda_folders)]
    return Found(
        Toolkits(
            cuda=next(filter(None, (_cuda(host, issues, folder) for folder in cuda_folders)), None),
            cudnn=_first_header(host, issues, includes, ("cudnn_version.h", "cudnn.h"), parse_cudnn),
            tensorrt=_first_header(host, issues, includes, ("NvInferVersion.h",), parse_tensorrt),
            rocm=_rocm(host, issues),
            mps=metal_version(host),
            cuda_compat=find_compat(host, issues, cuda_folders),
        ),
        issues.all(),
    )


def parse_cuda_json(text: str) -> str | None:
    """The toolkit's version in `version.json`; other parts there have versions of their own."""
    try:
        version = parse_json(text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return version if isinstance(version, str) else None


def parse_cuda_text(text: str) -> str | None:
    """The version in "CUDA Version 10.1.243", as toolkits before 11.1 have it."""
    found = re.search(r"CUDA Version (\d+(?:\.\d+)+)", text)
    return found[1] if found else None


def parse_cudnn(text: str) -> str | None:
    """The version that a cuDNN header defines."""
    return _defined(text, ("CUDNN_MAJOR", "CUDNN_MINOR", "CUDNN_PATCHLEVEL"))


def parse_tensorrt(text: str) -> str | None:
    """The version that a TensorRT header defines: of late as TRT_…_ENTERPRISE, NV_TENSORRT_… naming those."""
    parts = ("MAJOR", "MINOR", "PATCH")
    return _defined(text, tuple(f"TRT_{part}_ENTERPRISE" for part in parts)) or _defined(
        text, tuple(f"NV_TENSORRT_{part}" for part in parts)
    )


def parse_rocm(text: str) -> str | None:
    """The version in "6.2.0-66", whose second part numbers a build."""
    found = re.match(r"\s*(\d+(?:\.\d+)+)", text)
    return found[1] if found else None


def _defined(text: str, names: tuple[str, ...]) -> str | None:
    numbers = [re.search(rf"^[ \t]*#[ \t]*define[ \t]+{name}[ \t]+(\d+)", text, re.MULTILINE) for name in names]
    return ".".join(number[1] for number in numbers if number) if all(numbers) else None


def _cuda(host: Host, issues: Issues, folder: str) -> str | None:
    for name, parse in (("version.json", parse_cuda_json), ("version.txt", parse_cuda_text)):
        path = f"{folder}/{name}"
        text = issues.value(path, host.read(path))
        if text is not None:
            version = parse(text)
            if version is not None:
                return version
            issues.add(MALFORMED, path, "no CUDA version in it")
    return None


def _first_header(
    host: Host, issues: Issues, folders: list[str], names: tuple[str, ...], parse: Callable[[str], str | None]
) -> str | None:
    """The version in the first header that has one; cuDNN's main header has none since version 8."""
    for folder in folders:
        for name in names:
            text = issues.value(f"{folder}/{name}", host.read(f"{folder}/{name}"))
            if text is not None and (version := parse(text)):
                return version
    return None


def _rocm(host: Host, issues: Issues) -> str | None:
    for folder in (host.env("ROCM_PATH").value, ROCM_FOLDER):
        for name in ("version", "version-dev") if folder else ():
            path = f"{folder}/.info/{name}"
            if version := parse_rocm(issues.value(path, host.read(path)) or ""):
                return version
    return None
