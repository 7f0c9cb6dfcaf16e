"""Whether a screen is plugged into a card, by the connectors that Linux's graphics drivers list in sysfs."""

from __future__ import annotations

from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.pci import DEVICES


def has_screen(host: Host, issues: Issues, address: str) -> bool | None:
    """Whether one of the card's connectors says "connected"; None where none can be read, or one that might."""
    paths = [f"{connector}/status" for connector in _connectors(host, issues, f"{DEVICES}/{address}/drm")]
    states = [issues.listed(path, host.read(path)) for path in paths]
    if any(state is not None and state.strip() == "connected" for state in states):
        return True
    return None if None in states or not states else False


def _connectors(host: Host, issues: Issues, folder: str) -> list[str]:
    """Such as …/drm/card1/card1-DP-1; a card's other directories do not begin with its name."""
    return [
        f"{folder}/{card}/{name}"
        for card in issues.value(folder, host.listdir(folder)) or ()
        if card.startswith("card")
        for name in issues.value(f"{folder}/{card}", host.listdir(f"{folder}/{card}")) or ()
        if name.startswith(f"{card}-")
    ]
