"""Functions that make arrays from numbers, which may be Tensors."""

from functools import wraps
from typing import Any

import numpy as np

from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import unbroadcast
from autodiff.rules.elementwise import through
from autodiff.transforms.composition import defcomposition


def _linspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """``start + k step`` for ``k`` from 0, where the step is ``(stop - start) / intervals``."""
    intervals = num - 1 if endpoint else num
    t = np.reshape(np.arange(num) / max(1, intervals), (num,) + (1,) * np.ndim(start + stop))
    points = through(np.moveaxis(start + t * (stop - start), 0, axis), dtype)
    step = (stop - start) / intervals if intervals > 0 else np.nan
    return (points, step) if retstep else points


def _logspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    base: Array = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    if np.ndim(base):
        start, base = start + np.zeros_like(base), np.expand_dims(base, axis)
    return through(base ** _linspace(start, stop, num, endpoint, axis=axis), dtype)


def _geomspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Array:
    """``start (stop / start)^t``, which has a derivative for negative ends too."""
    t = np.reshape(_linspace(0.0, 1.0, num, endpoint), (num,) + (1,) * np.ndim(start * stop))
    return through(np.moveaxis(start * (stop / start) ** t, 0, axis), dtype)


def _full_like(
    g: Array,
    out: Array,
    a: Array,
    fill_value: Array,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Array:
    return unbroadcast(through(g, dtype), np.shape(fill_value))


defcomposition(np.linspace, _linspace, arguments=2)
defcomposition(np.logspace, _logspace, arguments=5)
defcomposition(np.geomspace, _geomspace, arguments=2)
defvjp(np.full_like, wraps(_full_like)(lambda g, out, a, *rest, **options: np.zeros_like(a)), _full_like)
