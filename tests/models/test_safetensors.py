"""Headers of safetensors files and indexes: what they list, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.safetensors import MOST_HEADER_BYTES, header_size, parse_header, read_index, read_safetensors
from gpucheck.models.tensor import Tensor
from tests.models.safetensors_files import TWO, header_json, write_safetensors


def test_tensors_have_their_types_sizes_and_bytes(tmp_path: Path) -> None:
    """In the order of their data, with the innermost dimension as the row."""
    found = read_safetensors(write_safetensors(tmp_path / "a.safetensors", TWO))
    assert found.tensors == (Tensor("a.weight", "BF16", 32, 64, 8), Tensor("b.weight", "F32", 3, 12, 3))
    assert found.metadata == {"format": "pt"}
    assert found.file_bytes == (tmp_path / "a.safetensors").stat().st_size
    assert found.missing_bytes == 0


def test_a_scalar_and_four_bits_have_their_bytes() -> None:
    """A shape without dimensions is one element; two 4-bit numbers share a byte."""
    data = json.dumps(header_json({"s": ("F32", ()), "f": ("F4", (2, 8))})).encode()
    assert [(tensor.elements, tensor.bytes) for tensor in parse_header(data, 1000).tensors] == [(1, 4), (16, 8)]


def test_missing_data_is_counted(tmp_path: Path) -> None:
    """A download that stopped has a whole header and too few bytes behind it."""
    path = Path(write_safetensors(tmp_path / "a.safetensors", TWO))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10)
    assert read_safetensors(str(path)).missing_bytes == 10


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dtype": "Q4"}, "unknown type 'Q4'"),
        ({"shape": [4, 9]}, "contradict each other"),
        ({"shape": [-4, -8]}, "out of bounds"),
        ({"shape": [1 << 60]}, "out of bounds"),
        ({"shape": [1] * 40}, "out of bounds"),
        ({"shape": "x"}, "damaged header"),
        ({"data_offsets": [8, 72]}, "gap or an overlap"),
        ({"data_offsets": [64, 0]}, "contradict each other"),
        ({"data_offsets": [0]}, "damaged header"),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(change: dict[str, object], sentence: str) -> None:
    """Types, shapes and places must agree."""
    header = header_json(TWO)
    entry = header["a.weight"]
    assert isinstance(entry, dict)
    header["a.weight"] = {**entry, **change}
    with pytest.raises(UsageError, match=sentence):
        parse_header(json.dumps(header).encode(), 1000, "x")


@pytest.mark.parametrize("data", [b"[]", b"{", b"\xff\xfe", b'{"a": 1}', b'{"__metadata__": 3}', b"[" * 100_000])
def test_a_header_of_another_form_is_refused(data: bytes) -> None:
    """No JSON, no group of keys, or nested without end."""
    with pytest.raises(UsageError, match="damaged"):
        parse_header(data, 1000, "x")


def test_the_length_of_a_header_is_bounded() -> None:
    """The first eight bytes of any other file are hardly ever a sensible length."""
    assert header_size((100).to_bytes(8, "little")) == 100
    for first in (b"", b"1234567", b"GGUF\3\0\0\0", (MOST_HEADER_BYTES + 1).to_bytes(8, "little"), bytes(8)):
        with pytest.raises(UsageError, match=r"too short|is not a safetensors file"):
            header_size(first, "x")


def test_a_file_that_ends_in_its_header_is_refused(tmp_path: Path) -> None:
    """It says where."""
    path = tmp_path / "a.safetensors"
    path.write_bytes((1000).to_bytes(8, "little") + b"{}")
    with pytest.raises(UsageError, match="ends inside its header"):
        read_safetensors(str(path))


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/b", "..", "", "a\\b", "a\0b"])
def test_an_index_names_files_beside_it_only(tmp_path: Path, name: str) -> None:
    """A name that leads elsewhere is refused."""
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"x": name}}))
    with pytest.raises(UsageError, match="not a file beside it"):
        read_index(str(path))


def test_an_index_without_a_map_is_refused(tmp_path: Path) -> None:
    """It must say which file has which tensor."""
    path = tmp_path / "i.json"
    for text in ("{}", '{"weight_map": {"x": 3}}', "3"):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"weight_map|damaged index"):
            read_index(str(path))
