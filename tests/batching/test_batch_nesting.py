"""Batches within transforms and transforms within batches, at any depth, against derivatives by hand and loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial

import autodiff as ad
from autodiff import Tensor

Function = Callable[[Any], Any]
SHIFTS = np.array([0.0, 1.0, -0.5])


def over_shifts(f: Function) -> Function:
    """Add the values at several points, which are members of a batch."""
    return lambda x: np.sum(ad.vmap(f)(x + SHIFTS))


# Each makes, of a function of a number, one of its derivatives, or the sum over a batch.
TRANSFORMS: dict[str, tuple[Callable[[Function], Function], int]] = {
    "grad": (ad.grad, 1),
    "jvp": (lambda f: lambda x: ad.jvp(f, (x,), (1.0,))[1], 1),
    "vjp": (lambda f: lambda x: ad.vjp(f, x)[1](1.0)[0], 1),
    "jacobian": (ad.jacobian, 1),
    "hessian": (ad.hessian, 2),
    "hvp": (lambda f: lambda x: ad.hvp(f)(x, 1.0), 2),
    "vmap": (over_shifts, 0),
}
X = Polynomial([0.0, 1.0])


def by_hand(name: str, f: Polynomial) -> Polynomial:
    """Do to a polynomial what a transform does to a function."""
    order = TRANSFORMS[name][1]
    return f.deriv(order) if order else sum((f(X + shift) for shift in SHIFTS), Polynomial([0.0]))


@pytest.mark.parametrize("outer", TRANSFORMS)
@pytest.mark.parametrize("inner", TRANSFORMS)
def test_every_pair(outer: str, inner: str) -> None:
    d, e = TRANSFORMS[outer][0], TRANSFORMS[inner][0]
    # The variable of the outer one is used within the inner one, and is where that is taken.
    found = d(lambda x: x**2 * e(lambda y: x**3 * y**5 + y)(x))(1.5)
    # In the inner function, x is another letter: a number that stands before the derivative of y⁵.
    expected = by_hand(outer, X**2 * (X**3 * by_hand(inner, X**5) + by_hand(inner, X)))(1.5)
    assert type(found) is np.float64
    assert found == pytest.approx(expected, rel=1e-12)
    # It does not reach the inner function, or only the place
    assert d(lambda x: x**2 * e(lambda y: y**5)(2.0))(1.5) == pytest.approx(
        by_hand(outer, X**2 * by_hand(inner, X**5)(2.0))(1.5), rel=1e-12
    )
    assert d(e(lambda y: y**6))(1.5) == pytest.approx(by_hand(outer, by_hand(inner, X**6))(1.5), rel=1e-12)


@pytest.mark.parametrize("outer", TRANSFORMS)
@pytest.mark.parametrize("inner", TRANSFORMS)
def test_every_pair_with_a_tensor_from_outside(outer: str, inner: str) -> None:
    d, e = TRANSFORMS[outer][0], TRANSFORMS[inner][0]
    w = Tensor(0.75)

    def f(w: Any) -> Any:
        return d(lambda x: w * x**2 * e(lambda y: x**3 * w**2 * y**5 + w * y)(x))(1.5)

    found = f(w)
    found.backward()
    a = by_hand(outer, X**2 * X**3 * by_hand(inner, X**5))(1.5)
    b = by_hand(outer, X**2 * by_hand(inner, X))(1.5)
    assert float(found.data) == pytest.approx(a * 0.75**3 + b * 0.75**2, rel=1e-12)
    assert float(w.grad) == pytest.approx(3 * a * 0.75**2 + 2 * b * 0.75, rel=1e-12)
    # And in a batch of these
    ws = np.array([0.5, 0.75, 2.0])
    np.testing.assert_allclose(ad.vmap(f)(ws), a * ws**3 + b * ws**2, rtol=1e-12)
    np.testing.assert_allclose(ad.vmap(ad.grad(f))(ws), 3 * a * ws**2 + 2 * b * ws, rtol=1e-12)
    np.testing.assert_allclose(ad.grad(lambda ws: ad.vmap(f)(ws).sum())(ws), 3 * a * ws**2 + 2 * b * ws, rtol=1e-12)


THREE = [names for names in itertools.product(TRANSFORMS, repeat=3) if "vmap" in names]


@pytest.mark.parametrize("names", THREE, ids="-".join)
def test_three_deep(names: tuple[str, str, str]) -> None:
    d, e, f = (TRANSFORMS[name][0] for name in names)
    found = d(lambda x: x * e(lambda y: x * y**2 * f(lambda z: x * y * z**5 + z * y)(y + x))(x + 1))(0.5)
    expected = three_by_hand(names)
    assert found == pytest.approx(expected, rel=1e-10)


def three_by_hand(names: tuple[str, str, str]) -> float:
    """The same in polynomials: those of y have polynomials of x as factors, which is why y is written x + 1 + t."""
    outer, middle, inner = names
    of_z, plain = by_hand(inner, X**5), by_hand(inner, X)

    def of_x(x: float) -> float:
        at = x * X**2 * (x * X * of_z(X + x) + X * plain(X + x))
        return x * float(by_hand(middle, at)(x + 1))

    # It is a polynomial of x of a degree below 16: which, its values say.
    points = 0.5 + 2.5 * np.cos(np.pi * (np.arange(17) + 0.5) / 17)
    fitted = Polynomial.fit(points, [of_x(x) for x in points], 16).convert()
    return float(by_hand(outer, fitted)(0.5))
