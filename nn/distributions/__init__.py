"""Probability distributions: densities, samples, entropies and divergences that gradients flow through.

Parameters and values are numbers, lists, arrays or Tensors and broadcast against each other. What is computed from a
Tensor is a Tensor, whose gradient reaches the parameters and the value; all else is arrays. Numbers and lists take the
dtype of the parameters that are arrays, and float64 where none is. Values outside the support are refused, as PyTorch's
``torch.distributions`` does. The densities of `StudentT`, `Gamma`, `Beta` and `Poisson` are those of
``autodiff.scipy.stats``; these and `Dirichlet` need SciPy, and the others do without.
"""

from nn.distributions.base import Distribution, kl_divergence
from nn.distributions.continuous import Exponential, Laplace, Normal, Uniform
from nn.distributions.discrete import Bernoulli, Categorical, Multinoulli
from nn.distributions.special import Beta, Gamma, Poisson, StudentT
from nn.distributions.vectors import Dirichlet, MultivariateNormal

__all__ = [
    "Bernoulli", "Beta", "Categorical", "Dirichlet", "Distribution", "Exponential", "Gamma", "Laplace", "Multinoulli",
    "MultivariateNormal", "Normal", "Poisson", "StudentT", "Uniform", "kl_divergence",
]  # fmt: skip
