"""Values of requirements: versions, ranges, amounts, names, and the vocabulary's own examples."""

from __future__ import annotations

import tomllib

import pytest

from gpucheck.assess.category import RANK
from gpucheck.assess.requirements.clauses import all_hold, parse_clauses, version_of
from gpucheck.assess.requirements.packages import Package
from gpucheck.assess.requirements.vocabulary import CATEGORIES, DTYPES, VOCABULARY
from gpucheck.errors import UsageError
from gpucheck.machine.types import Flops


@pytest.mark.parametrize(
    ("text", "version", "holds"),
    [
        (">=550", "550.54.15", True), (">=550", "535.183", False), (">=550,<580", "580.65", False),
        ("==550", "550.120", True), ("550", "550.120", True), ("==550.54", "550.120", False),
        ("!=555", "555.42", False),
        (">=8.0,<12", "12.0", False), (">=8.0,<12", "10.3", True), ("<=8.6", "8.9", False), ("<=8.6", "8.6", True),
        ("~=2.4", "2.9.1+cu128", True), ("~=2.4", "3.0", False), ("~=2.4.1", "2.5", False), (">=2.10", "2.9.1", False),
        (">=2.10", "2.10.0a0+git1234", False), (">=2.10", "2.11.0.dev20260101+cu130", True), ("==2.9.*", "2.9.1", True),
        (">2.9", "2.9.0", False), (">2.9", "2.9.1", True), ("== 2.9 , != 2.9.1", "2.9.1", False),
    ],
)  # fmt: skip
def test_version_clauses(text: str, version: str, holds: bool) -> None:
    """Numbers are compared as numbers, a pre-release comes before its release, a local tag does not count."""
    found = version_of(version)
    assert found is not None
    assert all_hold(parse_clauses(text), found) is holds


@pytest.mark.parametrize("text", ["", ">=", "new", ">=1,,<2", ">=1.x", "=>8", "~=2", ">=2.*", "1" * 40, "٣"])
def test_what_is_no_range(text: str) -> None:
    """Anything else is refused with one sentence."""
    with pytest.raises(UsageError):
        parse_clauses(text)


@pytest.mark.parametrize("text", [None, "", "unknown", "N/A", "v", "-1"])
def test_what_is_no_version(text: str | None) -> None:
    """A text that is no version is no version, not 0."""
    assert version_of(text) is None


@pytest.mark.parametrize("name", VOCABULARY)
def test_example_of_every_key(name: str) -> None:
    """Each key's example is TOML that its own parser takes, and has words; its help ends with a full stop."""
    key = VOCABULARY[name]
    value, words = key.kind.parse(tomllib.loads(f"x = {key.example}")["x"])
    assert value is not None
    assert words
    assert key.help.endswith(".")
    assert key.option == "--" + name.replace("_", "-")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("min_gpus", "2"), ("vendor", "nvidia,amd"), ("gpu", "A100, H100"), ("dtypes", "bf16,fp8"), ("nvlink", "true"),
        ("min_tflops", "fp16=100,int8=200"), ("min_cpu_cores", "0.5"), ("mig_profile", "1g.10gb"), ("gfx", "gfx942"),
        ("framework", "torch>=2.4,<3@cu128+usable"), ("model", "70b@q4"), ("context", "32768"),
    ],
)  # fmt: skip
def test_options_are_text(name: str, text: str) -> None:
    """What TOML writes as numbers and lists an option writes as text."""
    value, _ = VOCABULARY[name].kind.parse(text)
    assert value


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("min_vram", 24), ("min_vram", "24"), ("min_vram", "0GiB"), ("min_vram", "-1GiB"), ("min_vram", "much"),
        ("min_vram", ["24GiB"]), ("min_bandwidth", "900GB"), ("min_gpus", 0), ("min_gpus", True), ("min_gpus", 1.5),
        ("min_gpus", "-1"), ("vendor", "3dfx"), ("vendor", []), ("vendor", [1]), ("gpu", "RTX 9999"), ("gpu", ""),
        ("gpu", {"a": 1}), ("min_category", "Better"), ("min_category", ["Budget", "Consumer"]), ("dtypes", "fp7"),
        ("min_compute_capability", True), ("min_compute_capability", "8.x"), ("compute_capability", ">="),
        ("gfx", "942"), ("min_tflops", 100), ("min_tflops", {"fp16": 0}), ("min_tflops", {"fp17": 1}),
        ("min_tflops", {}), ("min_tflops", "100"), ("nvlink", "maybe"), ("nvlink", 2), ("mig_profile", "big"),
        ("min_driver", "new"), ("framework", ""), ("framework", ">=2"), ("framework", "torch@cu"), ("framework", 1),
        ("framework", {"version": ">=2"}), ("framework", {"name": "torch", "colour": 1}),
        ("framework", {"name": "torch", "version": 2}), ("framework", "torch>=2@cuda+cpu"), ("cpu_features", "AVX 2"),
        ("no_findings", "bad"), ("ignore_findings", "105"), ("model", ""), ("model", []), ("model", "nothing-like-it"),
        ("model", {"context": 1}), ("model", {"model": "8b", "contxt": 1}), ("model", {"model": "8b", "context": 0}),
        ("model", "8b@q99"), ("engine", "steam"), ("context", 0), ("batch", "x"), ("min_tok_s", 0),
        ("min_vram", float("nan")), ("min_cpu_cores", float("inf")), ("min_driver", float("nan")),
    ],
)  # fmt: skip
def test_wrong_values_say_what_was_expected(name: str, raw: object) -> None:
    """A value of another kind is refused with what was expected in its place."""
    with pytest.raises(UsageError, match="expected"):
        VOCABULARY[name].kind.parse(raw)


def test_framework_in_words_and_as_a_table() -> None:
    """A framework as text and as a table are the same requirement."""
    parse = VOCABULARY["framework"].kind.parse
    table = {"name": "Torch", "version": ">=2.4", "build": "cuda", "usable": True}
    assert parse("torch >=2.4 @ cuda + usable") == parse(table)
    (found,), words = parse("flash_attn")
    assert found == Package("flash-attn")
    assert words == "flash-attn"


def test_a_number_of_toml_is_the_version_that_is_written() -> None:
    """`min_cuda = 12.4` and `min_driver = 550` are versions."""
    assert VOCABULARY["min_cuda"].kind.parse(12.4)[0] == (12, 4)
    assert VOCABULARY["min_driver"].kind.parse(550)[0] == (550,)


def test_categories_and_data_types_are_those_of_the_machine() -> None:
    """The order of the categories is that by which a machine gets its own; the data types are those of the rates."""
    assert CATEGORIES == RANK
    assert set(DTYPES) == set(Flops.__struct_fields__)
