"""What a placement lays over devices."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate

from msgspec import Struct


class Parts(Struct, frozen=True, dict=True):
    """Bytes of each layer with its cache, of the head, and of what each GPU needs beside them.

    `expert_bytes` is the part of each layer that its routed experts are, which may stay on the host. `first_bytes`
    lie on the first GPU (a projector). `told`: the options say which layers the GPUs hold, so that only those are
    here, less the experts of the first `experts_on_host` of all `total_layers`. `more_of_several_bytes` is what each
    of several GPUs needs more than a single one.
    """

    layer_bytes: tuple[int, ...]
    expert_bytes: tuple[int, ...]
    head_bytes: int
    device_bytes: int
    first_bytes: int = 0
    total_layers: int = 0
    told: bool = False
    experts_on_host: int = 0
    more_of_several_bytes: int = 0

    @cached_property
    def ends(self) -> list[int]:
        """Bytes of the first so many layers."""
        return list(accumulate(self.layer_bytes, initial=0))

    @cached_property
    def expert_ends(self) -> list[int]:
        """Bytes of the experts of the first so many layers."""
        return list(accumulate(self.expert_bytes, initial=0))

    @cached_property
    def ends_without_experts(self) -> list[int]:
        """Bytes of the first so many layers, less their experts."""
        return [end - experts for end, experts in zip(self.ends, self.expert_ends, strict=True)]
