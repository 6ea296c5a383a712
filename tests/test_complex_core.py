"""Complex numbers in the engine and in the functions that make derivatives; the rules are tried by `test_complex`."""

from __future__ import annotations

import cmath
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.testing import assert_gradients_match, by_hand, by_torch, check_gradients, numerical_gradient

RNG = np.random.default_rng(0)
PAIR = np.array([1.0, 2.0])
COMPLEX_PAIR = np.array([1j, 2.0])
Z = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))
V = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))
STEP = 1e-6


def mixed(z: Any) -> Any:
    """Give numbers that depend on z and on its conjugate."""
    return np.exp(z) * np.conj(z) + np.linalg.inv(z) @ (z.real * np.abs(z))


def length(z: Any) -> Any:
    return np.sum(np.abs(z @ z) ** 3)


# Real arguments beside complex ones

CONSTANTS = {
    "number": 1j,
    "complex128": np.complex128(1j),
    "complex64": np.complex64(1j),
    "0-d array": np.array(1j),
    "array": COMPLEX_PAIR,
    "list": [1j, 2.0],
}
ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow)


@pytest.mark.parametrize("constant", CONSTANTS.values(), ids=CONSTANTS)
@pytest.mark.parametrize("data", [PAIR, np.float64(2.0), np.float32(2.0)], ids=["array", "float64", "float32"])
def test_operands_from_either_side(data: Any, constant: Any) -> None:
    for operate in ARITHMETIC:
        for use in (lambda x, operate=operate: operate(x, constant), lambda x, operate=operate: operate(constant, x)):
            result = use(ad.Tensor(data))
            assert result.data.dtype == use(np.asarray(data)).dtype
            gradient = ad.grad(lambda x, use=use: np.imag(use(x)).sum())(data)
            assert gradient.dtype == data.dtype
            exact = numerical_gradient(lambda x, use=use: np.imag(use(x)), data.astype(float))
            np.testing.assert_allclose(gradient, exact, 1e-3 if data.dtype == np.float32 else 1e-7, 1e-6)
            with pytest.raises(TypeError, match="complex"):
                result.sum().backward()
    for operate in (operator.floordiv, operator.mod, divmod):
        for operands in ((ad.Tensor(data), constant), (constant, ad.Tensor(data))):
            with pytest.raises(TypeError, match=r"not supported for the input types|unsupported operand"):
                operate(*operands)


CALLS: dict[str, Callable[[Any], Any]] = {
    "ufunc": lambda x: np.add(x, 1j),
    "ufunc from the left": lambda x: np.multiply(COMPLEX_PAIR, x),
    "power": lambda x: np.power(1j, x),
    "where": lambda x: np.where(PAIR > 1, x, 1j),
    "concatenate": lambda x: np.concatenate([x, COMPLEX_PAIR]),
    "stack": lambda x: np.stack([x, COMPLEX_PAIR]),
    "append": lambda x: np.append(x, 1j),
    "list": lambda x: x * [1j, x[0]],
    "matmul": lambda x: COMPLEX_PAIR @ x,
    "einsum": lambda x: np.einsum("i,i->", x, COMPLEX_PAIR),
    "select": lambda x: np.select([PAIR > 1], [x], 1j),
    "diff": lambda x: np.diff(x, prepend=1j),
    "initial": lambda x: np.sum(x, dtype=complex, initial=1j) * 1j,
    "dtype of a sum": lambda x: np.sum(x, dtype=complex) * 1j,
    "dtype of a method": lambda x: x.sum(dtype=complex) * 1j,
    "dtype of a list": lambda x: np.stack([x, x], dtype=complex) * 1j,
    "astype": lambda x: x.astype(complex) * (1 + 1j),
    "np.astype": lambda x: np.astype(x, complex) * (1 + 1j),
    "checkpoint": lambda x: ad.checkpoint(lambda x: 1j * x * x)(x),
    "a transform inside": lambda x: ad.vjp(lambda x: 1j * x * x, x)[0],
    "at": lambda x: (x * 1j).at[0].set(x[1] * (2 + 1j)).at[1].add(1j).at[0].multiply(COMPLEX_PAIR[1]),
}


@pytest.mark.parametrize("use", CALLS.values(), ids=CALLS)
def test_constants_in_calls(use: Callable[[Any], Any]) -> None:
    check_gradients(lambda x: use(x) ** 2, PAIR, order=2)
    assert ad.grad(lambda x: np.abs(use(x)).sum())(PAIR).dtype == np.float64


LOST: dict[str, tuple[Callable[[Any], Any], str]] = {
    "at.set": (lambda x: x.at[:].set(COMPLEX_PAIR), "cannot be put into float64"),
    "at.set a number": (lambda x: x.at[0].set(1j), "cannot be put into float64"),
    "at.add": (lambda x: x.at[0].add(1j), "cannot be put into float64"),
    "at.add twice": (lambda x: x.at[[0, 0]].add(COMPLEX_PAIR), "cannot be put into float64"),
    "at.multiply": (lambda x: x.at[:].multiply([1j, 2]), "cannot be put into float64"),
    "in place": (lambda x: operator.iadd(COMPLEX_PAIR.copy(), x), "out= cannot be used"),
    "hook": (lambda x: x.register_hook(lambda g: g * 1j) and x, "array of real numbers"),
}


@pytest.mark.parametrize(("use", "message"), LOST.values(), ids=LOST)
def test_where_complex_numbers_do_not_fit(use: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ad.grad(lambda x: np.abs(use(x)).sum() + x.sum())(PAIR)


def test_methods_are_functions() -> None:
    z = ad.Tensor(Z)
    for name, method in (("abs", z.abs), ("angle", z.angle), ("conj", z.conj), ("conjugate", z.conjugate)):
        np.testing.assert_array_equal(method().data, getattr(np, name)(Z))
    for name in ("real", "imag"):
        np.testing.assert_array_equal(getattr(z, name).data, getattr(Z, name))
    z.angle(deg=True).sum().backward()
    np.testing.assert_allclose(z.grad, 1j / np.conj(Z) * 180 / np.pi)


@pytest.mark.parametrize("take", [lambda x: complex(x[0]), lambda x: cmath.exp(x[0])], ids=["complex", "cmath"])
def test_numbers_that_are_taken_out(take: Callable[[Any], Any]) -> None:
    with pytest.warns(UserWarning, match="made a Python number"):
        ad.grad(lambda x: abs(take(x)) + x.sum())(PAIR)


# The doors: what is shown is PyTorch's


def test_every_door_shows_the_same() -> None:
    steepest = 2 * Z
    seen: list[Any] = []
    z = ad.Tensor(Z)
    z.register_hook(seen.append)
    y = z * 1
    y.retain_grad()
    (np.abs(y) ** 2).sum().backward()
    for gradient in (z.grad, y.grad, seen[0], ad.grad(lambda z: (np.abs(z) ** 2).sum())(Z)):
        np.testing.assert_allclose(gradient, steepest, rtol=1e-14)
    z = ad.Tensor(Z)
    z.register_hook(lambda g: 1j * g)
    (np.abs(z) ** 2).sum().backward()
    np.testing.assert_allclose(z.grad, 1j * steepest, rtol=1e-14)
    _, pull = ad.vjp(lambda z: z * (1 + 2j), Z)
    np.testing.assert_allclose(pull(V)[0], V * (1 - 2j), rtol=1e-14)
    np.testing.assert_allclose(ad.jvp(lambda z: z * (1 + 2j), (Z,), (V,))[1], V * (1 + 2j), rtol=1e-14)


def test_seeds_are_turned_too() -> None:
    torch = pytest.importorskip("torch")
    z, theirs = ad.Tensor(Z), torch.tensor(Z, requires_grad=True)
    (z @ z).backward(V)
    (theirs @ theirs).backward(torch.tensor(V))
    np.testing.assert_allclose(z.grad, theirs.grad.numpy(), rtol=1e-12)
    ours = ad.vjp(mixed, Z)[1](V)[0]
    single = lambda z: torch.exp(z) * z.conj() + torch.linalg.inv(z) @ (z.real * z.abs()).to(torch.complex128)  # noqa: E731
    np.testing.assert_allclose(ours, torch.autograd.functional.vjp(single, theirs, torch.tensor(V))[1].numpy(), 1e-10)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_a_gradient_has_its_arguments_dtype(dtype: Any) -> None:
    z, x = Z.astype(dtype), Z.real.astype(dtype().real.dtype)
    for gradient, argument in zip(ad.grad(lambda z, x: np.abs(z @ x).sum(), (0, 1))(z, x), (z, x), strict=True):
        assert gradient.dtype == argument.dtype
    assert ad.jvp(lambda z: np.abs(z), (z,), (z,))[1].dtype == x.dtype


# Forward mode, second derivatives, matrices


def test_forward_mode_against_differences() -> None:
    for f in (mixed, length, lambda z: np.sign(z) * z.imag, lambda z: np.angle(z), lambda z: np.exp(1j * z.real)):
        exact = (f(Z + STEP * V) - f(Z - STEP * V)) / (2 * STEP)
        np.testing.assert_allclose(ad.jvp(f, (Z,), (V,))[1], exact, 1e-6, 1e-7)
        np.testing.assert_allclose(ad.linearize(f, Z)[1](V), exact, 1e-6, 1e-7)


def test_second_derivatives() -> None:
    slope = ad.grad(length)
    exact = (slope(Z + STEP * V) - slope(Z - STEP * V)) / (2 * STEP)
    np.testing.assert_allclose(ad.hvp(length)(Z, V), exact, 1e-5)
    z = ad.Tensor(Z)
    length(z).backward(create_graph=True)
    gradient, z.grad = z.grad, None
    np.real(np.conj(gradient) * V).sum().backward()
    np.testing.assert_allclose(z.grad, exact, 1e-5)
    check_gradients(mixed, Z[:2, :2], order=3, directions=2)


def test_holomorphic_functions() -> None:
    cube = lambda z: z**3  # noqa: E731
    assert ad.grad(cube, holomorphic=True)(1 + 2j) == pytest.approx(3 * (1 + 2j) ** 2)
    assert ad.value_and_grad(cube, holomorphic=True)(1j) == pytest.approx((-1j, -3))
    second = ad.grad(ad.grad(cube, holomorphic=True), holomorphic=True)
    assert second(1 + 2j) == pytest.approx(6 * (1 + 2j))
    z = Z[0]
    np.testing.assert_allclose(ad.jacobian(cube, holomorphic=True)(z), np.diag(3 * z**2), atol=1e-14)
    wide = lambda z: np.stack([z.sum(), np.prod(z), *(z * z)])  # noqa: E731
    columns = [(wide(z + STEP * e) - wide(z - STEP * e)) / (2 * STEP) for e in np.eye(3)]
    np.testing.assert_allclose(ad.jacobian(wide, holomorphic=True)(z), np.stack(columns, -1), atol=1e-8)
    np.testing.assert_allclose(ad.hessian(lambda z: cube(z).sum(), holomorphic=True)(z), np.diag(6 * z), atol=1e-13)


def test_the_derivative_of_each_element() -> None:
    np.testing.assert_allclose(ad.elementwise_grad(np.sin, holomorphic=True)(Z), np.cos(Z))


def test_matrices_of_real_and_complex_numbers() -> None:
    x = PAIR
    derivative = ad.jacobian(lambda x: np.exp(1j * x) * x)(x)
    np.testing.assert_allclose(derivative, np.diag(np.exp(1j * x) * (1 + 1j * x)), atol=1e-15)
    rows = ad.jacobian(lambda z: np.abs(z) ** 2)(Z[0])
    np.testing.assert_allclose(rows, np.diag(2 * Z[0]), atol=1e-14)
    assert ad.jacobian(lambda x: np.ones(2) * 1j)(x).dtype == complex


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a complex result": (lambda: ad.grad(lambda z: z * z)(1j), TypeError, "take abs.y. or y.real, or say holomorphic"),
    "of real numbers": (lambda: ad.grad(abs, holomorphic=True)(1.0), TypeError, "complex numbers; here are float64"),
    "not holomorphic": (lambda: ad.grad(lambda z: z * abs(z), holomorphic=True)(1j), ValueError, "not holomorphic"),
    "conjugate": (lambda: ad.jacobian(np.conj, holomorphic=True)(Z[0]), ValueError, "not holomorphic"),
    "conjugates that cancel in a sum": (
        lambda: ad.jacobian(lambda z: [z + np.conj(z), z - np.conj(z)], holomorphic=True)(1j),
        ValueError,
        "not holomorphic",
    ),
    "jacobian": (lambda: ad.jacobian(lambda z: z * z)(Z[0]), TypeError, "say holomorphic=True, or differentiate real"),
    "hessian": (lambda: ad.hessian(length)(Z), TypeError, "complex ones is one number only for a holomorphic"),
    "elementwise": (lambda: ad.elementwise_grad(np.exp)(Z), TypeError, "must return real numbers"),
    "elementwise of no holomorphic one": (
        lambda: ad.elementwise_grad(np.conj, holomorphic=True)(Z),
        ValueError,
        "is not holomorphic",
    ),
    "gradient that is set": (lambda: setattr(ad.Tensor(1.0), "grad", 1j), TypeError, "no complex gradient"),
    "cotangent": (lambda: ad.vjp(np.exp, PAIR)[1](Z[0, :2]), TypeError, "cotangent must be real numbers of shape"),
    "text": (lambda: ad.vjp(np.exp, Z)[1]("z"), TypeError, "cotangent must be complex numbers of shape"),
    "relu": (lambda: ad.Tensor(Z).relu(), TypeError, "relu: Tensor of shape .* is complex; apply it to x.real"),
    "real tangent": (lambda: ad.jvp(np.exp, (Z,), (V.real,)), TypeError, "must have dtype complex128, got float64"),
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=BAD)
def test_bad_use(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# Functions of the user's own, and checks


def test_rules_see_gradients_as_they_flow() -> None:
    @ad.primitive
    def turned(z: Any) -> Any:
        return np.conj(z) * 2j

    ad.defvjp(turned, lambda g, out, z: np.conj(g * 2j))
    check_gradients(turned, Z, order=2)

    @ad.custom_vjp
    def squared(z: Any) -> Any:
        return z * z

    squared.defvjp(lambda z: (z * z, z), lambda z, g: (2 * g * z,))
    check_gradients(squared, Z, order=2)


def test_check_gradients_of_complex_arguments() -> None:
    check_gradients(lambda p: np.exp(p["z"]) * p["x"], {"z": Z, "x": Z.real}, order=2)
    check_gradients(lambda z: np.abs(z) * z, Z[0].astype(np.complex64))
    check_gradients(lambda z: z * z, [1 + 2j, 3j], directions=2)
    with pytest.raises(AssertionError, match=r"the rule is conjugated: is np\.conj missing, or one too many"):
        check_gradients(wrong, Z)
    with pytest.raises(AssertionError, match=r"by a factor of 0.5: is the 2 of a square forgotten\?"):
        check_gradients(lambda z: ad.stop_gradient(z) * z, Z)
    assert_gradients_match(lambda z: np.abs(z) ** 2, by_hand(lambda z: 2 * z), Z)
    np.testing.assert_allclose(numerical_gradient(lambda z: np.abs(z) ** 2, Z), 2 * Z, rtol=1e-8)


@ad.primitive
def wrong(z: Any) -> Any:
    """Conjugate, with the rule of a function that does not."""
    return np.conj(z)


ad.defvjp(wrong, lambda g, out, z: g)


def test_against_pytorch_in_one_line() -> None:
    torch = pytest.importorskip("torch")
    assert_gradients_match(lambda z: z * np.exp(z), by_torch(lambda z: z * torch.exp(z)), Z)
    assert_gradients_match(lambda z: np.sign(z) * np.abs(z), by_torch(lambda z: torch.sgn(z) * z.abs()), Z)
