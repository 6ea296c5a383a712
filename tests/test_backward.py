"""The tape: the walk backward, what it accumulates where, what it notices, and what it leaves in memory."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import gc
import linecache
import sys
import threading
import weakref
from collections import UserList, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.core.record import data_of
from autodiff.core.rule import FACTS, describe
from autodiff.core.tape import unbroadcast
from autodiff.transforms.composition import defcomposition

# Seeds


def test_a_scalar_needs_no_gradient() -> None:
    for data in (3.0, [3.0], [[3.0]]):
        x = Tensor(data)
        (x * x).backward()
        assert x.grad.shape == x.shape
        np.testing.assert_array_equal(x.grad, np.full(x.shape, 6.0))


@pytest.mark.parametrize(
    "make",
    [np.asarray, lambda seed: seed.tolist(), lambda seed: Tensor(seed, requires_grad=False), lambda seed: seed > 1.5],
    ids=["array", "list", "Tensor", "booleans"],
)
@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "create_graph"])
def test_backward_of_a_given_gradient(make: Callable[[Any], Any], create_graph: bool) -> None:
    seed = np.array([1.0, 2.0, 3.0])
    x = Tensor([2.0, 3.0, 4.0])
    (x * x).backward(make(seed), create_graph=create_graph)
    assert type(x.grad) is (Tensor if create_graph else np.ndarray)
    np.testing.assert_array_equal(x.grad.data if create_graph else x.grad, 2 * x.data * np.asarray(make(seed)))


@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "create_graph"])
@pytest.mark.parametrize("make", [np.asarray, lambda seed: Tensor(seed)], ids=["array", "Tensor"])
def test_gradient_is_converted_to_the_dtype_of_the_output(make: Callable[[Any], Any], create_graph: bool) -> None:
    for call in (lambda x: x, lambda x: x * 2, lambda x: np.tanh(x)):
        x = Tensor(np.ones(3, np.float32))
        call(x).backward(make(np.ones(3)), create_graph=create_graph)
        assert x.grad.dtype == np.float32


def test_backward_of_a_leaf() -> None:
    x = Tensor([1.0, 2.0])
    seed = np.array([3.0, 4.0])
    x.backward(seed)
    np.testing.assert_array_equal(x.grad, seed)
    assert x.grad is not seed


@pytest.mark.parametrize(
    ("output", "gradient", "error", "message"),
    [
        pytest.param(lambda x: x * 2, None, ValueError, r"made by multiply is not a scalar.*\.sum\(\)", id="missing"),
        pytest.param(lambda x: x * 2, np.ones(3), ValueError, r"shape \(3,\) does not fit .*\(2,\)", id="shape"),
        pytest.param(lambda x: x * 2, 1.0, ValueError, r"shape \(\) does not fit", id="number for a vector"),
        pytest.param(lambda x: x.sum(), np.ones(1), ValueError, r"shape \(1,\) does not fit", id="vector for a number"),
        pytest.param(lambda x: x[:0], None, ValueError, "is not a scalar", id="empty"),
        pytest.param(lambda x: x * 2, np.ones(2) * 1j, TypeError, "real numbers, got dtype complex", id="complex"),
        pytest.param(
            lambda x: (x * 1j).sum(), None, TypeError, r"is complex128, .*abs\(x\) or x.real", id="complex loss"
        ),
        pytest.param(lambda x: x * 2, ["a", "b"], TypeError, "real numbers", id="strings"),
        pytest.param(lambda x: x.detach(), np.ones(2), RuntimeError, "has no graph", id="constant"),
        pytest.param(lambda x: Tensor([1.0], requires_grad=False), None, RuntimeError, "has no graph", id="frozen"),
    ],
)
def test_bad_backward(output: Callable[[Tensor], Tensor], gradient: Any, error: type[Exception], message: str) -> None:
    x = Tensor([1.0, 2.0])
    with pytest.raises(error, match=message):
        output(x).backward(gradient)
    assert x.grad is None


# Accumulation and aliasing


def test_gradients_add_up_over_calls() -> None:
    x = Tensor([1.0, 2.0])
    y = (x**2).sum()
    y.backward()
    first = x.grad
    y.backward()
    np.testing.assert_array_equal(x.grad, [4, 8])
    np.testing.assert_array_equal(first, [2, 4])  # was not added into
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [7, 11])


@pytest.mark.parametrize("retain_graph", [True, False, None])
def test_the_graph_is_kept_whatever_retain_graph_says(retain_graph: bool | None) -> None:
    x = Tensor(2.0)
    y = x**3
    y.backward(retain_graph=retain_graph)
    y.backward()
    assert x.grad == 24


def test_gradients_add_up_over_uses() -> None:
    x = Tensor([2.0, 3.0])
    y = x * x + x[::-1] + 4 * x - x / 2
    y.sum().backward()
    np.testing.assert_allclose(x.grad, 2 * x.data + 4.5)


def test_only_leaves_that_want_a_gradient_get_one() -> None:
    x, w, b = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=False), Tensor(1.0)
    hidden = x * w
    (hidden + b).sum().backward()
    np.testing.assert_array_equal(x.grad, [3, 4])
    assert b.grad == 2
    assert w.grad is None
    with pytest.warns(UserWarning, match=r"made by multiply keeps no gradient.*retain_grad\(\)"):
        assert hidden.grad is None


def test_freezing_after_the_forward_pass() -> None:
    x, y = Tensor(2.0), Tensor(3.0)
    z = x * y
    y.requires_grad = False
    z.backward()
    assert x.grad == 3
    assert y.grad is None


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x, y: x + y, id="sum"),
        pytest.param(lambda x, y: +x + (+y), id="positive"),
        pytest.param(lambda x, y: x.reshape(2, 2).reshape(4) + y, id="views"),
        pytest.param(lambda x, y: x.reshape(2, 2).T.ravel() + y.T, id="transposes"),
        pytest.param(lambda x, y: np.concatenate([x, y])[:4] + y[::-1], id="slices"),
        pytest.param(lambda x, y: np.stack([x, y]).sum(axis=0), id="stack"),
        pytest.param(lambda x, y: np.broadcast_to(x, (3, 4))[0] + np.copy(y), id="broadcast"),
        pytest.param(lambda x, y: x * 1.0 + x + y, id="several uses"),
        pytest.param(lambda x, y: x.astype(np.float64) + y.sum(), id="sum of all"),
        pytest.param(lambda x, y: x * y, id="product"),
        pytest.param(lambda x, y: np.where([True, False, True, False], x, y), id="where"),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "create_graph"])
def test_gradients_share_memory_with_nothing(function: Callable[..., Tensor], create_graph: bool) -> None:
    x, y, seed = Tensor([1.0, 2.0, 3.0, 4.0]), Tensor([5.0, 6.0, 7.0, 8.0]), np.ones(4)
    z = function(x, y)
    z.backward(seed, create_graph=create_graph)
    arrays = [*(g.data if create_graph else g for g in (x.grad, y.grad)), seed, x.data, y.data, z.data]
    for k, grad in enumerate(arrays[:2]):
        assert grad.flags.writeable
        for other in arrays[k + 1 :]:
            assert not np.shares_memory(grad, other)
    before = arrays[1].copy()
    arrays[0] += 100
    np.testing.assert_array_equal(arrays[1], before)
    np.testing.assert_array_equal(seed, np.ones(4))


# Shapes of graphs


def test_diamonds_are_walked_once() -> None:
    x = y = Tensor(1.0)
    for _ in range(50):
        y = y + y
    y.backward()
    assert x.grad == 2.0**50


def test_diamonds_of_long_and_short_paths() -> None:
    x = Tensor(2.0)
    a = x * 3
    b = np.tanh(a * 0.0) + a  # b waits for the long path through tanh
    c = b * a
    c.backward()
    assert x.grad == 3 * (6 + 6) + 0.0


def test_long_chains_are_walked_and_freed() -> None:
    length = 200_000
    x = y = Tensor(1.0)
    gc.collect()
    blocks = sys.getallocatedblocks()
    watched = []
    for step in range(length):
        y = y + 1.0
        if step % 10_000 == 0:
            watched.append(weakref.ref(y))
    (y * 2.0).backward()
    assert x.grad == 2
    assert y.data == length + 1
    assert sys.getallocatedblocks() - blocks > length
    del y
    assert [node() for node in watched] == [None] * len(watched)
    assert sys.getallocatedblocks() - blocks < 10_000


def test_a_million_calls() -> None:
    x = y = Tensor(0.0)
    for _ in range(1_000_000):
        y = -y
    y.backward()
    assert x.grad == 1


# Memory


def growth(step: Callable[[], None], steps: int) -> int:
    """Count the blocks of memory that are left over by many steps, without garbage collection."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3000):  # fill the interpreter's own lists of free objects
            step()
        before = sys.getallocatedblocks()
        for _ in range(steps):
            step()
        return sys.getallocatedblocks() - before
    finally:
        gc.enable()


def test_training_makes_no_cycles() -> None:
    w, b = Tensor(np.zeros((2, 1))), Tensor(0.0)
    x, y = np.array([[0.5, 1.0], [1.0, -1.0]]), np.array([[1.0], [0.0]])

    def step() -> None:
        loss = ((np.tanh(x @ w + b) - y) ** 2).mean()
        loss.backward()
        for parameter in (w, b):
            parameter.data -= 0.1 * parameter.grad
            parameter.grad = None

    assert growth(step, 10_000) < 500


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: ad.grad(ad.grad(lambda x: np.sum(x**3)[()]))(1.0), id="nested grad"),
        pytest.param(lambda x: np.split(np.tanh(x), 2)[0].sum().backward(create_graph=False), id="several outputs"),
        pytest.param(lambda x: np.concatenate([x[::2], x * 2]).sum().backward(), id="lists"),
    ],
)
def test_other_passes_make_no_cycles(function: Callable[[Tensor], Any]) -> None:
    x = Tensor([1.0, 2.0])

    def step() -> None:
        x.grad = None
        function(x)

    assert growth(step, 1000) < 500


def test_second_derivatives_free_their_graph() -> None:
    x = Tensor([1.0, 2.0])
    y = np.tanh(x)
    watched = weakref.ref(y)
    y.sum().backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.sum().backward()
    gc.disable()
    try:
        del y, g
        assert watched() is None
    finally:
        gc.enable()


# Second derivatives against known Hessians


def hessian(function: Callable[[Tensor], Tensor], point: Any) -> Any:
    """Give the matrix of second derivatives, a row a second backward pass."""
    x = Tensor(point)
    function(x).backward(create_graph=True)
    gradient = x.grad
    assert type(gradient) is Tensor
    rows = []
    for index in np.ndindex(*x.shape):
        x.grad = None
        gradient[index].backward()
        rows.append(x.grad.ravel())
    return np.stack(rows)


def test_second_derivative_of_tanh() -> None:
    x = np.array([-1.0, 0.0, 0.5, 2.0])
    expected = np.diag(-2 * np.tanh(x) * (1 - np.tanh(x) ** 2))
    np.testing.assert_allclose(hessian(lambda x: np.tanh(x).sum(), x), expected, atol=1e-15)


def test_second_derivative_of_a_quadratic_form() -> None:
    a = np.random.default_rng(0).normal(size=(3, 3))
    x = np.random.default_rng(1).normal(size=3)
    np.testing.assert_allclose(hessian(lambda x: x @ a @ x, x), a + a.T, rtol=1e-14)


def test_second_derivative_of_a_matrix_product() -> None:
    a = np.random.default_rng(0).normal(size=(4, 3))
    w = np.random.default_rng(1).normal(size=(3, 2))
    # Half of |AW|² has the gradient AᵀAW, so its Hessian is AᵀA for each column of W.
    expected = np.kron(a.T @ a, np.eye(2))
    np.testing.assert_allclose(hessian(lambda w: ((a @ w) ** 2).sum() / 2, w), expected, atol=1e-14)


def test_second_derivative_of_softmax_cross_entropy() -> None:
    def cross_entropy(x: Tensor) -> Tensor:
        shifted = x - np.max(x)
        return np.log(np.sum(np.exp(shifted))) - shifted[1]

    x = np.array([0.5, -1.0, 2.0, 0.0])
    p = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(hessian(cross_entropy, x), np.diag(p) - np.outer(p, p), atol=1e-15)


def test_third_derivative_by_backward() -> None:
    x = Tensor(2.0)
    y = x**5
    expected = 2.0**5
    for power in (5, 4, 3):
        y.backward(create_graph=True)
        expected *= power / 2
        y, x.grad = x.grad, None
        assert float(y) == expected


def test_graph_of_a_gradient_reaches_the_seed() -> None:
    x, seed = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    (x**2).backward(seed, create_graph=True)
    g = x.grad
    x.grad = None
    g.sum().backward()
    np.testing.assert_array_equal(seed.grad, [2, 4])
    np.testing.assert_array_equal(x.grad, [6, 8])


# Recording


def test_no_grad() -> None:
    x = Tensor([1.0, 2.0])
    with ad.no_grad():
        y = np.tanh(x * 2).sum()
        with ad.no_grad():
            pass
        z = x + 1
    for result in (y, z):
        assert type(result) is Tensor
        assert not result.requires_grad
    assert (x + 1).requires_grad
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_no_grad_as_decorator() -> None:
    @ad.no_grad()
    def triangle(x: Tensor, depth: int) -> Tensor:
        return x * depth + triangle(x, depth - 1) if depth else x * 0

    x = Tensor(2.0)
    for _ in range(2):
        y = triangle(x, 3)
        assert (float(y), y.requires_grad) == (12.0, False)
    assert (x * 1).requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    x = Tensor(1.0)
    with pytest.raises(KeyError), ad.no_grad():
        raise KeyError
    assert (x * 2).requires_grad


def test_backward_works_within_no_grad() -> None:
    x = Tensor(3.0)
    y = x * x
    with ad.no_grad():
        y.backward()
        assert not (x * x).requires_grad
    assert x.grad == 6
    assert (x * x).requires_grad


def test_no_grad_holds_for_one_thread() -> None:
    x, seen = Tensor(1.0), {}
    inside, done = threading.Event(), threading.Event()

    def quiet() -> None:
        with ad.no_grad():
            inside.set()
            done.wait(10)
            seen["quiet"] = (x * 2).requires_grad

    thread = threading.Thread(target=quiet)
    thread.start()
    assert inside.wait(10)
    seen["main"] = (x * 2).requires_grad
    with ad.no_grad():
        other = threading.Thread(target=lambda: seen.update(other=(x * 2).requires_grad))
        other.start()
        other.join()
    done.set()
    thread.join()
    assert seen == {"quiet": False, "main": True, "other": True}


def test_no_grad_holds_for_one_task() -> None:
    x = Tensor(1.0)

    async def quiet(started: asyncio.Event, done: asyncio.Event) -> bool:
        with ad.no_grad():
            started.set()
            await done.wait()
            return (x * 2).requires_grad

    async def main() -> tuple[bool, bool]:
        started, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(quiet(started, done))
        await started.wait()
        here = (x * 2).requires_grad
        done.set()
        return here, await task

    assert asyncio.run(main()) == (True, False)


def test_threads_train_side_by_side() -> None:
    results: dict[int, Any] = {}

    def train(number: int) -> None:
        x = Tensor(float(number))
        for _ in range(300):
            y = x * x
            for _ in range(5):
                y = y + x
            x.grad = None
            y.backward()
        results[number] = float(x.grad)

    threads = [threading.Thread(target=train, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: 2.0 * number + 5 for number in range(4)}


# Changes between forward and backward


def change_in_place(x: Tensor) -> None:
    x.data -= np.ones(2)


def change_by_assignment(x: Tensor) -> None:
    x.data = np.zeros(2)


@pytest.mark.parametrize("change", [change_in_place, change_by_assignment])
@pytest.mark.parametrize("requires_grad", [True, False], ids=["leaf", "constant"])
def test_change_after_use_is_noticed(change: Callable[[Tensor], None], requires_grad: bool) -> None:
    w, x = Tensor([1.0, 2.0], requires_grad=requires_grad, name="weights"), Tensor([3.0, 4.0])
    y = np.multiply(w, x).sum()
    change(w)
    with pytest.raises(RuntimeError, match=r"Tensor 'weights' of shape \(2,\) was changed after multiply had used it"):
        y.backward()
    (w * x).sum().backward()
    np.testing.assert_array_equal(x.grad, w.data)


def test_change_after_use_in_a_list_is_noticed() -> None:
    w = Tensor([1.0, 2.0], name="weights")
    y = np.concatenate([w, w]).sum()
    w.data *= 2
    with pytest.raises(RuntimeError, match=r"'weights'.*after a list"):
        y.backward()


def test_change_before_use_is_no_change() -> None:
    w = Tensor([1.0, 2.0])
    first = (w * 3).sum()
    first.backward()
    w.data -= 0.1 * w.grad
    w.grad = None
    (w**2).sum().backward()
    np.testing.assert_allclose(w.grad, 2 * w.data)


def test_data_assigned_to_a_computed_tensor_is_noticed() -> None:
    x = Tensor([1.0, 2.0])
    hidden = x * 2
    hidden.name = "hidden"
    before = hidden.sum()
    hidden.data = np.zeros(2)
    with pytest.raises(RuntimeError, match=r"'hidden'.*was changed after sum had used it"):
        before.backward()
    after = hidden.sum()
    with pytest.raises(RuntimeError, match=r"'hidden'.*was given other data.*compute it again"):
        after.backward()
    with ad.no_grad():
        free = x * 2
    free.data = np.zeros(2)
    assert not free.requires_grad


# Several outputs


def test_outputs_that_nobody_uses_count_as_zero() -> None:
    x = Tensor(np.arange(6.0))
    parts = np.split(x, [1, 3])
    (parts[1] * np.array([2.0, 3.0])).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 2, 3, 0, 0, 0])


def test_outputs_used_several_times() -> None:
    x = Tensor(np.arange(4.0))
    a, b = np.split(x, 2)
    (a * b + a).sum().backward()
    np.testing.assert_array_equal(x.grad, [3, 4, 0, 1])


@ad.primitive
def polar(x: Any, y: Any) -> tuple[Any, Any]:
    return np.sqrt(x * x + y * y), np.arctan(y / x)


ad.defvjp(
    polar,
    lambda g, out, x, y: g[0] * x / out[0] - g[1] * y / out[0] ** 2,
    lambda g, out, x, y: g[0] * y / out[0] + g[1] * x / out[0] ** 2,
)


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)], ids=str)
def test_primitive_with_several_outputs(used: tuple[int, ...]) -> None:
    ad.testing.check_gradients(
        lambda x, y: sum(polar(x, y)[k] * (k + 1) for k in used), np.array([1.0, 2.0]), np.array([0.5, 3.0]), order=2
    )
    radius, angle = polar(3.0, 4.0)
    assert type(radius) is np.float64
    assert (radius, angle) == (5.0, np.arctan(4 / 3))


# Primitives and their rules


@pytest.fixture(autouse=True)
def _rules_as_before() -> Iterator[None]:
    """Forget the rules that a test defines."""
    before = {function: dataclasses.replace(facts) for function, facts in FACTS.items()}
    yield
    for function in FACTS.keys() - before.keys():
        del FACTS[function]  # type: ignore[attr-defined]
    for function, facts in before.items():
        describe(function, **{field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)})


def test_primitive() -> None:
    @ad.primitive
    def cube(x: Any, *, scale: float = 1.0) -> Any:
        """Cube a number."""
        assert not isinstance(x, Tensor)
        return scale * x**3

    ad.defvjp(cube, lambda g, out, x, *, scale=1.0: g * (3 * scale * x**2))
    assert (cube.__name__, cube.__doc__) == ("cube", "Cube a number.")
    assert cube(2.0) == 8.0
    x = Tensor([1.0, 2.0])
    y = cube(x, scale=2.0)
    assert repr(y) == "Tensor([ 2., 16.], call=cube)"
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [6, 24])
    ad.testing.check_gradients(lambda x: cube(x, scale=0.5), np.array([1.0, -2.0]), order=3)
    with pytest.raises(
        NotImplementedError, match=r"cube with power= has no derivative rule: of its options, only scale= can be used"
    ):
        cube(x, power=2)


def test_primitive_without_a_rule() -> None:
    @ad.primitive
    def mystery(x: Any) -> Any:
        return x + 1

    with pytest.raises(NotImplementedError, match="mystery has no derivative rule"):
        mystery(Tensor(1.0))
    assert mystery(1.0) == 2.0


def test_primitive_takes_lists_and_keywords() -> None:
    @ad.primitive
    def total(xs: Any, weight: Any) -> Any:
        return sum(xs) * weight

    ad.defvjp(
        total,
        lambda g, out, xs, weight: [g * weight for _ in xs],
        lambda g, out, xs, weight: np.sum(g * sum(xs)),
    )
    x, y, weight = Tensor([1.0, 2.0]), Tensor([3.0, 4.0]), Tensor(5.0)
    total([x, np.ones(2), y], weight=weight).sum().backward()
    np.testing.assert_array_equal(x.grad, [5, 5])
    np.testing.assert_array_equal(y.grad, [5, 5])
    assert weight.grad == 12


def test_elementwise_primitive_may_broadcast() -> None:
    @ad.primitive
    def product(x: Any, y: Any) -> Any:
        return x * y

    ad.defvjp(product, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
    x, y = Tensor(np.ones((2, 3))), Tensor(np.arange(3.0))
    with pytest.raises(
        ValueError, match=r"product returned a gradient of shape \(2, 3\) .* \(3,\); .*elementwise=True"
    ):
        product(x, y).sum().backward()
    ad.defvjp(product, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x, elementwise=True)
    product(x, y).sum().backward()
    np.testing.assert_array_equal(y.grad, [2, 2, 2])


def test_rule_for_a_numpy_function() -> None:
    ad.defvjp(np.cbrt, lambda g, out, x: g / (3 * out * out))
    ad.testing.check_gradients(np.cbrt, np.array([[1.0, 8.0], [2.0, 0.5]]), order=2)


def test_argument_declared_constant() -> None:
    @ad.primitive
    def scale(x: Any, factor: Any) -> Any:
        return x * factor

    ad.defvjp(scale, lambda g, out, x, factor: g * factor, None)
    with pytest.raises(NotImplementedError, match=r"scale has no derivative with respect to argument 1.*detach\(\)"):
        scale(Tensor(1.0), Tensor(2.0))
    with pytest.raises(NotImplementedError, match="argument 1"):
        scale(1.0, Tensor(2.0))
    x = Tensor(1.0)
    scale(x, Tensor(2.0, requires_grad=False)).backward()
    assert x.grad == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param((3, np.sin), TypeError, "function must be callable, got 3", id="function"),
        pytest.param((lambda x: x, lambda g, out, x: g), TypeError, "decorate it with autodiff.primitive", id="own"),
        pytest.param((np.cbrt, 3), TypeError, r"defvjp\(cbrt\): a rule is a function or None, got 3", id="rule"),
        pytest.param((np.cbrt,), TypeError, "at least one rule", id="no rule"),
        pytest.param((np.cbrt, None), TypeError, "at least one rule", id="only None"),
        pytest.param(
            (np.cbrt, lambda g, out, x: g, lambda g, out, x: g), ValueError, "2 rules for 1 arguments", id="too many"
        ),
    ],
)
def test_bad_definitions(arguments: Any, error: type[Exception], message: str) -> None:
    before = {function: facts.rules for function, facts in FACTS.items()}
    with pytest.raises(error, match=message):
        ad.defvjp(*arguments)
    assert before == {function: facts.rules for function, facts in FACTS.items()}


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        pytest.param(lambda g, out, x: None, TypeError, "wrong returned None for argument 0, not an array", id="None"),
        pytest.param(lambda g, out, x: "g", TypeError, "a rule of wrong returned 'g'", id="text"),
        pytest.param(lambda g, out, x: [g], TypeError, "a rule of wrong returned", id="list"),
        pytest.param(lambda g, out, x: g[:1], ValueError, r"a rule of wrong .*shape \(1,\) .*shape \(2,\)", id="shape"),
        pytest.param(lambda g, out, x: g.sum(), ValueError, r"a rule of wrong .*shape \(\)", id="number"),
    ],
)
def test_rules_that_return_nonsense(rule: Callable[..., Any], error: type[Exception], message: str) -> None:
    @ad.primitive
    def wrong(x: Any) -> Any:
        return x * 1.0

    ad.defvjp(wrong, rule)
    x = Tensor([1.0, 2.0])
    with pytest.raises(error, match=message):
        wrong(x).sum().backward()
    assert x.grad is None


def test_rules_run_only_for_arguments_that_need_them() -> None:
    calls = []

    def rule(name: str) -> Callable[..., Any]:
        return lambda g, out, *args: calls.append(name) or g

    @ad.primitive
    def add3(x: Any, y: Any, z: Any) -> Any:
        return x + y + z

    ad.defvjp(add3, rule("x"), rule("y"), rule("z"))
    x = Tensor(1.0)
    add3(x, 2.0, Tensor(3.0, requires_grad=False)).backward()
    assert calls == ["x"]
    calls.clear()
    add3(ad.stop_gradient(x), x.detach(), x * 2).backward()
    assert calls == ["z"]
    calls.clear()
    add3(1.0, add3(1.0, 2.0, Tensor(3.0, requires_grad=False)), x).backward()
    assert calls == ["z"]


def test_walk_ends_at_the_inputs() -> None:
    """What is older than the arguments of `grad` is not visited."""
    calls = []

    @ad.primitive
    def watched(x: Any) -> Any:
        return x * 1.0

    ad.defvjp(watched, lambda g, out, x: calls.append("watched") or g)
    w = watched(Tensor(2.0))
    assert ad.grad(lambda x: x * w * w)(3.0) == 4
    assert calls == []


# stop_gradient


def test_stop_gradient_within_a_function() -> None:
    assert ad.grad(lambda x: x * ad.stop_gradient(x) ** 2)(3.0) == 9
    assert ad.grad(lambda x: ad.stop_gradient(x) * 2.0)(3.0) == 0
    assert ad.grad(ad.grad(lambda x: x**2 * ad.stop_gradient(x)))(3.0) == 6


# unbroadcast


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (1, 1, 1)])
def test_unbroadcast_undoes_broadcasting(shape: tuple[int, ...]) -> None:
    full = np.broadcast_shapes(shape, (4, 2, 3))
    gradient = np.random.default_rng(0).normal(size=full)
    summed = unbroadcast(gradient, shape)
    assert summed.shape == shape
    # Summing is the transpose of broadcasting: <broadcast(x), g> = <x, unbroadcast(g)>.
    x = np.random.default_rng(1).normal(size=shape)
    assert np.sum(np.broadcast_to(x, full) * gradient) == pytest.approx(np.sum(x * summed))


def test_unbroadcast_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        unbroadcast(np.ones(3), (2,))
    with pytest.raises(ValueError, match=r"shape \(2, 3\) does not broadcast to \(3,\)"):
        unbroadcast(np.ones(3), (2, 3))


# Lists and tuples that hold Tensors


def test_constant_tensors_in_an_index() -> None:
    x = Tensor(np.arange(9.0).reshape(3, 3))
    rows, column = Tensor(np.array([0, 1, 2]), requires_grad=False), Tensor(np.array(1), requires_grad=False)
    for index in (
        (np.arange(3), rows),
        (column, 1),
        (rows, 0),
        (..., column),
        (column, slice(None)),
        rows,
        [column, 0],
    ):
        plain = tuple(data_of(one) for one in index) if isinstance(index, tuple) else data_of(index)
        plain = [1, 0] if isinstance(index, list) else plain
        np.testing.assert_array_equal(x[index].data, x.data[plain])
        x.grad = None
        x[index].sum().backward()
        expected = np.zeros((3, 3))
        np.add.at(expected, plain, 1)
        np.testing.assert_array_equal(x.grad, expected)
        np.testing.assert_array_equal(x.at[index].add(9.0).data, x.data + 9 * (expected > 0))


def test_tensors_that_require_a_gradient_are_no_index() -> None:
    with pytest.raises(NotImplementedError, match="getitem has no derivative with respect to argument 1"):
        Tensor([1.0, 2.0])[(Tensor(0.0), 1)]


def test_lists_in_lists_and_tuples_are_kept_as_they_were() -> None:
    x = Tensor(np.arange(9.0).reshape(3, 3))
    index, factors = [0], [[1.0, 2.0, 3.0]]
    picked, product = x[index, 1].sum(), np.multiply(x, factors).sum()
    index[0], factors[0][0] = 2, 50.0
    (picked + product).backward()
    np.testing.assert_array_equal(x.grad, [[1, 3, 3], [1, 2, 3], [1, 2, 3]])


class Pair(NamedTuple):
    a: Any
    b: Any


@ad.primitive
def _scaled(x: Any, options: Any, *, more: Any = None) -> Any:
    return x * (options["by"][0] * (more[0]["by"] if more else 1))


ad.defvjp(_scaled, lambda g, out, x, options, *, more=None: _scaled(g, options, more=more))


@pytest.mark.parametrize(
    ("call", "given", "change"),
    [
        (lambda x, i: x[i], ([0, 1], [1, 1]), lambda i: i[0].append(1)),
        (lambda x, i: x[i], ([0, 1], [2, 1]), lambda i: i[0].clear()),
        (lambda x, i: x[i], Pair([0, 1], [2, 1]), lambda i: i.a.reverse()),
        (lambda x, i: x[i], UserList([0, 1]), lambda i: i.clear()),
        (lambda x, i: x[i], (UserList([0, 1]), [2, 1]), lambda i: i[0].reverse()),
        (lambda x, i: x.at[i].set(x[1, 1]), ([0, 1], [2, 1]), lambda i: i[0].reverse()),
        (lambda x, i: np.take(x, indices=i), [[0, 1], [1, 1]], lambda i: i[0].reverse()),
        (lambda x, i: np.repeat(x, repeats=i, axis=0), [1, 2, 3], lambda i: i.reverse()),
        (lambda x, i: np.roll(x, shift=i, axis=(0, 1)) * np.eye(3), [1, 2], lambda i: i.reverse()),
        (lambda x, i: np.pad(x, pad_width=i, mode="edge"), [[2, 0], [0, 0]], lambda i: i[0].reverse()),
        (lambda x, i: np.tensordot(x, np.eye(3), axes=i) * np.eye(3), [[0], [0]], lambda i: i[0].append(1)),
        (lambda x, i: np.average(x, axis=0, weights=i), [1.0, 2.0, 3.0], lambda i: i.reverse()),
        (lambda x, i: np.sum(x, where=i), [True, False, True], lambda i: i.append(True)),
        (lambda x, i: np.interp(x, xp=i, fp=[1.0, 2.0, 9.0]), [0.0, 2.5, 9.0], lambda i: i.reverse()),
        (_scaled, {"by": [2.0]}, lambda options: options["by"].clear()),
        (_scaled, {"by": [2.0]}, lambda options: options.clear()),
        (lambda x, more: _scaled(x, {"by": [1.0]}, more=more), [{"by": 2.0}], lambda more: more[0].clear()),
    ],
)  # fmt: skip
def test_containers_are_kept_as_they_were_at_any_depth(call: Any, given: Any, change: Any) -> None:
    gradients = []
    for is_changed in (False, True):
        x, argument = Tensor(np.arange(9.0).reshape(3, 3)), copy.deepcopy(given)
        y = call(x, argument)
        if is_changed:
            change(argument)
            assert argument != given
        np.sum(y * np.arange(y.size).reshape(y.shape)).backward(create_graph=is_changed)
        gradients.append(data_of(x.grad))
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize(
    "form",
    [list, tuple, deque, UserList, lambda items: Pair(*items)],
    ids=["list", "tuple", "deque", "UserList", "named"],
)
def test_every_sequence_of_tensors_is_several_arrays(form: Any) -> None:
    x, y = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    for join in (np.concatenate, np.stack, np.vstack):
        x.grad = None
        (join(form([x, y])) * 2).sum().backward()
        np.testing.assert_array_equal(x.grad, [2, 2])


def test_a_primitive_and_its_rule_get_the_sequence_they_are_given() -> None:
    kinds: list[type] = []

    @ad.primitive
    def total(items: Any) -> Any:
        kinds.append(type(items))
        return items[0] + 2 * items[1]

    def rule(g: Any, out: Any, items: Any) -> Any:
        kinds.append(type(items))
        return [10 * g, 20 * g]

    ad.defvjp(total, rule)
    for items in ([Tensor(1.0), Tensor(2.0)], (Tensor(1.0), 3.0), Pair(Tensor(1.0), Tensor(1.0))):
        kinds.clear()
        total(items).backward()
        assert items[0].grad == 10
        items[0].grad = None
        total(items).backward(create_graph=True)
        assert float(items[0].grad) == 10
        assert kinds == [type(items)] * 4


def test_integers_that_want_a_gradient_are_refused() -> None:
    x = Tensor(np.array([1, 2]), requires_grad=False)
    x.requires_grad = True
    with pytest.raises(TypeError, match="holds int64, which has no gradient"):
        (x * 1.5).sum().backward()
    assert x.grad is None


# What is kept of a function, and for how long


def _of_custom_vjp(big: Any) -> None:
    scale = ad.custom_vjp(lambda x: x * big[0])
    scale.defvjp(lambda x: (scale(x), None), lambda saved, g: (g * big[0],))
    scale(Tensor(np.ones(3))).sum().backward()


def _of_primitive(big: Any) -> None:
    @ad.primitive
    def scale(x: Any, k: Any = 1.0) -> Any:
        return x * big[0] * k

    ad.defvjp(scale, lambda g, out, x, k=1.0: g * big[0] * k)
    for k in (1.0, np.arange(3.0), [1.0, 2.0, 3.0]):
        scale(Tensor(np.ones(3)), k=k).sum().backward()


def _of_variadic_primitive(big: Any) -> None:
    @ad.primitive
    def add(*xs: Any) -> Any:
        return sum(xs) * big[0]

    ad.defvjp(add, lambda g, out, xs: [g * big[0] for _ in xs], variadic=True)
    add(Tensor(np.ones(3)), Tensor(np.ones(3))).sum().backward()


def _of_composition(big: Any) -> None:
    scale = ad.primitive(lambda x: x * big[0])
    defcomposition(scale, lambda x: x * big[0])
    ad.hessian(lambda x: np.sum(scale(x * x)))(np.ones(3))


def _of_transforms(big: Any) -> None:
    def function(x: Any) -> Any:
        return np.sum(ad.checkpoint(lambda x: np.tanh(x * big[0]))(x))

    x = np.ones(3)
    for call in (ad.grad(function), ad.hessian(function), lambda x: ad.jvp(function, (x,), (x,))):
        call(x + big[:3])


def _of_compile(big: Any) -> None:
    scale = ad.primitive(lambda x: x * big[0])
    ad.defvjp(scale, lambda g, out, x: g * big[0])
    compiled = ad.compile(ad.grad(lambda x: np.sum(scale(x))))
    for _ in range(2):
        compiled(np.ones(3))


def _of_drawing(big: Any) -> None:
    str(ad.draw(np.sum(Tensor(np.ones(3)) * big[:3])))


@pytest.mark.parametrize(
    "use",
    [
        _of_custom_vjp, _of_primitive, _of_variadic_primitive, _of_composition, _of_transforms, _of_compile,
        _of_drawing,
    ],
)  # fmt: skip
def test_a_function_that_nobody_has_any_more_is_forgotten(use: Callable[[Any], None]) -> None:
    before, files, found = set(FACTS), set(linecache.cache), []
    for _ in range(3):
        big = np.ones(100)
        found.append(weakref.ref(big))
        use(big)
        del big
    gc.collect()
    assert [one() for one in found] == [None] * 3
    assert set(FACTS) == before
    assert not [name for name in linecache.cache.keys() - files if name.startswith("<program of ")]


def test_what_wraps_a_primitive_has_not_its_rules() -> None:
    double = ad.primitive(lambda x: 2 * x)
    ad.defvjp(double, lambda g, out, x: 2 * g)

    @ad.primitive
    @functools.wraps(double)
    def square(x: Any) -> Any:
        return x * x

    with pytest.raises(NotImplementedError, match="has no derivative rule"):
        square(Tensor(3.0))
    ad.defvjp(square, lambda g, out, x: g * 2 * x)
    assert (ad.grad(square)(3.0), ad.grad(double)(3.0)) == (6.0, 2.0)
