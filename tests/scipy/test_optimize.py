"""Roots and fixed points: derivatives by all that they depend on, in every transform, and refusals."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor

so = pytest.importorskip("scipy.optimize")

from autodiff.scipy import optimize  # noqa: E402

RNG = np.random.default_rng(0)
W, B, BATCH = 0.4 * RNG.normal(size=(2, 2)), RNG.normal(size=2), RNG.normal(size=(3, 2))
root = functools.partial(optimize.root, x0=np.zeros(2), tol=1e-13)


def layer(x: Any, p: Any) -> Any:
    return x - np.tanh(p["W"] @ x + p["b"][0])


def of_root(W: Any, b: Any, method: str = "hybr") -> Any:
    return root(layer, args=({"W": W, "b": [b, "a word"]},), method=method).x


def of_fixed_point(W: Any, b: Any, method: str = "iteration") -> Any:
    return optimize.fixed_point(lambda x, W, b: np.tanh(W @ x + b), np.zeros(2), (W, b), 1e-14, method=method)


def loss(W: Any, b: Any) -> Any:
    return np.square(of_root(W, b)).sum()


@pytest.mark.parametrize("method", ["hybr", "lm", "krylov", "fixed point"])
def test_first_and_second_derivatives(method: str) -> None:
    function = of_fixed_point if method == "fixed point" else functools.partial(of_root, method=method)
    ad.testing.check_gradients(function, W, B, order=2)


def test_tensors_from_outside_count_too_to_second_order() -> None:
    w, b = Tensor(W), Tensor(B)
    x = root(lambda x, b: x - np.tanh(w @ x + b), args=b).x
    np.square(x).sum().backward(create_graph=True)
    gradient = w.grad
    wanted = ad.grad(loss, (0, 1))(W, B)
    np.testing.assert_allclose(gradient.data, wanted[0], rtol=1e-9)
    np.testing.assert_allclose(b.grad.data, wanted[1], rtol=1e-9)
    w.grad = None
    (gradient * W).sum().backward()
    np.testing.assert_allclose(w.grad, ad.hvp(loss)(W, B, W), rtol=1e-9)


def test_every_transform() -> None:
    rows = ad.jacobian(of_root, 1)(W, B)
    np.testing.assert_allclose(ad.jvp(of_root, (W, B), (0 * W, B))[1], rows @ B, rtol=1e-9)
    hessian = ad.hessian(loss, 1)(W, B)
    np.testing.assert_allclose(hessian, [ad.hvp(loss, 1)(W, B, e) for e in np.eye(2)], rtol=1e-9)
    np.testing.assert_allclose(ad.vmap(lambda b: of_root(W, b))(BATCH), [of_root(W, b) for b in BATCH], rtol=1e-9)
    found = ad.vmap(ad.hessian(loss, 1), in_axes=(None, 0))(W, BATCH)
    np.testing.assert_allclose(found, [ad.hessian(loss, 1)(W, b) for b in BATCH], rtol=1e-9)
    w = Tensor(W)
    ad.vmap(lambda b: np.square(root(lambda x, b: x - np.tanh(w @ x + b), args=(b,)).x).sum())(BATCH).sum().backward()
    np.testing.assert_allclose(w.grad, sum(ad.grad(loss)(W, b) for b in BATCH), rtol=1e-9)
    with ad.no_grad():
        x = of_root(w, B)
    assert isinstance(x, Tensor)
    assert not x.requires_grad
    gradient = ad.compile(ad.grad(loss, (0, 1)))
    for b in (*BATCH, B):
        for one, other in zip(gradient(W, b), ad.grad(loss, (0, 1))(W, b), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_complex_numbers() -> None:
    a = np.array([1 + 2j, -0.5j])
    ad.testing.check_gradients(lambda a: root(lambda x: x + x**3 - np.absolute(a) ** 2).x, a, order=2)

    def of_conjugate(a: Any) -> Any:
        return optimize.fixed_point(lambda x, a: 0.1 * np.cos(np.conj(x)) + a, np.zeros(2) + 0j, (a,), 1e-13)

    ad.testing.check_gradients(of_conjugate, a, order=2)


def test_without_tensors_results_are_scipys() -> None:
    ours, theirs = (
        root(layer, args=({"W": W, "b": [B]},)),
        so.root(layer, np.zeros(2), ({"W": W, "b": [B]},), tol=1e-13),
    )
    assert ours.keys() == theirs.keys()
    assert ours.nfev == theirs.nfev
    np.testing.assert_array_equal(ours.x, theirs.x)


def test_a_jacobian_is_the_users_or_the_exact_one() -> None:
    calls = []

    def slope(x: Any, a: Any) -> Any:
        calls.append(a)
        return np.diag(2 * x)

    a = Tensor([4.0, 9.0])
    results = [optimize.root(lambda x, a: x * x - a, [1.0, 2.0], (a,), jac=jac) for jac in (None, slope)]
    results.append(optimize.root(lambda x, a: (x * x - a, np.diag(2 * x)), [1.0, 2.0], (a,), jac=True))
    assert calls
    assert all(isinstance(a, np.ndarray) for a in calls)
    for result in results:
        assert result.njev >= 1
        np.testing.assert_allclose(result.x.data, [2, 3])


def test_a_loop_variable_that_has_gone_on_is_noticed() -> None:
    a = Tensor(1.0)
    roots = [optimize.root(lambda x, a: k * x - a, 1.0, a).x for k in (1.0, 2.0)]  # noqa: B023
    with pytest.raises(RuntimeError, match=r"^root\(<lambda>\): the function gave another result in the backward pass"):
        sum(roots).backward()


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (lambda x, a: x * x + a, {}, np.linalg.LinAlgError, "singular at what SciPy found; SciPy says: The iteration"),
        (lambda x, a: x**3 * a, {"x0": 0.0}, np.linalg.LinAlgError, "the Jacobian is singular"),
        (lambda x, a: np.exp(x) + a, {"options": {"maxfev": 3}}, RuntimeError, "is no root, but .* away from one"),
        (
            lambda x, a: np.stack([x[0] - a, x[0] - 2 * a]),
            {"method": "lm"},
            ValueError,
            "there are 2 equations for 1 unknowns",
        ),
    ],
    ids=["no root", "singular", "too few calls", "least squares"],
)
def test_what_is_no_root_has_no_derivative(function: Any, options: Any, error: type[Exception], message: str) -> None:
    result = optimize.root(function, **{"x0": 1.0, "args": Tensor(1.0), **options})
    assert isinstance(result.x, Tensor)
    with pytest.raises(error, match=r"^root\(<lambda>\) has no derivative: .*" + message):
        result.x.sum().backward()


def test_refusals() -> None:
    with pytest.raises(RuntimeError, match="Failed to converge after 500 iterations"):
        optimize.fixed_point(lambda x, a: x + a, 1.0, (Tensor(1.0),))
    with pytest.raises(TypeError, match="fixed_point: the first argument must be a function, got 3"):
        optimize.fixed_point(3, 1.0)
    for transformed in (ad.vmap, ad.compile):
        with pytest.raises(TypeError, match=r"root\(<lambda>\): SciPy calls the function with arrays, and it uses a"):
            transformed(lambda b: root(lambda x: x - b).x)(BATCH)
    with pytest.raises(RuntimeError, match="is no root"):
        ad.compile(ad.grad(lambda a: optimize.root(lambda x, a: x * x - a, 1.0, (a,)).x.sum()))(np.array(-2.0))
