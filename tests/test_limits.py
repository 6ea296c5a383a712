"""Norms and standard deviations at their zeros, and powers in norms of other orders."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad

A = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]])
X = np.array([1.0, 2.0])
B = A @ X
undefined = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


def distance(x: Any) -> Any:
    return np.linalg.norm(A @ x - B)


@pytest.mark.parametrize("norm", [np.linalg.norm, np.linalg.vector_norm])
def test_newtons_method_on_a_squared_norm_at_its_zero(norm: Callable[..., Any]) -> None:
    squared = lambda x: norm(A @ x - B) ** 2  # noqa: E731
    np.testing.assert_array_equal(ad.grad(squared)(X), 0)
    np.testing.assert_allclose(ad.hessian(squared)(X), 2 * A.T @ A, rtol=1e-14)
    v = np.array([1.0, -2.0])
    np.testing.assert_allclose(ad.hvp(squared)(X, v), 2 * A.T @ A @ v, rtol=1e-14)
    np.testing.assert_allclose(ad.jvp(ad.grad(squared), (X,), (v,))[1], 2 * A.T @ A @ v, rtol=1e-14)
    start = X + 0.25
    newton = start - np.linalg.solve(ad.hessian(squared)(start), ad.grad(squared)(start))
    np.testing.assert_allclose(newton, X, rtol=1e-12)


def test_a_kernel_of_the_distance_where_two_points_are_one() -> None:
    def kernel(x: Any, y: Any) -> Any:
        return np.exp(-(np.linalg.norm(x - y) ** 2) / 2)

    x = np.array([0.5, -1.0])
    mixed = ad.jacobian(lambda x, y: ad.grad(kernel, 1)(x, y))(x, x)
    np.testing.assert_array_equal(mixed, np.eye(2))


@pytest.mark.parametrize("ddof", [0, 1])
def test_a_squared_deviation_is_a_variance(ddof: int) -> None:
    for x in (np.ones(4), np.zeros(3)):
        np.testing.assert_allclose(
            ad.hessian(lambda x: np.std(x, ddof=ddof) ** 2)(x),
            ad.hessian(lambda x: np.var(x, ddof=ddof))(x),
            rtol=1e-14,
        )


def test_members_of_a_stack_have_their_own_zeros() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    by_norm = ad.hessian(lambda x: (np.linalg.norm(x, axis=1) ** 2).sum() ** 2)(x)
    np.testing.assert_allclose(by_norm, ad.hessian(lambda x: np.sum(x * x) ** 2)(x), rtol=1e-14)
    by_norm = ad.hessian(lambda x: np.sum(np.linalg.norm(x, axis=1, keepdims=True) ** 2 * [[1.0], [2.0], [3.0]]))(x)
    np.testing.assert_allclose(by_norm.reshape(6, 6), np.diag([2.0, 2, 4, 4, 6, 6]), rtol=1e-14)


@pytest.mark.parametrize("function", [np.linalg.norm, np.std, lambda x: np.linalg.norm(x, 3)])
def test_a_kink_has_gradient_zero_and_no_second_derivative(function: Callable[..., Any]) -> None:
    x = np.zeros(3)
    np.testing.assert_array_equal(ad.grad(function)(x), 0)
    np.testing.assert_array_equal(ad.jvp(function, (x,), (np.ones(3),))[1], 0)
    assert np.isnan(ad.hessian(function)(x)).all()
    assert np.isnan(ad.jvp(ad.grad(lambda x: function(x + x)), (x,), (np.ones(3),))[1]).all()


def test_the_angle_of_the_origin_has_gradient_zero_and_no_second_derivative() -> None:
    angle = lambda p: np.arctan2(p[0], p[1])  # noqa: E731
    np.testing.assert_array_equal(ad.grad(angle)(np.zeros(2)), 0)
    assert np.isnan(ad.hessian(angle)(np.zeros(2))).all()
    assert np.isfinite(ad.hessian(angle)(np.array([0.0, 1e-100]))).all()


def test_a_square_of_another_norm_has_no_second_derivative_and_a_cube_has() -> None:
    x = np.zeros(2)
    assert np.isnan(ad.hessian(lambda x: np.linalg.norm(x, 3) ** 2)(x)).all()
    np.testing.assert_array_equal(ad.hessian(lambda x: np.linalg.norm(x, 3) ** 3)(x), 0)
    np.testing.assert_array_equal(ad.hessian(lambda x: np.linalg.norm(x) ** 3)(x), 0)
    with pytest.raises(NotImplementedError, match="even in a norm or deviation"):
        derivative(lambda t: np.linalg.norm(t * np.ones(1), 4) ** 4, 4)(0.0)


@pytest.mark.parametrize("join", [np.prod, lambda norms: np.sum(norms) ** 2, lambda norms: norms[0] * norms[1]])
def test_norms_that_meet_at_zero_have_no_second_derivative(join: Callable[..., Any]) -> None:
    """Of ``|a| |b|`` where both are zero, there is none; what is even in each of them has its own."""
    x = np.zeros((2, 2))
    function = lambda x: join(np.linalg.norm(x, axis=1))  # noqa: E731
    np.testing.assert_array_equal(ad.grad(function)(x), 0)
    assert np.isnan(ad.hessian(function)(x)).all()
    even = lambda x: np.sum(np.linalg.norm(x, axis=1) ** 2) ** 2 + np.sum(np.linalg.norm(x, axis=1) ** 2)  # noqa: E731
    np.testing.assert_array_equal(ad.hessian(even)(x).reshape(4, 4), 2 * np.eye(4))


def derivative(function: Callable[..., Any], order: int) -> Callable[..., Any]:
    for _ in range(order):
        function = ad.grad(function)
    return function


@pytest.mark.parametrize(
    ("function", "truth"),
    [
        (lambda t: np.linalg.norm(t * np.ones(1)) ** 2, [0, 2, 0]),
        (lambda t: np.exp(-(np.linalg.norm(t * np.ones(1)) ** 2) / 2), [0, -1, 0]),
        (lambda t: np.cos(np.linalg.norm(t * np.ones(1))), [0, -1, 0]),
        (lambda t: np.std(t * np.array([1.0, -1.0])) ** 2, [0, 2, 0]),
    ],
)
def test_higher_derivatives_at_a_zero_are_right_or_refused(function: Callable[..., Any], truth: list[float]) -> None:
    for order, expected in enumerate(truth, start=1):
        assert derivative(function, order)(0.0) == expected
    with pytest.raises(NotImplementedError, match="even in a norm or deviation"):
        derivative(function, 4)(0.0)

    def pushed(f: Callable[..., Any]) -> Callable[..., Any]:
        return lambda t: ad.jvp(f, (t,), (1.0,))[1]

    assert pushed(pushed(function))(0.0) == truth[1]
    with pytest.raises(NotImplementedError, match="even in a norm or deviation"):
        pushed(pushed(pushed(pushed(function))))(0.0)


@undefined
@pytest.mark.parametrize("order", [1.25, 1.5, 2.5, 3, 3.5, 4, 5, 6])
def test_an_element_at_zero_in_a_norm_of_another_order(order: float) -> None:
    """The power itself has a second derivative there from order 2 on, and an infinite one below."""
    x = np.array([0.0, 1.0, 2.0])
    by_norm = ad.hessian(lambda x: np.linalg.norm(x, order) ** order)(x)
    if order < 2:
        assert not np.isfinite(by_norm[0, 0])
        return
    expected = np.diag(order * (order - 1) * np.abs(x) ** (order - 2))
    np.testing.assert_allclose(by_norm, expected, rtol=1e-12, atol=1e-12)


@undefined
def test_an_infinite_slope_is_not_taken_for_zero() -> None:
    gradient = ad.grad(lambda x: np.linalg.norm(x, 0.5))(np.array([0.0, 1.0, 2.0]))
    assert not np.isfinite(gradient[0])
    np.testing.assert_allclose(
        gradient[1:], ad.grad(lambda x: np.linalg.norm(x, 0.5))(np.array([1.0, 2.0])), rtol=1e-14
    )


@pytest.mark.parametrize("order", [4, 6])
def test_an_even_order_is_smooth(order: int) -> None:
    function = lambda t: np.linalg.norm(np.stack([t, 1.0 + 0 * t]), order) ** order  # noqa: E731
    expected = [0.0] * (order - 1) + [float(np.prod(np.arange(1, order + 1)))]
    for k in range(1, order + 1):
        np.testing.assert_allclose(derivative(function, k)(0.0), expected[k - 1], rtol=1e-9, atol=1e-9)


def test_compiled_second_derivatives_are_right_or_nan() -> None:
    for backend in ("numpy", "numba"):
        gradient = ad.compile(ad.grad(distance), backend=backend)
        np.testing.assert_array_equal(gradient(X), 0)
    hessian = ad.compile(ad.hessian(lambda x: np.linalg.norm(x) ** 2))
    np.testing.assert_allclose(hessian(X), 2 * np.eye(2), rtol=1e-14)
    assert np.isnan(hessian(np.zeros(2))).all()
