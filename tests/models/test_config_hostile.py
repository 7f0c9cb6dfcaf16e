"""Damaged and hostile configurations: one clear error, quickly."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpucheck.errors import UsageError
from gpucheck.models.checkpoint_format import checkpoint_format
from gpucheck.models.config import _READERS, read_config
from gpucheck.models.tensors import predict_groups, tensor_groups
from tests.models.published import PUBLISHED

_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, 3, -1, 7, 64, 2000, 2001, 10**6, 10**7, 10**9, 10**30, 10**400]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["auto", "M" * 50, "x" * 20_000]),
    st.lists(st.integers(-1, 5), max_size=5),
    st.sampled_from([[0] * 2000, [1] * 100_000, ["full_attention"] * 100, [[]], {}, {"a": {"b": {}}}]),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=3),
)
_NEW_KEYS = st.sampled_from(
    [
        "layer_types",
        "sliding_window",
        "num_experts",
        "n_routed_experts",
        "kv_lora_rank",
        "head_dim",
        "model_type",
        "quantization_config",
        "quantization",
        "text_config",
        "vision_config",
        "audio_config",
        "num_experts_per_tok",
        "moe_layer_freq",
        "mlp_layer_types",
        "linear_num_value_heads",
        "num_nextn_predict_layers",
        "hybrid_override_pattern",
        "interleave_moe_layer_step",
        "index_n_heads",
        "index_topk_pattern",
        "block_configs",
        "attn_config",
        "thinker_config",
    ]
)
_TYPES = st.sampled_from(sorted(_READERS))
_CONFIGS = st.sampled_from([config for config, _ in PUBLISHED.values()])


def groups_inside(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The configuration and every group of keys in it."""
    return [config, *(value for value in config.values() if isinstance(value, dict))]


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(config=_CONFIGS, data=st.data())
def test_mutated_configurations(config: dict[str, Any], data: st.DataObject) -> None:
    """Whatever stands in a configuration, reading it ends in a shape or in a UsageError of one short line."""
    changed = copy.deepcopy(config)
    for _ in range(data.draw(st.integers(1, 4))):
        group = data.draw(st.sampled_from(groups_inside(changed)))
        key = data.draw(st.one_of(st.sampled_from(sorted(group)), _NEW_KEYS)) if group else data.draw(_NEW_KEYS)
        if key == "model_type" and data.draw(st.booleans()):
            group[key] = data.draw(_TYPES)
        elif data.draw(st.integers(0, 5)) == 0:
            group.pop(key, None)
        else:
            group[key] = copy.deepcopy(data.draw(_VALUES))  # sampled values are shared between examples
    start, said = time.perf_counter(), ""
    try:
        model = read_config(changed)
        for shape in (model.architecture, *(part.architecture for part in model.parts if part.architecture)):
            total = sum(group.total_elements for group in (*tensor_groups(shape), *predict_groups(shape)))
            assert total > 0
        checkpoint_format(changed)
    except UsageError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 400
    assert time.perf_counter() - start < 5  # a hundred times what the slowest takes on one core


def test_every_family_alone() -> None:
    """A configuration that says nothing but its family is either its default shape or a UsageError."""
    shaped = 0
    for name in _READERS:
        try:
            shaped += bool(tensor_groups(read_config({"model_type": name}).architecture))
        except UsageError:
            continue
    assert shaped > len(_READERS) // 2


def test_too_many_keys() -> None:
    """A configuration with more keys than any model has is refused before it is read."""
    with pytest.raises(UsageError, match="5001 keys"):
        read_config({str(index): index for index in range(5001)})
