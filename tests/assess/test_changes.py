"""Changes that make a workload fit, the longest context, and the largest models: each is tried out."""

from __future__ import annotations

import re

import pytest

import gpucheck
from gpucheck.assess.fit import Change, FitAnswer
from gpucheck.machine.types import Machine
from gpucheck.models.catalogue import catalogue, model_of
from gpucheck.models.reference import ModelReference
from tests.assess.machines import box, card

GOOD = ("yes", "tight")
CASES = [
    (box(card(0, 16.0)), "google/gemma-3-27b-it", "Q4_K_M", 16_384),
    (box(card(0, 12.0)), "Qwen/Qwen3-14B", "Q4_K_M", 32_768),
    (box(card(0, 24.0)), "Qwen/Qwen3-32B", "Q4_K_M", 32_768),
    (box(card(0, 24.0)), "meta-llama/Llama-3.1-70B-Instruct", "Q4_K_M", 8192),
    (box(card(0, 24.0), card(1, 24.0)), "meta-llama/Llama-3.1-70B-Instruct", "Q8_0", 8192),
    (box(card(0, 24.0)), "Qwen/Qwen3.5-27B", "Q6_K", 65_536),
    (box(card(0, 13.0)), "openai/gpt-oss-20b", "MXFP4", 131_072),
    (box(card(0, 4.0), ram=8.0), "microsoft/Phi-4-mini-instruct", "Q8_0", 8192),
]


def applied(machine: Machine, model: str, quant: str, context: int, change: Change) -> FitAnswer:
    """The answer after what the change says has been done."""
    what = change.what
    if what.startswith("store the cache"):
        return gpucheck.fit(machine, model, quant, context, options={"type_k": "q8_0", "type_v": "q8_0"})
    if what.startswith("one slot"):
        return gpucheck.fit(machine, model, quant, context, options={"n_parallel": 1})
    if found := re.fullmatch(r"(\S+) weights", what):
        return gpucheck.fit(machine, model, found[1], context)
    if found := re.fullmatch(r"a context of ([\d,]+) tokens", what):
        return gpucheck.fit(machine, model, quant, int(found[1].replace(",", "")))
    found = re.fullmatch(r"(\d) more GPUs? like GPU (\d)", what)
    assert found, what
    like = machine.gpus[int(found[2])]
    gib = (like.memory.usable_bytes or 0) / (1 << 30)
    more = [card(len(machine.gpus) + place, gib) for place in range(int(found[1]))]
    return gpucheck.fit(
        box(*machine.gpus, *more, ram=(machine.memory.usable_bytes or 0) / (1 << 30)), model, quant, context
    )


@pytest.mark.parametrize(("machine", "model", "quant", "context"), CASES)
def test_every_change_does_what_it_says(machine: Machine, model: str, quant: str, context: int) -> None:
    """Applied, it needs the bytes that it names, gives the answer that it names, and fits."""
    answer = gpucheck.fit(machine, model, quant, context)
    assert answer.fits not in GOOD
    assert answer.changes
    for change in answer.changes:
        after = applied(machine, model, quant, context, change)
        assert (after.memory.total_bytes, after.fits) == (change.total_bytes, change.fits), change.what
        assert after.fits in GOOD


def test_what_fits_needs_no_change() -> None:
    """Changes are for those that do not fit."""
    assert gpucheck.fit(box(card()), "Qwen/Qwen3-8B", "Q4_K_M").changes == ()


def test_the_largest_smaller_quantization_is_named() -> None:
    """The next larger one of those that people have files of does not fit."""
    machine = box(card(0, 16.0))
    (name,) = (
        change.what.removesuffix(" weights")
        for change in gpucheck.fit(machine, "google/gemma-3-27b-it", "Q8_0").changes
        if change.what.endswith("weights")
    )
    ladder = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K")
    larger = ladder[ladder.index(name) - 1]
    assert gpucheck.fit(machine, "google/gemma-3-27b-it", larger).fits not in GOOD


def test_the_context_named_is_the_longest() -> None:
    """256 tokens more do not fit."""
    machine, model = box(card(0, 24.0)), "Qwen/Qwen3-32B"
    (tokens,) = (
        int(re.sub(r"\D", "", change.what))
        for change in gpucheck.fit(machine, model, "Q4_K_M", 32_768).changes
        if change.what.startswith("a context")
    )
    assert gpucheck.fit(machine, model, "Q4_K_M", tokens).fits in GOOD
    assert gpucheck.fit(machine, model, "Q4_K_M", tokens + 256).fits not in GOOD


def test_a_change_that_the_options_exclude_is_left_out() -> None:
    """Quantized values need flash attention: with it off the cache is not offered in 8 bits."""
    machine = box(card(0, 24.0))
    plain = gpucheck.fit(machine, "Qwen/Qwen3-32B", "Q4_K_M", 32_768)
    assert any("-ctk" in change.what for change in plain.changes)
    off = gpucheck.fit(machine, "Qwen/Qwen3-32B", "Q4_K_M", 32_768, options={"flash_attn": "off"})
    assert not any("-ctk" in change.what for change in off.changes)


class TestMaxContext:
    """The longest context that fits."""

    @pytest.mark.parametrize(
        ("gib", "model", "quant", "engine"),
        [
            (24.0, "Qwen/Qwen3-32B", "Q4_K_M", "llama.cpp"),
            (24.0, "google/gemma-3-27b-it", "Q4_K_M", "llama.cpp"),
            (16.0, "Qwen/Qwen3-14B", "Q6_K", "ollama"),
            (24.0, "Qwen/Qwen3-8B", "bf16", "transformers"),
            (24.0, "Qwen/Qwen3-0.6B", "Q4_K_M", "llama.cpp"),
        ],
    )
    def test_it_fits_and_more_does_not(self, gib: float, model: str, quant: str, engine: str) -> None:
        """256 tokens more do not fit, or are more than the model was made for."""
        machine = box(card(0, gib))
        longest = gpucheck.fit(machine, model, quant, engine=engine, max_context=True).max_context
        assert longest
        assert gpucheck.fit(machine, model, quant, longest, engine).fits in GOOD
        shape = model_of(model).architecture
        assert shape
        made_for = shape.max_position_embeddings or 0
        assert longest <= made_for
        assert longest > made_for - 256 or gpucheck.fit(machine, model, quant, longest + 256, engine).fits not in GOOD

    def test_none_where_even_256_tokens_do_not_fit(self) -> None:
        """A 70B in 8 bits has no context on a card of 24 GiB."""
        assert (
            gpucheck.fit(box(card()), "meta-llama/Llama-3.1-70B-Instruct", "Q8_0", max_context=True).max_context is None
        )

    def test_it_is_worked_out_only_when_asked_for(self) -> None:
        """Otherwise null."""
        assert gpucheck.fit(box(card()), "Qwen/Qwen3-8B", "Q4_K_M").max_context is None


class TestLargest:
    """The largest models of the catalogue."""

    @pytest.mark.parametrize("engine", ["llama.cpp", "transformers"])
    def test_nothing_larger_fits(self, engine: str) -> None:
        """Every generative model with more parameters is refused in the same quantization."""
        machine = box(card(0, 24.0), card(1, 12.0))
        answers = gpucheck.largest(machine, engine=engine)
        assert answers
        for answer in answers:
            assert answer.fits in GOOD
            most = model_of(answer.model).total_parameters or 0
            for entry in catalogue():
                model = model_of(entry.id)
                larger = model.architecture and model.architecture.causal and (model.total_parameters or 0) > most
                if larger:
                    reference = ModelReference(model.id, None, model)
                    assert gpucheck.fit(machine, reference, answer.quant, engine=engine).fits not in GOOD

    def test_one_quantization_that_is_named(self) -> None:
        """One answer, in that quantization."""
        (answer,) = gpucheck.largest(box(card()), "Q5_K_M")
        assert answer.quant == "Q5_K_M"

    def test_nothing_at_all(self) -> None:
        """A machine without memory for any has no answer."""
        assert gpucheck.largest(box(ram=0.1)) == ()
