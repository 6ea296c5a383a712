"""Simplifications of a program that change no result, each a function that gives another program."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from autodiff.compiler.program import Call, Program, Value, mapped
from autodiff.compiler.record.recorder import updated
from autodiff.compiler.simplify.rewriting import fresh, like, original, rewrite, same_kind
from autodiff.core.rule import Function, is_elementwise

# What a longer name comes down to.
_REDUCTIONS: dict[Function, Any] = {
    np.sum: np.add.reduce,
    np.prod: np.multiply.reduce,
    np.max: np.maximum.reduce,
    np.amax: np.maximum.reduce,
    np.min: np.minimum.reduce,
    np.amin: np.minimum.reduce,
    np.all: np.logical_and.reduce,
    np.any: np.logical_or.reduce,
}
REDUCERS = {ufunc.reduce for ufunc in (np.add, np.multiply, np.maximum, np.minimum, np.logical_and, np.logical_or)}


def lower(program: Program) -> Program:
    """Write reductions as those of ufuncs, means as sums divided and powers as NumPy computes them."""

    def change(call: Call) -> list[Call] | Value | None:
        function, args, kwargs = call.function, call.args, dict(call.kwargs)
        x = args[0] if args and isinstance(args[0], Value) else None
        if x is None:
            return None
        if function is np.broadcast_to and same_kind(x, call.output):
            return x
        if function is updated and args[1] is Ellipsis and isinstance(args[2], Value) and same_kind(args[2], x):
            return args[2]
        if function in (np.ones_like, np.zeros_like) and len(args) == 1 and not kwargs:
            make = np.ones if function is np.ones_like else np.zeros
            if x.is_array:
                return [like(call, make, (x.shape, np.dtype(x.dtype)), {})]
            return [like(call, np.dtype(x.dtype).type, (int(function is np.ones_like),), {})]
        if function in (np.transpose, np.swapaxes) and x.is_array and len(x.shape) == 2:
            order = args[1:] if function is np.transpose else sorted(k % 2 for k in args[1:])
            if function is np.swapaxes and order == [0, 1]:
                return [like(call, np.transpose, (x,), {})]
        if function is np.square and x.is_array:
            return [like(call, np.multiply, (x, x), kwargs)]
        if function is np.power and not kwargs and x.is_array and same_kind(x, call.output):
            return _powered(call, x, args[1])
        if function in _REDUCTIONS:
            settings = {key: value for key, value in kwargs.items() if value is not np._NoValue}
            names = ("axis", "dtype", "out", "keepdims", "initial", "where")
            settings |= dict(zip(names, args[1:]))
            settings.setdefault("axis", None)
            return _reduced(call, _REDUCTIONS[function], x, settings)
        if function in REDUCERS and (len(args) > 1 or kwargs.get("keepdims")):
            settings = kwargs | dict(zip(("axis", "dtype", "out", "keepdims"), args[1:]))
            return _reduced(call, function, x, {"axis": 0} | settings)
        if function is np.mean and x.is_array and np.dtype(x.dtype).kind == "f" and np.dtype(x.dtype).itemsize > 2:
            settings = {key: value for key, value in kwargs.items() if value is not np._NoValue}
            settings |= dict(zip(("axis", "dtype", "out", "keepdims"), args[1:]))
            if settings.get("dtype") is None and not settings.get("where"):
                total = fresh(call.output)
                sums = _reduced(like(call, function, args, kwargs, total), np.add.reduce, x, {"axis": None} | settings)
                count = math.prod(x.shape) // max(1, math.prod(call.output.shape))
                divide = np.divide if call.output.is_array else operator.truediv
                return [*sums, like(call, divide, (total, count), {})]
        return None

    return rewrite(program, change)


def _powered(call: Call, x: Value, exponent: Any) -> list[Call] | None:
    """Say a power of floats as what NumPy computes for it, to the last bit."""
    if x.dtype not in (np.float32, np.float64) or not isinstance(exponent, int | float):
        return None
    ways = {2: (np.multiply, (x, x)), 0.5: (np.sqrt, (x,)), -1: (np.divide, (1, x))}
    return [like(call, *ways[exponent], {})] if exponent in ways else None


def _reduced(call: Call, reduce: Function, x: Value, settings: dict[str, Any]) -> list[Call]:
    """Reduce without keeping axes, which come back as a view: so the same reduction is seen to be the same."""
    keepdims = settings.pop("keepdims", False)
    settings = {key: value for key, value in settings.items() if value is not None or key == "axis"}
    axis = settings["axis"]
    axes = tuple(range(len(x.shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(sorted(k % len(x.shape) for k in axes)) if x.shape else ()
    settings["axis"] = axes[0] if len(axes) == 1 else None if len(axes) == len(x.shape) else axes
    if not keepdims:
        return [like(call, reduce, (x,), settings)]
    shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    reduced = Value("call", shape, call.output.dtype, bool(shape))
    view = np.expand_dims if shape else np.reshape
    return [
        like(call, reduce, (x,), settings, reduced),
        like(call, view, (reduced, axes if shape else call.output.shape), {}),
    ]


def dead(program: Program) -> Program:
    """Leave out calls whose values nobody uses."""
    needs = {value for value in program.outcomes() if isinstance(value, Value)}
    calls = []
    for call in reversed(program.calls):
        if call.effect or any(output in needs for output in call.outputs):
            calls.append(call)
            needs.update(call.operands())
    return program.replacing(reversed(calls), {})


def repeated(program: Program) -> Program:
    """Make a call once that is made several times on the same values."""
    outputs: dict[Any, Value] = {}

    def change(call: Call) -> Value | None:
        if call.effect or call.several:
            return None
        key = call.function, _key(call.args), _key(tuple(sorted(call.kwargs.items())))
        if key in outputs:
            return outputs[key]
        outputs[key] = call.output
        return None

    return rewrite(program, change)


def _key(arg: Any) -> Any:
    """Give something hashable that is the same only for the same argument: 1, 1.0 and True are different."""
    if isinstance(arg, list | tuple):
        return type(arg), tuple(map(_key, arg))
    if isinstance(arg, slice):
        return slice, _key((arg.start, arg.stop, arg.step))
    if isinstance(arg, bool | int | float | np.generic):
        return type(arg), repr(arg)
    return arg if isinstance(arg, Value | str | type | np.dtype) or callable(arg) else (type(arg), id(arg), repr(arg))


def fold_constants(program: Program) -> Program:
    """Compute numbers that depend on nothing."""
    numbers: dict[Value, Any] = {}

    def number(arg: Any) -> Any:
        return mapped(arg, lambda item: numbers.get(item, item) if isinstance(item, Value) else item)

    def change(call: Call) -> list[Call] | None:
        args = tuple(map(number, call.args))
        kwargs = {key: number(value) for key, value in call.kwargs.items()}
        simpler = Call(call.function, args, kwargs, call.outputs, call.several, call.stamp, call.effect)
        if call.effect or call.several or call.output.is_array or any(True for _ in simpler.operands()):
            return [simpler]
        result = call.function(*args, **kwargs)
        numbers[call.output] = result[()] if isinstance(result, np.ndarray) else result
        return []

    rewritten = rewrite(program, change)
    rewritten.results = [number(value) for value in rewritten.results]
    return rewritten


def neutral(program: Program) -> Program:
    """Leave out what changes nothing: copies of what was computed, products with one, views that undo each other."""
    makers: dict[Value, Call] = {}

    def change(call: Call) -> Value | None:
        makers[call.output] = call
        before = makers.get(call.args[0]) if call.args and isinstance(call.args[0], Value) else None
        if before is not None and before.args and call.output.is_array:
            first = before.args[0]
            undone = {np.negative: np.negative, np.reshape: np.expand_dims}.get(call.function) == before.function
            if undone and isinstance(first, Value) and same_kind(first, call.output):
                return first
        x = original(call)
        maker = makers.get(x) if x is not None else None  # a view, or an array of the user, may have gaps in memory
        is_dense = maker is not None and (isinstance(maker.function, np.ufunc) or maker.function in REDUCERS)
        return x if is_dense or (x is not None and not x.is_array) else None

    return rewrite(program, change)


# NumPy squares for the exponent 2, and not for an array of 2s; and a choice from an array takes no longer.
_AS_THEY_ARE: set[Function] = {np.power, np.where}


def filled(program: Program) -> Program:
    """Say an array that is one number in all places as that number, beside an array of the full shape."""
    numbers: dict[Value, Any] = {}

    def change(call: Call) -> list[Call] | None:
        output = call.output
        if call.function is np.broadcast_to and isinstance(call.args[0], np.generic):
            numbers[output] = call.args[0]
        elif call.function in (np.ones, np.zeros) and len(call.args) == 2:
            numbers[output] = np.dtype(output.dtype).type(call.function is np.ones)
        elif is_elementwise(call.function) and call.function not in _AS_THEY_ARE and not (call.several or call.kwargs):
            args = [numbers.get(arg, arg) if isinstance(arg, Value) else arg for arg in call.args]
            others = [arg for arg in args if isinstance(arg, Value)]
            if not others and output.is_array:
                numbers[output] = call.function(*args)
            elif any(value.shape == output.shape for value in others):
                return [like(call, call.function, args, {})]
        return None

    return rewrite(program, change)
