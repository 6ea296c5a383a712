"""Distributions of a few values, given by probabilities or by logits."""

from __future__ import annotations

import numpy as np

from autodiff.arrays.whole import require
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn import functional
from nn.distributions.base import Distribution
from nn.init import Seed


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

    _forms = {"probs": "(..., K)", "logits": "(..., K)"}  # noqa: RUF012 (it is not changed)

    def __init__(self, probs: Array = None, logits: Array = None) -> None:
        super().__init__(probs, logits)
        ((name, table),) = self._parameters.items()
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
