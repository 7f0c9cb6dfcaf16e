"""One training step of transformers' and PEFT's own code, every tensor followed, on shapes alone or on the CPU.

Models are built on torch's meta device (real shapes, no data) or, small, on the CPU with real data. A dispatch mode
follows the life of each storage through forward, loss, backward and the optimizer's step, so the peak is that of the
real code on an allocator without fragments. Attention is an operator that keeps queries, keys, values, its result and
one sum for each head, as flash attention does. Dropouts of models are off; the logits are dropped before backward, as
Trainer does. `kept_bytes` is what twice the layers keep more.

    python benchmarks/training_oracle.py --write     (needs torch, transformers and peft)
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

sys.path.insert(0, str(Path(__file__).parents[1]))

import peft
import torch
import transformers
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from benchmarks.transformers_oracle import DENSE, LATENT, SPARSE, Live

TRUTH = Path(__file__).parent / "truth" / "training_oracle.csv"
ATTENTION = "gpucheck_training_oracle"
RANK, LAYERS = 16, 2


class Flash(torch.autograd.Function):
    """Attention that keeps and allocates what flash attention does, and computes nothing."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> torch.Tensor:
        """Tokens before heads out."""
        batch, heads, tokens, _ = query.shape
        out = query.new_zeros(batch, tokens, heads, value.shape[-1])
        ctx.save_for_backward(query, key, value, out, query.new_zeros(batch, heads, tokens, dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, _grad: Any) -> tuple[torch.Tensor, ...]:
        """Gradients of the shapes that went in."""
        query, key, value, _, _ = ctx.saved_tensors
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)


def build(kind: str, shape: dict[str, Any], method: str, device: str) -> Any:
    """The model, with adapters in 32 bits (lora) or in 16 (lora_bf16) on every linear map or on queries and values."""
    config = AutoConfig.for_model(kind, **shape)
    for name in vars(config):
        if name.endswith(("dropout", "pdrop")):
            setattr(config, name, 0.0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=ATTENTION)
        if method != "full":
            targets: Any = ["q_proj", "v_proj"] if method.endswith("qv") else "all-linear"
            model = peft.get_peft_model(model, peft.LoraConfig(r=RANK, lora_dropout=0.0, target_modules=targets))
            if "bf16" in method:
                model.to(torch.bfloat16)
    return model.train()


def step(case: dict[str, Any], layers: int, device: str) -> dict[str, int]:
    """Bytes of each component, and the peak beside weights and optimizer states, of one step, on the CPU a second."""
    shape = case["shape"] | {case.get("depth", "num_hidden_layers"): layers}
    model = build(case["kind"], shape, case["method"], device)
    inner = model if case["method"] == "full" else model.base_model.model
    if case["checkpointing"]:
        inner.gradient_checkpointing_enable({"use_reentrant": False})
    if case["method"] != "full":
        inner.enable_input_require_grads()
    trained = [p for p in model.parameters() if p.requires_grad]
    kinds = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimizer = kinds[case["optimizer"]](trained, lr=1e-3, foreach=False)
    held = {p.untyped_storage()._cdata: p.nbytes for p in (*model.parameters(), *model.buffers())}
    live = Live(set(held))
    found: dict[str, int] = {}
    with live:
        ids = torch.zeros(case["batch"], case["tokens"], dtype=torch.long, device=device)
        mask = torch.ones_like(ids)
        for _ in range(2 if case["device"] == "cpu" else 1):
            optimizer.zero_grad(set_to_none=True)
            live.forget()
            states, live.peak = live.now, live.now
            loss = inner(input_ids=ids, labels=ids, attention_mask=mask, use_cache=False).loss
            live.forget()
            forward = live.now - states
            loss.backward()
            del loss
            live.forget()
            found["gradient_bytes"] = sum(p.grad.nbytes for p in trained if p.grad is not None)
            found["peak_bytes"], found["forward_bytes"] = live.peak - states, forward
            optimizer.step()
    found["optimizer_bytes"] = sum(
        value.nbytes for state in optimizer.state.values() for value in state.values() if value.dim()
    )
    parameters = {p.untyped_storage()._cdata: p.nbytes for p in model.parameters()}
    adapters = {} if case["method"] == "full" else {p.untyped_storage()._cdata: p.nbytes for p in trained}
    found["adapter_bytes"] = sum(adapters.values())
    found["weights_bytes"] = sum(parameters.values()) - found["adapter_bytes"]
    return found


SMALL = {
    "hidden_size": 256, "intermediate_size": 704, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    "vocab_size": 1024, "pad_token_id": 0,
}  # fmt: skip
GPT2 = {"n_embd": 2048, "n_head": 16, "vocab_size": 32000, "n_positions": 8192}
PLAIN = {key: value for key, value in DENSE.items() if key not in {"head_dim", "num_key_value_heads"}}


def cases() -> list[dict[str, Any]]:
    """Families, methods, checkpointing and lengths; then small ones with data."""
    shapes: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        *((kind, DENSE, {}) for kind in ("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text",
                                         "olmo2", "phi3", "phi", "starcoder2")),
        ("llama", DENSE | {"intermediate_size": 5632, "vocab_size": 128256}, {}),
        ("llama", DENSE | {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
                           "num_key_value_heads": 8}, {}),
        ("qwen3", DENSE | {"hidden_size": 1024, "intermediate_size": 3072, "vocab_size": 151936,
                           "num_key_value_heads": 8, "tie_word_embeddings": True}, {}),
        ("gpt2", GPT2, {"depth": "n_layer"}), ("gpt_neox", PLAIN, {}),
        ("mixtral", SPARSE | {"intermediate_size": 2048, "num_local_experts": 16}, {}),
        ("qwen3_moe", SPARSE | {"moe_intermediate_size": 1024, "num_experts": 16}, {}),
        ("gpt_oss", SPARSE | {"intermediate_size": 1024, "num_local_experts": 16, "sliding_window": 128}, {}),
        ("deepseek_v3", LATENT | {"first_k_dense_replace": 99, "intermediate_size": 8192}, {}),
    ]  # fmt: skip
    found: list[dict[str, Any]] = []
    for kind, shape, more in shapes:
        for method in ("full", "lora", "lora_bf16", "lora_bf16_qv"):
            if method.endswith("qv") and kind in {"gpt2", "gpt_neox", "phi3", "deepseek_v3"}:
                continue
            for checkpointing in (False, True):
                for tokens, batch in ((2048, 1), (1024, 4))[: 2 if kind in {"llama", "gpt2"} else 1]:
                    optimizer = "sgd" if batch == 4 else "adamw"
                    found.append(
                        {"kind": kind, "shape": shape, "method": method, "checkpointing": checkpointing,
                         "tokens": tokens, "batch": batch, "optimizer": optimizer, "device": "meta"} | more
                    )  # fmt: skip
    for kind in ("llama", "qwen3", "gemma", "starcoder2"):
        for method in ("full", "lora", "lora_bf16"):
            found += [
                {"kind": kind, "shape": SMALL, "method": method, "checkpointing": checkpointing, "tokens": 512,
                 "batch": 2, "optimizer": "adamw", "device": "cpu"}
                for checkpointing in (False, True)
            ]  # fmt: skip
    return found


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """One row: the step with few layers, and what as many more keep."""
    once = step(case, LAYERS, case["device"])
    more = step(case, 2 * LAYERS, case["device"])
    kept = more["forward_bytes"] - once["forward_bytes"]
    config = case["shape"] | {case.get("depth", "num_hidden_layers"): LAYERS}
    return {
        "model_type": case["kind"], "config": json.dumps(config, sort_keys=True), "method": case["method"],
        "checkpointing": case["checkpointing"], "optimizer": case["optimizer"], "tokens": case["tokens"],
        "batch": case["batch"], "device": case["device"], **once, "kept_bytes": kept,
        "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
    }  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """One row for each case; one that these releases cannot run on shapes alone is told and left out."""
    AttentionInterface.register(ATTENTION, lambda _module, q, k, v, _mask, **_: (Flash.apply(q, k, v), None))
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, lambda *_args, **_kwargs: None)
    found = []
    for case in cases():
        try:
            found.append(measure(case))
        except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            print(f"{case['kind']} {case['method']}: {str(error).splitlines()[0][:100]}", file=sys.stderr)
    return found


def main() -> None:
    """Measure every case; write the truth table, or print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {TRUTH}")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = rows()
    with open(TRUTH, "w", encoding="utf-8", newline="") if options.write else contextlib.nullcontext(sys.stdout) as out:
        writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


if __name__ == "__main__":
    main()
