"""Densities and distribution functions where the table of cases does not come: supports, edges, and refusals."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.testing import check_gradients

ss = pytest.importorskip("scipy.stats")

from autodiff.scipy import stats  # noqa: E402

OUTSIDE: dict[str, tuple[tuple[float, ...], list[float]]] = {
    "gamma": ((2.5,), [-1.0, -1e-9]),
    "beta": ((2.5, 1.5), [-0.5, 1.5]),
    "chi2": ((3.0,), [-2.0]),
    "expon": ((), [-0.1]),
}


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("method", ["logpdf", "pdf", "cdf", "sf", "logcdf", "logsf"])
def test_outside_the_support_values_are_scipys_and_gradients_zero(name: str, method: str) -> None:
    shapes, points = OUTSIDE[name]
    x, loc, scale = Tensor(np.array(points)), Tensor(0.0), Tensor(1.0)
    value = getattr(getattr(stats, name), method)(x, *shapes, loc, scale)
    np.testing.assert_array_equal(value.data, getattr(getattr(ss, name), method)(points, *shapes))
    value.backward(np.ones(len(points)))
    for variable in (x, loc, scale):
        np.testing.assert_array_equal(variable.grad, np.zeros(variable.shape))


def test_counts_that_are_none_have_no_probability() -> None:
    mu = Tensor(2.0)
    value = stats.poisson.logpmf(np.array([-1.0, 1.5]), mu)
    np.testing.assert_array_equal(value.data, [-np.inf, -np.inf])
    value.backward(np.ones(2))
    assert mu.grad == 0


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # SciPy's own
@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_where_scipy_gives_nan_the_gradient_is_nan(scale: float) -> None:
    x = Tensor([0.5, 1.0])
    value = stats.norm.logpdf(x, 0.0, scale)
    assert np.isnan(value.data).all()
    value.backward(np.ones(2))
    assert np.isnan(x.grad).all()


def test_on_the_edge_of_the_support_the_gradient_is_that_of_the_inside() -> None:
    assert ad.grad(stats.expon.logpdf)(0.0) == -1
    assert ad.grad(stats.gamma.pdf)(0.0, 2.0) == 1
    assert ad.grad(stats.gamma.cdf)(0.0, 1.0) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda v: stats.norm.ppf(v / 6), r"norm\.ppf has no derivative rule"),
        (lambda v: stats.norm(v).mean(), r"norm\.mean has no derivative rule"),
        (lambda v: stats.multivariate_normal.cdf(v * np.ones(2)), r"multivariate_normal\.cdf has no derivative rule"),
        (lambda v: stats.multivariate_normal.logpdf(v, v, ss.Covariance.from_diagonal([1.0])), "beside a Covariance"),
        (lambda v: stats.poisson.logpmf(v, 2.0), r"poisson\.logpmf has no derivative with respect to argument 0"),
    ],
)
def test_arguments_without_a_derivative_are_refused_by_name(call: Any, words: str) -> None:
    with pytest.raises(NotImplementedError, match=words):
        call(Tensor(3.0))


def test_beside_the_axes_of_a_singular_normal_there_is_no_density_and_no_gradient() -> None:
    x, cov = Tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 1.0]]), Tensor(np.diag([1.0, 1.0, 0.0]))
    value = stats.multivariate_normal.logpdf(x, cov=cov, allow_singular=True)
    np.testing.assert_allclose(value.data, ss.multivariate_normal.logpdf(x.data, cov=cov.data, allow_singular=True))
    value.backward(np.ones(2))
    np.testing.assert_allclose(x.grad, np.array([[-1.0, -2.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(cov.grad, np.array([[0.0, 1.0, 0.0], [1.0, 1.5, 0.0], [0.0, 0.0, 0.0]]), atol=1e-15)


def test_a_singular_normal_turns_with_its_axes() -> None:
    rng = np.random.default_rng(0)
    across, w = rng.standard_normal((4, 2)), rng.standard_normal((3, 2))  # two axes in a space of three

    def logpdf(across: Any, mean: Any, w: Any) -> Any:
        points, cov = mean + across @ np.swapaxes(w, 0, 1), w @ np.swapaxes(w, 0, 1)
        return stats.multivariate_normal.logpdf(points, mean, cov, allow_singular=True)

    check_gradients(logpdf, across, rng.standard_normal(3), w, order=2)
    assert not ad.grad(stats.multivariate_normal.entropy)(np.ones(3)).any()
    assert ad.grad(lambda v: stats.multivariate_normal(np.zeros(3), v).entropy())(2.0) == 0.75
    assert ad.grad(lambda v: stats.multivariate_normal.entropy(np.zeros(3), v))(2.0) == 0.75
    check_gradients(lambda w: stats.multivariate_normal.entropy(cov=w @ np.swapaxes(w, 0, 1)), w, order=2)


def test_keywords_are_scipys() -> None:
    loc, scale = Tensor(0.5), Tensor(2.0)
    stats.norm.logpdf(1.0, scale=scale, loc=loc).backward()
    np.testing.assert_allclose([loc.grad, scale.grad], [0.125, -0.46875])
    with pytest.raises(TypeError, match="rate"):
        stats.norm.logpdf(1.0, rate=loc)


def test_what_is_not_here_is_scipys() -> None:
    assert stats.norm.ppf(0.5) == 0
    assert stats.gamma.mean(2.0) == 2
    assert stats.cauchy is ss.cauchy
    assert type(stats.norm.logpdf(0.0)) is np.float64


@pytest.mark.parametrize("name", ["norm", "expon"])
def test_densities_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    x, scale = np.array([0.3, 1.5]), np.array([1.5, 0.7])
    ours = [Tensor(x), Tensor(scale)]
    getattr(stats, name).logpdf(ours[0], 0.0, ours[1]).sum().backward()
    theirs = [torch.tensor(x, requires_grad=True), torch.tensor(scale, requires_grad=True)]
    kinds = torch.distributions
    kind = kinds.Normal(0.0, theirs[1]) if name == "norm" else kinds.Exponential(1 / theirs[1])
    kind.log_prob(theirs[0]).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad, other.grad.numpy(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("name", ["t", "gamma", "beta", "chi2", "poisson"])
def test_the_gradient_by_a_parameter_out_of_its_range_is_nan(name: str) -> None:
    shapes = [Tensor(2.0) for _ in range(2 if name == "beta" else 1)]
    for bad in shapes:
        bad.data = -1.0
        value = getattr(getattr(stats, name), "logpmf" if name == "poisson" else "logpdf")(1, *shapes)
        assert np.isnan(value.data)
        value.backward()
        assert np.isnan(bad.grad)
        bad.data = 2.0
    for scale in () if name == "poisson" else (0.0, -1.0):
        assert np.isnan(ad.grad(lambda s: getattr(stats, name).cdf(0.5, *[2.0] * len(shapes), scale=s))(scale))


def test_a_mean_of_zero_is_the_edge_of_what_poissons_may_be() -> None:
    assert ad.grad(lambda mu: stats.poisson.logpmf(0, mu))(0.0) == -1
    assert [ad.grad(lambda mu: stats.poisson.pmf(k, mu))(0.0) for k in range(3)] == [-1, 1, 0]  # noqa: B023


def test_densities_of_shape_one_vary_with_it() -> None:
    for of, x in ((stats.gamma.pdf, 2.0), (stats.chi2.pdf, 0.5), (lambda x, a: stats.beta.pdf(x, a, 1.0), 0.3)):
        one = 2.0 if of is stats.chi2.pdf else 1.0
        slope = ad.grad(of)
        numerical = (slope(x, one + 1e-5) - slope(x, one - 1e-5)) / 2e-5
        assert ad.grad(slope, 1)(x, one) == pytest.approx(numerical, rel=1e-8)


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")  # of SciPy, which comes first
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: stats.norm.logpdf(0.5, z), "norm.logpdf: loc"),
        (lambda z: stats.gamma.logpdf(z, 2.0), "gamma.logpdf: x"),
        (lambda z: stats.multivariate_normal.logpdf(np.ones(2), cov=z * np.eye(2)), "multivariate_normal.logpdf: cov"),
        (lambda z: stats.dirichlet.logpdf(np.stack([z, 1 - z]), np.ones(2)), "dirichlet.logpdf: x"),
    ],
)
def test_complex_numbers_are_refused_by_the_name_of_the_argument(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message} must be real numbers, got dtype complex128"):
        ad.grad(lambda z: np.abs(function(z)))(0.5 + 0.2j)


@pytest.mark.parametrize(("shape", "other"), [(1e-3, 1e-3), (0.01, 0.01), (0.01, 3.0), (1e-4, 0.4), (3.0, 0.01)])
def test_distribution_functions_of_small_shapes_vary_with_them(shape: float, other: float) -> None:
    """There the density hardly falls off between the end and where it begins to."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(30):
        for x in (1e-100, 1e-20, 0.1, 0.9):
            right = mpmath.diff(lambda a: mpmath.betainc(a, other, 0, x, regularized=True), shape)  # noqa: B023
            assert ad.grad(stats.beta.cdf, 1)(x, shape, other) == pytest.approx(float(right), rel=1e-10)
            right = mpmath.diff(lambda a: 1 - mpmath.gammainc(a, x, mpmath.inf) / mpmath.gamma(a), shape)  # noqa: B023
            assert ad.grad(stats.gamma.cdf, 1)(x, shape) == pytest.approx(float(right), rel=1e-10)


@pytest.mark.parametrize("shape", [0.01, 0.5, 3.0, 200.0])
def test_distribution_functions_vary_with_shapes_as_the_integral_of_the_density_does(shape: float) -> None:
    mpmath = pytest.importorskip("mpmath")
    for x in (shape / 100, shape * 0.9, shape * 1.5 + 1):
        right = mpmath.diff(lambda a: mpmath.gammainc(a, 0, x, regularized=True), shape)  # noqa: B023
        assert ad.grad(stats.gamma.cdf, 1)(x, shape) == pytest.approx(float(right), rel=1e-10)
        x = x / (1 + x)
        right = mpmath.diff(lambda a: mpmath.betainc(a, 1.5, 0, x, regularized=True), shape)  # noqa: B023
        assert ad.grad(stats.beta.sf, 1)(x, shape, 1.5) == pytest.approx(-float(right), rel=1e-10)
    slopes = [ad.grad(stats.t.cdf, 1)(x, shape) for x in (-2.0, -1e-9, 0.0)]
    right = (ss.t.cdf(-2.0, shape * 1.0001) - ss.t.cdf(-2.0, shape * 0.9999)) / (2e-4 * shape)
    assert slopes[0] == pytest.approx(right, rel=1e-6)
    mixed = ad.grad(ad.grad(stats.t.pdf, 1), 0)  # of the density, which the distribution function's slopes have too
    assert ad.grad(ad.grad(stats.t.cdf, 1), 0)(0.0, shape) == pytest.approx(ad.grad(stats.t.pdf, 1)(0.0, shape))
    assert slopes[1] == pytest.approx(-1e-9 * ad.grad(stats.t.pdf, 1)(0.0, shape))
    assert (slopes[2], mixed(0.0, shape)) == (0, 0)


def test_a_distribution_with_its_parameters() -> None:
    loc, x = Tensor(0.5), np.array([1.0, 2.0])
    frozen = stats.norm(loc, scale=2.0)
    frozen.logpdf(x).sum().backward()
    assert loc.grad == pytest.approx(0.5)
    assert stats.gamma(3.0).mean() == 3
    assert copy.deepcopy(frozen).cdf(0.5) == copy.copy(stats.norm).cdf(0.0) == 0.5
    assert stats.multivariate_normal(cov=Tensor(2.0)).entropy().data == ss.multivariate_normal(cov=2.0).entropy()
    np.testing.assert_array_equal(stats.multivariate_normal([0.0, 1.0]).pdf(x), ss.multivariate_normal([0, 1]).pdf(x))
    mean = Tensor([0.0, 1.0])
    stats.multivariate_normal(mean).logpdf(x).backward()
    np.testing.assert_allclose(mean.grad, [1, 1])


def test_of_a_covariance_the_triangle_is_read_that_scipy_reads() -> None:
    full = np.array([[2.0, 0.5], [0.5, 1.0]])
    half = np.array([[2.0, 9.0], [0.5, 1.0]])
    slope = ad.grad(lambda cov: stats.multivariate_normal.logpdf(np.ones(2), None, cov))
    np.testing.assert_array_equal(slope(half), slope(full))
    np.testing.assert_allclose(slope(full), slope(full).T, rtol=1e-14)


def test_singular_covariances_and_wrong_shapes_are_refused() -> None:
    for cov in (np.ones((2, 2)), -np.eye(2)):
        with pytest.raises(ValueError, match=r"positive (semi)?definite"):
            stats.multivariate_normal.logpdf(Tensor(np.ones(2)), None, cov)
    for call in (
        lambda: stats.multivariate_normal.logpdf(Tensor(np.ones(3)), np.zeros(2), np.eye(3)),
        lambda: stats.dirichlet.logpdf(Tensor([0.2, 0.9]), np.ones(2)),
    ):
        with pytest.raises(ValueError, match=r"^(multivariate_normal|dirichlet)\.logpdf of shapes"):
            call()
    with pytest.raises(TypeError, match=r"^gamma\.logpdf\(x, a, loc=0, scale=1\): missing a required argument: 'a'"):
        stats.gamma.logpdf(Tensor(1.0))


@pytest.mark.parametrize(("name", "shapes"), [("norm", ()), ("t", (3.0,)), ("gamma", (2.0,)), ("beta", (2.0, 3.0))])
def test_of_nan_value_and_gradient_are_nan(name: str, shapes: tuple[float, ...]) -> None:
    for method in ("logpdf", "pdf", "cdf", "logsf"):
        density = getattr(getattr(stats, name), method)
        assert np.isnan(
            [density(np.nan, *shapes), *ad.grad(density, (0, *range(1, 1 + len(shapes))))(np.nan, *shapes)]
        ).all()
