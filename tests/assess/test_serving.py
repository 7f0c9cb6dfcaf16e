"""Where vLLM puts a model, what its pool then holds, and the command for it."""

from __future__ import annotations

import pytest

import gpucheck
from gpucheck.errors import UsageError
from tests.running import FIXTURES

H100 = "H100 SXM5 80GB"


def served(model, machine, **given):
    """The answer for vLLM."""
    return gpucheck.fit(gpucheck.simulate(machine), model, engine="vllm", **given)


def test_the_fewest_gpus_that_hold_it():
    """An 8B takes one of four cards, a 70B as many as its weights need, each with the same share."""
    small, large = served("llama-3.1-8b@bf16", f"4x {H100}"), served("llama-3.1-70b@bf16", f"4x {H100}", context=32768)
    assert (small.fits, small.placement.devices, small.serving.tensor_parallel) == ("yes", (0,), 1)
    assert (large.fits, large.placement.devices, large.serving.tensor_parallel) == ("yes", (0, 1, 2, 3), 4)
    assert large.memory.weights_bytes >= 70.5e9 * 2


def test_what_is_too_large_is_no():
    """On the CPU vLLM keeps nothing by itself: what the GPUs do not hold does not fit, however much RAM there is."""
    answer = gpucheck.fit(gpucheck.simulate("RTX 4090", ram="512GiB"), "llama-3.1-70b@bf16", engine="vllm")
    assert (answer.fits, answer.serving, answer.command) == ("no", None, None)
    assert any("fp8" in change.what or "GPU" in change.what for change in answer.changes)


def test_the_pool_takes_what_is_left():
    """Tokens and sequences are those of the pool: the room of the share less weights, steps and graphs."""
    answer = served("llama-3.1-8b@bf16", H100)
    per_token = 2 * 8 * 128 * 2 * 32  # keys and values of 8 heads of 128 in 32 layers, 2 bytes each
    assert answer.serving.kv_tokens == pytest.approx(answer.serving.pool_bytes / per_token, rel=0.001)
    assert answer.serving.sequences == pytest.approx(answer.serving.kv_tokens / 8192, rel=0.01)
    assert served("llama-3.1-8b@bf16", H100, context=16384).serving.sequences < answer.serving.sequences


def test_a_larger_card_and_a_larger_share_hold_more():
    """More memory, or more of it, never holds fewer tokens."""
    tokens = [served("llama-3.1-8b@bf16", card).serving.kv_tokens for card in ("RTX 4090", "A100 SXM4 40GB", H100)]
    assert tokens == sorted(tokens)
    less = served("llama-3.1-8b@bf16", H100, options={"gpu_memory_utilization": 0.5})
    assert less.serving.kv_tokens < tokens[-1]


def test_the_command():
    """The layout and the length are named; a format that vLLM makes itself is a flag."""
    large = served("llama-3.1-70b@fp8", f"2x {H100}")
    assert large.command == (
        "vllm serve meta-llama/Llama-3.1-70B-Instruct --max-model-len 8192 --quantization fp8 --tensor-parallel-size 2"
    )
    assert served("llama-3.1-8b@awq", H100).command is None


def test_options_are_vllms_own():
    """A foreign option is an error, and so is a layout that the heads do not allow."""
    with pytest.raises(UsageError, match="n_gpu_layers"):
        served("llama-3.1-8b@bf16", H100, options={"n_gpu_layers": 3})
    with pytest.raises(UsageError, match="tensor_parallel_size"):
        served("llama-3.1-8b@bf16", f"8x {H100}", options={"tensor_parallel_size": 5})


def test_files_of_gguf_are_refused():
    """A quantization that only GGUF has is not vLLM's."""
    with pytest.raises(UsageError, match="GGUF"):
        served("llama-3.1-8b@q4_k_m", H100)


def test_a_machine_without_a_gpu():
    """The build of vLLM for CPUs is another engine: the answer is no, not an error."""
    machine = gpucheck.load(FIXTURES / "vm-no-gpu.json")
    assert gpucheck.fit(machine, "llama-3.1-8b@bf16", engine="vllm").fits == "no"
