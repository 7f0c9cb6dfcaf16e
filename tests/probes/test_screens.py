"""Screens at a card's connectors, as Linux lists them."""

from __future__ import annotations

import pytest

from gpucheck.probes.collect import Issues
from gpucheck.probes.screens import has_screen
from tests.fake_source import fake_host

ADDRESS = "0000:03:00.0"
CARD = f"/sys/bus/pci/devices/{ADDRESS}/drm/card1"


@pytest.mark.parametrize(
    ("connectors", "screen"),
    [
        ({"card1-DP-1": "disconnected", "card1-HDMI-A-1": "connected"}, True),
        ({"card1-DP-1": "disconnected", "card1-Writeback-1": "unknown"}, False),
        ({}, None),
        ({"device": "connected"}, None),  # no connector of the card's
        ({"card10-DP-1": "connected"}, None),
    ],
)
def test_connectors(connectors: dict[str, str], screen: bool | None) -> None:
    """One connected screen is enough; a card without connectors does not tell."""
    files = {f"{CARD}/{name}/status": f"{state}\n" for name, state in connectors.items()}
    assert has_screen(fake_host(files={f"{CARD}/uevent": "", **files}), Issues(), ADDRESS) is screen


def test_no_graphics_driver() -> None:
    """Without a driver that draws there is nothing to ask."""
    assert has_screen(fake_host(), Issues(), ADDRESS) is None
