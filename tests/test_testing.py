"""The gradient checker: it passes what is right, catches what is wrong, and says what differs where."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.testing import assert_gradients_match, by_hand, by_torch, check_gradients, numerical_gradient

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
    slope = numerical_gradient(lambda x, y: x * y**2, x, y, argnum=argnum)
    np.testing.assert_allclose(slope, expected, rtol=1e-9)
    np.testing.assert_array_equal(x, [1, 2])
    np.testing.assert_array_equal(y, [3, 4])


def test_numerical_gradient_takes_tensors_and_a_step() -> None:
    assert numerical_gradient(lambda x: x**2, Tensor(3.0)) == pytest.approx(6)
    assert numerical_gradient(lambda x: x**3, 1.0, step=0.5) == pytest.approx(3 + 0.25)  # the formula's own error, h²
    single = numerical_gradient(np.tanh, np.float32(0.5))
    assert single.dtype == np.float64
    assert single == pytest.approx(1 - np.tanh(0.5) ** 2, rel=1e-3)


@pytest.mark.parametrize("bad", [np.arange(3), np.array([True]), "abc", np.ones(2) * 1j])
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
