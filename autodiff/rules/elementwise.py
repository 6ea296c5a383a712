"""Functions that act on each element by itself. Broadcasting is the tape's business: no rule here mentions shapes.

At kinks and ties the derivative is the one PyTorch takes: 0 for ``abs`` and ``relu`` at 0, one half each for equal
arguments of ``maximum`` and ``minimum`` and for equal infinities of ``logaddexp``, all of it for the first of two equal
arguments of ``fmax`` and ``fmin``, 1 on the bounds of ``clip`` (but 0 where the two are equal, and the result
constant). Functions that are constant between their jumps, such as ``floor`` and ``sign``, have derivative 0 also where
they jump.

The derivatives of ``tanh`` and the sigmoid are taken from their values, and so lose digits where these round to 1.

Of complex numbers, ``abs``, ``angle`` and ``sign`` have derivative 0 at 0; comparisons, and so maxima, go by the real
part, and by the imaginary one where that is equal, as in NumPy. Functions with branch cuts are continuous from the side
that NumPy's value is, by the sign of a zero, and so are their derivatives: for ``log``, ``sqrt``, ``angle`` and powers
the cut lies along the negative real axis, for ``log1p`` left of -1, for ``arccosh`` left of 1, for ``arcsin``,
``arccos`` and ``arctanh`` beyond 1 and -1, for ``arcsinh`` and ``arctan`` beyond i and -i.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.arrays.activations import relu, sigmoid
from autodiff.core.record import primitive
from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import conj
from autodiff.core.tensor import astype, is_complex, stop_gradient
from autodiff.rules.digits import cosine, lead, logistic, one_less_square, over_square, root_of_one_less_square
from autodiff.rules.limits import by_convention
from autodiff.transforms.composition import defcomposition

# Arithmetic

defvjp(np.add, lambda g, out, x, y: g, lambda g, out, x, y: g)
defvjp(np.subtract, lambda g, out, x, y: g, lambda g, out, x, y: -g)
defvjp(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
defvjp(np.divide, lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y)
defvjp(np.negative, lambda g, out, x: -g)
defvjp(np.positive, lambda g, out, x: g)
defvjp(np.reciprocal, lambda g, out, x: -g * out * out)
defvjp(np.square, lambda g, out, x: g * (2 * x))


@primitive
def as_complex(x: Array) -> Any:
    """Give complex numbers, which have a root and a logarithm also where they are negative."""
    return x + 0j


defvjp(as_complex, lambda g, out, x: g, elementwise=True)


def _lifted(x: Array, other: Array) -> Array:
    """Give ``x`` as a complex number if the other one is."""
    return as_complex(x) if is_complex(other) and not is_complex(x) else x


def _power_base(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``y x^(y-1)``, and 0 where y is 0, also at x = 0, where it jumps as y moves on from 0 or 1."""
    if isinstance(y, int | float):
        return g * (y * (x if y == 2 else x ** (y - 1))) if y else zero(g)
    slope = y * x ** np.where(np.equal(y, 0) & np.equal(x, 0), 1, np.subtract(y, 1))
    jumps = np.equal(x, 0) & (np.equal(y, 0) | np.equal(y, 1))
    return g * by_convention(slope, y, jumps)


def _power_exponent(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``x^y log x``, and 0 where x is 0 and y is not negative."""
    x = _lifted(x, y)
    return g * (out * np.log(np.where(np.equal(x, 0) & (y >= 0), 1, x)))


defvjp(np.power, _power_base, _power_exponent)
defvjp(np.float_power, _power_base, _power_exponent)

# Exponentials and logarithms


defvjp(np.exp, lambda g, out, x: g * out)
defvjp(np.exp2, lambda g, out, x: g * (out * math.log(2)))
defvjp(np.expm1, lambda g, out, x: g * np.exp(x))  # out + 1 would lose the digits of a small exp(x)
defvjp(np.log, lambda g, out, x: g / x)
defvjp(np.log2, lambda g, out, x: g / (x * math.log(2)))
defvjp(np.log10, lambda g, out, x: g / (x * math.log(10)))
defvjp(np.log1p, lambda g, out, x: g / (1 + x))
defvjp(np.logaddexp, lambda g, out, x, y: g * logistic(lead(x, y)), lambda g, out, x, y: g * logistic(lead(y, x)))
defvjp(
    np.logaddexp2,
    lambda g, out, x, y: g * logistic(lead(x, y) * math.log(2)),
    lambda g, out, x, y: g * logistic(lead(y, x) * math.log(2)),
)
defvjp(np.sqrt, lambda g, out, x: g / (2 * out))
defvjp(np.cbrt, lambda g, out, x: g / 3 / out / out)

# Trigonometric and hyperbolic functions

defvjp(np.sin, lambda g, out, x: g * np.cos(x))
defvjp(np.cos, lambda g, out, x: -g * np.sin(x))
defvjp(np.tan, lambda g, out, x: g * (1 + out * out))
defvjp(np.arcsin, lambda g, out, x: g / root_of_one_less_square(x))
defvjp(np.arccos, lambda g, out, x: -g / root_of_one_less_square(x))
defvjp(np.arctan, lambda g, out, x: g / (1 + x * x))
defvjp(np.arctan2, lambda g, out, y, x: g * over_square(x, x, y), lambda g, out, y, x: -g * over_square(y, x, y))
defvjp(np.hypot, lambda g, out, x, y: g * cosine(x, y, out), lambda g, out, x, y: g * cosine(y, x, out))
defvjp(np.sinh, lambda g, out, x: g * np.cosh(x))
defvjp(np.cosh, lambda g, out, x: g * np.sinh(x))
defvjp(np.tanh, lambda g, out, x: g - g * out * out)
defvjp(np.arcsinh, lambda g, out, x: g / (np.cosh(out) if is_complex(x) else np.hypot(1, x)))
defvjp(np.arccosh, lambda g, out, x: g / np.sqrt(x - 1) / np.sqrt(x - -1))  # x + 1 would lose the sign of -0j
defvjp(np.arctanh, lambda g, out, x: g / one_less_square(x))
for _to_radians in (np.deg2rad, np.radians):
    defvjp(_to_radians, lambda g, out, x: g * (math.pi / 180))
for _to_degrees in (np.rad2deg, np.degrees):
    defvjp(_to_degrees, lambda g, out, x: g * (180 / math.pi))

# What is complex where the real function is not defined: the same rules, at what NumPy has made of x

defvjp(np.emath.sqrt, lambda g, out, x: g / (2 * out))
defvjp(np.emath.log, lambda g, out, x: g / x)
defvjp(np.emath.log2, lambda g, out, x: g / (x * math.log(2)))
defvjp(np.emath.log10, lambda g, out, x: g / (x * math.log(10)))
defcomposition(np.emath.logn, lambda n, x: np.emath.log(x) / np.emath.log(n), arguments=2)
defvjp(np.emath.arcsin, lambda g, out, x: g / root_of_one_less_square(_lifted(x, out)))
defvjp(np.emath.arccos, lambda g, out, x: -g / root_of_one_less_square(_lifted(x, out)))
defvjp(np.emath.arctanh, lambda g, out, x: g / one_less_square(x))
defvjp(
    np.emath.power,
    lambda g, out, x, p: _power_base(g, out, _lifted(x, out), p),
    lambda g, out, x, p: _power_exponent(g, out, _lifted(x, out), p),
    elementwise=True,
)

# Pieces: the derivative jumps


def _sign(g: Array, out: Array, x: Array) -> Array:
    """Zero; of a complex number, what turns ``x/|x|``: the part of ``g`` that is not along ``conj(out)``, over |x|."""
    if not is_complex(x):
        return zero(g)
    across = g - np.real(g * out) * np.conjugate(out)
    return np.where(np.equal(x, 0), 0, across / np.where(np.equal(x, 0), 1, np.absolute(x)))


defvjp(np.sign, _sign)
defvjp(np.absolute, lambda g, out, x: g * conj(np.sign(x)))
defvjp(np.fabs, lambda g, out, x: g * np.sign(x))
defvjp(np.remainder, lambda g, out, x, y: g, lambda g, out, x, y: -g * np.floor_divide(x, y))
# (x - out) / y is x / y without its fraction, but for rounding.
defvjp(np.fmod, lambda g, out, x, y: g, lambda g, out, x, y: -g * np.rint((x - out) / y))
defvjp(np.divmod, lambda g, out, x, y: g[1], lambda g, out, x, y: -g[1] * np.floor_divide(x, y))
defvjp(np.modf, lambda g, out, x: np.where(np.isinf(x), 0, g[0]))


def _angle(g: Array, out: Array, x: Array, deg: bool = False) -> Array:
    """Zero; of a complex number, the imaginary part of ``dx / x``."""
    if not is_complex(x):
        return zero(g)
    origin = np.equal(x, 0)
    slope = np.where(origin, 0, -1j / np.where(origin, 1, x)) * (180 / math.pi if deg else 1)
    return g * by_convention(slope, x, origin)


def _nan_to_num(g: Array, out: Array, x: Array, *, nan: Any = 0, posinf: Any = None, neginf: Any = None) -> Array:
    """``g`` where x is finite; its real and imaginary parts are looked at each by itself."""
    if not is_complex(x):
        return np.where(np.isfinite(x), g, 0)
    return np.where(np.isfinite(np.real(x)), np.real(g), 0) + 1j * np.where(np.isfinite(np.imag(x)), np.imag(g), 0)


def zero(g: Array) -> Array:
    """Nothing of ``g``, even where it is infinite."""
    return np.where(False, g, 0)


def in_steps(dtype: Any) -> bool:
    """Whether what is converted to a dtype moves in steps, as integers do."""
    return dtype is not None and np.dtype(dtype).kind in "iub"


def through(g: Array, dtype: Any) -> Array:
    """Give what of ``g`` comes back through a conversion to a dtype."""
    return zero(g) if in_steps(dtype) else g


defvjp(np.floor_divide, lambda g, out, x, y: zero(g), lambda g, out, x, y: zero(g))
for _step in (np.floor, np.ceil, np.trunc, np.rint, np.fix, np.spacing):
    defvjp(_step, lambda g, out, x: zero(g))
for _rounding in (np.round, np.around):
    defvjp(_rounding, lambda g, out, x, decimals=0: zero(g))
defvjp(np.angle, _angle)
defvjp(np.heaviside, lambda g, out, x, y: zero(g), lambda g, out, x, y: np.where(np.equal(x, 0), g, 0))
defvjp(np.copysign, lambda g, out, x, y: g * (np.sign(x) * np.sign(out)), lambda g, out, x, y: zero(g))
defvjp(np.nextafter, lambda g, out, x, y: g, lambda g, out, x, y: zero(g))
defvjp(np.ldexp, lambda g, out, x, i: np.ldexp(g, i))


def _frexp(g: Array, out: Array, x: Array) -> Array:
    """``g 2^-exponent``, for the mantissa; at 0, where it jumps at every step, NaN."""
    _, exponent = np.frexp(stop_gradient(x))
    return np.ldexp(g[0] * np.where(np.equal(x, 0), np.nan, 1), -exponent)


defvjp(np.frexp, _frexp)
defvjp(np.conjugate, lambda g, out, x: conj(g))
defvjp(np.real, lambda g, out, x: g)
defvjp(np.imag, lambda g, out, x: g * -1j if is_complex(x) else zero(g))
defvjp(np.real_if_close, lambda g, out, x, tol=100: g)
defvjp(np.unwrap, lambda g, out, x, discont=None, axis=-1, *, period=0: g)
defvjp(np.nan_to_num, _nan_to_num)


def _larger(g: Array, x: Array, y: Array) -> Array:
    """``g`` where x is larger than y, half of it where they are equal, and all of it where either is NaN."""
    return np.where(x == y, g / 2, np.where(x < y, 0, g))


defvjp(np.maximum, lambda g, out, x, y: _larger(g, x, y), lambda g, out, x, y: _larger(g, y, x))
defvjp(np.minimum, lambda g, out, x, y: _larger(g, y, x), lambda g, out, x, y: _larger(g, x, y))
defvjp(
    np.fmax,
    lambda g, out, x, y: np.where((x >= y) | np.isnan(y), g, 0),
    lambda g, out, x, y: np.where((x >= y) | np.isnan(y), 0, g),
)
defvjp(
    np.fmin,
    lambda g, out, x, y: np.where((x <= y) | np.isnan(y), g, 0),
    lambda g, out, x, y: np.where((x <= y) | np.isnan(y), 0, g),
)


def _clip_low(g: Array, out: Array, x: Array, a_min: Array = None, a_max: Array = None) -> Array:
    return np.where((x < a_min) if a_max is None else (x < a_min) & (a_min <= a_max), g, 0)


def _clip_high(g: Array, out: Array, x: Array, a_min: Array = None, a_max: Array = None) -> Array:
    return np.where((x > a_max) if a_min is None else (x > a_max) | (a_min > a_max), g, 0)


def _clip_x(g: Array, out: Array, x: Array, a_min: Array = None, a_max: Array = None) -> Array:
    inside = True if a_min is None else x >= a_min
    inside = inside if a_max is None else inside & (x <= a_max)
    if a_min is not None and a_max is not None:
        inside = inside & np.less(a_min, a_max)  # between equal bounds, nothing moves
    return np.where(inside, g, 0)


defvjp(np.clip, _clip_x, _clip_low, _clip_high, elementwise=True)
defvjp(np.where, None, lambda g, out, c, x, y: np.where(c, g, 0), lambda g, out, c, x, y: np.where(c, 0, g),
       elementwise=True)  # fmt: skip

# Activations and conversions

defvjp(relu, lambda g, out, x: g * (out > 0), elementwise=True)
defvjp(sigmoid, lambda g, out, x: g * (out * (1 - out)), elementwise=True)
defvjp(astype, lambda g, out, x, dtype: g)  # the tape gives it the dtype of x
defvjp(np.copy, lambda g, out, x, order="K": g)

# Each element of one argument with each of the other


def _outer(ufunc: np.ufunc) -> Callable[[Array, Array], Array]:
    """Say the ufunc's outer as a call that broadcasts."""
    return lambda x, y: ufunc(np.expand_dims(x, tuple(range(-np.ndim(y), 0))), y)


for _ufunc in (
    np.add, np.subtract, np.multiply, np.divide, np.power,
    np.maximum, np.minimum, np.hypot, np.arctan2, np.logaddexp,
):  # fmt: skip
    defcomposition(_ufunc.outer, _outer(_ufunc), arguments=2)
