"""Memory of Hugging Face transformers, for its modelling code of release 5."""
