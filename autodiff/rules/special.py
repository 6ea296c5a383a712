"""The ufuncs of scipy.special, loaded when SciPy is there and one of them meets a Tensor (see `rule.py`).

Orders and parameters by which there is no closed derivative, such as the order of a Bessel function, have no rule.
The digamma function and its derivatives are known at negative numbers too, other than integers.
"""

import math
from typing import Any

import numpy as np
from scipy import special as sp

from autodiff.core.record import primitive
from autodiff.core.rule import Array, defvjp
from autodiff.rules.elementwise import zero
from autodiff.special import polygamma


class _Probe:
    """Finds the ufunc that a Python function calls."""

    def __array_ufunc__(self, ufunc: np.ufunc, *args: Any, **kwargs: Any) -> np.ufunc:
        return ufunc


zeta: Any = sp.zeta(1, _Probe())  # type: ignore[call-overload]

# Exponentials and logarithms

defvjp(sp.expit, lambda g, out, x: g * (out * sp.expit(-x)))
defvjp(sp.logit, lambda g, out, x: g / (x * (1 - x)))
defvjp(sp.log_expit, lambda g, out, x: g * sp.expit(-x))
defvjp(sp.exp2, lambda g, out, x: g * (out * math.log(2)))
defvjp(sp.exp10, lambda g, out, x: g * (out * math.log(10)))
defvjp(sp.expm1, lambda g, out, x: g * np.exp(x))
defvjp(sp.log1p, lambda g, out, x: g / (1 + x))
defvjp(sp.cosm1, lambda g, out, x: -g * np.sin(x))
defvjp(sp.cbrt, lambda g, out, x: g / (3 * out * out))


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


defvjp(sp.xlogy, _xlogy_x, _xlogy_y)
defvjp(sp.xlog1py, _xlog1py_x, _xlog1py_y)
defvjp(sp.entr, lambda g, out, x: -g * (np.log(x) + 1))
defvjp(sp.rel_entr, lambda g, out, x, y: g * (np.log(x / y) + 1), lambda g, out, x, y: -g * (x / y))
defvjp(sp.kl_div, lambda g, out, x, y: g * np.log(x / y), lambda g, out, x, y: g * (1 - x / y))

# The error function and the normal distribution

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


@primitive
def inverse_mills(x: Array) -> Array:
    """Density of the normal distribution over its distribution function, without underflow of either."""
    return math.sqrt(2 / math.pi) / sp.erfcx(x * -math.sqrt(0.5))


defvjp(inverse_mills, lambda g, out, x: -g * out * (x + out))
defvjp(sp.erf, lambda g, out, x: g * (_TWO_OVER_ROOT_PI * np.exp(-x * x)))
defvjp(sp.erfc, lambda g, out, x: -g * (_TWO_OVER_ROOT_PI * np.exp(-x * x)))
defvjp(sp.erfcx, lambda g, out, x: g * (2 * x * out - _TWO_OVER_ROOT_PI))
defvjp(sp.erfi, lambda g, out, x: g * (_TWO_OVER_ROOT_PI * np.exp(x * x)))
defvjp(sp.dawsn, lambda g, out, x: g * (1 - 2 * x * out))
defvjp(sp.erfinv, lambda g, out, x: g * (np.exp(out * out) / _TWO_OVER_ROOT_PI))
defvjp(sp.erfcinv, lambda g, out, x: -g * (np.exp(out * out) / _TWO_OVER_ROOT_PI))
defvjp(sp.ndtr, lambda g, out, x: g * (np.exp(x * x / -2) / _ROOT_TWO_PI))
defvjp(sp.log_ndtr, lambda g, out, x: g * inverse_mills(x))
defvjp(sp.ndtri, lambda g, out, x: g * (np.exp(out * out / 2) * _ROOT_TWO_PI))
defvjp(sp.ndtri_exp, lambda g, out, x: g / inverse_mills(out))

# The gamma function and its family

defvjp(sp.gamma, lambda g, out, x: g * (out * sp.digamma(x)))
for _log_gamma in (sp.gammaln, sp.loggamma):
    defvjp(_log_gamma, lambda g, out, x: g * sp.digamma(x))
defvjp(sp.rgamma, lambda g, out, x: -g * (out * sp.digamma(x)))
defvjp(sp.digamma, lambda g, out, x: g * zeta(2, x))
defvjp(zeta, None, lambda g, out, s, x: -g * (s * zeta(np.add(s, 1), x)))
defvjp(polygamma, None, lambda g, out, n, x: g * polygamma(np.add(n, 1), x), elementwise=True)
defvjp(
    sp.beta,
    lambda g, out, a, b: g * (out * (sp.digamma(a) - sp.digamma(a + b))),
    lambda g, out, a, b: g * (out * (sp.digamma(b) - sp.digamma(a + b))),
)
defvjp(
    sp.betaln,
    lambda g, out, a, b: g * (sp.digamma(a) - sp.digamma(a + b)),
    lambda g, out, a, b: g * (sp.digamma(b) - sp.digamma(a + b)),
)
defvjp(sp.gammasgn, lambda g, out, x: zero(g))


def _gamma_density(a: Array, x: Array) -> Array:
    return np.exp(sp.xlogy(np.subtract(a, 1), x) - x - sp.gammaln(a))


def _beta_density(a: Array, b: Array, x: Array) -> Array:
    return np.exp(sp.xlogy(np.subtract(a, 1), x) + sp.xlog1py(np.subtract(b, 1), -x) - sp.betaln(a, b))


defvjp(sp.gammainc, None, lambda g, out, a, x: g * _gamma_density(a, x))
defvjp(sp.gammaincc, None, lambda g, out, a, x: -g * _gamma_density(a, x))
defvjp(sp.betainc, None, None, lambda g, out, a, b, x: g * _beta_density(a, b, x))
defvjp(sp.betaincc, None, None, lambda g, out, a, b, x: -g * _beta_density(a, b, x))

# Bessel functions: the derivative is half the sum or difference of the neighbours in order

defvjp(sp.j0, lambda g, out, x: -g * sp.j1(x))
defvjp(sp.j1, lambda g, out, x: g * ((sp.j0(x) - sp.jv(2, x)) / 2))
defvjp(sp.jv, None, lambda g, out, v, x: g * ((sp.jv(np.subtract(v, 1), x) - sp.jv(np.add(v, 1), x)) / 2))
defvjp(sp.y0, lambda g, out, x: -g * sp.y1(x))
defvjp(sp.y1, lambda g, out, x: g * ((sp.y0(x) - sp.yv(2, x)) / 2))
defvjp(sp.yv, None, lambda g, out, v, x: g * ((sp.yv(np.subtract(v, 1), x) - sp.yv(np.add(v, 1), x)) / 2))
defvjp(sp.i0, lambda g, out, x: g * sp.i1(x))
defvjp(sp.i1, lambda g, out, x: g * ((sp.i0(x) + sp.iv(2, x)) / 2))
defvjp(sp.iv, None, lambda g, out, v, x: g * ((sp.iv(np.subtract(v, 1), x) + sp.iv(np.add(v, 1), x)) / 2))
defvjp(sp.k0, lambda g, out, x: -g * sp.k1(x))
defvjp(sp.k1, lambda g, out, x: -g * ((sp.k0(x) + sp.kv(2, x)) / 2))
defvjp(sp.kv, None, lambda g, out, v, x: -g * ((sp.kv(np.subtract(v, 1), x) + sp.kv(np.add(v, 1), x)) / 2))

# Scaled by exp(-|x|), those of the first kind, and by exp(x), those of the second
defvjp(sp.i0e, lambda g, out, x: g * (sp.i1e(x) - np.sign(x) * out))
defvjp(sp.i1e, lambda g, out, x: g * ((sp.i0e(x) + sp.ive(2, x)) / 2 - np.sign(x) * out))
defvjp(
    sp.ive,
    None,
    lambda g, out, v, x: g * ((sp.ive(np.subtract(v, 1), x) + sp.ive(np.add(v, 1), x)) / 2 - np.sign(x) * out),
)
defvjp(sp.k0e, lambda g, out, x: g * (out - sp.k1e(x)))
defvjp(sp.k1e, lambda g, out, x: g * (out - (sp.k0e(x) + sp.kve(2, x)) / 2))
defvjp(
    sp.kve,
    None,
    lambda g, out, v, x: g * (out - (sp.kve(np.subtract(v, 1), x) + sp.kve(np.add(v, 1), x)) / 2),
)

# Integrals; the first two give a pair

defvjp(sp.sici, lambda g, out, x: g[0] * np.sinc(x / math.pi) + g[1] * (np.cos(x) / x))
defvjp(
    sp.fresnel,
    lambda g, out, x: g[0] * np.sin(math.pi / 2 * x * x) + g[1] * np.cos(math.pi / 2 * x * x),
)
defvjp(sp.expi, lambda g, out, x: g * (np.exp(x) / x))
defvjp(sp.exp1, lambda g, out, x: -g * (np.exp(-x) / x))
