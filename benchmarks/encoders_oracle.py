"""Peak memory of transformers' own encoders for real shapes: sentence encoders and Whisper, without a GPU.

As transformers_oracle.py: models on torch's meta device, every storage followed.

    python benchmarks/encoders_oracle.py --write     (needs torch and transformers)
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers_oracle import peak
from transformers import AutoConfig, AutoModel, WhisperForConditionalGeneration

TRUTH = Path(__file__).parent / "truth" / "encoders_oracle.csv"
MODELS = Path(__file__).parent.parent / "gpucheck" / "models" / "data" / "models.jsonl"
SENTENCES = (
    "BAAI/bge-large-en-v1.5", "BAAI/bge-small-en-v1.5", "BAAI/bge-base-en-v1.5", "BAAI/bge-reranker-large",
    "answerdotai/ModernBERT-base", "answerdotai/ModernBERT-large", "sentence-transformers/all-mpnet-base-v2",
)  # fmt: skip
AUDIO = tuple(f"openai/whisper-{size}" for size in ("tiny", "small", "medium", "large-v3", "large-v3-turbo"))
FRAMES, MELS_LARGE = 3000, 128


def _configs() -> dict[str, dict[str, Any]]:
    return {
        entry["id"]: entry["config"]
        for entry in map(json.loads, MODELS.read_text(encoding="utf-8").splitlines())
        if entry["id"] in {*SENTENCES, *AUDIO}
    }


def _made(config: dict[str, Any], build: Callable[[Any], Any]) -> Any:
    kept = dict(config)
    made = AutoConfig.for_model(kept.pop("model_type"), **kept)
    made._attn_implementation = "sdpa"
    with torch.device("meta"):
        return build(made).to(torch.bfloat16).eval()


def _row(model: str, part: str, tokens: int, batch: int, bytes_: int) -> dict[str, Any]:
    return {"model": model, "part": part, "tokens": tokens, "batch": batch, "peak_bytes": bytes_}


def rows() -> list[dict[str, Any]]:
    """A row for each model, length and batch."""
    found = []
    for name, config in _configs().items():
        if name in AUDIO:
            module = _made(config, WhisperForConditionalGeneration)
            for batch in (1, 8):
                mels = torch.empty(batch, module.config.num_mel_bins, FRAMES, device="meta", dtype=torch.bfloat16)
                encoder = module.model.encoder
                found.append(_row(name, "encoder", FRAMES // 2, batch, peak(module, lambda e=encoder, m=mels: e(m))))
            continue
        module = _made(config, AutoModel.from_config)
        for tokens, batch in ((128, 32), (512, 1), (512, 16)):
            ids = torch.zeros(batch, tokens, dtype=torch.long, device="meta")
            found.append(_row(name, "encoder", tokens, batch, peak(module, lambda m=module, i=ids: m(input_ids=i))))
    return found


def main() -> None:
    """Measure every case; write the truth table, or print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {TRUTH}")
    options = parser.parse_args()
    found = rows()
    with open(TRUTH, "w", encoding="utf-8", newline="") if options.write else contextlib.nullcontext(sys.stdout) as out:
        writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


if __name__ == "__main__":
    main()
