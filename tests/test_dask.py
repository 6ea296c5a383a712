"""The rules on Dask arrays, over the whole table: values and gradients are those of NumPy, and lazy until computed."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest

from autodiff import Tensor, grad, hvp, jvp
from tests.cases import CASES, Case
from tests.test_rules import gradients, several, tensors, weighted_sum

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

# What Dask itself cannot do: the cases, by name, and what it says. A case that is listed must fail with these words.
MISSING = r"is not implemented by Dask array"
DASK_LACKS: dict[str, str] = {}


def in_chunks(array: Any) -> Any:
    return da.from_array(array, chunks=tuple(max(1, (size + 1) // 2) for size in array.shape))


def reason(case: Case) -> str | None:
    return next((words for pattern, words in DASK_LACKS.items() if fnmatchcase(case.name, pattern)), None)


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
    words = reason(case)
    if words is None:
        check(case)
        return
    with pytest.raises(Exception, match=words) as caught:
        check(case)
    assert not isinstance(caught.value, AssertionError)


def test_every_reason_is_needed() -> None:
    for pattern in DASK_LACKS:
        assert any(fnmatchcase(case.name, pattern) for case in CASES), pattern
        assert re.compile(DASK_LACKS[pattern])


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
