"""What compiled steps leave in ``.grad``: what the eager step leaves, or a refusal."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from nn import functional

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
BACKENDS = ["numpy", "numba"]


def made() -> tuple[nn.Module, nn.optim.Optimizer]:
    model = nn.MLP([3, 4, 2], activation="tanh", rng=0)
    return model, nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def assert_same_gradients(one: nn.Module, other: nn.Module) -> None:
    for a, b in zip(one.parameters(), other.parameters()):
        assert (a.grad is None) == (b.grad is None)
        if b.grad is not None:
            assert type(a.grad) is type(b.grad)
            assert a.grad.dtype == b.grad.dtype
            np.testing.assert_allclose(a.grad, b.grad, rtol=1e-4, atol=1e-4 * np.abs(b.grad).max())


def backward(model: Any, optimizer: Any) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        loss = (model(x) ** 2).sum()
        loss.backward()
        return loss

    return step


def cleared(model: Any, optimizer: Any) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        return backward(model, optimizer)(x)

    return step


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", [backward, cleared])
@pytest.mark.parametrize("every", [1, 3])
def test_gradients_are_left_for_an_optimizer_outside(make: Any, every: int, backend: str) -> None:
    (model, optimizer), (reference, its_optimizer) = made(), made()
    compiled, eager = (
        ad.compile(make(model, optimizer), (model, optimizer), backend=backend),
        make(reference, its_optimizer),
    )
    for call in range(7):
        np.testing.assert_allclose(compiled(X).data, eager(X).data, rtol=1e-5)
        assert_same_gradients(model, reference)
        if call % every == 0:
            for one in (optimizer, its_optimizer):
                one.step()
                one.zero_grad()
    compiled.check()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_that_never_clears_gradients_accumulates_them(backend: str) -> None:
    (model, optimizer), (reference, its_optimizer) = made(), made()

    def step(model: Any, optimizer: Any, x: Any) -> Any:
        loss = (model(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    compiled = ad.compile(lambda x: step(model, optimizer, x), (model, optimizer), backend=backend)
    for _ in range(6):
        np.testing.assert_allclose(compiled(X).data, step(reference, its_optimizer, X).data, rtol=1e-4)
        assert_same_gradients(model, reference)


def test_gradients_left_are_the_callers() -> None:
    model, optimizer = made()
    compiled = ad.compile(cleared(model, optimizer), (model, optimizer))
    compiled(X)
    first = [p.grad for p in model.parameters()]
    copies = [g.copy() for g in first]
    compiled(2 * X)
    for g, saved, p in zip(first, copies, model.parameters()):
        np.testing.assert_array_equal(g, saved)
        assert p.grad is not g


def training(model: Any, optimizer: Any) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step


USES: list[Callable[[Any], Any]] = [
    lambda g: g * 2,
    lambda g: 2 * g,
    lambda g: np.linalg.norm(g),
    lambda g: np.asarray(g),
    lambda g: g.sum(),
    lambda g: g.shape,
    lambda g: float(g),
    lambda g: bool(g),
    lambda g: len(g),
    lambda g: g[0],
    lambda g: list(g),
    lambda g: np.add(np.ones(3), g),
    lambda g: np.ones(3) - g,
    lambda g: np.concatenate([g, g]),
    lambda g: -g,
    lambda g: g @ np.ones(3),
    lambda g: g == 0,
    lambda g: g > 0,
    lambda g: Tensor(g),
    lambda g: abs(g),
]


@pytest.mark.parametrize("use", USES)
def test_gradients_that_the_step_has_used_itself_are_refused(use: Callable[[Any], Any]) -> None:
    model, optimizer = made()
    compiled = ad.compile(training(model, optimizer), (model, optimizer))
    compiled(X)
    weight = next(iter(model.parameters()))
    with pytest.raises(RuntimeError, match=r"grad: the compiled step step has changed .* return it from the step"):
        use(weight.grad)


def test_what_is_in_the_place_of_a_gradient_hinders_nobody() -> None:
    model, optimizer = made()
    compiled = ad.compile(training(model, optimizer), (model, optimizer))
    for _ in range(2):
        compiled(X)
    weight = next(iter(model.parameters()))
    assert "has not kept" in repr(weight.grad)
    for one in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert "has not kept" in repr(next(iter(one.parameters())).grad)
    with pytest.raises(RuntimeError, match="has not kept"):
        optimizer.step()
    model(X).sum().backward()  # what is added to it is not known either
    assert "has not kept" in repr(weight.grad)
    with pytest.raises(RuntimeError, match="has not kept"):
        nn.optim.clip_grad_norm_(model.parameters(), 1.0)
    ad.draw((model(X) ** 2).sum())
    optimizer.zero_grad()
    model(X).sum().backward()
    assert weight.grad.shape == weight.shape
    compiled(X)


def test_what_a_step_clears_at_its_end_is_cleared() -> None:
    model, optimizer = made()

    def step(x: Any) -> Any:
        loss = (model(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    compiled = ad.compile(step, (model, optimizer), exact=True)
    for _ in range(3):
        compiled(X)
        assert all(p.grad is None for p in model.parameters())


def test_parameters_without_a_gradient_keep_what_they_have() -> None:
    model, head = nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=1)
    for clears in (False, True):

        def step(x: Any, clears: bool = clears) -> Any:
            if clears:
                for p in (*model.parameters(), *head.parameters()):
                    p.grad = None
            loss = model(x).sum()
            loss.backward()
            return loss

        head.weight.grad = mine = np.ones((3, 2), np.float32)
        model.weight.grad = model.bias.grad = None
        compiled = ad.compile(step, [model, head])
        for call in range(3):
            compiled(X)
            np.testing.assert_allclose(
                model.weight.grad, (1 if clears else call + 1) * np.repeat(X.sum(0), 2).reshape(3, 2), atol=1e-6
            )
            assert head.weight.grad is (None if clears else mine)


def test_gradients_of_arguments_are_left() -> None:
    def step(x: Any) -> Any:
        loss = (x**3).sum()
        loss.backward()
        return loss

    compiled = ad.compile(step)
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    for _ in range(4):
        compiled(x)
        step(y)
        np.testing.assert_array_equal(x.grad, y.grad)
    fresh = Tensor([3.0, 0.0])
    compiled(fresh)
    np.testing.assert_array_equal(fresh.grad, [27, 0])


def test_gradients_of_gradients_are_tensors() -> None:
    w = Tensor([1.0, 2.0])

    def step(x: Any) -> Any:
        w.grad = None
        (w**2 * x).sum().backward(create_graph=True)
        return (w.grad**2).sum()

    compiled = ad.compile(step, w)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(2.0), 80)
        assert isinstance(w.grad, Tensor)
        np.testing.assert_array_equal(w.grad.data, [4, 8])


def test_other_tensors_get_the_gradients_that_the_step_gives_them() -> None:
    (generator, optimizer), critic = made(), nn.Linear(2, 1, rng=5)
    (same, its_optimizer), its_critic = made(), nn.Linear(2, 1, rng=5)

    def make(generator: Any, optimizer: Any, critic: Any) -> Callable[[Any], Any]:
        def step(z: Any) -> Any:
            optimizer.zero_grad()
            loss = -critic(generator(z)).mean()
            loss.backward()
            optimizer.step()
            return loss

        return step

    compiled, eager = (
        ad.compile(make(generator, optimizer, critic), (generator, optimizer)),
        make(same, its_optimizer, its_critic),
    )
    for call in range(7):
        np.testing.assert_allclose(compiled(X).data, eager(X).data, rtol=1e-5)
        assert_same_gradients(critic, its_critic)
        if call % 2:
            for one in (critic, its_critic):
                one.weight.grad = one.bias.grad = None
                functional.mse_loss(one(X[:, :2]), X[:, :1]).backward()
                for p in one.parameters():
                    p.data = p.data - 0.1 * p.grad
    assert repr(compiled).endswith("2 programs>")
