"""The group of commands: loads each on demand, and takes `report` where no command is named."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "report": "the whole answer for this machine (the default)",
    "fit": "does a model of this size fit, and where",
    "doctor": "what is wrong, and the commands that mend it",
    "explain": "what a finding's code means",
    "torch": "which build of PyTorch suits this machine",
    "devices": "which GPUs a program should take now",
    "require": "does this machine meet requirements: the gate for CI",
    "init": "write a requirements file from this machine",
    "gpus": "the catalogue of cards and their categories",
    "models": "the catalogue of models and their shapes",
    "labels": "labels of this machine for runners and nodes",
    "record": "write a recording of this machine for a bug report",
    "schema": "the JSON schemas of what gpucheck prints",
}
_OWN_OPTIONS = frozenset({"-h", "--help", "--version"})


class CommandGroup(click.Group):
    """`gpucheck COMMAND`, where each command's module is `gpucheck.cli.COMMAND` and its function `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"gpucheck.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`gpucheck` and `gpucheck --json` mean `gpucheck report …`."""
        if not args or (args[0].startswith("-") and args[0] not in _OWN_OPTIONS):
            args = ["report", *args]
        return super().parse_args(ctx, args)
