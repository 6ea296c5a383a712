"""Simplifications of a program that may change rounding, each a function that gives another program."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.simplify.exact import dead, fold_constants
from autodiff.compiler.simplify.rewriting import fresh, like, original, rewrite, same_kind, use_counts
from autodiff.core.rule import Array, Function


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
        shape = tuple(1 if k in reduced else n for k, n in enumerate(x.shape))
        count = math.prod(x.shape) // max(1, math.prod(shape)) - call.kwargs.get("ddof", 0)
        if count <= 0:
            return None
        mean = Value("call", shape, x.dtype, True)
        error, square = (Value("call", x.shape, x.dtype, True) for _ in range(2))
        total, variance = fresh(call.output), fresh(call.output)
        is_root = call.function is np.std
        divide = np.divide if call.output.is_array else operator.truediv
        calls = [
            like(call, np.mean, (x,), {"axis": axis, "keepdims": True}, mean),
            like(call, np.subtract, (x, mean), {}, error),
            like(call, np.multiply, (error, error), {}, square),
            like(call, np.sum, (square,), {"axis": axis, "keepdims": call.kwargs.get("keepdims", False)}, total),
            like(call, divide, (total, count), {}, variance if is_root else call.output),
        ]
        return [*calls, like(call, np.sqrt, (variance,), {})] if is_root else calls

    return rewrite(program, change)


def copies(program: Program) -> Program:
    """Leave out copies of any array. Rounding changes, if BLAS has another way for one with gaps in memory."""
    return rewrite(program, original)


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
        return [like(call, np.matmul, (left, column.args[0]), {})]

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
        if not isinstance(x, Value) or not same_kind(x, call.output) or not isinstance(exponent, int | float):
            return None
        if x.dtype not in (np.float32, np.float64) or exponent not in (3, 4):
            return None
        square = fresh(x)
        rest = x if exponent == 3 else square
        return [like(call, np.multiply, (x, x), {}, square), like(call, np.multiply, (square, rest), {})]

    return rewrite(program, change)


def factors(program: Program) -> Program:
    """Multiply by a product of numbers instead of by one after the other. Rounding changes."""
    uses = use_counts(program)
    scaled: dict[Value, tuple[float, Value]] = {}

    def change(call: Call) -> list[Call] | None:
        scaling = _scaling(call)
        if scaling is None:
            return None
        factor, x = scaling
        is_second = x in scaled and uses[x] == 1
        if is_second:
            first, x = scaled[x]
            factor *= first
        limits = np.finfo(call.output.dtype)
        if not limits.tiny <= abs(factor) <= limits.max:
            return None
        scaled[call.output] = factor, x
        return [like(call, np.multiply, (factor, x), {})] if is_second else None

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
    return (factor, x) if isinstance(x, Value) and same_kind(x, call.output) else None


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
                return [like(call, np.vdot, pair, {})]
        if len(x.shape) not in (1, 2) or axis not in (0, 1) or x.dtype not in (np.float32, np.float64):
            return None
        count, is_column = x.shape[axis], (len(x.shape), axis) == (2, 0)  # columns NumPy adds one by one too
        if count < 2 or (count > LONGEST_SUM and not is_column):
            return None
        ones = Value("call", (count,), x.dtype, True)
        make = like(call, np.ones, (count, np.dtype(x.dtype)), {}, ones)
        product = np.dot if len(x.shape) == 1 else np.matmul
        call.output.name = call.output.name or "total"
        return [make, like(call, product, (x, ones) if axis == 1 else (ones, x), {})]

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
        other = call.with_values(new)
        if output in rates and count:  # on the way: of a sum all terms must be multiplied, of a product one factor
            if count != (len(arrays) if call.function in _SUMS else 1):
                return program
            multiplied[output] = None
        elif output in rates and (number := _factor(call)) is not None:  # the beginning
            key = rates[output], number.item() if isinstance(number, np.generic) else number
            if key not in factors:
                factors[key] = Value("call", (), float, False)
                calls.append(like(call, operator.mul, key, {}, factors[key]))
            other = like(call, np.multiply, (factors[key], new.get(arrays[0], arrays[0])), {})
            multiplied[output] = None
        elif count and call.function is np.multiply and len(arrays) == 1:  # the end: what was to be multiplied is
            new[output] = arrays[0]
            continue
        calls.append(other)
    for value in multiplied:
        value.name = value.name and f"scaled_{value.name}"
    return fold_constants(program.replacing(calls, new))


def _factor(call: Call) -> Any:
    """Give the number by which a call multiplies an array, if a rate times it surely is no less exact."""
    numbers = [arg for arg in call.args if not (isinstance(arg, Value) and arg.is_array)]
    if call.function is not np.multiply or len(numbers) != 1:
        return None
    return numbers[0] if _is_moderate(numbers[0]) else None


def _is_moderate(x: Any) -> bool:
    """Whether something is a number that is far from underflow and overflow."""
    return not isinstance(x, Value) and 1e-12 <= abs(x) <= 1e12


def _rates(program: Program) -> dict[Value, Any]:
    """Find the values that are only used for what is then multiplied by a rate: value → linear calls → rate * result.

    Returns:
        The rate of each such value. Of two uses with two rates neither counts.
    """
    users: dict[Value, list[Call]] = {}
    for call in program.calls:
        for value in call.operands():
            users.setdefault(value, []).append(call)
    outcomes = set(program.outcomes())
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
        factors = {rate_after(user, value) for user in users.get(value, ())}
        is_float = value.is_array and value.dtype in (np.float32, np.float64)
        if is_float and value not in outcomes and len(factors) == 1 and None not in factors:
            (rates[value],) = factors
    return rates


def scaled_products(program: Program) -> Program:
    """Say ``rate * (X.T @ G)`` as ``X.T @ (rate * G)`` where G is smaller, or is scaled anyway. Rounding changes."""
    makers = {call.output: call for call in program.calls}
    uses = use_counts(program)
    products: dict[Value, tuple[Any, Value]] = {}  # output of a product -> what it is multiplied by, and the result
    for call in program.calls:
        if call.function is np.multiply and call.output.is_array and not call.kwargs:
            for scale, value in (call.args, call.args[::-1]):
                maker = makers.get(value) if isinstance(value, Value) else None
                if maker and maker.function is np.matmul and uses[value] == 1 and _is_given_number(scale):
                    call.output.name = value.name and f"scaled_{value.name}"
                    products[value] = scale, call.output
    scaled: dict[Any, Value] = {}
    done: set[Value] = set()

    def change(call: Call) -> list[Call] | None:
        if call.output in done:
            return []
        if call.output not in products:
            return None
        scale, output = products[call.output]
        left, right = call.args
        key = scale, right
        pays = np.prod(right.shape) <= np.prod(output.shape)
        if len(output.shape) > 2 or right.dtype != output.dtype or not (pays or key in scaled):
            return None
        before = []
        if key not in scaled:
            scaled[key] = fresh(right)
            before.append(like(call, np.multiply, (scale, right), {}, scaled[key]))
        done.add(output)
        return [*before, like(call, np.matmul, (left, scaled[key]), {}, output)]

    return rewrite(program, change)


def _is_given_number(x: Any) -> bool:
    """Whether something is a Python number that is known before the first call, and may be multiplied by others."""
    return (type(x) is float and _is_moderate(x)) or (
        isinstance(x, Value) and x.kind in ("input", "state") and x.dtype is float
    )


def add_product(out: Array, scale: Any, left: Array, right: Array) -> Array:
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
                update = like(call, add_product, (before, negative, *product.args), {})
                return [like(call, operator.neg, (rate,), {}, negative), update] if is_new else [update]
        return None

    return dead(rewrite(program, change))
