"""Every case of the table at complex numbers, whose derivatives are those by their real and imaginary parts.

NumPy's function is asked first. What it refuses, a Tensor refuses too; what has no derivative is refused by name. All
else is compared with central differences in a direction that moves real and imaginary parts: the change of the result,
forward and in reverse, and that of the gradient. Then all arguments but the first are real again, and stay so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from tests.cases import CASES, Case
from tests.cases.points import is_float, places_of, several

STEP = 1e-5
# Cases that put numbers into real arrays, or multiply lists by them, which NumPy does with real ones only.
REAL = (".at of values from outside of what is derived", "full_like of a Tensor", "trapezoid, dx")
FINITE = [
    case
    for case in CASES
    if case.order and case.name not in REAL and any(is_float(arg) and arg.size for arg in case.args)
]
# Cases, by the beginning of their names, that have no derivative by complex numbers, or no second one.
REFUSED = (
    *("relu", "eigh, vectors as they are", "svd, vectors as they are", "scipy.stats.norm.logcdf"),
    *("scipy.stats.norm.logsf", "special.dawsn", "special.digamma", "special.erfcx", "special.fresnel"),
    *("special.gamma ", "special.ive", "special.log_ndtr", "special.loggamma", "special.psi", "special.rgamma"),
)


def complex_args(case: Case, places: list[int]) -> list[Any]:
    """Move arguments off the real line."""
    rng = np.random.default_rng(7)
    shifts = [rng.uniform(0.1, 0.6, np.shape(arg)) * 1j for arg in case.args]
    return [arg + shift if k in places else arg for k, (arg, shift) in enumerate(zip(case.args, shifts, strict=True))]


def weights_for(outputs: Any) -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=np.shape(out)) + 1j * rng.normal(size=np.shape(out)) for out in outputs]


def inner(many: Any, others: Any) -> Any:
    """``Re Σ conj(a) b``: how much is gained along b, where the gradient is a."""
    terms = [np.sum(np.real(np.conj(a) * b)) for a, b in zip(many, others, strict=True)]
    return sum(terms[1:], terms[0])


def check(case: Case, complexes: list[int]) -> None:
    """Compare the derivatives of a case, with some of its arguments complex, with central differences."""
    args, places = complex_args(case, complexes), places_of(case)
    plain = case.plain or case.function
    tensors = [Tensor(arg) if k in places else arg for k, arg in enumerate(args)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            expected = several(plain(*args))
        except TypeError:
            with pytest.raises(TypeError):
                case.function(*tensors)
            return
        except np.exceptions.ComplexWarning:
            return  # of what NumPy takes the real part

    def filled(function: Callable[..., Any], variables: Any) -> Any:
        given = list(args)
        for place, one in zip(places, variables, strict=True):
            given[place] = one
        return several(function(*given))

    for out, numpys in zip(several(case.function(*tensors)), expected, strict=True):
        assert out.dtype == np.asarray(numpys).dtype
        np.testing.assert_allclose(out.data, numpys, rtol=1e-13)

    weights, argnums = weights_for(expected), tuple(range(len(places)))
    loss = lambda *variables: inner(weights, filled(case.function, variables))  # noqa: E731
    gradient = ad.grad(loss, argnums)
    rng = np.random.default_rng(5)
    point = [args[place] for place in places]
    move = [rng.normal(size=x.shape) + (1j * rng.normal(size=x.shape) if x.dtype.kind == "c" else 0) for x in point]
    left, right = ([x + t * d for x, d in zip(point, move, strict=True)] for t in (-STEP, STEP))
    pairs = zip(filled(plain, left), filled(plain, right), strict=True)
    rise = [(np.asarray(b) - a) / (2 * STEP) for a, b in pairs]

    slopes = gradient(*point)
    assert [g.dtype for g in slopes] == [x.dtype for x in point]
    size = sum(np.sum(np.abs(g * d)) for g, d in zip(slopes, move, strict=True)) + 1
    np.testing.assert_allclose(inner(slopes, move), inner(weights, rise), atol=1e-6 * size, err_msg="gradient")
    _, forward = ad.jvp(lambda *variables: filled(case.function, variables), point, move)
    for actual, numerical in zip(forward, rise, strict=True):
        np.testing.assert_allclose(actual, numerical, rtol=1e-5, atol=1e-6 * size, err_msg="jvp")
    if case.order > 1:
        second = ad.hvp(loss, argnums)(*point, move)
        for actual, a, b in zip(second, gradient(*left), gradient(*right), strict=True):
            atol = 1e-6 * (1 + np.max(np.abs(actual), initial=0))
            np.testing.assert_allclose(actual, (b - a) / (2 * STEP), rtol=1e-5, atol=atol, err_msg="hvp")


@pytest.mark.together("case", FINITE, ids=str)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning", "ignore:.*:scipy.linalg.LinAlgWarning")
def test_derivatives_of_complex_numbers_are_those_by_their_parts(case: Case) -> None:
    places = places_of(case)
    is_put = ".at" in case.name  # and of complex values into what is real, the imaginary part would be lost
    refusals = []
    for complexes in [places] if len(places) == 1 or is_put else [places, places[:1], places[1:]]:
        try:
            check(case, complexes)
        except (NotImplementedError, TypeError, ValueError) as error:
            refusals.append(str(error))
    assert all("complex" in text for text in refusals)
    assert bool(refusals) == case.name.startswith(REFUSED)
