"""What packages were built for, by texts and names of files."""

import pytest

from gpucheck.probes import builds

# The form that TensorFlow's gen_build_info.py writes.
TENSORFLOW = """import collections

build_info = collections.OrderedDict([('cpu_compiler', '/usr/lib/llvm-18/bin/clang'), \
('cuda_compute_capabilities', ['sm_60', 'compute_90']), ('cuda_version', '12.5.1'), ('cudnn_version', '9'), \
('is_cuda_build', True), ('is_rocm_build', False), ('is_tensorrt_build', True)])
"""
# As in the wheel of bitsandbytes 0.50.2 for Linux, shortened.
BITSANDBYTES = ["__init__.py", "libbitsandbytes_cpu.so", "libbitsandbytes_cuda118.so", "libbitsandbytes_cuda130.so",
                "libbitsandbytes_rocm715.so", "libbitsandbytes_xpu2026.so", "cextension.py"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "build"),
    [
        (TENSORFLOW, "cu125"),
        (TENSORFLOW.replace("'is_cuda_build', True", "'is_cuda_build', False"), "cpu"),
        (TENSORFLOW.replace("'is_rocm_build', False", "'is_rocm_build', True"), "rocm"),
        ("build_info = collections.OrderedDict([('is_cuda_build', False)])", "cpu"),
        ("", None),
        ("build_info = 3", None),
    ],
)
def test_tensorflow(text, build):
    """The build by TensorFlow's own table; nothing is guessed where there is none."""
    assert builds.parse_tensorflow_build(text) == build


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("package_name = 'onnxruntime'\n__version__ = '1.32.0'\n", ("onnxruntime", None)),
        ("package_name = 'onnxruntime-gpu'\ncuda_version = '12.8'\n", ("onnxruntime-gpu", "cu128")),
        ("package_name = 'onnxruntime-rocm'\nrocm_version = '6.4.1'\n", ("onnxruntime-rocm", "rocm6.4")),
        ("", (None, None)),
    ],
)
def test_onnx_runtime(text, found):
    """The package that wrote the folder, and what it is for."""
    assert builds.parse_onnx_build(text) == found


def test_onnx_providers():
    """Providers are those with a library of their own; the bridge between them is none."""
    names = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so", "libonnxruntime.so.1.32.0",
             "libonnxruntime_providers_tensorrt.so"]  # fmt: skip
    assert builds.onnx_providers(names) == ("cuda", "tensorrt")
    assert builds.onnx_providers(["onnxruntime_providers_cuda.dll", "DirectML.dll"]) == ("cuda", "directml")
    assert builds.onnx_providers(names[:1]) == ()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["libggml-base.so", "libggml-cpu.so", "libggml-cuda.so", "libggml.so", "libllama.so"], ("cpu", "cuda")),
        (["ggml-base.dll", "ggml-cpu.dll", "ggml-vulkan.dll", "ggml.dll", "llama.dll"], ("cpu", "vulkan")),
        (["libggml-cpu-haswell.so", "libggml-cpu-zen4.so", "libggml-hip.so"], ("cpu", "hip")),
        (["libggml-metal.dylib", "libggml-blas.dylib"], ("blas", "metal")),
        (["libllama.so"], ()),
    ],
)
def test_llama_cpp(names, found):
    """llama.cpp's backends by their libraries, on every system."""
    assert builds.llama_backends(names) == found


def test_bitsandbytes():
    """One library for each version of CUDA, ROCm and XPU."""
    assert builds.bitsandbytes_builds(BITSANDBYTES) == ("cuda118", "cuda130", "rocm715", "xpu2026")


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [("cu12torch2.8cxx11abiTRUE", "==2.8.*"), ("cu128.torch2.8.0", "==2.8.*"),
     ("cu122torch2.11cxx11abiFALSE", "==2.11.*"), ("cu128", None), ("", None), ("pytorch2.8", None)],
)  # fmt: skip
def test_torch_in_a_tag(tag, wanted):
    """Wheels of flash-attn and exllamav2 name the torch that they were compiled against."""
    assert builds.torch_in_tag(tag) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Requires-Dist: torch==2.8.0\nRequires-Dist: torchaudio==2.8.0\n", "==2.8.0"),
        ("Requires-Dist: torch (==2.9.1)\n", "==2.9.1"),
        ("Requires-Dist: torch>=2.10\n", ">=2.10"),
        ("Requires-Dist: torch\n", None),
        ('Requires-Dist: torch==2.9.1+cpu; platform_machine == "ppc64le"\n', None),
        ("Requires-Dist: torch==2.9.1 ; extra == 'all'\n", None),
        ("Requires-Dist: torchvision==0.24.1\n", None),
        ("", None),
    ],
)
def test_requirements(text, wanted):
    """What is required without a condition counts, in either spelling; what an extra or a system needs does not."""
    assert builds.parse_requirement(text, "torch") == wanted


@pytest.mark.parametrize(
    ("version", "requirement", "met"),
    [
        ("2.8.0", "==2.8.0", True), ("2.8", "==2.8.0", True), ("2.8.1", "==2.8.0", False),
        ("2.8.1", "==2.8.*", True), ("2.18.0", "==2.1.*", False), ("2.10.0", "==2.8.*", False),
        ("2.9.1", "!=2.9.*", False), ("0.8.0", "<=0.8.0,>=0.8.0", True), ("0.8.1", "<=0.8.0,>=0.7.2", False),
        ("0.7.1", "<=0.8.0, >=0.7.2", False), ("2.10", "<2.9", False), ("2.10", ">2.9", True),
        ("2.9.0.dev20250924", "==2.9.0", None), ("2.9.0", "==2.9.0.dev1", None), ("2.9.0", "~=2.9", None),
        ("2.9.0", "===x", None), ("", "==2.9.0", None), ("1" * 5000, "==2.9.0", None),
    ],
)  # fmt: skip
def test_satisfies(version, requirement, met):
    """Numbers are held against each other; where a version or a requirement has more than those, nobody knows."""
    assert builds.satisfies(version, requirement) is met


def test_compiled_for():
    """The Pythons in an extension's names on Linux and Windows, free-threaded ones too."""
    names = ["_C.cpython-310-x86_64-linux-gnu.so", "_C.cp311-win_amd64.pyd", "_C.cpython-313t-x86_64-linux-gnu.so",
             "_C_flatbuffer.cpython-39-x86_64-linux-gnu.so", "_C.py", "_C.so"]  # fmt: skip
    assert builds.compiled_for(names, "_C") == {"3.10", "3.11", "3.13"}
