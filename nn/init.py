"""Initial weights: arrays of random numbers whose variance keeps signals alive through the layers.

Of a complex dtype, the real and the imaginary part are drawn alike, each with half the variance: Trabelsi et al., Deep
complex networks (2018), section 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from autodiff.batching.array import drawn
from autodiff.core.rule import Array
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
