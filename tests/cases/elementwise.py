"""Functions that act on each element by itself."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from autodiff.activations import relu, sigmoid
from tests.cases.case import Case, Sampler

sampler = Sampler(0)
normal, positive, nonzero, unit, distinct = (
    sampler.normal,
    sampler.positive,
    sampler.nonzero,
    sampler.unit,
    sampler.distinct,
)


BROADCASTS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((4, 1, 3), (2, 1)),
    ((2, 3), (1, 1)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((), ()),
    ((0, 3), (3,)),
    ((1,), (0,)),
]


def unary() -> Iterator[Case]:
    table: list[tuple[np.ufunc, Callable[..., Any], str | None]] = [
        (np.negative, normal, "negative"),
        (np.positive, normal, "positive"),
        (np.reciprocal, nonzero, "reciprocal"),
        (np.square, normal, "square"),
        (np.exp, normal, "exp"),
        (np.exp2, normal, "exp2"),
        (np.expm1, normal, "expm1"),
        (np.log, positive, "log"),
        (np.log2, positive, "log2"),
        (np.log10, positive, "log10"),
        (np.log1p, unit, "log1p"),
        (np.sqrt, positive, "sqrt"),
        (np.sin, normal, "sin"),
        (np.cos, normal, "cos"),
        (np.tan, unit, "tan"),
        (np.arcsin, unit, "arcsin"),
        (np.arccos, unit, "arccos"),
        (np.arctan, normal, "arctan"),
        (np.sinh, normal, "sinh"),
        (np.cosh, normal, "cosh"),
        (np.tanh, normal, "tanh"),
        (np.absolute, nonzero, "abs"),
        (np.fabs, nonzero, "abs"),
        (np.sign, nonzero, "sign"),
        (np.floor, nonzero, "floor"),
        (np.ceil, nonzero, "ceil"),
        (np.trunc, nonzero, "trunc"),
        (np.rint, nonzero, "round"),
    ]
    for function, sample, torch in table:
        for shape in ((2, 3), (), (0, 2)):
            yield Case(f"{function.__name__} {shape}", function, (sample(*shape),), torch=torch)
    for function, name in ((relu, "relu"), (sigmoid, "sigmoid")):
        for shape in ((2, 3), (), (0, 2)):
            yield Case(
                f"{name} {shape}",
                lambda x, name=name: getattr(x, name)(),
                (nonzero(*shape),),
                torch=name,
                plain=function,
            )
    yield Case(
        "sigmoid of large numbers", lambda x: x.sigmoid(), (np.array([-40.0, 30.0]),), torch="sigmoid", plain=sigmoid
    )


def binary() -> Iterator[Case]:
    table: list[tuple[np.ufunc, Callable[..., Any], Callable[..., Any], str]] = [
        (np.add, normal, normal, "add"),
        (np.subtract, normal, normal, "subtract"),
        (np.multiply, normal, normal, "multiply"),
        (np.divide, normal, nonzero, "divide"),
        (np.power, positive, normal, "pow"),
        (np.logaddexp, normal, normal, "logaddexp"),
        (np.maximum, normal, normal, "maximum"),
        (np.minimum, normal, normal, "minimum"),
    ]
    for function, left, right, torch in table:
        name = function.__name__
        for x, y in BROADCASTS:
            yield Case(f"{name} {x} {y}", function, (left(*x), right(*y)), torch=torch)
        for number in (2, 1.5, np.float64(0.75), np.array(1.25), [1.5, 2.5, 0.25]):
            kind = type(number).__name__
            yield Case(f"{name} of a {kind} on the right", lambda x, f=function, c=number: f(x, c), (left(2, 3),))
            yield Case(f"{name} of a {kind} on the left", lambda y, f=function, c=number: f(c, y), (right(2, 3),))
        yield Case(
            f"{name} of a Tensor with itself",
            lambda x, f=function: f(x, x),
            (positive(2),),
            order=2 * (name[1:] not in ("aximum", "inimum")),
        )
    between = np.array([2.3, -1.7, 5.4]), np.array([1.5, 1.1, -2.0])  # quotients away from integers
    yield Case("remainder", np.remainder, between, torch="remainder")
    yield Case("operator %", operator.mod, between, torch="remainder")
    yield Case("floor_divide", np.floor_divide, between)
    yield Case("operator //", operator.floordiv, between)
    for sign, operate in (
        ("+", operator.add),
        ("-", operator.sub),
        ("*", operator.mul),
        ("/", operator.truediv),
        ("**", operator.pow),
        ("@", operator.matmul),
    ):
        yield Case(
            f"operator {sign}", operate, (positive(3, 3), positive(3, 3)), torch=lambda _, x, y, f=operate: f(x, y)
        )
        if sign != "@":
            yield Case(
                f"operator {sign} 2",
                lambda x, f=operate: f(x, 2),
                (positive(2, 3),),
                torch=lambda _, x, f=operate: f(x, 2),
            )
            yield Case(
                f"operator 2 {sign}", lambda x, f=operate: f(2, x), (positive(),), torch=lambda _, x, f=operate: f(2, x)
            )
    yield Case("operators + and -, unary", lambda x: +x * -x, (normal(3),), torch=lambda _, x: +x * -x)
    yield Case("abs()", abs, (nonzero(3),), torch=lambda _, x: abs(x))


def powers() -> Iterator[Case]:
    for exponent in (0, 1, 2, 3, 0.0, 1.0, 2.0, 3.0):
        point = np.array([-1.5, 0.0, 0.7, 2.0])
        yield Case(f"x**{exponent}", lambda x, n=exponent: x**n, (point,), torch=lambda _, x, n=exponent: x**n)
        yield Case(
            f"0-d x**{exponent} at 0", lambda x, n=exponent: x**n, (np.array(0.0),), torch=lambda _, x, n=exponent: x**n
        )
    for exponent in (-1, -2, 0.5, -0.5):
        yield Case(f"x**{exponent}", lambda x, n=exponent: x**n, (positive(3),), torch=lambda _, x, n=exponent: x**n)
    # As arrays, exponents are the constants they look like only where they are integers.
    bases, whole = np.array([0.0, 0.0, 0.0, 0.0, -1.5, -1.5, 2.0]), np.array([0, 1, 2, 3, 2, 3, -1])
    yield Case("power with an array of integers", np.power, (bases[:6], whole[:6]))
    yield Case("power with negative integers", np.power, (positive(3), np.array([-1, -2, 0])), torch="pow")
    yield Case("power with integers, broadcast", np.power, (normal(2, 1), np.arange(4)), torch="pow")
    yield Case("power of 0", lambda y: np.power(np.zeros(2), y), (positive(2),))
    yield Case("power of 0 with 0, 1 and 2", np.power, (np.zeros(3), np.array([0.0, 1.0, 2.0])), order=0)


def pieces() -> Iterator[Case]:
    x = distinct(2, 3)
    masks = {"same": np.array([[True, False, True], [False, False, True]]), "column": np.array([[True], [False]])}
    for name, low, high in (("both", -0.7, 0.2), ("lower", -0.7, None), ("upper", None, 0.2), ("no", None, None)):
        torch = None if name == "no" else lambda _, x, low=low, high=high: x.clip(low, high)
        yield Case(f"clip, {name} bounds", lambda x, low=low, high=high: np.clip(x, low, high), (x,), torch=torch)
    yield Case("clip, keywords", lambda x: np.clip(x, min=-0.7, max=0.2), (x,), torch=lambda _, x: x.clip(-0.7, 0.2))
    yield Case("clip, a_min and a_max", lambda x: np.clip(x, a_min=-0.7, a_max=0.2), (x,))
    yield Case("clip, list of bounds", lambda x: np.clip(x, [-0.7, -0.2, 0.0], 0.3), (x,))
    yield Case("clip, bounds broadcast", np.clip, (x, unit(3) - 0.6, unit(2, 1) + 0.6), torch="clip")
    yield Case("clip, bounds larger than x", np.clip, (x[0], unit(2, 3) - 0.6, unit(1) + 0.6))
    yield Case("clip, bounds crossed", np.clip, (x, np.array(0.5), np.array(-0.5)), torch="clip")
    yield Case(
        "clip, only lower given",
        lambda x, low: np.clip(x, low, None),
        (x, unit(3)),
        torch=lambda _, x, low: x.clip(min=low),
    )
    yield Case(
        "clip, only upper given",
        lambda x, high: np.clip(x, None, high),
        (x, unit(3)),
        torch=lambda _, x, high: x.clip(max=high),
    )
    yield Case("clip() of a Tensor", lambda x: x.clip(-0.7, 0.2), (x,), torch=lambda _, x: x.clip(-0.7, 0.2))
    yield Case(
        "clip on the bounds",
        lambda x: np.clip(x, -1, 1),
        (np.array([-1.0, 1.0, 0.0, 3.0]),),
        order=0,
        torch=lambda _, x: x.clip(-1, 1),
    )
    for name, mask in masks.items():
        yield Case(f"where, {name}", np.where, (mask, normal(2, 3), normal(2, 3)), torch="where")
        yield Case(f"where, {name}, broadcast", np.where, (mask, normal(3), normal()), torch="where")
    yield Case("where, result larger than both", np.where, (masks["column"], normal(3), normal(1)), torch="where")
    yield Case("where of numbers", lambda x: np.where(x > 0, x, 0) + np.where([True, False, True], 1.0, x), (x,))
    yield Case("where of a comparison", lambda x, y: np.where(x < y, x * y, y), (normal(2, 3), normal(3)))
    yield Case("maximum of equal numbers", np.maximum, (np.ones((2, 3)), np.ones(3)), order=0, torch="maximum")
    yield Case("minimum of equal numbers", np.minimum, (np.ones(3), np.ones((2, 3))), order=0, torch="minimum")
    yield Case(
        "maximum with 0 at 0",
        lambda x: np.maximum(x, 0.0),
        (np.array([-1.0, 0.0, 1.0]),),
        order=0,
        torch=lambda t, x: t.maximum(x, t.zeros(())),
    )
    yield Case("absolute at 0", np.absolute, (np.array([0.0, -0.0, 1.0]),), order=0, torch="abs")
    yield Case("relu at 0", lambda x: x.relu(), (np.array([0.0, -0.0, 1.0]),), order=0, torch="relu", plain=relu)
    yield Case("sign at 0", np.sign, (np.array([0.0, 2.0]),), order=0, torch="sign")


def methods() -> Iterator[Case]:
    for name, sample in (("exp", normal), ("log", positive), ("sqrt", positive), ("tanh", normal)):
        yield Case(
            f".{name}()", lambda x, name=name: getattr(x, name)(), (sample(2, 3),), torch=name, plain=getattr(np, name)
        )


CASES = [*unary(), *binary(), *powers(), *pieces(), *methods()]
