"""What all distributions share: parameters, values and samples of the right shapes, and divergences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.arrays.whole import require
from autodiff.batching.array import drawn
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.extras import install
from nn.checks import check_count, check_real, has_dtype
from nn.init import Seed, generator


class Distribution:
    """What all distributions share; a subclass defines its parameters, density, samples and moments.

    Attributes:
        batch_shape: what the parameters of single variables broadcast to.
        event_shape: of one value: ``()``, and for a distribution of vectors ``(K,)``; a sample has both shapes.
        dtype: of the parameters, to which they were brought together.
    """

    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...] = ()
    dtype: Any
    domain: str  # which values the distribution can take, in words
    _parameters: dict[str, Array]  # by name
    _forms: Mapping[str, str] = {}  # of parameters of which the last axes are those of one variable

    def __init__(self, **parameters: Array) -> None:
        kind = type(self).__name__
        arrays = {name: check_real(kind, name, value) for name, value in parameters.items()}
        # NumPy lets a Python number take the dtype of the arrays beside it.
        dtypes = [value if isinstance(value, int | float) else arrays[name].dtype for name, value in parameters.items()]
        self.dtype = np.result_type(0.0, *dtypes)
        self._parameters = {name: x if x.dtype == self.dtype else x.astype(self.dtype) for name, x in arrays.items()}
        for name, x in self._parameters.items():
            self._demand(name, ~np.isnan(data_of(x)), "real numbers")
        for name, form in self._forms.items():
            if name in arrays and (arrays[name].ndim < form.count(",") or arrays[name].shape[-1] == 0):
                raise ValueError(f"{kind}: {name} must have the shape {form}, got {arrays[name].shape}")
        shapes = [x.shape for x in arrays.values()]
        own = [self._forms.get(name, "").count(",") for name in arrays]
        try:
            self.batch_shape = np.broadcast_shapes(*(shape[: len(shape) - axes] for shape, axes in zip(shapes, own)))
        except ValueError:
            listed = " and ".join(f"{name} of shape {shape}" for name, shape in zip(parameters, shapes))
            raise ValueError(f"{kind}: {listed} do not broadcast to one shape") from None

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the probability, or of its density, at a value.

        Args:
            value: of a shape that broadcasts with ``batch_shape``; of vectors, with one more axis of ``event_shape``.

        Returns:
            Of the shape that both broadcast to, without the axis of vectors.

        Raises:
            TypeError: the value is not real numbers.
            ValueError: it lies outside the support, or its shape does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} must define log_prob")

    def cdf(self, value: Array) -> Array:
        """Probability of a sample that is not larger than a value; shapes and errors are those of `log_prob`.

        Raises:
            NotImplementedError: the distribution is of a few values, which can be added up, or of vectors.
        """
        raise NotImplementedError(f"{type(self).__name__} has no cdf: add up the probabilities of its values")

    def sample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw samples: arrays of shape ``shape + batch_shape + event_shape``, of the dtype, without gradient.

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
        form, own = self.batch_shape + self.event_shape, array.shape[max(0, array.ndim - len(self.event_shape)) :]
        try:
            shape = np.broadcast_shapes(array.shape, form)
        except ValueError:
            shape = None
        if shape is None or own != self.event_shape:
            raise ValueError(
                f"{caller}: a value of shape {array.shape} does not broadcast with parameters of shape {form}"
            )
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
        return counts + self.batch_shape + self.event_shape

    def _drawn(self, method: str, shape: int | tuple[int, ...], rng: Seed, **options: Any) -> Array:
        """Draw random numbers for samples, by a method of the generator; in a batch as is said there."""
        draw = getattr(generator(rng), method)
        return drawn(lambda size: draw(size=size, **options), self._shape(shape))

    def _divergence_from(self, p: Distribution) -> Array:
        """Give the divergence of ``p`` from this distribution, or NotImplemented where no closed form is known."""
        return NotImplemented


def kl_divergence(p: Distribution, q: Distribution) -> Array:
    """Kullback-Leibler divergence of ``p`` from ``q``, the expected ``log p(x) - log q(x)`` of a sample of ``p``.

    Goodfellow, Bengio and Courville, Deep Learning (2016), equation 3.50. It is infinite where ``p`` has samples that
    ``q`` cannot have.

    Args:
        p: of the same kind as ``q``, unless that is `StudentT`; also any continuous distribution of numbers with a
            `Normal`, `Uniform` or `Exponential` ``q``, a `Normal` with a `Laplace`, an `Exponential` with a `Gamma`.
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
    if type(p) is type(q) and p.event_shape != q.event_shape:
        raise ValueError(
            f"kl_divergence: two of kind {type(p).__name__}, of vectors of {p.event_shape[0]} and of {q.event_shape[0]}"
        )
    divergence = q._divergence_from(p)
    if divergence is NotImplemented:
        raise NotImplementedError(
            f"kl_divergence: no closed form for a {kinds}; estimate it by the mean of p.log_prob(x) - q.log_prob(x) "
            "over x = p.rsample(1000)"
        )
    return divergence


def needing_scipy(caller: str) -> tuple[Any, Any]:
    """Give ``special`` and ``stats`` of SciPy, as gradients flow through them.

    Raises:
        ImportError: SciPy is not installed.
    """
    try:
        from autodiff.scipy import special, stats
    except ImportError:
        raise ImportError(f"{caller} needs SciPy: {install('special')}") from None
    return special, stats
