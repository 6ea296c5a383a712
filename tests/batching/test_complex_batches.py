"""Batches of complex numbers: each member's result and gradient is what the loop gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad

RNG = np.random.default_rng(0)
Z, W = RNG.normal(size=(2, 6, 4)) + 1j * RNG.normal(size=(2, 6, 4))
M = RNG.normal(size=(6, 4, 4)) + 1j * RNG.normal(size=(6, 4, 4))
X = RNG.normal(size=(6, 4))


def energy(z: Any) -> Any:
    return np.sum(np.abs(z * z + np.exp(1j * z)) ** 2)


def cubic(z: Any) -> Any:
    return z**3 + np.exp(z)


def turned(x: Any) -> Any:
    return np.exp(1j * x) * x.sum()


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "parts": (lambda z: (z.real, z.imag, z.conj(), z.conjugate(), abs(z), np.angle(z), np.sign(z)), (Z,)),
    "numbers beside": (lambda z: (1j * z, z - 2j, (1 - 2j) / z, z ** (1 + 1j), 2j**z, np.complex64(1j) * z), (Z,)),
    "numbers beside real ones": (lambda x: (1j * x, x * 1j, x - (1 - 2j), x ** (1 + 1j), x.imag), (X,)),
    "members that are numbers": (lambda c: (1j * c, c**2, abs(c), c.conj(), c.real), (Z[:, 0],)),
    "reductions": (
        lambda z: (z.sum(), z.mean(), z.prod(), np.var(z), np.std(z), np.cumsum(z), z.max(), np.sort(z)),
        (Z,),
    ),
    "norms": (lambda z, m: (np.linalg.norm(z), np.linalg.norm(m), np.linalg.norm(m, axis=0, keepdims=True)), (Z, M)),
    "questions": (lambda z: (z == z.conj(), np.isreal(z), np.iscomplex(z), np.isfinite(z), np.argmax(z)), (Z,)),
    "products": (lambda z, w: (np.vdot(z, w), z @ w, np.dot(z, w.conj()), np.outer(z, w), np.vecdot(z, w)), (Z, W)),
    "sums of products": (lambda z, m: (m @ z, z @ m, m @ m.conj().T, np.einsum("ij,j", m, z), np.inner(m, z)), (Z, M)),
    "linalg": (lambda m: (np.linalg.inv(m), np.linalg.det(m), np.linalg.solve(m, m[0]), *np.linalg.slogdet(m)), (M,)),
    "choices": (lambda z: (np.where(abs(z) > 1, z, 0), z[::-1], z[[0, 2]], np.stack([z, 1j * z])), (Z,)),
    "dtypes": (lambda z: (z.astype(np.complex64), z.real.astype(complex), np.concatenate([z, z.real])), (Z,)),
    "fft": (lambda z: (np.fft.fft(z), np.fft.ifft2(np.outer(z, z)), np.fft.rfft(z.real)), (Z,)),
    "gradient": (ad.value_and_grad(energy), (Z,)),
    "gradient by real numbers": (ad.grad(lambda x: energy(np.exp(1j * x) * x + 1j)), (X,)),
    "gradient by both": (ad.grad(lambda x, z: energy(np.exp(1j * x) * z), (0, 1)), (X, Z)),
    "gradient of linalg": (ad.grad(lambda m: np.abs(np.linalg.det(m)) + np.abs(np.linalg.inv(m)).sum()), (M,)),
    "holomorphic gradient": (ad.grad(lambda z: cubic(z).sum(), holomorphic=True), (Z,)),
    "holomorphic jacobian": (ad.jacobian(cubic, holomorphic=True), (Z,)),
    "holomorphic hessian": (ad.hessian(lambda z: (z**3).sum() * z[0], holomorphic=True), (Z,)),
    "jacobian of real numbers": (ad.jacobian(turned), (X,)),
    "jvp": (lambda z, w: ad.jvp(energy, (z,), (w,)), (Z, W)),
    "hvp": (lambda z, w: ad.hvp(energy)(z, w), (Z, W)),
    "vjp": (lambda z, w: ad.vjp(cubic, z)[1](w)[0], (Z, W)),
    "checkpoint": (ad.grad(lambda z: energy(ad.checkpoint(cubic)(z))), (Z,)),
}


@pytest.mark.together("name", FUNCTIONS)
def test_as_the_loop(name: str) -> None:
    function, args = FUNCTIONS[name]
    for given in (args, tuple(one[:0] for one in args)):
        found = ad.vmap(function)(*given)
        each = [function(*members) for members in zip(*args, strict=True)]
        columns = zip(*each, strict=True) if isinstance(found, tuple) else [each]
        for batch, members in zip(found if isinstance(found, tuple) else [found], columns, strict=True):
            wanted = np.stack(members)[: len(given[0])]
            assert (batch.dtype, batch.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_allclose(batch, wanted, 1e-12, 1e-13)


def test_through_a_batch() -> None:
    weights = RNG.normal(size=(4, 3)) + 1j * RNG.normal(size=(4, 3))

    def by_batch(p: Any) -> Any:
        return np.sum(ad.vmap(lambda z: np.abs(z @ p) ** 3)(Z))

    def at_once(p: Any) -> Any:
        return np.sum(np.abs(Z @ p) ** 3)

    np.testing.assert_allclose(ad.grad(by_batch)(weights), ad.grad(at_once)(weights), 1e-12)
    tangent = weights * (2 - 1j)
    for transform in (lambda f: ad.jvp(f, (weights,), (tangent,))[1], lambda f: ad.hvp(f)(weights, tangent)):
        np.testing.assert_allclose(transform(by_batch), transform(at_once), 1e-11)
    tensor = ad.Tensor(weights)
    by_batch(tensor).backward()
    np.testing.assert_allclose(tensor.grad, ad.grad(at_once)(weights), 1e-12)
    each = ad.vmap(ad.grad(lambda p, z: np.sum(np.abs(z @ p) ** 3)), in_axes=(None, 0))(weights, Z)
    np.testing.assert_allclose(each.sum(0), tensor.grad, 1e-12)


def test_jacobians_at_once_are_those_by_columns() -> None:
    for function, at, is_complex in (
        (cubic, Z[0], True),
        (turned, X[0], False),
        (lambda x: 1j * x @ M[0], X[0], False),
    ):
        columns = [ad.jvp(function, (at,), (unit,))[1] for unit in np.eye(4, dtype=at.dtype)]
        found = ad.jacobian(function, holomorphic=is_complex)(at)
        np.testing.assert_allclose(found, np.stack(columns, axis=1), 1e-13)


def test_what_is_not_holomorphic_is_refused_for_members_too() -> None:
    with pytest.raises(ValueError, match="not holomorphic"):
        ad.vmap(ad.grad(lambda z: np.sum(z.conj()), holomorphic=True))(Z)
    with pytest.raises(TypeError, match="say holomorphic=True"):
        ad.vmap(ad.grad(lambda z: np.sum(z * z)))(Z)
    with pytest.raises(TypeError, match="each member has its own"):
        ad.vmap(lambda z: complex(z[0]))(Z)
