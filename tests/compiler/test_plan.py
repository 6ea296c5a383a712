"""Where the arrays of a program lie: memory is shared and used again, and no result shows it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.core.record import data_of
from autodiff.transforms.containers import walk
from nn import functional
from tests.compiler.programs import RandomStep, assert_same_random_step

rng = np.random.default_rng(0)


def test_memory_is_used_again() -> None:
    def chain(x: Any) -> Any:
        for _ in range(10):
            x = np.tanh(x @ x)
        return x.sum()

    compiled = ad.compile(chain)
    compiled(rng.normal(size=(100, 100)))
    assert compiled.source.count("np.empty((100, 100)") == 2


def test_what_is_added_to_is_multiplied_where_it_lies() -> None:
    mean, other = np.ones(50), np.ones(50)

    def step(x: Any) -> None:
        other[...] = mean * 3.0
        mean[...] = mean * 0.9 + x

    compiled = ad.compile(step, (mean, other), exact=True)
    wanted, wanted_other = np.ones(50), np.ones(50)
    for number in range(3):
        x = np.full(50, number / 7)
        compiled(x)
        wanted, wanted_other = wanted * 0.9 + x, wanted * 3.0
        np.testing.assert_array_equal(mean, wanted)
        np.testing.assert_array_equal(other, wanted_other)
    assert "np.multiply(mean, c0_9, out=mean)" in compiled.source
    assert "np.empty" not in compiled.source


@pytest.mark.parametrize("index", [True, np.True_, (True, slice(1, 3)), np.int64(1), slice(np.int64(1), 3)], ids=str)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_booleans_select_copies_and_numpys_integers_views(index: Any, backend: str) -> None:
    compiled = ad.compile(lambda x: (x * 2)[index] * 3, backend=backend)
    for x in (np.arange(3.0), np.ones(3), np.full(3, 5.0)):
        np.testing.assert_array_equal(compiled(x), x[index] * 6)


# Memory that is shared


def assert_same_calls(make: Callable[[], tuple[Any, Callable[..., Any]]], argument: Any, **options: Any) -> None:
    """Call a step and its program five times, keep what they return, and compare it at the end."""
    (state, step), (others, eager) = make(), make()
    compiled = ad.compile(step, state, **options)
    kept = [compiled(argument(state)) for _ in range(5)]
    wanted = [copy.deepcopy([data_of(leaf) for _, leaf in walk(eager(argument(others)))]) for _ in range(5)]
    for results, one in zip(kept, wanted, strict=True):
        for (_, result), value in zip(walk(results), one, strict=True):
            np.testing.assert_allclose(data_of(result), value, rtol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_numbers_that_are_kept_stay_what_they_are(backend: str) -> None:
    def make() -> tuple[Any, Callable[..., Any]]:
        w, v = Tensor(np.full((1, 1), 2.0)), Tensor(np.array(3.0))

        def step(x: Any) -> Any:
            w.grad = v.grad = None
            y = w * x
            error = (y * y).mean(axis=0).squeeze()
            views = [np.squeeze(y), np.reshape(y, ()), y.ravel()[..., 0], np.moveaxis(y, 0, 1)[0].squeeze()]
            before = [w.squeeze(), np.reshape(w, -1)[..., 0], np.reshape(v, ()), np.where(True, v, 1.0)]
            (error + sum(views) * v).backward()
            w.data, v.data = w.data - 0.1 * w.grad, v.data - 0.1 * v.grad
            return error, views, before

        return [w, v], step

    assert_same_calls(make, lambda state: np.full(1, 0.5), backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(
    "view", [lambda x: x, lambda x: x.T, lambda x: x[::-1], Tensor], ids=["array", "transposed", "reversed", "Tensor"]
)
def test_an_argument_may_be_an_array_of_the_state(view: Callable[[Any], Any], backend: str) -> None:
    def make() -> tuple[Any, Callable[..., Any]]:
        w = Tensor(np.arange(9.0).reshape(3, 3))

        def step(x: Any) -> Any:
            w.grad = None
            ((w * x) ** 2).sum().backward()
            w.data = w.data - 0.001 * w.grad
            return x, w + x, (x * w.data).sum()

        return w, step

    assert_same_calls(make, lambda w: view(w.data), backend=backend)


def test_a_number_of_the_state_has_views() -> None:
    def make() -> tuple[Any, Callable[..., Any]]:
        w = Tensor(1.0)

        def step(x: Any) -> Any:
            w.grad = None
            loss = (w[None] * x).sum() ** 2
            loss.backward()
            w.data = w.data - 0.1 * w.grad
            return loss

        return w, step

    assert_same_calls(make, lambda state: np.ones(2))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    "loss", [lambda z: functional.cross_entropy(z, np.arange(40) % 4), lambda z: (np.max(z, axis=1) + z[:, 0]).sum()]
)
def test_dot_writes_into_rows(loss: Callable[[Any], Any], exact: bool) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))

    def make() -> tuple[Any, Callable[..., Any]]:
        w, v = Tensor(np.linspace(-1, 1, 12).reshape(3, 4)), Tensor(np.ones((3, 40)).T)

        def step(x: Any) -> Any:
            w.grad = None
            z = np.dot(x, w)
            value = loss(z)
            value.backward()
            w.data = w.data - 0.01 * w.grad
            v.data = np.dot(v.data, np.eye(3))
            return value, v.data[0]

        return [w, v], step

    assert_same_calls(make, lambda state: x, exact=exact)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_random_steps(seed: int, exact: bool) -> None:
    assert_same_random_step(RandomStep(seed), exact=exact)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("view", [lambda x: x, lambda x: x[::-1]], ids=["array", "reversed"])
def test_an_argument_that_a_step_changes_by_the_state_is_refused(view: Callable[[Any], Any], backend: str) -> None:
    model = nn.Linear(3, 3, rng=0)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        transposed = x.T
        (model(x) ** 2).sum().backward()
        optimizer.step()  # in place
        return transposed * 2

    compiled = ad.compile(step, (model, optimizer), backend=backend)
    x = np.ones((3, 3), np.float32)
    np.testing.assert_array_equal(data_of(compiled(x)), 2 * x)
    before = model.weight.data.copy()
    with pytest.raises(RuntimeError, match=r"argument of shape \(3, 3\) shows the memory of the state"):
        compiled(view(model.weight.data))
    np.testing.assert_array_equal(model.weight.data, before)
