"""Functions that reduce over axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(2)
normal, distinct = sampler.normal, sampler.distinct


def torch_reduction(name: str, axis: Any, keepdims: bool, **options: Any) -> Callable[..., Any]:
    """Make torch's reduction over the axes; its ``prod`` takes one axis only and so goes over them one by one."""

    def reduce(torch: Any, x: Any) -> Any:
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = sorted(one % x.ndim for one in axes)
        if name != "prod":
            return getattr(torch, name)(x, dim=axes, keepdim=keepdims, **options)
        for one in reversed(axes):
            x = torch.prod(x, dim=one, keepdim=keepdims)
        return x

    return reduce


def reductions() -> Iterator[Case]:
    table: list[tuple[Callable[..., Any], Callable[..., Any], str, dict[str, Any]]] = [
        (np.sum, normal, "sum", {}),
        (np.mean, normal, "mean", {}),
        (np.max, distinct, "amax", {}),
        (np.min, distinct, "amin", {}),
        (np.prod, normal, "prod", {}),
        (np.var, normal, "var", {"correction": 0}),
        (np.std, normal, "std", {"correction": 0}),
    ]
    for function, sample, torch, options in table:
        name = function.__name__
        for axis, keepdims in product((None, 0, 1, -1, (0, 2), (-1, 0)), (False, True)):
            yield Case(
                f"{name}, axis {axis}{', keepdims' * keepdims}",
                lambda x, f=function, axis=axis, keepdims=keepdims: f(x, axis=axis, keepdims=keepdims),
                (sample(2, 3, 2),),
                torch=torch_reduction(torch, axis, keepdims, **options),
            )
            if axis in (None, 1, (-1, 0)):
                yield Case(
                    f".{name}(), axis {axis}{', keepdims' * keepdims}",
                    lambda x, name=name, axis=axis, keepdims=keepdims: getattr(x, name)(axis=axis, keepdims=keepdims),
                    (sample(2, 3, 2),),
                )
        yield Case(f"{name}, axis by position", lambda x, f=function: f(x, 1), (sample(3, 3),))
        yield Case(f"{name}, no axes", lambda x, f=function: f(x, axis=()), (sample(3),), order=2 * (name != "std"))
        yield Case(f"{name} of a number", function, (normal(),), order=2 * (name != "std"))
        yield Case(f"{name}, out=None", lambda x, f=function: f(x, axis=0, out=None), (sample(2, 3),))
        if name in ("sum", "prod", "max", "min"):
            yield Case(f"{name} of a number, axis 0", lambda x, f=function: f(x, axis=0), (normal(),))
            yield Case(
                f"{name} of a number, axis -1, keepdims",
                lambda x, f=function: f(x, axis=-1, keepdims=True),
                (normal(),),
            )
        if name in ("sum", "prod"):
            yield Case(f"{name} of (0, 3)", function, (normal(0, 3),), torch=torch)
            yield Case(f"{name} of (0, 3), axis 0", lambda x, f=function: f(x, axis=0), (normal(0, 3),))
        if name != "std":
            yield Case(f"{name} of (0, 3), axis 1", lambda x, f=function: f(x, axis=1), (normal(0, 3),))
        if name in ("var", "std"):
            for axis in (None, 0, (0, -1)):
                yield Case(
                    f"{name}, axis {axis}, ddof 1",
                    lambda x, f=function, axis=axis: f(x, axis=axis, ddof=1),
                    (normal(2, 3, 2),),
                    torch=torch_reduction(torch, axis, False, correction=1),
                )
            yield Case(f".{name}(), ddof 1", lambda x, name=name: getattr(x, name)(0, ddof=1), (normal(3, 2),))
    yield Case("std of equal elements", lambda x: np.std(x, axis=1), (np.array([[2.0, 2.0], [1.0, 3.0]]),), order=0)
    yield Case("std of equal elements, keepdims", lambda x: np.std(x, keepdims=True), (np.ones(3),), order=0)
    equal = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    for name, axis in product(("max", "min"), (None, 0, 1)):
        yield Case(
            f"{name} of equal elements, axis {axis}",
            lambda x, name=name, axis=axis: getattr(np, name)(x, axis=axis),
            (equal,),
            order=0,
            torch=torch_reduction(f"a{name}", axis, False),
        )
    for zeros in ([1], [0, 3], [0, 1, 2, 3, 4]):
        point = normal(5)
        point[zeros] = 0
        yield Case(f"prod with zeros at {zeros}", np.prod, (point,), torch=torch_reduction("prod", None, False))
        yield Case(
            f"prod with rows of zeros at {zeros}",
            lambda x: np.prod(x, axis=0),
            (np.stack([point, normal(5), normal(5)]),),
            torch=torch_reduction("prod", 0, False),
        )
    for size in (1, 2, 7, 8):
        yield Case(f"prod of {size}", np.prod, (normal(size),), torch=torch_reduction("prod", None, False))
    for ufunc, sample, torch in (
        (np.add, normal, "sum"),
        (np.multiply, normal, "prod"),
        (np.maximum, distinct, "amax"),
        (np.minimum, distinct, "amin"),
    ):
        name = f"{ufunc.__name__}.reduce"
        yield Case(name, ufunc.reduce, (sample(2, 3),), torch=torch_reduction(torch, 0, False))
        yield Case(
            f"{name}, axis None",
            lambda x, f=ufunc: f.reduce(x, axis=None),
            (sample(2, 3),),
            torch=torch_reduction(torch, None, False),
        )
        yield Case(
            f"{name}, axis -1, keepdims",
            lambda x, f=ufunc: f.reduce(x, axis=-1, keepdims=True),
            (sample(2, 3),),
            torch=torch_reduction(torch, -1, True),
        )
        yield Case(f"{name} of a number", ufunc.reduce, (normal(),))


CASES = [*reductions()]
