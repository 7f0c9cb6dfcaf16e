"""`Machine` and its parts: the frozen facts that everything right of here reasons about.

The names are the JSON contract's. None is unknown, with an entry in `Machine.issues`; or it does not apply.
`Gpu.sources` says of each known figure whether it was measured, reported, derived, looked up or assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gpucheck.probes.facts import (
    Basis,
    Cpu,
    Environment,
    Framework,
    Limits,
    Memory,
    NumaNode,
    NvidiaDriver,
    OtherDriver,
    Place,
    Platform,
    ProbeIssue,
    Program,
    State,
    Toolkits,
)  # fmt: skip
from gpucheck.shown import Shown

CategoryName = Literal["High-end", "Mid-range", "Budget", "Consumer", "Integrated", "CPU only"]
Kind = Literal["discrete", "integrated", "unified", "vgpu", "mig"]


class Category(Struct, frozen=True):
    """A class of AI machine: by the source document's table, or by rule, with the reasons in words."""

    name: CategoryName
    basis: Literal["document", "rule"]
    reasons: tuple[str, ...]


class MachineCategory(Struct, frozen=True):
    """The machine's class: that of its best GPU, with the document's own words about such machines."""

    name: CategoryName
    best_for: str
    performance_profile: str
    basis: Literal["document", "rule"]
    reasons: tuple[str, ...]


class GpuMemory(Struct, frozen=True):
    """Device memory. `usable_bytes` is what one process can get now, its context included."""

    total_bytes: int | None = None
    free_bytes: int | None = None
    usable_bytes: int | None = None
    kind: Literal["dedicated", "shared"] | None = None
    carve_out_bytes: int | None = None  # of an AMD APU: what its firmware set aside
    gtt_bytes: int | None = None  # of an AMD APU: what the kernel lends it of the machine's memory
    rocm_bytes: int | None = None  # of an AMD APU: what ROCm counts, often one of the two alone
    type: str | None = None  # GDDR6X, HBM3, LPDDR5X
    bus_bits: int | None = None
    clock_mhz: int | None = None


class Flops(Struct, frozen=True):
    """Dense peak rates in operations per second; fp16, bf16, tf32 and fp8 with FP32 accumulation."""

    fp64: float | None = None
    fp32: float | None = None
    tf32: float | None = None
    fp16: float | None = None
    bf16: float | None = None
    fp8: float | None = None
    fp4: float | None = None
    int8: float | None = None


class Pcie(Struct, frozen=True):
    """The link to the host. The current generation falls at idle; the width does not."""

    generation: int | None = None
    width: int | None = None
    max_generation: int | None = None
    max_width: int | None = None


class Mig(Struct, frozen=True):
    """Multi-instance state of a card (`mode`), or the slice that an entry is (`profile`, `parent`)."""

    mode: Literal["enabled", "disabled"] | None = None
    profile: str | None = None
    parent: int | None = None
    instances: int | None = None


class Partition(Struct, frozen=True):
    """AMD's partitions of a card: modes of compute (SPX, CPX, …) and memory (NPS1, …), and devices there are."""

    compute: str | None = None
    memory: str | None = None
    count: int | None = None


class Xgmi(Struct, frozen=True):
    """XGMI (Infinity Fabric) of an AMD card: which `gpus[].index` it reaches."""

    peers: tuple[int, ...] = ()


class Health(Struct, frozen=True):
    """What the driver tracks of a board's health; None where the board does not track it."""

    fabric_state: str | None = None  # of NVSwitch: completed, in_progress, not_started
    remap_pending: bool | None = None  # failed memory rows wait for a reset to be replaced
    remap_failed: bool | None = None  # a failed row could not be replaced
    retired_pages_pending: bool | None = None
    xids: tuple[int, ...] = ()  # error codes in the kernel log; looked for when the GPU is not well, or by `doctor`
    ecc_volatile_uncorrected: int | None = None  # errors that ECC could not correct since the driver was loaded
    ecc_aggregate_uncorrected: int | None = None  # and in the board's life; both None where ECC is off


class NvLink(Struct, frozen=True):
    """NVLink of a card: links that are up, their generation, and which `gpus[].index` they reach."""

    active_links: int | None = None
    generation: int | None = None
    peers: tuple[int, ...] = ()


class Gpu(Struct, frozen=True):
    """One card, or one MIG device of the card before it (`kind` "mig")."""

    index: int
    name: str | None
    vendor: str
    state: State
    kind: Kind | None
    visible: bool = True
    hidden_by: str | None = None
    catalogue_id: str | None = None
    architecture: str | None = None
    chip: str | None = None
    segment: str | None = None
    compute_capability: str | None = None
    gfx_target: str | None = None
    memory: GpuMemory = GpuMemory()
    bandwidth_bytes_per_s: int | None = None
    l2_cache_bytes: int | None = None
    infinity_cache_bytes: int | None = None
    multiprocessors: int | None = None
    shader_cores: int | None = None
    matrix_cores: int | None = None
    matrix_generation: int | None = None
    flops: Flops = Flops()
    tdp_w: float | None = None
    power_limit_w: float | None = None
    pcie: Pcie = Pcie()
    mig: Mig = Mig()
    nvlink: NvLink = NvLink()
    health: Health = Health()
    numa_node: int | None = None
    partition: Partition = Partition()
    xgmi: Xgmi = Xgmi()
    p2p_peers: tuple[int, ...] = ()
    ecc_enabled: bool | None = None
    compute_mode: str | None = None
    persistence: bool | None = None
    virtualization: str | None = None
    processes: int | None = None
    processes_memory_bytes: int | None = None
    throttle_reasons: tuple[str, ...] = ()
    pci_address: str | None = None
    pci_id: str | None = None  # 10de:2684
    driver_index: int | None = None  # the first number that CUDA's or ROCm's own tools give it
    uuid: str | None = None
    release_year: int | None = None
    detail: str | None = None
    category: Category | None = None
    sources: Mapping[str, Basis] = {}
    display_active: bool | None = None  # a desktop runs on it
    vgpu_licensed: bool | None = None  # None of anything but a vGPU

    @property
    def usable(self) -> bool:
        """Whether a process started now could use it: visible, driven, not in slices, its fabric not missing."""
        blocked = (
            self.compute_mode == "prohibited"
            or (self.kind != "mig" and self.mig.mode == "enabled")
            or self.health.fabric_state in {"not_started", "in_progress"}  # CUDA's error 802
        )
        return self.visible and self.state == "ok" and not blocked


class DisplayAdapter(Struct, frozen=True):
    """A display or accelerator device that computes nothing for AI frameworks, or that gpucheck does not know."""

    name: str | None
    pci_address: str
    pci_id: str | None  # None where the bus cannot tell it
    driver: str | None = None


class Drivers(Struct, frozen=True):
    """Kernel drivers by vendor; None where there is none."""

    nvidia: NvidiaDriver | None = None
    amd: OtherDriver | None = None
    intel: OtherDriver | None = None


class Machine(Shown, Struct, frozen=True):
    """One machine, as far as it let itself be known."""

    source: Literal["live", "recording", "simulated"]
    platform: Platform
    cpu: Cpu
    memory: Memory
    numa_nodes: tuple[NumaNode, ...] = ()  # where there are several; `gpus[].numa_node` names one
    storage: tuple[Place, ...] = ()
    limits: Limits = Limits()
    gpus: tuple[Gpu, ...] = ()
    display_adapters: tuple[DisplayAdapter, ...] = ()
    drivers: Drivers = Drivers()
    toolkits: Toolkits = Toolkits()
    frameworks: tuple[Framework, ...] = ()
    visibility: Mapping[str, str] = {}  # the variables that hide or choose devices, as they are set
    category: MachineCategory | None = None
    issues: tuple[ProbeIssue, ...] = ()
    environment: Environment | None = None  # whose packages `frameworks` are; None of a simulated machine
    programs: tuple[Program, ...] = ()  # that run models, on PATH

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """The devices that a process started now could compute on."""
        return tuple(gpu for gpu in self.gpus if gpu.usable)
