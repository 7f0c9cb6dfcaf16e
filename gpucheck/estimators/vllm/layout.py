"""How vLLM spreads a model over GPUs: ranks of tensors, stages of layers, replicas."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.estimators.vllm.options import VllmOptions
from gpucheck.models.architecture import Architecture, Attention, LatentAttention


class Layout(Struct, frozen=True):
    """`tensor` GPUs share every layer, `pipeline` stages have some layers each, `data` replicas have all of it."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert_parallel: bool = False

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return self.tensor * self.pipeline * self.data


def layout_of(architecture: Architecture, options: VllmOptions, gpus: int) -> Layout:
    """The layout that the options name; what they leave open is the widest sharing of tensors over `gpus` GPUs.

    Raises:
        UsageError: the heads cannot be shared so, or there are more stages than layers.
    """
    stages, data = options.pipeline_parallel_size or 1, options.data_parallel_size
    tensor = options.tensor_parallel_size
    if tensor is None:
        most = max(gpus // (stages * data), 1)
        tensor = max(size for size in range(1, most + 1) if most % size == 0 and divides(architecture, size))
        if options.pipeline_parallel_size is None:
            stages = most // tensor
    if not divides(architecture, tensor):
        raise UsageError(f"tensor_parallel_size {tensor} does not divide the heads of the model")
    if stages > max(len(architecture.layers), 1):
        raise UsageError(f"pipeline_parallel_size {stages} is more than the model has layers")
    return Layout(tensor, stages, data, options.enable_expert_parallel)


def divides(architecture: Architecture, tensor: int) -> bool:
    """Whether so many ranks can share the heads: queries in equal parts, keys in parts or copies."""
    for layer, _ in architecture.groups:
        attention, recurrent = layer.attention, layer.recurrent
        if isinstance(attention, (Attention, LatentAttention)) and attention.num_attention_heads % tensor:
            return False
        if isinstance(attention, Attention):
            heads = attention.num_key_value_heads
            if max(heads, tensor) % min(heads, tensor):
                return False
        headed = recurrent is not None and recurrent.kind in {"gated_delta_net", "mamba2", "kda", "lightning"}
        if recurrent is not None and headed and recurrent.head_count % tensor:
            return False
    return True


def stages_of(layers: int, stages: int) -> tuple[range, ...]:
    """The layers of each stage: equal parts, what remains one each from the last but one on back.

    vllm/distributed/utils.py, get_pp_indices.
    """
    sizes = [layers // stages] * stages
    for index in range(2, layers % stages + 2):
        sizes[-index] += 1
    starts = [sum(sizes[:index]) for index in range(stages)]
    return tuple(range(start, start + size) for start, size in zip(starts, sizes, strict=True))
