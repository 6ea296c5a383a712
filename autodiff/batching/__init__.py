"""Batches: a function of one example acts on many at once, each NumPy call on the arrays of all of them."""
