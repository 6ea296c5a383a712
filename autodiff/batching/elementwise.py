"""Functions that act on each element by itself: on a batch, they are themselves."""

from typing import Any

import numpy as np

from autodiff.batching.array import Level
from autodiff.batching.table import (
    METHODS,
    Args,
    Options,
    as_composition,
    enter,
    lined_up,
    of_each_element,
    of_first,
    wrapped,
)
from autodiff.core.rule import Array, Function
from autodiff.core.tensor import as_array

# Ufuncs need no word, SciPy's neither: their rules are made when they are met.
of_each_element(np.nan_to_num, np.real, np.imag, np.angle, np.fix, np.round, np.around, np.sinc, np.i0, np.copy)
of_each_element(np.clip, np.isclose, np.iscomplex, np.isreal, np.isneginf, np.isposinf)
of_each_element(*(getattr(np.emath, name) for name in np.lib.scimath.__all__))
of_first(np.astype, lambda x, *args, **options: np.astype(x, *args, **options))
of_first(np.isin, lambda x, *args, **options: np.isin(x, *args, **options))
of_first(np.digitize, lambda x, *args, **options: np.digitize(x, *args, **options))
as_composition(np.allclose, lambda a, b, *args, **options: np.all(np.isclose(a, b, *args, **options)))


def _where(level: Level, args: Args, kwargs: Options) -> Any:
    """Choose each element; of the condition alone, it is `nonzero`."""
    return wrapped(np.where(*lined_up(args, level)), level) if len(args) == 3 else NotImplemented


enter(np.where, _where)


def _outer(function: Function) -> None:
    ufunc: Any = function.__self__  # type: ignore[attr-defined]

    def outer(x: Array, y: Array, **options: Any) -> Any:
        x, y = as_array(x), as_array(y)
        return ufunc(np.reshape(x, (*x.shape, *(1,) * y.ndim)), y, **options)

    as_composition(function, outer)


METHODS["outer"] = _outer
