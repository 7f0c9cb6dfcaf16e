"""The ways to make a `TorchBuild`, with its commands."""

from __future__ import annotations

from gpucheck.assess.torch_answer import PYPI, TorchBuild
from gpucheck.catalog.torch_builds import AS_OF, INDEX


def take(index: str, *reasons: str, version: str | None = None, requires_python: str | None = None) -> TorchBuild:
    """The answer "yes" with its commands."""
    url = None if index == PYPI else INDEX + index
    what = "torch"
    if version is not None:
        what = f"torch=={version}" if version.count(".") > 1 else f'"torch=={version}.*"'  # quoted in every shell
    arguments = what if url is None else f"{what} --index-url {url}"
    return TorchBuild(
        as_of=AS_OF,
        answer="yes",
        index=index,
        index_url=url,
        version=version,
        requires_python=f">={requires_python}" if requires_python else None,
        pip=f"pip install {arguments}",
        uv=f"uv pip install {arguments}",
        reasons=reasons,
    )


def refuse(*reasons: str) -> TorchBuild:
    """The answer "no"."""
    return TorchBuild(as_of=AS_OF, answer="no", reasons=reasons)


def unknown(*reasons: str) -> TorchBuild:
    """The answer "unknown"."""
    return TorchBuild(as_of=AS_OF, answer="unknown", reasons=reasons)


def is_older(python: str | None, needed: str | None) -> bool:
    """Whether a Python is older than a release needs; False where either is not known."""
    if python is None or needed is None:
        return False
    have, want = (tuple(int(part) for part in text.split(".")[:2]) for text in (python, needed))
    return have < want
