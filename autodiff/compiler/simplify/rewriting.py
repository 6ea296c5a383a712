"""What simplifications share: `rewrite`, which goes through the calls, and functions to look at calls and make them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np

from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.record.recorder import updated
from autodiff.core.rule import Function, facts_of

Pass = Callable[[Program], Program]
Makers = Mapping[Value, Call]  # the call that makes each value

INEXACT: set[Pass] = set()


def inexact(simplify: Pass) -> Pass:
    """Say of a simplification that it may change rounding."""
    INEXACT.add(simplify)
    return simplify


def rewrite(program: Program, change: Callable[[Call, Makers], Any]) -> Program:
    """Go through the calls in order and change them.

    Given a call, on the values as they are by then, and what made these, ``change`` gives None to leave it, calls in
    its place, of which the last has its outputs, or what its output is: an older value, or a number.
    """
    new: dict[Value, Any] = {}
    calls: list[Call] = []
    makers: dict[Value, Call] = {}
    for call in program.calls:
        call = call.with_values(new)
        instead = change(call, makers)
        if instead is not None and not isinstance(instead, list):
            new[call.output] = instead
            if isinstance(instead, Value) and instead.kind == "call":
                instead.take_words(call.output)
            continue
        for one in [call] if instead is None else instead:
            makers.update(dict.fromkeys(one.outputs, one))
            calls.append(one)
    return program.replacing(calls, new)


def like(call: Call, function: Function, args: Any, kwargs: Any = None, output: Value | None = None) -> Call:
    """Make another call at the place of one, by default for its output."""
    return Call(function, tuple(args), kwargs or {}, [output] if output else call.outputs, False, call.stamp)


def fresh(value: Value) -> Value:
    """Make another value of the same shape, dtype and order in memory, for a call to give."""
    return Value("call", value.shape, value.dtype, value.is_array, axes=value.axes)


def is_float(x: Any) -> TypeGuard[Value]:
    """Whether something is an array of float32 or float64."""
    return isinstance(x, Value) and x.is_array and x.dtype in (np.float32, np.float64)


def made_by(x: Any, function: Function, makers: Makers) -> Call | None:
    """Give the call that makes a value, if it is one of a function without options."""
    call = makers.get(x) if isinstance(x, Value) else None
    return call if call is not None and call.function is function and not call.kwargs else None


def original(call: Call, makers: Makers) -> Value | None:
    """Give the value whose elements a call gives again, though perhaps elsewhere in memory, with other gaps."""
    function, args = call.function, call.args
    x = None
    is_real = np.dtype(call.output.dtype).kind != "c"  # 1 + 0j turns (inf + 1j) into (inf + nan j)
    are_ones = [is_real and isinstance(arg, int | float | np.generic) and arg == 1 for arg in args]
    is_copy = facts_of(function).is_copy
    if not args or (call.kwargs and not (is_copy and call.kwargs == {"order": "C"})):
        return None
    if is_copy:
        x = args[0]
    elif function is updated and args[1] is Ellipsis:
        x = args[2]
    elif function is np.negative and (first := made_by(args[0], np.negative, makers)):
        x = first.args[0]
    elif function in (np.multiply, operator.mul) and are_ones[0]:
        x = args[1]
    elif function in (np.multiply, operator.mul, np.divide, operator.truediv, np.power, operator.pow) and are_ones[1]:
        x = args[0]
    return x if isinstance(x, Value) and x.form == call.output.form else None
