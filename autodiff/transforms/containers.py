"""Nested containers of arrays: lists, tuples, dicts and dataclasses, taken apart into a list of leaves and rebuilt."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autodiff.core.rule import Array
from autodiff.core.tensor import Tensor

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
