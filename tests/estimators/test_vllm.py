"""vLLM's weights of one GPU, its pool of blocks, and what grows with what."""

from __future__ import annotations

import pytest

from gpucheck.errors import UsageError
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.vllm.cache import pools
from gpucheck.estimators.vllm.estimate import estimate_vllm, serving, tokens_in
from gpucheck.estimators.vllm.layout import Layout, layout_of, stages_of
from gpucheck.estimators.vllm.options import VllmOptions, batch_limits, parse_options
from gpucheck.estimators.vllm.shards import rotary_bytes, tower_bytes
from gpucheck.models.catalogue import model_of
from gpucheck.models.quantization import find_quantization
from gpucheck.units import GIB

BF16 = find_quantization("bf16")


def _setting(context: int = 8192, **options: object) -> Setting:
    return Setting(context, 1, "vllm", tuple(sorted(options.items())))


def _pool(name: str, ranks: int, length: int, step: int = 8192) -> tuple[int, int]:
    shape = model_of(name).architecture
    assert shape is not None
    (pool,) = pools(shape, VllmOptions(), Layout(ranks), length, step)
    return pool.block_bytes, pool.blocks


def test_weights_include_the_rotary_table() -> None:
    """Llama-3.1-8B loads within 0.2 MiB of 14.9889 GiB (vllm #17122): parameters and 131,072 positions of 128."""
    model = model_of("meta-llama/Llama-3.1-8B-Instruct")
    assert model.architecture is not None
    assert rotary_bytes(model.architecture) == 131072 * 128 * 2
    found = estimate_vllm(model, BF16, _setting(), 1)
    assert found.weights_bytes / GIB == pytest.approx(14.9889, abs=0.0002)


def test_experts_of_mxfp4_grow_to_whole_tiles() -> None:
    """gpt-oss-120b with Marlin loads 65.9651 GiB (vllm #23278): 2,880 columns are 3,072, and 2,880 rows 2,944.

    On Hopper with Triton they do not grow, which the band has.
    """
    (weights, *_) = estimate_vllm(model_of("openai/gpt-oss-120b"), find_quantization("mxfp4-hf"), _setting(), 1).rows
    assert weights.bytes / GIB == pytest.approx(65.9651, rel=0.001)
    assert weights.low_bytes < weights.bytes * 2880 * 2880 / (3072 * 2944)


def test_a_tower_is_cut_unless_it_is_a_module_of_transformers() -> None:
    """Qwen's tower is shared by the ranks, 14.28 GiB of FP8 on each of two (vllm recipes #810); Gemma 4's is whole."""
    model = model_of("Qwen/Qwen3.8-27B")
    (tower,) = model.parts
    assert tower.parameters
    assert tower_bytes(model.parts, Layout(2)) == (tower.parameters, 2 * tower.parameters)
    found = estimate_vllm(model, find_quantization("fp8"), _setting(), 2)
    assert found.weights_bytes / 2 / GIB == pytest.approx(14.28, abs=0.005)
    likely, whole = tower_bytes(model_of("google/gemma-4-31B-it").parts, Layout(4))
    assert likely == whole > 0


def test_what_is_not_counted_of_a_tower_is_said() -> None:
    """The profile run of a tower is an assumption of models that have one, and of no other."""

    def said(name: str) -> bool:
        return any("towers" in text for text in estimate_vllm(model_of(name), BF16, _setting(), 1).assumptions)

    assert said("Qwen/Qwen3.8-27B")
    assert not said("Qwen/Qwen3-8B")


def test_tokens_of_a_pool_that_vllm_told_of() -> None:
    """Qwen3-14B with 6.51 GiB for its cache holds 42,656 tokens (LMCache #1739)."""
    assert tokens_in(model_of("Qwen/Qwen3-14B"), _setting(32768), 1, int(6.51 * GIB)) == 42656


def test_blocks_of_plain_attention() -> None:
    """Qwen3-8B: 36 layers of 8 heads of 128, 16 tokens in a block."""
    assert _pool("Qwen/Qwen3-8B", 1, 8192) == (36 * 16 * 8 * 2 * 128 * 2, 512)


def test_blocks_shared_by_four_ranks() -> None:
    """Llama-3.1-70B over four GPUs: each has two of the eight heads of 80 layers."""
    assert _pool("meta-llama/Llama-3.1-70B-Instruct", 4, 8192) == (80 * 16 * 2 * 2 * 128 * 2, 512)


def test_latent_cache_is_whole_on_every_rank() -> None:
    """DeepSeek-V3: 61 layers of 576 numbers, as many on each of eight GPUs as on one."""
    assert _pool("deepseek-ai/DeepSeek-V3", 8, 8192) == _pool("deepseek-ai/DeepSeek-V3", 1, 8192)
    assert _pool("deepseek-ai/DeepSeek-V3", 8, 8192) == (61 * 16 * 576 * 2, 512)


def test_window_layers_share_the_pool_in_groups() -> None:
    """Gemma-3-27B: 10 full and 52 sliding layers are seven groups of 10; a window keeps its steps under way."""
    window = -(-(1024 - 1 + 2 * 8192) // 16) + 1
    assert _pool("google/gemma-3-27b-it", 1, 131072) == (10 * 16 * 16 * 2 * 128 * 2, 131072 // 16 + 6 * window)


def test_blocks_grow_to_hold_a_recurrent_state() -> None:
    """Qwen3-Next over one GPU: 12 attention layers of 2 heads of 256, 36 states in three groups, two blocks each."""
    token = 2 * 2 * 256 * 2
    state = (8192 * 3 + 32 * 128 * 128) * 2
    block = 16 * -(-state // (16 * token))
    assert _pool("Qwen/Qwen3-Next-80B-A3B-Instruct", 1, 32768) == (12 * block * token, -(-32768 // block) + 3 * 2)


def test_stages_are_uneven_from_the_last_but_one() -> None:
    """Of 10 layers over four stages the two that remain go to the middle."""
    assert [len(stage) for stage in stages_of(10, 4)] == [2, 3, 3, 2]


def test_ranks_divide_the_heads() -> None:
    """Three GPUs cannot share 32 heads: three stages do, and being told three ranks is refused."""
    shape = model_of("Qwen/Qwen3-8B").architecture
    assert shape is not None
    assert layout_of(shape, VllmOptions(), 3) == Layout(1, 3)
    with pytest.raises(UsageError, match="does not divide"):
        layout_of(shape, VllmOptions(tensor_parallel_size=3), 3)


def test_defaults_of_a_step_follow_the_device() -> None:
    """24 GB, 80 GB and 192 GB have the three defaults of `vllm serve`; an A100 of 80 GB has those of a small one."""
    sizes = (24, 79, 180)
    found = [batch_limits(VllmOptions(), 8192, size * GIB) for size in sizes]
    assert found == [(2048, 256), (8192, 1024), (16384, 1024)]
    assert batch_limits(VllmOptions(), 8192, 79 * GIB, a100=True) == (2048, 256)


def test_unknown_options_are_refused() -> None:
    """An option of another engine is refused by its name."""
    with pytest.raises(UsageError, match="n_gpu_layers"):
        parse_options({"n_gpu_layers": 3})


def test_gguf_formats_are_refused() -> None:
    """A file mix of GGUF is not estimated for vLLM."""
    with pytest.raises(UsageError, match="GGUF"):
        estimate_vllm(model_of("Qwen/Qwen3-8B"), find_quantization("Q4_K_M"), _setting(), 1)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct"])
def test_a_larger_share_or_gpu_never_holds_fewer_tokens(name: str) -> None:
    """With the step fixed, tokens grow with the share and with the device."""
    model = model_of(name)
    fixed = {"max_num_batched_tokens": 2048, "max_num_seqs": 256}
    shares = [
        serving(model, BF16, _setting(gpu_memory_utilization=share, **fixed), 4, size * GIB).kv_tokens
        for size in (48, 80, 141)
        for share in (0.8, 0.9, 0.95)
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "google/gemma-3-27b-it", "deepseek-ai/DeepSeek-V3"])
def test_more_ranks_never_need_more_of_a_gpu(name: str) -> None:
    """The need of each GPU does not grow with the ranks."""
    each = [estimate_vllm(model_of(name), BF16, _setting(), ranks).total_bytes / ranks for ranks in (1, 2, 4, 8)]
    assert each == sorted(each, reverse=True)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct"])
def test_a_longer_context_never_needs_less(name: str) -> None:
    """The cache of a sequence does not shrink with its length."""
    sizes = [estimate_vllm(model_of(name), BF16, _setting(length), 4).kv_cache_bytes for length in (1024, 8192, 65536)]
    assert sizes == sorted(sizes)
