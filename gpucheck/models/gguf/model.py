"""A model out of its GGUF file."""

from __future__ import annotations

import os
from collections import Counter

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Part
from gpucheck.models.gguf.keys import GgufKeys
from gpucheck.models.gguf.names import KNOWN
from gpucheck.models.gguf.reader import GgufHeader, GgufTensor
from gpucheck.models.gguf.shape import gguf_shape
from gpucheck.models.gguf.split import read_headers
from gpucheck.models.gguf.types import FILE_TYPES
from gpucheck.models.model import Model
from gpucheck.models.tensor import Tensor

_TOWERS = frozenset({"clip"})  # files of a vision or audio tower and its projector ("mmproj")
_OUTSIDE = frozenset({"token_embd.weight", "output.weight", "per_layer_token_embd.weight"})


def gguf_model(path: str, name: str | None = None) -> Model:
    """The model in the GGUF file at `path`, or in the split that it belongs to.

    `tensors` are exact, in the order of the files. `quant` is the mix that the file names, or else the type of most
    of its weights. A file with a vision tower alone has no architecture, but a part. One of a
    kind that is not known, and without the usual keys, has only its tensors.

    Raises:
        UsageError: a file cannot be read or is damaged; the sentence says where.
    """
    headers = read_headers(path)
    listed = tuple(tensor for header in headers for tensor in header.tensors)
    whole = replace(headers[0], tensors=listed)
    keys = GgufKeys(whole.metadata)
    label = name or _text(whole, "general.name") or os.path.basename(path).removesuffix(".gguf")
    model = Model(
        id=label,
        source="gguf",
        tensors=tuple(plain(tensor) for tensor in listed),
        file_bytes=sum(header.file_bytes for header in headers),
        quant=_quant(whole, listed),
        license=_text(whole, "general.license"),
        path=path,
        issues=_issues(headers),
    )
    if keys.name in _TOWERS:
        audio = bool(whole.metadata.get("clip.has_audio_encoder")) and not whole.metadata.get("clip.has_vision_encoder")
        part = Part(role="audio" if audio else "vision", parameters=sum(tensor.elements for tensor in listed))
        return replace(model, parts=(part,), issues=(*model.issues, "the file has a tower without its language model"))
    try:
        shape = gguf_shape(whole)
    except UsageError as error:
        if keys.name in KNOWN:
            raise
        return replace(model, issues=(*model.issues, f"the architecture {keys.name!r} is not known: {error}"))
    return replace(model, architecture=shape.architecture, parts=shape.parts, issues=(*model.issues, *shape.issues))


def plain(tensor: GgufTensor) -> Tensor:
    """The tensor as every format has it."""
    return Tensor(tensor.name, tensor.type.name, tensor.elements, tensor.bytes, tensor.shape[0])


def _issues(headers: tuple[GgufHeader, ...]) -> tuple[str, ...]:
    missing = sum(header.missing_bytes for header in headers)
    return (f"the file is not whole: {missing:,} bytes of its tensors are missing",) if missing else ()


def _text(header: GgufHeader, key: str) -> str | None:
    """A short text of the metadata, printable characters only."""
    value = header.metadata.get(key)
    if not isinstance(value, str):
        return None
    return "".join(letter for letter in value[:200] if letter.isprintable()).strip() or None


def _quant(header: GgufHeader, tensors: tuple[GgufTensor, ...]) -> str | None:
    """The mix that the metadata name; without one, the type with most elements among the layers' matrices."""
    number = header.metadata.get("general.file_type")
    named = FILE_TYPES.get(number) if isinstance(number, int) else None
    if named:
        return named
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        if len(tensor.shape) > 1 and tensor.name not in _OUTSIDE:
            sizes[tensor.type.name] += tensor.elements
    return sizes.most_common(1)[0][0] if sizes else None
