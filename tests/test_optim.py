"""Optimizers: step for step those of PyTorch, on arrays of any size and layout, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import optim

ROWS = np.random.default_rng(0).normal(size=(16, 4))
LABELS = np.random.default_rng(1).integers(0, 3, 16)

OPTIMIZERS = {
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
}
every_optimizer = pytest.mark.parametrize(("make", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
Make = Callable[..., optim.Optimizer]


# PyTorch's trajectories


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        pytest.param(np.float64, {"rtol": 1e-9, "atol": 1e-12}, id="float64"),
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


def test_defaults_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name in ("SGD", "Adam", "AdamW"):
        ours = getattr(optim, name)([ad.Tensor([1.0])])
        theirs = getattr(torch.optim, name)([torch.ones(1, requires_grad=True)]).defaults
        for option in ("lr", "weight_decay", "momentum", "nesterov", "betas", "eps"):
            if option in theirs:
                assert getattr(ours, option) == theirs[option], (name, option)


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
        if self.name == "SGD":
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


BLOCK = optim._BLOCK_BYTES // 8  # numbers of float64 in a block


def fortran(array: Any) -> Any:
    return np.asfortranarray(array)


def strided(array: Any) -> Any:
    """Give the same numbers as a view of every second element of a larger array."""
    larger = np.zeros((*array.shape[:-1], 2 * array.shape[-1]))
    larger[..., ::2] = array
    return larger[..., ::2]


@pytest.mark.parametrize(
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
@pytest.mark.parametrize(
    ("make", "options"),
    [OPTIMIZERS[name] for name in ("SGD with all", "Adam with weight decay", "AdamW with weight decay")],
    ids=["SGD", "Adam", "AdamW"],
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
@pytest.mark.parametrize("shape", [(), (3,), (300, 301)], ids=["0-d", "small", "blocks"])
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
    assert not any(slot.any() for slot in optimizer.slots[1].values())
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
@pytest.mark.parametrize("shape", [(), (3,), (300, 301)], ids=["0-d", "small", "blocks"])
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
TORCH_LIKE = (optim.SGD, optim.Adam, optim.AdamW)


@pytest.mark.parametrize("make", TORCH_LIKE)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"lr": -0.1}, "lr must be positive, got -0.1"),
        ({"lr": np.nan}, "lr must be positive, got nan"),
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
        ({"nesterov": True}, "SGD: nesterov needs a momentum above 0"),
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


@pytest.mark.parametrize("make", TORCH_LIKE)
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        pytest.param([], ValueError, "there are no parameters to optimize", id="none"),
        pytest.param([SHARED, ad.Tensor([2.0]), SHARED], ValueError, "a parameter is listed twice", id="one twice"),
        pytest.param(
            [np.ones(2)],
            TypeError,
            "must be a Tensor that no call made, got array",
            id="array",
        ),
        pytest.param(
            nn.MLP([1, 1], rng=0).state_dict(),
            TypeError,
            "must be a Tensor that no call made, got 'layers.0.weight'",
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


def test_a_gradient_of_another_shape_changes_nothing() -> None:
    p, q = ad.Tensor([1.0, 2.0]), ad.Tensor([1.0, 2.0, 3.0])
    optimizer = nn.optim.SGD([p, q], lr=1.0)
    p.grad, q.grad = np.ones(2), np.ones(1)
    with pytest.raises(ValueError, match=r"SGD.step: the gradient of Tensor\(\[1., 2., 3.\]\) is array\(\[1.\]\)"):
        optimizer.step()
    np.testing.assert_array_equal(p.data, [1, 2])
    assert optimizer.steps == [0, 0]
