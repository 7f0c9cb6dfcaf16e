"""The memory of a model whose shape is known, by engine, over a number of GPUs."""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.encoders.rows import readable_tokens, with_encoder
from gpucheck.estimators.on_llama_cpp import estimate_llama_cpp
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.stored import banded, in_file, in_gguf, shape_of, stored
from gpucheck.estimators.transformers import options as transformers_options
from gpucheck.estimators.transformers.estimate import runtime_rows
from gpucheck.estimators.transformers.loading import Checkpoint, head_stored_twice
from gpucheck.models.model import Model
from gpucheck.models.quantization import Quantization

_GGUF_ONLY = "transformers does not compute in {}: name a format of its own, such as bf16, int8 or nf4"


def estimate_known(model: Model, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    """The memory of the setting's task over `gpus` GPUs (0: the CPU), row by row, each where it lies.

    Raises:
        UsageError: an option is not the engine's, or the engine does not know the format.
    """
    if setting.task != "inference":
        from gpucheck.estimators.training.estimate import estimate_training

        return estimate_training(model, quant, setting, gpus)
    if setting.engine == "vllm":
        from gpucheck.estimators.vllm.estimate import estimate_vllm

        if not gpus:
            raise UsageError("vLLM on a CPU is not estimated: it is another build, with a cache of its own")
        return estimate_vllm(model, quant, setting, gpus)
    if setting.engine == "transformers":
        return _transformers(model, quant, setting, gpus)
    return estimate_llama_cpp(model, quant, setting, gpus)


def _transformers(model: Model, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    architecture = shape_of(model)
    if quant.mix is not None or (model.source == "gguf" and not in_gguf(quant)):
        raise UsageError(_GGUF_ONLY.format(quant.name))
    options = transformers_options.parse_options(setting.given)
    held = stored(model, quant, gguf=False)
    rows = [banded(Row("weights", 0, 0, 0, "exact", held.detail), held.bytes, held)]
    if not in_file(model, quant):
        rows += [
            Row("weights", size, size, size, "formula", f"{part.role}, 16 bits")
            for part in model.parts
            if (size := 2 * (part.parameters or 0))
        ]
    loaded = Checkpoint(quant.name, head_stored_twice(model) and not in_file(model, quant))
    tokens = readable_tokens(architecture, setting.context)
    running = runtime_rows(architecture, tokens, setting.batch, options, gpus, checkpoint=loaded)
    rows += with_encoder(running, model, architecture, tokens, setting.batch)
    words = transformers_options.assumptions(options, setting.given, tokens)
    unknown = [f"without the {part.role} part, whose shape is not known" for part in model.parts if not part.parameters]
    if not gpus:
        rows = [replace(row, device="host") for row in rows]
    return Estimate(tuple(rows), (*words, *unknown, *model.issues))
