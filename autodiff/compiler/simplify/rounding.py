"""Simplifications of a program that may change rounding, each a function that gives another program."""

from __future__ import annotations

import math
import operator
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from autodiff.compiler.program import Call, Program, Value, values_in
from autodiff.compiler.record.recorder import updated
from autodiff.compiler.simplify.exact import dead, fold_constants
from autodiff.compiler.simplify.rewriting import Makers, fresh, inexact, is_float, like, made_by, original, rewrite
from autodiff.compiler.simplify.views import shortened
from autodiff.core.rule import Array, Function, describe


@inexact
def variances(program: Program) -> Program:
    """Say variances and standard deviations of floats by sums, which others may need too.

    Requires nothing, but `lower` must go on. Gives no `np.var` and `np.std`, but of rare options and few numbers.
    May change rounding, since squares are added in another order.
    """

    def change(call: Call, _: Makers) -> list[Call] | None:
        x = call.args[0] if len(call.args) == 1 else None
        axis, keepdims, ddof, *others = ({"axis": None, "keepdims": False, "ddof": 0} | dict(call.kwargs)).values()
        if call.function not in (np.var, np.std) or not is_float(x) or others or not isinstance(ddof, int | float):
            return None
        axes = range(len(x.shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        reduced = {k % len(x.shape) for k in axes}
        kept = tuple(1 if k in reduced else n for k, n in enumerate(x.shape))
        count = math.prod(x.shape) // max(1, math.prod(kept)) - ddof
        if count <= 0 or not x.shape:
            return None
        mean, error, square = (Value("call", shape, x.dtype, True) for shape in (kept, x.shape, x.shape))
        total, variance = fresh(call.output), fresh(call.output) if call.function is np.std else call.output
        calls = [
            like(call, np.mean, (x,), {"axis": axis, "keepdims": True}, mean),
            like(call, np.subtract, (x, mean), {}, error),
            like(call, np.multiply, (error, error), {}, square),
            like(call, np.sum, (square,), {"axis": axis, "keepdims": keepdims}, total),
            like(call, np.divide if total.is_array else operator.truediv, (total, count), {}, variance),
        ]
        return calls if variance is call.output else [*calls, like(call, np.sqrt, (variance,))]

    return rewrite(program, change)


@inexact
def copies(program: Program) -> Program:
    """Leave out copies of any array, what else gives the elements of one again, and views of views of any.

    Requires nothing; it is for what `neutral` and `views` have left. Gives no copies. May change rounding, if BLAS has
    another way for an array with gaps in memory.
    """
    return shortened(rewrite(program, original), exact=False)


@inexact
def powers(program: Program) -> Program:
    """Say third and fourth powers of floats as products.

    Requires nothing; squares are for `lower`. Gives two products for each. May change rounding, as both are rounded.
    """

    def change(call: Call, _: Makers) -> list[Call] | None:
        x, exponent = (*call.args, None, None)[:2]
        is_power = call.function is np.power and not call.kwargs and is_float(x) and x.form == call.output.form
        if not is_power or not isinstance(exponent, int | float) or exponent not in (3, 4):
            return None
        square = fresh(x)
        rest = square, x if exponent == 3 else square
        return [like(call, np.multiply, (x, x), {}, square), like(call, np.multiply, rest)]

    return rewrite(program, change)


@inexact
def factors(program: Program) -> Program:
    """Multiply floats by a product of numbers, where it is one that they can have, instead of by one after the other.

    Requires nothing, but sees numbers only where `fold_constants` has run. Gives one product for negations, products
    and quotients by numbers, of what is used for nothing else. May change rounding, since there is less of it.
    """
    uses = program.use_counts()
    scaled: dict[Value, tuple[float, Value]] = {}

    def change(call: Call, _: Makers) -> Any:
        factor, x = _scaling(call)
        if x is None:
            return None
        is_second = x in scaled and uses[x] == 1
        if is_second:
            first, x = scaled[x]
            factor *= first
        limits = np.finfo(call.output.dtype)
        if not limits.tiny <= abs(factor) <= limits.max:
            return None
        scaled[call.output] = factor, x
        if not is_second or factor == 1:
            return x if is_second else None
        return [like(call, np.negative, (x,)) if factor == -1 else like(call, np.multiply, (factor, x))]

    return dead(rewrite(program, change))


def _scaling(call: Call) -> tuple[float, Value | None]:
    """Give the number and the array, if a call multiplies floats by a known number, divides by one or negates."""
    x, number = (*call.args, -1.0, None)[:2]
    if call.function is np.multiply and not isinstance(x, Value):
        x, number = number, x
    is_scaled = call.function in (np.multiply, np.divide, np.negative) and isinstance(number, int | float | np.floating)
    if not is_scaled or call.kwargs or not is_float(x) or x.form != call.output.form:
        return 0.0, None
    return 1 / float(number) if number and call.function is np.divide else float(number), x


@inexact
def signs(program: Program) -> Program:
    """Subtract floats instead of adding what was negated, and negate products instead of what is multiplied.

    Requires nothing, but `factors` makes fewer signs before. Gives no sum with what `np.negative` gives, and negates
    what it gives after a product or a quotient, if used for nothing else. May change rounding in signs: of 0 and NaN.
    """
    uses = program.use_counts()

    def change(call: Call, makers: Makers) -> Any:
        function, output = call.function, call.output
        opposites: list[Any] = [one and one.args[0] for one in (made_by(arg, np.negative, makers) for arg in call.args)]
        if call.kwargs or not is_float(output):
            return None
        if function is np.negative:
            difference = made_by(call.args[0], np.subtract, makers) if uses[call.args[0]] == 1 else None
            return opposites[0] or (difference and [like(call, np.subtract, difference.args[::-1])])
        if function not in (*_SUMS, np.multiply, np.divide) or not any(opposites):
            return None
        (x, y), (minus_x, minus_y) = call.args, opposites
        if function in _SUMS and minus_y:
            return [like(call, np.subtract if function is np.add else np.add, (x, minus_y))]
        if function is np.add:
            return [like(call, np.subtract, (y, minus_x))]
        if function is np.subtract or (minus_x and minus_y) or uses[y if minus_y else x] > 1:
            return None
        if (minus_y or minus_x).shape != output.shape:  # there is less to negate
            return None
        product = fresh(output)
        args = (x, minus_y) if minus_y else (minus_x, y)
        return [like(call, function, args, {}, product), like(call, np.negative, (product,))]

    return dead(rewrite(program, change))


LONGEST_SUM = 1024  # more floats lose digits where they are added one by one, as NumPy adds columns only


@inexact
def sums_as_products(program: Program) -> Program:
    """Sum products by one of vectors, and rows, columns or vectors by one with ones, as BLAS does faster.

    Requires `lower`, which says sums in one way. Gives `np.vdot`, `np.dot` or `np.matmul` for sums of floats, but of
    many one by one. May change rounding, as the order of summation.
    """
    uses = program.use_counts()
    ones: dict[Any, Value] = {}

    def change(call: Call, makers: Makers) -> list[Call] | None:
        x = call.args[0] if len(call.args) == 1 else None
        if call.function != np.add.reduce or call.kwargs.keys() - {"axis"} or not is_float(x):
            return None
        product = made_by(x, np.multiply, makers) if uses[x] == 1 else None
        is_of_two = product and all(is_float(arg) and arg.form == x.form for arg in product.args)
        axis, ndim = call.kwargs.get("axis", 0), len(x.shape)
        axis = 0 if axis is None and ndim == 1 else axis
        if product and is_of_two and not call.output.shape and 1 < math.prod(x.shape) <= LONGEST_SUM:
            calls = [like(call, np.vdot, product.args)]
        elif ndim in (1, 2) and axis in (0, 1) and 2 <= x.shape[axis] <= (math.inf if axis < ndim - 1 else LONGEST_SUM):
            is_new = (x.shape[axis], x.dtype) not in ones
            one = ones.setdefault((x.shape[axis], x.dtype), Value("call", (x.shape[axis],), x.dtype, True))
            calls = [like(call, np.ones, (*one.shape, np.dtype(x.dtype)), {}, one)] if is_new else []
            calls.append(like(call, np.dot if ndim == 1 else np.matmul, (x, one) if axis == 1 else (one, x)))
        else:
            return None
        if call.output.after is None:
            call.output.name = call.output.name or "total"
        return calls

    return dead(rewrite(program, change))


_LINEAR: set[Function] = {
    np.matmul, np.multiply, np.negative, np.transpose, np.expand_dims, np.reshape, np.add.reduce,
}  # fmt: skip
_SUMS: set[Function] = {np.add, np.subtract}


@inexact
def rates_first(program: Program) -> Program:
    """Multiply by a learning rate where a backward pass begins with a product by a number, if all is linear from there.

    So the gradients come out multiplied, as in ``rate * (Xᵀ (c G)) = Xᵀ ((rate c) G)``, if used for nothing else.

    Requires `lower`, which says sums in one way, and `factors`, which leaves one number to begin with. Gives no product
    of a gradient and a rate, or the program itself. May change rounding, since sums are taken of other numbers.
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
            other = like(call, np.multiply, (factors[key], new.get(arrays[0], arrays[0])))
            multiplied[output] = None
        elif count and call.function is np.multiply and len(arrays) == 1:  # the end: what was to be multiplied is
            new[output] = arrays[0]
            continue
        calls.append(other)
    for value in multiplied:
        value.name = value.name and f"scaled_{value.name}"
        value.after = value.after and (f"scaled_{value.after[0]}", value.after[1])
    for output, value in new.items():
        if output.after:  # it is a gradient itself
            value.name, value.after = output.name, output.after
    return fold_constants(program.replacing(calls, new))


def _factor(call: Call) -> Any:
    """Give the number by which a call multiplies floats, if a rate times it surely is no less exact."""
    others = [arg for arg in call.args if not is_float(arg) or arg.form != call.output.form]
    is_product = call.function is np.multiply and len(others) == 1 and not call.kwargs
    return others[0] if is_product and _is_moderate(others[0]) else None


def _is_moderate(x: Any) -> bool:
    """Whether something is a number that is far from underflow and overflow."""
    return not isinstance(x, Value) and 1e-12 <= abs(x) <= 1e12


def _rates(program: Program) -> dict[Value, Any]:
    """Give the one rate by which all that is computed of a value, in linear calls, is multiplied in the end."""
    found: dict[Value, set[Any]] = defaultdict(set, {value: {None} for value in values_in(program.outcomes())})
    rates: dict[Value, Any] = {}
    for call in reversed(program.calls):
        output, operands = call.output, Counter(call.operands())
        if is_float(output) and len(found[output]) == 1 and None not in found[output]:
            (rates[output],) = found[output]
        is_sum = call.function in _SUMS and all(isinstance(arg, Value) and arg.is_array for arg in call.args)
        rate = rates.get(output) if is_sum or call.function in _LINEAR else None
        if call.function is np.multiply and output not in rates:
            rate = next(filter(_is_given_number, call.args), None)
        is_plain = call.kwargs.keys() <= {"axis"}  # initial= and the like would be added unmultiplied
        for value, count in operands.items():
            found[value].add(rate if is_plain and (is_sum or count == 1) else None)
    return rates


def _is_given_number(x: Any) -> bool:
    """Whether something is a Python number that is known before the first call, and may be multiplied by others."""
    is_given = isinstance(x, Value) and x.kind in ("input", "state") and x.dtype is float
    return is_given or (type(x) is float and _is_moderate(x))


def increased(array: Array, index: Any, ufunc: np.ufunc, value: Array) -> Array:
    """Give a copy of an array, with a value added to some elements, or subtracted: as the ufunc does."""
    copy = np.array(array)
    copy[index] = ufunc(copy[index], value)
    return copy


describe(increased, is_new=True, takes_out=True)


@inexact
def increments(program: Program) -> Program:
    """Add to a part of an array, as ``x[1:] += v``, in place of the sum of it and of zeros of which a part is replaced.

    Requires `lower`, which says gradients of views as such zeros. Gives `increased` for sums and differences of floats.
    May change rounding in signs: of 0.
    """
    uses = program.use_counts()

    def change(call: Call, makers: Makers) -> list[Call] | None:
        if call.function not in _SUMS or call.kwargs or not is_float(call.output):
            return None
        for array, term in (call.args, call.args[::-1] if call.function is np.add else call.args):
            part = made_by(term, updated, makers) if uses[term] == 1 else None
            zeros = part and made_by(part.args[0], np.zeros, makers)
            if part and zeros and is_float(array) and array.form == term.form == call.output.form:
                _, index, value = part.args
                return [like(call, increased, (array, index, call.function, value))]
        return None

    return dead(rewrite(program, change))


def add_product(out: Array, scale: Any, left: Array, right: Array) -> Array:
    """Compute ``out + scale * (left @ right)``."""
    return out + scale * (left @ right)


@inexact
def updates_as_products(program: Program) -> Program:
    """Say ``W - rate * (X.T @ G)`` as one call of BLAS, if the product is used for nothing else.

    Requires nothing. Gives `add_product` for such updates of matrices of the state, and nothing that is then of no use.
    May change rounding, since the sum is taken in another order.
    """
    uses = program.use_counts()
    state = {after: before for before, after in program.state if after is not before}
    opposites: dict[Any, Value] = {}

    def change(call: Call, makers: Makers) -> list[Call] | None:
        before = state.get(call.output)
        if call.function is not np.subtract or before is None or call.args[0] is not before or len(before.shape) != 2:
            return None
        scaled = made_by(call.args[1], np.multiply, makers)
        for rate, value in (scaled.args, scaled.args[::-1]) if scaled and uses[scaled.output] == 1 else ():
            product = made_by(value, np.matmul, makers) if uses[value] == 1 and value.form == before.form else None
            if product and _is_given_number(rate) and all(one.dtype == before.dtype for one in product.args):
                is_new = rate not in opposites
                negative = opposites.setdefault(rate, Value("call", (), float, False, "negative_rate"))
                update = like(call, add_product, (before, negative, *product.args))
                return [like(call, operator.neg, (rate,), {}, negative), update] if is_new else [update]
        return None

    return dead(rewrite(program, change))
