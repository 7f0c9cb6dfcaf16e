"""`gpucheck fit` for models of known shape: engines, options, contexts and commands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.models.gguf_files import LLAMA, TINY, write_gguf
from tests.running import run

CARD = ("--simulate", "RTX 4090", "--ram", "64GiB")
TWO = ("--simulate", "2x RTX 4090", "--ram", "64GiB")


def test_the_answer_in_json_has_its_rows_and_its_command() -> None:
    """Part by part, and what to type."""
    (answer,) = run("fit", "llama-3.1-70b@q4", *TWO, "--json").json["fit"]
    assert (answer["fits"], answer["quant"], answer["placement"]["mode"]) == ("yes", "Q4_K_M", "several_gpus")
    assert sum(row["bytes"] for row in answer["rows"]) == answer["memory"]["total_bytes"]
    assert answer["command"].startswith("llama-server -m Llama-3.1-70B-Instruct-Q4_K_M.gguf -c 8192 -ngl 999 -ts ")
    assert sum(answer["placement"]["layers"]) == answer["placement"]["total_layers"] == 80


def test_format_command_prints_commands_alone() -> None:
    """One line a model; a comment where there is none."""
    ran = run("fit", "qwen3-8b@q4", "llama-3.1-405b@bf16", *CARD, "--format", "command")
    first, second = ran.out.splitlines()
    assert shlex.split(first)[0] == "llama-server"
    assert shlex.split(second, comments=True) == []
    assert "does not fit" in second


def test_format_command_of_an_engine_without_one() -> None:
    """Said as a comment, and no failure."""
    ran = run("fit", "qwen3-8b@bf16", *CARD, "--engine", "transformers", "--format", "command")
    assert (ran.code, ran.out) == (0, "# transformers has no command of its own\n")


def test_engine_options_reach_the_estimate_and_the_command() -> None:
    """A cache in 8 bits takes 34 of 64 bytes."""
    plain, small = (
        run("fit", "qwen3-8b@q4", *CARD, "--json", *options).json["fit"][0]
        for options in ((), ("--engine-option", "type_k=q8_0", "--engine-option", "type_v=q8_0"))
    )
    assert small["memory"]["kv_cache_bytes"] * 64 == plain["memory"]["kv_cache_bytes"] * 34
    assert "-ctk q8_0 -ctv q8_0" in small["command"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--engine-option", "type_k"),
        ("--engine-option", "=1"),
        ("--engine-option", "type_k=q9"),
        ("--engine-option", "no_such=1"),
        ("--engine-option", "n_parallel=2", "--batch", "3"),
        ("--engine", "pencil"),
        ("--engine", "transformers", "--engine-option", "type_k=f16"),
        ("--batch", "0"),
        ("--largest",),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: tuple[str, ...]) -> None:
    """Exit 2, a sentence, and no traceback; for a model of known shape."""
    ran = run("fit", "qwen3-8b@q4" if "transformers" not in wrong else "qwen3-8b@bf16", *CARD, *wrong)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


def test_an_option_of_a_bare_size_is_checked_and_its_absence_told() -> None:
    """What it changes depends on the shape."""
    assert run("fit", "8b@q4", *CARD, "--engine-option", "no_such=1").code == 2
    (answer,) = run("fit", "8b@q4", *CARD, "--engine-option", "type_k=q8_0", "--json").json["fit"]
    assert any("type_k" in sentence for sentence in answer["assumptions"])


def test_batch_multiplies_the_cache() -> None:
    """Four users of 8,192 tokens keep four times as much as one."""
    one, four = (
        run("fit", "qwen3-8b@q4", *CARD, "--batch", users, "--json").json["fit"][0]["memory"] for users in ("1", "4")
    )
    assert four["kv_cache_bytes"] == 4 * one["kv_cache_bytes"]


def test_max_context_is_told() -> None:
    """In JSON and in text, only where it was asked for."""
    (answer,) = run("fit", "qwen3-32b@q4", *CARD, "--max-context", "--json").json["fit"]
    assert answer["max_context"] % 256 == 0
    assert f"up to {answer['max_context']:,} tokens" in run("fit", "qwen3-32b@q4", *CARD, "--max-context").out
    assert run("fit", "qwen3-32b@q4", *CARD, "--json").json["fit"][0]["max_context"] is None


def test_largest_names_a_model_for_each_quantization() -> None:
    """16, 8 and 4 bits: the more bits, the smaller the model; all of them fit."""
    answers = run("fit", "--largest", *CARD, "--json").json["fit"]
    assert [answer["quant"] for answer in answers] == ["bf16", "Q8_0", "Q4_K_M"]
    assert {answer["fits"] for answer in answers} <= {"yes", "tight"}
    commands = run("fit", "--largest", *CARD, "--format", "command").out.splitlines()
    assert commands == [answer["command"] for answer in answers]
    assert all(command.startswith("llama-server -m ") for command in commands)


def test_what_does_not_fit_comes_with_changes() -> None:
    """Each with what it needs; in text as well."""
    (answer,) = run("fit", "qwen3-32b@q4", *CARD, "--context", "32768", "--json").json["fit"]
    assert answer["changes"]
    text = run("fit", "qwen3-32b@q4", *CARD, "--context", "32768", COLUMNS="200").out
    for change in answer["changes"]:
        assert change["what"] in text


def test_a_gguf_file(tmp_path: Path) -> None:
    """By its path, by its path in another quantization, and of a kind that nobody knows."""
    path = write_gguf(tmp_path / "x.gguf", LLAMA, TINY)
    (answer,) = run("fit", path, *CARD, "--json").json["fit"]
    assert (answer["fits"], answer["quant"]) == ("yes", "Q4_K_M")
    assert shlex.split(answer["command"])[:3] == ["llama-server", "-m", path]
    (other,) = run("fit", f"{path}@Q8_0", *CARD, "--json").json["fit"]
    assert other["memory"]["weights_bytes"] > answer["memory"]["weights_bytes"]
    strange = write_gguf(tmp_path / "y.gguf", {"general.architecture": "wonder"}, TINY)
    (unknown,) = run("fit", strange, *CARD, "--json").json["fit"]
    assert unknown["memory"]["weights_bytes"] == answer["memory"]["weights_bytes"]
    assert run("fit", strange, *CARD).code == 0


def test_a_tower_alone_is_refused_in_words(tmp_path: Path) -> None:
    """The file of a projector has no language model."""
    path = write_gguf(tmp_path / "mmproj.gguf", {"general.architecture": "clip"}, TINY)
    ran = run("fit", path, *CARD)
    assert ran.code == 2
    assert "tower without its language model" in ran.err
