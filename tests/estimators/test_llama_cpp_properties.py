"""What more of anything costs, over every kind of architecture that llama.cpp's rows describe."""

from __future__ import annotations

import pytest

from benchmarks.accuracy_llama_cpp import architecture_of, rows
from gpucheck.estimators.llama_cpp.compute import batch_of, device_buffers
from gpucheck.estimators.llama_cpp.estimate import estimate
from gpucheck.estimators.llama_cpp.geometry import geometry
from gpucheck.estimators.llama_cpp.needs import Weight, needs
from gpucheck.estimators.llama_cpp.options import DEFAULTS, parse_options
from gpucheck.estimators.llama_cpp.pattern import shown_layers
from gpucheck.estimators.llama_cpp.stack import device_peaks, host_peak
from gpucheck.estimators.llama_cpp.styles import known_model_types
from gpucheck.estimators.rows import Estimate
from gpucheck.models.architecture import Architecture

_OF_EACH_KIND = {row["arch"]: row for row in rows()}
SHAPES = [architecture_of(row) for row in _OF_EACH_KIND.values()]
CONTEXTS = (1, 256, 511, 2048, 5000, 32768, 131072)


def total(shape: Architecture, context: int = 8192, batch: int = 1, **options: object) -> int:
    """Bytes of everything."""
    found: Estimate = estimate(shape, (), context=context, batch=batch, options=options)
    return found.total_bytes


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.model_type)
@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_more_of_anything_never_needs_less(shape: Architecture, backend: str) -> None:
    """Longer contexts, more users, slots and tokens in a micro-batch, and more bits of the cache."""
    grids = (
        [total(shape, context, backend=backend) for context in CONTEXTS],
        [total(shape, 4096, users, backend=backend, n_parallel=users) for users in (1, 2, 3, 4, 8)],
        [total(shape, 8192, n_parallel=slots, backend=backend) for slots in (1, 2, 4, 8)],
        [total(shape, 8192, n_ubatch=tokens, backend=backend) for tokens in (64, 128, 512, 1024, 2048)],
    )
    for found in grids:
        assert found == sorted(found)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.model_type)
def test_a_cache_of_more_bits_is_larger(shape: Architecture) -> None:
    """The cache itself, from four bits to thirty-two; latents take one type for both."""
    kinds = ("q4_0", "q5_0", "q8_0", "f16", "f32")
    found = [
        estimate(shape, (), context=8192, options={"type_k": kind, "type_v": kind}).kv_cache_bytes for kind in kinds
    ]
    assert found == sorted(found)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.model_type)
def test_buffers_without_a_simulation_are_those_with_one(shape: Architecture) -> None:
    """What is read off an earlier context is what the allocator would do at this one."""
    for context in (4096, 8192, 40000, 131072):
        cells = geometry(context, 1, DEFAULTS)
        shown = shown_layers(shape)
        found = needs(shape, (), context, 1, DEFAULTS)
        batch = batch_of(shape, cells, DEFAULTS, device=True)
        peaks = device_peaks(shape, batch, shown, (1,) * (len(shown) + 1))
        assert (found.host_compute_bytes, found.device_compute_bytes) == tuple(peak.bytes for peak in peaks)
        alone = host_peak(shape, batch_of(shape, cells, DEFAULTS, device=False), shown)
        assert found.cpu_compute_bytes == alone.bytes


def test_the_same_weights_are_counted_once() -> None:
    """The answer for a tuple that was seen before is that for an equal one that was not."""
    shape = SHAPES[0]
    weights = (Weight("token_embd", "F16", 7, (-1,)), Weight("attn_q", "F16", 3, tuple(range(len(shape.layers)))))
    first = needs(shape, weights, 4096, 1, DEFAULTS)
    assert needs(shape, weights, 4096, 1, DEFAULTS) == first == needs(shape, list(weights), 4096, 1, DEFAULTS)


def test_styles_are_of_families_that_exist() -> None:
    """Every family with a graph of its own is one whose shape gpucheck can read."""
    from gpucheck.models.config import _READERS
    from gpucheck.models.gguf.names import MODEL_TYPES

    assert known_model_types() <= set(_READERS) | set(MODEL_TYPES.values())


def test_options_for_several_gpus_keep_their_meaning() -> None:
    """More GPUs than three have the buffers of a first, a middle and a last one."""
    shape = SHAPES[0]
    cells = geometry(8192, 1, parse_options({}))
    assert len(device_buffers(shape, cells, DEFAULTS, 8).devices) == 3
