"""Random graphs of random shapes, drawn by Hypothesis: their gradients against central differences and PyTorch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import (
    array_shapes,
    basic_indices,
    broadcastable_shapes,
    integer_array_indices,
    mutually_broadcastable_shapes,
)

import autodiff as ad
from autodiff import Tensor
from autodiff.core.tensor import is_inexact
from autodiff.testing import check_gradients
from tests.cases import CASES, Case
from tests.cases.points import several

few = settings(max_examples=25, deadline=None, derandomize=True, database=None)
many = settings(few, max_examples=100)

# Cases of the table that are smooth at their point, real, and that PyTorch has too: what programs are made of.
CALLS = [
    case
    for case in CASES
    if case.order == 2
    and case.torch is not None
    and all(arg.size for arg in case.args if isinstance(arg, np.ndarray))
    and all(map(np.isrealobj, several((case.plain or case.function)(*case.args))))
]
any_call = st.sampled_from(CALLS)  # one, since Hypothesis looks at all elements of each that is made


class Step(NamedTuple):
    """A call of the table, and which of the values before it feed its floating-point arguments."""

    case: Case
    sources: list[int]


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[Step], list[Any]]:
    """Draw a program of 3 to 40 calls, and the two arrays that it begins with."""
    seed = draw(st.integers(0, 1000))
    leaves = [np.random.default_rng((seed, k)).uniform(-1, 1, 3) for k in range(2)]
    steps = []
    for count in range(2, 2 + draw(st.integers(3, 40))):
        case = draw(any_call)
        floats = sum(is_inexact(arg) for arg in case.args)
        steps.append(Step(case, [draw(st.integers(max(0, count - 6), count - 1)) for _ in range(floats)]))
    return steps, leaves


def run(
    steps: list[Step], leaves: Any, torch: Any = None, scales: list[float] | None = None
) -> tuple[Any, list[float]]:
    """Run a program, by this library or by PyTorch.

    A value, flattened and repeated to the size of an argument, moves that argument a little away from the case's own
    point, where the function is known to be smooth. What comes out is scaled to at most one; the scales of one run are
    the constants of the next.
    """
    values = list(leaves)
    found = []
    for number, (case, sources) in enumerate(steps):
        feed = iter(sources)
        args = []
        for arg in case.args:
            if is_inexact(arg):
                value = values[next(feed)].reshape(-1)
                chosen = np.arange(arg.size) % value.shape[0]
                moved = value[chosen if torch is None else torch.from_numpy(chosen)].reshape(arg.shape)
                args.append((arg if torch is None else torch.from_numpy(arg)) + 0.1 * moved)
            else:
                args.append(arg if torch is None or not isinstance(arg, np.ndarray) else torch.from_numpy(arg))
        if torch is None:
            results = case.function(*args)
        else:
            results = getattr(torch, case.torch)(*args) if isinstance(case.torch, str) else case.torch(torch, *args)
        parts = [part.reshape(-1) for part in (results if isinstance(results, list | tuple) else [results])]
        parts = [part for part in parts if part.shape[0]] or values[-1:]  # some calls give nothing
        result = (np if torch is None else torch).concatenate(parts)
        if scales is None:
            found.append(max(1.0, float(np.max(np.abs(result.data)))))
        values.append(result / (scales or found)[number])
    return sum(value.sum() * (k + 1) for k, value in enumerate(values)), scales or found


@many
@given(program=programs())
def test_gradients_of_random_programs(program: Any) -> None:
    steps, leaves = program
    _, scales = run(steps, [Tensor(leaf, requires_grad=False) for leaf in leaves])
    assume(np.isfinite(scales).all())
    check_gradients(lambda *xs: run(steps, xs, scales=scales)[0], *leaves, rtol=1e-5, atol=1e-6)


@many
@given(program=programs())
def test_first_and_second_gradients_of_random_programs_are_pytorchs(program: Any) -> None:
    torch = pytest.importorskip("torch")
    steps, leaves = program
    ours = [Tensor(leaf) for leaf in leaves]
    total, scales = run(steps, ours)
    assume(np.isfinite(scales).all())
    total.backward(create_graph=True)
    first = [leaf.grad for leaf in ours]
    for leaf in ours:
        leaf.grad = None
    our_total = sum(((g * g).sum() for g in first), Tensor(0.0, requires_grad=False))
    if our_total.requires_grad:
        our_total.backward()
    theirs = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
    options: dict[str, Any] = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    expected, _ = run(steps, theirs, torch, scales)
    their_first = torch.autograd.grad(expected, theirs, **options)
    their_total = sum((g * g).sum() for g in their_first)
    their_second = torch.autograd.grad(their_total, theirs, **options) if their_total.requires_grad else None
    np.testing.assert_allclose(total.data, expected.item(), rtol=1e-9)
    for k, leaf in enumerate(ours):
        np.testing.assert_allclose(first[k].data, their_first[k].numpy(force=True), rtol=1e-7, atol=1e-9)
        if their_second is not None:
            second = 0.0 if leaf.grad is None else leaf.grad
            np.testing.assert_allclose(second, their_second[k].numpy(force=True), rtol=1e-6, atol=1e-8)


@few
@given(
    shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=4, min_side=0, max_side=3),
    function=st.sampled_from(
        [np.add, np.subtract, np.multiply, np.divide, np.logaddexp, np.maximum, np.where, np.clip]
    ),
)
def test_broadcasting(shapes: Any, function: Any) -> None:
    rng = np.random.default_rng(0)
    x, y, z = (np.array(rng.uniform(0.5, 2, shape)) for shape in shapes.input_shapes)
    call = {
        np.where: lambda x, y, z: np.where(x.data > 1, y, z) if isinstance(x, Tensor) else np.where(x > 1, y, z),
        np.clip: lambda x, y, z: np.clip(x, y - 1, z + 1),
    }.get(function, lambda x, y, z: function(function(x, y), z))
    check_gradients(call, x, y, z, rtol=1e-5, atol=1e-6)


@few
@given(data=st.data())
def test_broadcast_to(data: Any) -> None:
    shape = data.draw(array_shapes(min_dims=0, max_dims=3, max_side=3))
    wider = np.broadcast_shapes(shape, data.draw(broadcastable_shapes(shape, max_dims=4, max_side=3)))
    check_gradients(lambda x: np.broadcast_to(x * x, wider), np.ones(shape), order=2)


@few
@given(data=st.data())
def test_reductions(data: Any) -> None:
    shape = data.draw(array_shapes(max_dims=4, max_side=3))
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda k: k % len(shape)).map(tuple))
    function = data.draw(st.sampled_from([np.sum, np.mean, np.prod, np.max, np.min, np.var]))
    keepdims = data.draw(st.booleans())
    x = np.random.default_rng(len(shape)).permutation(np.arange(1.0, 1 + np.prod(shape))).reshape(shape) / 10
    axis = data.draw(st.sampled_from([axes, None]))
    check_gradients(lambda x: function(x, axis=axis, keepdims=keepdims), x, order=2, rtol=1e-5, atol=1e-6)


@few
@given(data=st.data())
def test_products_of_stacks(data: Any) -> None:
    batch = data.draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=2)).input_shapes
    n, k, m = (data.draw(st.integers(0, 3)) for _ in range(3))
    rng = np.random.default_rng(0)
    check_gradients(np.matmul, rng.normal(size=(*batch[0], n, k)), rng.normal(size=(*batch[1], k, m)), order=2)


@few
@given(data=st.data())
def test_indices(data: Any) -> None:
    shape = data.draw(array_shapes(max_dims=3, max_side=4))
    index = data.draw(basic_indices(shape, allow_newaxis=True) | integer_array_indices(shape))
    x = np.random.default_rng(0).normal(size=shape)
    y = ad.grad(lambda x: (x[index] * 2).sum())(x)
    expected = np.zeros(shape)
    np.add.at(expected, index, 2.0)
    np.testing.assert_array_equal(y, expected)
    check_gradients(lambda x: x[index] ** 2, x, order=2)
