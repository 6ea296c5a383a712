"""Functions that select elements."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.rules.indexing import scatter_add
from tests.cases.case import Case, Sampler

sampler = Sampler(4)
normal, distinct = sampler.normal, sampler.distinct


def torch_index(index: Any) -> Any:
    """Give an index with torch tensors in place of arrays."""
    if isinstance(index, tuple):
        return tuple(torch_index(part) for part in index)
    if isinstance(index, np.ndarray):
        import torch

        return torch.from_numpy(index)
    return index


def indexing() -> Iterator[Case]:
    x = normal(4, 3, 2)
    rows = np.array([0, 2, 2, -1])
    by_torch: dict[str, Any] = {
        "1": 1,
        "-1": -1,
        "1, 2, 0": (1, 2, 0),
        "1:3": slice(1, 3),
        ":, -1": (slice(None), -1),
        "::2, 1:": (slice(None, None, 2), slice(1, None)),
        "2:2": slice(2, 2),
        "None": None,
        ":, None, 1": (slice(None), None, 1),
        "...": Ellipsis,
        "..., 0": (Ellipsis, 0),
        "0, ..., None": (0, Ellipsis, None),
        "()": (),
        "mask of all axes": x > 0,
        "mask of the first axis": np.array([True, False, True, True]),
        "mask of two axes, integer": (x[..., 0] > 0, 1),
        "mask that selects nothing": np.zeros(4, bool),
        "integers": rows,
        "matrix of integers": np.array([[0, 1], [1, 1]]),
        "no integers": np.array([], dtype=int),
        ":, integers": (slice(None), np.array([2, 2, 0])),
        "two arrays of integers": (rows, np.array([1, 2, 2, 0])),
        "arrays that broadcast": (rows[:, None], np.array([1, 1])),
        "array, slice, array": (rows, slice(1, None), np.array([0, 1, 1, 0])),
        "array, None, array": (rows, None, np.array([0, 2, 2, 0])),
    }
    only_numpy: dict[str, Any] = {
        "integer, slice, array": (2, slice(None), np.array([0, 0, 1])),
        "::-1": slice(None, None, -1),
        "3:0:-2, ..., ::-1": (slice(3, 0, -2), Ellipsis, slice(None, None, -1)),
        "list of integers": [0, 0, 3],
        "list of booleans": [True, False, False, True],
        "tuple with a list": (slice(None), [0, 0]),
        "True": True,
        "numpy integer": (np.int64(1), np.uint8(2)),
        "0-d array": np.array(2),
        "mask, ::-1": (np.array([True, False, True, True]), slice(None, None, -1)),
    }
    for name, index in by_torch.items():
        yield Case(f"x[{name}]", lambda x, i=index: x[i], (x,), torch=lambda _, x, i=index: x[torch_index(i)])
    for name, index in only_numpy.items():
        yield Case(f"x[{name}]", lambda x, i=index: x[i], (x,))
    yield Case("0-d x[()]", lambda x: x[()] * 2, (normal(),), torch=lambda _, x: x * 2)
    yield Case("0-d x[None]", lambda x: x[None], (normal(),), torch=lambda _, x: x[None])
    yield Case("0-d x[...]", lambda x: x[...] * 2, (normal(),), torch=lambda _, x: x * 2)
    yield Case("x[i][j]", lambda x: x[1:][rows[:2]][..., 0] * x[0, 0, 0], (x,))
    yield Case("rows by iteration", lambda x: [row * k for k, row in enumerate(x)], (normal(3, 2),))
    yield Case("unpacking", lambda x: operator.mul(*x), (normal(2, 3),), torch=lambda _, x: x[0] * x[1])
    for axis in (0, 1, -1):
        shape = [3, 3, 3]
        shape[axis] = 5
        indices = sampler.rng.integers(-3, 3, shape)
        yield Case(
            f"take_along_axis, axis {axis}",
            lambda x, i, axis=axis: np.take_along_axis(x, i, axis=axis),
            (normal(3, 3, 3), indices),
            torch=lambda t, x, i, axis=axis: t.take_along_dim(x, i % 3, axis),
        )
    yield Case(
        "take_along_axis, axis None",
        lambda x, i: np.take_along_axis(x, i, axis=None),
        (normal(2, 3), np.array([5, 0, 0, -1])),
        torch=lambda t, x, i: t.take_along_dim(x, i % 6),
    )
    yield Case(
        "take_along_axis, indices broadcast",
        lambda x, i: np.take_along_axis(x, i, axis=1),
        (normal(3, 4), np.array([[0, 3, 3]])),
        torch=lambda t, x, i: t.take_along_dim(x, i, 1),
    )
    yield Case(
        "take_along_axis, x broadcast",
        lambda x, i: np.take_along_axis(x, i, axis=-1),
        (normal(1, 4), np.array([[0, 3], [3, 3], [1, 2]])),
        torch=lambda t, x, i: t.take_along_dim(x, i, -1),
    )
    yield Case(
        "take_along_axis of argmax",
        lambda x: np.take_along_axis(x, np.argmax(x, axis=1)[:, None], axis=1),
        (distinct(3, 4),),
        torch=lambda t, x: x.amax(1, keepdim=True),
    )
    for axis, indices in ((0, [0, 2, 2]), (1, 1), (-1, np.array([[0, 0], [1, 0]])), (None, [5, 0, 0]), (None, 3)):
        yield Case(
            f"take({np.asarray(indices).tolist()}, {axis})",
            lambda x, i=indices, axis=axis: x.take(i, axis=axis),
            (normal(3, 2),),
        )
    for name, index, values in (
        ("integers", np.array([0, 2, 2]), (3, 2)),
        ("slice", slice(1, 3), (2, 2)),
        ("number", (2, 1), ()),
    ):
        yield Case(f"scatter_add, {name}", lambda v, i=index: scatter_add(v, i, np.empty((4, 2))), (normal(*values),))


CASES = [*indexing()]
