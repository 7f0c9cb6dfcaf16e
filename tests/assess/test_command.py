"""The command that starts llama.cpp as an answer says."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import gpucheck
from gpucheck.machine.types import Machine
from tests.assess.machines import box, card
from tests.models.gguf_files import LLAMA, TINY, write_gguf

BIG = "meta-llama/Llama-3.1-70B-Instruct"
SMALL = "Qwen/Qwen3-8B"


def words(machine: Machine, model: str, quant: str = "Q4_K_M", **given: object) -> list[str]:
    """The command, as a shell takes it apart."""
    command = gpucheck.fit(machine, model, quant, **given).command  # type: ignore[arg-type]
    assert command
    return shlex.split(command)


def value(command: list[str], flag: str) -> str:
    """What follows the flag, which is there once."""
    assert command.count(flag) == 1, command
    return command[command.index(flag) + 1]


class TestPlace:
    """Where the layers go."""

    def test_the_only_gpu(self) -> None:
        """All layers on it; nothing to choose between."""
        assert words(box(card()), SMALL) == [
            "llama-server", "-m", "Qwen3-8B-Q4_K_M.gguf", "-c", "8192", "-ngl", "999",
        ]  # fmt: skip

    def test_one_gpu_of_several(self) -> None:
        """The one that is used is named by its backend's name."""
        command = words(box(card(0, 8.0), card(1, 24.0), card(2, 6.0)), "Qwen/Qwen3-14B")
        assert value(command, "-dev") == "CUDA1"
        assert "-ts" not in command

    def test_a_gpu_is_named_by_its_number_at_the_driver(self) -> None:
        """Gpucheck counts all GPUs; the driver counts its own, from 0."""
        amd = card(0, 8.0, vendor="AMD", driver_index=0)
        assert value(words(box(amd, card(1, 24.0, driver_index=0)), "Qwen/Qwen3-14B"), "-dev") == "CUDA0"
        radeons = (card(0, 4.0, vendor="AMD", driver_index=0), card(1, 24.0, vendor="AMD", driver_index=1))
        assert value(words(box(*radeons), "Qwen/Qwen3-14B"), "-dev") == "ROCm1"

    def test_two_equal_gpus(self) -> None:
        """The shares are layers, and the last has the head as one more: 81 of 80."""
        command = words(box(card(0), card(1)), BIG)
        assert value(command, "-ngl") == "999"
        assert "-dev" not in command
        assert sum(int(share) for share in value(command, "-ts").split(",")) == 81

    def test_two_unequal_gpus_are_named_in_the_order_of_their_layers(self) -> None:
        """llama.cpp gives the first layers to the first device that is named: the larger one."""
        machine = box(card(0, 16.0), card(1, 32.0))
        command = words(machine, BIG)
        assert value(command, "-dev") == "CUDA1,CUDA0"
        layers = gpucheck.fit(machine, BIG, "Q4_K_M").placement.layers
        assert value(command, "-ts") == f"{layers[0]},{layers[1] + 1}"
        assert layers[0] > layers[1]

    def test_a_part_of_the_layers(self) -> None:
        """-ngl counts the head first, then layers from the last."""
        machine = box(card())
        (count,) = gpucheck.fit(machine, BIG, "Q4_K_M").placement.layers
        assert 0 < count < 80
        assert value(words(machine, BIG), "-ngl") == str(count + 1)

    def test_the_command_of_a_part_is_the_answer_of_its_options(self) -> None:
        """What is typed, told to gpucheck as options, needs the same bytes in the same places."""
        machine = box(card())
        answer = gpucheck.fit(machine, BIG, "Q4_K_M")
        again = gpucheck.fit(machine, BIG, "Q4_K_M", options={"n_gpu_layers": value(words(machine, BIG), "-ngl")})
        assert again.memory == answer.memory
        assert again.placement == answer.placement
        assert again.command == answer.command

    def test_experts_on_the_host(self) -> None:
        """All layers on the GPU, and the experts of as many as the answer says on the host."""
        machine = box(card(), ram=96.0)
        command = words(machine, "openai/gpt-oss-120b", "MXFP4")
        count = gpucheck.fit(machine, "openai/gpt-oss-120b", "MXFP4").placement.experts_on_host
        assert count > 0
        assert (value(command, "-ngl"), value(command, "--n-cpu-moe")) == ("999", str(count))

    def test_no_gpu(self) -> None:
        """Nothing is offloaded."""
        command = words(box(ram=64.0), SMALL)
        assert value(command, "-ngl") == "0"
        assert "-dev" not in command

    def test_a_gpu_that_takes_no_part(self) -> None:
        """It would hold buffers all the same, so it is left out by name."""
        command = words(box(card(0, 0.5)), SMALL)
        assert (value(command, "-ngl"), value(command, "-dev")) == ("0", "none")

    def test_nothing_fits(self) -> None:
        """No command for what does not run, or what cannot be told."""
        assert gpucheck.fit(box(card(), ram=8.0), BIG, "bf16").command is None
        assert gpucheck.fit(box(card(gib=None), ram=None), BIG, "Q4_K_M").command is None

    @pytest.mark.parametrize(("engine", "quant"), [("ollama", "Q4_K_M"), ("transformers", "nf4")])
    def test_engines_without_one(self, engine: str, quant: str) -> None:
        """Only llama.cpp is started by a command with these options."""
        assert gpucheck.fit(box(card()), SMALL, quant, engine=engine).command is None


class TestOptions:
    """The caller's options are handed on."""

    def test_every_option_has_its_flag(self) -> None:
        """By the server's names, with the values that were given."""
        options = {
            "type_k": "Q8_0", "type_v": "q8_0", "n_batch": 1024, "n_ubatch": "256", "flash_attn": "on",
            "swa_full": True, "no_mmap": "yes", "use_extra_bufts": False, "n_parallel": 1, "offload_kqv": "off",
        }  # fmt: skip
        command = words(box(card()), SMALL, options=options)
        flags = {"-ctk": "q8_0", "-ctv": "q8_0", "-b": "1024", "-ub": "256", "-fa": "on", "-np": "1"}
        assert {flag: value(command, flag) for flag in flags} == flags
        assert {"--swa-full", "--no-mmap", "--no-repack", "--no-kv-offload"} <= set(command)

    def test_switches_that_are_off_are_not_typed(self) -> None:
        """The defaults need no words."""
        command = words(box(card()), SMALL, options={"swa_full": "off", "no_mmap": False, "use_extra_bufts": "on"})
        assert command == words(box(card()), SMALL)

    def test_several_users(self) -> None:
        """-c is the context of all together, and the slots share one cache."""
        command = words(box(card()), SMALL, context=4096, batch=3)
        assert (value(command, "-c"), value(command, "-np")) == ("12288", "3")
        assert "-kvu" in command

    def test_slots_that_do_not_share(self) -> None:
        """kv_unified off is the server's own default as soon as the slots are counted."""
        command = words(box(card()), SMALL, options={"n_parallel": 3, "kv_unified": "off"})
        assert value(command, "-np") == "3"
        assert "-kvu" not in command
        assert "-no-kvu" in words(box(card()), SMALL, options={"kv_unified": "off"})

    def test_layers_that_were_told_are_typed_once(self) -> None:
        """The caller's number, not gpucheck's beside it; and none where there is no GPU."""
        assert value(words(box(card()), BIG, options={"n_gpu_layers": 20}), "-ngl") == "20"
        assert value(words(box(ram=64.0), BIG, options={"n_gpu_layers": 20}), "-ngl") == "0"
        command = words(box(card(0, 48.0)), "Qwen/Qwen3-30B-A3B", "Q8_0", options={"n_cpu_moe": 10})
        assert (value(command, "-ngl"), value(command, "--n-cpu-moe")) == ("999", "10")


class TestNames:
    """Files and names that a shell must not take apart."""

    @pytest.mark.parametrize("name", ["a b.gguf", "$(reboot).gguf", "';rm -rf ~;'.gguf", '"`id`".gguf', "a&b|c>d.gguf"])
    def test_a_path_is_one_word(self, tmp_path: Path, name: str) -> None:
        """Whatever stands in it, the shell hands it on as it is."""
        path = write_gguf(tmp_path / name, LLAMA, TINY)
        assert value(words(box(card()), path, None), "-m") == path  # type: ignore[arg-type]

    def test_a_file_is_named_only_in_its_own_quantization(self, tmp_path: Path) -> None:
        """Another quantization is another file, whose name is made up."""
        path = write_gguf(tmp_path / "tiny.gguf", LLAMA, TINY)
        assert value(words(box(card()), path, "Q4_K_M"), "-m") == path
        assert value(words(box(card()), path, "Q8_0"), "-m") != path
