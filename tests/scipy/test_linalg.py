"""Linear equations and functions of matrices where the table of cases does not come: singular ones, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autodiff import Tensor, grad

pytest.importorskip("scipy")

from autodiff.scipy import linalg

wide, square = np.ones((3, 2)), np.eye(3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: linalg.solve_triangular(square, x), r"^solve_triangular of shapes \(3, 3\) and \(2,\)"),
        (lambda x: linalg.solve_triangular(wide, x), r"^solve_triangular of shapes \(3, 2\) and \(2,\)"),
        (lambda x: linalg.solve_triangular(np.eye(2), x, "H"), "^solve_triangular: trans must be .* got 'H'"),
        (lambda x: linalg.cho_factor(wide * x), r"^cho_factor of shapes \(3, 2\)"),
        (lambda x: linalg.cho_solve((square, True), x), r"^cho_solve of shapes \(3, 3\) and \(2,\)"),
        (lambda x: linalg.cho_solve((wide, True), x), r"^cho_solve of shapes \(3, 2\) and \(2,\)"),
        (lambda x: linalg.solve_banded((1, 1), square, x), r"^solve_banded of shapes \(3, 3\) and \(2,\)"),
        (lambda x: linalg.solve_banded((1, 2), np.eye(2), x), r"^solve_banded of shapes .* diagonals"),
        (lambda x: linalg.solve_sylvester(square, np.eye(2), x * np.ones((2, 2))), "^solve_sylvester of shapes"),
        (lambda x: linalg.solve_triangular(square, np.nan * np.ones(3) * x[0]), "infs or NaNs"),
        (lambda x: linalg.sqrtm(x), r"sqrtm: a matrix is needed, got shape \(2,\)"),
        (lambda x: linalg.cho_factor(-np.eye(2) * x), "not positive definite"),
        (lambda x: linalg.solve_triangular(np.zeros((2, 2)), x), "singular"),
    ],
)
def test_what_does_not_fit_is_named(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(Tensor(np.ones(2)))


@pytest.mark.filterwarnings("ignore:Matrix is singular")  # SciPy's own
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [0.0, 0.0]])])
def test_the_root_of_a_singular_matrix_has_no_derivative(matrix: Any) -> None:
    both = np.stack([matrix, np.eye(2)])
    found = grad(lambda a: linalg.sqrtm(a).sum())(both)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], np.full((2, 2), 0.5))


def test_solutions_that_are_not_finite_have_a_gradient_that_is_not() -> None:
    with np.errstate(all="ignore"):
        found = grad(lambda c: linalg.cho_solve((c, True), np.ones(2)).sum())(np.zeros((2, 2)))
    assert not np.isfinite(np.diag(found)).any()


def test_options_that_overwrite_do_not() -> None:
    a, b = np.array([[2.0, 0.0], [1.0, 1.0]], order="F"), np.array([2.0, 3.0])
    linalg.solve_triangular(Tensor(a), b, lower=True, overwrite_b=True, check_finite=False)
    linalg.cho_solve((a, True), b, overwrite_b=True)
    linalg.cho_factor(a @ a.T, overwrite_a=True)
    linalg.solve_banded((0, 1), a, b, overwrite_ab=True, overwrite_b=True)
    np.testing.assert_array_equal(a, [[2, 0], [1, 1]])
    np.testing.assert_array_equal(b, [2, 3])
