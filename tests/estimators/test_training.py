"""Memory of training: known figures, and what more or less of something does to it."""

from __future__ import annotations

import pytest

import gpucheck
from gpucheck.assess.need import Need
from gpucheck.errors import UsageError

LLAMA, SMALL, SPARSE = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-30B-A3B"
PARAMETERS = 8_030_261_248


def need(model: str = LLAMA, task: str = "full", context: int = 1024, batch: int = 1, **more: object) -> Need:
    """The need with options by their names; `gpus` and `quant` are those of the question."""
    gpus, quant = more.pop("gpus", 1), more.pop("quant", None)
    assert isinstance(gpus, int)
    assert quant is None or isinstance(quant, str)
    return gpucheck.estimate(model, quant, context=context, batch=batch, task=task, gpus=gpus, options=more)


def part(answer: Need, word: str) -> int:
    """The bytes of the rows whose detail has the word."""
    return sum(row.bytes for row in answer.rows if word in row.detail)


def test_all_weights_in_16_bits_take_eight_bytes_each() -> None:
    """Weights, gradients and two states of AdamW in 16 bits: 2 + 2 + 4 bytes a parameter."""
    answer = need()
    assert part(answer, "all parameters") == 2 * PARAMETERS
    assert part(answer, "optimizer states") == 4 * PARAMETERS
    assert part(answer, "gradients") == 2 * PARAMETERS


def test_master_weights_make_it_sixteen() -> None:
    """With copies and states in 32 bits: 2 + 2 + 4 + 8, the mixed precision of the ZeRO paper."""
    answer = need(master_weights=True)
    states = sum(part(answer, word) for word in ("all parameters", "optimizer states", "gradients"))
    assert states == 16 * PARAMETERS


@pytest.mark.parametrize(("rank", "expected"), [(8, 20_971_520), (16, 41_943_040), (64, 167_772_160)])
def test_adapters_on_every_linear_map(rank: int, expected: int) -> None:
    """PEFT prints these counts for Llama-3-8B with all seven projections: rank x (in + out) for each."""
    assert any(f"{expected:,} parameters" in row.detail for row in need(task="lora", lora_rank=rank).rows)


def test_adapters_on_queries_and_values() -> None:
    """PEFT prints 3,407,872 trainable parameters for Llama-3-8B with rank 8 on q_proj and v_proj."""
    answer = need(task="lora", lora_rank=8, lora_targets=["q_proj", "v_proj"])
    assert any("3,407,872 parameters" in row.detail for row in answer.rows)


def test_gradients_of_one_tensor_with_the_optimizer_in_backward() -> None:
    """Only the largest tensor's gradient is there at a time: the embedding's."""
    answer = need(optimizer="adamw_8bit", optimizer_in_backward=True)
    assert part(answer, "gradients") <= 2 * 128_256 * 4096 + part(answer, "logits")


def test_paged_states_are_counted_on_the_host() -> None:
    """What bitsandbytes pages is not of the GPU alone; two bytes and the scales of blocks of 256."""
    rows = [row for row in need(optimizer="paged_adamw_8bit").rows if "paged" in row.detail]
    assert [row.device for row in rows] == ["host"]
    assert rows[0].bytes == round(2 * (1 + 4 / 256) * PARAMETERS)


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("task", ["full", "lora"])
def test_more_ranks_never_need_more_on_each_gpu(stage: int, task: str) -> None:
    """Under every stage of ZeRO, from two ranks on."""
    totals = [
        need(task=task, zero_stage=stage, data_parallel=ranks, master_weights=task == "full").memory.total_bytes
        for ranks in (2, 3, 4, 8, 16, 64)
    ]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize("model", [LLAMA, SMALL, SPARSE])
@pytest.mark.parametrize("task", ["full", "lora", "qlora"])
def test_a_higher_stage_never_needs_more(model: str, task: str) -> None:
    """Each stage of ZeRO divides what the one before did, and more."""
    totals = [need(model, task, zero_stage=stage, data_parallel=8).memory.total_bytes for stage in (0, 1, 2, 3)]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize("model", [LLAMA, SMALL, SPARSE, "google/gemma-2-9b", "microsoft/phi-2"])
@pytest.mark.parametrize("task", ["full", "lora", "qlora"])
def test_checkpointing_never_needs_more(model: str, task: str) -> None:
    """Whatever the model and the method."""
    with_it = need(model, task, gradient_checkpointing="full").memory.total_bytes
    assert with_it <= need(model, task, gradient_checkpointing="none").memory.total_bytes


@pytest.mark.parametrize("model", [LLAMA, SMALL, SPARSE])
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_qlora_is_below_lora_is_below_full(model: str, checkpointing: str) -> None:
    """Fewer trained parameters, then fewer bits of the frozen ones."""
    totals = [need(model, task, gradient_checkpointing=checkpointing).memory.total_bytes for task in ("qlora", "lora")]
    full = need(model, "full", gradient_checkpointing=checkpointing, context=1024).memory.total_bytes
    assert totals[0] <= totals[1]
    assert totals[1] <= full


@pytest.mark.parametrize("task", ["full", "lora", "qlora"])
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_longer_wider_and_higher_never_needs_less(task: str, checkpointing: str) -> None:
    """A longer sequence, a larger batch, a higher rank."""
    more = {"gradient_checkpointing": checkpointing}
    lengths = [need(task=task, context=tokens, **more).memory.total_bytes for tokens in (128, 512, 2048, 16_384)]
    batches = [need(task=task, batch=batch, **more).memory.total_bytes for batch in (1, 2, 3, 16)]
    ranks = [need(task=task, lora_rank=rank, **more).memory.total_bytes for rank in (1, 8, 64, 512)]
    for totals in (lengths, batches, ranks):
        assert totals == sorted(totals)


@pytest.mark.parametrize("option", ["tensor_parallel", "pipeline_parallel"])
def test_cutting_the_model_divides_its_states(option: str) -> None:
    """Tensor and pipeline parallelism both divide weights, gradients and states."""
    one, four = need(), need(**{option: 4})
    assert part(four, "all parameters") * 4 == pytest.approx(part(one, "all parameters"))
    assert part(four, "optimizer states") * 4 == pytest.approx(part(one, "optimizer states"))


def test_a_fused_loss_needs_least() -> None:
    """Logits are whole, upcast chunk by chunk, or never whole."""
    totals = [
        need(task="lora", context=8192, chunked_loss=kind).memory.total_bytes for kind in ("none", "output", "fused")
    ]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > totals[2]


def test_offload_moves_states_to_the_host() -> None:
    """What leaves the GPU turns up in RAM."""
    here, away = need(master_weights=True), need(master_weights=True, offload_optimizer=True)
    host = sum(row.bytes for row in away.rows if row.device == "host")
    assert host >= 12 * PARAMETERS
    assert away.memory.total_bytes - host < here.memory.total_bytes - 10 * PARAMETERS


def test_a_size_without_a_shape_is_a_range_around_a_model_of_that_size() -> None:
    """The range holds the model that it was made of."""
    answer, real = need("8b", "lora"), need(task="lora")
    assert answer.memory.low_bytes < real.memory.total_bytes < answer.memory.high_bytes


def test_what_is_assumed_is_told() -> None:
    """Options that were not given are among the assumptions, those that were are not."""
    words = " ".join(need(task="lora").assumptions)
    assert "gradient_checkpointing full" in words
    assert "rank 16" in words
    assert "rank" not in " ".join(need(task="lora", lora_rank=4).assumptions).replace("ranks", "")


@pytest.mark.parametrize(
    ("task", "quant", "options", "word"),
    [
        ("full", "nf4", {}, "cannot be trained"),
        ("lora", "Q4_K_M", {}, "GGUF"),
        ("lora", None, {"lora_targets": "nose"}, "nose"),
        ("full", None, {"optimizer": "magic"}, "optimizer"),
        ("full", None, {"zero_stage": 4}, "zero_stage"),
        ("full", None, {"frobnicate": 1}, "frobnicate"),
        ("full", None, {"optimizer_in_backward": True, "gradient_accumulation": 2}, "accumulate"),
        ("guess", None, {}, "task"),
    ],
)
def test_what_makes_no_sense_is_an_error(task: str, quant: str | None, options: dict[str, object], word: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(UsageError, match=word):
        need(task=task, quant=quant, **options)
