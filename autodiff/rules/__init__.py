"""The calculus: for each NumPy function its vector-Jacobian products, one file a family of functions.

Read a line ``defvjp(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)`` as: if a small change of the
output is worth ``g``, then a small change of ``x`` is worth ``g * y``, and one of ``y`` is worth ``g * x``.

The rules of SciPy's functions, in ``special``, are loaded when one of these functions meets a Tensor.
"""

from autodiff.rules import (
    creation,
    decompositions,
    elementwise,
    facts,
    fourier,
    indexing,
    linalg,
    numerics,
    reductions,
    shape,
    spectra,
)

__all__ = [
    "creation",
    "decompositions",
    "elementwise",
    "facts",
    "fourier",
    "indexing",
    "linalg",
    "numerics",
    "reductions",
    "shape",
    "spectra",
]
