"""The form of arguments: all of them on which a program may depend, as a key; with another it is another program."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from autodiff.arrays.foreign import other_array
from autodiff.compiler.record.gradients import kind_of
from autodiff.compiler.record.recorder import Recorded
from autodiff.compiler.record.tracing import input_names, is_input
from autodiff.compiler.state import Itself, Stateful, form_of, numbers_of
from autodiff.core.hooks import hooks_of
from autodiff.core.record import data_of
from autodiff.core.rule import name_of
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import is_leaf, walk


def form_of_arguments(args: Any, kwargs: Any, step: Callable[..., Any]) -> Hashable:
    """Say all of the arguments on which a program may depend.

    Raises:
        TypeError: it could not be seen whether an argument is still what it was.
    """
    for path, leaf in walk((args, kwargs)):
        _refuse_others(leaf, path, step)
    return _form(args), _form(kwargs)


def _form(tree: Any) -> Hashable:
    if tree is None:
        return None
    if is_leaf(tree):
        return _leaf_form(tree)
    if isinstance(tree, dict):
        return type(tree), form_of(list(tree)), tuple(map(_form, tree.values()))
    items = tree if isinstance(tree, list | tuple) else (getattr(tree, one.name) for one in fields(tree))
    return type(tree), tuple(map(_form, items))


def _leaf_form(leaf: Any) -> Hashable:
    if is_input(leaf):
        data = data_of(leaf)
        kind: Hashable = float if type(leaf) is float else np.ndarray
        if isinstance(leaf, Tensor):
            kind = type(leaf), kind_of(leaf._grad)
        return kind, isinstance(data, np.ndarray), np.shape(data), getattr(data, "dtype", float), gradient_form(leaf)
    if isinstance(leaf, Stateful):
        return Itself(leaf), leaf.settings(), tuple(numbers_of(leaf.places()).values())
    equal: Any = type(leaf).__eq__
    if isinstance(leaf, complex):  # of which equal ones have zeros of other signs
        return form_of(leaf)
    return (type(leaf), leaf) if equal is not object.__eq__ else _form_inside(leaf, ())


def _form_inside(thing: Any, outer: tuple[Any, ...]) -> Hashable:
    """Say what an object is, and what its attributes and what is in containers there are now."""
    if any(thing is one for one in outer):
        return None
    if isinstance(thing, dict):
        return form_of(list(thing)), tuple(_form_inside(item, (*outer, thing)) for item in thing.values())
    if isinstance(thing, list | tuple):
        return tuple(_form_inside(item, (*outer, thing)) for item in thing)
    if isinstance(thing, type | FunctionType | ModuleType | np.ndarray | Tensor):
        return form_of(thing)
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    attributes = {name: getattr(thing, name) for name in slots if hasattr(thing, name)} | getattr(thing, "__dict__", {})
    return (Itself(thing), _form_inside(attributes, (*outer, thing))) if attributes else form_of(thing)


def _refuse_others(leaf: Any, path: str, step: Callable[..., Any]) -> None:
    """Refuse arguments of which it could not be seen whether a program still is for them.

    Raises:
        TypeError: it is an array that is not NumPy's, or something that may change and is no array.
    """
    problem = None
    if (other := other_array(data_of(leaf))) and not isinstance(leaf, Recorded):
        problem = f"a {other}, and a program computes with NumPy's arrays: give it as one, or call the function itself"
    elif not is_input(leaf):
        try:
            hash(leaf)
        except (TypeError, ValueError):
            problem = f"a {type(leaf).__name__}, whose contents may change unseen: give an array, or a tuple"
    if problem:
        raise TypeError(f"compile: {input_names(step, [path])[0]!r} of {name_of(step)} is {problem}")


def gradient_form(leaf: Any) -> Hashable:
    """Say whether a gradient is wanted of a Tensor, and which functions change it."""
    hooks = tuple(function if isinstance(function, Hashable) else hook for hook, function in hooks_of(leaf).items())
    return getattr(leaf, "requires_grad", None), hooks
