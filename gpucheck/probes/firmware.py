"""GPUs that the firmware's name of the machine promises, where neither bus nor driver could be asked."""

from __future__ import annotations

from gpucheck.host.host import Host
from gpucheck.probes.facts import GpuReading

PRODUCT = "/sys/class/dmi/id/product_name"
# Machines that are sold with just this GPU inside; makers of the same board write its name into theirs.
MACHINES = {"NVIDIA_DGX_Spark": "NVIDIA GB10"}
_BOARD, _GPU = "GB10", "NVIDIA GB10"


def promised_gpu(host: Host) -> GpuReading | None:
    """The GPU of a machine called "NVIDIA_DGX_Spark" whose bus shows none, as in a copied tree; else None.

    Present is not driven: its state stays unknown, so that no model is promised a place on it.
    """
    product = (host.read(PRODUCT).value or "").strip()
    name = MACHINES.get(product) or (_GPU if _BOARD in product.replace("_", " ").split() else None)
    if name is None:
        return None
    return GpuReading(
        vendor="NVIDIA",
        state="unknown",
        name=name,
        integrated=True,
        detail=f"the firmware calls this machine {product}; neither bus nor driver shows its GPU here",
        sources={"name": "DMI product name"},
    )
