"""Schedules: how an optimizer's learning rates change from epoch to epoch.

All but `ReduceLROnPlateau`, `LambdaLR` and `OneCycleLR` compute the next rate from the present one. So several of
them may act on one optimizer, such as a warm-up and a decay, and a rate assigned by hand is the one that is scaled from
then on.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from autodiff.arrays.whole import whole
from autodiff.compiler.state import Itself, Place, form_of
from autodiff.elsewhere import absent
from nn.checks import WithKnownOptions, check_choice, check_count, check_flag, check_number
from nn.optim.base import AT_LEAST_0, POSITIVE, SHARE, Optimizer

_BEGAN = "_began_with"  # of a group: the rate that it was made with, and the one that a schedule began with


class Schedule(WithKnownOptions):
    """What all schedules share.

    Args:
        optimizer: its groups' learning rates, as they are now, are where the schedule begins. A rate that another
            schedule has scaled in the meantime, such as a warm-up, counts as what it was before.

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
        groups = optimizer.param_groups
        began = [group.get(_BEGAN, (None, None)) for group in groups]
        self.base_lrs = [
            float(first if group["lr"] == now else group["lr"]) for group, (first, now) in zip(groups, began)
        ]

    def _begin(self) -> None:
        """Set the rates of epoch 0, where they are others than the optimizer was made with."""
        rates = [self._rate(position, base, base, 0) for position, base in enumerate(self.base_lrs)]
        for group, base, rate in zip(self.optimizer.param_groups, self.base_lrs, rates):
            group["lr"] = rate
            group[_BEGAN] = base, rate

    def _of_groups(self, name: str, value: Any) -> list[Any]:
        """Give an option of each group: those in a list, or the same one for all."""
        values = list(value) if isinstance(value, list | tuple) else [value] * len(self.base_lrs)
        if len(values) != len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__}: {name} has {len(values)} items for {len(self.base_lrs)} groups of parameters"
            )
        return values

    def get_last_lr(self) -> list[float]:
        """Give the learning rate of each group, as the last step has set it.

        Example:
            >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
            >>> nn.optim.StepLR(optimizer, step_size=10).get_last_lr()
            [0.5]
        """
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Set the learning rates of the next epoch; to be called at the end of each.

        Raises:
            ValueError: the optimizer was given another group in the meantime; nothing is changed.
        """
        self._check_groups("step")
        groups, epoch = self.optimizer.param_groups, self.last_epoch + 1
        rates = [
            whole(self._rate)(position, group["lr"], base, epoch)
            for position, (group, base) in enumerate(zip(groups, self.base_lrs))
        ]
        self.last_epoch = epoch
        for group, rate in zip(groups, rates):
            group["lr"] = rate

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Give the learning rate of an epoch.

        Args:
            lr: the learning rate of the epoch before.
            base: what it was at the beginning, in epoch 0.
            epoch: which epoch, from 1 on.
        """
        raise NotImplementedError(f"{type(self).__name__} must define following")

    def _rate(self, position: int, lr: float, base: float, epoch: int) -> float:
        """Give `following` for a group; in epoch 0, the rate that the schedule begins with."""
        return self.following(lr, base, epoch) if epoch else base

    def state_dict(self) -> dict[str, float]:
        """Give all that the next steps depend on but the arguments: numbers by name.

        Example:
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
        super().__init__(optimizer)
        self.step_size = step_size
        self.gamma: float = POSITIVE("StepLR", "gamma", gamma)

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
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule.step()
        >>> optimizer.lr
        0.25
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        super().__init__(optimizer)
        self.gamma: float = POSITIVE("ExponentialLR", "gamma", gamma)

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
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1)
        >>> for epoch in range(5):
        ...     schedule.step()
        >>> round(optimizer.lr, 6)
        0.3
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        check_count("CosineAnnealingLR", "T_max", T_max)
        super().__init__(optimizer)
        self.T_max = T_max
        self.eta_min: float = AT_LEAST_0("CosineAnnealingLR", "eta_min", eta_min)

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
        self._begin()

    def _rate(self, position: int, lr: float, base: float, epoch: int) -> float:
        return super()._rate(position, lr, base, epoch) if epoch else base * self.start_factor

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Scale the rate, until it is whole."""
        return lr * self._share(epoch) / self._share(epoch - 1) if epoch <= self.steps else lr

    def _share(self, epoch: int) -> float:
        return self.start_factor + (1 - self.start_factor) * epoch / self.steps


class MultiStepLR(Schedule):
    """Multiply the learning rates by ``gamma`` at some epochs.

    Args:
        optimizer: the optimizer.
        milestones: the epochs, positive integers; one that is listed twice counts twice.
        gamma: the factor, positive.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, the milestones are no list of integers, or gamma no number.
        ValueError: a number is outside its domain.

    Example:
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
        >>> for epoch in range(4):
        ...     print(epoch, optimizer.lr)
        ...     schedule.step()
        0 0.5
        1 0.25
        2 0.25
        3 0.125
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        epochs = _epochs("MultiStepLR", milestones)
        super().__init__(optimizer)
        self.milestones = sorted(epochs)
        self.gamma: float = POSITIVE("MultiStepLR", "gamma", gamma)

    def following(self, lr: float, base: float, epoch: int) -> float:
        """Scale the rate, if it is time."""
        return lr * self.gamma ** self.milestones.count(epoch)


class LambdaLR(Schedule):
    """Let a function of the epoch say by which factor the first learning rates are multiplied.

    The function is an argument and no part of the state, as all arguments: who loads a state makes the schedule with
    the same one.

    Args:
        optimizer: the optimizer; its learning rates are those of epoch 0 at once.
        lr_lambda: a function of the epoch, from 0 on, that gives a number, at least 0; or a list with one for each
            group.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, the function is none, or gives no number.
        ValueError: the list has another length than there are groups, or a factor is negative or not finite.

    Example:
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        super().__init__(optimizer)
        self.lr_lambdas = self._of_groups("lr_lambda", lr_lambda)
        if not all(map(callable, self.lr_lambdas)):
            raise TypeError(
                f"LambdaLR: lr_lambda must be a function of the epoch, or a list of them, got {lr_lambda!r}"
            )
        self._begin()

    def _rate(self, position: int, lr: float, base: float, epoch: int) -> float:
        factor = self.lr_lambdas[position](epoch)
        factor = factor.item() if getattr(factor, "shape", None) == () else factor
        return base * float(AT_LEAST_0("LambdaLR", f"the factor of epoch {epoch}", factor))


class OneCycleLR(Schedule):
    """Let the learning rates rise to a largest one and fall again, far below the first, in one run.

    Smith and Topin, Super-convergence: very fast training of neural networks using large learning rates (2018); where
    ``cycle_momentum`` is not False, the momentum goes the other way, as there. Steps are most often those of batches.

    Args:
        optimizer: the optimizer; its learning rates, and momenta, are those of the first step at once.
        max_lr: the largest learning rate, positive: a number, or a list with one for each group.
        total_steps: how many steps there are, or else ``epochs`` times ``steps_per_epoch``.
        epochs: how many epochs there are.
        steps_per_epoch: how many steps each has.
        pct_start: the share of the steps in which the rates rise, from 0 to 1.
        anneal_strategy: "cos" for the half of a cosine, "linear" for a line.
        cycle_momentum: whether ``momentum``, or the first of ``betas``, falls while the rates rise.
        base_momentum: the smallest momentum, at least 0 and below 1.
        max_momentum: the largest.
        div_factor: the largest learning rate over the first, positive.
        final_div_factor: the first learning rate over the last, positive.
        three_phase: fall to the first rate as fast as it rose, and then to the last.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, or an argument is of the wrong type.
        ValueError: an argument is outside its domain, the number of steps is missing, max_lr has another length than
            there are groups, the optimizer has no momentum to cycle, or `step` is called too often.

    Example:
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> schedule = nn.optim.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
        >>> for epoch in range(4):
        ...     print(epoch, round(optimizer.lr, 4), round(optimizer.param_groups[0]["momentum"], 4))
        ...     schedule.step()
        0 0.04 0.95
        1 0.52 0.9
        2 1.0 0.85
        3 0.9505 0.855
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        name = "OneCycleLR"
        super().__init__(optimizer)
        counts: dict[str, Any] = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        if total_steps is not None:
            counts = {"total_steps": total_steps}
        if None in counts.values():
            raise ValueError(f"{name}: give total_steps, or epochs and steps_per_epoch")
        for option, count in counts.items():
            check_count(name, option, count)
        self.total_steps = math.prod(counts.values())
        self.max_lrs = [POSITIVE(name, "max_lr", rate) for rate in self._of_groups("max_lr", max_lr)]
        self.div_factor = POSITIVE(name, "div_factor", div_factor)
        self.final_div_factor = POSITIVE(name, "final_div_factor", final_div_factor)
        check_number(name, "pct_start", pct_start, lambda share: 0 <= share <= 1, "a share from 0 to 1")
        momenta = SHARE(name, "base_momentum", base_momentum), SHARE(name, "max_momentum", max_momentum)
        check_choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        check_flag(name, "cycle_momentum", cycle_momentum)
        check_flag(name, "three_phase", three_phase)
        if cycle_momentum and not {"momentum", "betas"} & {*optimizer.defaults}:
            raise ValueError(f"{name}: {type(optimizer).__name__} has no momentum; say cycle_momentum=False")
        self.anneal_strategy = anneal_strategy
        self.momenta = momenta if cycle_momentum else None
        rise = pct_start * self.total_steps - 1
        # Where each phase ends, and the rate there: 0 for the first one, 1 for the largest, 2 for the last.
        middle = [(2 * rise, 0)] if three_phase else []
        self.phases = [(0.0, 0), (float(rise), 1), *middle, (self.total_steps - 1.0, 2)]
        self.base_lrs = [rate / self.div_factor for rate in self.max_lrs]
        self._begin()
        self._set_momentum()

    def step(self) -> None:
        """Set the learning rates and momenta of the next step."""
        if self.momenta is not None and hasattr(self.last_epoch, "__array_call__"):
            raise TypeError(
                "OneCycleLR.step: a compiled step cannot change the momentum: call it outside of the step, or say "
                "cycle_momentum=False"
            )
        super().step()
        self._set_momentum()

    def _set_momentum(self) -> None:
        if self.momenta is None:
            return
        low, high = self.momenta
        momentum = self._between((high, low, high), self.last_epoch)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = momentum, group["betas"][1]
            else:
                group["momentum"] = momentum

    def _rate(self, position: int, lr: float, base: float, epoch: int) -> float:
        if epoch > self.total_steps:
            raise ValueError(f"OneCycleLR.step: the schedule has {self.total_steps} steps, which are done")
        largest = self.max_lrs[position]
        first = largest / self.div_factor
        return self._between((first, largest, first / self.final_div_factor), epoch)

    def _between(self, values: tuple[float, float, float], step: int) -> float:
        """Give the value of a step, of what is one thing at first, another at the top and a third in the end."""
        k = next((k for k in range(1, len(self.phases)) if step <= self.phases[k][0]), len(self.phases) - 1)
        (began, one), (ends, other) = self.phases[k - 1 : k + 1]
        share = (step - began) / (ends - began) if ends != began else 1.0
        start, end = values[one], values[other]
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


class SequentialLR(Schedule):
    """One schedule after the other, each from the first learning rates on.

    The schedules say how the rates change; only this one is stepped, and only its state counts.

    Args:
        optimizer: the optimizer; its learning rates are those with which the first schedule begins.
        schedulers: the schedules, of the same optimizer. `ReduceLROnPlateau`, and `OneCycleLR` with a momentum, which
            set more than learning rates or need a metric, are none of them.
        milestones: the epochs in which the second begins, the third and so on, positive integers that increase.

    Raises:
        TypeError: the optimizer is none of `nn.optim`, or the schedules or milestones are no list of such.
        ValueError: a schedule is of another optimizer or cannot take part, or the milestones are not one less than the
            schedules or do not increase.

    Example:
        >>> optimizer = nn.optim.SGD(nn.MLP([2, 1], rng=0).parameters(), lr=0.5)
        >>> parts = nn.optim.LinearWarmup(optimizer, steps=2, start_factor=0.5), nn.optim.ExponentialLR(optimizer, 0.5)
        >>> schedule = nn.optim.SequentialLR(optimizer, parts, milestones=[2])
        >>> for epoch in range(4):
        ...     print(epoch, optimizer.lr)
        ...     schedule.step()
        0 0.25
        1 0.375
        2 0.5
        3 0.25
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Iterable[int]) -> None:
        name = "SequentialLR"
        super().__init__(optimizer)
        if not isinstance(schedulers, list | tuple) or not all(isinstance(one, Schedule) for one in schedulers):
            raise TypeError(f"{name}: schedulers must be a list of schedules, got {schedulers!r}")
        epochs = _epochs(name, milestones)
        for one in schedulers:
            if one.optimizer is not optimizer:
                raise ValueError(f"{name}: a {type(one).__name__} is of another optimizer")
            if isinstance(one, ReduceLROnPlateau) or getattr(one, "momenta", None) is not None:
                raise ValueError(
                    f"{name}: a {type(one).__name__} does more than set rates by the epoch; step it by itself"
                )
        if len(epochs) != len(schedulers) - 1 or epochs != sorted(set(epochs)):
            raise ValueError(
                f"{name}: {len(schedulers)} schedules need {max(0, len(schedulers) - 1)} milestones that increase, got "
                f"{epochs}"
            )
        self.schedulers = list(schedulers)
        self.milestones = epochs
        self._begin()

    def _rate(self, position: int, lr: float, base: float, epoch: int) -> float:
        k = bisect_right(self.milestones, epoch)
        began = self.milestones[k - 1] if k else 0
        rate: float = self.schedulers[k]._rate(position, lr, base, epoch - began)
        return rate

    def settings(self) -> Hashable:
        """Give all else that the rates depend on: a compiled step is another one with other settings."""
        return super().settings(), *(one.settings() for one in self.schedulers)


def _epochs(caller: str, milestones: Any) -> list[int]:
    """Refuse what is no list of positive integers."""
    if isinstance(milestones, str) or not isinstance(milestones, Iterable):
        raise TypeError(f"{caller}: milestones must be a list of epochs, got {milestones!r}")
    epochs = list(milestones)
    for epoch in epochs:
        check_count(caller, "a milestone", epoch)
    return [int(epoch) for epoch in epochs]


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
        self.mode = mode
        self.factor = float(factor)
        self.patience = patience
        self.threshold: float = AT_LEAST_0(name, "threshold", threshold)
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = [AT_LEAST_0(name, "min_lr", rate) for rate in self._of_groups("min_lr", min_lr)]
        self.eps = AT_LEAST_0(name, "eps", eps)
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


if not TYPE_CHECKING:  # or checkers took every name for one of these
    __getattr__ = absent(__name__)
