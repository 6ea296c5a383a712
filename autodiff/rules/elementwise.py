"""Functions that act on each element by itself. Broadcasting is the tape's business: no rule here mentions shapes.

At kinks and ties the derivative is the one PyTorch takes: 0 for ``abs`` and ``relu`` at 0, one half each for equal
arguments of ``maximum`` and ``minimum``, 1 on the bounds of ``clip``.
"""

from typing import Any

import numpy as np

from autodiff.activations import relu, sigmoid
from autodiff.tape import defvjp
from autodiff.tensor import astype

# Arithmetic

defvjp(np.add, lambda g, out, x, y: g, lambda g, out, x, y: g)
defvjp(np.subtract, lambda g, out, x, y: g, lambda g, out, x, y: -g)
defvjp(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
defvjp(np.divide, lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y)
defvjp(np.negative, lambda g, out, x: -g)
defvjp(np.positive, lambda g, out, x: g)
defvjp(np.reciprocal, lambda g, out, x: -g * out * out)
defvjp(np.square, lambda g, out, x: g * (2 * x))


def _power_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    """``y x^(y-1)``, and 0 where y is 0, also at x = 0."""
    if isinstance(y, int | float):
        return g * (y * x ** (y - 1)) if y else _zero(g)
    return g * (y * x ** np.where(np.equal(y, 0), 1, np.subtract(y, 1)))


def _power_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    """``x^y log x``, and 0 where x is 0 and y is not negative."""
    return g * (out * np.log(np.where(np.equal(x, 0) & (y >= 0), 1, x)))


defvjp(np.power, _power_base, _power_exponent)

# Exponentials and logarithms

defvjp(np.exp, lambda g, out, x: g * out)
defvjp(np.exp2, lambda g, out, x: g * (out * float(np.log(2))))
defvjp(np.expm1, lambda g, out, x: g * (out + 1))
defvjp(np.log, lambda g, out, x: g / x)
defvjp(np.log2, lambda g, out, x: g / (x * float(np.log(2))))
defvjp(np.log10, lambda g, out, x: g / (x * float(np.log(10))))
defvjp(np.log1p, lambda g, out, x: g / (1 + x))
defvjp(np.logaddexp, lambda g, out, x, y: g * np.exp(x - out), lambda g, out, x, y: g * np.exp(y - out))
defvjp(np.sqrt, lambda g, out, x: g / (2 * out))

# Trigonometric and hyperbolic functions

defvjp(np.sin, lambda g, out, x: g * np.cos(x))
defvjp(np.cos, lambda g, out, x: -g * np.sin(x))
defvjp(np.tan, lambda g, out, x: g * (1 + out * out))
defvjp(np.arcsin, lambda g, out, x: g / np.sqrt((1 - x) * (1 + x)))
defvjp(np.arccos, lambda g, out, x: -g / np.sqrt((1 - x) * (1 + x)))
defvjp(np.arctan, lambda g, out, x: g / (1 + x * x))
defvjp(np.sinh, lambda g, out, x: g * np.cosh(x))
defvjp(np.cosh, lambda g, out, x: g * np.sinh(x))
defvjp(np.tanh, lambda g, out, x: g - g * out * out)

# Pieces: the derivative jumps

defvjp(np.absolute, lambda g, out, x: g * np.sign(x))
defvjp(np.fabs, lambda g, out, x: g * np.sign(x))
defvjp(np.remainder, lambda g, out, x, y: g, lambda g, out, x, y: -g * np.floor_divide(x, y))


def _zero(g: Any) -> Any:
    """Nothing of ``g``, even where it is infinite."""
    return np.where(False, g, 0)


defvjp(np.floor_divide, lambda g, out, x, y: _zero(g), lambda g, out, x, y: _zero(g))
for _step in (np.sign, np.floor, np.ceil, np.trunc, np.rint):
    defvjp(_step, lambda g, out, x: _zero(g))


def _larger(g: Any, x: Any, y: Any) -> Any:
    """``g`` where x is larger than y, half of it where they are equal."""
    return np.where(x == y, g / 2, g * (x > y))


defvjp(np.maximum, lambda g, out, x, y: _larger(g, x, y), lambda g, out, x, y: _larger(g, y, x))
defvjp(np.minimum, lambda g, out, x, y: _larger(g, y, x), lambda g, out, x, y: _larger(g, x, y))


def _within(x: Any, low: Any, high: Any) -> Any:
    """Whether x lies between the bounds, on them included; None is no bound."""
    inside = True if low is None else x >= low
    return inside if high is None else inside & (x <= high)


def _clip_low(g: Any, out: Any, x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    return np.where((x < a_min) if a_max is None else (x < a_min) & (a_min < a_max), g, 0)


def _clip_high(g: Any, out: Any, x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    return np.where((x > a_max) if a_min is None else (x > a_max) | (a_min > a_max), g, 0)


def _clip_x(g: Any, out: Any, x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    return np.where(_within(x, low, high), g, 0)


defvjp(np.clip, _clip_x, _clip_low, _clip_high, elementwise=True)
defvjp(np.where, None, lambda g, out, c, x, y: np.where(c, g, 0), lambda g, out, c, x, y: np.where(c, 0, g),
       elementwise=True)  # fmt: skip

# Activations and conversions

defvjp(relu, lambda g, out, x: g * (out > 0), elementwise=True)
defvjp(sigmoid, lambda g, out, x: g * (out * (1 - out)), elementwise=True)
defvjp(astype, lambda g, out, x, dtype: g)  # the tape gives it the dtype of x
defvjp(np.copy, lambda g, out, x: g)
