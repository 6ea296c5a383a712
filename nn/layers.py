"""Layers, and the networks made of them. The first axis of an input is its rows, as in ``(N, features)``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.arrays.whole import as_float
from autodiff.batching.array import drawn
from autodiff.core.rule import Array
from nn import functional, init
from nn.activations import Activation, named
from nn.checks import (
    check_count,
    check_dtype,
    check_flag,
    check_integer,
    check_known,
    check_number,
    check_padding,
    check_probability,
    check_real,
    check_shape,
    in_dtype_of,
)
from nn.containers import Sequential
from nn.init import Nonlinearity, Seed, generator
from nn.module import Buffer, Module, Parameter

# What the first weights before an activation should suit; the others are rectifiers, hard or smooth ones.
_SUITS: dict[str | None, Nonlinearity] = {
    None: "linear",
    "tanh": "tanh",
    "hardtanh": "tanh",
    "sigmoid": "sigmoid",
    "log_sigmoid": "sigmoid",
    "softmax": "linear",
    "log_softmax": "linear",
}


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
        dtype: of the parameters, floating-point or complex.

    Raises:
        TypeError: a size is not an integer, ``bias`` not True or False, the nonlinearity no text, or the dtype another.
        ValueError: a size is not positive, or the nonlinearity is unknown.

    Example:
        >>> layer = nn.Linear(3, 2, rng=0)
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
        nonlinearity: Nonlinearity = "linear",
        rng: Seed = None,
        dtype: Any = np.float32,
    ) -> None:
        check_count("Linear", "a layer's size", in_features)
        check_count("Linear", "a layer's size", out_features)
        check_flag("Linear", "bias", bias)
        dtype = check_dtype("Linear", dtype, "fc")
        gain = init.gain(nonlinearity)
        draw = init.kaiming_uniform if nonlinearity == "relu" else init.xavier_uniform
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(draw((in_features, out_features), gain=gain, rng=rng, dtype=dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None

    def forward(self, x: Array) -> ad.Tensor:
        """Map ``(..., in_features)``, or a sparse matrix of SciPy's, to ``(..., out_features)``."""
        out: ad.Tensor = functional.linear(in_dtype_of(self.weight, "linear", x), self.weight, self.bias)
        return out

    def _arguments(self) -> str:
        return f"{self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'}"


class Identity(Module):
    """Nothing: the input as it is.

    Example:
        >>> nn.Identity()(3.0)
        3.0
    """

    def forward(self, x: Array) -> Array:
        """Give the input."""
        return x


class Flatten(Module):
    """Join neighbouring axes of the input into one, in the order of its elements.

    Args:
        start_dim: the first axis that is joined; by default the one after the rows.
        end_dim: the last one. Negative numbers count from the end.

    Raises:
        TypeError: an axis is not an integer.

    Example:
        >>> nn.Flatten()(np.zeros((5, 2, 3))).shape
        (5, 6)
    """

    start_dim: int
    end_dim: int

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        check_integer("Flatten", "start_dim", start_dim)
        check_integer("Flatten", "end_dim", end_dim)
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Array) -> Array:
        """Join the axes; any shape that has them."""
        x = check_real("Flatten", "x", x, "fiubc")
        check_known("Flatten", x)
        first, last = (axis + x.ndim if axis < 0 else axis for axis in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < x.ndim:
            raise ValueError(
                f"Flatten: there are no axes from {self.start_dim} to {self.end_dim} in an input of shape {x.shape}"
            )
        return np.reshape(x, (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))

    def _arguments(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """Zero each element with probability ``p`` while training, and do nothing in evaluation.

    Args:
        p: from 0 up to, but not including, 1.
        rng: a Generator or a seed; a Generator may be shared between layers.

    Raises:
        TypeError: ``p`` is no number.
        ValueError: ``p`` is not a probability below 1.

    Example:
        >>> layer = nn.Dropout(0.5, rng=0)
        >>> layer(np.ones(5)), layer.eval()(np.ones(5))
        (array([2., 2., 2., 0., 0.]), array([1., 1., 1., 1., 1.]))
    """

    p: float
    rng: np.random.Generator

    def __init__(self, p: float = 0.5, *, rng: Seed = None) -> None:
        check_probability("Dropout", p)
        self.p = p
        self.rng = generator(rng)

    def forward(self, x: Array) -> Array:
        """Drop elements; any shape."""
        return functional.dropout(x, self.p, self.training, self.rng)

    def _arguments(self) -> str:
        return f"p={self.p}"


class BatchNorm1d(Module):
    """Standardize each feature over the rows of a batch, then scale and shift it; see `functional.batch_norm`.

    While training, the mean and variance are the batch's, and running ones are kept of them; in evaluation these are
    used.

    Args:
        num_features: C, the number of features.
        eps: positive; added to the variance.
        momentum: from 0 to 1, the share of a batch in the new running numbers; None for their average over all
            batches.
        affine: whether to scale and shift, by a weight that begins as ones and a bias that begins as zeros.
        track_running_stats: without, there are no running numbers, and the batch's are used in evaluation too.
        dtype: of parameters and running numbers.

    Raises:
        TypeError: an argument is of the wrong type, or the dtype not floating-point.
        ValueError: an argument is outside its domain.

    Example:
        >>> layer = nn.BatchNorm1d(1)
        >>> layer(np.array([[1.0], [3.0]], np.float32)).data.round(3).tolist()
        [[-1.0], [1.0]]
        >>> {path: array.tolist() for path, array in layer.state_dict().items() if "weight" not in path}
        {'bias': [0.0], 'running_mean': [0.2...], 'running_var': [1.1...], 'num_batches_tracked': 1}
    """

    num_features: int
    eps: float
    momentum: float | None
    weight: Parameter | None  # (num_features,)
    bias: Parameter | None  # (num_features,)
    running_mean: Buffer | None  # (num_features,)
    running_var: Buffer | None  # (num_features,)
    num_batches_tracked: Buffer | None  # ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        check_count("BatchNorm1d", "num_features", num_features)
        check_number("BatchNorm1d", "eps", eps, lambda eps: eps > 0, "positive")
        if momentum is not None:
            check_number("BatchNorm1d", "momentum", momentum, lambda share: 0 <= share <= 1, "from 0 to 1, or None")
        check_flag("BatchNorm1d", "affine", affine)
        check_flag("BatchNorm1d", "track_running_stats", track_running_stats)
        dtype = check_dtype("BatchNorm1d", dtype)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.int64(0)) if track_running_stats else None

    def forward(self, x: Array) -> Array:
        """Standardize ``(N, C)`` or ``(N, C, L)``."""
        own = self.running_mean if self.weight is None else self.weight
        x = in_dtype_of(own, "BatchNorm1d", check_real("BatchNorm1d", "x", x))
        if len(x.shape) not in (2, 3) or x.shape[1] != self.num_features:
            raise ValueError(
                f"BatchNorm1d: the input must have the shape (N, {self.num_features}) or (N, {self.num_features}, L), "
                f"got {x.shape}"
            )
        batches = self.num_batches_tracked
        share = self.momentum
        if share is None:
            share = as_float(1 / (1 + batches.data)) if batches is not None else 0.0
        out = functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training or batches is None,
            momentum=share,
            eps=self.eps,
        )
        if self.training and batches is not None:
            batches.data = batches.data + 1
        return out

    def _arguments(self) -> str:
        options = f", eps={self.eps}, momentum={self.momentum}"
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_features}{options}{affine}" + (
            "" if self.running_mean is not None else ", track_running_stats=False"
        )


class LayerNorm(Module):
    """Standardize each row over its last axes, then scale and shift it; see `functional.layer_norm`.

    Args:
        normalized_shape: lengths of the axes that make up a row; a number for one axis.
        eps: positive; added to the variance.
        elementwise_affine: whether to scale and shift, by a weight that begins as ones and a bias that begins as zeros.
        bias: whether to shift, where there is a scale.
        dtype: of the parameters.

    Raises:
        TypeError: a length is not an integer, another argument of the wrong type, or the dtype not floating-point.
        ValueError: there is no length, or one of them, or ``eps``, is not positive.

    Example:
        >>> nn.LayerNorm(2)(np.array([[1.0, 3.0]], np.float32)).data.round(3).tolist()
        [[-1.0, 1.0]]
    """

    normalized_shape: tuple[int, ...]
    eps: float
    weight: Parameter | None  # normalized_shape
    bias: Parameter | None  # normalized_shape

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = check_shape("LayerNorm", "normalized_shape", normalized_shape)
        check_number("LayerNorm", "eps", eps, lambda eps: eps > 0, "positive")
        check_flag("LayerNorm", "elementwise_affine", elementwise_affine)
        check_flag("LayerNorm", "bias", bias)
        dtype = check_dtype("LayerNorm", dtype)
        self.eps = eps
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Array) -> Array:
        """Standardize ``(..., *normalized_shape)``."""
        x = in_dtype_of(self.weight, "layer_norm", x)
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def _arguments(self) -> str:
        affine = "" if self.weight is not None else ", elementwise_affine=False"
        bias = ", bias=False" if self.bias is None and self.weight is not None else ""
        return f"{self.normalized_shape}, eps={self.eps}{affine}{bias}"


class Embedding(Module):
    """Table of vectors that are looked up by integers; see `functional.embedding`.

    Args:
        num_embeddings: K, the number of vectors.
        embedding_dim: D, the length of each.
        padding_idx: the index whose vector is zeros at first and learns nothing, or None; a negative one counts from
            the end.
        rng: a Generator or a seed for the vectors, which begin as standard normal numbers.
        dtype: of the vectors.

    Raises:
        IndexError: ``padding_idx`` is out of range.
        TypeError: a size or ``padding_idx`` is not an integer, or the dtype not floating-point.
        ValueError: a size is not positive.

    Example:
        >>> nn.Embedding(10, 3, rng=0)(np.array([[1, 2, 1, 9]])).shape
        (1, 4, 3)
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    weight: Parameter  # (num_embeddings, embedding_dim)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: Seed = None,
        dtype: Any = np.float32,
    ) -> None:
        check_count("Embedding", "num_embeddings", num_embeddings)
        check_count("Embedding", "embedding_dim", embedding_dim)
        vectors = drawn(generator(rng).standard_normal, (num_embeddings, embedding_dim))
        if padding_idx is not None:
            check_padding("Embedding", padding_idx, num_embeddings)
            vectors[padding_idx] = 0
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(vectors, dtype=check_dtype("Embedding", dtype))

    def forward(self, indices: Array) -> ad.Tensor:
        """Map integers of any shape to ``(*shape, embedding_dim)``."""
        out: ad.Tensor = functional.embedding(indices, self.weight, self.padding_idx)
        return out

    def _arguments(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class MLP(Sequential):
    """Multi-layer perceptron: linear layers with an activation, and perhaps dropout, between them.

    The first weights suit the activation: He's for "relu" and its like, Glorot's for the others and for functions of
    your own, times `init.gain` for "tanh" and "hardtanh".

    Args:
        sizes: features of the input, of each hidden layer and of the output.
        activation: after each layer but the last: "relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu",
            "softplus", "log_sigmoid", "hardtanh", "softmax" or "log_softmax", with its defaults; a Module such as
            ``nn.LeakyReLU(0.2)``, which then stands in all places; a class of them; or a function of one array.
        dropout: probability of `Dropout` after each activation; none at 0.
        rng: a Generator or a seed for weights and dropout.
        dtype: of the parameters.

    Raises:
        TypeError: the sizes are no list of integers, the activation is none, dropout no number, or the dtype not
            floating-point.
        ValueError: there are fewer than two sizes, a size is not positive, the activation is unknown, or dropout is not
            a probability below 1.

    Example:
        >>> nn.MLP([64, 32, 10], activation="relu", rng=0)
        MLP(64 → 32 → 10): 2,410 parameters
          layers.0: Linear(64, 32): weight (64, 32), bias (32,), 2,080 parameters
          layers.1: ReLU()
          layers.2: Linear(32, 10): weight (32, 10), bias (10,), 330 parameters
    """

    sizes: tuple[int, ...]

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Activation | Module | type[Module] | Callable[[Any], Any] = "relu",
        *,
        dropout: float = 0.0,
        rng: Seed = None,
        dtype: Any = np.float32,
    ) -> None:
        if not isinstance(sizes, Sequence | np.ndarray) or isinstance(sizes, str | bytes):
            raise TypeError(f"MLP: sizes must be a list, as in [64, 32, 10], got {sizes!r}")
        if len(sizes) < 2:
            raise ValueError(f"MLP: sizes need an input and an output, as in [64, 32, 10], got {sizes!r}")
        for size in sizes:
            check_count("MLP", "a layer's size", size)
        name, make = named("MLP", activation)
        check_probability("MLP", dropout)
        rng = generator(rng)
        layers: list[Module] = []
        *hidden, last = itertools.pairwise(sizes)
        for fan_in, fan_out in hidden:
            layers += [
                Linear(fan_in, fan_out, nonlinearity=_SUITS.get(name, "relu"), rng=rng, dtype=dtype),
                make(),
            ]
            if dropout:
                layers.append(Dropout(dropout, rng=rng))
        super().__init__(*layers, Linear(*last, rng=rng, dtype=dtype))
        self.sizes = tuple(sizes)

    def forward(self, x: Array) -> ad.Tensor:
        """Map ``(..., sizes[0])`` to ``(..., sizes[-1])``."""
        out: ad.Tensor = super().forward(x)
        return out

    def _arguments(self) -> str:
        return " → ".join(map(str, self.sizes))
