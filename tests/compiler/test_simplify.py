"""Simplifications of programs: what each saves, and that results stay what they are."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.compiler.simplify.passes import PASSES
from tests.compiler.trainings import TRAININGS

rng = np.random.default_rng(0)


def calls(step: Callable[..., Any], *args: Any, **options: Any) -> list[str]:
    """List the lines of a program that call something."""
    compiled = ad.compile(step, **options)
    compiled(*args)
    body = compiled.source.partition("def step")[2]
    return [line.strip() for line in body.splitlines() if "np." in line and not line.strip().startswith("#")]


SQUARE = rng.normal(size=(40, 40))


@pytest.mark.parametrize(
    ("name", "step", "fewer"),
    [
        ("repeated", lambda x: np.exp(x) + np.exp(x), 1),
        ("constant", lambda x: x * (ad.grad(np.square)(np.float64(3.0)) - np.shape(x)[0]), 0),
        ("copies", lambda x: np.exp(x * 1.0), 1),
        ("copies", lambda x: np.tanh(np.copy(x)), 1),
        ("signs", lambda x: np.exp(x) + np.negative(x), 1),
        ("powers", lambda x: np.exp(x**4), -1),
        ("factors", lambda x: np.exp(-(x * 2) / 3 * 5), 3),
    ],
)
def test_a_simplification_makes_fewer_calls(name: str, step: Callable[..., Any], fewer: int) -> None:
    assert len(calls(step, SQUARE, without=[name])) - len(calls(step, SQUARE)) == fewer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "copied", [np.copy, lambda x: x * 1.0, lambda x: x**1, lambda x: x / 1, np.positive, lambda x: np.negative(-x)]
)
def test_exact_programs_keep_copies_of_arrays_with_gaps(copied: Any, dtype: Any) -> None:
    x, v = rng.normal(size=(33, 17)).astype(dtype), rng.normal(size=9).astype(dtype)

    def step(x: Any, v: Any) -> Any:
        return copied(x[:, ::2]) @ v

    np.testing.assert_array_equal(ad.compile(step, exact=True)(x, v), step(x, v))
    np.testing.assert_allclose(ad.compile(step)(x, v), step(x, v), rtol=1e-5, atol=1e-5)
    assert len(calls(lambda x: np.exp(copied(np.tanh(x))), x, exact=True)) == 2


def filled_with(x: Any) -> Any:
    rows = np.zeros_like(x[:, ::2]) * 2
    rows[...] = x[:, ::2]
    return rows @ x[0, ::2]


@pytest.mark.parametrize(
    "step",
    [
        lambda x: np.square(x > 0),
        lambda x: np.max(x, 0, None, True),
        lambda x: np.all(x > 0, 1, None, True),
        lambda x: np.sum(np.copy(np.tanh(x), order="F")),
        lambda x: np.copy(a=x),
        lambda x: np.mean(x, where=False),
        filled_with,
    ],
)
def test_exact_programs_keep_dtypes_options_and_the_order_of_sums(step: Callable[..., Any]) -> None:
    x = rng.normal(size=(33, 34)).astype(np.float32)
    with warnings.catch_warnings(action="ignore"):
        np.testing.assert_array_equal(ad.compile(step, exact=True)(x), step(x), strict=True)


def test_a_number_of_the_state_may_become_one_that_is_known() -> None:
    w = Tensor(np.float64(3))

    def step(x: Any) -> Any:
        w.data = np.zeros_like(w.data)
        return x * 2

    assert ad.compile(step, w)(1.5) == 3.0
    assert w.data == 0.0


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_update_may_be_broadcast_and_of_another_dtype(dtype: Any, backend: str) -> None:
    def make() -> tuple[Tensor, Callable[..., Any]]:
        w = Tensor(np.zeros((3, 4)))

        def step(x: Any, m: Any, rate: float) -> None:
            w.data = w.data - rate * (x @ (np.float64(0.3) * m))

        return w, step

    (w, step), (other, eager) = make(), make()
    compiled = ad.compile(step, w, backend=backend)
    x, m = rng.normal(size=(1, 5)).astype(dtype), rng.normal(size=(5, 4)).astype(dtype)
    for _ in range(2):
        compiled(x, m, 0.1)
        eager(x, m, 0.1)
    np.testing.assert_allclose(w.data, other.data, rtol=1e-14)


def test_an_array_of_one_number_is_that_number() -> None:
    step = ad.grad(lambda x: -np.exp(x).mean())
    assert calls(step, SQUARE) == ["np.exp(x, out=exp)", "d_x = np.multiply(c_0_000625, exp)"]
    assert "multiply(d_exp, exp)" in calls(step, SQUARE, without=["filled"])[1]


def test_variances_of_the_same_share_their_sums() -> None:
    lines = calls(lambda x: (np.var(x, axis=0), np.std(x, axis=0, ddof=1), x - x.mean(axis=0, keepdims=True)), SQUARE)
    assert len([line for line in lines if "np.dot(ones" in line]) == 2
    assert len([line for line in lines if "np.subtract" in line]) == 1


def test_reductions_are_said_by_ufuncs() -> None:
    (line,) = calls(lambda x: np.max(x, axis=1), SQUARE)
    assert "np.maximum.reduce(x, axis=1)" in line
    assert "np.max(" in calls(lambda x: np.max(x, axis=1), SQUARE, without=["lower"])[0]


def test_what_changes_rounding_is_left_out_of_exact_programs() -> None:
    def step(x: Any) -> Any:
        return np.tanh(np.add.reduce(np.exp(x), axis=0))

    assert any("np.dot(ones" in line for line in calls(step, SQUARE))
    assert not any("np.dot(ones" in line for line in calls(step, SQUARE, exact=True))
    assert not any("np.dot(ones" in line for line in calls(step, SQUARE, without=["sums_as_products"]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [1, 2, 0.5, -1, 3, 4, 2.5, -2])
def test_powers(exponent: float, dtype: Any) -> None:
    x = np.array([-np.inf, -3.5, -1.0, -0.0, 0.0, 1e-30, 0.7, 1.0, 2.5, np.inf, np.nan], dtype)
    for step in (lambda x: x**exponent, lambda x: np.power(x, exponent)):
        with np.errstate(all="ignore"):
            exact = ad.compile(step, exact=True, check=False)(x)
            np.testing.assert_array_equal(exact, step(x), strict=True)
            found = ad.compile(step, check=False)(x)
            np.testing.assert_allclose(found, step(x), rtol=4 * np.finfo(dtype).eps, strict=True)


def test_the_squared_error_is_as_by_hand() -> None:
    w = Tensor(np.ones(2))

    def descend(x: Any, t: Any, rate: float) -> Any:
        error, gradient = ad.value_and_grad(lambda w: ((x @ w - t) ** 2).mean())(w)
        w.data = w.data - rate * gradient
        return error

    lines = calls(descend, np.ones((3, 2)), np.zeros(3), 0.1, state=w)
    assert lines == [
        "np.dot(x, w, out=product)",
        "np.subtract(product, t, out=difference)",
        "total = np.vdot(difference, difference)",
        "np.multiply(factor, difference, out=scaled_d_difference)",
        "np.dot(x.T, scaled_d_difference, out=scaled_gradient)",
        "np.subtract(w, scaled_gradient, out=w)",
    ]


def descent(loss: Callable[..., Any], *weights: Any) -> Callable[..., Any]:
    def descend(rate: float, *args: Any) -> Any:
        value, gradients = ad.value_and_grad(lambda *ws: loss(*ws, *args), argnums=tuple(range(len(weights))))(*weights)
        for w, g in zip(weights, gradients):
            w.data = w.data - rate * g
        return value

    return descend


W, V = rng.normal(size=(40, 40)) / 10, rng.normal(size=(40, 40)) / 10


@pytest.mark.parametrize(
    ("network", "penalty", "multiplied"),
    [
        (lambda w, v, x: np.tanh(x @ w) @ v, None, 1),
        (lambda w, v, x: (h := x @ w) + np.tanh(h) @ v, None, 1),  # also after two gradients are added
        (lambda w, v, x: np.tanh(x @ w) @ v, lambda w: 0.1 * (w * w).sum(), 2),  # if both begin with a number
        (lambda w, v, x: np.tanh(x @ w) @ v, lambda w: np.exp(w).sum(), 2),  # but not if one does not: for each weight
    ],
)
def test_the_rate_is_multiplied_where_the_backward_pass_begins(
    network: Callable[..., Any], penalty: Any, multiplied: int
) -> None:
    def loss(w: Any, v: Any, x: Any) -> Any:
        found = nn.functional.cross_entropy(network(w, v, x), np.arange(40))
        return found + penalty(w) if penalty else found

    (w, v), (other_w, other_v) = (Tensor(W.copy()), Tensor(V.copy())), (Tensor(W), Tensor(V))
    ours, eager = ad.compile(descent(loss, w, v), (w, v)), descent(loss, other_w, other_v)
    for rate in (0.1, 0.01):
        assert ours(rate, SQUARE).item() == pytest.approx(eager(rate, SQUARE).item(), rel=1e-12)
    np.testing.assert_allclose(w.data, other_w.data, rtol=1e-10)
    np.testing.assert_allclose(v.data, other_v.data, rtol=1e-10)
    assert len(re.findall(r"multiply\((rate_|factor\w*),", ours.source)) == multiplied


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("one", "other"), [(1e-25, 1e-25), (1e30, 1e30), (1e-200, 1e-200), (1e300, 1e300)])
def test_numbers_are_not_multiplied_where_that_is_too_small_or_too_large(one: float, other: float, dtype: Any) -> None:
    x = np.array([0.0, 1.0, 1e30, np.inf], dtype)
    with np.errstate(all="ignore"):
        for step, args in ((lambda x: (x * one) * other, (x,)), (lambda x, s: (x * one) * s, (x, other))):
            found, wanted = ad.compile(step, check=False)(*args), step(*args)
            np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", PASSES)
def test_every_simplification_can_be_left_out(name: str) -> None:
    make, inputs, targets = TRAININGS["Adam, {}"]
    _, state, step = make()
    _, _, eager = make()
    compiled = ad.compile(step, state, without=[name])
    for _ in range(3):
        assert compiled(inputs, targets).item() == pytest.approx(eager(inputs, targets).item(), rel=1e-5)
