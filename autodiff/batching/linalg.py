"""Products of vectors, matrices and stacks of them, and decompositions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from autodiff.batching.array import RULES, Batched, Level
from autodiff.batching.table import batched
from autodiff.core.rule import Array


def _matmul(level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Stacks broadcast as those of members do; a vector counts as a matrix of one row (x) or column (y)."""
    x, y = args
    is_row, is_column = np.ndim(x) == 1, np.ndim(y) == 1
    ndim = max(2, np.ndim(x), np.ndim(y))
    product = np.matmul(
        _stack(x, level, ndim, -2 if is_row else None), _stack(y, level, ndim, -1 if is_column else None)
    )
    product = product[..., 0] if is_column else product
    if is_row:
        product = product[..., 0] if is_column else product[..., 0, :]
    return Batched(product, level)


def _stack(x: Array, level: Level, ndim: int, axis: int | None) -> Array:
    """Give a matrix, or a stack of as many axes as others have, for all members; a vector gets one more axis."""
    has_batch = batched(x, level)
    array = x.array if has_batch else x
    array = array if axis is None else np.expand_dims(array, axis)
    missing = ndim + 1 - array.ndim
    if not has_batch or not missing:
        return array
    return np.reshape(array, (level.size, *(1,) * missing, *array.shape[1:]))


RULES[np.matmul] = _matmul
