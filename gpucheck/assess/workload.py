"""What is asked to run, and how: the seam between the answers and the estimators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from gpucheck.assess.layers import Split
from gpucheck.assess.memory import EffectiveMemory, Pool
from gpucheck.assess.placement import Layered, Need, Placed, Placement, place
from gpucheck.errors import UsageError
from gpucheck.estimators.by_size import estimate_size
from gpucheck.estimators.rows import Estimate
from gpucheck.estimators.setting import DEFAULT, Setting
from gpucheck.models.quantization import Quantization
from gpucheck.models.reference import ModelReference


class Workload(Struct, frozen=True):
    """A model in a quantization under a setting."""

    reference: ModelReference
    quant: Quantization
    setting: Setting

    @property
    def known(self) -> bool:
        """Whether the shape of the model is known, not only its size."""
        return self.reference.model.architecture is not None or self.reference.model.pipeline is not None

    def need(self) -> Need:
        """The estimate over so many GPUs, worked out once for each number.

        Raises:
            UsageError: an option is not the engine's, or the engine cannot run the format.
        """
        if self.reference.model.pipeline or self.setting.engine == "diffusers":
            return self._pipeline()
        if self.known:
            from gpucheck.estimators.known import estimate_known

            return _Once(estimate_known, self.reference.model, self.quant, self.setting)
        if self.setting.task != "inference":
            from gpucheck.estimators.training.by_size import estimate_training_size

            return _Once(estimate_training_size, self.reference.size, self.quant, self.setting)
        if self.reference.model.tensors:
            from gpucheck.estimators.by_tensors import estimate_tensors

            return _Once(estimate_tensors, self.reference.model, self.quant, self.setting)
        return _Once(estimate_size, self.reference.size, self.quant, self.setting)

    def _pipeline(self) -> Need:
        """The estimate of a diffusion pipeline.

        Raises:
            UsageError: the model is none, the engine is another, or the task is training.
        """
        from gpucheck.estimators.diffusion.estimate import estimate_pipeline

        if self.setting.engine != "diffusers":
            raise UsageError(f"{self.reference.text} is a diffusion pipeline: its engine is diffusers")
        if self.setting.task != "inference":
            raise UsageError(f"{self.reference.text}: training of diffusion pipelines is not estimated")
        return _Once(estimate_pipeline, self.reference.model, self.quant, self.setting)

    def layered(self) -> Layered | None:
        """What each layer needs, where the engine splits by layers and the shape is known."""
        if not self.known or self.setting.task != "inference":
            return None
        from gpucheck.estimators.on_llama_cpp import least_on_gpus, parts_of, told_layers

        shape = self.reference.model.architecture
        if shape is None or self.setting.engine in {"transformers", "vllm"}:
            return None
        told = told_layers(len(shape.layers), self.setting)
        what = self.reference.model, self.quant, self.setting
        return Layered(len(shape.layers), told, partial(least_on_gpus, *what), partial(parts_of, *what), self._divided)

    def placed(self, memory: EffectiveMemory) -> Placed:
        """Where the workload would go on a machine with this memory.

        Raises:
            UsageError: an option is not the engine's, or the engine cannot run the format.
        """
        if self.known and str(self.setting.given.get("backend", "")).strip().lower() == "cpu":
            memory = EffectiveMemory((), memory.host_bytes, memory.host_most_bytes)
        if self.reference.model.pipeline:  # a pipeline runs on one GPU
            apart = tuple(Pool(pool.kind, (device,)) for pool in memory.pools for device in pool.devices)
            memory = EffectiveMemory(apart, memory.host_bytes, memory.host_most_bytes)
        if self.setting.engine == "vllm" and self.known:
            from gpucheck.assess.serving import place_vllm

            return place_vllm(memory, self)
        placed = place(memory, self.need(), self.layered())
        if self.setting.task != "inference" and placed.fits == "partial":
            # Nothing trains with some layers on the CPU; what offload needs is an option, and a change to propose.
            return Placed("no", Placement("none"), self.need()(1), memory.deciding_bytes)
        if self.reference.model.pipeline and placed.placement.mode == "gpu_and_cpu":
            # diffusers leaves nothing on the CPU but by an option, which is a change to propose.
            return Placed("no", Placement("none"), self.need()(1), memory.deciding_bytes)
        return placed

    def _divided(self, gpus: int, split: Split) -> Estimate:
        """What is needed with the layers of the split on so many GPUs."""
        from gpucheck.estimators.on_llama_cpp import estimate_divided

        places: dict[str, int] = {}
        on_gpus = sum(split.layers)
        if on_gpus < split.total and "n_gpu_layers" not in self.setting.given:
            places["n_gpu_layers"] = on_gpus + 1  # the head is counted as well
        if split.experts_on_host:
            places["n_cpu_moe"] = split.experts_on_host
        return estimate_divided(self.reference.model, self.quant, self.setting, gpus, places)


def engine_for(reference: ModelReference, setting: Setting) -> Setting:
    """The setting with the engine that runs the model: diffusers for a pipeline, where the default was not changed."""
    if reference.model.pipeline and setting.engine == DEFAULT.engine:
        return replace(setting, engine="diffusers")
    return setting


class _Once:
    """An estimate for each number of GPUs, worked out once; lighter than functools.cache, of which each needs one."""

    __slots__ = ("_arguments", "_estimate", "_known")

    def __init__(self, estimate: Callable[..., Estimate], *arguments: object) -> None:
        self._estimate = estimate
        self._arguments = arguments
        self._known: dict[int, Estimate] = {}

    def __call__(self, gpus: int) -> Estimate:
        found = self._known.get(gpus)
        if found is None:
            found = self._known[gpus] = self._estimate(*self._arguments, gpus)
        return found
