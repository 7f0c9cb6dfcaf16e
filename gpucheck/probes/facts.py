"""What probes return: frozen facts, unknown as None, each None explained by a `ProbeIssue`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Basis = Literal["measured", "reported", "derived", "catalogue", "assumed"]
"""Where a number comes from: measured here, said by driver or OS, computed, our table, or a named default."""

Vendor = Literal["NVIDIA", "AMD", "Intel", "Apple"]

State = Literal[
    "ok",  # driven and answering
    "lost",  # NVML says the GPU is lost, or it fell off the bus
    "needs_reset",
    "no_driver",  # on the PCI bus, but no driver is bound or loaded
    "wrong_driver",  # nouveau or vfio-pci holds it
    "driver_mismatch",  # kernel module and library are of different versions
    "no_permission",
    "unreachable",  # driver and card are there, but its interface is silent (a container without --gpus)
    "unsupported",  # there and driven, but no AI framework can use it on this system, and nothing mends that
    "unknown",
]


class ProbeIssue(Struct, frozen=True, order=True):
    """Why a fact is missing or doubtful: a stable code, which source said so, and what it said."""

    code: str
    source: str
    detail: str


class Platform(Struct, frozen=True):
    """The operating system around the process. No `container` or `virtual_machine`: no sign of any."""

    os: str | None = None  # linux, darwin, windows
    distribution: str | None = None  # "Debian GNU/Linux 12 (bookworm)"
    kernel: str | None = None
    arch: str | None = None  # x86_64, aarch64, arm64
    container: str | None = None  # docker, podman, kubernetes, lxc, …
    virtual_machine: str | None = None  # kvm, vmware, hyperv, xen, amazon, google, …
    wsl: bool = False


class Cpu(Struct, frozen=True):
    """The processor as this process may use it; caches are those of the whole package where known."""

    name: str | None = None
    vendor: str | None = None  # Intel, AMD, ARM, Apple, …
    arch: str | None = None
    physical_cores: int | None = None
    logical_cores: int | None = None
    usable_cores: int | float | None = None  # after affinity and cgroup quota; a quota may leave half a core
    usable_cores_reason: str | None = None  # "affinity", "cgroup quota", "job object limit"; None: all usable
    features: tuple[str, ...] = ()  # lower-case /proc/cpuinfo flags that matter to AI
    l2_cache_bytes: int | None = None
    l3_cache_bytes: int | None = None
    numa_nodes: int | None = None  # those that have CPUs


class Memory(Struct, frozen=True):
    """Host memory. `total_bytes` is the machine's; `usable_bytes` is what this process can still get."""

    total_bytes: int | None = None
    available_bytes: int | None = None  # the kernel's MemAvailable, of the whole machine
    limit_bytes: int | None = None  # the tightest limit of a cgroup or a Windows job object, None without one
    limit_used_bytes: int | None = None  # what that group holds already, page cache excluded where it can be
    limit_source: str | None = None  # the file that the limit stands in, or "job object"
    usable_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None


class NumaNode(Struct, frozen=True):
    """One node of a machine that has several: its CPUs as Linux lists them ("0-31,64-95") and its memory."""

    index: int
    cpus: str
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    usable_cpus: int | None = None  # how many of its CPUs this process may run on, by its affinity


class Place(Struct, frozen=True):
    """Free space of a file system that models are put on."""

    purpose: str  # "models", "current directory", "shared memory"
    path: str
    total_bytes: int | None = None
    free_bytes: int | None = None


class Limits(Struct, frozen=True):
    """Soft resource limits of the process; None is unlimited or unknown (then an issue says so)."""

    locked_memory_bytes: int | None = None
    address_space_bytes: int | None = None
    open_files: int | None = None
    rdma_devices: int | None = None  # adapters under /dev/infiniband, which lock the memory that they move


UNKNOWN_DRIVER = "which kernel driver is bound to it could not be read"


class PciDevice(Struct, frozen=True):
    """A display or accelerator function on the PCI bus."""

    address: str  # 0000:01:00.0
    vendor_id: str  # 10de
    device_id: str  # 2684
    pci_class: str  # 0300 VGA, 0302 3D, 0380 other display, 1200 accelerator
    subsystem: str | None = None  # "1458:40bf"
    revision: str | None = None
    driver: str | None = None  # nvidia, nouveau, vfio-pci, amdgpu, i915, xe; None when nothing is bound
    driver_known: bool = True  # False where that could not be read
    link_width: int | None = None
    link_max_width: int | None = None
    link_generation: int | None = None
    link_max_generation: int | None = None
    link_complete: bool = True  # False where a link between card and root port could not be read
    numa_node: int | None = None


class MigInstance(Struct, frozen=True):
    """One MIG device as the driver enumerates it: a compute instance of a GPU instance."""

    index: int  # of its parent's MIG devices
    profile: str | None = None  # "3g.40gb"
    name: str | None = None
    uuid: str | None = None
    gpu_instance_id: int | None = None
    compute_instance_id: int | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_used_bytes: int | None = None
    multiprocessors: int | None = None


class GpuReading(Struct, frozen=True):
    """What one vendor's driver, or the bus alone, says of one GPU. Only reported facts; nothing looked up.

    `sources` names the source of a field where several are possible ("nvml", "nvidia-smi -q -x", "sysfs", …).
    """

    vendor: Vendor
    state: State
    driver_index: int | None = None  # the index that the vendor's own tools print
    name: str | None = None
    brand: str | None = None  # NVML brand: GeForce, Quadro, Tesla, NVIDIA RTX, TITAN, GRID, …
    uuid: str | None = None
    pci_address: str | None = None  # 0000:01:00.0
    pci_device_id: str | None = None  # 2684
    pci_subsystem: str | None = None  # "1458:40bf"
    pci_revision: str | None = None  # c8; tells AMD's products with one device id apart
    architecture: str | None = None  # Ada, Hopper, …; the driver's word
    compute_capability: str | None = None
    gfx_target: str | None = None
    integrated: bool | None = None
    virtualization: str | None = None  # passthrough, vgpu; None on bare metal
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    memory_limit_bytes: int | None = None  # the most that a GPU may take of memory it shares with the host
    memory_limit_known: bool = True  # False where there may be such a limit and nobody could read it
    memory_gtt_total_bytes: int | None = None  # what amdgpu may map of the machine's memory for the GPU
    memory_gtt_used_bytes: int | None = None
    memory_rocm_bytes: int | None = None  # what KFD, and so ROCm, counts as the card's memory
    memory_type: str | None = None
    memory_bus_bits: int | None = None
    memory_clock_max_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    shader_cores: int | None = None
    multiprocessors: int | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_max_generation: int | None = None
    pcie_max_width: int | None = None
    power_limit_w: float | None = None
    power_default_limit_w: float | None = None
    ecc_enabled: bool | None = None
    mig_mode: Literal["enabled", "disabled"] | None = None
    mig_devices: tuple[MigInstance, ...] | None = None  # None where nobody could list them
    mig_devices_complete: bool = True  # False where some of them did not answer
    compute_mode: str | None = None  # default, exclusive_process, exclusive_thread, prohibited
    persistence: bool | None = None
    processes: int | None = None
    processes_memory_bytes: int | None = None
    throttle_reasons: tuple[str, ...] = ()
    nvlinks_active: int | None = None
    nvlink_version: int | None = None
    nvlink_peers: tuple[int, ...] = ()  # driver indexes reachable over NVLink
    xgmi_peers: tuple[int, ...] = ()  # driver indexes reachable over XGMI
    p2p_peers: tuple[int, ...] = ()  # driver indexes with peer access for reads
    compute_partition: str | None = None  # SPX, DPX, TPX, QPX, CPX
    memory_partition: str | None = None  # NPS1, NPS2, NPS4, NPS8
    partitions: int | None = None  # devices that ROCm makes of the card
    numa_node: int | None = None
    fabric_state: str | None = None  # of NVSwitch: completed, in_progress, not_started; None without a fabric
    remap_pending: bool | None = None  # rows of memory wait for a reset to be replaced
    remap_failed: bool | None = None  # no spare row was left
    retired_pages_pending: bool | None = None
    xids: tuple[int, ...] = ()  # error codes in the kernel log, looked for only when the GPU is not well
    detail: str | None = None  # what the driver said when the state is not ok
    sources: Mapping[str, str] = {}
    display_active: bool | None = None  # the driver holds memory for a desktop, or a screen is plugged in (AMD)
    ecc_volatile_uncorrected: int | None = None  # errors that ECC could not correct since the driver was loaded
    ecc_aggregate_uncorrected: int | None = None  # in the board's life
    vgpu_licensed: bool | None = None  # of a vGPU in a guest


class NvidiaDriver(Struct, frozen=True):
    """The NVIDIA driver: `version` is the kernel module's where known."""

    version: str | None = None
    cuda_version: str | None = None  # highest CUDA that the driver supports, "12.8"
    library_version: str | None = None  # of libnvidia-ml, when it differs or the module's is unknown
    open_kernel_module: bool | None = None
    source: str | None = None


class OtherDriver(Struct, frozen=True):
    """A kernel driver of another vendor. `version` is None for one that comes with the kernel."""

    name: str
    version: str | None = None
    in_tree: bool | None = None  # True for the kernel's own, False for one that its maker's package brought


class CudaCompat(Struct, frozen=True):
    """A libcuda of NVIDIA's package cuda-compat, which stands in for the driver's own where it is found first."""

    version: str  # of the driver that it is from: "575.57.08"
    folder: str
    found_by: str | None = None  # LD_LIBRARY_PATH or a file of ld.so.conf.d that puts it first; None: it lies there


class InstalledToolkit(Struct, frozen=True):
    """One toolkit on disk, in its own folder. `chosen_by`: the variables, PATH and the links that lead to it."""

    version: str
    folder: str
    chosen_by: tuple[str, ...] = ()  # CUDA_HOME, CUDA_PATH, PATH, ROCM_PATH, HIP_PATH, /usr/local/cuda, /opt/rocm, …


class Toolkits(Struct, frozen=True):
    """Versions of toolkits found in their usual places; None means not found there.

    `cuda` and `rocm` are those in force, which programs would be built with; all of them are in `…_installed`.
    """

    cuda: str | None = None
    cudnn: str | None = None
    tensorrt: str | None = None
    rocm: str | None = None
    mps: str | None = None
    cuda_compat: CudaCompat | None = None
    nccl: str | None = None
    oneapi: str | None = None  # its compiler's
    level_zero: str | None = None  # its loader's
    cuda_installed: tuple[InstalledToolkit, ...] = ()
    rocm_installed: tuple[InstalledToolkit, ...] = ()


class Environment(Struct, frozen=True):
    """The Python environment whose packages were looked at."""

    path: str | None = None  # its prefix
    interpreter: str | None = None
    python: str | None = None  # "3.12"
    chosen_by: str | None = None  # --python, VIRTUAL_ENV, CONDA_PREFIX; None: the one that gpucheck runs in
    made_by: str | None = None  # uv or conda, by the marks that they leave


class Program(Struct, frozen=True):
    """A program on PATH that runs models; it was not started."""

    name: str
    path: str


class DeepStep(Struct, frozen=True):
    """One thing that a deep check did. `unfinished` is the step in which the child died or ran out of time."""

    name: str  # import, find devices, initialise, open, copy, add, matmul fp32, …
    outcome: Literal["ok", "failed", "skipped", "unfinished"]
    seconds: float | None = None
    error: str | None = None  # the class of the exception
    message: str | None = None  # its first line, or why the step was skipped


class DeepDevice(Struct, frozen=True):
    """A device that a framework offered, by the framework's own name, and what it did there."""

    id: str  # cuda:0 (ROCm's too), xpu:0, mps, gpu:0, cpu
    name: str | None = None
    capability: str | None = None  # compute capability or gfx target; of the CPU the instruction set in use
    memory_total_bytes: int | None = None
    steps: tuple[DeepStep, ...] = ()


class DeepCheck(Struct, frozen=True):
    """What came of trying a framework in a child process of the inspected Python, with a time limit.

    `failed` is a step that raised or computed wrongly; `unanswered`, that the check did not know this framework's
    interface. `facts` are the framework's own words: its version, cuda, cudnn, arch_list, providers.
    """

    answer: Literal["ok", "failed", "crashed", "timed_out", "too_much_output", "unanswered"]
    seconds: float | None = None  # wall-clock time of the whole child
    steps: tuple[DeepStep, ...] = ()  # those before and beside the devices
    devices: tuple[DeepDevice, ...] = ()
    facts: Mapping[str, str] = {}
    crash: str | None = None  # "illegal instruction", "segmentation fault", "exit code 3"
    detail: str | None = None  # the last line that a child which came to grief wrote


class Framework(Struct, frozen=True):
    """An AI framework installed in the inspected Python.

    `arch_list` is the GPU code that its build carries, by the catalogue's table, empty where that is not known.
    `usable` is whether that build can compute on a GPU that a process here may use, None where nobody knows.
    """

    name: str
    version: str | None = None
    build: str | None = None  # the local version tag: cu128, rocm6.2, cpu
    python: str | None = None
    tagged: bool = False  # whether its own version names the build, as PyTorch's wheels do and other builders' do not
    arch_list: tuple[str, ...] = ()
    usable: bool | None = None
    reason: str | None = None
    broken: str | None = None  # why it cannot be imported, as the files on disk show; None where they show nothing
    providers: tuple[str, ...] = ()  # what its native libraries were built for, by their names: cuda, tensorrt, vulkan
    requires: Mapping[str, str] = {}  # versions of other packages without which it fails: {"torch": "==2.9.0"}
    deep: DeepCheck | None = None  # what came of trying it; None where nobody did
