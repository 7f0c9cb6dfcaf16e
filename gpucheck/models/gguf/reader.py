"""Reading the header of a GGUF file: its metadata and tensor table, never the data behind them.

Layout: docs/gguf.md of ggml-org/ggml. A file is untrusted: every count and length is bounded before it is used.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.models.gguf.types import BY_ID, REMOVED_TYPES, GgmlType
from gpucheck.models.untrusted import open_regular, read_exactly, shown

FIRST_BYTES = 16 << 20  # a header with a vocabulary of 262,144 tokens has 8 MB
MOST_HEADER_BYTES = 128 << 20
MOST_KEYS = 20_000
MOST_TENSORS = 200_000
MOST_STRINGS = 5_000_000
MOST_KEPT = 4_096  # longer arrays are vocabularies, longer texts are chat templates
MOST_NAME_BYTES = 65_535
MOST_DEPTH = 3
MOST_ELEMENTS = 1 << 50

_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_NESTED_COST = 100  # an array inside an array takes as long to step over as many texts


class Length(Struct, frozen=True):
    """What is kept of a long array or text: how many elements or bytes it has."""

    count: int


Value = int | float | bool | str | tuple[int | float | bool, ...] | Length


class GgufTensor(NamedTuple):
    """A tensor of the table; `shape` has the innermost dimension first, `offset` counts from the data's start."""

    name: str
    type: GgmlType
    shape: tuple[int, ...]
    offset: int

    @property
    def elements(self) -> int:
        """The product of its dimensions."""
        product = 1
        for size in self.shape:
            product *= size
        return product

    @property
    def bytes(self) -> int:
        """The bytes of its data, without padding."""
        return self.type.row_bytes(self.shape[0]) * (self.elements // self.shape[0])


class GgufHeader(Struct, frozen=True):
    """The header of one file. `data_start` is where tensor data begins, `file_bytes` the size of the file."""

    version: int
    big_endian: bool
    metadata: dict[str, Value]
    tensors: tuple[GgufTensor, ...]
    data_start: int
    file_bytes: int

    @property
    def missing_bytes(self) -> int:
        """Bytes of tensor data that lie behind the file's end: an unfinished download. 0 for a whole file."""
        end = max((tensor.offset + tensor.bytes for tensor in self.tensors), default=0)
        return max(0, self.data_start + end - self.file_bytes)


class _Short(Exception):  # noqa: N818 - a signal to read on, not an error
    """More of the file is needed."""


def read_header(path: str) -> GgufHeader:
    """The header of the GGUF file at `path`; version 2 or 3, of either byte order.

    Raises:
        UsageError: the file cannot be read, is no GGUF file, or its header is damaged or beyond the bounds.
    """
    with open_regular(path) as (file, file_bytes):
        data, step = b"", FIRST_BYTES
        while True:
            try:
                data += read_exactly(file, min(step, MOST_HEADER_BYTES) - len(data))
            except OSError as error:
                raise UsageError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
            try:
                return parse_header(data, file_bytes, path)
            except _Short:
                if len(data) < step or len(data) >= MOST_HEADER_BYTES:
                    what = "ends inside its header" if len(data) < MOST_HEADER_BYTES else "has a header beyond 128 MiB"
                    raise UsageError(f"{shown(path)} {what}") from None
                step *= 4


def parse_header(data: bytes, file_bytes: int, path: str = "") -> GgufHeader:
    """The header at the start of `data`; raises UsageError, or _Short where `data` ends before it."""
    return _Parser(data, path).header(file_bytes)


class _Parser:
    """A walk through the bytes of one header."""

    def __init__(self, data: bytes, path: str) -> None:
        self.data = data
        self.path = path
        self.at = 0
        self.order = "<"
        self.strings = 0

    def header(self, file_bytes: int) -> GgufHeader:
        """Magic, version, counts, metadata, tensor table."""
        if self.data[:4] != b"GGUF"[: len(self.data)] or not self.data:
            raise self.damaged("is not a GGUF file")
        self.at = 4
        version = self.number("I")
        if version & 0xFFFF == 0 and version:
            self.order = ">"
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in {2, 3}:
            raise self.damaged(f"is a GGUF file of version {version}; gpucheck reads versions 2 and 3")
        tensors, keys = self.number("Q"), self.number("Q")
        if keys > MOST_KEYS or tensors > MOST_TENSORS:
            raise self.damaged(f"claims {keys} keys and {tensors} tensors, which no model has")
        metadata = self.pairs(keys)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self.damaged("has an alignment that is no power of two")
        table = tuple(self.tensor() for _ in range(tensors))
        if len({tensor.name for tensor in table}) != len(table):
            raise self.damaged("lists a tensor twice")
        start = -(-self.at // alignment) * alignment
        return GgufHeader(version, self.order == ">", metadata, table, start, file_bytes)

    def pairs(self, count: int) -> dict[str, Value]:
        """The metadata."""
        found: dict[str, Value] = {}
        for _ in range(count):
            key = self.text()
            if key in found:
                raise self.damaged(f"has the key {shown(key)} twice")
            found[key] = self.value(self.number("I"), key)
        return found

    def value(self, kind: int, key: str) -> Value:
        """A value of the type numbered `kind`."""
        if code := _FIXED.get(kind):
            return self.number(code)
        if kind == _STRING:
            size = self.number("Q")
            start = self.skip(size)
            return self.data[start : self.at].decode(errors="replace") if size <= MOST_KEPT else Length(size)
        if kind == _ARRAY:
            return self.array(key, 1)
        raise self.damaged(f"has a value of the unknown type {kind} at {shown(key)}")

    def array(self, key: str, depth: int) -> tuple[int | float | bool, ...] | Length:
        """A short array of numbers; of any other only the length."""
        kind, count = self.number("I"), self.number("Q")
        if code := _FIXED.get(kind):
            start = self.skip(count * struct.calcsize(code))
            if count > MOST_KEPT:
                return Length(count)
            return struct.unpack_from(f"{self.order}{count}{code}", self.data, start)
        if kind not in {_STRING, _ARRAY} or depth > MOST_DEPTH:
            raise self.damaged(f"has an array of an unknown type, or too deep, at {shown(key)}")
        self.strings += count * (1 if kind == _STRING else _NESTED_COST)
        if self.strings > MOST_STRINGS:
            raise self.damaged(f"has more than {MOST_STRINGS:,} texts in arrays, which no model has")
        if kind == _STRING:
            self.skip_texts(count)
        else:
            for _ in range(count):
                self.array(key, depth + 1)
        return Length(count)

    def skip_texts(self, count: int) -> None:
        """Step over texts. A vocabulary has a quarter of a million: this loop is what reading a header costs."""
        read, data, at = struct.Struct(f"{self.order}Q").unpack_from, self.data, self.at
        try:
            for _ in range(count):
                at += read(data, at)[0] + 8
        except struct.error:
            raise _Short from None
        except OverflowError:
            raise self.damaged("has a text that is longer than any file") from None
        if at > len(data):
            raise _Short
        self.at = at

    def tensor(self) -> GgufTensor:
        """An entry of the tensor table."""
        name, dimensions = self.text(), self.number("I")
        if not 1 <= dimensions <= 4:
            raise self.damaged(f"has {dimensions} dimensions at tensor {shown(name)}")
        shape = tuple(self.number("Q") for _ in range(dimensions))
        number, offset = self.number("I"), self.number("Q")
        kind = BY_ID.get(number)
        if kind is None:
            old = REMOVED_TYPES.get(number)
            what = f"the type {old}, which llama.cpp no longer reads," if old else f"the unknown type {number}"
            raise self.damaged(f"has {what} at tensor {shown(name)}")
        tensor = GgufTensor(name, kind, shape, offset)
        if not all(shape) or max(shape) > MOST_ELEMENTS or tensor.elements > MOST_ELEMENTS or offset > 1 << 60:
            raise self.damaged(f"has a size out of bounds at tensor {shown(name)}")
        if shape[0] % kind.block_size:
            raise self.damaged(f"has a row of {shape[0]} elements, no multiple of a block, at tensor {shown(name)}")
        return tensor

    def text(self) -> str:
        """A key or a name."""
        size = self.number("Q")
        if size > MOST_NAME_BYTES:
            raise self.damaged(f"has a name of {size} bytes")
        start = self.skip(size)
        return self.data[start : self.at].decode(errors="replace")

    def skip(self, size: int) -> int:
        """Step over `size` bytes; where they start."""
        start = self.at
        if size > MOST_HEADER_BYTES:
            raise self.damaged(f"has a value of {size} bytes in its header")
        self.at += size
        if self.at > len(self.data):
            raise _Short
        return start

    def number(self, code: str) -> int:
        """One number of a `struct` code."""
        size = struct.calcsize(code)
        start = self.skip(size)
        found: int = struct.unpack_from(self.order + code, self.data, start)[0]
        return found

    def damaged(self, what: str) -> UsageError:
        """The error for this file."""
        return UsageError(f"{shown(self.path)} {what}")
