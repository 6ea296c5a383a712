"""The first calls of a program compare it with the step: what differs is found, and rounding is no mistake."""

from __future__ import annotations

import copy
import gc
import tempfile
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.compiler.bind.verify import Verification
from autodiff.compiler.state import copied, places_of, restoring
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


# Wrong programs, and what is said of them


def compare(step: Callable[..., Any], program: Callable[..., Any], state: Any, *inputs: Any, exact: bool) -> None:
    Verification(
        eager=lambda: step(*inputs),
        compiled=lambda given: program(*given),
        inputs=inputs,
        places=places_of(state),
        settings=lambda: None,
        exact=exact,
        coarsest=8,
        name="step",
        suspects=(),
    ).run()


def line() -> tuple[list[ad.Tensor], Callable[..., Any]]:
    w = ad.Tensor(np.linspace(-1.0, 1.0, 6).reshape(3, 2), name="w")
    b = ad.Tensor([0.5, 1.0], name="b")

    def step(x: Any, rate: float = 0.125, moves_b: bool = True) -> Any:
        w.grad = b.grad = None
        loss = ((x @ w + b) ** 2).mean()
        loss.backward()
        w.data = w.data - rate * w.grad
        if moves_b:
            b.data = b.data - rate * b.grad
        return loss

    return [w, b], step


@pytest.mark.parametrize(
    ("exact", "text", "wrong"),
    [(False, "0.03125", "0.03128"), (False, "/ 8", "/ 8.008"), (True, "0.125", "0.1251"), (True, "/ 8", "/ 8.008")],
)
def test_a_number_in_the_text_that_is_another_by_a_thousandth_is_found(exact: bool, text: str, wrong: str) -> None:
    state, step = line()
    compiled, x = ad.compile(step, state, check=False, exact=exact), rng.normal(size=(4, 3))
    compiled(x)
    before = [tensor.data.copy() for tensor in state]

    def run(source: str) -> None:
        space: dict[str, Any] = {}
        exec(source, space)
        compare(step, lambda x: space["build"](*(one.data for one in state))(x)[0], state, x, exact=exact)

    run(compiled.source)
    with pytest.raises(RuntimeError, match="in step 1, "):
        run(compiled.source.replace(text, wrong))
    for tensor, data in zip(state, before):
        np.testing.assert_array_equal(tensor.data, data)


@pytest.mark.parametrize("exact", [False, True])
def test_a_program_that_leaves_a_parameter_as_it_was_is_found(exact: bool) -> None:
    state, step = line()
    wrong = ad.compile(lambda x: step(x, moves_b=False), state, check=False, exact=exact)
    with pytest.raises(RuntimeError, match=r"in step 1, state 'b' differs between step .* \(.* in 2 of 2 elements\)"):
        compare(step, wrong, state, rng.normal(size=(4, 3)), exact=exact)


NAN = float("nan")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (np.array([0.5, NAN, 0.5]), np.array([0.5, NAN, NAN]), "0.5 against nan in 1 of 3 elements"),
        (np.array([NAN, NAN, 2.0]), np.array([0.5, 0.25, 1.0]), "nan against 0.5 in 3 of 3 elements"),
        (np.array([np.inf, 1.0]), np.array([-np.inf, 1.0]), "inf against -inf in 1 of 2 elements"),
        (np.array([np.inf, 1.0]), np.array([1e300, 1.0]), "inf against 1e[+]300 in 1 of 2 elements"),
        (np.array([3, 2]), np.array([3, 1]), "2 against 1 in 1 of 2 elements"),
        (np.array([True, False]), np.array([True, True]), "False against True in 1 of 2 elements"),
        (np.array([1j, 2.0]), np.array([1j, 2.5]), r"\(2[+]0j\) against \(2.5[+]0j\) in 1 of 2 elements"),
        (np.array(["a"]), np.array(["b"]), "'a'.* against .*'b'"),
        (np.ones(2), np.ones(3), r"float64 of shape \(2,\) against float64 of shape \(3,\)"),
        (np.ones(2), np.ones(2, np.float32), r"float64 of shape \(2,\) against float32 of shape \(2,\)"),
        (0.5, NAN, r"\(0.5 against nan\)"),
        ([np.ones(2), 1.0, 10.0], [np.ones(2), 1.5, 11.0], r"result\[1\] .*\(1.0 against 1.5; 1 more differ, and less"),
        ((1.0, "a"), (1.0, "b"), "'a' against 'b'"),
        ((1.0,), {"x": 1.0}, "another structure"),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_what_differs_most_is_named_and_shown(right: Any, wrong: Any, said: str, exact: bool) -> None:
    with pytest.raises(RuntimeError, match=said):
        compare(lambda: right, lambda: wrong, (), exact=exact)
    compare(lambda: right, lambda: copy.deepcopy(right), (), exact=exact)


# How much memory it takes


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("sizes", [[500, 1000, 500], [1000, 800]], ids=str)
def test_the_first_call_takes_at_most_half_as_much_again_as_a_step(sizes: list[int], kind: str, check: bool) -> None:
    model = nn.MLP(sizes, rng=0)
    parameters = model.parameters()
    optimizer: Any = nn.optim.Adam(parameters) if kind == "Adam" else nn.optim.SGD(parameters, lr=1e-3)

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    compiled = ad.compile(step, (model, optimizer), check=check)
    batch = rng.normal(size=(16, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], 16)

    def peak(step: Callable[..., Any]) -> int:
        optimizer.zero_grad()
        arrays = [place.get() for place in places_of([model, optimizer])]
        gc.collect()
        tracemalloc.start()
        try:
            step(*batch)
            return tracemalloc.get_traced_memory()[1] + sum(x.nbytes for x in arrays if isinstance(x, np.ndarray))
        finally:
            tracemalloc.stop()

    ad.compile(step, (model, optimizer))(*batch)  # after which all is imported
    eager = peak(step)
    assert peak(compiled) <= 1.5 * eager


@pytest.mark.parametrize("has_room", [True, False])
def test_what_is_put_back_is_the_same_to_the_last_bit(has_room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise OSError("no space left")

    if not has_room:
        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    big = rng.normal(size=(300, 500))
    generator = np.random.default_rng(0)
    state = [
        big,
        big.T[::2].copy(order="F"),
        np.zeros((0, 3)),
        np.array(NAN),
        np.arange(5)[::2],
        generator,
        big[:2] > 0,
    ]
    before, drawn = copy.deepcopy(state), copy.deepcopy(generator).normal()
    with restoring(places_of(state)) as restore:
        for _ in range(2):
            for one in state[:5]:
                one[...] = 7
            state[6][...] = ~state[6]
            assert generator.normal() == drawn
            restore()
    for one, other in zip(state, before):
        if isinstance(one, np.ndarray):
            assert one.tobytes() == other.tobytes()
            assert one.strides == other.strides or one is state[4]
    copies = copied([big, 1.5, "a"])
    np.testing.assert_array_equal(copies[0], big)
    assert copies[0].flags.writeable is not has_room  # a file is only read
    assert copies[1:] == [1.5, "a"]


# What is no mistake


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_grown_rounding_is_no_error(backend: str) -> None:
    # Before batch norm the gradient of a bias is zero but for rounding, and Adam's first step makes 0.01 of it.
    model = nn.Sequential(nn.Linear(6, 16, rng=0), nn.BatchNorm1d(16), nn.Tanh())
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    rates = (0.1 * 2.0**k for k in range(100))

    def step(x: Any, y: Any, is_wrong: bool) -> Any:
        optimizer.zero_grad()
        loss = functional.mse_loss(model(x), y)
        loss = loss * next(rates) if is_wrong else loss
        loss.backward()
        optimizer.step()
        return loss

    x, y = rng.normal(size=(32, 6)).astype(np.float32), rng.normal(size=(32, 16)).astype(np.float32)
    compiled = ad.compile(step, (model, optimizer), backend=backend)
    assert compiled(x, y, False).item() > compiled(x, y, False).item()
    with pytest.raises(RuntimeError, match="differs between step as it was written"):
        compiled(x, y, True)


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
