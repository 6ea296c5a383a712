"""What could be wrong with a gradient, as far as its numbers tell beside the right ones.

A hint is given only where it explains the difference to a ten-thousandth: errors of no pattern get none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from autodiff.core.tape import unbroadcast

_PART = 1e-4  # of the difference, which a hint may leave unexplained
_SLOPES: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "sigmoid": lambda x: (1 - np.tanh(x / 2) ** 2) / 4,
    "relu": lambda x: np.where(x > 0, 1.0, 0.0),
}


def hint(who: str, actual: Any, right: Any, wrong: Any, x: Any, others: dict[str, Any], counts: set[int]) -> str:
    """Say what could be wrong with the gradient by ``x``, or nothing.

    The right one differs where ``wrong`` is true. There are other arguments, and right gradients by them, of the same
    shape, by name; and counts of rows or elements, of which a mean may have been taken.
    """
    if not (np.isfinite(actual).all() and np.isfinite(right).all()):
        return ""
    difference, place = actual - right, _place(wrong)
    limit = _PART * min(np.abs(array).max() for array in (difference, actual, right))

    def same(one: Any, other: Any) -> bool:
        return bool(np.abs(one - other).max() <= limit)

    if np.any(np.imag(right)) and same(np.conjugate(actual), right):
        return f"{who} is conjugated: is np.conj missing, or one too many?"
    for name, slope in _SLOPES.items() if np.isrealobj(x) else ():
        if x.size > 2 and np.ptp(slopes := slope(x)):
            if same(right, actual * slopes):
                return f"{who} lacks the slope of {name}"
            if same(actual, right * slopes):
                return f"{who} has the slope of {name} once too often"
    if np.abs(right[wrong]).max() <= 1e-7 * np.abs(actual[wrong]).max():  # as central differences give it
        return f"{who} should give zero here"
    if not actual[wrong].any():
        return f"{who} gives zero{place}, where there is a gradient"
    factor = _share(actual[wrong], right[wrong])
    if same(actual[wrong], factor * right[wrong]):
        reason = _reason(factor, counts)
        is_simple = abs(factor) <= 12 and _is(factor, float(Fraction(factor).limit_denominator(6)))
        if reason or is_simple or wrong.sum() > 1:
            return f"{who} looks wrong by a factor of {factor:.6g}{place}{reason}"
    if actual.T.shape == right.shape and same(actual.T, right):
        return f"{who} is transposed"
    if same(np.sort(actual, axis=None), np.sort(right, axis=None)):
        return f"{who} has the right numbers in another order"
    for name, other in others.items():
        if name.startswith("the gradient") and np.ptp(other) and same(actual, other):
            return f"{who} is {name}: are they in each other's place?"
    for name, other in {" everywhere": np.ones_like(x), " times the argument": x, **others}.items():
        share = _share(difference, other)
        if wrong.sum() > 2 and same(difference, share * other):
            reason = ": is there weight decay?" if other is x else ""
            return f"{who} differs by {share:.6g}{name if name[0] == ' ' else f' times {name}'}{reason}"
    if np.abs(difference).max() <= 1e-5 * np.abs(right).max() and np.array_equal(actual, actual.astype(np.float32)):
        return f"{who} has the precision of float32"
    return f"{who} looks wrong{place} only" if place else ""


def hint_of_shape(actual: Any, right: Any) -> str:
    """Say what would make a gradient of another shape the right one, or nothing."""
    if actual.T.shape == right.shape and np.allclose(actual.T, right):
        return "; transposed, it is right"
    with contextlib.suppress(ValueError):  # where it could not have been broadcast
        if np.allclose(unbroadcast(actual, right.shape), right):
            return "; summed over the axes along which the argument was broadcast, it is right"
    return ""


def _share(whole: Any, part: Any) -> float:
    """How many times the part is in the whole, by least squares."""
    return float(np.real(np.vdot(part, whole) / (np.vdot(part, part) or 1.0)))


def _is(factor: float, number: float) -> bool:
    return abs(factor - number) <= _PART / 100 * min(abs(factor), abs(factor - 1))


def _reason(factor: float, counts: set[int]) -> str:
    reasons = {-1.0: "is it the sign?"}
    for count in sorted(counts):
        if count > 2:
            reasons[count] = f"is it the sum in place of the mean of {count}?"
            reasons[1 / count] = f"is it the mean of {count} in place of the sum?"
    reasons |= {2.0: "is a 1/2 forgotten?", 0.5: "is the 2 of a square forgotten?"}
    return next((f": {reason}" for number, reason in reasons.items() if _is(factor, number)), "")


def _place(wrong: Any) -> str:
    """Name the rows or columns, or elements of a vector, that are wrong as a whole, if all others are right."""
    for axis, word in enumerate(("row", "column")[: wrong.ndim]):
        hit = wrong.any(axis=tuple(k for k in range(wrong.ndim) if k != axis))
        if wrong.sum() == hit.sum() * (wrong.size // hit.size) and not hit.all() and wrong.sum() > 1:
            numbers = [str(number) for number in np.flatnonzero(hit)]
            shown = ", ".join(numbers[:5]) + (", ..." if len(numbers) > 5 else "")
            return f" in {'element' if wrong.ndim == 1 else word}{'s' * (len(numbers) > 1)} {shown}"
    return ""
