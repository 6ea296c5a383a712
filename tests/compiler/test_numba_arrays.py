"""Steps compiled to machine code: arrays without numbers or axes, in any memory order, swapped, and precision."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from autodiff import Tensor
from autodiff.compiler import compile

RNG = np.random.default_rng(0)


def test_several_outputs_and_state_without_axes() -> None:
    scale = Tensor(2.0, name="scale")

    def step(x: Any) -> Any:
        scale.grad = None
        loss = ((x * scale - 1) ** 2).mean()
        loss.backward()
        scale.data = scale.data - 0.1 * scale.grad
        return loss, {"doubled": x * 2, "view": x.T, "rows": np.sort(x, axis=1)[::-1]}

    x = RNG.normal(size=(3, 4))
    saved = copy.deepcopy(scale.data)
    compiled = compile(step, state=scale, backend="numba")
    found = [compiled(x) for _ in range(2)]
    moved = scale.data
    scale.data = saved
    wanted = [step(x) for _ in range(2)]
    np.testing.assert_allclose(moved, scale.data, rtol=1e-12)
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(float(one[0]), float(other[0]), rtol=1e-12)
        for name, value in other[1].items():
            np.testing.assert_array_equal(one[1][name], value)


def test_results_are_not_overwritten_by_the_next_call() -> None:
    compiled = compile(lambda x: x * 2 + 1, backend="numba")
    first = compiled(np.ones(3))
    compiled(np.zeros(3))
    np.testing.assert_array_equal(first, [3.0, 3.0, 3.0])


@pytest.mark.parametrize("x", [np.ones((4, 3)).T, np.ones((6, 8))[::2, ::2], np.ones((3, 4), order="F")])
def test_inputs_in_any_memory_order(x: Any) -> None:
    weight = Tensor(np.arange(4.0).reshape(4, 1))
    x = x * np.arange(12.0).reshape(3, 4)
    compiled = compile(lambda x: (x @ weight, x + 1), state=weight, backend="numba")
    product, shifted = compiled(np.asarray(x))
    product, shifted = compiled(np.asfortranarray(x))
    np.testing.assert_allclose(product.data, x @ weight.data)
    np.testing.assert_allclose(shifted, x + 1)


def test_state_that_is_not_contiguous_is_changed_where_it_lies() -> None:
    memory = np.zeros((4, 6))
    part = memory[::2, ::3]

    def step() -> None:
        part[...] = part + 1

    compiled = compile(step, state=part, backend="numba")
    compiled()
    compiled()
    assert memory.sum() == 2 * part.size
    assert (part == 2).all()


def test_empty_arrays() -> None:
    compiled = compile(lambda x: (np.exp(x) + 1, np.sum(x, axis=0)), backend="numba")
    shifted, total = compiled(np.ones((0, 3)))
    assert shifted.shape == (0, 3)
    np.testing.assert_array_equal(total, np.zeros(3))


def test_swapped_state() -> None:
    one, other = np.zeros(3), np.ones(3)

    def step() -> None:
        kept = one + 0
        one[...] = other
        other[...] = kept

    compile(step, state=[one, other], backend="numba")()
    np.testing.assert_array_equal(one, np.ones(3))
    np.testing.assert_array_equal(other, np.zeros(3))


def test_matrix_that_is_read_transposed_while_it_is_updated() -> None:
    W = Tensor(np.arange(9.0).reshape(3, 3))

    def step() -> None:
        W.data = W.data + W.data.T

    wanted = W.data + W.data.T
    compile(step, state=W, backend="numba")()
    np.testing.assert_array_equal(W.data, wanted)


def test_sum_of_many_small_numbers_is_accurate() -> None:
    x = np.full((2000, 1000), 0.1, np.float32)
    total = compile(lambda x: np.sum(x * 1), backend="numba")(x)
    assert type(total) is np.float32
    assert abs(float(total) - 2e6 * float(np.float32(0.1))) < 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [np.exp, np.tanh])
def test_functions_of_our_own(function: Any, dtype: Any) -> None:
    special = [0, -0.0, 1e-30, np.inf, -np.inf, np.nan, 1000, -1000]
    x = np.concatenate([np.linspace(-100, 88, 5001), np.linspace(-0.1, 0.1, 501), special]).astype(dtype)
    with np.errstate(over="ignore"):
        found = compile(lambda x: function(x), backend="numba")(x)
        wanted = function(x.astype(np.longdouble)).astype(dtype)
    np.testing.assert_array_max_ulp(found[np.isfinite(wanted)], wanted[np.isfinite(wanted)], maxulp=4)
    np.testing.assert_array_equal(found[~np.isfinite(wanted)], wanted[~np.isfinite(wanted)])
