"""Programs bound to their state: hooks that come and go, results that are kept, threads, and memory."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from tests.compiler.trainings import ROWS, scaled

rng = np.random.default_rng(0)


# Hooks


def hooked_step() -> tuple[Tensor, Callable[..., Any]]:
    w = Tensor(np.array([1.0, 2.0]), name="w")

    def step(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        w.data = w.data - w.grad
        return w.grad

    return w, step


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_hooks_of_the_state_may_come_and_go(backend: str) -> None:
    w, step = hooked_step()
    compiled = ad.compile(step, state=w, backend=backend)
    x = np.array([1.0, 3.0])

    def check(factor: float) -> None:
        for _ in range(2):
            before = w.data.copy()
            np.testing.assert_array_equal(compiled(x), factor * x)
            np.testing.assert_array_equal(w.data, before - factor * x)

    check(1)
    hook = w.register_hook(lambda g: 10 * g)
    check(10)
    hook.remove()
    check(1)
    double = w.register_hook(lambda g: 2 * g)
    check(2)
    triple = w.register_hook(lambda g: 3 * g)
    check(6)
    double.remove()
    check(3)
    w.register_hook(lambda g: None)
    triple.remove()
    check(1)


def test_hooks_of_others_make_no_other_program() -> None:
    w, step = hooked_step()
    compiled = ad.compile(step, state=w)
    compiled(np.ones(2))

    def negated(g: Any) -> Any:
        return -g

    other = Tensor(1.0)
    for hook in (other.register_hook(negated), w.register_hook(negated), w.register_hook(negated)):
        compiled(np.ones(2))
        hook.remove()
        compiled(np.ones(2))
    assert repr(compiled).endswith("3 programs>")  # of the hooks of w, there were none, one and two


def test_what_a_hook_reads_is_watched() -> None:
    w, step = hooked_step()
    factor = 2.0
    hook = w.register_hook(lambda g: factor * g)
    compiled = ad.compile(step, state=w)
    np.testing.assert_array_equal(compiled(np.ones(2)), [2, 2])
    factor = 3.0
    with pytest.raises(RuntimeError, match=r"reads 'factor', which was 2\.0 when it was compiled and is now 3\.0"):
        compiled(np.ones(2))
    hook.remove()
    np.testing.assert_array_equal(compiled(np.ones(2)), [1, 1])


def test_hooks_of_arguments_count() -> None:
    def step(x: Any) -> Any:
        x.grad = None
        (x * x).sum().backward()
        return x.grad

    compiled = ad.compile(step)
    for factor in (None, 2.0, 3.0, None):
        x = Tensor(np.ones(2))
        if factor is not None:
            x.register_hook(lambda g, factor=factor: factor * g)  # type: ignore[misc]
        np.testing.assert_array_equal(compiled(x), np.full(2, 2 * (factor or 1)))


def test_a_step_that_changes_hooks_is_refused_and_they_are_as_before() -> None:
    w, step = hooked_step()
    hook = w.register_hook(lambda g: 2 * g)

    def registering(x: Any) -> Any:
        hook.remove()
        w.register_hook(lambda g: 3 * g)
        return step(x)

    with pytest.raises(TypeError, match="compile: the step changes the hooks of Tensor 'w'"):
        ad.compile(registering, state=w)(np.ones(2))
    np.testing.assert_array_equal(step(np.ones(2)), [2, 2])


# Calls


def test_results_are_the_callers() -> None:
    model, _, _ = scaled()
    compiled = ad.compile(lambda x: (np.tanh(x), x, x.T, model.weight.data, np.arange(2)), model)
    first = compiled(ROWS)
    copies = [np.array(result) for result in first]
    for result in compiled(2 * ROWS):
        result[...] = 7
    model.weight.data = np.zeros((2, 1), np.float32)
    for result, kept in zip(first, copies, strict=True):
        np.testing.assert_array_equal(result, kept)
    np.testing.assert_array_equal(compiled(ROWS)[4], np.arange(2))


def test_threads_do_not_mix_their_buffers() -> None:
    compiled = ad.compile(lambda x: np.tanh(np.tanh(x) @ x).sum(axis=0) * 2)
    inputs = [rng.normal(size=(40, 40)) for _ in range(4)]
    wanted = [np.tanh(np.tanh(x) @ x).sum(axis=0) * 2 for x in inputs]
    wrong = []

    def work(x: Any, right: Any) -> None:
        wrong.extend(x for _ in range(50) if not np.allclose(compiled(x), right))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_grows() -> None:
    model, optimizer, step = scaled()
    compiled = ad.compile(step, (model, optimizer))
    gc.collect()
    gc.disable()
    try:
        for _ in range(2500):
            compiled(ROWS)
        before = sys.getallocatedblocks()
        for _ in range(2000):
            compiled(ROWS)
        assert sys.getallocatedblocks() - before < 300
    finally:
        gc.enable()


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x[::-1]])
def test_state_that_shares_memory_is_refused(view: Callable[[Any], Any]) -> None:
    one, two = Tensor(np.ones(3), name="one"), Tensor(np.ones(3), name="two")

    def step(x: Any) -> None:
        one.data = one.data * x + two.data

    compiled = ad.compile(step, [one, two])
    both = np.zeros(6)
    one.data, two.data = both[::2], both[1::2]  # which share none
    compiled(2.0)
    two.data = view(one.data)
    with pytest.raises(RuntimeError, match="'one' and 'two' lie in the same memory"):
        compiled(2.0)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_compiled_step_is_not_copied(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="bound to its state and cannot be copied or pickled: compile it again"):
        duplicate(ad.compile(np.sin))
