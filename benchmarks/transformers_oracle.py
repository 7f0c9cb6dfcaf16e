"""Peak memory of transformers' own modelling code, for real shapes, without a GPU and without weights.

Models are built on torch's meta device: every operator runs with real shapes and no data. A dispatch mode follows
the life of each storage that the operators create, so the peak of live bytes is that of the real code on an
allocator without fragmentation. Attention is an operator that allocates only its result, as flash attention does;
workspaces of libraries (cuBLAS) do not show.

    python benchmarks/transformers_oracle.py --write     (needs torch and transformers)
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, DynamicCache
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

TRUTH = Path(__file__).parent / "truth" / "transformers_oracle.csv"
ATTENTION = "gpucheck_oracle"
BLOCK = 512  # CUDA's allocator rounds up to this many bytes


class Live(TorchDispatchMode):
    """Counts the bytes of storages that operators have made and that are still alive."""

    def __init__(self, weights: set[int]) -> None:
        """Start with nothing alive; `weights` are storages that do not count."""
        super().__init__()
        self.weights = weights
        self.now = self.peak = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and note what it made and what has gone since."""
        self.forget()
        result = func(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, torch.Tensor):
                self._note(value)
        self.peak = max(self.peak, self.now)
        return result

    def forget(self) -> None:
        """Take away the storages that nobody holds any more."""
        for key in [key for key, (storage, _) in self._alive.items() if storage.expired()]:
            self.now -= self._alive.pop(key)[1]

    def _note(self, value: torch.Tensor) -> None:
        storage = StorageWeakRef(value.untyped_storage())
        if storage.cdata not in self._alive and storage.cdata not in self.weights:
            size = -(-value.untyped_storage().nbytes() // BLOCK) * BLOCK
            self._alive[storage.cdata] = storage, size
            self.now += size


def _flash(_module: Any, query: Any, _key: Any, value: Any, _mask: Any, **_: Any) -> tuple[torch.Tensor, None]:
    """Attention that allocates its result only: (batch, heads, tokens, size) in, tokens before heads out."""
    batch, heads, tokens, _size = query.shape
    return query.new_empty(batch, tokens, heads, value.shape[-1]), None


def measure(config: Any, prompt: int, batch: int = 1) -> dict[str, int]:
    """Bytes of the weights, and of live tensors beside them: after a prompt, and at the peaks of prompt and token."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=ATTENTION)
    model.eval()
    held = {p.untyped_storage()._cdata: p.nbytes for p in (*model.parameters(), *model.buffers())}
    live = Live(set(held))
    with torch.no_grad(), live:
        ids = torch.zeros(batch, prompt, dtype=torch.long, device="meta")
        cache = DynamicCache(config=config)
        out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        prompt_peak = live.peak
        del out
        live.forget()
        after, live.peak = live.now, live.now
        for _ in range(3):  # the first token lets go of what sliding layers no longer need
            ids = torch.zeros(batch, 1, dtype=torch.long, device="meta")
            out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            del out
            live.forget()
            token_peak, live.peak = live.peak, live.now
    parameters = sum({p.untyped_storage()._cdata: p.nbytes for p in model.parameters()}.values())
    return {
        "weights_bytes": parameters, "after_prompt_bytes": after, "prompt_peak_bytes": prompt_peak,
        "token_peak_bytes": token_peak, "resident_bytes": live.now,
    }  # fmt: skip


DENSE = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 4, "num_attention_heads": 16,
    "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 32000, "pad_token_id": 0,
}  # fmt: skip
WIDE = DENSE | {"intermediate_size": 14336, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8}
NARROW = DENSE | {"intermediate_size": 512}
SPARSE = DENSE | {"num_experts_per_tok": 4}
MLA = {
    "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "num_key_value_heads": 16, "n_group": 1, "topk_group": 1, "n_routed_experts": 16, "moe_intermediate_size": 1024,
}  # fmt: skip
DELTA = {
    "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
}  # fmt: skip
LATENT = {key: value for key, value in SPARSE.items() if key != "head_dim"} | MLA
MAMBA2 = {
    "num_hidden_layers": 4, "hidden_size": 2048, "num_heads": 64, "head_dim": 64, "expand": 2, "n_groups": 1,
    "state_size": 128, "vocab_size": 32000,
}  # fmt: skip


def cases() -> list[tuple[str, dict[str, Any]]]:
    """Families with shapes that make one phase after another the widest."""
    dense = ("llama", "qwen2", "qwen3", "mistral", "gemma", "granite", "smollm3", "starcoder2", "olmo2", "phi3", "glm4")
    found = [(kind, shape) for kind in dense for shape in (DENSE, WIDE, NARROW)]
    found += [("gemma2", DENSE | {"sliding_window": 1024}), ("gemma3_text", DENSE | {"sliding_window": 1024})]
    found += [("mistral", DENSE | {"sliding_window": 1024}), ("cohere2", DENSE), ("stablelm", DENSE)]
    found += [
        ("phi", DENSE),
        ("gpt_neox", {k: v for k, v in DENSE.items() if k not in {"head_dim", "num_key_value_heads"}}),
    ]
    for f in (512, 1024, 3072):
        found += [
            ("mixtral", SPARSE | {"intermediate_size": f, "num_local_experts": 16}),
            ("qwen3_moe", SPARSE | {"moe_intermediate_size": f, "num_experts": 16}),
            ("qwen2_moe", SPARSE | {"moe_intermediate_size": f, "num_experts": 16,
                                    "shared_expert_intermediate_size": f}),
            ("glm4_moe", SPARSE | {"moe_intermediate_size": f, "n_routed_experts": 16, "first_k_dense_replace": 0,
                                   "n_group": 1, "topk_group": 1}),
            ("minimax_m2", SPARSE | {"intermediate_size": f, "num_local_experts": 16}),
            ("gpt_oss", SPARSE | {"intermediate_size": f, "num_local_experts": 16, "sliding_window": 128}),
            ("olmoe", {k: v for k, v in SPARSE.items() if k != "head_dim"}
             | {"intermediate_size": f, "num_experts": 16}),
            ("deepseek_v3", LATENT | {"moe_intermediate_size": f, "first_k_dense_replace": 0}),
        ]  # fmt: skip
    found += [("deepseek_v3", LATENT | {"first_k_dense_replace": 4, "intermediate_size": i}) for i in (256, 8192)]
    found += [
        ("deepseek_v3", LATENT | {"first_k_dense_replace": 4, "intermediate_size": 256, "num_attention_heads": 32,
                                  "num_key_value_heads": 32}),
        ("deepseek_v2", LATENT | {"n_shared_experts": 2, "first_k_dense_replace": 1}),
        ("llama4_text", SPARSE | {"num_experts_per_tok": 1, "intermediate_size": 1024, "intermediate_size_mlp": 8192,
                                  "num_local_experts": 16, "moe_layers": [0, 1, 2, 3]}),
        ("qwen3_5_text", NARROW | DELTA), ("qwen3_5_text", DENSE | DELTA | {"linear_num_value_heads": 48}),
        ("qwen3_next", SPARSE | DELTA | {"moe_intermediate_size": 512, "num_experts": 16,
                                         "shared_expert_intermediate_size": 512}),
        ("lfm2", DENSE), ("mamba2", MAMBA2), ("mamba2", MAMBA2 | {"n_groups": 8, "state_size": 64}),
        ("mamba", {"hidden_size": 2048, "num_hidden_layers": 4, "vocab_size": 32000, "state_size": 16}),
        ("granitemoehybrid", SPARSE | {"num_local_experts": 16, "intermediate_size": 512, "mamba_n_heads": 64,
                                       "shared_intermediate_size": 1024, "mamba_d_state": 128,
                                       "layer_types": ["mamba", "mamba", "mamba", "attention"]}),
        ("falcon_h1", DENSE | {"mamba_d_ssm": 4096, "mamba_n_heads": 64, "mamba_d_state": 128}),
        ("gemma4_text", DENSE | {"sliding_window": 1024}),
    ]  # fmt: skip
    return found


def rows(prompt: int) -> list[dict[str, Any]]:
    """One row for each case; a family that this release cannot run on shapes alone is told and left out."""
    AttentionInterface.register(ATTENTION, _flash)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, lambda *_args, **_kwargs: None)
    found = []
    for kind, shape in cases():
        try:
            measured = measure(AutoConfig.for_model(kind, **shape), prompt)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            print(f"{kind}: {str(error).splitlines()[0][:120]}", file=sys.stderr)
            continue
        case = {"model_type": kind, "config": json.dumps(shape, sort_keys=True), "prompt_tokens": prompt, "batch": 1}
        found.append(case | measured | {"torch": torch.__version__, "transformers": transformers.__version__})
    return found


def main() -> None:
    """Measure every case; write the truth table, or print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompt", type=int, default=4096)
    parser.add_argument("--write", action="store_true", help=f"write {TRUTH}")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = rows(options.prompt)
    with open(TRUTH, "w", encoding="utf-8", newline="") if options.write else contextlib.nullcontext(sys.stdout) as out:
        writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


if __name__ == "__main__":
    main()
