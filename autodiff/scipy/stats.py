"""`scipy.stats`: densities and distribution functions, by the value and the parameters.

These are `norm`, `t`, `gamma`, `beta`, `chi2`, `expon` and `poisson` with `pdf` or `pmf`, `cdf`, `sf` and their
logarithms, and `dirichlet` and `multivariate_normal` with `pdf` and `logpdf`. What else is here is SciPy's, without
derivatives.

Outside the support a density is 0, its logarithm -inf, and the gradient of both is 0; so is that of a distribution
function there, which is 0 or 1. On the edge of the support it is that of the inside. Where SciPy gives NaN, for a scale
that is not positive say, the gradient by what is out of its range is NaN. Counts, and where they begin, have no
derivative.

Example:
    >>> from autodiff.scipy import stats
    >>> loc = ad.Tensor(0.5)
    >>> stats.norm.logpdf(np.array([1.0, 2.0]), loc, 2.0).sum().backward()
    >>> loc.grad
    array(0.5)
    >>> stats.norm(loc, 2.0).logpdf(np.array([1.0, 2.0])).sum()
    Tensor(-3.53667143, call=sum)
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special, stats

from autodiff.batching.table import of_each_element
from autodiff.core.record import is_variable
from autodiff.core.rule import Array, Rule, defvjp, describe, facts_of
from autodiff.core.tensor import as_array, is_complex, is_inexact, stop_gradient
from autodiff.rules.special import power_product
from autodiff.scipy.calls import call_of_arrays, call_of_scipy, is_foreign
from autodiff.transforms.composition import defcomposition, pull_through

__all__ = ["beta", "chi2", "dirichlet", "expon", "gamma", "multivariate_normal", "norm", "poisson", "t"]

Formula = Callable[..., Array]
_LOG_ROOT_TWO_PI = math.log(2 * math.pi) / 2
# What a function is below its support, and above.
_OUTSIDE = {
    **dict.fromkeys(("pdf", "pmf"), (0.0, 0.0)),
    **dict.fromkeys(("logpdf", "logpmf"), (-math.inf, -math.inf)),
    "cdf": (0.0, 1.0),
    "sf": (1.0, 0.0),
    "logcdf": (-math.inf, 0.0),
    "logsf": (0.0, -math.inf),
}


def __getattr__(name: str) -> Any:
    return getattr(stats, name)


def _refuse_variables(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if any(is_variable(arg) for arg in (*args, *kwargs.values())):
        raise NotImplementedError(f"{name} has no derivative rule: call it on x.data")


def _refusing_complex(name: str, *parameters: str) -> Callable[..., None]:
    """Make what refuses complex numbers, of which SciPy drops the imaginary part in some places and not in others."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        for parameter, arg in {**dict(zip(parameters, args)), **kwargs}.items():
            if is_complex(arg):
                raise TypeError(f"{name}: {parameter} must be real numbers, got dtype {np.result_type(arg)}")

    return refuse


class _Named:
    """A distribution under SciPy's name: some of its methods have derivatives, the rest is SciPy's.

    Called with parameters it gives the distribution that has them, whose methods are not given them any more.
    """

    def __init__(self, name: str) -> None:
        self._name, self._scipys = name, getattr(stats, name)
        self.__doc__ = self._scipys.__doc__

    def __getattr__(self, name: str) -> Any:
        found = getattr(vars(self).get("_scipys"), name)  # which a copy does not have yet

        def method(*args: Any, **kwargs: Any) -> Any:
            _refuse_variables(f"{self._name}.{name}", args, kwargs)
            return found(*args, **kwargs)

        return functools.wraps(found)(method) if inspect.ismethod(found) else found

    def __call__(self, *args: Any, **kwargs: Any) -> _Frozen:
        return _Frozen(self, args, kwargs)


class _Frozen:
    """A distribution with its parameters."""

    def __init__(self, of: _Named, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._of, self._args, self._kwargs = of, args, kwargs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in vars(self._of):
            return lambda *x: vars(self._of)[name](*x, *self._args, **self._kwargs)  # the entropy has no value
        _refuse_variables(f"{self._of._name}.{name}", self._args, self._kwargs)
        return getattr(self._of._scipys(*self._args, **self._kwargs), name)


class Distribution(_Named):
    """A distribution of numbers.

    Args:
        name: its name in `scipy.stats`.
        shapes: the names of its parameters beside the location and the scale; all are positive, that of counts may be
            zero.
        support: the least and the largest value, of the distribution at location 0 and scale 1.
        formulas: its methods there, by name, as functions of the value and the shapes. Logarithms of distribution
            functions may be left out.
    """

    def __init__(self, name: str, shapes: str, support: tuple[float, float], **formulas: Formula) -> None:
        super().__init__(name)
        self._support, self._is_count = support, "pmf" in formulas
        names = ["k" if self._is_count else "x", *shapes.split(), "loc", *([] if self._is_count else ["scale"])]
        kind, none = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
        defaults = {"loc": 0, "scale": 1}
        signature = inspect.Signature([inspect.Parameter(one, kind, default=defaults.get(one, none)) for one in names])
        for log, method in (("logcdf", "cdf"), ("logsf", "sf")):
            formulas.setdefault(log, lambda *args, of=formulas[method]: np.log(of(*args)))
        for method, formula in formulas.items():
            setattr(self, method, self._method(f"{name}.{method}", method, formula, signature))

    def _method(self, name: str, method: str, formula: Formula, signature: inspect.Signature) -> Callable[..., Any]:
        scipys = getattr(self._scipys, method)

        def composition(*args: Array) -> Array:
            return self._composed(method, formula, *args)

        def density(*args: Array) -> Any:
            return composition(*args) if is_foreign(*args) else scipys(*args)

        density.__name__ = name
        call = call_of_scipy(density)
        of_each_element(call)
        describe(call, refuses=_refusing_complex(name, *signature.parameters))
        constant = ("k", "loc") if self._is_count else ()
        defvjp(
            call, *(None if one in constant else _rule(composition, k) for k, one in enumerate(signature.parameters))
        )

        def bound(*args: Any, **kwargs: Any) -> Any:
            try:
                arguments = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{name}{signature}: {error}") from None
            arguments.apply_defaults()
            return call(*arguments.args)

        bound.__name__, bound.__doc__ = method, scipys.__doc__
        bound.__signature__ = signature  # type: ignore[attr-defined]
        return bound

    def _composed(self, method: str, formula: Formula, x: Array, *parameters: Array) -> Array:
        """The method in functions that have derivatives: the formula within the support, and constants beside it.

        A parameter that is out of its range becomes NaN, through which its gradient is NaN.
        """
        *shapes, loc, scale = (*parameters, 1) if self._is_count else parameters
        (low, high), (below, above) = self._support, _OUTSIDE[method]
        fits = np.greater_equal if self._is_count else np.greater
        shapes = [shape * np.where(fits(shape, 0), 1, np.nan) for shape in shapes]
        scale = scale * np.where(np.greater(scale, 0), 1, np.nan)
        y = (as_array(x) - loc) / scale
        inside = ~(np.less(y, low) | np.greater(y, high))  # NaN goes through the formula, and so does its gradient
        if method.endswith("pmf"):
            inside = inside & (np.equal(y, np.floor(y)) | np.isnan(y))
        value = formula(np.where(inside, y, 0.5 if high == 1 else 1.0), *shapes)
        if method == "pdf":
            value = value / scale
        elif method == "logpdf":
            value = value - np.log(scale)
        is_valid = np.equal(y, y)
        for shape in shapes:
            is_valid = is_valid & np.equal(shape, shape)
        return np.where(inside, value, np.where(np.less(y, low), below, above)) * np.where(is_valid, 1, np.nan)


def _rule(composition: Formula, position: int) -> Rule:
    def rule(g: Array, out: Array, *args: Any) -> Array:
        return pull_through(composition, g, args, {}, position)[0]

    return rule


def _norm_logpdf(y: Array) -> Array:
    return -y * y / 2 - _LOG_ROOT_TWO_PI


def _t_logpdf(y: Array, df: Array) -> Array:
    no_end = np.isinf(df)
    n = np.where(no_end, 1, df)
    finite = -special.betaln(n / 2, 0.5) - np.log(n) / 2 - (n + 1) / 2 * np.log1p(y * y / n)
    return np.where(no_end, -y * y / 2 - _LOG_ROOT_TWO_PI, finite)


def _gamma_logpdf(y: Array, a: Array) -> Array:
    return special.xlogy(a - 1, y) - y - special.gammaln(a)


def _beta_logpdf(y: Array, a: Array, b: Array) -> Array:
    return special.xlogy(a - 1, y) + special.xlog1py(b - 1, -y) - special.betaln(a, b)


def _poisson_logpmf(k: Array, mu: Array) -> Array:
    return special.xlogy(k, mu) - special.gammaln(k + 1) - mu


norm = Distribution(
    "norm",
    "",
    (-math.inf, math.inf),
    logpdf=_norm_logpdf,
    pdf=lambda y: np.exp(_norm_logpdf(y)),
    cdf=special.ndtr,
    sf=lambda y: special.ndtr(-y),
    logcdf=special.log_ndtr,
    logsf=lambda y: special.log_ndtr(-y),
)
t = Distribution(
    "t",
    "df",
    (-math.inf, math.inf),
    logpdf=_t_logpdf,
    pdf=lambda y, df: np.exp(_t_logpdf(y, df)),
    cdf=lambda y, df: special.stdtr(df, y),
    sf=lambda y, df: special.stdtr(df, -y),
)
gamma = Distribution(
    "gamma",
    "a",
    (0, math.inf),
    logpdf=_gamma_logpdf,
    pdf=lambda y, a: power_product(a - 1, 0, y, -y - special.gammaln(a)),
    cdf=lambda y, a: special.gammainc(a, y),
    sf=lambda y, a: special.gammaincc(a, y),
)
beta = Distribution(
    "beta",
    "a b",
    (0, 1),
    logpdf=_beta_logpdf,
    pdf=lambda y, a, b: power_product(a - 1, b - 1, y, -special.betaln(a, b)),
    cdf=lambda y, a, b: special.betainc(a, b, y),
    sf=lambda y, a, b: special.betaincc(a, b, y),
)
chi2 = Distribution(
    "chi2",
    "df",
    (0, math.inf),
    logpdf=lambda y, df: _gamma_logpdf(y / 2, df / 2) - math.log(2),
    pdf=lambda y, df: power_product(df / 2 - 1, 0, y / 2, -y / 2 - special.gammaln(df / 2) - math.log(2)),
    cdf=lambda y, df: special.chdtr(df, y),
    sf=lambda y, df: special.chdtrc(df, y),
)
expon = Distribution(
    "expon",
    "",
    (0, math.inf),
    logpdf=lambda y: -y,
    pdf=lambda y: np.exp(-y),
    cdf=lambda y: -np.expm1(-y),
    sf=lambda y: np.exp(-y),
    logsf=lambda y: -y,
)
poisson = Distribution(
    "poisson",
    "mu",
    (0, math.inf),
    logpmf=_poisson_logpmf,
    pmf=lambda k, mu: power_product(k, 0, mu, -mu - special.gammaln(k + 1)),
    cdf=lambda k, mu: special.pdtr(np.floor(k), mu),
    sf=lambda k, mu: special.pdtrc(np.floor(k), mu),
)


class _OfVectors(_Named):
    """A distribution of vectors."""

    def __init__(self, name: str, **methods: Formula) -> None:
        super().__init__(name)
        vars(self).update(methods, pdf=lambda *args, **kwargs: np.exp(self.logpdf(*args, **kwargs)))


def _dirichlet_formula(x: Array, alpha: Array) -> Array:
    x, alpha = as_array(x), as_array(alpha)
    if x.shape[0] + 1 == alpha.shape[0]:
        x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)])
    powers = special.xlogy(np.reshape(alpha - 1, (-1,) + (1,) * (x.ndim - 1)), x)
    return np.sum(powers, axis=0) + special.gammaln(np.sum(alpha)) - np.sum(special.gammaln(alpha))


def _dirichlet_logpdf(x: Array, alpha: Array) -> Any:
    """Logarithm of the density at points whose coordinates, along the first axis, sum to one.

    The last coordinate may be left out. Where it is given, the gradient takes all as independent, as PyTorch does.
    """
    return _dirichlet_formula(x, alpha) if is_foreign(x, alpha) else stats.dirichlet.logpdf(x, alpha)


def _matrix(cov: Array, size: int) -> Array:
    """Make a matrix of floating-point numbers of one variance, or of one for each coordinate."""
    cov = cov if is_inexact(cov) else cov.astype(float)
    return cov if cov.ndim == 2 else cov * np.eye(size, dtype=cov.dtype)


def _normal_formula(x: Array, mean: Array = None, cov: Array = 1, allow_singular: bool = False) -> Array:
    """By a Cholesky factor, which reads the same triangle of the covariance matrix as SciPy does."""
    x, cov = as_array(x), as_array(cov)
    size = as_array(mean).size if mean is not None else cov.shape[0] if cov.ndim == 2 else 1
    cov = _matrix(cov, size)
    points = np.expand_dims(x, -1) if x.ndim == 0 or (size == 1 and x.ndim == 1) else x
    offset = points if mean is None else points - np.reshape(mean, (-1,))
    if allow_singular:
        return np.squeeze(_singular_formula(offset, cov))
    factor = np.linalg.cholesky(cov)
    squares = np.sum(np.square(np.linalg.solve(factor, np.expand_dims(offset, -1))), axis=(-1, -2))
    return np.squeeze(-squares / 2 - np.sum(np.log(np.diagonal(factor))) - size * _LOG_ROOT_TWO_PI)


def _least_width(cov: Array) -> Any:
    """What SciPy takes for no variance, beside the largest."""
    return (1e3 if cov.dtype.itemsize == 4 else 1e6) * np.finfo(cov.dtype).eps


@call_of_scipy
def _inverse_within(cov: Array) -> Array:
    """The pseudo-inverse, where what SciPy takes for no variance is none."""
    return np.linalg.pinv(cov, _least_width(cov))


defvjp(_inverse_within, facts_of(np.linalg.pinv).rules[0])  # but for what was left out, which is next to nothing


def _within(cov: Array) -> tuple[Array, Array, Array, Array]:
    """Take a covariance within the space in which it varies: inverse, determinant's logarithm, rank, and projection.

    The gradient is that of changes that keep the rank.
    """
    inverse = _inverse_within(cov)
    projection = cov @ inverse
    others = np.eye(cov.shape[-1], dtype=cov.dtype) - projection
    log_determinant = np.linalg.slogdet(projection @ cov @ projection + others)[1]
    return inverse, log_determinant, np.round(np.trace(stop_gradient(projection))), projection


def _singular_formula(offset: Array, cov: Array) -> Array:
    inverse, log_determinant, rank, projection = _within(cov)
    value = -(np.sum((offset @ inverse) * offset, axis=-1) + log_determinant) / 2 - rank * _LOG_ROOT_TWO_PI
    outside = np.linalg.norm(stop_gradient(offset - offset @ projection), axis=-1)
    return np.where(outside < 1e3 * _least_width(cov) * np.linalg.norm(stop_gradient(cov), 2), value, -np.inf)


def _normal_logpdf(x: Array, mean: Array = None, cov: Array = 1, allow_singular: bool = False) -> Any:
    """Logarithm of the density; by a covariance matrix, which is symmetric, the gradient is the symmetric one."""
    return stats.multivariate_normal.logpdf(x, mean, cov, allow_singular)


def _normal_entropy(mean: Array = None, cov: Array = 1) -> Any:
    """Entropy, which no mean changes."""
    return stats.multivariate_normal.entropy(mean, cov)


def _entropy_formula(mean: Array = None, cov: Array = 1) -> Array:
    cov = as_array(cov)
    _, log_determinant, rank, _ = _within(_matrix(cov, 1 if mean is None else as_array(mean).size))
    return (log_determinant + rank) / 2 + rank * _LOG_ROOT_TWO_PI


def _refuse_object(x: Array, mean: Array = None, cov: Array = 1, allow_singular: bool = False) -> None:
    _refusing_complex("multivariate_normal.logpdf", "x", "mean", "cov")(x, mean, cov)
    if isinstance(cov, stats.Covariance):
        raise NotImplementedError("multivariate_normal.logpdf: no gradient beside a Covariance: give its .covariance")


_dirichlet_logpdf.__name__, _normal_logpdf.__name__ = "dirichlet.logpdf", "multivariate_normal.logpdf"
_normal_entropy.__name__ = "multivariate_normal.entropy"
dirichlet = _OfVectors("dirichlet", logpdf=call_of_scipy(_dirichlet_logpdf))
multivariate_normal = _OfVectors(
    "multivariate_normal", logpdf=call_of_arrays(_normal_logpdf), entropy=call_of_arrays(_normal_entropy)
)
defcomposition(dirichlet.logpdf, _dirichlet_formula, arguments=2)
defcomposition(multivariate_normal.logpdf, _normal_formula, arguments=3)
defcomposition(multivariate_normal.entropy, _entropy_formula, arguments=2)
describe(dirichlet.logpdf, refuses=_refusing_complex("dirichlet.logpdf", "x", "alpha"))
describe(multivariate_normal.logpdf, refuses=_refuse_object)
