"""Differential equations: derivatives by all that a solution depends on, in every transform, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor

si = pytest.importorskip("scipy.integrate")

from autodiff.scipy.integrate import odeint  # noqa: E402

EXACT = {"rtol": 1e-11, "atol": 1e-11}
W, START, TIMES = np.array([[-0.2, 1.0], [-1.0, -0.1]]), np.array([1.0, 0.5]), np.array([0.0, 0.7, 1.0])


def network(y: Any, t: Any, p: Any) -> Any:
    return np.tanh(p["W"] @ y) + p["b"][0] * t


def solution(W: Any, b: Any, y0: Any, t: Any = TIMES) -> Any:
    return odeint(network, y0, t, ({"W": W, "b": (b,)},), **EXACT)


def loss(W: Any, b: Any, y0: Any) -> Any:
    return np.square(solution(W, b, y0)).sum()


def growth(y: Any, t: Any, a: Any) -> Any:
    return [a * y[0]]


def test_derivatives_are_those_of_the_exponential_function_to_third_order() -> None:
    def end(y0: Any, a: Any, start: Any, stop: Any) -> Any:
        return odeint(growth, y0, np.stack([start, stop]), (a,), **EXACT)[-1, 0]

    def formula(y0: Any, a: Any, start: Any, stop: Any) -> Any:
        return y0 * np.exp(a * (stop - start))

    point = (1.5, -0.6, 0.3, 1.1)
    ours, theirs = end, formula
    for argnum in (1, 3, 1):
        ours, theirs = ad.grad(ours, argnum), ad.grad(theirs, argnum)
        np.testing.assert_allclose(ours(*point), theirs(*point), rtol=1e-8)
    first = ad.grad(end, (0, 1, 2, 3))(*point)
    np.testing.assert_allclose(first, ad.grad(formula, (0, 1, 2, 3))(*point), rtol=1e-9)
    mixed = ad.grad(ad.grad(end, 2), 0)(*point)
    np.testing.assert_allclose(mixed, ad.grad(ad.grad(formula, 2), 0)(*point), rtol=1e-8)


def test_gradients_by_containers_are_central_differences() -> None:
    ad.testing.check_gradients(solution, W, np.array([0.3, -0.2]), START, TIMES)
    ad.testing.check_gradients(ad.grad(loss, (0, 2)), W, 0.3, START, argnums=0, directions=1)


@pytest.mark.parametrize(
    ("function", "y0", "t", "a"),
    [
        (lambda y, t, a: -a * (y - np.cos(t)), [0.0], [0.0, 0.05], [1000.0]),
        (lambda y, t, a: np.stack([y[1], a[0] * (1 - y[0] ** 2) * y[1] - y[0]]), [2.0, 0.0], [0.0, 1.0, 2.5], [5.0]),
        (
            lambda y, t, a: np.stack([a[0] * (y[1] - y[0]), y[0] * (a[1] - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]]),
            [1.0, 1.0, 1.0],
            [0.0, 0.5, 1.0],
            [10.0, 28.0],
        ),
    ],
    ids=["stiff", "van der Pol", "Lorenz"],
)
def test_where_a_solution_runs_off_backward(function: Any, y0: Any, t: Any, a: Any) -> None:
    def end(y0: Any, a: Any, **options: Any) -> Any:
        return np.square(odeint(function, y0, t, (a,), **options)[-1]).sum()

    for argnum, x in enumerate((y0, a)):
        found, x = ad.grad(end, argnum)(np.array(y0), np.array(a)), np.array(x)
        for k, step in enumerate(1e-5 * np.diag(np.maximum(1, x))):
            low, high = (
                end(*(x + s if place == argnum else np.array((y0, a)[place]) for place in (0, 1)), **EXACT)
                for s in (-step, step)
            )
            np.testing.assert_allclose(found[k], (high - low) / 2 / step[k], rtol=5e-5, atol=1e-7)


def test_tensors_from_outside_count_too_to_second_order() -> None:
    w = Tensor(W)
    ys = odeint(lambda y, t: np.tanh(w @ y) + 0.3 * t, START, TIMES, **EXACT)
    np.square(ys).sum().backward(create_graph=True)
    gradient = w.grad
    np.testing.assert_allclose(gradient.data, ad.grad(loss)(W, 0.3, START), rtol=1e-9)
    w.grad = None
    (gradient * W).sum().backward()
    np.testing.assert_allclose(w.grad, ad.hvp(loss)(W, 0.3, START, W), rtol=1e-8)


def test_every_transform() -> None:
    gradients = ad.grad(loss, (0, 2))(W, 0.3, START)
    slope = ad.jvp(loss, (W, 0.3, START), (W, 0.0, START))[1]
    np.testing.assert_allclose(slope, (gradients[0] * W).sum() + gradients[1] @ START, rtol=1e-7)
    rows = ad.jacobian(solution, 2)(W, 0.3, START)
    np.testing.assert_allclose(np.tensordot(2 * solution(W, 0.3, START), rows), gradients[1], rtol=1e-7)
    batch = np.stack([START, 2 * START])
    w = Tensor(W)
    ad.vmap(lambda y0: np.square(odeint(lambda y, t: np.tanh(w @ y) + 0.3 * t, y0, TIMES, **EXACT)).sum())(
        batch
    ).sum().backward()
    found = ad.vmap(ad.grad(loss), in_axes=(None, None, 0))(W, 0.3, batch)
    np.testing.assert_allclose(found, [ad.grad(loss)(W, 0.3, y0) for y0 in batch], rtol=1e-9)
    np.testing.assert_allclose(w.grad, found.sum(axis=0), rtol=1e-9)
    found = ad.vmap(ad.grad(loss, 2), in_axes=(None, 0, None))(W, np.array([0.3, 0.5]), START)
    np.testing.assert_allclose(found, [ad.grad(loss, 2)(W, b, START) for b in (0.3, 0.5)], rtol=1e-9)
    gradient = ad.compile(ad.grad(loss))
    for y0 in (*batch, 3 * START):
        np.testing.assert_allclose(gradient(W, 0.3, y0), ad.grad(loss)(W, 0.3, y0), rtol=1e-9)


@pytest.mark.parametrize(
    ("y0", "t", "expected"),
    [
        (1.0, [0.0, 1.0, 1.0, 2.0], np.exp([0, 0.3, 0.3, 0.6])),
        ([1.0], [0.0, -1.0, -2.0], np.exp([0, -0.3, -0.6])),
        (np.ones(1, np.float32), np.arange(3), np.exp([0, 0.3, 0.6])),
        (1, [2.0], [1]),
    ],
    ids=["repeated", "backward", "integers", "one time"],
)
def test_times(y0: Any, t: Any, expected: Any) -> None:
    start = np.asarray(y0, getattr(y0, "dtype", float))
    gradient = ad.grad(lambda y0: odeint(growth, y0, t, (0.3,)).sum())(start)
    np.testing.assert_allclose(gradient, np.sum(expected) * np.ones_like(start), rtol=1e-6)
    assert gradient.dtype == start.dtype


def test_a_small_gradient_is_as_exact_as_a_large_one() -> None:
    gradient = ad.grad(lambda a: 1e-12 * odeint(growth, 1.0, [0.0, 1.0], (a,))[-1, 0])(-1.0)
    np.testing.assert_allclose(gradient, 1e-12 * np.exp(-1), rtol=1e-6)
    for tolerances in ({"rtol": 1e-8, "atol": 0.0}, {"rtol": 0.0, "atol": [1e-18]}):
        gradient = ad.grad(lambda a, o=tolerances: odeint(growth, 1e-10, [0.0, 1.0], (a,), **o)[-1, 0])(-1.0)
        np.testing.assert_allclose(gradient, 1e-10 * np.exp(-1), rtol=1e-6)


def test_options_and_results_are_scipys() -> None:
    def right_side(t: Any, y: Any, a: Any) -> Any:
        return [a * y[0]]

    def slope(t: Any, y: Any, a: Any) -> Any:
        return [[a]]

    options = {"tfirst": True, "full_output": True, "atol": [1e-9], "mxordn": 4}
    wanted, _ = si.odeint(right_side, 1.0, [0.0, 1.0], (0.3,), slope, **options)
    for a in (0.3, Tensor(0.3)):
        found, details = odeint(right_side, 1.0, [0.0, 1.0], (a,), slope, **options)
        np.testing.assert_array_equal(getattr(found, "data", found), wanted)
        assert details["message"] == "Integration successful."
    found[-1].sum().backward()
    np.testing.assert_allclose(a.grad, np.exp(0.3), rtol=1e-6)
    with ad.no_grad():
        assert not odeint(growth, 1.0, [0.0, 1.0], (a,)).requires_grad


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda y, t, a: a * y * y, "the integration failed; SciPy says: Excess work"),
        (lambda y, t, a: a * np.log(y - t), "is not finite"),
    ],
    ids=["grows without bounds", "is not defined"],
)
def test_a_failure_has_no_derivative(function: Any, message: str) -> None:
    a = Tensor(1.0)
    if "Excess" in message:
        with pytest.warns(si.ODEintWarning, match="Excess work done on this call"):
            ys = odeint(function, 1.0, [0.0, 2.0], (a,))
    else:
        ys = odeint(function, 1.0, [0.0, 2.0], (a,))
    with pytest.raises(RuntimeError, match=r"^odeint\(<lambda>\) has no derivative: .*" + message):
        ys.sum().backward()


def test_refusals() -> None:
    a = Tensor(1.0)
    with pytest.raises(TypeError, match=r"odeint: args must be a tuple, got Tensor: write args=\(a,\)"):
        odeint(growth, 1.0, [0.0, 1.0], a)
    with pytest.raises(ValueError, match="monotonically"):
        odeint(growth, 1.0, [0.0, 1.0, 0.5], (a,))
    with pytest.raises(TypeError, match="there is none by complex numbers"):
        odeint(lambda y, t, z: -np.absolute(z) * y, 1.0, [0.0, 1.0], (Tensor(1j),)).sum().backward()
    ends = [odeint(lambda y, t, a: -k * a * y, 1.0, [0.0, 1.0], (a,)).sum() for k in (1.0, 2.0)]  # noqa: B023
    with pytest.raises(RuntimeError, match="the function gave another result in the backward pass"):
        sum(ends).backward()
    with pytest.raises(TypeError, match="it uses a Recorded that it is not given: pass it in args="):
        ad.compile(lambda b: odeint(lambda y, t: -b * y, 1.0, [0.0, 1.0]))(np.ones(1))
    with pytest.raises(RuntimeError, match="it does not come back to where it was: give more times, or do not compile"):
        ad.compile(ad.grad(lambda a: odeint(growth, 1.0, [0.0, 1.0], (a,)).sum()))(np.array(-100.0))
