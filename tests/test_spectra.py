"""Eigenvalues, singular values and functions of matrices where values are equal, nearly equal, or zero."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor

rng = np.random.default_rng(7)
C = rng.normal(size=(4, 4))
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sqrt": (np.sqrt, lambda m, x: m.sqrt(x)),
    "exp": (np.exp, lambda m, x: m.exp(x)),
    "log": (np.log, lambda m, x: m.log(x)),
    "cube": (lambda w: w**3, lambda m, x: x**3),
    "one": (lambda w: w / w, lambda m, x: m.mpf(1)),
    "share": (lambda w: w**2 / np.sum(w, axis=-1, keepdims=True), None),  # depends on all values at once
}


def orthogonal(size: int, seed: int = 0) -> Any:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def of_matrix(f: Callable[[Any], Any], weights: Any) -> Callable[[Any], Any]:
    def function(a: Any) -> Any:
        w, v = np.linalg.eigh(a)
        return np.sum(weights * ((v * f(w)[..., None, :]) @ np.swapaxes(v, -1, -2)))

    return function


def divided_differences(f: Callable[..., Any], w: Any) -> Any:
    """Give the exact ``(f(wᵢ) - f(wⱼ)) / (wᵢ - wⱼ)``, and f' where the two are equal."""
    mpmath = pytest.importorskip("mpmath", reason="the exact derivative needs mpmath")
    with mpmath.workdps(60):
        values = [mpmath.mpf(float(one)) for one in w]
        return np.array(
            [
                [
                    float(mpmath.diff(lambda x: f(mpmath, x), a) if a == b else (f(mpmath, a) - f(mpmath, b)) / (a - b))
                    for b in values
                ]
                for a in values
            ]
        )


@pytest.mark.parametrize("gap", [0.0, 1e-16, 1e-15, 1e-12, 1e-9, 1e-7, 1e-3])
@pytest.mark.parametrize("name", ["sqrt", "exp", "log", "cube", "one"])
def test_functions_of_a_matrix_have_the_derivative_of_daleckii_and_krein(name: str, gap: float) -> None:
    f, exact = FUNCTIONS[name]
    w = np.array([1.0, 1.0 + gap, 1.0 + 2 * gap, 2.5])
    q = orthogonal(4)
    expected = q @ (divided_differences(exact, w) * (q.T @ (C + C.T) @ q) / 2) @ q.T
    actual = ad.grad(of_matrix(f, C))((q * w) @ q.T)
    # A quotient of differences is as exact as rounding over the gap; below the root of that there is none.
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=1e-13 + (2e-15 / gap if gap > 1e-8 else 1e-8 * (gap > 1e-14))
    )


@pytest.mark.parametrize("name", ["sqrt", "exp", "log", "cube", "share"])
@pytest.mark.parametrize("w", [[2.0, 2.0], [1.0, 3.0, 3.0], [0.5] * 3, [1.0, 1.0, 2.0, 2.0]], ids=str)
def test_first_and_second_derivatives_are_those_of_matrices_nearby(name: str, w: list[float]) -> None:
    """Central differences step to where the values differ, and need no derivative of vectors."""
    q, n = orthogonal(len(w)), len(w)
    a = (q * w) @ q.T
    function = of_matrix(FUNCTIONS[name][0], C[:n, :n])
    direction = rng.normal(size=(n, n))
    direction = direction + direction.T

    def along(t: Any) -> Any:
        return function(a + t * direction)

    step = 1e-3
    values = [along(k * step) for k in (-2, -1, 0, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * step)
    bend = (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * step**2)
    np.testing.assert_allclose(ad.grad(along)(0.0), slope, rtol=1e-8)
    np.testing.assert_allclose(ad.jvp(along, (0.0,), (1.0,))[1], slope, rtol=1e-8)
    np.testing.assert_allclose(ad.grad(ad.grad(along))(0.0), bend, rtol=1e-6)
    if name in ("sqrt", "share"):  # on the way forward too, which takes longest and knows of f only what values it has
        np.testing.assert_allclose(ad.jvp(ad.grad(along), (0.0,), (1.0,))[1], bend, rtol=1e-6)
    np.testing.assert_allclose(np.sum(ad.grad(function)(a) * direction), slope, rtol=1e-8)


def test_root_of_a_multiple_of_the_identity() -> None:
    weights = np.array([[1.0, 2.0], [2.0, 5.0]])
    gradient = ad.grad(of_matrix(np.sqrt, weights))(2 * np.eye(2))
    np.testing.assert_allclose(gradient, weights / (2 * np.sqrt(2)), rtol=1e-14)
    single = ad.grad(of_matrix(np.sqrt, weights.astype("f")))(2 * np.eye(2, dtype="f"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, weights / (2 * np.sqrt(2)), rtol=1e-6)


def test_the_zero_matrix() -> None:
    gradient = ad.grad(of_matrix(lambda w: w, C))(np.zeros((4, 4)))
    np.testing.assert_allclose(gradient, (C + C.T) / 2, atol=1e-14)


@pytest.mark.parametrize("size", [1e-4, 1e-8, 1e-10, 1e-14, 1e-20, 1e-40])
def test_a_function_whose_differences_are_lost_in_rounding_has_its_derivatives(size: float) -> None:
    """Near zero ``exp`` of the eigenvalues is 1 but for few digits, and the matrix has a series."""

    def series(a: Any) -> Any:
        return np.sum(C[:3, :3] * (a + a @ a / 2 + a @ a @ a / 6 + a @ a @ a @ a / 24))

    b, direction = np.random.default_rng(8).normal(size=(2, 3, 3))
    a, direction = size * (b + b.T), direction + direction.T
    function = of_matrix(np.exp, C[:3, :3])
    gradient = ad.grad(series)(a)
    np.testing.assert_allclose(ad.grad(function)(a), (gradient + gradient.T) / 2, atol=1e-7)
    np.testing.assert_allclose(ad.jvp(function, (a,), (direction,))[1], np.sum(gradient * direction), atol=1e-7)
    product = ad.hvp(series)(a, direction)
    np.testing.assert_allclose(ad.hvp(function)(a, direction), (product + product.T) / 2, atol=1e-6)
    together = ad.grad(of_matrix(np.exp, C[:3, :3]))(np.stack([a, b + b.T]))
    np.testing.assert_allclose(together, [ad.grad(function)(a), ad.grad(function)(b + b.T)], rtol=1e-12)
    if size > 1e-30:  # in float32 less is zero, or has few digits
        single = ad.grad(function)(a.astype(np.float32))
        np.testing.assert_allclose(single, (gradient + gradient.T) / 2, atol=1e-3)


@pytest.mark.parametrize("gap", [1e-9, 1e-7, 1e-6, 1e-5])
def test_second_derivatives_between_nearly_equal_values_keep_digits_and_third_ones_are_refused(gap: float) -> None:
    q, weights, direction = orthogonal(3), C[:3, :3], np.random.default_rng(9).normal(size=(3, 3))
    direction = direction + direction.T

    def by_svd(a: Any) -> Any:
        u, s, vt = np.linalg.svd(a)
        return np.sum(weights * ((u * s**3) @ vt))

    def compare(a: Any, function: Any, cube: Any) -> None:
        actual, expected = ad.hvp(function)(a, direction), ad.hvp(cube)(a, direction)
        expected = expected if function is by_svd else (expected + expected.T) / 2
        np.testing.assert_allclose(actual, expected, atol=2e-5)
        with pytest.raises(NotImplementedError, match="no derivative rule of this order"):
            ad.grad(lambda a: np.sum(ad.hvp(function)(a, direction) * direction))(a)

    a = (q * [2, 2 + gap, 3]) @ q.T
    compare(a, of_matrix(lambda w: w**3, weights), lambda a: np.sum(weights * (a @ a @ a)))
    compare(q * [2, 2 + gap, 3], by_svd, lambda a: np.sum(weights * (a @ a.T @ a)))


@pytest.mark.parametrize("gap", [1e-12, 1e-9, 1e-7, 1e-4, 0.1])
def test_forward_derivatives_of_vectors_whose_sum_is_constant(gap: float) -> None:
    q, direction = orthogonal(3), np.diag([1.0, 2.0, -1.0]) + 1
    a = (q * [2, 2 + gap, 3]) @ q.T
    a = (a + a.T) / 2

    def shares(a: Any) -> Any:
        return np.linalg.eigh(a)[1] ** 2

    expected = np.tensordot(ad.jacobian(shares)(a), direction)
    np.testing.assert_allclose(ad.jvp(shares, (a,), (direction,))[1], expected, rtol=1e-6)
    with np.errstate(all="ignore"):
        assert np.isnan(ad.jvp(shares, (2 * np.eye(3),), (direction,))[1]).any()


def test_small_eigenvalues_are_not_taken_for_equal_ones() -> None:
    w = np.array([1e-9, 2e-9, 1.0, 2.0])
    exact = divided_differences(FUNCTIONS["sqrt"][1], w) * (C + C.T) / 2
    np.testing.assert_allclose(ad.grad(of_matrix(np.sqrt, C))(np.diag(w)), exact, rtol=1e-6)


@pytest.mark.parametrize("name", ["sqrt", "share"])
def test_each_matrix_of_a_stack_has_its_own_ties(name: str) -> None:
    spectra = np.array([[1.0, 1, 2], [1, 2, 3], [1, 2, 2], [1, 1, 2]])
    q = np.stack([orthogonal(3, seed) for seed in range(4)])
    a = (q * spectra[:, None, :]) @ np.swapaxes(q, 1, 2)
    function = of_matrix(FUNCTIONS[name][0], C[:3, :3])
    alone = np.stack([ad.grad(function)(one) for one in a])
    np.testing.assert_allclose(ad.grad(function)(a), alone, rtol=1e-12, atol=1e-14)
    if name == "sqrt":
        return
    # Where members are mixed, the mixed second derivatives are products of the first.
    direction = np.stack([C[:3, :3] + C[:3, :3].T] * 4)
    mixed, bent = (ad.hvp(f)(a, direction) for f in (lambda a: function(a) ** 2, function))
    np.testing.assert_allclose(
        mixed, 2 * (function(a) * bent + np.sum(alone * direction) * alone), rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 5), (2, 3, 3), (2, 4, 3)], ids=str)
@pytest.mark.parametrize("kind", ["identity", "rank 1", "ones", "zeros", "rank 2"])
def test_a_matrix_put_together_again_from_its_singular_values(kind: str, shape: tuple[int, ...]) -> None:
    rows, columns = shape[-2:]
    x, y = rng.normal(size=(rows, 2)), rng.normal(size=(2, columns))
    a = {
        "identity": np.eye(rows, columns),
        "rank 1": x[:, :1] @ y[:1],
        "ones": np.ones((rows, columns)),
        "zeros": np.zeros((rows, columns)),
        "rank 2": x @ y,
    }[kind]
    a, weights = np.broadcast_to(a, shape).copy(), rng.normal(size=shape)

    def again(a: Any) -> Any:
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        return np.sum(weights * ((u * s[..., None, :]) @ vt))

    np.testing.assert_allclose(ad.grad(again)(a), weights, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ad.jvp(again, (a,), (weights,))[1], np.sum(weights**2), rtol=1e-12)
    bent = ad.hvp(lambda a: again(a) ** 2)(a, np.ones(shape))
    np.testing.assert_allclose(bent, 2 * np.sum(weights) * weights, atol=1e-11)


def test_second_derivatives_of_values() -> None:
    hessian = ad.hessian(lambda a: (np.linalg.svdvals(a) ** 2).sum())(np.eye(3))
    np.testing.assert_allclose(hessian.reshape(9, 9), 2 * np.eye(9), atol=1e-14)
    # That of log det, made symmetric: -a⁻¹ da a⁻¹.
    hessian = ad.hessian(lambda a: np.log(np.linalg.eigvalsh(a)).sum())(2 * np.eye(2))
    symmetric = (np.eye(4) + np.eye(4)[[0, 2, 1, 3]]) / 2
    np.testing.assert_allclose(hessian.reshape(4, 4), -symmetric / 4, atol=1e-15)
    for a in (np.eye(3), np.ones((3, 3)), np.diag([1.0, 1.0, 2.0])):
        hessian = ad.hessian(lambda a: (np.linalg.eigvalsh(a) ** 2).sum())(a)
        hvp = ad.hvp(lambda a: (np.linalg.svdvals(a) ** 4).sum())(a, np.eye(3))
        np.testing.assert_allclose(
            hessian.reshape(9, 9), np.eye(9) + np.eye(9).reshape(3, 3, 9).swapaxes(0, 1).reshape(9, 9), atol=1e-12
        )
        truth = ad.hvp(lambda a: ((a.T @ a) ** 2).sum())(a, np.eye(3))
        np.testing.assert_allclose(hvp, truth, atol=1e-11)


def test_third_derivatives_of_values_and_what_is_refused() -> None:
    symmetric = C[:2, :2] + C[:2, :2].T
    third = ad.grad(ad.grad(ad.grad(lambda t: np.log(np.linalg.eigvalsh(2 * np.eye(2) + t * symmetric)).sum())))
    np.testing.assert_allclose(third(0.0), 2 * np.trace(np.linalg.matrix_power(symmetric / 2, 3)), rtol=1e-12)
    with pytest.raises(NotImplementedError, match="no derivative rule of this order"):
        ad.grad(third)(0.0)
    function = of_matrix(np.sqrt, C[:2, :2])
    with pytest.raises(NotImplementedError, match="no derivative rule of this order"):
        ad.grad(ad.grad(ad.grad(lambda t: function(2 * np.eye(2) + t * symmetric))))(0.0)
    with pytest.raises(NotImplementedError, match="without their vectors"):
        ad.hessian(lambda a: np.linalg.svd(a, compute_uv=False).sum())(np.eye(2))
    with pytest.raises(NotImplementedError, match="det of a singular matrix"):
        ad.grad(ad.grad(ad.grad(lambda t: np.linalg.det(t * C))))(0.0)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize(
    "function",
    [
        lambda a: np.linalg.eigh(a)[1][0, 0] ** 2,
        lambda a: np.linalg.eigh(a)[1][0, 1] ** 2,
        lambda a: np.sum(C[:3, :3] * np.linalg.eigh(a)[1]),
        lambda a: (lambda w, v: w[0] * (C[0, :3] @ v[:, 0]) ** 2)(*np.linalg.eigh(a)),
        lambda a: (lambda w, v: np.sum(C[:3, :3] * (w[0] * v[:, :1] @ v[:, :1].T)))(*np.linalg.eigh(a)),
        lambda a: np.sum(C[:3, :3] * np.linalg.svd(a).U),
        lambda a: (lambda u, s, vt: np.sum(C[:3, :3] * ((u[:, :2] * s[:2]) @ vt[:2])))(*np.linalg.svd(a)),
        lambda a: np.sum(C[:3, :3] * np.linalg.svd(a).Vh),
        lambda a: (lambda u, s, vt: np.sum(C[:3, :3] * (u * [1.0, 2.0, 3.0]) @ vt))(*np.linalg.svd(a)),
    ],
)
@pytest.mark.parametrize(
    "a", [np.eye(3), 2 * np.eye(3) + 1e-16 * np.diag([0, 1, 3]), np.ones((3, 3)), np.zeros((3, 3))]
)
def test_what_depends_on_the_choice_of_vectors_is_never_finite(function: Callable[..., Any], a: Any) -> None:
    assert not np.isfinite(ad.grad(function)(a)).all()
    assert not np.isfinite(ad.jvp(function, (a,), (C[:3, :3] + C[:3, :3].T,))[1])


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_the_polar_factor_has_a_derivative_where_the_matrix_is_invertible() -> None:
    def polar(a: Any) -> Any:
        u, _, vt = np.linalg.svd(a)
        return np.sum(C[:3, :3] * (u @ vt))

    q = orthogonal(3)
    expected = q @ (q.T @ C[:3, :3] - C[:3, :3].T @ q) / 2
    np.testing.assert_allclose(ad.grad(polar)(q), expected, atol=1e-14)
    assert not np.isfinite(ad.grad(polar)(np.ones((3, 3)))).any()


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_what_cannot_see_the_way_of_the_gradient_gives_nan() -> None:
    a = 2 * np.eye(2)
    through = ad.checkpoint(lambda a: tuple(np.linalg.eigh(a)))

    def split(a: Any) -> Any:
        w, v = through(a)
        return np.sum(C[:2, :2] * ((v * np.sqrt(w)) @ v.T))

    assert not np.isfinite(ad.grad(split)(a)).all()
    whole = ad.grad(ad.checkpoint(of_matrix(np.sqrt, C[:2, :2])))(a)
    np.testing.assert_allclose(whole, ad.grad(of_matrix(np.sqrt, C[:2, :2]))(a), rtol=1e-13)
    compiled = ad.compile(lambda a: ad.grad(of_matrix(np.sqrt, C[:2, :2]))(a))
    distinct = np.diag([1.0, 2.0])
    np.testing.assert_allclose(compiled(distinct), ad.grad(of_matrix(np.sqrt, C[:2, :2]))(distinct), rtol=1e-13)
    assert not np.isfinite(compiled(a)).all()


def test_hooks_on_the_way_count() -> None:
    x = Tensor(2 * np.eye(2))
    w, v = np.linalg.eigh(x)
    y = (v * np.sqrt(w)) @ v.T
    y.register_hook(lambda g: 2 * g)
    np.sum(C[:2, :2] * y).backward()
    np.testing.assert_allclose(x.grad, 2 * ad.grad(of_matrix(np.sqrt, C[:2, :2]))(2 * np.eye(2)), rtol=1e-13)


def test_values_alone_are_numpys_to_rounding() -> None:
    a = rng.normal(size=(3, 4, 4))
    np.testing.assert_allclose(np.linalg.svdvals(Tensor(a)).data, np.linalg.svdvals(a), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(np.linalg.eigvalsh(Tensor(a)).data, np.linalg.eigvalsh(a), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(Tensor(a), UPLO="U").data, np.linalg.eigvalsh(a, "U"), rtol=1e-13, atol=1e-13
    )


def test_a_page_shows_the_gradient_at_ties(tmp_path: Path) -> None:
    x = Tensor(2 * np.eye(2), name="x")
    page, function = tmp_path / "root.html", of_matrix(np.sqrt, C[:2, :2])
    ad.draw(function(x)).save(page)
    shown = re.findall(r'"gradient":{"shape":\[2,2\],"dtype":"float64","values":(\[.*?\])', page.read_text())
    np.testing.assert_allclose(json.loads(shown[0]), ad.grad(function)(x.data).ravel(), rtol=1e-13, atol=1e-13)
