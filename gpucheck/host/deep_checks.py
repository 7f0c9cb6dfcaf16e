"""What a deep check does with each framework; runs in a child process behind `deep_child.py`, which see.

Sums and products are of whole numbers so small that they are exact in every precision up to the rounding of the
result, and are held against Python's own: a framework's CPU code vouches for nothing.
"""

import importlib
import importlib.util
import operator
import os
from typing import Any

SIZE = 128
TOLERANCE = {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}  # of the largest number in the product
MOST_DEVICES = 64


class WrongResultError(Exception):
    """The device computed something else."""


def matrices() -> Any:
    """Two square matrices of whole numbers from -8 to 8, their sum and their product."""
    rows = range(SIZE)
    left = [[(i * 7 + j * 13 + i * j) % 17 - 8 for j in rows] for i in rows]
    right = [[(i * 11 + j * 3 + i * j * 2) % 17 - 8 for j in rows] for i in rows]
    total = [[a + b for a, b in zip(*pair)] for pair in zip(left, right)]  # noqa: B905 - Python 3.7 has no strict
    columns = list(zip(*right))  # noqa: B905
    product = [[sum(map(operator.mul, row, column)) for column in columns] for row in left]
    return left, right, total, product


def compare(found: Any, wanted: Any, allowed: float) -> None:
    """Raise unless every number is as wanted, up to a part of the largest; NaN never is."""
    largest = max(abs(number) for row in wanted for number in row)
    worst = 0.0
    for got, right in zip(found, wanted):  # noqa: B905
        for one, other in zip(got, right):  # noqa: B905
            difference = abs(one - other)
            if not difference <= allowed * largest:
                raise WrongResultError(f"{one} where {other} is right")
            worst = max(worst, difference)
    if len(found) != len(wanted):
        raise WrongResultError(f"{len(found)} rows where {len(wanted)} are right")


def quietly(work: Any) -> Any:
    """What comes of it, or None."""
    try:
        return work()
    except Exception:  # noqa: BLE001 - an older or newer interface
        return None


def check_torch(report: Any) -> None:
    """Import, devices of every kind, and on each of them a copy, a sum, products and a wait for the device."""
    ok, torch = report.step("import", lambda: importlib.import_module("torch"))
    if not ok:
        return
    version = torch.version
    built = {kind: getattr(version, kind, None) for kind in ("cuda", "hip", "xpu")}
    report.facts(version=str(torch.__version__), **built)
    ok, names = report.step("find devices", lambda: torch_devices(torch))
    if (built["cuda"] or built["hip"]) and not any(name.startswith("cuda") for name in names or ()):
        report.step("initialise", torch.cuda.init)  # is_available() is silent about why not
    if built["cuda"] or built["hip"]:
        report.facts(arch_list=quietly(torch.cuda.get_arch_list) or quietly(lambda: arch_flags(torch)) or None)
    if ok and any(name.startswith("cuda") for name in names):
        done, cudnn = report.step("cuDNN", torch.backends.cudnn.version)
        report.facts(cudnn=cudnn if done else None)
    for name in (names or ["cpu"])[:MOST_DEVICES] if ok else ["cpu"]:
        try_torch(torch, report, name)


def torch_devices(torch: Any) -> Any:
    """The devices that torch offers for computing, as it names them, the CPU left out."""
    names = []
    for kind in ("cuda", "xpu"):
        module = getattr(torch, kind, None)
        if module is not None and module.is_available():
            names += [f"{kind}:{index}" for index in range(module.device_count())]
    mps = getattr(torch.backends, "mps", None)
    return names + (["mps"] if mps is not None and mps.is_available() else [])


def arch_flags(torch: Any) -> Any:
    """The build's list of targets, which get_arch_list() keeps to itself where no device is."""
    return torch._C._cuda_getArchFlags().split()


def torch_facts(torch: Any, name: str) -> Any:
    """Name, capability and memory of a device."""
    kind = name.partition(":")[0]
    if kind == "mps":
        return {"memory_total_bytes": quietly(lambda: torch.mps.recommended_max_memory())}  # noqa: PLW0108 - may be missing
    if kind == "cpu":
        return {"capability": quietly(lambda: torch.backends.cpu.get_cpu_capability())}  # noqa: PLW0108
    found = getattr(torch, kind).get_device_properties(torch.device(name))
    capability = f"{found.major}.{found.minor}" if hasattr(found, "major") else None
    return {
        "name": found.name,
        "capability": getattr(found, "gcnArchName", None) if getattr(torch.version, "hip", None) else capability,
        "memory_total_bytes": found.total_memory,
    }


def try_torch(torch: Any, report: Any, name: str) -> None:
    """Compute on one device; what fails keeps nothing else from being tried, as some kernels may work."""
    ok, facts = report.step("open", lambda: torch_facts(torch, name), name)
    report.device(name, **(facts or {}))
    if not ok:
        return
    left, right, total, product = matrices()
    kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    module: Any = getattr(torch, name.partition(":")[0], None)

    def wait() -> None:
        if name == "mps":
            torch.mps.synchronize()
        elif name != "cpu":
            module.synchronize(torch.device(name))

    def on_device(rows: Any, kind: str) -> Any:  # converted before, so that this is a mere copy
        return torch.tensor(rows, dtype=kinds[kind]).to(name)

    def copy() -> Any:
        pair = on_device(left, "fp32"), on_device(right, "fp32")
        wait()
        compare(pair[0].to("cpu").tolist(), left, 0.0)
        return pair

    def add(pair: Any) -> None:
        found = pair[0] + pair[1]
        wait()
        compare(found.to("cpu").tolist(), total, 0.0)

    def multiply(kind: str) -> None:
        found = torch.matmul(on_device(left, kind), on_device(right, kind))
        wait()
        compare(found.to("cpu").float().tolist(), product, TOLERANCE[kind])

    ok, pair = report.step("copy", copy, name)
    if not ok:
        return
    report.step("add", lambda: add(pair), name)
    for kind in kinds:
        why = too_old_for(kind, name, facts.get("capability"))
        if why is None:
            report.step(f"matmul {kind}", lambda kind=kind: multiply(kind), name)
        else:
            report.skip(f"matmul {kind}", why, name)
    report.step("synchronise", wait, name)


def too_old_for(kind: str, name: str, capability: Any) -> Any:
    """Why NVIDIA's libraries have no product in this precision for a device, or None."""
    if not name.startswith("cuda") or not capability or capability.startswith("gfx"):
        return None
    number = tuple(int(part) for part in capability.split("."))
    least = {"fp16": (5, 3), "bf16": (8, 0)}.get(kind, (0, 0))
    return None if number >= least else f"needs compute capability {least[0]}.{least[1]}"


def check_jax(report: Any) -> None:
    """Import, devices, and a compiled sum and product on each."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # by default it takes three quarters of the memory
    ok, jax = report.step("import", lambda: importlib.import_module("jax"))
    if not ok:
        return
    report.facts(version=jax.__version__)
    ok, devices = report.step("find devices", jax.devices)
    for device in (devices or ())[:MOST_DEVICES]:
        name = f"{device.platform}:{device.id}"
        report.device(name, name=device.device_kind)
        report.step("matmul fp32", lambda device=device: jax_product(jax, device), name)


def jax_product(jax: Any, device: Any) -> None:
    """A sum and a product in one compiled function."""
    left, right, total, product = matrices()
    pair = [jax.device_put(jax.numpy.array(rows, dtype=jax.numpy.float32), device) for rows in (left, right)]
    sums, products = jax.jit(lambda a, b: (a + b, a @ b))(*pair)
    products.block_until_ready()
    compare(jax.device_get(sums).tolist(), total, 0.0)
    compare(jax.device_get(products).tolist(), product, TOLERANCE["fp32"])


def check_mlx(report: Any) -> None:
    """Import, the default device, and a product on it."""
    ok, mx = report.step("import", lambda: importlib.import_module("mlx.core"))
    if not ok:
        return
    report.facts(version=getattr(mx, "__version__", None))
    ok, name = report.step("find devices", lambda: "gpu:0" if mx.default_device().type == mx.DeviceType.gpu else "cpu")
    if not ok:
        return
    report.device(name)
    left, right, _, product = matrices()

    def multiply() -> None:
        compare((mx.array(left, dtype=mx.float32) @ mx.array(right, dtype=mx.float32)).tolist(), product, 1e-5)

    report.step("matmul fp32", multiply, name)


def check_tensorflow(report: Any) -> None:
    """Import and the list of GPUs; nothing is computed."""
    ok, tf = report.step("import", lambda: importlib.import_module("tensorflow"))
    if not ok:
        return
    built = quietly(lambda: dict(tf.sysconfig.get_build_info())) or {}
    report.facts(version=tf.__version__, cuda=built.get("cuda_version"), cudnn=built.get("cudnn_version"))
    ok, gpus = report.step("find devices", lambda: tf.config.list_physical_devices("GPU"))
    for index, gpu in enumerate((gpus or ())[:MOST_DEVICES]):
        facts = quietly(lambda gpu=gpu: tf.config.experimental.get_device_details(gpu)) or {}
        capability = ".".join(str(part) for part in facts.get("compute_capability") or ())
        report.device(f"gpu:{index}", name=facts.get("device_name"), capability=capability or None)


def check_onnxruntime(report: Any) -> None:
    """Import and the providers that the build has; whether one starts is seen only with a model."""
    ok, found = report.step("import", lambda: importlib.import_module("onnxruntime"))
    if ok:
        report.facts(version=found.__version__)
        ok, providers = report.step("find devices", found.get_available_providers)
        report.facts(providers=providers)


def check_llama_cpp(report: Any) -> None:
    """Import, whether the build can put layers on a GPU, and its own words about itself."""
    ok, found = report.step("import", lambda: importlib.import_module("llama_cpp"))
    if ok:
        report.facts(version=found.__version__)
        ok, offload = report.step("find devices", lambda: bool(found.llama_supports_gpu_offload()))
        words = quietly(lambda: found.llama_print_system_info().decode())
        report.facts(gpu_offload=offload, system_info=words)


def check_bitsandbytes(report: Any) -> None:
    """Import, and the kind of native library that it loaded; its import only warns where there is none."""
    ok, found = report.step("import", lambda: importlib.import_module("bitsandbytes"))
    if ok:
        report.facts(version=getattr(found, "__version__", None))
        ok, library = report.step("load kernels", bitsandbytes_library)
        report.facts(library=library)


def bitsandbytes_library() -> str:
    """The kind of its library; where none could be loaded a stand-in keeps the reason."""
    library = importlib.import_module("bitsandbytes.cextension").lib
    kind = type(library).__name__
    if library is None or kind.startswith(("Mock", "ErrorHandler")):
        raise RuntimeError(str((library is not None and vars(library).get("formatted_error")) or "no native library"))
    return kind


def check_vllm(report: Any) -> None:
    """Import and its compiled code, which fits one version of torch only. The engine itself is not imported."""
    ok, found = report.step("import", lambda: importlib.import_module("vllm"))
    if ok:
        report.facts(version=getattr(found, "__version__", None))
        if quietly(lambda: importlib.util.find_spec("vllm._C")) is not None:
            report.step("load kernels", lambda: importlib.import_module("vllm._C"))
        ok, platform = report.step("find devices", lambda: importlib.import_module("vllm.platforms").current_platform)
        report.facts(platform=getattr(platform, "device_name", None) if ok else None)


def check_triton(report: Any) -> None:
    """Import, and the target of its one active driver."""
    ok, triton = report.step("import", lambda: importlib.import_module("triton"))
    if ok:
        report.facts(version=triton.__version__)
        ok, target = report.step("find devices", triton_target)
        report.facts(target=f"{target.backend} {target.arch}" if ok else None)


def triton_target() -> Any:
    """What its driver compiles for; fails where there is no GPU."""
    return importlib.import_module("triton.runtime").driver.active.get_current_target()


def check_flash_attn(report: Any) -> None:
    """Import, which loads its compiled code; that fits one version of torch only."""
    ok, found = report.step("import", lambda: importlib.import_module("flash_attn"))
    report.facts(version=getattr(found, "__version__", None) if ok else None)


CHECKS = {
    "torch": check_torch, "jax": check_jax, "mlx": check_mlx, "llama-cpp-python": check_llama_cpp,
    "bitsandbytes": check_bitsandbytes, "vllm": check_vllm, "triton": check_triton, "flash-attn": check_flash_attn,
    **dict.fromkeys(("tensorflow", "tensorflow-cpu", "tensorflow-rocm"), check_tensorflow),
    **dict.fromkeys(
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime-rocm", "onnxruntime-migraphx", "onnxruntime-openvino",
         "onnxruntime-directml"),
        check_onnxruntime,
    ),
}  # fmt: skip
