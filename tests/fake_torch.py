"""A torch of a few lines, laid into a folder as a package: what a deep check meets there, a test decides."""

from __future__ import annotations

import sys
import venv
from pathlib import Path

# As much of torch's interface as a deep check uses. Its numbers are lists, its GPU computes on the CPU.
TORCH = """
import types
__version__ = "2.9.1+cu128"
float32, float16, bfloat16 = "float32", "float16", "bfloat16"
version = types.SimpleNamespace(cuda=None, hip=None)

class Tensor:
    def __init__(self, rows): self.rows = rows
    def to(self, device): return self
    def float(self): return self
    def tolist(self): return self.rows
    def __add__(self, other): return Tensor(add(self.rows, other.rows))

def add(a, b): return [[x + y for x, y in zip(*rows)] for rows in zip(a, b)]
def tensor(rows, dtype): return Tensor(rows)
def matmul(a, b):
    columns = list(zip(*b.rows))
    return Tensor([[sum(x * y for x, y in zip(row, column)) for column in columns] for row in a.rows])
def device(name): return name

cuda = types.SimpleNamespace(is_available=lambda: False, device_count=lambda: 0)
backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(version=lambda: 91002))
"""
# One GPU for it, of compute capability 8.9.
GPU = """
version.cuda = "12.8"
card = types.SimpleNamespace(name="A card", major=8, minor=9, total_memory=24 << 30)
cuda = types.SimpleNamespace(
    is_available=lambda: True, device_count=lambda: 1, get_device_properties=lambda device: card,
    get_arch_list=lambda: ["sm_80", "sm_90"], synchronize=lambda device: None, init=lambda: None,
)
"""


def lay(folder: Path, text: str) -> Path:
    """A folder of packages with this text as torch, and the record that pip keeps of it."""
    package = folder / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text, encoding="utf-8")
    (package / "version.py").write_text("__version__ = '2.9.1+cu128'\ncuda = '12.8'\nhip = None\n", encoding="utf-8")
    record = folder / "torch-2.9.1+cu128.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.9.1+cu128\n", encoding="utf-8")
    return folder


def environment(folder: Path, text: str) -> str:
    """A virtual environment that has this torch and nothing else; its interpreter."""
    prefix = folder / "venv"
    venv.create(prefix, with_pip=False, symlinks=True)
    lay(prefix / "lib" / f"python3.{sys.version_info.minor}" / "site-packages", text)
    return str(prefix / "bin" / "python")
