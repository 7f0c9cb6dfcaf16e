"""Seeded mutations: bytes that are nearly what a machine says, and values of any JSON type."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

MAX_BYTES = 256 << 10
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
NUMBERS = (
    b"", b"0", b"-1", b"1", b"4294967295", b"9223372036854775807", b"-9223372036854775808",
    b"18446744073709551616", b"9" * 30, b"9" * 400, b"9" * 5000, b"1e999", b"-0.0", b"3.7", b"NaN", b"Infinity",
    b"0x", b"0xffffffffffffffffff", b"1_000", "٣".encode(), "²".encode(), b"+5", b"007",
)  # fmt: skip
JUNK = (
    b"\x00", b"\x1b[31m", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\r", b"\n", b"\n\n\n", b"\t", b"\x0b",
    b"\x1c", b"\x85", "\u2028".encode(), "\ufeff".encode(), "\u202e".encode(), "İ".encode(), "ß".encode(),
    b"\\ud800", b"\\u0000", b"\\", b'"', b"'", b",", b":", b";", b"=", b"%", b"[", b"]", b"{", b"}", b"<", b">",
    b"</", b"<!ENTITY a 'b'>", b"&a;", b"<![CDATA[", b"null", b"true", b"[]", b"{}", b" ", b"  ", b"N/A",
    b"[N/A]", b"[GPU is lost]", b"../", b"/", b"@", b"x", b"+", b"-", b"." * 9,
)  # fmt: skip
TEXTS = (
    "", " ", "\x00", "\ufffd\ufffd", "-1", "0", "9" * 30, "9" * 5000, "N/A", "[GPU is lost]", "1e999", "nan",
    "٣", "²", "0x", "0-999999999", "../..", "GPU-", "x" * 20_000, "[" * 5000, "{" * 5000, "\n" * 2000,
    "İß\u202e", "0000:00:00.0",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**32 - 1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -0.0, 0.5, 1e308,
    -1e308, 5e-324, [], {}, [None], [[]], {"": None}, {"value": 1}, [0, 1], ["0", "1"],
)  # fmt: skip


def mutate(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """`data` after one to five mutations, at most 256 KiB of it; `others` are what it may be spliced with."""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 5))):
        data = draw.choice(_WAYS)(draw, data, others)
    return data[:MAX_BYTES]


def _flip(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:  # noqa: ARG001
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8)) if data else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncate(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:  # noqa: ARG001
    place = _place(draw, data)
    return data[:place] if draw.random() < 0.7 else data[place:]


def _splice(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = draw.choice(others)
    return data[: _place(draw, data)] + other[_place(draw, other) :]


def _repeat(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:  # noqa: ARG001
    """A chunk or a line many times over; now and then so many times that quadratic work shows."""
    begin, bound = _place(draw, data), draw.choice((b"\n", b" ", b"", b"", b""))
    if bound:
        begin = data.rfind(bound, 0, begin) + 1
    chunk = data[begin : begin + draw.randint(1, 40)]
    limit = draw.choice((256, 256, 256, 4096, 4096, 1 << 16)) if draw.random() < 0.97 else MAX_BYTES
    return data[:begin] + chunk * (limit // max(1, len(chunk))) + data[begin if draw.random() < 0.5 else len(data) :]


def _insert(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:  # noqa: ARG001
    junk, place = draw.choice(JUNK) * draw.choice((1, 1, 1, 2, 300)), _place(draw, data)
    return data[:place] + junk + data[place + draw.choice((0, 0, 1, len(junk))) :]


def _number(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:  # noqa: ARG001
    found = list(_NUMBER.finditer(data[: 1 << 16]))
    if not found:
        return data + draw.choice(NUMBERS)
    chosen = draw.choice(found)
    return data[: chosen.start()] + draw.choice(NUMBERS) + data[chosen.end() :]


def _delete(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:  # noqa: ARG001
    place = _place(draw, data)
    return data[:place] + data[place + draw.randint(1, 30) :]


def _lines(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:  # noqa: ARG001
    lines = data.split(b"\n")
    number = draw.randrange(len(lines))
    if draw.random() < 0.5:
        lines.insert(draw.randrange(len(lines) + 1), lines[number])
    else:
        del lines[number]
    return b"\n".join(lines)


def _place(draw: random.Random, data: bytes) -> int:
    return draw.randint(0, len(data))


_WAYS: tuple[Callable[[random.Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip, _truncate, _splice, _repeat, _insert, _insert, _number, _number, _delete, _lines,
)  # fmt: skip


def any_value(draw: random.Random, told: Any, depth: int = 0) -> Any:
    """A value of any JSON type; as often as not the one that was told with one part of it replaced."""
    if depth < 3 and isinstance(told, dict) and told and draw.random() < 0.6:
        name = draw.choice(list(told))
        return {**told, name: any_value(draw, told[name], depth + 1)}
    if depth < 3 and isinstance(told, list) and told and draw.random() < 0.6:
        place = draw.randrange(len(told))
        return [*told[:place], any_value(draw, told[place], depth + 1), *told[place + 1 :]]
    kind = draw.random()
    if isinstance(told, str) and kind < 0.4:
        return mutate(draw, told.encode(), [told.encode()])[: 1 << 15].decode(errors="replace")
    if kind < 0.6:
        return draw.choice(TEXTS)
    if kind < 0.85 or depth >= 3:
        return draw.choice(VALUES)
    if kind < 0.9:
        return draw.randint(-(2**63), 2**64 - 1)
    inner = [any_value(draw, told, depth + 1) for _ in range(draw.randint(0, 3))]
    return inner if kind < 0.95 else {draw.choice(TEXTS[:12]): value for value in inner}
