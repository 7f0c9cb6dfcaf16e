"""Names as token sets, so that GH200 is not an H200 and an L40S is neither an L40 nor an L4.

Substrings are never compared: an A100 contains an A10, an RTX A4000 an A40, an M6000 an M60 (aicr #1349).
"""

from __future__ import annotations

import re
from functools import cache

# Vendor and brand words that a name may carry or lack. Quadro, RTX, Ti, SUPER and Laptop tell products apart.
_BRAND_WORDS = {
    "nvidia": "NVIDIA", "geforce": "NVIDIA", "tesla": "NVIDIA", "amd": "AMD", "instinct": "AMD", "radeon": "AMD",
    "intel": "Intel", "apple": "Apple",
}  # fmt: skip
_FILLER_WORDS = frozenset({"graphics", "gpu", "generation", "r", "tm", "c"})  # "Intel(R) Arc(TM) A750 Graphics"
_DROPPED = _FILLER_WORDS.union(_BRAND_WORDS)
_GLUED = (
    re.compile(r"\b(rtx|gtx|rx)(?=[a-z]?\d{3,4})"),  # RTX4090
    re.compile(r"(?<=\d{3})(?=(?:ti|super|xtx|xt|gre)\b)"),  # 5070Ti
)
_SIZE = re.compile(r"\b(\d+(?:\.\d+)?) ?g(?:i?b)?\b")
_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*")
_LAPTOP = re.compile(r"\b(?:laptop|mobile|notebook|max-q design)\b")  # a "Max-Q Workstation Edition" is none


@cache
def ordered_tokens(name: str) -> tuple[str, ...]:
    """The words that matter, lower-case and in order; memory sizes as "80gb"."""
    text = name.lower()
    text = _GLUED[0].sub(r"\1 ", text)
    text = _GLUED[1].sub(" ", text)
    text = _SIZE.sub(r"\1gb", text)
    return tuple(word for word in _WORD.findall(text) if word not in _DROPPED)


def tokens(name: str) -> frozenset[str]:
    """The same, as a set: the order of words does not make another card."""
    return frozenset(ordered_tokens(name))


def vendor_of(name: str) -> str | None:
    """The maker that a name states, None when it states none."""
    return next((_BRAND_WORDS[word] for word in _WORD.findall(name.lower()) if word in _BRAND_WORDS), None)


def names_laptop(name: str) -> bool:
    """Whether a name says that it is a laptop's: "RTX 4090 Laptop GPU", "RTX 2080 with Max-Q Design"."""
    return _LAPTOP.search(name.lower()) is not None


def memory_size_gib(token: str) -> float | None:
    """24.0 for "24gb", None for any other word."""
    found = _SIZE.fullmatch(token)
    return float(found[1]) if found else None


def contains_run(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    """Whether `run` stands in `words` as neighbours: "RTX 4000" in "Quadro RTX 4000", not in "RTX PRO 4000"."""
    return any(words[start : start + len(run)] == run for start in range(len(words) - len(run) + 1))
