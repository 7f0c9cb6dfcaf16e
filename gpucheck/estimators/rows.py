"""An estimate of memory is a list of rows; every figure that is shown is a sum over them."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

Component = Literal["weights", "kv_cache", "compute", "overhead"]
RowBasis = Literal["exact", "formula", "range"]


class Row(Struct, frozen=True):
    """Bytes of one component, with the bounds that about nine of ten real cases lie within.

    `basis` is "exact" (low and high are equal to bytes), "formula", or "range" (a band over real models). `device`
    is where the bytes lie: "gpu" (one GPU, or all that share the model together), "gpu0" (a certain one), "host".
    """

    component: Component
    bytes: int
    low_bytes: int
    high_bytes: int
    basis: RowBasis
    detail: str
    device: str = "gpu"


class Estimate(Struct, frozen=True):
    """The memory that a workload needs, row by row, and what was assumed."""

    rows: tuple[Row, ...]
    assumptions: tuple[str, ...] = ()

    @property
    def weights_bytes(self) -> int:
        """Bytes of the tensors."""
        return self._sum("weights")

    @property
    def kv_cache_bytes(self) -> int:
        """Bytes of the key-value cache, recurrent state included."""
        return self._sum("kv_cache")

    @property
    def compute_bytes(self) -> int:
        """Bytes of activations and output buffers."""
        return self._sum("compute")

    @property
    def overhead_bytes(self) -> int:
        """Bytes of device contexts, file metadata and the process itself."""
        return self._sum("overhead")

    @property
    def total_bytes(self) -> int:
        """The likely need: the sum of all rows."""
        return sum(row.bytes for row in self.rows)

    @property
    def low_bytes(self) -> int:
        """The lower bound of the total: see `high_bytes`."""
        return self.total_bytes - round(math.hypot(*(row.bytes - row.low_bytes for row in self.rows)))

    @property
    def high_bytes(self) -> int:
        """The upper bound of the total: the root of the sum of the squared distances of the rows' bounds.

        A model with an unusually large cache rarely has unusually large weights as well: the rows' errors are
        nearly independent, and adding up the bounds would claim less than is known. One uncertain row keeps
        its whole bound.
        """
        return self.total_bytes + round(math.hypot(*(row.high_bytes - row.bytes for row in self.rows)))

    def on(self, device: str) -> Estimate:
        """The part of the estimate that lies on `device`."""
        return Estimate(tuple(row for row in self.rows if row.device == device), self.assumptions)

    def _sum(self, component: Component) -> int:
        return sum(row.bytes for row in self.rows if row.component == component)


class NeedMemory(Struct, frozen=True, kw_only=True):
    """Bytes by component, each the sum of its rows; low and high bound the total.

    `weights_bytes` are tensors, `kv_cache_bytes` includes recurrent state, `compute_bytes` output buffers;
    `overhead_bytes` are contexts, metadata and copies.
    """

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    overhead_bytes: int
    total_bytes: int
    low_bytes: int
    high_bytes: int


def sums_of(estimate: Estimate) -> NeedMemory:
    """The sums over the rows of an estimate."""
    return NeedMemory(
        weights_bytes=estimate.weights_bytes,
        kv_cache_bytes=estimate.kv_cache_bytes,
        compute_bytes=estimate.compute_bytes,
        overhead_bytes=estimate.overhead_bytes,
        total_bytes=estimate.total_bytes,
        low_bytes=estimate.low_bytes,
        high_bytes=estimate.high_bytes,
    )
