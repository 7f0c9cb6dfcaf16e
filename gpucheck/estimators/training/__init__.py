"""Memory of training and fine-tuning: full, LoRA and QLoRA, on one GPU or divided over many."""
