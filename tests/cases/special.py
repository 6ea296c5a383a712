"""Functions of SciPy, for as long as it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(7)
normal, positive, nonzero = sampler.normal, sampler.positive, sampler.nonzero


def probability(*shape: int) -> Any:
    return np.array(sampler.unit(*shape) / 2 + 0.5)


def in_torch(name: str) -> Callable[..., Any]:
    return lambda t, *args: getattr(t.special, name)(*args)


def unary() -> Iterator[Case]:
    from scipy import special as sp

    from autodiff.rules.special import inverse_mills
    from autodiff.scipy.special import softplus

    table: list[tuple[Callable[..., Any], Callable[..., Any], str | None]] = [
        (sp.expit, normal, "expit"),
        (sp.logit, probability, "logit"),
        (sp.log_expit, normal, None),
        (sp.exp2, normal, "exp2"),
        (sp.exp10, normal, None),
        (sp.expm1, normal, "expm1"),
        (sp.log1p, positive, "log1p"),
        (sp.cosm1, normal, None),
        (sp.cbrt, positive, None),
        (sp.sinc, nonzero, "sinc"),
        (sp.entr, positive, "entr"),
        (sp.erf, normal, "erf"),
        (sp.erfc, normal, "erfc"),
        (sp.erfcx, normal, "erfcx"),
        (sp.erfi, normal, None),
        (sp.dawsn, normal, None),
        (sp.erfinv, sampler.unit, "erfinv"),
        (sp.erfcinv, probability, None),
        (sp.ndtr, normal, "ndtr"),
        (sp.log_ndtr, normal, "log_ndtr"),
        (sp.ndtri, probability, "ndtri"),
        (sp.ndtri_exp, lambda *shape: np.array(-positive(*shape)), None),
        (inverse_mills, normal, None),
        (sp.gamma, positive, None),
        (sp.gammaln, positive, "gammaln"),
        (sp.loggamma, positive, "gammaln"),
        (sp.rgamma, positive, None),
        (sp.digamma, positive, "digamma"),
        (sp.gammasgn, nonzero, None),
        (sp.i0, nonzero, "i0"),
        (sp.i1, nonzero, "i1"),
        (sp.i0e, nonzero, "i0e"),
        (sp.i1e, nonzero, "i1e"),
        (sp.k0, positive, None),
        (sp.k1, positive, None),
        (sp.k0e, positive, None),
        (sp.k1e, positive, None),
        (sp.j0, normal, None),
        (sp.j1, normal, None),
        (sp.y0, positive, None),
        (sp.y1, positive, None),
        (sp.sici, positive, None),
        (sp.fresnel, normal, None),
        (sp.expi, positive, None),
        (sp.exp1, positive, None),
        (sp.exprel, normal, None),
        (sp.ellipk, sampler.unit, None),
        (sp.ellipe, sampler.unit, None),
        (sp.spence, positive, None),
        (softplus, normal, None),
    ]
    for function, sample, torch in table:
        for shape in ((2, 3), (), (0, 2)):
            yield Case(
                f"special.{function.__name__} {shape}",
                function,
                (sample(*shape),),
                torch=None if torch is None else in_torch(torch),
            )


def binary() -> Iterator[Case]:
    from scipy import special as sp

    from autodiff.rules.special import boxcox_slope, exprel_slope, power_product
    from autodiff.scipy.special import polygamma

    table: list[tuple[np.ufunc, str | None]] = [
        (sp.beta, None),
        (sp.betaln, None),
        (sp.xlogy, "xlogy"),
        (sp.xlog1py, "xlog1py"),
        (sp.rel_entr, None),
        (sp.kl_div, None),
        (sp.huber, None),
        (sp.pseudo_huber, None),
        (sp.boxcox, None),
        (sp.inv_boxcox, None),
    ]
    for function, torch in table:
        name = f"special.{function.__name__}"
        for x, y in (((2, 3), (2, 3)), ((2, 1), (1, 3)), ((), (2, 3)), ((3,), ()), ((), ()), ((0, 3), (3,))):
            yield Case(
                f"{name} {x} {y}",
                function,
                (positive(*x), positive(*y)),
                torch=None if torch is None else in_torch(torch),
            )
        yield Case(f"{name} of a float on the left", lambda y, f=function: f(1.5, y), (positive(3),))
        yield Case(f"{name} of a float on the right", lambda x, f=function: f(x, 1.5), (positive(3),))
        yield Case(f"{name} of a list on the right", lambda x, f=function: f(x, [1.5, 0.5]), (positive(2),))
        yield Case(f"{name} of a list on the left", lambda y, f=function: f([1.5, 0.5], y), (positive(2),))
    for function in (sp.jv, sp.yv, sp.iv, sp.ive, sp.kv, sp.kve):
        name = f"special.{function.__name__}"
        for order in (0, 1, 2.5, [1.0, 2.0]):
            yield Case(f"{name} of order {order}", lambda x, f=function, v=order: f(v, x), (positive(3, 2),))
    for function in (sp.yn, sp.kn, sp.expn):
        for order in (0, 1, 3, np.array([1, 2])):
            yield Case(
                f"special.{function.__name__} {order}", lambda x, f=function, n=order: f(n, x), (positive(3, 2),)
            )
    for function in (sp.stdtr, sp.chdtr, sp.chdtrc, sp.pdtr, sp.pdtrc, sp.hyp0f1):
        for first in (2, np.array([1.0, 4.5])):
            yield Case(
                f"special.{function.__name__} {first}", lambda x, f=function, v=first: f(v, x), (positive(3, 2),)
            )
    for order in (0, 1, 3):
        yield Case(f"special.exprel_slope {order}", lambda x, k=order: exprel_slope(k, x), (normal(3),))
    yield Case("special.boxcox_slope", lambda x, y: boxcox_slope(2, x, y), (positive(3), normal(2, 1)))
    yield Case("special.hyp1f1", lambda x: sp.hyp1f1([1, 2], 2.5, np.clip(x, -9, 9)), (normal(3, 2),))
    yield Case("special.hyp2f1", lambda x: sp.hyp2f1([1, 2], 2.5, 3, x), (sampler.unit(3, 2),))
    for order in (0, 1, 2, 5, np.array([0, 3])):
        yield Case(
            f"special.polygamma {order}",
            lambda x, n=order: polygamma(n, x),
            (positive(3, 2),),
            torch=None if isinstance(order, np.ndarray) else lambda t, x, n=order: t.polygamma(n, x),
            plain=lambda x, n=order: sp.polygamma(n, x),
        )
    yield Case("special.polygamma of a number", lambda x: polygamma(1, x), (positive(),))
    yield Case("special.zeta", lambda x: sp.zeta(3, x), (positive(3),))
    yield Case("special.zeta, list of exponents", lambda x: sp.zeta([2.0, 3.5], x), (positive(3, 1),))
    exponents = np.array([0.0, 1.0, 2.5]), np.array([0.0, -2.0, 1.0])
    yield Case("special.power_product", power_product, (*exponents, probability(2, 3), normal(3)))
    for function in (sp.gammainc, sp.gammaincc, sp.chdtr, sp.chdtrc):
        yield Case(f"special.{function.__name__} by both", function, (positive(3), positive(3)))
    yield Case("special.stdtr by both", sp.stdtr, (positive(4) + 1, np.array([-2.0, -0.3, 0.4, 3.0])))
    for function in (sp.betainc, sp.betaincc):
        yield Case(f"special.{function.__name__} by all", function, (positive(3), positive(2, 1), probability(3)))
    for a in (0.5, 1, 3.0, np.array([2, 4])):
        yield Case(f"special.gammainc {a}", lambda x, a=a: sp.gammainc(a, x), (positive(2, 2),))
        yield Case(f"special.gammaincc {a}", lambda x, a=a: sp.gammaincc(a, x), (positive(2, 2),))
        yield Case(f"special.betainc {a}", lambda x, a=a: sp.betainc(a, 2.5, x), (probability(2, 2),))
        yield Case(f"special.betaincc {a}", lambda x, a=a: sp.betaincc(2.5, a, x), (probability(2, 2),))


def sums() -> Iterator[Case]:
    from scipy import special as sp

    from autodiff.scipy import special

    x, y = normal(2, 3), normal(2, 3, 2)
    for axis in (None, 0, -1, (0, 1)):
        dim = (0, 1) if axis is None else axis
        yield Case(
            f"special.logsumexp {axis}",
            lambda x, axis=axis: special.logsumexp(x, axis),
            (x,),
            torch=lambda t, x, dim=dim: t.logsumexp(x, dim),
            plain=lambda x, axis=axis: sp.logsumexp(x, axis),
        )
        yield Case(
            f"special.logsumexp, keepdims, factors, {axis}",
            lambda x, b, axis=axis: special.logsumexp(x, axis, b=b, keepdims=True),
            (y, positive(3, 2)),
        )
        yield Case(
            f"special.logsumexp, signs, {axis}",
            lambda x, b, axis=axis: special.logsumexp(x, axis, b, return_sign=True),
            (x, nonzero(2, 1)),
        )
        for name, torch in (("softmax", "softmax"), ("log_softmax", "log_softmax")):
            yield Case(
                f"special.{name} {axis}",
                lambda x, name=name, axis=axis: getattr(special, name)(x, axis=axis),
                (x,),
                torch=None if dim == (0, 1) else lambda t, x, name=torch, dim=dim: getattr(t, name)(x, dim),
                plain=lambda x, name=name, axis=axis: getattr(sp, name)(x, axis=axis),
            )
    yield Case("special.logsumexp of large numbers", special.logsumexp, (np.array([-1e3, 1e3, 1e3]),))
    yield Case("special.logsumexp of a number", special.logsumexp, (normal(),))
    for shape in ((), (2, 3)):
        yield Case(
            f"special.multigammaln {shape}",
            lambda a: special.multigammaln(a, 3),
            (np.array(positive(*shape) + 1),),
            torch=lambda t, a: t.special.multigammaln(a, 3),
            plain=lambda a: sp.multigammaln(a, 3),
        )


def edges() -> Iterator[Case]:
    from scipy import special as sp

    from autodiff.scipy.special import polygamma, softplus

    far = np.array([-40.0, -5.0, 5.0, 40.0])
    yield Case("special.expit of large numbers", sp.expit, (far,))
    yield Case("special.log_expit of large numbers", sp.log_expit, (far,))
    yield Case("special.log_ndtr of large numbers", sp.log_ndtr, (far,))
    yield Case("special.log_ndtr, tails", sp.log_ndtr, (far[1:] * 0.8,), torch=in_torch("log_ndtr"))
    yield Case("special.ndtri_exp of large numbers", sp.ndtri_exp, (np.array([-800.0, -50.0, -0.1]),))
    yield Case("special.softplus of large numbers", softplus, (far,))
    yield Case("special.erfcx of large numbers", sp.erfcx, (np.array([-3.0, 0.0, 40.0]),))
    negative = np.array([-0.6, -1.5, -7.3])
    yield Case("special.digamma of negative numbers", sp.digamma, (negative,), torch="digamma")
    yield Case("special.gamma of negative numbers", sp.gamma, (negative,))
    yield Case("special.gammaln of negative numbers", sp.gammaln, (negative,), torch="lgamma")
    yield Case("special.rgamma of negative numbers", sp.rgamma, (negative,))
    yield Case("special.polygamma of negative numbers", lambda x: polygamma(2, x), (negative,))
    out = np.array([-1e4, -12.0, 12.0, 1e4])
    yield Case("special.dawsn far out", sp.dawsn, (out,))
    yield Case("special.erfcx far out", sp.erfcx, (out[2:],))
    yield Case("special.log_ndtr far out", sp.log_ndtr, (out[:2],))
    yield Case("special.ive far out", lambda x: sp.ive(1, x), (out * 10,))
    yield Case("special.kve far out", lambda x: sp.kve(1, x), (out[2:] * 10,))
    poles = np.array([0.0, -1.0, -2.0])
    yield Case("special.rgamma at the poles of gamma", sp.rgamma, (poles,))
    yield Case("special.beta of negative numbers", sp.beta, (np.array([-0.5, -0.3]), np.array([0.5, -1.6])))
    yield Case("special.betaln of large numbers", sp.betaln, (np.array([1e3, 1e12]), np.array([2.0, 1e3])), order=0)
    yield Case("special.sici, sine integral at 0", lambda x: sp.sici(x)[0], (poles[:1],), order=0)
    ends = np.array([0.0, 1.0])
    yield Case("special.gammainc at 0", lambda x: sp.gammainc([1, 2, 3], x), (poles[:1],), order=0)
    yield Case("special.betainc at its ends", lambda x: sp.betainc([[1], [2]], 2, x), (ends,), order=0)
    zeros = np.array([0.0, 0.0, 0.0, 2.0])
    yield Case("special.xlogy of 0 and a number", lambda x: sp.xlogy(x, 2.5), (zeros,))
    yield Case("special.xlogy of 0 and 0", sp.xlogy, (zeros[:2], np.array([0.0, 1.0])), order=0)  # a corner
    yield Case("special.xlog1py of 0 and a number", lambda x: sp.xlog1py(x, 2.5), (zeros,))
    yield Case("special.xlog1py of 0 and -1", sp.xlog1py, (zeros[:2], np.array([-1.0, 1.0])), order=0)  # a corner
    for function in (sp.i0, sp.i1, sp.j0, sp.j1):
        yield Case(f"special.{function.__name__} at 0", function, (np.array([0.0, 9.0]),))
    unit = np.array([-30.0, -0.5, 0.0, 1e-9, 0.5, 0.98])
    yield Case("special.ellipk, small and large", sp.ellipk, (unit,))
    yield Case("special.ellipe, small and large", sp.ellipe, (unit,))
    yield Case("special.spence, small and large", sp.spence, (1 - unit,))
    yield Case("special.exprel, small and large", sp.exprel, (unit,))
    yield Case("special.boxcox at 0", sp.boxcox, (np.array([0.5, 2.0, 3.0]), np.array([0.0, 1e-9, -0.1])))
    yield Case("special.boxcox of 0", sp.boxcox, (np.zeros(2), np.array([1.0, 3.0])), order=0)
    yield Case("special.inv_boxcox at 0", sp.inv_boxcox, (np.array([0.5, -2.0, 3.0]), np.array([0.0, 1e-9, -0.1])))
    yield Case("special.huber, both sides", sp.huber, (np.array([1.0, 1.0, 2.0]), np.array([3.0, -3.0, 1.0])))
    yield Case("special.pseudo_huber at 0", sp.pseudo_huber, (np.array([0.0, 1.0, 0.0]), np.zeros(3)), order=0)
    for function in (sp.i0e, sp.i1e):
        name = function.__name__
        yield Case(f"special.{name} of large numbers", function, (np.array([-80.0, 800.0]),), torch=in_torch(name))


CASES = [*unary(), *binary(), *sums(), *edges()] if find_spec("scipy") else []
