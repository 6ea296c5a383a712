"""`scipy.signal`: convolutions of arrays of any number of axes.

A sum of products has as its gradients the other array's correlations with that of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal

from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import conj, unbroadcast
from autodiff.core.tensor import as_array
from autodiff.scipy.calls import call_of_arrays
from autodiff.transforms.composition import defcomposition

__all__ = ["convolve", "correlate", "fftconvolve"]

Axes = Sequence[Sequence[int]]


def __getattr__(name: str) -> Any:
    return getattr(signal, name)


def convolve(
    in1: Array,
    in2: Array,
    mode: Any = "full",
    method: Any = "auto",
    *,
    axes: Axes | None = None,
    dot_axes: Axes = ((), ()),
) -> Any:
    """Convolution of two arrays, as `scipy.signal.convolve`; along some of their axes, as HIPS autograd has it.

    Args:
        in1: an array.
        in2: another, of as many axes unless some are given.
        mode: "full" for all of it, "valid" for the part in which no zeros were added, "same" for the middle, of the
            shape of ``in1``.
        method: "direct", "fft", or "auto" for the faster one; along some axes it is always direct.
        axes: along which axes of the first array, and which of the second. All others are combined with each other:
            the result has those of the first, those of the second, and then those of the convolution.
        dot_axes: axes of the first and of the second array whose products are summed instead.

    Raises:
        ValueError: the arrays do not fit each other, or the axes.

    Example:
        >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
        array([ 1., 12., 23., 30.])
        >>> images, filters = np.ones((8, 3, 28, 28)), np.ones((3, 16, 5, 5))
        >>> convolve(images, filters, "valid", axes=([2, 3], [2, 3]), dot_axes=([1], [0])).shape
        (8, 16, 24, 24)
    """
    if axes is None and not any(map(len, dot_axes)):
        return _convolve(in1, in2, mode, method)
    return _convolve_along(as_array(in1), as_array(in2), mode, axes, dot_axes)


@call_of_arrays
def _convolve(in1: Array, in2: Array, mode: Any, method: Any) -> Any:
    return signal.convolve(in1, in2, mode, method)


def _convolve_along(a: Array, b: Array, mode: str, axes: Axes | None, dot_axes: Axes) -> Array:
    """Find out which array is the longer, and convolve."""
    call = f"convolve of shapes {a.shape} and {b.shape}: axes={axes} and dot_axes={dot_axes}"
    try:
        along, dot = (
            [normalize_axis_tuple(its, x.ndim) for its, x in zip(pair, (a, b), strict=True)]
            for pair in (axes or (range(a.ndim), range(b.ndim)), dot_axes)
        )
        used = [normalize_axis_tuple((*its, *others), 99) for its, others in zip(along, dot, strict=True)]
        lengths, sums = ([(a.shape[i], b.shape[j]) for i, j in zip(*its, strict=True)] for its in (along, dot))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{call} must be pairs of lists of as many axes, none of them twice: {error}") from None
    if any(m != n for m, n in sums) or not all(map(all, lengths)):
        raise ValueError(f"{call}: what is summed over must be as long in both, and what is convolved not empty")
    is_longer = all(m >= n for m, n in lengths)
    if mode not in ("full", "same", "valid") or (mode == "valid" and not is_longer and any(m > n for m, n in lengths)):
        raise ValueError(f"{call}: mode={mode!r} is not possible")
    if is_longer:
        out = _of_windows(b, a, along[::-1], dot[::-1], mode)
        rest = [x.ndim - len(its) for x, its in zip((a, b), used, strict=True)]
        out = np.moveaxis(out, range(rest[1]), range(rest[0], sum(rest)))
    else:
        out = _of_windows(a, b, along, dot, mode)
    if mode == "same":
        out = out[(..., *(slice((n - 1) // 2, (n - 1) // 2 + m) for m, n in lengths))]
    return out


def _of_windows(a: Array, b: Array, along: Any, dot: Any, mode: str) -> Array:
    """Cut the longer array, ``b``, into windows of the other's lengths, and sum products with the other, reversed."""
    lengths = [a.shape[axis] for axis in along[0]]
    if mode != "valid":
        widths = dict(zip(along[1], lengths, strict=True))
        b = np.pad(b, [(widths.get(axis, 1) - 1,) * 2 for axis in range(b.ndim)])
    windows = sliding_window_view(b, lengths, axis=along[1])
    within = range(b.ndim, windows.ndim)
    out = np.tensordot(np.flip(a, along[0]), windows, ((*along[0], *dot[0]), (*within, *dot[1])))
    left = [axis for axis in range(b.ndim) if axis not in dot[1]]
    first = out.ndim - len(left)
    return np.moveaxis(out, [first + left.index(axis) for axis in along[1]], range(-len(lengths), 0))


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


@call_of_arrays
def correlate(in1: Array, in2: Array, mode: Any = "full", method: Any = "auto") -> Any:
    """Convolution with the second array reversed, and conjugated, as `scipy.signal.correlate`, whose arguments it has.

    Example:
        >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
        array([10., 21., 32., 3.])
    """
    return signal.correlate(in1, in2, mode, method)


def _whole(g: Array, a: Array, b: Array, mode: str, along: tuple[int, ...]) -> Array:
    """Put the gradient of a part of the convolution where that part lies in the whole."""
    widths = []
    for axis, size in enumerate(g.shape):
        m, n = np.shape(a)[axis], np.shape(b)[axis]
        full = m + n - 1 if axis in along else max(m, n)
        start = {"full": 0, "same": (full - size) // 2, "valid": min(m, n) - 1 if axis in along else 0}[mode]
        widths.append((start, full - size - start))
    return np.pad(g, widths)


def _convolve_a(g: Array, out: Array, a: Array, b: Array, mode: Any, method: Any) -> Array:
    """The correlation with the other array."""
    if np.ndim(b) == 0 or not np.size(out):
        return g * b if np.ndim(b) == 0 else np.zeros_like(a)
    return _convolve(_whole(g, a, b, mode, tuple(range(g.ndim))), np.flip(b), "valid", method)


def _fftconvolve_a(g: Array, out: Array, a: Array, b: Array, mode: Any = "full", axes: Any = None) -> Array:
    if np.ndim(b) == 0 or not np.size(out):
        return g * b if np.ndim(b) == 0 else np.zeros_like(a)
    along = normalize_axis_tuple(range(g.ndim) if axes is None else axes, g.ndim)
    return unbroadcast(fftconvolve(_whole(g, a, b, mode, along), np.flip(b, along), "valid", along), np.shape(a))


def _correlate(in1: Array, in2: Array, mode: Any = "full", method: Any = "auto") -> Array:
    return _convolve(in1, conj(np.flip(in2)), mode, method)


defvjp(_convolve, _convolve_a, lambda g, out, in1, in2, mode, method: _convolve_a(g, out, in2, in1, mode, method))
defvjp(
    fftconvolve,
    _fftconvolve_a,
    lambda g, out, in1, in2, mode="full", axes=None: _fftconvolve_a(g, out, in2, in1, mode, axes),
)
defcomposition(correlate, _correlate, arguments=2)
