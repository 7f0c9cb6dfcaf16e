"""The memory of a model of known shape under llama.cpp, and what its layers need where they are divided."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.llama_cpp.estimate import PROJECTOR, context_rows, weight_rows
from gpucheck.estimators.llama_cpp.needs import LayerNeed, Needs, needs
from gpucheck.estimators.llama_cpp.options import VERSION, LlamaCppOptions, assumptions, parse_options
from gpucheck.estimators.parts import Parts
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.stored import Stored, banded, in_file, in_gguf, shape_of, stored
from gpucheck.models.model import Model
from gpucheck.models.quantization import Quantization

_MOST_NEEDS = 32  # remembered for a model: an answer asks for the same few again and again
_NO_GGUF = "{} does not read {}: name a GGUF quantization, such as Q4_K_M or Q8_0, or the engine transformers"


def estimate_llama_cpp(model: Model, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    """The memory over `gpus` GPUs (0: the CPU), row by row, each where it lies.

    Raises:
        UsageError: an option is not the engine's, or the engine does not know the format.
    """
    options = _options(setting, gpus > 0)
    return _on_gpus(model, quant, setting, gpus, _Chosen(options, frozenset([name for name, _ in setting.options])))


def estimate_divided(
    model: Model, quant: Quantization, setting: Setting, gpus: int, places: Mapping[str, int]
) -> Estimate:
    """The memory under llama.cpp if `n_gpu_layers` and `n_cpu_moe` are those of `places`, in place of the setting's.

    Raises:
        UsageError: an option is not the engine's, or the engine does not know the format.
    """
    options = replace(_options(setting, True), **places)
    return _on_gpus(model, quant, setting, gpus, _Chosen(options, frozenset((*setting.given, *places))))


def told_layers(count: int, setting: Setting) -> bool:
    """Whether llama.cpp's options say which of the `count` layers or experts stay on the host."""
    options = _options(setting, True)
    return 0 <= options.n_gpu_layers <= count or options.n_cpu_moe > 0


def parts_of(model: Model, quant: Quantization, setting: Setting) -> Parts:
    """What the layers of the model need on GPUs under llama.cpp.

    Raises:
        UsageError: an option is not the engine's.
    """
    kept: dict[tuple[str, Setting], Parts] = model.memo.setdefault("parts", {})
    key = quant.name, setting
    if key not in kept:
        kept[key] = _parts(model, quant, setting)
    return kept[key]


def least_on_gpus(model: Model, quant: Quantization, setting: Setting) -> int:
    """What GPUs that hold the whole model hold at the least under llama.cpp: weights and caches of its layers.

    Raises:
        UsageError: an option is not the engine's, or the engine does not know the format.
    """
    options = _options(setting, True)
    _check(model, quant, setting, options)
    weights, cache, state = _needs(model, quant, setting, options).sums
    return int(weights * stored(model, quant).ratio) + (cache + state if options.offload_kqv else 0)


def _parts(model: Model, quant: Quantization, setting: Setting) -> Parts:
    options = _options(setting, True)
    parts, held = _needs(model, quant, setting, options), stored(model, quant)
    rows = _rest(model, setting, parts, options, 1)
    device = sum(row.bytes for row in rows if row.device == "gpu" and row.component in {"compute", "overhead"})
    count, kept = len(parts.order), options.n_cpu_moe
    told = told_layers(count, setting)
    fewer = 0 <= options.n_gpu_layers <= count
    start = count - max(options.n_gpu_layers - 1, 0) if fewer else 0  # the head is the first of them
    here = parts.order[start:]
    whole = [_on_gpu(kind, held.ratio, options, shed=False) for kind in parts.kinds]
    shed = [_on_gpu(kind, held.ratio, options, shed=True) for kind in parts.kinds] if kept else whole
    layers = [(shed if start + place < kept else whole)[kind] for place, kind in enumerate(here)]
    experts = [0 if told else ceil(kind.expert_bytes * held.ratio) for kind in parts.kinds]
    head = ceil((parts.output_bytes + parts.tied_bytes) * held.ratio) if options.n_gpu_layers else 0
    return Parts(
        tuple(layers), tuple([experts[kind] for kind in here]), head, device, options.mmproj_bytes, count, told,
        min(kept, count) if told else 0, max(max(parts.several(2).devices) - parts.device_compute_bytes, 0),
    )  # fmt: skip


def _on_gpu(layer: LayerNeed, ratio: float, options: LlamaCppOptions, *, shed: bool) -> int:
    """Bytes of a layer on its GPU; experts that are `shed`, and a cache that is not offloaded, are not there."""
    weights = layer.weights_bytes - (layer.expert_bytes if shed else 0)
    return ceil(weights * ratio) + (layer.cache_bytes + layer.state_bytes if options.offload_kqv else 0)


@lru_cache(maxsize=256)
def _options(setting: Setting, on_gpu: bool) -> LlamaCppOptions:
    """The options given, with the machine's backend and, for Ollama, its own defaults."""
    given = {"backend": setting.backend, **_engine_defaults(setting), **setting.given}
    if not on_gpu:
        given["backend"] = "cpu"
    return parse_options(given)


def _engine_defaults(setting: Setting) -> dict[str, object]:
    """Ollama runs one slot for each of its parallel requests, by default one."""
    return {"n_parallel": setting.batch} if setting.engine == "ollama" else {}


def _needs(model: Model, quant: Quantization, setting: Setting, options: LlamaCppOptions) -> Needs:
    """What each part needs; where the parts go does not change it."""
    kept: dict[tuple[str, int, int, LlamaCppOptions], Needs] = model.memo.setdefault("needs", {})
    alike = _alike(options)
    key = quant.name, setting.context, setting.batch, alike
    if key not in kept:
        if len(kept) >= _MOST_NEEDS:
            kept.clear()
        held = stored(model, quant)
        kept[key] = needs(shape_of(model), held.weights, setting.context, setting.batch, alike)
    return kept[key]


def _alike(options: LlamaCppOptions) -> LlamaCppOptions:
    """The options without those that say where layers and experts go (`n_gpu_layers`, `n_cpu_moe`)."""
    if options.n_gpu_layers < 0 and not options.n_cpu_moe:
        return options
    return replace(options, n_gpu_layers=-1, n_cpu_moe=0)


class _Chosen(NamedTuple):
    """Options, and the names of those that are no assumptions."""

    options: LlamaCppOptions
    told: frozenset[str]


def _on_gpus(model: Model, quant: Quantization, setting: Setting, gpus: int, chosen: _Chosen) -> Estimate:
    options, told = chosen
    _check(model, quant, setting, options)
    held = stored(model, quant)
    parts = _needs(model, quant, setting, options)
    rows = (*_weights(model, quant, parts, options), *_rest(model, setting, parts, options, gpus))
    if options.gpu and gpus > 1:
        unused = (gpus - 1) * parts.largest_layer_bytes
        rows += (Row("overhead", 0, 0, unused, "range", "room that whole layers leave on the cards", "gpu"),)
    return Estimate(rows, (*_words(setting.engine, _alike(options), told), *_told(model, held)))


def _check(model: Model, quant: Quantization, setting: Setting, options: LlamaCppOptions) -> None:
    """Refuses what the engine cannot run."""
    if setting.batch > 1 and options.n_parallel is not None and options.n_parallel < setting.batch:
        raise UsageError(f"{options.n_parallel} slots (n_parallel) do not hold a batch of {setting.batch}")
    if not in_gguf(quant) and not (model.source == "gguf" and in_file(model, quant)):
        raise UsageError(_NO_GGUF.format(setting.engine, quant.name))


def _weights(model: Model, quant: Quantization, parts: Needs, options: LlamaCppOptions) -> tuple[Row, ...]:
    """The rows of the tensors, which the context does not change."""
    kept: dict[tuple[str, LlamaCppOptions], tuple[Row, ...]] = model.memo.setdefault("weight_rows", {})
    key = quant.name, options
    if key not in kept:
        head = options.gpu and options.n_gpu_layers != 0
        rows = weight_rows(parts, options)
        kept[key] = tuple(_weighed(rows, stored(model, quant), parts.tied_bytes if head else 0))
    return kept[key]


def _rest(model: Model, setting: Setting, parts: Needs, options: LlamaCppOptions, gpus: int) -> tuple[Row, ...]:
    """The rows of everything else, which the format of the weights does not change unless some stay on the host."""
    if options.gpu and (options.n_gpu_layers >= 0 or options.n_cpu_moe):
        return tuple(context_rows(parts, options, gpus))
    kept: dict[tuple[int, int, LlamaCppOptions, int], tuple[Row, ...]] = model.memo.setdefault("context_rows", {})
    key = setting.context, setting.batch, options, gpus
    if key not in kept:
        kept[key] = tuple(context_rows(parts, options, gpus))
    return kept[key]


@lru_cache(maxsize=256)
def _words(engine: str, options: LlamaCppOptions, told: frozenset[str]) -> tuple[str, ...]:
    version = VERSION
    if engine == "ollama":
        version = f"Ollama as {VERSION} with one slot for each parallel request"
    return version, *assumptions(options, told)


def _told(model: Model, held: Stored) -> tuple[str, ...]:
    """What is known of the model only by a rule, and what it carries that the engine leaves aside."""
    words = [] if held.exact else ["types of tensors as the name of the quantization implies them"]
    if any(part.role in {"vision", "audio"} for part in model.parts):
        words.append("without the vision or audio tower, which is a file of its own (mmproj)")
    return (*words, *model.issues)


def _weighed(rows: list[Row], held: Stored, tied: int) -> list[Row]:
    """Weights with the band of their format; a tied head that the GPU holds again is overhead, not a tensor."""
    found = []
    for row in rows:
        if row.component != "weights" or row.detail == PROJECTOR:
            found.append(row)
            continue
        size = row.bytes
        if tied and row.device == "gpu":
            size -= tied
            copy = round(tied * held.ratio)
            found.append(Row("overhead", copy, copy, copy, row.basis, "the head, a copy of the embedding", "gpu"))
        found.append(banded(row, size, held))
    return found
