"""What fits, as a table of sizes and precisions, or one block for each model that was asked for."""

from __future__ import annotations

from gpucheck.assess.fit import FitAnswer
from gpucheck.report.page import Cell, Page
from gpucheck.units import format_bytes

SYMBOLS = {"yes": "✓", "tight": "±", "partial": "◐", "no": "✗", "unknown": "?"}
_STYLES = {"yes": "green", "tight": "green", "partial": "yellow", "no": "red", "unknown": "yellow"}
_BITS = {"bf16": "16-bit", "Q8_0": "8-bit", "Q4_K_M": "4-bit"}
_AT, _PART_AT = 13, 15
_COMPONENTS = {"weights": "weights", "kv_cache": "KV cache", "compute": "compute", "overhead": "overhead"}


def show_table(page: Page, answers: tuple[FitAnswer, ...], *, gpu: bool) -> None:
    """Sizes down, precisions across; the memory that each needs, and whether that is there."""
    first = answers[0]
    page.row("What fits", f"{first.engine}, {first.context:,} tokens of context, one user", _AT, label_style="bold")
    quants = list(dict.fromkeys(answer.quant for answer in answers))
    page.cells([Cell("", 6), *(Cell(f"  {_BITS.get(quant, quant)}", 12) for quant in quants)])
    sizes = list(dict.fromkeys(answer.model for answer in answers))
    by_place = {(answer.model, answer.quant): answer for answer in answers}
    for size in sizes:
        cells = [Cell(size.upper(), 4, right=True), Cell("", 2)]
        for quant in quants:
            answer = by_place[size, quant]
            cells.append(Cell(f"{SYMBOLS[answer.fits]} ", 2, _STYLES[answer.fits]))
            cells.append(Cell(_need(answer), 10))
        page.cells(cells)
    page.paragraph(legend(answers, gpu), "dim", 2)
    if all(answer.supported == "no" for answer in answers):
        page.paragraph(f"{first.engine} does not run here: {'; '.join(first.support_reasons)}", "yellow", 2)
    page.paragraph("A bare size has no exact shape: these are middles of a range. -v shows the ranges.", "dim", 2)


def show_ranges(page: Page, answers: tuple[FitAnswer, ...]) -> None:
    """One line for each cell of the table, with the reasons, of which the first has the range."""
    for answer in answers:
        page.row(f"{answer.model}@{answer.quant}", "; ".join(answer.reasons), 20, 2)


def show_answer(page: Page, answer: FitAnswer, *, verbose: bool = False) -> None:
    """One model: the verdict, its memory part by part, where it goes and why."""
    page.blank()
    memory = answer.memory
    page.row(
        SYMBOLS[answer.fits],
        f"{answer.model} @ {answer.quant}: {answer.verdict}",
        4,
        2,
        "bold",
        _STYLES[answer.fits],
    )
    page.row("needs", f"{format_bytes(memory.total_bytes)}, between {format_bytes(memory.low_bytes)} and"
             f" {format_bytes(memory.high_bytes)}", _PART_AT, 4)  # fmt: skip
    page.row("made of", ", ".join(_parts(answer)), _PART_AT, 4)
    if verbose:
        for row in answer.rows:
            if row.bytes or row.high_bytes:
                part = f"{format_bytes(row.bytes)} {_COMPONENTS[row.component]}, {_where(row.device)}: {row.detail}"
                page.row("", part, _PART_AT + 2, 4, "dim")
    available = "unknown" if memory.available_bytes is None else format_bytes(memory.available_bytes)
    page.row("available", available, _PART_AT, 4)
    for reason in answer.reasons[1:]:  # the first is the need, which stands above
        page.row("because", reason, _PART_AT, 4)
    if answer.supported != "yes" or (verbose and answer.support_reasons):
        page.row("supported", _supported(answer), _PART_AT, 4)
    if answer.placement.layers:
        page.row("layers", _layers(answer), _PART_AT, 4)
    if answer.serving is not None:
        held = f"{answer.serving.kv_tokens:,} tokens of cache, {answer.serving.sequences:,.1f} times"
        page.row("serves", f"{held} a context of {answer.context:,}", _PART_AT, 4)
    for change in answer.changes:
        symbol = SYMBOLS[change.fits]
        page.row("or", f"{symbol} {change.what}: {format_bytes(change.total_bytes)}", _PART_AT, 4)
    if answer.max_context is not None:
        page.row("context", f"up to {answer.max_context:,} tokens fit", _PART_AT, 4)
    if answer.command and answer.rows:
        page.row("start", answer.command, _PART_AT, 4)
    page.row("assuming", "; ".join(answer.assumptions), _PART_AT, 4, "dim")


def _supported(answer: FitAnswer) -> str:
    """Whether software runs it, in a word and with the reasons."""
    word = {"partial": "in part", "unknown": "not known"}.get(answer.supported, answer.supported)
    return f"{word}: {'; '.join(answer.support_reasons)}"


def _parts(answer: FitAnswer) -> list[str]:
    """The sums by component; for training the rows, which say what is gradients, states and activations."""
    if answer.task != "inference":
        return [f"{row.detail} {format_bytes(row.bytes)}" for row in answer.rows if row.bytes]
    memory = answer.memory
    parts = {
        "weights": memory.weights_bytes,
        "KV cache": memory.kv_cache_bytes,
        "compute": memory.compute_bytes,
        "overhead": memory.overhead_bytes,
    }
    return [f"{name} {format_bytes(size)}" for name, size in parts.items() if size or name == "weights"]


def _layers(answer: FitAnswer) -> str:
    """Which layers lie where, in words."""
    placement = answer.placement
    on_gpus, total = sum(placement.layers), placement.total_layers
    words = (
        f"{on_gpus} of {total} on the GPU"
        if len(placement.layers) == 1
        else (
            ", ".join(
                f"{count} on GPU {index}" for index, count in zip(placement.devices, placement.layers, strict=True)
            )
        )
    )
    if placement.experts_on_host:
        words += f"; the experts of the first {placement.experts_on_host} stay in RAM"
    return words


def _where(device: str) -> str:
    """Where in words: "gpu" is all of them together, "gpu1" one of several."""
    if device == "host":
        return "in RAM"
    return "on the GPU" if device == "gpu" else f"on GPU {int(device.removeprefix('gpu')) + 1} of those used"


def _need(answer: FitAnswer) -> str:
    return format_bytes(answer.memory.total_bytes)


def legend(answers: tuple[FitAnswer, ...], gpu: bool) -> str:
    """The symbols that this table uses, and no others."""
    words = {
        "yes": "on the GPU" if gpu else "in RAM, on the CPU",
        "tight": "tight",
        "partial": "partly or wholly on the CPU",
        "no": "does not fit",
        "unknown": "cannot be told",
    }
    used = {answer.fits for answer in answers}
    return "   ".join(f"{SYMBOLS[fits]} {word}" for fits, word in words.items() if fits in used)
