"""vmap as users call it: axes, containers, what goes in and comes out, random numbers, and what is refused."""

from __future__ import annotations

import copy
import functools
import gc
import math
import pickle
import threading
import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.batching.array import NotOneNumberError

X = np.linspace(-1.0, 2.0, 12).reshape(4, 3)
Y = np.linspace(1.0, 3.0, 12).reshape(4, 3)
W = np.linspace(-1.0, 1.0, 6).reshape(3, 2)
vmap: Any = ad.vmap  # for what type checkers refuse

Pair = namedtuple("Pair", "a b")


@dataclass
class Layer:
    w: Any
    b: Any
    name: Any = None


@dataclass(frozen=True)
class Frozen:
    w: Any
    b: Any


def mix(x: Any, y: Any) -> Any:
    return np.tanh(x * y) + np.sum(x) * y


def loop(f: Callable[..., Any], *columns: Any) -> Any:
    return np.stack([f(*row) for row in zip(*columns, strict=True)])


# Axes


@pytest.mark.together("axis_x", [0, 1, 2, -1, -2, -3])
@pytest.mark.together("axis_y", [0, 1, -1])
@pytest.mark.together("out", [0, 1, -1, -2])
def test_the_batch_lies_along_any_axis(axis_x: int, axis_y: int, out: int) -> None:
    x, y = np.arange(24.0).reshape(4, 2, 3), np.arange(8.0).reshape(4, 2)
    expected = np.stack([np.outer(a.sum(1), b) for a, b in zip(x, y, strict=True)], axis=out)
    x, y = np.moveaxis(x, 0, axis_x), np.moveaxis(y, 0, axis_y)
    found = ad.vmap(lambda a, b: np.outer(a.sum(1), b), in_axes=(axis_x, axis_y), out_axes=out)(x, y)
    np.testing.assert_array_equal(found, expected)
    tensors = Tensor(x), Tensor(y)
    of_tensors = ad.vmap(lambda a, b: np.outer(a.sum(1), b), in_axes=[axis_x, axis_y], out_axes=out)(*tensors)
    assert isinstance(of_tensors, Tensor)
    np.testing.assert_array_equal(of_tensors.data, expected)


def test_what_is_shared_has_none_for_its_axis() -> None:
    np.testing.assert_array_equal(ad.vmap(mix, in_axes=(0, None))(X, Y[0]), loop(mix, X, [Y[0]] * 4))
    np.testing.assert_array_equal(ad.vmap(mix, in_axes=(None, 0))(X[0], Y), loop(mix, [X[0]] * 4, Y))
    np.testing.assert_array_equal(ad.vmap(lambda x, k: x * k, in_axes=(0, None))(X, 3), X * 3)
    np.testing.assert_array_equal(ad.vmap(lambda x, how: getattr(x, how)(), in_axes=(0, None))(X, "sum"), X.sum(1))


def test_a_shared_argument_is_the_object_that_was_given() -> None:
    log: list[int] = []
    settings: dict[str, Any] = {"list": log, "layer": Layer(W, 0.0)}

    def f(x: Any, given: Any) -> Any:
        assert given is settings
        given["list"].append(x.ndim)
        return x

    ad.vmap(f, in_axes=(0, None))(X, settings)
    assert log == [1]


CONTAINERS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], Any]]] = {
    "list": (lambda w, b: [w, b], lambda tree: (tree[0], tree[1])),
    "tuple": (lambda w, b: (w, b), lambda tree: (tree[0], tree[1])),
    "named tuple": (Pair, lambda tree: (tree.a, tree.b)),
    "dict": (lambda w, b: {"w": w, "b": b}, lambda tree: (tree["w"], tree["b"])),
    "ordered dict": (lambda w, b: OrderedDict(w=w, b=b), lambda tree: (tree["w"], tree["b"])),
    "dataclass": (Layer, lambda tree: (tree.w, tree.b)),
    "frozen dataclass": (Frozen, lambda tree: (tree.w, tree.b)),
    "nested": (lambda w, b: {"one": [w, None], "two": (Layer(b, None),)}, lambda t: (t["one"][0], t["two"][0].w)),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_go_in_and_come_out(kind: str) -> None:
    make, open_ = CONTAINERS[kind]
    tree = make(X, Y)

    def f(one: Any) -> Any:
        assert type(one) is type(tree)
        x, y = open_(one)
        return make(mix(x, y), x)

    found = ad.vmap(f)(tree)
    assert type(found) is type(tree)
    np.testing.assert_array_equal(open_(found)[0], loop(mix, X, Y))
    np.testing.assert_array_equal(open_(found)[1], X)
    # One axis for each array, in a container of the same form, for arguments and outputs.
    axes = make(0, 1)
    found = ad.vmap(f, in_axes=(axes,), out_axes=axes)(make(X, Y.T))
    np.testing.assert_array_equal(open_(found)[0], loop(mix, X, Y))
    np.testing.assert_array_equal(open_(found)[1], X.T)
    # What is shared within a container.
    found = ad.vmap(lambda one: mix(*open_(one)), in_axes=(make(0, None),))(make(X, Y[0]))
    np.testing.assert_array_equal(found, loop(mix, X, [Y[0]] * 4))


def test_axes_for_parts_of_containers() -> None:
    parameters = {"w": W, "layers": [np.ones((4, 2)), Layer(np.ones((2, 4)), np.float64(2.0))]}
    axes = {"w": None, "layers": [0, Layer(1, None)]}

    def f(p: Any, x: Any) -> Any:
        return x @ p["w"] * p["layers"][0] + p["layers"][1].w * p["layers"][1].b

    np.testing.assert_allclose(ad.vmap(f, in_axes=(axes, 0))(parameters, X), X @ W + 2.0, rtol=1e-15)


def test_keyword_arguments_are_shared_or_mapped() -> None:
    def f(x: Any, *, y: Any = 2.0, z: Any = 1.0) -> Any:
        return np.sum(x * y) + z

    np.testing.assert_array_equal(ad.vmap(f)(X), loop(f, X))
    np.testing.assert_array_equal(ad.vmap(f)(X, y=Y[0]), loop(lambda x: f(x, y=Y[0]), X))
    one_for_all = ad.vmap(f, kwargs_axes=0)(X, y=Y, z=Y[:, 0])
    np.testing.assert_array_equal(one_for_all, loop(lambda x, y: f(x, y=y, z=y[0]), X, Y))
    by_name = ad.vmap(f, kwargs_axes={"y": 1})(X, y=Y.T, z=np.float64(5.0))
    np.testing.assert_array_equal(by_name, loop(lambda x, y: f(x, y=y, z=5.0), X, Y))
    only = ad.vmap(lambda *, tree: tree["a"] * tree["b"], kwargs_axes={"tree": {"a": 0, "b": None}})
    np.testing.assert_array_equal(only(tree={"a": X, "b": Y[0]}), X * Y[0])
    y = Tensor(Y)
    ad.vmap(f, kwargs_axes=0)(X, y=y).sum().backward()
    np.testing.assert_array_equal(y.grad, X)


# What comes out


def test_outputs_that_do_not_depend_on_the_batch() -> None:
    shared = np.arange(3.0)
    found = ad.vmap(lambda x: (x, shared, 1.0, True, 7, np.float32(2)))(X)
    assert [type(one) for one in found] == [np.ndarray] * 6
    assert [one.shape for one in found] == [(4, 3), (4, 3), (4,), (4,), (4,), (4,)]
    assert [one.dtype for one in found] == [float, float, float, bool, int, np.float32]
    np.testing.assert_array_equal(found[1], [shared] * 4)
    x, once, number = ad.vmap(lambda x: (x, shared, 3.0), out_axes=(0, None, None))(X)
    assert x.shape == (4, 3)
    assert number == 3.0
    np.testing.assert_array_equal(once, shared)
    w = Tensor(W)
    each, once = ad.vmap(lambda x: (w * 2.0, np.sum(w * w)), out_axes=(0, None))(X)
    (each.sum() + once).backward()
    np.testing.assert_allclose(w.grad, 4 * 2.0 + 2 * W, rtol=1e-15)  # the one came four times, the other once


def test_arrays_come_out_where_arrays_go_in_and_tensors_where_tensors_do() -> None:
    assert type(ad.vmap(np.sin)(X)) is np.ndarray
    assert type(ad.vmap(np.sum)(X)) is np.ndarray
    found = ad.vmap(np.sum)(Tensor(X))
    assert type(found) is Tensor
    assert type(found.data) is np.ndarray
    assert found.requires_grad
    assert not ad.vmap(np.sum)(Tensor(X, requires_grad=False)).requires_grad
    both = ad.vmap(lambda x, y: (np.sin(x), np.sin(y)))(Tensor(X), Y)
    assert [type(one) for one in both] == [Tensor, np.ndarray]
    with ad.no_grad():
        assert not ad.vmap(np.sum)(Tensor(X)).requires_grad
    assert type(ad.vmap(np.argmax)(Tensor(X))) is np.ndarray


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_, np.complex128])
def test_dtypes_are_those_of_the_loop(dtype: Any) -> None:
    x = X.astype(dtype)
    for f in (lambda x: x, lambda x: x[0] * 2, lambda x: x + 1.5, np.sum, np.mean, lambda x: x * np.float32(2)):
        expected = loop(f, x)
        found = ad.vmap(f)(x)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [0, 1])
def test_batches_of_none_and_of_one(size: int) -> None:
    x, y = X[:size], Tensor(Y[:size])
    found = ad.vmap(lambda x, y: (mix(x, y), np.linalg.inv(np.eye(3) + np.outer(x, x)), x.sum()))(x, y)
    assert [one.shape for one in found] == [(size, 3), (size, 3, 3), (size,)]
    assert [one.dtype for one in found] == [float] * 3
    found[0].sum().backward()
    assert y.grad.shape == (size, 3)
    np.testing.assert_allclose(
        y.grad, Y[:size] * 0 + loop(lambda x, y: ad.grad(lambda y: mix(x, y).sum())(y), X, Y)[:size]
    )
    assert ad.vmap(ad.grad(lambda x: np.sum(x**3)))(x).shape == (size, 3)
    assert ad.vmap(ad.hessian(lambda x: np.sum(x**3)))(x).shape == (size, 3, 3)
    w = Tensor(W)
    ad.vmap(lambda x: x @ w)(x).sum().backward()
    np.testing.assert_allclose(w.grad, np.outer(x.sum(0), np.ones(2)), atol=1e-15)
    assert ad.vmap(mix, chunk_size=3)(x, Y[:size]).shape == (size, 3)


def test_results_share_no_memory_with_arguments_nor_with_each_other() -> None:
    x = X.copy()
    shared = np.arange(3.0)
    for f in (lambda x: x, lambda x: x[::-1], lambda x: (x, x), lambda x: shared, lambda x: [x.reshape(3, 1), x.T]):
        for options in ({}, {"chunk_size": 2}, {"out_axes": -1}):
            found = vmap(f, **options)(x)
            for one in found if isinstance(found, tuple | list) else [found]:
                assert one.flags.writeable
                one[...] = 99.0
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(shared, np.arange(3.0))
    first, second = ad.vmap(lambda x: (y := x * 2.0, y))(x)
    first[...] = 0.0
    np.testing.assert_array_equal(second, 2 * X)
    once = ad.vmap(lambda x, w: (x, w), in_axes=(0, None), out_axes=(0, None))(x, shared)[1]
    once[...] = 99.0
    np.testing.assert_array_equal(shared, np.arange(3.0))


# Functions


class Scale:
    def __init__(self, by: Any) -> None:
        self.by = by

    def times(self, x: Any) -> Any:
        return x * self.by

    def __call__(self, x: Any) -> Any:
        return x * self.by


def test_functions_of_all_kinds() -> None:
    scale = Scale(3.0)
    model = nn.MLP([3, 5, 2], activation="tanh", rng=0)
    for f in (scale.times, scale, functools.partial(mix, y=Y[0]), functools.partial(np.multiply, 3.0), np.sin, model,
              np.linalg.norm, ad.grad(np.sum), model.layers[0] if hasattr(model, "layers") else np.cos):  # fmt: skip
        found: Any = ad.vmap(f)(X)
        expected: Any = [f(x) for x in X]
        if isinstance(found, Tensor):
            found, expected = found.data, [one.data for one in expected]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)

    def documented(x: Any) -> Any:
        """Double it."""
        return 2 * x

    assert ad.vmap(documented).__name__ == "documented"
    assert ad.vmap(documented).__doc__ == "Double it."


def test_gradients_of_a_module_are_those_of_its_own_batch() -> None:
    model = nn.MLP([3, 5, 2], activation="tanh", rng=0)
    np.square(ad.vmap(model)(X.astype(np.float32))).sum().backward()
    found = [p.grad for p in model.parameters()]
    for p in model.parameters():
        p.grad = None
    np.square(model(X.astype(np.float32))).sum().backward()
    for one, p in zip(found, model.parameters(), strict=True):
        np.testing.assert_allclose(one, p.grad, rtol=1e-5, atol=1e-6)


# In pieces


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_chunks_give_what_all_at_once_gives(size: int) -> None:
    w = Tensor(W)

    def f(x: Any, y: Any) -> Any:
        return {"a": np.tanh(x @ w), "b": [x * y, 2.0]}

    axes = {"a": 1, "b": [0, None]}
    found = ad.vmap(f, in_axes=(1, 0), out_axes=axes, chunk_size=size)(X.T, Tensor(Y))
    whole = ad.vmap(f, in_axes=(1, 0), out_axes=axes)(X.T, Tensor(Y))
    np.testing.assert_array_equal(found["a"].data, whole["a"].data)
    np.testing.assert_array_equal(found["b"][0].data, whole["b"][0].data)
    assert found["b"][1] == 2.0
    (found["a"].sum() + found["b"][0].sum()).backward()
    expected = ad.grad(lambda w: np.tanh(X @ w).sum())(W)
    np.testing.assert_allclose(w.grad, expected, rtol=1e-14)


def test_memory_is_bounded_by_chunks() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(x.array.shape[0])
        return x

    ad.vmap(f, chunk_size=3)(np.ones((10, 2)))
    assert seen == [3, 3, 3, 1]
    gradient = ad.vmap(ad.grad(lambda w, x: np.sum(np.tanh(x @ w))), in_axes=(None, 0), chunk_size=2)(W, X)
    np.testing.assert_array_equal(gradient, loop(lambda x: ad.grad(lambda w: np.sum(np.tanh(x @ w)))(W), X))


# Random numbers

GENERATOR = np.random.default_rng(0)


class Drawer:
    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def draw(self, x: Any) -> Any:
        return x + self.rng.random()


def draws_by_itself(rng: Any) -> dict[str, Callable[[Any], Any]]:
    def helper() -> Any:
        return rng.normal()

    def with_default(x: Any, rng: Any = rng) -> Any:
        return x + rng.random()

    return {
        "closure": lambda x: x + rng.normal(size=3),
        "helper": lambda x: x + helper(),
        "global": lambda x: x + GENERATOR.random(),
        "partial": functools.partial(lambda rng, x: x + rng.random(), rng),
        "method": Drawer(rng).draw,
        "np.random": lambda x: x + np.random.random(),
        "np.random.normal": lambda x: x + np.random.normal(),
        "inside grad": ad.grad(lambda x: np.sum(x * rng.random())),
        "default": with_default,
    }


@pytest.mark.parametrize("kind", draws_by_itself(np.random.default_rng(0)))
@pytest.mark.parametrize("of", ["PCG64", "MT19937", "Philox", "SFC64", "RandomState"])
def test_draws_of_the_function_itself_are_refused_or_the_same_for_all(kind: str, of: str) -> None:
    rng = np.random.RandomState(3) if of == "RandomState" else np.random.Generator(getattr(np.random, of)(3))
    f = draws_by_itself(rng)[kind]
    np.random.seed(5)
    np.random.normal()  # the next normal number is kept already
    states = np.random.get_state(), copy.deepcopy(GENERATOR.bit_generator.state), pickle.dumps(rng)
    for randomness in ("error", "different"):
        with pytest.raises(RuntimeError, match=r"draws random numbers from .*draw before, and give the numbers as"):
            vmap(f, randomness=randomness)(X)
        # As if nothing had been drawn
        assert str(np.random.get_state()) == str(states[0])
        assert GENERATOR.bit_generator.state == states[1]
        assert pickle.dumps(rng) == states[2]
    found = ad.vmap(f, randomness="same")(X)
    assert str(np.random.get_state()) != str(states[0]) or pickle.dumps(rng) != states[2] or kind == "global"
    noise = found - X if kind != "inside grad" else found
    assert noise[0].any()
    np.testing.assert_allclose(noise, np.broadcast_to(noise[0], (4, 3)), atol=1e-12)
    in_parts = ad.vmap(f, randomness="same", chunk_size=3)(X)
    noise = in_parts - X if kind != "inside grad" else in_parts
    np.testing.assert_allclose(noise, np.broadcast_to(noise[0], (4, 3)), atol=1e-12)


def test_what_draws_nothing_is_not_refused() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=3)
    np.testing.assert_array_equal(ad.vmap(lambda x: x + numbers)(X + np.random.random((4, 3)) * 0), X + numbers)
    np.testing.assert_array_equal(ad.vmap(lambda x, r: x, in_axes=(0, None))(X, rng), X)
    noise = rng.normal(size=(4, 3))
    np.testing.assert_array_equal(ad.vmap(np.add)(X, noise), X + noise)


def test_what_the_library_draws_is_drawn_for_each_or_for_all() -> None:
    from autodiff.batching.array import drawn

    rng = np.random.default_rng(0)

    def f(x: Any) -> Any:
        return x + drawn(lambda shape: rng.normal(size=shape), (3,), x)

    with pytest.raises(RuntimeError, match='randomness="different"'):
        ad.vmap(f)(X)
    noise = ad.vmap(f, randomness="different")(X) - X
    assert len(set(noise[:, 0])) == 4
    noise = ad.vmap(f, randomness="different", chunk_size=3)(X) - X
    assert len(set(noise[:, 0])) == 4
    noise = ad.vmap(f, randomness="same")(0 * X)
    np.testing.assert_array_equal(noise, np.broadcast_to(noise[0], (4, 3)))
    with pytest.raises(RuntimeError, match="chunk_size, the parts of the batch would not draw the same"):
        ad.vmap(f, randomness="same", chunk_size=2)(X)
    # Of two batches, each says it for itself.
    found = ad.vmap(lambda x: ad.vmap(f, randomness="same")(x), randomness="different")(np.zeros((2, 4, 3)))
    assert found.shape == (2, 4, 3)
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1], found.shape))
    assert found[0, 0, 0] != found[1, 0, 0]
    # Beside what the library draws, what the function draws is still seen.
    with pytest.raises(RuntimeError, match="from a Generator, once"):
        ad.vmap(lambda x: f(x) * rng.normal(), randomness="different")(X)
    with pytest.raises(RuntimeError, match="from a Generator, once"):
        ad.vmap(lambda x: rng.normal() * f(x), randomness="different")(X)


# What Python does to numbers and arrays

FLAT = np.array([1.0, 2.0, 3.0])


def stored(x: Any) -> Any:
    out = np.zeros(3)
    out[0] = x[0]
    return out


def stored_whole(x: Any) -> Any:
    out = np.zeros(3)
    out[:] = x
    return out


def added_into(x: Any) -> Any:
    out = np.zeros(3)
    out += x
    return out


def changed(x: Any) -> Any:
    x[0] = 1.0
    return x


def added_to(x: Any) -> Any:
    y = x * 1.0
    y += 1.0
    return y


def copied_into(x: Any) -> Any:
    out = np.zeros(3)
    np.copyto(out, x)
    return out


def of_closure(x: Any) -> Any:
    return ad.primitive(lambda a: a * x)(x)


REFUSED: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "if": (lambda x: x if x[0] > 0 else -x, NotOneNumberError, r"bool\(\) of .*use np.where"),
    "while": (lambda x: [None for _ in iter(lambda: bool(x[0]), False)], NotOneNumberError, "np.where"),
    "and": (lambda x: x[0] > 0 and x[1] > 0, NotOneNumberError, "np.logical_and"),
    "not": (lambda x: not x[0], NotOneNumberError, "np.where"),
    "chained comparison": (lambda x: 0 < x[0] < 1, NotOneNumberError, "np.logical_and"),
    "all": (lambda x: all(x > 0), NotOneNumberError, "np.where"),
    "float": (lambda x: float(x[0]), NotOneNumberError, "batch of 4 arrays of shape .*NumPy's functions"),
    "int": (lambda x: int(x[0]), NotOneNumberError, "each member has its own"),
    "complex": (lambda x: complex(x[0]), (NotOneNumberError, TypeError), "own|complex"),
    "item": (lambda x: x[0].item(), NotOneNumberError, "each member has its own"),
    "tolist": (lambda x: x.tolist(), NotOneNumberError, "each member has its own"),
    "math": (lambda x: math.sin(x[0]), NotOneNumberError, "np.sin for math.sin"),
    "range": (lambda x: range(x[0]), (NotOneNumberError, TypeError), "each member has its own|integer"),
    "asarray": (lambda x: np.asarray(x), TypeError, "plain array"),
    "array": (lambda x: np.array([x[0], x[1]]), TypeError, "np.stack"),
    "vectorize": (lambda x: np.vectorize(lambda v: v)(x), TypeError, "plain array"),
    "sorted": (sorted, NotOneNumberError, "np.where"),
    "max": (max, NotOneNumberError, "np.where"),
    "in": (lambda x: 1.0 in x, NotOneNumberError, "np.where"),
    "format": (lambda x: f"{x[0]:.2f}", NotOneNumberError, "each member has its own"),
    "store": (stored, TypeError, "np.stack"),
    "store whole": (stored_whole, TypeError, "np.stack"),
    "add into": (added_into, TypeError, "out"),
    "copyto": (copied_into, (TypeError, NotImplementedError), "copyto: a batched|copyto has no derivative"),
    "index of a list": (lambda x: [1, 2, 3][x[0]], (NotOneNumberError, TypeError), "np.take|integers"),
    "index of an array": (lambda x: FLAT[x > 0], (NotOneNumberError, TypeError, IndexError), "np.take|"),
    "pickle": (pickle.dumps, (NotOneNumberError, TypeError), "own|leaf"),
    "closure of a primitive": (of_closure, (TypeError, NotImplementedError), "that it is not given|has no derivative"),
    "generator": (lambda x: (x for _ in range(2)), TypeError, "must return arrays, Tensors or numbers, got generator"),
    "text": (lambda x: "text", TypeError, "got str for the output"),
    "function": (lambda x: {"f": np.sin}, TypeError, r"for the output\['f'\]"),
    "set": (lambda x: {1, 2}, TypeError, "got set"),
}


@pytest.mark.together("kind", REFUSED)
@pytest.mark.together("make", [np.asarray, Tensor])
def test_what_asks_for_one_number_is_refused(kind: str, make: Callable[[Any], Any]) -> None:
    f, error, text = REFUSED[kind]
    with pytest.raises(error, match=text):
        ad.vmap(f)(make(X))


OF_ARRAYS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "store": (changed, r"x\[i\] = v.*np.where.*x.at\[index\].set"),
    "add": (added_to, "add=: a batched array is not written into"),
    "sort": (lambda x: x.sort(), "a method that writes"),
    "fill": (lambda x: x.fill(1.0), "a method that writes"),
    "out": (lambda x: np.add(x, 1.0, out=x), "add with out="),
    "add.at": (lambda x: np.add.at(x, 0, 1.0), "add.at"),
    "put": (lambda x: np.put(x, 0, 1.0), "put"),
    "fill_diagonal": (lambda x: np.fill_diagonal(np.outer(x, x), 0.0), "fill_diagonal"),
    "put_along_axis": (lambda x: np.put_along_axis(x, np.array([0]), 1.0, 0), "put_along_axis"),
}


@pytest.mark.parametrize("kind", OF_ARRAYS)
def test_writing_into_a_batched_array_is_refused(kind: str) -> None:
    f, text = OF_ARRAYS[kind]
    before = X.copy()
    with pytest.raises(TypeError, match=text):
        ad.vmap(f)(before)
    np.testing.assert_array_equal(before, X)


def running_sum(x: Any) -> Any:
    total = 0.0
    for one in x:
        total += one * total + one
    return total


def pairs_of(x: Any) -> Any:
    first, *others = x
    return first + sum(others) * len(x)


ALLOWED: dict[str, Callable[[Any], Any]] = {
    "running sum": running_sum,
    "unpacking": pairs_of,
    "sum": sum,
    "abs": lambda x: abs(x[0]),
    "shape": lambda x: np.zeros(x.shape) + np.zeros(np.shape(x)) + x.ndim + x.size + len(x) + x,
    "text": lambda x: x * (len(f"{x}") > 0) + (repr(x[0]) == ""),
    "dtype": lambda x: np.ones(3, x.dtype) * x,
    "copy": lambda x: copy.copy(x) * copy.deepcopy(x) + copy.deepcopy({"x": [x]})["x"][0],
    "data": lambda x: getattr(x, "_array", x) * 2,
    "isinstance": lambda x: x * (2 if isinstance(x, list) else 3),
    "fromfunction": lambda x: np.fromfunction(lambda i, j: i + 2 * j, (3, 3)) @ x,
    "stack of items": lambda x: np.stack([x[0], 1.0, x[2]]),
    "divmod": lambda x: divmod(x, 2.0)[1] + divmod(7.0, x + 3)[0],
    "mT": lambda x: (np.outer(x, x).mT @ np.outer(x, x).T)[0],
    "methods": lambda x: x.sum() + x.max() - x.mean() + x.clip(0, 1).std() + x.reshape(3, 1).transpose().ravel().min(),
    "power": lambda x: 2**x + x**2 + x**0.5 * 0,
    "comparison": lambda x: (x > 0) * 1.0 + (x == x[0]) * 2.0 + (x <= 0),
    "dict": lambda x: {1: x, "a": x}["a"],
    "conditional on form": lambda x: x * 2 if x.shape == (3,) else x,
}


NOT_OF_TENSORS = ("copy", "divmod")  # which a call made


@pytest.mark.parametrize(
    ("kind", "make"),
    [(kind, make) for kind in ALLOWED for make in (np.asarray, Tensor)[: 1 + (kind not in NOT_OF_TENSORS)]],
)
def test_what_each_member_does_in_its_own_way_is_right(kind: str, make: Callable[[Any], Any]) -> None:
    f = ALLOWED[kind]
    x = Y if kind == "power" else X
    found = ad.vmap(f)(make(x))
    np.testing.assert_array_equal(getattr(found, "data", found) if make is Tensor else found, loop(f, x))


def test_what_leaks_out_is_not_taken_for_one_array() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x)
        return x

    ad.vmap(f)(X)
    assert "batch of 4 arrays" in repr(kept[0])
    with pytest.raises(NotOneNumberError):
        np.asarray(kept[0])
    with pytest.raises(NotOneNumberError):
        float(kept[0].sum())
    assert "batch of 4 arrays" in repr(ad.vmap(lambda y: y * kept[0])(Y))  # of one that has ended, still


def test_after_an_exception_all_is_as_before() -> None:
    def f(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ad.vmap(f)(X)
    w = Tensor(2.0)
    (w * w).backward()
    assert w.grad == 4.0  # not that of a member


def test_threads_do_not_see_each_other() -> None:
    found: dict[int, Any] = {}

    def work(k: int) -> None:
        f = ad.vmap(ad.grad(lambda x: np.sum(np.sin(x) * k)))
        found[k] = [f(X + k) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, results in found.items():
        for one in results:
            np.testing.assert_allclose(one, np.cos(X + k) * k)


def test_nothing_is_kept() -> None:
    class Array(np.ndarray):
        pass

    def of_locals() -> Any:
        def local(x: Any) -> Any:
            return x * 2.0

        made = ad.primitive(local)
        ad.defbatch(made, lambda batched, x: x * 2.0)
        np.testing.assert_array_equal(ad.vmap(made)(X), X * 2)
        return weakref.ref(local)

    gone = of_locals()
    gc.collect()
    assert gone() is None
    gc.collect()
    gc.disable()
    try:
        x = Tensor(X)
        ref = weakref.ref(x)
        ad.vmap(ad.grad(lambda x: np.sum(x**3)))(x)
        ad.vmap(np.sum)(x).sum().backward()
        del x
        assert ref() is None  # without the collector: there are no cycles
    finally:
        gc.enable()


# Bad input

BAD: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "no function": (lambda: vmap(X), TypeError, "vmap: the first argument must be a function"),
    "axis out of range": (
        lambda: ad.vmap(np.sum, in_axes=2)(X),
        ValueError,
        r"in_axes 2 is out of range for argument 0 of shape \(4, 3\)",
    ),
    "negative axis": (lambda: ad.vmap(np.sum, in_axes=-3)(X), ValueError, r"in_axes -3 is out of range"),
    "no axes": (lambda: ad.vmap(np.add)(X, np.float64(1.0)), ValueError, r"out of range for argument 1 of shape \(\)"),
    "a number": (
        lambda: ad.vmap(np.add)(X, 1.0),
        TypeError,
        "argument 1 is a float, which has no axis 0: give an array, or None in in_axes",
    ),
    "a text": (lambda: ad.vmap(lambda x, s: x)(X, "s"), TypeError, "argument 1 is a str"),
    "sizes": (
        lambda: ad.vmap(lambda x, y, *, z: x, kwargs_axes=0)(X, {"a": X[:2], "b": [X[:1]]}, z=X),
        ValueError,
        r"lengths of the batched axes differ: 4 of argument 0, 2 of argument 1\['a'\], 1 of argument 1\['b'\]\[0\], 4 o"
        "f argument z",
    ),
    "no arguments": (lambda: ad.vmap(lambda: 1.0)(), ValueError, "no argument is batched"),
    "nothing batched": (lambda: ad.vmap(np.sin, in_axes=None)(X), ValueError, "no argument is batched; give an axis"),
    "empty container": (lambda: ad.vmap(lambda x: x)([]), ValueError, "no argument is batched"),
    "entries": (
        lambda: ad.vmap(np.add, in_axes=(0,))(X, Y),
        ValueError,
        r"in_axes \(0,\) has 1 entries for 2 positional arguments",
    ),
    "structure": (
        lambda: ad.vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": X}),
        ValueError,
        r"in_axes {'b': 0} has another form than argument 0: arrays at \['a'\]",
    ),
    "structure of one array": (
        lambda: ad.vmap(np.sin, in_axes=([0],))(X),
        ValueError,
        "has another form than argument 0: one array, a ndarray",
    ),
    "structure too deep": (lambda: ad.vmap(lambda p: p, in_axes=([0, 0],))([X]), ValueError, "another form"),
    "float axis": (
        lambda: ad.vmap(np.sin, in_axes=0.0)(X),
        TypeError,
        "in_axes must be integers, None or containers of them, got 0.0",
    ),
    "text axis": (lambda: ad.vmap(np.sin, in_axes=("x",))(X), TypeError, "must be integers, None or containers"),
    "boolean axis": (lambda: ad.vmap(np.sin, in_axes=True)(X), TypeError, "must be integers, None"),
    "dict for arguments": (lambda: ad.vmap(np.sin, in_axes={"x": 0})(X), ValueError, "has another form"),
    "kwargs name": (
        lambda: ad.vmap(lambda x, y=1.0: x, kwargs_axes={"z": 0})(X, y=Y),
        ValueError,
        "kwargs_axes {'z': 0} names other arguments than the keywords of this call: y",
    ),
    "kwargs number": (
        lambda: ad.vmap(lambda x, y=1.0: x, kwargs_axes=0)(X, y=2.0),
        TypeError,
        "argument y is a float.* None in kwargs_axes",
    ),
    "kwargs list": (
        lambda: ad.vmap(lambda x, y=1.0: x, kwargs_axes=[0])(X, y=Y),
        (TypeError, ValueError),
        "kwargs_axes",
    ),
    "out axis": (
        lambda: ad.vmap(np.sum, out_axes=1)(X),
        ValueError,
        "out_axes 1 is out of range for the output, which has 1 axes with the batch",
    ),
    "out axis of a part": (
        lambda: ad.vmap(lambda x: {"a": x, "b": [x[0]]}, out_axes=1)(X),
        ValueError,
        r"out of range for the output\['b'\]\[0\]",
    ),
    "out structure": (
        lambda: ad.vmap(lambda x: (x, x), out_axes=(0,))(X),
        ValueError,
        "out_axes .* has another form than the output",
    ),
    "out None": (
        lambda: ad.vmap(lambda x: (x, 1.0), out_axes=(None, None))(X),
        ValueError,
        r"the output\[0\] depends on the batch, so its out_axes cannot be None",
    ),
    "chunk 0": (
        lambda: ad.vmap(np.sin, chunk_size=0),
        ValueError,
        "chunk_size must be a positive integer or None, got 0",
    ),
    "chunk of 1.5": (lambda: vmap(np.sin, chunk_size=1.5), ValueError, "chunk_size must be a positive integer"),
    "chunk of True": (lambda: ad.vmap(np.sin, chunk_size=True), ValueError, "chunk_size must be a positive integer"),
    "randomness": (
        lambda: vmap(np.sin, randomness="each"),
        ValueError,
        "randomness must be one of error, same, different, got 'each'",
    ),
    "masked": (lambda: ad.vmap(np.sin)(np.ma.array(X)), TypeError, "MaskedArray"),
    "sparse": (lambda: ad.vmap(np.sin)(csr_array(X)), TypeError, "csr_array"),
    "lists": (lambda: ad.vmap(np.sin)([1.0, 2.0]), TypeError, r"argument 0\[0\] is a float"),
    "sizes that depend on values": (lambda: ad.vmap(lambda x: x[x > 0])(X), (ValueError, TypeError), "np.where"),
}


@pytest.mark.parametrize("kind", BAD)
def test_mistakes_are_named(kind: str) -> None:
    do, error, text = BAD[kind]
    with pytest.raises(error, match=text):
        do()


@pytest.mark.parametrize("make", [np.exp, np.linalg.norm, lambda w: np.linalg.eigh(np.outer(w, w))[0][-1]])
def test_what_is_kept_from_the_function_and_used_outside_too_has_one_gradient(make: Callable[..., Any]) -> None:
    def gradient(batch: Callable[..., Any]) -> Any:
        w = Tensor(np.array([0.5, 2.0]))
        kept: list[Any] = []

        def f(x: Any) -> Any:
            if not kept:
                kept.append(make(w).sum())
            return kept[0] * x

        (batch(f) + 5 * kept[0]).backward()
        return w.grad

    numbers = np.arange(3.0)
    expected = gradient(lambda f: f(numbers[0]) + f(numbers[1]) + f(numbers[2]))
    np.testing.assert_allclose(gradient(lambda f: ad.vmap(f)(numbers).sum()), expected, rtol=1e-12)


def test_a_shared_array_is_indexed_by_a_batch_as_the_message_says() -> None:
    table, places = np.arange(12.0).reshape(4, 3), np.array([[3, 1], [0, 0]])
    with pytest.raises(NotOneNumberError, match=r"table\[i\] np\.take_along_axis\(table, i, 0\)"):
        ad.vmap(lambda i: table[i])(places)
    np.testing.assert_array_equal(ad.vmap(lambda i: np.take_along_axis(table, i[:, None], 0))(places), table[places])
    np.testing.assert_array_equal(ad.vmap(lambda i: Tensor(table)[i])(places).data, table[places])
