"""What a CUDA build of PyTorch has to serve, and whether its driver does.

A driver runs the builds of its own highest CUDA and older ones, and by minor-version compatibility newer ones of the
same major version, but compiles no PTX for those (NVIDIA, CUDA compatibility).
"""

from __future__ import annotations

from msgspec import Struct

from gpucheck.catalog.drivers import cuda_key, drops, first_cuda, last_branch, oldest_driver, version_key
from gpucheck.catalog.torch_builds import TorchBuild as Row
from gpucheck.catalog.torch_builds import needs_ptx, release_key


class CudaBox(Struct, frozen=True):
    """What a CUDA build has to serve: every card, under this driver, of which only the highest CUDA may be known."""

    capabilities: tuple[str, ...]
    os: str
    arch: str
    windows_driver: bool  # under WSL2 the driver is that of Windows
    driver: str | None
    cuda: str | None  # the highest of the driver
    assumed: bool = False  # the driver is the newest branch for the oldest card, as none was named

    @property
    def driver_words(self) -> str:
        """Such as "driver 535.86 (CUDA up to 12.2)"."""
        cuda = f"CUDA up to {self.cuda}" if self.cuda else "highest CUDA not known"
        return f"driver {self.driver} ({cuda})" if self.driver else f"the driver ({cuda})"

    @property
    def codes(self) -> list[str]:
        """The distinct compute capabilities."""
        return sorted(set(self.capabilities))


def dropped(box: CudaBox) -> str | None:
    """Why the driver does not drive one of the cards at all, where that is known."""
    own = cuda_key(box.cuda)
    for one in box.codes:
        first = cuda_key(first_cuda(one))
        if drops(box.driver, one):
            last = last_branch(one)
            return f"driver {box.driver} does not drive compute capability {one}: branch {last} is the last that does"
        if own is not None and first is not None and own < first and box.assumed:
            oldest = next(code for code in box.codes if str(last_branch(code)) == box.driver)
            return (
                f"no driver drives every card here: branch {box.driver} is the last for compute capability {oldest},"
                f" and {one} came with CUDA {first[0]}.{first[1]}"
            )
        if own is not None and first is not None and own < first:
            return f"{box.driver_words} does not know compute capability {one}: it came with CUDA {first[0]}.{first[1]}"
    return None


def drives(box: CudaBox, row: Row) -> bool:
    """Whether the driver runs a build, and on every card."""
    if any(needs_ptx(row.targets, one) for one in box.capabilities) and not is_within(box, row):
        return False
    return is_driven(box, row)


def is_driven(box: CudaBox, row: Row) -> bool:
    """Whether the driver is new enough for a build's code, its PTX apart."""
    driver, oldest = version_key(box.driver), version_key(oldest_driver(row.build, windows=box.windows_driver))
    if driver is not None and oldest is not None:
        return driver >= oldest
    own, cuda = cuda_key(box.cuda), cuda_key(row.build)
    return own is not None and cuda is not None and cuda[0] <= own[0]


def is_within(box: CudaBox, row: Row) -> bool:
    """Whether a build's CUDA is one of the driver's own."""
    own, cuda = cuda_key(box.cuda), cuda_key(row.build)
    return own is not None and cuda is not None and cuda <= own


def series_of(row: Row) -> tuple[int, ...]:
    """The release line of a row's last version: (2, 14) of 2.14.1."""
    return release_key(row.last)[:2]
