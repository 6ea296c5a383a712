"""`scipy.signal`: convolutions of arrays of any number of axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from scipy import signal

from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import unbroadcast
from autodiff.core.tensor import as_array
from autodiff.scipy.calls import call_of_arrays
from autodiff.transforms.composition import defcomposition

__all__ = ["convolve", "correlate", "fftconvolve"]


def __getattr__(name: str) -> Any:
    return getattr(signal, name)


def convolve(
    in1: Array, in2: Array, mode: Any = "full", method: Any = "auto", *, axes: Any = None, dot_axes: Any = None
) -> Any:
    """Convolution of two arrays, of all their axes as `scipy.signal.convolve`, or of some as HIPS autograd has it.

    A sum of products has as its gradients the other array's correlations with that of the result.

    Args:
        in1: an array.
        in2: another, with as many axes unless ``axes`` are given.
        mode: "full" for all of it, "valid" for the part in which no zeros were added, "same" for the middle, of the
            shape of ``in1``.
        method: "direct", "fft", or "auto" for the faster one. With ``axes`` it is direct.
        axes: a pair, of the axes of ``in1`` to convolve along and of those of ``in2``, in the same order.
        dot_axes: a pair, of axes of ``in1`` and those of ``in2`` to sum products over, as the channels of images.

    Returns:
        The convolution. With ``axes`` it has first the other axes of ``in1``, then those of ``in2``, each with each,
        and last those convolved along.

    Raises:
        TypeError: ``axes`` or ``dot_axes`` are no pair of lists, or ``dot_axes`` are given alone.
        ValueError: SciPy's own; or one of a pair has more axes than the other, or an axis is out of range or named
            twice, or lengths differ along ``dot_axes``, or in mode "valid" neither array is at least as long as the
            other along each axis.

    Example:
        >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
        array([ 1., 12., 23., 30.])
        >>> images, filters = np.ones((8, 3, 28, 28)), ad.Tensor(np.ones((3, 6, 5, 5)))
        >>> convolve(images, filters, axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid").shape
        (8, 6, 24, 24)
    """
    if axes is None and dot_axes is None:
        return _convolve(in1, in2, mode, method)
    if axes is None:
        raise TypeError("convolve: dot_axes= needs axes= beside it: along which axes to convolve")
    if mode not in _ZEROS or method == "fft":
        raise ValueError(
            'convolve: with axes=, mode must be "full", "same" or "valid", and the method cannot be "fft"; got '
            f"mode={mode!r}, method={method!r}"
        )
    return _along_axes(as_array(in1), as_array(in2), mode, axes, ((), ()) if dot_axes is None else dot_axes)


@call_of_arrays
def _convolve(in1: Array, in2: Array, mode: Any = "full", method: Any = "auto") -> Any:
    return signal.convolve(in1, in2, mode, method)


# How many zeros come before an axis, and behind it, if as many numbers of the other array meet there.
_ZEROS: dict[str, Callable[[int], tuple[int, int]]] = {
    "full": lambda size: (size - 1, size - 1),
    "same": lambda size: (size // 2, size - 1 - size // 2),
    "valid": lambda size: (0, 0),
}


def _along_axes(in1: Array, in2: Array, mode: str, axes: Any, dot_axes: Any) -> Array:
    """Let the second array, reversed, meet each window of the first."""
    for name, pair in (("axes", axes), ("dot_axes", dot_axes)):
        if not isinstance(pair, tuple | list) or not all(isinstance(one, Sequence) for one in pair):
            raise TypeError(f"convolve: {name}= must be a pair of lists of axes, one for each array, got {pair!r}")
        if len(pair) != 2 or len(pair[0]) != len(pair[1]):
            raise ValueError(f"convolve: {name}= must name as many axes of either array, got {pair!r}")
    count, both = len(axes[0]), zip((in1, in2), axes, dot_axes)
    named = [normalize_axis_tuple((*along, *dots), x.ndim, "convolve: axes") for x, along, dots in both]
    (along1, dots1), (along2, dots2) = [(numbers[:count], numbers[count:]) for numbers in named]
    if any(in1.shape[one] != in2.shape[other] for one, other in zip(dots1, dots2)):
        raise ValueError(
            f"convolve: axes whose products are summed must be of one length, got {in1.shape} and {in2.shape} with "
            f"dot_axes={dot_axes}"
        )
    sizes = [in2.shape[axis] for axis in along2]
    longer = [in1.shape[axis] - size for axis, size in zip(along1, sizes)]
    if mode == "valid" and min(longer, default=0) < 0:
        if max(longer) > 0:
            raise ValueError(
                'convolve: in mode "valid" one array must be at least as long as the other along each axis, got shapes '
                f"{in1.shape} and {in2.shape} along {axes}"
            )
        result = _along_axes(in2, in1, mode, axes[::-1], dot_axes[::-1])
        kept = in2.ndim - len(named[1])  # axes of the second array, which are to come behind those of the first
        last = result.ndim - count
        return np.moveaxis(result, range(kept), range(last - kept, last))
    widths = [(0, 0)] * in1.ndim
    for axis, size in zip(along1, sizes):
        widths[axis] = _ZEROS[mode](size)
    padded = in1 if mode == "valid" else np.pad(in1, widths)
    windows = np.lib.stride_tricks.sliding_window_view(padded, sizes, along1)
    within = range(in1.ndim, in1.ndim + count)
    result = np.tensordot(windows, np.flip(in2, along2), ((*dots1, *within), (*dots2, *along2)))
    kept_axes = [axis for axis in range(in1.ndim) if axis not in dots1]
    return np.moveaxis(result, [kept_axes.index(axis) for axis in along1], range(-count, 0))


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


def _of_convolve(g: Array, out: Array, a: Array, b: Array, mode: Any = "full", method: Any = "auto") -> Array:
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
    _convolve,
    _of_convolve,
    lambda g, out, in1, in2, mode="full", method="auto": _of_convolve(g, out, in2, in1, mode, method),
)
defvjp(
    fftconvolve,
    _fftconvolve,
    lambda g, out, in1, in2, mode="full", axes=None: _fftconvolve(g, out, in2, in1, mode, axes),
)
defcomposition(correlate, _correlate, arguments=2)
