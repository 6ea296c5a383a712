"""Functions that turn a function into its derivative: what they differentiate by, nesting, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor, grad, no_grad, value_and_grad


def product(x: Any, y: Any, z: Any = 1.0) -> Any:
    return x * y**2 * z


# What comes out


def test_gradient_is_an_array_of_the_arguments_shape_and_dtype() -> None:
    for x in (2.0, np.float32(2.0), np.array([1.0, 2.0]), np.ones((2, 3), np.float32), np.zeros((0, 2))):
        g = grad(lambda x: np.sum(x * x))(x)
        assert isinstance(g, np.ndarray | np.generic)
        assert (np.shape(g), g.dtype) == (np.shape(x), np.asarray(x).dtype)
        np.testing.assert_array_equal(g, 2 * np.asarray(x))


def test_integers_and_lists_of_numbers_are_floats() -> None:
    assert grad(lambda x: x**2)(3) == 6
    np.testing.assert_array_equal(grad(lambda x: np.sum(x**2))([1, 2]), [2, 4])


def test_arguments_are_left_alone() -> None:
    x, w = np.array([1.0, 2.0]), Tensor([3.0, 4.0])
    g = grad(lambda x: (x + w).sum())(x)
    g += 5
    np.testing.assert_array_equal(x, [1, 2])
    assert w.grad is None


def test_output_may_be_an_array_of_one_element() -> None:
    assert grad(lambda x: (x * x).reshape(1, 1))(3.0) == 6
    np.testing.assert_array_equal(grad(lambda x: x[:1] * 3)(np.ones(2)), [3, 0])


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 9.0),
        (1, 12.0),
        (-1, 12.0),
        (-2, 9.0),
        (np.int64(1), 12.0),
        ((0,), (9.0,)),
        ((0, 1), (9.0, 12.0)),
        ((1, 0), (12.0, 9.0)),
        ((-1, 0), (12.0, 9.0)),
        ([1, 1], (12.0, 12.0)),
    ],
    ids=repr,
)
def test_argnums(argnums: Any, expected: Any) -> None:
    value, gradient = value_and_grad(product, argnums)(2.0, 3.0)
    assert value == 18.0
    assert gradient == expected
    assert type(gradient) is type(expected) or isinstance(gradient, np.float64)
    assert grad(product, argnums)(2.0, 3.0) == expected


def test_keywords_are_handed_on_as_constants() -> None:
    assert grad(product)(2.0, 3.0, z=10.0) == 90
    assert grad(product)(2.0, y=3.0, z=np.float64(2.0)) == 18


def test_value_and_grad_runs_the_function_once() -> None:
    calls = []

    def square(x: Any) -> Any:
        calls.append(x)
        return x * x

    value, gradient = value_and_grad(square)(3.0)
    assert (value, gradient, len(calls)) == (9.0, 6.0, 1)
    assert type(value) is np.float64


def test_name_and_docstring_are_kept() -> None:
    def cube(x: Any) -> Any:
        """Cube it."""
        return x**3

    for derived in (grad(cube), value_and_grad(cube)):
        assert (derived.__name__, derived.__doc__) == ("cube", "Cube it.")


def test_outputs_that_do_not_depend_on_the_input() -> None:
    x = np.ones((2, 3), np.float32)
    for function in (lambda x: 5, lambda x: 5.0, lambda x: np.float64(5), lambda x: Tensor(5.0), lambda x: x.size):
        value, gradient = value_and_grad(function)(x)
        assert value == function(x)
        assert gradient.dtype == np.float32
        np.testing.assert_array_equal(gradient, np.zeros((2, 3)))
    np.testing.assert_array_equal(grad(lambda x, y: (y * y).sum(), (0, 1))(x, x)[0], np.zeros((2, 3)))
    assert grad(lambda x: np.sum(x > 0) * 1.0)(2.0) == 0


# Nesting


def test_third_order() -> None:
    f = lambda x: np.sin(x) * x  # noqa: E731
    x = 0.7
    assert grad(f)(x) == pytest.approx(np.cos(x) * x + np.sin(x))
    assert grad(grad(f))(x) == pytest.approx(2 * np.cos(x) - x * np.sin(x))
    assert grad(grad(grad(f)))(x) == pytest.approx(-3 * np.sin(x) - x * np.cos(x))


def test_mixed_partial_derivatives() -> None:
    def f(x: Any, y: Any) -> Any:
        return x**3 * y**2 + np.exp(x * y)

    x, y = 0.5, 1.5
    expected = 6 * x**2 * y + np.exp(x * y) * (1 + x * y)
    assert grad(grad(f, 0), 1)(x, y) == pytest.approx(expected)
    assert grad(grad(f, 1), 0)(x, y) == pytest.approx(expected)
    assert grad(lambda *xy: grad(f, 0)(*xy) * 2, (0, 1))(x, y) == pytest.approx(
        (2 * (6 * x * y**2 + y**2 * np.exp(x * y)), 2 * expected)
    )


def test_perturbations_are_not_confused() -> None:
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(5.0) == 1
    assert grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0) == 6
    assert grad(lambda x: x * grad(lambda y: x * y * y)(x))(3.0) == 6 * 9
    assert grad(lambda x: grad(lambda y: x * y)(x))(3.0) == 1
    assert grad(lambda x: grad(lambda x: x * x)(x) * x)(3.0) == 12


def test_same_argument_in_two_places() -> None:
    x = Tensor(3.0)
    gx, gy = grad(product, (0, 1))(x, x)
    assert (float(gx), float(gy)) == (9.0, 18.0)


def test_gradient_of_a_gradient_norm() -> None:
    a = np.random.default_rng(0).normal(size=(3, 3))
    a = a + a.T
    x = np.array([1.0, -2.0, 0.5])
    norm = lambda x: (grad(lambda x: x @ a @ x / 2)(x) ** 2).sum()  # noqa: E731
    np.testing.assert_allclose(grad(norm)(x), 2 * a @ a @ x)
    ad.testing.check_gradients(norm, x, order=2)


def test_gradient_for_a_tensor_has_a_graph() -> None:
    x = Tensor(2.0)
    value, g = value_and_grad(lambda x: x**3)(x)
    assert type(value) is type(g) is Tensor
    g.backward()
    assert x.grad == 12
    zero = grad(lambda y: 3.0)(x)
    assert type(zero) is Tensor
    assert float(zero) == 0.0


def test_backward_through_a_closure_within_grad() -> None:
    def f(w: Any) -> Any:
        return grad(lambda x: np.sum(w * x**2))(3.0)

    assert grad(f)(2.0) == 6
    assert grad(lambda w: f(w) ** 2)(2.0) == 2 * 12 * 6


def test_closure_over_an_outer_tensor() -> None:
    w = Tensor([1.0, 2.0])
    value, g = value_and_grad(lambda x: (w * x**2).sum())(np.array([3.0, 4.0]))
    assert (float(value), type(g)) == (41.0, Tensor)
    np.testing.assert_array_equal(g.data, [6, 16])
    assert w.grad is None


def test_backward_inside_a_function_reaches_other_leaves() -> None:
    w = Tensor(2.0)

    def f(x: Any) -> Any:
        (w * 3).backward()
        return x * w.grad

    assert grad(f)(5.0) == 3


def test_within_no_grad() -> None:
    with ad.no_grad():
        assert grad(lambda x: x**3)(2.0) == 12
        assert grad(grad(lambda x: x**3))(2.0) == 12
        assert not (Tensor(1.0) * 2).requires_grad
    assert grad(ad.no_grad()(lambda x: x**3))(2.0) == 0


def test_state_is_as_before_after_an_error() -> None:
    def fail(x: Any) -> Any:
        raise KeyError

    with pytest.raises(KeyError), ad.no_grad():
        grad(fail)(1.0)
    assert (Tensor(1.0) * 2).requires_grad
    assert type(grad(lambda x: x * x)(1.0)) is np.float64


# What is refused


@pytest.mark.parametrize("transform", [grad, value_and_grad])
@pytest.mark.parametrize(
    ("function", "argnums", "args", "error", "message"),
    [
        pytest.param(3.0, 0, (), TypeError, "first argument must be a function, got 3.0", id="no function"),
        pytest.param(product, "x", (), TypeError, "argnums must be an integer or several, got 'x'", id="name"),
        pytest.param(product, 1.5, (), TypeError, "argnums must be .* got 1.5", id="float"),
        pytest.param(product, (), (), TypeError, r"argnums must be .* got \(\)", id="empty"),
        pytest.param(product, (0, "y"), (), TypeError, "argnums must be", id="tuple with a name"),
        pytest.param(product, None, (), TypeError, "argnums must be", id="None"),
        pytest.param(
            product, 2, (1.0, 2.0), ValueError, r"\(product\): argnums 2 is out of range for 2", id="too large"
        ),
        pytest.param(product, -3, (1.0, 2.0), ValueError, "argnums -3 is out of range", id="too small"),
        pytest.param(product, (0, 5), (1.0, 2.0), ValueError, r"argnums \(0, 5\) is out of range", id="one of several"),
        pytest.param(product, 0, (), ValueError, "out of range for 0 positional", id="no arguments"),
        pytest.param(product, 0, (np.arange(3), 2.0), TypeError, "int64 has no gradient", id="integer array"),
        pytest.param(product, 1, (2.0, np.array([True])), TypeError, "bool has no gradient", id="boolean array"),
        pytest.param(product, 0, ("abc", 2.0), TypeError, "real numbers, got str", id="string"),
        pytest.param(product, 0, (1j, 2.0), TypeError, "complex", id="complex"),
    ],
)
def test_bad_use(
    transform: Callable[..., Any], function: Any, argnums: Any, args: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        transform(function, argnums)(*args)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        pytest.param(lambda x: x * 2, ValueError, r"must return a scalar, got shape \(3,\); .*\.sum\(\)", id="vector"),
        pytest.param(lambda x: x[:0], ValueError, r"must return a scalar, got shape \(0,\)", id="empty"),
        pytest.param(lambda x: x.data, ValueError, r"must return a scalar, got shape \(3,\)", id="array"),
        pytest.param(lambda x: None, TypeError, "must return a scalar Tensor, got NoneType", id="None"),
        pytest.param(lambda x: (x.sum(), x), TypeError, "must return a scalar Tensor, got tuple", id="tuple"),
        pytest.param(lambda x: "loss", TypeError, "must return a scalar Tensor, got str", id="text"),
    ],
)
def test_bad_results(result: Callable[..., Any], error: type[Exception], message: str) -> None:
    def loss(x: Any) -> Any:
        return result(x)

    for transform in (grad, value_and_grad):
        with pytest.raises(error, match=rf"^{transform.__name__}\(loss\): the function {message}"):
            transform(loss)(np.ones(3))


def test_inside_no_grad_a_tensor_gets_its_gradient_without_a_graph() -> None:
    x = Tensor(3.0)
    with no_grad():
        value, gradient = value_and_grad(lambda x: x**3)(x)
    assert isinstance(value, Tensor)
    assert isinstance(gradient, Tensor)
    assert (float(value), float(gradient)) == (27.0, 27.0)
    assert not value.requires_grad
    assert not gradient.requires_grad


def test_inside_no_grad_an_inner_derivative_is_a_constant_of_the_outer() -> None:
    def f(x: Any) -> Any:
        with no_grad():
            slope = grad(lambda y: y * y)(x)
        return slope * x

    assert float(grad(f)(3.0)) == 6.0


def test_a_constant_tensor_gives_a_tensor() -> None:
    gradient = grad(lambda x: x * x)(Tensor(3.0, requires_grad=False))
    assert isinstance(gradient, Tensor)
    assert float(gradient) == 6.0


def test_gradients_flow_to_tensors_that_the_function_closes_over() -> None:
    w, X = Tensor(2.0), np.array([1.0, 2.0])
    slopes = grad(lambda x: (w * w * x).sum())(X)
    (w + (slopes**2).sum()).backward()  # w + 2 w⁴
    assert float(w.grad) == 65.0


def test_what_is_closed_over_without_gradient_leaves_plain_arrays() -> None:
    w = Tensor(2.0, requires_grad=False)
    assert isinstance(grad(lambda x: (w * x).sum())(np.ones(2)), np.ndarray)
