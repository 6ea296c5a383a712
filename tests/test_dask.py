"""The rules on Dask arrays, over the whole table: values and gradients are those of NumPy, and lazy until computed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from autodiff import Tensor, grad, hvp, jvp
from autodiff.core.tensor import is_float
from tests.cases import CASES, Case
from tests.test_rules import gradients, several, tensors, weighted_sum

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

# What Dask itself cannot do, also without this library: what it says, and the functions it says it of. A case is named
# after its function.
DASK_LACKS: dict[str, str] = {
    "is not implemented by Dask array": """
        array_split column_stack cond convolve copy correlate cross cumulative_prod cumulative_sum det
        diagflat dsplit eigh eigvalsh geomspace hsplit inner interp kron linalg.cross linalg.diagonal
        linalg.matmul linalg.matrix_transpose linalg.outer linalg.tensordot linalg.trace linalg.vecdot
        logspace matrix_norm matrix_power matrix_transpose multi_dot numpy.astype partition pinv polyadd
        polyder polyint polysub polyval real_if_close resize slogdet softmax sort split svdvals
        take_along_axis tensorinv tensorsolve trace trapezoid unstack unwrap vander vector_norm vsplit
    """,
    "1D weights expected": "average",
    "": "linspace x",
    "`copy` not supported": "meshgrid",
    "`dtype` inference failed": "matvec vecdot",
    "all returned NotImplemented from __array_ufunc__": """
        add.accumulate add.reduce fmax.reduce fmin.reduce logaddexp.reduce maximum.reduce minimum.reduce
        multiply.accumulate multiply.reduce special.fresnel special.sici
    """,
    "Array must be 2D": "svd",
    "Boolean array with size": "x",
    "Cannot cast array data": "insert",
    "Chunk size must be larger": "gradient",
    "chunked in one dimension only": "norm svd",
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
    "cannot be interpreted as an integer": "x extract",  # a mask selects a number of elements that Dask does not know
}


def in_chunks(array: Any) -> Any:
    return da.from_array(array, chunks=tuple(max(1, (size + 1) // 2) for size in array.shape))


def allowed(lacks: dict[str, str], case: Case, error: Exception) -> bool:
    """Whether a case is of a function that is listed with these words."""
    function = re.split(r"[ ,(\[]", case.name)[0]
    return any(words in str(error) and function in functions.split() for words, functions in lacks.items())


def check_without_us(case: Case) -> None:
    """Compute the case by Dask alone."""
    function = case.plain or case.function
    args = [in_chunks(arg) if is_float(arg) else arg for arg in case.args]
    for lazy, value in zip(several(function(*args)), several(function(*case.args)), strict=True):
        assert isinstance(lazy, da.Array)
        np.testing.assert_allclose(lazy.compute(), value, rtol=1e-9, atol=1e-12)


@pytest.fixture(autouse=True)
def threads() -> Any:
    with dask.config.set(scheduler="threads"):
        yield


def check(case: Case) -> None:
    args = tensors(case.args, lambda arg: Tensor(in_chunks(arg)))
    outputs = several(case.function(*args))
    assert all(isinstance(out.data, da.Array) for out in outputs)
    weighted_sum(outputs).backward()
    expected = gradients(case.function, tensors(case.args))
    for arg, g in zip((arg for arg in args if isinstance(arg, Tensor)), expected, strict=True):
        assert isinstance(arg.grad, da.Array)
        assert arg.grad.dtype == g.dtype
        np.testing.assert_allclose(arg.grad.compute(), g, rtol=1e-9, atol=1e-12)
    for ours, numpys in zip(outputs, several((case.plain or case.function)(*case.args)), strict=True):
        np.testing.assert_allclose(ours.data.compute(), numpys, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
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
    assert not computed
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
