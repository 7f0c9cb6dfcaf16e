"""Answers for models of known shape: every family of the catalogue, over quantizations, contexts and machines."""

from __future__ import annotations

from functools import cache
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpucheck
from gpucheck.assess.fit import FitAnswer
from gpucheck.assess.need import Need
from gpucheck.machine.types import Machine
from gpucheck.models.catalogue import catalogue, model_of
from gpucheck.models.model import Model
from gpucheck.models.reference import ModelReference
from gpucheck.units import GIB
from tests.assess.machines import box, card

QUANTS = {
    "llama.cpp": ("Q2_K", "Q4_K_M", "Q8_0", "bf16"),
    "ollama": ("Q4_K_M",),
    "transformers": ("nf4", "int8", "bf16"),
}
CONTEXTS = (1, 512, 4096, 8192, 8193, 32_768, 131_072)
RANK = {"no": 0, "unknown": 0, "partial": 1, "tight": 2, "yes": 3}
Engine = Literal["llama.cpp", "ollama", "transformers"]


def families() -> dict[str, Model]:
    """The smallest model of every family of the catalogue."""
    found: dict[str, Model] = {}
    for entry in catalogue():
        model = model_of(entry.id)
        assert model.architecture
        kind = model.architecture.model_type
        if kind not in found or (model.total_parameters or 0) < (found[kind].total_parameters or 0):
            found[kind] = model
    return found


FAMILIES = families()
SAMPLE = tuple(FAMILIES.values())


@cache
def need(model_id: str, quant: str, engine: Engine, *, context: int = 8192, batch: int = 1, gpus: int = 1) -> Need:
    """The need, kept from one test to the next."""
    reference = ModelReference(model_id, None, model_of(model_id))
    return gpucheck.estimate(reference, quant, context=context, batch=batch, engine=engine, gpus=gpus)


def fit(machine: Machine, model: Model, quant: str, context: int) -> FitAnswer:
    """The answer in llama.cpp."""
    return gpucheck.fit(machine, ModelReference(model.id, None, model), quant, context)


def total(model: Model, quant: str, engine: Engine, **given: int) -> int:
    """The likely need."""
    return need(model.id, quant, engine, **given).memory.total_bytes


def rising(sums: list[int]) -> bool:
    """Whether none is less than the one before it."""
    return sums == sorted(sums)


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("engine", ["llama.cpp", "transformers"])
class TestEveryFamily:
    """Laws of every estimate."""

    def test_sums_are_those_of_the_rows(self, kind: str, engine: Engine) -> None:
        """Every component, and the total, adds up; bounds enclose the likely need, row by row and in all."""
        for quant in QUANTS[engine]:
            for context in CONTEXTS:
                found = need(FAMILIES[kind].id, quant, engine, context=context)
                memory = found.memory
                sums = dict.fromkeys(("weights", "kv_cache", "compute", "overhead"), 0)
                for row in found.rows:
                    assert 0 <= row.low_bytes <= row.bytes <= row.high_bytes
                    sums[row.component] += row.bytes
                assert sums == {
                    "weights": memory.weights_bytes,
                    "kv_cache": memory.kv_cache_bytes,
                    "compute": memory.compute_bytes,
                    "overhead": memory.overhead_bytes,
                }
                assert sum(sums.values()) == memory.total_bytes
                assert 0 < memory.low_bytes <= memory.total_bytes <= memory.high_bytes

    def test_more_never_needs_less(self, kind: str, engine: Engine) -> None:
        """Context, bits, users and GPUs only add.

        One user has four slots by default, so users count from two; three would not divide a micro-batch.
        """
        model = FAMILIES[kind]
        for quant in QUANTS[engine]:
            assert rising([total(model, quant, engine, context=context) for context in CONTEXTS])
            assert rising([total(model, quant, engine, context=4096, batch=users) for users in (2, 4, 8)])
            assert rising([total(model, quant, engine, gpus=gpus) for gpus in (1, 2, 4, 8)])
        assert rising([total(model, quant, engine) for quant in QUANTS[engine]])


GIBS = st.integers(1, 160).map(lambda halves: halves / 2)


WORKLOADS = st.tuples(st.sampled_from(SAMPLE), st.sampled_from(QUANTS["llama.cpp"]), st.sampled_from(CONTEXTS))


@given(WORKLOADS, st.lists(GIBS, max_size=3), GIBS, GIBS)
def test_more_memory_never_makes_it_worse(
    asked: tuple[Model, str, int], cards: list[float], ram: float, more: float
) -> None:
    """More RAM, more on every card, or one more card: what fitted still does."""
    gpus = [card(index, gib) for index, gib in enumerate(cards)]
    larger = [card(index, gib + more) for index, gib in enumerate(cards)]
    base = RANK[fit(box(*gpus, ram=ram), *asked).fits]
    assert base <= RANK[fit(box(*gpus, ram=ram + more), *asked).fits]
    if gpus:
        assert base <= RANK[fit(box(*larger, ram=ram), *asked).fits]
        assert base <= RANK[fit(box(*gpus, card(len(gpus), more), ram=ram), *asked).fits]


@given(WORKLOADS, st.lists(GIBS, max_size=4), GIBS)
def test_a_placement_is_what_its_rows_say(asked: tuple[Model, str, int], cards: list[float], ram: float) -> None:
    """Rows on GPUs and on the host add up to the placement's bytes, and neither exceeds what is there."""
    answer = fit(box(*(card(index, gib) for index, gib in enumerate(cards)), ram=ram), *asked)
    placement = answer.placement
    if answer.fits == "no":
        assert placement.mode == "none"
        return
    on_gpu = sum(row.bytes for row in answer.rows if row.device != "host")
    assert placement.gpu_bytes == on_gpu <= sum(int(cards[index] * GIB) for index in placement.devices)
    assert placement.host_bytes == answer.memory.total_bytes - on_gpu <= ram * GIB
    if placement.devices:
        assert len(placement.layers) == len(placement.devices)
        assert sum(placement.layers) <= (placement.total_layers or 0)
        assert (sum(placement.layers) == placement.total_layers) or answer.fits == "partial"
        assert placement.experts_on_host == 0 or answer.fits == "partial"
