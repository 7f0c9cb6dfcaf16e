"""GC407 to GC411: what the machine around the GPUs lacks: RAM, disk, nearness, instructions."""

from __future__ import annotations

from collections.abc import Iterator

from gpucheck.assess.findings.finding import Finding, Remedy, largest_card, named, scheduler
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import NumaNode
from gpucheck.units import format_bytes


def little_memory(machine: Machine) -> Iterator[Finding]:
    """GC407: RAM and swap together below what the largest GPU holds; where a limit is lower still, GC405 says so."""
    memory, card = machine.memory, largest_card(machine)
    size = card.memory.total_bytes if card is not None else None
    if card is None or size is None or memory.total_bytes is None or memory.swap_total_bytes is None:
        return
    limited = memory.limit_bytes is not None and memory.limit_bytes < size
    if limited or memory.total_bytes + memory.swap_total_bytes >= size:
        return
    yield Finding(
        code="GC407",
        severity="info",
        title=f"The machine has less RAM than {named([card])} has memory: loading a model that fills the GPU may fail",
        found=f"{format_bytes(memory.total_bytes)} of RAM and {format_bytes(memory.swap_total_bytes)} of swap",
        required=f"{format_bytes(size)} together, unless models are mapped or read in parts",
        remedy=_more_memory(machine),
        source="memory.total_bytes",
    )


def _more_memory(machine: Machine) -> Remedy:
    if machine.platform.wsl:
        text = "raise memory= and swap= under [wsl2] in %UserProfile%\\.wslconfig on Windows, then restart WSL"
        return Remedy(text, ("wsl.exe --shutdown",))
    formats = "use safetensors or GGUF, which need not be in RAM as a whole"
    if machine.platform.container is not None:
        return Remedy(formats)
    if machine.platform.virtual_machine is not None:
        return Remedy(f"{formats}; or take a machine with more RAM, or add swap")
    if machine.platform.os == "windows":
        return Remedy(f"{formats}; or let Windows enlarge its page file")
    return Remedy(f"{formats}; or add swap or RAM")


def little_disk(machine: Machine) -> Iterator[Finding]:
    """GC408: less free space where models are kept than the largest GPU has memory."""
    places = {place.purpose: place for place in machine.storage}
    models, card = places.get("models"), _largest(machine)
    if models is None or models.free_bytes is None or card is None:
        return
    size = _holds(card)
    if models.free_bytes >= size:
        return
    here = places.get("current directory")
    roomy = here is not None and here.free_bytes is not None and here.free_bytes >= size
    unix = machine.platform.os in {"linux", "darwin"}
    yield Finding(
        code="GC408",
        severity="info",
        title=f"{format_bytes(models.free_bytes)} are free where models are kept, and {named([card])} holds"
        f" {format_bytes(size)}",
        found=f"{format_bytes(models.free_bytes)} free in {models.path}",
        required=f"{format_bytes(size)} for a model that fills the GPU",
        remedy=Remedy(
            "keep models elsewhere: the current directory has the room"
            if roomy
            else "make room, or set HF_HOME to a folder that has it",
            () if not unix else ('export HF_HOME="$PWD/huggingface"',) if roomy else ("df -h",),
        ),
        source="storage",
    )


def _largest(machine: Machine) -> Gpu | None:
    """The usable GPU that holds most, those with the machine's memory included; plain graphics of a processor not."""
    return max(
        (gpu for gpu in machine.usable_gpus if gpu.kind != "integrated" and _holds(gpu)), key=_holds, default=None
    )


def _holds(gpu: Gpu) -> int:
    """Bytes of a model that a GPU can hold at most: of shared memory only what a process gets of it."""
    memory = gpu.memory
    return (memory.usable_bytes if memory.kind == "shared" else memory.total_bytes) or 0


def far_processors(machine: Machine) -> Iterator[Finding]:
    """GC410: this process may run on no processor of the node that a GPU hangs on; one finding for each node."""
    nodes = {node.index: node for node in machine.numa_nodes}
    cut_off: dict[int, list[Gpu]] = {}
    for gpu in machine.usable_gpus:
        node = nodes.get(gpu.numa_node) if gpu.numa_node is not None else None
        if node is not None and node.cpus and node.usable_cpus == 0:
            cut_off.setdefault(node.index, []).append(gpu)
    for index, gpus in cut_off.items():
        node = nodes[index]
        others = [str(other.index) for other in nodes.values() if other.usable_cpus]
        yield Finding(
            code="GC410",
            severity="info",
            title=f"{named(gpus)} {'is' if len(gpus) == 1 else 'are'} on NUMA node {index}, where this process may not"
            " run: every copy to and from it takes the long way",
            found=f"no CPU of node {index} ({node.cpus}) is in this process's affinity"
            + (f", only those of node {', '.join(others)}" if others else ""),
            required=f"CPUs of node {index}",
            remedy=_nearer(machine, node),
            source=f"numa_nodes[{index}]",
        )


def _nearer(machine: Machine, node: NumaNode) -> Remedy:
    """How to be started on a node; who pinned a process outside of containers and jobs is not known."""
    container = machine.platform.container
    if scheduler(machine) == "Slurm":
        return Remedy("have Slurm give CPUs near the GPU", ("sbatch --gres-flags=enforce-binding …",))
    if container in {"docker", "podman"}:
        command = f"{container} run --cpuset-cpus={node.cpus} --cpuset-mems={node.index} …"
        return Remedy("start the container on that node", (command,))
    if container == "kubernetes":
        return Remedy("have the node's kubelet align them: topologyManagerPolicy best-effort or stricter")
    return Remedy(
        "start the program on that node, without the taskset or cpuset that this one has",
        (f"numactl --cpunodebind={node.index} --membind={node.index} …",),
    )


def no_avx2(machine: Machine) -> Iterator[Finding]:
    """GC411: an x86 processor, or a virtual machine's idea of one, that lacks what builds take for granted."""
    cpu, platform = machine.cpu, machine.platform
    if cpu.arch != "x86_64" or "avx2" in cpu.features or not _knows_features(machine):
        return
    virtual = platform.virtual_machine is not None
    if virtual:
        remedy = Remedy("give the virtual machine its host's processor type, if the host has AVX2")
    elif any(one.name == "llama-cpp-python" for one in machine.frameworks):
        command = "pip install --force-reinstall --no-binary llama-cpp-python llama-cpp-python"
        remedy = Remedy("build it on this machine, for what its processor has", (command,))
    else:
        remedy = Remedy("take builds that choose their code at run time (llama.cpp's, Ollama's), or build here")
    yield Finding(
        code="GC411",
        severity="info" if machine.usable_gpus else "warning",
        title=f"{'This virtual machine shows' if virtual else 'The processor has'} no AVX2: many builds for processors"
        " stop with an illegal instruction",
        found=f"{cpu.name or 'an x86 processor'} with {' '.join(cpu.features) or 'none of the instructions for AI'}",
        required="AVX2, as in processors since 2013 to 2015",
        remedy=remedy,
        source="cpu.features",
    )


def _knows_features(machine: Machine) -> bool:
    """Whether a missing flag is missing: the kernel lists all; elsewhere a list of old ones alone proves nothing."""
    if machine.platform.os != "linux":
        return "sse4_2" in machine.cpu.features
    return machine.source != "simulated" and not any(issue.source == "cpu.features" for issue in machine.issues)
