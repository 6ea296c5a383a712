"""Schedules: learning rates are PyTorch's, epoch by epoch, and what they refuse."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import optim

EPOCHS = 50
RATES = (0.5, 0.03, 2.0)  # of the groups

SCHEDULES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    re.sub(" at 0x[0-9a-f]+", "", f"{name} {options}"): (name, options, name, options)  # the same in each process
    for name, options in [
        ("StepLR", {"step_size": 7}),
        ("StepLR", {"step_size": 1, "gamma": 0.9}),
        ("StepLR", {"step_size": 3, "gamma": 1.2}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("ExponentialLR", {"gamma": 1.01}),
        ("CosineAnnealingLR", {"T_max": 50}),
        ("CosineAnnealingLR", {"T_max": 10}),
        ("CosineAnnealingLR", {"T_max": 1}),
        ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
        ("CosineAnnealingLR", {"T_max": 7, "eta_min": 1.0}),
        ("MultiStepLR", {"milestones": [30, 5, 5, 17]}),
        ("MultiStepLR", {"milestones": [1], "gamma": 0.5}),
        ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}),
        ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (2 + epoch), lambda epoch: epoch % 3, lambda epoch: 1.0]}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 51}),
        ("OneCycleLR", {"max_lr": [1.0, 0.1, 2.0], "epochs": 10, "steps_per_epoch": 6, "anneal_strategy": "linear"}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 60, "three_phase": True, "div_factor": 3.0, "pct_start": 0.4}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 50, "pct_start": 0.0, "final_div_factor": 10.0}),
    ]
} | {
    f"LinearWarmup {options}": (
        "LinearWarmup",
        options,
        "LinearLR",
        {"total_iters" if name == "steps" else name: value for name, value in options.items()},
    )
    for options in ({"steps": 5}, {"steps": 1, "start_factor": 0.25}, {"steps": 30, "start_factor": 0.001})
}
every_schedule = pytest.mark.parametrize(
    ("name", "options", "torch_name", "torch_options"), SCHEDULES.values(), ids=SCHEDULES.keys()
)
PLATEAUS = [
    {"mode": mode, "threshold_mode": kind, "threshold": threshold, "patience": patience, "cooldown": cooldown, **rest}
    for mode, kind, threshold, (patience, cooldown), rest in itertools.product(
        ("min", "max"),
        ("rel", "abs"),
        (0.0, 0.05),
        ((0, 0), (2, 3)),
        ({}, {"factor": 0.5, "min_lr": 0.02}, {"factor": 0.7, "min_lr": [0.1, 0.0, 1.5], "eps": 0.01}),
    )
]


def optimizer_of(rates: tuple[float, ...] = RATES) -> optim.SGD:
    return optim.SGD([{"params": [ad.Tensor(1.0)], "lr": rate} for rate in rates])


def torch_optimizer_of(rates: tuple[float, ...] = RATES) -> Any:
    torch = pytest.importorskip("torch")
    return torch.optim.SGD([{"params": [torch.ones(1, requires_grad=True)], "lr": rate} for rate in rates])


def rates_of(optimizer: Any) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def torch_step(optimizer: Any, schedule: Any, *metric: float) -> None:
    optimizer.step()  # PyTorch warns of schedules that step before their optimizer
    schedule.step(*metric)


@every_schedule
def test_rates_are_pytorchs(name: str, options: Any, torch_name: str, torch_options: Any) -> None:
    theirs = torch_optimizer_of()
    torch_schedule = getattr(pytest.importorskip("torch").optim.lr_scheduler, torch_name)(theirs, **torch_options)
    ours = optimizer_of()
    schedule = getattr(optim, name)(ours, **options)
    for epoch in range(EPOCHS):
        np.testing.assert_allclose(rates_of(ours), rates_of(theirs), rtol=1e-12, atol=1e-15, err_msg=str(epoch))
        assert schedule.get_last_lr() == pytest.approx(torch_schedule.get_last_lr(), rel=1e-12, abs=1e-15)
        momenta = [[group["momentum"] for group in one.param_groups] for one in (ours, theirs)]
        np.testing.assert_allclose(*momenta, rtol=1e-12)
        schedule.step()
        torch_step(theirs, torch_schedule)
    assert schedule.last_epoch == torch_schedule.last_epoch == EPOCHS


@pytest.mark.parametrize("warm_first", [True, False])
def test_schedules_one_after_the_other_are_pytorchs(warm_first: bool) -> None:
    schedulers = pytest.importorskip("torch").optim.lr_scheduler
    ours, theirs = optimizer_of(), torch_optimizer_of()
    parts: list[Callable[[], Any]] = [
        lambda: (optim.LinearWarmup(ours, 5), schedulers.LinearLR(theirs, total_iters=5)),
        lambda: (optim.CosineAnnealingLR(ours, 8), schedulers.CosineAnnealingLR(theirs, 8)),
        lambda: (optim.MultiStepLR(ours, [3, 6], 0.5), schedulers.MultiStepLR(theirs, [3, 6], 0.5)),
        lambda: (optim.LambdaLR(ours, lambda k: 2 / (1 + k)), schedulers.LambdaLR(theirs, lambda k: 2 / (1 + k))),
    ]
    made = {k: parts[k]() for k in (range(4) if warm_first else reversed(range(4)))}
    pairs = [made[k] for k in range(4)]
    schedule = optim.SequentialLR(ours, [own for own, _ in pairs], milestones=[5, 25, 35])
    torch_schedule = schedulers.SequentialLR(theirs, [their for _, their in pairs], milestones=[5, 25, 35])
    for epoch in range(EPOCHS):
        np.testing.assert_allclose(rates_of(ours), rates_of(theirs), rtol=1e-12, err_msg=str(epoch))
        schedule.step()
        torch_step(theirs, torch_schedule)


def test_momenta_of_a_cycle_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    ours = optim.Adam([ad.Tensor(1.0)], betas=(0.5, 0.9))
    theirs = torch.optim.Adam([torch.ones(1, requires_grad=True)], betas=(0.5, 0.9))
    schedule = optim.OneCycleLR(ours, 1.0, total_steps=20, base_momentum=0.7)
    torch_schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 1.0, total_steps=20, base_momentum=0.7)
    for _ in range(20):
        np.testing.assert_allclose(ours.param_groups[0]["betas"], theirs.param_groups[0]["betas"], rtol=1e-12)
        schedule.step()
        torch_step(theirs, torch_schedule)
    before = schedule.state_dict(), ours.state_dict()["groups.0.betas"].tolist()
    with pytest.raises(ValueError, match=r"OneCycleLR.step: the schedule has 20 steps, which are done"):
        schedule.step()
    assert (schedule.state_dict(), ours.state_dict()["groups.0.betas"].tolist()) == before


def test_schedules_in_compiled_steps() -> None:
    makes: list[Callable[[Any], Any]] = [
        lambda o: optim.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
        lambda o: optim.MultiStepLR(o, [2, 4], 0.5),
        lambda o: optim.OneCycleLR(o, 1.0, total_steps=20, cycle_momentum=False),
        lambda o: optim.SequentialLR(o, [optim.LinearWarmup(o, 3), optim.StepLR(o, 2)], [3]),
    ]
    for make in makes:
        results = []
        for compiles in (False, True):
            x = ad.Tensor(np.ones(3))
            optimizer = optim.SGD([x], lr=0.1)
            schedule = make(optimizer)

            def step(x: Any = x, optimizer: Any = optimizer, schedule: Any = schedule) -> None:
                optimizer.zero_grad()
                (x * x).sum().backward()
                optimizer.step()
                schedule.step()

            run = ad.compile(step, state=(x, optimizer, schedule)) if compiles else step
            for _ in range(12):
                run()
            results.append([*x.data, *schedule.get_last_lr()])
        np.testing.assert_allclose(*results, rtol=1e-12)
    optimizer = optim.SGD([x], lr=0.1)
    schedule = optim.OneCycleLR(optimizer, 1.0, total_steps=20)
    with pytest.raises(TypeError, match="a compiled step cannot change the momentum"):
        ad.compile(schedule.step, state=(optimizer, schedule))()


@pytest.mark.parametrize("kind", ["LambdaLR", "SequentialLR", "OneCycleLR"])
def test_a_run_that_was_interrupted_goes_on_with_its_schedule(kind: str, tmp_path: Any) -> None:
    X, y = np.linspace(-1, 1, 16)[:, None], np.linspace(-1, 1, 16)[:, None] ** 2

    def run(epochs: int, checkpoint: Any, power: float = 0.8) -> Any:
        model = nn.MLP([1, 4, 1], rng=0)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        schedule: Any = {
            "LambdaLR": lambda: optim.LambdaLR(optimizer, lambda epoch: power**epoch),
            "SequentialLR": lambda: optim.SequentialLR(
                optimizer, [optim.LinearWarmup(optimizer, 2), optim.ExponentialLR(optimizer, power)], milestones=[2]
            ),
            "OneCycleLR": lambda: optim.OneCycleLR(optimizer, power, total_steps=8),
        }[kind]()
        options: dict[str, Any] = {"loss": "mse_loss", "optimizer": optimizer, "schedule": schedule, "rng": 0}
        history = nn.fit(model, X, y, epochs=epochs, checkpoint=checkpoint, **options)
        return history.loss, history.lr, model.state_dict()["layers.0.weight"].tobytes()

    whole = run(6, None)
    file = tmp_path / "run.safetensors"
    run(3, file)
    assert run(6, file) == whole
    with pytest.raises(ValueError, match="is of another run"):
        run(6, file, power=0.7)


CLOSED_FORMS: dict[str, tuple[Callable[[Any], optim.Schedule], Callable[[float, int], float]]] = {
    "StepLR": (lambda o: optim.StepLR(o, 7, 0.5), lambda lr, t: lr * 0.5 ** (t // 7)),
    "ExponentialLR": (lambda o: optim.ExponentialLR(o, 0.93), lambda lr, t: lr * 0.93**t),
    "CosineAnnealingLR": (
        lambda o: optim.CosineAnnealingLR(o, 9, 0.01),
        lambda lr, t: 0.01 + (lr - 0.01) * (1 + math.cos(math.pi * t / 9)) / 2,
    ),
    "LinearWarmup": (lambda o: optim.LinearWarmup(o, 8, 0.2), lambda lr, t: lr * min(1.0, 0.2 + 0.8 * t / 8)),
    "MultiStepLR": (lambda o: optim.MultiStepLR(o, [7, 9], 0.5), lambda lr, t: lr * 0.5 ** ((t >= 7) + (t >= 9))),
    "LambdaLR": (lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)), lambda lr, t: lr / (1 + t)),
    "SequentialLR": (
        lambda o: optim.SequentialLR(o, [optim.LinearWarmup(o, 8, 0.2), optim.ExponentialLR(o, 0.9)], [8]),
        lambda lr, t: lr * (0.2 + 0.1 * t if t < 8 else 0.9 ** (t - 8)),
    ),
}


@pytest.mark.parametrize(("make", "formula"), CLOSED_FORMS.values(), ids=CLOSED_FORMS.keys())
def test_rates_are_those_of_the_closed_form(make: Callable[[Any], optim.Schedule], formula: Any) -> None:
    optimizer = optimizer_of()
    schedule = make(optimizer)
    for epoch in range(200):
        np.testing.assert_allclose(rates_of(optimizer), [formula(lr, epoch) for lr in RATES], rtol=1e-9, atol=1e-13)
        schedule.step()


def test_a_warm_up_and_a_decay_multiply() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer_of(), torch_optimizer_of()
    schedules = [optim.LinearWarmup(ours, 5), optim.ExponentialLR(ours, 0.9)]
    torch_schedules = [
        torch.optim.lr_scheduler.LinearLR(theirs, total_iters=5),
        torch.optim.lr_scheduler.ExponentialLR(theirs, 0.9),
    ]
    for epoch in range(EPOCHS):
        expected = [lr * min(1.0, 1 / 3 + 2 / 15 * epoch) * 0.9**epoch for lr in RATES]
        np.testing.assert_allclose(rates_of(ours), expected, rtol=1e-12)
        np.testing.assert_allclose(rates_of(ours), rates_of(theirs), rtol=1e-12)
        for schedule, torch_schedule in zip(schedules, torch_schedules):
            schedule.step()
            torch_step(theirs, torch_schedule)


def test_a_rate_assigned_by_hand_is_scaled_from_then_on() -> None:
    optimizer = optimizer_of((1.0,))
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step()
    optimizer.lr = 8.0
    schedule.step()
    assert optimizer.lr == 4.0


@pytest.mark.together("options", PLATEAUS, ids=str)
def test_plateaus_are_pytorchs(options: dict[str, Any]) -> None:
    ours, theirs = optimizer_of(), torch_optimizer_of()
    schedule = optim.ReduceLROnPlateau(ours, **options)
    torch_schedule = pytest.importorskip("torch").optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rng = np.random.default_rng(0)
    sign = -1 if options["mode"] == "max" else 1
    for epoch in range(EPOCHS):
        metric = 1 + sign * (math.exp(-min(epoch, 20) / 10) - 0.3 + 0.05 * rng.normal())
        assert metric > 0  # a share of a negative one is another matter
        schedule.step(metric)
        torch_step(theirs, torch_schedule, metric)
        assert rates_of(ours) == rates_of(theirs), epoch
        assert schedule.best == torch_schedule.best
        assert schedule.bad_epochs == torch_schedule.num_bad_epochs
    assert rates_of(ours)[0] < RATES[0]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("level", [-1e6, -2.0, 0.0, 2.0, 1e6])
@pytest.mark.parametrize("kind", ["rel", "abs"])
def test_a_plateau_of_either_sign(mode: Any, level: float, kind: Any) -> None:
    size = max(abs(level), 1) if kind == "rel" else 1
    better = size if mode == "max" else -size
    for change, reduced in [(0, True), (0.04, level != 0), (0.06, False), (-0.04, True), (-1, True)]:
        optimizer = optimizer_of((1.0,))
        schedule = optim.ReduceLROnPlateau(optimizer, mode, threshold=0.05, threshold_mode=kind, patience=0)
        schedule.step(level)
        assert optimizer.lr == 1.0
        schedule.step(level + change * better)
        assert (optimizer.lr < 1.0) == (reduced or (kind == "abs" and change == 0.04)), change


@pytest.mark.parametrize("level", [-5.0, 5.0, -math.inf, math.inf, math.nan])
def test_a_loss_that_stays_is_a_plateau(level: float) -> None:
    optimizer = optimizer_of((1.0,))
    schedule = optim.ReduceLROnPlateau(optimizer, patience=3)
    for _ in range(6):
        schedule.step(level)
    assert optimizer.lr == pytest.approx(0.1)
    schedule.step(-6.0)
    assert schedule.best == (-math.inf if level == -math.inf else -6)


def test_a_plateau_of_a_likelihood_in_fit() -> None:
    model = nn.MLP([1, 2], rng=0)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    schedule = optim.ReduceLROnPlateau(optimizer, patience=2)
    X = np.linspace(0, 1, 8)[:, None]

    def loss(prediction: Any, target: Any) -> Any:
        variances = np.exp(prediction[:, 1:] * 0 - 10)
        return nn.functional.gaussian_nll_loss(prediction[:, :1] * 0 + target, target, variances, eps=1e-9)

    history = nn.fit(model, X, X, loss=loss, optimizer=optimizer, schedule=schedule, epochs=8, rng=0)
    assert history.loss[-1] == pytest.approx(-5)
    assert history.lr[-1] < 1


def test_defaults_of_a_plateau_are_pytorchs() -> None:
    ours, theirs = optimizer_of(), torch_optimizer_of()
    schedule = optim.ReduceLROnPlateau(ours)
    torch_schedule = pytest.importorskip("torch").optim.lr_scheduler.ReduceLROnPlateau(theirs)
    for metric in [1.0] * 12 + [math.nan] * 12 + [1.0 - 1e-5] * 12 + [math.inf] * 30:
        schedule.step(metric)
        torch_step(theirs, torch_schedule, metric)
        assert rates_of(ours) == rates_of(theirs)
    assert rates_of(ours)[0] < 1e-3


@pytest.mark.parametrize("metric", [0.5, np.float32(0.5), np.array(0.5), np.array([0.5]), ad.Tensor(0.5), 1])
def test_metrics_of_every_kind(metric: Any) -> None:
    schedule = optim.ReduceLROnPlateau(optimizer_of())
    schedule.step(metric)
    assert schedule.best == float(np.asarray(ad.stop_gradient(metric)).item())


# State


def advance(schedule: Any, epoch: int) -> None:
    schedule.step(*([abs(math.sin(epoch))] if isinstance(schedule, optim.ReduceLROnPlateau) else []))


MAKES: dict[str, Callable[[Any], Any]] = {
    **{name: make for name, (make, _) in CLOSED_FORMS.items()},
    "ReduceLROnPlateau": lambda o: optim.ReduceLROnPlateau(o, "min", 0.5, patience=1, cooldown=2),
    "OneCycleLR": lambda o: optim.OneCycleLR(o, 1.0, total_steps=60),
}
every_make = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES.keys())


@every_make
@pytest.mark.parametrize("epochs", [0, 1, 6, 13])
def test_a_schedule_resumes(make: Callable[[Any], Any], epochs: int) -> None:
    optimizer = optimizer_of()
    schedule = make(optimizer)
    for epoch in range(epochs):
        advance(schedule, epoch)
    state = schedule.state_dict()
    saved = {key: np.array(value) for key, value in json.loads(json.dumps(state)).items()}
    for given in (state, saved):
        other = optimizer_of((0.1, 0.2, 0.3))
        its = make(other)
        its.load_state_dict(given)
        assert rates_of(other) == [state[f"groups.{k}.lr"] for k in range(3)]
        assert its.state_dict() == state
        followed = []
        for epoch in range(epochs, epochs + 20):
            advance(its, epoch)
            followed.append(rates_of(other))
        if given is state:
            expected = followed
    for epoch in range(epochs, epochs + 20):
        advance(schedule, epoch)
        assert rates_of(optimizer) == followed[epoch - epochs] == expected[epoch - epochs]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("last_epoch"), ValueError, "nothing was loaded: missing last_epoch"),
        (lambda s: s.pop("groups.2.lr"), ValueError, "missing groups.2.lr"),
        (lambda s: s.update({"groups.3.lr": 0.1, "gamma": 1}), ValueError, "unexpected groups.3.lr; unexpected gamma"),
        (lambda s: s.update({"last_epoch": -1}), ValueError, "last_epoch must be an integer, 0 or more, got -1"),
        (lambda s: s.update({"bad_epochs": 1.5}), ValueError, "bad_epochs must be an integer, 0 or more, got 1.5"),
        (lambda s: s.update({"groups.1.lr": -0.5}), ValueError, "groups.1.lr must be at least 0, got -0.5"),
        (lambda s: s.update({"groups.1.base_lr": None}), TypeError, "groups.1.base_lr must be a number"),
        (lambda s: s.update({"best": "good"}), TypeError, "best must be a number, got 'good'"),
        (lambda s: s.update({"best": np.ones(2)}), TypeError, "best must be a number, got array"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(
    change: Callable[[dict[str, Any]], Any], error: type[Exception], message: str
) -> None:
    optimizer = optimizer_of()
    schedule = optim.ReduceLROnPlateau(optimizer)
    schedule.step(1.0)
    before = schedule.state_dict()
    state = {key: value + 1 for key, value in before.items()}
    change(state)
    with pytest.raises(error, match=re.escape("ReduceLROnPlateau.load_state_dict: ") + f".*{message}"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before
    with pytest.raises(TypeError, match=r"ReduceLROnPlateau.load_state_dict: expected a dict of numbers, .* got list"):
        schedule.load_state_dict([])  # type: ignore[arg-type]


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda o: optim.StepLR(o, 0), ValueError, "StepLR: step_size must be a positive integer, got 0"),
        (lambda o: optim.StepLR(o, 2.0), TypeError, "StepLR: step_size must be a positive integer, got 2.0"),
        (lambda o: optim.StepLR(o, 2, 0.0), ValueError, "StepLR: gamma must be positive, got 0.0"),
        (lambda o: optim.ExponentialLR(o, -0.5), ValueError, "ExponentialLR: gamma must be positive, got -0.5"),
        (lambda o: optim.ExponentialLR(o, "0.5"), TypeError, "ExponentialLR: gamma must be a number, positive"),
        (lambda o: optim.CosineAnnealingLR(o, -1), ValueError, "CosineAnnealingLR: T_max must be a positive integer"),
        (lambda o: optim.CosineAnnealingLR(o, 5, -1), ValueError, "CosineAnnealingLR: eta_min must be at least 0"),
        (lambda o: optim.LinearWarmup(o, 0), ValueError, "LinearWarmup: steps must be a positive integer, got 0"),
        (
            lambda o: optim.LinearWarmup(o, 5, 0.0),
            ValueError,
            "LinearWarmup: start_factor must be above 0 and at most 1",
        ),
        (
            lambda o: optim.LinearWarmup(o, 5, 1.1),
            ValueError,
            "LinearWarmup: start_factor must be above 0 and at most 1",
        ),
        (
            lambda o: optim.ReduceLROnPlateau(o, "less"),
            ValueError,
            "ReduceLROnPlateau: unknown mode 'less'; known: min",
        ),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), ValueError, "ReduceLROnPlateau: factor must be above 0 and"),
        (
            lambda o: optim.ReduceLROnPlateau(o, patience=-1),
            ValueError,
            "ReduceLROnPlateau: patience must be an integer",
        ),
        (
            lambda o: optim.ReduceLROnPlateau(o, cooldown=0.5),
            TypeError,
            "ReduceLROnPlateau: cooldown must be an intege",
        ),
        (
            lambda o: optim.ReduceLROnPlateau(o, threshold=-1),
            ValueError,
            "ReduceLROnPlateau: threshold must be at least",
        ),
        (
            lambda o: optim.ReduceLROnPlateau(o, threshold_mode="x"),
            ValueError,
            "ReduceLROnPlateau: unknown threshold_mo",
        ),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr=-1), ValueError, "ReduceLROnPlateau: min_lr must be at least 0"),
        (lambda o: optim.ReduceLROnPlateau(o, eps=-1), ValueError, "ReduceLROnPlateau: eps must be at least 0"),
        (
            lambda o: optim.ReduceLROnPlateau(o, min_lr=[0.1]),
            ValueError,
            "ReduceLROnPlateau: min_lr has 1 items for 3 groups of parameters",
        ),
        (
            lambda o: optim.ReduceLROnPlateau(o).step("low"),
            TypeError,
            "ReduceLROnPlateau.step: metric must be a number",
        ),
        (
            lambda o: optim.ReduceLROnPlateau(o).step([1.0]),
            TypeError,
            "ReduceLROnPlateau.step: metric must be a number",
        ),
        (
            lambda o: optim.ReduceLROnPlateau(o).step(np.ones(2)),
            TypeError,
            "ReduceLROnPlateau.step: metric must be a n",
        ),
        (lambda o: optim.MultiStepLR(o, 3), TypeError, "MultiStepLR: milestones must be a list of epochs, got 3"),
        (lambda o: optim.MultiStepLR(o, [0]), ValueError, "MultiStepLR: a milestone must be a positive integer, got 0"),
        (lambda o: optim.LambdaLR(o, 0.5), TypeError, "LambdaLR: lr_lambda must be a function of the epoch"),
        (lambda o: optim.LambdaLR(o, [abs]), ValueError, "LambdaLR: lr_lambda has 1 items for 3 groups"),
        (lambda o: optim.LambdaLR(o, lambda k: -1), ValueError, "LambdaLR: the factor of epoch 0 must be at least 0"),
        (lambda o: optim.LambdaLR(o, lambda k: None), TypeError, "LambdaLR: the factor of epoch 0 must be a number"),
        (lambda o: optim.OneCycleLR(o, 1.0), ValueError, "OneCycleLR: give total_steps, or epochs and steps_per_epoch"),
        (lambda o: optim.OneCycleLR(o, [1.0], 9), ValueError, "OneCycleLR: max_lr has 1 items for 3 groups"),
        (lambda o: optim.OneCycleLR(o, 0.0, 9), ValueError, "OneCycleLR: max_lr must be positive, got 0.0"),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, pct_start=2), ValueError, "OneCycleLR: pct_start must be a share"),
        (lambda o: optim.OneCycleLR(optim.Adagrad([ad.Tensor(1.0)]), 1.0, 9), ValueError, "Adagrad has no momentum"),
        (lambda o: optim.SequentialLR(o, [3], []), TypeError, "SequentialLR: schedulers must be a list of schedules"),
        (
            lambda o: optim.SequentialLR(o, [optim.StepLR(o, 2)], [1]),
            ValueError,
            "SequentialLR: 1 schedules need 0 milestones that increase, got [1]",
        ),
        (
            lambda o: optim.SequentialLR(o, [optim.StepLR(optimizer_of(), 2)], []),
            ValueError,
            "SequentialLR: a StepLR is of another optimizer",
        ),
        (
            lambda o: optim.SequentialLR(o, [optim.ReduceLROnPlateau(o)], []),
            ValueError,
            "SequentialLR: a ReduceLROnPlateau does more than set rates",
        ),
        (lambda o: optim.StepLR(o.param_groups, 2), TypeError, "StepLR: the optimizer must be one of nn.optim, got ["),
        (lambda o: optim.Schedule(o).step(), NotImplementedError, "Schedule must define following"),
    ],
)
def test_bad_input(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    optimizer = optimizer_of()
    with pytest.raises(error, match=re.escape(message)):
        call(optimizer)
    assert rates_of(optimizer) == list(RATES)


@every_make
def test_groups_are_added_before_the_schedule(make: Callable[[Any], Any]) -> None:
    optimizer = optimizer_of()
    schedule = make(optimizer)
    optimizer.add_param_group({"params": [ad.Tensor(1.0)]})
    before = rates_of(optimizer)
    for call in (lambda: advance(schedule, 0), schedule.state_dict):
        with pytest.raises(ValueError, match=r"made for 3 groups of parameters, but the optimizer has 4; make the"):
            call()
    assert rates_of(optimizer) == before
    assert schedule.last_epoch == 0
