"""Free space where models and batches go: the model cache, the current directory, shared memory."""

from __future__ import annotations

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues
from gpucheck.probes.facts import Place

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - asked for its size; nothing is written there


def probe_storage(host: Host) -> Found[tuple[Place, ...]]:
    """Places with their file system's size; what a copied tree or a recording cannot tell is left out."""
    issues = Issues()
    wanted = [("models", models_place(host)), ("current directory", ".")]
    # `disk` answers for the nearest parent, so a machine without /dev/shm must be told apart first
    if host.may("rw", SHARED_MEMORY).error != NOT_FOUND:
        wanted.append(("shared memory", SHARED_MEMORY))
    found = (_place(host, issues, purpose, path) for purpose, path in wanted)
    return Found(tuple(place for place in found if place is not None), issues.all())


def models_place(host: Host) -> str:
    """Where Hugging Face tools keep models, by their own order of variables; `~` stays as it is."""
    for name, below in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),  # the older name, still read
        ("HF_HOME", "/hub"),
        ("XDG_CACHE_HOME", "/huggingface"),
    ):
        folder = host.env(name).value
        if folder:
            return folder.rstrip("/") + below or "/"
    return "~/.cache/huggingface"


def _place(host: Host, issues: Issues, purpose: str, path: str) -> Place | None:
    answer = host.disk(path)
    space = issues.value(f"disk {path}", answer)
    if space is not None:
        return Place(purpose, path, total_bytes=space.total_bytes, free_bytes=space.free_bytes)
    return None if answer.absent else Place(purpose, path)
