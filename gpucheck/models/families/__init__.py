"""How each family of models writes its shape into a configuration."""
