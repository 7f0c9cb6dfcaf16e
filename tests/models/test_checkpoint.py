"""Models on this disk: directories, single files, configurations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.checkpoint import local_model, read_json
from tests.models.gguf_files import LLAMA, TINY, write_gguf
from tests.models.safetensors_files import CONFIG, TWO, write_checkpoint, write_safetensors


@pytest.mark.parametrize("files", [1, 2])
def test_a_directory_has_its_shape_and_its_tensors(tmp_path: Path, files: int) -> None:
    """In one file, or in several with an index."""
    model = local_model(str(write_checkpoint(tmp_path / "Tiny-Llama", files=files)))
    assert (model.id, model.source, model.dtype, model.quant) == ("Tiny-Llama", "checkpoint", "bfloat16", None)
    assert model.architecture
    assert len(model.architecture.layers) == 2
    assert model.tensors
    assert sorted(tensor.name for tensor in model.tensors) == ["a.weight", "b.weight"]
    assert model.file_bytes == sum(path.stat().st_size for path in (tmp_path / "Tiny-Llama").glob("*.safetensors"))
    assert not model.issues


def test_any_file_of_an_index_stands_for_the_whole(tmp_path: Path) -> None:
    """One part alone is not a model."""
    folder = write_checkpoint(tmp_path / "m", files=2)
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        assert local_model(str(folder / name)) == local_model(str(folder))


def test_a_missing_file_leaves_the_shape_and_an_issue(tmp_path: Path) -> None:
    """Half the tensors would be half the weights: none are taken."""
    folder = write_checkpoint(tmp_path / "m", files=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    model = local_model(str(folder))
    assert model.tensors is None
    assert any("1 of its 2 files are not there" in issue for issue in model.issues)


def test_a_second_copy_of_the_weights_is_not_counted(tmp_path: Path) -> None:
    """Mistral's consolidated file holds the same weights under other names."""
    folder = write_checkpoint(tmp_path / "m")
    write_safetensors(folder / "consolidated.safetensors", {"c": ("BF16", (100, 100))})
    model = local_model(str(folder))
    assert model.tensors
    assert len(model.tensors) == len(TWO)


def test_a_configuration_alone_is_a_shape_without_tensors(tmp_path: Path) -> None:
    """As a file, or as a directory with nothing else that can be read."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    alone, folder = local_model(str(path)), local_model(str(tmp_path))
    assert alone.architecture == folder.architecture
    assert (alone.source, alone.tensors, alone.id) == ("config", None, tmp_path.name)
    assert any("not safetensors" in issue for issue in folder.issues)


def test_the_declared_quantization_is_the_model_s(tmp_path: Path) -> None:
    """From config.json, or from ModelOpt's own file beside it."""
    declared = {**CONFIG, "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 64}}
    model = local_model(str(write_checkpoint(tmp_path / "a", declared)))
    assert (model.quant, model.group_size) == ("gptq-int4", 64)
    folder = write_checkpoint(tmp_path / "b")
    (folder / "hf_quant_config.json").write_text(json.dumps({"quantization": {"quant_algo": "FP8"}}))
    assert local_model(str(folder)).quant == "fp8"


def test_one_safetensors_file_without_a_configuration_has_a_count_only(tmp_path: Path) -> None:
    """Plain numbers can be counted; packed ones cannot."""
    model = local_model(write_safetensors(tmp_path / "x.safetensors", TWO))
    assert model.architecture is None
    assert model.total_parameters == 35
    assert any("shape is not known" in issue for issue in model.issues)
    packed = local_model(write_safetensors(tmp_path / "y.safetensors", {"q": ("I32", (8, 8))}))
    assert packed.total_parameters is None


def test_a_configuration_that_is_not_understood_leaves_the_tensors(tmp_path: Path) -> None:
    """The weights are known all the same, and the issue says what is wrong."""
    model = local_model(str(write_checkpoint(tmp_path / "m", {"model_type": "??", "hidden_size": 3})))
    assert model.architecture is None
    assert model.tensors
    assert any("not known" in issue for issue in model.issues)


def test_a_directory_with_one_gguf_model_is_that_model(tmp_path: Path) -> None:
    """A tower beside it does not count, two models do."""
    write_gguf(tmp_path / "a-Q4_K_M.gguf", LLAMA, TINY)
    write_gguf(tmp_path / "mmproj-a.gguf", {"general.architecture": "clip"})
    assert local_model(str(tmp_path)).source == "gguf"
    write_gguf(tmp_path / "a-Q8_0.gguf", LLAMA, TINY)
    with pytest.raises(UsageError, match=r"several models: a-Q4_K_M\.gguf, a-Q8_0\.gguf"):
        local_model(str(tmp_path))


def test_an_empty_directory_holds_no_model(tmp_path: Path) -> None:
    """The sentence says what was looked for."""
    with pytest.raises(UsageError, match=r"holds no model: no config\.json"):
        local_model(str(tmp_path))


@pytest.mark.parametrize("data", [b"[1]", b"{", b"\xff", b"[" * 200_000, b'{"a": ' + b"9" * 10_000 + b"}"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, data: bytes) -> None:
    """Other JSON, no JSON, endless nesting and endless numbers."""
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"is not JSON|is not a configuration"):
        local_model(str(path))


def test_infinity_is_read_as_python_writes_it(tmp_path: Path) -> None:
    """Mamba's configurations have it in time_step_limit."""
    path = tmp_path / "config.json"
    path.write_text('{"time_step_limit": [0.0, Infinity]}')
    assert read_json(str(path)) == {"time_step_limit": [0.0, float("inf")]}
