"""GC401 to GC409: what hides devices from this process, and what limits of containers and jobs keep from it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gpucheck.assess.findings.finding import Finding, Remedy, largest_card, named, scheduler, was_given_others
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import GIB, MIB, format_bytes

# DeepSpeed's ds_report warns below it (DeepSpeed #4015); Docker, Podman and Kubernetes give 64 MiB.
_LEAST_SHARED_BYTES = 512 * MIB
_LEAST_LOCKED_BYTES = GIB  # systemd's default is 8 MiB, at which NCCL's first registration fails (nccl-tests #206)
_FAR_UNDER = 4  # times: from there on not only what reads whole checkpoints is in danger


class _Ask(Struct, frozen=True):
    """What is to be asked for, as an option of Docker and Podman, of Slurm, in a pod, and in a unit of systemd."""

    engine: str
    slurm: str
    pod: str
    unit: str


def hidden(machine: Machine) -> Iterator[Finding]:
    """Variables that hide GPUs from this process; one finding for each value."""
    hidden_by: dict[str, list[Gpu]] = {}
    for gpu in machine.gpus:
        if gpu.hidden_by is not None and gpu.kind != "mig":
            hidden_by.setdefault(gpu.hidden_by, []).append(gpu)
    for variable, gpus in hidden_by.items():
        name = variable.partition("=")[0]
        every = len(gpus) == sum(gpu.kind != "mig" for gpu in machine.gpus)
        yield Finding(
            code="GC402",
            severity="warning" if every else "info",
            title=f"{name} hides {'every GPU' if every else named(gpus)} from this process",
            found=variable if variable.partition("=")[2] else f"{variable} (set to nothing)",
            required=f"{name} unset, or naming the GPUs to use",
            remedy=Remedy("let the process see them", (f"unset {name}",)),
            source=name,
        )


def not_given(machine: Machine) -> Iterator[Finding]:
    """Cards of the machine that others have: a remark with what was given, one for each maker."""
    others: dict[str, list[Gpu]] = {}
    for gpu in machine.gpus:
        if gpu.state == "unreachable" and gpu.kind != "mig" and was_given_others(machine, gpu):
            others.setdefault(gpu.vendor, []).append(gpu)
    container, job = machine.platform.container, scheduler(machine)
    for vendor, gpus in others.items():
        every = sum(gpu.vendor == vendor and gpu.kind != "mig" for gpu in machine.gpus)
        yield Finding(
            code="GC403",
            severity="info",
            title=f"This {f'{job} job' if job else f'container ({container})'} has {every - len(gpus)} of the machine's"
            f" {every} {vendor} GPUs",
            found=gpus[0].detail or "others are out of reach",
            required="the GPUs that the work needs",
            remedy=Remedy(
                f"{_MORE.get(job or container or '', 'start the container with more')}, if the work needs them"
            ),
            source="platform.container" if not job else "visibility",
        )


_MORE = {
    "Slurm": "ask for more (sbatch --gpus=…)",
    "PBS": "ask the scheduler for more",
    "kubernetes": "ask for more in the pod's limits",
}


def small_shared_memory(machine: Machine) -> Iterator[Finding]:
    """GC404: a container's /dev/shm, through which workers of one program hand each other data."""
    container = machine.platform.container
    place = next((place for place in machine.storage if place.purpose == "shared memory"), None)
    size = place.total_bytes if place is not None else None
    if container is None or place is None or size is None or size >= _LEAST_SHARED_BYTES or not machine.usable_gpus:
        return
    engine = container in {"docker", "podman"}
    if engine:
        remedy = Remedy(
            "start the container with more shared memory, or with the host's",
            (f"{container} run --shm-size=10g …", f"{container} run --ipc=host …"),
        )
    elif container == "kubernetes":
        remedy = Remedy("mount an emptyDir volume with medium: Memory at /dev/shm in the pod")
    else:
        remedy = Remedy("start the container with a larger /dev/shm")
    yield Finding(
        code="GC404",
        severity="warning",
        title=f"This container ({container}) has {format_bytes(size)} of shared memory: data loaders and several GPUs"
        " at once may fail",
        found=f"{place.path} of {format_bytes(size)}",
        required=f"{format_bytes(_LEAST_SHARED_BYTES)} or more; 10 GiB where models are spread over GPUs",
        remedy=remedy,
        source="storage",
    )


def low_memory_limit(machine: Machine) -> Iterator[Finding]:
    """GC405: a limit on RAM below what the largest GPU holds, and so below what may have to pass through it."""
    limit, card = machine.memory.limit_bytes, largest_card(machine)
    size = card.memory.total_bytes if card is not None else None
    if limit is None or card is None or size is None or limit >= size:
        return
    total = machine.memory.total_bytes
    gib = -(-size // GIB)
    ask = _Ask(f"--memory={gib}g", f"--mem={gib}G", f"memory: {gib}Gi", "MemoryMax=")
    yield Finding(
        code="GC405",
        severity="warning" if limit * _FAR_UNDER < size else "info",
        title=f"{_confined(machine)} may use {format_bytes(limit)} of RAM, and {named([card])} holds"
        f" {format_bytes(size)}: what loads a model may be killed",
        found=f"{format_bytes(limit)} by {machine.memory.limit_source or 'a limit'}"
        + (f"; the machine has {format_bytes(total)}" if total is not None else ""),
        required=f"{format_bytes(size)} for a model that fills the GPU, unless it is read in parts",
        remedy=_more(machine, "memory", ask)
        if total is None or total >= size
        else Remedy("lift the limit, and use safetensors or GGUF: the whole machine has less than the GPU"),
        source="memory.limit_bytes",
    )


def few_cores(machine: Machine) -> Iterator[Finding]:
    """GC406: fewer cores than the processes that drive the GPUs keep busy, on a machine that has them."""
    cpu = machine.cpu
    count = sum(gpu.kind != "integrated" for gpu in machine.usable_gpus)
    usable, logical, reason = cpu.usable_cores, cpu.logical_cores, cpu.usable_cores_reason
    wanted = count + 1
    ask = _Ask(f"--cpus={wanted}", f"--cpus-per-task={wanted}", f"cpu: {wanted}", "CPUQuota= and AllowedCPUs=")
    if not count or usable is None or logical is None or reason is None or usable >= wanted or logical < wanted:
        return
    yield Finding(
        code="GC406",
        severity="warning" if usable < count else "info",
        title=f"{_confined(machine)} may use {usable} of {logical} CPU cores beside"
        f" {f'{count} GPUs' if count > 1 else 'a GPU'}, which will wait for the processor",
        found=f"{usable} of {logical} cores, by {reason}",
        required=f"{wanted} cores: one for each GPU's process, and one for the rest",
        remedy=_more(machine, "CPU cores", ask)
        if reason != "affinity" or machine.platform.container not in {"docker", "podman"}
        else Remedy("start the container with a wider --cpuset-cpus, or without"),
        source="cpu.usable_cores",
    )  # fmt: skip


def low_locked_memory(machine: Machine) -> Iterator[Finding]:
    """GC409: a limit on locked memory beside adapters that move data between nodes by RDMA."""
    limits = machine.limits
    locked, count = limits.locked_memory_bytes, limits.rdma_devices
    gpus = [gpu for gpu in machine.usable_gpus if gpu.segment == "datacenter"]
    if not count or not gpus or locked is None or locked >= _LEAST_LOCKED_BYTES:
        return
    container, job = machine.platform.container, scheduler(machine)
    if container in {"docker", "podman"}:
        remedy = Remedy("start the container without that limit", (f"{container} run --ulimit memlock=-1 …",))
    elif container is not None:
        remedy = Remedy("let the node's container runtime start containers with LimitMEMLOCK=infinity")
    elif job is not None:
        remedy = Remedy(f"have {job}'s daemon started with LimitMEMLOCK=infinity, and jobs not take the user's limit")
    else:
        lines = "* soft memlock unlimited\\n* hard memlock unlimited\\n"
        remedy = Remedy(
            "lift the limit and log in again; a service has its own, LimitMEMLOCK=",
            (f"printf '{lines}' | sudo tee /etc/security/limits.d/memlock.conf", "ulimit -l"),
        )
    yield Finding(
        code="GC409",
        severity="info",
        title=f"{format_bytes(locked)} of memory may be locked: work over several nodes by RDMA will fail",
        found=f"a limit of {format_bytes(locked)} on locked memory; {count} RDMA adapter{'s' if count > 1 else ''}",
        required="no limit on locked memory (ulimit -l unlimited)",
        remedy=remedy,
        source="limits.locked_memory_bytes",
    )


def _confined(machine: Machine) -> str:
    """Who is kept from something: the scheduler's job, the container, or the process."""
    job, container = scheduler(machine), machine.platform.container
    return f"This {job} job" if job else f"This container ({container})" if container else "This process"


def _more(machine: Machine, what: str, ask: _Ask) -> Remedy:
    """How to be given more of something, in the words of whoever gives it."""
    job, container = scheduler(machine), machine.platform.container
    if job == "Slurm":
        return Remedy(f"ask for more {what}", (f"sbatch {ask.slurm} …",))
    if job is not None:
        return Remedy(f"ask {job} for more {what}")
    if container == "kubernetes":
        return Remedy(f"raise the pod's limit to {ask.pod}")
    if container in {"docker", "podman"}:
        return Remedy(
            f"start the container with more {what}, or without that limit", (f"{container} run {ask.engine} …",)
        )
    if container is not None:
        return Remedy(f"start the container with more {what}")
    if machine.platform.os == "windows":
        return Remedy("have whatever started this process raise the limits of its job object")
    return Remedy(f"raise {ask.unit} of the systemd unit or the control group that this runs in")
