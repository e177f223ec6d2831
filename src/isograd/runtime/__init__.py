"""The engine: `bind`, Tensor, the tape, derivatives, the registry of backends."""
