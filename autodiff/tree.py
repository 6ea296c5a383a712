"""Nested containers of arrays: lists, tuples, dicts and dataclasses, taken apart into a list of leaves and rebuilt."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Rebuild = Callable[[Sequence[Any]], Any]


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
    leaves = [leaf for _, leaf in walk(tree)]
    form = _rebuilt(tree, iter(leaves))  # a copy, since the caller may change the containers

    def rebuild(others: Sequence[Any]) -> Any:
        return _rebuilt(form, iter(others))

    return leaves, rebuild


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


def is_record(tree: Any) -> bool:
    """Whether something is an instance of a dataclass."""
    return dataclasses.is_dataclass(tree) and not isinstance(tree, type)


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
