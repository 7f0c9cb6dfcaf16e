"""An estimate of memory is a list of rows; every figure that is shown is a sum over them."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

Component = Literal["weights", "kv_cache", "compute", "overhead"]
RowBasis = Literal["exact", "formula", "range"]


class Row(Struct, frozen=True, gc=False):
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


class Sums(Struct, frozen=True, gc=False):
    """What the rows of an estimate come to: by component, in all, and of that on GPUs and on the host."""

    weights: int
    kv_cache: int
    compute: int
    overhead: int
    total: int
    low: int
    high: int
    gpu: int
    gpu_high: int
    host: int
    host_high: int


class Estimate(Struct, frozen=True, dict=True):
    """The memory that a workload needs, row by row, and what was assumed."""

    rows: tuple[Row, ...]
    assumptions: tuple[str, ...] = ()

    @property
    def sums(self) -> Sums:
        """The sums over the rows, worked out once (without functools, whose lock costs as much as the sums)."""
        kept = self.__dict__
        found: Sums | None = kept.get("sums")
        if found is None:
            found = kept["sums"] = _summed(self.rows)
        return found

    @property
    def weights_bytes(self) -> int:
        """Bytes of the tensors."""
        return self.sums.weights

    @property
    def kv_cache_bytes(self) -> int:
        """Bytes of the key-value cache, recurrent state included."""
        return self.sums.kv_cache

    @property
    def compute_bytes(self) -> int:
        """Bytes of activations and output buffers."""
        return self.sums.compute

    @property
    def overhead_bytes(self) -> int:
        """Bytes of device contexts, file metadata and the process itself."""
        return self.sums.overhead

    @property
    def total_bytes(self) -> int:
        """The likely need: the sum of all rows."""
        return self.sums.total

    @property
    def low_bytes(self) -> int:
        """The lower bound of the total: see `high_bytes`."""
        return self.sums.low

    @property
    def high_bytes(self) -> int:
        """The upper bound of the total: the root of the sum of the squared distances of the rows' bounds.

        A model with an unusually large cache rarely has unusually large weights as well: the rows' errors are
        nearly independent, and adding up the bounds would claim less than is known. One uncertain row keeps
        its whole bound.
        """
        return self.sums.high

    def on(self, device: str) -> Estimate:
        """The part of the estimate that lies on `device`."""
        return Estimate(tuple(row for row in self.rows if row.device == device), self.assumptions)


def _summed(rows: tuple[Row, ...]) -> Sums:
    parts = {"weights": 0, "kv_cache": 0, "compute": 0, "overhead": 0}
    gpu = host = less = more_of_gpu = more_of_host = 0
    for row in rows:
        size = row.bytes
        parts[row.component] += size
        on_host = row.device == "host"
        if on_host:
            host += size
        else:
            gpu += size
        if row.basis == "exact":
            continue
        less += (size - row.low_bytes) ** 2
        if on_host:
            more_of_host += (row.high_bytes - size) ** 2
        else:
            more_of_gpu += (row.high_bytes - size) ** 2
    total = gpu + host
    return Sums(
        **parts,
        total=total,
        low=total - round(math.sqrt(less)),
        high=total + round(math.sqrt(more_of_gpu + more_of_host)),
        gpu=gpu,
        gpu_high=gpu + round(math.sqrt(more_of_gpu)),
        host=host,
        host_high=host + round(math.sqrt(more_of_host)),
    )


class NeedMemory(Struct, frozen=True, gc=False, kw_only=True):
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
    sums = estimate.sums
    return NeedMemory(
        weights_bytes=sums.weights,
        kv_cache_bytes=sums.kv_cache,
        compute_bytes=sums.compute,
        overhead_bytes=sums.overhead,
        total_bytes=sums.total,
        low_bytes=sums.low,
        high_bytes=sums.high,
    )
