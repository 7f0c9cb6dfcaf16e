"""GGUF files: their metadata and tensor table, never their data."""
