"""Models of known shape, against arithmetic by hand from their published configurations.

Every figure below is written out from the configuration: elements of each matrix, bytes of each token in the cache.
"""

from __future__ import annotations

import pytest

import gpucheck
from gpucheck.assess.need import Need
from gpucheck.errors import UsageError

MIB = 1 << 20

# google/gemma-3-27b-it: 62 layers, of which 10 look at everything and 52 at 1,024 tokens; 16 key heads of 128.
GEMMA_EMBEDDING = 262_208 * 5376
GEMMA_MATRICES = 62 * (5376 * 4096 + 2 * 5376 * 2048 + 4096 * 5376 + 3 * 5376 * 21_504)
GEMMA_VECTORS = 62 * (4 * 5376 + 2 * 128) + 5376
GEMMA_VISION = 423_060_336  # SigLIP so400m with its projector
# meta-llama/Llama-3.1-70B: 80 layers, 8 key heads of 128.
LLAMA_MATRICES = 2 * 128_256 * 8192 + 80 * (2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28_672)
LLAMA_VECTORS = 80 * 2 * 8192 + 8192
# deepseek-ai/DeepSeek-V3: 61 layers of latent attention (512 + 64 a token), the first 3 dense, 256 experts in the rest.
DEEPSEEK_ATTENTION = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
DEEPSEEK_MATRICES = (
    2 * 129_280 * 7168
    + 61 * DEEPSEEK_ATTENTION
    + 3 * 3 * 7168 * 18_432  # dense
    + 58 * 257 * 3 * 7168 * 2048  # 256 experts and a shared one
)
DEEPSEEK_ROUTERS = 58 * 256 * 7168
DEEPSEEK_VECTORS = 61 * (1536 + 512 + 2 * 7168) + 7168 + 58 * 256
# openai/gpt-oss-120b: 36 layers, every other one with a window of 128; 8 key heads of 64; 128 experts of 2880.
GPT_OSS_PLAIN = 2 * 201_088 * 2880 + 36 * (2 * 2880 * 4096 + 2 * 2880 * 512)
GPT_OSS_EXPERTS = 36 * 128 * 3 * 2880 * 2880
GPT_OSS_ROUTERS = 36 * 128 * 2880
GPT_OSS_VECTORS = 36 * (4096 + 512 + 512 + 2880 + 64 + 128 * 3 * 2880 + 128 + 2 * 2880) + 2880
# Qwen/Qwen3-Next-80B-A3B: 48 layers, 12 with attention (2 key heads of 256), 36 with Gated DeltaNet; 512 experts.
NEXT_CONVOLUTIONS = 36 * 4 * 8192
NEXT_MATRICES = (
    2 * 151_936 * 2048
    + 12 * (2048 * 2 * 4096 + 2 * 2048 * 512 + 4096 * 2048)
    + 36 * (2048 * 12_288 + 2048 * 64 + 4096 * 2048)
    + 48 * 513 * 3 * 2048 * 512
)
NEXT_ROUTERS = 48 * (512 * 2048 + 2048)  # and the gate of the shared expert
NEXT_VECTORS = 12 * 2 * 256 + 36 * (32 + 32 + 128) + 48 * 2 * 2048 + 2048


def need(model: str, quant: str, context: int, engine: str, **options: object) -> Need:
    """The need on one GPU."""
    return gpucheck.estimate(model, quant, context=context, engine=engine, options=options)


def holds(found: Need, compute: int) -> bool:
    """Whether the compute buffer of the GPU, worked out by hand, lies within the band of its row."""
    (row,) = (row for row in found.rows if row.component == "compute" and row.device == "gpu")
    return row.low_bytes <= compute <= row.high_bytes


class TestLlamaCpp:
    """llama-server with its defaults: four slots in one cache, f16, flash attention, micro-batches of 512."""

    def test_gemma_3_27b_at_131072(self) -> None:
        """Windows keep 4 x 1,024 + 512 = 4,608 cells, not 131,072; a token takes 2 x 16 x 128 x 2 = 8,192 bytes."""
        found = need("google/gemma-3-27b-it", "bf16", 131_072, "llama.cpp")
        assert found.memory.weights_bytes == 2 * (GEMMA_EMBEDDING + GEMMA_MATRICES) + 4 * GEMMA_VECTORS
        assert found.memory.kv_cache_bytes == 10 * 131_072 * 8192 + 52 * 4608 * 8192 == 12_700_352_512
        # gate, up and product, two vectors, the queries, and masks of both kinds in 16 bits, for 512 tokens
        assert holds(found, 4 * 512 * (3 * 21_504 + 2 * 5376 + 4096 + (131_072 + 4608) // 2))

    def test_the_head_of_a_tied_model_is_on_the_gpu_again(self) -> None:
        """The embedding lies on the host and is copied as the head, which is no tensor of the file: overhead."""
        found = need("google/gemma-3-27b-it", "bf16", 8192, "llama.cpp")
        copies = [row for row in found.rows if "copy of the embedding" in row.detail]
        assert [(row.component, row.device, row.bytes) for row in copies] == [("overhead", "gpu", 2 * GEMMA_EMBEDDING)]
        embedding = [row.bytes for row in found.rows if row.component == "weights" and row.device == "host"]
        assert embedding == [2 * GEMMA_EMBEDDING]

    def test_llama_3_1_70b(self) -> None:
        """80 layers of 2 x 8 x 128 x 2 = 4,096 bytes a token."""
        found = need("meta-llama/Llama-3.1-70B-Instruct", "bf16", 8192, "llama.cpp")
        assert found.memory.weights_bytes == 2 * LLAMA_MATRICES + 4 * LLAMA_VECTORS == 141_110_050_816
        assert found.memory.kv_cache_bytes == 80 * 8192 * 4096 == 2_684_354_560
        assert holds(found, 4 * 512 * (3 * 28_672 + 2 * 8192 + 8192 + 8192 // 2))

    def test_llama_3_1_70b_with_a_cache_in_8_bits(self) -> None:
        """Blocks of 32 elements in 34 bytes: 1,024 keys take 1,088 bytes, and as many values."""
        found = need("meta-llama/Llama-3.1-70B-Instruct", "bf16", 8192, "llama.cpp", type_k="q8_0", type_v="q8_0")
        assert found.memory.kv_cache_bytes == 80 * 8192 * 2 * 1088

    def test_deepseek_v3_at_32768(self) -> None:
        """Only the latent vector and the rotary key are kept: 576 numbers a token, 2,196 MiB as llama.cpp reports."""
        found = need("deepseek-ai/DeepSeek-V3", "bf16", 32_768, "llama.cpp")
        small = DEEPSEEK_ROUTERS + DEEPSEEK_VECTORS
        assert found.memory.weights_bytes == 2 * DEEPSEEK_MATRICES + 4 * small
        assert found.memory.kv_cache_bytes == 61 * 32_768 * 576 * 2 == 2196 * MIB
        latent = 128 * (2 * 512 + 64 + 128 + 64 + 128)  # both latents, rotary and plain parts of 128 heads
        assert holds(found, 4 * 512 * (latent + 3 * 7168 + 32_768 // 2))

    def test_gpt_oss_120b_at_131072(self) -> None:
        """Windows keep 4 x 128 + 512 = 1,024 cells; a token takes 2 x 8 x 64 x 2 = 2,048 bytes."""
        found = need("openai/gpt-oss-120b", "MXFP4", 131_072, "llama.cpp")
        plain, small = GPT_OSS_PLAIN // 32 * 34, GPT_OSS_ROUTERS + GPT_OSS_VECTORS
        assert found.memory.weights_bytes == GPT_OSS_EXPERTS // 32 * 17 + plain + 4 * small
        assert found.memory.kv_cache_bytes == 18 * 131_072 * 2048 + 18 * 1024 * 2048
        assert holds(found, 4 * 512 * (3 * 4 * 2880 + 2 * 2880 + 4096 + (131_072 + 1024) // 2))

    def test_gpt_oss_keeps_its_experts_in_16_bit_files(self) -> None:
        """The published file gpt-oss-120b-F16.gguf has 65.4 GB: experts in MXFP4, the rest in 16 bits."""
        found = need("openai/gpt-oss-120b", "fp16", 8192, "llama.cpp")
        small = GPT_OSS_ROUTERS + GPT_OSS_VECTORS
        assert found.memory.weights_bytes == GPT_OSS_EXPERTS // 32 * 17 + 2 * GPT_OSS_PLAIN + 4 * small
        assert found.memory.weights_bytes / 1e9 == pytest.approx(65.4, abs=0.05)

    def test_qwen3_next_80b_at_262144(self) -> None:
        """12 layers keep 2 x 2 x 256 x 2 = 2,048 bytes a token, 36 a state of fixed size for each of four slots."""
        found = need("Qwen/Qwen3-Next-80B-A3B-Instruct", "bf16", 262_144, "llama.cpp")
        matrices, small = NEXT_MATRICES, NEXT_CONVOLUTIONS + NEXT_ROUTERS + NEXT_VECTORS
        assert found.memory.weights_bytes == 2 * matrices + 4 * small
        state = 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096)  # the last three inputs, and 128 numbers for each of 4,096
        rows = {row.detail: row.bytes for row in found.rows if row.component == "kv_cache"}
        assert rows == {"keys and values": 12 * 262_144 * 2048, "recurrent state": 36 * 4 * state}
        one = need("Qwen/Qwen3-Next-80B-A3B-Instruct", "bf16", 262_144, "llama.cpp", n_parallel=1)
        assert one.memory.kv_cache_bytes == 12 * 262_144 * 2048 + 36 * state


class TestTransformers:
    """transformers in bf16, the whole prompt at once."""

    def test_gemma_3_27b_at_131072(self) -> None:
        """Windows keep 1,024 tokens once the prompt is read; while it is read they hold all of it."""
        found = need("google/gemma-3-27b-it", "bf16", 131_072, "transformers")
        assert found.memory.weights_bytes == 2 * (GEMMA_EMBEDDING + GEMMA_MATRICES + GEMMA_VECTORS + GEMMA_VISION)
        assert found.memory.kv_cache_bytes == 10 * 131_072 * 8192 + 52 * 1024 * 8192
        more = 52 * (131_072 - 1024) * 8192
        assert holds(found, more + 2 * 131_072 * (3 * 21_504 + 4 * 5376) + 32 * MIB)

    def test_llama_3_1_70b(self) -> None:
        """70.55 billion parameters in two bytes each."""
        found = need("meta-llama/Llama-3.1-70B-Instruct", "bf16", 8192, "transformers")
        assert found.memory.weights_bytes == 2 * (LLAMA_MATRICES + LLAMA_VECTORS) == 2 * 70_553_706_496
        assert found.memory.kv_cache_bytes == 80 * 8192 * 4096
        assert holds(found, 2 * 8192 * (3 * 28_672 + 4 * 8192) + 32 * MIB)

    def test_deepseek_v3_at_32768(self) -> None:
        """Eight experts' weighted outputs in 32 bits are the widest moment."""
        found = need("deepseek-ai/DeepSeek-V3", "bf16", 32_768, "transformers")
        assert found.memory.weights_bytes == 2 * (DEEPSEEK_MATRICES + DEEPSEEK_ROUTERS + DEEPSEEK_VECTORS)
        assert found.memory.kv_cache_bytes == 61 * 32_768 * 576 * 2
        assert holds(found, 2 * 32_768 * (8 * 6 * 7168 + 4 * 7168) + 32 * MIB)

    def test_gpt_oss_120b_at_131072(self) -> None:
        """Windows keep 128 tokens; four experts of 2,880 are the widest moment, and windows hold the prompt."""
        found = need("openai/gpt-oss-120b", "bf16", 131_072, "transformers")
        elements = GPT_OSS_PLAIN + GPT_OSS_EXPERTS + GPT_OSS_ROUTERS + GPT_OSS_VECTORS
        assert found.memory.weights_bytes == 2 * elements == 233_658_313_344
        assert found.memory.kv_cache_bytes == 18 * 131_072 * 2048 + 18 * 128 * 2048
        more = 18 * (131_072 - 128) * 2048
        assert holds(found, more + 2 * 131_072 * (4 * (9 * 2880 + 2880) + 4 * 2880) + 32 * MIB)

    def test_qwen3_next_80b_at_262144(self) -> None:
        """A state in 32 bits, and four inputs of each convolution in 16, for one sequence."""
        found = need("Qwen/Qwen3-Next-80B-A3B-Instruct", "bf16", 262_144, "transformers")
        elements = NEXT_MATRICES + NEXT_CONVOLUTIONS + NEXT_ROUTERS + NEXT_VECTORS
        assert found.memory.weights_bytes == 2 * elements == 159_348_782_592
        assert found.memory.kv_cache_bytes == 12 * 262_144 * 2048 + 36 * (2 * 4 * 8192 + 4 * 128 * 4096)

    def test_on_the_cpu_everything_lies_on_the_host(self) -> None:
        """Without a GPU no row claims one."""
        found = gpucheck.estimate("qwen3-4b", "bf16", engine="transformers", gpus=0)
        assert {row.device for row in found.rows} == {"host"}


class TestFormats:
    """An engine is asked only about formats that it reads."""

    def test_llama_cpp_reads_gguf_only(self) -> None:
        """A checkpoint's format has no GGUF file, and the sentence says what to name instead."""
        with pytest.raises(UsageError, match=r"llama.cpp does not read nf4.*Q4_K_M"):
            need("qwen3-4b", "nf4", 8192, "llama.cpp")

    def test_transformers_does_not_compute_in_gguf_mixes(self) -> None:
        """And the other way round."""
        with pytest.raises(UsageError, match="does not compute in Q4_K_M"):
            need("qwen3-4b", "Q4_K_M", 8192, "transformers")

    def test_a_projector_is_counted_once_and_exactly(self) -> None:
        """Its bytes are given, so no band of the model's weights is laid over them, tied head or not."""
        plain = need("gemma-3-4b", "Q4_K_M", 8192, "llama.cpp")
        with_tower = need("gemma-3-4b", "Q4_K_M", 8192, "llama.cpp", mmproj_bytes=850 * MIB)
        assert with_tower.memory.weights_bytes - plain.memory.weights_bytes == 850 * MIB
        assert with_tower.memory.overhead_bytes == plain.memory.overhead_bytes
        (row,) = (row for row in with_tower.rows if "projector" in row.detail)
        assert (row.low_bytes, row.bytes, row.high_bytes) == (850 * MIB,) * 3

    def test_the_head_is_the_first_of_the_layers_on_the_gpu(self) -> None:
        """With n_gpu_layers 1 the GPU has the head alone, with 0 nothing, and then no copy of the embedding is made."""
        embedding = 262_208 * 2560 // 32 * 34
        for count, overhead in ((0, 0), (1, embedding), (10, embedding), (-1, embedding)):
            found = need("gemma-3-4b", "Q8_0", 8192, "llama.cpp", n_gpu_layers=count)
            assert sum(row.bytes for row in found.rows if "copy of the embedding" in row.detail) == overhead
            whole = need("gemma-3-4b", "Q8_0", 8192, "llama.cpp")
            assert found.memory.weights_bytes == whole.memory.weights_bytes

    @pytest.mark.parametrize("value", [["q8_0"], {"a": 1}, object()])
    def test_the_value_of_an_option_is_a_plain_one(self, value: object) -> None:
        """What no command line could say is refused."""
        with pytest.raises(UsageError, match="type_k"):
            need("qwen3-4b", "Q4_K_M", 8192, "llama.cpp", type_k=value)
