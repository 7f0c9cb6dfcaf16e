"""`gpucheck fit`: does a model fit this machine, and where would it go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gpucheck.cli.options import chosen_machine, formats, machine_options
from gpucheck.cli.output import put, show, tool

if TYPE_CHECKING:
    from gpucheck.assess.fit import FitAnswer


@click.command("fit", short_help="does a model fit, and what does it need")
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option("--context", type=click.IntRange(1, 100_000_000), default=8192, show_default=True, metavar="TOKENS",
              help="Tokens of context for each user.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1, 65_536), default=1, show_default=True, metavar="USERS",
              help="Sequences at once.")  # fmt: skip
@click.option("--task", default="inference", show_default=True, metavar="NAME",
              help="inference, or training: full, lora or qlora, where --context is the length of a sequence and "
                   "--batch the sequences at once on each GPU.")  # fmt: skip
@click.option("--engine", default=None, metavar="NAME",
              help="llama.cpp, ollama or transformers; for training transformers, torchtune or litgpt.  "
                   "[default: llama.cpp, or transformers for training]")  # fmt: skip
@click.option("--engine-option", "engine_options", multiple=True, metavar="KEY=VALUE",
              help="An option of the engine by its own name, such as type_k=q8_0; may be repeated.")  # fmt: skip
@click.option("--max-context", is_flag=True, help="Also the longest context that fits.")
@click.option("--largest", is_flag=True, help="Instead of MODEL: the largest models of the catalogue that fit.")
@click.option("--check", is_flag=True,
              help="Exit 1 if a model does not fit or nothing can run it, 3 if the fit cannot be told.")  # fmt: skip
@machine_options
@formats("command")
def command(
    models: tuple[str, ...],
    context: int,
    batch: int,
    task: str,
    engine: str | None,
    engine_options: tuple[str, ...],
    max_context: bool,
    largest: bool,
    check: bool,
    machine_file: str | None,
    simulate: str | None,
    ram: str | None,
    cpu_cores: int | None,
    python: str | None,
    format_: str | None,
    as_json: bool,
    output: str | None,
    verbose: bool,
) -> int:
    """Does a MODEL fit, part by part, where would it go, and what would make it fit.

    MODEL is a size (7b, 70b@q4, 8x7b, 30b-a3b@Q8_0), whose answer is a range; or, with an exact shape, a name of
    `gpucheck models`, a config.json, a directory with one, a .gguf or .safetensors file, a model in the local stores
    of Hugging Face, LM Studio or Ollama, or hf:ORG/NAME. Without a quantization: the best of 16 to 4 bits that
    fits.
    """
    from gpucheck import api
    from gpucheck.report.document import FitReport

    if bool(models) == largest:
        raise click.UsageError("name a MODEL, or ask for the --largest")
    references = [api.model(model) for model in models]  # a wrong name is told before anything is inspected
    options = _options(engine_options)
    machine = chosen_machine(machine_file, simulate, ram, cpu_cores, python)
    answers = tuple(
        api.fit(
            machine,
            reference,
            context=context,
            engine=engine,
            batch=batch,
            options=options,
            max_context=max_context,
            task=task,
        )
        for reference in references
    )
    if largest:
        answers = api.largest(machine, context=context, engine=engine, batch=batch, options=options, task=task)
    if format_ == "command" and not as_json:
        put("".join(f"{answer.command or _no_command(answer)}\n" for answer in answers), output)
        return _exit_code(answers) if check else 0
    assert machine.category is not None
    report = FitReport(tool=tool(), machine=machine, category=machine.category, fit=answers)
    show(report, format_, as_json, output, verbose)
    return _exit_code(answers) if check else 0


def _no_command(answer: FitAnswer) -> str:
    """A comment in place of the command that cannot be given."""
    if answer.fits in {"no", "unknown"}:
        return f"# {answer.model} @ {answer.quant}: {answer.verdict}"
    return f"# {answer.engine} has no command of its own"


def _options(given: tuple[str, ...]) -> dict[str, str]:
    """The options of the engine by name.

    Raises:
        UsageError: one has no "=".
    """
    from gpucheck.errors import UsageError

    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{text!r} is no option of an engine: write KEY=VALUE, such as type_k=q8_0")
        found[name.strip()] = value.strip()
    return found


def _exit_code(answers: tuple[FitAnswer, ...]) -> int:
    """0 all fit, 1 one does not (partly on the CPU counts as not) or software cannot run it, 3 one cannot be told."""
    if any(answer.fits in {"no", "partial"} or answer.supported == "no" for answer in answers):
        return 1
    return 3 if any(answer.fits == "unknown" for answer in answers) else 0
