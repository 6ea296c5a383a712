"""`scipy.linalg`: solutions of linear equations, and functions of a matrix; of stacks of them, where SciPy takes these.

Where SciPy reads only a part of a matrix, a triangle or some diagonals, the derivative by the rest of it is zero. As of
any symmetric matrix of which a triangle is read, the gradient of `cho_factor` is the symmetric one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import conj, unbroadcast
from autodiff.core.tensor import as_array, is_complex
from autodiff.rules.decompositions import hermitian_from
from autodiff.scipy.calls import call_of_arrays

__all__ = ["cho_factor", "cho_solve", "expm", "solve_banded", "solve_sylvester", "solve_triangular", "sqrtm"]


def __getattr__(name: str) -> Any:
    return getattr(linalg, name)


def _t(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _columns(x: Array, b: Array) -> Array:
    """Give what stands in place of a right side ``b`` as a matrix: of one column, where ``b`` is a vector."""
    return np.expand_dims(x, -1) if np.ndim(b) == 1 else x


def _right_side(x: Array, b: Array) -> Array:
    """Undo `_columns`, and sum what belongs to a right side that stacked matrices share."""
    return unbroadcast(x[..., 0] if np.ndim(b) == 1 else x, np.shape(b))


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
        trans: 0 or "N" for ``a x = b``, 1 or "T" for ``aᵀ x = b``, 2 or "C" for that with ``a`` conjugated.
        lower: read the lower triangle.
        unit_diagonal: read ones on the diagonal.
        overwrite_b: without effect: what is differentiated is not written into.
        check_finite: raise where a number is not finite.

    Example:
        >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([2.0, 3.0]), lower=True)
        array([1., 2.])
    """
    if trans not in (turns := {0: 0, "N": 0, 1: 1, "T": 1, 2: 1, "C": 1}):
        raise ValueError(f"solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    a = conj(as_array(a)) if trans in (2, "C") else a
    return _solve_triangular(a, b, turns[trans], lower, unit_diagonal, check_finite)


@call_of_arrays
def _solve_triangular(a: Array, b: Array, turned: Any, lower: bool, ones: bool, check: bool) -> Any:
    return linalg.solve_triangular(a, b, turned, lower, ones, False, check)


def _triangular_back(g: Array, a: Array, b: Array, turned: Any, lower: bool, ones: bool) -> Array:
    return _solve_triangular(a, _columns(g, b), 1 - turned, lower, ones, False)


def _triangular_a(g: Array, out: Array, a: Array, b: Array, turned: Any, lower: bool, ones: bool, check: bool) -> Array:
    back, x = _triangular_back(g, a, b, turned, lower, ones), _columns(out, b)
    product = x @ _t(back) if turned else back @ _t(x)
    return unbroadcast(-_triangle(product, lower, ones), a.shape)


def _triangular_b(g: Array, out: Array, a: Array, b: Array, turned: Any, lower: bool, ones: bool, check: bool) -> Array:
    return _right_side(_triangular_back(g, a, b, turned, lower, ones), b)


# Symmetric positive definite systems


@call_of_arrays
def _cho_factor(a: Array, lower: bool, check_finite: bool) -> Any:
    """The factor as `scipy.linalg.cho_factor` gives it: with what it was given in the other triangle."""
    return linalg.cho_factor(a, lower, False, check_finite)[0]


def _cho_factor_a(g: Array, out: Array, a: Array, lower: bool, check_finite: bool) -> Array:
    """Murray 2016, equation 10: ``L⁻ᵀ Φ(Lᵀ ḡ) L⁻¹``; what was handed on as it is, hands its gradient back."""
    factor, slope = (np.tril(x) if lower else conj(_t(np.triu(x))) for x in (out, g))
    inner = hermitian_from(np.tril(_t(factor) @ slope))
    inner = solve_triangular(factor, inner, 1, True, check_finite=False)
    half = _t(solve_triangular(conj(factor), _t(inner), 1, True, check_finite=False)) / 2
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
    return _cho_factor(a, lower, check_finite), lower


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
    c, lower = c_and_lower
    return _cho_solve(c, b, bool(lower), check_finite)


@call_of_arrays
def _cho_solve(c: Array, b: Array, lower: bool, check_finite: bool) -> Any:
    return linalg.cho_solve((c, lower), b, False, check_finite)


def _cho_solve_c(g: Array, out: Array, c: Array, b: Array, lower: bool, check_finite: bool) -> Array:
    """``-(y xᵀ + x yᵀ) L`` for the solution y of the same system for g, since ``a = L Lᵀ``."""
    slope = _cho_solve(conj(c), _columns(g, b), lower, False) @ _t(_columns(out, b))
    slope, factor = slope + conj(_t(slope)), conj(_triangle(c, lower))
    return unbroadcast(-_triangle(slope @ factor if lower else factor @ slope, lower), c.shape)


def _cho_solve_b(g: Array, out: Array, c: Array, b: Array, lower: bool, check_finite: bool) -> Array:
    return _right_side(_cho_solve(conj(c), _columns(g, b), lower, False), b)


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


def _banded_back(g: Array, l_and_u: tuple[int, int], ab: Array, b: Array) -> Array:
    """Solve the transposed system, whose matrix has the diagonal of each ``a[j - k, j]`` in other columns."""
    below, above = l_and_u
    turned = np.stack([np.roll(ab[..., above - k, :], -k, axis=-1) for k in range(-below, above + 1)], axis=-2)
    return _solve_banded((above, below), turned, _columns(g, b), False)


def _banded_ab(g: Array, out: Array, l_and_u: tuple[int, int], ab: Array, b: Array, check: bool) -> Array:
    (below, above), x = l_and_u, _columns(out, b)
    back = np.pad(_banded_back(g, l_and_u, ab, b), [(0, 0)] * (x.ndim - 2) + [(above, below), (0, 0)])
    size = x.shape[-2]
    rows = [np.sum(back[..., k : k + size, :] * x, axis=-1) for k in range(above + below + 1)]
    return unbroadcast(-np.stack(rows, axis=-2), ab.shape)


def _banded_b(g: Array, out: Array, l_and_u: tuple[int, int], ab: Array, b: Array, check: bool) -> Array:
    return _right_side(_banded_back(g, l_and_u, as_array(ab), b), b)


@call_of_arrays
def solve_sylvester(a: Array, b: Array, q: Array) -> Any:
    """Solution ``x`` of ``a x + x b = q``, as `scipy.linalg.solve_sylvester`.

    By ``q`` the gradient solves the transposed equation; by ``a`` it is that times ``-xᵀ``, by ``b`` ``-xᵀ`` times it.
    Where an eigenvalue of ``a`` is the negative of one of ``b``, there is no solution: SciPy gives huge numbers, and so
    is the gradient.

    Example:
        >>> solve_sylvester(np.eye(2), np.array([[1.0]]), np.array([[2.0], [4.0]]))
        array([[1.], [2.]])
    """
    if any(map(is_complex, (a, b, q))):  # beside which SciPy takes the Schur form of a real matrix as triangular
        a, b, q = (np.asarray(x, np.result_type(a, b, q)) for x in (a, b, q))
    return linalg.solve_sylvester(a, b, q)


def _sylvester_back(g: Array, a: Array, b: Array) -> Array:
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
    if A.ndim < 2:
        return np.reshape(g * out, A.shape)  # SciPy makes a matrix of a number
    size, transposed = A.shape[-1], _t(A)
    upper = np.concatenate([transposed, g], axis=-1)
    lower = np.concatenate([np.zeros_like(g), transposed], axis=-1)
    return expm(np.concatenate([upper, lower], axis=-2))[..., :size, size:]


def _complex_by_values(function: Any) -> Any:
    """Say of a function that of real numbers it gives real or complex ones, as the numbers are."""
    function.is_complex_by_values = False
    return function


@call_of_arrays
@_complex_by_values
def sqrtm(A: Array) -> Any:
    """Square root of a matrix, as `scipy.linalg.sqrtm`; of each of a stack.

    The gradient solves ``rᵀ x + x rᵀ = g`` for the root ``r``, which follows from ``r r = A``. Of a singular matrix it
    is NaN.

    Raises:
        ValueError: it is a number or vector, of which some releases of SciPy give exponentials.

    Example:
        >>> sqrtm(np.array([[4.0, 1.0], [0.0, 4.0]]))
        array([[2. , 0.25], [0. , 2. ]])
    """
    if np.ndim(A) < 2:
        raise ValueError(f"sqrtm: a matrix is needed, got shape {np.shape(A)}")
    return linalg.sqrtm(A)


def _sqrtm(g: Array, out: Array, A: Array) -> Array:
    is_singular = ~np.isfinite(np.linalg.slogdet(out)[1])[..., None, None]
    root = _t(np.where(is_singular, np.eye(A.shape[-1], dtype=out.dtype), out))
    return solve_sylvester(root, root, g) * np.where(is_singular, np.nan, 1)


defvjp(_solve_triangular, _triangular_a, _triangular_b)
defvjp(_cho_factor, _cho_factor_a)
defvjp(_cho_solve, _cho_solve_c, _cho_solve_b)
defvjp(_solve_banded, None, _banded_ab, _banded_b)
defvjp(
    solve_sylvester,
    lambda g, out, a, b, q: unbroadcast(-(_sylvester_back(g, a, b) @ _t(out)), a.shape),
    lambda g, out, a, b, q: unbroadcast(-(_t(out) @ _sylvester_back(g, a, b)), b.shape),
    lambda g, out, a, b, q: unbroadcast(_sylvester_back(g, a, b), q.shape),
)
defvjp(expm, _expm)
defvjp(sqrtm, _sqrtm)
