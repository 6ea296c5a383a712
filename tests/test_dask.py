"""The rules on Dask arrays, over the table: values and gradients are those of NumPy, and lazy until computed."""

from __future__ import annotations

import operator
import re
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor, grad, hvp, jvp
from autodiff.core.tensor import is_inexact
from autodiff.testing import assert_gradients_match, by_hand, check_gradients, numerical_gradient
from nn import functional
from tests.cases import CASES, Case
from tests.test_rules import CHOSEN, gradients, several, tensors, weighted_sum

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

# What Dask itself cannot do, also without this library: what it says, and the functions it says it of. A case is named
# after its function.
DASK_LACKS: dict[str, str] = {
    "is not implemented by Dask array": """
        array_split column_stack cond convolve copy correlate cross cumulative_prod cumulative_sum det
        diagflat dsplit eig eigh eigvals eigvalsh geomspace hsplit inner interp kron linalg.cross linalg.diagonal
        linalg.matmul linalg.matrix_transpose linalg.outer linalg.tensordot linalg.trace linalg.vecdot
        logspace matrix_norm matrix_power matrix_transpose multi_dot numpy.astype partition pinv poly polyadd
        polyder polyint polysub polyval real_if_close resize roots slogdet softmax sort sort_complex split svdvals
        take_along_axis tensorinv tensorsolve trace trapezoid unstack unwrap vander vector_norm vsplit
    """,
    "1D weights expected": "average",
    "before it was asked for": "cov diff",
    "": "linspace x",
    "`copy` not supported": "meshgrid",
    "scimath": """
        emath.arccos emath.arcsin emath.arctanh emath.log emath.log10 emath.log2 emath.logn emath.power emath.sqrt
    """,
    "only supports taking an FFT along an axis that": """
        fft fft2 fftn hfft ifft ifft2 ifftn ihfft irfft irfft2 irfftn rfft rfft2 rfftn
    """,
    "`dtype` inference failed": "matvec vecdot",
    "all returned NotImplemented from __array_ufunc__": """
        add.accumulate add.reduce fmax.reduce fmin.reduce logaddexp.reduce maximum.reduce minimum.reduce
        multiply.accumulate multiply.reduce special.fresnel special.sici
    """,
    "Array must be 2D": "svd svdvals",
    "Boolean array with size": "x",
    "Cannot cast array data": "insert",
    "Chunk size must be larger": "gradient",
    "chunked in one dimension only": "norm svd svdvals",
    "Chunks": "insert select tril",
    "consists of multiple chunks": "matvec vecdot vecmat",
    "Dimension must be 2": "inv solve",
    "`pad` does not support": "pad",
    "does not take the following keyword arguments": "clip nan_to_num",
    "Expect `shift`": "roll",
    "expects a sequence of arrays": "dstack hstack vstack",
    "full_matrices=True is not implemented": "svd",
    "got an unexpected keyword argument": """
        cholesky choose concatenate corrcoef hstack linspace lstsq max mean min nanmax nanmean nanmin nanprod nanstd
        nansum nanvar prod ptp qr ravel reshape stack std sum svd take var vstack
    """,
    "Improper number of dimensions": "norm",
    "integral typed values": "pad",
    "it gave shape": "delete",
    "list index out of range": "dot",
    "missing 1 required positional": "insert",
    "modulo by zero": "diag pad",
    "must be a square matrix": "cholesky inv solve",
    "must be an integer": "delete insert take",
    "Must supply an integer axis": "repeat",
    "Need array": "repeat",
    "Not equal to tolerance": "pad std var x",
    "not supported between instances": "x",
    "object has no attribute": "bincount dot hstack lstsq outer solve svd vdot",
    "object is not iterable": "reshape",
    "only implemented for monotonic": "insert",
    "Only integer valued repeats": "repeat",
    "Only length-1 arrays": "linspace",
    "only works along a": "median nanmedian nanquantile quantile",
    "out of bounds for a": "cumprod cumsum delete max min pad prod sum x",
    "reshape only supports operations that merge or split": ".at cumprod cumsum reshape roll",
    "same number of shifts": "roll",
    "SciPy takes arrays of NumPy's only": """
        scipy.cho_factor scipy.cho_solve scipy.convolve scipy.correlate scipy.dct scipy.dctn scipy.dst scipy.expm
        scipy.fftconvolve scipy.idct scipy.idstn scipy.solve_banded scipy.solve_sylvester scipy.solve_triangular
        scipy.sqrtm scipy.stats.multivariate_normal.logpdf
        scipy.stats.multivariate_normal.pdf
    """,
    "SVD based norm not implemented": "norm",
    "takes 1 positional argument": "qr",
    "tall-and-skinny": "lstsq qr",
    "Too many indices for array": "insert",
    "truth value of an array": "take",
    "yet support nd fancy indexing": "x",
    "zero-dimensional arrays": "hstack",
    "zero-size array to reduction": "max min",
}

# What Dask can do, but not the functions that its derivative is made of.
DERIVATIVE_LACKS: dict[str, str] = {
    "`numpy.sort` function is not implemented": "median nanmedian nanpercentile nanquantile percentile quantile",
    "`numpy.copy` function is not implemented": "copy",
    "`numpy.copyto` function is not implemented": "full_like",
    "reshape only supports operations that merge or split": "prod",
    "of unknown shape": "x extract",  # a mask selects a number of elements that Dask does not know
}


def in_chunks(array: Any) -> Any:
    return da.from_array(array, chunks=tuple(max(1, (size + 1) // 2) for size in array.shape))


def allowed(lacks: dict[str, str], case: Case, error: Exception) -> bool:
    """Whether a case is of a function that is listed with these words."""
    function = re.split(r"[ ,(\[]", case.name)[0]
    return any(words in str(error) and function in functions.split() for words, functions in lacks.items())


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("computed before it was asked for")


def check_without_us(case: Case) -> None:
    """Compute the case by Dask alone."""
    function = case.plain or case.function
    args = [in_chunks(arg) if is_inexact(arg) else arg for arg in case.args]
    with dask.config.set(scheduler=refuse):
        outputs = several(function(*args))
    for lazy, value in zip(outputs, several(function(*case.args)), strict=True):
        assert isinstance(lazy, da.Array)
        np.testing.assert_allclose(lazy.compute(), value, rtol=1e-9, atol=1e-12)


@pytest.fixture(autouse=True)
def threads() -> Any:
    with dask.config.set(scheduler="threads"):
        yield


def check(case: Case) -> None:
    args = tensors(case.args, lambda arg: Tensor(in_chunks(arg)))
    with dask.config.set(scheduler=refuse):
        outputs = several(case.function(*args))
        assert all(isinstance(out.data, da.Array) for out in outputs)
        weighted_sum(outputs).backward()
    slopes = [arg.grad for arg in args if isinstance(arg, Tensor)]
    assert all(isinstance(slope, da.Array) for slope in slopes)
    values = [out.data for out in outputs]
    expected = gradients(case.function, tensors(case.args))
    assert [slope.dtype for slope in slopes] == [g.dtype for g in expected]
    expected += several((case.plain or case.function)(*case.args))
    for ours, numpys in zip(dask.compute(*slopes, *values), expected, strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-9, atol=1e-12)


@pytest.mark.together("case", CHOSEN, ids=str)
def test_value_and_gradient_are_numpys(case: Case) -> None:
    try:
        check(case)
    except Exception as error:
        if allowed(DERIVATIVE_LACKS, case, error):
            return
        if not allowed(DASK_LACKS, case, error):
            raise
        with pytest.raises(Exception):  # noqa: B017, PT011 (Dask has many ways to say no)
            check_without_us(case)


def test_every_function_that_is_listed_has_a_case() -> None:
    names = {re.split(r"[ ,(\[]", case.name)[0] for case in CASES}
    for functions in (*DASK_LACKS.values(), *DERIVATIVE_LACKS.values()):
        assert names.issuperset(functions.split())


def test_fourier_transforms_along_axes_of_one_chunk() -> None:
    x = np.random.default_rng(0).normal(size=(4, 6))
    lazy = da.from_array(x, chunks=(2, 6))
    for f in (
        lambda x: (np.abs(np.fft.rfft(x, 8)) ** 3).sum(),
        lambda x: (np.fft.irfft(np.fft.fft(x, axis=-1, norm="ortho")) ** 3).sum(),
        lambda x: (np.fft.hfft(x) ** 3).sum() + np.abs(np.fft.fftn(x, axes=(1,))).sum(),
    ):
        gradient = grad(f)(lazy)
        assert isinstance(gradient, da.Array)
        np.testing.assert_allclose(gradient.compute(), grad(f)(x), rtol=1e-12)


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    computed = []

    def noted(block: Any) -> Any:
        computed.append(1)
        return block

    x = np.random.default_rng(0).normal(size=(6, 4))
    source = da.from_array(x, chunks=(2, 2)).map_blocks(noted, dtype=x.dtype, meta=np.empty((0, 0)))
    t, w = Tensor(source), Tensor(in_chunks(np.ones(4)))
    y = (np.tanh(t @ w)[1:] ** 2).mean()
    y.backward()
    of_rows = ad.vmap(grad(lambda x: (np.tanh(x) ** 3).sum()))(source)
    assert not computed
    np.testing.assert_allclose(of_rows.compute(), grad(lambda x: (np.tanh(x) ** 3).sum())(x), rtol=1e-12)
    expected = Tensor(x)
    (np.tanh(expected @ np.ones(4))[1:] ** 2).mean().backward()
    np.testing.assert_allclose(t.grad.compute(), expected.grad, rtol=1e-12)
    assert computed


def test_higher_derivatives() -> None:
    x = np.random.default_rng(0).normal(size=(4, 4))
    f = lambda x: (np.sin(x @ x) * x).sum()  # noqa: E731
    chunked = in_chunks(x)
    second = grad(lambda x: (grad(f)(x) ** 2).sum())
    assert isinstance(second(chunked), da.Array)
    np.testing.assert_allclose(second(chunked).compute(), second(x), rtol=1e-10)
    np.testing.assert_allclose(hvp(f)(chunked, chunked).compute(), hvp(f)(x, x), rtol=1e-10)
    np.testing.assert_allclose(jvp(np.tanh, (chunked,), (chunked,))[1].compute(), jvp(np.tanh, (x,), (x,))[1])


# Shapes that Dask does not know

NUMBERS = np.array([0.5, 1.5, 2.5, -1.0])


def of_unknown_shape() -> Any:
    lazy = in_chunks(NUMBERS)
    return lazy[lazy > 1]


SELECTIONS = {
    "mask": lambda x: x[x > 1],
    "mask of Dask": lambda x: x[in_chunks(NUMBERS) > 1],
    "nonzero": lambda x: x[np.nonzero(x > 1)],
    "flatnonzero": lambda x: x[np.flatnonzero(x > 1)],
    "where": lambda x: x[np.where(x > 1)],
    "extract": lambda x: np.extract(x > 1, x),
    "compress": lambda x: np.compress(x > 1, x),
    "method compress": lambda x: x.compress(x > 1),
    "concatenate": lambda x: np.concatenate([x[x > 1], x[x <= 1]]),
    "stack": lambda x: np.stack([x[x > 1], x[x > 1]]),
    "reshape": lambda x: x[x > 1].reshape(-1, 1),
    "dot": lambda x: np.dot(x[x > 1], x[x > 1]),
    "cumsum": lambda x: np.cumsum(x[x > 1]),
    "len": lambda x: x * len(x[x > 1]),
    "size": lambda x: x * x[x > 1].size,
    "a constant": lambda x: np.multiply(of_unknown_shape(), x[0]),
    "a constant operand": lambda x: x[0] * of_unknown_shape(),
    "a constant operand from the left": lambda x: of_unknown_shape() * x[0],
    "unique": np.unique,
    "set": lambda x: operator.setitem(x, x > 1, 0.0),
}
DERIVATIVES = {
    "grad": lambda f, x: grad(f)(x),
    "vjp": lambda f, x: ad.vjp(f, x)[1](1.0),
    "jvp": lambda f, x: jvp(f, (x,), (x,)),
    "linearize": lambda f, x: ad.linearize(f, x)[1](x),
    "jacobian": lambda f, x: ad.jacobian(f)(x),
    "hessian": lambda f, x: ad.hessian(lambda x: f(x) ** 2)(x),
    "hvp": lambda f, x: hvp(lambda x: f(x) ** 2)(x, x),
    "backward": lambda f, x: f(Tensor(x)).backward(),
    "draw": lambda f, x: ad.draw(f, x, graph="backward"),
}


@pytest.mark.together("derive", DERIVATIVES.values(), ids=DERIVATIVES)
@pytest.mark.together("select", SELECTIONS.values(), ids=SELECTIONS)
def test_what_selects_by_elements_is_refused_in_words(select: Any, derive: Any) -> None:
    words = r"of unknown shape \(nan,\) .* np.where\(mask, x, 0\) for x\[mask\]|unique has no derivative|x.at\[index\]"
    with pytest.raises((NotImplementedError, TypeError), match=words):
        derive(lambda x: select(x).sum(), in_chunks(NUMBERS))


def test_what_is_written_in_place_of_a_mask() -> None:
    for f in (
        lambda x: np.where(x > 1, x, 0).sum(),
        lambda x: x.at[x <= 1].set(0.0).sum(),
        lambda x: np.select([x > 1], [x], 0).sum(),
        lambda x: x[NUMBERS > 1].sum(),
    ):
        np.testing.assert_array_equal(grad(f)(in_chunks(NUMBERS)).compute(), [0, 1, 1, 0])
    known = of_unknown_shape().compute_chunk_sizes()
    np.testing.assert_allclose(grad(lambda x: (x * x).sum())(known).compute(), [3, 5])
    np.testing.assert_allclose(grad(lambda w: (known * w).sum())(2.0).compute(), 4)


def test_arguments_of_unknown_shape() -> None:
    for derive in DERIVATIVES.values():
        with pytest.raises(
            NotImplementedError, match=r"Tensor: an array of unknown shape \(nan,\) .* by compute_chunk_sizes\(\)"
        ):
            derive(lambda x: (x * x).sum(), of_unknown_shape())
    constant = Tensor(of_unknown_shape(), requires_grad=False)
    np.testing.assert_array_equal((constant * 2).data.compute(), [3, 5])
    assert np.isnan(constant.size)
    assert "shape=(nan,)" in repr(constant)


def test_gradients_of_dask_arrays_are_checked() -> None:
    x = in_chunks(NUMBERS)
    f = lambda x: (np.tanh(x) ** 2).sum()  # noqa: E731
    check_gradients(f, x, order=2)
    check_gradients(lambda x, c: (x * c).sum(), NUMBERS, x, argnums=0)
    np.testing.assert_allclose(numerical_gradient(f, x), grad(f)(NUMBERS), rtol=1e-7)
    assert_gradients_match(f, by_hand(lambda x: 2 * np.tanh(x) * (1 - np.tanh(x) ** 2)), x)


def test_layers_and_rows_of_unknown_number() -> None:
    rows = in_chunks(np.random.default_rng(0).normal(size=(6, 2)))
    some = rows[rows[:, 0] > 0]
    layer = nn.Linear(2, 3, rng=0, dtype=np.float64)
    with pytest.raises(NotImplementedError, match=r"linear: an array of unknown shape \(nan, 3\)"):
        layer(some)
    with ad.no_grad():
        np.testing.assert_allclose(layer(some).data.compute(), layer(some.compute()).data)
    for call in (lambda x: functional.dropout(x, rng=0), nn.Flatten()):
        with pytest.raises(ValueError, match=r": x has the unknown shape \(nan, 2\); .* compute_chunk_sizes\(\)"):
            call(some)
        assert call(some.compute_chunk_sizes()).shape == (3, 2)
        some = rows[rows[:, 0] > 0]


def test_a_lazy_number_is_computed_where_python_asks_for_it() -> None:
    x = Tensor(in_chunks(NUMBERS))
    total = x.sum()
    assert (total.item(), float(total.detach()), int(total.detach()), f"{total:.2f}") == (3.5, 3.5, 3, "3.50")
    assert x.item(1) == 1.5
    assert x.tolist() == NUMBERS.tolist()
    assert x.tobytes() == NUMBERS.tobytes()
    assert bool(total)
