"""Which layers of a GGUF file look at a window only, and which keep a state, as llama.cpp decides it.

Patterns that a file does not carry are fixed in the code of each architecture (llama.cpp, src/models/*.cpp, commit
0c1e570). A window in an architecture that is not listed is one that llama.cpp does not use: Phi-3, Mistral.
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.models.architecture import RecurrentKind
from gpucheck.models.gguf.keys import MOST_NUMBER, GgufKeys


class WindowPattern(Struct, frozen=True):
    """Of every `period` layers one looks at everything: the last, or the first. `period` 0: none does.

    `window` is that of the code: where `fixed`, whatever the file says; else where it says nothing. `always` is
    False where a file without the key has no window at all.
    """

    period: int
    window: int = 0
    full_first: bool = False
    fixed: bool = False
    chunked: bool = False
    always: bool = False


WINDOWS: dict[str, WindowPattern] = {
    "afmoe": WindowPattern(4),
    "cohere2": WindowPattern(4),
    "cohere2moe": WindowPattern(4, full_first=True),
    "deepseek4": WindowPattern(0),
    "dots3note": WindowPattern(0),
    "exaone-moe": WindowPattern(4, 128, always=True),
    "exaone4": WindowPattern(4, 4096, always=True),
    "gemma-embedding": WindowPattern(6),
    "gemma2": WindowPattern(2, 4096, always=True),
    "gemma3": WindowPattern(6),
    "gemma3n": WindowPattern(5),
    "gemma4": WindowPattern(6),
    "gemma4-assistant": WindowPattern(6),
    "gpt-oss": WindowPattern(2),
    "granite_swa": WindowPattern(0),
    "laguna": WindowPattern(4, full_first=True),
    "lfm2": WindowPattern(0),
    "llama4": WindowPattern(4, 8192, fixed=True, chunked=True, always=True),
    "maple": WindowPattern(0),
    "mellum": WindowPattern(4),
    "mimo2": WindowPattern(0),
    "modern-bert": WindowPattern(3, full_first=True),
    "muse-glimmer": WindowPattern(4),
    "olmo2": WindowPattern(4),
    "plamo3": WindowPattern(8),
    "smallthinker": WindowPattern(4, 4096, full_first=True, fixed=True),
    "spark2-5": WindowPattern(0),
    "step35": WindowPattern(0),
}
_EXAONE4_WITH_WINDOW = 64  # layers of the 32B; the 1.2B has none

RECURRENT_KINDS: dict[str, RecurrentKind] = {
    "mamba": "mamba",
    "jamba": "mamba",
    "mamba2": "mamba2",
    "falcon-h1": "mamba2",
    "granitehybrid": "mamba2",
    "nemotron_h": "mamba2",
    "nemotron_h_moe": "mamba2",
    "plamo2": "mamba2",
    "qwen3next": "gated_delta_net",
    "qwen35": "gated_delta_net",
    "qwen35moe": "gated_delta_net",
    "qwen4exp": "gated_delta_net",
    "lfm2": "short_conv",
    "lfm2moe": "short_conv",
    "kimi-linear": "kda",
    "kimi-k3": "kda",
    "glm5-next": "kda",
    "bailingmoe3": "kda",
    "minimax-01": "lightning",
    "rwkv6": "rwkv",
    "rwkv6qwen2": "rwkv",
    "rwkv7": "rwkv",
    "arwkv7": "rwkv",
}
_ALL_RECURRENT = frozenset({"mamba", "mamba2", "falcon-h1", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_INTERVALS = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4, "minimax-01": 8}


def window_sizes(keys: GgufKeys, count: int) -> tuple[tuple[int | None, ...], bool]:
    """For each of `count` layers the window, None for the whole context; and whether windows are chunks."""
    everything: tuple[int | None, ...] = (None,) * count
    pattern = WINDOWS.get(keys.name)
    if pattern is None or (keys.name == "exaone4" and count != _EXAONE4_WITH_WINDOW):
        return everything, False
    written = keys.count("attention.sliding_window", most=MOST_NUMBER)
    if keys.has("attention.sliding_window") and not written:
        return everything, False
    window = pattern.window if pattern.fixed and (written or pattern.always) else written
    window = window or (pattern.window if pattern.always else 0)
    if not window:
        return everything, False
    chosen = keys.array("attention.sliding_window_pattern", count)
    if chosen is None:
        period = keys.count("attention.sliding_window_pattern", pattern.period)
        chosen = tuple(_slides(index, period, pattern.full_first) for index in range(count))
    return tuple(window if slides else None for slides in chosen), pattern.chunked


def _slides(index: int, period: int, full_first: bool) -> bool:
    if not period:
        return True
    return index % period != 0 if full_first else index % period < period - 1


def recurrent_layers(
    keys: GgufKeys, count: int, kv_heads: tuple[int, ...], widths: tuple[int, ...]
) -> tuple[bool, ...]:
    """For each of the first `count` layers whether it keeps a state."""
    if keys.name not in RECURRENT_KINDS:
        return (False,) * count
    if keys.name in _ALL_RECURRENT:
        return (True,) * count
    if default := _INTERVALS.get(keys.name):
        if (listed := keys.array("attention.recurrent_layers", count)) is not None:
            return tuple(bool(each) for each in listed)
        every = keys.number("full_attention_interval", default=default)
        return tuple((index + 1) % every != 0 for index in range(count))
    if keys.name.startswith("nemotron_h"):
        return tuple(not heads and not width for heads, width in zip(kv_heads[:count], widths[:count], strict=True))
    return tuple(not heads for heads in kv_heads[:count])
