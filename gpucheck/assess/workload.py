"""What is asked to run, and how: the seam between the answers and the estimators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from gpucheck.assess.layers import Split
from gpucheck.assess.memory import EffectiveMemory
from gpucheck.assess.placement import Layered, Need, Placed, place
from gpucheck.estimators.by_size import estimate_size
from gpucheck.estimators.rows import Estimate
from gpucheck.estimators.setting import Setting
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
        return self.reference.model.architecture is not None

    def need(self) -> Need:
        """The estimate over so many GPUs, worked out once for each number.

        Raises:
            UsageError: an option is not the engine's, or the engine cannot run the format.
        """
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

    def layered(self) -> Layered | None:
        """What each layer needs, where the engine splits by layers and the shape is known."""
        if not self.known or self.setting.task != "inference":
            return None
        from gpucheck.estimators.on_llama_cpp import least_on_gpus, parts_of, told_layers

        shape = self.reference.model.architecture
        if shape is None or self.setting.engine == "transformers":
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
        return place(memory, self.need(), self.layered())

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
