"""A model called with other parameters: what it computes, what it refuses, and that it is as before afterwards."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
import nn

X = np.random.default_rng(0).normal(size=(5, 4))


def mlp(seed: int = 0) -> nn.MLP:
    return nn.MLP([4, 3, 2], "tanh", rng=seed, dtype=np.float64)


def parts(model: nn.Module) -> dict[str, Any]:
    """Give what stands in each attribute, and in the containers there, with the bits of the arrays."""
    found: dict[str, Any] = {}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            found[f"{path}.{name}"] = value
            if isinstance(value, list | tuple):
                found |= {f"{path}.{name}.{k}": item for k, item in enumerate(value)}
            elif isinstance(value, dict):
                found |= {f"{path}.{name}.{k}": item for k, item in value.items()}
    return found


def test_the_output_is_that_of_a_model_with_these_parameters() -> None:
    model, other = mlp(0), mlp(1)
    before = parts(model)
    for given in (other.state_dict(), dict(other.named_parameters()), OrderedDict(other.named_parameters())):
        np.testing.assert_array_equal(nn.functional_call(model, given, X).data, other(X).data)
        np.testing.assert_array_equal(nn.functional_call(model, given, (X,)).data, other(X).data)
        np.testing.assert_array_equal(nn.functional_call(model, given, kwargs={"x": X}).data, other(X).data)
    after = parts(model)
    assert before.keys() == after.keys()
    assert all(after[path] is part for path, part in before.items())


def test_missing_parameters_are_the_models_own() -> None:
    model, other = mlp(0), mlp(1)
    mixed = mlp(0)
    mixed.load_state_dict(model.state_dict() | {"layers.2.bias": np.array([5.0, 6.0])})
    np.testing.assert_array_equal(
        nn.functional_call(model, {"layers.2.bias": np.array([5.0, 6.0])}, X).data, mixed(X).data
    )
    np.testing.assert_array_equal(nn.functional_call(model, {}, X).data, model(X).data)
    bias = {"layers.0.bias": other.state_dict()["layers.0.bias"]}
    weight = {"layers.0.weight": other.state_dict()["layers.0.weight"]}
    np.testing.assert_array_equal(
        nn.functional_call(model, (bias, weight), X).data, nn.functional_call(model, bias | weight, X).data
    )


def test_gradients_flow_to_what_is_given() -> None:
    model, other = mlp(0), mlp(1)
    nn.functional_call(model, dict(other.named_parameters()), X).sum().backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    gradients = [parameter.grad for parameter in other.parameters()]
    other.requires_grad_()
    for parameter in other.parameters():
        parameter.grad = None
    other(X).sum().backward()
    for parameter, gradient in zip(other.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(gradient, parameter.grad)
    by_grad = ad.grad(lambda parameters: nn.functional_call(model, parameters, X).sum())(other.state_dict())
    for parameter, gradient in zip(other.parameters(), by_grad.values(), strict=True):
        np.testing.assert_array_equal(gradient, parameter.grad)
    # Those that are the model's own have theirs.
    nn.functional_call(model, {"layers.0.bias": np.zeros(3)}, X).sum().backward()
    assert [parameter.grad is None for parameter in model.parameters()] == [False, True, False, False]


def test_the_second_derivative_by_parameters() -> None:
    model = nn.Linear(2, 1, rng=0, dtype=np.float64)
    x = np.array([[1.0, 2.0]])

    def loss(weight: Any) -> Any:
        return np.square(nn.functional_call(model, {"weight": weight}, x)).sum()

    np.testing.assert_allclose(ad.hessian(loss)(np.ones((2, 1)))[:, 0, :, 0], 2 * np.outer(x, x))


class Pair(NamedTuple):
    first: Any
    second: Any


class Everywhere(nn.Module):
    """Parameters in all places that they may be in, one of them in several."""

    def __init__(self, value: float) -> None:
        self.p = nn.Parameter(value)
        self.items = [nn.Parameter(value + 1), self.p]
        self.by_name: Any = {"a": nn.Parameter(value + 2), "b": (self.p, nn.Parameter(value + 3))}
        self.pair: Any = Pair(nn.Parameter(value + 4), [nn.Parameter(value + 5), self.p])
        self.tied: Any = nn.Identity()
        self.tied.weight = self.p
        self.bound = self.method
        self.closure: Any = lambda x: x * self.p

    def method(self, x: Any) -> Any:
        return x * self.p

    def forward(self, x: Any) -> Any:
        numbers = [
            self.p, *self.items, self.by_name["a"], *self.by_name["b"], self.pair.first, *self.pair.second,
            self.tied.weight, self.bound(1.0), self.closure(1.0),
        ]  # fmt: skip
        return np.stack([x * number for number in numbers])


def test_parameters_are_found_wherever_they_are_and_tied_ones_stay_tied() -> None:
    model, other = Everywhere(1.0), Everywhere(10.0)
    before = parts(model)
    given = dict(other.named_parameters())
    assert len(given) == 6
    out = nn.functional_call(model, given, 2.0)
    np.testing.assert_array_equal(out.data, other(2.0).data)
    assert all(parts(model)[path] is part for path, part in before.items())
    gradient = ad.grad(lambda p: nn.functional_call(model, {"p": p}, 1.0).sum())(3.0)
    assert gradient == 7  # it has six places, and two functions use it
    with pytest.raises(ValueError, match=r"unexpected items\.1"):  # the name of a second place
        nn.functional_call(model, {"items.1": 3.0}, 1.0)


def test_the_model_is_as_before_after_an_error() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            self.linear: Any = nn.Linear(4, 2)
            self.pair = nn.Parameter(1.0), nn.Parameter(2.0)

        def forward(self, x: Any) -> Any:
            self.pair = (nn.Parameter(7.0), nn.Parameter(8.0))
            raise KeyError(float(self.linear.bias.data[0]))

    model = Failing()
    before = parts(model)
    with pytest.raises(KeyError, match=r"5\.0"):
        nn.functional_call(model, {"linear.bias": np.full(2, 5.0), "pair.0": 3.0}, X)
    assert all(parts(model)[path] is part for path, part in before.items())


def test_buffers_that_are_given_take_the_changes() -> None:
    model = nn.BatchNorm1d(4, dtype=np.float64)
    before = model.state_dict()
    own = nn.BatchNorm1d(4, dtype=np.float64)
    expected = own(X).data
    arrays = {path: array.copy() for path, array in before.items()}
    np.testing.assert_array_equal(nn.functional_call(model, arrays, X).data, expected)
    buffers = {path: nn.Buffer(array) for path, array in before.items() if "running" in path or "num" in path}
    nn.functional_call(model, buffers, X)
    for path, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[path], array, err_msg=path)
        np.testing.assert_array_equal(arrays[path], array, err_msg=path)
    for path, buffer in buffers.items():
        np.testing.assert_array_equal(buffer.data, own.state_dict()[path], err_msg=path)
    model.eval()
    moved = {"running_mean": np.full(4, 2.0), "running_var": np.full(4, 4.0)}
    np.testing.assert_allclose(nn.functional_call(model, moved, X).data, (X - 2) / np.sqrt(4 + 1e-5))
    model.train()
    nn.functional_call(model, {"weight": np.full(4, 2.0)}, X)  # its own are changed, as in any call
    assert model.state_dict()["num_batches_tracked"] == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weigth": np.ones((2, 1))}, r"Linear is not called: unexpected weigth$"),
        ({"weight": np.ones((1, 2))}, r"weight has shape \(1, 2\), the model's \(2, 1\); .*by ad\.vmap"),
        (
            {"weight": np.ones((7, 2, 1))},
            r"weight has shape \(7, 2, 1\), .* several models .* mapped over, by ad\.vmap",
        ),
        ({"weight": np.ones((2, 1), complex)}, "weight has dtype complex128, the model's float32$"),
        ({"weight": [[1.0], [2.0, 3.0]]}, "weight is ragged"),
        ({"weight": np.ma.ones((2, 1))}, "weight is a numpy.MaskedArray"),
        ({"a": 1, "weight": np.ones(1), "bias": "b"}, r"unexpected a; weight has shape .*; bias has dtype"),
        (({"bias": [1.0]}, {"bias": [2.0]}), "several dicts have bias"),
    ],
    ids=range(8),
)
def test_what_does_not_fit_is_refused_by_name(given: Any, message: str) -> None:
    model = nn.Linear(2, 1, rng=0)
    with pytest.raises(ValueError, match=r"functional_call: .*" + message):
        nn.functional_call(model, given, np.ones(2))


def test_what_is_no_model_or_no_dict_is_refused() -> None:
    with pytest.raises(TypeError, match="functional_call: the model must be a Module, got <function"):
        nn.functional_call(lambda x: x, {}, 1.0)  # type: ignore[arg-type]
    for given in (np.ones(2), [np.ones(2)], nn.Parameter(1.0), None):
        with pytest.raises(TypeError, match="functional_call: expected a dict of parameters by name, got"):
            nn.functional_call(nn.Identity(), given, 1.0)  # type: ignore[arg-type]


def test_lists_and_numbers_are_taken() -> None:
    model = nn.Linear(2, 1, dtype=np.float64)
    out = nn.functional_call(model, {"weight": [[1.0], [2.0]], "bias": [3]}, np.ones(2))
    np.testing.assert_array_equal(out.data, [6.0])


def test_a_call_within_a_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.p = nn.Parameter(1.0)

        def forward(self, x: Any, depth: int = 0) -> Any:
            inner = nn.functional_call(self, {"p": 10.0 * self.p}, (x, depth - 1)) if depth else 0.0
            return self.p * x + inner

    model = Twice()
    assert nn.functional_call(model, {"p": 2.0}, (1.0, 2)).data == 2 + 20 + 200
    assert model.p.data == 1


def test_threads_wait_for_each_other() -> None:
    class Slow(nn.Module):
        def __init__(self) -> None:
            self.p, self.q = nn.Parameter(0.0), nn.Parameter(0.0)

        def forward(self, x: Any) -> Any:
            first = self.p * x
            time.sleep(0.002)
            return first + self.q

    model, wrong = Slow(), []

    def work(k: int) -> None:
        for _ in range(5):
            out = nn.functional_call(model, {"p": float(k), "q": 100.0 * k}, 1.0)
            if out.data != 101 * k:
                wrong.append((k, out))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert model.p.data == model.q.data == 0


def test_what_is_given_is_found_where_the_models_own_is() -> None:
    class Penalized(nn.Module):
        def __init__(self) -> None:
            self.linear, self.scale = nn.Linear(2, 1, bias=False, dtype=np.float64), nn.Buffer(2.0)

        def forward(self, x: Any) -> Any:
            assert [path for path, _ in self.named_parameters()] == ["linear.weight"]
            assert [path for path, _ in self.named_buffers()] == ["scale"]
            return self.scale * sum(np.square(p).sum() for p in self.parameters())

    model = Penalized()
    given: dict[str, Any] = {"linear.weight": np.array([[1.0], [2.0]]), "scale": 3.0}
    for kind in (np.asarray, ad.Tensor, nn.Parameter, nn.Buffer):
        assert nn.functional_call(model, {path: kind(x) for path, x in given.items()}, 0.0).data == 15
    gradient = ad.grad(lambda p: nn.functional_call(model, p, 0.0))(given)
    np.testing.assert_array_equal(gradient["linear.weight"], 6 * given["linear.weight"])
    assert gradient["scale"] == 5


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_in_a_compiled_function(backend: Any) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    model, other = mlp(0), mlp(1)

    def loss(parameters: Any, x: Any) -> Any:
        return np.square(nn.functional_call(model, parameters, x)).mean()

    gradient = ad.compile(ad.grad(loss), backend=backend)
    for state in (other.state_dict(), model.state_dict(), other.state_dict()):
        for path, array in gradient(state, X).items():
            np.testing.assert_allclose(array, ad.grad(loss)(state, X)[path], rtol=1e-12, err_msg=path)
    one = ad.compile(ad.grad(lambda bias: loss({"layers.2.bias": bias}, X)), state=model, backend=backend)
    first = one(np.ones(2))
    weight = model.parameters()[0]
    weight.data = weight.data * 2
    assert not np.allclose(first, one(np.ones(2)))
    np.testing.assert_allclose(
        one(np.ones(2)), ad.grad(lambda bias: loss({"layers.2.bias": bias}, X))(np.ones(2)).data, rtol=1e-12
    )
