"""Mini-batches of a dataset that is in arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from autodiff.core.rule import Array
from autodiff.elsewhere import absent
from nn.checks import check_count, check_dataset, check_flag, check_rows
from nn.init import Seed, generator

Pairs = Iterator[tuple[Array, Array]]

_SMALL_BYTES = 2**18  # batches that have so much together are taken at once


def batches(X: Array, y: Array, batch_size: int, *, rng: Seed = None, drop_last: bool = False) -> Pairs:
    """Give the rows of a dataset once each, in random order, a batch at a time.

    Only the rows of a batch, or of a few small ones, are read, so that a file which is larger than memory can be opened
    with ``np.load("X.npy", mmap_mode="r")`` and be given as it is. The order takes eight bytes a row.

    Args:
        X: inputs, of shape ``(N, ...)``.
        y: targets, of shape ``(N, ...)``.
        batch_size: rows a batch, positive. The last batch has what is left.
        rng: a Generator or a seed for the order.
        drop_last: leave out a last batch that is smaller than the others.

    Yields:
        The rows of ``X`` and ``y`` of one batch, copied, in their dtype.

    Raises:
        TypeError: ``rng`` is neither a Generator nor a seed, the batch size not an integer, ``drop_last`` not True or
            False, or an array is masked, an ``np.matrix`` or sparse.
        ValueError: the lengths differ, there are no rows, they are ragged, or the batch size is not positive.

    Example:
        >>> [len(X) for X, y in nn.data.batches(np.zeros((5, 2)), np.zeros(5), batch_size=2, rng=0)]
        [2, 2, 1]
    """
    X, y = check_rows("batches", "inputs", X), check_rows("batches", "targets", y)
    check_dataset("batches", X, y)
    check_count("batches", "batch_size", batch_size)
    check_flag("batches", "drop_last", drop_last)
    return _batches(X, y, batch_size, generator(rng), drop_last)


def _batches(X: Array, y: Array, batch_size: int, rng: np.random.Generator, drop_last: bool) -> Pairs:
    order = rng.permutation(len(X))
    yield from in_order(X, y, order[: len(X) - len(X) % batch_size] if drop_last else order, batch_size)


def in_order(X: Array, y: Array, order: Array, batch_size: int) -> Pairs:
    """Give the rows at some places, a batch at a time."""
    take_inputs, take_targets = _take(X), _take(y)
    # Sparse rows do not know how large they are, and are taken a batch at a time.
    size = sum(getattr(rows[:batch_size], "nbytes", _SMALL_BYTES) for rows in (X, y))
    together = batch_size * max(1, _SMALL_BYTES // max(1, size))
    for start in range(0, len(order), together):
        places = order[start : start + together]
        inputs, targets = take_inputs(places), take_targets(places)
        for first in range(0, len(places), batch_size):
            yield inputs[first : first + batch_size], targets[first : first + batch_size]


def _take(rows: Array) -> Callable[[Array], Array]:
    """Give the function that copies some rows: ``take`` is the fastest, but would copy all of a strided array first."""
    if type(rows) is np.ndarray and rows.flags.c_contiguous:
        return lambda places: rows.take(places, 0)
    return lambda places: rows[places]


if not TYPE_CHECKING:  # or checkers took every name for one of these
    __getattr__ = absent(__name__)
