"""Where a formula for a derivative is 0 / 0, and how far it holds where another takes its place."""

import numpy as np

from autodiff.arrays.whole import holds_any, looked_at
from autodiff.core.record import data_of, primitive
from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import pullback
from autodiff.core.tensor import Tensor
from autodiff.core.watch import unwatched


@primitive
def exact_to(x: Array, order: int, of: str) -> Array:
    """Give ones, to multiply by what has the right derivatives by x up to an order: further ones are refused."""
    return np.ones_like(x)


def _exact_to(g: Array, out: Array, x: Array, order: int, of: str) -> Array:
    if not order:
        raise NotImplementedError(f"{of} has no derivative rule of this order")
    return g * (exact_to(x, order - 1, of) - 1)


@primitive
def convention(x: Array, where: Array) -> Array:
    """Give zeros: times ``g``, what to add to a gradient that is a convention in some places, where it has none."""
    return np.zeros_like(x)


def by_convention(slope: Array, x: Array, where: Array) -> Array:
    """Give a slope by x that is a convention in some places: what differentiates it again finds NaN there."""
    return slope + convention(x, where) if isinstance(x, Tensor) else slope


defvjp(exact_to, _exact_to)
defvjp(convention, lambda g, out, x, where: g * np.where(where, np.nan, 0), elementwise=True)


def over_root(g: Array, out: Array) -> tuple[Array, Array | None]:
    """Give ``g / out`` for an ``out`` that is the root of a sum of squares, and where that is 0 by convention, if any.

    Where the root is zero it has no derivative, but its square has, and any function that is even in it. Its ``g`` is
    zero there too, and the quotient is the derivative of ``g`` by ``out``, for which ``g`` needs a graph; without one,
    the quotient is multiplied by what was squared, and so by zero.
    """
    is_zero = out == 0
    quotient = np.where(is_zero, 0, g / np.where(is_zero, 1, out))
    is_looked_at = looked_at(is_zero) is not None
    if not isinstance(out, Tensor) or (is_looked_at and not holds_any(is_zero)):
        return quotient, None
    if not is_looked_at or not isinstance(g, Tensor):
        return quotient, is_zero
    # Each element's by its own root is what two weightings agree on: where several are zero, as in a product of norms,
    # an element's may depend on the roots of others too, and then there is no second derivative.
    ones = np.ones_like(data_of(g))
    uneven = (1 + np.sin(np.arange(1.0, g.size + 1)).reshape(g.shape) / 2).astype(g.dtype) * ones
    with unwatched():
        slope, other = (
            pullback([(g, weight)], True, (out,), "none").get(out, np.zeros_like(uneven)) / weight
            for weight in (ones, uneven)
        )
    differs = np.abs(data_of(slope - other)) > np.finfo(g.dtype).eps ** 0.5 * np.max(np.abs(data_of(slope)))
    is_smooth = is_zero & (data_of(g) == 0) & ~differs
    slope = slope * exact_to(out, 3, "what is even in a norm or deviation, at its zero,")
    return np.where(is_smooth, slope, quotient), is_zero & ~is_smooth
