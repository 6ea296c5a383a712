"""Functions that select elements."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from autodiff import Tensor
from autodiff.rules.indexing import add_at, multiply_at, scatter_add, set_at
from tests.cases.case import Case, Sampler

sampler = Sampler(4)
normal, nonzero, distinct = sampler.normal, sampler.nonzero, sampler.distinct


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
    for mode, (axis, indices) in product(
        ("wrap", "clip"), ((0, [0, -4, 7]), (-1, np.array([[5, -1]])), (None, [9, -9]))
    ):
        yield Case(
            f"take({np.asarray(indices).tolist()}, {axis}, {mode!r})",
            lambda x, i=indices, axis=axis, mode=mode: np.take(x, i, axis=axis, mode=mode),
            (normal(3, 2),),
        )
    for name, index, values in (
        ("integers", np.array([0, 2, 2]), (3, 2)),
        ("slice", slice(1, 3), (2, 2)),
        ("number", (2, 1), ()),
    ):
        yield Case(f"scatter_add, {name}", lambda v, i=index: scatter_add(v, i, (4, 2)), (normal(*values),))


CHANGES = {"set": set_at, "add": add_at, "multiply": multiply_at}


def places() -> Iterator[Case]:
    """Changed copies, each for every kind of index, against what NumPy's assignment gives."""
    indices: dict[str, tuple[Any, tuple[int, ...]]] = {
        "integer": (1, (3,)),
        "slices": ((slice(None, None, -2), slice(1, None)), (2, 2)),
        "none": (slice(2, 2), (0, 3)),
        "mask": (np.array([[True, False, True], [False] * 3, [True] * 3, [False] * 3]), (5,)),
        "integers": (np.array([3, 0]), (2, 3)),
        "integers, repeated": (np.array([2, 0, 2, 2]), (4, 3)),
        "two arrays, repeated": ((np.array([1, 1, 3]), np.array([0, 0, 2])), (3,)),
        "..., None": ((Ellipsis, None, 2), (4, 1)),
    }
    for (name, (index, shape)), method in product(indices.items(), ("set", "add", "multiply")):

        def assigned(x: Any, v: Any, index: Any = index, method: str = method) -> Any:
            out = np.array(x)
            if method == "set":
                out[index] = v
            else:
                getattr(np, method).at(out, index, v)
            return out

        def torchs(torch: Any, x: Any, v: Any, index: Any = index, method: str = method) -> Any:
            out, there = x.clone(), torch_index(index)
            out[there] = {"set": lambda old: v, "add": lambda old: old + v, "multiply": lambda old: old * v}[method](
                x[there]
            )
            return out

        same = "repeated" in name or "::-2" in name or name == "slices"
        yield Case(
            f".at[{name}].{method}",
            lambda x, v, i=index, f=CHANGES[method]: f(x, i, v),
            (normal(4, 3), nonzero(*shape)),
            torch=None if same else torchs,
            plain=assigned,
        )
    yield Case(
        ".at of broadcast values",
        lambda x, v, w: multiply_at(add_at(set_at(x, slice(1, 3), v), (slice(None), 0), w), (..., 1), 2.0),
        (normal(4, 3), normal(1, 1, 3), normal()),
        plain=lambda x, v, w: np.stack(
            [
                np.concatenate([x[:1, 0], [v[0, 0, 0]] * 2, x[3:, 0]]) + w,
                2 * np.concatenate([x[:1, 1], [v[0, 0, 1]] * 2, x[3:, 1]]),
                np.concatenate([x[:1, 2], [v[0, 0, 2]] * 2, x[3:, 2]]),
            ],
            axis=1,
        ),
    )
    yield Case(
        ".at of a list and of a number",
        lambda x: x.at[[0, 0]].add([1.0, 2.0, 3.0]).at[0, 0].set(5),
        (normal(2, 3),),
        plain=lambda x: np.stack([np.array([5.0, *(x[0, 1:] + [2.0, 3.0] + [2.0, 3.0])]), x[1]]).astype(x.dtype),
    )
    yield Case("0-d .at[()]", lambda x, v: add_at(multiply_at(x, (), v), ..., v), (normal(), normal()),
               plain=lambda x, v: x * v + v)  # fmt: skip
    yield Case(
        ".at of values from outside of what is derived",
        lambda v: Tensor(np.ones((2, 2)), requires_grad=False).at[0].set(v).at[:, 1].multiply(v),
        (normal(2),),
        plain=lambda v: np.array([[v[0], v[1] * v[0]], [1.0, v[1]]]),
    )


def selections() -> Iterator[Case]:
    x = distinct(3, 4)
    for axis in (None, 0, 1):
        yield Case(f"compress, axis {axis}", lambda x, a=axis: np.compress([True, False, True], x, axis=a), (x,))
    yield Case("extract", lambda x: np.extract(np.arange(12).reshape(3, 4) % 3 == 0, x), (x,))
    low, high = np.array([[True, False, True]]), np.array([[True], [False]])
    yield Case(
        "select",
        lambda x, y: np.select([low & high, high | low], [x, y], default=0.5),
        (normal(2, 3), normal(2, 3)),
        torch=lambda t, x, y: t.where(
            t.tensor(low & high), x, t.where(t.tensor(low | high), y, t.tensor(0.5, dtype=x.dtype))
        ),
    )
    yield Case("select, broadcast", lambda x, y: np.select([low, high], [x, y], x[0]), (normal(3), normal(2, 1)))
    yield Case("select of comparisons", lambda x: np.select([x < 0, x > 0.5], [x * x, x], 0.0), (normal(3, 3),))
    numbers = np.array([[0, 2, 1], [1, 1, 0]])
    yield Case(
        "choose",
        lambda x, y, z: np.choose(numbers, [x, y, z]),
        (normal(2, 3), normal(3), normal()),
    )
    yield Case("choose, mode wrap", lambda x, y: np.choose(numbers, (x, y), mode="wrap"), (normal(2, 3), normal(3)))
    yield Case("choose, mode clip", lambda x, y: np.choose(numbers - 1, (x, y), mode="clip"), (normal(2, 3), normal(3)))
    yield Case("choose from the rows of one array", lambda x: np.choose(numbers, x), (normal(3, 3),))
    for axis in (0, 1, -1):
        yield Case(
            f"sort, axis {axis}", lambda x, a=axis: np.sort(x, axis=a), (x,), torch=lambda t, x, a=axis: t.sort(x, a)[0]
        )
    yield Case("sort, axis None", lambda x: np.sort(x, axis=None, kind="stable"), (x,))
    yield Case("sort of equal elements", lambda x: np.sort(x, stable=True), (np.array([1.0, 0.0, 1.0, 0.0]),), order=0,
               torch=lambda t, x: t.sort(x, stable=True)[0])  # fmt: skip
    yield Case("sort_complex", np.sort_complex, (x[:, :2],))
    yield Case("sort, nothing", np.sort, (normal(2, 0),))
    for axis in (0, -1, None):
        yield Case(f"partition, axis {axis}", lambda x, a=axis: np.partition(x, 2, axis=a), (x,))
    yield Case("partition in several places", lambda x: np.partition(x, (1, 3)), (x,))


CASES = [*indexing(), *places(), *selections()]
