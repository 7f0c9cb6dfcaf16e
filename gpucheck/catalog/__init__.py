"""Reviewed facts about hardware: which cards exist, what they are, and how to find one by name or PCI id."""
