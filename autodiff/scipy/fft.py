"""`scipy.fft`: discrete cosine and sine transforms.

A transform is linear, so a gradient goes back through its transpose. That of type II is of type III, and the other way
round; those of types I and IV are of their own. Where the matrix is no multiple of an orthogonal one, some elements at
the ends count twice, and the transpose counts them on the other side.

Example:
    >>> from autodiff.scipy import fft
    >>> x = ad.Tensor([1.0, 2.0, 4.0])
    >>> y = fft.dct(x, norm="ortho")
    >>> np.square(y).sum().backward()
    >>> x.grad.round(6), fft.idct(y, norm="ortho").data.round(6)
    (array([2., 4., 8.]), array([1., 2., 4.]))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from scipy import fft

from autodiff.batching.table import defbatch
from autodiff.core.rule import Array, defvjp
from autodiff.rules.fourier import of_length
from autodiff.scipy.callbacks import joined
from autodiff.scipy.calls import call_of_arrays

__all__ = ["dct", "dctn", "dst", "dstn", "idct", "idctn", "idst", "idstn"]

_INVERSE_TYPES = {1: 1, 2: 3, 3: 2, 4: 4}  # and those of the transposes
_INVERSE_NORMS = {None: "forward", "backward": "forward", "forward": "backward"}
# Transform and type: which elements of the argument of the transpose count twice, and of its result half.
_TWICE = {("dct", 1): (0, -1), ("dct", 2): (0,), ("dst", 2): (-1,)}
_HALF = {("dct", 1): (0, -1), ("dct", 3): (0,), ("dst", 3): (-1,)}
_TITLES = {"dct": "Discrete cosine transform", "dst": "Discrete sine transform"}
_TITLES |= {f"i{name}": f"Inverse {title.lower()}" for name, title in _TITLES.items()}
_DOC = """{title}, as `scipy.fft.{name}`.

Args:
    x: an array.
    type: 1 to 4.
    {lengths}
    norm: "ortho", "forward" or "backward", as which None counts.
    overwrite_x: without effect: what is differentiated is not written into.
    workers: how many threads work.
    orthogonalize: make the matrix a multiple of an orthogonal one; by default with "ortho" only.
"""
_N = """n: the length along the axis, to which the array is cut, or filled with zeros.
    axis: along which axis."""
_S = """s: lengths along the axes, to which the array is cut, or filled with zeros; -1 leaves one as it is.
    axes: along which axes; by default all, or as many of the last as ``s`` has lengths."""


def __getattr__(name: str) -> Any:
    return getattr(fft, name)


def _call(name: str) -> Callable[..., Any]:
    """Make a transform one call on the tape; its axes are counted from the last, so that a batch may stand first."""
    scipys = getattr(fft, f"{name}n")

    def transform(x: Array, type: int, axes: tuple[int, ...], norm: Any, orthogonalize: Any, workers: Any) -> Any:
        return scipys(x, type, None, axes, norm, False, workers, orthogonalize=orthogonalize)

    def transposed(
        g: Array, out: Array, x: Array, type: int, axes: tuple[int, ...], norm: Any, orthogonalize: Any, workers: Any
    ) -> Array:
        is_orthogonal = norm == "ortho" if orthogonalize is None else orthogonalize
        twice, half = ((), ()) if is_orthogonal else (_TWICE.get((name, type), ()), _HALF.get((name, type), ()))
        g = call(_weighted(g, axes, twice, 2.0), _INVERSE_TYPES[type], axes, norm, orthogonalize, workers)
        return _weighted(g, axes, half, 0.5)

    transform.__name__ = name
    call = call_of_arrays(transform)
    defvjp(call, transposed)
    defbatch(call, lambda batched, *args: call(*args))
    return call


_CALLS = {name: _call(name) for name in ("dct", "dst")}


def _weighted(x: Array, axes: Sequence[int], elements: Sequence[int], weight: float) -> Array:
    """Multiply some elements along each axis by a weight."""
    for axis in axes if elements else ():
        weights = np.ones(x.shape[axis], x.dtype)
        weights[list(elements)] = weight
        x = x * np.reshape(weights, (-1,) + (1,) * (-1 - axis))
    return x


def _transformed(
    name: str, x: Array, type: int, s: Any, axes: Any, norm: Any, workers: Any, orthogonalize: bool | None
) -> Any:
    """Cut the array, or fill it with zeros, to the lengths along the axes, and transform it."""
    x = joined(x)
    if axes is None:
        axes = range(-x.ndim if s is None else -np.size(s), 0)
    axes = tuple(axis - x.ndim for axis in normalize_axis_tuple(axes, x.ndim))
    sizes = [-1] * len(axes) if s is None else [operator.index(size) for size in np.atleast_1d(s)]
    if len(sizes) != len(axes):
        raise ValueError(f"{name}: s has {len(sizes)} lengths for {len(axes)} axes")
    for axis, size in zip(axes, sizes, strict=True):
        size = x.shape[axis] if s is None or (size == -1 and name.endswith("n")) else size
        if size < 1:
            raise ValueError(f"{name}: invalid number of data points ({size}) specified")
        x = of_length(x, size, axis)
    if not axes:
        return x
    if name.startswith("i"):
        type, norm = _INVERSE_TYPES.get(type, type), _INVERSE_NORMS.get(norm, norm)
    if x.dtype.kind == "c":
        orthogonalize = None  # which SciPy does not heed either
    return _CALLS[name.strip("in")](x, type, axes, norm, orthogonalize, workers)


def _of_one_axis(name: str) -> Callable[..., Any]:
    def transform(
        x: Array,
        type: int = 2,
        n: int | None = None,
        axis: int = -1,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        orthogonalize: bool | None = None,
    ) -> Any:
        return _transformed(name, x, type, n, axis, norm, workers, orthogonalize)

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = _DOC.format(title=_TITLES[name], name=name, lengths=_N)
    return transform


def _of_axes(name: str) -> Callable[..., Any]:
    def transform(
        x: Array,
        type: int = 2,
        s: Any = None,
        axes: Any = None,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        orthogonalize: bool | None = None,
    ) -> Any:
        return _transformed(name, x, type, s, axes, norm, workers, orthogonalize)

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = _DOC.format(title=f"{_TITLES[name[:-1]]} along several axes", name=name, lengths=_S)
    return transform


dct, dst, idct, idst = map(_of_one_axis, _TITLES)
dctn, dstn, idctn, idstn = (_of_axes(f"{name}n") for name in _TITLES)
