"""Distributions of vectors, along the last axis of a value."""

from __future__ import annotations

import numpy as np

from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn import functional
from nn.distributions.base import Distribution, needing_scipy
from nn.distributions.continuous import LOG_ROOT_TWO_PI
from nn.distributions.draws import log_gamma
from nn.init import Seed


class Dirichlet(Distribution):
    """Dirichlet distribution of K shares of one, of density in proportion to ``prod(x**(concentration - 1))``.

    Bishop, Pattern recognition and machine learning (2006), section 2.2.1. SciPy's function takes one vector of
    concentrations, and this a batch of them. The gradient by a value takes its shares as independent, as in PyTorch.
    Errors are those of `StudentT`.

    Args:
        concentration: positive and finite, of shape ``(..., K)``.

    Example:
        >>> p = nn.distributions.Dirichlet([1.0, 2.0, 3.0])
        >>> float(p.log_prob([0.2, 0.3, 0.5]).round(6)), p.mean.round(6)
        (1.504077, array([0.166667, 0.333333, 0.5     ]))
    """

    concentration: Array
    domain = "not negative, and of sum 1 along the last axis"
    _forms = {"concentration": "(..., K)"}  # noqa: RUF012 (it is not changed)

    def __init__(self, concentration: Array) -> None:
        needing_scipy("Dirichlet")
        super().__init__(concentration=concentration)
        (self.concentration,) = self._parameters.values()
        self.event_shape = self.concentration.shape[-1:]
        values = data_of(self.concentration)
        self._demand("concentration", (values > 0) & (values < np.inf), "positive and finite")

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density; see `Distribution.log_prob`."""
        special, _ = needing_scipy("Dirichlet")
        powers = special.xlogy(self.concentration - 1, self._value("log_prob", value))
        return np.sum(powers, axis=-1) - self._log_scale()

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw the shares of gamma draws in their sum; see `Gamma.rsample`."""
        draws = log_gamma(self.concentration, self._drawn("random", shape, rng))
        return functional.softmax(draws).astype(self.dtype)

    def entropy(self) -> Array:
        """Entropy; see `Distribution.entropy`."""
        special, a = needing_scipy("Dirichlet")[0], self.concentration
        total = np.sum(a, axis=-1)
        of_total = (total - self.event_shape[0]) * special.digamma(total)
        return self._log_scale() + of_total - np.sum((a - 1) * special.digamma(a), axis=-1)

    @property
    def mean(self) -> Array:
        """Expected value: the concentrations' shares in their sum, of shape ``(..., K)``."""
        return self.concentration / np.sum(self.concentration, axis=-1, keepdims=True)

    @property
    def variance(self) -> Array:
        """Variance of each share, ``mean (1 - mean) / (sum of concentrations + 1)``, of shape ``(..., K)``."""
        total = np.sum(self.concentration, axis=-1, keepdims=True)
        return self.concentration * (total - self.concentration) / (np.square(total) * (total + 1))

    def _log_scale(self) -> Array:
        special, a = needing_scipy("Dirichlet")[0], self.concentration
        return np.sum(special.gammaln(a), axis=-1) - special.gammaln(np.sum(a, axis=-1))

    def _supports(self, value: Array) -> Array:
        return (value >= 0) & (np.absolute(np.sum(value, axis=-1, keepdims=True) - 1) < 1e-6)

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, Dirichlet):
            return NotImplemented
        special, a = needing_scipy("Dirichlet")[0], p.concentration
        slopes = special.digamma(a) - special.digamma(np.sum(a, axis=-1, keepdims=True))
        return self._log_scale() - p._log_scale() + np.sum((a - self.concentration) * slopes, axis=-1)


class MultivariateNormal(Distribution):
    """Normal distribution of vectors, of which one of three matrices is given.

    Density ``exp(-(x - loc)ᵀ Σ⁻¹ (x - loc) / 2) / √det(2πΣ)``; Goodfellow, Bengio and Courville, Deep Learning (2016),
    equation 3.23. SciPy's function takes one covariance matrix, and this one a batch of them, or their factors.

    Args:
        loc: real numbers, of shape ``(..., K)``, of which the first axes broadcast with those of the matrix.
        covariance_matrix: Σ, symmetric and positive definite, of shape ``(..., K, K)``; or
        precision_matrix: its inverse, likewise; or
        scale_tril: the lower triangular ``L`` of ``Σ = L Lᵀ``, with a positive diagonal. It is what is computed with.

    Attributes:
        scale_tril: also if another matrix was given; and so are the other two.

    Raises:
        TypeError: a parameter is not real numbers.
        ValueError: not one matrix is given, it is not as it must be, or the shapes do not fit.

    Example:
        >>> p = nn.distributions.MultivariateNormal(np.zeros(2), np.array([[2.0, 1.0], [1.0, 2.0]]))
        >>> p.log_prob(np.array([[0.0, 0.0], [1.0, 1.0]])).round(6), p.precision_matrix.round(6)
        (array([-2.387183, -2.720517]), array([[ 0.666667, -0.333333],
                                               [-0.333333,  0.666667]]))
    """

    loc: Array
    scale_tril: Array
    domain = "real numbers"
    _forms = {  # noqa: RUF012 (it is not changed)
        "loc": "(..., K)",
        **dict.fromkeys(("covariance_matrix", "precision_matrix", "scale_tril"), "(..., K, K)"),
    }

    def __init__(
        self, loc: Array, covariance_matrix: Array = None, precision_matrix: Array = None, scale_tril: Array = None
    ) -> None:
        matrices = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: matrix for name, matrix in matrices.items() if matrix is not None}
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(f"MultivariateNormal: give one of {', '.join(matrices)}, got {got}")
        super().__init__(loc=loc, **given)
        self.loc, matrix = self._parameters.values()
        (name,) = given
        self.event_shape = self.loc.shape[-1:]
        if matrix.shape[-2:] != 2 * self.event_shape:
            raise ValueError(f"MultivariateNormal: {name} of shape {matrix.shape} for vectors of {self.loc.shape[-1]}")
        values = data_of(matrix)
        diagonal = np.diagonal(values, axis1=-2, axis2=-1)
        if name == "scale_tril":
            is_lower = np.tril(values) == values
            self._demand(name, is_lower & (diagonal > 0)[..., None], "lower triangular with a positive diagonal")
            self.scale_tril = np.tril(matrix)
            return
        scales = np.sqrt(np.absolute(diagonal))
        differences = np.absolute(values - np.swapaxes(values, -1, -2))
        self._demand(name, differences <= 1e-5 * scales[..., None] * scales[..., None, :], "symmetric")
        try:
            if name == "covariance_matrix":
                self.scale_tril = np.linalg.cholesky(matrix)
            else:  # of which the factor, from below, is the inverse's, transposed
                turned = np.linalg.cholesky(np.flip(matrix, (-2, -1)))
                self.scale_tril = np.linalg.inv(np.swapaxes(np.flip(turned, (-2, -1)), -1, -2))
        except np.linalg.LinAlgError:
            raise ValueError(f"MultivariateNormal: {name} must be positive definite") from None

    @property
    def covariance_matrix(self) -> Array:
        """Σ, of shape ``(..., K, K)``."""
        return self._parameters.get("covariance_matrix", self.scale_tril @ np.swapaxes(self.scale_tril, -1, -2))

    @property
    def precision_matrix(self) -> Array:
        """Σ⁻¹, of shape ``(..., K, K)``."""
        inverse = np.linalg.inv(self.scale_tril)
        return self._parameters.get("precision_matrix", np.swapaxes(inverse, -1, -2) @ inverse)

    def log_prob(self, value: Array) -> Array:
        """Logarithm of the density; see `Distribution.log_prob`."""
        squares = self._squares(self._value("log_prob", value) - self.loc)
        return -squares / 2 - self._log_root_det() - self.event_shape[0] * LOG_ROOT_TWO_PI

    def rsample(self, shape: int | tuple[int, ...] = (), rng: Seed = None) -> Array:
        """Draw ``loc + L ε``, ε standard normal; see `Distribution.rsample`."""
        noise = self._drawn("standard_normal", shape, rng).astype(self.dtype)
        return self.loc + (self.scale_tril @ noise[..., None])[..., 0]

    def entropy(self) -> Array:
        """Entropy ``log √det(2πeΣ)``; see `Distribution.entropy`."""
        return self._whole(self._log_root_det() + self.event_shape[0] * (0.5 + LOG_ROOT_TWO_PI))

    @property
    def mean(self) -> Array:
        """Expected value ``loc``, of shape ``(..., K)``."""
        return np.broadcast_to(self.loc, self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Array:
        """Variance of each variable, the diagonal of Σ, of shape ``(..., K)``."""
        return np.broadcast_to(np.sum(np.square(self.scale_tril), axis=-1), self.batch_shape + self.event_shape)

    def _log_root_det(self) -> Array:
        return np.sum(np.log(np.diagonal(self.scale_tril, axis1=-2, axis2=-1)), axis=-1)

    def _squares(self, distance: Array) -> Array:
        """Give ``dᵀ Σ⁻¹ d``."""
        if self.scale_tril.ndim == 2:  # one matrix is factored once
            scaled = np.linalg.solve(self.scale_tril, np.reshape(distance, (-1, *self.event_shape)).T).T
            return np.reshape(np.sum(np.square(scaled), axis=-1), distance.shape[:-1])
        return np.sum(np.square(np.linalg.solve(self.scale_tril, distance[..., None])[..., 0]), axis=-1)

    def _supports(self, value: Array) -> Array:
        return value == value

    def _divergence_from(self, p: Distribution) -> Array:
        if not isinstance(p, MultivariateNormal):
            return NotImplemented
        spread = np.sum(np.square(np.linalg.solve(self.scale_tril, p.scale_tril)), axis=(-2, -1))
        shift = self._squares(p.loc - self.loc)
        return self._log_root_det() - p._log_root_det() + (spread + shift - self.event_shape[0]) / 2
