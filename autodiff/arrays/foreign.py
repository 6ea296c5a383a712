"""Arrays of other libraries: which are taken in as NumPy's, which pass as they are, and which are refused by name.

Python's operators are short for NumPy's functions only where the two agree. A matrix multiplies with ``*``, a masked
array leaves elements out, a labelled one is aligned by its labels: beside a plain array, none of them would compute
what a derivative rule says.
"""

from __future__ import annotations

import copy
import functools
from collections import UserList, deque
from typing import Any

import numpy as np

# Types of arguments that are nothing else than they look.
PLAIN = frozenset({np.ndarray, float, int, bool, type(None), str, slice, *np.sctypeDict.values()})
_CONTAINERS = {list, tuple, deque, UserList}
_LIBRARIES = {"numpy", "pandas", "scipy", "torch", "xarray"}
_WAYS_OUT = {
    "matrix": "its * is a matrix product; give np.asarray of it",
    "masked": "its mask would be lost; use its .data, and np.where with its .mask",
    "subclass": "it may compute in its own way; give np.asarray of it",
    "xarray": "its labels would be lost; give its .to_numpy()",
    "sparse": "its operators are not NumPy's; write x @ A or A @ x, or give A.toarray()",
    "stranger": "it does not take NumPy's functions; give np.asarray of it",
}


def taken_in(x: Any, caller: str) -> Any:
    """Give an argument as what a derivative rule can compute with: tables as arrays, all but containers as it is.

    Containers are copied, at any depth, since a caller may change them before the rule runs.

    Args:
        x: an array of any kind, or something else.
        caller: what a message begins with.

    Raises:
        TypeError: it is of a kind that computes in another way than NumPy's arrays do, or a table with other columns
            than numbers.

    Example:
        >>> taken_in(np.ma.array([1.0], mask=[True]), "multiply")
        Traceback (most recent call last):
        TypeError: multiply: a numpy.MaskedArray cannot be used with Tensors: its mask would be lost; use its .data...
    """
    if type(x) in _CONTAINERS or isinstance(x, dict | tuple):
        return _contents(x, caller)
    kind = _kind(type(x))  # type: ignore[arg-type] # mypy doubts that a type has a hash
    if kind == "plain":
        return x
    if kind == "table":
        array = x.to_numpy()
        if array.dtype.kind == "O":
            raise TypeError(f"{caller}: a {_name(type(x))} of other things than numbers cannot be used with Tensors")
        return array
    raise TypeError(f"{caller}: a {_name(type(x))} cannot be used with Tensors: {_WAYS_OUT[kind]}")


def _contents(x: Any, caller: str) -> Any:
    if isinstance(x, dict):
        (same := copy.copy(x)).update({key: taken_in(value, caller) for key, value in x.items()})
        return same
    make = getattr(x, "_make", type(x))  # of a named tuple
    return make(one if type(one) in PLAIN else taken_in(one, caller) for one in x)


def other_array(x: Any) -> str | None:
    """Name the kind of an array that is not one of NumPy's own.

    Example:
        >>> other_array(np.ones(2))
        >>> from scipy.sparse import csr_array
        >>> other_array(csr_array(np.eye(2)))
        'scipy.csr_array'
    """
    of = type(x)
    is_array = hasattr(of, "__array__") or hasattr(of, "__array_function__") or is_sparse(x)
    is_numpys = isinstance(x, np.ndarray | np.generic)
    return f"{of.__module__.partition('.')[0]}.{of.__name__}" if is_array and not is_numpys else None


def is_of_unknown_shape(x: Any) -> bool:
    """Whether an array does not know how long it is, as one of Dask that was selected by its own elements."""
    return type(x) is not np.ndarray and any(size != size for size in getattr(x, "shape", None) or ())


def refuse_unknown_shape(caller: str, x: Any) -> None:
    """Refuse an array that does not know its shape, through which no gradient finds its way back.

    Raises:
        NotImplementedError: it is one, with what to do about it.
    """
    if is_of_unknown_shape(x):
        raise NotImplementedError(
            f"{caller}: an array of unknown shape {x.shape} cannot be differentiated: write np.where(mask, x, 0) for "
            "x[mask], or let Dask find the shape out, by compute_chunk_sizes()"
        )


def is_sparse(x: Any) -> bool:
    """Whether something is a sparse array or matrix of SciPy's."""
    return _kind(type(x)) == "sparse"  # type: ignore[arg-type]


def meaning_else(x: Any) -> str | None:
    """Say what an array is, and the way out, if an array of its numbers would mean something else.

    Example:
        >>> meaning_else(np.ones(2))
        >>> meaning_else(np.ma.array([1.0, 2.0], mask=[False, True]))
        'a numpy.MaskedArray: its mask would be lost; use its .data, and np.where with its .mask'
    """
    kind = _kind(type(x))  # type: ignore[arg-type]
    return f"a {_name(type(x))}: {_WAYS_OUT[kind]}" if kind in ("matrix", "masked", "sparse") else None


@functools.lru_cache(maxsize=256)  # types come and go too
def _kind(of: type) -> str:
    libraries = {base.__module__.partition(".")[0] for base in of.__mro__}
    if issubclass(of, np.ndarray):
        if issubclass(of, np.matrix):
            return "matrix"
        if issubclass(of, np.ma.MaskedArray):
            return "masked"
        return "plain" if of in (np.ndarray, np.memmap) else "subclass"
    if "pandas" in libraries and hasattr(of, "to_numpy"):
        return "table"
    if "xarray" in libraries:
        return "xarray"
    if "scipy" in libraries and hasattr(of, "tocsr"):
        return "sparse"
    is_stranger = hasattr(of, "dtype") and not hasattr(of, "__array_function__") and not issubclass(of, np.generic)
    return "stranger" if is_stranger else "plain"


def _name(of: type) -> str:
    library = of.__module__.partition(".")[0]
    return f"{library}.{of.__name__}" if library in _LIBRARIES else of.__qualname__
