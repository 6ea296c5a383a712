"""Every case of the table at complex numbers, whose derivatives are those by their real and imaginary parts.

NumPy's function is asked first. What it refuses, a Tensor refuses too; what has no derivative is refused by name. All
else is compared with central differences in a direction that moves real and imaginary parts: the change of the result,
forward and in reverse, and that of the gradient. Then some of the arguments are real again, and their gradients too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
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
    *("relu", "eigh, vectors as they are", "svd, vectors as they are", "special.dawsn", "special.digamma"),
    *("special.erfcx", "special.fresnel", "special.gamma ", "special.ive", "special.log_ndtr", "special.loggamma"),
    *("special.psi", "special.rgamma"),
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
    if case.order > 1 and complexes == places:
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
    # Densities are of real numbers: where SciPy does not say so, we do.
    assert bool(refusals) == case.name.startswith(REFUSED) or case.name.startswith("scipy.stats.")


def first_of_each_function() -> list[Case]:
    """Choose the first case of each function that takes complex numbers, by the first word of its name."""
    chosen: dict[str, Case] = {}
    for case in FINITE:
        if not case.name.startswith((*REFUSED, "special.", "scipy.", "eig")):
            chosen.setdefault(case.name.partition(" ")[0].strip(","), case)
    return list(chosen.values())


def gradients(case: Case, args: list[Any], weights: Any) -> list[Any]:
    """Give the gradients of a case, and those of a weighted sum of them, as arrays."""
    places = places_of(case)
    given = [Tensor(arg) if k in places else arg for k, arg in enumerate(args)]
    variables = [given[place] for place in places]
    inner(weights, several(case.function(*given))).backward(create_graph=True)
    first = [variable.grad for variable in variables]
    for variable in variables:
        variable.grad = None
    total = inner(weights_for(first), first)
    if total.requires_grad:
        total.backward()
    second = [np.zeros(x.shape) if x.grad is None else x.grad for x in variables]
    return [*(g.data for g in first), *second]


@pytest.mark.filterwarnings("ignore")
def test_gradients_are_pytorchs_and_those_of_short_numbers_are_short() -> None:
    torch = pytest.importorskip("torch")
    compared = 0
    for case in first_of_each_function():
        places = places_of(case)
        args = complex_args(case, places)
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                expected = several((case.plain or case.function)(*args))
            except (TypeError, np.exceptions.ComplexWarning):
                continue
        weights = weights_for(expected)
        ours = gradients(case, args, weights)
        short = [arg.astype(np.complex64) if k in places else arg for k, arg in enumerate(args)]
        for g, double in zip(gradients(case, short, weights_for(expected)), ours, strict=True):
            if g.dtype.kind == "c":
                assert g.dtype == np.complex64, case.name
            scale = 1 + np.max(np.abs(double), initial=0)
            np.testing.assert_allclose(g, double, rtol=1e-2, atol=2e-3 * scale, err_msg=case.name)
        if case.torch is None:
            continue
        function = getattr(torch, case.torch) if isinstance(case.torch, str) else partial(case.torch, torch)
        given = [torch.tensor(arg, requires_grad=k in places) for k, arg in enumerate(args)]
        variables = [given[place] for place in places]
        options: dict[str, Any] = {"allow_unused": True, "materialize_grads": True, "create_graph": True}
        try:
            outputs = several(function(*given))
            terms = [(torch.tensor(w).conj() * out).real.sum() for w, out in zip(weights, outputs)]
            first = torch.autograd.grad(sum(terms), variables, **options)
            terms = [(torch.tensor(w).conj() * g).real.sum() for w, g in zip(weights_for(first), first)]
            second = [torch.zeros_like(x) for x in variables]
            if sum(terms).requires_grad:
                second = torch.autograd.grad(sum(terms), variables, **options)
        except (RuntimeError, NotImplementedError):
            continue  # PyTorch does not take complex numbers here
        values = [out.numpy(force=True) for out in outputs]
        if not all(np.allclose(a, b) for a, b in zip(values, expected, strict=True)):
            continue  # a function that conjugates, of which the other is the product
        compared += 1
        for a, b in zip(ours, (*first, *second), strict=True):
            np.testing.assert_allclose(a, b.numpy(force=True), rtol=1e-8, atol=1e-10, err_msg=case.name)
    assert compared > 100


@pytest.mark.parametrize(
    ("function", "points"),
    [
        (np.log, (-2.0, -0.5)),
        (np.log2, (-2.0,)),
        (np.log10, (-2.0,)),
        (np.sqrt, (-2.0, -0.5)),
        (np.log1p, (-2.0, -3.0)),
        (lambda z: z**0.3, (-2.0,)),
        (lambda z: np.power(z, np.array(1.5 - 0.5j)), (-2.0,)),
        (lambda z: np.power(2 - 1j, z), (-2.0,)),
        (np.arcsin, (-2.0, 1.5)),
        (np.arccos, (-2.0, 1.5)),
        (np.arccosh, (-2.0, 0.5)),
        (np.arctanh, (-2.0, 1.5)),
        (np.arcsinh, (-2j, 1.5j)),
        (np.arctan, (-2j, 1.5j)),
    ],
)
def test_on_branch_cuts_the_derivative_is_that_of_the_side_that_numpy_takes(function: Any, points: Any) -> None:
    for point in points:
        for zero in (0.0, -0.0):

            def at(t: float, point: complex = point, zero: float = zero) -> Any:
                """Move along the cut, on one side of it."""
                is_real = isinstance(point, float)
                return np.complex128(complex(point + t, zero) if is_real else complex(zero, point.imag + t))

            rise = (function(at(1e-6)) - function(at(-1e-6))) / (2e-6 if isinstance(point, float) else 2e-6j)
            slope = ad.grad(function, holomorphic=True)
            np.testing.assert_allclose(slope(at(0.0)), rise, rtol=1e-8)
            second = (slope(at(1e-6)) - slope(at(-1e-6))) / (2e-6 if isinstance(point, float) else 2e-6j)
            np.testing.assert_allclose(ad.grad(slope, holomorphic=True)(at(0.0)), second, rtol=1e-7)


@pytest.mark.parametrize(
    ("function", "point", "expected"),
    [
        pytest.param(np.abs, [0, 3 - 4j], [0, 0.6 - 0.8j], id="abs at 0"),
        pytest.param(np.angle, [0, 2j, -2], [0, -0.5, -0.5j], id="angle at 0"),
        pytest.param(lambda z: np.angle(z, deg=True), [1j], [-180 / np.pi], id="angle in degrees"),
        pytest.param(lambda z: np.sign(z).imag, [0, 2j, 2], [0, 0, 0.5j], id="sign at 0"),
        pytest.param(lambda z: (z**2).real, [0, 1j], [0, -2j], id="z**2 at 0"),
        pytest.param(lambda z: (z**1).imag, [0, 1j], [1j, 1j], id="z**1 at 0"),
        pytest.param(lambda z: (z**0).real, [0, 1j], [0, 0], id="z**0 at 0"),
        pytest.param(lambda z: np.power(z, np.array([1, 2.0, 0j])).real, [0, 0, 0], [1, 0, 0], id="powers at 0"),
        pytest.param(lambda z: np.power(0, z).real, [1, 2 + 1j], [0, 0], id="0**z"),
        pytest.param(
            lambda z: np.power(-2.0, z).real, [1j], [np.conj((-2 + 0j) ** 1j * np.log(-2 + 0j))], id="powers of -2"
        ),
        pytest.param(lambda z: np.prod(z).real, [0, 2j, 3], [-6j, 0, 0], id="product with a zero"),
        pytest.param(lambda z: np.cumprod(z).imag, [0, 2j, 3], [8 + 1j, 0, 0], id="running product with a zero"),
        pytest.param(lambda z: np.max(z).real, [1 + 2j, 1 + 3j, 3j], [0, 1, 0], id="max by the imaginary part"),
        pytest.param(lambda z: np.max(z).imag, [1 + 3j, 1 + 3j], [0.5j, 0.5j], id="equal maxima share"),
        pytest.param(np.std, [2 + 1j, 2 + 1j], [0, 0], id="std of equal numbers"),
        pytest.param(lambda z: np.nan_to_num(z).imag, [complex(np.nan, 1), complex(1, np.inf)], [1j, 0], id="no NaN"),
        pytest.param(
            lambda z: np.nan_to_num(z).real, [complex(np.nan, 1), complex(1, np.inf)], [0, 1], id="no infinity"
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_special_points(function: Any, point: list[complex], expected: list[complex]) -> None:
    gradient = ad.grad(lambda z: function(z).sum())(np.array(point, complex))
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-15)


def test_complex_numbers_among_real_ones() -> None:
    """A real Tensor has a real gradient, whatever it met; a complex one a complex gradient."""
    x, z = Tensor([1.0, -2.0]), Tensor([1 + 2j, 3j])
    np.abs(np.exp(1j * x) * z + x).sum().backward()
    assert (x.grad.dtype, z.grad.dtype) == (np.float64, np.complex128)
    y = Tensor(np.array([0.5, -1.5], np.float32))
    np.real(np.power(y, np.array([0.5j, 1.5 + 1j]))).sum().backward()
    assert y.grad.dtype == np.float32
    h = 1e-6
    rise = [
        (np.real(np.power(v + h + 0j, p)) - np.real(np.power(v - h + 0j, p))) / (2 * h)
        for v, p in ((0.5, 0.5j), (-1.5, 1.5 + 1j))
    ]
    np.testing.assert_allclose(y.grad, rise, rtol=1e-5)


def test_the_sigmoid_of_complex_numbers() -> None:
    z = np.array([0.3 - 2j, -0.7 + 1j, -800 + 1j, 800 - 3j, 0.0])
    value = Tensor(z).sigmoid().data
    np.testing.assert_allclose(value[:2], 1 / (1 + np.exp(-z[:2])), rtol=1e-14)
    np.testing.assert_allclose(value[2:], [0, 1, 0.5], atol=1e-300)
    np.testing.assert_allclose(ad.jacobian(lambda z: z.sigmoid(), holomorphic=True)(z).diagonal(), value * (1 - value))
