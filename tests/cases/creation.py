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
        yield Case(name, lambda a, b, f=function: f(a, b, 5), (positive(), np.array(positive() + 2)))
        yield Case(f"{name} without end", lambda a, f=function: f(a, 4.0, num=4, endpoint=False), (positive(),))
        yield Case(
            f"{name} of arrays, axis -1", lambda a, b, f=function: f(a, b, 3, axis=-1), (positive(2), positive(2) + 2)
        )
        yield Case(f"{name}, broadcast", lambda a, b, f=function: f(a, b, 3), (positive(), positive(2) + 2))
        yield Case(f"{name} of one point", lambda a, b, f=function: f(a, b, 1), (positive(), positive()))
    yield Case("logspace, base 2", lambda a, b: np.logspace(a, b, 4, base=2.0), (normal(), normal()))
    for endpoint, num in ((True, 4), (False, 4), (True, 2)):
        yield Case(
            f"linspace, retstep, {num} points, endpoint {endpoint}",
            lambda a, b, n=num, e=endpoint: np.linspace(a, b, n, e, True),
            (normal(2), normal()),
        )
    yield Case("linspace, the step", lambda a: np.linspace(a, 3.0, 5, retstep=True)[1] ** 2, (normal(),))
    for function in (np.linspace, np.logspace, np.geomspace):
        for dtype in (np.longdouble, np.int64):
            yield Case(
                f"{function.__name__} in {dtype.__name__}",
                lambda a, b, f=function, d=dtype: f(a, b, 3, dtype=d) * a,
                (np.array(1.3), np.array(2.9)),
            )
    yield Case("logspace, base", lambda a, c: np.logspace(a, 2.0, 3, base=c), (normal(), positive()))
    for axis in (0, -1):
        yield Case(
            f"logspace, bases, axis {axis}",
            lambda a, b, c, axis=axis: np.logspace(a, b, 2, base=c, axis=axis),
            (normal(), normal(), positive(2)),
        )
    yield Case("logspace, bases and starts", lambda a, c: np.logspace(a, 2, 3, base=c), (normal(2), positive(3, 1)))
    like = Tensor(np.zeros((2, 3)), requires_grad=False)
    yield Case(
        "full_like, shape",
        lambda v: np.full_like(like, v, dtype=np.longdouble, order="C", shape=(4, 3), device="cpu") * v,
        (normal(3),),
        plain=lambda v: np.full((4, 3), v, dtype=np.longdouble) * v,
    )
    yield Case(
        "full_like, in integers",
        lambda v: np.full_like(like, v, dtype=int) * v,
        (np.array(1.3),),
        plain=lambda v: np.full((2, 3), v, dtype=int) * v,
    )
    yield Case("full_like", lambda x: np.full_like(x, 2.0) * x, (normal(2, 3),))
    yield Case(
        "full_like of a Tensor", lambda v: np.full_like(like, v) * v, (normal(3),), plain=lambda v: v * v + like.data
    )


CASES = [*creation()]
