"""A nested container as one vector, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor


@dataclass
class Layer:
    w: Any
    b: Any


def test_there_and_back_shapes_and_dtypes_are_the_same() -> None:
    tree = {"layers": [Layer(np.ones((2, 3)), np.float32([1, 2])), None], "scale": 0.5}
    vector, unravel = ad.ravel(tree)
    assert vector.shape == (9,)
    back = unravel(vector)
    assert type(back["layers"][0]) is Layer
    assert back["layers"][1] is None
    assert back["layers"][0].w.shape == (2, 3)
    assert back["layers"][0].b.dtype == np.float32
    np.testing.assert_array_equal(back["layers"][0].b, [1, 2])
    assert back["scale"] == 0.5
    assert np.shape(back["scale"]) == ()


def test_gradients_go_through_both_ways() -> None:
    w, b = Tensor(np.arange(6.0).reshape(2, 3)), Tensor(2.0)
    vector, unravel = ad.ravel((w, [b]))
    other, (scale,) = unravel(vector * vector)
    (other.sum() * scale).backward()
    np.testing.assert_allclose(w.grad, 2 * w.data * 4)
    np.testing.assert_allclose(b.grad, 4 * np.sum(w.data**2))


def test_complex_numbers_keep_their_imaginary_part_and_real_ones_have_none() -> None:
    tree = (1 + 2j, np.array([3.0], np.float32), np.array([4j]))
    vector, unravel = ad.ravel(tree)
    number, real, array = unravel(vector)
    assert (number, real.dtype, array.dtype) == (1 + 2j, np.float32, np.complex128)
    z = Tensor(vector)
    number, real, array = unravel(z)
    (abs(number) ** 2 + (real * array).imag.sum()).backward()
    np.testing.assert_allclose(z.grad, [2 + 4j, 4, 3j])


def test_it_feeds_an_optimizer_of_scipys() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    start, unravel = ad.ravel({"a": np.zeros(2), "b": 1.0})

    def loss(vector: Any) -> Any:
        tree = unravel(vector)
        return ((tree["a"] - np.array([1.0, 2.0])) ** 2).sum() + (tree["b"] + 3) ** 2

    found = optimize.minimize(ad.value_and_grad(loss), start, jac=True)
    best = unravel(found.x)
    np.testing.assert_allclose(best["a"], [1, 2], atol=1e-6)
    np.testing.assert_allclose(best["b"], -3, atol=1e-6)


def test_nothing_is_an_empty_vector() -> None:
    vector, unravel = ad.ravel([None, {}])
    assert vector.shape == (0,)
    assert unravel(vector) == [None, {}]


@pytest.mark.parametrize(("tree", "words"), [({"n": 3}, r"a int at \['n'\]"), ([np.arange(3)], r"int64 at \[0\]")])
def test_numbers_that_are_not_floating_point_are_refused(tree: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        ad.ravel(tree)


def test_another_length_is_refused() -> None:
    _, unravel = ad.ravel([1.0, 2.0])
    for wrong in (np.zeros(3), np.zeros((2, 1)), 1.0):
        with pytest.raises(ValueError, match="expected a vector of length 2"):
            unravel(wrong)
