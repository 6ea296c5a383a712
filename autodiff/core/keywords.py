"""Which arguments of a call its rules know: keywords become positions, and what no rule knows is refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from autodiff.arrays.foreign import PLAIN, taken_in
from autodiff.core.rule import Facts, Function, name_of
from autodiff.core.tape import Entry


def checked_call(
    function: Function, facts: Facts, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Refuse arguments that the rules do not know, and move Tensors given by keyword to their position."""
    for value in kwargs.values():
        if type(value) in PLAIN:
            continue
        kwargs = {name: taken_in(one, name_of(function)) for name, one in kwargs.items()}
        if isinstance(value, Entry) or holds_tensors(value):
            try:
                bound = inspect.signature(function).bind(*args, **kwargs)
                _fill_in(bound)
            except ValueError:
                bound = None
            if bound is None or any(isinstance(v, Entry) or holds_tensors(v) for v in bound.kwargs.values()):
                raise TypeError(f"{name_of(function)}: pass Tensors by position, not by keyword")
            args, kwargs = bound.args, bound.kwargs
            break
    keywords = facts.keywords
    if len(args) > facts.positions or not keywords.issuperset(kwargs):
        if "where" in kwargs and "where" not in keywords:
            raise NotImplementedError(
                f"{name_of(function)}: where= cannot be used with a Tensor: call np.where(mask, x, other) on what goes "
                "in or on what comes out"
            )
        what = ", ".join(f"{key}=" for key in kwargs if key not in keywords) or f"{len(args)} arguments"
        rule = next(rule for rule in facts.rules if rule is not None)
        options = [f"{name}=" for name in list(inspect.signature(rule).parameters)[2 + len(facts.rules) :]]
        raise NotImplementedError(
            f"{name_of(function)} with {what} has no derivative rule: "
            f"{'of its options, only ' + ', '.join(options) + ' can be used' if options else 'it takes no options'}"
        )
    return args, kwargs


def _fill_in(bound: inspect.BoundArguments) -> None:
    """Put the defaults in place of what was left out before the last Tensor, so that it can go by position."""
    parameters = list(bound.signature.parameters.values())
    while parameters and not holds_tensors([bound.arguments.get(parameters[-1].name)]):
        parameters.pop()
    for parameter in parameters:
        if parameter.default is not parameter.empty and parameter.default is not np._NoValue:
            bound.arguments.setdefault(parameter.name, parameter.default)


def _tensors_in(arg: Any) -> Iterator[Entry]:
    """Give the Tensors in an argument, also those in lists of lists."""
    if isinstance(arg, Entry):
        yield arg
    elif type(arg) in (list, tuple):
        for item in arg:
            yield from _tensors_in(item)


def holds_tensors(arg: Any) -> bool:
    """Whether an argument is a list or tuple with a Tensor in it, however deep."""
    return type(arg) in (list, tuple) and any(True for _ in _tensors_in(arg))
