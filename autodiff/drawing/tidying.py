"""What a person would not write down is taken out of an expression: factors of one, double signs, copies."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autodiff.arrays.placement import scatter_add
from autodiff.arrays.sums import total
from autodiff.core.rule import Function, facts_of, is_elementwise
from autodiff.core.tape import conj
from autodiff.core.tensor import is_complex
from autodiff.drawing.symbols import Symbol, call, values_of
from autodiff.drawing.text import WAYS, is_number

SPREADING: set[Function] = {np.broadcast_to, np.reshape, np.expand_dims}  # one number over many places


def tidied(expression: Any, values: Mapping[str, Any]) -> Any:
    """Simplify an expression, with values known in place of some names."""
    if type(expression) in (list, tuple):
        return type(expression)(tidied(one, values) for one in expression)
    if not isinstance(expression, Symbol):
        return expression
    if expression.function is None:
        return values.get(expression.name, expression)
    args = _fitting(expression, tuple(tidied(one, values) for one in expression.args))
    if expression.function in SPREADING and values and not _shape(args[0]):
        return args[0]  # where it is multiplied with, a number stands for as many of it as are needed
    is_filled = isinstance(args[0], Symbol) and args[0].function in (np.zeros_like, np.ones_like)
    if is_filled and (expression.function in (np.reshape, operator.getitem) or facts_of(expression.function).is_view):
        return Symbol(_rebuilt(expression, args).value, function=args[0].function, args=args[0].args)
    tidy = _TIDIED.get(expression.function)
    simpler = tidy(*args, **expression.kwargs) if tidy else None
    if simpler is not None:
        return simpler
    return _rebuilt(expression, args)


def _fitting(expression: Symbol, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Leave an argument as it was where a simpler one has another shape and the function does not broadcast."""
    function: Any = expression.function
    if is_elementwise(function) or facts_of(function).is_copy or function in SPREADING:
        return args
    return tuple(new if _shape(new) == _shape(old) else old for new, old in zip(args, expression.args))


def _shape(x: Any) -> Any:
    """Give the shape of a symbol or number, or those in a list."""
    if isinstance(x, Symbol):
        return getattr(x.value, "shape", None)
    return list(map(_shape, x)) if type(x) in (list, tuple) else ()


def _rebuilt(expression: Symbol, args: tuple[Any, ...]) -> Symbol:
    if all(new is old for new, old in zip(args, expression.args)):
        return expression
    whole = expression.function(*values_of(args), **values_of(expression.kwargs))  # type: ignore[misc]
    return Symbol(whole, function=expression.function, args=args, kwargs=expression.kwargs)


def is_the_number(x: Any, number: float) -> bool:
    """Whether something is a number, and this one."""
    return is_number(x) and not isinstance(x, Symbol) and x == number


def _same(a: Any, b: Any) -> bool:
    """Whether two expressions are written alike."""
    if a is b:
        return True
    if isinstance(a, Symbol) and isinstance(b, Symbol):
        alike = a.name == b.name and a.function is b.function and len(a.args) == len(b.args)
        return alike and all(map(_same, a.args, b.args)) and repr(a.kwargs) == repr(b.kwargs)
    if type(a) in (list, tuple) and type(a) is type(b) and len(a) == len(b):
        return all(map(_same, a, b))
    return type(a) is type(b) and is_number(a) and a == b


@dataclass
class _Fraction:
    """Factors and divisors, the numbers among them apart."""

    number: Any = 1
    divisor: Any = 1
    factors: list[Any] = field(default_factory=list)
    divisors: list[Any] = field(default_factory=list)

    def take(self, x: Any, above: bool = True) -> None:
        """Take a product apart, and its parts in: above or below the line."""
        function = x.function if isinstance(x, Symbol) else None
        if function is np.multiply:
            self.take(x.args[0], above)
            self.take(x.args[1], above)
        elif function is np.divide:
            self.take(x.args[0], above)
            self.take(x.args[1], not above)
        elif function is np.negative:
            self.number = -self.number
            self.take(x.args[0], above)
        elif isinstance(x, Symbol) or not is_number(x):
            (self.factors if above else self.divisors).append(x)
        elif above:
            self.number = self.number * x
        else:
            self.divisor = self.divisor * x


def _powers(factors: Sequence[Any]) -> Any:
    """Multiply factors, equal ones as a power."""
    counted: list[tuple[Any, int]] = []
    for factor in factors:
        base, exponent = factor, 1
        if isinstance(factor, Symbol) and factor.function is np.power and type(factor.args[1]) is int:
            base, exponent = factor.args
        for k, (other, count) in enumerate(counted):
            if _same(base, other):
                counted[k] = other, count + exponent
                break
        else:
            counted.append((base, exponent))
    powers = [call(np.power, base, count) if count != 1 else base for base, count in counted]
    return functools.reduce(lambda a, b: call(np.multiply, a, b), powers) if powers else None


def _multiplied(*factors: Any, divisors: Sequence[Any] = ()) -> Any:
    """Write a product as one fraction, its sign before it and its number first."""
    if not all(isinstance(one, Symbol) or is_number(one) for one in (*factors, *divisors)):
        return None
    parts = _Fraction()
    for factor in factors:
        parts.take(factor)
    for divisor in divisors:
        parts.take(divisor, above=False)
    number, divisor = (-parts.number, -parts.divisor) if _is_negative(parts.divisor) else (parts.number, parts.divisor)
    if number == 0:
        return 0
    above, below = _powers(parts.factors), _powers(parts.divisors)
    size = -number if _is_negative(number) else number
    if above is None:
        above = size
    elif size != 1:
        above = call(np.multiply, size, above)
    if divisor != 1:
        below = divisor if below is None else call(np.multiply, divisor, below)
    whole = above if below is None else call(np.divide, above, below)
    if not _is_negative(number):
        return whole
    return -whole if is_number(whole) else call(np.negative, whole)


def _power(x: Any, exponent: Any) -> Any:
    if is_the_number(exponent, 1):
        return x
    return 1 if is_the_number(exponent, 0) else None


def _negated(x: Any) -> Any:
    """Give −x without its sign, if x has one."""
    if isinstance(x, Symbol):
        return x.args[0] if x.function is np.negative else None
    return -x if is_number(x) and _is_negative(x) else None


def _is_negative(number: Any) -> bool:
    """Whether a number has a sign that can be written before what it is a factor of: a complex one has none."""
    return not is_complex(number) and bool(number < 0)


def _added(x: Any, y: Any) -> Any:
    if is_the_number(x, 0) or is_the_number(y, 0):
        return y if is_the_number(x, 0) else x
    if not isinstance(x, Symbol) and not isinstance(y, Symbol):
        return x + y
    for one, other in ((x, y), (y, x)):
        if _negated(other) is not None:
            return call(np.subtract, one, _negated(other))
    return None


def _subtracted(x: Any, y: Any) -> Any:
    if is_the_number(y, 0):
        return x
    if is_the_number(x, 0):
        return _multiplied(-1, y)
    if not isinstance(x, Symbol) and not isinstance(y, Symbol):
        return x - y
    return None if _negated(y) is None else call(np.add, x, _negated(y))


def _where(condition: Any, x: Any, y: Any) -> Any:
    if isinstance(condition, bool | np.bool_):
        return x if condition else y
    x, y = (tidied(_assuming(one, condition, k == 0), {}) for k, one in enumerate((x, y)))
    return x if _same(x, y) else call(np.where, condition, x, y)


def _assuming(expression: Any, condition: Any, holds: bool) -> Any:
    """Make the choices in an expression that hang on a condition of which it is known whether it holds."""
    if not isinstance(expression, Symbol) or not is_elementwise(expression.function):
        return expression  # beyond, elements meet others, of which nothing is known
    args = _fitting(expression, tuple(_assuming(one, condition, holds) for one in expression.args))
    if expression.function is np.where and _same(args[0], condition):
        return args[1] if holds else args[2]
    return _rebuilt(expression, args)


def _junction(neutral: bool) -> Callable[[Any, Any], Any]:
    """Make what simplifies ``and`` (of which True is neutral) or ``or`` where one side is known."""

    def simplified(x: Any, y: Any) -> Any:
        for one, other in ((x, y), (y, x)):
            if isinstance(one, bool | np.bool_):
                return other if one == neutral else one
        return None

    return simplified


def _matrix_product(function: Function) -> Callable[[Any, Any], Any]:
    """Make what writes the sign of a matrix product before it."""

    def simplified(x: Any, y: Any) -> Any:
        negated = [_negated(one) if isinstance(one, Symbol) else None for one in (x, y)]
        signs = sum(one is not None for one in negated)
        if not signs:
            return None
        product = call(function, *(one if minus is None else minus for one, minus in zip((x, y), negated)))
        return call(np.negative, product) if signs == 1 else product

    return simplified


def _reshaped(x: Any, shape: Any, **kwargs: Any) -> Any:
    """Leave out what changes no shape, and of several changes all but the last."""
    if not isinstance(x, Symbol):
        return x  # a number stands for as many of it as are needed
    if kwargs:
        return None
    shape = np.reshape(x.value, shape).shape
    while isinstance(x, Symbol) and x.function is np.reshape and not x.kwargs:
        x = x.args[0]
    return x if x.shape == shape else Symbol(np.reshape(x.value, shape), function=np.reshape, args=(x, shape))


def _expanded(x: Any, axis: Any) -> Any:
    """Write new axes as an index does."""
    if not isinstance(x, Symbol) or axis == ():
        return x
    expanded = np.expand_dims(x.value, axis)
    new = {one % expanded.ndim for one in (axis if isinstance(axis, tuple) else (axis,))}
    places = tuple(None if k in new else slice(None) for k in range(max(new) + 1))
    return Symbol(expanded, function=operator.getitem, args=(x, places))


def _spread(x: Any, shape: Any) -> Any:
    return x if _shape(x) == tuple(np.broadcast_shapes(shape)) else None


def _moved(x: Any, source: Any, destination: Any) -> Any:
    if not isinstance(x, Symbol):
        return x
    ends = [
        [one % x.ndim for one in (e if isinstance(e, list | tuple | range) else (e,))] for e in (source, destination)
    ]
    return x if ends[0] == ends[1] else None


def _summed(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return x if axis == () else None


# What gives the conjugate where all that it computes with is conjugated, but for conditions and forms.
_OF_CONJUGATES: set[Function] = {
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive, np.matmul, np.dot, np.linalg.inv,
    np.linalg.solve, np.transpose, np.swapaxes, np.matrix_transpose, np.moveaxis, np.reshape, np.ravel, np.squeeze,
    np.expand_dims, np.broadcast_to, np.where, np.sum, np.add.reduce, total, np.copy, operator.getitem, scatter_add,
    np.concatenate, np.stack, np.pad, np.flip, np.roll, np.fft.fftshift, np.fft.ifftshift, np.einsum, np.tensordot,
}  # fmt: skip


def conjugated(x: Any, gradients: Collection[str]) -> Any:
    """Write the conjugate of an expression, in which each gradient is the conjugate of the one that is shown.

    Args:
        x: a symbol, or another argument of a call.
        gradients: the names of the gradients.
    """
    if type(x) in (list, tuple):
        return type(x)(conjugated(one, gradients) for one in x)
    if not isinstance(x, Symbol):
        return np.conjugate(x) if is_complex(x) else x
    if x.function is None:
        whole = Symbol(np.conjugate(x.value), x.name) if x.name in gradients else call(np.conjugate, x)
        return whole if is_complex(x) else x
    if x.function in WAYS:
        return Symbol(conj(x.value), function=x.function, args=conjugated(x.args, gradients))
    if x.function is np.conjugate:
        return _of_shown(x.args[0], gradients)
    if x.function is np.real:
        return _rebuilt(x, (conjugated(x.args[0], gradients),))
    if x.function in _OF_CONJUGATES:
        return _rebuilt(x, tuple(conjugated(one, gradients) for one in x.args))
    whole = _of_shown(x, gradients)
    return call(np.conjugate, whole) if is_complex(whole) else whole


def _of_shown(x: Any, gradients: Collection[str]) -> Any:
    """Write an expression with the conjugate of the gradient that is shown in place of each gradient."""
    if type(x) in (list, tuple):
        return type(x)(_of_shown(one, gradients) for one in x)
    if not isinstance(x, Symbol):
        return x
    if x.function is None:
        return call(np.conjugate, conjugated(x, gradients)) if x.name in gradients and is_complex(x) else x
    return _rebuilt(x, tuple(_of_shown(one, gradients) for one in x.args))


_TIDIED: dict[Function, Callable[..., Any]] = {
    np.multiply: _multiplied,
    np.divide: lambda x, y: _multiplied(x, divisors=[y]),
    np.negative: lambda x: _multiplied(-1, x),
    np.positive: lambda x: x,
    np.square: lambda x: _multiplied(x, x),
    np.reciprocal: lambda x: _multiplied(1, divisors=[x]),
    np.power: _power,
    np.add: _added,
    np.subtract: _subtracted,
    np.where: _where,
    np.astype: lambda x, dtype, **kwargs: x if is_complex(x) or np.dtype(dtype).kind != "c" else None,
    np.copy: lambda x, **kwargs: x,
    np.reshape: _reshaped,
    np.ravel: lambda x: _reshaped(x, (-1,)),
    np.squeeze: lambda x, axis=None: _reshaped(x, np.squeeze(x.value, axis=axis).shape),
    np.expand_dims: _expanded,
    np.broadcast_to: _spread,
    np.moveaxis: _moved,
    np.transpose: lambda x, axes=None: x if axes is not None and list(axes) == list(range(len(axes))) else None,
    np.sum: _summed,
    np.matmul: _matrix_product(np.matmul),
    np.logical_and: _junction(True),
    np.bitwise_and: _junction(True),
    np.logical_or: _junction(False),
    np.bitwise_or: _junction(False),
}
