"""Modules and layers: where parameters are found, what they are called, their state, text and first values."""

from __future__ import annotations

import copy
import gc
import math
import operator
import pickle
import sys
import weakref
from collections import UserDict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import Module, Parameter, init


class Nested(Module):
    """Holds parameters in every place where they are looked for."""

    def __init__(self) -> None:
        self.scale = Parameter(np.float32(2.0))
        self.pair = (Parameter([1.0]), Parameter([2.0, 3.0]))
        self.heads = {"left": nn.Linear(2, 1, rng=0), "right": [nn.Linear(2, 3, bias=False, rng=1)]}
        self.body = nn.Sequential(nn.Linear(2, 2, rng=2), nn.Tanh())
        self.label = "no parameter"
        self.constant = np.ones(3)

    def forward(self, x: Any) -> Any:
        return self.heads["left"](self.body(x)) * self.scale


NESTED_PATHS = [
    "scale",
    "pair.0",
    "pair.1",
    "heads.left.weight",
    "heads.left.bias",
    "heads.right.0.weight",
    "body.layers.0.weight",
    "body.layers.0.bias",
]


def mlp(seed: int = 0, **options: Any) -> nn.MLP:
    return nn.MLP([4, 3, 2], rng=seed, **options)


def bits(model: Module) -> dict[str, bytes]:
    return {path: array.tobytes() for path, array in model.state_dict().items()}


# Discovery


def test_parameters_are_found_everywhere() -> None:
    model = Nested()
    assert [path for path, _ in model.named_parameters()] == NESTED_PATHS
    assert [parameter.name for parameter in model.parameters()] == NESTED_PATHS
    assert model.num_parameters() == 1 + 1 + 2 + 3 + 6 + 6
    assert dict(model.named_parameters())["heads.left.bias"] is model.heads["left"].bias


def test_children_are_the_direct_ones() -> None:
    assert [path for path, _ in Nested().named_children()] == ["heads.left", "heads.right.0", "body"]


def test_shared_parameters_count_once() -> None:
    first = nn.Linear(3, 3, rng=0)
    model = nn.Sequential(first, nn.Tanh(), first)
    assert [path for path, _ in model.named_parameters()] == ["layers.0.weight", "layers.0.bias"]
    assert model.num_parameters() == 12
    tied = nn.Linear(3, 3, rng=1)
    tied.weight = first.weight
    assert len(nn.Sequential(first, tied).parameters()) == 3
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    model(np.ones((1, 3), np.float32)).sum().backward()
    optimizer.step()


def test_a_parameter_assigned_later_is_found_and_one_deleted_is_not() -> None:
    model = mlp()
    model.extra = Parameter([1.0])
    assert model.extra.name == "extra"
    assert "extra" in dict(model.named_parameters())
    del model.extra
    assert "extra" not in dict(model.named_parameters())


class Statistics(Module):
    def __init__(self) -> None:
        self.inner = nn.BatchNorm1d(2)
        self.count = nn.Buffer(np.int64(3))
        self.weight = Parameter([1.0])
        self.more = [nn.Buffer([True, False]), self.count]


def test_buffers_are_state_but_not_parameters() -> None:
    model = Statistics()
    paths = ["inner.running_mean", "inner.running_var", "inner.num_batches_tracked", "count", "more.0"]
    assert [path for path, _ in model.named_buffers()] == paths
    assert [buffer.name for buffer in model.buffers()] == paths
    assert [path for path, _ in model.named_parameters()] == ["inner.weight", "inner.bias", "weight"]
    assert model.num_parameters() == 5
    assert list(model.state_dict()) == ["inner.weight", "inner.bias", *paths[:4], "weight", "more.0"]
    twin = pickle.loads(pickle.dumps(model))
    assert bits(twin) == bits(model)
    assert twin.more[1] is twin.count
    assert not any(buffer.requires_grad for buffer in twin.buffers())


def test_buffers_are_loaded_in_their_dtype() -> None:
    model = Statistics()
    buffers = model.buffers()
    state = model.state_dict() | {"count": np.int32(7), "more.0": [False, False], "inner.running_mean": [1, 2]}
    model.load_state_dict(state)
    assert model.count.item() == 7
    assert model.count.dtype == np.int64
    np.testing.assert_array_equal(model.inner.running_mean.data, [1, 2])
    assert all(old is new for old, new in zip(buffers, model.buffers(), strict=True))
    before = bits(model)
    with pytest.raises(ValueError, match=r"count has dtype float64, the model's int64; more\.0 has dtype int64, the"):
        model.load_state_dict(state | {"count": 7.5, "more.0": [1, 0]})
    assert bits(model) == before


class Child(Module):
    def __init__(self, parent: Module) -> None:
        self.parent = parent
        self.layer = nn.Linear(2, 2, rng=0)

    def forward(self, x: Any) -> Any:
        return self.layer(x)


class Parent(Module):
    def __init__(self) -> None:
        self.own = nn.Linear(2, 2, rng=1)
        first, second = Child(self), Child(self)
        first.sibling = second
        self.children = [first, second]

    def forward(self, x: Any) -> Any:
        return self.children[0](self.own(x))


def test_modules_that_refer_to_their_parent_are_found_once() -> None:
    model = Parent()
    first, second = model.children
    assert [path for path, _ in model.named_modules()] == [
        "", "own", "children.0", "children.0.layer", "children.0.sibling", "children.0.sibling.layer"
    ]  # fmt: skip
    assert list(model.modules()) == [model, model.own, first, first.layer, second, second.layer]
    paths = [path for path, _ in model.named_parameters()]
    assert paths == [f"{where}.{name}" for where in ("own", "children.0.layer", "children.0.sibling.layer")
                     for name in ("weight", "bias")]  # fmt: skip
    assert [parameter.name for parameter in model.parameters()] == paths
    assert model.num_parameters() == 18
    assert not any(module.training for module in first.eval().modules())
    assert len(first.parameters()) == 6
    assert "parent: ..." in repr(model)
    twin = copy.deepcopy(model)
    assert bits(twin) == bits(model)
    assert twin.children[0].parent is twin


def test_shared_modules_are_found_once_by_their_first_path() -> None:
    shared = nn.Linear(2, 2, rng=0)
    model = nn.Sequential(shared, nn.Sequential(shared, nn.Tanh()))
    assert [path for path, _ in model.named_modules()] == ["", "layers.0", "layers.1", "layers.1.layers.1"]
    assert [parameter.name for parameter in model.parameters()] == ["layers.0.weight", "layers.0.bias"]


def test_apply_goes_from_the_inside_out() -> None:
    torch = pytest.importorskip("torch")
    seen: list[str] = []
    model = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.Tanh()), nn.ReLU())
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    expected: list[str] = []
    theirs = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Tanh()), torch.nn.ReLU())
    theirs.apply(lambda module: expected.append(type(module).__name__))
    assert seen == expected
    visited: list[Module] = []
    parent = Parent().apply(visited.append)
    assert sorted(map(id, visited)) == sorted(map(id, parent.modules()))
    assert visited[-1] is parent


def test_frozen_parameters_get_no_gradient_and_stay() -> None:
    model = mlp()
    first, last = model.layers[0], model.layers[2]
    assert first.requires_grad_(False) is first
    last.bias.requires_grad = False
    before = bits(model)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model(np.ones((2, 4), np.float32)).sum().backward()
    assert [p.grad is None for p in model.parameters()] == [True, True, False, True]
    optimizer.step()
    after = bits(model)
    assert [path for path in after if after[path] != before[path]] == ["layers.2.weight"]
    assert model.num_parameters() == 23
    model.requires_grad_()
    model(np.ones((2, 4), np.float32)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_tensors_are_not_parameters() -> None:
    model = mlp()
    model.scale = ad.Tensor([1.0])
    assert len(model.parameters()) == 4


def test_forward_is_called_with_everything_given() -> None:
    class Scale(Module):
        def forward(self, x: Any, *, by: float) -> Any:
            return x * by

    assert Scale()(3.0, by=2.0) == 6.0


def test_forward_missing() -> None:
    class Hollow(Module):
        pass

    with pytest.raises(NotImplementedError, match="Hollow must define forward"):
        Hollow()(1.0)


# Training and evaluation


def test_train_and_eval_reach_all_modules() -> None:
    model = Nested()
    everywhere = [model, model.heads["left"], model.heads["right"][0], model.body, *model.body.layers]
    assert all(module.training for module in everywhere)
    assert model.eval() is model
    assert not any(module.training for module in everywhere)
    assert model.train() is model
    assert all(module.training for module in everywhere)
    model.train(False)
    assert not any(module.training for module in everywhere)
    assert [parameter.name for parameter in model.parameters()] == NESTED_PATHS


# State


def test_state_dict_holds_copies() -> None:
    model = Nested()
    before = bits(model)
    state = model.state_dict()
    assert list(state) == NESTED_PATHS
    for array in state.values():
        if array.ndim:
            array += 1
    assert bits(model) == before


def test_load_state_dict_copies_and_keeps_the_dtype() -> None:
    source, model = mlp(seed=1), mlp(seed=2)
    assert bits(source) != bits(model)
    state = {path: array.astype(np.float64) for path, array in source.state_dict().items()}
    parameters = model.parameters()
    model.load_state_dict(state)
    assert bits(model) == bits(source)
    assert all(parameter.dtype == np.float32 for parameter in model.parameters())
    assert all(old is new for old, new in zip(parameters, model.parameters(), strict=True))
    state["layers.0.bias"] += 1
    assert bits(model) == bits(source)


def test_load_state_dict_takes_tensors_lists_and_integers() -> None:
    model = nn.Linear(2, 1, rng=0)
    model.load_state_dict({"weight": ad.Tensor([[1.5], [2.5]]), "bias": [3]})
    np.testing.assert_array_equal(model(np.array([1.0, 1.0])).data, [7])
    scalar = Nested()
    scalar.load_state_dict({**scalar.state_dict(), "scale": 4})
    assert scalar.scale.item() == 4


def test_load_state_dict_names_every_problem_and_loads_nothing() -> None:
    model = Nested()
    before = bits(model)
    state = model.state_dict()
    del state["scale"], state["pair.0"]
    state |= {
        "pair.1": np.zeros(2),
        "more": np.zeros(1),
        "heads.left.weight": np.zeros((1, 2)),
        "heads.left.bias": np.array(["a"]),
        "body.layers.0.weight": np.zeros((2, 2), complex),
        "body.layers.0.bias": [[1], [2, 3]],
        "heads.right.0.weight": None,
    }
    with pytest.raises(ValueError, match="nothing was loaded into Nested") as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    for problem in (
        "missing scale of shape ()",
        "missing pair.0 of shape (1,)",
        "unexpected more",
        "heads.left.weight has shape (1, 2), the model's (2, 1)",
        "heads.left.bias has dtype <U1, not numbers",
        "body.layers.0.weight has dtype complex128",
        "body.layers.0.bias is ragged",
        "heads.right.0.weight has dtype object",
    ):
        assert problem in message
    assert "pair.1" not in message
    assert bits(model) == before


# Text


@pytest.mark.parametrize("mode", [None, "eval", 1, 0.5], ids=repr)
def test_modes_are_flags(mode: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval()
    with pytest.raises(TypeError, match=f"train: mode must be True or False, got {mode!r}"):
        model.train(mode)
    with pytest.raises(TypeError, match=f"requires_grad_: requires_grad must be True or False, got {mode!r}"):
        model.requires_grad_(mode)
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_repr() -> None:
    assert repr(nn.MLP([64, 32, 10], dropout=0.1, activation="tanh", rng=0)).splitlines() == [
        "MLP(64 → 32 → 10): 2,410 parameters",
        "  layers.0: Linear(64, 32): weight (64, 32), bias (32,), 2,080 parameters",
        "  layers.1: Tanh()",
        "  layers.2: Dropout(p=0.1)",
        "  layers.3: Linear(32, 10): weight (32, 10), bias (10,), 330 parameters",
    ]
    assert repr(nn.Linear(3, 2, bias=False)) == "Linear(3, 2, bias=False): weight (3, 2), 6 parameters"
    assert repr(nn.Softmax(axis=0)) == "Softmax(axis=0)"
    assert repr(nn.Sequential(nn.Sequential(nn.Linear(1, 1)))).splitlines() == [
        "Sequential(): 2 parameters",
        "  layers.0: Sequential(): 2 parameters",
        "    layers.0: Linear(1, 1): weight (1, 1), bias (1,), 2 parameters",
    ]
    assert "scale ()" in repr(Nested()).splitlines()[0]


# Copies


@pytest.mark.parametrize(
    "duplicate",
    [
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda model: pickle.loads(pickle.dumps(model)), id="pickle"),
    ],
)
def test_models_can_be_copied(duplicate: Callable[[Any], Any]) -> None:
    shared = nn.Linear(4, 4, rng=0)
    model = nn.Sequential(shared, nn.Dropout(0.5, rng=3), shared, mlp(dropout=0.5)).eval()
    twin = duplicate(model)
    assert bits(twin) == bits(model)
    assert repr(twin) == repr(model)
    assert not twin.layers[3].training
    assert [p.name for p in twin.parameters()] == [p.name for p in model.parameters()]
    assert twin.layers[0].weight is twin.layers[2].weight
    assert not set(map(id, twin.parameters())) & set(map(id, model.parameters()))

    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = model.train()(x).data
    np.testing.assert_array_equal(twin.train()(x).data, expected)

    before = bits(model)
    optimizer = nn.optim.SGD(twin.parameters(), lr=0.1)
    twin(x).sum().backward()
    optimizer.step()
    assert bits(model) == before
    assert bits(twin) != before
    assert all(parameter.grad is None for parameter in model.parameters())


# Initial weights

FAN_IN, FAN_OUT = 200, 400


@pytest.mark.parametrize("gain", [1.0, 2.0])
@pytest.mark.parametrize(
    ("draw", "variance", "uniform"),
    [
        pytest.param(init.xavier_uniform, 2 / (FAN_IN + FAN_OUT), True, id="xavier_uniform"),
        pytest.param(init.xavier_normal, 2 / (FAN_IN + FAN_OUT), False, id="xavier_normal"),
        pytest.param(init.kaiming_uniform, 1 / FAN_IN, True, id="kaiming_uniform"),
        pytest.param(init.kaiming_normal, 1 / FAN_IN, False, id="kaiming_normal"),
    ],
)
def test_variance_and_bounds(draw: Callable[..., Any], variance: float, uniform: bool, gain: float) -> None:
    weights = draw((FAN_IN, FAN_OUT), gain=gain, rng=0)
    deviation = gain * math.sqrt(variance)
    assert weights.shape == (FAN_IN, FAN_OUT)
    assert weights.dtype == np.float32
    assert weights.mean() == pytest.approx(0, abs=0.02 * deviation)
    assert weights.std() == pytest.approx(deviation, rel=0.01)
    reach = np.abs(weights).max() / (deviation * math.sqrt(3))
    assert 0.999 < reach <= 1 + 1e-6 if uniform else reach > 2
    assert draw((2, 3), rng=0, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("draw", [init.xavier_uniform, init.xavier_normal, init.kaiming_uniform, init.kaiming_normal])
def test_same_seed_same_bits(draw: Callable[..., Any]) -> None:
    one = draw((5, 7), rng=3)
    np.testing.assert_array_equal(one, draw((5, 7), rng=3))
    np.testing.assert_array_equal(one, draw((5, 7), rng=np.random.default_rng(3)))
    assert (one != draw((5, 7), rng=4)).any()
    assert (draw((5, 7)) != draw((5, 7))).any()


@pytest.mark.parametrize("draw", [init.kaiming_uniform, init.kaiming_normal])
def test_kaiming_is_for_relu(draw: Callable[..., Any]) -> None:
    np.testing.assert_array_equal(draw((4, 4), rng=0), draw((4, 4), gain=math.sqrt(2), rng=0))


def test_gains_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for activation in ("linear", "sigmoid", "tanh", "relu"):
        assert init.gain(activation) == pytest.approx(torch.nn.init.calculate_gain(activation))


@pytest.mark.parametrize(
    ("activation", "bound"),
    [
        pytest.param("relu", math.sqrt(6 / FAN_IN), id="relu: He"),
        pytest.param("tanh", 5 / 3 * math.sqrt(6 / (FAN_IN + FAN_OUT)), id="tanh: Glorot"),
        pytest.param("sigmoid", math.sqrt(6 / (FAN_IN + FAN_OUT)), id="sigmoid: Glorot"),
    ],
)
def test_mlp_picks_the_weights_that_suit_the_activation(activation: str, bound: float) -> None:
    hidden, function, last = nn.MLP([FAN_IN, FAN_OUT, 100], activation=activation, rng=0).layers
    assert type(function).__name__.lower() == activation
    assert np.abs(hidden.weight.data).max() == pytest.approx(bound, rel=1e-3)
    assert np.abs(last.weight.data).max() == pytest.approx(math.sqrt(6 / (FAN_OUT + 100)), rel=1e-3)
    assert not hidden.bias.data.any()
    assert not last.bias.data.any()


def test_mlp_seeds_and_dtypes() -> None:
    assert bits(mlp(seed=0)) == bits(mlp(seed=0)) == bits(nn.MLP([4, 3, 2], rng=np.random.default_rng(0)))
    assert bits(mlp(seed=0)) != bits(mlp(seed=1))
    assert {parameter.dtype for parameter in mlp().parameters()} == {np.dtype(np.float32)}
    assert {parameter.dtype for parameter in mlp(dtype=np.float64).parameters()} == {np.dtype(np.float64)}
    assert mlp().sizes == (4, 3, 2)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_mlp_computes_what_it_says(activation: str) -> None:
    model = mlp(activation=activation, dtype=np.float64)
    x = np.random.default_rng(0).normal(size=(5, 4))
    W, b, V, c = (parameter.data for parameter in model.parameters())
    apply = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
    np.testing.assert_allclose(model(x).data, apply[activation](x @ W + b) @ V + c, rtol=1e-13)


def test_layers_apply_their_function() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_array_equal(nn.ReLU()(x), nn.functional.relu(x))
    np.testing.assert_array_equal(nn.Sigmoid()(x), nn.functional.sigmoid(x))
    np.testing.assert_array_equal(nn.Tanh()(x), np.tanh(x))
    np.testing.assert_array_equal(nn.Softmax(axis=0)(x), nn.functional.softmax(x, axis=0))


# Dropout


def test_dropout_drops_while_training_and_keeps_the_mean() -> None:
    layer = nn.Dropout(0.25, rng=0)
    x = np.ones((300, 300), np.float32)
    out = layer(x)
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.unique(out), [0, 4 / 3], rtol=1e-6)
    assert out.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(layer.eval()(x), x)
    assert (layer.train()(x) == 0).any()


def test_dropout_has_a_generator_that_goes_on() -> None:
    x = np.ones(100)
    layer, twin = nn.Dropout(rng=0), nn.Dropout(rng=0)
    first, second = layer(x), layer(x)
    assert (first != second).any()
    np.testing.assert_array_equal(twin(x), first)
    twin.eval()(x)
    np.testing.assert_array_equal(twin.train()(x), second)


def test_dropout_layers_of_an_mlp_share_a_generator() -> None:
    model = nn.MLP([2, 3, 3, 1], dropout=0.5, rng=0)
    drops = [layer for layer in model.layers if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in drops] == [0.5, 0.5]
    assert drops[0].rng is drops[1].rng
    x = np.ones((4, 2), np.float32)
    outputs = [model(x).data for _ in range(2)]
    assert (outputs[0] != outputs[1]).any()
    model.eval()
    np.testing.assert_array_equal(model(x).data, model(x).data)
    assert not any(isinstance(layer, nn.Dropout) for layer in nn.MLP([2, 3, 1], dropout=0).layers)


@pytest.mark.parametrize("rng", ["0", 1.5, np.random.RandomState(0)], ids=["text", "float", "RandomState"])
def test_randomness_comes_from_a_generator_or_a_seed(rng: Any) -> None:
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator, an integer seed or None, got"):
        nn.MLP([2, 1], rng=rng)


def test_paths_that_collide_are_named() -> None:
    class Colliding(Module):
        def __init__(self) -> None:
            self.heads = {"a.b": Parameter([1.0]), "a": {"b": Parameter([2.0])}}

    with pytest.raises(ValueError, match=r"Colliding: several parameters have the path heads\.a\.b"):
        Colliding().state_dict()
    with pytest.raises(TypeError, match="load_state_dict: expected a dict of arrays by path, got list"):
        nn.MLP([2, 1], rng=0).load_state_dict([1, 2])


@pytest.mark.parametrize(
    "value", [np.zeros((2, 1)), ad.Tensor(np.zeros((2, 1))), [[0.0], [0.0]], 0.0, nn.Buffer([0.0]), np.tanh], ids=repr
)
def test_a_parameter_is_not_lost_by_assignment(value: Any) -> None:
    layer = nn.Linear(2, 1, rng=0)
    before = layer.weight
    with pytest.raises(TypeError, match=r"Linear.weight is a Parameter, which .*weight.data = .* a new Parameter"):
        layer.weight = value
    assert layer.weight is before
    assert len(layer.parameters()) == 2


def test_what_may_take_the_place_of_a_parameter() -> None:
    layer = nn.Linear(2, 1, rng=0)
    layer.weight = nn.Parameter(np.zeros((2, 3)))
    layer.bias = None  # type: ignore[assignment]
    assert [parameter.shape for parameter in layer.parameters()] == [(2, 3)]
    np.testing.assert_array_equal(layer(np.ones((1, 2), np.float32)).data, [[0, 0, 0]])
    del layer.weight
    layer.weight = ad.Tensor(np.ones((2, 3)))  # type: ignore[misc]
    assert layer.parameters() == []


@pytest.mark.parametrize("value", [np.zeros(1), ad.Tensor([0.0]), 0.0, [0.0]], ids=repr)
def test_a_parameter_that_is_none_is_not_lost_either(value: Any) -> None:
    without, taken = nn.Linear(2, 1, bias=False), nn.Linear(2, 1)
    taken.bias = None
    for layer in (without, taken):
        with pytest.raises(TypeError, match=r"Linear\.bias is a Parameter, which"):
            layer.bias = value
        assert layer.bias is None
        layer.bias = nn.Parameter([0.0])
        assert len(layer.parameters()) == 2


@pytest.mark.parametrize("value", [np.zeros(2), ad.Tensor([0.0, 0.0]), [0.0, 0.0], 0.0], ids=repr)
def test_a_buffer_is_not_lost_by_assignment(value: Any) -> None:
    layer = nn.BatchNorm1d(2)
    with pytest.raises(TypeError, match=r"BatchNorm1d\.running_mean is a Buffer.*running_mean\.data = .*a new Buffer"):
        layer.running_mean = value
    assert "running_mean" in layer.state_dict()
    layer.running_mean = nn.Buffer([1.0, 2.0])
    assert layer.state_dict()["running_mean"].tolist() == [1, 2]


@pytest.mark.parametrize("value", [3, np.tanh, np.zeros(2), "tanh", [np.tanh], {"a": 1}], ids=repr)
def test_modules_are_not_lost_by_assignment(value: Any) -> None:
    model = Nested()
    with pytest.raises(TypeError, match=r"Nested\.body is a Module, which .* cannot take the place of: assign"):
        model.body = value
    with pytest.raises(TypeError, match=r"Nested\.heads is a dict of parameters or Modules, which"):
        model.heads = value
    assert [path for path, _ in model.named_parameters()] == NESTED_PATHS
    model.heads, model.body = {}, None  # type: ignore[assignment]
    assert [path for path, _ in model.named_parameters()] == ["scale", "pair.0", "pair.1"]
    model.pair = nn.Parameter([1.0])  # type: ignore[assignment]
    assert len(model.parameters()) == 2


@pytest.mark.parametrize(
    "hold",
    [lambda part: {part}, lambda part: deque([part]), lambda part: {"a": part}.values(), lambda part: UserDict(a=part)],
)
def test_what_is_held_in_other_containers_is_not_lost(hold: Any) -> None:
    model = mlp()
    for part in (nn.Linear(2, 2), nn.Parameter([1.0])):
        with pytest.raises(TypeError, match=r"^more is a .* with parameters or Modules in it, which are found"):
            model.more = hold(part)
    model.texts = hold("text")
    model.within = [set()]
    model.within[0].add(nn.Tanh())
    with pytest.raises(TypeError, match=r"^within\.0 is a set with parameters or Modules in it"):
        model.parameters()


def test_a_program_sees_that_an_attribute_was_deleted() -> None:
    class Scaled(Module):
        factor = 1.0

        def forward(self, x: Any) -> Any:
            return x * self.factor

    model = Scaled()
    model.factor = 2.0
    step = ad.compile(lambda x: model(x), state=(model,))
    assert step(np.ones(1)) == 2
    del model.factor
    assert step(np.ones(1)) == 1


def test_names_are_paths_also_of_what_is_shared() -> None:
    class Tied(Module):
        def __init__(self) -> None:
            self.encoder = nn.Linear(2, 2, rng=0)
            self.decoder = self.encoder
            self.rest = [nn.Linear(2, 2, rng=1), self.encoder]

    model = Tied()
    model.again = [model.rest[0], {"inner": model.rest}]
    paths = ["encoder.weight", "encoder.bias", "rest.0.weight", "rest.0.bias"]
    assert [path for path, _ in model.named_parameters()] == paths
    assert [parameter.name for parameter in model.parameters()] == paths


def calls_in(work: Callable[[], Any]) -> int:
    """Count the calls of Python functions and of built-in ones, which time is in proportion to."""
    count = 0

    def counted(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_many_layers_take_time_in_proportion() -> None:
    def calls(size: int) -> dict[str, int]:
        layers = [nn.Linear(1, 1, rng=0) for _ in range(size)]
        flat, listed = Module(), nn.Sequential(*layers)
        counts = {"assign": calls_in(lambda: [setattr(flat, f"layer_{k}", one) for k, one in enumerate(layers)])}
        assert len(flat.state_dict()) == 2 * size
        for name, model in (("flat", flat), ("listed", listed)):
            for method in (model.state_dict, model.parameters, model.settings, model.__repr__):
                counts[f"{method.__name__} of {name}"] = calls_in(method)
        state = flat.state_dict()
        return counts | {"load": calls_in(lambda: flat.load_state_dict(state))}

    few, many = calls(50), calls(400)
    assert {name: count for name, count in many.items() if count > 9 * few[name]} == {}


def test_a_class_made_in_a_function_is_let_go_with_it() -> None:
    class Own(Module):
        weight: Parameter | None = None

        def __init__(self) -> None:
            self.weight = Parameter([1.0])
            self.weight = None
            self.weight = None  # now the class is asked what it declares

    reference = weakref.ref(Own)
    Own()
    del Own
    gc.collect()
    assert reference() is None


def test_deep_models_have_names() -> None:
    models: list[Module] = [nn.Linear(1, 1, rng=0)]
    for _ in range(500):
        models.append(nn.Sequential(models[-1]))
    model = models[-1]
    assert model.parameters()[0].name == "layers.0." * 500 + "weight"
    assert not any(module.training for module in model.eval().modules())


def test_a_parameter_is_not_changed_by_operators_in_place() -> None:
    parameter = nn.Parameter([1.0, 2.0], name="w")
    for change in (operator.isub, operator.iadd, operator.imul, operator.itruediv):
        with pytest.raises(TypeError, match=r"Parameter 'w' of shape \(2,\) is not changed in place.*p.data -= "):
            change(parameter, 1.0)
    parameter.data -= 1.0
    np.testing.assert_array_equal(parameter.data, [0, 1])
