"""Measures llama.cpp's buffers for models of any shape, without weights: files whose data is a hole.

    /path/with/llama-cpp-python/bin/python -m benchmarks.llama_cpp_oracle [NAME ...]

Needs the packages `gguf` and `llama-cpp-python` (a CPU build). Every case is written as a GGUF file with true
metadata, tensor names and shapes and sparse data, loaded, and given a context; the sizes are those that llama.cpp
logs (in MiB, two decimals). The results are in `truth/llama_cpp_unseen.csv`.

With --devices the scheduler is measured on GPUs that only pretend to be there, and the results are in
`truth/llama_cpp_device.csv`. LLAMA_CPP_DEVICE is then a library that is built of llama_cpp_device.cpp, with the headers
of llama.cpp's ggml/include, ggml/src, include and src, and the libraries of llama-cpp-python:
`g++ -std=c++17 -fPIC -shared -DGGML_BACKEND_DL -I... -o device.so llama_cpp_device.cpp -L... -lllama -lggml-base`.
"""

from __future__ import annotations

import csv
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.llama_cpp_shapes import CASES, SETTINGS, tensors

OUT = Path(__file__).parent / "truth" / "llama_cpp_unseen.csv"
_SIZES = {
    "kv": re.compile(r"^llama_kv_cache: +CPU KV buffer size = +([\d.]+) MiB", re.MULTILINE),
    "state": re.compile(r"^llama_memory_recurrent: +CPU RS buffer size = +([\d.]+) MiB", re.MULTILINE),
    "compute": re.compile(r"CPU compute buffer size = +([\d.]+) MiB"),
}


def write_model(path: Path, name: str) -> None:
    """Writes the model `name` without data."""
    import gguf

    case = CASES[name]
    writer = gguf.GGUFWriter(path, case["arch"])
    for key, value in case["keys"].items():
        _add(writer, f"{case['arch']}.{key}", value)
    vocabulary = case["vocab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"t{index}" for index in range(vocabulary)])
    writer.add_token_types([1] * vocabulary)
    writer.add_token_merges(["t 0"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    size = 0
    for tensor, shape in tensors(name):
        count = 1
        for dimension in shape:
            count *= dimension
        small = len(shape) == 1 or "ssm_" in tensor or "shortconv.conv" in tensor or "norm" in tensor
        kind = gguf.GGMLQuantizationType.F32 if small else gguf.GGMLQuantizationType.F16
        each = count * (4 if small else 2)
        writer.add_tensor_info(tensor, list(reversed(shape)), _numpy(small), each, kind)
        size += -(-each // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.truncate(-(-file.tell() // 32) * 32 + size)


def _numpy(small: bool) -> Any:
    import numpy

    return numpy.dtype("float32" if small else "float16")


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    else:
        writer.add_string(key, value)


def load(path: Path, setting: dict[str, int]) -> None:
    """Loads the model and makes a context; llama.cpp's log goes to the standard error.

    With LLAMA_CPP_DEVICE, bytes of each kind of memory go to the standard output (see llama_cpp_device.cpp).
    """
    from llama_cpp import llama_cpp as lib

    lib.llama_backend_init()
    parameters = lib.llama_model_default_params()
    parameters.use_extra_bufts = False
    parameters.n_gpu_layers = setting.pop("n_gpu_layers", 0)
    shim = None
    if library := os.environ.get("LLAMA_CPP_DEVICE"):
        registry = ctypes.CDLL("libggml.so.0")  # the copy that is loaded, by its own name
        registry.ggml_backend_load.restype = ctypes.c_void_p
        registry.ggml_backend_load.argtypes = [ctypes.c_char_p]
        if not registry.ggml_backend_load(library.encode()):
            raise SystemExit(5)
        shim = ctypes.CDLL(library)
        shim.print_breakdown.argtypes = [ctypes.c_void_p]
    model = lib.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise SystemExit(3)
    context = lib.llama_context_default_params()
    for key, value in setting.items():
        setattr(context, key, value)
    made = lib.llama_init_from_model(model, context)
    if not made:
        raise SystemExit(4)
    if shim:
        shim.print_breakdown(made)
    ctypes.CDLL(None).fflush(None)


def measure(path: Path, setting: dict[str, int]) -> tuple[dict[str, str], str]:
    """The sizes of one context in MiB, and llama.cpp's log."""
    words = [f"{key}={value}" for key, value in setting.items()]
    command = [sys.executable, "-m", "benchmarks.llama_cpp_oracle", "--load", str(path), *words]
    log = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stderr
    found = {name: [float(size) for size in pattern.findall(log)] for name, pattern in _SIZES.items()}
    return {name: f"{sum(sizes):.2f}" if sizes else "" for name, sizes in found.items()}, log


DEVICES = OUT.with_name("llama_cpp_device.csv")
DEVICE_CASES = (
    "llama-3.1-8b",
    "minimax-m2-like",
    "qwen3.5-27b",
    "falcon-h1-1.5b",
    "exaone4-1.2b",
    "qwen2moe-a2.7b-like",
)


def measure_devices() -> None:
    """Compute buffers beside one to three pretended GPUs; LLAMA_CPP_DEVICE is the built llama_cpp_device.cpp."""
    with tempfile.TemporaryDirectory() as directory, DEVICES.open("w", newline="", encoding="utf-8") as file:
        file.write("# Bytes of compute buffers by llama.cpp's scheduler, on devices that only pretend to be CUDA's.\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "devices", *SETTINGS[0], "host", "gpu0", "gpu1", "gpu2"])
        for name in DEVICE_CASES:
            path = Path(directory) / f"{name}.gguf"
            write_model(path, name)
            for count in (1, 2, 3):
                for setting in SETTINGS:
                    words = [f"{key}={value}" for key, value in setting.items()]
                    command = [sys.executable, "-m", "benchmarks.llama_cpp_oracle", "--load", str(path)]
                    there = {**os.environ, "PRETENDED_DEVICES": str(count)}
                    text = subprocess.run(
                        [*command, "n_gpu_layers=999", *words], capture_output=True, text=True, env=there, check=True
                    ).stdout
                    found = {line.split()[0]: line.split()[3] for line in text.splitlines()}
                    kinds = ["Host", "GPU0", "GPU1", "GPU2"]
                    writer.writerow([name, count, *setting.values(), *(found.get(kind, "") for kind in kinds)])
            path.unlink()


def main() -> None:
    """Measures the named cases, or all."""
    if sys.argv[1:2] == ["--load"]:
        pairs = (word.split("=") for word in sys.argv[3:])
        load(Path(sys.argv[2]), {key: int(value) for key, value in pairs})
        return
    if sys.argv[1:] == ["--devices"]:
        measure_devices()
        return
    names = sys.argv[1:] or list(CASES)
    results = []
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            path = Path(directory) / f"{name}.gguf"
            write_model(path, name)
            for setting in SETTINGS:
                sizes, log = measure(path, setting)
                if not sizes["compute"]:
                    print(name, "failed:", *log.splitlines()[-6:], sep="\n  ")
                    break
                results.append({"model": name, **setting, **sizes})
                print(results[-1], flush=True)
            path.unlink()
    if not sys.argv[1:]:
        with OUT.open("w", newline="", encoding="utf-8") as file:
            file.write("# MiB that llama.cpp logs for the models of benchmarks/llama_cpp_shapes.py, CPU backend.\n")
            writer = csv.DictWriter(file, list(results[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(results)


if __name__ == "__main__":
    main()
