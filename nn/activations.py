"""Activations as Modules, to stand between layers. What each computes is said at the function of `functional`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, dataclass_transform

import numpy as np

from autodiff.core.rule import Array
from nn import functional
from nn.checks import check_choice, check_integer
from nn.module import Module

Activation = Literal[
    "relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus", "log_sigmoid", "hardtanh", "softmax",
    "log_softmax",
]  # fmt: skip


@dataclass_transform(eq_default=False)
class OfFunction(Module):
    """A function of `functional` as a Module: a subclass names the function, and as fields the options it has.

    Options that the function refuses are refused when the Module is made.
    """

    function: ClassVar[Callable[..., Any]]
    __match_args__: ClassVar[tuple[str, ...]]  # the names of the options; `dataclass` writes them down

    def __init_subclass__(cls) -> None:
        if "function" in vars(cls):  # a user's subclass of one of them has attributes of its own
            dataclass(eq=False, repr=False)(cls)

    def __post_init__(self) -> None:
        self.function(np.zeros(1), **self._options())

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__match_args__}

    def _arguments(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


class _Activation(OfFunction):
    def forward(self, x: Array) -> Array:
        """Apply the function; any shape."""
        options = self.__match_args__
        return self.function(x, *map(self.__getattribute__, options)) if options else self.function(x)


class Sigmoid(_Activation):
    """Logistic function of each element; see `functional.sigmoid`.

    Example:
        >>> float(nn.Sigmoid()(0.0))
        0.5
    """

    function = staticmethod(functional.sigmoid)


class Tanh(_Activation):
    """Hyperbolic tangent of each element; see `functional.tanh`.

    Example:
        >>> float(nn.Tanh()(0.0))
        0.0
    """

    function = staticmethod(functional.tanh)


class ReLU(_Activation):
    """Rectified linear unit of each element; see `functional.relu`.

    Example:
        >>> float(nn.ReLU()(-1.0))
        0.0
    """

    function = staticmethod(functional.relu)


class SiLU(_Activation):
    """Sigmoid linear unit of each element; see `functional.silu`.

    Example:
        >>> float(nn.SiLU()(0.0))
        0.0
    """

    function = staticmethod(functional.silu)


class LogSigmoid(_Activation):
    """Logarithm of the logistic function of each element; see `functional.log_sigmoid`.

    Example:
        >>> float(nn.LogSigmoid()(-1e4))
        -10000.0
    """

    function = staticmethod(functional.log_sigmoid)


class LeakyReLU(_Activation):
    """Leaky rectified linear unit of each element; arguments and errors are those of `functional.leaky_relu`.

    Example:
        >>> float(nn.LeakyReLU(0.1)(-1.0))
        -0.1
    """

    function = staticmethod(functional.leaky_relu)
    negative_slope: float = 0.01


class ELU(_Activation):
    """Exponential linear unit of each element; arguments and errors are those of `functional.elu`.

    Example:
        >>> float(nn.ELU(2.0)(-1e4))
        -2.0
    """

    function = staticmethod(functional.elu)
    alpha: float = 1.0


class GELU(_Activation):
    """Gaussian error linear unit of each element; arguments and errors are those of `functional.gelu`.

    Example:
        >>> float(nn.GELU(approximate="tanh")(1.0).round(4))
        0.8412
    """

    function = staticmethod(functional.gelu)
    approximate: Literal["none", "tanh"] = "none"


class Softplus(_Activation):
    """Smooth rectified linear unit of each element; arguments and errors are those of `functional.softplus`.

    Example:
        >>> float(nn.Softplus()(1e4))
        10000.0
    """

    function = staticmethod(functional.softplus)
    beta: float = 1.0
    threshold: float = 20.0


class Hardtanh(_Activation):
    """Each element clipped to an interval; arguments and errors are those of `functional.hardtanh`.

    Example:
        >>> float(nn.Hardtanh()(3.0))
        1.0
    """

    function = staticmethod(functional.hardtanh)
    min_val: float = -1.0
    max_val: float = 1.0


class Softmax(_Activation):
    """Probabilities from logits along an axis; see `functional.softmax`.

    It is not part of a network that is trained with `functional.cross_entropy`, which takes logits.

    Raises:
        TypeError: the axis is not an integer.

    Example:
        >>> nn.Softmax()(np.zeros((1, 2)))
        array([[0.5, 0.5]])
    """

    function = staticmethod(functional.softmax)
    axis: int = -1

    def __post_init__(self) -> None:
        check_integer(type(self).__name__, "axis", self.axis)


class LogSoftmax(Softmax):
    """Logarithms of probabilities from logits along an axis; see `functional.log_softmax`.

    Example:
        >>> nn.LogSoftmax()(np.array([[0.0, 1e4]]))
        array([[-10000.,      0.]])
    """

    function = staticmethod(functional.log_softmax)


ACTIVATIONS: dict[str, type[_Activation]] = {
    kind.function.__name__: kind
    for kind in (
        ReLU, Tanh, Sigmoid, LeakyReLU, ELU, GELU, SiLU, Softplus, LogSigmoid, Hardtanh, Softmax, LogSoftmax,
    )
}  # fmt: skip


class Function(Module):
    """A function of arrays as a Module, which `MLP` makes of one that is its activation.

    Example:
        >>> nn.MLP([2, 3, 1], activation=np.sin, rng=0).layers[1]
        Function(sin)
    """

    function: Callable[[Any], Any]

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def forward(self, x: Array) -> Any:
        """Apply the function."""
        return self.function(x)

    def _arguments(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


def named(caller: str, activation: Any) -> tuple[str | None, Callable[[], Module]]:
    """Give the name of an activation, None if it has none here, and what makes its Module."""
    by_function: Any = {kind.function: name for name, kind in ACTIVATIONS.items()} | {np.tanh: "tanh"}
    by_kind: dict[type[Module], str] = {kind: name for name, kind in ACTIVATIONS.items()}
    if isinstance(activation, Module):
        return by_kind.get(type(activation)), lambda: activation
    if isinstance(activation, type) and issubclass(activation, Module):
        return by_kind.get(activation), activation
    if callable(activation) and not isinstance(activation, type):
        name = by_function.get(activation) if isinstance(activation, Hashable) else None
        return name, ACTIVATIONS[name] if name else lambda: Function(activation)
    check_choice(caller, "activation", activation, ACTIVATIONS)
    return activation, ACTIVATIONS[activation]
