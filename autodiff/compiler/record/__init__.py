"""A step runs on recording arrays, which write down every NumPy call; `gradients.record` makes its program of them."""
