"""The table of cases: a function of arrays, a point where its derivative is defined, and what PyTorch calls it.

Every suite runs over this one table, so that a new function needs one more line and no more. Arguments that are arrays
of floating-point numbers are differentiated; all others (booleans, integers) are constants.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from autodiff.activations import relu, sigmoid
from autodiff.rules.indexing import scatter_add
from autodiff.tensor import astype


@dataclass(frozen=True)
class Case:
    """One function at one point.

    ``order`` says up to which derivative central differences are defined there: 0 at a kink, where only the convention
    can be checked. ``torch`` is the same function of torch tensors: its name in ``torch``, or a function that gets the
    module first. ``plain`` is the same function of arrays, where ``function`` is one that only a Tensor knows.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    order: int = 2
    torch: str | Callable[..., Any] | None = None
    plain: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return self.name


rng = np.random.default_rng(20240229)


def normal(*shape: int) -> Any:
    return np.array(rng.normal(size=shape))


def positive(*shape: int) -> Any:
    return np.array(rng.uniform(0.5, 2, shape))


def nonzero(*shape: int) -> Any:
    return np.array(positive(*shape) * rng.choice([-1.0, 1.0], shape))


def unit(*shape: int) -> Any:
    return np.array(rng.uniform(-0.8, 0.8, shape))


def distinct(*shape: int) -> Any:
    """Numbers of which no two are close, for functions that compare them."""
    return rng.permutation(int(np.prod(shape))).reshape(shape) / 4 - 1.1


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


def linalg() -> Iterator[Case]:
    lefts = {1: (3,), 2: (2, 3), 3: (2, 2, 3), 4: (1, 2, 2, 3)}
    rights = {1: (3,), 2: (3, 4), 3: (2, 3, 1), 4: (2, 1, 3, 2)}
    for x, y in product(lefts.values(), rights.values()):
        yield Case(f"matmul {x} {y}", np.matmul, (normal(*x), normal(*y)), torch="matmul")
    for x, y in (
        ((1, 2, 3), (4, 3, 2)),
        ((3, 1, 2, 1), (2, 1, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 2)),
        ((0,), (0,)),
        ((2, 3), (5, 0, 3, 2)),
    ):
        yield Case(f"matmul {x} {y}", np.matmul, (normal(*x), normal(*y)), torch="matmul")
    lefts |= {0: (), 4: (1, 2, 1, 3)}
    rights |= {0: ()}

    def tensordot(torch: Any, x: Any, y: Any) -> Any:
        return torch.tensordot(x, y, ([x.ndim - 1], [max(y.ndim - 2, 0)])) if x.ndim and y.ndim else x * y

    for x, y in product(lefts.values(), rights.values()):
        yield Case(f"dot {x} {y}", np.dot, (normal(*x), normal(*y)), torch=tensordot)
    for x, y in (((0, 3), (3, 2)), ((2, 0), (0, 2)), ((0,), (0,))):
        yield Case(f"dot {x} {y}", np.dot, (normal(*x), normal(*y)), torch=tensordot)
    yield Case("matmul with a list on the right", lambda x: x @ [1.0, -2.0, 3.0], (normal(2, 3),))
    yield Case("matmul with a list on the left", lambda y: [1.0, -2.0, 3.0] @ y, (normal(3, 2),))
    yield Case(
        "matmul with nested lists",
        lambda x: np.matmul(np.matmul([[1.0, 2.0]], x), [[1.0], [2.0], [3.0]]),
        (normal(2, 3),),
    )
    yield Case("dot with a list", lambda x: np.dot(x, [1.0, -2.0, 3.0]) + np.dot([1.0, 2.0], x)[0], (normal(2, 3),))
    yield Case("dot with a number", lambda x: np.dot(x, 2.5) + np.dot(2, x), (normal(2, 3),))
    yield Case("dot()", lambda x: x.dot(x.T), (normal(2, 3),), torch=lambda _, x: x @ x.T)
    yield Case("matmul of a Tensor with itself", lambda x: x @ x.T, (normal(2, 3),), torch=lambda _, x: x @ x.T)


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


def shapes() -> Iterator[Case]:
    x = normal(2, 3, 4)
    for shape in ((6, 4), (-1,), -1, (4, -1, 2), (2, 3, 4, 1)):
        yield Case(
            f"reshape {shape}", lambda x, s=shape: np.reshape(x, s), (x,), torch=lambda _, x, s=shape: x.reshape(s)
        )
        yield Case(f"reshape {shape}, order F", lambda x, s=shape: np.reshape(x, s, order="F"), (x,))
    yield Case("reshape a number", lambda x: np.reshape(x, (1, 1)), (normal(),), torch=lambda _, x: x.reshape(1, 1))
    yield Case("reshape to a number", lambda x: np.reshape(x, ()), (normal(1, 1),), torch=lambda _, x: x.reshape(()))
    yield Case("reshape nothing", lambda x: np.reshape(x, (3, 0)), (normal(0, 3),), torch=lambda _, x: x.reshape(3, 0))
    yield Case("reshape()", lambda x: x.reshape(4, 6) * x.reshape((4, -1)), (x,))
    for order in "CF":
        yield Case(f"ravel, order {order}", lambda x, order=order: np.ravel(x, order=order), (x,))
    yield Case("ravel", np.ravel, (x,), torch="ravel")
    yield Case(
        "ravel() and flatten()", lambda x: x.ravel() * x.flatten(), (x,), torch=lambda _, x: x.ravel() * x.flatten()
    )
    for axes in (None, (0, 1, 2), (2, 0, 1), (1, 2, 0), (-1, 0, 1), [1, -1, 0]):
        order = (2, 1, 0) if axes is None else tuple(axes)
        yield Case(
            f"transpose {axes}", lambda x, a=axes: np.transpose(x, a), (x,), torch=lambda _, x, a=order: x.permute(a)
        )
    yield Case("transpose, axes=", lambda x: np.transpose(x, axes=(2, 0, 1)), (x,))
    yield Case("transpose()", lambda x: x.transpose() * x.transpose(None) * x.T, (normal(2, 3),))
    yield Case("transpose(*axes)", lambda x: x.transpose(1, 2, 0) * x.transpose((1, 2, 0)), (x,))
    yield Case("mT", lambda x: x.mT, (x,), torch=lambda _, x: x.mT)
    yield Case("T", lambda x: x.T, (normal(2, 3),), torch=lambda _, x: x.T)
    yield Case("swapaxes", lambda x: np.swapaxes(x, 0, -1), (x,), torch=lambda _, x: x.swapaxes(0, -1))
    yield Case("swapaxes()", lambda x: x.swapaxes(1, 2), (x,), torch=lambda _, x: x.swapaxes(1, 2))
    for source, destination in ((0, -1), (-1, 0), (1, 1), ((0, 1), (-1, 0)), ((2, 0), (0, 1))):
        yield Case(
            f"moveaxis {source} {destination}",
            lambda x, s=source, d=destination: np.moveaxis(x, s, d),
            (x,),
            torch=lambda _, x, s=source, d=destination: x.moveaxis(s, d),
        )
    for axis in (0, 1, -1, (0, -1), (1, 3)):
        yield Case(f"expand_dims {axis}", lambda x, axis=axis: np.expand_dims(x, axis), (normal(2, 3),))
    for axis in (None, 0, -1, (0, 2)):
        yield Case(f"squeeze {axis}", lambda x, axis=axis: np.squeeze(x, axis=axis), (normal(1, 3, 1),))
        yield Case(f"squeeze({axis})", lambda x, axis=axis: x.squeeze(axis), (normal(1, 3, 1),))
    yield Case("squeeze to a number", np.squeeze, (normal(1, 1),), torch="squeeze")
    for before, after in (
        ((3,), (2, 3)),
        ((2, 1), (2, 3)),
        ((), (2, 2)),
        ((1, 3), (4, 2, 3)),
        ((2, 3), (2, 3)),
        ((1,), (0,)),
    ):
        yield Case(
            f"broadcast_to {before} {after}",
            lambda x, s=after: np.broadcast_to(x, s),
            (normal(*before),),
            torch=lambda _, x, s=after: x.broadcast_to(s),
        )
    for axis in (0, 1, -1, -2):
        other = (2, 1) if axis in (1, -1) else (1, 3)
        yield Case(
            f"concatenate, axis {axis}",
            lambda *xs, axis=axis: np.concatenate(xs, axis=axis),
            (normal(2, 3), normal(*other), normal(2, 3)),
            torch=lambda t, *xs, axis=axis: t.concatenate(xs, axis),
        )
    for axis in (0, 1, -1, -3):
        yield Case(
            f"stack, axis {axis}",
            lambda *xs, axis=axis: np.stack(xs, axis=axis),
            (normal(2, 3), normal(2, 3)),
            torch=lambda t, *xs, axis=axis: t.stack(xs, axis),
        )
    yield Case(
        "concatenate, axis None",
        lambda *xs: np.concatenate(xs, axis=None),
        (normal(2, 3), normal(), normal(2)),
        torch=lambda t, *xs: t.concatenate([x.ravel() for x in xs]),
    )
    yield Case(
        "concatenate a list",
        lambda x, y: np.concatenate([x, y]),
        (normal(2), normal(3)),
        torch=lambda t, x, y: t.concatenate([x, y]),
    )
    yield Case("concatenate, nothing", lambda x, y: np.concatenate([x, y]), (normal(0, 3), normal(2, 3)))
    yield Case("concatenate with constants", lambda x: np.concatenate([np.ones(2), x, [1.0, 2.0], x]), (normal(2),))
    yield Case("concatenate with numbers", lambda x: np.concatenate([x, 1.0, [[2.0]]], axis=None), (normal(2, 2),))
    yield Case("concatenate the rows of one array", np.concatenate, (normal(2, 3, 2),))
    yield Case(
        "stack numbers",
        lambda x, y: np.stack([x, 1.5, y, x]),
        (normal(), normal()),
        torch=lambda t, x, y: t.stack([x, t.tensor(1.5, dtype=x.dtype), y, x]),
    )
    yield Case("stack the rows of one array", lambda x: np.stack(x, axis=-1), (normal(2, 3, 2),))
    for sections, axis in ((3, 0), ([1, 4], 0), ([2], -1), (2, 1), ([0, 6, 9], 0), (np.array([2, 5]), 0)):
        yield Case(
            f"split {sections}, axis {axis}",
            lambda x, s=sections, axis=axis: np.split(x, s, axis=axis),
            (normal(6, 4),),
        )
    yield Case("split, some parts", lambda x: np.split(x, 3)[1] * 2, (normal(6),), torch=lambda t, x: x.split(2)[1] * 2)
    yield Case("copy", np.copy, (normal(2),), torch="clone")
    yield Case("copy()", lambda x: x.copy() * x, (normal(2),), torch=lambda _, x: x.clone() * x)
    yield Case("astype", lambda x: astype(x, np.float64) * x, (normal(2),))
    yield Case("astype()", lambda x: x.astype(np.longdouble) ** 2, (normal(2),))


def torch_index(index: Any) -> Any:
    """Give an index with torch tensors in place of arrays."""
    if isinstance(index, tuple):
        return tuple(torch_index(part) for part in index)
    if isinstance(index, np.ndarray):
        import torch

        return torch.from_numpy(index)
    return index


def indexing() -> Iterator[Case]:
    x = normal(4, 3, 2)
    rows = np.array([0, 2, 2, -1])
    by_torch: dict[str, Any] = {
        "1": 1,
        "-1": -1,
        "1, 2, 0": (1, 2, 0),
        "1:3": slice(1, 3),
        ":, -1": (slice(None), -1),
        "::2, 1:": (slice(None, None, 2), slice(1, None)),
        "2:2": slice(2, 2),
        "None": None,
        ":, None, 1": (slice(None), None, 1),
        "...": Ellipsis,
        "..., 0": (Ellipsis, 0),
        "0, ..., None": (0, Ellipsis, None),
        "()": (),
        "mask of all axes": x > 0,
        "mask of the first axis": np.array([True, False, True, True]),
        "mask of two axes, integer": (x[..., 0] > 0, 1),
        "mask that selects nothing": np.zeros(4, bool),
        "integers": rows,
        "matrix of integers": np.array([[0, 1], [1, 1]]),
        "no integers": np.array([], dtype=int),
        ":, integers": (slice(None), np.array([2, 2, 0])),
        "two arrays of integers": (rows, np.array([1, 2, 2, 0])),
        "arrays that broadcast": (rows[:, None], np.array([1, 1])),
        "array, slice, array": (rows, slice(1, None), np.array([0, 1, 1, 0])),
        "array, None, array": (rows, None, np.array([0, 2, 2, 0])),
    }
    only_numpy: dict[str, Any] = {
        "integer, slice, array": (2, slice(None), np.array([0, 0, 1])),
        "::-1": slice(None, None, -1),
        "3:0:-2, ..., ::-1": (slice(3, 0, -2), Ellipsis, slice(None, None, -1)),
        "list of integers": [0, 0, 3],
        "list of booleans": [True, False, False, True],
        "tuple with a list": (slice(None), [0, 0]),
        "True": True,
        "numpy integer": (np.int64(1), np.uint8(2)),
        "0-d array": np.array(2),
        "mask, ::-1": (np.array([True, False, True, True]), slice(None, None, -1)),
    }
    for name, index in by_torch.items():
        yield Case(f"x[{name}]", lambda x, i=index: x[i], (x,), torch=lambda _, x, i=index: x[torch_index(i)])
    for name, index in only_numpy.items():
        yield Case(f"x[{name}]", lambda x, i=index: x[i], (x,))
    yield Case("0-d x[()]", lambda x: x[()] * 2, (normal(),), torch=lambda _, x: x * 2)
    yield Case("0-d x[None]", lambda x: x[None], (normal(),), torch=lambda _, x: x[None])
    yield Case("0-d x[...]", lambda x: x[...] * 2, (normal(),), torch=lambda _, x: x * 2)
    yield Case("x[i][j]", lambda x: x[1:][rows[:2]][..., 0] * x[0, 0, 0], (x,))
    yield Case("rows by iteration", lambda x: [row * k for k, row in enumerate(x)], (normal(3, 2),))
    yield Case("unpacking", lambda x: operator.mul(*x), (normal(2, 3),), torch=lambda _, x: x[0] * x[1])
    for axis in (0, 1, -1):
        shape = [3, 3, 3]
        shape[axis] = 5
        indices = rng.integers(-3, 3, shape)
        yield Case(
            f"take_along_axis, axis {axis}",
            lambda x, i, axis=axis: np.take_along_axis(x, i, axis=axis),
            (normal(3, 3, 3), indices),
            torch=lambda t, x, i, axis=axis: t.take_along_dim(x, i % 3, axis),
        )
    yield Case(
        "take_along_axis, axis None",
        lambda x, i: np.take_along_axis(x, i, axis=None),
        (normal(2, 3), np.array([5, 0, 0, -1])),
        torch=lambda t, x, i: t.take_along_dim(x, i % 6),
    )
    yield Case(
        "take_along_axis, indices broadcast",
        lambda x, i: np.take_along_axis(x, i, axis=1),
        (normal(3, 4), np.array([[0, 3, 3]])),
        torch=lambda t, x, i: t.take_along_dim(x, i, 1),
    )
    yield Case(
        "take_along_axis, x broadcast",
        lambda x, i: np.take_along_axis(x, i, axis=-1),
        (normal(1, 4), np.array([[0, 3], [3, 3], [1, 2]])),
        torch=lambda t, x, i: t.take_along_dim(x, i, -1),
    )
    yield Case(
        "take_along_axis of argmax",
        lambda x: np.take_along_axis(x, np.argmax(x, axis=1)[:, None], axis=1),
        (distinct(3, 4),),
        torch=lambda t, x: x.amax(1, keepdim=True),
    )
    for axis, indices in ((0, [0, 2, 2]), (1, 1), (-1, np.array([[0, 0], [1, 0]])), (None, [5, 0, 0]), (None, 3)):
        yield Case(
            f"take({np.asarray(indices).tolist()}, {axis})",
            lambda x, i=indices, axis=axis: x.take(i, axis=axis),
            (normal(3, 2),),
        )
    for name, index, values in (
        ("integers", np.array([0, 2, 2]), (3, 2)),
        ("slice", slice(1, 3), (2, 2)),
        ("number", (2, 1), ()),
    ):
        yield Case(f"scatter_add, {name}", lambda v, i=index: scatter_add(v, i, np.empty((4, 2))), (normal(*values),))


def methods() -> Iterator[Case]:
    for name, sample in (("exp", normal), ("log", positive), ("sqrt", positive), ("tanh", normal)):
        yield Case(
            f".{name}()", lambda x, name=name: getattr(x, name)(), (sample(2, 3),), torch=name, plain=getattr(np, name)
        )


def compositions() -> Iterator[Case]:
    def softmax_cross_entropy(x: Any, labels: Any) -> Any:
        shifted = x - np.max(x, axis=1, keepdims=True)
        scores = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        return -np.mean(np.take_along_axis(scores, labels[:, None], axis=1))

    def perceptron(x: Any, w: Any, b: Any, v: Any) -> Any:
        return np.tanh(x @ w + b) @ v

    labels = np.array([0, 2, 1, 2])
    yield Case(
        "softmax cross-entropy",
        softmax_cross_entropy,
        (normal(4, 3), labels),
        torch=lambda t, x, y: t.nn.functional.cross_entropy(x, y),
    )
    yield Case(
        "perceptron",
        perceptron,
        (normal(2, 3), normal(3, 2), normal(2), normal(2)),
        torch=lambda t, x, w, b, v: t.tanh(x @ w + b) @ v,
    )
    yield Case(
        "several outputs",
        lambda x, y: (x * y, np.sin(x), y.sum()),
        (normal(2), normal(2)),
        torch=lambda t, x, y: (x * y, t.sin(x), y.sum()),
    )


CASES: list[Case] = [
    *unary(),
    *binary(),
    *powers(),
    *pieces(),
    *linalg(),
    *reductions(),
    *shapes(),
    *indexing(),
    *methods(),
    *compositions(),
]
