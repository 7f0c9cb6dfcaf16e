"""`gpucheck models`."""

from __future__ import annotations

import json

import jsonschema
import pytest

from gpucheck.report.document import schema
from gpucheck.report.text_models import format_count
from tests.running import process, run


def test_all_models_without_a_name() -> None:
    """Without a name every model of the catalogue is listed; the document is valid."""
    found = run("models", "--json").json
    jsonschema.validate(found, schema("models"))
    assert (found["kind"], found["format_version"]) == ("models", "1.0")
    assert len(found["models"]) >= 150


@pytest.mark.parametrize("query", [("qwen3", "30b", "a3b"), ("qwen3:30b-a3b",), ("Qwen/Qwen3-30B-A3B",)])
def test_words_of_a_name(query: tuple[str, ...]) -> None:
    """The words of a name find all models that have them, whatever stands between them."""
    found = [model["id"] for model in run("models", *query, "--json").json["models"]]
    assert "Qwen/Qwen3-30B-A3B" in found
    assert all({"30B", "A3B"} <= set(name.split("-")) for name in found)


def test_words_are_whole() -> None:
    """70b does not find an 1.70b, nor 3b a 30b or a 13b."""
    found = [model["id"].lower() for model in run("models", "3b", "--json").json["models"]]
    assert found
    assert all("3b" in name.partition("/")[2].replace("_", "-").split("-") for name in found)


def test_facts_of_a_model() -> None:
    """Parameters, layers, attention, context, licence and the size of a Q4_K_M file of one model."""
    (found,) = run("models", "gpt-oss:20b", "--json").json["models"]
    assert found["total_parameters"] == 20_914_757_184
    assert found["active_parameters"] < found["total_parameters"] / 4
    assert (found["layers"], found["context"], found["license"]) == (24, 131_072, "apache-2.0")
    assert found["attention"] == ["GQA window 128", "GQA"]
    assert found["published_parameters"] == 21_511_953_984
    text = run("models", "gpt-oss:20b", COLUMNS="80").out
    assert text.startswith("openai/gpt-oss-20b")
    assert "24 layers, GQA window 128 + GQA, context 131,072, apache-2.0, Q4_K_M" in text


def test_verbose_names_sources() -> None:
    """`-v` says where each row was read, how sure it is, and which tower is not counted."""
    text = " ".join(run("models", "Kimi-K2.5", "-v", COLUMNS="80").out.split())
    assert "confidence B: config.json in" in text
    assert "vision tower" in text
    assert "confidence" not in run("models", "Kimi-K2.5").out


@pytest.mark.parametrize("width", ["45", "80", "110"])
@pytest.mark.parametrize("options", [(), ("-v",)])
def test_fits_the_terminal(width: str, options: tuple[str, ...]) -> None:
    """No line is wider than the terminal, ends in a blank or is empty."""
    lines = run("models", *options, COLUMNS=width).out.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= int(width)
    assert all(line and line == line.rstrip() for line in lines)


def test_unknown_name() -> None:
    """A name that no model has is exit 2 with near names, and an error document with --json."""
    ran = run("models", "llama-3.1-80b", "--json")
    assert ran.code == 2
    assert "meta-llama/Llama-3.1-8B-Instruct" in ran.json["error"]["candidates"]
    assert ran.json["error"]["code"] == "unknown_name"
    assert "no model in the catalogue is called" in ran.err


def test_plain_terminals() -> None:
    """The text is plain ASCII where the terminal has nothing else."""
    ran = run("models", "gemma", "-v", encoding="ascii")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.isascii()


def test_needs_no_machine() -> None:
    """Listing models inspects nothing and is one process without a word on stderr."""
    ran = process("models", "phi-4", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert "microsoft/phi-4" in [model["id"] for model in json.loads(ran.out)["models"]]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (134_515_008, "135M"),
        (999_885_952, "1.00B"),
        (8_030_261_248, "8.03B"),
        (31_577_940_288, "31.6B"),
        (999_600_000_000, "1.00T"),
        (1_026_408_232_448, "1.03T"),
        (9_999_999_999, "10.0B"),
    ],
)
def test_count_format(count: int, text: str) -> None:
    """Three significant digits, the unit chosen after rounding."""
    assert format_count(count) == text
