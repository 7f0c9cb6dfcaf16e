"""JSON that programs print, as values that every report and recording can hold."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str) -> Any:
    r"""The value in a JSON text. Half a surrogate pair ("\ud800"), which fits in no report, becomes U+FFFD.

    Raises:
        ValueError, RecursionError: it is no JSON, or nested beyond reason.
    """
    found = json.loads(text)
    return whole_characters(found) if "\\u" in text else found


def whole_characters(found: Any) -> Any:
    """A JSON value whose texts and keys hold no half of a surrogate pair."""
    if isinstance(found, str):
        return found if found.isascii() else found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(found, list):
        return [whole_characters(item) for item in found]
    if isinstance(found, dict):
        return {whole_characters(key): whole_characters(value) for key, value in found.items()}
    return found
