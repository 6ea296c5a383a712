"""Which arguments of a call its rules know: keywords become positions, and what no rule knows is refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from autodiff.arrays.foreign import PLAIN, taken_in
from autodiff.arrays.options import WAYS_OUT, Call, has_option, names_option, without_defaults
from autodiff.core.rule import Facts, Function, name_of
from autodiff.core.tape import Entry, is_recording
from autodiff.elsewhere import said_of_option

_NO_LISTINGS = PLAIN | {range, bytes, memoryview}


def checked_call(function: Function, facts: Facts, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """Refuse arguments that the rules do not know, and move Tensors given by keyword to their position."""
    keywords = facts.keywords
    is_known = len(args) <= facts.positions and keywords.issuperset(kwargs)
    if is_known and (not kwargs or PLAIN.issuperset(map(type, kwargs.values()))):
        return args, kwargs
    for value in kwargs.values():
        refuse_dict(function, value)
    kwargs = {key: taken_in(value, name_of(function)) for key, value in kwargs.items()}
    args, kwargs = without_defaults(function, args, kwargs, facts.positions)
    if holds_tensors(list(kwargs.values())):
        args, kwargs = _by_position(function, facts, args, kwargs)
    unknown = [key for key in kwargs if key not in keywords]
    for key in unknown:
        hint = "" if names_option(function, key) else said_of_option(key, kwargs[key])
        if hint or not has_option(function, key):
            raise TypeError(f"{name_of(function)} has no option {key}={hint}")
    wants_gradient = is_recording.get() and any(one.requires_grad for one in tensors_in([*args, *kwargs.values()]))
    if (len(args) > facts.positions or unknown) and (wants_gradient or {"overwrite_input", "copy"} & {*unknown}):
        rule = next(rule for rule in facts.rules if rule is not None)
        options = [f"{p.name}=" for p in inspect.signature(rule).parameters.values() if p.default is not p.empty]
        ways = [WAYS_OUT[key] for key in unknown if key in WAYS_OUT]
        raise NotImplementedError(
            f"{name_of(function)} with {', '.join(f'{key}=' for key in unknown) or f'{len(args)} arguments'} has no "
            "derivative rule: "
            + (f"of its options, only {', '.join(options)} can be used" if options else "it takes no options")
            + "; "
            + "; ".join(ways or ["leave it out, or give x.data, which is a constant"])
        )
    return args, kwargs


def _by_position(function: Function, facts: Facts, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """Move Tensors given by keyword to their position. Where there is no rule for it, only constants may be given."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
        _fill_in(bound)
        if len(bound.args) <= facts.positions and not holds_tensors(list(bound.kwargs.values())):
            return bound.args, bound.kwargs
    except ValueError:
        pass
    for key, value in kwargs.items():
        if any(tensor.requires_grad for tensor in tensors_in(value)):
            raise TypeError(
                f"{name_of(function)} has no derivative with respect to {key}= given by keyword: give it by position "
                "if it may be differentiated there, or its .data, which is a constant"
            )
    return args, {key: bare(value) for key, value in kwargs.items()}


def _fill_in(bound: inspect.BoundArguments) -> None:
    """Put the defaults in place of what was left out before the last Tensor, so that it can go by position."""
    parameters = list(bound.signature.parameters.values())
    while parameters and not holds_tensors([bound.arguments.get(parameters[-1].name)]):
        parameters.pop()
    for parameter in parameters:
        if parameter.default is not parameter.empty and parameter.default is not np._NoValue:
            bound.arguments.setdefault(parameter.name, parameter.default)


def tensors_in(arg: Any) -> Iterator[Entry]:
    """Give the Tensors in an argument, also those in lists of lists."""
    if isinstance(arg, Entry):
        yield arg
    elif is_listing(arg):
        for item in arg:
            yield from tensors_in(item)


def holds_tensors(arg: Any) -> bool:
    """Whether an argument is a list or tuple, or a sequence like them, with a Tensor in it, however deep."""
    return is_listing(arg) and any(True for _ in tensors_in(arg))


def is_listing(arg: Any) -> bool:
    """Whether an argument is a sequence that may hold Tensors."""
    kind = type(arg)
    return kind is list or kind is tuple or (kind not in _NO_LISTINGS and isinstance(arg, Sequence))


def bare(arg: Any) -> Any:
    """Give an argument with the arrays inside its Tensors, also those in lists."""
    if type(arg) in (list, tuple):
        return type(arg)(map(bare, arg))
    if is_listing(arg):
        return list(map(bare, arg))
    return arg._array if isinstance(arg, Entry) else arg


def refuse_dict(function: Function, arg: Any) -> None:
    """Refuse a dict of Tensors, in which no gradient would find its way."""
    if isinstance(arg, dict) and holds_tensors(list(arg.values())):
        raise TypeError(f"{name_of(function)}: pass Tensors by position or in lists, not in a dict")
