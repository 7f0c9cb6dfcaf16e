"""The catalogue of models for people: two lines a model."""

from __future__ import annotations

from gpucheck.models.entry import ModelEntry
from gpucheck.report.page import Page
from gpucheck.units import format_bytes

_INDENT = 4


def show_models(page: Page, models: tuple[ModelEntry, ...], verbose: bool) -> None:
    """The id with its parameters, and below it the shape, the licence and the size of a usual file."""
    for entry in models:
        page.spread([(entry.id, "bold")], _parameters(entry))
        page.paragraph(", ".join(_facts(entry)), "dim", _INDENT)
        if verbose:
            for issue in entry.issues:
                page.paragraph(issue, "yellow", _INDENT)
            page.paragraph(f"confidence {entry.confidence}: {entry.source}", "dim", _INDENT)


def format_count(count: int) -> str:
    """Parameters with three significant digits: "8.03B", "135M", "1.03T"."""
    scale, unit = next(
        ((scale, unit) for scale, unit in ((10**12, "T"), (10**9, "B")) if count >= 0.9995 * scale), (10**6, "M")
    )
    amount = float(f"{count / scale:.3g}")
    return f"{amount:.{0 if amount >= 100 else 1 if amount >= 10 else 2}f}{unit}"


def _parameters(entry: ModelEntry) -> str:
    """Such as "30.5B, 3.35B active"."""
    routed = entry.active_parameters < entry.total_parameters
    return format_count(entry.total_parameters) + (
        f", {format_count(entry.active_parameters)} active" if routed else ""
    )


def _facts(entry: ModelEntry) -> list[str]:
    if entry.kind == "pipeline":
        parts = [f"{part.name} {format_count(part.parameters)}" for part in entry.components]
        return [*parts, entry.license or "licence unknown"]
    found = [f"{entry.layers} layers", " + ".join(entry.attention)]
    found.append("context unknown" if entry.context is None else f"context {entry.context:,}")
    found.append(entry.license or "licence unknown")
    if entry.q4_k_m_bytes is not None:
        found.append(f"Q4_K_M {format_bytes(entry.q4_k_m_bytes)}")
    return found
