"""Linear algebra of complex numbers: values and derivatives against NumPy, PyTorch and central differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor

rng = np.random.default_rng(11)
inf = math.inf


def z(*shape: int) -> Any:
    return np.array(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def x(*shape: int) -> Any:
    return np.array(rng.normal(size=shape))


def turned(a: Any) -> Any:
    """Transpose and conjugate, of what NumPy and PyTorch both have."""
    return a.swapaxes(-1, -2).conj()


def hermitian(a: Any) -> Any:
    return (a + turned(a)) / 2


def definite(a: Any) -> Any:
    return a @ turned(a) + (a @ turned(a)).sum() / 50 + a[..., :1, :1] * a[..., :1, :1].conj()


def of_eigh(w: Any, v: Any) -> Any:
    """What does not depend on phases: by length, beside the first component, and put together again."""
    return w, abs(v) ** 2, v * v[..., :1, :].conj(), (v * w[..., None, :] ** 2) @ turned(v)


def of_svd(u: Any, s: Any, vt: Any) -> Any:
    v = turned(vt)
    return s, abs(u) ** 2, abs(v) ** 2, v * u[..., :1, :].conj(), (u * s[..., None, :] ** 2) @ vt


def of_eig(w: Any, v: Any) -> Any:
    return (w**2).sum(-1), (abs(v) ** 2 * w[..., None, :]).sum(-1), (v * w[..., None, :] * v[..., :1, :].conj()).sum(-1)


Twin = Callable[..., Any]
CASES: list[tuple[str, Twin, tuple[Any, ...], Twin | None]] = []


def case(name: str, function: Twin, *args: Any, torch: Twin | None = None) -> None:
    """Add a case: a function of ``numpy`` and arguments, and where they differ the same of ``torch``."""
    CASES.append((name, function, args, torch or function))


for left, right in (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 2, 3), (3, 4))):
    case(f"matmul {left} {right}", lambda m, a, b: m.matmul(a, b), z(*left), z(*right))
case("matmul, real and complex", lambda m, a, b: m.matmul(a + 0j, b), x(2, 3), z(3, 2))
for k, (left, right) in enumerate(((z(3), z(3)), (x(3), z(3)), (z(3), x(3)))):
    case(f"vdot {k}", lambda m, a, b: m.vdot(a + 0j, b + 0j), left, right)
for k, (left, right) in enumerate(((z(2, 3), z(3)), (x(2, 3), z(3)), (z(3), x(2, 3)))):
    for name, vecdot in (("vecdot", np.vecdot), ("linalg.vecdot", np.linalg.vecdot)):
        case(
            f"{name} {k}",
            lambda m, a, b, f=vecdot: f(a, b),
            left,
            right,
            torch=lambda m, a, b: m.linalg.vecdot(a + 0j, b + 0j),
        )
case("dot", lambda m, a, b: m.dot(a, b), z(2, 3), z(2, 3, 2), torch=lambda m, a, b: m.tensordot(a, b, ([1], [1])))
case("dot, real and complex", lambda m, a, b: m.dot(a, b), x(3), z(3), torch=lambda m, a, b: m.dot(a + 0j, b))
case("dot of numbers", lambda m, a, b: m.dot(a, b), z(), z(2), torch=lambda m, a, b: a * b)
case("inner", lambda m, a, b: m.inner(a, b), z(2, 3), z(4, 3))
case("outer", lambda m, a, b: m.outer(a, b), x(2), z(3))
case("tensordot", lambda m, a, b: m.tensordot(a, b + 0j, 2), z(2, 3, 2), x(3, 2))
case("einsum", lambda m, a, b, c: m.einsum("ij,jk,kk->i", a, b + 0j, c), z(2, 3), x(3, 2), z(2, 2))
case("kron", lambda m, a, b: m.kron(a, b), z(2, 2), x(2, 3))
case("cross", lambda m, a, b: m.cross(a, b, -1), x(2, 3), z(2, 3), torch=lambda m, a, b: m.cross(a + 0j, b, -1))
if hasattr(np, "matvec"):
    case("matvec", lambda m, a, b: np.matvec(a, b), z(2, 3, 3), z(3), torch=lambda m, a, b: a @ b)
    case("vecmat", lambda m, a, b: np.vecmat(a, b), z(2, 3), z(3, 4), torch=lambda m, a, b: a.conj() @ b)
case("trace", lambda m, a: m.trace(a) * a, z(3, 3))
case("diagonal", lambda m, a: m.diagonal(a, 1), z(3, 3))
case("tril", lambda m, a: m.tril(a) @ m.diag(m.diag(a)), z(3, 3))
case("vander", lambda m, a: m.vander(a, 3), z(3), torch=lambda m, a: a[:, None] ** m.tensor([2, 1, 0]))

for name in ("inv", "det", "pinv", "svdvals"):
    for shape in ((3, 3), (2, 2, 2)):
        case(f"{name} {shape}", lambda m, a, f=name: getattr(m.linalg, f)(a), z(*shape))
for shape in ((3, 2), (2, 3)):
    case(f"pinv {shape}", lambda m, a: m.linalg.pinv(a), z(*shape))
    case(f"svdvals {shape}", lambda m, a: m.linalg.svdvals(a), z(*shape))
case("solve", lambda m, a, b: m.linalg.solve(a, b), z(3, 3), z(3, 2))
case("solve, a stack", lambda m, a, b: m.linalg.solve(a, b), z(2, 3, 3), z(3, 2))
case("solve, real by complex", lambda m, a, b: m.linalg.solve(a + 0j, b), x(3, 3), z(3))
case("solve, complex by real", lambda m, a, b: m.linalg.solve(a, b + 0j), z(3, 3), x(3))
case("tensorsolve", lambda m, a, b: m.linalg.tensorsolve(a.reshape(2, 3, 6), b), z(6, 6), z(2, 3))
case("tensorinv", lambda m, a: m.linalg.tensorinv(a.reshape(2, 3, 6), 2), z(6, 6))
case("multi_dot", lambda m, *xs: m.linalg.multi_dot(xs), z(3), z(3, 2), z(2, 3))
for n in (0, 3, -2):
    case(f"matrix_power {n}", lambda m, a, n=n: m.linalg.matrix_power(a, n), z(2, 2))
case("slogdet", lambda m, a: tuple(m.linalg.slogdet(a)), z(2, 3, 3))
case("lstsq", lambda m, a, b: m.linalg.lstsq(a, b)[0], z(4, 2), z(4, 3))
case(
    "lstsq, residuals and values",
    lambda m, a, b: (m.linalg.lstsq(a, b)[1], m.linalg.lstsq(a, b)[3]),
    z(4, 2),
    z(4, 3),
    torch=lambda m, a, b: ((abs(a @ m.linalg.lstsq(a, b)[0] - b) ** 2).sum(0), m.linalg.svdvals(a)),
)
for ord in (None, 1, 2, 3, 4, 2.5, 0.5, -1, inf, -inf):
    case(
        f"norm, ord {ord}",
        lambda m, a, ord=ord: m.linalg.norm(a, ord, 1),
        z(2, 3),
        torch=lambda m, a, ord=ord: m.linalg.vector_norm(a, 2 if ord is None else ord, 1),
    )
for ord in ("fro", "nuc", 1, -1, 2, -2, inf, -inf):
    case(f"norm of a matrix, ord {ord}", lambda m, a, ord=ord: m.linalg.norm(a, ord), z(2, 3))
    case(
        f"matrix_norm, ord {ord}",
        lambda m, a, ord=ord: m.linalg.matrix_norm(a, ord=ord, keepdims=True),
        z(2, 3, 2),
        torch=lambda m, a, ord=ord: m.linalg.matrix_norm(a, ord=ord, keepdim=True),
    )
case("vector_norm", lambda m, a: m.linalg.vector_norm(a), z(2, 3))
case(
    "norm with a zero, ord 4", lambda m, a: m.linalg.norm(a, 4), np.array([0, 1j, 2 - 1j]),
    torch=lambda m, a: (abs(a) ** 4).sum() ** 0.25,
)  # fmt: skip
for p in (2, -2, "fro"):
    case(
        f"cond {p}",
        lambda m, a, p=p: m.linalg.cond(a, p),
        z(3, 3),
        torch=lambda m, a, p=p: (
            m.linalg.cond(a, p) if p != "fro" else m.linalg.matrix_norm(a) * m.linalg.matrix_norm(m.linalg.inv(a))
        ),
    )
for upper in (False, True):
    case(f"cholesky, upper={upper}", lambda m, a, u=upper: m.linalg.cholesky(definite(a), upper=u), z(2, 3, 3))
    case(
        f"cholesky of a triangle, upper={upper}",
        lambda m, a, u=upper: m.linalg.cholesky(a, upper=u),
        definite(z(3, 3)),
        torch=lambda m, a, u=upper: m.linalg.cholesky(hermitian(a), upper=u),
    )
for shape in ((3, 3), (2, 3, 2), (2, 4)):
    case(
        f"qr {shape}",
        lambda m, a: (lambda q, r: (abs(q) ** 2, abs(r) ** 2, q @ r, q * r[..., :1, :1]))(*m.linalg.qr(a)),
        z(*shape),
    )
for uplo in "LU":
    case(f"eigh {uplo}", lambda m, a, uplo=uplo: of_eigh(*m.linalg.eigh(a, UPLO=uplo)), z(3, 3))
    case(f"eigvalsh {uplo}", lambda m, a, uplo=uplo: m.linalg.eigvalsh(a, UPLO=uplo), z(2, 2, 2))
case("eigh of a stack", lambda m, a: of_eigh(*m.linalg.eigh(hermitian(a))), z(2, 2, 2))
for shape in ((3, 3), (2, 3, 2), (2, 4)):
    case(
        f"svd {shape}",
        lambda m, a: of_svd(*m.linalg.svd(a, full_matrices=False)),
        z(*shape),
    )
case("polar factor", lambda m, a: (lambda u, s, vt: u @ vt)(*m.linalg.svd(a)), z(3, 3))
rotating = np.array([[1.0, 2.0, 0.1], [-2.0, 1.0, 0.3], [0.2, 0.1, 2.0]])
for name, a in (("complex", z(3, 3)), ("a stack", z(2, 2, 2)), ("real", rotating)):
    case(f"eig, {name}", lambda m, a: of_eig(*m.linalg.eig(a)), a)
    case(f"eigvals, {name}", lambda m, a: (m.linalg.eigvals(a) ** 3).sum(-1), a)
case("eig, real with real values", lambda m, a: of_eig(*m.linalg.eig(a)), np.diag([1.0, 2, 3]) + 0.2 * x(3, 3))


def several(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, list | tuple) else (result,)


def numbers_for(outputs: Any) -> list[Any]:
    numbers = np.random.default_rng(1)
    return [numbers.normal(size=out.shape) + 1j * numbers.normal(size=out.shape) for out in outputs]


def of_number(outputs: Any, make: Callable[[Any], Any] = np.asarray) -> Any:
    """Give ``Re Σ c out``, where errors of real and imaginary parts cannot cancel."""
    return sum((out * make(c)).sum().real for out, c in zip(outputs, numbers_for(outputs), strict=True))


@pytest.mark.parametrize(("function", "args", "twin"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_values_and_derivatives_are_pytorchs(function: Twin, args: tuple[Any, ...], twin: Twin) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = [Tensor(arg) for arg in args], [torch.tensor(arg, requires_grad=True) for arg in args]
    outputs, torchs = several(function(np, *ours)), several(twin(torch, *theirs))
    for out, numpys, other in zip(outputs, several(function(np, *args)), torchs, strict=True):
        assert out.dtype == numpys.dtype
        np.testing.assert_allclose(out.data, other.numpy(force=True), rtol=1e-9, atol=1e-12)
    of_number(outputs).backward(create_graph=True)
    first = [arg.grad for arg in ours]
    for arg in ours:
        arg.grad = None
    if (total := of_number(first)).requires_grad:
        total.backward()
    second = [np.zeros(arg.shape) if arg.grad is None else arg.grad for arg in ours]
    their_first = torch.autograd.grad(of_number(torchs, torch.tensor), theirs, create_graph=True)
    total = of_number(their_first, torch.tensor)
    their_second: Any = [torch.zeros(arg.shape) for arg in args]
    if total.requires_grad:
        their_second = torch.autograd.grad(total, theirs, allow_unused=True, materialize_grads=True)
    for name, mine, others in (("gradient", [g.data for g in first], their_first), ("second", second, their_second)):
        for arg, a, b in zip(args, mine, others, strict=True):
            assert a.dtype == arg.dtype or not a.any(), name
            np.testing.assert_allclose(a, b.numpy(force=True), rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize(("function", "args"), [case[1:3] for case in CASES], ids=[case[0] for case in CASES])
def test_single_precision_stays(function: Twin, args: tuple[Any, ...]) -> None:
    single = [Tensor(arg.astype(np.complex64 if arg.dtype.kind == "c" else np.float32)) for arg in args]
    double = [Tensor(arg) for arg in args]
    for tensors in (single, double):
        of_number(several(function(np, *tensors))).backward()
    for ours, exact in zip(single, double, strict=True):
        assert ours.grad.dtype == ours.dtype
        np.testing.assert_allclose(ours.grad, exact.grad, rtol=2e-2, atol=2e-3 * np.max(np.abs(exact.grad)))


# Where values are equal, zero, or the vectors' phases count


def unitary(size: int, seed: int = 0) -> Any:
    numbers = np.random.default_rng(seed)
    return np.linalg.qr(numbers.normal(size=(size, size)) + 1j * numbers.normal(size=(size, size)))[0]


@pytest.mark.parametrize("w", [[2.0, 2, 2, 2], [1.0, 1, 2, 2], [1.0, 2, 3, 4]], ids=str)
@pytest.mark.parametrize("f", [np.sqrt, lambda w: w**2 / np.sum(w)], ids=["sqrt", "share"])
def test_functions_of_a_hermitian_matrix_at_equal_values(f: Twin, w: list[float]) -> None:
    q, weights, direction = unitary(4), z(4, 4), hermitian(z(4, 4))

    def function(a: Any) -> Any:
        w, v = np.linalg.eigh(a)
        return np.sum(weights * ((v * f(w)) @ v.conj().T)).real

    def along(t: Any) -> Any:
        return function(hermitian((q * w) @ q.conj().T) + t * direction)

    h = 1e-3
    values = [along(k * h) for k in (-2, -1, 0, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * h)
    bend = (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * h**2)
    np.testing.assert_allclose(ad.grad(along)(0.0), slope, rtol=1e-7)
    np.testing.assert_allclose(ad.hvp(along)(0.0, 1.0), bend, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("identity", (3, 3)), ("rank 1", (3, 3)), ("zeros", (2, 2)), ("rank 2", (4, 3)), ("zeros", (2, 2, 3))],
)
def test_a_matrix_put_together_again_from_its_singular_values(kind: str, shape: tuple[int, ...]) -> None:
    left, right = z(shape[-2], 2), z(2, shape[-1])
    a = {"identity": np.eye(*shape[-2:]) * 1j, "rank 1": left[:, :1] @ right[:1], "rank 2": left @ right, "zeros": 0j}
    point, weights, direction = np.broadcast_to(a[kind], shape).copy(), z(*shape), z(*shape)

    def again(a: Any) -> Any:
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        return np.sum(weights * ((u * s[..., None, :]) @ vt)).real

    np.testing.assert_allclose(ad.grad(again)(point), weights.conj(), rtol=1e-12, atol=1e-12)
    bent = ad.hvp(lambda a: again(a) ** 2)(point, direction)
    np.testing.assert_allclose(bent, 2 * np.sum(weights * direction).real * weights.conj(), atol=1e-10)


def test_det_of_singular_matrices() -> None:
    for a in (z(3, 2) @ z(2, 3), z(3, 1) @ z(1, 3), x(3, 2) @ x(2, 3), np.zeros((2, 2)) * 1j):
        direction, h = z(*a.shape) if a.dtype.kind == "c" else x(*a.shape), 1e-4
        gradient = ad.grad(lambda a: (np.linalg.det(a) * (1 + 2j)).real)
        expected = (gradient(a + h * direction) - gradient(a - h * direction)) / (2 * h)
        bent = ad.hvp(lambda a: (np.linalg.det(a) * (1 + 2j)).real)(a, direction)
        np.testing.assert_allclose(bent, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("eigh", lambda a: np.linalg.eigh(hermitian(a))[1].real.sum()),
        ("eigh", lambda a: (lambda v: v @ v.T)(np.linalg.eigh(hermitian(a))[1])[0, 1].imag),
        ("svd", lambda a: np.linalg.svd(a)[0][0].real.sum()),
        ("svd", lambda a: np.linalg.svd(a)[2][0].imag.sum()),
        ("eig", lambda a: np.linalg.eig(a)[1].real.sum()),
        ("eig", lambda a: np.linalg.eig((rotating + a.real / 50).astype(complex))[1].real.sum()),
    ],
)
def test_what_depends_on_phases_is_refused(name: str, function: Twin, scale: float) -> None:
    loss = lambda a: scale * function(a)  # noqa: E731
    a = z(3, 3)
    for call in (
        lambda: ad.grad(loss)(a),
        lambda: ad.hvp(loss)(a, a),
        lambda: ad.jvp(loss, (a,), (a,)),
        lambda: ad.vmap(ad.grad(loss))(a[None]),
        lambda: ad.compile(ad.grad(loss))(a),
    ):
        with pytest.raises(ValueError, match=rf"^{name}: .* depends on the phases of complex vectors"):
            call()


def test_what_is_zero_but_for_rounding_does_not_depend_on_phases() -> None:
    for a in (hermitian(z(3, 3)), 1000 * hermitian(z(3, 3)), hermitian(z(3, 3)).astype(np.complex64)):
        np.testing.assert_allclose(
            ad.grad(lambda a, b=a: np.sum(abs((lambda w, v: (v * w) @ v.conj().T)(*np.linalg.eigh(a)) - b) ** 2))(a),
            np.zeros((3, 3)),
            atol=1e-4,
        )


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_equal_values_whose_vectors_count_are_never_finite() -> None:
    for function in (
        lambda a: abs(np.linalg.eigh(a)[1][0, 0]) ** 2,
        lambda a: abs(np.linalg.svd(a)[0][0, 0]) ** 2,
        lambda a: abs(np.linalg.eig(a)[1][0, 0]) ** 2,
    ):
        assert not np.isfinite(ad.grad(function)(2 * np.eye(3) + 0j)).all()
    for matrix in (np.array([[1.0, 1], [0, 1]]), np.eye(3, k=1) + 1j * np.eye(3)):
        with pytest.raises(np.linalg.LinAlgError, match="eig: some eigenvectors are the same"):
            ad.grad(lambda a: np.sum(np.linalg.eigvals(a) ** 2).real)(matrix)
    np.testing.assert_allclose(ad.grad(lambda a: np.sum(np.linalg.eigvals(a)).real)(np.eye(3) + 0j), np.eye(3))


def test_only_one_triangle_and_the_real_diagonal_count() -> None:
    a = z(3, 3)
    lower = np.tril(a, -1) + np.tril(a, -1).conj().T + np.diag(a.diagonal().real)
    for function in (lambda a: np.sum(np.linalg.eigvalsh(a) ** 3), lambda a: abs(np.linalg.cholesky(a)[2, 0])):
        shift = 9 * np.eye(3)
        np.testing.assert_allclose(ad.grad(function)(a + shift), ad.grad(function)(lower + shift), rtol=1e-12)
        gradient = ad.grad(function)(a + shift)
        np.testing.assert_allclose(gradient, gradient.conj().T, atol=1e-13)


def test_singular_matrices_and_zero_norms() -> None:
    ones, zeros = Tensor(np.ones((2, 2)) + 0j), np.zeros(3) * 1j
    for call in (np.linalg.inv, lambda a: np.linalg.solve(a, np.ones(2)), lambda a: np.linalg.cholesky(-a)):
        with pytest.raises(np.linalg.LinAlgError):
            call(ones)
    with pytest.raises(np.linalg.LinAlgError, match="rank is not full"):
        ad.grad(lambda a: np.linalg.qr(a)[1][0, 0].real)(ones.data)
    for ord in (None, 1, 3, inf):
        np.testing.assert_array_equal(ad.grad(lambda a, ord=ord: np.linalg.norm(a, ord))(zeros), zeros)
    direction = z(3)
    np.testing.assert_allclose(ad.hvp(lambda a: np.linalg.norm(a) ** 2)(zeros, direction), 2 * direction)
    assert np.isnan(ad.hvp(np.linalg.norm)(zeros, direction)).all()


@pytest.mark.parametrize(
    "function",
    [np.linalg.inv, np.linalg.det, np.linalg.eigvals, lambda a: np.linalg.solve(a, a @ a), lambda a: np.roots(a[0])],
    ids=["inv", "det", "eigvals", "solve", "roots"],
)
def test_holomorphic_functions_have_complex_jacobians(function: Twin) -> None:
    a, d, h = z(3, 3), z(3, 3), 1e-5
    jacobian = ad.jacobian(function, holomorphic=True)(a)
    numerical = (function(a + h * d) - function(a - h * d)) / (2 * h)
    np.testing.assert_allclose(np.tensordot(jacobian, d, 2), numerical, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(ad.jvp(function, (a,), (d,))[1], numerical, rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="not holomorphic"):
        ad.grad(lambda a: np.vdot(a, a), holomorphic=True)(a)


BATCHED = [
    case for case in CASES if case[0] in ("vdot 0", "vecdot 0", "slogdet", "eigh L", "svd (3, 3)", "eig, complex")
]


@pytest.mark.parametrize(("function", "args"), [case[1:3] for case in BATCHED], ids=[case[0] for case in BATCHED])
def test_batches_and_compiled_functions(function: Twin, args: tuple[Any, ...]) -> None:
    gradient = ad.grad(lambda a, *rest: of_number(several(function(np, a, *rest))))
    stack = np.stack([args[0], args[0] * 1j + 1])
    expected = [gradient(one, *args[1:]) for one in stack]
    actual = ad.vmap(gradient, in_axes=(0, *[None] * (len(args) - 1)))(stack, *args[1:])
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)
    compiled = ad.compile(gradient)
    for one, alone in zip(stack, expected, strict=True):
        np.testing.assert_allclose(compiled(one, *args[1:]), alone, rtol=1e-10, atol=1e-12)


def test_polynomials_and_their_roots() -> None:
    p = z(5)
    np.testing.assert_allclose(
        ad.jacobian(lambda p: np.poly(np.roots(p)) * p[0], holomorphic=True)(p), np.eye(5), atol=1e-9
    )
    roots = Tensor(np.array([1j, -1j, 0]))
    value = np.poly(roots) @ np.arange(4)
    assert value.dtype == np.float64  # of pairs of roots
    value.backward()
    shifted = ad.grad(lambda r: (np.poly(r) @ np.arange(4)).real)(roots.data + np.array([1e-9, 0, 0]))
    np.testing.assert_allclose(roots.grad, shifted, atol=1e-8)
    gradient = ad.grad(lambda p: np.sum(np.roots(p) ** 2).real)(np.array([1.0, 0, 1, 0]))
    np.testing.assert_allclose(gradient, [2, 0, -2, 0], atol=1e-12)
