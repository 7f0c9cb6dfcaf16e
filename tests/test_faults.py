"""A seeded sample of the fault campaign: answers made to fail, alone and in pairs."""

from __future__ import annotations

from benchmarks.faults import campaign

NAMES = ["card-rtx-4090", "h100-mig", "amd-rx7900xtx", "apple-m4-max-128", "windows-laptop-hybrid", "container-4gib"]


def test_sample_of_faults() -> None:
    """No fault of the sample raises, hangs, or makes a fact wrong."""
    tally = campaign(NAMES, pairs=60, seed=13, share=0.02)
    assert set(tally.runs) == set(NAMES)
    assert tally.failures == []
