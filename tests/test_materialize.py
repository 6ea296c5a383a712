"""Lazy arrays in a nest are computed in one pass, wherever they are, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
import nn

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")


class Passes(Counter[str]):
    """How often the scheduler was asked, and each chunk of the data made."""

    def data(self, array: Any, rows: int = 5) -> Any:
        """Give an array in chunks of rows that are counted when they are made."""

        def made(block: Any, block_id: Any = None) -> Any:
            self[f"chunk {block_id}"] += 1
            return block

        chunked = da.from_array(array, chunks=(rows, *array.shape[1:]))
        return chunked.map_blocks(made, dtype=array.dtype, meta=np.empty((0,) * array.ndim))

    def get(self, graph: Any, keys: Any, **options: Any) -> Any:
        self["passes"] += 1
        return dask.threaded.get(graph, keys, num_workers=2)


@pytest.fixture
def passes() -> Iterator[Passes]:
    counted = Passes()
    with dask.config.set(scheduler=counted.get):
        yield counted


@dataclass
class Record:
    value: Any
    note: str = "kept"


class Pair(NamedTuple):
    one: Any
    other: Any


def test_a_nest_of_everything_in_one_pass(passes: Passes) -> None:
    array = np.arange(20.0).reshape(10, 2)
    lazy, plain, tensor = passes.data(array), np.ones(3), ad.Tensor(passes.data(array))
    of_tensor = tensor.sum()
    generator = np.random.default_rng(0)
    tree = {"list": [lazy + 1, plain, None], 2: Pair(lazy.sum(), 4), "r": Record(lazy[0]), "t": (tensor, generator)}
    given = tree["list"]
    result = ad.materialize({"tree": tree, "sum": of_tensor})
    assert passes == {"passes": 1, "chunk (0, 0)": 1, "chunk (1, 0)": 1}
    found = result["tree"]
    np.testing.assert_array_equal(found["list"][0], array + 1)
    assert found["list"][1] is plain
    assert found["list"][2] is None
    assert (found[2], type(found[2].one)) == (Pair(190.0, 4), np.float64)
    np.testing.assert_array_equal(found["r"].value, array[0])
    assert found["r"].note == "kept"
    assert list(map(id, found["t"])) == [id(tensor), id(generator)]
    assert result["sum"] is of_tensor
    assert type(tensor.data) is np.ndarray
    assert type(of_tensor.data) is np.float64
    assert tree["list"] is given
    assert isinstance(given[0], da.Array)
    assert ad.materialize(result)["tree"]["t"][0] is tensor
    assert passes["passes"] == 1


@pytest.mark.parametrize("first", [0, 1], ids=["arrays", "lazy parameters"])
def test_a_step_of_a_model_is_one_pass(first: int, passes: Passes) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    models = [nn.MLP([3, 4, 1], activation="tanh", rng=0, dtype=np.float64) for _ in range(2)]
    optimizers = [nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in models]
    if first:
        for parameter in models[1].parameters():
            parameter.data = da.from_array(parameter.data)
    chunked = passes.data(X)
    for step in range(1, 4):
        for model, optimizer, inputs in zip(models, optimizers, (X, chunked), strict=True):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(inputs), y if inputs is X else da.from_array(y, chunks=(5, 1)))
            loss.backward()
            if inputs is chunked:
                ad.materialize((loss, model, optimizer))
            optimizer.step()
        assert set(passes.values()) == {step}
    assert len(passes) == 5
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert type(other.data) is type(other.grad) is np.ndarray
        np.testing.assert_allclose(other.data, one.data, rtol=1e-12)
    for one, other in zip(*(optimizer.slots for optimizer in optimizers), strict=True):
        assert list(other) == list(one) != []
        np.testing.assert_allclose(*(list(slots.values()) for slots in (other, one)), rtol=1e-12)


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG"])
def test_minimize_takes_one_pass_for_a_loss_with_its_gradients(method: Any, passes: Passes) -> None:
    pytest.importorskip("scipy")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    chunked, found, count = passes.data(X), [], Counter[str]()
    for inputs in (X, chunked):
        w, b = ad.Tensor(np.zeros(3)), ad.Tensor(0.0)

        def loss(inputs: Any = inputs, w: Any = w, b: Any = b) -> Any:
            count[str(type(inputs))] += 1
            return (np.logaddexp(0, inputs @ w + b - y) ** 2).mean()

        found.append((nn.optim.minimize(loss, [w, b], method=method, maxiter=2), w, b))
    (plain, w, b), (lazy, *others) = found
    products = 0 if method == "L-BFGS-B" else lazy.nhev
    assert passes["passes"] == passes["chunk (0, 0)"] == count[str(da.Array)] + products
    assert len(set(count.values())) == 1
    np.testing.assert_allclose(lazy.x, plain.x, rtol=1e-9)
    np.testing.assert_allclose(np.append(*(other.data for other in others)), np.append(w.data, b.data), rtol=1e-9)


def test_gradients_still_flow_through_what_was_computed() -> None:
    x = np.arange(1.0, 7.0)

    def f(x: Any) -> Any:
        y = np.sin(x) * x
        total = ad.materialize({"y": (y * y).sum()})["y"]
        assert not isinstance(total.data, da.Array)
        ad.materialize(y)
        return total * y.sum()

    for derivative in (ad.grad(f), ad.grad(lambda x: (ad.grad(f)(x) ** 2).sum())):
        gradient = derivative(da.from_array(x, chunks=2))
        np.testing.assert_allclose(ad.materialize(gradient), derivative(x), rtol=1e-12)
    with_graph = ad.Tensor(da.from_array(x, chunks=2))
    f(with_graph).backward(create_graph=True)
    kept = with_graph.grad
    ad.materialize([with_graph])
    assert with_graph.grad is kept
    assert type(kept.data) is np.ndarray


def test_what_was_computed_may_be_written_into() -> None:
    source = np.ones(3)
    tensor = ad.Tensor(da.from_array(source))
    tensor.sum().backward()
    result = ad.materialize([tensor, da.from_array(source), da.broadcast_to(1.0, (3,))])
    for array in (tensor.data, tensor.grad, *result[1:]):
        array += 1
    np.testing.assert_array_equal(source, 1)


@pytest.mark.parametrize("chunk", [1, 3])
def test_what_is_computed_alike_is_written_into_apart(chunk: int) -> None:
    zeros = da.zeros(3, chunks=chunk)
    one, other = nn.Parameter(zeros), nn.Parameter(da.zeros(3, chunks=chunk))
    ((one + other) * da.ones(3, chunks=chunk)).sum().backward()
    kept = ad.materialize([one, other, zeros])[2]
    one.grad *= 2
    nn.optim.SGD([one], lr=1.0).step()
    one.data -= 1
    for array, value in ((one.data, -3), (other.data, 0), (kept, 0), (one.grad, 2), (other.grad, 1)):
        np.testing.assert_array_equal(array, value)


def test_tasks_are_computed_to_what_they_give() -> None:
    assert ad.materialize([dask.delayed(len)("four"), 1]) == [4, 1]


def test_the_gradient_of_a_sum_is_in_the_chunks_of_its_array() -> None:
    x = da.ones((100, 4), chunks=(10, 2))
    for f in (
        lambda x: x.sum(),
        lambda x: (-2 * (x * 3.0)).mean(),
        lambda x: np.sin(x.sum(axis=0)).mean(),
        lambda x: np.where(x > 0, x, 0).var(),
        lambda x: (ad.grad(lambda x: (x**3).mean())(x) ** 2).sum(),
    ):
        assert ad.grad(f)(x).chunks == x.chunks
        np.testing.assert_allclose(ad.grad(f)(x).compute(), ad.grad(f)(np.ones((100, 4))), rtol=1e-12)


def refuse(block: Any) -> Any:
    raise ZeroDivisionError("a chunk that cannot be made")


FAILING = {
    "raises": (lambda x: x.map_blocks(refuse, dtype=float), ZeroDivisionError, "a chunk that cannot be made"),
    "shape": (
        lambda x: x.map_blocks(lambda block: block[1:], dtype=float),
        ValueError,
        r"\(6,\) has shape \(4,\)",
    ),
    "axes": (lambda x: x.map_blocks(np.atleast_2d, dtype=float, chunks=(6,)), ValueError, r"\(6,\) has shape \(1, 6\)"),
    "kind": (lambda x: x.map_blocks(lambda block: block + 1j, dtype=float), TypeError, "of float64 has complex128"),
    "generator": (lambda x: (one for one in [x]), TypeError, "a generator is not looked into: make a list"),
    "set": (lambda x: {1.0}, TypeError, "a set is not looked into"),
    "values": (lambda x: {"x": x}.values(), TypeError, "a dict_values is not looked into"),
    "deque": (lambda x: deque([x]), TypeError, "a deque is not looked into"),
}


@pytest.mark.parametrize("name", FAILING)
def test_nothing_changes_where_something_cannot_be_computed(name: str) -> None:
    make, error, words = FAILING[name]
    x = da.from_array(np.arange(6.0), chunks=3 if name != "axes" else 6)
    tensor, bad = ad.Tensor(x), make(x)
    for tree in ([tensor, bad], [bad, tensor]):
        with dask.config.set(scheduler="sync"), pytest.raises(error, match=words):
            ad.materialize(tree)
        assert isinstance(tensor.data, da.Array)


def test_a_dtype_is_as_promised() -> None:
    promised = da.from_array(np.arange(6.0), chunks=3).map_blocks(lambda block: block, dtype=np.float32)
    assert ad.materialize(promised).dtype == np.float32
    unknown = da.arange(6.0, chunks=3)
    np.testing.assert_array_equal(ad.materialize(unknown[unknown > 3]), [4, 5])


def test_without_dask() -> None:
    code = """
import sys
sys.modules["dask"] = None  # so that its import fails
import numpy as np, autodiff as ad, nn
model, x = nn.MLP([2, 1], rng=0), np.ones(2)
optimizer = nn.optim.SGD(model.parameters(), momentum=0.9)
assert ad.materialize({"x": [x, 3.0, "text"]})["x"][0] is x
assert ad.materialize((model, optimizer, ad.Tensor(x))) [0] is model
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
