"""What packages were built for, by the texts and the names of files that their builds leave; functions of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})*")
_RELEASE = re.compile(r"\d{1,9}(?:\.\d{1,9})*(?:\.post\d+)?(?:\+.*)?")
_REQUIRES = re.compile(r"^Requires-Dist:[ \t]*([A-Za-z0-9._-]+)[ \t]*\(?([^;()\n]*)\)?[ \t]*$", re.MULTILINE)
_CLAUSE = re.compile(r"(==|<=|>=|!=|<|>)\s*(\d{1,9}(?:\.\d{1,9})*)(\.\*)?(?:\.?post\d+)?")
_EXTENSION = r"\.(?:cpython-|cp)(\d)(\d+)t?[^/,]*\.(?:so|pyd)"


def parse_torch_version(text: str) -> tuple[str | None, str | None]:
    """Version and build in torch's `version.py`.

    `__version__ = '2.9.1+cu128'`, `cuda: Optional[str] = '12.8'`, `hip: Optional[str] = None`. Conda's builds
    and names on the default index have no tag, so it is made from the last two there.
    """
    version, cuda, hip = (assigned(text, name) for name in ("__version__", "cuda", "hip"))
    number, _, tag = (version or "").partition("+")
    if not tag and hip:
        tag = "rocm" + ".".join(hip.split(".")[:2])
    elif not tag and cuda:
        tag = _cuda_tag(cuda) or ""
    elif not tag and re.search(r"^cuda\b.*=\s*None", text, re.MULTILINE):
        tag = "cpu"
    return number or None, tag or None


def parse_tensorflow_build(text: str) -> str | None:
    """The build in TensorFlow's `build_info.py`, one OrderedDict of pairs: ('cuda_version', '12.5.1')."""
    pairs = dict(re.findall(r"\(['\"](\w+)['\"],\s*['\"]?([^'\",)]*)", text))
    if pairs.get("is_rocm_build") == "True":
        version = _NUMBER.match(pairs.get("rocm_version", ""))
        return "rocm" + (".".join(version[0].split(".")[:2]) if version else "")
    if pairs.get("is_cuda_build") == "True":
        return _cuda_tag(pairs.get("cuda_version", ""))
    return "cpu" if pairs.get("is_cuda_build") == "False" else None


def parse_onnx_build(text: str) -> tuple[str | None, str | None]:
    """Package and build in onnxruntime's `build_and_package_info.py`: `package_name = 'onnxruntime-gpu'`."""
    package, cuda = assigned(text, "package_name"), assigned(text, "cuda_version")
    rocm = assigned(text, "rocm_version")
    if cuda:
        return package, _cuda_tag(cuda)
    if rocm:
        return package, "rocm" + ".".join(rocm.split(".")[:2])
    return package, None


def jax_build(plugin: str) -> str:
    """What a plugin of JAX is for: "cuda12" of jax-cuda12-plugin."""
    return plugin.removeprefix("jax-").removesuffix("-plugin")


def onnx_providers(names: Iterable[str]) -> tuple[str, ...]:
    """Execution providers among the libraries of onnxruntime/capi; "shared" is only the bridge to them."""
    found = _named(names, r"(?:lib)?onnxruntime_providers_(\w+)\.(?:so|dll|dylib)")
    if any(name.lower() == "directml.dll" for name in names):
        found.add("directml")
    return tuple(sorted(found - {"shared"}))


def llama_backends(names: Iterable[str]) -> tuple[str, ...]:
    """Backends among the libraries of llama_cpp/lib: cuda of libggml-cuda.so; "base" and the CPU's own are none."""
    found = _named(names, r"(?:lib)?ggml-([a-z]+)[\w-]*\.(?:so|dll|dylib)")
    return tuple(sorted(found - {"base"}))


def bitsandbytes_builds(names: Iterable[str]) -> tuple[str, ...]:
    """Versions of CUDA and ROCm among bitsandbytes' libraries: cuda128 of libbitsandbytes_cuda128.so."""
    found = _named(names, r"(?:lib)?bitsandbytes_([a-z]+\d*)(?:_nocublaslt\d*)?\.(?:so|dll|dylib)")
    return tuple(sorted(found - {"cpu"}))


def torch_in_tag(build: str) -> str | None:
    """The torch that a wheel was compiled for: "==2.8.*" of flash-attn's tag cu12torch2.8cxx11abiTRUE."""
    found = re.search(r"(?:^|[^a-z])torch(\d+\.\d+)(?!\d)", re.sub(r"(?<=\d)torch", ".torch", build))
    return f"=={found[1]}.*" if found else None


def parse_requirement(text: str, package: str) -> str | None:
    """What METADATA requires of another package without a condition: "==2.9.0"; older builders put it in brackets."""
    found = (clause.strip() for name, clause in _REQUIRES.findall(text) if name.lower() == package)
    return next((clause for clause in found if clause), None)


def satisfies(version: str, requirement: str) -> bool | None:
    """Whether a version meets "==2.9.0" or "<=0.8.0,>=0.7.2" by its numbers; None where that cannot be told."""
    number = _NUMBER.match(version)
    if number is None or not _RELEASE.fullmatch(version):
        return None  # a development or a candidate version
    verdicts = [_holds(_parts(number[0]), clause) for clause in requirement.split(",")]
    return None if None in verdicts else all(verdicts)


def compiled_for(names: Iterable[str], stem: str) -> set[str]:
    """The Pythons that an extension module is there for: "3.10" of _C.cpython-310-x86_64-linux-gnu.so."""
    found = (re.fullmatch(re.escape(stem) + _EXTENSION, name) for name in names)
    return {f"{match[1]}.{match[2]}" for match in found if match}


def assigned(text: str, name: str) -> str | None:
    """The text that a line of Python gives a name."""
    found = re.search(rf"^{name}\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return found[1] if found else None


def _cuda_tag(version: str) -> str | None:
    number = _NUMBER.match(version)
    return "cu" + "".join(number[0].split(".")[:2]) if number else None


def _named(names: Iterable[str], pattern: str) -> set[str]:
    return {found[1] for found in (re.fullmatch(pattern, name) for name in names) if found}


def _parts(number: str) -> list[int]:
    return [int(part) for part in number.split(".")]


def _holds(version: Sequence[int], clause: str) -> bool | None:
    found = _CLAUSE.fullmatch(clause.strip())
    if found is None:
        return None
    sign, wanted = found[1], _parts(found[2])
    if found[3]:
        same = list(version[: len(wanted)]) == wanted
        return {"==": same, "!=": not same}.get(sign)
    width = max(len(version), len(wanted))
    have, want = ([*numbers, *[0] * (width - len(numbers))] for numbers in (version, wanted))
    return {
        "==": have == want, "!=": have != want, "<=": have <= want, ">=": have >= want,
        "<": have < want, ">": have > want,
    }[sign]  # fmt: skip
