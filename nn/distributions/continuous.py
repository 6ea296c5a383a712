"""Continuous distributions of numbers whose densities are written in functions of NumPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.arrays.whole import require
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn.distributions.base import Distribution, needing_scipy
from nn.init import Seed

LOG_ROOT_TWO_PI = math.log(2 * math.pi) / 2


class Continuous(Distribution):
    """A distribution with a density, on an interval."""

    _low: Array = -math.inf
    _high: Array = math.inf

    def _supports(self, value: Array) -> Array:
        return (value >= data_of(self._low)) & (value <= data_of(self._high))

    @property
    def stddev(self) -> Array:
        """Square root of the variance; of shape ``batch_shape``."""
        return np.sqrt(self.variance)

    @property
    def variance(self) -> Array:
        """Expected squared distance from the mean; of shape ``batch_shape``."""
        return np.square(self.stddev)

    def _distance(self, point: Array) -> Array:
        """Give the expected distance of a sample from a point, or NotImplemented where no closed form is known."""
        return NotImplemented

    def _infinite_outside(self, p: Continuous, divergence: Array) -> Array:
        """Give a divergence of ``p``, and infinity where ``p`` has samples that this distribution cannot have."""
        too_low = np.less(data_of(p._low), data_of(self._low))
        too_high = np.greater(data_of(p._high), data_of(self._high))
        return np.where(too_low | too_high, np.inf, divergence)


class LocationScale(Continuous):
    """A distribution on all real numbers, of ``loc + scale ε``, where ε has a mean of zero."""

    loc: Array
    scale: Array
    domain = "real numbers"

    def __init__(self, loc: Array, scale: Array, **shapes: Array) -> None:
        super().__init__(**shapes, loc=loc, scale=scale)
        *_, self.loc, self.scale = self._parameters.values()
        self._demand("scale", data_of(self.scale) > 0, "positive")

    @property
    def mean(self) -> Array:
        """Expected value ``loc``."""
        return self._whole(self.loc)


class Normal(LocationScale):
    """Normal distribution of mean ``loc`` and standard deviation ``scale``.

    Density ``exp(-(x - loc)² / (2 scale²)) / (scale √(2π))``;
    Goodfellow, Bengio and Courville, Deep Learning (2016), section 3.9.3.

    Args:
        loc: real numbers, of a shape that broadcasts with that of ``scale``.
        scale: positive.

    Raises:
        TypeError: a parameter is not real numbers.
        ValueError: ``scale`` is not positive, a parameter is NaN, or the shapes do not broadcast.

    Example:
        >>> p = nn.distributions.Normal(np.array([0.0, 1.0]), 2.0)
        >>> p.log_prob(1.0).round(6)
        array([-1.737086, -1.612086])
        >>> p.cdf(1.0).round(6)
        array([0.691462, 0.5     ])
        >>> scale = ad.Tensor(2.0)
        >>> nn.distributions.Normal(0.0, scale).log_prob(3.0).backward()
        >>> float(scale.grad)
        0.625
    """

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density; see `Distribution.log_prob`."""
        z = (self._value("log_prob", value) - self.loc) / self.scale
        return -z * z / 2 - np.log(self.scale) - LOG_ROOT_TWO_PI

    def cdf(self, value: Array) -> Array:
        """Probability of a smaller sample, ``(1 + erf((x - loc) / (scale √2))) / 2``; see `Distribution.cdf`.

        Raises:
            ImportError: SciPy, which has the error function, is not installed.
        """
        special, _ = needing_scipy("the cdf of a Normal")
        return special.ndtr((self._value("cdf", value) - self.loc) / self.scale)

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw ``loc + scale ε``, ε standard normal; see `Distribution.rsample`."""
        return self.loc + self.scale * self._drawn("standard_normal", shape, rng).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy ``log(scale √(2πe))``; see `Distribution.entropy`."""
        return self._whole(np.log(self.scale) + (0.5 + LOG_ROOT_TWO_PI))

    @property
    def stddev(self) -> Array:
        """Standard deviation ``scale``."""
        return self._whole(self.scale)

    def _distance(self, point: Array) -> Array:
        # The mean of the folded normal distribution: Leone, Nelson and Nottingham (1961)
        special, _ = needing_scipy("the divergence of a Normal from a Laplace")
        z = (self.loc - point) / self.scale
        return self.scale * (math.sqrt(2 / math.pi) * np.exp(-z * z / 2) + z * (2 * special.ndtr(z) - 1))

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, Continuous):
            return NotImplemented
        spread, shift = p.stddev / self.scale, (p.mean - self.loc) / self.scale
        divergence = (spread * spread + shift * shift) / 2 + np.log(self.scale) + LOG_ROOT_TWO_PI - p.entropy()
        return np.where(np.isnan(data_of(spread)), np.inf, divergence)  # of heavy tails, which have no variance


class Laplace(LocationScale):
    """Laplace distribution, of density ``exp(-|x - loc| / scale) / (2 scale)``.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 3.9.4. Arguments and errors are those of `Normal`.

    Example:
        >>> p = nn.distributions.Laplace(0.0, 1.0)
        >>> p.log_prob(np.array([0.0, 1.0])).round(6), p.cdf(np.array([0.0, 1.0])).round(6)
        (array([-0.693147, -1.693147]), array([0.5    , 0.81606]))
    """

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density; see `Distribution.log_prob`."""
        value = self._value("log_prob", value)
        return -np.abs(value - self.loc) / self.scale - np.log(2 * self.scale)

    def cdf(self, value: Array) -> Array:
        """Probability of a smaller sample, ``exp(-|x - loc| / scale) / 2``, or one minus it; see `Distribution.cdf`."""
        z = (self._value("cdf", value) - self.loc) / self.scale
        below = data_of(z) < 0
        tail = np.exp(np.where(below, z, -z)) / 2
        return np.where(below, tail, 1 - tail)

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw ``loc + scale ε``, ε of loc 0 and scale 1; see `Distribution.rsample`."""
        return self.loc + self.scale * self._drawn("laplace", shape, rng).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy ``1 + log(2 scale)``; see `Distribution.entropy`."""
        return self._whole(np.log(2 * self.scale) + 1)

    @property
    def stddev(self) -> Array:
        """Standard deviation ``√2 scale``."""
        return self._whole(math.sqrt(2) * self.scale)

    def _distance(self, point: Array) -> Array:
        distance = np.abs(self.loc - point)
        return distance + self.scale * np.exp(-distance / self.scale)

    def _divergence_from(self, p: Distribution) -> Array:
        distance = p._distance(self.loc) if isinstance(p, Continuous) else NotImplemented
        if distance is NotImplemented:
            return NotImplemented
        return distance / self.scale + np.log(2 * self.scale) - p.entropy()


class Uniform(Continuous):
    """Uniform distribution, of density ``1 / (high - low)`` from ``low`` up to, but not including, ``high``.

    Args:
        low: real numbers, of a shape that broadcasts with that of ``high``.
        high: larger than ``low``. It is a valid value, of density zero.

    Raises:
        TypeError: a parameter is not real numbers.
        ValueError: ``low`` is not below ``high``, a parameter is NaN, or the shapes do not broadcast.

    Example:
        >>> p = nn.distributions.Uniform(0.0, 4.0)
        >>> p.log_prob(np.array([1.0, 4.0])).round(6), float(p.cdf(1.0))
        (array([-1.386294,      -inf]), 0.25)
    """

    low: Array
    high: Array
    domain = "from low to high"

    def __init__(self, low: Array, high: Array) -> None:
        super().__init__(low=low, high=high)
        self.low, self.high = self._parameters.values()
        low, high = np.broadcast_arrays(data_of(self.low), data_of(self.high))
        require(low < high, ValueError, "Uniform: low must be below high, got low={} and high={}", low, high)

    @property
    def _low(self) -> Array:
        return self.low

    @property
    def _high(self) -> Array:
        return self.high

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density; see `Distribution.log_prob`."""
        value = self._value("log_prob", value)
        return np.where(data_of(value) < data_of(self.high), -np.log(self.high - self.low), -np.inf)

    def cdf(self, value: Array) -> Array:
        """Probability of a smaller sample, ``(x - low) / (high - low)``; see `Distribution.cdf`."""
        return (self._value("cdf", value) - self.low) / (self.high - self.low)

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw ``low + (high - low) ε``, ε uniform from 0 to 1; see `Distribution.rsample`."""
        # Single precision is drawn as such: numbers just below 1 would be rounded to 1.
        precision: Any = np.float32 if self.dtype.itemsize <= 4 else np.float64
        noise = self._drawn("random", shape, rng, dtype=precision)
        return self.low + (self.high - self.low) * noise.astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy ``log(high - low)``; see `Distribution.entropy`."""
        return np.log(self.high - self.low)

    @property
    def mean(self) -> Array:
        """Expected value ``(low + high) / 2``."""
        return (self.low + self.high) / 2

    @property
    def stddev(self) -> Array:
        """Standard deviation ``(high - low) / √12``."""
        return (self.high - self.low) / math.sqrt(12)

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, Continuous):
            return NotImplemented
        return self._infinite_outside(p, np.log(self.high - self.low) - p.entropy())


class Exponential(Continuous):
    """Exponential distribution, of density ``rate exp(-rate x)`` for ``x`` from 0 on.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 3.9.4.

    Args:
        rate: positive, of any shape.

    Raises:
        TypeError: the rate is not real numbers.
        ValueError: the rate is not positive.

    Example:
        >>> p = nn.distributions.Exponential(2.0)
        >>> float(p.log_prob(1.0).round(6)), float(p.cdf(1.0).round(6)), float(p.mean)
        (-1.306853, 0.864665, 0.5)
    """

    rate: Array
    domain = "at least 0"
    _low = 0.0

    def __init__(self, rate: Array) -> None:
        super().__init__(rate=rate)
        (self.rate,) = self._parameters.values()
        self._demand("rate", data_of(self.rate) > 0, "positive")

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density; see `Distribution.log_prob`."""
        return np.log(self.rate) - self.rate * self._value("log_prob", value)

    def cdf(self, value: Array) -> Array:
        """Probability of a smaller sample, ``1 - exp(-rate x)``; see `Distribution.cdf`."""
        return -np.expm1(-self.rate * self._value("cdf", value))

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw ``ε / rate``, ε of rate 1; see `Distribution.rsample`."""
        return self._drawn("standard_exponential", shape, rng).astype(self.dtype) / self.rate

    def entropy(self) -> Array:
        """Entropy ``1 - log(rate)``; see `Distribution.entropy`."""
        return 1 - np.log(self.rate)

    @property
    def mean(self) -> Array:
        """Expected value ``1 / rate``."""
        return 1 / self.rate

    @property
    def stddev(self) -> Array:
        """Standard deviation ``1 / rate``."""
        return 1 / self.rate

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, Continuous):
            return NotImplemented
        return self._infinite_outside(p, self.rate * p.mean - np.log(self.rate) - p.entropy())
