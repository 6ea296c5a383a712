"""How functions act on a batch, over the whole table of cases: what the loop over the members gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from tests.cases import CASES, Case
from tests.test_rules import is_float, several, weighted_sum

every_case = pytest.mark.parametrize("case", CASES, ids=str)
SIZE = 3


def places_of(case: Case) -> list[int]:
    return [k for k, arg in enumerate(case.args) if is_float(arg)]


def batch_of(case: Case, size: int = SIZE) -> list[Any]:
    """Give each argument that is differentiated for some members, which differ a little; ties stay ties."""
    args = list(case.args)
    for k in places_of(case):
        x = case.args[k]
        waves = np.sin(np.arange(1.0, x.size + 1)).reshape(x.shape) if case.order else np.ones(x.shape)
        factors = [1 + number / 64 * waves for number in range(size)]
        args[k] = np.array([x * factor for factor in factors], x.dtype).reshape(size, *x.shape)
    return args


def member_of(args: list[Any], axes: tuple[int | None, ...], number: int) -> list[Any]:
    return [arg if axis is None else arg[number] for arg, axis in zip(args, axes, strict=True)]


def ways(case: Case) -> Iterator[tuple[list[Any], tuple[int | None, ...]]]:
    """Give arguments and their axes: all with a batch, then each alone."""
    batch, places = batch_of(case), places_of(case)
    yield batch, tuple(0 if k in places else None for k in range(len(batch)))
    if len(places) > 1:
        for place in places:
            args = list(case.args)
            args[place] = batch[place]
            yield args, tuple(0 if k == place else None for k in range(len(args)))


def gradients_of(function: Callable[..., Any], places: list[int]) -> Callable[..., Any]:
    """Make the function that gives the gradients of the weighted sum of outputs."""
    return ad.grad(lambda *args: weighted_sum(several(function(*args))), argnums=tuple(places))


def outputs_of(function: Callable[..., Any], args: list[Any]) -> list[Any]:
    tensors = [Tensor(arg, requires_grad=False) if isinstance(arg, np.ndarray | np.floating) else arg for arg in args]
    return [out.data if isinstance(out, Tensor) else out for out in several(function(*tensors))]


def same(actual: Any, expected: Any, rtol: float, exact: bool = False) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if exact:
        np.testing.assert_array_equal(actual, expected)
    else:
        scale = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale)


@every_case
def test_a_batch_gives_what_the_loop_gives(case: Case) -> None:
    for args, axes in ways(case):
        value = outputs_of(ad.vmap(case.function, axes), args)
        loop = [outputs_of(case.function, member_of(args, axes, number)) for number in range(SIZE)]
        for ours, theirs in zip(value, zip(*loop, strict=True), strict=True):
            same(ours, np.stack(theirs), 1e-13)


@every_case
def test_gradients_of_a_batch_are_those_of_the_loop(case: Case) -> None:
    places = places_of(case)
    slopes = gradients_of(case.function, places)
    for args, axes in ways(case):
        inside = ad.vmap(slopes, axes)(*args)
        loop = [slopes(*member_of(args, axes, number)) for number in range(SIZE)]
        for ours, theirs in zip(inside, zip(*loop, strict=True), strict=True):
            same(ours, np.stack(theirs), 1e-12)
        variables = [Tensor(arg) if is_float(arg) else arg for arg in args]
        outputs = several(ad.vmap(case.function, axes)(*variables))
        sum(weighted_sum([out[number] for out in outputs]) for number in range(SIZE)).backward()
        for place, of_members in zip(places, zip(*loop, strict=True), strict=True):
            expected = np.sum(of_members, axis=0) if axes[place] is None else np.stack(of_members)
            same(variables[place].grad, expected, 1e-12)
