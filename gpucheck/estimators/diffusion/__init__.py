"""Memory of diffusion pipelines in diffusers: components, one phase after the other."""
