"""Norms, inverses, determinants and triangular factors of matrices, and of stacks of them: what `numpy.linalg` has.

Where NumPy reads one triangle of a symmetric matrix only (``cholesky``, ``eigh``, ``eigvalsh``), the gradient is that
of the symmetric matrix, and so is symmetric itself, as in PyTorch; of complex numbers, Hermitian. Eigenvalues and
singular values stand in ``spectra.py``.

Gradients flow as derivatives by a complex variable: a change ``dA`` of a matrix is worth ``Re Σ g dA``. What a formula
owes to ``dA`` itself has transposes where it has them for real numbers; what it owes to ``dAᴴ``, as ``Re Σ h dAᴴ``, is
the conjugate of ``hᵀ``.
"""

import math
import operator
from typing import Any

import numpy as np

from autodiff.arrays.sums import Axis
from autodiff.arrays.whole import holds_any, looked_at
from autodiff.core.record import data_of
from autodiff.core.rule import Array, defvjp, describe
from autodiff.core.tape import conj
from autodiff.core.tensor import Tensor, as_array, is_complex, stop_gradient
from autodiff.rules.limits import convention, exact_to, over_root
from autodiff.rules.linalg import swap_last_axes
from autodiff.rules.reductions import _extremum, _product_of_others, _restore_axes
from autodiff.rules.spectra import _largest, values_gradient
from autodiff.transforms.composition import defcomposition

# Norms. Like PyTorch's, they have the gradient 0 at zero, and equal maxima and minima share theirs evenly. That 0 is a
# convention: second derivatives are nan there. What is even in a norm of order 2, as its square, has a second
# derivative too, and further ones may be refused; np.sum(r * r) has all.


def _vector_norm(g: Array, out: Array, x: Array, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """``conj(sign(x)) (|x| / norm)^(ord-1)``; None is 2."""
    ord = 2 if ord is None else ord
    if abs(ord) == math.inf:
        return conj(np.sign(x)) * _extremum(g, out, np.abs(x), axis, keepdims=keepdims)
    if ord == 0:
        return np.zeros_like(x)
    if ord == 1:
        return _restore_axes(g, x, axis, keepdims) * conj(np.sign(x))
    by_root, is_kink = over_root(g, out)
    if ord != 2 and is_kink is not None:
        is_kink = is_kink | ((out == 0) & (by_root != 0))  # only the norm of order 2 has a square that is smooth
    g, out, by_root = (_restore_axes(one, x, axis, keepdims) for one in (g, out, by_root))
    if ord == 2:
        gradient = conj(x) * by_root
    else:
        is_zero = out == 0
        ratio = np.where(is_zero, 1, x) / np.where(is_zero, 1, out)
        power = float(ord) - 1
        is_smooth = ord % 2 == 0 < ord and not is_complex(x)
        weight = ratio**power if is_smooth else conj(np.sign(x)) * np.abs(ratio) ** power
        gradient = np.where(is_zero, by_root * out, g) * weight
    return gradient if is_kink is None else gradient + g * convention(x, _restore_axes(is_kink, x, axis, keepdims))


def _matrix_norm(
    g: Array, out: Array, x: Array, *, keepdims: bool = False, ord: Any = "fro", axis: tuple[int, int] = (-2, -1)
) -> Array:
    """The norm of sums of a row's or column's elements, or of the singular values."""
    if ord in (None, "f", "fro"):
        return _vector_norm(g, out, x, axis=axis, keepdims=keepdims)
    g = _restore_axes(g, x, axis, keepdims)
    if ord in (1, -1, math.inf, -math.inf):
        summed, compared = axis if abs(ord) == 1 else axis[::-1]
        sums = np.sum(np.abs(x), axis=summed, keepdims=True)
        extreme = (np.max if ord > 0 else np.min)(sums, axis=compared, keepdims=True)
        return conj(np.sign(x)) * _extremum(g, extreme, sums, compared, keepdims=True)
    u, s, vt = np.linalg.svd(np.moveaxis(x, axis, (-2, -1)), full_matrices=False)
    g = np.moveaxis(g, axis, (-2, -1))[..., 0]
    if ord != "nuc":
        extreme = (np.max if ord > 0 else np.min)(s, axis=-1, keepdims=True)
        g = _extremum(g, extreme, s, -1, keepdims=True)
    return np.moveaxis(conj((u * g[..., None, :]) @ vt), (-2, -1), axis)


def _norm(g: Array, out: Array, x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (operator.index(axis),)
    if len(axes) == 2 and ord is not None:
        return _matrix_norm(g, out, x, axis=axes, keepdims=keepdims, ord=ord)
    return _vector_norm(g, out, x, axis=axes, keepdims=keepdims, ord=ord)


def _cond(x: Array, p: Array = None) -> Array:
    if p in (None, 2, -2):
        s = np.linalg.svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.matrix_norm(x, ord=p) * np.linalg.matrix_norm(np.linalg.inv(x), ord=p)


defvjp(np.linalg.vector_norm, _vector_norm)
defvjp(np.linalg.matrix_norm, lambda g, out, x, *, keepdims=False, ord="fro": _matrix_norm(
    g, out, x, keepdims=keepdims, ord=ord))  # fmt: skip
defvjp(np.linalg.norm, _norm)
defcomposition(np.linalg.cond, _cond)


# Inverses and linear equations


def _inv(g: Array, out: Array, a: Array) -> Array:
    """``-A⁻ᵀ g A⁻ᵀ`` (Giles 2008, Collected matrix derivative results)."""
    transposed = swap_last_axes(out)
    return -transposed @ g @ transposed


def _pinv(g: Array, out: Array, a: Array) -> Array:
    """Three terms, for P = pinv(A): ``-Pᵀ g Pᵀ``, and the conjugate of ``(1 - A P) gᵀ P Pᴴ + Pᴴ P gᵀ (1 - P A)``.

    They hold while the rank stays the same (Golub and Pereyra 1973, The differentiation of pseudo-inverses); where it
    changes, the pseudo-inverse jumps.
    """
    turned, transposed = swap_last_axes(g), swap_last_axes(out)
    # What is multiplied by P twice is so in the end, since its square may be out of range.
    adjoint = conj(transposed)
    left = (turned - a @ (out @ turned)) @ (out @ adjoint)
    right = adjoint @ (out @ (turned - turned @ (out @ a)))
    return conj(left + right) - transposed @ g @ transposed


def _solve_a(g: Array, out: Array, a: Array, b: Array) -> Array:
    """``-(A⁻ᵀ g) xᵀ``."""
    column = _solve_b(g, out, a, b)
    if np.ndim(b) == 1:
        return -column[..., :, None] * out[..., None, :]
    return -column @ swap_last_axes(out)


def _solve_b(g: Array, out: Array, a: Array, b: Array) -> Array:
    """``A⁻ᵀ g``. Only a ``b`` of one axis is a vector, or the same one for a stack of matrices."""
    transposed = swap_last_axes(as_array(a))
    if np.ndim(b) == 1:
        return np.linalg.solve(transposed, g[..., None])[..., 0]
    return np.linalg.solve(transposed, g)


def _tensorsolve(a: Array, b: Array, axes: Any = None) -> Array:
    a, b = as_array(a), as_array(b)
    if axes is not None:
        a = np.moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
    return np.reshape(np.linalg.solve(np.reshape(a, (b.size, b.size)), np.ravel(b)), a.shape[b.ndim :])


def _tensorinv(a: Array, ind: int = 2) -> Array:
    size = math.prod(a.shape[:ind])
    return np.reshape(np.linalg.inv(np.reshape(a, (size, size))), a.shape[ind:] + a.shape[:ind])


def _lstsq_a(g: Any, out: Any, a: Array, b: Array, rcond: Any = None) -> Array:
    """Sum what comes from the solution ``pinv(A) b``, from the squares of ``A x - b``, and from the singular values.

    The matrix must have full rank, since the solution jumps where the rank changes.
    """
    g_solution, g_residuals, _, g_singular = g
    solution, residuals, _, _ = out
    b = as_array(b)
    if b.ndim == 1:
        g_solution, solution, b = g_solution[:, None], solution[:, None], b[:, None]
    inverse = np.linalg.pinv(a)
    gradient = _pinv(g_solution @ swap_last_axes(b), inverse, a)
    if residuals.size:
        gradient = gradient + 2 * conj(a @ solution - b) * g_residuals @ swap_last_axes(solution)
    return gradient + values_gradient(g_singular, a)


def _lstsq_b(g: Any, out: Any, a: Array, b: Array, rcond: Any = None) -> Array:
    g_solution, g_residuals, _, _ = g
    solution, residuals, _, _ = out
    a = as_array(a)
    gradient = swap_last_axes(np.linalg.pinv(a)) @ g_solution
    return gradient + 2 * conj(b - a @ solution) * g_residuals if residuals.size else gradient


def _refuse_lstsq(a: Array, b: Array, rcond: Any = None) -> None:
    if rcond is not None:
        raise NotImplementedError("lstsq with rcond= has no derivative rule: leave it out")


def _matrix_power(a: Array, n: Any) -> Array:
    """Multiply the squares of squares that the binary digits of n name."""
    n = operator.index(n)
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    power, result = np.linalg.inv(a) if n < 0 else a, None
    n = abs(n)
    while n:
        if n % 2:
            result = power if result is None else result @ power
        n //= 2
        if n:
            power = power @ power
    return result


def _multi_dot(g: Array, out: Array, arrays: Any) -> list[Array]:
    """For each factor, the product of ``g`` and the transposes of all others, multiplied in the best order too."""
    matrices = [as_array(array) for array in arrays]
    shapes = [array.shape for array in matrices]
    if matrices[0].ndim == 1:
        matrices[0] = matrices[0][None, :]
    if matrices[-1].ndim == 1:
        matrices[-1] = matrices[-1][:, None]
    g = np.reshape(g, (matrices[0].shape[0], matrices[-1].shape[1]))
    turned = [swap_last_axes(matrix) for matrix in matrices]
    return [
        np.reshape(np.linalg.multi_dot([*turned[:number][::-1], g, *turned[number + 1 :][::-1]]), shape)
        for number, shape in enumerate(shapes)
    ]


defvjp(np.linalg.inv, _inv)
defvjp(np.linalg.pinv, _pinv)
defvjp(np.linalg.solve, _solve_a, _solve_b, elementwise=True)
defcomposition(np.linalg.tensorsolve, _tensorsolve, arguments=2)
defcomposition(np.linalg.tensorinv, _tensorinv)
defvjp(np.linalg.lstsq, _lstsq_a, _lstsq_b)
describe(np.linalg.lstsq, refuses=_refuse_lstsq)
defcomposition(np.linalg.matrix_power, _matrix_power)
describe(np.linalg.multi_dot, takes_list=True)
defvjp(np.linalg.multi_dot, _multi_dot)


# Determinants


def _det(g: Array, out: Array, a: Array) -> Array:
    """``g det(A) A⁻ᵀ``, and where A is singular the same without division; see `_cofactors`."""
    g, out = g[..., None, None], out[..., None, None]
    singular = out == 0
    invertible = np.where(singular, np.eye(a.shape[-1], dtype=a.dtype), a)
    inverse = np.linalg.inv(invertible)
    if isinstance(a, Tensor):  # a further derivative is a difference of numbers of the size of the inverse
        lost = _largest(inverse, -2) * _largest(a, -2) > np.finfo(a.dtype).eps ** -0.5
        singular = singular | lost
    cofactors = out * swap_last_axes(inverse)
    # The decomposition costs ten times as much. An array that cannot be looked into may hold a singular matrix.
    is_singular = holds_any(singular)
    if is_singular or looked_at(singular) is None:
        cofactors = np.where(singular, _cofactors(a), cofactors)
    if is_singular:
        cofactors = cofactors * exact_to(a, 1, "det of a singular matrix")
    return g * cofactors


def _cofactors(a: Array) -> Array:
    """Give the derivative of det, of any matrix, so that its own first derivative is right too.

    With U and V as constants, ``Uᴴ A V`` is linear in A, and diagonal here. Where all other elements of a matrix B are
    small, its cofactors are ``Π bₖₖ`` over the k other than i on the diagonal, and elsewhere ``-bⱼᵢ Π bₖₖ`` over those
    other than i and j. That leaves out terms of the second order, which a third derivative of det would need.
    """
    u, _, vt = np.linalg.svd(stop_gradient(a))
    orientation = (np.linalg.det(u) * np.linalg.det(vt))[..., None, None]
    u, vt = conj(u), conj(vt)
    diagonal = swap_last_axes(u) @ a @ swap_last_axes(vt)
    is_diagonal = np.eye(a.shape[-1], dtype=bool)
    elements = np.diagonal(diagonal, axis1=-2, axis2=-1)[..., None, :]
    others = _product_of_others(np.where(is_diagonal, 1, elements))
    return orientation * (u @ (others * np.where(is_diagonal, 1, -swap_last_axes(diagonal))) @ vt)


def _slogdet(g: Any, out: Any, a: Array) -> Array:
    """``g A⁻ᵀ`` for the logarithm, of which a complex sign turns by the imaginary part, and a real one does not vary.

    A singular matrix has no derivative, and no inverse.
    """
    weight = g[1] + 1j * np.imag(g[0] * out[0]) if is_complex(a) else g[1]
    return weight[..., None, None] * swap_last_axes(np.linalg.inv(a))


defvjp(np.linalg.det, _det)
defvjp(np.linalg.slogdet, _slogdet)


# Factors


def _cholesky(g: Array, out: Array, a: Array, *, upper: bool = False) -> Array:
    """The symmetric (Hermitian) part of ``L⁻ᵀ Φ(Lᵀ g) conj(L⁻¹)``; Φ takes the lower triangle and half the diagonal.

    Murray 2016, Differentiation of the Cholesky decomposition.
    """
    factor, g = (conj(out), conj(swap_last_axes(g))) if upper else (swap_last_axes(out), g)
    inner = hermitian_from(np.tril(factor @ g)) / 2
    return np.linalg.solve(factor, conj(swap_last_axes(np.linalg.solve(factor, inner))))


def hermitian_from(lower: Array) -> Array:
    """Make a lower triangle a symmetric matrix, or a Hermitian one, whose diagonal is real."""
    whole = lower + conj(swap_last_axes(np.tril(lower, -1)))
    return (whole + conj(swap_last_axes(whole))) / 2 if is_complex(whole) else whole


def _qr(g: Any, out: Any, a: Array, mode: str = "reduced") -> Array:
    """Give the gradient of a matrix of full rank, as in Roberts and Roberts 2020, QR and LQ decomposition.

    The columns of a wide matrix beyond the square are only turned by Q, which the square part alone determines.
    """
    rows, columns = a.shape[-2:]
    if mode == "r":
        q, r = np.linalg.qr(a)
        g_q, g_r = np.zeros_like(q), g
    else:
        (q, r), (g_q, g_r) = out, g
    if rows >= columns:
        return _tall_qr(g_q, g_r, q, r)
    beyond = g_r[..., rows:]
    g_q = g_q + conj(a[..., rows:] @ swap_last_axes(beyond))
    return np.concatenate([_tall_qr(g_q, g_r[..., :rows], q, r[..., :rows]), conj(q) @ beyond], axis=-1)


def _refuse_qr(a: Array, mode: str = "reduced") -> None:
    if mode == "raw" or (mode == "complete" and a.shape[-2] > a.shape[-1]):
        why = "some columns of Q are any that complete the basis: use 'reduced'" if mode == "complete" else "use 'r'"
        raise NotImplementedError(f"qr of shape {a.shape} with mode={mode!r} has no derivative rule: {why}")


def _tall_qr(g_q: Array, g_r: Array, q: Array, r: Array) -> Array:
    """``(gQ + conj(Q M)) R⁻ᵀ``; M is symmetric (Hermitian) and has the lower triangle of ``R gRᵀ - gQᵀ Q``."""
    pivots = np.abs(np.diagonal(data_of(r), axis1=-2, axis2=-1))
    if looked_at(pivots) is not None and pivots.size:
        smallest = r.shape[-1] * np.finfo(pivots.dtype).eps * np.max(pivots, axis=-1)
        if holds_any(np.min(pivots, axis=-1) <= smallest):
            raise np.linalg.LinAlgError("qr has no derivative where the rank is not full, but for rounding")
    middle = hermitian_from(np.tril(r @ swap_last_axes(g_r) - swap_last_axes(g_q) @ q))
    return swap_last_axes(np.linalg.solve(r, swap_last_axes(g_q + conj(q @ middle))))


defvjp(np.linalg.cholesky, _cholesky)
defvjp(np.linalg.qr, _qr)
describe(np.linalg.qr, refuses=_refuse_qr)
