"""Memory of encoders in transformers: sentence encoders, and the one that Whisper hears with."""
