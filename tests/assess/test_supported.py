"""Whether software runs an engine, a format and its options on the devices of a machine."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.assess.fit import fit_model
from gpucheck.assess.memory import effective_memory
from gpucheck.assess.placement import Placement
from gpucheck.assess.supported import Asked, Support, support_of, supported
from gpucheck.catalog.support import Answer, engines, family_of
from gpucheck.estimators.setting import DEFAULT, make_setting
from gpucheck.machine.types import Drivers, Gpu, Machine
from gpucheck.models.quantization import QUANTIZATIONS
from gpucheck.models.reference import parse_reference
from gpucheck.probes.facts import Cpu, Framework, NvidiaDriver, Platform
from tests.assess.machines import box, card
from tests.running import run

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
_WORDS: dict[str, Answer] = {"y": "yes", "p": "partial", "n": "no", "?": "unknown"}
_RANK = {"no": 0, "unknown": 1, "partial": 2, "yes": 3}
LINUX = Platform(os="linux", arch="x86_64")

# For each of the document's nineteen cards (the RTX 4000 is two): what the engines' own documents and sources say
COLUMNS = (
    ("llama.cpp", "Q4_K_M"), ("llama.cpp", "bf16"), ("ollama", "Q4_K_M"),
    ("transformers", "fp16"), ("transformers", "bf16"), ("transformers", "int8"), ("transformers", "nf4"),
    ("transformers", "fp8"), ("transformers", "mxfp4-hf"), ("transformers", "gptq-int4"),
    ("transformers", "exl2-4.0"), ("transformers", "mlx-4bit"),
    ("vllm", "fp16"), ("vllm", "bf16"), ("vllm", "fp8"), ("vllm", "awq"), ("vllm", "gptq-int4"), ("vllm", "nf4"),
    ("vllm", "mxfp4-hf"), ("vllm", "nvfp4"), ("vllm", "Q4_K_M"),
    ("mlx", "mlx-4bit"),
)  # fmt: skip
CARDS = (
    # llama.cpp, Ollama | transformers | vLLM | MLX
    ("Tesla K80", "p p n  n n n n n n n n n  n n n n n n n n n  n"),
    ("Tesla M60", "y p y  y p n n p p p n n  n n n n n n n n n  n"),
    ("Tesla P100 PCIe 16GB", "y p y  y p y y p p p n n  n n n n n n n n n  n"),
    ("V100 PCIe", "y p y  y p y y p p p n n  p p n n p p n n p  n"),
    ("T4", "y p y  y p y y p y y n n  y p p y y y n p y  y"),
    ("Quadro RTX 4000", "y p y  y p y y p y y n n  y p p y y y n p y  y"),
    ("A100 PCIe 40GB", "y y y  y y y y p y y n n  y y p y y y y p y  y"),
    ("A30", "y y y  y y y y p y y n n  y y p y y y y p y  y"),
    ("A40", "y y y  y y y y p y y n n  y y p y y y y p y  y"),
    ("RTX A6000", "y y y  y y y y p y y n n  y y p y y y y p y  y"),
    ("RTX A4000", "y y y  y y y y p y y n n  y y p y y y y p y  y"),
    ("RTX 3070", "y y y  y y y y p y y n n  y y p y y y y p y  y"),
    ("L4", "y y y  y y y y y y y n n  y y y y y y y p y  y"),
    ("RTX 4090", "y y y  y y y y y y y n n  y y y y y y y p y  y"),
    ("RTX 4000 Ada Generation", "y y y  y y y y y y y n n  y y y y y y y p y  y"),
    ("H100 PCIe", "y y y  y y y y y y y n n  y y y y y y y p y  y"),
    ("H200 SXM", "y y y  y y y y y y y n n  y y y y y y y p y  y"),
    ("GH200 96GB", "y y y  y y y y y y y n n  y y y y y y y p y  y"),
    ("MI250", "y y y  y y y y ? ? p n n  y y ? p p n ? ? y  n"),
    ("MI300X", "y y y  y y y y ? ? p n n  y y y p p n ? ? y  n"),
)  # fmt: skip


def on(machine: Machine, engine: str, quant: str, **options: str) -> Support:
    """The answer for the machine's first GPU."""
    return supported(machine, Asked(engine, quant, tuple(sorted(options.items())), (0,)))


def nvidia(capability: str | None, driver: str | None = None, platform: Platform = LINUX) -> Machine:
    """A machine with one NVIDIA card of a compute capability."""
    drivers = Drivers(nvidia=NvidiaDriver(version=driver)) if driver else Drivers()
    return replace(box(card(compute_capability=capability)), platform=platform, drivers=drivers)


def other(vendor: str, platform: Platform = LINUX, **facts: str) -> Machine:
    """A machine with one card of another maker."""
    return replace(box(replace(card(vendor=vendor), **facts)), platform=platform)


def with_torch(machine: Machine, **facts: object) -> Machine:
    """The machine with a torch in the inspected environment."""
    return replace(machine, frameworks=(Framework("torch", version="2.13.0", **facts),))  # type: ignore[arg-type]


class TestCards:
    """The document's cards against the formats that people ask about."""

    @pytest.mark.parametrize(("name", "answers"), CARDS, ids=[name for name, _ in CARDS])
    def test_each_format(self, name: str, answers: str) -> None:
        """Engine by engine, as their own documents state it."""
        machine = gpucheck.simulate(name)
        found = [on(machine, engine, quant).answer for engine, quant in COLUMNS]
        assert found == [_WORDS[word] for word in answers.split()]

    @pytest.mark.parametrize(
        ("name", "answer"),
        [("Tesla K80", "no"), ("V100 PCIe", "no"), ("T4", "no"), ("A100 PCIe 40GB", "yes"), ("RTX 3070", "yes"),
         ("L4", "yes"), ("H100 PCIe", "yes"), ("GH200 96GB", "yes"), ("RTX 5090", "yes"), ("MI250", "yes"),
         ("MI300X", "yes"), ("RX 6800 XT", "no")],
    )  # fmt: skip
    def test_flash_attention_2(self, name: str, answer: str) -> None:
        """It starts with Ampere and with MI200 and RDNA3; llama.cpp's own runs on all of these."""
        machine = gpucheck.simulate(name)
        assert on(machine, "transformers", "fp16", attn_implementation="flash_attention_2").answer == answer
        plain = on(machine, "llama.cpp", "Q4_K_M").answer
        assert on(machine, "llama.cpp", "Q4_K_M", flash_attn="on").answer == plain

    def test_flash_attention_3_is_for_hopper(self) -> None:
        """H100 alone; a T4 has none, and sdpa needs none."""
        said = {
            name: on(gpucheck.simulate(name), "transformers", "fp16", attn_implementation="flash_attention_3").answer
            for name in ("H100 PCIe", "A100 PCIe 40GB", "RTX 5090", "T4")
        }
        assert said == {"H100 PCIe": "yes", "A100 PCIe 40GB": "partial", "RTX 5090": "partial", "T4": "no"}
        assert on(gpucheck.simulate("T4"), "transformers", "fp16", attn_implementation="sdpa").answer == "yes"

    def test_every_card_of_the_catalogue_has_an_answer_for_every_quantization(self) -> None:
        """Nothing breaks, and what is not plainly yes has a reason."""
        for name in ("Tesla K80", "RTX 5090", "MI300X", "RX 7600", "Intel Arc B580", "Apple M1"):
            machine = gpucheck.simulate(name)
            for engine in engines():
                for quant in QUANTIZATIONS:
                    found = on(machine, engine, quant.name)
                    assert found.answer == "yes" or found.reasons, (name, engine, quant.name)


class TestReasons:
    """The cases that people stumble over, each with its reason."""

    @pytest.mark.parametrize(
        ("machine", "engine", "quant", "answer", "words"),
        [
            (nvidia("8.0"), "vllm", "fp8", "partial", "FP8 arithmetic needs 8.9"),
            (nvidia("8.6"), "transformers", "fp8", "partial", "become BF16 as they load, in twice the memory"),
            (nvidia("7.5"), "transformers", "bf16", "partial", "torch emulates it, slowly"),
            (nvidia("7.5"), "vllm", "bf16", "partial", "vLLM refuses bfloat16 before 8.0"),
            (nvidia("7.5"), "llama.cpp", "bf16", "partial", "computed in FP32"),
            (nvidia("6.1"), "vllm", "fp16", "no", "vLLM needs compute capability 7.5, and 7.0 at version 0.14"),
            (nvidia("7.5"), "vllm", "mxfp4-hf", "no", "not for Turing"),
            (nvidia("7.0"), "transformers", "mxfp4-hf", "partial", "MXFP4 needs compute capability 7.5"),
            (nvidia("5.2"), "transformers", "int8", "no", "bitsandbytes needs compute capability 6.0"),
            (nvidia("3.7"), "transformers", "fp16", "no", "the last of PyTorch's wheels for 3.7 are of 2.5"),
            (nvidia("3.7"), "llama.cpp", "Q8_0", "partial", "an own build with CUDA 11.4"),
            (nvidia("3.5"), "ollama", "Q8_0", "no", "Ollama needs compute capability 5.0"),
            (nvidia("9.0"), "vllm", "nvfp4", "partial", "FP4 arithmetic needs 10.0"),
            (nvidia("8.9"), "transformers", "mlx-4bit", "no", "need an Apple GPU"),
            (nvidia("8.9"), "transformers", "exl3-4.0", "no", "exllamav2 and exllamav3"),
            (nvidia("8.9"), "transformers", "Q4_K_M", "partial", "several times the memory"),
            (nvidia("8.9"), "llama.cpp", "awq", "no", "GGUF files alone"),
            (nvidia("8.9"), "llama.cpp", "TQ1_0", "partial", "no kernel for TQ1_0"),
            (other("AMD", gfx_target="gfx906"), "transformers", "nf4", "no", "bitsandbytes has no code"),
            (other("AMD", gfx_target="gfx942"), "vllm", "nf4", "no", "no bitsandbytes on ROCm"),
            (other("AMD", gfx_target="gfx1031"), "transformers", "fp16", "no", "has code for gfx1031"),
            (other("AMD", gfx_target="gfx906"), "llama.cpp", "Q4_K_M", "partial", "Vulkan is the way"),
            (other("AMD", gfx_target="gfx1031"), "ollama", "Q4_K_M", "partial", "Vulkan backend"),
            (other("AMD", gfx_target="gfx1100"), "mlx", "mlx-4bit", "no", "Apple's GPUs, NVIDIA's and the CPU"),
            (other("Intel", architecture="Gaudi"), "llama.cpp", "Q4_K_M", "no", "Gaudi"),
        ],
    )  # fmt: skip
    def test_the_reason_is_told(self, machine: Machine, engine: str, quant: str, answer: Answer, words: str) -> None:
        """The answer, and the words that say why."""
        found = on(machine, engine, quant)
        assert found.answer == answer
        assert any(words in reason for reason in found.reasons)

    def test_bitsandbytes_by_system_and_cpu(self) -> None:
        """From 6.0 on x86_64 and 7.5 on aarch64; of AMD's by a list for each system, Apple's by Metal."""
        arm, windows = Platform(os="linux", arch="aarch64"), Platform(os="windows", arch="x86_64")
        assert on(nvidia("6.0"), "transformers", "nf4").answer == "yes"
        assert on(nvidia("9.0", platform=arm), "transformers", "nf4").answer == "yes"
        assert on(other("AMD", gfx_target="gfx1030"), "transformers", "int8").answer == "yes"
        assert on(other("AMD", gfx_target="gfx942", platform=windows), "transformers", "int8").answer == "no"
        mac = other("Apple", Platform(os="darwin", arch="arm64"), architecture="Apple9")
        assert on(mac, "transformers", "nf4") == Support("yes", ("by MPS",))

    def test_mlx_on_linux(self) -> None:
        """MLX itself has CUDA and CPU there; Windows has none of it."""
        assert on(nvidia("7.5"), "mlx", "mlx-4bit").answer == "yes"
        assert on(nvidia("7.0"), "mlx", "mlx-4bit").answer == "no"
        assert on(nvidia("8.9", platform=Platform(os="windows", arch="x86_64")), "mlx", "mlx-4bit").answer == "no"

    def test_vllm_on_windows(self) -> None:
        """It does not run there, and does under WSL2, which is Linux."""
        assert on(nvidia("8.9", platform=Platform(os="windows", arch="x86_64")), "vllm", "fp16").answer == "no"
        assert on(nvidia("8.9", platform=replace(LINUX, wsl=True)), "vllm", "fp16").answer == "yes"

    def test_the_decisive_reason_comes_first(self) -> None:
        """On a T4 flash attention is the no, the lack of BF16 only a slowness."""
        found = on(nvidia("7.5"), "transformers", "bf16", attn_implementation="flash_attention_2")
        assert found.answer == "no"
        assert found.reasons[0].startswith("FlashAttention-2 needs compute capability 8.0")
        assert len(found.reasons) == 2


class TestUnknown:
    """What is not known is not guessed."""

    def test_a_card_without_a_capability(self) -> None:
        """Only what holds of every card of the maker is said."""
        found = on(nvidia(None), "vllm", "fp16")
        assert found.answer == "unknown"
        assert "its compute capability, which is not known" in found.reasons[0]
        assert on(nvidia(None), "vllm", "exl2-4.0").answer == "no"  # of no card

    def test_a_machine_without_a_system(self) -> None:
        """A condition on the operating system is not met by silence."""
        assert on(nvidia("8.9", platform=Platform()), "vllm", "fp16").answer == "unknown"
        assert on(nvidia("8.9", platform=Platform()), "llama.cpp", "Q4_K_M").answer == "yes"  # holds everywhere

    @pytest.mark.parametrize(("engine", "quant"), [("exllamav3", "exl3-4.0"), ("llama", "Q4_K_M"), ("llama.cpp", "Z9")])
    def test_an_engine_or_a_format_that_nobody_knows(self, engine: str, quant: str) -> None:
        """Not in the table is unknown, with a reason."""
        found = on(nvidia("8.9"), engine, quant)
        assert found.answer == "unknown"
        assert "not in the table" in found.reasons[0]

    def test_a_jetson_has_wheels_of_its_own(self) -> None:
        """PyTorch's table says nothing of them."""
        machine = nvidia("8.7", platform=Platform(os="linux", arch="aarch64"))
        assert on(machine, "transformers", "fp16").answer == "unknown"

    def test_an_override_of_the_gfx_target(self) -> None:
        """Whose code then runs is not known."""
        machine = replace(other("AMD", gfx_target="gfx1031"), visibility={"HSA_OVERRIDE_GFX_VERSION": "10.3.0"})
        assert on(machine, "transformers", "fp16").answer == "unknown"


class TestDrivers:
    """A driver that is too old for the CUDA of an engine's builds."""

    @pytest.mark.parametrize(
        ("capability", "driver", "engine", "answer"),
        [
            ("8.9", "550.54.14", "ollama", "yes"),
            ("8.9", "535.183.01", "ollama", "no"),
            ("6.1", "565.57.01", "ollama", "no"),
            ("6.1", "570.86.10", "ollama", "yes"),
            ("7.0", "565.57.01", "ollama", "yes"),
            ("8.0", "525.60.13", "llama.cpp", "yes"),
            ("8.0", "520.61.05", "llama.cpp", "partial"),
            ("8.0", "520.61.05", "vllm", "no"),
            ("8.0", "535.86.10", "mlx", "no"),
            ("8.0", "525.60.13", "transformers", "yes"),
            ("8.0", "515.65.01", "transformers", "no"),
            ("12.0", "570.86.10", "transformers", "yes"),
        ],
    )
    def test_the_oldest_that_will_do(self, capability: str, driver: str, engine: str, answer: Answer) -> None:
        """Each engine's own minimum; the version that is here is told."""
        quant = "mlx-4bit" if engine == "mlx" else "fp16"
        found = on(nvidia(capability, driver), engine, quant)
        assert found.answer == answer
        assert answer == "yes" or any("driver" in reason for reason in found.reasons)

    def test_windows_counts_by_its_own_numbers(self) -> None:
        """528.24 would do on Linux; on Windows, and so under WSL2, CUDA 12 needs 528.33."""
        windows, wsl = Platform(os="windows", arch="x86_64"), replace(LINUX, wsl=True)
        answers = [
            on(nvidia("8.0", "528.24", platform), "llama.cpp", "Q8_0").answer for platform in (windows, wsl, LINUX)
        ]
        assert answers == ["partial", "partial", "yes"]

    def test_an_unknown_driver_is_not_held_against_it(self) -> None:
        """Without a version there is nothing to compare."""
        assert on(nvidia("8.9"), "ollama", "Q4_K_M").answer == "yes"
        assert on(nvidia("8.9", "N/A"), "ollama", "Q4_K_M").answer == "yes"


class TestInstalled:
    """The torch of the inspected environment, where there is one."""

    def test_a_cpu_build_leaves_the_gpu_idle(self) -> None:
        """The hardware could; what is installed computes on the CPU: in part, with the way out."""
        found = on(
            with_torch(nvidia("8.9"), build="cpu", usable=False, reason="built without CUDA"), "transformers", "fp16"
        )
        assert found.answer == "partial"
        assert "torch 2.13.0+cpu that is installed leaves the GPU idle: built without CUDA" in found.reasons[0]
        assert "gpucheck torch" in found.reasons[0]

    def test_a_build_without_code_for_the_card_fails(self) -> None:
        """It sees the card, and its first kernel fails, although another wheel would do."""
        torch = with_torch(nvidia("7.0"), build="cu130", arch_list=("sm_75", "sm_80"), usable=False)
        found = on(torch, "transformers", "fp16")
        assert found.answer == "no"
        assert "has no code for 7.0" in found.reasons[0]
        assert on(nvidia("7.0"), "transformers", "fp16").answer == "yes"

    def test_a_build_that_works_counts_before_the_table_of_wheels(self) -> None:
        """A Jetson's own build, which the table does not have."""
        machine = nvidia("8.7", platform=Platform(os="linux", arch="aarch64"))
        assert on(with_torch(machine, build="cu126", usable=True), "transformers", "fp16").answer == "yes"

    def test_a_broken_one(self) -> None:
        """What cannot be imported runs nothing."""
        found = on(with_torch(nvidia("8.9"), broken="libtorch_cpu.so is missing"), "transformers", "fp16")
        assert (found.answer, "libtorch_cpu.so is missing" in found.reasons[0]) == ("no", True)

    def test_other_engines_do_not_use_it(self) -> None:
        """llama.cpp has no torch, and an environment without one says nothing of transformers."""
        machine = with_torch(nvidia("8.9"), build="cpu", usable=False)
        assert on(machine, "llama.cpp", "Q4_K_M").answer == "yes"
        assert on(nvidia("8.9"), "transformers", "fp16").answer == "yes"


class TestOptions:
    """Options of llama.cpp that a backend may not have."""

    @pytest.mark.parametrize(
        ("options", "answer"),
        [
            ({}, "yes"),
            ({"flash_attn": "off"}, "yes"),
            ({"flash_attn": "off", "type_v": "q8_0"}, "no"),
            ({"flash_attn": "off", "type_k": "q8_0"}, "yes"),
            ({"flash_attn": "off", "type_v": "bf16"}, "yes"),
            ({"type_k": "q8_0", "type_v": "q8_0"}, "yes"),
            ({"type_k": "q8_0"}, "yes"),
            ({"type_v": "IQ4_NL"}, "partial"),
            ({"backend": "vulkan", "type_v": "iq4_nl"}, "yes"),
            ({"backend": "vulkan"}, "yes"),
            ({"backend": "cpu"}, "yes"),
            ({"backend": "metal"}, "no"),
            ({"backend": "rocm"}, "no"),
            ({"backend": "sycl"}, "unknown"),
        ],
    )
    def test_on_nvidia(self, options: dict[str, str], answer: Answer) -> None:
        """The cache's types, flash attention and the backend."""
        found = on(nvidia("8.9"), "llama.cpp", "Q4_K_M", **options)
        assert found.answer == answer

    def test_metal_wants_one_type(self) -> None:
        """K and V of different types take its flash attention away."""
        mac = other("Apple", Platform(os="darwin", arch="arm64"), architecture="Apple8")
        assert on(mac, "llama.cpp", "Q4_K_M", type_k="q8_0", type_v="q8_0").answer == "yes"
        assert on(mac, "llama.cpp", "Q4_K_M", type_k="q8_0").answer == "partial"

    def test_options_as_values(self) -> None:
        """False, None and 1 are what they are as words."""
        machine = nvidia("8.9")
        off = Asked("llama.cpp", "Q4_K_M", (("flash_attn", False), ("type_v", "q8_0")), (0,))
        assert supported(machine, off).answer == "no"
        none = Asked("llama.cpp", "Q4_K_M", (("type_k", None), ("type_v", None)), (0,))
        assert supported(machine, none).answer == "yes"


class TestPlaces:
    """Which devices count."""

    def test_the_worst_of_different_cards(self) -> None:
        """Each card with its own reason; the same card twice is told once."""
        cards = [card(index, compute_capability=text) for index, text in enumerate(("8.9", "7.5", "7.5"))]
        machine = replace(box(*cards), platform=LINUX)
        found = supported(machine, Asked("vllm", "bf16", (), (0, 1, 2)))
        assert found.answer == "partial"
        assert [reason.partition(":")[0] for reason in found.reasons] == ["compute capability 7.5"]
        assert supported(machine, Asked("vllm", "bf16", (), (0,))).answer == "yes"

    def test_no_device_is_the_cpu(self) -> None:
        """GGUF runs on every CPU; bitsandbytes wants AVX2 on x86, and FP8 becomes BF16."""
        machine = replace(box(ram=64.0), platform=LINUX, cpu=Cpu(features=("avx2",)))
        assert supported(machine, Asked("llama.cpp", "IQ3_XXS")).answer == "yes"
        assert supported(machine, Asked("transformers", "nf4")).answer == "yes"
        assert supported(machine, Asked("transformers", "fp8")).answer == "partial"
        old = replace(machine, cpu=Cpu(features=("sse4_2",)))
        assert supported(old, Asked("transformers", "nf4")).answer == "no"
        silent = replace(machine, cpu=Cpu())
        assert supported(silent, Asked("transformers", "nf4")).answer == "unknown"
        assert supported(silent, Asked("llama.cpp", "Q4_K_M")).answer == "yes"

    def test_layers_on_the_cpu_beside_a_gpu(self) -> None:
        """llama.cpp computes them; bitsandbytes keeps them in 32 bits, by an option."""
        machine = nvidia("8.9")
        assert supported(machine, Asked("llama.cpp", "Q4_K_M", (), (0,), on_host=True)).answer == "yes"
        found = supported(machine, Asked("transformers", "nf4", (), (0,), on_host=True))
        assert found.answer == "partial"
        assert "llm_int8_enable_fp32_cpu_offload" in found.reasons[0]
        assert supported(machine, Asked("transformers", "fp16", (), (0,), on_host=True)).answer == "yes"

    def test_what_fits_nowhere_is_judged_on_what_there_is(self) -> None:
        """A model that is too large is still one that the GPU could not compute."""
        machine = nvidia("3.5")
        memory = effective_memory(machine)
        assert support_of(machine, memory, make_setting(1, 1, "ollama"), "Q4_K_M", Placement("none")).answer == "no"
        bare = replace(box(), platform=LINUX)
        assert support_of(bare, effective_memory(bare), DEFAULT, "Q4_K_M", Placement("none")).answer == "yes"

    def test_one_machine_after_another(self) -> None:
        """What is kept of a machine is that machine's own."""
        old, new = nvidia("6.1"), nvidia("9.0")
        assert [on(machine, "vllm", "fp16").answer for machine in (old, new, old, new)] == ["no", "yes", "no", "yes"]
        assert on(new, "vllm", "fp16") is on(new, "vllm", "fp16")


class TestProperties:
    """What holds of every engine and format."""

    CAPABILITIES = ("3.5", "5.0", "5.2", "6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0")

    def test_a_newer_generation_never_supports_less(self) -> None:
        """In any format and with flash attention 2: the answers only get better from 3.5 to 12.0."""
        quants = [quant.name for quant in QUANTIZATIONS]
        options: tuple[dict[str, str], ...] = ({}, {"attn_implementation": "flash_attention_2"})
        for engine in engines():
            for quant in quants:
                for given in options:
                    ranks = [_RANK[on(nvidia(text), engine, quant, **given).answer] for text in self.CAPABILITIES]
                    assert ranks == sorted(ranks), (engine, quant, given, ranks)

    def test_a_newer_driver_never_supports_less(self) -> None:
        """From 450 to 610, for each engine."""
        drivers = ("450.36.06", "470.82.01", "525.60.13", "535.86.10", "550.54.14", "570.86.10", "580.65.06", "610.1")
        for engine in engines():
            quant = "mlx-4bit" if engine == "mlx" else "fp16"
            ranks = [_RANK[on(nvidia("8.0", driver), engine, quant).answer] for driver in drivers]
            assert ranks == sorted(ranks), (engine, ranks)

    def test_every_quantization_has_a_family(self) -> None:
        """No name that gpucheck knows is missing in the table's subjects."""
        assert all(family_of(quant.name) for quant in QUANTIZATIONS)

    @pytest.mark.parametrize(
        ("name", "family"),
        [("Q4_K_M", "gguf"), ("UD-Q4_K_XL", "gguf"), ("Q4_K", "gguf"), ("IQ2_XXS", "gguf"), ("TQ1_0", "tq1"),
         ("gptq-int8", "gptq"), ("mlx-6bit", "mlx"), ("exl2-4.0", "exl2"), ("nf4-dq", "nf4"), ("MXFP4", "mxfp4"),
         ("quantum", None), ("iq", None), ("", None)],
    )  # fmt: skip
    def test_families(self, name: str, family: str | None) -> None:
        """By whole words of the name."""
        assert family_of(name) == family


class TestAnswers:
    """`supported` in what `fit` says."""

    def test_the_answer_has_it(self) -> None:
        """With its reasons, beside `fits`, which is about memory alone."""
        answer = fit_model(
            nvidia("7.5"), parse_reference(f"{LLAMA_8B}@bf16"), setting=make_setting(2048, 1, "transformers")
        )
        assert (answer.fits, answer.supported) == ("yes", "partial")
        assert "torch emulates it" in answer.support_reasons[0]

    def test_a_quantization_that_nothing_runs_is_not_chosen(self) -> None:
        """On a 12 GB card of 5.2 bitsandbytes' int8 and nf4 would fit, and BF16 is what runs at all."""
        machine = replace(box(card(gib=12.0, compute_capability="5.2")), platform=LINUX)
        answer = fit_model(machine, parse_reference(LLAMA_8B), setting=make_setting(2048, 1, "transformers"))
        assert (answer.quant, answer.supported) == ("bf16", "partial")

    def test_check_fails_where_software_cannot(self) -> None:
        """Memory would do, and the exit status is that of a requirement that is not met."""
        model = ("fit", f"{LLAMA_8B}@fp8", "--engine", "transformers", "--ram", "64GiB", "--context", "2048")
        attention = ("--engine-option", "attn_implementation=flash_attention_2")
        assert run(*model, "--simulate", "RTX 4090", "--check", *attention).code == 0
        ran = run(*model, "--simulate", "Quadro RTX 8000", "--check", *attention)
        assert (ran.code, "✓" in ran.out, "supported  no: FlashAttention-2" in ran.out) == (1, True, True)
        assert run(*model, "--simulate", "Quadro RTX 8000", *attention).code == 0

    def test_a_plain_yes_is_silent_in_text(self) -> None:
        """No line for what works."""
        assert "supported" not in run("fit", "8b@q4", "--simulate", "RTX 4090").out


def test_gpu_of_no_known_maker() -> None:
    """A maker without rows is unknown to every engine."""
    machine: Machine = replace(box(Gpu(0, "card", "Moore", "ok", "discrete")), platform=LINUX)
    assert {on(machine, engine, "fp16").answer for engine in engines() if engine != "vllm"} == {"unknown"}
