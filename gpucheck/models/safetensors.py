"""Reading the headers of safetensors files, and the index of a checkpoint in several of them; never the data.

Layout: 8 bytes, the little-endian length of a JSON header; the header, which gives each tensor its type, shape and
place (huggingface/safetensors, README). Files are untrusted: lengths, counts and nesting are bounded.
"""

from __future__ import annotations

import math
import os
from typing import Any

import msgspec
from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.models.tensor import Tensor
from gpucheck.models.untrusted import open_regular, read_exactly, read_small, shown

MOST_HEADER_BYTES = 100 << 20  # the bound of the format's own reader
MOST_TENSORS = 200_000  # of one file
MOST_TENSORS_TOGETHER = 1_000_000  # of all files; Kimi-K2 in int4 has 210,000
MOST_FILES = 2_000
MOST_INDEX_BYTES = 100 << 20
MOST_DIMENSIONS = 32
MOST_ELEMENTS = 1 << 50

# Bits of one element (safetensors/src/tensor.rs).
DTYPE_BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class _Entry(Struct):
    """One tensor as the header writes it."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class SafetensorsHeader(Struct, frozen=True):
    """The tensors of one file, in the order of their data; `metadata` is the file's own, `file_bytes` its size.

    `missing_bytes` of tensor data lie behind the file's end: an unfinished download. 0 for a whole file.
    """

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]
    file_bytes: int
    missing_bytes: int = 0


def read_safetensors(path: str) -> SafetensorsHeader:
    """The header of the safetensors file at `path`.

    Raises:
        UsageError: the file cannot be read, is no safetensors file, or its header is damaged or beyond the bounds.
    """
    with open_regular(path) as (file, file_bytes):
        try:
            size = header_size(read_exactly(file, 8), path)
            data = read_exactly(file, size)
        except OSError as error:
            raise UsageError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    if len(data) < size:
        raise UsageError(f"{shown(path)} ends inside its header")
    return parse_header(data, file_bytes, path)


def header_size(first: bytes, path: str = "") -> int:
    """The length of the JSON header, from a file's first 8 bytes.

    Raises:
        UsageError: there are fewer bytes, or the length is none that a safetensors file has.
    """
    if len(first) < 8:
        raise UsageError(f"{shown(path)} is too short for a safetensors file")
    size = int.from_bytes(first[:8], "little")
    if not 2 <= size <= MOST_HEADER_BYTES:
        raise UsageError(f"{shown(path)} is not a safetensors file: its header would have {size:,} bytes")
    return size


def parse_header(data: bytes, file_bytes: int, path: str = "") -> SafetensorsHeader:
    """The tensors that the JSON header `data` lists, of a file of `file_bytes`.

    Raises:
        UsageError: the header is no JSON of this form, or a tensor's type, shape and place contradict each other.
    """
    raw = _decode(data, dict[str, msgspec.Raw], path, "header")
    kept = raw.pop("__metadata__", None)
    if len(raw) > MOST_TENSORS:
        raise UsageError(f"{shown(path)} claims {len(raw):,} tensors, which no model has")
    placed = [_tensor(name, _decode(each, _Entry, path, "header"), path) for name, each in raw.items()]
    placed.sort(key=lambda each: each[0])
    end = 0
    for start, tensor in placed:
        if start != end:
            raise UsageError(f"{shown(path)} has a gap or an overlap before the tensor {shown(tensor.name)}")
        end = start + tensor.bytes
    return SafetensorsHeader(
        tensors=tuple(tensor for _, tensor in placed),
        metadata=_decode(kept, dict[str, str], path, "metadata") if kept is not None else {},
        file_bytes=file_bytes,
        missing_bytes=max(0, 8 + len(data) + end - file_bytes),
    )


def _tensor(name: str, entry: _Entry, path: str) -> tuple[int, Tensor]:
    """Where a tensor's data starts, and the tensor."""
    bits = DTYPE_BITS.get(entry.dtype)
    if bits is None:
        raise UsageError(f"{shown(path)} has the unknown type {shown(entry.dtype)} at tensor {shown(name)}")
    if len(entry.shape) > MOST_DIMENSIONS or any(not 0 <= size <= MOST_ELEMENTS for size in entry.shape):
        raise UsageError(f"{shown(path)} has a shape out of bounds at tensor {shown(name)}")
    elements = math.prod(entry.shape)
    start, end = entry.data_offsets
    if elements > MOST_ELEMENTS or not 0 <= start <= end or end - start != elements * bits // 8:
        raise UsageError(f"{shown(path)} has a shape and a place that contradict each other at tensor {shown(name)}")
    row = entry.shape[-1] if entry.shape else 1
    return start, Tensor(name, entry.dtype, elements, end - start, row)


def read_index(path: str) -> tuple[str, ...]:
    """The names of the files that the index at `path` (`model.safetensors.index.json`) spreads the tensors over.

    Raises:
        UsageError: the index cannot be read or parsed, or names a file that is not in its own directory.
    """
    index = _decode(read_small(path, MOST_INDEX_BYTES), dict[str, Any], path, "index")
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise UsageError(f"{shown(path)} has no weight_map of tensors and files")
    names = tuple(sorted(set(places.values())))
    if len(names) > MOST_FILES:
        raise UsageError(f"{shown(path)} names {len(names):,} files, which no model has")
    for name in names:
        if name in {"", ".", ".."} or os.path.basename(name) != name or "\\" in name or "\0" in name:
            raise UsageError(f"{shown(path)} names {shown(name)}, which is not a file beside it")
    return names


def _decode(data: bytes | msgspec.Raw, kind: Any, path: str, what: str) -> Any:
    """JSON of a certain form; msgspec bounds the nesting."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{shown(path)} has a damaged {what}: {str(error)[:200]}") from error
