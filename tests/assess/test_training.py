"""Whether training fits a machine, and what would make it fit."""

from __future__ import annotations

import pytest

import gpucheck
from gpucheck.assess.memory import effective_memory
from gpucheck.assess.training import largest_micro_batch, with_batch
from gpucheck.assess.workload import Workload
from gpucheck.estimators.setting import make_setting
from gpucheck.models.quantization import find_quantization

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize(("task", "fits"), [("full", "no"), ("qlora", "yes")])
def test_an_8b_model_on_a_24_gb_card(task: str, fits: str) -> None:
    """All its weights cannot be trained there with AdamW, 4-bit ones with adapters can."""
    machine = gpucheck.simulate("RTX 4090", ram="64GiB")
    answer = gpucheck.fit(machine, LLAMA, task=task, context=1024)
    assert (answer.task, answer.engine, answer.fits) == (task, "transformers", fits)


def test_each_change_is_worked_out_and_fits() -> None:
    """QLoRA and paged states with the optimizer in backward are among the ways; none needs more than it has."""
    machine = gpucheck.simulate("RTX 4090", ram="64GiB")
    answer = gpucheck.fit(machine, LLAMA, task="full", context=1024)
    words = " ".join(change.what for change in answer.changes)
    assert "--task qlora" in words
    assert "paged_adamw_8bit" in words
    assert all(change.fits in {"yes", "tight"} for change in answer.changes)


def test_several_gpus_share_by_zero_3() -> None:
    """What one H100 cannot hold, eight can, and the answer says how."""
    one, many = (
        gpucheck.fit(gpucheck.simulate(cards, ram="64GiB"), LLAMA, task="full", options={"master_weights": True})
        for cards in ("H100 SXM5 80GB", "8x H100 SXM5 80GB")
    )
    assert one.fits == "no"
    assert many.fits == "yes"
    assert many.placement.mode == "several_gpus"
    assert any("ZeRO stage 3" in words for words in many.assumptions)


def test_the_largest_micro_batch_is_the_last_that_fits() -> None:
    """One more sequence does not fit."""
    machine = gpucheck.simulate("RTX 4090", ram="64GiB")
    memory = effective_memory(machine)
    reference = gpucheck.model(LLAMA)
    workload = Workload(reference, find_quantization("nf4-dq"), make_setting(1024, 1, task="qlora"))
    most = largest_micro_batch(memory, workload)
    assert most is not None
    assert with_batch(workload, most).placed(memory).fits in {"yes", "tight"}
    assert with_batch(workload, most + 1).placed(memory).fits == "no"


def test_the_longest_sequence() -> None:
    """It fits, and twice of it does not."""
    machine = gpucheck.simulate("RTX 4090", ram="64GiB")
    answer = gpucheck.fit(machine, LLAMA, task="qlora", context=1024, max_context=True)
    assert answer.max_context is not None
    assert gpucheck.fit(machine, LLAMA, task="qlora", context=answer.max_context).fits in {"yes", "tight"}
    assert gpucheck.fit(machine, LLAMA, task="qlora", context=2 * answer.max_context).fits == "no"


def test_the_largest_model_falls_from_qlora_to_full() -> None:
    """Of the catalogue, on one card: the more is trained, the smaller."""
    machine = gpucheck.simulate("RTX 4090", ram="64GiB")
    found = [gpucheck.largest(machine, context=1024, task=task)[0].model for task in ("qlora", "lora", "full")]
    sizes = [gpucheck.model(name).model.total_parameters or 0 for name in found]
    assert sizes == sorted(sizes, reverse=True)


def test_the_command_is_that_of_trl() -> None:
    """Model, length, adapters and 4 bits; two GPUs train by ZeRO-3."""
    machine = gpucheck.simulate("2x RTX 4090", ram="64GiB")
    answer = gpucheck.fit(gpucheck.simulate("RTX 4090", ram="64GiB"), LLAMA, task="qlora", context=1024)
    assert answer.command is not None
    assert answer.command.startswith(f"trl sft --model_name_or_path {LLAMA} ")
    assert "--load_in_4bit --use_bnb_nested_quant" in answer.command
    assert "--max_length 1024" in answer.command
    both = gpucheck.fit(machine, "Qwen/Qwen3-14B", task="lora", context=1024, options={"lora_rank": 8})
    assert both.command is not None
    assert "--accelerate_config zero3 --num_processes 2" in both.command
    assert "--lora_r 8" in both.command


def test_no_command_where_trl_has_no_word_for_a_setting() -> None:
    """A command that trained otherwise would not be the answer's."""
    machine = gpucheck.simulate("8x H100 SXM5 80GB", ram="512GiB")
    answer = gpucheck.fit(machine, LLAMA, task="full", context=1024, options={"master_weights": True})
    assert answer.fits == "yes"
    assert answer.command is None
