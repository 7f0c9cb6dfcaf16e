"""On which line of a TOML file each key stands: tomllib reads values, and forgets where they were.

A scanner for text that tomllib has accepted: it knows keys, tables, arrays and strings, and no values. On text that
is no TOML it ends too, with whatever it has understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_LITERAL = re.compile(r"'([^'\n]*)'")
_ESCAPE = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[btnfre"\\])')
_PLAIN = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}
_DEEPEST = 64


def find_lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, of every key, table and element of an array, by its path.

    `[profile.train]` is at ("profile", "train"), the second `[[any]]` at ("any", 1), and of an inline table
    `model = [{ model = "8b" }]` the inner key at ("model", 0, "model"). A table that several headers imply is where
    the first of them stands.
    """
    return _Scanner(text).run()


def unclosed(text: str) -> tuple[str, int] | None:
    """The key, and its line, whose array, table or string of several lines is still open at the end of a text."""
    scanner = _Scanner(text)
    lines = scanner.run()
    path = scanner.unclosed
    return None if path is None else (".".join(map(str, path)), lines[path])


class _Scanner:
    """One pass over a text; `_at` is the place in it."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._counted = 0
        self._found: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}  # of tables: how many there are
        self._open = False
        self.unclosed: Path | None = None

    def run(self) -> dict[Path, int]:
        """The lines."""
        table: Path = ()
        while self._at < len(self._text):
            before = self._at
            self._skip_blank(newlines=True)
            if self._peek() == "[":
                table = self._header()
            elif self._at < len(self._text):
                self._pair(table, 0)
            if self._at == before:
                self._at += 1  # no TOML: on
        return self._found

    def _header(self) -> Path:
        """The table that `[a.b]` or `[[a.b]]` begins."""
        double = self._text.startswith("[[", self._at)
        self._at += 2 if double else 1
        line = self._line_here()
        names = tuple(self._keys())
        path: Path = ()
        for index, name in enumerate(names):
            path = (*path, name)
            self._found.setdefault(path, line)
            if double and index == len(names) - 1:
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
                self._found.setdefault(path, line)
        self._skip_to_line_end()
        return path

    def _pair(self, table: Path, depth: int) -> None:
        """One `key = value`, whose key may have dots."""
        line = self._line_here()
        path = table
        for name in self._keys():
            path = (*path, name)
            self._found.setdefault(path, line)
        self._skip_blank()
        if self._peek() != "=":
            self._skip_to_line_end()
            return
        self._at += 1
        self._skip_blank()
        self._value(path, depth)
        if depth == 0 and self._open:
            self.unclosed = path

    def _keys(self) -> Iterator[str]:
        """The parts of a dotted key."""
        while True:
            self._skip_blank()
            for pattern in (_BARE, _BASIC, _LITERAL):
                if found := pattern.match(self._text, self._at):
                    self._at = found.end()
                    yield found[0] if pattern is _BARE else _unescaped(found[1]) if pattern is _BASIC else found[1]
                    break
            else:
                return
            self._skip_blank()
            if self._peek() != ".":
                return
            self._at += 1

    def _value(self, path: Path, depth: int) -> None:
        """Past a value; of arrays and inline tables the lines of what is in them."""
        char = self._peek()
        if depth > _DEEPEST:
            self._at = len(self._text)
        elif char in {'"', "'"}:
            self._string(char)
        elif char == "[":
            self._array(path, depth)
        elif char == "{":
            self._inline(path, depth)
        else:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._at += 1

    def _string(self, quote: str) -> None:
        if not self._text.startswith(quote * 3, self._at):
            found = (_BASIC if quote == '"' else _LITERAL).match(self._text, self._at)
            self._at = found.end() if found else self._at + 1
            return
        self._at += 3
        while self._at < len(self._text):
            if quote == '"' and self._peek() == "\\":
                self._at += 2
            elif self._text.startswith(quote * 3, self._at):
                self._at += 3
                while self._peek() == quote:  # up to two quotes may stand before the closing ones
                    self._at += 1
                return
            else:
                self._at += 1
        self._open = True

    def _array(self, path: Path, depth: int) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip_blank(newlines=True)
            char = self._peek()
            if char in {"]", ""}:
                self._open = self._open or not char
                self._at += 1
                return
            before = self._at
            self._found.setdefault((*path, index), self._line_here())
            self._value((*path, index), depth + 1)
            self._skip_blank(newlines=True)
            if self._peek() == ",":
                self._at += 1
                index += 1
            elif self._at == before:
                return  # no TOML

    def _inline(self, path: Path, depth: int) -> None:
        self._at += 1
        while True:
            self._skip_blank(newlines=True)
            char = self._peek()
            if char in {"}", ""}:
                self._open = self._open or not char
                self._at += 1
                return
            before = self._at
            self._pair(path, depth + 1)
            self._skip_blank(newlines=True)
            if self._peek() == ",":
                self._at += 1
            elif self._at == before:
                return

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip_blank(self, *, newlines: bool = False) -> None:
        """Past blanks, and with `newlines` past line ends and comments."""
        while (char := self._peek()) and (char in " \t" or (newlines and char in "\n\r#")):
            if char == "#":
                self._skip_to_line_end()
            else:
                self._at += 1

    def _skip_to_line_end(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end


def _unescaped(text: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] not in "uU":
            return _PLAIN[code]
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else "?"

    return _ESCAPE.sub(replaced, text)
