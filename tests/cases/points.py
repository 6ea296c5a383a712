"""Special points of a case: zeros, ties, infinities, huge and tiny numbers; for matrices the identity, and rank one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from tests.cases.case import Case

Make = Callable[[Any], Any]

NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 1e-30, -1e-30, 40.0, -40.0, 1e8, -1e2, 1e30, -1e30, np.inf, -np.inf]
EXTREMES = {np.float32: [], np.float64: [1e150, -1e150, 1e-150]}
SOME = 300  # combinations, where there are too many


@dataclass
class Point:
    """Arguments of a case at a special point.

    ``is_grid`` says that each element is a point of its own, since the function acts on each by itself.
    """

    name: str
    args: list[Any]
    is_grid: bool = False


def is_float(arg: Any) -> bool:
    return isinstance(arg, np.ndarray) and arg.dtype.kind == "f"


def several(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, list | tuple) else (result,)


def parts(x: Any) -> list[Any]:
    """Give the real and imaginary parts of complex numbers, and other arrays as they are."""
    return [np.real(x), np.imag(x)] if x.dtype.kind == "c" else [x]


def places_of(case: Case) -> list[int]:
    """List the arguments that are differentiated."""
    return [k for k, arg in enumerate(case.args) if is_float(arg)]


def points(case: Case, dtype: Any) -> Iterator[Point]:
    """Give the special points of a case, in a dtype."""
    places = places_of(case)
    arrays = [case.args[k] for k in places]

    def at(name: str, values: list[Any], is_grid: bool = False) -> Point:
        args = list(case.args)
        for place, value in zip(places, values, strict=True):
            args[place] = np.asarray(value, dtype)
        return Point(name, args, is_grid)

    if acts_on_each_element(case):
        yield at("special numbers", grid(len(places), dtype), is_grid=True)
        return
    for name, make in ways(dtype, is_homogeneous(case)):
        if "inf" in name and max(x.ndim for x in arrays) > 1:
            continue  # some routines of LAPACK do not return
        yield at(name, [make(x) for x in arrays])
        if len(arrays) > 1 and name in ("zeros", "ties"):
            yield at(f"{name}, the first", [make(arrays[0]), *arrays[1:]])
    is_square = [x.ndim >= 2 and x.shape[-1] == x.shape[-2] > 1 for x in arrays]
    if any(is_square):
        for name, make in ways_of_matrices():
            yield at(name, [make(x) if square else x for x, square in zip(arrays, is_square, strict=True)])


def acts_on_each_element(case: Case) -> bool:
    """Whether the function takes vectors of any length and treats each element by itself."""
    if not all(map(is_float, case.args)):
        return False
    function = case.plain or case.function
    rng = np.random.default_rng(0)
    same = rng.random(12) < 0.5
    for ranges in (((0.55, 0.75), (-3.0, 3.0)), ((-3.0, 3.0), (2.0, 30.0))):
        one, other = ([rng.uniform(low, high, 12) for _ in case.args] for low, high in ranges)
        mixed = [np.where(same, x, y) for x, y in zip(one, other, strict=True)]
        try:
            with np.errstate(all="ignore"):
                before, after = several(function(*one)), several(function(*mixed))
        except (ValueError, TypeError, IndexError, RuntimeError, np.linalg.LinAlgError):
            return False
        for a, b in zip(before, after, strict=True):
            if np.shape(a) != (12,) or not np.array_equal(a[same], b[same], equal_nan=True):
                return False
    return True


def grid(count: int, dtype: Any) -> list[Any]:
    """Give every combination of special numbers, or some where these are too many."""
    numbers = [*NUMBERS, *EXTREMES[dtype]]
    if count > 2:
        rng = np.random.default_rng(count)
        return [rng.choice(numbers, SOME) for _ in range(count)]
    return [np.array(column) for column in zip(*product(numbers, repeat=count), strict=True)]


def is_homogeneous(case: Case) -> bool:
    """Whether the function of smaller numbers is smaller by a power, and so has no number of its own to add them to."""
    values = []
    for scale in (1.0, 2.0**-8, 2.0**-16):
        args = [np.asarray(arg * scale) if is_float(arg) else arg for arg in case.args]
        with np.errstate(all="ignore"):
            values.append([np.asarray(value) for value in several((case.plain or case.function)(*args))])
    return all(np.allclose(a * c, b * b, rtol=1e-6, atol=0, equal_nan=True) for a, b, c in zip(*values, strict=True))


def ways(dtype: Any, has_no_scale: bool) -> Iterator[tuple[str, Make]]:
    """Give ways to make a special point of any array."""

    def with_first(value: float) -> Make:
        return lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, value, x)

    if dtype == np.float64:
        yield "zeros", np.zeros_like
        yield "ones", np.ones_like
        yield "ties", lambda x: np.where(np.arange(x.size).reshape(x.shape) % 2, x.flat[0], x)
        yield "a zero", with_first(0.0)
        yield "inf", with_first(np.inf)
        yield "-inf", with_first(-np.inf)
    huge, tiny = (1e30, 1e-30) if dtype == np.float32 else (1e150, 1e-150)
    for scale in (huge, tiny if has_no_scale else 1e-5):
        yield f"times {scale:g}", lambda x, scale=scale: x * scale


def ways_of_matrices() -> Iterator[tuple[str, Make]]:
    """Give ways to make special square matrices, and stacks of them."""

    def identity(x: Any) -> Any:
        return np.broadcast_to(np.eye(x.shape[-1]), x.shape)

    yield "the identity", identity
    yield "nearly the identity", lambda x: identity(x) + 1e-3 * (x + np.swapaxes(x, -1, -2))
    yield "rank one", lambda x: x[..., :1] * x[..., :1, :]
