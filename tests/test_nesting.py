"""Transforms inside of transforms: every pair, at several depths; what comes out, and of which type.

A transform gives plain arrays unless a Tensor goes in, or its function uses from outside one that is being
differentiated now. Its own variables do not count, at whatever depth it stands.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor

Derivative = Callable[[Any], Any]


def by_vjp(f: Derivative) -> Derivative:
    def derivative(x: Any) -> Any:
        value, pull = ad.vjp(f, x)
        same_kind(value, pull(1.0)[0])
        return pull(1.0)[0]

    return derivative


def by_jvp(f: Derivative) -> Derivative:
    def derivative(x: Any) -> Any:
        value, tangent = ad.jvp(f, (x,), (1.0,))
        same_kind(value, tangent)
        return tangent

    return derivative


def by_linearize(f: Derivative) -> Derivative:
    def derivative(x: Any) -> Any:
        value, push = ad.linearize(f, x)
        same_kind(value, push(1.0))
        return push(1.0)

    return derivative


def by_value_and_grad(f: Derivative) -> Derivative:
    def derivative(x: Any) -> Any:
        value, gradient = ad.value_and_grad(f)(x)
        same_kind(value, gradient)
        return gradient

    return derivative


def same_kind(value: Any, derivative: Any) -> None:
    assert type(value) is type(derivative)


# Each makes the function that gives a derivative at a number, of the order that stands beside it.
TRANSFORMS: dict[str, tuple[Callable[[Derivative], Derivative], int]] = {
    "grad": (ad.grad, 1),
    "value_and_grad": (by_value_and_grad, 1),
    "elementwise_grad": (ad.elementwise_grad, 1),
    "vjp": (by_vjp, 1),
    "jvp": (by_jvp, 1),
    "linearize": (by_linearize, 1),
    "jacobian": (ad.jacobian, 1),
    "hessian": (ad.hessian, 2),
    "hvp": (lambda f: lambda x: ad.hvp(f)(x, 1.0), 2),
}
POWER = 5


def power(y: Any) -> Any:
    return y**POWER


def slope(x: float, order: int) -> float:
    """The derivative of `power` of some order, by hand."""
    return float(np.prod([POWER - k for k in range(order)]) * x ** (POWER - order))


def square_slope(x: float, order: int) -> float:
    """The derivative of ``x**2``."""
    return [x**2, 2 * x, 2.0, 0.0][order]


def is_plain(x: Any) -> bool:
    return type(x) is np.float64


@pytest.mark.together("outer", TRANSFORMS)
@pytest.mark.together("inner", TRANSFORMS)
@pytest.mark.together("depth", [0, 1, 2])
def test_what_has_to_do_with_no_tensor_from_outside_is_plain(outer: str, inner: str, depth: int) -> None:
    (d, order), (e, inner_order) = TRANSFORMS[outer], TRANSFORMS[inner]
    seen: list[Any] = []

    def constant(depth: int) -> Any:
        """Differentiate by the inner transform, inside of others that have to do with nothing outside either."""
        found = d(lambda z: z**2 * constant(depth - 1))(1.0) if depth else e(power)(2.0)
        seen.append(found)
        return found

    found = d(lambda x: x**2 * constant(depth))(3.0)
    assert len(seen) >= depth + 1
    assert all(map(is_plain, seen))
    assert is_plain(found)
    expected = square_slope(3.0, order) * square_slope(1.0, order) ** depth * slope(2.0, inner_order)
    assert found == pytest.approx(expected)
    assert is_plain(e(power)(2.0))


@pytest.mark.together("outer", TRANSFORMS)
@pytest.mark.together("inner", TRANSFORMS)
def test_gradients_pass_through_what_uses_a_variable_from_outside(outer: str, inner: str) -> None:
    (d, order), (e, inner_order) = TRANSFORMS[outer], TRANSFORMS[inner]
    seen: list[Any] = []

    def f(x: Any) -> Any:
        seen.append(e(lambda y: x**2 * power(y))(2.0))
        return seen[-1]

    found = d(f)(3.0)
    assert all(type(one) is Tensor and one.requires_grad for one in seen)
    assert is_plain(found)
    assert found == pytest.approx(square_slope(3.0, order) * slope(2.0, inner_order))


@pytest.mark.together("outer", TRANSFORMS)
@pytest.mark.together("inner", TRANSFORMS)
def test_gradients_pass_through_the_argument(outer: str, inner: str) -> None:
    (d, order), (e, inner_order) = TRANSFORMS[outer], TRANSFORMS[inner]
    assert is_plain(d(e(power))(1.5))
    assert d(e(power))(1.5) == pytest.approx(slope(1.5, order + inner_order))
    assert type(e(power)(Tensor(1.5))) is Tensor
    # The two uses of the variable are not taken for one another: d/dx of x² ∂/∂y (x² y) at y = x is that of x⁴.
    found = d(lambda x: x**2 * ad.grad(lambda y: x**2 * y)(x))(1.5)
    assert found == pytest.approx(4 * 1.5**3 if order == 1 else 12 * 1.5**2)


@pytest.mark.together("outer", TRANSFORMS)
@pytest.mark.together("middle", TRANSFORMS)
@pytest.mark.together("inner", ["grad", "jvp", "hvp"])
def test_an_outermost_variable_reaches_the_innermost_function(outer: str, middle: str, inner: str) -> None:
    (d, order), (m, middle_order), (e, inner_order) = TRANSFORMS[outer], TRANSFORMS[middle], TRANSFORMS[inner]
    seen: list[Any] = []

    def f(x: Any) -> Any:
        return m(lambda z: z**2 * seen_by(lambda y: x**2 * power(y)))(1.0)

    def seen_by(g: Any) -> Any:
        seen.append(e(g)(2.0))
        assert is_plain(e(power)(2.0))
        return seen[-1]

    found = d(f)(3.0)
    assert all(type(one) is Tensor for one in seen)
    assert is_plain(found)
    expected = square_slope(3.0, order) * square_slope(1.0, middle_order) * slope(2.0, inner_order)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("inner", TRANSFORMS)
def test_tensors_from_outside_that_backward_reaches(inner: str) -> None:
    e, order = TRANSFORMS[inner]
    w, frozen = Tensor(3.0), Tensor(3.0, requires_grad=False)
    found = e(lambda y: w**2 * power(y))(2.0)
    assert type(found) is Tensor
    found.backward()
    assert w.grad == pytest.approx(6 * slope(2.0, order))
    assert is_plain(e(lambda y: frozen**2 * power(y))(2.0))
    assert is_plain(e(lambda y: w.data**2 * power(y))(2.0))
    # A Tensor that the function itself makes is its own, as a variable is.
    assert is_plain(e(lambda y: Tensor(2.0) * power(y))(2.0))


@pytest.mark.parametrize("inner", TRANSFORMS)
def test_under_no_grad_nothing_is_being_differentiated(inner: str) -> None:
    e, order = TRANSFORMS[inner]
    w = Tensor(3.0)
    with ad.no_grad():
        assert is_plain(e(power)(2.0))
        found = e(lambda y: w**2 * power(y))(2.0)
        assert is_plain(found)
        assert found == pytest.approx(9 * slope(2.0, order))
        given = e(power)(Tensor(2.0))
        assert type(given) is Tensor
        assert not given.requires_grad

    def f(x: Any) -> Any:
        with ad.no_grad():
            inside = e(lambda y: x * power(y))(x)
        assert type(inside) is Tensor
        return x * inside

    assert ad.grad(f)(1.0) == pytest.approx(slope(1.0, order))


def test_descent_from_a_constant_start_is_differentiated_by_its_step_size() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    matrix, start = np.diag([1.0, 10.0]), np.array([1.0, 1.0])
    energy = lambda x: x @ matrix @ x / 2  # noqa: E731

    def after_descent(rate: Any) -> Any:
        x = start
        for _ in range(5):
            x = x - rate * ad.grad(energy)(x)
        return energy(x)

    f = ad.value_and_grad(lambda rate: after_descent(rate[0]))
    value, slopes = f(np.array([0.05]))
    assert (type(value), type(slopes)) == (np.float64, np.ndarray)
    factors = 1 - 0.05 * np.diag(matrix)
    assert value == pytest.approx((np.diag(matrix) * factors**10).sum() / 2)
    assert slopes == pytest.approx(-(np.diag(matrix) ** 2 * 10 * factors**9).sum() / 2)
    found = optimize.minimize(f, np.array([0.05]), jac=True)
    assert found.success
    assert after_descent(found.x[0]) <= after_descent(found.x[0] * 1.01)
    hess = ad.hessian(lambda rate: after_descent(rate[0]))
    assert type(hess(found.x)) is np.ndarray
    optimize.minimize(f, np.array([0.05]), jac=True, hess=hess, method="trust-exact")


def test_a_primitive_that_uses_a_transform_gives_the_same_within_another() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    seen: list[Any] = []

    def distance(y: Any, x: Any) -> Any:
        return ((y - x) ** 2).sum() + (y**4).sum()

    @ad.primitive
    def nearest(x: Any) -> Any:
        def slopes(y: Any) -> Any:
            seen.append(ad.grad(distance)(y, x))
            return seen[-1]

        return optimize.minimize(distance, np.zeros(2), args=(x,), jac=lambda y, x: slopes(y), tol=1e-10).x

    # At the minimum 2 (y - x) + 4 y³ = 0, so that dy/dx = 1 / (1 + 6 y²).
    ad.defvjp(nearest, lambda g, out, x: g / (1 + 6 * out**2))
    x = np.array([0.5, 1.0])
    alone = nearest(x)
    assert type(alone) is np.ndarray
    value, gradient = ad.value_and_grad(lambda x: nearest(x).sum())(x)
    assert (type(value), type(gradient)) == (np.float64, np.ndarray)
    assert value == alone.sum()
    np.testing.assert_allclose(gradient, 1 / (1 + 6 * alone**2))
    assert {type(one) for one in seen} == {np.ndarray}
    second = ad.jacobian(ad.grad(lambda x: nearest(x).sum()))(x)
    np.testing.assert_allclose(second, np.diag(-12 * alone / (1 + 6 * alone**2) ** 3), rtol=1e-6)


def test_a_gradient_penalty_reaches_parameters_from_outside() -> None:
    rng = np.random.default_rng(0)
    w, X = Tensor(rng.normal(size=(3, 2))), rng.normal(size=(4, 3))
    slopes = ad.grad(lambda X: np.tanh(X @ w).sum())(X)
    assert type(slopes) is Tensor
    (slopes**2).sum().backward()
    by_hand = ad.grad(lambda w: (ad.grad(lambda X: np.tanh(X @ w).sum())(X) ** 2).sum())(w.data)
    assert type(by_hand) is np.ndarray
    np.testing.assert_allclose(w.grad, by_hand)
    ad.testing.check_gradients(lambda w: (ad.grad(lambda X: np.tanh(X @ w).sum())(X) ** 2).sum(), w.data)


def test_what_is_handed_on_keeps_its_graph_though_the_output_has_none() -> None:
    w = Tensor(3.0)
    slope, aux = ad.grad(lambda y: (y * y, {"w": w * y, "n": 1}), has_aux=True)(2.0)
    aux["w"].backward()
    assert (float(slope), float(w.grad), aux["n"]) == (4.0, 2.0, 1)
    assert ad.grad(lambda x: ad.value_and_grad(lambda y: (y * y, x * y), has_aux=True)(2.0)[0][1])(5.0) == 2.0


def test_a_pullback_is_differentiated_where_it_is_called() -> None:
    _, pull = ad.vjp(lambda x: x**3, 2.0)
    assert ad.grad(lambda v: pull(v)[0] * v)(5.0) == 2 * 5 * 12
    assert is_plain(pull(1.0)[0])
    x = Tensor(2.0)
    _, pull = ad.vjp(lambda x: x**3, x)
    with ad.no_grad():
        assert not pull(1.0)[0].requires_grad
    pull(1.0)[0].backward()
    assert x.grad == 12


def test_errors_leave_nothing_behind_at_any_depth() -> None:
    def fail(y: Any) -> Any:
        raise KeyError

    def f(x: Any) -> Any:
        with pytest.raises(KeyError):
            ad.grad(fail)(x)
        with pytest.raises(KeyError), ad.no_grad():
            ad.jvp(fail, (x,), (1.0,))
        assert is_plain(ad.grad(power)(2.0))
        return x**2

    found = ad.grad(f)(3.0)
    assert is_plain(found)
    assert found == 6


def test_ten_thousand_calls_leave_nothing_behind() -> None:
    calls = [
        lambda: ad.grad(lambda x: x * ad.grad(power)(2.0))(3.0),
        lambda: ad.grad(lambda x: x * ad.grad(lambda y: x * y * y)(x))(3.0),
        lambda: ad.value_and_grad(lambda p: (p["a"] * p["b"], p), has_aux=True)({"a": 1.0, "b": 2.0}),
        lambda: by_vjp(np.sin)(1.0),
        lambda: by_linearize(np.sin)(1.0),
        lambda: by_jvp(lambda x: np.sin(x) * 2)(1.0),
        lambda: ad.jacobian(ad.grad(np.sin))(1.0),
        lambda: ad.hvp(np.sin)(1.0, 2.0),
    ]

    def run(times: int) -> None:
        for k in range(times):
            calls[k % len(calls)]()

    run(2_000)  # what is remembered of the latest walks does not grow from then on
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        run(10_000)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    finally:
        gc.enable()
    assert grown < 600_000  # the 2,000 latest walks, in place of those that were not traced


@pytest.mark.parametrize("derivative", [ad.grad, by_vjp, by_linearize, by_jvp])
def test_what_is_stepped_by_a_nested_gradient_keeps_no_graphs(derivative: Callable[[Derivative], Derivative]) -> None:
    data = np.linspace(0, 1, 5_000)

    def after_training(penalty: Any) -> Any:
        gradient = ad.grad(lambda w: np.sum((w - data) ** 2) + penalty * np.sum(w * w))(np.zeros(5_000))
        return np.sum((0.1 * gradient + data) ** 2)

    slope = derivative(after_training)
    penalty: Any = 0.5
    grown = 0
    tracemalloc.start()
    try:
        for step in range(200):
            penalty -= 1e-6 * slope(penalty)
            assert is_plain(penalty)
            if step == 20:
                grown = -tracemalloc.get_traced_memory()[0]
        grown += tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert grown < 400_000  # one graph holds several arrays of 40,000 bytes
