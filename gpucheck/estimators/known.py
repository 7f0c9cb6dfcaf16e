"""The memory of a model whose shape is known, by engine, over a number of GPUs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import ceil

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.llama_cpp.estimate import cpu_rows, gpu_rows
from gpucheck.estimators.llama_cpp.needs import LayerNeed, Needs, needs
from gpucheck.estimators.llama_cpp.options import VERSION, LlamaCppOptions, assumptions, parse_options
from gpucheck.estimators.parts import Parts
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.stored import Stored, in_file, in_gguf, stored
from gpucheck.estimators.transformers import options as transformers_options
from gpucheck.estimators.transformers.estimate import runtime_rows
from gpucheck.estimators.transformers.loading import Checkpoint, head_stored_twice
from gpucheck.models.architecture import Architecture
from gpucheck.models.model import Model
from gpucheck.models.quantization import Quantization

_PROJECTOR = "projector (mmproj)"  # a file of its own, of known size
_NO_GGUF = "{} does not read {}: name a GGUF quantization, such as Q4_K_M or Q8_0, or the engine transformers"
_GGUF_ONLY = "transformers does not compute in {}: name a format of its own, such as bf16, int8 or nf4"


def estimate_known(model: Model, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    """The memory for inference over `gpus` GPUs (0: the CPU), row by row, each where it lies.

    Raises:
        UsageError: an option is not the engine's, or the engine does not know the format.
    """
    architecture = _shape(model)
    if setting.engine == "transformers":
        return _transformers(model, architecture, quant, setting, gpus)
    return _llama_cpp(model, architecture, quant, setting, gpus)


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


def _parts(model: Model, quant: Quantization, setting: Setting) -> Parts:
    options = _options(setting, True)
    parts, held = _needs(model, _shape(model), quant, setting, options), stored(model, quant)
    rows = gpu_rows(parts, options)
    device = sum(row.bytes for row in rows if row.device == "gpu" and row.component in {"compute", "overhead"})
    count, kept = len(parts.layers), options.n_cpu_moe
    fewer = 0 <= options.n_gpu_layers <= count
    start = count - max(options.n_gpu_layers - 1, 0) if fewer else 0  # the head is the first of them
    told = told_layers(count, setting)
    layers = [
        _on_gpu(layer, held.ratio, options, shed=position < kept)
        for position, layer in enumerate(parts.layers)
        if position >= start
    ]
    experts = [0 if told else ceil(layer.expert_bytes * held.ratio) for layer in parts.layers[start:]]
    head = ceil((parts.output_bytes + parts.tied_bytes) * held.ratio) if options.n_gpu_layers else 0
    return Parts(
        tuple(layers), tuple(experts), head, device, options.mmproj_bytes, count, told,
        min(kept, count) if told else 0, max(max(parts.several(options, 2).devices) - parts.device_compute_bytes, 0),
    )  # fmt: skip


def _on_gpu(layer: LayerNeed, ratio: float, options: LlamaCppOptions, *, shed: bool) -> int:
    """Bytes of a layer on its GPU; experts that are `shed`, and a cache that is not offloaded, are not there."""
    weights = layer.weights_bytes - (layer.expert_bytes if shed else 0)
    return ceil(weights * ratio) + (layer.cache_bytes + layer.state_bytes if options.offload_kqv else 0)


def _shape(model: Model) -> Architecture:
    if model.architecture is None:
        raise UsageError(
            f"the shape of {model.id} is not known: {model.issues[0] if model.issues else 'no reason told'}"
        )
    return model.architecture


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


def _needs(
    model: Model, architecture: Architecture, quant: Quantization, setting: Setting, options: LlamaCppOptions
) -> Needs:
    """What each part needs; where the parts go (`n_gpu_layers`, `n_cpu_moe`) does not change it."""
    kept: dict[tuple[str, int, int, LlamaCppOptions], Needs] = model.memo.setdefault("needs", {})
    alike = options
    if options.n_gpu_layers >= 0 or options.n_cpu_moe:
        alike = replace(options, n_gpu_layers=-1, n_cpu_moe=0)
    key = quant.name, setting.context, setting.batch, alike
    if key not in kept:
        held = stored(model, quant)
        kept[key] = needs(architecture, held.weights, setting.context, setting.batch, alike)
    return kept[key]


def _llama_cpp(model: Model, architecture: Architecture, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    options = _options(setting, gpus > 0)
    if setting.batch > 1 and options.n_parallel is not None and options.n_parallel < setting.batch:
        raise UsageError(f"{options.n_parallel} slots (n_parallel) do not hold a batch of {setting.batch}")
    if not in_gguf(quant) and not (model.source == "gguf" and in_file(model, quant)):
        raise UsageError(_NO_GGUF.format(setting.engine, quant.name))
    held = stored(model, quant)
    parts = _needs(model, architecture, quant, setting, options)
    if options.gpu:
        buffers = parts.several(options, gpus).devices if gpus > 1 else ()
        rows = [each for row in gpu_rows(parts, options) for each in _over(row, max(gpus, 1), buffers)]
        if gpus > 1:
            unused = (gpus - 1) * parts.largest_layer_bytes
            rows.append(Row("overhead", 0, 0, unused, "range", "room that whole layers leave on the cards", "gpu"))
    else:
        rows = cpu_rows(parts, options)
    head = options.gpu and options.n_gpu_layers != 0
    rows = _weighed(rows, held, parts.tied_bytes if head else 0)
    return Estimate(tuple(rows), (*_words(setting, gpus > 0), *_told(model, held)))


@lru_cache(maxsize=256)
def _words(setting: Setting, on_gpu: bool) -> tuple[str, ...]:
    version = VERSION
    if setting.engine == "ollama":
        version = f"Ollama as {VERSION} with one slot for each parallel request"
    return version, *assumptions(_options(setting, on_gpu), setting.given)


def _told(model: Model, held: Stored) -> tuple[str, ...]:
    """What is known of the model only by a rule, and what it carries that the engine leaves aside."""
    words = [] if held.exact else ["types of tensors as the name of the quantization implies them"]
    if any(part.role in {"vision", "audio"} for part in model.parts):
        words.append("without the vision or audio tower, which is a file of its own (mmproj)")
    return (*words, *model.issues)


def _over(row: Row, gpus: int, buffers: tuple[int, ...]) -> Iterable[Row]:
    """Rows of buffers and contexts, once for each GPU; the others are divided over them.

    Compute buffers are those of the first GPU, of those between, and of the last, each with the row's band.
    """
    if gpus == 1 or row.device != "gpu" or row.component not in {"compute", "overhead"}:
        return (row,)
    if row.component == "overhead" or row.basis == "range":
        return tuple(replace(row, device=f"gpu{index}") for index in range(gpus))
    sizes = (buffers[0], *(buffers[1:-1] or buffers[-1:]) * (gpus - 2), buffers[-1])
    return tuple(_resized(replace(row, device=f"gpu{index}"), size) for index, size in enumerate(sizes))


def _resized(row: Row, size: int) -> Row:
    ratio = size / row.bytes if row.bytes else 1.0
    return replace(row, bytes=size, low_bytes=round(row.low_bytes * ratio), high_bytes=round(row.high_bytes * ratio))


def _weighed(rows: list[Row], held: Stored, tied: int) -> list[Row]:
    """Weights with the band of their format; a tied head that the GPU holds again is overhead, not a tensor."""
    found = []
    for row in rows:
        if row.component != "weights" or row.detail == _PROJECTOR:
            found.append(row)
            continue
        size = row.bytes
        if tied and row.device == "gpu":
            size -= tied
            copy = round(tied * held.ratio)
            found.append(Row("overhead", copy, copy, copy, row.basis, "the head, a copy of the embedding", "gpu"))
        found.append(_banded(row, size, held))
    return found


def _banded(row: Row, size: int, held: Stored) -> Row:
    middle = round(size * held.ratio)
    if held.exact:
        return replace(row, bytes=middle, low_bytes=middle, high_bytes=middle)
    low, high = round(size * held.low_ratio), round(size * held.high_ratio)
    return replace(row, bytes=middle, low_bytes=low, high_bytes=high, basis="formula")


def _transformers(
    model: Model, architecture: Architecture, quant: Quantization, setting: Setting, gpus: int
) -> Estimate:
    if quant.mix is not None or (model.source == "gguf" and not in_gguf(quant)):
        raise UsageError(_GGUF_ONLY.format(quant.name))
    options = transformers_options.parse_options(setting.given)
    held = stored(model, quant, gguf=False)
    rows = [_banded(Row("weights", 0, 0, 0, "exact", held.detail), held.bytes, held)]
    if not in_file(model, quant):
        rows += [
            Row("weights", size, size, size, "formula", f"{part.role}, 16 bits")
            for part in model.parts
            if (size := 2 * (part.parameters or 0))
        ]
    loaded = Checkpoint(quant.name, head_stored_twice(model) and not in_file(model, quant))
    rows += runtime_rows(architecture, setting.context, setting.batch, options, gpus, checkpoint=loaded)
    words = transformers_options.assumptions(options, setting.given, setting.context)
    unknown = [f"without the {part.role} part, whose shape is not known" for part in model.parts if not part.parameters]
    if not gpus:
        rows = [replace(row, device="host") for row in rows]
    return Estimate(tuple(rows), (*words, *unknown, *model.issues))
