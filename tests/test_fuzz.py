"""A seeded part of the fuzzing campaign, and what it must be able to see."""

from __future__ import annotations

import random
import time

import pytest

from benchmarks.fuzz import Tally, campaign, run
from benchmarks.fuzz_cases import Case
from benchmarks.fuzz_mutate import any_value, mutate


def test_campaign() -> None:
    """A thousand inputs for all targets: nothing but documented errors."""
    tallies = campaign(1000, seed=20)
    assert sum(tally.inputs for tally in tallies) >= 1000
    assert [line for tally in tallies for line in tally.failures.values()] == []


def test_mutations_follow_from_their_seed() -> None:
    """One seed makes one input, another seed another."""
    data = b"MemTotal: 1 kB\nMemFree: 2 kB\n"
    first, again, other = (mutate(random.Random(seed), data, [data]) for seed in (1, 1, 2))
    assert first == again != other
    assert any_value(random.Random(3), {"a": [1]}) == any_value(random.Random(3), {"a": [1]})


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_failures_are_seen(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """An exception, and an input that hangs, are failures that can be made again."""
    monkeypatch.setattr("benchmarks.fuzz.HANG_S", 0.05)

    def check(given: str) -> bool:
        time.sleep(seconds)
        raise KeyError(given)

    tally = Tally("broken")
    run(Case("broken", lambda draw: "x" * draw.randint(1, 9), check), 7, 5, tally)
    (line,) = tally.failures.values()
    assert "--only 'broken:7:5'" in line
    assert ("HangError" if seconds else "KeyError") in line
