"""The estimate from a size: against hand arithmetic, real models, and itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.errors import UsageError
from gpucheck.estimators.by_size import Setting, estimate_size
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.models.quantization import QUANTIZATIONS, Quantization, find_quantization
from gpucheck.models.size import ModelSize, parse_size
from gpucheck.units import GIB, MIB

USUAL = ("bf16", "Q8_0", "Q4_K_M")
SIZES = st.integers(100_000_000, 2_000_000_000_000).map(lambda total: ModelSize(total, None, total, total))
QUANTS = st.sampled_from(QUANTIZATIONS)
SETTINGS = st.builds(Setting, st.integers(1, 200_000), st.integers(1, 8))


def size_of(badge: str) -> ModelSize:
    """The size behind a badge that is known to be one."""
    size = parse_size(badge)
    assert size
    return size


def test_an_8b_model_in_16_bits_by_hand() -> None:
    """8b is 8.22B parameters: 15.3 GiB of weights, 1.07 GiB of cache, one buffer and one context."""
    estimate = estimate_size(size_of("8b"), find_quantization("bf16"))
    assert estimate.weights_bytes == 8_220_000_000 * 2
    # 62 KiB x 8.22^0.375 = 136.6 KiB a token (Llama-3.1-8B: 2 x 32 layers x 8 heads x 128 x 2 B = 128 KiB)
    assert estimate.kv_cache_bytes == pytest.approx(136.6 * 1024 * 8192, rel=1e-3)
    # 56 MiB x 8.22^0.34 = 114.7 MiB (Llama-3.1-8B on a server: 4 x 512 x (3 x 14336 + 4 x 4096 + 4096) B,
    # which is 124 MiB)
    assert estimate.compute_bytes == pytest.approx(114.7 * MIB, rel=2e-3)
    assert estimate.overhead_bytes == 460 * MIB
    assert estimate.total_bytes == sum(row.bytes for row in estimate.rows)


@pytest.mark.parametrize(
    ("badge", "quant", "real_bytes"),
    [
        # weights file + 2 x layers x kv heads x head width x 2 B x 8192 + buffer + 460 MiB
        ("8b", "q4", 4_920_739_232 + 131_072 * 8192 + 124 * MIB + 460 * MIB),  # Llama-3.1-8B
        ("8b", "q8", 8_709_519_872 + 147_456 * 8192 + 112 * MIB + 460 * MIB),  # Qwen3-8B
        ("32b", "q4", 20_015_621_341 + 262_144 * 8192 + 204 * MIB + 460 * MIB),  # Qwen3-32B
        ("70b", "q4", 42_509_000_000 + 327_680 * 8192 + 240 * MIB + 460 * MIB),  # Llama-3-70B
        ("14b", "bf16", 27_015_344_292 + 163_840 * 8192 + 142 * MIB + 460 * MIB),  # Ministral-3-14B
        ("1b", "q4", 807_694_464 + 32_768 * 8192 + 72 * MIB + 460 * MIB),  # Llama-3.2-1B
        ("24b", "q4", 14_333_922_848 + 163_840 * 8192 + 238 * MIB + 460 * MIB),  # Mistral-Small-3.2
        ("405b", "q4", 249_100_000_000 + 516_096 * 8192 + 448 * MIB + 460 * MIB),  # Llama-3.1-405B
        ("30b-a3b", "q8", 32_482_000_000 + 98_304 * 8192 + 96 * MIB + 460 * MIB),  # Qwen3-30B-A3B
    ],
)
def test_the_range_covers_real_models_of_the_size(badge: str, quant: str, real_bytes: int) -> None:
    """Published files, with their own cache and buffer, lie between low and high."""
    estimate = estimate_size(size_of(badge), find_quantization(quant))
    assert estimate.low_bytes <= real_bytes <= estimate.high_bytes


@pytest.mark.parametrize(
    ("badge", "likely_gib"), [("3b", 3.1), ("8b", 6.3), ("14b", 10.0), ("32b", 20.7), ("70b", 43.0)]
)
def test_usual_sizes_in_4_bits(badge: str, likely_gib: float) -> None:
    """The figures that a user meets first stay where they were measured to be right."""
    estimate = estimate_size(size_of(badge), find_quantization("q4"))
    assert estimate.total_bytes / GIB == pytest.approx(likely_gib, abs=0.06)


@given(SIZES, QUANTS, SETTINGS, st.integers(0, 8))
def test_the_range_encloses_the_likely_need(size: ModelSize, quant: Quantization, setting: Setting, gpus: int) -> None:
    """Low, likely and high are in order, in every row and in the sum."""
    estimate = estimate_size(size, quant, setting, gpus)
    assert 0 < estimate.low_bytes <= estimate.total_bytes <= estimate.high_bytes
    assert all(0 <= row.low_bytes <= row.bytes <= row.high_bytes for row in estimate.rows)
    parts = (estimate.weights_bytes, estimate.kv_cache_bytes, estimate.compute_bytes, estimate.overhead_bytes)
    assert estimate.total_bytes == sum(parts)


@given(SIZES, SIZES, st.integers(1, 200_000), st.integers(1, 200_000), st.integers(1, 8))
def test_more_of_anything_never_needs_less(
    one: ModelSize, other: ModelSize, context: int, longer: int, gpus: int
) -> None:
    """Parameters, context, sequences, cards and bits only add."""
    small, large = sorted((one, other), key=lambda size: size.total_parameters)
    context, longer = sorted((context, longer))
    for coarse, fine in zip(USUAL[1:], USUAL, strict=False):
        base = estimate_size(small, find_quantization(coarse), Setting(context), gpus).total_bytes
        assert base <= estimate_size(large, find_quantization(coarse), Setting(context), gpus).total_bytes
        assert base <= estimate_size(small, find_quantization(fine), Setting(context), gpus).total_bytes
        assert base <= estimate_size(small, find_quantization(coarse), Setting(longer), gpus).total_bytes
        assert base <= estimate_size(small, find_quantization(coarse), Setting(context, 2), gpus).total_bytes
        assert base <= estimate_size(small, find_quantization(coarse), Setting(context), gpus + 1).total_bytes


def test_the_cpu_takes_no_device_context() -> None:
    """Without a GPU the overhead is the process, and the repacked copy is named as not counted."""
    estimate = estimate_size(size_of("8b"), find_quantization("q4"), gpus=0)
    assert estimate.overhead_bytes == 100 * MIB
    assert any("repack" in sentence for sentence in estimate.assumptions)


def test_several_cards_pay_for_each_context_and_buffer() -> None:
    """Two cards have two contexts and buffers, and may leave room that no whole layer fills."""
    one, two = (estimate_size(size_of("70b"), find_quantization("q4"), gpus=gpus) for gpus in (1, 2))
    assert two.overhead_bytes == 2 * one.overhead_bytes
    assert two.compute_bytes == 2 * one.compute_bytes
    assert two.weights_bytes == one.weights_bytes
    assert two.high_bytes - two.total_bytes > one.high_bytes - one.total_bytes


def test_models_that_are_sparse_by_name_have_a_smaller_cache() -> None:
    """30b-a3b has the weights of a 30b, and less cache."""
    dense, sparse = (estimate_size(size_of(badge), find_quantization("q4")) for badge in ("30b", "30b-a3b"))
    assert sparse.weights_bytes == dense.weights_bytes
    assert sparse.kv_cache_bytes < dense.kv_cache_bytes / 2


def test_assumptions_name_the_range_the_context_and_the_users() -> None:
    """What was taken for granted is readable."""
    sentences = estimate_size(size_of("8b"), find_quantization("q4"), Setting(4096, 2)).assumptions
    assert "7.6B to 8.8B parameters" in sentences[0]
    assert "4,096 tokens for 2 users" in sentences[1]


@pytest.mark.parametrize("setting", [Setting(engine="vllm"), Setting(context=0), Setting(batch=0)])
def test_what_cannot_be_estimated_is_a_usage_error(setting: Setting) -> None:
    """An unknown engine and a context or batch of nothing are refused."""
    with pytest.raises(UsageError):
        estimate_size(size_of("8b"), find_quantization("q4"), setting)


def test_bounds_combine_as_independent_errors() -> None:
    """Errors of 3 and 4 make 5, not 7; exact rows add nothing."""
    rows = (
        Row("weights", 100, 97, 103, "range", ""),
        Row("kv_cache", 50, 46, 54, "range", ""),
        Row("overhead", 10, 10, 10, "exact", ""),
    )
    estimate = Estimate(rows)
    assert (estimate.low_bytes, estimate.total_bytes, estimate.high_bytes) == (155, 160, 165)
