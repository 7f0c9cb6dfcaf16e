"""The lines about software: calm by default, everything with -v, what is broken always."""

from msgspec.structs import replace

from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import Cpu, Environment, Framework, Memory, Platform, Program
from gpucheck.report.text_software import software_lines

CARD = Gpu(0, "card", "NVIDIA", "ok", "discrete")
PLACE = Environment("/v", "/v/bin/python", "3.11", "VIRTUAL_ENV")
HERE = Machine(
    "live", Platform(), Cpu(), Memory(), gpus=(CARD,), environment=PLACE,
    frameworks=(
        Framework("torch", "2.9.1", "cu128"), Framework("onnxruntime-gpu", "1.23.2", providers=("cuda", "tensorrt")),
        Framework("accelerate", "1.15.0"), Framework("xformers", "0.0.33", broken="its file x is missing"),
    ),
    programs=(Program("ollama", "/usr/bin/ollama"),),
)  # fmt: skip


def test_by_default():
    """Engines and programs, and of their parts those that are broken."""
    assert software_lines(HERE, verbose=False) == (
        "torch 2.9.1+cu128", "onnxruntime-gpu 1.23.2", "xformers 0.0.33, broken: its file x is missing", "ollama",
    )  # fmt: skip


def test_everything():
    """The environment, every package, what libraries are for, and where programs are."""
    assert software_lines(HERE, verbose=True) == (
        "Python 3.11 in /v (VIRTUAL_ENV)", "torch 2.9.1+cu128", "onnxruntime-gpu 1.23.2, for cuda, tensorrt",
        "accelerate 1.15.0", "xformers 0.0.33, broken: its file x is missing", "ollama (/usr/bin/ollama)",
    )  # fmt: skip


def test_without_a_gpu():
    """What is installed is told there too; the environment where somebody asked for one."""
    bare = replace(HERE, gpus=())
    assert software_lines(bare, verbose=False) == software_lines(HERE, verbose=False)
    asked = replace(bare, environment=replace(PLACE, chosen_by="--python", python=None, path=None))
    assert software_lines(asked, verbose=False)[:2] == ("Python in /v/bin/python (--python)", "torch 2.9.1+cu128")
