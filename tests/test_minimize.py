"""Full-batch methods: SciPy's results from the same problems, gradients and Hessian products that are exact."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import optim
from nn.optim import fullbatch

scipy_optimize = pytest.importorskip("scipy.optimize")

METHODS = (*fullbatch.WITH_GRADIENT, *fullbatch.WITH_HESSIAN_PRODUCT)
LIMITS = {method: {"maxfun" if method == "TNC" else "maxiter": 20} for method in METHODS}
every_method = pytest.mark.parametrize("method", METHODS)
second_order = pytest.mark.parametrize("method", fullbatch.WITH_HESSIAN_PRODUCT)
START = np.array([0.2, 1.0, 0.5, 0.8, -0.3])


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@every_method
def test_results_are_scipys_with_derivatives_by_hand(method: str) -> None:
    hessian = {"hessp": scipy_optimize.rosen_hess_prod} if method in fullbatch.WITH_HESSIAN_PRODUCT else {}
    wanted = scipy_optimize.minimize(
        scipy_optimize.rosen, START, jac=scipy_optimize.rosen_der, method=method, options=LIMITS[method], **hessian
    )
    x = ad.Tensor(START)
    found = optim.minimize(lambda: rosenbrock(x), [x], method=method, **LIMITS[method])
    assert (found.nit, found.nfev, found.get("nhev")) == (wanted.nit, wanted.nfev, wanted.get("nhev"))
    np.testing.assert_allclose(found.x, wanted.x, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(found.x, x.data)


@every_method
def test_parameters_of_every_shape_hold_the_minimum(method: str) -> None:
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(30, 6)), rng.normal(size=30)
    w, v, offset = nn.Parameter(np.zeros((2, 2))), nn.Parameter(np.zeros(1)), nn.Parameter(0.0)
    frozen = ad.Tensor([2.0], requires_grad=False)

    def loss() -> Any:
        prediction = A[:, :4] @ w.reshape(4) + A[:, 4:5] @ v + offset
        return ((prediction - frozen * b) ** 2).mean()

    w.grad = np.ones((2, 2))
    kept = w.grad
    result = optim.minimize(loss, [w, frozen, v, offset], method=method, **({} if method == "TNC" else {"tol": 1e-10}))
    wanted = np.linalg.lstsq(np.column_stack([A[:, :5], np.ones(30)]), 2 * b, rcond=None)[0]
    np.testing.assert_allclose(result.x, wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(np.concatenate([w.data.ravel(), v.data, [offset.data]]), result.x)
    assert (w.shape, v.shape, offset.shape) == ((2, 2), (1,), ())
    assert float(loss()) == pytest.approx(result.fun, rel=1e-12)
    assert w.grad is kept
    np.testing.assert_array_equal(kept, np.ones((2, 2)))
    assert v.grad is None
    np.testing.assert_array_equal(frozen.data, [2.0])


@every_method
def test_float32_stays_float32(method: str) -> None:
    model = nn.MLP([3, 8, 2], activation="tanh", rng=0)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, 40)
    dtypes: set[Any] = set()

    def loss() -> Any:
        dtypes.update(p.dtype for p in model.parameters())
        return nn.functional.cross_entropy(model(X), y) + 0.01 * sum((p * p).sum() for p in model.parameters())

    before = float(loss())
    result = optim.minimize(loss, model.parameters(), method=method, **LIMITS[method])
    assert dtypes == {np.dtype(np.float32)}
    assert result.x.dtype == np.float64
    assert result.fun < 0.9 * before
    np.testing.assert_allclose(float(loss()), result.fun, rtol=1e-6)


def test_gradients_and_hessian_products_are_those_of_the_transforms() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 2)), rng.normal(size=2), np.float64(0.3)]
    parameters = [ad.Tensor(value) for value in values]

    def f(W: Any, b: Any, c: Any) -> Any:
        return np.tanh(np.ones(3) @ W + b).sum() * c + c**3 + 2 * b.sum()

    objective = fullbatch._Objective(lambda: f(*parameters), parameters, second_order=True)
    x = np.concatenate([np.ravel(value) for value in values])
    value, gradient = objective.value_and_gradient(x)
    wanted, gradients = ad.value_and_grad(f, argnums=(0, 1, 2))(*values)
    assert value == float(wanted)
    np.testing.assert_allclose(gradient, np.concatenate([np.ravel(g) for g in gradients]), rtol=1e-14)
    v = rng.normal(size=x.shape)
    pieces = (v[:6].reshape(3, 2), v[6:8], np.float64(v[8]))
    products = ad.hvp(f, argnums=(0, 1, 2))(*values, pieces)
    expected = np.concatenate([np.ravel(p) for p in products])
    np.testing.assert_allclose(objective.hessian_product(x, v), expected, rtol=1e-13)
    np.testing.assert_allclose(objective.hessian_product(x, -2 * v), -2 * expected, rtol=1e-13)
    objective.value_and_gradient(x + 1)
    np.testing.assert_allclose(objective.hessian_product(x, v), expected, rtol=1e-13)


@second_order
def test_one_graph_serves_all_products_at_a_point(method: str) -> None:
    x = ad.Tensor(START)
    calls = []

    def loss() -> Any:
        calls.append(None)
        return rosenbrock(x)

    result = optim.minimize(loss, [x], method=method, maxiter=200)
    assert result.success
    assert result.nhev > 0
    assert len(calls) <= 2 * result.nfev
    np.testing.assert_allclose(x.data, 1, rtol=1e-4)


@second_order
def test_a_loss_without_curvature_in_some_parameters(method: str) -> None:
    x, y, unused = ad.Tensor(3.0), ad.Tensor([0.0]), ad.Tensor([5.0, 6.0])
    result = optim.minimize(lambda: (x - 1) ** 2 + 0.0 * y.sum(), [x, y, unused], method=method)
    assert float(x) == pytest.approx(1.0)
    np.testing.assert_array_equal(result.x[1:], [0, 5, 6])


def test_options_reach_scipy() -> None:
    x = ad.Tensor(START)
    seen: list[Any] = []
    result = optim.minimize(
        lambda: rosenbrock(x), [x], bounds=[(-2, 0.5)] * 5, callback=lambda xk: seen.append(xk.copy()), maxiter=3
    )
    assert result.nit == len(seen) == 3
    assert x.data.max() <= 0.5


def test_it_runs_where_recording_is_off() -> None:
    x = ad.Tensor(START)
    with ad.no_grad():
        assert optim.minimize(lambda: rosenbrock(x), [x], method="trust-ncg").success


# Bad input


@every_method
@pytest.mark.parametrize("calls", [1, 4])
def test_where_the_closure_raises_the_parameters_are_as_before(method: str, calls: int) -> None:
    x, y = ad.Tensor(START), ad.Tensor(2.0)
    arrays = x.data, y.data
    left = [calls]

    def loss() -> Any:
        left[0] -= 1
        if not left[0]:
            raise ZeroDivisionError("the data is gone")
        return rosenbrock(x) + y * y

    with pytest.raises(ZeroDivisionError, match="the data is gone"):
        optim.minimize(loss, [x, y], method=method)
    assert x.data is arrays[0]
    assert y.data is arrays[1]
    np.testing.assert_array_equal(x.data, START)


X = ad.Tensor([1.0, 2.0])
OTHER = ad.Tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optim.minimize(X.sum(), [X]), TypeError, "minimize: the closure must be a function"),
        (lambda: optim.minimize(lambda: X * X, [X]), ValueError, "minimize: the loss must be a scalar, got shape (2,)"),
        (lambda: optim.minimize(lambda: 1.0, [X]), TypeError, "minimize: the closure must return the loss, a scalar"),
        (
            lambda: optim.minimize(lambda: X.detach().sum(), [X]),
            ValueError,
            "minimize: the loss does not depend on the parameters",
        ),
        (
            lambda: optim.minimize(lambda: ad.Tensor(3.0) * 2, [X], method="Newton-CG"),
            ValueError,
            "minimize: the loss does not depend on the parameters",
        ),
        (
            lambda: optim.minimize(lambda: (OTHER * OTHER).sum(), [X]),
            ValueError,
            "minimize: the loss does not depend on the parameters",
        ),
        (
            lambda: optim.minimize(lambda: ad.Tensor(3.0), [X]),
            ValueError,
            "minimize: the loss does not depend on the parameters",
        ),
        (lambda: optim.minimize(lambda: X.sum(), []), ValueError, "minimize: there are no parameters; has"),
        (lambda: optim.minimize(lambda: X.sum(), [X, X]), ValueError, "minimize: a parameter is listed twice"),
        (lambda: optim.minimize(lambda: X.sum(), [1.0]), TypeError, "minimize: a parameter must be a Tensor"),
        (
            lambda: optim.minimize(lambda: X.sum(), [X], method="Nelder-Mead"),
            ValueError,
            "minimize: unknown method 'Nelder-Mead'; known: BFGS, CG, L-BFGS-B, SLSQP, TNC, Newton-CG, trust-krylov",
        ),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()
    np.testing.assert_array_equal(X.data, [1, 2])


def test_without_scipy_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def importing(name: str, *args: Any) -> Any:
        if name.startswith("scipy"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ImportError, match=re.escape('minimize needs SciPy: pip install -e ".[special]"')):
        optim.minimize(lambda: X.sum(), [X])
