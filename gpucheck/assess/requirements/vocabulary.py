"""The vocabulary of requirements: one table for files (`min_vram`), options (`--min-vram`) and Python (`min_vram=`).

Requirements about a GPU (`subject` "gpu") hold together: at least `min_gpus` GPUs (one, where it is not given) must
each meet all of them, not one GPU the first and another the second. GPUs here are those that a process started now
can use: a MIG device counts as one, its card does not; graphics that share the processor's memory count where there
is no card beside them. `min_total_vram` adds up the GPUs that meet the requirements about a GPU.

A flag that is false demands nothing, so that a profile can take back what the file demands above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gpucheck.assess.requirements.named import NAMES
from gpucheck.assess.requirements.packages import FRAMEWORKS
from gpucheck.assess.requirements.values import (
    BYTES,
    FLAG,
    POSITIVE,
    RATE,
    Kind,
    choices,
    clauses,
    count,
    rates,
    version,
    words,
)
from gpucheck.assess.requirements.workloads import CODES, ENGINE, MODELS

Subject = Literal["number", "gpu", "total", "software", "host", "findings", "model", "setting"]

CATEGORIES = ("High-end", "Mid-range", "Consumer", "Budget", "Integrated", "CPU only")
"""The categories from the best to the least, as the category of a machine is that of its best card."""
DTYPES = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "int8")
VENDORS = ("nvidia", "amd", "intel", "apple")
SEVERITIES = ("error", "warning", "info")
SYSTEMS = ("linux", "windows", "darwin")


class Key(Struct, frozen=True):
    """One word of the vocabulary. `example` is a value as TOML writes it; `many`: its option may be given repeatedly.

    A "setting" demands nothing by itself: it says how others are meant.
    """

    name: str
    subject: Subject
    kind: Kind
    help: str
    example: str
    many: bool = False

    @property
    def option(self) -> str:
        """The option of the command line: "--min-vram"."""
        return f"--{self.name.replace('_', '-')}"


def _keys(*keys: Key) -> Mapping[str, Key]:
    return {key.name: key for key in keys}


_GPU_CODES = words('gfx targets of AMD, such as "gfx942"', r"gfx[0-9a-f]{3,5}")
_MIG = words('profiles of MIG, such as "1g.10gb"', r"\d{1,2}g\.\d{1,4}gb(?:\+[a-z.]{1,8})?")
_FLAGS = words('flags of /proc/cpuinfo, such as "avx2"', r"[a-z0-9_.]{2,24}", all_of=True)

VOCABULARY: Mapping[str, Key] = _keys(
    Key("min_gpus", "number", count(1), "At least this many GPUs that meet all requirements about a GPU.", "1"),
    Key("max_gpus", "number", count(0), "At most this many usable GPUs.", "8"),
    Key("gpus", "number", clauses(">=2,<=4"), "How many usable GPUs: a number or a range.", '">=1,<=8"'),
    Key("vendor", "gpu", choices(VENDORS), "The maker: any of these.", '"nvidia"', True),
    Key("gpu", "gpu", NAMES, "The card by its name in the catalogue: any of these; A100 is every A100.",
        '["A100", "H100"]', True),
    Key("category", "gpu", choices(CATEGORIES), "The category: exactly one of these.", '"High-end"', True),
    Key("min_category", "gpu", choices(CATEGORIES, several=False),
        f"At least this category, from the best down: {', '.join(CATEGORIES)}.", '"Mid-range"'),
    Key("min_vram", "gpu", BYTES, "Memory of a GPU as it is sold: a card of 16 GB that reports 15,360 MiB has 16GiB.",
        '"24GiB"'),
    Key("min_reported_vram", "gpu", BYTES, "Memory of a GPU as its driver reports it.", '"23GiB"'),
    Key("min_free_vram", "gpu", BYTES, "Memory of a GPU that a process can get now.", '"20GiB"'),
    Key("min_compute_capability", "gpu", version("8.0"), "At least this CUDA compute capability.", '"8.0"'),
    Key("max_compute_capability", "gpu", version("9.0"), "At most this CUDA compute capability.", '"12.1"'),
    Key("compute_capability", "gpu", clauses(">=8.0,<12"), "The CUDA compute capability: one, or a range.",
        '">=8.0,<12"'),
    Key("gfx", "gpu", _GPU_CODES, "The gfx target of an AMD GPU: any of these.", '["gfx942", "gfx90a"]', True),
    Key("min_bandwidth", "gpu", RATE, "Peak bandwidth of a GPU's memory, to within 1 %.", '"900GB/s"'),
    Key("min_tflops", "gpu", rates(DTYPES),
        "Dense peak rates in 1e12 per second, to within 1 %: fp16, bf16, tf32 and fp8 with FP32 accumulation.",
        "{ fp16 = 100 }", True),
    Key("dtypes", "gpu", choices(DTYPES, all_of=True), "Data types that a GPU computes with in hardware: all of these.",
        '["bf16"]', True),
    Key("nvlink", "gpu", FLAG, "Each GPU has an NVLink that is up.", "true"),
    Key("mig_profile", "gpu", _MIG, "A MIG device of one of these profiles.", '["1g.10gb"]', True),
    Key("min_total_vram", "total", BYTES, "Memory as sold, of all GPUs together.", '"80GiB"'),
    Key("min_total_free_vram", "total", BYTES, "Memory that a process can get now, of all GPUs together.", '"70GiB"'),
    Key("min_driver", "software", version("550.54"), "At least this NVIDIA driver.", '"550"'),
    Key("driver", "software", clauses(">=550,!=555"), "The NVIDIA driver: a branch, or a range.", '">=550,<600"'),
    Key("min_cuda", "software", version("12.4"), "At least this CUDA is what the NVIDIA driver supports.", '"12.4"'),
    Key("min_cuda_toolkit", "software", version("12.4"), "At least this CUDA toolkit is installed.", '"12.4"'),
    Key("min_rocm", "software", version("6.4"), "At least this ROCm is installed.", '"6.4"'),
    Key("mps", "software", FLAG, "Metal (PyTorch's MPS) is there.", "true"),
    Key("framework", "software", FRAMEWORKS,
        "Frameworks in the inspected Python, all of these: NAME, with a range of versions and @ a build (cu128, cuda,"
        " rocm, xpu, cpu) or @usable, which is on a GPU here.", '["torch>=2.4@cuda"]', True),
    Key("os", "host", choices(SYSTEMS), "The operating system: any of these.", '"linux"', True),
    Key("arch", "host", words('architectures of a CPU, such as "x86_64"', r"[a-z0-9_]{2,16}"),
        "The CPU's architecture: any of these; arm64 is aarch64.", '"x86_64"', True),
    Key("python_version", "host", clauses(">=3.11"), "The inspected Python: a version, or a range.", '">=3.11"'),
    Key("min_cpu_cores", "host", POSITIVE, "CPU cores that a process may use, after affinity and quota.", "4"),
    Key("cpu_features", "host", _FLAGS, "Instruction sets, as flags of /proc/cpuinfo: all of these.", '["avx2"]', True),
    Key("min_ram", "host", BYTES,
        "Memory of the machine as its system counts it (a little less than is installed), or a container's limit where"
        " that is lower.", '"30GiB"'),
    Key("min_free_ram", "host", BYTES, "Memory that a process can get now.", '"16GiB"'),
    Key("min_disk", "host", BYTES, "Free space where models go.", '"50GiB"'),
    Key("min_shm", "host", BYTES, "Size of /dev/shm.", '"1GiB"'),
    Key("no_findings", "findings", choices(SEVERITIES, several=False), "No finding of this severity or worse.",
        '"error"'),
    Key("ignore_findings", "setting", CODES, "Codes that no_findings passes over.", '["GC105"]', True),
    Key("model", "model", MODELS, "Models that fit the GPUs (RAM, without a GPU): SIZE, NAME or PATH, with @QUANT.",
        '["70b@q4"]', True),
    Key("engine", "setting", ENGINE, "The engine of the models that name none.", '"llama.cpp"'),
    Key("context", "setting", count(1), "Tokens of context of the models that name none.", "8192"),
    Key("batch", "setting", count(1), "Sequences at once of the models that name none.", "1"),
    Key("allow_offload", "setting", FLAG, "Models may lie partly on the CPU.", "true"),
    Key("min_tok_s", "setting", POSITIVE,
        "Tokens per second of the models that name none: not to be determined yet, as there are no speed estimates.",
        "20"),
)  # fmt: skip
