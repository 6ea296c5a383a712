"""Linear algebra of complex numbers: values and derivatives against NumPy, PyTorch and central differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

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
