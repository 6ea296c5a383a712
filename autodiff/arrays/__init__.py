"""Functions of arrays that NumPy lacks, in plain NumPy: nothing in this room knows of Tensors."""
