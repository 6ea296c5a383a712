"""The ufuncs of scipy.special, loaded when SciPy is there and one of them meets a Tensor (see `rule.py`).

Orders by which there is no closed derivative, such as that of a Bessel function, have no rule; shapes of distribution
functions have one, an integral.
The digamma function and its derivatives are known at negative numbers too, other than integers. Where a derivative is
infinite it is inf, also at the ends of `gammainc` and `betainc`; only that of the cosine integral at 0 is the largest
number of its kind, about 1 / tiny. At poles, and where infinities cancel or a wave has no end, it is NaN. By x and y
that are both 0, `xlogy`, `rel_entr` and `kl_div` have the derivative by y that they have for every positive y. Where
a rule asks how large a number is, complex ones have no derivative: see `_real`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special as sp

from autodiff.core.record import primitive
from autodiff.core.rule import Array, defvjp
from autodiff.core.tensor import is_complex, stop_gradient
from autodiff.rules.digits import cosine, series
from autodiff.rules.elementwise import zero
from autodiff.rules.limits import by_convention


class _Probe:
    """Finds the ufunc that a Python function calls."""

    def __array_ufunc__(self, ufunc: np.ufunc, *args: Any, **kwargs: Any) -> np.ufunc:
        return ufunc


zeta: Any = sp.zeta(1, _Probe())  # type: ignore[call-overload]


def _real(name: str, x: Array) -> Array:
    """Give ``x``, of which the rule asks how large it is."""
    if is_complex(x):
        raise NotImplementedError(f"{name} has no derivative rule for complex numbers")
    return x


# Exponentials and logarithms

defvjp(sp.expit, lambda g, out, x: g * (out * sp.expit(-x)))
defvjp(sp.logit, lambda g, out, x: g / x + g / (1 - x))
defvjp(sp.log_expit, lambda g, out, x: g * sp.expit(-x))
defvjp(sp.exp2, lambda g, out, x: g * (out * math.log(2)))
defvjp(sp.exp10, lambda g, out, x: g * (out * math.log(10)))
defvjp(sp.expm1, lambda g, out, x: g * np.exp(x))
defvjp(sp.log1p, lambda g, out, x: g / (1 + x))
defvjp(sp.cosm1, lambda g, out, x: -g * np.sin(x))
defvjp(sp.cbrt, lambda g, out, x: g / 3 / out / out)


def _xlogy_x(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``log y``, and 0 where x is 0 and y is not positive."""
    return g * sp.xlogy(np.not_equal(x, 0) | np.greater(y, 0), y)


def _xlogy_y(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``x / y``, and 0 where both are 0."""
    return g * (x / np.where(np.equal(x, 0) & np.equal(y, 0), 1, y))


def _xlog1py_x(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``log(1 + y)``, and 0 where x is 0 and y is not larger than -1."""
    return g * sp.xlog1py(np.not_equal(x, 0) | np.greater(y, -1), y)


def _xlog1py_y(g: Array, out: Array, x: Array, y: Array) -> Array:
    """``x / (1 + y)``, and 0 where both are 0."""
    return g * (x / np.where(np.equal(x, 0) & np.equal(y, -1), 1, np.add(y, 1)))


@primitive
def exprel_slope(k: int, x: Array) -> Array:
    """Derivative of order ``k`` of ``(exp x - 1) / x``; near 0, where its parts cancel, a hypergeometric function."""
    near = np.absolute(x) < 4 + k
    y = np.where(near, 1, x)
    far = np.expm1(y) / y
    for order in range(1, k + 1):
        far = (np.exp(y) - order * far) / y
    return np.where(near, sp.hyp1f1(k + 1, k + 2, np.where(near, x, 0)) / (k + 1), far)


@primitive
def boxcox_slope(k: int, x: Array, lmbda: Array) -> Array:
    """Derivative of order ``k`` of ``(x^λ - 1) / λ`` by λ: that of exprel at ``λ log x``, times a power of the log."""
    no_x = np.equal(x, 0)
    log = np.log(np.where(no_x, 1, x))
    positive = np.greater(lmbda, 0)
    at_zero = np.where(positive, math.factorial(k) / np.where(positive, lmbda, 1) ** (k + 1), np.inf)
    return np.where(no_x, (-1) ** (k + 1) * at_zero, log ** (k + 1) * exprel_slope(k, lmbda * log))


defvjp(exprel_slope, None, lambda g, out, k, x: g * exprel_slope(k + 1, x), elementwise=True)
defvjp(
    boxcox_slope,
    None,
    lambda g, out, k, x, lmbda: g * sp.xlogy(x ** np.subtract(lmbda, 1), x) * np.log(x) ** (k - 1),
    lambda g, out, k, x, lmbda: g * boxcox_slope(k + 1, x, lmbda),
    elementwise=True,
)
defvjp(sp.xlogy, _xlogy_x, _xlogy_y)
defvjp(sp.xlog1py, _xlog1py_x, _xlog1py_y)
defvjp(sp.entr, lambda g, out, x: -g * (np.log(x) + 1))
defvjp(sp.rel_entr, lambda g, out, x, y: g * (np.log(x / y) + 1), lambda g, out, x, y: -_xlogy_y(g, out, x, y))
defvjp(sp.kl_div, lambda g, out, x, y: g * np.log(x / y), lambda g, out, x, y: g - _xlogy_y(g, out, x, y))


def _inv_boxcox(out: Array, y: Array, lmbda: Array) -> Array:
    """``out / (1 + λy)``, which is ``out^(1 - λ)``, and where both are 0, that."""
    rest = 1 + lmbda * y
    at_end = np.equal(rest, 0)
    power = np.where(at_end, out, 1) ** np.where(at_end, np.subtract(1, lmbda), 1)
    return np.where(at_end, power, out / np.where(at_end, 1, rest))


defvjp(sp.exprel, lambda g, out, x: g * exprel_slope(1, x))
defvjp(
    sp.boxcox,
    lambda g, out, x, lmbda: g * power_product(np.subtract(lmbda, 1), 0, x, 0),
    lambda g, out, x, lmbda: g * boxcox_slope(1, x, lmbda),
)
defvjp(
    sp.inv_boxcox,
    lambda g, out, y, lmbda: g * _inv_boxcox(out, y, lmbda),
    lambda g, out, y, lmbda: -g * (_inv_boxcox(out, y, lmbda) * boxcox_slope(1, out, lmbda)),
)

# Losses


def _huber_delta(g: Array, out: Array, delta: Array, r: Array) -> Array:
    excess = np.where(np.less(np.absolute(r), delta), 0, np.absolute(r) - delta)
    return g * np.where(np.less(delta, 0), np.nan, excess)


def _huber_r(g: Array, out: Array, delta: Array, r: Array) -> Array:
    slope = np.where(np.less(np.absolute(r), delta), r, np.sign(r) * delta)
    return g * np.where(np.less(delta, 0), np.nan, slope)


def _hypotenuse(delta: Array, r: Array) -> Array:
    """``√(δ² + r²)``, and 1 where that is 0; NaN where δ is negative, and the loss infinite."""
    delta = np.where(np.less(delta, 0), np.nan, delta)
    return np.hypot(np.where(np.equal(delta, 0) & np.equal(r, 0), 1, delta), r)


def _pseudo_huber_delta(g: Array, out: Array, delta: Array, r: Array) -> Array:
    side = _hypotenuse(delta, r)
    rest = r * (r / (side + delta))  # side - delta
    return g * (rest * (rest / side))


defvjp(sp.huber, _huber_delta, _huber_r)


def _pseudo_huber_r(g: Array, out: Array, delta: Array, r: Array) -> Array:
    """``δ r / side``, whose derivatives have all their digits in the form that has the smaller of both in front."""
    side = _hypotenuse(delta, r)
    is_small = np.less(np.absolute(r), delta)
    return g * np.where(is_small, r * cosine(delta, r, side), delta * cosine(r, delta, side))


defvjp(sp.pseudo_huber, _pseudo_huber_delta, _pseudo_huber_r)

# The error function and the normal distribution

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


def _bell(x: Array, width: float) -> Array:
    """``exp(-x² / width)``, also where the square overflows."""
    if is_complex(x):
        return np.exp(x * x / -width)
    return np.exp(np.square(np.clip(x, -60, 60)) / -width)


# Far out, the derivatives of some functions are what is left when large terms have cancelled. There they are taken from
# their asymptotic expansions in 1 / x² (Abramowitz and Stegun, 7.1.23), whose coefficients are products of odd numbers.
_ODD = [math.prod(range(1, 2 * k, 2)) for k in range(21)]
_OF_DAWSN = [0.0, *(-odd / 2**k for k, odd in enumerate(_ODD) if k)]
_OF_ERFCX = [0.0, *(_TWO_OVER_ROOT_PI * odd / (-2) ** k for k, odd in enumerate(_ODD) if k)]
_RECIPROCAL = [1]
for _n in range(1, 21):
    _RECIPROCAL.append(-sum((-1) ** k * _ODD[k] * _RECIPROCAL[_n - k] for k in range(1, _n + 1)))
_OF_MILLS = [float((2 * k - 1) * one) for k, one in enumerate(_RECIPROCAL)]


def _or_tail(near: Array, far: Array, x: Array, coefficients: Sequence[float]) -> Array:
    """``near``; far out ``Σ c_k / x^(2k)``, of which the next term is below rounding, also in the derivatives."""
    return np.where(far, series(coefficients, np.square(1 / np.where(far, x, 10))), near)


@primitive
def inverse_mills(x: Array) -> Array:
    """Density of the normal distribution over its distribution function, without underflow of either."""
    return math.sqrt(2 / math.pi) / sp.erfcx(x * -math.sqrt(0.5))


defvjp(inverse_mills, lambda g, out, x: g * _or_tail(-out * (np.clip(x, -10, 60) + out), x < -10, x, _OF_MILLS))
defvjp(sp.erf, lambda g, out, x: g * (_TWO_OVER_ROOT_PI * _bell(x, 1)))
defvjp(sp.erfc, lambda g, out, x: -g * (_TWO_OVER_ROOT_PI * _bell(x, 1)))
defvjp(
    sp.erfcx,
    lambda g, out, x: (
        g * _or_tail(2 * np.clip(_real("erfcx", x), None, 10) * out - _TWO_OVER_ROOT_PI, x > 10, x, _OF_ERFCX)
    ),
)
defvjp(sp.erfi, lambda g, out, x: g * (_TWO_OVER_ROOT_PI * np.exp(x * x)))
defvjp(
    sp.dawsn,
    lambda g, out, x: (
        g * _or_tail(1 - 2 * np.clip(_real("dawsn", x), -10, 10) * out, np.absolute(x) > 10, x, _OF_DAWSN)
    ),
)
defvjp(sp.erfinv, lambda g, out, x: g * (np.exp(out * out) / _TWO_OVER_ROOT_PI))
defvjp(sp.erfcinv, lambda g, out, x: -g * (np.exp(out * out) / _TWO_OVER_ROOT_PI))
defvjp(sp.ndtr, lambda g, out, x: g * (_bell(x, 2) / _ROOT_TWO_PI))
defvjp(sp.log_ndtr, lambda g, out, x: g * inverse_mills(_real("log_ndtr", x)))
defvjp(sp.ndtri, lambda g, out, x: g * (np.exp(out * out / 2) * _ROOT_TWO_PI))
defvjp(sp.ndtri_exp, lambda g, out, x: g / inverse_mills(out))

# The gamma function and its family


def _reciprocal_slope(x: Array) -> Array:
    """Derivative of ``1 / Γ(x)``; for small x by ``1 / Γ(x) = Γ(1 - x) sin(πx) / π``, which has no poles to cancel."""
    small = x < 0.5
    y, z = np.where(small, x, 0), np.clip(x, 0.5, 200)  # beyond, it is 0
    reflected = sp.gamma(1 - y) * (np.cos(math.pi * y) - np.sinc(y) * y * sp.digamma(1 - y))
    return np.where(small, reflected, -sp.rgamma(z) * sp.digamma(z))


def _digamma_rise(a: Array, b: Array) -> Array:
    """``ψ(a + b) - ψ(a)``; where both are large, the difference of Stirling's series, term by term."""
    far = np.minimum(a, a + b) > 100
    near = sp.digamma(np.where(far, 1, a + b)) - sp.digamma(np.where(far, 1, a))
    a, b = np.where(far, a, 1), np.where(far, b, 0)
    p, q = 1 / a, 1 / (a + b)
    pp, qq = p * p, q * q
    stirling = 1 / 12 - (pp + qq) / 120 + (pp * pp + pp * qq + qq * qq) / 252
    return np.where(far, np.log1p(b / a) + b * p * q * (0.5 + (p + q) * stirling), near)


def _beta(g: Array, out: Array, a: Array, b: Array) -> Array:
    """``out (ψ(a) - ψ(a + b))``; where Γ(a + b) may be infinite and so ``out`` be 0, by the slope of ``1 / Γ``."""
    small = (a + b < 0.5) & (np.maximum(np.absolute(a), np.absolute(b)) < 80)
    c, d = np.where(small, a, 1), np.where(small, b, 1)
    product = sp.gamma(c) * sp.gamma(d)
    near = product * (sp.digamma(c) * sp.rgamma(c + d) + _reciprocal_slope(c + d))
    return g * np.where(small, near, -out * _digamma_rise(np.where(small, 1, a), np.where(small, 1, b)))


defvjp(sp.gamma, lambda g, out, x: g * (out * sp.digamma(x)))
for _log_gamma in (sp.gammaln, sp.loggamma):
    defvjp(_log_gamma, lambda g, out, x: g * sp.digamma(x))
defvjp(sp.rgamma, lambda g, out, x: g * _reciprocal_slope(_real("rgamma", x)))
defvjp(sp.digamma, lambda g, out, x: g * zeta(2, _real("digamma", x)))
defvjp(zeta, None, lambda g, out, s, x: -g * (s * zeta(np.add(s, 1), x)))
defvjp(sp.beta, _beta, lambda g, out, a, b: _beta(g, out, b, a))
defvjp(sp.betaln, lambda g, out, a, b: -g * _digamma_rise(a, b), lambda g, out, a, b: -g * _digamma_rise(b, a))
defvjp(sp.gammasgn, lambda g, out, x: zero(g))


@primitive
def power_product(p: Array, q: Array, x: Array, c: Array) -> Array:
    """``x^p (1 - x)^q exp(c)``, whose derivative by x is right also where x or 1 - x is 0."""
    return np.exp(sp.xlogy(p, x) + sp.xlog1py(q, -x) + c)


def _power_product_x(g: Array, out: Array, p: Array, q: Array, x: Array, c: Array) -> Array:
    """``p`` times the product with one power of x less, and ``-q`` times that with one of ``1 - x`` less, in one.

    Where p is 0 and x so small that its powers overflow, the first is 0, and has no derivative by p; and likewise the
    second, where 1 - x is not positive.
    """
    no_left = np.equal(p, 0) & np.less(x, float(np.finfo(x.dtype).tiny) ** (1 / 3))
    no_right = np.equal(q, 0) & np.greater_equal(x, 1)
    left, right = np.where(no_left, 0, np.subtract(p, 1)), np.where(no_right, 0, np.subtract(q, 1))
    slope = by_convention(p, p, no_left) * np.where(no_right, 1, 1 - x)
    slope = slope - by_convention(q, q, no_right) * np.where(no_left, 1, x)
    return g * (power_product(left, right, x, c) * slope)


def _gamma_density(a: Array, x: Array) -> Array:
    return power_product(np.subtract(a, 1), 0, x, -x - sp.gammaln(a))


def _beta_density(a: Array, b: Array, x: Array) -> Array:
    return power_product(np.subtract(a, 1), np.subtract(b, 1), x, -sp.betaln(a, b))


defvjp(
    power_product,
    lambda g, out, p, q, x, c: g * sp.xlogy(out, x),
    lambda g, out, p, q, x, c: g * sp.xlog1py(out, -x),
    _power_product_x,
    lambda g, out, p, q, x, c: g * out,
    elementwise=True,
)

# By a shape, the derivative of a distribution function is the integral of the density's, on the side with less mass.
# There the density falls off at least exponentially in v, the distance in the logarithm of the value, or of its odds.
# So Gauss's nodes give all digits, up to a bound of where exp(-40) is left of it, which is not differentiated.

_ROOTS, _HALVES = ((np.polynomial.legendre.leggauss(96)[k] + 1 - k) / 2 for k in (0, 1))
_NODES, _WEIGHTS = _ROOTS**2, 2 * _ROOTS * _HALVES  # which are closer together near 0


def _reach(linear: Array, quadratic: Array) -> Array:
    """Give v where ``linear v + quadratic v² / (2 + v)`` is 40."""
    half, both = linear - 20, linear + quadratic
    root = np.sqrt(half * half + 80 * both)
    return np.where(half > 0, 80 / (root + np.absolute(half)), (root - half) / both)


def _gammainc_a(a: Array, x: Array) -> Array:
    """Integral of ``p(t) (log t - ψ(a))`` up to x, or of its negative from x on."""
    is_end = np.equal(x, 0) | np.isinf(x)
    x = np.where(is_end, 1, x)
    shape, end = stop_gradient(a), stop_gradient(x)
    is_most = (sp.gammainc(shape, end) > 0.5) & (end > 1e-12)  # from further off, nodes would miss where it falls
    is_beyond = np.where(np.less(shape, 0.5), is_most, np.greater(end, shape))
    distance = np.absolute(end - shape)
    outward = np.where(np.greater(end, shape), 80 / (distance + np.sqrt(distance * distance + 80 * end)), np.inf)
    outward = np.minimum(outward, np.log(2 + 80 / end))
    reach = np.expand_dims(np.where(is_beyond, -outward, _reach(distance, end)), -1)
    log, a = np.expand_dims(np.log(x), -1) - reach * _NODES, np.expand_dims(a, -1)
    density = np.exp(a * log - np.exp(log) - sp.gammaln(a))
    return np.where(is_end, 0, np.sum(reach * _WEIGHTS * density * (log - sp.digamma(a)), axis=-1))


def _betainc_a(a: Array, b: Array, logit: Array) -> Array:
    """Integral of ``p(t) (log t - ψ(a) + ψ(a + b))`` up to where the logarithm of the odds is ``logit``."""
    is_end: Array = np.isinf(logit)
    logit = np.where(is_end, 0, logit)
    p, q, end = (stop_gradient(one) for one in (a, b, logit))
    is_most: Array = sp.betainc(p, q, sp.expit(end)) > 0.5
    # From far off, or where it hardly falls beyond, nodes would miss where it begins to fall.
    is_far = (np.where(is_most, q, p) < 0.1) | (end < -20 - np.log1p(q)) | (end > 20 + np.log1p(p))
    is_beyond: Array = np.where(
        np.less(np.minimum(p, q), 0.5), np.where(is_far, end > 0, is_most), np.greater(q * np.exp(end), p)
    )
    side = np.where(is_beyond, -1.0, 1.0)
    left, right, z = np.where(is_beyond, b, a), np.where(is_beyond, a, b), side * logit
    reach = np.expand_dims(_beta_reach(*map(stop_gradient, (left, right, z))), -1)
    wider: list[Any] = [np.expand_dims(one, -1) for one in (left, right, a, b, z, is_beyond)]
    left, right, a, b, z, is_beyond = wider
    v = z - reach * _NODES
    log, other = sp.log_expit(v), sp.log_expit(-v)
    density = np.exp(left * log + right * other - sp.betaln(a, b))
    score = np.where(is_beyond, other, log) - sp.digamma(a) + sp.digamma(a + b)
    return np.where(is_end, 0, side * np.sum(reach * _WEIGHTS * density * score, axis=-1))


def _beta_reach(a: Array, b: Array, logit: Array) -> Array:
    """The least of three bounds: by the curvature, by the slope at the end, and by a tail that is exponential."""
    both, p, q = a + b, sp.expit(logit), sp.expit(-logit)
    far = np.log1p(np.expm1(np.minimum(80 / both, 700)) / q)
    far = np.where((b * far <= 40) & (both > 0.12), far, np.inf)  # below that, 700 was too little
    slope = a * q - b * p
    curved = np.where(slope < 0, np.inf, _reach(np.maximum(slope, 0), both * p * q))
    return np.minimum(far, np.minimum(curved, (40 - both * np.log(q)) / a))


def _logit(x: Array) -> Array:
    return np.log(x) - np.log1p(np.negative(x))


defvjp(sp.gammainc, lambda g, out, a, x: g * _gammainc_a(a, x), lambda g, out, a, x: g * _gamma_density(a, x))
defvjp(sp.gammaincc, lambda g, out, a, x: -g * _gammainc_a(a, x), lambda g, out, a, x: -g * _gamma_density(a, x))
defvjp(
    sp.betainc,
    lambda g, out, a, b, x: g * _betainc_a(a, b, _logit(x)),
    lambda g, out, a, b, x: -g * _betainc_a(b, a, -_logit(x)),
    lambda g, out, a, b, x: g * _beta_density(a, b, x),
)
defvjp(
    sp.betaincc,
    lambda g, out, a, b, x: -g * _betainc_a(a, b, _logit(x)),
    lambda g, out, a, b, x: g * _betainc_a(b, a, -_logit(x)),
    lambda g, out, a, b, x: -g * _beta_density(a, b, x),
)


def _student(df: Array, t: Array) -> Array:
    """Density of Student's t; of the normal distribution where the degrees of freedom have no end."""
    no_end = np.isinf(df)
    n = np.where(no_end, 1, df)
    exponent = -sp.betaln(n / 2, 0.5) - np.log(n) / 2 - (n + 1) / 2 * np.log1p(t * t / n)
    return np.where(no_end, _bell(t, 2) / _ROOT_TWO_PI, np.exp(exponent))


def _stdtr_df(df: Array, t: Array) -> Array:
    """On the side of t, half the incomplete beta function of df / 2 and 1/2 at ``df / (df + t²)``.

    Beside 0 it is linear; many degrees of freedom, by which it hardly varies, have Fisher's series about the normal
    distribution.
    """
    square = t * t
    is_far = np.greater(df, 1e3 + 100 * square * square)
    is_near = np.less(square, 1e-12 * df) & ~is_far
    is_other = is_far | is_near | np.isinf(t)
    n, size = np.where(is_other, 1, df), np.where(is_other, 1, np.absolute(t))
    logit = np.log(n) - 2 * np.log(size)
    by_value = np.exp(n / 2 * sp.log_expit(logit) + sp.log_expit(-logit) / 2 - sp.betaln(n / 2, 0.5)) / n
    slope = np.where(is_other, 0, np.sign(t) * (_betainc_a(n / 2, 0.5, logit) / 2 + by_value) / -2)
    n = np.where(is_near, df, 1)
    rise = (_digamma_rise(n / 2, 0.5) - 1 / n) / 2 * np.exp(-sp.betaln(n / 2, 0.5)) / np.sqrt(n)
    slope = slope + np.where(is_near, t, 0) * rise
    t, r = np.where(is_far, t, 0), 1 / np.where(is_far, df, 1)
    square = t * t
    third = series([-15, -3, 6, 14, -11, 1], square) / 128
    fisher = (square + 1) / 4 + r * (series([-3, -5, -7, 3], square) / 48 + r * third)
    return slope + _bell(t, 2) / _ROOT_TWO_PI * t * (r * r) * fisher


defvjp(sp.stdtr, lambda g, out, df, t: g * _stdtr_df(df, t), lambda g, out, df, t: g * _student(df, t))
defvjp(
    sp.chdtr,
    lambda g, out, v, x: g / 2 * _gammainc_a(np.divide(v, 2), np.divide(x, 2)),
    lambda g, out, v, x: g / 2 * _gamma_density(np.divide(v, 2), x / 2),
)
defvjp(
    sp.chdtrc,
    lambda g, out, v, x: -g / 2 * _gammainc_a(np.divide(v, 2), np.divide(x, 2)),
    lambda g, out, v, x: -g / 2 * _gamma_density(np.divide(v, 2), x / 2),
)
defvjp(sp.pdtr, None, lambda g, out, k, m: -g * _gamma_density(np.floor(k) + 1, m))
defvjp(sp.pdtrc, None, lambda g, out, k, m: g * _gamma_density(np.floor(k) + 1, m))

# Bessel functions: the derivative is half the sum or difference of the neighbours in order

defvjp(sp.j0, lambda g, out, x: -g * sp.j1(x))
defvjp(sp.j1, lambda g, out, x: g * ((sp.j0(x) - sp.jv(2, x)) / 2))
defvjp(sp.jv, None, lambda g, out, v, x: g * ((sp.jv(np.subtract(v, 1), x) - sp.jv(np.add(v, 1), x)) / 2))
defvjp(sp.y0, lambda g, out, x: -g * sp.y1(x))
defvjp(sp.y1, lambda g, out, x: g * ((sp.y0(x) - sp.yv(2, x)) / 2))
defvjp(sp.yv, None, lambda g, out, v, x: g * ((sp.yv(np.subtract(v, 1), x) - sp.yv(np.add(v, 1), x)) / 2))
defvjp(sp.yn, None, lambda g, out, n, x: g * ((sp.yn(np.subtract(n, 1), x) - sp.yn(np.add(n, 1), x)) / 2))
defvjp(sp.kn, None, lambda g, out, n, x: -g * ((sp.kn(np.subtract(n, 1), x) + sp.kn(np.add(n, 1), x)) / 2))
defvjp(sp.i0, lambda g, out, x: g * sp.i1(x))
defvjp(sp.i1, lambda g, out, x: g * ((sp.i0(x) + sp.iv(2, x)) / 2))
defvjp(sp.iv, None, lambda g, out, v, x: g * ((sp.iv(np.subtract(v, 1), x) + sp.iv(np.add(v, 1), x)) / 2))
defvjp(sp.k0, lambda g, out, x: -g * sp.k1(x))
defvjp(sp.k1, lambda g, out, x: -g * ((sp.k0(x) + sp.kv(2, x)) / 2))
defvjp(sp.kv, None, lambda g, out, v, x: -g * ((sp.kv(np.subtract(v, 1), x) + sp.kv(np.add(v, 1), x)) / 2))

# Scaled by exp(-|x|), those of the first kind, and by exp(x), those of the second


def _scaled(out: Array, v: Array, x: Array, sign: int, near: Callable[[Array], Array]) -> Array:
    """``near(x)``; far out, where that cancels, the derivative of Hankel's expansion (Abramowitz and Stegun, 9.7)."""
    square = np.square(v)
    far = np.absolute(x) > 50 * (1 + square)
    term: Array = 1.0
    top, bottom = 0.5, 1.0
    for k in range(1, 13):
        term = term * (sign * (4 * square - (2 * k - 1) ** 2) / (8 * k)) / np.where(far, np.absolute(x), 100)
        top, bottom = top + (k + 0.5) * term, bottom + term
    return np.where(far, -out * top / bottom / np.where(far, x, 1), near(np.where(far, 1, x)))


def _side(x: Array) -> Array:
    """The slope of ``|x|``: 0 at 0 by convention, where it has none of its own."""
    return by_convention(np.sign(x), x, np.equal(x, 0))


def _ive(g: Array, out: Array, v: Array, x: Array) -> Array:
    lower, upper, x = np.subtract(v, 1), np.add(v, 1), _real("ive", x)
    return g * _scaled(out, v, x, -1, lambda x: (sp.ive(lower, x) + sp.ive(upper, x)) / 2 - _side(x) * out)


def _kve(g: Array, out: Array, v: Array, x: Array) -> Array:
    lower, upper = np.subtract(v, 1), np.add(v, 1)
    return g * _scaled(out, v, x, 1, lambda x: out - (sp.kve(lower, x) + sp.kve(upper, x)) / 2)


defvjp(sp.i0e, lambda g, out, x: g * _scaled(out, 0, x, -1, lambda x: sp.i1e(x) - _side(x) * out))
defvjp(sp.i1e, lambda g, out, x: _ive(g, out, 1, x))
defvjp(sp.ive, None, _ive)
defvjp(sp.k0e, lambda g, out, x: g * _scaled(out, 0, x, 1, lambda x: out - sp.k1e(x)))
defvjp(sp.k1e, lambda g, out, x: _kve(g, out, 1, x))
defvjp(sp.kve, None, _kve)

# Integrals; the first two give a pair


def _sici(g: tuple[Array, Array], out: tuple[Array, Array], x: Array) -> Array:
    """``sin x / x`` and ``cos x / x``; at 0 the second is too steep for a number, but nothing of it is nothing."""
    return g[0] * np.sinc(x / math.pi) + g[1] * np.cos(x) / (x + np.where(np.equal(x, 0), np.finfo(x.dtype).tiny, 0))


defvjp(sp.sici, _sici)


def _fresnel(g: tuple[Array, Array], out: tuple[Array, Array], x: Array) -> Array:
    """``sin(πx²/2)`` and ``cos(πx²/2)``; whole turns are left out, which π would round."""
    angle = math.pi / 2 * np.remainder(np.square(_real("fresnel", x)), 4)
    return g[0] * np.sin(angle) + g[1] * np.cos(angle)


defvjp(sp.fresnel, _fresnel)
defvjp(sp.expi, lambda g, out, x: g * (np.exp(x) / x))
defvjp(sp.exp1, lambda g, out, x: -g * (np.exp(-x) / x))


def _expn(g: Array, out: Array, n: Array, x: Array) -> Array:
    """The negative of the integral of one order less, which for order 0 is one that SciPy does not have."""
    first = np.equal(n, 0)
    y = np.where(first, x, 1)
    return -g * np.where(first, np.exp(-y) * (1 + 1 / y) / y, sp.expn(np.maximum(n, 1) - 1, np.where(first, 1, x)))


defvjp(sp.expn, None, _expn)

# Hypergeometric functions, by which others are differentiated where differences would cancel

defvjp(sp.hyp0f1, None, lambda g, out, v, x: g * (sp.hyp0f1(np.add(v, 1), x) / v))
defvjp(
    sp.hyp1f1,
    None,
    None,
    lambda g, out, a, b, x: g * (np.divide(a, b) * sp.hyp1f1(np.add(a, 1), np.add(b, 1), x)),
)
defvjp(
    sp.hyp2f1,
    None,
    None,
    None,
    lambda g, out, a, b, c, x: g * (np.multiply(a, b) / c * sp.hyp2f1(np.add(a, 1), np.add(b, 1), np.add(c, 1), x)),
)


def _or_series(x: Array, far: Callable[[Array], Array], a: float, b: float, c: float) -> Array:
    """``far(x)``; for small x, where that cancels, the hypergeometric function of which it is the sum."""
    small = np.absolute(x) < 0.5
    return np.where(small, sp.hyp2f1(a, b, c, np.where(small, x, 0)), far(np.where(small, 0.75, x)))


# Elliptic integrals (Abramowitz and Stegun, 17.3.9 and 17.3.10), and the dilogarithm


def _ellipk(m: Array) -> Array:
    return math.pi / 8 * _or_series(m, _far_ellipk, 1.5, 1.5, 2)


def _far_ellipk(m: Array) -> Array:
    return 4 / math.pi * ((sp.ellipe(m) / (1 - m) - sp.ellipk(m)) / m)


def _ellipe(m: Array) -> Array:
    return -math.pi / 8 * _or_series(m, lambda m: 4 / math.pi * ((sp.ellipk(m) - sp.ellipe(m)) / m), 1.5, 0.5, 2)


defvjp(sp.ellipk, lambda g, out, m: g * _ellipk(m))
defvjp(sp.ellipe, lambda g, out, m: g * _ellipe(m))
defvjp(sp.spence, lambda g, out, z: -g * _or_series(1 - z, lambda x: -np.log(1 - x) / x, 1, 1, 2))
