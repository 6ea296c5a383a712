"""The core: what is known of a function, the walk back, how a call becomes a Tensor, and the Tensor."""
