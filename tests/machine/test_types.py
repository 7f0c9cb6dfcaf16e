"""What counts as usable."""

from __future__ import annotations

import msgspec
import pytest

from gpucheck.machine.types import Gpu, Health, Machine, Mig
from gpucheck.probes.facts import Cpu, Memory, Platform

CARD = Gpu(0, "X", "NVIDIA", "ok", "discrete")


@pytest.mark.parametrize(
    ("facts", "usable"),
    [
        ({}, True),
        ({"visible": False}, False),
        ({"state": "lost"}, False),
        ({"state": "no_driver"}, False),
        ({"state": "unknown"}, False),
        ({"compute_mode": "prohibited"}, False),
        ({"compute_mode": "exclusive_process"}, True),
        ({"health": Health(fabric_state="in_progress")}, False),  # CUDA's error 802
        ({"health": Health(fabric_state="completed")}, True),
        ({"mig": Mig(mode="enabled")}, False),  # only its slices can be used
        ({"mig": Mig(mode="disabled")}, True),
        ({"kind": "mig", "mig": Mig(profile="1g.10gb", parent=0)}, True),
        ({"kind": "mig", "mig": Mig(parent=0), "compute_mode": "prohibited"}, False),
        ({"kind": "mig", "mig": Mig(parent=0), "visible": False}, False),
    ],
)
def test_usable(facts, usable):
    """A device is usable if it is seen, driven and open to work; a card in MIG mode only through its slices."""
    gpu = msgspec.structs.replace(CARD, **facts)
    assert gpu.usable is usable
    machine = Machine("simulated", Platform(), Cpu(), Memory(), gpus=(gpu,))
    assert machine.usable_gpus == ((gpu,) if usable else ())
