"""What runs together, and where each array lies: a `Layout` of calls for NumPy, or a `LoopProgram` for Numba."""
