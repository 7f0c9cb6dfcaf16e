"""A model on the Hugging Face hub: its configuration and the headers of its weights, fetched when asked for.

Needs the extra `hub`. What is called is `hf_hub_download` for the two JSON files and
`HfApi.get_safetensors_metadata`, which reads headers by range requests, of huggingface_hub. All of it was
tested against a stand-in with that interface; with version 2.4.0 itself only the sentence for a missing network was
seen. It was never run against the hub.
"""

from __future__ import annotations

import math
import re
from importlib import import_module
from typing import Any

from gpucheck.errors import UsageError
from gpucheck.models.checkpoint import CONFIG, QUANT_CONFIG, config_model, read_json, with_headers
from gpucheck.models.model import Model
from gpucheck.models.safetensors import DTYPE_BITS, MOST_ELEMENTS, MOST_FILES, MOST_TENSORS_TOGETHER, SafetensorsHeader
from gpucheck.models.tensor import Tensor

EXTRA = "pip install 'gpucheck-inspector[hub]'"
_NO_NETWORK = {"LocalEntryNotFoundError", "TransportError", "OSError"}
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}", re.ASCII)


def hub_model(name: str) -> Model:
    """The model that the hub has as `name` ("ORG/NAME"); only its configuration and headers are fetched.

    Raises:
        UsageError: the name is none, the extra `hub` is not installed, the hub cannot be reached, it has no such
            model or does not show it to this user, or what it sent is damaged.
    """
    if name.count("/") != 1 or not all(_PART.fullmatch(part) for part in name.split("/")):
        raise UsageError(f"{name[:200]!r} is no name on the hub: write hf:ORG/NAME")
    try:
        hub = import_module("huggingface_hub")
    except ImportError as error:
        raise UsageError(f"hf:{name} needs the extra hub: {EXTRA}") from error
    config = _fetched(hub, name, CONFIG)
    if config is None:
        raise UsageError(f"hf:{name} has no {CONFIG}: name one of its files on this disk instead")
    model = config_model(config, name, quant_config=_fetched(hub, name, QUANT_CONFIG))
    headers = _headers(hub, name)
    return with_headers(model, headers) if headers else model


def _fetched(hub: Any, name: str, file: str) -> dict[str, Any] | None:
    """One JSON file of a model, None if the model has no such file."""
    try:
        path = hub.hf_hub_download(repo_id=name, filename=file)
    except _errors() as error:
        kinds = _kind(error)
        if "EntryNotFoundError" in kinds and "LocalEntryNotFoundError" not in kinds:
            return None
        raise _failure(error, name) from error
    return read_json(path)


def _headers(hub: Any, name: str) -> tuple[SafetensorsHeader, ...]:
    """The headers of the model's safetensors files; none if it has no such files."""
    try:
        found = hub.HfApi().get_safetensors_metadata(name)
    except _errors() as error:
        if "NotASafetensorsRepoError" in _kind(error):
            return ()
        raise _failure(error, name) from error
    files = found.files_metadata
    if len(files) > MOST_FILES or sum(len(file.tensors) for file in files.values()) > MOST_TENSORS_TOGETHER:
        raise UsageError(f"hf:{name} claims more files or tensors than any model has")
    return tuple(_header(file.tensors, name) for _, file in sorted(files.items()))


def _errors() -> tuple[type[Exception], ...]:
    """What the library raises: its own errors, those of files and JSON, those of its transport."""
    own = import_module("huggingface_hub.errors")
    transport = tuple(each for each in own.HfHubHTTPError.__mro__ if each.__name__ == "HTTPError")
    named = (own.EntryNotFoundError, own.NotASafetensorsRepoError, own.SafetensorsParsingError)
    return (OSError, ValueError, *transport, *named)


def _header(infos: Any, name: str) -> SafetensorsHeader:
    """One file's tensors; its size is taken to be that of its tensors, for the hub's answer leaves it out."""
    tensors = tuple(_tensor(key, info, name) for key, info in infos.items())
    return SafetensorsHeader(tensors=tensors, metadata={}, file_bytes=sum(tensor.bytes for tensor in tensors))


def _tensor(key: str, info: Any, name: str) -> Tensor:
    bits = DTYPE_BITS.get(info.dtype)
    shape = tuple(info.shape)
    if bits is None or any(not isinstance(size, int) or not 0 <= size <= MOST_ELEMENTS for size in shape):
        raise UsageError(f"hf:{name} has a tensor {key[:200]!r} of an unknown type or size")
    elements = math.prod(shape)
    return Tensor(key, info.dtype, elements, elements * bits // 8, shape[-1] if shape else 1)


def _kind(error: BaseException) -> set[str]:
    """The names of an error's classes: those of huggingface_hub move between its modules."""
    return {each.__name__ for each in type(error).__mro__}


def _failure(error: Exception, name: str) -> UsageError:
    """What went wrong, in words."""
    kinds = _kind(error)
    if "GatedRepoError" in kinds:
        return UsageError(f"hf:{name} is gated: accept its terms on the hub and log in with hf auth login")
    if "RepositoryNotFoundError" in kinds:
        return UsageError(f"the hub has no model {name}, or does not show it to you")
    if "HfHubHTTPError" in kinds:
        return UsageError(f"the hub answered hf:{name} with an error: {str(error)[:200]}")
    if kinds & _NO_NETWORK:
        return UsageError(f"the hub cannot be reached for hf:{name}: no network, or offline mode")
    return UsageError(f"the hub's answer for hf:{name} was not understood: {type(error).__name__}: {str(error)[:200]}")
