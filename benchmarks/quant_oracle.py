"""Compares the types that gpucheck gives to tensors with those that llama.cpp's own quantizer gives.

    python benchmarks/quant_oracle.py            # compares, and writes benchmarks/truth/quant_oracle.csv
    python benchmarks/quant_oracle.py --check    # compares with the committed results; needs neither package

Needs `gguf` and `llama-cpp-python` (measured with 0.3.36, llama.cpp commit 0c1e570). For each shape a small GGUF
file is written, F16 with all weights zero, and quantized with an importance matrix of ones where the mix needs one.
"""

from __future__ import annotations

import csv
import ctypes
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpucheck.models.quant.assign import gguf_weights
from gpucheck.models.quant.shape import MixShape
from gpucheck.models.tensor import TensorGroup

RESULTS = Path(__file__).resolve().parent / "truth" / "quant_oracle.csv"

# llama_ftype in include/llama.h. Q2_0 is left out: gguf 0.19 cannot read its type.
FTYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11,
    "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19,
    "IQ2_XS": 20, "Q2_K_S": 21, "IQ3_XS": 22, "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26, "IQ3_M": 27,
    "IQ2_S": 28, "IQ2_M": 29, "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4": 38,
    "Q1_0": 40,
}  # fmt: skip


class Case(Struct, frozen=True, kw_only=True):
    """A model to quantize: its architecture in llama.cpp and what the rules ask of it."""

    name: str
    arch: str = "llama"
    layers: int = 24
    hidden: int = 256
    width: int = 256
    heads: int = 8
    kv_heads: int = 2
    experts: int = 0
    shared: bool = False
    tied: bool = False
    fused: bool = False
    gate: bool = True

    @property
    def head_dim(self) -> int:
        """Elements of one head."""
        return self.hidden // self.heads


CASES = (
    Case(name="grouped"),
    Case(name="grouped-few", kv_heads=4, tied=True),
    Case(name="multi-head", kv_heads=8, layers=19),
    Case(name="two-layers", layers=2),
    Case(name="eight-layers", layers=8),
    Case(name="odd-layers", layers=61, tied=True, arch="qwen2"),
    Case(name="odd-width", width=288, layers=28, arch="qwen2"),
    Case(name="odd-hidden", hidden=288, layers=16, heads=9, kv_heads=3, tied=True),
    Case(name="tiny-rows", hidden=64, width=80, layers=4, heads=4, kv_heads=4),
    Case(name="70b", layers=80),
    Case(name="70b-qwen2", layers=80, arch="qwen2"),
    Case(name="70b-other", layers=80, arch="qwen3"),
    Case(name="fused", arch="phi3", fused=True, gate=False, kv_heads=8, layers=32),
    Case(name="falcon", arch="falcon", fused=True, gate=False, kv_heads=1, layers=32, tied=True),
    Case(name="eight-experts", experts=8, kv_heads=2, layers=24),
    Case(name="experts", arch="qwen3moe", experts=16, kv_heads=1, layers=24),
    Case(name="shared-experts", arch="qwen2moe", experts=4, shared=True, kv_heads=8, layers=24),
)
VOCABULARY = 96
_ROWS = 2  # written of each matrix: types depend on the length of rows alone, and the quantizer checks no shapes


def groups_of(case: Case) -> tuple[TensorGroup, ...]:
    """The tensors of a case, as gpucheck describes a model."""
    at, outside = tuple(range(case.layers)), (-1,)
    queries, keys = case.heads * case.head_dim, case.kv_heads * case.head_dim
    found = [
        TensorGroup("token_embd", case.hidden, VOCABULARY, outside),
        TensorGroup("output_norm", case.hidden, 1, outside, matrix=False),
        TensorGroup("attn_norm", case.hidden, 1, at, matrix=False),
        TensorGroup("attn_output", queries, case.hidden, at),
    ]
    if not case.tied:
        found.append(TensorGroup("output", case.hidden, VOCABULARY, outside))
    if case.fused:
        found.append(TensorGroup("attn_qkv", case.hidden, queries + 2 * keys, at))
    else:
        parts = (("attn_q", queries), ("attn_k", keys), ("attn_v", keys))
        found += [TensorGroup(role, case.hidden, rows, at) for role, rows in parts]
    sides = [("ffn_up", case.hidden, case.width), ("ffn_down", case.width, case.hidden)]
    if case.gate:
        sides.append(("ffn_gate", case.hidden, case.width))
    for role, row, rows in sides:
        if case.experts:
            found.append(TensorGroup(f"{role}_exps", row, rows * case.experts, at))
            if case.shared:
                found.append(TensorGroup(f"{role}_shexp", row, rows, at))
        else:
            found.append(TensorGroup(role, row, rows, at))
    if case.experts:
        found.append(TensorGroup("ffn_gate_inp", case.hidden, case.experts, at))
    return tuple(found)


def tensor_names(group: TensorGroup) -> Iterator[tuple[str, int]]:
    """The names of a group's tensors, each with its layer."""
    for layer in group.layers:
        yield (f"{group.role}.weight" if layer < 0 else f"blk.{layer}.{group.role}.weight"), layer


def predicted(case: Case, mix: str, imatrix: bool | None) -> dict[str, str]:
    """The type of every tensor as gpucheck has it."""
    shape = MixShape(groups=groups_of(case), layers=case.layers, model_type=case.arch)
    return {
        name: weight.dtype for weight in gguf_weights(shape, mix, imatrix) for name, _ in tensor_names(weight.group)
    }


def write_model(case: Case, path: Path) -> None:
    """An F16 file of the case, all weights zero."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(str(path), case.arch)
    writer.add_block_count(case.layers)
    writer.add_context_length(128)
    writer.add_embedding_length(case.hidden)
    writer.add_feed_forward_length(case.width)
    writer.add_head_count(case.heads)
    writer.add_head_count_kv(case.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    writer.add_file_type(FTYPES["F16"])
    writer.add_vocab_size(VOCABULARY)
    if case.experts:
        writer.add_expert_count(case.experts)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(case.width)
    writer.add_rope_dimension_count(case.head_dim)
    for group in groups_of(case):
        kept = not group.matrix or group.role == "ffn_gate_inp"
        experts = case.experts if group.role.endswith("_exps") else 0
        shape = (experts, _ROWS, group.row) if experts else (_ROWS, group.row)
        data = np.zeros(shape if group.matrix else (group.row,), dtype=np.float32 if kept else np.float16)
        for name, _ in tensor_names(group):
            writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class _Importance(ctypes.Structure):
    """llama_model_imatrix_data of include/llama.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.POINTER(ctypes.c_float)),
        ("size", ctypes.c_size_t),
    )


def importance(case: Case) -> ctypes.Array[_Importance]:
    """Ones for every matrix, ended by an empty entry."""
    entries = []
    for group in groups_of(case):
        if not group.matrix:
            continue
        size = group.row * (case.experts if group.role.endswith("_exps") else 1)
        ones = (ctypes.c_float * size)(*([1.0] * size))
        for name, _ in tensor_names(group):
            entries.append(_Importance(name.encode(), ctypes.cast(ones, ctypes.POINTER(ctypes.c_float)), size))
    return (_Importance * (len(entries) + 1))(*entries, _Importance(None, None, 0))


def quantized(source: Path, target: Path, mix: str, matrix: ctypes.Array[_Importance] | None) -> dict[str, str]:
    """The type of every tensor after llama.cpp has quantized the file."""
    import gguf
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FTYPES[mix]
    params.nthread = 1
    if matrix is not None:
        params.imatrix = ctypes.cast(matrix, type(params.imatrix))
    status = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
    if status != 0:
        raise RuntimeError(f"llama.cpp could not make {mix}")
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(str(target)).tensors}


def measure(case: Case, folder: Path) -> Iterator[tuple[str, int, dict[str, str]]]:
    """For each mix, without and with an importance matrix where both are possible, the types of llama.cpp."""
    source, target = folder / f"{case.name}.gguf", folder / "out.gguf"
    write_model(case, source)
    matrix = importance(case)
    for mix in FTYPES:
        for used in (0, 1):
            try:
                yield mix, used, quantized(source, target, mix, matrix if used else None)
            except RuntimeError as error:
                print(f"{case.name}, matrix {used}: {error}", file=sys.stderr)


def lines(types: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Types by role as compact text: "Q6_K 0-2 5 8, Q4_K 3 4"; one line each role."""
    by_role: dict[str, dict[str, list[int]]] = {}
    for name, dtype in types.items():
        parts = name.removesuffix(".weight").split(".")
        role, layer = (parts[2], int(parts[1])) if parts[0] == "blk" else (parts[0], -1)
        by_role.setdefault(role, {}).setdefault(dtype, []).append(layer)
    for role in sorted(by_role):
        for dtype in sorted(by_role[role]):
            yield role, dtype, _ranges(sorted(by_role[role][dtype]))


def _ranges(numbers: list[int]) -> str:
    if numbers == [-1]:
        return ""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def compare(results: Iterable[dict[str, str]]) -> Counter[str]:
    """Prints every line of llama.cpp's that gpucheck has otherwise; counts files, and files that agree."""
    files: dict[tuple[str, str, str], set[tuple[str, str, str]]] = {}
    for row in results:
        key = row["case"], row["mix"], row["imatrix"]
        files.setdefault(key, set()).add((row["role"], row["type"], row["layers"]))
    cases, count = {case.name: case for case in CASES}, Counter[str]()
    for (name, mix, used), theirs in files.items():
        ours = set(lines(predicted(cases[name], mix, used == "1")))
        count["files"] += 1
        count["equal"] += ours == theirs
        for role, dtype, layers in sorted(theirs - ours):
            other = [f"{kind} {at}" for what, kind, at in sorted(ours - theirs) if what == role]
            print(f"{name} {mix} matrix {used}: {role} is {dtype} {layers}; gpucheck: {', '.join(other)}")
    return count


def main(arguments: list[str]) -> int:
    """Measures unless told to check, compares, and says how many files agree."""
    if "--check" not in arguments:
        with tempfile.TemporaryDirectory() as name, RESULTS.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("case", "mix", "imatrix", "role", "type", "layers"))
            for case in CASES:
                for mix, used, types in measure(case, Path(name)):
                    writer.writerows((case.name, mix, used, *line) for line in lines(types))
                print(f"{case.name}: done", file=sys.stderr)
    with RESULTS.open(encoding="utf-8", newline="") as stream:
        count = compare(csv.DictReader(stream))
    print(f"{count['equal']} of {count['files']} files have the same type in every tensor")
    return 0 if count["equal"] == count["files"] else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
