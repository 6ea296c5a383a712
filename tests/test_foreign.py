"""Arrays of other libraries beside Tensors: taken in as arrays, or refused by name, wherever they come in."""

from __future__ import annotations

import array
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.testing import check_gradients

sparse = pytest.importorskip("scipy.sparse")
pd = pytest.importorskip("pandas")
xr = pytest.importorskip("xarray")

A = np.array([[1.0, 2.0], [3.0, 4.0]])
V = np.array([1.0, -2.0])


class Subclass(np.ndarray[Any, Any]):
    """An array that may compute as it likes."""


with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # of np.matrix
    MATRIX = np.matrix(A)

REFUSED = {
    "numpy.matrix": MATRIX,
    "numpy.MaskedArray": np.ma.array(A, mask=A > 2),
    "Subclass": A.view(Subclass),
    "scipy.csr_matrix": sparse.csr_matrix(A),
    "scipy.coo_array": sparse.coo_array(A),
    "xarray.DataArray": xr.DataArray(A, dims=("row", "column")),
    "xarray.Variable": xr.Variable(("row", "column"), A),
}

USES: dict[str, Callable[[Tensor, Any], Any]] = {
    "x * c": lambda x, c: x * c,
    "x + c": lambda x, c: x + c,
    "x ** c": lambda x, c: x**c,
    "np.multiply(x, c)": np.multiply,
    "np.maximum(x, c)": np.maximum,
    "np.where(c, x, 0)": lambda x, c: np.where(c, x, 0),
    "np.concatenate": lambda x, c: np.concatenate([x, c]),
    "np.stack": lambda x, c: np.stack((c, x)),
    "np.average(weights=c)": lambda x, c: np.average(x, weights=c),
    "at.set": lambda x, c: x.at[:].set(c),
    "at.add": lambda x, c: x.at[:].add(c),
    "at.multiply": lambda x, c: x.at[:].multiply(c),
    "dot": lambda x, c: x.dot(c),
    "np.tensordot": lambda x, c: np.tensordot(c, x),
    "divmod": lambda x, c: divmod(x, c)[0],
    "x > c": lambda x, c: x > c,
}


@pytest.mark.together("use", USES)
@pytest.mark.together("name", REFUSED)
def test_what_computes_in_its_own_way_is_refused_by_name(name: str, use: str) -> None:
    with pytest.raises(TypeError, match=f"{name} cannot be used with Tensors: .*(give|use)"):
        USES[use](Tensor(A), REFUSED[name])


REFLECTED: dict[str, Callable[[Tensor, Any], Any]] = {
    "c * x": lambda x, c: c * x,
    "c + x": lambda x, c: c + x,
    "c / x": lambda x, c: c / x,
    "c - x": lambda x, c: c - x,
}


@pytest.mark.together("use", REFLECTED)
@pytest.mark.together("name", REFUSED)
def test_from_the_left_too(name: str, use: str) -> None:
    # xarray computes on its own and holds the Tensor then; what the transform is given at the end is refused.
    with pytest.raises(TypeError, match=f"{name.split('.')[-1]}|masked"):
        ad.grad(lambda x: REFLECTED[use](x, REFUSED[name]).sum())(A)


@pytest.mark.parametrize("name", REFUSED)
def test_what_tensors_are_made_from(name: str) -> None:
    foreign = REFUSED[name]
    x, y = Tensor(A), Tensor(A)
    makers: list[Callable[[], Any]] = [
        lambda: Tensor(foreign),
        lambda: ad.grad(lambda x: (x * x).sum())(foreign),
        lambda: (x * y).backward(foreign),
        lambda: setattr(x, "data", foreign),
    ]
    for make in makers:
        with pytest.raises(TypeError, match=f"{name} cannot be used with Tensors"):
            make()
    assert type(x.data) is np.ndarray
    assert x.grad is None


TABLES = {
    "Series": (pd.Series([1.0, -2.0]), V),
    "DataFrame": (pd.DataFrame(A, columns=["a", "b"]), A),
    "nullable": (pd.Series([1.0, -2.0], dtype="Float64"), V),
    "integers": (pd.Series([3, 4]), np.array([3, 4])),
    "Index": (pd.Index([1.0, -2.0]), V),
}
BOTH_WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "x * c": lambda x, c: x * c,
    "c * x": lambda x, c: c * x,
    "c - x": lambda x, c: c - x,
    "c / x": lambda x, c: c / x,
    "x ** c": lambda x, c: x**c,
    "x @ c": lambda x, c: x @ c,
    "np.add(c, x)": lambda x, c: np.add(c, x),
    "np.arctan2(x, c)": np.arctan2,
    "np.stack": lambda x, c: np.concatenate([np.ravel(x), np.ravel(c)]),
    "at": lambda x, c: x.at[..., :2].multiply(c),
}


@pytest.mark.together("use", BOTH_WAYS)
@pytest.mark.together("name", TABLES)
def test_tables_are_as_their_arrays(name: str, use: str) -> None:
    table, values = TABLES[name]
    results = []
    for constant in (table, values):
        x = Tensor(np.abs(A) + 0.5)
        y = BOTH_WAYS[use](x, constant)
        assert type(y) is Tensor
        assert type(y.data) is np.ndarray
        y.sum().backward()
        results.append((y.data, x.grad))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_tables_as_data_and_gradients() -> None:
    series = pd.Series([1.0, -2.0])
    x = Tensor(series)
    assert type(x.data) is np.ndarray
    x.data = pd.Series([3.0, 4.0])
    assert type(x.data) is np.ndarray
    (2 * x).backward(series)
    np.testing.assert_array_equal(x.grad, [2, -4])
    np.testing.assert_array_equal(ad.grad(lambda x: (x * x).sum())(series), [2, -4])
    np.testing.assert_array_equal(x[pd.Series([True, False])].data, [3])
    np.testing.assert_array_equal(x > pd.Series([3.5, 3.5]), [False, True])


def test_tables_of_texts_are_refused() -> None:
    with pytest.raises(TypeError, match=r"multiply: a pandas.Series of other things than numbers"):
        Tensor(V) * pd.Series(["a", 1.0])


def test_a_table_times_a_matrix_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"write df.to_numpy\(\) @ x"):
        pd.DataFrame(A) @ Tensor(A)


SPARSE = {kind.__name__: kind(A) for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_matrix, sparse.dia_array)}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("x", [A, V, np.ones((2, 3)), np.zeros((2, 0))], ids=lambda x: str(x.shape))
def test_products_with_a_constant_sparse_matrix(name: str, x: np.ndarray) -> None:
    matrix = SPARSE[name]
    np.testing.assert_array_equal((matrix @ Tensor(x)).data, A @ x)
    np.testing.assert_array_equal((Tensor(x.T) @ matrix).data, x.T @ A)
    check_gradients(lambda x: (matrix @ x) ** 2, x, order=2)
    check_gradients(lambda x: (x @ matrix) ** 2, x.T, order=2)


def test_a_text_classifier_starts_with_a_sparse_matrix() -> None:
    words = sparse.random_array((20, 50), density=0.1, rng=np.random.default_rng(0), format="csr")
    weight = np.random.default_rng(1).normal(size=(50, 3))
    by_sparse = ad.grad(lambda w: np.logaddexp(0, words @ w).sum())(weight)
    by_dense = ad.grad(lambda w: np.logaddexp(0, words.toarray() @ w).sum())(weight)
    np.testing.assert_allclose(by_sparse, by_dense, rtol=1e-12)


@pytest.mark.parametrize("function", [np.matmul, np.dot, np.inner])
def test_functions_of_sparse_matrices_say_what_to_write(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"write x @ A or A @ x"):
        function(Tensor(A), sparse.csr_array(A))


OPERANDS: dict[str, tuple[Any, Any]] = {
    "list": ([1.0, 2.0], [1.0, 2.0]),
    "tuple": ((1.0, 2.0), [1.0, 2.0]),
    "range": (range(1, 3), [1.0, 2.0]),
    "array.array": (array.array("d", [1, 2]), [1.0, 2.0]),
    "memoryview": (memoryview(np.array([1.0, 2.0])), [1.0, 2.0]),
    "Fraction": (Fraction(1, 2), 0.5),
    "bool": (True, 1.0),
    "np.float32": (np.float32(0.5), 0.5),
}


@pytest.mark.parametrize("name", OPERANDS)
def test_other_operands_are_as_in_numpy(name: str) -> None:
    operand, expected = OPERANDS[name]
    for use in (lambda x: x * operand, lambda x: operand * x):
        x = Tensor(V)
        use(x).sum().backward()
        np.testing.assert_array_equal(x.grad, np.broadcast_to(expected, 2))


def test_a_list_of_tensors_as_an_operand() -> None:
    for use in (lambda x: x * [x[0], 3.0], lambda x: [x[0], 3.0] * x, lambda x: (x[0], 3.0) * x):
        np.testing.assert_array_equal(ad.grad(lambda x, use=use: use(x).sum())(V), [2.0, 3.0])


@pytest.mark.parametrize(
    "operand", [Decimal(2), None, {1, 2}, object(), "a", b"a", {"a": 1}], ids=lambda x: type(x).__name__
)
def test_what_is_no_number_is_no_operand(operand: Any) -> None:
    with pytest.raises(TypeError):
        Tensor(V) * operand
    with pytest.raises(TypeError):
        operand * Tensor(V)


def test_arrays_that_do_not_take_numpys_functions() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"a torch.Tensor cannot be used with Tensors: .*np.asarray"):
        Tensor(V) * torch.ones(2)
    with pytest.raises(TypeError, match=r"torch.Tensor|Tensor"):
        torch.ones(2) * Tensor(V)


def test_masked_arrays_do_not_find_the_array_inside() -> None:
    masked = np.ma.array(V, mask=[False, True])
    with warnings.catch_warnings(), pytest.raises(TypeError):
        np.ma.multiply(masked, Tensor(V))


# What a primitive is not given


@pytest.mark.parametrize("several", [False, True])
def test_a_primitive_that_uses_a_tensor_from_outside_is_refused(several: bool) -> None:
    w = Tensor(2.0)
    scale = ad.primitive(lambda x: (x, x * w) if several else x * w)
    ad.defvjp(scale, lambda g, out, x: 2.0 * (g[1] if several else g))
    with pytest.raises(TypeError, match=r"<lambda>: it uses a Tensor that it is not given.*pass it as an argument"):
        scale(Tensor(3.0))
    assert w.grad is None


def test_a_primitive_may_use_constants_from_outside() -> None:
    w = Tensor(2.0, requires_grad=False)
    scale = ad.primitive(lambda x: x * w)
    ad.defvjp(scale, lambda g, out, x: g * 2.0)
    y = scale(Tensor(3.0))
    assert type(y.data) is np.float64
    assert ad.grad(scale)(3.0) == 2.0


def test_sparse_arrays_never_see_an_object_in_place_of_a_tensor() -> None:
    matrix, t = sparse.lil_array(A), Tensor(V)
    for use in (
        lambda: matrix.setdiag(t),
        lambda: sparse.csr_array(t),
        lambda: sparse.diags_array(t),
        lambda: matrix.multiply(t),
    ):
        with pytest.raises((TypeError, ValueError)):
            use()
    np.testing.assert_array_equal(matrix.toarray(), A)
    matrix.setdiag(t.detach())
    np.testing.assert_array_equal(matrix.diagonal(), V)


def test_gradients_that_are_assigned_are_taken_in() -> None:
    x = Tensor(V)
    x.grad = pd.Series(V)
    assert type(x.grad) is np.ndarray
    with pytest.raises(TypeError, match=r"grad: a numpy\.MaskedArray"):
        x.grad = np.ma.array(V)
