"""The first calls of a program compare it with the step: what differs is found, and rounding is no mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import functional
from tests.compiler.trainings import ROWS, X

rng = np.random.default_rng(0)


def test_a_generator_that_is_no_state_is_named() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(RuntimeError, match="the Generator 'generator', or something else in it is the same"):
        ad.compile(lambda x: x + generator.normal(size=2))(ROWS)


def test_what_is_different_in_each_run_is_noticed_at_once() -> None:
    numbers = iter(range(100))
    compiled = ad.compile(lambda x: x * next(numbers))
    with pytest.raises(RuntimeError, match="in step 1, result differs between <lambda> as it was written and as a"):
        compiled(ROWS)


# What is no mistake


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_grown_rounding_is_no_error(backend: str) -> None:
    # Before batch norm the gradient of a bias is zero but for rounding, and Adam's first step makes 0.01 of it.
    model = nn.Sequential(nn.Linear(6, 16, rng=0), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3, rng=1))
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    rates = iter([0.1, 0.1, 0.2, 0.2, 0.4])

    def step(x: Any, labels: Any, is_wrong: bool) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), labels)
        loss = loss * next(rates) if is_wrong else loss
        loss.backward()
        optimizer.step()
        return loss

    x, labels = rng.normal(size=(32, 6)).astype(np.float32), rng.integers(0, 3, 32)
    compiled = ad.compile(step, (model, optimizer), backend=backend)
    assert compiled(x, labels, False).item() > compiled(x, labels, False).item()
    with pytest.raises(RuntimeError, match="differs between step as it was written"):
        compiled(x, labels, True)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_parameters_of_another_head_get_no_gradient(backend: str) -> None:
    def make() -> tuple[Any, Callable[..., Any]]:
        one, other = nn.Linear(3, 1, rng=0), nn.Linear(3, 1, rng=1)
        optimizer = nn.optim.Adam([*one.parameters(), *other.parameters()], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (one(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.astype(np.float64)

        return [one, other, optimizer], step

    (state, step), (_, eager) = make(), make()
    compiled = ad.compile(step, state, backend=backend)
    for _ in range(4):
        np.testing.assert_allclose(compiled(X[:, :3]).data, eager(X[:, :3]).data, rtol=1e-5)
    assert state[2].steps == [4, 4, 0, 0]


def test_float32_on_the_way_makes_results_of_float64_as_precise_as_that() -> None:
    x = np.random.default_rng(0).normal(size=(30, 30))

    def step(x: Any) -> Any:
        y = x.astype(np.float32)
        return np.var(y, axis=0).sum().astype(np.float64) + (y * 3 * 0.1).sum(axis=0).mean(dtype=np.float64)

    np.testing.assert_allclose(ad.compile(step)(x), step(x), rtol=1e-5)
