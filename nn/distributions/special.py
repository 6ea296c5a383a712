"""Distributions of numbers whose densities are those of `autodiff.scipy.stats`."""

from __future__ import annotations

import numpy as np

from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn import functional
from nn.distributions.base import Distribution, needing_scipy
from nn.distributions.continuous import Continuous, Exponential, LocationScale
from nn.distributions.draws import log_gamma
from nn.init import Seed, generator


class _OfSciPy(Distribution):
    """A distribution whose densities SciPy has."""

    _scipys: str  # its name there
    _density = "logpdf"

    def __init__(self, *args: Array, **parameters: Array) -> None:
        needing_scipy(type(self).__name__)
        super().__init__(*args, **parameters)

    def _arguments(self) -> tuple[Array, ...]:
        """Give the parameters as SciPy's function has them."""
        raise NotImplementedError

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density or the probability; see `Distribution.log_prob`."""
        return self._by_scipy(self._density, self._value("log_prob", value))

    def cdf(self, value: Array) -> Array:
        """Probability of a sample that is not larger; see `Distribution.cdf`."""
        return self._by_scipy("cdf", self._value("cdf", value))

    def _by_scipy(self, method: str, value: Array) -> Array:
        _, stats = needing_scipy(type(self).__name__)
        result = getattr(getattr(stats, self._scipys), method)(value, *self._arguments())
        dtype = np.result_type(value.dtype, self.dtype)  # SciPy's are of double precision
        return result if result.dtype == dtype else result.astype(dtype)

    def _demand_positive(self, *names: str) -> None:
        for name in names:
            values = data_of(self._parameters[name])
            self._demand(name, (values > 0) & (values < np.inf), "positive and finite")


class StudentT(_OfSciPy, LocationScale):
    """Student's t distribution of ``df`` degrees of freedom, moved by ``loc`` and stretched by ``scale``.

    Density in proportion to ``(1 + z² / df) ** (-(df + 1) / 2)``, with ``z = (x - loc) / scale``; Bishop, Pattern
    recognition and machine learning (2006), section 2.3.7. The mean is NaN for ``df <= 1``, and the variance too; it is
    infinite for ``df <= 2``.

    Args:
        df: positive and finite; the three broadcast.
        loc: real numbers.
        scale: positive.

    Raises:
        ImportError: SciPy is not installed.
        TypeError: a parameter is not real numbers.
        ValueError: one is outside its domain, or the shapes do not broadcast.

    Example:
        >>> p = nn.distributions.StudentT(3.0, loc=1.0)
        >>> p.log_prob(np.array([1.0, 5.0])).round(6), float(p.variance)
        (array([-1.000889, -4.692542]), 3.0)
    """

    df: Array
    _scipys = "t"

    def __init__(self, df: Array, loc: Array = 0.0, scale: Array = 1.0) -> None:
        super().__init__(loc, scale, df=df)
        self.df = self._parameters["df"]
        self._demand_positive("df")

    def _arguments(self) -> tuple[Array, ...]:
        return self.df, self.loc, self.scale

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw ``loc + scale ε √(df / 2γ)``, γ a gamma draw of concentration ``df / 2``; see `Gamma.rsample`."""
        noise, half = self._drawn("standard_normal", shape, rng := generator(rng)), self.df / 2
        draws = noise * np.exp((np.log(half) - log_gamma(half, self._drawn("random", shape, rng))) / 2)
        return (self.loc + self.scale * draws).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy; see `Distribution.entropy`."""
        special, _ = needing_scipy("StudentT")
        half, more = self.df / 2, (self.df + 1) / 2
        shape = more * (special.digamma(more) - special.digamma(half)) + special.betaln(half, self.dtype.type(0.5))
        return self._whole(np.log(self.scale) + shape + np.log(self.df) / 2)

    @property
    def mean(self) -> Array:
        """Expected value ``loc``, and NaN for ``df <= 1``."""
        return np.where(data_of(self.df) > 1, self._whole(self.loc), np.nan)

    @property
    def variance(self) -> Array:
        """Variance ``scale² df / (df - 2)``; see the class."""
        df = data_of(self.df)
        spread = self.df / np.where(df > 2, self.df - 2, 1) * np.square(self.scale)
        return self._whole(np.where(df > 1, np.where(df > 2, spread, np.inf), np.nan))


class Gamma(_OfSciPy, Continuous):
    """Gamma distribution, of density ``rate**a x**(a - 1) exp(-rate x) / Γ(a)`` with ``a`` the concentration.

    Bishop, Pattern recognition and machine learning (2006), section 2.3.6. Errors are those of `StudentT`.

    Args:
        concentration: positive and finite, of a shape that broadcasts with that of ``rate``.
        rate: positive and finite.

    Example:
        >>> p = nn.distributions.Gamma(2.0, [1.0, 4.0])
        >>> p.log_prob(1.0).round(6), p.mean
        (array([-1.      , -1.227411]), array([2. , 0.5]))
    """

    concentration: Array
    rate: Array
    domain = "at least 0"
    _low = 0.0
    _scipys = "gamma"

    def __init__(self, concentration: Array, rate: Array) -> None:
        super().__init__(concentration=concentration, rate=rate)
        self.concentration, self.rate = self._parameters.values()
        self._demand_positive("concentration", "rate")

    def _arguments(self) -> tuple[Array, ...]:
        return self.concentration, 0, 1 / self.rate

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw by the inverse of the distribution function, as least the smallest number that has all its digits.

        The derivative by the concentration is that of the draw at the same value of the distribution function:
        Figurnov, Mohamed and Mnih, Implicit reparameterization gradients (2018); see `Distribution.rsample`.
        """
        draws = np.exp(log_gamma(self.concentration, self._drawn("random", shape, rng))) / self.rate
        return np.maximum(draws, float(np.finfo(self.dtype).tiny)).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy ``a - log(rate) + log Γ(a) + (1 - a) digamma(a)``; see `Distribution.entropy`."""
        special, a = needing_scipy("Gamma")[0], self.concentration
        return a - np.log(self.rate) + special.gammaln(a) + (1 - a) * special.digamma(a)

    @property
    def mean(self) -> Array:
        """Expected value ``concentration / rate``."""
        return self.concentration / self.rate

    @property
    def variance(self) -> Array:
        """Variance ``concentration / rate²``."""
        return self.concentration / np.square(self.rate)

    def _divergence_from(self, p: Distribution) -> Array:
        if isinstance(p, Exponential):
            p = Gamma(1.0, p.rate)
        if not isinstance(p, Gamma):
            return NotImplemented
        special, a, b = needing_scipy("Gamma")[0], p.concentration, self.concentration
        shape = special.gammaln(b) - special.gammaln(a) + (a - b) * special.digamma(a)
        return shape + b * np.log(p.rate / self.rate) + (self.rate - p.rate) * (a / p.rate)


class Beta(_OfSciPy, Continuous):
    """Beta distribution, of density in proportion to ``x**(concentration1 - 1) (1 - x)**(concentration0 - 1)``.

    Bishop, Pattern recognition and machine learning (2006), section 2.1.1. Errors are those of `StudentT`.

    Args:
        concentration1: positive and finite, of a shape that broadcasts with that of ``concentration0``.
        concentration0: likewise.

    Example:
        >>> p = nn.distributions.Beta(2.0, 3.0)
        >>> p.log_prob(np.array([0.5, 1.0])).round(6), float(p.mean), float(p.variance)
        (array([0.405465,     -inf]), 0.4, 0.04)
    """

    concentration1: Array
    concentration0: Array
    domain = "between 0 and 1"
    _low, _high = 0.0, 1.0
    _scipys = "beta"

    def __init__(self, concentration1: Array, concentration0: Array) -> None:
        super().__init__(concentration1=concentration1, concentration0=concentration0)
        self.concentration1, self.concentration0 = self._parameters.values()
        self._demand_positive("concentration1", "concentration0")

    def _arguments(self) -> tuple[Array, ...]:
        return self.concentration1, self.concentration0

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw the share of one of two gamma draws in their sum; see `Gamma.rsample`."""
        rng = generator(rng)
        one, other = (log_gamma(a, self._drawn("random", shape, rng)) for a in self._arguments())
        return functional.sigmoid(one - other).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy; see `Distribution.entropy`."""
        special, (a, b) = needing_scipy("Beta")[0], self._arguments()
        more = (a + b - 2) * special.digamma(a + b)
        return special.betaln(a, b) - (a - 1) * special.digamma(a) - (b - 1) * special.digamma(b) + more

    @property
    def mean(self) -> Array:
        """Expected value ``concentration1 / (concentration1 + concentration0)``."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Array:
        """Variance ``mean (1 - mean) / (concentration1 + concentration0 + 1)``."""
        a, b = self._arguments()
        return a * b / (np.square(a + b) * (a + b + 1))

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, Beta):
            return NotImplemented
        special, (a, b), (c, d) = needing_scipy("Beta")[0], p._arguments(), self._arguments()
        of_each = (a - c) * special.digamma(a) + (b - d) * special.digamma(b)
        return special.betaln(c, d) - special.betaln(a, b) + of_each + (c + d - a - b) * special.digamma(a + b)


class Poisson(_OfSciPy):
    """Poisson distribution of a count whose mean is ``rate``, of probability ``rate**k exp(-rate) / k!``.

    Gradients flow to the rate; by the count, which is a whole number, there is none. Errors are those of `StudentT`.

    Args:
        rate: 0 or more and finite, of any shape.

    Example:
        >>> p = nn.distributions.Poisson(3.0)
        >>> p.log_prob(np.array([0, 2])).round(6), float(p.cdf(2).round(6))
        (array([-3.      , -1.495923]), 0.42319)
    """

    rate: Array
    domain = "0, 1, 2 and so on"
    _scipys, _density = "poisson", "logpmf"

    def __init__(self, rate: Array) -> None:
        super().__init__(rate=rate)
        (self.rate,) = self._parameters.values()
        self._demand("rate", (data_of(self.rate) >= 0) & (data_of(self.rate) < np.inf), "0 or more and finite")

    def _arguments(self) -> tuple[Array, ...]:
        return (self.rate,)

    def sample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw counts, of the distribution's dtype, by the inverse of the distribution function; see `Distribution`."""
        special, _ = needing_scipy("Poisson")
        return np.ceil(special.pdtrik(self._drawn("random", shape, rng), data_of(self.rate))).astype(self.dtype)

    def entropy(self) -> Array:
        """Refused: it has no closed form."""
        raise NotImplementedError("Poisson: the entropy has no closed form; estimate it by -p.log_prob(p.sample(1000))")

    @property
    def mean(self) -> Array:
        """Expected value ``rate``."""
        return self.rate

    @property
    def variance(self) -> Array:
        """Variance ``rate``."""
        return self.rate

    def _supports(self, value: Array) -> Array:
        return (value >= 0) & (value == np.floor(value))

    def _divergence_from(self, p: Distribution) -> Array:
        return needing_scipy("Poisson")[0].kl_div(p.rate, self.rate) if isinstance(p, Poisson) else NotImplemented
