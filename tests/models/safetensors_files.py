"""Safetensors files and checkpoint directories for the tests: headers, and holes for data."""

from __future__ import annotations

import json
from pathlib import Path

from gpucheck.models.safetensors import DTYPE_BITS

Shapes = dict[str, tuple[str, tuple[int, ...]]]
CONFIG: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": True,
}
TWO: Shapes = {"a.weight": ("BF16", (4, 8)), "b.weight": ("F32", (3,))}


def header_json(shapes: Shapes) -> dict[str, object]:
    """The header as it is before it becomes JSON."""
    found: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, shape) in shapes.items():
        elements = 1
        for size in shape:
            elements *= size
        end = at + elements * DTYPE_BITS[kind] // 8
        found[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return found


def write_safetensors(path: Path, shapes: Shapes) -> str:
    """Write the file, with holes for data; its path as text."""
    header = header_json(shapes)
    data = json.dumps(header).encode()
    size = max((each["data_offsets"][1] for each in header.values() if "data_offsets" in each), default=0)  # type: ignore[attr-defined,operator,index]
    with path.open("wb") as file:
        file.write(len(data).to_bytes(8, "little") + data)
        file.truncate(8 + len(data) + size)
    return str(path)


def write_checkpoint(folder: Path, config: dict[str, object] | None = None, files: int = 1) -> Path:
    """A directory with a configuration and the tensors `TWO`, in one file or in two with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    if files == 1:
        write_safetensors(folder / "model.safetensors", TWO)
        return folder
    names = {name: f"model-{index:05}-of-00002.safetensors" for index, name in enumerate(TWO, 1)}
    for name, file in names.items():
        write_safetensors(folder / file, {name: TWO[name]})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return folder
