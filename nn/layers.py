"""Layers, and the networks made of them. All take rows: an input has the shape ``(N, features)``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nn import functional, init
from nn.checks import check_choice, check_count, check_probability
from nn.init import Seed, generator
from nn.module import Module, Parameter


class Linear(Module):
    """Affine map ``O = X W + b``.

    The weights begin as `init.xavier_uniform` with the gain of the nonlinearity that follows, or as
    `init.kaiming_uniform` before "relu"; the bias begins as zeros.

    Args:
        in_features: size of each input row.
        out_features: size of each output row.
        bias: whether to add ``b``.
        nonlinearity: what follows the layer, for the scale of the first weights only: "linear" for nothing, "relu",
            "tanh" or "sigmoid". It is not applied.
        rng: a Generator or a seed for the weights.
        dtype: of the parameters.

    Raises:
        ValueError: a size is not a positive integer, or the nonlinearity is unknown.

    Example:
        >>> layer = Linear(3, 2, rng=0)
        >>> layer
        Linear(3, 2): weight (3, 2), bias (2,), 8 parameters
        >>> layer(np.ones((5, 3), np.float32)).shape
        (5, 2)
    """

    in_features: int
    out_features: int
    weight: Parameter  # (in_features, out_features)
    bias: Parameter | None  # (out_features,)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        nonlinearity: str = "linear",
        rng: Seed = None,
        dtype: Any = np.float32,
    ) -> None:
        check_count("Linear", "a layer's size", in_features)
        check_count("Linear", "a layer's size", out_features)
        gain = init.gain(nonlinearity)
        draw = init.kaiming_uniform if nonlinearity == "relu" else init.xavier_uniform
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(draw((in_features, out_features), gain=gain, rng=rng, dtype=dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None

    def forward(self, x: Any) -> Any:
        """Map ``(..., in_features)`` to ``(..., out_features)``."""
        return functional.linear(x, self.weight, self.bias)

    def _arguments(self) -> str:
        return f"{self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'}"


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


class Softmax(Module):
    """Probabilities from logits along an axis; see `functional.softmax`.

    It is not part of a network that is trained with `functional.cross_entropy`, which takes logits.

    Example:
        >>> Softmax()(np.zeros((1, 2)))
        array([[0.5, 0.5]])
    """

    axis: int

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Apply the function; any shape with the axis."""
        return functional.softmax(x, self.axis)

    def _arguments(self) -> str:
        return f"axis={self.axis}"


class Dropout(Module):
    """Zero each element with probability ``p`` while training, and do nothing in evaluation.

    Args:
        p: from 0 up to, but not including, 1.
        rng: a Generator or a seed; a Generator may be shared between layers.

    Raises:
        ValueError: ``p`` is not a probability below 1.

    Example:
        >>> layer = Dropout(0.5, rng=0)
        >>> layer(np.ones(5)), layer.eval()(np.ones(5))
        (array([2., 2., 2., 0., 0.]), array([1., 1., 1., 1., 1.]))
    """

    p: float
    rng: np.random.Generator

    def __init__(self, p: float = 0.5, *, rng: Seed = None) -> None:
        check_probability("Dropout", p)
        self.p = p
        self.rng = generator(rng)

    def forward(self, x: Any) -> Any:
        """Drop elements; any shape."""
        return functional.dropout(x, self.p, self.training, self.rng)

    def _arguments(self) -> str:
        return f"p={self.p}"


ACTIVATIONS: dict[str, type[Module]] = {"relu": ReLU, "tanh": Tanh, "sigmoid": Sigmoid}


class Sequential(Module):
    """Modules one after the other, each given what the one before returns.

    Args:
        layers: Modules.

    Raises:
        TypeError: a layer is not a Module.

    Example:
        >>> Sequential(Linear(4, 3, rng=0), Tanh())
        Sequential(): 15 parameters
          layers.0: Linear(4, 3): weight (4, 3), bias (3,), 15 parameters
          layers.1: Tanh()
    """

    layers: list[Module]

    def __init__(self, *layers: Module) -> None:
        for layer in layers:
            if not isinstance(layer, Module):
                raise TypeError(f"{type(self).__name__}: a layer must be a Module, got {layer!r}")
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """Send the input through all layers."""
        for layer in self.layers:
            x = layer(x)
        return x


class MLP(Sequential):
    """Multi-layer perceptron: linear layers with an activation, and perhaps dropout, between them.

    The first weights suit the activation: He's for "relu", Glorot's, times `init.gain`, for "tanh" and "sigmoid".

    Args:
        sizes: features of the input, of each hidden layer and of the output.
        activation: "relu", "tanh" or "sigmoid", after each layer but the last.
        dropout: probability of `Dropout` after each activation; none at 0.
        rng: a Generator or a seed for weights and dropout.
        dtype: of the parameters.

    Raises:
        ValueError: there are fewer than two sizes, a size is not a positive integer, the activation is unknown, or
            dropout is not a probability below 1.

    Example:
        >>> MLP([64, 32, 10], activation="relu", rng=0)
        MLP(64 → 32 → 10): 2,410 parameters
          layers.0: Linear(64, 32): weight (64, 32), bias (32,), 2,080 parameters
          layers.1: ReLU()
          layers.2: Linear(32, 10): weight (32, 10), bias (10,), 330 parameters
    """

    sizes: tuple[int, ...]

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        dropout: float = 0.0,
        rng: Seed = None,
        dtype: Any = np.float32,
    ) -> None:
        if not hasattr(sizes, "__len__") or len(sizes) < 2:
            raise ValueError(f"MLP: sizes need an input and an output, as in [64, 32, 10], got {sizes!r}")
        for size in sizes:
            check_count("MLP", "a layer's size", size)
        check_choice("MLP", "activation", activation, ACTIVATIONS)
        check_probability("MLP", dropout)
        rng = generator(rng)
        layers: list[Module] = []
        *hidden, last = itertools.pairwise(sizes)
        for fan_in, fan_out in hidden:
            layers += [
                Linear(fan_in, fan_out, nonlinearity=activation, rng=rng, dtype=dtype),
                ACTIVATIONS[activation](),
            ]
            if dropout:
                layers.append(Dropout(dropout, rng=rng))
        super().__init__(*layers, Linear(*last, rng=rng, dtype=dtype))
        self.sizes = tuple(sizes)

    def _arguments(self) -> str:
        return " → ".join(map(str, self.sizes))
