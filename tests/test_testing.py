"""The gradient checker: it passes what is right, catches what is wrong, and says what differs where."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.core.record import data_of
from autodiff.hints import hint
from autodiff.testing import assert_gradients_match, by_hand, by_torch, check_gradients, numerical_gradient
from autodiff.transforms.containers import walk

POINT = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def primitive(function: Callable[..., Any], *rules: Any, name: str = "suspect") -> Callable[..., Any]:
    """Make a function with the given rules."""
    function.__name__ = name
    made = ad.primitive(function)
    ad.defvjp(made, *rules)
    return made


# numerical_gradient


def test_numerical_gradient_of_functions_with_known_ones() -> None:
    x = np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(numerical_gradient(np.exp, x), np.exp(x), rtol=1e-9)
    np.testing.assert_allclose(numerical_gradient(lambda x: np.prod(x), x), [3.0, 1.5, 0.5], rtol=1e-9)
    np.testing.assert_allclose(numerical_gradient(np.sin, x * 1000), np.cos(x * 1000), atol=1e-3)
    assert numerical_gradient(lambda x: x**3, 2) == pytest.approx(12)
    assert numerical_gradient(lambda x: x**3, 2.0).shape == ()
    assert numerical_gradient(np.sum, np.ones((2, 0))).shape == (2, 0)


@pytest.mark.parametrize(
    ("argnum", "expected"), [(0, [9.0, 16.0]), (1, [6.0, 16.0]), (-1, [6.0, 16.0]), (-2, [9.0, 16.0])]
)
def test_numerical_gradient_argnum(argnum: int, expected: list[float]) -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    slope = numerical_gradient(lambda x, y: x * y**2, x, y, argnums=argnum)
    np.testing.assert_allclose(slope, expected, rtol=1e-9)
    np.testing.assert_array_equal(x, [1, 2])
    np.testing.assert_array_equal(y, [3, 4])


def test_numerical_gradient_takes_tensors_and_a_step() -> None:
    assert numerical_gradient(lambda x: x**2, Tensor(3.0)) == pytest.approx(6)
    assert numerical_gradient(lambda x: x**3, 1.0, step=0.5) == pytest.approx(3 + 0.25)  # the formula's own error, h²
    single = numerical_gradient(np.tanh, np.float32(0.5))
    assert single.dtype == np.float64
    assert single == pytest.approx(1 - np.tanh(0.5) ** 2, rel=1e-3)


@pytest.mark.parametrize("bad", [np.arange(3), np.array([True]), "abc"])
def test_numerical_gradient_wants_floating_point_numbers(bad: Any) -> None:
    with pytest.raises(TypeError, match="must be floating-point numbers, got dtype"):
        numerical_gradient(np.sum, bad)


# check_gradients passes what is right


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_gradients_pass(order: int, dtype: Any) -> None:
    check_gradients(lambda x, y: np.tanh(x) * y, POINT.astype(dtype), POINT[0].astype(dtype), order=order)


def test_functions_of_tensors_only_can_be_checked() -> None:
    check_gradients(lambda x: x.relu().sum() + x.sigmoid().mean(), POINT, order=2)


def test_constants_and_several_outputs() -> None:
    def f(x: Any, index: Any, mask: Any, y: Any) -> Any:
        return np.where(mask, x, 1.0)[index] * y, np.split(x * y, [1])[0]

    check_gradients(f, POINT, np.array([0, 1]), POINT > 0, 2.0, order=2)


def test_arguments_may_be_tensors() -> None:
    x = Tensor(POINT)
    check_gradients(lambda x, w: np.exp(x) * w, x, 3.0, order=2)
    assert x.grad is None
    np.testing.assert_array_equal(x.data, POINT)


def test_empty_arrays_and_numbers() -> None:
    check_gradients(np.exp, np.ones((0, 3)), order=2)
    check_gradients(np.exp, 1.5, order=3)


def test_tolerances() -> None:
    sloppy = primitive(lambda x: np.sin(x), lambda g, out, x: g * np.cos(x) * 1.001)
    with pytest.raises(AssertionError):
        check_gradients(sloppy, POINT)
    check_gradients(sloppy, POINT, rtol=1e-2)
    check_gradients(sloppy, POINT, atol=1e-2)


# ... and catches what is wrong


@pytest.mark.parametrize(
    ("function", "rules"),
    [
        pytest.param(lambda x: x**2, [lambda g, out, x: g * x], id="factor"),
        pytest.param(lambda x: np.exp(-x), [lambda g, out, x: g * out], id="sign"),
        pytest.param(lambda x: np.sin(x), [lambda g, out, x: g * np.sin(x)], id="formula"),
        pytest.param(lambda x: x.T.copy(), [lambda g, out, x: np.reshape(g, x.shape)], id="wrong order"),
        pytest.param(lambda x: x[::-1] * 2, [lambda g, out, x: g * 2], id="wrong index"),
        pytest.param(lambda x: np.sum(x), [lambda g, out, x: np.ones_like(x)], id="ignores the gradient"),
        pytest.param(lambda x: np.cumsum(x), [lambda g, out, x: np.broadcast_to(np.sum(g), x.shape)], id="too much"),
        pytest.param(lambda x: x * 1.0, [lambda g, out, x: np.zeros_like(x)], id="zero"),
        pytest.param(lambda x: x * 1.0, [lambda g, out, x: g * np.nan], id="nan"),
        pytest.param(
            lambda x: x * 1.0, [lambda g, out, x: g + 1e-4 * (np.arange(6.0).reshape(2, 3) == 4)], id="one element"
        ),
        pytest.param(lambda x: np.zeros_like(x), [lambda g, out, x: g], id="should be zero"),
    ],
)
def test_wrong_rules_are_caught(function: Callable[..., Any], rules: Any) -> None:
    with pytest.raises(AssertionError, match="the gradient of suspect differs from central differences"):
        check_gradients(primitive(function, *rules), POINT)


def test_errors_that_cancel_in_the_sum_are_caught() -> None:
    wrong = primitive(lambda x: x * 1.0, lambda g, out, x: g[::-1])
    with pytest.raises(AssertionError):
        check_gradients(wrong, POINT)


def test_wrong_rule_of_the_second_argument_only() -> None:
    wrong = primitive(lambda x, y: x * y, lambda g, out, x, y: g * y, lambda g, out, x, y: g * y)
    with pytest.raises(AssertionError, match="argument 1, index"):
        check_gradients(wrong, POINT, POINT + 1)
    check_gradients(lambda x: wrong(x, POINT + 1), POINT)


def test_message_names_argument_index_numbers_and_factor() -> None:
    wrong = primitive(
        lambda x, y: x + y**2,
        lambda g, out, x, y: g,
        lambda g, out, x, y: g * np.where(np.arange(3) == 1, -6 * y, 2 * y),
        name="energy",
    )
    with pytest.raises(AssertionError) as caught:
        check_gradients(lambda x, y: wrong(x, y).sum(), np.ones(3), np.array([1.0, 2.0, 4.0]))
    text = str(caught.value)
    assert "differs from central differences in 1 of 3 elements" in text
    assert "argument 1, index (1,), where x = 2\n" in text
    analytic, numerical = (float(re.search(rf"{word} +(\S+)", text)[1]) for word in ("autodiff", "numerical"))  # type: ignore[index]
    assert analytic / numerical == pytest.approx(-3)
    assert "relative error 1.33: the rule looks wrong by a factor of -3" in text


def test_message_names_the_worst_element() -> None:
    wrong = primitive(lambda x: x * 1.0, lambda g, out, x: g * np.array([1.0, 1.1, 5.0, 1.2]))
    with pytest.raises(AssertionError, match=r"in 3 of 4 elements\n  argument 0, index \(2,\), where x = 0.25"):
        check_gradients(wrong, np.full(4, 0.25))


def test_message_where_the_gradient_should_be_zero() -> None:
    wrong = primitive(lambda x: np.floor(x), lambda g, out, x: g)
    with pytest.raises(AssertionError, match="relative error 1: the rule should give zero here"):
        check_gradients(wrong, np.array([0.5]))


def test_kinks_are_pointed_out() -> None:
    with pytest.raises(AssertionError, match=r"slope is -?[\d.]+ to the left and -?[\d.]+ to the right: a kink near"):
        check_gradients(lambda x: x.relu(), np.array([1.0, 0.0]))
    with pytest.raises(AssertionError, match="a kink near the point"):
        check_gradients(lambda x: np.max(x) * 3, np.array([1.0, 1.0, 1.0]))


def test_float32_is_pointed_out() -> None:
    wrong = primitive(lambda x: x * 1, lambda g, out, x: g * 1.1)
    with pytest.raises(AssertionError, match="the point is float32: try float64"):
        check_gradients(wrong, POINT.astype(np.float32))


def test_results_of_float32_are_pointed_out_and_are_no_kinks() -> None:
    with pytest.raises(AssertionError, match="the result is float32: try float64"):
        check_gradients(lambda x: x.astype(np.float32), np.array([0.1, 0.2]))


def test_values_that_are_not_finite_are_pointed_out() -> None:
    wrong = primitive(lambda x: x * 1.0, lambda g, out, x: g * np.inf)
    with pytest.raises(AssertionError, match="not finite; is the function defined here"):
        check_gradients(wrong, POINT)


def test_wrong_second_derivative_needs_the_second_order() -> None:
    # The first derivative is right, but np.exp(x) is hidden from the graph, so its own derivative is lost.
    wrong = primitive(lambda x: np.exp(x), lambda g, out, x: g * ad.stop_gradient(out), name="hidden")
    check_gradients(wrong, POINT)
    with pytest.raises(AssertionError, match="the gradient of gradient of hidden differs from central differences"):
        check_gradients(wrong, POINT, order=2)


def test_wrong_third_derivative_needs_the_third_order() -> None:
    @ad.primitive
    def inner(x: Any) -> Any:
        return np.cos(x)

    ad.defvjp(inner, lambda g, out, x: -g * np.sin(ad.stop_gradient(x)))
    wrong = primitive(lambda x: np.sin(x), lambda g, out, x: g * inner(x))
    check_gradients(wrong, POINT, order=2)
    with pytest.raises(AssertionError, match="gradient of gradient of gradient of suspect"):
        check_gradients(wrong, POINT, order=3)


@pytest.mark.parametrize("order", [0, -1, 1.5, "2", None])
def test_bad_order(order: Any) -> None:
    with pytest.raises(ValueError, match="order must be a positive integer"):
        check_gradients(np.exp, POINT, order=order)


@pytest.mark.parametrize("args", [(), (3,), (np.arange(3),), (np.array([True]), "x")], ids=repr)
def test_nothing_to_differentiate_by(args: Any) -> None:
    with pytest.raises(TypeError, match="at least one argument of floating-point numbers"):
        check_gradients(np.exp, *args)


def test_the_message_gives_a_scalar_functions_own_derivative() -> None:
    wrong = primitive(lambda x: x**3, lambda g, out, x: g * 2 * x**2)
    with pytest.raises(
        AssertionError, match=r"autodiff   8\n  numerical  (12\.0000|11\.9999)[\s\S]*factor of 0\.666667"
    ) as caught:
        check_gradients(wrong, 2.0)
    assert "weighted" not in str(caught.value)


def test_a_factor_is_named_only_where_all_have_it() -> None:
    wrong = primitive(lambda x: np.sin(x), lambda g, out, x: g * np.sin(x))
    with pytest.raises(AssertionError, match=r"the rule looks wrong$") as caught:
        check_gradients(wrong, np.array([0.5, 1.0]))
    assert "weighted with fixed random numbers" in str(caught.value)
    with pytest.raises(AssertionError, match="no gradient arrived"):
        check_gradients(lambda x: x * 0.0 + x.item() ** 2, 2.0)


# Random directions, forward mode


def test_random_directions_for_large_arguments() -> None:
    calls = []

    def counted(x: Any, y: Any) -> Any:
        calls.append(1)
        return np.sin(x) * y

    big = np.random.default_rng(0).normal(size=(100, 100))
    check_gradients(counted, big, np.array(2.0), order=2, directions=3)
    assert len(calls) < 100
    check_gradients(np.tanh, big.astype(np.float32), directions=2)
    check_gradients(np.tanh, 0.5, directions=1)


def test_random_directions_find_one_wrong_element() -> None:
    rule = lambda g, out, x: g * np.where(np.arange(x.size) == 17, 2.01, 2)  # noqa: E731
    double = primitive(lambda x: 2 * x, rule, name="double")
    with pytest.raises(AssertionError, match="gradient of double differs from central differences in a random direct"):
        check_gradients(double, np.ones(1000), directions=1)


def test_a_rule_that_does_not_depend_on_g_as_it_should_is_found_in_forward_direction() -> None:
    double = primitive(lambda x: 2 * x, lambda g, out, x: 2 * (g.data if isinstance(g, Tensor) else g), name="double")
    with pytest.raises(AssertionError, match=r"(?s)of double in forward direction .* a rule is not linear in g"):
        check_gradients(double, np.ones(3))


@pytest.mark.parametrize("directions", [0, -1, 1.5, "all"])
def test_directions_must_be_a_positive_integer(directions: Any) -> None:
    with pytest.raises(ValueError, match="directions must be a positive integer"):
        check_gradients(np.tanh, 1.0, directions=directions)


# Two implementations


def two_outputs(x: Any, y: Any) -> Any:
    return x * y, np.exp(x)


def test_implementations_that_agree() -> None:
    x, y = np.array([0.5, -1.0]), np.array([2.0, 3.0])
    assert_gradients_match(two_outputs, lambda x, y: (y * x, 1 / np.exp(-x)), x, y)
    assert_gradients_match(two_outputs, by_hand(lambda x, y: (y + np.exp(x), x)), x, y)
    assert_gradients_match(by_hand(lambda x, y: (y + np.exp(x), x)), two_outputs, x, y)
    assert_gradients_match(np.tanh, lambda x: x.tanh(), x.astype(np.float32))
    assert_gradients_match(lambda x, n: x**n, by_hand(lambda x, n: n * x ** (n - 1)), 2.0, 3)
    assert_gradients_match(lambda x: np.sum(x), by_hand(lambda x: [1.0, 1.0]), [1.0, 2.0])


def test_implementations_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x, y = np.array([0.5, -1.0]), np.array([2.0, 3.0])
    theirs = by_torch(lambda x, y: (x * y, torch.exp(x)))
    assert_gradients_match(two_outputs, theirs, x, y)
    assert_gradients_match(theirs, by_hand(lambda x, y: (y + np.exp(x), x)), x, y)
    assert_gradients_match(np.take, by_torch(lambda x, i: x[i]), x, np.array([0, 0, 1]))
    with pytest.raises(AssertionError, match="the values of tanh and sigmoid of PyTorch differ in 2 of 2 elements"):
        assert_gradients_match(np.tanh, by_torch(torch.sigmoid), x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(
            lambda x: assert_gradients_match(np.tanh, np.sin, x),
            AssertionError,
            r"the values of tanh and sin differ in 2 of 2 elements\n  output 0, index \(1,\)\n  tanh  +-0\.76",
            id="values",
        ),
        pytest.param(
            lambda x: assert_gradients_match(lambda x: x * x, lambda x: x * ad.stop_gradient(x), x),
            AssertionError,
            r"gradients of <lambda> and <lambda> differ in 2 of 2 elements\n  argument 0, index \(1,\), where x = -1",
            id="gradients",
        ),
        pytest.param(
            lambda x: assert_gradients_match(np.tanh, lambda x: np.tanh(x[:1]), x),
            AssertionError,
            r"tanh gives shapes \[\(2,\)\], <lambda> gives \[\(1,\)\]",
            id="shapes of values",
        ),
        pytest.param(
            lambda x: assert_gradients_match(np.tanh, by_hand(lambda x: np.ones(3)), x),
            AssertionError,
            r"argument 0 has shape \(2,\), its gradient by tanh \(2,\), by <lambda> by hand \(3,\)",
            id="shapes of gradients",
        ),
        pytest.param(
            lambda x: assert_gradients_match(np.tanh, by_hand(lambda x: (x, x)), x),
            ValueError,
            "by_hand: <lambda> by hand gave 2 gradients for 1 arguments",
            id="number of gradients",
        ),
        pytest.param(
            lambda x: assert_gradients_match(np.tanh, 3.0, x), TypeError, "must be a function, got 3.0", id="number"
        ),
        pytest.param(
            lambda x: assert_gradients_match(np.tanh, np.tanh, 3), TypeError, "at least one argument", id="integer"
        ),
        pytest.param(lambda x: by_hand(np.ones(2)), TypeError, "must be a function", id="array"),
    ],
)
def test_implementations_that_differ(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.array([0.5, -1.0]))


# Containers, argnums


class Layer(NamedTuple):
    w: Any
    b: Any


@dataclasses.dataclass
class Record:
    w: Any
    n: Any = 3


CONTAINERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "dict": (lambda p: np.tanh(p["w"]) * p["b"], {"w": POINT, "b": 2.0}),
    "list of arrays": (lambda p: np.tanh(p[0]) * p[1], [POINT, POINT[0]]),
    "tuple": (lambda p: np.tanh(p[0]) * p[1], (POINT, 0.5)),
    "named tuple": (lambda p: np.tanh(p.w) * p.b, Layer(POINT, POINT[1])),
    "dataclass": (lambda p: np.tanh(p.w) * p.n, Record(POINT)),
    "nested": (lambda p: np.tanh(p["a"][1][0]) * p["a"][0]["x"], {"a": [{"x": 2.0, "none": None}, (POINT, POINT)]}),
    "with constants": (
        lambda p: p["x"][p["rows"]] * (p["text"] == "a"),
        {"x": POINT, "rows": np.array([1]), "text": "a"},
    ),
    "with Tensors": (lambda p: np.tanh(p["w"]), {"w": Tensor(POINT)}),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_are_checked_as_grad_takes_them(name: str) -> None:
    f, p = CONTAINERS[name]
    check_gradients(f, p, order=2)
    check_gradients(f, p, directions=2)
    assert_gradients_match(f, lambda p: 1.0 * f(p), p)
    with pytest.raises(AssertionError, match="the gradients of <lambda> and <lambda> differ"):
        assert_gradients_match(f, lambda p: 2 * f(p) - ad.stop_gradient(f(p)), p)


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name != "with constants"])
def test_numerical_gradients_are_in_the_containers_of_grad(name: str) -> None:
    f, p = CONTAINERS[name]
    expected = ad.grad(lambda p: f(p).sum())(p)
    for numerical, by in ((numerical_gradient(f, p), expected), (numerical_gradient(f, p, argnums=(0,)), (expected,))):
        assert type(numerical) is type(by)
        for (path, one), (other_path, other) in zip(walk(numerical), walk(by), strict=True):
            assert path == other_path
            np.testing.assert_allclose(one, data_of(other), rtol=1e-7, atol=1e-9)


def test_argnums_of_numerical_gradients() -> None:
    f = lambda w, X, y: ((X @ w - y) ** 2).sum()  # noqa: E731
    w, X, y = np.array([1.0, -1.0]), POINT[:, :2], np.array([1, 0])
    both = numerical_gradient(f, w, X, y, argnums=(1, -3))
    for one, expected in zip(both, ad.grad(f, argnums=(1, 0))(w, X, y), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-7)
    with pytest.raises(
        TypeError, match=r"numerical_gradient: argument 2 must be floating-point numbers, got dtype int"
    ):
        numerical_gradient(f, w, X, y, argnums=(0, 2))
    with pytest.raises(ValueError, match=r"argnums 3 is out of range for 3 positional arguments"):
        numerical_gradient(f, w, X, y, argnums=3)
    with pytest.raises(TypeError, match="argnums must be an integer or several, got 'w'"):
        numerical_gradient(f, w, X, y, argnums="w")
    np.testing.assert_allclose(numerical_gradient(lambda x: {"a": x, "b": [x * x]}, [1.0, 2.0]), [3.0, 5.0])


def half_of_the_squares(w: Any, X: Any, y: Any) -> Any:
    return ((X @ w - y) ** 2).sum() / 2


def test_argnums_say_what_is_differentiated() -> None:
    w, X, y = np.array([1.0, -1.0]), POINT[:, :2], np.array([1.0, 0.0])
    by_w = by_hand(lambda w, X, y: X.T @ (X @ w - y))
    assert_gradients_match(half_of_the_squares, by_w, w, X, y, argnums=0)
    assert_gradients_match(half_of_the_squares, by_w, w, X, y, argnums=[-3])
    assert_gradients_match(
        half_of_the_squares, by_hand(lambda w, X, y: (y - X @ w, by_w.function(w, X, y))), w, X, y, argnums=(2, 0)
    )
    labels = y.astype(int)
    by_both = by_hand(lambda w, X, y: (X.T @ (X @ w - y), np.outer(X @ w - y, w)))
    assert_gradients_match(half_of_the_squares, by_both, w, X, labels)
    check_gradients(half_of_the_squares, w, X, labels, order=2)
    right_by_w = primitive(
        half_of_the_squares, lambda g, out, w, X, y: g * (X.T @ (X @ w - y)), lambda g, out, w, X, y: g * X
    )
    check_gradients(right_by_w, w, X, y, argnums=0)
    with pytest.raises(AssertionError, match="argument 1, index"):
        check_gradients(right_by_w, w, X, labels, argnums=(0, 1))
    with pytest.raises(
        ValueError, match=r"by_hand: <lambda> by hand gave 1 gradients for 3 arguments; .* as argnums=0"
    ):
        assert_gradients_match(half_of_the_squares, by_w, w, X, y)
    for call in (check_gradients, lambda f, *args, **by: assert_gradients_match(f, f, *args, **by)):
        with pytest.raises(TypeError, match="argument 2 must be floating-point numbers, got dtype int64"):
            call(half_of_the_squares, w, X, labels, argnums=2)
        with pytest.raises(ValueError, match=r"argnums \(0, 3\) is out of range for 3 positional arguments"):
            call(half_of_the_squares, w, X, labels, argnums=(0, 3))
        with pytest.raises(TypeError, match="give at least one argument of floating-point numbers"):
            call(half_of_the_squares, {"n": 3}, labels)


def test_gradients_by_hand_in_containers() -> None:
    f = lambda layer, X: np.tanh(X @ layer["w"] + layer["b"])  # noqa: E731
    layer, X = {"w": np.array([[1.0], [-1.0]]), "b": np.array([0.5]), "units": 1}, POINT[:, :2]

    def gradient(layer: Any, X: Any) -> Any:
        slope = 1 - np.tanh(X @ layer["w"] + layer["b"]) ** 2
        return {"w": X.T @ slope, "b": slope.sum(axis=0)}

    assert_gradients_match(f, by_hand(gradient), layer, X.astype(int), argnums=None)
    assert_gradients_match(lambda pair, n: pair[0] * pair[1] ** n, by_hand(lambda pair, n: (9.0, 12.0)), (2.0, 3.0), 2)
    unsummed = lambda layer, X: gradient(layer, X) | {"b": 1 - f(layer, X) ** 2}  # noqa: E731
    with pytest.raises(AssertionError, match=r"argument 0\['b'\] has shape \(1,\).* by hand \(2, 1\); summed over"):
        assert_gradients_match(f, by_hand(unsummed), layer, X.astype(int))
    for wrong in (lambda layer, X: {"w": 0}, lambda layer, X: gradient(layer, X) | {"c": 0}, lambda layer, X: None):
        with pytest.raises(ValueError, match=r"gave gradients by .*, not argument 0\['w'\], argument 0\['b'\]"):
            assert_gradients_match(f, by_hand(wrong), layer, X.astype(int))


def test_pytorch_in_containers() -> None:
    torch = pytest.importorskip("torch")
    theirs = by_torch(lambda p, n: {"y": torch.tanh(p["x"][0]) * p["x"][1], "z": p["x"][0] ** n})
    ours = lambda p, n: {"y": np.tanh(p["x"][0]) * p["x"][1], "z": p["x"][0] ** n}  # noqa: E731
    assert_gradients_match(ours, theirs, {"x": [POINT, 2.0]}, 3)
    halved = lambda p, n: ours({"x": [p["x"][0] / 2 + ad.stop_gradient(p["x"][0]) / 2, p["x"][1]]}, n)  # noqa: E731
    with pytest.raises(AssertionError, match=r"argument 0\['x'\]\[0\], index"):
        assert_gradients_match(halved, theirs, {"x": [POINT, 2.0]}, 3)


def test_results_that_are_no_real_numbers() -> None:
    with pytest.raises(TypeError, match="what the function returns must be real numbers, got dtype complex128"):
        numerical_gradient(lambda x: x * 1j, 1.0)
    with pytest.raises(
        TypeError, match="by_hand: the gradient by argument 0 must be real numbers, got dtype complex128"
    ):
        assert_gradients_match(lambda x: 2 * x, by_hand(lambda x: np.array([2, 2 + 3j])), POINT[0, :2])
    with pytest.raises(TypeError, match="the sum of complex results has no gradient"):
        assert_gradients_match(lambda x: 2j * x, by_hand(lambda x: 2 * x), POINT)
    with pytest.raises(TypeError, match="the function must return Tensors, got None"):
        check_gradients(lambda x: None, 1.0)


# Hints

RNG = np.random.default_rng(7)
ROWS, W, B, TARGETS = (RNG.normal(size=shape) for shape in ((5, 3), (3, 3), (3,), (5, 3)))


def squares(W: Any, b: Any) -> Any:
    return ((ROWS @ W + b - TARGETS) ** 2).sum()


def squares_by_W(W: Any, b: Any) -> Any:  # noqa: N802
    return 2 * ROWS.T @ (ROWS @ W + b - TARGETS)


HINTS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "sign": (lambda W, b: -squares_by_W(W, b), "by a factor of -1: is it the sign?"),
    "half": (lambda W, b: squares_by_W(W, b) / 2, "by a factor of 0.5: is the 2 of a square forgotten?"),
    "twice": (lambda W, b: squares_by_W(W, b) * 2, "by a factor of 2: is a 1/2 forgotten?"),
    "mean": (lambda W, b: squares_by_W(W, b) / 9, "by a factor of 0.111111: is it the mean of 9 in place of the sum?"),
    "factor": (lambda W, b: squares_by_W(W, b) * 1.37, "by a factor of 1.37$"),
    "transposed": (lambda W, b: squares_by_W(W, b).T, "is transposed"),
    "another order": (lambda W, b: squares_by_W(W, b)[::-1], "the right numbers in another order"),
    "zero": (lambda W, b: 0 * W, "gives zero, where there is a gradient"),
    "a row of zeros": (lambda W, b: squares_by_W(W, b) * [[1], [0], [1]], "gives zero in row 1, where there"),
    "columns by a factor": (lambda W, b: squares_by_W(W, b) * [3, 1, 3], "a factor of 3 in columns 0, 2"),
    "a row": (lambda W, b: squares_by_W(W, b) + [[0], [0], [1]] * RNG.normal(size=3), "looks wrong in row 2 only"),
    "weight decay": (lambda W, b: squares_by_W(W, b) + 0.01 * W, "by 0.01 times the argument: is there weight decay?"),
    "constant": (lambda W, b: squares_by_W(W, b) - 0.25, "differs by -0.25 everywhere"),
}


@pytest.mark.parametrize("name", HINTS)
def test_what_could_be_wrong_with_a_gradient_by_hand(name: str) -> None:
    wrong, text = HINTS[name]
    for pair in ((squares, by_hand(wrong)), (by_hand(wrong), squares)):
        with pytest.raises(AssertionError, match=rf"relative error \S+: <lambda> by hand .*{text}"):
            assert_gradients_match(*pair, W, B, argnums=0)


@pytest.mark.parametrize("name", sorted({*HINTS} - {"a row", "zero"}))
def test_what_could_be_wrong_with_a_rule(name: str) -> None:
    wrong, text = HINTS[name]
    suspect = primitive(squares, lambda g, out, W, b: g * wrong(W, b), lambda g, out, W, b: g)
    with pytest.raises(AssertionError, match=rf"relative error \S+: the rule .*{text}"):
        check_gradients(suspect, W, B, argnums=0)


def test_a_mean_and_a_sum_of_rows() -> None:
    mean = lambda w, X: (X @ w).mean()  # noqa: E731
    for wrong, text in (
        (lambda w, X: X.sum(axis=0), "factor of 5: is it the sum in place of the mean of 5"),
        (lambda w, X: X.mean(axis=0) / 5, "factor of 0.2: is it the mean of 5 in place of the sum"),
    ):
        with pytest.raises(AssertionError, match=text):
            assert_gradients_match(mean, by_hand(wrong), W[0], ROWS, argnums=0)


def test_gradients_in_each_others_place_and_terms_of_others() -> None:
    x, y = np.array([1.0, 2.0, 4.0]), np.array([0.3, -1.0, 0.5])
    f = lambda x, y: (x**3 * y).sum()  # noqa: E731
    for wrong, text in (
        (lambda x, y: (x**3, 3 * x**2 * y), "is the gradient of argument 1: are they in each other's place"),
        (lambda x, y: (3 * x**2 * y + y, x**3), "differs by 1 times argument 1$"),
        (lambda x, y: (3 * x**2 * y, x**3 - 0.5 * 3 * x**2 * y), "differs by -0.5 times the gradient of argument 0$"),
    ):
        with pytest.raises(AssertionError, match=text):
            assert_gradients_match(f, by_hand(wrong), x, y)


@pytest.mark.parametrize(
    ("activate", "slope", "name"),
    [
        (np.tanh, lambda x: 1 - np.tanh(x) ** 2, "tanh"),
        (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2, "sigmoid"),
        (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0), "relu"),
    ],
)
def test_the_slope_of_an_activation(activate: Any, slope: Any, name: str) -> None:
    x, c = RNG.normal(size=8), RNG.normal(size=8)
    f = lambda x: activate(x) * c  # noqa: E731
    assert_gradients_match(f, by_hand(lambda x: slope(x) * c), x)
    with pytest.raises(AssertionError, match=f"lacks the slope of {name}"):
        assert_gradients_match(f, by_hand(lambda x: c), x)
    if name != "relu":  # whose slope is its own square
        with pytest.raises(AssertionError, match=f"has the slope of {name} once too often"):
            assert_gradients_match(f, by_hand(lambda x: slope(x) ** 2 * c), x)


def test_shapes_that_would_be_right() -> None:
    f = lambda b: (ROWS + b).sum()  # noqa: E731
    for wrong, text in (
        (lambda b: np.ones((5, 3)), "by hand .5, 3.; summed over the axes along which"),
        (lambda b: np.ones((5, 3)) * 2, "by hand .5, 3.$"),
    ):
        with pytest.raises(AssertionError, match=text):
            assert_gradients_match(f, by_hand(wrong), B)
    with pytest.raises(AssertionError, match="; transposed, it is right"):
        assert_gradients_match(lambda x: x**2, by_hand(lambda x: 2 * x.T), POINT)


def test_of_two_functions_the_one_that_loses_the_gradient_is_named() -> None:
    lost = lambda x: ad.stop_gradient(np.tanh(x))  # noqa: E731
    for pair in ((np.tanh, lost), (lost, np.tanh)):
        with pytest.raises(AssertionError, match="<lambda> gives zero, where there is a gradient"):
            assert_gradients_match(*pair, POINT)
    with pytest.raises(AssertionError, match="<lambda> looks wrong by a factor of 2: is a 1/2 forgotten"):
        assert_gradients_match(np.tanh, lambda x: 2 * np.tanh(x) - ad.stop_gradient(np.tanh(x)), POINT)


def test_the_precision_of_float32() -> None:
    f = lambda x: x**3  # noqa: E731
    with pytest.raises(AssertionError, match="by hand has the precision of float32"):
        assert_gradients_match(f, by_hand(lambda x: 3 * x.astype(np.float32) ** 2), RNG.normal(size=50), rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (8,), (1, 4), (2, 2), (3, 3), (5, 2), (2, 3, 4)], ids=str)
def test_errors_of_no_pattern_get_no_hint(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    for k in range(60):
        x, other, right, noise = rng.normal(size=(4, *shape))
        noise = noise * 10.0 ** rng.integers(-4, 3)
        wrongs = [right + noise, right * (1 + noise), noise, right + np.abs(noise)]
        if x.size > 4:
            one = np.zeros(x.size)
            one[rng.integers(x.size)] = rng.normal()
            wrongs.append(right + one.reshape(shape))
        for actual in wrongs:
            wrong = np.abs(actual - right) > 1e-9
            assert (
                hint(
                    "mine",
                    actual,
                    right,
                    wrong,
                    x,
                    {"argument 1": other, "the gradient of argument 1": noise**2},
                    {5, k},
                )
                == ""
            )


def test_a_smooth_minimum_is_no_kink() -> None:
    wrong = primitive(lambda x: (x - 1) ** 2, lambda g, out, x: g * (2 * (x - 1) + 1))
    with pytest.raises(AssertionError, match="the rule should give zero here"):
        check_gradients(wrong, np.array([1.0]))
