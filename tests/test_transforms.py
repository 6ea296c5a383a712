"""Functions that turn a function into its derivative: what they differentiate by, nesting, and what they refuse."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff import (
    Tensor,
    elementwise_grad,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    no_grad,
    value_and_grad,
    vjp,
)
from autodiff.transforms.containers import flatten


def product(x: Any, y: Any, z: Any = 1.0) -> Any:
    return x * y**2 * z


# What comes out


def test_gradient_is_an_array_of_the_arguments_shape_and_dtype() -> None:
    for x in (2.0, np.float32(2.0), np.array([1.0, 2.0]), np.ones((2, 3), np.float32), np.zeros((0, 2))):
        g = grad(lambda x: np.sum(x * x))(x)
        assert isinstance(g, np.ndarray | np.generic)
        assert (np.shape(g), g.dtype) == (np.shape(x), np.asarray(x).dtype)
        np.testing.assert_array_equal(g, 2 * np.asarray(x))


def test_python_integers_are_floats() -> None:
    assert grad(lambda x: x**2)(3) == 6
    assert grad(lambda xs: xs[0] ** 2 * xs[1])([3, 2]) == [12, 9]


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


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: 5, id="integer"),
        pytest.param(lambda x: 5.0, id="float"),
        pytest.param(lambda x: np.float64(5), id="NumPy scalar"),
        pytest.param(lambda x: Tensor(5.0), id="other Tensor"),
        pytest.param(lambda x: x.size, id="size"),
        pytest.param(lambda x: np.sum(x).item(), id="turned into a number"),
        pytest.param(lambda x: np.sum(x > 0) * 1.0, id="comparison"),
    ],
)
def test_output_that_does_not_depend_on_the_input_has_gradient_zero_and_a_warning_once(function: Any) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.warns(UserWarning, match=r"value_and_grad\(<lambda>\): the result does not depend") as warned:
        value, gradient = value_and_grad(function)(x)
    assert warned[0].filename == __file__
    assert value == function(x)
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))
    grad(function)(x)  # no second warning, which would be an error here


def test_zero_that_is_meant_gives_no_warning() -> None:
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(grad(lambda x, y: (y * y).sum(), (0, 1))(x, x)[0], np.zeros((2, 3)))
    assert grad(grad(lambda x: 3 * x))(2.0) == 0
    assert grad(lambda x: ad.stop_gradient(x) * 2)(2.0) == 0
    assert grad(np.sign)(2.0) == 0


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
    with pytest.warns(UserWarning, match="does not depend"):
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
        pytest.param(product, 0, ("abc", 2.0), TypeError, "must be numbers, got str", id="string"),
        pytest.param(product, 0, (1j, 2.0), TypeError, "must return real numbers.*holomorphic=True", id="complex"),
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


# Vectors times the Jacobian, and the Jacobian times vectors


def curved(x: Any, y: Any = 1.0) -> Any:
    return np.stack([np.sin(x[0]) * x[1], x[0] ** 2 + y * x[2], x[1] * x[2]])


POINT, V, W = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.25, -2.0]), np.array([0.5, 3.0, -1.0])
CURVED = np.array([[-np.cos(0.5), np.sin(0.5), 0], [1, 0, 1], [0, 2, -1]])


def test_products_with_the_jacobian() -> None:
    y, pull = vjp(curved, POINT)
    np.testing.assert_array_equal(y, curved(POINT))
    for _ in range(2):
        np.testing.assert_allclose(pull(W)[0], W @ CURVED)
    value, tangent = jvp(curved, (POINT,), (V,))
    np.testing.assert_array_equal(value, y)
    np.testing.assert_allclose(tangent, CURVED @ V)
    value, push = linearize(curved, POINT)
    np.testing.assert_array_equal(value, y)
    np.testing.assert_allclose(push(V), CURVED @ V)
    np.testing.assert_allclose(push(2 * W), CURVED @ W * 2)
    for result in (y, *pull(W), tangent, push(V)):
        assert type(result) is np.ndarray
    np.testing.assert_allclose(jacobian(curved)(POINT), CURVED)


def test_a_product_runs_the_function_once() -> None:
    calls = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return curved(x)

    _, push = linearize(counted, POINT)
    push(V)
    push(W)
    jvp(counted, (POINT,), (V,))
    vjp(counted, POINT)[1](W)
    hvp(lambda x: counted(x).sum())(POINT, V)
    jacobian(counted)(POINT)
    assert len(calls) == 5


def test_products_never_form_the_jacobian() -> None:
    x = np.ones(100_000)  # the Jacobian would take 80 GB
    np.testing.assert_array_equal(jvp(lambda x: x**2, (x,), (x,))[1], 2 * x)
    np.testing.assert_array_equal(hvp(lambda x: (x**3).sum())(x, 2 * x), 12 * x)


def test_products_of_several_arguments_and_keywords() -> None:
    f = lambda x, y, z=1.0: x * y * z  # noqa: E731
    assert jvp(f, (2.0, 3.0), (1.0, 10.0), z=2.0) == (12.0, 46.0)
    assert jvp(f, [2.0, 3.0], [10.0], argnums=1) == (6.0, 20.0)
    assert jvp(f, (2.0, 3.0), (1.0, 10.0), argnums=(1, 0)) == (6.0, 32.0)
    assert vjp(f, 2.0, 3.0, z=2.0)[1](1.0) == (6.0, 4.0)
    assert vjp(f, 2.0, 3.0, argnums=0)[1](1.0) == 3.0
    assert linearize(f, 2.0, 3.0, z=2.0)[1](1.0, 10.0) == 46.0
    assert hvp(lambda x, y: x**2 * y, (0, 1))(3.0, 5.0, (1.0, 2.0)) == (10 + 12, 6)
    assert hvp(lambda x, y, z=1.0: x**2 * y * z)(3.0, 5.0, 2.0, z=3.0) == 60


def test_elementwise_grad() -> None:
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    np.testing.assert_allclose(elementwise_grad(np.sin)(x), np.cos(x))
    np.testing.assert_allclose(elementwise_grad(elementwise_grad(np.sin))(x), -np.sin(x))
    assert elementwise_grad(np.sin)(0.0) == 1.0
    first, second = elementwise_grad(lambda x, y, k=1: k * x * y, (0, 1))(x, x + 1, k=2)
    np.testing.assert_allclose(first, 2 * x + 2)
    np.testing.assert_allclose(second, 2 * x)


# Jacobians and Hessians


@pytest.mark.parametrize("rows", [1, 2, 7])  # more and fewer outputs than inputs: by column and by row
@pytest.mark.parametrize("shape", [(3,), (), (2, 2), (1, 1)])
def test_jacobian_has_the_outputs_shape_and_then_the_arguments(rows: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(rows)
    weights = rng.normal(size=(rows, 2, *shape))
    x = rng.normal(size=shape)
    axes = tuple(range(2, 2 + len(shape)))
    j = jacobian(lambda x: np.sum(weights * np.sin(x), axis=axes))(x)
    assert type(j) is np.ndarray
    np.testing.assert_allclose(j, weights * np.cos(x))


def test_jacobian_of_nothing() -> None:
    assert jacobian(lambda x: x**2)(np.zeros((0, 2), np.float32)).shape == (0, 2, 0, 2)
    assert jacobian(lambda x: x[:0])(np.zeros(3, np.float32)).dtype == np.float32
    with pytest.warns(UserWarning, match="does not depend"):
        np.testing.assert_array_equal(jacobian(lambda x: np.ones(2))(np.zeros(3)), np.zeros((2, 3)))


def test_jacobian_of_containers() -> None:
    point = {"a": np.array([1.0, 2.0]), "b": (3.0,)}
    result = jacobian(lambda p, k: {"s": p["a"] * p["b"][0] * k, "t": [p["b"][0] ** 2]}, (0, 1))(point, 2.0)
    assert set(result) == {"s", "t"}
    by_point, by_k = result["s"]
    np.testing.assert_array_equal(by_point["a"], 6 * np.eye(2))
    np.testing.assert_array_equal(by_point["b"][0], [2, 4])
    np.testing.assert_array_equal(by_k, [3, 6])
    (by_point, by_k) = result["t"][0]
    np.testing.assert_array_equal(by_point["a"], [0, 0])
    assert (by_point["b"], by_k) == ((6.0,), 0.0)


def test_hessian() -> None:
    x = np.array([[1.0, 2.0], [3.0, 0.5]])
    f = lambda x: (x[0] * x[1]).sum() ** 2 + np.sin(x).sum()  # noqa: E731
    h = hessian(f)(x)
    assert h.shape == (2, 2, 2, 2)
    np.testing.assert_allclose(h, np.transpose(h, (2, 3, 0, 1)))
    v = np.array([[0.3, -1.0], [2.0, 1.0]])
    np.testing.assert_allclose(hvp(f)(x, v), np.tensordot(h, v, 2))
    np.testing.assert_allclose(h[0, 1], ad.testing.numerical_gradient(lambda x: grad(f)(x)[0, 1], x), rtol=1e-6)
    np.testing.assert_array_equal(hessian(lambda x: 3 * x.sum())(x), np.zeros((2, 2, 2, 2)))


def test_hessian_of_several_arguments() -> None:
    h = hessian(lambda x, y: (x**2 * y).sum(), (0, 1))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    (xx, xy), (yx, yy) = h
    np.testing.assert_array_equal(xx, np.diag([6.0, 8.0]))
    np.testing.assert_array_equal(xy, np.diag([2.0, 4.0]))
    np.testing.assert_array_equal(yx, xy)
    np.testing.assert_array_equal(yy, np.zeros((2, 2)))


# Containers


class Layer(NamedTuple):
    w: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Model:
    layers: list[Layer]
    scale: Any
    name: Any = None


def predict(model: Model, x: Any) -> Any:
    for layer in model.layers:
        x = np.tanh(x @ layer.w + layer.b)
    return x * model.scale["s"]


def test_containers_of_arrays() -> None:
    rng = np.random.default_rng(0)
    model = Model([Layer(rng.normal(size=(2, 2)), rng.normal(size=2)) for _ in range(2)], {"s": 0.5})
    x = rng.normal(size=(3, 2))
    loss = lambda model, x: (predict(model, x) ** 2).sum()  # noqa: E731
    value, g = value_and_grad(loss)(model, x)
    assert type(g) is Model
    assert type(g.layers[0]) is Layer
    assert g.name is None
    assert value == loss(model, x)
    w = model.layers[0].w
    alone = grad(lambda w: loss(Model([Layer(w, model.layers[0].b), model.layers[1]], model.scale), x))(w)
    np.testing.assert_allclose(g.layers[0].w, alone)
    y, pull = vjp(predict, model, x)
    cotangent = rng.normal(size=y.shape)
    by_model, by_x = pull(cotangent)
    _, tangent = jvp(predict, (model, x), (g, x))
    leaves = zip(flatten(by_model)[0], flatten(g)[0], strict=True)
    assert (tangent * cotangent).sum() == pytest.approx(sum((a * b).sum() for a, b in leaves) + (by_x * x).sum())
    product = hvp(loss)(model, x, g)
    assert type(product) is Model
    step = 1e-5
    moved = [flatten(model)[1]([p + s * v for p, v in zip(flatten(model)[0], flatten(g)[0])]) for s in (step, -step)]
    above, below = (flatten(grad(loss)(other, x))[0] for other in moved)
    for actual, a, b in zip(flatten(product)[0], above, below, strict=True):
        np.testing.assert_allclose(actual, (a - b) / (2 * step), rtol=1e-6, atol=1e-8)


def test_has_aux() -> None:
    def f(x: Any) -> Any:
        return (x * x).sum(), {"twice": 2 * x, "text": "kept"}

    x = np.array([1.0, 2.0])
    g, aux = grad(f, has_aux=True)(x)
    np.testing.assert_array_equal(g, [2, 4])
    assert type(aux["twice"]) is np.ndarray
    assert aux["text"] == "kept"
    (value, aux), g = value_and_grad(f, has_aux=True)(x)
    assert (value, len(aux)) == (5.0, 2)
    value, pull, aux = vjp(f, x, has_aux=True)
    np.testing.assert_array_equal(pull(1.0)[0], [2, 4])
    value, tangent, aux = jvp(f, (x,), (x,), has_aux=True)
    assert (value, tangent, aux["text"]) == (5.0, 10.0, "kept")
    value, push, aux = linearize(f, x, has_aux=True)
    assert (push(x), aux["text"]) == (10.0, "kept")
    j, aux = jacobian(lambda x: (x * x, "kept"), has_aux=True)(x)
    np.testing.assert_array_equal(j, np.diag([2.0, 4.0]))
    h, aux = hessian(f, has_aux=True)(x)
    np.testing.assert_array_equal(h, 2 * np.eye(2))
    assert aux["text"] == "kept"
    assert type(aux["twice"]) is np.ndarray


def test_aux_of_an_inner_derivative_keeps_its_graph() -> None:
    def f(x: Any) -> Any:
        _, aux = grad(lambda y: (y * y, x * y), has_aux=True)(x)
        return aux

    assert grad(f)(3.0) == 6.0


# Nesting


@pytest.mark.parametrize("outer", ["grad", "vjp", "jvp", "jacobian", "elementwise_grad", "linearize"])
@pytest.mark.parametrize("inner", ["grad", "vjp", "jvp", "jacobian", "elementwise_grad", "linearize"])
def test_transforms_nest(outer: str, inner: str) -> None:
    derivatives: dict[str, Callable[..., Any]] = {
        "grad": grad,
        "vjp": lambda f: lambda x: vjp(f, x)[1](1.0)[0],
        "jvp": lambda f: lambda x: jvp(f, (x,), (1.0,))[1],
        "jacobian": jacobian,
        "elementwise_grad": elementwise_grad,
        "linearize": lambda f: lambda x: linearize(f, x)[1](1.0),
    }
    d, e = derivatives[outer], derivatives[inner]
    # d/dx (x · d/dy (x + y)) is 1: the two variables must not be taken for one another.
    assert d(lambda x: x * e(lambda y: x + y)(x))(2.0) == 1.0
    assert d(lambda x: x * e(lambda y: x * y * y)(x))(3.0) == 6 * 9
    assert d(e(np.sin))(0.5) == pytest.approx(-np.sin(0.5))
    assert d(d(e(np.sin)))(0.5) == pytest.approx(-np.cos(0.5))
    assert d(e(e(d(np.sin))))(0.5) == pytest.approx(np.sin(0.5))
    with no_grad():
        assert d(lambda x: x * e(lambda y: x * y * y)(x))(3.0) == 6 * 9
        assert d(d(e(np.sin)))(0.5) == pytest.approx(-np.cos(0.5))
        assert not (Tensor(1.0) * 2).requires_grad
    assert (Tensor(1.0) * 2).requires_grad
    assert type(d(e(np.sin))(0.5)) is np.float64


def test_products_with_the_jacobian_flow_back_to_point_and_vector() -> None:
    x, v = Tensor(POINT), Tensor(V)
    _, tangent = jvp(lambda x: x**3, (x,), (v,))
    tangent.sum().backward()
    np.testing.assert_allclose(x.grad, 6 * POINT * V)
    np.testing.assert_allclose(v.grad, 3 * POINT**2)
    x.grad = v.grad = None
    _, pull = vjp(lambda x: x**3, POINT)
    pull(v)[0].sum().backward()
    np.testing.assert_allclose(v.grad, 3 * POINT**2)
    v.grad = None
    hvp(lambda x: (x**3).sum())(x, v).sum().backward()
    np.testing.assert_allclose(x.grad, 6 * V)
    np.testing.assert_allclose(v.grad, 6 * POINT)


def test_ninth_derivative() -> None:
    f = np.exp
    for _ in range(9):
        f = grad(f)
    assert f(0.3) == pytest.approx(np.exp(0.3))


# What the other transforms refuse


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        *(
            pytest.param(
                lambda t=t: t(3.0),
                TypeError,
                rf"^{t.__name__}: the first argument must be a function, got 3.0",
                id=name,
            )
            for name, t in (
                ("no function, elementwise_grad", elementwise_grad),
                ("no function, jacobian", jacobian),
                ("no function, hessian", hessian),
                ("no function, hvp", hvp),
            )
        ),
        pytest.param(lambda: vjp(3.0, 1.0), TypeError, "vjp: the first argument must be a function", id="vjp"),
        pytest.param(lambda: jvp(3.0, (1.0,), (1.0,)), TypeError, "jvp: the first argument must be a", id="jvp"),
        pytest.param(lambda: linearize(3.0, 1.0), TypeError, "linearize: the first argument must be", id="linearize"),
        pytest.param(lambda: jacobian(curved, 1)(POINT), ValueError, "argnums 1 is out of range", id="argnums"),
        pytest.param(lambda: hessian(curved, "x"), TypeError, "hessian: argnums must be an integer", id="name"),
        pytest.param(lambda: vjp(curved, POINT, argnums=3), ValueError, "argnums 3 is out of range", id="vjp argnums"),
        pytest.param(lambda: vjp(curved), TypeError, r"vjp: argnums must be .* got \(\)", id="no arguments"),
        pytest.param(
            lambda: grad(curved)(POINT),
            ValueError,
            r"grad\(curved\): the function must return a scalar, got shape \(3,\).*jacobian",
            id="no scalar, grad",
        ),
        pytest.param(lambda: hessian(curved)(POINT), ValueError, "must return a scalar.*jacobian", id="no scalar"),
        pytest.param(lambda: hvp(curved)(POINT, POINT), ValueError, r"hvp\(curved\): .*a scalar", id="no scalar, hvp"),
        pytest.param(lambda: hvp(curved)(POINT), TypeError, "give the arguments and, last, the vector", id="no vector"),
        *(
            pytest.param(
                lambda t=t: t(np.arange(3)),
                TypeError,
                r"\(curved\): argument 0: .*int64 has no gradient; convert it",
                id=f"integers, {name}",
            )
            for name, t in (
                ("jacobian", jacobian(curved)),
                ("hessian", hessian(curved)),
                ("elementwise_grad", elementwise_grad(curved)),
                ("vjp", lambda x: vjp(curved, x)),
                ("jvp", lambda x: jvp(curved, (x,), (x,))),
                ("linearize", lambda x: linearize(curved, x)),
                ("hvp", lambda x: hvp(curved)(x, x)),
            )
        ),
        pytest.param(
            lambda: grad(lambda p: p["a"][1])({"a": [1.0, np.arange(2)]}),
            TypeError,
            r"argument 0\['a'\]\[1\]: Tensor: an array of int64",
            id="integers in a container",
        ),
        pytest.param(lambda: grad(lambda p: 1.0)([None, {}]), TypeError, "there is no array in argument 0", id="empty"),
        pytest.param(lambda: vjp(lambda x: "y", 1.0)[1](1.0), TypeError, "must return", id="text result"),
        pytest.param(
            lambda: vjp(curved, POINT)[1](np.ones(2)),
            ValueError,
            r"vjp\(curved\): the cotangent must have shape \(3,\), got \(2,\)",
            id="cotangent of another shape",
        ),
        pytest.param(
            lambda: vjp(curved, POINT)[1](np.ones(3, np.float32)),
            TypeError,
            r"the cotangent must have dtype float64, got float32; convert it, as with astype\(float64\)",
            id="cotangent of another dtype",
        ),
        pytest.param(
            lambda: vjp(curved, POINT)[1](np.ones(3, int)), TypeError, "dtype float64, got int", id="integer cotangent"
        ),
        pytest.param(
            lambda: vjp(curved, POINT)[1](1j * V), TypeError, "cotangent must be real", id="complex cotangent"
        ),
        pytest.param(lambda: vjp(curved, POINT)[1]("v"), TypeError, "must be real numbers.* got 'v'", id="text"),
        pytest.param(
            lambda: vjp(curved, POINT)[1]([1.0, 2.0, 3.0]),
            ValueError,
            r"the cotangent must have one array, got arrays at \[0\], \[1\], \[2\]",
            id="list for an array",
        ),
        pytest.param(
            lambda: jvp(curved, (POINT,), (np.ones((3, 1)),)),
            ValueError,
            r"jvp\(curved\): the tangent \[0\] must have shape \(3,\), got \(3, 1\)",
            id="tangent of another shape",
        ),
        pytest.param(
            lambda: jvp(curved, (POINT,), (np.ones(3, np.float32),)), TypeError, "dtype float64", id="tangent dtype"
        ),
        pytest.param(lambda: jvp(curved, (POINT,), ()), ValueError, "arrays at .* got no arrays", id="no tangent"),
        pytest.param(lambda: jvp(curved, POINT, V), TypeError, "primals must be a tuple or list", id="bare primals"),
        pytest.param(lambda: jvp(curved, (POINT,), V), TypeError, "tangents must be a tuple or list", id="tangents"),
        pytest.param(lambda: linearize(curved, POINT)[1](V, V), ValueError, "got arrays at", id="too many tangents"),
        pytest.param(lambda: hvp(np.sum)(POINT, np.ones(2)), ValueError, r"the vector \[0\] must have shape", id="hvp"),
        pytest.param(
            lambda: grad(lambda x: x, has_aux=True)(1.0), TypeError, r"must return a pair \(output, aux\)", id="aux"
        ),
    ],
)
def test_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
    assert (Tensor(1.0) * 2).requires_grad


# What belongs to the caller


def test_what_is_given_out_may_be_written_into() -> None:
    y, pull = vjp(np.exp, np.zeros(2))
    y[:] = 100
    np.testing.assert_array_equal(pull(np.ones(2))[0], [1, 1])
    y, push, aux = linearize(lambda x: (x * x, x), np.array([1.0, 2.0]), has_aux=True)
    aux[:] = y[:] = 100
    np.testing.assert_array_equal(push(np.ones(2)), [2, 4])


def test_containers_may_be_changed_after_the_call() -> None:
    point = [np.array([1.0, 2.0])]
    _, pull = vjp(lambda items: items[0] ** 2, point)
    point.append(np.ones(1))
    np.testing.assert_array_equal(pull(np.ones(2))[0][0], [2, 4])


def test_a_dataclass_is_not_initialized_again_and_other_dicts_stay_what_they_are() -> None:
    @dataclasses.dataclass
    class Scaled:
        w: Any
        total: float = dataclasses.field(init=False, default=0.0)

        def __post_init__(self) -> None:
            self.w = self.w / 10

    found = grad(lambda s: (s.w**2).sum())(Scaled(np.array([10.0, 20.0])))
    np.testing.assert_array_equal(found.w, [2, 4])
    ordered = grad(lambda d: next(iter(d.values())) * 3)(OrderedDict(a=2.0))
    assert type(ordered) is OrderedDict
    assert jvp(lambda d: d["a"] * d["b"], ({"a": 2.0, "b": 3.0},), ({"b": 1.0, "a": 10.0},))[1] == 32


def test_functions_without_hash_are_differentiated() -> None:
    class Constant:
        __slots__ = ()

        def __call__(self, x: Any) -> float:
            return 1.0

    with pytest.warns(UserWarning, match="does not depend"):
        assert grad(Constant())(2.0) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: jacobian(lambda x: "s")(POINT), "Tensors of numbers, got str", id="text"),
        pytest.param(lambda: grad(lambda x: np.array(1j))(POINT), "got complex128: take abs", id="complex number"),
        pytest.param(lambda: hvp(lambda x, y: x * y, (0, 1))(1.0, 2.0, 3), "one vector for each of argnums", id="hvp"),
        pytest.param(lambda: grad(np.sum)(np.ma.array([1.0, 2.0], mask=[0, 1])), "its mask would be lost", id="masked"),
    ],
)
def test_what_is_not_real_numbers(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_mixed_derivatives_of_a_power_at_exponent_zero() -> None:
    h = hessian(lambda p: p[0] ** p[1])(np.array([3.0, 0.0]))
    np.testing.assert_allclose(h, [[0, 1 / 3], [1 / 3, np.log(3) ** 2]])


# Results that have no gradient


SINGLE = np.array([1.0, 3.0, 2.0], np.float32)


@pytest.mark.parametrize("function", [lambda x: x > 1, lambda x: np.argsort(x), lambda x: np.isfinite(x)])
def test_booleans_and_integers_have_gradient_zero(function: Any) -> None:
    y, pull = vjp(function, SINGLE)
    assert y.dtype.kind in "bi"
    for cotangent in (np.ones(3), np.ones(3, np.float32), np.ones_like(y)):
        (gradient,) = pull(cotangent)
        assert gradient.dtype == np.float32
        np.testing.assert_array_equal(gradient, np.zeros(3))
    for value, tangent in (
        jvp(function, (SINGLE,), (SINGLE,)),
        (y, linearize(function, SINGLE)[1](SINGLE)),
    ):
        np.testing.assert_array_equal(value, y)
        assert (tangent.dtype, tangent.shape) == (np.float64, (3,))
        np.testing.assert_array_equal(tangent, np.zeros(3))
    for rows, j in ((1, jacobian(function)(SINGLE)), (2, jacobian(lambda x: np.stack([function(x)] * 2))(SINGLE))):
        assert (j.dtype, j.size) == (np.float32, 9 * rows)
        np.testing.assert_array_equal(j, 0 * j)


def test_booleans_and_integers_of_numbers_and_beside_others() -> None:
    assert vjp(lambda x: x > 1, 2.0)[1](1.0) == (0.0,)
    assert jvp(lambda x: x > 1, (2.0,), (1.0,)) == (True, 0.0)
    assert jvp(lambda x: np.allclose(x, 1), (2.0,), (1.0,)) == (False, 0.0)
    assert jacobian(np.argmax)(SINGLE).dtype == np.float32
    y, pull = vjp(lambda x: {"y": x * 2, "at": np.argmax(x), "above": x > 1}, SINGLE)
    assert y["at"] == 1
    (gradient,) = pull({"y": SINGLE, "at": 1.0, "above": np.ones(3)})
    np.testing.assert_array_equal(gradient, 2 * SINGLE)
    _, (tangent, zero) = jvp(lambda x: (x * 2, x > 1), (SINGLE,), (SINGLE,))
    assert (tangent.dtype, zero.dtype) == (np.float32, np.float64)
    with pytest.raises(TypeError, match=r"the cotangent must be real numbers of shape \(3,\), got array\(\[ True"):
        vjp(np.sin, SINGLE)[1](np.array([True, False, True]))


@pytest.mark.parametrize(
    "transform", [grad, value_and_grad, hessian, elementwise_grad, lambda f: lambda x: hvp(f)(x, 1.0)]
)
@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: np.allclose(x, 1), id="Python's"),
        pytest.param(lambda x: x > 1, id="NumPy's"),
        pytest.param(lambda x: np.reshape(x, 1) > 1, id="array"),
        pytest.param(lambda x: Tensor(x.data > 1, requires_grad=False), id="Tensor"),
    ],
)
def test_a_boolean_is_no_number_to_differentiate(transform: Any, function: Any) -> None:
    with pytest.raises(TypeError, match=r"\): the function must return a number to differentiate, got a boolean"):
        transform(function)(2.0)


def holding(x: Any) -> Any:
    """An array of objects that hides a Tensor."""
    array = np.empty((), object)
    array[()] = x.sum()
    return array


ALL = {
    "grad": grad,
    "value_and_grad": value_and_grad,
    "elementwise_grad": elementwise_grad,
    "jacobian": jacobian,
    "vjp": lambda f: lambda x: vjp(f, x),
    "jvp": lambda f: lambda x: jvp(f, (x,), (x,)),
    "linearize": lambda f: lambda x: linearize(f, x),
}


@pytest.mark.parametrize("transform", ALL)
@pytest.mark.parametrize("kind", ["objects", "masked", "matrix", "Series", "Series of Tensors", "DataArray", "sparse"])
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_results_that_may_hide_a_tensor_are_refused_by_name(transform: str, kind: str) -> None:
    if kind.startswith("Series"):
        pandas = pytest.importorskip("pandas")
    elif kind == "DataArray":
        xarray = pytest.importorskip("xarray")
    elif kind == "sparse":
        sparse = pytest.importorskip("scipy.sparse")
    function, named = {
        "objects": (holding, "an array of objects"),
        "masked": (lambda x: np.ma.array([1.0], mask=[1]), "numpy.MaskedArray"),
        "matrix": (lambda x: np.matrix([[1.0]]), "numpy.matrix"),
        "Series": (lambda x: pandas.Series(x.data[:1]), "pandas.Series"),
        "Series of Tensors": (lambda x: pandas.Series([x.sum()]), "pandas.Series"),
        "DataArray": (lambda x: xarray.DataArray(x[:1]), "xarray.DataArray"),
        "sparse": (lambda x: sparse.csr_array(np.eye(1)), "scipy.csr_array"),
    }[kind]
    with pytest.raises(TypeError, match=rf"{transform}\(.*\): the function must return Tensors.*{named}.*np\.stack"):
        ALL[transform](function)(np.ones(3))


def test_arrays_of_a_kind_that_did_not_go_in_are_refused_and_memory_maps_are_arrays(tmp_path: Any) -> None:
    dask = pytest.importorskip("dask.array")
    for function in (lambda x: dask.from_array(x.data), lambda x: (x, dask.ones(3))):
        with pytest.raises(TypeError, match=r"vjp\(<lambda>\): .*got dask\.Array, through which no gradient flows"):
            vjp(function, np.ones(3))
    lazy = dask.ones(3)
    assert type(vjp(lambda x: x > 0, lazy)[1](lazy)[0]) is type(lazy)
    stored = np.memmap(tmp_path / "x", np.float64, "w+", shape=3)
    (y, zero), pull = vjp(lambda x: (x * 2, stored), np.ones(3))
    np.testing.assert_array_equal(pull((y, zero))[0], [4, 4, 4])


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_vectors_of_a_kind_whose_operators_mean_something_else_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    _, pull = vjp(lambda x: x * np.ones((3, 1)), np.ones(3))
    for vector in (np.matrix(np.eye(3)), np.ma.array(np.eye(3)), pandas.DataFrame(np.eye(3))):
        with pytest.raises(TypeError, match=r"vjp\(<lambda>\): the cotangent must be real numbers of shape \(3, 3\)"):
            pull(vector)


# What else belongs to the caller


def test_no_two_results_share_an_array_nor_one_with_the_graph() -> None:
    x = np.ones(2)
    first, second = grad(lambda x, y: (x * y).sum(), (0, 0))(x, x)
    first[:] = 100
    np.testing.assert_array_equal(second, [1, 1])
    for function in (np.sum, lambda x: x[0] + x[1], lambda x: x.sum() + 0 * x[0]):
        grad(function)(x)[:] = 100
        np.testing.assert_array_equal(grad(function)(x), [1, 1])
    for function in (lambda x: x, lambda x: x.reshape(2), lambda x: x + 0, lambda x: x.T.T):
        tangent = np.array([1.0, 2.0])
        y, push = linearize(function, x)
        _, pull = vjp(function, x)
        for result in (y, push(tangent), pull(tangent)[0], *jvp(function, (x,), (tangent,))):
            result[:] = 100
        np.testing.assert_array_equal(push(tangent), [1, 2])
        np.testing.assert_array_equal(pull(tangent)[0], [1, 2])
        np.testing.assert_array_equal(tangent, [1, 2])
        np.testing.assert_array_equal(x, [1, 1])


def test_functions_that_change_their_containers_or_the_caller_who_does() -> None:
    def f(p: Any, options: Any) -> Any:
        y = p.pop("w") ** 2 * options["k"]
        p["new"] = y
        return [y]

    point = {"w": np.array([1.0, 2.0])}
    y, push = linearize(f, point, {"k": 3.0}, argnums=0)
    y.append(None)
    point["w"][:] = 100
    point["b"] = 3
    np.testing.assert_array_equal(push({"w": np.ones(2)})[0], [6, 12])
    kept: list[Any] = []

    def g(x: Any) -> Any:
        kept.append(x * 2)
        return kept

    _, pull = vjp(g, np.ones(2))
    kept.append(None)
    kept.append(kept[0])
    np.testing.assert_array_equal(pull([np.ones(2)])[0], [2, 2])


def test_nothing_and_empty_arrays() -> None:
    x = np.zeros((0, 2), np.float32)
    y, pull = vjp(lambda x: (x * 2, None), x)
    assert y[1] is None
    assert pull((x, None))[0].shape == (0, 2)
    assert jvp(lambda p: {"y": p["x"] * 2, "n": None}, ({"x": x, "n": None},), ({"x": x},))[1]["y"].dtype == np.float32
    assert hvp(np.sum)(x, x).shape == (0, 2)
    found = grad(lambda p: (p["a"] ** 2).sum())({"a": np.ones(2), "b": None, "c": ()})
    assert (found["b"], found["c"]) == (None, ())


@pytest.mark.parametrize("x", [np.float32(0.5), np.array(0.5, np.float32), np.full((2, 1), 0.5, np.float32)])
def test_single_precision_stays_through_every_transform(x: Any) -> None:
    f = lambda x: np.sum(np.tanh(x) * 2.0)  # noqa: E731
    one = np.ones_like(x)
    results = [
        *value_and_grad(f)(x),
        elementwise_grad(np.tanh)(x),
        hvp(f)(x, one),
        hessian(f)(x),
        jacobian(np.tanh)(x),
        jacobian(f)(x),
        *jvp(np.tanh, (x,), (one,)),
        *jvp(f, (x,), (one,)),
        linearize(f, x)[1](one),
        vjp(np.tanh, x)[1](one)[0],
        grad(lambda x: f(grad(f)(x)))(x),
    ]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    # A Jacobian has its argument's dtype, computed by row or by column.
    wider = lambda x: np.stack([x, x]).astype(np.float64)  # noqa: E731
    assert jacobian(wider)(x).dtype == jacobian(lambda x: np.sum(wider(x)))(x).dtype == np.float32


def test_keyword_arguments_may_be_tensors_that_require_a_gradient() -> None:
    x, z = np.array([1.0, 2.0]), Tensor(3.0)
    f = lambda x, z: x**2 * z  # noqa: E731
    results = [
        grad(lambda x, z: f(x, z).sum())(x, z=z),
        vjp(f, x, z=z)[1](np.ones(2))[0],
        jvp(f, (x,), (np.ones(2),), z=z)[1],
        linearize(f, x, z=z)[1](np.ones(2)),
        elementwise_grad(f)(x, z=z),
        jacobian(f)(x, z=z).sum(axis=1),
    ]
    for result in results:
        z.grad = None
        result.sum().backward()
        assert z.grad == 6.0
    z.grad = None
    hvp(lambda x, z: f(x, z).sum())(x, np.ones(2), z=z).sum().backward()
    assert z.grad == 4.0


def test_forward_products_of_functions_of_each_element_and_of_those_that_only_seem_to_be() -> None:
    x, v = np.array([[0.5, 1.0], [2.0, 3.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    row = np.array([1.0, 2.0])
    functions: list[Callable[[Any], Any]] = [
        lambda x: np.sin(x) * x + row,
        lambda x: x,
        lambda x: x @ x,
        lambda x: x * x.sum(),
        lambda x: x.T * x,
        lambda x: x[::-1] + x,
        lambda x: x * x[0],
        lambda x: np.add.accumulate(x),
        lambda x: np.maximum(x, 1.5) ** 2,
        lambda x: np.where(x > 1, x, -x),
        lambda x: checkpointed(x),
    ]
    for function in functions:
        by_rows = np.tensordot(jacobian(function)(x), v, 2)
        np.testing.assert_allclose(jvp(function, (x,), (v,))[1], by_rows)
        np.testing.assert_allclose(linearize(function, x)[1](v), by_rows)
    wide = jvp(lambda x: x.astype(np.float64), (SINGLE,), (SINGLE,))[1]
    assert wide.dtype == np.float64
    w = Tensor(row)
    tangent = jvp(lambda x: np.sin(x) * w, (row,), (row,))[1]
    tangent.sum().backward()
    np.testing.assert_allclose(w.grad, np.cos(row) * row)


checkpointed = ad.checkpoint(lambda x: np.cumsum(x, axis=0) * 2)


matrix = np.arange(6.0).reshape(2, 3) - 2.5


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: np.dot(x, x.T), id="dot"),
        pytest.param(lambda x: x.T @ matrix + matrix.T @ x, id="matmul"),
        pytest.param(lambda x: np.inner(x, matrix) * np.inner(matrix, x), id="inner"),
        pytest.param(lambda x: np.outer(x[0], x[1]), id="outer"),
        pytest.param(lambda x: np.tensordot(x, x, axes=([1], [1])), id="tensordot"),
        pytest.param(lambda x: np.vecdot(x, x, axis=0), id="vecdot"),
        pytest.param(lambda x: np.trace(x, 1) * np.diagonal(x, offset=1), id="diagonals"),
        pytest.param(lambda x: np.sum(x, axis=0, keepdims=True) * x.sum(1, keepdims=True), id="sum"),
        pytest.param(lambda x: x.mean(axis=1) * np.mean(x), id="mean"),
        pytest.param(lambda x: np.cumsum(x, axis=1) * np.cumsum(x).reshape(2, 3), id="cumsum"),
        pytest.param(lambda x: x[1:, ::-1] * x[:, [0, 0, 2]] * x[x.data > 0].sum(), id="indices"),
        pytest.param(lambda x: np.take(x, [2, 0, 0], axis=1) * np.take(x, 4), id="take"),
        pytest.param(lambda x: x.copy().astype(np.longdouble).astype(np.float64) ** 2, id="astype"),
        pytest.param(lambda x: x.ravel().reshape(3, 2).T.swapaxes(0, 1) * np.transpose(x, (1, 0)), id="shapes"),
        pytest.param(lambda x: np.squeeze(np.expand_dims(np.moveaxis(x, 0, 1), 1), axis=1), id="axes"),
        pytest.param(lambda x: np.broadcast_to(x, (4, 2, 3)) + x[0] ** x[1] - 1 / x, id="broadcast"),
        pytest.param(
            lambda x: np.where(x > 1.1, x * 2, x[0]) * np.clip(x, 0.83, x[0] + 0.37) + x.relu() * (x - 1).sigmoid(),
            id="each",
        ),
        pytest.param(lambda x: np.hypot(x, matrix) * 2**x + np.maximum(x, x[0]) % 0.7, id="ufuncs"),
        pytest.param(lambda x: grad(lambda y: (y**3 * x).sum())(x), id="gradient"),
        pytest.param(lambda x: np.linalg.inv(x @ x.T) * np.sin(x[:, :2]), id="other calls"),
        pytest.param(lambda x: np.concatenate([x, x * 2]) * np.stack([x, x]).reshape(4, 3), id="lists"),
        pytest.param(lambda x: [np.modf(x * 3)[0], {"same": x}, 3.0, x.sum() > 0], id="several"),
    ],
)
@pytest.mark.parametrize("position", [0, 1])
def test_products_from_the_left_and_from_the_right_are_of_one_jacobian(function: Any, position: int) -> None:
    x = np.array([[0.5, 1.25, 2.0], [1.5, 0.75, 1.0]])
    v = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
    f = [function, lambda x: function(np.exp(x) * 0.5)][position]
    y, pull = vjp(f, x)
    tangents = [flatten(jvp(f, (x,), (v,))[1])[0], flatten(linearize(f, x)[1](v))[0]]
    for k, leaf in enumerate(flatten(y)[0]):
        weights = [np.zeros(np.shape(one)) for one in flatten(y)[0]]
        weights[k] = np.cos(np.arange(float(np.size(leaf)))).reshape(np.shape(leaf))
        (gradient,) = pull(flatten(y)[1]([weight[()] for weight in weights]))
        for pushed in tangents:
            assert np.shape(pushed[k]) == np.shape(leaf)
            assert (gradient * v).sum() == pytest.approx((pushed[k] * weights[k]).sum(), rel=1e-6)
    # The product is differentiable by the point and by the vector.
    s, t = Tensor(x), Tensor(v)
    product = flatten(jvp(f, (s,), (t,))[1])[0][0]
    product.sum().backward()
    for tensor, by in ((s, 0), (t, 1)):
        numerical = ad.testing.numerical_gradient(
            lambda *point: flatten(jvp(f, point[:1], point[1:])[1])[0][0].sum(), x, v, argnums=by
        )
        np.testing.assert_allclose(0.0 if tensor.grad is None else tensor.grad, numerical, rtol=1e-5, atol=1e-4)


def test_forward_products_notice_changes_and_anomalies() -> None:
    w, x = Tensor([1.0, 2.0]), np.array([3.0, 4.0])
    _, push = linearize(lambda x: np.sin(x) * w, x)
    push(x)
    w.data = np.ones(2)
    with pytest.raises(RuntimeError, match="was changed after multiply had used it"):
        push(x)
    with ad.detect_anomaly(), pytest.raises(FloatingPointError, match="sqrt"):
        jvp(lambda x: np.sqrt(x), (np.zeros(2),), (np.ones(2),))


def test_forward_mode_through_integers_and_sums_with_an_initial_number() -> None:
    x, v = np.ones(3), np.array([5.7, 2.2, 1.0])
    for f in (lambda x: np.cumsum(x, 0, np.int64) * 1.0, lambda x: np.sum(x, dtype=int) * 1.0):
        np.testing.assert_array_equal(ad.jvp(f, (x,), (v,))[1], 0 * f(x))
    assert ad.jvp(lambda x: np.sum(x, initial=5.0), (x,), (v,))[1] == v.sum()
