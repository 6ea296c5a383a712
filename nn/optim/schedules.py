"""Schedules: how an optimizer's learning rates change from epoch to epoch.

All but `ReduceLROnPlateau` compute the next rate from the present one. So several of them may act on one optimizer,
such as a warm-up and a decay, and a rate assigned by hand is the one that is scaled from then on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal

from autodiff.arrays.whole import whole
from autodiff.compiler.state import Itself, Place, form_of
from nn.checks import check_choice, check_count, check_number
from nn.optim.base import Optimizer


class Schedule:
    """What all schedules share.

    Args:
        optimizer: its groups' learning rates, as they are now, are where the schedule begins.

    Attributes:
        optimizer: the optimizer.
        last_epoch: how often `step` was called.
        base_lrs: the learning rate that each group began with.

    Raises:
        TypeError: the optimizer is none of `nn.optim`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: the optimizer must be one of nn.optim, got {optimizer!r}")
        self.optimizer = optimizer
        self.last_epoch = 0
        self.base_lrs = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self) -> None:
        """Set the learning rates of the next epoch; to be called at the end of each.

        Raises:
            ValueError: the optimizer was given another group in the meantime; nothing is changed.
        """
        self._check_groups("step")
        self.last_epoch += 1
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = whole(self.following)(group["lr"], base, self.last_epoch)

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Give the learning rate of an epoch.

        Args:
            lr: the learning rate of the epoch before.
            base: what it was at the beginning, in epoch 0.
            epoch: which epoch, from 1 on.
        """
        raise NotImplementedError(f"{type(self).__name__} must define following")

    def state_dict(self) -> dict[str, float]:
        """Give all that the next steps depend on but the arguments: numbers by name.

        Example:
            >>> import nn
            >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
            >>> nn.optim.StepLR(optimizer, step_size=10).state_dict()
            {'last_epoch': 0, 'groups.0.base_lr': 0.5, 'groups.0.lr': 0.5}
        """
        self._check_groups("state_dict")
        state = self._progress()
        for k, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs)):
            state |= {f"groups.{k}.base_lr": base, f"groups.{k}.lr": float(group["lr"])}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another schedule with the same arguments was, and set the learning rates it had reached.

        Args:
            state: what `state_dict` gave; arrays of one number are taken too.

        Raises:
            TypeError: the state is not a dict, or an entry is no number; nothing is loaded.
            ValueError: entries are missing, unexpected or outside their domain, which the message names; nothing is
                loaded.
        """
        caller = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{caller}: expected a dict of numbers, as state_dict() gives, got {type(state).__name__}")
        own = self.state_dict()
        problems = [f"missing {key}" for key in own if key not in state]
        problems += [f"unexpected {key}" for key in state if key not in own]
        if problems:
            raise ValueError(f"{caller}: nothing was loaded: {'; '.join(problems)}")
        numbers = {key: value.item() if getattr(value, "shape", None) == () else value for key, value in state.items()}
        for key, value in numbers.items():
            if key == "best":  # infinite before the first step of `ReduceLROnPlateau`
                _check_metric(caller, key, value)
            elif key.startswith("groups."):
                check_number(caller, key, value, lambda rate: rate >= 0, "at least 0")
            else:
                check_number(
                    caller, key, value, lambda count: count >= 0 and count == int(count), "an integer, 0 or more"
                )
        for name in self._progress():
            setattr(self, name, numbers[name] if name == "best" else int(numbers[name]))
        for k, group in enumerate(self.optimizer.param_groups):
            self.base_lrs[k] = float(numbers[f"groups.{k}.base_lr"])
            group["lr"] = float(numbers[f"groups.{k}.lr"])

    def _progress(self) -> dict[str, float]:
        """Give the attributes that steps change."""
        return {"last_epoch": self.last_epoch}

    def places(self) -> list[Place]:
        """List where a compiled step finds the schedule's state."""
        return [Place.of_attribute("last_epoch", self, "last_epoch")]

    def settings(self) -> Hashable:
        """Give all else that `following` depends on: a compiled step is another one with other settings."""
        own = {name: value for name, value in vars(self).items() if name not in self._progress()}
        return Itself(type(self)), Itself(type(self).following), form_of(own)

    def watch(self) -> Callable[[], bool]:
        """Give a function that says whether the settings are as they were then."""
        before = self.settings()
        return lambda: self.settings() == before

    def _check_groups(self, method: str) -> None:
        if len(self.base_lrs) != len(self.optimizer.param_groups):
            raise ValueError(
                f"{type(self).__name__}.{method}: made for {len(self.base_lrs)} groups of parameters, but the "
                f"optimizer has {len(self.optimizer.param_groups)}; make the schedule after the last add_param_group"
            )


class StepLR(Schedule):
    """Multiply the learning rates by ``gamma`` every ``step_size`` epochs: ``lr₀ gamma^⌊t / step_size⌋`` in epoch t.

    Args:
        optimizer: the optimizer.
        step_size: epochs from one change to the next, a positive integer.
        gamma: the factor, positive.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, step_size is not an integer, or gamma no number.
        ValueError: a number is outside its domain.

    Example:
        >>> import nn
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for epoch in range(4):
        ...     print(epoch, optimizer.lr)
        ...     schedule.step()
        0 0.5
        1 0.5
        2 0.25
        3 0.25
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        check_count("StepLR", "step_size", step_size)
        check_number("StepLR", "gamma", gamma, lambda gamma: gamma > 0, "positive")
        super().__init__(optimizer)
        self.step_size = step_size
        self.gamma = float(gamma)

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Scale the rate, if it is time."""
        return lr * self.gamma if epoch % self.step_size == 0 else lr


class ExponentialLR(Schedule):
    """Multiply the learning rates by ``gamma`` every epoch: ``lr₀ gammaᵗ`` in epoch t.

    Args:
        optimizer: the optimizer.
        gamma: the factor, positive.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, or gamma is no number.
        ValueError: gamma is outside its domain.

    Example:
        >>> import nn
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule.step()
        >>> optimizer.lr
        0.25
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        check_number("ExponentialLR", "gamma", gamma, lambda gamma: gamma > 0, "positive")
        super().__init__(optimizer)
        self.gamma = float(gamma)

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Scale the rate."""
        return lr * self.gamma


class CosineAnnealingLR(Schedule):
    """Let the learning rates follow a cosine, down and up again: ``eta_min + (lr₀ - eta_min) (1 + cos(πt/T_max)) / 2``.

    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts (2017), equation 5, without restarts.

    Args:
        optimizer: the optimizer.
        T_max: epochs from the first learning rate to the smallest, a positive integer.
        eta_min: the smallest learning rate, not negative.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, T_max is not an integer, or eta_min no number.
        ValueError: a number is outside its domain.

    Example:
        >>> import nn
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1)
        >>> for epoch in range(5):
        ...     schedule.step()
        >>> round(optimizer.lr, 6)
        0.3
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        check_count("CosineAnnealingLR", "T_max", T_max)
        check_number("CosineAnnealingLR", "eta_min", eta_min, lambda rate: rate >= 0, "at least 0")
        super().__init__(optimizer)
        self.T_max = T_max
        self.eta_min = float(eta_min)

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Scale the height above the smallest rate; from the bottom itself there is nothing to scale."""
        if (epoch - 1) % (2 * self.T_max) == self.T_max:
            return lr + (base - self.eta_min) * self._height(epoch)
        return self.eta_min + (lr - self.eta_min) * self._height(epoch) / self._height(epoch - 1)

    def _height(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class LinearWarmup(Schedule):
    """Begin with ``start_factor`` of the learning rates, and raise them to the whole, evenly, in some epochs.

    Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour (2017), section 2.2. It is PyTorch's
    ``LinearLR`` with an ``end_factor`` of 1.

    Args:
        optimizer: the optimizer; its learning rates are scaled at once.
        steps: how many steps it takes, a positive integer.
        start_factor: share of the learning rates to begin with, above 0 and at most 1.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, steps is not an integer, or start_factor no number.
        ValueError: a number is outside its domain.

    Example:
        >>> import nn
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.LinearWarmup(optimizer, steps=2, start_factor=0.5)
        >>> for epoch in range(4):
        ...     print(epoch, optimizer.lr)
        ...     schedule.step()
        0 0.25
        1 0.375
        2 0.5
        3 0.5
    """

    def __init__(self, optimizer: Optimizer, steps: int, start_factor: float = 1 / 3) -> None:
        check_count("LinearWarmup", "steps", steps)
        check_number("LinearWarmup", "start_factor", start_factor, lambda f: 0 < f <= 1, "above 0 and at most 1")
        super().__init__(optimizer)
        self.steps = steps
        self.start_factor = float(start_factor)
        for group in optimizer.param_groups:
            group["lr"] *= self.start_factor

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Scale the rate, until it is whole."""
        return lr * self._share(epoch) / self._share(epoch - 1) if epoch <= self.steps else lr

    def _share(self, epoch: int) -> float:
        return self.start_factor + (1 - self.start_factor) * epoch / self.steps


class ReduceLROnPlateau(Schedule):
    """Multiply the learning rates by ``factor`` when a metric has not become better for more than ``patience`` epochs.

    The rules are PyTorch's, but that a share of a negative metric, such as a log-likelihood, counts as one of its size:
    there PyTorch takes what is a little worse for better, and never reduces.

    Args:
        optimizer: the optimizer.
        mode: "min" if a smaller metric is better, such as a loss, or "max", such as an accuracy.
        factor: above 0 and below 1.
        patience: how many epochs in a row may bring nothing better, an integer.
        threshold: how much better is better, not negative.
        threshold_mode: "rel" if the threshold is a share of the size of the best metric so far, "abs" if it is a
            difference.
        cooldown: epochs after a change in which nothing is counted, an integer.
        min_lr: learning rates are not reduced below it: a number, or a list with one for each group; not negative.
        eps: a reduction by no more than this is left out; not negative.

    Attributes:
        best: the best metric so far.
        bad_epochs: how many epochs in a row have brought nothing better.
        cooldown_left: epochs until counting begins again.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, or an argument is of the wrong type.
        ValueError: an argument is outside its domain, or min_lr has another length than there are groups.

    Example:
        >>> import nn
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> for loss in [1.0, 0.8, 0.8, 0.9]:
        ...     schedule.step(loss)
        >>> optimizer.lr
        0.25
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        super().__init__(optimizer)
        check_choice(name, "mode", mode, ("min", "max"))
        check_choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        check_number(name, "factor", factor, lambda factor: 0 < factor < 1, "above 0 and below 1")
        for option, count in (("patience", patience), ("cooldown", cooldown)):
            check_count(name, option, count, 0)
        rates = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * len(self.base_lrs)
        if len(rates) != len(self.base_lrs):
            raise ValueError(f"{name}: min_lr has {len(rates)} numbers for {len(self.base_lrs)} groups of parameters")
        for option, value in (("threshold", threshold), ("eps", eps), *(("min_lr", rate) for rate in rates)):
            check_number(name, option, value, lambda value: value >= 0, "at least 0")
        self.mode = mode
        self.factor = float(factor)
        self.patience = patience
        self.threshold = float(threshold)
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = [float(rate) for rate in rates]
        self.eps = float(eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = 0
        self.cooldown_left = 0

    def step(self, metric: Any) -> None:  # type: ignore[override]
        """Look at the metric of an epoch, and set the learning rates of the next.

        Args:
            metric: a number, or a Tensor of one; one that is not a number (nan) is no better than any.

        Raises:
            TypeError: the metric is something else.
            ValueError: the optimizer was given another group in the meantime. Nothing is changed then.
        """
        self._check_groups("step")
        metric = metric.item() if getattr(metric, "size", 0) == 1 else metric
        _check_metric("ReduceLROnPlateau.step", "metric", metric)
        self.last_epoch += 1
        if self._is_better(metric):
            self.best, self.bad_epochs = float(metric), 0
        else:
            self.bad_epochs += 1
        if self.cooldown_left:
            self.cooldown_left -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            self.cooldown_left, self.bad_epochs = self.cooldown, 0
            for group, smallest in zip(self.optimizer.param_groups, self.min_lrs):
                reduced = max(group["lr"] * self.factor, smallest)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel" and math.isfinite(self.best):
            return sign * metric > sign * self.best * (1 + math.copysign(self.threshold, sign * self.best))
        return sign * metric > sign * self.best + self.threshold

    def _progress(self) -> dict[str, float]:
        names = ("last_epoch", "best", "bad_epochs", "cooldown_left")
        return {name: getattr(self, name) for name in names}


def _check_metric(caller: str, name: str, value: Any) -> None:
    """Refuse what is no number; infinite ones, and nan, are."""
    if isinstance(value, bool) or not hasattr(value, "__float__") or getattr(value, "shape", ()) != ():
        raise TypeError(f"{caller}: {name} must be a number, got {value!r}")
