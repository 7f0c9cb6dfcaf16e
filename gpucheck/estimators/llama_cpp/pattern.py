"""Which layers of a model a graph must show: its peak hardly depends on how often they repeat."""

from __future__ import annotations

from gpucheck.models.architecture import Architecture, Layer

_LONGEST_PERIOD, _LONGEST_LEAD = 8, 4  # of a pattern of layers, and of what comes before it
_SETTLED = 6  # layers after which addresses have settled into a cycle
_CYCLE = 12  # layers after which addresses repeat: 1, 2, 3, 4 and 6 divide it


def shown_layers(architecture: Architecture) -> tuple[Layer, ...]:
    """The layers without most repetitions of a pattern; all of them where there is no pattern.

    Addresses alternate from one repetition to the next, with a cycle of a few: the number that is left over stays.
    """
    numbers = {layer: number for number, (layer, _) in enumerate(architecture.groups)}
    kinds = [numbers[layer] for layer in architecture.layers]
    for period in range(1, _LONGEST_PERIOD + 1):
        for first in range(_LONGEST_LEAD + 1):
            length = len(kinds) - first
            if length >= 2 * period and kinds[first:-period] == kinds[first + period :]:
                cycle = max(_CYCLE // period, 2)
                kept = max(_SETTLED // period, 2)
                removed = max(length // period - kept, 0) // cycle * cycle
                return architecture.layers[:first] + architecture.layers[first + removed * period :]
    return architecture.layers
