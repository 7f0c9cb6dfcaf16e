"""Memory of llama.cpp, against its own byte counts and hand arithmetic."""

from __future__ import annotations

import pytest

from benchmarks.accuracy_llama_cpp import architecture_of, beside_devices, predict, rows, unseen
from gpucheck.errors import UsageError
from gpucheck.estimators.llama_cpp.estimate import estimate
from gpucheck.estimators.llama_cpp.geometry import geometry
from gpucheck.estimators.llama_cpp.needs import Weight, needs
from gpucheck.estimators.llama_cpp.options import DEFAULTS, parse_options
from gpucheck.models.architecture import Architecture, Attention, FeedForward, LatentAttention, Layer
from gpucheck.units import MIB

LLAMA_LAYER = Layer(
    attention=Attention(num_attention_heads=32, num_key_value_heads=8, head_dim=128, v_head_dim=128),
    feed_forward=FeedForward(intermediate_size=14336),
)
LLAMA = Architecture(model_type="llama", hidden_size=4096, vocab_size=128256, layers=(LLAMA_LAYER,) * 32)
WEIGHTS = (
    Weight("token_embd", "Q4_K", 1000, (-1,)),
    Weight("output_norm", "F32", 10, (-1,)),
    Weight("output", "Q6_K", 2000, (-1,)),
    Weight("ffn_up_exps", "Q4_K", 50, tuple(range(32))),
    Weight("attn_q", "Q4_K", 30, tuple(range(32))),
)
TRUTH = rows()


@pytest.mark.parametrize("row", TRUTH[::7], ids=lambda row: row["case_id"])
def test_caches_and_states_are_those_that_llama_cpp_reports(row: dict[str, str]) -> None:
    """Keys, values and recurrent states are equal to the byte."""
    found = predict(row)
    assert found["kv_bytes_total"] == int(row["kv_bytes_total"])
    assert found["recurrent_bytes"] == int(row["recurrent_bytes"] or 0)


@pytest.mark.parametrize("row", TRUTH[::7], ids=lambda row: row["case_id"])
def test_compute_buffers_are_those_that_llama_cpp_reports(row: dict[str, str]) -> None:
    """The simulated allocation is within 0.1 %, but for GGUF files of DeepSeek from before latent attention."""
    if "nomla" in row["case_id"]:
        pytest.skip("their graph is not described")
    assert predict(row)["compute_bytes"] == pytest.approx(int(row["compute_bytes"]), rel=1e-3)


def test_families_measured_afterwards() -> None:
    """Models that nobody looked at when the graphs were written are predicted as well."""
    for name, guess, truth in unseen():
        assert guess == pytest.approx(truth, abs=0.011), name


def test_buffers_of_the_scheduler() -> None:
    """Buffers of the host and of one to three GPUs are those of llama.cpp's scheduler, up to alignment."""
    for name, guess, truth in beside_devices():
        assert guess == pytest.approx(truth, rel=2e-3, abs=4096), name


def test_buffers_of_llama_3_beside_a_gpu() -> None:
    """258.50 MiB with logits of 512 tokens: 4 x 512 x (128256 + 4096); 24 MiB of vectors and mask on the host."""
    options = parse_options({"n_outputs_max": 512, "n_parallel": 1})
    found = needs(LLAMA, (), 8192, 1, options)
    assert found.device_compute_bytes == 4 * 512 * (128256 + 4096)
    assert 24 * MIB < found.host_compute_bytes < 24.02 * MIB


def test_several_gpus_keep_four_copies_of_what_they_are_given() -> None:
    """Each GPU has four masks and four token vectors, where one GPU has one of each."""
    several = needs(LLAMA, (), 65536, 1, DEFAULTS).several(2)
    mask, vectors = 65536 * 512 * 2, 4096 * 512 * 4
    assert min(several.devices) > 4 * (mask + vectors)
    assert several.host > 4 * (mask + vectors)


def test_a_gpu_borrows_what_the_host_keeps() -> None:
    """With layers on the host, the GPU's buffer is bounded by one more tensor and one layer's cache."""
    found = estimate(LLAMA, WEIGHTS, options={"n_gpu_layers": 10})
    whole = estimate(LLAMA, WEIGHTS)
    (row,) = (row for row in found.on("gpu").rows if row.component == "compute")
    (plain,) = (row for row in whole.on("gpu").rows if row.component == "compute")
    assert row.basis == "range"
    assert row.high_bytes > plain.bytes


@pytest.mark.parametrize(
    ("context", "options", "truth"),
    [
        (8192, {"n_gpu_layers": 2}, 226494464),
        (8192, {"n_gpu_layers": 3}, 226494464),
        (65536, {"n_gpu_layers": 2}, 520095744),
        (65536, {"n_gpu_layers": 3}, 385878016),
        (8192, {"offload_kqv": False}, 117442560),
        (65536, {"offload_kqv": False}, 369100800),
    ],
)
def test_buffers_with_borrowed_weights(context: int, options: dict[str, object], truth: int) -> None:
    """What llama.cpp's scheduler reserves on a pretended GPU for three F16 layers of Llama-3-8B lies in the band."""
    shape = Architecture(model_type="llama", hidden_size=4096, vocab_size=128256, layers=(LLAMA_LAYER,) * 3)
    sizes = {"attn_q": 4096, "attn_k": 1024, "attn_v": 1024, "attn_output": 4096, "ffn_up": 14336, "ffn_down": 14336}
    weights = [Weight(role, "F16", 4096 * rows * 2, (0, 1, 2)) for role, rows in sizes.items()]
    given = {"n_parallel": 1, "n_outputs_max": 1, **options}
    found = estimate(shape, weights, context=context, options=given).on("gpu").rows
    (row,) = (row for row in found if row.component == "compute")
    assert row.low_bytes <= truth <= row.high_bytes


def test_cache_of_llama_at_32k_in_q8_0() -> None:
    """32 layers x 32,768 cells x 2 x 1024 values of 34/32 bytes."""
    options = {"backend": "cuda", "type_k": "q8_0", "type_v": "q8_0", "n_parallel": 4, "kv_unified": True}
    found = estimate(LLAMA, (), context=32768, options=options)
    assert found.kv_cache_bytes == 32 * 32768 * 2 * 1024 * 34 // 32


def test_deepseek_v3_keeps_latents() -> None:
    """61 layers of 576 values: 2196 MiB at 32,768 tokens, as its log says."""
    attention = LatentAttention(
        num_attention_heads=128, kv_lora_rank=512, q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64,
        v_head_dim=128,
    )  # fmt: skip
    layer = Layer(attention=attention, feed_forward=FeedForward(intermediate_size=18432))
    shape = Architecture(model_type="deepseek_v3", hidden_size=7168, vocab_size=129280, layers=(layer,) * 61)
    assert estimate(shape, (), context=32768).kv_cache_bytes == 2196 * MIB


def test_a_tied_head_is_stored_twice_beside_a_gpu() -> None:
    """The embedding stays on the host, and the GPU has its own copy for the head."""
    tied = tuple(weight for weight in WEIGHTS if weight.role != "output")
    found = estimate(LLAMA, tied)
    assert found.on("gpu").weights_bytes == 32 * 80 + 10 + 1000
    assert found.on("host").weights_bytes == 1000


def test_layers_and_experts_can_stay_on_the_host() -> None:
    """-ngl counts the head and then layers from the last; --n-cpu-moe moves experts from the first."""
    found = estimate(LLAMA, WEIGHTS, options={"n_gpu_layers": 10})
    assert found.on("gpu").weights_bytes == 9 * 80 + 2010
    moved = estimate(LLAMA, WEIGHTS, options={"n_cpu_moe": "4"})
    assert moved.on("gpu").weights_bytes == 32 * 80 + 2010 - 4 * 50
    assert found.weights_bytes == moved.weights_bytes == 32 * 80 + 3010


def test_parts_of_a_placement_add_up_to_the_estimate() -> None:
    """Layers, head and embedding are all the weights, and the layers' caches all of the cache."""
    parts = needs(LLAMA, WEIGHTS, 4096, 1, DEFAULTS)
    found = estimate(LLAMA, WEIGHTS, context=4096)
    assert sum(layer.weights_bytes for layer in parts.layers) + 3010 == found.weights_bytes
    assert sum(layer.cache_bytes for layer in parts.layers) == found.kv_cache_bytes


def test_users_of_a_batch_have_a_context_each() -> None:
    """One user has the whole context, four have four times as many cells."""
    assert geometry(8192, 1, DEFAULTS).cells == 8192
    four = geometry(8192, 4, DEFAULTS)
    assert (four.cells, four.streams, four.sequences) == (32768, 1, 4)
    apart = geometry(8192, 4, parse_options({"kv_unified": "off"}))
    assert (apart.cells, apart.streams) == (8192, 4)


@pytest.mark.parametrize(
    "given",
    [
        {"n_ubatches": 3},
        {"type_k": "q3_k"},
        {"n_ubatch": "many"},
        {"n_ubatch": 0},
        {"flash_attn": "off", "type_v": "q8_0"},
        {"backend": "cudax"},
    ],
)
def test_unknown_options_are_refused(given: dict[str, object]) -> None:
    """A name or a value that llama.cpp does not have is a usage error."""
    with pytest.raises(UsageError):
        parse_options(given)


def test_options_that_nobody_gave_are_assumptions() -> None:
    """Each option that was not given is listed with its value, and one that was is not."""
    found = estimate(LLAMA, (), options={"n_ubatch": "256"}).assumptions
    assert any("type_k" in text and "f16" in text for text in found)
    assert not any("n_ubatch" in text for text in found)


def test_more_context_needs_more() -> None:
    """The total grows with the context, and with the users."""
    totals = [estimate(LLAMA, WEIGHTS, context=context).total_bytes for context in (512, 4096, 32768)]
    assert totals == sorted(totals)
    assert estimate(LLAMA, WEIGHTS, context=512, batch=8).total_bytes > totals[0]


def test_every_row_describes_a_shape() -> None:
    """The rows of the truth have as many layers as they say."""
    assert all(len(architecture_of(row).layers) == len(row["layer_types"]) for row in TRUTH)
