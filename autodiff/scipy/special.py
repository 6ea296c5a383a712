"""`scipy.special`: its functions in Python, which would make plain arrays of Tensors, and all its ufuncs as they are.

Functions that only newer releases of SciPy have are here for older ones too.

These ufuncs have no rule, and refuse a Tensor by name. The reason is, of

- round: it rounds.
- hankel1 hankel1e hankel2 hankel2e kelvin modfresnelm modfresnelp wofz: it gives complex numbers of real ones, or
  takes them.
- bdtrik bdtrin btdtria btdtrib chdtriv chndtridf chndtrinc fdtridfd gdtria gdtrib nbdtrik nbdtrin ncfdtridfd
  ncfdtridfn ncfdtrinc nctdtridf nctdtrinc nrdtrimn nrdtrisd pdtrik stdtridf: it solves for a parameter, by numbers
  that have no rule themselves.
- airy airye ellipj it2i0k0 it2j0y0 itairy iti0k0 itj0y0 mathieu_cem mathieu_modcem1 mathieu_modcem2 mathieu_modsem1
  mathieu_modsem2 mathieu_sem obl_ang1 obl_ang1_cv obl_rad1 obl_rad1_cv obl_rad2 obl_rad2_cv pbdv pbvv pbwa pro_ang1
  pro_ang1_cv pro_rad1 pro_rad1_cv pro_rad2 pro_rad2_cv: it gives several functions at once.
- besselpoly kolmogi kolmogorov mathieu_a mathieu_b obl_cv pro_cv smirnov smirnovi tklmbda: its derivative is no
  function of SciPy's.
- eval_chebyc eval_chebys eval_chebyt eval_chebyu eval_gegenbauer eval_genlaguerre eval_hermite eval_hermitenorm
  eval_jacobi eval_laguerre eval_legendre eval_sh_chebyt eval_sh_chebyu eval_sh_jacobi eval_sh_legendre: it is a
  polynomial, which np.polyval differentiates.
- binom boxcox1p cosdg cotdg ellipkm1 inv_boxcox1p jve poch powm1 radian sindg tandg yve zetac: others that have rules
  say the same.
- agm bdtr bdtrc bdtri bei beip ber berp betainccinv betaincinv chdtri chndtr chndtrix ellipeinc ellipkinc elliprc
  elliprd elliprf elliprg elliprj fdtr fdtrc fdtri gammainccinv gammaincinv gdtr gdtrc gdtrix hyperu it2struve0
  itmodstruve0 itstruve0 kei keip ker kerp log_wright_bessel lpmv modstruve nbdtr nbdtrc nbdtri ncfdtr ncfdtri nctdtr
  nctdtrit owens_t pdtri shichi stdtrit struve voigt_profile wright_bessel wrightomega: it is seldom differentiated,
  and autodiff.defvjp takes its rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from autodiff.core.record import primitive
from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import unbroadcast
from autodiff.core.tensor import as_array, is_complex, stop_gradient
from autodiff.scipy.calls import call_of_scipy, is_foreign

__all__ = ["log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax", "softplus"]


def __getattr__(name: str) -> Any:
    return getattr(special, name)


@primitive
def polygamma(n: Any, x: Array) -> Any:
    """Derivative of order ``n`` of the digamma function at ``x``, as `scipy.special.polygamma`.

    Args:
        n: integers, not negative. They are not differentiated by.
        x: real numbers; those that are not positive must not be integers.

    Example:
        >>> polygamma(1, np.array([1.0, 2.0]))
        array([1.64493407, 0.64493407])
    """
    n = np.asarray(n)
    factor = (-1.0) ** (n + 1) * special.gamma(n + 1.0)
    return np.where(n == 0, special.digamma(x), factor * special.zeta(n + 1, x))


def softplus(x: Array) -> Any:
    """Smooth ``max(x, 0)``, ``log(1 + exp(x))``, without overflow; as `scipy.special.softplus` of SciPy 1.17.

    Example:
        >>> softplus(np.array([-1000.0, 0.0, 1000.0]))
        array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    return np.logaddexp(0, x)


@call_of_scipy
def multigammaln(a: Array, d: int) -> Any:
    """Logarithm of the gamma function of ``d`` dimensions, as `scipy.special.multigammaln`.

    It is ``d (d - 1) / 4 log π + Σ log Γ(a - j / 2)``, summed over ``j < d`` (Muirhead 1982, theorem 2.1.12).

    Args:
        a: real numbers larger than ``(d - 1) / 2``.
        d: how many dimensions.

    Example:
        >>> multigammaln(np.array([1.0, 2.0]), 2)
        array([1.14472989, 0.45158271])
    """
    if not is_foreign(a):
        return special.multigammaln(a, d)
    return d * (d - 1) / 4 * np.log(np.pi) + sum(special.gammaln(a - j / 2) for j in range(d))


# Sums of exponentials


@call_of_scipy
def logsumexp(a: Array, axis: Any = None, b: Array = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """Logarithm of a sum of exponentials, ``log Σ b exp(a)``, without overflow, as `scipy.special.logsumexp`.

    The derivatives by ``a`` and ``b`` are ``b exp(a)`` and ``exp(a)``, divided by the sum.
    Where all of ``a`` is -inf, it is NaN, as PyTorch has it.

    Args:
        a: the exponents.
        axis: what is summed over; None for everything.
        b: factors, of a shape that broadcasts to that of ``a``. They may be negative or zero.
        keepdims: keep the axes that are summed over, with length one.
        return_sign: give the logarithm of the sum's magnitude, and its sign. Without it, that of a negative sum is NaN.

    Example:
        >>> logsumexp(np.array([1000.0, 1000.0]), b=np.array([0.5, 0.5]))
        np.float64(1000.0)
    """
    if not is_foreign(a, b):
        return special.logsumexp(a, axis, b, keepdims, return_sign)  # type: ignore[call-overload]
    top = np.max(a, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    parts = np.exp(a - top)
    total = np.sum(parts if b is None else b * parts, axis=axis, keepdims=True)
    out, sign = np.log(np.absolute(total) if return_sign else total) + top, np.sign(total)
    if not keepdims:
        out, sign = np.squeeze(out, axis), np.squeeze(sign, axis)
    return (out, sign) if return_sign else out


def _summand(g: Any, out: Any, a: Array, axis: Any, b: Array, keepdims: bool, return_sign: bool) -> Array:
    """``g exp(a) / Σ b exp(a)``, of numbers as large as they may be; the sign of complex ones turns with them."""
    a = as_array(a)
    if return_sign:
        g = g[0] + 1j * np.imag(g[1] * out[1]) if is_complex(out[1]) else g[0]
    if not keepdims:
        g = np.reshape(g, (1,) * a.ndim) if axis is None else np.expand_dims(g, axis)
    top = np.max(stop_gradient(a), axis=axis, keepdims=True)
    parts = np.exp(a - np.where(np.isfinite(top), top, 0))
    return g * (parts / np.sum(parts if b is None else parts * b, axis=axis, keepdims=True))


def _logsumexp_a(
    g: Any, out: Any, a: Array, axis: Any = None, b: Array = None, keepdims: bool = False, return_sign: bool = False
) -> Array:
    gradient = _summand(g, out, a, axis, b, keepdims, return_sign)
    return gradient if b is None else unbroadcast(gradient * b, a.shape)


def _logsumexp_b(
    g: Any, out: Any, a: Array, axis: Any = None, b: Array = None, keepdims: bool = False, return_sign: bool = False
) -> Array:
    return unbroadcast(_summand(g, out, a, axis, b, keepdims, return_sign), b.shape)


@call_of_scipy
def softmax(x: Array, axis: Any = None) -> Any:
    """Exponentials divided by their sum, as `scipy.special.softmax`: over all axes unless some are given.

    Example:
        >>> softmax(np.array([0.0, 1000.0]))
        array([0., 1.])
    """
    if not is_foreign(x):
        return special.softmax(x, axis)
    parts = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return parts / np.sum(parts, axis=axis, keepdims=True)


@call_of_scipy
def log_softmax(x: Array, axis: Any = None) -> Any:
    """Logarithm of `softmax`, also where that is too small for a number, as `scipy.special.log_softmax`.

    Example:
        >>> log_softmax(np.array([0.0, 1000.0]))
        array([-1000., 0.])
    """
    if not is_foreign(x):
        return special.log_softmax(x, axis)
    rest = x - np.max(x, axis=axis, keepdims=True)
    return rest - np.log(np.sum(np.exp(rest), axis=axis, keepdims=True))


defvjp(polygamma, None, lambda g, out, n, x: g * polygamma(np.add(n, 1), x), elementwise=True)
defvjp(multigammaln, lambda g, out, a, d: g * sum(special.digamma(a - j / 2) for j in range(d)))
defvjp(logsumexp, _logsumexp_a, None, _logsumexp_b)
defvjp(softmax, lambda g, out, x, axis=None: out * (g - np.sum(g * out, axis=axis, keepdims=True)))
defvjp(log_softmax, lambda g, out, x, axis=None: g - np.exp(out) * np.sum(g, axis=axis, keepdims=True))
