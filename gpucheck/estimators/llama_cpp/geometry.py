"""Cells and streams of llama.cpp's cache, and the micro-batch that its buffers are reserved for.

Rules read in src/llama-context.cpp, llama-kv-cache.cpp and llama-kv-cache-iswa.cpp of llama.cpp, commit 0c1e570;
they reproduce every cache of `benchmarks/truth/llama_cpp_oracle.csv` to the byte.
"""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

from gpucheck.estimators.llama_cpp.options import LlamaCppOptions

_PAD = 256  # cells


def padded(cells: int) -> int:
    """`cells` rounded up to whole groups of 256."""
    return -(-cells // _PAD) * _PAD


class Geometry(Struct, frozen=True, kw_only=True, dict=True):
    """The cache of one context: `cells` for each of `streams`, shared by `sequences`.

    `ubatch` is the number of tokens in a micro-batch, `outputs` the logits rows reserved for it.
    """

    cells: int
    streams: int
    sequences: int
    ubatch: int
    outputs: int
    swa_full: bool

    def window_cells(self, window: int | None) -> int:
        """Cells in a stream for a layer that looks back `window` tokens (None: all)."""
        if window is None or self.swa_full:
            return self.cells
        each = self.sequences if self.streams == 1 else 1
        return padded(min(self.cells, window * each + self.ubatch))

    @cached_property
    def tokens(self) -> int:
        """The tokens of the reserved graph: a multiple of the sequences."""
        return -(-self.ubatch // self.sequences) * self.sequences


def geometry(context: int, batch: int, options: LlamaCppOptions) -> Geometry:
    """The cache for `batch` users of `context` tokens each.

    One user has the whole context, in a cache that the server's slots share (-c); several have one slot each,
    and together `batch` times as many cells.
    """
    sequences = options.slots(batch)
    return of_context(context * batch, sequences, options.unified() or sequences == 1, options)


def of_context(n_ctx: int, sequences: int, unified: bool, options: LlamaCppOptions) -> Geometry:
    """The cache of a context of `n_ctx` cells for so many sequences."""
    n_batch = min(n_ctx, options.n_batch)
    ubatch = min(n_batch, options.n_ubatch)
    total = padded(n_ctx)
    asked = options.n_outputs_max or sequences
    streams = 1 if unified else sequences
    return Geometry(
        cells=total if unified else padded(total // sequences),
        streams=streams,
        sequences=sequences,
        ubatch=ubatch,
        outputs=min(-(-ubatch // sequences) * sequences, ubatch, asked),
        swa_full=options.swa_full,
    )
