"""Arrays that are computed later, block by block, as Dask's are: what must be said of their blocks to be said at all.

NumPy's functions reach them by NumPy's protocols. What looks into an array, as a check of labels does, would compute
it, and so becomes a part of the computation; this room is the only one that uses methods which Dask's arrays have and
NumPy's have not, and nothing here computes anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.arrays.placement import scatter_add
from autodiff.arrays.whole import held_as, innermost, is_lazy


def lazily(x: Any, *others: Any) -> Any:
    """Give an array as a lazy one if one of the others is; what is in memory is copied then.

    Example:
        >>> lazily(np.ones(2), np.zeros(2))
        array([1., 1.])
    """
    like = next(filter(is_lazy, others), None)
    return x if like is None or is_lazy(x) else np.asarray(x, like=like)


def checked(x: Any, check: Callable[..., None], *args: Any) -> Any:
    """Give an array after a check, which raises where something is wrong; of a lazy array, when that is computed.

    Args:
        x: an array, also of a batch, whose members are checked together if they are lazy.
        check: is given an array, which may be a block of ``x``, and ``args``.
        args: anything else; a lazy array among them must be a number.

    Example:
        >>> checked(np.array([1.0]), print, "has no sign")
        [1.] has no sign
        array([1.])
    """
    inner = innermost(x)
    if is_lazy(inner):
        return held_as(inner.map_blocks(checked, check, *args, dtype=inner.dtype), x)
    check(x, *args)
    return x


def gathered_rows(table: Any, indices: Any) -> Any:
    """Give ``table[indices]``, of which one is lazy at least."""
    flat = np.ravel(lazily(indices, table))
    rows = np.take(lazily(table, indices), flat, axis=0)
    return rows if indices.ndim == 1 else np.reshape(rows, (*indices.shape, table.shape[1]))


def summed_rows(values: Any, indices: Any, count: int) -> Any:
    """Give a table of so many rows, in each the sum of the values that have its index; one of both is lazy at least.

    Each block of rows gives a table, so that the sum takes as many tasks as there are blocks.
    """
    values = np.reshape(lazily(values, indices), (-1, values.shape[-1]))
    flat: Any = np.ravel(lazily(indices, values))
    flat = flat.rechunk(values.chunks[:1])
    rows, columns = values.chunks
    tables = values.map_blocks(
        _table, flat[:, None], count, dtype=values.dtype, new_axis=1, chunks=((1,) * len(rows), (count,), columns)
    )
    return np.sum(tables, axis=0)


def _table(values: Any, indices: Any, count: int) -> Any:
    return scatter_add(values, indices[:, 0], (count, values.shape[1]))[None]


def uniform(rng: np.random.Generator, x: Any) -> Any:
    """Draw a number below 1 for each element of a lazy array, chunk by chunk, from a seed that the generator draws."""
    array: Any = importlib.import_module("dask.array")  # which is there, since x is
    draws = array.random.default_rng(int(rng.integers(2**63)))
    return draws.random(x.shape, chunks=x.chunks, dtype=np.float32)
