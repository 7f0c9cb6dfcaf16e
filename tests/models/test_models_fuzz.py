"""A seeded part of the campaign against readers of model files, and what it must be able to see."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.fuzz_models import CASES, Tally, campaign, try_one
from gpucheck.models.checkpoint import local_model
from tests.models.gguf_files import LLAMA, TINY, write_gguf


def test_mutated_files_are_models_or_usage_errors() -> None:
    """600 files: nothing else is raised, and none takes two seconds."""
    tally = campaign(600, seed=7)
    assert tally.failures == []
    assert sum(tally.answers.values()) == 600
    assert min(tally.answers["a model"], tally.answers["a UsageError"]) > 60


def test_one_seed_makes_one_file() -> None:
    """A failure can be made again."""
    for case in CASES:
        assert case(random.Random("3:1")) == case(random.Random("3:1"))


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), RecursionError()])
def test_another_error_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """What is no UsageError is a failure."""

    def fail(path: str) -> None:
        raise error

    monkeypatch.setattr("benchmarks.fuzz_models.local_model", fail)
    tally = Tally()
    try_one(tally, "label", "path")
    assert tally.failures[0].startswith(f"label: {type(error).__name__}")


def test_the_unchanged_file_is_a_model(tmp_path: Path) -> None:
    """What the campaign starts from is sound."""
    assert local_model(write_gguf(tmp_path / "a.gguf", LLAMA, TINY)).total_parameters
