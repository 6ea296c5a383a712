"""Random steps in random surroundings, of which something changes at a random call: no number is silently old."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.compiler.bind import again
from autodiff.core.record import data_of
from nn import functional

CALLS = 20
Source = tuple[Callable[[Any], Any], Callable[[Any], Any]]  # what a step computes with it, and how it changes


class Slotted:
    __slots__ = ("number",)


class WithProperty:
    def __init__(self) -> None:
        self._numbers = [0.5]

    @property
    def number(self) -> float:
        return self._numbers[-1]

    @staticmethod
    def method(h: Any) -> Any:
        return h * 0.5


class Layer(nn.Module):
    def __init__(self) -> None:
        self.number = 0.5
        self.numbers = [0.5, 1.5]
        self.inner = nn.Linear(3, 3, rng=7)

    def forward(self, h: Any) -> Any:
        return self.inner(h) * self.number + self.numbers[1]


def surroundings() -> Any:
    """Make one of each thing that a step may find around it."""
    around = types.SimpleNamespace()
    around.number, around.function, around.text = 0.5, np.tanh, "tanh"
    around.dict, around.list, around.pair = {"number": 0.5, "deep": {"numbers": [0.5]}}, [0.5, np.sin], (0.5, 2.0)
    around.slotted, around.property = Slotted(), WithProperty()
    around.slotted.number = 0.5
    around.tensor = Tensor(np.linspace(1, 2, 3, dtype=np.float32), requires_grad=False)
    around.scalar = Tensor(np.float32(0.5), requires_grad=False)
    around.array, around.arrays = np.ones(3, np.float32), [np.ones(3, np.float32)]
    around.frozen, around.layer = nn.MLP([3, 4, 3], rng=5), Layer()
    for parameter in around.frozen.parameters():
        parameter.requires_grad = False
    return around


def assign(*path: Any) -> Callable[[Any], None]:
    """Make a change: the last of a path is put where the others lead, as attributes and items."""

    def change(around: Any) -> None:
        *ways, last, value = path
        for way in ways:
            around = getattr(around, way) if isinstance(way, str) and hasattr(around, way) else around[way]
        if isinstance(last, str) and not isinstance(around, dict):
            setattr(around, last, value)
        else:
            around[last] = value

    return change


# A change of the first makes the results right, or is found in the next call; one of the others is found in call 8.
SEEN: dict[str, Source] = {
    "Tensor": (lambda s, h: h * s.tensor, assign("tensor", "data", np.full(3, 3, np.float32))),  # type: ignore[dict-item]
    "in a Tensor": (lambda s, h: h + s.tensor * 2, assign("tensor", "data", 0, 9.0)),
    "number in a Tensor": (lambda s, h: h * s.scalar, assign("scalar", "data", np.float32(0.25))),
    "array": (lambda s, h: h * s.array, assign("array", 1, 5.0)),
    "array in a list": (lambda s, h: h + s.arrays[0], assign("arrays", 0, 0, 5.0)),
    "frozen module": (
        lambda s, h: h + s.frozen(h),
        lambda s: s.frozen.load_state_dict(nn.MLP([3, 4, 3], rng=6).state_dict()),
    ),
    "weight of a frozen module": (
        lambda s, h: s.frozen(h),
        lambda s: np.multiply(w := s.frozen.layers[0].weight.data, 2, out=w),
    ),
    "number of a module": (lambda s, h: s.layer(h), assign("layer", "number", 0.25)),
    "list of a module": (lambda s, h: s.layer(h), assign("layer", "numbers", 1, 0.75)),
    "layer": (lambda s, h: s.layer(h), lambda s: setattr(s.layer, "inner", nn.Linear(3, 3, rng=8))),
}
FOUND: dict[str, Source] = {
    "attribute": (lambda s, h: h * s.number, assign("number", 0.25)),
    "function": (lambda s, h: s.function(h), assign("function", np.sin)),
    "text": (lambda s, h: getattr(np, s.text)(h), assign("text", "cos")),
    "dict": (lambda s, h: h * s.dict["number"], assign("dict", "number", 0.25)),
    "dict in a dict": (lambda s, h: h * s.dict["deep"]["numbers"][0], assign("dict", "deep", "numbers", 0, 0.25)),
    "list": (lambda s, h: h * s.list[0], assign("list", 0, 0.25)),
    "function in a list": (lambda s, h: s.list[1](h), assign("list", 1, np.cos)),
    "tuple": (lambda s, h: h * s.pair[0], assign("pair", (0.25, 2.0))),
    "slots": (lambda s, h: h * s.slotted.number, assign("slotted", "number", 0.25)),
    "property": (lambda s, h: h * s.property.number, lambda s: s.property._numbers.append(0.25)),
    "sum": (lambda s, h: h * sum(s.dict["deep"]["numbers"]), lambda s: s.dict["deep"]["numbers"].append(0.25)),
    "number of items": (lambda s, h: h * len(s.list), lambda s: s.list.append(1)),
    "array for another": (lambda s, h: h * s.array, assign("array", np.full(3, 5, np.float32))),
    "Tensor for another": (lambda s, h: h * s.tensor, lambda s: setattr(s, "tensor", Tensor([3.0, 4.0, 5.0]))),
    "computed from an array": (lambda s, h: h * (s.array * 2), assign("array", 0, 5.0)),
}
SOURCES = SEEN | FOUND


def training(around: Any, names: list[str], optimizer: Any) -> tuple[Any, Callable[[Any, Any], Any]]:
    """Make a state and a step that computes with some of the surroundings, those of a module among the state."""
    model = nn.Linear(3, 3, rng=0)
    optimizer = optimizer(model.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        h = model(x)
        for name in names:
            h = SOURCES[name][0](around, h)  # type: ignore[call-arg]
        loss = functional.mse_loss(h, y)
        loss.backward()
        optimizer.step()
        return {"loss": loss, "h": h.sum(axis=0)}

    return [model, optimizer, around.layer], step


OPTIMIZERS = [lambda ps: nn.optim.SGD(ps, lr=0.01, momentum=0.9), lambda ps: nn.optim.Adam(ps, lr=0.01)]


def outcome(compiled: Any, x: Any, y: Any) -> tuple[Any, str]:
    """Give what a call returns, and the message if it is refused."""
    try:
        return compiled(x, y), ""
    except RuntimeError as error:
        return None, str(error)


def assert_never_silently_old(seed: int, backend: str) -> None:
    rng = np.random.default_rng(seed)
    names = rng.choice(list(SOURCES), size=3, replace=False).tolist()
    changing = names[rng.integers(3)]
    last = CALLS if changing in SEEN else again.ALWAYS
    when = int(rng.integers(1, last))  # the change comes after so many calls
    optimizer = OPTIMIZERS[rng.integers(2)]
    around, others = surroundings(), surroundings()
    (state, step), (_, eager) = training(around, names, optimizer), training(others, names, optimizer)
    compiled = ad.compile(step, state, backend=backend)
    old_since = None
    for call in range(1, CALLS + 1):
        if call == when + 1:
            SOURCES[changing][1](around)
            SOURCES[changing][1](others)
        x, y = rng.normal(size=(2, 5, 3)).astype(np.float32)
        expected = eager(x, y)
        given, message = outcome(compiled, x, y)
        if message:
            since = re.search(r"since call (\d+)", message)
            assert call > when, f"a false alarm: {message}"
            assert old_since is None or (since and int(since[1]) <= old_since), f"{names}, {changing}: {message}"
            return
        is_same = all(np.allclose(data_of(given[k]), data_of(expected[k]), rtol=1e-3, atol=1e-5) for k in expected)
        if not is_same:
            assert changing in FOUND, f"{names}: old in call {call}, as {changing} changed after call {when}"
            old_since = old_since or call
    assert old_since is None, f"{names}: old since call {old_since} without a word, as {changing} changed after {when}"


@pytest.mark.parametrize("seed", range(80))
def test_random_steps_in_random_surroundings(seed: int) -> None:
    assert_never_silently_old(seed, "numpy")


@pytest.mark.parametrize("seed", [100, 102, 104, 105, 106, 107, 108, 110, 111])  # the steps that compile in a second
def test_random_steps_in_random_surroundings_as_machine_code(seed: int) -> None:
    assert_never_silently_old(seed, "numba")
