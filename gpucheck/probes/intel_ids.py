"""Which of Intel's PCI ids are cards with memory of their own; everything else of Intel's shares the host's.

From the lists of Linux's i915 and xe drivers (include/drm/intel/pciids.h). The address is no proof: a virtual machine
may see an Arc card at 00:02.0, where the integrated GPU of a real machine sits.
"""

from __future__ import annotations

# First and last id of DG1, DG2 (Arc A, Flex), Ponte Vecchio (Data Center GPU Max) and Battlemage (Arc B).
_CARDS = (
    (0x4905, 0x4909), (0x4F80, 0x4F8C), (0x5690, 0x56C2), (0x0BD0, 0x0BDB), (0x0B69, 0x0B6E),
    (0xE202, 0xE223),
)  # fmt: skip


def is_card(device_id: str) -> bool:
    """Whether this id is a card's: "56a0" is an Arc A770, "46a6" the Iris Xe of a laptop's processor."""
    try:
        number = int(device_id, 16)
    except ValueError:
        return False
    return any(first <= number <= last for first, last in _CARDS)
