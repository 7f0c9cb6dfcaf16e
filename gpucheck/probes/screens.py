"""Whether a screen is plugged into a card, by the connectors that Linux's graphics drivers list in sysfs."""

from __future__ import annotations

from gpucheck.host.host import Host
from gpucheck.probes.pci import DEVICES


def has_screen(host: Host, address: str) -> bool | None:
    """Whether one of the card's connectors says "connected"; None where its driver lists none that can be read."""
    states = [host.read(f"{connector}/status").value for connector in _connectors(host, f"{DEVICES}/{address}/drm")]
    known = [state.strip() == "connected" for state in states if state is not None]
    return any(known) if known else None


def _connectors(host: Host, folder: str) -> list[str]:
    """Such as …/drm/card1/card1-DP-1; a card's other directories do not begin with its name."""
    return [
        f"{folder}/{card}/{name}"
        for card in host.listdir(folder).value or ()
        if card.startswith("card")
        for name in host.listdir(f"{folder}/{card}").value or ()
        if name.startswith(f"{card}-")
    ]
