"""Optimizers: how a parameter is changed, given its gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.tensor import data_of
from nn.checks import check_number

# An update makes several passes over its arrays. A block of this many bytes stays in the cache between them.
_BLOCK_BYTES = 2**18


class Optimizer:
    """What all optimizers share; a subclass says in `update` how one parameter changes.

    Args:
        parameters: Tensors, as ``model.parameters()`` gives them; those that require no gradient stay as they are.
        lr: learning rate, positive. It may be assigned between steps.
        weight_decay: not negative; how much of it a parameter loses is the subclass's.

    Attributes:
        lr: learning rate; it may be assigned between steps.
        parameters: the Tensors.
        slot_names: names of the arrays that the subclass keeps for each parameter, such as its momentum; set before
            ``Optimizer.__init__``, which makes them.
        slots: for each parameter its arrays by name, of its shape and dtype.
        steps: for each parameter how many steps it has taken.

    Raises:
        TypeError: a parameter is not a leaf Tensor, or a number is none.
        ValueError: there are no parameters, none requires a gradient, one is listed twice, or a number is outside its
            domain.
    """

    slot_names: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[ad.Tensor], lr: float, weight_decay: float) -> None:
        name = type(self).__name__
        if isinstance(parameters, ad.Tensor) or not isinstance(parameters, Iterable):
            given = type(parameters).__name__
            raise TypeError(f"{name}: parameters must be a list of Tensors, as model.parameters() gives, got {given}")
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{name}: there are no parameters to optimize; has a generator been used up?")
        for parameter in self.parameters:
            if not isinstance(parameter, ad.Tensor) or not parameter.is_leaf:
                raise TypeError(f"{name}: a parameter must be a Tensor that no call made, got {parameter!r}")
        if not any(parameter.requires_grad for parameter in self.parameters):
            raise ValueError(f"{name}: none of the parameters requires a gradient")
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ValueError(f"{name}: a parameter is listed twice; it would be changed twice a step")
        check_number(name, "lr", lr, lambda lr: lr > 0, "positive")
        check_number(name, "weight_decay", weight_decay, lambda decay: decay >= 0, "at least 0")
        self.lr = lr
        self.weight_decay = weight_decay
        self.slots = [{slot: np.zeros_like(p.data) for slot in self.slot_names} for p in self.parameters]
        self.steps = [0] * len(self.parameters)

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next `backward` does not add to them."""
        for parameter in self.parameters:
            parameter.grad = None

    @property
    def lr(self) -> float:
        """Learning rate. A Python number, whatever is assigned, so that it changes no array's dtype."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        check_number(type(self).__name__, "lr", value, lambda lr: lr >= 0, "at least 0")
        self._lr = float(value)

    def step(self) -> None:
        """Change every parameter that has a gradient.

        Raises:
            ValueError: a gradient has another shape than its parameter; nothing is changed.
        """
        for parameter in self.parameters:
            if parameter.grad is not None and getattr(parameter.grad, "shape", None) != parameter.shape:
                raise ValueError(f"{type(self).__name__}.step: the gradient of {parameter!r} is {parameter.grad!r}")
        for k, (parameter, slots) in enumerate(zip(self.parameters, self.slots)):
            if parameter.grad is None:
                continue
            self.steps[k] += 1
            gradient = data_of(parameter.grad)
            data = parameter.data
            if data.nbytes <= _BLOCK_BYTES or not isinstance(data, np.ndarray):
                parameter.data = self.update(data, gradient, slots, self.steps[k])
            else:
                rows = max(1, _BLOCK_BYTES * len(data) // data.nbytes)
                for start in range(0, len(data), rows):
                    block = slice(start, start + rows)
                    parts = {name: slot[block] for name, slot in slots.items()}
                    self.update(data[block], gradient[block], parts, self.steps[k])
                parameter.data = data

    def update(self, p: Any, g: Any, slots: dict[str, Any], step: int) -> Any:
        """Change a parameter's array, or a block of it, in place, and return it.

        It is returned because a scalar parameter is a NumPy scalar, which has no place to change.

        Args:
            p: the array.
            g: its gradient, which must not be changed.
            slots: this parameter's arrays by their ``slot_names``, to be changed in place; zeros at first.
            step: how many steps the parameter has taken, this one included.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(lr={self.lr}, {len(self.parameters)} parameters)"


class SGD(Optimizer):
    """Stochastic gradient descent, ``p ← p - lr v`` with ``v ← momentum v + g``.

    With ``nesterov``, ``p ← p - lr (g + momentum v)``.
    Sutskever et al., On the importance of initialization and momentum in deep learning (2013); the form is PyTorch's.

    Args:
        parameters: Tensors that require a gradient.
        lr: learning rate, positive.
        momentum: share of the last step's direction that is kept, from 0 up to, but not including, 1.
        nesterov: look ahead along the momentum.
        weight_decay: adds ``weight_decay p`` to the gradient.

    Raises:
        TypeError: a parameter is not a Tensor that requires a gradient.
        ValueError: a number is outside its domain, or ``nesterov`` is set without momentum.

    Example:
        >>> x = ad.Tensor(3.0)
        >>> optimizer = SGD([x], lr=0.5)
        >>> (x * x).backward()
        >>> optimizer.step()
        >>> float(x)
        0.0
    """

    def __init__(
        self,
        parameters: Iterable[ad.Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        check_number("SGD", "momentum", momentum, lambda momentum: 0 <= momentum < 1, "at least 0 and below 1")
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0")
        self.slot_names = ("momentum",) if momentum else ()
        super().__init__(parameters, lr, weight_decay)
        self.momentum = momentum
        self.nesterov = nesterov

    def update(self, p: Any, g: Any, slots: dict[str, Any], step: int) -> Any:
        """Step along the gradient and the momentum."""
        if self.weight_decay:
            g = g + self.weight_decay * p
        if self.momentum:
            slots["momentum"] *= self.momentum
            slots["momentum"] += g
            g = g + self.momentum * slots["momentum"] if self.nesterov else slots["momentum"]
        p -= self.lr * g
        return p


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square.

    ``m ← β₁ m + (1 - β₁) g``, ``v ← β₂ v + (1 - β₂) g²``, ``p ← p - lr m̂ / (√v̂ + eps)``, with ``m̂ = m / (1 - β₁ᵗ)`` and
    ``v̂ = v / (1 - β₂ᵗ)`` at step t.

    Kingma and Ba, Adam: a method for stochastic optimization (2015), algorithm 1.

    Args:
        parameters: Tensors that require a gradient.
        lr: learning rate, positive.
        betas: decay of the two running means, each from 0 up to, but not including, 1.
        eps: added to the denominator, positive.
        weight_decay: adds ``weight_decay p`` to the gradient.

    Raises:
        TypeError: a parameter is not a Tensor that requires a gradient.
        ValueError: a number is outside its domain.

    Example:
        >>> x = ad.Tensor(3.0)
        >>> optimizer = Adam([x], lr=0.1)
        >>> (x * x).backward()
        >>> optimizer.step()
        >>> round(float(x), 6)
        2.9
    """

    slot_names = ("mean", "square")

    def __init__(
        self,
        parameters: Iterable[ad.Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        name = type(self).__name__
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ValueError(f"{name}: betas must be two numbers, got {betas!r}")
        for beta in betas:
            check_number(name, "each of betas", beta, lambda beta: 0 <= beta < 1, "at least 0 and below 1")
        check_number(name, "eps", eps, lambda eps: eps > 0, "positive")
        super().__init__(parameters, lr, weight_decay)
        self.betas = betas
        self.eps = eps

    def update(self, p: Any, g: Any, slots: dict[str, Any], step: int) -> Any:
        """Step along the mean, divided by the root of the mean square, both freed of their bias towards zero."""
        p, g = self.decayed(p, g)
        beta1, beta2 = self.betas
        slots["mean"] += (1 - beta1) * (g - slots["mean"])
        slots["square"] *= beta2
        slots["square"] += (1 - beta2) * (g * g)
        root = np.sqrt(slots["square"])
        root /= (1 - beta2**step) ** 0.5
        root += self.eps
        p -= (self.lr / (1 - beta1**step)) * (slots["mean"] / root)
        return p

    def decayed(self, p: Any, g: Any) -> tuple[Any, Any]:
        """Give the parameter, and the gradient with the weight decay in it."""
        return p, g + self.weight_decay * p if self.weight_decay else g


class AdamW(Adam):
    """Adam with weight decay that is not scaled: each step first shrinks ``p`` by ``lr weight_decay p``.

    Loshchilov and Hutter, Decoupled weight decay regularization (2019), algorithm 2; the factor ``lr`` is PyTorch's, in
    the paper it is the schedule alone. Arguments are those of `Adam`.
    """

    def __init__(
        self,
        parameters: Iterable[ad.Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def decayed(self, p: Any, g: Any) -> tuple[Any, Any]:
        """Shrink the parameter, and leave its gradient as it is."""
        p *= 1 - self.lr * self.weight_decay
        return p, g
