"""Trainings that the tests of compiled steps share: layers, losses, optimizers, and the arrays they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nn
from nn import functional

rng = np.random.default_rng(0)
X = rng.normal(size=(16, 6)).astype(np.float32)
LABELS = rng.integers(0, 4, 16)
SHARES = rng.dirichlet(np.ones(4), 16).astype(np.float32)
NUMBERS = rng.normal(size=(16, 4)).astype(np.float32)
ROWS = np.array([[1.0, 2.0], [0.5, -1.0], [0.0, 1.0]], np.float32)
Training = Callable[[], tuple[nn.Module, Any, Callable[..., Any]]]


def mlp(activation: str = "relu") -> nn.Module:
    return nn.MLP([6, 8, 4], activation=activation, rng=0)


def training(
    model: Callable[[], nn.Module] = mlp,
    loss: Callable[[Any, Any], Any] = functional.cross_entropy,
    optimizer: Callable[[Any], Any] = lambda parameters: nn.optim.SGD(parameters, lr=0.05),
    before_update: Callable[[nn.Module], Any] = lambda model: None,
    schedule: Callable[[Any], Any] | None = None,
) -> Training:
    """Describe a training: each call makes a model, its state and its step anew."""

    def make() -> tuple[nn.Module, Any, Callable[..., Any]]:
        network = model()
        changer = optimizer(network.parameters())
        schedules = [] if schedule is None else [schedule(changer)]

        def step(inputs: Any, targets: Any) -> Any:
            changer.zero_grad()
            value = loss(network(inputs), targets)
            value.backward()
            before_update(network)
            changer.step()
            for each in schedules:
                each.step()
            return value

        return network, [network, changer, *schedules], step

    return make


class Table(nn.Module):
    def __init__(self, padding_idx: int | None = None) -> None:
        self.table = nn.Embedding(10, 5, padding_idx=padding_idx, rng=0)
        self.layer = nn.Linear(15, 4, rng=1)

    def forward(self, indices: Any) -> Any:
        return self.layer(np.reshape(self.table(indices), (-1, 15)))


def stack(*middle: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(6, 8, rng=0), *(make() for make in middle), nn.Linear(8, 4, rng=2))


def shared_generator() -> nn.Module:
    generator = np.random.default_rng(3)
    return stack(lambda: nn.Dropout(0.5, rng=generator), lambda: nn.Dropout(0.3, rng=generator))()


def two_groups(parameters: Any) -> nn.optim.Optimizer:
    first, second, *others = parameters
    groups = [{"params": [first, second], "lr": 0.1}, {"params": others, "momentum": 0.9}]
    return nn.optim.SGD(groups, lr=0.01)


ACTIVATIONS = (
    "sigmoid tanh relu leaky_relu elu gelu silu softplus log_sigmoid softmax log_softmax hardtanh".split()  # noqa: SIM905
)


INDICES = rng.integers(0, 10, (16, 3))
TRAININGS: dict[str, tuple[Training, Any, Any]] = {
    **{name: (training(lambda name=name: mlp(name)), X, LABELS) for name in ACTIVATIONS},  # type: ignore[misc]
    "Flatten": (training(lambda: nn.Sequential(nn.Flatten(), mlp())), X, LABELS),
    "Dropout": (training(stack(lambda: nn.Dropout(0.5, rng=1))), X, LABELS),
    "Dropout, shared generator": (training(shared_generator), X, LABELS),
    "BatchNorm1d": (training(stack(lambda: nn.BatchNorm1d(8))), X, LABELS),
    "BatchNorm1d, cumulative": (training(stack(lambda: nn.BatchNorm1d(8, momentum=None))), X, LABELS),
    "LayerNorm": (training(stack(lambda: nn.LayerNorm(8))), X, LABELS),
    "Embedding": (training(Table), INDICES, LABELS),
    "Embedding, padding": (training(lambda: Table(0)), INDICES, LABELS),
    "without bias": (training(lambda: nn.Linear(6, 4, bias=False, rng=0)), X, LABELS),
    "ten layers": (training(lambda: nn.MLP([6, *[5] * 10, 4], rng=0)), X, LABELS),
    "probabilities": (training(), X, SHARES),
    "class weights": (training(loss=lambda o, y: functional.cross_entropy(o, y, [1.0, 2.0, 3.0, 4.0])), X, LABELS),
    "ignore_index": (training(loss=lambda o, y: functional.cross_entropy(o, y, ignore_index=1)), X, LABELS),
    "label_smoothing": (training(loss=lambda o, y: functional.cross_entropy(o, y, label_smoothing=0.1)), X, LABELS),
    "nll_loss": (training(loss=lambda o, y: functional.nll_loss(functional.log_softmax(o), y)), X, LABELS),
    "mse_loss": (training(loss=functional.mse_loss), X, NUMBERS),
    "l1_loss": (training(loss=functional.l1_loss), X, NUMBERS),
    "huber_loss": (training(loss=functional.huber_loss), X, NUMBERS),
    "binary_cross_entropy": (
        training(loss=lambda o, y: functional.binary_cross_entropy(functional.sigmoid(o), y)), X, SHARES
    ),
    "of logits": (training(loss=functional.binary_cross_entropy_with_logits), X, SHARES),
    "kl_div": (training(loss=lambda o, y: functional.kl_div(functional.log_softmax(o), y)), X, SHARES),
    "gaussian_nll_loss": (training(loss=lambda o, y: functional.gaussian_nll_loss(o, y, o * o + 1)), X, NUMBERS),
    "poisson_nll_loss": (training(loss=functional.poisson_nll_loss), X, SHARES),
    "a loss of one's own": (
        training(loss=lambda o, y: -functional.log_softmax(o)[np.arange(16), y].mean()), X, LABELS
    ),
    **{
        f"{name}, {options}": (
            training(optimizer=lambda p, n=name, o=options: getattr(nn.optim, n)(p, **o)), X, LABELS  # type: ignore[misc]
        )
        for name, options in [
            ("SGD", {"momentum": 0.9, "nesterov": True}),
            ("SGD", {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
            ("Adam", {}),
            ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
            ("AdamW", {}),
            ("RMSprop", {"centered": True, "momentum": 0.9, "weight_decay": 0.01}),
            ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
        ]
    },
    "groups": (training(optimizer=two_groups), X, LABELS),
    "clip_grad_norm_": (training(before_update=lambda m: nn.optim.clip_grad_norm_(m.parameters(), 0.1)), X, LABELS),
    "clip_grad_value_": (training(before_update=lambda m: nn.optim.clip_grad_value_(m.parameters(), 0.01)), X, LABELS),
    "StepLR": (training(schedule=lambda o: nn.optim.StepLR(o, 2)), X, LABELS),
    "CosineAnnealingLR": (training(schedule=lambda o: nn.optim.CosineAnnealingLR(o, 4)), X, LABELS),
    "ExponentialLR": (training(schedule=lambda o: nn.optim.ExponentialLR(o, 0.9)), X, LABELS),
    "LinearWarmup": (training(schedule=lambda o: nn.optim.LinearWarmup(o, 4)), X, LABELS),
}  # fmt: skip


def scaled(factor: Any = 2.0) -> tuple[nn.Module, nn.optim.SGD, Callable[..., Any]]:
    model = nn.Linear(2, 1, rng=0)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(x) - 1) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step
