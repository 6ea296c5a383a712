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


def options() -> Iterator[Case]:
    """Options and names that the reductions above have besides."""
    for name in ("amax", "amin"):
        yield Case(
            name,
            lambda x, name=name: getattr(np, name)(x, axis=1),
            (distinct(2, 3),),
            torch=torch_reduction(name, 1, False),
        )
    for name in ("var", "std", "nanvar", "nanstd"):
        yield Case(
            f"{name}, correction",
            lambda x, name=name: getattr(np, name)(x, axis=0, correction=1),
            (normal(3, 2),),
            torch=torch_reduction(name.removeprefix("nan"), 0, False, correction=1),
        )
    nans = np.array([[1.0, np.nan, 2.0, np.nan], [3.0, np.nan, 1.0, 4.0]])
    for name, axis in product(("max", "min"), (None, 0, 1)):
        # The NaN is made of the NaNs: PyTorch gives NaN to the others too.
        yield Case(
            f"{name} with NaNs, axis {axis}", lambda x, n=name, a=axis: getattr(np, n)(x, axis=a), (nans,), order=0
        )
    yield Case("ptp", np.ptp, (distinct(2, 3),), torch=lambda t, x: t.amax(x) - t.amin(x))
    for axis, keepdims in ((0, False), (-1, True), ((0, 2), False)):
        yield Case(
            f"ptp, axis {axis}, keepdims {keepdims}",
            lambda x, a=axis, k=keepdims: np.ptp(x, axis=a, keepdims=k),
            (distinct(2, 3, 2),),
            torch=lambda t, x, a=axis, k=keepdims: t.amax(x, a, k) - t.amin(x, a, k),
        )
    for ufunc in (np.fmax, np.fmin):
        yield Case(f"{ufunc.__name__}.reduce", ufunc.reduce, (distinct(2, 3),))
        yield Case(f"{ufunc.__name__}.reduce with NaN", ufunc.reduce, (nans[:, ::2] * [[1, 2], [np.nan, 1]],), order=0)
    yield Case("logaddexp.reduce", np.logaddexp.reduce, (normal(3, 2),), torch=lambda t, x: t.logsumexp(x, 0))
    yield Case(
        "logaddexp.reduce, axes, keepdims",
        lambda x: np.logaddexp.reduce(x, axis=(0, -1), keepdims=True),
        (normal(3, 2, 2),),
        torch=lambda t, x: t.logsumexp(x, (0, -1), True),
    )
    yield Case("logaddexp.reduce of -inf", np.logaddexp.reduce, (np.array([[-np.inf] * 2, [-np.inf, 0.5]]),), order=0)


def averages() -> Iterator[Case]:
    positive = sampler.positive
    x = normal(2, 3, 2)
    yield Case("average", np.average, (x,), torch="mean")
    yield Case(
        "average, axes", lambda x: np.average(x, axis=(0, 2)), (x,), torch=torch_reduction("mean", (0, 2), False)
    )
    weights: list[tuple[Any, tuple[int, ...]]] = [
        (None, (2, 3, 2)), (1, (2, 3, 2)), (1, (3,)), (-1, (2,)),
        ((0, 2), (2, 2)), ((2, 1), (2, 3)), ((0, 1), (2, 3, 2)),
    ]  # fmt: skip
    for (axis, shape), keepdims in product(weights, (False, True)):
        yield Case(
            f"average, axis {axis}, weights {shape}{', keepdims' * keepdims}",
            lambda x, w, a=axis, k=keepdims: np.average(x, a, w, keepdims=k),
            (x, positive(*shape)),
        )
    yield Case("average, returned", lambda x, w: np.average(x, 1, w, True), (x, positive(2, 3, 2)))
    yield Case("average, returned, no weights", lambda x: np.average(x, axis=0, returned=True), (x,))
    yield Case(
        "average, returned, weights along an axis",
        lambda x, w: np.average(x, axis=1, weights=w, returned=True, keepdims=True),
        (x, positive(3)),
    )
    yield Case("average, weights by keyword", lambda x, w: np.average(x, weights=w), (x, positive(2, 3, 2)))
    yield Case("average, list of Tensors as weights", lambda x: np.average(x, weights=list(x * x)), (positive(3),))
    yield Case("average, list of weights", lambda x: np.average(x, axis=1, weights=[1, 2, 3]), (x,))
    yield Case(
        "average as PyTorch has it",
        lambda x, w: np.average(x, axis=1, weights=w),
        (normal(2, 3), positive(2, 3)),
        torch=lambda _, x, w: (x * w).sum(1) / w.sum(1),
    )


def without_nans() -> Iterator[Case]:
    """Every reduction that leaves NaNs out, where there are some and where there are none."""
    x = distinct(3, 4)
    holes = np.where([[1, 0, 0, 1], [0, 0, 0, 1], [0, 1, 0, 1]], np.nan, x)
    zeros = np.where([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], 0, holes)
    torchs = {"nansum": "nansum", "nanmean": "nanmean"}
    for name in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian"):
        function = getattr(np, name)
        for axis, keepdims in product((None, 1, -2, (0, 1)), (False, True)):
            # The last column has no numbers, of which there is a sum and a product but no mean.
            point = holes if axis != -2 or name in ("nansum", "nanprod") else holes[:, :3]
            yield Case(
                f"{name}, axis {axis}{', keepdims' * keepdims}",
                lambda x, f=function, a=axis, k=keepdims: f(x, axis=a, keepdims=k),
                (point,),
                order=0,  # no differences of NaN; see "in the gaps" below
                torch=None if name not in torchs else torch_reduction(torchs[name], axis, keepdims),
            )
        for axis in (None, 1):
            yield Case(
                f"{name} in the gaps, axis {axis}",
                # NaNs that are put there afterwards leave differences to be taken of the others.
                lambda x, f=function, a=axis: f(np.where(np.isnan(holes), np.nan, x), axis=a),
                (x,),
            )
        yield Case(f"{name} without NaN", lambda x, f=function: f(x, axis=0), (x,))
        yield Case(f"{name} of a number", function, (normal(),), order=2 * (name != "nanstd"))
    yield Case("nanprod with a zero", lambda x: np.nanprod(x, axis=1), (zeros,), order=0)
    yield Case("nanvar, ddof 1", lambda x: np.nanvar(x, axis=0, ddof=1), (x,))
    yield Case("nanstd of equal elements", lambda x: np.nanstd(x), (np.array([1.0, np.nan, 1.0]),), order=0)
    for name in ("nancumsum", "nancumprod"):
        for axis in (None, 0, -1):
            yield Case(
                f"{name}, axis {axis}",
                lambda x, n=name, a=axis: getattr(np, n)(np.where(np.isnan(holes), np.nan, x), axis=a),
                (x,),
            )
    for q in (0.3, [0.0, 0.5, 1.0]):
        yield Case(f"nanquantile {q}", lambda x, q=q: np.nanquantile(x, q), (x,), torch=torch_quantile(q, None))
        yield Case(
            f"nanquantile {q}, axis 1, keepdims",
            lambda x, q=q: np.nanquantile(np.where(np.isnan(holes), np.nan, x), q, axis=1, keepdims=True),
            (x,),
        )
        yield Case(
            f"nanpercentile {q}, axis 1",
            lambda x, q=q: np.nanpercentile(x, np.multiply(q, 100), axis=1),
            (x,),
            torch=torch_quantile(q, 1),
        )


def torch_quantile(q: Any, axis: Any) -> Callable[..., Any]:
    return lambda t, x: t.quantile(x, t.tensor(q, dtype=x.dtype), dim=axis)


def quantiles() -> Iterator[Case]:
    x = distinct(3, 4)
    for name, function in (("median", np.median), ("quantile", lambda x, **kw: np.quantile(x, 0.5, **kw))):
        for axis in (None, 0, 1, -1):
            yield Case(
                f"{name}, axis {axis}",
                lambda x, f=function, a=axis: f(x, axis=a),
                (x,),
                torch=torch_quantile(0.5, axis),
            )
        for axis in (None, 1, (0, -1)):
            yield Case(
                f"{name}, axis {axis}, keepdims",
                lambda x, f=function, a=axis: f(x, axis=a, keepdims=True),
                (distinct(3, 2, 2),),
            )
        yield Case(f"{name} of a number", function, (normal(),))
        yield Case(f"{name} of one element", function, (normal(1),))
    yield Case("median of equal elements", np.median, (np.array([2.0, 1.0, 2.0, 2.0]),), order=0)
    for q in (0.0, 0.2, 1.0, [0.1, 0.9], [[0.25], [0.5], [0.6]]):
        yield Case(f"quantile {q}", lambda x, q=q: np.quantile(x, q), (x,))
        yield Case(f"quantile {q}, axis 0", lambda x, q=q: np.quantile(x, q, 0), (x,))
    yield Case("quantile, torch", lambda x: np.quantile(x, [0.1, 0.9], 1), (x,), torch=torch_quantile([0.1, 0.9], 1))
    yield Case("percentile", lambda x: np.percentile(x, [10, 35.0], axis=1), (x,), torch=torch_quantile([0.1, 0.35], 1))
    yield Case("percentile, keepdims", lambda x: np.percentile(x, 30, axis=(0, 1), keepdims=True), (x,))
    for method in (
        "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
        "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
    ):  # fmt: skip
        yield Case(
            f"quantile, {method}",
            lambda x, m=method: np.quantile(x, [0.2, 0.4, 0.77], axis=1, method=m),
            (distinct(2, 7),),
        )


def running() -> Iterator[Case]:
    for name, torch in (("cumsum", "cumsum"), ("cumprod", "cumprod")):
        function = getattr(np, name)
        for axis in (0, 1, -1):
            yield Case(
                f"{name}, axis {axis}",
                lambda x, f=function, a=axis: f(x, axis=a),
                (normal(2, 3, 2),),
                torch=lambda t, x, n=torch, a=axis: getattr(t, n)(x, a),
            )
        flat = lambda t, x, n=torch: getattr(t, n)(x.reshape(-1), 0)  # noqa: E731
        for shape in ((2, 3), (5,), (1,), ()):
            yield Case(f"{name} of {shape}", function, (normal(*shape),), torch=flat)
        yield Case(f"{name} of (0, 3)", function, (normal(0, 3),))
        yield Case(f"{name} of (2, 0), axis 1", lambda x, f=function: f(x, axis=1), (normal(2, 0),))
        ufunc = {"cumsum": np.add, "cumprod": np.multiply}[name]
        yield Case(f"{ufunc.__name__}.accumulate", ufunc.accumulate, (normal(3, 2),))
        yield Case(f"{ufunc.__name__}.accumulate, axis 1", lambda x, f=ufunc: f.accumulate(x, axis=1), (normal(2, 3),))
        array_api = {"cumsum": np.cumulative_sum, "cumprod": np.cumulative_prod}[name]
        for initial in (False, True):
            yield Case(
                f"{array_api.__name__}, initial {initial}",
                lambda x, f=array_api, i=initial: f(x, include_initial=i),
                (normal(4),),
            )
            yield Case(
                f"{array_api.__name__}, axis -2, initial {initial}",
                lambda x, f=array_api, i=initial: f(x, axis=-2, include_initial=i),
                (normal(2, 3, 2),),
            )
    for zeros in ([0], [2], [1, 3], [0, 1, 2, 3, 4]):
        point = normal(5)
        point[zeros] = 0
        yield Case(f"cumprod with zeros at {zeros}", np.cumprod, (point,), torch=lambda t, x: t.cumprod(x, 0))
    yield Case("cumprod of 9", np.cumprod, (normal(9),), torch=lambda t, x: t.cumprod(x, 0))


REDUCTIONS: dict[str, tuple[float | None, str | None]] = {  # an initial value, if it must be given, and torch's name
    "sum": (0.0, "sum"), "prod": (1.0, "prod"), "mean": (None, "mean"), "var": (None, None), "std": (None, None),
    "max": (-9.0, "amax"), "min": (9.0, "amin"), "nansum": (0.0, "nansum"), "nanprod": (1.0, None),
    "nanmean": (None, None), "nanvar": (None, None), "nanstd": (None, None), "nanmax": (-9.0, None),
    "nanmin": (9.0, None),
}  # fmt: skip


def torch_masked(name: str | None, mask: Any, axis: Any) -> Callable[..., Any] | None:
    """Make torch's reduction of the elements that a mask takes in: the others are what changes nothing."""
    if name is None:
        return None
    if name == "mean":
        return lambda t, x: t.where(t.tensor(mask), x, 0.0).sum(axis) / t.tensor(mask).expand_as(x).sum(axis)
    neutral = {"amax": -np.inf, "amin": np.inf, "prod": 1.0}.get(name, 0.0)
    return lambda t, x: torch_reduction(name, axis, False)(t, t.where(t.tensor(mask), x, neutral))


def masked() -> Iterator[Case]:
    x = distinct(2, 3, 4)
    everywhere = np.array([[[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]], [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 1, 1]]]) > 0
    row = np.array([True, False, True, True])
    column = np.array([[True], [False], [True]])
    for name, (initial, torch) in REDUCTIONS.items():
        function = getattr(np, name)
        given = {} if initial is None else {"initial": initial}
        for axis, keepdims, (what, mask) in (
            (None, False, ("all", everywhere)), (None, True, ("a row", row)), (0, False, ("a column", column)),
            (-1, False, ("all", everywhere)), (1, True, ("all", everywhere)), ((0, -1), False, ("a row", row)),
            ((2, 1), False, ("a column", column)),
        ):  # fmt: skip
            mask = everywhere[:1] if axis == 0 and "nan" not in name else mask
            if axis == 0 and name in ("mean", "var", "std", "nanmean", "nanvar", "nanstd"):
                continue  # no element of some is left
            yield Case(
                f"{name}, where {what}, axis {axis}{', keepdims' * keepdims}",
                lambda x, f=function, a=axis, k=keepdims, m=mask, i=given: f(x, axis=a, keepdims=k, where=m, **i),
                (x,),
                torch=None if keepdims or axis in (None, 0) else torch_masked(torch, mask, axis),
            )
        holes = np.where(everywhere, x, np.nan)
        yield Case(
            f"{name}, where no NaN is",
            lambda x, f=function, m=everywhere, i=given: f(x, axis=-1, where=m, **i),
            (holes,),
            order=0,
        )
        yield Case(
            f"{name}, where no infinity is",
            lambda x, f=function, m=everywhere, i=given: f(np.where(m, x, np.inf), axis=1, where=m, **i),
            (x,),
        )
        yield Case(
            f"{name} of a number, where it is", lambda x, f=function, i=given: f(x, where=True, **i), (normal(),),
            order=2 * (name[-3:] != "std"),
        )  # fmt: skip
        if initial is not None:
            yield Case(
                f"{name}, nowhere",
                lambda x, f=function, i=initial: f(x, axis=0, where=False, initial=i) + x,
                (normal(2, 3),),
            )
            yield Case(
                f"{name} of (0, 3), where", lambda x, f=function, i=initial: f(x, where=row[:3], initial=i),
                (normal(0, 3),),
            )  # fmt: skip
            yield Case(
                f"{name}, initial, keepdims",
                lambda x, f=function: f(x, axis=1, initial=0.75, keepdims=True),
                (distinct(3, 4),),
            )
            yield Case(f"{name}, initial, all axes", lambda x, f=function: f(x, initial=-1.5), (distinct(3, 4),))
    for name in ("var", "std"):
        yield Case(
            f"{name}, ddof 1, where", lambda x, n=name: getattr(np, n)(x, axis=-1, ddof=1, where=everywhere), (x,)
        )
        yield Case(
            f"{name}, mean", lambda x, n=name: getattr(np, n)(x, axis=0, mean=np.array([[0.5, -1.0]])), (normal(3, 2),)
        )
        yield Case(
            f"{name}, mean, where",
            lambda x, n=name: getattr(np, n)(x, axis=1, mean=np.array([[0.5], [2.0]]), where=row[:3]),
            (normal(2, 3),),
        )
    equal = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    for name in ("max", "min"):
        yield Case(
            f"{name}, equal to the initial value", lambda x, n=name: getattr(np, n)(x, axis=1, initial=2.0), (equal,),
            order=0,
        )  # fmt: skip
        yield Case(
            f"{name} of equal elements, where", lambda x, n=name: getattr(np, n)(x, axis=1, where=row[:3], initial=2.0),
            (equal,), order=0,
        )  # fmt: skip
    zeros = np.array([[0.0, 2.0, 0.0, 3.0], [1.5, 0.0, 2.0, 0.5]])
    yield Case("prod, where zeros are left out", lambda x: np.prod(x, axis=1, where=zeros != 0, initial=2.0), (zeros,))
    yield Case("prod, where a zero is", lambda x: np.prod(x, axis=1, where=row[[1, 0, 2, 3]]), (zeros,))
    yield Case("std of equal elements, where", lambda x: np.std(x, axis=1, where=row[:3]), (equal,), order=0)
    for ufunc, initial in (
        (np.add, 0.5), (np.multiply, 0.5), (np.maximum, 0.5), (np.minimum, -0.5), (np.fmax, 0.5), (np.fmin, -0.5),
        (np.logaddexp, 0.5),
    ):  # fmt: skip
        for axis in (0, None, (1, -1)):
            yield Case(
                f"{ufunc.__name__}.reduce, where, axis {axis}",
                lambda x, f=ufunc, a=axis, i=initial: f.reduce(x, axis=a, where=everywhere, initial=i),
                (x,),
            )
        yield Case(
            f"{ufunc.__name__}.reduce, no initial value",
            lambda x, f=ufunc: f.reduce(x, initial=None),
            (distinct(3, 2),),
        )
    yield Case("add.reduce, options by position", lambda x: np.add.reduce(x, 1, None, None, True, 2.0, row), (x[0],))


def in_other_dtypes() -> Iterator[Case]:
    for name in (*REDUCTIONS, "cumsum", "cumprod", "nancumsum", "nancumprod"):
        if name.removeprefix("nan") not in ("max", "min"):
            yield Case(
                f"{name}, in long double",
                lambda x, n=name: getattr(np, n)(x, axis=0, dtype=np.longdouble),
                (normal(3, 2),),
            )
    for name in ("sum", "prod", "cumsum", "cumprod", "nansum", "nanprod", "nancumsum", "nancumprod"):
        yield Case(
            f"{name}, in integers",
            lambda x, n=name: getattr(np, n)(x, 0, int) * x,
            (np.array([1.5, -2.5, 3.25]),),
        )
    for name in ("mean", "var", "std"):
        yield Case(
            f"{name}, in integers",
            lambda x, n=name: getattr(np, n)(x, dtype=int) * x,
            (np.array([1.5, -2.5, 5.25]),),
        )
    for ufunc in (np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp):
        yield Case(
            f"{ufunc.__name__}.reduce, in long double", lambda x, f=ufunc: f.reduce(x, dtype=np.longdouble),
            (distinct(3, 2),),
        )  # fmt: skip
    for ufunc in (np.add, np.multiply):
        for dtype in (np.longdouble, np.int64):
            yield Case(
                f"{ufunc.__name__}.accumulate in {dtype.__name__}",
                lambda x, f=ufunc, d=dtype: f.accumulate(x, dtype=d) * x,
                (np.array([1.5, -2.5, 3.25]),),
            )
    for name in ("cumulative_sum", "cumulative_prod"):
        yield Case(
            f"{name} in long double", lambda x, n=name: getattr(np, n)(x, dtype=np.longdouble, include_initial=True),
            (normal(3),),
        )  # fmt: skip


CASES = [
    *reductions(),
    *options(),
    *averages(),
    *without_nans(),
    *quantiles(),
    *running(),
    *masked(),
    *in_other_dtypes(),
]
