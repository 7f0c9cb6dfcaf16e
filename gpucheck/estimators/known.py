"""The memory of a model whose shape is known, by engine, over a number of GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.estimators.llama_cpp.estimate import cpu_rows, gpu_rows
from gpucheck.estimators.llama_cpp.needs import Needs, needs
from gpucheck.estimators.llama_cpp.options import VERSION, LlamaCppOptions, assumptions, parse_options
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.estimators.stored import Stored, in_file, stored
from gpucheck.estimators.transformers import options as transformers_options
from gpucheck.estimators.transformers.estimate import runtime_rows
from gpucheck.models.architecture import Architecture
from gpucheck.models.model import Model
from gpucheck.models.quantization import Quantization

_GGUF_ONLY = "transformers does not compute in {}: name a format of its own, such as bf16, int8 or nf4"


class Parts(Struct, frozen=True):
    """What a placement lays over devices: bytes of each layer, of the head, and of each device beside them.

    `expert_bytes` is the part of each layer that its experts are, which may stay on the host.
    """

    layer_bytes: tuple[int, ...]
    expert_bytes: tuple[int, ...]
    head_bytes: int
    device_bytes: int


def estimate_known(model: Model, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    """The memory for inference over `gpus` GPUs (0: the CPU), row by row.

    Raises:
        UsageError: an option is not the engine's, or the engine does not know the format.
    """
    architecture = _shape(model)
    if setting.engine == "transformers":
        return _transformers(model, architecture, quant, setting, gpus)
    return _llama_cpp(model, architecture, quant, setting, gpus)


def parts_of(model: Model, quant: Quantization, setting: Setting) -> Parts | None:
    """What the layers of the model need on GPUs under llama.cpp; None under an engine that does not split by layer."""
    if setting.engine == "transformers":
        return None
    options = _options(setting, 1)
    parts, held = _needs(model, _shape(model), quant, setting, options), stored(model, quant)
    rows = gpu_rows(parts, options)
    device = sum(row.bytes for row in rows if row.device == "gpu" and row.component in {"compute", "overhead"})
    return Parts(
        tuple(
            round(layer.weights_bytes * held.ratio) + layer.cache_bytes + layer.state_bytes for layer in parts.layers
        ),
        tuple(round(layer.expert_bytes * held.ratio) for layer in parts.layers),
        round((parts.output_bytes + parts.tied_bytes) * held.ratio),
        device,
    )


def _shape(model: Model) -> Architecture:
    if model.architecture is None:
        raise UsageError(
            f"the shape of {model.id} is not known: {model.issues[0] if model.issues else 'no reason told'}"
        )
    return model.architecture


def _options(setting: Setting, gpus: int) -> LlamaCppOptions:
    """The options given, with the machine's backend and, for Ollama, its own defaults."""
    given = {"backend": setting.backend, **_engine_defaults(setting), **setting.given}
    if gpus == 0:
        given["backend"] = "cpu"
    return parse_options(given)


def _engine_defaults(setting: Setting) -> dict[str, object]:
    """Ollama runs one slot for each of its parallel requests, by default one."""
    return {"n_parallel": setting.batch} if setting.engine == "ollama" else {}


def _needs(
    model: Model, architecture: Architecture, quant: Quantization, setting: Setting, options: LlamaCppOptions
) -> Needs:
    kept: dict[tuple[str, Setting, str], Needs] = model.memo.setdefault("needs", {})
    key = quant.name, setting, options.backend
    if key not in kept:
        held = stored(model, quant)
        kept[key] = needs(architecture, held.weights, setting.context, setting.batch, options)
    return kept[key]


def _llama_cpp(model: Model, architecture: Architecture, quant: Quantization, setting: Setting, gpus: int) -> Estimate:
    options = _options(setting, gpus)
    if setting.batch > 1 and options.n_parallel is not None and options.n_parallel < setting.batch:
        raise UsageError(f"{options.n_parallel} slots (n_parallel) do not hold a batch of {setting.batch}")
    held = stored(model, quant)
    parts = _needs(model, architecture, quant, setting, options)
    if options.gpu:
        rows = [each for row in gpu_rows(parts, options) for each in _over(row, max(gpus, 1))]
        if gpus > 1:
            unused = (gpus - 1) * max((layer.bytes for layer in parts.layers), default=0)
            rows.append(Row("overhead", 0, 0, unused, "range", "room that whole layers leave on the cards", "gpu"))
    else:
        rows = cpu_rows(parts, options)
    rows = _weighed(rows, held, parts.tied_bytes if options.gpu else 0)
    return Estimate(tuple(rows), (*_engine_words(setting), *assumptions(options, setting.given), *_told(model, held)))


def _engine_words(setting: Setting) -> tuple[str, ...]:
    if setting.engine == "ollama":
        return (f"Ollama as {VERSION} with one slot for each parallel request",)
    return (VERSION,)


def _told(model: Model, held: Stored) -> tuple[str, ...]:
    """What is known of the model only by a rule, and what it carries that the engine leaves aside."""
    words = [] if held.exact else ["types of tensors as the name of the quantization implies them"]
    if any(part.role in {"vision", "audio"} for part in model.parts):
        words.append("without the vision or audio tower, which is a file of its own (mmproj)")
    return (*words, *model.issues)


def _over(row: Row, gpus: int) -> Iterable[Row]:
    """Rows of buffers and contexts, once for each GPU; the others are divided over them."""
    if gpus == 1 or row.device != "gpu" or row.component not in {"compute", "overhead"}:
        return (row,)
    return tuple(replace(row, device=f"gpu{index}") for index in range(gpus))


def _weighed(rows: list[Row], held: Stored, tied: int) -> list[Row]:
    """Weights with the band of their format; a tied head that the GPU holds again is overhead, not a tensor."""
    found = []
    for row in rows:
        if row.component != "weights":
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
    if quant.mix is not None:
        raise UsageError(_GGUF_ONLY.format(quant.name))
    options = transformers_options.parse_options(setting.given)
    held = stored(model, quant)
    rows = [_banded(Row("weights", 0, 0, 0, "exact", held.detail), held.bytes, held)]
    if not in_file(model, quant):
        rows += [
            Row("weights", size, size, size, "formula", f"{part.role}, 16 bits")
            for part in model.parts
            if (size := 2 * (part.parameters or 0))
        ]
    rows += runtime_rows(architecture, setting.context, setting.batch, options, gpus)
    words = transformers_options.assumptions(options, setting.given, setting.context)
    unknown = [f"without the {part.role} part, whose shape is not known" for part in model.parts if not part.parameters]
    return Estimate(tuple(rows), (*words, *unknown, *model.issues))


Need = Callable[[int], Estimate]
