"""MIG devices as entries of their own, after the card that they are cut from."""

from __future__ import annotations

from gpucheck.catalog import derive
from gpucheck.machine.figures import Figures, assemble
from gpucheck.machine.types import Gpu, Mig
from gpucheck.probes.facts import MigInstance

_MEMORY_SLICES = 8  # of every MIG-capable card; each has its eighth of capacity, bandwidth and L2 (MIG user guide)


def build_slice(card: Gpu, instance: MigInstance, index: int) -> Gpu:
    """The MIG device `instance` of `card`, under the number `index`.

    Its memory and multiprocessors are reported; bandwidth and L2 are the card's by memory slices, rates the
    card's by multiprocessors.
    """
    figures = Figures()
    figures.put("architecture", card.architecture, card.sources.get("architecture", "reported"))
    figures.put("compute_capability", card.compute_capability, card.sources.get("compute_capability", "reported"))
    figures.put("memory.kind", "dedicated", "derived")
    figures.put("memory.type", card.memory.type, "catalogue")
    figures.put("memory.total_bytes", instance.memory_total_bytes, "reported")
    figures.put("memory.free_bytes", instance.memory_free_bytes, "reported")
    figures.put("memory.usable_bytes", instance.memory_free_bytes, "reported")
    figures.put("multiprocessors", instance.multiprocessors, "reported")
    _put_memory_share(figures, card, instance)
    _put_compute_share(figures, card, instance)
    return assemble(
        figures,
        index=index,
        name=instance.name or (f"{card.name} MIG {instance.profile}" if instance.profile else f"{card.name} MIG"),
        vendor=card.vendor,
        state=card.state,
        kind="mig",
        segment=card.segment,
        catalogue_id=card.catalogue_id,
        chip=card.chip,
        mig=Mig(profile=instance.profile, parent=card.index),
        pci_address=card.pci_address,
        pci_id=card.pci_id,
        uuid=instance.uuid,
        virtualization=card.virtualization,
        compute_mode=card.compute_mode,
        ecc_enabled=card.ecc_enabled,
    )


def _put_memory_share(figures: Figures, card: Gpu, instance: MigInstance) -> None:
    if not instance.memory_total_bytes or not card.memory.total_bytes:
        return
    share = round(instance.memory_total_bytes / card.memory.total_bytes * _MEMORY_SLICES) / _MEMORY_SLICES
    if not 0 < share <= 1:
        return
    if card.bandwidth_bytes_per_s is not None:
        figures.put("bandwidth_bytes_per_s", round(card.bandwidth_bytes_per_s * share), "derived")
    if card.l2_cache_bytes is not None:
        figures.put("l2_cache_bytes", round(card.l2_cache_bytes * share), "derived")


def _put_compute_share(figures: Figures, card: Gpu, instance: MigInstance) -> None:
    arch = derive.architecture(card.compute_capability)
    if arch is None or not instance.multiprocessors:
        return
    figures.put("shader_cores", instance.multiprocessors * arch.cores_per_sm, "derived")
    figures.put("matrix_cores", instance.multiprocessors * arch.matrix_cores_per_sm, "derived")
    figures.put("matrix_generation", arch.matrix_generation, "derived")
    if not card.multiprocessors:
        return
    share = instance.multiprocessors / card.multiprocessors
    for name in card.flops.__struct_fields__:
        rate = getattr(card.flops, name)
        if rate is not None:
            figures.put(f"flops.{name}", float(f"{rate * share:.4g}"), "derived")
