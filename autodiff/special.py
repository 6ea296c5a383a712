"""Functions that `scipy.special` has, but not in a way that a Tensor can go through; this module needs SciPy.

SciPy's ufuncs, such as ``scipy.special.gammaln``, take Tensors as they are. Its functions in Python that make plain
arrays of their arguments do not, and functions that only newer releases have are not there in older ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from autodiff.core.record import primitive
from autodiff.core.rule import Array

__all__ = ["polygamma", "softplus"]


@primitive
def polygamma(n: Any, x: Array) -> Any:
    """Derivative of order ``n`` of the digamma function at ``x``, as `scipy.special.polygamma`.

    Args:
        n: integers, not negative. They are not differentiated by.
        x: real numbers; those that are not positive must not be integers.

    Example:
        >>> polygamma(1, np.array([1.0, 2.0]))
        array([1.64493407, 0.64493407])
    """
    n = np.asarray(n)
    factor = (-1.0) ** (n + 1) * special.gamma(n + 1.0)
    return np.where(n == 0, special.digamma(x), factor * special.zeta(n + 1, x))


def softplus(x: Array) -> Any:
    """Smooth ``max(x, 0)``, ``log(1 + exp(x))``, without overflow; as `scipy.special.softplus` of SciPy 1.17.

    Example:
        >>> softplus(np.array([-1000.0, 0.0, 1000.0]))
        array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    return np.logaddexp(0, x)
