"""The ways to make a `TorchBuild`, with its commands."""

from __future__ import annotations

from gpucheck.assess.torch_answer import PYPI, TorchBuild
from gpucheck.catalog.torch_builds import AS_OF, INDEX


def take(index: str, *reasons: str, version: str | None = None, pythons: tuple[str, ...] | None = None) -> TorchBuild:
    """The answer "yes" with its commands; `pythons` are those of the version."""
    url = None if index == PYPI else INDEX + index
    what = "torch"
    if version is not None:
        what = f"torch=={version}" if version.count(".") > 1 else f'"torch=={version}.*"'  # quoted in every shell
    return TorchBuild(
        as_of=AS_OF,
        answer="yes",
        index=index,
        index_url=url,
        version=version,
        requires_python=f">={pythons[0]}" if pythons else None,
        pip=f"pip install {what}" + (f" --index-url {url}" if url else ""),
        uv=f"uv pip install {what}" + (f" --torch-backend={index}" if url else ""),  # uv names backends like indexes
        reasons=reasons,
        pythons=pythons or (),
    )


def refuse(*reasons: str) -> TorchBuild:
    """The answer "no"."""
    return TorchBuild(as_of=AS_OF, answer="no", reasons=reasons)


def unknown(*reasons: str) -> TorchBuild:
    """The answer "unknown"."""
    return TorchBuild(as_of=AS_OF, answer="unknown", reasons=reasons)
