"""What gradients need of SciPy beyond its ufuncs, under SciPy's own names of modules and functions.

Each function gives what SciPy's gives on arrays, by calling it, and a Tensor on Tensors: a program changes an import.
What a module does not have itself, ``autodiff.scipy.special.gammaln`` say, is SciPy's.

Example:
    >>> from autodiff.scipy import special
    >>> x = ad.Tensor([0.0, 0.0])
    >>> special.logsumexp(x).backward()
    >>> x.grad
    array([0.5, 0.5])
"""

import importlib
from typing import Any

from autodiff.extras import install

try:
    importlib.import_module("scipy")
except ImportError as error:
    raise ImportError(f"autodiff.scipy needs SciPy: {install('special')}") from error

_MODULES = ("fft", "integrate", "linalg", "optimize", "signal", "special", "stats")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"autodiff.scipy.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*_MODULES, "__doc__"]
