"""Differences, integrals, convolutions, interpolation, covariances and polynomials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(10)
normal, positive, unit = sampler.normal, sampler.positive, sampler.unit


def differences() -> Iterator[Case]:
    x = normal(3, 4)
    for n, axis in product((0, 1, 2, 3), (0, -1)):
        yield Case(
            f"diff, n {n}, axis {axis}",
            lambda x, n=n, axis=axis: np.diff(x, n, axis),
            (x,),
            torch=lambda t, x, n=n, axis=axis: t.diff(x, n, axis),
        )
    yield Case(
        "diff, prepend and append",
        lambda x, a, b: np.diff(x, prepend=a, append=b),
        (x, normal(3, 1), normal(3, 2)),
        torch=lambda t, x, a, b: t.diff(x, prepend=a, append=b),
    )
    yield Case("diff, prepend by keyword", lambda x, a: np.diff(x, prepend=a) * a, (x, normal(3, 1)))
    yield Case("diff, append by keyword", lambda x, b: np.diff(x, axis=0, append=b), (x, normal(2, 4)))
    yield Case("diff, append to a constant", lambda b: np.diff([1.0, 3.0], 2, append=b), (normal(2),))
    yield Case("diff, prepend a number", lambda x: np.diff(x, axis=0, prepend=0.0), (x,))
    yield Case("diff, n 0, prepend", lambda x, a: np.diff(x, 0, prepend=a) * a, (x, normal()))
    yield Case("diff twice, prepend a number", lambda x, a: np.diff(x, 2, 0, a), (x, normal()))
    yield Case("diff of a list, prepend", lambda a: np.diff([1.0, 3.0], prepend=a), (normal(2),))
    yield Case("diff of one element", np.diff, (normal(1),), torch="diff")
    yield Case("ediff1d", np.ediff1d, (x,))
    yield Case("ediff1d with ends", lambda x, a, b: np.ediff1d(x, a, b), (normal(4), normal(2), normal()))
    yield Case("ediff1d, to_end by keyword", lambda x, a: np.ediff1d(x, to_end=a), (normal(4), normal(2)))
    yield Case(
        "ediff1d, ends by keyword",
        lambda x, a, b: np.ediff1d(x, to_begin=a, to_end=b),
        (normal(3), normal(2), normal()),
    )
    for axis in (0, -1):
        yield Case(
            f"trapezoid, axis {axis}",
            lambda x, axis=axis: np.trapezoid(x, dx=0.5, axis=axis),
            (x,),
            torch=lambda t, x, axis=axis: t.trapezoid(x, dx=0.5, dim=axis),
        )
    yield Case("trapezoid over points", np.trapezoid, (x, np.sort(normal(4))), torch=lambda t, y, x: t.trapezoid(y, x))
    yield Case("trapezoid over a grid", lambda y, x: np.trapezoid(y, x, axis=0), (x, normal(3, 4)))
    yield Case("trapezoid, dx", lambda d: np.trapezoid([1.0, -2.0, 4.0] * d, dx=d), (normal(),))
    yield Case("trapezoid, steps", lambda d: np.trapezoid(np.outer(d, d), dx=d[:2]), (normal(3),))
    yield Case("trapezoid over a list", lambda y: np.trapezoid(y, [0.0, 1.0, 3.0]), (normal(3),))
    points = np.array([0.0, 0.5, 2.0, 2.5, 4.0])
    f = normal(5, 4)
    for order in (1, 2):
        yield Case(
            f"gradient, edge order {order}",
            lambda f, order=order: np.gradient(f, edge_order=order),
            (f,),
            torch=lambda t, f, order=order: t.gradient(f, edge_order=order),
        )
        yield Case(
            f"gradient over points, edge order {order}",
            lambda f, order=order: np.gradient(f, points, axis=0, edge_order=order),
            (f,),
        )
    yield Case("gradient, spacings", lambda f: np.gradient(f, 0.5, np.arange(4.0) ** 2), (f,))
    yield Case("gradient, axes", lambda f: np.gradient(f, 2.0, axis=(1, 0)), (f,))
    yield Case("gradient, one axis", lambda f: np.gradient(f, axis=-1), (f,))
    yield Case("gradient of two elements", lambda f: np.gradient(f, 0.5), (normal(2),))


def convolutions() -> Iterator[Case]:
    for function, mode, (n, m) in product(
        (np.convolve, np.correlate), ("full", "same", "valid"), ((6, 3), (6, 2), (2, 5), (3, 6), (4, 4), (5, 1))
    ):
        yield Case(
            f"{function.__name__}, {mode}, {n} and {m}",
            lambda a, v, f=function, mode=mode: f(a, v, mode=mode),
            (normal(n), normal(m)),
        )
    yield Case("convolve with a list", lambda a: np.convolve(a, [1.0, -2.0, 1.0]), (normal(5),))
    yield Case("convolve of a list", lambda v: np.convolve([1.0, -2.0, 1.0], v, "same"), (normal(2),))
    yield Case("convolve with a number", np.convolve, (normal(4), normal()))
    yield Case("correlate, default mode", np.correlate, (normal(5), normal(3)))


def interpolation() -> Iterator[Case]:
    points = np.array([-1.0, 0.0, 0.5, 2.0])
    x = np.array([[-0.5, 0.2, 1.1], [1.9, -3.0, 2.5]])
    yield Case("interp", lambda x, fp: np.interp(x, points, fp), (x, normal(4)))
    yield Case("interp, points too", np.interp, (x, points, normal(4)))
    yield Case("interp, left and right", lambda x, fp: np.interp(x, points, fp, left=7.0, right=-7.0), (x, normal(4)))
    yield Case(
        "interp, left and right by keyword",
        # NumPy does not ask what these two are, only what the others are.
        lambda left, right: np.interp(x + 0 * left * right, points, points**2, left=left, right=right),
        (normal(), normal()),
    )
    yield Case("interp, right", lambda right: np.interp(x * right, points, points**2, right=right), (positive(),))
    for period in (3.5, -4.3):
        yield Case(
            f"interp, period {period}",
            lambda x, xp, fp, p=period: np.interp(x, xp, fp, left=7.0, period=p),
            (x, np.array([2.0, -1.3, 0.6, 5.0]), normal(4)),
        )
    yield Case(
        "interp of constants, period", lambda fp: np.interp([0.1, 5.0], [0.0, 2.0, 1.0], fp, period=3), (normal(3),)
    )
    yield Case("interp at the points", lambda fp: np.interp(points, points, fp), (normal(4),))
    yield Case("interp of a number", lambda x, fp: np.interp(x, points, fp), (np.array(0.3), normal(4)))
    yield Case("interp between lists", lambda x: np.interp(x, [0.0, 1.0], [2.0, 4.0]), (np.array([0.5, 3.0]),))
    yield Case("interp at infinity", lambda fp: np.interp([0.1, np.inf, -np.inf], points, fp), (normal(4),))
    yield Case("interp with one point", lambda x, fp: np.interp(x, [1.0], fp), (x, normal(1)))
    yield Case("bincount", lambda w: np.bincount([0, 2, 2, 1], w), (normal(4),))
    yield Case("bincount, minlength", lambda w: np.bincount(np.array([0, 2]), w, 5), (normal(2),))


def torch_cov(counts: Any, importance: Any) -> Callable[..., Any]:
    def cov(t: Any, m: Any) -> Any:
        weights = [None if w is None else t.tensor(w) for w in (counts, importance)]
        return t.cov(m, fweights=weights[0], aweights=weights[1])

    return cov


def covariances() -> Iterator[Case]:
    m = normal(3, 5)
    yield Case("cov", np.cov, (m,), torch="cov")
    yield Case("cov, columns", lambda m: np.cov(m, rowvar=False), (m,), torch=lambda t, m: t.cov(m.T))
    yield Case("cov, bias", lambda m: np.cov(m, bias=True), (m,), torch=lambda t, m: t.cov(m, correction=0))
    yield Case("cov, ddof", lambda m: np.cov(m, ddof=2), (m,), torch=lambda t, m: t.cov(m, correction=2))
    yield Case("cov of two", np.cov, (m, normal(2, 5)), torch=lambda t, m, y: t.cov(t.concatenate([m, y])))
    yield Case("cov of two vectors", np.cov, (normal(4), normal(4)))
    yield Case("cov of columns and a row", lambda m, y: np.cov(m, y, rowvar=False), (normal(5, 2), normal(1, 5)))
    yield Case("cov of columns and columns", lambda m, y: np.cov(m, y, rowvar=False), (normal(5, 2), normal(5, 2)))
    yield Case("cov of one variable", np.cov, (normal(4),), torch="cov")
    counts = np.array([1, 3, 0, 2, 1])
    importance = positive(5)
    yield Case("cov, fweights", lambda m: np.cov(m, fweights=counts), (m,), torch=torch_cov(counts, None))
    yield Case("cov, fweights, bias", lambda m: np.cov(m, bias=True, fweights=counts), (m,))
    yield Case("cov, aweights", lambda m: np.cov(m, aweights=importance), (m,), torch=torch_cov(None, importance))
    yield Case("cov, aweights, ddof 0", lambda m: np.cov(m, ddof=0, aweights=[1, 2, 1, 0.5, 1]), (m,))
    yield Case("cov, aweights with a gradient", lambda m, w: np.cov(m, aweights=w), (m, importance))
    yield Case("cov of constants, aweights", lambda w: np.cov([1.0, 4.0, 2.0], aweights=w, ddof=2), (positive(3) + 2,))
    yield Case(
        "cov of two, both weights, columns",
        lambda x, y, w: np.cov(x, y, rowvar=False, fweights=counts, aweights=w),
        (normal(5, 2), normal(5, 1), importance),
    )
    yield Case("cov in long double", lambda m: np.cov(m, dtype=np.longdouble), (m,))
    yield Case("corrcoef in long double", lambda m: np.corrcoef(m, dtype=np.longdouble), (m,))
    yield Case("corrcoef", np.corrcoef, (m,), torch="corrcoef")
    yield Case("corrcoef, columns", lambda m: np.corrcoef(m, rowvar=False), (m,))
    yield Case("corrcoef of two", lambda x, y: np.corrcoef(x, y), (normal(5), normal(5)))
    yield Case("corrcoef of one variable", np.corrcoef, (normal(5),))


def polynomials() -> Iterator[Case]:
    yield Case("polyval", np.polyval, (normal(4), normal(2, 3)))
    yield Case("polyval at a number", np.polyval, (normal(3), normal()))
    yield Case("polyval of a list", lambda x: np.polyval([1.0, -2.0, 0.5], x), (normal(3),))
    for function in (np.polyadd, np.polysub):
        for sizes in ((3, 3), (4, 2), (1, 3)):
            yield Case(f"{function.__name__} {sizes}", function, tuple(map(normal, sizes)))
    yield Case("polysub from a list", lambda a: np.polysub([1.0, 2.0], a), (normal(3),))
    for m in (0, 1, 2, 3):
        yield Case(f"polyder, m {m}", lambda p, m=m: np.polyder(p, m), (normal(4),))
        yield Case(f"polyint, m {m}", lambda p, m=m: np.polyint(p, m), (normal(3),))
    yield Case("polyint, k", lambda p: np.polyint(p, 2, k=[1.0, 2.0]), (normal(3),))


CASES = [*differences(), *convolutions(), *interpolation(), *covariances(), *polynomials()]
