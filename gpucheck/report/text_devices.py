"""Picked GPUs for people: which, why, and the variables that keep a program to them."""

from __future__ import annotations

from gpucheck.report.document import DevicesReport
from gpucheck.report.page import Page

_AT = 11


def show_devices(page: Page, report: DevicesReport) -> None:
    """The verdict, how to use it, and the reasons."""
    page.paragraph(_verdict(report), "bold")
    for name, value in report.environment.items():
        page.row("set", f"{name}={value}", _AT, style="cyan")
    if report.torch_devices:
        page.row("PyTorch", ", ".join(report.torch_devices), _AT)
    page.blank()
    for reason in report.reasons:
        page.paragraph(f"· {reason}", indent=2)


def _verdict(report: DevicesReport) -> str:
    if report.answer == "met":
        return f"Take GPU {', '.join(map(str, report.devices))}"
    if report.answer == "unknown":
        return f"Whether there is what was asked for is not known: {report.needed}"
    return f"There is not what was asked for: {report.needed}"
