"""Optimizers: step for step those of PyTorch, on arrays of any size and layout, and what they refuse."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import optim
from nn.optim import base
from nn.optim.base import FLAG, POSITIVE, SHARE, SHARES

ROWS = np.random.default_rng(0).normal(size=(16, 4))
LABELS = np.random.default_rng(1).integers(0, 3, 16)

OPTIMIZERS = (
    {
        "SGD": (optim.SGD, {"lr": 0.1}),
        "SGD with momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        "SGD with Nesterov momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        "SGD with weight decay": (optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
        "SGD with all": (optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
        "Adam": (optim.Adam, {"lr": 0.02}),
        "Adam with other betas": (optim.Adam, {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-3}),
        "Adam without memory": (optim.Adam, {"lr": 0.02, "betas": (0.0, 0.0)}),
        "Adam with weight decay": (optim.Adam, {"lr": 0.02, "weight_decay": 0.05}),
        "AdamW": (optim.AdamW, {"lr": 0.02}),
        "AdamW with weight decay": (optim.AdamW, {"lr": 0.02, "weight_decay": 0.5}),
        "AdamW without weight decay": (optim.AdamW, {"lr": 0.02, "weight_decay": 0.0}),
        "SGD with dampening": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
        "SGD with dampening and weight decay": (
            optim.SGD,
            {"lr": 0.1, "momentum": 0.9, "dampening": 1.0, "weight_decay": 0.05},
        ),
        "Adam with AMSGrad": (optim.Adam, {"lr": 0.02, "amsgrad": True, "betas": (0.9, 0.5)}),
        "AdamW with AMSGrad": (optim.AdamW, {"lr": 0.02, "amsgrad": True, "weight_decay": 0.1, "betas": (0.9, 0.5)}),
    }
    | {
        f"RMSprop, {options}": (optim.RMSprop, {"lr": 0.01, "alpha": 0.9, **options})
        for options in (
            {"momentum": momentum, "centered": centered, "weight_decay": weight_decay, "eps": eps}
            for momentum, centered, weight_decay, eps in itertools.product(
                (0.0, 0.8), (False, True), (0.0, 0.05), (1e-8,)
            )
        )
    }
    | {
        f"Adagrad, {options}": (optim.Adagrad, {"lr": 0.1, **options})
        for options in (
            {"lr_decay": lr_decay, "weight_decay": weight_decay, "initial_accumulator_value": value, "eps": eps}
            for lr_decay, weight_decay, value, eps in itertools.product(
                (0.0, 0.05), (0.0, 0.05), (0.0, 0.5), (1e-10, 1e-2)
            )
        )
    }
)
every_optimizer = pytest.mark.parametrize(("make", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
Make = Callable[..., optim.Optimizer]


# PyTorch's trajectories


@pytest.mark.together(
    ("dtype", "tolerance"),
    [
        pytest.param(np.float64, {"rtol": 1e-10, "atol": 1e-12}, id="float64"),
        pytest.param(np.float32, {"rtol": 1e-3, "atol": 1e-4}, id="float32"),
    ],
)
@every_optimizer
def test_fifty_steps_are_pytorchs(make: Make, options: dict[str, Any], dtype: Any, tolerance: dict[str, float]) -> None:
    torch = pytest.importorskip("torch")
    model = nn.MLP([4, 5, 3], activation="tanh", rng=0, dtype=dtype)
    theirs = [torch.tensor(array, requires_grad=True) for array in model.state_dict().values()]
    start = model.state_dict()
    optimizer = make(model.parameters(), **options)
    torch_optimizer = getattr(torch.optim, make.__name__)(theirs, **options)
    x = ROWS.astype(dtype)
    for step in range(50):
        if step == 25:  # as a schedule would
            optimizer.lr /= 2
            torch_optimizer.param_groups[0]["lr"] /= 2
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), LABELS).backward()
        optimizer.step()

        torch_optimizer.zero_grad()
        W, b, V, c = theirs
        logits = torch.tanh(torch.tensor(x) @ W + b) @ V + c
        torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS)).backward()
        torch_optimizer.step()
    for (path, array), expected in zip(model.state_dict().items(), theirs, strict=True):
        assert array.dtype == dtype
        assert np.abs(array - start[path]).max() > 0.01
        np.testing.assert_allclose(array, expected.detach().numpy(), err_msg=path, **tolerance)


EXTREMES = {
    np.float16: [6e4, 1e3, 250.0, 1e-4, 6e-8, 0.0, np.inf, np.nan],
    np.float32: [3e38, 1e30, 1e20, 2e19, 1e-20, 1e-22, 1e-40, 0.0, np.inf, -np.inf, np.nan],
    np.float64: [1e300, 1e160, 1e155, 1e-160, 1e-300, 0.0, np.inf],
}


@pytest.mark.together("dtype", EXTREMES, ids=lambda dtype: dtype.__name__)
@pytest.mark.together("when", [{0, 1, 2}, {0}, {1}], ids=["always", "first", "second"])
@every_optimizer
def test_extreme_gradients_step_as_pytorchs(make: Make, options: dict[str, Any], when: set[int], dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    for extreme in EXTREMES[dtype]:
        ours = ad.Tensor(np.ones(3, dtype))
        theirs = torch.tensor(ours.data, requires_grad=True)
        optimizer, torch_optimizer = make([ours], **options), getattr(torch.optim, make.__name__)([theirs], **options)
        for step in range(3):
            ours.grad = np.full(3, extreme if step in when else 1.0, dtype)
            theirs.grad = torch.tensor(ours.grad)
            with np.errstate(all="ignore"):
                optimizer.step()
            torch_optimizer.step()
            tolerance = {"rtol": 8 * np.finfo(dtype).eps, "atol": 8 * np.finfo(dtype).eps * options["lr"]}
            np.testing.assert_allclose(ours.data, theirs.detach().numpy(), err_msg=f"{extreme}, {step}", **tolerance)


def test_defaults_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        ours = getattr(optim, name)([ad.Tensor([1.0])]).defaults
        theirs = getattr(torch.optim, name)([torch.ones(1, requires_grad=True)]).defaults
        assert ours == {option: theirs[option] for option in ours}


def test_positions_of_arguments_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        ours, theirs = (list(inspect.signature(getattr(where, name)).parameters) for where in (optim, torch.optim))
        assert ours[1:] == theirs[1 : len(ours)]


def test_groups_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape) for shape in [(3,), (2, 3), (), (4, 1), (5,)]]
    ours = [ad.Tensor(value) for value in values]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    made = []
    for module, p in ((optim, ours), (torch.optim, theirs)):
        groups = [{"params": p[:2], "lr": 0.5}, {"params": [p[2], p[3]], "betas": (0.5, 0.6), "weight_decay": 0.1}]
        made.append(module.Adam(groups, lr=0.02))
    for step in range(50):
        if step == 10:
            for optimizer, p in zip(made, (ours, theirs)):
                optimizer.add_param_group({"params": [p[4]], "amsgrad": True})
        if step == 20:
            for optimizer in made:
                optimizer.param_groups[1]["lr"] = 0.3
                optimizer.param_groups[0]["amsgrad"] = False
        for k, (p, q) in enumerate(zip(ours, theirs)):
            g = None if (step + k) % 5 == 0 else rng.normal(size=p.shape)  # another selection in each step
            p.grad = g if g is None or p.shape else np.float64(g)
            q.grad = None if g is None else torch.tensor(g)
        for optimizer in made:
            optimizer.step()
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-10, atol=1e-13)
    assert [group["lr"] for group in made[0].param_groups] == [group["lr"] for group in made[1].param_groups]


# Written out


class Formula:
    """The published formulas on whole arrays, one parameter each."""

    def __init__(self, p: Any, make: Make, options: dict[str, Any]) -> None:
        self.p, self.name, self.options = p.copy(), make.__name__, options
        self.first = self.second = 0.0 * p
        self.steps = 0

    def step(self, g: Any) -> Any:
        lr, decay = self.options["lr"], self.options.get("weight_decay", 0.01 if self.name == "AdamW" else 0.0)
        self.steps += 1
        if self.name == "AdamW":
            self.p = self.p - lr * decay * self.p
        else:
            g = g + decay * self.p
        if self.name == "Adagrad":
            self.second = self.second + g**2
            self.p = self.p - lr * g / (np.sqrt(self.second) + 1e-10)
        elif self.name == "RMSprop":
            alpha = self.options["alpha"]
            self.first = alpha * self.first + (1 - alpha) * g
            self.second = alpha * self.second + (1 - alpha) * g**2
            self.p = self.p - lr * g / (np.sqrt(self.second - self.first**2) + 1e-8)
        elif self.name == "SGD":
            momentum = self.options.get("momentum", 0.0)
            self.first = momentum * self.first + g
            direction = g + momentum * self.first if self.options.get("nesterov") else self.first
            self.p = self.p - lr * direction
        else:
            beta1, beta2 = self.options.get("betas", (0.9, 0.999))
            self.first = beta1 * self.first + (1 - beta1) * g
            self.second = beta2 * self.second + (1 - beta2) * g**2
            mean, square = self.first / (1 - beta1**self.steps), self.second / (1 - beta2**self.steps)
            self.p = self.p - lr * mean / (np.sqrt(square) + self.options.get("eps", 1e-8))
        return self.p


BLOCK = base.BLOCK_BYTES // 8  # numbers of float64 in a block


def fortran(array: Any) -> Any:
    return np.asfortranarray(array)


def strided(array: Any) -> Any:
    """Give the same numbers as a view of every second element of a larger array."""
    larger = np.zeros((*array.shape[:-1], 2 * array.shape[-1]))
    larger[..., ::2] = array
    return larger[..., ::2]


@pytest.mark.together(
    ("shape", "layout"),
    [
        pytest.param((), np.asarray, id="0-d"),
        pytest.param((1,), np.asarray, id="one element"),
        pytest.param((0, 3), np.asarray, id="no elements"),
        pytest.param((BLOCK,), np.asarray, id="a vector of one block"),
        pytest.param((BLOCK + 1,), np.asarray, id="a vector of one block and a bit"),
        pytest.param((3 * BLOCK,), strided, id="a strided vector of three blocks"),
        pytest.param((257, 300), np.asarray, id="a matrix whose blocks leave a rest"),
        pytest.param((257, 300), fortran, id="a matrix in Fortran order"),
        pytest.param((257, 300), strided, id="a strided matrix"),
        pytest.param((2, 3 * BLOCK // 2), np.asarray, id="rows larger than a block"),
        pytest.param((1, 2 * BLOCK), np.asarray, id="one long row"),
        pytest.param((40, 30, 50), np.asarray, id="three axes"),
    ],
)
@pytest.mark.together(
    ("make", "options"),
    [
        *(OPTIMIZERS[name] for name in ("SGD with all", "Adam with weight decay", "AdamW with weight decay")),
        (optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "centered": True, "weight_decay": 0.05}),
        (optim.Adagrad, {"lr": 0.01, "weight_decay": 0.05}),
    ],
    ids=["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"],
)
def test_arrays_of_every_size_and_layout(
    make: Make, options: dict[str, Any], shape: tuple[int, ...], layout: Callable[[Any], Any]
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape)
    p = nn.Parameter(values)
    if shape:
        p.data = layout(values.copy())
    formula = Formula(values, make, options)
    optimizer = make([p], **options)
    for _ in range(3):
        p.grad = layout(rng.normal(size=shape)) if shape else np.float64(rng.normal())
        expected = formula.step(np.array(p.grad))
        before = np.array(p.grad)
        optimizer.step()
        np.testing.assert_array_equal(p.grad, before)
        np.testing.assert_allclose(p.data, expected, rtol=1e-12, atol=1e-13)
        assert (p.shape, p.dtype) == (shape, np.float64)


@every_optimizer
@pytest.mark.together("shape", [(), (3,), (300, 301)], ids=["0-d", "small", "blocks"])
def test_float32_stays_float32(make: Make, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    p = nn.Parameter(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    optimizer = make([p], **options)
    for _ in range(2):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
        assert p.dtype == np.float32
        assert all(slot.dtype == np.float32 for slots in optimizer.slots for slot in slots.values())


# What a step changes, and what it leaves


@every_optimizer
def test_parameters_without_gradient_are_left_alone(make: Make, options: dict[str, Any]) -> None:
    used, unused = ad.Tensor([1.0, 2.0]), ad.Tensor([3.0, 4.0])
    optimizer = make([used, unused], **options)
    for _ in range(2):
        optimizer.zero_grad()
        (used * used).sum().backward()
        optimizer.step()
    np.testing.assert_array_equal(unused.data, [3, 4])
    assert optimizer.steps == [2, 0]
    assert optimizer.slots[1] == {}
    assert (used.data != [1, 2]).all()


@every_optimizer
def test_gradients_are_not_changed(make: Make, options: dict[str, Any]) -> None:
    p = ad.Tensor([1.0, -2.0])
    optimizer = make([p], **options)
    p.grad = np.array([0.5, 0.25])
    for _ in range(3):
        optimizer.step()
        np.testing.assert_array_equal(p.grad, [0.5, 0.25])


@every_optimizer
def test_gradients_with_a_graph_are_taken(make: Make, options: dict[str, Any]) -> None:
    results = []
    for create_graph in (False, True):
        p = ad.Tensor([1.0, -2.0])
        optimizer = make([p], **options)
        (p**3).sum().backward(create_graph=create_graph)
        optimizer.step()
        assert isinstance(p.data, np.ndarray)
        results.append(p.data)
    np.testing.assert_array_equal(*results)


def test_momentum_builds_up() -> None:
    p = ad.Tensor([0.0])
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    steps = []
    for gradient in (1.0, 1.0, 0.0):
        p.grad = np.array([gradient])
        before = p.data.copy()
        optimizer.step()
        steps.append((before - p.data).item())
    assert steps == [1.0, 1.5, 0.75]
    np.testing.assert_array_equal(optimizer.slots[0]["momentum"], [0.75])


def test_zero_grad_forgets() -> None:
    p, q = ad.Tensor([1.0]), ad.Tensor([1.0])
    optimizer = optim.SGD([p, q], lr=0.1)
    (p * q).sum().backward()
    optimizer.zero_grad()
    assert p.grad is None
    assert q.grad is None
    optimizer.step()
    np.testing.assert_array_equal(p.data, [1])


def test_learning_rate_may_change_between_steps() -> None:
    p = ad.Tensor([0.0])
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = np.array([1.0])
    optimizer.step()
    optimizer.lr = 0.5
    optimizer.step()
    np.testing.assert_array_equal(p.data, [-1.5])


def test_parameters_may_come_from_a_generator() -> None:
    model = nn.MLP([2, 1], rng=0)
    optimizer = optim.SGD((parameter for _, parameter in model.named_parameters()), lr=0.1)
    assert len(optimizer.parameters) == 2
    assert repr(optimizer) == "SGD(lr=0.1, 2 parameters)"


@every_optimizer
@pytest.mark.together("shape", [(), (3,), (300, 301)], ids=["0-d", "small", "blocks"])
def test_a_step_between_forward_and_backward_is_noticed(
    make: Make, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    p = nn.Parameter(np.ones(shape), name="slope")
    optimizer = make([p], **options)
    (p * p).sum().backward()
    stale = (p * p).sum()
    optimizer.step()
    message = f"Parameter 'slope' of shape {shape} was changed after multiply had used it"
    with pytest.raises(RuntimeError, match=re.escape(message)):
        stale.backward()


def test_a_step_too_early_names_the_parameter_by_its_path() -> None:
    model = nn.MLP([3, 2, 1], activation="tanh", rng=0)
    optimizer = optim.Adam(model.layers[0].parameters())
    x = np.ones((2, 3), np.float32)
    model(x).sum().backward()
    stale = model(x).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"Parameter 'layers\.0\.weight' of shape \(3, 2\) was changed after linear"):
        stale.backward()


def test_an_optimizer_of_ones_own_must_say_how_it_steps() -> None:
    class Lazy(optim.Optimizer):
        pass

    p = ad.Tensor([1.0])
    optimizer = Lazy([p], lr=0.1, weight_decay=0.0)
    p.grad = np.ones(1)
    with pytest.raises(NotImplementedError, match="Lazy must define update"):
        optimizer.step()


# Bad input

SHARED = ad.Tensor([1.0])
TORCH_LIKE = (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad)


@pytest.mark.parametrize("make", TORCH_LIKE)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.1}, "lr must be at least 0, got -0.1"),
        ({"lr": np.nan}, "lr must be at least 0, got nan"),
        ({"lr": np.inf}, "lr must be at least 0, got inf"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
        ({"weight_decay": np.nan}, "weight_decay must be at least 0, got nan"),
    ],
    ids=str,
)
def test_numbers_outside_their_domain(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{make.__name__}: {message}")):
        make([ad.Tensor([1.0])], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, "SGD: momentum must be at least 0 and below 1, got 1.0"),
        ({"momentum": -0.5}, "SGD: momentum must be at least 0 and below 1, got -0.5"),
        ({"momentum": np.nan}, "SGD: momentum must be at least 0 and below 1, got nan"),
        ({"nesterov": True}, "SGD: nesterov needs a momentum above 0 and a dampening of 0"),
        (
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            "SGD: nesterov needs a momentum above 0 and a dampening",
        ),
        ({"dampening": 1.5}, "SGD: dampening must be from 0 to 1, got 1.5"),
    ],
    ids=str,
)
def test_bad_momentum(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        optim.SGD([ad.Tensor([1.0])], lr=0.1, **options)


@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": (1.0, 0.9)}, "each of betas must be at least 0 and below 1, got 1.0"),
        ({"betas": (0.9, -0.1)}, "each of betas must be at least 0 and below 1, got -0.1"),
        ({"betas": (0.9, np.nan)}, "each of betas must be at least 0 and below 1, got nan"),
        ({"betas": (0.9, 0.9, 0.9)}, "betas must be two numbers, got (0.9, 0.9, 0.9)"),
        ({"eps": 0.0}, "eps must be positive, got 0.0"),
        ({"eps": -1e-8}, "eps must be positive, got -1e-08"),
        ({"eps": np.nan}, "eps must be positive, got nan"),
    ],
    ids=str,
)
def test_bad_options_of_adam(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{make.__name__}: {message}")):
        make([ad.Tensor([1.0])], **options)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (optim.RMSprop, {"alpha": 1.0}, "RMSprop: alpha must be at least 0 and below 1, got 1.0"),
        (optim.RMSprop, {"momentum": -1}, "RMSprop: momentum must be at least 0 and below 1, got -1"),
        (optim.RMSprop, {"eps": 0}, "RMSprop: eps must be positive, got 0"),
        (optim.Adagrad, {"lr_decay": -1.0}, "Adagrad: lr_decay must be at least 0, got -1.0"),
        (optim.Adagrad, {"initial_accumulator_value": -1.0}, "Adagrad: initial_accumulator_value must be at least 0"),
        (optim.Adagrad, {"eps": -1.0}, "Adagrad: eps must be positive, got -1.0"),
    ],
    ids=str,
)
def test_bad_options_of_the_others(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make([ad.Tensor([1.0])], **options)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (optim.SGD, {"lr": "0.1"}, "SGD: lr must be a number, at least 0, got '0.1'"),
        (optim.SGD, {"lr": True}, "SGD: lr must be a number, at least 0, got True"),
        (optim.SGD, {"momentum": 0.9, "nesterov": 1}, "SGD: nesterov must be True or False, got 1"),
        (optim.Adam, {"amsgrad": None}, "Adam: amsgrad must be True or False, got None"),
        (optim.RMSprop, {"centered": "no"}, "RMSprop: centered must be True or False, got 'no'"),
        (optim.Adam, {"betas": (0.9, None)}, "Adam: each of betas must be a number"),
        (optim.Adam, {"betas": 0.9}, "Adam: betas must be two numbers, got 0.9"),
        (optim.AdamW, {"betas": "ab"}, "AdamW: betas must be two numbers, got 'ab'"),
    ],
    ids=str,
)
def test_options_of_the_wrong_type(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        make([ad.Tensor([1.0])], **options)


@pytest.mark.parametrize("make", TORCH_LIKE)
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        pytest.param([], ValueError, "there are no parameters; has", id="none"),
        pytest.param([SHARED, ad.Tensor([2.0]), SHARED], ValueError, "a parameter is listed twice", id="one twice"),
        pytest.param(
            [np.ones(2)],
            TypeError,
            "must be a Tensor, got array",
            id="array",
        ),
        pytest.param(
            nn.MLP([1, 1], rng=0).state_dict(),
            TypeError,
            "must be a Tensor, got 'layers.0.weight'",
            id="dict",
        ),
        pytest.param(
            [ad.Tensor([1.0], requires_grad=False)],
            ValueError,
            "none of the parameters requires a gradient",
            id="frozen",
        ),
        pytest.param(ad.Tensor([1.0, 2.0]), TypeError, "must be a list of Tensors, .* got Tensor", id="one alone"),
    ],
)
def test_bad_parameters(make: Make, parameters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"{make.__name__}: .*{message}"):
        make(parameters, lr=0.1)


def test_frozen_parameters_stay_as_they_are() -> None:
    model = nn.MLP([2, 3, 1], rng=0)
    model.layers[0].weight.requires_grad = False
    before = model.state_dict()
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    model(np.ones((4, 2), np.float32)).sum().backward()
    optimizer.step()
    changed = [path for path, array in model.state_dict().items() if not np.array_equal(array, before[path])]
    assert "layers.0.weight" not in changed
    assert "layers.2.weight" in changed


def gradients_of_another_kind() -> Iterator[Any]:
    for gradient, error, problem in (
        (np.array(["a", "b"]), TypeError, "is <U1, the parameter float64"),
        (np.array([1.0, None]), TypeError, "is object, the parameter float64"),
        ("ab", TypeError, "must be an array or a Tensor, got a str"),
        ([1.0, 2.0], TypeError, "must be an array or a Tensor, got a list"),
        (1.0, TypeError, "must be an array or a Tensor, got a float"),
        (np.ones(3), ValueError, "is array([1., 1., 1.])"),
        (ad.Tensor([1.0]), ValueError, "is array([1.])"),
    ):
        yield pytest.param(lambda gradient=gradient: gradient, error, problem, id=problem)


@pytest.mark.parametrize(("make", "error", "problem"), list(gradients_of_another_kind()))
def test_a_gradient_of_another_kind_changes_nothing(
    make: Callable[[], Any], error: type[Exception], problem: str
) -> None:
    p, q = ad.Tensor([1.0, 2.0]), ad.Tensor([3.0, 4.0])
    optimizer = optim.SGD([p, q], lr=1.0)
    first = p.grad = np.array([30.0, 40.0])
    q.grad = make()
    for call in (
        optimizer.step,
        lambda: optim.clip_grad_norm_([p, q], 1.0),
        lambda: optim.clip_grad_value_([p, q], 1.0),
    ):
        with pytest.raises(error, match=re.escape(f"the gradient of Tensor([3., 4.]) {problem}")):
            call()
    assert p.grad is first
    np.testing.assert_array_equal(p.data, [1, 2])
    np.testing.assert_array_equal(first, [30, 40])
    assert optimizer.steps == [0, 0]


def test_a_gradient_of_another_shape_changes_nothing() -> None:
    p, q = ad.Tensor([1.0, 2.0]), ad.Tensor([1.0, 2.0, 3.0])
    optimizer = nn.optim.SGD([p, q], lr=1.0)
    p.grad, q.grad = np.ones(2), np.ones(1)
    with pytest.raises(ValueError, match=r"SGD.step: the gradient of Tensor\(\[1., 2., 3.\]\) is array\(\[1.\]\)"):
        optimizer.step()
    np.testing.assert_array_equal(p.data, [1, 2])
    assert optimizer.steps == [0, 0]


# Small arrays, which share a step


def model_and_optimizer(make: Make, options: dict[str, Any], seed: int = 0) -> tuple[nn.Module, optim.Optimizer]:
    model = nn.MLP([4, 5, 6, 3], activation="tanh", rng=seed, dtype=np.float64)
    return model, make(model.parameters(), **options)


def train(model: nn.Module, optimizer: optim.Optimizer, steps: int = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(ROWS), LABELS).backward()
        optimizer.step()


def assert_same(model: nn.Module, other: nn.Module) -> None:
    for (path, found), wanted in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=path)


@every_optimizer
def test_arrays_that_share_a_step_change_as_each_alone(
    make: Make, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    shapes = [(3,), (2, 2), (), (0,), (4, 1, 2), (3,), (70, 70), (5,)]
    dtypes = [np.float64, np.float64, np.float64, np.float64, np.float32, np.float32, np.float64, np.float64]
    runs = []
    for small in (base.SMALL_BYTES, -1):
        monkeypatch.setattr(base, "SMALL_BYTES", small)
        rng = np.random.default_rng(0)
        parameters = [ad.Tensor(rng.normal(size=s).astype(d)) for s, d in zip(shapes, dtypes, strict=True)]
        optimizer = make(parameters, **options)
        for step in range(8):
            for k, p in enumerate(parameters):
                g = rng.normal(size=p.shape).astype(p.dtype)[()]
                p.grad = None if (step * k) % 3 == 1 else g
            if step == 4:
                parameters[1].data = np.asfortranarray(rng.normal(size=(2, 2)))
            if step == 6:
                parameters[0].data[:] = 1.0
            optimizer.step()
        runs.append((parameters, optimizer))
    (joined, one), (alone, other) = runs
    assert one.steps == other.steps
    for p, q in zip(joined, alone, strict=True):
        assert (p.shape, p.dtype) == (q.shape, q.dtype)
        np.testing.assert_array_equal(p.data, q.data)
    for key, value in one.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[key], err_msg=key)


def test_many_small_arrays_do_not_fit_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BLOCK_BYTES", 100)
    monkeypatch.setattr(base, "SMALL_BYTES", 50)
    parameters = [ad.Tensor(np.full(size, float(size))) for size in (3, 5, 4, 1, 2, 7, 1, 6, 3)]
    optimizer = optim.SGD(parameters, lr=1.0)
    for p in parameters:
        p.grad = np.ones(p.shape)
    optimizer.step()
    for p in parameters:
        np.testing.assert_array_equal(p.data, np.full(p.size, p.size - 1.0))


def test_two_optimizers_may_take_turns_on_the_same_parameters() -> None:
    p, q = ad.Tensor([1.0, 2.0]), ad.Tensor([3.0])
    first, second = optim.SGD([p, q], lr=0.5, momentum=0.5), optim.SGD([q, p], lr=0.25)
    for optimizer in (first, second, first, second):
        p.grad, q.grad = np.ones(2), np.ones(1)
        optimizer.step()
    total = 0.5 + 0.25 + 0.75 + 0.25
    np.testing.assert_array_equal(p.data, [1 - total, 2 - total])
    np.testing.assert_array_equal(q.data, [3 - total])


@pytest.mark.together("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
@every_optimizer
def test_a_copy_steps_as_the_original(make: Make, options: dict[str, Any], duplicate: Callable[[Any], Any]) -> None:
    model, optimizer = model_and_optimizer(make, options)
    train(model, optimizer)
    other, its = duplicate((model, optimizer))
    train(other, its)
    state = its.state_dict()
    train(model, optimizer)
    assert_same(model, other)
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, state[key], err_msg=key)


# State


@every_optimizer
def test_resumed_steps_are_equal_to_the_bit(make: Make, options: dict[str, Any]) -> None:
    model, optimizer = model_and_optimizer(make, options)
    train(model, optimizer)
    optimizer.lr *= 0.7
    weights, state = model.state_dict(), optimizer.state_dict()
    assert all(isinstance(array, np.ndarray) for array in state.values())
    train(model, optimizer)

    other, its = model_and_optimizer(make, {}, seed=1)
    train(other, its, steps=1)
    other.load_state_dict(weights)
    its.load_state_dict(state)
    train(other, its)
    assert_same(other, model)
    assert its.param_groups[0].keys() == optimizer.param_groups[0].keys()
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, its.state_dict()[key], err_msg=key)


def test_a_state_is_a_copy() -> None:
    model, optimizer = model_and_optimizer(optim.Adam, {})
    train(model, optimizer)
    state = optimizer.state_dict()
    kept = {key: array.copy() for key, array in state.items()}
    model_two, optimizer_two = model_and_optimizer(optim.Adam, {})
    optimizer_two.load_state_dict(state)
    train(model, optimizer)
    train(model_two, optimizer_two)
    for key, array in state.items():
        np.testing.assert_array_equal(array, kept[key], err_msg=key)


def test_keys_of_a_state() -> None:
    x, y = ad.Tensor([1.0, 2.0]), ad.Tensor(3.0)
    optimizer = optim.Adam([{"params": [x]}, {"params": [y], "lr": 0.5}], lr=0.1)
    assert list(optimizer.state_dict()) == [
        *(f"groups.{k}.{o}" for k in (0, 1) for o in ("lr", "betas", "eps", "weight_decay", "amsgrad", "parameters")),
        "parameters.0.step",
        "parameters.1.step",
    ]
    x.grad = np.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    assert {key: array.tolist() for key, array in state.items() if key.startswith("parameters")} == {
        "parameters.0.step": 1,
        "parameters.1.step": 0,
        "parameters.0.mean": pytest.approx([0.1, 0.1]),
        "parameters.0.square": pytest.approx([0.001, 0.001]),
    }
    assert state["groups.1.lr"].shape == ()
    assert state["groups.1.lr"] == 0.5
    np.testing.assert_array_equal(state["groups.0.betas"], [0.9, 0.999])


def stepped() -> optim.Optimizer:
    p, q = ad.Tensor([1.0, 2.0]), ad.Tensor([3.0])
    optimizer = optim.SGD([{"params": [p], "lr": 0.5}, {"params": [q]}], momentum=0.9)
    p.grad, q.grad = np.ones(2), np.ones(1)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("groups.1.lr"), ValueError, "missing groups.1.lr"),
        (lambda s: s.pop("parameters.1.step"), ValueError, "missing parameters.1.step"),
        (lambda s: s.pop("parameters.1.momentum"), ValueError, "missing parameters.1.momentum"),
        (lambda s: s.update({"parameters.2.step": np.array(1)}), ValueError, "unexpected parameters.2.step"),
        (lambda s: s.update({"parameters.0.mean": np.ones(2)}), ValueError, "unexpected parameters.0.mean"),
        (
            lambda s: s.update({"parameters.0.momentum": np.ones(3)}),
            ValueError,
            r"parameters.0.momentum has shape \(3,\) and dtype float64, the optimizer's \(2,\) and float64",
        ),
        (
            lambda s: s.update({"parameters.0.momentum": np.ones(2, np.float32)}),
            ValueError,
            "parameters.0.momentum has .* dtype float32",
        ),
        (lambda s: s.update({"groups.0.nesterov": np.array(1)}), ValueError, "groups.0.nesterov has .* int64"),
        (lambda s: s.update({"groups.0.lr": np.array([0.1])}), ValueError, r"groups.0.lr has shape \(1,\)"),
        (lambda s: s.update({"groups.0.lr": np.array(-0.1)}), ValueError, "groups.0: lr must be at least 0, got -0.1"),
        (lambda s: s.update({"groups.0.parameters": np.array(2)}), ValueError, "groups.0.parameters is 2, the .* 1"),
        (lambda s: s.update({"parameters.0.step": np.array(-1)}), ValueError, "parameters.0.step is negative: -1"),
        (lambda s: s.update({"groups.0.lr": "fast"}), ValueError, "groups.0.lr has shape .* dtype <U4"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(
    change: Callable[[dict[str, Any]], Any], error: type[Exception], message: str
) -> None:
    optimizer = stepped()
    before = optimizer.state_dict()
    state = {key: array + array if key.startswith("parameters") else array for key, array in before.items()}
    change(state)
    with pytest.raises(error, match=f"SGD.load_state_dict: .*{message}"):
        optimizer.load_state_dict(state)
    assert optimizer.state_dict().keys() == before.keys()
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)


def test_a_state_must_be_a_dict() -> None:
    with pytest.raises(TypeError, match=r"SGD.load_state_dict: expected a dict of arrays, .* got list"):
        stepped().load_state_dict([1, 2])  # type: ignore[arg-type]


def test_a_state_names_all_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"missing groups.0.lr; .*missing parameters.1.step; unexpected lr"):
        stepped().load_state_dict({"lr": 0.1})


# Groups


def test_learning_rate_of_several_groups() -> None:
    x, y = ad.Tensor([1.0]), ad.Tensor([2.0])
    optimizer = optim.SGD([{"params": [x], "lr": 0.5}, {"params": (q for q in [y])}], lr=0.1)
    assert repr(optimizer) == "SGD(lr=0.5, lr=0.1, 2 parameters)"
    assert optimizer.parameters == [x, y]
    with pytest.raises(ValueError, match=r"SGD.lr: the groups have different learning rates \[0.1, 0.5\]; read param_"):
        _ = optimizer.lr
    optimizer.lr = np.float32(0.25)  # type: ignore[assignment]
    assert optimizer.lr == 0.25
    assert [type(group["lr"]) for group in optimizer.param_groups] == [float, float]
    with pytest.raises(ValueError, match="SGD: lr must be at least 0, got -1"):
        optimizer.lr = -1


def test_a_number_of_numpy_keeps_float32() -> None:
    x = ad.Tensor(np.ones(3, np.float32))
    optimizer = optim.Adam([x])
    optimizer.param_groups[0]["lr"] = np.float64(0.1)
    optimizer.param_groups[0]["betas"] = [np.float64(0.9), np.float64(0.99)]
    x.grad = np.ones(3, np.float32)
    optimizer.step()
    assert x.dtype == optimizer.slots[0]["mean"].dtype == np.float32


@pytest.mark.parametrize(
    ("group", "error", "message"),
    [
        ({"params": []}, ValueError, "there are no parameters; has"),
        ({"params": SHARED}, TypeError, "must be a list of Tensors, .* got Tensor"),
        ({"params": [SHARED]}, ValueError, "a parameter is listed twice, in two groups"),
        ({"params": [ad.Tensor(1.0), 2.0]}, TypeError, "must be a Tensor, got 2.0"),
        ({"params": [ad.Tensor(1.0, requires_grad=False)]}, ValueError, "none of the parameters requires a gradient"),
        (
            {"params": [ad.Tensor(1.0)], "beta": 0.9},
            ValueError,
            "unknown option 'beta'; known: lr, momentum, dampening",
        ),
        ({"params": [ad.Tensor(1.0)], "lr": -1}, ValueError, "lr must be at least 0, got -1"),
        ({"params": [ad.Tensor(1.0)], "nesterov": True}, ValueError, "nesterov needs a momentum"),
        ({"lr": 0.1}, TypeError, 'a group must be a dict with a list of Tensors under "params"'),
        ([ad.Tensor(1.0)], TypeError, 'a group must be a dict with a list of Tensors under "params"'),
    ],
)
def test_bad_groups(group: Any, error: type[Exception], message: str) -> None:
    optimizer = optim.SGD([SHARED], lr=0.1)
    with pytest.raises(error, match=rf"SGD.add_param_group: .*{message}"):
        optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == len(optimizer.parameters) == 1
    if isinstance(group, dict):
        with pytest.raises(error, match=f"SGD: .*{message}"):
            optim.SGD([{"params": [SHARED]}, group], lr=0.1)


@pytest.mark.parametrize(
    ("option", "value", "error", "message"),
    [
        ("lr", -0.5, ValueError, "SGD.step: lr must be at least 0, got -0.5"),
        ("lr", "small", TypeError, "SGD.step: lr must be a number, at least 0, got 'small'"),
        ("momentum", 1.0, ValueError, "SGD.step: momentum must be at least 0 and below 1, got 1.0"),
        ("nesterov", True, ValueError, "SGD.step: nesterov needs a momentum above 0"),
    ],
)
def test_an_option_assigned_outside_its_domain_changes_nothing(
    option: str, value: Any, error: type[Exception], message: str
) -> None:
    p, q = ad.Tensor([1.0]), ad.Tensor([2.0])
    optimizer = optim.SGD([{"params": [p]}, {"params": [q]}], lr=1.0)
    p.grad = q.grad = np.ones(1)
    before = optimizer.param_groups[1][option]
    optimizer.param_groups[1][option] = value
    for _ in range(2):
        with pytest.raises(error, match=re.escape(message)):
            optimizer.step()
    np.testing.assert_array_equal([*p.data, *q.data], [1, 2])
    optimizer.param_groups[1][option] = before
    optimizer.step()
    np.testing.assert_array_equal([*p.data, *q.data], [0, 1])


def test_momentum_may_be_turned_on_later() -> None:
    p = ad.Tensor([0.0])
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = np.ones(1)
    optimizer.step()
    assert optimizer.slots == [{}]
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(p.data, [-3.5])
    assert "parameters.0.momentum" in optimizer.state_dict()


def test_a_gradient_of_another_dtype_is_converted() -> None:
    p, q = nn.Parameter(np.ones(2, np.float32)), nn.Parameter(np.float32(1.0))
    optimizer = optim.SGD([p, q], lr=0.5)
    p.grad, q.grad = np.array([1, 2]), np.float64(1.0)
    optimizer.step()
    assert p.dtype == q.dtype == np.float32
    np.testing.assert_array_equal(p.data, [0.5, 0.0])


def test_a_centered_variance_of_zero_is_no_nan() -> None:
    p = ad.Tensor(np.linspace(0.1, 3, 100))
    optimizer = optim.RMSprop([p], lr=1e-9, alpha=0.5, centered=True)
    p.grad = np.linspace(0.1, 3, 100)
    for _ in range(60):
        optimizer.step()
    assert np.isfinite(p.data).all()


def test_an_optimizer_of_ones_own() -> None:
    class Signs(optim.Optimizer):
        def update(self, p: Any, g: Any, slots: dict[str, Any], step: int, options: dict[str, Any]) -> Any:
            p -= options["lr"] * options["scale"] * np.sign(g)
            return p

    p = ad.Tensor([1.0, -2.0])
    optimizer = Signs([p], lr=0.5, scale=2)
    p.grad = np.array([3.0, -4.0])
    optimizer.step()
    np.testing.assert_array_equal(p.data, [0, -1])
    with pytest.raises(ValueError, match="Signs: scale must be finite, got nan"):
        Signs([p], lr=0.5, scale=np.nan)
    with pytest.raises(TypeError, match="Signs: scale must be a number, finite, got 'large'"):
        Signs([p], lr=0.5, scale="large")


def test_an_optimizer_of_ones_own_has_options_of_its_own() -> None:
    """What RMSprop calls alpha must be below 1, and what another optimizer calls so need not."""

    class Powers(optim.Optimizer):
        options = {"alpha": POSITIVE, "centered": SHARES}  # noqa: RUF012

        def update(self, p: Any, g: Any, slots: dict[str, Any], step: int, options: dict[str, Any]) -> Any:
            p -= options["lr"] * np.sign(g) * np.abs(g) ** options["alpha"]
            return p

    class Cubes(Powers):
        options = {"centered": FLAG}  # noqa: RUF012

    p = ad.Tensor([1.0])
    optimizer = Powers([p], lr=0.5, alpha=2.0)
    p.grad = np.array([-3.0])
    optimizer.step()
    assert p.data == [5.5]
    assert Cubes.options == {"lr": optim.Optimizer.options["lr"], "alpha": POSITIVE, "centered": FLAG}
    assert set(Powers.options) == {"lr", "alpha", "centered"}
    assert set(optim.Optimizer.options) == {"lr"}
    for make, options, error, message in (
        (Powers, {"alpha": 0}, ValueError, "Powers: alpha must be positive, got 0"),
        (Powers, {"centered": (0.5, 0.5), "lr": -1}, ValueError, "Powers: lr must be at least 0, got -1"),
        (Cubes, {"alpha": -1}, ValueError, "Cubes: alpha must be positive, got -1"),
        (Cubes, {"centered": (0.5, 0.5)}, TypeError, "Cubes: centered must be True or False"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            make([p], **{"lr": 0.1, "alpha": 1.0} | options)
    assert optim.RMSprop.options["alpha"] is SHARE


# Clipping


def with_gradients(dtype: Any = np.float64) -> list[ad.Tensor]:
    rng = np.random.default_rng(0)
    parameters = [nn.Parameter(np.zeros(shape, dtype)) for shape in [(3, 4), (), (5,), (0,), (2,)]]
    for p in parameters[:4]:
        p.grad = rng.normal(size=p.shape).astype(dtype)[()] if p.shape else dtype(rng.normal())
    return parameters


@pytest.mark.together("dtype", [np.float32, np.float64])
@pytest.mark.together("norm_type", [1.0, 1.5, 2.0, 3, math.inf])
@pytest.mark.together("max_norm", [0.0, 0.5, 2, 1e3, math.inf])
def test_clipped_norms_are_pytorchs(max_norm: float, norm_type: float, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    ours = with_gradients(dtype)
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    before = [p.grad for p in ours]
    kept = [None if g is None else g.copy() for g in before]
    for p, q in zip(ours, theirs):
        q.grad = None if p.grad is None else torch.tensor(p.grad)
    found = optim.clip_grad_norm_(ours, max_norm, norm_type)
    wanted = torch.nn.utils.clip_grad_norm_([q for q in theirs if q.numel()], max_norm, norm_type)
    rtol = 1e-12 if dtype is np.float64 else 1e-5
    assert type(found) is float
    assert found == pytest.approx(wanted.item(), rel=rtol)
    for p, q, g in zip(ours[:4], theirs, before):
        assert (p.grad.shape, p.grad.dtype) == (g.shape, dtype)
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=rtol)
    assert ours[4].grad is None
    for g, was in zip(before, kept):
        np.testing.assert_array_equal(g, was)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_not_finite(bad: float) -> None:
    parameters = with_gradients()
    parameters[2].grad[1] = bad
    before = [p.grad for p in parameters]
    with pytest.raises(RuntimeError, match=f"clip_grad_norm_: the norm of the gradients is {bad}"):
        optim.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert all(p.grad is g for p, g in zip(parameters, before))
    assert not np.isfinite(optim.clip_grad_norm_(parameters, 1.0))
    assert np.isnan(parameters[2].grad[1])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("size", "norm_type", "dtype"),
    [
        (1e200, 2.0, np.float64), (1e-200, 2.0, np.float64), (1e4, 100.0, np.float64), (1e-4, 100.0, np.float64),
        (1e307, 1.0, np.float64), (1e300, 3.0, np.float64), (1e30, 2.0, np.float32), (1e-30, 20.0, np.float32),
        (1e4, 100.0, np.float16),
    ],
)  # fmt: skip
def test_a_norm_whose_powers_overflow(size: float, norm_type: float, dtype: Any, compiled: bool) -> None:
    x, y = ad.Tensor(np.zeros(2, dtype)), ad.Tensor(np.zeros(2, dtype))

    def step(g: Any) -> Any:
        x.grad, y.grad = g, g / 2
        return optim.clip_grad_norm_([x, y], 0.5 * size, norm_type)

    g = np.array([1, -0.5], dtype) * dtype(size)
    found = (ad.compile(step, state=(x, y)) if compiled else step)(g)
    exact = float((1 + 2 * 0.5**norm_type + 0.25**norm_type) ** (1 / norm_type)) * size
    assert float(found) == pytest.approx(exact, rel=1e-3 if dtype is np.float16 else 1e-6)
    if size > 1 and not compiled:
        np.testing.assert_allclose(x.grad, g * dtype(0.5 * size / exact), rtol=1e-2 if dtype is np.float16 else 1e-6)


def test_a_norm_without_gradients_is_zero() -> None:
    assert optim.clip_grad_norm_([ad.Tensor([1.0])], 1.0) == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("clip_value", [0.0, 0.5, 100])
def test_clipped_values_are_pytorchs(clip_value: float, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    ours = with_gradients(dtype)
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    for p, q in zip(ours, theirs):
        q.grad = None if p.grad is None else torch.tensor(p.grad)
    optim.clip_grad_value_(ours, clip_value)
    torch.nn.utils.clip_grad_value_(theirs, clip_value)
    for p, q in zip(ours[:4], theirs):
        assert p.grad.dtype == dtype
        np.testing.assert_array_equal(p.grad, q.grad.numpy())
    assert ours[4].grad is None


def test_clipped_gradients_keep_their_graph() -> None:
    x = ad.Tensor([3.0, -1.0])
    (x**2).sum().backward(create_graph=True)
    optim.clip_grad_value_([x], 4.0)
    gradient, x.grad = x.grad, None
    gradient.sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda p: optim.clip_grad_norm_(p, -1.0),
            ValueError,
            "clip_grad_norm_: max_norm must be at least 0, got -1.0",
        ),
        (lambda p: optim.clip_grad_norm_(p, 1.0, 0), ValueError, "clip_grad_norm_: norm_type must be positive, got 0"),
        (lambda p: optim.clip_grad_norm_(p, 1.0, "fro"), TypeError, "clip_grad_norm_: norm_type must be a number"),
        (lambda p: optim.clip_grad_norm_([], 1.0), ValueError, "clip_grad_norm_: there are no parameters"),
        (lambda p: optim.clip_grad_norm_(p + p, 1.0), ValueError, "clip_grad_norm_: a parameter is listed twice"),
        (lambda p: optim.clip_grad_value_(p, math.nan), ValueError, "clip_grad_value_: clip_value must be at least 0"),
        (lambda p: optim.clip_grad_value_([1.0], 1.0), TypeError, "clip_grad_value_: a parameter must be a Tensor"),
        (lambda p: optim.clip_grad_value_(p[0], 1.0), TypeError, "clip_grad_value_: parameters must be a list"),
    ],
)
def test_bad_clipping(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    parameters = with_gradients()
    before = [p.grad for p in parameters]
    with pytest.raises(error, match=re.escape(message)):
        call(parameters)
    assert all(p.grad is g for p, g in zip(parameters, before))
