"""Model sizes as people say them ("7b", "8x7b", "30b-a3b"), and the parameters of real models of that size.

A size is a badge, not a count: Mistral-7B has 7.24 billion parameters, Qwen2.5-7B 7.62 and Gemma-7B 8.5.
"""

from __future__ import annotations

import re

from msgspec import Struct

_SCALE = {"m": 10**6, "b": 10**9, "t": 10**12}
_PLAIN = re.compile(r"(\d{1,6}(?:\.\d{1,4})?)([mbt])(?:-a(\d{1,5}(?:\.\d{1,4})?)([mb]))?", re.ASCII)
_EXPERTS = re.compile(r"(\d{1,3})x(\d{1,4}(?:\.\d{1,4})?)b", re.ASCII)

# What a badge stands for, in units of its last written digit (for a multiple of ten that cannot be told: 2).
# Fitted on 136 distinct model shapes with a size in their name, 0.1B to 1T: total / badge runs from 0.86 to
# 1.67 (median 1.01) and grows with the rounding: 1b 1.00-1.67, 3b 0.88-1.21, 7b 0.95-1.15, 14b 0.97-1.06, 32b
# 1.01-1.02. The bounds below hold 127 of the 136 (93 %).
_MID_UNITS = 0.22
_LOW_UNITS, _LOW_FLOOR = 0.40, 0.038
_HIGH_UNITS, _HIGH_FLOOR = 0.80, 0.056
_LOW_MOST = 0.2  # "1b" is a tiny model, but never a 0.65b one

# Experts share attention and embeddings, so N x M is not N times M. Totals and active parameters computed
# from the published configurations (mistralai/Mixtral-8x7B-v0.1 and Mixtral-8x22B-v0.1); both agree with
# their model cards.
_KNOWN_EXPERTS = {
    "8x7b": (46_702_792_704, 12_879_925_248),
    "8x22b": (140_620_634_112, 39_152_031_744),
}
_SHARED_PART = 0.2  # of each M, shared by the N: fitted to the two Mixtrals (0.83 and 0.80 of N times M)
_LEAST_PART = 0.65  # of N times M; assumed: the Mixtrals have 0.83 and 0.80, and small experts share more


class ModelSize(Struct, frozen=True):
    """Parameters of a model of which only the size is known: the likely total, its range, the active ones.

    `active_parameters` is None for a size that does not say it; then the model may be dense or not.
    """

    total_parameters: int
    active_parameters: int | None
    total_low: int
    total_high: int

    @property
    def experts(self) -> bool:
        """Whether the size itself says that only a part of the parameters works on each token."""
        return self.active_parameters is not None


def parse_size(text: str) -> ModelSize | None:
    """The parameters behind "7b", "0.5b", "500m", "1t", "8x7b" or "30b-a3b"; None if `text` is no size.

    Case does not matter. Zero, and an active part that is larger than the whole, are no sizes.
    """
    text = text.strip().lower()
    if found := _EXPERTS.fullmatch(text):
        return _expert_size(text, int(found[1]), float(found[2]) * 1e9)
    found = _PLAIN.fullmatch(text)
    if not found or not float(found[1]):
        return None
    badge = float(found[1]) * _SCALE[found[2]]
    active = float(found[3]) * _SCALE[found[4]] if found[3] else None
    if active is not None and not 0 < active <= badge:
        return None
    unit = _rounding(found[1]) * _SCALE[found[2]]
    return ModelSize(
        total_parameters=round(badge + min(_MID_UNITS * unit, _MID_UNITS * badge)),
        active_parameters=None if active is None else round(active),
        total_low=round(badge - max(min(_LOW_UNITS * unit, _LOW_MOST * badge), _LOW_FLOOR * badge)),
        total_high=round(badge + max(min(_HIGH_UNITS * unit, _HIGH_UNITS * badge), _HIGH_FLOOR * badge)),
    )


def _expert_size(text: str, experts: int, one: float) -> ModelSize | None:
    """N experts of a model of M parameters: the known count, or 0.65 to 1 times N times M."""
    if experts < 2 or not one:
        return None
    if text in _KNOWN_EXPERTS:
        total, active = _KNOWN_EXPERTS[text]
        return ModelSize(total, active, total, total)
    return ModelSize(
        total_parameters=round(one * (_SHARED_PART + experts * (1 - _SHARED_PART))),
        active_parameters=round(one * (_SHARED_PART + 2 * (1 - _SHARED_PART))),  # two at a time, as Mixtral
        total_low=round(_LEAST_PART * experts * one),
        total_high=round(experts * one),
    )


def _rounding(number: str) -> float:
    """The worth of the last digit that `number` was rounded to: 0.1 for "1.5", 1 for "7", 2 for "70"."""
    if "." in number:
        return float(10.0 ** -len(number.partition(".")[2]))
    return 2.0 if number.endswith("0") else 1.0
