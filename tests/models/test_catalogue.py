"""The catalogue of models: every row adds up, and every name means one model or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import gpucheck.models.catalogue as module
from gpucheck.errors import AmbiguousNameError, UnknownNameError
from gpucheck.models.architecture import Experts
from gpucheck.models.catalogue import Entry, catalogue, find_model, matching, model_of, near_names
from gpucheck.models.listing import attention_kinds, model_entries
from gpucheck.models.reference import parse_reference
from gpucheck.models.tensors import predict_groups, tensor_groups

DATA = Path(module.__file__).parent / "data" / "models.jsonl"
ENTRIES = {entry.id: entry for entry in catalogue()}
TOLERANCE = 0.002
# One from each well-known publisher.
KNOWN = (
    "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3.5-397B-A17B", "deepseek-ai/DeepSeek-V3.2",
    "google/gemma-3-27b-it", "google/gemma-4-E4B-it", "mistralai/Mixtral-8x7B-v0.1", "openai/gpt-oss-120b",
    "moonshotai/Kimi-K2.5", "zai-org/GLM-5.2", "MiniMaxAI/MiniMax-M2", "microsoft/phi-4",
    "ibm-granite/granite-4.0-h-small", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "LiquidAI/LFM2-8B-A1B",
    "openai/whisper-large-v3", "BAAI/bge-large-en-v1.5", "tiiuae/falcon-40b", "HuggingFaceTB/SmolLM3-3B",
    "01-ai/Yi-1.5-34B-Chat",
)  # fmt: skip


def counts(entry: Entry) -> dict[str, int]:
    """What a repository's files may hold of the model: its stack with more and more of what stands beside it."""
    model = model_of(entry.id)
    shape = model.architecture
    assert shape is not None
    stack = sum(group.total_elements for group in tensor_groups(shape))
    towers = sum(part.parameters or 0 for part in model.parts)
    predicted = sum(group.total_elements for group in predict_groups(shape))
    embedding = shape.hidden_size * shape.vocab_size
    return {
        "stack": stack,
        "with towers": stack + towers,
        "with prediction": stack + towers + predicted,
        "with prediction and its own embedding and head": stack + towers + predicted + 2 * embedding,
        "with the tied head again": stack + towers + embedding,
    }


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.parameters is not None])
def test_counts(name: str) -> None:
    """The shape adds up to what the publisher's files hold, within 0.2 %."""
    entry = ENTRIES[name]
    assert entry.parameters is not None
    near = [
        count for count in counts(entry).values() if abs((count + entry.beside) / entry.parameters - 1) <= TOLERANCE
    ]
    assert near, {way: count / entry.parameters for way, count in counts(entry).items()}
    assert entry.confidence == "A"


def test_rows() -> None:
    """Ids are unique in any case, every row names its source, and only a counted row is of confidence A."""
    assert len({name.lower() for name in ENTRIES}) == len(catalogue()) >= 150
    assert list(ENTRIES) == sorted(ENTRIES, key=str.lower)
    for entry in catalogue():
        assert entry.source
        assert entry.family
        assert (entry.confidence == "A") == (entry.parameters is not None)
        assert entry.parameters is not None or not entry.beside
    assert set(KNOWN) <= set(ENTRIES)
    assert DATA.stat().st_size < 120_000


def test_beside_the_shape() -> None:
    """What stands beside a shape is what the source says: MXFP4's scales, NeoX's masks, one audio tower for both."""
    for name in ("openai/gpt-oss-20b", "openai/gpt-oss-120b"):
        shape = model_of(name).architecture
        assert shape is not None
        block = shape.layers[0].feed_forward
        assert isinstance(block, Experts)
        numbers = len(shape.layers) * block.num_experts * 3 * block.moe_intermediate_size * shape.hidden_size
        assert ENTRIES[name].beside * 32 == numbers
    assert ENTRIES["EleutherAI/gpt-neox-20b"].beside == 44 * (2048**2 + 12)
    towers = set()
    for name, shared in (("E2B", ((16, 256), (4, 512))), ("E4B", ((15, 512), (3, 1024)))):
        entry = ENTRIES[f"google/gemma-4-{name}-it"]
        text = entry.config["text_config"]
        assert sum(number for number, _ in shared) == text["num_kv_shared_layers"]
        size, heads = text["hidden_size"], text["num_key_value_heads"]
        kept = sum(number * (2 * rows * size + rows // heads) for number, rows in shared)
        towers.add(entry.beside - kept - 1536 * size)
    assert towers == {304_824_608}


def test_every_configuration_is_read() -> None:
    """No family of the catalogue is unknown to the parser; what is not counted are towers alone."""
    for entry in catalogue():
        model = model_of(entry.id)
        assert (model.id, model.source, model.origin) == (entry.id, "catalogue", entry.source)
        assert all("tower" in issue for issue in model.issues)
        assert any(part.parameters is None for part in model.parts) == bool(model.issues)


@pytest.mark.parametrize("name", list(ENTRIES))
def test_ids_and_whole_names(name: str) -> None:
    """An id means its model in any case; so do its words in any order and its name without the publisher."""
    assert find_model(name.upper()).id == name
    assert find_model(" ".join(reversed(name.replace("/", " ").split("-")))).id == name
    assert find_model(name.partition("/")[2]).id == name


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("llama3.1:8b", "meta-llama/Llama-3.1-8B-Instruct"),
        ("llama 3 8b", "meta-llama/Meta-Llama-3-8B-Instruct"),
        ("llama_3_8b", "meta-llama/Meta-Llama-3-8B-Instruct"),
        ("llama4:scout", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
        ("qwen3 30b a3b", "Qwen/Qwen3-30B-A3B"),
        ("qwen3:30b-a3b", "Qwen/Qwen3-30B-A3B"),
        ("qwen3:8b", "Qwen/Qwen3-8B"),
        ("qwen2.5:7b", "Qwen/Qwen2.5-7B-Instruct"),
        ("qwen3-coder:30b", "Qwen/Qwen3-Coder-30B-A3B-Instruct"),
        ("gpt-oss:20b", "openai/gpt-oss-20b"),
        ("gemma3:27b", "google/gemma-3-27b-it"),
        ("phi4", "microsoft/phi-4"),
        ("phi4:latest", "microsoft/phi-4"),
        ("phi4:14b", "microsoft/phi-4"),
        ("mistral:7b", "mistralai/Mistral-7B-Instruct-v0.3"),
        ("deepseek-r1:70b", "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"),
        ("deepseek-r1:671b", "deepseek-ai/DeepSeek-R1"),
        ("minimax m2", "MiniMaxAI/MiniMax-M2"),
        ("Llama-3.3-Nemotron-Super-49B-v1", "nvidia/Llama-3_3-Nemotron-Super-49B-v1"),
    ],
)
def test_names(name: str, found: str) -> None:
    """Names as people and Ollama write them; a whole name wins over longer names with the same words."""
    assert find_model(name).id == found


def test_aliases() -> None:
    """Every alias means its own model alone."""
    for entry in catalogue():
        for alias in entry.aliases:
            assert find_model(alias).id == entry.id


@pytest.mark.parametrize(
    "name", ["llama-3.1-80b", "Llama-3.1-8B-Instruct-GGUF", "lama", "qwen33", "gemma-3-2", "", "🦙", "x" * 5000]
)
def test_unknown_names(name: str) -> None:
    """A name with a word that no model has is unknown, however near: words are compared whole."""
    with pytest.raises(UnknownNameError) as caught:
        find_model(name)
    assert not isinstance(caught.value, AmbiguousNameError)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["5", "instruct", "swiss-ai", "bigcode", "8b", "2507"])
def test_names_of_nothing(name: str) -> None:
    """A number, a publisher or a word of tuning alone names no model, even where one entry alone has it."""
    assert matching(name)
    with pytest.raises(UnknownNameError) as caught:
        find_model(name)
    assert not isinstance(caught.value, AmbiguousNameError)


def test_near_names() -> None:
    """A slip finds what was meant, best first."""
    assert near_names("lama-3.1-8b-instruct")[0] == "meta-llama/Llama-3.1-8B-Instruct"
    with pytest.raises(UnknownNameError) as caught:
        find_model("llama-3.1-80b")
    assert "meta-llama/Llama-3.1-8B-Instruct" in caught.value.candidates


def test_ambiguous_names() -> None:
    """A part of several names is refused, and all of them are listed."""
    with pytest.raises(AmbiguousNameError) as caught:
        find_model("llama 70b")
    assert set(caught.value.candidates) == {entry.id for entry in matching("llama 70b")}
    assert len(caught.value.candidates) > 2
    assert set(caught.value.candidates) >= {"meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"}


def test_references() -> None:
    """A reference names an entry, with a quantization behind it if there is one."""
    found = parse_reference("gpt-oss:20b@q8")
    assert (found.text, found.quant) == ("openai/gpt-oss-20b", "Q8_0")
    assert found.size.total_parameters == 20_914_757_184
    with pytest.raises(AmbiguousNameError):
        parse_reference("llama 70b")


def test_only_the_asked_configuration_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding one model reads one configuration, and the second time none."""
    from gpucheck.models import config

    read: list[Mapping[str, Any]] = []
    real = config.read_config

    def noted(keys: Mapping[str, Any]) -> config.ConfigModel:
        read.append(keys)
        return real(keys)

    monkeypatch.setattr(config, "read_config", noted)
    model_of.cache_clear()
    first = find_model("google/gemma-3-27b-it")
    assert find_model("gemma3:27b") is first
    assert read == [ENTRIES["google/gemma-3-27b-it"].config]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", ("GQA",)),
        ("google/gemma-3-27b-it", ("GQA window 1,024", "GQA")),
        ("deepseek-ai/DeepSeek-V3", ("MLA",)),
        ("deepseek-ai/DeepSeek-V3.2", ("MLA with an indexer",)),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", ("Gated DeltaNet", "GQA")),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", ("Mamba-2", "GQA")),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", ("GQA chunk 8,192", "GQA")),
        ("tiiuae/falcon-7b", ("MQA",)),
        ("meta-llama/Llama-2-7b-hf", ("MHA",)),
        ("LiquidAI/LFM2-1.2B", ("short convolution", "GQA")),
    ],
)
def test_attention_kinds(name: str, kinds: tuple[str, ...]) -> None:
    """The kinds of layers in the order of their appearance."""
    shape = model_of(name).architecture
    assert shape is not None
    assert attention_kinds(shape) == kinds


def test_listing() -> None:
    """Active parameters and towers are parts of what there is; a Q4_K_M file takes 4 to 9 bits a parameter."""
    for entry in model_entries():
        assert 0 < entry.active_parameters <= entry.total_parameters
        if entry.q4_k_m_bytes is None:
            assert "whisper" in entry.id
        else:
            assert 4 < entry.q4_k_m_bytes * 8 / entry.total_parameters < 9
        assert (entry.tower_parameters is None) == bool(entry.issues)
    assert {entry.id for entry in model_entries("mixtral")} == {
        "mistralai/Mixtral-8x7B-v0.1",
        "mistralai/Mixtral-8x22B-v0.1",
    }
