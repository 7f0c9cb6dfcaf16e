"""Names of AMD products that share a PCI device id, by its revision, as libdrm's amdgpu.ids has them (MIT).

Only ids that the catalogue has several cards for, and only names of one product.
"""

from __future__ import annotations

NAMES = {
    "67df": {"c4": "RX 480", "c7": "RX 480"},
    "6860": {"00": "Instinct MI25", "01": "Instinct MI25", "02": "Instinct MI25", "03": "Pro V340", "07": "Pro V320"},
    "731f": {
        "c1": "RX 5700 XT", "c2": "RX 5600M", "c3": "RX 5700M", "c4": "RX 5700", "c5": "RX 5700 XT",
        "ca": "RX 5600 XT", "cb": "RX 5600 OEM",
    },
    "7340": {"c1": "RX 5500M", "c3": "RX 5300M", "c5": "RX 5500 XT", "c7": "RX 5500", "cf": "RX 5300"},
    "73bf": {"c0": "RX 6900 XT", "c1": "RX 6800 XT", "c3": "RX 6800"},
    "73df": {
        "c0": "RX 6750 XT", "c1": "RX 6700 XT", "c2": "RX 6800M", "c3": "RX 6800M", "c5": "RX 6700 XT",
        "cf": "RX 6700M", "d5": "RX 6750 GRE 12GB", "df": "RX 6700", "e5": "RX 6750 GRE 12GB", "ff": "RX 6700",
    },
    "73ef": {"c0": "RX 6800S", "c1": "RX 6650 XT", "c2": "RX 6700S", "c3": "RX 6650M", "c4": "RX 6650M XT"},
    "73ff": {
        "c1": "RX 6600 XT", "c3": "RX 6600M", "c7": "RX 6600", "cb": "RX 6600S", "cf": "RX 6600 LE",
        "df": "RX 6750 GRE 10GB",
    },
    "743f": {"c1": "RX 6500 XT", "c7": "RX 6400", "d7": "RX 6400", "d3": "RX 6550M", "cf": "RX 6300M"},
    "744c": {"c8": "RX 7900 XTX", "cc": "RX 7900 XT", "ce": "RX 7900 GRE", "cf": "RX 7900M"},
    "747e": {"c8": "RX 7800 XT", "d8": "RX 7800M", "db": "RX 7700", "ff": "RX 7700 XT"},
    "7480": {
        "00": "PRO W7600", "c0": "RX 7600 XT", "c1": "RX 7700S", "c2": "RX 7650 GRE", "c3": "RX 7600S",
        "c7": "RX 7600M XT", "cf": "RX 7600",
    },
    "7550": {"c0": "RX 9070 XT", "c2": "RX 9070 GRE", "c3": "RX 9070"},
    "7590": {"c0": "RX 9060 XT", "c7": "RX 9060"},
    "150e": {
        "c1": "890M Graphics", "c4": "880M Graphics", "c5": "890M Graphics", "c6": "890M Graphics",
        "d1": "890M Graphics", "d2": "880M Graphics", "d3": "890M Graphics",
    },
    "1586": {
        "c1": "8060S Graphics", "c2": "8050S Graphics", "c3": "8060S Graphics", "c4": "8050S Graphics",
        "c6": "8060S Graphics", "d1": "8060S Graphics", "d2": "8050S Graphics", "d4": "8050S Graphics",
        "d5": "8040S Graphics",
    },
    "15bf": {
        "00": "780M Graphics", "01": "760M Graphics", "02": "780M Graphics", "03": "760M Graphics",
        "c1": "780M Graphics", "c2": "780M Graphics", "c3": "760M Graphics", "c4": "780M Graphics",
        "c5": "740M Graphics", "c6": "780M Graphics", "c7": "780M Graphics", "c8": "760M Graphics",
        "c9": "780M Graphics", "ca": "740M Graphics", "cb": "760M Graphics", "cd": "760M Graphics",
        "cf": "780M Graphics",
    },
}  # fmt: skip


def name_by_revision(device_id: str | None, revision: str | None) -> str | None:
    """The product of a shared id and a revision, as AMD's drivers name it; None where the table does not tell."""
    name = NAMES.get(device_id or "", {}).get(revision or "")
    if name is None:
        return None
    return f"AMD {name}" if name.startswith("Instinct") else f"AMD Radeon {name}"
