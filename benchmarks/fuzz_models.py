"""Mutated headers of model files: GGUF, safetensors, indexes, configurations.

    python -m benchmarks.fuzz_models [--inputs 10000] [--seed 1]

Every input is read as a model, and its tensors and parameters are counted. Anything but a UsageError, and anything
that takes longer than two seconds, is a failure. Prints the counts, the slowest input and the peak of memory.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fuzz_mutate import any_value, mutate
from gpucheck.errors import UsageError
from gpucheck.models.checkpoint import local_model
from gpucheck.models.model import Model
from tests.models.gguf_files import LLAMA, TINY, header_bytes
from tests.models.safetensors_files import CONFIG, TWO, header_json

MOST_SECONDS = 2.0
_NUMBERS = (0, 1, 2, 3, 7, 64, 255, 4096, 2**31, 2**32 - 1, 2**40, 2**62)
_SSM = {"conv_kernel": 4, "inner_size": 512, "state_size": 16, "group_count": 2, "time_step_rank": 8}
_ARCHITECTURES: dict[str, dict[str, object]] = {
    "llama": {"expert_count": 8, "expert_used_count": 2},
    "gemma3": {"attention.sliding_window": 512},
    "gemma4": {"attention.sliding_window": 512, "attention.sliding_window_pattern": [True, False]},
    "deepseek2": {
        "attention.kv_lora_rank": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "rope.dimension_count": 64,
    },
    "qwen35moe": {f"ssm.{key}": value for key, value in _SSM.items()},
    "nemotron_h": {
        **{f"ssm.{key}": value for key, value in _SSM.items()},
        "attention.head_count_kv": [0, 2],
        "feed_forward_length": [512, 0],
    },
    "kimi-linear": {"kda.head_dim": 32, "attention.head_count_kv": [0, 8]},
    "lfm2": {"shortconv.l_cache": 3, "attention.head_count_kv": [0, 8]},
    "t5": {"decoder_block_count": 2},
    "rwkv7": {"wkv.head_size": 64},
    "never-heard-of": {"nextn_predict_layers": 1},
}
_CONFIGS: tuple[dict[str, object], ...] = (
    CONFIG,
    {**CONFIG, "model_type": "gemma3_text", "sliding_window": 512, "head_dim": 32},
    {**CONFIG, "model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    {
        **CONFIG,
        "model_type": "deepseek_v3",
        "kv_lora_rank": 32,
        "q_lora_rank": 48,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
    },
    {**CONFIG, "model_type": "mamba2", "num_heads": 4, "head_dim": 32, "state_size": 16, "n_groups": 1},
    {**CONFIG, "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}},
    {"model_type": "llava", "text_config": CONFIG, "vision_config": {"hidden_size": 64, "num_hidden_layers": 2}},
)

Maker = Callable[[random.Random], tuple[str, bytes]]


class Tally:
    """What became of the inputs."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest_s = 0.0


def gguf_keys(draw: random.Random) -> dict[str, object]:
    """Metadata of one of several architectures, one or more values of which are changed."""
    name = draw.choice(list(_ARCHITECTURES))
    metadata = {key.replace("llama.", f"{name}."): value for key, value in LLAMA.items()}
    metadata |= {f"{name}.{key}": value for key, value in _ARCHITECTURES[name].items()}
    metadata["general.architecture"] = name
    for key in draw.sample(sorted(metadata), draw.choice((1, 1, 2, 3))):
        number: object = draw.choice(_NUMBERS)
        metadata[key] = draw.choice(
            (number, [number] * draw.choice((0, 1, 2, 40)), "text", -1, 0.5, True, float("nan"))
        )
    return metadata


def gguf_case(draw: random.Random) -> tuple[str, bytes]:
    """A GGUF header with changed keys, with changed bytes, or both; now and then the key is a new one."""
    big_endian = draw.random() < 0.2
    tensors = draw.choice((TINY, TINY[:3], ()))
    metadata = gguf_keys(draw) if draw.random() < 0.6 else dict(LLAMA)
    data, _ = header_bytes(metadata, tensors, draw.choice((2, 3)), big_endian)
    if draw.random() < 0.7:
        data = mutate(draw, data, [data])
    if draw.random() < 0.2 and len(data) > 32:
        at = draw.randrange(len(data) - 8)
        data = data[:at] + draw.choice(_NUMBERS).to_bytes(8, "big" if big_endian else "little") + data[at + 8 :]
    return "a.gguf", data


def safetensors_case(draw: random.Random) -> tuple[str, bytes]:
    """A safetensors header with changed values, changed text, or a changed length."""
    header: Any = header_json(TWO)
    if draw.random() < 0.5:
        header = any_value(draw, header)
    text = json.dumps(header).encode()
    if draw.random() < 0.5:
        text = mutate(draw, text, [text])
    size = len(text) if draw.random() < 0.8 else draw.choice(_NUMBERS)
    return "a.safetensors", size.to_bytes(8, "little") + text


def config_case(draw: random.Random) -> tuple[str, bytes]:
    """A configuration with changed values or changed text."""
    config: Any = dict(draw.choice(_CONFIGS))
    for key in draw.sample(sorted(config), min(len(config), draw.choice((0, 1, 1, 2)))):
        config[key] = any_value(draw, draw.choice((config[key], draw.choice(_NUMBERS))))
    text = json.dumps(config).encode()
    return "config.json", mutate(draw, text, [text]) if draw.random() < 0.5 else text


def index_case(draw: random.Random) -> tuple[str, bytes]:
    """The index of a checkpoint in several files."""
    text = json.dumps({"metadata": {}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}).encode()
    return "model.safetensors.index.json", mutate(draw, text, [text])


CASES: tuple[Maker, ...] = (gguf_case, gguf_case, safetensors_case, config_case, config_case, index_case)


def campaign(inputs: int, seed: int) -> Tally:
    """Read so many mutated files; the same seed makes the same files."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(inputs):
            name, data = CASES[number % len(CASES)](random.Random(f"{seed}:{number}"))
            path = folder / name
            path.write_bytes(data)
            (folder / "config.json").write_bytes(data if name == "config.json" else json.dumps(CONFIG).encode())
            try_one(tally, f"{seed}:{number} ({name})", str(folder if name.endswith("index.json") else path))
            path.unlink()
    return tally


def try_one(tally: Tally, label: str, path: str) -> None:
    """Read one file and count its parameters."""
    start = time.perf_counter()
    try:
        use(local_model(path))
        tally.answers["a model"] += 1
    except UsageError:
        tally.answers["a UsageError"] += 1
    except Exception as error:  # noqa: BLE001 - what the campaign looks for
        tally.failures.append(f"{label}: {type(error).__name__}: {error}"[:300])
    seconds = time.perf_counter() - start
    tally.slowest_s = max(tally.slowest_s, seconds)
    if seconds > MOST_SECONDS:
        tally.failures.append(f"{label}: {seconds:.1f} s")


def use(model: Model) -> None:
    """What every answer asks of a model."""
    total, active = model.total_parameters, model.active_parameters
    if (total is not None and total < 0) or (active is not None and active < 0):
        raise AssertionError(f"{total} parameters, {active} active")
    if model.architecture:
        _ = model.architecture.groups


def main() -> None:
    """Run the campaign and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    start = time.perf_counter()
    tally = campaign(given.inputs, given.seed)
    print(f"{given.inputs} inputs in {time.perf_counter() - start:.1f} s, the slowest {tally.slowest_s * 1000:.0f} ms")
    print(", ".join(f"{count} times {answer}" for answer, count in tally.answers.most_common()))
    if sys.platform == "linux":
        import resource

        print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    print(*(tally.failures or ["no failure"]), sep="\n")
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
