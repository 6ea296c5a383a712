"""Convolutions along some of the axes, which HIPS autograd has, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff import Tensor, grad

ss = pytest.importorskip("scipy.signal")

from autodiff.scipy import signal  # noqa: E402

rng = np.random.default_rng(0)
AXES: dict[str, tuple[Any, ...]] = {
    "images and filters": ((2, 3, 6, 5), (3, 4, 2, 3), ([2, 3], [2, 3]), ([1], [0])),
    "filters and images": ((3, 4, 2, 3), (2, 3, 6, 5), ([2, 3], [2, 3]), ([0], [1])),
    "in another order": ((2, 5, 6), (3, 2, 4), ([1, 2], [2, 0]), ((), ())),
    "two sums": ((4, 2, 3), (2, 6, 3), ([0], [1]), ([1, 2], [0, 2])),
}


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", AXES)
def test_along_axes_it_is_autograds(name: str, mode: str) -> None:
    theirs = pytest.importorskip("autograd.scipy.signal")
    first, second, axes, dot_axes = AXES[name]
    x, y = rng.normal(size=first), rng.normal(size=second)
    ours = signal.convolve(x, y, mode, axes=axes, dot_axes=dot_axes)
    wanted = theirs.convolve(x, y, mode=mode, axes=axes, dot_axes=dot_axes)
    np.testing.assert_allclose(ours, wanted, rtol=1e-12, atol=1e-14, strict=True)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_along_all_axes_it_is_scipys(mode: str) -> None:
    x, y = rng.normal(size=(4, 5)), rng.normal(size=(3, 2))
    np.testing.assert_allclose(signal.convolve(x, y, mode, axes=([0, 1], [0, 1])), ss.convolve(x, y, mode), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"axes": ([0], [2])}, "axis 2 is out of bounds"),
        ({"axes": ([0], [0, 1])}, "as many axes"),
        ({"axes": [0]}, "as many axes"),
        ({"axes": ([0], [0]), "dot_axes": ([0], [1])}, "none of them twice"),
        ({"axes": ([], []), "dot_axes": ([0], [0])}, "as long in both"),
        ({"axes": ([0, 1], [0, 1]), "mode": "valid"}, "mode='valid' is not possible"),
        ({"axes": ([0], [0]), "mode": "most"}, "mode='most' is not possible"),
        ({"mode": "most"}, "not mode=most"),
        ({"method": "slow"}, "method flags"),
    ],
)
def test_what_does_not_fit_names_the_call_and_the_shapes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=rf"^convolve of shapes \(3, 2\) and \(2, 4\).*{words}"):
        signal.convolve(Tensor(np.ones((3, 2))), np.ones((2, 4)), **options)


@pytest.mark.parametrize("call", [lambda x, y: signal.convolve(x, y, "full", "direct"), signal.fftconvolve])
def test_nothing_convolved_has_a_gradient_of_zeros(call: Any) -> None:
    found = grad(lambda x: call(np.ones((0, 2)), x).sum())(np.ones((1, 1)))
    np.testing.assert_array_equal(found, [[0]])
