"""A step is run once on recording arrays, which write down every NumPy call that is made on them."""
