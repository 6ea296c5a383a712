"""Distributions: values and gradients are PyTorch's, samples have the moments that the parameters say."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.testing import check_gradients
from nn import distributions
from nn.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Exponential,
    Gamma,
    Laplace,
    MultivariateNormal,
    Normal,
    Poisson,
    StudentT,
    Uniform,
    kl_divergence,
)

pytest.importorskip("scipy")

# Kind, parameters, values: the shapes broadcast

CASES: list[tuple[Any, dict[str, Any], Any]] = [
    (Normal, {"loc": [0.3, -1.0], "scale": [[0.5], [2.0], [1e-3]]}, [0.5, -4.0]),
    (Normal, {"loc": 1.0, "scale": 2.0}, [[-30.0, 1.0], [1.5, 50.0]]),
    (Laplace, {"loc": [0.3, -1.0], "scale": [[0.5], [2.0]]}, [0.5, -4.0]),
    (Laplace, {"loc": 0.0, "scale": 1.5}, [[-300.0], [200.0]]),
    (Uniform, {"low": [-1.0, 0.0], "high": [[2.0], [3.5]]}, [0.5, 1.75]),
    (Uniform, {"low": 1.0, "high": 2.0}, [1.0, 1.25]),
    (Exponential, {"rate": [[0.5], [2.0]]}, [0.25, 3.0, 1e-9]),
    (Exponential, {"rate": 3.0}, 0.0),
    (Bernoulli, {"probs": [[0.5], [0.01], [0.999]]}, [0.0, 1.0]),
    (Bernoulli, {"probs": [0.0, 1.0, 0.0, 1.0]}, [0.0, 0.0, 1.0, 1.0]),
    (Bernoulli, {"logits": [[0.0], [3.0], [-700.0], [1e4]]}, [0.0, 1.0]),
    (Categorical, {"probs": [[0.2, 0.3, 0.5], [1.0, 2.0, 7.0]]}, [2, 0]),
    (Categorical, {"probs": [0.0, 0.25, 0.75]}, [[0, 1], [2, 2]]),
    (Categorical, {"logits": [[0.0, 1.0, -2.0], [1e4, -1e4, 0.0]]}, [[0, 1], [2, 0], [1, 2]]),
    (Categorical, {"logits": [0.5, -math.inf, 1.0]}, [0, 2]),
    (StudentT, {"df": [[0.5], [1.5], [7.0]], "loc": [0.3, -1.0], "scale": 0.5}, [0.5, -4.0]),
    (Gamma, {"concentration": [[0.3], [1.0], [6.0]], "rate": [0.5, 3.0]}, [0.25, 3.0]),
    (Beta, {"concentration1": [[0.3], [1.0], [6.0]], "concentration0": [0.5, 3.0]}, [0.25, 0.8]),
    (Poisson, {"rate": [[0.3], [6.0]]}, [0.0, 1.0, 4.0]),
    (Dirichlet, {"concentration": [[[0.5, 2.0, 1.0]], [[3.0, 1.0, 4.0]]]}, [[0.2, 0.3, 0.5], [0.625, 0.25, 0.125]]),
    (Dirichlet, {"concentration": [1.5, 2.0]}, [0.25, 0.75]),
    (
        MultivariateNormal,
        {"loc": [0.5, 1.0], "covariance_matrix": [[2.0, 0.5], [0.5, 1.0]]},
        [[[0.0, 1.0], [2.0, 3.0]]],
    ),
    (MultivariateNormal, {"loc": [[0.5, 1.0]], "precision_matrix": [[[2.0, 0.5], [0.5, 1.0]]] * 2}, [0.0, -1.0]),
    (MultivariateNormal, {"loc": [0.5, 1.0], "scale_tril": [[[2.0, 0.0], [0.5, 0.25]]] * 3}, [[0.0, -1.0]] * 3),
]
IDS = [f"{kind.__name__}-{'-'.join(parameters)}-{number}" for number, (kind, parameters, _) in enumerate(CASES)]
CONTINUOUS = (Normal, Laplace, Uniform, Exponential)
BY_SCIPY = (StudentT, Gamma, Beta, Poisson)
DISCRETE = (Categorical, Poisson)  # of which the value is not differentiated by


def computed(
    result: Any, kind: Any, parameters: dict[str, Any], value: Any, dtype: Any = np.float64
) -> tuple[Any, list[Any]]:
    """Give a result, and its gradient by each parameter and by the value."""
    leaves = {name: ad.Tensor(np.array(given, dtype)) for name, given in parameters.items()}
    at: Any = np.array(value, None if kind is Categorical else dtype)
    at = at if kind in DISCRETE else ad.Tensor(at)
    output = result(kind(**leaves), at)
    if isinstance(output, ad.Tensor):
        output.backward(weights(output.shape).astype(dtype))
        output = output.data
    wanted = [*leaves.values(), *([at] if isinstance(at, ad.Tensor) else [])]
    return output, [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad for leaf in wanted]


def computed_by_torch(result: Any, kind: Any, parameters: dict[str, Any], value: Any, dtype: Any) -> Any:
    """Do what `computed` does with PyTorch."""
    torch = pytest.importorskip("torch")
    leaves = {name: torch.tensor(np.array(given, dtype), requires_grad=True) for name, given in parameters.items()}
    at = torch.tensor(np.array(value) if kind is Categorical else np.array(value, dtype))
    if kind not in DISCRETE:
        at.requires_grad_()
    output = result(getattr(torch.distributions, kind.__name__)(**leaves), at)
    if output.requires_grad:
        output.backward(torch.tensor(weights(tuple(output.shape)).astype(dtype)))
    wanted = [*leaves.values(), *([at] if at.requires_grad else [])]
    gradients = [np.zeros(tuple(leaf.shape)) if leaf.grad is None else leaf.grad.numpy() for leaf in wanted]
    return output.detach().numpy(), gradients


def weights(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(0).uniform(0.5, 2.0, shape)


METHODS: dict[str, Any] = {
    "log_prob": lambda distribution, value: distribution.log_prob(value),
    "cdf": lambda distribution, value: distribution.cdf(value),
    "entropy": lambda distribution, value: distribution.entropy(),
    "mean": lambda distribution, value: distribution.mean,
    "variance": lambda distribution, value: distribution.variance,
}


@pytest.mark.together("dtype", [np.float64, np.float32])
@pytest.mark.together("method", METHODS)
@pytest.mark.together(("kind", "parameters", "value"), CASES, ids=IDS)
def test_values_and_gradients_are_pytorchs(
    kind: Any, parameters: dict[str, Any], value: Any, method: str, dtype: Any
) -> None:
    if method == "cdf" and kind in BY_SCIPY:
        return  # PyTorch has it of a Gamma only; see below
    if (
        (method == "cdf" and kind not in CONTINUOUS)
        or (method in ("mean", "variance") and kind is Categorical)
        or (method == "entropy" and kind is Poisson)
    ):
        with pytest.raises(NotImplementedError, match=kind.__name__):
            METHODS[method](kind(**parameters), value)
        return
    actual, gradients = computed(METHODS[method], kind, parameters, value, dtype)
    expected, wanted = computed_by_torch(METHODS[method], kind, parameters, value, dtype)
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    single = dtype == np.float32
    # PyTorch has the trigamma function, which is in the entropy's gradient, to nine digits only.
    rtol, atol = (2e-5, 2e-6) if single else (1e-8 if method == "entropy" else 1e-10, 1e-13)
    np.testing.assert_allclose(actual, expected, rtol, atol)
    if method == "entropy" and np.any(np.isneginf(parameters.get("logits", 0))):
        return  # PyTorch's gradient is NaN; ours has a test of its own
    for gradient, other in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, other, rtol, atol * max(1, np.abs(other).max()))


def test_an_impossible_class_is_as_if_it_were_not_there() -> None:
    for function in (lambda p, q: p.entropy(), kl_divergence):
        all_of_them, possible = (
            [ad.Tensor(np.array(logits)) for logits in pair]
            for pair in ([[0.5, -math.inf, 1.0], [0.0, -math.inf, -1.0]], [[0.5, 1.0], [0.0, -1.0]])
        )
        outputs = [function(*(Categorical(logits=x) for x in pair)) for pair in (all_of_them, possible)]
        np.testing.assert_allclose(outputs[0].data, outputs[1].data, rtol=1e-14)
        for output in outputs:
            output.backward()
        for mine, other in zip(all_of_them, possible, strict=True):
            if other.grad is not None:
                np.testing.assert_allclose(mine.grad, [other.grad[0], 0, other.grad[1]], rtol=1e-13)


@pytest.mark.parametrize(
    ("kind", "parameters", "value"),
    [
        (Normal, (0.3, 0.5), 0.75),
        (Laplace, (0.3, 0.5), 0.75),
        (Laplace, (0.3, 0.5), -0.75),
        (Uniform, (-1.0, 2.0), 0.5),
        (Exponential, (1.5,), 0.5),
        (StudentT, (3.5, 0.3, 0.5), 0.75),
        (Gamma, (2.5, 1.5), 0.75),
        (Beta, (2.5, 1.5), 0.75),
    ],
)
def test_second_derivatives(kind: Any, parameters: tuple[float, ...], value: float) -> None:
    check_gradients(lambda value, *given: kind(*given).log_prob(value), value, *parameters, order=2)
    check_gradients(lambda value, *given: kind(*given).cdf(value), value, *parameters, order=2)
    check_gradients(lambda *given: kind(*given).entropy() * kind(*given).variance, *parameters, order=2)
    check_gradients(lambda *given: kl_divergence(kind(*given), Normal(0.5, 2.0)), *parameters, order=2)


@pytest.mark.parametrize("name", ["probs", "logits"])
def test_second_derivatives_of_discrete_distributions(name: str) -> None:
    given, other = np.array([0.2, 0.5]), np.array([0.3, 0.6])
    for kind in (Bernoulli, Categorical):
        check_gradients(lambda x, kind=kind: kind(**{name: x}).log_prob([1, 0]), given, order=2)
        check_gradients(lambda x, kind=kind: kind(**{name: x}).entropy(), given, order=2)
        check_gradients(
            lambda x, y, kind=kind: kl_divergence(kind(**{name: x}), kind(**{name: y})), given, other, order=2
        )


def test_second_derivatives_of_counts_and_of_vectors() -> None:
    check_gradients(lambda rate: Poisson(rate).log_prob(3), 2.5, order=2)
    check_gradients(lambda rate: Poisson(rate).cdf(3), 2.5, order=2)
    check_gradients(lambda a, x: Dirichlet(a).log_prob(x / np.sum(x)), np.array([0.5, 2.0]), np.ones(2), order=2)
    check_gradients(lambda a: Dirichlet(a).entropy() + np.sum(Dirichlet(a).variance), np.array([0.5, 2.0]), order=2)
    square, loc = np.array([[2.0, 0.5], [0.3, 1.0]]), np.array([0.2, 0.4])
    for name in ("covariance_matrix", "precision_matrix"):
        check_gradients(
            lambda x, m, c, name=name: MultivariateNormal(m, **{name: c @ c.T}).log_prob(x), np.ones(2), loc, square
        )
        check_gradients(
            lambda c, name=name: MultivariateNormal(loc, **{name: c @ c.T}).log_prob([1.0, 3.0]), square, order=2
        )


def test_logits_keep_their_precision_where_probabilities_round() -> None:
    """PyTorch's divergence is infinite here, since its probabilities round to 0 and 1."""
    for p, q in (
        (Bernoulli(logits=0.0), Bernoulli(logits=[1e4, -1e4])),
        (Categorical(logits=[0.0, 0.0]), Categorical(logits=[[1e4, 0.0], [0.0, 1e4]])),
    ):
        np.testing.assert_allclose(kl_divergence(p, q), 5000 - math.log(2))
    # 60 e⁻⁶⁰: one minus the probability would be zero
    np.testing.assert_allclose(Bernoulli(logits=60.0).entropy(), 61 * math.exp(-60), rtol=1e-12)
    np.testing.assert_allclose(Bernoulli(logits=60.0).variance, math.exp(-60), rtol=1e-12)


def test_far_tails() -> None:
    assert 0 < Normal(0.0, 1.0).cdf(-37.0) < 1e-290
    assert 0 < Laplace(0.0, 1.0).cdf(-700.0) < 1e-300
    assert Exponential(1.0).cdf(1e-20) == 1e-20
    assert Normal(0.0, 1e-200).log_prob(0.0) == pytest.approx(200 * math.log(10) - math.log(2 * math.pi) / 2)


def test_the_cdf_of_a_laplace_is_smooth_at_its_centre() -> None:
    """Its slope is the density; PyTorch, whose formula has a sign in it, gives zero."""
    assert ad.grad(lambda x: Laplace(1.0, 2.0).cdf(x))(1.0) == 0.25


# Divergences

PAIRS: list[tuple[Any, dict[str, Any], Any, dict[str, Any]]] = [
    (Normal, {"loc": [0.3, -1.0], "scale": 0.5}, Normal, {"loc": 1.0, "scale": [[2.0], [0.1]]}),
    (Laplace, {"loc": [0.3, 1.0], "scale": 0.5}, Laplace, {"loc": 1.0, "scale": [[2.0], [0.1]]}),
    (Uniform, {"low": [0.0, -2.0], "high": 1.0}, Uniform, {"low": -1.0, "high": [[2.0], [1.0], [0.5]]}),
    (Exponential, {"rate": [0.5, 3.0]}, Exponential, {"rate": [[2.0], [1.0]]}),
    (Bernoulli, {"probs": [0.0, 0.3, 1.0]}, Bernoulli, {"probs": [[0.0], [0.6], [1.0]]}),
    (Bernoulli, {"logits": [0.0, 3.0, -30.0]}, Bernoulli, {"logits": [[1.0], [-20.0]]}),
    (Bernoulli, {"logits": [0.0, 3.0]}, Bernoulli, {"probs": [[0.2], [1.0]]}),
    (Categorical, {"probs": [[0.2, 0.8, 0.0], [0.5, 0.3, 0.2]]}, Categorical, {"probs": [0.3, 0.7, 0.0]}),
    (Categorical, {"logits": [[0.0, 1.0, 2.0], [30.0, 0.0, 1.0]]}, Categorical, {"logits": [1.0, -30.0, 0.0]}),
    (Exponential, {"rate": [0.5, 3.0]}, Normal, {"loc": 1.0, "scale": [[2.0], [0.1]]}),
    (Laplace, {"loc": [0.3, 1.0], "scale": 0.5}, Normal, {"loc": 1.0, "scale": [[2.0], [0.1]]}),
    (Uniform, {"low": [0.0, -2.0], "high": 1.0}, Normal, {"loc": 1.0, "scale": [[2.0], [0.1]]}),
    (Normal, {"loc": [0.3, -1.0], "scale": 0.5}, Laplace, {"loc": 1.0, "scale": [[2.0], [0.1]]}),
    (Uniform, {"low": [0.0, -2.0], "high": 1.0}, Exponential, {"rate": [[2.0], [0.1]]}),
    (Normal, {"loc": 0.3, "scale": 0.5}, Exponential, {"rate": [2.0, 0.1]}),
    (Normal, {"loc": 0.3, "scale": 0.5}, Uniform, {"low": 0.0, "high": [2.0, 3.0]}),
    (Laplace, {"loc": 0.3, "scale": 0.5}, Exponential, {"rate": [2.0, 0.1]}),
    (Laplace, {"loc": 0.3, "scale": 0.5}, Uniform, {"low": 0.0, "high": [2.0, 3.0]}),
    (Exponential, {"rate": 0.5}, Uniform, {"low": 0.0, "high": [2.0, 3.0]}),
    (Gamma, {"concentration": [0.5, 4.0], "rate": 2.0}, Gamma, {"concentration": 1.5, "rate": [[3.0], [0.2]]}),
    (Exponential, {"rate": [0.5, 3.0]}, Gamma, {"concentration": 1.5, "rate": [[3.0], [0.2]]}),
    (Gamma, {"concentration": [0.5, 4.0], "rate": 2.0}, Exponential, {"rate": [[3.0], [0.2]]}),
    (Gamma, {"concentration": [0.5, 4.0], "rate": 2.0}, Normal, {"loc": 1.0, "scale": [[2.0], [0.1]]}),
    (Beta, {"concentration1": [0.5, 4.0], "concentration0": 2.0}, Beta, {"concentration1": 1.5, "concentration0": 0.3}),
    (Beta, {"concentration1": 0.5, "concentration0": 2.0}, Uniform, {"low": [0.0, 0.5], "high": 1.0}),
    (Poisson, {"rate": [0.5, 4.0]}, Poisson, {"rate": [[2.0], [0.3]]}),
    (Dirichlet, {"concentration": [[0.5, 4.0], [1.0, 2.0]]}, Dirichlet, {"concentration": [2.0, 1.0]}),
    (
        MultivariateNormal,
        {"loc": [0.5, 1.0], "covariance_matrix": [[2.0, 0.5], [0.5, 1.0]]},
        MultivariateNormal,
        {"loc": [0.0, -1.0], "scale_tril": [[1.5, 0.0], [0.3, 0.5]]},
    ),
]


@pytest.mark.parametrize(("p", "given", "q", "other"), PAIRS, ids=[f"{p[0].__name__}-{p[2].__name__}" for p in PAIRS])
def test_divergences_are_pytorchs(p: Any, given: dict[str, Any], q: Any, other: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ours = [{name: ad.Tensor(np.array(x)) for name, x in parameters.items()} for parameters in (given, other)]
    output = kl_divergence(p(**ours[0]), q(**ours[1]))
    output.backward(weights(output.shape))
    theirs = [
        {name: torch.tensor(np.array(x), requires_grad=True) for name, x in parameters.items()}
        for parameters in (given, other)
    ]
    # PyTorch's masks of impossible outcomes do not broadcast, so the parameters are given in full.
    full = (*output.shape, 3) if p is Categorical else None if p in (Dirichlet, MultivariateNormal) else output.shape
    expected = torch.distributions.kl_divergence(
        *(
            getattr(torch.distributions, kind.__name__)(
                **{name: x.expand(full) if full else x for name, x in parameters.items()}
            )
            for kind, parameters in zip((p, q), theirs, strict=True)
        )
    )
    np.testing.assert_allclose(output.data, expected.detach().numpy(), 1e-10, 1e-13)
    if not expected.requires_grad:
        return
    expected.backward(torch.tensor(weights(output.shape)))
    for mine, other_side in zip(ours, theirs, strict=True):
        rtol = 3e-9 if p in (Gamma, Beta, Dirichlet) else 1e-10  # PyTorch has the trigamma function to nine digits
        for name, leaf in mine.items():
            wanted = other_side[name].grad
            wanted = np.zeros(leaf.shape) if wanted is None else wanted.numpy()
            np.testing.assert_allclose(leaf.grad, wanted, rtol, 1e-12, err_msg=name)


@pytest.mark.parametrize(
    "distribution",
    [
        Normal([0.0, 2.0], 1e-30),
        Laplace(1.0, 3.0),
        Uniform(0.0, [1.0, 2.0]),
        Exponential(2.0),
        Bernoulli(probs=[0.0, 0.3, 1.0]),
        Bernoulli(logits=[-1e4, 5.0]),
        Categorical(probs=[0.0, 0.3, 0.7]),
        Categorical(logits=[0.0, -math.inf, 2.0]),
        Gamma([0.5, 9.0], 2.0),
        Beta([0.5, 9.0], 2.0),
        Poisson([0.0, 9.0]),
        Dirichlet([0.5, 9.0]),
        MultivariateNormal([0.5, 9.0], [[2.0, 1.0], [1.0, 2.0]]),
    ],
)
def test_nothing_diverges_from_itself(distribution: Any) -> None:
    np.testing.assert_allclose(kl_divergence(distribution, distribution), 0, atol=2e-14)


def test_divergences_without_a_closed_form() -> None:
    with pytest.raises(NotImplementedError, match=r"Laplace of shape \(\)"):
        kl_divergence(Uniform(0, 1), Laplace(0, 1))
    with pytest.raises(NotImplementedError, match="Bernoulli"):
        kl_divergence(Bernoulli(0.5), Normal(0, 1))
    with pytest.raises(NotImplementedError, match="Bernoulli"):
        kl_divergence(Normal(0, 1), Bernoulli(0.5))
    with pytest.raises(NotImplementedError, match="Categorical"):
        kl_divergence(Normal(0, 1), Categorical([0.5, 0.5]))
    with pytest.raises(NotImplementedError, match="Categorical"):
        kl_divergence(Categorical([0.5, 0.5]), Uniform(0, 1))
    with pytest.raises(NotImplementedError, match="Bernoulli"):
        kl_divergence(Bernoulli(0.5), Exponential(1))
    with pytest.raises(NotImplementedError, match="Bernoulli"):
        kl_divergence(Bernoulli(0.5), Laplace(0, 1))
    with pytest.raises(NotImplementedError, match="StudentT"):
        kl_divergence(StudentT(3.0), StudentT(3.0))
    assert kl_divergence(StudentT([1.0, 2.0]), Normal(0, 1)).tolist() == [math.inf, math.inf]
    with pytest.raises(NotImplementedError, match="Dirichlet"):
        kl_divergence(Dirichlet([1, 1]), MultivariateNormal([0, 0], np.eye(2)))
    with pytest.raises(ValueError, match=r"two of kind Dirichlet, of vectors of 2 and of 3"):
        kl_divergence(Dirichlet([1, 1]), Dirichlet([1, 1, 1]))
    with pytest.raises(TypeError, match="two distributions"):
        kl_divergence(Normal(0, 1), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 classes and one of 2"):
        kl_divergence(Categorical([1, 1, 1]), Categorical([1, 1]))
    with pytest.raises(ValueError, match=r"Normal of shape \(2,\) and a Normal of shape \(3,\) do not broadcast"):
        kl_divergence(Normal([0, 1], 1), Normal([0, 1, 2], 1))


# Samples

SAMPLED = [
    Normal([0.5, -3.0], [2.0, 0.1]),
    Laplace([0.5, -3.0], [2.0, 0.1]),
    Uniform([0.0, -3.0], [2.0, 0.1]),
    Exponential([0.5, 30.0]),
    StudentT(9.0, [0.5, -3.0], [2.0, 0.1]),
    Gamma([0.05, 30.0], [0.1, 4.0]),
    Beta([0.2, 3.0], [0.3, 30.0]),
    Bernoulli([0.5, 0.01]),
    Bernoulli(logits=[0.5, -2.0]),
]


def kind_of(distribution: Any) -> str:
    return type(distribution).__name__


@pytest.mark.parametrize("distribution", SAMPLED, ids=kind_of)
def test_moments_of_samples(distribution: Any) -> None:
    count = 100_000
    samples = distribution.sample(count, rng=0)
    assert samples.shape == (count, 2)
    assert np.all(np.abs(samples.mean(axis=0) - distribution.mean) < 5 * np.sqrt(distribution.variance / count))
    squares = np.square(samples - distribution.mean)
    errors = squares.std(axis=0) / math.sqrt(count)
    assert np.all(np.abs(squares.mean(axis=0) - distribution.variance) < 5 * errors + 1e-9)
    surprise = -distribution.log_prob(samples)
    errors = surprise.std(axis=0) / math.sqrt(count)
    assert np.all(np.abs(surprise.mean(axis=0) - distribution.entropy()) < 5 * errors + 1e-9)


@pytest.mark.parametrize("distribution", SAMPLED[:7], ids=kind_of)
def test_samples_follow_the_cdf(distribution: Any) -> None:
    stats: Any = pytest.importorskip("scipy.stats")
    uniform = distribution.cdf(distribution.sample(10_000, rng=1))
    for column in uniform.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4


def test_samples_of_counts_and_of_vectors() -> None:
    count = 20_000
    rates = np.array([0.0, 0.3, 5.0, 300.0])
    p, counts = Poisson(rates), Poisson(rates).sample(count, rng=0)
    assert counts.dtype == np.float64
    assert np.all(counts[:, 0] == 0)
    for values, rate in zip(counts.T[1:3], rates[1:3], strict=True):
        share, expected = np.mean(values == 4), np.exp(Poisson(rate).log_prob(4))
        assert abs(share - expected) < 5 * np.sqrt(expected / count)
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    gaussian = MultivariateNormal([[1.0, 2.0], [0.0, -1.0]], covariance)
    for distribution, shape in ((p, (4,)), (gaussian, (2, 2)), (Dirichlet([[0.1, 2.0, 0.5], [1.0, 9.0, 3.0]]), (2, 3))):
        samples = distribution.sample((count,), rng=1)
        assert samples.shape == (count, *shape)
        error = 5 * np.sqrt(distribution.variance / count)
        assert np.all(np.abs(samples.mean(axis=0) - distribution.mean) <= error)
        np.testing.assert_allclose(samples.var(axis=0), distribution.variance, rtol=0.05)
    draws = gaussian.sample((count,), rng=1)[:, 1]
    np.testing.assert_allclose(np.cov(draws.T), covariance, rtol=0.05)
    assert np.all(Dirichlet([1e-4] * 3).sample(50, rng=0).max(axis=-1) > 0.5)  # where all gamma draws underflow


@pytest.mark.parametrize("given", [{"probs": [[1, 0, 2, 5], [0, 1, 0, 0]]}, {"logits": [[0.0, 1, -1, -math.inf]] * 2}])
def test_frequencies_of_classes(given: dict[str, Any]) -> None:
    count, distribution = 100_000, Categorical(**given)
    samples = distribution.sample((count,), rng=0)
    assert samples.shape == (count, 2)
    assert samples.dtype.kind == "i"
    for column, probs in zip(samples.T, distribution.probs, strict=True):
        share = np.bincount(column, minlength=4) / count
        assert np.all(np.abs(share - probs) <= 5 * np.sqrt(probs * (1 - probs) / count))


@pytest.mark.parametrize("distribution", [*SAMPLED, Categorical([0.2, 0.3, 0.5])], ids=kind_of)
def test_same_seed_same_bits(distribution: Any) -> None:
    first, again = distribution.sample((3, 2), rng=7), distribution.sample((3, 2), rng=7)
    assert first.tobytes() == again.tobytes()
    assert distribution.sample((3, 2), rng=np.random.default_rng(7)).tobytes() == first.tobytes()
    assert distribution.sample((3, 2), rng=8).tobytes() != first.tobytes()
    rng = np.random.default_rng(7)
    assert distribution.sample((50,), rng=rng).tobytes() != distribution.sample((50,), rng=rng).tobytes()
    assert not isinstance(first, ad.Tensor)


@pytest.mark.parametrize("distribution", [*SAMPLED[:4], Gamma([0.05, 30.0], [0.1, 4.0])], ids=kind_of)
def test_gradients_of_samples(distribution: Any) -> None:
    """Where a sample keeps its rank, ``cdf(x, θ)`` stays as it is: ``dx/dθ = -∂cdf/∂θ / density``."""
    kind, given = type(distribution), list(distribution._parameters.values())
    leaves = [ad.Tensor(x) for x in given]
    samples = kind(*leaves).rsample((), rng=3)
    assert samples.data.tobytes() == distribution.sample((), rng=3).tobytes()
    samples.backward(np.ones(2))
    moved = [ad.Tensor(x) for x in given]
    kind(*moved).cdf(samples.data).backward(np.ones(2))
    density = np.exp(distribution.log_prob(samples.data))
    for leaf, other in zip(leaves, moved, strict=True):
        np.testing.assert_allclose(leaf.grad, -other.grad / density, rtol=1e-6, atol=1e-12)


def test_gradients_of_gamma_draws() -> None:
    """They are the implicit ones: by PyTorch's approximation, and by 60 digits."""
    torch = pytest.importorskip("torch")
    a = np.exp(np.random.default_rng(0).uniform(-4, 8, 500))
    leaf = ad.Tensor(a)
    draws = Gamma(leaf, 1.0).rsample((), rng=1)
    draws.backward(np.ones(500))
    theirs = torch._standard_gamma_grad(torch.tensor(a), torch.tensor(draws.data)).numpy()
    np.testing.assert_allclose(leaf.grad, theirs, rtol=1e-3)
    assert np.median(np.abs(leaf.grad / theirs - 1)) < 1e-5
    mp = pytest.importorskip("mpmath")
    with mp.workdps(60):
        for k in np.arange(0, 500, 50):
            concentration, z = mp.mpf(a[k]), mp.mpf(draws.data[k])
            by_a = mp.diff(lambda s, z=z: mp.gammainc(s, 0, z, regularized=True), concentration, h=mp.mpf(10) ** -25)
            density = mp.exp((concentration - 1) * mp.log(z) - z - mp.loggamma(concentration))
            assert leaf.grad[k] == pytest.approx(float(-by_a / density), rel=1e-11)


def test_gradients_of_expectations_of_draws() -> None:
    """By the mean over draws and in closed form, and that of every draw to second order."""
    n, a = 8_000, np.array([0.1, 1.3, 20.0])
    special: Any = pytest.importorskip("scipy.special")

    def expected(f: Any, kind: Any, *given: Any) -> Any:
        return ad.grad(lambda *given: np.sum(np.mean(f(kind(*given).rsample(n, rng=0)), axis=0)))(*given)

    np.testing.assert_allclose(expected(np.log, Gamma, a, 2.0), special.polygamma(1, a), rtol=0.03)
    np.testing.assert_allclose(expected(np.square, Gamma, a, 2.0), (2 * a + 1) / 4, rtol=0.1)
    np.testing.assert_allclose(expected(lambda x: x, Beta, a, 2.0), 2 / (a + 2) ** 2, rtol=0.03)
    np.testing.assert_allclose(expected(np.square, StudentT, a + 6), -2 / (a + 4) ** 2, rtol=0.25)
    share = expected(lambda x: x[..., 0], Dirichlet, a)
    np.testing.assert_allclose(share, (np.array([1, 0, 0]) - 0.1 / 21.4) / 21.4, rtol=0.05)
    check_gradients(lambda a, r: Gamma(a, r).rsample(2, rng=0), np.array([0.2, 30.0]), 2.0, order=2)
    check_gradients(lambda a, b: Beta(a, b).rsample(2, rng=0), 0.7, 2.0, order=2)
    check_gradients(lambda df, m, s: StudentT(df, m, s).rsample(2, rng=0), 3.0, 0.3, 0.5, order=2)
    check_gradients(lambda a: Dirichlet(a).rsample(2, rng=0), np.array([0.7, 3.0]), order=2)
    check_gradients(
        lambda m, c: MultivariateNormal(m, c @ c.T).rsample(2, rng=0), np.ones(2), np.array([[1.0, 2.0], [3.0, 5.0]])
    )


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_compiled_steps_draw_and_compute_what_eager_ones_do(backend: Any) -> None:
    pytest.importorskip("numba")

    def loss(a: Any, rng: Any) -> Any:
        if backend == "numba":  # which takes calls of SciPy as they are
            return np.sum(Gamma(a, 2.0).rsample((), rng) + Gamma(a, 2.0).log_prob(0.25))
        draws = Gamma(a, 2.0).rsample(3, rng), StudentT(a).rsample(3, rng), Dirichlet(a).rsample(3, rng)
        gaussian = MultivariateNormal(a, np.eye(2) * a[0])
        densities = Beta(a, 2.0).log_prob(0.25), Poisson(a).log_prob(2), gaussian.log_prob(gaussian.rsample(3, rng))
        return sum(np.sum(x) for x in (*draws, *densities))

    rng, eager = np.random.default_rng(0), np.random.default_rng(0)
    step = ad.compile(lambda a: ad.value_and_grad(loss)(a, rng), state=rng, backend=backend)
    for a in ([0.5, 2.0], [1.5, 3.0], [0.1, 9.0]):
        value, slope = step(np.array(a))
        expected, wanted = ad.value_and_grad(loss)(np.array(a), eager)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        np.testing.assert_allclose(slope, wanted, rtol=1e-10)


def test_samples_of_a_tensors_distribution_are_arrays_and_its_properties_stay_differentiable() -> None:
    for kind in (Bernoulli, Categorical):
        logits = ad.Tensor([0.5, -0.5])
        distribution = kind(logits=logits)
        value = distribution.sample(rng=0)
        assert not isinstance(value, ad.Tensor)
        distribution.log_prob(value).sum().backward()
        assert np.all(logits.grad != 0)


def test_samples_have_the_parameters_dtype() -> None:
    single = np.float32(0.5)
    for distribution in (Normal(single, 1), Laplace(0, single), Uniform(0.0, single), Exponential(single)):
        assert distribution.sample(3, rng=0).dtype == np.float32
        assert distribution.rsample(3, rng=0).dtype == np.float32
        assert kl_divergence(distribution, distribution).dtype == np.float32
    for distribution in (StudentT(1, single), Gamma(single, 1), Beta(1, single), Dirichlet([single, single])):
        assert distribution.rsample(3, rng=0).dtype == distribution.log_prob(np.full(2, single)).dtype == np.float32
    assert MultivariateNormal([single], [[single]]).rsample(3, rng=0).dtype == np.float32
    assert Gamma(np.float32(1e-3), 1).sample(50, rng=0).min() == np.finfo(np.float32).tiny  # 0 has no finite density
    assert Bernoulli(single).sample(3, rng=0).dtype == np.float32
    assert Uniform(np.float16(0), np.float16(1)).sample(3, rng=0).dtype == np.float16
    assert Normal(0, 1).dtype == np.float64
    assert Normal(np.array([1, 2]), single).dtype == np.float64


def test_samples_of_a_uniform_in_single_precision_stay_below_high() -> None:
    assert Uniform(np.float32(0), np.float32(1)).sample(10**6, rng=0).max() < 1


@pytest.mark.parametrize(
    ("shape", "error"),
    [(-1, ValueError), ((2, -1), ValueError), (True, TypeError), ((2.5,), TypeError), ("abc", TypeError)],
)
def test_shapes_of_samples(shape: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Normal: the shape of samples, or each length in it, must be an integer, 0"):
        Normal(0, 1).sample(shape)


def test_discrete_samples_have_no_gradient() -> None:
    for distribution in (Bernoulli(0.5), Categorical([0.5, 0.5]), Poisson(2.0)):
        with pytest.raises(NotImplementedError, match="a discrete sample has no gradient"):
            distribution.rsample()


# What is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(0, -1.5), "Normal: scale must be positive, got -1.5"),
        (lambda: Normal(0, [1.0, 0.0]), "Normal: scale must be positive, got 0.0"),
        (lambda: Normal(math.nan, 1), "Normal: loc must be real numbers, got nan"),
        (lambda: Normal(0, ad.Tensor([-1.0])), "Normal: scale must be positive, got -1.0"),
        (lambda: Laplace(0, 0), "Laplace: scale must be positive, got 0.0"),
        (lambda: Exponential(-2.0), "Exponential: rate must be positive, got -2.0"),
        (lambda: Uniform([0.0, 2.0], 2.0), "Uniform: low must be below high, got low=2.0 and high=2.0"),
        (lambda: Bernoulli(1.5), "Bernoulli: probs must be between 0 and 1, got 1.5"),
        (lambda: Bernoulli(logits=math.inf), "Bernoulli: logits must be finite .*, got inf"),
        (lambda: Bernoulli(), "Bernoulli: give either probs or logits, got neither"),
        (lambda: Categorical(probs=[1.0], logits=[1.0]), "Categorical: give either probs or logits, got both"),
        (lambda: Categorical([0.5, -0.5]), "Categorical: probs must be finite and not negative, got -0.5"),
        (lambda: Categorical([[0, 1], [0, 0]]), "Categorical: probs must leave one class possible"),
        (lambda: Categorical(logits=[-math.inf]), "Categorical: logits must leave one class possible"),
        (lambda: Categorical(logits=[math.inf, 0]), "Categorical: logits must be numbers or -inf, got inf"),
        (lambda: Categorical(logits=[math.nan, 0]), "Categorical: logits must be real numbers, got nan"),
        (lambda: Categorical(0.5), r"Categorical: probs must have the shape \(..., K\), got \(\)"),
        (lambda: Categorical(np.zeros((2, 0))), "Categorical: probs must have the shape"),
        (lambda: StudentT(0.0), "StudentT: df must be positive and finite, got 0.0"),
        (lambda: StudentT(1.0, scale=-1.0), "StudentT: scale must be positive, got -1.0"),
        (lambda: Gamma(1.0, [1.0, -2.0]), "Gamma: rate must be positive and finite, got -2.0"),
        (lambda: Gamma(math.inf, 1.0), "Gamma: concentration must be positive and finite, got inf"),
        (lambda: Beta(1.0, 0.0), "Beta: concentration0 must be positive and finite, got 0.0"),
        (lambda: Poisson(-1.0), "Poisson: rate must be 0 or more and finite, got -1.0"),
        (lambda: Dirichlet([1.0, -1.0]), "Dirichlet: concentration must be positive and finite, got -1.0"),
        (lambda: Dirichlet(1.0), r"Dirichlet: concentration must have the shape \(..., K\), got \(\)"),
        (lambda: MultivariateNormal([0, 0]), "give one of covariance_matrix, precision_matrix, scale_tril, got none"),
        (lambda: MultivariateNormal(0, [[1]]), r"MultivariateNormal: loc must have the shape \(..., K\), got \(\)"),
        (lambda: MultivariateNormal([0], [1]), r"covariance_matrix must have the shape \(..., K, K\), got \(1,\)"),
        (lambda: MultivariateNormal([0, 0], np.eye(3)), r"covariance_matrix of shape \(3, 3\) for vectors of 2"),
        (lambda: MultivariateNormal([0, 0], [[1, 2], [0, 1]]), "covariance_matrix must be symmetric, got 2.0"),
        (lambda: MultivariateNormal([0, 0], [[1, 2], [2, 1]]), "covariance_matrix must be positive definite"),
        (lambda: MultivariateNormal([0, 0], precision_matrix=-np.eye(2)), "precision_matrix must be positive definite"),
        (lambda: MultivariateNormal([0, 0], scale_tril=[[1, 1], [0, 1]]), "scale_tril must be lower triangular"),
        (lambda: MultivariateNormal([0, 0], scale_tril=[[1, 0], [0, -1]]), "with a positive diagonal, got"),
        (lambda: Normal([0, 1], [1, 2, 3]), r"Normal: loc of shape \(2,\) and scale of shape \(3,\) do not broadcast"),
    ],
)
def test_parameters_outside_their_domain(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("distribution", "value", "message"),
    [
        (Normal(0, 1), math.nan, "must be real numbers, got nan"),
        (Laplace(0, 1), [0, math.nan], "must be real numbers, got nan"),
        (Uniform(0, [1, 2]), 1.5, "must be from low to high, got 1.5"),
        (Exponential(1), -0.5, "must be at least 0, got -0.5"),
        (Bernoulli(0.5), 0.5, "must be 0 or 1, got 0.5"),
        (Categorical([1, 1, 1]), 3, "must be an integer from 0 to 2, got 3.0"),
        (Categorical([1, 1, 1]), np.array([0.5]), "must be an integer from 0 to 2, got 0.5"),
        (Categorical([[1, 1]] * 3), [0, 1], r"value of shape \(2,\) .* parameters of shape \(3,\)"),
        (StudentT(1), math.nan, "must be real numbers, got nan"),
        (Gamma(1, 1), -0.5, "must be at least 0, got -0.5"),
        (Beta(1, [1, 2]), 1.5, "must be between 0 and 1, got 1.5"),
        (Poisson(1), -1, "must be 0, 1, 2 and so on, got -1.0"),
        (Poisson(1), [1.0, 2.5], "must be 0, 1, 2 and so on, got 2.5"),
        (Dirichlet([1, 1]), [0.5, 0.6], "must be not negative, and of sum 1 along the last axis, got 0.5"),
        (Dirichlet([1, 1]), [[1.5, -0.5]], "must be not negative, and of sum 1 along the last axis, got -0.5"),
        (Dirichlet([1, 1]), [1.0], r"value of shape \(1,\) .* parameters of shape \(2,\)"),
        (MultivariateNormal([0, 0], np.eye(2)), [[0, math.nan]], "must be real numbers, got nan"),
        (MultivariateNormal([0, 0], np.eye(2)), 0.5, r"value of shape \(\) .* parameters of shape \(2,\)"),
        (Normal([0, 1], 1), [1, 2, 3], r"value of shape \(3,\) .* parameters of shape \(2,\)"),
    ],
)
def test_values_outside_the_support(distribution: Any, value: Any, message: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=rf"{kind_of(distribution)}.log_prob: .*{message}"):
        distribution.log_prob(value)
    theirs = getattr(torch.distributions, kind_of(distribution))(
        **{name: torch.tensor(x) for name, x in distribution._parameters.items()}
    )
    with pytest.raises(ValueError, match=r"support|broadcast|event_shape"):
        theirs.log_prob(torch.tensor(value))


def test_parameters_and_values_that_are_no_numbers() -> None:
    with pytest.raises(TypeError, match="Normal: scale must be real numbers, got 'a'"):
        Normal(0, "a")
    with pytest.raises(TypeError, match=r"Normal.log_prob: the value must be real numbers"):
        Normal(0, 1).log_prob([1j])


def test_the_end_of_a_uniform_is_a_value_of_density_zero() -> None:
    assert Uniform(0, 1).log_prob(1.0) == -math.inf
    assert Uniform(0, 1).cdf(1.0) == 1


def test_names() -> None:
    assert distributions.Multinoulli is Categorical
    assert repr(Exponential(2)) == "Exponential(rate=array(2.))"
    assert repr(StudentT(2)) == "StudentT(df=array(2.), loc=array(0.), scale=array(1.))"
    assert repr(Bernoulli(logits=0.5)) == "Bernoulli(logits=array(0.5))"


def test_without_scipy_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autodiff.scipy", None)  # as if it could not be imported
    for ask in (
        lambda: Normal(0, 1).cdf(0.5),
        lambda: StudentT(1.0),
        lambda: Gamma(1.0, 1.0),
        lambda: Beta(1.0, 1.0),
        lambda: Poisson(1.0),
        lambda: Dirichlet([1.0, 1.0]),
    ):
        with pytest.raises(ImportError, match=r'needs SciPy: pip install -e "\.\[special\]"'):
            ask()
    assert Normal(0, 1).log_prob(0.0) == MultivariateNormal([0.0], [[1.0]]).log_prob([0.0])
