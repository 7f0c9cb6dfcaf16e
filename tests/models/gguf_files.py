"""A small writer of GGUF files for the tests: any version and byte order, tensors without data (sparse)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpucheck.models.ggml_types import BY_NAME

Tensors = Sequence[tuple[str, str, tuple[int, ...]]]
LLAMA: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.file_type": 15,
    "llama.block_count": 2,
    "llama.context_length": 4096,
    "llama.embedding_length": 256,
    "llama.feed_forward_length": 512,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
}


def layer_tensors(hidden: int, queries: int, keys: int, width: int, count: int) -> Tensors:
    """Embedding, norms, attention and a gated block for each of `count` layers; the head is tied."""
    found = [("token_embd.weight", "Q6_K", (hidden, 1000)), ("output_norm.weight", "F32", (hidden,))]
    for index in range(count):
        sizes = {
            "attn_norm": (hidden,),
            "attn_q": (hidden, queries),
            "attn_k": (hidden, keys),
            "attn_v": (hidden, keys),
            "attn_output": (queries, hidden),
            "ffn_norm": (hidden,),
            "ffn_gate": (hidden, width),
            "ffn_up": (hidden, width),
            "ffn_down": (width, hidden),
        }
        found += [
            (f"blk.{index}.{role}.weight", "Q4_K" if len(shape) > 1 else "F32", shape) for role, shape in sizes.items()
        ]
    return found


TINY = layer_tensors(256, 256, 64, 512, 2)


def header_bytes(
    metadata: Mapping[str, object], tensors: Tensors = (), version: int = 3, big_endian: bool = False
) -> tuple[bytes, int]:
    """The header, padded to 32 bytes, and the bytes of data that belong behind it."""
    order = ">" if big_endian else "<"

    def text(value: str) -> bytes:
        encoded = value.encode()
        return struct.pack(f"{order}Q", len(encoded)) + encoded

    def value(item: object) -> bytes:
        if isinstance(item, bool):
            return struct.pack(f"{order}I?", 7, item)
        if isinstance(item, int):
            return struct.pack(f"{order}II", 4, item) if 0 <= item < 1 << 32 else struct.pack(f"{order}Iq", 11, item)
        if isinstance(item, float):
            return struct.pack(f"{order}If", 6, item)
        if isinstance(item, str):
            return struct.pack(f"{order}I", 8) + text(item)
        assert isinstance(item, list)
        parts = [value(each) for each in item]
        kind = parts[0][:4] if parts else struct.pack(f"{order}I", 4)
        return struct.pack(f"{order}I", 9) + kind + struct.pack(f"{order}Q", len(item)) + b"".join(p[4:] for p in parts)

    out = b"GGUF" + struct.pack(f"{order}IQQ", version, len(tensors), len(metadata))
    out += b"".join(text(key) + value(item) for key, item in metadata.items())
    offset = 0
    for name, kind, shape in tensors:
        found = BY_NAME[kind]
        out += text(name) + struct.pack(f"{order}I", len(shape)) + struct.pack(f"{order}{len(shape)}Q", *shape)
        out += struct.pack(f"{order}IQ", found.id, offset)
        rows = 1
        for size in shape[1:]:
            rows *= size
        offset += -(-found.row_bytes(shape[0]) * rows // 32) * 32
    return out + b"\0" * (-len(out) % 32), offset


def write_gguf(
    path: Path, metadata: Mapping[str, object], tensors: Tensors = (), version: int = 3, big_endian: bool = False
) -> str:
    """Write the file, with holes for data; its path as text."""
    head, size = header_bytes(metadata, tensors, version, big_endian)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
    return str(path)
