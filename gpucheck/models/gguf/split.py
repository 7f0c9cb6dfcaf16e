"""GGUF models in several files, `NAME-00001-of-00003.gguf`, read as one."""

from __future__ import annotations

import os
import re

from gpucheck.errors import UsageError
from gpucheck.models.gguf.reader import MOST_TENSORS, GgufHeader, read_header
from gpucheck.models.untrusted import shown

MOST_FILES = 500
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.ASCII | re.DOTALL)


def split_paths(path: str) -> tuple[str, ...]:
    """The files of the model that the file at `path` belongs to, in order: itself, or all those of its split.

    Raises:
        UsageError: the name's numbers make no sense, or files of the split are not beside it.
    """
    folder, name = os.path.split(path)
    found = _SPLIT.fullmatch(name)
    if not found:
        return (path,)
    number, count = int(found[2]), int(found[3])
    if not 1 <= number <= count <= MOST_FILES:
        raise UsageError(f"{shown(name)} is not one of at most {MOST_FILES} parts")
    paths = tuple(os.path.join(folder, f"{found[1]}-{each:05}-of-{count:05}.gguf") for each in range(1, count + 1))
    missing = [index for index, each in enumerate(paths, 1) if not os.path.isfile(each)]
    if missing:
        numbers = ", ".join(map(str, missing[:10]))
        raise UsageError(f"{shown(name)} has {count} parts, and part {numbers} of them is not beside it")
    return paths


def read_headers(path: str) -> tuple[GgufHeader, ...]:
    """The headers of all files of the model that `path` belongs to; the first holds the metadata.

    Raises:
        UsageError: a file is missing, cannot be read or is damaged, or the files do not belong together.
    """
    paths = split_paths(path)
    headers = tuple(read_header(each) for each in paths)
    count = headers[0].metadata.get("split.count", 0)
    if len(headers) == 1 and isinstance(count, int) and count > 1:
        raise UsageError(f"{shown(path)} is one of {count} parts, and its name does not say which")
    names = [tensor.name for header in headers for tensor in header.tensors]
    if len(names) > MOST_TENSORS or len(set(names)) != len(names):
        raise UsageError(f"the parts of {shown(path)} list a tensor twice, or more than any model has")
    return headers
