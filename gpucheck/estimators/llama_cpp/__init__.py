"""Memory of llama.cpp: its caches, buffers and contexts, for a model of known shape."""
