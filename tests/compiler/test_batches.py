"""Compiled steps of `vmap`: what they record is NumPy on the arrays of all members."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.core.record import data_of
from autodiff.transforms.containers import walk
from tests.compiler.test_names import lines
from tests.compiler.test_readable import assert_nothing_is_left_out

RNG = np.random.default_rng(0)
W, X, Y, V = RNG.normal(size=(3, 4)), RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4)), RNG.normal(size=3)


def loss(W: Any, x: Any, y: Any) -> Any:
    return np.square(np.tanh(x @ W) - y).sum()


def mixed(x: Any, v: Any) -> Any:
    """Calls in which an array of a batch stands after one that is the same for each member."""
    picked = np.stack([v, x, v]) + np.where(v > 0, x, v)
    return v * x - np.multiply(v, x) + v / x, np.concatenate([v, x]), picked, np.maximum(v, x), v @ x


STEPS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "shared first": (ad.vmap(mixed, in_axes=(0, None)), (X, V)),
    "axes": (ad.vmap(lambda x: np.outer(x, x) * 2, in_axes=1, out_axes=-1), (X.T,)),
    "in turn": (ad.vmap(lambda x: np.linalg.eigvalsh(np.outer(x, x) + np.eye(3))), (X,)),
    "containers": (
        ad.vmap(lambda p: {"sum": p["w"] @ p["x"], "same": 1.0}, in_axes=({"w": None, "x": 0},)),
        ({"w": W.T, "x": X},),
    ),
    "per example": (ad.vmap(ad.grad(loss), in_axes=(None, 0, 0)), (W, X, Y)),
    "in total": (ad.grad(lambda W, X, Y: ad.vmap(loss, (None, 0, 0))(W, X, Y).mean()), (W, X, Y)),
    "nested": (ad.vmap(ad.vmap(lambda x, y: x * y, in_axes=(None, 0)), in_axes=(0, None)), (X, Y[:, 0])),
    "Jacobian": (ad.jacobian(lambda x: np.tanh(x @ W)), (V,)),
    "Jacobian by columns": (ad.jacobian(lambda x: np.outer(x, np.tanh(x))), (V,)),
    "Jacobian by pushing": (ad.jacobian(lambda x: np.exp(x @ W) * np.sin(x @ W) / (1 + np.cumsum(x @ W) ** 2)), (V,)),
    "Hessian": (ad.hessian(lambda x: (np.tanh(x @ W) ** 2).sum()), (V,)),
    "Hessians": (ad.vmap(ad.hessian(lambda x: (x[1:] * x[:-1] ** 2).sum())), (X,)),
    "Jacobian of a batch": (ad.jacobian(ad.vmap(lambda x: np.sin(x).sum())), (X,)),
    "forward": (ad.vmap(lambda x, t: ad.jvp(np.tanh, (x,), (t,))), (X, X[::-1].copy())),
    "chunks": (ad.vmap(lambda x: np.tanh(x).sum(), chunk_size=2), (X,)),
    "an ensemble": (ad.vmap(lambda w, x: np.maximum(x @ w, 0), in_axes=(0, None)), (RNG.normal(size=(2, 3, 4)), X)),
}


def leaves(result: Any) -> Iterator[Any]:
    return (np.asarray(data_of(leaf)) for _, leaf in walk(result))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("name", STEPS)
def test_values_are_those_of_the_step(name: str, backend: Any) -> None:
    step, args = STEPS[name]
    others = tuple(
        np.cos(arg) if isinstance(arg, np.ndarray) else {k: np.cos(v) for k, v in arg.items()} for arg in args
    )
    exactly = backend == "numpy"
    with warnings.catch_warnings(action="error"):
        for exact in {False, exactly}:
            compiled = ad.compile(step, backend=backend, exact=exact)
            for given in (args, others, args):
                for found, wanted in zip(leaves(compiled(*given)), leaves(step(*given)), strict=True):
                    assert found.dtype == wanted.dtype
                    np.testing.assert_allclose(found, wanted, rtol=0 if exact else 1e-12, atol=0 if exact else 1e-13)


def clipped_step(W: Tensor, rate: float) -> Callable[..., Any]:
    """Make a step of private learning: the gradient of each example has a length of at most one."""
    gradients = ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))

    def step(x: Any, y: Any) -> Any:
        g = gradients(W.data, x, y)
        lengths = np.sqrt((g**2).sum(axis=(1, 2), keepdims=True))
        W.data = W.data - rate * (g / np.maximum(lengths, 1)).mean(axis=0)
        return lengths

    return step


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_steps_with_a_gradient_of_each_example_go_on_training(backend: Any) -> None:
    weights, others = Tensor(W.copy()), Tensor(W.copy())
    compiled, eager = ad.compile(clipped_step(weights, 0.1), state=weights, backend=backend), clipped_step(others, 0.1)
    for size in (5, 5, 3, 5, 3):
        rows = RNG.normal(size=(size, 7))
        np.testing.assert_allclose(compiled(rows[:, :3], rows[:, 3:]), eager(rows[:, :3], rows[:, 3:]), rtol=1e-12)
    np.testing.assert_allclose(weights.data, others.data, rtol=1e-12)
    assert len(compiled._programs) == 2


def test_models_and_optimizers_are_state_within_a_batch() -> None:
    def training() -> tuple[Callable[..., Any], Any, Any]:
        model = nn.MLP([3, 4, 1], activation="tanh", rng=0)
        optimizer = nn.optim.Adam(model.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            total = ad.vmap(lambda one: (model(one) ** 2).sum())(x).mean()
            total.backward()
            optimizer.step()
            return total

        return step, model, optimizer

    (compiled, model, optimizer), (eager, other, _) = training(), training()
    compiled = ad.compile(compiled, state=(model, optimizer))
    for _ in range(5):
        x = RNG.normal(size=(6, 3)).astype(np.float32)
        np.testing.assert_allclose(data_of(compiled(x)), data_of(eager(x)), rtol=1e-5)
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(one.data, same.data, rtol=1e-4)


def member(W: Any, x: Any, y: Any) -> Any:
    hidden = np.tanh(x @ W)
    error = hidden - y
    return (error**2).sum()


def network(x: Any) -> Any:
    hidden = np.tanh(x @ W)
    return np.tanh(hidden @ W.T)


def test_a_program_is_numpy_of_all_members_in_the_users_words() -> None:
    assert lines(ad.vmap(ad.grad(member), in_axes=(None, 0, 0)), W, X, Y) == [
        "# hidden = np.tanh(x @ W)",
        "np.dot(x, W, out=hidden)",
        "np.tanh(hidden, out=hidden)",
        "# error = hidden - y",
        "np.subtract(hidden, y, out=error)",
        "# backward: return (error**2).sum()",
        "np.multiply(c2, error, out=d_error)",
        "# backward: hidden = np.tanh(x @ W)",
        "np.multiply(d_error, hidden, out=product)",
        "np.multiply(product, hidden, out=product)",
        "np.subtract(d_error, product, out=difference)",
        "d_W = np.multiply(x[:, :, None], column)",
        "return d_W,",
    ]
    total = ad.grad(lambda W, X, Y: ad.vmap(member, in_axes=(None, 0, 0))(W, X, Y).mean())
    assert lines(total, W, X, Y)[-2:] == ["d_W = np.matmul(X.T, difference)", "return d_W,"]
    assert lines(ad.jacobian(network), V)[-8:] == [
        "np.subtract(constant_0, d_product, out=d_product)",
        "np.dot(d_product, W, out=d_hidden)",
        "# backward: hidden = np.tanh(x @ W)",
        "np.multiply(d_hidden, hidden, out=product_2)",
        "np.multiply(product_2, hidden, out=product_2)",
        "np.subtract(d_hidden, product_2, out=d_pre_hidden)",
        "d_x = np.matmul(d_pre_hidden, W_T)",
        "return d_x,",
    ]


@pytest.mark.parametrize("name", STEPS)
def test_no_call_does_nothing(name: str) -> None:
    step, args = STEPS[name]
    compiled = ad.compile(step)
    compiled(*args)
    assert_nothing_is_left_out(compiled._latest.program)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (ad.vmap(lambda x: x if x.sum() > 0 else -x), (X,)),
        (ad.vmap(lambda x: float(x.sum())), (X,)),
        (ad.vmap(lambda x: np.asarray(x)), (X,)),
        (ad.vmap(lambda x, v: np.add(v, x, out=v), in_axes=(0, None)), (X, V)),
        (ad.vmap(lambda x: x[0:1].sum() * [1, 2][x]), (X,)),
        (lambda x, v: ad.vmap(lambda one: operator.iadd(v, one))(x), (X, V)),
        (lambda x, v: ad.vmap(lambda one: operator.setitem(v, ..., one))(x), (X, V)),
        (ad.vmap(lambda x, y: x, in_axes=(0, 1)), (X, Y)),
    ],
)
def test_errors_are_those_of_the_step(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)) as wanted:
        function(*(arg.copy() for arg in args))
    with pytest.raises(type(wanted.value)) as found:
        ad.compile(function)(*args)
    assert str(found.value) == str(wanted.value)
