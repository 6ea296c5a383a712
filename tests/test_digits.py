"""Derivatives of elementwise and special functions with all their digits: in tails, at poles and ends of domains.

Right values are those of mpmath, from differences that are taken with hundreds of digits, or limits known by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from nn import functional

mpmath = pytest.importorskip("mpmath")
sp = pytest.importorskip("scipy.special")
mp = mpmath.mp
inf, nan = np.inf, np.nan

Function = Callable[..., Any]


def by_mpmath(function: Function, x: float, order: int) -> float:
    """Give a derivative from central differences with a step that is 22 digits smaller than x."""
    with mpmath.workdps(170):
        x = mpmath.mpf(x)
        h = min(abs(x) or mpmath.mpf(1), mpmath.mpf(1)) * mpmath.mpf(10) ** -22
        weights = {1: (-1, 0, 1), 2: (1, -2, 1), 3: (-1, 2, 0, -2, 1)}[order]
        middle = len(weights) // 2
        total = sum(w * function(x + (k - middle) * h) for k, w in enumerate(weights) if w)
        return float(total / h**order / (1 if order == 2 else 2))


def in_reverse(function: Function, x: Any, order: int) -> Any:
    if order == 0:
        return function(x)
    return ad.grad(lambda x: in_reverse(function, x, order - 1).sum())(x)


def forward(function: Function, x: Any, order: int) -> Any:
    if order == 0:
        return function(x)
    return ad.jvp(lambda x: forward(function, x, order - 1), (x,), (np.ones_like(x),))[1]


def log_sum(x: Any, y: Any) -> Any:
    return max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y)))


TAILS: dict[str, tuple[Function, Function, list[float]]] = {
    "dawsn": (
        sp.dawsn,
        lambda x: mpmath.sqrt(mp.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x),
        [-1e4, -12.0, 0.3, 9.9, 10.1, 300.0],
    ),
    "erfcx": (sp.erfcx, lambda x: mpmath.exp(x * x) * mpmath.erfc(x), [-3.0, 0.3, 9.9, 10.1, 300.0, 1e4, 1e8]),
    "log_ndtr": (
        sp.log_ndtr,
        lambda x: mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2),
        [-1e8, -1e4, -300.0, -10.1, -9.9, 0.3, 10.0],
    ),
    "erf": (sp.erf, mpmath.erf, [-10.0, 0.3, 5.0]),
    "ndtr": (sp.ndtr, mpmath.ncdf, [-30.0, 0.3, 5.0]),
    "logaddexp with 0": (lambda x: np.logaddexp(0, x), lambda x: log_sum(x, 0), [-700.0, -40.0, 0.3, 40.0, 100.0]),
    "logaddexp with 1e8": (
        lambda x: np.logaddexp(x, 1e8),
        lambda x: log_sum(x, mpmath.mpf(1e8)),
        [1e8 - 60, 1e8 + 0.5, 1e8 + 60],
    ),
    "logaddexp2": (
        lambda x: np.logaddexp2(x, 0),
        lambda x: log_sum(x * mpmath.ln2, 0) / mpmath.ln2,
        [-700.0, -40.0, 0.3, 40.0, 100.0],
    ),
    "hypot": (lambda x: np.hypot(x, 2.0), lambda x: mpmath.sqrt(x * x + 4), [-1e8, -1e4, 0.3, 1e8]),
    "arcsin": (np.arcsin, mpmath.asin, [-1e-8, 1e-20, 0.3, 1 - 2**-50]),
    "arccos": (np.arccos, mpmath.acos, [-1e-8, 1e-20, 0.3, 1 - 2**-50]),
    "arctanh": (np.arctanh, mpmath.atanh, [-1e-8, 1e-20, 0.3, 1 - 2**-50]),
    "arccosh": (np.arccosh, mpmath.acosh, [1 + 2**-50, 2.0, 1e8]),
    "sinc": (np.sinc, lambda x: mpmath.sinc(mp.pi * x), [-1e-8, 0.3, 1e4, 1e8]),
    "rgamma": (sp.rgamma, mpmath.rgamma, [-20.0, -2.5, -1.0, -1e-8, 1e-20, 0.49, 0.51, 100.0]),
    "logit": (sp.logit, lambda x: mpmath.log(x / (1 - x)), [1e-90, 0.3, 1 - 2**-50]),
    "betaln by the first": (
        lambda x: sp.betaln(x, 1.5),
        lambda x: mpmath.loggamma(x) + mpmath.loggamma(1.5) - mpmath.loggamma(x + 1.5),
        [0.3, 101.0, 1e4, 1e12],
    ),
    "betaln by the second": (
        lambda x: sp.betaln(2.0, x),
        lambda x: mpmath.loggamma(2) + mpmath.loggamma(x) - mpmath.loggamma(2 + x),
        [0.3, 101.0, 1e4, 1e12],
    ),
    "beta": (lambda x: sp.beta(x, 0.5), lambda x: mpmath.beta(x, 0.5), [-2.3, -0.7, 0.3, 101.0, 1e12]),
    "i0e": (sp.i0e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x), [-1e4, 0.3, 49.0, 51.0, 1e4]),
    "i1e": (sp.i1e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x), [-1e4, 0.3, 99.0, 101.0, 1e4]),
    "ive": (lambda x: sp.ive(2.5, x), lambda x: mpmath.exp(-x) * mpmath.besseli(2.5, x), [0.3, 360.0, 370.0, 1e4]),
    "k0e": (sp.k0e, lambda x: mpmath.exp(x) * mpmath.besselk(0, x), [1e4]),
    "kve": (lambda x: sp.kve(2.5, x), lambda x: mpmath.exp(x) * mpmath.besselk(2.5, x), [0.3, 360.0, 370.0, 1e4]),
}


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", TAILS)
def test_derivatives_have_all_their_digits(name: str, order: int) -> None:
    function, exact, points = TAILS[name]
    x = np.array(points)
    expected = [by_mpmath(exact, point, order) for point in points]
    rtol = {1: 1e-12, 2: 2e-10, 3: 1e-7}[order]
    np.testing.assert_allclose(in_reverse(function, x, order), expected, rtol=rtol, atol=1e-300)
    if order < 3:
        np.testing.assert_allclose(forward(function, x, order), expected, rtol=rtol, atol=1e-300)


@pytest.mark.parametrize("name", TAILS)
def test_derivatives_in_float32_have_most_of_their_digits(name: str) -> None:
    function, exact, points = TAILS[name]
    x = np.array([point for point in points if 1e-38 < abs(point) < 1e7], np.float32)
    x = x[np.abs(x) != 1]
    actual = in_reverse(function, x, 1)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, [by_mpmath(exact, float(point), 1) for point in x], rtol=1e-4, atol=1e-37)


EULER = np.euler_gamma
LIMITS = [
    pytest.param(lambda x: sp.sici(x)[0], 0.0, [1, 0], id="sine integral at 0"),
    pytest.param(lambda x: sp.fresnel(x)[0], 1e4, [0, 1e4 * math.pi], id="fresnel sine at 1e4"),
    pytest.param(sp.rgamma, 0.0, [1, 2 * EULER], id="rgamma at 0"),
    pytest.param(sp.rgamma, -1.0, [-1, 2 * (1 - EULER)], id="rgamma at -1"),
    pytest.param(sp.rgamma, -2.0, [2, 4 * EULER - 6], id="rgamma at -2"),
    pytest.param(sp.rgamma, inf, [0, 0], id="rgamma at inf"),
    pytest.param(lambda x: sp.beta(x, 0.5), -0.5, [-2 * math.pi, 8 * math.pi * (math.log(2) - 1)], id="beta at a zero"),
    pytest.param(lambda x: sp.gammainc(0.5, x), 0.0, [inf, -inf], id="gammainc of 1/2 at 0"),
    pytest.param(lambda x: sp.gammainc(1, x), 0.0, [1, -1, 1], id="gammainc of 1 at 0"),
    pytest.param(lambda x: sp.gammainc(1.5, x), 0.0, [0, inf], id="gammainc of 3/2 at 0"),
    pytest.param(lambda x: sp.gammainc(2, x), 0.0, [0, 1, -2], id="gammainc of 2 at 0"),
    pytest.param(lambda x: sp.gammaincc(3.0, x), 0.0, [0, 0, -1], id="gammaincc of 3 at 0"),
    pytest.param(lambda x: sp.betainc(0.5, 0.5, x), 0.0, [inf, -inf], id="betainc of 1/2 and 1/2 at 0"),
    pytest.param(lambda x: sp.betainc(0.5, 0.5, x), 1.0, [inf, inf], id="betainc of 1/2 and 1/2 at 1"),
    pytest.param(lambda x: sp.betainc(1, 1, x), 1.0, [1, 0, 0], id="betainc of 1 and 1 at 1"),
    pytest.param(lambda x: sp.betainc(2, 1, x), 0.0, [0, 2, 0], id="betainc of 2 and 1 at 0"),
    pytest.param(lambda x: sp.betainc(2.0, 2.0, x), 0.0, [0, 6, -12], id="betainc of 2 and 2 at 0"),
    pytest.param(lambda x: sp.betaincc(2.0, 2.0, x), 1.0, [0, 6, 12], id="betaincc of 2 and 2 at 1"),
    pytest.param(lambda x: sp.betainc(2.5, 1.5, x), 1.0, [0, -inf], id="betainc of 5/2 and 3/2 at 1"),
    pytest.param(lambda x: sp.betainc(1e3, 1e3, x), 0.0, [0, 0], id="betainc of 1000 and 1000 at 0"),
    pytest.param(sp.erf, inf, [0, 0], id="erf at inf"),
    pytest.param(sp.erf, -1e200, [0, 0], id="erf at -1e200"),
    pytest.param(sp.ndtr, -inf, [0, 0], id="ndtr at -inf"),
    pytest.param(sp.log_ndtr, inf, [0, 0], id="log_ndtr at inf"),
    pytest.param(sp.log_ndtr, -inf, [inf, -1], id="log_ndtr at -inf"),
    pytest.param(sp.dawsn, inf, [0, 0], id="dawsn at inf"),
    pytest.param(sp.erfcx, inf, [0, 0], id="erfcx at inf"),
    pytest.param(sp.i0e, inf, [0, 0], id="i0e at inf"),
    pytest.param(sp.i1e, -inf, [0, 0], id="i1e at -inf"),
    pytest.param(sp.k1e, inf, [0, 0], id="k1e at inf"),
    pytest.param(sp.i0e, 0.0, [0, nan], id="i0e at its kink"),
    pytest.param(lambda x: sp.jv(0, x), 0.0, [0, -0.5], id="jv of 0 at 0"),
    pytest.param(lambda x: sp.jv(1, x), 0.0, [0.5, 0, -0.375], id="jv of 1 at 0"),
    pytest.param(lambda x: sp.jv(2, x), 0.0, [0, 0.25], id="jv of 2 at 0"),
    pytest.param(lambda x: sp.iv(2, x), 0.0, [0, 0.25], id="iv of 2 at 0"),
    pytest.param(lambda y: sp.rel_entr(0.0, y), 0.0, [0, 0], id="rel_entr of 0 at 0"),
    pytest.param(lambda y: sp.kl_div(0.0, y), 0.0, [1, 0], id="kl_div of 0 at 0"),
    pytest.param(lambda y: sp.xlogy(0.0, y), 0.0, [0, 0], id="xlogy of 0 at 0"),
    pytest.param(sp.erfinv, 1.0, [inf, inf], id="erfinv at 1"),
    pytest.param(sp.ndtri, 0.0, [inf, -inf], id="ndtri at 0"),
    pytest.param(sp.entr, 0.0, [inf, -inf], id="entr at 0"),
    pytest.param(sp.logit, 1e-300, [1e300, -inf], id="logit at 1e-300"),
    pytest.param(np.cbrt, inf, [0, 0], id="cbrt at inf"),
    pytest.param(np.arccosh, inf, [0, 0], id="arccosh at inf"),
    pytest.param(np.arcsin, 1.0, [inf, inf], id="arcsin at 1"),
    pytest.param(np.arctanh, -1.0, [inf, -inf], id="arctanh at -1"),
    pytest.param(lambda x: np.logaddexp(x, -inf), -inf, [0.5, 0], id="logaddexp of -inf and -inf"),
    pytest.param(lambda x: np.logaddexp(x, 2.0), -inf, [0, 0], id="logaddexp of -inf and a number"),
    pytest.param(lambda x: np.logaddexp(x, 2.0), inf, [1, 0], id="logaddexp of inf and a number"),
    pytest.param(lambda x: np.clip(0.0, x, x), 2.0, [1, 0], id="clip with equal bounds above"),
    pytest.param(lambda x: np.clip(3.0, x, x), 2.0, [1, 0], id="clip with equal bounds below"),
    pytest.param(np.absolute, 0.0, [0, 0], id="abs at its kink"),
    pytest.param(functional.relu, 0.0, [0, 0], id="relu at its kink"),
    pytest.param(lambda x: x**2, 0.0, [0, 2, 0], id="x**2 at 0"),
    pytest.param(np.arctan, 1e200, [0, 0], id="arctan at 1e200"),
]


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize(("function", "point", "expected"), LIMITS)
def test_limits(function: Function, point: float, expected: list[float]) -> None:
    for order, value in enumerate(expected, 1):
        np.testing.assert_allclose(in_reverse(function, np.array([point]), order), [value], rtol=1e-12, atol=1e-13)
        if order < 3:
            np.testing.assert_allclose(forward(function, np.array([point]), order), [value], rtol=1e-12, atol=1e-13)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(("function", "point", "expected"), [LIMITS[k] for k in (0, 4, 10, 18, 24)])
def test_limits_compiled(function: Function, point: float, expected: list[float], backend: Any) -> None:
    pytest.importorskip("numba")
    x = np.array([point])
    for order, value in enumerate(expected[:2], 1):
        program = ad.compile(lambda x, order=order: in_reverse(function, x, order), backend=backend)
        np.testing.assert_allclose([program(x), program(x)], [[value], [value]], rtol=1e-12, atol=1e-13)


def test_what_is_not_known_is_not_finite() -> None:
    at_pole = ad.grad(lambda x: sp.sici(x)[1])(0.0)
    assert at_pole > 1e307
    with np.errstate(invalid="ignore", divide="ignore"):
        for function, point in ((sp.gamma, -1.0), (sp.gammaln, -2.0), (sp.fresnel, inf), (sp.k0e, 0.0)):
            gradient = ad.grad(lambda x, f=function: f(x)[0] if f is sp.fresnel else f(x))(point)
            assert np.isnan(gradient)
        assert np.isnan(ad.grad(sp.rel_entr)(0.0, 0.0))


def test_sums_of_exponentials_agree_where_all_is_minus_infinity() -> None:
    x = np.full(2, -inf)
    for function in (lambda x: np.logaddexp(x[0], x[1]), np.logaddexp.reduce, functional.logsumexp):
        np.testing.assert_array_equal(ad.grad(function)(x), [0.5, 0.5])
        np.testing.assert_array_equal(ad.jvp(function, (x,), (np.array([1.0, 3.0]),))[1], 2)
