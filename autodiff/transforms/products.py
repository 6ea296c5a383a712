"""Products of a Jacobian with all unit vectors: with a batch of them at once, or with one after the other."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from autodiff.arrays.whole import is_numpy
from autodiff.batching import vmap  # noqa: F401 (importing it fills the table)
from autodiff.batching.array import Batched, Level, outside
from autodiff.core.clock import tick
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.core.tensor import Tensor
from autodiff.transforms.run import Run

BYTES_AT_ONCE = 2**28  # of the function's values, times the unit vectors in a batch

Multiply = Callable[[Sequence[Any]], list[Any]]


def size(x: Array) -> int:
    """Count the elements of an array or number."""
    return math.prod(np.shape(x))


def products_with_unit_vectors(run: Run, multiply: Multiply, by: list[Any], began: int) -> list[list[Any]]:
    """Multiply by the unit vectors of some arrays, at once where all that takes part in it can be a batch."""
    if all(map(_is_numpys, (*by, *map(data_of, run.inputs), *map(data_of, run.outputs)))):
        # Whatever a rule raises that is not made for batches, it need not raise for arrays.
        with contextlib.suppress(Exception):
            return _at_once(run, multiply, by, began)
    return _one_by_one(multiply, by)


def _is_numpys(x: Array) -> bool:
    return is_numpy(x) or not hasattr(x, "dtype")


def _one_by_one(multiply: Multiply, by: list[Any]) -> list[list[Any]]:
    products = map(multiply, _unit_vectors(by))
    groups = [list(itertools.islice(products, size(array))) for array in by]
    return [list(map(np.stack, zip(*group, strict=True))) for group in groups]


def _unit_vectors(arrays: Sequence[Any]) -> Iterable[list[Any]]:
    """For each element of some arrays, give arrays like them that are one there and zero elsewhere."""
    for which, array in enumerate(arrays):
        for element in range(size(array)):
            vectors = [np.zeros(np.shape(other), np.result_type(other)) for other in arrays]
            vectors[which].flat[element] = 1
            yield [vector[()] for vector in vectors]


def _at_once(run: Run, multiply: Multiply, by: list[Any], began: int) -> list[list[Any]]:
    """Multiply by a batch of unit vectors, or by several batches of as many as `BYTES_AT_ONCE` allows."""
    sizes = list(map(size, by))
    count = sum(sizes)
    step = max(1, BYTES_AT_ONCE // max(1, _bytes_between(run)))
    pieces = []
    for start in range(0, count, step):
        level = Level(min(step, count - start), began)
        try:
            products = multiply([Batched(one, level) for one in _unit_rows(by, sizes, start, level.size)])
        finally:
            level.end = tick()
        pieces.append([outside(product, 0, level) for product in products])
    if not pieces:
        return [[] for _ in by]
    stacked = pieces[0] if len(pieces) == 1 else [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    seen: set[int] = set()
    stops = list(itertools.accumulate(sizes))
    return [
        [_own(product if size == count else product[stop - size : stop], seen) for product in stacked] if size else []
        for size, stop in zip(sizes, stops, strict=True)
    ]


def _unit_rows(arrays: list[Any], sizes: list[int], start: int, count: int) -> list[Any]:
    """Give unit vectors of some arrays from one on, along the first axis of arrays like them."""
    rows, first = [], 0
    for array, size in zip(arrays, sizes, strict=True):
        ones = np.eye(count, size, start - first, np.result_type(array))
        ones.flags.writeable = False  # so that a program knows them for ever
        rows.append(np.reshape(ones, (count, *np.shape(array))))
        first += size
    return rows


def _own(product: Any, seen: set[int]) -> Any:
    """Copy a product that shows the memory of another, since the caller may write into what it is given."""
    if isinstance(product, np.ndarray) and (product.base is not None or id(product) in seen):
        product = product.copy()
    seen.add(id(product))
    return product


def _bytes_between(run: Run) -> int:
    """Count the bytes of all values from the inputs to the outputs."""
    ages = {x._age for x in run.inputs}
    oldest, count = max(ages), sum(_bytes(x._array) for x in run.inputs)
    pending = list(run.outputs)
    for tensor in pending:
        if isinstance(tensor, Tensor) and (age := tensor._age) <= oldest and age not in ages:
            ages.add(age)
            value = tensor._array
            count += value.nbytes if type(value) is np.ndarray else _bytes(value)
            if tensor._function is not None:
                pending += tensor._args
    return count


def _bytes(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_bytes, value))
    return _bytes(value.array) if type(value) is Batched else int(getattr(value, "nbytes", 0))
