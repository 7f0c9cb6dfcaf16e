"""Models on the hub, through a stand-in with the interface of huggingface_hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gpucheck.errors import UsageError
from gpucheck.models.hub import hub_model
from gpucheck.models.reference import parse_reference
from tests.models.safetensors_files import CONFIG, TWO


class HTTPError(Exception):
    """The transport's own error."""


class TransportError(HTTPError):
    """No connection."""


class HfHubHTTPError(HTTPError, OSError):
    """As huggingface_hub.errors has it."""


class EntryNotFoundError(Exception):
    """A file that the repository does not have."""


class RemoteEntryNotFoundError(HfHubHTTPError, EntryNotFoundError):
    """The same, said by the hub."""


class LocalEntryNotFoundError(FileNotFoundError, EntryNotFoundError):
    """No network, and nothing in the cache."""


class RepositoryNotFoundError(HfHubHTTPError):
    """No such model."""


class GatedRepoError(RepositoryNotFoundError):
    """Terms that were not accepted."""


class NotASafetensorsRepoError(Exception):
    """No safetensors files."""


class SafetensorsParsingError(Exception):
    """A damaged header."""


class Hub:
    """What the stand-in answers with: a value, or an error to raise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, object] = {"config.json": CONFIG}
        self.metadata: object = {
            "model.safetensors": {
                name: SimpleNamespace(dtype=kind, shape=list(shape)) for name, (kind, shape) in TWO.items()
            }
        }
        self.asked: list[str] = []

    def hf_hub_download(self, repo_id: str, filename: str) -> str:
        """The path of a file, as the real function returns it."""
        self.asked.append(f"{repo_id}:{filename}")
        found = self.files.get(filename, RemoteEntryNotFoundError("404"))
        if isinstance(found, Exception):
            raise found
        path = self.folder / filename
        path.write_text(json.dumps(found))
        return str(path)

    def get_safetensors_metadata(self, repo_id: str) -> SimpleNamespace:
        """The headers of all files."""
        self.asked.append(repo_id)
        if isinstance(self.metadata, Exception):
            raise self.metadata
        assert isinstance(self.metadata, dict)
        files = {name: SimpleNamespace(tensors=tensors) for name, tensors in self.metadata.items()}
        return SimpleNamespace(files_metadata=files)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The stand-in in the place of huggingface_hub."""
    found = Hub(tmp_path)
    module, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
    module.hf_hub_download = found.hf_hub_download  # type: ignore[attr-defined]
    module.HfApi = lambda: found  # type: ignore[attr-defined]
    for each in (HfHubHTTPError, EntryNotFoundError, NotASafetensorsRepoError, SafetensorsParsingError):
        setattr(errors, each.__name__, each)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return found


def test_configuration_and_headers_are_fetched_and_nothing_else(hub: Hub) -> None:
    """Two small files and the headers make a model with shape and tensors."""
    reference = parse_reference("hf:org/Tiny@q4")
    model = reference.model
    assert (reference.text, reference.quant) == ("hf:org/Tiny", "Q4_K_M")
    assert (model.id, model.dtype) == ("org/Tiny", "bfloat16")
    assert model.architecture
    assert model.tensors
    assert [(tensor.name, tensor.bytes) for tensor in model.tensors] == [("a.weight", 64), ("b.weight", 12)]
    assert hub.asked == ["org/Tiny:config.json", "org/Tiny:hf_quant_config.json", "org/Tiny"]


def test_a_model_without_safetensors_has_its_shape_alone(hub: Hub) -> None:
    """Old repositories hold other formats."""
    hub.metadata = NotASafetensorsRepoError("none")
    assert hub_model("org/Tiny").tensors is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LocalEntryNotFoundError("offline"), "cannot be reached for hf:org/Tiny: no network"),
        (TransportError("no route"), "cannot be reached"),
        (ConnectionError("refused"), "cannot be reached"),
        (RepositoryNotFoundError("404"), "the hub has no model org/Tiny"),
        (GatedRepoError("403"), "is gated"),
        (RemoteEntryNotFoundError("404"), r"has no config\.json"),
        (HfHubHTTPError("502 Bad Gateway"), "answered hf:org/Tiny with an error: 502"),
        (ValueError("odd"), "was not understood"),
    ],
)
def test_what_went_wrong_is_said_in_words(hub: Hub, error: Exception, sentence: str) -> None:
    """No network, no model, no permission, another answer."""
    hub.files["config.json"] = error
    with pytest.raises(UsageError, match=sentence):
        hub_model("org/Tiny")


def test_a_damaged_header_on_the_hub_is_refused(hub: Hub) -> None:
    """An error of the library's parser, or a tensor that cannot be."""
    hub.metadata = SafetensorsParsingError("bad")
    with pytest.raises(UsageError, match="was not understood"):
        hub_model("org/Tiny")
    for dtype, shape in (("Q4", [1]), ("F32", [-1]), ("F32", ["x"])):
        hub.metadata = {"m": {"a": SimpleNamespace(dtype=dtype, shape=shape)}}
        with pytest.raises(UsageError, match="unknown type or size"):
            hub_model("org/Tiny")


@pytest.mark.parametrize("name", ["", "Tiny", "a/b/c", "../x", "a/..", "a b/c", "https://x/y"])
def test_what_is_no_name_is_refused_before_anything_is_asked(hub: Hub, name: str) -> None:
    """Only ORG/NAME."""
    with pytest.raises(UsageError, match="write hf:ORG/NAME"):
        hub_model(name)
    assert not hub.asked


def test_without_the_extra_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"needs the extra hub: pip install 'gpucheck-inspector\[hub\]'"):
        parse_reference("hf:org/Tiny")
