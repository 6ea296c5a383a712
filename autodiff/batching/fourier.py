"""Fourier transforms, which take arrays of any number of axes and act along some of them."""

from typing import Any

import numpy as np

from autodiff.batching.reductions import along, axes_of
from autodiff.batching.table import of_first
from autodiff.core.rule import Array, Function

along(np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft, place=2, default=-1)


def _along_several(function: Function, default: Any) -> None:
    """Say that a function acts along several axes: by default all, or the last ones for which there is a length."""

    def rule(x: Array, s: Any = None, axes: Any = default, norm: Any = None, out: None = None) -> Array:
        axes = range(-len(s), 0) if axes is None and s is not None else axes
        return function(x, s, axes_of(x, None if axes is None else list(axes)), norm)

    of_first(function, rule)


for _function in (np.fft.fft2, np.fft.ifft2, np.fft.rfft2, np.fft.irfft2):
    _along_several(_function, (-2, -1))
for _function in (np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn):
    _along_several(_function, None)
