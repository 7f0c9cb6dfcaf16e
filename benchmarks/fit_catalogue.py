"""How long `fit` takes over the whole catalogue of models, 12 quantizations and 8 contexts, on one machine.

    python benchmarks/fit_catalogue.py

Whole answers in one process, parsing of the catalogue apart. The budget is 2 s.
"""

from __future__ import annotations

import time

from gpucheck import api
from gpucheck.assess.fit import fit_workload
from gpucheck.assess.memory import effective_memory
from gpucheck.assess.workload import Workload
from gpucheck.estimators.setting import Setting
from gpucheck.models.catalogue import catalogue, model_of
from gpucheck.models.quantization import find_quantization
from gpucheck.models.reference import ModelReference

QUANTS = (
    "bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K", "IQ2_M",
)  # fmt: skip
CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144)
MACHINE, RAM = "2x RTX 4090", "64GiB"


def main() -> None:
    """Time it and print one line."""
    machine = api.simulate(MACHINE, RAM)
    memory = effective_memory(machine)
    began = time.perf_counter()
    models = [model for model in (model_of(entry.id) for entry in catalogue()) if model.architecture]
    parsed = time.perf_counter() - began
    quants = [find_quantization(name) for name in QUANTS]
    began, answers = time.perf_counter(), 0
    for model in models:
        reference = ModelReference(model.id, None, model)
        for context in CONTEXTS:
            for quant in quants:
                fit_workload(machine, memory, Workload(reference, quant, Setting(context)))
                answers += 1
    taken = time.perf_counter() - began
    print(
        f"{answers:,} answers ({len(models)} models) in {taken:.2f} s, {taken / answers * 1e6:.0f} µs each; "
        f"the catalogue read in {parsed:.2f} s; {MACHINE}, {RAM}"
    )


if __name__ == "__main__":
    main()
