"""CPU-bound pure functions: buffers in, buffers out."""
