"""Functions that make arrays from numbers, or turn halves of an axis around: what is given to them may be a Tensor."""

from typing import Any

import numpy as np

from autodiff.composition import defcomposition
from autodiff.core.rule import defvjp
from autodiff.core.tape import unbroadcast


def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, axis: int = 0) -> Any:
    """``start + k (stop - start) / intervals`` for ``k`` from 0."""
    steps = np.arange(num) / max(1, num - 1 if endpoint else num)
    ndim = np.ndim(start + stop)
    return np.moveaxis(start + np.reshape(steps, (num,) + (1,) * ndim) * (stop - start), 0, axis)


def _logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: float = 10.0, *, axis: int = 0) -> Any:
    return base ** _linspace(start, stop, num, endpoint, axis=axis)


def _geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, axis: int = 0) -> Any:
    """``start (stop / start)^t``, which has a derivative for negative ends too."""
    steps = _linspace(0.0, 1.0, num, endpoint)
    ndim = np.ndim(start * stop)
    return np.moveaxis(start * (stop / start) ** np.reshape(steps, (num,) + (1,) * ndim), 0, axis)


defcomposition(np.linspace, _linspace, arguments=2)
defcomposition(np.logspace, _logspace, arguments=2)
defcomposition(np.geomspace, _geomspace, arguments=2)
defvjp(
    np.full_like,
    lambda g, out, a, fill_value: np.zeros_like(a),
    lambda g, out, a, fill_value: unbroadcast(g, np.shape(fill_value)),
)
defvjp(np.fft.fftshift, lambda g, out, x, axes=None: np.fft.ifftshift(g, axes))
defvjp(np.fft.ifftshift, lambda g, out, x, axes=None: np.fft.fftshift(g, axes))
