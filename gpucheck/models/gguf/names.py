"""GGUF's names of architectures: what Hugging Face configurations call them, and which keep no cache."""

from __future__ import annotations

MODEL_TYPES: dict[str, str] = {
    "afmoe": "afmoe", "apertus": "apertus", "arcee": "arcee", "bailingmoe": "bailing_moe",
    "bailingmoe2": "bailing_moe_v2", "bert": "bert", "bitnet": "bitnet", "bloom": "bloom", "chatglm": "chatglm",
    "cohere2": "cohere2", "command-r": "cohere", "dbrx": "dbrx", "deci": "nemotron-nas", "deepseek": "deepseek",
    "deepseek2": "deepseek_v3", "deepseek32": "deepseek_v32", "dots1": "dots1", "ernie4_5": "ernie4_5",
    "ernie4_5-moe": "ernie4_5_moe", "exaone": "exaone", "exaone4": "exaone4", "exaone-moe": "exaone_moe",
    "falcon": "falcon", "falcon-h1": "falcon_h1", "gemma": "gemma", "gemma2": "gemma2", "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text", "gemma4": "gemma4_text", "glm-dsa": "glm_moe_dsa", "glm4": "glm4",
    "glm4moe": "glm4_moe", "gpt-oss": "gpt_oss", "gpt2": "gpt2", "gptj": "gptj", "gptneox": "gpt_neox",
    "granite": "granite", "granitehybrid": "granitemoehybrid", "granitemoe": "granitemoe", "grok": "grok-1",
    "hunyuan-dense": "hunyuan_v1_dense", "hunyuan-moe": "hunyuan_v1_moe", "internlm2": "internlm2",
    "jamba": "jamba", "kimi-linear": "kimi_linear", "lfm2": "lfm2", "lfm2moe": "lfm2_moe", "llama": "llama",
    "llama4": "llama4_text", "mamba": "mamba", "mamba2": "mamba2", "mimo2": "mimo_v2_flash", "minicpm": "minicpm",
    "minicpm3": "minicpm3", "minimax-01": "minimax_text_01", "minimax-m2": "minimax_m2", "mistral3": "ministral3",
    "modern-bert": "modernbert", "mpt": "mpt", "nemotron": "nemotron", "nemotron_h": "nemotron_h",
    "nemotron_h_moe": "nemotron_h", "nomic-bert": "nomic_bert", "olmo": "olmo", "olmo2": "olmo2", "olmoe": "olmoe",
    "phi2": "phi", "phi3": "phi3", "phimoe": "phimoe", "qwen": "qwen", "qwen2": "qwen2", "qwen2moe": "qwen2_moe",
    "qwen2vl": "qwen2_vl_text", "qwen3": "qwen3", "qwen35": "qwen3_5_text", "qwen35moe": "qwen3_5_moe_text",
    "qwen3moe": "qwen3_moe", "qwen3next": "qwen3_next", "qwen3vl": "qwen3_vl_text",
    "qwen3vlmoe": "qwen3_vl_moe_text", "seed_oss": "seed_oss", "smollm3": "smollm3", "stablelm": "stablelm",
    "starcoder": "gpt_bigcode", "starcoder2": "starcoder2", "step35": "step3p5", "t5": "t5", "t5encoder": "t5",
    "xverse": "xverse",
}  # fmt: skip

# llama.cpp builds no cache for these; the diffusion models among them do have a head.
ENCODERS = frozenset({
    "bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert", "modern-bert",
    "gemma-embedding", "t5encoder",
})  # fmt: skip
DIFFUSION = frozenset({"dream", "llada", "llada-moe", "rnd1"})

# Known to llama.cpp under a name of their own, with the usual keys and no hard-wired pattern.
USUAL = frozenset({
    "arctic", "arwkv7", "baichuan", "bailingmoe3", "codeshell", "cogvlm", "cohere2moe", "deepseek2-ocr",
    "gemma-embedding", "glm5-next", "granite_swa", "grovemoe", "hunyuan_vl", "hy_v3", "jais", "jais2",
    "jina-bert-v2", "jina-bert-v3", "kimi-k3", "laguna", "llama-embed", "maincoder", "maple", "mellum", "mistral4",
    "muse-glimmer", "neo-bert", "eurobert", "nomic-bert-moe", "openelm", "orion", "paddleocr", "pangu-embedded",
    "plamo", "plamo2", "plamo3", "plm", "refact", "rwkv6", "rwkv6qwen2", "rwkv7", "smallthinker", "spark2-5",
})  # fmt: skip

KNOWN = frozenset(MODEL_TYPES) | ENCODERS | DIFFUSION | USUAL
