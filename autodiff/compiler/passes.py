"""Simplifications of a program, each a function that gives another program with the same results.

They run in the order of `PASSES`. One that may change rounding is in `INEXACT`, and is left out of exact programs;
`OF_BACKEND` has those that only pay for one backend.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.compiler.program import Call, Function, Program, Value, mapped
from autodiff.compiler.recorder import updated
from autodiff.tensor import astype

Pass = Callable[[Program], Program]

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
        found = change(call)
        if isinstance(found, Value):
            new[call.output] = found
        else:
            calls += [call] if found is None else found
    return program.replacing(calls, new)


def lower(program: Program) -> Program:
    """Write reductions as those of ufuncs, means as sums divided, and leave out copies: a value is never changed."""

    def change(call: Call) -> list[Call] | Value | None:
        function, args, kwargs = call.function, call.args, dict(call.kwargs)
        x = args[0] if args and isinstance(args[0], Value) else None
        if x is None:
            return None
        if function is np.copy or (function is np.positive and x.is_array and x.dtype == call.output.dtype):
            return x
        if function is astype and x.dtype == call.output.dtype and x.is_array:
            return x
        if function is np.broadcast_to and _same_kind(x, call.output):
            return x
        if function is updated and args[1] is Ellipsis and isinstance(args[2], Value) and _same_kind(args[2], x):
            return args[2]
        if function in (np.ones_like, np.zeros_like) and len(args) == 1 and not kwargs:
            make = np.ones if function is np.ones_like else np.zeros
            if x.is_array:
                return [_like(call, make, (x.shape, np.dtype(x.dtype)), {})]
            return [_like(call, np.dtype(x.dtype).type, (int(function is np.ones_like),), {})]
        if function in (np.transpose, np.swapaxes) and x.is_array and len(x.shape) == 2:
            order = args[1:] if function is np.transpose else sorted(k % 2 for k in args[1:])
            if function is np.swapaxes and order == [0, 1]:
                return [_like(call, np.transpose, (x,), {})]
        if function is np.square and x.is_array:
            return [_like(call, np.multiply, (x, x), kwargs)]
        if function is np.power and not kwargs and x.is_array and _same_kind(x, call.output):
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
                total = _fresh(call.output)
                sums = _reduced(_like(call, function, args, kwargs, total), np.add.reduce, x, {"axis": None} | settings)
                count = math.prod(x.shape) // max(1, math.prod(call.output.shape))
                divide = np.divide if call.output.is_array else operator.truediv
                return [*sums, _like(call, divide, (total, count), {})]
        return None

    return rewrite(program, change)


def _powered(call: Call, x: Value, exponent: Any) -> list[Call] | Value | None:
    """Say a power of floats as what NumPy computes for it, to the last bit."""
    if x.dtype not in (np.float32, np.float64) or not isinstance(exponent, int | float):
        return None
    if exponent == 1:
        return x
    ways = {2: (np.multiply, (x, x)), 0.5: (np.sqrt, (x,)), -1: (np.divide, (1, x))}
    return [_like(call, *ways[exponent], {})] if exponent in ways else None


def _like(call: Call, function: Function, args: Any, kwargs: Any, output: Value | None = None) -> Call:
    """Make another call at the place of one, by default for its output."""
    return Call(function, tuple(args), kwargs, call.outputs if output is None else [output], False, call.stamp)


def _fresh(value: Value) -> Value:
    return Value("call", value.shape, value.dtype, value.is_array, axes=value.axes)


def _reduced(call: Call, reduce: Function, x: Value, settings: dict[str, Any]) -> list[Call]:
    """Reduce without keeping axes, which come back as a view: so the same reduction is seen to be the same."""
    keepdims = settings.pop("keepdims", False)
    settings = {key: value for key, value in settings.items() if value is not None or key == "axis"}
    axis = settings["axis"]
    axes = tuple(range(len(x.shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(sorted(k % len(x.shape) for k in axes)) if x.shape else ()
    settings["axis"] = axes[0] if len(axes) == 1 else None if len(axes) == len(x.shape) else axes
    if not keepdims:
        return [_like(call, reduce, (x,), settings)]
    shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    reduced = Value("call", shape, call.output.dtype, bool(shape))
    view = np.expand_dims if shape else np.reshape
    return [
        _like(call, reduce, (x,), settings, reduced),
        _like(call, view, (reduced, axes if shape else call.output.shape), {}),
    ]


def variances(program: Program) -> Program:
    """Say variances and standard deviations by sums, which others may need too. Rounding changes."""

    def change(call: Call) -> list[Call] | None:
        x = call.args[0] if call.args else None
        if (
            call.function not in (np.var, np.std)
            or len(call.args) != 1
            or call.kwargs.keys() - {"axis", "keepdims", "ddof"}
        ):
            return None
        if not isinstance(x, Value) or not x.shape or x.dtype not in (np.float32, np.float64):
            return None
        axis = call.kwargs.get("axis")
        axes = range(len(x.shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        reduced = {k % len(x.shape) for k in axes}
        kept = tuple(1 if k in reduced else n for k, n in enumerate(x.shape))
        count = math.prod(x.shape) // max(1, math.prod(kept)) - call.kwargs.get("ddof", 0)
        if count <= 0:
            return None
        mean = Value("call", kept, x.dtype, True)
        error, square = (Value("call", x.shape, x.dtype, True) for _ in range(2))
        total, variance = _fresh(call.output), _fresh(call.output)
        is_root = call.function is np.std
        divide = np.divide if call.output.is_array else operator.truediv
        calls = [
            _like(call, np.mean, (x,), {"axis": axis, "keepdims": True}, mean),
            _like(call, np.subtract, (x, mean), {}, error),
            _like(call, np.multiply, (error, error), {}, square),
            _like(call, np.sum, (square,), {"axis": axis, "keepdims": call.kwargs.get("keepdims", False)}, total),
            _like(call, divide, (total, count), {}, variance if is_root else call.output),
        ]
        return [*calls, _like(call, np.sqrt, (variance,), {})] if is_root else calls

    return rewrite(program, change)


def dead(program: Program) -> Program:
    """Leave out calls whose values nobody uses."""
    wanted = {value for value in program.kept() if isinstance(value, Value)}
    calls = []
    for call in reversed(program.calls):
        if call.effect or any(output in wanted for output in call.outputs):
            calls.append(call)
            wanted.update(call.operands())
    return program.replacing(reversed(calls), {})


def repeated(program: Program) -> Program:
    """Make a call once that is made several times on the same values."""
    known: dict[Any, Value] = {}

    def change(call: Call) -> Value | None:
        if call.effect or call.several:
            return None
        key = call.function, _key(call.args), _key(tuple(sorted(call.kwargs.items())))
        if key in known:
            return known[key]
        known[key] = call.output
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


def constant(program: Program) -> Program:
    """Compute numbers that depend on nothing."""
    known: dict[Value, Any] = {}

    def number(arg: Any) -> Any:
        return mapped(arg, lambda item: known.get(item, item) if isinstance(item, Value) else item)

    def change(call: Call) -> list[Call] | None:
        args = tuple(map(number, call.args))
        kwargs = {key: number(value) for key, value in call.kwargs.items()}
        changed = Call(call.function, args, kwargs, call.outputs, call.several, call.stamp, call.effect)
        if call.effect or call.several or call.output.is_array or any(True for _ in changed.operands()):
            return [changed]
        result = call.function(*args, **kwargs)
        known[call.output] = result[()] if isinstance(result, np.ndarray) else result
        return []

    rewritten = rewrite(program, change)
    rewritten.results = [number(value) for value in rewritten.results]
    return rewritten


def neutral(program: Program) -> Program:
    """Leave out products with one, quotients by one and views that undo each other: they change nothing."""
    makers: dict[Value, Call] = {}

    def change(call: Call) -> Value | None:
        makers[call.output] = call
        before = makers.get(call.args[0]) if call.args and isinstance(call.args[0], Value) else None
        if before is not None and before.args and call.output.is_array:
            first = before.args[0]
            undone = {np.negative: np.negative, np.reshape: np.expand_dims}.get(call.function) == before.function
            if undone and isinstance(first, Value) and _same_kind(first, call.output):
                return first
        if call.function in (np.multiply, operator.mul, np.divide, operator.truediv) and len(call.args) == 2:
            x, y = call.args
            pairs = [(x, y)] if call.function in (np.divide, operator.truediv) else [(x, y), (y, x)]
            for value, other in pairs:
                if isinstance(value, Value) and _is_number(other, 1) and _same_kind(value, call.output):
                    return value
        return None

    return rewrite(program, change)


def filled(program: Program) -> Program:
    """Say an array that is one number in all places as that number, beside an array of the full shape."""
    numbers: dict[Value, Any] = {}

    def change(call: Call) -> list[Call] | None:
        made = call.output
        if call.function is np.broadcast_to and isinstance(call.args[0], np.generic):
            numbers[made] = call.args[0]
        elif call.function in (np.ones, np.zeros) and len(call.args) == 2:
            numbers[made] = np.dtype(made.dtype).type(call.function is np.ones)
        elif _is_elementwise(call.function) and not call.several and not call.kwargs:
            args = [numbers.get(arg, arg) if isinstance(arg, Value) else arg for arg in call.args]
            others = [arg for arg in args if isinstance(arg, Value)]
            if not others and made.is_array:
                numbers[made] = call.function(*args)
            elif any(value.shape == made.shape for value in others):
                return [_like(call, call.function, args, {})]
        return None

    return rewrite(program, change)


def _is_elementwise(function: Function) -> bool:
    """Whether a function gives the same for a number as for an array of it: not so np.power for 2 and for many 2s."""
    return isinstance(function, np.ufunc) and function.signature is None and function is not np.power


def vectors(program: Program) -> Program:
    """Multiply a matrix by a vector itself, and not by a column of it. Rounding changes if BLAS has another way."""
    makers = {call.output: call for call in program.calls}

    def change(call: Call) -> list[Call] | None:
        product = makers.get(call.args[0]) if _is_item(call, (Ellipsis, 0)) else None
        if product is None or product.function is not np.matmul or len(product.output.shape) != 2:
            return None
        left, right = product.args
        column = makers.get(right) if isinstance(right, Value) else None
        if column is None or not _is_item(column, (Ellipsis, None)):
            return None
        return [_like(call, np.matmul, (left, column.args[0]), {})]

    return rewrite(program, change)


def _is_item(call: Call, index: Any) -> bool:
    """Whether a call picks from an array by an index."""
    return call.function is operator.getitem and call.args[1] == index


def powers(program: Program) -> Program:
    """Say third and fourth powers as products. Rounding changes."""

    def change(call: Call) -> list[Call] | None:
        if call.function is not np.power or not call.output.is_array or call.kwargs:
            return None
        x, exponent = call.args
        if not isinstance(x, Value) or not _same_kind(x, call.output) or not isinstance(exponent, int | float):
            return None
        if x.dtype not in (np.float32, np.float64) or exponent not in (3, 4):
            return None
        square = _fresh(x)
        rest = x if exponent == 3 else square
        return [_like(call, np.multiply, (x, x), {}, square), _like(call, np.multiply, (square, rest), {})]

    return rewrite(program, change)


def factors(program: Program) -> Program:
    """Multiply by a product of numbers instead of by one after the other. Rounding changes."""
    uses = use_counts(program)
    scaled: dict[Value, tuple[float, Value]] = {}

    def change(call: Call) -> list[Call] | None:
        found = _scaling(call)
        if found is None:
            return None
        factor, x = found
        is_second = x in scaled and uses[x] == 1
        if is_second:
            first, x = scaled[x]
            factor *= first
        limits = np.finfo(call.output.dtype)
        if not limits.tiny <= abs(factor) <= limits.max:
            return None
        scaled[call.output] = factor, x
        return [_like(call, np.multiply, (factor, x), {})] if is_second else None

    return rewrite(program, change)


def _scaling(call: Call) -> tuple[float, Value] | None:
    """Give the number and the array, if a call multiplies floats by a known number, divides by one or negates."""
    if call.kwargs or not call.output.is_array or call.output.dtype not in (np.float32, np.float64):
        return None
    first, *others = call.args
    if call.function is np.negative:
        factor, x = -1.0, first
    elif call.function is np.multiply and isinstance(first, int | float | np.floating):
        factor, x = float(first), others[0]
    elif call.function is np.multiply and isinstance(others[0], int | float | np.floating):
        factor, x = float(others[0]), first
    elif call.function is np.divide and isinstance(others[0], int | float | np.floating) and others[0]:
        factor, x = 1 / float(others[0]), first
    else:
        return None
    return (factor, x) if isinstance(x, Value) and _same_kind(x, call.output) else None


def _is_number(x: Any, number: int) -> bool:
    return isinstance(x, int | float | np.generic) and not isinstance(x, bool) and x == number


def _same_kind(value: Value, output: Value) -> bool:
    return (value.shape, value.dtype, value.is_array) == (output.shape, output.dtype, output.is_array)


LONGEST_SUM = 1024  # more floats lose digits where they are added one by one, and not in pairs as by NumPy


def sums_as_products(program: Program) -> Program:
    """Sum products by one of vectors, and rows, columns or vectors by one with ones, as BLAS does faster.

    The order of summation changes.
    """
    makers = {call.output: call for call in program.calls}
    uses = use_counts(program)

    def change(call: Call) -> list[Call] | None:
        x = call.args[0] if call.args else None
        if call.function != np.add.reduce or call.kwargs.keys() - {"axis"} or not isinstance(x, Value):
            return None
        axis = call.kwargs.get("axis", 0)
        axis = 0 if axis is None and len(x.shape) == 1 else axis
        if uses[x] == 1 and not call.output.shape and 1 < math.prod(x.shape) <= LONGEST_SUM:
            pair = _multiplied(makers.get(x))
            if pair:
                call.output.name = call.output.name or "total"
                return [_like(call, np.vdot, pair, {})]
        if len(x.shape) not in (1, 2) or axis not in (0, 1) or x.dtype not in (np.float32, np.float64):
            return None
        count, is_column = x.shape[axis], (len(x.shape), axis) == (2, 0)  # columns NumPy adds one by one too
        if count < 2 or (count > LONGEST_SUM and not is_column):
            return None
        ones = Value("call", (count,), x.dtype, True)
        make = _like(call, np.ones, (count, np.dtype(x.dtype)), {}, ones)
        product = np.dot if len(x.shape) == 1 else np.matmul
        call.output.name = call.output.name or "total"
        return [make, _like(call, product, (x, ones) if axis == 1 else (ones, x), {})]

    return rewrite(program, change)


def _multiplied(call: Call | None) -> tuple[Value, Value] | None:
    """Give the two arrays of floats of one shape that a call multiplies."""
    if call is None or call.function is not np.multiply or call.kwargs:
        return None
    one, other = call.args
    if not isinstance(one, Value) or not isinstance(other, Value) or one.shape != other.shape:
        return None
    return (one, other) if one.dtype == other.dtype and one.dtype in (np.float32, np.float64) else None


_LINEAR: set[Function] = {
    np.matmul, np.multiply, np.negative, np.transpose, np.expand_dims, np.reshape, np.add.reduce,
}  # fmt: skip
_SUMS: set[Function] = {np.add, np.subtract}


def rates_first(program: Program) -> Program:
    """Multiply by a learning rate where a backward pass begins with a product by a number. Rounding changes.

    All is linear from there to ``rate * gradient``, as in ``rate * (Xᵀ (c G)) = Xᵀ ((rate c) G)``. So the gradients
    come out multiplied, if they are used for nothing else.
    """
    rates = _rates(program)
    multiplied: dict[Value, None] = {}
    factors: dict[Any, Value] = {}
    new: dict[Value, Value] = {}
    calls: list[Call] = []
    for call in program.calls:
        output, arrays = call.output, [value for value in call.operands() if value.is_array]
        count = sum(value in multiplied for value in arrays)
        changed = call.with_values(new)
        if output in rates and count:  # on the way: of a sum all terms must be multiplied, of a product one factor
            if count != (len(arrays) if call.function in _SUMS else 1):
                return program
            multiplied[output] = None
        elif output in rates and call.function is np.multiply and len(arrays) == 1:  # the beginning
            (number,) = (arg for arg in call.args if arg is not arrays[0])
            key = rates[output], number.item() if isinstance(number, np.generic) else number
            if key not in factors:
                factors[key] = Value("call", (), float, False)
                calls.append(_like(call, operator.mul, key, {}, factors[key]))
            changed = _like(call, np.multiply, (factors[key], new.get(arrays[0], arrays[0])), {})
            multiplied[output] = None
        elif count and call.function is np.multiply and len(arrays) == 1:  # the end: what was to be multiplied is
            new[output] = arrays[0]
            continue
        calls.append(changed)
    for value in multiplied:
        value.name = value.name and f"scaled_{value.name}"
    return constant(program.replacing(calls, new))


def _rates(program: Program) -> dict[Value, Any]:
    """Find the values that are only used for what is then multiplied by a rate: value → linear calls → rate * result.

    Returns:
        The rate of each such value. Of two uses with two rates neither counts.
    """
    users: dict[Value, list[Call]] = {}
    for call in program.calls:
        for value in call.operands():
            users.setdefault(value, []).append(call)
    kept = set(program.kept())
    rates: dict[Value, Any] = {}

    def rate_after(call: Call, value: Value) -> Any:
        if call.function is np.multiply and call.output not in rates:
            numbers = [arg for arg in call.args if _is_given_number(arg)]
            return numbers[0] if numbers else None
        is_linear = call.function in _LINEAR and sum(operand is value for operand in call.operands()) == 1
        is_sum = call.function in _SUMS and all(isinstance(arg, Value) and arg.is_array for arg in call.args)
        is_plain = call.kwargs.keys() <= {"axis"}  # initial= and the like would be added unmultiplied
        return rates.get(call.output) if (is_linear or is_sum) and is_plain else None

    for call in reversed(program.calls):
        value = call.output
        found = {rate_after(user, value) for user in users.get(value, ())}
        is_float = value.is_array and value.dtype in (np.float32, np.float64)
        if is_float and value not in kept and len(found) == 1 and None not in found:
            (rates[value],) = found
    return rates


def scaled_products(program: Program) -> Program:
    """Say ``rate * (X.T @ G)`` as ``X.T @ (rate * G)`` where G is smaller, or is scaled anyway. Rounding changes."""
    makers = {call.output: call for call in program.calls}
    uses = use_counts(program)
    wanted: dict[Value, tuple[Any, Value]] = {}  # output of a product -> what it is multiplied by, and the result
    for call in program.calls:
        if call.function is np.multiply and call.output.is_array and not call.kwargs:
            for scale, value in (call.args, call.args[::-1]):
                maker = makers.get(value) if isinstance(value, Value) else None
                if maker and maker.function is np.matmul and uses[value] == 1 and _is_given_number(scale):
                    call.output.name = value.name and f"scaled_{value.name}"
                    wanted[value] = scale, call.output
    scaled: dict[Any, Value] = {}
    done: set[Value] = set()

    def change(call: Call) -> list[Call] | None:
        if call.output in done:
            return []
        if call.output not in wanted:
            return None
        scale, output = wanted[call.output]
        left, right = call.args
        key = scale, right
        pays = np.prod(right.shape) <= np.prod(output.shape)
        if len(output.shape) > 2 or right.dtype != output.dtype or not (pays or key in scaled):
            return None
        before = []
        if key not in scaled:
            scaled[key] = _fresh(right)
            before.append(_like(call, np.multiply, (scale, right), {}, scaled[key]))
        done.add(output)
        return [*before, _like(call, np.matmul, (left, scaled[key]), {}, output)]

    return rewrite(program, change)


def _is_given_number(x: Any) -> bool:
    """Whether something is a Python number that is known before the first call."""
    return type(x) is float or (isinstance(x, Value) and x.kind in ("input", "state") and x.dtype is float)


def use_counts(program: Program) -> Counter[Value]:
    """Count how often each value is used, as an argument or as a result."""
    uses = Counter(operand for call in program.calls for operand in call.operands())
    uses.update(value for value in program.kept() if isinstance(value, Value))
    return uses


def add_product(out: Any, scale: Any, left: Any, right: Any) -> Any:
    """Compute ``out + scale * (left @ right)``."""
    return out + scale * (left @ right)


def added_product(call: Call) -> bool:
    """Whether a call adds a product to a matrix."""
    return call.function is add_product


def updates_as_products(program: Program) -> Program:
    """Say ``W - rate * (X.T @ G)`` as one call of BLAS, if the product is used for nothing else. Rounding changes."""
    makers = {output: call for call in program.calls for output in call.outputs}
    uses = use_counts(program)
    state = {after: before for before, after in program.state if after is not before}
    opposites: dict[Any, Value] = {}

    def only_made_by(value: Any, function: Function) -> Call | None:
        maker = makers.get(value) if isinstance(value, Value) else None
        return maker if maker is not None and maker.function is function and uses[value] == 1 else None

    def change(call: Call) -> list[Call] | None:
        before = state.get(call.output)
        if call.function is not np.subtract or before is None or call.args[0] is not before or len(before.shape) != 2:
            return None
        scaled = only_made_by(call.args[1], np.multiply)
        for rate, value in () if scaled is None else (scaled.args, scaled.args[::-1]):
            product = only_made_by(value, np.matmul)
            if (
                product is not None
                and _is_given_number(rate)
                and {v.dtype for v in product.operands()} == {before.dtype}
            ):
                is_new = rate not in opposites
                negative = opposites.setdefault(rate, Value("call", (), float, False, "negative_rate"))
                update = _like(call, add_product, (before, negative, *product.args), {})
                return [_like(call, operator.neg, (rate,), {}, negative), update] if is_new else [update]
        return None

    return dead(rewrite(program, change))


PASSES: dict[str, Pass] = {
    "variances": variances,
    "lower": lower,
    "constant": constant,
    "filled": filled,
    "neutral": neutral,
    "vectors": vectors,
    "powers": powers,
    "factors": factors,
    "sums_as_products": sums_as_products,
    "repeated": repeated,
    "dead": dead,
    "rates_first": rates_first,
    "scaled_products": scaled_products,
    "updates_as_products": updates_as_products,
}
INEXACT = {
    "vectors",
    "powers",
    "factors",
    "variances",
    "sums_as_products",
    "rates_first",
    "scaled_products",
    "updates_as_products",
}
OF_BACKEND = {
    "sums_as_products": "numpy",
    "rates_first": "numpy",
    "scaled_products": "numpy",
    "updates_as_products": "numba",
}


def simplified(program: Program, exact: bool, without: frozenset[str] = frozenset(), backend: str = "numpy") -> Program:
    """Run the passes."""
    for name, simplify in PASSES.items():
        is_for_it = OF_BACKEND.get(name, backend) == backend
        if is_for_it and name not in without and not (exact and name in INEXACT):
            program = simplify(program)
    return program
