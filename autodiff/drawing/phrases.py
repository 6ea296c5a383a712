"""What becomes of a gradient, in words: for rules whose formula has no notation, or is too long to be read."""

from __future__ import annotations

import re

import numpy as np

from autodiff.core.rule import Function, facts_of
from autodiff.drawing.text import function_name

_LIBRARIES = {"autodiff", "nn", "numpy", "scipy", "_operator", "builtins", ""}

# To be read after "g". Where it depends on the argument, one for each; in place of {} stands the argument's name.
_SLOPE = "times the slope in {}"
_PARTS = "along the deviations from the mean"
_PHRASES: dict[str, str | tuple[str, ...]] = {
    # Elements chosen and moved
    **dict.fromkeys(("max", "amax", "nanmax", "fmax.reduce"), "to the largest"),
    **dict.fromkeys(("min", "amin", "nanmin", "fmin.reduce"), "to the smallest"),
    "ptp": "to the largest, with a minus to the smallest",
    **dict.fromkeys(("median", "nanmedian"), "to the elements in the middle"),
    **dict.fromkeys(("quantile", "percentile", "nanquantile", "nanpercentile"), "to the elements it lies between"),
    **dict.fromkeys(("sort", "sort_complex", "partition"), "back to the places before the sorting"),
    **dict.fromkeys(
        ("take", "getitem", "take_along_axis", "gathered_rows", "compress", "extract"),
        "back to the places it was taken from",
    ),
    "where": ("", "where the condition holds", "where the condition does not hold"),
    "select": ("", "where its condition is the first to hold", "where no condition holds"),
    "choose": "where it was chosen",
    "pick": "to its place among the outputs",
    "set_at": ("where nothing was set", "from the places it was set at"),
    "multiply_at": ("times the factors", "times what was there"),
    "delete": "back to the places that were kept",
    "repeat": "summed over the copies",
    "insert": ("from the places it was moved to", "from the places it was inserted at"),
    "pad": "from inside, and from the border to its origin",
    "bincount": "from the bin it was counted in",
    "summed_rows": "from the row it was added to",
    "sliding_window_view": "summed over all windows an element is in",
    **dict.fromkeys(("trace", "diagonal", "diag"), "to the diagonal"),
    **dict.fromkeys(("concatenate", "stack"), "from its own part"),
    # Sums and products
    **dict.fromkeys(("sum", "nansum", "total"), "to every element that was added"),
    **dict.fromkeys(("mean", "nanmean"), "in equal shares to every element averaged"),
    "average": ("in shares of the weights", "along the deviations from the average"),
    **dict.fromkeys(("std", "nanstd", "var", "nanvar", "cov", "corrcoef"), _PARTS),
    "standardized": "minus its mean and its part along the output",
    **dict.fromkeys(("cumsum", "nancumsum", "cumulative_sum", "add.accumulate"), "summed from the end"),
    **dict.fromkeys(("prod", "nanprod"), "times the product of all others"),
    **dict.fromkeys(
        ("cumprod", "nancumprod", "cumulative_prod", "multiply.accumulate"),
        "times the others, summed from the end",
    ),
    **dict.fromkeys(("logsumexp", "logaddexp.reduce"), "in shares of the exponentials"),
    **dict.fromkeys(("diff", "ediff1d", "gradient"), "back to the elements it is the difference of"),
    "trapezoid": ("in shares of the widths", "times the heights on both sides"),
    "interp": ("times the slope there", "times minus the slope, to both ends", "to both ends, in shares of nearness"),
    "linspace": "in shares of the nearness to it",
    **dict.fromkeys(("logspace", "geomspace"), f"{_SLOPE}, summed"),
    **dict.fromkeys(("dot", "inner", "vdot", "vecdot", "kron", "tensordot", "matmul"), "times the other"),
    "einsum": "back along its own indices, times the others",
    "multi_dot": "times the others",
    "outer": f"{_SLOPE}, summed",
    "cross": "crossed with the other",
    **dict.fromkeys(("convolve", "fftconvolve", "correlate"), "slid along the other"),
    # Polynomials
    "poly": "by the products of the other factors",
    "polyder": "times the exponents, one place back",
    "polyint": "over the exponents, one place back",
    "polyval": ("times the powers", "times the slope of the polynomial"),
    "vander": "times the slopes of the powers",
    # Transforms
    **dict.fromkeys(
        (f"{inverse}{kind}" for kind in ("fft", "rfft", "hfft", "dct", "dst") for inverse in ("", "i")),
        "by the transposed transform",
    ),
    # Matrices
    "det": "times the cofactors",
    "slogdet": "times the transposed inverse",
    **dict.fromkeys(("norm", "vector_norm", "matrix_norm"), "in the direction in which the norm grows"),
    "cond": "along its norm, and along that of the inverse",
    "matrix_power": "times the powers on both sides of each factor",
    "inv": "times the inverse on both sides, with a minus",
    "pinv": "by the pseudoinverse on both sides",
    **dict.fromkeys(
        ("solve", "tensorsolve", "solve_triangular", "solve_banded", "cho_solve", "solve_sylvester"),
        "by the system solved with the transpose",
    ),
    "lstsq": "by least squares with the transpose",
    **dict.fromkeys(("cholesky", "cho_factor"), "by systems solved with the triangular factor"),
    "qr": "by systems solved with the triangle R",
    **dict.fromkeys(("eig", "eigh", "eigvals", "eigvalsh"), "by the eigenvectors"),
    "svd": "by the singular vectors",
    "expm": "by the derivative of the matrix exponential",
    "sqrtm": "by a Sylvester equation of the root",
    # Functions of each element that are no ufuncs, densities, and losses
    **dict.fromkeys(("sinc", "i0", "emath.logn", "emath.power", "gelu", "tanh_gelu", "silu"), _SLOPE),
    **dict.fromkeys(("pdf", "logpdf", "pmf", "logpmf", "cdf", "logcdf", "sf", "logsf"), _SLOPE),
    **dict.fromkeys(("inverse_mills", "power_product"), _SLOPE),
    "binary_cross_entropy": ("times the slope of the loss", "times the logit of the probability"),
    "cross_entropy": ("times softmax − target, for each row", "times −log_softmax, for each row"),
    "checkpoint": "back through its calls, which are computed anew",
}


def phrase(function: Function, position: int) -> str:
    """Say in words, after "g", what becomes of the gradient by an argument of a call.

    Args:
        function: the function that was called.
        position: of the argument, from zero.

    Returns:
        The words; in place of ``{}`` stands the argument's name.

    Example:
        >>> phrase(np.max, 0), phrase(np.where, 2)
        ('to the largest', 'where the condition does not hold')
    """
    name = re.sub("fft[2n]$", "fft", function_name(function))
    module = getattr(function, "__module__", None) or ""
    if module.partition(".")[0] in _LIBRARIES:
        words = _PHRASES.get(name) or _PHRASES.get(name.rpartition(".")[2])
        if words is not None:
            return words if isinstance(words, str) else words[min(position, len(words) - 1)]
        if facts_of(function).broadcasts or isinstance(function, np.ufunc):
            return _SLOPE
    return "by its rule"
