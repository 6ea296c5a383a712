"""Functions of SciPy's modules beside its special functions, for as long as it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(8)
normal, positive = sampler.normal, sampler.positive


def linalg() -> Iterator[Case]:
    from scipy import linalg as sl

    from autodiff.scipy import linalg

    a, b = np.array(normal(3, 3) + 3 * np.eye(3)), normal(3, 2)
    for lower in (False, True):
        for trans in (0, "T"):
            yield Case(
                f"scipy.solve_triangular {lower} {trans}",
                lambda a, b, lower=lower, trans=trans: linalg.solve_triangular(a, b, trans, lower=lower),
                (a, b),
                torch=None
                if trans
                else lambda t, a, b, lower=lower: t.linalg.solve_triangular(
                    t.tril(a) if lower else t.triu(a), b, upper=not lower
                ),
                plain=lambda a, b, lower=lower, trans=trans: sl.solve_triangular(a, b, trans, lower=lower),
            )

        def spread(x: Any, lower: bool = lower) -> Any:
            return linalg.cho_factor(x @ np.conjugate(np.swapaxes(x, 0, 1)) + np.eye(3), lower)[0]

        yield Case(f"scipy.cho_factor {lower}", spread, (normal(3, 3),))
        for shape in ((3,), (3, 2)):
            yield Case(
                f"scipy.cho_solve {lower} {shape}",
                lambda c, b, lower=lower: linalg.cho_solve((c, lower), b),
                (a, normal(*shape)),
                plain=lambda c, b, lower=lower: sl.cho_solve((c, lower), b),
            )
    unit = (a[:2, :2], normal(2))
    yield Case("scipy.solve_triangular, ones", lambda a, b: linalg.solve_triangular(a, b, unit_diagonal=True), unit)
    for lower_upper, shape in (((1, 1), (4,)), ((2, 0), (4, 2)), ((0, 1), (4,)), ((1, 2), (4, 1))):
        yield Case(
            f"scipy.solve_banded {lower_upper}",
            lambda ab, b, lu=lower_upper: linalg.solve_banded(lu, ab, b),
            (
                np.array(
                    normal(sum(lower_upper) + 1, 4) + 4 * (np.arange(sum(lower_upper) + 1) == lower_upper[1])[:, None]
                ),
                normal(*shape),
            ),
            plain=lambda ab, b, lu=lower_upper: sl.solve_banded(lu, ab, b),
        )
    yield Case(
        "scipy.solve_sylvester",
        linalg.solve_sylvester,
        (a, np.array(normal(2, 2) + 3 * np.eye(2)), b),
        plain=lambda a, b, q: sl.solve_sylvester(*(np.asarray(x, np.result_type(a, b, q)) for x in (a, b, q))),
    )
    for shape in ((3, 3), (2, 2, 2), (1, 1)):
        yield Case(
            f"scipy.expm {shape}", linalg.expm, (normal(*shape),), torch=lambda t, a: t.matrix_exp(a), plain=sl.expm
        )
    stack = np.array(normal(2, 3, 3) + 3 * np.eye(3))
    for words, one, other in (("of stacks", stack, normal(2, 3, 2)), ("of a stack, shared", stack, normal(3))):
        yield Case(f"scipy.solve_triangular {words}", lambda a, b: linalg.solve_triangular(a, b, 1), (one, other))
        yield Case(f"scipy.cho_solve {words}", lambda c, b: linalg.cho_solve((c, True), b), (one, other))
        yield Case(f"scipy.solve_banded {words}", lambda ab, b: linalg.solve_banded((1, 1), ab, b), (one, other))
    yield Case("scipy.solve_sylvester of stacks", linalg.solve_sylvester, (stack, b.T[:, :2] + 9 * np.eye(2), b))
    yield Case("scipy.sqrtm of stacks", linalg.sqrtm, (np.array(stack @ stack),))
    yield Case("scipy.expm of a number", linalg.expm, (normal(),))
    yield Case("scipy.expm of zeros", linalg.expm, (np.zeros((2, 2)),))
    yield Case("scipy.sqrtm", linalg.sqrtm, (np.array(a @ a),), plain=sl.sqrtm)


def signal() -> Iterator[Case]:
    from scipy import signal as ss

    from autodiff.scipy import signal

    every = ("full", "same", "valid")
    pairs = [
        ((5,), (2,), every),
        ((3,), (6,), every[1:]),
        ((4, 5), (3, 2), every[1:2]),
        ((2, 3, 2), (2, 1, 2), every[2:]),
    ]
    for one, other, modes in pairs:
        for name, mode in product(("convolve", "correlate", "fftconvolve"), modes):
            yield Case(
                f"scipy.{name} {one} {other} {mode}",
                lambda x, y, name=name, mode=mode: getattr(signal, name)(x, y, mode),
                (normal(*one), normal(*other)),
                plain=lambda x, y, name=name, mode=mode: getattr(ss, name)(x, y, mode),
            )
    for mode in every:
        yield Case(
            f"scipy.fftconvolve {mode}, one axis",
            lambda x, y, mode=mode: signal.fftconvolve(x, y, mode, axes=-1),
            (normal(2, 1, 4), normal(1, 1, 3)),
        )
    yield Case(
        "scipy.fftconvolve, broadcast", lambda x, y: signal.fftconvolve(x, y, axes=[1]), (normal(2, 4), normal(1, 3))
    )
    along: list[Any] = [
        ("filters", (1, 2, 3, 4), (2, 2, 2, 3), ([2, 3], [2, 3]), ([1], [0]), every[2:]),
        ("in other orders", (5, 2, 3), (2, 6, 2), ([0, -1], [2, 1]), ((), ()), every[:1]),
        ("of columns", (2, 2), (4, 1), ([0], [0]), ((), ()), every),
    ]
    for words, one, other, axes, dot, modes in along:
        for mode in modes:
            yield Case(
                f"scipy.convolve, axes, {words}, {mode}",
                lambda x, y, mode=mode, axes=axes, dot=dot: signal.convolve(x, y, mode, axes=axes, dot_axes=dot),
                (normal(*one), normal(*other)),
                torch=(lambda t, x, y: t.nn.functional.conv2d(x, y.flip(2, 3).transpose(0, 1)))
                if words == "filters"
                else None,
            )
    yield Case("scipy.convolve of numbers", signal.convolve, (normal(), normal()))


def stats() -> Iterator[Case]:
    from scipy import stats as ss

    from autodiff.scipy import stats

    x, unit = positive(2, 3), np.array(sampler.unit(2, 3) / 2 + 0.5)
    continuous = ["logpdf", "pdf", "cdf", "sf", "logcdf", "logsf"]
    by_shape = {"t.cdf", "gamma.sf", "beta.logcdf", "chi2.logsf"}  # where that is tried too, which takes its time
    shapes = {"norm": 0, "t": 1, "gamma": 1, "beta": 2, "chi2": 1, "expon": 0}
    for name, count in shapes.items():
        value, loc = (unit, np.array(-0.1)) if name == "beta" else (x, np.array(0.3))
        for method in continuous:
            ours, theirs = (getattr(getattr(module, name), method) for module in (stats, ss))
            given = tuple(positive(3) + 1 for _ in range(count))
            place = (loc, np.array(1.7))
            if "pdf" in method or not count or f"{name}.{method}" in by_shape:
                yield Case(f"scipy.stats.{name}.{method}", ours, (value, *given, *place), plain=theirs)
            else:
                yield Case(
                    f"scipy.stats.{name}.{method}",
                    lambda x, loc, scale, f=ours, given=given: f(x, *map(np.ndarray.tolist, given), loc, scale),
                    (value, *place),
                )
    counts = np.array([0, 1, 4])
    for method in ("logpmf", "pmf", "cdf", "sf", "logcdf", "logsf"):
        ours, theirs = (getattr(module.poisson, method) for module in (stats, ss))
        yield Case(
            f"scipy.stats.poisson.{method}",
            lambda mu, f=ours: f(counts, mu),
            (positive(2, 1),),
            plain=lambda mu, f=theirs: f(counts, mu),
        )
    shares, alpha = np.array([[0.2, 0.3], [0.3, 0.1]]), positive(3)
    yield Case("scipy.stats.dirichlet.logpdf", stats.dirichlet.logpdf, (shares, alpha), plain=ss.dirichlet.logpdf)
    whole = np.array([0.2, 0.5, 0.3])
    yield Case("scipy.stats.dirichlet.pdf", lambda alpha: stats.dirichlet.pdf(whole, alpha), (alpha,))
    points = {"of points": normal(4, 2), "of a point": normal(2)}
    for words, point in points.items():
        yield Case(
            f"scipy.stats.multivariate_normal.logpdf {words}",
            lambda x, mean, w: stats.multivariate_normal.logpdf(x, mean, w @ np.swapaxes(w, 0, 1) + np.eye(2)),
            (point, normal(2), normal(2, 2)),
        )
    for words, cov in (("a variance", positive()), ("variances", positive(2))):
        yield Case(
            f"scipy.stats.multivariate_normal.logpdf of {words}",
            stats.multivariate_normal.logpdf,
            (point, normal(2), cov),
        )
    yield Case("scipy.stats.multivariate_normal.pdf", stats.multivariate_normal.pdf, (normal(3),))


CASES = [*linalg(), *signal(), *stats()] if find_spec("scipy") else []
