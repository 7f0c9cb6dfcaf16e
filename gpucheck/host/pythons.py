"""What a Python environment has installed, read from package metadata; nothing of it is imported."""

from __future__ import annotations

from typing import Any

from gpucheck.host.answer import MALFORMED, Answer, failed
from gpucheck.host.commands import run
from gpucheck.host.plain_json import parse_json

ONNX = (  # one folder, onnxruntime, which the one installed last has written; setup.py names some more
    "onnxruntime-gpu", "onnxruntime-rocm", "onnxruntime-migraphx", "onnxruntime-openvino", "onnxruntime-directml",
    "onnxruntime",
)  # fmt: skip
JAX_PLUGINS = (
    "jax-cuda13-plugin", "jax-cuda12-plugin", "jax-rocm7-plugin", "jax-rocm60-plugin", "jax-oneapi-plugin",
)  # fmt: skip
FRAMEWORKS = (
    "torch", "tensorflow", "tensorflow-cpu", "tensorflow-rocm", "jax", "jaxlib", *JAX_PLUGINS, *ONNX,
    "vllm", "sglang", "llama-cpp-python", "exllamav2", "ctranslate2", "mlx", "transformers", "tensorrt",
    "flash-attn", "flash-attn-3", "xformers", "bitsandbytes", "triton", "deepspeed",
    "gptqmodel", "auto-gptq", "autoawq", "accelerate", "diffusers", "peft", "torchvision", "torchaudio",
)  # fmt: skip
PARTS = frozenset({  # what engines are made of; alone they run no model
    "jaxlib", *JAX_PLUGINS, "flash-attn", "flash-attn-3", "xformers", "bitsandbytes", "triton", "deepspeed",
    "gptqmodel", "auto-gptq", "autoawq", "accelerate", "diffusers", "peft", "torchvision", "torchaudio",
})  # fmt: skip
BINDINGS = ("pynvml", "nvidia-ml-py", "nvidia-ml-py3")  # three packages for one module, pynvml
OURS = ("gpucheck-inspector", "gpucheck")  # this one, and a plugin of pytest; two packages for one module
PACKAGES = FRAMEWORKS + BINDINGS + OURS


def remains_of(name: str) -> str | None:
    """The package whose removal or upgrade pip did not finish, by the "~orch" or "~-rch" that it made of its name."""
    if not name.startswith("~"):
        return None
    rest = name.lstrip("~-.=%0123456789")
    kept = (one for one in PACKAGES if len(one) == len(name) and one.endswith(rest))
    return next(kept, None) if rest else None


# Runs in the inspected interpreter, which may be old: standard library only, and the folder that `-c` puts
# first on the path must not lend its files to the answer.
_SCRIPT = """
import json, sys
sys.path = [p for p in sys.path if p]
try:
    from importlib.metadata import distributions
except ImportError:
    distributions = lambda: ()
wanted = set(sys.argv[1].split(","))
found = {}
for d in distributions():
    name = (d.metadata["Name"] or "").lower().replace("_", "-").replace(".", "-")
    if name in wanted:
        found.setdefault(name, [d.version, str(d.locate_file(""))])
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "prefix": sys.prefix, "found": found}))
"""


def installed_frameworks(interpreter: str, timeout_s: float) -> Answer[dict[str, Any]]:
    """{version, prefix, found: {distribution: [version, folder]}} of another interpreter, from a child."""
    answer = run([interpreter, "-c", _SCRIPT, ",".join(PACKAGES)], timeout_s)
    if answer.value is None:
        return failed(answer.error or MALFORMED, answer.detail)
    if answer.value["returncode"] != 0:
        last = answer.value["stderr"].strip().splitlines()[-1:] or ["no message"]
        return failed(MALFORMED, f"{interpreter} exited with {answer.value['returncode']}: {last[0]}")
    try:
        found = parse_json(answer.value["stdout"])
    except (ValueError, RecursionError) as error:
        return failed(MALFORMED, f"{interpreter}: {error}")
    return Answer(found) if isinstance(found, dict) else failed(MALFORMED, f"{interpreter}: not an object")
