"""The command that starts the engine as an answer says."""

from __future__ import annotations

import shlex

from gpucheck.assess.placement import Placed
from gpucheck.assess.workload import Workload
from gpucheck.estimators.stored import in_file, shape_of
from gpucheck.estimators.vllm.layout import layout_of
from gpucheck.estimators.vllm.options import parse_options as parse_vllm
from gpucheck.machine.types import Gpu, Machine

# Options of the library by the flags of llama-server.
_FLAGS = {
    "n_batch": "-b", "n_ubatch": "-ub", "type_k": "-ctk", "type_v": "-ctv", "n_parallel": "-np", "n_gpu_layers": "-ngl",
    "n_cpu_moe": "--n-cpu-moe",
}  # fmt: skip
_BACKENDS = {"NVIDIA": "CUDA", "AMD": "ROCm", "Apple": "MTL"}
_SWITCHES = {"swa_full": "--swa-full", "no_mmap": "--no-mmap"}
_OFF_SWITCHES = {"use_extra_bufts": "--no-repack", "offload_kqv": "--no-kv-offload"}
_OF_GPUS = frozenset({"n_gpu_layers", "n_cpu_moe"})
_VLLM_FORMATS = frozenset({"bf16", "fp16", "fp8"})  # that vLLM makes of any checkpoint
_ON, _OFF = frozenset({"true", "1", "on", "yes"}), frozenset({"false", "0", "off", "no"})


def command_for(machine: Machine, workload: Workload, placed: Placed) -> str | None:
    """What to type for llama.cpp; None for an engine without a command line, or where nothing fits.

    Where the machine has more GPUs than the placement uses, the command names those that it uses.
    """
    if workload.setting.task != "inference":
        from gpucheck.assess.command_training import training_command

        return training_command(workload, placed)
    if workload.setting.engine == "vllm" and placed.placement.devices:
        served = in_file(workload.reference.model, workload.quant) or workload.quant.name in _VLLM_FORMATS
        return shlex.join(_vllm(workload, placed)) if served else None  # another checkpoint, whose name is not known
    if workload.setting.engine != "llama.cpp" or placed.fits in {"no", "unknown"}:
        return None
    where = _place(machine, workload, placed)
    return shlex.join(["llama-server", *_model(workload), *_size(workload), *where, *_given(workload, placed)])


def _vllm(workload: Workload, placed: Placed) -> list[str]:
    """`vllm serve` with the layout of the placement; options by their own names are its flags."""
    model, setting = workload.reference.model, workload.setting
    words = ["vllm", "serve", model.path or model.id, "--max-model-len", str(setting.context)]
    layout = layout_of(shape_of(model), parse_vllm(setting.given), len(placed.placement.devices))
    if workload.quant.name == "fp8" and not in_file(model, workload.quant):
        words += ["--quantization", "fp8"]
    if layout.tensor > 1:
        words += ["--tensor-parallel-size", str(layout.tensor)]
    if layout.pipeline > 1:
        words += ["--pipeline-parallel-size", str(layout.pipeline)]
    if setting.batch > 1 and "max_num_seqs" not in setting.given:
        words += ["--max-num-seqs", str(setting.batch)]
    for name, value in setting.options:
        if name in {"tensor_parallel_size", "pipeline_parallel_size", "max_model_len"} or value is None:
            continue
        flag, text = f"--{name.replace('_', '-')}", str(value).strip().lower()
        words += [flag] if text in _ON - {"1"} else [] if text in _OFF - {"0"} else [flag, str(value)]
    return words


def _model(workload: Workload) -> list[str]:
    model = workload.reference.model
    if model.source == "gguf" and model.path and in_file(model, workload.quant):
        return ["-m", model.path]
    return ["-m", f"{model.id.rpartition('/')[2]}-{workload.quant.name}.gguf"]


def _size(workload: Workload) -> list[str]:
    setting = workload.setting
    words, given = ["-c", str(setting.context * setting.batch)], setting.given
    if setting.batch > 1 and given.get("n_parallel") is None:
        words += ["-np", str(setting.batch)]
    slots = setting.batch if given.get("n_parallel") is None else int(given["n_parallel"])
    apart = str(given.get("kv_unified")).strip().lower() in _OFF
    # The server shares one cache between slots only where it chose their number itself.
    if slots > 1 and not apart:
        return [*words, "-kvu"]
    return [*words, "-no-kvu"] if apart and given.get("n_parallel") is None and setting.batch == 1 else words


def _place(machine: Machine, workload: Workload, placed: Placed) -> list[str]:
    placement, given = placed.placement, workload.setting.given
    if placement.mode in {"cpu", "none"}:
        return _on_cpu(machine)
    on_gpus = sum(placement.layers)
    whole = placement.total_layers is None or on_gpus == placement.total_layers
    words = [] if "n_gpu_layers" in given else ["-ngl", "999" if whole else str(on_gpus + 1)]
    if placement.experts_on_host and "n_cpu_moe" not in given:
        words += ["--n-cpu-moe", str(placement.experts_on_host)]
    used = {gpu.index: gpu for gpu in machine.usable_gpus}
    devices = placement.devices
    if len(used) > len(devices) or list(devices) != sorted(devices):  # layers go to devices in the order that is named
        words += ["-dev", ",".join(_device(used[index]) for index in devices)]
    if len(devices) > 1 and placement.layers:
        words += ["-ts", ",".join(map(str, _shares(placement.layers)))]
    return words


def _on_cpu(machine: Machine) -> list[str]:
    """No layer on a GPU; where one is there, it is to take no part at all."""
    return ["-ngl", "0", "-dev", "none"] if machine.usable_gpus else ["-ngl", "0"]


def _shares(layers: tuple[int, ...]) -> tuple[int, ...]:
    """Layers of each device; llama.cpp counts the head as one more, and the last device has it."""
    return (*layers[:-1], layers[-1] + 1)


def _device(gpu: Gpu) -> str:
    """The name that llama.cpp gives a GPU: its backend's, and its number there."""
    number = gpu.index if gpu.driver_index is None else gpu.driver_index
    return f"{_BACKENDS.get(gpu.vendor, 'Vulkan')}{number}"


def _given(workload: Workload, placed: Placed) -> list[str]:
    words: list[str] = []
    for name, value in workload.setting.options:
        if value is None or (name in _OF_GPUS and placed.placement.mode == "cpu"):
            continue
        text = str(value).strip().lower()
        if name in _FLAGS:
            words += [_FLAGS[name], text]
        elif name in _SWITCHES and text in _ON:
            words.append(_SWITCHES[name])
        elif name in _OFF_SWITCHES and text in _OFF:
            words.append(_OFF_SWITCHES[name])
        elif name == "flash_attn":
            words += ["-fa", _flash(value)]
    return words


def _flash(value: object) -> str:
    text = str(value).strip().lower()
    return "auto" if text == "auto" else "on" if text in _ON else "off"
