"""Norms, inverses, determinants and factors of matrices.

The matrices are well-conditioned, and those that NumPy takes for symmetric are made so inside the function. Vectors are
compared with PyTorch's by their squares, since it may choose other signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(6)
normal, nonzero = sampler.normal, sampler.nonzero


def regular(*shape: int) -> Any:
    """Give matrices whose singular values lie apart from each other and from zero: 1, 2, 3 and so on."""
    u, _, vt = np.linalg.svd(normal(*shape), full_matrices=False)
    return u @ (np.arange(1.0, u.shape[-1] + 1)[:, None] * vt)


def symmetric(x: Any) -> Any:
    """Make matrices symmetric, or Hermitian, in functions that NumPy and PyTorch both have."""
    return (x + x.swapaxes(-1, -2).conj()) / 2


def positive_definite(x: Any) -> Any:
    return x @ x.swapaxes(-1, -2).conj() + 1.0


def norms() -> Iterator[Case]:
    inf = math.inf
    for ord, (shape, axis), keepdims in product(
        (None, 1, 2, 3, 2.5, 0.5, -1, -2, 0, inf, -inf),
        (((3,), None), ((2, 3), 0), ((2, 3), -1), ((2, 3, 2), (1,))),
        (False, True),
    ):
        options = {"ord": ord, "axis": axis, "keepdims": keepdims}
        dim = {"ord": 2 if ord is None else ord, "dim": axis, "keepdim": keepdims}
        x = nonzero(*shape)
        yield Case(
            f"norm {shape}, {options}",
            lambda x, options=options: np.linalg.norm(x, **options),
            (x,),
            torch=lambda t, x, dim=dim: t.linalg.vector_norm(x, **dim),
        )
    for ord, (shape, axis), keepdims in product(
        (None, "fro", "nuc", 1, -1, 2, -2, inf, -inf),
        (((3, 3), None), ((2, 3), (0, 1)), ((3, 2), (1, 0)), ((2, 2, 3), (-2, -1)), ((2, 2, 3), (2, 0))),
        (False, True),
    ):
        options = {"ord": ord, "axis": axis, "keepdims": keepdims}
        dims = (-2, -1) if axis is None else axis
        dim = {"ord": "fro" if ord is None else ord, "dim": dims, "keepdim": keepdims}
        yield Case(
            f"norm {shape}, {options}",
            lambda x, options=options: np.linalg.norm(x, **options),
            (np.array(np.moveaxis(regular(*np.moveaxis(np.empty(shape), dims, (-2, -1)).shape), (-2, -1), dims)),),
            torch=lambda t, x, dim=dim: t.linalg.matrix_norm(x, **dim),
        )
    for shape in ((), (1,), (1, 1), (2, 3, 2)):
        yield Case(f"norm {shape}", np.linalg.norm, (normal(*shape),), torch=lambda t, x: t.linalg.vector_norm(x))
    yield Case("norm of nothing", np.linalg.norm, (normal(0),), torch=lambda t, x: t.linalg.vector_norm(x))
    yield Case("norm, by position", lambda x: np.linalg.norm(x, 1, 0, True), (nonzero(2, 3),))
    for ord in (1, 2, 3, inf, -inf):
        # At the kink there is no derivative, but PyTorch's convention; and no second one, as PyTorch says for 2 only.
        yield Case(
            f"norm at 0, ord {ord}",
            lambda x, ord=ord: np.linalg.norm(x, ord),
            (np.zeros(3),),
            order=0,
            torch=lambda t, x, ord=ord: t.linalg.vector_norm(x, 2 if ord == 3 else ord),
        )
    for ord in (2, 4):
        yield Case(
            f"norm with a zero, ord {ord}",
            lambda x, ord=ord: np.linalg.norm(x, ord),
            (np.array([0.0, 1.0, -2.0]),),
            torch=lambda t, x, ord=ord: t.linalg.vector_norm(x, ord),
        )
    for ord in (inf, -inf):
        # At a tie there is no derivative, but PyTorch's convention.
        yield Case(
            f"norm with ties, ord {ord}",
            lambda x, ord=ord: np.linalg.norm(x, ord),
            (np.array([2.0, -2.0, 2.0]),),
            order=0,
            torch=lambda t, x, ord=ord: t.linalg.vector_norm(x, ord),
        )
    for ord in (1, -1, inf, -inf):
        yield Case(
            f"norm of a matrix with ties, ord {ord}",
            lambda x, ord=ord: np.linalg.norm(x, ord),
            (np.array([[1.0, -3.0], [3.0, 1.0]]),),
            order=0,
            torch=lambda t, x, ord=ord: t.linalg.matrix_norm(x, ord),
        )
    for axis, keepdims, ord in ((None, False, 2), (1, True, 3), ((0, 2), False, 1), ((0, 1, 2), True, inf)):
        options = {"axis": axis, "keepdims": keepdims, "ord": ord}
        yield Case(
            f"vector_norm, {options}",
            lambda x, options=options: np.linalg.vector_norm(x, **options),
            (nonzero(2, 3, 2),),
            torch=lambda t, x, a=axis, k=keepdims, ord=ord: t.linalg.vector_norm(x, ord, dim=a, keepdim=k),
        )
    for keepdims, ord in product((False, True), ("fro", "nuc", 2, -1)):
        yield Case(
            f"matrix_norm, ord {ord}{', keepdims' * keepdims}",
            lambda x, ord=ord, keepdims=keepdims: np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims),
            (regular(2, 3, 2),),
            torch=lambda t, x, ord=ord, keepdims=keepdims: t.linalg.matrix_norm(x, ord, keepdim=keepdims),
        )
    yield Case("matrix_norm", np.linalg.matrix_norm, (normal(2, 3),), torch=lambda t, x: t.linalg.matrix_norm(x))
    for p in (None, 2, -2, "fro", "nuc", 1, -1, inf, -inf):
        yield Case(
            f"cond, p={p}",
            lambda x, p=p: np.linalg.cond(x, p),
            (regular(2, 3, 3),),
            # torch.linalg.cond writes into what its own gradient needs.
            torch=lambda t, x, p=p: (
                t.linalg.cond(x, p)
                if p in (None, 2, -2)
                else t.linalg.matrix_norm(x, p) * t.linalg.matrix_norm(t.linalg.inv(x), p)
            ),
        )
    yield Case("cond", np.linalg.cond, (regular(3, 2),), torch=lambda t, x: t.linalg.cond(x))


def inverses() -> Iterator[Case]:
    for shape in ((3, 3), (2, 3, 3), (1, 1), (0, 0)):
        yield Case(f"inv {shape}", np.linalg.inv, (regular(*shape),), torch=lambda t, x: t.linalg.inv(x))
    for shape in ((3, 3), (3, 2), (2, 3), (2, 3, 2), (2, 2, 3), (1, 1), (2, 0)):
        yield Case(f"pinv {shape}", np.linalg.pinv, (regular(*shape),), torch=lambda t, x: t.linalg.pinv(x))
    for a, b in (
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (2, 3, 1)),
        ((2, 3, 3), (3, 2)),
        ((3, 3), (2, 3, 2)),
        ((2, 3, 3), (3,)),
        ((2, 1, 3, 3), (4, 3, 1)),
        ((1, 1), (1,)),
        ((2, 2), (2, 0)),
        ((0, 0), (0, 2)),
    ):
        yield Case(
            f"solve {a} {b}",
            np.linalg.solve,
            (regular(*a), normal(*b)),
            torch=lambda t, a, b: (
                t.linalg.solve(a, b) if b.ndim > 1 else t.linalg.solve(a, b.expand(a.shape[:-1])[..., None])[..., 0]
            ),
        )
    yield Case(
        "solve with lists",
        lambda x: np.linalg.solve(x, [1.0, 2.0]) * np.linalg.solve([[2.0, 1.0], [1.0, 3.0]], x),
        (regular(2, 2),),
    )
    yield Case(
        "tensorsolve",
        lambda a, b: np.linalg.tensorsolve(a.reshape(2, 3, 6), b),
        (regular(6, 6), normal(2, 3)),
        torch=lambda t, a, b: t.linalg.tensorsolve(a.reshape(2, 3, 6), b),
    )
    yield Case(
        "tensorsolve, axes=",
        lambda a, b: np.linalg.tensorsolve(a.reshape(2, 3, 6).transpose(0, 2, 1), b, axes=(0, 2)),
        (regular(6, 6), normal(6)),
        torch=lambda t, a, b: t.linalg.tensorsolve(a.reshape(2, 3, 6).permute(0, 2, 1), b, dims=(0, 2)),
    )
    yield Case("tensorsolve, a number", lambda a, b: np.linalg.tensorsolve(a.reshape(()), b), (regular(1, 1), normal()))
    for ind, shape in ((2, (2, 3, 6)), (1, (6, 3, 2)), (2, (3, 2, 2, 3))):
        yield Case(
            f"tensorinv {shape}, ind={ind}",
            lambda a, ind=ind, shape=shape: np.linalg.tensorinv(a.reshape(shape), ind=ind),
            (regular(6, 6),),
            torch=lambda t, a, ind=ind, shape=shape: t.linalg.tensorinv(a.reshape(shape), ind),
        )
    for a, b in (((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 4), (2, 3)), ((2, 4), (2,)), ((3, 3), (3, 1))):
        yield Case(
            f"lstsq {a} {b}",
            lambda a, b: (lambda x, residuals, rank, s: (x, residuals, s))(*np.linalg.lstsq(a, b)),
            (regular(*a), normal(*b)),
        )
        yield Case(
            f"lstsq {a} {b}, solution",
            lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
            (regular(*a), normal(*b)),
            torch=lambda t, a, b: t.linalg.lstsq(a, b.reshape(len(b), -1)).solution.reshape(-1, *b.shape[1:]),
        )
    yield Case("lstsq with lists", lambda x: np.linalg.lstsq([[1.0], [2.0]], x)[0] @ [1.0, 2.0], (normal(2, 2),))
    yield Case("lstsq of a list", lambda x: np.linalg.lstsq(x, [1.0, 2.0])[1], (normal(2, 1),))
    for n, shape in product((0, 1, 2, 3, 5, 6, -1, -2, -3), ((2, 2), (2, 3, 3))):
        yield Case(
            f"matrix_power {shape} {n}",
            lambda x, n=n: np.linalg.matrix_power(x, n),
            (regular(*shape) / 2,),
            torch=lambda t, x, n=n: t.linalg.matrix_power(x, n),
        )
    for shapes in (
        ((2, 3), (3, 4)),
        ((2, 3), (3, 1), (1, 4)),
        ((5, 2), (2, 3), (3, 2), (2, 4)),
        ((3,), (3, 2), (2, 3)),
        ((2, 3), (3, 2), (2,)),
        ((3,), (3, 2), (2,)),
        ((3,), (3,)),
        ((2, 0), (0, 3), (3, 2)),
    ):
        yield Case(
            f"multi_dot {' '.join(map(str, shapes))}",
            lambda *xs: np.linalg.multi_dot(xs),
            tuple(normal(*shape) for shape in shapes),
            torch=lambda t, *xs: t.linalg.multi_dot(xs),
        )
    yield Case("multi_dot with constants", lambda x: np.linalg.multi_dot([np.eye(2), x, x.T]), (normal(2, 3),))
    for shape in ((3, 3), (2, 3, 3), (1, 1), (0, 0), (2, 2, 1, 1)):
        yield Case(f"det {shape}", np.linalg.det, (regular(*shape),), torch="det")
    yield Case("det of a negative", np.linalg.det, (np.array([[0.0, 1.0], [2.0, 0.5]]),), torch="det")
    yield Case("det of the identity", np.linalg.det, (np.eye(3),), torch="det")
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    yield Case("det of a singular matrix", np.linalg.det, (singular,), torch="det")
    yield Case("det of a singular among others", np.linalg.det, (np.array([singular, np.eye(2)]),))
    yield Case("det of a singular matrix, a double value", np.linalg.det, (np.diag([2.0, 0.0, 2.0]),))
    yield Case("det of rank 1", np.linalg.det, (np.diag([0.0, 2.0, 0.0]),))
    yield Case("det of zeros", np.linalg.det, (np.zeros((2, 2)),))
    for shape in ((3, 3), (2, 3, 3), (1, 1)):
        yield Case(
            f"slogdet {shape}",
            lambda x: np.linalg.slogdet(x).logabsdet,
            (regular(*shape),),
            torch=lambda t, x: t.linalg.slogdet(x)[1],
        )
    yield Case("slogdet, sign", lambda x: tuple(np.linalg.slogdet(x)), (regular(2, 2),))


def factors() -> Iterator[Case]:
    for shape, upper in product(((3, 3), (2, 3, 3), (1, 1), (0, 0)), (False, True)):
        yield Case(
            f"cholesky {shape}, upper={upper}",
            lambda x, upper=upper: np.linalg.cholesky(positive_definite(x), upper=upper),
            (regular(*shape),),
            torch=lambda t, x, upper=upper: t.linalg.cholesky(positive_definite(x), upper=upper),
        )
    yield Case("cholesky", lambda x: np.linalg.cholesky(x @ x.conj().T + 3 * np.eye(3)), (normal(3, 3),))

    def squares(qr: Any) -> Any:
        return [factor**2 for factor in qr]

    for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2), (2, 2, 3), (1, 1), (2, 1), (1, 2), (3, 0)):
        x = regular(*shape)
        for mode in ("reduced", "complete") if shape[-2] <= shape[-1] else ("reduced",):
            yield Case(
                f"qr {shape}, mode={mode!r}",
                lambda x, mode=mode: squares(np.linalg.qr(x, mode)),
                (x,),
                torch=lambda t, x, mode=mode: squares(t.linalg.qr(x, mode)),
            )
        yield Case(f"qr {shape}", lambda x: tuple(np.linalg.qr(x)), (x,))
        # PyTorch's mode "r" has no derivative.
        yield Case(
            f"qr {shape}, mode='r'",
            lambda x: np.linalg.qr(x, mode="r") ** 2,
            (x,),
            torch=lambda t, x: t.linalg.qr(x)[1] ** 2,
        )
    yield Case("qr, one of two", lambda x: np.linalg.qr(x)[0] * np.linalg.qr(x).R[0, 0], (regular(2, 2),))
    for shape, uplo in product(((3, 3), (2, 3, 3), (1, 1), (0, 0)), "LU"):
        x = regular(*shape)
        yield Case(
            f"eigh {shape}, UPLO={uplo}",
            lambda x, uplo=uplo: (lambda w, v: (w, abs(v) ** 2))(*np.linalg.eigh(symmetric(x), UPLO=uplo)),
            (x,),
            torch=lambda t, x, uplo=uplo: (lambda w, v: (w, abs(v) ** 2))(*t.linalg.eigh(symmetric(x), UPLO=uplo)),
        )
        yield Case(
            f"eigvalsh {shape}, UPLO={uplo}",
            lambda x, uplo=uplo: np.linalg.eigvalsh(symmetric(x), uplo),
            (x,),
            plain=lambda x, uplo=uplo: np.linalg.eigh(symmetric(x), uplo).eigenvalues,  # as of a Tensor, to the bit
            torch=lambda t, x, uplo=uplo: t.linalg.eigvalsh(symmetric(x), UPLO=uplo),
        )
    yield Case("eigh, vectors as they are", lambda x: tuple(np.linalg.eigh(symmetric(x))), (regular(3, 3),))
    yield Case("eigh, eigenvalues only", lambda x: np.linalg.eigh(symmetric(x)).eigenvalues, (regular(2, 2),))
    yield Case(
        "eigh, a function of the matrix",
        lambda x: (lambda w, v: (v * np.exp(w)) @ v.conj().T)(*np.linalg.eigh(symmetric(x))),
        (regular(3, 3),),
        torch=lambda t, x: t.linalg.matrix_exp(symmetric(x)),
    )

    def gauge_free(svd: Any) -> Any:
        u, s, vt = svd
        return abs(u) ** 2, s, abs(vt) ** 2, u[..., :1, :] * s[..., None, :] * vt.swapaxes(-1, -2)[..., :1, :]

    shapes = ((3, 3), (4, 2), (2, 4), (2, 3, 2), (2, 2, 3), (1, 1), (3, 1), (1, 3))
    for shape in shapes:
        x = regular(*shape)
        for full_matrices in (False, True) if shape[-1] == shape[-2] else (False,):
            yield Case(
                f"svd {shape}, full_matrices={full_matrices}",
                lambda x, full=full_matrices: gauge_free(np.linalg.svd(x, full_matrices=full)),
                (x,),
                torch=lambda t, x, full=full_matrices: gauge_free(t.linalg.svd(x, full_matrices=full)),
            )
        yield Case(f"svd, vectors as they are, {shape}", lambda x: tuple(np.linalg.svd(x, full_matrices=False)), (x,))
    values: list[tuple[str, Callable[..., Any]]] = [
        ("svdvals", np.linalg.svdvals),
        ("svd, compute_uv=False,", lambda x: np.linalg.svd(x, compute_uv=False)),
        ("svd, values only,", lambda x: np.linalg.svd(x, full_matrices=False).S),
    ]
    for (name, function), shape in product(values, (*shapes, (0, 2))):
        yield Case(
            f"{name} {shape}",
            function,
            (regular(*shape),),
            torch=lambda t, x: t.linalg.svdvals(x),
            plain=values[-1][1] if name == "svdvals" else None,  # as of a Tensor, to the bit
        )
    # Where singular values or eigenvalues are equal, symmetric functions of them still have a derivative.
    identity = np.eye(3)
    yield Case("svd of the identity", lambda x: np.linalg.svd(x).S.sum(), (identity,), order=1)
    yield Case("norm of the identity", lambda x: np.linalg.norm(x, "nuc"), (identity,))
    yield Case("eigh of the identity", lambda x: np.linalg.eigh(symmetric(x)).eigenvalues.sum(), (identity,), order=1)
    yield Case("eigvalsh of the identity", lambda x: np.linalg.eigvalsh(symmetric(x)).prod(), (identity,), order=1)
    # Real matrices with real eigenvalues; complex ones, which NumPy gives too, depend on the numbers.
    x = np.array([[1.0, 0.2, -0.3], [0.4, 3.0, 0.1], [-0.2, 0.5, 5.0]])
    yield Case(
        "eig of a matrix",
        lambda x: (lambda w, v: (w, abs(v) ** 2))(*np.linalg.eig(x)),
        (x,),
        torch=lambda t, x: (lambda w, v: (w.real, abs(v) ** 2))(*t.linalg.eig(x)),
    )
    yield Case(
        "eigvals of a matrix",
        lambda x: np.linalg.eigvals(x) ** 3,
        (x,),
        plain=lambda x: np.linalg.eig(x)[0] ** 3,  # as of a Tensor, to the bit
        torch=lambda t, x: (t.linalg.eigvals(x) ** 3).real,
    )
    yield Case("poly of a matrix", np.poly, (x,))
    yield Case("poly", np.poly, (nonzero(3),))
    yield Case("roots", np.roots, (np.array([2.0, 3.0]),))  # of more, real or complex as the numbers are


CASES = [*norms(), *inverses(), *factors()]
