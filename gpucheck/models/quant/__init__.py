"""Bytes of a model's tensors in a format that has a name: GGUF file mixes, and the formats of checkpoints."""
