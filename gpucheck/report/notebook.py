"""Machines and answers as notebooks show them: the headline, a small table, the reasons."""

from __future__ import annotations

from gpucheck.assess.findings import find_problems
from gpucheck.assess.fit import FitAnswer, default_fits
from gpucheck.assess.memory import effective_memory
from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.assess.torch_answer import TorchBuild, in_words
from gpucheck.machine.types import Gpu, Machine
from gpucheck.report.headline import headline, problem_line
from gpucheck.report.require_facts import of_answer, verdict
from gpucheck.report.sheet import Sheet, Table, to_html, to_markdown
from gpucheck.report.text_fit import SYMBOLS, legend
from gpucheck.report.text_torch import verdict as torch_verdict
from gpucheck.shown import Form
from gpucheck.units import format_bytes, format_rate

_ANSWERS = {"not_met": "✗ not met", "unknown": "? unknown", "met": "✓ met"}
_BITS = {"bf16": "16-bit", "Q8_0": "8-bit", "Q4_K_M": "4-bit"}


def shown(thing: object, form: Form) -> str:
    """A machine or an answer in this form.

    Raises:
        TypeError: it is neither.
    """
    sheet = _sheet(thing)
    return to_html(sheet) if form == "html" else to_markdown(sheet)


def _sheet(thing: object) -> Sheet:
    if isinstance(thing, Machine):
        return _of_machine(thing)
    if isinstance(thing, FitAnswer):
        return _of_fit(thing)
    if isinstance(thing, Requirements):
        return _of_requirements(thing)
    if isinstance(thing, TorchBuild):
        return _of_torch(thing)
    raise TypeError(f"nothing is known of how to show {type(thing).__name__}")


def _of_machine(machine: Machine) -> Sheet:
    trouble = problem_line(find_problems(machine))
    fits = default_fits(machine)
    gpus = Table(
        "GPUs",
        ("GPU", "name", "memory", "free", "bandwidth", "category", "state"),
        tuple(_gpu(gpu) for gpu in machine.gpus),
    )
    return Sheet(
        title=headline(machine),
        lines=(trouble,) if trouble else (),
        tables=(*((gpus,) if machine.gpus else ()), _of_sizes(fits)),
        notes=(legend(fits, bool(effective_memory(machine).pools)),),
    )


def _gpu(gpu: Gpu) -> tuple[str, ...]:
    rate = gpu.bandwidth_bytes_per_s
    return (
        str(gpu.index),
        gpu.name or f"{gpu.vendor} GPU without a name",
        _bytes(gpu.memory.total_bytes),
        _bytes(gpu.memory.free_bytes),
        "unknown" if rate is None else format_rate(rate),
        gpu.category.name if gpu.category else "unknown",
        _state(gpu),
    )


def _state(gpu: Gpu) -> str:
    if gpu.hidden_by is not None:
        return f"hidden by {gpu.hidden_by}"
    if gpu.usable:
        return "usable"
    return gpu.state.replace("_", " ") if gpu.state != "ok" else "driven, but closed to processes"


def _of_sizes(answers: tuple[FitAnswer, ...]) -> Table:
    """Sizes down, precisions across."""
    quants = tuple(dict.fromkeys(answer.quant for answer in answers))
    needs = {(answer.model, answer.quant): answer for answer in answers}
    rows = tuple(
        (size.upper(), *(f"{SYMBOLS[needs[size, quant].fits]} {_need(needs[size, quant])}" for quant in quants))
        for size in dict.fromkeys(answer.model for answer in answers)
    )
    caption = f"What fits: {answers[0].engine}, {answers[0].context:,} tokens of context, one user"
    return Table(caption, ("size", *(_BITS.get(quant, quant) for quant in quants)), rows)


def _of_fit(answer: FitAnswer) -> Sheet:
    memory = answer.memory
    parts = {
        "weights": memory.weights_bytes,
        "KV cache": memory.kv_cache_bytes,
        "compute": memory.compute_bytes,
        "overhead": memory.overhead_bytes,
        "total": memory.total_bytes,
    }
    limits = f"between {format_bytes(memory.low_bytes)} and {format_bytes(memory.high_bytes)}"
    rows = (
        *((name, format_bytes(size)) for name, size in parts.items()),
        ("available", _bytes(memory.available_bytes)),
    )
    changes = (f"or: {SYMBOLS[one.fits]} {one.what}: {format_bytes(one.total_bytes)}" for one in answer.changes)
    longest = () if answer.max_context is None else (f"up to {answer.max_context:,} tokens of context fit",)
    support = () if answer.supported == "yes" else answer.support_reasons
    return Sheet(
        title=f"{SYMBOLS[answer.fits]} {answer.model} @ {answer.quant}: {answer.verdict}",
        lines=(f"{answer.engine}, {answer.context:,} tokens of context; needs {_need(answer)}, {limits}",),
        commands=(answer.command,) if answer.command is not None else (),
        tables=(Table("Memory", ("part", "size"), rows),),
        notes=(*answer.reasons[1:], *support, *changes, *longest),
    )


def _of_requirements(requirements: Requirements) -> Sheet:
    profile = f"{requirements.profile}: " if requirements.profile else ""
    rows = tuple(
        (
            outcome.key,
            words,
            outcome.required,
            outcome.found or f"unknown: {outcome.reason or 'no reason is known'}",
            (outcome.remedy or "") if outcome.answer != "met" else "",
        )
        for answer, words in _ANSWERS.items()
        for outcome in of_answer(requirements, answer)  # type: ignore[arg-type]
    )
    table = Table("Requirements", ("requirement", "answer", "needs", "found", "what to do"), rows)
    title = f"{_ANSWERS[requirements.answer][0]} {profile}{verdict(requirements)}"
    return Sheet(title=title, tables=(table,) if rows else ())


def _of_torch(build: TorchBuild) -> Sheet:
    pythons = (f"Python {in_words(build.pythons)}",) if build.pythons else ()
    return Sheet(
        title=torch_verdict(build),
        lines=pythons,
        commands=tuple(command for command in (build.pip, build.uv) if command is not None),
        notes=(*build.reasons, *build.assumptions),
    )


def _need(answer: FitAnswer) -> str:
    return format_bytes(answer.memory.total_bytes)


def _bytes(size: int | None) -> str:
    return "unknown" if size is None else format_bytes(size)
