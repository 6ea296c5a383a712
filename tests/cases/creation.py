"""Functions that make arrays from numbers, or turn halves of an axis around."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autodiff import Tensor
from tests.cases.case import Case, Sampler

sampler = Sampler(9)
normal, positive = sampler.normal, sampler.positive


def creation() -> Iterator[Case]:
    for function in (np.linspace, np.logspace, np.geomspace):
        name = function.__name__
        yield Case(name, lambda a, b, f=function: f(a, b, 5), (positive(), positive() + 2))
        yield Case(f"{name} without end", lambda a, f=function: f(a, 4.0, num=4, endpoint=False), (positive(),))
        yield Case(
            f"{name} of arrays, axis -1", lambda a, b, f=function: f(a, b, 3, axis=-1), (positive(2), positive(2) + 2)
        )
        yield Case(f"{name}, broadcast", lambda a, b, f=function: f(a, b, 3), (positive(), positive(2) + 2))
        yield Case(f"{name} of one point", lambda a, b, f=function: f(a, b, 1), (positive(), positive()))
    yield Case("logspace, base 2", lambda a, b: np.logspace(a, b, 4, base=2.0), (normal(), normal()))
    yield Case("full_like", lambda x: np.full_like(x, 2.0) * x, (normal(2, 3),))
    like = Tensor(np.zeros((2, 3)), requires_grad=False)
    yield Case(
        "full_like of a Tensor", lambda v: np.full_like(like, v) * v, (normal(3),), plain=lambda v: v * v + like.data
    )
    for size in (4, 5):
        yield Case(f"fftshift of {size}", np.fft.fftshift, (normal(size, 3),))
        yield Case(f"ifftshift of {size}, axes 0", lambda x: np.fft.ifftshift(x, axes=0), (normal(size, 3),))


CASES = [*creation()]
