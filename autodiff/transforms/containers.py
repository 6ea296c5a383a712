"""Nested containers of arrays: lists, tuples, dicts and dataclasses, taken apart into a list of leaves and rebuilt."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autodiff.core.rule import Array
from autodiff.core.tensor import Tensor, is_inexact

Rebuild = Callable[[Sequence[Any]], Any]

_CONTAINERS = (list, tuple, dict)
_LEAVES = {float, np.float64, np.ndarray, Tensor}  # the commonest, which are told at once


def flatten(tree: Any) -> tuple[list[Any], Rebuild]:
    """Take a nested container apart.

    Lists, tuples (named ones too), dicts and instances of dataclasses are containers, and None is an empty one;
    everything else is a leaf.

    Returns:
        The leaves, and the function that puts as many others in their places.

    Example:
        >>> leaves, rebuild = flatten({"w": [1, 2], "b": (3, None)})
        >>> leaves
        [1, 2, 3]
        >>> rebuild([10 * leaf for leaf in leaves])
        {'w': [10, 20], 'b': (30, None)}
    """
    if is_leaf(tree):
        return [tree], _only
    leaves = [leaf for _, leaf in walk(tree)]
    form = _rebuilt(tree, iter(leaves))  # a copy, since the caller may change the containers

    def rebuild(others: Sequence[Any]) -> Any:
        return _rebuilt(form, iter(others))

    return leaves, rebuild


def ravel(tree: Any) -> tuple[Any, Callable[[Array], Any]]:
    """Lay the numbers in a nested container out in one vector, as SciPy's optimizers want them.

    These take real numbers only, and of complex ones leave out the imaginary parts: give them real and imaginary parts
    as leaves of their own.

    Args:
        tree: lists, tuples, dicts and dataclasses of arrays, Tensors and numbers, all of them floating-point.

    Returns:
        The vector, a Tensor if one is among the leaves, and the function that makes such a container of another vector.
        Each leaf gets its own shape and dtype again, a real one beside complex ones the real part, and a gradient goes
        through both ways.

    Raises:
        TypeError: a leaf holds no floating-point numbers.
        ValueError: what is to be put in the container is not a vector of the same length.

    Example:
        >>> vector, unravel = ad.ravel({"w": np.array([[1.0, 2.0]]), "b": 3.0})
        >>> vector
        array([1., 2., 3.])
        >>> unravel(2 * vector)
        {'w': array([[2., 4.]]), 'b': np.float64(6.0)}
    """
    leaves, rebuild = flatten(tree)
    for path, leaf in walk(tree):
        if not is_inexact(leaf):
            raise TypeError(f"ravel: only floating-point numbers can be laid out, got {_kind(leaf)} at {path or 'top'}")
    shapes = [np.shape(leaf) for leaf in leaves]
    sizes = [math.prod(shape) for shape in shapes]
    dtypes = [getattr(leaf, "dtype", np.dtype(complex if isinstance(leaf, complex) else float)) for leaf in leaves]
    ends = list(itertools.accumulate(sizes, initial=0))
    vector = np.concatenate([np.reshape(leaf, (-1,)) for leaf in leaves]) if leaves else np.zeros(0)

    def unravel(other: Array) -> Any:
        if np.shape(other) != (ends[-1],):
            raise ValueError(f"unravel: expected a vector of length {ends[-1]}, got shape {np.shape(other)}")
        other = other if hasattr(other, "dtype") else np.asarray(other)
        parts = []
        for (start, stop), shape, dtype in zip(itertools.pairwise(ends), shapes, dtypes, strict=True):
            part = other[start:stop]
            if dtype.kind != "c" and part.dtype.kind == "c":
                part = np.real(part)
            parts.append(np.reshape(part if part.dtype == dtype else part.astype(dtype), shape)[()])
        return rebuild(parts)

    return vector, unravel


def _kind(leaf: Any) -> str:
    return f"an array of dtype {leaf.dtype}" if hasattr(leaf, "dtype") else f"a {type(leaf).__name__}"


def _only(leaves: Sequence[Array]) -> Any:
    (leaf,) = leaves
    return leaf


def walk(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every leaf with the way to it, as it is written in Python: ``['w'][0]``.

    Example:
        >>> list(walk({"w": [1, 2], "b": 3}))
        [("['w'][0]", 1), ("['w'][1]", 2), ("['b']", 3)]
    """
    if isinstance(tree, list | tuple):
        for position, item in enumerate(tree):
            yield from walk(item, f"{path}[{position}]")
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from walk(item, f"{path}[{key!r}]")
    elif is_record(tree):
        for field in dataclasses.fields(tree):
            yield from walk(getattr(tree, field.name), f"{path}.{field.name}")
    elif tree is not None:
        yield path, tree


def pairs(one: Any, other: Any) -> list[tuple[Any, Any]] | None:
    """Pair the leaves of two containers, those at the same path, or give None where a path is in only one of them."""
    if is_leaf(one) and is_leaf(other):
        return [(one, other)]
    if type(one) is type(other) is list and len(one) == len(other) == 1 and is_leaf(one[0]) and is_leaf(other[0]):
        return [(one[0], other[0])]
    left, right = dict(walk(one)), dict(walk(other))
    return None if left.keys() != right.keys() else [(leaf, right[path]) for path, leaf in left.items()]


def is_leaf(tree: Any) -> bool:
    """Whether something is no container."""
    return type(tree) in _LEAVES or not (tree is None or isinstance(tree, _CONTAINERS) or is_record(tree))


def is_record(tree: Any) -> bool:
    """Whether something is an instance of a dataclass."""
    return hasattr(type(tree), "__dataclass_fields__")


def _rebuilt(tree: Any, supply: Iterator[Any]) -> Any:
    if isinstance(tree, list | tuple):
        items = [_rebuilt(item, supply) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, dict):
        changed = tree.copy()  # of the same kind, were it an OrderedDict
        changed.update({key: _rebuilt(item, supply) for key, item in tree.items()})
        return changed
    if is_record(tree):
        # A copy, so that what its __init__ does is not done again; set in this way, frozen fields are no hindrance.
        other = copy.copy(tree)
        for field in dataclasses.fields(tree):
            object.__setattr__(other, field.name, _rebuilt(getattr(tree, field.name), supply))
        return other
    return None if tree is None else next(supply)
