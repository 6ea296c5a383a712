"""`scipy.signal`: convolutions of arrays of any number of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal

from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import unbroadcast
from autodiff.scipy.calls import call_of_arrays
from autodiff.transforms.composition import defcomposition

__all__ = ["convolve", "correlate", "fftconvolve"]


def __getattr__(name: str) -> Any:
    return getattr(signal, name)


@call_of_arrays
def convolve(in1: Array, in2: Array, mode: Any = "full", method: Any = "auto") -> Any:
    """Convolution of two arrays with as many axes as each other, as `scipy.signal.convolve`.

    A sum of products has as its gradients the other array's correlations with that of the result.

    Args:
        in1: an array.
        in2: another.
        mode: "full" for all of it, "valid" for the part in which no zeros were added, "same" for the middle, of the
            shape of ``in1``.
        method: "direct", "fft", or "auto" for the faster one.

    Example:
        >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
        array([ 1., 12., 23., 30.])
    """
    return signal.convolve(in1, in2, mode, method)


@call_of_arrays
def fftconvolve(in1: Array, in2: Array, mode: Any = "full", axes: Any = None) -> Any:
    """Convolution by Fourier transforms along some axes, as `scipy.signal.fftconvolve`.

    Args:
        in1: an array.
        in2: another.
        mode: as for `convolve`.
        axes: along which axes, if not all; the arrays broadcast along the others.

    Example:
        >>> fftconvolve(np.array([[1.0, 2.0]]), np.array([[1.0], [0.5]]), axes=1)
        array([[1. , 2. ], [0.5, 1. ]])
    """
    return signal.fftconvolve(in1, in2, mode, axes)


def _whole(g: Array, a: Array, b: Array, mode: str, axes: tuple[int, ...]) -> Array:
    """Put the gradient of a part of the convolution where that part lies in the whole."""
    widths = []
    for axis, size in enumerate(g.shape):
        m, n = np.shape(a)[axis], np.shape(b)[axis]
        full = m + n - 1 if axis in axes else max(m, n)
        start = {"full": 0, "same": (full - size) // 2, "valid": min(m, n) - 1 if axis in axes else 0}[mode]
        widths.append((start, full - size - start))
    return np.pad(g, widths)


def _axes(axes: Any, ndim: int) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(ndim))
    return tuple(int(axis) % ndim for axis in ([axes] if isinstance(axes, int | np.integer) else axes))


def _convolve(g: Array, out: Array, a: Array, b: Array, mode: Any = "full", method: Any = "auto") -> Array:
    """The gradient by ``a``: the correlation with ``b``."""
    if np.ndim(b) == 0:
        return g * b
    return convolve(_whole(g, a, b, mode, _axes(None, g.ndim)), np.flip(b), "valid", method)


def _fftconvolve(g: Array, out: Array, a: Array, b: Array, mode: Any = "full", axes: Any = None) -> Array:
    if np.ndim(b) == 0:
        return g * b
    along = _axes(axes, g.ndim)
    return unbroadcast(fftconvolve(_whole(g, a, b, mode, along), np.flip(b, along), "valid", along), np.shape(a))


@call_of_arrays
def correlate(in1: Array, in2: Array, mode: Any = "full", method: Any = "auto") -> Any:
    """Convolution with the second array reversed, as `scipy.signal.correlate`; arguments as for `convolve`.

    Example:
        >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
        array([10., 21., 32., 3.])
    """
    return signal.correlate(in1, in2, mode, method)


def _correlate(in1: Array, in2: Array, mode: Any = "full", method: Any = "auto") -> Array:
    return convolve(in1, np.flip(in2), mode, method)


defvjp(
    convolve,
    _convolve,
    lambda g, out, in1, in2, mode="full", method="auto": _convolve(g, out, in2, in1, mode, method),
)
defvjp(
    fftconvolve,
    _fftconvolve,
    lambda g, out, in1, in2, mode="full", axes=None: _fftconvolve(g, out, in2, in1, mode, axes),
)
defcomposition(correlate, _correlate, arguments=2)
