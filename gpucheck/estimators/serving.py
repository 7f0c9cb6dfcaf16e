"""What an engine that serves many users at once holds of them."""

from __future__ import annotations

from msgspec import Struct


class Serving(Struct, frozen=True, kw_only=True):
    """What the pool of blocks holds on GPUs of a size.

    `kv_tokens` and `sequences` (of the asked context) are what vLLM would tell at its start; `pool_bytes` is that of
    one GPU of the fullest stage.
    """

    kv_tokens: int
    sequences: float
    gpu_memory_utilization: float
    tensor_parallel: int
    pipeline_parallel: int
    pool_bytes: int
