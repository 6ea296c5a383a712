"""Optimizers: how a parameter is changed, given its gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.rule import Array
from nn.optim.base import AT_LEAST_0, FLAG, POSITIVE, SHARE, SHARES, Optimizer, number

Parameters = Iterable[ad.Tensor] | Iterable[dict[str, Any]]


class SGD(Optimizer):
    """Stochastic gradient descent, ``p ← p - lr v`` with ``v ← momentum v + (1 - dampening) g``, at first ``v ← g``.

    With ``nesterov``, ``p ← p - lr (g + momentum v)``.
    Sutskever et al., On the importance of initialization and momentum in deep learning (2013); the form is PyTorch's.

    Args:
        parameters: Tensors, or groups of them, as `Optimizer` takes them.
        lr: learning rate, not negative.
        momentum: share of the last step's direction that is kept, from 0 up to, but not including, 1.
        dampening: share of the gradient that is kept out of the momentum, from 0 to 1.
        weight_decay: adds ``weight_decay p`` to the gradient; not negative.
        nesterov: look ahead along the momentum.

    Raises:
        TypeError: a parameter is not a leaf Tensor, or an option is of the wrong type.
        ValueError: an option is outside its domain, ``nesterov`` is set without momentum or with dampening, or what
            `Optimizer` says of parameters.

    Example:
        >>> x = ad.Tensor(3.0)
        >>> optimizer = nn.optim.SGD([x], lr=0.5)
        >>> (x * x).backward()
        >>> optimizer.step()
        >>> float(x)
        0.0
    """

    options = {  # noqa: RUF012 (nobody changes it)
        "momentum": SHARE,
        "dampening": number(lambda x: 0 <= x <= 1, "from 0 to 1"),
        "weight_decay": AT_LEAST_0,
        "nesterov": FLAG,
    }
    slot_names = {"momentum": "momentum"}  # noqa: RUF012

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov
        )

    def checked(self, caller: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Check that Nesterov's momentum has a momentum, and a whole one."""
        options = super().checked(caller, options)
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise ValueError(f"{caller}: nesterov needs a momentum above 0 and a dampening of 0")
        return options

    def update(self, p: Array, g: Array, slots: dict[str, Array], step: int, options: dict[str, Any]) -> Array:
        """Step along the gradient and the momentum."""
        momentum = options["momentum"]
        if options["weight_decay"]:
            g = g + options["weight_decay"] * p
        if momentum:
            slots["momentum"] *= momentum
            slots["momentum"] += (1 - options["dampening"] * (step > 1)) * g if options["dampening"] else g
            g = g + momentum * slots["momentum"] if options["nesterov"] else slots["momentum"]
        p -= options["lr"] * g
        return p


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    ``m ← β₁ m + (1 - β₁) g``, ``v ← β₂ v + (1 - β₂) g²``, ``p ← p - lr m̂ / (√v̂ + eps)``, with ``m̂ = m / (1 - β₁ᵗ)`` and
    ``v̂ = v / (1 - β₂ᵗ)`` at step t. With ``amsgrad``, the largest ``v`` so far takes the place of ``v`` in ``v̂``.

    Kingma and Ba, Adam: a method for stochastic optimization (2015), algorithm 1; Reddi, Kale and Kumar, On the
    convergence of Adam and beyond (2018), algorithm 2, with the correction of the bias that PyTorch keeps.

    Args:
        parameters: Tensors, or groups of them, as `Optimizer` takes them.
        lr: learning rate, not negative.
        betas: decay of the two running means, each from 0 up to, but not including, 1.
        eps: added to the denominator, positive.
        weight_decay: adds ``weight_decay p`` to the gradient; not negative.
        amsgrad: never let the denominator shrink.

    Raises:
        TypeError: a parameter is not a leaf Tensor, or an option is of the wrong type.
        ValueError: an option is outside its domain, or what `Optimizer` says of parameters.

    Example:
        >>> x = ad.Tensor(3.0)
        >>> optimizer = nn.optim.Adam([x], lr=0.1)
        >>> (x * x).backward()
        >>> optimizer.step()
        >>> round(float(x), 6)
        2.9
    """

    options = {"betas": SHARES, "eps": POSITIVE, "weight_decay": AT_LEAST_0, "amsgrad": FLAG}  # noqa: RUF012
    slot_names = {"mean": None, "square": None, "largest_square": "amsgrad"}  # noqa: RUF012

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)

    def update(self, p: Array, g: Array, slots: dict[str, Array], step: int, options: dict[str, Any]) -> Array:
        """Step along the mean, divided by the root of the mean square, both freed of their bias towards zero."""
        p, g = self.decayed(p, g, options)
        beta1, beta2 = options["betas"]
        slots["mean"] *= beta1
        slots["mean"] += (1 - beta1) * g
        square = (1 - beta2) * g  # before the square, which may overflow without it
        square *= g
        slots["square"] *= beta2
        slots["square"] += square
        square = slots["square"]
        if options["amsgrad"]:
            square = np.maximum(slots["largest_square"], square, out=slots["largest_square"])
        # The bias of the root is taken out of the numbers around it, which saves a pass over the array.
        correction = (1 - beta2**step) ** 0.5
        direction = np.sqrt(square)
        direction += options["eps"] * correction
        direction = slots["mean"] / direction
        direction *= options["lr"] * correction / (1 - beta1**step)
        p -= direction
        return p

    def decayed(self, p: Array, g: Array, options: dict[str, Any]) -> tuple[Array, Array]:
        """Give the parameter, and the gradient with the weight decay in it."""
        return p, g + options["weight_decay"] * p if options["weight_decay"] else g


class AdamW(Adam):
    """Adam with weight decay that is not scaled: each step first shrinks ``p`` by ``lr weight_decay p``.

    Loshchilov and Hutter, Decoupled weight decay regularization (2019), algorithm 2; the factor ``lr`` is PyTorch's, in
    the paper it is the schedule alone. Arguments and errors are those of `Adam`.

    Example:
        >>> x = ad.Tensor(2.0)
        >>> optimizer = nn.optim.AdamW([x], lr=0.1, weight_decay=0.5)
        >>> (0 * x).backward()
        >>> optimizer.step()
        >>> float(x)
        1.9
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad)

    def decayed(self, p: Array, g: Array, options: dict[str, Any]) -> tuple[Array, Array]:
        """Shrink the parameter, and leave its gradient as it is."""
        p *= 1 - options["lr"] * options["weight_decay"]
        return p, g


class RMSprop(Optimizer):
    """Gradients divided by the root of a running mean of their squares.

    ``v ← alpha v + (1 - alpha) g²``, ``d = g / (√v + eps)``, ``p ← p - lr d``. If ``centered``, the running mean ``m``
    of the gradient is taken out of the root: ``√(v - m²)``. With momentum, ``b ← momentum b + d``, ``p ← p - lr b``.

    Tieleman and Hinton, Neural networks for machine learning, lecture 6e (2012); centered: Graves, Generating sequences
    with recurrent neural networks (2013), equations 38 to 45. The form is PyTorch's.

    Args:
        parameters: Tensors, or groups of them, as `Optimizer` takes them.
        lr: learning rate, not negative.
        alpha: decay of the running means, from 0 up to, but not including, 1.
        eps: added to the denominator, positive.
        weight_decay: adds ``weight_decay p`` to the gradient; not negative.
        momentum: share of the last step's direction that is kept, from 0 up to, but not including, 1.
        centered: divide by an estimate of the standard deviation in place of the root mean square.

    Raises:
        TypeError: a parameter is not a leaf Tensor, or an option is of the wrong type.
        ValueError: an option is outside its domain, or what `Optimizer` says of parameters.

    Example:
        >>> x = ad.Tensor(3.0)
        >>> optimizer = nn.optim.RMSprop([x], lr=0.1)
        >>> (x * x).backward()
        >>> optimizer.step()
        >>> round(float(x), 6)
        2.0
    """

    options = {  # noqa: RUF012
        "alpha": SHARE,
        "eps": POSITIVE,
        "weight_decay": AT_LEAST_0,
        "momentum": SHARE,
        "centered": FLAG,
    }
    slot_names = {"square": None, "mean": "centered", "momentum": "momentum"}  # noqa: RUF012

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )

    def update(self, p: Array, g: Array, slots: dict[str, Array], step: int, options: dict[str, Any]) -> Array:
        """Step along the gradient over its size, and the momentum."""
        alpha = options["alpha"]
        if options["weight_decay"]:
            g = g + options["weight_decay"] * p
        square = (1 - alpha) * g  # before the square, which may overflow without it
        square *= g
        slots["square"] *= alpha
        slots["square"] += square
        square = slots["square"]
        if options["centered"]:
            slots["mean"] *= alpha
            slots["mean"] += (1 - alpha) * g
            # A variance that is zero may come out just below it, and one that overflows is infinite, as in PyTorch.
            squared_mean = np.minimum(slots["mean"] * slots["mean"], np.finfo(p.dtype).max)
            square = np.maximum(square - squared_mean, 0)
        direction = np.sqrt(square)
        direction += options["eps"]
        direction = g / direction
        if options["momentum"]:
            slots["momentum"] *= options["momentum"]
            slots["momentum"] += direction
            direction = slots["momentum"]
        p -= options["lr"] * direction
        return p


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares so far.

    ``s ← s + g²``, ``p ← p - lr / (1 + (t - 1) lr_decay) g / (√s + eps)`` at step t.

    Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic optimization (2011), with a
    diagonal matrix; the decay of ``lr`` is PyTorch's.

    Args:
        parameters: Tensors, or groups of them, as `Optimizer` takes them.
        lr: learning rate, not negative.
        lr_decay: how fast the learning rate falls; not negative.
        weight_decay: adds ``weight_decay p`` to the gradient; not negative.
        initial_accumulator_value: what the sum begins with; not negative.
        eps: added to the denominator, positive.

    Raises:
        TypeError: a parameter is not a leaf Tensor, or an option is of the wrong type.
        ValueError: an option is outside its domain, or what `Optimizer` says of parameters.

    Example:
        >>> x = ad.Tensor(3.0)
        >>> optimizer = nn.optim.Adagrad([x], lr=0.5)
        >>> (x * x).backward()
        >>> optimizer.step()
        >>> round(float(x), 6)
        2.5
    """

    options = {  # noqa: RUF012
        "lr_decay": AT_LEAST_0,
        "weight_decay": AT_LEAST_0,
        "initial_accumulator_value": AT_LEAST_0,
        "eps": POSITIVE,
    }
    slot_names = {"sum": None}  # noqa: RUF012

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def update(self, p: Array, g: Array, slots: dict[str, Array], step: int, options: dict[str, Any]) -> Array:
        """Step along the gradient over the root of the sum."""
        if options["weight_decay"]:
            g = g + options["weight_decay"] * p
        if options["initial_accumulator_value"]:
            slots["sum"] += options["initial_accumulator_value"] * (step == 1)
        slots["sum"] += g * g
        direction = np.sqrt(slots["sum"])
        direction += options["eps"]
        direction = g / direction
        direction *= options["lr"] / (1 + (step - 1) * options["lr_decay"])
        p -= direction
        return p
