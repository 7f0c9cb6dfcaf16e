"""The finder of lines in TOML."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.assess.requirements.lines import find_lines, unclosed

_TEXT = (
    """# a comment with = and [brackets]
plain = 1
"quo.ted" = "a # no comment" # one
'lit#eral' = 'it"""
    """'
dotted.key . "third" = true

many = \"\"\"
[not.a.table]
no_key = 1 \\\"\"\" still inside
\"\"\"
also = '''
# no comment = 1
[[no]]'''
list = [
  1, # one ]
  [2,
   3],
  { a = 1, b.c = "}" },
]
inline = { x = [ { y = 1 } ], z = 2 }
last_quote = \"\"\"ends with a quote\"\"\"\"

[table]
key = 1
[table.inner]
key = 2
[[tables]]
key = 3
[[tables]] # the second
key = 4
  [tables.below]
  key = 5
"""
)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Every path of a parsed document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = set()
    for key, inner in items:
        found |= {(*path, key)} | _paths(inner, (*path, key))
    return found


def test_every_key_has_its_line() -> None:
    """Comments, strings over several lines, arrays, inline and dotted tables do not confuse the count."""
    text = _TEXT.replace("'lit#eral' = 'it'", "'lit#eral' = 'it'")
    lines = find_lines(text)
    numbered = dict(enumerate(text.split("\n"), 1))
    for path, begins in {
        ("plain",): "plain", ("quo.ted",): '"quo.ted"', ("lit#eral",): "'lit#eral'",
        ("dotted", "key", "third"): "dotted",
        ("many",): "many", ("also",): "also", ("list",): "list", ("list", 0): "  1", ("list", 1): "  [2",
        ("list", 1, 1): "   3", ("list", 2, "b", "c"): "  { a", ("inline", "x", 0, "y"): "inline",
        ("last_quote",): "last_quote", ("table",): "[table]", ("table", "key"): "key = 1",
        ("table", "inner"): "[table.inner]", ("table", "inner", "key"): "key = 2", ("tables", 0): "[[tables]]",
        ("tables", 1): "[[tables]] #", ("tables", 1, "key"): "key = 4", ("tables", 1, "below", "key"): "  key = 5",
    }.items():  # fmt: skip
        assert numbered[lines[path]].startswith(begins), (path, lines[path])


def test_it_finds_what_tomllib_finds_and_nothing_else() -> None:
    """The paths with a line are those of the parsed document."""
    assert set(find_lines(_TEXT)) == _paths(tomllib.loads(_TEXT))


def test_windows_line_ends() -> None:
    """A carriage return before the end of a line changes no number."""
    text = 'a = 1\r\nb = """x\r\ny"""\r\nc = 2\r\n'
    assert find_lines(text) == {("a",): 1, ("b",): 2, ("c",): 4}


@given(st.text(alphabet="ab.=\"'[]{}#,\n\\ 1", max_size=60))
def test_it_ends_on_any_text(text: str) -> None:
    """On whatever text it ends without an error, and where the text is TOML it has a line for each of its keys."""
    lines = find_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert _paths(parsed) <= set(lines)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = 1\nb = [\n 1,\n", ("b", 2)), ('x.y = """\ntext\n', ("x.y", 1)), ("a = { b = [\n", ("a", 1)),
        ("a = [1]\nb = { c = 1 }\n", None), ("a = '''\n'''\n", None), ("[t]\na = '''\n", ("t.a", 2)), ("", None),
    ],
)  # fmt: skip
def test_a_value_that_is_not_closed(text: str, found: tuple[str, int] | None) -> None:
    """The key whose value runs past the end of a text, and its line."""
    assert unclosed(text) == found
