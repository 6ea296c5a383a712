"""The arguments of compiled steps: each form has its program, and what a program cannot take is refused."""

from __future__ import annotations

import array as arrays
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor


def test_other_shapes_and_dtypes_make_other_programs() -> None:
    compiled = ad.compile(lambda x, scale: (x * scale).sum())
    assert compiled(np.ones(3), 2.0) == 6
    assert compiled(np.ones(3), 3.0) == 9
    assert "<compiled <lambda>, 1 programs>" in repr(compiled)
    assert compiled(np.ones(4), 2.0) == 8
    assert compiled(np.ones(3, np.float32), 2.0).dtype == np.float32
    assert compiled(np.ones(3), scale=2) == 6
    assert compiled(Tensor(np.ones(3)), 2.0).item() == 6
    assert "<compiled <lambda>, 5 programs>" in repr(compiled)


def test_many_forms_are_told_of_and_the_oldest_is_let_go() -> None:
    compiled = ad.compile(np.sum)
    for n in range(16):
        compiled(np.ones(n))
    with pytest.warns(RuntimeWarning, match="17 forms of its arguments, and only the last 16 are kept"):
        compiled(np.ones(16))
    assert "16 programs" in repr(compiled)


def test_a_number_and_an_array_without_axes_are_different_arguments() -> None:
    compiled = ad.compile(lambda x: (x, 2 * x))
    compiled(np.float32(1.0))
    x = np.array(3.0, np.float32)
    same, _ = compiled(x)
    x[...] = 4
    assert same == 3


# Arguments that are refused


OTHERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "dask.Array": ("dask.array", lambda library: library.ones(3, chunks=2)),
    "xarray.DataArray": ("xarray", lambda library: library.DataArray(np.ones(3))),
    "pandas.Series": ("pandas", lambda library: library.Series(np.ones(3))),
    "pandas.DataFrame": ("pandas", lambda library: library.DataFrame(np.ones((3, 3)))),
    "pandas.Index": ("pandas", lambda library: library.Index(np.ones(3))),
    "scipy.csr_array": ("scipy.sparse", lambda library: library.csr_array(np.ones((3, 3)))),
    "scipy.coo_matrix": ("scipy.sparse", lambda library: library.coo_matrix(np.ones((3, 3)))),
    "torch.Tensor": ("torch", lambda library: library.ones(3)),
    "jaxlib.ArrayImpl": ("jax.numpy", lambda library: library.ones(3)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_arrays_of_other_libraries_are_refused_by_name(name: str) -> None:
    library, make = OTHERS[name]
    other = make(pytest.importorskip(library))
    words = f"is a {re.escape(name)}, and a program computes with NumPy's arrays"
    step = lambda x, c: (x * c).sum()  # noqa: E731
    for call in (
        lambda: ad.compile(step)(other, 2.0),
        lambda: ad.compile(step)(np.ones(3), other),
        lambda: ad.compile(step)(2.0, c=other),
    ):
        with pytest.raises(
            TypeError, match=rf"compile: '[xc]' of <lambda> {words}: give it as one, or call the function"
        ):
            call()
    with pytest.raises(TypeError, match=rf"compile: \"x\['rate'\]\" of <lambda> {words}"):
        ad.compile(lambda x: x["rate"])({"rate": other})


def test_arrays_of_dask_in_tensors_and_from_outside_are_refused() -> None:
    lazy = pytest.importorskip("dask.array").ones(3, chunks=2)
    w = Tensor(lazy, name="w")
    with pytest.raises(TypeError, match=r"compile: 'x' of <lambda> is a dask.Array"):
        ad.compile(lambda x: x.sum())(w)
    with pytest.raises(TypeError, match=r"compile: 'w' is a dask.Array"):
        ad.compile(lambda x: (w * x).sum(), state=w)(2.0)
    for step in (lambda x: (lazy * x).sum(), lambda x: np.multiply(x, lazy).sum(), lambda x: (w * x).sum()):
        with pytest.raises(TypeError, match=r"is a dask.Array, and|a dask.Array is used, and"):
            ad.compile(step)(2.0)


def test_a_table_that_is_changed_between_calls_gives_no_old_numbers() -> None:
    table = pytest.importorskip("pandas").Series([1.0, 2.0])
    double = ad.compile(lambda x: (x * 2).sum())
    with pytest.raises(TypeError, match=r"'x' of <lambda> is a pandas.Series"):
        double(table)
    assert double(table.to_numpy()) == 6
    table[0] = 100.0
    assert double(table.to_numpy()) == 204


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "thing",
    [{1, 2}, bytearray(b"a"), arrays.array("d", [1.0]), memoryview(bytearray(b"a")), Unhashable()],
    ids=lambda x: type(x).__name__,
)
def test_arguments_that_may_change_unseen_are_refused(thing: Any) -> None:
    words = f"compile: 'c' of <lambda> is a {type(thing).__name__}, whose contents may change unseen: give an array, or"
    for call in (lambda f: f(1.0, thing), lambda f: f(1.0, c=thing)):
        with pytest.raises(TypeError, match=words):
            call(ad.compile(lambda x, c: x * len(c)))
