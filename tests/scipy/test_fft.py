"""Cosine and sine transforms of all types and options: values are SciPy's, and derivatives those of its matrix."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import autodiff as ad

sf = pytest.importorskip("scipy.fft")

from autodiff.scipy import fft  # noqa: E402

RNG = np.random.default_rng(0)
OF_ONE_AXIS = ("dct", "idct", "dst", "idst")
NORMS = (None, "ortho", "forward", "backward")


def check(ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
    """Compare values to the bit, and products with the matrix and its transpose."""
    x, v = RNG.normal(size=shape), RNG.normal(size=shape)
    matrix = np.stack([theirs(e.reshape(shape)).ravel() for e in np.eye(x.size)], axis=-1)
    y, pull = ad.vjp(ours, x)
    np.testing.assert_array_equal(y, theirs(x))
    np.testing.assert_array_equal(ours(x), y)
    g = RNG.normal(size=y.shape)
    np.testing.assert_allclose(pull(g)[0].ravel(), matrix.T @ g.ravel(), atol=1e-12)
    np.testing.assert_allclose(ad.jvp(ours, (x,), (v,))[1].ravel(), matrix @ v.ravel(), atol=1e-12)


@pytest.mark.parametrize("type", [1, 2, 3, 4])
@pytest.mark.parametrize("name", OF_ONE_AXIS)
def test_one_axis(name: str, type: int) -> None:
    for (size, n), norm, orthogonalize in product(((4, None), (5, 3), (4, 7)), NORMS, (None, True, False)):
        options = {"type": type, "n": n, "axis": 0, "norm": norm, "orthogonalize": orthogonalize}
        check(partial(getattr(fft, name), **options), partial(getattr(sf, name), **options), (size, 2))


@pytest.mark.parametrize("name", [f"{name}n" for name in OF_ONE_AXIS])
def test_several_axes(name: str) -> None:
    forms: list[tuple[Any, Any]] = [(None, None), ((3, -1), None), ((5, 4), (0, -1)), (None, 1), (3, None), (None, ())]
    for (s, axes), type, norm in product(forms, (1, 2, 3, 4), (None, "ortho", "forward")):
        options = {"type": type, "s": s, "axes": axes, "norm": norm}
        check(partial(getattr(fft, name), **options), partial(getattr(sf, name), **options), (3, 2, 2))


def test_complex_numbers() -> None:
    z = RNG.normal(size=4) + 1j * RNG.normal(size=4)
    for norm, orthogonalize in product((None, "ortho"), (None, True, False)):
        options: dict[str, Any] = {"norm": norm, "orthogonalize": orthogonalize}
        np.testing.assert_array_equal(fft.dct(z, **options), sf.dct(z, **options))
        ad.testing.check_gradients(partial(fft.dct, **options), z)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: fft.dct(x, n=0), ValueError, r"dct: invalid number of data points \(0\)"),
        (lambda x: fft.dctn(x, s=(2,), axes=(0, 1)), ValueError, "dctn: s has 1 lengths for 2 axes"),
        (lambda x: fft.dstn(x, axes=(0, -2)), ValueError, "repeated axis"),
        (lambda x: fft.idct(x, 5), ValueError, "invalid DCT type"),
        (lambda x: fft.dct(x, norm="unit"), ValueError, "Invalid norm value 'unit'"),
        (lambda x: fft.dst(x, n=2.5), TypeError, "cannot be interpreted as an integer"),
    ],
)
def test_what_scipy_refuses_is_refused(call: Any, error: type[Exception], message: str) -> None:
    for x in (np.ones((2, 3)), ad.Tensor(np.ones((2, 3)))):
        with pytest.raises(error, match=message):
            call(x)
