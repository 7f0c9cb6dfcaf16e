"""A card of the catalogue as documents show it; apart from the catalogue itself, which takes time to load."""

from __future__ import annotations

from msgspec import Struct


class CardEntry(Struct, frozen=True, kw_only=True):
    """One card of the catalogue with its category. Absent figures are null: no source that we trust states them."""

    id: str
    name: str
    vendor: str
    segment: str
    architecture: str
    compute_capability: str | None
    gfx_target: str | None
    memory_gib: tuple[float, ...]
    memory_type: str | None
    bandwidth_bytes_per_s: int | None
    shader_cores: int | None
    matrix_cores: int | None
    tdp_w: float | None
    release_year: int | None
    category: str
    basis: str
    reasons: tuple[str, ...]
    confidence: str
    source: str
