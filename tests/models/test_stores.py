"""Models that other programs have put on this disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpucheck.errors import AmbiguousNameError, UnknownNameError, UsageError
from gpucheck.models.model import Model
from gpucheck.models.reference import parse_reference
from gpucheck.models.stores import find_stored, stored_names
from tests.models.gguf_files import LLAMA, TINY, write_gguf
from tests.models.safetensors_files import write_checkpoint

REVISION = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "ab" * 32


def empty_catalogue(name: str) -> Model:
    """A catalogue that knows parts of one name from several models, and nothing else."""
    if name == "tiny:8b":
        raise AmbiguousNameError("several", ("a/tiny-8b", "b/tiny-8b"))
    raise UnknownNameError(name)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """A home with one model in each store."""
    repo = tmp_path / ".cache/huggingface/hub/models--org--Tiny"
    write_checkpoint(repo / "snapshots" / REVISION)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(REVISION)
    studio = tmp_path / ".lmstudio/models/maker/Small-GGUF"
    studio.mkdir(parents=True)
    write_gguf(studio / "small.gguf", LLAMA, TINY)
    blobs = tmp_path / ".ollama/models/blobs"
    blobs.mkdir(parents=True)
    write_gguf(blobs / f"sha256-{DIGEST}", LLAMA, TINY)
    manifest(tmp_path, "registry.ollama.ai/library/tiny/8b", f"sha256:{DIGEST}")
    return {"HOME": str(tmp_path)}


def manifest(home: Path, name: str, digest: str) -> None:
    """Write a manifest that names one model layer."""
    path = home / ".ollama/models/manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": digest}]
    path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))


@pytest.mark.parametrize(
    ("name", "store", "source"),
    [
        ("org/Tiny", "huggingface", "checkpoint"),
        ("ORG/tiny", "huggingface", "checkpoint"),
        ("maker/Small-GGUF", "lmstudio", "gguf"),
        ("tiny:8b", "ollama", "gguf"),
    ],
)
def test_a_stored_model_is_found_by_its_name(home: dict[str, str], name: str, store: str, source: str) -> None:
    """Under the name that its store shows."""
    model = find_stored(name, home)
    assert model
    assert (model.origin, model.source) == (store, source)
    assert model.architecture


def test_other_names_are_not_found(home: dict[str, str]) -> None:
    """No part of a name, no other tag, no other publisher."""
    for name in ("Tiny", "tiny", "tiny:7b", "org/Tin", "other/Tiny", "a/b/c/d", ""):
        assert find_stored(name, home) is None


@pytest.mark.parametrize(
    "name", ["../x", "org/..", "..", "a/../../etc", "/etc", "a\\b", "a:../b", "org/Tiny/..", ".", "a b", "é/x"]
)
def test_a_name_never_leads_out_of_its_store(home: dict[str, str], name: str) -> None:
    """Parts that are no plain words are no names."""
    assert find_stored(name, home) is None


def test_all_names_are_listed(home: dict[str, str]) -> None:
    """For near matches."""
    assert stored_names(home) == ("maker/Small-GGUF", "org/Tiny", "tiny:8b")


def test_variables_move_the_stores(home: dict[str, str], tmp_path: Path) -> None:
    """HF_HUB_CACHE, HF_HOME and OLLAMA_MODELS come before the home."""
    root = Path(home["HOME"])
    assert find_stored("org/Tiny", {"HF_HUB_CACHE": str(root / ".cache/huggingface/hub")})
    assert find_stored("org/Tiny", {"HF_HOME": str(root / ".cache/huggingface")})
    assert find_stored("tiny:8b", {"OLLAMA_MODELS": str(root / ".ollama/models")})
    assert find_stored("org/Tiny", {**home, "HF_HOME": str(tmp_path / "none")}) is None


def test_a_cached_repository_without_a_ref_has_its_only_snapshot(home: dict[str, str]) -> None:
    """With two snapshots and no ref it is not guessed."""
    repo = Path(home["HOME"]) / ".cache/huggingface/hub/models--org--Tiny"
    (repo / "refs/main").unlink()
    assert find_stored("org/Tiny", home)
    write_checkpoint(repo / "snapshots" / ("f" * 40))
    assert find_stored("org/Tiny", home) is None


@pytest.mark.parametrize("ref", ["../../../../etc", "", "a/b", "..", "x" * 500])
def test_a_ref_that_leads_elsewhere_is_no_snapshot(home: dict[str, str], ref: str) -> None:
    """It is a name below `snapshots`, or nothing."""
    (Path(home["HOME"]) / ".cache/huggingface/hub/models--org--Tiny/refs/main").write_text(ref)
    assert find_stored("org/Tiny", home) is None


@pytest.mark.parametrize("digest", ["sha256:../../x", "sha1:aa", "", f"sha256-{DIGEST}", "sha256:" + "g" * 64])
def test_a_digest_of_another_form_is_no_blob(home: dict[str, str], digest: str) -> None:
    """The error names the model."""
    manifest(Path(home["HOME"]), "registry.ollama.ai/library/bad/latest", digest)
    with pytest.raises(UsageError, match="'bad' names no GGUF file"):
        find_stored("bad", home)


def test_a_reference_finds_a_stored_model_and_near_names(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The name alone is enough; a slip is answered with the name that was meant, never with the model."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "OLLAMA_MODELS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", home["HOME"])
    monkeypatch.setattr("gpucheck.models.catalogue.find_model", empty_catalogue)
    found = parse_reference("org/Tiny@q8")
    assert (found.text, found.quant, found.model.origin) == ("org/Tiny", "Q8_0", "huggingface")
    assert found.size.total_parameters == found.model.total_parameters
    assert parse_reference("tiny:8b").model.origin == "ollama"  # exactly that name, though the catalogue has several
    with pytest.raises(UnknownNameError, match="did you mean org/Tiny") as caught:
        parse_reference("orgs/Tiny")
    assert "org/Tiny" in caught.value.candidates
