"""How long llama.cpp's estimates take: every model of the oracle's rows, at the depth of the rows, x contexts x quants.

python -m benchmarks.speed_llama_cpp
"""

from __future__ import annotations

from time import perf_counter

from benchmarks.accuracy_llama_cpp import architecture_of, rows
from gpucheck.estimators.llama_cpp.estimate import context_rows, weight_rows
from gpucheck.estimators.llama_cpp.needs import Weight, needs
from gpucheck.estimators.llama_cpp.options import DEFAULTS
from gpucheck.models.architecture import Architecture

CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 98304, 131072)
QUANTS = 12
_ROLES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down", "attn_norm", "ffn_norm")


def _deep(shape: Architecture, depth: int = 48) -> Architecture:
    """The shape with as many layers as models have."""
    layers = (shape.layers * depth)[: max(depth, len(shape.layers))]
    return Architecture(
        model_type=shape.model_type, hidden_size=shape.hidden_size, vocab_size=shape.vocab_size, layers=layers
    )


def main() -> None:
    """Prints seconds and microseconds for each new model, context and quantization."""
    named = {row["case_id"].split("#")[0]: row for row in rows()}
    shapes = [_deep(architecture_of(row)) for row in named.values()]
    everywhere = tuple(range(48))
    weights = [
        (Weight("token_embd", "Q4_K", 10, (-1,)), *(Weight(role, "Q4_K", number, everywhere) for role in _ROLES))
        for number in range(QUANTS)
    ]
    new_models = new_contexts = further = 0.0
    for shape in shapes:
        for index, context in enumerate(CONTEXTS):
            for number, held in enumerate(weights):
                start = perf_counter()
                parts = needs(shape, held, context, 1, DEFAULTS)
                weight_rows(parts, DEFAULTS)
                context_rows(parts, DEFAULTS)
                spent = perf_counter() - start
                if number:
                    further += spent
                elif index:
                    new_contexts += spent
                else:
                    new_models += spent
    count = len(shapes)
    print(f"{count} models x {len(CONTEXTS)} contexts x {QUANTS}: {new_models + new_contexts + further:.2f} s")
    print(f"first context {new_models / count * 1e6:.0f} us, a further one {new_contexts / count / 7 * 1e6:.0f} us")
    print(f"a further quantization {further / count / 8 / (QUANTS - 1) * 1e6:.0f} us")


if __name__ == "__main__":
    main()
