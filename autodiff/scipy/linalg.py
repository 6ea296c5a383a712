"""`scipy.linalg`: solutions of linear equations, and functions of a matrix.

Where SciPy reads only a part of a matrix, a triangle or some diagonals, the derivative by the rest of it is zero. As of
any symmetric matrix of which a triangle is read, the gradient of `cho_factor` is the symmetric one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from autodiff.core.rule import Array, defvjp, describe
from autodiff.core.tensor import as_array
from autodiff.scipy.calls import call_of_arrays

__all__ = ["cho_factor", "cho_solve", "expm", "solve_banded", "solve_sylvester", "solve_triangular", "sqrtm"]


def __getattr__(name: str) -> Any:
    return getattr(linalg, name)


def _t(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _of_columns(g: Array, x: Array) -> Array:
    """``g xᵀ``, where a vector is a column."""
    return np.outer(g, x) if g.ndim == 1 else g @ _t(x)


def _triangle(x: Array, lower: bool, unit_diagonal: bool = False) -> Array:
    return np.tril(x, -int(unit_diagonal)) if lower else np.triu(x, int(unit_diagonal))


# Triangular systems


def solve_triangular(
    a: Array,
    b: Array,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solution ``x`` of ``a x = b`` for a triangular matrix, as `scipy.linalg.solve_triangular`.

    By ``b`` the gradient solves the transposed system, and by ``a`` it is that times ``-xᵀ``, within the triangle.

    Args:
        a: a square matrix, of which a triangle is read.
        b: a vector, or a matrix of columns.
        trans: 0 or "N" for ``a x = b``, 1 or "T" for ``aᵀ x = b``; 2 or "C" is the same, as numbers are real.
        lower: read the lower triangle.
        unit_diagonal: read ones on the diagonal.
        overwrite_b: without effect: what is differentiated is not written into.
        check_finite: raise where a number is not finite.

    Example:
        >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([2.0, 3.0]), lower=True)
        array([1., 2.])
    """
    return _solve_triangular(a, b, trans in (1, 2, "T", "C"), lower, unit_diagonal, check_finite)


@call_of_arrays
def _solve_triangular(a: Array, b: Array, turned: bool, lower: bool, ones: bool, check: bool) -> Any:
    return linalg.solve_triangular(a, b, 1 if turned else 0, lower, ones, False, check)


def _triangular_b(
    g: Array, out: Array, a: Array, b: Array, turned: bool, lower: bool, ones: bool, check: bool
) -> Array:
    return _solve_triangular(a, g, not turned, lower, ones, check)


def _triangular_a(
    g: Array, out: Array, a: Array, b: Array, turned: bool, lower: bool, ones: bool, check: bool
) -> Array:
    back = _solve_triangular(a, g, not turned, lower, ones, check)
    return -_triangle(_of_columns(out, back) if turned else _of_columns(back, out), lower, ones)


def _refuse_stacks(a: Array, b: Array, *options: Any) -> None:
    if np.ndim(a) > 2 or np.ndim(b) > 2:
        raise NotImplementedError("a stack of matrices has no derivative rule here: numpy.linalg.solve takes one")


# Symmetric positive definite systems


@call_of_arrays
def _cholesky(a: Array, lower: bool, check_finite: bool) -> Any:
    """The factor as `scipy.linalg.cho_factor` gives it: with what it was given in the other triangle."""
    return linalg.cho_factor(a, lower, False, check_finite)[0]


def _cholesky_a(g: Array, out: Array, a: Array, lower: bool, check_finite: bool) -> Array:
    """Murray 2016, equation 10: ``L⁻ᵀ Φ(Lᵀ ḡ) L⁻¹``; what was handed on as it is, hands its gradient back."""
    factor, slope = (np.tril(x) if lower else _t(np.triu(x)) for x in (out, g))
    inner = _t(factor) @ slope
    inner = np.tril(inner) + _t(np.tril(inner, -1))
    half = solve_triangular(factor, _t(solve_triangular(factor, inner, 1, True)), 1, True) / 2
    return half + (np.triu(g, 1) if lower else np.tril(g, -1))


def cho_factor(a: Array, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """Cholesky factor of a symmetric positive definite matrix, for `cho_solve`, as `scipy.linalg.cho_factor`.

    Args:
        a: the matrix, of which a triangle is read.
        lower: which triangle, and whether the factor is a lower one.
        overwrite_a: without effect: what is differentiated is not written into.
        check_finite: raise where a number is not finite.

    Returns:
        A matrix with the factor in one triangle, and ``lower``. What stands in the other triangle is not the factor's.

    Example:
        >>> c, lower = cho_factor(np.array([[4.0, 2.0], [2.0, 2.0]]))
        >>> np.triu(c)
        array([[2., 1.], [0., 1.]])
    """
    return _cholesky(a, lower, check_finite), lower


def cho_solve(c_and_lower: tuple[Array, bool], b: Array, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """Solution ``x`` of ``a x = b`` with what `cho_factor` made of ``a``, as `scipy.linalg.cho_solve`.

    Args:
        c_and_lower: the factor, and whether it is a lower one.
        b: a vector, or a matrix of columns.
        overwrite_b: without effect: what is differentiated is not written into.
        check_finite: raise where a number is not finite.

    Example:
        >>> from autodiff.scipy import linalg
        >>> linalg.cho_solve(linalg.cho_factor(np.array([[4.0, 2.0], [2.0, 2.0]])), np.array([8.0, 6.0]))
        array([1., 2.])
    """
    return _cho_solve(c_and_lower[0], b, bool(c_and_lower[1]), check_finite)


@call_of_arrays
def _cho_solve(c: Array, b: Array, lower: bool, check_finite: bool) -> Any:
    return linalg.cho_solve((c, lower), b, False, check_finite)


def _cho_solve_c(g: Array, out: Array, c: Array, b: Array, lower: bool, check_finite: bool) -> Array:
    """``-(y xᵀ + x yᵀ) L`` for the solution y of the same system for g, since ``a = L Lᵀ``."""
    slope = _of_columns(_cho_solve(c, g, lower, check_finite), out)
    slope, factor = slope + _t(slope), _triangle(c, lower)
    return -_triangle(slope @ factor if lower else factor @ slope, lower)


# Other systems


def solve_banded(
    l_and_u: tuple[int, int],
    ab: Array,
    b: Array,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solution ``x`` of ``a x = b`` for a matrix with few diagonals, as `scipy.linalg.solve_banded`.

    By ``b`` the gradient solves the transposed system, whose diagonals are the same, moved; by ``ab`` it is the
    diagonals of that times ``-xᵀ``.

    Args:
        l_and_u: how many diagonals there are below the main one, and above it.
        ab: a row for each diagonal, from the highest: ``ab[u + i - j, j]`` is ``a[i, j]``.
        b: a vector, or a matrix of columns.
        overwrite_ab: without effect: what is differentiated is not written into.
        overwrite_b: likewise.
        check_finite: raise where a number is not finite.

    Example:
        >>> solve_banded((1, 0), np.array([[2.0, 1.0], [1.0, 0.0]]), np.array([2.0, 3.0]))
        array([1., 2.])
    """
    return _solve_banded(l_and_u, ab, b, check_finite)


@call_of_arrays
def _solve_banded(l_and_u: tuple[int, int], ab: Array, b: Array, check: bool) -> Any:
    return linalg.solve_banded(l_and_u, ab, b, False, False, check)


def _diagonals_of_transposed(ab: Array, l_and_u: tuple[int, int]) -> Array:
    """Move the diagonal of each ``a[j - k, j]`` to the columns in which the transposed matrix has it."""
    below, above = l_and_u
    return np.stack([np.roll(ab[above - k], -k) for k in range(-below, above + 1)])


def _banded_b(g: Array, out: Array, l_and_u: tuple[int, int], ab: Array, b: Array, check: bool) -> Array:
    return _solve_banded((l_and_u[1], l_and_u[0]), _diagonals_of_transposed(ab, l_and_u), g, check)


def _banded_ab(g: Array, out: Array, l_and_u: tuple[int, int], ab: Array, b: Array, check: bool) -> Array:
    back, x = (y[:, None] if y.ndim == 1 else y for y in (_banded_b(g, out, l_and_u, ab, b, check), out))
    size = x.shape[0]
    below, above = l_and_u
    rows = []
    for k in range(above, -below - 1, -1):
        low, high = max(0, k), min(size, size + k)
        products = np.sum(back[low - k : high - k] * x[low:high], axis=1)
        rows.append(np.pad(products, (low, size - high)))
    return -np.stack(rows)


@call_of_arrays
def solve_sylvester(a: Array, b: Array, q: Array) -> Any:
    """Solution ``x`` of ``a x + x b = q``, as `scipy.linalg.solve_sylvester`.

    By ``q`` the gradient solves the transposed equation; by ``a`` it is that times ``-xᵀ``, by ``b`` ``-xᵀ`` times it.

    Example:
        >>> solve_sylvester(np.eye(2), np.array([[1.0]]), np.array([[2.0], [4.0]]))
        array([[1.], [2.]])
    """
    return linalg.solve_sylvester(a, b, q)


def _sylvester_q(g: Array, out: Array, a: Array, b: Array, q: Array) -> Array:
    return solve_sylvester(_t(as_array(a)), _t(as_array(b)), g)


# Functions of a matrix


@call_of_arrays
def expm(A: Array) -> Any:
    """Exponential of a matrix, as `scipy.linalg.expm`; of each of a stack.

    The gradient is a block of the exponential of ``[[Aᵀ, g], [0, Aᵀ]]`` (Najfeld and Havel 1995, theorem 4.13), so that
    it is as exact as the exponential itself.

    Example:
        >>> expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
        array([[1., 1.], [0., 1.]])
    """
    return linalg.expm(A)


def _expm(g: Array, out: Array, A: Array) -> Array:
    size, transposed = A.shape[-1], _t(A)
    upper = np.concatenate([transposed, g], axis=-1)
    lower = np.concatenate([np.zeros_like(g), transposed], axis=-1)
    return expm(np.concatenate([upper, lower], axis=-2))[..., :size, size:]


@call_of_arrays
def sqrtm(A: Array) -> Any:
    """Square root of a matrix, as `scipy.linalg.sqrtm`.

    The gradient solves ``rᵀ x + x rᵀ = g`` for the root ``r``, which follows from ``r r = A``.

    Raises:
        NotImplementedError: the root is complex, and a gradient is wanted.

    Example:
        >>> sqrtm(np.array([[4.0, 1.0], [0.0, 4.0]]))
        array([[2. , 0.25], [0. , 2. ]])
    """
    return linalg.sqrtm(A)


def _refuse_sqrtm(A: Array) -> None:
    if np.ndim(A) > 2:
        raise NotImplementedError("sqrtm of a stack of matrices has no derivative rule: give them one by one")


def _sqrtm(g: Array, out: Array, A: Array) -> Array:
    if out.dtype.kind == "c" and A.dtype.kind != "c":
        raise NotImplementedError("sqrtm: the root of this matrix is complex, and has no derivative rule")
    return solve_sylvester(_t(out), _t(out), g)


defvjp(_solve_triangular, _triangular_a, _triangular_b)
defvjp(_cholesky, _cholesky_a)
defvjp(_cho_solve, _cho_solve_c, lambda g, out, c, b, lower, check_finite: _cho_solve(c, g, lower, check_finite))
defvjp(_solve_banded, None, _banded_ab, _banded_b)
defvjp(
    solve_sylvester,
    lambda g, out, a, b, q: -(_sylvester_q(g, out, a, b, q) @ _t(out)),
    lambda g, out, a, b, q: -(_t(out) @ _sylvester_q(g, out, a, b, q)),
    _sylvester_q,
)
defvjp(expm, _expm)
defvjp(sqrtm, _sqrtm)
describe(sqrtm, refuses=_refuse_sqrtm)
for _function in (_solve_triangular, _cho_solve):
    describe(_function, refuses=_refuse_stacks)
