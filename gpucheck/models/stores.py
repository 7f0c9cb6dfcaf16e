"""Models that other programs have put on this disk: the Hugging Face cache, LM Studio, Ollama.

Places and layouts: huggingface_hub (constants.py, file_download.py), LM Studio's documentation, Ollama
(envconfig/config.go, manifest and blob names in server/modelpath.go). Names in them are untrusted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.models.checkpoint import local_model, parse_json
from gpucheck.models.gguf.model import gguf_model
from gpucheck.models.model import Model
from gpucheck.models.untrusted import read_small

Store = Literal["huggingface", "lmstudio", "ollama"]

MOST_LISTED = 5_000
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_REVISION = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_MODEL_LAYER = "application/vnd.ollama.image.model"
_TOWER_LAYER = "application/vnd.ollama.image.projector"
_OLLAMA_HOST = "registry.ollama.ai"
_MOST_MANIFEST_BYTES = 4 << 20


class StoredModel(Struct, frozen=True):
    """A model in a store: the name that it has there, and the file or directory to read."""

    store: Store
    name: str
    path: str


def find_stored(name: str, environ: Mapping[str, str] = os.environ) -> Model | None:
    """The model that one of the stores has under `name`, None if none has it.

    Names are "ORG/NAME" in the Hugging Face cache and LM Studio, "NAME" or "NAME:TAG" in Ollama (the tag is "latest"
    if it is left out). Case does not matter where one name alone differs by case only.

    Raises:
        UsageError: the store has it, but its files are incomplete or damaged; the sentence says where.
    """
    if any(not _SAFE.fullmatch(part) for part in name.replace(":", "/").split("/")):
        return None
    return _in_ollama(name, environ) or _in_folders(name, environ)


def stored_names(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The names in all stores, sorted, at most 5,000 of each."""
    names = {model.name for model in _folders(environ)}
    names.update(_ollama_names(environ))
    return tuple(sorted(names))


def _in_folders(name: str, environ: Mapping[str, str]) -> Model | None:
    """A model of the Hugging Face cache or LM Studio."""
    found = list(_folders(environ))
    for wanted, of in ((name, str), (name.lower(), str.lower)):
        for model in found:
            if of(model.name) == wanted:
                return replace(local_model(model.path, model.name), origin=model.store)
    return None


def _folders(environ: Mapping[str, str]) -> Iterator[StoredModel]:
    for root in _hub_roots(environ):
        for folder in _listed(root):
            parts = folder.split("--")
            if parts[0] == "models" and len(parts) in {2, 3} and all(_SAFE.fullmatch(part) for part in parts[1:]):
                snapshot = _snapshot(os.path.join(root, folder))
                if snapshot:
                    yield StoredModel("huggingface", "/".join(parts[1:]), snapshot)
    for root in _lmstudio_roots(environ):
        for publisher in _listed(root):
            for folder in _listed(os.path.join(root, publisher)):
                path = os.path.join(root, publisher, folder)
                if os.path.isdir(path):
                    yield StoredModel("lmstudio", f"{publisher}/{folder}", path)


def _snapshot(folder: str) -> str | None:
    """The directory of the revision that `refs/main` names; without it that of the only revision there is."""
    root = os.path.join(folder, "snapshots")
    try:
        revision = read_small(os.path.join(folder, "refs", "main"), 1000).decode("ascii", "replace").strip()
    except UsageError:
        revisions = _listed(root)
        revision = revisions[0] if len(revisions) == 1 else ""
    path = os.path.join(root, revision)
    return path if _REVISION.fullmatch(revision) and os.path.isdir(path) else None


def _in_ollama(name: str, environ: Mapping[str, str]) -> Model | None:
    """A model of Ollama: its manifest points at the blob with the GGUF file, and perhaps at one with a tower."""
    for root in _ollama_roots(environ):
        for manifest in _manifest_paths(name):
            path = os.path.join(root, "manifests", *manifest)
            if not os.path.isfile(path):
                continue
            layers = parse_json(read_small(path, _MOST_MANIFEST_BYTES), path).get("layers")
            blobs = _blobs(root, layers if isinstance(layers, list) else [])
            if _MODEL_LAYER not in blobs:
                raise UsageError(f"Ollama's manifest of {name!r} names no GGUF file")
            model = replace(gguf_model(blobs[_MODEL_LAYER], name), origin="ollama")
            if _TOWER_LAYER in blobs:
                model = replace(model, parts=(*model.parts, *gguf_model(blobs[_TOWER_LAYER]).parts))
            return model
    return None


def _blobs(root: str, layers: list[object]) -> dict[str, str]:
    """The files of a manifest's layers, by kind; digests of another form are left out."""
    found = {}
    for layer in layers[:1000]:
        if isinstance(layer, dict) and isinstance(kind := layer.get("mediaType"), str):
            digest = _DIGEST.fullmatch(str(layer.get("digest"))[:100])
            if digest and kind not in found:
                found[kind] = os.path.join(root, "blobs", f"sha256-{digest[1]}")
    return found


def _manifest_paths(name: str) -> Iterator[tuple[str, ...]]:
    """Where the manifest of `name` lies below `manifests`."""
    stem, _, tag = name.partition(":")
    parts, tag = stem.split("/"), tag or "latest"
    if len(parts) == 1:
        yield (_OLLAMA_HOST, "library", parts[0], tag)
    elif len(parts) == 2:
        yield (_OLLAMA_HOST, *parts, tag)
    elif len(parts) == 3:
        yield (*parts, tag)


def _ollama_names(environ: Mapping[str, str]) -> Iterator[str]:
    for root in _ollama_roots(environ):
        base = os.path.join(root, "manifests")
        for host in _listed(base):
            for owner in _listed(os.path.join(base, host)):
                for model in _listed(os.path.join(base, host, owner)):
                    for tag in _listed(os.path.join(base, host, owner, model)):
                        owned = model if owner == "library" else f"{owner}/{model}"
                        yield f"{owned if host == _OLLAMA_HOST else f'{host}/{owned}'}:{tag}"


def _hub_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    if place := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return (place,)
    if place := environ.get("HF_HOME"):
        return (os.path.join(place, "hub"),)
    cache = environ.get("XDG_CACHE_HOME") or _below_home(environ, ".cache")
    return (os.path.join(cache, "huggingface", "hub"),) if cache else ()


def _lmstudio_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    places = (_below_home(environ, ".lmstudio", "models"), _below_home(environ, ".cache", "lm-studio", "models"))
    return tuple(place for place in places if place)


def _ollama_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    if place := environ.get("OLLAMA_MODELS"):
        return (place,)
    own = _below_home(environ, ".ollama", "models")
    return (*((own,) if own else ()), "/usr/share/ollama/.ollama/models")


def _below_home(environ: Mapping[str, str], *parts: str) -> str:
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return os.path.join(home, *parts) if home else ""


def _listed(path: str) -> list[str]:
    """Sorted names that are plain words; of a missing directory none."""
    try:
        names = os.listdir(path)
    except (OSError, ValueError):
        return []
    return sorted(name for name in names[:MOST_LISTED] if _SAFE.fullmatch(name))
