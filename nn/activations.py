"""Activations as Modules, to stand between layers. What each computes is said at the function of `functional`."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn import functional
from nn.checks import check_integer
from nn.module import Module


class Sigmoid(Module):
    """Logistic function of each element; see `functional.sigmoid`.

    Example:
        >>> float(Sigmoid()(0.0))
        0.5
    """

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent of each element; see `functional.tanh`.

    Example:
        >>> float(Tanh()(0.0))
        0.0
    """

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.tanh(x)


class ReLU(Module):
    """Rectified linear unit of each element; see `functional.relu`.

    Example:
        >>> float(ReLU()(-1.0))
        0.0
    """

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.relu(x)


class SiLU(Module):
    """Sigmoid linear unit of each element; see `functional.silu`.

    Example:
        >>> float(SiLU()(0.0))
        0.0
    """

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.silu(x)


class LogSigmoid(Module):
    """Logarithm of the logistic function of each element; see `functional.log_sigmoid`.

    Example:
        >>> float(LogSigmoid()(-1e4))
        -10000.0
    """

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.log_sigmoid(x)


class _WithOptions(Module):
    """An activation with options; those that the function refuses are refused when the Module is made."""

    def __init__(self, **options: Any) -> None:
        for name, value in options.items():
            setattr(self, name, value)
        self._options = tuple(options)
        self(np.zeros(1))

    def _arguments(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._options)


class LeakyReLU(_WithOptions):
    """Leaky rectified linear unit of each element; arguments and errors are those of `functional.leaky_relu`.

    Example:
        >>> float(LeakyReLU(0.1)(-1.0))
        -0.1
    """

    negative_slope: float

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(negative_slope=negative_slope)

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.leaky_relu(x, self.negative_slope)


class ELU(_WithOptions):
    """Exponential linear unit of each element; arguments and errors are those of `functional.elu`.

    Example:
        >>> float(ELU(2.0)(-1e4))
        -2.0
    """

    alpha: float

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.elu(x, self.alpha)


class GELU(_WithOptions):
    """Gaussian error linear unit of each element; arguments and errors are those of `functional.gelu`.

    Example:
        >>> float(GELU(approximate="tanh")(1.0).round(4))
        0.8412
    """

    approximate: str

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.gelu(x, self.approximate)


class Softplus(_WithOptions):
    """Smooth rectified linear unit of each element; arguments and errors are those of `functional.softplus`.

    Example:
        >>> float(Softplus()(1e4))
        10000.0
    """

    beta: float
    threshold: float

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.softplus(x, self.beta, self.threshold)


class Hardtanh(_WithOptions):
    """Each element clipped to an interval; arguments and errors are those of `functional.hardtanh`.

    Example:
        >>> float(Hardtanh()(3.0))
        1.0
    """

    min_val: float
    max_val: float

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__(min_val=min_val, max_val=max_val)

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape."""
        return functional.hardtanh(x, self.min_val, self.max_val)


class Softmax(Module):
    """Probabilities from logits along an axis; see `functional.softmax`.

    It is not part of a network that is trained with `functional.cross_entropy`, which takes logits.

    Raises:
        TypeError: the axis is not an integer.

    Example:
        >>> Softmax()(np.zeros((1, 2)))
        array([[0.5, 0.5]])
    """

    axis: int

    def __init__(self, axis: int = -1) -> None:
        check_integer(type(self).__name__, "axis", axis)
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape with the axis."""
        return functional.softmax(x, self.axis)

    def _arguments(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """Logarithms of probabilities from logits along an axis; see `functional.log_softmax`.

    Example:
        >>> LogSoftmax()(np.array([[0.0, 1e4]]))
        array([[-10000.,      0.]])
    """

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape with the axis."""
        return functional.log_softmax(x, self.axis)


ACTIVATIONS: dict[str, type[Module]] = {
    "relu": ReLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "log_sigmoid": LogSigmoid,
    "hardtanh": Hardtanh,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
}
