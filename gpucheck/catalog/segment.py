"""Which market a card is made for, by the words of its name or the brand its driver states; no figures."""

from __future__ import annotations

import re

from gpucheck.catalog.cards import Segment
from gpucheck.catalog.names import names_laptop

_BRANDS: dict[str, Segment] = {
    "geforce": "consumer", "geforce rtx": "consumer", "titan": "consumer", "titan rtx": "consumer",
    "quadro": "workstation", "quadro rtx": "workstation", "nvidia rtx": "workstation", "nvs": "workstation",
    "tesla": "datacenter", "grid": "datacenter",
}  # fmt: skip
_WORD = re.compile(r"[a-z0-9]+")
_LAPTOP_CODE = re.compile(r"mx\d{3}|a\d{3}m|\d{4}[ms]")  # GeForce MX550, Arc A770M, RX 7700S
_CONSUMER_WORDS = frozenset({"geforce", "gtx", "titan", "rx", "vega", "hd"})
_WORKSTATION_WORDS = frozenset({"quadro", "nvs", "firepro", "pro", "ada", "wx"})
_DATACENTER_WORDS = frozenset({"tesla", "instinct", "grid", "hgx", "gaudi"})
_EMBEDDED_WORDS = frozenset({"jetson", "orin", "thor", "xavier", "tegra", "nvgpu"})
_GEFORCE_NUMBER = re.compile(r"[2-9]0[5-9]0")  # RTX 2060 … RTX 5090 and later, not RTX 4000 or RTX A4000
_DATACENTER_CODE = re.compile(r"(?:gb|gh|[abhlpv])\d{1,3}[a-z]?|r\d{3}|mi\d{2,3}[a-z]?|t4g?|m[46]0|k[1248]0")
_WORKSTATION_CODE = re.compile(r"a\d{3,4}|t[1456]\d{2,3}|[kpm]\d{3,4}|w\d{4}")


def segment_of(name: str | None, brand: str | None = None) -> Segment | None:
    """The market segment of a card by its name's words and its driver's brand; None when they do not tell."""
    words = _WORD.findall((name or "").lower())
    found = set(words)
    if found & _EMBEDDED_WORDS:
        return "embedded"
    if "apple" in found:
        return "soc"
    segment = _by_words(found, words) or _BRANDS.get((brand or "").lower())
    if segment in {"consumer", "workstation"} and names_laptop(name or ""):
        return "laptop"
    if segment == "consumer" and any(_LAPTOP_CODE.fullmatch(word) for word in words):
        return "laptop"
    return segment


def _by_words(found: set[str], words: list[str]) -> Segment | None:
    if found & _CONSUMER_WORDS and "pro" not in found:
        return "consumer"
    if "rtx" in found and any(_GEFORCE_NUMBER.fullmatch(word) for word in words) and "ada" not in found:
        return "consumer"
    if found & _WORKSTATION_WORDS or ("rtx" in found):
        return "workstation"
    if "arc" in found:
        return "consumer"
    if found & _DATACENTER_WORDS or {"data", "center"} <= found:
        return "datacenter"
    if any(_DATACENTER_CODE.fullmatch(word) for word in words):
        return "datacenter"
    if any(_WORKSTATION_CODE.fullmatch(word) for word in words):
        return "workstation"
    return None
