"""A model: its shape, the tensors of its files if it has any, and where both came from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from gpucheck.models.architecture import Architecture, Part
from gpucheck.models.size import ModelSize
from gpucheck.models.tensor import Tensor, TensorGroup

if TYPE_CHECKING:
    from gpucheck.models.pipelines import Pipeline

ModelSource = Literal["size", "catalogue", "config", "checkpoint", "safetensors", "gguf"]


class Model(Struct, frozen=True, kw_only=True, dict=True):
    """What is known of a model.

    `architecture` is None where only the size is known (`size`), or where its kind is one that gpucheck does not
    know; then `issues` says so. `tensors` are those of its files, None without files. `quant` is the format of the
    weights in the files ("Q4_K_M", "gptq-int4", "fp8"), None where they are plain numbers of type `dtype`.
    `group_size` is that of a quantized checkpoint. `pipeline` holds the components of a diffusion pipeline, which has
    no shape of its own.
    """

    id: str
    source: ModelSource
    architecture: Architecture | None = None
    parts: tuple[Part, ...] = ()
    size: ModelSize | None = None
    tensors: tuple[Tensor, ...] | None = None
    file_bytes: int | None = None
    quant: str | None = None
    group_size: int | None = None
    dtype: str | None = None
    license: str | None = None
    path: str | None = None
    origin: str | None = None  # where the shape was read, for a catalogue entry
    issues: tuple[str, ...] = ()
    pipeline: Pipeline | None = None

    @cached_property
    def groups(self) -> tuple[TensorGroup, ...]:
        """The tensors of the language model as its shape implies them; empty without a shape."""
        from gpucheck.models.tensors import tensor_groups

        return tensor_groups(self.architecture) if self.architecture else ()

    @cached_property
    def memo(self) -> dict[str, Any]:
        """A place for what others work out from this model once."""
        return {}

    @property
    def total_parameters(self) -> int | None:
        """Parameters of the language model, head and embedding included; None if they are not known."""
        if self.architecture:
            return sum(group.total_elements for group in self.groups)
        return self.size.total_parameters if self.size else None

    @property
    def active_parameters(self) -> int | None:
        """Parameters that work on each token, embedding and head included; None if they are not known."""
        if self.architecture:
            return sum(
                group.row * (group.rows if group.active_rows is None else group.active_rows) * len(group.layers)
                for group in self.groups
            )
        return self.size.active_parameters if self.size else None
