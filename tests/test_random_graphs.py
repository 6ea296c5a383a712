"""Random graphs of random shapes, drawn by Hypothesis: their gradients against central differences and PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
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
from autodiff.testing import check_gradients

few = settings(max_examples=25, deadline=None, derandomize=True, database=None)

# Smooth functions whose values stay within [-2, 2] or so, so that central differences are exact enough anywhere. Each
# is written for arrays and torch tensors alike.
UNARY: dict[str, Callable[..., Any]] = {
    "tanh": lambda m, x: m.tanh(x),
    "sin": lambda m, x: m.sin(x),
    "gauss": lambda m, x: m.exp(-x * x),
    "rational": lambda m, x: x / (1 + x * x),
    "logarithm": lambda m, x: m.log(1.5 + m.cos(x)),
    "root": lambda m, x: m.sqrt(1 + x * x) - 1,
    "transpose": lambda m, x: x.T if x.ndim == 2 else x,
    "roll": lambda m, x: m.concatenate([m.ravel(x)[1:], m.ravel(x)[:1]]),
    "ravel": lambda m, x: m.ravel(x),
    "first": lambda m, x: x[0] if x.ndim else x,
    "centred": lambda m, x: x - m.mean(x),
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": lambda m, x, y: (x + y) / 2,
    "subtract": lambda m, x, y: (x - y) / 2,
    "multiply": lambda m, x, y: x * y,
    "divide": lambda m, x, y: x / (2 + m.sin(y)),
    "logaddexp": lambda m, x, y: m.logaddexp(x, y) - 1,
    "power": lambda m, x, y: (1.5 + m.sin(x)) ** m.tanh(y),
    "outer": lambda m, x, y: m.tanh(m.reshape(x, (-1, 1)) @ m.reshape(y, (1, -1))),
    "dot": lambda m, x, y: m.tanh(m.reshape(x, (1, -1)) @ m.reshape(x, (-1, 1))) * y,
    "concatenate": lambda m, x, y: m.concatenate([m.ravel(x), m.ravel(y)]),
}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[str, int, int]], list[Any]]:
    """Draw the steps of a graph, each a function and which of the values before it takes, and the leaves."""
    shapes = draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    seed = draw(st.integers(0, 1000))
    leaves = [np.array(np.random.default_rng((seed, k)).uniform(-1, 1, shape)) for k, shape in enumerate(shapes)]
    steps = []
    for count in range(2, 2 + draw(st.integers(3, 15))):
        name = draw(st.sampled_from([*UNARY, *BINARY]))
        steps.append((name, draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))))
    return steps, leaves


def run(module: Any, steps: list[tuple[str, int, int]], leaves: Any) -> Any:
    """Compute the graph; where two values do not broadcast, the second gives way to its mean."""
    values = list(leaves)
    for name, first, second in steps:
        x, y = values[first], values[second]
        if name in UNARY:
            values.append(UNARY[name](module, x))
            continue
        try:
            np.broadcast_shapes(tuple(x.shape), tuple(y.shape))
        except ValueError:
            y = module.mean(y)
        result = BINARY[name](module, x, y)
        values.append(result if np.prod(tuple(result.shape)) <= 40 else module.mean(result))
    unused = 0 * (module.sum(values[0]) + module.sum(values[1]))  # so that every leaf has a gradient
    return sum((module.sum(value) * (k + 1) for k, value in enumerate(values[-3:])), unused)


@few
@given(graph=graphs())
def test_gradients_of_random_graphs(graph: Any) -> None:
    steps, leaves = graph
    check_gradients(lambda *xs: run(np, steps, xs), *leaves, rtol=1e-5, atol=1e-6)


@few
@given(graph=graphs())
def test_first_and_second_gradients_of_random_graphs_are_pytorchs(graph: Any) -> None:
    torch = pytest.importorskip("torch")
    steps, leaves = graph
    ours = [Tensor(leaf) for leaf in leaves]
    total = run(np, steps, ours)
    total.backward(create_graph=True)
    first = [leaf.grad for leaf in ours]
    for leaf in ours:
        leaf.grad = None
    our_total = sum((g.sum() for g in first), Tensor(0.0, requires_grad=False))
    if our_total.requires_grad:
        our_total.backward()
    theirs = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
    options: dict[str, Any] = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    expected = run(torch, steps, theirs)
    their_first = torch.autograd.grad(expected, theirs, **options)
    their_total = sum(g.sum() for g in their_first)
    their_second = torch.autograd.grad(their_total, theirs, **options) if their_total.requires_grad else None
    np.testing.assert_allclose(total.data, expected.item(), rtol=1e-10)
    for k, leaf in enumerate(ours):
        np.testing.assert_allclose(first[k].data, their_first[k].numpy(force=True), rtol=1e-8, atol=1e-9)
        if their_second is not None:
            second = 0.0 if leaf.grad is None else leaf.grad
            np.testing.assert_allclose(second, their_second[k].numpy(force=True), rtol=1e-7, atol=1e-8)


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
