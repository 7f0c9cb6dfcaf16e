"""Tensors of files against tensors of names: GGUF files, checkpoints, and kinds that are not known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpucheck
from gpucheck.errors import UsageError
from gpucheck.models.ggml_types import BY_NAME
from gpucheck.models.safetensors import DTYPE_BITS
from tests.assess.machines import box, card
from tests.models.gguf_files import LLAMA, TINY, Tensors, write_gguf
from tests.models.safetensors_files import CONFIG, Shapes, write_safetensors


def table_bytes(tensors: Tensors) -> int:
    """What the tensors of a table add up to."""
    total = 0
    for _, kind, (row, *others) in tensors:
        size = BY_NAME[kind].row_bytes(row)
        for count in others:
            size *= count
        total += size
    return total


def retyped(kind: str) -> Tensors:
    """The matrices of the small model in another type."""
    return [(name, kind if len(shape) > 1 else "F32", shape) for name, _, shape in TINY]


def checkpoint_shapes(kind: str = "BF16") -> Shapes:
    """Every tensor of the small Llama that `CONFIG` describes; the head is tied."""
    shapes: Shapes = {"model.embed_tokens.weight": (kind, (100, 64)), "model.norm.weight": (kind, (64,))}
    for layer in range(2):
        sizes = {
            "self_attn.q_proj": (64, 64),
            "self_attn.k_proj": (32, 64),
            "self_attn.v_proj": (32, 64),
            "self_attn.o_proj": (64, 64),
            "mlp.gate_proj": (128, 64),
            "mlp.up_proj": (128, 64),
            "mlp.down_proj": (64, 128),
            "input_layernorm": (64,),
            "post_attention_layernorm": (64,),
        }
        shapes |= {f"model.layers.{layer}.{name}.weight": (kind, shape) for name, shape in sizes.items()}
    return shapes


def checkpoint(folder: Path, shapes: Shapes, config: dict[str, object] = CONFIG) -> str:
    """A directory with a configuration and these tensors."""
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", shapes)
    return str(folder)


def shape_bytes(shapes: Shapes) -> int:
    """What the tensors of a checkpoint add up to."""
    total = 0
    for kind, shape in shapes.values():
        elements = 1
        for size in shape:
            elements *= size
        total += elements * DTYPE_BITS[kind] // 8
    return total


class TestGguf:
    """GGUF files."""

    @pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
    @pytest.mark.parametrize(
        ("tensors", "file_type", "quant"),
        [
            (TINY, 15, "Q4_K_M"),
            (retyped("F16"), 1, "fp16"),
            (retyped("BF16"), 32, "bf16"),
            (retyped("Q8_0"), 7, "Q8_0"),
            (TINY, None, "Q4_K"),  # a file that does not name its mix
        ],
    )
    def test_weights_are_those_of_the_tensor_table(
        self, tmp_path: Path, engine: str, tensors: Tensors, file_type: int | None, quant: str
    ) -> None:
        """To the byte, without a band, in the format that the file is stored in."""
        metadata = {key: value for key, value in LLAMA.items() if key != "general.file_type"}
        path = write_gguf(
            tmp_path / "m.gguf", metadata | ({} if file_type is None else {"general.file_type": file_type}), tensors
        )
        found = gpucheck.estimate(path, engine=engine)
        assert found.quant == quant
        assert found.memory.weights_bytes == table_bytes(tensors)
        assert all(row.basis == "exact" for row in found.rows if row.component == "weights")
        assert not any("types of tensors as the name" in sentence for sentence in found.assumptions)
        answer = gpucheck.fit(gpucheck.simulate("RTX 4090", ram="32GiB"), path, engine=engine)
        assert (answer.fits, answer.quant, answer.memory.weights_bytes) == ("yes", quant, table_bytes(tensors))

    def test_another_quantization_is_worked_out_from_the_shape(self, tmp_path: Path) -> None:
        """Q8_0 of the same matrices, vectors in 32 bits, with the band of a name."""
        path = write_gguf(tmp_path / "m.gguf", LLAMA, TINY)
        found = gpucheck.estimate(f"{path}@Q8_0")
        assert found.memory.weights_bytes == table_bytes(retyped("Q8_0"))
        assert all(row.low_bytes < row.bytes < row.high_bytes for row in found.rows if row.component == "weights")

    def test_a_damaged_file_is_a_usage_error(self, tmp_path: Path) -> None:
        """What is no GGUF file is said to be none."""
        (tmp_path / "m.gguf").write_bytes(b"GGUF")
        with pytest.raises(UsageError):
            gpucheck.estimate(str(tmp_path / "m.gguf"))


class TestUnknownKind:
    """A GGUF file of a kind that nobody knows, without the usual keys."""

    METADATA = {"general.architecture": "wonder", "general.file_type": 15}  # noqa: RUF012

    def test_weights_are_exact_and_the_rest_is_a_range(self, tmp_path: Path) -> None:
        """The tensors are all there; cache and buffers are those of models of its size, and the reason is told."""
        path = write_gguf(tmp_path / "m.gguf", self.METADATA, TINY)
        found = gpucheck.estimate(path)
        bases = {row.component: row.basis for row in found.rows}
        assert found.memory.weights_bytes == table_bytes(TINY)
        assert (bases["weights"], bases["kv_cache"], bases["compute"]) == ("exact", "range", "range")
        assert any("'wonder' is not known" in sentence for sentence in found.assumptions)
        assert any("only the size is known" in sentence for sentence in found.assumptions)

    def test_whether_it_fits_is_answered(self, tmp_path: Path) -> None:
        """On a card, on a CPU, and in another quantization."""
        path = write_gguf(tmp_path / "m.gguf", self.METADATA, TINY)
        for machine in (box(card()), box(ram=8.0)):
            assert gpucheck.fit(machine, path).fits == "yes"
            assert gpucheck.fit(machine, path, "Q8_0").memory.weights_bytes > table_bytes(TINY)

    def test_transformers_needs_the_shape(self, tmp_path: Path) -> None:
        """What depends on the shape alone is refused in words."""
        path = write_gguf(tmp_path / "m.gguf", self.METADATA | {"general.file_type": 1}, retyped("F16"))
        with pytest.raises(UsageError, match="depends on the shape"):
            gpucheck.estimate(path, engine="transformers")

    def test_a_tower_alone_is_no_model(self, tmp_path: Path) -> None:
        """The file of a projector has no language model to run."""
        path = write_gguf(tmp_path / "m.gguf", {"general.architecture": "clip", "general.file_type": 1}, TINY)
        with pytest.raises(UsageError, match="tower without its language model"):
            gpucheck.estimate(path)

    def test_a_known_kind_without_its_keys_is_damaged(self, tmp_path: Path) -> None:
        """A Llama without a count of layers is a broken file, not an unknown kind."""
        with pytest.raises(UsageError, match="block_count"):
            gpucheck.estimate(write_gguf(tmp_path / "m.gguf", {"general.architecture": "llama"}, TINY))


class TestCheckpoint:
    """Directories with a configuration and safetensors files."""

    @pytest.mark.parametrize("kind", ["BF16", "F16", "F32"])
    def test_transformers_loads_the_tensors_of_the_files(self, tmp_path: Path, kind: str) -> None:
        """To the byte, in the type that they have."""
        names = {"BF16": ("bfloat16", "bf16"), "F16": ("float16", "fp16"), "F32": ("float32", "fp32")}
        shapes = checkpoint_shapes(kind)
        path = checkpoint(tmp_path, shapes, CONFIG | {"torch_dtype": names[kind][0]})
        found = gpucheck.estimate(path, engine="transformers")
        assert found.quant == names[kind][1]
        assert found.memory.weights_bytes == shape_bytes(shapes)
        weights = [row for row in found.rows if row.component == "weights"]
        assert [(row.basis, row.low_bytes, row.high_bytes) for row in weights] == [
            ("exact", shape_bytes(shapes), shape_bytes(shapes))
        ]

    def test_llama_cpp_converts_it(self, tmp_path: Path) -> None:
        """In 16 bits a GGUF file has the matrices as they are, and vectors in 32; layers lie where they belong."""
        shapes = checkpoint_shapes()
        path = checkpoint(tmp_path, shapes)
        found = gpucheck.estimate(path, "bf16")
        matrices = shape_bytes({name: each for name, each in shapes.items() if len(each[1]) > 1})
        vectors = shape_bytes(shapes) - matrices
        assert found.memory.weights_bytes == matrices + 2 * vectors
        host = [row.bytes for row in found.rows if row.component == "weights" and row.device == "host"]
        assert host == [100 * 64 * 2]  # the embedding

    def test_llama_cpp_takes_the_best_of_16_8_and_4_bits(self, tmp_path: Path) -> None:
        """A checkpoint in plain numbers may be converted to any of them."""
        path = checkpoint(tmp_path, checkpoint_shapes())
        assert gpucheck.fit(gpucheck.simulate("RTX 4090", ram="32GiB"), path).quant == "bf16"
        assert gpucheck.estimate(path).quant == "Q4_K_M"

    def test_llama_cpp_leaves_a_format_aside_that_it_does_not_read(self, tmp_path: Path) -> None:
        """AWQ is the checkpoint's; llama.cpp answers for its own formats unless AWQ is asked for."""
        config = CONFIG | {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
        path = checkpoint(tmp_path, checkpoint_shapes(), config)
        assert gpucheck.estimate(path, engine="transformers").quant == "awq"
        assert gpucheck.estimate(path).quant == "Q4_K_M"
        with pytest.raises(UsageError, match="does not read awq"):
            gpucheck.estimate(path, "awq")
