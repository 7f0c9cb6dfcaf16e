"""The build of PyTorch for people: the answer, its commands, and the reasons."""

from __future__ import annotations

from gpucheck.assess.torch_answer import TorchBuild, in_words
from gpucheck.report.page import Page

_AT = 9


def show_torch(page: Page, build: TorchBuild, verbose: bool) -> None:
    """What to install and how, or that nothing is to be had; then why."""
    page.paragraph(verdict(build), "bold")
    for label, command in (("pip", build.pip), ("uv", build.uv)):
        if command is not None:
            page.row(label, command, _AT, style="cyan")
    if build.pythons:
        page.row("Python", in_words(build.pythons), _AT)
    page.blank()
    for reason in build.reasons:
        page.paragraph(f"· {reason}", indent=2)
    for assumption in build.assumptions:
        page.paragraph(f"· {assumption}", "yellow", 2)
    if verbose:
        page.paragraph(f"Table of builds as of {build.as_of}.", "dim", 2)


def verdict(build: TorchBuild) -> str:
    """The answer in one sentence, "PyTorch 2.9.1 from cu128" where there is a build."""
    if build.answer == "unknown":
        return "Which build of PyTorch suits this machine is not known."
    if build.answer == "no":
        return "No build of PyTorch suits this machine."
    return f"PyTorch {build.version or '(newest)'} from {build.index}"
