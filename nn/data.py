"""Mini-batches of a dataset that is in arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.tensor import as_array
from nn.checks import check_count, check_dataset
from nn.init import Seed, generator


def batches(X: Any, y: Any, batch_size: int, *, rng: Seed = None, drop_last: bool = False) -> Iterator[tuple[Any, Any]]:
    """Give the rows of a dataset once each, in random order, a batch at a time.

    Args:
        X: inputs, of shape ``(N, ...)``.
        y: targets, of shape ``(N, ...)``.
        batch_size: rows a batch, positive. The last batch has what is left.
        rng: a Generator or a seed for the order.
        drop_last: leave out a last batch that is smaller than the others.

    Yields:
        The rows of ``X`` and ``y`` of one batch.

    Raises:
        ValueError: the lengths differ, there are no rows, or the batch size is not a positive integer.

    Example:
        >>> [len(X) for X, y in batches(np.zeros((5, 2)), np.zeros(5), batch_size=2, rng=0)]
        [2, 2, 1]
    """
    X, y = as_array(X), as_array(y)
    check_dataset("batches", X, y)
    check_count("batches", "batch_size", batch_size)
    return _batches(X, y, batch_size, generator(rng), drop_last)


def _batches(X: Any, y: Any, batch_size: int, rng: np.random.Generator, drop_last: bool) -> Iterator[tuple[Any, Any]]:
    order = rng.permutation(len(X))
    for start in range(0, len(X), batch_size):
        chosen = order[start : start + batch_size]
        if len(chosen) == batch_size or not drop_last:
            yield X[chosen], y[chosen]
