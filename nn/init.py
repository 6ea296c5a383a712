"""Initial weights: arrays of random numbers whose variance keeps signals alive through the layers.

Of a complex dtype, the real and the imaginary part are drawn alike, each with half the variance: Trabelsi et al., Deep
complex networks (2018), section 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import autodiff as ad
from autodiff.batching.array import drawn
from autodiff.core.rule import Array
from autodiff.elsewhere import absent
from nn.checks import check_choice, check_dtype, check_number

Seed = np.random.Generator | int | None

Nonlinearity = Literal["linear", "sigmoid", "tanh", "relu"]

_GAINS: dict[Nonlinearity, float] = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2.0)}


def generator(rng: Seed) -> np.random.Generator:
    """Give the Generator that ``rng`` is, or the one that it seeds; None seeds from the operating system.

    Raises:
        TypeError: ``rng`` is neither a Generator nor a seed.
        ValueError: a seed is negative.
    """
    if isinstance(rng, bool) or not (rng is None or isinstance(rng, int | np.integer | np.random.Generator)):
        raise TypeError(f"rng must be a numpy.random.Generator, an integer seed or None, got {rng!r}")
    if isinstance(rng, int | np.integer) and rng < 0:
        raise ValueError(f"rng: a seed must not be negative, got {rng}")
    return np.random.default_rng(rng)


def gain(nonlinearity: Nonlinearity) -> float:
    """Give the factor by which weights before a nonlinearity are scaled, to make up for what it takes away.

    That of "relu", √2, is He et al.'s (2015), equation 10; that of "tanh", 5/3, is PyTorch's, found by experiment.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh" or "relu".

    Raises:
        TypeError: the nonlinearity is no text.
        ValueError: it is unknown.

    Example:
        >>> round(nn.init.gain("relu"), 4)
        1.4142
    """
    check_choice("gain", "nonlinearity", nonlinearity, _GAINS)
    return _GAINS[nonlinearity]


def xavier_uniform(shape: tuple[int, int], *, gain: float = 1.0, rng: Seed = None, dtype: Any = np.float32) -> Array:
    """Draw weights uniformly from ``±gain sqrt(6 / (fan_in + fan_out))``.

    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks (2010), equation 16.

    Args:
        shape: ``(fan_in, fan_out)``.
        gain: see `gain`.
        rng: a Generator or a seed.
        dtype: of the result.

    Raises:
        TypeError: the shape is not a pair of integers, the gain no number, or the dtype not floating-point or
            complex.
        ValueError: the shape is not two positive integers, or the gain is not finite.

    Example:
        >>> nn.init.xavier_uniform((2, 3), rng=0).shape
        (2, 3)
    """
    return _uniform(shape, _scaled(gain, 6 / sum(_fans(shape))), rng, dtype)


def xavier_normal(shape: tuple[int, int], *, gain: float = 1.0, rng: Seed = None, dtype: Any = np.float32) -> Array:
    """Draw weights from a normal distribution of standard deviation ``gain sqrt(2 / (fan_in + fan_out))``.

    Arguments and source are those of `xavier_uniform`.
    """
    return _normal(shape, _scaled(gain, 2 / sum(_fans(shape))), rng, dtype)


def kaiming_uniform(
    shape: tuple[int, int], *, gain: float = _GAINS["relu"], rng: Seed = None, dtype: Any = np.float32
) -> Array:
    """Draw weights uniformly from ``±gain sqrt(3 / fan_in)``.

    He et al., Delving deep into rectifiers (2015), equation 10. Arguments are those of `xavier_uniform`.

    Example:
        >>> bool(abs(nn.init.kaiming_uniform((6, 100), rng=0)).max() <= 1)
        True
    """
    return _uniform(shape, _scaled(gain, 3 / _fans(shape)[0]), rng, dtype)


def kaiming_normal(
    shape: tuple[int, int], *, gain: float = _GAINS["relu"], rng: Seed = None, dtype: Any = np.float32
) -> Array:
    """Draw weights from a normal distribution of standard deviation ``gain / sqrt(fan_in)``.

    Arguments and source are those of `kaiming_uniform`.
    """
    return _normal(shape, _scaled(gain, 1 / _fans(shape)[0]), rng, dtype)


# In place, as PyTorch has them


def xavier_uniform_(tensor: ad.Tensor, gain: float = 1.0, *, rng: Seed = None) -> ad.Tensor:
    """Give a weight, which is returned, the numbers that `xavier_uniform` draws for its shape and dtype.

    The other arguments and the errors are those of `xavier_uniform`.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> nn.init.xavier_uniform_(layer.weight, gain=nn.init.gain("relu"), rng=0) is layer.weight
        True
    """
    return _drawn(xavier_uniform, tensor, gain, rng)


def xavier_normal_(tensor: ad.Tensor, gain: float = 1.0, *, rng: Seed = None) -> ad.Tensor:
    """Give a weight the numbers that `xavier_normal` draws; see `xavier_uniform_`."""
    return _drawn(xavier_normal, tensor, gain, rng)


def kaiming_uniform_(
    tensor: ad.Tensor,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: Nonlinearity | Literal["leaky_relu"] = "leaky_relu",
    *,
    rng: Seed = None,
) -> ad.Tensor:
    """Give a weight, which is returned, the numbers that `kaiming_uniform` draws for its shape and dtype.

    Args:
        tensor: the weight, of shape ``(fan_in, fan_out)``.
        a: the slope for negative numbers of "leaky_relu", the gain before which is ``sqrt(2 / (1 + a²))``.
        mode: whether the variance is kept on the way forward, "fan_in", or back, "fan_out".
        nonlinearity: what follows: "leaky_relu", or one of `gain`.
        rng: a Generator or a seed.

    Raises:
        TypeError: the weight is no Tensor, or not floating-point or complex, ``a`` no number, or a name no text.
        ValueError: the shape is not two positive integers, ``a`` is not finite, or a name is unknown.

    Example:
        >>> layer = nn.Linear(6, 100)
        >>> bool(np.abs(nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", rng=0).data).max() <= 1)
        True
    """
    return _kaiming(kaiming_uniform, tensor, a, mode, nonlinearity, rng)


def kaiming_normal_(
    tensor: ad.Tensor,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: Nonlinearity | Literal["leaky_relu"] = "leaky_relu",
    *,
    rng: Seed = None,
) -> ad.Tensor:
    """Give a weight the numbers that `kaiming_normal` draws; arguments and errors are those of `kaiming_uniform_`."""
    return _kaiming(kaiming_normal, tensor, a, mode, nonlinearity, rng)


def uniform_(tensor: ad.Tensor, a: float = 0.0, b: float = 1.0, *, rng: Seed = None) -> ad.Tensor:
    """Give a Tensor numbers that are drawn evenly from ``a`` to ``b``; see `constant_`."""
    check_number("uniform_", "a", a, lambda a: True, "finite")
    check_number("uniform_", "b", b, lambda b: b >= a, "finite, and at least a")
    return _filled("uniform_", tensor, lambda: generator(rng).uniform(a, b, tensor.shape))


def normal_(tensor: ad.Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Seed = None) -> ad.Tensor:
    """Give a Tensor numbers that are drawn from a normal distribution; see `constant_`."""
    check_number("normal_", "mean", mean, lambda mean: True, "finite")
    check_number("normal_", "std", std, lambda std: std >= 0, "at least 0")
    return _filled("normal_", tensor, lambda: generator(rng).normal(mean, std, tensor.shape))


def constant_(tensor: ad.Tensor, val: float) -> ad.Tensor:
    """Give a Tensor of any shape, which keeps its dtype and is returned, the same number everywhere.

    Raises:
        TypeError: it is no Tensor, or not floating-point or complex, or the number none.
        ValueError: the number is not finite.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> nn.init.constant_(layer.bias, 0.5).data
        array([0.5, 0.5, 0.5], dtype=float32)
    """
    check_number("constant_", "val", val, lambda val: True, "finite")
    return _filled("constant_", tensor, lambda: np.full(tensor.shape, val))


def zeros_(tensor: ad.Tensor) -> ad.Tensor:
    """Give a Tensor zeros; see `constant_`."""
    return constant_(tensor, 0.0)


def ones_(tensor: ad.Tensor) -> ad.Tensor:
    """Give a Tensor ones; see `constant_`."""
    return constant_(tensor, 1.0)


def _kaiming(
    draw: Callable[..., Array], tensor: ad.Tensor, a: float, mode: str, nonlinearity: Any, rng: Seed
) -> ad.Tensor:
    caller = f"{draw.__name__}_"
    check_number(caller, "a", a, lambda a: True, "finite")
    check_choice(caller, "mode", mode, ("fan_in", "fan_out"))
    check_choice(caller, "nonlinearity", nonlinearity, ("leaky_relu", *_GAINS))
    scale = math.sqrt(2 / (1 + a * a)) if nonlinearity == "leaky_relu" else gain(nonlinearity)

    if mode == "fan_out" and isinstance(tensor, ad.Tensor):
        shape: Any = tensor.shape
        fan_in, fan_out = _fans(shape)
        scale *= math.sqrt(fan_in / fan_out)
    return _drawn(draw, tensor, scale, rng)


def _drawn(draw: Callable[..., Array], tensor: ad.Tensor, gain: float, rng: Seed) -> ad.Tensor:
    return _filled(f"{draw.__name__}_", tensor, lambda: draw(tensor.shape, gain=gain, rng=rng, dtype=tensor.dtype))


def _filled(caller: str, tensor: Any, numbers: Callable[[], Array]) -> ad.Tensor:
    """Put numbers into a Tensor, in its dtype, and give it."""
    if not isinstance(tensor, ad.Tensor):
        raise TypeError(f"{caller}: expected a Tensor, such as layer.weight, got {tensor!r}")
    check_dtype(caller, tensor.dtype, "fc")
    tensor.data = np.asarray(numbers()).astype(tensor.dtype)
    return tensor


def _fans(shape: tuple[int, int]) -> tuple[int, int]:
    problem = f"weights have the shape (fan_in, fan_out), both positive integers, got {shape!r}"
    if not isinstance(shape, list | tuple) or not all(
        isinstance(fan, int | np.integer) and not isinstance(fan, bool) for fan in shape
    ):
        raise TypeError(problem)
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(problem)
    return shape


def _scaled(gain: float, square: float) -> float:
    check_number("initial weights", "gain", gain, lambda gain: True, "finite")
    return gain * math.sqrt(square)


def _uniform(shape: tuple[int, int], bound: float, rng: Seed, dtype: Any) -> Array:
    rng = generator(rng)
    return _of_dtype(lambda: drawn(lambda size: rng.uniform(-bound, bound, size), shape), dtype)


def _normal(shape: tuple[int, int], deviation: float, rng: Seed, dtype: Any) -> Array:
    rng = generator(rng)
    return _of_dtype(lambda: deviation * drawn(rng.standard_normal, shape), dtype)


def _of_dtype(draw: Callable[[], Array], dtype: Any) -> Array:
    dtype = check_dtype("initial weights", dtype, "fc")
    numbers = draw()
    return (numbers if dtype.kind == "f" else (numbers + 1j * draw()) / math.sqrt(2)).astype(dtype)


if not TYPE_CHECKING:  # or checkers took every name for one of these
    __getattr__ = absent(__name__)
