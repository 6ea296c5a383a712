"""What simplifications of a program are made of."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.compiler.program import Call, Program, Value
from autodiff.core.rule import Function, facts_of


def rewrite(program: Program, change: Callable[[Call], list[Call] | Value | None]) -> Program:
    """Go through the calls in order and change them.

    Args:
        program: the program.
        change: given a call, on the values as they are by then, gives None to leave it, calls to put in its place, of
            which the last gives the values that it gave, or an older value that is the same as its output.
    """
    new: dict[Value, Value] = {}
    calls: list[Call] = []
    for call in program.calls:
        call = call.with_values(new)
        instead = change(call)
        if isinstance(instead, Value):
            new[call.output] = instead
        else:
            calls += [call] if instead is None else instead
    return program.replacing(calls, new)


def like(call: Call, function: Function, args: Any, kwargs: Any, output: Value | None = None) -> Call:
    """Make another call at the place of one, by default for its output."""
    return Call(function, tuple(args), kwargs, call.outputs if output is None else [output], False, call.stamp)


def fresh(value: Value) -> Value:
    """Make another value of the same shape, dtype and order in memory, for a call to give."""
    return Value("call", value.shape, value.dtype, value.is_array, axes=value.axes)


def same_kind(value: Value, output: Value) -> bool:
    """Whether two values have the same shape and dtype, and are both arrays or both numbers."""
    return (value.shape, value.dtype, value.is_array) == (output.shape, output.dtype, output.is_array)


def use_counts(program: Program) -> Counter[Value]:
    """Count how often each value is used, as an argument or as a result."""
    uses = Counter(operand for call in program.calls for operand in call.operands())
    uses.update(value for value in program.outcomes() if isinstance(value, Value))
    return uses


def original(call: Call) -> Value | None:
    """Give the value of which a call only makes a copy, perhaps with other strides."""
    function, args = call.function, call.args
    pairs = [args[:2]] if len(args) == 2 else []
    if facts_of(function).is_copy:
        pairs = [(args[0], 1)]
    elif function in (np.multiply, operator.mul):
        pairs += [args[::-1]]
    elif function not in (np.divide, operator.truediv, np.power):
        return None
    for x, number in pairs:
        is_one = isinstance(number, int | float | np.generic) and not isinstance(number, bool) and number == 1
        if isinstance(x, Value) and is_one and same_kind(x, call.output):
            return x
    return None
