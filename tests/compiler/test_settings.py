"""What lies in the lists and dicts of a Module or an optimizer of the state, and in their classes, may change."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from nn import functional
from tests.compiler.trainings import LABELS, X


class _Holder(nn.Module):
    def __init__(self) -> None:
        self.layers = [nn.Linear(6, 5, rng=0), nn.Tanh(), nn.Linear(5, 4, rng=1)]
        self.scales = [nn.Parameter(1.0), nn.Parameter(1.0)]
        self.cfg = {"scale": 2.0, "deep": [1, {"shift": (0.5, 0.25)}], "bias": True}
        self.act = functools.partial(functional.leaky_relu, negative_slope=0.1)

    def scaled(self, x: Any) -> Any:
        return x * self.scales[0] + x * self.scales[1] * self.cfg["scale"]

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        deep: Any = self.cfg["deep"]
        x = self.act(self.scaled(x) + deep[1]["shift"][1]) ** deep[0]
        return x + 1 if self.cfg["bias"] else x


def _descended(p: Any, g: Any, *others: Any) -> Any:
    p -= g
    return p


def _other_scale(model: Any, optimizer: Any, patch: Any) -> None:
    """Put another Parameter of the same value in the place of one, in the model and in the optimizer."""
    model.scales[0] = nn.Parameter(model.scales[0].data)
    optimizer.param_groups[0]["params"][4] = model.scales[0]


def _other_parameters(model: Any, optimizer: Any, patch: Any) -> None:
    model.scales = [nn.Parameter(scale.data) for scale in model.scales]
    optimizer.param_groups[0]["params"] = model.parameters()


@pytest.mark.parametrize(
    "change",
    [
        lambda m, o, p: m.layers.__setitem__(1, nn.ReLU()),
        lambda m, o, p: m.layers.append(nn.Tanh()),
        lambda m, o, p: m.layers.pop(),
        lambda m, o, p: m.layers.insert(1, nn.Dropout(0.5, rng=1)),
        lambda m, o, p: m.layers.reverse() or m.layers.reverse(),
        lambda m, o, p: m.layers.__setitem__(1, np.sin),
        lambda m, o, p: m.cfg.update(scale=3.0),
        lambda m, o, p: m.cfg["deep"].__setitem__(0, 2),
        lambda m, o, p: m.cfg["deep"][1].update(shift=(0.5, 0.75)),
        lambda m, o, p: m.cfg.update(bias=False),
        lambda m, o, p: m.act.keywords.update(negative_slope=0.7),
        lambda m, o, p: vars(m).update(act=np.cos) or m.cfg.update(new=1),
        lambda m, o, p: m.scales.__setitem__(1, 2.0),
        lambda m, o, p: m.scales.__setitem__(1, nn.Parameter(5.0)),
        _other_scale,
        _other_parameters,
        lambda m, o, p: setattr(m, "forward", lambda x: m.layers[0](x)[:, :4]),
        lambda m, o, p: setattr(m.layers[1], "forward", np.cos),
        lambda m, o, p: p.setattr(nn.Linear, "forward", lambda self, x: x @ self.weight),
        lambda m, o, p: p.setattr(_Holder, "forward", lambda self, x: self.layers[0](x)[:, :4]),
        lambda m, o, p: p.setattr(_Holder, "scaled", lambda self, x: x * 7),
        lambda m, o, p: setattr(m.layers[1], "__class__", nn.ReLU),
        lambda m, o, p: m.layers[0].requires_grad_(False),
        lambda m, o, p: m.layers[2].weight.register_hook(lambda g: 3 * g),
        lambda m, o, p: m.eval(),
        lambda m, o, p: o.param_groups[0].update(momentum=0.5),
        lambda m, o, p: o.add_param_group({"params": [Tensor(1.0)], "lr": 2.0}),
        lambda m, o, p: setattr(o, "update", _descended),
        lambda m, o, p: setattr(o, "step", lambda: None),
        lambda m, o, p: p.setattr(nn.optim.SGD, "update", lambda self, *args: _descended(*args)),
    ],
)
def test_what_the_state_holds_may_change_between_calls(change: Any) -> None:
    def losses(is_compiled: bool) -> list[Any]:
        model = _Holder()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any, labels: Any) -> Any:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        run = ad.compile(step, state=(model, optimizer), exact=True) if is_compiled else step
        found = []
        with pytest.MonkeyPatch.context() as patch:
            for call in range(6):
                if call == 3:
                    change(model, optimizer, patch)
                found.append(run(X, LABELS).item())
        return [*found, *(array.tolist() for array in model.state_dict().values())]

    assert losses(is_compiled=True) == losses(is_compiled=False)


def test_what_a_subclass_of_an_optimizer_or_schedule_reads_may_change_between_calls() -> None:
    class Descent(nn.optim.Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, lr=1.0)
            self.factors = [0.5]

        def update(self, p: Any, g: Any, slots: Any, step: int, options: Any) -> Any:
            p -= self.factors[0] * g
            return p

    class Rates(nn.optim.Schedule):
        rates = (2.0, 3.0)

        def __init__(self, optimizer: Any) -> None:
            super().__init__(optimizer)
            self.functions: list[Any] = [lambda lr: lr + 1]

        def following(self, lr: float, base: float, epoch: int) -> float:
            rate: float = self.functions[0](lr)
            return rate

    w = Tensor(np.ones(3), name="w")
    optimizer = Descent([w])
    schedule = Rates(optimizer)

    def step() -> Any:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        schedule.step()
        return w.data

    compiled = ad.compile(step, state=(w, optimizer, schedule), exact=True)
    compiled()
    compiled()
    assert w.data.tolist() == [0.0] * 3
    w.data = np.ones(3)
    optimizer.factors[0] = 0.25
    schedule.functions[0] = lambda lr: lr * 10
    compiled()
    assert w.data.tolist() == [0.5] * 3
    assert optimizer.lr == 30.0


def test_a_thing_in_the_place_of_one_that_is_gone_makes_another_program() -> None:
    """Its address may be the same."""
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Dropout(0.0))
    compiled = ad.compile(lambda x: model(x), state=model)
    x = np.ones((1, 2), np.float32)
    for k in range(12):
        model.layers[1] = nn.LeakyReLU(0.1 * k) if k % 2 else nn.Hardtanh(-0.1 * (k + 1), 0.1)
        np.testing.assert_allclose(compiled(x).data, model(x).data, rtol=1e-6)


def test_settings_are_looked_at_again_only_where_something_was_assigned() -> None:
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Dropout(0.0))
    watch = model.train().watch()
    model.train()
    assert watch()
    model.eval()
    assert not watch()
    vars(model)["layers"].append(nn.Tanh())
    again = model.watch()
    model.layers[2] = nn.Tanh()
    assert not again()
    model.layers.pop()
    assert not again()


# Numbers of modules are inputs, where the step only computes with them


class Scaled(nn.Module):
    def __init__(self, branches: bool = False) -> None:
        self.layer = nn.Linear(3, 2, rng=0)
        self.temperature = 0.5
        self.branches = branches

    def forward(self, x: Any) -> Any:
        if self.branches and self.temperature > 10:
            return self.layer(x)
        return self.layer(x) / self.temperature


def number_step(model: Any) -> tuple[Any, Callable[[Any], Any]]:
    optimizer = nn.optim.SGD(model.parameters(), lr=0.01)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return optimizer, step


@pytest.mark.parametrize(("branches", "backend"), [(False, "numpy"), (False, "numba"), (True, "numpy")])
def test_a_number_of_a_module_that_changes_becomes_an_input(branches: bool, backend: str) -> None:
    model, reference = Scaled(branches), Scaled(branches)
    (optimizer, step), (_, eager) = number_step(model), number_step(reference)
    compiled = ad.compile(step, (model, optimizer), backend=backend)
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    values = [0.5, 0.5, 0.6, 0.7, 0.5, *np.linspace(1, 2, 6).tolist()]
    for temperature in values:
        model.temperature = reference.temperature = temperature
        np.testing.assert_allclose(compiled(x).data, eager(x).data, rtol=1e-5)
    count = len({*values}) if branches else 2
    assert repr(compiled).endswith(f"{count} programs>")
    compiled.check()


def test_a_number_that_becomes_something_else_is_followed() -> None:
    model, reference = Scaled(), Scaled()
    (optimizer, step), (_, eager) = number_step(model), number_step(reference)
    compiled = ad.compile(step, (model, model.layer, optimizer), exact=True)
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    for temperature in (0.5, 0.25, 2, 0.75, np.float32(0.5), 0.25, math.inf, 0.25):
        model.temperature = reference.temperature = temperature  # type: ignore[assignment]
        np.testing.assert_array_equal(compiled(x).data, eager(x).data)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.LeakyReLU(0.1), "negative_slope"),
        (nn.ELU(0.5), "alpha"),
        (nn.LayerNorm(3), "eps"),
        (nn.Dropout(0.5, rng=0), "p"),
    ],
)
def test_numbers_of_layers_may_change(layer: Any, name: str) -> None:
    other = copy.deepcopy(layer)
    model, reference = (nn.Sequential(one, nn.Linear(3, 2, rng=0)) for one in (layer, other))
    (optimizer, step), (_, eager) = number_step(model), number_step(reference)
    compiled = ad.compile(step, (model, optimizer), exact=True)
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    for number in (0.1, 0.1, 0.2, 0.3, 0.1):
        for one in (layer, other):
            setattr(one, name, number)
        np.testing.assert_array_equal(compiled(x).data, eager(x).data)
