"""Long sums of float32 and float16: they keep the digits that NumPy loses where it adds one element after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.arrays.sums import total
from autodiff.core.record import constant, data_of

ROWS = 200_001
RNG = np.random.default_rng(0)
X = RNG.random((ROWS, 3), dtype=np.float32) + np.float32(0.5)
MASK = RNG.random(X.shape) < 0.5
GAPS = np.where(MASK, X, np.nan).astype(np.float32)
PEAK = X**8  # of large variance


def error(actual: Any, exact: Any) -> float:
    """Give the largest relative error of an array of float32."""
    actual = data_of(actual)
    assert actual.dtype == np.float32
    assert actual.shape == exact.shape
    return float(np.max(np.abs(actual - exact) / np.abs(exact)))


@pytest.mark.parametrize(
    ("reduce", "x"),
    [
        pytest.param(lambda x: np.sum(x, axis=0), X, id="sum"),
        pytest.param(lambda x: x.sum(axis=0), X, id="sum, method"),
        pytest.param(lambda x: np.sum(x, axis=-2, keepdims=True), X, id="sum, keepdims"),
        pytest.param(lambda x: np.sum(x, axis=0, where=MASK, initial=1.0), X, id="sum, where and initial"),
        pytest.param(lambda x: np.sum(x), X[:, :2], id="sum of a slice"),
        pytest.param(lambda x: np.sum(x, axis=0), X[::-2], id="sum of every other row, from the end"),
        pytest.param(lambda x: np.sum(x, axis=1), np.asfortranarray(X.T), id="sum, columns in memory"),
        pytest.param(lambda x: np.sum(x, axis=(0, 2)), X[:200_000].reshape(-1, 3, 20), id="sum, two axes"),
        pytest.param(lambda x: np.sum(x, axis=1), X[:200_000].reshape(2, -1, 3), id="sum, the axis in the middle"),
        pytest.param(
            lambda x: np.sum(x, axis=(0, 1)), X[:200_000].reshape(500, 400, 3).swapaxes(0, 1), id="sum, swapped axes"
        ),
        pytest.param(lambda x: np.sum(x, axis=0), np.broadcast_to(np.float32(0.1), X.shape), id="sum, broadcast"),
        pytest.param(lambda x: np.add.reduce(x), X, id="add.reduce"),
        pytest.param(lambda x: np.mean(x, axis=0), X, id="mean"),
        pytest.param(lambda x: np.mean(x, axis=0, where=MASK), X, id="mean, where"),
        pytest.param(lambda x: np.average(x, axis=0), X, id="average"),
        pytest.param(lambda x: np.average(x, 0, X), X, id="average, weights"),
        pytest.param(lambda x: np.var(x, axis=0, ddof=1), PEAK, id="var"),
        pytest.param(lambda x: x.std(axis=0, keepdims=True), PEAK, id="std"),
        pytest.param(lambda x: np.nansum(x, axis=0), GAPS, id="nansum"),
        pytest.param(lambda x: np.nanmean(x, axis=0), GAPS, id="nanmean"),
    ],
)
def test_a_long_reduction_keeps_its_digits(reduce: Callable[[Any], Any], x: Any) -> None:
    exact = reduce(x.astype(np.float64))
    assert error(reduce(constant(x)), exact) < 5e-7


@pytest.mark.parametrize(
    ("function", "start"),
    [
        pytest.param(lambda b: (b + X) * X, np.zeros(3), id="bias"),
        pytest.param(lambda b: (b + X).mean(axis=1) + 0 * X.sum(1), np.zeros(3), id="bias, broadcast gradient"),
        pytest.param(lambda b: np.tile(b, (ROWS, 1)) * X, np.ones(3), id="tile"),
        pytest.param(lambda b: np.repeat(b, ROWS, axis=0) * X, np.ones((1, 3)), id="repeat"),
        pytest.param(lambda b: np.broadcast_to(b, X.shape) * X, np.ones(3), id="broadcast_to"),
        pytest.param(lambda b: np.resize(b, X.shape) * X, np.ones(3), id="resize"),
        pytest.param(lambda b: np.meshgrid(b, np.zeros(ROWS, np.float32))[0] * X, np.ones(3), id="meshgrid"),
        pytest.param(lambda b: np.where(MASK, b, X) * X, np.ones(3), id="where"),
        pytest.param(lambda b: b[np.zeros(ROWS, int)] * X, np.ones((1, 3)), id="an index again and again"),
        pytest.param(lambda b: b[np.zeros(ROWS, int), np.ones(ROWS, int)], np.ones((1, 2)), id="two indices"),
        pytest.param(lambda b: np.take(b, np.zeros(ROWS, int)) * X[:, 0], np.ones(1), id="take"),
        pytest.param(lambda b: np.take_along_axis(b, np.zeros(ROWS, int), 0) * X[:, 0], np.ones(1), id="along an axis"),
        pytest.param(lambda b: b.at[np.zeros(ROWS, int)].add(X[:, 0]) * b, np.ones(1), id="values added at one index"),
        pytest.param(lambda b: nn.functional.linear(X, np.eye(3, dtype=np.float32), b) * X, np.zeros(3), id="linear"),
        pytest.param(lambda b: nn.functional.embedding(np.zeros(ROWS, int), b) * X, np.ones((1, 3)), id="embedding"),
    ],
)
def test_a_gradient_of_many_rows_keeps_its_digits(function: Callable[[Any], Any], start: Any) -> None:
    def gradient(dtype: Any) -> Any:
        b = Tensor(start.astype(dtype))
        np.sum(function(b)).backward()
        return b.grad

    exact = gradient(np.float64)  # in which the float32 constants are promoted
    actual = gradient(np.float32)
    nonzero = exact != 0
    assert error(actual[nonzero], exact[nonzero]) < 1e-6


def test_a_bias_over_rows_that_nearly_cancel() -> None:
    weights = RNG.standard_normal((1_000_000, 3), dtype=np.float32)
    b = Tensor(np.zeros(3, np.float32))
    ((X[:1] + b) * weights).sum().backward()
    exact = weights.sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(b.grad, exact, atol=2e-7 * np.abs(weights).sum(axis=0).max())
    np.testing.assert_allclose(b.grad, exact, rtol=1e-4)


def test_float16_goes_beyond_2048() -> None:
    x = Tensor(np.ones((5000, 2), np.float16))
    np.testing.assert_array_equal(x.sum(axis=0).data, np.full(2, 5000, np.float16))
    np.testing.assert_array_equal((x * 40).mean(axis=0).data, np.full(2, 40, np.float16))  # the sum is infinite
    b = Tensor(np.zeros(2, np.float16))
    (x + b).sum(axis=0).backward(np.ones(2, np.float16))
    np.testing.assert_array_equal(b.grad, np.full(2, 5000, np.float16))


def test_sums_of_few_elements_or_of_neighbours_are_numpys_to_the_last_bit() -> None:
    for x, axis in ((X[:1000], 0), (X, 1), (X, None), (X[:, 0].copy(), 0), (X.astype(np.float64), 0)):
        np.testing.assert_array_equal(Tensor(x).sum(axis=axis).data, np.sum(x, axis=axis))
        np.testing.assert_array_equal(Tensor(x).mean(axis=axis).data, np.mean(x, axis=axis))
        np.testing.assert_array_equal(Tensor(x).var(axis=axis).data, np.var(x, axis=axis))


def test_what_is_not_finite_stays_so() -> None:
    x = X.copy()
    x[-1], x[5, 0], x[7, 1] = (1, 2, 3), np.inf, np.nan
    np.testing.assert_array_equal(np.isfinite(total(x, 0)), [False, False, True])
    assert (total(x, 0)[0], np.isnan(total(x, 0)[1])) == (np.inf, True)


def test_an_axis_that_is_not_there_is_refused_as_by_numpy() -> None:
    for axis in (2, -3, (0, 2)):
        with pytest.raises(np.exceptions.AxisError):
            Tensor(X).sum(axis=axis)


@pytest.mark.parametrize("reduce", [np.sum, np.mean, np.var, np.std, np.nansum, np.nanmean])
@pytest.mark.parametrize("axis", [(0, 0), (0, -2)])
def test_an_axis_that_is_named_twice_is_refused_as_by_numpy(reduce: Callable[..., Any], axis: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="duplicate value in 'axis'"):
        reduce(Tensor(X), axis=axis)


def test_of_higher_order() -> None:
    b = np.ones(3, np.float32)
    slope = ad.grad(lambda b: np.sum((b * X) ** 2))
    assert error(ad.grad(lambda b: np.sum(slope(b)))(b), 2 * (X.astype(np.float64) ** 2).sum(axis=0)) < 1e-6
    _, tangent = ad.jvp(lambda x: np.mean(x, axis=0), (X,), (X,))
    assert error(tangent, X.mean(axis=0, dtype=np.float64)) < 3e-7


@pytest.mark.parametrize(("backend", "exact"), [("numpy", True), ("numpy", False), ("numba", False)])
def test_compiled(backend: Any, exact: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.BatchNorm1d(3))

    def step(x: Any) -> Any:
        loss = np.sum(model(x) * x) if backend == "numpy" else 0.0  # which takes long to compile, and is not looked at
        gradients = ad.grad(lambda b: ((x + b) * x).sum())(np.zeros(3, np.float32))
        return loss, gradients, np.sum(Tensor(x), axis=0), np.var(Tensor(x), axis=0)

    eager = step(X)
    compiled = ad.compile(step, backend=backend, exact=exact, state=model)
    for results in (compiled(X), compiled(X)):
        assert error(results[1], (X.astype(np.float64)).sum(axis=0)) < 3e-7
        assert error(results[2], (X.astype(np.float64)).sum(axis=0)) < 3e-7
        assert error(results[3], X.astype(np.float64).var(axis=0)) < 1e-6
    if exact:
        for result, same in zip(compiled(X), eager):
            np.testing.assert_array_equal(data_of(result), data_of(same))


def test_batch_norm_of_many_rows() -> None:
    norm = nn.BatchNorm1d(3, momentum=1.0)
    norm(PEAK)
    assert error(norm.running_mean, PEAK.mean(axis=0, dtype=np.float64)) < 3e-7
    assert error(norm.running_var, PEAK.astype(np.float64).var(axis=0, ddof=1)) < 1e-6
