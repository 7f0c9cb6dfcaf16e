"""What shows itself in a notebook.

A notebook asks an object's type for `_repr_html_` and `_repr_markdown_`. Facts and answers lie below the report, which
they may not import, so the Python interface hands the renderer down (`show_with`) and it is asked from here. An object
that nobody has handed a renderer for is shown by its plain `repr`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Form = Literal["html", "markdown"]
Renderer = Callable[[object, Form], str]

_renderers: list[Renderer] = []


def show_with(renderer: Renderer) -> None:
    """Let this renderer show every `Shown` object, in place of an earlier one."""
    _renderers[:] = [renderer]


class Shown:
    """Shows itself in notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """A piece of an HTML page, without scripts or colours of its own; None where nothing renders."""
        return _renderers[0](self, "html") if _renderers else None

    def _repr_markdown_(self) -> str | None:
        """The same in GitHub-flavoured Markdown."""
        return _renderers[0](self, "markdown") if _renderers else None
