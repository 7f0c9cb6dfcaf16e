"""Headers of GGUF files: versions, byte orders, splits, bounds and damage."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.gguf.model import gguf_model
from gpucheck.models.gguf.reader import Length, parse_header, read_header
from gpucheck.models.gguf.split import read_headers, split_paths
from gpucheck.models.gguf.types import BY_ID, FILE_TYPES, REMOVED_TYPES
from tests.models.gguf_files import LLAMA, TINY, header_bytes, write_gguf


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("big_endian", [False, True])
def test_versions_and_byte_orders_read_the_same(tmp_path: Path, version: int, big_endian: bool) -> None:
    """Keys, tensors and bytes do not depend on how the file is written."""
    metadata = {**LLAMA, "x.real": 0.5, "x.list": [1, 2, 3], "x.flags": [True, False], "x.minus": -7}
    header = read_header(write_gguf(tmp_path / "a.gguf", metadata, TINY, version, big_endian))
    assert (header.version, header.big_endian) == (version, big_endian)
    assert {
        key: list(value) if isinstance(value, tuple) else value for key, value in header.metadata.items()
    } == metadata
    assert [(tensor.name, tensor.type.name, tensor.shape) for tensor in header.tensors] == list(TINY)
    assert header.tensors[0].bytes == 1000 * 210  # a row of 256 is one block of Q6_K
    assert header.missing_bytes == 0
    assert header.data_start % 32 == 0


def test_of_vocabularies_and_long_texts_only_the_length_is_kept(tmp_path: Path) -> None:
    """Tokens, merges and a chat template do not fill the memory."""
    metadata = {**LLAMA, "tokens": ["ab"] * 5000, "types": [1] * 5000, "template": "x" * 5000, "words": ["a", "b"]}
    found = read_header(write_gguf(tmp_path / "a.gguf", metadata)).metadata
    assert [found[key] for key in ("tokens", "types", "template", "words")] == [
        Length(5000), Length(5000), Length(5000), Length(2)
    ]  # fmt: skip


def test_a_header_larger_than_the_first_read_is_read_on(tmp_path: Path) -> None:
    """20 MiB of texts before the tensor table."""
    metadata = {**LLAMA, "tokens": ["x" * 1024] * 20_000}
    header = read_header(write_gguf(tmp_path / "a.gguf", metadata, TINY))
    assert header.metadata["tokens"] == Length(20_000)
    assert len(header.tensors) == len(TINY)


def test_a_large_vocabulary_is_stepped_over_quickly(tmp_path: Path) -> None:
    """A quarter of a million tokens: well under a second even on a busy machine (0.03 s on an idle one)."""
    path = write_gguf(tmp_path / "a.gguf", {**LLAMA, "tokens": [f"token{index}" for index in range(250_000)]}, TINY)
    start = time.perf_counter()
    read_header(path)
    assert time.perf_counter() - start < 1


def test_every_cut_of_a_header_is_one_clear_error(tmp_path: Path) -> None:
    """A file that ends anywhere inside its header says so; nothing else is raised."""
    head, _ = header_bytes({**LLAMA, "x.list": [1, 2], "x.words": ["a"]}, TINY[:2])
    path = tmp_path / "a.gguf"
    for size in range(len(head) - 40):
        path.write_bytes(head[:size])
        with pytest.raises(UsageError, match=r"ends inside its header|is not a GGUF file"):
            read_header(str(path))


def test_missing_data_is_an_issue_of_the_model_not_an_error(tmp_path: Path) -> None:
    """A download that stopped has a whole header: the shape is known, and the rest is said to be missing."""
    path = Path(write_gguf(tmp_path / "a.gguf", LLAMA, TINY))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 1000)
    model = gguf_model(str(path))
    assert model.architecture
    assert any("bytes of its tensors are missing" in issue for issue in model.issues)


_COUNT_AT = 8  # of the tensors, behind magic and version


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ((0, b"GGML"), "is not a GGUF file"),
        ((4, struct.pack("<I", 1)), "version 1; gpucheck reads versions 2 and 3"),
        ((4, struct.pack("<I", 0)), "version 0"),
        ((_COUNT_AT, struct.pack("<Q", 1 << 60)), "which no model has"),
        ((_COUNT_AT + 8, struct.pack("<Q", 1 << 40)), "which no model has"),
        ((_COUNT_AT + 16, struct.pack("<Q", 1 << 62)), "has a name of"),
    ],
)
def test_counts_and_lengths_are_bounded_before_they_are_used(change: tuple[int, bytes], sentence: str) -> None:
    """Absurd numbers are refused by what they are, not by running out of memory."""
    head = bytearray(header_bytes(LLAMA, TINY)[0])
    at, new = change
    head[at : at + len(new)] = new
    with pytest.raises(UsageError, match=sentence):
        parse_header(bytes(head), len(head))


def _array(kind: int, count: int, rest: bytes = b"") -> bytes:
    """A header whose only value is an array."""
    key = b"a.b"
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    return start + struct.pack("<IIQ", 9, kind, count) + rest


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (_array(8, 1 << 50), "texts in arrays"),
        (_array(4, 1 << 60), "bytes in its header"),
        (_array(9, 1 << 20), "texts in arrays"),
        (_array(9, 1, struct.pack("<IQ", 9, 1) * 6), "too deep"),
        (_array(99, 1), "unknown type"),
        (_array(8, 2, struct.pack("<Q", (1 << 64) - 1) + b"x" * 99), "texts in arrays|longer than any file|inside"),
    ],
)
def test_hostile_arrays_are_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    """Counts beyond any file, arrays in arrays in arrays, and lengths that overflow."""
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=sentence):
        read_header(str(path))


@pytest.mark.parametrize(
    ("tensor", "sentence"),
    [
        (("a", "Q4_K", (255, 2)), "no multiple of a block"),
        (("a", "F32", (0, 2)), "out of bounds"),
        (("a", "F32", (1 << 40, 1 << 40)), "out of bounds"),
        (("a", "F32", (1, 1, 1, 1, 1)), "5 dimensions"),
    ],
)
def test_impossible_tensors_are_refused(tensor: tuple[str, str, tuple[int, ...]], sentence: str) -> None:
    """Rows that do not fill blocks, empty and enormous tensors."""
    head = header_bytes(LLAMA, [tensor])[0]
    with pytest.raises(UsageError, match=sentence):
        parse_header(head, len(head))


def test_a_removed_type_is_named() -> None:
    """Old files with Q4_0_4_4 are told apart from damaged ones."""
    head = bytearray(header_bytes(LLAMA, [("a", "F32", (4,))])[0])
    at = head.rindex(struct.pack("<IQ", 1, 4)) + 12  # behind one dimension of 4
    head[at : at + 4] = struct.pack("<I", 31)
    with pytest.raises(UsageError, match=r"Q4_0_4_4, which llama\.cpp no longer reads"):
        parse_header(bytes(head), len(head))


def test_a_tensor_or_a_key_twice_is_refused() -> None:
    """Names are unique."""
    head = header_bytes(LLAMA, [("a", "F32", (4,)), ("a", "F32", (4,))])[0]
    with pytest.raises(UsageError, match="lists a tensor twice"):
        parse_header(head, len(head))
    twice = header_bytes({"a.bb": 1, "a.cc": 2})[0].replace(b"a.cc", b"a.bb")
    with pytest.raises(UsageError, match=r"has the key 'a\.bb' twice"):
        parse_header(twice, len(twice))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory, a missing file and a path with a null byte; none blocks."""
    for path in (str(tmp_path), str(tmp_path / "none.gguf"), "a\0b"):
        with pytest.raises(UsageError, match=r"cannot be opened|not a regular file"):
            read_header(path)


def test_a_split_model_is_read_from_any_of_its_files(tmp_path: Path) -> None:
    """Tensors of all parts in order; the metadata of the first; the bytes of all."""
    parts = (TINY[:5], TINY[5:12], TINY[12:])
    paths = [
        write_gguf(
            tmp_path / f"m-{index:05}-of-00003.gguf",
            {**(LLAMA if index == 1 else {}), "split.no": index - 1, "split.count": 3},
            part,
        )
        for index, part in enumerate(parts, 1)
    ]
    whole = gguf_model(write_gguf(tmp_path / "whole.gguf", LLAMA, TINY))
    for path in paths:
        model = gguf_model(path)
        assert model.tensors == whole.tensors
        assert model.architecture == whole.architecture
        assert model.file_bytes == sum(Path(each).stat().st_size for each in paths)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    """Which part is not there is said; a part under another name is noticed by its metadata."""
    path = write_gguf(tmp_path / "m-00001-of-00002.gguf", {**LLAMA, "split.count": 2}, TINY)
    with pytest.raises(UsageError, match="part 2 of them is not beside it"):
        read_headers(path)
    renamed = write_gguf(tmp_path / "renamed.gguf", {**LLAMA, "split.count": 2}, TINY)
    with pytest.raises(UsageError, match="one of 2 parts"):
        read_headers(renamed)
    with pytest.raises(UsageError, match="not one of at most"):
        split_paths("m-00001-of-99999.gguf")


def test_types_are_complete_and_consistent() -> None:
    """Every number of `ggml_type` up to 42 is a type or a removed one; every mix has a name of its own."""
    assert set(BY_ID) | set(REMOVED_TYPES) == set(range(43))
    assert not set(BY_ID) & set(REMOVED_TYPES)
    assert len(set(FILE_TYPES.values())) == len(FILE_TYPES)
    assert [BY_ID[number].bits for number in (39, 40, 34, 29, 41)] == [4.25, 4.5, 1.6875, 1.75, 1.125]


def test_the_model_says_what_the_file_says(tmp_path: Path) -> None:
    """Name, mix, exact tensor bytes and size; without a file type the mix is the type of most weights."""
    path = write_gguf(tmp_path / "a.gguf", LLAMA, TINY)
    model = gguf_model(path)
    assert (model.id, model.quant, model.source) == ("Tiny", "Q4_K_M", "gguf")
    assert model.tensors
    matrices = 2 * (256 * 256 * 2 + 2 * 256 * 64 + 3 * 256 * 512) * 144 // 256
    assert sum(tensor.bytes for tensor in model.tensors) == 1000 * 210 + 5 * 256 * 4 + matrices
    plain = {key: value for key, value in LLAMA.items() if key != "general.file_type"}
    assert gguf_model(write_gguf(tmp_path / "b.gguf", plain, TINY)).quant == "Q4_K"


def test_a_tower_alone_is_a_part_without_a_language_model(tmp_path: Path) -> None:
    """An mmproj file has parameters of vision, and no architecture."""
    path = write_gguf(
        tmp_path / "mmproj.gguf",
        {"general.architecture": "clip", "clip.has_vision_encoder": True},
        [("v.a", "F16", (8, 8))],
    )
    model = gguf_model(path)
    assert model.architecture is None
    assert [(part.role, part.parameters) for part in model.parts] == [("vision", 64)]
