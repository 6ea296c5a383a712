"""A planned program becomes the text of a Python module, for NumPy or for Numba."""
