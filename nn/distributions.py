"""Probability distributions: densities, samples, entropies and divergences that gradients flow through.

Parameters and values are numbers, lists, arrays or Tensors and broadcast against each other. What is computed from a
Tensor is a Tensor, whose gradient reaches the parameters and the value; all else is arrays. Numbers and lists take the
dtype of the parameters that are arrays, and float64 where none is. Values outside the support are refused, as PyTorch's
``torch.distributions`` does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.arrays.whole import require
from autodiff.batching.array import drawn
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn import functional
from nn.checks import check_count, check_real, has_dtype
from nn.init import Seed, generator

_LOG_ROOT_TWO_PI = math.log(2 * math.pi) / 2


class Distribution:
    """What all distributions share; a subclass defines its parameters, density, samples and moments.

    Attributes:
        batch_shape: what the parameters broadcast to; a single sample has this shape.
        dtype: of the parameters, to which they were brought together.
    """

    batch_shape: tuple[int, ...]
    dtype: Any
    domain: str  # which values the distribution can take, in words
    _parameters: dict[str, Array]  # by name

    def __init__(self, **parameters: Array) -> None:
        kind = type(self).__name__
        arrays = {name: check_real(kind, name, value) for name, value in parameters.items()}
        # NumPy lets a Python number take the dtype of the arrays beside it.
        dtypes = [value if isinstance(value, int | float) else arrays[name].dtype for name, value in parameters.items()]
        self.dtype = np.result_type(0.0, *dtypes)
        self._parameters = {name: x if x.dtype == self.dtype else x.astype(self.dtype) for name, x in arrays.items()}
        for name, x in self._parameters.items():
            self._demand(name, ~np.isnan(data_of(x)), "real numbers")
        shapes = [x.shape for x in arrays.values()]
        try:
            self.batch_shape = np.broadcast_shapes(*shapes)
        except ValueError:
            listed = " and ".join(f"{name} of shape {shape}" for name, shape in zip(parameters, shapes))
            raise ValueError(f"{kind}: {listed} do not broadcast to one shape") from None

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the probability, or of its density, at a value.

        Args:
            value: of a shape that broadcasts with ``batch_shape``.

        Returns:
            Of the shape that both broadcast to.

        Raises:
            TypeError: the value is not real numbers.
            ValueError: it lies outside the support, or its shape does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} must define log_prob")

    def cdf(self, value: Array) -> Array:
        """Probability of a sample that is not larger than a value; shapes and errors are those of `log_prob`.

        Raises:
            NotImplementedError: the distribution is discrete.
        """
        raise NotImplementedError(f"{type(self).__name__} has no cdf: add up the probabilities of its values")

    def sample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw samples: an array of shape ``shape + batch_shape``, of the distribution's dtype, without gradient.

        Args:
            shape: how many samples; by default one.
            rng: a Generator or a seed.

        Raises:
            RuntimeError: under `ad.vmap`, ``randomness`` does not say whether members share their numbers.
            TypeError: the shape is not integers, or ``rng`` neither a Generator nor a seed.
            ValueError: a length, or a seed, is negative.
        """
        with ad.no_grad():
            return data_of(self.rsample(shape, rng))

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw samples as `sample` does, as a function of the parameters, to which gradients flow back.

        Kingma and Welling, Auto-encoding variational Bayes (2013), section 2.4: random numbers that do not depend on
        the parameters are transformed by the parameters.

        Raises:
            NotImplementedError: the distribution is discrete.
        """
        raise NotImplementedError(
            f"{type(self).__name__}.rsample: a discrete sample has no gradient; use sample, and log_prob of the sample"
        )

    def entropy(self) -> Array:
        """Expected value of ``-log_prob``, in nats; of shape ``batch_shape``."""
        raise NotImplementedError(f"{type(self).__name__} must define entropy")

    @property
    def mean(self) -> Array:
        """Expected value; of shape ``batch_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def variance(self) -> Array:
        """Expected squared distance from the mean; of shape ``batch_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    def __repr__(self) -> str:
        listed = ", ".join(f"{name}={value!r}" for name, value in self._parameters.items())
        return f"{type(self).__name__}({listed})"

    def _demand(self, name: str, inside: Array, domain: str) -> None:
        """Refuse a parameter that has elements outside its domain."""
        message = f"{type(self).__name__}: {name} must be {domain}, got {{}}"
        require(inside, ValueError, message, data_of(self._parameters[name]))

    def _supports(self, value: Array) -> Array:
        """Say for each element of an array whether the distribution can take it."""
        raise NotImplementedError

    def _value(self, method: str, value: Array) -> Array:
        """Give a value as an array or Tensor, if the distribution can take it."""
        caller = f"{type(self).__name__}.{method}"
        array = check_real(caller, "the value", value)
        if not has_dtype(value) or array.dtype.kind != "f":
            array = array.astype(self.dtype)
        try:
            shape = np.broadcast_shapes(array.shape, self.batch_shape)
        except ValueError:
            raise ValueError(
                f"{caller}: a value of shape {array.shape} does not broadcast with parameters of shape "
                f"{self.batch_shape}"
            ) from None
        inside = np.broadcast_to(self._supports(data_of(array)), shape)
        require(inside, ValueError, f"{caller}: the value must be {self.domain}, got {{}}", data_of(array))
        return array

    def _whole(self, x: Array) -> Array:
        """Broadcast what was computed from some of the parameters to the shape of all."""
        return x if np.shape(x) == self.batch_shape else np.broadcast_to(x, self.batch_shape)

    def _shape(self, shape: int | tuple[int, ...]) -> tuple[int, ...]:
        """Give the shape of samples."""
        counts = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
        for count in counts:
            check_count(type(self).__name__, "the shape of samples, or each length in it,", count, 0)
        return counts + self.batch_shape

    def _drawn(self, method: str, shape: int | tuple[int, ...], rng: Seed, **options: Any) -> Array:
        """Draw random numbers for samples, by a method of the generator; in a batch as is said there."""
        draw = getattr(generator(rng), method)
        return drawn(lambda size: draw(size=size, **options), self._shape(shape))

    def _divergence_from(self, p: Distribution) -> Array:
        """Give the divergence of ``p`` from this distribution, or NotImplemented where no closed form is known."""
        return NotImplemented


class _Continuous(Distribution):
    """A distribution with a density, on an interval."""

    _low: Array = -math.inf
    _high: Array = math.inf

    def _supports(self, value: Array) -> Array:
        return (value >= data_of(self._low)) & (value <= data_of(self._high))

    @property
    def stddev(self) -> Array:
        """Square root of the variance; of shape ``batch_shape``."""
        raise NotImplementedError

    @property
    def variance(self) -> Array:
        """Expected squared distance from the mean; of shape ``batch_shape``."""
        return np.square(self.stddev)

    def _distance(self, point: Array) -> Array:
        """Give the expected distance of a sample from a point, or NotImplemented where no closed form is known."""
        return NotImplemented

    def _infinite_outside(self, p: _Continuous, divergence: Array) -> Array:
        """Give a divergence of ``p``, and infinity where ``p`` has samples that this distribution cannot have."""
        too_low = np.less(data_of(p._low), data_of(self._low))
        too_high = np.greater(data_of(p._high), data_of(self._high))
        return np.where(too_low | too_high, np.inf, divergence)


class _LocationScale(_Continuous):
    """A distribution on all real numbers, of ``loc + scale ε``, where ε has a mean of zero."""

    loc: Array
    scale: Array
    domain = "real numbers"

    def __init__(self, loc: Array, scale: Array) -> None:
        super().__init__(loc=loc, scale=scale)
        self.loc, self.scale = self._parameters.values()
        self._demand("scale", data_of(self.scale) > 0, "positive")

    @property
    def mean(self) -> Array:
        """Expected value ``loc``."""
        return self._whole(self.loc)


class Normal(_LocationScale):
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
        return -z * z / 2 - np.log(self.scale) - _LOG_ROOT_TWO_PI

    def cdf(self, value: Array) -> Array:
        """Probability of a smaller sample, ``(1 + erf((x - loc) / (scale √2))) / 2``; see `Distribution.cdf`.

        Raises:
            ImportError: SciPy, which has the error function, is not installed.
        """
        return _normal_cdf((self._value("cdf", value) - self.loc) / self.scale)

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw ``loc + scale ε``, ε standard normal; see `Distribution.rsample`."""
        return self.loc + self.scale * self._drawn("standard_normal", shape, rng).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy ``log(scale √(2πe))``; see `Distribution.entropy`."""
        return self._whole(np.log(self.scale) + (0.5 + _LOG_ROOT_TWO_PI))

    @property
    def stddev(self) -> Array:
        """Standard deviation ``scale``."""
        return self._whole(self.scale)

    def _distance(self, point: Array) -> Array:
        # The mean of the folded normal distribution: Leone, Nelson and Nottingham (1961)
        z = (self.loc - point) / self.scale
        return self.scale * (math.sqrt(2 / math.pi) * np.exp(-z * z / 2) + z * (2 * _normal_cdf(z) - 1))

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, _Continuous):
            return NotImplemented
        spread, shift = p.stddev / self.scale, (p.mean - self.loc) / self.scale
        return (spread * spread + shift * shift) / 2 + np.log(self.scale) + _LOG_ROOT_TWO_PI - p.entropy()


class Laplace(_LocationScale):
    """Laplace distribution, of density ``exp(-|x - loc| / scale) / (2 scale)``.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 3.9.4.

    Args:
        loc: real numbers, of a shape that broadcasts with that of ``scale``.
        scale: positive.

    Raises:
        TypeError: a parameter is not real numbers.
        ValueError: ``scale`` is not positive, a parameter is NaN, or the shapes do not broadcast.

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
        distance = p._distance(self.loc) if isinstance(p, _Continuous) else NotImplemented
        if distance is NotImplemented:
            return NotImplemented
        return distance / self.scale + np.log(2 * self.scale) - p.entropy()


class Uniform(_Continuous):
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
        if not isinstance(p, _Continuous):
            return NotImplemented
        return self._infinite_outside(p, np.log(self.high - self.low) - p.entropy())


class Exponential(_Continuous):
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
        if not isinstance(p, _Continuous):
            return NotImplemented
        return self._infinite_outside(p, self.rate * p.mean - np.log(self.rate) - p.entropy())


class _Discrete(Distribution):
    """A distribution on whole numbers, given by probabilities or by logits."""

    _probs: Array
    _logits: Array

    def __init__(self, probs: Array, logits: Array) -> None:
        if (probs is None) == (logits is None):
            got = "neither" if probs is None else "both"
            raise ValueError(f"{type(self).__name__}: give either probs or logits, got {got}")
        super().__init__(**({"logits": logits} if probs is None else {"probs": probs}))
        self._probs = self._parameters.get("probs")
        self._logits = self._parameters.get("logits")


class Bernoulli(_Discrete):
    """Distribution of a variable that is 1 with a probability, and else 0.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 3.9.1. Logits keep their precision however large
    they are; probabilities count as at least the dtype's resolution away from 0 and 1 in `log_prob`, as in PyTorch.

    Args:
        probs: probability of 1, from 0 to 1, of any shape; or
        logits: ``log(probs / (1 - probs))``, finite, of any shape.

    Attributes:
        probs: the probabilities, also if logits were given.
        logits: the logits, also if probabilities were given.

    Raises:
        TypeError: the parameter is not real numbers.
        ValueError: both parameters are given or none, a probability is not between 0 and 1, or a logit is not finite.

    Example:
        >>> p = nn.distributions.Bernoulli(logits=np.array([0.0, 1e4]))
        >>> p.log_prob(0).round(6)
        array([-6.93147e-01, -1.00000e+04])
        >>> p.probs, p.sample(3, rng=0)
        (array([0.5, 1. ]), array([[0., 1.], [1., 1.], [0., 1.]]))
    """

    domain = "0 or 1"

    def __init__(self, probs: Array = None, logits: Array = None) -> None:
        super().__init__(probs, logits)
        if logits is None:
            self._demand("probs", (data_of(self._probs) >= 0) & (data_of(self._probs) <= 1), "between 0 and 1")
        else:
            self._demand("logits", np.isfinite(data_of(self._logits)), "finite (for a certain outcome give probs)")

    @property
    def probs(self) -> Array:
        """Probabilities of 1."""
        return functional.sigmoid(self._logits) if self._probs is None else self._probs

    @property
    def logits(self) -> Array:
        """Logarithm of the odds of 1."""
        if self._probs is None:
            return self._logits
        probs = _inner(self._probs)
        return np.log(probs) - np.log1p(-probs)

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the probability; see `Distribution.log_prob`.

        By the value it has the derivative of the straight line between the values at 0 and at 1.
        """
        value = self._value("log_prob", value)
        log_no, log_yes = self._log_probs()
        return value * log_yes + (1 - value) * log_no

    def sample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw zeros and ones, of the distribution's dtype; see `Distribution.sample`."""
        return (self._drawn("random", shape, rng) < data_of(self.probs)).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy ``-p log p - (1 - p) log(1 - p)``; see `Distribution.entropy`."""
        (log_no, log_yes), (no, yes) = self._log_probs(), self._both_probs()
        return -(yes * log_yes + no * log_no)

    @property
    def mean(self) -> Array:
        """Expected value ``probs``."""
        return self.probs

    @property
    def variance(self) -> Array:
        """Variance ``probs (1 - probs)``."""
        no, yes = self._both_probs()
        return no * yes

    def _both_probs(self) -> tuple[Array, Array]:
        """Give the probabilities of 0 and of 1, both to full relative precision if logits were given."""
        if self._probs is None:
            return functional.sigmoid(-self._logits), functional.sigmoid(self._logits)
        return 1 - self._probs, self._probs

    def _log_probs(self) -> tuple[Array, Array]:
        """Give the logarithms of the probabilities of 0 and of 1."""
        logits = self.logits
        return functional.log_sigmoid(-logits), functional.log_sigmoid(logits)

    def _supports(self, value: Array) -> Array:
        return (value == 0) | (value == 1)

    def _impossible(self) -> tuple[Array, Array]:
        """Say where 0, and where 1, cannot come; a probability that merely rounds to zero is not meant."""
        if self._probs is None:
            return False, False
        return data_of(self._probs) == 1, data_of(self._probs) == 0

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, Bernoulli):
            return NotImplemented
        no, yes = (
            _share(*of_outcome)
            for of_outcome in zip(
                p._both_probs(), p._log_probs(), self._log_probs(), p._impossible(), self._impossible()
            )
        )
        return no + yes


class Categorical(_Discrete):
    """Distribution of a class from 0 to K - 1, of given probabilities; also called multinoulli.

    Goodfellow, Bengio and Courville, Deep Learning (2016), section 3.9.2. Logits keep their precision however large
    they are; probabilities count as at least the dtype's resolution away from 0 and 1 in `log_prob`, as in PyTorch.

    Args:
        probs: of shape ``(..., K)``, not negative; they are divided by their sum. Or
        logits: of shape ``(..., K)``, logarithms of probabilities up to a constant; ``-inf`` for an impossible class.

    Attributes:
        probs: probabilities that sum to one, also if logits were given.
        logits: logarithms of the probabilities, also if probabilities were given.

    Raises:
        TypeError: the parameter is not real numbers.
        ValueError: both parameters are given or none, there is no class, a probability is negative, all of a row are
            zero, or a logit is NaN or infinite.

    Example:
        >>> p = nn.distributions.Categorical(probs=[1, 1, 2])
        >>> p.probs, p.log_prob([0, 2]).round(6), p.sample(4, rng=0)
        (array([0.25, 0.25, 0.5 ]), array([-1.386294, -0.693147]), array([2, 1, 0, 0]))
    """

    def __init__(self, probs: Array = None, logits: Array = None) -> None:
        super().__init__(probs, logits)
        ((name, table),) = self._parameters.items()
        if table.ndim == 0 or table.shape[-1] == 0:
            raise ValueError(f"Categorical: {name} must have the shape (..., K), one for each class, got {table.shape}")
        self.batch_shape = table.shape[:-1]
        self._classes = table.shape[-1]
        self.domain = f"an integer from 0 to {self._classes - 1}"
        values = data_of(table)
        if name == "probs":
            self._demand(name, (values >= 0) & (values < np.inf), "finite and not negative")
        else:
            self._demand(name, values < np.inf, "numbers or -inf")
        require(
            np.any(values > (0 if name == "probs" else -np.inf), axis=-1),
            ValueError,
            f"Categorical: {name} must leave one class possible, got a row that excludes all",
        )

    @property
    def probs(self) -> Array:
        """Probabilities of the classes, of shape ``(..., K)``."""
        if self._probs is None:
            return functional.softmax(self._logits)
        return self._probs / np.sum(self._probs, axis=-1, keepdims=True)

    @property
    def logits(self) -> Array:
        """Logarithms of the probabilities of the classes, of shape ``(..., K)``."""
        return functional.log_softmax(self._logits) if self._probs is None else np.log(_inner(self.probs))

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the probability of a class; see `Distribution.log_prob`. The class is not differentiated by."""
        labels = data_of(self._value("log_prob", value)).astype(np.intp)
        shape = np.broadcast_shapes(labels.shape, self.batch_shape)
        logits = np.broadcast_to(self.logits, (*shape, self._classes))
        return np.take_along_axis(logits, np.broadcast_to(labels, shape)[..., None], axis=-1)[..., 0]

    def sample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw classes, integers; see `Distribution.sample`."""
        total = np.cumsum(data_of(self.probs), axis=-1, dtype=np.float64)
        # Divided by the last, which thereby is exactly 1 and above every random number
        return np.sum(total / total[..., -1:] <= self._drawn("random", shape, rng)[..., None], axis=-1)

    def entropy(self) -> Array:
        """Entropy ``-sum(probs log(probs))``; see `Distribution.entropy`."""
        return -np.sum(self.probs * _finite(self.logits), axis=-1)

    @property
    def mean(self) -> Array:
        """Refused: classes are names, and names have no mean."""
        raise NotImplementedError("Categorical: classes have no mean; see probs")

    @property
    def variance(self) -> Array:
        """Refused: classes are names, and names have no variance."""
        raise NotImplementedError("Categorical: classes have no variance; see probs and entropy()")

    def _supports(self, value: Array) -> Array:
        return (value >= 0) & (value < self._classes) & (value == np.floor(value))

    def _impossible(self) -> Array:
        """Say which classes cannot come; a probability that merely rounds to zero is not meant."""
        return data_of(self._logits) == -np.inf if self._probs is None else data_of(self._probs) == 0

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, Categorical):
            return NotImplemented
        if p._classes != self._classes:
            raise ValueError(
                f"kl_divergence: a Categorical of {p._classes} classes and one of {self._classes}; they must be as many"
            )
        shares = _share(p.probs, _finite(p.logits), _finite(self.logits), p._impossible(), self._impossible())
        return np.sum(shares, axis=-1)


Multinoulli = Categorical


def kl_divergence(p: Distribution, q: Distribution) -> Array:
    """Kullback-Leibler divergence of ``p`` from ``q``, the expected ``log p(x) - log q(x)`` of a sample of ``p``.

    Goodfellow, Bengio and Courville, Deep Learning (2016), equation 3.50. It is infinite where ``p`` has samples that
    ``q`` cannot have.

    Args:
        p: of the same kind as ``q``; also any continuous distribution with a `Normal`, `Uniform` or `Exponential`
            ``q``, and a `Normal` with a `Laplace` ``q``.
        q: of a ``batch_shape`` that broadcasts with that of ``p``.

    Returns:
        Of the shape that both broadcast to.

    Raises:
        NotImplementedError: no closed form is known for the two kinds.
        TypeError: an argument is no distribution.
        ValueError: the shapes do not fit.

    Example:
        >>> from nn.distributions import Bernoulli, Normal, kl_divergence
        >>> float(kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0)).round(6))
        0.5
        >>> kl_divergence(Bernoulli(probs=[0.5, 0.0]), Bernoulli(probs=[0.25, 0.5])).round(6)
        array([0.143841, 0.693147])
    """
    for argument in (p, q):
        if not isinstance(argument, Distribution):
            raise TypeError(f"kl_divergence: expected two distributions, got {argument!r}")
    kinds = f"{type(p).__name__} of shape {p.batch_shape} and a {type(q).__name__} of shape {q.batch_shape}"
    try:
        np.broadcast_shapes(p.batch_shape, q.batch_shape)
    except ValueError:
        raise ValueError(f"kl_divergence: a {kinds} do not broadcast") from None
    divergence = q._divergence_from(p)
    if divergence is NotImplemented:
        raise NotImplementedError(
            f"kl_divergence: no closed form for a {kinds}; estimate it by the mean of p.log_prob(x) - q.log_prob(x) "
            "over x = p.rsample(1000)"
        )
    return divergence


def _inner(probs: Array) -> Array:
    """Move probabilities away from 0 and 1 by the dtype's resolution, so that logarithms are finite."""
    resolution = float(np.finfo(probs.dtype).eps)
    return np.clip(probs, resolution, 1 - resolution)


def _finite(logits: Array) -> Array:
    """Put 0 for the logits of impossible classes, whose probability of zero they are multiplied by."""
    return np.where(np.isneginf(data_of(logits)), 0, logits)


def _share(p: Array, log_p: Array, log_q: Array, never_p: Array, never_q: Array) -> Array:
    """Give the share of an outcome in a divergence: none if it never comes, infinite if only ``q`` excludes it."""
    return np.where(never_p, 0, np.where(never_q, np.inf, p * (log_p - log_q)))


def _normal_cdf(z: Array) -> Array:
    """Give the distribution function of the standard normal distribution."""
    try:
        from scipy import special
    except ImportError:
        raise ImportError(
            'the cdf of a Normal, and its divergence from a Laplace, need SciPy: pip install -e ".[special]"'
        ) from None
    return special.ndtr(z)
